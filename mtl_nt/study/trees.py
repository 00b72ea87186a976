"""Boosted trees, one model for each task: the floor that a network on a table has to beat.

On tables of numbers, gradient-boosted trees are often as good as networks or better. So whoever
asks whether networks should share a trunk wants to know whether any network is worth it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..bits import Bits
from ..tasks import TaskData
from .linear import IMPORT_LOCK

MOST_TREES = 300
"""Trees at most. Where there are validation rows, they say when to stop."""
PATIENCE = 10
"""How many trees in a row may bring nothing on the validation rows before it stops."""
LEAST_LABELS = 10
"""Fewer validation labels than these say nothing, and then 100 trees are grown."""


def trees(run: TaskData, seed: int = 0) -> Float[Tensor, "N O"]:
    """Histogram gradient boosting of scikit-learn with its own settings, one model for each task.

    Args:
        run: the data of one seed.
        seed: what the run's random numbers start from.

    Weights of labels and of classes count as they do in the losses of networks.

    Returns:
        Predictions for the test rows, on the scale of `run.targets`; of binary tasks the log odds,
        and of a task of classes one logit for each class.

    >>> from mtl_nt import load
    >>> trees(load("dial")).shape  # test rows, tasks
    torch.Size([500, 9])
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    features = run.x.to_dense() if isinstance(run.x, Bits) else run.x
    x, y = features.flatten(1).numpy(), run.targets.double().numpy()
    parts = [rows.numpy() for rows in (run.split.train, run.split.validation)]
    test = x[run.split.test.numpy()]
    weights = [w if w is None else w.double().numpy() for w in (run.training_weights, run.weights)]

    def fit_task(task: int) -> np.ndarray:
        rows = [rows[~np.isnan(y[rows, task])] for rows in parts]
        train, validation = (
            _Rows(x[own], y[own, task], None if weight is None else weight[own, task])
            for own, weight in zip(rows, weights, strict=True)
        )
        found = _fit(train, validation, test, run.kinds[task] != "regression", seed)
        found = found.reshape(len(test), -1)
        if found.shape[1] == 1 and run.outputs_per_task[task] == 2:  # the log odds of two classes
            found = np.concatenate([np.zeros_like(found), found], axis=1)
        return found

    # OpenMP counts its threads for the thread that asks, so all models are grown in this one. Small
    # trees on several cores wait for each other longer than they work.
    with threadpool_limits(1, "openmp"):
        found = [fit_task(task) for task in range(len(run.tasks))]
    return torch.from_numpy(np.concatenate(found, axis=1))


class _Rows(NamedTuple):
    """Rows that are labelled for a task."""

    x: Float[np.ndarray, "n F"]
    y: Float[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"] | None  # of each label; None where all count alike


def _fit(
    train: _Rows, validation: _Rows, test: Float[np.ndarray, "M F"], classes: bool, seed: int
) -> Float[np.ndarray, "M ..."]:
    """The predictions of one task's trees for the test rows."""
    with IMPORT_LOCK:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    judged = len(validation.y) >= LEAST_LABELS and (not classes or len({*validation.y}) >= 2)
    settings = {"early_stopping": judged, "random_state": seed, "n_iter_no_change": PATIENCE}
    held_out: dict[str, Any] = {"X_val": validation.x, "y_val": validation.y} if judged else {}
    if judged and validation.weight is not None:
        held_out["sample_weight_val"] = validation.weight
    model = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    grown = model(max_iter=MOST_TREES if judged else 100, **settings)
    grown.fit(train.x, train.y, sample_weight=train.weight, **held_out)
    found = grown.decision_function(test) if classes else grown.predict(test)
    return np.asarray(found, dtype=float)
