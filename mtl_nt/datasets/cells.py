"""The cells of a user's table: labels, numbers, categories and keys.

`read_cells` goes through the chunks of a sheet once. If a column turns out to be text only in a
later chunk, it reads the sheet a second time, with this column as text from the first row on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from ..errors import BadInput
from .class_targets import ClassTargets
from .column_roles import Roles, shortlist
from .missing_values import MissingValues
from .number_columns import NumberColumns
from .remarks import Remarks
from .sheets import Chunk, Column, TextColumn
from .table_files import Sheet

MAX_CATEGORIES = 30  # a column of text with more is no feature


class Category(NamedTuple):
    """A feature of text. Its codes are those of the sorted values, -1 where the cell is empty."""

    name: str
    codes: Int[np.ndarray, " N"]
    values: list[str]


class Cells(NamedTuple):
    """The N rows of a table that have a label, for T targets and F features of numbers.

    A column that is far from zero is kept as the difference from its offset, because float32 has
    seven digits.
    """

    y: Float32[np.ndarray, "N T"]  # NaN where a label is missing; of classes their number
    numbers: Float32[np.ndarray, "N F"]  # NaN where a number is missing
    names: list[str]  # the F columns of numbers
    categories: list[Category]
    crowded: dict[str, list[str]]  # features of text with too many values, and the first of these
    keys: dict[str, TextColumn]  # the columns for SMILES, groups, times and the split
    positions: Int[np.ndarray, " N"]  # the line or row of the file where each row begins
    unlabelled: int  # how many rows were left out, since they have no label
    offsets: dict[str, float]  # the columns that are far from zero
    classes: dict[str, tuple[str, ...]]  # the names of the classes of each target that has some

    def label_offsets(self, targets: Sequence[str]) -> Float64[np.ndarray, " T"]:
        """Return the offset of every target, most of them 0."""
        return np.array([self.offsets.get(name, 0.0) for name in targets])

    def take(self, rows: Bool[np.ndarray, " N"]) -> Cells:
        """Return some of the rows."""
        return self._replace(
            y=self.y[rows],
            numbers=self.numbers[rows],
            categories=[c._replace(codes=c.codes[rows]) for c in self.categories],
            keys={n: c._replace(codes=c.codes[rows]) for n, c in self.keys.items()},
            positions=self.positions[rows],
        )


def read_cells(sheet: Sheet, roles: Roles, missing: MissingValues, remarks: Remarks) -> Cells:
    """Read the cells of all columns that have a role.

    A number is a finite number, or true or false (1 and 0). In every column, be it one of numbers,
    of categories or of classes, a cell is empty where `cell_numbers.says_no_value`. A feature in
    which half of the cells are numbers, and few are words, is a column of numbers, whose other
    cells are asked about. Any other feature with texts is a column of categories.

    Args:
        sheet: the table.
        roles: the roles of its columns.
        missing: the cells that the user calls empty.
        remarks: gets a note on the codes for "no value", and a question for each faulty column.

    Raises:
        BadInput: a target that is no number, a number that is infinite or too large, a line that
            is no row, no rows, or no row with a label.
    """
    text = {*roles.keys, *roles.classes}
    reader = _CellReader(sheet, roles, text, missing)
    while late_texts := reader.read():  # at most once
        missing.counts.clear()
        reader = _CellReader(sheet, roles, reader.text | late_texts, missing)
    reader.columns.remark(remarks)
    reader.classes.remark(remarks)
    return reader.cells()


class _TextCodes:
    """The texts of all chunks under one numbering, which gives up at more than `most` texts.

    Blanks around a text are no part of it.
    """

    def __init__(self, most: float = math.inf) -> None:
        self.most, self.known = most, dict[str, int]()
        self.parts: list[np.ndarray] = []
        self.crowded = False

    def add(self, cells: TextColumn, kept: np.ndarray) -> None:
        if self.crowded:
            return
        used = np.unique(cells.codes[kept])
        new_code = np.full(len(cells.values) + 1, -1, np.int64)  # its last entry is for -1
        for code in used[used >= 0]:
            if not (text := cells.values[code].strip()):
                continue
            new_code[code] = self.known.setdefault(text, len(self.known))
            if len(self.known) > self.most:
                self.crowded, self.parts = True, []
                return
        codes = new_code[cells.codes[kept]]
        self.parts.append(codes.astype(np.int8 if self.most < 128 else np.int32))

    def texts(self) -> TextColumn:
        """Number the texts in alphabetical order, so that the order of the rows does not matter."""
        values = sorted(self.known)
        order = {value: i for i, value in enumerate(values)}
        new_code = np.array([*(order[v] for v in self.known), -1], np.int32)
        codes = np.concatenate([np.zeros(0, np.int8), *self.parts])
        return TextColumn(new_code[codes].astype(codes.dtype), values)


class _CellReader:
    """Collects the cells of a sheet, with the columns in `text` read as texts."""

    def __init__(self, sheet: Sheet, roles: Roles, text: set[str], missing: MissingValues) -> None:
        self.sheet, self.roles, self.text = sheet, roles, set(text)
        self.columns = NumberColumns(sheet, missing)
        self.classes = ClassTargets(sheet, sorted(roles.classes), missing)
        self.keys = {name: _TextCodes() for name in roles.keys}
        self.categories = {
            name: _TextCodes(MAX_CATEGORIES) for name in roles.features if name in text
        }
        self.late_texts: set[str] = set()  # columns whose first text is in a later chunk
        self.y: list[np.ndarray] = []
        self.numbers: list[np.ndarray] = []
        self.positions: list[np.ndarray] = []
        self.rows = self.unlabelled = 0

    def read(self) -> set[str]:
        """Read the whole sheet and return the late texts: with any, it must be read again."""
        roles = self.roles
        wanted = [*roles.targets, *roles.features, *self.keys]
        for number, chunk in enumerate(self.sheet.chunks(wanted, self.text)):
            y = self._numbers_of(chunk, roles.targets, needed=True)
            if number == 0:  # a text in the first chunk comes in time
                for name in [name for name in roles.features if name in self.sheet.texts]:
                    if name not in self.text and self.columns.is_text(chunk, name):
                        self.text.add(name)
                        self.categories[name] = _TextCodes(MAX_CATEGORIES)
            names = [name for name in roles.features if name not in self.text]
            x = self._numbers_of(chunk, names, needed=False)
            self.rows += len(chunk.positions)
            if self.late_texts:
                self.y, self.numbers = [], []
                continue  # only to find the other late texts
            kept = ~np.isnan(y).all(1)
            self.unlabelled += int((~kept).sum())
            self.y.append(y[kept])
            self.numbers.append(x if kept.all() else x[kept])
            self.positions.append(chunk.positions[kept])
            for columns in (self.keys, self.categories):
                for name, codes in columns.items():
                    cells = as_texts(chunk.columns[name])
                    if name in self.categories:
                        cells = self.columns.without_missing(name, cells)
                    codes.add(cells, kept)
        return self.late_texts

    def cells(self) -> Cells:
        where, roles = self.sheet.where, self.roles
        if not self.rows:
            raise BadInput(f"{where}: has a header and no rows; give one row or more")
        if self.unlabelled == self.rows:
            raise BadInput(f"{where}: no row has a label; fill in {shortlist(roles.targets, 2)}")
        found_categories = {n: self.categories[n] for n in roles.features if n in self.categories}
        categories = {name: codes for name, codes in found_categories.items() if not codes.crowded}
        y = _concatenated(self.y)
        for name in roles.classes:
            t = roles.targets.index(name)
            y[:, t] = self.classes.renumbered(name, y[:, t])
        return Cells(
            y=y,
            numbers=_concatenated(self.numbers),
            names=[name for name in roles.features if name not in self.text],
            categories=[Category(name, *codes.texts()) for name, codes in categories.items()],
            crowded={n: [*codes.known] for n, codes in found_categories.items() if codes.crowded},
            keys={name: codes.texts() for name, codes in self.keys.items()},
            positions=np.concatenate(self.positions),
            unlabelled=self.unlabelled,
            offsets=self.columns.offsets,
            classes={name: self.classes.sorted_names(name) for name in sorted(roles.classes)},
        )

    def _numbers_of(
        self, chunk: Chunk, names: Sequence[str], needed: bool
    ) -> Float32[np.ndarray, "n columns"]:
        numbers = np.empty((len(chunk.positions), len(names)), np.float32)
        started = bool(self.numbers)
        for i, name in enumerate(names):
            if needed and name in self.roles.classes:
                numbers[:, i] = self.classes.read(name, as_texts(chunk.columns[name]))
                continue
            before = self.numbers[0][:, i] if started and not needed else None
            values = self.columns.read(chunk, name, needed, before, first=not self.rows)
            if values is None:
                self.late_texts.add(name)
            else:
                numbers[:, i] = values
        return numbers


def as_texts(cells: Column) -> TextColumn:
    """The cells of a column as texts.

    >>> as_texts(np.array([1.0, np.nan, 0.5])).values[:2]
    ['0.5', '1']
    """
    if isinstance(cells, TextColumn):
        return cells
    values, codes = np.unique(cells, return_inverse=True)
    codes = np.where(np.isnan(cells), -1, codes)
    return TextColumn(codes, [f"{value:.17g}" for value in values])


def _concatenated(parts: list[np.ndarray]) -> Float32[np.ndarray, "N columns"]:
    """Join the parts, and free each one once it is copied: the table is never in memory twice."""
    if len(parts) == 1:
        return parts[0]
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), np.float32)
    start = 0
    for i in range(len(parts)):
        part, parts[i] = parts[i], parts[0][:0]
        whole[start : start + len(part)] = part
        start += len(part)
    return whole
