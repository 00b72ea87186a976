"""How a CSV file is written: where its header is, what separates its cells, and its decimal mark.

Spreadsheets write `sep=;` first, instruments write lines that begin with `#`, and half of the world
writes 0,5 for a half. `find_layout` looks at the first lines of a file and tells all of it.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

KNOWN_SEPARATORS = ",;\t|"
SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LOOK_AT = 100  # rows that tell how the others are written
MOST_COMMENTS = 2**20  # bytes of the lines with # before the header
SEPARATOR_LINE = re.compile(rb'"?sep=([,;|\t])"?', re.IGNORECASE)
COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
POINT_NUMBER = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")


class Layout(NamedTuple):
    """How a file is written.

    Attributes:
        header: the number of the header's line, and the line itself.
        separator: what separates the cells.
        decimal: "." or ",", the mark before the digits of a fraction.
        extra: "names" where every row has one cell more than the header, "end" where that cell is
            the last one and empty, and "" where rows are as wide as the header.
        notes: one sentence on each thing that is unusual.
    """

    header: tuple[int, bytes]
    separator: str
    decimal: str
    extra: str
    notes: tuple[str, ...]


def find_layout(records: Iterator[tuple[int, bytes]], separator: str) -> Layout | None:
    """Find out how a file is written, from its first rows. None means that it has no row at all.

    Args:
        records: the number and the text of every line that is not blank.
        separator: what separates the cells by the ending of the file's name.

    >>> lines = [b"sep=;", b"# made by hand", b"a;y", b"0,5;1", b"1,5;0"]
    >>> layout = find_layout(iter(enumerate(lines, 1)), ",")
    >>> layout.header, layout.separator, layout.decimal
    ((3, b'a;y'), ';', ',')
    """
    notes: list[str] = []
    first = next(records, None)
    if first is None:
        return None
    if stated := SEPARATOR_LINE.fullmatch(first[1].strip()):
        separator = stated[1].decode()
        notes.append(f"Line {first[0]} says what separates the cells, and is no row.")
        first = next(records, None)
    comments: list[tuple[int, bytes]] = []
    size = 0
    while first is not None and is_comment(first[1]) and size < MOST_COMMENTS:
        comments.append(first)
        size += len(first[1])
        first = next(records, None)
    if first is None:  # a header alone, perhaps
        return None if not comments else Layout(comments[-1], separator, ".", "", (*notes,))
    rows = [first, *itertools.islice(records, LOOK_AT)]
    found = choose_separator([line for _, line in rows], separator)
    if found != separator:
        names = SEPARATOR_NAMES
        notes.append(f"Cells are separated by {names[found]} and not by {names[separator]}.")
    header = first
    if comments and _is_header(comments[-1][1], first[1], found):
        number, line = comments.pop()
        header, rows = (number, line.lstrip(b"#").lstrip()), [(number, line), *rows]
    cells = [parsed for _, line in rows[1:] if (parsed := parse_cells(line, found)) is not None]
    width = len(parse_cells(header[1], found) or ())
    cells = [row for row in cells if len(row) == width or not is_comment(row[0].encode())]
    extra = ""
    if cells and all(len(row) == width + 1 for row in cells):
        extra = "end" if all(not row[-1].strip() for row in cells) else "names"
    return Layout(header, found, _decimal_mark(cells), extra, (*notes,))


def is_comment(line: bytes) -> bool:
    """Tell whether a line may be a comment.

    >>> is_comment(b"# tool 1.2"), is_comment(b"a,b")
    (True, False)
    """
    return line.lstrip(b' "').startswith(b"#")


def choose_separator(lines: Sequence[bytes], likely: str) -> str:
    """Choose the separator that gives all lines the same number of cells, two or more.

    >>> choose_separator([b"a;b", b"0,5;1,5"], likely=",")
    ';'
    """
    widths: dict[str, int] = {}
    for separator in KNOWN_SEPARATORS:
        rows = [parse_cells(line, separator) for line in lines if not is_comment(line)]
        counts = {0 if row is None else len(row) for row in rows}
        if len(counts) == 1 and min(counts) > 1:
            widths[separator] = min(counts)
    if likely in widths or not widths:
        return likely
    return max(widths, key=widths.__getitem__)


def parse_cells(line: bytes, separator: str) -> list[str] | None:
    """Parse one row, or return None where it is none.

    >>> parse_cells(b'1,"2,5"', ",")
    ['1', '2,5']
    """
    try:
        text = io.StringIO(line.decode("utf-8"), newline="")
        rows = list(csv.reader(text, delimiter=separator, strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows[0] if len(rows) == 1 else None


def _is_header(comment: bytes, row: bytes, separator: str) -> bool:
    """Tell whether a line that begins with # names the columns of the row below it."""
    names, cells = parse_cells(comment, separator), parse_cells(row, separator)
    if names is None or cells is None or len(names) != len(cells) or len(cells) < 2:
        return False
    return any(cell.strip()[:1].isdigit() or cell.strip()[:2] in _SIGNED for cell in cells)


_SIGNED = {f"{sign}{digit}" for sign in "+-." for digit in range(10)}


def _decimal_mark(rows: Sequence[Sequence[str]]) -> str:
    """A comma, if some cell is a number with a decimal comma and none has a decimal point."""
    commas = False
    for row in rows:
        for cell in map(str.strip, row):
            if POINT_NUMBER.fullmatch(cell):
                return "."
            commas |= bool(COMMA_NUMBER.fullmatch(cell)) and not THOUSANDS.fullmatch(cell)
    return "," if commas else "."
