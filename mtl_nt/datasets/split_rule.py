"""What a user's option `split` means: a column of the table, or a way to split its rows."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..errors import BadInput
from .sheets import quoted
from .table_files import Sheet


class SplitRule(NamedTuple):
    """How the rows of a table are split.

    Attributes:
        kind: "folds" at random, "scaffold" for folds of whole scaffolds, "column" for what a column
            says, or "time" for the last rows of a column of times as the test.
        column: the column of the split or of the times.
        group: the column whose equal values share a fold.
        asked: whether the user has asked for folds at random.
    """

    kind: Literal["folds", "scaffold", "column", "time"]
    column: str | None
    group: str | None
    asked: bool


def parse_split(
    sheet: Sheet, split: str | None, group: str | None, smiles: str | None
) -> SplitRule:
    """Parse the option `split` of a table.

    Args:
        sheet: the table.
        split: a column, or "random", "scaffold", "time:COLUMN" or "group:COLUMN".
        group: the option `group`.
        smiles: the option `smiles`.

    Raises:
        BadInput: a group beside a split that has no folds, or scaffolds without SMILES.

    >>> from types import SimpleNamespace
    >>> parse_split(SimpleNamespace(where="my.csv", names=("day", "y")), "time:day", None, None)
    SplitRule(kind='time', column='day', group=None, asked=True)
    """
    where, text = sheet.where, str(split)
    kind, colon, column = text.partition(":")
    if split is None:
        return SplitRule("folds", None, group, asked=False)
    if group is not None and (kind in ("time", "group") or text in sheet.names):
        raise BadInput(f"{where}: give group or split; a split column says all by itself")
    if text not in sheet.names:
        if text == "random":
            return SplitRule("folds", None, group, asked=True)
        if text == "scaffold":
            if smiles is None:
                raise BadInput(f"{where}: --split scaffold needs --smiles, a column of molecules")
            return SplitRule("scaffold", None, group, asked=True)
        if colon and kind == "group":
            return SplitRule("folds", None, column, asked=False)
        if colon and kind == "time":
            return SplitRule("time", column, None, asked=True)
        if not isinstance(split, str) or text in ("time", "group") or colon:
            raise BadInput(
                f"{where}: split {quoted(split)}: give a column, or random, scaffold, time:COLUMN "
                "or group:COLUMN"
            )
    if group is not None:
        raise BadInput(f"{where}: give group or split; a split column says all by itself")
    return SplitRule("column", text, None, asked=True)
