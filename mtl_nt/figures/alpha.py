"""Figures that show what alpha does to the mean metric and to the counts of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy import stats

from ..errors import BadInput
from ..study import CONSTANT, SIGNIFICANCE_LEVEL, Study, half_interval
from .drawing import (
    GREY,
    INK,
    NULL_BAND,
    PAGE,
    TEXT_SIZE,
    Drawing,
    Form,
    Style,
    add_axes,
    in_both_forms,
    label_line_ends,
    method_styles,
    shorten,
    without_formulas,
)
from .sheet import legend_columns, legend_height, new_sheet
from .tables import PLAIN_MTL, Arm, ArmTables, arm_label, arm_tables, scope_line

FAR_FACTOR = 10  # `trade_off` draws nothing farther from STL than 10 times the median distance
LEVEL_LINE = (0, (5, 3))


def alpha_curve(
    study: Study, method: str, alpha: float | None = None, metric: str | None = None
) -> Drawing:
    """What alpha does to the mean metric and to the counts of tasks.

    The upper axes show the mean over tasks, with a band from the lowest to the highest run, and the
    means of STL and MTL. The lower axes show the harmed tasks, and the tasks worse than STL in one
    run, with such a band. A grey band is what chance does: the range of STL against its twin.
    The figure has a second form for phones (see `Drawing`).

    Args:
        method: a method of the study that has an alpha.
        alpha: the alpha that is marked; by default none is.
        metric: the metric of the tasks; by default each task's own.

    Raises:
        BadInput: an unknown method, metric or alpha; a method without alpha.

    >>> from mtl_nt.study import stored
    >>> figure = alpha_curve(stored("tox21"), "LBTW")
    >>> len(figure.axes)
    2
    """
    t = arm_tables(study, metric)
    marked = t.find_arm(method, alpha)
    arms = t.arms(method)
    if not marked[1]:
        raise BadInput(f"{method} has no alpha; a curve needs a method that has one")
    at = None if alpha is None else arms.index(marked)
    flat = [a for a in dict.fromkeys((t.baseline, PLAIN_MTL)) if a in t.mean_by_run]
    gone = t.diverged_words(arms)
    said = [t.describe(a) for a in (arms if at is None else [marked])]
    text = " ".join([*said, *([gone] if gone else [])])
    for arm in (*flat, *([] if at is None else [marked])):
        if np.isfinite(t.mean_by_run[arm]).all():
            text += f" {arm_label(arm)}: {t.mean_name} {t.mean_by_run[arm].mean():.3g}."
    style = method_styles(t.methods)
    null = [float(t.counts[arms[0]][f"negative_null_{end}"]) for end in ("low", "high")]
    shown = AlphaLines(
        title=t.claim_over_alphas(arms) if at is None else t.claim(marked),
        caption=text,
        foot="; ".join(filter(None, (gone, scope_line(study, t)))),
        method=method,
        colour=style[method].colour,
        alphas=np.array([float(a) for _, a in arms]),
        at=at,
        mean=np.array([t.mean_by_run[a] for a in arms]),
        worse=np.array([t.worse_by_run[a] for a in arms]),
        harmed=np.array([t.tasks_with(a, "harmed") for a in arms]),
        levels=tuple(
            (float(t.mean_by_run[a].mean()), arm_label(a), style[a[0]].colour) for a in flat
        ),
        null=None if t.null_arm is None else (null[0], null[1]),
        tasks=t.tasks,
        mean_words=f"{t.mean_name} ({t.better} is better)",
        worse_words=f"tasks worse than {t.baseline[0]}, of {t.tasks}",
    )
    return in_both_forms(partial(_draw_lines, shown))


@dataclass(frozen=True)
class AlphaLines:
    """What `alpha_curve` shows."""

    title: str
    caption: str
    foot: str
    method: str
    colour: str
    alphas: Float[np.ndarray, " A"]
    at: int | None  # which of them is marked
    mean: Float[np.ndarray, "A S"]  # the mean metric of every run
    worse: Float[np.ndarray, "A S"]  # tasks that are worse than the baseline in one run
    harmed: Float[np.ndarray, " A"]  # tasks
    levels: tuple[tuple[float, str, str], ...]  # means of methods without an alpha
    null: tuple[float, float] | None
    tasks: int
    mean_words: str
    worse_words: str


def _draw_lines(shown: AlphaLines, form: Form) -> Drawing:
    """Draw them: the mean above, the counts below."""
    scale, x, colour = form.text_size / TEXT_SIZE, shown.alphas, shown.colour
    tall, between, axis = 1.8 if form is PAGE else 1.5, 0.5 * scale, 0.62 * scale
    head = 0.32 * scale
    body = head + tall + between + tall + axis
    sheet = new_sheet(shown.title, shown.caption, "", [shown.foot], body, form)
    left = 0.9 if form is PAGE else 0.62
    wide = form.width - left - 0.2 - 14 * 0.63 * form.small_size / 72
    above = add_axes(sheet.figure, left, sheet.top - head - tall, wide, tall)
    below = add_axes(sheet.figure, left, sheet.bottom + axis, wide, tall)

    mean = _draw_mean_and_range(above, x, shown.mean, colour, "-", "mean")
    for level, name, own in shown.levels:
        above.axhline(level, color=own, lw=1.5, ls=LEVEL_LINE, gid=name)
    above.margins(y=0.1)
    ends = [(_last_finite(mean), shorten(shown.method, 14), colour), *shown.levels]
    label_line_ends(above, ends, form.small_size)
    above.set_title(shown.mean_words, size=form.text_size, loc="left", pad=8 * scale)

    if shown.null is not None:
        below.axhspan(*shown.null, color=NULL_BAND, lw=0, gid="null")
    below.set_ylim(0, shown.tasks)
    single = _draw_mean_and_range(below, x, shown.worse, colour, (0, (4, 2)), "one run")
    below.plot(
        x, shown.harmed, color=colour, lw=2.5, marker="<", ms=7 * scale, clip_on=False, gid="harmed"
    )
    named = [
        (_last_finite(shown.harmed), "harmed", colour),
        (_last_finite(single), "worse in a run", colour),
    ]
    if shown.null is not None:
        named.append((sum(shown.null) / 2, "null of a run", GREY))
    label_line_ends(below, named, form.small_size)
    bad = x[np.isnan(single)]
    below.plot(bad, 0 * bad, "X", color=INK, ms=9, clip_on=False, zorder=5, gid="diverged")
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    below.set_title(shown.worse_words, size=form.text_size, loc="left", pad=8 * scale)
    below.set_xlabel("alpha", size=form.text_size, labelpad=2)
    for ax, lines in ((above, [mean]), (below, [single, shown.harmed])):
        ax.tick_params(labelsize=form.small_size)
        ax.set_xlim((x.min(), x.max()) if len(x) > 1 else (x[0] - 0.5, x[0] + 0.5))
        if shown.at is not None:
            ax.axvline(x[shown.at], color=INK, lw=1, ls=(0, (1, 2)), gid="alpha")
            mark: dict[str, Any] = {"ms": 12 * scale, "mfc": colour, "mec": INK, "zorder": 5}
            for line in lines:
                ax.plot(x[shown.at], line[shown.at], "o", clip_on=False, **mark)
    above.tick_params(labelbottom=False)
    without_formulas(sheet.figure)
    return sheet.figure


def trade_off(study: Study, metric: str | None = None) -> Drawing:
    """The mean metric against the number of harmed tasks, one path per method.

    The mean is better to the right. A path follows alpha and ends, with a large marker, at the
    largest alpha. Horizontal bars are 95% intervals of the paired difference from STL. The grey
    band holds 95% of the means of STL', which is STL with another seed: the null. Equal counts are
    drawn a little apart. The figure has a second form for phones (see `Drawing`).

    Args:
        metric: the metric of the tasks; by default each task's own.

    Raises:
        BadInput: an unknown metric; no mean of STL or STL' to compare with.

    >>> from mtl_nt.study import stored
    >>> figure = trade_off(stored("cure-noisy"))
    >>> "harms" in figure.get_label()
    True
    """
    t = arm_tables(study, metric)
    base, name = t.mean_by_run[t.baseline], t.baseline[0]
    if t.null_arm is None:
        raise BadInput(f"{name} has no twin, so there is no null to draw a trade-off against")
    gap = t.mean_by_run[t.null_arm] - base
    if not np.isfinite(gap).all():
        raise BadInput(
            f"{name} or {name}' has no score in some run, so there is no trade-off to draw"
        )
    reach = stats.t.ppf(1 - SIGNIFICANCE_LEVEL / 2, len(gap)) * np.sqrt(
        np.square(gap).mean() * (1 / len(gap) + study.overlap)
    )
    every = [a for a in t.verdicts if a[0] != CONSTANT]
    away = {a: abs(float((t.mean_by_run[a] - base).mean())) for a in every}
    far = FAR_FACTOR * max(float(np.nanmedian([*away.values()])), reach)
    missing = [a for a in every if not away[a] <= far]
    paths = {m: [a for a in t.arms(m) if a in every and a not in missing] for m in t.methods}
    paths = {m: path for m, path in paths.items() if path}
    y, what = "harmed", "harmed tasks"
    if t.runs < 2:
        y, what = "negative_per_run", f"tasks worse than {t.baseline[0]} in the one run"
    text = " ".join(
        f"{arm_label(a)}: {t.mean_name} {t.mean_by_run[a].mean():.3g}, {what} {t.counts[a][y]:.0f}."
        for p in paths.values()
        for a in dict.fromkeys((p[0], p[-1]))
    )
    outside = ", ".join(
        f"{arm_label(a)} ({t.mean_by_run[a].mean():.3g})".replace("nan", "diverged")
        for a in missing
    )
    note = f"Not drawn: {outside}." if missing else "Paths end at the largest alpha."
    style = method_styles(t.methods)
    shown = Paths(
        title=_title_of_trade_off(t, paths, reach),
        caption=f"{text} {note}",
        about=f"The count of {what} against the {t.mean_name} ({t.better} is better). {note}",
        foot=scope_line(study, t),
        paths=tuple(
            Path(
                name=f"{m} {p[0][1]}–{p[-1][1]}" if len(p) > 1 else arm_label(p[0]),
                look=style[m],
                mean=np.array([float(t.mean_by_run[a].mean()) for a in p]),
                count=np.array([float(t.counts[a][y]) for a in p]),
                half=float(half_interval(t.mean_by_run[p[-1]] - base, study.overlap)),
            )
            for m, p in paths.items()
        ),
        base=float(base.mean()),
        base_name=name,
        base_colour=style[name].colour,
        reach=float(reach),
        tasks=t.tasks,
        mean_name=t.mean_name,
        lower_is_better=t.lower_is_better,
        count_words=f"{what}, of {t.tasks}",
    )
    return in_both_forms(partial(_draw_paths, shown))


@dataclass(frozen=True)
class Path:
    """A method's way over its alphas: its mean, its count of tasks, half of its last interval."""

    name: str
    look: Style
    mean: Float[np.ndarray, " A"]
    count: Float[np.ndarray, " A"]
    half: float


@dataclass(frozen=True)
class Paths:
    """What `trade_off` shows."""

    title: str
    caption: str
    about: str
    foot: str
    paths: tuple[Path, ...]
    base: float  # the mean of the baseline
    base_name: str
    base_colour: str
    reach: float  # half of the null's band
    tasks: int
    mean_name: str
    lower_is_better: bool
    count_words: str


def _draw_paths(shown: Paths, form: Form) -> Drawing:
    """Draw them, with a legend of all methods below."""
    scale, page = form.text_size / TEXT_SIZE, form is PAGE
    names = [shorten(path.name, 22 if page else 18) for path in shown.paths]
    names += [shown.base_name, f"null: 95% of {shown.base_name}'"]
    columns = legend_columns(names, form)
    tall, head, axis, gap = 3.3 if page else 2.8, 0.32 * scale, 0.62 * scale, 0.1
    body = head + tall + axis + legend_height(names, form) + gap
    sheet = new_sheet(shown.title, shown.caption, shown.about, [shown.foot], body, form)
    left = 0.6 * max(scale, 0.85)
    ax = add_axes(sheet.figure, left, sheet.top - head - tall, form.width - left - 0.3, tall)
    low, high = shown.base - shown.reach, shown.base + shown.reach
    ax.axvspan(low, high, color=NULL_BAND, lw=0, gid="null")
    ax.axvline(shown.base, color=shown.base_colour, lw=1.5, ls=LEVEL_LINE, gid="zero")
    top = float(max(min(4, shown.tasks), *(path.count.max() for path in shown.paths)))
    handles: list[Line2D | Patch] = []
    xs = np.concatenate([[low, high], *(path.mean for path in shown.paths)])
    lifts = _vertical_shifts(len(shown.paths)) * top
    for path, lift in zip(shown.paths, lifts, strict=True):
        colour, dashes, marker, fill = path.look
        x, up = path.mean, path.count + lift
        ends = x[-1] - path.half, x[-1] + path.half
        ax.hlines(up[-1], *ends, color=colour, lw=1, alpha=0.5)
        ax.plot(x, up, color=colour, ls=dashes, lw=1.5, marker=marker, ms=4, gid=path.name)
        last: dict[str, Any] = {"marker": marker, "color": colour, "fillstyle": fill}
        last |= {"mec": INK if fill == "full" else colour, "markerfacecoloralt": "white"}
        ax.plot(x[-1], up[-1], ms=10 * max(scale, 0.8), zorder=4, **last)
        handles.append(Line2D([], [], ls=dashes if len(x) > 1 else "", ms=9, **last))
    ax.set_ylim(-0.12 * top, 1.12 * top)
    pad = 0.06 * float(np.ptp(xs)) or 1.0
    edges = (float(xs.min()) - pad, float(xs.max()) + pad)
    ax.set_xlim(edges[::-1] if shown.lower_is_better else edges)
    ax.tick_params(labelsize=form.small_size)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_locator(MaxNLocator(5 if page else 3))
    mean = shown.mean_name if page else shorten(shown.mean_name, 20)
    ax.set_xlabel(f"← worse    {mean}    better →", size=form.text_size)
    ax.set_title(shown.count_words, size=form.text_size, loc="left", pad=8 * scale)
    handles += [Line2D([], [], color=INK, ls=LEVEL_LINE), Patch(color=NULL_BAND)]
    sheet.add_legend(handles, names, columns)
    without_formulas(sheet.figure)
    return sheet.figure


def _draw_mean_and_range(
    ax: Axes,
    x: Float[np.ndarray, " A"],
    runs: Float[np.ndarray, "A S"],
    colour: str,
    dashes: str | tuple,
    name: str,
) -> Float[np.ndarray, " A"]:
    """Draw and return the means over runs, with a band from the lowest to the highest run."""
    mean = runs.mean(1)
    ax.fill_between(x, runs.min(1), runs.max(1), color=colour, alpha=0.18, lw=0)
    look: dict[str, Any] = {"color": colour, "lw": 2.5, "ls": dashes, "marker": "o", "ms": 4}
    ax.plot(x, mean, clip_on=False, gid=name, **look)  # whole marks at both ends
    return mean


def _last_finite(values: Float[np.ndarray, " A"]) -> float:
    """The last value that is finite, or NaN."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else np.nan


def _vertical_shifts(count: int) -> Float[np.ndarray, " M"]:
    """How far each path is moved up or down, as a share of the axis, to keep paths apart."""
    return np.linspace(-0.05, 0.05, count) if count > 1 else np.zeros(count)


def _title_of_trade_off(t: ArmTables, paths: dict[str, list[Arm]], reach: float) -> str:
    """Which method has the best mean, whether chance explains that, and how many tasks it harms."""
    arms = [a for p in paths.values() for a in p if t.scored_tasks(a) and a != t.null_arm]
    if not arms:
        return "No method left a mean to draw"
    sign = -1 if t.lower_is_better else 1
    mean = {a: float(t.mean_by_run[a].mean()) for a in arms}
    harmed = {a: int(t.counts[a]["harmed"]) for a in arms}
    best = max(arms, key=lambda a: sign * mean[a])
    few = min(arms, key=lambda a: (harmed[a], -sign * mean[a]))
    chance = abs(mean[best] - t.mean_by_run[t.baseline].mean()) <= reach
    near = f", within chance of {t.baseline[0]}" if chance and t.runs > 1 else ""
    said = f"{arm_label(best)} has the best {t.mean_name} ({mean[best]:.3g}{near})"
    if t.runs < 2:
        return f"One run decides nothing: {said}"
    said = f"{said} and harms {harmed[best] or 'none'} of {t.task_count(best)}"
    null = f"(null {t.counts[best]['harmed_null']})"
    if harmed[few] == harmed[best]:
        return f"{said} {null}{', as few as any' if harmed[best] else ''}"
    return f"{said} {null}; fewest, {arm_label(few)}: {harmed[few] or 'none'} ({mean[few]:.3g})"
