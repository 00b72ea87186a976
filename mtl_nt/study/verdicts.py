"""The verdict of every task: the tests of `transfer` over all methods and alphas of a study."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ..errors import BadInput, is_finite_number, suggestion
from .arms import Arm, as_arm
from .methods import CONSTANT
from .transfer import is_better, paired_test

if TYPE_CHECKING:
    from .study import Study


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
    options["margin"] = margins_of(study, tasks, metric)
    tests = [
        paired_test(delta.to_numpy(), learned=learned.get(as_arm(*arm)), **options)
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


def _learned(
    study: Study, values: Mapping[Arm, pd.DataFrame], metric: str | None
) -> dict[Arm, Bool[np.ndarray, " T"]]:
    """Which tasks each method or the baseline has learned at all; empty if nothing says so."""
    floor = values.get(as_arm(CONSTANT))
    if floor is None or study.baseline == CONSTANT:
        return {}
    sign, units = signs_of(study, floor.columns, metric), units_of(study, floor.columns, metric)
    better = {
        arm: is_better(((table - floor) * sign).to_numpy(), study.overlap, units=units)
        for arm, table in values.items()
    }
    known = better[as_arm(study.baseline)] | floor.isna().any().to_numpy()
    return {arm: own | known for arm, own in better.items()}
