"""What every method does on the whole: means over tasks, with their intervals over runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from .arms import Arm, as_arm, rows_by_arm
from .methods import CONSTANT
from .task_plan import STANDARD_ERRORS
from .transfer import paired_test, standard_errors
from .verdicts import signs_of, units_of

if TYPE_CHECKING:
    from .study import Study


def overall_table(
    study: Study, values: Mapping[Arm, pd.DataFrame], metric: str | None
) -> pd.DataFrame:
    """The table of `Study.overall`.

    Args:
        study: the study.
        values: the scores of every method and alpha by seed and task.
        metric: the metric of these scores; by default each task's own.
    """
    tasks, failed = tasks_of_all(study, values)
    values = {arm: table[tasks] for arm, table in values.items()}
    single, arms = values[as_arm(study.baseline)], [(study.baseline, math.nan), *study.arms()]
    units, sign = units_of(study, tasks, metric), signs_of(study, tasks, metric)
    means = {arm: table.mean().to_numpy() for arm, table in values.items()}
    of_single = means[as_arm(study.baseline)]
    in_race = [
        arm
        for arm in (as_arm(*pair) for pair in arms)
        if arm not in failed and arm[0] not in (study.null, CONSTANT) and tasks
    ]
    placed = np.array([-sign * means[arm] for arm in in_race]).reshape(-1, len(tasks) or 1)
    rank = dict(zip(in_race, rankdata(placed, axis=0).mean(1).tolist(), strict=True))
    rows = []
    for method, alpha in arms:
        arm = as_arm(method, alpha)
        row: dict[str, Any] = dict.fromkeys(("delta", "low", "high", "delta_m"), math.nan)
        if tasks and failed.isdisjoint({arm, as_arm(study.baseline)}):
            change = sign * (means[arm] - of_single)
            if (of_single > 0).all():
                row["delta_m"] = 100 * float((change / of_single).mean())
            if method != study.baseline:
                delta = ((values[arm] - single) * sign).to_numpy()
                if len({*units}) > 1:
                    error = standard_errors(delta, study.overlap, units)
                    delta = delta / np.where(error > 0, error, 1.0)
                test = paired_test(delta.mean(1, keepdims=True), study.overlap)
                row |= {"delta": test.mean[0], "low": test.low[0], "high": test.high[0]}
        row |= {"unit": units[0] if len({*units}) == 1 else STANDARD_ERRORS}
        row |= {"rank": rank.get(arm, math.nan), "tasks": len(tasks)}
        rows.append({"method": method, "alpha": alpha, **row})
    return pd.DataFrame(rows)


def tasks_of_all(study: Study, values: Mapping[Arm, pd.DataFrame]) -> tuple[list[str], set[Arm]]:
    """The tasks that every run of every method scored; and who diverged, and does not count."""
    failed = {arm for arm, run in rows_by_arm(study.training).items() if run["diverged"].any()}
    whole = [table.notna().all() for arm, table in values.items() if arm not in failed]
    common = pd.concat(whole, axis=1).all(axis=1)
    return list(common.index[common]), failed
