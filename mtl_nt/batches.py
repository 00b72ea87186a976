"""Which network sees which rows, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .bits import Bits, Features
from .streams import generator
from .tasks import BadInput, TaskData

LARGE = 2e8  # bytes of features


@dataclass(frozen=True)
class Replicas:
    """Who trains: one row a network.

    `group` numbers the networks that stand for one run of one method (STL: its T networks);
    in a group every task is `scored` on exactly one network.
    """

    data: Int[Tensor, " R"]  # which of the runs' data
    seed: Int[Tensor, " R"]  # of initialisation, batches, dropout
    trained: Bool[Tensor, "R T"]  # tasks whose loss counts
    scored: Bool[Tensor, "R T"]  # tasks that this network predicts
    group: Int[Tensor, " R"]
    focus: Int[Tensor, " R"]  # batches without a label of this task are skipped; -1: none are

    def __len__(self) -> int:
        return len(self.data)

    def part(self, start: int, stop: int) -> Replicas:
        """The networks from `start` up to `stop`, their groups counted from 0."""
        some = Replicas(*(getattr(self, f.name)[start:stop] for f in fields(self)))
        return replace(some, group=some.group - some.group[0])


class Batch(NamedTuple):
    """One batch of every stream; streams are shared by replicas with the same seed and rows."""

    rows: Int[Tensor, "Q B"]  # row numbers of the run's table
    valid: Bool[Tensor, "Q B"]  # False where a ragged batch is filled up
    first: Bool[Tensor, " Q"]  # of its epoch
    epoch: Int[Tensor, " Q"]


class Batches:
    """Every network's batches: each epoch is one pass, in random order, over the training rows
    that are labelled for a task it trains on. The last batch of an epoch may be ragged.
    """

    def __init__(
        self, runs: Sequence[TaskData], replicas: Replicas, batch_size: int, at_least: int = 1
    ) -> None:
        self.batch_size, self.at_least = batch_size, at_least
        self._pools: list[tuple[np.ndarray, np.ndarray | None]] = []
        self._seeds: list[int] = []
        data: list[int] = []
        stream, known = [], {}
        labelled = [run.labelled.numpy() for run in runs]
        for r in range(len(replicas)):
            d, seed = int(replicas.data[r]), int(replicas.seed[r])
            focus, tasks = int(replicas.focus[r]), replicas.trained[r].cpu().numpy()
            train = runs[d].split.train.numpy()
            pool = train[labelled[d][train][:, tasks].any(1)]
            wanted = None if focus < 0 else labelled[d][:, focus]
            if wanted is not None and wanted[pool].all():
                wanted = None
            key = (d, seed, pool.tobytes(), None if wanted is None else focus)
            if key not in known:
                if len(pool) < at_least or (wanted is not None and not wanted[pool].any()):
                    raise BadInput(
                        f"data set {runs[d].name!r}: {len(pool)} training rows for a network; "
                        f"it needs {at_least} or more"
                    )
                known[key] = len(data)
                data.append(d)
                self._seeds.append(seed)
                self._pools.append((pool, wanted))
            stream.append(known[key])
        self.stream = torch.tensor(stream)  # (R,) -> (Q,)
        self.data = torch.tensor(data)  # (Q,) -> run

    def to(self, device: str | torch.device) -> None:
        """Keep the stream numbers on this device."""
        self.stream, self.data = self.stream.to(device), self.data.to(device)

    def steps(self, count: int, block: int = 32) -> Iterator[Batch]:
        """The first `count` batches of every stream."""
        sources = [self._stream(q) for q in range(len(self._pools))]
        for start in range(0, count, block):
            shape = (min(block, count - start), len(sources), self.batch_size)
            rows, valid = np.zeros(shape, np.int64), np.zeros(shape, bool)
            first, epoch = np.zeros(shape[:2], bool), np.zeros(shape[:2], np.int64)
            for s in range(shape[0]):
                for q, source in enumerate(sources):
                    taken, first[s, q], epoch[s, q] = next(source)
                    rows[s, q, : len(taken)] = taken
                    valid[s, q, : len(taken)] = True
            for s in range(shape[0]):
                yield Batch(*(torch.from_numpy(a[s]) for a in (rows, valid, first, epoch)))

    def _stream(self, q: int) -> Iterator[tuple[np.ndarray, bool, int]]:
        pool, wanted = self._pools[q]
        random, epoch = generator(self._seeds[q], "batches"), 0
        while True:
            order, first = random.permutation(pool), True
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                if len(rows) < self.at_least or (wanted is not None and not wanted[rows].any()):
                    continue
                yield rows, first, epoch
                first = False
            epoch += not first


class Rows(NamedTuple):
    """Rows of every replica's data."""

    x: Features  # [R, B, F]
    y: Float[Tensor, "R B T"]  # 0 where there is no label
    labels: Float[Tensor, "R B T"]  # 1 where there is one, 0 elsewhere


class Table:
    """All rows of all runs in one table, and a last row without anything to fill up with.

    The features of a single run that are large stay where they are, without that row.

    Args:
        own: the one task that each replica has to do with; the others' targets are left out.
    """

    def __init__(
        self,
        runs: Sequence[TaskData],
        device: str | torch.device,
        dtype: torch.dtype,
        own: Int[Tensor, " R"] | None = None,
    ) -> None:
        self.runs, self.tasks = runs, len(runs[0].tasks)
        lengths = [len(run.x) for run in runs]
        self.begin = torch.tensor([0, *lengths]).cumsum(0).to(device)
        nothing = torch.full((1, self.tasks), math.nan, dtype=dtype)
        y = torch.cat([*(run.targets.to(dtype) for run in runs), nothing])
        self.own, self.y = None if own is None else own.to(device).unsqueeze(1), y.to(device)
        x = [run.x for run in runs]
        self.features = math.prod(x[0].shape[1:])
        self.bits = Bits.joined(x).to(device) if isinstance(x[0], Bits) else None
        dense = [t.flatten(1) for t in x if isinstance(t, Tensor)]
        self.large: Float[Tensor, "N F"] | None = None
        if len(dense) == 1 and dense[0].nbytes > LARGE:
            self.large, dense = dense[0].to(device, dtype), []
        width = 2 * self.tasks if own is None else 0
        # One row of one table is found faster than three of three.
        known = torch.zeros(len(y), width + self.features * bool(dense), dtype=dtype)
        if own is None:
            known[:, : self.tasks], known[:, self.tasks : width] = y.nan_to_num(), ~y.isnan()
        for start, features in zip(self.begin.tolist(), dense, strict=False):
            known[start : start + len(features), width:] = features
        self.known, self.rooms = known.to(device), [torch.empty(0, 0)] * 2
        self.binary = runs[0].binary.to(device)
        if self.own is not None:
            self.binary = self.binary[self.own]  # (R, 1)
        self.has_validation = all(len(run.split.validation) for run in runs)

    def rows(self, numbers: Int[Tensor, "R B"], again: bool = False) -> Rows:
        """Rows by their numbers in this table.

        Args:
            again: in the place of those of the last call that said so: new memory for every batch
                costs more than the copy itself.
        """
        if self.own is not None:
            return Rows(self.inputs(numbers, again), *self.targets(numbers))
        known = self._taken(0, self.known, numbers, again)
        y, labels, x = known.split([self.tasks, self.tasks, known.shape[2] - 2 * self.tasks], 2)
        return Rows(x if x.shape[2] else self.inputs(numbers, again), y, labels)

    def inputs(self, numbers: Int[Tensor, "R B"], again: bool = False) -> Features:
        """`x` of rows, without their targets."""
        if self.bits is not None:
            return self.bits.take(numbers)
        if self.large is None:
            return self._taken(0, self.known, numbers, again)[..., -self.features :]
        last = len(self.large)
        x = self._taken(1, self.large, numbers.clamp(max=last - 1), again)
        x.flatten(0, 1).index_fill_(0, (numbers.flatten() == last).nonzero().flatten(), 0)
        return x

    def _taken(
        self, room: int, table: Float[Tensor, "N K"], numbers: Int[Tensor, "R B"], again: bool
    ) -> Float[Tensor, "R B K"]:
        flat = numbers.flatten()
        if again and len(self.rooms[room]) != len(flat):
            self.rooms[room] = table.new_empty(len(flat), table.shape[1])
        out = self.rooms[room] if again else None
        return torch.index_select(table, 0, flat, out=out).unflatten(0, numbers.shape)

    def targets(
        self, numbers: Int[Tensor, "R B"]
    ) -> tuple[Float[Tensor, "R B T"], Float[Tensor, "R B T"]]:
        """`y` and `labels` of rows, without their features, which may be many."""
        y = self.y[numbers] if self.own is None else self.y[numbers, self.own].unsqueeze(2)
        return y.nan_to_num(), (~y.isnan()).to(y.dtype)

    def batch(self, batch: Batch, batches: Batches) -> tuple[Rows, Bool[Tensor, "R B"]]:
        """One batch of every replica, and which of its rows are not filling."""
        valid = batch.valid.to(self.known.device)
        numbers = self.begin[batches.data][:, None] + batch.rows.to(self.known.device)
        numbers = torch.where(valid, numbers, self.begin[-1])
        if len(batches.stream) > len(numbers):  # streams come in the order of the replicas
            numbers, valid = numbers[batches.stream], valid[batches.stream]
        return self.rows(numbers, again=True), valid

    def part(
        self, part: Literal["validation", "test"], data: Int[Tensor, " R"]
    ) -> Int[Tensor, "R rows"]:
        """Numbers of the rows in a part of every replica's split, filled up."""
        rows = [getattr(run.split, part) for run in self.runs]
        numbers = self.begin[-1].cpu().repeat(len(rows), max(map(len, rows)))
        for d, own in enumerate(rows):
            numbers[d, : len(own)] = self.begin[d].cpu() + own
        return numbers.to(data.device)[data]
