"""The floor of boosted trees: what it learns, from which rows, and how it is asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

from mtl_nt import METHODS, Split, TaskData, compare
from mtl_nt.bits import Bits
from mtl_nt.study.trees import trees
from mtl_nt.training import scores


def steps(seed: int = 0, validation: int = 60) -> TaskData:
    """Two tasks that jump where a feature crosses 0, as no line can; a third of chance."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((460, 4)).astype(np.float32)
    jump = 10.0 * (x[:, 0] > 0) + 5.0 * (x[:, 1] > 0.5)
    y = np.stack([jump, x[:, 0] * x[:, 1] > 0, rng.random(460) > 0.5], 1).astype(np.float32)
    y[rng.random(y.shape) < 0.1] = math.nan
    rows = torch.arange(460)
    return TaskData(
        name="steps",
        x=torch.from_numpy(x),
        y=torch.from_numpy(y),
        tasks=("jump", "quadrant", "chance"),
        kind=("regression", "binary", "binary"),
        split=Split(rows[:300], rows[300 : 300 + validation], rows[360:]),
    )


@pytest.mark.slow
def test_trees_learn_jumps_and_corners_and_not_chance() -> None:
    run = steps()
    found = scores(run, "test", trees(run))
    assert found["R2"][0] > 0.95
    assert found["ROC-AUC"][1] > 0.95
    assert abs(found["ROC-AUC"][2] - 0.5) < 0.2


@pytest.mark.slow
def test_without_validation_rows_they_are_those_of_scikit_learn() -> None:
    run = steps(validation=0)
    rows = run.split.train[run.labelled[run.split.train, 0]]
    x, y = run.x.numpy(), run.targets.double().numpy()  # type: ignore[union-attr]
    plain = HistGradientBoostingRegressor(early_stopping=False, random_state=3)
    plain.fit(x[rows], y[rows, 0])
    wanted = plain.predict(x[run.split.test.numpy()])
    np.testing.assert_allclose(trees(run, seed=3)[:, 0].numpy(), wanted)


@pytest.mark.slow
def test_labels_of_test_rows_are_never_looked_at() -> None:
    run = steps()
    blank = run.y.clone()
    blank[run.split.test] = 1 - blank[run.split.test].nan_to_num()
    assert torch.equal(trees(replace(run, y=blank)), trees(run))


@pytest.mark.slow
def test_rows_of_ones_and_zeros_will_do() -> None:
    run = steps()
    ones = run.x > 0  # type: ignore[operator]
    dense, bits = (replace(run, x=x) for x in (ones.float(), Bits.from_dense(ones)))
    assert torch.equal(trees(bits), trees(dense))


@pytest.mark.slow
def test_a_comparison_may_have_them_by_name() -> None:
    assert METHODS["Trees"].trained(9) == 0
    study = compare(steps(), ["MTL", "Trees"], seeds=2, steps=5, trunk=[4], progress=False)
    delta = study.delta("Trees")
    assert (delta["jump"] > 0.3).all()
    assert "Trees" not in {*study.task_plan().table["choice"]}  # a plan trains networks
