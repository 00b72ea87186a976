"""Cross-validation folds: which rows a run trains on, validates on and is tested on.

`assign_folds` puts every row into a fold, and `split_folds` shares the folds out. With K folds,
seed s takes repeat s // K and rotates its folds by s % K: K runs in a row test on every row once.
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
