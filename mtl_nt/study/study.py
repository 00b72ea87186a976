"""`Study`: the results of a comparison as tidy tables, and all that is counted in them."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from ..errors import BadInput, is_finite_number, suggestion
from ..networks import Recipe
from ..training import Checkpoint
from .directions import Directions, is_lower_better
from .methods import CONSTANT, STL
from .nulls import PairSigns, kept_pairs, pairs_table
from .schema import ValidationTable, empty_table
from .task_plan import TaskPlan, task_plan
from .transfer import (
    HARMED,
    HELPED,
    LEAST_PAIRS,
    NOT_LEARNED,
    SAME,
    UNDECIDED,
    NullCount,
    count_negative,
    is_better,
    null_counts,
    paired_test,
    standard_errors,
)

MOST_NAMED = 12  # methods at most that a message names
MAX_RUNS = 10_000  # also the largest number of alphas
NO_ALPHA = -1.0  # sorts and groups as NaN does not
Arm = tuple[str, float | None]  # a method and its alpha, as a key of a dictionary


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
        history: losses and task weights over training, for every network and task. A method has 40
            points at most, and fewer where networks x tasks exceed 25,000. Columns: method, alpha,
            seed, network, task, step, loss, weight.
        metric: the metric by which each task is judged.
        overlap: how far the runs share the same rows: test rows / training rows for re-splits, less
            for folds (`variance.overlap_of_runs`), and 0 for runs that share none.
        recipe: the settings of the training; None where somebody else has trained.
        checkpoint: the rule that chose the moment of the predictions; None where nobody says it.
        baselines: the methods that others can be compared with, the baseline first.
        margin: by metric, the smallest difference that matters; 0 where none is given.
        lower_is_better: for metrics of unknown names, whether lower values are better
            (`directions` has the known names).
        validation: scores on the validation rows, one row for each run, method, alpha and task;
            higher is better: PR-AUC, or minus the MSE. Empty where there are none. A plan chooses
            by them (`task_plan`). Columns: method, alpha, seed, task, value.
        null_identity: by baseline, under which name a null of many pairs may be kept (see `nulls`).
        pairs: further pairs of the baseline and its twin, on other runs, for the null of a count
            (see `nulls.pair_signs`); by baseline.
        overlap_limit: what `overlap` grows to with the number of runs (`variance.overlap_limit`);
            None where it stays.
        recipes: the settings of each method by its name, where somebody says them.

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
    recipe: Recipe | None
    checkpoint: Checkpoint | None
    baselines: tuple[str, ...] = (STL.name,)
    margin: Mapping[str, float] = field(default_factory=dict)
    lower_is_better: Mapping[str, bool] = field(default_factory=dict)
    null_identity: Mapping[str, str] = field(default_factory=dict)
    pairs: Mapping[str, PairSigns] = field(default_factory=dict)
    validation: pd.DataFrame = field(default_factory=partial(empty_table, ValidationTable))
    overlap_limit: float | None = None
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    # Tables that are computed once.
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, init=False, compare=False)

    @staticmethod
    def from_scores(
        table: pd.DataFrame | str | Path,
        baseline: str = STL.name,
        lower_is_better: Directions = None,
        twin: str | None = None,
        margin: float | Mapping[str, float] = 0.0,
        overlap: float | None = None,
        metric: str | Mapping[str, str] | None = None,
        dataset: str | None = None,
        folds: int | None = None,
    ) -> Study:
        """A study of scores that somebody else has trained. All that a study has works on it.

        The table has one row for each score. Its columns are method, seed, task and value, and,
        where there are several, metric, alpha, fold and dataset; others are not read. Methods are
        paired by seed, so every method needs the same runs. A method "Constant" is the predictor
        that ignores the features, and "STL'" is STL once more.

        Args:
            table: a table, or the path of a CSV, TSV or Parquet.
            baseline: the method that all others are compared with.
            lower_is_better: whether lower values are better: True or False for all metrics or by
                name, or the names of those of which they are. A usual name, such as "RMSE", needs
                no statement (`directions`), and another is never guessed.
            twin: the method that is the baseline, trained again with another seed: the null.
            margin: the smallest difference that matters to you, in units of the metric, and stated
                before you look at the scores; one number, or one for each metric.
            overlap: test rows / training rows, where the runs split the same rows anew. By default
                the runs are independent.
            metric: the metric by which the tasks are judged, or one for each task, where there are
                several; the metric's name, where the table has no such column.
            dataset: which data set, where the table has several (see `studies_from_scores`).
            folds: of the cross-validation, if the runs are its folds; repeated or not. A table with
                a column fold must say this, or `overlap`. Intervals are then those of a study whose
                runs are folds (`variance.overlap_of_runs`).

        Raises:
            BadInput: a score twice, a method without some run or task, an unknown baseline, a
                metric without a direction, and whatever else you can mend, in one line.

        >>> columns = {"method": ["STL", "STL", "MTL", "MTL"], "seed": [0, 1, 0, 1], "task": "a"}
        >>> table = pd.DataFrame({**columns, "value": [2.0, 2.5, 1.5, 1.75]})
        >>> Study.from_scores(table, metric="RMSE").delta("MTL")["a"].to_list()  # above 0: better
        [0.5, 0.75]
        >>> Study.from_scores(table[1:], metric="RMSE")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mtl_nt.errors.BadInput: table: method 'STL' has no score of seed 0, which method 'MTL'...
        """
        from .own_scores import study_from_scores

        return study_from_scores(
            table,
            dataset,
            baseline=baseline,
            lower_is_better=lower_is_better,
            twin=twin,
            margin=margin,
            overlap=overlap,
            folds=folds,
            metric=metric,
        )

    def sign(self, metric: str) -> Literal[-1, 1]:
        """What a difference in a metric is multiplied by, so that above 0 is better.

        Raises:
            BadInput: neither the metric's name nor `lower_is_better` says its direction.

        >>> from mtl_nt.study import stored
        >>> study = stored("cure-noisy")
        >>> study.sign("RMSE"), study.sign("PR-AUC")
        (-1, 1)
        """
        return -1 if is_lower_better(metric, self.lower_is_better) else 1

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

    def with_margin(self, margin: float | Mapping[str, float]) -> Study:
        """The same results, judged with another margin.

        Args:
            margin: the largest difference that does not matter to you, in units of the metric; one
                number, or one for each metric. State it before you look at the results.

        Raises:
            BadInput: see `parse_margin`.

        >>> from mtl_nt.study import stored
        >>> counts = stored("cure-noisy").with_margin(0.5).counts().set_index("method")
        >>> counts.loc["STL'", ["harmed", "helped", "same", "undecided", "not_learned"]].to_list()
        [0, 0, 6, 0, 3]
        """
        judged, known = dict.fromkeys(self.metric.values()), self.results["metric"].unique()
        return replace(self, margin=parse_margin(margin, [*judged], [*known]))

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
        (95% interval); p (two-sided, moderated t, against the margin where there is one); adjusted
        (p after Benjamini-Hochberg over the tasks); detectable (the smallest effect that so many
        runs find in four of five cases); verdict. See `transfer.paired_test`.

        A verdict is "harmed", "helped" or "undecided"; with a margin also "same"; and "not learned"
        where neither the method nor the baseline beats the predictor that ignores the features, by
        the same test. Without results of that predictor ("Constant"), every task counts as learned.

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

        `mean` is the mean metric over the tasks that every run of every method scored; NaN where
        the tasks have several metrics, whose mean would mean nothing (see `overall`). `negative`
        is the number of tasks whose mean difference is below 0, and `negative_per_run` is that
        number in a single run, on average. Where only initialisation and batch order differ, 95% of
        single runs count from `negative_null_low` to `negative_null_high`.

        That range comes from `null_pairs` trainings of the baseline and its twin. For named data
        sets and their recipes many pairs come with the package (see `nulls`).

        `harmed`, `helped`, `undecided` and `not_learned` count the verdicts of the test, and so
        does `same` where there is a margin. `harmed_null` and `helped_null` are what the test flags
        for the baseline's twin. A baseline without chance in it, such as Ridge, has no twin, and so
        no null.

        A method with a diverged run has no mean and no counts, and all its tasks are undecided.
        If the baseline diverged, the same holds for every method.

        Raises:
            BadInput: an unknown metric.

        >>> from mtl_nt.study import stored
        >>> counts = stored("cure-noisy").counts().set_index("method")
        >>> verdicts = ["harmed", "helped", "undecided", "not_learned"]
        >>> [int(count) for count in counts.loc["MTL", verdicts]]
        [6, 0, 0, 3]
        """
        return self._cached("counts", metric, self._counts).copy()

    def overall(self, metric: str | None = None) -> pd.DataFrame:
        """What every method does on the whole, one row for each method and alpha, baseline first.

        All means are over the tasks that every run of every method scored; `tasks` is their number.
        A method with a diverged run has none.

        - `delta` is the mean difference from the baseline (above 0 is better), and `low` and `high`
          its 95% interval over runs, which are paired and overlap as those of `transfer` do.
        - `unit` is what these three are in: the metric. Where tasks have several metrics, each
          task's differences are first divided by its standard error, and the unit is that.
        - `delta_m` is the mean over tasks of the change of the task's mean score, in percent of the
          baseline's, as papers report it. It is NaN where a score of the baseline is 0 or below.
        - `rank` is the mean over tasks of the method's rank among all methods, of which 1 is the
          best. The baseline has a rank too; its twin and the constant predictor have none.

        The mean hides who pays for it, so read it beside `counts`.

        Raises:
            BadInput: an unknown metric.

        >>> from mtl_nt.study import stored
        >>> overall = stored("cure-noisy").overall().set_index("method")
        >>> overall.loc["MTL", ["delta", "low", "high", "delta_m"]].astype(float).round(2).to_list()
        [0.42, 0.11, 0.73, -92.11]
        """
        return self._cached("overall", metric, self._overall).copy()

    def task_plan(self, candidates: Sequence[str] | None = None) -> TaskPlan:
        """Choose the baseline, MTL or a remedy for each task, and say what that is worth.

        The choice is made on validation rows. The gain is counted on test rows of runs that did not
        choose. See `task_plan.TaskPlan` for what the plan has, and `task_plan` for the rule.

        Args:
            candidates: the methods that a task may have beside the baseline; by default all.

        Raises:
            BadInput: a method without results, or none to choose.

        >>> from mtl_nt.study import stored
        >>> plan = stored("cure-unrelated").task_plan(["MTL"])
        >>> plan.table["choice"].value_counts().to_dict()
        {'MTL': 6, 'STL': 3}
        """
        return task_plan(self, candidates)

    def null_count(self, metric: str | None = None) -> NullCount:
        """The count of negative differences where nothing but chance differs.

        The range comes from the pairs that are kept for these data, this recipe and this baseline.
        Where none are, it comes from the runs of this study and from its further `pairs` (see
        `transfer.null_counts`).

        Raises:
            BadInput: an unknown metric, or a baseline without a twin.

        >>> from mtl_nt.study import stored
        >>> stored("cure-noisy").null_count().pairs >= 16
        True
        """
        return self._cached("null", metric, self._null_count)

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

    def _values(self, metric: str | None) -> dict[Arm, pd.DataFrame]:
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

    def _deltas(self, metric: str | None) -> dict[Arm, pd.DataFrame]:
        """The differences from the baseline by seed and task, for every method and alpha."""
        values = self._cached("values", metric, self._values)
        single = values[_arm(self.baseline)]
        sign = self._signs(single, metric)
        return {a: (table - single) * sign for a, table in values.items() if a[0] != self.baseline}

    def _signs(self, table: pd.DataFrame, metric: str | None) -> Float[np.ndarray, " T"]:
        """What the differences of each task of this table are multiplied by."""
        return np.array([float(self.sign(metric or self.metric[str(task)])) for task in table])

    def _transfer(self, metric: str | None) -> pd.DataFrame:
        arms = self.arms()
        by_arm = self._cached("deltas", metric, self._deltas)
        deltas = [by_arm[_arm(method, alpha)] for method, alpha in arms]
        tasks, learned = list(deltas[0].columns), self._learned(metric)
        options: dict[str, Any] = {"overlap": self.overlap, "margin": self._margins(tasks, metric)}
        options["units"] = self._units(tasks, metric)
        tests = [
            paired_test(delta.to_numpy(), learned=learned.get(_arm(*arm)), **options)
            for arm, delta in zip(arms, deltas, strict=True)
        ]
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

    def _margins(self, tasks: list[str], metric: str | None) -> Float[np.ndarray, " T"]:
        """The margin of every task."""
        return np.array([self.margin.get(metric or self.metric[task], 0.0) for task in tasks])

    def _units(self, tasks: list[str], metric: str | None) -> list[str]:
        """The metric of every task."""
        return [metric or self.metric[task] for task in tasks]

    def _learned(self, metric: str | None) -> dict[Arm, Bool[np.ndarray, " T"]]:
        """Which tasks each method or the baseline has learned at all; empty if nothing says so."""
        values = self._cached("values", metric, self._values)
        floor = values.get(_arm(CONSTANT))
        if floor is None or self.baseline == CONSTANT:
            return {}
        sign, units = self._signs(floor, metric), self._units(list(floor), metric)
        better = {
            arm: is_better(((table - floor) * sign).to_numpy(), self.overlap, units=units)
            for arm, table in values.items()
        }
        known = better[_arm(self.baseline)] | floor.isna().any().to_numpy()
        return {arm: own | known for arm, own in better.items()}

    def _null_count(self, metric: str | None) -> NullCount:
        if self.null is None:
            raise BadInput(f"{self.baseline} has no twin here, and so no null")
        delta = self.delta(self.null, metric=metric)
        null = null_counts(delta.to_numpy())
        scored = [str(task) for task in delta.columns[delta.notna().all()]]
        metrics = {task: metric or self.metric[task] for task in scored}
        if null.pairs >= LEAST_PAIRS:
            return null
        if (kept := kept_pairs(self.null_identity.get(self.baseline, ""), metrics)) is not None:
            name, pairs = kept
        else:
            further = pairs_table(self.pairs.get(self.baseline, {}), metrics)
            if further is None:
                return null
            further = further[np.isfinite(further).all(1)]  # in which every task was scored
            name = f"these runs and {len(further)} further pairs"
            pairs = np.vstack([delta[scored].to_numpy(), further])
        known = null_counts(pairs)
        return null._replace(low=known.low, high=known.high, pairs=known.pairs, source=name)

    def _scored(self, metric: str | None) -> tuple[list[str], set[Arm]]:
        """The tasks that every run of every method scored; and who diverged, and does not count."""
        values = self._cached("values", metric, self._values)
        failed = {arm for arm, run in _by_arm(self.training).items() if run["diverged"].any()}
        whole = [table.notna().all() for arm, table in values.items() if arm not in failed]
        common = pd.concat(whole, axis=1).all(axis=1)
        return list(common.index[common]), failed

    def _overall(self, metric: str | None) -> pd.DataFrame:
        tasks, failed = self._scored(metric)
        values = {a: v[tasks] for a, v in self._cached("values", metric, self._values).items()}
        single, arms = values[_arm(self.baseline)], [(self.baseline, math.nan), *self.arms()]
        units, sign = {metric or self.metric[task] for task in tasks}, self._signs(single, metric)
        means = {arm: table.mean().to_numpy() for arm, table in values.items()}
        of_single = means[_arm(self.baseline)]
        in_race = [
            arm
            for arm in (_arm(*pair) for pair in arms)
            if arm not in failed and arm[0] not in (self.null, CONSTANT) and tasks
        ]
        placed = np.array([-sign * means[arm] for arm in in_race]).reshape(-1, len(tasks) or 1)
        rank = dict(zip(in_race, rankdata(placed, axis=0).mean(1).tolist(), strict=True))
        rows = []
        for method, alpha in arms:
            arm = _arm(method, alpha)
            row: dict[str, Any] = dict.fromkeys(("delta", "low", "high", "delta_m"), math.nan)
            if tasks and failed.isdisjoint({arm, _arm(self.baseline)}):
                change = sign * (means[arm] - of_single)
                if (of_single > 0).all():
                    row["delta_m"] = 100 * float((change / of_single).mean())
                if method != self.baseline:
                    delta = ((values[arm] - single) * sign).to_numpy()
                    if len(units) > 1:
                        error = standard_errors(delta, self.overlap, self._units(tasks, metric))
                        delta = delta / np.where(error > 0, error, 1.0)
                    test = paired_test(delta.mean(1, keepdims=True), self.overlap)
                    row |= {"delta": test.mean[0], "low": test.low[0], "high": test.high[0]}
            row |= {"unit": units.copy().pop() if len(units) == 1 else "standard errors"}
            row |= {"rank": rank.get(arm, math.nan), "tasks": len(tasks)}
            rows.append({"method": method, "alpha": alpha, **row})
        return pd.DataFrame(rows)

    def _counts(self, metric: str | None) -> pd.DataFrame:
        values = self._cached("values", metric, self._values)
        runs = _by_arm(self.training)
        common, failed = self._scored(metric)
        one_unit = len({metric or self.metric[task] for task in common}) == 1
        null, flagged = NullCount(0, math.nan, math.nan, math.nan, 0), None
        table = self.transfer(metric)
        verdicts = {arm: Counter(rows["verdict"]) for arm, rows in _by_arm(table).items()}
        named = {HARMED: "harmed", HELPED: "helped", SAME: "same", UNDECIDED: "undecided"}
        if not self._margins(list(values[_arm(self.baseline)]), metric).any():
            del named[SAME]
        named |= {NOT_LEARNED: "not_learned"}
        if self.null is not None:
            null = self.null_count(metric)
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
                "mean": values[arm][common].mean(axis=None)
                if one_unit and arm not in failed
                else math.nan,
            }
            if method != self.baseline:
                count = count_negative(self.delta(method, alpha, metric).to_numpy())
                unknown = not failed.isdisjoint({arm, _arm(self.baseline)})
                row |= {
                    "negative": pd.NA if unknown else count.negative,
                    "negative_per_run": math.nan if unknown else count.per_run,
                    "negative_null_low": null.low,
                    "negative_null_high": null.high,
                    "null_pairs": null.pairs,
                    **{name: verdicts[arm][verdict] for verdict, name in named.items()},
                    "harmed_null": pd.NA if flagged is None else flagged["harmed"],
                    "helped_null": pd.NA if flagged is None else flagged["helped"],
                }
            row["diverged"] = int(run["diverged"].sum())
            row["still_improving"] = int(run["still_improving"].sum())
            rows.append(row)
        table = pd.DataFrame(rows)
        last = ["diverged", "still_improving"]
        table = table[[*(c for c in table if c not in last), *last]]
        if self.recipe is None:  # nobody says what the training cost
            table = table.drop(columns=["networks", "seconds"])
        whole_numbers = ["negative", "null_pairs", *named.values(), "harmed_null", "helped_null"]
        return table.astype(dict.fromkeys(whole_numbers, "Int64"))


def parse_margin(
    margin: float | Mapping[str, float], judged: Sequence[str], known: Sequence[str]
) -> dict[str, float]:
    """Check a margin, and give it by metric.

    Args:
        margin: one number for the metric that all tasks are judged by, or numbers by metric.
        judged: the metrics that the tasks are judged by.
        known: all metrics that there are.

    Raises:
        BadInput: one number for several metrics, an unknown metric, or a margin that is no number
            of 0 or more.

    >>> parse_margin(0.02, ["MSE"], ["MSE", "R2"])
    {'MSE': 0.02}
    """
    if not isinstance(margin, Mapping):
        if len(judged) > 1 and is_finite_number(margin) and margin > 0:
            each = ",".join(f"{metric}={margin:g}" for metric in judged)
            raise BadInput(
                f"margin {margin:g}: tasks are judged by {' and '.join(judged)}; give one for "
                f"each: --margin {shlex.quote(each)}"
            )
        margin = dict.fromkeys(judged, margin)
    for metric, value in margin.items():
        if metric not in known:
            raise BadInput(f"margin of unknown metric {metric!r}; {suggestion(metric, known)}")
        if not is_finite_number(value) or value < 0:
            raise BadInput(f"margin {value!r:.40} of {metric:.40}: must be a number, 0 or more")
    return {metric: float(value) for metric, value in margin.items() if value}


def _arm(method: str, alpha: float = math.nan) -> Arm:
    """A method and its alpha as a key of a dictionary, which NaN cannot be."""
    return method, None if math.isnan(alpha) else alpha


def _by_arm(table: pd.DataFrame) -> dict[Arm, pd.DataFrame]:
    """The rows of every method and alpha."""
    arms = table.groupby(["method", "alpha"], sort=False, dropna=False)
    return {_arm(*arm): rows for arm, rows in arms}  # type: ignore[arg-type]
