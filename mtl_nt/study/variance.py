"""Variances of differences: `moderated_variance` across tasks, and `overlap_of_runs` across runs.

Variances borrow strength from each other, where tasks are alike. With five runs, a task's own
variance is known to within a factor of three. Empirical Bayes takes all tasks together: it learns
how much their variances differ, and shrinks each towards the others. An outlying variance, such as
that of one noisy task among quiet ones, borrows nothing.

Sources: G. K. Smyth, Linear models and empirical Bayes methods, Statistical Applications in
Genetics and Molecular Biology 3, 2004, section 6.2. B. Phipson, S. Lee, I. J. Majewski,
W. S. Alexander and G. K. Smyth, Robust hyperparameter estimation protects against hypervariable
genes, Annals of Applied Statistics 10, 2016 (limma's `fitFDistRobustly` and `squeezeVar`).
C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, special

LOW_TAIL, HIGH_TAIL = 0.05, 0.1
"""The shares of the smallest and largest variances that do not count when the prior is found."""
LEAST_TASKS = 10
"""With fewer tasks no whole task lies in a tail, and the prior is found from all variances."""
OUTLIER_LEVEL = 0.05
"""The probability of taking any variance for an outlier where the prior explains them all."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)
FOLDS_SHARE = 0.5
"""The correlation of two runs that share training rows alone, to that of runs that share both."""


def overlap_of_runs(train: Sequence[int], test: Sequence[Int[np.ndarray, " _"]]) -> float:
    """How far the runs on one table are one and the same experiment: the overlap of `paired_test`.

    The differences of two random re-splits correlate by rho = test rows / (test + training rows),
    as Nadeau and Bengio (2003) propose, since they share training rows and test rows. Two folds of
    one round of a cross-validation share training rows alone, and correlate by half of that. With
    the mean rho over all pairs of runs, the variance of the mean over S runs is
    (1 / S + rho / (1 - rho)) s^2, and rho / (1 - rho) is the overlap.

    Simulated for two ridge regressions that are equally good, on 100 to 200 rows and 5 to 40
    features: re-splits of 70, 10 and 20 % correlate by .20 to .23, where rho is .22; folds of
    different rounds by as much; folds of one round by .04 to .12. Then a test at 5 % flags 2 to 6 %
    of tasks, with one round and with two. Five folds find more than five re-splits, for the same
    price: 68 % of harmed tasks to 55 %. Networks share less, because their seeds differ: MTL and
    STL of 32 and 64 units, on 150 and 400 rows and 5 tasks, correlate by .00 to .03 (+- .02) within
    a round and across rounds, so intervals of networks err on the wide side. Only where a ridge
    regression nearly interpolates its training rows (100 features on 140 rows, hardly penalised) do
    folds of one round share more, .20.

    Args:
        train: the number of training rows of every run.
        test: the numbers of the test rows of every run.

    Five folds, and five re-splits, of 70, 10 and 20 % of ten rows:

    >>> folds, splits = [*np.arange(10).reshape(5, 2)], [np.arange(2)] * 5
    >>> round(overlap_of_runs([7] * 5, folds), 3), round(overlap_of_runs([7] * 5, splits), 3)
    (0.125, 0.286)
    """
    ratio = overlap_limit(train, test)
    apart = [
        not np.isin(one, other, assume_unique=True).any()
        for number, one in enumerate(test)
        for other in test[:number]
    ]
    return overlap_of_rounds(ratio, float(np.mean(apart)) if apart else 0.0)


def overlap_of_rounds(ratio: float, apart: float) -> float:
    """The overlap of runs that are folds, by how many of their pairs are of one round.

    Args:
        ratio: test rows / training rows.
        apart: the share of the pairs of runs that have no test row in common.

    >>> overlap_of_rounds(0.25, 0.0), round(overlap_of_rounds(0.25, 1.0), 3)
    (0.25, 0.111)
    """
    rho = ratio / (1 + ratio) * (1 - (1 - FOLDS_SHARE) * apart)
    return ratio if apart == 0 else rho / (1 - rho)


def overlap_limit(train: Sequence[int], test: Sequence[Int[np.ndarray, " _"]]) -> float:
    """The `overlap_of_runs` that ever more runs tend to: test rows / training rows.

    >>> overlap_limit([7] * 5, [*np.arange(10).reshape(5, 2)])
    0.2857142857142857
    """
    return float(np.mean([len(rows) / size for rows, size in zip(test, train, strict=True)]))


def moderated_variance(
    variance: Float[np.ndarray, " T"], df: int
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Variances that borrow strength from each other, and their degrees of freedom.

    The prior is s_t^2 ~ s0^2 F(df, d0). The posterior is (d_t s0^2 + df s_t^2) / (d_t + df), with
    d_t + df degrees of freedom, and at most those of all tasks pooled. For most tasks d_t is d0. It
    falls towards 0 for a task whose variance is larger than the prior can explain.

    Where the largest of ten variances or more is an outlier, the prior is found from Winsorised
    variances, as Phipson et al. (2016) do, so that outliers do not count. Else it is found from all
    (Smyth 2004): without outliers, the robust prior would find one task in a hundred less.

    Args:
        variance: the sample variance of every task, s_t^2.
        df: the degrees of freedom of each.

    Three tasks differ no more than chance says, so they are pooled:

    >>> moderated_variance(np.array([1.0, 2.0, 3.0]), 4)
    (array([2., 2., 2.]), array([12., 12., 12.]))

    One of thirty tasks is far noisier than the others. It keeps its own variance:

    >>> variance, freedom = moderated_variance(np.append(np.linspace(0.5, 1.5, 29), 300), 4)
    >>> variance[[0, -1]].round(1), freedom[[0, -1]].round(1)
    (array([  1.3, 300. ]), array([120.,   4.]))
    """
    tasks = len(variance)
    if tasks < 2 or not (variance > 0).any():
        return variance, np.full(tasks, float(df))
    # A task that never varies (a perfect score in every run) would have log 0.
    x = np.maximum(variance, 1e-5 * np.median(variance[variance > 0]))
    prior, centre = _fit(x, df)
    borrowed = np.full(tasks, prior)
    if tasks >= LEAST_TASKS:
        centre, borrowed = _fit_robustly(x, df, prior, centre)
    pooled = np.isinf(borrowed)
    share = np.where(pooled, 1.0, borrowed / np.where(pooled, 1.0, borrowed + df))
    return share * centre + (1 - share) * variance, np.minimum(borrowed + df, tasks * df)


def _fit(x: Float[np.ndarray, " T"], df: int) -> tuple[float, float]:
    """d0 and s0^2 from the mean and the variance of log s_t^2 (Smyth 2004)."""
    e = np.log(x) - special.digamma(df / 2) + np.log(df / 2)
    spread = e.var(ddof=1) - special.polygamma(1, df / 2)
    if spread <= 0:
        return np.inf, float(x.mean())
    prior = 2 * _trigamma_inverse(spread)
    return prior, float(np.exp(e.mean() + special.digamma(prior / 2) - np.log(prior / 2)))


def _fit_robustly(
    x: Float[np.ndarray, " T"], df: int, prior: float, centre: float
) -> tuple[float, Float[np.ndarray, " T"]]:
    """s0^2, and the d_t of every task, from Winsorised variances (Phipson et al. 2016).

    Args:
        prior, centre: d0 and s0^2 as all variances give them; they stay if there is no outlier.
    """
    tasks, z, plain = len(x), np.log(x), (centre, np.full(len(x), prior))
    kept = np.clip(z, *np.quantile(z, [LOW_TAIL, 1 - HIGH_TAIL]))

    def excess(share: float) -> float:
        """How far the spread exceeds that of a prior with d0 = share / (1 - share)."""
        d0 = share / (1 - share) if share < 1 else np.inf
        return float(np.log(kept.var(ddof=1) / _winsorised_moments(df, d0)[1]))

    if excess(1) <= 0:
        prior = np.inf
    elif np.isinf(prior):
        return plain
    elif excess(low := prior / (1 + prior)) < 0:
        share = optimize.brentq(excess, low, 1)
        prior = share / (1 - share) if share < 1 else np.inf
    centre = float(np.exp(kept.mean() - _winsorised_moments(df, prior)[0]))

    # A task is an outlier as far as so large a ratio is rarer under the prior than its rank says.
    ratio = x / centre
    tail = np.maximum(_tail(ratio, df, prior), np.finfo(float).tiny)
    if tasks * tail.min() > OUTLIER_LEVEL:
        return plain
    rank = ratio.argsort().argsort() + 1
    belongs = np.minimum(tail / ((tasks - rank + 0.5) / tasks), 1)
    borrowed = np.full(tasks, prior)
    order = tail.argsort()  # the largest ratio first
    if np.isinf(prior):
        borrowed[belongs < 1] = belongs[belongs < 1] * tasks * df
    else:  # of an outlier: such that the largest ratio is the median under it
        outlier = np.log(0.5) / np.log(tail.min()) * prior
        outlier *= np.log(0.5) / np.log(_tail(ratio.max(keepdims=True), df, outlier)[0])
        borrowed = belongs * prior + (1 - belongs) * outlier
        means = borrowed[order].cumsum() / np.arange(1, tasks + 1)
        borrowed[order[: means.argmin() + 1]] = means.min()
    borrowed[order] = np.maximum.accumulate(borrowed[order])
    return centre, borrowed


def _winsorised_moments(df: int, prior: float) -> tuple[float, float]:
    """Mean and variance of log F(df, prior), with the values in the tails put at their edges."""
    inside = 1 - LOW_TAIL - HIGH_TAIL
    upper = 1 - np.array([LOW_TAIL, *LOW_TAIL + inside * (NODES + 1) / 2, 1 - HIGH_TAIL])
    weight = np.array([LOW_TAIL, *inside * WEIGHTS / 2, HIGH_TAIL])
    pooled = np.isinf(prior)
    z = np.log(special.chdtri(df, upper) / df if pooled else special.fdtri(df, prior, 1 - upper))
    mean = weight @ z
    return float(mean), float(weight @ (z - mean) ** 2)


def _tail(ratio: Float[np.ndarray, " T"], df: int, prior: float) -> Float[np.ndarray, " T"]:
    """The probability of a larger ratio under F(df, prior)."""
    tail = special.fdtrc(df, prior, ratio) if prior < np.inf else special.chdtrc(df, df * ratio)
    return np.asarray(tail)


def _trigamma_inverse(x: float) -> float:
    def gap(log_y: float) -> float:
        return float(np.log(special.polygamma(1, np.exp(log_y)))) - np.log(x)

    return float(np.exp(optimize.brentq(gap, -20.0, 20.0)))
