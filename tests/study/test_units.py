"""No verdict depends on a unit, and no mean is over several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mtl_nt import Split, Study, TaskData, compare, figures
from mtl_nt.study import keep, stored

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


def brought(units: np.ndarray) -> Study:
    """RMSE of six tasks in these units; the second method is worse by five standard deviations."""
    random = np.random.default_rng(4)
    rows = [
        (method, seed, f"t{task}", units[task] * (1 + worse + 0.05 * random.standard_normal()))
        for method, worse in (("STL", 0.0), ("Mine", 0.25))
        for seed in range(5)
        for task in range(6)
    ]
    return Study.from_scores(
        pd.DataFrame(rows, columns=["method", "seed", "task", "value"]), metric="RMSE"
    )


def test_scores_that_somebody_brings_in_several_units_are_judged_as_in_one() -> None:
    mixed = np.array([1, 1, 1000, 1000, 0.001, 0.001])
    one, several = brought(np.ones(6)), brought(mixed)
    given, changed = one.transfer(), several.transfer()
    assert changed["verdict"].to_list() == given["verdict"].to_list() == ["harmed"] * 6
    # In one unit the variances are of errors; in several, of errors relative to STL's.
    assert np.allclose(np.log(changed["p"]), np.log(given["p"]), rtol=0.1)
    assert np.allclose(changed["delta"], mixed * given["delta"])
    assert several.counts()["mean"].isna().all()
    drawing = figures.task_differences(several)
    assert "lose" in drawing.title and "RMSE" not in drawing.title.partition(",")[2]


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
