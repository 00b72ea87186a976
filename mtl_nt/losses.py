"""Per-task losses `[R, T]` over a batch's labelled rows, with their gradient at the outputs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Over = Literal["labelled", "all"]


class TaskLosses(NamedTuple):
    """losses `[R, T]`, and errors `[R, B, T]`: dL_t / d output, in closed form."""

    losses: Float[Tensor, "R T"]
    errors: Float[Tensor, "R B T"]
    labelled: Bool[Tensor, "R T"]  # the task has a label in the batch


def task_losses(
    outputs: Float[Tensor, "R B T"],
    targets: Float[Tensor, "R B T"],
    labels: Float[Tensor, "R B T"],
    binary: Bool[Tensor, "*any T"],
    rows: Float[Tensor, "R 1"],
    over: Over = "labelled",
) -> TaskLosses:
    """Squared error of regression tasks, cross-entropy with logits of binary tasks.

    A task's loss is the mean over its labelled rows in the batch; 0 where it has none.
    `over="all"` divides by all `rows` of the batch instead, so that a task weighs as much as it is
    labelled: the code published with Liu, Liang and Gitter (AAAI-19) does so.

    Args:
        targets: any finite number where there is no label.
        labels: 1 where there is a label, 0 elsewhere.
        binary: `[T]`, or `[R, T]` where the replicas' tasks are not the same.
    """
    each = binary if binary.ndim == 1 else binary.unsqueeze(1)
    every = labels.sum(1)
    count = every.clamp_min(1) if over == "labelled" else rows
    if not binary.all():
        gap = (outputs - targets) * labels
        losses, errors = gap.square().sum(1), 2 * gap
    if binary.any():
        y = targets * each
        entropy = F.binary_cross_entropy_with_logits(outputs, y, weight=labels, reduction="none")
        entropy, slope = entropy.sum(1), (outputs.sigmoid() - y) * labels
        if binary.all():
            losses, errors = entropy, slope
        else:
            losses = torch.where(binary, entropy, losses)
            errors = torch.where(each, slope, errors)
    return TaskLosses(losses / count, errors / count.unsqueeze(1), every > 0)
