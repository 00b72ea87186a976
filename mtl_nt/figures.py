"""Every plot, as a function from a study's tables to a matplotlib Figure.

No training, no files, no pyplot: a figure may be drawn in any thread. Each says its message in its
title, from the numbers that it shows, and in plain words in `alt` (escape them in a page).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .alpha_figures import alpha_curve, trade_off
from .drawing import (
    BASE,
    COLOURS,
    FOOT,
    HEAD,
    INK,
    NULL_BAND,
    WIDTH,
    alt,
    axes,
    canvas,
    finish,
    key,
    margin,
    picture,
    png,
    short,
    styles,
)
from .study import Study
from .tables import PLAIN, label, scope, tables
from .weight_figures import weight_matrix, weights

__all__ = [
    "COLOURS",
    "alpha_curve",
    "alt",
    "counts_table",
    "differences",
    "picture",
    "png",
    "trade_off",
    "weight_matrix",
    "weights",
]

ROWS = 12  # of methods in `differences`
INTERVALS = 20  # tasks that get an interval each
VERDICTS = {"harmed": "<", "undecided": "o", "helped": ">"}  # markers, for eyes without colour
BLANK = {"fc": "white", "ec": "none", "pad": 1}
STYLE = (
    ".nt-counts{overflow-x:auto}"
    ".nt-counts table{border-collapse:collapse;font-size:.85em;font-variant-numeric:tabular-nums}"
    ".nt-counts caption{text-align:left;caption-side:bottom;padding:.4em 0}"
    ".nt-counts th,.nt-counts td{border-bottom:1px solid #bbb;padding:.25em .5em;text-align:right}"
    ".nt-counts thead th{vertical-align:bottom}"
    ".nt-counts tbody *{white-space:nowrap}"
    ".nt-counts :is(th,td):is(:first-child,:last-child){text-align:left}"
)


def differences(
    study: Study,
    alpha: float | None = None,
    metric: str | None = None,
    methods: Sequence[str] | None = None,
) -> Figure:
    """Every task's difference from STL, or from another baseline, by method: Figure 1 of the LBTW
    paper, with its noise.

    A point a task (mean over runs, with its 95% interval for up to 20 tasks) over a box of the
    middle half, with a marker for its verdict. The band holds 95% of the tasks of STL', the null.

    Args:
        alpha: of the methods that have one; by default as many as 12 rows hold.
        methods: by default all but the predictor that ignores the features.

    Raises:
        BadInput: an unknown method, metric or alpha.
    """
    t = tables(study, metric)
    arms = t.chosen(methods, alpha, ROWS)
    slid = next((a for a in arms if a[1] and alpha is not None), None)
    lead = slid or (PLAIN if PLAIN in arms else arms[-1])
    tall, left = 0.42 * len(arms), margin(label(a) for a in arms)
    wide, bottom = WIDTH - left - 1.0, FOOT + 1.0
    text = " ".join(t.words(a) for a in arms)
    figure = canvas(HEAD + 0.3 + tall + bottom, t.claim(lead), text, scope(study, t, arms))
    ax = axes(figure, left, bottom, wide, tall)
    null = 0.0
    if t.reference is not None:
        null = float(t.verdicts[t.reference]["delta"].abs().quantile(0.95))
        null = 0.0 if np.isnan(null) else null
    shown = {m for m, _ in arms}  # with all their alphas, so that a slider leaves the axis alone
    low, high = _reach([v for a, v in t.verdicts.items() if a[0] in shown], null)
    ax.axvspan(-null, null, color=NULL_BAND, lw=0, zorder=0, gid="null")
    ax.axvline(0, color=INK, lw=1.2, zorder=1, gid="zero")
    style, beside = styles(t.methods), ax.get_yaxis_transform()
    for y, arm in enumerate(arms):
        _strip(ax, y, t.verdicts[arm], style[arm[0]].colour, (low, high))
        if not t.scored(arm):
            ax.text(low, y, f" {t.why(arm)}", size=10, va="center", bbox=BLANK)
        for inches, verdict, symbol in ((0.35, "harmed", "◀"), (0.75, "helped", "▶")):
            place: dict[str, Any] = {
                "x": 1 + inches / wide,
                "ha": "center",
                "transform": beside,
                "size": BASE,
            }
            count = f"{t.decided(arm, verdict):.0f}".replace("nan", "–")
            ax.text(y=y, s=count, va="center_baseline", **place)
            if y == 0:
                ax.text(y=-0.95, s=symbol, va="center", **place)
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.set_yticks(range(len(arms)), [short(label(a), 22) for a in arms], size=BASE)
    ax.tick_params(axis="y", length=0)
    sign = " (sign turned)" if t.turned else ""
    where = f"← worse    difference from {t.baseline[0]} in {t.metric}{sign}    better →"
    figure.text(0.5, (FOOT + 0.45) / figure.get_figheight(), where, size=BASE, ha="center")
    marks = [
        Line2D([], [], color=INK, marker=m, ls="", ms=8, mfc=INK if v != "undecided" else "white")
        for v, m in VERDICTS.items()
    ]
    handles: list[Artist] = [*marks]
    names = [*VERDICTS]
    if t.reference is not None:
        handles.append(Patch(color=NULL_BAND))
        names.append(f"null: 95% of the tasks of {t.reference[0]}")
    key(figure, handles, names)
    return finish(figure)


def counts_table(study: Study, metric: str | None = None) -> str:
    """The counts as an HTML table: no count without its null, no run that failed left out.

    Raises:
        BadInput: an unknown metric.
    """
    t = tables(study, metric)
    head = [
        "method",
        "harmed",
        "helped",
        "undecided",
        "negative, one run",
        "negative, mean of runs",
    ]
    head += [t.mean, "networks", "seconds", "runs"]
    rows = []
    for arm, row in t.counts.items():
        cells = [label(arm)]
        if arm == t.baseline or not t.scored(arm):
            cells += ["–"] * 5
        else:
            known = t.runs > 1
            for verdict in ("harmed", "helped"):
                null = row[f"{verdict}_null"]
                count = f"{row[verdict]} (null {null})" if t.reference else f"{row[verdict]}"
                cells.append(count if known else "–")
            cells.append(f"{t.scored(arm) - row['harmed'] - row['helped']} of {t.scored(arm)}")
            cells.append(f"{row['negative_per_run']:.1f} ({t.null(arm)})")
            cells.append(f"{row['negative']} ({t.null(arm)})")
        mean = t.level[arm].mean()
        cells.append(f"{mean:.4g}" if np.isfinite(mean) else "–")
        cells += [f"{row['networks']}", f"{row['seconds']:.1f}", t.marks(arm)]
        rows.append(cells)
    note = f"{scope(study, t)}. {t.mean}: {t.better} is better. "
    note = html.escape(f"{note}Undecided is not “no difference”.")
    body = "".join(_row(cells) for cells in rows)
    titles = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in head)
    return (
        f"<div class='nt-counts'><style>{STYLE}</style><table><caption>{note}</caption>"
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _strip(ax: Axes, y: int, rows: pd.DataFrame, colour: str, limits: tuple[float, float]) -> None:
    """One method's tasks, each at the same height in every row."""
    delta, (low, high) = rows["delta"].to_numpy(), limits
    at = y + (np.linspace(-0.3, 0.3, len(rows)) if len(rows) > 1 else np.zeros(1))
    there, few = np.isfinite(delta), len(rows) <= INTERVALS
    if there.sum() > 3:
        a, middle, b = np.clip(np.quantile(delta[there], (0.25, 0.5, 0.75)), low, high)
        ax.barh(y, b - a, left=a, height=0.76, color=colour, alpha=0.18, lw=0, zorder=2)
        ax.vlines(middle, y - 0.38, y + 0.38, color=colour, lw=1.5, zorder=2)
    if few:
        ax.hlines(at, rows["low"], rows["high"], color=colour, lw=1, alpha=0.5, zorder=3)
    for verdict, marker in VERDICTS.items():
        these = there & (rows["verdict"] == verdict).to_numpy()
        if not these.any():
            continue
        decided = verdict != "undecided"
        ax.scatter(
            np.clip(delta[these], low, high),
            at[these],
            s=(60 if decided else 30) / (1 if few else 2),
            marker=marker,
            facecolor=colour if decided else "white",
            edgecolor=INK if decided else colour,
            linewidth=0.7 if decided else 1,
            zorder=5 if decided else 4,
            clip_on=False,
            gid=verdict,
        )
    for edge, beyond, align in ((low, delta < low, "left"), (high, delta > high, "right")):
        if beyond.any():
            far = f"   {beyond.sum()} beyond, to {delta[np.nanargmax(np.abs(delta))]:.2g}  "
            ax.text(edge, y - 0.36, far, size=10, ha=align, va="center", zorder=6)


def _reach(verdicts: Sequence[pd.DataFrame], null: float) -> tuple[float, float]:
    """Limits that hold nearly all: one value far outside shall not hide the others."""
    every = pd.concat(verdicts)
    points = every["delta"].abs().dropna()
    far = 4 * max(points.quantile(0.9) if len(points) else 1.0, null, 1e-9)
    values = every[["delta", "low", "high"]].to_numpy()
    values = np.clip(values[np.isfinite(values)], -far, far)
    low, high = values.min(initial=-1.1 * null), values.max(initial=1.1 * null)
    pad = 0.03 * (high - low) or 1.0
    return float(low - pad), float(high + pad)


def _row(cells: Sequence[str]) -> str:
    first, *rest = map(html.escape, cells)
    return f"<tr><th scope='row'>{first}</th>{''.join(f'<td>{c}</td>' for c in rest)}</tr>"
