"""Predictors that are no networks, for regression tasks: linear models and the mean of a group.

Peres da Silva, Suphavilai and Nagarajan (AAAI-21) compare with "the linear regression proposed by
GDSC", and say no more about it. So least squares, ridge and elastic net are all here, by numpy and
scikit-learn, with one model for each task. A model is fitted to the task's training labels, as
networks are. Its penalty is chosen on the validation rows, as networks are tuned. The features are
not scaled: their scale is part of the data.
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

from ..bits import Bits
from ..errors import BadInput
from ..tasks import TaskData

RIDGE_PENALTIES = np.logspace(3, -2, 11)
"""Ridge's penalties, the strongest first.

Their unit is the mean squared distance of a training row from the mean. A penalty of k units suits
a task whose labels have k times as much noise as linear signal. Of GDSC's 214 drugs on three
splits, 99% choose a penalty from 0.1 to 100. A grid of whole decades is worse by 0.003 in the mean
MSE of ln IC50, and three decades more are no better.
"""
L1_RATIOS = (0.1, 0.5, 0.9)
"""Elastic net's shares of the absolute penalty. The squared penalty has the rest."""
WEAKEST, POINTS = 10**-2.5, 16
"""Elastic net's weakest penalty and its number of penalties, six in a decade.

The weakest penalty is relative to the smallest one that leaves no coefficient. On a quarter of
GDSC's drugs, a path to 1e-3 takes three times as long, and improves the mean MSE by 0.001.
"""
TOLERANCE, PASSES = 1e-3, 1000
"""Elastic net's tolerance, and the most passes of its descent.

On the same drugs, a tolerance of 1e-6 takes three times as long for the same scores.
"""

IMPORT_LOCK = Lock()
"""Held while scikit-learn is imported. Two threads that import it at once can lock each other."""


def ols(run: TaskData) -> Float[Tensor, "N T"]:
    """Least squares without a penalty.

    Where several solutions fit equally well, the one with the smallest coefficients is taken.

    Args:
        run: the data of one seed.

    Returns:
        Predictions for the test rows, on the scale of `run.targets`, as networks give them.

    Raises:
        BadInput: a binary task.

    A task that is exactly linear in its one feature:

    >>> from mtl_nt import Split
    >>> x = torch.arange(6.0).unsqueeze(1)
    >>> split = Split(torch.arange(4), torch.arange(0), torch.arange(4, 6))
    >>> run = TaskData("line", x, 2 * x, ("double",), "regression", split, standardise=False)
    >>> ols(run).round(decimals=3).flatten()
    tensor([ 8., 10.], dtype=torch.float64)
    """
    return _fit_each_task(run, _ols)


def ridge(run: TaskData) -> Float[Tensor, "N T"]:
    """Least squares with a squared penalty on the coefficients, which is chosen for every task.

    The penalty is the one of `RIDGE_PENALTIES` with the smallest squared error on the task's
    validation rows. Without validation rows, it is chosen by leave-one-out on the training rows.
    Arguments, result and errors are those of `ols`.

    >>> from mtl_nt import load
    >>> ridge(load("dial")).shape  # test rows, tasks
    torch.Size([500, 9])
    """
    return _fit_each_task(run, _ridge)


def elastic_net(run: TaskData) -> Float[Tensor, "N T"]:
    """Least squares with a squared and an absolute penalty, which are chosen for every task.

    One of the `L1_RATIOS` and one of `POINTS` penalties have the smallest squared error on the
    task's validation rows. Without validation rows, five folds of the training rows decide.
    Arguments, result and errors are those of `ols`.

    >>> from mtl_nt import load
    >>> elastic_net(load("dial")).shape  # test rows, tasks
    torch.Size([500, 9])
    """
    return _fit_each_task(run, _elastic_net)


def group_mean(run: TaskData) -> Float[Tensor, "N T"]:
    """The mean of the training labels in a row's group, or of all where the group has none.

    Args:
        run: the data of one seed, with `row_groups`.

    Returns:
        Predictions for the test rows, on the scale of `run.targets`, as networks give them.

    Raises:
        BadInput: a binary task, or rows without groups.

    Two training rows of each group, and one test row of the first group:

    >>> from mtl_nt import Split
    >>> y = torch.tensor([[1.0], [3.0], [7.0], [9.0], [0.0]])
    >>> split = Split(torch.arange(4), torch.arange(0), torch.tensor([4]))
    >>> options = {"standardise": False, "row_groups": ("a", "a", "b", "b", "a")}
    >>> group_mean(TaskData("two groups", y, y, ("label",), "regression", split, **options))
    tensor([[2.]], dtype=torch.float64)
    """
    _check(run, of_groups=True)
    assert run.row_groups is not None
    y, train, test = run.targets.double(), run.split.train, run.split.test
    names = sorted({*run.row_groups})
    group = torch.tensor([names.index(g) for g in run.row_groups])
    means = torch.stack([y[train[group[train] == g]].nanmean(0) for g in range(len(names))])
    return torch.where(means.isnan(), y[train].nanmean(0), means)[group[test]]


PREDICTORS: dict[str, Callable[[TaskData], Tensor]] = {
    "OLS": ols,
    "Ridge": ridge,
    "ElasticNet": elastic_net,
    "Group mean": group_mean,
}
"""All predictors without networks, by name."""


class _Rows(NamedTuple):
    """Rows on which one task has labels."""

    x: Float[np.ndarray, "n F"]
    y: Float[np.ndarray, " n"]


_Predict = Callable[[_Rows, _Rows, np.ndarray], np.ndarray]  # training, validation, test features


def _ols(train: _Rows, validation: _Rows, test: np.ndarray) -> np.ndarray:
    # LinearRegression of scikit-learn gives the same, but blocks all other threads meanwhile.
    centre, mean = train.x.mean(0), train.y.mean()
    coefficients = np.linalg.lstsq(train.x - centre, train.y - mean)[0]
    predictions: np.ndarray = mean + (test - centre) @ coefficients
    return predictions


def _ridge(train: _Rows, validation: _Rows, test: np.ndarray) -> np.ndarray:
    with IMPORT_LOCK:  # as slow to load as torch
        from sklearn.linear_model import Ridge, RidgeCV

    penalties = RIDGE_PENALTIES * train.x.var(0).sum()
    if len(validation.y) == 0:
        predictions: np.ndarray = RidgeCV(penalties).fit(*train).predict(test)
        return predictions
    same = np.tile(train.y[:, None], len(penalties))  # one Gram matrix for all penalties
    single = train.x.astype(np.float32)  # a third faster, and the same to three digits
    path = Ridge(penalties).fit(single, same)
    return path.predict(test)[:, _best(path.predict(validation.x), validation.y)]


def _elastic_net(train: _Rows, validation: _Rows, test: np.ndarray) -> np.ndarray:
    with IMPORT_LOCK:
        from sklearn.linear_model import ElasticNetCV, enet_path
        from sklearn.model_selection import KFold

    if len(validation.y) == 0:
        folds = KFold(min(5, len(train.y)), shuffle=True, random_state=0)
        settings = {"eps": WEAKEST, "alphas": POINTS, "tol": TOLERANCE, "max_iter": PASSES}
        net = ElasticNetCV(l1_ratio=L1_RATIOS, cv=folds, **settings).fit(*train)
        predictions: np.ndarray = net.predict(test)
        return predictions
    centre, mean = train.x.mean(0), train.y.mean()
    x, y = np.asfortranarray(train.x - centre), train.y - mean
    top = max(np.abs(x.T @ y).max() / len(y), np.finfo(float).resolution)
    gram = (
        x.T @ x if 2 * len(x) > x.shape[1] else False
    )  # it costs more than it saves where rows are few
    coefficients = []
    for ratio in L1_RATIOS:
        alphas = top / ratio * np.geomspace(1, WEAKEST, POINTS)
        options = {"precompute": gram, "tol": TOLERANCE, "max_iter": PASSES}
        coefficients.append(enet_path(x, y, l1_ratio=ratio, alphas=alphas, **options)[1])
    path = np.concatenate(coefficients, axis=1)  # (F, settings)
    best = _best(mean + (validation.x - centre) @ path, validation.y)
    return mean + (test - centre) @ path[:, best]


def _best(guesses: Float[np.ndarray, "n S"], y: Float[np.ndarray, " n"]) -> int:
    """The first of the settings with the smallest squared error."""
    return int(np.square(guesses - y[:, None]).mean(0).argmin())


def unsuited(run: TaskData, of_groups: bool = False) -> str:
    """Why these predictors cannot be fitted to the data, in words; nothing where they can.

    Args:
        of_groups: whether the predictor takes means of groups of rows.

    >>> from mtl_nt import load
    >>> unsuited(load("digits"))
    "is for regressions, and 'digit 0' is binary"
    """
    for kind, words in (("classes", "has classes"), ("binary", "is binary")):
        if kind in run.kinds:
            return f"is for regressions, and {run.tasks[run.kinds.index(kind)]!r} {words}"
    if run.weights is not None:
        return "knows no weights of rows, and these data have some"
    if of_groups and run.row_groups is None:
        return "takes means of groups of rows, and these data have no row_groups"
    return ""


def _check(run: TaskData, of_groups: bool = False) -> None:
    if why := unsuited(run, of_groups):
        kind = "the mean of a group" if of_groups else "a linear model"
        instead = "STL" if unsuited(run) else "Ridge"
        raise BadInput(f"data set {run.name!r}: {kind} {why}; use the method {instead!r} instead")


def _fit_each_task(run: TaskData, predict: _Predict) -> Float[Tensor, "N T"]:
    """Fit one model for each task, as many at a time as torch has threads."""
    from scipy.linalg import LinAlgWarning

    with IMPORT_LOCK:
        from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    _check(run)
    features = run.x.to_dense() if isinstance(run.x, Bits) else run.x
    x, y = features.flatten(1).double().numpy(), run.targets.double().numpy()
    train, validation, test = (
        rows.numpy() for rows in (run.split.train, run.split.validation, run.split.test)
    )

    def labelled(rows: np.ndarray, task: int) -> _Rows:
        rows = rows[~np.isnan(y[rows, task])]
        return _Rows(x[rows], y[rows, task])

    def fit_task(task: int) -> np.ndarray:
        rows = labelled(train, task)
        if not np.ptp(rows.y) or not np.ptp(rows.x, axis=0).any():  # there is only a mean to learn
            return np.full(len(test), rows.y.mean())
        return predict(rows, labelled(validation, task), x[test])

    # BLAS keeps to one thread. With threads of its own beside these, it is ten times slower.
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        # A penalty too weak for the descent to end in time, or for single precision, is judged by
        # its error on held-out rows like any other, so a warning would help nobody.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return torch.from_numpy(np.stack([*pool.map(fit_task, range(len(run.tasks)))], axis=1))
