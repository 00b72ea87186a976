"""Notebook 8, the case of MNIST-Imbalanced: what a reader may rely on, and that it runs."""

from __future__ import annotations

import re

import book
import pytest
from nbformat import NotebookNode


class TestCaseOfMNIST(book.Lesson):
    name = "08_case_mnist"
    wrong = (
        "[(check_1, [0.1, 0.2]), (check_2, lambda L, s, f: L), (check_3, 'none of these', signs)]"
    )
    given = {"alphas": [0.1, 1.0]}
    refusals = [
        ({"kept": "mnits"}, "no kept study 'mnits'"),
        ({"kept_long": "mnist-lnog"}, "no kept study 'mnist-lnog'"),
        ({"kept_large": "nowhere/mnist"}, "no kept study 'nowhere/mnist'"),
        *book.NUMBERS,
        ({"steps": 2}, "steps 2: must be 3 or more"),
        ({"dataset": "digits"}, "this is the case of 'mnist'"),
        ({"learning_rate": 0.0}, "learning_rate 0.0"),
    ]
    explorers = [("alpha-explorer", 2, 2), ("digits-explorer", 4, 1)]
    pictures = 0

    def test_it_shows_the_papers_figure_against_both_baselines_at_full_length(self) -> None:
        given = book.parameters(self.name)
        assert [given[k] for k in ("kept", "kept_long", "kept_large")] == [
            "mnist",
            "mnist-long",
            "mnist-large",
        ]
        assert given["seeds"] >= 5
        assert len(given["alphas"]) >= 11
        assert given["alpha"] in given["alphas"]

    def test_the_studies_beside_the_main_one_can_be_left_out(self) -> None:
        without = book.prelude(self.name, kept_long=None, kept_large=None)
        assert (without["others"], without["absent"]) == ([], [])
        # "mnist-paper" is never trained here
        one = book.prelude(self.name, kept_long="mnist", kept_large="mnist-paper")
        assert (len(one["others"]), one["absent"]) == (1, ["mnist-paper"])

    @pytest.mark.slow
    def test_every_claim_about_what_is_kept_holds(self, done: NotebookNode) -> None:
        cells = ("first", "prior", "image-error", "null", "step", "class", "sample", "inside")
        cells += ("arms",)
        printed = "".join(o.text for cell in cells for o in book.outputs(done, f"claim-{cell}"))
        assert printed.count("✓ ") == 23
        assert "DOES NOT HOLD" not in printed

    @pytest.mark.slow
    def test_every_count_stands_beside_its_null_against_both_baselines(
        self, done: NotebookNode
    ) -> None:
        short, every, note = book.outputs(done, "counts")
        for text in map(book.seen, (short, every)):
            for baseline in ("CNN", "STL"):
                for metric in ("error", "PR-AUC"):
                    assert f"{baseline} {metric} {baseline}' " in text
                    assert f"{baseline} {metric} U-AMTFL " in text
        assert every.data["text/html"].startswith("<details>")
        assert "on this split" in note.data["text/markdown"]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("cell", "heading", "row"),
        [
            ("first-figure", "28 x 28, against", "Deep-AMTFL"),
            ("first-figure", "14 x 14, against", "tuned MTL-CNN"),
            ("first-figure", "the CNN against", "itself, again"),
            ("step-figure", "against tuned MTL-CNN", "U-AMTFL"),
            ("dealt-figure", "s fixed against", "s permuted"),
            ("arms-figure", "U-AMTFL against", "RandomWeights"),
        ],
    )
    def test_u_amtfl_is_compared_with_every_control_by_both_metrics(
        self, done: NotebookNode, cell: str, heading: str, row: str
    ) -> None:
        text = book.seen(book.outputs(done, cell)[0])
        for metric in ("error", "average precision"):
            (rest,) = re.findall(rf"{metric}: {heading}\. (.*)", text)
            assert re.search(rf"\b{row}: [+−]?[\d.]+ \[[+−]?[\d.]+, [+−]?[\d.]+\]", rest)

    @pytest.mark.slow
    def test_a_control_is_shown_with_its_power(self, done: NotebookNode) -> None:
        words = book.outputs(done, "spread")[0].data["text/markdown"]
        assert re.search(r"the largest is at most \d+% above the smallest", words)
        text = book.seen(book.outputs(done, "power-figure")[0])
        assert "own weights against. others' weights: " in text
        assert re.search(r"by \d\.\d+ to \d\.\d+ times the sum of all learning rates", words)

    @pytest.mark.slow
    def test_where_the_setting_differs_from_the_papers_it_says_so(self) -> None:
        (table,) = [c.source for c in book.BOOK[self.name].cells if c.id == "setting-text"]
        needed = ("images", "passes", "no published code", "runs", "averages over images")
        for what in (*needed, "1,000 passes would take a day", "needs no download"):
            assert what in table

    @pytest.mark.slow
    def test_the_rarest_digit_has_a_verdict_for_every_baseline_and_metric(
        self, done: NotebookNode
    ) -> None:
        words = book.outputs(done, "digits-words")[0].data["text/markdown"]
        for metric in ("error", "average precision"):
            for baseline in ("CNN", "STL"):
                assert re.search(
                    rf"by {metric} against {baseline}, it is (?:better|worse) by [\d.]+ \[", words
                )

    @pytest.mark.slow
    def test_the_open_task_says_whether_weights_lower_the_error(self, done: NotebookNode) -> None:
        for cell, times in (("open", 1), ("open-solution", 2)):
            said = book.outputs(done, cell)[0].data["text/plain"]
            assert len(re.findall(r"'(?:Right|Not yet): ", said)) == times
