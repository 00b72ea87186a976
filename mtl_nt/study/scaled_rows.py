"""Which rows of two tables are the same, where each table has been scaled by rows of its own.

A column of one table is then a straight line of the same column of the other, and nobody knows
which. We guess the lines from means and deviations, pair each row with the nearest one, fit the
lines again to the best pairs, and go on (iterated closest points; Besl and McKay 1992). Rows that
are the same end at a distance of 0 but for rounding; rows that are new do not.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..networks import generator

SAMPLED = 128  # rows that are paired
FEWEST = 8  # rows, below which lines may fit by chance
ROUNDS = 12
SLOWEST = 0.95  # of the last distance: the same rows come closer faster than this
BEST = 0.4  # of the pairs, to which lines are fitted: more rows than these are the same, if any are
STEEPEST = 5.0  # and 1 / 5 the flattest; flatter lines would lead all rows to one
CLOSE = 3e-5  # deviations of a column: the rounding of single precision, and of a scaler
DISTINCT = 0.5  # of the rows, from which a column has many values
CHANCE = 0.1  # of the rows; where so many lie close to another of their own table, nothing is said


def pair_scaled_rows(
    one: Float[Tensor, "N C"], other: Float[Tensor, "M C"], least: float
) -> tuple[Int[Tensor, " S"], Int[Tensor, " S"], bool] | None:
    """Rows of one table and the same rows of the other, if columns are scaled anew.

    Args:
        one: a table; NaN is a missing cell, and columns with one are left out.
        other: another table with the same columns.
        least: the share of the rows that must be in both.

    Returns:
        Of a sample of rows, those that are in both tables, by their number in each, and whether
        all are; None where fewer than `least` are, or where rows of one table are alike.

    >>> rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> first, second, every = pair_scaled_rows(rows, 2 * rows.flip(0) + 1, least=0.5)
    >>> every, bool((first + second == 99).all())
    (True, True)
    >>> pair_scaled_rows(rows, torch.randn(100, 3), least=0.5) is None
    True
    """
    if min(len(one), len(other)) < FEWEST or one.shape[1] == 0:
        return None
    tables = [table.double() for table in (one, other)]
    kept = torch.stack([table.isfinite().all(0) & (table.std(0) > 0) for table in tables]).all(0)
    if not kept.any():
        return None
    a, b = ((table[:, kept] - table[:, kept].mean(0)) / table[:, kept].std(0) for table in tables)
    single = without_copies(a)
    if single is None:
        return None
    order = torch.from_numpy(generator(0, "search").permutation(len(single))[:SAMPLED])
    chosen, close = single[order], CLOSE * a.shape[1] ** 0.5
    rows = a[chosen]
    twin = torch.cdist(rows, a[single]).topk(2, largest=False).values[:, 1]  # after the row itself
    if (twin <= close).double().mean() >= CHANCE:
        return None
    moved, last = rows, torch.inf
    for _ in range(ROUNDS):
        distance, nearest = torch.cdist(moved, b).min(1)
        same = distance <= close
        if len(nearest[same].unique()) >= least * len(rows):
            return chosen[same], nearest[same], bool(same.all())
        best = distance.argsort()[: max(FEWEST, int(BEST * len(rows)))]
        if not float(distance[best].mean()) < SLOWEST * last:
            return None
        last = float(distance[best].mean())
        moved = _fitted(rows[best], b[nearest[best]], rows)
    return None


def without_copies(rows: Float[Tensor, "N C"]) -> Int[Tensor, " K"] | None:
    """The first of each row and its copies; None where rows are alike because values are few.

    Rows that are drawn with replacement have copies too, though a column of them has many values.
    """
    kinds = rows.unique(dim=0, return_inverse=True)[1]
    first = torch.full((int(kinds.max()) + 1,), len(rows)).scatter_reduce(
        0, kinds, torch.arange(len(rows)), "amin"
    )
    if len(first) > (1 - CHANCE) * len(rows):
        return first
    values = max(len(column.unique()) for column in rows.T)
    return first if values >= DISTINCT * len(rows) else None


def _fitted(
    x: Float[Tensor, "K C"], y: Float[Tensor, "K C"], rows: Float[Tensor, "S C"]
) -> Float[Tensor, "S C"]:
    """The rows on the straight lines, one for each column, that lead from x to y."""
    centred = x - x.mean(0)
    slope = (centred * (y - y.mean(0))).sum(0) / centred.square().sum(0).clamp(min=1e-300)
    return y.mean(0) + (rows - x.mean(0)) * slope.clamp(1 / STEEPEST, STEEPEST)
