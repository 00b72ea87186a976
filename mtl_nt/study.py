"""Methods x alphas x seeds on one data set, as one tidy table, with the counts that follow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from .jobs import HISTORY, Bar, scored, work
from .methods import CONSTANT, STL, UNTUNED, Method, constant, resolve, twin
from .metrics import LOWER_IS_BETTER, primary
from .parts import Part, Shelf
from .pieces import Job, specimen
from .recipe import Recipe
from .records import CHECKPOINTS, Checkpoint
from .streams import RESEEDED
from .tasks import BadInput, TaskData, is_number, is_whole, nearest
from .training import PRECISIONS, Precision, check_loss
from .transfer import Null, count_negative, null_counts, paired_test

NAMED = 12  # methods at most that a message names
MANY = 10_000  # runs, or alphas, at most
NO_ALPHA = -1.0  # sorts and groups as NaN does not
Source = TaskData | Callable[[int], TaskData]


def compare(
    data: Source,
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
    precision: Precision = "full",
    progress: bool | Callable[[float, str], object] = True,
    stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> Study:
    """Train every method on the same runs and compare each task with single-task learning.

    Run k has seed k: synthetic families draw new data, free splits are redrawn, fixed splits stay.
    The baseline (STL), its twin with another seed (STL', the null) and a predictor that ignores
    the features are always there.

    Args:
        data: a TaskData, or seed -> TaskData.
        methods: names (see `mtl_nt.METHODS`) or `Method`s; by default all but the tuned ones.
        alphas: for the methods that have one; 0 or more.
        seeds: how many runs (0, 1, ...), or which.
        trunk: hidden widths, or a preset's name; by default the data's own.
        steps: the budget in optimiser steps a network, one for all or by method.
        checkpoint: "last", "best_mean" or "best_per_task", one rule for all methods.
        trials: the tuning budget: how many candidates every tuned method trains, on every run.
            A run takes the one with the best mean score on its validation rows.
        folder: keep what is finished here; the same call goes on from there.
        executor: trains the methods (any `concurrent.futures.Executor`).
        device: "cpu", "cuda" or "auto".
        memory: GB for the networks that train side by side. Those of a method that do not fit
            train one group after another, with the same results.
        baseline: what the tasks are compared with, in place of STL; of several, the first (see
            `Study.against`). Each is trained a second time, for its null.
        precision: "full" or "bf16", faster and coarser on most GPUs (see `training.fit`).
        progress: show a bar; or a callable that takes the fraction done and a word.
        stop: asked at every step (with an executor: whenever a piece of the work is finished);
            True ends the comparison with `Stopped`.
        settings: other training settings, see `mtl_nt.Recipe`.

    Raises:
        BadInput: anything a person can mend, in one line.
    """
    bases = resolve(baseline)
    if bad := next((m.name for m in bases if m.alpha), None):
        raise BadInput(f"baseline {bad!r} has an alpha; give a method without one")
    twins = [pair for m in bases for pair in (m, *([] if m.predictor else [twin(m)]))]
    own = {m.name: m for m in bases}
    if bad := next((m.name for m in resolve(methods) if own.get(m.name, m) != m), None):
        raise BadInput(f"{bad!r} is what all are compared with; give yours another name")
    arms = [*twins, *(m for m in resolve(methods) if m.name not in own)]
    alphas = alpha_numbers(alphas, needed=any(m.alpha for m in arms))
    numbers = seed_numbers(seeds)
    if checkpoint not in CHECKPOINTS:
        raise BadInput(f"unknown checkpoint {checkpoint!r}; {nearest(checkpoint, CHECKPOINTS)}")
    runs = _runs(data, numbers)
    if checkpoint != "last" and not all(len(run.split.validation) for run in runs):
        raise BadInput(f"checkpoint {checkpoint!r} needs validation rows; give some or use 'last'")
    if not is_whole(trials, 1):
        raise BadInput(f"trials {trials!r}: must be a whole number, 1 or more")
    if not is_number(memory) or not memory > 0:
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
    given = {"trunk": trunk, "steps": None if isinstance(steps, Mapping) else steps, **settings}
    recipe = Recipe.of(runs[0], **given)
    single = Recipe.alone(runs[0], **given)
    if precision not in PRECISIONS:
        raise BadInput(f"unknown precision {precision!r}; {nearest(precision, PRECISIONS)}")
    options = {"checkpoint": checkpoint, "device": _device(device), "precision": precision}
    jobs = {}
    for m in arms:
        alone = m.networks == "single" and not m.pretrain
        settled = replace(single if alone else recipe, **m.settings)
        settled = replace(settled, steps=budget.get(m.name, settled.steps))
        mine = alphas if m.alpha else [math.nan]
        job = jobs[m.name] = Job(m, runs, numbers, mine, settled, options, trials, memory * 1e9)
        if m.predictor is None:
            check_loss(settled, runs[0], m.networks == "one")
            specimen(job).check(settled.dropout)
    shelf = Shelf(folder, runs, jobs) if folder is not None else None
    parts = {name: part for name in jobs if shelf and (part := shelf.get(name)) is not None}
    todo = {name: job for name, job in jobs.items() if name not in parts}
    bar = Bar(progress, todo)
    try:
        for name, part in work(todo, shelf, executor, bar, stop):
            parts[name] = part
            if shelf:
                shelf.put(name, part)
    finally:
        bar.close()
    kept = {n: parts[n] for n in jobs}
    return _assembled(runs, numbers, recipe, checkpoint, [m.name for m in bases], kept)


@dataclass(frozen=True, eq=False)
class Study:
    """What a comparison found. `results` is the tidy table that every figure reads.

    `baseline` is what all tasks are compared with: STL unless said otherwise.

    Columns of `results`: dataset, data_seed, split, method, alpha, seed, task, metric, value.
    Of `training` (a row a method, alpha and run): networks, steps, seconds; candidates (of a tuned
    method), which of them was chosen, and its learning_rate and weight_decay; watched, loss,
    diverged, still_improving. Of `history`: losses and weights over training.
    """

    results: pd.DataFrame
    training: pd.DataFrame
    history: pd.DataFrame
    metric: Mapping[str, str]  # task -> the metric it is judged by
    overlap: float  # test rows / training rows where runs split the same rows anew
    recipe: Recipe
    checkpoint: Checkpoint
    baselines: tuple[str, ...] = (STL.name,)  # each with its twin, if it is trained; first: ours
    # Tables computed once.
    _known: dict[Any, Any] = field(default_factory=dict, repr=False, init=False, compare=False)

    @property
    def baseline(self) -> str:
        """The method that all tasks are compared with."""
        return self.baselines[0]

    @property
    def null(self) -> str | None:
        """The baseline's twin, trained with another seed; None of a baseline without chance."""
        name = f"{self.baseline}'"
        return name if (self.results["method"] == name).any() else None

    def against(self, baseline: str) -> Study:
        """The same results, compared with another method.

        Raises:
            BadInput: a method that is not here, or has several alphas.
        """
        alphas = self.results.loc[self.results["method"] == baseline, "alpha"]
        if not len(alphas):
            raise BadInput(
                f"no results of {baseline!r}; {nearest(baseline, self.results['method'].unique())}"
            )
        if alphas.notna().any():
            raise BadInput(f"baseline {baseline!r} has an alpha; give a method without one")
        others = [name for name in self.baselines if name != baseline]
        study = replace(self, baselines=(baseline, *others))
        known = self._known.items()
        study._known.update((key, made) for key, made in known if key[0] == "values")  # the same
        return study

    def delta(
        self, method: str, alpha: float = math.nan, metric: str | None = None
    ) -> pd.DataFrame:
        """Difference from the baseline, seeds by tasks; above 0 is better, for every metric.

        Raises:
            BadInput: no results of this method and alpha, or an unknown metric.
        """
        deltas = self._once("deltas", metric, self._deltas)
        if (arm := _arm(method, alpha)) not in deltas:
            raise self._missing(method, alpha)
        return deltas[arm].copy()

    def scores(
        self, method: str, alpha: float = math.nan, metric: str | None = None
    ) -> pd.DataFrame:
        """The metric itself, seeds by tasks; by default each task's own.

        Raises:
            BadInput: no results of this method and alpha, or an unknown metric.
        """
        values = self._once("values", metric, self._values)
        if (arm := _arm(method, alpha)) not in values:
            raise self._missing(method, alpha)
        return values[arm].copy()

    def transfer(self, metric: str | None = None) -> pd.DataFrame:
        """One row a method, alpha and task: difference from the baseline, its test and verdict.

        delta (mean over runs, above 0 is better), low and high (95%), p (two-sided, moderated
        paired t), adjusted (Benjamini-Hochberg over the tasks), detectable (the smallest effect
        that so many runs find in four of five cases), verdict.
        """
        return self._once("transfer", metric, self._transfer).copy()

    def counts(self, metric: str | None = None) -> pd.DataFrame:
        """One row a method and alpha: cost, mean metric, both counts with their null, verdicts.

        `mean` is over the tasks that every run of every method scored. `negative` counts tasks
        whose mean difference is below 0, `negative_per_run` averages the count of single runs;
        95% of such counts lie between `negative_null_low` and `negative_null_high` where only
        initialisation and batch order differ. `harmed` and `helped` are the test's verdicts,
        `harmed_null` and `helped_null` what it flags for STL'. A method with a diverged run has
        no mean and no counts, and its tasks are undecided; so has every method if STL diverged. A
        baseline without chance in it, such as Ridge, has no twin and so no null.
        """
        return self._once("counts", metric, self._counts).copy()

    def arms(self) -> list[tuple[str, float]]:
        """(method, alpha) of everything but the baseline and other baselines' twins, in the order
        of training; alpha NaN for none.
        """
        known = self.results[["method", "alpha"]].drop_duplicates
        pairs = self._once("arms", None, lambda _: list(known().itertuples(index=False, name=None)))
        out = {self.baseline, *(f"{name}'" for name in self.baselines[1:])}
        return [(m, a) for m, a in pairs if m not in out]

    def alphas_of(self, method: str) -> list[float]:
        """The alphas of a method, none of one that has none."""
        return [a for m, a in self.arms() if m == method and not math.isnan(a)]

    def _once(self, what: str, metric: str | None, make: Callable[[str | None], Any]) -> Any:
        if (what, metric) not in self._known:
            self._known[what, metric] = make(metric)
        return self._known[what, metric]

    def _missing(self, method: str, alpha: float) -> BadInput:
        own = [m if math.isnan(a) else f"{m} {a:g}" for m, a in self.arms() if m == method]
        names = own or list(dict.fromkeys(m for m, _ in self.arms()))
        there = ", ".join([*names[:NAMED], *["..."] * (len(names) > NAMED)])
        return BadInput(f"no results of {method!r} with alpha {alpha}; there are {there}")

    def _judged(self, metric: str | None) -> pd.DataFrame:
        """The rows of `results` with this metric, by default each task's own."""
        known = list(self.results["metric"].unique())
        if metric is not None and metric not in known:
            raise BadInput(f"unknown metric {metric!r}; {nearest(metric, known)}")
        wanted = self.results["task"].map(self.metric) if metric is None else metric
        return self.results[self.results["metric"] == wanted]

    def _values(self, metric: str | None) -> dict[tuple[str, float | None], pd.DataFrame]:
        """Seeds by tasks for every method and alpha."""
        table = self._judged(metric)
        tasks = table["task"].unique()
        wide = table.assign(alpha=table["alpha"].fillna(NO_ALPHA)).pivot(
            index=["method", "alpha", "seed"], columns="task", values="value"
        )
        arms = wide[tasks].groupby(level=["method", "alpha"], sort=False)
        return {
            (m, None if a == NO_ALPHA else a): rows.droplevel(["method", "alpha"])  # type: ignore[misc]
            for (m, a), rows in arms
        }

    def _deltas(self, metric: str | None) -> dict[tuple[str, float | None], pd.DataFrame]:
        values = self._once("values", metric, self._values)
        single = values[_arm(self.baseline)]
        names = pd.Series(dict.fromkeys(single, metric) if metric else self.metric)[single.columns]
        sign = np.where(names.isin(LOWER_IS_BETTER), -1.0, 1.0)
        return {a: (table - single) * sign for a, table in values.items() if a[0] != self.baseline}

    def _transfer(self, metric: str | None) -> pd.DataFrame:
        arms = self.arms()
        found = self._once("deltas", metric, self._deltas)
        deltas = [found[_arm(method, alpha)] for method, alpha in arms]
        tests = [paired_test(delta.to_numpy(), self.overlap) for delta in deltas]
        tasks = list(deltas[0].columns)
        joined = map(np.concatenate, zip(*tests, strict=True))
        columns = dict(zip(tests[0]._fields, joined, strict=True))
        methods, alphas = zip(*arms, strict=True)
        return pd.DataFrame(
            {
                "method": np.repeat(methods, len(tasks)),
                "alpha": np.repeat(alphas, len(tasks)),
                "task": tasks * len(arms),
                "delta": columns.pop("mean"),
                **columns,
            }
        )

    def _counts(self, metric: str | None) -> pd.DataFrame:
        values = self._once("values", metric, self._values)
        runs = _by_arm(self.training)
        failed = {arm for arm, run in runs.items() if run["diverged"].any()}
        whole = [table.notna().all() for arm, table in values.items() if arm not in failed]
        common = pd.concat(whole, axis=1).all(axis=1)
        null, flagged = Null(0, math.nan, math.nan, math.nan), None
        table = self.transfer(metric)
        verdicts = {arm: Counter(rows["verdict"]) for arm, rows in _by_arm(table).items()}
        if self.null is not None:
            null = null_counts(self.delta(self.null, metric=metric).to_numpy())
            flagged = verdicts[_arm(self.null)]
        rows = []
        for method, alpha in [(self.baseline, math.nan), *self.arms()]:
            arm = _arm(method, alpha)
            run = runs.get(arm, self.training[:0])
            row: dict[str, Any] = {
                "method": method,
                "alpha": alpha,
                "networks": int(run["networks"].max()) if len(run) else 0,
                "seconds": run["seconds"].sum(),
                "mean": math.nan if arm in failed else values[arm].loc[:, common].mean(axis=None),
            }
            if method != self.baseline:
                count = count_negative(self.delta(method, alpha, metric).to_numpy())
                unknown = not failed.isdisjoint({arm, _arm(self.baseline)})
                row |= {
                    "negative": pd.NA if unknown else count.negative,
                    "negative_per_run": math.nan if unknown else count.per_run,
                    "negative_null_low": null.low,
                    "negative_null_high": null.high,
                    **{v: verdicts[arm][v] for v in ("harmed", "helped", "undecided")},
                    "harmed_null": pd.NA if flagged is None else flagged["harmed"],
                    "helped_null": pd.NA if flagged is None else flagged["helped"],
                }
            row["diverged"] = int(run["diverged"].sum())
            row["still_improving"] = int(run["still_improving"].sum())
            rows.append(row)
        table = pd.DataFrame(rows)
        last = ["diverged", "still_improving"]
        table = table[[*(c for c in table if c not in last), *last]]
        whole_numbers = ["negative", "harmed", "helped", "undecided", "harmed_null", "helped_null"]
        return table.astype(dict.fromkeys(whole_numbers, "Int64"))


def _arm(method: str, alpha: float = math.nan) -> tuple[str, float | None]:
    return method, None if math.isnan(alpha) else alpha


def _by_arm(table: pd.DataFrame) -> dict[tuple[str, float | None], pd.DataFrame]:
    """The rows of every method and alpha."""
    arms = table.groupby(["method", "alpha"], sort=False, dropna=False)
    return {_arm(*arm): rows for arm, rows in arms}  # type: ignore[arg-type]


def _assembled(
    runs: Sequence[TaskData],
    seeds: Sequence[int],
    recipe: Recipe,
    checkpoint: Checkpoint,
    baselines: Sequence[str],
    parts: Mapping[str, Part],
) -> Study:
    results = [p.results for p in parts.values()]
    for seed, run, outputs in zip(seeds, runs, constant(runs), strict=True):
        results.append(pd.DataFrame(scored(run, CONSTANT, math.nan, seed, outputs)))
    overlap = [
        len(r.split.test) / len(r.split.train) if r.split.kind == "free" else 0.0 for r in runs
    ]
    histories = [p.history for p in parts.values() if len(p.history)]
    return Study(
        results=pd.concat(results, ignore_index=True),
        training=pd.concat([p.training for p in parts.values()], ignore_index=True),
        history=pd.concat(histories or [pd.DataFrame(columns=HISTORY)], ignore_index=True),
        metric=primary(runs[0]),
        overlap=float(np.mean(overlap)),
        recipe=recipe,
        checkpoint=checkpoint,
        baselines=tuple(baselines),
    )


def alpha_numbers(alphas: Any, needed: bool = True) -> list[float]:
    """The alphas as numbers; `BadInput` where one is none, or below 0, or given twice."""
    if isinstance(alphas, torch.Tensor):
        alphas = alphas.tolist()
    several = isinstance(alphas, Iterable) and not isinstance(alphas, str)
    values: list[float] = [*alphas] if several else [alphas]
    for value in values:
        if not is_number(value) or value < 0:
            raise BadInput(f"alpha {value!r}: must be a number, 0 or more")
    if needed and not values:
        raise BadInput("no alphas; give one or more, each 0 or more")
    if len(values) > MANY:
        raise BadInput(f"{len(values):,} alphas; give at most {MANY:,}")
    if len(set(values)) != len(values):
        raise BadInput(f"alphas {values}: give every alpha once")
    return [float(value) for value in values]


def seed_numbers(seeds: int | Sequence[int]) -> list[int]:
    """The runs' seeds, given how many or which; `BadInput` where they are none."""
    try:
        few = min(seeds, MANY + 1) if is_whole(seeds, 0) else seeds  # type: ignore[type-var]
        numbers = list(range(few)) if isinstance(few, int) else [*few]
    except TypeError:
        numbers = []
    good = all(is_whole(s, 0) and s < RESEEDED for s in numbers) and len(numbers) <= MANY
    if not numbers or not good or len(set(numbers)) != len(numbers):
        raise BadInput(
            f"seeds {seeds!r:.60}: give how many (1 to {MANY:,}), or distinct whole numbers "
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
