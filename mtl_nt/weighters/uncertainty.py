"""Uncertainty weighting: each task learns the variance of its own noise.

Every task has a parameter s_i = log sigma_i^2 that is learned with the network. The objective is

    sum_i exp(-s_i) L_i / 2 + s_i / 2    over regression tasks, and
    sum_i exp(-s_i) L_i + s_i / 2        over classification tasks, binary or with more classes,

so that the weight of a task is exp(-s_i), or half of it, and s_i / 2 keeps the weight from falling
to zero. A task with a large loss learns a large variance and counts less.

For classification, the paper divides the logits by sigma^2, as by a temperature. Its equation (10)
is then an approximation of the cross-entropy of the softmax, for any number of classes.

Source: A. Kendall, Y. Gal and R. Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for
Scene Geometry and Semantics, CVPR 2018, equations (7) and (10).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .base import Step, Weighter


class Uncertainty(Weighter):
    """The weights exp(-s) that follow from the learned log variances s.

    Args:
        learning_rate: of s, which the network's Adam moves. It decides whether s is learned within
            the training.
        bound: s stays between -bound and bound. Without a bound the objective falls without end
            once a loss reaches zero.

    At the start every s is 0, so a classification task weighs 1 and a regression task 1/2:

    >>> from types import SimpleNamespace
    >>> uncertainty = Uncertainty()
    >>> uncertainty.reset(torch.zeros(1, 2))
    >>> step = SimpleNamespace(classification=torch.tensor([True, False]))
    >>> uncertainty.weights(step).detach()
    tensor([[1.0000, 0.5000]])
    """

    def __init__(self, learning_rate: float = 0.025, bound: float = 8.0) -> None:
        super().__init__()
        self.learning_rate, self.bound = learning_rate, bound

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.log_variance = nn.Parameter(torch.zeros_like(like))

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        with torch.no_grad():
            self.log_variance.clamp_(-self.bound, self.bound)
        return torch.where(step.classification, 1.0, 0.5) * torch.exp(-self.log_variance)

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        return 0.5 * torch.where(step.labelled, self.log_variance, 0.0).sum(1)
