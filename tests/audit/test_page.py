"""The page of an audit: what stands first, what is folded, and what is not there."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from lab import CHROMIUM, chromium
from refusals import refused
from test_browser import Visit

from mtl_nt import compare, fit_plan, load
from mtl_nt.__main__ import main
from mtl_nt.arguments import parser
from mtl_nt.audit import example_audit
from mtl_nt.audit.audit import audit, label_counts
from mtl_nt.audit.findings import findings
from mtl_nt.audit.page import MOST_ROWS, audit_page
from mtl_nt.audit.plan import Plan
from mtl_nt.audit.result import (
    Audit,
    fit_commands,
    load_call,
    repeat_command,
    resume_command,
    where_words,
)
from mtl_nt.audit.saved import SavedAudit, from_json, is_consistent, to_json
from mtl_nt.audit.sentences import mean_words, sentences
from mtl_nt.audit.tables import task_table, verdicts_csv
from mtl_nt.study import load_json, read_plan
from mtl_nt.study.verdicts import parse_margin
from mtl_nt.tasks import Note

BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no program named chromium: nothing to open")
NAME = "y_<script>alert(1)</script>"


@pytest.fixture(scope="module")
def found() -> Audit:
    """A small audit of MTL and two remedies, without the width check and the map."""
    data = load("dial-unrelated")
    seeds, methods = (100, 101, 102), ("MTL", "LBTW", "RMTL")
    study = compare(data, methods, [0.5], seeds, steps=20, progress=False)
    made = {"seconds": 1.0, "version": "0", "torch": "0", "source": "my.csv", "options": {}}
    made |= {"steps": 20, "rows": 600, "features": 5, "split": "new data", "parts": [400, 50, 150]}
    plan = Plan(methods, False, False, (0.5,), seeds, 1.0)
    return Audit("mine", study, plan, None, label_counts(data), (), made)


def changed(found: Audit, change: dict[str, dict[str, float]]) -> Audit:
    """The audit, as if methods gained so much by task, and nothing else, on all rows."""
    study = found.study
    rng = np.random.default_rng(0)

    def as_gained(table: pd.DataFrame, sign: float, keys: list[str]) -> pd.DataFrame:
        table = table.copy()
        alone = table[table["method"] == "STL"].set_index(keys)["value"]
        own = table["method"].isin(("MTL", "LBTW", "RMTL"))
        at = pd.MultiIndex.from_frame(table.loc[own, keys])
        gains = [
            change.get(m, {}).get(t, 0.0)
            for m, t in zip(table.loc[own, "method"], table.loc[own, "task"], strict=True)
        ]
        noise = rng.normal(0, 1e-3, own.sum())
        table.loc[own, "value"] = alone.reindex(at).to_numpy() + sign * np.array(gains) + noise
        return table

    results = as_gained(study.results, -1.0, ["seed", "task", "metric"])
    validation = as_gained(study.validation, 1.0, ["seed", "task"])
    return replace(found, study=replace(study, results=results, validation=validation))


def renamed(found: Audit, names: dict[str, str]) -> Audit:
    """The audit with other names of tasks."""
    study, labels = found.study, found.labels.replace({"task": names})
    tables = {
        name: getattr(study, name).replace({"task": names, "network": names})
        for name in ("results", "history", "validation")
    }
    metric = {names.get(task, task): value for task, value in study.metric.items()}
    return replace(found, study=replace(study, metric=metric, **tables), labels=labels)


def unlearned(found: Audit, tasks: list[str]) -> Audit:
    """The audit, as if no method beat a guess on these tasks."""
    results = found.study.results.copy()
    guess = results[results["method"] == "Constant"].set_index(["seed", "task", "metric"])["value"]
    own = results["task"].isin(tasks) & (results["method"] != "Constant")
    keys = pd.MultiIndex.from_frame(results.loc[own, ["seed", "task", "metric"]])
    noise = np.abs(np.random.default_rng(0).normal(0, 1e-3, own.sum()))
    results.loc[own, "value"] = guess.reindex(keys).to_numpy() + noise
    return replace(found, study=replace(found.study, results=results))


def soup_of(audit: Audit) -> BeautifulSoup:
    """The page without its pictures, which take most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_picture", "_alphas"):
            patch.setattr(f"mtl_nt.audit.page.{name}", lambda *given, **options: "")
        return BeautifulSoup(audit_page(audit), "html.parser")


def csv_of(soup: BeautifulSoup, name: str) -> pd.DataFrame:
    """The table that a link of the page saves."""
    (link,) = soup.select(f"a[download='{name}']")
    return pd.read_csv(io.BytesIO(base64.b64decode(str(link["href"]).partition("base64,")[2])))


OUTSIDERS = {f"outsider {k}": -1.0 for k in (1, 2)}


# ---------------------------------------------------------------------------- the first screen


@pytest.mark.slow
def test_the_first_screen_is_in_the_order_in_which_one_decides(found: Audit) -> None:
    made = unlearned(changed(found, {"MTL": OUTSIDERS | {"related 1": 0.5}}), ["related 6"])
    notes = (Note("Left out, as row numbers: 'index'.", "matters"), Note("Read as it is."))
    soup = BeautifulSoup(audit_page(replace(made, notes=notes).with_margin(0.1)), "html.parser")
    (picture,) = soup.select("main > .nt-explorer .nt-wide")
    assert picture["alt"] and soup.select("main > .nt-explorer .nt-narrow")
    text = soup.get_text(" ")
    order = [
        "1 of 9 tasks is not learned: related 6.",
        "On average over 8 tasks, MTL is worse than STL by",
        "What MTL does to each task",
        "Differences up to 0.1 in MSE do not matter",
        "This plan:",
        "What reading the data did",
        "Left out, as row numbers: 'index'.",
        "All the rest",
    ]
    places = [" ".join(text.split()).index(words) for words in order]
    assert places == sorted(places)
    tiles = {
        str(tile["class"][0]): int(tile.select_one("strong").text)  # type: ignore[union-attr]
        for tile in soup.select(".tiles li")
    }
    assert tiles == {"harmed": 2, "helped": 1, "same": 5, "undecided": 0}
    (line,) = soup.select("p.gain")
    (bold,) = line.select("strong")  # the number that a reader sees first is the one to expect
    assert line.text.startswith(f"This plan: {bold.text} (apparent ")
    assert re.fullmatch(r"left out [+-][\d.]+ \[[-\d.]+, [-\d.]+\] on average", bold.text)
    heads = [head.text for head in soup.select(".plan th")]
    assert heads.index("gain, left out") < heads.index("gain, apparent")
    heading = soup.select("details")[0].find_previous("h2").text  # type: ignore[union-attr]
    assert heading == "The plan: STL for 5 tasks; MTL for 2; LBTW (alpha 0.5) for 2"
    assert "Read as it is." in soup.find("summary", string="How the data were read").parent.text  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_section_without_content_is_not_there(found: Audit) -> None:
    soup = soup_of(found)
    titles = {summary.text for summary in soup.select("details > summary")}
    assert {"Every task", "Which remedy is best", "What was run", "By other metrics"} <= titles
    assert titles.isdisjoint({"Is the trunk too narrow?", "Who pulls with whom?"})
    assert "What reading the data did" not in [h.text for h in soup.select("h2")]
    assert not soup.select(".caution") and not soup.select(".note")
    assert not soup.select(".tiles .same")  # nothing can be the same without a margin
    assert "No margin was stated" in soup.text
    plain = replace(found, plan=replace(found.plan, methods=("MTL",)))
    results = found.study.results
    kept = results["method"].isin(("STL", "STL'", "MTL", "Constant"))
    plain = replace(plain, study=replace(found.study, results=results[kept]))
    titles = {summary.text for summary in soup_of(plain).select("details > summary")}
    assert titles.isdisjoint({"Which remedy is best", "Every alpha"})


@pytest.mark.slow
def test_where_nothing_is_learned_nothing_is_decided(found: Audit) -> None:
    soup = soup_of(unlearned(found, found.labels["task"].tolist()))
    assert "9 of 9 tasks are not learned" in soup.select_one(".caution").text  # type: ignore[union-attr]
    assert soup.select_one(".lead").text == "So there is nothing to decide."  # type: ignore[union-attr]
    assert not soup.select(".tiles")
    assert not any(h.text.startswith("The plan") for h in soup.select("h2"))


@pytest.mark.slow
def test_a_method_that_diverged_has_no_tiles(found: Audit) -> None:
    study = found.study
    results, training = study.results.copy(), study.training.copy()
    results.loc[(results["method"] == "MTL") & (results["seed"] == 101), "value"] = math.nan
    training.loc[(training["method"] == "MTL") & (training["seed"] == 101), "diverged"] = True
    soup = soup_of(replace(found, study=replace(study, results=results, training=training)))
    assert soup.select_one(".lead").text.startswith("MTL diverged in 1 of 3 runs")  # type: ignore[union-attr]
    assert not soup.select(".tiles") and "nan" not in soup.text


@pytest.mark.parametrize(
    ("mean", "said"),
    [
        ((0.02, 0.009, 0.033), "MTL is better than STL by 0.020 in MSE (95% interval 0.009 to"),
        ((-0.2, -0.4, -0.01), "MTL is worse than STL by 0.20 in MSE (95% interval 0.01 to 0.40)"),
        ((0.01, -0.02, 0.04), "cannot be told apart: +0.010 in MSE (95% interval -0.020 to"),
        ((0.5, None, None), "in one run, MTL is better than STL by 0.50"),
        ((None, None, None), "MTL cannot be compared with STL on average."),
    ],
)
def test_the_mean_effect_is_one_sentence(mean: tuple[Any, ...], said: str) -> None:
    known = dict(zip(("delta", "low", "high"), mean, strict=True))
    assert said in mean_words("MTL", "STL", {**known, "unit": "MSE", "tasks": 9})


@pytest.mark.slow
def test_the_mean_leaves_out_what_is_not_learned(found: Audit) -> None:
    noisy = changed(found, {"MTL": {"related 1": -0.5, "related 2": -0.5}})
    everyone = findings(noisy)["mtl"]["mean"]
    learned = findings(unlearned(noisy, ["related 2"]))["mtl"]["mean"]
    assert everyone["delta"] == pytest.approx(-1 / 9, abs=0.01) and everyone["tasks"] == 9
    assert learned["delta"] == pytest.approx(-0.5 / 8, abs=0.01) and learned["tasks"] == 8


@pytest.mark.slow
def test_a_task_that_a_remedy_alone_has_learned_is_said_counted_and_planned(found: Audit) -> None:
    made = unlearned(changed(found, {}), ["related 6", "outsider 1"])
    results, validation = made.study.results.copy(), made.study.validation.copy()
    for table, sign in ((results, -1), (validation, 1)):
        own = (table["method"] == "RMTL") & (table["task"] == "outsider 1")
        table.loc[own, "value"] += sign * 0.5
    tables = {"results": results, "validation": validation}
    made = replace(made, study=replace(made.study, **tables, raw_targets=False))  # of MSE alone
    f = findings(made)
    assert f["mtl"]["not_learned"] == ["related 6", "outsider 1"]
    assert f["mtl"]["learned_by"] == {"outsider 1": ["RMTL"]}
    page = soup_of(made)
    for said in (sentences(made)[0], page.select_one(".caution").text):  # type: ignore[union-attr]
        assert "But RMTL learned outsider 1. For the others nothing can be said" in said
    means = {row["method"]: row["mean"] for row in f["remedies"]}
    assert means["RMTL"]["tasks"] == 8 and means["RMTL"]["delta"] > 0.05
    assert f["mtl"]["mean"]["tasks"] == 7
    assert made.main_study.task_plan().choices["outsider 1"][0] == "RMTL"


# ------------------------------------------------------------------------------------- the plan


@pytest.mark.slow
def test_the_plan_on_the_page_is_that_of_the_study_and_can_be_trained(found: Audit) -> None:
    made = changed(found, {"MTL": OUTSIDERS | {"related 1": 0.5}, "RMTL": {"outsider 1": 0.5}})
    soup, plan = soup_of(made), made.main_study.task_plan()
    rows = soup.select(".plan tbody tr")
    choices = {row.select("td")[0].text: row.select("td")[1].text for row in rows}
    assert choices == dict(zip(plan.table["task"], plan.table["choice"], strict=True))
    assert (choices["outsider 1"], choices["outsider 2"]) == ("RMTL", "STL")
    assert choices["related 1"] == "MTL"
    assert str(plan) in soup.text
    (text,) = (pre.text for pre in soup.select("pre.file"))
    assert read_plan(json.loads(text)).arms == dict(plan.choices)
    fitted = fit_plan(load("dial-unrelated"), json.loads(text), steps=2, progress=False)
    assert {part.arm for part in fitted.parts} == {*plan.choices.values()}
    assert csv_of(soup, "plan.csv")["choice"].tolist() == plan.table["choice"].tolist()
    assert findings(made)["plan"]["tasks"]["outsider 1"] == {"method": "RMTL", "alpha": None}
    assert json.loads(json.dumps(findings(made), allow_nan=False)) == findings(made)


def test_the_page_says_how_to_read_the_same_data_for_its_plan() -> None:
    made = example_audit()
    options = {"smiles": "my smiles", "missing": "-999", "yes": True, "keep": None}
    made = replace(made, provenance={**made.provenance, "source": "my.csv", "options": options})
    said = [pre.text for pre in BeautifulSoup(audit_page(made), "html.parser").select("pre")]
    call = "mtl_nt.load('my.csv', smiles='my smiles', missing='-999', yes=True)"
    assert load_call(made) == f"data = {call}" and any(call in text for text in said)
    command = next(text for text in said if text.endswith("--plan plan.json"))
    assert "--smiles 'my smiles' --missing=-999 --yes" in command


def test_the_page_of_a_table_says_how_to_train_the_plan_and_to_predict(found: Audit) -> None:
    options = {"log": "y_*", "missing": [-999], "yes": False}
    made = replace(found, provenance={**found.provenance, "options": options})
    fit, predict = fit_commands(made)
    words = shlex.split(fit)
    assert words[:5] == ["python", "-m", "mtl_nt", "fit", "my.csv"]
    given = parser().parse_args(words[3:])
    assert (given.command, str(given.plan), given.log) == ("fit", "plan.json", "y_*")
    again = parser().parse_args(shlex.split(predict)[3:])
    assert (again.command, str(again.fitted)) == ("predict", str(given.out))
    assert not fit_commands(replace(made, provenance={**made.provenance, "source": "dial"}))


def test_the_command_to_go_on_writes_the_same_page_and_plan() -> None:
    made = example_audit()
    written = ("--out", "my page.html", "--plan", "plan.json")
    half = replace(made.plan, unfinished=True)
    command = resume_command(replace(made, plan=half, folder="kept", written=written))
    assert command is not None
    assert command.endswith(" --out 'my page.html' --plan plan.json --results kept")


@pytest.mark.slow
def test_runs_to_decide_mind_the_margin(found: Audit) -> None:
    """Nobody decides a difference within the margin, however many runs are trained."""
    made = changed(found, {"MTL": {"related 1": 0.05}}).with_margin(0.2)
    rows = {
        cells[0].text: [cell.text for cell in cells]
        for row in BeautifulSoup(task_table(made), "html.parser").select("tbody tr")
        if (cells := row.select("td"))
    }
    assert rows["related 1"][1] == "same" and rows["related 1"][6] == ""
    wide = made.study.results.copy()
    own = (wide["method"] == "MTL") & (wide["task"] == "related 1")
    wide.loc[own, "value"] += wide.loc[own, "seed"].map({100: 0.4, 101: -0.4, 102: 0.0})
    open_ = task_table(replace(made, study=replace(made.study, results=wide)))
    row = BeautifulSoup(open_, "html.parser").select("tbody tr")[0]
    cells = [cell.text for cell in row.select("td")]
    assert cells[:2] == ["related 1", "undecided"] and cells[6] == "no number"


@pytest.mark.slow
def test_what_to_do_stands_before_the_picture_and_leads_to_the_plan(found: Audit) -> None:
    soup = soup_of(changed(found, {"MTL": OUTSIDERS | {"related 1": 0.5}}))
    (link,) = soup.select("a[href='#plan']")
    heading = soup.select_one("h2#plan")
    assert heading is not None and heading.text == f"The plan: {link.text}"
    assert link.find_previous("ul", class_="tiles") is not None


@pytest.mark.slow
def test_what_is_not_learned_is_told_to_take_logarithms_where_its_tail_is_heavy(
    found: Audit,
) -> None:
    heavy = (Note("Heavy tails.", "matters", "tails", ("related 6", "outsider 1")),)
    made = replace(unlearned(changed(found, {}), ["related 6"]), notes=heavy)
    wanted = "Try --log 'related 6', since its values have a heavy tail. Or give more labels"
    assert wanted in sentences(made)[0]
    assert wanted in soup_of(made).select_one(".caution").text  # type: ignore[union-attr]
    plain = soup_of(replace(made, notes=())).select_one(".caution").text  # type: ignore[union-attr]
    assert "Give more labels, other features" in plain and "--log" not in plain


def test_runs_of_a_table_are_folds_everywhere(found: Audit) -> None:
    made = {**found.provenance, "split": "free"}
    table = replace(found, provenance=made)
    assert where_words(table) == "on folds of the same rows"
    named = replace(found, provenance={**made, "source": "digits"})
    assert where_words(named) == "on new splits of the same rows"
    said = " ".join(sentences(table))
    assert "3 runs on folds of the same rows" in said and "new splits" not in said
    page = soup_of(table).text
    assert page.count("on folds of the same rows") >= 3 and "new splits" not in page


@pytest.mark.slow
def test_a_plan_that_gains_nothing_says_so(found: Audit) -> None:
    worse = dict.fromkeys(found.labels["task"], -1.0)
    assert "The first number's interval includes 0" in soup_of(changed(found, {"MTL": worse})).text
    soup = soup_of(changed(found, dict.fromkeys(("MTL", "LBTW", "RMTL"), worse)))
    assert "This plan: STL for every task. No other method was clearly better" in soup.text
    assert "The plan: STL for every task" in [h.text for h in soup.select("h2")]
    assert "interval includes 0" not in soup.text and "nothing else to train" in soup.text
    gains = changed(found, {"MTL": dict.fromkeys(found.labels["task"], 1.0)})
    assert "interval includes 0" not in soup_of(gains).text
    assert "The plan: MTL for every task" in [h.text for h in soup_of(gains).select("h2")]


@pytest.mark.slow
def test_a_plan_of_many_tasks_is_in_short_first(found: Audit) -> None:
    """Each task three times, under other names."""
    study, copies = found.study, range(3)
    tables = {
        name: pd.concat(
            [
                getattr(study, name).assign(task=lambda t, k=k: t["task"] + f" copy {k}")
                for k in copies
            ]
        )
        for name in ("results", "validation")
    }
    metric = {f"{task} copy {k}": m for task, m in study.metric.items() for k in copies}
    labels = pd.concat(
        [found.labels.assign(task=lambda t, k=k: t["task"] + f" copy {k}") for k in copies]
    )
    many = replace(found, study=replace(study, metric=metric, **tables), labels=labels)
    assert len(metric) > MOST_ROWS
    soup = soup_of(many)
    (plan,) = (h for h in soup.select("h2") if h.text.startswith("The plan: "))
    first = plan.find_next("table")
    assert first.select("th")[0].text == "choice"  # type: ignore[union-attr]
    assert sum(int(row.select("td")[1].text) for row in first.select("tbody tr")) == 27  # type: ignore[union-attr]
    whole = soup.find("summary", string="The plan, all 27 tasks").parent  # type: ignore[union-attr]
    assert len(whole.select("tbody tr")) == 27  # type: ignore[union-attr]


# ---------------------------------------------------------------------------------- what is saved


@pytest.mark.slow
def test_tests_of_every_task_can_be_saved_with_p_and_q(found: Audit) -> None:
    made = renamed(found, {"related 1": "y_=1+1"})
    saved = csv_of(soup_of(made), "verdicts.csv")
    wanted = made.main_study.transfer()
    assert {"p", "adjusted", "low", "high", "verdict", "metric"} <= {*saved}
    np.testing.assert_allclose(saved["p"], wanted["p"], rtol=1e-5)
    np.testing.assert_allclose(saved["adjusted"], wanted["adjusted"], rtol=1e-5)
    assert not any(str(task).startswith("=") for task in saved["task"])
    assert verdicts_csv(renamed(found, {"related 1": "=1+1"})).count("'=1+1") == len(wanted) // 9


@pytest.mark.slow
def test_names_are_text_wherever_they_stand(found: Audit) -> None:
    names = {"related 1": NAME, "outsider 1": "a & b \u202e c"}
    made = renamed(unlearned(changed(found, {"MTL": OUTSIDERS}), ["related 1"]), names)
    page = audit_page(replace(made, name=NAME, notes=(Note(f"Left out: {NAME}.", "matters"),)))
    soup = BeautifulSoup(page, "html.parser")
    assert "alert(1)" not in " ".join(s.text for s in soup.select("script"))
    assert soup.text.count(NAME) >= 4
    assert soup.title is not None and soup.title.text == f"Audit of {NAME}"
    assert not soup.select("[src^=http], link, [href^=http]")


@pytest.mark.slow
def test_other_metrics_stand_beside_the_one_that_decides(found: Audit) -> None:
    (section,) = (
        s.parent for s in soup_of(found).select("summary") if s.text == "By other metrics"
    )
    heads = [head.text for head in section.select("th")]  # type: ignore[union-attr]
    assert heads[0] == "task"
    assert {"MSE ↓", "MAE ↓", "R2 ↑", "Spearman ↑"} <= {*heads}
    assert len(section.select("tbody tr")) == 9  # type: ignore[union-attr]


@pytest.mark.slow
def test_an_audit_is_saved_with_its_validation_scores_and_margin(found: Audit) -> None:
    made = found.with_margin(0.25)
    text = json.dumps(to_json(made))
    again = from_json(load_json(text, SavedAudit))
    pd.testing.assert_frame_equal(again.study.validation, made.study.validation)
    assert again.study.margin == {"MSE": 0.25}
    assert str(again.task_plan) == str(made.task_plan)
    assert is_consistent(load_json(text, SavedAudit))
    for column, wrong in (("task", "<b>"), ("method", "<b>"), ("seed", 7)):
        forged = json.loads(text)
        forged["tables"]["validation"][column][0] = wrong
        assert not is_consistent(load_json(json.dumps(forged), SavedAudit))
    forged = json.loads(text)
    forged["margin"] = {"MSE": -1.0}
    with pytest.raises(ValueError):
        load_json(json.dumps(forged), SavedAudit)
    bare = replace(made, study=replace(made.study, validation=made.study.validation[:0]))
    assert len(from_json(load_json(json.dumps(to_json(bare)), SavedAudit)).study.validation) == 0


# ------------------------------------------------------------------------------------ the command


@pytest.fixture
def trained(found: Audit, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """The command finds this audit, and trains nothing."""
    made = changed(found, {"MTL": OUTSIDERS | {"related 1": 0.5}})

    def audit(*given: Any, margin: Any = 0.0, **options: Any) -> Audit:
        return made.with_margin(margin)

    monkeypatch.setattr(sys.modules["mtl_nt.audit.audit"], "audit", audit)
    return made


@pytest.mark.slow
def test_the_command_writes_the_plan_and_judges_by_the_margin(
    trained: Audit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, plan = tmp_path / "page.html", tmp_path / "my" / "plan.json"
    words = ["report", "dial-unrelated", "--out", str(page), "--plan", str(plan), "--json"]
    assert main([*words, "--margin", "0.1"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["margin"] == {"MSE": 0.1} and len(said["mtl"]["same"]) == 6
    assert read_plan(plan).arms == dict(trained.task_plan.choices)
    assert main(words) == 0  # it may replace its own plan
    assert f"replaces {plan}" in capsys.readouterr().err
    assert "On average over 9 tasks" in sentences(trained)[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--margin", "much"], "--margin 'much'"),
        (["--margin", "-1"], "margin -1"),
        (["--margin", "RMSE=0.1"], "margin of unknown metric 'RMSE'"),
        (["--plan", "page.html"], "--plan and --out are both"),
        (["--plan", "theirs.json"], "has not made is there"),
        (["--plan", "."], "cannot write"),
    ],
)
def test_a_margin_or_a_plan_that_cannot_be_used_is_one_line(
    arguments: list[str],
    said: str,
    trained: Audit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.json").write_text('{"my": "own"}')
    words = ["report", "dial-unrelated", "--out", "page.html"]
    option, value = arguments
    assert main([*words, f"{option}={value}"]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and len(error.splitlines()) == 1 and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.json"]
    assert (tmp_path / "theirs.json").read_text() == '{"my": "own"}'


def test_a_margin_is_refused_before_the_training_and_repeated_by_the_command(found: Audit) -> None:
    refused(lambda: found.with_margin({"RMSE": 0.1}), "unknown metric 'RMSE'")
    refused(lambda: audit("dial-unrelated", margin={"RMSE": 0.1}, say=str), "unknown metric 'RMSE'")
    words = "margin of R2: tasks are judged by MSE; give --margin MSE=0.1"
    refused(lambda: found.with_margin({"R2": 0.1}), words)
    refused(lambda: audit("dial-unrelated", margin={"R2": 0.1}, say=str), words)
    metrics = ["MSE", "PR-AUC", "R2"]
    both = "give one for each: --margin MSE=0.02,PR-AUC=0.02"
    refused(lambda: parse_margin(0.02, metrics[:2], metrics), both)
    assert repeat_command(found.with_margin(0.25)).endswith(" --margin MSE=0.25")
    assert "--margin" not in repeat_command(found)


# ------------------------------------------------------------------------------------ the browser


@pytest.mark.slow
@pytest.mark.browser
@BROWSER
def test_the_page_fits_a_phone_and_paper_in_light_and_dark(found: Audit, tmp_path: Path) -> None:
    long = "a_target_with_a_name_that_nobody_would_want_to_read_on_a_telephone"
    made = renamed(changed(found, {"MTL": OUTSIDERS}), {"outsider 1": long})
    path = tmp_path / "page.html"
    path.write_text(audit_page(made), encoding="utf-8")
    with chromium() as browser, Visit(browser, path, width=390) as visit:
        page = visit.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        hidden = page.locator(".plan th:nth-child(5)")
        assert not hidden.is_visible() and page.locator(".plan th:nth-child(4)").is_visible()
        page.set_viewport_size({"width": 1280, "height": 900})
        assert hidden.is_visible()
        ground = "getComputedStyle(document.body).backgroundColor"
        page.emulate_media(color_scheme="light")
        light = page.evaluate(ground)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(ground) != light
        page.emulate_media(media="print", color_scheme="light")
        assert not page.locator("details").first.is_visible()  # what is folded is not printed
        assert page.locator(".plan table").is_visible()
        assert visit.said == []
