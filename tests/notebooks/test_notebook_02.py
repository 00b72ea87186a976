"""Notebook 2, LBTW: its parameters, and a headless run with others."""

from __future__ import annotations

import re

import book
import pytest
from nbformat import NotebookNode

CASES = {"slow": "more", "noise": "less", "few labels": "more"}  # what each deserves


class TestLBTW(book.Lesson):
    name = "02_lbtw"
    wrong = (
        "[(check_1, [[1, 1], [1, 1]]), (check_2, lambda l, r, a: l), "
        "(check_3, 'none of these', counted)]"
    )
    refusals = [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"datasets": ["mnits"]}, "did you mean 'mnist' or"),
        ({"dataset": "dial-dominent"}, "did you mean 'dominant' or"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alphas": "half"}, "alphas 'half'"),
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
    def test_lbtw_is_compared_with_mtl_and_with_its_three_controls(
        self, done: NotebookNode
    ) -> None:
        (shown,) = book.outputs(done, "help-words")
        text = shown.data["text/markdown"]
        assert "digits" in text and "on this split" in text
        for control in ("permuted", "frozen", "shuffled"):
            assert re.search(rf"LBTW [\d.]+, {control}, against MTL: [+-]", text)
            assert re.search(rf"LBTW [\d.]+ against itself, {control}: [+-]", text)

    @pytest.mark.slow
    def test_public_code_departs_as_its_cells_say(self, done: NotebookNode) -> None:
        (scaled,), (fallen,) = (book.outputs(done, cell) for cell in ("scaled", "coverage"))
        assert scaled.text.strip() == "Algorithm 1: [0.5 0.5]  as published: [1. 1.]"
        assert fallen.text.strip() == "L / L0 = 0.33, though no error has changed"
        (broken,) = book.outputs(done, "unlabelled")
        assert "now neither NaN NaN NaN" in book.seen(broken)

    def test_public_code_is_named_with_its_commit_where_its_computation_is_shown(self) -> None:
        text = {cell.id: cell.source for cell in book.BOOK[self.name].cells}
        assert "chao1224/Loss-Balanced-Task-Weighting" in text["public-text"]
        for cell in ("scaled", "coverage"):
            assert "63ee7d8" in text[f"{cell}-text"]
        assert "`63ee7d8`" in text["unlabelled-text"] and "`bda4c48`" in text["later-text"]

    @pytest.mark.slow
    def test_its_assumption_is_tried_on_a_case_each(self, done: NotebookNode) -> None:
        (shown,) = book.outputs(done, "cases-table")
        said = book.seen(shown)
        assert all(f"{case} {word}" in said for case, word in CASES.items())
