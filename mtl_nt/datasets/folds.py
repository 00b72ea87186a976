"""Cross-validation folds: which rows a run trains on, validates on and is tested on.

`assign_folds` puts every row into a fold. With K folds, seed s takes repeat s // K and rotates its
folds by s % K: K runs in a row, which are a round, test on every row once.

`split_round` shares the folds of a user's table out, and 5 folds give 70 % of the rows to train on,
10 % to validate and 20 % to test. `split_folds` shares out those of the molecules that come with
the package, as their papers do: 60, 20 and 20 %.
"""

from __future__ import annotations

import heapq

import numpy as np
from jaxtyping import Bool, Int, Int16

from ..networks import generator


def assign_folds(
    rows: int, folds: int, repeat: int, group: Int[np.ndarray, " N"] | None = None
) -> Int16[np.ndarray, " N"]:
    """Assign every row to a fold, at random or by group.

    Groups are placed from the largest to the smallest, each into the fold with the fewest rows so
    far. Groups of one size come in random order.

    Args:
        rows: the number of rows.
        folds: the number of folds.
        repeat: which of the random assignments; it is the seed.
        group: the group of every row, a number from 0. Rows of one group share a fold.

    Returns:
        The fold of every row, from 0 to `folds` - 1.

    >>> assign_folds(6, 3, repeat=0, group=np.array([0, 0, 1, 1, 2, 2])).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    random = generator(repeat, "split")
    fold = np.empty(rows, np.int16)
    if group is None:
        fold[random.permutation(rows)] = np.arange(rows) % folds
        return fold
    sizes = np.bincount(group)
    shuffled = random.permutation(len(sizes))
    fold_sizes = [(0, k) for k in range(folds)]  # a heap with the smallest fold first
    fold_of_group = np.empty(len(sizes), np.int16)
    for g in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        size, k = fold_sizes[0]
        fold_of_group[g] = k
        heapq.heapreplace(fold_sizes, (size + int(sizes[g]), k))
    return fold_of_group[group]


def split_folds(
    fold: Int16[np.ndarray, " N"], folds: int, first: int
) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Mark the training, validation and test rows of one rotation of the folds.

    Args:
        fold: the fold of every row.
        folds: the number of folds.
        first: the first training fold. The training takes all folds from there on but two; the next
            one is for validation, and the last one for the test.

    >>> [np.flatnonzero(part).tolist() for part in split_folds(np.arange(5, dtype=np.int16), 5, 3)]
    [[0, 3, 4], [1], [2]]
    """
    train = np.isin(fold, [(first + k) % folds for k in range(folds - 2)])
    return train, fold == (first + folds - 2) % folds, fold == (first + folds - 1) % folds


def split_round(
    fold: Int16[np.ndarray, " N"],
    folds: int,
    seed: int,
    group: Int[np.ndarray, " N"] | None = None,
) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Mark the training, validation and test rows of one run of a repeated cross-validation.

    Run s tests on fold s % `folds`. It validates on half of the next fold, which are whole groups.
    It trains on all other rows. A fold with one group alone cannot be halved, and validates whole.

    Args:
        fold: the fold of every row, in the round `seed` // `folds`.
        folds: the number of folds.
        seed: the number of the run.
        group: the group of every row, a number from 0.

    >>> fold = np.arange(10, dtype=np.int16) % 5
    >>> [int(part.sum()) for part in split_round(fold, 5, seed=3)]
    [7, 1, 2]
    >>> tested = sum(split_round(fold, 5, seed)[2].astype(int) for seed in range(5))
    >>> tested.tolist()  # every row once
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    repeat, first = divmod(seed, folds)
    test = fold == first
    members = np.flatnonzero(fold == (first + 1) % folds)
    inside = None if group is None else np.unique(group[members], return_inverse=True)[1]
    # Never the draw that made the folds, which has `repeat` for its seed.
    half = assign_folds(len(members), 2, _HALVES + seed, inside)
    validation = np.zeros(len(fold), dtype=bool)
    validation[members[half == 0]] = True
    return ~(test | validation), validation, test


_HALVES = 2**31
"""The seed from which on the halves of folds are drawn."""
