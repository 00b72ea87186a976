"""A study that is trained piece by piece: one method on some runs is a piece.

`compare` trains all methods on all runs, and returns when the last is finished. Where time is
short, a caller trains pieces in an order of its own (`train_piece`) and joins those that it has
(`join_pieces`). The scores are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from ..networks import Recipe
from ..tasks import TaskData
from ..training import primary_metrics
from .chunks import TrainingJob
from .jobs import run_jobs
from .method import Method
from .methods import CONSTANT, STL, constant_predictions
from .nulls import null_identity
from .progress import ProgressBar
from .result_store import MethodResult, ResultStore
from .scoring import result_rows
from .study import Study
from .variance import overlap_limit, overlap_of_runs


def piece_job(
    method: Method,
    runs: Sequence[TaskData],
    seeds: Sequence[int],
    alphas: Sequence[float],
    steps: int | None = None,
    trials: int = 8,
    memory: float = 1.0,
    device: str = "cpu",
) -> TrainingJob:
    """What a piece trains; `compare` trains the same. The arguments are as in `compare`.

    Args:
        runs: the data of each seed.
        alphas: for a method that has an alpha.

    >>> from mtl_nt import METHODS, load
    >>> job = piece_job(METHODS["MTL"], [load("dial")], [0], [], steps=5)
    >>> job.steps
    5
    """
    recipe = method.recipe(runs[0], steps=steps)
    own = [*alphas] if method.alpha else [math.nan]
    options = {"checkpoint": "last", "device": device, "precision": "full"}
    return TrainingJob(method, runs, seeds, own, recipe, options, trials, memory * 1e9)


def train_piece(
    job: TrainingJob,
    folder: str | Path | None = None,
    progress: bool | Callable[[float, str], object] = False,
    stop: Callable[[], bool] | None = None,
) -> MethodResult:
    """Train one method on its runs, or read it from the folder where it is finished there.

    Args:
        job: what to train, see `piece_job`.
        folder: keeps what is finished.
        progress, stop: as in `compare`.

    Raises:
        BadInput: the folder holds another piece, or cannot be written.
        Stopped: `stop` has returned True.

    >>> from mtl_nt import METHODS, load
    >>> job = piece_job(METHODS["MTL"], [load("dial")], [0], [], steps=2)
    >>> [*train_piece(job).training["networks"]]
    [1]
    """
    name, jobs = job.method.name, {job.method.name: job}
    store = None if folder is None else ResultStore(folder, job.runs, jobs)
    if store is not None and (kept := store.get(name)) is not None:
        return kept
    bar = ProgressBar(progress, jobs)
    try:
        ((_, result),) = run_jobs(jobs, store, None, bar, stop)
    finally:
        bar.close()
    if store is not None:
        store.put(name, result)
    return result


class RunFacts(NamedTuple):
    """What a study knows of a run without training: see `run_facts`."""

    constant: pd.DataFrame  # rows of `Study.results`, of the predictor that ignores the features
    split: str  # what a new seed changes
    train: int  # number of training rows
    test: Int[np.ndarray, " _"]  # numbers of the test rows
    metric: dict[str, str]  # of every task
    recipe: Recipe
    null_identity: str
    raw_targets: bool


def run_facts(run: TaskData, seed: int, steps: int | None = None) -> RunFacts:
    """What is known of a run before anything is trained on it.

    >>> from mtl_nt import load
    >>> run_facts(load("dial"), 0).split
    'new data'
    """
    (outputs,) = constant_predictions([run])
    single = Recipe.for_single_task(run, steps=steps)
    return RunFacts(
        pd.DataFrame(result_rows(run, CONSTANT, math.nan, seed, outputs)),
        run.split.kind,
        len(run.split.train),
        run.split.test.numpy(),
        primary_metrics(run),
        Recipe.for_data(run, steps=steps),
        null_identity(run, single, STL.networks, "last", "full"),
        run.has_raw_targets,
    )


def join_pieces(
    pieces: Sequence[MethodResult], facts: Mapping[int, RunFacts], seeds: Sequence[int]
) -> Study:
    """The study of some runs, put together from pieces.

    Args:
        pieces: in the order of the study's methods. Their rows of other runs are left out.
        facts: of each run; all have the same rows in the same order.
        seeds: the runs.

    >>> from mtl_nt import METHODS, load
    >>> from mtl_nt.study import STL
    >>> data = load("dial")
    >>> jobs = [piece_job(m, [data], [0], [], steps=2) for m in (STL, METHODS["MTL"])]
    >>> study = join_pieces([train_piece(job) for job in jobs], {0: run_facts(data, 0)}, [0])
    >>> study.counts()["method"].to_list()
    ['STL', 'MTL', 'Constant']
    """
    first, own = facts[seeds[0]], [facts[seed] for seed in seeds]
    free = all(run.split == "free" for run in own)
    rows = [run.train for run in own], [run.test for run in own]
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in MethodResult._fields}
    for piece in pieces:
        for name, table in piece._asdict().items():
            tables[name].append(table[table["seed"].isin(seeds)])
    tables["results"] += [run.constant for run in own]
    joined = {
        name: pd.concat([t for t in parts if len(t)] or parts, ignore_index=True)
        for name, parts in tables.items()
    }
    return Study(
        joined["results"],
        joined["training"],
        joined["history"],
        validation=joined["validation"],
        metric=first.metric,
        overlap=overlap_of_runs(*rows) if free else 0.0,
        overlap_limit=overlap_limit(*rows) if free else None,
        recipe=first.recipe,
        checkpoint="last",
        null_identity={STL.name: first.null_identity},
        raw_targets=first.raw_targets,
    )
