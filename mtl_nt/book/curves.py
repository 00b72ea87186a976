"""Effects along a number, as lines with the bands of their intervals: one or several panels.

The x axis is what a chapter turns: an alpha, a learning rate, a budget, the steps of a training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..figures import EXTRA_COLOURS, INK, add_axes, add_legend, new_figure
from .effects import Effect

LEFT, RIGHT, GAP, BOTTOM = 0.75, 0.3, 0.7, 1.25  # inches
TOP = 1.25  # inches kept for the figure's and the panel's title


@dataclass(frozen=True)
class Panel:
    """One panel of `curves`.

    Args:
        title: what the y axis shows.
        xlabel: what the x axis shows.
        x: its values.
        lines: the effects along x, by name.
        zero: where a horizontal line is drawn.
        log: whether the x axis is logarithmic.
        marks: one more effect by name, drawn as a diamond at the right edge.
        dashed: a value by name, drawn as a dashed line.
    """

    title: str
    xlabel: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[Effect]]
    zero: float | None = 0.0
    log: bool = False
    marks: Mapping[str, Effect] = field(default_factory=dict)
    dashed: Mapping[str, float] = field(default_factory=dict)


def curves(
    panels: Sequence[Panel],
    title: str,
    foot: str,
    height: float = 4.3,
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """Panels side by side, in which a name has one colour.

    Args:
        panels: one to three of them.
        title, foot: see `figures.new_figure`.
        height: in inches.
        colours: of names; the others get the colours that are left.

    >>> from mtl_nt.figures import alt_text
    >>> ends = [Effect(-0.5, -0.6, -0.4), Effect(-0.1, -0.2, 0.0)]
    >>> panel = Panel("difference from STL", "alpha", [0, 1], {"outsider": ends})
    >>> alt_text(curves([panel], "Outsiders gain", "8 runs"))
    'Outsiders gain. difference from STL: outsider -0.50 to -0.10.'
    """
    own = dict(colours or {})
    free = iter([c for c in EXTRA_COLOURS if c not in own.values()] * 3)
    for name in dict.fromkeys(name for panel in panels for name in panel.lines):
        own.setdefault(name, next(free))
    text = "; ".join(_in_words(panel) for panel in panels) + "."
    figure = new_figure(height, title, text, foot)
    wide = (figure.get_figwidth() - LEFT - RIGHT + GAP) / len(panels) - GAP
    handles: dict[str, Artist] = {}
    for k, panel in enumerate(panels):
        ax = add_axes(figure, LEFT + k * (wide + GAP), BOTTOM, wide, height - BOTTOM - TOP)
        handles |= _draw(ax, panel, own)
    add_legend(figure, [*handles.values()], [*handles])
    return figure


def _draw(ax: Axes, panel: Panel, colours: Mapping[str, str]) -> dict[str, Artist]:
    """Draw a panel, and return the line of each name."""
    x = np.asarray(panel.x, dtype=float)
    handles: dict[str, Artist] = {}
    few = "o" if len(x) <= 6 else None
    for name, effects in panel.lines.items():
        mean, low, high = np.array(effects, dtype=float).T
        shade = colours[name]
        ax.fill_between(x, low, high, color=shade, alpha=0.18, lw=0)
        (handles[name],) = ax.plot(x, mean, color=shade, marker=few, ms=5)
        if name in panel.dashed:
            ax.axhline(panel.dashed[name], color=shade, lw=1, ls="--")
    beyond = x.max() + 0.07 * np.ptp(x)
    for name, effect in panel.marks.items():
        reach = [[effect.mean - effect.low], [effect.high - effect.mean]]
        ink = colours[name]
        ax.errorbar(beyond, effect.mean, yerr=reach, fmt="D", ms=6, color=ink, capsize=3)
    if panel.zero is not None:
        ax.axhline(panel.zero, color=INK, lw=1.2)
    if panel.log:
        ax.set_xscale("log")
        ax.set_xticks(x, [f"{value:,g}" for value in x])
        ax.minorticks_off()
    ax.set_xlabel(panel.xlabel, size=13)
    ax.set_title(panel.title, loc="left", size=13)
    return handles


def _in_words(panel: Panel) -> str:
    ends = [
        f"{name} {effects[0].mean:+.2f} to {effects[-1].mean:+.2f}"
        for name, effects in panel.lines.items()
    ]
    return f"{panel.title}: {', '.join(ends)}"
