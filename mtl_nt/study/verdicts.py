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
from .directions import is_at_most_one, is_log_likelihood
from .methods import CONSTANT
from .transfer import is_better, paired_test

if TYPE_CHECKING:
    from .study import Study

SEVERAL_UNITS = 100
"""Where levels by one metric differ by more than this factor, no mean is over their tasks."""
KNOWN_LEVEL = 0.2
"""A level is known where its standard error is at most this share of it.

Where nothing but chance differs, some task is then flagged in .07 to .11 of studies with 3 runs,
and in .06 to .08 with 5 (1,000 simulated studies each, of 5 and 9 tasks, whose standard errors are
.05 to .4 of the level). Were all levels used, it would be up to .15 and .12.
"""


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
    own = values[as_arm(study.baseline)][tasks]
    size, groups = sizes_of(study, own, metric), groups_of(study, own, metric)
    options: dict[str, Any] = {"overlap": study.overlap, "units": groups}
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
    taken as a share of the baseline's level: the mean size of its scores, whatever their sign. The
    same holds for all scores that somebody brings, unless their metric is at most 1 by its name.
    Our own other metrics have no unit, and size 1.

    Args:
        baseline: the baseline's scores by seed and task, of the tasks that are asked for.
        metric: the metric of these scores; by default each task's own.

    >>> from mtl_nt.study import stored
    >>> study = stored("cure-noisy")
    >>> sizes_of(study, study.scores("STL")[["clean 1", "noisy 1"]], None)
    array([1., 1.])
    """
    level = baseline.abs().mean().to_numpy()
    level = np.where(np.isfinite(level) & (level > 0), level, 1.0)
    return np.where(_may_have_units(study, baseline, metric), level, 1.0)


def groups_of(study: Study, baseline: pd.DataFrame, metric: str | None) -> list[str]:
    """Which tasks' variances borrow from each other: those with one name here.

    Of our own trainings, these are the tasks of one metric. Of scores that somebody brings, the
    level must also be known, as it says the unit. A profit near 0 has no such level, nor has an
    error that is 0 in most runs. Nor has a log likelihood: another unit of the labels adds a number
    to it. Such a task borrows nothing, and its test is the plain t-test.

    The spread of its scores over the runs would be no better size. The differences have that spread
    too, and so they would seem surer than they are.

    Args:
        baseline, metric: as for `sizes_of`.

    >>> from mtl_nt.study import stored
    >>> study = stored("cure-noisy")
    >>> groups_of(study, study.scores("STL")[["clean 1", "noisy 1"]], None)
    ['MSE', 'MSE']
    """
    error = baseline.std().fillna(0.0).to_numpy() / np.sqrt(len(baseline))
    level = baseline.mean().abs().to_numpy()
    units = units_of(study, baseline.columns, metric)
    known = (level > 0) & (error <= KNOWN_LEVEL * level)
    known &= ~np.array([is_log_likelihood(unit) for unit in units], dtype=bool)
    alone = _may_have_units(study, baseline, metric) & ~known & (study.recipe is None)
    return [
        f"{unit} of {task}" if single else unit
        for unit, task, single in zip(units, baseline.columns, alone, strict=True)
    ]


def _may_have_units(
    study: Study, baseline: pd.DataFrame, metric: str | None
) -> Bool[np.ndarray, " T"]:
    """Whether the scores of a task may be in a unit that other tasks do not have."""
    brought = study.recipe is None
    units = units_of(study, baseline.columns, metric)
    several = [unit in AS_MEASURED or (brought and not is_at_most_one(unit)) for unit in units]
    return np.array(several, dtype=bool)


def has_one_unit(study: Study, baseline: pd.DataFrame, metric: str | None) -> bool:
    """Whether a mean over these tasks has a meaning: one metric, in one unit.

    Where their levels differ by more than a factor of `SEVERAL_UNITS`, they have several.

    Args:
        baseline: the baseline's scores by seed and task, of the tasks that are asked for.
        metric: the metric of these scores; by default each task's own.

    >>> from mtl_nt.study import stored
    >>> study = stored("cure-noisy")
    >>> has_one_unit(study, study.scores("STL"), None)
    True
    """
    if len({*units_of(study, baseline.columns, metric)}) != 1:
        return False
    some = baseline.loc[:, baseline.abs().max() > 0]  # the others are 0 in any unit
    size = sizes_of(study, some, metric)
    return not size.size or bool(size.max() <= SEVERAL_UNITS * size.min())


def _learned(
    study: Study, values: Mapping[Arm, pd.DataFrame], metric: str | None
) -> dict[Arm, Bool[np.ndarray, " T"]]:
    """Which tasks each method or the baseline has learned at all; empty if nothing says so."""
    floor = values.get(as_arm(CONSTANT))
    if floor is None or study.baseline == CONSTANT:
        return {}
    own = values[as_arm(study.baseline)][floor.columns]
    sign = signs_of(study, floor.columns, metric) / sizes_of(study, own, metric)
    groups = groups_of(study, own, metric)
    better = {
        arm: is_better(((table - floor) * sign).to_numpy(), study.overlap, units=groups)
        for arm, table in values.items()
    }
    if study.raw_targets:
        above = _above_every_constant(study, floor.columns)
        better = {arm: found & above.get(arm, True) for arm, found in better.items()}
    known = better[as_arm(study.baseline)] | floor.isna().any().to_numpy()
    return {arm: found | known for arm, found in better.items()}


def _above_every_constant(study: Study, tasks: pd.Index) -> dict[Arm, Bool[np.ndarray, " T"]]:
    """Which of the tasks have an R2 above 0 beyond chance, or none at all, by method and alpha."""
    tables = scores_by_arm(study.results[study.results["metric"] == R2])
    wide = {arm: table.reindex(columns=tasks).to_numpy(float) for arm, table in tables.items()}
    return {arm: is_better(r2, study.overlap) | np.isnan(r2).any(0) for arm, r2 in wide.items()}
