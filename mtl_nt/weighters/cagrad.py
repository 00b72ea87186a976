"""CAGrad: the step near the mean gradient that the worst-off task gains most by.

Let g_0 be the mean of the tasks' gradients. CAGrad moves down the d that makes min_t <g_t, d> as
large as it can be with |d - g_0| <= alpha |g_0|. With the weights w >= 0, of a sum of 1, at which

    <g_w, g_0> + alpha |g_0| |g_w|,    g_w = sum_t w_t g_t,

is least, this is d = g_0 + alpha |g_0| g_w / |g_w|. With alpha = 0 it is MTL. As alpha nears 1, it
may be as far from MTL as MGDA is.

Source: B. Liu, X. Liu, X. Jin, P. Stone and Q. Liu, Conflict-Averse Gradient Descent for Multi-task
Learning, NeurIPS 2021, equation (3) and Algorithm 1, where alpha is called c.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import BadInput
from .base import Step, alpha_column, positive
from .gramian import GramianWeighter, least_on_simplex


class CAGrad(GramianWeighter):
    """The weights of CAGrad's step, scaled to a mean of 1 (see `gramian`).

    Args:
        alpha: 0 or more and below 1, how far the step may be from the mean gradient, as a share of
            the mean's length; one number, or one for each replica.

    Raises:
        BadInput: an alpha that is no number, is below 0, or is 1 or more.

    The short gradient is the one that the mean serves worst:

    >>> import torch
    >>> from types import SimpleNamespace
    >>> step = SimpleNamespace(
    ...     losses=torch.ones(1, 2),
    ...     labelled=torch.ones(1, 2, dtype=torch.bool),
    ...     trunk_gramian=torch.tensor([[[1.0, 0.0], [0.0, 4.0]]]),  # at a right angle
    ... )
    >>> cagrad = CAGrad(alpha=0.5)
    >>> cagrad.reset(step.losses)
    >>> cagrad.weights(step)
    tensor([[1.3586, 0.6414]])
    """

    def __init__(self, alpha: float | Sequence[float] | Tensor) -> None:
        super().__init__()
        self.alpha = alpha_column(alpha)
        if bool((self.alpha >= 1).any()):
            raise BadInput(
                f"alpha {self.alpha.max().item():g}: CAGrad's must be below 1; give smaller ones, "
                "or leave CAGrad out"
            )

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.alpha = self.alpha.to(like.device)

    def balance(
        self, gramian: Float[Tensor, "R T T"], pulls: Bool[Tensor, "R T"], step: Step
    ) -> Float[Tensor, "R T"]:
        count = pulls.double().sum(1, keepdim=True).clamp_min(1)
        with_mean = gramian.sum(2) / count  # <g_t, g_0>
        length = (with_mean.sum(1, keepdim=True) / count).clamp_min(0).sqrt()
        reach = self.alpha * length
        w = least_on_simplex(gramian, with_mean, reach.squeeze(1), pulls)
        weighted = (w.unsqueeze(1) @ gramian @ w.unsqueeze(2)).squeeze(2).clamp_min(0).sqrt()
        return 1 / count + reach / positive(weighted) * w
