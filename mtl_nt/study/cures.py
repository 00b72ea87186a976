"""The cures for negative transfer that the book compares: every method, each with its own sweep.

Each cure has the same number of candidates, and each run chooses among them by its validation rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..errors import BadInput
from ..networks import Recipe
from ..tasks import TaskData
from ..weighters import Step, Weighter
from .controls import frozen, permuted
from .factories import with_target
from .method import Method
from .methods import METHODS, STL, swept, tuned

CANDIDATES = 5
"""The number of candidates of every sweep."""
ALPHAS: dict[str, tuple[float, ...]] = {
    "LBTW": (0.1, 0.25, 0.5, 1.0, 2.0),
    "GradNorm": (0.0, 0.12, 0.5, 1.5, 3.0),
    "CAGrad": (0.1, 0.2, 0.4, 0.6, 0.8),
    "Deep-AMTFL": (0.01, 0.1, 0.3, 1.0, 3.0),
    "U-AMTFL": (0.01, 0.1, 0.3, 1.0, 3.0),
}
"""The sweep of each method that has an alpha: the papers' values, and values around them."""
RATED = (
    *("MTL", "Fine-Tuning", "RMTL", "PCGrad", "MGDA", "Nash-MTL"),
    *("Uncertainty", "DWA", "RandomWeights"),
)
"""Methods without an alpha, whose sweep is over learning rate and weight decay."""
CONTROLLED = ("LBTW", "GradNorm", "MGDA", "Nash-MTL", "Uncertainty", "U-AMTFL")
"""The weighting methods whose controls are compared beside them."""
RELATED = 0.5
"""Two tasks with a correlation above this are related."""


class Grouped(Weighter):
    """Weight 1 for the tasks in the group of a network's target task, and 0 for all others.

    Args:
        target: the target task of every network.
        group: the number of the group of every task.

    The first and the last of three tasks form a group. One network is for the first task, and one
    for the second:

    >>> from types import SimpleNamespace
    >>> step = SimpleNamespace(losses=torch.ones(2, 3))
    >>> Grouped(torch.tensor([0, 1]), [0, 1, 0]).weights(step)
    tensor([[1., 0., 1.],
            [0., 1., 0.]])
    """

    def __init__(self, target: Int[Tensor, " R"], group: Sequence[int]) -> None:
        super().__init__()
        self.target, self.group = target, torch.tensor(group)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        group = self.group.to(step.losses.device)
        target_group = group[self.target.to(group.device)]
        return (target_group.unsqueeze(1) == group).to(step.losses)


def oracle_grouping(data: TaskData) -> Method:
    """A method in which tasks that are truly related share a network.

    Two tasks are related directly or through others. Only made data say which tasks are related.

    Raises:
        BadInput: data whose relatedness is not known.

    >>> from mtl_nt import load
    >>> oracle_grouping(load("dial")).name
    'Oracle grouping'
    """
    if data.relatedness is None:
        raise BadInput(f"data set {data.name!r}: nobody knows how its tasks are related")
    _, group = connected_components((data.relatedness > RELATED).numpy(), directed=False)
    return Method(
        "Oracle grouping", with_target(Grouped, group=tuple(map(int, group))), networks="each"
    )


def cure_methods(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """Plain MTL, and every cure with five candidates.

    The candidates are values of the method's own alpha where it has one. Else they are learning
    rates and weight decays, or fixed task weights.

    Raises:
        BadInput: data whose relatedness is not known.

    >>> from mtl_nt import load
    >>> cures = cure_methods(load("dial"), Recipe(trunk=(4,), steps=2), [0])
    >>> cures[0], cures[1].name, cures[-1].name
    ('MTL', 'STL, tuned', 'Oracle grouping, tuned')
    """
    rated = [tuned(STL), *(tuned(name) for name in RATED)]
    alphas = [swept(METHODS[name], values) for name, values in ALPHAS.items()]
    return ["MTL", *rated, *alphas, "Scalarisation", tuned(oracle_grouping(data))]


def cure_controls(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """The controls of the weighting methods among the cures, each with its own sweep.

    The weights of a method go to other tasks by one permutation for each run, or they are frozen
    at their mean over a training (see `controls`).

    >>> from mtl_nt import load
    >>> controls = cure_controls(load("dial"), Recipe(trunk=(4,), steps=2), [0])
    >>> controls[0].name, controls[1].name
    ('LBTW, swept, permuted', 'LBTW, swept, frozen')
    """
    cures = [m for m in cure_methods(data, recipe, seeds) if isinstance(m, Method)]
    weighting = [m for name in CONTROLLED for m in cures if m.name.startswith(f"{name}, ")]
    return [control(m) for m in weighting for control in (permuted, frozen)]
