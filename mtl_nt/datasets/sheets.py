"""What the readers of CSV and Parquet have in common.

A sheet is a table's file: it knows the names of the columns, and gives the rows in chunks. This
module has the types of these chunks, the limits on a table's size, and the checks of the file, its
header and its size. `csv_sheet` and `parquet_sheet` have the readers.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from ..errors import BadInput
from ..files import LARGEST_FILE, check_regular

MAX_CELLS, MAX_COLUMNS = 400_000_000, 50_000  # of a table; as float32, so many cells take 1.6 GB
BYTES_PER_ROW, BYTES_PER_CELL = 200, 16  # of the memory that an audit takes, its runs' included
MAX_MEMORY, MEMORY_RATIO = 2**32, 32
"""A packed table may take `MAX_MEMORY` bytes of memory. It may take more, up to `MEMORY_RATIO`
times the size of its file: 100,000 x 2,200 equal cells are a small file and a permitted table, and
a much larger table must have a larger file."""
SEPARATOR_OF_SUFFIX = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t", ".parquet": ""}
"""The endings of files that are read as tables, and what separates the columns of each."""
EMPTY_CELLS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
"""Cells that stand for a missing value."""
ROW_NAMES = "(row names)"
"""What a first column without a name is called here. R and pandas write the names of rows so."""


class TextColumn(NamedTuple):
    """A column of texts. Equal texts have one code, and an empty cell has the code -1.

    >>> TextColumn(np.array([1, -1, 0]), ["blue", "red"])  # the cells "red", nothing and "blue"
    TextColumn(codes=array([ 1, -1,  0]), values=['blue', 'red'])
    """

    codes: Int[np.ndarray, " n"]
    values: list[str]


Column = Float64[np.ndarray, " n"] | TextColumn


class Chunk(NamedTuple):
    """Consecutive rows of a table."""

    columns: Mapping[str, Column]
    positions: Int[np.ndarray, " n"]  # the line or row of the file where each row begins


def quoted(name: object, length: int = 40) -> str:
    """Quote a name or a cell of a user's table for a message: on one line, cut where it is long.

    >>> print(quoted("tissue"), quoted("a very long name", length=6))
    'tissue' 'a ver...'
    """
    text = repr(str(name)[: length + 1])
    return text if len(text) <= length + 2 else f"{text[:length]}...{text[0]}"


def one_line(words: object) -> str:
    """Put the words of another library into one line of at most 51 characters.

    >>> one_line("Expected 3 fields\\nin line 2")
    'Expected 3 fields in line 2'
    """
    text = " ".join(str(words).split())
    return text if len(text) <= 48 else f"{text[:48]}..."


def check_header(names: Sequence[str], where: str) -> None:
    """Check the names of the columns.

    Raises:
        BadInput: a column without a name, two columns with one name, or more than `MAX_COLUMNS`.

    >>> check_header(["age", "age"], "my.csv")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: my.csv: 2 columns are named 'age'; rename or drop one
    """
    if len(names) > MAX_COLUMNS:
        raise BadInput(f"{where}: {len(names):,} columns; {MAX_COLUMNS:,} at most, leave some out")
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise BadInput(
                f"{where}: column {number} of the header has no name; name it or drop the column"
            )
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise BadInput(f"{where}: {count} columns are named {quoted(name)}; rename or drop one")


def check_cells(rows: int, columns: int, where: str, packed: int | None = None) -> None:
    """Check the size of a table.

    Args:
        rows: the number of rows that have been read, or that the file declares.
        columns: the number of columns.
        where: the beginning of the message.
        packed: the size of a compressed file in bytes; None for a file that is not compressed.

    Raises:
        BadInput: more than `MAX_CELLS`, or much more memory than the size of the file explains.

    >>> check_cells(1_000_000, 1_000, "my.csv")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: my.csv: more than 400,000,000 cells; leave out some ...
    """
    if rows * columns > MAX_CELLS:
        raise BadInput(
            f"{where}: more than {MAX_CELLS:,} cells; leave out some of its {columns:,} columns, "
            "or some rows"
        )
    if packed is None:
        return
    taken = rows * (BYTES_PER_ROW + BYTES_PER_CELL * columns)
    if taken > max(MAX_MEMORY, MEMORY_RATIO * packed):
        raise BadInput(
            f"{where}: {packed:,} bytes for {rows:,} rows or more of {columns:,} columns, which "
            f"take {taken:,} bytes of memory; {MAX_MEMORY:,} at most, leave out columns or rows"
        )


def check_file(
    path: Path, where: str, wanted: str, missing: str = "does not exist"
) -> os.stat_result:
    """Check that a user's path leads to a regular file of a permitted size.

    Args:
        path: the file.
        where: the beginning of the message.
        wanted: the end of the message, which says what to give instead.
        missing: what the message says where there is no such file.

    Returns:
        The status of the file, as `os.stat` gives it.

    Raises:
        BadInput: no such file, no regular file, or one that is larger than a table may be.

    >>> check_file(Path("no.csv"), "no.csv", "give the path of a table")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: no.csv does not exist; give the path of a table
    """
    try:
        return check_regular(path, LARGEST_FILE)
    except FileNotFoundError:
        fault = missing
    except IsADirectoryError:
        fault = "is a folder"
    except (OSError, ValueError) as error:  # a ValueError: no path at all
        fault = f"cannot be read ({one_line(getattr(error, 'strerror', None) or error)})"
    raise BadInput(f"{where} {fault}; {wanted}")


def check_unchanged(path: Path, status: os.stat_result, where: str, same: bool = True) -> None:
    """Check that a file has not changed while it was read.

    Args:
        path: the file.
        status: its status before, as `check_file` gives it.
        where: the beginning of the message.
        same: whether another check, such as that of its checksum, says that the file is the same.

    Raises:
        BadInput: the file has gone or changed, or `same` is false.
    """
    try:
        now = os.stat(path)
    except OSError:
        now = None
    if not same or now is None or _state(now) != _state(status):
        raise BadInput(f"{where} changed while it was read; try again")


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
