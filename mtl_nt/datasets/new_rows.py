"""New rows of a table, read as the rows that networks were trained on.

`Reading` keeps how the columns of a table became features. `Reading.whole` gives the features of
all rows and a card in JSON, with which `read_new_rows` reads other rows in the same way: the same
columns, medians, scales, categories or fingerprints. Nothing is learned from new rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int

from ..bits import Bits, Features
from ..errors import BadInput, suggestion
from .cell_numbers import NO_VALUE, explain_text, parse_number, says_no_value
from .cells import as_texts
from .column_roles import shortlist
from .features import Scales, TableFeatures, scaled
from .fingerprints import FINGERPRINT_BITS, RADIUS, read_fingerprints
from .frame_sheet import FrameSheet
from .missing_values import MissingValues
from .number_columns import LARGEST_NUMBER
from .sheets import Chunk, TextColumn, quoted
from .table_files import Sheet, open_sheet

if TYPE_CHECKING:  # a slow import
    import pandas as pd

FEWEST_ROWS = 5  # with fewer, a column that lies outside the range of training says nothing
OUTSIDE = 0.5  # of a column's cells: so many outside the range of training are noted


class NumbersCard(TypedDict):
    """The columns of numbers among the features, in order. A scale of 0 makes a column 0."""

    name: list[str]
    offset: list[float]
    median: list[float]
    mean: list[float]
    scale: list[float]
    lowest: list[float]
    highest: list[float]


class CategoryCard(TypedDict):
    """A column of categories, and the value that each of its features stands for."""

    name: str
    values: list[str]


class MoleculesCard(TypedDict):
    """A column of SMILES, and the fingerprints that are its features."""

    name: str
    radius: int
    bits: int
    rdkit: str


class ReadingCard(TypedDict):
    """How new rows are read. Features are numbers and then categories, or fingerprints alone."""

    numbers: NumbersCard
    categories: list[CategoryCard]
    molecules: MoleculesCard | None
    missing: list[str]
    decimal: str | None


class NewRows(NamedTuple):
    """New rows as networks read them.

    Attributes:
        x: the features of the rows that can be predicted.
        known: which of the rows these are; a row whose molecule nobody can read is none.
        positions: where every row is in its file: its line, or its row.
        unit: "line" or "row".
        notes: one sentence on each thing that training rows had not.
    """

    x: Features
    known: Bool[np.ndarray, " N"]
    positions: Int[np.ndarray, " N"]
    unit: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """How the columns of a table became features.

    Args:
        inputs: the features before they are scaled, or the fingerprints.
        offsets: what was taken off columns that are far from zero.
        missing: the values that the user called empty.
        decimal: the decimal mark, where the user gave it.
        smiles: the column of SMILES, if the features are fingerprints.
    """

    inputs: TableFeatures | Bits
    offsets: dict[str, float]
    missing: tuple[str, ...]
    decimal: str | None
    smiles: str | None = None

    def __reduce__(self) -> Any:
        """Nothing: a process that trains needs no reading, and the table is large."""
        return type(None), ()

    def made(self, x: Features, train: Int[torch.Tensor, " train"]) -> bool:
        """Whether these are the features that the table gives with these training rows."""
        if isinstance(self.inputs, Bits) or isinstance(x, Bits):
            return x is self.inputs
        rows = np.zeros(len(self.inputs.cells.y), bool)
        if len(x) != len(rows):
            return False
        rows[train.numpy()] = True
        return torch.equal(x, torch.from_numpy(self.inputs.matrix(rows)))

    def whole(self) -> tuple[Features, ReadingCard]:
        """The features of all rows, of which each is a training row, and the card of new rows."""
        none = np.zeros(0)
        card: ReadingCard = {
            "numbers": _numbers_card([], {}, Scales(none, none, none, none, none)),
            "categories": [],
            "molecules": None,
            "missing": [*self.missing],
            "decimal": self.decimal,
        }
        if isinstance(self.inputs, Bits):
            assert self.smiles is not None  # nothing else becomes bits
            card["molecules"] = {
                "name": self.smiles,
                "radius": RADIUS,
                "bits": FINGERPRINT_BITS,
                "rdkit": rdkit_version(),
            }
            return self.inputs, card
        every = np.ones(len(self.inputs.cells.y), bool)
        cells, scales = self.inputs.cells, self.inputs.scales(every)
        names = [cells.names[i] for i in self.inputs.varied]
        card["numbers"] = _numbers_card(names, self.offsets, scales)
        card["categories"] = [{"name": c.name, "values": [*c.values]} for c in cells.categories]
        return torch.from_numpy(self.inputs.matrix(every)), card


def read_new_rows(source: str | Path | pd.DataFrame, card: ReadingCard) -> NewRows:
    """Read new rows of a table. Columns that are no features are not read.

    An empty number becomes the median of the training rows. An empty category counts as none of the
    known ones, and so does a category that training had not.

    Args:
        source: the path of a CSV, TSV or Parquet, or a table in memory.
        card: how the training rows were read.

    Raises:
        BadInput: a column that is not there, a cell that is no number, or a file that is no table.

    >>> import pandas as pd
    >>> numbers = {"name": ["age"], "offset": [0.0], "median": [40.0], "mean": [50.0],
    ...     "scale": [10.0], "lowest": [20.0], "highest": [80.0]}
    >>> card = {"numbers": numbers, "categories": [{"name": "sex", "values": ["f", "m"]}],
    ...     "molecules": None, "missing": [], "decimal": None}
    >>> rows = read_new_rows(pd.DataFrame({"sex": ["m", "x"], "age": [60.0, None]}), card)
    >>> rows.x.tolist()
    [[1.0, 0.0, 1.0], [-1.0, 0.0, 0.0]]
    >>> for note in rows.notes:
    ...     print(note)
    Empty numbers are the median of the training rows: 1, in 'age'.
    Categories unknown to training count as none: 'x' in 'sex' (rows: 1).
    """
    sheet: Sheet | FrameSheet
    sheet = open_sheet(source, least=1) if isinstance(source, (str, Path)) else FrameSheet(source)
    if card["decimal"] is not None:
        sheet.decimal = card["decimal"]
    numbers, categories = card["numbers"]["name"], [c["name"] for c in card["categories"]]
    texts = [*categories, *([card["molecules"]["name"]] if card["molecules"] else [])]
    _check_columns(sheet, [*numbers, *texts])
    reader = _Reader(sheet, card, MissingValues(sheet.where, card["missing"], sheet.names))
    for chunk in sheet.chunks([*numbers, *texts], texts):
        reader.add(chunk)
    return reader.rows()


def rdkit_version() -> str:
    """The version of RDKit."""
    import rdkit

    return str(rdkit.__version__)


def input_width(card: ReadingCard) -> int:
    """How many features a row has.

    >>> numbers = dict.fromkeys(NumbersCard.__annotations__, [])
    >>> input_width({"numbers": numbers, "categories": [{"name": "sex", "values": ["f", "m"]}],
    ...     "molecules": None, "missing": [], "decimal": None})
    2
    """
    if card["molecules"] is not None:
        return card["molecules"]["bits"]
    return len(card["numbers"]["name"]) + sum(len(c["values"]) for c in card["categories"])


def is_reading(card: ReadingCard) -> bool:
    """Whether a card that somebody may have edited can be used."""
    numbers, molecules = card["numbers"], card["molecules"]
    names = [*numbers["name"], *(c["name"] for c in card["categories"])]
    lengths = {len(column) for column in numbers.values()}  # type: ignore[arg-type]
    finite = all(
        math.isfinite(value)
        for field, column in numbers.items()
        if field != "name"
        for value in column  # type: ignore[attr-defined]
    )
    good = len(lengths) == 1 and finite and min(numbers["scale"], default=0.0) >= 0
    if molecules is not None:
        known = molecules["radius"] == RADIUS and molecules["bits"] == FINGERPRINT_BITS
        return good and known and not names
    return (
        good
        and bool(names)
        and len({*names}) == len(names)
        and all(c["values"] == sorted({*c["values"]}) for c in card["categories"])
        and card["decimal"] in (None, ".", ",")
    )


def _numbers_card(names: list[str], offsets: Mapping[str, float], scales: Scales) -> NumbersCard:
    return {
        "name": names,
        "offset": [offsets.get(name, 0.0) for name in names],
        "median": scales.median.tolist(),
        "mean": scales.mean.tolist(),
        "scale": scales.scale.tolist(),
        "lowest": scales.lowest.tolist(),
        "highest": scales.highest.tolist(),
    }


def _scales_of(card: NumbersCard) -> Scales:
    columns = (card["median"], card["mean"], card["scale"], card["lowest"], card["highest"])
    return Scales(*(np.array(column, np.float64) for column in columns))


def _check_columns(sheet: Sheet | FrameSheet, wanted: Sequence[str]) -> None:
    """Check that all columns are there."""
    lost = [name for name in wanted if name not in sheet.names]
    if not lost:
        return
    close = suggestion(lost[0], sheet.names)
    hint = f"; {close}" if close.startswith("did you mean") and len(close) < 80 else ""
    columns = "no column" if len(lost) == 1 else f"{len(lost):,} columns are missing:"
    raise BadInput(
        f"{sheet.where}: {columns} {shortlist(lost, 4)}, which training had{hint}; give "
        f"{'it' if len(lost) == 1 else 'them'}, with empty cells where nothing is known"
    )


class _Reader:
    """Collects the features of new rows, chunk by chunk, and what training rows had not."""

    def __init__(
        self, sheet: Sheet | FrameSheet, card: ReadingCard, missing: MissingValues
    ) -> None:
        self.sheet, self.card, self.missing = sheet, card, missing
        self.parts: list[Float32[np.ndarray, "n F"]] = []
        self.packed: list[bytes] = []  # fingerprints
        self.known: list[Bool[np.ndarray, " n"]] = []
        self.positions: list[Int[np.ndarray, " n"]] = []
        columns = len(card["numbers"]["name"])
        self.empty, self.outside = np.zeros(columns, int), np.zeros(columns, int)
        self.unknown: dict[str, dict[str, int]] = {}
        self.blank: dict[str, int] = {}  # cells without a category, by column
        self.unreadable: list[tuple[int, str]] = []

    def add(self, chunk: Chunk) -> None:
        """Read one chunk."""
        self.positions.append(chunk.positions)
        if (molecules := self.card["molecules"]) is not None:
            self._add_molecules(as_texts(chunk.columns[molecules["name"]]), chunk)
            return
        numbers, categories = self.card["numbers"], self.card["categories"]
        table = np.empty((len(chunk.positions), len(numbers["name"])), np.float32)
        for i, name in enumerate(numbers["name"]):
            values = self._numbers_of(chunk, name)
            self.empty[i] += int(np.isnan(values).sum())
            table[:, i] = values - numbers["offset"][i]
        scales = _scales_of(numbers)
        with np.errstate(invalid="ignore"):
            self.outside += ((table < scales.lowest) | (table > scales.highest)).sum(0)
        parts = [scaled(table, scales)]
        for category in categories:
            parts.append(self._one_hot(category, as_texts(chunk.columns[category["name"]])))
        self.parts.append(np.concatenate(parts, 1))
        self.known.append(np.ones(len(table), bool))

    def rows(self) -> NewRows:
        """All rows that were read."""
        where, card = self.sheet.where, self.card
        if not self.positions:
            raise BadInput(f"{where}: has a header and no rows; give one row or more")
        positions, known = np.concatenate(self.positions), np.concatenate(self.known)
        if card["molecules"] is not None:
            count = FINGERPRINT_BITS // 8
            packed = np.frombuffer(b"".join(self.packed), np.uint8).reshape(-1, count)
            x: Features = Bits.from_dense(
                torch.from_numpy(np.unpackbits(packed, axis=1).astype(bool))
            )
        else:
            x = torch.from_numpy(np.concatenate(self.parts))
        return NewRows(x, known, positions, self.sheet.unit, tuple(self._notes(len(known))))

    def _numbers_of(self, chunk: Chunk, name: str) -> Float64[np.ndarray, " n"]:
        cells = chunk.columns[name]
        values = self._parsed(chunk, name, cells) if isinstance(cells, TextColumn) else cells
        values = self.missing.emptied(name, values)
        large = np.abs(values) > LARGEST_NUMBER
        if large.any():
            raise BadInput(
                f"{self._location(chunk, int(large.argmax()), name)}: infinite, or above "
                f"{LARGEST_NUMBER:g} in size; mend the cell or leave it empty"
            )
        return values

    def _parsed(self, chunk: Chunk, name: str, cells: TextColumn) -> Float64[np.ndarray, " n"]:
        """Texts as numbers; NaN where a cell is empty or says that there is no value."""
        numbers = np.full(len(cells.values) + 1, np.nan)  # the last one is for empty cells
        for code, text in enumerate(cells.values):
            number = parse_number(text, self.sheet.decimal)
            if number is not None:
                numbers[code] = number
            elif not self.missing.covers(name, text) and text.strip().lower() not in NO_VALUE:
                row = int((cells.codes == code).argmax())
                raise BadInput(
                    f"{self._location(chunk, row, name)}: "
                    f"{explain_text(text, self.sheet.decimal)}; mend the cell or leave it empty"
                )
        return numbers[cells.codes]

    def _one_hot(
        self, category: CategoryCard, cells: TextColumn
    ) -> Float32[np.ndarray, "n values"]:
        number = {value: i for i, value in enumerate(category["values"])}
        width = len(number)
        place = np.full(len(cells.values) + 1, width)  # the last one is for empty cells
        for code, text in enumerate(map(str.strip, cells.values)):
            if text in number:
                place[code] = number[text]
            elif not self.missing.covers(category["name"], text) and not says_no_value(text):
                counts = self.unknown.setdefault(category["name"], {})
                counts[text] = counts.get(text, 0) + int((cells.codes == code).sum())
                place[code] = width + 1
        places = place[cells.codes]
        if blank := int((places == width).sum()):
            self.blank[category["name"]] = self.blank.get(category["name"], 0) + blank
        return np.eye(width + 2, width, dtype=np.float32)[places]

    def _add_molecules(self, cells: TextColumn, chunk: Chunk) -> None:
        found = read_fingerprints(self.sheet.where, cells.values)
        readable = np.array([one is not None for one in found] + [False])[cells.codes]
        self.known.append(readable)
        self.packed += [found[code] or b"" for code in cells.codes[readable]]
        for row in np.flatnonzero(~readable):
            code = cells.codes[row]
            text = "nothing" if code < 0 else quoted(cells.values[code])
            self.unreadable.append((int(chunk.positions[row]), text))

    def _notes(self, rows: int) -> list[str]:
        names, notes = self.card["numbers"]["name"], list[str]()
        if lost := self.unreadable:
            first = ", ".join(f"{self.sheet.unit} {at} ({text})" for at, text in lost[:3])
            notes.append(
                f"RDKit cannot read {len(lost):,} of {rows:,} molecules: {first}"
                f"{', ...' if len(lost) > 3 else ''}. Their predictions are empty."
            )
        molecules = self.card["molecules"]
        if molecules is not None and (version := rdkit_version()) != molecules["rdkit"]:
            notes.append(
                f"RDKit is {version} here and was {molecules['rdkit']} in training, so some "
                "fingerprints may differ."
            )
        if count := int(self.empty.sum()):
            holes = [name for name, n in zip(names, self.empty, strict=True) if n]
            notes.append(
                f"Empty numbers are the median of the training rows: {count:,}, in "
                f"{shortlist(holes)}."
            )
        if count := sum(self.blank.values()):
            notes.append(
                f"Empty categories count as none of the known ones: {count:,}, in "
                f"{shortlist([*self.blank])}."
            )
        there = rows - self.empty
        far = (self.outside > OUTSIDE * there) & (there >= FEWEST_ROWS)
        if far.any():
            others = [names[i] for i in np.flatnonzero(far)]
            notes.append(
                f"Most cells are outside the range of the training rows: {shortlist(others)}; are "
                "they in the same units?"
            )
        for name, counts in self.unknown.items():
            notes.append(
                f"Categories unknown to training count as none: {shortlist([*counts], 4)} in "
                f"{quoted(name)} (rows: {sum(counts.values()):,})."
            )
        return notes

    def _location(self, chunk: Chunk, row: int, name: str) -> str:
        place = f"{self.sheet.unit} {chunk.positions[row]}"
        return f"{self.sheet.where}, {place}, column {quoted(name)}"
