"""Inner products of the tasks' gradients: projected ones, and what they do not depend on.

That exact ones equal autograd's on every trunk is asked in `tests/weighters/test_weighters.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl_nt.networks import ForwardPass, Network, RandomStreams, Recipe, gramian, trunk_gramian

LIKE = torch.zeros(1, dtype=torch.float64)
ROWS, INPUTS, TASKS = 40, 300, 20  # 6,000 tasks x inputs: too many to be exact


def given(seeds: list[int], **settings: object) -> tuple[Tensor, Tensor, ForwardPass]:
    """Errors, heads and the forward pass of networks that are as wide as `INPUTS`."""
    network = Network(seeds, INPUTS, TASKS, Recipe(trunk=(24,), **settings)).double()  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(1)
    hidden = torch.randn(1, ROWS, 8, generator=random, dtype=torch.float64)
    x = (hidden @ torch.randn(8, INPUTS, generator=random, dtype=torch.float64)).relu()
    errors = torch.randn(1, ROWS, TASKS, generator=random, dtype=torch.float64)
    errors[torch.rand(errors.shape, generator=random) < 0.5] = 0  # rows without a label
    count = len(seeds)
    valid = torch.ones(count, ROWS, dtype=torch.bool)
    forward_pass, _ = network(x.expand(count, -1, -1), valid)
    return errors.expand(count, -1, -1), network.head.weight.detach(), forward_pass


def cosines(g: Tensor) -> np.ndarray:
    """The cosines of all pairs of different tasks."""
    length = g.diagonal(dim1=-2, dim2=-1).sqrt()
    whole = g / (length.unsqueeze(-1) * length.unsqueeze(-2))
    return whole[..., ~torch.eye(TASKS, dtype=torch.bool)].numpy()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_projected_inner_products_are_right_on_average(batch_norm: bool) -> None:
    one = given([0], batch_norm=batch_norm)
    exact, noise = trunk_gramian(*one), RandomStreams([0], "weighter", LIKE)
    drawn = torch.cat([trunk_gramian(*one, noise) for _ in range(400)])
    length = exact[0].diagonal().sqrt()
    drawn, exact = (g / length.outer(length) for g in (drawn, exact))
    error = drawn.std(0) / 400**0.5
    assert error.max() < 0.02  # so that the next line says something
    assert ((drawn.mean(0) - exact[0]).abs() < 5 * error).all()
    by_draw = [np.corrcoef(cosines(g), cosines(exact[0]))[0, 1] for g in drawn]
    assert np.mean(by_draw) > 0.85
    assert torch.linalg.eigvalsh(drawn).min() > -1e-9  # inner products of something


def test_few_tasks_and_inputs_are_never_projected(monkeypatch: pytest.MonkeyPatch) -> None:
    one = given([0])
    noise = RandomStreams([0], "weighter", LIKE)
    assert not torch.allclose(trunk_gramian(*one, noise), trunk_gramian(*one), rtol=1e-3)
    monkeypatch.setattr(gramian, "EXACT", TASKS * INPUTS)
    assert torch.equal(trunk_gramian(*one, noise), trunk_gramian(*one))


@pytest.mark.parametrize("projected", [False, True])
def test_a_networks_inner_products_are_those_that_it_has_alone(projected: bool) -> None:
    def found(seeds: list[int]) -> Tensor:
        noise = RandomStreams(seeds, "weighter", LIKE)
        return trunk_gramian(*given(seeds), noise if projected else None)

    beside, alone = found([3, 5, 4]), found([5])
    assert torch.equal(beside[1], alone[0])
    assert not torch.equal(beside[0], alone[0])


def test_every_portion_of_units_and_replicas_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    three = given([0, 1, 2], batch_norm=True)
    whole = trunk_gramian(*three)
    for at_once in (1, 7 * (ROWS + TASKS) * INPUTS, 50 * (ROWS + TASKS) * INPUTS):
        monkeypatch.setattr(gramian, "AT_ONCE", at_once)
        assert torch.allclose(trunk_gramian(*three), whole, rtol=1e-12)
