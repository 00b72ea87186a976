"""Statistics of transfer: which tasks differ from the baseline, how many, and what chance does.

`paired_test` decides for each task. `count_negative` counts tasks as the papers do, and
`null_counts` says what such a count is where nothing but chance differs. In all of them, a
difference below 0 means harm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import optimize, special, stats

SIGNIFICANCE_LEVEL = 0.05
"""The false discovery rate of the verdicts, and the share of intervals that miss."""
POWER = 0.8
"""The probability with which the smallest detectable effect is found."""
MAX_RUNS = 10_000
"""The largest number of runs that `runs_needed` considers."""


class PairedTest(NamedTuple):
    """The test of every task: difference, 95% interval, p-value, smallest detectable effect."""

    mean: Float[np.ndarray, " T"]
    low: Float[np.ndarray, " T"]
    high: Float[np.ndarray, " T"]
    p: Float[np.ndarray, " T"]
    adjusted: Float[np.ndarray, " T"]  # p after Benjamini-Hochberg over the tasks
    detectable: Float[np.ndarray, " T"]
    verdict: list[str]  # "harmed", "helped" or "undecided"


def paired_test(
    delta: Float[np.ndarray, "S T"], overlap: float = 0.0, level: float = SIGNIFICANCE_LEVEL
) -> PairedTest:
    """Test for every task whether its difference from the baseline is zero, over paired runs.

    The test is a two-sided paired t-test, with variances moderated across tasks (Smyth 2004,
    empirical Bayes) and Benjamini-Hochberg over the tasks. With few runs, a t-test without
    moderation has no power after this correction.

    Args:
        delta: differences by run and task. A task with a missing difference is undecided. It is
            missing where a run diverged or did not score the task, and is never averaged away.
        overlap: test rows / training rows, where the runs split the same rows anew. The runs'
            differences are then correlated, and the variance of their mean is
            (1 / S + overlap) s^2 (Nadeau and Bengio 2003). Give 0 for independent runs.
        level: the false discovery rate of the verdicts.

    The first task is worse in every run, and the second is as often better as worse:

    >>> delta = np.array([[-0.10, 0.01], [-0.11, -0.01], [-0.09, 0.02], [-0.10, -0.02]])
    >>> paired_test(delta).verdict
    ['harmed', 'undecided']
    """
    runs, tasks = delta.shape
    usable = np.isfinite(delta).all(0)
    nan = np.full(tasks, np.nan)
    mean, low, high, p, adjusted, detectable = (nan.copy() for _ in range(6))
    verdict = ["undecided"] * tasks
    mean[usable] = delta[:, usable].mean(0)
    if runs > 1 and usable.any():
        variance, df = moderated_variance(delta[:, usable].var(0, ddof=1), runs - 1)
        standard_error = np.sqrt(variance * (1 / runs + overlap))
        centre = mean[usable]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(centre == 0, 0.0, np.abs(centre) / standard_error)
        p[usable] = 2 * special.stdtr(df, -t)
        adjusted[usable] = stats.false_discovery_control(p[usable])
        margin = special.stdtrit(df, 1 - SIGNIFICANCE_LEVEL / 2) * standard_error
        low[usable], high[usable] = centre - margin, centre + margin
        rejected = adjusted[usable] <= level
        # The threshold that p had to pass: BH's at its last rejection, or at a first one.
        threshold = level * max(int(rejected.sum()), 1) / usable.sum()
        quantiles = special.stdtrit(df, [1 - threshold / 2, POWER])
        detectable[usable] = standard_error * quantiles.sum()
        for i, task in enumerate(np.flatnonzero(usable)):
            if rejected[i]:
                verdict[task] = "harmed" if centre[i] < 0 else "helped"
    return PairedTest(mean, low, high, p, adjusted, detectable, verdict)


def runs_needed(
    delta: Float[np.ndarray, "S T"], overlap: float = 0.0, level: float = SIGNIFICANCE_LEVEL
) -> Float[np.ndarray, " T"]:
    """How many runs in all would decide each task, if its mean and variance are as they seem.

    This is the smallest number of runs with which `paired_test` finds the present mean difference
    in four of five cases, at its present threshold. Arguments are as in `paired_test`.

    Returns:
        The number of runs for every task. It is infinite where no number is enough: runs that split
        the same rows anew (`overlap` above 0) never average away what their rows have in common. It
        is NaN where a difference is missing, and for all tasks if there is one run alone.

    >>> delta = np.array([[-0.10, 0.01], [-0.11, -0.01], [-0.09, 0.02], [-0.10, -0.02]])
    >>> runs_needed(delta, overlap=0.25)
    array([ 2., inf])
    """
    runs, tasks = delta.shape
    needed = np.full(tasks, np.nan)
    usable = np.isfinite(delta).all(0)
    if runs < 2 or not usable.any():
        return needed
    variance, df = moderated_variance(delta[:, usable].var(0, ddof=1), runs - 1)
    rejected = paired_test(delta, overlap, level).adjusted[usable] <= level
    tail = level * max(int(rejected.sum()), 1) / usable.sum() / 2
    size = np.abs(delta[:, usable].mean(0))

    counts = np.unique(np.geomspace(2, MAX_RUNS, 400).round())[:, None]  # numbers of runs
    freedom = np.maximum(df + counts - runs, 1.0)
    reach = special.stdtrit(freedom, 1 - tail) + special.stdtrit(freedom, POWER)
    enough = size >= reach * np.sqrt(variance * (1 / counts + overlap))
    needed[usable] = np.where(enough.any(0), counts[enough.argmax(0), 0], np.inf)
    return needed


def moderated_variance(
    variance: Float[np.ndarray, " T"], df: int
) -> tuple[Float[np.ndarray, " T"], float]:
    """Variances that borrow strength from each other, and their degrees of freedom.

    Smyth (2004, section 6.2) takes s_t^2 ~ s0^2 F(df, d0). The prior's d0 and s0^2 come from the
    mean and variance of log s_t^2. The posterior is (d0 s0^2 + df s_t^2) / (d0 + df), with d0 + df
    degrees of freedom, and at most those of all tasks pooled.

    Args:
        variance: the sample variance of every task, s_t^2.
        df: the degrees of freedom of each.

    >>> variance, df = moderated_variance(np.array([1.0, 2.0, 3.0]), 4)
    >>> variance, df
    (array([2., 2., 2.]), 12.0)
    """
    tasks = len(variance)
    if tasks < 2 or not (variance > 0).any():
        return variance, float(df)
    # A task that never varies (a perfect score in every run) would have log 0.
    offset = np.maximum(variance, 1e-5 * np.median(variance[variance > 0]))
    e = np.log(offset) - special.digamma(df / 2) + np.log(df / 2)
    spread = e.var(ddof=1) - special.polygamma(1, df / 2)
    if spread > 0:
        prior = 2 * _trigamma_inverse(spread)
        centre = np.exp(e.mean() + special.digamma(prior / 2) - np.log(prior / 2))
        posterior = (prior * centre + df * variance) / (prior + df)
        return posterior, float(min(prior + df, tasks * df))
    return np.full(tasks, variance.mean()), float(tasks * df)


def _trigamma_inverse(x: float) -> float:
    def gap(log_y: float) -> float:
        return float(np.log(special.polygamma(1, np.exp(log_y)))) - np.log(x)

    return float(np.exp(optimize.brentq(gap, -20.0, 20.0)))


class NegativeCount(NamedTuple):
    """How many tasks have a negative difference: in the mean over runs, and in a run on average."""

    negative: int
    per_run: float


def count_negative(delta: Float[np.ndarray, "S T"]) -> NegativeCount:
    """Count tasks with a negative difference as the papers do, without a margin or a test.

    Tasks with a missing difference are left out.

    >>> count_negative(np.array([[-0.1, 0.2, -0.3], [-0.1, 0.1, 0.4]]))
    NegativeCount(negative=1, per_run=1.5)
    """
    kept = delta[:, np.isfinite(delta).all(0)]
    return NegativeCount(int((kept.mean(0) < 0).sum()), float((kept < 0).sum(1).mean()))


class NullCount(NamedTuple):
    """The counts of a twin against its baseline, and the 95% range of such a count in a run."""

    negative: int
    per_run: float
    low: float
    high: float


def null_counts(delta: Float[np.ndarray, "S T"]) -> NullCount:
    """What the counts are where nothing but initialisation and batch order differs.

    STL and its twin STL' can change places. So a run's counts c and T - c are equally likely, and
    the expected count is T / 2, where a tie counts half. The range is T / 2 +- t * sd, within 0
    and T: sd is the spread of the S runs' counts about T / 2, and t has S degrees of freedom.

    Args:
        delta: differences of the twin from the baseline, by run and task.

    >>> null = null_counts(np.array([[0.1, -0.1, 0.1, -0.1], [0.1, -0.1, -0.1, 0.1]]))
    >>> null.low, null.high
    (2.0, 2.0)
    """
    kept = delta[:, np.isfinite(delta).all(0)]
    runs, tasks = kept.shape
    counts = (kept < 0).sum(1) + 0.5 * (kept == 0).sum(1)
    sd = float(np.sqrt(np.square(counts - tasks / 2).mean())) if runs else np.nan
    if runs < 2:  # one count says nothing of its spread
        sd = np.inf
    reach = float(special.stdtrit(max(runs, 1), 1 - SIGNIFICANCE_LEVEL / 2)) * sd
    negative, per_run = count_negative(delta)
    return NullCount(
        negative, per_run, max(0.0, tasks / 2 - reach), min(float(tasks), tasks / 2 + reach)
    )
