"""The numbers beside rows of tasks: their decimals, their colours and how wide they are."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .drawing import GREY, INK, text_inches
from .verdicts import VERDICT_COLOURS

if TYPE_CHECKING:
    from .task_rows import Panel, TaskRows


class Number(NamedTuple):
    """A mean difference as it stands beside its row."""

    text: str
    colour: str
    bold: bool

    def before_point(self, size: float) -> float:
        """How wide it is before its decimal point, in inches, in letters of so many points."""
        return text_inches(self.text.partition(".")[0], size, self.bold)

    def after_point(self, size: float) -> float:
        """How wide the rest of it is."""
        return text_inches(self.text, size, self.bold) - self.before_point(size)


def row_numbers(rows: TaskRows, panel: Panel, named: Sequence[int]) -> list[Number]:
    """The numbers of these rows of a panel, and that of the mean over tasks if it has one."""
    found, usual = [], decimals_of(rows)
    colours = panel.colours or [VERDICT_COLOURS[verdict] for verdict in panel.verdicts]
    for k in named:
        decided, mean = panel.verdicts[k] in ("harmed", "helped"), panel.delta[k]
        said = number_text(mean, own_decimals(mean, panel.low[k], panel.high[k], usual))
        found.append(Number(said, colours[k] if decided else GREY, decided))
    if panel.mean is not None and len(panel.delta) > 1:
        said = number_text(panel.mean[0], own_decimals(*panel.mean, usual))
        found.append(Number(said, INK, False))
    return found


def decimals_of(rows: TaskRows) -> int:
    """So many decimals that the largest difference within the axis has two digits at least.

    A number that is nearly 0 may have more of its own (`own_decimals`).
    """
    shown = np.concatenate([panel.delta[np.isfinite(panel.delta)] for panel in rows.panels])
    largest = min(np.abs(shown).max(initial=0.0), max(map(abs, rows.limits)))
    return int(np.clip(1 - floor(log10(largest)), 0, 6)) if largest > 0 else 2


def own_decimals(mean: float, low: float, high: float, usual: int) -> int:
    """The decimals of a number with an interval: those of the picture, or more if it needs them.

    A number that is nearly 0 beside the largest one gets as many as its own interval lets it have,
    which are those of the first digit of half of it, or of two digits where the first is 1.

    Args:
        usual: the decimals of the picture. No number has over two more.

    >>> own_decimals(-13, -15, -11, 0), own_decimals(0.3, -0.4, 0.9, 0)
    (0, 1)
    >>> own_decimals(-0.0053, -0.0075, -0.0031, 2), own_decimals(0.003, -0.2, 0.2, 2)
    (3, 2)
    """
    half = (high - low) / 2
    if not abs(mean) < 10.0**-usual or not 0 < half < np.inf:
        return usual
    return int(np.clip(ceil(-log10(half / 2) - 1e-9), usual, min(usual + 2, 6)))


def number_text(value: float, decimals: int) -> str:
    """A number as it stands beside its row.

    >>> number_text(-0.0123, 3), number_text(0.0001, 3)
    ('−0.012', '0.000')
    """
    if not np.isfinite(value):
        return "–"
    said = f"{value:+.{decimals}f}"
    return said.replace("-", "−") if float(said) else said[1:]
