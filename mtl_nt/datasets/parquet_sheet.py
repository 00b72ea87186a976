"""The reader of Parquet files.

It checks the declared size of a file before anything is unpacked, and reads one row group at a
time, a few columns at once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .. import files
from ..errors import BadInput
from .sheets import (
    EMPTY_CELLS,
    Chunk,
    Column,
    TextColumn,
    check_cells,
    check_header,
    check_unchanged,
    one_line,
    quoted,
)

CELLS_AT_ONCE = 8_000_000  # cells that are unpacked at once: 64 MB


class ParquetSheet:
    """A Parquet file whose schema has been read.

    Positions are numbers of rows, from 1.

    Args:
        path: the file.
        where: the name of the file, which begins every message.
        status: the status of the file when it was opened.

    Raises:
        BadInput: pyarrow is missing, the file is no Parquet or unpacks to too much, or a column
            has no name of its own.
    """

    unit = "row"
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, where: str, status: os.stat_result) -> None:
        self.path, self.where, self.status, self.packed = path, where, status, status.st_size
        self.decimal = "."  # of numbers that are written as texts
        self.dates_as_texts: set[str] = set()
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise BadInput(
                f"{where}: reading Parquet needs pyarrow; pip install 'mtl_nt[parquet]', or save "
                "the table as .csv"
            ) from None
        with self._reader() as file:
            check_declared_size(file, where, self.packed)
            names = [str(name) for name in file.schema_arrow.names]
            kinds = [str(kind) for kind in file.schema_arrow.types]
        if not names:
            raise BadInput(f"{where}: has no columns; give features and targets")
        check_header(names, where)
        self.names: tuple[str, ...] = tuple(names)
        self.texts = {name for name, kind in zip(names, kinds, strict=True) if "string" in kind}

    def digest(self) -> str:
        """Return the SHA-256 of the file that was read.

        Raises:
            BadInput: the file has changed since it was opened.
        """
        try:
            sha256 = files.digest(self.path)
        except OSError:
            sha256 = ""  # the file has gone, so the next line raises
        check_unchanged(self.path, self.status, self.where)
        return sha256

    def chunks(self, wanted: Sequence[str], text: Collection[str]) -> Iterator[Chunk]:
        """Yield the rows, one row group at a time.

        Args:
            wanted: the columns to read.
            text: those of them whose dates are read as texts. Other columns know what they are.

        Raises:
            BadInput: a row group that cannot be read.
        """
        start, self.dates_as_texts = 0, {*text}
        with self._reader([*wanted]) as file:
            for number in range(file.num_row_groups):
                rows = file.metadata.row_group(number).num_rows
                positions = np.arange(start + 1, start + rows + 1)
                yield Chunk(_Columns(self, file, number, rows, wanted), positions)
                start += rows

    def read_columns(
        self, file: Any, number: int, rows: int, names: Sequence[str]
    ) -> dict[str, Column]:
        """Read these columns of the row group with this number, which declares so many rows."""
        table = file.read_row_group(number, columns=[*names]).unify_dictionaries()
        if len(table) != rows:
            raise BadInput(
                f"{self.where}: {len(table):,} rows where it says {rows:,}; save the table anew"
            )
        return {name: self._values(_one_chunk(table.column(name)), name) for name in names}

    def _values(self, cells: Any, name: str) -> Column:
        import pyarrow as pa

        kind, codes = cells.type, None
        if pa.types.is_temporal(kind) and name in self.dates_as_texts:
            cells, kind = cells.cast(pa.string()), pa.string()
        if pa.types.is_dictionary(kind):
            codes = cells.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            cells, kind = cells.dictionary, cells.dictionary.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if codes is None:
                packed = cells.dictionary_encode()
                codes = packed.indices.fill_null(-1).to_numpy(zero_copy_only=False)
                cells = packed.dictionary
            values = [str(value) for value in cells.to_pylist()]
            empty = np.array([value in EMPTY_CELLS for value in values] + [True])
            return TextColumn(np.where(empty[codes], -1, codes), values)
        if pa.types.is_boolean(kind):
            cells = cells.cast(pa.int8())
        elif pa.types.is_null(kind) or pa.types.is_decimal(kind):
            cells = cells.cast(pa.float64())
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise BadInput(
                f"{self.where}, column {quoted(name)}: {one_line(kind)} is neither number nor text"
                "; convert the column or name it under ignore"
            )
        numbers = cells.to_numpy(zero_copy_only=False).astype(np.float64)
        return numbers if codes is None else np.append(numbers, np.nan)[codes]

    def _reader(self, texts: Sequence[str] = ()) -> _Reader:
        return _Reader(self.path, self.where, texts)


class _Columns(Mapping[str, Column]):
    """The columns of a row group. Few are unpacked at once, since all may not fit into memory."""

    def __init__(
        self, sheet: ParquetSheet, file: Any, number: int, rows: int, wanted: Sequence[str]
    ) -> None:
        self.sheet, self.file, self.number, self.rows = sheet, file, number, rows
        self.place = {name: i for i, name in enumerate(wanted)}
        self.wanted = wanted
        self.loaded: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self.loaded:
            self.loaded = {}
            start, width = self.place[name], max(1, CELLS_AT_ONCE // max(1, self.rows))
            names = self.wanted[start : start + width]
            try:
                self.loaded = self.sheet.read_columns(self.file, self.number, self.rows, names)
            except BadInput:
                raise
            except Exception as error:  # pyarrow raises errors of many classes
                refuse_parquet(self.sheet.where, error)
        return self.loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.wanted)

    def __len__(self) -> int:
        return len(self.wanted)


def check_declared_size(file: Any, where: str, packed: int) -> None:
    """Check the size that a Parquet declares, before anything is unpacked.

    Args:
        file: an open `pyarrow.parquet.ParquetFile`.
        where: the beginning of the message.
        packed: the size of the file in bytes.

    Raises:
        BadInput: too many cells, or too many bytes when unpacked.
    """
    metadata = file.metadata
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    sizes, rows = [g.total_byte_size for g in groups], [g.num_rows for g in groups]
    check_cells(max(sum(rows), metadata.num_rows), metadata.num_columns, where, packed)
    most = min(files.LARGEST_FILE, max(files.FREE_UNPACKING, files.UNPACKING_RATIO * packed))
    if sum(sizes) > most or min([*sizes, *rows], default=0) < 0:
        raise BadInput(f"{where}: unpacks to more than {most:,} bytes; leave out columns")


def _one_chunk(column: Any) -> Any:
    whole = column.combine_chunks()
    return whole.chunk(0) if hasattr(whole, "num_chunks") else whole


def refuse_parquet(where: str, error: Exception) -> NoReturn:
    """Raise `BadInput` with the message of pyarrow in one line."""
    raise BadInput(
        f"{where}: cannot be read as Parquet ({one_line(error)}); save the table anew"
    ) from None


class _Reader:
    """An open `pyarrow.parquet.ParquetFile`, whose every error becomes a `BadInput`."""

    def __init__(self, path: Path, where: str, columns: Sequence[str]) -> None:
        self.path, self.where, self.columns = path, where, columns

    def __enter__(self) -> Any:
        import pyarrow.parquet as parquet

        try:
            # Texts stay codes, so that one long text in many rows is in memory once.
            self.file = parquet.ParquetFile(self.path, read_dictionary=[*self.columns])
        except Exception as error:  # pyarrow raises errors of many classes
            refuse_parquet(self.where, error)
        return self.file

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.file.close()
        if isinstance(error, Exception) and not isinstance(error, BadInput):
            refuse_parquet(self.where, error)
