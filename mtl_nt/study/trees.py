"""Boosted trees, one model for each task: the floor that a network on a table has to beat.

On tables of numbers, gradient-boosted trees are often as good as networks or better. So whoever
asks whether networks should share a trunk wants to know whether any network is worth it.
"""

from __future__ import annotations

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


def trees(run: TaskData, seed: int = 0) -> Float[Tensor, "N T"]:
    """Histogram gradient boosting of scikit-learn with its own settings, one model for each task.

    Args:
        run: the data of one seed.
        seed: what the run's random numbers start from.

    Returns:
        Predictions for the test rows, on the scale of `run.targets`; of binary tasks the log odds.

    >>> from mtl_nt import load
    >>> trees(load("dial")).shape  # test rows, tasks
    torch.Size([500, 9])
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    features = run.x.to_dense() if isinstance(run.x, Bits) else run.x
    x, y = features.flatten(1).numpy(), run.targets.double().numpy()
    parts = [rows.numpy() for rows in (run.split.train, run.split.validation)]
    test = x[run.split.test.numpy()]

    def fit_task(task: int) -> np.ndarray:
        train, validation = (rows[~np.isnan(y[rows, task])] for rows in parts)
        return _fit(x, y[:, task], train, validation, test, run.kinds[task] == "binary", seed)

    # OpenMP counts its threads for the thread that asks, so all models are grown in this one. Small
    # trees on several cores wait for each other longer than they work.
    with threadpool_limits(1, "openmp"):
        found = [fit_task(task) for task in range(len(run.tasks))]
    return torch.from_numpy(np.stack(found, axis=1))


def _fit(
    x: Float[np.ndarray, "N F"],
    y: Float[np.ndarray, " N"],
    train: np.ndarray,
    validation: np.ndarray,
    test: Float[np.ndarray, "M F"],
    binary: bool,
    seed: int,
) -> Float[np.ndarray, " M"]:
    """The predictions of one task's trees for the test rows."""
    with IMPORT_LOCK:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    judged = len(validation) >= LEAST_LABELS and (not binary or len({*y[validation]}) == 2)
    settings = {"early_stopping": judged, "random_state": seed, "n_iter_no_change": PATIENCE}
    held_out = {"X_val": x[validation], "y_val": y[validation]} if judged else {}
    model = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    grown = model(max_iter=MOST_TREES if judged else 100, **settings)
    grown.fit(x[train], y[train], **held_out)
    found = grown.decision_function(test) if binary else grown.predict(test)
    return np.asarray(found, dtype=float)
