"""Parquet, read a piece at a time; what it would unpack to is looked at before."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .. import files
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
    shown,
)

BLOCK = 8_000_000  # cells that are unpacked at once: 64 MB


class ParquetSheet:
    """A Parquet. Rows are counted from 1."""

    unit = "row"

    def __init__(self, path: Path, where: str, about: os.stat_result) -> None:
        self.path, self.where, self.about, self.packed = path, where, about, about.st_size
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise BadInput(
                f"{where}: reading Parquet needs pyarrow; pip install 'mtl_nt[parquet]', or save "
                "the table as .csv"
            ) from None
        with self._reader() as file:
            check_declared(file, where, self.packed)
            names = [str(name) for name in file.schema_arrow.names]
            kinds = [str(kind) for kind in file.schema_arrow.types]
        if not names:
            raise BadInput(f"{where}: has no columns; give features and targets")
        check_header(names, where)
        self.names: tuple[str, ...] = tuple(names)
        self.texts = {name for name, kind in zip(names, kinds, strict=True) if "string" in kind}

    def digest(self) -> str:
        """The SHA-256 of the file that was read.

        Raises:
            BadInput: it has changed since it was opened.
        """
        try:
            found = files.digest(self.path)
        except OSError:
            found = ""  # it is gone, which is said next
        check_unchanged(self.path, self.about, self.where)
        return found

    def hint(self) -> str:
        """Nothing: its columns are not to be mistaken."""
        return ""

    def pieces(self, wanted: Sequence[str], text: Collection[str]) -> Iterator[Piece]:
        """The rows, a piece at a time; a column says itself whether it is text.

        Args:
            wanted: columns to read.
            text: not looked at.
        """
        start = 0
        with self._reader([*wanted]) as file:
            for number in range(file.num_row_groups):
                rows = file.metadata.row_group(number).num_rows
                at = np.arange(start + 1, start + rows + 1)
                yield Piece(_Columns(self, file, number, rows, wanted), at)
                start += rows

    def block(self, file: Any, number: int, rows: int, names: Sequence[str]) -> dict[str, Column]:
        """Some columns of a row group."""
        table = file.read_row_group(number, columns=[*names]).unify_dictionaries()
        if len(table) != rows:
            raise BadInput(
                f"{self.where}: {len(table):,} rows where it says {rows:,}; save the table anew"
            )
        return {name: self._values(_whole(table.column(name)), name) for name in names}

    def _values(self, cells: Any, name: str) -> Column:
        import pyarrow as pa

        kind, codes = cells.type, None
        if pa.types.is_dictionary(kind):
            codes = cells.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            cells, kind = cells.dictionary, cells.dictionary.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if codes is None:
                packed = cells.dictionary_encode()
                codes = packed.indices.fill_null(-1).to_numpy(zero_copy_only=False)
                cells = packed.dictionary
            values = [str(value) for value in cells.to_pylist()]
            empty = np.array([value in EMPTY for value in values] + [True])
            return Texts(np.where(empty[codes], -1, codes), values)
        if pa.types.is_boolean(kind):
            cells = cells.cast(pa.int8())
        elif pa.types.is_null(kind) or pa.types.is_decimal(kind):
            cells = cells.cast(pa.float64())
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise BadInput(
                f"{self.where}, column {shown(name)}: {plain(kind)} is neither number nor text; "
                "convert the column or name it under ignore"
            )
        numbers = cells.to_numpy(zero_copy_only=False).astype(np.float64)
        return numbers if codes is None else np.append(numbers, np.nan)[codes]

    def _reader(self, texts: Sequence[str] = ()) -> _Reader:
        return _Reader(self.path, self.where, texts)


class _Columns(Mapping[str, Column]):
    """The columns of a row group, unpacked a few at a time: in all they may be too large."""

    def __init__(
        self, sheet: ParquetSheet, file: Any, number: int, rows: int, wanted: Sequence[str]
    ) -> None:
        self.sheet, self.file, self.number, self.rows = sheet, file, number, rows
        self.place = {name: i for i, name in enumerate(wanted)}
        self.wanted = wanted
        self.held: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self.held:
            self.held = {}
            start, width = self.place[name], max(1, BLOCK // max(1, self.rows))
            some = self.wanted[start : start + width]
            try:
                self.held = self.sheet.block(self.file, self.number, self.rows, some)
            except BadInput:
                raise
            except Exception as error:  # pyarrow's are many
                refuse(self.sheet.where, error)
        return self.held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.wanted)

    def __len__(self) -> int:
        return len(self.wanted)


def check_declared(file: Any, where: str, packed: int) -> None:
    """Raise `BadInput` where a Parquet says that it is too large.

    Args:
        file: pyarrow's.
        packed: bytes of the file.
    """
    about = file.metadata
    groups = [about.row_group(g) for g in range(about.num_row_groups)]
    sizes, rows = [g.total_byte_size for g in groups], [g.num_rows for g in groups]
    check_cells(max(sum(rows), about.num_rows), about.num_columns, where, packed)
    most = min(files.UNPACKED, max(files.FREE, files.RATIO * packed))
    if sum(sizes) > most or min([*sizes, *rows], default=0) < 0:
        raise BadInput(f"{where}: unpacks to more than {most:,} bytes; leave out columns")


def _whole(column: Any) -> Any:
    whole = column.combine_chunks()
    return whole.chunk(0) if hasattr(whole, "num_chunks") else whole


def refuse(where: str, error: Exception) -> NoReturn:
    """Say in one line what pyarrow said."""
    raise BadInput(
        f"{where}: cannot be read as Parquet ({plain(error)}); save the table anew"
    ) from None


class _Reader:
    """pyarrow's file; whatever it finds wrong becomes one line."""

    def __init__(self, path: Path, where: str, columns: Sequence[str]) -> None:
        self.path, self.where, self.columns = path, where, columns

    def __enter__(self) -> Any:
        import pyarrow.parquet as parquet

        try:
            # Texts stay numbered, so that one long text in many rows is kept once.
            self.file = parquet.ParquetFile(self.path, read_dictionary=[*self.columns])
        except Exception as error:  # pyarrow's are many
            refuse(self.where, error)
        return self.file

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.file.close()
        if isinstance(error, Exception) and not isinstance(error, BadInput):
            refuse(self.where, error)
