"""Features of a user's table as networks read them: scaled numbers, categories, fingerprints."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

from ..bits import Bits
from ..tasks import BadInput
from .cells import MOST, Cells
from .columns import Roles, few
from .fingerprints import RADIUS, WIDTH, Molecules, made
from .opening import Sheet
from .sheets import CELLS, check_cells, shown

FARTHEST = 1e6  # standard deviations that a feature may lie off its mean, so that x stays finite
ROUNDING = 1e-6  # a standard deviation below it, relative to the mean, is float32's rounding
AT_ONCE = 128  # columns that are scaled at once: in float64, 100 MB of 100,000 rows


class Inputs(NamedTuple):
    """Features as they are in the file."""

    cells: Cells
    varied: Int[np.ndarray, " columns"]  # columns of numbers that vary

    def scaled(self, train: Bool[np.ndarray, " N"]) -> Float32[np.ndarray, "N F"]:
        """Features as networks read them; all that is learned is learned from training rows."""
        cells, count = self.cells, len(self.varied)
        width = count + sum(len(category.values) for category in cells.categories)
        x = np.empty((len(cells.y), width), np.float32)
        for start in range(0, count, AT_ONCE):
            some = self.varied[start : start + AT_ONCE]
            block = np.ascontiguousarray(cells.numbers[:, some].T, np.float64)  # (columns, N)
            learned = block[:, train]
            if (missing := np.isnan(block)).any():
                # As scikit-learn's SimpleImputer, whose median takes three times as long.
                learned[np.isnan(learned).all(1)] = 0
                block = np.where(missing, np.nanmedian(learned, 1)[:, None], block)
                learned = block[:, train]
            centre, sd = learned.mean(1), learned.std(1)
            fixed = (learned.min(1) == learned.max(1)) | (sd <= ROUNDING * np.abs(centre))
            flags = ((learned == 0) | (learned == 1)).all(1)
            centre[flags], sd[flags | fixed] = 0, 1
            block = (block - centre[:, None]) / sd[:, None]
            block[fixed] = 0
            x[:, start : start + len(some)] = np.clip(block, -FARTHEST, FARTHEST).T
        for category in cells.categories:
            known = np.arange(len(category.values))
            known = known[np.isin(known, category.codes[train])]
            place = slice(count, count + len(category.values))
            x[:, place] = 0
            x[:, count + known] = category.codes[:, None] == known
            count = place.stop
        return x


def encoded(sheet: Sheet, roles: Roles, cells: Cells, notes: list[str]) -> Inputs:
    """Features without those that do not vary; what was left out or will be imputed is noted."""
    where, numbers = sheet.where, cells.numbers
    lowest, highest, gaps = (np.empty(len(cells.names)) for _ in range(3))
    for start in range(0, len(cells.names), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        block, missing = numbers[:, some], np.isnan(numbers[:, some])
        lowest[some] = np.where(missing, np.inf, block).min(0)
        highest[some] = np.where(missing, -np.inf, block).max(0)
        gaps[some] = missing.sum(0)
    varied = np.flatnonzero(lowest < highest)
    constant = [cells.names[i] for i in np.flatnonzero(lowest >= highest)]
    kept = [c for c in cells.categories if len(np.unique(c.codes)) > 1]
    constant += [c.name for c in cells.categories if len(np.unique(c.codes)) < 2]
    width = len(varied) + sum(len(c.values) for c in kept)
    if not width:
        known = f"{few(constant, 2)} do not vary" if constant else ""
        many = f"{few(cells.crowded, 2)}: text with more than {MOST} values"
        faults = [known] * bool(constant) + [many] * bool(cells.crowded)
        raise BadInput(
            f"{where}: no feature is left ({'; '.join(faults)}); give columns of numbers"
        )
    if width * len(cells.y) > CELLS:
        raise BadInput(
            f"{where}: {width:,} columns with one a category, more than {CELLS:,} cells; ignore "
            "some columns of text"
        )
    check_cells(len(cells.y), width, where, sheet.packed)
    count = sum(len(c.values) for c in kept)
    notes.append(
        f"Features: columns of numbers: {len(varied):,}; of categories: {len(kept):,}, with "
        f"{count:,} categories in all."
    )
    if constant:
        notes.append(f"Dropped, since they do not vary: {few(constant)}.")
    if cells.crowded:
        notes.append(f"Dropped, as text with more than {MOST} values: {few(cells.crowded)}.")
    if holes := int(gaps[varied].sum()):
        columns = [cells.names[i] for i in varied if gaps[i]]
        notes.append(
            f"Missing numbers imputed with the median of the training rows: {holes:,}, in columns "
            f"{few(columns)}."
        )
    if empty := sum(int((c.codes < 0).sum()) for c in kept):
        columns = [c.name for c in kept if (c.codes < 0).any()]
        notes.append(f"Missing categories left at 0 throughout: {empty:,}, in {few(columns)}.")
    return Inputs(cells._replace(categories=kept), varied)


def fingerprinted(
    sheet: Sheet, cells: Cells, smiles: str, notes: list[str]
) -> tuple[Bits, Cells, Int[np.ndarray, " N"]]:
    """Fingerprints, the rows that have one, and the number of every row's SMILES."""
    try:
        import rdkit
        from rdkit import rdBase
    except ImportError:
        raise BadInput(
            f"{sheet.where}: fingerprints need RDKit; pip install 'mtl_nt[chem]'"
        ) from None
    column = cells.keys[smiles]
    with rdBase.BlockLogs():
        found = [*made(column.values)]
    readable = np.array([one is not None for one in found] + [False])[column.codes]
    if not readable.any():
        example = shown(column.values[0]) if column.values else "nothing"
        raise BadInput(
            f"{sheet.where}: RDKit can read no cell of column {shown(smiles)}, such as {example}; "
            "it must have SMILES"
        )
    if not readable.all():
        lost = np.flatnonzero(~readable)
        names = [f"{sheet.unit} {cells.at[r]}" for r in lost[:8]]
        more = f" and {len(lost) - 8:,} others" if len(lost) > 8 else ""
        notes.append(
            f"Left out, since RDKit cannot read their SMILES: {', '.join(names)}{more} "
            f"(rows: {len(lost):,})."
        )
    codes = column.codes[readable]
    packed = b"".join(one[0] if one else bytes(WIDTH // 8) for one in found)
    count = len(found)
    molecules = Molecules(
        tasks=(),
        bits=np.frombuffer(packed, np.uint8).reshape(count, WIDTH // 8),
        labels=np.zeros((count, 0), np.uint8),
        scaffold=np.zeros(count, np.int32),
        rows=count,
        unreadable=(),
        rdkit=rdkit.__version__,
    )
    notes.append(
        f"Features: ECFP{2 * RADIUS} fingerprints of {WIDTH:,} bits by RDKit {rdkit.__version__}."
    )
    keys = {n: c._replace(codes=c.codes[readable]) for n, c in cells.keys.items()}
    kept = cells._replace(
        y=cells.y[readable], numbers=cells.numbers[readable], keys=keys, at=cells.at[readable]
    )
    same = np.unique(codes, return_inverse=True)[1]
    return molecules.take(codes).features(), kept, same
