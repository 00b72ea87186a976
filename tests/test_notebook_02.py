"""Notebook 2, LBTW: its parameters, and a headless run with others."""

from __future__ import annotations

import re

import book
import pytest
from nbformat import NotebookNode


class TestLBTW(book.Lesson):
    name = "02_lbtw"
    wrong = (
        "[(check_1, [[1, 1], [1, 1]]), (check_2, lambda l, r, a: l), "
        "(check_3, 'none of these', counted)]"
    )
    whole = True
    refusals = [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"datasets": ["mnits"]}, "did you mean 'mnist' or"),
        ({"dataset": "dial-dominent"}, "did you mean 'dominant' or"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alphas": "half"}, "alpha 'half'"),
        ({"alpha": -0.3}, "alpha -0.3"),
        ({"alpha": "half"}, "alpha 'half'"),
        ({"seeds": []}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
    ]
    explorers = [("tasks-explorer", 1, 3), ("picker-explorer", 2, 3)]
    pictures = 3

    def test_the_alpha_slider_goes_through_eleven_alphas_on_real_and_made_data(self) -> None:
        given = book.parameters(self.name)
        assert len(given["alphas"]) >= 11
        assert given["seeds"] >= 5
        assert given["dataset"] == "digits"
        assert {"digits", "dial-unrelated", "dial-dominant", "dial-noisy"} <= set(given["datasets"])

    @pytest.mark.slow
    def test_lbtw_is_compared_with_mtl_and_with_its_shuffled_self(self, done: NotebookNode) -> None:
        (shown,) = book.outputs(done, "help-words")
        text = shown.data["text/markdown"]
        assert "digits" in text and "on this split" in text
        assert re.search(r"LBTW [\d.]+, shuffled, against MTL: [+-]", text)
        assert re.search(r"LBTW [\d.]+ against itself, shuffled: [+-]", text)
