"""Which rows of a user's table a run trains on, validates on and is tested on."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from ..tasks import BadInput
from .cells import Cells
from .folds import folds as divided
from .folds import rotation
from .opening import Sheet
from .sheets import shown

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing"),
}
"""What a split column may say, in upper or lower case."""


class Division:
    """Which rows a run trains on, validates on and is tested on."""

    def __init__(
        self,
        sheet: Sheet,
        cells: Cells,
        folds: int,
        group: str | None,
        split: str | None,
        same: Int[np.ndarray, " N"] | None,
    ) -> None:
        self.count, self.folds, self.split = len(cells.y), folds, split
        self.group: Int[np.ndarray, " N"] | None = None
        if split is not None:
            self.given = _given(sheet, cells, split)
            sizes = [int(part.sum()) for part in self.given]
            self.note = (
                f"Split as column {shown(split)} says, the same for every seed: {sizes[0]:,} "
                f"training, {sizes[1]:,} validation and {sizes[2]:,} test rows."
            )
            return
        self.note = f"{folds} folds: {folds - 2} to train on, one to validate, one to test"
        if group is not None:
            codes = cells.keys[group].codes
            if (codes < 0).any():
                line = cells.at[int((codes < 0).argmax())]
                raise BadInput(
                    f"{sheet.where}, {sheet.unit} {line}, column {shown(group)}: no group; give "
                    "every row its group"
                )
            self.group = np.unique(codes, return_inverse=True)[1]
            self.note += f"; rows of one {shown(group)} share a fold"
            if same is not None:
                self.group = _joined_groups(self.group, same)
        elif same is not None and same.max() + 1 < len(same):
            self.group = same
        if same is not None and same.max() + 1 < len(same):
            self.note += "; rows of the same SMILES share a fold"
        if self.group is not None and (count := int(self.group.max()) + 1) < folds:
            raise BadInput(
                f"{sheet.where}: {count} groups for {folds} folds; give fewer folds (3 or more) or "
                "another group column"
            )
        self.note += "."

    def parts(self, seed: int) -> tuple[Bool[np.ndarray, " N"], ...]:
        """Training, validation and test rows of the run with this seed."""
        if self.split is not None:
            return self.given
        division, first = divmod(seed, self.folds)
        fold = divided(self.count, self.folds, division, self.group)
        return rotation(fold, self.folds, first)

    def run(self, seed: int) -> str:
        """The run's name in a sentence."""
        return "" if self.split is not None else f" of seed {seed}"


def _given(sheet: Sheet, cells: Cells, split: str) -> tuple[Bool[np.ndarray, " N"], ...]:
    texts = cells.keys[split]
    known = {word: i for i, words in enumerate(PARTS.values()) for word in words}
    part = np.array([known.get(value.strip().lower(), -1) for value in texts.values] + [-1])
    of = part[texts.codes]
    if (of < 0).any():
        row = int((of < 0).argmax())
        code = texts.codes[row]
        cell = "nothing" if code < 0 else shown(texts.values[code])
        raise BadInput(
            f"{sheet.where}, {sheet.unit} {cells.at[row]}, column {shown(split)}: {cell} is no "
            "part of a split; write train, validation or test"
        )
    parts = tuple(of == i for i in range(len(PARTS)))
    for name, rows in zip(PARTS, parts, strict=True):
        if not rows.any() and name != "validation":
            raise BadInput(
                f"{sheet.where}: column {shown(split)} has no {name} row with a label; give some"
            )
    return parts


def _joined_groups(
    one: Int[np.ndarray, " N"], other: Int[np.ndarray, " N"]
) -> Int[np.ndarray, " N"]:
    """Groups that keep together what either keeps together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = int(one.max()) + 1, int(other.max()) + 1
    size = first + second
    links = coo_array((np.ones(len(one)), (one, first + other)), shape=(size, size))
    part: np.ndarray = connected_components(links, directed=False)[1]
    return np.unique(part[one], return_inverse=True)[1]
