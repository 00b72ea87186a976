"""How verdicts look: blue helps, red harms, and every verdict has a shape and a filling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from .drawing import GREY, HARMS, HELPS, INK

VERDICT_MARKERS = {"harmed": "<", "undecided": "o", "helped": ">", "same": "s", "not learned": "X"}
"""The marker of every verdict, for eyes without colour."""
VERDICT_COLOURS = {
    "harmed": HARMS,
    "undecided": INK,
    "helped": HELPS,
    "same": GREY,
    "not learned": "#9A9A9A",
}
MARGIN_LINE = (0, (3, 2))
OPEN = ("undecided",)  # verdicts whose marker is not filled


def draw_verdicts(
    ax: Axes,
    x: Float[np.ndarray, " N"],
    y: Float[np.ndarray, " N"],
    verdicts: Sequence[str],
    area: float = 60,
    colours: Sequence[str] = (),
) -> None:
    """Draw one mark for every task, in the colour and shape of its verdict.

    Args:
        area: of a mark, in square points.
        colours: one for every mark, in place of the verdicts' colours; then all marks are circles.

    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> draw_verdicts(ax, np.array([-0.3, 0.1]), np.array([0.0, 1.0]), ["harmed", "helped"])
    >>> [marks.get_gid() for marks in ax.collections]
    ['harmed', 'helped']
    """
    every = np.asarray(verdicts, dtype=object)
    for verdict, marker in VERDICT_MARKERS.items():
        these = (every == verdict) & np.isfinite(x)
        if not these.any():
            continue
        decided = verdict not in OPEN
        own = [colours[int(k)] for k in np.flatnonzero(these)] if len(colours) else None
        colour = own or VERDICT_COLOURS[verdict]
        ax.scatter(
            x[these],
            y[these],
            s=area if decided and not own else 0.7 * area,
            marker="o" if own else marker,
            facecolor=colour if decided else "white",
            edgecolor="white" if decided else colour,
            linewidth=0.5 if decided else 1.1,
            zorder=5 if decided else 4,
            clip_on=False,
            gid=verdict,
        )


def verdict_legend(seen: Iterable[str]) -> tuple[list[Line2D], list[str]]:
    """The marks of these verdicts and their names, for a legend.

    >>> verdict_legend(iter(["same", "harmed"]))[1]
    ['harmed', 'same']
    """
    known = {*seen}
    shown = [verdict for verdict in VERDICT_MARKERS if verdict in known]
    handles = [
        Line2D(
            [],
            [],
            ls="",
            ms=8,
            marker=VERDICT_MARKERS[v],
            color=VERDICT_COLOURS[v],
            mfc="white" if v in OPEN else VERDICT_COLOURS[v],
        )
        for v in shown
    ]
    return handles, shown


def margin_legend(margins: Float[np.ndarray, " T"]) -> tuple[list[Line2D], list[str]]:
    """The line of a margin and its size, for a legend; nothing where no task has one.

    >>> margin_legend(np.array([0.05, 0.05]))[1], margin_legend(np.zeros(2))[1]
    (['margin ±0.05'], [])
    """
    if not margins.any():
        return [], []
    ends = dict.fromkeys(f"{margin:g}" for margin in (margins.min(), margins.max()))
    line = Line2D([], [], color=INK, lw=1, ls=MARGIN_LINE)
    return [line], [f"margin ±{' to '.join(ends)}"]
