"""Which cells stand for a missing value, by the user's option `missing`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from jaxtyping import Float

from ..errors import BadInput
from .sheets import quoted

ColumnNames = str | Sequence[str | float]


class MissingValues:
    """The cells that the user calls empty.

    Args:
        where: the name of the file, which begins every message.
        given: values such as -999 or "ND", as a list or as one text with commas. `*` stands for any
            characters. "age=9" means the value 9 of column age alone, and the column may be a
            pattern, too.
        names: the names of the table's columns.

    Raises:
        BadInput: a value that is no number and no text, or none at all.

    >>> missing = MissingValues("my.csv", "-999,y_*=-1", ["a", "y_1"])
    >>> missing.emptied("a", np.array([-999.0, -1.0])), missing.emptied("y_1", np.array([-1.0]))
    (array([nan, -1.]), array([nan]))
    """

    def __init__(self, where: str, given: ColumnNames, names: Sequence[str]) -> None:
        self.where = where
        if isinstance(given, str):
            given = [word for word in map(str.strip, given.split(",")) if word]
        good = isinstance(given, Sequence) and all(
            isinstance(v, (str, int, float)) and not isinstance(v, bool) for v in given
        )
        if not good:
            raise BadInput(f"{where}: missing {quoted(given)}: give values such as -999 or ND")
        self.rules: list[tuple[str, str, str, float]] = []  # as given, columns, text, number
        for value in given:
            word = f"{value:.17g}" if isinstance(value, float) else str(value)
            columns, equals, text = word.partition("=")
            if not equals or not any(fnmatchcase(name, columns) for name in names):
                columns, text = "*", word
            self.rules.append((word, columns, text.strip(), _number(text)))
        self.counts: Counter[tuple[str, str]] = Counter()  # of cells, by rule and column

    def emptied(self, name: str, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return a column of numbers with NaN where a cell is called empty."""
        for word, columns, _, number in self.rules:
            if not math.isnan(number) and fnmatchcase(name, columns):
                hit = values == number
                if hit.any():
                    self.counts[word, name] += int(hit.sum())
                    values = np.where(hit, np.nan, values)
        return values

    def covers(self, name: str, text: str) -> str | None:
        """Return the rule that calls this text of a column empty, or None."""
        for word, columns, pattern, _ in self.rules:
            if fnmatchcase(name, columns) and fnmatchcase(text.strip(), pattern):
                return word
        return None

    def count(self, rule: str, name: str, cells: int) -> None:
        """Count cells of a column that a rule has emptied."""
        self.counts[rule, name] += cells

    def check_used(self) -> None:
        """Raise `BadInput` where a value is in no cell that was read."""
        used = {word for word, _ in self.counts}
        for word, *_ in self.rules:
            if word not in used:
                raise BadInput(f"{self.where}: missing: no cell of a target or feature is {word!r}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
