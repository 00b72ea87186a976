"""How much of each task's direction the hidden units of a trained trunk hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ..datasets.dial import TANH_SD
from ..errors import BadInput
from ..networks import Recipe
from ..study import METHODS, make_replicas
from ..tasks import TaskData
from ..training import fit
from ..weighters import Uniform


def dial_room(
    data: TaskData, width: int, seeds: Sequence[int], **settings: Any
) -> Float[np.ndarray, " D"]:
    """Train MTL on `dial`, and return the share of each direction that its units span.

    The directions are the mean direction of the first group, and that of every other task. The
    shares of the others are sorted in each run, from the one that is held best to the one that is
    held least, and then averaged over the runs.

    Args:
        data: made by `load("dial")`, without a standardised target.
        width: hidden units of the one shared layer.
        seeds: the runs, each of which draws new data.
        settings: of the training, as `Recipe.for_data` takes them.

    Returns:
        The squared length of each direction's shadow in the space of the units, from 0 to 1.

    Raises:
        BadInput: data whose tasks are no directions, or settings that no recipe can have.

    >>> from mtl_nt import load
    >>> bool((dial_room(load("dial"), 16, [100], steps=1) > 0.99).all())  # 16 units, 16 features
    True
    """
    if data.relatedness is None or data.redraw is None or len(data.groups or ()) < 2:
        raise BadInput(f"dial_room: {data.name!r} has no directions; give load('dial')")
    recipe = Recipe.for_data(data, **{**settings, "trunk": (width,)})
    every = [data.for_seed(seed) for seed in seeds]
    replicas = make_replicas(METHODS["MTL"], 1, list(seeds), len(data.tasks))
    trunk = fit(every, replicas, Uniform(), recipe).network.trunk
    units = (
        trunk.get_parameter("blocks.0.linear.weight").detach().double()
    )  # [runs, features, units]
    assert data.groups is not None
    inside = np.array(data.groups) == data.groups[0]
    found = []
    for run, weights in zip(every, units.numpy(), strict=True):
        directions = _directions(run)
        centre = directions[:, inside].mean(1)
        wanted = np.column_stack([centre / np.linalg.norm(centre), directions[:, ~inside]])
        span = np.linalg.qr(weights)[0]  # an orthonormal basis of what the units look at
        shares = ((span.T @ wanted) ** 2).sum(0)
        found.append([shares[0], *sorted(shares[1:], reverse=True)])
    mean: np.ndarray = np.mean(found, 0)
    return mean


def _directions(run: TaskData) -> Float[np.ndarray, "F T"]:
    """The tasks' unit vectors, from the test rows, which have no noise."""
    assert isinstance(run.x, torch.Tensor) and run.unit is not None
    test = run.split.test
    x, y = run.x[test].double().numpy(), (run.y[test] / run.unit).double().numpy()
    linear = np.arctanh(np.clip(y * TANH_SD, -1 + 1e-7, 1 - 1e-7))
    found = np.linalg.lstsq(x, linear, rcond=None)[0]
    return found / np.linalg.norm(found, axis=0)
