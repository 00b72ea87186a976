"""Which rows of a table are of one molecule, and which molecules share a scaffold.

One molecule has many spellings in SMILES, so RDKit's canonical one is compared. Salts and
stereoisomers count as the molecule itself, because its fingerprint hardly tells them apart: with
them in different folds, a network would be tested on what it has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from ..errors import BadInput
from .fingerprints import read_smiles
from .sheets import quoted

APART = ("salts", "stereo")
"""What may make two molecules of one: its salts, and its stereoisomers."""


class MoleculeGroups(NamedTuple):
    """The molecule and the scaffold of every row, both numbers from 0."""

    molecule: Int[np.ndarray, " N"]
    scaffold: Int[np.ndarray, " N"]

    def take(self, rows: Bool[np.ndarray, " N"]) -> MoleculeGroups:
        """Return some of the rows, numbered anew."""
        return MoleculeGroups(*(np.unique(n[rows], return_inverse=True)[1] for n in self))


class MoleculeFacts(NamedTuple):
    """What a SMILES says: the packed fingerprint, the canonical molecule, and the scaffold."""

    bits: bytes
    molecule: str
    scaffold: str


def parse_apart(where: str, given: str | Sequence[str]) -> frozenset[str]:
    """Return what makes two molecules of one, from a list or from a text with commas.

    Raises:
        BadInput: a word that is not in `APART`.

    >>> sorted(parse_apart("my.csv", "salts, stereo"))
    ['salts', 'stereo']
    """
    words = given.split(",") if isinstance(given, str) else given
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise BadInput(f"{where}: apart {quoted(given)}: give salts, stereo or both")
    words = [word.strip() for word in words if word.strip()]
    for word in words:
        if word not in APART:
            raise BadInput(f"{where}: apart {quoted(word)}: give salts, stereo or both")
    return frozenset(words)


def describe_molecules(
    smiles: Sequence[str], apart: frozenset[str] = frozenset()
) -> Iterator[MoleculeFacts | None]:
    """Yield the facts of every molecule, or None where RDKit cannot read it.

    Args:
        smiles: the SMILES of the molecules.
        apart: what makes two molecules of one, some of `APART`.

    >>> ethanol, sodium = describe_molecules(["OCC", "CC[O-].[Na+]"])
    >>> ethanol.molecule, sodium.molecule
    ('CCO', 'CCO')
    """
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    for found in read_smiles(smiles):
        if found is None:
            yield None
            continue
        molecule, bits = found
        parent = molecule if "salts" in apart else _without_salt(molecule)
        yield MoleculeFacts(
            bits,
            Chem.MolToSmiles(parent, isomericSmiles="stereo" in apart),
            MurckoScaffold.MurckoScaffoldSmiles(mol=parent),
        )


def _without_salt(molecule: Any) -> Any:
    """The largest part of a molecule, without its charge."""
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize

    charged = any(atom.GetFormalCharge() for atom in molecule.GetAtoms())
    parts = Chem.GetMolFrags(molecule, asMols=True)
    if len(parts) > 1:
        molecule = max(parts, key=lambda part: (part.GetNumHeavyAtoms(), Chem.MolToSmiles(part)))
    return rdMolStandardize.Uncharger().uncharge(molecule) if charged else molecule
