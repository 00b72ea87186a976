"""Fingerprints and scaffolds of molecules, computed from their SMILES by RDKit.

The fingerprints are ECFP4: Morgan's fingerprints of radius 2, here folded to 1,024 bits and without
chirality. Molecules without a ring share the empty scaffold.

Sources: D. Rogers and M. Hahn, Extended-Connectivity Fingerprints, Journal of Chemical Information
and Modeling 2010; G. W. Bemis and M. A. Murcko, The Properties of Known Drugs, Journal of Medicinal
Chemistry 1996, for the scaffolds.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int32, UInt8

from ..bits import Bits
from ..errors import BadInput
from ..files import open_unpacked
from .molecule_table import ADVICE, SMILES, MoleculeTable, parse_table
from .sheets import check_file, check_unchanged

RADIUS, FINGERPRINT_BITS = 2, 1024
PROGRESS_FROM = 20_000  # so many molecules take so long that progress is shown
MOLECULES_AT_ONCE = 50_000  # their unpacked bits take 50 MB


class Molecules(NamedTuple):
    """N distinct molecules with their fingerprints, and their labels in T assays."""

    tasks: tuple[str, ...]
    bits: UInt8[np.ndarray, "N bytes"]  # the fingerprints, eight bits in one byte
    labels: UInt8[np.ndarray, "N T"]  # MISSING, INACTIVE or ACTIVE
    scaffold: Int32[np.ndarray, " N"]  # the number of the molecule's scaffold
    rows: int  # how many rows the table has
    unreadable: tuple[tuple[int, str], ...]  # line and SMILES of the rows that RDKit cannot read
    rdkit: str  # the version of RDKit

    def features(self) -> Bits:
        """Return the fingerprints `[N, 1024]` as lists of their ones.

        >>> bits = np.zeros((2, 128), np.uint8)
        >>> bits[0, 1] = 0b11000000
        >>> empty = np.zeros((2, 0), np.uint8)
        >>> molecules = Molecules((), bits, empty, np.zeros(2, np.int32), 2, (), "2026.9.1")
        >>> molecules.features().shape, molecules.features().on.tolist()
        ((2, 1024), [8, 9])
        """
        on = [np.zeros(0, np.int32)]
        for start in range(0, len(self.bits), MOLECULES_AT_ONCE):
            dense = np.unpackbits(self.bits[start : start + MOLECULES_AT_ONCE], axis=1)
            on.append(dense.nonzero()[1].astype(np.int32))
        lengths = np.bitwise_count(self.bits).sum(1, dtype=np.int64)
        starts = torch.from_numpy(lengths.cumsum() - lengths)
        return Bits(
            torch.from_numpy(np.concatenate(on)), starts, (len(self.bits), FINGERPRINT_BITS)
        )

    def take(self, rows: np.ndarray) -> Molecules:
        """Return some of the molecules.

        Args:
            rows: the numbers of these molecules, or a flag for every molecule.
        """
        return self._replace(
            bits=self.bits[rows], labels=self.labels[rows], scaffold=self.scaffold[rows]
        )


def read_molecules(path: Path, sha256: str | None = None) -> Molecules:
    """Read a table in MoleculeNet's format and compute the fingerprints of its molecules.

    Args:
        path: a .csv or .csv.gz; see `molecule_table.parse_table`.
        sha256: the SHA-256 of the file, where it is known.

    Raises:
        BadInput: no such table, a table that changes while it is read, a column or a cell with a
            fault, or no molecule that RDKit can read. The message names file, line and column.
    """
    where = path.name
    status = check_file(path, str(path), ADVICE)
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        raise BadInput(f"{where}: its name must end with .csv or .csv.gz")
    packed = status.st_size if path.suffix.lower() == ".gz" else None
    try:
        with open_unpacked(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            table = parse_table(text, where, packed)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        fault = " ".join(str(getattr(error, "strerror", None) or error).split())[:60]
        raise BadInput(
            f"{where}: cannot be read as a table ({fault}); save or download it anew"
        ) from None
    check_unchanged(path, status, where, same=sha256 in (None, file.digest()))
    return _featurise(table, where)


def _featurise(table: MoleculeTable, where: str) -> Molecules:
    import rdkit
    from rdkit import rdBase

    packed, scaffold = bytearray(), []
    scaffold_number: dict[str, int] = {}
    readable = np.ones(len(table.smiles), bool)
    with rdBase.BlockLogs():
        for i, molecule in enumerate(compute_fingerprints(table.smiles)):
            if molecule is None:
                readable[i] = False
                continue
            packed += molecule[0]
            scaffold.append(scaffold_number.setdefault(molecule[1], len(scaffold_number)))
    unreadable = [row for row, number in enumerate(table.molecule) if not readable[number]]
    if not readable.any():
        raise BadInput(
            f"{where}: RDKit can read none of its {len(readable)} molecules, such as "
            f"{table.smiles[0][:40]!r}; column {SMILES!r} must have SMILES"
        )
    return Molecules(
        tasks=table.tasks,
        bits=np.frombuffer(packed, np.uint8).reshape(-1, FINGERPRINT_BITS // 8),
        labels=table.labels[readable],
        scaffold=np.array(scaffold, np.int32),
        rows=len(table.molecule),
        unreadable=tuple((table.line[r], table.smiles[table.molecule[r]]) for r in unreadable),
        rdkit=rdkit.__version__,
    )


def read_fingerprints(where: str, smiles: Sequence[str]) -> list[bytes | None]:
    """The packed fingerprint of every molecule, or None where RDKit cannot read it.

    Args:
        where: the beginning of the message.
        smiles: the SMILES of the molecules.

    Raises:
        BadInput: RDKit is missing.

    >>> [one is None for one in read_fingerprints("my.csv", ["CCO", "no molecule", ""])]
    [False, True, True]
    """
    try:
        from rdkit import rdBase
    except ImportError:
        raise BadInput(f"{where}: fingerprints need RDKit; pip install 'mtl_nt[chem]'") from None
    with rdBase.BlockLogs():
        return [found and found[1] for found in read_smiles(smiles, progress=False)]


def compute_fingerprints(smiles: Sequence[str]) -> Iterator[tuple[bytes, str] | None]:
    """Yield the packed fingerprint and the scaffold of every molecule.

    A molecule that RDKit cannot read gives None.

    Args:
        smiles: the SMILES of the molecules.
    """
    from rdkit.Chem.Scaffolds import MurckoScaffold

    for found in read_smiles(smiles):
        if found is None:
            yield None
        else:
            molecule, bits = found
            yield bits, MurckoScaffold.MurckoScaffoldSmiles(mol=molecule)


def read_smiles(smiles: Sequence[str], progress: bool = True) -> Iterator[tuple[Any, bytes] | None]:
    """Yield every molecule, as RDKit has it, and its packed fingerprint.

    A SMILES that RDKit cannot read, or that has no atom, gives None. An empty text has none, and
    RDKit makes a molecule of it all the same.

    Args:
        smiles: the SMILES of the molecules.
        progress: whether a bar is shown where they are many.
    """
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator
    from tqdm.auto import tqdm

    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=FINGERPRINT_BITS)
    quiet = not progress or len(smiles) < PROGRESS_FROM
    for text in tqdm(smiles, "fingerprints", leave=False, mininterval=0.5, disable=quiet):
        molecule: Any = Chem.MolFromSmiles(text)  # None where it is no molecule
        if molecule is None or not molecule.GetNumAtoms():
            yield None
        else:
            yield molecule, np.packbits(morgan.GetFingerprintAsNumPy(molecule)).tobytes()
