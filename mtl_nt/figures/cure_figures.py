"""Figures of a cure table: which method helps against which cause of negative transfer.

Each of them has a form for phones, too. Panels stand side by side on a page, and in two columns on
a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..errors import BadInput
from .cures import CONTROLS
from .drawing import (
    GREY,
    INK,
    NEUTRAL_COLOURS,
    NULL_BAND,
    PAGE,
    TEXT_SIZE,
    Drawing,
    Form,
    add_axes,
    fitted_names,
    in_both_forms,
    label_width,
    text_inches,
    tick_text,
    without_formulas,
)
from .sheet import Sheet, legend_columns, legend_height, new_sheet

DISPLAY_NAMES = {"STL'": "STL' (null)", "STL, tuned": "a model per task"}
RULE_NAMES = {
    "last": "the last step",
    "best_mean": "the best step for the mean",
    "best_per_task": "each task's own best step",
}
"""What each checkpoint rule takes, in words."""
FAR = 15
"""Times a panel's median change: what is larger is told as a number at the edge."""


@dataclass(frozen=True)
class Words:
    """The words of a figure, as `new_sheet` takes them."""

    title: str
    caption: str
    about: str
    foot: str

    def sheet(self, body: float, form: Form) -> Sheet:
        return new_sheet(self.title, self.caption, self.about, [self.foot], body, form)


def cure_map(table: pd.DataFrame) -> Drawing:
    """Draw a `cure_table` as a map of cases and cures. On a phone, the cases are the columns.

    A cell shows how many tasks are helped (above) and harmed (below) beyond chance. Its colour is
    blue for help, and red as soon as any task is harmed.

    >>> from mtl_nt.figures import cure_table
    >>> from mtl_nt.study import stored
    >>> figure = cure_map(cure_table({"noisy": stored("cure-noisy")}))
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['noisy']
    """
    methods, total = _methods(table), table.groupby("method")["harmed"].sum()
    cases, rows_of = table["case"].nunique(), table["method"].value_counts()
    real = [m for m in methods if m != "STL'" and rows_of[m] == cases]
    few = [m for m in real if total[m] == total[real].min()]
    words = Words(
        f"MTL harms {total['MTL']} tasks beyond chance over all causes and widths; "
        f"fewest with {_joined_names(few[:3])}: {total[real].min()}",
        _describe_rows(table, lambda r: f"{r.method} {r.harmed} harmed, {r.helped} helped"),
        "tasks helped (above) and harmed (below) beyond chance, compared with STL; –: none wider",
        f"dial by MSE, {table['runs'].max()} runs on new data each",
    )
    return in_both_forms(partial(_draw_map, table, words))


def _draw_map(table: pd.DataFrame, words: Words, form: Form) -> Drawing:
    methods, page, scale = _methods(table), form is PAGE, form.text_size / TEXT_SIZE
    by_case = _rows_by_case(table)
    names, _ = fitted_names([_display_name(m, methods) for m in methods], form)
    cases = [case.replace(", ", ",\n" if page else ", ") for case, _ in by_case]
    down, across = (cases, names) if page else (names, cases)
    size = form.small_size
    left = 0.15 + max(text_inches(line, size) for name in down for line in name.split("\n"))
    head = 0.15 + max(text_inches(name, size) for name in across)
    tall, up, low = (
        0.46 * len(down),
        "▲" if page else "",
        "▼" if page else "",
    )  # a phone has no room
    sheet = words.sheet(head + tall + 0.08, form)
    ax = add_axes(sheet.figure, left, sheet.bottom, form.width - left - 0.08, tall)
    shade, cells = colormaps["RdBu"], []
    style: dict[str, Any] = {"ha": "center", "size": form.small_size if page else form.foot_size}
    for case, (_, rows) in enumerate(by_case):
        row_of = {row.method: row for row in rows}
        for place, method in enumerate(methods):
            x, y = (place, case) if page else (case, place)
            if method not in row_of:
                ax.text(x + 0.5, y + 0.5, "–", va="center", color=GREY, **style)
                continue
            row = row_of[method]
            balance = (-row.harmed or row.helped) / max(row.tasks, 1)  # harm is never outvoted
            colour = shade(0.5 + 0.4 * float(np.clip(balance, -1, 1)))
            cells.append(Rectangle((x, y), 1, 1, fc=colour, ec="white", lw=2 * scale))
            ink = "white" if abs(balance) > 0.7 else INK
            ax.text(x + 0.5, y + 0.47, f"{row.helped}{up}", va="bottom", color=ink, **style)
            ax.text(x + 0.5, y + 0.51, f"{row.harmed}{low}", va="top", color=ink, **style)
    ax.add_collection(PatchCollection(cells, match_original=True), autolim=False)
    ax.set_xlim(0, len(across))
    ax.set_ylim(len(down), 0)
    ax.set_yticks(np.arange(len(down)) + 0.5, down, size=form.small_size)
    ax.xaxis.tick_top()
    ax.set_xticks(np.arange(len(across)) + 0.5, across, size=form.small_size, rotation=90)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    without_formulas(sheet.figure)
    return sheet.figure


def cure_changes(table: pd.DataFrame) -> Drawing:
    """Draw the mean changes of a `cure_table` with their 95% intervals.

    There is one panel per cause, one row per cure, and one mark per width of the trunk. The cases
    of the table are called "CAUSE, WIDTH".

    >>> from mtl_nt.figures import cure_table
    >>> from mtl_nt.study import stored
    >>> figure = cure_changes(cure_table({"noisy, trunk x 1": stored("cure-noisy")}))
    >>> [ax.get_title("left") for ax in figure.axes]
    ['noisy']
    """
    parts = table["case"].str.split(", ", n=1, expand=True)
    named = table.assign(panel=parts[0], mark=parts[1], value=table["change"])
    plain = named[named["method"] == "MTL"]
    better = plain[plain["change"] > plain["within"]]
    words = Words(
        f"MTL's mean over learned tasks is better than STL's in {len(better)} of {len(plain)} "
        f"rows; in {(better['harmed'] > 0).sum()} of these it harms tasks all the same",
        _describe_rows(table, lambda r: f"{r.method} {r.change:+.3f} ± {r.within:.3f}"),
        "right of 0 is better: STL's MSE minus the method's, mean over learned tasks, ± 95%",
        f"dial, {table['runs'].max()} runs",
    )
    marks = {width: width for width in dict.fromkeys(named["mark"])}
    return in_both_forms(partial(_draw_panels, named, words, marks, 0.27, 3))


def cure_controls(table: pd.DataFrame) -> Drawing:
    """Draw what weighting methods gain over MTL, beside what their controls gain.

    There is one panel per cause, at its narrowest trunk, and one row per method. A control that
    gains as much shows that the gain is not owed to what the control lacks: which task is which
    ("permuted"), or the weights' movement over time ("frozen").

    Args:
        table: a `cure_table` with `controls`. The cases are called "CAUSE, WIDTH".

    Raises:
        BadInput: a table without controls.

    >>> from mtl_nt.figures import cure_table
    >>> from mtl_nt.study import stored
    >>> table = cure_table({"noisy, trunk x 1": stored("cure-noisy")})
    >>> cure_controls(table)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: these studies have no controls; ...
    """
    methods = list(dict.fromkeys(table.loc[table["control"] != "", "method"]))
    if not methods:
        raise BadInput("these studies have no controls; train the cases again, `make results`")
    table = table[table["method"].isin(methods)]
    table = table.sort_values("method", key=lambda names: names.map(methods.index), kind="stable")
    causes = table["case"].str.split(", ", n=1).str[0]
    first = table["case"] == table["case"].groupby(causes).transform("first")
    table = table.assign(panel=causes, mark=table["control"], value=table["over_mtl"])[first]
    table = table.assign(within=table["over_mtl_within"])
    row_of: dict[Any, Any] = {
        (row.panel, row.method, row.control): row for row in table.itertuples()
    }
    gains = [r for r in row_of.values() if not r.control and r.over_mtl > r.over_mtl_within]
    kept = {
        control: sum(
            row_of[r.panel, r.method, control].over_mtl >= r.over_mtl - r.over_mtl_within
            for r in gains
        )
        for control in CONTROLS
    }
    title = (
        f"Of {len(gains)} gains over MTL, weights frozen at their mean keep {kept['frozen']}, and "
        f"weights that are permuted among the tasks keep {kept['permuted']}"
    )
    if not gains:
        title = "No weighting method gains over MTL here, so there is nothing for a control to keep"
    words = Words(
        title,
        _describe_rows(
            table, lambda r: f"{r.method} {r.control} {r.over_mtl:+.3f} ± {r.over_mtl_within:.3f}"
        ),
        "right of 0 is better: MTL's MSE minus the method's, mean over learned tasks, ± 95%",
        f"dial, {table['runs'].max()} runs",
    )
    marks = {"": "the method", "permuted": "permuted once", "frozen": "frozen at the mean"}
    return in_both_forms(partial(_draw_panels, table, words, marks, 0.55, 2))


def _draw_panels(
    table: pd.DataFrame,
    words: Words,
    marks: Mapping[str, str],
    pitch: float,
    ticks: int,
    form: Form,
) -> Drawing:
    """One panel per cause, one row per method, and in it one mark per kind.

    Args:
        table: its rows have a `panel`, a `method`, a `mark`, a `value`, and half of an interval,
            `within`.
        marks: what the legend calls each kind of mark.
        pitch: inches that a row takes on a page.
        ticks: numbers below a panel, at most.
    """
    page, scale, methods = form is PAGE, form.text_size / TEXT_SIZE, _methods(table)
    panels = list(dict.fromkeys(table["panel"]))
    columns = len(panels) if page else min(2, len(panels))
    tall, gap = pitch * scale * len(methods), 0.14
    head, axis = 0.3 * scale, 0.5 * scale
    names, _ = fitted_names([_display_name(m, methods) for m in methods], form)
    left = label_width(names, form)
    wide = (form.width - left - 0.1) / columns - gap
    block = head + tall + axis
    labels = list(marks.values())
    body = block * -(-len(panels) // columns) + legend_height(labels, form) + 0.05
    sheet = words.sheet(body, form)
    for k, panel in enumerate(panels):
        line, column = divmod(k, columns)
        at_left, bottom = left + column * (wide + gap), sheet.top - head - tall - line * block
        ax = add_axes(sheet.figure, at_left, bottom, wide, tall)
        ax.axvline(0, color=INK, lw=1)
        own = table[table["panel"] == panel]
        for n, (mark, label) in enumerate(marks.items()):
            rows = own[own["mark"] == mark]
            at = rows["method"].map(methods.index) + 0.3 * (n - (len(marks) - 1) / 2)
            look: dict[str, Any] = {"color": NEUTRAL_COLOURS[n], "fmt": "os^D"[n], "label": label}
            look |= {"ms": 5 * max(scale, 0.85), "mfc": "white" if n else NEUTRAL_COLOURS[n]}
            far = is_far(own["value"], rows["value"])
            ax.errorbar(rows["value"][~far], at[~far], xerr=rows["within"][~far], **look)
        _name_rows(ax, [] if column else names, len(methods), form)
        far = is_far(own["value"], own["value"])
        for method, rows in own[far].groupby("method"):
            near = own.loc[~far & (own["method"] == method), "value"]
            inks = [NEUTRAL_COLOURS[list(marks).index(mark)] for mark in rows["mark"]]
            look = {"color": inks[0] if len(inks) == 1 else INK, "size": form.foot_size}
            _tell_far(ax, rows["value"].tolist(), near, methods.index(str(method)), look)
        ax.locator_params(axis="x", nbins=ticks)
        ax.xaxis.set_major_formatter(tick_text)
        ax.set_title(panel, loc="left", size=form.small_size)
    sheet.add_legend(*ax.get_legend_handles_labels(), legend_columns(labels, form))
    without_formulas(sheet.figure)
    return sheet.figure


def is_far(panel: pd.Series, values: pd.Series) -> pd.Series:
    """Which values would leave no room for the others: see `FAR`.

    >>> is_far(pd.Series([0.1, -0.2, 0.1, 4.0]), pd.Series([-0.2, 4.0])).tolist()
    [False, True]
    """
    return values.abs() > FAR * panel.abs().median()


def _tell_far(
    ax: Axes, values: Sequence[float], near: pd.Series, row: int, look: Mapping[str, Any]
) -> None:
    """Values beyond the axis as numbers with an arrow, at the edge that is farther from the marks.

    Args:
        near: the values in this row that have marks.
        look: colour and size of the letters.
    """
    numbers = ", ".join(f"{value:+.2g}" for value in values)
    low, high = ax.get_xlim()
    right = values[0] > 0 if near.empty else near.mean() < (low + high) / 2
    text = ax.text(
        0.99 if right else 0.01,
        row,
        f"{numbers} ▸" if values[0] > 0 else f"◂ {numbers}",
        transform=ax.get_yaxis_transform(),
        ha="right" if right else "left",
        va="center_baseline",
        **look,
    )
    text.set_bbox({"fc": "white", "ec": "none", "pad": 1})


def cure_stops(tables: Mapping[str, pd.DataFrame]) -> Drawing:
    """Draw how many tasks every method harms under each checkpoint rule, all methods alike.

    The shared stop is a cause of its own: where networks stop at a step that suits the mean, tasks
    whose own best step lies elsewhere are worse off.

    Args:
        tables: a `cure_table` for each rule. Only cases and methods that are in all of them count.

    >>> from mtl_nt.figures import cure_table
    >>> from mtl_nt.study import stored_stops
    >>> stops = stored_stops("cure-noisy")
    >>> figure = cure_stops({rule: cure_table({"noisy": stops[rule]}) for rule in stops})
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()][:2]
    ["STL' (null)", 'MTL']
    """
    rules = list(tables)
    plain = {
        rule: t[t["control"] == ""].set_index(["case", "method"]) for rule, t in tables.items()
    }
    common = [key for key in plain[rules[0]].index if all(key in t.index for t in plain.values())]
    methods = list(dict.fromkeys(method for _, method in common))
    sums = {rule: t.loc[common].groupby("method")["harmed"].sum() for rule, t in plain.items()}
    harmed = {rule: [int(sums[rule].loc[m]) for m in methods] for rule in rules}
    tasks = int(plain[rules[0]].loc[common].loc[:, "tasks"].groupby("case").first().sum())
    said = [f"{int(sums[rule].loc['MTL'])} at {RULE_NAMES[rule]}" for rule in rules]
    listed = "; ".join(
        f"{RULE_NAMES[rule]}: "
        + ", ".join(f"{m} {n} harmed" for m, n in zip(methods, harmed[rule], strict=True))
        for rule in rules
    )
    words = Words(
        f"Of {tasks} tasks over all causes and widths, MTL harms {', '.join(said)}",
        f"{listed}.",
        f"tasks harmed beyond chance, of {tasks}; all methods and STL stop by the same rule",
        f"dial by MSE, {max(t['runs'].max() for t in tables.values())} runs on new data each",
    )
    return in_both_forms(partial(_draw_stops, methods, harmed, tasks, words))


def _draw_stops(
    methods: Sequence[str],
    harmed: Mapping[str, Sequence[int]],
    tasks: int,
    words: Words,
    form: Form,
) -> Drawing:
    scale, tall = form.text_size / TEXT_SIZE, 0.27 * len(methods)
    names, _ = fitted_names([_display_name(m, methods) for m in methods], form)
    labels, left = [RULE_NAMES[rule] for rule in harmed], label_width(names, form)
    axis = 0.62 * scale
    sheet = words.sheet(tall + axis + legend_height(labels, form) + 0.05, form)
    wide = form.width - left - 0.2
    ax = add_axes(sheet.figure, left, sheet.top - tall, wide, tall)
    for n, (rule, counts) in enumerate(harmed.items()):
        at = np.arange(len(methods)) + 0.2 * (n - (len(harmed) - 1) / 2)
        look: dict[str, Any] = {"color": NEUTRAL_COLOURS[n], "marker": "os^"[n]}
        size = 36 * max(scale, 0.85) ** 2
        ax.scatter(counts, at, s=size, zorder=3, label=RULE_NAMES[rule], **look)
    ax.margins(x=0.04)  # a mark at 0 stands inside
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _name_rows(ax, names, len(methods), form)
    ax.set_xlabel("tasks harmed", size=form.small_size)
    sheet.add_legend(*ax.get_legend_handles_labels(), legend_columns(labels, form))
    without_formulas(sheet.figure)
    return sheet.figure


def _name_rows(ax: Axes, names: Sequence[str], rows: int, form: Form) -> None:
    """One row per method, with a line across and, in the first panel, with its name."""
    ax.set_ylim(rows - 0.5, -0.5)
    ax.set_yticks(range(rows), names or [""] * rows, size=form.small_size)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=form.small_size)
    ax.grid(axis="y", color=NULL_BAND)
    ax.set_axisbelow(True)


def _methods(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["method"]))


def _rows_by_case(table: pd.DataFrame) -> list[tuple[str, list[Any]]]:
    """Every case with its rows of the table."""
    names = dict.fromkeys(table["case"])
    return [(name, list(table[table["case"] == name].itertuples())) for name in names]


def _describe_rows(table: pd.DataFrame, said: Callable[[Any], str]) -> str:
    """One sentence that says something of every row, case by case."""
    cases = [f"{case}: {', '.join(map(said, rows))}" for case, rows in _rows_by_case(table)]
    return "; ".join(cases) + "."


def _joined_names(names: Sequence[str]) -> str:
    return " and ".join(_display_name(name, names) for name in names)


def _display_name(name: str, among: Sequence[str]) -> str:
    """The name under which a method is shown: its family's, if no other method has that name."""
    family = name.partition(",")[0]
    return DISPLAY_NAMES.get(name, name if family in among else family)
