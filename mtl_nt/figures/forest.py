"""A forest plot: numbers with their intervals, one below the other, beside a line at zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import is_color_like

from ..errors import BadInput, is_finite_number
from .drawing import HARMS, HELPS, INK, Drawing, in_both_forms, shorten
from .row_numbers import decimals_of, number_text, own_decimals
from .task_rows import Panel, TaskRows, draw_task_rows

COLUMNS = ("mean", "low", "high")
MOST_SAID = 20  # rows that the caption says in words


def forest(
    rows: Mapping[str, Sequence[Any] | Mapping[str, Any]] | pd.DataFrame,
    title: str,
    about: str = "",
    foot: str = "",
    worse: str = "worse",
    better: str = "better",
) -> Drawing:
    """Numbers with their intervals, in place of a list of "a ± b".

    Each row has a name, a mark at its mean and a line from low to high. Above 0 is better. An
    interval above 0 is blue, one below 0 is red, and a mark whose interval holds 0 is open. The
    figure has a second form for phones (see `Drawing`).

    Args:
        rows: name -> (mean, low, high), or a mapping or table with the columns mean, low and high,
            and the names as its index. Two more columns are optional: "group" puts rows under
            headings, in their order, and "colour" is a row's own, such as that of its method. A
            mean of NaN is a row without a mark. Ends of NaN are a number without an interval, such
            as one that a paper reports: its mark is a diamond.
        title: the message.
        about: what is compared with what, in which unit; it stands below the title.
        foot: the small print: data, runs, settings.
        worse, better: what stands at the ends of the axis. Red and blue mean harm and help. So
            other words for "better" are black where the rows have colours of their own.

    Raises:
        BadInput: no rows, a row without three numbers, an interval that does not hold its mean.

    >>> gains = {"LBTW 0.5": (0.004, -0.001, 0.009), "permuted once": (-0.006, -0.008, -0.004)}
    >>> figure = forest(gains, "LBTW gains nothing that chance could not give")
    >>> figure.caption
    'LBTW 0.5: +0.0040 [−0.0010, +0.0090]; permuted once: −0.0060 [−0.0080, −0.0040].'
    """
    table = _table(rows)
    mean, low, high = (table[name].to_numpy(dtype=float) for name in COLUMNS)
    verdicts = np.where(low > 0, "helped", np.where(high < 0, "harmed", "undecided"))
    alone = np.isfinite(mean) & np.isnan(low) & np.isnan(high)
    groups = tuple(table["group"]) if "group" in table else ()
    own = tuple(table["colour"]) if "colour" in table else ()
    sign = {"helped": HELPS, "harmed": HARMS, "undecided": INK}
    colours = own or tuple(sign[verdict] for verdict in verdicts)
    ends = np.concatenate([[0.0], low, high, mean])
    ends = ends[np.isfinite(ends)]
    pad = 0.05 * float(np.ptp(ends)) or 1.0
    holds = (verdicts == "undecided") & np.isfinite(mean) & ~alone
    marks = ["Open: the interval holds 0."] if holds.any() else []
    marks += ["Diamond: a number without an interval."] if alone.any() else []
    shown = TaskRows(
        title=title,
        caption="",
        about=about,
        foot=(foot, " ".join(marks)),
        names=tuple(map(str, table.index)),
        groups=groups,
        headed=True,
        panels=(
            Panel(
                *("", INK, mean, low, high, tuple(verdicts), None),
                colours=colours,
                alone=tuple(map(bool, alone)),
            ),
        ),
        limits=(float(ends.min()) - pad, float(ends.max()) + pad),
        null=0.0,
        null_words="",
        margins=np.zeros(len(table)),
        worse=worse,
        better=better,
        with_legend=False,
        judged=not own or better == "better",
    )
    shown = replace(shown, caption=_words(table, decimals_of(shown)))
    return in_both_forms(partial(draw_task_rows, shown))


def _table(rows: Mapping[str, Sequence[Any] | Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """The rows as a checked table, those of a group together."""
    if isinstance(rows, pd.DataFrame):
        table = rows.copy()
    else:
        every = {
            name: row if isinstance(row, Mapping) else dict(zip(COLUMNS, row, strict=False))
            for name, row in rows.items()
        }
        table = pd.DataFrame.from_dict(every, orient="index")
        table = table.loc[list(every)]
    if not len(table):
        raise BadInput("forest: no rows; give at least one name with its mean, low and high")
    if missing := [name for name in COLUMNS if name not in table]:
        raise BadInput(f"forest: the rows have no {', '.join(missing)}; give mean, low and high")
    for name, *numbers in table[[*COLUMNS]].itertuples(name=None):
        label = shorten(name, 40)
        if not all(isinstance(v, float) and np.isnan(v) or is_finite_number(v) for v in numbers):
            raise BadInput(f"forest: row {label!r} has no three numbers; give mean, low and high")
        mean, low, high = numbers
        if low > mean or high < mean:
            raise BadInput(f"forest: row {label!r} has a mean outside of its interval")
    if "group" in table:
        table = table.assign(group=table["group"].fillna("other").astype(str))
        places = {group: k for k, group in enumerate(dict.fromkeys(table["group"]))}
        table = table.iloc[np.argsort(table["group"].map(places).to_numpy(), kind="stable")]
    if "colour" in table:
        table = table.assign(colour=table["colour"].fillna(INK))
        if bad := next((c for c in table["colour"] if not is_color_like(c)), None):
            raise BadInput(f"forest: {bad!r} is no colour; give one such as '#0072B2'")
    return table


def _words(table: pd.DataFrame, usual: int) -> str:
    """The rows in words, by group, with as many decimals as stand beside the rows."""

    def said(name: object, mean: float, low: float, high: float) -> str:
        if np.isnan(mean):
            return f"{shorten(name, 40)}: no value"
        decimals = own_decimals(mean, low, high, usual)
        words = f"{shorten(name, 40)}: {number_text(mean, decimals)}"
        ends = [number_text(end, decimals) for end in (low, high)]
        return words if np.isnan(low) and np.isnan(high) else f"{words} [{', '.join(ends)}]"

    shown = table.iloc[:MOST_SAID]
    groups = shown["group"] if "group" in shown else pd.Series("", shown.index)
    found: dict[str, list[str]] = {}
    for group, row in zip(groups, shown[[*COLUMNS]].itertuples(name=None), strict=True):
        found.setdefault(str(group), []).append(said(*row))
    left = len(table) - len(shown)
    if left:
        found[[*found][-1]].append(f"and {left} more")
    parts = [
        (f"{shorten(group, 60)}. " if group else "") + "; ".join(rows) + "."
        for group, rows in found.items()
    ]
    return " ".join(parts)
