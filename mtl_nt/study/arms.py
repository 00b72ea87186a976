"""An arm of a comparison, which is a method with one alpha, as the key of a dictionary."""

from __future__ import annotations

import math

import pandas as pd

Arm = tuple[str, float | None]
"""A method and its alpha; None where it has none, since a NaN is no key of a dictionary."""
NO_ALPHA = -1.0  # sorts and groups as NaN does not


def as_arm(method: str, alpha: float = math.nan) -> Arm:
    """A method and its alpha, as tables have them, as a key.

    >>> as_arm("MTL"), as_arm("LBTW", 0.5)
    (('MTL', None), ('LBTW', 0.5))
    """
    return method, None if math.isnan(alpha) else alpha


def rows_by_arm(table: pd.DataFrame) -> dict[Arm, pd.DataFrame]:
    """The rows of every arm of a table with the columns method and alpha."""
    arms = table.groupby(["method", "alpha"], sort=False, dropna=False)
    return {as_arm(*arm): rows for arm, rows in arms}  # type: ignore[arg-type]


def scores_by_arm(table: pd.DataFrame) -> dict[Arm, pd.DataFrame]:
    """The scores of every arm: one row for each seed, and one column for each task.

    Args:
        table: rows of `Study.results` with one score for each arm, seed and task.
    """
    tasks = table["task"].unique()
    wide = table.assign(alpha=table["alpha"].fillna(NO_ALPHA)).pivot(
        index=["method", "alpha", "seed"], columns="task", values="value"
    )
    arms = wide[tasks].groupby(level=["method", "alpha"], sort=False)
    return {
        (m, None if a == NO_ALPHA else a): rows.droplevel(["method", "alpha"])  # type: ignore[misc]
        for (m, a), rows in arms
    }
