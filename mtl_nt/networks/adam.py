"""Adam, the optimiser of every network and of GradNorm's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.adam import adam


class ParameterGroup(NamedTuple):
    """Parameters that share a learning rate and a weight decay.

    A weight decay of d adds d times the parameter to its gradient.
    """

    parameters: Sequence[Tensor]
    learning_rate: float
    weight_decay: float = 0.0


class Adam:
    """`torch.optim.Adam` to the last bit, through torch's functional form of it.

    The class `torch.optim.Adam` imports torch's compiler when it is made. That costs every process
    that trains more than a second and 70 MB (see benchmarks/startup.py).

    Args:
        groups: the parameters; groups without any are left out.
        fused: whether one kernel does all of a step. It rounds differently.

    Adam's first step moves each parameter by the learning rate, against its gradient's sign:

    >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> optimiser = Adam([ParameterGroup([w], learning_rate=0.1)], fused=False)
    >>> (w * torch.tensor([3.0, -2.0])).sum().backward()
    >>> optimiser.step()
    >>> w.detach()
    tensor([0.9000, 1.1000])
    """

    def __init__(self, groups: Sequence[ParameterGroup], fused: bool) -> None:
        self.groups, self.fused = [group for group in groups if group.parameters], fused
        parameters = [p for group in self.groups for p in group.parameters]
        self.moments = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in parameters}
        place = {p: p.device if fused else "cpu" for p in parameters}
        self.steps = {p: torch.zeros((), dtype=torch.float32, device=place[p]) for p in parameters}

    def zero_grad(self) -> None:
        """Set every parameter's gradient to None."""
        for parameter in self.moments:
            parameter.grad = None

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """Take one step. Parameters without a gradient stay where they are.

        Args:
            factor: multiplies the learning rates; a schedule sets it.
        """
        for parameters, learning_rate, weight_decay in self.groups:
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
                lr=learning_rate * factor,
                weight_decay=weight_decay,
                eps=1e-8,
                maximize=False,
            )
