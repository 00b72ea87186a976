"""Scores that somebody else has trained, as a `Study`.

A score that is missing or doubled, a metric without a direction, or folds that are taken for
independent runs would change verdicts without a word. So each is refused in one line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..datasets.sheets import quoted
from ..errors import BadInput, is_finite_number, is_whole_number
from .directions import Directions, hint, parse_directions
from .fold_names import names_folds
from .methods import CONSTANT, STL
from .schema import SPLITS, HistoryTable, TrainingTable, empty_table
from .score_doubts import check_ranges, check_runs_differ
from .score_table import (
    HALF_A_PAIR,
    ScoreTable,
    check_complete,
    check_methods,
    check_once,
    listed,
    number_runs,
    read_scores,
)
from .study import Study
from .variance import overlap_of_rounds
from .verdicts import parse_margin

METRIC = "score"
"""What a metric is called that nobody has named."""
MOST_OVERLAP = 10  # test rows for each training row; more is a slip, such as 25 for .25


def studies_from_scores(
    table: pd.DataFrame | str | Path,
    baseline: str = STL.name,
    lower_is_better: Directions = None,
    twin: str | None = None,
    margin: float | Mapping[str, float] = 0.0,
    overlap: float | None = None,
    metric: str | Mapping[str, str] | None = None,
    folds: int | None = None,
) -> dict[str, Study]:
    """One study for each data set of a table of scores, by the name of the data set.

    The arguments and errors are those of `Study.from_scores`.

    >>> rows = [(d, m, s, "a", s + 0.1) for d in "xy" for m in ("STL", "MTL") for s in (0, 1)]
    >>> table = pd.DataFrame(rows, columns=["dataset", "method", "seed", "task", "value"])
    >>> [*studies_from_scores(table, metric="accuracy")]
    ['x', 'y']
    """
    for what, name in (("baseline", baseline), ("twin", twin)):
        if name is not None and not isinstance(name, str):
            raise BadInput(f"{what} {name!r:.40}: give the name of a method")
    if metric is not None and not isinstance(metric, (str, Mapping)):
        raise BadInput(f"metric {metric!r:.40}: give a name, or a name for each task")
    scores = read_scores(table)
    if "metric" not in scores.rows:
        if isinstance(metric, Mapping):
            raise BadInput(f"{scores.where}: no column 'metric' to choose from; give one name")
        if metric and HALF_A_PAIR.search(metric):
            raise BadInput(f"metric {quoted(metric)} is no UTF-8; give another name")
        scores.rows["metric"], metric = metric or METRIC, None
    metrics, tasks = ([*scores.rows[column].unique()] for column in ("metric", "task"))
    if isinstance(metric, str) and metric not in metrics:
        raise BadInput(f"{scores.where}: no metric {quoted(metric)}; {hint(metric, metrics)}")
    for task in metric if isinstance(metric, Mapping) else ():
        if task not in tasks:
            raise BadInput(f"metric of unknown task {quoted(task)}; {hint(task, tasks)}")
    directions = parse_directions(lower_is_better, metrics)
    scores.rows["run"], labels = number_runs(scores)
    studies = {}
    for data, rows in scores.rows.groupby("dataset", sort=False):
        of_data = replace(scores, rows=rows)
        check_methods(of_data, baseline)
        check_once(of_data, labels)
        check_complete(of_data, labels)
        check_ranges(of_data)
        check_runs_differ(of_data, baseline)
        share = _overlap(overlap, folds, of_data)
        rows, judged = _with_twin(of_data, baseline, twin), _judged_by(of_data, metric)
        results = pd.DataFrame(
            {
                "dataset": str(data),
                "data_seed": math.nan,
                "split": _split(of_data, share),
                **{name: rows[name].to_numpy() for name in ("method", "alpha")},
                "seed": rows["run"].to_numpy(),
                **{name: rows[name].to_numpy() for name in ("task", "metric", "value")},
            }
        )
        studies[str(data)] = Study(
            results,
            empty_table(TrainingTable),
            empty_table(HistoryTable),
            metric=judged,
            overlap=share,
            overlap_limit=1 / (folds - 1) if folds else None,
            recipe=None,
            checkpoint=None,
            baselines=(baseline,),
            margin=parse_margin(margin, [*dict.fromkeys(judged.values())], metrics),
            lower_is_better=directions,
        )
    return studies


def study_from_scores(
    table: pd.DataFrame | str | Path, dataset: str | None = None, **options: Any
) -> Study:
    """The study of one data set. `Study.from_scores` has the arguments."""
    studies = studies_from_scores(table, **options)
    names = [*studies]
    if dataset is None and len(names) > 1:
        raise BadInput(
            f"{len(names)} data sets ({listed(names)}), and a study has one; name it, as in "
            f"dataset={quoted(names[0])}"
        )
    if dataset is not None and (not isinstance(dataset, str) or dataset not in names):
        raise BadInput(f"no scores of data set {quoted(dataset)}; {hint(dataset, names)}")
    return studies[dataset or names[0]]


def _overlap(said: float | None, folds: int | None, scores: ScoreTable) -> float:
    """How far the runs share rows, which somebody must say where they are of the same rows."""
    if said is not None and folds is not None:
        raise BadInput("overlap and folds both say how far runs share rows; give one")
    if said is not None:
        if not is_finite_number(said) or not 0 <= said <= MOST_OVERLAP:
            raise BadInput(
                f"overlap {said!r:.40}: must be test rows / training rows, from 0 to {MOST_OVERLAP}"
            )
        return float(said)
    rows, ask = scores.rows, "say overlap=test rows / training rows"
    if folds is not None:
        return _overlap_of_folds(folds, scores)
    if "fold" in rows:
        if scores.folds == "fold":
            raise BadInput(f"{scores.where}: {_folds_words(rows['fold'].nunique())}")
        raise BadInput(
            f"{scores.where}: {_folds_words(rows['fold'].nunique())}; or drop the column "
            f"{quoted(scores.folds, 20)}, if it is about something else"
        )
    if names_folds(seeds := rows["seed"].unique()):
        raise BadInput(
            f"{scores.where}: runs are named {listed([*map(quoted, seeds[:2])])}; "
            f"{_folds_words(len(seeds))}"
        )
    if "split" in rows and (rows["split"] == "free").any():
        raise BadInput(f"{scores.where}: runs split the same rows anew; {ask}, .25 for 5 folds")
    return 0.0


def _folds_words(count: int) -> str:
    """What is asked where the runs are folds, or splits of the same rows."""
    count = max(count, 2)
    return (
        "folds train on the same rows, so their scores are not independent; say folds="
        f"{count} (--folds {count}), or overlap=test rows / training rows"
    )


def _overlap_of_folds(folds: int, scores: ScoreTable) -> float:
    """The overlap of the runs of a cross-validation, repeated or not.

    A seed that has several folds is one round. Elsewhere the runs are taken in the order of the
    table, so many a round.
    """
    if not is_whole_number(folds, 2):
        raise BadInput(f"folds {folds!r:.40}: a cross-validation has 2 or more")
    keys = [key for key in ("seed", "fold") if key in scores.rows]
    runs = scores.rows[keys].drop_duplicates()
    there = runs["fold"].nunique() if "fold" in keys else folds
    rounds_of_names = scores.folds != "fold" and there % folds == 0  # each split has its own name
    if there != folds and not rounds_of_names:
        raise BadInput(
            f"{scores.where}: the column {scores.folds[:20]} has {there} values, and folds is "
            f"{folds}"
        )
    whole = len(keys) == 2 and bool(runs["seed"].duplicated().any())
    rounds = runs["seed"].to_numpy() if whole else np.arange(len(runs)) // folds
    size = np.unique(rounds, return_counts=True)[1]
    pairs = max(len(runs) * (len(runs) - 1), 1)
    return overlap_of_rounds(1 / (folds - 1), float((size * (size - 1)).sum() / pairs))


def _split(scores: ScoreTable, overlap: float) -> str:
    """What a new run changes, as far as it is said."""
    if overlap:
        return "free"
    said = [*scores.rows["split"].unique()] if "split" in scores.rows else []
    return str(said[0]) if len(said) == 1 and said[0] in SPLITS else "not stated"


def _with_twin(scores: ScoreTable, baseline: str, twin: str | None) -> pd.DataFrame:
    """The rows, with the baseline first, its twin under the name of a twin, and the floor last."""
    rows, name = scores.rows, f"{baseline}'"
    methods = [*rows["method"].unique()]
    if twin is not None:
        if twin not in methods:
            raise BadInput(f"{scores.where}: no method {quoted(twin)}; {hint(twin, methods)}")
        if twin == baseline:
            raise BadInput(
                f"twin {quoted(twin)} is the baseline itself; name the one trained again"
            )
        if name in methods and twin != name:
            raise BadInput(
                f"{scores.where}: {quoted(name)} and {quoted(twin)} are two twins; give one"
            )
        rows = rows.assign(method=rows["method"].replace({twin: name}))
        if rows["alpha"][rows["method"] == name].notna().any():
            raise BadInput(f"{scores.where}: twin {quoted(twin)} has an alpha; give one without")
    if (rows["method"] == name).any():
        keys = ["run", "task", "metric"]
        pair = [rows[rows["method"] == m].set_index(keys)["value"] for m in (baseline, name)]
        if pair[0].sort_index().equals(pair[1].sort_index()):
            raise BadInput(
                f"{scores.where}: {quoted(twin or name)} has the scores of {quoted(baseline)}; "
                "train it again with another seed, or leave it out"
            )
    order = {baseline: 0, name: 1, CONSTANT: 3}
    return rows.sort_values("method", key=lambda m: m.map(order).fillna(2), kind="stable")


def _judged_by(scores: ScoreTable, metric: str | Mapping[str, str] | None) -> dict[str, str]:
    """The metric by which each task is judged."""
    pairs = scores.rows[["task", "metric"]].drop_duplicates()
    chosen = {}
    for task, names in pairs.groupby("task", sort=False)["metric"]:
        there = [*names]
        wanted = metric.get(str(task)) if isinstance(metric, Mapping) else metric
        if len(there) == 1 and (wanted is None or not isinstance(metric, Mapping)):
            wanted = there[0]
        if wanted is None:
            raise BadInput(
                f"{scores.where}: task {quoted(task)} has scores by {listed(there)}; say by which "
                f"it is judged, metric={quoted(there[0])}"
            )
        if wanted not in there:
            raise BadInput(
                f"{scores.where}: task {quoted(task)} has no score by {quoted(wanted)}; "
                f"{hint(wanted, there)}"
            )
        chosen[str(task)] = wanted
    return chosen
