"""Loss-balanced task weighting (LBTW).

A task whose loss has fallen far gets a small weight, and a task whose loss has hardly fallen keeps
a large one. Algorithm 1 of the paper weighs task i in batch B of an epoch by

    w_i = (l(B, i) / l(0, i)) ** alpha,

where l(B, i) is the task's loss on this batch and l(0, i) its loss on the first batch of the epoch.
With alpha = 0 all weights are 1, which is plain multi-task learning.

Source: S. Liu, Y. Liang and A. Gitter, Loss-Balanced Task Weighting to Reduce Negative Transfer in
Multi-Task Learning, AAAI 2019, Algorithm 1. Their published code also divides the weights by their
mean, which Algorithm 1 does not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Step, Weighter, alpha_column, positive


class LBTW(Weighter):
    """The loss divided by its reference, to the power of alpha.

    Args:
        alpha: 0 or more; one number for all replicas, or one number for each.
        reference: where the reference loss comes from. "epoch" takes the first batch of each epoch
            in which the task has a label (Algorithm 1), "training" takes the first such batch of
            the whole training, and "average" takes the moving average of the losses so far.
        normalise: whether the weights of the labelled tasks are scaled to a mean of 1. The
            authors' published code does so; Algorithm 1 does not.
        momentum: how much of the moving average stays in each step, between 0 and 1.

    Raises:
        BadInput: an alpha that is no number, or is below 0.

    The second task's loss has fallen to a quarter of the reference, so its weight is smaller:

    >>> from types import SimpleNamespace
    >>> lbtw = LBTW(alpha=0.5, normalise=False)
    >>> lbtw.reset(torch.zeros(1, 2))
    >>> both, no = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, dtype=torch.bool)
    >>> first = SimpleNamespace(losses=torch.tensor([[1.0, 1.0]]), labelled=both, first_batch=~no)
    >>> lbtw.weights(first)
    tensor([[1., 1.]])
    >>> later = SimpleNamespace(losses=torch.tensor([[1.0, 0.25]]), labelled=both, first_batch=no)
    >>> lbtw.weights(later)
    tensor([[1.0000, 0.5000]])
    """

    def __init__(
        self,
        alpha: float | Sequence[float] | Tensor,
        reference: Literal["epoch", "training", "average"] = "epoch",
        normalise: bool = True,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.alpha = alpha_column(alpha)
        self.kind, self.normalise, self.momentum = reference, normalise, momentum

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.alpha = self.alpha.to(like)
        self.reference = torch.full_like(like, torch.nan)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        loss = step.losses
        if self.kind == "epoch":
            self.reference[step.first_batch] = torch.nan
        new = step.labelled & self.reference.isnan()
        self.reference = torch.where(new, loss, self.reference)
        ratio = torch.where(self.reference > 0, loss / self.reference, 1.0)
        weights = ratio.pow(self.alpha)
        if self.normalise:
            kept = torch.where(step.labelled, weights, 0.0)
            weights = weights * step.labelled.sum(1, keepdim=True) / positive(kept.sum(1, True))
        return weights

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        if self.kind == "average":
            moved = self.reference.lerp(step.losses, 1 - self.momentum)
            self.reference = torch.where(step.labelled, moved, self.reference)
