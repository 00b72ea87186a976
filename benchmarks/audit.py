"""An audit of one's own table: against the same written plainly, and how its time grows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from sklearn.metrics import average_precision_score
from timing import Row
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss, normalize

import mtl_nt
from mtl_nt.audit import audit
from mtl_nt.datasets.table import read_table

METHODS, ALPHAS, SEEDS = ("LBTW", "RMTL", "Fine-Tuning"), (0.1, 0.5), 5
TASKS, ROWS, STEPS = (10, 50, 200), (1_000, 10_000, 100_000), 60


def rows(
    shape: tuple[int, int, int],
    steps: int | None,
    tasks: Sequence[int],
    lengths: Sequence[int],
    short: int,
    picture: Path,
) -> list[Row]:
    """Seconds of an audit and of its first verdict, against a plain one, and along two axes."""
    torch.set_num_threads(2)
    try:
        return [*_against_plain(shape, steps), *_growth(shape, tasks, lengths, short, picture)]
    finally:
        torch.set_num_threads(1)


def table(folder: Path, rows: int, features: int, tasks: int) -> Path:
    """Half of the tasks binary, a fifth of the labels missing."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, features), dtype=np.float32)
    hidden = np.tanh(x @ random.standard_normal((features, 3)) / features**0.5)
    y = hidden @ random.standard_normal((3, tasks)) + random.standard_normal((rows, tasks)) / 2
    y[:, ::2] = y[:, ::2] > 0.5
    y[random.random(y.shape) < 0.2] = np.nan
    names = [f"x{k}" for k in range(features)], [f"y_{t}" for t in range(tasks)]
    frame = pd.concat(
        [pd.DataFrame(v, columns=n) for v, n in zip((x, y), names, strict=True)], axis=1
    )
    path = folder / f"{rows}-{features}-{tasks}.parquet"
    frame.to_parquet(path)
    return path


def _audited(path: Path, seeds: int, steps: int | None) -> tuple[float, float]:
    """Seconds of the whole audit, and of its first verdict."""
    begin, verdict = time.perf_counter(), list[float]()

    def say(line: str) -> None:
        if line.startswith("first verdict"):
            verdict.append(time.perf_counter() - begin)

    given: dict[str, Any] = {"targets": "y_*", "progress": False, "say": say}
    audit(path, METHODS, ALPHAS, seeds, steps, **given)
    return time.perf_counter() - begin, verdict[0]


def _against_plain(shape: tuple[int, int, int], steps: int | None) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = table(Path(folder), *shape)
        ours, verdict = _audited(path, SEEDS, steps)
        begin = time.perf_counter()
        plain(path, 100, steps)
        once = time.perf_counter() - begin
    words = f"{shape[0]:,} x {shape[1]}, {shape[2]} tasks, 5 runs, two cores"
    what = "seconds of STL, STL', MTL, LBTW, RMTL, Fine-Tuning, widths and affinity"
    against = f"a plain loop without widths and affinity, 5 x {once:.0f} s"
    return [
        Row(what, words, [ours], "", "under 60"),
        Row("seconds until the first verdict", words, [verdict], "STL, STL' and MTL on 3 runs"),
        Row("audit", words, [SEEDS * once / ours], f"times faster than {against}", ">= 5"),
    ]


def plain(path: Path, seed: int, steps: int | None) -> dict[str, list[float]]:
    """One run, one network at a time: STL, STL', MTL, LBTW, RMTL and Fine-Tuning, and scores."""
    data = read_table(path, "y_*").data.for_seed(seed)
    recipe = mtl_nt.Recipe.for_data(data, steps=steps)
    count = len(data.tasks)
    every = range(count)
    found: dict[str, list[Tensor]] = {}
    found["STL"] = [_train(data, recipe, seed, [t])[0][:, t] for t in every]
    found["STL'"] = [_train(data, recipe, seed + 1000, [t])[0][:, t] for t in every]
    found["MTL"] = [*_train(data, recipe, seed, every)[0].T]
    for alpha in ALPHAS:
        found[f"LBTW {alpha}"] = [*_train(data, recipe, seed, every, alpha=alpha)[0].T]
    found["RMTL"] = [_train(data, recipe, seed, every, focus=t)[0][:, t] for t in every]
    tuned = []
    for t in every:
        _, trunk = _train(data, recipe, seed, [k for k in every if k != t])
        tuned.append(_train(data, recipe, seed, [t], trunk=trunk)[0][:, t])
    found["Fine-Tuning"] = tuned
    return {name: [_score(data, t, o) for t, o in enumerate(out)] for name, out in found.items()}


def _train(
    data: mtl_nt.TaskData,
    recipe: mtl_nt.Recipe,
    seed: int,
    tasks: Sequence[int],
    alpha: float | None = None,
    focus: int | None = None,
    trunk: nn.Sequential | None = None,
) -> tuple[Tensor, nn.Sequential]:
    torch.manual_seed(seed)
    x, y = data.x, data.targets
    assert isinstance(x, Tensor)
    widths = [x.shape[1], *recipe.trunk]
    if trunk is None:
        layers: list[nn.Module] = []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(recipe.dropout)]
        trunk = nn.Sequential(*layers)
    head = nn.Linear(widths[-1], len(data.tasks))
    both = [*trunk.parameters(), *head.parameters()]
    adam = torch.optim.Adam(both, recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, recipe.steps)
    known = data.split.train[data.labelled[data.split.train][:, list(tasks)].any(1)]
    step = 0
    while step < recipe.steps:
        first: Tensor | None = None
        for batch in known[torch.randperm(len(known))].split(recipe.batch_size):
            outputs = head(trunk(x[batch]))
            losses = torch.stack([_loss(data, t, outputs[:, t], y[batch, t]) for t in tasks])
            weights = torch.ones(len(losses))
            first = losses.detach() if first is None else first
            if alpha is not None:
                weights = (losses.detach() / first.clamp_min(1e-9)) ** alpha
            if focus is not None:
                (g,) = torch.autograd.grad(losses.sum(), head.weight, retain_graph=True)
                weights = (normalize(g) @ normalize(g)[focus]).clamp(min=0)
                weights[focus] = 1
            adam.zero_grad()
            (weights * losses).sum().backward()
            adam.step()
            schedule.step()
            step += 1
            if step == recipe.steps:
                break
    trunk.eval()
    with torch.no_grad():
        outputs = head(trunk(x[data.split.test]))
    trunk.train()
    return outputs, trunk


def _loss(data: mtl_nt.TaskData, task: int, output: Tensor, truth: Tensor) -> Tensor:
    there = ~truth.isnan()
    if not there.any():
        return output.sum() * 0
    binary = data.kinds[task] == "binary"
    loss = binary_cross_entropy_with_logits if binary else mse_loss
    return loss(output[there], truth[there])


def _score(data: mtl_nt.TaskData, task: int, output: Tensor) -> float:
    truth = data.targets[data.split.test, task]
    there = ~truth.isnan()
    if data.kinds[task] == "binary":
        return float(average_precision_score(truth[there].numpy(), output[there].numpy()))
    return float(mse_loss(output[there], truth[there]))


def _growth(
    shape: tuple[int, int, int],
    tasks: Sequence[int],
    lengths: Sequence[int],
    steps: int,
    picture: Path,
) -> list[Row]:
    """A shape that is on both axes is audited once."""
    length, features, count = shape
    axes = [
        ("tasks", tasks, [(length, features, n) for n in tasks]),
        ("rows", lengths, [(n, features, count) for n in lengths]),
    ]
    taken: dict[tuple[int, int, int], float] = {}
    found, panels = [], []
    for axis, sizes, shapes in axes:
        with tempfile.TemporaryDirectory() as folder:
            for one in shapes:
                if one not in taken:
                    taken[one] = _audited(table(Path(folder), *one), 2, steps)[0]
        seconds = [taken[one] for one in shapes]
        panels.append((axis, sizes, seconds))
        told = ", ".join(f"{n:,}: {s:.1f} s" for n, s in zip(sizes, seconds, strict=True))
        times = f"{sizes[-1] / sizes[0]:,.0f} times as many"
        where = f"2 runs of {steps} steps; {told}"
        found.append(
            Row(f"growth of an audit with {axis}", where, [seconds[-1] / seconds[0]], times)
        )
    _draw(panels, picture)
    return found


def _draw(panels: Sequence[tuple[str, Sequence[int], list[float]]], path: Path) -> None:
    figure = Figure(figsize=(8, 3.4), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for ax, (axis, sizes, seconds) in zip(figure.subplots(1, 2), panels, strict=True):
        ax.loglog(sizes, seconds, color="#0072B2", marker="o")
        ax.set_title(
            f"{sizes[-1] / sizes[0]:,.0f} times the {axis}:\nan audit takes "
            f"{seconds[-1] / seconds[0]:.2g} times as long"
        )
        ax.title.set_size(10.5)
        ax.set_xlabel(axis, size=11)
        ax.set_ylabel("seconds", size=11)
        ax.set_xticks(sizes, [f"{s:,}" for s in sizes])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        ax.yaxis.set_minor_formatter(
            FuncFormatter(lambda y, _: f"{y:g}" if f"{y:e}"[0] in "25" else "")
        )
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.3)
    figure.savefig(path)
