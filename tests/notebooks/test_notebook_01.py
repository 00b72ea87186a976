"""Notebook 1, negative transfer: its parameters, and a headless run with others."""

from __future__ import annotations

from typing import Any

import book
import hints
import lessons
import pytest
from nbformat import NotebookNode


class TestNegativeTransfer(book.Lesson):
    name = "01_negative_transfer"
    wrong = (
        "[(check_1, lambda e, s: 0), (check_1, lambda e, s: int((s <= e).sum())), "
        "(check_1, lambda e, s: negative(s, e)), "
        "(check_2, -1, by_width), (check_3, (one, replace(two, angle=80))), "
        "(check_3, (one, replace(two, independent=True)))]"
    )
    refusals = [
        ({"seeds": 0}, "2 runs or more"),
        ({"angles": [30, 120]}, "angle 120"),
        ({"angles": []}, "one or more of"),
        ({"widths": [3, 0]}, "trunk"),
        ({"outsiders": [0]}, "1 or more tasks"),
        ({"outsiders": []}, "one or more of"),
        ({"multiples": ["all"]}, "multiples 'all'"),
        ({"multiples": [0]}, "multiples 0: must be numbers from"),
        ({"steps": 0}, "steps 0"),
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"alphas": [-1.0]}, "alpha -1"),
    ]
    given = {"outsiders": [1, 3], "multiples": [1, 4]}
    explorers = [
        *(("angle-explorer", 1, 2), ("width-explorer", 1, 2), ("outsiders-explorer", 1, 2)),
        *(("rows-explorer", 1, 2), ("real-explorer", 1, 2)),
    ]
    pictures = 0

    def test_each_wrong_answer_that_people_give_has_a_hint_of_its_own(self) -> None:
        known = hints.checks(self.name, counted=lambda harmed, verdict: harmed)
        one, two = known["check_1"], known["check_2"]
        for said, wrong in {
            "that are better": lambda error, alone: ((error - alone).mean(0) < 0).sum(),
            "runs and tasks": lambda error, alone: (alone < error).sum(),
            "in each run": lambda error, alone: (alone < error).sum(1).mean(),
            "ties": lambda error, alone: ((alone - error).mean(0) <= 0).sum(),
        }.items():
            assert said in hints.hint(one, wrong)
        assert one(lambda error, alone: ((alone - error).mean(0) < 0).sum()) == "Right."
        harmed = {2: 3, 4: 0, 16: 1, 32: 0}  # by width
        assert "With 16 units, the test calls 1" in hints.hint(two, 16, harmed)
        assert "narrower trunk" in hints.hint(two, 32, harmed)
        assert "There is a width" in hints.hint(two, "none", harmed)
        assert "widths [2, 4, 16, 32]" in hints.hint(two, 3, harmed)
        assert two(4, harmed) == "Right." == two("none", {2: 3, 16: 1})
        hints.solutions_name_wrong_answers(self.name)

    def test_its_dials_have_equal_rows_and_stops_near_zero(self) -> None:
        given = book.parameters(self.name)
        assert {0, 5, 10, 90} <= set(given["angles"])
        dialled = book.prelude(self.name)["dialled"]
        labels = dialled().y[dialled().split.train].isfinite().sum(0)
        assert set(labels.tolist()) == {40}

    @pytest.mark.slow
    def test_every_suspect_is_accused_alone_beside_its_control(self, done: NotebookNode) -> None:
        (said,) = book.outputs(done, "suspects-words")
        text = said.data["text/markdown"]
        assert all(f"**{cause}" in text for cause in ("Another direction", "Few", "Noise", "Scale"))

    @pytest.mark.slow
    def test_the_room_of_every_width_is_drawn(self, done: NotebookNode) -> None:
        (drawn,) = book.outputs(done, "room")
        assert "2 units: related" in drawn.data["text/plain"]
        assert "8 units: related" in drawn.data["text/plain"]

    @pytest.mark.slow
    def test_its_guesses_are_checked_in_the_page(self, done: NotebookNode) -> None:
        boxes: list[Any] = [("predict", 3, 6), ("predict-null", 64, 6)]
        lessons.guesses_are_checked_in_the_page(done, boxes)

    @pytest.mark.slow
    def test_its_drawings_and_figures_are_described(self, done: NotebookNode) -> None:
        lessons.pictures_are_described(done, 9)

    @pytest.mark.slow
    def test_the_live_dials_show_a_trained_picture(self, done: NotebookNode) -> None:
        shown = "".join(o.data.get("text/html", "") for o in book.outputs(done, "live"))
        assert "trained with angle = 90, trunk width = 2" in shown
        assert 'src="data:image/png;base64,' in shown
