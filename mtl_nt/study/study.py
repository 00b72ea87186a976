"""`Study`: the results of a comparison as tidy tables, and all that is counted in them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ..networks import Recipe
from ..tasks import BadInput, suggestion
from ..training import (
    LOWER_IS_BETTER,
    Checkpoint,
)
from .methods import STL
from .transfer import NullCount, count_negative, null_counts, paired_test

MOST_NAMED = 12  # methods at most that a message names
MAX_RUNS = 10_000  # also the largest number of alphas
NO_ALPHA = -1.0  # sorts and groups as NaN does not


@dataclass(frozen=True, eq=False)
class Study:
    """The results of a comparison. Every figure reads these tables, and nothing is trained again.

    Differences are taken from the `baseline`, which is STL unless another method was given.

    Attributes:
        results: one row for each run, method, alpha, task and metric. Columns: dataset, data_seed,
            split, method, alpha, seed, task, metric, value.
        training: one row for each run, method and alpha. Columns: method, alpha, seed; networks,
            steps, seconds (the cost); candidates, chosen, learning_rate, weight_decay (the tuning);
            watched, loss, diverged, still_improving (the loss at the end).
        history: losses and task weights over training, for every network and task. Columns: method,
            alpha, seed, network, task, step, loss, weight.
        metric: the metric by which each task is judged.
        overlap: test rows / training rows, where the runs split the same rows anew; else 0.
        recipe: the settings of the training.
        checkpoint: the rule that chose the moment of the predictions.
        baselines: the methods that others can be compared with, the baseline first.

    >>> from mtl_nt.study import stored
    >>> study = stored("cure-noisy")
    >>> study.delta("MTL").shape  # runs, tasks
    (16, 9)
    """

    results: pd.DataFrame
    training: pd.DataFrame
    history: pd.DataFrame
    metric: Mapping[str, str]
    overlap: float
    recipe: Recipe
    checkpoint: Checkpoint
    baselines: tuple[str, ...] = (STL.name,)
    # Tables that are computed once.
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, init=False, compare=False)

    @property
    def baseline(self) -> str:
        """The method that all tasks are compared with."""
        return self.baselines[0]

    @property
    def null(self) -> str | None:
        """The name of the baseline's twin, which was trained with another seed.

        It is None for a baseline without chance in it, such as Ridge.
        """
        name = f"{self.baseline}'"
        return name if (self.results["method"] == name).any() else None

    def against(self, baseline: str) -> Study:
        """The same results, compared with another method.

        Raises:
            BadInput: a method without results here, or one with an alpha.

        >>> from mtl_nt.study import stored
        >>> stored("cure-noisy").against("MTL").baseline
        'MTL'
        """
        alphas = self.results.loc[self.results["method"] == baseline, "alpha"]
        if not len(alphas):
            names = self.results["method"].unique()
            raise BadInput(f"no results of {baseline!r}; {suggestion(baseline, names)}")
        if alphas.notna().any():
            raise BadInput(f"baseline {baseline!r} has an alpha; give a method without one")
        others = [name for name in self.baselines if name != baseline]
        study = replace(self, baselines=(baseline, *others))
        # The values stay the same; only the differences change.
        values = {key: table for key, table in self._cache.items() if key[0] == "values"}
        study._cache.update(values)
        return study

    def delta(
        self, method: str, alpha: float = math.nan, metric: str | None = None
    ) -> pd.DataFrame:
        """The difference of a method from the baseline. Above 0 is better, for every metric.

        Args:
            method: the name of a method.
            alpha: its alpha; NaN for a method without one.
            metric: by default each task's own.

        Returns:
            One row for each seed, and one column for each task.

        Raises:
            BadInput: no results of this method and alpha, or an unknown metric.

        >>> from mtl_nt.study import stored
        >>> study = stored("cure-noisy")
        >>> int((study.delta("MTL").mean() < 0).sum())  # tasks that MTL makes worse on average
        6
        """
        deltas = self._cached("deltas", metric, self._deltas)
        if (arm := _arm(method, alpha)) not in deltas:
            raise self._missing(method, alpha)
        return deltas[arm].copy()

    def scores(
        self, method: str, alpha: float = math.nan, metric: str | None = None
    ) -> pd.DataFrame:
        """The metric itself, with rows, columns and arguments as in `delta`.

        Raises:
            BadInput: no results of this method and alpha, or an unknown metric.

        >>> from mtl_nt.study import stored
        >>> stored("cure-noisy").scores("STL").shape
        (16, 9)
        """
        values = self._cached("values", metric, self._values)
        if (arm := _arm(method, alpha)) not in values:
            raise self._missing(method, alpha)
        return values[arm].copy()

    def transfer(self, metric: str | None = None) -> pd.DataFrame:
        """The test of every task, with one row for each method, alpha and task.

        Columns: method, alpha, task; delta (the mean over runs, above 0 is better); low and high
        (95% interval); p (two-sided, moderated t); adjusted (p after Benjamini-Hochberg over
        the tasks); detectable (the smallest effect that so many runs find in four of five cases);
        verdict ("harmed", "helped" or "undecided"). See `transfer.paired_test`.

        Raises:
            BadInput: an unknown metric.

        >>> from mtl_nt.study import stored
        >>> transfer = stored("cure-noisy").transfer()
        >>> (transfer.query("method == 'MTL'")["verdict"] == "harmed").to_list().count(True)
        6
        """
        return self._cached("transfer", metric, self._transfer).copy()

    def counts(self, metric: str | None = None) -> pd.DataFrame:
        """The counts of every method and alpha: one row for each, the baseline first.

        `mean` is the mean metric over the tasks that every run of every method scored. `negative`
        is the number of tasks whose mean difference is below 0, and `negative_per_run` is that
        number in a single run, on average. Where only initialisation and batch order differ, 95% of
        single runs count from `negative_null_low` to `negative_null_high`.

        `harmed`, `helped` and `undecided` count the verdicts of the test. `harmed_null` and
        `helped_null` are what the test flags for the baseline's twin. A baseline without chance in
        it, such as Ridge, has no twin, and so no null.

        A method with a diverged run has no mean and no counts, and all its tasks are undecided.
        If the baseline diverged, the same holds for every method.

        Raises:
            BadInput: an unknown metric.

        >>> from mtl_nt.study import stored
        >>> counts = stored("cure-noisy").counts().set_index("method")
        >>> counts.loc["MTL", ["harmed", "helped", "undecided"]].to_list()
        [6, 2, 1]
        """
        return self._cached("counts", metric, self._counts).copy()

    def arms(self) -> list[tuple[str, float]]:
        """All pairs of a method and its alpha, in the order of training. NaN stands for no alpha.

        The baseline is left out, and so are the twins of other baselines.

        >>> from mtl_nt.study import stored
        >>> stored("cure-noisy").arms()[:2]
        [("STL'", nan), ('MTL', nan)]
        """
        pairs = self._cached("arms", None, self._pairs)
        left_out = {self.baseline, *(f"{name}'" for name in self.baselines[1:])}
        return [(m, a) for m, a in pairs if m not in left_out]

    def alphas_of(self, method: str) -> list[float]:
        """The alphas of a method; an empty list for a method without an alpha.

        >>> from mtl_nt.study import stored
        >>> stored("cure-noisy").alphas_of("MTL")
        []
        """
        return [a for m, a in self.arms() if m == method and not math.isnan(a)]

    def _pairs(self, _: str | None) -> list[tuple[str, float]]:
        """All pairs of a method and its alpha that have results."""
        pairs = self.results[["method", "alpha"]].drop_duplicates()
        return list(pairs.itertuples(index=False, name=None))

    def _cached(self, what: str, metric: str | None, make: Callable[[str | None], Any]) -> Any:
        if (what, metric) not in self._cache:
            self._cache[what, metric] = make(metric)
        return self._cache[what, metric]

    def _missing(self, method: str, alpha: float) -> BadInput:
        same = [m if math.isnan(a) else f"{m} {a:g}" for m, a in self.arms() if m == method]
        names = same or list(dict.fromkeys(m for m, _ in self.arms()))
        listed = ", ".join([*names[:MOST_NAMED], *["..."] * (len(names) > MOST_NAMED)])
        return BadInput(f"no results of {method!r} with alpha {alpha}; there are {listed}")

    def _rows_of_metric(self, metric: str | None) -> pd.DataFrame:
        """The rows of `results` with this metric, by default each task's own."""
        known = list(self.results["metric"].unique())
        if metric is not None and metric not in known:
            raise BadInput(f"unknown metric {metric!r}; {suggestion(metric, known)}")
        wanted = self.results["task"].map(self.metric) if metric is None else metric
        return self.results[self.results["metric"] == wanted]

    def _values(self, metric: str | None) -> dict[tuple[str, float | None], pd.DataFrame]:
        """The scores by seed and task, for every method and alpha."""
        table = self._rows_of_metric(metric)
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
        """The differences from the baseline by seed and task, for every method and alpha."""
        values = self._cached("values", metric, self._values)
        single = values[_arm(self.baseline)]
        names = pd.Series(dict.fromkeys(single, metric) if metric else self.metric)[single.columns]
        sign = np.where(names.isin(LOWER_IS_BETTER), -1.0, 1.0)
        return {a: (table - single) * sign for a, table in values.items() if a[0] != self.baseline}

    def _transfer(self, metric: str | None) -> pd.DataFrame:
        arms = self.arms()
        by_arm = self._cached("deltas", metric, self._deltas)
        deltas = [by_arm[_arm(method, alpha)] for method, alpha in arms]
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
        values = self._cached("values", metric, self._values)
        runs = _by_arm(self.training)
        failed = {arm for arm, run in runs.items() if run["diverged"].any()}
        whole = [table.notna().all() for arm, table in values.items() if arm not in failed]
        common = pd.concat(whole, axis=1).all(axis=1)
        null, flagged = NullCount(0, math.nan, math.nan, math.nan), None
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
    """A method and its alpha as a key of a dictionary, which NaN cannot be."""
    return method, None if math.isnan(alpha) else alpha


def _by_arm(table: pd.DataFrame) -> dict[tuple[str, float | None], pd.DataFrame]:
    """The rows of every method and alpha."""
    arms = table.groupby(["method", "alpha"], sort=False, dropna=False)
    return {_arm(*arm): rows for arm, rows in arms}  # type: ignore[arg-type]
