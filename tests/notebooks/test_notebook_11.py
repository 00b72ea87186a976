"""Notebook 11, the case of ADMET: what a reader may rely on, and that it runs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import book
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from mtl_nt.datasets import downloads as files
from mtl_nt.datasets.expansionrx import LABELS, SPLITS, TRAINING
from mtl_nt.study import stored

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CLAIMS = {
    "claim-harm": 4,
    "claim-labels": 2,
    "claim-groups": 4,
    "claim-pairs": 4,
    "claim-plan": 4,
    "claim-plan-read": 1,
    "claim-splits": 4,
}
WITH_FILE = {"claim-giver": 5}
NEEDED = pytest.mark.skipif(
    not (SHARED / TRAINING.name).exists(), reason="needs the challenge's file"
)


class TestCaseOfAdmet(book.Lesson):
    name = "11_case_admet"
    wrong = "[(check_1, 0.02), (check_2, lambda v, t: float(t.mean())), (check_3, 'LogD')]"
    given = {"live": (SHARED / TRAINING.name).exists()}
    refusals = [
        ({"kept": "expansion"}, "no kept study 'expansion-time'"),
        ({"kept": "nowhere/expansionrx"}, "no kept study 'nowhere/expansionrx-time'"),
        ({"dataset": "expansionr"}, "did you mean 'expansionrx'"),
        ({"methods": ["Group"]}, "did you mean 'Groups'"),
        ({"width": 0}, "trunk"),
        *book.NUMBERS,
    ]
    explorers = [
        ("split-explorer", 6, 1),
        ("forest-explorer", 3, 1),
        ("pair-explorer", 3, 1),
        pytest.param(
            "alpha-explorer",
            1,
            2,
            marks=NEEDED,
        ),
    ]
    pictures = 0

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls) -> dict[str, Any]:
        """Nothing is trained, so that no file is needed."""
        return {"live": False}

    def test_it_shows_what_comes_with_the_package(self) -> None:
        given = book.parameters(self.name)
        assert (given["kept"], given["live"], given["methods"]) == ("expansionrx", True, None)
        assert given["alpha"] in given["alphas"]
        for split in SPLITS:
            assert stored(f"expansionrx-{split}").results["seed"].nunique() >= 5

    def test_no_run_is_reported_on_which_anything_was_chosen(self, source: dict[str, Any]) -> None:
        book.reports_runs_from_100(self.name, **source)
        for split in SPLITS:
            assert stored(f"expansionrx-{split}").results["seed"].min() >= 100

    def test_without_the_file_it_says_what_is_left_out_and_what_to_do(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv(files.FOLDER, str(tmp_path))
        (tmp_path / TRAINING.name).write_bytes(b"another file")
        defined = book.prelude(self.name, live=True)
        assert defined["data"] is None
        (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("Left out")]
        assert files.FOLDER in line and "is not the known file" in line

    def test_nothing_of_the_data_is_in_it(self) -> None:
        text = (book.FOLDER / f"{self.name}.ipynb").read_text(encoding="utf-8")
        assert re.findall(r"E-00\d{5}", text) == []

    @pytest.mark.slow
    def test_every_claim_about_what_is_kept_holds(self, done: NotebookNode) -> None:
        for cell, count in (CLAIMS | (WITH_FILE if self.given["live"] else {})).items():
            printed = "".join(o.text for o in book.outputs(done, cell))
            assert printed.count("✓ ") == count, printed
            assert "DOES NOT HOLD" not in printed

    @pytest.mark.slow
    def test_every_question_is_answered_under_three_splits(self, done: NotebookNode) -> None:
        for cell in ("harm-table", "groups-compared", "pairs-test-table", "found-table"):
            text = book.seen(book.outputs(done, cell)[-1])
            assert all(split in text for split in SPLITS), cell
        plans = book.seen(book.outputs(done, "plan-shown")[0])
        assert plans.count("STL or STL' (null)") == 3

    @pytest.mark.slow
    @NEEDED
    def test_a_plan_is_trained_and_saved_and_predicts_new_molecules(
        self, done: NotebookNode
    ) -> None:
        assert "FittedPlan of molecules" in book.outputs(done, "fit-plan")[0].text
        html = book.outputs(done, "predicted")[0].data["text/html"]
        lines = BeautifulSoup(html, "html.parser").find_all("tr")
        head, *rows = [[c.get_text() for c in line.find_all(["th", "td"])] for line in lines]
        assert head[1:] == list(LABELS)
        assert [row[0] for row in rows] == ["aspirin", "caffeine"]
        assert all(math.isfinite(float(value)) for row in rows for value in row[1:])

    @pytest.mark.slow
    def test_the_plan_of_the_null_gains_nothing_left_out(self, done: NotebookNode) -> None:
        for split in SPLITS:
            mean, low, high = stored(f"expansionrx-{split}").task_plan(["STL'"]).left_out
            assert low <= 0 <= high
