"""Which rows of a user's table a run trains on, validates on and is tested on."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Int16

from ..errors import BadInput
from ..tasks import TaskKind
from .cell_numbers import parse_number
from .cells import Cells
from .folds import split_round
from .molecule_groups import MoleculeGroups
from .sheets import quoted
from .split_rule import SplitRule
from .stratified_folds import assign_stratified, rare_labels
from .table_files import Sheet

SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
"""What a split column may say, in upper or lower case."""
DATE = re.compile(r"\d{4}-\d{2}(-\d{2}([T ](?P<clock>.*))?)?")
ZONE = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$", re.IGNORECASE)  # at the end of a clock's time
TRAINING, VALIDATION = 0.7, 0.1  # of the rows of a split by time; the rest is the test


class RowSplitter:
    """Splits the rows of a table by seed: in folds, or always as a column of the table says.

    Rare labels are shared out evenly among the folds.

    Args:
        sheet: the table.
        cells: its N rows.
        folds: the number of folds.
        rule: how the rows are split.
        molecules: the molecule and the scaffold of every row; None in a table without SMILES.
        kinds: the kind of every target.

    Raises:
        BadInput: a row without a group or a time, fewer groups than folds, a cell that names no
            part of a split, or a part without a row.

    Attributes:
        note: one sentence on how the rows are split.
    """

    def __init__(
        self,
        sheet: Sheet,
        cells: Cells,
        folds: int,
        rule: SplitRule,
        molecules: MoleculeGroups | None,
        kinds: Sequence[TaskKind],
    ) -> None:
        self.folds = folds
        self.group: Int[np.ndarray, " N"] | None = None
        self.fixed: tuple[Bool[np.ndarray, " N"], ...] | None = None
        self.rare = rare_labels(cells.y, kinds, folds)
        self.drawn: tuple[int, Int16[np.ndarray, " N"]] | None = None  # the folds of one repeat
        molecule = None if molecules is None else molecules.molecule
        if rule.column is not None:
            by = _split_by_column if rule.kind == "column" else _split_by_time
            self.fixed = by(sheet, cells, rule.column)
            sizes = [int(part.sum()) for part in self.fixed]
            how = "says" if rule.kind == "column" else "grows, the last fifth for the test"
            self.note = (
                f"Split as column {quoted(rule.column)} {how}, the same for every seed: "
                f"{sizes[0]:,} training, {sizes[1]:,} validation and {sizes[2]:,} test rows"
            )
            train, _, test = self.fixed
            if molecule is not None and (again := np.isin(molecule[test], molecule[train])).any():
                self.note += f"; test rows whose molecule is a training row's: {again.sum():,}"
            self.note += "."
            return
        group = rule.group
        repeated = molecule is not None and molecule.max() + 1 < len(molecule)
        self.note = (
            f"Runs are the {folds} folds of a repeated cross-validation, and {folds} runs test on "
            f"every row once: a run tests on one fold, validates on half of the next, and trains "
            "on the rest"
        )
        if group is not None:
            codes, names = cells.keys[group]
            if (codes < 0).any():
                position = cells.positions[int((codes < 0).argmax())]
                raise BadInput(
                    f"{sheet.where}, {sheet.unit} {position}, column {quoted(group)}: no group; "
                    "give every row its group"
                )
            self.group = np.unique(_one_place(names, sheet.decimal)[codes], return_inverse=True)[1]
            self.note += f"; rows of one {quoted(group)} share a fold"
            if molecule is not None:
                self.group = _merge_groups(self.group, molecule)
        elif repeated:
            self.group = molecule
        if repeated:
            self.note += "; rows of the same molecule share a fold"
        if rule.kind == "scaffold" and molecules is not None:
            one = self.group if self.group is not None else molecules.molecule
            self.group = _merge_groups(one, molecules.scaffold)
            self.note += "; molecules of one scaffold share a fold"
        if self.rare.shape[1]:
            self.note += "; rare labels are shared out evenly among the folds"
        if self.group is not None and (count := int(self.group.max()) + 1) < folds:
            raise BadInput(
                f"{sheet.where}: {count} groups for {folds} folds; give fewer folds (3 or more) or "
                "another group column"
            )
        self.note += "."

    def split(self, seed: int) -> tuple[Bool[np.ndarray, " N"], ...]:
        """Mark the training, validation and test rows of the run with this seed."""
        if self.fixed is not None:
            return self.fixed
        repeat, drawn = seed // self.folds, self.drawn
        if drawn is None or drawn[0] != repeat:
            drawn = repeat, assign_stratified(self.rare, self.folds, repeat, self.group)
            self.drawn = drawn
        return split_round(drawn[1], self.folds, seed, self.group)

    def run_name(self, seed: int) -> str:
        """Name the run with this seed in a message: " of seed 3", or nothing for a fixed split."""
        return "" if self.fixed is not None else f" of seed {seed}"


def _one_place(names: Sequence[str], decimal: str) -> Int[np.ndarray, " V"]:
    """The place of every group. Where all names are numbers, 1 and 1.0 are one group."""
    numbers = [parse_number(name, decimal) for name in names]
    if any(number is None or not np.isfinite(number) for number in numbers):
        return np.arange(len(names))
    return np.unique(np.array(numbers, np.float64), return_inverse=True)[1]


def _split_by_column(sheet: Sheet, cells: Cells, split: str) -> tuple[Bool[np.ndarray, " N"], ...]:
    column = cells.keys[split]
    number_of = {word: i for i, words in enumerate(SPLIT_WORDS.values()) for word in words}
    part_of_code = [number_of.get(value.strip().lower(), -1) for value in column.values]
    part = np.array([*part_of_code, -1])[column.codes]
    if (part < 0).any():
        row = int((part < 0).argmax())
        code = column.codes[row]
        cell = "nothing" if code < 0 else quoted(column.values[code])
        raise BadInput(
            f"{sheet.where}, {sheet.unit} {cells.positions[row]}, column {quoted(split)}: {cell} "
            "is no part of a split; write train, validation or test"
        )
    parts = tuple(part == i for i in range(len(SPLIT_WORDS)))
    for name, rows in zip(SPLIT_WORDS, parts, strict=True):
        if not rows.any() and name != "validation":
            raise BadInput(
                f"{sheet.where}: column {quoted(split)} has no {name} row with a label; give some"
            )
    return parts


def _split_by_time(sheet: Sheet, cells: Cells, name: str) -> tuple[Bool[np.ndarray, " N"], ...]:
    """The first rows to train on, the next to validate and the last fifth to test.

    Rows of one time stay together.
    """
    column = cells.keys[name]
    here = f"{sheet.where}, column {quoted(name)}"
    if (column.codes < 0).any():
        position = cells.positions[int((column.codes < 0).argmax())]
        raise BadInput(f"{here}, {sheet.unit} {position}: no time; give every row its time")
    numbers = [parse_number(value, sheet.decimal) for value in column.values]
    if all(number is not None and np.isfinite(number) for number in numbers):
        order = np.unique(np.array(numbers, np.float64), return_inverse=True)[1]
    else:
        order = _order_of_dates([*map(str.strip, column.values)], here)
    time = order[column.codes]
    ordered = np.sort(time)
    first, second = (int(share * len(time)) for share in (TRAINING, TRAINING + VALIDATION))
    test = time >= ordered[second]
    train = (time < ordered[first]) & ~test
    if not train.any() or test.all():
        raise BadInput(f"{here}: most rows have one time, so none are left; give finer times")
    return train, ~train & ~test, test


def _order_of_dates(texts: Sequence[str], here: str) -> Int[np.ndarray, " V"]:
    """The place of every date in the order of time. The same moment has one place.

    Args:
        texts: dates as ISO 8601 writes them, all with a time zone or all without.
        here: the column, in words.
    """
    import pandas as pd

    found = [DATE.fullmatch(text) for text in texts]
    moments = pd.to_datetime(pd.Series(texts), format="ISO8601", utc=True, errors="coerce")
    for text, date, missing in zip(texts, found, moments.isna(), strict=True):
        if date is None or missing:
            raise BadInput(
                f"{here}: {quoted(text)} is no time; write numbers, or dates as 2026-12-01 or "
                "2026-12-01T09:30"
            )
    zoned = [ZONE.search(date["clock"] or "") is not None for date in found if date]
    if any(zoned) and not all(zoned):
        with_zone, without = texts[zoned.index(True)], texts[zoned.index(False)]
        raise BadInput(
            f"{here}: {quoted(with_zone)} has a time zone and {quoted(without)} has none; give all "
            "times one, or none"
        )
    moments = moments.dt.tz_localize(None)
    return np.unique(moments.to_numpy(), return_inverse=True)[1]


def _merge_groups(
    one: Int[np.ndarray, " N"], other: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " N"]:
    """Merge two groupings: rows that share a group in either of them share a group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = int(one.max()) + 1, int(other.max()) + 1
    size = first + second
    links = coo_array((np.ones(len(one)), (one, first + other)), shape=(size, size))
    component: np.ndarray = connected_components(links, directed=False)[1]
    return np.unique(component[one], return_inverse=True)[1]
