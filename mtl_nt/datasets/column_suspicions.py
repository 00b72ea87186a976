"""Columns that may not be what they seem: molecules, row numbers, and numbers that mean "missing".

Every function looks at the cells as they were read, adds notes and questions, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from .cells import Cells
from .column_roles import Roles, shortlist
from .remarks import Remarks
from .sheets import quoted

SMILES_LETTERS = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$%/\\.:*]{1,2000}")
SMILES_MARKS = re.compile(r"[=()#\[\]]|[a-z]\d|[A-Z][a-z]?\d|[CNO]{3}")
IDENTIFIER = re.compile(
    r"(unnamed: ?\d+|index|idx|row|row[_ ]?(id|nr|no|number|index|names?)|nr|id|.*[_ -]id|.*Id|.*ID"
    r"|level_\d|(sample|record|subject|patient|compound|molecule)[_ ]?(nr|no|number|index))",
)
LOOK_AT = 31  # texts of a column that tell whether it has molecules
REPEATS = 3  # a far-off number must occur so often
DISTINCT = 10  # other numbers that a column with a far-off number must have
COLUMNS_AT_ONCE = 128
FLAGS = (-1, 9, 99, 999, -9, -99, -999, 9999, -9999, 8, 88, 77)
"""What stands for "missing" beside 0 and 1."""
CODES = (-1, -9, -99, -999, -9999, -99999, -999999)
"""What stands for "missing" beside numbers of 0 or more."""


def check_molecules(cells: Cells, roles: Roles, remarks: Remarks) -> None:
    """Ask about features of text that are molecules."""
    texts = {**cells.crowded, **{c.name: c.values for c in cells.categories}}
    for name, values in texts.items():
        if name not in roles.keep and looks_like_smiles(name, values[:LOOK_AT]):
            remarks.ask(
                f"column {quoted(name)} holds molecules, such as {quoted(values[0], 24)}; "
                f"--smiles {quoted(name)} makes them the features, --ignore {quoted(name)} leaves "
                "them out",
                f"Not read as molecules: {quoted(name)}.",
                "molecules",
                [name],
            )


def looks_like_smiles(name: str, values: Sequence[str]) -> bool:
    """Tell whether the texts of a column are SMILES.

    RDKit decides, where it is installed. A column that is named so needs half of its texts to be
    molecules, and any other one nine of ten.

    >>> looks_like_smiles("drug", ["CC(=O)Nc1ccc(O)cc1", "CC(=O)OC", "CC(C)O"])
    True
    >>> looks_like_smiles("city", ["Oslo", "Bonn", "Cork", "Nice"])
    False
    """
    named = "smiles" in name.lower()
    values = [v.strip() for v in values if v.strip()]
    written = [v for v in values if SMILES_LETTERS.fullmatch(v)]
    if len(values) < 2 or len(written) * 2 < len(values):
        return False
    if not named and (
        len(written) < len(values)
        or 2 * sum(bool(SMILES_MARKS.search(v)) for v in values) < len(values)
    ):
        return False
    try:
        from rdkit import Chem, rdBase
    except ImportError:
        return named or all(re.search(r"[=(]", v) for v in values)
    with rdBase.BlockLogs():
        found = [Chem.MolFromSmiles(v) for v in written]
    sizes = [m.GetNumHeavyAtoms() for m in found if m is not None]
    if named:
        return 2 * len(sizes) >= len(values)
    return 10 * len(sizes) >= 9 * len(values) and 2 * sum(s >= 3 for s in sizes) >= len(sizes)


def find_row_numbers(cells: Cells, roles: Roles, remarks: Remarks) -> set[str]:
    """Find row numbers and identifiers among the features, which are left out.

    A row number grows by one from row to row. An identifier is a whole number that differs in every
    row, and its name says so. Features that the user names stay.

    Returns:
        The columns to leave out.
    """
    if roles.named or roles.smiles is not None:
        return set()
    numbered, identifiers, repeated = list[str](), list[str](), list[str]()
    for i, name in enumerate(cells.names):
        if name in roles.keep:
            continue
        column = cells.numbers[:, i]
        named = bool(IDENTIFIER.fullmatch(name) or IDENTIFIER.fullmatch(name.lower()))
        if not named and (len(column) < 2 or column[1] - column[0] < 1):
            continue
        values = column.astype(np.float64) + cells.offsets.get(name, 0.0)
        if np.isnan(values).any() or (values != np.rint(values)).any():
            continue
        steps = np.diff(values)
        if (steps == 1).all() or np.array_equal(steps, np.diff(cells.positions)):
            numbered.append(name)
            continue
        different = len(np.unique(values)) if named else 0
        if named and (
            different == len(values)
            or (np.abs(values).max() > 2**24 and 2 * different > len(values))
        ):
            identifiers.append(name)  # of more than seven digits, some are equal in float32
        elif named and 3 < different <= len(values) / 2:
            repeated.append(name)
    for names, words in ((numbered, "row numbers"), (identifiers, "identifiers")):
        if names:
            remarks.note(
                f"Left out, as {words} are no features: {shortlist(names)} (--keep takes them).",
                "left out",
                names,
                matters=True,
            )
    if repeated:
        remarks.note(
            f"Features that are named as identifiers: {shortlist(repeated)}; name them under "
            "--group if rows with one value belong together, or under --ignore.",
            "identifiers",
            repeated,
            matters=True,
        )
    return {*numbered, *identifiers}


def check_far_values(cells: Cells, roles: Roles, left_out: set[str], remarks: Remarks) -> set[str]:
    """Ask about numbers that may stand for "missing": far from all others, and repeated.

    In targets of 0 and 1 a third value such as -1 or 9 is asked about, too.

    Returns:
        The columns that were asked about.
    """
    found: dict[float, list[tuple[str, int]]] = {}
    far = set[float]()  # those that are more than the only number below 0
    flags: dict[float, list[tuple[str, int]]] = {}
    shifts = cells.label_offsets(roles.targets)
    for names, table in ((roles.targets, cells.y), (cells.names, cells.numbers)):
        for name, value, count, code in _repeated_extremes(names, table):
            if name not in roles.keep | roles.classes and name not in left_out:
                value += cells.offsets.get(name, 0.0)
                if not code or value < -9 or name in roles.targets:  # -1 may be a feature's level
                    found.setdefault(value, []).append((name, count))
                    far |= set() if code else {value}
    for t, name in enumerate(roles.targets):
        if name not in roles.keep | roles.regression | roles.classes:
            labels = cells.y[:, t]
            if shifts[t] == 0 and (hit := _flag_beside_classes(labels[~np.isnan(labels)])):
                flags.setdefault(hit[0], []).append((name, hit[1]))
    for value, columns in flags.items():
        names = [name for name, _ in columns]
        number, many = f"{value:g}", sum(count for _, count in columns)
        which = _option(names, roles)
        remarks.ask(
            f"{number} stands beside 0 and 1 in {_named(names)} (cells: {many:,}); is it no label? "
            f"{_missing_flag(number, names, cells, roles)}, --classes {which}, if it is a class, "
            f"or --regression {which}, if it is a number",
            f"Read as numbers, since {number} stands beside 0 and 1: {shortlist(names)}.",
            "missing",
            names,
        )
    for value, columns in found.items():
        names = [name for name, _ in columns]
        number, many = f"{value:.10g}", sum(count for _, count in columns)
        seen = "is far from all other numbers" if value in far else "is the only number below 0"
        remarks.ask(
            f"{number} {seen} and repeated in {_named(names)} (cells: {many:,}); is it missing? "
            f"{_missing_flag(number, names, cells, roles)}, or --keep {_option(names, roles)}",
            f"Read as a number, though it {seen} and repeated: {number} in {shortlist(names)} "
            f"(cells: {many:,}).",
            "missing",
            names,
        )
    return {name for columns in (*flags.values(), *found.values()) for name, _ in columns}


def _named(names: Sequence[str]) -> str:
    return shortlist(names, 2)


def _option(names: Sequence[str], roles: Roles) -> str:
    """These columns as the value of an option: all of them, or a pattern for the targets."""
    return quoted(roles.targets_pattern(names) or ",".join(names), 60)


def _missing_flag(number: str, names: Sequence[str], cells: Cells, roles: Roles) -> str:
    """The option that empties a number in these columns and in no other."""
    value, others = np.float32(number), {*cells.names, *roles.targets} - {*names}
    here = [*(cells.names.index(n) for n in others if n in cells.names)]
    clash = any((cells.numbers[:, i] == value).any() for i in here) or any(
        (cells.y[:, t] == value).any() for t, n in enumerate(roles.targets) if n in others
    )
    if not clash:
        return f"--missing={number}"
    pattern = roles.targets_pattern(names)
    if pattern and "," not in pattern:
        return f"--missing '{pattern}={number}'"
    several = ",".join(f"{name}={number}" for name in names[:2])
    return f"--missing {quoted(several + (',...' if len(names) > 2 else ''), 60)}"


def _repeated_extremes(
    names: Sequence[str], table: Float[np.ndarray, "N columns"]
) -> list[tuple[str, float, int, bool]]:
    """Find columns whose least or greatest number is repeated and seems to mean something else.

    It is far from all others: further from the next number than the others are from each other. A
    number of nines, such as -999 and 9999, needs half of that, and may fill most of the column.
    Or it is a code, such as -1 and -99: the only number below 0.

    Returns:
        The column, the number, how often it occurs, and whether it is such a code.
    """
    found: list[tuple[str, float, int, bool]] = []
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        block = table[:, start : start + COLUMNS_AT_ONCE]
        for reduce, opposite, side in (
            (np.fmin.reduce, np.fmax.reduce, -1),
            (np.fmax.reduce, np.fmin.reduce, 1),
        ):
            extreme, other_end = reduce(block, 0), opposite(block, 0)
            hit = block == extreme
            counts = hit.sum(0)
            following = reduce(np.where(hit, np.float32(np.nan), block), 0)  # the next number
            gap = np.abs(extreme - following)
            likely = (counts >= REPEATS) & (following != other_end)
            likely &= (gap > 0.5 * np.abs(following - other_end)) | (
                (side < 0) & (extreme < 0) & (following >= 0)
            )
            for i in np.flatnonzero(likely):
                column, value = block[:, i].astype(np.float64), float(extreme[i])
                rest = column[~np.isnan(column) & ~hit[:, i]]
                nines = bool(re.fullmatch(r"-?9{3,}(\.0)?", repr(value)))
                code = side < 0 and value in CODES and rest.min() >= 0
                most = 2 * len(rest) <= counts[i] + len(rest)
                far = gap[i] > np.ptp(rest) * (0.5 if nines else 1)
                if (code or far) and (nines or not most) and len(np.unique(rest)) >= DISTINCT:
                    found.append((names[start + int(i)], value, int(counts[i]), code and not far))
    return found


def _flag_beside_classes(labels: Float[np.ndarray, " n"]) -> tuple[float, int] | None:
    """Find the one number beside 0 and 1 that stands for a missing label, and how often it does."""
    others = labels[(labels != 0) & (labels != 1)]
    if not len(others) or len(others) == len(labels) or others.min() != others.max():
        return None
    value = float(others[0])
    both = (labels == 0).any() and (labels == 1).any()
    return (value, len(others)) if both and value in FLAGS else None
