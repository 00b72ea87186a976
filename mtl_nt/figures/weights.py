"""The weights of a study, as the figures of them need them. They are computed once for a study."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from ..errors import BadInput
from ..study import Study
from .tables import Arm, format_alpha, study_cache


def _history_of(study: Study, method: str) -> pd.DataFrame:
    """The weights of one method, with its alphas as text."""
    rows = study.history[study.history["method"] == method]
    if rows.empty:
        raise BadInput(
            f"{method} has no weights in this study: it trains no network, or none is kept"
        )
    return rows.assign(alpha=rows["alpha"].map(format_alpha))


def weights_by_alpha(
    study: Study, method: str
) -> tuple[np.ndarray, list[str], dict[Arm, Float[np.ndarray, "S P T"]], bool]:
    """The steps, the tasks, the weights of every alpha by run, and whose networks they are from.

    The last value says that the weights are means over the networks of the other tasks.
    """
    cache = study_cache(study)
    if ("weights", method) not in cache:
        rows = _history_of(study, method)
        foreign = rows[rows["network"] != rows["task"]]
        others = bool((foreign["network"] != "all").all() and foreign["weight"].notna().any())
        rows = foreign if others else rows
        tasks, steps = list(rows["task"].unique()), np.sort(rows["step"].unique())
        table = rows.groupby(["alpha", "seed", "step", "task"], sort=False)["weight"].mean()
        wide = table.unstack("task")[tasks]
        every = {
            (method, str(a)): w.to_numpy().reshape(-1, len(steps), len(tasks))
            for a, w in wide.groupby(level="alpha", sort=False)
        }
        cache["weights", method] = steps, tasks, every, others
    return cache["weights", method]


def mean_weights(study: Study, arm: Arm) -> Float[np.ndarray, "R T"]:
    """The mean weights over training and runs; 0 where a network does not train on a task."""
    cache = study_cache(study)
    if ("matrix", arm) not in cache:
        rows = _history_of(study, arm[0])
        rows = rows[rows["alpha"] == arm[1]]
        wide = rows.groupby(["network", "task"], sort=False)["weight"].mean().unstack("task")
        wide = wide.reindex(index=rows["network"].unique(), columns=rows["task"].unique())
        cache["matrix", arm] = wide.fillna(0).to_numpy()
    return cache["matrix", arm]
