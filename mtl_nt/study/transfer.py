"""Statistics of transfer: which tasks differ from the baseline, how many, and what chance does.

`paired_test` decides for each task. `count_negative` counts tasks as the papers do, and
`null_counts` says what such a count is where nothing but chance differs. In all of them, a
difference below 0 means harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import special, stats

from .variance import FOLDS_SHARE, moderated_variance

SIGNIFICANCE_LEVEL = 0.05
"""The false discovery rate of the verdicts, and the share of intervals that miss."""
POWER = 0.8
"""The probability with which the smallest detectable effect is found."""
MAX_RUNS = 10_000
"""The most runs of a study, and the largest number that `runs_needed` considers."""
LEAST_PAIRS = 40
"""The number of pairs of a baseline and its twin that show the spread of a count by themselves."""
HARMED, HELPED, SAME, UNDECIDED, NOT_LEARNED = VERDICTS = (
    "harmed",
    "helped",
    "same",
    "undecided",
    "not learned",
)
"""What can be said of a task."""


class PairedTest(NamedTuple):
    """The test of every task: difference, 95% interval, p-value, smallest detectable effect."""

    mean: Float[np.ndarray, " T"]
    low: Float[np.ndarray, " T"]
    high: Float[np.ndarray, " T"]
    p: Float[np.ndarray, " T"]
    adjusted: Float[np.ndarray, " T"]  # p after Benjamini-Hochberg over the tasks
    detectable: Float[np.ndarray, " T"]
    verdict: list[str]  # one of `VERDICTS`

    def times(self, size: Float[np.ndarray, " T"]) -> PairedTest:
        """The same test, of differences that are so many times as large."""
        scaled = {
            name: getattr(self, name) * size for name in ("mean", "low", "high", "detectable")
        }
        return self._replace(**scaled)


def paired_test(
    delta: Float[np.ndarray, "S T"],
    overlap: float = 0.0,
    level: float = SIGNIFICANCE_LEVEL,
    margin: float | Float[np.ndarray, " T"] = 0.0,
    learned: Bool[np.ndarray, " T"] | None = None,
    units: Sequence[str] | None = None,
) -> PairedTest:
    """Test for every task whether it differs from the baseline by more than a margin.

    The test is a two-sided paired t-test, with variances moderated across tasks (robust empirical
    Bayes, see `variance`) and Benjamini-Hochberg over the tasks. With few runs, a t-test without
    moderation has no power after this correction. With a margin, the test is that of McCarthy and
    Smyth (Bioinformatics 25, 2009): the largest p-value of all differences within the margin.

    A task is "same" if two one-sided tests find its difference within the margin. This needs a
    margin above 0. A task is "not learned" where the caller says so, whatever its difference.

    In 1,500 simulated studies each of 9, 20 and 128 tasks, with equal or log-normal variances:

    - Where nobody is harmed, some task is flagged in .03 to .08 of studies with 5 runs, in .04 to
      .07 with 8, in .03 to .12 with 3, and in .03 to .28 with 2.
    - Of a quarter of the tasks, harmed by two of their own standard deviations (log-normal), 77 to
      80% are found with 5 runs, 97 to 98% with 8, and 25 to 45% with 3. A plain t-test with 5 runs
      finds 38 to 50%.
    - One task with ten times the standard deviation of others that are alike is itself flagged in
      at most .04 of null studies with 5 runs, and in .02 with 8. With three times it is .10 and
      .05.

    Args:
        delta: differences by run and task. A task with a missing difference is undecided. It is
            missing where a run diverged or did not score the task, and is never averaged away.
            Runs whose differences are all alike are copies of one run, and decide nothing.
        overlap: test rows / training rows, where the runs split the same rows anew. The runs'
            differences are then correlated, and the variance of their mean is
            (1 / S + overlap) s^2 (Nadeau and Bengio 2003). Give 0 for independent runs.
        level: the false discovery rate of the verdicts, and the level of both tests of "same".
        margin: the largest difference that does not matter, of all tasks or of each; 0 or more.
        learned: whether each task was learned at all; by default every task was.
        units: the metric of each task, where tasks have several. Variances are moderated across the
            tasks of one metric.

    The first task is worse in every run, and the second is as often better as worse:

    >>> delta = np.array([[-0.10, 0.01], [-0.11, -0.01], [-0.09, 0.02], [-0.10, -0.02]])
    >>> paired_test(delta).verdict
    ['harmed', 'undecided']
    >>> paired_test(delta, margin=0.05).verdict
    ['harmed', 'same']
    """
    _, tasks = delta.shape
    usable, centre, error, df = _moderated(_without_copies(delta), overlap, units)
    nan = np.full(tasks, np.nan)
    mean, low, high, p, adjusted, detectable = (nan.copy() for _ in range(6))
    mean[usable] = centre
    verdict = np.full(tasks, UNDECIDED, dtype=object)
    if np.isfinite(error).any():
        size, allowed = np.abs(centre), np.broadcast_to(margin, tasks)[usable]
        p[usable] = _tail(size - allowed, error, df) + _tail(size + allowed, error, df)
        adjusted[usable] = stats.false_discovery_control(p[usable])
        half = special.stdtrit(df, 1 - SIGNIFICANCE_LEVEL / 2) * error
        low[usable], high[usable] = centre - half, centre + half
        rejected = adjusted[usable] <= level
        # The threshold that p had to pass: BH's at its last rejection, or at a first one.
        threshold = level * max(int(rejected.sum()), 1) / usable.sum()
        reach = special.stdtrit(df, 1 - threshold / 2) + special.stdtrit(df, POWER)
        detectable[usable] = allowed + error * reach
        within = (allowed > 0) & (_tail(allowed - size, error, df) <= level)
        decided = np.where(centre < 0, HARMED, HELPED)
        verdict[usable] = np.where(rejected, decided, np.where(within, SAME, UNDECIDED))
        if learned is not None:
            verdict[usable & ~learned] = NOT_LEARNED
    return PairedTest(mean, low, high, p, adjusted, detectable, verdict.tolist())


def is_better(
    gain: Float[np.ndarray, "S T"],
    overlap: float = 0.0,
    level: float = SIGNIFICANCE_LEVEL,
    units: Sequence[str] | None = None,
) -> Bool[np.ndarray, " T"]:
    """Whether each task is better than a reference: the one-sided test of `paired_test`.

    It is False for a task with a missing gain, and for all tasks if there is one run alone. A gain
    that is the same in every run, such as that of a perfect score, is one.

    Args:
        gain: by run and task; above 0 is better.
        overlap, level, units: as in `paired_test`.

    >>> is_better(np.array([[0.10, 0.01], [0.11, -0.01], [0.09, 0.02], [0.10, -0.02]]))
    array([ True, False])
    """
    _, tasks = gain.shape
    usable, centre, error, df = _moderated(gain, overlap, units)
    better = np.zeros(tasks, dtype=bool)
    if np.isfinite(error).any():
        better[usable] = stats.false_discovery_control(_tail(centre, error, df)) <= level
    return better


def runs_needed(
    delta: Float[np.ndarray, "S T"],
    overlap: float = 0.0,
    level: float = SIGNIFICANCE_LEVEL,
    margin: float | Float[np.ndarray, " T"] = 0.0,
    units: Sequence[str] | None = None,
    overlap_limit: float | None = None,
) -> Float[np.ndarray, " T"]:
    """How many runs in all would decide each task, if its mean and variance are as they seem.

    This is the smallest number of runs with which `paired_test` finds the present mean difference
    in four of five cases, at its present threshold.

    Args:
        delta, overlap, level, margin, units: as in `paired_test`.
        overlap_limit: what the overlap grows to with the number of runs; None where it stays. Runs
            of one round of a cross-validation share less than runs of different rounds do
            (see `variance.overlap_of_runs`).

    Returns:
        The number of runs for every task. It is infinite where no number is enough: a difference
        within the margin is never found beyond it, and runs that split the same rows anew
        (`overlap` above 0) never average away what their rows have in common. It is NaN where a
        difference is missing, and for all tasks if there is one run alone.

    >>> delta = np.array([[-0.10, 0.01], [-0.11, -0.01], [-0.09, 0.02], [-0.10, -0.02]])
    >>> runs_needed(delta, overlap=0.25)
    array([ 2., inf])
    """
    delta = _without_copies(delta)
    runs, tasks = delta.shape
    needed = np.full(tasks, np.nan)
    usable, centre, error, df = _moderated(delta, overlap, units)
    if not np.isfinite(error).any():
        return needed
    allowed = np.broadcast_to(margin, tasks)[usable]
    rejected = paired_test(delta, overlap, level, margin, units=units).adjusted[usable] <= level
    tail = level * max(int(rejected.sum()), 1) / usable.sum() / 2

    counts = np.unique(np.geomspace(2, MAX_RUNS, 400).round())[:, None]  # numbers of runs
    freedom = np.maximum(df + counts - runs, 1.0)
    reach = special.stdtrit(freedom, 1 - tail) + special.stdtrit(freedom, POWER)
    then = _overlap_with(counts, runs, overlap, overlap_limit)
    relative = np.sqrt((1 / counts + then) / (1 / runs + overlap))  # to the present error
    enough = np.abs(centre) - allowed >= reach * relative * error
    needed[usable] = np.where(enough.any(0), counts[enough.argmax(0), 0], np.inf)
    return needed


def _overlap_with(
    counts: Float[np.ndarray, "C 1"], runs: int, overlap: float, limit: float | None
) -> Float[np.ndarray, "C 1"]:
    """The overlap of other numbers of runs.

    A run has the same few partners in its own round, whatever the number of runs. So the share of
    pairs within a round falls as 1 / (runs - 1).
    """
    if limit is None:
        return np.full_like(counts, overlap)
    rho, most = overlap / (1 + overlap), limit / (1 + limit)
    share = np.minimum((runs - 1) / (counts - 1), (1 - FOLDS_SHARE) / max(1 - rho / most, 1e-9))
    then = most - (most - rho) * share
    return np.asarray(then / (1 - then))


def standard_errors(
    delta: Float[np.ndarray, "S T"], overlap: float = 0.0, units: Sequence[str] | None = None
) -> Float[np.ndarray, " T"]:
    """The standard error of every task's mean difference, as `paired_test` has it; else NaN.

    >>> standard_errors(np.array([[0.0, 1.0], [2.0, 3.0]]))
    array([1., 1.])
    """
    usable, _, error, _ = _moderated(_without_copies(delta), overlap, units)
    errors = np.full(delta.shape[1], np.nan)
    errors[usable] = error
    return errors


def half_interval(
    values: Float[np.ndarray, "S *rest"], overlap: float = 0.0
) -> Float[np.ndarray, "*rest"]:
    """Half of the 95% interval of a mean over runs. It is NaN for one run or none.

    Args:
        values: by run; a missing one is left out.
        overlap: as in `paired_test`.

    >>> runs = np.array([0.1, 0.2, 0.3])
    >>> round(float(half_interval(runs)), 3), round(float(half_interval(runs, overlap=0.25)), 3)
    (0.248, 0.329)
    >>> round(float(half_interval(np.array([0.1, 0.2, 0.3, np.nan]))), 3)
    0.248
    """
    count = np.isfinite(values).sum(0)
    known = np.maximum(count, 2)
    centred = values - np.nansum(values, 0) / known
    spread = np.sqrt(np.nansum(centred**2, 0) / (known - 1)) * np.sqrt(1 / known + overlap)
    half = special.stdtrit(known - 1, 1 - SIGNIFICANCE_LEVEL / 2) * spread
    return np.where(count < 2, np.nan, half)


def _moderated(
    delta: Float[np.ndarray, "S T"], overlap: float, units: Sequence[str] | None = None
) -> tuple[
    Bool[np.ndarray, " T"],
    Float[np.ndarray, " U"],
    Float[np.ndarray, " U"],
    Float[np.ndarray, " U"],
]:
    """Which tasks have all differences; and their means, standard errors, degrees of freedom.

    Variances are moderated across tasks of the same unit: those of a PR-AUC tell nothing of those
    of an error. With one run nobody knows the errors, which are NaN.
    """
    runs = len(delta)
    usable = np.isfinite(delta).all(0)
    kept = delta[:, usable]
    if runs < 2:
        return usable, kept.mean(0), kept[0] * np.nan, kept[0] * np.nan
    unit = np.array([""] * delta.shape[1] if units is None else [*units])
    variance, df = kept.var(0, ddof=1), np.empty(kept.shape[1])
    for own in (unit[usable] == one for one in np.unique(unit[usable])):
        variance[own], df[own] = moderated_variance(variance[own], runs - 1)
    return usable, kept.mean(0), np.sqrt(variance * (1 / runs + overlap)), df


def _without_copies(delta: Float[np.ndarray, "S T"]) -> Float[np.ndarray, "R T"]:
    """The runs; but one run alone where the differences of all are alike, and not 0.

    Those are copies of one run: two methods without chance, on rows that stay.
    """
    kept = delta[:, np.isfinite(delta).all(0)]
    alike = np.ptp(kept, 0) <= 1e-9 * np.abs(kept).max(0)
    return delta[:1] if alike.all() and kept.any() else delta


def _tail(
    distance: Float[np.ndarray, " U"],
    error: Float[np.ndarray, " U"],
    df: Float[np.ndarray, " U"],
) -> Float[np.ndarray, " U"]:
    """The probability that chance reaches so far: P(t > distance / error)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(distance == 0, 0.0, distance / error)
    return np.asarray(special.stdtr(df, -t))


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
    pairs: int  # of trainings, from which the range was found
    source: str = "these runs"  # or the name of a kept null


def null_counts(delta: Float[np.ndarray, "S T"]) -> NullCount:
    """What the counts are where nothing but initialisation and batch order differs.

    STL and its twin STL' can change places. So a run's counts c and T - c are equally likely, and
    the expected count is T / 2, where a tie counts half. The range is T / 2 +- t * sd, within 0
    and T: sd is the spread of the S runs' counts about T / 2, and t has S degrees of freedom.

    With fewer than 40 runs the spread is known badly. Then the range is that of independent tasks
    (the binomial's central 95%), if this one is wider.

    Args:
        delta: differences of the twin from the baseline, by run and task.

    >>> null = null_counts(np.array([[0.1, -0.1, 0.1, -0.1], [0.1, -0.1, -0.1, 0.1]]))
    >>> null.low, null.high, null.pairs
    (0.0, 4.0, 2)
    """
    kept = delta[:, np.isfinite(delta).all(0)]
    runs, tasks = kept.shape
    counts = (kept < 0).sum(1) + 0.5 * (kept == 0).sum(1)
    sd = float(np.sqrt(np.square(counts - tasks / 2).mean())) if runs else np.nan
    if runs < 2:  # one count says nothing of its spread
        sd = np.inf
    reach = float(special.stdtrit(max(runs, 1), 1 - SIGNIFICANCE_LEVEL / 2)) * sd
    if runs < LEAST_PAIRS:
        binomial = stats.binom.ppf(SIGNIFICANCE_LEVEL / 2, tasks, 0.5)
        reach = max(reach, tasks / 2 - float(binomial))
    negative, per_run = count_negative(delta)
    low, high = max(0.0, tasks / 2 - reach), min(float(tasks), tasks / 2 + reach)
    return NullCount(negative, per_run, low, high, runs)
