"""MGDA, CAGrad, Nash-MTL and PCGrad: what their papers promise of a step, on drawn gradients.

That they train as their papers' own formulas do is in tests/training/test_equivalence.py.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl_nt import BadInput, compare, load
from mtl_nt.networks import RandomStreams
from mtl_nt.weighters import MGDA, CAGrad, NashMTL, PCGrad, Weighter
from mtl_nt.weighters.gramian import least_on_simplex

SHAPES = [(2, 9), (3, 9), (12, 40), (12, 5), (40, 300)]  # tasks, numbers of a gradient
ALPHAS = (0.0, 0.2, 0.5, 0.9)
MAKE: dict[str, Callable[[], Weighter]] = {
    "MGDA": MGDA,
    "CAGrad": lambda: CAGrad(0.5),
    "Nash-MTL": NashMTL,
    "PCGrad": PCGrad,
}


def drawn(tasks: int, size: int, replicas: int = 6, seed: int = 0) -> Tensor:
    """Gradients `[R, T, size]` of lengths from .03 to 30, most of them in conflict."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(replicas, tasks, size, generator=random).double()
    rows = rows - 0.8 * rows.mean(1, keepdim=True)
    return rows * 10 ** (3 * torch.rand(replicas, tasks, 1, generator=random).double() - 1.5)


def weigh(weighter: Weighter, rows: Tensor, labelled: Tensor | None = None) -> Tensor:
    losses = torch.ones(rows.shape[:2]).double()
    step: Any = SimpleNamespace(
        losses=losses,
        labelled=losses > 0 if labelled is None else labelled,
        trunk_gramian=rows @ rows.mT,
        noise=RandomStreams(range(len(rows)), "weighter", losses),
    )
    weighter.reset(losses)
    return weighter.weights(step)


@pytest.mark.parametrize(("tasks", "size"), SHAPES)
@pytest.mark.parametrize("name", MAKE)
def test_weights_are_positive_with_a_mean_of_one_and_no_step_of_two_raises_a_loss(
    name: str, tasks: int, size: int
) -> None:
    rows = drawn(tasks, size)
    w = weigh(MAKE[name](), rows)
    assert (w >= 0).all() and torch.allclose(w.mean(1), torch.ones(len(w)).double())
    if tasks == 2 and name != "CAGrad":  # whose step may stay near a mean that is in conflict
        assert (rows @ (w.unsqueeze(1) @ rows).mT > -1e-9).all()


@pytest.mark.parametrize(("tasks", "size"), SHAPES)
def test_down_mgdas_step_every_loss_falls_by_the_step_squared_or_more(
    tasks: int, size: int
) -> None:
    rows = drawn(tasks, size)
    step = (weigh(MGDA(), rows) / tasks).unsqueeze(1) @ rows
    gains = (rows @ step.mT).squeeze(2)
    squared = (step @ step.mT).flatten()
    assert (gains.amin(1) - squared).abs().max().item() < 1e-9 * rows.square().sum(2).max().item()


@pytest.mark.parametrize(("tasks", "size"), SHAPES)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_no_step_as_near_the_mean_serves_the_worst_off_task_better_than_cagrads(
    alpha: float, tasks: int, size: int
) -> None:
    rows = drawn(tasks, size)
    rows = rows / rows.norm(dim=2).amax(1).view(-1, 1, 1)
    mean = rows.mean(1, keepdim=True)
    radius = alpha * mean.norm(dim=2, keepdim=True)
    cagrad, everyone = CAGrad(alpha), torch.ones(rows.shape[:2], dtype=torch.bool)
    cagrad.reset(rows[:, :, 0])
    own: Any = None
    step = cagrad.balance(rows @ rows.mT, everyone, own).unsqueeze(1) @ rows
    assert torch.allclose((step - mean).norm(dim=2, keepdim=True), radius, rtol=1e-6)
    best = (rows @ step.mT).amin((1, 2))
    random = torch.Generator().manual_seed(1)
    for k in range(400):
        way = torch.randn(mean.shape, generator=random).double()
        way = way if k % 2 else step - mean + 0.1 * radius * way
        other = mean + radius * way / way.norm(dim=2, keepdim=True).clamp_min(1e-30)
        assert ((rows @ other.mT).amin((1, 2)) <= best + 1e-9).all()


@pytest.mark.parametrize(("tasks", "size"), [shape for shape in SHAPES if shape != (12, 5)])
def test_nash_gives_each_task_one_over_its_weight_and_knows_no_scale(tasks: int, size: int) -> None:
    rows = drawn(tasks, size)
    w = weigh(NashMTL(), rows)
    bargain = w * (rows @ (w.unsqueeze(1) @ rows).mT).squeeze(2)  # the same for all tasks
    assert (bargain / bargain.mean(1, keepdim=True) - 1).abs().max().item() < 1e-6
    scale = torch.linspace(0.1, 10, tasks).double().view(1, -1, 1)
    scaled = weigh(NashMTL(), scale * rows) * scale.squeeze(2)
    ratio = scaled / w
    assert (ratio / ratio.mean(1, keepdim=True) - 1).abs().max().item() < 1e-6


def test_pcgrad_leaves_gradients_that_agree_as_they_are() -> None:
    rows = drawn(5, 9).abs()
    assert torch.equal(weigh(PCGrad(), rows), torch.ones(6, 5).double())


def test_pcgrads_order_is_the_replicas_own_and_new_in_every_step() -> None:
    rows = drawn(12, 40, replicas=1).expand(3, -1, -1)
    streams = RandomStreams([0, 0, 1], "weighter", rows)
    step: Any = SimpleNamespace(
        losses=torch.ones(3, 12).double(),
        labelled=torch.ones(3, 12, dtype=torch.bool),
        trunk_gramian=rows @ rows.mT,
        noise=streams,
    )
    first, again = PCGrad().weights(step), PCGrad().weights(step)
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2]) and not torch.equal(first, again)


@pytest.mark.parametrize("name", MAKE)
def test_a_task_without_a_label_or_a_gradient_weighs_one_and_changes_no_other(name: str) -> None:
    rows = drawn(4, 9)
    rows[:, 3] = 0
    without = weigh(MAKE[name](), rows)
    assert torch.equal(without[:, 3], torch.ones(6).double())
    labelled = torch.tensor([True, True, True, False]).expand(6, 4)
    noisy = rows.clone()
    noisy[:, 3] = 100.0
    assert torch.equal(weigh(MAKE[name](), noisy, labelled), without)
    if name != "PCGrad":  # whose orders are of all tasks
        assert torch.allclose(weigh(MAKE[name](), rows[:, :3]), without[:, :3], atol=1e-9)
    assert torch.equal(weigh(MAKE[name](), 0 * rows), torch.ones(6, 4).double())


@pytest.mark.parametrize("name", MAKE)
def test_where_two_gradients_cancel_each_other_the_weights_are_those_that_cancel_them(
    name: str,
) -> None:
    rows = torch.tensor([[[3.0, 0.0], [-1.0, 0.0]]]).double()
    w = weigh(MAKE[name](), rows)
    assert w.isfinite().all()
    if name in ("MGDA", "Nash-MTL"):
        assert torch.allclose(w, torch.tensor([[0.5, 1.5]]).double(), atol=1e-6)


def test_the_least_on_a_simplex_is_certified_by_its_slopes() -> None:
    for tasks, size in SHAPES:
        rows = drawn(tasks, size)
        gramian = rows @ rows.mT
        gramian = gramian / gramian.diagonal(dim1=1, dim2=2).amax(1).view(-1, 1, 1)
        linear, reach = gramian.mean(2), gramian.mean((1, 2)).sqrt() / 2
        w = least_on_simplex(gramian, linear, reach, torch.ones(6, tasks, dtype=torch.bool))
        product = (gramian @ w.unsqueeze(2)).squeeze(2)
        slope = linear + reach.unsqueeze(1) * product / (w * product).sum(1, True).sqrt()
        # Of a convex function, no point is lower than the tangent's lowest corner.
        assert ((slope * w).sum(1) - slope.amin(1)).max().item() < 1e-9


def test_an_alpha_of_one_or_more_is_refused_for_cagrad_before_anything_trains() -> None:
    with pytest.raises(BadInput, match="alpha 1.5: CAGrad's must be below 1"):
        compare(load("dial"), ["CAGrad"], alphas=(0.5, 1.5), seeds=2, steps=1, progress=False)
