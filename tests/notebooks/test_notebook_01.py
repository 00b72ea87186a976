"""Notebook 1, negative transfer: its parameters, and a headless run with others."""

from __future__ import annotations

import book
import pytest
from nbformat import NotebookNode


class TestNegativeTransfer(book.Lesson):
    name = "01_negative_transfer"
    wrong = "[(check_1, 42), (check_2, lambda e, s: 0), (check_3, -1, by_width)]"
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
    pictures = 5

    @pytest.mark.slow
    def test_the_live_dials_show_a_trained_picture(self, done: NotebookNode) -> None:
        (shown,) = book.outputs(done, "live")
        assert "trained with angle = 90, trunk width = 2" in shown.data["text/html"]
        assert 'src="data:image/png;base64,' in shown.data["text/html"]
