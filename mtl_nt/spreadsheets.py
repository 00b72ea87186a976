"""Tables as CSV. A spreadsheet that opens one takes a text such as `=1+1` for a formula and runs
it, so such a text, a heading too, gets an apostrophe in front. Numbers stay numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

FORMULA = re.compile(r"'*(?:[\t\r]|[\s\x00-\x1f\x7f\u200b-\u200f\ufeff]*[=+\-@＝＋－＠])")


def csv_of(table: pd.DataFrame, digits: int) -> str:
    """The table as CSV, its numbers with so many significant digits.

    >>> print(csv_of(pd.DataFrame({"task": ["=1+1", "a=1"], "value": [-0.5, 1]}), 3), end="")
    task,value
    '=1+1,-0.5
    a=1,1
    """
    guarded = _of_texts(table, _guarded)
    return guarded.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")


def unguarded(table: pd.DataFrame) -> pd.DataFrame:
    """A table that was read from what `csv_of` wrote, with the texts that it had."""
    return _of_texts(table, _bare)


def _of_texts(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    return table.assign(**{c: table[c].map(change) for c in texts}).rename(columns=change)


def _guarded(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _bare(value: Any) -> Any:
    """Every text that was guarded is an apostrophe and what would be guarded."""
    if isinstance(value, str) and value[:1] == "'" and FORMULA.match(value[1:]):
        return value[1:]
    return value
