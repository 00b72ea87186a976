"""The cells of a user's table: numbers, categories and labels, gathered from its pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from ..tasks import BadInput
from .columns import Roles, few
from .opening import Sheet
from .sheets import EMPTY, Column, Piece, Texts, shown

MOST = 30  # categories of a column of text
LARGEST = 1e30  # a number above it cannot be squared in float64 and stay far from infinity
WORDS = {"true": 1.0, "false": 0.0, **dict.fromkeys(map(str.lower, EMPTY), math.nan)}


class Category(NamedTuple):
    """A feature of text."""

    name: str
    codes: Int[np.ndarray, " N"]  # -1 where missing
    values: list[str]


class Cells(NamedTuple):
    """The rows that have a label."""

    y: Float32[np.ndarray, "N T"]
    numbers: Float32[np.ndarray, "N F"]
    names: list[str]  # of the columns of numbers
    categories: list[Category]
    crowded: list[str]  # features of text with too many categories
    keys: dict[str, Texts]  # of the columns for SMILES, groups and the split
    at: Int[np.ndarray, " N"]  # where in the file the row is
    unlabelled: int  # rows left out


def gathered(sheet: Sheet, roles: Roles) -> Cells:
    """The cells of all columns that have a role.

    Numbers are finite numbers, true and false (1 and 0), and nothing, NA, NaN, null or None where
    one is missing. A feature with any other cell is a column of categories, all of its cells.

    Raises:
        BadInput: a target that is no number, a number that is infinite or too large, a row that
            is no row, no rows, or none with a label.
    """
    text = {name for name in (roles.smiles, roles.group, roles.split) if name is not None}
    heap = _Heap(sheet, roles, text)
    while late := heap.fill():  # once at most: columns that turn out to be text in a later piece
        heap = _Heap(sheet, roles, heap.text | late)
    return heap.cells()


class _Codes:
    """Texts of all pieces under one numbering; given up at more than `most` of them."""

    def __init__(self, most: float = math.inf) -> None:
        self.most, self.known = most, dict[str, int]()
        self.parts: list[np.ndarray] = []
        self.crowded = False

    def add(self, cells: Texts, kept: np.ndarray) -> None:
        if self.crowded:
            return
        used = np.unique(cells.codes[kept])
        place = np.full(len(cells.values) + 1, -1, np.int64)  # the last one is that of -1
        for code in used[used >= 0]:
            place[code] = self.known.setdefault(cells.values[code], len(self.known))
            if len(self.known) > self.most:
                self.crowded, self.parts = True, []
                return
        codes = place[cells.codes[kept]]
        self.parts.append(codes.astype(np.int8 if self.most < 128 else np.int32))

    def texts(self) -> Texts:
        """In the order of the alphabet, whatever the order of the rows."""
        values = sorted(self.known)
        order = {value: i for i, value in enumerate(values)}
        place = np.array([*(order[v] for v in self.known), -1], np.int32)
        codes = np.concatenate([np.zeros(0, np.int8), *self.parts])
        return Texts(place[codes].astype(codes.dtype), values)


class _Heap:
    """The cells that have been read."""

    def __init__(self, sheet: Sheet, roles: Roles, text: set[str]) -> None:
        self.sheet, self.roles, self.text = sheet, roles, set(text)
        self.keys = {
            name: _Codes() for name in (roles.smiles, roles.group, roles.split) if name is not None
        }
        self.categories = {name: _Codes(MOST) for name in roles.features if name in text}
        self.late: set[str] = set()
        self.y: list[np.ndarray] = []
        self.numbers: list[np.ndarray] = []
        self.at: list[np.ndarray] = []
        self.read = self.unlabelled = 0

    def fill(self) -> set[str]:
        """Read the table; returns the columns that have to be read as text from its start."""
        roles = self.roles
        wanted = [*roles.targets, *roles.features, *self.keys]
        for number, piece in enumerate(self.sheet.pieces(wanted, self.text)):
            y = self._numbers_of(piece, roles.targets, needed=True)
            if number == 0:  # text in the first piece is text from the start
                for name in [name for name in roles.features if name in self.sheet.texts]:
                    if name not in self.text and _numbers(piece.columns[name]) is None:
                        self.text.add(name)
                        self.categories[name] = _Codes(MOST)
            names = [name for name in roles.features if name not in self.text]
            x = self._numbers_of(piece, names, needed=False)
            self.read += len(piece.at)
            if self.late:
                self.y, self.numbers = [], []
                continue  # only to find the others
            kept = ~np.isnan(y).all(1)
            self.unlabelled += int((~kept).sum())
            self.y.append(y[kept])
            self.numbers.append(x if kept.all() else x[kept])
            self.at.append(piece.at[kept])
            for some in (self.keys, self.categories):
                for name, codes in some.items():
                    codes.add(_as_texts(piece.columns[name]), kept)
        return self.late

    def cells(self) -> Cells:
        where, roles = self.sheet.where, self.roles
        if not self.read:
            raise BadInput(f"{where}: has a header and no rows; give one row or more")
        if self.unlabelled == self.read:
            raise BadInput(f"{where}: no row has a label; fill in {few(roles.targets, 2)}")
        every = {n: self.categories[n] for n in roles.features if n in self.categories}
        categories = {name: codes for name, codes in every.items() if not codes.crowded}
        return Cells(
            y=_joined(self.y),
            numbers=_joined(self.numbers),
            names=[name for name in roles.features if name not in self.text],
            categories=[Category(name, *codes.texts()) for name, codes in categories.items()],
            crowded=[name for name, codes in every.items() if codes.crowded],
            keys={name: codes.texts() for name, codes in self.keys.items()},
            at=np.concatenate(self.at),
            unlabelled=self.unlabelled,
        )

    def _numbers_of(
        self, piece: Piece, names: Sequence[str], needed: bool
    ) -> Float32[np.ndarray, "n columns"]:
        found = np.empty((len(piece.at), len(names)), np.float32)
        for i, name in enumerate(names):
            values = _numbers(piece.columns[name])
            if values is None and needed:
                self._refuse_text(piece, name)
            if values is None:
                self.late.add(name)
                continue
            large = np.abs(values) > LARGEST
            if large.any():
                here = self._place(piece, int(large.argmax()), name)
                raise BadInput(
                    f"{here}: infinite, or above {LARGEST:g} in size; mend the cell or leave it "
                    "empty"
                )
            found[:, i] = values
        return found

    def _refuse_text(self, piece: Piece, name: str) -> None:
        cells = piece.columns[name]
        assert isinstance(cells, Texts)
        wrong = np.array([_number(value) is None for value in cells.values] + [False])
        row = int(wrong[cells.codes].argmax())
        raise BadInput(
            f"{self._place(piece, row, name)}: {shown(cells.values[cells.codes[row]])} is no "
            "label; write a number (0 or 1 for a class) or nothing"
        )

    def _place(self, piece: Piece, row: int, name: str) -> str:
        return f"{self.sheet.where}, {self.sheet.unit} {piece.at[row]}, column {shown(name)}"


def _numbers(cells: Column) -> Float[np.ndarray, " n"] | None:
    """The cells as numbers, or None where one of them is none."""
    if not isinstance(cells, Texts):
        return cells
    found = [_number(value) for value in cells.values]
    known = [value for value in found if value is not None]
    return np.array([*known, math.nan])[cells.codes] if len(known) == len(found) else None


def _number(text: str) -> float | None:
    word = text.strip().lower()
    if word in WORDS:
        return WORDS[word]
    try:
        return None if "_" in word else float(word)
    except ValueError:
        return None


def _as_texts(cells: Column) -> Texts:
    if isinstance(cells, Texts):
        return cells
    values, codes = np.unique(cells, return_inverse=True)
    codes = np.where(np.isnan(cells), -1, codes)
    return Texts(codes, [f"{value:.17g}" for value in values])


def _joined(parts: list[np.ndarray]) -> Float32[np.ndarray, "N columns"]:
    """All parts in one table, each given up when it is there: a table is never there twice."""
    if len(parts) == 1:
        return parts[0]
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), np.float32)
    start = 0
    for i in range(len(parts)):
        part, parts[i] = parts[i], parts[0][:0]
        whole[start : start + len(part)] = part
        start += len(part)
    return whole
