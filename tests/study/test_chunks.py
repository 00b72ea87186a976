"""Chunks of networks, put together, are the stack; tuned methods choose as they say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
import torch
from reference import classes, table
from refusals import refused
from sklearn.metrics import average_precision_score

from mtl_nt import (
    AMTFL,
    METHODS,
    UAMTFL,
    Fixed,
    Method,
    Recipe,
    compare,
    load,
    plain,
    tuned,
    with_alpha,
)
from mtl_nt.study import chunks
from mtl_nt.study.chunks import TrainingJob, bytes_per_network, plan_chunks, train
from mtl_nt.study.search import Candidate, rate_candidates, weight_candidates
from mtl_nt.tasks import Split, TaskData

RECIPE = Recipe(trunk=(5, 4), steps=24, batch_size=8, learning_rate=0.01, dropout=0.2)
RUNS, SEEDS = [table(0), table(1)], (3, 8)
CLASSES = [classes(0), classes(1)]
MTL = METHODS["MTL"]
NETWORKS = [name for name, method in METHODS.items() if method.predictor is None]
SAMPLED = Method("U-AMTFL, sampled", with_alpha(UAMTFL, reading="sample"), alpha=True)


def job(
    method: Method, memory: float, alphas: tuple[float, ...] = (0.1, 0.9), **options: Any
) -> TrainingJob:
    alphas = alphas if method.alpha else (math.nan,)
    recipe = replace(RECIPE, steps=12, **method.settings)
    runs = CLASSES if recipe.loss == "softmax" else RUNS
    return TrainingJob(
        method, runs, SEEDS, alphas, recipe, {"dtype": torch.float64, **options}, 3, memory
    )


# ----------------------------------------------------------------------------------- chunks


# One network or one a task, in stages, one a target, with alphas, tuned, predictions by chance.
WAYS = ("MTL", "STL", "Fine-Tuning", "RMTL", "LBTW", "Scalarisation", SAMPLED.name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "checkpoint"),
    [(name, "best_per_task") for name in (*NETWORKS, SAMPLED.name)]
    + [(name, checkpoint) for name in WAYS for checkpoint in ("last", "best_mean")],
)
def test_chunks_give_what_the_whole_stack_gives(name: str, checkpoint: str) -> None:
    method = METHODS.get(name, SAMPLED)
    whole, one_by_one, in_fives = (
        job(method, memory, checkpoint=checkpoint)
        for memory in (math.inf, 1.0, 5.5 * bytes_per_network(job(method, 1.0)))
    )
    networks = sum(p.stop - p.start for p in plan_chunks(whole))
    assert len(plan_chunks(whole)) == len({c.settings for c in whole.candidates})
    assert len(plan_chunks(one_by_one)) == networks
    expected = chunks.merge_chunks(
        whole, [chunks.train_chunk(whole, p) for p in plan_chunks(whole)]
    )
    for cut in (one_by_one, in_fives):
        if plan_chunks(cut) == plan_chunks(whole):
            continue  # no more than five networks: they are together anyway
        assert all(p.stop - p.start <= (1 if cut is one_by_one else 5) for p in plan_chunks(cut))
        found = chunks.merge_chunks(cut, [chunks.train_chunk(cut, p) for p in plan_chunks(cut)])
        assert torch.equal(found.chosen, expected.chosen)
        for field in ("data", "seed", "trained", "scored", "group", "focus"):
            assert torch.equal(getattr(found.replicas, field), getattr(expected.replicas, field))
        tables = [(t.predictions, *vars(t.history).values()) for t in (found, expected)]
        for mine, other in zip(*tables, strict=True):
            if isinstance(mine, torch.Tensor) and mine.dtype.is_floating_point:
                assert torch.allclose(mine, other, rtol=1e-6, atol=1e-9, equal_nan=True)
            else:
                same = torch.equal(mine, other) if isinstance(mine, torch.Tensor) else mine == other
                assert same


DEEP = replace(METHODS["Deep-AMTFL"], weighter=plain(AMTFL, alpha=0.1))
PASSES = replace(DEEP, weighter=plain(UAMTFL, alpha=0.1, reading="variance", passes=10))
ONE_HOT = replace(MTL, settings={"loss": "softmax"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [MTL, DEEP, PASSES, ONE_HOT], ids=["MTL", "Deep-AMTFL", "ten passes", "CNN"]
)
def test_what_a_network_takes_is_no_more_than_planned(method: Method) -> None:
    recipe = Recipe(trunk=(300, 200), steps=2, batch_size=256, dropout=0.5, batch_norm=True)
    recipe = replace(recipe, **method.settings)
    mine = TrainingJob(method, [wide()], [0], [math.nan], recipe, {})
    planned = bytes_per_network(mine)
    measured = (most_alive(method, recipe, 9) - most_alive(method, recipe, 1)) / 8
    assert 0.5 * planned < measured < planned


def wide() -> TaskData:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(400, 100, generator=random)
    y = torch.eye(4)[torch.randint(4, (400,), generator=random)]
    rows = torch.arange(400)
    split = Split(rows[:300], rows[:0], rows[300:])
    return TaskData("wide", x, y, ("a", "b", "c", "d"), "binary", split, exclusive=True)


def most_alive(method: Method, recipe: Recipe, networks: int) -> int:
    """Bytes of all tensors at the moment when they are most, in a training of so many networks."""
    data = wide()
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=cpu, profile_memory=True) as profile:
        train(method, [data] * networks, range(networks), recipe)
    alive = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            most = max(most, alive)
    return most


# ----------------------------------------------------------------------------------- tuning

TRIALS = 5


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", ["last", "best_mean", "best_per_task"])
@pytest.mark.parametrize("name", ["MTL, tuned", "Scalarisation"])
def test_a_tuned_method_is_the_candidate_that_it_chose(name: str, checkpoint: str) -> None:
    options = {"checkpoint": checkpoint, "dtype": torch.float64}
    found = train(METHODS[name], RUNS, SEEDS, RECIPE, trials=TRIALS, **options)
    for run, chosen in enumerate(found.chosen[0].tolist()):
        expected = alone(name, chosen, RUNS, **options)
        n = len(RUNS[run].split.test)
        mine, other = (t.predictions[0, run, :n] for t in (found, expected))
        assert torch.allclose(mine, other, rtol=0, atol=1e-9)
        for field in ("losses", "weights", "validation"):
            mine, other = (getattr(t.history, field)[:, run] for t in (found, expected))
            assert torch.allclose(mine, other, atol=1e-6, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MTL, tuned", "Scalarisation"])
def test_every_run_chooses_what_its_validation_rows_like_best(name: str) -> None:
    found = train(METHODS[name], RUNS, SEEDS, RECIPE, trials=TRIALS, dtype=torch.float64)
    swapped = [
        replace(r, split=replace(r.split, test=r.split.validation, validation=r.split.test))
        for r in RUNS
    ]
    values = np.zeros((TRIALS, len(RUNS), 3))  # 0 for a task that nobody can score: no difference
    for k in range(TRIALS):
        outputs = alone(name, k, swapped, dtype=torch.float64).predictions[0]
        for run, data in enumerate(swapped):
            y = reference.targets(data)[data.split.test].numpy()
            guess, there = outputs[run, : len(y)].numpy(), ~np.isnan(y)
            values[k, run, 1] = -np.square(y[:, 1] - guess[:, 1])[there[:, 1]].mean()
            for t in (0, 2):
                if len({*y[there[:, t], t]}) == 2:
                    score = average_precision_score(y[there[:, t], t], guess[there[:, t], t])
                    values[k, run, t] = score
    assert np.ptp(values, 0).max(1).min() > 1e-3  # there is something to choose
    # An error and two PR-AUCs: each task's scores count in units of their spread.
    gap = values - np.median(values, 0)
    spread = 1.4826 * np.median(np.abs(gap), 0)
    spread = np.where(spread > 0, spread, values.std(0))  # where most are equal
    mean = np.arcsinh(gap / np.where(spread > 0, spread, 1)).mean(2)
    assert found.chosen[0].tolist() == mean.argmax(0).tolist()


def alone(name: str, number: int, runs: list[TaskData], **options: Any) -> chunks.TrainedMethod:
    """Plain training of one candidate."""
    search = METHODS[name].search
    assert search is not None
    candidate = search(TRIALS, 3, RECIPE)[number]
    recipe = replace(RECIPE, **dict(candidate.settings))
    weights = torch.tensor([candidate.weights or (1.0, 1.0, 1.0)], dtype=torch.float64)
    method = Method("mine", lambda given: Fixed(weights))
    return train(method, runs, SEEDS, recipe, **options)


def test_all_tuned_methods_try_equally_many_candidates_and_first_the_untuned_one() -> None:
    for search in (rate_candidates, weight_candidates):
        found = search(30, 4, RECIPE)
        assert len({*found}) == 30
        assert found == search(30, 4, RECIPE)
        assert found[:7] == search(7, 4, RECIPE)
    assert rate_candidates(30, 4, RECIPE)[0] == Candidate()
    assert weight_candidates(30, 4, RECIPE)[0] == Candidate(weights=(1.0,) * 4)


def test_the_candidates_lie_where_their_docstrings_say() -> None:
    settings = [dict(c.settings) for c in rate_candidates(4001, 4, RECIPE)[1:]]
    rate = np.log10([s["learning_rate"] / RECIPE.learning_rate for s in settings])
    decay = np.log10([s["weight_decay"] for s in settings])
    for numbers, low, high in ((rate, -1, 1), (decay, -6, -2)):
        assert low <= numbers.min() < low + 0.01 * (high - low)
        assert high >= numbers.max() > high - 0.01 * (high - low)
        assert np.median(numbers) == pytest.approx((low + high) / 2, abs=0.1)
    weights = np.array([c.weights for c in weight_candidates(4001, 4, RECIPE)[1:]])
    assert np.allclose(weights.sum(1), 4)
    logs = np.log(weights[:, 0] / weights[:, 1])  # of two standard normal numbers
    assert logs.std() == pytest.approx(math.sqrt(2), rel=0.05)


def test_a_budget_of_one_is_the_untuned_method() -> None:
    plain = train(MTL, RUNS, SEEDS, RECIPE).predictions
    for name in ("MTL, tuned", "Scalarisation"):
        assert torch.equal(train(METHODS[name], RUNS, SEEDS, RECIPE).predictions, plain)


def test_a_candidate_that_diverges_is_not_chosen() -> None:
    def wild(trials: int, tasks: int, recipe: Recipe) -> list[Candidate]:
        return [Candidate((("learning_rate", rate),)) for rate in (1e9, 1e-9, 1e8)]

    found = train(replace(MTL, name="wild", search=wild), RUNS, SEEDS, RECIPE)
    assert found.chosen.tolist() == [[1, 1]]
    assert not found.history.diverged.any()


def test_a_method_with_alphas_chooses_for_every_alpha() -> None:
    method = tuned("LBTW")
    both = train(method, RUNS, SEEDS, RECIPE, (0.1, 0.9), trials=3, dtype=torch.float64)
    for a, alpha in enumerate((0.1, 0.9)):
        one = train(method, RUNS, SEEDS, RECIPE, (alpha,), trials=3, dtype=torch.float64)
        assert torch.equal(both.chosen[a], one.chosen[0])
        assert torch.allclose(both.predictions[a], one.predictions[0], atol=1e-9)


def test_the_study_says_what_was_chosen_and_what_it_cost() -> None:
    call = {"seeds": 2, "steps": 20, "trials": 4, "progress": False}
    study = compare(load("dial"), ("MTL", "MTL, tuned", "Scalarisation"), **call)
    training = study.training.set_index(["method", "seed"])
    assert (training.loc["MTL", "candidates"] == 1).all()
    assert training.loc["MTL", "networks"].tolist() == [1, 1]
    for name in ("MTL, tuned", "Scalarisation"):
        assert training.loc[name, "candidates"].tolist() == [4, 4]
        assert training.loc[name, "networks"].tolist() == [4, 4]
    every = rate_candidates(4, 9, study.recipe)
    for seed in (0, 1):
        row = training.loc["MTL, tuned", :].loc[seed]
        chosen = replace(study.recipe, **dict(every[row["chosen"]].settings))
        assert row["learning_rate"] == chosen.learning_rate
        assert row["weight_decay"] == chosen.weight_decay


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"data": load("mnist")}, ("MTL, tuned", "validation rows")),
        ({"trials": 0}, ("trials 0", "1 or more")),
        ({"trials": 2.5}, ("trials 2.5", "whole number")),
        ({"memory": 0}, ("memory 0", "above 0")),
        ({"memory": math.nan}, ("memory nan", "above 0")),
    ],
)
def test_what_cannot_be_tuned_or_cut_is_refused(call: dict, words: tuple[str, ...]) -> None:
    usual: dict[str, Any] = {"data": load("dial"), "methods": ("MTL, tuned",), "progress": False}
    refused(lambda: compare(**{**usual, **call}), *words)


def test_a_method_is_tuned_once() -> None:
    refused(lambda: tuned("MTL, tuned"), "'MTL, tuned'", "already")
    assert tuned("DWA").name == "DWA, tuned"


def test_what_has_no_networks_is_not_tuned() -> None:
    refused(lambda: tuned("Ridge"), "'Ridge'", "no learning rate")
