"""`compare`: train methods on the same runs, and compare every task with single-task learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from ..errors import BadInput, is_finite_number, is_whole_number, suggestion
from ..networks import RESEED_OFFSET, Recipe
from ..tasks import TaskData
from ..terminal import warn
from ..training import (
    CHECKPOINTS,
    PRECISIONS,
    Checkpoint,
    Precision,
    check_loss,
    metric_names,
    primary_metrics,
)
from .chunks import TrainingJob, example_weighter
from .factories import call_fault
from .jobs import run_jobs
from .method import Method
from .methods import (
    CONSTANT,
    METHODS,
    STL,
    UNTUNED,
    constant_predictions,
    refusal,
    resolve_methods,
    twin,
)
from .nulls import null_identity
from .own_methods import check_methods
from .progress import ProgressBar
from .resplits import is_resplit
from .result_store import MethodResult, ResultStore
from .schema import ValidationTable, empty_table
from .scoring import HISTORY, result_rows
from .study import Study
from .transfer import MAX_RUNS
from .variance import overlap_limit, overlap_of_runs
from .verdicts import parse_margin

DataSource = TaskData | Callable[[int], TaskData]
"""A data set, or a function that makes the data of a seed."""


def compare(
    data: DataSource,
    methods: Sequence[str | Method] = UNTUNED,
    alphas: Sequence[float] = (0.1, 0.5),
    seeds: int | Sequence[int] = 5,
    trunk: Sequence[int] | str | None = None,
    steps: int | Mapping[str, int] | None = None,
    checkpoint: Checkpoint = "last",
    trials: int = 8,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    device: str = "cpu",
    memory: float = 1.0,
    *,
    baseline: str | Method | Sequence[str | Method] = STL,
    margin: float | Mapping[str, float] = 0.0,
    precision: Precision = "full",
    progress: bool | Callable[[float, str], object] = True,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Study:
    """Train every method on the same runs, and compare each task with single-task learning.

    Run k has seed k. Each run of a synthetic family draws new data, and each run of a table with a
    free split redraws the split. A fixed split stays. Where a function gives the same rows with
    other splits, these splits are free, whatever it calls them: their runs are correlated, and the
    test has to know.

    Three further methods are always trained: the baseline (STL), the baseline once more with
    another seed (STL', which shows what chance does), and a predictor that ignores the features.

    Args:
        data: a `TaskData`, or a function that makes one for a seed.
        methods: names (see `mtl_nt.METHODS`) or `Method`s; by default all but the tuned ones,
            and but those that cannot take these tasks.
        alphas: for the methods that have an alpha; each 0 or more.
        seeds: the number of runs (with seeds 0, 1, ...), or a list of seeds.
        trunk: hidden widths, or a preset's name; by default the data's own.
        steps: optimiser steps of each network; one number for all methods, or one by name.
        checkpoint: "last", "best_mean" or "best_per_task"; one rule for all methods.
        trials: the tuning budget, which is the number of candidates that every tuned method trains
            on every run. A run takes the candidate with the best mean score on its validation rows.
            Where tasks have several metrics, each task's scores are divided by their spread over
            the candidates before; "best_mean" divides by the spread over the evaluations.
        folder: where finished results are kept. The same call goes on from there.
        executor: any `concurrent.futures.Executor`, which then trains the methods.
        device: "cpu", "cuda" or "auto".
        memory: gigabytes for the networks that train side by side. Networks that do not fit train
            one chunk after another. Then sums are rounded in another order, and training can make
            a rounding larger. In 60 to 200 steps without batch norm, most scores changed by less
            than 1e-7, and none by more than 1e-4. With batch norm, most changed by less than 1e-4,
            and the worst MSE and MAE by .006 in 24 steps and by .0012 in 60 (Spearman by .02 and
            .003). At a learning rate of .1, without batch norm, the worst MAE of 400 steps changed
            by .011.
        baseline: the method to compare with in place of STL. Of several, the first is used (see
            `Study.against`). Each is trained a second time, for its null.
        margin: the largest difference that does not matter to you, in units of the metric and
            stated before you look: one number, or one for each metric. Verdicts are tested against
            it, and a task whose difference is surely within it is "same".
        precision: "full", or "bf16", which is faster and coarser on most GPUs (`training.fit`).
        progress: True shows a bar. A function is called with the fraction done and a method's name.
        stop: a function that is called at every step, or with an executor after every chunk. If it
            returns True, the comparison ends with `Stopped`.
        settings: further settings of the training, see `mtl_nt.Recipe`. With `architecture=Body`
            all networks have a body of your own.

    Raises:
        BadInput: an argument that cannot be used. The message is one line and says what to do.
        Stopped: `stop` has returned True.

    Two runs of two steps each:

    >>> from mtl_nt import load
    >>> study = compare(load("dial"), ["MTL"], seeds=2, steps=2, trunk=[4], progress=False)
    >>> study.counts()["method"].to_list()
    ['STL', "STL'", 'MTL', 'Constant']
    """
    _check_callers(executor, stop, progress)
    bases = resolve_methods(baseline)
    if bad := next((m.name for m in bases if m.alpha), None):
        raise BadInput(f"baseline {bad!r} has an alpha; give a method without one")
    twins = [pair for m in bases for pair in (m, *([] if m.predictor else [twin(m)]))]
    base_of = {m.name: m for m in bases}
    if bad := next((m.name for m in resolve_methods(methods) if base_of.get(m.name, m) != m), None):
        raise BadInput(f"{bad!r} is what all are compared with; give yours another name")
    arms = [*twins, *(m for m in resolve_methods(methods) if m.name not in base_of)]
    alphas = parse_alphas(alphas, needed=any(m.alpha for m in arms))
    numbers = parse_seeds(seeds)
    if checkpoint not in CHECKPOINTS:
        raise BadInput(f"unknown checkpoint {checkpoint!r}; {suggestion(checkpoint, CHECKPOINTS)}")
    runs = draw_runs(data, numbers)
    metrics = primary_metrics(runs[0])
    margins = parse_margin(margin, [*dict.fromkeys(metrics.values())], metric_names(runs[0]))
    if checkpoint != "last" and not all(len(run.split.validation) for run in runs):
        raise BadInput(f"checkpoint {checkpoint!r} needs validation rows; give some or use 'last'")
    if not is_whole_number(trials, 1):
        raise BadInput(f"trials {trials!r}: must be a whole number, 1 or more")
    if not is_finite_number(memory) or not memory > 0:
        raise BadInput(f"memory {memory!r}: must be a number of GB above 0")
    tuned = [m.name for m in arms if m.search is not None]
    if tuned and not all(len(run.split.validation) for run in runs):
        raise BadInput(f"{tuned[0]} chooses on validation rows; give some or leave it out")
    if len(runs[0].tasks) < 2 and (m := next((m for m in arms if m.pretrain), None)):
        raise BadInput(f"{m.name} needs two tasks or more; data set {runs[0].name!r} has one")
    budget = steps if isinstance(steps, Mapping) else {}
    for name in budget:
        if name not in (m.name for m in arms):
            raise BadInput(
                f"steps for {name!r}, which is not compared; add the method or leave it out"
            )
    shared = {"trunk": trunk, "steps": None if isinstance(steps, Mapping) else steps, **settings}
    recipe = Recipe.for_data(runs[0], **shared)
    if precision not in PRECISIONS:
        raise BadInput(f"unknown precision {precision!r}; {suggestion(precision, PRECISIONS)}")
    options = {"checkpoint": checkpoint, "device": parse_device(device), "precision": precision}
    jobs = {}
    for m in arms:
        if why := refusal(m, runs[0]):
            if methods is not UNTUNED or m in twins:
                raise BadInput(f"{m.name} {why}; leave the method out, or mend the data")
            warn(f"left out: {m.name} ({why})")  # nobody has asked for it
            continue
        method_recipe = m.recipe(runs[0], **shared)
        usual = method_recipe.steps
        if m.reseeded:  # a twin trains as its baseline does
            usual = budget.get(m.name.removesuffix("'"), usual)
        method_recipe = replace(method_recipe, steps=budget.get(m.name, usual))
        method_alphas = alphas if m.alpha else [math.nan]
        job = jobs[m.name] = TrainingJob(
            m, runs, numbers, method_alphas, method_recipe, options, trials, memory * 1e9
        )
        if m.predictor is None:
            check_loss(method_recipe, runs[0], m.networks == "one")
            example_weighter(job).check(method_recipe.dropout)
    check_methods(jobs.values())
    store = ResultStore(folder, runs, jobs) if folder is not None else None
    finished = {n: result for n in jobs if store and (result := store.get(n)) is not None}
    remaining = {name: job for name, job in jobs.items() if name not in finished}
    bar = ProgressBar(progress, remaining)
    try:
        for name, result in run_jobs(remaining, store, executor, bar, stop):
            finished[name] = result
            if store:
                store.put(name, result)
    finally:
        bar.close()
    study = _study(
        runs, numbers, recipe, checkpoint, [m.name for m in bases], [finished[n] for n in jobs]
    )
    nulls = {
        m.name: null_identity(runs[0], jobs[m.name].recipe, m.networks, checkpoint, precision)
        for m in bases
        if METHODS.get(m.name) == m
        and m.predictor is None
        and jobs[m.name].recipe == jobs[twin(m).name].recipe
    }
    recipes = {name: job.recipe for name, job in jobs.items()}
    return replace(study, margin=margins, null_identity=nulls, recipes=recipes)


def _check_callers(executor: object, stop: object, progress: object) -> None:
    """Check what a comparison calls."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise BadInput(
            f"executor {executor!r:.40}: give a concurrent.futures.Executor, such as "
            "ProcessPoolExecutor(3), or None"
        )
    if stop is not None and not callable(stop):
        raise BadInput(
            f"stop {stop!r:.40}: give a function without arguments, which is True when the "
            "comparison must end, or None"
        )
    if not callable(progress) and not isinstance(progress, (bool, np.bool_)):
        raise BadInput(
            f"progress {progress!r:.40}: give True, False, or a function of the fraction done and "
            "a method's name"
        )


def _study(
    runs: Sequence[TaskData],
    seeds: Sequence[int],
    recipe: Recipe,
    checkpoint: Checkpoint,
    baselines: Sequence[str],
    finished: Sequence[MethodResult],
) -> Study:
    """All tables put together, with the rows of the predictor that ignores the features."""
    results = [r.results for r in finished]
    for seed, run, outputs in zip(seeds, runs, constant_predictions(runs), strict=True):
        results.append(pd.DataFrame(result_rows(run, CONSTANT, math.nan, seed, outputs)))
    shared = shared_rows(runs) if all(run.split.kind == "free" for run in runs) else None
    histories = [r.history for r in finished if len(r.history)]
    validations = [r.validation for r in finished if len(r.validation)]
    return Study(
        results=pd.concat(results, ignore_index=True),
        training=pd.concat([r.training for r in finished], ignore_index=True),
        history=pd.concat(histories or [pd.DataFrame(columns=HISTORY)], ignore_index=True),
        metric=primary_metrics(runs[0]),
        overlap=overlap_of_runs(*shared) if shared else 0.0,
        overlap_limit=overlap_limit(*shared) if shared else None,
        recipe=recipe,
        checkpoint=checkpoint,
        baselines=tuple(baselines),
        raw_targets=runs[0].has_raw_targets,
        validation=pd.concat(validations or [empty_table(ValidationTable)], ignore_index=True),
    )


def shared_rows(runs: Sequence[TaskData]) -> tuple[list[int], list[Int[np.ndarray, " _"]]]:
    """The number of training rows of every run, and its test rows by numbers that runs share.

    Where runs have their rows in different orders, no numbers tell which rows they share. Then all
    are taken to share as much as re-splits do.

    >>> from mtl_nt import load
    >>> [len(test) for test in shared_rows([load("dial")])[1]]
    [500]
    """
    first = runs[0].y.nan_to_num(nan=math.inf)
    alike = all(
        run.y is runs[0].y or torch.equal(run.y.nan_to_num(nan=math.inf), first) for run in runs
    )
    tests = [run.split.test.numpy() if alike else np.arange(len(run.split.test)) for run in runs]
    return [len(run.split.train) for run in runs], tests


def parse_alphas(alphas: Any, needed: bool = True) -> list[float]:
    """Check the alphas, and give them as floats.

    Args:
        alphas: one number or several, each 0 or more. A tensor will do.
        needed: whether there must be one.

    Raises:
        BadInput: a value that is no number or is below 0, the same value twice, or too many.

    >>> parse_alphas([0, 0.5])
    [0.0, 0.5]
    """
    if isinstance(alphas, torch.Tensor):
        alphas = alphas.tolist()
    several = isinstance(alphas, Iterable) and not isinstance(alphas, str)
    values: list[float] = [*alphas] if several else [alphas]
    for value in values:
        if not is_finite_number(value) or value < 0:
            raise BadInput(f"alpha {value!r}: must be a number, 0 or more")
    if needed and not values:
        raise BadInput("no alphas; give one or more, each 0 or more")
    if len(values) > MAX_RUNS:
        raise BadInput(f"{len(values):,} alphas; give at most {MAX_RUNS:,}")
    if len(set(values)) != len(values):
        raise BadInput(f"alphas {values}: give every alpha once")
    return [float(value) for value in values]


def parse_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Check the seeds, and give one for each run.

    Args:
        seeds: the number of runs, or the seeds themselves.

    Raises:
        BadInput: anything else, no seed at all, the same seed twice, or too many.

    >>> parse_seeds(3), parse_seeds([7, 100])
    ([0, 1, 2], [7, 100])
    """
    try:
        if is_whole_number(seeds, 0):
            numbers = list(range(min(int(seeds), MAX_RUNS + 1)))  # type: ignore[arg-type]
        else:
            numbers = [*seeds]  # type: ignore[misc]
    except TypeError:
        numbers = []
    good = (
        all(is_whole_number(s, 0) and s < RESEED_OFFSET for s in numbers)
        and len(numbers) <= MAX_RUNS
    )
    if not numbers or not good or len(set(numbers)) != len(numbers):
        raise BadInput(
            f"seeds {seeds!r:.60}: give how many (1 or more, {MAX_RUNS:,} at most), or distinct "
            f"whole numbers from 0 to {RESEED_OFFSET - 1}"
        )
    return [int(s) for s in numbers]


def draw_runs(data: DataSource, seeds: Sequence[int]) -> list[TaskData]:
    """The data of every run, with free splits where runs split the same rows in different ways.

    >>> from mtl_nt import load
    >>> [run.data_seed for run in draw_runs(load("dial"), [0, 7])]
    [0, 7]
    """
    if isinstance(data, TaskData):
        runs = [data.for_seed(s) for s in seeds]
    elif callable(data):
        if fault := call_fault(data, 0):
            raise BadInput(
                f"data: the callable is called with a seed ({fault:.60}); give lambda seed: ..."
            )
        runs = [data(s) for s in seeds]
    else:
        raise BadInput(
            f"data: a TaskData or a callable seed -> TaskData, not {type(data).__name__}"
        )
    for run in runs:
        if not isinstance(run, TaskData):
            raise BadInput(
                f"data: the callable gave a {type(run).__name__}; it must give a TaskData"
            )
        alike = ("tasks", "kinds", "classes", "class_weight")
        if any(getattr(run, name) != getattr(runs[0], name) for name in alike):
            raise BadInput(f"data set {run.name!r}: every seed must have the same tasks")
        if run.x.shape[1:] != runs[0].x.shape[1:]:
            raise BadInput(f"data set {run.name!r}: every seed must have the same features")
    return _with_resplits_seen(runs)


def _with_resplits_seen(runs: Sequence[TaskData]) -> list[TaskData]:
    """The runs, with free splits where some of them split the same rows in different ways."""
    drawn = [*{id(run): run for run in runs if run.split.kind != "free"}.values()]
    pairs = [*zip(drawn[1:], drawn, strict=False), *((run, drawn[0]) for run in drawn[2:])]
    if not any(is_resplit(*pair) for pair in pairs):
        return [*runs]
    free = {id(run): replace(run, split=replace(run.split, kind="free")) for run in runs}
    return [free[id(run)] for run in runs]


def with_resplits_seen(data: TaskData, seeds: Sequence[int]) -> TaskData:
    """The data, with free splits where these runs split the same rows in different ways.

    >>> from mtl_nt import load
    >>> with_resplits_seen(load("dial"), [0, 1]).split.kind
    'new data'
    """
    first = data.for_seed(seeds[0])
    runs = (data.for_seed(seed) for seed in seeds[1:])
    if first.split.kind == "free" or not any(is_resplit(run, first) for run in runs):
        return data

    def freed(run: TaskData, redraw: Callable[[int], TaskData] | None = None) -> TaskData:
        return replace(run, split=replace(run.split, kind="free"), redraw=redraw)

    return freed(data, lambda seed: freed(data.for_seed(seed)))


def parse_device(device: str) -> str:
    """The device that is meant, "auto" being a GPU where there is one.

    Raises:
        BadInput: the device is not here, or holds no numbers.

    >>> parse_device("cpu")
    'cpu'
    """
    if not isinstance(device, (str, torch.device)):
        raise BadInput(f"device {device!r:.40}: give 'cpu' or 'auto', or 'cuda' where there is one")
    device = str(device)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.empty(0, device=device).is_meta:
            raise BadInput(f"device {device!r} holds no numbers; use 'cpu' or 'auto'")
    except (RuntimeError, AssertionError, TypeError):
        raise BadInput(f"device {device!r} is not here; use 'cpu' or 'auto'") from None
    return device
