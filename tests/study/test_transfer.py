"""Counts, nulls and verdicts: mtl_nt/study/transfer.py against definitions and by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, special, stats

from mtl_nt.study.transfer import (
    VERDICTS,
    count_negative,
    half_interval,
    is_better,
    null_counts,
    paired_test,
    runs_needed,
    standard_errors,
)
from mtl_nt.study.variance import moderated_variance

TESTED = ["mean", "low", "high", "p", "adjusted", "detectable"]


def differences(seed: int, runs: int, tasks: int, spread: float = 0.5) -> np.ndarray:
    """No effect anywhere; the logarithm of the tasks' standard deviations has this spread."""
    random = np.random.default_rng(seed)
    return np.exp(random.normal(0, spread, tasks)) * random.standard_normal((runs, tasks))


# ------------- a reference, written from Smyth (2004) and from limma's fitFDistRobustly alone


def trigamma_inverse(x: float) -> float:
    """Newton's method on 1 / trigamma, as in Smyth's appendix."""
    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = special.polygamma(1, y)
        y += trigamma * (1 - trigamma / x) / special.polygamma(2, y)
    return y


def plain_prior(s2: np.ndarray, d: int) -> tuple[float, float]:
    """Smyth's d0 and s0^2 from the first two moments of log s^2."""
    e = np.log(s2) - special.psi(d / 2) + np.log(d / 2)
    excess = ((e - e.mean()) ** 2).sum() / (len(s2) - 1) - special.polygamma(1, d / 2)
    if excess <= 0:  # no task differs from another: all are pooled
        return np.inf, s2.mean()
    d0 = 2 * trigamma_inverse(excess)
    return d0, np.exp(e.mean() + special.psi(d0 / 2) - np.log(d0 / 2))


def winsorised_moments(d: int, d0: float) -> tuple[float, float]:
    """Integrals over the density of F, on limma's grid: 128 Gaussian nodes in F / (1 + F)."""
    law = stats.f(d, d0) if np.isfinite(d0) else stats.chi2(d, scale=1 / d)
    edges = law.ppf([0.05, 0.9])
    nodes, weights = np.polynomial.legendre.leggauss(128)
    first, last = edges / (1 + edges)
    q = first + (last - first) * (nodes + 1) / 2
    mass = (last - first) * weights / 2 * law.pdf(q / (1 - q)) / (1 - q) ** 2
    z, (low, high) = np.log(q / (1 - q)), np.log(edges)
    mean = (mass * z).sum() + 0.05 * low + 0.1 * high
    spread = (mass * (z - mean) ** 2).sum() + 0.05 * (low - mean) ** 2 + 0.1 * (high - mean) ** 2
    return mean, spread


def robust_prior(s2: np.ndarray, d: int) -> tuple[np.ndarray, float]:
    """Every task's d0, and s0^2, step by step as limma has them, where there is an outlier."""
    n = len(s2)
    plain_d0, plain_s02 = plain_prior(s2, d)
    if n < 10:
        return np.full(n, plain_d0), plain_s02
    z = np.log(s2)
    trend = stats.trim_mean(z, 0.1)
    low, high = np.quantile(z - trend, [0.05, 0.9])
    kept = np.minimum(np.maximum(z - trend, low), high)
    spread = ((kept - kept.mean()) ** 2).mean() * n / (n - 1)

    def too_wide(d0: float) -> float:
        return np.log(spread / winsorised_moments(d, d0)[1])

    if too_wide(np.inf) <= 0:
        d0 = np.inf
    elif np.isinf(plain_d0):
        return np.full(n, plain_d0), plain_s02
    else:
        d0 = plain_d0
        if too_wide(d0) < 0:
            d0 = np.exp(optimize.brentq(lambda u: too_wide(np.exp(u)), np.log(d0), 20))
    s02 = np.exp(trend + kept.mean() - winsorised_moments(d, d0)[0])
    law = stats.f(d, d0) if np.isfinite(d0) else stats.chi2(d, scale=1 / d)
    log_tail = law.logsf(s2 / s02)
    if n * np.exp(log_tail.min()) > 0.05:  # limma goes on, at a price in power
        return np.full(n, plain_d0), plain_s02
    place = stats.rankdata(s2)
    belongs = np.exp(np.minimum(log_tail - np.log((n - place + 0.5) / n), 0))
    shrunk = np.full(n, d0)
    order = np.argsort(log_tail)
    if np.isinf(d0):
        shrunk[belongs < 1] = belongs[belongs < 1] * n * d
    elif (belongs < 1).any():
        outlier = np.log(0.5) / log_tail.min() * d0
        outlier *= np.log(0.5) / stats.f(d, outlier).logsf((s2 / s02).max())
        shrunk = belongs * d0 + (1 - belongs) * outlier
        ordered = shrunk[order]
        means = np.cumsum(ordered) / np.arange(1, n + 1)
        ordered[: means.argmin() + 1] = means.min()
        shrunk[order] = ordered
    for one, following in zip(order, order[1:], strict=False):
        shrunk[following] = max(shrunk[following], shrunk[one])
    return shrunk, s02


def moderated_t(delta: np.ndarray, overlap: float = 0.0) -> dict[str, np.ndarray]:
    """Moderated t, two-sided p and 95% interval of every column's mean."""
    runs, tasks = delta.shape
    d = runs - 1
    s2 = ((delta - delta.mean(0)) ** 2).sum(0) / d
    d0, s02 = robust_prior(s2, d)
    share = [x / (x + d) if np.isfinite(x) else 1.0 for x in d0]
    posterior = np.array([w * s02 + (1 - w) * s for w, s in zip(share, s2, strict=True)])
    freedom = np.minimum(d0 + d, tasks * d)
    se = np.sqrt(posterior * (1 / runs + overlap))
    centre = delta.mean(0)
    reach = stats.t.isf(0.025, freedom) * se
    p = 2 * stats.t.cdf(-np.abs(centre) / se, freedom)
    return {"mean": centre, "low": centre - reach, "high": centre + reach, "p": p}


def step_up(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg (1995): the smallest level at which each is rejected."""
    count = len(p)
    order = np.argsort(p)
    adjusted, smallest = np.empty(count), 1.0
    for rank in range(count, 0, -1):
        smallest = min(smallest, p[order[rank - 1]] * count / rank)
        adjusted[order[rank - 1]] = smallest
    return adjusted


@pytest.mark.parametrize("noisy", [1, 3, 30])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
@pytest.mark.parametrize(
    ("runs", "tasks", "spread"),
    [(3, 9, 1.0), (5, 9, 0.0), (5, 20, 0.5), (5, 40, 0.0), (8, 128, 0.5), (6, 30, 1.5)],
)
def test_the_paired_test_is_limmas(
    runs: int, tasks: int, spread: float, overlap: float, noisy: float
) -> None:
    """Also where the first task is noisier than the spread of the others says."""
    for seed in range(3):
        delta = differences(seed, runs, tasks, spread)
        delta[:, 0] *= noisy
        found, wanted = paired_test(delta, overlap)._asdict(), moderated_t(delta, overlap)
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)


def test_two_tasks_of_equal_variance_are_pooled_as_by_hand() -> None:
    # Both variances are 1, so 4 + 4 degrees of freedom; t of 8 degrees is 2.306 at 97.5%.
    around = np.array([-1, -1, 0, 1, 1])[:, None] * np.array([1.0, 1.0])
    test = paired_test(around + np.array([1.0, -2.0]))
    np.testing.assert_allclose(test.p, [0.0557665, 0.0020773], rtol=1e-4)
    np.testing.assert_allclose(test.adjusted, [0.0557665, 0.0041547], rtol=1e-4)
    np.testing.assert_allclose(test.high - test.mean, 2.306004 / np.sqrt(5), rtol=1e-6)
    assert test.verdict == ["undecided", "harmed"]


def test_a_single_task_gets_a_plain_paired_t() -> None:
    delta = differences(3, 6, 1) + 0.7
    plain = stats.ttest_1samp(delta[:, 0], 0)
    interval = plain.confidence_interval(0.95)
    test = paired_test(delta)
    found = (test.p[0], test.adjusted[0], test.low[0], test.high[0])
    np.testing.assert_allclose(found, (plain.pvalue, plain.pvalue, *interval), rtol=1e-9)


def test_the_prior_is_found_where_there_is_one() -> None:
    prior, centre, df = 6.0, 2.5, 4
    random = np.random.default_rng(0)
    true = prior * centre / random.chisquare(prior, 20_000)
    variance = true * random.chisquare(df, 20_000) / df
    posterior, freedom = moderated_variance(variance, df)
    assert np.median(freedom - df) == pytest.approx(prior, rel=0.1)
    wanted = (prior * centre + df * variance) / (prior + df)
    close = np.isclose(posterior, wanted, rtol=0.05)
    assert close.mean() > 0.98  # the largest of so many look a little like outliers
    np.testing.assert_allclose(posterior, wanted, rtol=0.25)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 2.0])
def test_intervals_hold_the_truth_in_95_of_100_tasks(overlap: float) -> None:
    """Splits of the same rows correlate by test / (test + training) rows (Nadeau and Bengio)."""
    random = np.random.default_rng(1)
    runs, tasks, shared = 5, 20_000, overlap / (1 + overlap)
    sd = np.sqrt(6 / random.chisquare(6, tasks))
    noise = np.sqrt(shared) * random.standard_normal((1, tasks))
    noise = noise + np.sqrt(1 - shared) * random.standard_normal((runs, tasks))
    test = paired_test(sd * (0.3 + noise), overlap)
    inside = (test.low < 0.3 * sd) & (0.3 * sd < test.high)
    assert inside.mean() == pytest.approx(0.95, abs=0.006)
    if overlap:
        naive = paired_test(sd * (0.3 + noise))
        assert ((naive.low < 0.3 * sd) & (0.3 * sd < naive.high)).mean() < 0.8


def test_overlapping_splits_only_widen_the_standard_error() -> None:
    delta = differences(4, 5, 12)
    apart, together = paired_test(delta), paired_test(delta, overlap=0.3)
    ratio = (together.high - together.low) / (apart.high - apart.low)
    np.testing.assert_allclose(ratio, np.sqrt((1 / 5 + 0.3) / (1 / 5)))
    np.testing.assert_array_equal(apart.mean, together.mean)


# ------------------------------------------------------------------------------- verdicts


def test_verdicts_are_benjamini_hochbergs_at_5_percent() -> None:
    decided = 0
    for seed in range(20):
        delta = differences(seed, 6, 15) + np.linspace(-2, 2, 15)
        test = paired_test(delta)
        adjusted = step_up(test.p)
        np.testing.assert_allclose(test.adjusted, adjusted)
        found = np.where(adjusted > 0.05, "undecided", np.where(test.mean < 0, "harmed", "helped"))
        assert test.verdict == found.tolist()
        decided += (adjusted <= 0.05).sum()
    assert 100 < decided < 250  # so that the comparison above meant something


def test_a_small_p_among_many_tasks_decides_nothing() -> None:
    delta = differences(0, 5, 100)
    test = paired_test(delta)
    assert (test.p < 0.05).sum() >= 3
    assert test.verdict == ["undecided"] * 100


def test_verdicts_never_come_from_counts() -> None:
    random = np.random.default_rng(5)
    noise = random.standard_normal((5, 9))
    barely = noise - noise.mean(0) - 0.01  # every mean is negative, and means nothing
    assert count_negative(barely).negative == 9
    assert paired_test(barely).verdict == ["undecided"] * 9
    # Three of nine are truly harmed: the count lies below its null of 4.5 all the same.
    third = 0.1 * noise + np.array([-1.0] * 3 + [1.0] * 6)
    assert count_negative(third).negative == 3 < null_counts(noise).high
    assert paired_test(third).verdict == ["harmed"] * 3 + ["helped"] * 6


def test_turning_the_sign_swaps_harmed_and_helped_and_nothing_else() -> None:
    delta = differences(6, 5, 12) + np.linspace(-3, 3, 12)
    test, turned = paired_test(delta), paired_test(-delta)
    swapped = {"harmed": "helped", "helped": "harmed", "undecided": "undecided"}
    assert set(test.verdict) == set(swapped)
    assert [swapped[v] for v in test.verdict] == turned.verdict
    np.testing.assert_allclose(test.p, turned.p)
    np.testing.assert_allclose(test.low, -turned.high)


def test_neither_units_nor_the_order_of_runs_and_tasks_matter() -> None:
    delta = differences(7, 5, 12) + np.linspace(-2, 2, 12)
    test = paired_test(delta)
    runs, tasks = [3, 1, 4, 0, 2], np.random.default_rng(0).permutation(12)
    other = paired_test(1e-4 * delta[runs][:, tasks])
    np.testing.assert_allclose(other.p, test.p[tasks], rtol=1e-6)
    np.testing.assert_allclose(other.detectable, 1e-4 * test.detectable[tasks], rtol=1e-6)
    assert other.verdict == [test.verdict[t] for t in tasks]


def test_a_task_with_a_missing_difference_is_undecided_and_leaves_the_others_alone() -> None:
    delta = differences(8, 5, 6) - 5
    holed = delta.copy()
    holed[2, 1], holed[0, 4] = np.nan, -np.inf
    test, others = paired_test(holed), paired_test(np.delete(delta, [1, 4], 1))
    assert test.verdict == ["harmed", "undecided", "harmed", "harmed", "undecided", "harmed"]
    for name in TESTED:
        values = getattr(test, name)
        assert np.isnan(values[[1, 4]]).all(), name
        np.testing.assert_array_equal(np.delete(values, [1, 4]), getattr(others, name))


def test_where_every_task_misses_a_run_nothing_is_decided() -> None:
    delta = differences(8, 5, 3)
    delta[1] = np.nan
    test = paired_test(delta)
    assert test.verdict == ["undecided"] * 3
    assert np.isnan(test.mean).all()
    assert count_negative(delta) == (0, 0.0)
    assert null_counts(delta)[2:4] == (0, 0)


def test_one_run_has_a_mean_and_no_verdict() -> None:
    test = paired_test(np.array([[-3.0, 2.0]]))
    assert test.mean.tolist() == [-3, 2]
    assert test.verdict == ["undecided"] * 2
    assert np.isnan([test.low, test.high, test.p, test.adjusted, test.detectable]).all()


def test_a_task_that_never_varies_is_judged_by_the_variance_of_the_others() -> None:
    delta = differences(9, 5, 8)
    delta[:, 0], delta[:, 1] = 0.0, -0.05  # perfect in every run; the same in every run
    test = paired_test(delta)
    assert test.p[0] == 1 and test.low[0] < 0 < test.high[0]
    assert 0 < test.p[1] < 1 and test.high[1] > test.low[1]
    assert test.verdict[0] == "undecided"


def test_runs_that_are_all_alike_are_one_run() -> None:
    """Two methods without chance, on rows that stay: nobody knows how much chance there is."""
    alike = np.tile([0.1, -0.2, 1 / 3], (5, 1)) * (1 + 1e-15 * np.arange(5)[:, None])
    found = paired_test(alike)
    assert found.verdict == ["undecided"] * 3 and np.isnan([found.low, found.p]).all()
    assert np.isnan(runs_needed(alike)).all() and np.isnan(standard_errors(alike)).all()
    assert is_better(alike).tolist() == [True, False, True]  # as a perfect score is, in every run
    one = paired_test(alike[:1])
    np.testing.assert_allclose(found.mean, one.mean)
    alike[0, 0] += 0.01  # one task that varies says how much
    assert paired_test(alike).verdict[2] == "helped"


def test_an_interval_of_a_mean_leaves_missing_runs_out() -> None:
    values = np.array([[0.1, 0.4], [0.2, np.nan], [0.3, np.nan], [np.nan, np.nan]])
    half = half_interval(values, overlap=0.25)
    assert half[0] == pytest.approx(half_interval(values[:3, 0], overlap=0.25))
    assert half[0] == pytest.approx(stats.t(2).ppf(0.975) * 0.1 * (1 / 3 + 0.25) ** 0.5)
    assert np.isnan(half[1])


def test_differences_of_nothing_but_zero_are_undecided() -> None:
    test = paired_test(np.zeros((5, 4)))
    assert test.verdict == ["undecided"] * 4
    assert [test.p.tolist(), test.low.tolist(), test.high.tolist()] == [[1] * 4, [0] * 4, [0] * 4]


# ----------------------------------------------------------- power, as statistics.md has it

SPREAD = 0.5
"""Of the logarithm of the tasks' standard deviations (1 of that of their variances): the spread
with which the powers that the project's definitions state come out."""


def simulated(runs: int, tasks: int, harmed: int, repeats: int) -> tuple[float, float, float]:
    """Harmed tasks found by the moderated and by the plain test; false verdicts a repeat.

    The first `harmed` tasks are harmed by 2 of their own standard deviations.
    """
    random = np.random.default_rng([runs, tasks, harmed])
    sd = np.exp(random.normal(0, SPREAD, (repeats, 1, tasks)))
    effect = np.where(np.arange(tasks) < harmed, -2.0, 0.0)
    delta = sd * (random.standard_normal((repeats, runs, tasks)) + effect)
    verdicts = np.array([paired_test(d).verdict for d in delta])
    plain = stats.false_discovery_control(stats.ttest_1samp(delta, 0, axis=1).pvalue, axis=1)
    return (
        float((verdicts[:, :harmed] == "harmed").sum()) / max(harmed * repeats, 1),
        float((plain[:, :harmed] <= 0.05).sum()) / max(harmed * repeats, 1),
        float((verdicts[:, harmed:] != "undecided").sum()) / repeats,
    )


@pytest.mark.parametrize(
    ("runs", "low", "high"), [(5, 0.76, 0.82), (8, 0.965, 0.995), (3, 0.23, 0.49)]
)
@pytest.mark.parametrize("tasks", [9, 20, 128])
def test_a_quarter_harmed_by_two_standard_deviations_is_found(
    runs: int, tasks: int, low: float, high: float
) -> None:
    """Stated: 77-79% with 5 runs (the plain test: 39-54%), 98% with 8, 26-44% with 3.

    Two standard errors of such a share are 0.04 at 9 tasks and 300 repeats.
    """
    moderated, plain, _ = simulated(runs, tasks, round(tasks / 4), repeats=300)
    assert low <= moderated <= high
    if runs == 5:
        assert 0.34 <= plain <= 0.56
        assert moderated - plain > 0.2


def flagged(delta: np.ndarray, **options: Any) -> np.ndarray:
    """Which tasks of which repeats are called harmed or helped."""
    verdicts = np.array([paired_test(d, **options).verdict for d in delta])
    return (verdicts == "harmed") | (verdicts == "helped")


def null_study(runs: int, tasks: int, repeats: int, spread: float = 0.0) -> np.ndarray:
    """Repeats of a comparison without any effect."""
    random = np.random.default_rng([runs, tasks, repeats])
    sd = np.exp(random.normal(0, spread, (repeats, 1, tasks)))
    return sd * random.standard_normal((repeats, runs, tasks))


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, SPREAD])
@pytest.mark.parametrize("runs", [5, 8])
@pytest.mark.parametrize("tasks", [9, 20, 128])
def test_where_nobody_is_harmed_few_studies_flag_a_task(
    runs: int, tasks: int, spread: float
) -> None:
    found = flagged(null_study(runs, tasks, 800, spread)).any(1).mean()
    assert 0.02 <= found <= 0.11


@pytest.mark.slow
@pytest.mark.parametrize("runs", [5, 8])
@pytest.mark.parametrize("tasks", [9, 20, 128])
def test_one_task_ten_times_as_noisy_as_the_others_is_rarely_flagged(runs: int, tasks: int) -> None:
    """With all variances in the prior, it was flagged in .17 of studies of 5 runs and 128 tasks."""
    delta = null_study(runs, tasks, 1000)
    delta[:, :, 0] *= 10
    assert flagged(delta)[:, 0].mean() <= 0.06


def test_an_outlying_variance_borrows_nothing_and_lends_nothing() -> None:
    random = np.random.default_rng(3)
    variance = 2 * random.chisquare(4, 60) / 4
    alone, freedom = moderated_variance(variance, 4)
    holed, outliers = variance.copy(), [0, 7]
    holed[outliers] = 5000, 900
    posterior, borrowed = moderated_variance(holed, 4)
    np.testing.assert_allclose(posterior[outliers], holed[outliers], rtol=0.05)
    np.testing.assert_allclose(borrowed[outliers], 4, atol=0.2)
    others = np.delete(np.arange(60), outliers)
    np.testing.assert_allclose(posterior[others], alone[others], rtol=0.2)
    assert borrowed[others].min() > 0.5 * freedom.min() > 20


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [9, 20, 128])
def test_new_splits_of_the_same_rows_flag_no_more_than_new_rows(tasks: int) -> None:
    """Five splits that train on 60% and test on 20%. Taken for independent, they flag a task in
    five to ten of ten studies."""
    runs, overlap = 5, 1 / 3
    random = np.random.default_rng([tasks, 4])
    shared = overlap / (1 + overlap)
    delta = np.sqrt(shared) * random.standard_normal((500, 1, tasks))
    delta = delta + np.sqrt(1 - shared) * random.standard_normal((500, runs, tasks))
    assert flagged(delta, overlap=overlap).any(1).mean() <= 0.11
    assert flagged(delta).any(1).mean() >= 0.4


# ------------------------------------------------------------------- margin, same, not learned


@pytest.mark.slow
@pytest.mark.parametrize("runs", [5, 8])
@pytest.mark.parametrize("tasks", [9, 20, 128])
def test_differences_at_the_margin_are_rarely_called_harm_help_or_same(
    runs: int, tasks: int
) -> None:
    """At the margin itself both mistakes are as likely as they ever are."""
    margin = 1.0
    delta = null_study(runs, tasks, 400, SPREAD) + np.where(np.arange(tasks) % 2, margin, -margin)
    verdicts = np.array([paired_test(d, margin=margin).verdict for d in delta])
    beyond = (verdicts == "harmed") | (verdicts == "helped")
    assert beyond.any(1).mean() <= 0.11
    assert (verdicts == "same").mean() <= 0.06  # of tasks, 5 % at most but for chance
    assert (verdicts == "same").mean() >= 0.02


def test_within_a_wide_margin_tasks_are_the_same_and_beyond_it_harmed_or_helped() -> None:
    delta = null_study(8, 20, 1)[0]
    delta[:, :5] += 9
    delta[:, 5:10] -= 9
    found = paired_test(delta, margin=4.0).verdict
    assert found == ["helped"] * 5 + ["harmed"] * 5 + ["same"] * 10
    each = paired_test(delta, margin=np.repeat([0.0, 20.0, 4.0], [5, 5, 10])).verdict
    assert each == ["helped"] * 5 + ["same"] * 10 + ["same"] * 5
    assert "same" not in paired_test(delta).verdict  # nothing is, without a margin
    assert {*found, *paired_test(0 * delta).verdict} < {*VERDICTS}


def test_without_a_margin_the_test_is_the_plain_one() -> None:
    delta = differences(2, 5, 12) + np.linspace(-2, 2, 12)
    one, other = paired_test(delta), paired_test(delta, margin=1e-12)
    np.testing.assert_allclose(one.p, other.p, rtol=1e-9)
    np.testing.assert_allclose(one.detectable, other.detectable, rtol=1e-9)
    wide = paired_test(delta, margin=0.5)
    assert (wide.p >= one.p).all() and (wide.detectable > one.detectable).all()
    np.testing.assert_array_equal(wide.low, one.low)  # the interval is that of the difference
    needed = runs_needed(delta, margin=0.5)
    assert (needed >= runs_needed(delta)).all()
    assert np.isinf(needed[np.abs(delta.mean(0)) < 0.5]).all()


@pytest.mark.slow
def test_an_effect_of_the_detectable_size_is_found_beyond_a_margin() -> None:
    noise, margin = null_study(5, 20, 400), 2.0
    size = np.mean([paired_test(d, margin=margin).detectable[0] for d in noise])
    noise[:, :, 0] -= size
    found = [paired_test(d, margin=margin).verdict[0] == "harmed" for d in noise]
    assert 0.76 <= np.mean(found) <= 0.92


def test_a_task_that_was_not_learned_is_neither_harmed_nor_helped() -> None:
    delta = differences(4, 5, 4) + np.array([-9, 9, -9, 0])
    assert paired_test(delta).verdict == ["harmed", "helped", "harmed", "undecided"]
    learned = np.array([True, True, False, False])
    found = paired_test(delta, learned=learned)
    assert found.verdict == ["harmed", "helped", "not learned", "not learned"]
    np.testing.assert_array_equal(found.p, paired_test(delta).p)
    delta[1, 2] = np.nan  # nobody knows
    assert paired_test(delta, learned=learned).verdict[2] == "undecided"


@pytest.mark.slow
@pytest.mark.parametrize("runs", [5, 8])
@pytest.mark.parametrize("tasks", [9, 20, 128])
def test_better_is_one_sided_and_rarely_said_of_noise(tasks: int, runs: int) -> None:
    noise = null_study(runs, tasks, 500, SPREAD)
    assert np.mean([is_better(d).any() for d in noise]) <= 0.11
    sd = noise.std(1, keepdims=True)
    assert np.mean([is_better(d) for d in noise + 5 * sd]) >= 0.99
    assert not np.any([is_better(d) for d in noise - 5 * sd])
    holed = noise[0] + 9
    holed[0, 0] = np.nan
    assert is_better(holed).tolist() == [False] + [True] * (tasks - 1)
    assert not is_better(holed[:1]).any()  # one run says nothing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "tasks", "harmed"), [(5, 1, 0), (8, 1, 0), (5, 20, 0), (8, 20, 10)]
)
def test_an_effect_of_the_detectable_size_is_found_in_four_of_five_cases(
    runs: int, tasks: int, harmed: int
) -> None:
    """Also where other tasks are `harmed`: the more, the smaller the effects that are found."""
    random = np.random.default_rng([tasks, runs])
    noise = random.standard_normal((400, runs, tasks))
    noise[:, :, 1 : 1 + harmed] -= 50
    size = np.mean([paired_test(d).detectable[0] ** 2 for d in noise]) ** 0.5
    noise[:, :, 0] -= size
    found = [paired_test(d).verdict[0] == "harmed" for d in noise]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


def test_more_runs_detect_smaller_effects() -> None:
    delta = differences(10, 32, 20)
    sizes = [np.median(paired_test(delta[:runs]).detectable) for runs in (4, 8, 16, 32)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1]


# --------------------------------------------------------------------------- counts, nulls


def test_both_counts_are_those_of_the_papers() -> None:
    delta = np.array([[-1.0, 1.0, 0.5, 0.0], [3.0, 1.0, -1.0, 0.0], [1.0, -0.5, -1.0, 0.0]])
    assert count_negative(delta) == (1, pytest.approx(4 / 3))


def test_a_task_with_a_missing_run_is_left_out_of_both_counts() -> None:
    delta = np.array([[-1.0, -1.0, 1.0], [-1.0, np.nan, -3.0]])
    assert count_negative(delta) == (2, 1.5)


def test_the_null_is_the_same_whichever_training_is_called_stl() -> None:
    delta = differences(11, 5, 9)
    null, turned = null_counts(delta), null_counts(-delta)
    assert (null.low, null.high) == (turned.low, turned.high)
    assert null.low + null.high == pytest.approx(9)
    assert null.per_run + turned.per_run == pytest.approx(9)
    assert (null.negative, null.per_run) == count_negative(delta)


def test_the_nulls_range_is_the_students_about_half_the_tasks() -> None:
    # Counts 4, 6, 5, ... of 10; about 5: squares 1, 1, 0, ..., and t of 45 degrees is 2.014.
    delta = np.where(np.arange(10) < np.array([4, 6, 5] * 15)[:, None], -1.0, 1.0)
    null, reach = null_counts(delta), 2.014103 * (2 / 3) ** 0.5
    assert null.per_run == pytest.approx(5)
    assert (null.low, null.high, null.pairs) == pytest.approx((5 - reach, 5 + reach, 45))


def test_few_pairs_get_the_range_of_independent_tasks_at_least() -> None:
    """Of 20 independent tasks 6 to 14 are negative in 95.9% of runs, and 7 to 13 in 88.5%."""
    alike = np.tile([-1.0, 1.0], (39, 10))  # every count is 10
    assert null_counts(alike)[2:5] == (6, 14, 39)
    assert null_counts(np.vstack([alike, alike[:1]]))[2:5] == (10, 10, 40)


def test_few_pairs_whose_counts_differ_more_keep_their_own_range() -> None:
    # Counts 4, 6, 7 of 10; about 5: squares 1, 1, 4, so sd = sqrt(2), and t of 3 degrees is 3.182.
    delta = np.where(np.arange(10) < np.array([[4], [6], [7]]), -1.0, 1.0)
    null = null_counts(delta)
    assert null.per_run == pytest.approx(17 / 3)
    assert (null.low, null.high) == pytest.approx((5 - 3.182446 * 2**0.5, 5 + 3.182446 * 2**0.5))


def test_the_nulls_range_stays_among_possible_counts() -> None:
    null = null_counts(np.array([[-1.0] * 4, [-1.0] * 4]))
    assert null[:5] == (4, 4, 0, 4, 2)


def test_one_run_says_nothing_of_the_nulls_spread() -> None:
    assert null_counts(np.array([[-1.0, 1.0, 1.0, 1.0]]))[:5] == (1, 1.0, 0, 4, 1)


def test_a_tie_counts_as_half_a_task_in_the_nulls_range() -> None:
    # Of 4 tasks 2, 2 and 2.5 are negative, ties halved: 0, 0 and 0.5 from 2. Five times that.
    delta = np.array([[-1, 1, 0, 0], [0, 0, 0, 0], [-1, -1, 0, 1.0]])
    null = null_counts(np.repeat(np.repeat(delta, 5, axis=1), 15, axis=0))
    reach = 2.014103 * 5 * 0.5 / 3**0.5
    assert (null.low, null.high) == pytest.approx((10 - reach, 10 + reach))
    assert null.per_run == pytest.approx(5 * (1 + 0 + 2) / 3)  # as the papers count: below 0


@pytest.mark.slow
@pytest.mark.parametrize(("pairs", "most"), [(5, 1.0), (16, 0.99), (40, 0.98)])
@pytest.mark.parametrize("tasks", [9, 20, 128])
@pytest.mark.parametrize("together", [0.0, 0.3])
def test_the_null_averages_half_the_tasks_and_its_range_holds_95_of_100_runs(
    together: float, tasks: int, pairs: int, most: float
) -> None:
    """Whether the tasks of a run rise and fall alone or `together`."""
    random = np.random.default_rng(12)
    shape = (500, pairs + 1, tasks)
    shared = random.standard_normal((*shape[:2], 1))
    delta = together * shared + (1 - together) * random.standard_normal(shape)
    nulls = [null_counts(d[:pairs]) for d in delta]
    half = tasks / 2
    assert np.mean([n.per_run for n in nulls]) == pytest.approx(half, rel=0.05)
    assert np.mean([n.negative for n in nulls]) == pytest.approx(half, rel=0.06)
    fresh = (delta[:, pairs] < 0).sum(1)
    inside = [n.low <= count <= n.high for n, count in zip(nulls, fresh, strict=True)]
    assert 0.92 <= np.mean(inside) <= most


# ---------------------------------------------------------------- several metrics


def test_variances_are_moderated_within_a_metric() -> None:
    """A table of PR-AUCs and errors is judged as the two tables would be, but for the number of
    tasks that Benjamini and Hochberg count.
    """
    random = np.random.default_rng(0)
    small, large = random.normal(0, 0.01, (5, 6)), random.normal(0, 3.0, (5, 4))
    both = np.hstack([small, large])[:, order := random.permutation(10)]
    units = np.array(["PR-AUC"] * 6 + ["MSE"] * 4)[order].tolist()
    found, needed = paired_test(both, 0.1, units=units), standard_errors(both, 0.1, units)
    for name, alone in (("PR-AUC", small), ("MSE", large)):
        own = [u == name for u in units]
        sequence = [i for i in order if (i < 6) == (name == "PR-AUC")]
        place = [i % 6 if i < 6 else i - 6 for i in sequence]
        single = paired_test(alone, 0.1)
        np.testing.assert_allclose(found.low[own], single.low[place], rtol=1e-12)
        np.testing.assert_allclose(found.p[own], single.p[place], rtol=1e-12)
        np.testing.assert_allclose(needed[own], standard_errors(alone, 0.1)[place], rtol=1e-12)
    pooled = paired_test(both, 0.1)
    assert not np.allclose(pooled.p, found.p)
