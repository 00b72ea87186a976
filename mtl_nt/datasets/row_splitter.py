"""Which rows of a user's table a run trains on, validates on and is tested on."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from ..tasks import BadInput
from .cells import Cells
from .folds import assign_folds, split_folds
from .sheets import quoted
from .table_files import Sheet

SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
"""What a split column may say, in upper or lower case."""


class RowSplitter:
    """Splits the rows of a table by seed: in folds, or always as a column of the table says.

    Args:
        sheet: the table.
        cells: its N rows.
        folds: the number of folds.
        group: the name of the group column, or None.
        split: the name of the split column, or None.
        molecule: the number of every row's molecule, or None in a table without SMILES.

    Raises:
        BadInput: a row without a group, fewer groups than folds, a cell that names no part of a
            split, or a part without a row.

    Attributes:
        note: one sentence on how the rows are split.
    """

    def __init__(
        self,
        sheet: Sheet,
        cells: Cells,
        folds: int,
        group: str | None,
        split: str | None,
        molecule: Int[np.ndarray, " N"] | None,
    ) -> None:
        self.rows, self.folds = len(cells.y), folds
        self.group: Int[np.ndarray, " N"] | None = None
        self.fixed: tuple[Bool[np.ndarray, " N"], ...] | None = None
        if split is not None:
            self.fixed = _split_by_column(sheet, cells, split)
            sizes = [int(part.sum()) for part in self.fixed]
            self.note = (
                f"Split as column {quoted(split)} says, the same for every seed: {sizes[0]:,} "
                f"training, {sizes[1]:,} validation and {sizes[2]:,} test rows."
            )
            return
        repeated = molecule is not None and molecule.max() + 1 < len(molecule)
        self.note = f"{folds} folds: {folds - 2} to train on, one to validate, one to test"
        if group is not None:
            codes = cells.keys[group].codes
            if (codes < 0).any():
                position = cells.positions[int((codes < 0).argmax())]
                raise BadInput(
                    f"{sheet.where}, {sheet.unit} {position}, column {quoted(group)}: no group; "
                    "give every row its group"
                )
            self.group = np.unique(codes, return_inverse=True)[1]
            self.note += f"; rows of one {quoted(group)} share a fold"
            if molecule is not None:
                self.group = _merge_groups(self.group, molecule)
        elif repeated:
            self.group = molecule
        if repeated:
            self.note += "; rows of the same SMILES share a fold"
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
        repeat, first = divmod(seed, self.folds)
        fold = assign_folds(self.rows, self.folds, repeat, self.group)
        return split_folds(fold, self.folds, first)

    def run_name(self, seed: int) -> str:
        """Name the run with this seed in a message: " of seed 3", or nothing for a fixed split."""
        return "" if self.fixed is not None else f" of seed {seed}"


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
