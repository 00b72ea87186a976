"""Tables of molecules in MoleculeNet's format: a column of SMILES, and one column per assay.

Source: Z. Wu and others, MoleculeNet: a Benchmark for Molecular Machine Learning, Chemical Science
2018.
"""

from __future__ import annotations

import csv
from collections import Counter
from typing import NamedTuple, TextIO

import numpy as np
from jaxtyping import UInt8

from ..errors import BadInput, suggestion
from .csv_sheet import MAX_BLANK, read_lines
from .sheets import check_cells

ADVICE = "give the path of a .csv or .csv.gz"
SMILES, IDENTIFIER = "smiles", "mol_id"  # the columns that are no assays
MISSING, INACTIVE, ACTIVE = 0, 1, 2
LABEL_CODES = {
    **dict.fromkeys(("", "NA", "nan", "NaN"), MISSING),
    **{"0": INACTIVE, "0.0": INACTIVE, "1": ACTIVE, "1.0": ACTIVE},
}


class MoleculeTable(NamedTuple):
    """The M distinct molecules of a table with T assays."""

    tasks: tuple[str, ...]
    smiles: list[str]  # in the order of their first rows
    labels: UInt8[np.ndarray, "M T"]  # MISSING, INACTIVE or ACTIVE
    molecule: list[int]  # for every row, the number of its molecule
    line: list[int]  # for every row, its line in the file


def parse_table(text: TextIO, where: str, packed: int | None = None) -> MoleculeTable:
    """Parse a table with a column `smiles`, perhaps a column `mol_id`, and one column per assay.

    A label is 0, 1 or nothing. Rows with the same SMILES become one molecule. It is active where
    one of its rows is active, and has no label where none of them has one.

    Args:
        text: the open file.
        where: the name of the file, which begins every message.
        packed: the size of a compressed file in bytes; None for a file that is not compressed.

    Raises:
        BadInput: a header, a line or a cell with a fault, no molecule, or too many cells.

    >>> import io
    >>> table = parse_table(io.StringIO("smiles,toxic\\nCO,1\\nC,0\\nCO,\\n"), "my.csv")
    >>> table.smiles, table.labels.tolist(), table.molecule
    (['CO', 'C'], [[2], [1]], [0, 1, 0])
    """
    reader = csv.reader(read_lines(text, where), strict=True)
    header = [name.strip() for name in next(reader, [])]
    _check_header(header, where)
    smiles_column = header.index(SMILES)
    columns = [i for i, name in enumerate(header) if name not in (SMILES, IDENTIFIER)]
    number_of: dict[str, int] = {}  # the number of every SMILES
    labels: list[bytes] = []
    molecule: list[int] = []
    line: list[int] = []
    blank = 0
    for row in reader:
        here = f"{where}, line {reader.line_num}"
        if not row:
            if (blank := blank + 1) > max(MAX_BLANK, len(line)):
                raise BadInput(f"{here}: more than {MAX_BLANK:,} blank lines; drop them")
            continue
        if len(row) != len(header):
            raise BadInput(
                f"{here}: {len(row)} cells where the header has {len(header)}; mend the line"
            )
        if not (smiles := row[smiles_column].strip()):
            raise BadInput(f"{here}: column {SMILES!r} is empty; give its SMILES or drop the line")
        try:
            codes = bytes([LABEL_CODES[row[i]] for i in columns])
        except KeyError:
            column = next(i for i in columns if row[i] not in LABEL_CODES)
            raise BadInput(
                f"{here}, column {header[column][:40]!r}: {row[column][:40]!r} is no label; write "
                "0, 1 or nothing, or drop a column that is no assay"
            ) from None
        number = number_of.setdefault(smiles, len(labels))
        if number == len(labels):
            labels.append(codes)
        else:
            labels[number] = bytes(map(max, labels[number], codes))
        molecule.append(number)
        line.append(reader.line_num)
        check_cells(len(line), len(columns), where, packed)
    if not molecule:
        raise BadInput(f"{where}: no molecules; give a header and one line a molecule")
    table = np.frombuffer(b"".join(labels), np.uint8).reshape(len(labels), len(columns))
    return MoleculeTable(tuple(header[i] for i in columns), [*number_of], table, molecule, line)


def _check_header(header: list[str], where: str) -> None:
    if SMILES not in header:
        close = suggestion(SMILES, [name for name in header if name] or ["nothing"])
        close = close if len(close) < 60 else "the first line must name the columns"
        raise BadInput(f"{where}: no column {SMILES!r}; {close}")
    if "" in header:
        raise BadInput(f"{where}: column {header.index('') + 1} has no name; name its assay")
    name, count = Counter(header).most_common(1)[0]
    if count > 1:
        raise BadInput(f"{where}: {count} columns are named {name!r}; rename or drop one")
    if not {*header} - {SMILES, IDENTIFIER}:
        raise BadInput(f"{where}: no assay; give one column an assay beside {SMILES!r}")
