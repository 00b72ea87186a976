"""The weight matrix W of every method, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ..errors import BadInput
from ..study import Study
from .drawing import (
    GREY,
    INK,
    PAGE,
    TEXT_SIZE,
    Drawing,
    Form,
    add_axes,
    in_both_forms,
    label_width,
    shorten,
)
from .sheet import new_sheet
from .tables import Arm, ArmTables, arm_label, arm_tables, scope_line
from .weights import mean_weights

MOST_NAMED = 12  # up to so many tasks, they have names, and weights have numbers
DARKEST = 2.0  # times a row's mean: weights above it are no darker
SHADES = "Blues"
ROWS_WORD = "Every row is scaled to a mean of 1, since a common factor hardly matters to Adam."


@dataclass(frozen=True)
class WeightMap:
    """What `weight_matrix` shows."""

    title: str
    caption: str
    foot: str
    tasks: tuple[str, ...]
    square: dict[str, Float[np.ndarray, "R T"]]  # by the method's name, scaled
    below: tuple[str, ...]  # what stands below each of them
    flat: dict[str, Float[np.ndarray, " T"]]  # methods with one network, scaled
    means: tuple[float, ...]  # of their rows, before the scaling


def weight_matrix(
    study: Study, methods: Sequence[str] | None = None, alpha: float | None = None
) -> Drawing:
    """The weight matrix W of every method, as the mean over training and runs.

    Rows are networks, and columns are tasks. A method that trains one network per task has a panel
    of its own; a method that trains one network has one row. Every row is scaled to a mean of 1,
    so that methods with large weights can be told apart; the mean before that stands beside the
    row. The figure has a second form for phones (see `Drawing`).

    Args:
        methods: by default all methods of the study that train a network.
        alpha: the alpha of the methods that have one; by default the middle one of each.

    Raises:
        BadInput: an unknown method or alpha; a study without weights.

    >>> from mtl_nt.study import stored
    >>> weight_matrix(stored("cure-noisy"))  # which comes without the weights of training
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: this study has no weights: it trains no network, or none are kept
    """
    t = arm_tables(study)
    weighted = set(study.history["method"])
    if not weighted:
        raise BadInput("this study has no weights: it trains no network, or none are kept")
    names = [m for m in t.methods if m in weighted and not m.endswith("'")]
    arms = [t.find_arm(m, alpha) for m in (names if methods is None else dict.fromkeys(methods))]
    matrices = {arm: mean_weights(study, arm) for arm in arms}
    square = {a: w for a, w in matrices.items() if len(w) > 1}
    flat = {a: w[0] for a, w in matrices.items() if len(w) == 1}
    last = {a: _shows_last_stage(t, a, w) for a, w in square.items()}
    said = " ".join(_describe_matrix(t, a, w) for a, w in matrices.items())
    shown = WeightMap(
        title=_title_of_matrices(matrices),
        caption=f"{said} {ROWS_WORD}",
        foot=scope_line(study, t),
        tasks=tuple(str(name) for name in study.history["task"].unique()),
        square={arm_label(a): scaled_rows(w) for a, w in square.items()},
        below=tuple("last stage" if last[a] else "tasks" for a in square),
        flat={arm_label(a): scaled_rows(w) for a, w in flat.items()},
        means=tuple(float(w.mean()) for w in flat.values()),
    )
    return in_both_forms(partial(_draw_map, shown))


def scaled_rows(weights: Float[np.ndarray, "*R T"]) -> Float[np.ndarray, "*R T"]:
    """The weights with every row scaled to a mean of 1; a row of zeros stays.

    >>> scaled_rows(np.array([[2.0, 6.0], [0.0, 0.0]])).tolist()
    [[0.5, 1.5], [0.0, 0.0]]
    """
    mean = weights.mean(-1, keepdims=True)
    return np.asarray(weights / np.where(mean > 0, mean, 1.0))


def _draw_map(shown: WeightMap, form: Form) -> Drawing:
    scale, page, many = form.text_size / TEXT_SIZE, form is PAGE, len(shown.square)
    columns, gap = min(many, 4 if page else 2) or 1, 0.25 * scale
    side = min(2.1 * scale, (form.width - 0.5 * scale) / columns - gap)
    panel, stacked = side + 0.62 * scale, -(-many // columns)
    strips = _strip_layout(shown, form)
    legend = 0.28 * scale * (1 if page else 2)
    body = stacked * panel + strips.height + legend + 0.08
    sheet = new_sheet(shown.title, shown.caption, ROWS_WORD, [shown.foot], body, form)
    for k, (name, matrix) in enumerate(shown.square.items()):
        line, column = divmod(k, columns)
        bottom = sheet.top - line * panel - side - 0.28 * scale
        ax = add_axes(sheet.figure, 0.4 * scale + column * (side + gap), bottom, side, side)
        _draw_matrix(ax, matrix, name)
        ax.spines[:].set_visible(True)
        text: dict[str, Any] = {"size": form.text_size, "parse_math": False}
        label = shorten(name, int(side / (0.62 * form.text_size / 72)))
        ax.text(0, 1 + 0.12 * scale / side, label, transform=ax.transAxes, **text)
        ax.set_xlabel(shown.below[k], size=form.small_size, loc="left", labelpad=2)
        ax.set_ylabel("" if column else "networks", size=form.small_size, labelpad=2)
    if shown.flat:
        bottom = sheet.bottom + legend + strips.names
        ax = add_axes(sheet.figure, strips.left, bottom, strips.wide, strips.tall)
        _draw_strips(ax, shown, strips, form)
    steps = {"0": 0.0, "0.5": 0.5, "1, as in MTL": 1.0, "1.5": 1.5, "2 or more": DARKEST}
    shades = [Patch(fc=colormaps[SHADES](v / DARKEST), ec=GREY) for v in steps.values()]
    sheet.add_legend(shades, [*steps], 5 if page else 3)
    return sheet.figure


@dataclass(frozen=True)
class _Strips:
    """Inches that the rows of methods with one network take, and how the tasks are named."""

    left: float
    wide: float
    tall: float
    names: float  # below the rows
    head: float  # above them
    named: bool
    turned: bool  # names that are too long for their columns

    @property
    def height(self) -> float:
        return self.tall + self.names + self.head


def _strip_layout(shown: WeightMap, form: Form) -> _Strips:
    if not shown.flat:
        return _Strips(0, 0, 0, 0, 0, False, False)
    scale, letter = form.text_size / TEXT_SIZE, 0.62 * form.small_size / 72
    left, named = 0.15 + label_width(shown.flat, form), len(shown.tasks) <= MOST_NAMED
    wide = form.width - left - 0.05 - 0.62 * scale  # the last is the column of the means
    longest = max(len(shorten(name, 12)) for name in shown.tasks)
    turned = named and longest * letter > wide / len(shown.tasks)
    names = 0.75 * letter * longest + 0.12 * scale if turned else 0.28 * scale
    return _Strips(left, wide, 0.36 * scale * len(shown.flat), names, 0.26 * scale, named, turned)


def _draw_strips(ax: Axes, shown: WeightMap, strips: _Strips, form: Form) -> None:
    """The methods with one network, one row each, with the means of their rows beside them."""
    stack, many = np.array([*shown.flat.values()]), len(shown.tasks)
    wide, tall, scale = strips.wide, strips.tall, form.text_size / TEXT_SIZE
    _draw_matrix(ax, stack, "one network")
    ax.hlines(np.arange(len(stack) - 1) + 0.5, -0.5, many - 0.5, color="white", lw=3)
    beside: dict[str, Any] = {
        "transform": ax.get_yaxis_transform(),
        "va": "center",
        "parse_math": False,
    }
    for row, (name, mean) in enumerate(zip(shown.flat, shown.means, strict=True)):
        label = shorten(name, form.name_letters)
        ax.text(-0.08 / wide, row, label, size=form.text_size, ha="right", gid="name", **beside)
        ax.text(1 + 0.08 / wide, row, f"{mean:.2g}", size=form.small_size, color=GREY, **beside)
    above: dict[str, Any] = {"transform": ax.transAxes, "va": "center", "color": GREY}
    top = 1 + 0.13 * scale / tall
    ax.text(1 + 0.5 * scale / wide, top, "mean", size=form.small_size, ha="right", **above)
    ax.set_frame_on(False)
    if not strips.named:
        ax.set_xlabel(f"{many} tasks", size=form.small_size, labelpad=3)
        return
    turned = {"rotation": 0, "ha": "center", "va": "top"}
    if strips.turned:
        turned = {"rotation": 40, "ha": "right", "va": "top", "rotation_mode": "anchor"}
    below = ax.get_xaxis_transform()
    for x, task in enumerate(shown.tasks):
        place: dict[str, Any] = {"x": x, "y": -0.06 * scale / tall, "transform": below, **turned}
        ax.text(s=shorten(task, 12), size=form.small_size, parse_math=False, **place)
    room = wide / many / (0.62 * form.small_size / 72)  # letters of a number that fit
    for (y, x), v in np.ndenumerate(stack):
        number = f"{v:.2f}" if room > 4 else f"{v:.1f}" if room > 3.2 else ""
        ink = "white" if v > 1.25 else INK
        ax.text(x, y, number, size=form.small_size, ha="center", va="center", color=ink)


def _draw_matrix(ax: Axes, matrix: Float[np.ndarray, "R T"], name: str) -> None:
    """Draw weights from 0 (white) to twice their row's mean or more (dark blue)."""
    look: dict[str, Any] = {"cmap": SHADES, "vmin": 0, "vmax": DARKEST}
    ax.imshow(matrix, interpolation="nearest", aspect="auto", gid=name, **look)
    ax.set_xticks([])
    ax.set_yticks([])


def _describe_matrix(t: ArmTables, arm: Arm, matrix: Float[np.ndarray, "R T"]) -> str:
    """One sentence: how many networks, and how far their weights differ."""
    many = f"{len(matrix)} network{'s' if len(matrix) > 1 else ''}"
    stage = " (the last stage)" if _shows_last_stage(t, arm, matrix) else ""
    kind = f"weights {matrix.min():.2g} to {matrix.max():.2g}"
    kind = (
        "the identity" if _is_identity(matrix) else "all ones" if np.allclose(matrix, 1) else kind
    )
    return f"{arm_label(arm)}: {many}{stage}, {kind}."


def _shows_last_stage(t: ArmTables, arm: Arm, matrix: Float[np.ndarray, "R T"]) -> bool:
    """Whether more networks were trained than there are rows: these are those of the last stage."""
    return t.counts[arm]["networks"] > len(matrix)


def _title_of_matrices(matrices: dict[Arm, Float[np.ndarray, "R T"]]) -> str:
    """What tells the methods apart: identity, ones, and the widest range of weights."""
    separate = [a for a, w in matrices.items() if _is_identity(w)]
    ones = [a for a, w in matrices.items() if a not in separate and np.allclose(w, 1)]
    others = [a for a in matrices if a not in separate + ones]
    said = []
    if separate:
        said.append(f"One task per network: {' and '.join(map(arm_label, separate))}")
    if ones:
        said.append(f"all alike: {' and '.join(map(arm_label, ones))}")
    if others:
        one = {a: scaled_rows(matrices[a]) for a in others if len(matrices[a]) == 1}
        several = one or {a: scaled_rows(matrices[a]) for a in others}
        far = max(several, key=lambda a: np.ptp(several[a]))
        ends = f"{several[far].min():.2g} to {several[far].max():.2g}"
        said.append(f"{arm_label(far)} weighs tasks from {ends} times their mean")
    claim = "; ".join(said)
    return claim[:1].upper() + claim[1:]


def _is_identity(matrix: Float[np.ndarray, "R T"]) -> bool:
    """Whether every network trains on its own task alone."""
    return len(matrix) > 1 and np.allclose(matrix, np.eye(len(matrix), matrix.shape[1]))
