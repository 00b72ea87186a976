"""The audit: its plan, what it finds and says, its folder, and what a kill leaves of it."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import random
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_table
import torch
from bs4 import BeautifulSoup
from lab import CHROMIUM, chromium
from matplotlib.colors import rgb_to_hsv
from playwright.sync_api import expect
from refusals import refused
from samples import forking
from test_browser import Visit

from mtl_nt import compare, figures, load
from mtl_nt.__main__ import main
from mtl_nt.audit import figures as audit_figures
from mtl_nt.audit.audit import audit, example_audit, label_counts
from mtl_nt.audit.findings import findings
from mtl_nt.audit.folder import AuditFolder
from mtl_nt.audit.page import audit_page
from mtl_nt.audit.plan import (
    Plan,
    feature_bytes,
    format_seconds,
    parse_methods,
    parse_seconds,
    seed_blocks,
)
from mtl_nt.audit.result import Audit, repeat_command, without_methods
from mtl_nt.audit.saved import FILE
from mtl_nt.audit.sentences import sentences
from mtl_nt.audit.source import Source
from mtl_nt.audit.tables import csv_link, settings_table, task_table
from mtl_nt.book import report
from mtl_nt.datasets.table import Table, read_table
from mtl_nt.datasets.table_files import table_digest
from mtl_nt.figures.tables import arm_tables
from mtl_nt.figures.verdicts import VERDICT_MARKERS
from mtl_nt.study import result_store as parts
from mtl_nt.study.affinity import TRAINING_STAGES, Affinity
from mtl_nt.study.transfer import paired_test, runs_needed

SMALL: dict[str, Any] = {
    "methods": ["RMTL", "LBTW", "Scalarisation"],
    "alphas": [0.0, 0.5],
    "seeds": 3,
    "steps": 20,
    "progress": False,
}
LESS = {**SMALL, "methods": ["LBTW", "Scalarisation"], "alphas": [0.5], "seeds": 2}


def quiet(line: str) -> None:
    """Nothing is said."""


@pytest.fixture(scope="module")
def found() -> Audit:
    return audit("dial-unrelated", say=quiet, **SMALL)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 120 rows: two targets of the features, one of chance; names that bite."""
    random_ = np.random.default_rng(0)
    x = random_.standard_normal((120, 4))
    y = np.tanh(x @ random_.standard_normal((4, 3))) + 0.1 * random_.standard_normal((120, 3))
    columns = {f"x{k}": x[:, k] for k in range(4)}
    columns |= {"y_$a_1^2$": y[:, 0], "y_<script>alert(1)</script>": y[:, 1], "y_=1+1": y[:, 2]}
    path = tmp_path_factory.mktemp("table") / "my tasks.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


# ---------------------------------------------------------------- how many runs would decide


def test_the_runs_asked_for_decide_in_four_of_five_cases() -> None:
    random_ = np.random.default_rng(0)
    tasks, effect = 40, np.repeat([0.0, 0.9], 20)
    pilot = effect + random_.standard_normal((400, tasks))  # mean and variance are known well
    needed = runs_needed(pilot[:, effect > 0])
    runs = int(np.median(needed))
    assert 8 < runs < 40
    hits = [
        paired_test(0.9 + random_.standard_normal((runs, 20))).verdict.count("helped")
        for _ in range(200)
    ]
    assert 0.72 < np.mean(hits) / 20 < 0.95


def test_no_number_of_runs_averages_away_what_overlapping_splits_share() -> None:
    delta = np.random.default_rng(1).standard_normal((6, 5)) + 0.5
    apart, shared = runs_needed(delta), runs_needed(delta, overlap=1 / 3)
    assert np.isfinite(apart).any() and np.isinf(shared).any()
    assert (shared >= apart).all()


def test_runs_needed_of_one_run_or_of_a_missing_difference_is_not_a_number() -> None:
    assert np.isnan(runs_needed(np.ones((1, 3)))).all()
    delta = np.random.default_rng(2).standard_normal((5, 3))
    delta[2, 1] = np.nan
    assert np.isnan(runs_needed(delta)).tolist() == [False, True, False]


# ---------------------------------------------------------------- the plan


def test_a_budget_is_seconds_or_a_time_in_words() -> None:
    assert [parse_seconds(b) for b in (None, 90, "90s", "5min", "1.5 h", "2m", "30")] == [
        *(None, 90, 90, 300, 5400, 120, 30)
    ]
    for wrong in ("soon", "-5min", "5 parsecs", 0, True, "nan", math.inf, "1e400h"):
        refused(lambda wrong=wrong: parse_seconds(wrong), "budget", "5min")
    assert (format_seconds(0.2), format_seconds(89), format_seconds(600), format_seconds(7200)) == (
        *("1 s", "89 s", "10 min", "2.0 h"),
    )


def test_methods_are_named_with_commas_and_mtl_is_always_there() -> None:
    assert [m.name for m in parse_methods("LBTW, MTL, tuned;RMTL")] == [
        *("MTL", "LBTW", "MTL, tuned", "RMTL")
    ]
    assert parse_methods(["LBTW, tuned"])[1].search is not None
    refused(lambda: parse_methods(["LBTV"]), "did you mean 'LBTW'")
    refused(lambda: parse_methods("RMTL,RMTL"), "is there already")


def test_runs_train_side_by_side_as_far_as_two_copies_of_their_features_allow() -> None:
    data, seeds = load("dial"), range(5)
    for room, sizes in ((9.9, [4, 1]), (4, [2, 2, 1]), (1, [1] * 5), (100, [5])):
        assert [len(b) for b in seed_blocks(data, seeds, room * feature_bytes(data) / 1e9)] == sizes


def test_features_of_a_table_are_kept_where_a_run_cannot_draw_them(
    table: Path, tmp_path: Path
) -> None:
    data, _ = Source(str(table), {}).read()
    assert isinstance(data.x, torch.Tensor) and data.x.shape == (120, 4)
    assert data.x.untyped_storage().nbytes() == data.x.itemsize
    assert torch.equal(data.for_seed(3).x, load(str(table), seed=3).x)  # type: ignore[arg-type]
    frame = pd.read_csv(table).assign(part=["train", "validation", "test"] * 40)
    frame.to_csv(tmp_path / "fixed.csv", index=False)
    fixed, _ = Source(str(tmp_path / "fixed.csv"), {"split": "part"}).read()
    assert torch.equal(fixed.for_seed(3).x, load(str(tmp_path / "fixed.csv"), split="part").x)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what it finds and says


@pytest.mark.slow
def test_its_numbers_are_those_of_the_study(found: Audit) -> None:
    f, counts = findings(found), found.main_study.counts().set_index("method")
    mtl = f["mtl"]
    for verdict in ("harmed", "helped", "undecided"):
        assert len(mtl[verdict]) == counts.loc["MTL", verdict]
    assert mtl["negative_one_run"]["mean"] == counts.loc["MTL", "negative_per_run"]
    single = (found.study.delta("MTL") < 0).sum(axis=1)
    assert (mtl["negative_one_run"]["least"], mtl["negative_one_run"]["most"]) == (
        *(single.min(), single.max()),
    )
    assert {r["method"] for r in f["remedies"]} == {"RMTL", "LBTW", "Scalarisation"}
    assert [r["alpha"] for r in f["remedies"] if r["method"] == "LBTW"] == [0.5]  # 0 is MTL
    assert np.allclose(found.study.delta("LBTW", 0.0), found.study.delta("MTL"), atol=1e-6)
    assert json.loads(json.dumps(f, allow_nan=False)) == f


@pytest.mark.slow
def test_remedies_are_ranked_by_harm_and_then_by_gain(found: Audit) -> None:
    both = {"outsider 1": [-1.0] * 3, "related 1": [1.0] * 3}
    made = changed(
        found,
        {
            "MTL": {"outsider 1": [-1.0] * 3},
            "LBTW": {"outsider 1": [0.2] * 3, "related 1": [0.3] * 3},
            "RMTL": {"outsider 1": [0.2] * 3, "related 1": [0.8] * 3},
            "Scalarisation": both,
        },
    )
    f = findings(made)
    assert [r["method"] for r in f["remedies"]] == ["RMTL", "LBTW", "Scalarisation"]
    assert f["best"]["method"] == "RMTL"
    assert [r["mean"]["delta"] for r in f["remedies"][:2]] == pytest.approx([1 / 9, 0.5 / 9], 0.01)


@pytest.mark.slow
def test_a_remedy_that_stl_dominates_is_never_the_best(found: Audit) -> None:
    worse = {"outsider 1": [-1.0] * 3}
    made = changed(found, {"MTL": worse, "LBTW": {}, "RMTL": worse, "Scalarisation": worse})
    f = findings(made)
    assert all(remedy["dominated"] for remedy in f["remedies"])
    assert f["best"] is None and f["best_runs_needed"] == {}
    assert any(s.startswith("None of the 3 other methods tried is better") for s in sentences(made))
    # One that helps as many as MTL does, and harms as many, is the best; it spares nobody.
    mixed = {"outsider 1": [-1.0] * 3, "related 1": [1.0] * 3}
    made = changed(found, {"MTL": worse, "LBTW": {}, "RMTL": mixed, "Scalarisation": worse})
    assert findings(made)["best"]["method"] == "RMTL"
    (said,) = (s for s in sentences(made) if "remedies tried" in s)
    assert "LBTW (alpha 0.5) harms 0, and helps none: single-task networks are as good." in said


@pytest.mark.slow
def test_one_remedy_is_named_and_not_counted(found: Audit) -> None:
    worse, mixed = {"outsider 1": [-1.0] * 3}, {"outsider 1": [-1.0] * 3, "related 1": [1.0] * 3}

    def alone(mtl: dict[str, list[float]], rmtl: dict[str, list[float]]) -> str:
        made = changed(found, {"MTL": mtl, "RMTL": rmtl})
        made = replace(made, study=without_methods(made.study, ["LBTW", "Scalarisation"]))
        assert [remedy["method"] for remedy in findings(made)["remedies"]] == ["RMTL"]
        return " ".join(sentences(made))

    assert "RMTL, the one other method tried, is not better than single" in alone(worse, worse)
    assert "RMTL, the one other method tried, harms no fewer tasks" in alone(worse, mixed)
    assert "RMTL, the one other method tried, does not help more tasks" in alone({}, {})
    assert "expect a little less" not in alone(worse, {"related 1": [1.0] * 3})


@pytest.mark.slow
def test_the_first_screen_has_the_null_the_power_and_a_caution(found: Audit) -> None:
    said = " ".join(sentences(found))
    assert re.search(r"MTL harms (none|\d+) of 9 tasks.* beyond chance, helps", said)
    assert "There were 3 runs on new data." in said and "Chance alone shows" in said
    assert "In four of five cases, 3 runs find a difference of" in said
    assert "on these same runs" in said or "None of the" in said or "none of the" in said


def with_harm(found: Audit, harmed: float, helped: float) -> Audit:
    """The audit, as if MTL and LBTW had changed all tasks by so much."""
    results = found.study.results.copy()
    for method, change in ("MTL", harmed), ("LBTW", helped):
        own, alone = results["method"] == method, results["method"] == "STL"
        values = results[alone].set_index(["seed", "task", "metric"])["value"]
        keys = pd.MultiIndex.from_frame(results[own][["seed", "task", "metric"]])
        noise = np.random.default_rng(0).normal(0, 1e-3, own.sum())
        results.loc[own, "value"] = values.reindex(keys).to_numpy() - change + noise
    return replace(found, study=replace(found.study, results=results))


def changed(found: Audit, change: dict[str, dict[str, list[float]]]) -> Audit:
    """The audit, as if methods had changed tasks by so much, run by run; other arms do nothing."""
    results = found.study.results.copy()
    alone = results[results["method"] == "STL"].set_index(["seed", "task", "metric"])["value"]
    own = ~results["method"].isin(("STL", "STL'", "Constant"))
    keys = pd.MultiIndex.from_frame(results[own][["seed", "task", "metric"]])
    noise = np.random.default_rng(0).normal(0, 1e-3, own.sum())
    results.loc[own, "value"] = alone.reindex(keys).to_numpy() + noise
    for method, tasks in change.items():
        for task, by_run in tasks.items():
            for seed, gain in zip(sorted(results["seed"].unique()), by_run, strict=True):
                cell = (results["method"] == method) & (results["task"] == task)
                results.loc[cell & (results["seed"] == seed), "value"] -= gain
    return replace(found, study=replace(found.study, results=results))


@pytest.mark.slow
def test_a_task_that_leans_worse_is_not_called_spared(found: Audit) -> None:
    harm, open_, gain = [-1.0] * 3, [0.02, -0.2, -0.2], [1.0] * 3
    others = {f"related {k}": gain for k in range(1, 5)}
    leaning = {"outsider 1": open_, "outsider 2": open_}
    assert {*leaning, *others} <= {*found.main_study.delta("MTL")}
    mtl = dict.fromkeys(leaning, harm)
    made = changed(found, {"MTL": mtl, "RMTL": mtl, "Scalarisation": mtl, "LBTW": leaning | others})
    f = findings(made)
    assert f["mtl"]["harmed"] == [*leaning]
    best = f["best"]
    assert (best["method"], best["harmed"], best["helped"]) == ("LBTW", 0, 4)
    assert best["leaning_worse"] == [*leaning]
    delta = made.main_study.delta("LBTW", 0.5)
    needed = dict(zip(delta, runs_needed(delta.to_numpy()), strict=True))
    assert f["best_runs_needed"] == {task: needed[task] for task in leaning}
    (remedy,) = (s for s in sentences(made) if "best remedy" in s)
    most = max(f["best_runs_needed"].values())
    assert "2 are undecided and leaning worse (outsider 1, outsider 2); " in remedy
    assert f"about {most} runs would settle them" in remedy
    # A remedy that leaves none of them open comes before one that helps more.
    worse = {"MTL": mtl, "Scalarisation": mtl, "LBTW": leaning | others}
    spared = changed(found, worse | {"RMTL": dict.fromkeys(leaning, gain)})
    assert findings(spared)["best"]["method"] == "RMTL"
    assert "leaning worse" not in " ".join(sentences(spared))
    # One that spares all and helps none is no better than single-task networks.
    useless = changed(found, worse | {"RMTL": {}})
    assert findings(useless)["best"]["method"] == "LBTW"
    assert json.loads(json.dumps(findings(made), allow_nan=False)) == findings(made)


@pytest.mark.slow
def test_a_network_alone_that_diverged_is_named(found: Audit) -> None:
    study = found.study
    results, training = study.results.copy(), study.training.copy()
    results.loc[(results["method"] == "STL") & (results["seed"] == 101), "value"] = math.nan
    training.loc[(training["method"] == "STL") & (training["seed"] == 101), "diverged"] = True
    made = replace(found, study=replace(study, results=results, training=training))
    (line,) = sentences(made)
    assert line.startswith("STL diverged in 1 of 3 runs")
    json.dumps(findings(made), allow_nan=False)


@pytest.mark.slow
def test_undecided_is_not_said_to_be_without_harm(found: Audit) -> None:
    said = " ".join(sentences(changed(found, {})))
    assert "MTL harms none of 9 tasks" in said and "9 undecided" in said
    assert "No harm was found. None of the 3 other" in said and "no harm to cure" not in said


@pytest.mark.slow
def test_more_runs_may_not_decide_and_then_more_rows_may(found: Audit) -> None:
    shared = changed(found, {})
    results = shared.study.results.assign(split="free")
    study = replace(shared.study, results=results, overlap=1 / 3)
    (said,) = (s for s in sentences(replace(shared, study=study)) if s.startswith("Even 100 runs"))
    assert "not decide the 9 undecided tasks" in said and "more rows may decide them." in said


@pytest.mark.slow
def test_tasks_that_cannot_be_scored_are_counted_out_and_named(found: Audit) -> None:
    results = changed(found, {}).study.results
    gone = results["task"].isin(("related 1", "related 2"))
    results.loc[gone & (results["seed"] == 101), "value"] = math.nan
    metric = {**found.study.metric, "related 1": "PR-AUC", "related 2": "PR-AUC"}
    results.loc[gone, "metric"] = results.loc[gone, "metric"].replace({"MSE": "PR-AUC"})
    made = replace(found, study=replace(found.study, results=results, metric=metric))
    said = sentences(made)
    assert said[0].startswith("On average over 7 tasks, MTL and STL cannot be told apart: ")
    assert said[1].startswith("MTL harms none of 7 scored tasks beyond chance")
    assert "nan" not in " ".join(said)
    assert said[2].startswith("2 of 9 could not be scored: related 1, related 2; ")
    assert json.loads(json.dumps(findings(made), allow_nan=False)) == findings(made)
    assert figures.png_bytes(audit_figures.width_check(made)).startswith(b"\x89PNG")


@pytest.mark.slow
def test_what_cannot_be_scored_is_noted_of_the_runs_that_are_run(tmp_path: Path) -> None:
    frame = test_table.example().drop(columns="y_2").assign(y_1=np.arange(60) % 2)
    frame["y_2"] = (np.arange(60) % 20 == 0).astype(int)  # three positives for five folds
    path = test_table.saved(frame, tmp_path / "my.csv")
    made = audit(path, "LBTW", [0.5], runs_without(path, "y_2"), 5, progress=False, say=quiet)
    (note,) = (n for n in made.notes if "Not scored" in n)
    assert note.endswith(": 'y_2'.")
    assert any(s.startswith("1 of 3 could not be scored: y_2; ") for s in sentences(made))
    given = {"targets": ["y_2", "y_4"], "progress": False, "say": quiet}
    path = test_table.saved(frame.assign(y_4=frame["y_2"]), tmp_path / "my.csv")
    none = runs_without(path, "y_4")
    refused(lambda: audit(path, "LBTW", [0.5], none, 5, **given), "no task is scored in every run")


def runs_without(path: Path, task: str) -> list[int]:
    """The runs whose test rows have no positive of this task."""
    data = load(str(path))
    column = data.tasks.index(task)
    runs = [data.for_seed(seed) for seed in range(5)]
    found = [k for k, run in enumerate(runs) if not (run.y[run.split.test, column] == 1).any()]
    assert len(found) == 2  # three of five folds have a positive
    return found


@pytest.mark.slow
def test_harm_is_said_with_names_and_a_cure_with_its_price(found: Audit) -> None:
    said = sentences(with_harm(found, -1.0, 1.0))
    assert re.match(r"On average over 9 tasks, MTL is worse than STL by 1\.0+ in MSE", said[0])
    assert said[1].startswith("MTL harms 9 of 9 tasks (related 1, ")
    assert "helps none; 0 undecided" in said[1]
    remedy = next(s for s in said if "best remedy" in s)
    assert "LBTW" in remedy and "harms 0 and helps 9, +1 in MSE on average (MTL: 9 and 0" in remedy
    assert "expect a little less" in remedy and "are 9" in remedy
    longer = next(s for s in said if "was the training too short?" in s)
    assert f"with --steps {2 * found.study.recipe.steps} before" in longer
    assert said.index(longer) < said.index(remedy)
    assert not any("undecided:" in s for s in said)


def unlearned(found: Audit, tasks: Sequence[str]) -> Audit:
    """The audit, as if no method were any better on these tasks than a guess."""
    results = found.study.results.copy()
    guess = results[results["method"] == "Constant"].set_index(["seed", "task", "metric"])["value"]
    own = results["task"].isin(tasks) & (results["method"] != "Constant")
    keys = pd.MultiIndex.from_frame(results[own][["seed", "task", "metric"]])
    noise = np.random.default_rng(0).normal(0, 1e-3, own.sum())
    results.loc[own, "value"] = guess.reindex(keys).to_numpy() + np.abs(noise)  # a little worse
    return replace(found, study=replace(found.study, results=results))


@pytest.mark.slow
def test_what_is_not_learned_is_said_first_and_neither_harmed_nor_cured(found: Audit) -> None:
    lost = ["related 1", "outsider 2"]
    made = unlearned(with_harm(found, -1.0, 1.0), lost)
    said, mtl = sentences(made), findings(made)["mtl"]
    assert mtl["not_learned"] == lost and {*lost}.isdisjoint({*mtl["harmed"], *mtl["undecided"]})
    assert said[0].startswith("2 of 9 tasks are not learned (related 1, outsider 2). Neither MTL ")
    assert "For them nothing can be said of harm" in said[0]  # and not for the seven others
    assert said[1].startswith("On average over 7 tasks, MTL is worse than STL by ")
    assert said[2].startswith("MTL harms 7 of 7 learned tasks (related 2, ")
    remedy = next(s for s in said if "best remedy" in s)
    assert "harms 0 and helps 7, +1 in MSE on average (MTL: 7 and 0" in remedy
    assert {w["verdict"]["outsider 2"] for w in findings(made)["widths"] if w["factor"] == 1} == {
        "not learned"
    }
    assert "not learned" in task_table(made)
    assert figures.png_bytes(audit_figures.width_check(made)).startswith(b"\x89PNG")


@pytest.mark.slow
def test_where_nothing_is_learned_nothing_else_is_said(found: Audit) -> None:
    (said,) = sentences(unlearned(found, found.labels["task"].tolist()))
    assert said.startswith("9 of 9 tasks are not learned (related 1, ")
    assert "So nothing can be said of harm" in said


@pytest.mark.slow
def test_without_harm_no_cure_is_praised(found: Audit) -> None:
    said = " ".join(sentences(with_harm(found, 1.0, -1.0)))
    assert "MTL harms none of 9 tasks" in said
    assert "There is no harm to cure" in said and "best remedy" not in said
    assert "too short" not in said


def test_alike_tasks_are_neighbours_on_the_map() -> None:
    truth = np.kron(np.eye(2), np.ones((3, 3))) * 0.8 - 0.1
    order = np.random.default_rng(3).permutation(6)
    placed = audit_figures.cluster_order(truth[np.ix_(order, order)][None])
    groups = (order[placed] < 3).tolist()
    assert groups in ([True] * 3 + [False] * 3, [False] * 3 + [True] * 3)


@pytest.mark.slow
def test_its_pictures_say_what_they_show(found: Audit) -> None:
    for figure in (
        audit_figures.width_check(found),
        *(audit_figures.affinity_map(found, stage) for stage in TRAINING_STAGES),
    ):
        assert figures.png_bytes(figure).startswith(b"\x89PNG")
        assert len(figures.alt_text(figure)) > 60
    for w in findings(found)["widths"]:
        assert "-".join(map(str, w["trunk"])) in figures.alt_text(audit_figures.width_check(found))
    marks = audit_figures.width_check(found).axes[0].collections
    seen = {v for w in findings(found)["widths"] for v in w["verdict"].values()}
    left_out = {"not learned"}
    assert {mark.get_gid() for mark in marks} == seen - left_out <= {*VERDICT_MARKERS}
    refused(lambda: audit_figures.affinity_map(found, "late"), "unknown stage")


def mapped(cosines: Sequence[Sequence[float]], common: Sequence[Sequence[float]]) -> Audit:
    """An audit of `dial` with these first two tasks on its map, and nothing known of the others."""
    found = example_audit()
    whole, shares = np.full((len(TRAINING_STAGES), 9, 9), math.nan), np.eye(9)
    whole[:, :2, :2], shares[:2, :2] = cosines, common
    return replace(found, affinity=Affinity(whole, shares))


@pytest.mark.slow
def test_a_map_says_where_its_gradients_are_and_which_pairs_have_few_common_labels() -> None:
    alike = [[1.0, 0.5], [0.5, 1.0]]
    said = figures.alt_text(audit_figures.affinity_map(mapped(alike, [[1, 0.4], [0.4, 1]])))
    assert "gradients at the last shared layer have a cosine of +0.50 on average" in said
    assert "Grey: 35 of 36 pairs have under 40% of their labels in common" in said
    few = audit_figures.affinity_map(mapped(alike, [[1, 0.39], [0.39, 1]]))
    assert "Grey: all of 36 pairs" in figures.alt_text(few)
    known = mapped(alike, np.ones((2, 2)).tolist())
    known = replace(known, affinity=known.affinity._replace(common_labels=np.ones((9, 9))))  # type: ignore[union-attr]
    full = audit_figures.affinity_map(known)
    assert "Grey" not in figures.alt_text(full)
    words = [" ".join(text.get_text() for text in f.texts) for f in (few, full)]
    assert ["grey: under 40%" in said for said in words] == [True, False]


@pytest.mark.slow
def test_orange_pairs_conflict_teal_ones_agree_and_few_common_labels_fade_to_grey() -> None:
    def colour(cosine: float, share: float) -> tuple[float, float]:
        """Hue and saturation of the pair on the map."""
        audit = mapped([[1, cosine], [cosine, 1]], [[1, share], [share, 1]])
        order = audit_figures.cluster_order(audit.affinity.cosines).tolist()  # type: ignore[union-attr]
        shown = audit_figures.affinity_map(audit).axes[0].images[0].get_array()
        hue, saturation, _ = rgb_to_hsv(shown[order.index(0), order.index(1), :3])
        return 360 * float(hue), float(saturation)

    (orange, strong), (teal, _) = colour(-0.9, 1.0), colour(0.9, 1.0)
    assert 15 < orange < 45 and 160 < teal < 190
    hue, pale = colour(-0.9, 0.1)
    assert abs(hue - orange) < 3 and pale < 0.6 * strong


@pytest.mark.slow
def test_what_the_budget_left_out_has_no_picture(found: Audit) -> None:
    bare = replace(found, affinity=None, plan=replace(found.plan, widths=False))
    refused(lambda: audit_figures.affinity_map(bare), "no affinity")
    refused(lambda: audit_figures.width_check(bare), "no width check")
    left_out = (findings(bare)[key] for key in ("widths", "affinity", "common_labels"))
    assert [*left_out] == [None] * 3


@pytest.mark.slow
def test_the_width_arms_are_no_remedies(found: Audit) -> None:
    assert any("width" in m for m in found.study.results["method"].unique())
    assert not any("width" in m for m in found.main_study.results["method"].unique())
    assert [w["factor"] for w in findings(found)["widths"]] == [0.25, 1, 4]


@pytest.mark.slow
def test_the_task_table_has_a_row_a_task_and_sorts_by_numbers(found: Audit) -> None:
    soup = BeautifulSoup(task_table(found), "html.parser")
    rows = soup.select("tbody tr")
    assert len(rows) == 9 and len(soup.select("thead button")) == 11
    delta = found.main_study.delta("MTL").mean()
    for row in rows:
        cells = row.select("td")
        assert float(cells[2]["data-value"]) == pytest.approx(delta[cells[0].text])
        assert cells[1].text in ("harmed", "helped", "undecided")
    assert "LBTW 0.5 against STL" in task_table(found, "LBTW", 0.5)


@pytest.mark.slow
def test_the_results_are_inside_the_page_and_no_spreadsheet_runs_them(found: Audit) -> None:
    results = found.study.results.replace({"task": {"related 1": "=cmd()", "related 2": "@x"}})
    evil = replace(found, study=replace(found.study, results=results))
    link = BeautifulSoup(csv_link(evil), "html.parser").find("a")
    assert link is not None
    text = base64.b64decode(str(link["href"]).partition("base64,")[2]).decode()
    lines = text.splitlines()
    assert len(lines) == len(results) + 1
    assert "'=cmd()" in text and "'@x" in text
    assert not re.search(r"(^|,)[=@]", text, re.M)


@pytest.mark.slow
def test_what_was_run_names_methods_runs_budget_and_versions(found: Audit) -> None:
    said = settings_table(found).to_string()
    for word in ("RMTL", "100, 101, 102", "20 steps", "torch", "estimated", "464 training"):
        assert word in said or word == "464 training"


@pytest.mark.slow
def test_the_command_that_repeats_it_is_one_that_the_command_line_takes(found: Audit) -> None:
    words = shlex.split(repeat_command(found))
    assert words[:5] == ["python", "-m", "mtl_nt", "report", "dial-unrelated"]
    assert "MTL;RMTL;LBTW;Scalarisation" in words and "100,101,102" in words


# ---------------------------------------------------------------- the folder


@pytest.mark.slow
def test_a_finished_audit_is_read_and_not_trained_again(tmp_path: Path) -> None:
    said: list[str] = []
    first = audit("dial-unrelated", folder=tmp_path, say=quiet, **SMALL)
    again = audit("dial-unrelated", folder=tmp_path, say=said.append, **SMALL)
    assert "already" in said[0]
    pd.testing.assert_frame_equal(first.study.results, again.study.results)
    assert findings(first) == findings(again) and sentences(first) == sentences(again)
    assert task_table(first).count("<tr>") == task_table(again).count("<tr>")
    assert settings_table(first).equals(settings_table(again))


@pytest.mark.parametrize(
    "changed", [{"seeds": 4}, {"alphas": [0.5]}, {"methods": ["RMTL"]}, {"steps": 21}]
)
def test_a_folder_of_another_audit_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    (tmp_path / "asked.json").write_text(json.dumps({"data": "dial-unrelated"}))
    given = {**SMALL, **changed}
    refused(
        lambda: audit("dial-unrelated", folder=tmp_path, say=quiet, **given),
        "holds another audit",
        next(iter(changed)),
    )


@pytest.mark.slow
def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    first = audit("dial-unrelated", folder=tmp_path, say=quiet, **SMALL)
    for name in ("audit.json", "affinity.json"):
        path = tmp_path / name
        path.write_text(path.read_text().replace("1", "2"))
    again = audit("dial-unrelated", folder=tmp_path, say=quiet, **SMALL)
    pd.testing.assert_frame_equal(first.study.results, again.study.results)
    assert first.affinity is not None and again.affinity is not None
    for one, other in zip(first.affinity, again.affinity, strict=True):
        assert np.array_equal(one, other)


def finished(folder: Path) -> dict[str, int]:
    """Finished parts, and when they were written."""
    return {str(p): p.stat().st_mtime_ns for p in folder.glob("runs-*/*/*-*.json")}


@pytest.mark.release
def test_killed_at_twenty_random_moments_it_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole = audit("dial-unrelated", folder=tmp_path / "whole", say=quiet, **LESS)
    context = forking()
    dice, folder, kept = random.Random(0), tmp_path / "killed", list[int]()
    longest = 0.8
    while len(kept) < 20:
        before = finished(folder)
        given = {"folder": folder, "say": str, **LESS}
        process = context.Process(target=audit, args=("dial-unrelated",), kwargs=given)
        process.start()
        process.join(dice.uniform(0, longest))
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            after = finished(folder)
            assert {p: after.get(p) for p in before} == before  # nothing is trained twice
            kept.append(len(after))
            longest *= 1.25 if after == before else 0.8
        else:  # it came through: train anew, and kill sooner
            assert process.exitcode == 0
            longest /= 2
            for path in folder.rglob("*.json"):
                if path.name != "asked.json":
                    path.unlink()
    assert len(set(kept)) > 2  # it was killed early and late
    done = audit("dial-unrelated", folder=folder, say=quiet, **LESS)
    pd.testing.assert_frame_equal(done.study.results, whole.study.results, check_exact=True)
    assert whole.affinity is not None and done.affinity is not None
    for one, other in zip(done.affinity, whole.affinity, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
def test_two_at_once_on_one_folder_find_the_same(tmp_path: Path) -> None:
    made: list[Audit] = []
    both = [
        threading.Thread(
            target=lambda: made.append(audit("dial-unrelated", folder=tmp_path, say=quiet, **LESS))
        )
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(made) == 2
    pd.testing.assert_frame_equal(made[0].study.results, made[1].study.results, check_exact=True)
    assert not list(tmp_path.rglob(".part-*"))


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("source", "changed", "said"),
    [
        ("dial-unrelatet", {}, "did you mean 'unrelated'"),
        ("digit", {}, "did you mean 'digits'"),
        ("dial-unrelated", {"seeds": 0}, "seeds 0"),
        ("dial-unrelated", {"seeds": 1}, "one run decides nothing"),
        ("dial-unrelated", {"seeds": -3}, "seeds -3"),
        ("dial-unrelated", {"seeds": [1, 1]}, "distinct"),
        ("dial-unrelated", {"alphas": [-1]}, "alpha -1"),
        ("dial-unrelated", {"alphas": ["abc"]}, "alpha 'abc'"),
        ("dial-unrelated", {"methods": ["LBTWW"]}, "did you mean 'LBTW'"),
        ("dial-unrelated", {"methods": ["STL'"]}, "unknown method"),
        ("dial-unrelated", {"steps": 0}, "steps 0"),
        ("dial-unrelated", {"budget": "soon"}, "budget 'soon'"),
        ("dial-unrelated", {"device": "tpu"}, "device 'tpu'"),
        ("dial-unrelated", {"targets": "y_*"}, "unknown option 'targets'"),
        ("nothing.csv", {}, "nothing.csv"),
    ],
)
def test_bad_input_is_one_line(source: str, changed: dict[str, Any], said: str) -> None:
    refused(lambda: audit(source, say=quiet, **{**SMALL, **changed}), said)


def test_a_results_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(
        lambda: audit("dial-unrelated", folder=tmp_path / "file", say=quiet, **SMALL),
        "cannot be used",
    )


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, count = parts.write_atomically, iter(range(100))

    def full(path: Path, content: bytes, replace: bool = True) -> None:
        if next(count) >= 3:
            raise OSError(28, "No space left on device")
        write(path, content, replace)

    monkeypatch.setattr(parts, "write_atomically", full)
    refused(lambda: audit("dial-unrelated", folder=tmp_path, say=quiet, **SMALL), "No space left")
    assert not list(tmp_path.rglob(".part-*"))
    monkeypatch.undo()
    audit("dial-unrelated", folder=tmp_path, say=quiet, **SMALL)  # and it goes on


def test_a_table_that_changes_before_it_is_read_costs_no_training(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, folder, said = tmp_path / "my.csv", tmp_path / "results", list[str]()
    shutil.copy(table, own)

    def late(path: str, **options: Any) -> Table:
        own.write_text(own.read_text().replace("0.1", "0.2"))
        return read_table(path, **options)

    monkeypatch.setattr("mtl_nt.audit.source.read_table", late)
    words = "my.csv changed since it was asked for; try again"
    refused(lambda: audit(str(own), folder=folder, say=said.append, **LESS), words)
    assert not said and not [*folder.iterdir()]  # and the next one may use the folder


@pytest.mark.slow
def test_a_finished_audit_needs_its_table_no_more(table: Path, tmp_path: Path) -> None:
    own, folder, said = tmp_path / "my.csv", tmp_path / "results", list[str]()
    shutil.copy(table, own)
    sha256 = table_digest(own)
    first = audit(str(own), folder=folder, say=quiet, **LESS)
    own.write_text("now,another\n1,2\n")
    again = audit(str(own), folder=folder, say=said.append, sha256=sha256, **LESS)
    assert "already" in said[0] and findings(again) == findings(first)
    assert repeat_command(again) == repeat_command(first)
    refused(
        lambda: audit(str(own), folder=folder, say=quiet, **LESS), "another audit (data differs)"
    )
    refused(
        lambda: audit(str(table), say=quiet, sha256="0" * 64, **LESS), "changed since it was asked"
    )


@pytest.mark.slow
def test_the_page_is_of_the_table_that_was_trained_on_whatever_becomes_of_the_file(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, page = tmp_path / "my.csv", tmp_path / "my.html"
    shutil.copy(table, own)

    def later(found: Audit) -> str:
        own.unlink()
        return audit_page(found)

    monkeypatch.setattr("mtl_nt.audit.page.audit_page", later)
    assert main(["report", str(own), "--out", str(page), *FEW]) == 0
    assert "The plan" in page.read_text(encoding="utf-8")


# ---------------------------------------------------------------- the command


FEW = ("--methods", "LBTW", "--alphas", "0,0.5", "--seeds", "2", "--steps", "20")


@pytest.fixture(scope="module")
def reported(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """What the command prints, on both streams, and its page."""
    page = tmp_path_factory.mktemp("report") / "report.html"
    words = ["report", str(table), "--targets", "y_*", "--out", str(page), "--json", *FEW]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as error:
        assert main(words) == 0
    return out.getvalue(), error.getvalue(), page


@pytest.mark.slow
def test_the_command_says_the_time_before_and_prints_json(
    reported: tuple[str, str, Path],
) -> None:
    out, error, _ = reported
    said = json.loads(out)
    assert said["tasks"] == 3 and said["runs"] == 2
    assert re.search(r"about \d+ s on this machine: 3 tasks, 120 rows, 2 runs", error)
    assert "--targets 'y_*'" in said["command"] and "Traceback" not in error


@pytest.mark.slow
def test_the_page_begins_with_words_and_is_free_of_the_book(
    reported: tuple[str, str, Path],
) -> None:
    page = reported[2].read_text(encoding="utf-8")
    soup = BeautifulSoup(page, "html.parser")
    headings = [h.text for h in soup.select("h1, h2")]
    assert headings[0] == "Audit of my tasks" and headings[1].startswith("The plan: ")
    folded = [summary.text for summary in soup.select("details > summary")]
    assert {"Every task", "What was run"} <= {*folded}
    assert not soup.select("details[open]") and soup.select(".nt-explorer > script")
    assert soup.select("a[download]") and "python -m mtl_nt report" in soup.text


@pytest.mark.slow
def test_names_in_the_page_are_text(reported: tuple[str, str, Path]) -> None:
    page = reported[2].read_text(encoding="utf-8")
    soup = BeautifulSoup(page, "html.parser")
    assert "alert(1)" not in " ".join(s.text for s in soup.select("script") if not s.get("type"))
    assert "y_<script>alert(1)</script>" in soup.text and "y_$a_1^2$" in soup.text
    assert "y_=1+1" in soup.text
    assert not soup.select("[src^=http], link, [href^=http]")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no program named chromium: nothing to open")
def test_the_page_opens_offline_asks_for_nothing_and_its_table_sorts(
    reported: tuple[str, str, Path],
) -> None:
    with chromium() as browser, Visit(browser, reported[2], width=390) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        for summary in visit.page.locator("summary").all():
            summary.click()
        table = visit.page.locator("details .nt-tasks", has_text="runs to decide").first
        head = table.locator("thead button", has_text="difference")
        orders = []
        for sort in ("ascending", "descending"):
            head.click()
            expect(head.locator("..")).to_have_attribute("aria-sort", sort)
            cells = table.locator("tbody td:nth-child(3)").all_inner_texts()
            orders.append([float(cell) for cell in cells])
        assert orders[0] == sorted(orders[0]) and orders[1] == orders[0][::-1]
        alpha = visit.page.get_by_role("slider", name="alpha")
        picture = visit.page.locator("details .nt-explorer", has=alpha).locator("img:visible")
        seen = []
        for key in ("Home", "End"):
            alpha.press(key)
            seen.append(picture.get_attribute("src"))
        assert len(set(seen)) == 2
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        assert visit.said == []
        assert [url for url in visit.asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.slow
def test_a_page_that_is_there_is_said_to_be_replaced(
    found: Audit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["mtl_nt.audit.audit"], "audit", lambda *a, **k: found)
    monkeypatch.setattr("mtl_nt.audit.page.audit_page", lambda _: report.GENERATOR_TAG.decode())
    words = ["report", "dial-unrelated", "--out", str(tmp_path / "page.html")]
    assert main(words) == 0 and "replaces" not in capsys.readouterr().err
    assert main(words) == 0
    assert capsys.readouterr().err == f"replaces {tmp_path / 'page.html'}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["digits", "--alphas", "abc"], "--alphas 'abc'"),
        (["digits", "--alphas=-1"], "alpha -1"),
        (["digits", "--seeds", "0"], "seeds 0"),
        (["digits", "--seeds", "many"], "--seeds 'many'"),
        (["digits", "--methods", "LBTV"], "did you mean 'LBTW'"),
        (["digits", "--budget", "soon"], "budget 'soon'"),
        (["digits", "--steps", "some"], "no whole number"),
        (["digits", "--folds", "5"], "--folds is for a table"),
        (["digits", "--targets", "y_*"], "--targets is for a table"),
        (["digitz"], "did you mean 'digits'"),
        (["missing.csv"], "missing.csv"),
        ([], "required"),
        (["digits", "--colour", "red"], "unrecognized"),
    ],
)
def test_a_bad_command_line_is_one_line_and_exit_2(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and len(printed.err.strip().splitlines()) <= 2
    assert "Traceback" not in printed.err and not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("case", [*test_table.TABLES, *test_table.FILES])
def test_a_table_or_file_with_a_fault_is_one_line_exit_2_and_no_page(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--out={tmp_path / 'page.html'}"]
    if case in test_table.FILES:
        name, content, _ = test_table.FILES[case]
        path = tmp_path / name
        path.write_bytes(content)
    else:
        change, options, _ = test_table.TABLES[case]
        path = test_table.saved(change(test_table.example()), tmp_path / "my.csv")
        for option, value in options.items():
            several = isinstance(value, (list, tuple))
            words.append(f"--{option}={','.join(value) if several else value}")
    before = set(tmp_path.iterdir())
    assert main(["report", str(path), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("mtl_nt: ") and len(error.splitlines()) == 1
    assert "Traceback" not in error and set(tmp_path.iterdir()) == before


def test_an_output_that_cannot_be_written_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file" / "page.html"):
        begin = time.perf_counter()
        assert main(["report", "digits", "--out", str(out)]) == 2
        assert "cannot write" in capsys.readouterr().err
        assert time.perf_counter() - begin < 5


@pytest.mark.slow
def test_mixed_tasks_are_counted_and_never_averaged() -> None:
    """A mean of PR-AUCs and errors means nothing; the verdicts of both do."""
    data = load("dial-unrelated")
    y = data.y.clone()
    known = ~y[:, 0].isnan()
    y[known, 0] = (y[known, 0] > 0).float()
    mixed = replace(data, y=y, kind=["binary", *["regression"] * 8], unit=None, redraw=None)
    study = compare(mixed, ["MTL", "LBTW"], [0.5], [100, 101], steps=10, progress=False)
    plan = Plan(("MTL", "LBTW"), False, False, (0.5,), (100, 101), 1.0)
    made = {"seconds": 1.0, "rows": 1, "features": 1, "split": "fixed", "parts": [1, 1, 1]}
    made |= {"version": "0", "torch": "0"}
    found = Audit("mixed", study, plan, None, label_counts(mixed), (), made)
    known = findings(found)["detectable"]
    assert set(known) == {"PR-AUC", "MSE"}
    rows = found.main_study.transfer().query("method == 'MTL'").set_index("task")["detectable"]
    for metric, ends in known.items():
        own = rows[[task for task in rows.index if found.main_study.metric[task] == metric]]
        assert ends == [own.min(), own.max()]
    (line,) = (s for s in sentences(found) if s.startswith("MTL harms "))
    assert " in PR-AUC" in line and " in MSE" in line
    assert " standard errors (95% interval " in sentences(found)[0]
    mean = arm_tables(found.main_study).mean_name
    assert mean == "mean difference from STL, in standard errors"
    assert BeautifulSoup(task_table(found), "html.parser").select("tbody tr")


# ---------------------------------------------------------------- a folder that another has written


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small audit."""
    folder = tmp_path_factory.mktemp("kept")
    audit("dial-unrelated", folder=folder, say=quiet, **LESS)
    return folder


def in_column(table: str, column: str, value: Any) -> Callable[[Any], object]:
    return lambda found: found["tables"][table][column].__setitem__(0, value)


FORGED: dict[str, tuple[str, Callable[[Any], object]]] = {
    "a key too many": ("audit.json", lambda found: found.update(more=1)),
    "a key too few": ("audit.json", lambda found: found.pop("notes")),
    "a name that is no text": ("audit.json", lambda found: found.update(name=["x"])),
    "notes that are no list": ("audit.json", lambda found: found.update(notes="abc")),
    "a column too many": ("audit.json", lambda f: f["tables"]["results"].update(x=[])),
    "a short column": ("audit.json", lambda found: found["tables"]["history"]["loss"].pop()),
    "text for a number": ("audit.json", in_column("results", "value", "0.5")),
    "a number for text": ("audit.json", in_column("results", "task", 5)),
    "true for a number": ("audit.json", in_column("results", "seed", True)),
    "another task": ("audit.json", in_column("results", "task", "<b>")),
    "another method": ("audit.json", in_column("results", "method", "<b>")),
    "another run": ("audit.json", in_column("training", "seed", 7)),
    "a number too large": ("audit.json", in_column("training", "steps", 2**64)),
    "a row twice": ("audit.json", in_column("results", "seed", 101)),
    "an unknown metric": ("audit.json", lambda f: f["metric"].update({"related 1": "<b>"})),
    "a task twice": ("audit.json", lambda f: f["labels"]["task"].__setitem__(0, "related 2")),
    "an unknown kind": ("audit.json", lambda found: found["labels"]["kind"].__setitem__(0, "<b>")),
    "an unknown method": ("audit.json", lambda found: found["plan"]["methods"].append("<b>")),
    "other runs": ("audit.json", lambda found: found["plan"]["seeds"].append(7)),
    "a setting that is none": ("audit.json", lambda found: found["recipe"].update(steps=-1)),
    "endless seconds": ("audit.json", lambda found: found["made"].update(seconds=math.inf)),
    "an option of objects": ("audit.json", lambda found: found["made"]["options"].update(x={})),
    "a cosine of 2": ("audit.json", lambda f: f["affinity"]["cosines"][0][0].__setitem__(0, 2.0)),
    "a pair too few": ("audit.json", lambda found: found["affinity"]["cosines"][0].pop()),
    "a share of 2": ("audit.json", lambda f: f["affinity"]["common_labels"][0].__setitem__(1, 2.0)),
    "no share": (
        "audit.json",
        lambda f: f["affinity"]["common_labels"][0].__setitem__(1, math.nan),
    ),
    "a map that is no table": ("affinity.json", lambda found: found["cosines"].append(1)),
    "a map of cosines alone": ("affinity.json", lambda found: found.pop("common_labels")),
    "an empty map": ("affinity.json", lambda found: []),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FORGED)
def test_what_a_folder_may_not_say_is_refused_in_one_line(
    case: str, kept: Path, tmp_path: Path
) -> None:
    name, change = FORGED[case]
    folder = tmp_path / "kept"
    shutil.copytree(kept, folder)
    store = AuditFolder(folder, json.loads((folder / "asked.json").read_text()))
    found = store.get(name)
    changed = change(found)
    (folder / name).unlink()
    store.put(name, changed if isinstance(changed, (str, list)) else found)
    if name != FILE:
        (folder / FILE).unlink()
    said = f"{folder / name} is no audit of this version; give another folder"
    refused(lambda: audit("dial-unrelated", folder=folder, say=quiet, **LESS), said[-60:])


@pytest.mark.slow
def test_a_folder_that_says_what_it_may_is_read(kept: Path, tmp_path: Path) -> None:
    """So that the cases above are refused for what was changed."""
    shutil.copytree(kept, tmp_path / "kept")
    said: list[str] = []
    audit("dial-unrelated", folder=tmp_path / "kept", say=said.append, **LESS)
    (tmp_path / "kept" / FILE).unlink()
    audit("dial-unrelated", folder=tmp_path / "kept", say=quiet, **LESS)
    assert "already" in said[0]


def test_a_file_that_is_nested_too_deeply_is_refused(kept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(kept, folder)
    store = AuditFolder(folder, json.loads((folder / "asked.json").read_text()))
    text = "[" * 100_000 + "]" * 100_000
    (folder / FILE).write_text(f"{store._checksum(FILE, text)}\n{text}")
    refused(lambda: audit("dial-unrelated", folder=folder, say=quiet, **LESS), "no audit of this")


def test_an_own_file_of_a_data_set_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("smiles,a\nC,1\n")
    first, again = (Source("tox21", {"file": path}).identity for _ in range(2))
    path.write_text("smiles,a\nC,0\n")
    assert first == again != Source("tox21", {"file": path}).identity
    assert "files" not in Source("tox21", {}).identity
