"""A training step of every weighter, against plain multi-task learning."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from timing import Row, in_turns, ratios

import mtl_nt
from mtl_nt.networks import Recipe
from mtl_nt.study import METHODS, WeighterArguments, train


class Shape(NamedTuple):
    """A network and its batch."""

    features: int
    trunk: tuple[int, ...]
    batch: int
    steps: int

    def __str__(self) -> str:
        return f"{self.features}-{'-'.join(map(str, self.trunk))}, batch {self.batch}"


SMALL, WIDE = Shape(64, (128, 128), 128, 200), Shape(1024, (2000, 2000), 256, 8)
TASKS = (12, 128)


def _focused(given: WeighterArguments) -> mtl_nt.Weighter:
    return mtl_nt.RMTL(0)


class Gramian(mtl_nt.Uniform):
    """MTL's weights; the inner products of the tasks' gradients are computed beside them."""

    def weights(self, step: mtl_nt.Step) -> torch.Tensor:
        assert len(step.trunk_gramian) == 1
        return super().weights(step)


OF_GRAMIAN = ("PCGrad", "MGDA", "CAGrad", "Nash-MTL")  # whose small problems are on one network
# RMTL with one focused task: its price is that of a step, not of T networks.
ARMS = {
    "MTL": METHODS["MTL"],
    "LBTW": METHODS["LBTW"],
    "Uncertainty": METHODS["Uncertainty"],
    "DWA": METHODS["DWA"],
    "RandomWeights": METHODS["RandomWeights"],
    "RMTL": mtl_nt.Method("RMTL", _focused),
    "Deep-AMTFL": METHODS["Deep-AMTFL"],
    "U-AMTFL": METHODS["U-AMTFL"],
    "GradNorm": METHODS["GradNorm"],
    **{name: METHODS[name] for name in OF_GRAMIAN},
    "MTL with its Gramian": mtl_nt.Method("Gramian", lambda given: Gramian()),
}


def rows(shapes: Sequence[Shape], tasks: Sequence[int], repeats: int) -> list[Row]:
    """Every weighter's step, and GradNorm's with batch norm against MTL's with batch norm."""
    found = []
    for shape in shapes:
        for count in tasks:
            where = f"{shape}, {count} tasks"
            seconds = in_turns({name: stepping(name, shape, count) for name in ARMS}, repeats)
            for name in list(ARMS)[1:]:
                target = _target(name, shape, count)
                found.append(
                    Row(f"step of {name}", where, ratios(seconds, name, "MTL"), "MTL", target)
                )
            normed = in_turns(
                {name: stepping(name, shape, count, True) for name in ("MTL", "GradNorm")}, repeats
            )
            ratio = ratios(normed, "GradNorm", "MTL")
            found.append(Row("step of GradNorm, batch norm", where, ratio, "MTL, batch norm"))
    return found


def _target(name: str, shape: Shape, tasks: int) -> str:
    if name == "GradNorm":
        wide = {12: "at most 1.45", 128: "at most 2.7"}
        return wide.get(tasks, "") if shape == WIDE else ""
    if name in ("RandomWeights", "MTL with its Gramian", *OF_GRAMIAN):
        return ""
    small = "" if "AMTFL" in name else "at most 1.6"
    return "at most 1.10" if shape == WIDE else small


def stepping(name: str, shape: Shape, tasks: int, batch_norm: bool = False) -> Callable[[], float]:
    """A function that trains and gives the seconds of a step in the middle of the training."""
    data = panel(shape, tasks)
    recipe = Recipe(
        trunk=shape.trunk, batch_size=shape.batch, steps=shape.steps, batch_norm=batch_norm
    )
    recipe = replace(recipe, **ARMS[name].settings)

    def run() -> float:
        stamps: list[float] = []
        train(
            ARMS[name],
            [data],
            [0],
            recipe,
            (0.5,),
            progress=lambda _: stamps.append(time.perf_counter()),
        )
        return statistics.median(np.diff(stamps[1:]).tolist())

    return run


def panel(shape: Shape, tasks: int) -> mtl_nt.TaskData:
    """Binary tasks, 30% of the labels missing."""
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.standard_normal((2 * shape.batch, shape.features))).float()
    y = torch.from_numpy((random.random((2 * shape.batch, tasks)) < 0.3) * 1.0).float()
    y[torch.from_numpy(random.random(y.shape) < 0.3)] = torch.nan
    rows = torch.arange(2 * shape.batch)
    split = mtl_nt.Split(rows[: shape.batch], rows[:0], rows[shape.batch :])
    names = tuple(f"task {t}" for t in range(tasks))
    return mtl_nt.TaskData("bench", x, y, names, "binary", split)
