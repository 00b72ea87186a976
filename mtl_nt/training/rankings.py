"""Scores that depend on the order of the rows alone, of many tasks at once.

Every table here has one row for each task and one column for each row of the data. A label of
weight 0 does not count, so tasks with different labels are ranked together, without a loop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Ranking(NamedTuple):
    """The labels of every task from the highest guess to the lowest, those that do not count last.

    >>> truth, guess = np.array([[1.0, 0.0, 1.0]]), np.array([[0.9, 0.8, 0.8]])
    >>> ranking = Ranking.of(truth, guess, np.ones((1, 3)))
    >>> ranking.average_precision().round(3), ranking.roc_auc()
    (array([0.833]), array([0.75]))
    """

    hit: Float[np.ndarray, "T N"]  # the weight of a positive label, else 0
    weight: Float[np.ndarray, "T N"]
    ties: _Ties

    @classmethod
    def of(
        cls,
        truth: Float[np.ndarray, "T N"],
        guess: Float[np.ndarray, "T N"],
        weight: Float[np.ndarray, "T N"],
    ) -> Ranking:
        """Rank the labels.

        Args:
            truth: 0 or 1.
            guess: finite where a weight is above 0.
            weight: of each label; 0 where there is none.
        """
        ties = _ties(-guess, weight > 0)
        weight = np.take_along_axis(weight, ties.order, 1)
        return cls(np.take_along_axis(truth, ties.order, 1) * weight, weight, ties)

    def average_precision(self) -> Float[np.ndarray, " T"]:
        """The mean over the positive rows of the precision among the rows that score no lower.

        It is what scikit-learn's average_precision_score gives.
        """
        positives, rows = (self._no_lower(of) for of in (self.hit, self.weight))
        precision = positives / np.where(self.hit > 0, rows, 1.0)
        return np.asarray((self.hit * precision).sum(1) / self.hit.sum(1))

    def roc_auc(self) -> Float[np.ndarray, " T"]:
        """The share of pairs of a positive and a negative row in the right order; a tie is a half.

        It is what scikit-learn's roc_auc_score gives.
        """
        negative = self.weight - self.hit
        up_to = negative.cumsum(1)
        no_lower = np.take_along_axis(up_to, self.ties.last, 1)
        higher = np.take_along_axis(up_to - negative, self.ties.first, 1)
        below = 2 * up_to[:, -1:] - no_lower - higher  # twice, as a tie is a half
        return np.asarray((self.hit * below).sum(1) / (2 * self.hit.sum(1) * up_to[:, -1]))

    def _no_lower(self, of: Float[np.ndarray, "T N"]) -> Float[np.ndarray, "T N"]:
        """The sum over the labels whose guess is no lower than that of each."""
        return np.take_along_axis(of.cumsum(1), self.ties.last, 1)


def rank_correlation(
    truth: Float[np.ndarray, "T N"],
    guess: Float[np.ndarray, "T N"],
    there: Bool[np.ndarray, "T N"],
) -> Float[np.ndarray, " T"]:
    """Spearman's correlation of ranks; 0 for a guess without any order, such as a constant.

    Args:
        there: which labels count; they all count alike.

    >>> rows = np.array([[1.0, 2.0, 3.0]])
    >>> rank_correlation(rows, -rows, np.ones((1, 3), bool))
    array([-1.])
    """
    ranks = [_ranks(values, there) for values in (truth, guess)]
    count = there.sum(1, keepdims=True)
    centred = [np.where(there, r - r.sum(1, keepdims=True) / count, 0.0) for r in ranks]
    norm = np.sqrt(np.prod([np.square(c).sum(1) for c in centred], axis=0))
    return np.asarray((centred[0] * centred[1]).sum(1) / np.where(norm > 0, norm, 1.0))


def _ranks(
    values: Float[np.ndarray, "T N"], there: Bool[np.ndarray, "T N"]
) -> Float[np.ndarray, "T N"]:
    """The rank of every value among those that count, from 1; the mean rank of ties; else 0."""
    ties = _ties(values, there)
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, ties.order, 1 + (ties.first + ties.last) / 2, 1)
    return np.where(there, ranks, 0.0)


class _Ties(NamedTuple):
    """Values in rising order, those that do not count at the end; and where equal ones stand."""

    order: Int[np.ndarray, "T N"]
    first: Int[np.ndarray, "T N"]  # place of the first value that is equal
    last: Int[np.ndarray, "T N"]


def _ties(values: Float[np.ndarray, "T N"], there: Bool[np.ndarray, "T N"]) -> _Ties:
    key = np.where(there, values, np.inf)
    order = np.argsort(key, axis=1)
    key = np.take_along_axis(key, order, 1)
    place = np.arange(key.shape[1])
    changes = key[:, 1:] != key[:, :-1]
    edge = np.ones((len(key), 1), bool)
    first = np.where(np.concatenate([edge, changes], 1), place, 0)
    last = np.where(np.concatenate([changes, edge], 1), place, place[-1])
    return _Ties(
        order,
        np.maximum.accumulate(first, axis=1),
        np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1],
    )
