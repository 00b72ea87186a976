"""Methods x alphas x seeds on one data set, as one tidy table, with the counts that follow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from .methods import CONSTANT, METHODS, NULL, STL, Method, Trained, constant, resolve, train
from .metrics import LOWER_IS_BETTER, primary, scores
from .parts import Part, Shelf
from .recipe import Recipe
from .records import CHECKPOINTS, Checkpoint
from .streams import RESEEDED
from .tasks import BadInput, TaskData, is_number, is_whole, nearest
from .training import Stopped
from .transfer import count_negative, null_counts, paired_test

Source = TaskData | Callable[[int], TaskData]
HISTORY_POINTS = 40  # of losses and weights kept a network
FALL = 0.01  # of the whole training's fall: less is not "still improving"


def compare(
    data: Source,
    methods: Sequence[str | Method] = tuple(METHODS),
    alphas: Sequence[float] = (0.1, 0.5),
    seeds: int | Sequence[int] = 5,
    trunk: Sequence[int] | str | None = None,
    steps: int | Mapping[str, int] | None = None,
    checkpoint: Checkpoint = "last",
    folder: str | Path | None = None,
    executor: Executor | None = None,
    device: str = "auto",
    *,
    progress: bool | Callable[[float, str], object] = True,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Study:
    """Train every method on the same runs and compare each task with single-task learning.

    Run k has seed k: synthetic families draw new data, free splits are redrawn, fixed splits stay.
    STL, STL' (the null) and a predictor that ignores the features are always there.

    Args:
        data: a TaskData, or seed -> TaskData.
        methods: names (see `mtl_nt.METHODS`) or `Method`s.
        alphas: for the methods that have one; 0 or more.
        seeds: how many runs (0, 1, ...), or which.
        trunk: hidden widths, or a preset's name; by default the data's own.
        steps: the budget in optimiser steps a network, one for all or by method.
        checkpoint: "last", "best_mean" or "best_per_task", one rule for all methods.
        folder: keep each finished method here; the same call goes on from there.
        executor: runs the methods (any `concurrent.futures.Executor`).
        device: "cpu", "cuda" or "auto".
        progress: show a bar; or a callable that takes the fraction done and a word.
        stop: asked at every step; True ends the comparison with `Stopped`.
        settings: other training settings, see `mtl_nt.Recipe`.

    Raises:
        BadInput: anything a person can mend, in one line.
    """
    arms = [STL, NULL, *(m for m in resolve(methods) if m.name != STL.name)]
    alphas = _alphas(alphas, needed=any(m.alpha for m in arms))
    numbers = _seeds(seeds)
    if checkpoint not in CHECKPOINTS:
        raise BadInput(f"unknown checkpoint {checkpoint!r}; {nearest(checkpoint, CHECKPOINTS)}")
    runs = _runs(data, numbers)
    if checkpoint != "last" and not all(len(run.split.validation) for run in runs):
        raise BadInput(f"checkpoint {checkpoint!r} needs validation rows; give some or use 'last'")
    if len(runs[0].tasks) < 2 and (m := next((m for m in arms if m.pretrain), None)):
        raise BadInput(f"{m.name} needs two tasks or more; data set {runs[0].name!r} has one")
    budget = steps if isinstance(steps, Mapping) else {}
    for name in budget:
        if name not in (m.name for m in arms):
            raise BadInput(
                f"steps for {name!r}, which is not compared; add the method or leave it out"
            )
    recipe = Recipe.of(
        runs[0], trunk=trunk, steps=None if isinstance(steps, Mapping) else steps, **settings
    )
    options = {"checkpoint": checkpoint, "device": _device(device)}
    jobs = {}
    for m in arms:
        own = replace(recipe, **m.settings)
        own = replace(own, steps=budget.get(m.name, own.steps))
        jobs[m.name] = Job(m, runs, numbers, alphas if m.alpha else [math.nan], own, options)
    shelf = Shelf(folder, runs, jobs) if folder is not None else None
    parts = {name: part for name in jobs if shelf and (part := shelf.get(name)) is not None}
    todo = {name: job for name, job in jobs.items() if name not in parts}
    bar = _Bar(progress, todo)
    try:
        for name, part in _work(todo, executor, bar, stop):
            parts[name] = part
            if shelf:
                shelf.put(name, part)
    finally:
        bar.close()
    return _assembled(runs, numbers, recipe, checkpoint, {n: parts[n] for n in jobs})


class Job(NamedTuple):
    """What it takes to train one method."""

    method: Method
    runs: list[TaskData]
    seeds: list[int]
    alphas: list[float]
    recipe: Recipe
    options: dict[str, Any]

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.recipe.steps * (2 if self.method.pretrain else 1)

    @property
    def step_cost(self) -> float:
        """What a step costs, in small networks; its overhead is worth about ten of them."""
        each = 1 if self.method.networks == "one" else len(self.runs[0].tasks)
        return 10.0 + each * len(self.seeds) * len(self.alphas)


def _work(
    todo: dict[str, Job], executor: Executor | None, bar: _Bar, stop: Callable[[], bool] | None
) -> Iterable[tuple[str, Part]]:
    if executor is None:
        for name, job in todo.items():
            yield name, part_of(job, progress=partial(bar.step, name), stop=stop)
        return
    futures = {}
    for name, job in todo.items():
        # Workers may be other processes, and a function that redraws need not pickle.
        drawn = {id(run): replace(run, redraw=None) for run in job.runs}
        plain = job._replace(runs=[drawn[id(run)] for run in job.runs])
        futures[executor.submit(part_of, plain)] = name
    for future in as_completed(futures):
        if stop is not None and stop():
            for other in futures:
                other.cancel()
            raise Stopped
        name = futures[future]
        bar.step(name, todo[name].steps)
        yield name, future.result()


def part_of(
    job: Job,
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Part:
    """Train one method on all runs and alphas and score it."""
    method, runs, seeds, alphas, recipe, options = job
    start = time.perf_counter()
    real = [0.0 if math.isnan(a) else a for a in alphas]
    trained = train(method, runs, seeds, recipe, real, progress=progress, stop=stop, **options)
    seconds = (time.perf_counter() - start) / len(alphas)
    results, training = [], []
    for a, alpha in enumerate(alphas):
        for s, (seed, run) in enumerate(zip(seeds, runs, strict=True)):
            results += _scored(run, method.name, alpha, seed, trained.predictions[a, s])
            row = _training(trained, a * len(seeds) + s)
            training.append(
                {
                    "method": method.name,
                    "alpha": alpha,
                    "seed": seed,
                    "networks": method.trained(len(run.tasks)),
                    "steps": recipe.steps,
                    "seconds": seconds / len(seeds),
                    **row,
                }
            )
    history = _history(method, trained, seeds, alphas, runs[0].tasks)
    return Part(pd.DataFrame(results), pd.DataFrame(training), history)


def _scored(
    run: TaskData, method: str, alpha: float, seed: int, outputs: torch.Tensor
) -> list[dict[str, Any]]:
    return [
        {
            "dataset": run.name,
            "data_seed": math.nan if run.data_seed is None else run.data_seed,
            "split": run.split.kind,
            "method": method,
            "alpha": alpha,
            "seed": seed,
            "task": task,
            "metric": metric,
            "value": float(values[t]),
        }
        for metric, values in scores(run, "test", outputs).items()
        for t, task in enumerate(run.tasks)
    ]


def _training(trained: Trained, group: int) -> dict[str, Any]:
    """Whether the networks of one run diverged or were still improving at the end."""
    history, mine = trained.history, trained.replicas.group == group
    validated = len(history.validation) > 0
    curve = history.validation if validated else history.losses
    own = trained.replicas.trained[mine]
    level = curve[:, mine][:, own].double().nanmean(1).numpy()
    return {
        "watched": "validation" if validated else "training",
        "loss": float(level[-1]),
        "diverged": bool(history.diverged[mine].any()),
        "still_improving": still_improving(level),
    }


def still_improving(loss: Float[np.ndarray, " P"]) -> bool:
    """Does the loss over the last fifth of the steps still fall by more than its noise?

    The fall is that of a straight line through the last fifth; it counts when it exceeds two
    standard errors of the line's slope and 1% of the whole training's fall.
    """
    last = loss[-max(4, math.ceil(len(loss) / 5)) :]
    last = last[np.isfinite(last)]
    if len(last) < 4:
        return False
    x = np.arange(len(last)) - (len(last) - 1) / 2
    slope = float(x @ last / (x @ x))
    rest = last - last.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (len(last) - 2) / float(x @ x))
    whole = float(np.nanmax(loss) - np.nanmin(loss))
    span = len(last) - 1
    return -slope * span > max(2 * error * span, FALL * whole)


def _history(
    method: Method,
    trained: Trained,
    seeds: Sequence[int],
    alphas: Sequence[float],
    tasks: Sequence[str],
) -> pd.DataFrame:
    """Tidy losses and weights: method, alpha, seed, network, task, step, loss, weight."""
    history, replicas = trained.history, trained.replicas
    points, count = len(history.losses), len(tasks)
    chosen = np.unique(np.linspace(0, points - 1, min(points, HISTORY_POINTS)).round().astype(int))
    group, own = replicas.group.numpy(), replicas.scored.int().argmax(1).numpy()
    single = method.networks != "one"
    shape = (len(chosen), len(replicas), count)

    def column(values: Any, axis: int) -> np.ndarray:
        view = [1, 1, 1]
        view[axis] = -1
        return np.broadcast_to(np.asarray(values).reshape(view), shape).reshape(-1)

    return pd.DataFrame(
        {
            "method": method.name,
            "alpha": column(np.asarray(alphas)[group // len(seeds)], 1),
            "seed": column(np.asarray(seeds)[group % len(seeds)], 1),
            "network": column([tasks[t] if single else "all" for t in own], 1),
            "task": column(list(tasks), 2),
            "step": column((chosen + 1) * history.window, 0),
            "loss": history.losses[chosen].numpy().reshape(-1).astype(float),
            "weight": history.weights[chosen].numpy().reshape(-1).astype(float),
        }
    )


@dataclass(frozen=True)
class Study:
    """What a comparison found. `results` is the tidy table that every figure reads.

    Columns of `results`: dataset, data_seed, split, method, alpha, seed, task, metric, value.
    Of `training` (a row a method, alpha and run): networks, steps, seconds, watched, loss,
    diverged, still_improving. Of `history`: losses and weights over training.
    """

    results: pd.DataFrame
    training: pd.DataFrame
    history: pd.DataFrame
    metric: Mapping[str, str]  # task -> the metric it is judged by
    overlap: float  # test rows / training rows where runs split the same rows anew
    recipe: Recipe
    checkpoint: Checkpoint

    def delta(
        self, method: str, alpha: float = math.nan, metric: str | None = None
    ) -> pd.DataFrame:
        """Difference from STL, seeds by tasks; above 0 is better than STL, for every metric."""
        table = self._judged(metric)
        sign = np.where(table["metric"].isin(LOWER_IS_BETTER), -1.0, 1.0)
        table = table.assign(value=table["value"] * sign)
        ours = _pivot(table, method, alpha)
        if ours.empty:
            arms = ", ".join(m if math.isnan(a) else f"{m} {a:g}" for m, a in self.arms())
            raise BadInput(f"no results of {method!r} with alpha {alpha}; there are {arms}")
        return ours - _pivot(table, STL.name, math.nan)

    def transfer(self, metric: str | None = None) -> pd.DataFrame:
        """One row a method, alpha and task: difference from STL with its test and verdict.

        delta (mean over runs, above 0 is better), low and high (95%), p (two-sided, moderated
        paired t), adjusted (Benjamini-Hochberg over the tasks), detectable (the smallest effect
        that so many runs find in four of five cases), verdict.
        """
        rows = []
        for method, alpha in self.arms():
            delta = self.delta(method, alpha, metric)
            test = paired_test(delta.to_numpy(), self.overlap)
            for t, task in enumerate(delta.columns):
                rows.append(
                    {
                        "method": method,
                        "alpha": alpha,
                        "task": task,
                        "delta": test.mean[t],
                        "low": test.low[t],
                        "high": test.high[t],
                        "p": test.p[t],
                        "adjusted": test.adjusted[t],
                        "detectable": test.detectable[t],
                        "verdict": test.verdict[t],
                    }
                )
        return pd.DataFrame(rows)

    def counts(self, metric: str | None = None) -> pd.DataFrame:
        """One row a method and alpha: cost, mean metric, both counts with their null, verdicts.

        `negative` counts tasks whose mean difference is below 0, `negative_per_run` averages the
        count of single runs; 95% of such counts lie between `negative_null_low` and
        `negative_null_high` where only initialisation and batch order differ. `harmed` and
        `helped` are the test's verdicts, `harmed_null` what it flags for STL'.
        """
        table = self._judged(metric)
        scored = table.groupby("task")["value"].agg(lambda v: bool(v.notna().all()))
        common = table[table["task"].map(scored)]  # scored in every run for every method
        null = null_counts(self.delta(NULL.name, metric=metric).to_numpy())
        transfer = self.transfer(metric)
        flagged = int((_rows(transfer, NULL.name, math.nan)["verdict"] == "harmed").sum())
        rows = []
        for method, alpha in [(STL.name, math.nan), *self.arms()]:
            run = _rows(self.training, method, alpha)
            row: dict[str, Any] = {
                "method": method,
                "alpha": alpha,
                "networks": int(run["networks"].max()) if len(run) else 0,
                "seconds": run["seconds"].sum(),
                "mean": _rows(common, method, alpha)["value"].mean(),
            }
            if method != STL.name:
                count = count_negative(self.delta(method, alpha, metric).to_numpy())
                verdict = _rows(transfer, method, alpha)["verdict"]
                row |= {
                    "negative": count.negative,
                    "negative_per_run": count.per_run,
                    "negative_null_low": null.low,
                    "negative_null_high": null.high,
                    **{v: int((verdict == v).sum()) for v in ("harmed", "helped", "undecided")},
                    "harmed_null": flagged,
                }
            row["diverged"] = int(run["diverged"].sum())
            row["still_improving"] = int(run["still_improving"].sum())
            rows.append(row)
        whole = ["negative", "harmed", "helped", "undecided", "harmed_null"]
        return pd.DataFrame(rows).astype(dict.fromkeys(whole, "Int64"))

    def arms(self) -> list[tuple[str, float]]:
        """(method, alpha) of everything but STL, in the order of training; alpha NaN for none."""
        pairs = self.results[["method", "alpha"]].drop_duplicates()
        return [(m, a) for m, a in pairs.itertuples(index=False) if m != STL.name]

    def _judged(self, metric: str | None) -> pd.DataFrame:
        """The rows of `results` with this metric, by default each task's own."""
        known = list(self.results["metric"].unique())
        if metric is not None and metric not in known:
            raise BadInput(f"unknown metric {metric!r}; {nearest(metric, known)}")
        wanted = self.results["task"].map(self.metric) if metric is None else metric
        return self.results[self.results["metric"] == wanted]


def _rows(table: pd.DataFrame, method: str, alpha: float) -> pd.DataFrame:
    same = table["alpha"].isna() if math.isnan(alpha) else table["alpha"] == alpha
    return table[(table["method"] == method) & same]


def _pivot(table: pd.DataFrame, method: str, alpha: float) -> pd.DataFrame:
    rows = _rows(table, method, alpha)
    order = list(dict.fromkeys(rows["task"]))
    return rows.pivot(index="seed", columns="task", values="value")[order]


def _assembled(
    runs: Sequence[TaskData],
    seeds: Sequence[int],
    recipe: Recipe,
    checkpoint: Checkpoint,
    parts: Mapping[str, Part],
) -> Study:
    results = [p.results for p in parts.values()]
    for seed, run, outputs in zip(seeds, runs, constant(runs), strict=True):
        results.append(pd.DataFrame(_scored(run, CONSTANT, math.nan, seed, outputs)))
    overlap = [
        len(r.split.test) / len(r.split.train) if r.split.kind == "free" else 0.0 for r in runs
    ]
    return Study(
        results=pd.concat(results, ignore_index=True),
        training=pd.concat([p.training for p in parts.values()], ignore_index=True),
        history=pd.concat([p.history for p in parts.values()], ignore_index=True),
        metric=primary(runs[0]),
        overlap=float(np.mean(overlap)),
        recipe=recipe,
        checkpoint=checkpoint,
    )


def _alphas(alphas: Any, needed: bool) -> list[float]:
    if isinstance(alphas, torch.Tensor):
        alphas = alphas.tolist()
    several = isinstance(alphas, Iterable) and not isinstance(alphas, str)
    values: list[float] = [*alphas] if several else [alphas]
    for value in values:
        if not is_number(value) or value < 0:
            raise BadInput(f"alpha {value!r}: must be a number, 0 or more")
    if needed and not values:
        raise BadInput("no alphas; give one or more, each 0 or more")
    if len(set(values)) != len(values):
        raise BadInput(f"alphas {values}: give every alpha once")
    return [float(value) for value in values]


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    try:
        numbers = list(range(seeds)) if is_whole(seeds, 0) else [*seeds]  # type: ignore[arg-type, misc]
    except TypeError:
        numbers = []
    good = all(is_whole(s, 0) and s < RESEEDED for s in numbers)
    if not numbers or not good or len(set(numbers)) != len(numbers):
        raise BadInput(
            f"seeds {seeds!r}: give how many (1 or more), or distinct whole numbers "
            f"from 0 to {RESEEDED - 1}"
        )
    return [int(s) for s in numbers]


def _runs(data: Source, seeds: Sequence[int]) -> list[TaskData]:
    if isinstance(data, TaskData):
        runs = [data.run(s) for s in seeds]
    elif callable(data):
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
        if run.tasks != runs[0].tasks or run.kinds != runs[0].kinds:
            raise BadInput(f"data set {run.name!r}: every seed must have the same tasks")
        if run.x.shape[1:] != runs[0].x.shape[1:]:
            raise BadInput(f"data set {run.name!r}: every seed must have the same features")
    return runs


def _device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError):
        raise BadInput(f"device {device!r} is not here; use 'cpu' or 'auto'") from None
    return device


class _Bar:
    """Progress over all parts, weighted by what their steps cost."""

    def __init__(
        self, progress: bool | Callable[[float, str], object], todo: Mapping[str, Job]
    ) -> None:
        self.cost = {name: job.step_cost for name, job in todo.items()}
        self.total = sum(job.step_cost * job.steps for job in todo.values())
        self.done = 0.0
        self.tell = progress if callable(progress) else None
        self.bar = None
        if progress is True and todo:
            from tqdm.auto import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
            self.bar = tqdm(total=self.total, bar_format=form)

    def step(self, name: str, steps: int) -> None:
        self.done += self.cost[name] * steps
        if self.bar is not None:
            self.bar.set_description_str(name, refresh=False)
            self.bar.update(self.cost[name] * steps)
        if self.tell is not None:
            self.tell(self.done / self.total, name)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
