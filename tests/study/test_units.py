"""No verdict depends on a unit, and no mean is over several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mtl_nt import Split, Study, TaskData, compare, figures
from mtl_nt.study import has_one_unit, keep, sizes_of, stored
from mtl_nt.study.sharing import PARTNER, measured_transfer
from mtl_nt.study.verdicts import groups_of

UNITS = (1.0, 1000.0, 0.001)


def table() -> TaskData:
    """300 rows, 8 features, and 3 regressions."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(300, 8, generator=random).double()
    y = x @ torch.randn(8, 3, generator=random).double()
    y = y + 0.5 * torch.randn(300, 3, generator=random).double()
    rows = torch.arange(300)
    split = Split(rows[:180], rows[180:240], rows[240:])
    return TaskData("own", x, y, ("a", "b", "c"), "regression", split)


def trained(data: TaskData) -> Study:
    return compare(data, "MTL", seeds=4, steps=60, trunk=(16, 8), progress=False)


def of_mtl(study: Study, metric: str | None = None) -> pd.DataFrame:
    tests = study.transfer(metric)
    return tests[tests["method"] == "MTL"].set_index("task")


def test_a_verdict_by_an_error_as_measured_is_the_same_in_every_unit() -> None:
    plain = table()
    units = torch.tensor(UNITS).double()
    other = TaskData("own", plain.x, units * plain.y, plain.tasks, "regression", plain.split)
    one, several = trained(plain), trained(other)
    for metric, power in (("MSE (raw)", 2), ("MAE", 1)):
        given, changed = of_mtl(one, metric), of_mtl(several, metric)
        size = np.array(UNITS) ** power
        for column in ("delta", "low", "high", "detectable"):
            assert np.allclose(changed[column], size * given[column], rtol=1e-3), column
        assert np.allclose(changed["p"], given["p"], rtol=0.02)
        assert changed["verdict"].to_list() == given["verdict"].to_list()
        assert several.counts(metric)["mean"].isna().all()
        assert one.counts(metric)["mean"].notna().all()
        whole = several.overall(metric).set_index("method").loc["MTL"]
        assert whole["unit"] == "standard errors" and abs(whole["delta"]) < 100
        assert one.overall(metric).set_index("method").loc["MTL", "unit"] == metric


EFFECTS = (0.25, 0.25, 0.0, 0.0, -0.25, 0.1)


def brought(
    metric: str = "RMSE",
    units: Sequence[float] = (1.0,) * 6,
    level: float = 1.0,
    shift: float = 0.0,
) -> Study:
    """Scores of six tasks in these units. An effect is that on the value, whatever is better."""
    random = np.random.default_rng(4)
    rows = [
        (method, seed, f"t{task}", units[task] * (level + worse + noise + shift))
        for method in ("STL", "Mine", "Other")
        for seed in range(5)
        for task in range(6)
        for noise in [0.05 * random.standard_normal()]
        for worse in [EFFECTS[task] * {"STL": 0, "Mine": 1, "Other": -0.5}[method]]
    ]
    known = {"profit": False, "my loss": True}
    return Study.from_scores(
        pd.DataFrame(rows, columns=["method", "seed", "task", "value"]),
        metric=metric,
        lower_is_better={metric: known[metric]} if metric in known else None,
    )


SEVERAL = ((1, 1, 1000, 1000, 0.001, 0.001), (1, 1, 1, 1, 1, 10), (50, 50, 1, 1, 1, 1))
METRICS = (
    *(("RMSE", 1.0), ("neg_RMSE", -1.0), ("profit", 1.0), ("my loss", -1.0), ("log loss", 1.0)),
    *(("profit", 0.0), ("my loss", 0.0), ("log likelihood", -1.0), ("NLL", 0.0), ("PSNR", 30.0)),
)


@pytest.mark.parametrize(("metric", "level"), METRICS)
@pytest.mark.parametrize("units", SEVERAL)
def test_scores_that_somebody_brings_in_several_units_are_judged_as_in_one(
    metric: str, level: float, units: Sequence[float]
) -> None:
    one, several = brought(metric, level=level), brought(metric, units, level)
    given, changed = one.transfer(), several.transfer()
    assert changed["verdict"].to_list() == given["verdict"].to_list()
    assert {*given["verdict"]} == {"harmed", "helped", "undecided"}
    assert np.allclose(changed["p"], given["p"], rtol=1e-6)
    assert np.allclose(changed["delta"], np.array(units * 2) * given["delta"])
    # The plan takes the same method for every task, and its mean is in a unit, or in none.
    assert dict(several.task_plan().choices) == dict(one.task_plan().choices)
    far = max(units) / min(units) > 100
    for found in (
        several.overall().set_index("method").loc["Mine", "unit"],
        several.task_plan().unit,
    ):
        assert found == ("standard errors" if far else metric)
    assert several.counts()["mean"].isna().all() == far and one.counts()["mean"].notna().all()
    if far:
        assert several.task_plan().apparent < 100
        drawing = figures.task_differences(several)
        assert "lose" in drawing.title and metric not in drawing.title.partition(",")[2]


def test_the_verdicts_on_a_log_likelihood_are_the_same_in_every_unit_of_the_labels() -> None:
    given = brought("NLL", level=-1.0).transfer()
    for shift in (0.99, 1.4, 8.0):
        moved = brought("NLL", level=-1.0, shift=shift).transfer()
        assert np.allclose(moved["p"], given["p"], rtol=1e-6)


def test_a_metric_without_a_unit_is_taken_as_it_is() -> None:
    study = brought("R2", level=0.5)
    assert sizes_of(study, study.scores("STL"), None).tolist() == [1.0] * 6
    assert {*groups_of(study, study.scores("STL"), None)} == {"R2"}


def test_where_a_task_has_no_known_level_the_others_still_borrow() -> None:
    rows = brought("RMSE").results.copy()
    rows.loc[(rows["task"] == "t0") & (rows["method"] == "STL"), "value"] = 0.0
    study = Study.from_scores(rows, metric="RMSE")
    alone = study.scores("STL")
    assert groups_of(study, alone, None) == ["RMSE of t0", *["RMSE"] * 5]
    assert has_one_unit(study, alone, None)
    assert of_mine(study)["t0"] == "harmed"


def of_mine(study: Study) -> dict[str, str]:
    found = study.transfer().query("method == 'Mine'")
    return dict(zip(found["task"], found["verdict"], strict=True))


@pytest.mark.parametrize("units", [(1.0, 1000.0, 0.001), (10.0, 1.0, 1.0)])
def test_what_a_partner_does_is_the_same_in_every_unit(units: Sequence[float]) -> None:
    def found(by: Sequence[float]) -> pd.DataFrame:
        random = np.random.default_rng(0)
        rows = [
            (method, seed, task, by["abc".index(task)] * (1 + worse + 0.05 * random.normal()))
            for method in ("STL", *(PARTNER + task for task in "abc"))
            for seed in range(5)
            for task in "abc"
            for worse in [0.2 * (method != "STL") * ((task == "a") - (task == "b"))]
        ]
        made = pd.DataFrame(rows, columns=["method", "seed", "task", "value"])
        return measured_transfer(Study.from_scores(made, metric="RMSE"))

    given, changed = found((1.0, 1.0, 1.0)), found(units)
    assert changed["verdict"].to_list() == given["verdict"].to_list()
    assert {"harmed", "helped", "undecided"} == {*given["verdict"]}
    assert np.allclose(changed["adjusted"], given["adjusted"], rtol=1e-6)


def raw(unit: float, split: Split | None = None) -> TaskData:
    plain = table()
    return replace(plain, y=unit * plain.y, split=split or plain.split, standardise=False)


def verdicts(study: Study) -> set[str]:
    return {*study.transfer()["verdict"]}


@pytest.mark.parametrize("seed", range(3))
def test_networks_that_have_hardly_moved_from_0_have_learned_nothing(seed: int) -> None:
    """Raw targets in millions: 0 may be nearer to one test part than the training mean is."""
    rows = torch.randperm(300, generator=torch.Generator().manual_seed(seed))
    split = Split(rows[:180], rows[180:240], rows[240:])
    study = trained(raw(1e6, split))
    assert study.raw_targets
    assert verdicts(study) == {"not learned"}


def test_raw_targets_that_networks_fit_are_learned() -> None:
    study = compare(raw(1.0), "MTL", seeds=4, steps=300, trunk=(16, 8), progress=False)
    assert study.raw_targets and "not learned" not in verdicts(study)


def test_a_study_that_is_kept_knows_that_its_targets_are_raw(tmp_path: Path) -> None:
    study = trained(raw(1e6))
    again = stored(keep(study, tmp_path / "kept"))
    assert again.raw_targets
    assert {*of_mtl(again)["verdict"]} == {*of_mtl(study)["verdict"]} == {"not learned"}
    assert not trained(table()).raw_targets
