"""Predictors that are no networks, for regression tasks: linear models and the mean of a group.

"The linear regression proposed by GDSC" is all that Peres da Silva, Suphavilai and Nagarajan
(AAAI-21) say of theirs, so least squares, ridge and elastic net are all here, by numpy and
scikit-learn, one model a task. A model is fitted to the task's training labels alone, as networks
are; a penalty is chosen on its validation labels, the rows that networks are tuned on. Features
are taken as they are: their scale is part of the data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .bits import Bits
from .tasks import BadInput, TaskData

NOISE = np.logspace(3, -2, 11)
"""Ridge's penalties, strongest first, in mean squared distances of a training row from the mean.

At k of these, the penalty suits a task whose labels have k times as much noise as linear signal.
Of GDSC's 214 drugs on three splits 99% choose within 0.1 to 100. In the mean MSE of ln IC50, whole
decades are worse by 0.003, and three decades more are no better.
"""
L1_RATIOS = (0.1, 0.5, 0.9)
"""Elastic net's shares of the absolute penalty; the squared one has the rest."""
WEAKEST, POINTS = 10**-2.5, 16
"""Elastic net's path: from the penalty that leaves no coefficient, six a decade.

On a quarter of GDSC's drugs a path to 1e-3 takes three times as long for 0.001 of mean MSE.
"""
TOLERANCE, PASSES = 1e-3, 1000
"""Of the descent: on the same drugs, 1e-6 takes three times as long for the same scores."""

LOADING = Lock()
"""Held while scikit-learn is loaded: two threads that load it at once can lock each other out."""


def ols(run: TaskData) -> Float[Tensor, "N T"]:
    """Least squares with nothing tuned; the smallest coefficients where several fit as well.

    Returns:
        Predictions for the test rows, in the form that networks give: `run.targets`.

    Raises:
        BadInput: a binary task.
    """
    return _each(run, _ols)


def ridge(run: TaskData) -> Float[Tensor, "N T"]:
    """Least squares with a squared penalty on the coefficients, chosen for every task.

    The penalty, one of `NOISE`, is that of the smallest squared error on the task's validation
    rows, and without any by leave-one-out on its training rows. Returns and raises as `ols`.
    """
    return _each(run, _ridge)


def elastic_net(run: TaskData) -> Float[Tensor, "N T"]:
    """Least squares with a squared and an absolute penalty, chosen for every task.

    One of `L1_RATIOS` and of `POINTS` penalties, by the smallest squared error on the task's
    validation rows, and without any by five folds of its training rows. Returns and raises as
    `ols`.
    """
    return _each(run, _elastic_net)


def group_mean(run: TaskData) -> Float[Tensor, "N T"]:
    """The mean of the training labels in a row's group; of all where the group has none.

    Returns:
        Predictions for the test rows, in the form that networks give: `run.targets`.

    Raises:
        BadInput: a binary task, or rows without groups.
    """
    _check(run)
    if run.row_groups is None:
        raise BadInput(
            f"data set {run.name!r}: no row_groups to take means of; give every row's group, "
            "or use 'Ridge'"
        )
    y, train, test = run.targets.double(), run.split.train, run.split.test
    known = sorted({*run.row_groups})
    group = torch.tensor([known.index(g) for g in run.row_groups])
    own = torch.stack([y[train[group[train] == g]].nanmean(0) for g in range(len(known))])
    return torch.where(own.isnan(), y[train].nanmean(0), own)[group[test]]


PREDICTORS: dict[str, Callable[[TaskData], Tensor]] = {
    "OLS": ols,
    "Ridge": ridge,
    "ElasticNet": elastic_net,
    "Group mean": group_mean,
}
"""All predictors that are no networks, by name."""


class _Rows(NamedTuple):
    """Rows on which one task has labels."""

    x: Float[np.ndarray, "n F"]
    y: Float[np.ndarray, " n"]


_Predict = Callable[[_Rows, _Rows, np.ndarray], np.ndarray]  # training, validation, test features


def _ols(train: _Rows, held: _Rows, test: np.ndarray) -> np.ndarray:
    # What scikit-learn's LinearRegression finds by scipy, which lets no other thread work.
    centre, mean = train.x.mean(0), train.y.mean()
    coefficients = np.linalg.lstsq(train.x - centre, train.y - mean)[0]
    guess: np.ndarray = mean + (test - centre) @ coefficients
    return guess


def _ridge(train: _Rows, held: _Rows, test: np.ndarray) -> np.ndarray:
    with LOADING:  # as slow to load as torch
        from sklearn.linear_model import Ridge, RidgeCV

    penalties = NOISE * train.x.var(0).sum()
    if len(held.y) == 0:
        guess: np.ndarray = RidgeCV(penalties).fit(*train).predict(test)
        return guess
    same = np.tile(train.y[:, None], len(penalties))  # one Gram matrix for all penalties
    single = train.x.astype(np.float32)  # a third faster, and the same to three digits
    path = Ridge(penalties).fit(single, same)
    return path.predict(test)[:, _best(path.predict(held.x), held.y)]


def _elastic_net(train: _Rows, held: _Rows, test: np.ndarray) -> np.ndarray:
    with LOADING:
        from sklearn.linear_model import ElasticNetCV, enet_path
        from sklearn.model_selection import KFold

    if len(held.y) == 0:
        folds = KFold(min(5, len(train.y)), shuffle=True, random_state=0)
        settings = {"eps": WEAKEST, "alphas": POINTS, "tol": TOLERANCE, "max_iter": PASSES}
        net = ElasticNetCV(l1_ratio=L1_RATIOS, cv=folds, **settings).fit(*train)
        guess: np.ndarray = net.predict(test)
        return guess
    centre, mean = train.x.mean(0), train.y.mean()
    x, y = np.asfortranarray(train.x - centre), train.y - mean
    top = max(np.abs(x.T @ y).max() / len(y), np.finfo(float).resolution)
    gram = x.T @ x if 2 * len(x) > x.shape[1] else False  # dearer than it saves where rows are few
    coefficients = []
    for ratio in L1_RATIOS:
        alphas = top / ratio * np.geomspace(1, WEAKEST, POINTS)
        options = {"precompute": gram, "tol": TOLERANCE, "max_iter": PASSES}
        coefficients.append(enet_path(x, y, l1_ratio=ratio, alphas=alphas, **options)[1])
    path = np.concatenate(coefficients, axis=1)  # (F, settings)
    best = _best(mean + (held.x - centre) @ path, held.y)
    return mean + (test - centre) @ path[:, best]


def _best(guesses: Float[np.ndarray, "n S"], y: Float[np.ndarray, " n"]) -> int:
    """The first of the settings with the smallest squared error."""
    return int(np.square(guesses - y[:, None]).mean(0).argmin())


def _check(run: TaskData) -> None:
    if run.binary.any():
        name = run.tasks[int(run.binary.nonzero()[0])]
        raise BadInput(
            f"data set {run.name!r}: {name!r} is binary and these predictors are for regression; "
            "use the method 'STL' instead"
        )


def _each(run: TaskData, predict: _Predict) -> Float[Tensor, "N T"]:
    """One model a task, as many at a time as torch has threads."""
    from scipy.linalg import LinAlgWarning

    with LOADING:
        from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    _check(run)
    features = run.x.dense() if isinstance(run.x, Bits) else run.x
    x, y = features.flatten(1).double().numpy(), run.targets.double().numpy()
    train, validation, test = (
        rows.numpy() for rows in (run.split.train, run.split.validation, run.split.test)
    )

    def labelled(rows: np.ndarray, task: int) -> _Rows:
        rows = rows[~np.isnan(y[rows, task])]
        return _Rows(x[rows], y[rows, task])

    def one(task: int) -> np.ndarray:
        own = labelled(train, task)
        if not np.ptp(own.y) or not np.ptp(own.x, axis=0).any():  # nothing to learn but the mean
            return np.full(len(test), own.y.mean())
        return predict(own, labelled(validation, task), x[test])

    # BLAS on one thread: with its own threads beside these, it is ten times slower.
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        # A penalty too weak for the descent to end in time, or for single precision, is judged by
        # its error on held-out rows like any other: nobody need be warned of it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return torch.from_numpy(np.stack([*pool.map(one, range(len(run.tasks)))], axis=1))
