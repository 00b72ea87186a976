"""The commands `fit` and `predict`: from a plan's file to a file of predictions."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mtl_nt import load, load_plan
from mtl_nt.__main__ import main
from mtl_nt.study.fitted_files import CARD, NETWORKS

PLAN = {"tasks": {"y_one": {"method": "STL"}, "y_two": {"method": "MTL"}}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table, its plan and a table of new rows."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.standard_normal((80, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1]})
    noise = random.standard_normal(80)
    frame["y_one"], frame["y_two"] = x.sum(1) + noise, 10 ** (2 + x[:, 0] + noise)
    frame.to_csv("my.csv", index=False)
    Path("plan.json").write_text(json.dumps(PLAN))
    frame[["b", "a"]][:7].assign(name="who").to_csv("new.csv", index=False)
    return tmp_path


FIT = ["fit", "my.csv", "--plan", "plan.json", "--log", "y_two", "--steps", "30"]


def test_fit_and_predict_go_from_a_plan_to_predictions(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(FIT) == 0
    said = capsys.readouterr()
    assert "Trained 2 networks on 80 rows, for 2 tasks: my.fitted" in said.out
    assert "python -m mtl_nt predict my.fitted new_rows.csv" in said.out
    assert "! Targets read as log10(y)" in said.err
    assert main(["predict", "my.fitted", "new.csv"]) == 0
    assert "Predicted 2 tasks of 7 rows: new.predictions.csv" in capsys.readouterr().out
    found = pd.read_csv("new.predictions.csv")
    assert [*found] == ["line", "y_one", "y_two"]
    assert found["line"].tolist() == [*range(2, 9)]
    wanted = load_plan("my.fitted").predict("new.csv")
    np.testing.assert_allclose(found.iloc[:, 1:], wanted, rtol=1e-8)
    assert wanted["y_two"].min() > 1  # measured, and no logarithm
    data = load("my.csv", log="y_two")
    assert data.forms is not None and data.forms[1].log == "log10(y)"
    assert main(["predict", "my.fitted", "new.csv"]) == 0  # its own file may be replaced
    assert "replaced new.predictions.csv" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kept", [False, True])
def test_the_commands_under_use_this_plan_work_as_they_stand(
    here: Path, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the options of reading, the budget, and the folder of results where there is one."""
    read = ["--targets", "y_*", "--log", "y_two", "--ignore", "b", "--missing=-9", "--yes"]
    table = pd.read_csv("my.csv")
    table.loc[3, "a"] = -9
    table.to_csv("my.csv", index=False)
    few = ["--methods", "MTL", "--seeds", "2", "--steps", "20", "--margin", "0.1"]
    results = ["--results", "mine"] if kept else []
    asked = ["report", "my.csv", *read, *few, "--budget", "1h", "--out", "own.html", *results]
    if kept:  # all of it is there, and no pair is missing
        asked = [word for word in asked if word not in ("--budget", "1h")]
    assert main(asked) == 0
    page = BeautifulSoup(Path("own.html").read_text(), "html.parser")
    fold = page.find("summary", string="Use this plan").parent  # type: ignore[union-attr]
    first, then, _, file = fold.select("pre")  # type: ignore[union-attr]
    wrote = shlex.split(first.text)
    for option in (*read, "--margin", *(results or ["--budget", "1h"]), "own.html"):
        assert option in wrote
    assert wrote[-2:] == ["--plan", "plan.json"] and wrote.count("--plan") == 1
    Path("plan.json").unlink()
    capsys.readouterr()
    assert main(wrote[3:]) == 0
    assert ("nothing is trained" in capsys.readouterr().err) == kept
    plan = json.loads(Path("plan.json").read_text())
    assert plan["tasks"] == json.loads(file.text)["tasks"]
    fit, predict = then.text.strip().splitlines()
    assert main([*shlex.split(fit)[3:], "--steps", "5"]) == 0
    assert main(shlex.split(predict)[3:]) == 0
    assert len(pd.read_csv("predictions.csv")) == 7


def test_a_fit_reads_the_table_as_the_report_did(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--log", "y_two", "--ignore", "b"]
    few = ["--methods", "MTL", "--seeds", "2", "--steps", "5", "--out", "x.html"]
    assert main(["report", "my.csv", "--plan", "p.json", *asked, *few]) == 0
    assert json.loads(Path("p.json").read_text())["reading"] == "--ignore b --log y_two"
    fit = ["fit", "my.csv", "--plan", "p.json", "--steps", "3"]
    capsys.readouterr()
    assert main(fit) == 0
    assert "Reads the table as for the plan: --ignore b --log y_two" in capsys.readouterr().out
    assert load_plan("my.fitted").predict("new.csv")["y_two"].min() > 0
    assert main([*fit, *asked]) == 0
    capsys.readouterr()
    assert main([*fit, "--log", "y_two"]) == 2
    said = capsys.readouterr().err
    assert "was read with --ignore b --log y_two; give these, or none at all" in said
    plan = json.loads(Path("p.json").read_text())
    for edited in ("--bogus 3", "'", "--out /nowhere"):
        Path("p.json").write_text(json.dumps({**plan, "reading": edited}))
        done = main([*fit, "--log", "y_two"])
        assert (done, len(capsys.readouterr().err.splitlines())) == (2, 1), edited
    assert not Path("/nowhere").exists()


def test_classes_have_a_column_each_and_the_file_may_be_replaced(here: Path) -> None:
    frame = pd.read_csv("my.csv")
    stage = np.digitize(frame["a"] + frame["b"], [-0.5, 0.5])
    frame.assign(y_one=np.array(["I", "II", "III"])[stage]).to_csv("my.csv", index=False)
    assert main([*FIT, "--classes", "y_one"]) == 0
    assert main(["predict", "my.fitted", "new.csv"]) == 0
    assert main(["predict", "my.fitted", "new.csv"]) == 0
    found = pd.read_csv("new.predictions.csv")
    assert [*found] == ["line", "y_one: I", "y_one: II", "y_one: III", "y_two"]
    np.testing.assert_allclose(found.iloc[:, 1:4].sum(axis=1), 1, atol=1e-6)


def test_what_new_rows_lack_is_one_line_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, "--out", "f"]) == 0
    capsys.readouterr()
    Path("short.csv").write_text("a,c\n1,2\n")
    for words, said in (
        (["f", "short.csv"], "mtl_nt: short.csv: no column 'b', which training had"),
        (["f", "no.csv"], "mtl_nt: no.csv: no such file"),
        (["f", "plan.json"], "give a table of new rows"),
        (["nowhere", "new.csv"], "mtl_nt: cannot read the fitted plan: nowhere/card.json"),
        (["f", "new.csv", "--out", "my.csv"], "has not made is there"),
        (["f", "new.csv", "--out", "new.csv"], "it is what is read"),
    ):
        assert main(["predict", *words]) == 2
        error = capsys.readouterr().err
        assert said in error and len(error.splitlines()) == 1, error
    assert not [*Path().glob("*.predictions.csv")]
    assert Path("my.csv").read_text().startswith("a,b,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "my.csv"], "--plan"),
        (["fit", "my.csv", "--plan", "no.json"], "cannot read the plan no.json"),
        (["fit", "my.csv", "--plan", "my.csv"], "my.csv is no JSON"),
        (["fit", "dial", "--plan", "plan.json", "--log", "y"], "--log is for a table of your own"),
        (["fit", "dial", "--plan", "plan.json"], "says nothing of task"),
        ([*FIT, "--out", "my.csv"], "my.csv cannot be written: no folder"),
        ([*FIT, "--seed", "-1"], "seed -1"),
    ],
)
def test_a_fit_that_cannot_be_is_one_line_and_leaves_nothing(
    words: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("!")]
    assert len(error) == 1 and said in error[0], error
    assert not [*here.rglob(CARD), *here.rglob(NETWORKS)]
