"""Notebook 6, U-AMTFL: its parameters, and a headless run with others."""

from __future__ import annotations

import book
import pytest
from nbformat import NotebookNode


class TestUAMTFL(book.Lesson):
    name = "06_u_amtfl"
    wrong = (
        "[(check_1, [1, 1, 1]), (check_2, lambda l, s, o, a, m: l), "
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
        ({"rates": [0.0]}, "learning_rate 0"),
        ({"rates": []}, "learning_rate 0"),
        ({"budgets": [0]}, "steps 0"),
        ({"budgets": []}, "steps 0"),
        ({"own": {"digits": {"trunk": [0]}}}, "trunk"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
        ({"seeds": []}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ]
    explorers = [("alpha-explorer", 3, 2), ("gamma-explorer", 2, 2)]
    pictures = 5

    def test_its_sliders_have_many_stops_on_real_and_made_data(self) -> None:
        given = book.parameters(self.name)
        assert len(given["alphas"]) >= 11
        assert len(given["gammas"]) >= 5
        assert given["seeds"] >= 5
        assert (given["alpha"], given["gamma"]) == (0.1, 0.01)
        assert {"digits", "dial-dominant", "dial-noisy", "dial-unrelated"} <= set(given["datasets"])

    @pytest.mark.slow
    def test_what_needs_no_budget_holds_with_few_steps_too(self, done: NotebookNode) -> None:
        printed = "".join(book.said(done, "claim"))
        assert "holds: the rarest digit has the lowest loss by its prior" in printed

    @pytest.mark.slow
    def test_u_amtfl_is_compared_with_its_own_parts_directly(self, done: NotebookNode) -> None:
        (shown,) = book.outputs(done, "help-words")
        text = shown.data["text/markdown"]
        for data in ("digits, 2 runs on this split", "dial-dominant, 2 runs on new data"):
            assert data in text
        for pair in ("Deep-AMTFL against MTL-CNN: ", "U-AMTFL against Deep-AMTFL: "):
            assert text.count(pair) == 2
        assert "U-AMTFL on digits against MTL, twice the rate: " in text
