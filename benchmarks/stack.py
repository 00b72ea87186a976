"""Networks side by side, against the same networks one after another in the leanest plain loop."""

from __future__ import annotations

import time

import numpy as np
import torch
from timing import Row, in_turns, ratios
from torch import nn

import mtl_nt
from mtl_nt.networks import Recipe
from mtl_nt.study import METHODS, train


def rows(alphas: int, seeds: int, steps: int, repeats: int) -> list[Row]:
    """The gain on one thread and on two."""
    where = f"LBTW on dial, {alphas} alphas x {seeds} seeds and STL"
    one = gain(alphas, seeds, steps, repeats)
    torch.set_num_threads(2)
    try:
        two = gain(alphas, seeds, steps, repeats)
    finally:
        torch.set_num_threads(1)
    what = "stacked, two threads (so small a stack keeps one)"
    return [
        Row("stacked, one thread", where, one, *TIMES_FASTER),
        Row(what, where, two, TIMES_FASTER[0]),
    ]


TIMES_FASTER = "times faster than a plain loop", "at least 8"


def gain(alphas: int, seeds: int, steps: int, repeats: int) -> list[float]:
    """How many times faster, in every repeat."""
    numbers, column = list(range(seeds)), tuple(np.linspace(0.1, 1.0, alphas))
    data = mtl_nt.load("dial", scenario="unrelated")
    runs = [data.for_seed(s) for s in numbers]
    recipe = Recipe.for_data(data, steps=steps)

    def stacked() -> float:
        start = time.perf_counter()
        train(METHODS["STL"], runs, numbers, recipe)
        train(METHODS["LBTW"], runs, numbers, recipe, column)
        return time.perf_counter() - start

    def loop() -> float:
        start = time.perf_counter()
        for run in runs:
            for t in range(len(run.tasks)):
                plain(run, recipe, [t], None)
            for alpha in column:
                plain(run, recipe, list(range(len(run.tasks))), alpha)
        return time.perf_counter() - start

    return ratios(in_turns({"loop": loop, "stacked": stacked}, repeats), "loop", "stacked")


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
    assert isinstance(run.x, torch.Tensor)
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
