"""Scores of every task on held-out rows; they are the same as scikit-learn's."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..tasks import TaskData

PR_AUC, ROC_AUC, ERROR = "PR-AUC", "ROC-AUC", "error"
MSE, MSE_RAW, R2, RAE = "MSE", "MSE (raw)", "R2", "RAE"
MAE, SPEARMAN = "MAE", "Spearman"
LOWER_IS_BETTER = frozenset({ERROR, MSE, MSE_RAW, RAE, MAE})


def metric_names(data: TaskData) -> tuple[str, ...]:
    """The metrics that `scores` gives for these data, in order.

    >>> from mtl_nt import load
    >>> metric_names(load("digits"))
    ('PR-AUC', 'ROC-AUC', 'error')
    """
    names = [PR_AUC, ROC_AUC, *([ERROR] if data.exclusive else [])] if data.binary.any() else []
    return (*names, *([MSE, MSE_RAW, R2, RAE, MAE, SPEARMAN] if not data.binary.all() else []))


def primary_metrics(data: TaskData) -> dict[str, str]:
    """The metric by which every task is judged: PR-AUC of binary tasks, MSE of the others.

    >>> from mtl_nt import load
    >>> set(primary_metrics(load("digits")).values())
    {'PR-AUC'}
    """
    return dict(
        zip(data.tasks, (PR_AUC if k == "binary" else MSE for k in data.kinds), strict=True)
    )


def scores(
    data: TaskData, part: Literal["validation", "test"], outputs: Float[Tensor, "N T"]
) -> dict[str, np.ndarray]:
    """Scores of every task, `[T]`, by the name of the metric; NaN where a task is not scored.

    Binary tasks have PR-AUC (average precision) and ROC-AUC over their labelled rows. They are not
    scored where these rows do not have both classes. Regression tasks have MSE in the task's unit,
    MSE and MAE as measured, R2, RAE (the absolute error relative to that of the test rows' mean)
    and Spearman's rank correlation. Exclusive tasks also have "error": 1 minus the recall of the
    class when each row is given the class with the largest output.

    Args:
        part: which rows of the split the outputs belong to.
        outputs: logits of binary tasks; of regression tasks the targets as trained on. Rows past
            those of the split are left out.

    Outputs that are the truth are perfect:

    >>> from mtl_nt import load
    >>> data = load("digits")
    >>> float(scores(data, "test", data.y[data.split.test])["PR-AUC"].min())
    1.0
    """
    rows = getattr(data.split, part)
    y = data.y[rows].double().numpy()
    out = outputs.detach().cpu().double()[: len(rows)]
    mean, unit = data.scale
    if data.standardise:
        out = out * unit + mean
    predicted = out.numpy()
    table = {name: np.full(len(data.tasks), math.nan) for name in metric_names(data)}
    both = (y == 0).any(0) & (y == 1).any(0) & np.isfinite(predicted).all(0)
    complete = np.flatnonzero(data.binary.numpy() & both & ~np.isnan(y).any(0))
    if len(complete):  # binary tasks with every label are scored together
        pair = y[:, complete], predicted[:, complete]
        table[PR_AUC][complete], table[ROC_AUC][complete] = (
            _average_precision(*pair),
            _roc_auc(*pair),
        )
    for t, kind in enumerate(data.kinds):
        if t in complete:
            continue
        labelled = ~np.isnan(y[:, t])
        truth, guess = y[labelled, t], predicted[labelled, t]
        if len(truth) == 0 or not np.isfinite(guess).all():
            continue
        if kind == "binary":
            if 0 < truth.sum() < len(truth):
                table[PR_AUC][t] = _average_precision(truth, guess)
                table[ROC_AUC][t] = _roc_auc(truth, guess)
        else:
            squared = float(np.square(truth - guess).mean())
            table[MSE][t], table[MSE_RAW][t] = squared / float(unit[t]) ** 2, squared
            absolute = table[MAE][t] = np.abs(truth - guess).mean()
            if truth.var() > 0:
                table[R2][t] = 1 - squared / truth.var()
                spread = np.abs(truth - truth.mean()).mean()
                table[RAE][t] = absolute / spread
                table[SPEARMAN][t] = _rank_correlation(truth, guess)
    if data.exclusive and np.isfinite(predicted).all():
        chosen = predicted.argmax(1)
        for t in range(len(data.tasks)):
            if (y[:, t] == 1).any():
                table[ERROR][t] = 1 - (chosen[y[:, t] == 1] == t).mean()
    return table


def _average_precision(
    truth: Float[np.ndarray, "N ..."], guess: Float[np.ndarray, "N ..."]
) -> Float[np.ndarray, "..."]:
    """The mean over the positive rows of the precision among the rows that score no lower.

    It is what scikit-learn's average_precision_score gives, without the cost of one call per task.
    """
    from scipy.stats import rankdata

    positives = np.take_along_axis(truth, np.argsort(-guess, axis=0), 0).cumsum(0)
    rows = rankdata(-guess, "max", axis=0).astype(int)  # that score no lower than each
    precision = np.take_along_axis(positives, rows - 1, 0) / rows
    return np.asarray((truth * precision).sum(0) / truth.sum(0))


def _rank_correlation(truth: Float[np.ndarray, " N"], guess: Float[np.ndarray, " N"]) -> float:
    """Spearman's correlation of ranks; 0 for a guess without any order, such as a constant."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(truth), rankdata(guess)])
    ranks -= ranks.mean(1, keepdims=True)
    norms = np.sqrt(np.square(ranks).sum(1))
    return float(ranks[0] @ ranks[1] / norms.prod()) if norms.all() else 0.0


def _roc_auc(
    truth: Float[np.ndarray, "N ..."], guess: Float[np.ndarray, "N ..."]
) -> Float[np.ndarray, "..."]:
    """The share of pairs in the right order, from ranks (Mann and Whitney).

    It is what scikit-learn's roc_auc_score gives.
    """
    from scipy.stats import rankdata

    positive = truth.sum(0)
    above = (rankdata(guess, axis=0) * truth).sum(0) - positive * (positive + 1) / 2
    return np.asarray(above / (positive * (len(truth) - positive)))


def primary_score(kind: str, truth: Float[np.ndarray, " N"], guess: np.ndarray) -> float:
    """The primary metric of one task, signed so that higher is better; NaN where it is not scored.

    A guess that is not finite scores -inf. Without a score it would be left out of a mean over
    tasks, and raise the mean.

    Args:
        kind: "binary" or "regression".
        truth: labels, or targets in the task's unit; NaN where missing.
        guess: logits, or predictions in the same unit.

    >>> primary_score("regression", np.array([1.0, 3.0, np.nan]), np.array([1.0, 1.0, 9.0]))
    -2.0
    """
    labelled = ~np.isnan(truth)
    truth, guess = truth[labelled], guess[labelled]
    if not np.isfinite(guess).all():
        return -math.inf
    if kind == "binary":
        scored = 0 < truth.sum() < len(truth)
        return float(_average_precision(truth, guess)) if scored else math.nan
    return -float(np.square(truth - guess).mean()) if len(truth) else math.nan


def constant_outputs(data: TaskData, rows: int) -> Float[Tensor, "N T"]:
    """What a predictor that ignores the features predicts: the training mean, or the prevalence.

    Args:
        rows: number of rows to predict, `N`.

    >>> from mtl_nt import load
    >>> constant_outputs(load("digits"), rows=3).shape
    torch.Size([3, 10])
    """
    train = data.y[data.split.train].double()
    mean = train.nanmean(0)
    if data.standardise:
        centre, unit = data.scale
        mean = (mean - centre) / unit
    return torch.where(data.binary, torch.logit(mean.clamp(1e-9, 1 - 1e-9)), mean).expand(rows, -1)
