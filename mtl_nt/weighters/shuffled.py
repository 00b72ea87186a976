"""Shuffled weights: a control for every weighter.

In every batch, the weights that another weighter gives are permuted at random among the tasks that
have a label. If the weighter gains by knowing which task is which, its shuffled twin loses that
gain. The permutation also cuts the link between a batch's loss and its own weight, which hurts by
itself; so this is not the only control that a weighter needs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Step, Weighter


class Shuffled(Weighter):
    """Another weighter, whose weights go to other tasks.

    Args:
        weighter: whose weights are permuted. All else that it does stays as it is.

    >>> from mtl_nt import LBTW
    >>> Shuffled(LBTW(0.5)).weighter.alpha
    tensor([[0.5000]], dtype=torch.float64)
    """

    def __init__(self, weighter: Weighter) -> None:
        super().__init__()
        self.weighter = weighter
        self.learning_rate, self.decodes = weighter.learning_rate, weighter.decodes

    def check(self, dropout: float) -> None:
        self.weighter.check(dropout)

    def read(
        self, outputs: Tensor, binary: Tensor, valid: Tensor, again: Callable[[], Tensor]
    ) -> Float[Tensor, "R B T"]:
        return self.weighter.read(outputs, binary, valid, again)

    def predict(
        self, outputs: Tensor, binary: Tensor, draw: Callable[[], Tensor]
    ) -> Float[Tensor, "R N T"]:
        return self.weighter.predict(outputs, binary, draw)

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.weighter.reset(like)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        given = self.weighter.weights(step)
        place = torch.arange(given.shape[1], device=given.device).to(given)
        last = torch.where(step.labelled, 0.0, 2.0 * given.shape[1])  # unlabelled tasks stay put
        order = (last + place).argsort(dim=1)
        dealt = torch.where(step.labelled, step.noise.uniform(given.shape[1]), last + place)
        return given.scatter(1, order, given.gather(1, dealt.argsort(dim=1)))

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        return self.weighter.penalty(step)

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        self.weighter.after(step, weights)
