"""The history of a training: the losses and weights of every task in every network over time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

EXPLODED, SMALL = 100.0, 1e-2  # a last loss is this many times the first loss, or the small one


@dataclass(frozen=True)
class History:
    """What happened during a training, in windows of `window` steps.

    A value is NaN where a task had no label in a window. Networks with one task each may have one
    column in place of `T`.

    Networks with one task each become rows of a table of all tasks:

    >>> loss, none = torch.tensor([[[0.5], [0.25]]]), torch.zeros(2, dtype=torch.bool)
    >>> history = History(window=10, losses=loss, weights=loss, validation=loss, diverged=none)
    >>> history.spread(torch.tensor([0, 1]), tasks=2).losses
    tensor([[[0.5000,    nan],
             [   nan, 0.2500]]])
    """

    window: int
    losses: Float[Tensor, "P R T"]  # mean training loss
    weights: Float[Tensor, "P R T"]  # mean weight over the steps with a label
    validation: Float[Tensor, "E R T"]  # loss on the validation rows; E = 0 without any
    diverged: Bool[Tensor, " R"]  # a loss or prediction was not finite, or a loss exploded
    counts: Float[Tensor, "P R T"] | None = None  # steps with a label; None where chunks are merged

    @property
    def mean_weights(self) -> Float[Tensor, "R T"]:
        """The mean weight over all steps with a label; NaN for a task that never had one.

        Windows with more such steps count more.

        >>> weights, none = torch.tensor([[[1.0]], [[4.0]]]), torch.zeros(1, dtype=torch.bool)
        >>> steps = torch.tensor([[[3.0]], [[1.0]]])  # 1, 1, 1 in one window; 4, - and - in another
        >>> History(3, weights, weights, weights, none, steps).mean_weights
        tensor([[1.7500]])
        """
        if self.counts is None:
            return self.weights.nanmean(0)
        share = self.counts / self.counts.sum(0)
        mean = (share * torch.where(self.counts > 0, self.weights, 0.0)).sum(0)
        # Where all windows count alike, this is the plain mean, and is rounded as such.
        return torch.where((self.counts == self.counts[0]).all(0), self.weights.nanmean(0), mean)

    def spread(self, only_task: Int[Tensor, " R"], tasks: int) -> History:
        """The history of networks with one task each, in a table of all tasks: NaN elsewhere."""
        own = torch.nn.functional.one_hot(only_task, tasks).bool()
        tables = (self.losses, self.weights, self.validation)
        losses, weights, validation = (torch.where(own, table, math.nan) for table in tables)
        counts = None if self.counts is None else torch.where(own, self.counts, 0.0)
        return History(self.window, losses, weights, validation, self.diverged, counts)


class HistoryRecorder:
    """Adds up losses and weights over windows of steps.

    Args:
        window: number of steps.
        like: a tensor of the shape `[R, T]` and on the device of the losses.
    """

    def __init__(self, window: int, like: Tensor) -> None:
        self.window, self.steps = window, 0
        self.sums = [torch.zeros(like.shape, device=like.device) for _ in range(3)]
        self.means: list[tuple[Tensor, Tensor, Tensor]] = []
        self.diverged = torch.zeros(len(like), dtype=torch.bool, device=like.device)

    def add(self, labelled: Tensor, losses: Tensor, weights: Tensor) -> None:
        """Add one step. Its losses and weights are 0 where a task has no label."""
        for total, new in zip(self.sums, (labelled, losses, weights), strict=True):
            total += new
        self.steps += 1
        if self.steps % self.window == 0:
            self._close_window()

    def _close_window(self) -> None:
        count, loss, weight = self.sums
        self.diverged |= ~(loss.isfinite() & weight.isfinite()).all(1)
        # 0 / 0: no label
        self.means.append(((loss / count).cpu(), (weight / count).cpu(), count.cpu().clone()))
        for total in self.sums:
            total.zero_()

    def history(self, validation: list[Tensor], finite: Bool[Tensor, " R"]) -> History:
        """The history so far.

        Args:
            validation: losses on the validation rows, `[R, T]` for every evaluation.
            finite: networks whose predictions were all finite.
        """
        if self.steps % self.window:
            self._close_window()
        losses, weights, counts = (torch.stack(of) for of in zip(*self.means, strict=True))
        exploded = (losses[-1] > EXPLODED * losses[0].clamp_min(SMALL)).any(1)
        return History(
            window=self.window,
            losses=losses,
            weights=weights,
            validation=torch.stack(validation).cpu()
            if validation
            else torch.empty(0, *self.means[0][0].shape),
            diverged=(self.diverged | ~finite).cpu() | exploded,
            counts=counts,
        )
