"""Notebook 10, audit your tasks: its parameters, a headless run, the cures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import book
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.text import Text
from nbformat import NotebookNode

from mtl_nt import figures, load
from mtl_nt.audit import parse_methods
from mtl_nt.figures import cures as cure_figure
from mtl_nt.study import cures, reproduce
from mtl_nt.study.stored import stored
from mtl_nt.study.transfer import paired_test


class TestAuditYourTasks(book.Lesson):
    name = "10_audit_your_tasks"
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
    given = {"alphas": [0, 0.5]}
    explorers = [("figure", 1, 2)]
    pictures = 0

    def test_it_audits_made_data_over_enough_runs_with_every_kind_of_remedy(self) -> None:
        given = book.parameters(self.name)
        assert given["dataset"] == "dial-combined"
        assert given["seeds"] >= 8
        assert len(given["alphas"]) == 11
        named = {method.name for method in parse_methods(given["methods"])}
        assert {"Fine-Tuning", "RMTL", "LBTW", "GradNorm", "Nash-MTL"} <= named

    @pytest.mark.slow
    def test_every_sentence_of_the_guide_holds_in_the_table_that_comes_with_the_package(
        self, done: NotebookNode
    ) -> None:
        cells = ("claim-related-unrelated", "claim-width", "claim-loud", "claim-noisy", "claim-all")
        cells += ("claim-ranked", "claim-changes", "claim-stops", "claim-stops-gain")
        cells += ("claim-controls", "claim-standardised", "claim-noisy-tasks")
        said = "".join(o.text for cell in cells for o in book.outputs(done, cell))
        assert said.count("✓ ") == len(said.splitlines()) == 47

    @pytest.mark.slow
    def test_every_finding_says_its_number_and_its_interval(self, done: NotebookNode) -> None:
        number = r"[+-]?\d+\.\d+ (?:\[[+-]?\d+\.\d+, [+-]?\d+\.\d+\]|± \d+\.\d+)"
        for finding in ("related", "width", "loud", "noisy", "ranked", "changes", "controls"):
            said = book.outputs(done, f"{finding}-words")[0].data["text/markdown"]
            assert re.search(number, said), finding
        for finding in ("related", "width", "loud", "noisy", "ranked", "changes", "stops"):
            said = book.outputs(done, f"{finding}-words")[0].data["text/markdown"]
            assert re.match(r"\*\*.+[.?]\*\* ", said), "the finding, before its numbers"
        table = book.seen(book.outputs(done, "stops-gain")[0])
        assert len(re.findall(number, table)) == 20

    @pytest.mark.slow
    def test_remedies_are_ranked_by_harm_and_gain_beside_a_model_per_task(
        self, done: NotebookNode
    ) -> None:
        words, table = book.outputs(done, "remedies")
        said = words.data["text/markdown"]
        assert re.search(r"STL is as good as \d+ of \d+ remedies\.", said)
        assert "mean gain" in book.seen(table)
        html = book.outputs(done, "ranked-words")[1].data["text/html"]
        lines = BeautifulSoup(html, "html.parser").find_all("tr")
        _, _, *rows = [[c.get_text() for c in line.find_all(["th", "td"])] for line in lines]
        harmed = [int(row[1]) for row in rows]
        assert harmed == sorted(harmed) and len(rows) == 18
        assert "a model per task is as good" in {row[-1] for row in rows}

    @pytest.mark.slow
    @pytest.mark.parametrize("cell", ["widths", "cures", "cures-changes", "stops", "controls"])
    def test_every_picture_of_it_has_words(self, done: NotebookNode, cell: str) -> None:
        picture, *more = book.outputs(done, cell)
        images = BeautifulSoup(picture.data["text/html"], "html.parser").find_all("img")
        assert images and all(len(image["alt"]) > 20 for image in images)
        assert all(output.data["text/html"].startswith("<details>") for output in more)

    @pytest.mark.slow
    def test_one_picture_carries_the_evidence_and_the_rest_unfolds(
        self, done: NotebookNode
    ) -> None:
        ids = [cell.get("id") for cell in done.cells]
        evidence = done.cells[ids.index("cures-text") : ids.index("take-away-text")]
        shown = [output for cell in evidence for output in cell.get("outputs", [])]
        html = [o.data["text/html"] for o in shown if "text/html" in o.get("data", {})]
        assert len([one for one in html if not one.startswith("<details>")]) == 1
        assert sum("<img" in one for one in html) == 4

    def test_the_guide_comes_before_its_evidence_and_after_the_audit(self) -> None:
        headings = re.findall(r"^## (.+)$", "\n".join(self.prose()), re.M)
        wanted = ["Your table in two minutes", "How to read the page"]
        wanted += ["Which remedy for which cause? A guide", "The evidence for the guide"]
        assert [h for h in headings if h in wanted] == wanted

    def prose(self) -> list[str]:
        return [c.source for c in book.BOOK[self.name].cells if c.cell_type == "markdown"]


# ---------------------------------------------------------------- where the guide comes from

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
NAMED = r"(?:notebook (\d+)\]?(?:\([^)]*\))?, )?cells? (`[a-z0-9-]+`(?:(?:, | and )`[a-z0-9-]+`)*)"
NUMBER = TestAuditYourTasks.name[:2]


def in_readme() -> str:
    return README.split("## Which cure for which cause?")[1].split("\n## ")[0]


def in_notebook() -> str:
    return next(
        c.source for c in book.BOOK[TestAuditYourTasks.name].cells if c.id == "guide-real-text"
    )


@pytest.mark.parametrize("guide", [in_readme, in_notebook])
def test_every_cell_that_the_guide_names_is_in_the_notebook_that_it_names(
    guide: Callable[[], str],
) -> None:
    cells = {str(int(name[:2])): {cell.id for cell in nb.cells} for name, nb in book.BOOK.items()}
    named = [
        (number or NUMBER, cell)
        for number, those in re.findall(NAMED, guide())
        for cell in re.findall("`([^`]+)`", those)
    ]
    assert {number for number, _ in named} == {"7", "8", "9", "10"}
    assert [(number, cell) for number, cell in named if cell not in cells[number]] == []


def test_every_row_of_the_guides_table_names_a_cell_that_claims_it() -> None:
    ids = {cell.id for cell in book.BOOK[TestAuditYourTasks.name].cells}
    rows = [line for line in in_notebook().splitlines() if line.startswith("|")][2:]
    assert len(rows) == 6
    for row in rows:
        *_, last, _ = row.split("|")
        named = re.findall("`([^`]+)`", last)
        assert named and all(name.startswith("claim-") for name in named), row
        assert set(named) <= ids


def test_every_line_of_the_readmes_guide_names_a_cell_that_claims_it() -> None:
    lines = [line for line in in_readme().splitlines() if line.startswith(("- ", "On "))]
    assert len(lines) == 11
    for line in lines:
        cells = [
            cell for _, those in re.findall(NAMED, line) for cell in re.findall("`([^`]+)`", those)
        ]
        assert any(cell.startswith("claim-") for cell in cells), line


# ---------------------------------------------------------------- the cause x cure table


@pytest.mark.slow
def test_the_table_has_every_cause_at_two_widths_and_every_method() -> None:
    studies = {name: stored(name) for name in reproduce.CURES}
    table = cure_figure.cure_table(studies)
    assert len(studies) == 10
    methods = table.groupby("case")["method"].nunique()
    assert methods[[name for name in studies if name.endswith("-wide")]].eq(19).all()
    assert methods[[name for name in studies if not name.endswith("-wide")]].eq(21).all()
    families = {name.partition(",")[0] for name in table["method"]}
    assert {*cures.RATED, *cures.ALPHAS, "STL", "STL'", "Scalarisation", "wider trunk"} < families
    assert table["diverged"].sum() == 0
    for study in studies.values():
        assert study.results["seed"].nunique() == 16
        budget = study.training[study.training["method"].str.contains(",")]
        assert (budget["candidates"] == cures.CANDIDATES).all()
    null = table[table["method"] == "STL'"]
    assert null[["harmed", "helped"]].sum().sum() == 0


def test_a_wider_trunk_is_held_against_the_narrow_single_task_networks() -> None:
    narrow, wide = stored("cure-unrelated"), stored("cure-unrelated-wide")
    found = cure_figure.cure_table({"narrow": narrow, "wide": wide}).set_index(["case", "method"])
    for method, name in cure_figure.WIDER_TRUNK.items():
        row, gap = found.loc["narrow", name], narrow.scores("STL") - wide.scores(method)
        test = paired_test(gap.to_numpy())
        assert row["change"] == pytest.approx(gap.mean(axis=1).mean())
        assert (row["harmed"], row["helped"]) == (
            test.verdict.count("harmed"),
            test.verdict.count("helped"),
        )
    own = found.loc["narrow", "wider trunk"]
    assert own["over_mtl"] == pytest.approx(own["change"] - found.loc["narrow", "MTL"]["change"])
    assert "wider trunk" not in found.loc["wide"].index
    other = cure_figure.cure_table({"narrow": narrow, "other data": stored("cure-noisy-wide")})
    assert "wider trunk" not in set(other["method"])


PAIR = ("cure-unrelated", "cure-unrelated-wide")


def test_the_picture_shows_the_numbers_of_the_table() -> None:
    table = cure_figure.cure_table({name: stored(name) for name in PAIR})
    figure = figures.cure_map(table)
    drawn = [t.get_text() for t in figure.axes[0].texts]
    wanted = [n for r in table.itertuples() for n in (f"{r.helped}▲", f"{r.harmed}▼")]
    assert [t for t in drawn if t != "–"] == wanted
    assert drawn.count("–") == len(cure_figure.WIDER_TRUNK)
    assert "fewest with" in figures.alt_text(figure) and "cure-unrelated: " in figures.alt_text(
        figure
    )


def test_the_changes_stand_in_a_picture_with_their_intervals() -> None:
    names = dict(zip(PAIR, ("unrelated, trunk x 1", "unrelated, trunk x 4"), strict=True))
    table = cure_figure.cure_table({case: stored(name) for name, case in names.items()})
    figure = figures.cure_changes(table)
    (ax,) = figure.axes
    drawn = [(bar.lines[0].get_xdata(), bar.lines[2][0].get_segments()) for bar in ax.containers]
    for (mean, bars), (_, rows) in zip(drawn, table.groupby("case", sort=False), strict=True):
        assert list(mean) == list(rows["change"])
        assert np.allclose([b[1][0] - b[0][0] for b in bars], 2 * rows["within"].to_numpy(float))
    row = table[(table["case"] == names[PAIR[0]]) & (table["method"] == "MTL")].iloc[0]
    assert f"MTL {row['change']:+.3f} ± {row['within']:.3f}" in figures.alt_text(figure)
    assert "better than STL's in 1 of 2 rows; in 1 of these it harms" in figures.alt_text(figure)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [figures.cure_map, figures.cure_changes])
def test_every_text_of_a_picture_is_readable_on_a_phone_and_inside_it(
    draw: Callable[[pd.DataFrame], figures.Drawing],
) -> None:
    cases = {f"{s}, trunk x {w}": stored(name) for name, (s, w) in reproduce.CURES.items()}
    page = draw(cure_figure.cure_table(cases))
    assert page.draw_narrow is not None
    for figure, shown in (page, 800), (page.draw_narrow(), 358):  # pixels of the reader's screen
        figure.canvas.draw()
        axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
        beyond = {
            tick.label1
            for axis in axes
            for tick in axis.get_major_ticks()
            if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        }
        for text in figure.findobj(Text):
            if text.get_text() and text not in beyond:
                assert text.get_size() / 72 / figure.get_figwidth() * shown >= 10
                box = text.get_window_extent()
                assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, text


def test_true_groups_share_a_network_and_strangers_train_alone() -> None:
    data = load("dial-unrelated")
    method = cures.oracle_grouping(data)
    from mtl_nt.study.chunks import train

    done = train(method, [data], [100], reproduce.Recipe.for_data(data, steps=4))
    weight = done.history.weights[0].numpy()  # networks x tasks
    truth = np.zeros((9, 9))
    truth[:6, :6] = 1
    truth[[6, 7, 8], [6, 7, 8]] = 1
    assert np.array_equal(weight > 0, truth > 0)
