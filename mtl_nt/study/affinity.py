"""The affinity of tasks: how far their gradients agree, at each stage of training.

Tasks whose gradients point the same way help each other, and tasks whose gradients conflict can
harm each other. The gradients are those at the weights of the last layer that all tasks share.

On `dial`, batch by batch, these cosines correlate with those of all shared weights by .98 on the
data's own trunks, which have one layer; by .83 to .97 on deeper trunks with ReLU; and by .72 to .86
on deeper ones with tanh. Cosines of the heads' gradients, as RMTL has them, correlate by .08 to
.61. (Scenarios unrelated, dominant and noisy, 100 steps of 2 runs.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from ..networks import Recipe
from ..tasks import TaskData
from ..weighters import Step, Uniform
from .chunks import train
from .factories import plain
from .method import Method

TRAINING_STAGES = {
    "first batch": 0.0,
    "to 5%": 0.05,
    "to 20%": 0.2,
    "to 50%": 0.5,
    "last half": 1.0,
}
"""The stages of training over which cosines are averaged, by the share at which each ends."""
ENOUGH_COMMON_LABELS = 0.4
"""The share of common labels from which on a cosine tells how two tasks are related.

Below it, a cosine also tells how the rows of one task differ from those of the other. Source:
J. Zhang and B. Cheng, arXiv 2604.07848 (2026), who find a threshold between 30% and 40%.
"""


class Affinity(NamedTuple):
    """How far the gradients of every two tasks agree, and what that can say.

    Attributes:
        cosines: from -1 to 1, for each of the `TRAINING_STAGES` and each pair of tasks. NaN for two
            tasks that never share a batch.
        common_labels: of the training rows that are labelled for one of the two tasks, the share
            that are labelled for both; from 0 to 1. See `ENOUGH_COMMON_LABELS`.
    """

    cosines: Float[np.ndarray, "stages T T"]
    common_labels: Float[np.ndarray, "T T"]


def gradient_affinity(
    data: TaskData,
    seeds: Sequence[int],
    recipe: Recipe,
    device: str = "cpu",
    stop: Callable[[], bool] | None = None,
) -> Affinity:
    """The cosine between the gradients of every two tasks, while MTL networks train.

    The gradients are those at the weights of the last shared layer (see `networks.trunk_gramian`).
    The cosine is the mean over runs, and over the batches of a stage in which both tasks have a
    label.

    Args:
        data: the tasks.
        seeds: one run for each.
        recipe: the settings of the training.
        device: where to train.
        stop: as in `training.fit`.

    Raises:
        BadInput: the recipe's loss is "softmax", in which no task has a gradient of its own.
        Stopped: `stop` has returned True.

    >>> from mtl_nt import load
    >>> recipe = Recipe(trunk=(4,), steps=5, batch_size=8)
    >>> cosines, common_labels = gradient_affinity(load("dial"), [0], recipe)
    >>> cosines.shape, float(common_labels[0, 1])  # on `dial`, every task has rows of its own
    ((5, 9, 9), 0.0)
    """
    ends = [0]
    for share in TRAINING_STAGES.values():  # each has one step at least
        ends.append(max(ends[-1] + 1, round(share * recipe.steps)))
    cosines, runs = _CosineSum(ends[1:]), [data.for_seed(seed) for seed in seeds]
    train(
        Method("MTL, watched", plain(lambda: cosines)),
        runs,
        seeds,
        recipe,
        device=device,
        stop=stop,
    )
    shares = np.mean([common_labels(run) for run in runs], axis=0)
    return Affinity((cosines.total / cosines.count).nanmean(1).cpu().numpy(), shares)


def common_labels(data: TaskData) -> Float[np.ndarray, "T T"]:
    """The share of common labels of every two tasks, among the training rows.

    Of the rows that are labelled for one of the two, it is the share that are labelled for both.

    >>> from mtl_nt import load
    >>> bool((common_labels(load("digits")) == 1).all())  # each image has a label for every digit
    True
    """
    labelled = data.labelled[data.split.train].double()
    both = (labelled.T @ labelled).numpy()
    count = both.diagonal()
    return both / (count[:, None] + count - both)


class _CosineSum(Uniform):
    """MTL's weights; sums the cosines of all pairs of gradients, stage by stage."""

    def __init__(self, ends: Sequence[int]) -> None:
        super().__init__()
        self.ends, self.seen = ends, 0

    def reset(self, like: Float[torch.Tensor, "R T"]) -> None:
        replicas, tasks = like.shape
        shape = (len(self.ends), replicas, tasks, tasks)
        self.total, self.count = like.new_zeros(shape), like.new_zeros(shape)

    def weights(self, step: Step) -> Float[torch.Tensor, "R T"]:
        stage = min(sum(self.seen >= end for end in self.ends), len(self.ends) - 1)
        length = step.trunk_gramian.diagonal(dim1=1, dim2=2).sqrt()
        known = step.labelled & (length > 0)  # a gradient of 0 has no direction
        both = known.unsqueeze(1) & known.unsqueeze(2)
        cosine = step.trunk_gramian / (length.unsqueeze(1) * length.unsqueeze(2))
        self.total[stage] += torch.where(both, cosine, 0.0)
        self.count[stage] += both
        self.seen += 1
        return super().weights(step)
