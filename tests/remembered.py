"""For a kernel in which a notebook runs several times: what is trained or drawn once is remembered.

After `install()`, the training of a piece of a study, and a call that a
notebook sends to its workers, run once for the same arguments. Each time after that, the caller
gets a copy of the result. Every cell still runs as it is. That training twice gives the same
numbers is tested where it is trained, in `test_training.py` and `test_study.py`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import fields
from functools import cache
from typing import Any

import pandas as pd
import torch

import mtl_nt.book
from mtl_nt.book import processes
from mtl_nt.study import Study, chunks, jobs

train_chunk = chunks.train_chunk
ONLOOKERS = ("mtl_nt.book.method_drawing", "mtl_nt.study.affinity")
"""Modules that give methods a weighter which writes down what it sees."""
trained: dict[bytes, chunks.ChunkResult] = {}


class Key(processes._Pickler):
    """Pickles tensors and tables by their content, wherever they lie in memory, and a study without
    the tables that it has computed so far.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, torch.Tensor):
            return tuple, ([str(obj.dtype), obj.shape, obj.detach().numpy().tobytes()],)
        if isinstance(obj, Study):
            given = (getattr(obj, each.name) for each in fields(obj) if each.init)
            return tuple, ([g if isinstance(g, pd.DataFrame) else repr(g) for g in given],)
        if isinstance(obj, pd.DataFrame):
            values = pd.util.hash_pandas_object(obj).to_numpy().tobytes()
            return tuple, ([values, repr(obj.dtypes.to_dict())],)
        return super().reducer_override(obj)


def key(*call: Any) -> bytes:
    """The same for the same function and arguments."""
    file = io.BytesIO()
    Key(file).dump(call)
    return hashlib.sha256(file.getvalue()).digest()


def copy(value: Any) -> Any:
    """What another process would get."""
    load, sent = processes._SentByValue(value).__reduce__()
    return load(*sent)


def remembered(
    job: chunks.TrainingJob,
    chunk: chunks.Chunk,
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> chunks.ChunkResult:
    """What `train_chunk` gives. Where somebody looks on, it does train."""
    (maker, *_) = getattr(job.method.weighter, "args", (job.method.weighter,))
    if maker.__module__ in ONLOOKERS:
        return train_chunk(job, chunk, progress, stop)
    call = key(jobs.picklable(job), chunk)
    if call not in trained:
        trained[call] = train_chunk(job, chunk, progress, stop)
    elif progress is not None:
        progress(job.steps)
    outcome: chunks.ChunkResult = copy(trained[call])
    return outcome


class Remembering(Executor):
    """Asks another executor, once for every call."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._done: dict[bytes, Future] = {}

    def submit(self, fn: Callable, /, *args: Any, **options: Any) -> Future:
        fn = train_chunk if fn is remembered else fn  # which a worker imports by its name
        call = key(fn, args, options)
        if call not in self._done:
            self._done[call] = self._executor.submit(fn, *args, **options)
        again: Future = Future()

        def pass_on(done: Future) -> None:
            if not again.set_running_or_notify_cancel():
                return
            if (error := done.exception()) is not None:
                again.set_exception(error)
            else:
                again.set_result(copy(done.result()))

        self._done[call].add_done_callback(pass_on)
        return again


workers = processes.workers


@cache
def remembering_workers(count: int = 2) -> Remembering:
    """What `workers` gives, at the first call after all imports; the same ones at each other."""
    return Remembering(workers(count))


def install() -> None:
    """From here on, this process remembers."""
    chunks.train_chunk = jobs.train_chunk = remembered
    processes.workers = mtl_nt.book.workers = remembering_workers
