"""The loss of every task, `[R, T]`, and its gradient at the outputs in closed form."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from .class_outputs import ClassOutputs

LossOver = Literal["labelled", "all"]


class TaskLosses(NamedTuple):
    """The losses of a batch, and their gradients at the outputs."""

    losses: Float[Tensor, "R T"]
    errors: Float[Tensor, "R B O"]  # dL_t / d output
    labelled: Bool[Tensor, "R T"]  # the task has a label in the batch


def task_losses(
    outputs: Float[Tensor, "R B O"],
    targets: Float[Tensor, "R B T"],
    label_mask: Float[Tensor, "R B T"],
    binary: Bool[Tensor, "*any T"],
    rows: Float[Tensor, "R 1"],
    over: LossOver = "labelled",
    classes: ClassOutputs | None = None,
    weighted: bool = False,
) -> TaskLosses:
    """Squared error of regression tasks, and cross-entropy with logits of all other tasks.

    A task's loss is the mean over its labelled rows in the batch. It is 0 where the task has none.

    Args:
        outputs: predictions of regression tasks, logits of binary tasks, and a logit for each class
            of a task of classes.
        targets: any finite number where there is no label; of tasks of classes, a class's number.
        label_mask: 1 where there is a label, 0 elsewhere; or the weight of each label.
        binary: which tasks are binary, `[T]`; or `[R, T]` where the replicas have different tasks.
        rows: number of valid rows in every replica's batch.
        over: "labelled" divides by the labelled rows. "all" divides by all `rows`, so that a task
            with few labels weighs little; the published code of Liu, Liang and Gitter (AAAI 2019)
            does so.
        classes: the outputs of tasks of classes; None where there are no such tasks, and each task
            has one output.
        weighted: whether `label_mask` has weights w. A loss is then the weighted mean
            sum w l / sum w, or over "all" sum w l / rows.

    A regression task with two labelled rows, and a binary task with one:

    >>> outputs, targets = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 1.0], [3.0, 0.0]]])
    >>> mask = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    >>> binary, rows = torch.tensor([False, True]), torch.tensor([[2.0]])
    >>> task_losses(outputs, targets, mask, binary, rows).losses  # (1 + 9) / 2 and log(2)
    tensor([[5.0000, 0.6931]])
    """
    if classes is not None:
        return _with_classes(outputs, targets, label_mask, binary, rows, over, classes, weighted)
    each = binary if binary.ndim == 1 else binary.unsqueeze(1)
    labels = label_mask.sum(1)
    count = _divisor(labels, weighted) if over == "labelled" else rows
    if not binary.all():
        gap = (outputs - targets) * label_mask
        losses = (gap * (outputs - targets) if weighted else gap.square()).sum(1)
        errors = 2 * gap
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


def _divisor(labels: Float[Tensor, "R T"], weighted: bool) -> Float[Tensor, "R T"]:
    """What a sum over labelled rows is divided by; above 0 where there are none."""
    return labels.clamp_min(torch.finfo(labels.dtype).tiny if weighted else 1)


def _with_classes(
    outputs: Float[Tensor, "R B O"],
    targets: Float[Tensor, "R B T"],
    label_mask: Float[Tensor, "R B T"],
    binary: Bool[Tensor, " T"],
    rows: Float[Tensor, "R 1"],
    over: LossOver,
    classes: ClassOutputs,
    weighted: bool,
) -> TaskLosses:
    """The losses of tasks of which some have classes.

    The loss of these is -log p_y, with the softmax p over the task's own outputs. Its gradient at
    these outputs is p minus 1 at the row's class. All other tasks are handled as ever.
    """
    plain, own = classes.plain, classes.plain_place
    losses = outputs.new_zeros(len(outputs), targets.shape[2])
    errors = torch.zeros_like(outputs)
    if len(plain):
        y, weight = (t[:, :, plain] for t in (targets, label_mask))
        found = task_losses(
            outputs[:, :, own], y, weight, binary[plain], rows, over, None, weighted
        )
        losses[:, plain], errors[:, :, own] = found.losses, found.errors
    y, weight = (t[:, :, classes.number] for t in (targets, label_mask))
    labels = label_mask.sum(1)
    of_classes = labels[:, classes.number]
    count = _divisor(of_classes, weighted) if over == "labelled" else rows
    log_p = classes.log_probabilities(outputs)  # (R, B, K, C)
    label = y.long().unsqueeze(3)
    entropy = -log_p.gather(3, label).squeeze(3)
    losses[:, classes.number] = torch.where(weight > 0, entropy * weight, 0.0).sum(1) / count
    slope = log_p.exp().scatter_add(3, label, -torch.ones_like(label, dtype=log_p.dtype))
    slope = slope * (weight / count.unsqueeze(1)).unsqueeze(3)
    errors[:, :, classes.place[classes.there]] = slope[:, :, classes.there]
    return TaskLosses(losses, errors, labels > 0)
