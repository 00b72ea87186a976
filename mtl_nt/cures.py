"""What is held against each cause of negative transfer: every method with a sweep of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from .methods import METHODS, STL, Method, swept, tuned, with_target
from .recipe import Recipe
from .tasks import BadInput, TaskData
from .weighters import Step, Weighter

CANDIDATES = 5  # of every sweep
ALPHAS: dict[str, tuple[float, ...]] = {
    "LBTW": (0.1, 0.25, 0.5, 1.0, 2.0),
    "GradNorm": (0.0, 0.12, 0.5, 1.5, 3.0),
    "Deep-AMTFL": (0.01, 0.1, 0.3, 1.0, 3.0),
    "U-AMTFL": (0.01, 0.1, 0.3, 1.0, 3.0),
}
"""Five values of a method's own alpha: the papers' and what lies around them."""
RATED = ("MTL", "Fine-Tuning", "RMTL", "Uncertainty", "DWA", "RandomWeights")
"""Methods without an alpha: their sweep is over learning rate and weight decay."""
RELATED = 0.5  # correlation from which two tasks belong together


class Grouped(Weighter):
    """1 for the tasks of the own task's group, 0 for the others: a network a group.

    Args:
        target: the own task of every network.
        group: of every task.
    """

    def __init__(self, target: Int[Tensor, " R"], group: Sequence[int]) -> None:
        super().__init__()
        self.target, self.group = target, torch.tensor(group)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        group = self.group.to(step.losses.device)
        own = group[self.target.to(group.device)]
        return (own.unsqueeze(1) == group).to(step.losses)


def grouped(data: TaskData) -> Method:
    """Oracle grouping: tasks that are truly related, directly or through others, share a network.

    Raises:
        BadInput: data whose relatedness is not known.
    """
    if data.relatedness is None:
        raise BadInput(f"data set {data.name!r}: nobody knows how its tasks are related")
    _, group = connected_components((data.relatedness > RELATED).numpy(), directed=False)
    return Method(
        "Oracle grouping", with_target(Grouped, group=tuple(map(int, group))), networks="each"
    )


def cures(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """MTL as it is, and every cure with five candidates: of its own alpha, else of learning rate
    and weight decay, or of fixed task weights. A run takes the best on its validation rows.
    """
    rated = [tuned(STL), *(tuned(name) for name in RATED)]
    alphas = [swept(METHODS[name], values) for name, values in ALPHAS.items()]
    return ["MTL", *rated, *alphas, "Scalarisation", tuned(grouped(data))]
