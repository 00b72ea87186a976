"""The reader of CSV and TSV files, plain or as .gz.

It reads a file in chunks of `CHUNK_BYTES`, so that a large table never lies in memory as text. It
checks every line before pandas parses it, and every message names the line at fault.
"""

from __future__ import annotations

import csv
import io
import os
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, AnyStr, NoReturn

import numpy as np

from ..errors import BadInput
from ..files import LARGEST_FILE, open_unpacked
from .csv_layout import SEPARATOR_NAMES, find_layout, is_comment, parse_cells
from .sheets import (
    EMPTY_CELLS,
    ROW_NAMES,
    Chunk,
    Column,
    TextColumn,
    check_cells,
    check_header,
    check_unchanged,
    one_line,
)

if TYPE_CHECKING:
    import pandas as pd

MAX_ROW_BYTES = 2**26  # 32 bytes for each of 2 million cells
MAX_LINES = 2**25  # a file with more takes too long
MAX_BLANK = 2**19  # bytes of blank lines and comments; more are allowed, up to the other lines
CHUNK_BYTES = 2**25  # the text that is parsed at once
FIRST_BYTES = {
    b"PK\x03\x04": "a zip archive or an .xlsx by its content; save the table as CSV",
    b"\x1f\x8b": "compressed by its content; name it .csv.gz or .tsv.gz",
    b"PAR1": "a Parquet by its content; name it .parquet",
    b"%PDF": "a PDF by its content; save the table as CSV",
    **{
        bytes([128, version]): "a pickle by its content and never read; save the table as CSV"
        for version in range(2, 6)
    },
    b"\xff\xfe": "UTF-16 by its first bytes; save the table as UTF-8",
    b"\xfe\xff": "UTF-16 by its first bytes; save the table as UTF-8",
}


class CSVSheet:
    """A CSV or TSV file whose header has been read.

    Positions are numbers of lines, from 1 as in a text editor. A line `sep=;` before the header is
    no row, and neither is a line that begins with # and has not the cells of a row.

    Args:
        path: the file.
        where: the name of the file, which begins every message.
        status: the status of the file when it was opened.
        separator: what separates the columns by the name of the file: a comma or a tab. The first
            rows may show another one.
        least: how many columns it must have.

    Raises:
        BadInput: an empty file, one that is no text or cannot be read, or a header with a fault.
    """

    unit = "line"

    def __init__(
        self, path: Path, where: str, status: os.stat_result, separator: str, least: int = 2
    ) -> None:
        self.path, self.where, self.status, self.separator = path, where, status, separator
        self.packed = status.st_size if path.name.lower().endswith(".gz") else None
        self.sha256 = ""  # known once the file has been read to its end
        self.comments = 0  # how many lines with # were skipped
        layout = find_layout(self._records(), separator)
        if layout is None:
            raise BadInput(f"{where}: is empty; give a header and one line or more")
        (self.header_line, line), self.separator = layout.header, layout.separator
        self.decimal, self.layout_notes = layout.decimal, layout.notes
        names = self._parsed(line, self.header_line)
        if len(names) < least:
            wanted = SEPARATOR_NAMES[separator]
            raise BadInput(
                f"{where}, line {self.header_line}: the header has one column; separate columns by "
                f"{wanted}, and more than one is needed"
            )
        if not names[0].strip() and ROW_NAMES not in names:
            names[0] = ROW_NAMES
        check_header(names, where)
        self.names: tuple[str, ...] = tuple(names)
        self.texts = {*names}  # columns that may hold text
        if layout.extra == "names":
            raise BadInput(
                f"{where}: every line has one cell more than the header: row names, as R writes "
                "them; name the first column in the header, or write without row names"
            )
        if layout.extra == "end":
            raise BadInput(
                f"{where}: every line ends with a separator and the header does not; take it away, "
                "or give the header one, too"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence on each thing that is unusual in how the file is written."""
        skipped = (f"Lines that begin with # were skipped: {self.comments:,}.",)
        return (*self.layout_notes, *(skipped if self.comments else ()))

    def digest(self) -> str:
        """Return the SHA-256 of the file that was read.

        Raises:
            BadInput: the file has changed since it was opened.
        """
        check_unchanged(self.path, self.status, self.where)
        return self.sha256

    def chunks(self, wanted: Sequence[str], text: Collection[str]) -> Iterator[Chunk]:
        """Yield the rows in chunks.

        Args:
            wanted: the columns to read.
            text: those of them whose cells are texts even where they look like numbers. The caller
                may add columns between two chunks.

        Raises:
            BadInput: a row with a fault. The message names its line.
        """
        place = {name: i for i, name in enumerate(self.names)}
        column_numbers = {name: place[name] for name in wanted}
        lines: list[bytes] = []
        line_numbers: list[int] = []
        size = rows = 0
        for number, line in self._rows():
            lines.append(self._checked(line, number))
            line_numbers.append(number)
            size, rows = size + len(line), rows + 1
            check_cells(rows, len(self.names), self.where, self.packed)
            if size >= CHUNK_BYTES:
                yield self._chunk(lines, line_numbers, column_numbers, text)
                lines, line_numbers, size = [], [], 0
        if lines:
            yield self._chunk(lines, line_numbers, column_numbers, text)

    def _rows(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the text of every row below the header, without the comments."""
        self.comments = skipped = filled = 0
        for number, line in self._records():
            if number > self.header_line and not self._is_comment(line):
                filled += len(line)
                yield number, line
            elif number != self.header_line and is_comment(line):
                self.comments, skipped = self.comments + 1, skipped + len(line)
                if skipped > max(MAX_BLANK, filled):
                    self._refuse(number, f"more than {MAX_BLANK:,} bytes of comments; drop them")

    def _is_comment(self, line: bytes) -> bool:
        """Tell whether a line begins with # and has not the cells of a row."""
        if not is_comment(line):
            return False
        return len(parse_cells(line, self.separator) or ()) != len(self.names)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of the first line and the text of every line that is not blank."""
        number = blank = filled = 0
        try:
            with open_unpacked(self.path, LARGEST_FILE) as file:
                remaining = read_lines(file, self.where)
                for line in remaining:
                    first = number = number + 1
                    if number == 1:
                        self._check_start(line)
                        line = line.removeprefix(b"\xef\xbb\xbf")
                    if line.count(b'"') % 2:
                        line, more = self._quoted(line, remaining, number)
                        number += more
                    if b"\0" in line:
                        self._refuse(first, "has a zero byte, so this is no text; save it as CSV")
                    if not line.isspace():
                        filled += len(line)
                        yield first, line.rstrip(b"\r\n")
                    elif (blank := blank + len(line)) > max(MAX_BLANK, filled):
                        self._refuse(
                            first, f"more than {MAX_BLANK:,} bytes of blank lines; drop them"
                        )
                self.sha256 = file.digest()
        except (OSError, EOFError, zlib.error) as error:
            fault = one_line(getattr(error, "strerror", None) or error)
            after = f" after line {number}" if number else ""
            raise BadInput(
                f"{self.where}: cannot be read{after} ({fault}); save the table anew"
            ) from None

    def _quoted(self, line: bytes, remaining: Iterator[bytes], number: int) -> tuple[bytes, int]:
        """Join a row whose quoted cell continues on the next lines, and count these lines."""
        whole, more = bytearray(line), 0
        for more, line in enumerate(remaining, 1):
            whole += line
            if len(whole) >= MAX_ROW_BYTES:
                break
            if line.count(b'"') % 2:
                return bytes(whole), more
        self._refuse(number, "a quotation mark is not closed; close it")

    def _refuse(self, number: int, fault: str) -> NoReturn:
        raise BadInput(f"{self.where}, line {number}: {fault}")

    def _check_start(self, line: bytes) -> None:
        for start, fault in FIRST_BYTES.items():
            if line.startswith(start):
                raise BadInput(f"{self.where}: is {fault}")

    def _checked(self, line: bytes, number: int) -> bytes:
        """Return the line, if it has as many cells as the header."""
        cells = line.count(self.separator.encode()) + 1
        if b'"' in line or b"\r" in line:
            row = self._parsed(line, number)
            cells, written = len(row), io.StringIO()
            # Every cell is written again in quotes, so that pandas sees the same cells.
            csv.writer(
                written, delimiter=self.separator, quoting=csv.QUOTE_ALL, lineterminator=""
            ).writerow(row)
            line = written.getvalue().encode()
        if cells != (width := len(self.names)):
            self._refuse(number, f"{cells} cells where the header has {width}; mend the line")
        return line

    def _parsed(self, line: bytes, number: int) -> list[str]:
        try:
            text = io.StringIO(line.decode("utf-8"), newline="")
            rows = list(csv.reader(text, delimiter=self.separator, strict=True))
        except UnicodeDecodeError:
            self._refuse(number, "is no UTF-8; save the table as UTF-8")
        except csv.Error as error:
            self._refuse(number, f"cannot be read as cells ({one_line(error)}); mend the line")
        if len(rows) != 1:
            self._refuse(number, "has a carriage return; end lines with a line feed, and mend it")
        return rows[0]

    def _chunk(
        self,
        lines: Sequence[bytes],
        line_numbers: Sequence[int],
        column_numbers: Mapping[str, int],
        text: Collection[str],
    ) -> Chunk:
        import pandas as pd

        options: dict[str, Any] = {
            "sep": self.separator,
            "header": None,
            "names": range(len(self.names)),
            "usecols": [*column_numbers.values()],
            "low_memory": False,
            "skip_blank_lines": False,
            "index_col": False,
            "keep_default_na": False,
            "na_values": [*EMPTY_CELLS],
            "decimal": self.decimal,
        }
        here = f"{self.where}, lines {line_numbers[0]} to {line_numbers[-1]}"
        content = b"\n".join(lines) + b"\n"
        forced = {column_numbers[name]: "str" for name in text if name in column_numbers}
        try:
            content.decode("utf-8")
            try:
                frame = pd.read_csv(io.BytesIO(content), dtype=forced, **options)
            except (ValueError, OverflowError):  # a whole number of more digits than Python reads
                frame = pd.read_csv(io.BytesIO(content), dtype="str", **options)
        except UnicodeDecodeError:
            for number, line in zip(line_numbers, lines, strict=True):
                self._parsed(line, number)
            raise
        except ValueError as error:
            fault = one_line(error)
            raise BadInput(f"{here}: cannot be read ({fault}); mend them") from None
        if len(frame) != len(line_numbers):
            raise BadInput(
                f"{here}: {len(frame)} rows in {len(line_numbers)} lines; save the table anew"
            )
        columns = {name: _column(frame[i]) for name, i in column_numbers.items()}
        return Chunk(columns, np.array(line_numbers, np.int64))


def read_lines(file: IO[AnyStr], where: str) -> Iterator[AnyStr]:
    """Yield the lines of a table's text.

    Args:
        file: a file that is open for reading texts or bytes.
        where: the name of the file, which begins the message.

    Raises:
        BadInput: a line of `MAX_ROW_BYTES` or more, or more than `MAX_LINES`.

    >>> list(read_lines(io.StringIO("x,y\\n1,0\\n"), "my.csv"))
    ['x,y\\n', '1,0\\n']
    """
    for number in range(1, MAX_LINES + 1):
        if not (line := file.readline(MAX_ROW_BYTES)):
            return
        if len(line) >= MAX_ROW_BYTES:
            raise BadInput(
                f"{where}, line {number}: more than {MAX_ROW_BYTES:,} bytes in one row; mend it"
            )
        yield line
    raise BadInput(f"{where}: more than {MAX_LINES:,} lines; give a smaller table")


def _column(cells: pd.Series) -> Column:
    import pandas as pd

    if cells.dtype.kind in "fiub":
        return cells.to_numpy(np.float64)
    texts = cells.astype("str").where(cells.notna())  # pandas 2 makes "nan" of a missing cell
    codes, values = pd.factorize(texts)
    return TextColumn(np.asarray(codes), [str(value) for value in values])
