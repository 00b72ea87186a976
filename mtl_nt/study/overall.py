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
from .transfer import NOT_LEARNED, paired_test, standard_errors
from .verdicts import groups_of, has_one_unit, signs_of, sizes_of, units_of

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
    common, failed = tasks_of_all(study, values)
    baseline = as_arm(study.baseline)
    arms = {as_arm(*pair): pair for pair in [(study.baseline, math.nan), *study.arms()]}
    own = learned_tasks(study, common, metric)
    race = [arm for arm in arms if arm not in failed and arm[0] not in (study.null, CONSTANT)]
    ranked = [task for task in common if any(task in own[arm] for arm in race)]
    rank = dict(zip(race, _mean_ranks(study, values, race, ranked, metric), strict=True))
    rows = []
    for arm, (method, alpha) in arms.items():
        tasks = own[arm] if arm != baseline else ranked
        units, sign = units_of(study, tasks, metric), signs_of(study, tasks, metric)
        own_scores = values[baseline][tasks]
        one_unit = bool(tasks) and has_one_unit(study, own_scores, metric)
        row: dict[str, Any] = dict.fromkeys(("delta", "low", "high", "delta_m"), math.nan)
        if tasks and failed.isdisjoint({arm, baseline}):
            delta = ((values[arm] - values[baseline])[tasks] * sign).to_numpy()
            single = values[baseline][tasks].mean().to_numpy()
            if (single > 0).all():
                row["delta_m"] = 100 * float((delta.mean(0) / single).mean())
            if arm != baseline:
                if not one_unit:
                    delta = delta / sizes_of(study, own_scores, metric)
                    groups = groups_of(study, own_scores, metric)
                    error = standard_errors(delta, study.overlap, groups)
                    delta = delta / np.where(error > 0, error, 1.0)
                test = paired_test(delta.mean(1, keepdims=True), study.overlap)
                row |= {"delta": test.mean[0], "low": test.low[0], "high": test.high[0]}
        row |= {"unit": units[0] if one_unit else STANDARD_ERRORS}
        row |= {"rank": rank.get(arm, math.nan), "tasks": len(tasks)}
        rows.append({"method": method, "alpha": alpha, **row})
    return pd.DataFrame(rows)


def learned_tasks(study: Study, tasks: list[str], metric: str | None) -> dict[Arm, list[str]]:
    """Which of these tasks each arm or the baseline has learned.

    On the others, both are as bad as a guess, and their difference is noise.
    """
    table = study.transfer(metric)
    lost: dict[Arm, set[str]] = {
        arm: {*rows["task"][rows["verdict"] == NOT_LEARNED]}
        for arm, rows in rows_by_arm(table).items()
    }
    pairs = [(study.baseline, math.nan), *study.arms()]
    return {
        arm: [t for t in tasks if t not in lost.get(arm, ())] for arm in (as_arm(*p) for p in pairs)
    }


def _mean_ranks(
    study: Study,
    values: Mapping[Arm, pd.DataFrame],
    race: list[Arm],
    tasks: list[str],
    metric: str | None,
) -> list[float]:
    """The mean over tasks of each arm's rank among all; NaN without tasks."""
    sign = signs_of(study, tasks, metric)
    if not tasks:
        return [math.nan] * len(race)
    placed = np.array([-sign * values[arm][tasks].mean().to_numpy() for arm in race])
    return np.asarray(rankdata(placed.reshape(len(race), -1), axis=0).mean(1)).tolist()


def tasks_of_all(study: Study, values: Mapping[Arm, pd.DataFrame]) -> tuple[list[str], set[Arm]]:
    """The tasks that every run of every method scored; and who diverged, and does not count."""
    failed = {arm for arm, run in rows_by_arm(study.training).items() if run["diverged"].any()}
    whole = [table.notna().all() for arm, table in values.items() if arm not in failed]
    common = pd.concat(whole, axis=1).all(axis=1)
    return list(common.index[common]), failed
