"""Effects over runs: a mean difference with its 95% interval, in numbers and in words.

The chapters ask how much better one method is than another, before they count tasks. Runs that
share their rows are not independent, so their intervals use the corrected variance of Nadeau and
Bengio (2003), as the test of a study does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95


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
        return f"{self.mean:+.{digits}f} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


def effect(delta: pd.DataFrame | pd.Series | np.ndarray, overlap: float = 0.0) -> Effect:
    """The mean over runs, with its interval; of a table, each run is first averaged over its tasks.

    Args:
        delta: differences, one row for each run, and one column for each task if there are several.
        overlap: the ratio of test rows to training rows where runs share rows, as in
            `Study.overlap`; else 0.

    >>> effect(np.array([0.1, 0.2, 0.3])).said()
    '+0.200 [-0.048, +0.448]'
    """
    values = np.asarray(delta, dtype=float)
    runs = values if values.ndim == 1 else np.nanmean(values, axis=1)
    count = len(runs)
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * runs.std(ddof=1)
    reach *= (1 / count + overlap) ** 0.5
    mean = float(runs.mean())
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
