"""A table's file as a sheet: names of columns, and rows that come a piece at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from ..tasks import BadInput

CELLS, COLUMNS = 400_000_000, 50_000  # of a table; as float32, so many cells take 1.6 GB
UNPACKED = 8 * 2**30  # bytes of a file's content
EMPTY = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
"""Cells that say that there is nothing in them."""


class Texts(NamedTuple):
    """A column of texts: the number of every cell's text, -1 where the cell is empty."""

    codes: Int[np.ndarray, " n"]
    values: list[str]


Column = Float64[np.ndarray, " n"] | Texts


class Piece(NamedTuple):
    """Some rows of a table, and where in the file each of them is."""

    columns: Mapping[str, Column]
    at: Int[np.ndarray, " n"]


def shown(name: object, most: int = 40) -> str:
    """A name or a cell of somebody's in quotes, on one line, cut where it is long."""
    text = repr(str(name)[: most + 1])
    return text if len(text) <= most + 2 else f"{text[:most]}...{text[0]}"


def plain(words: object) -> str:
    """Foreign words in one short line."""
    text = " ".join(str(words).split())
    return text if len(text) <= 48 else f"{text[:48]}..."


def check_header(names: Sequence[str], where: str) -> None:
    """Raise `BadInput` where a column has no name or that of another, or they are too many."""
    if len(names) > COLUMNS:
        raise BadInput(f"{where}: {len(names):,} columns; {COLUMNS:,} at most, leave some out")
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise BadInput(
                f"{where}: column {number} of the header has no name; name it or drop the column"
            )
    name, often = Counter(names).most_common(1)[0]
    if often > 1:
        raise BadInput(f"{where}: {often} columns are named {shown(name)}; rename or drop one")


def check_cells(rows: int, columns: int, where: str) -> None:
    """Raise `BadInput` where a table of this size is too large."""
    if rows * columns > CELLS:
        raise BadInput(
            f"{where}: more than {CELLS:,} cells; leave out some of its {columns:,} columns, or "
            "some rows"
        )
