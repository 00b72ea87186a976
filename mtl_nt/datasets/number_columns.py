"""Columns of numbers as they are read: what counts as empty, what is no number, what is far from 0.

A column that CSV readers take for text may still be one of numbers, in which a few cells are codes,
limits or slips. `NumberColumns` decides, counts what it empties, and asks about the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int

from ..errors import BadInput
from .cell_numbers import (
    NO_VALUE,
    RENAME,
    explain_text,
    has_signs,
    is_nearly_number,
    parse_number,
    says_no_value,
)
from .column_roles import shortlist
from .csv_layout import COMMA_NUMBER
from .missing_values import MissingValues
from .remarks import Remarks
from .sheets import Chunk, TextColumn, quoted
from .table_files import Sheet

LARGEST_NUMBER = 1e30  # a number above it cannot be squared in float64 and stay far from infinity
FEW_NUMBERS = 10  # a column with more distinct numbers, in half of its cells, is one of numbers
FAR_FROM_ZERO = 1e4  # times its range: float32 would round such a column visibly
MOST_FAULTS = 3  # columns with a question of their own
FEW_WORDS = 5  # different words that may stand among the numbers of a column
SAMPLE = 256  # cells that tell whether a column is far from zero


class NumberColumns:
    """Reads the columns of numbers of a sheet, chunk by chunk.

    Args:
        sheet: the table.
        missing: the cells that the user calls empty.

    Attributes:
        offsets: what is taken off the columns that are far from zero.
    """

    def __init__(self, sheet: Sheet, missing: MissingValues) -> None:
        self.sheet, self.missing = sheet, missing
        self.offsets: dict[str, float] = {}
        self.no_value: Counter[tuple[str, str]] = Counter()  # cells, by column and code
        self.with_signs = set[str]()  # columns of categories such as "+" and "-"
        self.of_categories = set[str]()  # columns of categories that have such cells
        self.faults: dict[str, _Fault] = {}

    def is_text(self, chunk: Chunk, name: str) -> bool:
        """Tell whether a feature is one of categories, by the first chunk."""
        cells = chunk.columns[name]
        return isinstance(cells, TextColumn) and self._parse(name, cells) is None

    def read(
        self,
        chunk: Chunk,
        name: str,
        target: bool,
        before: Float32[np.ndarray, " rows"] | None,
        first: bool,
    ) -> Float64[np.ndarray, " n"] | None:
        """Return a column as numbers, or None where it is one of categories.

        Args:
            chunk: the rows.
            name: the column.
            target: whether it is a target, which has no categories.
            before: the numbers of the column in the first chunk, once that has been read.
            first: whether this is the first chunk.

        Raises:
            BadInput: a number that is infinite or too large, or a target of texts.
        """
        cells = chunk.columns[name]
        if isinstance(cells, TextColumn):
            distinct = 0 if before is None else len(np.unique(before[~np.isnan(before)]))
            parsed = self._parse(name, cells, distinct, target, begun=before is not None)
            if parsed is None:
                return None
            self._count(chunk, name, cells, parsed, target)
            values = parsed.numbers[cells.codes]
        else:
            values = cells
        values = self.missing.emptied(name, values)
        large = np.abs(values) > LARGEST_NUMBER
        if large.any():
            raise BadInput(
                f"{self._location(chunk, int(large.argmax()), name)}: infinite, or above "
                f"{LARGEST_NUMBER:g} in size; mend the cell or leave it empty"
            )
        if first:
            self._find_offset(name, values)
        return values - self.offsets[name] if name in self.offsets else values

    def without_missing(self, name: str, cells: TextColumn) -> TextColumn:
        """Return a column of categories without the cells that the user calls empty, or that say
        so themselves.
        """
        rules = [self.missing.covers(name, value) for value in cells.values]
        if has_signs(cells.values):
            self.with_signs.add(name)
        signs, pairs = name in self.with_signs, [*zip(rules, cells.values, strict=True)]
        silent = [rule is None and says_no_value(text, signs) for rule, text in pairs]
        if not any(rules) and not any(silent):
            return cells
        counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(cells.values))
        for code, rule in enumerate(rules):
            if rule:
                self.missing.count(rule, name, int(counts[code]))
            elif silent[code] and counts[code]:
                self.no_value[cells.values[code], name] += int(counts[code])
                self.of_categories.add(name)
        gone = np.array([bool(r) or s for r, s in zip(rules, silent, strict=True)] + [True])
        return cells._replace(codes=np.where(gone[cells.codes], -1, cells.codes))

    def remark(self, remarks: Remarks) -> None:
        """Say which cells count as empty, and ask about those that are no numbers."""
        for counts, words in (
            (self.no_value, "Empty, since they say that there is no value"),
            (self.missing.counts, "Empty, as asked"),
        ):
            if counts:
                by_code: dict[str, list[str]] = {}
                for code, name in counts:
                    by_code.setdefault(code, []).append(name)
                said = [
                    f"{quoted(code)} in {shortlist(names, 3)} (cells: "
                    f"{sum(counts[code, n] for n in names):,})"
                    for code, names in [*by_code.items()][:8]
                ]
                more = f", and {len(by_code) - 8:,} other codes" if len(by_code) > 8 else ""
                columns = [*dict.fromkeys(name for _, name in counts)]
                rename = ""
                if counts is self.no_value and self.of_categories:
                    rename = f" {RENAME.format('category')}"
                note = f"{words}: {', '.join(said)}{more}.{rename}"
                remarks.note(note, "missing", columns, matters=True)
        for name, fault in [*self.faults.items()][:MOST_FAULTS]:
            decimal = fault.decimal_commas == fault.cells and self.sheet.decimal == "."
            answer = "drop the comma, or --decimal=, for decimals" if decimal else "mend it"
            remarks.ask(
                f"{self.sheet.unit} {fault.position}, column {quoted(name)}: "
                f"{explain_text(fault.text, self.sheet.decimal)} (cells so: {fault.cells:,}); "
                f"{answer}, or --missing {quoted(fault.text, 20)}, or --ignore the column",
                f"Empty, since they are no numbers: {fault.cells:,} cells of {quoted(name)}, such "
                f"as {quoted(fault.text, 20)}.",
                "no numbers",
                [name],
            )
        if more_faults := [*self.faults][MOST_FAULTS:]:
            remarks.ask(
                f"other columns of numbers with cells that are none: {shortlist(more_faults)}; "
                "mend the cells, name them under --missing, or --ignore the columns",
                f"Empty, since they are no numbers: cells of {shortlist(more_faults)}.",
                "no numbers",
                more_faults,
            )
        if self.offsets:
            first = next(iter(self.offsets))
            remarks.note(
                "Centred before they are rounded to single precision, since they are far from 0: "
                f"{shortlist([*self.offsets])}; {quoted(first)} is counted from "
                f"{self.offsets[first]:,.0f}.",
                "centred",
                [*self.offsets],
            )
        self.missing.check_used()

    def _parse(
        self,
        name: str,
        cells: TextColumn,
        distinct: int = 0,
        target: bool = False,
        begun: bool = False,
    ) -> _Parsed | None:
        """Parse the texts of a column, or return None where it is one of categories.

        Args:
            name: the column.
            cells: its texts.
            distinct: how many different numbers it has in the first chunk.
            target: whether it is a target.
            begun: whether it was a column of numbers in the first chunk.
        """
        counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(cells.values))
        numbers = np.full(len(cells.values) + 1, np.nan)  # the last one is for empty cells
        wrong, emptied, no_value = list[int](), dict[int, str](), list[int]()
        for code, value in enumerate(cells.values):
            number = parse_number(value, self.sheet.decimal)
            if number is not None:
                numbers[code] = number
            elif rule := self.missing.covers(name, value):
                emptied[code] = rule
            elif value.strip().lower() in NO_VALUE:
                no_value.append(code)
            else:
                wrong.append(code)
        known = ~np.isnan(numbers[:-1])
        if not target:
            there = int(counts.sum()) - sum(int(counts[code]) for code in emptied)
            half = distinct > FEW_NUMBERS or 2 * int(counts[known].sum()) >= there
            distinct += len(np.unique(numbers[:-1][known]))
            if wrong and not _is_of_numbers(cells, distinct, wrong, counts, half):
                return None
            if no_value and not half and not begun:
                return None
        return _Parsed(numbers, counts, wrong, emptied, no_value)

    def _count(
        self, chunk: Chunk, name: str, cells: TextColumn, parsed: _Parsed, target: bool
    ) -> None:
        """Count the cells that are empty, and keep the first one that is no number."""
        counts, wrong = parsed.counts, parsed.wrong
        for code, rule in parsed.emptied.items():
            self.missing.count(rule, name, int(counts[code]))
        for code in parsed.no_value:
            self.no_value[cells.values[code], name] += int(counts[code])
        if not wrong:
            return
        row = int(np.isin(cells.codes, wrong).argmax())
        text, many = cells.values[cells.codes[row]], int(counts[wrong].sum())
        if target and many > counts[~np.isnan(parsed.numbers[:-1])].sum():
            raise BadInput(
                f"{self._location(chunk, row, name)}: {quoted(text)} is no label; write a number "
                "(0 or 1 for a class) or nothing, or name the column under --classes if it has "
                "classes"
            )
        with_comma = [c for c in wrong if COMMA_NUMBER.fullmatch(cells.values[c].strip())]
        commas = int(counts[with_comma].sum())
        old = self.faults.get(name, _Fault(text, int(chunk.positions[row]), 0, 0))
        self.faults[name] = old._replace(
            cells=old.cells + many, decimal_commas=old.decimal_commas + commas
        )

    def _find_offset(self, name: str, values: Float64[np.ndarray, " n"]) -> None:
        """Note the offset of a column that is far from zero. Its first rows decide."""
        sample = values[:: max(1, len(values) // SAMPLE)]
        sample = sample[~np.isnan(sample)]
        if len(sample) < 2:
            return
        low, high = float(sample.min()), float(sample.max())
        middle = (low + high) / 2
        if low < high and abs(middle) > FAR_FROM_ZERO * (high - low):
            self.offsets[name] = float(round(middle))

    def _location(self, chunk: Chunk, row: int, name: str) -> str:
        return (
            f"{self.sheet.where}, {self.sheet.unit} {chunk.positions[row]}, column {quoted(name)}"
        )


class _Parsed(NamedTuple):
    """The texts of a column, each with its number."""

    numbers: Float64[np.ndarray, " texts_and_empty"]  # the last one is for empty cells
    counts: Int[np.ndarray, " texts"]  # the cells of each text
    wrong: list[int]  # the texts that are no numbers,
    emptied: dict[int, str]  # those that the user calls empty, with the rule,
    no_value: list[int]  # and those that say so themselves


class _Fault(NamedTuple):
    """A column of numbers with cells that are none."""

    text: str  # of the first one
    position: int  # its line or row
    cells: int  # how many there are
    decimal_commas: int  # how many of them have a comma between digits


def _is_of_numbers(
    cells: TextColumn,
    distinct: int,
    wrong: Sequence[int],
    counts: Int[np.ndarray, " values"],
    half: bool,
) -> bool:
    """Tell whether a column is one of numbers, although some of its cells are none.

    Half of the cells must be numbers, or nearly numbers such as "1,5" and ">10". Words must be
    few: a tenth of the cells, or a few different ones.
    """
    words = [code for code in wrong if not is_nearly_number(cells.values[code])]
    nearly = int(counts[list(wrong)].sum()) - int(counts[words].sum())
    if distinct + len(wrong) - len(words) <= FEW_NUMBERS:
        return False
    few = len(words) <= FEW_WORDS or 10 * int(counts[words].sum()) <= int(counts.sum())
    return few and (half or 2 * nearly >= int(counts.sum()))
