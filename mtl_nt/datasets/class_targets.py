"""Targets of classes: texts or numbers that name a class, and that come in no order.

A class is known by its name, as the file has it. `ClassTargets` numbers the classes while the rows
are read, and gives them their final numbers in the end: in the order of their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from ..errors import BadInput
from .cell_numbers import RENAME, has_signs, parse_number, says_no_value
from .column_roles import shortlist
from .missing_values import MissingValues
from .remarks import Remarks
from .sheets import TextColumn, quoted
from .table_files import Sheet

MOST_CLASSES = 30  # of one target
WORDS = ("true", "false")  # which are read as numbers elsewhere


class ClassTargets:
    """Reads the targets of classes of a sheet, chunk by chunk.

    Args:
        sheet: the table.
        names: the targets.
        missing: the cells that the user calls empty.

    >>> from types import SimpleNamespace
    >>> sheet = SimpleNamespace(where="my.csv", decimal=".")
    >>> targets = ClassTargets(sheet, ["stage"], MissingValues("my.csv", "unclear", ["stage"]))
    >>> cells = TextColumn(np.array([1, 0, 2, -1]), ["I", "II", "unclear"])
    >>> first = targets.read("stage", cells)  # numbered as they come
    >>> targets.sorted_names("stage"), targets.renumbered("stage", first).tolist()
    (('I', 'II'), [1.0, 0.0, nan, nan])
    """

    def __init__(self, sheet: Sheet, names: Sequence[str], missing: MissingValues) -> None:
        self.sheet, self.missing = sheet, missing
        self.known: dict[str, dict[str, int]] = {name: {} for name in names}
        self.with_signs = set[str]()  # targets with classes such as "+" and "-"
        self.no_value: Counter[tuple[str, str]] = Counter()  # cells, by target and word

    def read(self, name: str, cells: TextColumn) -> Float32[np.ndarray, " n"]:
        """Return the numbers of the classes, NaN where a cell is empty.

        Raises:
            BadInput: more than `MOST_CLASSES` classes.
        """
        known = self.known[name]
        number = np.full(len(cells.values) + 1, np.nan, np.float32)  # the last one: empty cells
        if has_signs(cells.values):
            self.with_signs.add(name)
        used, counts = np.unique(cells.codes, return_counts=True)
        for code, count in zip(used.tolist(), counts.tolist(), strict=True):
            if code < 0:
                continue
            text = cells.values[code].strip()
            if rule := self.missing.covers(name, text):
                self.missing.count(rule, name, count)
            elif (label := self._label(name, text)) is not None:
                number[code] = known.setdefault(label, len(known))
            elif text:
                self.no_value[name, text] += count
        if len(known) > MOST_CLASSES:
            raise BadInput(
                f"{self.sheet.where}: target {quoted(name)} has more than {MOST_CLASSES} classes, "
                f"such as {shortlist([*known], 3)}; merge some, or leave it out of --classes"
            )
        return number[cells.codes]

    def remark(self, remarks: Remarks) -> None:
        """Say which words count as no label, though they may well be classes."""
        for name in dict.fromkeys(name for name, _ in self.no_value):
            words = {text: n for (of, text), n in self.no_value.items() if of == name}
            said = ", ".join(f"{quoted(text)} (rows: {n:,})" for text, n in words.items())
            remarks.note(
                f"No label of {quoted(name)}: {said}. {RENAME.format('class')}",
                "targets",
                [name],
                matters=True,
            )

    def sorted_names(self, name: str) -> tuple[str, ...]:
        """The names of a target's classes in order: of numbers, or of the alphabet."""
        known = self.known[name]
        if all(_is_number(label) for label in known):
            return tuple(sorted(known, key=float))
        return tuple(sorted(known))

    def renumbered(self, name: str, labels: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
        """The labels of a target with the final numbers of its classes."""
        order = {label: i for i, label in enumerate(self.sorted_names(name))}
        final = np.array([*(order[label] for label in self.known[name]), np.nan], np.float32)
        return final[np.where(np.isnan(labels), len(final) - 1, labels).astype(int)]

    def _label(self, name: str, text: str) -> str | None:
        """The class that a text names: 1 and 1.0 are one. None where it names none."""
        number = parse_number(text, self.sheet.decimal)
        if number is None or text.lower() in WORDS:
            return None if says_no_value(text, name in self.with_signs) else text
        return None if np.isnan(number) else f"{number:.15g}"


def _is_number(label: str) -> bool:
    try:
        return np.isfinite(float(label))
    except ValueError:
        return False


class Classes(NamedTuple):
    """The classes that have a label, and how many labels each has."""

    names: tuple[str, ...]
    counts: tuple[int, ...]


def used_classes(
    names: Sequence[str], labels: Float32[np.ndarray, " N"]
) -> tuple[Classes, Float32[np.ndarray, " N"]]:
    """The classes that are left in these labels, and the labels with their numbers.

    >>> labels = np.array([0, 2, 2, np.nan], np.float32)
    >>> used_classes(("I", "II", "III"), labels)[0]
    Classes(names=('I', 'III'), counts=(1, 2))
    """
    there = ~np.isnan(labels)
    counts = np.bincount(labels[there].astype(int), minlength=len(names))
    left = np.flatnonzero(counts)
    final = np.full(len(names) + 1, np.nan, np.float32)
    final[left] = np.arange(len(left))
    found = Classes(tuple(names[i] for i in left.tolist()), tuple(counts[left].tolist()))
    return found, final[np.where(there, labels, len(names)).astype(int)]
