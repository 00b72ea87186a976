"""An audit of a table with a target of classes and a column of weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl_nt import load, load_plan
from mtl_nt.audit import audit
from mtl_nt.audit.page import audit_page
from mtl_nt.commands import main

OPTIONS = ["--classes", "y_stage", "--weights", "counts", "--class-weight", "balanced"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with two targets of numbers and one of three classes, in texts."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(90, 3)), columns=["dose", "mass", "heat"])
    frame["y_1"] = frame["dose"] + 0.3 * random.normal(size=90)
    frame["y_2"] = frame["mass"] + 0.3 * random.normal(size=90)
    place = (frame["heat"].rank() * 3 / 91).astype(int)
    frame["y_stage"] = np.array(["I", "II", "III"])[place]
    frame["counts"] = random.integers(1, 4, 90)
    frame.round(3).to_csv(tmp_path / "ward.csv", index=False)
    return tmp_path / "ward.csv"


@pytest.mark.slow
def test_an_audit_of_classes_and_weights_ends_in_a_page_that_says_how_they_count(
    table: Path,
) -> None:
    asked = {"classes": "y_stage", "weights": "counts", "methods": "Uncertainty;RMTL"}
    options = {"seeds": 2, "steps": 6, "progress": False, "say": lambda line: None}
    found = audit("ward.csv", folder="kept", **asked, **options)
    assert [*found.labels["kind"]] == ["regression", "regression", "classes"]
    assert found.plan.methods == ("MTL", "Uncertainty")
    (left,) = [line for line in found.plan.left_out if line.startswith("RMTL")]
    assert left == "RMTL (it takes tasks with one output each, and 'y_stage' has classes)"
    page = audit_page(found)
    assert "Macro PR-AUC is for tasks of classes" in page
    assert "Rows weigh as the table says" in page
    again = audit("ward.csv", folder="kept", **asked, **options)
    assert again.study.metric["y_stage"] == "macro PR-AUC"
    pd.testing.assert_frame_equal(again.study.results, found.study.results)


@pytest.mark.slow
def test_the_command_reads_trains_and_predicts_classes(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--seeds", "2", "--steps", "6", "--methods", "MTL"]
    assert main(["report", "ward.csv", *OPTIONS, *few, "--plan", "plan.json", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert " ".join(OPTIONS) in answer["command"]
    assert any("weigh more" in note["text"] for note in answer["notes"])
    assert main(["fit", "ward.csv", *OPTIONS, "--plan", "plan.json", "--steps", "6"]) == 0
    assert main(["predict", "ward.fitted", "ward.csv", "--out", "found.csv"]) == 0
    found = pd.read_csv("found.csv")
    names = ["y_stage: I", "y_stage: II", "y_stage: III"]
    assert [*found.columns] == ["line", "y_1", "y_2", *names]
    assert found[names].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-6)
    assert load_plan("ward.fitted").classes == {"y_stage": ("I", "II", "III")}


def test_the_same_options_are_those_of_load(table: Path) -> None:
    data = load(table, classes="y_stage", weights="counts", class_weight="balanced")
    assert data.classes == {"y_stage": ("I", "II", "III")}
    assert data.weights is not None
    assert data.class_weight == "balanced"
