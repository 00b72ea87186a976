"""The weights of tasks over the steps of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ..study import Study, half_interval
from .drawing import (
    COLOURS,
    GREY,
    PAGE,
    TEXT_SIZE,
    Drawing,
    Form,
    add_axes,
    in_both_forms,
    label_line_ends,
    round_ticks,
    short_names,
    shorten,
    tick_text,
)
from .sheet import new_sheet
from .tables import Arm, arm_label, arm_tables, scope_line
from .weights import weights_by_alpha

MOST_LINES = 40  # up to so many tasks, each has a line of its own
EXTREMES = 2  # so many heaviest and so many lightest tasks are emphasised
FEW_RUNS = 5  # an interval of fewer runs would be wider than all of them
SMOOTHED = 8  # a line is the running mean over this part of training: an eighth
HEAVY, LIGHT, OTHERS = "#5B2A86", "#8A6D00", "#A9A9A9"


@dataclass(frozen=True)
class WeightLines:
    """What `weight_curves` shows: the smoothed mean over runs, of every task."""

    title: str
    caption: str
    about: str
    foot: str
    steps: Float[np.ndarray, " P"]
    lines: Float[np.ndarray, "P T"]
    low: Float[np.ndarray, "P T"]  # the ends of the bands
    high: Float[np.ndarray, "P T"]
    tasks: tuple[str, ...]
    emphasised: tuple[int, ...]  # tasks, from the heaviest to the lightest
    means: Float[np.ndarray, " T"]  # over training
    limits: tuple[float, float]


def weight_curves(
    study: Study, method: str, alpha: float | None = None, one_axis: bool = False
) -> Drawing:
    """The weight that a method gives each task over training, as the mean over runs.

    The lines are smoothed: each is the running mean over an eighth of training. The two heaviest
    and the two lightest tasks are emphasised and named at their ends. The bands around the heaviest
    and the lightest are 95% intervals over runs, or the range of fewer than 5 runs. The other tasks
    are thin grey lines. Of more than 40 tasks, grey bands hold 80% and half. If a method trains one
    network per task, a task's weight is the mean over the other tasks' networks. The figure has a
    second form for phones (see `Drawing`).

    Args:
        alpha: by default the middle one of the method.
        one_axis: whether the axis suits all alphas of the method, so that the stops of a slider can
            be compared. By default it suits what is drawn.

    Raises:
        BadInput: an unknown method or alpha; a method that trains no network.

    >>> from mtl_nt.study import stored
    >>> weight_curves(stored("cure-noisy"), "MTL")  # which comes without the weights of training
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: MTL has no weights in this study: it trains no network, or none is kept
    """
    t = arm_tables(study)
    arm = t.find_arm(method, alpha)
    steps, tasks, every, others = weights_by_alpha(study, method)
    steps = steps.astype(float)
    raw = np.nanmean(every[arm], 0)  # (points, tasks)
    means = raw.mean(0)
    order = np.argsort(-means, kind="stable")
    alike = bool(np.ptp(raw) < 1e-6)
    ends = [*order[:EXTREMES], *order[-EXTREMES:]]
    emphasised = tuple(int(i) for i in dict.fromkeys(ends)) if not alike else ()
    window = smoothing_window(len(steps))
    smooth = smoothed(every[arm], window)  # (runs, points, tasks)
    lines = np.nanmean(smooth, 0)
    runs = np.nanmean(every[arm], 1)  # (runs, tasks)
    whose = "weight by other networks" if others else "weight"
    said = f"Mean {whose} over training, and its range over runs: " + ", ".join(
        f"{shorten(tasks[i], 40)} {weight_text(means[i])} "
        f"({weight_text(runs[:, i].min())}–{weight_text(runs[:, i].max())})"
        for i in emphasised or order[:1]
    )
    low, high = _band(smooth, study.overlap)
    alphas = list(every) if one_axis else [arm]
    shown = WeightLines(
        title=_title_of_curves(arm, tasks, raw),
        caption=f"{said}.",
        about=_about(whose, t.runs, steps, window, alike),
        foot=scope_line(study, t),
        steps=steps,
        lines=lines,
        low=low,
        high=high,
        tasks=tuple(tasks),
        emphasised=emphasised,
        means=means,
        limits=_weight_limits([np.nanmean(smoothed(every[a], window), 0) for a in alphas]),
    )
    return in_both_forms(partial(_draw_curves, shown))


def weight_text(weight: float) -> str:
    """A weight in a label or a sentence.

    >>> [weight_text(weight) for weight in (1.0, 0.0042, 123.4)]
    ['1.00', '0.0042', '123']
    """
    return f"{weight:.2f}" if 0.095 <= abs(weight) < 9.995 else f"{weight:.3g}"


def smoothing_window(points: int) -> int:
    """How many points of training a smoothed line averages over: an eighth, and an odd number.

    >>> smoothing_window(40), smoothing_window(6)
    (5, 1)
    """
    return max(1, points // SMOOTHED // 2 * 2 + 1) if points >= 2 * SMOOTHED else 1


def smoothed(values: Float[np.ndarray, "*S P T"], window: int) -> Float[np.ndarray, "*S P T"]:
    """The centred running mean over training; at both ends over fewer points.

    >>> smoothed(np.array([[0.0], [3.0], [0.0], [3.0]]), 3)[:, 0].tolist()
    [1.5, 1.0, 2.0, 1.5]
    """
    if window == 1:
        return values
    known = np.isfinite(values)
    half, padding = window // 2, [(0, 0)] * values.ndim
    padding[-2] = (half + 1, half)

    def sums(of: np.ndarray) -> np.ndarray:
        total = np.pad(of.astype(float), padding).cumsum(-2)
        return total[..., window:, :] - total[..., :-window, :]

    with np.errstate(invalid="ignore"):
        return sums(np.where(known, values, 0.0)) / sums(known)


def _about(whose: str, runs: int, steps: Float[np.ndarray, " P"], window: int, alike: bool) -> str:
    """What is drawn, and how it was smoothed."""
    said = [f"{whose}, mean over {runs} runs" if runs > 1 else whose]
    if window > 1:
        said.append(f"smoothed: running mean over {window * (steps[1] - steps[0]):g} steps")
    if alike:
        return "; ".join(said)
    if runs > 1:
        said.append("bands: 95% intervals" if runs >= FEW_RUNS else "bands: range of the runs")
    return "; ".join([*said, "numbers: mean over training"])


def _band(
    runs: Float[np.ndarray, "S P T"], overlap: float
) -> tuple[Float[np.ndarray, "P T"], Float[np.ndarray, "P T"]]:
    """The 95% interval of the mean over runs, or the range of a few runs."""
    if len(runs) < FEW_RUNS:
        return np.nanmin(runs, 0), np.nanmax(runs, 0)
    mean, reach = np.nanmean(runs, 0), half_interval(runs, overlap)
    return np.asarray(mean - reach), np.asarray(mean + reach)


def _draw_curves(shown: WeightLines, form: Form) -> Drawing:
    scale, tall = form.text_size / TEXT_SIZE, 2.75 if form is PAGE else 2.3
    axis = 0.62 * scale
    words = shown.title, shown.caption, shown.about, [shown.foot]
    sheet = new_sheet(*words, tall + axis + 0.08, form)
    fitted = short_names([shown.tasks[i] for i in shown.emphasised], form.name_letters)
    names = dict(zip(shown.emphasised, fitted, strict=True))
    longest = max((len(name) for name in names.values()), default=3)
    right = 0.25 + 0.65 * form.small_size / 72 * (longest + 6)
    left = 0.75 * max(scale, 0.85)
    ax = add_axes(sheet.figure, left, sheet.bottom + axis, form.width - left - right, tall)
    ax.tick_params(labelsize=form.small_size)
    _set_weight_scale(ax, shown.limits)
    ax.axhline(1, color=COLOURS["MTL"], lw=1.5, ls=(0, (5, 3)), zorder=1, gid="one")
    _draw_others(ax, shown)
    ends = [(1.0, "MTL", COLOURS["MTL"])]
    for place, i in enumerate(shown.emphasised):
        heavy = place < (len(shown.emphasised) + 1) // 2
        colour, extreme = HEAVY if heavy else LIGHT, place in (0, len(shown.emphasised) - 1)
        line = shown.lines[:, i]
        if extreme:
            band = shown.low[:, i], shown.high[:, i]
            ax.fill_between(shown.steps, *band, color=colour, alpha=0.18, lw=0)
        width = 2.5 if extreme else 1.3
        ax.plot(shown.steps, line, color=colour, lw=width, gid=f"task {shown.tasks[i]}")
        ends.append((float(line[-1]), f"{names[i]}: {weight_text(shown.means[i])}", colour))
    low, high = ax.get_ylim()
    label_line_ends(ax, [end for end in ends if low <= end[0] <= high], form.small_size)
    first, last = shown.steps[0], shown.steps[-1]
    ax.set_xlim(first, last if len(shown.steps) > 1 else first + 1)
    ax.xaxis.set_major_locator(MaxNLocator(5 if form is PAGE else 3, integer=True))
    ax.set_xlabel("step", size=form.text_size, labelpad=2)
    return sheet.figure


def _draw_others(ax: Axes, shown: WeightLines) -> None:
    """The tasks that are not emphasised: thin grey lines, or bands where they are many."""
    rest = [i for i in range(len(shown.tasks)) if i not in shown.emphasised]
    if len(shown.tasks) > MOST_LINES:
        for part, solid in ((0.1, 0.25), (0.25, 0.4)):
            a, b = np.nanquantile(shown.lines, (part, 1 - part), axis=1)
            ax.fill_between(shown.steps, a, b, color=OTHERS, alpha=solid, lw=0)
        ax.plot(shown.steps, np.nanmedian(shown.lines, axis=1), color=GREY, lw=1.5, gid="median")
        return
    for i in rest:
        ax.plot(shown.steps, shown.lines[:, i], color=OTHERS, lw=0.9, gid=f"task {shown.tasks[i]}")


def _weight_limits(shown: Sequence[Float[np.ndarray, "P T"]]) -> tuple[float, float]:
    """The smallest and the largest weight of these, and MTL's 1, where it is not far from them."""
    values = np.concatenate([table.ravel() for table in shown])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 1.0)
    if max(low - 1, 1 - high) <= (high - low) / 2:
        low, high = min(low, 1.0), max(high, 1.0)
    return low, high


def _set_weight_scale(ax: Axes, limits: tuple[float, float]) -> None:
    """An axis that suits these weights; logarithmic if they differ more than tenfold."""
    low, high = limits
    if low <= 0 or high <= 10 * low:
        pad = max(0.08 * (high - low), 0.05 * high)
        ax.set_ylim(max(low - pad, min(low, 0.0)), high + pad)
        ax.yaxis.set_major_locator(round_ticks(5))
        ax.yaxis.set_major_formatter(FuncFormatter(tick_text))
        return
    low, high = low / 1.1, high * 1.1
    digits = (1,) if high > 1000 * low else (1, 3) if high > 60 * low else (1, 2, 5)
    ticks = [float(f"{d}e{e}") for e in range(-12, 13) for d in digits]
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(FixedLocator([v for v in ticks if low <= v <= high]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(tick_text))


def _title_of_curves(arm: Arm, tasks: Sequence[str], line: Float[np.ndarray, "P T"]) -> str:
    """Which task has the largest and smallest weight, and how far one task's weight swings."""
    mean, swing = line.mean(0), float(np.sqrt(line.var(0).mean()))
    if np.ptp(line) < 1e-6:
        return f"{arm_label(arm)} weighs every task {mean[0]:.3g} all through training"
    if len(mean) == 1:
        return f"{arm_label(arm)} weighs its only task {mean[0]:.3g}, within training ±{swing:.2g}"
    most, least = int(mean.argmax()), int(mean.argmin())
    return (
        f"{arm_label(arm)} weighs {shorten(tasks[most], 18)} most ({mean[most]:.3g}) and "
        f"{shorten(tasks[least], 18)} least ({mean[least]:.3g}); within training one task's weight "
        f"varies by ±{swing:.2g}"
    )
