"""Which tasks' gradients agree: cosines over the stages of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.functional import normalize

from .methods import Method, plain
from .pieces import train
from .recipe import Recipe
from .tasks import TaskData
from .weighters import Step, Uniform

STAGES = {"first batch": 0.0, "to 5%": 0.05, "to 20%": 0.2, "to 50%": 0.5, "last half": 1.0}
"""Stages of training over which gradients are averaged, by the share at which each ends."""


def affinity(
    data: TaskData, seeds: Sequence[int], recipe: Recipe, device: str = "cpu"
) -> Float[np.ndarray, "stages T T"]:
    """Cosine of every pair of tasks' gradients at their heads on the shared features (RMTL's, see
    `weighters.RMTL`) in MTL networks: the mean over the batches of a stage (see `STAGES`) in which
    both tasks have a label, and over runs. NaN for a pair that never shares a batch.
    """
    ends = [0]
    for share in STAGES.values():  # a step each at least
        ends.append(max(ends[-1] + 1, round(share * recipe.steps)))
    watch = _Watch(ends[1:])
    train(
        Method("MTL, watched", plain(lambda: watch)),
        [data.run(seed) for seed in seeds],
        seeds,
        recipe,
        device=device,
    )
    return (watch.total / watch.count).nanmean(1).cpu().numpy()


class _Watch(Uniform):
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
        there = step.labelled.to(direction)
        both = there.unsqueeze(1) * there.unsqueeze(2)
        self.total[stage] += both * (direction @ direction.mT)
        self.count[stage] += both
        self.seen += 1
        return super().weights(step)
