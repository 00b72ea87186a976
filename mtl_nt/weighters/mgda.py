"""MGDA: the shortest mean of the tasks' gradients.

The weights w >= 0 with a sum of 1 make |sum_t w_t g_t| least. A step down this mean lowers the loss
of every task, by equally much where its weight is above 0. If the shortest mean is 0, then no step
lowers all losses.

Sources: J.-A. Desideri, Multiple-gradient descent algorithm (MGDA) for multiobjective optimization,
Comptes Rendus Mathematique 350, 2012; O. Sener and V. Koltun, Multi-Task Learning as
Multi-Objective Optimization, NeurIPS 2018, equation (3).
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from .base import Step
from .gramian import GramianWeighter, least_on_simplex


class MGDA(GramianWeighter):
    """The weights of the shortest mean of the gradients, scaled to a mean of 1 (see `gramian`).

    A short gradient gets a large weight:

    >>> import torch
    >>> from types import SimpleNamespace
    >>> step = SimpleNamespace(
    ...     losses=torch.ones(1, 2),
    ...     labelled=torch.ones(1, 2, dtype=torch.bool),
    ...     trunk_gramian=torch.tensor([[[1.0, 0.0], [0.0, 4.0]]]),  # at a right angle
    ... )
    >>> MGDA().weights(step)
    tensor([[1.6000, 0.4000]])
    """

    def balance(
        self, gramian: Float[Tensor, "R T T"], pulls: Bool[Tensor, "R T"], step: Step
    ) -> Float[Tensor, "R T"]:
        none = gramian.new_zeros(pulls.shape)
        return least_on_simplex(gramian, none, none[:, 0] + 1, pulls)
