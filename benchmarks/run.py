"""How long a training step takes, as ratios to a named baseline within one run.

`make bench` prints the tables and writes docs/benchmarks.md. Every ratio is a median over repeats
in which the contestants take turns, on one thread.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

import mtl_nt
from mtl_nt.methods import METHODS, train
from mtl_nt.recipe import Recipe

REPEATS = 5
OUT = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> None:
    torch.set_num_threads(1)
    lines = [
        "# Benchmarks",
        "",
        f"torch {torch.__version__}, {platform.machine()}, one thread; medians of {REPEATS} "
        "interleaved repeats in one run. Measure yours with `make bench`.",
        "",
        "## A step of each weighter, against plain MTL",
        "",
        *table(["trunk, tasks", *STEP_METHODS], [steps(w, t) for w in WIDTHS for t in (12, 128)]),
        "",
        "## LBTW, 10 alphas x 5 seeds, with their STL, against one network after another",
        "",
        *table(["", "seconds", "times faster"], stack()),
        "",
    ]
    OUT.write_text("\n".join(lines))
    print("\n".join(lines))


STEP_METHODS = ("MTL", "LBTW", "Uncertainty", "DWA", "RandomWeights", "RMTL", "GradNorm")
WIDTHS = ((64, (128, 128), 128), (1024, (2000, 2000), 256))


def steps(shape: tuple[int, tuple[int, ...], int], tasks: int) -> list[str]:
    """Ratios of one row: one network, 30% of the labels missing."""
    features, widths, batch = shape
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.standard_normal((2 * batch, features))).float()
    y = torch.from_numpy((random.random((2 * batch, tasks)) < 0.3) * 1.0).float()
    y[torch.from_numpy(random.random(y.shape) < 0.3)] = torch.nan
    rows = torch.arange(2 * batch)
    data = mtl_nt.TaskData(
        "bench",
        x,
        y,
        tuple(f"task {t}" for t in range(tasks)),
        "binary",
        mtl_nt.Split(rows[:batch], rows[:0], rows[batch:]),
    )
    count = 200 if features < 1000 else 10
    recipe = Recipe(trunk=widths, batch_size=batch, steps=count)

    def one(name: str) -> Callable[[], object]:
        method = METHODS[name]
        # RMTL with one focused task: its price is that of a step, not of T networks.
        single = method if name != "RMTL" else FocusedRMTL
        return lambda: train(single, [data], [0], recipe, (0.5,))

    seconds = in_turns({name: one(name) for name in STEP_METHODS})
    label = f"{features}-{'-'.join(map(str, widths))}, {tasks}"
    return [label, *(f"{ratio(seconds[n], seconds['MTL']):.2f}" for n in STEP_METHODS)]


def _focused(alpha: torch.Tensor, target: torch.Tensor) -> mtl_nt.Weighter:
    return mtl_nt.RMTL(0)


FocusedRMTL = mtl_nt.Method("RMTL", _focused)


def stack() -> list[list[str]]:
    """The stacked loop against plain torch.nn networks, one after another."""
    alphas, seeds = tuple(np.linspace(0.1, 1.0, 10)), list(range(5))
    data = mtl_nt.load("dial", scenario="unrelated")
    runs = [data.run(s) for s in seeds]
    recipe = Recipe.of(data, steps=200)

    def stacked() -> None:
        train(METHODS["STL"], runs, seeds, recipe)
        train(METHODS["LBTW"], runs, seeds, recipe, alphas)

    def loop() -> None:
        for run in runs:
            for t in range(len(run.tasks)):
                plain(run, recipe, [t], None)
            for alpha in alphas:
                plain(run, recipe, list(range(len(run.tasks))), alpha)

    seconds = in_turns({"loop": loop, "stacked": stacked}, repeats=3)
    gain = statistics.median(
        a / b for a, b in zip(seconds["loop"], seconds["stacked"], strict=True)
    )
    return [
        ["one network after another", f"{statistics.median(seconds['loop']):.2f}", "1"],
        ["stacked", f"{statistics.median(seconds['stacked']):.2f}", f"{gain:.1f}"],
    ]


def plain(run: mtl_nt.TaskData, recipe: Recipe, tasks: list[int], alpha: float | None) -> None:
    """As lean as a loop over one network can be: index batches, one loss vector, fused Adam."""
    net = nn.Sequential(
        nn.Linear(run.x.shape[1], recipe.trunk[0]),
        nn.Tanh(),
        nn.Linear(recipe.trunk[0], len(tasks)),
    )
    adam = torch.optim.Adam(
        net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    rows = run.split.train
    y = run.y[rows][:, tasks]
    kept = ~y.isnan().all(1)
    x, y = run.x[rows][kept], y[kept]
    there, y = ~y.isnan(), y.nan_to_num()
    done, reference = 0, torch.ones(len(tasks))
    while done < recipe.steps:
        for i, batch in enumerate(torch.randperm(len(x)).split(recipe.batch_size)):
            squared = (net(x[batch]) - y[batch]).square() * there[batch]
            losses = squared.sum(0) / there[batch].sum(0).clamp_min(1)
            weights = torch.ones(len(tasks))
            if alpha is not None:
                reference = losses.detach() if i == 0 else reference
                weights = (losses.detach() / reference).nan_to_num(1.0).pow(alpha)
                weights = weights * len(tasks) / weights.sum()
            adam.zero_grad()
            (weights * losses).sum().backward()
            adam.step()
            done += 1
            if done == recipe.steps:
                break


def in_turns(
    contestants: dict[str, Callable[[], object]], repeats: int = REPEATS
) -> dict[str, list[float]]:
    """Seconds of every contestant in every repeat, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, contestant in contestants.items():
            start = time.perf_counter()
            contestant()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(ours: list[float], baseline: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, baseline, strict=True))


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


if __name__ == "__main__":
    main()
