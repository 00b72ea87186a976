"""Scores of targets that are trained as logarithms, in the unit in which they were measured."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from ..tasks import TaskData

MAE_ORIGINAL, R2_ORIGINAL = "MAE (original units)", "R2 (original units)"
ORIGINAL = (MAE_ORIGINAL, R2_ORIGINAL)
"""The metrics of this module. They judge no task: where a target has a heavy tail, a few rows
decide them."""


def has_logarithms(data: TaskData) -> bool:
    """Whether a task is trained as a logarithm.

    >>> from mtl_nt import load
    >>> has_logarithms(load("dial"))
    False
    """
    return any(form.log for form in data.forms or ())


def original_scores(
    data: TaskData,
    y: Float[np.ndarray, "N T"],
    predicted: Float[np.ndarray, "N T"],
    weight: Float[np.ndarray, "N T"] | None = None,
) -> dict[str, Float[np.ndarray, " T"]]:
    """Mean absolute error and R2 in the original unit, `[T]`; NaN for tasks without a logarithm.

    R2 is NaN where all labels are equal.

    A prediction of a logarithm is turned back as it is: 10 to its power. That is the median of what
    it expects, and below the mean.

    Args:
        y: the labels, NaN where missing.
        predicted: predictions of the labels, in the unit of the labels.
        weight: of each label; by default all count alike.

    Returns:
        Scores by the name of the metric; nothing where no task has a logarithm.
    """
    if not has_logarithms(data):
        return {}
    table = {name: np.full(y.shape[1], math.nan) for name in ORIGINAL}
    for t, form in enumerate(data.forms or ()):
        labelled = ~np.isnan(y[:, t])
        guess = predicted[labelled, t]
        if not form.log or not labelled.any() or not np.isfinite(guess).all():
            continue
        truth, guess = form.measured(y[labelled, t]), form.measured(guess)
        w = None if weight is None else weight[labelled, t]
        table[MAE_ORIGINAL][t] = np.average(np.abs(truth - guess), weights=w)
        centred = truth - np.average(truth, weights=w)
        variance = np.average(np.square(centred), weights=w)
        if truth.min() < truth.max() and variance > 0:  # equal labels have a rounded mean
            with np.errstate(over="ignore"):
                r2 = 1 - np.average(np.square((truth - guess) / np.sqrt(variance)), weights=w)
            table[R2_ORIGINAL][t] = r2 if np.isfinite(r2) else math.nan
    return table
