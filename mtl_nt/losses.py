"""Per-task losses `[R, T]` over a batch's labelled rows, with their gradient at the outputs."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Over = Literal["labelled", "all"]


class TaskLosses(NamedTuple):
    """losses `[R, T]` (with graph), errors `[R, B, T]` (dL_t / d output, without graph)."""

    losses: Float[Tensor, "R T"]
    errors: Float[Tensor, "R B T"]


def task_losses(
    outputs: Float[Tensor, "R B T"],
    targets: Float[Tensor, "R B T"],
    labelled: Bool[Tensor, "R B T"],
    binary: Bool[Tensor, " T"],
    rows: Float[Tensor, "R 1"],
    over: Over = "labelled",
) -> TaskLosses:
    """Squared error of regression tasks, cross-entropy with logits of binary tasks.

    A task's loss is the mean over its labelled rows in the batch; 0 where it has none.
    `over="all"` divides by all `rows` of the batch instead, so that a task weighs as much as it is
    labelled: the code published with Liu, Liang and Gitter (AAAI-19) does so.
    """
    y = torch.where(labelled, targets, 0.0)
    count = labelled.sum(1).clamp_min(1) if over == "labelled" else rows  # (R, T) or (R, 1)
    squared = (outputs - y).square()
    slope = 2 * (outputs - y).detach()
    if binary.any():
        entropy = F.binary_cross_entropy_with_logits(
            outputs, torch.where(binary, y, 0.0), reduction="none"
        )
        squared = torch.where(binary, entropy, squared)
        slope = torch.where(binary, outputs.detach().sigmoid() - y, slope)
    losses = torch.where(labelled, squared, 0.0).sum(1) / count
    errors = torch.where(labelled, slope, 0.0) / count.unsqueeze(1)
    return TaskLosses(losses, errors)
