"""The replicas that train, and the batches of rows that each of them sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..errors import BadInput
from ..networks import generator
from ..tasks import TaskData

DRAWN_AT_ONCE = 32  # batches of a stream


@dataclass(frozen=True)
class Replicas:
    """The networks that train side by side, one per row.

    Networks of the same `group` stand for one run of one method. Single-task learning, for example,
    has `T` networks in each group. In a group, every task is `scored` on exactly one network.

    Two runs of a method that trains one network on two tasks:

    >>> all_tasks = torch.ones(2, 2, dtype=torch.bool)
    >>> run = torch.tensor([0, 1])
    >>> replicas = Replicas(run, run, all_tasks, all_tasks, run, focus=torch.tensor([-1, -1]))
    >>> len(replicas), len(replicas.part(1, 2))
    (2, 1)
    """

    data: Int[Tensor, " R"]  # number of the run whose data the network sees
    seed: Int[Tensor, " R"]  # of initialisation, batches and dropout
    trained: Bool[Tensor, "R T"]  # tasks whose losses the network is trained on
    scored: Bool[Tensor, "R T"]  # tasks that the network predicts
    group: Int[Tensor, " R"]
    focus: Int[Tensor, " R"]  # batches without a label of this task are skipped; -1: none are

    def __len__(self) -> int:
        return len(self.data)

    def part(self, start: int, stop: int) -> Replicas:
        """The networks from `start` up to `stop`, with groups counted from 0."""
        rows = Replicas(*(getattr(self, f.name)[start:stop] for f in fields(self)))
        return replace(rows, group=rows.group - rows.group[0])


class Batch(NamedTuple):
    """One batch of every stream `Q`. Replicas with the same seed and rows share a stream."""

    rows: Int[Tensor, "Q B"]  # row numbers of the run's table
    valid: Bool[Tensor, "Q B"]  # False where a ragged batch is filled up
    first: Bool[Tensor, " Q"]  # whether it is the first batch of its epoch
    epoch: Int[Tensor, " Q"]


class BatchSampler:
    """Draws every network's batches.

    Each epoch is one pass, in random order, over the training rows that have a label of a task that
    the network trains on. The last batch of an epoch may be ragged.

    Args:
        runs: the data that `replicas.data` counts.
        replicas: the networks.
        batch_size: number of rows in a full batch.
        at_least: smallest number of rows in a batch; a last batch with fewer is left out.

    Raises:
        BadInput: a full batch, or a network's training rows, are fewer than `at_least`; or a
            network has no row with its focus.

    >>> from mtl_nt import load
    >>> all_tasks, zero = torch.ones(1, 10, dtype=torch.bool), torch.tensor([0])
    >>> one = Replicas(zero, zero, all_tasks, all_tasks, zero, focus=zero - 1)
    >>> batches = BatchSampler([load("digits")], one, batch_size=64).steps(2)
    >>> [(tuple(b.rows.shape), b.first.item()) for b in batches]
    [((1, 64), True), ((1, 64), False)]
    """

    def __init__(
        self, runs: Sequence[TaskData], replicas: Replicas, batch_size: int, at_least: int = 1
    ) -> None:
        if batch_size < at_least:  # every batch would be left out
            raise BadInput(
                f"batch_size {batch_size}: a batch norm needs {at_least} rows or more in a batch; "
                f"give batch_size={at_least} or more"
            )
        self.batch_size, self.at_least = batch_size, at_least
        self._pools: list[tuple[np.ndarray, np.ndarray | None]] = []
        self._seeds: list[int] = []
        data: list[int] = []
        streams, number_of = [], {}
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
            if key not in number_of:
                if len(pool) < at_least or (wanted is not None and not wanted[pool].any()):
                    raise BadInput(
                        f"data set {runs[d].name!r}: {len(pool)} training rows for a network; "
                        f"it needs {at_least} or more"
                    )
                number_of[key] = len(data)
                data.append(d)
                self._seeds.append(seed)
                self._pools.append((pool, wanted))
            streams.append(number_of[key])
        self.stream = torch.tensor(streams)  # (R,): the stream of every replica
        self.data = torch.tensor(data)  # (Q,): the run of every stream

    def to(self, device: str | torch.device) -> None:
        """Keep the stream numbers on this device."""
        self.stream, self.data = self.stream.to(device), self.data.to(device)

    def steps(self, count: int) -> Iterator[Batch]:
        """The first `count` batches of every stream."""
        sources = [self._stream(q) for q in range(len(self._pools))]
        for start in range(0, count, DRAWN_AT_ONCE):
            shape = (min(DRAWN_AT_ONCE, count - start), len(sources), self.batch_size)
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
        """Endless batches: row numbers, whether the batch is its epoch's first, and the epoch."""
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
