"""Pictures of the weight matrix W: over training, and of all methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from .drawing import (
    BASE,
    COLOURS,
    FAINT,
    FOOT,
    HEAD,
    INK,
    SMALL,
    WIDTH,
    axes,
    canvas,
    finish,
    key,
    margin,
    short,
    styles,
)
from .study import Study
from .tables import Arm, Tables, kept, label, printed, scope, tables
from .tasks import BadInput

NAMED = 12  # tasks at most that get a line and a name each
EXTREMES = 3  # heaviest and lightest tasks that get one where there are more


def weights(study: Study, method: str, alpha: float | None = None) -> Figure:
    """What a method weighs each task over training, mean over runs.

    A line a task for up to 12 tasks; of more, bands that hold all, 80% and half of the tasks, with
    the heaviest and lightest. The range over runs is shown for the heaviest and the lightest. Of a
    method with a network a task: the mean over the other tasks' networks.

    Args:
        alpha: by default the middle one.

    Raises:
        BadInput: an unknown method or alpha.
    """
    t = tables(study)
    arm = t.find(method, alpha)
    steps, tasks, every, others = _weights(study, method)
    line = np.nanmean(every[arm], 0)  # (points, tasks)
    mean = line.mean(0)
    order = np.argsort(-mean, kind="stable")
    few = len(tasks) <= NAMED
    shown = order if few else np.r_[order[:EXTREMES], order[-EXTREMES:]]
    runs = np.nanmean(every[arm], 1)  # (runs, tasks)
    whose = "weight by other networks" if others else "weight"
    text = f"Mean {whose} over training, and its range over runs: " + ", ".join(
        f"{short(tasks[i], 40)} {mean[i]:.2g} ({runs[:, i].min():.2g}–{runs[:, i].max():.2g})"
        for i in shown
    )
    figure = canvas(HEAD + 4.0, _swing(arm, tasks, line), f"{text}.", scope(study, t))
    ax = axes(figure, 0.75, FOOT + 0.65, 4.75, 2.75)
    _scale(ax, np.stack([np.nanmean(v, 0) for v in every.values()]))
    ax.axhline(1, color=COLOURS["MTL"], lw=1.5, ls=(0, (5, 3)), zorder=1, gid="one")
    shades = colormaps["viridis"](np.linspace(0, 0.78, max(2, len(tasks))))
    if not few:
        colour = styles(t.methods)[method].colour
        for part, solid in ((0, 0.12), (0.1, 0.2), (0.25, 0.3)):
            a, b = np.nanquantile(line, (part, 1 - part), axis=1)
            ax.fill_between(steps, a, b, color=colour, alpha=solid, lw=0)
        ax.plot(steps, np.nanmedian(line, axis=1), color=colour, lw=2.5, gid="median")
    for i in dict.fromkeys((order[0], order[-1])):
        a, b = np.nanmin(every[arm][..., i], 0), np.nanmax(every[arm][..., i], 0)
        ax.fill_between(steps, a, b, color=shades[i], alpha=0.2, lw=0)
    for place, i in enumerate(shown):
        end = i in (order[0], order[-1])
        ax.plot(steps, line[:, i], color=shades[i], lw=2.5 if end else 1.2, gid=f"task {tasks[i]}")
        y = 1 - (place + 0.5) / max(len(shown), 8)
        name: dict[str, Any] = {
            "size": SMALL,
            "va": "center",
            "color": shades[i],
            "transform": ax.transAxes,
        }
        ax.text(1.14, y, f"{mean[i]:.3g}", ha="right", weight="bold", **name)
        ax.text(1.16, y, short(tasks[i], 16), **name)
    ax.text(1.03, 1.08, "mean over training", size=SMALL, va="center", transform=ax.transAxes)
    ax.set_xlim(steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel("step", size=BASE, labelpad=2)
    ax.set_title(f"{whose} (dashed: MTL)", size=BASE, loc="left", pad=8)
    return finish(figure)


def weight_matrix(
    study: Study, methods: Sequence[str] | None = None, alpha: float | None = None
) -> Figure:
    """W of every method, mean over training and runs: rows are networks, columns are tasks.

    A panel for each method with a network a task, a row for each with one network.

    Args:
        methods: by default all in the study.
        alpha: of the methods that have one; by default the middle one.

    Raises:
        BadInput: an unknown method or alpha.
    """
    t = tables(study)
    there = set(study.history["method"])
    if not there:
        raise BadInput("this study has no weights: it trains no network, or none are kept")
    names = [m for m in t.methods if m in there and not m.endswith("'")]
    arms = [t.find(m, alpha) for m in (names if methods is None else dict.fromkeys(methods))]
    matrices = {arm: _matrix(study, arm) for arm in arms}
    tasks = [str(name) for name in study.history["task"].unique()]
    square = {a: w for a, w in matrices.items() if len(w) > 1}
    flat = {a: w for a, w in matrices.items() if len(w) == 1}
    side = min(2.1, (WIDTH - 0.6) / max(len(square), 1) - 0.25)
    panels, strips = (side + 0.75 if square else 0.1), 0.36 * len(flat)
    named = bool(flat) and len(tasks) <= NAMED
    longest = max(len(short(name, 12)) for name in tasks)
    below = FOOT + 0.65 + (0.07 * longest if named else 0)
    text = " ".join(_shape(t, a, w) for a, w in matrices.items())
    figure = canvas(HEAD + panels + strips + below, _contrast(matrices), text, scope(study, t))
    for i, (arm, matrix) in enumerate(square.items()):
        ax = axes(figure, 0.4 + i * (side + 0.25), below + strips + 0.35, side, side)
        _show(ax, matrix, label(arm))
        ax.set_title(short(label(arm), int(side * 9)), size=BASE, loc="left", pad=6)
        ax.spines[:].set_visible(True)
        ax.set_xlabel("last stage" if _staged(t, arm, matrix) else "tasks", size=BASE, loc="left")
        ax.set_ylabel("" if i else "networks", size=BASE)
    if flat:
        left, stack = margin(label(a) for a in flat), np.concatenate([*flat.values()])
        ax = axes(figure, left, below, WIDTH - left - 0.25, strips)
        _show(ax, stack, "one network")
        ax.hlines(np.arange(len(flat) - 1) + 0.5, -0.5, len(tasks) - 0.5, color="white", lw=3)
        ax.set_yticks(range(len(flat)), [short(label(a), 22) for a in flat], size=BASE)
        ax.tick_params(length=0)
        ax.set_xlabel("" if named else f"{len(tasks)} tasks", size=BASE)
        if named:
            ax.set_xticks(range(len(tasks)), [short(n, 12) for n in tasks], size=SMALL)
            if 0.1 * longest > (WIDTH - left) / len(tasks):
                for name in ax.get_xticklabels():
                    name.set(rotation=40, ha="right", rotation_mode="anchor")
            for (y, x), v in np.ndenumerate(stack):
                ink = "white" if v > 1.25 else INK
                ax.text(x, y, f"{v:.2g}", size=SMALL, ha="center", va="center", color=ink)
    steps = {"0": 0.0, "0.5": 0.5, "1, as in MTL": 1.0, "1.5": 1.5, "2 or more": 2.0}
    shades = [Patch(fc=colormaps["Blues"](v / 2), ec=FAINT) for v in steps.values()]
    key(figure, shades, [*steps])
    return finish(figure)


def _show(ax: Axes, matrix: Float[np.ndarray, "R T"], name: str) -> None:
    ax.imshow(
        matrix, cmap="Blues", vmin=0, vmax=2, interpolation="nearest", aspect="auto", gid=name
    )
    ax.set_xticks([])
    ax.set_yticks([])


def _scale(ax: Axes, means: Float[np.ndarray, "A P T"]) -> None:
    """One scale for all alphas of a method, logarithmic where weights span more than a decade."""
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    if low <= 0 or high <= 10 * low:
        ax.set_ylim(min(low, 0.5) * 0.95, max(high, 1.5) * 1.05)
        return
    low, high = low / 1.1, high * 1.1
    digits = (1,) if high > 1000 * low else (1, 3) if high > 60 * low else (1, 2, 5)
    ticks = [float(f"{d}e{e}") for e in range(-12, 13) for d in digits]
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(FixedLocator([v for v in ticks if low <= v <= high]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))


def _history(study: Study, method: str) -> pd.DataFrame:
    rows = study.history[study.history["method"] == method]
    if rows.empty:
        raise BadInput(
            f"{method} has no weights in this study: it trains no network, or none is kept"
        )
    return rows.assign(alpha=rows["alpha"].map(printed))


def _weights(
    study: Study, method: str
) -> tuple[np.ndarray, list[str], dict[Arm, Float[np.ndarray, "S P T"]], bool]:
    """Steps, tasks, the weights of every alpha by run, and whether other networks give them."""
    mine = kept(study)
    if ("weights", method) not in mine:
        rows = _history(study, method)
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
        mine["weights", method] = steps, tasks, every, others
    return mine["weights", method]


def _matrix(study: Study, arm: Arm) -> Float[np.ndarray, "R T"]:
    """Mean weights over training and runs; 0 where a network does not train on a task."""
    mine = kept(study)
    if ("matrix", arm) not in mine:
        rows = _history(study, arm[0])
        rows = rows[rows["alpha"] == arm[1]]
        wide = rows.groupby(["network", "task"], sort=False)["weight"].mean().unstack("task")
        wide = wide.reindex(index=rows["network"].unique(), columns=rows["task"].unique())
        mine["matrix", arm] = wide.fillna(0).to_numpy()
    return mine["matrix", arm]


def _swing(arm: Arm, tasks: Sequence[str], line: Float[np.ndarray, "P T"]) -> str:
    """Which task weighs most and least, beside how far one task's weight swings in training."""
    mean, swing = line.mean(0), float(np.sqrt(line.var(0).mean()))
    if np.ptp(line) < 1e-6:
        return f"{label(arm)} weighs every task {mean[0]:.3g} all through training"
    if len(mean) == 1:
        return f"{label(arm)} weighs its only task {mean[0]:.3g}, within training ±{swing:.2g}"
    most, least = int(mean.argmax()), int(mean.argmin())
    return (
        f"{label(arm)} weighs {short(tasks[most], 18)} most ({mean[most]:.3g}) and "
        f"{short(tasks[least], 18)} least ({mean[least]:.3g}); within training one task's weight "
        f"varies by ±{swing:.2g}"
    )


def _shape(t: Tables, arm: Arm, matrix: Float[np.ndarray, "R T"]) -> str:
    many = f"{len(matrix)} network{'s' if len(matrix) > 1 else ''}"
    stage = " (the last stage)" if _staged(t, arm, matrix) else ""
    kind = f"weights {matrix.min():.2g} to {matrix.max():.2g}"
    kind = "the identity" if _identity(matrix) else "all ones" if np.allclose(matrix, 1) else kind
    return f"{label(arm)}: {many}{stage}, {kind}."


def _staged(t: Tables, arm: Arm, matrix: Float[np.ndarray, "R T"]) -> bool:
    """More networks were trained than there are rows: the history holds the last stage."""
    return t.counts[arm]["networks"] > len(matrix)


def _contrast(matrices: dict[Arm, Float[np.ndarray, "R T"]]) -> str:
    """What tells the methods apart: identity, ones, and the widest range of weights."""
    own = [a for a, w in matrices.items() if _identity(w)]
    ones = [a for a, w in matrices.items() if a not in own and np.allclose(w, 1)]
    rest = [a for a in matrices if a not in own + ones]
    said = []
    if own:
        said.append(f"One task a network: {' and '.join(map(label, own))}")
    if ones:
        said.append(f"all alike: {' and '.join(map(label, ones))}")
    if rest:
        far = max(rest, key=lambda a: np.ptp(matrices[a]))
        w = matrices[far]
        said.append(f"{label(far)} weighs tasks from {w.min():.2g} to {w.max():.2g}")
    claim = "; ".join(said)
    return claim[:1].upper() + claim[1:]


def _identity(matrix: Float[np.ndarray, "R T"]) -> bool:
    return len(matrix) > 1 and np.allclose(matrix, np.eye(len(matrix), matrix.shape[1]))
