"""Adam, the optimiser of every network and of GradNorm's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.adam import adam


class Group(NamedTuple):
    """Parameters with a learning rate and a decay, a multiple of them that joins their gradient."""

    parameters: Sequence[Tensor]
    rate: float
    decay: float = 0.0


class Adam:
    """`torch.optim.Adam` to the last bit, by its functional form.

    The class imports torch's compiler when it is made: more than a second, and 70 MB, of every
    process that trains (see benchmarks/startup.py).

    Args:
        fused: all of a step in one kernel; rounds otherwise.
    """

    def __init__(self, groups: Sequence[Group], fused: bool) -> None:
        self.groups, self.fused = [group for group in groups if group.parameters], fused
        every = [p for group in self.groups for p in group.parameters]
        self.moments = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in every}
        place = {p: p.device if fused else "cpu" for p in every}
        self.steps = {p: torch.zeros((), dtype=torch.float32, device=place[p]) for p in every}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.moments:
            parameter.grad = None

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """A step at `factor` times the learning rates; parameters without a gradient stay."""
        for parameters, rate, decay in self.groups:
            moved = [p for p in parameters if p.grad is not None]
            adam(
                moved,
                [p.grad for p in moved if p.grad is not None],
                [self.moments[p][0] for p in moved],
                [self.moments[p][1] for p in moved],
                [],
                [self.steps[p] for p in moved],
                fused=self.fused,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rate * factor,
                weight_decay=decay,
                eps=1e-8,
                maximize=False,
            )
