"""What a training leaves behind: its history, and predictions at the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .batches import Replicas, Table
from .losses import task_losses
from .metrics import primary_score
from .models import Network
from .streams import Noise
from .tasks import TaskData
from .weighters import Weighter

Checkpoint = Literal["last", "best_mean", "best_per_task"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("last", "best_mean", "best_per_task")
EXPLODED, SMALL = 100.0, 1e-2  # a last loss so many times the first, or the small one
ROWS_AT_ONCE = 512  # of a forward pass without gradients
NUMBERS_AT_ONCE, LEAST_AT_ONCE = 2**26, 16  # features of these rows, and rows at least
OUTPUTS_AT_ONCE = 2**22  # of several heads, whose losses are tables of their size, ten or so


@dataclass(frozen=True)
class History:
    """What happened, in windows of `window` steps. NaN where a task had no label in a window."""

    window: int
    losses: Float[Tensor, "P R T"]  # mean training loss
    weights: Float[Tensor, "P R T"]  # mean weight, where labelled
    validation: Float[Tensor, "E R T"]  # loss on the validation rows; E = 0 without any
    diverged: Bool[Tensor, " R"]  # a loss or prediction not finite, or a loss EXPLODED-fold

    def spread(self, own: Int[Tensor, " R"], tasks: int) -> History:
        """Of networks with one task each: as many columns as there are tasks, the others NaN."""
        there = torch.nn.functional.one_hot(own, tasks).bool()
        every = (self.losses, self.weights, self.validation)
        losses, weights, validation = (torch.where(there, table, math.nan) for table in every)
        return History(self.window, losses, weights, validation, self.diverged)


class Recorder:
    """Sums of losses and weights over windows of steps."""

    def __init__(self, window: int, like: Tensor) -> None:
        self.window, self.steps = window, 0
        self.sums = [torch.zeros(like.shape, device=like.device) for _ in range(3)]
        self.points: list[tuple[Tensor, Tensor]] = []
        self.diverged = torch.zeros(len(like), dtype=torch.bool, device=like.device)

    def add(self, labelled: Tensor, losses: Tensor, weights: Tensor) -> None:
        """One step's; losses and weights are 0 where a task has no label."""
        for total, new in zip(self.sums, (labelled, losses, weights), strict=True):
            total += new
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
    """Looks at the validation rows, and keeps the test predictions of the checkpoint.

    A column is a network and a task that it is scored on, in the order of `replicas.scored`.

    Args:
        judge: score the validation rows at the end even if the checkpoint does not need it.
        whole: every group's networks are all here. If not, "best_mean" cannot be settled before
            they are put together: every look's predictions are kept.
    """

    def __init__(
        self,
        table: Table,
        replicas: Replicas,
        weighter: Weighter,
        checkpoint: Checkpoint,
        judge: bool = False,
        whole: bool = True,
    ) -> None:
        self.table, self.checkpoint, self.judge = table, checkpoint, judge
        self.weighter, self.exclusive = weighter, table.runs[0].exclusive
        self.seeds = replicas.seed.tolist()
        self.every = checkpoint == "best_mean" and not whole
        self.data = replicas.data.to(table.known.device)
        self.alike = bool((replicas.data == replicas.data[0]).all())
        self.replica, self.task = replicas.scored.nonzero(as_tuple=True)
        self.group = replicas.group[self.replica]
        self.place = self.task if table.own is None else torch.zeros_like(self.task)
        self.best = torch.full((len(self.replica),), -math.inf, dtype=torch.float64)
        self.truth = [_truth(run) for run in table.runs]
        self.kept: list[Tensor] = []
        self.scores: list[Tensor] = []
        self.validation: list[Tensor] = []
        self.finite = torch.ones(len(replicas), dtype=torch.bool, device=table.known.device)

    @property
    def outputs(self) -> Float[Tensor, "L C N"]:
        """Test predictions of every column, at the checkpoint or at every look."""
        return torch.stack(self.kept)

    @torch.no_grad()
    def look(self, network: Network, last: bool) -> None:
        network.eval()
        better = torch.ones_like(self.best, dtype=torch.bool)
        if self.table.has_validation:
            outputs = self._predict(network, "validation")
            self.validation.append(self._validation_losses(outputs))
            if self.checkpoint != "last" or (self.judge and last):
                self.scores.append(self._scores(outputs))
                better = self._improved(self.scores[-1])
        if (last or self.checkpoint != "last") and (self.every or better.any()):
            outputs = self._predict(network, "test")
            self.finite &= outputs.isfinite().all((1, 2))
            new = outputs[self.replica, :, self.place].cpu()
            if self.every or not self.kept:
                self.kept.append(new)
            else:
                self.kept = [torch.where(better.unsqueeze(1), new, self.kept[0])]
        network.train()

    def _predict(self, network: Network, part: Literal["validation", "test"]) -> Tensor:
        outputs = []
        most = NUMBERS_AT_ONCE // max(1, len(self.data) * self.table.features)
        at_once = max(LEAST_AT_ONCE, min(ROWS_AT_ONCE, most))
        numbers = self.table.part(part, self.data)
        everything = torch.ones_like(numbers, dtype=torch.bool)
        if self.alike and self.table.bits is None:  # what all networks read is there once
            numbers = numbers[:1]
        for some in numbers.split(at_once, 1):
            x = self.table.inputs(some)
            if isinstance(x, Tensor):
                x = x.expand(len(self.data), -1, -1)
            outputs.append(network(x, everything[:, : some.shape[1]])[1])
        raw = torch.cat(outputs, 1)
        return self.weighter.predict(raw, self.table.binary, lambda: self._draw(raw))

    def _draw(self, like: Float[Tensor, "R N T"]) -> Float[Tensor, "R N T"]:
        """Gumbel's distribution makes an arg-max a sample of the softmax, the logistic one makes a
        sign a sample of the sigmoid.
        """
        noise = Noise(self.seeds, "prediction", self.table.known)  # anew: a look is like any other
        uniform = noise.uniform(*like.shape[1:]).clamp(1e-7, 1 - 1e-7)
        return -(-uniform.log()).log() if self.exclusive else uniform.logit()

    def _validation_losses(self, outputs: Float[Tensor, "R N T"]) -> Float[Tensor, "R T"]:
        numbers = self.table.part("validation", self.data)
        at_once = len(outputs)
        if self.table.own is None:
            at_once = max(1, OUTPUTS_AT_ONCE // outputs[0].numel())
        found = []
        for out, some in zip(outputs.split(at_once), numbers.split(at_once), strict=True):
            y, labels = self.table.targets(some)
            rows = (some < self.table.begin[-1]).sum(1, keepdim=True).to(out)
            losses, _, labelled = task_losses(out, y, labels, self.table.binary, rows)
            found.append(torch.where(labelled, losses, math.nan))
        return torch.cat(found)

    def _scores(self, outputs: Float[Tensor, "R N T"]) -> Float[Tensor, " C"]:
        """Validation score of every column, higher is better; NaN where none is defined."""
        found, data = outputs.cpu().double().numpy(), self.data.tolist()
        scores = []
        columns = (self.replica.tolist(), self.task.tolist(), self.place.tolist())
        for r, t, place in zip(*columns, strict=True):
            kinds, truth, unit = self.truth[data[r]]
            guess = found[r, : len(truth), place] / unit[t]
            scores.append(primary_score(kinds[t], truth[:, t] / unit[t], guess))
        return torch.tensor(scores, dtype=torch.float64)

    def _improved(self, scores: Float[Tensor, " C"]) -> Bool[Tensor, " C"]:
        if self.checkpoint == "best_mean":
            scores = group_means(scores, self.group)[self.group]
        better = scores > self.best
        better |= self.best.isinf()  # the first look, and tasks without a score
        self.best = torch.where(scores > self.best, scores, self.best)
        return better


def _truth(run: TaskData) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
    """Kinds, validation targets and the unit in which outputs are counted, of every task."""
    truth = run.targets[run.split.validation].double().numpy()
    unit = np.ones(len(run.tasks)) if run.standardise else run.scale[1].numpy()
    return run.kinds, truth, unit


def group_means(scores: Float[Tensor, "*L C"], group: Int[Tensor, " C"]) -> Float[Tensor, "*L G"]:
    """Mean of the scores of every group's columns that have one; NaN where none has."""
    shape = (*scores.shape[:-1], int(group.max()) + 1)
    there = ~scores.isnan()
    total = scores.new_zeros(shape).index_add_(-1, group, scores.nan_to_num(neginf=-math.inf))
    return total / scores.new_zeros(shape).index_add_(-1, group, there.to(scores.dtype))
