"""Nash-MTL: the step on which tasks agree that bargain for it.

The step of a given length that makes the product of all tasks' gains <g_t, d> largest is the Nash
bargaining solution. It is d = sum_t w_t g_t with the w > 0 at which

    sum_s G_ts w_s = 1 / w_t    for every task t,

so a task that is twice as steep weighs half as much, and the scales of the losses do not matter.

Source: A. Navon, A. Shamsian, I. Achituve, H. Maron, K. Kawaguchi, G. Chechik and E. Fetaya,
Multi-Task Learning as a Bargaining Game, ICML 2022, claim 3.1 and equation (2). There, a sequence
of convex problems approximates w. Newton's method finds it here, since w is where

    w' G w / 2 - sum_t log w_t

is least, which is convex and self-concordant.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .base import Step
from .gramian import ITERATIONS, GramianWeighter

RIDGE = 1e-12  # where gradients cancel each other, no w is large enough without it
SMALL = 1e-9  # a decrement of Newton's method, after whose step all digits are right


class NashMTL(GramianWeighter):
    """The weights of the Nash bargaining solution, scaled to a mean of 1 (see `gramian`).

    The second task is three times as steep:

    >>> from types import SimpleNamespace
    >>> step = SimpleNamespace(
    ...     losses=torch.ones(1, 2),
    ...     labelled=torch.ones(1, 2, dtype=torch.bool),
    ...     trunk_gramian=torch.tensor([[[1.0, 1.5], [1.5, 9.0]]]),
    ... )
    >>> NashMTL().weights(step)
    tensor([[1.5000, 0.5000]])
    """

    def balance(
        self, gramian: Float[Tensor, "R T T"], pulls: Bool[Tensor, "R T"], step: Step
    ) -> Float[Tensor, "R T"]:
        norm = torch.where(pulls, gramian.diagonal(dim1=1, dim2=2), 1.0).sqrt()
        cosine = gramian / norm.unsqueeze(2) / norm.unsqueeze(1)
        cosine = cosine + torch.where(pulls, RIDGE, 1.0).diag_embed()
        total = cosine.sum((1, 2)).clamp_min(RIDGE)
        w = (len(cosine[0]) / total).sqrt().unsqueeze(1).expand_as(norm)
        going = torch.ones_like(w[:, :1], dtype=torch.bool)
        for _ in range(ITERATIONS):
            slope = (cosine @ w.unsqueeze(2)).squeeze(2) - 1 / w
            move = -torch.linalg.solve(cosine + w.pow(-2).diag_embed(), slope)
            decrement = (-slope * move).sum(1, keepdim=True).clamp_min(0).sqrt()
            # A whole step once it is safe: the others are short enough that w stays above 0.
            share = torch.where(decrement < 0.25, 1.0, 1 / (1 + decrement))
            w = torch.where(going, w + share * move, w)
            going = going & (decrement > SMALL)
            if not going.any():
                break
        return w / norm
