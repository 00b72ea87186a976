"""Notebook 4, RMTL: its parameters, and a headless run with others."""

from __future__ import annotations

import book
import pytest
from nbformat import NotebookNode


class TestRMTL(book.Lesson):
    name = "04_rmtl"
    wrong = (
        "[(check_1, [1, 1, 1]), (check_2, lambda g: g[:, 0]), (check_3, 'none of these', by_stage)]"
    )
    given = {"datasets": ["digits"]}
    refusals = [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"datasets": ["dial-dominent"]}, "did you mean 'dominant' or"),
        ({"stops": 1}, "stops 1"),
        ({"focus": 10}, "must be 0 to 9, a task of 'digits'"),
        ({"focus": -1}, "must be 0 to 9"),
        ({"focus": "8"}, "must be 0 to 9"),
        ({"focus": True}, "must be 0 to 9"),
        ({"dataset": "dial-dominant", "focus": 12}, "must be 0 to 11"),
        ({"own": {"digits": {"trunk": [0]}}}, "trunk"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
        ({"alphas": [0.5, -1.0]}, "alpha -1"),
        ({"seeds": []}, "2 runs or more"),
        ({"seeds": 1}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ]
    explorers = [("focus-explorer", 2, 2), ("heat-explorer", 2, 5)]

    def test_its_menus_have_real_and_made_data(self) -> None:
        given = book.parameters(self.name)
        assert given["seeds"] >= 5
        assert given["dataset"] == "digits"
        assert set(given["datasets"]) == {"digits", "dial-unrelated", "dial-dominant", "dial-noisy"}

    @pytest.mark.slow
    def test_what_needs_no_budget_holds_with_few_steps_too(self, done: NotebookNode) -> None:
        printed = "".join(book.said(done, "claim"))
        assert "holds: one network a task with weights of 1 is MTL once more" in printed
        assert "holds: opposite tasks: against at the heads, together below" in printed

    @pytest.mark.slow
    def test_rmtl_is_compared_directly_with_its_rivals_and_with_its_dealt_self(
        self, done: NotebookNode
    ) -> None:
        (shown,) = book.outputs(done, "help-words")
        text = shown.data["text/markdown"]
        for data in ("dial-noisy, 2 runs on new data", "digits, 2 runs on this split"):
            assert data in text
        for rival in ("MTL", "STL", "Fine-Tuning", "RMTL, dealt"):
            assert text.count(f"RMTL against {rival}: ") == 2
        assert text.count("RMTL against RMTL, truth: ") == 1
