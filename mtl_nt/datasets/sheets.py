"""A table's file as a sheet: names of columns, and rows that come a piece at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from ..files import UNPACKED, check_regular
from ..tasks import BadInput

CELLS, COLUMNS = 400_000_000, 50_000  # of a table; as float32, so many cells take 1.6 GB
ROW, CELL = 200, 16  # bytes of memory that an audit takes for a row and for a cell, its runs' too
MEMORY, TIMES = 2**32, 32
"""A packed table may take so many bytes of memory, and more if these are at most so many times its
own: 100,000 x 2,200 cells may be few bytes, and many more are to be backed by the file's size."""
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


def check_cells(rows: int, columns: int, where: str, packed: int | None = None) -> None:
    """Raise `BadInput` where a table of this size is too large.

    Args:
        packed: bytes of its file, where it may have many times as many cells.
    """
    if rows * columns > CELLS:
        raise BadInput(
            f"{where}: more than {CELLS:,} cells; leave out some of its {columns:,} columns, or "
            "some rows"
        )
    if packed is None:
        return
    taken = rows * (ROW + CELL * columns)
    if taken > max(MEMORY, TIMES * packed):
        raise BadInput(
            f"{where}: {packed:,} bytes for {rows:,} rows or more of {columns:,} columns, which "
            f"take {taken:,} bytes of memory; {MEMORY:,} at most, leave out columns or rows"
        )


def regular(path: Path, where: str, wanted: str, missing: str = "does not exist") -> os.stat_result:
    """What the system says about a file that a person has named.

    Args:
        where: what the message begins with.
        wanted: what to give instead.
        missing: what is said of none.

    Raises:
        BadInput: it is none, no regular one, or larger than a table may be.
    """
    try:
        return check_regular(path, UNPACKED)
    except FileNotFoundError:
        fault = missing
    except IsADirectoryError:
        fault = "is a folder"
    except (OSError, ValueError) as error:  # a ValueError: no path at all
        fault = f"cannot be read ({plain(getattr(error, 'strerror', None) or error)})"
    raise BadInput(f"{where} {fault}; {wanted}")


def check_unchanged(path: Path, about: os.stat_result, where: str, same: bool = True) -> None:
    """Raise `BadInput` where the file is no longer the one that the system spoke of, or not the
    `same` as another sign says.
    """
    try:
        now = os.stat(path)
    except OSError:
        now = None
    if not same or now is None or _state(now) != _state(about):
        raise BadInput(f"{where} changed while it was read; try again")


def _state(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
