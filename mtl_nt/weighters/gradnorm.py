"""GradNorm: weights that make the tasks' gradient norms follow their training rates.

Let G_i = |gradient of w_i L_i at the last shared layer's weights|, let mean(G) be their mean over
tasks, and let r_i = (L_i / L_i(0)) / mean_j(L_j / L_j(0)) be the relative inverse training rate: it
is large for a task that trains slowly. GradNorm moves the weights down the gradient of

    L_grad = sum_i |G_i - mean(G) r_i ** alpha|,

in which mean(G) r_i ** alpha counts as a constant, and then scales them to a sum of T. With alpha =
0 all gradient norms become equal.

Source: Z. Chen, V. Badrinarayanan, C.-Y. Lee and A. Rabinovich, GradNorm: Gradient Normalization
for Adaptive Loss Balancing in Deep Multitask Networks, ICML 2018, equation (2) and Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..networks import Adam, ParameterGroup
from .base import Step, Weighter, alpha_column, positive


class GradNorm(Weighter):
    """Weights with an optimiser of their own, which pulls the gradient norms to their targets.

    A task without a label in the batch is left out of the means, the force and the scaling.
    L_i(0) is the loss of the first batch in which the task has a label.

    Args:
        alpha: 0 or more, how strongly slow tasks are pushed; one number, or one for each replica.
        learning_rate: of the weights' own Adam. The paper takes 0.025.
        floor: the smallest weight before the scaling, so that every weight stays positive.

    Raises:
        BadInput: an alpha that is no number, or is below 0.

    The first task's gradient is three times as long, so its weight falls:

    >>> from types import SimpleNamespace
    >>> gradnorm = GradNorm(alpha=0.0)
    >>> gradnorm.reset(torch.zeros(1, 2))
    >>> step = SimpleNamespace(
    ...     losses=torch.ones(1, 2),
    ...     labelled=torch.ones(1, 2, dtype=torch.bool),
    ...     trunk_gradient_norms=torch.tensor([[3.0, 1.0]]),
    ... )
    >>> gradnorm.after(step, gradnorm.weights(step))
    >>> gradnorm.weights(step)
    tensor([[0.9750, 1.0250]])
    """

    def __init__(
        self,
        alpha: float | Sequence[float] | Tensor,
        learning_rate: float = 0.025,
        floor: float = 1e-3,
    ) -> None:
        super().__init__()
        self.alpha = alpha_column(alpha)
        self.rate, self.floor = learning_rate, floor

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.alpha = self.alpha.to(like)
        self.initial = torch.full_like(like, torch.nan)
        self.w = torch.ones_like(like)
        self.adam = Adam([ParameterGroup([self.w], self.rate)], fused=False)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return self.w.clone()

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        loss, seen, norms = step.losses, step.labelled, step.trunk_gradient_norms
        self.initial = torch.where(seen & self.initial.isnan(), loss, self.initial)
        ratio = torch.where(seen, loss / positive(self.initial), 0.0)
        count = seen.sum(1, keepdim=True).clamp_min(1)
        inverse_rate = ratio / positive(ratio.sum(1, keepdim=True) / count)
        w = self.w.clone()
        grown = w * norms
        mean = torch.where(seen, grown, 0.0).sum(1, keepdim=True) / count
        force = (grown - mean * inverse_rate.pow(self.alpha)).sign() * norms
        self.w.grad = torch.where(seen, force, 0.0)
        self.adam.step()
        moved = torch.where(seen, self.w.clamp_min(self.floor), 0.0)
        share = torch.where(seen, w, 0.0).sum(1, keepdim=True) / positive(moved.sum(1, True))
        self.w.copy_(torch.where(seen, moved * share, w))
