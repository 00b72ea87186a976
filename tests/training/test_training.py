"""The training loop: batches, histories, checkpoints, stopping, divergence, order of the stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import reference
import torch
from reference import KINDS, table
from sklearn.metrics import average_precision_score
from torch import Tensor

import mtl_nt
from mtl_nt import load
from mtl_nt.errors import BadInput
from mtl_nt.networks.recipe import Recipe
from mtl_nt.tasks import Split, TaskData
from mtl_nt.training.batches import BatchSampler, Replicas
from mtl_nt.training.combined_table import CombinedTable
from mtl_nt.training.loop import FitResult, Stopped, fit
from mtl_nt.weighters.base import Weighter
from mtl_nt.weighters.dwa import DWA
from mtl_nt.weighters.gradnorm import GradNorm
from mtl_nt.weighters.lbtw import LBTW
from mtl_nt.weighters.random_weights import RandomWeights
from mtl_nt.weighters.rmtl import RMTL
from mtl_nt.weighters.shuffled import Shuffled
from mtl_nt.weighters.uncertainty import Uncertainty
from mtl_nt.weighters.uniform import Uniform

T = len(KINDS)
RUNS = [table(0), table(1)]
RECIPE = Recipe(trunk=(5, 4), steps=20, batch_size=8, learning_rate=0.02, dropout=0.2)
# A bias before batch norm has no gradient; without decay, Adam makes steps of its rounding errors.
NORMED = replace(RECIPE, batch_norm=True, activation="tanh", weight_decay=1e-3)


def stack(
    data: Sequence[int],
    seeds: Sequence[int],
    trained: Sequence[Sequence[int]] | None = None,
    focus: Sequence[int] | None = None,
) -> Replicas:
    """Networks of one run each; each trains on `trained` tasks (all) and is scored on all."""
    on = torch.zeros(len(data), T, dtype=torch.bool)
    for row, tasks in zip(on, trained or [range(T)] * len(data), strict=True):
        row[list(tasks)] = True
    everything = torch.ones_like(on)
    aims = torch.tensor(focus or [-1] * len(data))
    return Replicas(
        torch.tensor(data), torch.tensor(seeds), on, everything, torch.arange(len(data)), aims
    )


def one(run: int = 0, seed: int = 3, **options: Any) -> Replicas:
    return stack([run], [seed], **options)


# ---------------------------------------------------------------- batches


def epochs(replicas: Replicas, size: int, at_least: int = 1, count: int = 60) -> list[list[Tensor]]:
    """The first network's batches, epoch by epoch; the last one may be cut off."""
    batches = BatchSampler(RUNS, replicas, size, at_least)
    rows = [
        (int(b.epoch[0]), bool(b.first[0]), b.rows[0][b.valid[0]]) for b in batches.steps(count)
    ]
    found = [list(group) for _, group in groupby(rows, key=lambda row: row[0])]
    assert [group[0][0] for group in found] == list(range(len(found)))
    for group in found:
        assert [first for _, first, _ in group] == [True] + [False] * (len(group) - 1)
    return [[rows for _, _, rows in group] for group in found]


@pytest.mark.parametrize("tasks", [[0], [2], [0, 1], [0, 1, 2]])
def test_an_epoch_is_one_pass_over_the_rows_labelled_for_a_task_that_is_trained(
    tasks: list[int],
) -> None:
    train = RUNS[1].split.train
    own = train[RUNS[1].labelled[train][:, tasks].any(1)].tolist()
    passes = epochs(one(1, trained=[tasks]), size=6)[:-1]
    for batches in passes:
        assert sorted(torch.cat(batches).tolist()) == own
        assert [len(rows) for rows in batches[:-1]] == [6] * (len(batches) - 1)
    orders = {tuple(torch.cat(batches).tolist()) for batches in passes}
    assert len(passes) >= len(orders) > 5


def test_an_epochs_last_batch_is_left_out_where_it_is_too_small() -> None:
    assert {len(rows) for batches in epochs(one(1), 8) for rows in batches} == {8, 1}
    assert {len(rows) for batches in epochs(one(1), 8, 2) for rows in batches} == {8}


def test_a_batch_without_a_label_of_the_target_is_skipped() -> None:
    there = RUNS[0].labelled[:, 2]
    every = [rows for batches in epochs(one(), 4) for rows in batches]
    focused = [rows for batches in epochs(one(focus=[2]), 4) for rows in batches]
    assert not all(there[rows].any() for rows in every)
    assert all(there[rows].any() for rows in focused)
    kept = [rows.tolist() for rows in every if there[rows].any()]
    assert [rows.tolist() for rows in focused][: len(kept)] == kept


def test_an_epoch_without_any_batch_is_not_counted() -> None:
    torch.manual_seed(0)
    y = torch.randn(10, 2)
    y[1:9, 1] = math.nan  # the target's one label is in the batch of one row, or in that of eight
    rows = torch.arange(10)
    split = Split(rows[:9], rows[:0], rows[9:])
    run = TaskData("rare", torch.randn(10, 3), y, ("a", "b"), "regression", split)
    on, zero = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, dtype=torch.int64)
    batches = BatchSampler([run], Replicas(zero, zero, on, on, zero, zero + 1), 8, at_least=2)
    found = [(bool(b.first), int(b.epoch)) for b in batches.steps(40)]
    assert found == [(True, epoch) for epoch in range(40)]


def test_networks_with_the_same_seed_and_rows_share_their_batches() -> None:
    replicas = stack([0, 0, 0, 1], [3, 3, 4, 3], trained=[[0, 1, 2], [0, 1, 2], [0, 1, 2], [0]])
    batches = BatchSampler(RUNS, replicas, 8)
    first = next(iter(batches.steps(1)))
    assert batches.stream.tolist() == [0, 0, 1, 2]
    assert len(first.rows) == 3
    assert not torch.equal(first.rows[0], first.rows[1])


def test_too_few_rows_are_refused_in_one_line() -> None:
    with pytest.raises(BadInput, match="it needs 6 or more") as refused:
        BatchSampler(RUNS, one(0, trained=[[2]]), 8, at_least=6)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1, "batch_norm": True}, "batch_norm"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"weight_decay": -1e-3}, "weight_decay"),
        ({"schedule": "linear"}, "'cosine'"),
        ({"activation": "tan"}, "'tanh'"),
        ({"activation": ["relu", "tan"]}, "'tanh'"),
        ({"activation": ("relu", "tanh", "relu")}, "one a hidden layer"),
        ({"batch_norm_momentum": 0.0}, "batch_norm_momentum 0.0"),
        ({"batch_norm_momentum": 1.5}, "batch_norm_momentum 1.5"),
        ({"stepz": 3}, "'steps'"),
        ({"trunk": "tiny"}, "small"),
    ],
)
def test_an_impossible_recipe_is_refused_in_one_line(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named) as refused:
        Recipe.for_data(RUNS[0], **wrong)
    assert "\n" not in str(refused.value)


def test_large_features_of_a_single_run_stay_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, numbers = RUNS[0], torch.tensor([[0, 3, 32], [32, 1, 2]])
    for own in (None, torch.tensor([1, 0])):
        copied = CombinedTable([run], "cpu", torch.float64, own)
        with monkeypatch.context() as patched:
            patched.setattr("mtl_nt.training.combined_table.LARGE_TABLE", 0)
            kept, both = (CombinedTable(runs, "cpu", torch.float64, own) for runs in ([run], RUNS))
        assert kept.large is not None and both.large is None
        assert kept.large.data_ptr() == run.x.data_ptr()  # type: ignore[union-attr]
        for again in (False, True, True):
            mine, theirs = (t.rows(numbers, again) for t in (kept, copied))
            assert all(torch.equal(*pair) for pair in zip(mine, theirs, strict=True))
            assert torch.equal(mine.x, kept.inputs(numbers))
    whole = fit([run], one(), Uniform(), RECIPE)
    monkeypatch.setattr("mtl_nt.training.combined_table.LARGE_TABLE", 0)
    assert torch.equal(fit([run], one(), Uniform(), RECIPE).outputs, whole.outputs)


# ---------------------------------------------------------------- history, progress, stop


def test_a_history_has_the_means_of_its_windows_over_the_labelled_batches() -> None:
    recipe = replace(RECIPE, steps=11, batch_size=3)
    every, windows = (
        fit(RUNS, stack([0, 1], [3, 3]), LBTW(0.5), recipe, record=n).history for n in (1, 3)
    )
    assert (every.window, windows.window) == (1, 3)
    assert len(every.losses) == 11
    assert every.losses.isnan().any()
    for steps, points in ((every.losses, windows.losses), (every.weights, windows.weights)):
        assert len(points) == 4  # of three, three, three and two steps
        for point, chunk in zip(points, steps.split(3), strict=True):
            assert torch.allclose(point, chunk.nanmean(0), rtol=1e-5, equal_nan=True)


def test_a_history_has_no_number_for_a_task_that_is_not_trained() -> None:
    history = fit(RUNS, stack([0, 0], [3, 3], trained=[[0, 1], [2]]), Uniform(), RECIPE).history
    assert not history.losses[:, 0, :2].isnan().all(0).any()
    assert history.losses[:, 0, 2].isnan().all()
    assert history.weights[:, 1, :2].isnan().all()


@pytest.mark.slow
def test_a_history_is_about_200_points_long() -> None:
    recipe = replace(RECIPE, steps=450)
    history = fit(RUNS, one(), Uniform(), recipe).history
    assert (history.window, len(history.losses)) == (3, 150)


def test_progress_is_called_once_a_step() -> None:
    done: list[int] = []
    fit(RUNS, one(), Uniform(), RECIPE, progress=done.append)
    assert done == [1] * RECIPE.steps


@pytest.mark.parametrize("after", [0, 1, 13])
def test_a_training_that_is_told_to_stop_stops_at_once(after: int) -> None:
    done: list[int] = []
    with pytest.raises(Stopped):
        fit(RUNS, one(), Uniform(), RECIPE, progress=done.append, stop=lambda: len(done) >= after)
    assert len(done) == after


# ---------------------------------------------------------------- checkpoints


WAVERING = replace(RECIPE, dropout=0.0, learning_rate=0.3, schedule="constant", batch_size=4)


def looks(replicas: Replicas) -> tuple[Tensor, Tensor]:
    """Outputs `[steps, R, rows, T]` on validation and test rows after each step.

    With a constant learning rate, a training of k steps is the first k steps of a longer one.
    """
    whole = [
        replace(
            run,
            split=Split(
                run.split.train,
                run.split.train[:0],
                torch.cat([run.split.validation, run.split.test]),
            ),
        )
        for run in RUNS
    ]
    found = [
        fit(whole, replicas, Uniform(), replace(WAVERING, steps=k + 1)).predictions
        for k in range(WAVERING.steps)
    ]
    outputs = torch.stack(found)
    return outputs[:, :, :6], outputs[:, :, 6:]


def score(run: TaskData, outputs: Tensor, task: int) -> float:
    """Average precision, or minus the mean squared error in standard deviations."""
    y = reference.targets(run)[run.split.validation, task]
    there = ~y.isnan()
    truth, guess = y[there].numpy(), outputs[there, task].double().numpy()
    if KINDS[task] == "regression":
        return -float(np.square(truth - guess).mean())
    return (
        float(average_precision_score(truth, guess)) if 0 < truth.sum() < len(truth) else math.nan
    )


@pytest.fixture(scope="module")
def seen() -> tuple[Replicas, Tensor, Tensor, np.ndarray]:
    replicas = stack([0, 1, 1], [3, 3, 5])
    validation, test = looks(replicas)
    scores = np.array(
        [
            [[score(RUNS[d], step[r], t) for t in range(T)] for r, d in enumerate([0, 1, 1])]
            for step in validation
        ]
    )  # (steps, R, T)
    return replicas, validation, test, scores


def test_best_mean_keeps_every_runs_best_look_at_the_validation_rows(seen: Any) -> None:
    replicas, _, test, scores = seen
    best = np.nanmean(scores, 2).argmax(0)
    assert len(set(best)) > 1
    assert best.min() < WAVERING.steps - 1
    kept = fit(RUNS, replicas, Uniform(), WAVERING, checkpoint="best_mean").predictions
    for r, step in enumerate(best):
        assert torch.allclose(kept[r], test[step, r], rtol=1e-5)


def test_best_per_task_keeps_every_tasks_own_best_look(seen: Any) -> None:
    replicas, _, test, scores = seen
    kept = fit(RUNS, replicas, Uniform(), WAVERING, checkpoint="best_per_task").predictions
    chosen = set()
    for r in range(len(replicas)):
        for t in range(T):
            scored = not np.isnan(scores[:, r, t]).any()
            step = scores[:, r, t].argmax() if scored else WAVERING.steps - 1
            assert torch.allclose(kept[r, :, t], test[step, r, :, t], rtol=1e-5)
            chosen.add(step)
    assert len(chosen) > 3


def test_the_last_checkpoint_is_the_last_step(seen: Any) -> None:
    replicas, _, test, _ = seen
    kept = fit(RUNS, replicas, Uniform(), WAVERING).predictions
    assert torch.allclose(kept, test[-1], rtol=1e-5)


def test_a_history_has_the_validation_loss_of_every_look(seen: Any) -> None:
    replicas, validation, _, _ = seen
    history = fit(RUNS, replicas, Uniform(), WAVERING).history
    assert history.validation.shape == (20, 3, T)
    for r, d in enumerate([0, 1, 1]):
        run = RUNS[d]
        y = reference.targets(run)[run.split.validation]
        for t, kind in enumerate(KINDS):
            for step in (0, 7, 19):
                expected = reference.loss(
                    validation[step, r, :, t].double(), y[:, t], kind, "labelled"
                )
                assert expected is not None
                assert history.validation[step, r, t].item() == pytest.approx(
                    expected.item(), rel=1e-4
                )


def test_a_checkpoint_rule_needs_validation_rows() -> None:
    run = RUNS[0]
    bare = replace(run, split=replace(run.split, validation=run.split.train[:0]))
    assert len(fit([bare], one(), Uniform(), RECIPE).history.validation) == 0
    with pytest.raises(BadInput, match="needs validation rows"):
        fit([bare], one(), Uniform(), RECIPE, checkpoint="best_mean")


def test_an_unknown_checkpoint_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="'best_mean'"):
        fit(RUNS, one(), Uniform(), RECIPE, checkpoint="best-mean")  # type: ignore[arg-type]


# ---------------------------------------------------------------- divergence


EVERY: dict[str, Callable[[], Weighter]] = {
    "Uniform": Uniform,
    "LBTW": lambda: LBTW(0.5),
    "LBTW as printed": lambda: LBTW(0.5, normalise=False),
    "RMTL": lambda: RMTL(0),
    "GradNorm": lambda: GradNorm(0.5),
    "Uncertainty": Uncertainty,
    "DWA": DWA,
    "RandomWeights": RandomWeights,
    "Shuffled": lambda: Shuffled(Uncertainty()),
}


@pytest.mark.parametrize("recipe", [RECIPE, NORMED], ids=["plain", "batch norm"])
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_a_diverged_replica_is_flagged_and_changes_no_other(
    make: Callable[[], Weighter], recipe: Recipe
) -> None:
    y = RUNS[1].y.clone()
    y[:, 1] = y[:, 1].sign() * 1.5e308  # twice that is more than double precision holds
    wild = replace(RUNS[1], y=y, standardise=False)
    runs = [RUNS[0], wild]
    beside = fit(runs, stack([0, 1, 0], [3, 3, 4]), make(), recipe, dtype=torch.float64)
    alone = fit(runs, stack([0, 0], [3, 4]), make(), recipe, dtype=torch.float64)
    assert beside.history.diverged.tolist() == [False, True, False]
    assert alone.history.diverged.tolist() == [False, False]
    assert beside.predictions[1].isnan().all()
    assert (beside.predictions[[0, 2]] - alone.predictions).abs().max().item() < 1e-12
    for many, few in zip(beside.network.parameters(), alone.network.parameters(), strict=True):
        assert (many[[0, 2]] - few).abs().max().item() < 1e-12


def test_a_checkpoint_is_never_a_look_at_which_a_network_of_its_run_had_diverged() -> None:
    wild = replace(WAVERING, trunk=(5, 4), learning_rate=1e9)  # regression is lost after a step
    own = torch.eye(T, dtype=torch.bool)
    zero = torch.zeros(T, dtype=torch.int64)
    singles = Replicas(zero, zero + 3, own, own, zero, zero - 1)
    last, kept = (
        fit(RUNS[:1], singles, Uniform(), wild, checkpoint=rule) for rule in ("last", "best_mean")
    )
    assert last.predictions[0].isfinite().all(0).tolist() == [True, False, True]
    assert kept.predictions.isfinite().all()
    assert kept.history.diverged.tolist() == [False, True, False]


# ---------------------------------------------------------------- the stack


@pytest.mark.parametrize("recipe", [RECIPE, NORMED], ids=["plain", "batch norm"])
@pytest.mark.slow
def test_training_in_any_order_and_in_any_chunks_gives_the_same_networks(recipe: Recipe) -> None:
    data, seeds = [0, 1, 0, 1, 0], [3, 3, 4, 5, 3]
    tasks = [[0, 1, 2], [0, 1, 2], [0, 1], [2], [1]]
    alphas = [0.1, 0.5, 1.0, 0.0, 2.0]

    def trained(kept: Sequence[int], kind: type) -> FitResult:
        chosen = ([every[k] for k in kept] for every in (data, seeds, tasks))
        weighter = kind([alphas[k] for k in kept])
        return fit(RUNS, stack(*chosen), weighter, recipe, dtype=torch.float64)

    for kind in (LBTW, GradNorm):
        together = trained(range(5), kind)
        for chunk in ([4, 2, 0, 3, 1], [3], [1, 0], [2, 4]):
            some = trained(chunk, kind)
            assert (some.predictions - together.predictions[chunk]).abs().max().item() < 1e-12
            for few, many in zip(
                some.network.state_dict().values(),
                together.network.state_dict().values(),
                strict=True,
            ):
                assert (few - many[chunk]).abs().max().item() < 1e-12
            assert torch.allclose(
                some.history.weights, together.history.weights[:, chunk], equal_nan=True
            )


def test_a_longer_run_beside_it_pads_the_predictions_of_a_run_and_changes_nothing() -> None:
    split = RUNS[0].split
    split = replace(split, validation=split.validation[:4], test=split.test[:4])
    short = replace(RUNS[0], split=split)
    beside = fit([short, RUNS[1]], stack([0, 1], [3, 3]), Uniform(), RECIPE)
    alone = fit([short], one(), Uniform(), RECIPE)
    assert (alone.predictions.shape, beside.predictions.shape) == ((1, 4, T), (2, 6, T))
    assert (beside.predictions[0, :4] - alone.predictions[0]).abs().max().item() < 1e-6
    losses = (alone.history.validation[:, 0], beside.history.validation[:, 0])
    assert torch.allclose(*losses, rtol=1e-5, equal_nan=True)


def test_products_in_bfloat16_are_coarser_and_end_near() -> None:
    recipe = replace(RECIPE, steps=40)
    whole, coarse = (
        fit(RUNS, stack([0, 1], [3, 4]), LBTW(0.5), recipe, precision=p) for p in ("full", "bf16")
    )
    gap = (whole.predictions - coarse.predictions).abs().max()
    assert 1e-5 < gap < 0.1 * whole.predictions.abs().max()
    assert coarse.predictions.dtype == coarse.network.head.weight.dtype == torch.float32
    with pytest.raises(BadInput, match="'bf16'"):
        fit(RUNS, one(), Uniform(), RECIPE, precision="bf32")  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("weighter", [LBTW(0.5), RMTL([0, 1]), GradNorm(0.5)], ids=repr)
def test_a_gpu_ends_where_the_cpu_does(weighter: Any) -> None:
    recipe = replace(RECIPE, steps=40, dropout=0.25)
    both = [
        fit(RUNS, stack([0, 1], [3, 4]), weighter, recipe, device=device).predictions.cpu()
        for device in ("cpu", "cuda")
    ]
    assert (both[0] - both[1]).abs().max() < 1e-3 * both[0].abs().max()


def test_the_same_training_twice_is_the_same_to_the_bit() -> None:
    first, second = (fit(RUNS, stack([0, 1], [3, 4]), LBTW(0.5), RECIPE) for _ in range(2))
    assert torch.equal(first.predictions, second.predictions)


def test_an_untrained_tasks_head_stays_as_it_began() -> None:
    network = fit(RUNS, one(trained=[[0, 1]]), Uniform(), RECIPE).network
    short = fit(RUNS, one(trained=[[0, 1]]), Uniform(), replace(RECIPE, steps=1)).network
    assert torch.equal(network.head.weight[0, :, 2], short.head.weight[0, :, 2])
    assert not torch.equal(network.head.weight[0, :, 0], short.head.weight[0, :, 0])


def test_a_trunk_that_is_taken_over_brings_its_statistics_and_no_head() -> None:
    recipe = replace(RECIPE, batch_norm=True)
    early = fit(RUNS, one(trained=[[0, 1]]), Uniform(), recipe).network
    still = replace(recipe, steps=1, learning_rate=1e-30)
    later = fit(RUNS, one(trained=[[2]]), Uniform(), still, trunk_from=early).network
    fresh = fit(RUNS, one(trained=[[2]]), Uniform(), still).network
    for name, kept in later.trunk.named_parameters():
        assert torch.equal(kept, early.trunk.get_parameter(name))
    assert torch.equal(later.head.weight, fresh.head.weight)
    for norm in ("blocks.0.norm", "blocks.1.norm"):
        before, after, new = (
            n.trunk.get_submodule(norm).running_var for n in (early, later, fresh)
        )
        moved = (after - 0.9 * before) / 0.1  # the one batch's variance
        assert (moved > -1e-5).all()
        assert not torch.allclose(after, new, rtol=0.05)


def test_a_loss_that_explodes_and_stays_finite_is_named_diverged() -> None:
    calm = mtl_nt.compare(load("dial"), ("MTL",), seeds=1, steps=40, progress=False)
    wild = mtl_nt.compare(
        load("dial"),
        ("MTL",),
        seeds=1,
        steps=40,
        learning_rate=30.0,
        schedule="constant",
        progress=False,
    )
    assert not calm.training["diverged"].any()
    last = wild.history.query("method == 'MTL'").groupby("task")["loss"].last()
    assert last.notna().all() and (last < float("inf")).all()
    assert wild.training.query("method == 'MTL'")["diverged"].all()
    assert wild.counts().set_index("method").loc["MTL", "harmed"] == 0
