"""Notebook 3, GradNorm: its parameters, and a headless run with others."""

from __future__ import annotations

from typing import Any

import book
import hints
import lessons
import pandas as pd
import pytest
from nbformat import NotebookNode


class TestGradNorm(book.Lesson):
    name = "03_gradnorm"
    wrong = (
        "[(check_1, lambda g, l, f, a: g), (check_1, lambda g, l, f, a: targets(g, l, f, -a)), "
        "(check_2, 'none of these', studies), "
        "(check_3, lambda g: 3 / g.norm(dim=1) / (1 / g.norm(dim=1)).sum())]"
    )
    refusals = [
        ({"dataset": "dial-dominent"}, "did you mean 'dominant' or"),
        ({"datasets": ["digit"]}, "did you mean 'digits'?"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alphas": "half"}, "alphas 'half'"),
        ({"alpha": -0.3}, "alpha -0.3"),
        ({"seeds": []}, "2 runs or more"),
        ({"seeds": 1}, "seeds 1: give 2 runs or more"),
        ({"few": {"digits": 1}}, "digits 1: give 2 runs or more"),
        ({"few": {"digits": "all"}}, "digits 'all': give 2 runs or more"),
        ({"own": {"dial-noisy": {"steps": 0}}}, "steps 0"),
        ({"steps": -5}, "steps -5"),
    ]
    explorers = [("picker-explorer", 2, 2)]
    pictures = 0

    def test_each_wrong_answer_that_people_give_has_a_hint_of_its_own(self) -> None:
        known = hints.checks(self.name, alphas=[0.0, 1.0])
        one, two, three = (known[f"check_{k}"] for k in (1, 2, 3))

        def targets(norms: Any, losses: Any, first: Any, alpha: float) -> Any:
            return norms.mean() * (losses / first / (losses / first).mean()) ** alpha

        assert "favours the fast" in hints.hint(one, lambda n, x, f, a: targets(n, x, f, -a))
        own = "not each task's own"
        assert own in hints.hint(one, lambda n, x, f, a: n * targets(n, x, f, a) / n.mean())
        assert one(targets) == "Right."

        class Gains:
            def __init__(self, *means: float) -> None:
                self.means = dict(zip([0.0, 1.0], means, strict=True))

            def delta(self, method: str, alpha: float) -> Any:
                assert method == "GradNorm"
                return pd.DataFrame([[self.means[alpha]]])

        studies = {"falls": Gains(0.3, 0.1), "rises": Gains(0.1, 0.3)}
        assert "There, alpha 1 has the best mean" in hints.hint(two, "rises", studies)
        assert "best at its left end" in hints.hint(two, "none", studies)
        assert "one of falls, rises" in hints.hint(two, "digits", studies)
        assert two("falls", studies) == "Right."
        assert "makes that loss larger" in hints.hint(
            three, lambda g: 3 / g.norm(dim=1) / (1 / g.norm(dim=1)).sum()
        )
        hints.solutions_name_wrong_answers(self.name)

    @pytest.mark.slow
    def test_its_guesses_are_checked_in_the_page(self, done: NotebookNode) -> None:
        boxes: list[Any] = [
            ("predict", 1.8, 0.2),
            ("predict-three", 1.5, 0.6),
            ("predict-noise", "long", "short"),
        ]
        lessons.guesses_are_checked_in_the_page(done, boxes)

    @pytest.mark.slow
    def test_its_drawings_and_figures_are_described(self, done: NotebookNode) -> None:
        lessons.pictures_are_described(done, 7)

    @pytest.mark.slow
    def test_conflict_and_agreement_have_the_colours_of_the_book(self, done: NotebookNode) -> None:
        (cell,) = [c for c in book.code(self.name) if c.id == "cosine-figure"]
        assert "figures.CONFLICT" in cell.source and "figures.AGREEMENT" in cell.source

    def test_its_slider_goes_through_eleven_alphas_on_real_and_made_data(self) -> None:
        given = book.parameters(self.name)
        assert len(given["alphas"]) >= 11
        assert 0.0 in given["alphas"]
        assert min(given["seeds"], *given["few"].values()) >= 5
        assert {"digits", "dial-dominant", "dial-noisy", "dial-unrelated"} <= set(given["datasets"])

    @pytest.mark.slow
    def test_gradnorm_is_compared_with_mtl_in_sentences_that_name_data_and_budget(
        self, done: NotebookNode
    ) -> None:
        (shown,) = book.outputs(done, "help-table")
        text = book.seen(shown)
        assert text.count("against MTL") == 2 * 2
        assert text.count("dial-dominant, 2 runs on new data, trunk 4, 6 steps") == 2
        assert text.count("digits, 2 runs on this split, trunk 32, 6 steps") == 2

    @pytest.mark.slow
    def test_the_reversed_sign_favours_the_other_task(self, done: NotebookNode) -> None:
        (shown,) = book.outputs(done, "sign")
        assert shown.text.strip() == "the paper's target favours B, the one with the minus A"

    def test_public_code_is_named_with_its_version_where_its_computation_is_shown(self) -> None:
        text = {cell.id: cell.source for cell in book.BOOK[self.name].cells}
        assert "gradnorm-pytorch" in text["sign-text"] and "0.2.3" in text["sign-text"]
        for cell, commit in (("adam", "3b70634"), ("squared", "bda4c48"), ("leak", "3b70634")):
            assert commit in text[f"{cell}-text"] and commit in text["public-text"]
