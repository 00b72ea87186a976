"""How many tasks every method harms and helps, and what chance alone does to such a count."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import BadInput
from .arms import Arm, as_arm, rows_by_arm
from .nulls import kept_pairs, pairs_table
from .overall import tasks_of_all
from .transfer import (
    HARMED,
    HELPED,
    LEAST_PAIRS,
    NOT_LEARNED,
    SAME,
    UNDECIDED,
    NullCount,
    count_negative,
    null_counts,
)
from .verdicts import has_one_unit, margins_of, units_of

if TYPE_CHECKING:
    from .study import Study


def count_table(
    study: Study, values: Mapping[Arm, pd.DataFrame], metric: str | None
) -> pd.DataFrame:
    """The table of `Study.counts`.

    Args:
        study: the study.
        values: the scores of every method and alpha by seed and task.
        metric: the metric of these scores; by default each task's own.
    """
    baseline, runs = as_arm(study.baseline), rows_by_arm(study.training)
    common, failed = tasks_of_all(study, values)
    one_unit = has_one_unit(study, values[baseline][common], metric)
    verdicts = {
        arm: Counter(rows["verdict"]) for arm, rows in rows_by_arm(study.transfer(metric)).items()
    }
    named = {HARMED: "harmed", HELPED: "helped", SAME: "same", UNDECIDED: "undecided"}
    if not margins_of(study, values[baseline].columns, metric).any():
        del named[SAME]
    named |= {NOT_LEARNED: "not_learned"}
    null, flagged = NullCount(0, math.nan, math.nan, math.nan, 0), None
    if study.null is not None:
        null = study.null_count(metric)
        flagged = verdicts[as_arm(study.null)]
    rows = []
    for method, alpha in [(study.baseline, math.nan), *study.arms()]:
        arm = as_arm(method, alpha)
        run = runs.get(arm, study.training[:0])
        row: dict[str, Any] = {
            "method": method,
            "alpha": alpha,
            "networks": int(run["networks"].max()) if len(run) else 0,
            "seconds": run["seconds"].sum(),
            "mean": values[arm][common].mean(axis=None)
            if one_unit and arm not in failed
            else math.nan,
        }
        if method != study.baseline:
            count = count_negative(study.delta(method, alpha, metric).to_numpy())
            unknown = not failed.isdisjoint({arm, baseline})
            row |= {
                "negative": pd.NA if unknown else count.negative,
                "negative_per_run": math.nan if unknown else count.per_run,
                "negative_null_low": null.low,
                "negative_null_high": null.high,
                "null_pairs": null.pairs,
                **{name: verdicts[arm][verdict] for verdict, name in named.items()},
                "harmed_null": pd.NA if flagged is None else flagged[HARMED],
                "helped_null": pd.NA if flagged is None else flagged[HELPED],
            }
        row["diverged"] = int(run["diverged"].sum())
        row["still_improving"] = int(run["still_improving"].sum())
        rows.append(row)
    table = pd.DataFrame(rows)
    last = ["diverged", "still_improving"]
    table = table[[*(c for c in table if c not in last), *last]]
    if study.recipe is None:  # nobody says what the training cost
        table = table.drop(columns=["networks", "seconds"])
    whole_numbers = ["negative", "null_pairs", *named.values(), "harmed_null", "helped_null"]
    return table.astype(dict.fromkeys(whole_numbers, "Int64"))


def null_of_count(study: Study, metric: str | None) -> NullCount:
    """The count of `Study.null_count`.

    Raises:
        BadInput: an unknown metric, or a baseline without a twin.
    """
    if study.null is None:
        raise BadInput(f"{study.baseline} has no twin here, and so no null")
    delta = study.delta(study.null, metric=metric)
    null = null_counts(delta.to_numpy())
    scored = [str(task) for task in delta.columns[delta.notna().all()]]
    metrics = dict(zip(scored, units_of(study, scored, metric), strict=True))
    if null.pairs >= LEAST_PAIRS:
        return null
    if (kept := kept_pairs(study.null_identity.get(study.baseline, ""), metrics)) is not None:
        name, pairs = kept
    else:
        further = pairs_table(study.pairs.get(study.baseline, {}), metrics)
        if further is None:
            return null
        further = further[np.isfinite(further).all(1)]  # in which every task was scored
        name = f"these runs and {len(further)} further pairs"
        pairs = np.vstack([delta[scored].to_numpy(), further])
    known = null_counts(pairs)
    return null._replace(low=known.low, high=known.high, pairs=known.pairs, source=name)
