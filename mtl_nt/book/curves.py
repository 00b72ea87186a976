"""Effects along a number, as lines with the bands of their intervals: one or several panels.

The x axis is what a chapter turns: an alpha, a learning rate, a budget, the steps of a training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import floor, log10
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..figures import EXTRA_COLOURS, GREY, INK, Drawing, add_axes
from ..figures.drawing import in_both_forms, tick_text, without_formulas
from ..figures.forms import PAGE, TEXT_SIZE, Form
from ..figures.sheet import legend_columns, legend_height, new_sheet
from .effects import Effect

TALL = 1.9  # inches of a panel
DASHED = (0, (4, 2))


@dataclass(frozen=True)
class Panel:
    """One panel of `curves`.

    Args:
        title: what the y axis shows, on one line or two.
        xlabel: what the x axis shows.
        x: its values.
        lines: the effects along x, by name.
        zero: where a horizontal line is drawn.
        log: whether the x axis is logarithmic.
        marks: one more effect by name, drawn as a diamond at the right edge.
        dashed: a value by name, drawn as a dashed line.
        zero_word: what the horizontal line stands for, written below its left end.
        log_y: whether the y axis is logarithmic.
    """

    title: str
    xlabel: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[Effect]]
    zero: float | None = 0.0
    log: bool = False
    marks: Mapping[str, Effect] = field(default_factory=dict)
    dashed: Mapping[str, float] = field(default_factory=dict)
    zero_word: str = ""
    log_y: bool = False

    def values(self) -> list[float]:
        """All that is drawn along the y axis."""
        effects = [*self.marks.values(), *(e for line in self.lines.values() for e in line)]
        zero = [] if self.zero is None else [self.zero]
        return [*zero, *self.dashed.values(), *(end for e in effects for end in (e.low, e.high))]


@dataclass(frozen=True)
class _Curves:
    """What `curves` shows."""

    panels: tuple[Panel, ...]
    title: str
    caption: str
    about: str
    foot: str
    tall: float
    colours: Mapping[str, str]
    limits: tuple[float, float] | None  # of all y axes, where they have one scale
    legend: Mapping[str, Artist]


def curves(
    panels: Sequence[Panel],
    title: str,
    foot: str,
    about: str = "",
    tall: float = TALL,
    colours: Mapping[str, str] | None = None,
    one_scale: bool = False,
    mark_word: str = "",
    dash_word: str = "",
) -> Drawing:
    """Panels side by side, in which a name has one colour. On phones they stand below each other.

    Args:
        panels: one to three of them.
        title: the message.
        foot: the small print: data, runs, settings.
        about: what is compared with what, in which unit, and which way is better.
        tall: inches of a panel.
        colours: of names; the others get the colours that are left. Names of one colour share a
            line of the legend.
        one_scale: whether all panels have the same y axis.
        mark_word, dash_word: what diamonds and dashed lines stand for, in the legend.

    >>> ends = [Effect(-0.5, -0.6, -0.4), Effect(-0.1, -0.2, 0.0)]
    >>> panel = Panel("difference from STL", "alpha", [0, 1], {"outsider": ends})
    >>> curves([panel], "Outsiders gain", "8 runs").caption
    'difference from STL: outsider -0.50 to -0.10.'
    """
    own = dict(colours or {})
    free = iter([c for c in EXTRA_COLOURS if c not in own.values()] * 3)
    names = [*dict.fromkeys(name for panel in panels for name in panel.lines)]
    for name in names:
        own.setdefault(name, next(free))
    limits = None
    if one_scale:
        every = np.array([v for panel in panels for v in panel.values()])
        pad = 0.05 * float(np.ptp(every)) or 1.0
        limits = float(every.min()) - pad, float(every.max()) + pad
    shown = _Curves(
        panels=tuple(panels),
        title=title,
        caption="; ".join(_in_words(panel) for panel in panels) + ".",
        about=about,
        foot=foot,
        tall=tall,
        colours=own,
        limits=limits,
        legend=_legend(panels, names, own, mark_word, dash_word),
    )
    return in_both_forms(partial(_draw_curves, shown))


def _legend(
    panels: Sequence[Panel],
    names: Sequence[str],
    colours: Mapping[str, str],
    mark_word: str,
    dash_word: str,
) -> dict[str, Artist]:
    """A line for every colour, and what diamonds and dashes stand for; one name needs none."""
    few = "o" if max(len(panel.x) for panel in panels) <= 6 else None
    entries: dict[str, Artist] = {}
    if len(names) > 1:
        for colour in dict.fromkeys(colours[name] for name in names):
            said = ", ".join(name for name in names if colours[name] == colour)
            entries[said] = Line2D([], [], color=colour, lw=2, marker=few, ms=5)
    if mark_word:
        entries[mark_word] = Line2D([], [], color=GREY, ls="", marker="D", ms=6)
    if dash_word:
        entries[dash_word] = Line2D([], [], color=GREY, lw=1.2, ls=DASHED)
    return entries


def _draw_curves(shown: _Curves, form: Form) -> Drawing:
    """Draw them: side by side on a page, below each other on a phone."""
    scale, page = form.text_size / TEXT_SIZE, form is PAGE
    lines = max(panel.title.count("\n") + 1 for panel in shown.panels)
    head, axis = (0.12 + 0.22 * lines) * scale, 0.62 * scale
    many, rows = len(shown.panels), 1 if page else len(shown.panels)
    marks = [*shown.legend]
    block = head + shown.tall + axis
    legend = legend_height(marks, form)
    body = rows * block + legend + 0.08 * bool(marks)
    sheet = new_sheet(shown.title, shown.caption, shown.about, [shown.foot], body, form)
    left = 0.75 if page else 0.62
    gap = 0.0 if not page else 0.25 if shown.limits else 0.7
    wide = (form.width - left - 0.3 + gap) / many - gap if page else form.width - left - 0.2
    for k, panel in enumerate(shown.panels):
        column, row = (k, 0) if page else (0, k)
        bottom = sheet.top - head - shown.tall - row * block
        ax = add_axes(sheet.figure, left + column * (wide + gap), bottom, wide, shown.tall)
        _draw(ax, panel, shown.colours, form)
        if shown.limits is not None:
            ax.set_ylim(*shown.limits)
            ax.tick_params(labelleft=not column)
    if marks:
        sheet.add_legend([*shown.legend.values()], marks, legend_columns(marks, form))
    without_formulas(sheet.figure)
    return sheet.figure


def _draw(ax: Axes, panel: Panel, colours: Mapping[str, str], form: Form) -> None:
    """Draw the lines of a panel with their bands, its marks and its levels."""
    x = np.asarray(panel.x, dtype=float)
    scale = form.text_size / TEXT_SIZE
    few = "o" if len(x) <= 6 else None
    for name, effects in panel.lines.items():
        mean, low, high = np.array(effects, dtype=float).T
        shade = colours[name]
        ax.fill_between(x, low, high, color=shade, alpha=0.18, lw=0)
        ax.plot(x, mean, color=shade, marker=few, ms=5 * scale, lw=2 * scale)
        if name in panel.dashed:
            ax.axhline(panel.dashed[name], color=shade, lw=1.2, ls=DASHED)
    beyond = x.max() + 0.07 * np.ptp(x)
    for name, effect in panel.marks.items():
        reach = [[effect.mean - effect.low], [effect.high - effect.mean]]
        ink, size = colours[name], 6 * scale
        ax.errorbar(beyond, effect.mean, yerr=reach, fmt="D", ms=size, color=ink, capsize=3)
    if panel.log_y:
        ax.set_yscale("log")
    else:
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(tick_text))
    if panel.zero is not None:
        ax.axhline(panel.zero, color=INK, lw=1.2)
        if panel.zero_word:
            place: dict[str, Any] = {"xytext": (3, -3), "textcoords": "offset points"}
            place |= {"xycoords": ax.get_yaxis_transform(), "va": "top", "size": form.small_size}
            ax.annotate(panel.zero_word, (0, panel.zero), **place)
    if panel.log:
        ax.set_xscale("log")
        ax.minorticks_off()
    if panel.log or few:
        ax.set_xticks(x, [f"{value:,g}" for value in x])
    ax.tick_params(labelsize=form.small_size)
    ax.set_xlabel(panel.xlabel, size=form.text_size, labelpad=2)
    ax.set_title(panel.title, loc="left", size=form.text_size)


def _in_words(panel: Panel) -> str:
    """How each line goes from its first to its last value, with as many decimals as they need."""
    largest = max(abs(effects[k].mean) for effects in panel.lines.values() for k in (0, -1))
    digits = max(2, 1 - floor(log10(largest))) if largest else 2
    ends = [
        f"{name} {effects[0].mean:+.{digits}f} to {effects[-1].mean:+.{digits}f}"
        for name, effects in panel.lines.items()
    ]
    return f"{' '.join(panel.title.split())}: {', '.join(ends)}"
