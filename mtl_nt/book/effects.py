"""Effects over runs: a mean difference with its 95% interval, in numbers and in words.

The chapters ask how much better one method is than another, before they count tasks. Runs that
share their rows are not independent, so their intervals use the corrected variance of Nadeau and
Bengio (2003), as the test of a study does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..study import half_interval


class Effect(NamedTuple):
    """A mean over runs, and its 95% interval."""

    mean: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """Whether zero lies outside of the interval: better, worse, or undecided."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"

    def said(self, digits: int = 3) -> str:
        """The effect in words.

        >>> Effect(0.1, -0.05, 0.25).said(2)
        '+0.10 [-0.05, +0.25]'
        """
        mean, low, high = (f"{number:+z.{digits}f}" for number in self)
        return f"{mean} [{low}, {high}]"


def effect(delta: pd.DataFrame | pd.Series | np.ndarray, overlap: float = 0.0) -> Effect:
    """The mean over runs, with its interval; of a table, each run is first averaged over its tasks.

    Args:
        delta: differences, one row for each run, and one column for each task if there are several.
            A task that some run did not score is left out of all runs.
        overlap: the ratio of test rows to training rows where runs share rows, as in
            `Study.overlap`; else 0.

    >>> effect(np.array([0.1, 0.2, 0.3])).said()
    '+0.200 [-0.048, +0.448]'
    """
    runs = np.asarray(delta, dtype=float)
    if runs.ndim == 2:  # a task that a run did not score would be averaged away in that run alone
        scored = np.isfinite(runs).all(0)
        runs = runs[:, scored].mean(1) if scored.any() else np.full(len(runs), np.nan)
    if not np.isfinite(runs).all():
        return Effect(np.nan, np.nan, np.nan)
    mean, reach = float(runs.mean()), float(half_interval(runs, overlap))
    return Effect(mean, mean - reach, mean + reach)


def by_group(delta: pd.DataFrame) -> pd.DataFrame:
    """The mean over the tasks of each group, run by run.

    A task's group is its name without its number, as `dial` names its tasks.

    >>> by_group(pd.DataFrame({"outsider 1": [0.1], "outsider 2": [0.3], "dominant 1": [0.0]}))
       dominant  outsider
    0       0.0       0.2
    """
    group = delta.columns.str.rsplit(n=1).str[0]
    return delta.T.groupby(group).mean().T
