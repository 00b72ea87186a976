"""The features of a user's table as networks read them.

Numbers are imputed and standardised, a category becomes one column of 0 and 1 for each of its
values, and SMILES become fingerprints.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from ..bits import Bits
from ..errors import BadInput
from .cells import MAX_CATEGORIES, Cells
from .column_roles import Roles, shortlist
from .fingerprints import FINGERPRINT_BITS, RADIUS, Molecules
from .molecule_groups import MoleculeGroups, describe_molecules
from .remarks import Remarks
from .sheets import MAX_CELLS, check_cells, quoted
from .table_files import Sheet

LARGEST_SCALED = 1e6  # standard deviations; a larger feature is clipped, so that x stays finite
ROUNDING = 1e-6  # a standard deviation below it, relative to the mean, is float32's rounding
UNREADABLE = 0.02  # of the molecules: with a larger share the column is asked about
COLUMNS_AT_ONCE = 128  # columns that are scaled at once: in float64, 100 MB of 100,000 rows


class Scales(NamedTuple):
    """What the columns of numbers are imputed with, and how they are scaled, by training rows.

    A column is `(number - mean) / scale`, and 0 throughout where the scale is 0.
    """

    median: Float64[np.ndarray, " columns"]
    mean: Float64[np.ndarray, " columns"]
    scale: Float64[np.ndarray, " columns"]
    lowest: Float64[np.ndarray, " columns"]
    highest: Float64[np.ndarray, " columns"]


class TableFeatures(NamedTuple):
    """The features of a table before they are scaled."""

    cells: Cells
    varied: Int[np.ndarray, " columns"]  # which columns of numbers vary

    def matrix(self, train: Bool[np.ndarray, " N"]) -> Float32[np.ndarray, "N F"]:
        """Return the features as networks read them.

        Medians, means, standard deviations and known categories come from the training rows alone.

        Args:
            train: which of the N rows are training rows.
        """
        cells, count = self.cells, len(self.varied)
        width = count + sum(len(category.values) for category in cells.categories)
        x = np.empty((len(cells.y), width), np.float32)
        for start in range(0, count, COLUMNS_AT_ONCE):
            columns = self.varied[start : start + COLUMNS_AT_ONCE]
            block = np.ascontiguousarray(cells.numbers[:, columns].T, np.float64)  # (columns, N)
            scales = _scales(block[:, train], bool(np.isnan(block).any()))
            x[:, start : start + len(columns)] = _scaled(block, scales).T
        for category in cells.categories:
            known = np.arange(len(category.values))
            known = known[np.isin(known, category.codes[train])]
            end = count + len(category.values)
            x[:, count:end] = 0
            x[:, count + known] = category.codes[:, None] == known
            count = end
        return x

    def scales(self, train: Bool[np.ndarray, " N"]) -> Scales:
        """Return what the columns of numbers are imputed with, and how they are scaled.

        Args:
            train: which of the N rows are training rows.
        """
        found = [Scales(*(np.zeros(0) for _ in Scales._fields))]
        for start in range(0, len(self.varied), COLUMNS_AT_ONCE):
            columns = self.varied[start : start + COLUMNS_AT_ONCE]
            block = np.ascontiguousarray(self.cells.numbers[:, columns].T, np.float64)
            found.append(_scales(block[:, train], missing=True))
        return Scales(*(np.concatenate(tables) for tables in zip(*found, strict=True)))


def scaled(
    numbers: Float32[np.ndarray, "N columns"], scales: Scales
) -> Float32[np.ndarray, "N columns"]:
    """Impute and scale columns of numbers, as `TableFeatures.matrix` does.

    >>> one = np.ones(1)
    >>> scales = Scales(median=3 * one, mean=one, scale=2 * one, lowest=0 * one, highest=9 * one)
    >>> scaled(np.array([[5.0], [np.nan]], np.float32), scales).tolist()
    [[2.0], [1.0]]
    """
    x = np.empty(numbers.shape, np.float32)
    for start in range(0, numbers.shape[1], COLUMNS_AT_ONCE):
        here = slice(start, start + COLUMNS_AT_ONCE)
        block = np.ascontiguousarray(numbers[:, here].T, np.float64)
        x[:, here] = _scaled(block, Scales(*(table[here] for table in scales))).T
    return x


def _scales(training: Float64[np.ndarray, "columns train"], missing: bool) -> Scales:
    """The scales of some columns.

    Args:
        training: the training rows of these columns.
        missing: whether a number may be missing in some row, so that medians are needed.
    """
    median = np.zeros(len(training))
    if missing:
        # As scikit-learn's SimpleImputer, whose median takes three times as long.
        training[np.isnan(training).all(1)] = 0
        median = np.nanmedian(training, 1)
        training = np.where(np.isnan(training), median[:, None], training)
    mean, sd = training.mean(1), training.std(1)
    low, high = training.min(1), training.max(1)
    constant = (low == high) | (sd <= ROUNDING * np.abs(mean))
    zero_one = ((training == 0) | (training == 1)).all(1)
    mean[zero_one], sd[zero_one], sd[constant] = 0, 1, 0
    return Scales(median, mean, sd, low, high)


def _scaled(
    block: Float64[np.ndarray, "columns N"], scales: Scales
) -> Float64[np.ndarray, "columns N"]:
    """Some columns, imputed and scaled."""
    median, mean, scale = (table[:, None] for table in scales[:3])
    block = np.where(np.isnan(block), median, block)
    block = (block - mean) / np.where(scale > 0, scale, 1)
    return np.clip(np.where(scale > 0, block, 0), -LARGEST_SCALED, LARGEST_SCALED)


def encode_features(
    sheet: Sheet, roles: Roles, cells: Cells, left_out: set[str], remarks: Remarks
) -> TableFeatures:
    """Take the features that vary.

    Args:
        sheet: the table.
        roles: the roles of its columns.
        cells: its rows.
        left_out: columns that are no features.
        remarks: gets one note each on what was taken, encoded, left out and will be imputed.

    Raises:
        BadInput: no feature varies, or the features have too many cells.
    """
    where, numbers = sheet.where, cells.numbers
    lowest, highest, gaps = (np.empty(len(cells.names)) for _ in range(3))
    for start in range(0, len(cells.names), COLUMNS_AT_ONCE):
        columns = slice(start, start + COLUMNS_AT_ONCE)
        block, missing = numbers[:, columns], np.isnan(numbers[:, columns])
        lowest[columns] = np.where(missing, np.inf, block).min(0)
        highest[columns] = np.where(missing, -np.inf, block).max(0)
        gaps[columns] = missing.sum(0)
    taken = np.array([name not in left_out for name in cells.names], bool)
    varied = np.flatnonzero((lowest < highest) & taken)
    constant = [cells.names[i] for i in np.flatnonzero((lowest >= highest) & taken)]
    kept = [c for c in cells.categories if len(np.unique(c.codes)) > 1]
    constant += [c.name for c in cells.categories if len(np.unique(c.codes)) < 2]
    width = len(varied) + sum(len(c.values) for c in kept)
    if not width:
        faults = []
        if constant:
            faults.append(f"{shortlist(constant, 2)} do not vary")
        if cells.crowded:
            crowded = shortlist([*cells.crowded], 2)
            faults.append(f"{crowded}: text with more than {MAX_CATEGORIES} values")
        if left_out:
            faults.append(f"{shortlist(sorted(left_out), 2)}: row numbers or identifiers")
        raise BadInput(
            f"{where}: no feature is left ({'; '.join(faults)}); give columns of numbers"
        )
    if width * len(cells.y) > MAX_CELLS:
        raise BadInput(
            f"{where}: {width:,} columns with one a category, more than {MAX_CELLS:,} cells; "
            "ignore some columns of text"
        )
    check_cells(len(cells.y), width, where, sheet.packed)
    count = sum(len(c.values) for c in kept)
    words = f"Features: columns of numbers: {len(varied):,}"
    if kept:
        names = shortlist([c.name for c in kept])
        words += f"; of categories, with one column of 0 and 1 each: {names} ({count:,} categories)"
    remarks.note(f"{words}.", "features", [c.name for c in kept])
    if constant:
        remarks.note(
            f"Left out, since they do not vary: {shortlist(constant)}.", "left out", constant
        )
    if crowded_names := [*cells.crowded]:
        remarks.note(
            f"Left out, as text with more than {MAX_CATEGORIES} values: "
            f"{shortlist(crowded_names)}.",
            "left out",
            crowded_names,
            matters=True,
        )
    if holes := int(gaps[varied].sum()):
        names_with = [cells.names[i] for i in varied if gaps[i]]
        remarks.note(
            f"Missing numbers imputed with the median of the training rows: {holes:,}, in columns "
            f"{shortlist(names_with)}.",
            "imputed",
            names_with,
        )
    if empty := sum(int((c.codes < 0).sum()) for c in kept):
        names_with = [c.name for c in kept if (c.codes < 0).any()]
        remarks.note(
            f"Missing categories left at 0 throughout: {empty:,}, in {shortlist(names_with)}.",
            "imputed",
            names_with,
        )
    return TableFeatures(cells._replace(categories=kept), varied)


def encode_smiles(
    sheet: Sheet, cells: Cells, smiles: str, apart: frozenset[str], remarks: Remarks
) -> tuple[Bits, Cells, MoleculeGroups]:
    """Compute the fingerprints of a column of SMILES.

    Args:
        sheet: the table.
        cells: its rows.
        smiles: the name of the column.
        apart: what makes two molecules of one, "salts" and "stereo" (see `molecule_groups`).
        remarks: gets one note each on the rows left out and on the fingerprints, and a question
            where more than `UNREADABLE` of the rows are no molecules.

    Returns:
        The fingerprints, the rows that have one, and the groups of these rows.

    Raises:
        BadInput: RDKit is missing, or it can read no cell of the column.
    """
    try:
        import rdkit
        from rdkit import rdBase
    except ImportError:
        raise BadInput(
            f"{sheet.where}: fingerprints need RDKit; pip install 'mtl_nt[chem]'"
        ) from None
    column = cells.keys[smiles]
    with rdBase.BlockLogs():
        found = [*describe_molecules(column.values, apart)]
    readable = np.array([one is not None for one in found] + [False])[column.codes]
    if not readable.any():
        example = quoted(column.values[0]) if column.values else "nothing"
        raise BadInput(
            f"{sheet.where}: RDKit can read no cell of column {quoted(smiles)}, such as {example}; "
            "it must have SMILES"
        )
    if not readable.all():
        _remark_unreadable(sheet, cells, smiles, readable, remarks)
    kept = cells.take(readable)
    codes = column.codes[readable]
    bits = b"".join(one.bits if one else bytes(FINGERPRINT_BITS // 8) for one in found)
    count = len(found)
    molecules = Molecules(
        tasks=(),
        bits=np.frombuffer(bits, np.uint8).reshape(count, FINGERPRINT_BITS // 8),
        labels=np.zeros((count, 0), np.uint8),
        scaffold=np.zeros(count, np.int32),
        rows=count,
        unreadable=(),
        rdkit=rdkit.__version__,
    )
    remarks.note(
        f"Features: ECFP{2 * RADIUS} fingerprints of {FINGERPRINT_BITS:,} bits by RDKit "
        f"{rdkit.__version__}.",
        "features",
        [smiles],
    )
    groups = MoleculeGroups(
        molecule=_numbered([one.molecule if one else "" for one in found], codes),
        scaffold=_numbered([one.scaffold if one else "" for one in found], codes),
    )
    return molecules.take(codes).features(), kept, groups


def _numbered(names: list[str], codes: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """Number the names of all rows from 0 on, without gaps."""
    number = np.unique(np.array(names, dtype=object), return_inverse=True)[1]
    return np.unique(number[codes], return_inverse=True)[1]


def _remark_unreadable(
    sheet: Sheet, cells: Cells, smiles: str, readable: Bool[np.ndarray, " N"], remarks: Remarks
) -> None:
    column, lost = cells.keys[smiles], np.flatnonzero(~readable)
    places = [f"{sheet.unit} {cells.positions[r]}" for r in lost]
    more = f" and {len(lost) - 8:,} others" if len(lost) > 8 else ""
    said = (
        f"Left out, since RDKit cannot read their SMILES: {', '.join(places[:8])}{more} "
        f"(rows: {len(lost):,} of {len(readable):,})."
    )
    if len(lost) <= UNREADABLE * len(readable):
        remarks.note(said, "left out", [smiles], matters=True)
        return
    texts = [
        "nothing" if (c := column.codes[r]) < 0 else quoted(column.values[c]) for r in lost[:3]
    ]
    examples = ", ".join(f"{place} ({text})" for place, text in zip(places, texts, strict=False))
    remarks.ask(
        f"column {quoted(smiles)}: RDKit cannot read {len(lost):,} of {len(readable):,} rows: "
        f"{examples}{', ...' if len(lost) > 3 else ''}; mend them, or --yes leaves them out",
        said,
        "left out",
        [smiles],
    )
