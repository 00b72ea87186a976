"""Molecules of a table of assays: SMILES become ECFP4 fingerprints and scaffolds once, then a cache
has them, so that the next time needs neither RDKit nor the table.

ECFP4 (Rogers and Hahn, J. Chem. Inf. Model. 2010) are Morgan's fingerprints of radius 2, here
folded to 1,024 bits and without chirality. Scaffolds are those of Bemis and Murcko (J. Med. Chem.
1996); molecules without a ring share the empty one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import torch
from jaxtyping import Int32, UInt8

from ..bits import Bits
from ..files import opened, unpacked, write
from ..tasks import BadInput, nearest
from ..terminal import warn
from .csv_sheet import BLANK, lines
from .sheets import check_cells, check_unchanged, regular

RADIUS, WIDTH = 2, 1024
FORMAT = 1  # of the cache
WANTED = "give the path of a .csv or .csv.gz"
SMILES, IDENTIFIER = "smiles", "mol_id"  # columns that are no assays
MISSING, INACTIVE, ACTIVE = 0, 1, 2
CODES = {
    **dict.fromkeys(("", "NA", "nan", "NaN"), MISSING),
    **{"0": INACTIVE, "0.0": INACTIVE, "1": ACTIVE, "1.0": ACTIVE},
}
DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, NotImplementedError),
    *(MemoryError, RecursionError, zlib.error, zipfile.BadZipFile),
)
KEPT = 2**30  # bytes of a table in the cache
LONG = 20_000  # molecules that take so long that progress is shown
AT_ONCE = 50_000  # molecules whose bits are unpacked at once, 50 MB


class Molecules(NamedTuple):
    """Distinct molecules, their labels and what became of the table's rows."""

    tasks: tuple[str, ...]
    bits: UInt8[np.ndarray, "N bytes"]  # eight of the fingerprint in one
    labels: UInt8[np.ndarray, "N T"]  # MISSING, INACTIVE or ACTIVE
    scaffold: Int32[np.ndarray, " N"]  # number of the molecule's scaffold
    rows: int  # of the table
    unreadable: tuple[tuple[int, str], ...]  # line and SMILES of rows that RDKit cannot read
    rdkit: str  # the version that made them

    def features(self) -> Bits:
        """The fingerprints `[N, 1024]` as lists of their ones."""
        on = [np.zeros(0, np.int32)]
        for start in range(0, len(self.bits), AT_ONCE):
            dense = np.unpackbits(self.bits[start : start + AT_ONCE], axis=1)
            on.append(dense.nonzero()[1].astype(np.int32))
        lengths = np.bitwise_count(self.bits).sum(1, dtype=np.int64)
        starts = torch.from_numpy(lengths.cumsum() - lengths)
        return Bits(torch.from_numpy(np.concatenate(on)), starts, (len(self.bits), WIDTH))

    def take(self, rows: np.ndarray) -> Molecules:
        """These molecules alone: row numbers, or a flag for every one."""
        return self._replace(
            bits=self.bits[rows], labels=self.labels[rows], scaffold=self.scaffold[rows]
        )


def molecules(
    name: str, checksum: str, file: Callable[[], Path], sha256: str | None = None
) -> Molecules:
    """The molecules of a table, from the cache or, where it has them not, from the table.

    A cache that is damaged or cannot be written is said in one line on stderr, no more.

    Args:
        name: of the data set, for messages.
        checksum: of the table, the cache's key.
        file: gives the table's path; only asked where the cache has nothing.
        sha256: see `read`.

    Raises:
        BadInput: RDKit is missing, or the table is none (see `read`).
    """
    key = hashlib.sha256(json.dumps([FORMAT, RADIUS, WIDTH, checksum]).encode()).hexdigest()
    path = cache() / f"{name}-{key[:16]}.npz"
    if (found := _kept(path, key)) is None:
        try:
            import rdkit  # noqa: F401
        except ImportError:
            raise BadInput(f"{name}: fingerprints need RDKit; pip install 'mtl_nt[chem]'") from None
        found = read(file(), sha256)
        _keep(path, key, found)
    return found


def cache() -> Path:
    """The folder of the cache, the same as that of downloaded files."""
    import pooch  # takes a quarter of a second

    return Path(pooch.os_cache("mtl_nt"))


def read(path: Path, sha256: str | None = None) -> Molecules:
    """Read a table in MoleculeNet's format and compute its fingerprints.

    A column `smiles`, perhaps one `mol_id`, and one column an assay with 0, 1 or nothing. Rows with
    the same SMILES become one molecule, which is active where one of them is and has no label where
    none of them has one.

    Args:
        path: a .csv or .csv.gz.
        sha256: of the file, where it is known.

    Raises:
        BadInput: no such table, one that changes while it is read, a column or a cell that is none,
            or no molecule that RDKit can read. The message names file, line and column.
    """
    where = path.name
    about = regular(path, str(path), WANTED)
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        raise BadInput(f"{where}: its name must end with .csv or .csv.gz")
    packed = about.st_size if path.suffix.lower() == ".gz" else None
    try:
        with unpacked(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            table = _table(text, where, packed)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        fault = " ".join(str(getattr(error, "strerror", None) or error).split())[:60]
        raise BadInput(
            f"{where}: cannot be read as a table ({fault}); save or download it anew"
        ) from None
    check_unchanged(path, about, where, same=sha256 in (None, file.digest()))
    return _featurised(table, where)


# ----------------------------------------------------------------------------------- the table


class _Table(NamedTuple):
    tasks: tuple[str, ...]
    smiles: list[str]  # distinct, in the order in which they come first
    labels: UInt8[np.ndarray, "M T"]
    place: list[int]  # of every row among them
    line: list[int]  # of every row in the file


def _table(text: TextIO, where: str, packed: int | None = None) -> _Table:
    reader = csv.reader(lines(text, where), strict=True)
    header = [name.strip() for name in next(reader, [])]
    _check_header(header, where)
    key = header.index(SMILES)
    columns = [i for i, name in enumerate(header) if name not in (SMILES, IDENTIFIER)]
    known: dict[str, int] = {}
    labels: list[bytes] = []
    place: list[int] = []
    line: list[int] = []
    blank = 0
    for row in reader:
        here = f"{where}, line {reader.line_num}"
        if not row:
            if (blank := blank + 1) > max(BLANK, len(line)):
                raise BadInput(f"{here}: more than {BLANK:,} blank lines; drop them")
            continue
        if len(row) != len(header):
            raise BadInput(
                f"{here}: {len(row)} cells where the header has {len(header)}; mend the line"
            )
        if not (smiles := row[key].strip()):
            raise BadInput(f"{here}: column {SMILES!r} is empty; give its SMILES or drop the line")
        try:
            codes = bytes([CODES[row[i]] for i in columns])
        except KeyError:
            column = next(i for i in columns if row[i] not in CODES)
            raise BadInput(
                f"{here}, column {header[column][:40]!r}: {row[column][:40]!r} is no label; write "
                "0, 1 or nothing, or drop a column that is no assay"
            ) from None
        at = known.setdefault(smiles, len(labels))
        if at == len(labels):
            labels.append(codes)
        else:
            labels[at] = bytes(map(max, labels[at], codes))
        place.append(at)
        line.append(reader.line_num)
        check_cells(len(line), len(columns), where, packed)
    if not place:
        raise BadInput(f"{where}: no molecules; give a header and one line a molecule")
    table = np.frombuffer(b"".join(labels), np.uint8).reshape(len(labels), len(columns))
    return _Table(tuple(header[i] for i in columns), [*known], table, place, line)


def _check_header(header: list[str], where: str) -> None:
    if SMILES not in header:
        close = nearest(SMILES, [name for name in header if name] or ["nothing"])
        close = close if len(close) < 60 else "the first line must name the columns"
        raise BadInput(f"{where}: no column {SMILES!r}; {close}")
    if "" in header:
        raise BadInput(f"{where}: column {header.index('') + 1} has no name; name its assay")
    name, often = Counter(header).most_common(1)[0]
    if often > 1:
        raise BadInput(f"{where}: {often} columns are named {name!r}; rename or drop one")
    if not {*header} - {SMILES, IDENTIFIER}:
        raise BadInput(f"{where}: no assay; give one column an assay beside {SMILES!r}")


# -------------------------------------------------------------------------------- the molecules


def _featurised(table: _Table, where: str) -> Molecules:
    import rdkit
    from rdkit import rdBase

    packed, scaffold = bytearray(), []
    number: dict[str, int] = {}
    readable = np.ones(len(table.smiles), bool)
    with rdBase.BlockLogs():
        for i, molecule in enumerate(made(table.smiles)):
            if molecule is None:
                readable[i] = False
                continue
            packed += molecule[0]
            scaffold.append(number.setdefault(molecule[1], len(number)))
    lost = [r for r, at in enumerate(table.place) if not readable[at]]
    if not readable.any():
        raise BadInput(
            f"{where}: RDKit can read none of its {len(readable)} molecules, such as "
            f"{table.smiles[0][:40]!r}; column {SMILES!r} must have SMILES"
        )
    return Molecules(
        tasks=table.tasks,
        bits=np.frombuffer(packed, np.uint8).reshape(-1, WIDTH // 8),
        labels=table.labels[readable],
        scaffold=np.array(scaffold, np.int32),
        rows=len(table.place),
        unreadable=tuple((table.line[r], table.smiles[table.place[r]]) for r in lost),
        rdkit=rdkit.__version__,
    )


def made(smiles: list[str]) -> Iterator[tuple[bytes, str] | None]:
    """Every molecule's packed fingerprint and scaffold, or None where RDKit cannot read it."""
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator
    from rdkit.Chem.Scaffolds import MurckoScaffold
    from tqdm.auto import tqdm

    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=WIDTH)
    few = len(smiles) < LONG
    for text in tqdm(smiles, "fingerprints", leave=False, mininterval=0.5, disable=few):
        molecule: Any = Chem.MolFromSmiles(text)  # RDKit's own types know of no None
        if molecule is None:
            yield None
            continue
        bits = np.packbits(morgan.GetFingerprintAsNumPy(molecule))
        yield bits.tobytes(), MurckoScaffold.MurckoScaffoldSmiles(mol=molecule)


# ------------------------------------------------------------------------------------ the cache


def _keep(path: Path, key: str, found: Molecules) -> None:
    """Keep the molecules: the whole file or nothing."""
    about = {
        "key": key,
        "tasks": found.tasks,
        "rows": found.rows,
        "unreadable": found.unreadable,
        "rdkit": found.rdkit,
    }
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(
        file, about=text, bits=found.bits, labels=found.labels, scaffold=found.scaffold
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, file.getvalue())
    except OSError as error:
        warn(f"{path} cannot be written ({error.strerror}); fingerprints will be computed again")


def _kept(path: Path, key: str) -> Molecules | None:
    """What the cache has, or None if that is nothing, damaged or of another kind."""
    try:
        with opened(path, KEPT) as packed, zipfile.ZipFile(packed) as file:
            about = json.loads(_array(file, "about").tobytes())
            if about["key"] != key:
                raise ValueError("of another table")
            found = Molecules(
                tasks=tuple(str(task) for task in about["tasks"]),
                bits=_array(file, "bits"),
                labels=_array(file, "labels"),
                scaffold=_array(file, "scaffold"),
                rows=int(about["rows"]),
                unreadable=tuple((int(line), str(smiles)) for line, smiles in about["unreadable"]),
                rdkit=str(about["rdkit"]),
            )
        if not _fits(found):
            raise ValueError("tables that do not fit")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except DAMAGED:
        warn(f"{path} is damaged; fingerprints are computed again")
        return None
    return found


def _array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    # Read to the end, so that the zip's own checksum is checked; a pickle is refused.
    if file.getinfo(f"{name}.npy").file_size > KEPT:
        raise ValueError("too large")
    content = io.BytesIO(file.read(f"{name}.npy"))
    array: np.ndarray = np.lib.format.read_array(content, allow_pickle=False)
    return array


def _fits(found: Molecules) -> bool:
    count, tasks = found.scaffold.size, len(found.tasks)
    forms = (
        (found.bits, np.uint8, (count, WIDTH // 8)),
        (found.labels, np.uint8, (count, tasks)),
        (found.scaffold, np.int32, (count,)),
    )
    same = all(array.dtype == kind and array.shape == shape for array, kind, shape in forms)
    least = int(found.scaffold.min(initial=0))
    return same and least >= 0 and int(found.labels.max()) <= ACTIVE
