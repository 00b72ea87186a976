"""Draw the tasks of one to three methods: a row per task, or a thin line where they are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFTBASE, CARETRIGHTBASE
from matplotlib.ticker import FuncFormatter

from .drawing import (
    GREY,
    HARMS,
    HELPS,
    INK,
    NULL_BAND,
    Drawing,
    add_axes,
    fitted_names,
    label_width,
    round_ticks,
    shorten,
    spread,
    tick_text,
)
from .forms import PAGE, TEXT_SIZE, Form
from .row_numbers import row_numbers
from .sheet import legend_columns, legend_height, new_sheet
from .verdicts import (
    MARGIN_LINE,
    VERDICT_COLOURS,
    draw_verdicts,
    margin_legend,
    verdict_legend,
)

MOST_ROWS = 40  # up to so many tasks, each has a row with its name
MANY_ROWS = 24  # more rows than these are set closer
STRIP_HEIGHT = 4.4  # inches for all tasks, where they are too many for rows
STRIP_NAMES = 3  # the tasks that are named at each end of the strip
GAP = 0.55  # rows between groups, and before the mean
REACH = 0.085  # inches kept for half of a mark at the ends of the axis
BLANK = {"fc": "white", "ec": "none", "pad": 1}


@dataclass(frozen=True)
class Panel:
    """The tasks of one method, in the order of the rows."""

    method: str
    colour: str  # the method's own
    delta: Float[np.ndarray, " T"]
    low: Float[np.ndarray, " T"]
    high: Float[np.ndarray, " T"]
    verdicts: tuple[str, ...]
    mean: tuple[float, float, float] | None  # over tasks, with its interval
    problem: str = ""  # why no task is scored
    colours: tuple[str, ...] = ()  # of the rows, in place of their verdicts' colours
    alone: tuple[bool, ...] = ()  # whether a number has no interval and a mark of its own


@dataclass(frozen=True)
class TaskRows:
    """All that the picture shows: numbers and words, small enough to be sent elsewhere."""

    title: str
    caption: str
    about: str  # who is compared with whom, in what
    foot: tuple[str, ...]  # the sentences of the small print
    names: tuple[str, ...]
    groups: tuple[str, ...]  # of every row; empty where there are none
    headed: bool  # whether the groups have headings, since no task's name says its group
    panels: tuple[Panel, ...]
    limits: tuple[float, float]
    null: float  # half of the band of chance, 0 where there is none
    null_words: str
    margins: Float[np.ndarray, " T"]
    worse: str  # what stands at the left end of the axis, and at the right
    better: str
    mean_name: str = "mean over tasks"
    with_legend: bool = True
    judged: bool = True  # whether the ends of the axis are harm and help, and so red and blue


def draw_task_rows(rows: TaskRows, form: Form = PAGE) -> Drawing:
    """Draw them: on a page the methods stand side by side, on a phone below each other."""
    scale, many = form.text_size / TEXT_SIZE, len(rows.names) > MOST_ROWS
    at, headings, mean_at = _places(rows)
    pitch = scale * (0.3 if len(rows.names) <= MANY_ROWS else 0.245)
    if many:
        pitch = STRIP_HEIGHT * scale / len(rows.names)
        mean_at = at[-1] + 0.35 * scale / pitch
    tall = ((at[-1] if mean_at is None else mean_at) + 1) * pitch + 0.1 * scale * many
    beside, stacked = (len(rows.panels), 1) if form is PAGE else (1, len(rows.panels))
    head = 0.24 * scale * (bool(rows.null) + (len(rows.panels) > 1))
    ticks = 0.36 * scale
    block = head + tall + ticks + 0.12 * (stacked > 1)
    handles, marks = _legend(rows)
    body = stacked * block + 0.4 * scale + legend_height(marks, form)
    sheet = new_sheet(rows.title, rows.caption, rows.about, rows.foot, body, form)

    names = [*rows.names, *([rows.mean_name] if mean_at is not None else [])]
    left = label_width(names, form)
    with_numbers = beside < 3  # three methods leave no room for numbers
    values = _number_width(rows, form) if with_numbers else 0.1
    wide = (form.width - left - 0.05) / beside - values - 0.1 * (beside > 1)
    for k, panel in enumerate(rows.panels):
        column, line = (k, 0) if form is PAGE else (0, k)
        bottom = sheet.top - head - tall - line * block
        ax = add_axes(sheet.figure, left + column * (wide + values + 0.1), bottom, wide, tall)
        _draw_panel(ax, rows, panel, at, mean_at, form)
        if with_numbers:
            _write_numbers(ax, rows, panel, at, mean_at, form)
        if not column:
            _name_rows(ax, rows, at, mean_at, form)
            _write_headings(ax, headings, left / wide, form)
        inches = 0.04 + 0.12 * scale  # above the panel
        if rows.null:
            _label_band(ax, rows, 1 + inches / tall, wide, values, form)
            inches += 0.24 * scale
        if len(rows.panels) > 1:
            _name_panel(ax, panel, 1 + inches / tall, (wide, wide + values), form)
        if line == stacked - 1:
            write_directions(ax, rows, -(ticks + 0.14 * scale) / tall, wide, form)
    if marks:
        sheet.add_legend(handles, marks, legend_columns(marks, form))
    return sheet.figure


def limits_with_room(limits: tuple[float, float], wide: float, form: Form) -> tuple[float, float]:
    """Limits of an axis of so many inches, on which a mark at an end of these stands inside.

    >>> low, high = limits_with_room((0.0, 1.0), 3.0, PAGE)
    >>> bool(low < 0 and high > 1)
    True
    """
    (low, high), reach = limits, REACH * form.text_size / TEXT_SIZE
    pad = (high - low) * reach / (wide - 2 * reach)
    return low - pad, high + pad


def write_directions(ax: Axes, rows: TaskRows, y: float, wide: float, form: Form) -> None:
    """Which end of the axis is better, below it, in as many words as there is room for."""
    letter = 0.63 * form.text_size / 72
    room = wide > letter * (len(rows.worse) + len(rows.better) + 7)
    worse = rows.worse if room else rows.worse.partition(" ")[0]
    style: dict[str, Any] = {"size": form.text_size, "va": "center", "transform": ax.transAxes}
    style["parse_math"] = False
    left, right = (HARMS, HELPS) if rows.judged else (INK, INK)
    ax.text(0, y, f"← {worse}", color=left, **style)
    ax.text(1, y, f"{rows.better} →", color=right, ha="right", **style)


def _places(
    rows: TaskRows,
) -> tuple[Float[np.ndarray, " T"], list[tuple[float, str]], float | None]:
    """The height of every row in rows from the top, the headings, and the height of the mean."""
    at, headings, y = [], [], 0.0
    grouped = bool(rows.groups) and len(rows.names) <= MOST_ROWS
    for k in range(len(rows.names)):
        if grouped and (k == 0 or rows.groups[k] != rows.groups[k - 1]):
            y += GAP * (k > 0)
            if rows.headed:
                headings.append((y, rows.groups[k]))
                y += 1
        at.append(y)
        y += 1
    shown = any(panel.mean is not None for panel in rows.panels) and len(rows.names) > 1
    return np.array(at), headings, y + GAP if shown else None


def _draw_panel(
    ax: Axes,
    rows: TaskRows,
    panel: Panel,
    at: Float[np.ndarray, " T"],
    mean_at: float | None,
    form: Form,
) -> None:
    """One method's tasks: the band of chance, zero, margins, intervals and marks."""
    (low, high), scale, many = rows.limits, form.text_size / TEXT_SIZE, len(at) > MOST_ROWS
    last = at[-1] if mean_at is None else mean_at
    edges = limits_with_room(rows.limits, ax.get_position().width * form.width, form)
    ax.set_xlim(*edges)
    ax.set_ylim(last + 0.5, -0.5)
    if rows.null:
        ax.axvspan(-rows.null, rows.null, color=NULL_BAND, lw=0, zorder=0, gid="null")
    ax.axvline(0, color=INK, lw=1.2, zorder=1, gid="zero")
    if rows.margins.any():
        for sign in (-1, 1):
            line: dict[str, Any] = {
                "color": INK,
                "lw": 1,
                "ls": MARGIN_LINE,
                "zorder": 1,
                "gid": "margin",
            }
            ax.vlines(sign * rows.margins, at - 0.5, at + 0.5, **line)
    colours = list(panel.colours) or [VERDICT_COLOURS[v] for v in panel.verdicts]
    style: dict[str, Any] = {"lw": 0.9 if many else 2.2 * scale, "alpha": 0.55 if many else 0.75}
    ends = np.clip([panel.low, panel.high], *edges)
    ax.hlines(at, *ends, color=colours, zorder=3, gid="interval", **style)
    area = 14.0 if many else 90.0 * scale**2
    if not many:
        _mark_cuts(ax, panel, at, rows.limits, colours, scale)
    shown, alone = np.clip(panel.delta, low, high), np.array(panel.alone or [False] * len(at))
    judged = np.where(alone, np.nan, shown)
    draw_verdicts(ax, judged, at, panel.verdicts, area, panel.colours)
    if alone.any():
        own: dict[str, Any] = {"s": 0.7 * area, "marker": "D", "color": INK, "zorder": 5}
        ax.scatter(shown[alone], at[alone], gid="alone", **own)
    if panel.mean is not None and mean_at is not None:
        middle, a, b = panel.mean
        a, b = np.clip([a, b], *edges)
        ax.axhline((at[-1] + mean_at) / 2, color=NULL_BAND, lw=1)
        ax.hlines(mean_at, a, b, color=INK, lw=2.2 * scale, zorder=3)
        mark: dict[str, Any] = {"color": INK, "ms": 7.5 * scale, "zorder": 5, "gid": "mean"}
        ax.plot(np.clip(middle, low, high), mean_at, "D", clip_on=False, **mark)
    if panel.problem:
        place: dict[str, Any] = {
            "x": (low + high) / 2,
            "y": (at[0] + at[-1]) / 2,
            "ha": "center",
            "va": "center",
        }
        ax.text(s=panel.problem, size=form.small_size, bbox=BLANK, parse_math=False, **place)
    ax.xaxis.set_major_locator(round_ticks(5 if ax.get_position().width * form.width > 3 else 3))
    ax.xaxis.set_major_formatter(FuncFormatter(tick_text))
    ax.set_yticks([])
    ax.tick_params(labelsize=form.small_size, pad=2)
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_color("#B0B0B0")


def _mark_cuts(
    ax: Axes,
    panel: Panel,
    at: Float[np.ndarray, " T"],
    limits: tuple[float, float],
    colours: Sequence[str],
    scale: float,
) -> None:
    """An arrow at the end of the axis, where an interval or a mark lies beyond it."""
    edges, slack = ax.get_xlim(), 1e-9 * (limits[1] - limits[0])
    values = np.array([panel.delta, panel.low, panel.high])
    beyond = (values < limits[0] - slack).any(0), (values > limits[1] + slack).any(0)
    for edge, cut, arrow in zip(edges, beyond, (CARETLEFTBASE, CARETRIGHTBASE), strict=True):
        for k in map(int, np.flatnonzero(cut)):
            look: dict[str, Any] = {"color": colours[k], "ms": 6 * scale, "clip_on": False}
            ax.plot(edge, at[k], marker=arrow, mew=0, ls="", zorder=4, gid="beyond", **look)


def _write_numbers(
    ax: Axes,
    rows: TaskRows,
    panel: Panel,
    at: Float[np.ndarray, " T"],
    mean_at: float | None,
    form: Form,
) -> None:
    """The mean differences, beside their rows; of a strip only those of the named tasks.

    Their decimal points stand below each other.
    """
    named = _named_tasks(len(at))
    heights = [*_label_heights(ax, at, named, form)]
    heights += [] if panel.mean is None or mean_at is None else [mean_at]
    wide, size = ax.get_position().width * form.width, _number_size(rows, form)
    before = max(n.before_point(size) for p in rows.panels for n in row_numbers(rows, p, named))
    style: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "size": size}
    for number, y in zip(row_numbers(rows, panel, named), heights, strict=True):
        x = 1 + (0.12 + before - number.before_point(size)) / wide
        weight = "bold" if number.bold else "normal"
        ax.text(x, y, number.text, color=number.colour, weight=weight, **style)


def _number_width(rows: TaskRows, form: Form) -> float:
    """The inches that the numbers take beside the axis."""
    size, named = _number_size(rows, form), _named_tasks(len(rows.names))
    numbers = [number for panel in rows.panels for number in row_numbers(rows, panel, named)]
    before = max(number.before_point(size) for number in numbers)
    return 0.2 + before + max(number.after_point(size) for number in numbers)


def _number_size(rows: TaskRows, form: Form) -> float:
    return form.text_size if len(rows.names) <= MANY_ROWS else form.small_size


def _name_rows(
    ax: Axes, rows: TaskRows, at: Float[np.ndarray, " T"], mean_at: float | None, form: Form
) -> None:
    """The tasks' names, left of their rows. Texts are drawn in half the time of ticks."""
    shown = _named_tasks(len(at))
    heights = [*_label_heights(ax, at, shown, form)]
    fitted, size = fitted_names(rows.names, form)
    names = [fitted[k] for k in shown]
    if mean_at is not None:
        heights, names = [*heights, mean_at], [*names, rows.mean_name]
    size = size if len(at) <= MANY_ROWS else form.small_size
    style: dict[str, Any] = {"ha": "right", "va": "center", "size": size, "color": INK}
    x = -0.07 / (ax.get_position().width * form.width)
    for name, y in zip(names, heights, strict=True):
        beside = ax.get_yaxis_transform()
        ax.text(x, y, name, transform=beside, parse_math=False, gid="name", **style)


def _named_tasks(tasks: int) -> list[int]:
    """The rows that have a name: all, or those at both ends of a strip."""
    if tasks <= MOST_ROWS:
        return [*range(tasks)]
    return [*range(STRIP_NAMES), *range(tasks - STRIP_NAMES, tasks)]


def _label_heights(
    ax: Axes, at: Float[np.ndarray, " T"], shown: list[int], form: Form
) -> Float[np.ndarray, " N"]:
    """Where names and numbers stand: at their rows, and in a strip a little apart."""
    if len(at) <= MOST_ROWS:
        return at
    figure = ax.get_figure(root=True)
    assert figure is not None
    low, high = sorted(ax.get_ylim())
    inch = (high - low) / (ax.get_position().height * figure.get_figheight())
    return spread(at[shown], 0.22 * inch * form.text_size / TEXT_SIZE, low, float(at[-1]) + 0.5)


def _write_headings(ax: Axes, headings: list[tuple[float, str]], left: float, form: Form) -> None:
    """The groups' names, above their rows, from the left edge of the figure on.

    A long one covers the line at zero, which would strike it out.
    """
    style: dict[str, Any] = {"size": form.small_size, "color": GREY, "parse_math": False}
    style |= {"va": "center", "gid": "group", "bbox": BLANK, "transform": ax.get_yaxis_transform()}
    letters = int((form.width - 0.2) / (0.63 * form.small_size / 72))
    for y, word in headings:
        ax.text(-0.95 * left, y, shorten(word, letters), **style)


def _name_panel(ax: Axes, panel: Panel, y: float, widths: tuple[float, float], form: Form) -> None:
    """The method's name above its panel, beside a square of the method's own colour."""
    wide, room = widths
    mark: dict[str, Any] = {"color": panel.colour, "transform": ax.transAxes, "clip_on": False}
    ax.plot(0.06 / wide, y, "s", ms=8 * form.text_size / TEXT_SIZE, **mark)
    name = shorten(panel.method, int(room * 7.5 * TEXT_SIZE / form.text_size))
    bold: dict[str, Any] = {"size": form.text_size, "weight": "bold", "parse_math": False}
    ax.text(0.2 / wide, y, name, va="center", transform=ax.transAxes, **bold)


def _label_band(ax: Axes, rows: TaskRows, y: float, wide: float, values: float, form: Form) -> None:
    """Say above the band of chance what it is, within the panel."""
    low, high = rows.limits
    half = len(rows.null_words) * form.small_size * 0.29 / 72 / wide
    x = float(np.clip(-low / (high - low), half, max(half, 1 + values / wide - half)))
    style: dict[str, Any] = {"size": form.small_size, "color": GREY, "va": "center"}
    style["parse_math"] = False
    ax.text(x, y, rows.null_words, ha="center", transform=ax.transAxes, **style)


def _legend(rows: TaskRows) -> tuple[list[Line2D], list[str]]:
    if not rows.with_legend:
        return [], []
    seen = {verdict for panel in rows.panels for verdict in panel.verdicts}
    (handles, names), (line, margin) = verdict_legend(seen), margin_legend(rows.margins)
    return handles + line, names + margin
