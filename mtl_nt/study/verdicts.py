"""The verdict of every task: the tests of `transfer` over all methods and alphas of a study."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ..errors import BadInput, is_finite_number, suggestion
from ..training import AS_MEASURED, R2
from .arms import Arm, as_arm, scores_by_arm
from .methods import CONSTANT
from .transfer import is_better, paired_test

if TYPE_CHECKING:
    from .study import Study

SEVERAL_UNITS = 100
"""Where errors by one metric differ by more than this factor, they are in several units."""


def verdict_table(
    study: Study,
    values: Mapping[Arm, pd.DataFrame],
    deltas: Mapping[Arm, pd.DataFrame],
    metric: str | None,
) -> pd.DataFrame:
    """The table of `Study.transfer`.

    Args:
        study: the study.
        values: the scores of every method and alpha by seed and task.
        deltas: their differences from the baseline, above 0 where they are better.
        metric: the metric of these scores; by default each task's own.
    """
    arms = study.arms()
    of_arms = [deltas[as_arm(method, alpha)] for method, alpha in arms]
    tasks, learned = list(of_arms[0].columns), _learned(study, values, metric)
    options: dict[str, Any] = {"overlap": study.overlap, "units": units_of(study, tasks, metric)}
    size = sizes_of(study, values[as_arm(study.baseline)][tasks], metric)
    options["margin"] = margins_of(study, tasks, metric) / size
    tests = [
        paired_test(delta.to_numpy() / size, learned=learned.get(as_arm(*arm)), **options).times(
            size
        )
        for arm, delta in zip(arms, of_arms, strict=True)
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


def units_of(study: Study, tasks: Iterable[str], metric: str | None) -> list[str]:
    """The metric of every task."""
    return [metric or study.metric[task] for task in tasks]


def signs_of(study: Study, tasks: Iterable[str], metric: str | None) -> Float[np.ndarray, " T"]:
    """What the differences of every task are multiplied by, so that above 0 is better."""
    return np.array([float(study.sign(unit)) for unit in units_of(study, tasks, metric)])


def margins_of(study: Study, tasks: Iterable[str], metric: str | None) -> Float[np.ndarray, " T"]:
    """The margin of every task."""
    return np.array([study.margin.get(unit, 0.0) for unit in units_of(study, tasks, metric)])


def sizes_of(study: Study, baseline: pd.DataFrame, metric: str | None) -> Float[np.ndarray, " T"]:
    """What the differences of every task are divided by, before variances borrow from each other.

    An error as measured has the unit of its task, and no verdict may depend on a unit. So it is
    taken as a share of the baseline's error. The same holds for scores that somebody brings, where
    the tasks' errors differ so much that they must have several units. All else has size 1.

    Args:
        baseline: the baseline's scores by seed and task, of the tasks that are asked for.
        metric: the metric of these scores; by default each task's own.

    >>> from mtl_nt.study import stored
    >>> study = stored("cure-noisy")
    >>> sizes_of(study, study.scores("STL")[["clean 1", "noisy 1"]], None)
    array([1., 1.])
    """
    level = baseline.mean().abs().to_numpy()
    level = np.where(np.isfinite(level) & (level > 0), level, 1.0)
    units = np.array(units_of(study, baseline.columns, metric))
    size = np.ones(len(units))
    for unit in dict.fromkeys(units):
        own = units == unit
        brought = study.recipe is None and study.sign(unit) < 0
        if unit in AS_MEASURED or (brought and _several_units(level[own])):
            size[own] = level[own]
    return size


def _several_units(level: Float[np.ndarray, " T"]) -> bool:
    return bool(level.max() > SEVERAL_UNITS * level.min())


def has_one_unit(study: Study, baseline: pd.DataFrame, metric: str | None) -> bool:
    """Whether a mean over these tasks has a meaning: one metric, in one unit.

    Args:
        baseline: the baseline's scores by seed and task, of the tasks that are asked for.
        metric: the metric of these scores; by default each task's own.

    >>> from mtl_nt.study import stored
    >>> study = stored("cure-noisy")
    >>> has_one_unit(study, study.scores("STL"), None)
    True
    """
    one_metric = len({*units_of(study, baseline.columns, metric)}) == 1
    return one_metric and not _several_units(sizes_of(study, baseline, metric))


def _learned(
    study: Study, values: Mapping[Arm, pd.DataFrame], metric: str | None
) -> dict[Arm, Bool[np.ndarray, " T"]]:
    """Which tasks each method or the baseline has learned at all; empty if nothing says so."""
    floor = values.get(as_arm(CONSTANT))
    if floor is None or study.baseline == CONSTANT:
        return {}
    sign, units = signs_of(study, floor.columns, metric), units_of(study, floor.columns, metric)
    sign = sign / sizes_of(study, values[as_arm(study.baseline)][floor.columns], metric)
    better = {
        arm: is_better(((table - floor) * sign).to_numpy(), study.overlap, units=units)
        for arm, table in values.items()
    }
    if study.raw_targets:
        above = _above_every_constant(study, floor.columns)
        better = {arm: own & above.get(arm, True) for arm, own in better.items()}
    known = better[as_arm(study.baseline)] | floor.isna().any().to_numpy()
    return {arm: own | known for arm, own in better.items()}


def _above_every_constant(study: Study, tasks: pd.Index) -> dict[Arm, Bool[np.ndarray, " T"]]:
    """Which of the tasks have an R2 above 0 beyond chance, or none at all, by method and alpha."""
    tables = scores_by_arm(study.results[study.results["metric"] == R2])
    wide = {arm: table.reindex(columns=tasks).to_numpy(float) for arm, table in tables.items()}
    return {arm: is_better(r2, study.overlap) | np.isnan(r2).any(0) for arm, r2 in wide.items()}
