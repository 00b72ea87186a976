"""The bench of an audit: it trains one method on some runs, and keeps what is finished."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Annotated
from weakref import WeakValueDictionary

import numpy as np

from ..errors import BadInput
from ..networks import Recipe
from ..study import STL, Affinity, Method, Study, gradient_affinity, satisfies, twin
from ..study.chunks import TrainingJob
from ..study.nulls import PairSigns, joined_pairs, pair_signs
from ..study.pieces import RunFacts, join_pieces, piece_job, run_facts, train_piece
from ..study.result_store import MethodResult
from ..tasks import TaskData
from .folder import AuditFolder
from .plan import TRIALS, seed_blocks
from .saved import SavedAffinity, affinity_from_json, affinity_to_json, are_pairs, is_affinity

TWINS = (STL, twin(STL))
Stop = Callable[[], bool]
_BENCHES: WeakValueDictionary[int, Bench] = WeakValueDictionary()  # of this process, by their ids


class Bench:
    """Trains pieces of an audit: a method on some runs, the affinity, and pairs of STL and STL'.

    Several threads may use one bench, and copies of this process may use theirs. What is found in
    a thread or a copy is taken here (`take`).

    Args:
        data: the tasks.
        alphas: of the methods that have one.
        steps: the optimiser steps of every network; None for the data's own.
        memory: gigabytes for the networks of a training, and as much for the features of the runs.
        device: where to train.
        store: keeps what is finished; None keeps nothing.
        stop: ends a training when it returns True.

    Attributes:
        results: by method and runs, what was trained or read and taken.
    """

    def __init__(
        self,
        data: TaskData,
        alphas: Sequence[float],
        steps: int | None,
        memory: float,
        device: str,
        store: AuditFolder | None,
        stop: Stop,
    ) -> None:
        self.data, self.alphas, self.steps, self.memory = data, alphas, steps, memory
        self.device, self.store, self.stop = device, store, stop
        self.results: dict[str, dict[tuple[int, ...], MethodResult]] = {}
        self.facts: dict[int, RunFacts] = {}
        self.affinity: Affinity | None = None
        self.pairs: dict[tuple[int, ...], PairSigns] = {}
        self._runs: OrderedDict[int, TaskData] = OrderedDict()
        self._lock = Lock()
        _BENCHES[id(self)] = self

    def __reduce__(self) -> tuple[Callable[[int], Bench], tuple[int]]:
        """A bench is sent to copies of this process alone, and each has its copy of the bench."""
        return _copy_of, (id(self),)

    def run(self, seed: int) -> TaskData:
        """The data of a run. As many runs are ready at a time as there is memory for.

        Raises:
            BadInput: the data cannot be split in this way.
        """
        with self._lock:
            if seed not in self._runs:
                self._runs[seed] = self.data.for_seed(seed)
                if seed not in self.facts:
                    self.facts[seed] = run_facts(self._runs[seed], seed, self.steps)
            self._runs.move_to_end(seed)
            found = self._runs[seed]
            most = len(seed_blocks(self.data, range(10_000), self.memory)[0])
            while len(self._runs) > most:
                self._runs.popitem(last=False)
        return found

    def job(self, method: Method, seeds: Sequence[int]) -> TrainingJob:
        """What the training of a method on these runs is."""
        return self._job(method, [self.run(seed) for seed in seeds], seeds)

    def outline(self, method: Method, seeds: Sequence[int]) -> TrainingJob:
        """A job of the same size, whose runs are all the first of them."""
        return self._job(method, [self.run(seeds[0])] * len(seeds), seeds)

    def _job(self, method: Method, runs: Sequence[TaskData], seeds: Sequence[int]) -> TrainingJob:
        return piece_job(
            method, runs, seeds, self.alphas, self.steps, TRIALS, self.memory, self.device
        )

    def blocks(self, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """Runs that train side by side, as many as there is memory for."""
        return [tuple(block) for block in seed_blocks(self.data, seeds, self.memory)]

    def train(
        self,
        method: Method,
        seeds: tuple[int, ...],
        progress: Callable[[float, str], object] | bool = False,
    ) -> MethodResult:
        """Train a method on these runs, or read what was kept.

        Raises:
            BadInput: see `compare`.
            Stopped: it was told to stop.
        """
        folder = self._folder("runs", method, seeds)
        return train_piece(self.job(method, seeds), folder, progress, self.stop)

    def take(self, method: Method, seeds: tuple[int, ...], result: MethodResult) -> None:
        """Take what a training has found."""
        self.results.setdefault(method.name, {})[seeds] = result

    def is_kept(self, method: Method, seeds: tuple[int, ...]) -> bool:
        """Whether the folder has this piece, as far as names tell."""
        folder = self._folder("runs", method, seeds)
        return folder is not None and any(
            path.name != "study.json" for path in folder.glob("*.json")
        )

    def covered(self, method: Method) -> set[int]:
        """The runs on which a method is trained."""
        return {seed for block in self.results.get(method.name, {}) for seed in block}

    def measure_affinity(self, seeds: Sequence[int]) -> Affinity:
        """Measure how far the tasks' gradients agree on these runs, or read what was kept.

        Raises:
            BadInput: what was kept has another form.
            Stopped: it was told to stop.
        """
        if (kept := self.kept_affinity()) is not None:
            return kept
        recipe = Recipe.for_data(self.run(seeds[0]), steps=self.steps)
        blocks = self.blocks(seeds)
        measured = [
            gradient_affinity(self.data, block, recipe, self.device, self.stop) for block in blocks
        ]
        runs = [len(block) for block in blocks]
        tables = (np.ma.masked_invalid(np.stack(table)) for table in zip(*measured, strict=True))
        means = (np.ma.filled(np.ma.average(table, 0, runs), np.nan) for table in tables)
        affinity = Affinity(*(table.round(4) for table in means))
        if self.store:
            self.store.put("affinity.json", affinity_to_json(affinity))
        return affinity

    def take_affinity(self, affinity: Affinity) -> None:
        """Take the affinity that was measured."""
        self.affinity = affinity

    def kept_affinity(self) -> Affinity | None:
        """The affinity that the folder has.

        Raises:
            BadInput: what was kept has another form.
        """
        tasks = len(self.data.tasks)
        schema = Annotated[SavedAffinity, satisfies(lambda saved: is_affinity(saved, tasks))]
        saved = self.store.get("affinity.json", schema) if self.store else None
        return None if saved is None else affinity_from_json(saved)

    def train_pairs(self, seeds: tuple[int, ...]) -> PairSigns:
        """Train a pair of STL and STL' on each of these runs, and keep the differences' signs.

        Raises:
            Stopped: it was told to stop.
        """
        pieces = [
            train_piece(self.job(m, seeds), self._folder("pairs", m, seeds), False, self.stop)
            for m in TWINS
        ]
        signs = pair_signs(join_pieces(pieces, self.facts, seeds))
        if self.store:
            self.store.put(f"pairs-{seeds[0]}-{seeds[-1]}.json", signs)
        return signs

    def take_pairs(self, seeds: tuple[int, ...], signs: PairSigns) -> None:
        """Take the signs of pairs that were trained."""
        self.pairs[seeds] = signs

    def read_pairs(self) -> None:
        """Read the pairs that the folder has.

        Raises:
            BadInput: what was kept has another form.
        """
        if self.store is None:
            return
        for path in sorted(self.store.path.glob("pairs-*.json")):
            ends = re.fullmatch(r"pairs-(\d{1,9})-(\d{1,9})\.json", path.name)
            if ends is None:
                continue
            seeds = tuple(range(int(ends[1]), int(ends[2]) + 1))

            fits = satisfies(partial(are_pairs, tasks=self.data.tasks, count=len(seeds)))
            signs = self.store.get(path.name, Annotated[PairSigns, fits])
            if signs is not None:
                self.pairs[seeds] = signs

    def can_draw(self, seed: int) -> bool:
        """Whether the data of this run can be used: a rare label may be missing in its rows."""
        try:
            self.run(seed)
        except BadInput:
            return False
        return True

    def study(self, methods: Iterable[Method], seeds: Sequence[int]) -> Study:
        """The study of these methods on these runs, with all pairs that there are.

        The baseline and its twin come first.
        """
        pieces = [
            result
            for method in (*TWINS, *methods)
            for block, result in sorted(
                self.results[method.name].items(), key=lambda item: _place(item[0], seeds)
            )
            if _is_needed(block, self.results[method.name], seeds)
        ]
        for seed in seeds:
            if seed not in self.facts:
                self.run(seed)
        study = join_pieces(pieces, self.facts, seeds)
        pairs = joined_pairs([self.pairs[block] for block in sorted(self.pairs)])
        return replace(study, pairs={STL.name: pairs} if pairs else {})

    def _folder(self, what: str, method: Method, seeds: tuple[int, ...]) -> Path | None:
        if self.store is None:
            return None
        name = re.sub(r"[^A-Za-z0-9-]+", "_", method.name.replace("'", " twin"))
        return self.store.path / f"{what}-{seeds[0]}-{seeds[-1]}" / name


def _copy_of(number: int) -> Bench:
    """The bench of this process that is a copy of the one with this id."""
    return _BENCHES[number]


def _place(block: tuple[int, ...], seeds: Sequence[int]) -> int:
    """Where a block of runs is among all runs."""
    return min((seeds.index(seed) for seed in block if seed in seeds), default=len(seeds))


def _is_needed(
    block: tuple[int, ...], others: Iterable[tuple[int, ...]], seeds: Sequence[int]
) -> bool:
    """Whether a block has a run that no block with more of the runs has."""
    larger = {seed for other in others if len(other) > len(block) for seed in other}
    return any(seed in seeds and seed not in larger for seed in block)
