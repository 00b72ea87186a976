"""How far tasks' gradients agree: the cosines of an MTL network against those of autograd."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from torch import Tensor

from mtl_nt import RMTL, Method, Recipe, Split, TaskData, load, plain
from mtl_nt.networks import Adam, Network, ParameterGroup, trunk_gramian
from mtl_nt.study import TRAINING_STAGES, gradient_affinity, make_replicas, train
from mtl_nt.study.affinity import common_labels
from mtl_nt.study.methods import METHODS
from mtl_nt.training import BatchSampler

Rows = tuple[Tensor, Tensor]  # features and targets of a batch


def batches(data: TaskData, recipe: Recipe, seed: int) -> list[Rows]:
    """The batches that a run's MTL network sees."""
    replicas = make_replicas(METHODS["MTL"], 1, [seed], len(data.tasks))
    drawn = BatchSampler([data], replicas, recipe.batch_size).steps(recipe.steps)
    rows = [b.rows[0][b.valid[0]] for b in drawn]
    assert isinstance(data.x, Tensor)
    return [(data.x[r].flatten(1), data.targets[r]) for r in rows]


def errors_and_losses(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Squared errors' gradients at the outputs, and the tasks' mean losses."""
    there = ~y.isnan()
    gap = torch.where(there, outputs - y.nan_to_num(), 0.0)
    count = there.sum(0).clamp_min(1)
    return 2 * gap.detach() / count, gap.square().sum(0) / count


def cosines(gradients: Tensor) -> Tensor:
    """The cosines of all pairs of different tasks; NaN where one has no gradient."""
    direction = gradients / gradients.norm(dim=1, keepdim=True)
    return (direction @ direction.T)[~torch.eye(len(gradients), dtype=torch.bool)]


def watched(data: TaskData, recipe: Recipe, seed: int) -> dict[str, Tensor]:
    """The cosines in every step of an MTL network's training, `[steps, pairs]`, by their place:
    all that the tasks share, by autograd; the last shared layer; the heads.
    """
    network = Network([seed], math.prod(data.x.shape[1:]), len(data.tasks), recipe)
    adam = Adam([ParameterGroup([*network.parameters()], recipe.learning_rate)], fused=False)
    shared = [*network.trunk.parameters()]
    found: dict[str, list[Tensor]] = {"all": [], "last": [], "heads": []}
    for x, y in batches(data, recipe, seed):
        forward_pass, outputs = network(x.unsqueeze(0), torch.ones(1, len(x), dtype=torch.bool))
        errors, losses = errors_and_losses(outputs[0], y)
        own = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses]
        found["all"].append(
            cosines(torch.stack([torch.cat([g.flatten() for g in o]) for o in own]))
        )
        gramian = trunk_gramian(errors.unsqueeze(0), network.head.weight.detach(), forward_pass)[0]
        length = gramian.diagonal().sqrt()
        off = ~torch.eye(len(length), dtype=torch.bool)
        found["last"].append((gramian / length.outer(length))[off])
        found["heads"].append(cosines(errors.T @ forward_pass.features[0].detach()))
        adam.zero_grad()
        losses.sum().backward()
        adam.step(1.0)
    return {place: torch.stack(steps).detach() for place, steps in found.items()}


def correlation(one: Tensor, other: Tensor) -> float:
    known = one.isfinite() & other.isfinite()
    return float(np.corrcoef(one[known], other[known])[0, 1])


@pytest.mark.parametrize("scenario", ["unrelated", "dominant", "noisy"])
@pytest.mark.parametrize(
    ("trunk", "least"),
    [({}, 0.95), ({"trunk": (64, 32), "activation": "relu"}, 0.85)],
    ids=["dial's own trunk", "two layers"],
)
def test_the_last_shared_layer_tells_what_all_shared_weights_would(
    scenario: str, trunk: dict[str, Any], least: float
) -> None:
    data = load("dial", scenario=scenario)
    recipe = Recipe.for_data(data, steps=40, **trunk)
    found = [watched(data.for_seed(seed), recipe, seed) for seed in (100, 101)]
    every = {place: torch.cat([f[place] for f in found]) for place in found[0]}
    assert correlation(every["last"], every["all"]) >= least
    assert correlation(every["heads"], every["all"]) < 0.7  # of which the heads tell less


def test_a_stages_cosine_is_the_mean_over_its_batches_and_runs() -> None:
    data = load("digits")
    recipe = Recipe.for_data(data, trunk=(12,), steps=40, schedule="constant", weight_decay=0.0)
    ends = [0, 1, 2, 8, 20, 40]
    linear = replace(data, kind="regression", exclusive=False, standardise=False)
    cosine, common = gradient_affinity(linear, [100, 101], recipe)
    assert (common == 1).all()
    off = ~np.eye(10, dtype=bool)
    runs = [watched(linear, recipe, seed)["last"] for seed in (100, 101)]
    for stage, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
        mean = torch.stack([run[start:end].mean(0) for run in runs]).mean(0)
        np.testing.assert_allclose(cosine[stage][off], mean, atol=2e-3)
    assert np.allclose(np.diagonal(cosine, axis1=1, axis2=2), 1, atol=1e-5)


def test_tasks_that_never_share_a_batch_have_no_cosine() -> None:
    data = replace(load("dial-related"), redraw=None)
    recipe = Recipe.for_data(data, steps=30, batch_size=1)
    cosine, common = gradient_affinity(data, [100], recipe)
    assert cosine.shape == (len(TRAINING_STAGES), 9, 9)
    off = ~np.eye(9, dtype=bool)
    assert np.isnan(cosine[:, off]).all()
    assert (common == np.eye(9)).all()


def test_common_labels_are_a_share_of_the_rows_with_a_label_of_either_task() -> None:
    y = torch.ones(8, 3)
    y[:4, 0] = y[2:, 1] = math.nan  # task a: rows 4 to 7; task b: rows 0 and 1
    y[6:, 2] = math.nan  # of which rows 6 and 7 are no training rows
    rows = torch.arange(8)
    split = Split(rows[:6], rows[:0], rows[6:])
    data = TaskData("gaps", torch.zeros(8, 1), y, ("a", "b", "c"), "regression", split)
    # Training rows: a 4, 5; b 0, 1; c 0 to 5.
    expected = [[1, 0, 2 / 6], [0, 1, 2 / 6], [2 / 6, 2 / 6, 1]]
    np.testing.assert_allclose(common_labels(data), expected)


def test_opposite_tasks_pull_the_shared_weights_one_way_once_their_heads_are_learned() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(400, 8, generator=random)
    y = torch.tanh(x[:, :1]) + 0.3 * torch.randn(400, 1, generator=random)
    rows = torch.arange(400)
    split = Split(rows[:300], rows[:0], rows[300:])
    data = TaskData("turned", x, torch.cat([y, -y], 1), ("a", "b"), "regression", split)
    cosine, _ = gradient_affinity(data, [0, 1], Recipe(trunk=(16,), steps=150, learning_rate=1e-2))
    assert cosine[-1, 0, 1] > 0.5


def test_one_softmax_of_all_tasks_has_no_gradients_of_tasks() -> None:
    data = load("digits")
    recipe = Recipe.for_data(data, loss="softmax", steps=2)
    refused(lambda: gradient_affinity(data, [0], recipe), "'softmax'", "'each'")
    one_focus = Method("RMTL, one focus", plain(RMTL, target=0))
    for method in (METHODS["GradNorm"], one_focus):
        refused(partial(train, method, [data], [0], recipe, (0.5,)), "'softmax'", "'each'")
    assert train(METHODS["LBTW"], [data], [0], recipe, (0.5,)).predictions.isfinite().all()
