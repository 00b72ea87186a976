"""Ratios within one run: contestants take turns, and every repeat gives a ratio of its own."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A line of the table: a ratio to a named baseline in every repeat, or another number."""

    what: str
    where: str
    values: Sequence[float]
    against: str
    target: str = ""
    note: str = ""

    def cells(self) -> list[str]:
        """The median, and the lowest and highest of the repeats; or why there are none."""
        if not self.values:
            return [self.what, self.where, "not run", self.note, self.against, self.target]
        low, high = min(self.values), max(self.values)
        spread = f"{low:.3g} to {high:.3g}" if len(self.values) > 1 else "one run"
        middle = f"{statistics.median(self.values):.3g}"
        return [self.what, self.where, middle, spread, self.against, self.target]


HEAD = ["what", "where", "median", "repeats", "against", "target"]


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as a Markdown table."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def in_turns(
    contestants: dict[str, Callable[[], float]], repeats: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds that every contestant says in every repeat, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(-warm_up, repeats):
        for name, contestant in contestants.items():
            taken = contestant()
            if repeat >= 0:
                seconds[name].append(taken)
    return seconds


def ratios(seconds: dict[str, list[float]], name: str, baseline: str) -> list[float]:
    """One contestant's seconds over the baseline's, repeat by repeat."""
    return [a / b for a, b in zip(seconds[name], seconds[baseline], strict=True)]
