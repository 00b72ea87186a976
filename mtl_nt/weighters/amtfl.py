"""Deep-AMTFL: tasks with small losses shape the shared features more.

The notation is that of the paper. L is the trunk, S the heads' weights, h the shared features, and
o = h S the outputs. The decoder A reads the features back from the outputs, h ~ relu(o A + b). Its
row a_t is what task t offers to all tasks. The objective is

    sum_t (1 + alpha |a_t|_1) (L_t + c / sqrt(N_t / mean N))
    + gamma mean_batch |h - relu(o A + b)|^2 + mu |S|_1 + lambda / 2 |trunk|^2,

so a task with a large loss pays a high price for what it offers, and offers little. N_t counts the
task's training labels. The last term is the recipe's `weight_decay` with `decay="trunk"`.

Source: H. Lee, E. Yang and S. J. Hwang, Deep Asymmetric Multi-task Feature Learning, ICML 2018,
equation (9), with the terms as their published code computes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, is_finite_number
from .base import Step, Weighter, alpha_column


class SparseHeads(Weighter):
    """The weight 1 for every task, and the penalty mu |S|_1 on the heads' weights S.

    It is the baseline "MTL-CNN" of Peres da Silva, Suphavilai and Nagarajan (AAAI 2021).

    Args:
        mu: 0 or more.

    Raises:
        BadInput: a mu that is no number, or is below 0.

    >>> from types import SimpleNamespace
    >>> step = SimpleNamespace(head=torch.full((1, 4, 2), -0.5))  # [R, H, T]
    >>> SparseHeads(mu=1.0).penalty(step)
    tensor([4.])
    """

    def __init__(self, mu: float = 1e-4) -> None:
        super().__init__()
        self.mu = _not_negative("mu", mu)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return torch.ones_like(step.losses)

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        return self.mu * step.head.abs().sum((1, 2))


class Balanced(Weighter):
    """The weight mean(N) / N_t, where N_t counts the task's training labels.

    For exclusive tasks N_t counts the rows of the task's class.

    >>> from types import SimpleNamespace
    >>> Balanced().weights(SimpleNamespace(support=torch.tensor([[300.0, 100.0]])))
    tensor([[0.6667, 2.0000]])
    """

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return step.support.mean(1, keepdim=True) / step.support


class AMTFL(SparseHeads):
    """Asymmetric multi-task feature learning: the weight 1 + alpha |a_t|_1.

    Args:
        alpha: 0 or more, the price of offering features; one number, or one for each replica.
        gamma: 0 or more, the weight of the reconstruction; one number, or one for each replica.
        mu: 0 or more, the weight of the penalty on the heads.
        scarcity: c, which a task with few labels pays even where its loss is 0.

    Raises:
        BadInput: a number that is none, or is below 0.

    A task that offers nothing weighs 1:

    >>> from types import SimpleNamespace
    >>> amtfl = AMTFL(alpha=0.5)
    >>> amtfl.reset(torch.zeros(1, 2))
    >>> amtfl.weights(SimpleNamespace(offered=torch.tensor([[0.0, 3.0]])))
    tensor([[1.0000, 2.5000]])
    """

    decodes = True
    takes_classes = False  # its decoder has one row a_t for each task

    def __init__(
        self,
        alpha: float | Sequence[float] | Tensor,
        gamma: float | Sequence[float] | Tensor = 0.01,
        mu: float = 1e-4,
        scarcity: float = 1e-3,
    ) -> None:
        super().__init__(mu)
        self.alpha, self.gamma = alpha_column(alpha), alpha_column(gamma, "gamma")
        self.scarcity = _not_negative("scarcity", scarcity)

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.alpha, self.gamma = self.alpha.to(like), self.gamma.to(like)

    def factor(self, step: Step) -> Float[Tensor, "R T"]:
        """The factor 1 + alpha |a_t|_1, with a graph to A."""
        return 1 + self.alpha * step.offered

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return self.factor(step)

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        share = step.support / step.support.mean(1, keepdim=True)
        scarce = torch.where(step.labelled, self.scarcity * share.rsqrt(), 0.0)
        paid = (self.factor(step) * scarce).sum(1)
        return super().penalty(step) + paid + self.gamma[:, 0] * step.reconstruction


def _not_negative(name: str, value: float) -> float:
    if not is_finite_number(value) or value < 0:
        raise BadInput(f"{name} {value!r}: must be a number, 0 or more")
    return float(value)
