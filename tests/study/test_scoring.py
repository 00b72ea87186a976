"""From trained networks to tables: what the history keeps, and targets on any scale."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mtl_nt import METHODS, Recipe, Split, Study, TaskData, compare, load
from mtl_nt.study import chunks, train
from mtl_nt.study.chunks import TrainingJob, plan_chunks, train_chunk

STEPS = 60
DATA = load("dial-combined")  # ten tasks


def quick(data: TaskData = DATA, methods: Any = ("MTL", "RMTL"), **settings: Any) -> Study:
    return compare(data, methods, seeds=2, progress=False, **{"steps": STEPS, **settings})


def histories(study: Study, method: str) -> pd.DataFrame:
    return study.history[study.history["method"] == method]


def test_the_history_of_a_network_for_each_task_has_its_own_task_alone() -> None:
    study, recipe = quick(methods="MTL"), Recipe.for_single_task(DATA, steps=STEPS)
    rows = histories(study, "STL")
    assert (rows["network"] == rows["task"]).all()
    assert len(rows) == 2 * len(DATA.tasks) * chunks.HISTORY_POINTS
    runs = [DATA.for_seed(seed) for seed in (0, 1)]
    trained = train(METHODS["STL"], runs, [0, 1], recipe)
    losses = trained.history.losses  # points, networks, tasks
    assert losses.shape == (STEPS, 20, 10)
    for r, (seed, task) in enumerate((s, t) for s in (0, 1) for t in range(10)):
        mine = rows[(rows["seed"] == seed) & (rows["task"] == DATA.tasks[task])]
        whole = losses[mine["step"].to_numpy() - 1, r]
        np.testing.assert_array_equal(mine["loss"], whole[:, task])
        assert whole[:, torch.arange(10) != task].isnan().all()


def test_networks_with_one_task_keep_one_column_of_numbers() -> None:
    runs = [DATA.for_seed(0)]
    recipe = Recipe.for_data(DATA, steps=STEPS)
    columns = {}
    for name in ("STL", "Fine-Tuning", "MTL", "RMTL"):
        job = TrainingJob(METHODS[name], runs, [0], [math.nan], recipe, {})
        (chunk,) = plan_chunks(job)
        columns[name] = {t.shape[2] for t in train_chunk(job, chunk)[2:5]}
    assert columns == {"STL": {1}, "Fine-Tuning": {1}, "MTL": {10}, "RMTL": {10}}


@pytest.mark.slow
def test_where_networks_and_tasks_are_many_points_are_fewer_and_means_of_more_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = quick()
    monkeypatch.setattr(chunks, "HISTORY_ROWS", 2000)
    fewer = quick()
    pd.testing.assert_frame_equal(fewer.results, everything.results, check_exact=True)
    for method in ("STL", "MTL"):  # which are within the limit
        one, other = histories(fewer, method), histories(everything, method)
        pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))
    rows = histories(fewer, "RMTL")
    assert len(rows) == 2000
    assert sorted(rows["step"].unique()) == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60]
    runs = [DATA.for_seed(seed) for seed in (0, 1)]
    recipe = Recipe.for_data(DATA, steps=STEPS)
    every = train(METHODS["RMTL"], runs, [0, 1], recipe, record=1).history.weights[:, 0, 1]
    mine = rows.query("seed == 0 and network == 'related 1' and task == 'related 2'")
    labelled = ~every.isnan()
    expected = [every[k : k + 6][labelled[k : k + 6]].mean() for k in range(0, STEPS, 6)]
    np.testing.assert_allclose(mine["weight"], expected, atol=1e-6)


def regression(scale: float) -> TaskData:
    """Three tasks that eight features tell, in units of this scale."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(300, 8, generator=random)
    y = torch.tanh(x @ torch.randn(8, 3, generator=random) / 2)
    y = scale * (y + 0.2 * torch.randn(300, 3, generator=random))
    rows = torch.arange(300)
    split = Split(rows[:180], rows[180:240], rows[240:])
    return TaskData("units", x, y, ("a", "b", "c"), "regression", split)


@pytest.mark.slow
def test_a_target_in_millions_is_learned_as_one_in_units_is() -> None:
    found = [
        quick(regression(scale), "MTL", steps=200, trunk=(16, 8)).scores("STL").mean()
        for scale in (1.0, 1e6)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3)
    raw = quick(replace(regression(1e6), standardise=False), "MTL", steps=200, trunk=(16, 8))
    guess = raw.scores("Constant").mean()
    assert (raw.scores("STL").mean() > 0.95 * guess).all()  # what would happen otherwise
    assert (found[0] < 0.5 * guess).all()
