"""Targets that may not be what they seem: classes that are numbered, heavy tails, and giveaways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int

from ..tasks import TaskKind
from .cells import Cells
from .column_roles import Roles, shortlist
from .remarks import Remarks
from .sheets import quoted

MOST_CLASSES = 30  # different numbers of a target that may be classes in no order
ROWS_PER_CLASS = 8  # on average, and at least two
MOST_GRADES = 10  # different numbers of a target that may be classes, or grades in their order
ROWS_PER_GRADE = 4  # on average
LOOK_AT = 1_000  # rows on which ranks are compared first
GIVEAWAY = 0.99  # a rank correlation above it
SCREENED = 0.97  # and what the first comparison must show
FEWEST_ROWS = 20
MOST_VALUES = 10  # of a category that gives a target away
FEWEST_OTHERS = 5  # rows without the most frequent value
SKEW = 3.0  # of a heavy tail
TAIL = 10.0  # the 95th percentile of a heavy tail, as a multiple of the median


def check_classes(
    cells: Cells,
    roles: Roles,
    kinds: Sequence[TaskKind],
    columns: Int[np.ndarray, " columns"],
    asked_already: set[str],
    remarks: Remarks,
) -> None:
    """Ask about targets of few whole numbers, which may be numbered classes.

    Ten numbers or fewer, such as grades from 1 to 5, are always asked about. More are asked about
    where they come in no order. The order is judged by the features: of what the values of the
    target say about the features, a straight line must say half.

    Args:
        cells: the rows.
        roles: the roles of the columns.
        kinds: the kind of every target.
        columns: the features of numbers that vary.
        asked_already: targets with another question.
        remarks: gets the questions.
    """
    x: Float64[np.ndarray, "n F"] | None = None
    rows = np.arange(0, len(cells.y), max(1, len(cells.y) // LOOK_AT))
    known_numbers = roles.regression | roles.keep | roles.log
    mixed, grades = dict[str, int](), dict[str, int]()  # how many values each target has
    for t, name in enumerate(roles.targets):
        if kinds[t] != "regression" or name in known_numbers | asked_already:
            continue
        labels = cells.y[rows, t]
        known = ~np.isnan(labels)
        values, codes, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
        k = len(values)
        if not 3 <= k <= MOST_CLASSES or (values != np.rint(values)).any():
            continue
        classes = k <= len(codes) / ROWS_PER_CLASS and counts.min() > 1
        if len(columns) and classes and np.diff(values).max() <= 1:
            if x is None:
                x = _ranks(cells.numbers[np.ix_(rows, columns)].astype(np.float64))
            if _out_of_order(x[known], values, codes, counts):
                mixed[name] = k
                continue
        if k <= min(MOST_GRADES, len(codes) / ROWS_PER_GRADE):
            grades[name] = k
    for found, are, said in (
        (mixed, "in no order, as numbered classes are", "come in no order"),
        (grades, "that may be numbered classes", "may be classes"),
    ):
        if not found:
            continue
        asked, many = [*found], {*found.values()}
        words = f"{many.pop()} values" if len(many) == 1 else "few values"
        which = quoted(roles.targets_pattern(asked) or ",".join(asked), 36)
        remarks.ask(
            f"targets of few whole numbers {are}: {shortlist(asked, 3)} ({words}); --classes "
            f"{which}, or --regression {which} if their order and distance count",
            f"Read as numbers, though their {words} {said}: {shortlist(asked)}.",
            "classes",
            asked,
        )


def _out_of_order(
    x: Float64[np.ndarray, "n F"],
    values: Float[np.ndarray, " k"],
    codes: np.ndarray,
    counts: np.ndarray,
) -> bool:
    """Tell whether the features differ among the values, and not as a straight line says."""
    n, k = len(x), len(values)
    sums = np.zeros((k, x.shape[1]))
    np.add.at(sums, codes, x)
    total = (x**2).sum(0) - n * x.mean(0) ** 2
    total = np.where(total > 0, total, np.inf)
    between = (sums**2 / counts[:, None]).sum(0) - n * x.mean(0) ** 2
    line = np.arange(k)[codes] - np.arange(k)[codes].mean()
    straight = (line @ x) ** 2 / (line**2).sum()
    eta, r2 = between / total, straight / total
    # What chance alone gives is taken off: k - 1 and 1 degrees of freedom of n - 1.
    eta, r2 = eta - (k - 1) / (n - 1), r2 - 1 / (n - 1)
    sd = np.sqrt(2 * (k - 1)) / (n - 1)
    telling = eta > 4 * sd * (1 + np.log10(max(1, x.shape[1])) / 2)
    return bool(telling.any() and r2[telling].sum() < 0.5 * eta[telling].sum())


def check_tails(cells: Cells, roles: Roles, kinds: Sequence[TaskKind], remarks: Remarks) -> None:
    """Note targets with a heavy tail, of which a few rows decide the squared error."""
    heavy = []
    for t, name in enumerate(roles.targets):
        if kinds[t] != "regression" or name in roles.log | roles.keep:
            continue
        labels = cells.y[:, t].astype(np.float64) + cells.offsets.get(name, 0.0)
        labels = labels[~np.isnan(labels)]
        if len(labels) >= FEWEST_ROWS and labels.min() >= 0 and has_heavy_tail(labels):
            heavy.append(name)
    if heavy:
        which = roles.targets_pattern(heavy) or ",".join(heavy[:3]) + ",..." * bool(heavy[3:])
        remarks.note(
            f"Heavy tails, so that a few rows decide the error: {shortlist(heavy)}; try "
            f"--log {quoted(which, 60)}.",
            "tails",
            heavy,
            matters=True,
        )


def has_heavy_tail(labels: Float64[np.ndarray, " n"]) -> bool:
    """Tell whether numbers of 0 or more are spread as powers are.

    >>> random = np.random.default_rng(0)
    >>> has_heavy_tail(10 ** random.normal(size=200)), has_heavy_tail(random.random(200))
    (True, False)
    """
    median, high = np.quantile(labels, (0.5, 0.95))
    if not 0 < TAIL * median < high:
        return False
    logs = np.log10(labels if labels.min() > 0 else 1 + labels)
    return bool(_skew(labels) > SKEW and abs(_skew(logs)) < _skew(labels) / 2)


def _skew(values: Float64[np.ndarray, " n"]) -> float:
    z = (values - values.mean()) / (values.std() or 1.0)
    return float((z**3).mean())


def check_giveaways(
    cells: Cells,
    roles: Roles,
    columns: Int[np.ndarray, " columns"],
    train: Bool[np.ndarray, " N"],
    asked_already: set[str],
    remarks: Remarks,
) -> None:
    """Ask about features whose ranks are those of a target, on the training rows.

    A category counts as the mean of the target in the other rows that have it. One of many values
    names groups of rows, and others ask about these.

    Args:
        cells: the rows.
        roles: the roles of the columns.
        columns: the features of numbers that vary.
        train: which rows are training rows.
        asked_already: columns with another question.
        remarks: gets the questions.
    """
    rows = np.flatnonzero(train)
    rows = rows[:: max(1, len(rows) // LOOK_AT)]
    passed = roles.keep | asked_already
    targets = np.array([t for t, name in enumerate(roles.targets) if name not in passed], int)
    columns = columns[[cells.names[c] not in passed for c in columns]]
    if len(rows) < FEWEST_ROWS or not len(targets):
        return
    y = cells.y[np.ix_(rows, targets)].astype(np.float64)
    found: list[tuple[str, str, float]] = []
    for category in cells.categories:
        if category.name in passed or len(category.values) > MOST_VALUES:
            continue
        for t in targets:
            exact = _category_correlation(category.codes[train], cells.y[train, t])
            if exact > GIVEAWAY:
                found.append((category.name, roles.targets[t], exact))
    for start in range(0, len(columns), 512):
        block = columns[start : start + 512]
        likely = np.abs(_correlations(cells.numbers[np.ix_(rows, block)].astype(np.float64), y))
        for f, t in np.argwhere(likely > SCREENED):
            name, target = cells.names[block[f]], roles.targets[targets[t]]
            pair = (cells.numbers[train, block[f]], cells.y[train, targets[t]])
            exact = _rank_correlation(*(p.astype(np.float64) for p in pair))
            if abs(exact) > GIVEAWAY:
                found.append((name, target, exact))
    for name, target, exact in found[:3]:
        remarks.ask(
            f"feature {quoted(name)} gives target {quoted(target)} away (rank correlation "
            f"{exact:.4f} on the training rows); --ignore {quoted(name)}, or --keep {quoted(name)} "
            "if it is known before the target",
            f"Kept, though it gives target {quoted(target)} away: feature {quoted(name)}.",
            "giveaway",
            [name, target],
        )
    if more := [*dict.fromkeys(name for name, _, _ in found[3:])]:
        remarks.ask(
            f"other features that give targets away: {shortlist(more)}; --ignore or --keep them",
            f"Kept, though they give targets away: {shortlist(more)}.",
            "giveaway",
            more,
        )


def _category_correlation(codes: Int[np.ndarray, " n"], y: Float32[np.ndarray, " n"]) -> float:
    """The rank correlation of a target with its mean in the other rows of the same category."""
    known = (codes >= 0) & ~np.isnan(y)
    codes, labels = codes[known].astype(np.int64), y[known].astype(np.float64)
    others = np.bincount(codes)[codes] - 1 if len(codes) else codes
    totals = np.bincount(codes, labels)[codes] - labels if len(codes) else labels
    means = np.where(others > 0, totals / np.maximum(others, 1), np.nan)
    means = means.astype(np.float32)  # so that sums of equal numbers are equal
    return _rank_correlation(means.astype(np.float64), labels)


def _correlations(
    x: Float64[np.ndarray, "n F"], y: Float64[np.ndarray, "n T"]
) -> Float32[np.ndarray, "F T"]:
    """Correlate ranks over the rows that have both, with ranks taken over all rows.

    Single precision is enough, since what seems close is computed again.
    """
    here, there = (~np.isnan(x)).astype(np.float32), (~np.isnan(y)).astype(np.float32)
    ranked, labels = _ranks(x).astype(np.float32), _ranks(y).astype(np.float32)

    def summed(table: Float32[np.ndarray, "n T"]) -> Float32[np.ndarray, "F T"]:
        """The sum over the rows in which a feature has a number."""
        if here.all():
            return np.broadcast_to(table.sum(0), (x.shape[1], y.shape[1]))
        return here.T @ table

    n = np.maximum(summed(there), 1)
    mean_x, mean_y = ranked.T @ there / n, summed(labels) / n
    var_x = (ranked**2).T @ there / n - mean_x**2
    var_y = summed(labels**2) / n - mean_y**2
    scale = np.sqrt(np.maximum(var_x * var_y, 0))
    enough = (n >= FEWEST_ROWS) & (scale > 1e-6)
    return np.where(
        enough, (ranked.T @ labels / n - mean_x * mean_y) / np.where(enough, scale, 1), 0
    )


def _ranks(x: Float64[np.ndarray, "n F"]) -> Float64[np.ndarray, "n F"]:
    """Rank every column, between -1 and 1, with 0 where a value is missing."""
    from scipy.stats import rankdata

    if not x.size:
        return np.zeros_like(x)
    ranks = rankdata(x, axis=0, nan_policy="omit")
    centred = ranks - np.nanmean(ranks, 0, keepdims=True)
    return np.nan_to_num(2 * centred / len(x))


def _rank_correlation(x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> float:
    known = ~(np.isnan(x) | np.isnan(y))
    pair = np.stack([x[known], y[known]], 1)
    if len(pair) < FEWEST_ROWS:
        return 0.0
    for column in pair.T:  # a few rows of a rare class agree by chance
        if len(column) - np.unique(column, return_counts=True)[1].max() < FEWEST_OTHERS:
            return 0.0
    a, b = _ranks(pair).T
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
