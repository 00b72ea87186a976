"""Running the training jobs of a comparison, in this process or on an executor.

A comparison has one `TrainingJob` for each method. Each job is divided into chunks (see `chunks`).
`run_jobs` trains every chunk that no earlier call has left in the result store, and scores each
method as soon as its last chunk is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import BadInput
from ..training import Stopped
from .chunks import ChunkResult, TrainedMethod, TrainingJob, merge_chunks, plan_chunks, train_chunk
from .progress import ProgressBar
from .result_store import MethodResult, ResultStore
from .scoring import score_networks, score_predictor

Stop = Callable[[], bool]


def run_jobs(
    jobs: Mapping[str, TrainingJob],
    store: ResultStore | None,
    executor: Executor | None,
    bar: ProgressBar,
    stop: Stop | None,
) -> Iterator[tuple[str, MethodResult]]:
    """Train every job, and yield its name and its result as soon as it is finished.

    Finished chunks of a job that has several are kept in the store, and are read from there.

    Raises:
        Stopped: `stop` has returned True.
        BadInput: a worker process died, or a method cannot be sent to one.
    """
    predictors = {name: job for name, job in jobs.items() if job.method.predictor is not None}
    waiting = {n: JobChunks(n, job, store) for n, job in jobs.items() if n not in predictors}
    for name, chunks in waiting.items():
        for number in chunks.results:
            bar.step(name, number, chunks.job.steps)
    if executor is None:
        for name, chunks in waiting.items():
            for number in chunks.missing:
                progress = partial(bar.step, name, number)
                result = train_chunk(chunks.job, chunks.chunks[number], progress, stop)
                chunks.add(number, result)
            yield name, score_networks(chunks.job, chunks.merge())
        for name, job in predictors.items():
            if stop is not None and stop():
                raise Stopped
            yield name, score_predictor(job)
            bar.step(name, 0, job.steps)
        return
    # A pool of processes pickles in a thread of its own, and pickling moves the tensors' memory.
    # So nothing here may read the runs' data from the first submission on until a chunk comes back.
    sent = {name: picklable(job) for name, job in jobs.items()}
    for name, chunks in waiting.items():
        if not chunks.missing:
            yield name, score_networks(chunks.job, chunks.merge())
    futures: dict[Future, tuple[str, int]] = {}
    try:
        for name in predictors:
            futures[executor.submit(score_predictor, sent[name])] = name, 0
        for name, chunks in waiting.items():
            for number in chunks.missing:
                future = executor.submit(train_chunk, sent[name], chunks.chunks[number])
                futures[future] = name, number
        for future in as_completed(futures):
            if stop is not None and stop():
                raise Stopped
            name, number = futures.pop(future)
            if name in predictors:
                yield name, _result(name, future)
                bar.step(name, 0, predictors[name].steps)
                continue
            chunks = waiting[name]
            chunks.add(number, _result(name, future))
            bar.step(name, number, chunks.job.steps)
            if not chunks.missing:
                yield name, score_networks(chunks.job, chunks.merge())
    finally:
        for future in futures:
            future.cancel()


class JobChunks:
    """The chunks of one job, and the results of those that are finished."""

    def __init__(self, name: str, job: TrainingJob, store: ResultStore | None) -> None:
        self.name, self.job, self.chunks = name, job, plan_chunks(job)
        # Of a job with one chunk, the store keeps the scored result alone.
        self.store = store if len(self.chunks) > 1 else None
        self.results: dict[int, ChunkResult] = {}
        for number, chunk in enumerate(self.chunks):
            result = self.store.get_chunk(name, chunk) if self.store else None
            if result is not None:
                self.results[number] = result

    @property
    def missing(self) -> list[int]:
        """The numbers of the chunks that are still to be trained."""
        return [number for number in range(len(self.chunks)) if number not in self.results]

    def add(self, number: int, result: ChunkResult) -> None:
        """Add the result of a chunk, and keep it in the store."""
        self.results[number] = result
        if self.store:
            self.store.put_chunk(self.name, self.chunks[number], result)

    def merge(self) -> TrainedMethod:
        """Put all chunks together, and let go of their results."""
        results = [self.results[number] for number in range(len(self.chunks))]
        trained = merge_chunks(self.job, results)
        self.results.clear()
        return trained


def picklable(job: TrainingJob) -> TrainingJob:
    """The job as another process can get it: without functions that redraw the data, which may not
    pickle.
    """
    runs = {id(run): replace(run, redraw=None) for run in job.runs}
    return job._replace(runs=[runs[id(run)] for run in job.runs])


def _result(name: str, future: Future) -> Any:
    try:
        return future.result()
    except BrokenExecutor:
        raise BadInput(
            "a worker process died, perhaps for want of memory; what is finished is kept where "
            "there is a folder: try again with a smaller memory or fewer workers"
        ) from None
    except Exception as error:
        if "pickle" not in f"{type(error).__name__} {error}":
            raise
        raise BadInput(
            f"{name} cannot be sent to another process ({error}); use classes and functions of a "
            "module, such as with_alpha(MyWeighter)"
        ) from None
