"""Notebook 7, the case of chemistry: what a reader may rely on, and that it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import book
import lessons
import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from mtl_nt import Recipe
from mtl_nt.datasets import downloads as files

FILES = Path(__file__).resolve().parents[3] / "shared" / "data"
README = Path(__file__).resolve().parents[2] / "README.md"
TABLE_1 = ["MTL", "Fine-Tuning", "RMTL", "LBTW 0.1", "LBTW 0.5", "GradNorm 0.1", "GradNorm 0.5"]
LEVEL = {  # mean PR-AUC of each method
    **{"STL": 0.30, "STL'": 0.30, "MTL": 0.31, "Fine-Tuning": 0.305, "RMTL": 0.308},
    **{"LBTW": 0.311, "LBTW, shuffled": 0.311, "LBTW, from the start": 0.31, "GradNorm": 0.29},
    **{"MTL, tuned": 0.315, "Scalarisation": 0.31, "RandomWeights": 0.308, "Uncertainty": 0.30},
    "Constant": 0.08,
}
WIDE = {"0.0625": 0.28, "0.25": 0.30, "4": 0.315}


def made_up(folder: Path, tasks: int, widths: bool) -> str:
    """A kept study with drawn scores, of the form of those that come with the package."""
    draw, names = np.random.default_rng(0), [f"assay {k}" for k in range(tasks)]
    arms = [
        (m, a, v) for m, v in LEVEL.items() for a in ((0.1, 0.5) if m[0] in "LG" else (np.nan,))
    ]
    if widths:
        more = [(m, f, v) for f, v in WIDE.items() for m in ("STL", "MTL")]
        arms += [(f"{method}, width x {factor}", np.nan, v) for method, factor, v in more]
    own, results, training = draw.normal(0, 0.1, tasks), [], []
    for method, alpha, level in arms:
        for seed in range(100, 103):
            value = level + own + draw.normal(0, 0.03, tasks)
            for task, score in zip(names, value, strict=True):
                for metric, found in (("PR-AUC", score), ("ROC-AUC", 0.5 + score)):
                    row = (folder.name, seed, "free", method, alpha, seed, task, metric, found)
                    results.append(row)
            if method != "Constant":
                training.append((method, alpha, seed, 475))
    recipe = Recipe(trunk=(256, 128), steps=475)
    return book.kept(folder, results, training, "PR-AUC", overlap=1 / 3, recipe=recipe)


KEPT_CLAIMS = {"claim-counts": 2, "claim-folds": 2, "claim-agree": 4, "claim-same": 3}
KEPT_CLAIMS |= {"claim-dealt": 3, "claim-width": 4}

REAL, REAL_LARGE = map(book.comes_with_the_package, ("tox21", "toxcast128"))
if REAL_LARGE:
    KEPT_CLAIMS |= {"claim-folds": 4, "claim-agree": 12, "claim-same": 6, "claim-large": 6}


class TestCaseOfChemistry(book.Lesson):
    name = "07_case_chemistry"
    wrong = (
        "[(check_1, 0.5), (check_3, 99, gaps), (check_2, lambda d, m: abs(d.mean()) < m), "
        "(check_2, lambda d, m: d.std() < m), (check_2, lambda d, m: bool(abs(d.mean()) "
        "+ stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5 < m))]"
    )
    given = {  # the package's own studies where they are there
        "dataset": "assays",
        "molecules": 500,
        "alphas": [0.0, 0.5],
        **({"kept": "tox21"} if REAL else {}),
        **({"kept_large": "toxcast128"} if REAL_LARGE else {}),
    }
    refusals = [
        ({"kept": "tox12"}, "no kept study 'tox12'"),
        ({"kept_large": "toxcast129"}, "no kept study 'toxcast129'"),
        ({"kept_large": "nowhere/toxcast128"}, "no kept study 'nowhere/toxcast128'"),
        ({"dataset": "asays"}, "did you mean 'assays'"),
        ({"dataset": "dial-noisy"}, "its tasks must be binary"),
        ({"dataset": "mnits"}, "did you mean 'mnist'"),
        *book.NUMBERS,
        ({"steps": 2}, "steps 2: must be 3 or more"),
        ({"trunk": [32, 0]}, "trunk"),
        ({"molecules": 20}, "rows 20"),
        ({"most": 1}, "most 1"),
        ({"methods": ["LBTV"]}, "did you mean 'LBTW'"),
    ]
    explorers = [
        ("sorted-explorer", 2, 3),
        ("alpha-explorer", 2, 2),
    ]
    pictures = 0  # as PNG alone: see below

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        """The parameters that say where the kept studies lie, here two made-up ones."""
        folder = tmp_path_factory.mktemp("kept")
        return {
            "kept": made_up(folder / "tox21", 12, widths=True),
            "kept_large": made_up(folder / "toxcast128", 24, widths=False),
        }

    def test_it_shows_table_1_at_full_length_and_eleven_alphas(self) -> None:
        given = book.parameters(self.name)
        assert (given["kept"], given["kept_large"], given["dataset"]) == (
            "tox21",
            "toxcast128",
            "assays",
        )
        assert given["seeds"] >= 5
        assert len(given["alphas"]) == 11
        assert {0.1, 0.5, given["alpha"]} <= set(given["alphas"])

    def test_no_run_is_reported_on_which_anything_was_chosen(self, source: dict[str, Any]) -> None:
        book.reports_runs_from_100(self.name, **source)

    def test_the_larger_study_can_be_left_out_or_be_still_to_train(
        self, source: dict[str, Any]
    ) -> None:
        without = book.prelude(self.name, **{**source, "kept_large": None})
        assert (len(without["studies"]), without["absent"]) == (1, None)
        later = {**source, "kept_large": "pcba-paper"}  # never kept here
        waiting = book.prelude(self.name, **later)
        assert (len(waiting["studies"]), waiting["absent"]) == (1, "pcba-paper")

    def test_the_picker_has_digits_and_the_panels_whose_file_is_there(
        self, source: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path)
        monkeypatch.setenv(files.FOLDER, str(tmp_path))
        assert book.prelude(self.name, **source)["there"] == ["assays", "digits"]
        file = FILES / "tox21.csv.gz"
        if not file.exists():
            pytest.skip("needs Tox21's file")
        (tmp_path / file.name).symlink_to(file)
        assert book.prelude(self.name, **source)["there"] == ["assays", "digits", "tox21"]

    @pytest.mark.slow
    def test_the_pictures_are_described_and_the_guesses_checked(self, done: NotebookNode) -> None:
        lessons.pictures_are_described(done, 6)
        right, wrong = (f"the methods disagree on {many} assays" for many in (40, 6))
        boxes = [("predict", right, wrong), ("predict-harmed", 15, 51)]
        lessons.guesses_are_checked_in_the_page(done, boxes)

    @pytest.mark.slow
    def test_the_papers_numbers_have_a_mark_and_a_row_of_their_own(
        self, done: NotebookNode
    ) -> None:
        text = book.seen(book.outputs(done, "agree-figure")[0])
        for number in ("−0.052", "−0.060", "+0.006", "+0.012"):
            assert f"paper, one run: {number};" in text, "a number without an interval"
        for arm in ("GradNorm 0.5: -0.060 in the paper", "LBTW 0.5: +0.012 in the paper"):
            assert arm in str(book.outputs(done, "agree-figure")[0].data["text/html"])

    @pytest.mark.slow
    def test_a_wide_network_is_compared_with_a_wide_one(self, done: NotebookNode) -> None:
        table = book.seen(book.outputs(done, "groups-rows")[0])
        assert "MTL, wide – STL, wide" in table

    def test_each_panel_has_one_name_in_the_text(self) -> None:
        prose = [c.source for c in book.BOOK[self.name].cells if c.cell_type == "markdown"]
        plain = re.sub(r"`[^`]*`", "", "\n".join(prose))
        assert not re.search(r"\b(tox21|toxcast128|pcba)\b", plain), "only where it is typed"

    @pytest.mark.slow
    def test_the_live_cell_shows_a_trained_picture(self, done: NotebookNode) -> None:
        shown = book.outputs(done, "live-study")[-1]  # what stands in where no kernel is
        made_with = "trained with data = assays, method = LBTW, alpha = 0.5"
        assert made_with in shown.data["text/html"]
        assert 'src="data:image/png;base64,' in shown.data["text/html"]

    @pytest.mark.slow
    def test_the_papers_table_stands_beside_ours_with_intervals_and_the_null(
        self, done: NotebookNode
    ) -> None:
        means = book.seen(book.outputs(done, "table-means-words")[0])
        for published in ("0.232", "0.241", "0.239", "0.189", "0.181", "0.238", "0.247", "0.253"):
            assert published in means
        assert len(re.findall(r"[+-]0\.\d{3} ± 0\.\d{3}", means)) == 2 * 2 * (1 + len(TABLE_1))
        counts = book.seen(book.outputs(done, "table-counts-show")[0])
        assert "42: 33% [25, 41]" in counts
        for count in (48, 46, 98, 103, 47, 45):
            assert f"{count}: " in counts
        null = book.outputs(done, "null-list")[0].data["text/markdown"]
        counted = re.findall(r"by chance alone, one run counts [\d.]+ to [\d.]+ of \d+", null)
        assert len(counted) == 2

    @pytest.mark.slow
    def test_the_two_counts_are_compared_unpaired_and_paired(self, done: NotebookNode) -> None:
        text = book.outputs(done, "told-apart-words")[0].data["text/markdown"]
        assert "unpaired, 48 against 42 of 128 independent assays: p = 0.43" in text
        assert "the fewest there can be: p = 0.031" in text

    @pytest.mark.slow
    def test_lbtw_is_tested_against_its_shuffled_self_on_every_panel(
        self, done: NotebookNode
    ) -> None:
        soup = BeautifulSoup(book.outputs(done, "dealt-list")[0].data["text/html"], "html.parser")
        rows = {row.th.get_text(): row for row in soup.select("tbody tr") if row.th}
        cells = [c.get_text() for c in rows["LBTW 0.5 – LBTW, shuffled 0.5"].find_all("td")]
        said = [c for c in cells if re.fullmatch(r"[+-][\d.]+ ± [\d.]+ \(\w+\)", c)]
        assert len(said) == 2

    @pytest.mark.slow
    def test_a_margin_is_stated_and_parts_the_same_from_the_undecided(
        self, done: NotebookNode
    ) -> None:
        stated = next(cell for cell in done.cells if cell.id == "margin")
        assert "with_margin(margin)" in stated.source
        assert not stated.metadata.get("jupyter", {}).get("source_hidden")
        text = book.outputs(done, "margin-table")[0].data["text/markdown"]
        rows = dict(
            line.strip("| ").split(" | ", 1) for line in text.splitlines() if " same" in line
        )
        assert {"LBTW 0.5", "LBTW, shuffled 0.5"} <= rows.keys()
        assert "STL" in text and "undecided" in text

    @pytest.mark.slow
    def test_what_is_beside_the_story_is_folded(self, done: NotebookNode) -> None:
        for cell in ("table-means-words", "dealt-list", "width-show", "beside-rows", "groups-rows"):
            html = book.outputs(done, cell)[0].data["text/html"]
            assert html.startswith("<details><summary>")

    def test_the_story_has_five_findings_at_most_each_with_its_number(self) -> None:
        prose = [c.source for c in book.BOOK[self.name].cells if c.cell_type == "markdown"]
        findings = re.findall(r"^## (\d\. .+)$", "\n".join(prose), re.M)
        assert 3 <= len(findings) <= 5
        assert all(re.search(r"\d|half|none", finding[3:]) for finding in findings)

    def test_where_the_preset_paper_departs_from_the_paper_is_listed(self) -> None:
        (rules,) = (c.source for c in book.BOOK[self.name].cells if c.id == "rules-text")
        for rule in ("checkpoint", "Fine-Tuning starts", "passes", "GradNorm", "RMTL", "one run"):
            assert rule in rules

    @pytest.mark.slow
    def test_every_width_is_held_against_both_baselines(self, done: NotebookNode) -> None:
        text = book.seen(book.outputs(done, "width-show")[0])
        for trunk in ("16-8", "64-32", "256-128", "1024-512"):
            assert trunk in text
        assert "against STL of the same width" in text
        assert "against STL of 256-128" in text

    @pytest.mark.slow
    @pytest.mark.skipif(not REAL, reason="tox21 does not come with the package yet")
    def test_every_claim_about_what_is_kept_holds(self, done: NotebookNode) -> None:
        printed = "".join(o.text for cell in KEPT_CLAIMS for o in book.outputs(done, cell))
        assert printed.count("✓ ") == sum(KEPT_CLAIMS.values())
        assert "DOES NOT HOLD" not in printed

    @pytest.mark.slow
    @pytest.mark.skipif(not REAL_LARGE, reason="toxcast128 does not come with the package yet")
    def test_what_the_readme_says_about_real_assays_stands_here(self, done: NotebookNode) -> None:
        text = re.search(r"On real data: .+", README.read_text(encoding="utf-8"))
        assert text is not None
        table = book.outputs(done, "large-counts")[0].data["text/html"]
        rows = BeautifulSoup(table, "html.parser").select("tbody tr")
        found = {r.th.get_text(): [c.get_text() for c in r.find_all("td")][-2:] for r in rows}
        mine = {m: tuple(map(int, by_pr.split(", "))) for m, (by_pr, _) in found.items()}
        null = mine["STL'"][0]
        harms = {a: mine[f"LBTW {a}"][0] for a in (0.1, 0.5)}
        shuffled = {a: mine[f"LBTW, shuffled {a}"][0] for a in (0.1, 0.5)}
        assert mine["Fine-Tuning"][0] == 0
        for said in (
            f"MTL harms {mine['MTL'][0]} beyond chance and helps {mine['MTL'][1]}, ",
            f"LBTW harms {harms[0.1]} or {harms[0.5]}, ",
            f"its weights given to other tasks ({shuffled[0.1]} or {shuffled[0.5]}, by alpha), ",
            f"Fine-Tuning none (helps {mine['Fine-Tuning'][1]})",
            f"decay {mine['MTL, tuned'][0]} (helps {mine['MTL, tuned'][1]}); null {null}, ",
            "By ROC-AUC the same folds find {} harmed and {} helped by MTL ".format(
                *found["MTL"][1].split(", ")
            ),
        ):
            assert said in text[0]
