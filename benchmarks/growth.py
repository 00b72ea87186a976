"""How a step grows with tasks, rows and networks."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from timing import Row, in_turns

import mtl_nt
from mtl_nt.networks import Recipe
from mtl_nt.study import METHODS, train

TASKS, ROWS, NETWORKS = (10, 30, 100, 200), (1_000, 10_000, 100_000), (1, 4, 16, 64, 256)
FEATURES = 64
STYLES = {
    "MTL": ("#0072B2", "o", "-"),
    "LBTW": ("#D55E00", "s", "--"),
    "GradNorm": ("#009E73", "^", ":"),
}
Curves = dict[str, list[list[float]]]  # method -> repeats of every size


def rows(
    tasks: Sequence[int],
    lengths: Sequence[int],
    networks: Sequence[int],
    steps: int,
    repeats: int,
    picture: Path,
) -> list[Row]:
    """How many times longer a step takes along three axes; the picture has every size."""
    recipe = Recipe(trunk=(64, 32), batch_size=128, steps=steps)
    axes: list[tuple[str, Sequence[int], Callable[[int], tuple[int, int, int]]]] = [
        ("tasks", tasks, lambda n: (n, 1_000, 1)),
        ("rows", lengths, lambda n: (10, n, 1)),
        ("networks", networks, lambda n: (10, 1_000, n)),
    ]
    found, panels = [], []
    for axis, sizes, shape in axes:
        curves: Curves = {name: [] for name in STYLES}
        for size in sizes:
            count, length, replicas = shape(size)
            data = panel(length, count)
            contestants = {name: _timed(name, data, replicas, recipe) for name in STYLES}
            for name, seconds in in_turns(contestants, repeats).items():
                curves[name].append([1e3 * s for s in seconds])
        panels.append((axis, sizes, curves))
        for name, curve in curves.items():
            first, last = (statistics.median(c) for c in (curve[0], curve[-1]))
            whole = f"{sizes[0]:,} to {sizes[-1]:,} {axis}, {first:.2g} to {last:.2g} ms"
            grown = [b / a for a, b in zip(curve[0], curve[-1], strict=True)]
            times = f"{sizes[-1] / sizes[0]:,.0f} times as many"
            found.append(Row(f"growth of a step of {name}", whole, grown, times))
    _draw(panels, picture)
    return found


def _timed(name: str, data: mtl_nt.TaskData, networks: int, recipe: Recipe) -> Callable[[], float]:
    def run() -> float:
        stamps: list[float] = []
        seeds = list(range(networks))
        train(
            METHODS[name],
            [data] * networks,
            seeds,
            recipe,
            (0.5,),
            progress=lambda _: stamps.append(time.perf_counter()),
        )
        return statistics.median(np.diff(stamps[1:]).tolist())

    return run


def panel(rows: int, tasks: int) -> mtl_nt.TaskData:
    """Binary tasks, 30% of the labels missing."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(rows + 100, FEATURES, generator=random)
    y = (torch.rand(rows + 100, tasks, generator=random) < 0.3).float()
    y[torch.rand(y.shape, generator=random) < 0.3] = math.nan
    number = torch.arange(rows + 100)
    split = mtl_nt.Split(number[:rows], number[:0], number[rows:])
    names = tuple(f"task {t}" for t in range(tasks))
    return mtl_nt.TaskData("bench", x, y, names, "binary", split)


def _some(y: float, _: object) -> str:
    """A label for twos and fives between the powers of ten."""
    return f"{y:g}" if f"{y:e}"[0] in "25" else ""


def _draw(panels: list[tuple[str, Sequence[int], Curves]], path: Path) -> None:
    figure = Figure(figsize=(10, 4.1), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for ax, (axis, sizes, curves) in zip(figure.subplots(1, 3), panels, strict=True):
        for name, curve in curves.items():
            colour, marker, dashes = STYLES[name]
            middle = [statistics.median(c) for c in curve]
            ax.loglog(sizes, middle, color=colour, marker=marker, ls=dashes, label=name)
            low, high = [min(c) for c in curve], [max(c) for c in curve]
            ax.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
        grown = {
            name: statistics.median(c[-1]) / statistics.median(c[0]) for name, c in curves.items()
        }
        ax.set_title(
            f"{sizes[-1] / sizes[0]:,.0f} times the {axis}: a step takes\n"
            f"{grown['MTL']:.2g} times as long\n(GradNorm {grown['GradNorm']:.2g})"
        )
        ax.title.set_size(10.5)
        ax.set_xlabel(axis, size=11)
        ax.set_xticks(sizes, [f"{s:,}" for s in sizes])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        ax.yaxis.set_minor_formatter(FuncFormatter(_some))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("milliseconds a step", size=11)
    first.legend(frameon=False, fontsize=11)
    figure.savefig(path)
