"""Draw the tasks of many methods, with one row for all tasks of a method."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ..study import NOT_LEARNED
from .drawing import (
    HARMS,
    HELPS,
    INK,
    NULL_BAND,
    Drawing,
    add_axes,
    label_width,
    round_ticks,
    shorten,
    tick_text,
)
from .forms import PAGE, TEXT_SIZE, Form
from .sheet import legend_columns, legend_height, new_sheet
from .task_rows import Panel, TaskRows, limits_with_room, write_directions
from .verdicts import MARGIN_LINE, draw_verdicts, margin_legend, verdict_legend

MOST_INTERVALS = 20  # up to so many tasks, each gets an interval
COLUMNS = ((0.35, "harmed", "◀", HARMS), (0.75, "helped", "▶", HELPS))  # inches right of the axis
BLANK = {"fc": "white", "ec": "none", "pad": 1}


def draw_method_strips(rows: TaskRows, form: Form = PAGE) -> Drawing:
    """Draw them: a mark for every task, a box for the middle half, and the mean as a diamond.

    On a page, a method's name stands beside its row, on a phone above it.
    """
    scale, many, page = form.text_size / TEXT_SIZE, len(rows.panels), form is PAGE
    handles, names = _legend(rows)
    pitch = 0.42 if page else 0.56
    labels = [panel.method for panel in rows.panels]
    left = 0.1 + label_width(labels, form) if page else 0.15
    columns = 0.3 + 0.7 * scale  # inches
    wide, tall, head, axis = form.width - left - columns, pitch * many, 0.26 * scale, 0.62 * scale
    body = head + tall + axis + legend_height(names, form) + 0.1
    sheet = new_sheet(rows.title, rows.caption, rows.about, rows.foot, body, form)
    ax = add_axes(sheet.figure, left, sheet.top - head - tall, wide, tall)
    ax.set_xlim(*limits_with_room(rows.limits, wide, form))
    ax.set_ylim(many - 0.5, -0.5)
    ax.axvspan(-rows.null, rows.null, color=NULL_BAND, lw=0, zorder=0, gid="null")
    ax.axvline(0, color=INK, lw=1.2, zorder=1, gid="zero")
    for margin in {float(m) for m in rows.margins if m}:
        for end in (-margin, margin):
            ax.axvline(end, color=INK, lw=1, ls=MARGIN_LINE, zorder=1, gid="margin")
    for y, panel in enumerate(rows.panels):
        at = y if page else y + 0.18  # below its name
        _draw_tasks(ax, at, panel, rows.limits, form)
        _name_row(ax, y if page else y - 0.3, panel, left, wide, form)
        top = None if y else -0.5 - 0.14 * scale / pitch
        _write_counts(ax, at, top, panel, wide, form)
    ax.xaxis.set_major_locator(round_ticks(5 if page else 4))
    ax.xaxis.set_major_formatter(FuncFormatter(tick_text))
    ax.set_yticks([])
    ax.tick_params(labelsize=form.small_size, pad=2)
    ax.spines["left"].set_visible(False)
    write_directions(ax, rows, -0.5 * scale / tall, wide, form)
    sheet.add_legend(handles, names, legend_columns(names, form))
    return sheet.figure


def _legend(rows: TaskRows) -> tuple[list[Artist], list[str]]:
    marks, names = verdict_legend(v for panel in rows.panels for v in panel.verdicts)
    line, margin_words = margin_legend(rows.margins)
    handles: list[Artist] = [*marks, Line2D([], [], ls="", marker="D", color=INK, ms=6), *line]
    names += ["mean", *margin_words]
    if rows.null_words:
        handles.append(Patch(color=NULL_BAND))
        names.append(rows.null_words)
    return handles, names


def _name_row(ax: Axes, y: float, panel: Panel, left: float, wide: float, form: Form) -> None:
    """The method's name, beside a square of the method's own colour."""
    page, scale = form is PAGE, form.text_size / TEXT_SIZE
    own: dict[str, Any] = {"color": panel.colour, "clip_on": False}
    own["transform"] = ax.get_yaxis_transform()
    square = -0.07 if page else 0.06  # inches right of the axis
    ax.plot(square / wide, y, "s", ms=7 * scale, **own)
    place: dict[str, Any] = {
        "ha": "right" if page else "left",
        "va": "center",
        "size": form.text_size,
    }
    x = (-0.2 if page else 0.18) / wide
    name = shorten(panel.method, 22 if page else 20)
    style: dict[str, Any] = {"parse_math": False, "gid": "name", "bbox": None if page else BLANK}
    ax.text(x, y, name, transform=ax.get_yaxis_transform(), **place, **style)


def _write_counts(
    ax: Axes, y: float, top: float | None, panel: Panel, wide: float, form: Form
) -> None:
    """How many tasks are harmed and helped, right of the row; a dash where no test says so.

    Args:
        top: where the columns' heads stand, or None.
    """
    near, place = max(form.text_size / TEXT_SIZE, 0.8), ax.get_yaxis_transform()
    tested = bool((panel.low < panel.high).any())  # one run has no interval
    for inches, verdict, symbol, colour in COLUMNS:
        style: dict[str, Any] = {"ha": "center", "transform": place, "size": form.text_size}
        x = 1 + near * inches / wide
        count = str(panel.verdicts.count(verdict)) if tested else "–"
        ax.text(x, y, count, va="center_baseline", **style)
        if top is not None:
            ax.text(x, top, symbol, va="center", color=colour, **style)


def _draw_tasks(ax: Axes, y: float, panel: Panel, limits: tuple[float, float], form: Form) -> None:
    """Draw the tasks of one method. A task has the same place in every row."""
    delta, (low, high), page = panel.delta, limits, form is PAGE
    half = 0.3 if page else 0.22
    at = y + (np.linspace(-half, half, len(delta)) if len(delta) > 1 else np.zeros(1))
    scored, few = np.isfinite(delta), len(delta) <= MOST_INTERVALS
    if scored.sum() > 3:
        a, b = np.clip(np.quantile(delta[scored], (0.25, 0.75)), low, high)
        tall = 2.6 * half
        ax.barh(y, b - a, left=a, height=tall, color=INK, alpha=0.1, lw=0, zorder=2)
    if few:
        ends = np.clip([panel.low, panel.high], low, high)
        ax.hlines(at, *ends, color=INK, lw=1, alpha=0.4, zorder=3)
    area = (60 if few else 24) * (1 if page else 0.6)
    draw_verdicts(ax, np.clip(delta, low, high), at, panel.verdicts, area)
    if panel.mean is not None:
        middle = float(np.clip(panel.mean[0], low, high))
        ax.plot(middle, y, "D", ms=6, color=INK, mec="white", zorder=6, gid="mean")
    if panel.problem:
        words: dict[str, Any] = {"size": form.small_size, "va": "center", "parse_math": False}
        ax.text(low, y, f" {panel.problem}", bbox=BLANK, **words)
    under = -1.2 if page else 1.3  # of the left end: on a phone a name stands above
    learned = np.array(panel.verdicts) != NOT_LEARNED  # the place of another says nothing
    for edge, beyond, align in ((low, delta < low, "left"), (high, delta > high, "right")):
        if (told := delta[beyond & learned]).size:
            shift = half * (under if align == "left" else -1.2 if page else -2.2)
            far = f"   {told.size} beyond, to {told[np.abs(told).argmax()]:.2g}  "
            place: dict[str, Any] = {"ha": align, "va": "center", "zorder": 6}
            ax.text(edge, y + shift, far, size=form.foot_size, **place)
