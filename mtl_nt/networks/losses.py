"""The loss of every task, `[R, T]`, and its gradient at the outputs in closed form."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

LossOver = Literal["labelled", "all"]


class TaskLosses(NamedTuple):
    """The losses of a batch, and their gradients at the outputs."""

    losses: Float[Tensor, "R T"]
    errors: Float[Tensor, "R B T"]  # dL_t / d output
    labelled: Bool[Tensor, "R T"]  # the task has a label in the batch


def task_losses(
    outputs: Float[Tensor, "R B T"],
    targets: Float[Tensor, "R B T"],
    label_mask: Float[Tensor, "R B T"],
    binary: Bool[Tensor, "*any T"],
    rows: Float[Tensor, "R 1"],
    over: LossOver = "labelled",
) -> TaskLosses:
    """Squared error of regression tasks, and cross-entropy with logits of binary tasks.

    A task's loss is the mean over its labelled rows in the batch. It is 0 where the task has none.

    Args:
        outputs: predictions of regression tasks, logits of binary tasks.
        targets: any finite number where there is no label.
        label_mask: 1 where there is a label, 0 elsewhere.
        binary: which tasks are binary, `[T]`; or `[R, T]` where the replicas have different tasks.
        rows: number of valid rows in every replica's batch.
        over: "labelled" divides by the labelled rows. "all" divides by all `rows`, so that a task
            with few labels weighs little; the published code of Liu, Liang and Gitter (AAAI 2019)
            does so.

    A regression task with two labelled rows, and a binary task with one:

    >>> outputs, targets = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 1.0], [3.0, 0.0]]])
    >>> mask = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    >>> binary, rows = torch.tensor([False, True]), torch.tensor([[2.0]])
    >>> task_losses(outputs, targets, mask, binary, rows).losses  # (1 + 9) / 2 and log(2)
    tensor([[5.0000, 0.6931]])
    """
    each = binary if binary.ndim == 1 else binary.unsqueeze(1)
    labels = label_mask.sum(1)
    count = labels.clamp_min(1) if over == "labelled" else rows
    if not binary.all():
        gap = (outputs - targets) * label_mask
        losses, errors = gap.square().sum(1), 2 * gap
    if binary.any():
        y = targets * each
        entropy = F.binary_cross_entropy_with_logits(
            outputs, y, weight=label_mask, reduction="none"
        ).sum(1)
        slope = (outputs.sigmoid() - y) * label_mask
        if binary.all():
            losses, errors = entropy, slope
        else:
            losses = torch.where(binary, entropy, losses)
            errors = torch.where(each, slope, errors)
    return TaskLosses(losses / count, errors / count.unsqueeze(1), labels > 0)
