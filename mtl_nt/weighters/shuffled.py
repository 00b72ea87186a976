"""Controls of a weighter: its weights, without what they know.

If a weighter gains by what its weights know, a control that lacks this knowledge loses the gain.

- `Permuted` gives each task the weights of another task, the same one throughout a run. It lacks
  which task is which; the weights' sizes and their movement over time stay.
- `Frozen` gives each task its mean weight over a whole training. It lacks all movement over time.
- `Shuffled` permutes the weights anew in every batch. That also cuts the link between a batch's
  loss and its own weight, which hurts by itself; so it is never the only control.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Step, Weighter


class Control(Weighter):
    """Another weighter, whose weights are changed. All else that it does stays as it is.

    Args:
        weighter: the other weighter.
    """

    def __init__(self, weighter: Weighter) -> None:
        super().__init__()
        self.weighter = weighter
        self.learning_rate, self.decodes = weighter.learning_rate, weighter.decodes
        self.passes, self.takes_classes = weighter.passes, weighter.takes_classes

    def check(self, dropout: float) -> None:
        self.weighter.check(dropout)

    def read(
        self, outputs: Tensor, binary: Tensor, valid: Tensor, again: Callable[[], Tensor]
    ) -> Float[Tensor, "R B O"]:
        return self.weighter.read(outputs, binary, valid, again)

    def predict(
        self, outputs: Tensor, binary: Tensor, draw: Callable[[], Tensor]
    ) -> Float[Tensor, "R N O"]:
        return self.weighter.predict(outputs, binary, draw)

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.weighter.reset(like)

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        return self.weighter.penalty(step)

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        self.weighter.after(step, weights)


class Shuffled(Control):
    """Another weighter, whose weights are permuted in every batch among the tasks with a label.

    Args:
        weighter: whose weights are permuted. All else that it does stays as it is.

    >>> from mtl_nt import LBTW
    >>> Shuffled(LBTW(0.5)).weighter.alpha
    tensor([[0.5000]], dtype=torch.float64)
    """

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        given = self.weighter.weights(step)
        place = torch.arange(given.shape[1], device=given.device).to(given)
        last = torch.where(step.labelled, 0.0, 2.0 * given.shape[1])  # unlabelled tasks stay put
        order = (last + place).argsort(dim=1)
        dealt = torch.where(step.labelled, step.noise.uniform(given.shape[1]), last + place)
        return given.scatter(1, order, given.gather(1, dealt.argsort(dim=1)))


class Permuted(Control):
    """Another weighter, whose weights go to other tasks, by one permutation for each run.

    The permutation is drawn before the first step. It is a single cycle through all tasks, so no
    task keeps its own weight. Where some tasks have no label in a batch, each task gets the weight
    of the next one in the cycle that has a label.

    Args:
        weighter: whose weights are permuted. All else that it does stays as it is.

    >>> from mtl_nt import LBTW
    >>> Permuted(LBTW(0.5)).weighter.alpha
    tensor([[0.5000]], dtype=torch.float64)
    """

    def __init__(self, weighter: Weighter) -> None:
        super().__init__(weighter)
        self.cycle: Tensor | None = None

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        super().reset(like)
        self.cycle = None

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        given = self.weighter.weights(step)
        if self.cycle is None:
            self.cycle = step.noise.uniform(given.shape[1]).to(given)
        # The tasks with a label in the order of the cycle, and then the others.
        order = torch.where(step.labelled, self.cycle, self.cycle + 2).argsort(dim=1)
        count = step.labelled.sum(1, keepdim=True)
        place = torch.arange(given.shape[1], device=given.device).expand_as(order)
        following = torch.where(place + 1 < count, place + 1, 0 * place)
        source = order.gather(1, torch.where(place < count, following, place))
        return given.scatter(1, order, given.gather(1, source))


class Frozen(Control):
    """Another weighter, whose weights never change. It neither sees nor learns anything.

    Args:
        weighter: whose weights are replaced. Its penalty and its reading of outputs stay.
        weights: `[R, T]`, one row for each replica, or `[1, T]` for all of them.

    >>> from mtl_nt import LBTW
    >>> frozen = Frozen(LBTW(0.5), torch.tensor([[1.5, 0.5]]))
    >>> frozen.reset(torch.zeros(1, 2))
    >>> frozen.given
    tensor([[1.5000, 0.5000]])
    """

    def __init__(self, weighter: Weighter, weights: Float[Tensor, "R T"]) -> None:
        super().__init__(weighter)
        self.given = weights

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        super().reset(like)
        self.given = self.given.to(like).expand_as(like)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return self.given

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        """A weighter without movement updates nothing."""
