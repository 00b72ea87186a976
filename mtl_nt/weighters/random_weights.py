"""Random weights: a control that any weighter has to beat.

The weights of every batch are drawn anew,

    w = T softmax(z),    z_k standard normal,

so they know nothing about the tasks.

Source: B. Lin, F. Ye, Y. Zhang and I. W. Tsang, Reasonable Effectiveness of Random Weighting: A
Litmus Test for Multi-Task Learning, TMLR 2022.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Step, Weighter


class RandomWeights(Weighter):
    """Weights that are drawn anew for every batch, from the replica's own random numbers.

    >>> from types import SimpleNamespace
    >>> from mtl_nt.networks import RandomStreams
    >>> losses = torch.zeros(2, 3)  # two replicas, three tasks
    >>> step = SimpleNamespace(losses=losses, noise=RandomStreams([0, 1], "weighter", losses))
    >>> RandomWeights().weights(step).sum(1)
    tensor([3., 3.])
    """

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        tasks = step.losses.shape[1]
        return tasks * torch.softmax(step.noise.normal(tasks), dim=1)
