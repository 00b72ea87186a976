"""A map of measured transfer: what every task gains or loses by sharing a network with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..study import Study
from ..study.sharing import measured_transfer
from .drawing import (
    HARMS,
    HELPS,
    INK,
    PAGE,
    TEXT_SIZE,
    Drawing,
    Form,
    add_axes,
    in_both_forms,
    shorten,
    without_formulas,
)
from .sheet import new_sheet

TRANSFER_COLOURS = LinearSegmentedColormap.from_list("transfer", [HARMS, "#FFFFFF", HELPS])
"""From red, which harms, to blue, which helps."""
CELL = 0.42  # inches
NAME_LETTERS = 12


def pair_map(study: Study, groups: Mapping[str, Sequence[str]] | None = None) -> Drawing:
    """Draw what every task (column) gains or loses by every partner (row).

    Blue helps and red harms. A dot marks a difference that passes the test over all pairs. A black
    frame holds the pairs of a group, and the corner of a task and itself is grey. The figure has a
    second form for phones (see `Drawing`).

    Args:
        study: a study with pairs (see `study.sharing.add_sharing`).
        groups: the tasks of every group by its name; without it, there are no frames.

    Raises:
        BadInput: a study without pairs.

    >>> from mtl_nt.study import stored
    >>> figure = pair_map(stored("expansionrx-time"), {"solubility": ("LogD", "KSOL")})
    >>> len(figure.axes)
    2
    """
    table, groups = measured_transfer(study), groups or {}
    shown = PairTable(
        title=_title(table, groups),
        caption=_words(table),
        foot=_foot(study),
        unit=f"{next(iter(study.metric.values()))} saved",
        table=table,
        tasks=tuple(_in_groups([str(task) for task in dict.fromkeys(table["partner"])], groups)),
        groups={name: tuple(members) for name, members in groups.items()},
    )
    return in_both_forms(partial(_draw_map, shown))


@dataclass(frozen=True)
class PairTable:
    """What `pair_map` shows."""

    title: str
    caption: str
    foot: str
    unit: str
    table: pd.DataFrame
    tasks: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]


def _draw_map(shown: PairTable, form: Form) -> Drawing:
    """Draw it; the scale of colours stands beside the map on a page, and below it on a phone."""
    page, scale, tasks = form is PAGE, form.text_size / TEXT_SIZE, shown.tasks
    wide = shown.table.pivot(index="partner", columns="task", values="delta").loc[
        [*tasks], [*tasks]
    ]
    reach = float(np.nanmax(np.abs(wide.to_numpy())))
    names = [shorten(task, NAME_LETTERS) for task in tasks]
    longest = 0.62 * form.small_size / 72 * max(map(len, names))  # inches
    slant, rise = (35, 0.7) if page or longest < 0.5 else (90, 1.0)
    left = 0.45 * scale + longest
    room = form.width - left - (2.4 if page else 0.45)
    side = min(CELL * len(tasks), room)
    head = 0.15 + rise * longest
    bar = 0.0 if page else 0.75
    about = "blue: the task of the column gains by the partner of the row; red: it loses; dot: "
    about += "passes the test over all pairs" + ("; frame: a natural group" * bool(shown.groups))
    words = shown.title, shown.caption, about, [shown.foot]
    sheet = new_sheet(*words, head + side + bar + 0.1, form)
    bottom = sheet.top - head - side
    ax = add_axes(sheet.figure, left, bottom, side, side)
    ax.set_facecolor("#D9D9D9")
    ax.imshow(wide.to_numpy(), cmap=TRANSFER_COLOURS, vmin=-reach, vmax=reach)
    _draw_dots(ax, shown.table, tasks, 5 * scale)
    _draw_frames(ax, tasks, shown.groups)
    ax.set_xticks(
        range(len(tasks)),
        names,
        size=form.small_size,
        rotation=slant,
        ha="left" if slant < 90 else "center",
    )
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(tasks)), names, size=form.small_size)
    ax.set_ylabel("trained together with", size=form.text_size, color=INK)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if page:
        strip = add_axes(sheet.figure, left + side + 0.55, bottom + side * 0.15, 0.18, side * 0.7)
    else:
        strip = add_axes(sheet.figure, left, sheet.bottom + 0.3, side, 0.13)
    colours = ScalarMappable(Normalize(-reach, reach), TRANSFER_COLOURS)
    way = "vertical" if page else "horizontal"
    bar_of = sheet.figure.colorbar(colours, cax=strip, format="%+.2f", orientation=way)
    bar_of.locator = MaxNLocator(5)
    strip.tick_params(labelsize=form.small_size)
    strip.set_title(shown.unit, size=form.small_size, loc="left", pad=10 if page else 4)
    without_formulas(sheet.figure)
    return sheet.figure


def _in_groups(tasks: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The tasks, those of a group together."""
    first = [task for members in groups.values() for task in members if task in tasks]
    return [*first, *(task for task in tasks if task not in first)]


def _draw_dots(ax: Axes, table: pd.DataFrame, tasks: Sequence[str], size: float) -> None:
    decided = table[table["verdict"].isin(["harmed", "helped"])]
    x = [tasks.index(task) for task in decided["task"]]
    y = [tasks.index(partner) for partner in decided["partner"]]
    ax.plot(x, y, "o", ms=size, color=INK, mew=0)


def _draw_frames(ax: Axes, tasks: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
    for members in groups.values():
        places = sorted(tasks.index(task) for task in members if task in tasks)
        if len(places) > 1:
            size = places[-1] - places[0] + 1
            corner = (places[0] - 0.5, places[0] - 0.5)
            ax.add_patch(Rectangle(corner, size, size, fill=False, color=INK, lw=2))


def _title(table: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> str:
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in ("helped", "harmed")}
    said = f"Of {len(table)} ways to give a task one partner, {counts['helped']} help it and "
    said += f"{counts['harmed']} harm it"
    if not groups:
        return said
    natural = is_natural(table, groups)
    inside, outside = table[natural]["delta"].mean(), table[~natural]["delta"].mean()
    return f"{said}; natural partners give {inside:+.3f}, others {outside:+.3f}"


def is_natural(table: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.Series:
    """Whether partner and task of every row are of one group.

    >>> table = pd.DataFrame({"partner": ["a", "a"], "task": ["b", "c"]})
    >>> is_natural(table, {"one": ["a", "b"], "two": ["c"]}).tolist()
    [True, False]
    """
    of_task = {task: name for name, members in groups.items() for task in members}
    partner = table["partner"].map(lambda task: of_task.get(task, task))
    return partner == table["task"].map(lambda task: of_task.get(task, task))


def _words(table: pd.DataFrame) -> str:
    ordered = table.sort_values("delta")
    worst, best = ordered.iloc[0], ordered.iloc[-1]
    return (
        f"The largest gain is {best['delta']:+.3f}, of {best['task']} by {best['partner']}. The "
        f"largest loss is {worst['delta']:+.3f}, of {worst['task']} by {worst['partner']}."
    )


def _foot(study: Study) -> str:
    runs = study.results["seed"].nunique()
    name = study.results["dataset"].iloc[0]
    steps = f", {study.recipe.steps} steps" if study.recipe is not None else ""
    return f"{name}, {runs} runs{steps}; each pair has one network, compared with single-task ones"
