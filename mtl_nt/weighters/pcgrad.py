"""PCGrad: every gradient, without what conflicts with the others.

Start with a copy p_i of every task's gradient g_i. For every other task j, in random order: where
<p_i, g_j> < 0, take away from p_i its part along g_j,

    p_i <- p_i - <p_i, g_j> / |g_j|^2 g_j.

The networks move down sum_i p_i. Each p_i is a sum of gradients with weights of 0 or more, so the
whole is a row of W.

Source: T. Yu, S. Kumar, A. Gupta, S. Levine, K. Hausman and C. Finn, Gradient Surgery for
Multi-Task Learning, NeurIPS 2020, Algorithm 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .base import Step, positive
from .gramian import GramianWeighter


class PCGrad(GramianWeighter):
    """The weights of the projected gradients' sum, scaled to a mean of 1 (see `gramian`).

    The orders are drawn anew in every step, from the replica's own random numbers.

    The second gradient is twice as long and points the other way, in part. So more of it is added
    to the first one than the other way round:

    >>> from types import SimpleNamespace
    >>> from mtl_nt.networks import RandomStreams
    >>> losses = torch.ones(1, 2)
    >>> step = SimpleNamespace(
    ...     losses=losses,
    ...     labelled=torch.ones(1, 2, dtype=torch.bool),
    ...     trunk_gramian=torch.tensor([[[1.0, -1.0], [-1.0, 4.0]]]),
    ...     noise=RandomStreams([0], "weighter", losses),
    ... )
    >>> PCGrad().weights(step)  # 1 + 1 and 1 + 1 / 4, before the scaling
    tensor([[1.2308, 0.7692]])
    """

    def balance(
        self, gramian: Float[Tensor, "R T T"], pulls: Bool[Tensor, "R T"], step: Step
    ) -> Float[Tensor, "R T"]:
        tasks = gramian.shape[1]
        squared = gramian.diagonal(dim1=1, dim2=2).unsqueeze(1).expand_as(gramian)
        own = torch.arange(tasks, device=gramian.device).view(1, tasks, 1)
        made_of = torch.eye(tasks).to(gramian).expand_as(gramian)  # row i: the weights of p_i
        product = gramian  # row i: <p_i, g_j> for every j
        for other in step.noise.uniform(tasks, tasks).argsort(2).split(1, dim=2):
            along = product.gather(2, other) / positive(squared.gather(2, other))
            taken = torch.where(other == own, 0.0, along.clamp_max(0))
            made_of = made_of.scatter_add(2, other, -taken)
            product = product - taken * gramian.gather(1, other.expand_as(gramian))
        return (made_of * pulls.unsqueeze(2)).sum(1)
