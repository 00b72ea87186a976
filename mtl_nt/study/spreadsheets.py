"""Tables as CSV that a spreadsheet can open safely.

A spreadsheet takes a text such as `=1+1` for a formula, and runs it. So an apostrophe is put in
front of every such text, headings included. Numbers stay numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

FORMULA = re.compile(r"'*(?:[\t\r]|[\s\x00-\x1f\x7f\u200b-\u200f\ufeff]*[=+\-@＝＋－＠])")


def safe_csv(table: pd.DataFrame, digits: int) -> str:
    """Write a table as CSV, without texts that a spreadsheet would take for formulas.

    Args:
        table: the table; its index is left out.
        digits: the number of significant digits of every number.

    >>> print(safe_csv(pd.DataFrame({"task": ["=1+1", "a=1"], "value": [-0.5, 1]}), 3), end="")
    task,value
    '=1+1,-0.5
    a=1,1
    """
    guarded = _map_texts(table, _guard)
    return guarded.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")


def restore_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Undo what `safe_csv` did to the texts of a table that was read from its CSV.

    >>> restore_texts(pd.DataFrame({"task": ["'=1+1", "a=1"]}))["task"].tolist()
    ['=1+1', 'a=1']
    """
    return _map_texts(table, _restore)


def _map_texts(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    return table.assign(**{c: table[c].map(change) for c in texts}).rename(columns=change)


def _guard(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _restore(value: Any) -> Any:
    """A guarded text is an apostrophe and a text that `_guard` changes."""
    if isinstance(value, str) and value[:1] == "'" and FORMULA.match(value[1:]):
        return value[1:]
    return value
