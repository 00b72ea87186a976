"""Tasks of classes, weights of labels and weights of classes: against plain networks, by torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
import torch
from reference import pairs
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from mtl_nt.errors import BadInput
from mtl_nt.networks import ClassOutputs, Network, Recipe, task_losses, trunk_gradient_norms
from mtl_nt.networks.gramian import trunk_gramian
from mtl_nt.study import chunks
from mtl_nt.study.methods import METHODS
from mtl_nt.tasks import Split, TaskData
from mtl_nt.training import BatchSampler, Replicas, fit
from mtl_nt.weighters import AMTFL, RMTL, UAMTFL, Shuffled, Step, Uniform

KINDS = ("binary", "classes", "regression", "classes")
OUTPUTS = (1, 3, 1, 2)
RECIPE = Recipe(trunk=(6, 5), activation="tanh", steps=14, batch_size=8, learning_rate=0.01)
RECIPES = {
    "plain": RECIPE,
    "over all rows": replace(RECIPE, loss_over="all", weight_decay=5e-4, schedule="constant"),
}
SEEDS = (3, 8)


def table(seed: int, weights: bool = True, balanced: bool = True) -> TaskData:
    """A binary task, one of three classes, a regression and one of two classes, with holes."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 6, generator=random, dtype=torch.float64)
    y = x[:, :4] + 0.5 * torch.randn(40, 4, generator=random, dtype=torch.float64)
    y[:, [0, 3]] = (y[:, [0, 3]] > 0.3).double()
    y[:, 1] = (y[:, 1] * 1.2).round().clamp(-1, 1) + 1
    y[torch.rand(40, 4, generator=random) < 0.25] = math.nan
    given = 3 * torch.rand(40, 4, generator=random, dtype=torch.float64)
    given[::7, 1] = 0  # counts as missing
    rows = torch.arange(40)
    return TaskData(
        name="classes",
        x=x,
        y=y,
        tasks=("a", "stage", "b", "two"),
        kind=KINDS,
        split=Split(rows[:24], rows[24:32], rows[32:]),
        classes={"stage": ("I", "II", "III")},
        weights=given if weights else None,
        class_weight="balanced" if balanced else None,
    )


RULES: dict[str, Callable[[float], reference.Rule]] = {
    "STL": lambda alpha: reference.Rule(),
    "MTL": lambda alpha: reference.Rule(),
    "LBTW": reference.LBTW,
    "GradNorm": lambda alpha: reference.GradNorm(4, alpha),
    "Uncertainty": lambda alpha: reference.Uncertainty(KINDS),
    "DWA": lambda alpha: reference.DWA(4),
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("weighted", [False, True])
def test_networks_with_classes_and_weights_equal_plain_ones_trained_one_by_one(
    name: str, recipe: str, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, settings = METHODS[name], RECIPES[recipe]
    runs = [table(seed, weighted, weighted) for seed in (0, 1)]
    networks: list[Network] = []

    def kept(*arguments: Any, **options: Any) -> Any:
        result = fit(*arguments, **options)
        networks.append(result.network)
        return result

    monkeypatch.setattr(chunks, "fit", kept)
    options: dict[str, Any] = {"dtype": torch.float64, "record": 1}
    trained = chunks.train(method, runs, SEEDS, settings, (0.7,), **options)
    assert trained.predictions.shape == (1, 2, 8, sum(OUTPUTS))
    columns = torch.tensor([0, 1, 1, 1, 2, 3, 3])
    for r, run in enumerate(trained.replicas.group.tolist()):
        own = trained.replicas.scored[r].nonzero().flatten().tolist()
        net, losses, weights = alone(runs[run], SEEDS[run], own, settings, RULES[name](0.7))
        for what, mine, other in pairs(networks[0], r, net):
            assert (mine - other).abs().max().item() < 1e-9, (what, r)
        net.eval()
        with torch.no_grad():
            outputs = torch.cat([h(net.shared(runs[run].x[32:])) for h in net.heads], 1)
        served = trained.replicas.scored[r][columns]
        assert (trained.predictions[0, run] - outputs)[:, served].abs().max().item() < 1e-8
        if name != "STL":  # whose losses stand in one column
            found = trained.history.losses[:, r].double(), trained.history.weights[:, r].double()
            assert torch.allclose(found[0], losses, rtol=1e-6, equal_nan=True)
            assert torch.allclose(found[1], weights, rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("over", ["labelled", "all"])
@pytest.mark.parametrize("name", ["STL", "MTL"])
def test_weights_without_classes_equal_plain_networks_too(name: str, over: Any) -> None:
    whole = table(0)
    assert whole.weights is not None
    own = [0, 2]
    data = replace(
        whole, y=whole.y[:, own], weights=whole.weights[:, own], tasks=("a", "b"), classes={},
        kind=("binary", "regression"),
    )  # fmt: skip
    settings = replace(RECIPE, loss_over=over)
    trained = chunks.train(METHODS[name], [data], [3], settings, dtype=torch.float64)
    for r in range(len(trained.replicas)):
        tasks = trained.replicas.scored[r].nonzero().flatten().tolist()
        net, _, _ = alone(data, 3, tasks, settings, reference.Rule(), (1, 1))
        net.eval()
        with torch.no_grad():
            outputs = torch.cat([head(net.shared(data.x[32:])) for head in net.heads], 1)  # type: ignore[index]
        gap = trained.predictions[0, 0] - outputs
        assert gap[:, tasks].abs().max().item() < 1e-9


def alone(
    data: TaskData,
    seed: int,
    tasks: list[int],
    recipe: Recipe,
    rule: reference.Rule,
    counts: tuple[int, ...] = OUTPUTS,
) -> tuple[reference.Net, Tensor, Tensor]:
    """A plain network that starts where the package's does, on the same batches."""
    net = reference.Net(6, counts, recipe)
    with torch.no_grad():
        for _, mine, other in pairs(Network([seed], 6, sum(counts), recipe).double(), 0, net):
            other.copy_(mine)
    on = torch.zeros(1, len(counts), dtype=torch.bool)
    on[0, tasks] = True
    zero = torch.zeros(1, dtype=torch.int64)
    sampler = BatchSampler([data], Replicas(zero, zero + seed, on, on, zero, zero - 1), 8)
    batches = (
        (batch.rows[0][batch.valid[0]], bool(batch.first), int(batch.epoch))
        for batch in sampler.steps(recipe.steps)
    )
    losses, weights = reference.train(net, data, recipe, tasks, rule, batches, lambda: ())
    return net, losses, weights


def test_weights_of_one_change_nothing() -> None:
    plain = table(0, weights=False, balanced=False)
    ones = replace(plain, weights=torch.ones(40, dtype=torch.float64))
    both = [
        chunks.train(METHODS["MTL"], [data], [1], RECIPE, dtype=torch.float64).predictions
        for data in (plain, ones)
    ]
    assert (both[0] - both[1]).abs().max().item() < 1e-12


def test_a_label_of_weight_zero_is_a_missing_label() -> None:
    data = table(0, balanced=False)
    holes = replace(data, y=data.y, weights=data.weights.clamp_min(1e-3))  # type: ignore[union-attr]
    assert bool(data.y[::7, 1].isnan().all())
    assert torch.equal(data.labelled, holes.labelled)
    rows = torch.ones(40)
    rows[5] = 0
    assert not replace(data, weights=rows).labelled[5].any()


def test_twice_the_weight_is_the_row_twice_over() -> None:
    data = table(0, weights=False, balanced=False)
    train = data.split.train
    weights = torch.ones(40, dtype=torch.float64)
    weights[train[:6]] = 2
    twice = torch.cat([torch.arange(40), train[:6]])
    longer = replace(
        data,
        x=data.x[twice],  # type: ignore[index]
        y=data.y[twice],
        split=replace(data.split, train=torch.cat([train, torch.arange(40, 46)])),
    )
    whole = replace(RECIPE, batch_size=64)  # every batch has all rows
    found = [
        chunks.train(METHODS["MTL"], [run], [1], whole, dtype=torch.float64)
        for run in (replace(data, weights=weights), longer)
    ]
    # The regression is standardised by the labels, which count alike; the others are equal.
    losses = [one.history.losses[0, 0, [0, 1, 3]] for one in found]
    assert torch.allclose(*losses, rtol=1e-6)


def test_class_weights_are_scikit_learns() -> None:
    sk = pytest.importorskip("sklearn.utils.class_weight")
    data = table(0, weights=False)
    weights = data.training_weights
    assert weights is not None
    assert bool((weights[:, 2] == 1).all())
    for t in (0, 1, 3):
        y = data.y[data.split.train, t]
        y = y[~y.isnan()].numpy()
        by_class = sk.compute_class_weight("balanced", classes=np.unique(y), y=y)
        for number, expected in enumerate(by_class):
            hit = data.y[:, t] == number
            assert torch.allclose(weights[hit, t], torch.tensor(expected), rtol=1e-6)


def test_class_weights_count_in_the_training_losses_alone() -> None:
    plain, balanced = table(0, False, False), table(0, False, True)
    one = torch.ones(1, 4, dtype=torch.bool)
    zero = torch.tensor([0])
    still = replace(RECIPE, steps=1, learning_rate=1e-12)
    found = [
        fit([data], Replicas(zero, zero, one, one, zero, zero - 1), Uniform(), still)
        for data in (plain, balanced)
    ]
    losses, validation = ([getattr(f.history, n) for f in found] for n in ("losses", "validation"))
    assert not torch.allclose(losses[0][0, 0, [0, 1, 3]], losses[1][0, 0, [0, 1, 3]])
    assert torch.allclose(validation[0], validation[1], atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_errors_are_torchs(weighted: bool) -> None:
    random = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 9, 7, generator=random).double().requires_grad_()
    y = torch.randint(0, 2, (2, 9, 4), generator=random).double()
    y[:, :, 1] = torch.randint(0, 3, (2, 9), generator=random).double()
    mask = (torch.rand(2, 9, 4, generator=random) < 0.7).double()
    mask[0, :, 3] = 0  # a network that sees no label of the last task
    mask = mask * torch.rand(2, 9, 4, generator=random).double() if weighted else mask
    binary = torch.tensor([True, False, False, False])
    found = task_losses(
        outputs.detach(), y, mask, binary, torch.full((2, 1), 9.0).double(),
        classes=ClassOutputs.of_tasks(OUTPUTS), weighted=weighted,
    )  # fmt: skip
    flat = outputs.flatten(0, 1)
    each = torch.stack(
        [
            binary_cross_entropy_with_logits(outputs[..., 0], y[..., 0], reduction="none"),
            cross_entropy(flat[:, 1:4], y[..., 1].long().flatten(), reduction="none").view(2, 9),
            (outputs[..., 4] - y[..., 2]) ** 2,
            cross_entropy(flat[:, 5:], y[..., 3].long().flatten(), reduction="none").view(2, 9),
        ],
        2,
    )
    losses = (each * mask).sum(1) / mask.sum(1).clamp_min(1e-300)
    (errors,) = torch.autograd.grad(losses.sum(), outputs)
    assert torch.allclose(found.losses, losses, rtol=1e-12)
    assert torch.allclose(found.errors, errors, rtol=1e-12)
    assert found.labelled.tolist() == [[True, True, True, False], [True] * 4]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("architecture", ["mlp", "lbtw"])
def test_gradient_norms_and_gramian_of_tasks_with_classes_are_autograds(
    architecture: Any, batch_norm: bool
) -> None:
    recipe = Recipe(trunk=(7, 4), architecture=architecture, batch_norm=batch_norm)
    network = Network([0, 1], 5, sum(OUTPUTS), recipe).double()
    random = torch.Generator().manual_seed(0)
    x, errors = (torch.randn(2, 9, n, generator=random).double() for n in (5, 7))
    forward_pass, outputs = network(x, torch.ones(2, 9, dtype=torch.bool))
    classes, head = ClassOutputs.of_tasks(OUTPUTS), network.head.weight.detach()
    norms = trunk_gradient_norms(errors, head, forward_pass, classes)
    gramian = trunk_gramian(errors, head, forward_pass, classes=classes)
    weight = network.trunk.blocks[-1].linear.weight
    for r in range(2):
        rows = []
        for own in ([0], [1, 2, 3], [4], [5, 6]):
            loss = (outputs[r][:, own] * errors[r][:, own]).sum()
            rows.append(torch.autograd.grad(loss, weight, retain_graph=True)[0][r].flatten())
        gradients = torch.stack(rows)
        assert torch.allclose(norms[r], gradients.norm(dim=1), rtol=1e-10)
        assert torch.allclose(gramian[r], gradients @ gradients.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "weighter", [RMTL(0), AMTFL(0.1), UAMTFL(0.1), Shuffled(RMTL(0))], ids=lambda w: str(w)[:12]
)
def test_methods_that_need_one_output_per_task_refuse_classes_in_one_line(weighter: Any) -> None:
    one, zero = torch.ones(1, 4, dtype=torch.bool), torch.tensor([0])
    with pytest.raises(BadInput, match=r"one output each, and 'stage' has classes; leave"):
        fit([table(0)], Replicas(zero, zero, one, one, zero, zero - 1), weighter, RECIPE)


def test_a_weighter_of_ones_own_is_told_why_classes_have_no_head_gradient() -> None:
    class Angles(Uniform):
        def weights(self, step: Step) -> Tensor:
            return step.head_gradients.norm(dim=2)

    one, zero = torch.ones(1, 4, dtype=torch.bool), torch.tensor([0])
    with pytest.raises(BadInput, match="a head for each class; use trunk_gradient_norms"):
        fit([table(0)], Replicas(zero, zero, one, one, zero, zero - 1), Angles(), RECIPE)


@pytest.mark.parametrize("checkpoint", ["last", "best_mean", "best_per_task"])
def test_chunks_of_networks_with_classes_give_what_one_stack_gives(checkpoint: str) -> None:
    runs = [table(seed) for seed in (0, 1)]
    for name in ("STL", "MTL"):
        found = [
            chunks.train(
                METHODS[name], runs, SEEDS, RECIPE, memory=m, dtype=torch.float64,
                checkpoint=checkpoint,
            )
            for m in (1.0, math.inf)
        ]  # fmt: skip
        assert len(chunks.plan_chunks(chunks.TrainingJob(
            METHODS[name], runs, SEEDS, (0.0,), RECIPE, {}, memory=1.0
        ))) > 1  # fmt: skip
        assert torch.allclose(found[0].predictions, found[1].predictions, atol=1e-12)
        assert torch.allclose(found[0].validation, found[1].validation, equal_nan=True)
