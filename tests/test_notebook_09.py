"""Notebook 9, audit your tasks: its parameters, a headless run, the cures."""

from __future__ import annotations

import book
import numpy as np
import pytest
from nbformat import NotebookNode

from mtl_nt import cure_figure, cures, figures, load, reproduce
from mtl_nt.stored import stored


class TestAuditYourTasks(book.Lesson):
    name = "09_audit_your_tasks"
    wrong = (
        "[(check_1, 10), (check_2, lambda rows: rows[0]['method']), "
        "(check_3, 'none of these', table)]"
    )
    refusals = [
        ({"seeds": 1}, "2 runs or more"),
        ({"seeds": []}, "2 runs or more"),
        ({"steps": 0}, "steps 0"),
        ({"methods": ["LBTV"]}, "did you mean 'LBTW'"),
    ]
    explorers = [("figure", 1, 2), ("affinity", 1, 5)]
    pictures = 3

    def test_it_audits_made_data_at_full_length_with_every_kind_of_remedy(self) -> None:
        given = book.parameters(self.name)
        assert given["dataset"] == "dial-combined"
        assert given["seeds"] >= 8
        assert len(given["alphas"]) >= 5
        assert {"Fine-Tuning", "RMTL", "LBTW", "GradNorm"} <= set(given["methods"])

    @pytest.mark.slow
    def test_every_sentence_of_the_guide_holds_in_the_table_that_comes_with_the_package(
        self, done: NotebookNode
    ) -> None:
        cells = ("claim-related-unrelated", "claim-loud", "claim-noisy", "claim-all")
        said = "".join(o.text for cell in cells for o in book.outputs(done, cell))
        assert said.count("holds: ") == len(said.splitlines()) == 17


# ---------------------------------------------------------------- the cause x cure table


def test_the_table_has_every_cause_at_two_widths_and_every_method() -> None:
    studies = {name: stored(name) for name in reproduce.CURES}
    table = cure_figure.cure_table(studies)
    assert len(studies) == 10
    assert table.groupby("case")["method"].nunique().eq(15).all()
    families = {name.partition(",")[0] for name in table["method"]}
    assert {*cures.RATED, *cures.ALPHAS, "STL", "STL'", "Scalarisation"} < families
    assert table["diverged"].sum() == 0
    for study in studies.values():
        assert study.results["seed"].nunique() == 16
        budget = study.training[study.training["method"].str.contains(",")]
        assert (budget["candidates"] == cures.CANDIDATES).all()
    null = table[table["method"] == "STL'"]
    assert null[["harmed", "helped"]].sum().sum() == 0


def test_the_picture_shows_the_numbers_of_the_table() -> None:
    studies = {name: stored(name) for name in ("cure-unrelated", "cure-dominant")}
    table = cure_figure.cure_table(studies)
    figure = cure_figure.cure_map(table)
    drawn = [t.get_text() for t in figure.axes[0].texts]
    wanted = [n for r in table.itertuples() for n in (f"{r.helped}▲", f"{r.harmed}▼")]
    assert drawn == wanted
    assert "fewest with" in figures.alt(figure) and "cure-unrelated: " in figures.alt(figure)


def test_true_groups_share_a_network_and_strangers_train_alone() -> None:
    data = load("dial-unrelated")
    method = cures.grouped(data)
    from mtl_nt.pieces import train

    done = train(method, [data], [100], reproduce.Recipe.of(data, steps=4))
    weight = done.history.weights[0].numpy()  # networks x tasks
    truth = np.zeros((9, 9))
    truth[:6, :6] = 1
    truth[[6, 7, 8], [6, 7, 8]] = 1
    assert np.array_equal(weight > 0, truth > 0)
