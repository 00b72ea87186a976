"""Equal weights, and weights that never change.

Plain multi-task learning gives every task the weight 1, so that the objective is

    sum_t L_t.

Single-task learning is the same with one task. Scalarisation gives every task a weight that stays
fixed during training, sum_t w_t L_t, and chooses these weights on validation rows.

Sources: R. Caruana, Multitask Learning, Machine Learning 28, 1997. V. Kurin, A. De Palma,
I. Kostrikov, S. Whiteson and M. P. Kumar, In Defense of the Unitary Scalarization for Deep
Multi-Task Learning, NeurIPS 2022.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from .base import Step, Weighter


class Uniform(Weighter):
    """The weight 1 for every task.

    >>> from types import SimpleNamespace
    >>> step = SimpleNamespace(losses=torch.tensor([[0.3, 0.7]]))
    >>> Uniform().weights(step)
    tensor([[1., 1.]])
    """

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return torch.ones_like(step.losses)


class Fixed(Weighter):
    """The given weights, which never change.

    Args:
        weights: `[R, T]`, one row for each replica, or `[1, T]` for all of them.

    Raises:
        BadInput: weights of another shape, once the numbers of networks and tasks are known.

    >>> twice_the_first = Fixed(torch.tensor([[2.0, 1.0, 1.0]]))
    >>> twice_the_first.reset(torch.zeros(2, 3))  # two replicas, three tasks
    >>> twice_the_first.given
    tensor([[2., 1., 1.],
            [2., 1., 1.]])
    """

    def __init__(self, weights: Float[Tensor, "R T"]) -> None:
        super().__init__()
        self.given = torch.as_tensor(weights)

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.check_tasks(like.shape[1])
        try:
            self.given = self.given.to(like).expand_as(like)
        except RuntimeError:
            raise BadInput(
                f"Fixed: weights {[*self.given.shape]} for {len(like)} networks that train side "
                "by side; give one row for each, or [1, tasks] for all networks"
            ) from None

    def check_tasks(self, tasks: int) -> None:
        """Raise `BadInput` for weights of another number of tasks."""
        if self.given.shape[-1:] != (tasks,):
            raise BadInput(
                f"Fixed: weights {[*self.given.shape]} for {tasks} tasks; give [networks, tasks], "
                "or [1, tasks] for all networks"
            )

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return self.given
