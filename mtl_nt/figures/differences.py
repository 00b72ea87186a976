"""The one picture: how much better or worse than STL each task is, with the noise of that.

Nothing here uses pyplot, so a figure may be drawn in any thread. A figure says its message in its
title, from the numbers that it shows, and again in its `alt_text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from ..study import NOT_LEARNED, Study
from .drawing import Drawing, in_both_forms, method_styles
from .effects import count_words, effect_title, effect_words, has_mean, task_groups
from .method_strips import MOST_INTERVALS, draw_method_strips
from .tables import PLAIN_MTL, Arm, ArmTables, arm_label, arm_tables, scope_line
from .task_rows import MOST_ROWS, Panel, TaskRows, draw_task_rows
from .verdicts import VERDICT_MARKERS

__all__ = ["VERDICT_MARKERS", "task_differences"]

MOST_PANELS = 3  # of more methods than these, each has one row for all of its tasks
MOST_STRIPS = 12  # rows of methods at most
FEW = 5  # of fewer values than these, none is far outside


def task_differences(
    study: Study,
    alpha: float | None = None,
    metric: str | None = None,
    methods: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
) -> Drawing:
    """How much better or worse than STL each task is, and whether that is more than chance.

    This is Figure 1 of the LBTW paper (Liu, Liang and Gitter, AAAI 2019) with its noise. Its title
    says how much the harmed tasks lose and how much the helped ones gain.

    - With up to three methods there is one row per task: the mean difference over runs and its 95%
      interval. Red tasks are harmed and blue ones are helped, an open mark is undecided, and a grey
      one is the same within the margin or not learned. More than 40 tasks are a strip, which is
      sorted by the first method. A margin is drawn as two dashed lines. The last row is the mean
      over tasks. Such a figure has a second form for phones (see `Drawing`).
    - With more methods, each has one row for all of its tasks, and a box holds the middle half.

    The grey band holds 95% of the tasks of STL', which is STL with another seed: what chance does.
    A task that no drawn method has learned is not among them.

    Args:
        alpha: the alpha of the methods that have one; by default as many as there is room for.
        metric: the metric of the tasks; by default each task's own.
        methods: by default all but the predictor that ignores the features.
        groups: task -> group. By default "related 1" and "related 2" are of a group "related".

    Raises:
        BadInput: an unknown method, metric or alpha; a group of an unknown task.

    >>> from mtl_nt.study import stored
    >>> figure = task_differences(stored("cure-noisy"), methods=["MTL"])
    >>> figure.title
    'Three of nine tasks are not learned; under MTL, six clean tasks lose 0.12 (MSE); no task is \
found to gain'
    >>> [text.get_text() for text in figure.axes[0].texts if text.get_gid() == "name"][-2:]
    ['noisy 3', 'mean of learned']
    """
    t = arm_tables(study, metric)
    arms = t.select_arms(methods, alpha, MOST_STRIPS)
    at_alpha = next((a for a in arms if a[1] and alpha is not None), None)
    lead = at_alpha or (PLAIN_MTL if PLAIN_MTL in arms else arms[-1])
    tasks = [str(task) for task in t.verdicts[lead]["task"]]
    of_group = task_groups(tasks, groups)
    margins = _margins(study, tasks, metric)
    names = {m for m, _ in arms}  # with all their alphas, so that a slider leaves the axis alone
    drawn = [v for a, v in t.verdicts.items() if a[0] in names and a != t.null_arm]
    null = _null(t, drawn)
    limits = _axis_limits(drawn or [t.verdicts[arm] for arm in arms], null, margins)
    compared = [arm for arm in arms if arm != t.null_arm] or arms
    stripped = len(compared) > MOST_PANELS
    shown = arms if stripped else compared
    about = _about(t, shown, not stripped or len(tasks) <= MOST_INTERVALS)
    said = [f"{about}.", *(t.describe(a) for a in arms), effect_words(t, lead)]
    order = np.arange(len(tasks)) if stripped else _order(t, compared[0], tasks, of_group)
    rows = TaskRows(
        title=effect_title(t, lead, of_group),
        caption=" ".join(filter(None, said)),
        about=about,
        foot=(scope_line(study, t, arms), count_words(t, lead)),
        names=tuple(tasks[i] for i in order),
        groups=tuple(of_group[tasks[i]] for i in order) if of_group else (),
        headed=groups is not None,
        panels=tuple(_panel(t, arm, order) for arm in shown),
        limits=limits,
        null=null,
        null_words=f"chance alone ({t.null_arm[0]})" if t.null_arm else "",
        margins=margins[order],
        mean_name="mean of learned" if any(map(t.not_learned, arms)) else "mean over tasks",
        worse=f"worse than {t.baseline[0]}",
        better="better",
    )
    draw = draw_method_strips if stripped else draw_task_rows
    return in_both_forms(partial(draw, rows))


def _null(t: ArmTables, drawn: Sequence[pd.DataFrame]) -> float:
    """The reach of the band of chance: of STL' on the tasks that a drawn method or STL learned."""
    if t.null_arm is None:
        return 0.0
    of_twin = t.verdicts[t.null_arm]
    learned = [task for rows in drawn for task in rows["task"][rows["verdict"] != NOT_LEARNED]]
    kept = of_twin[of_twin["task"].isin(learned)] if learned else of_twin
    reach = float(kept["delta"].abs().quantile(0.95))
    return 0.0 if np.isnan(reach) else reach


def _about(t: ArmTables, arms: Sequence[Arm], with_intervals: bool) -> str:
    """Who is compared with whom, in what."""
    sign = " (sign turned)" if t.sign_turned else ""
    names = " and ".join(filter(None, [", ".join(map(arm_label, arms[:-1])), arm_label(arms[-1])]))
    names = names if len(arms) <= MOST_PANELS else "Every task under every method"
    ends = ", with 95% intervals" if with_intervals and t.runs > 1 else ""
    return f"{names}: difference from {t.baseline[0]} in {t.metric}{sign}{ends}"


def _order(
    t: ArmTables, first: Arm, tasks: Sequence[str], groups: Mapping[str, str] | None
) -> np.ndarray:
    """The order of the rows: by group as the data have them, else from the most harmed task on.

    Rows are sorted by plain MTL where it is there, so that a slider leaves them in their places. A
    strip of many tasks is sorted by the first method that it shows.
    """
    if groups is not None and len(tasks) <= MOST_ROWS:
        kinds = list(dict.fromkeys(groups.values()))
        return np.argsort([kinds.index(groups[task]) for task in tasks], kind="stable")
    fixed = PLAIN_MTL if PLAIN_MTL in t.verdicts and len(tasks) <= MOST_ROWS else first
    return np.argsort(t.verdicts[fixed]["delta"].to_numpy(), kind="stable")


def _panel(t: ArmTables, arm: Arm, order: np.ndarray) -> Panel:
    rows, whole = t.verdicts[arm].iloc[order], t.overall[arm]
    delta, low, high = (rows[name].to_numpy() for name in ("delta", "low", "high"))
    return Panel(
        method=arm_label(arm),
        colour=method_styles(t.methods)[arm[0]].colour,
        delta=delta,
        low=np.where(np.isfinite(low), low, delta),  # one run has no interval
        high=np.where(np.isfinite(high), high, delta),
        verdicts=tuple(rows["verdict"]),
        mean=(whole["delta"], *_ends(whole)) if has_mean(t, arm) else None,
        problem="" if t.scored_tasks(arm) else t.why_unscored(arm),
    )


def _ends(whole: dict) -> tuple[float, float]:
    known = np.isfinite(whole["low"])
    return (whole["low"], whole["high"]) if known else (whole["delta"], whole["delta"])


def _margins(study: Study, tasks: Sequence[str], metric: str | None) -> np.ndarray:
    """The margin of every task; 0 where none is stated."""
    return np.array([study.margin.get(metric or study.metric[task], 0.0) for task in tasks])


def _axis_limits(
    verdicts: Sequence[pd.DataFrame], null: float, margins: np.ndarray
) -> tuple[float, float]:
    """Limits of the axis. One value far outside must not squeeze all others together.

    A value is far outside at eight times the 95% quantile, so that a few tasks that all methods
    harm are seen where they are. Tasks that are not learned may lie anywhere, so they have no say.
    """
    every = pd.concat(verdicts)
    learned = every[every["verdict"] != NOT_LEARNED]
    every = learned if len(learned) else every
    points = every["delta"].abs().dropna()
    least = max(null, margins.max(initial=0.0))
    usual = points.quantile(0.95, interpolation="lower" if len(points) >= FEW else "higher")
    far = 8 * max(usual if len(points) else 1.0, least, 1e-9)
    values = every[["delta", "low", "high"]].to_numpy()
    values = np.clip(values[np.isfinite(values)], -far, far)
    low, high = values.min(initial=-1.1 * least), values.max(initial=1.1 * least)
    pad = 0.03 * (high - low) or 1.0
    return float(low - pad), float(high + pad)
