"""The figures of an audit alone: the affinity of its tasks, and the width check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from ..figures.drawing import (
    FOOTER_HEIGHT,
    GREY,
    INK,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_HEIGHT,
    WIDTH,
    add_axes,
    add_legend,
    new_figure,
    shorten,
    without_formulas,
)
from ..figures.gradients import draw_cosine_scale, draw_cosines, few_common_words
from ..figures.tables import arm_tables, scope_line
from ..figures.verdicts import draw_verdicts, verdict_legend
from ..study import ENOUGH_COMMON_LABELS, TRAINING_STAGES
from ..tasks import BadInput, suggestion
from .findings import findings
from .result import Audit

MOST_NAMED = 30  # tasks at most that are named beside the map


def affinity_map(audit: Audit, stage: str = "to 20%") -> Figure:
    """The cosines of all pairs of tasks' gradients at the last shared layer, in one stage.

    Orange pairs conflict and teal pairs agree. The colour of a pair with few common labels fades to
    grey, since its cosine also tells how the rows differ (see `study.ENOUGH_COMMON_LABELS`).

    Tasks with alike gradients stand side by side: the order comes from average linkage on 1 -
    cosine. It uses the mean over all stages, so it is the same for every stage.

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
    side, few = 4.4, len(tasks) <= MOST_NAMED
    names = [shorten(tasks[i], 20) for i in order] if few else []
    left = 0.4 + 0.085 * max(map(len, names), default=0)
    figure = new_figure(
        TITLE_HEIGHT + side + 0.75,
        title,
        text,
        scope_line(audit.study, arm_tables(audit.main_study)),
    )
    ax = add_axes(figure, left, FOOTER_HEIGHT + 0.35, side, side)
    draw_cosines(ax, matrix, common)
    ax.set_yticks(
        range(len(names)), names, size=min(SMALL_SIZE, 9 if len(names) > 18 else SMALL_SIZE)
    )
    ax.tick_params(length=0)
    greyed = bool((common < ENOUGH_COMMON_LABELS).any())
    grey = f"; grey: under {ENOUGH_COMMON_LABELS:.0%} common labels" if greyed else ""
    ax.set_xlabel(f"the same tasks in the same order{grey}", size=SMALL_SIZE)
    scale = add_axes(figure, left + side + 0.25, FOOTER_HEIGHT + 0.35, 0.15, side)
    draw_cosine_scale(figure, scale)
    return without_formulas(figure)


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


def width_check(audit: Audit) -> Figure:
    """What MTL does to every task at three widths of the trunk.

    At each width MTL is compared with single-task networks of the same width. There is one line per
    task, and a filled mark where the test decided.

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
    own = next(i for i, w in enumerate(found) if w["factor"] == 1)
    harmed, trunks = (
        f"{', '.join(words[:-1])} and {words[-1]}"
        for words in (
            [str(w["harmed"]) for w in found],
            ["-".join(map(str, w["trunk"])) for w in found],
        )
    )
    title = (
        f"On trunks {trunks}, MTL harms {harmed} tasks, against single-task networks of the same "
        "width"
    )
    text = "The trunk in the middle is the data's own."
    figure = new_figure(TITLE_HEIGHT + 4.2, title, text, scope_line(study, t))
    ax = add_axes(figure, 1.0, FOOTER_HEIGHT + 1.0, WIDTH - 1.4, 2.6)
    ax.axhline(0, color=INK, lw=1.2)
    tasks = list(audit.labels["task"])
    table = np.array([[w["delta"][task] for w in found] for task in tasks], dtype=float)
    worst = np.nanargmin(np.where(np.isfinite(table[:, own]), table[:, own], np.inf))
    for k in range(len(tasks)):
        ax.plot(range(len(found)), table[k], color=GREY, lw=0.8, alpha=0.6, zorder=2)
    for x, w in enumerate(found):
        verdicts = [
            w["verdict"][name] if np.isfinite(table[k, x]) else "" for k, name in enumerate(tasks)
        ]
        heights = np.where(np.isfinite(table[:, x]), table[:, x], 0.0)
        draw_verdicts(ax, np.full(len(tasks), float(x)), heights, verdicts)
    named = f"  {shorten(tasks[worst], 22)}"
    ax.annotate(named, (own, table[worst, own]), size=SMALL_SIZE, va="center", color=INK, zorder=5)
    ticks = [f"x {w['factor']:g}\n{'-'.join(map(str, w['trunk']))}" for w in found]
    ax.set_xticks(range(len(found)), ticks, size=TEXT_SIZE)
    ax.set_xlim(-0.3, len(found) - 0.5)
    sign = ", sign turned" if t.sign_turned else ""
    ax.set_title(f"difference from STL in {t.metric}{sign}", size=TEXT_SIZE, loc="left")
    add_legend(figure, *verdict_legend(v for w in found for v in w["verdict"].values()))
    return without_formulas(figure)
