"""What is counted as negative transfer, against what, with what noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import optimize, special, stats

LEVEL = 0.05  # of the false discovery rate, and of the intervals' misses
POWER = 0.8  # of the smallest detectable effect
MOST = 10_000  # runs that anyone would ask for


class PairedTest(NamedTuple):
    """One row a task: mean difference, 95% interval, p, and the smallest detectable effect."""

    mean: Float[np.ndarray, " T"]
    low: Float[np.ndarray, " T"]
    high: Float[np.ndarray, " T"]
    p: Float[np.ndarray, " T"]
    adjusted: Float[np.ndarray, " T"]  # p, Benjamini-Hochberg over the tasks
    detectable: Float[np.ndarray, " T"]
    verdict: list[str]  # harmed, helped, undecided


def paired_test(
    delta: Float[np.ndarray, "S T"], overlap: float = 0.0, level: float = LEVEL
) -> PairedTest:
    """Which tasks differ from zero over paired runs?

    Paired t with variances moderated across tasks (Smyth 2004, empirical Bayes), two-sided, with
    Benjamini-Hochberg over the tasks. With few runs a plain t has no power after correction.

    Args:
        delta: differences by run and task. A task with a missing difference, because a run
            diverged or did not score it, is undecided; it is never averaged away.
        overlap: test rows / training rows where the runs split the same rows anew; the runs'
            differences are then correlated, and the variance of their mean is
            (1 / S + overlap) s^2 (Nadeau and Bengio 2003). 0 for independent runs.
    """
    runs, tasks = delta.shape
    usable = np.isfinite(delta).all(0)
    nan = np.full(tasks, np.nan)
    mean, low, high, p, adjusted, detectable = (nan.copy() for _ in range(6))
    verdict = ["undecided"] * tasks
    mean[usable] = delta[:, usable].mean(0)
    if runs > 1 and usable.any():
        variance, df = moderated_variance(delta[:, usable].var(0, ddof=1), runs - 1)
        se = np.sqrt(variance * (1 / runs + overlap))
        centre = mean[usable]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(centre == 0, 0.0, np.abs(centre) / se)
        p[usable] = 2 * special.stdtr(df, -t)
        adjusted[usable] = stats.false_discovery_control(p[usable])
        margin = special.stdtrit(df, 1 - LEVEL / 2) * se
        low[usable], high[usable] = centre - margin, centre + margin
        found = adjusted[usable] <= level
        # The threshold that p had to pass: BH's at its last rejection, or at a first one.
        threshold = level * max(int(found.sum()), 1) / usable.sum()
        detectable[usable] = se * special.stdtrit(df, [1 - threshold / 2, POWER]).sum()
        for t_, task in enumerate(np.flatnonzero(usable)):
            if found[t_]:
                verdict[task] = "harmed" if centre[t_] < 0 else "helped"
    return PairedTest(mean, low, high, p, adjusted, detectable, verdict)


def runs_needed(
    delta: Float[np.ndarray, "S T"], overlap: float = 0.0, level: float = LEVEL
) -> Float[np.ndarray, " T"]:
    """How many runs in all would decide each task, if its mean and variance are as they seem.

    The fewest runs with which `paired_test` finds the present mean difference in four of five
    cases, given its threshold now. Infinite where no number does: runs that split the same rows
    anew (`overlap` above 0) never average away what their rows have in common. NaN where a
    difference is missing, and for all tasks of one run alone.
    """
    runs, tasks = delta.shape
    needed = np.full(tasks, np.nan)
    usable = np.isfinite(delta).all(0)
    if runs < 2 or not usable.any():
        return needed
    variance, df = moderated_variance(delta[:, usable].var(0, ddof=1), runs - 1)
    found = paired_test(delta, overlap, level).adjusted[usable] <= level
    tail = level * max(int(found.sum()), 1) / usable.sum() / 2
    size = np.abs(delta[:, usable].mean(0))

    more = np.unique(np.geomspace(2, MOST, 400).round())[:, None]  # runs in all, one a row
    freedom = np.maximum(df + more - runs, 1.0)
    reach = special.stdtrit(freedom, 1 - tail) + special.stdtrit(freedom, POWER)
    seen = size >= reach * np.sqrt(variance * (1 / more + overlap))
    needed[usable] = np.where(seen.any(0), more[seen.argmax(0), 0], np.inf)
    return needed


def moderated_variance(
    variance: Float[np.ndarray, " T"], df: int
) -> tuple[Float[np.ndarray, " T"], float]:
    """Posterior variances and their degrees of freedom.

    Smyth (2004, section 6.2): s_t^2 ~ s0^2 F(df, d0); d0 and s0^2 from the mean and variance of
    log s_t^2; the posterior is (d0 s0^2 + df s_t^2) / (d0 + df) with d0 + df degrees of freedom,
    at most those of all tasks pooled.
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


class Count(NamedTuple):
    """Tasks with a negative difference: of the mean over runs, and averaged over single runs."""

    negative: int
    per_run: float


def count_negative(delta: Float[np.ndarray, "S T"]) -> Count:
    """The papers' counts: no margin, no test. Tasks with a missing difference are left out."""
    kept = delta[:, np.isfinite(delta).all(0)]
    return Count(int((kept.mean(0) < 0).sum()), float((kept < 0).sum(1).mean()))


class Null(NamedTuple):
    """The counts of STL' against STL, and the 95% range of such a count over runs."""

    negative: int
    per_run: float
    low: float
    high: float


def null_counts(delta: Float[np.ndarray, "S T"]) -> Null:
    """What the counts are when nothing but initialisation and batch order differs.

    STL and STL' can change places, so a run's count c and T - c are equally likely, and the
    expectation is T / 2 (less half the ties). The range is T / 2 +- t * sd over the S runs' counts
    about that expectation, t with S degrees of freedom, within 0..T.
    """
    kept = delta[:, np.isfinite(delta).all(0)]
    runs, tasks = kept.shape
    counts = (kept < 0).sum(1) + 0.5 * (kept == 0).sum(1)
    sd = float(np.sqrt(np.square(counts - tasks / 2).mean())) if runs else np.nan
    if runs < 2:  # one count says nothing of its spread
        sd = np.inf
    reach = float(special.stdtrit(max(runs, 1), 1 - LEVEL / 2)) * sd
    negative, per_run = count_negative(delta)
    return Null(
        negative, per_run, max(0.0, tasks / 2 - reach), min(float(tasks), tasks / 2 + reach)
    )
