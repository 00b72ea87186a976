"""Notebook 6, U-AMTFL: its parameters, and a headless run with others."""

from __future__ import annotations

import re

import book
import lessons
import pytest
from nbformat import NotebookNode


class TestUAMTFL(book.Lesson):
    name = "06_u_amtfl"
    wrong = (
        "[(check_1, [1, 1, 1]), (check_1, [0.05, 0.05, -0.05]), "
        "(check_2, lambda l, s, o, a, m: l), "
        "(check_2, lambda l, s, o, a, m: (1 + a * o).clamp(max=m) * torch.exp(-s) * l + s / 2), "
        "(check_3, 'none of these', by_gamma)]"
    )
    given = {"datasets": ["dial-dominant"], "readings": ["outside", "inside"]}
    refusals = [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"dataset": "dial-noisy"}, "must be exclusive classes"),
        ({"datasets": ["dial-dominent"]}, "did you mean 'dominant' or"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alphas": "half"}, "alphas 'half': give a list"),
        ({"alpha": -0.15}, "alpha -0.15"),
        ({"gammas": [0.01, -2.0]}, "gamma -2"),
        ({"gamma": -0.02}, "gamma -0.02"),
        ({"strong": -1.0}, "gamma -1"),
        ({"readings": ["outsde"]}, "did you mean 'outside'"),
        ({"readings": []}, "unknown reading None"),
        ({"readings": ["variance"]}, "needs dropout"),
        ({"budgets": [0]}, "steps 0"),
        ({"budgets": []}, "steps 0"),
        ({"own": {"digits": {"trunk": [0]}}}, "trunk"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
        ({"seeds": []}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ]
    explorers = [("alpha-explorer", 3, 2), ("gamma-explorer", 2, 2)]
    pictures = 0  # as PNG alone: see below

    def test_its_sliders_have_many_stops_on_real_and_made_data(self) -> None:
        given = book.parameters(self.name)
        assert len(given["alphas"]) >= 11
        assert len(given["gammas"]) >= 5
        assert given["seeds"] >= 5
        assert (given["alpha"], given["gamma"]) == (0.1, 0.01)
        assert {"digits", "dial-dominant", "dial-noisy", "dial-unrelated"} <= set(given["datasets"])

    @pytest.mark.slow
    def test_the_lines_in_sight_are_what_the_package_trains(self, done: NotebookNode) -> None:
        for cell in ("claim-equal", "claim-readings"):
            (shown,) = book.outputs(done, cell)
            assert shown.text.startswith("✓ ")

    @pytest.mark.slow
    def test_the_pictures_are_described_and_their_guesses_checked(self, done: NotebookNode) -> None:
        lessons.pictures_are_described(done, 10)
        boxes = [("predict-noise", "the clean tasks", "the noisy tasks")]
        boxes += [("predict-scale", "the tasks with small labels", "the tasks with large labels")]
        lessons.guesses_are_checked_in_the_page(done, boxes)

    @pytest.mark.slow
    def test_u_amtfl_is_first_compared_with_mtl_at_twice_the_rate(self, done: NotebookNode) -> None:
        text = book.seen(book.outputs(done, "headline-figure")[0])
        for pair in ("U-AMTFL – MTL:", "U-AMTFL – MTL at 2x:", "Deep-AMTFL – MTL-CNN:"):
            assert pair in text
        cells = [cell.id for cell in done.cells]
        assert cells.index("headline-figure") < cells.index("about-text") < cells.index("algorithm")
        results = [
            cells.index(cell) for cell in ("headline-figure", "help-figure", "budget-figure")
        ]
        readings = [cells.index(cell) for cell in ("outside-text", "inside-text")]
        assert max(results) < min(readings), "what it brings comes before what its formula may mean"

    @pytest.mark.slow
    def test_the_lead_of_u_amtfl_is_held_against_a_larger_step_at_every_budget(
        self, done: NotebookNode
    ) -> None:
        text = book.seen(book.outputs(done, "budget-figure")[0])
        assert "minus MTL's: U-AMTFL " in text and "MTL at 2x " in text
        table = book.outputs(done, "budget-words")[0].data["text/markdown"]
        assert "| steps | U-AMTFL – MTL | MTL at 2x – MTL |" in table
        rows = [line for line in table.splitlines() if "**" in line]
        assert len(rows) == 2 and all(row.count("[") == 2 for row in rows), "two fast budgets"

    @pytest.mark.slow
    def test_every_larger_gamma_is_held_against_the_authors_on_every_data_set(
        self, done: NotebookNode
    ) -> None:
        table = book.outputs(done, "gamma-words")[0].data["text/markdown"]
        assert table.startswith("| against gamma 0.01 | gamma 1 |"), "the fast gammas"
        rows = [line for line in table.splitlines() if "[" in line]
        assert [row.split(" | ")[0].strip("| ") for row in rows] == ["digits", "dial-dominant"]

    def test_the_readings_that_matter_little_are_folded(self) -> None:
        prose = [c.source for c in book.BOOK[self.name].cells if c.cell_type == "markdown"]
        (folded,) = (text for text in prose if "<details>" in text)
        assert "**Temperature.**" in folded and "**variance**" in folded
        (code,) = (c for c in book.code(self.name) if c.id == "temperature")
        assert code.metadata.jupyter.source_hidden

    @pytest.mark.slow
    def test_each_step_from_mtl_to_u_amtfl_is_compared_on_made_data(
        self, done: NotebookNode
    ) -> None:
        text = book.seen(book.outputs(done, "help-figure")[0])
        for pair in ("Deep-AMTFL – MTL-CNN:", "s held – Deep-AMTFL:", "U-AMTFL – s held:"):
            assert pair in text

    @pytest.mark.slow
    def test_who_gives_how_much_is_asked_at_one_scale_and_of_three_kinds(
        self, done: NotebookNode
    ) -> None:
        for cell, rows in (("support-figure", 3), ("outside-figure", 6), ("inside-figure", 3)):
            text = book.seen(book.outputs(done, cell)[0])
            pairs = ("second – first:", "noisy – clean:", "loud – quiet:")
            assert sum(text.count(pair) for pair in pairs) == rows
            assert text.count("U-AMTFL, ") == (cell != "support-figure"), "each reading is named"

    @pytest.mark.slow
    def test_the_open_task_says_whether_the_second_group_gives_less(
        self, done: NotebookNode
    ) -> None:
        for cell in ("open", "open-solution"):
            said = book.outputs(done, cell)[0].data["text/plain"]
            assert said.startswith(("'Right: the second group", "'Not yet: the second group"))
            assert re.search(r"gives \d+\.\d\d (less|more) \[[+-]", said), "no negative more"
