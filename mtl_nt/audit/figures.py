"""The figures of an audit alone: the affinity of its tasks, and the width check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from ..errors import BadInput, suggestion
from ..figures.drawing import (
    GREY,
    INK,
    Drawing,
    add_axes,
    in_both_forms,
    shorten,
    tick_text,
    without_formulas,
)
from ..figures.forms import PAGE, TEXT_SIZE, Form
from ..figures.gradients import draw_cosine_scale, draw_cosines, few_common_words
from ..figures.sheet import legend_columns, legend_height, new_sheet
from ..figures.tables import arm_tables, scope_line
from ..figures.verdicts import draw_verdicts, verdict_legend
from ..study import ENOUGH_COMMON_LABELS, NOT_LEARNED, TRAINING_STAGES
from .findings import findings
from .result import Audit

MOST_NAMED = 30  # tasks at most that are named beside the map


def affinity_map(audit: Audit, stage: str = "to 20%") -> Drawing:
    """The cosines of all pairs of tasks' gradients at the last shared layer, in one stage.

    Orange pairs conflict and teal pairs agree. The colour of a pair with few common labels fades to
    grey, since its cosine also tells how the rows differ (see `study.ENOUGH_COMMON_LABELS`).

    Tasks with alike gradients stand side by side: the order comes from average linkage on 1 -
    cosine. It uses the mean over all stages, so it is the same for every stage. The figure has a
    second form for phones (see `figures.Drawing`).

    Args:
        stage: one of `TRAINING_STAGES`.

    Raises:
        BadInput: an unknown stage; an audit whose affinity was left out.

    >>> from mtl_nt.audit import example_audit
    >>> affinity_map(example_audit()).axes != []
    True
    """
    if audit.affinity is None:
        raise BadInput("this audit has no affinity: its budget had no room for it")
    if stage not in TRAINING_STAGES:
        raise BadInput(f"unknown stage {stage!r}; {suggestion(stage, TRAINING_STAGES)}")
    tasks, order = list(audit.labels["task"]), cluster_order(audit.affinity.cosines)
    square = np.ix_(order, order)
    matrix = audit.affinity.cosines[list(TRAINING_STAGES).index(stage)][square]
    common = audit.affinity.common_labels[square]
    title, text = _affinity_words([tasks[i] for i in order], matrix, common, stage)
    foot = scope_line(audit.study, arm_tables(audit.main_study))
    named = tuple(tasks[i] for i in order) if len(tasks) <= MOST_NAMED else ()
    return in_both_forms(partial(_draw_map, AffinityMap(title, text, foot, named, matrix, common)))


@dataclass(frozen=True)
class AffinityMap:
    """What `affinity_map` shows; the tasks have no names where they are too many."""

    title: str
    caption: str
    foot: str
    tasks: tuple[str, ...]
    cosines: Float[np.ndarray, "T T"]
    common_labels: Float[np.ndarray, "T T"]


def _draw_map(shown: AffinityMap, form: Form) -> Drawing:
    """Draw it; the scale of colours stands beside the map on a page, and below it on a phone."""
    page, many = form is PAGE, len(shown.cosines)
    names = [shorten(task, 20 if page else 12) for task in shown.tasks]
    letter = 0.0085 * form.small_size  # inches
    left = 0.25 + letter * max(map(len, names), default=0)
    side = min(4.4, form.width - left - (1.0 if page else 0.15))
    size = min(form.small_size, 60 * side / many)  # of names, so that they do not overlap
    greyed = bool((shown.common_labels < ENOUGH_COMMON_LABELS).any())
    grey = f"; grey: under {ENOUGH_COMMON_LABELS:.0%} common labels" * greyed
    about = f"gradients of two tasks: teal agrees, orange conflicts{grey}"
    below = 0.3 if page else 0.95
    sheet = new_sheet(shown.title, shown.caption, about, [shown.foot], 0.1 + side + below, form)
    bottom = sheet.bottom + below
    ax = add_axes(sheet.figure, left, bottom, side, side)
    draw_cosines(ax, shown.cosines, shown.common_labels)
    ax.set_yticks(range(len(names)), names, size=size)
    ax.tick_params(length=0)
    ax.set_xlabel("the same tasks in the same order", size=form.small_size)
    if page:
        scale = add_axes(sheet.figure, left + side + 0.25, bottom, 0.15, side)
    else:
        scale = add_axes(sheet.figure, left, sheet.bottom + 0.3, side, 0.13)
    draw_cosine_scale(sheet.figure, scale, form)
    without_formulas(sheet.figure)
    return sheet.figure


def _affinity_words(
    tasks: Sequence[str],
    cosines: Float[np.ndarray, "T T"],
    common_labels: Float[np.ndarray, "T T"],
    stage: str,
) -> tuple[str, str]:
    """Title and text of an affinity map, which name pairs with enough common labels if any have."""
    off = np.where(np.eye(len(tasks), dtype=bool), np.nan, cosines)
    if not np.isfinite(off).any():
        title = f"Training, {stage}: no two tasks ever share a batch"
        return title, "So there is no cosine of their gradients."
    mean, against = np.nanmean(off), np.mean(off[np.isfinite(off)] < 0)
    title = (
        f"Training, {stage}: gradients at the last shared layer have a cosine of {mean:+.2f} on "
        f"average, {against:.0%} of the pairs point apart"
    )
    judged = np.where(common_labels < ENOUGH_COMMON_LABELS, np.nan, off)
    named = judged if np.isfinite(judged).any() else off
    i, j = map(int, np.unravel_index(np.nanargmin(named), named.shape))
    k, m = map(int, np.unravel_index(np.nanargmax(named), named.shape))
    most = [
        f"{tasks[a]} and {tasks[b]} ({named[a, b]:+.2f}, {common_labels[a, b]:.0%} common labels)"
        for a, b in ((i, j), (k, m))
    ]
    text = f"Most apart: {most[0]}; most alike: {most[1]}."
    return title, f"{text} {few_common_words(common_labels)}".strip()


def cluster_order(cosines: Float[np.ndarray, "stages T T"]) -> Int[np.ndarray, " T"]:
    """An order of the tasks in which those with alike gradients are neighbours.

    >>> alike = np.array([[[1, -0.5, 0.9], [-0.5, 1, -0.5], [0.9, -0.5, 1]]])
    >>> cluster_order(alike).tolist()
    [1, 2, 0]
    """
    if cosines.shape[1] < 3:
        return np.arange(cosines.shape[1])
    with np.errstate(invalid="ignore"):
        known = np.isfinite(cosines)
        mean = np.where(known, cosines, 0).sum(0) / np.maximum(known.sum(0), 1)
    apart = 1 - (mean + mean.T) / 2
    np.fill_diagonal(apart, 0)
    return leaves_list(linkage(squareform(apart, checks=False), "average", optimal_ordering=True))


def width_check(audit: Audit) -> Drawing:
    """What MTL does to every task at three widths of the trunk.

    At each width MTL is compared with single-task networks of the same width. There is one line per
    task, and a filled mark where the test decided. A task is left out at the widths at which it is
    not learned, since its difference means nothing there. The figure has a second form for phones
    (see `figures.Drawing`).

    Raises:
        BadInput: an audit whose width check was left out.

    >>> from mtl_nt.audit import example_audit
    >>> width_check(example_audit()).axes != []
    True
    """
    found = findings(audit)["widths"]
    if found is None:
        raise BadInput("this audit has no width check: its budget had no room for it")
    study, t = audit.main_study, arm_tables(audit.main_study)
    tasks = list(audit.labels["task"])
    verdicts = np.array([[w["verdict"][task] for w in found] for task in tasks], dtype=object)
    delta = np.array([[w["delta"][task] for w in found] for task in tasks], dtype=float)
    missing = verdicts == NOT_LEARNED
    trunks = ["-".join(map(str, w["trunk"])) for w in found]
    foot = [scope_line(study, t)]
    if missing.any():
        counts = _listed([str(count) for count in missing.sum(0)])
        foot.append(f"Not learned at these widths, and left out: {counts} of {len(tasks)} tasks.")
    shown = WidthCheck(
        title=(
            f"On trunks {_listed(trunks)}, MTL harms {_listed([str(w['harmed']) for w in found])} "
            "tasks, against single-task networks of the same width"
        ),
        caption=" ".join(["The trunk in the middle is the data's own.", *foot[1:]]),
        about=f"difference from STL in {t.metric}{' (sign turned)' if t.sign_turned else ''}, for "
        "three widths of the trunk; one line per task",
        foot=tuple(foot),
        tasks=tuple(tasks),
        ticks=tuple(f"x {w['factor']:g}\n{k}" for w, k in zip(found, trunks, strict=True)),
        own=next(i for i, w in enumerate(found) if w["factor"] == 1),
        delta=np.where(missing, np.nan, delta),
        verdicts=verdicts,
    )
    return in_both_forms(partial(_draw_widths, shown))


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


@dataclass(frozen=True)
class WidthCheck:
    """What `width_check` shows: tasks x widths, NaN where a task is left out."""

    title: str
    caption: str
    about: str
    foot: tuple[str, ...]
    tasks: tuple[str, ...]
    ticks: tuple[str, ...]
    own: int  # the width of the data's own trunk
    delta: Float[np.ndarray, "T W"]
    verdicts: np.ndarray


def _draw_widths(shown: WidthCheck, form: Form) -> Drawing:
    scale, many = form.text_size / TEXT_SIZE, len(shown.ticks)
    there = np.isfinite(shown.delta)
    handles, names = verdict_legend(shown.verdicts[there])
    below = 0.55 * scale + legend_height(names, form)
    words = shown.title, shown.caption, shown.about, shown.foot
    sheet = new_sheet(*words, 2.8 + below, form)
    left = 0.75 * scale + 0.1
    ax = add_axes(sheet.figure, left, sheet.bottom + below, form.width - left - 0.1, 2.8 - 0.1)
    ax.axhline(0, color=INK, lw=1.2)
    for line in shown.delta:
        ax.plot(range(many), line, color=GREY, lw=0.8, alpha=0.6, zorder=2)
    for x in range(many):
        at = np.where(there[:, x], float(x), np.nan)
        draw_verdicts(ax, at, shown.delta[:, x], shown.verdicts[:, x].tolist(), 60 * scale**2)
    if there[:, shown.own].any():
        worst = int(np.nanargmin(shown.delta[:, shown.own]))
        named = shorten(shown.tasks[worst], form.name_letters)
        at_worst = shown.own, shown.delta[worst, shown.own]
        style: dict[str, Any] = {"size": form.small_size, "va": "center", "color": INK, "zorder": 5}
        clear = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        ax.annotate(named, at_worst, (8, 0), textcoords="offset points", bbox=clear, **style)
    ax.set_xticks(range(many), shown.ticks, size=form.text_size)
    ax.set_xlim(-0.3, many - 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(tick_text)
    ax.tick_params(axis="y", labelsize=form.small_size)
    sheet.add_legend(handles, names, legend_columns(names, form))
    without_formulas(sheet.figure)
    return sheet.figure
