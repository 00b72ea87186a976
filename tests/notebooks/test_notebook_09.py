"""Notebook 9, the case of pharmacogenomics: what a reader may rely on, and that it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import book
import numpy as np
import pytest
from nbformat import NotebookNode
from outputs_close import GDSC, HERE

from mtl_nt import BadInput, Recipe
from mtl_nt.datasets import downloads as files

SHARE = {  # of each method's error: a weak OLS, and nearly equal networks
    **{"STL": 0.85, "STL'": 0.85, "Group mean": 0.87, "OLS": 40.0, "ElasticNet": 0.86},
    **{"Ridge": 0.865, "MTL": 0.853, "Uncertainty": 0.855, "Deep-AMTFL": 0.86, "U-AMTFL": 0.856},
    **{"U-AMTFL, inside": 0.857, "MTL, tuned": 0.848, "Deep-AMTFL, tuned": 0.85},
    **{"U-AMTFL, tuned": 0.849, "Scalarisation": 0.853, "RandomWeights": 0.856, "Constant": 1.0},
}


def made_up(folder: Path) -> str:
    """A kept study with drawn scores, of the form of the one that comes with the package."""
    draw, drugs = np.random.default_rng(0), [f"Drug {k}" for k in range(30)]
    variance = np.linspace(0.5, 4, len(drugs))
    results, training = [], []
    for method, share in SHARE.items():
        alpha = 0.1 if "AMTFL" in method else np.nan
        for seed in range(3):
            error = share * draw.uniform(0.97, 1.03, len(drugs))
            for metric, found in (("MSE", error), ("MSE (raw)", error * variance)):
                for task, value in zip(drugs, found, strict=True):
                    results.append(("gdsc", seed, "free", method, alpha, seed, task, metric, value))
            if method != "Constant":
                training.append((method, alpha, seed, 150))
    recipe = Recipe(trunk=(500,), steps=150)
    return book.kept(folder, results, training, "MSE", overlap=2 / 7, recipe=recipe)


REAL = book.comes_with_the_package("gdsc")
NEEDED = pytest.mark.skipif(not HERE, reason="needs GDSC's files")


@pytest.fixture(autouse=True, scope="module")
def own_files() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if HERE:
            patch.setenv(files.FOLDER, str(GDSC))
        yield


class TestCaseOfPharmacogenomics(book.Lesson):
    name = "09_case_pharmacogenomics"
    wrong = "[(check_1, 1.0), (check_2, lambda m, b: (0, 0)), (check_3, 'none of these', found)]"
    given = {"live": HERE} | ({"kept": "gdsc"} if REAL else {})  # what is there
    refusals = [
        ({"kept": "gdcs"}, "no kept study 'gdcs'"),
        ({"kept": "nowhere/gdsc"}, "no kept study 'nowhere/gdsc'"),
        ({"dataset": "gdcs"}, "did you mean 'gdsc'"),
        ({"drugs": 0}, "drugs 0: give a number from 2 to 30"),
        ({"drugs": 300}, "drugs 300: give a number from 2 to 30"),
        *book.NUMBERS,
        ({"width": 0}, "trunk"),
        ({"methods": ["U-AMTFK"]}, "did you mean 'U-AMTFL'"),
    ]
    explorers = [
        ("baseline-explorer", 1, 6),
        pytest.param("alpha-explorer", 2, 2, marks=NEEDED),
    ]
    pictures = 0

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        """Where the kept study lies, here a made-up one; and nothing is trained."""
        return {"kept": made_up(tmp_path_factory.mktemp("kept")), "live": False}

    def test_it_shows_what_comes_with_the_package_and_eleven_alphas(self) -> None:
        given = book.parameters(self.name)
        assert given["kept"] == "gdsc"
        assert given["live"] is True
        assert given["seeds"] >= 5
        assert len(given["alphas"]) == 11
        assert given["alpha"] in given["alphas"]

    def test_no_run_is_reported_on_which_anything_was_chosen(self, source: dict[str, Any]) -> None:
        book.reports_runs_from_100(self.name, **source)

    @NEEDED
    def test_a_drug_that_gdsc_does_not_have_is_refused(self, source: dict[str, Any]) -> None:
        with pytest.raises(BadInput, match="unknown drug 'Drug 9999'"):
            book.prelude(self.name, **{**source, "live": True, "drugs": ["Drug 1", "Drug 9999"]})

    def test_without_the_files_it_says_what_is_left_out_and_what_to_do(
        self,
        source: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv(files.FOLDER, str(tmp_path))
        (tmp_path / "IC50_v17.csv.gz").write_bytes(b"another file")
        defined = book.prelude(self.name, **{**source, "live": True})
        assert defined["whole"] is None
        (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("Left out")]
        assert files.FOLDER in line

    @pytest.mark.slow
    def test_every_claim_about_what_is_kept_holds(self, done: NotebookNode) -> None:
        if not REAL:
            pytest.skip("the kept study is made up")
        cells = ("tissue", "level", "baseline", "suffer", "uncertainty")
        printed = "".join(o.text for cell in cells for o in book.outputs(done, f"claim-{cell}"))
        assert printed.count("✓ ") == 17
        assert "DOES NOT HOLD" not in printed

    @pytest.mark.slow
    def test_the_papers_numbers_stand_beside_ours_its_baseline_as_an_elastic_net(
        self, done: NotebookNode
    ) -> None:
        text = book.seen(book.outputs(done, "published-table")[0])
        for published in ("2.6210", "1.7436", "1.7374", "1.7342"):
            assert published in text
        assert re.search(r"ElasticNet [\d.]+ \[[\d., ]+\] [\d.]+ 2.6210", text)

    @pytest.mark.slow
    def test_every_baseline_has_its_counts_and_only_stl_a_null(self, done: NotebookNode) -> None:
        short, every = book.outputs(done, "counts-tables")
        assert every.data["text/html"].startswith("<details>")
        for baseline in ("OLS", "Constant", "Group mean", "Ridge", "ElasticNet", "STL"):
            assert re.search(rf"{baseline} \d+ \d+ \d+ \d+", book.seen(short))
            assert re.search(rf"{baseline} MTL \d+ \d+ \d+ \d+ Deep-AMTFL", book.seen(every))
        for table in (short, every):
            assert "worse, mean worse, one split harmed helped" in book.seen(table)
        words = book.outputs(done, "counts-words")[0].data["text/markdown"]
        assert re.search(r"STL has a null.* worse than itself on \d+ to \d+ drugs in one", words)
        assert "The other baselines have no null" in words

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("cell", "row"),
        [
            pytest.param("held-figure", "against Deep-AMTFL. .*U-AMTFL", marks=NEEDED),
            ("pairs-figure", "tuned U-AMTFL against. tuned MTL"),
            ("pairs-figure", "against MTL. .*RandomWeights"),
        ],
    )
    def test_u_amtfl_and_its_rivals_are_compared_directly(
        self, done: NotebookNode, cell: str, row: str
    ) -> None:
        text = book.seen(book.outputs(done, cell)[0])
        assert re.search(rf"{row}: [+−]?[\d.]+ \[[+−]?[\d.]+, [+−]?[\d.]+\]", text)

    @pytest.mark.slow
    @NEEDED
    def test_halving_the_loss_and_learning_s_are_told_apart(self, done: NotebookNode) -> None:
        text = book.seen(book.outputs(done, "held-figure")[0])
        for row in ("against Deep-AMTFL. s held at 0:", "U-AMTFL against. s held at 0:"):
            assert row in text
        text = book.seen(book.outputs(done, "decay-figure")[0])
        for row in (
            "trunk alone decays, against MTL. MTL:",
            "all weights decay, against MTL. Deep-AMTFL:",
        ):
            assert row in text
        words = book.outputs(done, "decay-words")[0].data["text/markdown"]
        assert re.search(
            r"MTL itself is (?:better|worse) by [\d.]+ \[.*if it decays the trunk alone", words
        )

    @pytest.mark.slow
    def test_the_size_of_an_effect_comes_before_the_counts(self, done: NotebookNode) -> None:
        words = book.outputs(done, "baseline-sizes")[0].data["text/markdown"]
        for baseline in ("ElasticNet", "STL", "the drug's mean"):
            assert re.search(rf"[Aa]gainst {baseline},? .*?is (?:better|worse) by [\d.]+ \[", words)
        ids = [cell.id for cell in book.BOOK[self.name].cells]
        assert ids.index("baseline-sizes") < ids.index("counts-tables")

    @pytest.mark.slow
    def test_the_open_task_scores_a_rule_on_splits_that_it_has_not_seen(
        self, done: NotebookNode
    ) -> None:
        for cell in ("open", "open-solution"):
            said = book.outputs(done, cell)[0].data["text/plain"]
            assert re.search(r"left out [+-][\d.]+ \[|fewer than a quarter", said)
