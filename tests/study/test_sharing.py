"""Which tasks share a network: a set's network, the pairs, and the groups that pairs find."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused

from mtl_nt import Recipe, Study, TaskData, compare, load
from mtl_nt.study import METHODS, keep, stored, train
from mtl_nt.study.sharing import (
    FOUND,
    GROUPS,
    MOST_TASKS,
    PARTNER,
    add_sharing,
    best_grouping,
    measured_transfer,
    pair_gains,
    train_sets,
    validation_gains,
)

SETTINGS: dict[str, Any] = {"trunk": (4,), "steps": 6}
RECIPE = Recipe(**SETTINGS, batch_size=64)
SEEDS = (100, 101)


@pytest.fixture(scope="module")
def data() -> TaskData:
    """Three related tasks and one outsider."""
    return load("dial", tasks=(3, 1))


@pytest.fixture(scope="module")
def plain(data: TaskData) -> Study:
    return compare(data, "MTL", seeds=SEEDS, progress=False, batch_size=64, **SETTINGS)


@pytest.fixture(scope="module")
def study(plain: Study, data: TaskData) -> Study:
    return add_sharing(plain, [data.for_seed(s) for s in SEEDS], RECIPE)


def groupings(tasks: list[int]) -> Iterator[list[list[int]]]:
    """All ways to group these tasks."""
    if not tasks:
        yield []
        return
    for rest in groupings(tasks[1:]):
        yield [[tasks[0]], *rest]
        for k, group in enumerate(rest):
            yield [*rest[:k], [tasks[0], *group], *rest[k + 1 :]]


def promise(gains: np.ndarray, grouping: list[list[int]]) -> float:
    return sum(
        np.mean([gains[other, task] for other in group if other != task])
        for group in grouping
        if len(group) > 1
        for task in group
    )


# ---------------------------------------------------------------- the networks of sets


def test_the_network_of_all_tasks_is_mtls(data: TaskData) -> None:
    run, every = data.for_seed(100), tuple(range(len(data.tasks)))
    (mtl,) = train(METHODS["MTL"], [run], [100], RECIPE).predictions[0]
    found = train_sets(run, 100, RECIPE, [(0, 1), every])
    assert torch.allclose(found.outputs[1], mtl, atol=1e-6)
    assert not torch.allclose(found.outputs[0, :, :2], mtl[:, :2], atol=1e-3)


def test_a_sets_network_is_the_same_whatever_trains_beside_it(data: TaskData) -> None:
    run = data.for_seed(100)
    alone = train_sets(run, 100, RECIPE, [(0, 3)])
    beside = train_sets(run, 100, RECIPE, [(1, 2), (0, 1, 2, 3), (0, 3)])
    assert torch.allclose(alone.outputs[0], beside.outputs[2], atol=1e-6)
    assert torch.allclose(alone.validation[0], beside.validation[2], equal_nan=True)


def test_a_set_learns_nothing_from_rows_that_are_labelled_for_others_alone(
    data: TaskData,
) -> None:
    run = data.for_seed(100)
    changed = run.y.clone()
    changed[:, 2:] += torch.randn(changed[:, 2:].shape)
    other = replace(run, y=changed, redraw=None)
    one, two = (train_sets(each, 100, RECIPE, [(0, 1)]) for each in (run, other))
    assert torch.equal(one.outputs[0, :, :2], two.outputs[0, :, :2])


# ---------------------------------------------------------------- the groups that pairs find


@pytest.mark.parametrize("seed", range(5))
def test_the_grouping_is_the_best_of_all(seed: int) -> None:
    gains = np.random.default_rng(seed).normal(-0.2, 1, (5, 5))
    every = [*groupings([0, 1, 2, 3, 4])]
    assert len(every) == 52  # Bell's number
    best = max(every, key=lambda each: promise(gains, each))
    found = best_grouping(gains)
    assert sorted(found) == sorted(tuple(sorted(group)) for group in best)


def test_tasks_that_only_harm_each_other_stay_alone_and_all_that_help_stay_together() -> None:
    assert best_grouping(np.full((4, 4), -1.0)) == [(0,), (1,), (2,), (3,)]
    assert best_grouping(np.full((3, 3), 1.0)) == [(0, 1, 2)]


def test_a_gain_is_read_from_partner_to_task(data: TaskData) -> None:
    sets = [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    trained = train_sets(data.for_seed(100), 100, RECIPE, sets)
    alone = np.zeros(4)
    gains = pair_gains(trained, alone)
    assert gains[0, 1] == pytest.approx(float(trained.validation[0, 1]))
    assert gains[1, 0] == pytest.approx(float(trained.validation[0, 0]))
    assert gains[2, 1] == pytest.approx(float(trained.validation[2, 1]))
    assert (gains[3] == 0).all()  # no pair has it


# ---------------------------------------------------------------- in a study


def test_every_method_scores_every_task_in_every_run(study: Study, data: TaskData) -> None:
    partners = [PARTNER + task for task in data.tasks]
    added = [method for method, _ in study.arms()][-2 - len(partners) :]
    counts = study.counts().set_index("method")
    assert {*added} == {GROUPS, FOUND, *partners}
    for method in added:
        assert study.scores(method).notna().all(axis=None)
        assert study.scores(method).shape == (2, 4)
    assert counts.loc[GROUPS, "networks"] == 2  # related, outsider
    assert counts.loc[PARTNER + "related 1", "networks"] == 3
    assert 6 < counts.loc[FOUND, "networks"] <= 6 + 4
    assert study.validation.groupby("method").size().eq(8).all()


def test_a_task_that_is_its_own_partner_shows_chance(study: Study, data: TaskData) -> None:
    for task in data.tasks:
        delta, chance = study.delta(PARTNER + task), study.delta("STL'")
        pd.testing.assert_series_equal(delta[task], chance[task])
        others = [t for t in data.tasks if t != task]
        assert not np.isclose(delta[others], chance[others]).any()


def test_two_partners_share_one_network(study: Study, data: TaskData) -> None:
    run = data.for_seed(101)
    trained = train_sets(run, 101, RECIPE, [(1, 3)])
    rows = study.validation.query("seed == 101").set_index(["method", "task"])["value"]
    assert rows["with related 2", "outsider 1"] == pytest.approx(float(trained.validation[0, 3]))
    assert rows["with outsider 1", "related 2"] == pytest.approx(float(trained.validation[0, 1]))


def test_an_executor_changes_nothing(plain: Study, study: Study, data: TaskData) -> None:
    runs = [data.for_seed(s) for s in SEEDS]
    with ThreadPoolExecutor(2) as pool:
        other = add_sharing(plain, runs, RECIPE, executor=pool)
    pd.testing.assert_frame_equal(other.results, study.results)
    pd.testing.assert_frame_equal(other.validation, study.validation)


def test_the_order_of_the_runs_changes_nothing(study: Study, data: TaskData) -> None:
    backwards = SEEDS[::-1]
    other = compare(data, "MTL", seeds=backwards, progress=False, batch_size=64, **SETTINGS)
    other = add_sharing(other, [data.for_seed(s) for s in backwards], RECIPE)
    keys = ["method", "seed", "task", "metric"]
    both = study.results.merge(other.results, on=keys, suffixes=("", " backwards"))
    assert len(both) == len(study.results)
    pd.testing.assert_series_equal(
        both["value"], both["value backwards"], check_names=False, rtol=1e-5
    )


def test_it_is_kept_and_read_again(study: Study, tmp_path: Path) -> None:
    again = stored(keep(study, tmp_path / "kept"))
    assert [method for method, _ in again.arms()] == [method for method, _ in study.arms()]
    pd.testing.assert_frame_equal(again.delta(FOUND), study.delta(FOUND), atol=1e-3)
    assert len(again.validation) == len(study.validation)


def test_named_groups_take_the_place_of_the_datas(plain: Study, data: TaskData) -> None:
    runs = [data.for_seed(s) for s in SEEDS]
    mixed = {"odd": data.tasks[::2], "even": data.tasks[1::2]}
    found = add_sharing(plain, runs, RECIPE, mixed)
    pair = found.validation[found.validation["method"] == PARTNER + data.tasks[0]]
    own = found.validation[found.validation["method"] == GROUPS]
    of = [t.set_index(["seed", "task"])["value"][100, data.tasks[2]] for t in (pair, own)]
    assert of[0] == of[1]  # the group is this pair


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"a": ["related 1"]}, ("task 'related 2' is in 0 groups",)),
        (
            {"a": ["related 1", "related 2"], "b": ["related 2", "related 3", "outsider 1"]},
            ("task 'related 2' is in 2 groups",),
        ),
        ({"a": ["relatd 1"]}, ("unknown task 'relatd 1'", "did you mean 'related 1'")),
    ],
)
def test_groups_that_are_none_are_refused(
    plain: Study, data: TaskData, groups: dict[str, list[str]], words: tuple[str, ...]
) -> None:
    runs = [data.for_seed(s) for s in SEEDS]
    refused(lambda: add_sharing(plain, runs, RECIPE, groups), "dial", *words)


def test_what_cannot_be_grouped_is_refused(plain: Study, data: TaskData) -> None:
    runs = [replace(data.for_seed(s), groups=None, redraw=None) for s in SEEDS]
    refused(lambda: add_sharing(plain, runs, RECIPE), "no groups", "give groups")
    bare = replace(plain, validation=plain.validation[:0])
    runs = [data.for_seed(s) for s in SEEDS]
    refused(lambda: add_sharing(bare, runs, RECIPE), "scores on validation rows")
    many = np.zeros((MOST_TASKS + 1,) * 2)
    refused(lambda: best_grouping(many), f"{MOST_TASKS} tasks or fewer")


# ---------------------------------------------------------------- read from a study


def test_measured_transfer_is_the_difference_from_the_baseline_by_partner(
    study: Study, data: TaskData
) -> None:
    table = measured_transfer(study).set_index(["partner", "task"])
    assert len(table) == 12
    assert ("related 1", "related 1") not in table.index
    delta = study.delta(PARTNER + "outsider 1")["related 2"]
    row = table.loc["outsider 1", "related 2"]
    assert row["delta"] == pytest.approx(delta.mean())
    assert row["low"] < row["delta"] < row["high"]
    refused(lambda: measured_transfer(study, "F1"), "unknown metric 'F1'")


def test_what_a_run_measured_on_validation_rows_finds_its_groups_again(
    study: Study, data: TaskData
) -> None:
    gains = validation_gains(study)
    assert [*gains] == [*SEEDS]
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for seed in SEEDS:
        trained = train_sets(data.for_seed(seed), seed, RECIPE, pairs)
        rows = study.validation.query("method == 'STL' and seed == @seed").set_index("task")
        alone = rows["value"][[*data.tasks]].to_numpy()
        found = pair_gains(trained, alone)
        order = [str(task) for task in study.scores("STL")]
        assert order == [*data.tasks]
        np.testing.assert_allclose(gains[seed], found, atol=1e-5)


def test_a_study_without_pairs_has_no_measured_transfer(plain: Study) -> None:
    refused(lambda: measured_transfer(plain), "no pairs of tasks", "add_sharing")
    refused(lambda: validation_gains(plain), "no pairs of tasks")
