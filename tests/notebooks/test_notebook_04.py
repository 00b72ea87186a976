"""Notebook 4, RMTL: its parameters, and a headless run with others."""

from __future__ import annotations

import json
import re
from typing import Any

import book
import hints
import lessons
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from mtl_nt.figures.drawing import SMALL_SIZE


class TestRMTL(book.Lesson):
    name = "04_rmtl"
    wrong = (
        "[(check_1, lambda g: g[:, 0]), "
        "(check_1, lambda g: (normalize(g) @ normalize(g).T).mean(0)), "
        "(check_2, 'none of these', by_stage), "
        "(check_3, ([(1.0, 0.1), (0.5, 1.0)], [0.9, 0.1], [0.1, 0.9])), "
        "(check_3, ([(1.0, 0.1), (-1.0, 0.1)], [0.9, -0.1], [0.1, 0.9]))]"
    )
    given = {"datasets": ["digits"]}
    refusals = [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"datasets": ["dial-dominent"]}, "did you mean 'dominant' or"),
        ({"most": 1}, "most 1"),
        ({"focus": 10}, "must be 0 to 9, a task of 'digits'"),
        ({"focus": -1}, "must be 0 to 9"),
        ({"focus": "8"}, "focus '8'"),
        ({"focus": True}, "focus True"),
        ({"dataset": "dial-dominant", "focus": 12}, "must be 0 to 11"),
        ({"own": {"digits": {"trunk": [0]}}}, "trunk"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
        ({"alphas": [0.5, -1.0]}, "alpha -1"),
        ({"alpha": -0.3}, "alpha -0.3"),
        ({"seeds": []}, "2 runs or more"),
        ({"seeds": 1}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ]
    pictures = 0
    explorers = [("focus-explorer", 5, 2), ("alpha-explorer", 2, 2), ("heat-explorer", 2, 5)]

    def test_each_wrong_answer_that_people_give_has_a_hint_of_its_own(self) -> None:
        known = hints.checks(self.name, pairs=lambda cosines: cosines)
        one, two, three = (known[f"check_{k}"] for k in (1, 2, 3))

        def cosines(g: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(g) @ torch.nn.functional.normalize(g).T

        for said, wrong in {
            "Cut each cosine": lambda g: cosines(g).mean(0).clamp(min=0),
            "the sum": lambda g: cosines(g).clamp(min=0).sum(0),
            "own weight of 1": lambda g: (cosines(g).clamp(min=0) - torch.eye(3)).mean(0),
            "The own one": lambda g: (cosines(g).clamp(min=0) - torch.eye(3)).sum(0) / 2,
            "each focus in turn": lambda g: cosines(g)[0],
        }.items():
            assert said in hints.hint(one, wrong)
        assert one(lambda g: cosines(g).clamp(min=0).mean(0)) == "Right."
        by_stage = {"digits": [np.array([0.9])], "dial-unrelated": [np.array([0.2])]}
        assert "+0.20 there" in hints.hint(two, "dial-unrelated", by_stage)
        assert "one of digits, dial-unrelated" in hints.hint(two, "none", by_stage)
        assert two("digits", by_stage) == "Right."
        opposite = ([(1.0, 0.1), (1.0, 0.2)], [0.9, 0.1], [-0.9, -0.1])
        assert "the same sign" in hints.hint(three, opposite)
        hints.solutions_name_wrong_answers(self.name)

    def test_its_menus_have_real_and_made_data(self) -> None:
        given = book.parameters(self.name)
        assert given["seeds"] >= 5
        assert given["dataset"] == "digits"
        assert set(given["datasets"]) == {"digits", "dial-unrelated", "dial-dominant", "dial-noisy"}
        assert len(given["alphas"]) >= 11

    @pytest.mark.slow
    def test_the_menu_of_focus_tasks_begins_with_the_one_asked_for(
        self, done: NotebookNode
    ) -> None:
        (shown,) = book.outputs(done, "focus-explorer")
        page = BeautifulSoup(shown.data["text/html"], "html.parser")
        ((_, names),) = json.loads(page.script.text)["pickers"]  # type: ignore[union-attr]
        assert names[0] == "dial-noisy: noisy 2"
        assert {name.split(":")[0] for name in names} == {"dial-noisy", "digits"}

    @pytest.mark.slow
    def test_public_code_keeps_another_epoch_than_the_focused_task_wants(
        self, done: NotebookNode
    ) -> None:
        (shown,) = book.outputs(done, "checkpoint")
        assert shown.text.strip() == "kept: epoch 2; best for the task in focus: epoch 1"

    def test_public_code_is_named_with_its_commit_where_its_computation_is_shown(self) -> None:
        text = {cell.id: cell.source for cell in book.BOOK[self.name].cells}
        for commit in ("0f4e510", "63ee7d8"):
            assert commit in text["readings-text"]
        assert "chao1224/Loss-Balanced-Task-Weighting" in text["readings-text"]
        assert "63ee7d8" in text["checkpoint-text"]

    def test_letters_are_large_enough_for_a_phone(self) -> None:
        source = "\n".join(cell.source for cell in book.code(self.name))
        assert [
            n
            for n in re.findall(r"(?:label|font|\b)size=([\d.]+)", source)
            if float(n) < SMALL_SIZE
        ] == []

    @pytest.mark.slow
    def test_what_needs_no_budget_holds_with_few_steps_too(self, done: NotebookNode) -> None:
        printed = "".join(book.said(done, "claim"))
        assert "✓ one network per task with weights of 1 is MTL once more" in printed
        assert "✓ opposite tasks: against at the heads, together below" in printed

    @pytest.mark.slow
    def test_rmtl_is_compared_directly_with_its_rivals_and_with_its_shuffled_self(
        self, done: NotebookNode
    ) -> None:
        (shown,) = book.outputs(done, "help-table")
        text = book.seen(shown)
        for data in ("dial-noisy, 2 runs on new data", "digits, 2 runs on this split"):
            assert data in text
        for rival in ("MTL", "STL", "Fine-Tuning", "RMTL, shuffled"):
            assert len(re.findall(rf"(?<!, shuffled)RMTL against {rival} [+-]", text)) == 2
        assert text.count("RMTL against RMTL, truth") == 1

    @pytest.mark.slow
    def test_both_cosines_are_judged_by_measured_transfer(self, done: NotebookNode) -> None:
        (shown,) = book.outputs(done, "follows-figure")
        words = shown.data["text/plain"]
        for taken in ("heads", "trunk"):
            assert all(f"{taken}, {when}: " in words for when in ("first batch", "first fifth"))

    @pytest.mark.slow
    def test_its_guesses_are_checked_in_the_page(self, done: NotebookNode) -> None:
        boxes: list[Any] = [
            ("predict", 0, -1),
            ("predict-b", 0.71, 0.5),
            ("predict-rare", "about 1", "about 0"),
        ]
        lessons.guesses_are_checked_in_the_page(done, boxes)

    @pytest.mark.slow
    def test_its_drawings_and_figures_are_described(self, done: NotebookNode) -> None:
        lessons.pictures_are_described(done, 7)

    def test_the_focused_digit_is_trained_until_it_is_learned(self) -> None:
        (cell,) = [
            c for c in book.code(self.name) if c.id.startswith("one-focus") and "long =" in c.source
        ]
        assert "steps=300" in cell.source
