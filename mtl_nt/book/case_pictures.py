"""Pictures of the case chapters, each with a form for pages and one for phones.

`baseline_counts` has one method's count against several baselines, `shares` is a histogram over
tasks, `label_bars` says how many labels each task has, and `errors_by_setting` shows every run of
some methods under several settings.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..errors import BadInput
from ..figures import GREY, HARMS, INK, NULL_BAND, Drawing, add_axes, method_styles
from ..figures.drawing import fitted_names, in_both_forms, label_width, without_formulas
from ..figures.forms import TEXT_SIZE, Form
from ..figures.sheet import Sheet, legend_columns, legend_height, new_sheet

COUNTS = ("negative", "negative_per_run", "harmed")
SHADES = ("#4D4D4D", "#8A8A8A", "#B8B8B8", "#6B6B6B")  # greys, since a group is no method


@dataclass(frozen=True)
class Words:
    """The words of a picture: its message, what is compared, and the small print."""

    title: str
    about: str
    foot: str


def baseline_counts(
    counts: pd.DataFrame, of: int, null: tuple[str, float, float], method: str, words: Words
) -> Drawing:
    """On how many tasks a method is worse than each of several baselines.

    Args:
        counts: one row per baseline, with the columns `negative` (by the mean of the runs),
            `negative_per_run` and `harmed`, as `Study.counts` has them.
        of: how many tasks there are.
        null: the baseline that has a null, and the two ends of the null of a run's count.
        method: the one whose counts they are, for its colour.
        words: the words of the picture.

    Raises:
        BadInput: no baselines, a column that is missing, or no row of the null's baseline.

    >>> row = {"negative": [3, 0], "negative_per_run": [3.4, 0.5], "harmed": [1, 0]}
    >>> two = pd.DataFrame(row, ["STL", "OLS"])
    >>> baseline_counts(two, 9, ("STL", 2, 7), "MTL", Words("0 to 3 of 9", "", "")).caption
    'STL: 3, harmed 1; OLS: 0, harmed 0.'
    """
    if not len(counts):
        raise BadInput("baseline_counts: no baselines; give one row per baseline")
    if missing := [name for name in COUNTS if name not in counts]:
        raise BadInput(f"baseline_counts: no {', '.join(missing)}; Study.counts has these columns")
    if null[0] not in counts.index:
        raise BadInput(f"baseline_counts: no row of {null[0]!r}, whose null it should show")
    said = [f"{name}: {r.negative:.0f}, harmed {r.harmed:.0f}" for name, r in counts.iterrows()]
    caption = f"{'; '.join(said)}."
    return in_both_forms(partial(_draw_counts, counts, of, null, method, words, caption))


def _draw_counts(
    counts: pd.DataFrame,
    of: int,
    null: tuple[str, float, float],
    method: str,
    words: Words,
    caption: str,
    form: Form,
) -> Drawing:
    scale, names = form.text_size / TEXT_SIZE, list(map(str, counts.index))
    legend = ["worse, mean of the runs", "worse, one run", "harmed, by the test"]
    legend += [f"chance: {null[0]} again"]
    tall, axis = 0.37 * scale * len(names), 0.75 * scale
    body = 0.3 * scale + tall + axis + legend_height(legend, form)
    sheet = new_sheet(words.title, caption, words.about, [words.foot], body, form)
    left = label_width(names, form)
    at = sheet.top - 0.3 * scale - tall
    ax = add_axes(sheet.figure, left, at, form.width - left - 0.25, tall)
    places, ink = np.arange(len(names)), method_styles([method])[method].colour
    band: dict[str, Any] = {"left": null[1], "height": 0.9, "color": NULL_BAND}
    (bar,) = ax.barh([names.index(null[0])], [null[2] - null[1]], **band)
    dot: dict[str, Any] = {"ls": "", "color": ink, "clip_on": False}
    (mean,) = ax.plot(counts["negative"], places, "o", ms=11 * scale, **dot)
    (one,) = ax.plot(counts["negative_per_run"], places, "o", ms=8 * scale, mfc="white", **dot)
    look: dict[str, Any] = {"ls": "", "color": HARMS, "clip_on": False}
    (harmed,) = ax.plot(counts["harmed"], places, "<", ms=8 * scale, **look)
    ax.axvline(of / 2, color=GREY, lw=1, ls=":")
    style: dict[str, Any] = {"size": form.small_size, "color": GREY, "ha": "center", "va": "bottom"}
    ax.text(of / 2, -0.6, "half of the tasks", **style)
    ax.margins(x=0.04)  # a mark at 0 stands inside
    ax.set_ylim(len(names) - 0.5, -0.6)
    ax.set_yticks(places, fitted_names(names, form)[0])
    ax.tick_params(labelsize=form.small_size)
    ax.set_xlabel(f"tasks on which {method} is worse", size=form.small_size)
    sheet.add_legend([mean, one, harmed, bar], legend, legend_columns(legend, form))
    without_formulas(sheet.figure)
    return sheet.figure


def shares(values: Float[np.ndarray, " T"], method: str, axis: str, words: Words) -> Drawing:
    """A histogram of one number per task, with a line at zero, in the colour of a method.

    Raises:
        BadInput: no value, or one that is not finite.

    >>> shares(np.array([0.1, 0.2, 0.4]), "Ridge", "share", Words("20%", "", "")).caption
    'Histogram over 3 tasks, from 0.10 to 0.40.'
    """
    if not len(values) or not np.isfinite(values).all():
        raise BadInput("shares: give one finite number per task")
    ends = f"from {values.min():.2f} to {values.max():.2f}"
    caption = f"Histogram over {len(values)} tasks, {ends}."
    return in_both_forms(partial(_draw_shares, values, method, axis, words, caption))


def _draw_shares(
    values: Float[np.ndarray, " T"],
    method: str,
    axis: str,
    words: Words,
    caption: str,
    form: Form,
) -> Drawing:
    scale = form.text_size / TEXT_SIZE
    sheet = new_sheet(words.title, caption, words.about, [words.foot], 2.5 * scale, form)
    ax = _axes(sheet, 0.55 * scale, 0.6 * scale, 1.6 * scale)
    ax.hist(values, 40, color=method_styles([method])[method].colour)
    ax.axvline(0, color=INK, lw=1)
    ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(axis, size=form.small_size)
    ax.set_title("number of tasks", loc="left", size=form.small_size)
    without_formulas(sheet.figure)
    return sheet.figure


def label_bars(labels: Mapping[str, int], groups: Mapping[str, str], words: Words) -> Drawing:
    """How many labels each task has: one bar per task, one grey per group.

    Args:
        labels: task -> number of labels.
        groups: task -> its group.
        words: the words of the picture.

    Raises:
        BadInput: no task, or a task without a group.

    >>> label_bars({"A": 200, "B": 20}, {"A": "x", "B": "y"}, Words("20 to 200", "", "")).caption
    'A 200; B 20.'
    """
    if not labels:
        raise BadInput("label_bars: no task; give the labels of one or more")
    if missing := [task for task in labels if task not in groups]:
        raise BadInput(f"label_bars: no group of {missing[0]!r}; give one for each task")
    caption = f"{'; '.join(f'{task} {count:,}' for task, count in labels.items())}."
    return in_both_forms(partial(_draw_bars, labels, groups, words, caption))


def _draw_bars(
    labels: Mapping[str, int],
    groups: Mapping[str, str],
    words: Words,
    caption: str,
    form: Form,
) -> Drawing:
    scale, every = form.text_size / TEXT_SIZE, list(dict.fromkeys(groups[t] for t in labels))
    tall = 0.26 * scale * len(labels)
    body = tall + 0.1 + legend_height(every, form)
    sheet = new_sheet(words.title, caption, words.about, [words.foot], body, form)
    left = label_width(labels, form)
    ax = add_axes(sheet.figure, left, sheet.top - tall, form.width - left - 0.8 * scale, tall)
    ink = {group: SHADES[k % len(SHADES)] for k, group in enumerate(every)}
    bars = ax.barh(
        range(len(labels)), list(labels.values()), color=[ink[groups[t]] for t in labels]
    )
    ax.bar_label(bars, [f"{n:,}" for n in labels.values()], padding=3, size=form.small_size)
    ax.set_yticks(range(len(labels)), fitted_names(labels, form)[0])
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(labelsize=form.small_size, length=0)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    handles = [next(b for t, b in zip(labels, bars, strict=True) if groups[t] == g) for g in every]
    sheet.add_legend(handles, every, legend_columns(every, form))
    without_formulas(sheet.figure)
    return sheet.figure


def errors_by_setting(errors: pd.DataFrame, methods: Sequence[str], words: Words) -> Drawing:
    """The error of some methods under several settings: the mean, and the range of the runs.

    Args:
        errors: a row per run, with the columns `setting`, `method` and `error`. A comma in a
            setting's name begins a new line.
        methods: those to show, in this order. One may be missing under a setting.
        words: the words of the picture.

    Raises:
        BadInput: no row of these methods.

    >>> rows = [("one", "MTL", 0.2), ("one", "MTL", 0.4), ("two", "MTL", 0.5)]
    >>> errors = pd.DataFrame(rows, columns=["setting", "method", "error"])
    >>> errors_by_setting(errors, ["MTL"], Words("It differs", "", "")).caption
    'MTL: 0.30 to 0.50.'
    """
    shown = errors[errors["method"].isin(methods)]
    if not len(shown):
        raise BadInput("errors_by_setting: no row of these methods; name one of the table")
    grouped = shown.groupby(["setting", "method"], sort=False)["error"]
    table = grouped.agg(["mean", "min", "max"]).reset_index()
    ends = table.groupby("method")["mean"].agg(["min", "max"])
    said = [
        f"{m}: {ends['min'][m]:.2f} to {ends['max'][m]:.2f}" for m in methods if m in ends.index
    ]
    caption = f"{'; '.join(said)}."
    return in_both_forms(partial(_draw_errors, table, list(methods), words, caption))


def _draw_errors(
    table: pd.DataFrame, methods: Sequence[str], words: Words, caption: str, form: Form
) -> Drawing:
    scale, settings = form.text_size / TEXT_SIZE, list(dict.fromkeys(table["setting"]))
    room = (form.width - 0.9 * scale) / len(settings)
    letters = max(6, int(room / (0.6 * form.small_size / 72)))
    ticks = [
        "\n".join(line for part in setting.split(", ") for line in textwrap.wrap(part, letters))
        for setting in settings
    ]
    below = 0.2 + 0.2 * scale * max(tick.count("\n") + 1 for tick in ticks)
    body = 2.1 * scale + below + legend_height(methods, form) + 0.05
    sheet = new_sheet(words.title, caption, words.about, [words.foot], body, form)
    ax = _axes(sheet, 0.65 * scale, below + legend_height(methods, form) + 0.05, 2.0 * scale)
    handles = []
    for shift, method in zip(np.linspace(-0.25, 0.25, len(methods)), methods, strict=True):
        style, rows = method_styles([method])[method], table[table["method"] == method]
        at = rows["setting"].map(settings.index).to_numpy() + shift
        ax.vlines(at, rows["min"], rows["max"], color=style.colour, lw=1.2)
        look: dict[str, Any] = {"color": style.colour, "marker": style.marker, "ms": 9 * scale}
        handles += ax.plot(at, rows["mean"], ls="", **look)
    ax.set_xticks(range(len(settings)), ticks)
    ax.set_xlim(-0.5, len(settings) - 0.5)
    ax.tick_params(labelsize=form.small_size)
    sheet.add_legend(handles, methods, legend_columns(methods, form))
    without_formulas(sheet.figure)
    return sheet.figure


def _axes(sheet: Sheet, left: float, above: float, tall: float) -> Axes:
    """Axes over the width of the sheet, some inches above its bottom."""
    width = sheet.form.width - left - 0.2
    ax = add_axes(sheet.figure, left, sheet.bottom + above, width, tall)
    ax.tick_params(labelsize=sheet.form.small_size)
    return ax
