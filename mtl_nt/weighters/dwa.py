"""Dynamic weight average (DWA).

A task whose loss falls more slowly than that of the others gets a larger weight. With the mean loss
L_k(e) of task k over epoch e, the weights of epoch e are

    w_k = T softmax_k(r_k / temperature),    r_k = L_k(e - 1) / L_k(e - 2).

All weights are 1 until two epochs are over.

Source: S. Liu, E. Johns and A. J. Davison, End-to-End Multi-Task Learning with Attention, CVPR
2019, equation (7).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Step, Weighter, positive


class DWA(Weighter):
    """Weights that follow the fall of the losses between the last two epochs.

    Args:
        temperature: above 0. The larger it is, the more equal the weights are. The paper takes 2.

    >>> from types import SimpleNamespace
    >>> dwa = DWA()
    >>> dwa.reset(torch.zeros(1, 2))
    >>> start, epoch = torch.ones(1, dtype=torch.bool), torch.zeros(1, dtype=torch.int64)
    >>> dwa.weights(SimpleNamespace(first_batch=start, epoch=epoch))
    tensor([[1., 1.]])
    """

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.sum, self.count = torch.zeros_like(like), torch.zeros_like(like)
        self.last, self.before = torch.full_like(like, torch.nan), torch.full_like(like, torch.nan)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        new = step.first_batch.unsqueeze(1) & (step.epoch > 0).unsqueeze(1)
        mean = torch.where(self.count > 0, self.sum / self.count.clamp_min(1), self.last)
        self.before = torch.where(new, self.last, self.before)
        self.last = torch.where(new, mean, self.last)
        self.sum, self.count = (torch.where(new, 0.0, a) for a in (self.sum, self.count))
        rate = torch.nan_to_num(self.last / positive(self.before), nan=1.0)
        return rate.shape[1] * torch.softmax(rate / self.temperature, dim=1)

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        self.sum = self.sum + torch.where(step.labelled, step.losses, 0.0)
        self.count = self.count + step.labelled
