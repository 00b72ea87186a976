"""Scores of every task on held-out rows; they are the same as scikit-learn's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..tasks import TaskData
from .original_units import MAE_ORIGINAL, ORIGINAL, has_logarithms, original_scores
from .rankings import Ranking, rank_correlation

PR_AUC, ROC_AUC, ERROR = "PR-AUC", "ROC-AUC", "error"
MACRO_PR_AUC, LOG_LOSS, ACCURACY = "macro PR-AUC", "log loss", "accuracy"
MSE, MSE_RAW, R2, RAE = "MSE", "MSE (raw)", "R2", "RAE"
MAE, SPEARMAN = "MAE", "Spearman"
LOWER_IS_BETTER = frozenset({ERROR, LOG_LOSS, MSE, MSE_RAW, RAE, MAE, MAE_ORIGINAL})
AS_MEASURED = frozenset({MSE_RAW, MAE, MAE_ORIGINAL})
"""The metrics whose unit is that of the task's labels, as they were measured."""
PRIMARY = {"binary": PR_AUC, "classes": MACRO_PR_AUC, "regression": MSE}
"""The metric by which a task is judged, by its kind."""
OF_KIND = {
    "binary": (PR_AUC, ROC_AUC),
    "classes": (MACRO_PR_AUC, LOG_LOSS, ACCURACY),
    "regression": (MSE, MSE_RAW, R2, RAE, MAE, SPEARMAN),
}
AT_ONCE = 2**18  # labels that are scored at once: what a processor's cache holds


def metric_names(data: TaskData) -> tuple[str, ...]:
    """The metrics that `scores` gives for these data, in order.

    >>> from mtl_nt import load
    >>> metric_names(load("digits"))
    ('PR-AUC', 'ROC-AUC', 'error')
    """
    names: list[str] = []
    for kind, metrics in OF_KIND.items():
        names += metrics if kind in data.kinds else ()
        names += [ERROR] if kind == "binary" and data.exclusive else []
    return (*names, *(ORIGINAL if has_logarithms(data) else ()))


def primary_metrics(data: TaskData) -> dict[str, str]:
    """The metric by which every task is judged, see `PRIMARY`.

    >>> from mtl_nt import load
    >>> set(primary_metrics(load("digits")).values())
    {'PR-AUC'}
    """
    return dict(zip(data.tasks, (PRIMARY[kind] for kind in data.kinds), strict=True))


def scores(
    data: TaskData, part: Literal["validation", "test"], outputs: Float[Tensor, "N O"]
) -> dict[str, np.ndarray]:
    """Scores of every task, `[T]`, by the name of the metric; NaN where a task is not scored.

    Binary tasks have PR-AUC (average precision) and ROC-AUC over their labelled rows. They are not
    scored where these rows do not have both classes. Regression tasks have MSE in the task's unit,
    MSE and MAE as measured, R2, RAE (the absolute error relative to that of the test rows' mean)
    and Spearman's rank correlation. Exclusive tasks also have "error": 1 minus the recall of the
    class when each row is given the class with the largest output.

    Tasks of classes have "macro PR-AUC", log loss and accuracy. The first is the mean over classes
    of the average precision of one class against the rest. A class without a row in this part is
    left out of the mean, and with one class alone the task is not scored by it.

    Tasks that are trained as logarithms also have MAE and R2 in their original units.

    Where the data have weights, these count as scikit-learn's `sample_weight` does. Spearman's
    correlation counts all labelled rows alike.

    Args:
        part: which rows of the split the outputs belong to.
        outputs: logits of binary tasks; of regression tasks the targets as trained on; of a task of
            classes one logit for each class. Rows past those of the split are left out.

    Outputs that are the truth are perfect:

    >>> from mtl_nt import load
    >>> data = load("digits")
    >>> float(scores(data, "test", data.y[data.split.test])["PR-AUC"].min())
    1.0
    """
    rows = getattr(data.split, part)
    y = data.y[rows].double().T.contiguous().numpy()  # (T, N)
    weight = np.where(np.isnan(y), 0.0, 1.0)
    if data.weights is not None:
        weight = np.where(weight > 0, data.weights[rows].double().T.numpy(), 0.0)
    mean, unit = data.scale
    out = outputs.detach().cpu().double()[: len(rows)]
    if data.standardise:
        of_output = data.task_of_output
        out = out * unit[of_output] + mean[of_output]
    predicted = out.T.contiguous().numpy()  # (O, N)
    table = {name: np.full(len(data.tasks), math.nan) for name in metric_names(data)}
    start = np.cumsum((0, *data.outputs_per_task))
    kinds = np.array(data.kinds)
    for kind, scored in (("binary", _binary_scores), ("regression", _regression_scores)):
        for tasks in _blocks(np.flatnonzero(kinds == kind), len(rows)):
            found = scored(y[tasks], predicted[start[tasks]], weight[tasks], unit.numpy()[tasks])
            for name, values in found.items():
                table[name][tasks] = values
    for t in np.flatnonzero(kinds == "classes").tolist():
        own = _class_scores(y[t], predicted[start[t] : start[t + 1]], weight[t])
        for name, value in zip(OF_KIND["classes"], own, strict=True):
            table[name][t] = value
    table |= original_scores(data, y.T, predicted[start[:-1]].T, weight.T)
    if data.exclusive and np.isfinite(predicted).all():
        chosen = predicted.argmax(0)
        for t in range(len(data.tasks)):
            own_rows = (y[t] == 1) & (weight[t] > 0)
            if own_rows.any():
                right = (chosen[own_rows] == t).astype(float)
                table[ERROR][t] = 1 - np.average(right, weights=weight[t, own_rows])
    return table


def _blocks(tasks: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    """Tasks in portions that are scored at once."""
    size = max(1, AT_ONCE // max(1, rows))
    for first in range(0, len(tasks), size):
        yield tasks[first : first + size]


def _binary_scores(
    truth: Float[np.ndarray, "T N"],
    guess: Float[np.ndarray, "T N"],
    weight: Float[np.ndarray, "T N"],
    unit: Float[np.ndarray, " T"],
) -> dict[str, Float[np.ndarray, " T"]]:
    """PR-AUC and ROC-AUC; NaN without both classes, or with a guess that is not finite."""
    there = weight > 0
    both = ((truth == 0) & there).any(1) & ((truth == 1) & there).any(1)
    able = both & _finite(guess, there)
    found = {name: np.full(len(truth), math.nan) for name in OF_KIND["binary"]}
    if able.any():
        ranking = Ranking.of(np.where(there, truth, 0.0)[able], guess[able], weight[able])
        found[PR_AUC][able], found[ROC_AUC][able] = ranking.average_precision(), ranking.roc_auc()
    return found


def _regression_scores(
    truth: Float[np.ndarray, "T N"],
    guess: Float[np.ndarray, "T N"],
    weight: Float[np.ndarray, "T N"],
    unit: Float[np.ndarray, " T"],
) -> dict[str, Float[np.ndarray, " T"]]:
    """All scores of regression tasks; NaN without labels, or with a guess that is not finite.

    R2, RAE and Spearman's correlation are NaN where all labels are equal.
    """
    there = weight > 0
    able = there.any(1) & _finite(guess, there)
    found = {name: np.full(len(truth), math.nan) for name in OF_KIND["regression"]}
    there, weight, unit = there[able], weight[able], unit[able]
    truth, guess = (np.where(there, t[able], 0.0) for t in (truth, guess))
    total = weight.sum(1)

    def mean(values: Float[np.ndarray, "T N"]) -> Float[np.ndarray, " T"]:
        return np.asarray((weight * values).sum(1) / total)

    squared, absolute = mean(np.square(truth - guess)), mean(np.abs(truth - guess))
    gap = np.where(there, truth - mean(truth)[:, None], 0.0)
    variance = mean(np.square(gap))
    # By the labels themselves: the mean of equal labels is rounded, and leaves them a variance.
    lowest, highest = (np.where(there, truth, end) for end in (np.inf, -np.inf))
    varies = (lowest.min(1) < highest.max(1)) & (variance > 0)
    per = np.where(varies, variance, 1.0), np.where(varies, mean(np.abs(gap)), 1.0)
    found[MSE][able], found[MSE_RAW][able] = squared / unit**2, squared
    found[MAE][able] = absolute
    found[R2][able] = np.where(varies, 1 - squared / per[0], math.nan)
    found[RAE][able] = np.where(varies, absolute / per[1], math.nan)
    found[SPEARMAN][able] = np.where(varies, rank_correlation(truth, guess, there), math.nan)
    return found


def _class_scores(
    truth: Float[np.ndarray, " N"],
    logits: Float[np.ndarray, "C N"],
    weight: Float[np.ndarray, " N"],
) -> tuple[float, float, float]:
    """Macro PR-AUC, log loss and accuracy of one task; NaN where one cannot be had.

    As in scikit-learn, no probability in a log loss is below the precision of a number.
    """
    there = weight > 0
    truth, logits, weight = truth[there].astype(int), logits[:, there], weight[there]
    if not len(truth) or not np.isfinite(logits).all():
        return math.nan, math.nan, math.nan
    log_p = torch.from_numpy(logits).log_softmax(0).numpy()
    right = (logits.argmax(0) == truth).astype(float)
    of_label = log_p[truth, np.arange(len(truth))]
    least = math.log(np.finfo(float).eps)
    loss = -np.average(of_label.clip(least), weights=weight)
    classes = np.unique(truth)
    macro = math.nan
    if len(classes) > 1:
        hit = (truth == classes[:, None]).astype(float)
        every = np.broadcast_to(weight, hit.shape)
        macro = float(Ranking.of(hit, np.exp(log_p[classes]), every).average_precision().mean())
    return macro, float(loss), float(np.average(right, weights=weight))


def _finite(guess: Float[np.ndarray, "T N"], there: np.ndarray) -> np.ndarray:
    """Whether all guesses for labelled rows are finite, for every task."""
    return np.asarray((np.isfinite(guess) | ~there).all(1))


def primary_score(
    kind: str,
    truth: Float[np.ndarray, " N"],
    guess: np.ndarray,
    weight: Float[np.ndarray, " N"] | None = None,
) -> float:
    """The primary metric of one task, signed so that higher is better; NaN where it is not scored.

    A guess that is not finite scores -inf. Without a score it would be left out of a mean over
    tasks, and raise the mean.

    Args:
        kind: "binary", "regression" or "classes".
        truth: labels, or targets in the task's unit; NaN where missing.
        guess: logits, `[N]` or of classes `[N, C]`; or predictions in the same unit.
        weight: of each row; by default all count alike.

    >>> primary_score("regression", np.array([1.0, 3.0, np.nan]), np.array([1.0, 1.0, 9.0]))
    -2.0
    """
    weights = None if weight is None else weight[None]
    if kind != "classes":
        return float(primary_scores(kind, truth[None], guess[None], weights)[0])
    there = ~np.isnan(truth) & (True if weight is None else weight > 0)
    if not np.isfinite(guess[there]).all():
        return -math.inf
    every = there.astype(float) if weight is None else np.where(there, weight, 0.0)
    return _class_scores(truth, guess.T, every)[0]


def primary_scores(
    kind: str,
    truth: Float[np.ndarray, "T N"],
    guess: Float[np.ndarray, "T N"],
    weight: Float[np.ndarray, "T N"] | None = None,
) -> Float[np.ndarray, " T"]:
    """What `primary_score` gives, for several binary tasks or several regressions.

    >>> truth = np.array([[0.0, 1.0, np.nan], [1.0, 1.0, 0.0]])
    >>> primary_scores("binary", truth, np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])).round(2)
    array([1.  , 0.58])
    """
    weight = np.where(np.isnan(truth), 0.0, 1.0 if weight is None else weight)
    found = np.full(len(truth), math.nan)
    scored, metric = _binary_scores, PR_AUC
    if kind == "regression":
        scored, metric = _regression_scores, MSE
    for tasks in _blocks(np.arange(len(truth)), truth.shape[1]):
        some = truth[tasks], guess[tasks], weight[tasks], np.ones(len(tasks))
        found[tasks] = scored(*some)[metric]
    found = -found if kind == "regression" else found
    return np.where(_finite(guess, weight > 0), found, -math.inf)


def constant_outputs(data: TaskData, rows: int) -> Float[Tensor, "N O"]:
    """What a predictor that ignores the features predicts: the training mean, or the prevalence.

    Of a task of classes it is the logarithm of each class's share of the training labels. Weights
    of labels count.

    Args:
        rows: number of rows to predict, `N`.

    >>> from mtl_nt import load
    >>> constant_outputs(load("digits"), rows=3).shape
    torch.Size([3, 10])
    """
    train = data.y[data.split.train].double()
    weight = None if data.weights is None else data.weights[data.split.train].double()
    mean = _mean(train, weight)
    if data.standardise:
        centre, unit = data.scale
        mean = (mean - centre) / unit
    found = torch.where(data.binary, torch.logit(mean.clamp(1e-9, 1 - 1e-9)), mean)
    if data.classes:
        found = found[data.task_of_output]
        for task, names in data.classes.items():
            t = data.tasks.index(task)
            hit = (train[:, t : t + 1] == torch.arange(len(names))).double()
            hit[train[:, t].isnan()] = math.nan
            share = _mean(hit, None if weight is None else weight[:, t : t + 1].expand_as(hit))
            found[data.task_of_output == t] = share.log()
    return found.expand(rows, -1)


def _mean(y: Float[Tensor, "N T"], weight: Float[Tensor, "N T"] | None) -> Float[Tensor, " T"]:
    """The mean over labelled rows."""
    if weight is None:
        return y.nanmean(0)
    weight = torch.where(y.isnan(), 0.0, weight)
    return (weight * y.nan_to_num()).sum(0) / weight.sum(0)
