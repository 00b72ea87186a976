"""The rows of all runs in one table on the training device, from which batches are taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..bits import Bits, Features
from ..networks import ClassOutputs
from ..tasks import TaskData
from .batches import Batch, BatchSampler

LARGE_TABLE = 2e8  # bytes of features, above which they are not copied


class Rows(NamedTuple):
    """Rows of every replica's data."""

    x: Features  # [R, B, F]
    y: Float[Tensor, "R B T"]  # 0 where there is no label
    label_mask: Float[Tensor, "R B T"]  # 1 where there is a label, or its weight; 0 elsewhere


class CombinedTable:
    """The rows of all runs, one run after another, on the device that trains.

    A last row without features and labels fills up ragged sampler. The features of a single run
    that are large stay where they are, without that row.

    Args:
        runs: data sets with the same tasks and features.
        device: where the table lies.
        dtype: precision of features and targets.
        only_task: the one task, `[R]`, of each replica; the other tasks' targets are left out.

    Attributes:
        weighted: whether `label_mask` has weights in training, and whether it has them elsewhere.
        classes: the outputs of tasks of classes; None without such tasks.
        binary: which tasks are binary, and `binary_output` which outputs are of binary tasks.

    >>> from mtl_nt import load
    >>> table = CombinedTable([load("digits")], "cpu", torch.float32)
    >>> x, y, label_mask = table.rows(torch.tensor([[0, 1, 2]]))
    >>> x.shape, y.shape
    (torch.Size([1, 3, 64]), torch.Size([1, 3, 10]))
    """

    def __init__(
        self,
        runs: Sequence[TaskData],
        device: str | torch.device,
        dtype: torch.dtype,
        only_task: Int[Tensor, " R"] | None = None,
    ) -> None:
        self.runs, self.tasks = runs, len(runs[0].tasks)
        lengths = [len(run.x) for run in runs]
        self.begin = torch.tensor([0, *lengths]).cumsum(0).to(device)
        empty_row = torch.full((1, self.tasks), math.nan, dtype=dtype)
        y = torch.cat([*(run.targets.to(dtype) for run in runs), empty_row])
        self.only_task = None if only_task is None else only_task.to(device).unsqueeze(1)
        self.y = y.to(device)
        training, weights = self._weights([run.training_weights for run in runs], y), None
        if all(run.class_weight is None for run in runs):
            weights = training
        elif any(run.weights is not None for run in runs):
            weights = self._weights([run.weights for run in runs], y)
        self.training_weights = None if training is None else training.to(device)
        self.weights = None if weights is None else weights.to(device)
        self.weighted = training is not None, weights is not None
        classes = ClassOutputs.of_tasks(runs[0].outputs_per_task)
        self.classes = None if classes is None else classes.to(device)
        self.outputs = sum(runs[0].outputs_per_task)
        x = [run.x for run in runs]
        self.features = math.prod(x[0].shape[1:])
        self.bits = Bits.concatenated(x).to(device) if isinstance(x[0], Bits) else None
        dense = [t.flatten(1) for t in x if isinstance(t, Tensor)]
        self.large: Float[Tensor, "N F"] | None = None
        if len(dense) == 1 and dense[0].nbytes > LARGE_TABLE:
            self.large, dense = dense[0].to(device, dtype), []
        # Targets, label mask and features lie side by side: one row of one table is found faster
        # than three rows of three tables.
        width = 2 * self.tasks if only_task is None else 0
        columns = torch.zeros(len(y), width + self.features * bool(dense), dtype=dtype)
        if only_task is None:
            columns[:, : self.tasks] = y.nan_to_num()
            columns[:, self.tasks : width] = ~y.isnan() if training is None else training
        for start, features in zip(self.begin.tolist(), dense, strict=False):
            columns[start : start + len(features), width:] = features
        self.columns, self.buffers = columns.to(device), [torch.empty(0, 0)] * 2
        self.binary = runs[0].binary.to(device)
        if self.only_task is not None:
            self.binary = self.binary[self.only_task]  # (R, 1)
        self.binary_output = self.binary
        if self.classes is not None:
            self.binary_output = self.classes.spread(self.binary)
        self.has_validation = all(len(run.split.validation) for run in runs)

    def rows(self, numbers: Int[Tensor, "R B"], reuse: bool = False) -> Rows:
        """Rows by their numbers in this table.

        Args:
            reuse: overwrite the rows of the last call that said so. New memory for every batch
                costs more than the copy itself.
        """
        if self.only_task is not None:
            return Rows(self.inputs(numbers, reuse), *self.targets(numbers, training=True))
        columns = self._select(0, self.columns, numbers, reuse)
        sizes = [self.tasks, self.tasks, columns.shape[2] - 2 * self.tasks]
        y, label_mask, x = columns.split(sizes, 2)
        return Rows(x if x.shape[2] else self.inputs(numbers, reuse), y, label_mask)

    def inputs(self, numbers: Int[Tensor, "R B"], reuse: bool = False) -> Features:
        """The features `x` of rows, without their targets."""
        if self.bits is not None:
            return self.bits.take(numbers)
        if self.large is None:
            return self._select(0, self.columns, numbers, reuse)[..., -self.features :]
        last = len(self.large)
        x = self._select(1, self.large, numbers.clamp(max=last - 1), reuse)
        x.flatten(0, 1).index_fill_(0, (numbers.flatten() == last).nonzero().flatten(), 0)
        return x

    def _select(
        self, buffer: int, table: Float[Tensor, "N K"], numbers: Int[Tensor, "R B"], reuse: bool
    ) -> Float[Tensor, "R B K"]:
        flat = numbers.flatten()
        if reuse and len(self.buffers[buffer]) != len(flat):
            self.buffers[buffer] = table.new_empty(len(flat), table.shape[1])
        out = self.buffers[buffer] if reuse else None
        return torch.index_select(table, 0, flat, out=out).unflatten(0, numbers.shape)

    def targets(
        self, numbers: Int[Tensor, "R B"], training: bool = False
    ) -> tuple[Float[Tensor, "R B T"], Float[Tensor, "R B T"]]:
        """`y` and `label_mask` of rows, without their features, which may be many.

        Args:
            training: whether weights of classes count.
        """
        weights = self.training_weights if training else self.weights
        if self.only_task is None:
            y = self.y[numbers]
            weight = None if weights is None else weights[numbers]
        else:
            y = self.y[numbers, self.only_task].unsqueeze(2)
            weight = None if weights is None else weights[numbers, self.only_task].unsqueeze(2)
        return y.nan_to_num(), (~y.isnan()).to(y.dtype) if weight is None else weight

    def _weights(
        self, of_runs: Sequence[Tensor | None], y: Float[Tensor, "N T"]
    ) -> Float[Tensor, "N T"] | None:
        """The weight of every label of all runs, 0 where there is none; None where all are 1."""
        if all(weights is None for weights in of_runs):
            return None
        parts = [
            torch.ones(len(run.y), self.tasks, dtype=y.dtype) if weights is None else weights
            for run, weights in zip(self.runs, of_runs, strict=True)
        ]
        whole = torch.cat([*(part.to(y.dtype) for part in parts), torch.zeros_like(y[-1:])])
        return torch.where(y.isnan(), 0.0, whole)

    def batch(self, batch: Batch, sampler: BatchSampler) -> tuple[Rows, Bool[Tensor, "R B"]]:
        """One batch of every replica, and which of its rows are valid; the others fill it up."""
        valid = batch.valid.to(self.columns.device)
        numbers = self.begin[sampler.data][:, None] + batch.rows.to(self.columns.device)
        numbers = torch.where(valid, numbers, self.begin[-1])
        if len(sampler.stream) > len(numbers):  # streams come in the order of the replicas
            numbers, valid = numbers[sampler.stream], valid[sampler.stream]
        return self.rows(numbers, reuse=True), valid

    def part(
        self, part: Literal["validation", "test"], data: Int[Tensor, " R"]
    ) -> Int[Tensor, "R rows"]:
        """Numbers of the rows in this part of every replica's split, filled up to one length."""
        parts = [getattr(run.split, part) for run in self.runs]
        numbers = self.begin[-1].cpu().repeat(len(parts), max(map(len, parts)))
        for run, rows in enumerate(parts):
            numbers[run, : len(rows)] = self.begin[run].cpu() + rows
        return numbers.to(data.device)[data]
