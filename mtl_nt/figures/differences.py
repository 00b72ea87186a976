"""The difference of every task from STL, as a figure, and the counts of them, as an HTML table.

Nothing here uses pyplot, so a figure may be drawn in any thread. A figure says its message in its
title, from the numbers that it shows, and again in its `alt_text`.
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

from ..study import Study
from .drawing import (
    FOOTER_HEIGHT,
    INK,
    NULL_BAND,
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
from .tables import PLAIN_MTL, arm_label, arm_tables, scope_line

MOST_ROWS = 12  # rows of methods in `task_differences`
MOST_INTERVALS = 20  # up to so many tasks, each gets an interval
VERDICT_MARKERS = {"harmed": "<", "undecided": "o", "helped": ">", "same": "s", "not learned": "X"}
"""The marker of every verdict, for eyes without colour."""
OPEN = ("undecided", "not learned")  # verdicts without a filled marker
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


def task_differences(
    study: Study,
    alpha: float | None = None,
    metric: str | None = None,
    methods: Sequence[str] | None = None,
) -> Figure:
    """How much better or worse than STL each task is, in one row per method.

    This is Figure 1 of the LBTW paper (Liu, Liang and Gitter, AAAI 2019) with its noise. A point is
    a task: its mean over runs. Its marker says the verdict, and up to 20 tasks get their 95%
    intervals. A box holds the middle half of the tasks. The grey band holds 95% of the tasks of
    STL', which is STL with another seed: the null.

    Args:
        alpha: the alpha of the methods that have one; by default as many as 12 rows hold.
        metric: the metric of the tasks; by default each task's own.
        methods: by default all but the predictor that ignores the features.

    Raises:
        BadInput: an unknown method, metric or alpha.

    >>> from mtl_nt.study import stored
    >>> figure = task_differences(stored("cure-noisy"), methods=["MTL"])
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ["STL'", 'MTL']
    """
    t = arm_tables(study, metric)
    arms = t.select_arms(methods, alpha, MOST_ROWS)
    at_alpha = next((a for a in arms if a[1] and alpha is not None), None)
    lead = at_alpha or (PLAIN_MTL if PLAIN_MTL in arms else arms[-1])
    tall, left = 0.42 * len(arms), label_width(arm_label(a) for a in arms)
    wide, bottom = WIDTH - left - 1.0, FOOTER_HEIGHT + 1.0
    text = " ".join(t.describe(a) for a in arms)
    figure = new_figure(
        TITLE_HEIGHT + 0.3 + tall + bottom, t.claim(lead), text, scope_line(study, t, arms)
    )
    ax = add_axes(figure, left, bottom, wide, tall)
    null = 0.0
    if t.null_arm is not None:
        null = float(t.verdicts[t.null_arm]["delta"].abs().quantile(0.95))
        null = 0.0 if np.isnan(null) else null
    shown = {m for m, _ in arms}  # with all their alphas, so that a slider leaves the axis alone
    low, high = _axis_limits([v for a, v in t.verdicts.items() if a[0] in shown], null)
    ax.axvspan(-null, null, color=NULL_BAND, lw=0, zorder=0, gid="null")
    ax.axvline(0, color=INK, lw=1.2, zorder=1, gid="zero")
    style, beside = method_styles(t.methods), ax.get_yaxis_transform()
    for y, arm in enumerate(arms):
        _draw_tasks(ax, y, t.verdicts[arm], style[arm[0]].colour, (low, high))
        if not t.scored_tasks(arm):
            ax.text(low, y, f" {t.why_unscored(arm)}", size=10, va="center", bbox=BLANK)
        for inches, verdict, symbol in ((0.35, "harmed", "◀"), (0.75, "helped", "▶")):
            place: dict[str, Any] = {
                "x": 1 + inches / wide,
                "ha": "center",
                "transform": beside,
                "size": TEXT_SIZE,
            }
            count = f"{t.tasks_with(arm, verdict):.0f}".replace("nan", "–")
            ax.text(y=y, s=count, va="center_baseline", **place)
            if y == 0:
                ax.text(y=-0.95, s=symbol, va="center", **place)
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.set_yticks(range(len(arms)), [shorten(arm_label(a), 22) for a in arms], size=TEXT_SIZE)
    ax.tick_params(axis="y", length=0)
    sign = " (sign turned)" if t.sign_turned else ""
    where = f"← worse    difference from {t.baseline[0]} in {t.metric}{sign}    better →"
    figure.text(
        0.5, (FOOTER_HEIGHT + 0.45) / figure.get_figheight(), where, size=TEXT_SIZE, ha="center"
    )
    seen = {
        *("harmed", "undecided", "helped"),
        *(v for a in arms for v in t.verdicts[a]["verdict"]),
    }
    names = [verdict for verdict in VERDICT_MARKERS if verdict in seen]
    handles: list[Artist] = [
        Line2D([], [], color=INK, marker=VERDICT_MARKERS[v], ls="", ms=8, mfc=_face(v, INK))
        for v in names
    ]
    if t.null_arm is not None:
        handles.append(Patch(color=NULL_BAND))
        room = {3: f" of the tasks of {t.null_arm[0]}", 4: f" of {t.null_arm[0]}"}
        names.append(f"null: 95%{room.get(len(names), '')}")
    add_legend(figure, handles, names)
    return without_formulas(figure)


def counts_table(study: Study, metric: str | None = None) -> str:
    """The counts of every verdict, as an HTML table with one row per method.

    The verdict "same" has a column where there is a margin, and "not learned" where it occurs.
    Every count stands beside its null, which is what chance does to STL. On the right is what each
    method does on the whole (see `Study.overall`). Runs that diverged or were still improving are
    named.

    Args:
        metric: the metric of the tasks; by default each task's own.

    Raises:
        BadInput: an unknown metric.

    >>> from mtl_nt.study import stored
    >>> counts_table(stored("cure-noisy")).count("<tr>") > 3
    True
    """
    t = arm_tables(study, metric)
    others = [arm for arm in t.counts if arm != t.baseline]
    same = ["same"] if any("same" in t.counts[arm] for arm in others) else []
    lost = ["not learned"] if any(t.not_learned(arm) for arm in others) else []
    head = ["method", "harmed", "helped", *same, "undecided", *lost]
    head += ["negative, one run", "negative, mean of runs"]
    head += [t.mean_name, "mean difference", "delta_m", "mean rank"]
    head += ["networks", "seconds", "runs"] if study.recipe else []
    rows = []
    for arm, row in t.counts.items():
        cells = [arm_label(arm)]
        if arm == t.baseline or not t.scored_tasks(arm):
            cells += ["–"] * (len(same) + len(lost) + 5)
        else:
            known = t.runs > 1
            for verdict in ("harmed", "helped"):
                null = row[f"{verdict}_null"]
                count = f"{row[verdict]} (null {null})" if t.null_arm else f"{row[verdict]}"
                cells.append(count if known else "–")
            cells += [f"{row['same']}" for _ in same]
            missing = t.tasks - t.scored_tasks(arm)
            cells.append(f"{row['undecided'] - missing} of {t.scored_tasks(arm)}")
            cells += [f"{t.not_learned(arm)}" for _ in lost]
            cells.append(f"{row['negative_per_run']:.1f} ({t.null_words(arm)})")
            cells.append(f"{row['negative']} ({t.null_words(arm)})")
        mean = t.mean_by_run[arm].mean()
        cells.append(f"{mean:.4g}" if np.isfinite(mean) else "–")
        cells += t.overall_words(arm)
        if study.recipe:
            cells += [f"{row['networks']}", f"{row['seconds']:.1f}", t.run_problems(arm)]
        rows.append(cells)
    note = html.escape(
        f"{scope_line(study, t)}. {t.mean_name}: {t.better} is better. Mean differences from "
        f"{t.baseline[0]}, with 95% intervals over runs, and delta_m: above 0 is better. Undecided "
        f"is not “no difference”. {t.chance_words()}"
    )
    body = "".join(_table_row(cells) for cells in rows)
    titles = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in head)
    return (
        f"<div class='nt-counts'><style>{STYLE}</style><table><caption>{note}</caption>"
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _draw_tasks(
    ax: Axes, y: int, rows: pd.DataFrame, colour: str, limits: tuple[float, float]
) -> None:
    """Draw the tasks of one method. A task has the same place in every row."""
    delta, (low, high) = rows["delta"].to_numpy(), limits
    at = y + (np.linspace(-0.3, 0.3, len(rows)) if len(rows) > 1 else np.zeros(1))
    scored, few = np.isfinite(delta), len(rows) <= MOST_INTERVALS
    if scored.sum() > 3:
        a, middle, b = np.clip(np.quantile(delta[scored], (0.25, 0.5, 0.75)), low, high)
        ax.barh(y, b - a, left=a, height=0.76, color=colour, alpha=0.18, lw=0, zorder=2)
        ax.vlines(middle, y - 0.38, y + 0.38, color=colour, lw=1.5, zorder=2)
    if few:
        ax.hlines(at, rows["low"], rows["high"], color=colour, lw=1, alpha=0.5, zorder=3)
    for verdict, marker in VERDICT_MARKERS.items():
        these = scored & (rows["verdict"] == verdict).to_numpy()
        if not these.any():
            continue
        decided = verdict not in OPEN
        ax.scatter(
            np.clip(delta[these], low, high),
            at[these],
            s=(60 if decided else 30) / (1 if few else 2),
            marker=marker,
            facecolor=_face(verdict, colour),
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


def _face(verdict: str, colour: str) -> str:
    return "white" if verdict in OPEN else colour


def _axis_limits(verdicts: Sequence[pd.DataFrame], null: float) -> tuple[float, float]:
    """Limits of the axis. One value far outside must not squeeze all others together."""
    every = pd.concat(verdicts)
    points = every["delta"].abs().dropna()
    far = 4 * max(points.quantile(0.9) if len(points) else 1.0, null, 1e-9)
    values = every[["delta", "low", "high"]].to_numpy()
    values = np.clip(values[np.isfinite(values)], -far, far)
    low, high = values.min(initial=-1.1 * null), values.max(initial=1.1 * null)
    pad = 0.03 * (high - low) or 1.0
    return float(low - pad), float(high + pad)


def _table_row(cells: Sequence[str]) -> str:
    first, *rest = map(html.escape, cells)
    return f"<tr><th scope='row'>{first}</th>{''.join(f'<td>{c}</td>' for c in rest)}</tr>"
