"""Notebook 5, uncertainty: its parameters, and a headless run with others."""

from __future__ import annotations

import book
import lessons
import pytest
from nbformat import NotebookNode


class TestUncertainty(book.Lesson):
    name = "05_uncertainty"
    wrong = (
        "[(check_1, 10), (check_1, 0.1), (check_1, 100), (check_1, 1), "
        "(check_2, lambda l, s, b: (torch.exp(-s) * l + s / 2).sum()), (check_3, -1)]"
    )
    refusals = [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"dataset": "dial-noisy"}, "must be exclusive classes"),
        ({"datasets": ["dial-dominent"]}, "did you mean 'dominant' or"),
        ({"datasets": ["digits"]}, "'digits' is not made"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alphas": "half"}, "alphas 'half': give a list"),
        ({"rates": [0.0]}, "learning_rate 0"),
        ({"rates": []}, "learning_rate 0"),
        ({"own": {"digits": {"trunk": [0]}}}, "trunk"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
        ({"seeds": []}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ]
    explorers = [("follow-explorer", 2, 2)]
    pictures = 0  # as PNG alone: see below

    def test_it_has_scale_noise_and_neglect_as_causes_and_real_digits(self) -> None:
        given = book.parameters(self.name)
        assert given["dataset"] == "digits"
        assert given["datasets"] == ["dial-dominant", "dial-noisy", "dial-unrelated"]
        assert given["seeds"] >= 8
        assert (given["alphas"][0], given["alphas"][-1]) == (0.0, 1.0)

    @pytest.mark.slow
    def test_the_lines_in_sight_are_what_the_package_trains(self, done: NotebookNode) -> None:
        (shown,) = book.outputs(done, "claim-equal")
        assert shown.text.startswith("✓ the lines above train the package's network")

    @pytest.mark.slow
    def test_the_pictures_are_described_and_their_guesses_checked(self, done: NotebookNode) -> None:
        lessons.pictures_are_described(done, 6)
        boxes = [("predict-weight", 10, 20), ("predict-rare", "is it a 9?", "is it a 0?")]
        lessons.guesses_are_checked_in_the_page(done, boxes)

    @pytest.mark.slow
    def test_a_picture_has_one_y_axis_and_says_which_way_is_better(
        self, done: NotebookNode
    ) -> None:
        for cell in ("help-figure", "rate-figure", "rarest-figure"):
            source = next(c.source for c in done.cells if c.id == cell)
            assert "about=" in source
            assert ("one_scale=True" in source) == (cell != "rate-figure"), "two units are two axes"

    @pytest.mark.slow
    def test_rarity_is_turned_round_and_taken_away(self, done: NotebookNode) -> None:
        said = book.outputs(done, "rarest-change")[0].data["text/markdown"]
        for kind in ("Frequencies as they are", "Frequencies turned round"):
            (line,) = (line for line in said.splitlines() if kind in line)
            assert line.count("[") == 3, "at first, at the end, and ease, with their intervals"
        text = book.seen(book.outputs(done, "rarest-figure")[0])
        assert "weight and rarity:" in text and "weight and ease:" in text

    @pytest.mark.slow
    def test_uncertainty_is_also_compared_with_a_larger_step(self, done: NotebookNode) -> None:
        text = book.outputs(done, "rarest-words")[0].data["text/markdown"]
        rows = [line for line in text.splitlines() if " – MTL" in line]
        pairs = ["Uncertainty – MTL", "MTL at 2x – MTL", "Uncertainty – MTL at 2x"]
        assert [row.split(" | ")[0].strip("| ") for row in rows] == pairs
        assert all(row.count("[") == row.count("**") / 2 == 2 for row in rows), (
            "all, and the rarest"
        )

    @pytest.mark.slow
    def test_every_control_stands_in_the_same_picture(self, done: NotebookNode) -> None:
        text = book.seen(book.outputs(done, "control-figure")[0])
        for control in ("MTL at 2x", "frozen weights", "frozen, others'", "FollowTheLoss"):
            assert control in text

    @pytest.mark.slow
    def test_a_change_is_a_number_with_its_interval_and_a_word(self, done: NotebookNode) -> None:
        text = book.outputs(done, "help-words")[0].data["text/markdown"]
        rows = [line for line in text.splitlines() if line.startswith("| dial-")]
        assert len(rows) == 4
        assert all("[" in row and row.rstrip(" |").endswith("**") for row in rows)

    @pytest.mark.slow
    def test_three_causes_are_told_apart_by_two_errors(self, done: NotebookNode) -> None:
        text = book.outputs(done, "cause-table")[0].data["text/markdown"]
        rows = [line for line in text.splitlines() if line.startswith("| dial-")]
        assert len(rows) == 3, "the fast parameters leave out dial-noisy"
        assert all(row.count("[") == 3 for row in rows), "alone, in MTL, and in a wider trunk"

    @pytest.mark.slow
    def test_the_open_task_says_whether_groups_break_it(self, done: NotebookNode) -> None:
        for cell in ("open", "open-solution"):
            verdict, table = book.outputs(done, cell)
            assert verdict.text.startswith(("Right: you broke it.", "Not yet. Harmed:"))
            assert "Uncertainty" in book.seen(table)
