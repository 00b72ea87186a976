"""Scores of tasks that are judged by different metrics, made comparable before a mean chooses.

A mean squared error may differ by hundreds between two networks, and a PR-AUC by hundredths. Their
plain mean follows the error alone. So where tasks have several metrics, each task's scores are
counted in units of how much they usually differ.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..tasks import TaskData
from .metrics import primary_metrics

TO_SD = 1.4826
"""A standard deviation in units of the median absolute deviation, of a normal distribution."""


def has_several_metrics(data: TaskData) -> bool:
    """Whether tasks are judged by different metrics, so that a plain mean over them says nothing.

    >>> from mtl_nt import load
    >>> has_several_metrics(load("dial"))
    False
    """
    return len({*primary_metrics(data).values()}) > 1


def in_spreads(scores: Float[Tensor, "L *tasks"]) -> Float[Tensor, "L *tasks"]:
    """Scores of each task in units of their spread along the first axis.

    They are counted from their median. The spread is robust: 1.48 times the median distance from
    the median, or the standard deviation where most scores are equal. A difference of many spreads
    counts by its logarithm (asinh), so one task does not decide alone. The order of the scores of
    each task stays.

    Args:
        scores: of L choices, such as candidates or evaluations. NaN and infinite ones stay so.

    Three choices. The first task has an outlier, and both tasks vote alike for the others:

    >>> scores = torch.tensor([[1.0, 0.50], [2.0, 0.51], [-900.0, 0.49]])
    >>> in_spreads(scores).double().round(decimals=1).tolist()
    [[0.0, 0.0], [0.6, 0.6], [-7.1, -0.6]]
    """
    finite = torch.where(scores.isfinite(), scores, math.nan)
    distance = finite - finite.nanquantile(0.5, dim=0)
    spread = TO_SD * distance.abs().nanquantile(0.5, dim=0)
    sd = (finite - finite.nanmean(0)).square().nanmean(0).sqrt()
    spread = torch.where(spread > 0, spread, sd)
    found = (distance / torch.where(spread > 0, spread, 1.0)).asinh()
    return torch.where(scores.isfinite(), found, scores)
