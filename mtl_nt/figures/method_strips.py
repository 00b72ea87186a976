"""Draw the tasks of many methods, with one row for all tasks of a method."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .drawing import (
    FOOTER_HEIGHT,
    HARMS,
    HELPS,
    INK,
    NULL_BAND,
    PAGE,
    TEXT_SIZE,
    TITLE_HEIGHT,
    WIDTH,
    Drawing,
    add_axes,
    add_legend,
    label_width,
    method_styles,
    new_figure,
    shorten,
    without_formulas,
)
from .sheet import legend_columns, legend_height
from .tables import Arm, ArmTables, arm_label
from .verdicts import MARGIN_LINE, draw_verdicts, margin_legend, verdict_legend

MOST_INTERVALS = 20  # up to so many tasks, each gets an interval
COLUMNS = ((0.35, "harmed", "◀", HARMS), (0.75, "helped", "▶", HELPS))  # inches right of the axis
BLANK = {"fc": "white", "ec": "none", "pad": 1}


def draw_method_strips(
    t: ArmTables,
    arms: Sequence[Arm],
    title: str,
    caption: str,
    foot: Sequence[str],
    limits: tuple[float, float],
    null: float,
    margins: Float[np.ndarray, " T"],
) -> Drawing:
    """Draw them: a mark for every task, a box for the middle half, and the mean as a diamond.

    Args:
        foot: the sentences of the small print.
        limits: of the axis.
        null: half of the band of chance.
        margins: of every task.
    """
    small = [line for said in foot for line in textwrap.wrap(said, PAGE.foot_letters)]
    marks, names = verdict_legend(v for a in arms for v in t.verdicts[a]["verdict"])
    line, margin_words = margin_legend(margins)
    handles: list[Artist] = [*marks, Line2D([], [], ls="", marker="D", color=INK, ms=6), *line]
    names += ["mean", *margin_words]
    if t.null_arm is not None:
        handles.append(Patch(color=NULL_BAND))
        names.append(f"chance ({t.null_arm[0]})")
    columns = legend_columns(names, PAGE)
    tall, left = 0.42 * len(arms), 0.1 + label_width(arm_label(a) for a in arms)
    wide, bottom = WIDTH - left - 1.0, FOOTER_HEIGHT + 0.74 + 0.17 * (len(small) - 1)
    bottom += legend_height(names, PAGE)
    figure = new_figure(TITLE_HEIGHT + 0.3 + tall + bottom, title, caption, "\n".join(small))
    ax = add_axes(figure, left, bottom, wide, tall)
    low, high = limits
    ax.axvspan(-null, null, color=NULL_BAND, lw=0, zorder=0, gid="null")
    ax.axvline(0, color=INK, lw=1.2, zorder=1, gid="zero")
    for margin in {float(m) for m in margins if m}:
        for end in (-margin, margin):
            ax.axvline(end, color=INK, lw=1, ls=MARGIN_LINE, zorder=1, gid="margin")
    style, beside = method_styles(t.methods), ax.get_yaxis_transform()
    for y, arm in enumerate(arms):
        _draw_tasks(ax, y, t.verdicts[arm], limits)
        whole = t.overall[arm]
        if whole["unit"] == t.metric and np.isfinite(whole["delta"]):
            middle = float(np.clip(whole["delta"], low, high))
            ax.plot(middle, y, "D", ms=6, color=INK, mec="white", zorder=6, gid="mean")
        own: dict[str, Any] = {"color": style[arm[0]].colour, "transform": beside, "clip_on": False}
        ax.plot(-0.07 / wide, y, "s", ms=7, **own)
        if not t.scored_tasks(arm):
            ax.text(low, y, f" {t.why_unscored(arm)}", size=10, va="center", bbox=BLANK)
        for inches, verdict, symbol, colour in COLUMNS:
            place: dict[str, Any] = {
                "x": 1 + inches / wide,
                "ha": "center",
                "transform": beside,
                "size": TEXT_SIZE,
            }
            count = f"{t.tasks_with(arm, verdict):.0f}".replace("nan", "–")
            ax.text(y=y, s=count, va="center_baseline", **place)
            if y == 0:
                ax.text(y=-0.95, s=symbol, va="center", color=colour, **place)
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.set_yticks(range(len(arms)), [shorten(arm_label(a), 22) for a in arms], size=TEXT_SIZE)
    ax.tick_params(axis="y", length=0, pad=14)
    sign = " (sign turned)" if t.sign_turned else ""
    where = f"← worse    difference from {t.baseline[0]} in {t.metric}{sign}    better →"
    height = (bottom - 0.55) / figure.get_figheight()
    figure.text(0.5, height, where, size=TEXT_SIZE, ha="center")
    add_legend(figure, handles, names, columns, lines_below=len(small))
    without_formulas(figure)
    return figure


def _draw_tasks(ax: Axes, y: int, rows: pd.DataFrame, limits: tuple[float, float]) -> None:
    """Draw the tasks of one method. A task has the same place in every row."""
    delta, (low, high) = rows["delta"].to_numpy(), limits
    at = y + (np.linspace(-0.3, 0.3, len(rows)) if len(rows) > 1 else np.zeros(1))
    scored, few = np.isfinite(delta), len(rows) <= MOST_INTERVALS
    if scored.sum() > 3:
        a, b = np.clip(np.quantile(delta[scored], (0.25, 0.75)), low, high)
        ax.barh(y, b - a, left=a, height=0.76, color=INK, alpha=0.1, lw=0, zorder=2)
    if few:
        ends = np.clip([rows["low"], rows["high"]], low, high)
        ax.hlines(at, *ends, color=INK, lw=1, alpha=0.4, zorder=3)
    draw_verdicts(ax, np.clip(delta, low, high), at, rows["verdict"].to_list(), 60 if few else 24)
    for edge, beyond, align in ((low, delta < low, "left"), (high, delta > high, "right")):
        if beyond.any():
            far = f"   {beyond.sum()} beyond, to {delta[np.nanargmax(np.abs(delta))]:.2g}  "
            ax.text(edge, y - 0.36, far, size=10, ha=align, va="center", zorder=6)
