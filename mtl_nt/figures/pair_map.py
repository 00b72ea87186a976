"""A map of measured transfer: what every task gains or loses by sharing a network with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..study import Study
from ..study.sharing import measured_transfer
from .drawing import (
    GREY,
    HARMS,
    HELPS,
    INK,
    SMALL_SIZE,
    TEXT_SIZE,
    add_axes,
    new_figure,
    shorten,
    without_formulas,
)

TRANSFER_COLOURS = LinearSegmentedColormap.from_list("transfer", [HARMS, "#FFFFFF", HELPS])
"""From red, which harms, to blue, which helps."""
CELL = 0.42  # inches
NAME_LETTERS = 12


def pair_map(study: Study, groups: Mapping[str, Sequence[str]] | None = None) -> Figure:
    """Draw what every task (column) gains or loses by every partner (row).

    Blue helps and red harms. A dot marks a difference that passes the test over all pairs. A black
    frame holds the pairs of a group, and the corner of a task and itself is grey.

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
    table = measured_transfer(study)
    tasks = [str(task) for task in dict.fromkeys(table["partner"])]
    tasks = _in_groups(tasks, groups or {})
    wide = table.pivot(index="partner", columns="task", values="delta").loc[tasks, tasks]
    reach = float(np.nanmax(np.abs(wide.to_numpy())))
    side = CELL * len(tasks)
    left, bottom = 1.35, 0.55
    figure = new_figure(
        side + bottom + 1.6, _title(table, groups or {}), _words(table), _foot(study)
    )
    ax = add_axes(figure, left, bottom, side, side)
    ax.set_facecolor("#D9D9D9")
    ax.imshow(wide.to_numpy(), cmap=TRANSFER_COLOURS, vmin=-reach, vmax=reach)
    _draw_dots(ax, table, tasks)
    _draw_frames(ax, tasks, groups or {})
    names = [shorten(task, NAME_LETTERS) for task in tasks]
    ax.set_xticks(range(len(tasks)), names, size=SMALL_SIZE, rotation=35, ha="left")
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(tasks)), names, size=SMALL_SIZE)
    ax.set_ylabel("trained together with", size=TEXT_SIZE, color=INK)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    scale = add_axes(figure, left + side + 0.55, bottom + side * 0.15, 0.18, side * 0.7)
    figure.colorbar(
        ScalarMappable(Normalize(-reach, reach), TRANSFER_COLOURS), cax=scale, format="%+.2f"
    )
    scale.tick_params(labelsize=SMALL_SIZE)
    scale.set_title(f"{study.metric[tasks[0]]} saved", size=SMALL_SIZE, loc="left", pad=10)
    note = "blue: the task of\nthe column gains\nby that partner\n\n"
    note += "dot: passes the\ntest over all pairs"
    if groups:
        note += "\n\nframe: a natural\ngroup"
    figure.text(
        (left + side + 1.35) / 8.0,
        (bottom + side * 0.5) / figure.get_figheight(),
        note,
        size=SMALL_SIZE,
        va="center",
        color=GREY,
    )
    return without_formulas(figure)


def _in_groups(tasks: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The tasks, those of a group together."""
    first = [task for members in groups.values() for task in members if task in tasks]
    return [*first, *(task for task in tasks if task not in first)]


def _draw_dots(ax: Axes, table: pd.DataFrame, tasks: Sequence[str]) -> None:
    decided = table[table["verdict"].isin(["harmed", "helped"])]
    x = [tasks.index(task) for task in decided["task"]]
    y = [tasks.index(partner) for partner in decided["partner"]]
    ax.plot(x, y, "o", ms=5, color=INK, mew=0)


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
