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
    explorers = [("alpha-explorer", 2, 2)]
    pictures = 9

    def test_it_shows_the_papers_figure_against_both_baselines_at_full_length(self) -> None:
        given = book.parameters(self.name)
        assert [given[k] for k in ("kept", "kept_long", "kept_large")] == [
            "mnist",
            "mnist-long",
            None,
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
        cells = ("claim-prior", "claim-null", "claim-class", "claim-sample", "claim-inside")
        printed = "".join(o.text for cell in cells for o in book.outputs(done, cell))
        assert printed.count("holds: ") == 10
        assert "DOES NOT HOLD" not in printed

    @pytest.mark.slow
    def test_every_count_stands_beside_its_null_against_both_baselines(
        self, done: NotebookNode
    ) -> None:
        table, note = book.outputs(done, "counts")
        text = book.seen(table)
        for baseline in ("CNN", "STL"):
            for metric in ("error", "PR-AUC"):
                assert f"{baseline} {metric} {baseline}' " in text
        assert "on this split" in note.data["text/markdown"]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("cell", "rival"),
        [
            ("step-words", "MTL-CNN, tuned"),
            ("class-words", "CNN, balanced"),
            ("dealt-words", "U-AMTFL, s permuted"),
            ("arms-words", "RandomWeights"),
        ],
    )
    def test_u_amtfl_is_tested_against_every_control(
        self, done: NotebookNode, cell: str, rival: str
    ) -> None:
        shown = [o.data for o in book.outputs(done, cell)]
        text = "\n".join(data.get("text/markdown", "") for data in shown)
        assert "on this split" in text
        line = re.search(rf"\* U-AMTFL against {rival}: (.*)", text)
        assert line is not None
        assert len(re.findall(r"[+-][\d.]+ ± [\d.]+ points by", line[1])) == 2
        assert line[1].count("undecided; detectable") == 2
