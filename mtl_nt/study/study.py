"""`Study`: the results of a comparison as tidy tables, and all that is counted in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ..errors import BadInput, suggestion
from ..networks import Recipe
from ..training import Checkpoint
from .arms import Arm, as_arm, scores_by_arm
from .counts import count_table, null_of_count
from .directions import Directions, is_lower_better
from .methods import STL
from .nulls import PairSigns
from .overall import overall_table
from .schema import ValidationTable, empty_table
from .task_plan import TaskPlan, task_plan
from .transfer import NullCount
from .verdicts import parse_margin, signs_of, verdict_table

MOST_NAMED = 12  # methods at most that a message names


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
        raw_targets: whether networks were trained on regressions in their own units
            (`standardise` of `TaskData` is False).

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
    raw_targets: bool = False
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
                no statement (`directions`), and another is never guessed. A name with a sign, such
                as -NLL, is another; an arrow (RMSE ↓) is a statement.
            twin: the method that is the baseline, trained again with another seed: the null.
            margin: the smallest difference that matters to you, in units of the metric, and stated
                before you look at the scores; one number, or one for each metric.
            overlap: test rows / training rows, where the runs split the same rows anew. By default
                the runs are independent.
            metric: the metric by which the tasks are judged, or one for each task, where there are
                several; the metric's name, where the table has no such column.
            dataset: which data set, where the table has several (see `studies_from_scores`).
            folds: of the cross-validation, if the runs are its folds; repeated or not. A table
                whose columns or seeds name folds or splits must say this, or `overlap`. Intervals
                are then those of a study whose runs are folds (`variance.overlap_of_runs`).

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
        deltas = self._deltas(metric)
        if (arm := as_arm(method, alpha)) not in deltas:
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
        values = self._values(metric)
        if (arm := as_arm(method, alpha)) not in values:
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
        the same test. Of raw targets they must beat every constant, which is an R2 above 0:
        networks that have hardly moved from 0 may be nearer to the labels than the training mean
        is. Without results of that predictor ("Constant"), every task counts as learned.

        Raises:
            BadInput: an unknown metric.

        >>> from mtl_nt.study import stored
        >>> transfer = stored("cure-noisy").transfer()
        >>> (transfer.query("method == 'MTL'")["verdict"] == "harmed").to_list().count(True)
        6
        """

        def table() -> pd.DataFrame:
            return verdict_table(self, self._values(metric), self._deltas(metric), metric)

        return self._cached("transfer", metric, table).copy()

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

        def table() -> pd.DataFrame:
            return count_table(self, self._values(metric), metric)

        return self._cached("counts", metric, table).copy()

    def overall(self, metric: str | None = None) -> pd.DataFrame:
        """What every method does on the whole, one row for each method and alpha, baseline first.

        Means are over the tasks that every run of every method scored, and that the method or the
        baseline has learned; `tasks` is their number. The baseline's row, and all ranks, are over
        the tasks that anyone has learned. A method with a diverged run has no means.

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
        [-0.12, -0.18, -0.05, -144.88]
        """

        def table() -> pd.DataFrame:
            return overall_table(self, self._values(metric), metric)

        return self._cached("overall", metric, table).copy()

    def task_plan(self, candidates: Sequence[str] | None = None) -> TaskPlan:
        """Choose the baseline, MTL or a remedy for each task, and say what that is worth.

        The choice is made on validation rows. The gain is counted on test rows of runs that did not
        choose. See `task_plan.TaskPlan` for what the plan has, and `task_plan` for the rule.

        Args:
            candidates: the methods that a task may have beside the baseline; by default all that
                train networks.

        Raises:
            BadInput: a method without results, or without scores on the rows that choose; or none
                to choose.

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
        return self._cached("null", metric, lambda: null_of_count(self, metric))

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

    def _pairs(self) -> list[tuple[str, float]]:
        """All pairs of a method and its alpha that have results."""
        pairs = self.results[["method", "alpha"]].drop_duplicates()
        return list(pairs.itertuples(index=False, name=None))

    def _cached(self, what: str, metric: str | None, make: Callable[[], Any]) -> Any:
        if (what, metric) not in self._cache:
            self._cache[what, metric] = make()
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
        """The scores of every method and alpha by seed and task."""
        return self._cached("values", metric, lambda: scores_by_arm(self._rows_of_metric(metric)))

    def _deltas(self, metric: str | None) -> dict[Arm, pd.DataFrame]:
        """The differences of every method and alpha from the baseline, by seed and task."""

        def deltas() -> dict[Arm, pd.DataFrame]:
            values = self._values(metric)
            single = values[as_arm(self.baseline)]
            sign = signs_of(self, single.columns, metric)
            return {
                arm: (table - single) * sign
                for arm, table in values.items()
                if arm[0] != self.baseline
            }

        return self._cached("deltas", metric, deltas)
