"""Rows that are copies: the same features many times, which folds must not tear apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from .cells import Cells
from .column_roles import Roles
from .remarks import Remarks
from .sheets import TextColumn, quoted
from .table_files import Sheet

COLUMNS_AT_ONCE = 64
DISTINCT = 20  # different fractions in a column: few rows agree in them by chance


def check_copies(
    sheet: Sheet, cells: Cells, roles: Roles, columns: Int[np.ndarray, " columns"], remarks: Remarks
) -> None:
    """Ask about rows that share their features, if folds would tear them apart.

    Half of the rows must have features that another row has, too, and some feature must have many
    fractions, since rows of few categories agree by chance. The column that says which rows belong
    together is proposed as `--group`.

    Args:
        sheet: the table, which is read again if there are copies.
        cells: its rows.
        roles: the roles of its columns.
        columns: the features of numbers that vary.
        remarks: gets the question.
    """
    keys = row_keys(cells, columns[:COLUMNS_AT_ONCE])  # which are enough in most tables
    if len(columns) > COLUMNS_AT_ONCE and 2 * int(keys.max() + 1) <= len(keys):
        keys = row_keys(cells, columns)
    count = int(keys.max()) + 1
    if 2 * count > len(keys) or not _has_fractions(cells, columns):
        return
    said = f"{len(keys):,} rows have {count:,} different rows of features"
    column = _explaining_column(keys, _whole_numbers(cells, columns, count))
    column = column or _explaining_column(keys, _texts(sheet, cells, roles))
    if column is None:
        remarks.note(
            f"{said}, and equal ones may be in different folds; add a column that says which rows "
            "belong together, and name it under --group.",
            "copies",
            matters=True,
        )
        return
    remarks.ask(
        f"{said}, as column {quoted(column)} has it; --group {quoted(column)} keeps equal ones in "
        "one fold, or --split random, if they are examples of their own",
        f"Split at random, although {said}, as column {quoted(column)} has it.",
        "copies",
        [column],
    )


def row_keys(cells: Cells, columns: Int[np.ndarray, " columns"]) -> Int[np.ndarray, " N"]:
    """Return a number for every row, equal where the features are, from 0 on without gaps."""
    random = np.random.default_rng(0)
    keys = np.zeros(len(cells.y), np.uint64)
    for start in range(0, len(columns), COLUMNS_AT_ONCE):
        block = cells.numbers[:, columns[start : start + COLUMNS_AT_ONCE]] + np.float32(0)  # no -0
        block[np.isnan(block)] = np.nan  # which has many patterns of bits
        bits = np.ascontiguousarray(block).view(np.uint32).astype(np.uint64)
        factors = random.integers(1, 2**63, bits.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
        keys += (bits * factors).sum(1, dtype=np.uint64)
    for category in cells.categories:
        codes = category.codes.astype(np.int64).view(np.uint64)
        keys += codes * np.uint64(random.integers(1, 2**63)) * np.uint64(2)
    return np.unique(keys, return_inverse=True)[1]


def _has_fractions(cells: Cells, columns: Int[np.ndarray, " columns"]) -> bool:
    for column in columns:
        values = cells.numbers[:, column]
        values = values[~np.isnan(values)]
        if (values != np.rint(values)).any() and len(np.unique(values)) > DISTINCT:
            return True
    return False


def _whole_numbers(
    cells: Cells, columns: Int[np.ndarray, " columns"], count: int
) -> Mapping[str, Int[np.ndarray, " N"]]:
    """Return the features of whole numbers that have this many different ones."""
    found = {}
    for column in columns:
        values = cells.numbers[:, column]
        if not np.isnan(values).any() and (values == np.rint(values)).all():
            different, codes = np.unique(values, return_inverse=True)
            if len(different) == count:
                found[cells.names[column]] = codes
    return found


def _texts(sheet: Sheet, cells: Cells, roles: Roles) -> Mapping[str, Int[np.ndarray, " N"]]:
    """Return the codes of all columns that may say which rows belong together."""
    known = {c.name: np.asarray(c.codes, np.int64) for c in cells.categories}
    taken = {*cells.names, *known, *roles.targets, *roles.keys}
    others = [name for name in sheet.names if name not in taken and name in sheet.texts]
    if not others:
        return known
    numbers: dict[str, dict[str, int]] = {name: {} for name in others}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in others}
    for chunk in sheet.chunks(others, others):
        kept = np.isin(chunk.positions, cells.positions)
        for name in others:
            cell = chunk.columns[name]
            if not isinstance(cell, TextColumn):
                values, codes = np.unique(cell, return_inverse=True)
                cell = TextColumn(codes, [f"{value:.17g}" for value in values])
            known_texts = numbers[name]
            new = np.array(
                [*(known_texts.setdefault(v, len(known_texts)) for v in cell.values), -1]
            )
            parts[name].append(new[cell.codes][kept])
    return {**{name: np.concatenate(part) for name, part in parts.items()}, **known}


def _explaining_column(
    keys: Int[np.ndarray, " N"], texts: Mapping[str, Int[np.ndarray, " N"]]
) -> str | None:
    """Find a column that has one value for each row of features, and no value for two of them."""
    count = len(np.unique(keys))
    for name, codes in texts.items():
        if (codes < 0).any() or len(np.unique(codes)) != count:
            continue
        pairs = keys.astype(np.int64) * (int(codes.max()) + 1) + codes
        if len(np.unique(pairs)) == count:
            return name
    return None
