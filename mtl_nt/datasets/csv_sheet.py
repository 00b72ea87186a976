"""CSV and TSV, also as .gz, read a piece at a time; every fault is said with its line."""

from __future__ import annotations

import csv
import io
import itertools
import os
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, AnyStr, NoReturn

import numpy as np

from ..files import UNPACKED, unpacked
from ..tasks import BadInput
from .sheets import (
    EMPTY,
    Column,
    Piece,
    Texts,
    check_cells,
    check_header,
    check_unchanged,
    plain,
)

if TYPE_CHECKING:
    import pandas as pd

RECORD = 2**26  # bytes of one row's text: 32 for each of 2 million cells
LINES = 2**25  # of a file: more take too long
BLANK = 2**19  # bytes of blank lines, or as many as of others
SEPARATORS = ",;\t|"  # that tables have, here or elsewhere
PIECE = 2**25  # bytes of text that become numbers at once
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


class TextSheet:
    """A CSV or TSV. Rows are counted as an editor counts lines."""

    unit = "line"

    def __init__(self, path: Path, where: str, about: os.stat_result, separator: str) -> None:
        self.path, self.where, self.about, self.separator = path, where, about, separator
        self.packed = about.st_size if path.name.lower().endswith(".gz") else None
        self.sha256 = ""  # of what has been read
        number, line = next(self._records(), (0, b""))
        if not number:
            raise BadInput(f"{where}: is empty; give a header and one line or more")
        names = self._parsed(line.removeprefix(b"\xef\xbb\xbf"), number)
        if len(names) == 1:
            other = next((s for s in SEPARATORS if s != separator and s in names[0]), None)
            fault = f"not by {other!r}" if other else "and more than one is needed"
            raise BadInput(
                f"{where}, line {number}: the header has one column; {self._wanted()}, {fault}"
            )
        check_header(names, where)
        self.names: tuple[str, ...] = tuple(names)
        self.texts = {*names}  # columns that may hold text

    def digest(self) -> str:
        """The SHA-256 of the file that was read.

        Raises:
            BadInput: it has changed since it was opened.
        """
        check_unchanged(self.path, self.about, self.where)
        return self.sha256

    def hint(self) -> str:
        """What is said beside a fault if header and first row alike have another separator."""
        try:
            (_, header), (_, row) = itertools.islice(self._records(), 2)
        except (BadInput, ValueError):  # said by whoever reads them
            return ""
        for other in SEPARATORS:
            often = header.count(other.encode())
            if other != self.separator and often and often == row.count(other.encode()):
                return f"; {self._wanted()}, not by {other!r}"
        return ""

    def _wanted(self) -> str:
        wanted = "tabs" if self.separator == "\t" else "commas"
        return f"separate columns by {wanted}"

    def pieces(self, wanted: Sequence[str], text: Collection[str]) -> Iterator[Piece]:
        """The rows, a piece at a time. `text` is looked at anew for every piece.

        Args:
            wanted: columns to read.
            text: those of them whose cells are texts even where they look like numbers.
        """
        place = {name: i for i, name in enumerate(self.names)}
        lines: list[bytes] = []
        at: list[int] = []
        size = rows = 0
        records = self._records()
        next(records, None)  # the header
        for number, line in records:
            lines.append(self._checked(line, number))
            at.append(number)
            size, rows = size + len(line), rows + 1
            check_cells(rows, len(self.names), self.where, self.packed)
            if size >= PIECE:
                yield self._piece(lines, at, {n: place[n] for n in wanted}, text)
                lines, at, size = [], [], 0
        if lines:
            yield self._piece(lines, at, {n: place[n] for n in wanted}, text)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Number of the first line, and text, of every row that is not blank."""
        number = blank = filled = 0
        try:
            with unpacked(self.path, UNPACKED) as file:
                rest = lines(file, self.where)
                for line in rest:
                    first = number = number + 1
                    if number == 1:
                        self._check_start(line)
                    if line.count(b'"') % 2:
                        line, more = self._quoted(line, rest, number)
                        number += more
                    if b"\0" in line:
                        self._refuse(first, "has a zero byte, so this is no text; save it as CSV")
                    if not line.isspace():
                        filled += len(line)
                        yield first, line.rstrip(b"\r\n")
                    elif (blank := blank + len(line)) > max(BLANK, filled):
                        self._refuse(first, f"more than {BLANK:,} bytes of blank lines; drop them")
                self.sha256 = file.digest()
        except (OSError, EOFError, zlib.error) as error:
            fault = plain(getattr(error, "strerror", None) or error)
            after = f" after line {number}" if number else ""
            raise BadInput(
                f"{self.where}: cannot be read{after} ({fault}); save the table anew"
            ) from None

    def _quoted(self, line: bytes, rest: Iterator[bytes], number: int) -> tuple[bytes, int]:
        """A row with a quoted cell that goes on in the next lines, and how many these are."""
        whole, more = bytearray(line), 0
        for more, line in enumerate(rest, 1):
            whole += line
            if len(whole) >= RECORD:
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
        """The line, if it has as many cells as the header."""
        cells = line.count(self.separator.encode()) + 1
        if b'"' in line or b"\r" in line:
            row = self._parsed(line, number)
            cells, written = len(row), io.StringIO()
            # Written anew with every cell in quotes, so that pandas sees the same cells.
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
            self._refuse(number, f"cannot be read as cells ({plain(error)}); mend the line")
        if len(rows) != 1:
            self._refuse(number, "has a carriage return; end lines with a line feed, and mend it")
        return rows[0]

    def _piece(
        self,
        lines: Sequence[bytes],
        at: Sequence[int],
        place: Mapping[str, int],
        text: Collection[str],
    ) -> Piece:
        import pandas as pd

        options: dict[str, Any] = {
            "sep": self.separator,
            "header": None,
            "names": range(len(self.names)),
            "usecols": [*place.values()],
            "low_memory": False,
            "skip_blank_lines": False,
            "index_col": False,
            "keep_default_na": False,
            "na_values": [*EMPTY],
        }
        content = b"\n".join(lines) + b"\n"
        forced = {place[name]: "str" for name in text if name in place}
        try:
            content.decode("utf-8")
            try:
                frame = pd.read_csv(io.BytesIO(content), dtype=forced, **options)
            except (ValueError, OverflowError):  # a whole number of more digits than Python reads
                frame = pd.read_csv(io.BytesIO(content), dtype="str", **options)
        except UnicodeDecodeError:
            for number, line in zip(at, lines, strict=True):
                self._parsed(line, number)
            raise
        except ValueError as error:
            fault = plain(error)
            raise BadInput(
                f"{self.where}, lines {at[0]} to {at[-1]}: cannot be read ({fault}); mend them"
            ) from None
        if len(frame) != len(at):
            raise BadInput(
                f"{self.where}, lines {at[0]} to {at[-1]}: {len(frame)} rows in {len(at)} lines; "
                "save the table anew"
            )
        return Piece({n: _column(frame[i]) for n, i in place.items()}, np.array(at, np.int64))


def lines(file: IO[AnyStr], where: str) -> Iterator[AnyStr]:
    """The lines of a table's text.

    Raises:
        BadInput: one is too long, or they are too many.
    """
    for number in range(1, LINES + 1):
        if not (line := file.readline(RECORD)):
            return
        if len(line) >= RECORD:
            raise BadInput(
                f"{where}, line {number}: more than {RECORD:,} bytes in one row; mend it"
            )
        yield line
    raise BadInput(f"{where}: more than {LINES:,} lines; give a smaller table")


def _column(cells: pd.Series) -> Column:
    import pandas as pd

    if cells.dtype.kind in "fiub":
        return cells.to_numpy(np.float64)
    texts = cells.astype("str").where(cells.notna())  # pandas 2 makes a text "nan" of a gap
    codes, values = pd.factorize(texts)
    return Texts(np.asarray(codes), [str(value) for value in values])
