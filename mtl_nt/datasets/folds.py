"""Folds: which rows a run trains on, which it validates on and which it is tested on."""

from __future__ import annotations

import heapq

import numpy as np
from jaxtyping import Bool, Int, Int16

from ..streams import generator


def folds(
    count: int, number: int, division: int, group: Int[np.ndarray, " N"] | None = None
) -> Int16[np.ndarray, " N"]:
    """The fold of every row in this division.

    By group, the largest is placed first, each into the fold with the fewest rows; among groups of
    one size the order is drawn.

    Args:
        count: rows.
        number: of folds.
        division: which of the divisions, the seed of what is drawn.
        group: every row's group, a number from 0; rows of one group share a fold.
    """
    random = generator(division, "split")
    fold = np.empty(count, np.int16)
    if group is None:
        fold[random.permutation(count)] = np.arange(count) % number
        return fold
    sizes = np.bincount(group)
    drawn = random.permutation(len(sizes))
    filled = [(0, k) for k in range(number)]
    place = np.empty(len(sizes), np.int16)
    for s in drawn[np.argsort(-sizes[drawn], kind="stable")]:
        held, k = filled[0]
        place[s] = k
        heapq.heapreplace(filled, (held + int(sizes[s]), k))
    return place[group]


def rotation(
    fold: Int16[np.ndarray, " N"], number: int, first: int
) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Training, validation and test rows: all folds from `first` on but two, then one, then one."""
    train = np.isin(fold, [(first + k) % number for k in range(number - 2)])
    return train, fold == (first + number - 2) % number, fold == (first + number - 1) % number
