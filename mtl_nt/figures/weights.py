"""Figures of the weight matrix W: over the steps of training, and for all methods side by side."""

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

from ..study import Study
from ..tasks import BadInput
from .drawing import (
    COLOURS,
    FOOTER_HEIGHT,
    GREY,
    INK,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_HEIGHT,
    WIDTH,
    add_axes,
    add_legend,
    label_width,
    method_styles,
    new_figure,
    shorten,
    without_formulas,
)
from .tables import Arm, ArmTables, arm_label, arm_tables, format_alpha, scope_line, study_cache

MOST_NAMED = 12  # up to so many tasks, each gets a line and a name
EXTREMES = 3  # of more tasks, so many heaviest and so many lightest get them


def weight_curves(study: Study, method: str, alpha: float | None = None) -> Figure:
    """The weight that a method gives each task over training, as the mean over runs.

    Up to 12 tasks get one line each. Of more tasks the figure shows bands that hold all, 80% and
    half of them, and lines for the heaviest and the lightest. Shading around the heaviest and the
    lightest task is the range over runs. If a method trains one network per task, a task's weight
    is the mean over the other tasks' networks.

    Args:
        alpha: by default the middle one of the method.

    Raises:
        BadInput: an unknown method or alpha; a method that trains no network.

    >>> from mtl_nt.study import stored
    >>> weight_curves(stored("cure-noisy"), "MTL")  # which comes without the weights of training
    Traceback (most recent call last):
    mtl_nt.tasks.BadInput: MTL has no weights in this study: it trains no network, or none is kept
    """
    t = arm_tables(study)
    arm = t.find_arm(method, alpha)
    steps, tasks, every, others = _weights_by_alpha(study, method)
    line = np.nanmean(every[arm], 0)  # (points, tasks)
    mean = line.mean(0)
    order = np.argsort(-mean, kind="stable")
    few = len(tasks) <= MOST_NAMED
    shown = order if few else np.r_[order[:EXTREMES], order[-EXTREMES:]]
    runs = np.nanmean(every[arm], 1)  # (runs, tasks)
    whose = "weight by other networks" if others else "weight"
    text = f"Mean {whose} over training, and its range over runs: " + ", ".join(
        f"{shorten(tasks[i], 40)} {mean[i]:.2g} ({runs[:, i].min():.2g}–{runs[:, i].max():.2g})"
        for i in shown
    )
    figure = new_figure(
        TITLE_HEIGHT + 4.0, _title_of_curves(arm, tasks, line), f"{text}.", scope_line(study, t)
    )
    ax = add_axes(figure, 0.75, FOOTER_HEIGHT + 0.65, 4.75, 2.75)
    _set_weight_scale(ax, np.stack([np.nanmean(v, 0) for v in every.values()]))
    ax.axhline(1, color=COLOURS["MTL"], lw=1.5, ls=(0, (5, 3)), zorder=1, gid="one")
    shades = colormaps["viridis"](np.linspace(0, 0.78, max(2, len(tasks))))
    if not few:
        colour = method_styles(t.methods)[method].colour
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
            "size": SMALL_SIZE,
            "va": "center",
            "color": shades[i],
            "transform": ax.transAxes,
        }
        ax.text(1.14, y, f"{mean[i]:.3g}", ha="right", weight="bold", **name)
        ax.text(1.16, y, shorten(tasks[i], 16), **name)
    ax.text(1.03, 1.08, "mean over training", size=SMALL_SIZE, va="center", transform=ax.transAxes)
    ax.set_xlim(steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel("step", size=TEXT_SIZE, labelpad=2)
    ax.set_title(f"{whose} (dashed: MTL)", size=TEXT_SIZE, loc="left", pad=8)
    return without_formulas(figure)


def weight_matrix(
    study: Study, methods: Sequence[str] | None = None, alpha: float | None = None
) -> Figure:
    """The weight matrix W of every method, as the mean over training and runs.

    Rows are networks, and columns are tasks. A method that trains one network per task has a panel
    of its own; a method that trains one network has one row.

    Args:
        methods: by default all methods of the study that train a network.
        alpha: the alpha of the methods that have one; by default the middle one of each.

    Raises:
        BadInput: an unknown method or alpha; a study without weights.

    >>> from mtl_nt.study import stored
    >>> weight_matrix(stored("cure-noisy"))  # which comes without the weights of training
    Traceback (most recent call last):
    mtl_nt.tasks.BadInput: this study has no weights: it trains no network, or none are kept
    """
    t = arm_tables(study)
    weighted = set(study.history["method"])
    if not weighted:
        raise BadInput("this study has no weights: it trains no network, or none are kept")
    names = [m for m in t.methods if m in weighted and not m.endswith("'")]
    arms = [t.find_arm(m, alpha) for m in (names if methods is None else dict.fromkeys(methods))]
    matrices = {arm: _mean_weights(study, arm) for arm in arms}
    tasks = [str(name) for name in study.history["task"].unique()]
    square = {a: w for a, w in matrices.items() if len(w) > 1}
    flat = {a: w for a, w in matrices.items() if len(w) == 1}
    side = min(2.1, (WIDTH - 0.6) / max(len(square), 1) - 0.25)
    panels, strips = (side + 0.75 if square else 0.1), 0.36 * len(flat)
    named = bool(flat) and len(tasks) <= MOST_NAMED
    longest = max(len(shorten(name, 12)) for name in tasks)
    below = FOOTER_HEIGHT + 0.65 + (0.07 * longest if named else 0)
    text = " ".join(_describe_matrix(t, a, w) for a, w in matrices.items())
    figure = new_figure(
        TITLE_HEIGHT + panels + strips + below,
        _title_of_matrices(matrices),
        text,
        scope_line(study, t),
    )
    for i, (arm, matrix) in enumerate(square.items()):
        ax = add_axes(figure, 0.4 + i * (side + 0.25), below + strips + 0.35, side, side)
        _draw_matrix(ax, matrix, arm_label(arm))
        ax.set_title(shorten(arm_label(arm), int(side * 9)), size=TEXT_SIZE, loc="left", pad=6)
        ax.spines[:].set_visible(True)
        ax.set_xlabel(
            "last stage" if _shows_last_stage(t, arm, matrix) else "tasks",
            size=TEXT_SIZE,
            loc="left",
        )
        ax.set_ylabel("" if i else "networks", size=TEXT_SIZE)
    if flat:
        left, stack = label_width(arm_label(a) for a in flat), np.concatenate([*flat.values()])
        ax = add_axes(figure, left, below, WIDTH - left - 0.25, strips)
        _draw_matrix(ax, stack, "one network")
        ax.hlines(np.arange(len(flat) - 1) + 0.5, -0.5, len(tasks) - 0.5, color="white", lw=3)
        ax.set_yticks(range(len(flat)), [shorten(arm_label(a), 22) for a in flat], size=TEXT_SIZE)
        ax.tick_params(length=0)
        ax.set_xlabel("" if named else f"{len(tasks)} tasks", size=TEXT_SIZE)
        if named:
            ax.set_xticks(range(len(tasks)), [shorten(n, 12) for n in tasks], size=SMALL_SIZE)
            if 0.1 * longest > (WIDTH - left) / len(tasks):
                for name in ax.get_xticklabels():
                    name.set(rotation=40, ha="right", rotation_mode="anchor")
            for (y, x), v in np.ndenumerate(stack):
                ink = "white" if v > 1.25 else INK
                ax.text(x, y, f"{v:.2g}", size=SMALL_SIZE, ha="center", va="center", color=ink)
    steps = {"0": 0.0, "0.5": 0.5, "1, as in MTL": 1.0, "1.5": 1.5, "2 or more": 2.0}
    shades = [Patch(fc=colormaps["Blues"](v / 2), ec=GREY) for v in steps.values()]
    add_legend(figure, shades, [*steps])
    return without_formulas(figure)


def _draw_matrix(ax: Axes, matrix: Float[np.ndarray, "R T"], name: str) -> None:
    """Draw weights from 0 (white) to 2 or more (dark blue)."""
    ax.imshow(
        matrix, cmap="Blues", vmin=0, vmax=2, interpolation="nearest", aspect="auto", gid=name
    )
    ax.set_xticks([])
    ax.set_yticks([])


def _set_weight_scale(ax: Axes, means: Float[np.ndarray, "A P T"]) -> None:
    """One scale for all alphas of a method; logarithmic if weights differ more than tenfold."""
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


def _history_of(study: Study, method: str) -> pd.DataFrame:
    """The weights of one method, with its alphas as text."""
    rows = study.history[study.history["method"] == method]
    if rows.empty:
        raise BadInput(
            f"{method} has no weights in this study: it trains no network, or none is kept"
        )
    return rows.assign(alpha=rows["alpha"].map(format_alpha))


def _weights_by_alpha(
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


def _mean_weights(study: Study, arm: Arm) -> Float[np.ndarray, "R T"]:
    """The mean weights over training and runs; 0 where a network does not train on a task."""
    cache = study_cache(study)
    if ("matrix", arm) not in cache:
        rows = _history_of(study, arm[0])
        rows = rows[rows["alpha"] == arm[1]]
        wide = rows.groupby(["network", "task"], sort=False)["weight"].mean().unstack("task")
        wide = wide.reindex(index=rows["network"].unique(), columns=rows["task"].unique())
        cache["matrix", arm] = wide.fillna(0).to_numpy()
    return cache["matrix", arm]


def _title_of_curves(arm: Arm, tasks: Sequence[str], line: Float[np.ndarray, "P T"]) -> str:
    """Which task has the largest and smallest weight, and how far one task's weight swings."""
    mean, swing = line.mean(0), float(np.sqrt(line.var(0).mean()))
    if np.ptp(line) < 1e-6:
        return f"{arm_label(arm)} weighs every task {mean[0]:.3g} all through training"
    if len(mean) == 1:
        return f"{arm_label(arm)} weighs its only task {mean[0]:.3g}, within training ±{swing:.2g}"
    most, least = int(mean.argmax()), int(mean.argmin())
    return (
        f"{arm_label(arm)} weighs {shorten(tasks[most], 18)} most ({mean[most]:.3g}) and "
        f"{shorten(tasks[least], 18)} least ({mean[least]:.3g}); within training one task's weight "
        f"varies by ±{swing:.2g}"
    )


def _describe_matrix(t: ArmTables, arm: Arm, matrix: Float[np.ndarray, "R T"]) -> str:
    many = f"{len(matrix)} network{'s' if len(matrix) > 1 else ''}"
    stage = " (the last stage)" if _shows_last_stage(t, arm, matrix) else ""
    kind = f"weights {matrix.min():.2g} to {matrix.max():.2g}"
    kind = (
        "the identity" if _is_identity(matrix) else "all ones" if np.allclose(matrix, 1) else kind
    )
    return f"{arm_label(arm)}: {many}{stage}, {kind}."


def _shows_last_stage(t: ArmTables, arm: Arm, matrix: Float[np.ndarray, "R T"]) -> bool:
    """Whether more networks were trained than there are rows: these are those of the last stage."""
    return t.counts[arm]["networks"] > len(matrix)


def _title_of_matrices(matrices: dict[Arm, Float[np.ndarray, "R T"]]) -> str:
    """What tells the methods apart: identity, ones, and the widest range of weights."""
    separate = [a for a, w in matrices.items() if _is_identity(w)]
    ones = [a for a, w in matrices.items() if a not in separate and np.allclose(w, 1)]
    others = [a for a in matrices if a not in separate + ones]
    said = []
    if separate:
        said.append(f"One task a network: {' and '.join(map(arm_label, separate))}")
    if ones:
        said.append(f"all alike: {' and '.join(map(arm_label, ones))}")
    if others:
        far = max(others, key=lambda a: np.ptp(matrices[a]))
        w = matrices[far]
        said.append(f"{arm_label(far)} weighs tasks from {w.min():.2g} to {w.max():.2g}")
    claim = "; ".join(said)
    return claim[:1].upper() + claim[1:]


def _is_identity(matrix: Float[np.ndarray, "R T"]) -> bool:
    """Whether every network trains on its own task alone."""
    return len(matrix) > 1 and np.allclose(matrix, np.eye(len(matrix), matrix.shape[1]))
