"""Folds that share out rare labels evenly, so that a target with few positives has some in each.

Source: K. Sechidis, G. Tsoumakas and I. Vlahavas, On the Stratification of Multi-Label Data, ECML
PKDD 2011. Here only rare labels are shared out so, and rows of one group stay together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int, Int16

from ..networks import generator
from ..tasks import TaskKind
from .folds import assign_folds

RARE = 5  # labels per fold; with more, folds at random are even enough


def rare_labels(
    y: Float32[np.ndarray, "N T"], kinds: Sequence[TaskKind], folds: int
) -> Bool[np.ndarray, "N labels"]:
    """Mark where the rare labels are: of rare classes, and of targets with few labels at all.

    Of a binary target, the rarer class is marked. Of a target of classes, each class may be rare.

    >>> y = np.array([[1.0]] * 9 + [[0.0]] * 91, np.float32)
    >>> rare_labels(y, ["binary"], folds=3).sum(0).tolist()
    [9]
    """
    most = RARE * folds
    found = []
    for t, kind in enumerate(kinds):
        known = ~np.isnan(y[:, t])
        if kind == "binary":
            one = y[:, t] == 1
            rarer = one if 2 * one.sum() <= known.sum() else known & ~one
            if rarer.sum() <= most:
                found.append(rarer)
        if kind == "classes":
            every = [y[:, t] == number for number in range(int(np.nanmax(y[:, t])) + 1)]
            found += [one for one in every if one.sum() <= most]
        if known.sum() <= most and not known.all():
            found.append(known)
    return np.stack(found, 1) if found else np.zeros((len(y), 0), bool)


def assign_stratified(
    rare: Bool[np.ndarray, "N labels"],
    folds: int,
    repeat: int,
    group: Int[np.ndarray, " N"] | None = None,
) -> Int16[np.ndarray, " N"]:
    """Assign every row to a fold, so that each rare label is in as many folds as it can be.

    The rarest label is shared out first. Each of its rows goes into the fold that has the fewest of
    them. Rows without a rare label fill the folds up.

    Args:
        rare: where the rare labels are. Without any, the folds are those of `assign_folds`.
        folds: the number of folds.
        repeat: which of the random assignments.
        group: the group of every row, a number from 0. Rows of one group share a fold.

    Returns:
        The fold of every row, from 0 to `folds` - 1.

    >>> rare = np.zeros((20, 1), bool)
    >>> rare[:5] = True
    >>> sorted(assign_stratified(rare, 5, repeat=0)[:5].tolist())
    [0, 1, 2, 3, 4]
    """
    if not rare.any():
        return assign_folds(len(rare), folds, repeat, group)
    unit = np.arange(len(rare)) if group is None else group
    rows = np.bincount(unit)
    counts = np.zeros((len(rows), rare.shape[1]), np.int64)
    np.add.at(counts, unit, rare)
    random = generator(repeat, "split")
    order = random.permutation(len(rows))
    fold = np.full(len(rows), -1, np.int16)
    has, sizes = np.zeros((folds, rare.shape[1]), np.int64), np.zeros(folds, np.int64)
    left = counts.sum(0)
    while left.any():
        label = int(np.where(left > 0, left, left.max() + 1).argmin())
        waiting = order[(fold[order] < 0) & (counts[order, label] > 0)]
        for u in waiting[np.argsort(-counts[waiting, label], kind="stable")]:
            k = np.lexsort((random.permutation(folds), sizes, has[:, label]))[0]
            fold[u] = k
            has[k] += counts[u]
            left -= counts[u]
            sizes[k] += rows[u]
    others = order[fold[order] < 0]
    for u in others[np.argsort(-rows[others], kind="stable")]:
        k = int(sizes.argmin())
        fold[u] = k
        sizes[k] += rows[u]
    return fold[unit]
