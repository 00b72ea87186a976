"""The affinity of tasks: how far their gradients agree, at each stage of training.

Tasks whose gradients point the same way help each other, and tasks whose gradients conflict can
harm each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.functional import normalize

from ..networks import Recipe
from ..tasks import TaskData
from ..weighters import Step, Uniform
from .chunks import train
from .methods import Method, plain

TRAINING_STAGES = {
    "first batch": 0.0,
    "to 5%": 0.05,
    "to 20%": 0.2,
    "to 50%": 0.5,
    "last half": 1.0,
}
"""The stages of training over which cosines are averaged, by the share at which each ends."""


def gradient_affinity(
    data: TaskData, seeds: Sequence[int], recipe: Recipe, device: str = "cpu"
) -> Float[np.ndarray, "stages T T"]:
    """The cosine between the gradients of every two tasks, while MTL networks train.

    The gradients are those of the tasks' heads, as RMTL uses them (see `weighters.RMTL`). The
    cosine is the mean over runs, and over the batches of a stage in which both tasks have a label.

    Args:
        data: the tasks.
        seeds: one run for each.
        recipe: the settings of the training.
        device: where to train.

    Returns:
        A cosine between -1 and 1 for each of the `TRAINING_STAGES` and each pair of tasks. It is
        NaN for two tasks that never share a batch.

    >>> from mtl_nt import load
    >>> gradient_affinity(load("dial"), [0], Recipe(trunk=(4,), steps=5, batch_size=8)).shape
    (5, 9, 9)
    """
    ends = [0]
    for share in TRAINING_STAGES.values():  # each has one step at least
        ends.append(max(ends[-1] + 1, round(share * recipe.steps)))
    cosines = _CosineSum(ends[1:])
    train(
        Method("MTL, watched", plain(lambda: cosines)),
        [data.for_seed(seed) for seed in seeds],
        seeds,
        recipe,
        device=device,
    )
    return (cosines.total / cosines.count).nanmean(1).cpu().numpy()


class _CosineSum(Uniform):
    """MTL's weights; sums the cosines of all pairs of head gradients, stage by stage."""

    def __init__(self, ends: Sequence[int]) -> None:
        super().__init__()
        self.ends, self.seen = ends, 0

    def reset(self, like: Float[torch.Tensor, "R T"]) -> None:
        replicas, tasks = like.shape
        shape = (len(self.ends), replicas, tasks, tasks)
        self.total, self.count = like.new_zeros(shape), like.new_zeros(shape)

    def weights(self, step: Step) -> Float[torch.Tensor, "R T"]:
        stage = min(sum(self.seen >= end for end in self.ends), len(self.ends) - 1)
        direction = normalize(step.head_gradients, dim=2)
        labelled = step.labelled.to(direction)
        both = labelled.unsqueeze(1) * labelled.unsqueeze(2)
        self.total[stage] += both * (direction @ direction.mT)
        self.count[stage] += both
        self.seen += 1
        return super().weights(step)
