"""What a training leaves behind: its history, and predictions at the checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .batches import Replicas, Table
from .losses import task_losses
from .metrics import primary_scores
from .models import Network

Checkpoint = Literal["last", "best_mean", "best_per_task"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("last", "best_mean", "best_per_task")
EXPLODED, SMALL = 100.0, 1e-2  # a last loss so many times the first, or the small one
ROWS_AT_ONCE = 512  # of a forward pass without gradients


@dataclass(frozen=True)
class History:
    """What happened, in windows of `window` steps. NaN where a task had no label in a window."""

    window: int
    losses: Float[Tensor, "P R T"]  # mean training loss
    weights: Float[Tensor, "P R T"]  # mean weight, where labelled
    validation: Float[Tensor, "E R T"]  # loss on the validation rows; E = 0 without any
    diverged: Bool[Tensor, " R"]  # a loss or prediction not finite, or a loss EXPLODED-fold


class Recorder:
    """Sums of losses and weights over windows of steps."""

    def __init__(self, window: int, like: Tensor) -> None:
        self.window, self.steps = window, 0
        self.sums = [torch.zeros(like.shape, device=like.device) for _ in range(3)]
        self.points: list[tuple[Tensor, Tensor]] = []
        self.diverged = torch.zeros(len(like), dtype=torch.bool, device=like.device)

    def add(self, labelled: Tensor, losses: Tensor, weights: Tensor) -> None:
        for total, new in zip(self.sums, (labelled, losses, weights), strict=True):
            total += torch.where(labelled, new, 0.0)
        self.steps += 1
        if self.steps % self.window == 0:
            self.close()

    def close(self) -> None:
        count, loss, weight = self.sums
        self.diverged |= ~(loss.isfinite() & weight.isfinite()).all(1)
        self.points.append(((loss / count).cpu(), (weight / count).cpu()))  # 0 / 0: no label
        for total in self.sums:
            total.zero_()

    def history(self, keeper: Keeper) -> History:
        if self.steps % self.window:
            self.close()
        losses = torch.stack([loss for loss, _ in self.points])
        exploded = (losses[-1] > EXPLODED * losses[0].clamp_min(SMALL)).any(1)
        return History(
            window=self.window,
            losses=losses,
            weights=torch.stack([weight for _, weight in self.points]),
            validation=torch.stack(keeper.validation).cpu()
            if keeper.validation
            else torch.empty(0, *self.points[0][0].shape),
            diverged=(self.diverged | ~keeper.finite).cpu() | exploded,
        )


class Keeper:
    """Looks at the validation rows, and keeps the test predictions of the checkpoint."""

    def __init__(self, table: Table, replicas: Replicas, checkpoint: Checkpoint) -> None:
        self.table, self.checkpoint = table, checkpoint
        self.data = replicas.data.to(table.x.device)
        self.replica, self.task = replicas.scored.nonzero(as_tuple=True)
        self.group = replicas.group[self.replica]
        self.groups = int(replicas.group.max()) + 1
        self.run_of_group = {
            int(g): int(d) for g, d in zip(replicas.group, replicas.data, strict=True)
        }
        tasks = replicas.scored.shape[1]
        self.best = torch.full((self.groups, tasks), -math.inf, dtype=torch.float64)
        self.predictions = torch.zeros(0)
        self.validation: list[Tensor] = []
        self.finite = torch.ones(len(replicas), dtype=torch.bool, device=table.x.device)

    @torch.no_grad()
    def look(self, network: Network, last: bool) -> None:
        network.eval()
        better = torch.ones_like(self.best, dtype=torch.bool)
        if self.table.has_validation:
            outputs = self._predict(network, "validation")
            self.validation.append(self._validation_losses(outputs))
            if self.checkpoint != "last":
                better = self._improved(self._assembled(outputs))
        if (last or self.checkpoint != "last") and better.any():
            outputs = self._predict(network, "test")
            self.finite &= outputs.isfinite().all((1, 2))
            new = self._assembled(outputs).cpu()
            kept = self.predictions if len(self.predictions) else new
            self.predictions = torch.where(better.unsqueeze(1), new, kept)
        network.train()

    def _predict(self, network: Network, part: Literal["validation", "test"]) -> Tensor:
        rows = self.table.rows_of(part)
        outputs = []
        for start in range(0, rows.shape[1], ROWS_AT_ONCE):
            x = self.table.x[self.data[:, None], rows[self.data, start : start + ROWS_AT_ONCE]]
            outputs.append(network(x, x.new_ones(x.shape[:2], dtype=torch.bool))[1])
        return torch.cat(outputs, 1)

    def _assembled(self, outputs: Float[Tensor, "R N T"]) -> Float[Tensor, "G N T"]:
        """Every task's column from the network of its group that it is scored on."""
        out = outputs.new_zeros(self.groups, *outputs.shape[1:])
        out[self.group, :, self.task] = outputs[self.replica, :, self.task]
        return out

    def _validation_losses(self, outputs: Float[Tensor, "R N T"]) -> Float[Tensor, "R T"]:
        rows = self.table.rows_of("validation")[self.data]
        y = self.table.y[self.data[:, None], rows]
        labelled = self.table.labelled[self.data[:, None], rows]
        length = torch.tensor([len(run.split.validation) for run in self.table.runs])
        real = torch.arange(rows.shape[1]) < length[self.data.cpu()][:, None]
        labelled = labelled & real.to(labelled.device).unsqueeze(2)
        count = real.sum(1, keepdim=True).to(outputs)
        losses = task_losses(outputs, y, labelled, self.table.binary, count).losses
        return torch.where(labelled.any(1), losses, math.nan)

    def _improved(self, outputs: Float[Tensor, "G N T"]) -> Bool[Tensor, "G T"]:
        scores = torch.stack(
            [
                primary_scores(self.table.runs[self.run_of_group[g]], "validation", outputs[g])
                for g in range(self.groups)
            ]
        )
        # A diverged task is not "not scored": left out of the mean, it would raise it.
        scores[~outputs.isfinite().all(1).cpu()] = -math.inf
        if self.checkpoint == "best_mean":
            scores = scores.nanmean(1, keepdim=True).expand_as(scores)
        better = scores > self.best
        better |= self.best.isinf()  # the first look, and tasks without a score
        self.best = torch.where(scores > self.best, scores, self.best)
        return better
