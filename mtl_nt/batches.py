"""Which network sees which rows, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from .bits import Features, stack, take
from .streams import generator
from .tasks import BadInput, TaskData


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


class Table:
    """The runs' rows in one table `[D * N, ...]`, filled up where runs differ in length."""

    def __init__(
        self, runs: Sequence[TaskData], device: str | torch.device, dtype: torch.dtype
    ) -> None:
        self.runs = runs
        self.rows = max(len(run.x) for run in runs)  # N
        y = torch.full((len(runs), self.rows, len(runs[0].tasks)), math.nan, dtype=dtype)
        for d, run in enumerate(runs):
            y[d, : len(run.y)] = run.targets
        y = y.flatten(0, 1).to(device)
        self.x = stack([run.x for run in runs], self.rows, dtype).to(device)
        self.labelled, self.y = ~y.isnan(), y.nan_to_num()
        self.binary = runs[0].binary.to(device)
        self.has_validation = all(len(run.split.validation) for run in runs)

    def batch(self, batch: Batch, batches: Batches) -> tuple[Features, Tensor, Tensor, Tensor]:
        """x `[R, B, F]`, y and labelled `[R, B, T]`, valid `[R, B]` of one batch."""
        rows = batches.data[:, None] * self.rows + batch.rows.to(self.y.device)
        valid = batch.valid.to(self.y.device)
        if len(batches.stream) > len(rows):  # streams are numbered in the order of the replicas
            rows, valid = rows[batches.stream], valid[batches.stream]
        labelled = take(self.labelled, rows) & valid.unsqueeze(2)
        return take(self.x, rows), take(self.y, rows), labelled, valid

    def part(
        self, part: Literal["validation", "test"], data: Int[Tensor, " R"]
    ) -> tuple[Int[Tensor, "R rows"], Bool[Tensor, "R rows"]]:
        """Rows of a part of the split of every replica's data, and which are not padding."""
        rows = [getattr(run.split, part) for run in self.runs]
        padded = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        real = torch.zeros(padded.shape, dtype=torch.bool)
        for d, numbers in enumerate(rows):
            padded[d, : len(numbers)] = d * self.rows + numbers
            real[d, : len(numbers)] = True
        return padded.to(data.device)[data], real.to(data.device)[data]
