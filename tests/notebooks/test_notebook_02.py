"""Notebook 2, LBTW: its parameters, and a headless run with others."""

from __future__ import annotations

import re
from typing import Any

import book
import hints
import lessons
import pandas as pd
import pytest
import torch
from nbformat import NotebookNode

CASES = {"slow": "more", "noise": "less", "few labels": "more"}  # what each deserves


class TestLBTW(book.Lesson):
    name = "02_lbtw"
    wrong = (
        "[(check_1, lambda l, r, a: l), (check_1, lambda l, r, a: (l / r) ** a), "
        "(check_1, lambda l, r, a: scaled_weights(l, r, a) / 4), "
        "(check_2, 'none of these', counted), (check_3, CASES['few labels'])]"
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
        ({"many": 1}, "many 1: give 2 runs or more"),
        ({"steps": -5}, "steps -5"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
    ]
    explorers = [("tasks-explorer", 1, 3), ("picker-explorer", 2, 3)]
    pictures = 0

    def test_each_wrong_answer_that_people_give_has_a_hint_of_its_own(self) -> None:
        known = hints.checks(self.name)
        one, two = known["check_1"], known["check_2"]

        def ratio(losses: Any, reference: Any) -> Any:
            return torch.where(reference > 0, losses / reference, 1.0)

        for said, wrong in {
            "divided by": lambda losses, reference, alpha: losses / reference,
            "Algorithm 1": lambda losses, reference, alpha: ratio(losses, reference),
            "add up to 1": lambda losses, reference, alpha: ratio(losses, reference) / 5.5,
            "the other way": lambda losses, reference, alpha: 12 / 13 / ratio(losses, reference),
        }.items():
            assert said in hints.hint(one, wrong)
        assert one(lambda losses, reference, alpha: ratio(losses, reference) * 4 / 5.5) == "Right."
        row = {"method": "LBTW", "negative_null_low": 2.0, "negative_null_high": 8.0}
        counted = {
            "inside": pd.DataFrame([{**row, "harmed": 3, "negative_per_run": 7.0}]),
            "outside": pd.DataFrame([{**row, "harmed": 3, "negative_per_run": 9.0}]),
            "unharmed": pd.DataFrame([{**row, "harmed": 0, "negative_per_run": 7.0}]),
        }
        assert "outside the band" in hints.hint(two, "outside", counted)
        assert "no task of LBTW harmed" in hints.hint(two, "unharmed", counted)
        assert "There is one" in hints.hint(two, "none", counted)
        assert "one of inside, outside, unharmed" in hints.hint(two, "MTL", counted)
        assert two("inside", counted) == "Right."
        hints.solutions_name_wrong_answers(self.name)

    def test_its_controls_have_twenty_runs_that_no_slider_has_shown(self) -> None:
        assert book.parameters(self.name)["many"] >= 20
        (cell,) = [c for c in book.code(self.name) if c.id == "controls-study"]
        assert "1 + max(runs) + k" in cell.source

    @pytest.mark.slow
    def test_its_guesses_are_checked_in_the_page(self, done: NotebookNode) -> None:
        boxes: list[Any] = [
            ("predict", 0.5, 2),
            ("predict-next", 1, 0.5),
            ("predict-scaled", 1, 0.1),
        ]
        lessons.guesses_are_checked_in_the_page(done, boxes)

    @pytest.mark.slow
    def test_its_drawings_and_figures_are_described(self, done: NotebookNode) -> None:
        lessons.pictures_are_described(done, 9)

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
        (shown,) = book.outputs(done, "help-table")
        text, number = book.seen(shown), r"[+-]0?\.\d+ \[.+?\]; \d+ better, \d+ worse"
        assert re.search(rf"LBTW 0\.5 {number}", text)
        for control in ("permuted", "frozen", "shuffled"):  # against MTL, and LBTW against it
            assert len(re.findall(rf"LBTW [\d.]+, {control} {number} {number}", text)) == 2

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
