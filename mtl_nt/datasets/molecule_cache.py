"""The cache of fingerprints: a table's molecules are computed once and read from disk afterwards.

A second load then needs neither RDKit nor the table. A file of the cache is named after the data
set and a key, which covers the table's checksum and the settings of the fingerprints.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..files import open_regular, write_atomically
from ..terminal import warn
from .fingerprints import FINGERPRINT_BITS, RADIUS, Molecules, read_molecules
from .molecule_table import ACTIVE

CACHE_FORMAT = 1
MAX_TABLE_BYTES = 2**30  # the limit of an array in the cache
DAMAGE_ERRORS: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, NotImplementedError),
    *(MemoryError, RecursionError, zlib.error, zipfile.BadZipFile),
)


def cached_molecules(
    name: str, checksum: str, file: Callable[[], Path], sha256: str | None = None
) -> Molecules:
    """Return the molecules of a table, from the cache if it has them, or else from the table.

    If the cache is damaged or cannot be written, one line on stderr says so, and the molecules are
    computed again.

    Args:
        name: the name of the data set, for file names and messages.
        checksum: the checksum of the table, which is the key of the cache.
        file: returns the path of the table. It is called only if the cache has nothing.
        sha256: the SHA-256 of the table, where it is known.

    Raises:
        BadInput: RDKit is missing, or the table has a fault (see `fingerprints.read_molecules`).
    """
    settings = [CACHE_FORMAT, RADIUS, FINGERPRINT_BITS, checksum]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    path = cache_folder() / f"{name}-{key[:16]}.npz"
    if (molecules := _read_cache(path, key)) is None:
        try:
            import rdkit  # noqa: F401
        except ImportError:
            raise BadInput(f"{name}: fingerprints need RDKit; pip install 'mtl_nt[chem]'") from None
        molecules = read_molecules(file(), sha256)
        _write_cache(path, key, molecules)
    return molecules


def cache_folder() -> Path:
    """Return the folder of the cache, which is that of downloaded files too.

    >>> cache_folder().name
    'mtl_nt'
    """
    import pooch  # takes a quarter of a second

    return Path(pooch.os_cache("mtl_nt"))


def _write_cache(path: Path, key: str, molecules: Molecules) -> None:
    """Write a file of the cache, as a whole or not at all."""
    about = {
        "key": key,
        "tasks": molecules.tasks,
        "rows": molecules.rows,
        "unreadable": molecules.unreadable,
        "rdkit": molecules.rdkit,
    }
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        about=text,
        bits=molecules.bits,
        labels=molecules.labels,
        scaffold=molecules.scaffold,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, file.getvalue())
    except OSError as error:
        warn(f"{path} cannot be written ({error.strerror}); fingerprints will be computed again")


def _read_cache(path: Path, key: str) -> Molecules | None:
    """Read a file of the cache. None means that there is none, or that it is of no use."""
    try:
        with open_regular(path, MAX_TABLE_BYTES) as packed, zipfile.ZipFile(packed) as file:
            about = json.loads(_read_array(file, "about").tobytes())
            if about["key"] != key:
                raise ValueError("of another table")
            molecules = Molecules(
                tasks=tuple(str(task) for task in about["tasks"]),
                bits=_read_array(file, "bits"),
                labels=_read_array(file, "labels"),
                scaffold=_read_array(file, "scaffold"),
                rows=int(about["rows"]),
                unreadable=tuple((int(line), str(smiles)) for line, smiles in about["unreadable"]),
                rdkit=str(about["rdkit"]),
            )
        if not _is_consistent(molecules):
            raise ValueError("tables that do not fit")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except DAMAGE_ERRORS:
        warn(f"{path} is damaged; fingerprints are computed again")
        return None
    return molecules


def _read_array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    # Read to the end, so that the zip's own checksum is checked; a pickle is refused.
    if file.getinfo(f"{name}.npy").file_size > MAX_TABLE_BYTES:
        raise ValueError("too large")
    content = io.BytesIO(file.read(f"{name}.npy"))
    array: np.ndarray = np.lib.format.read_array(content, allow_pickle=False)
    return array


def _is_consistent(molecules: Molecules) -> bool:
    count, tasks = molecules.scaffold.size, len(molecules.tasks)
    expected = (
        (molecules.bits, np.uint8, (count, FINGERPRINT_BITS // 8)),
        (molecules.labels, np.uint8, (count, tasks)),
        (molecules.scaffold, np.int32, (count,)),
    )
    same = all(array.dtype == kind and array.shape == shape for array, kind, shape in expected)
    lowest = int(molecules.scaffold.min(initial=0))
    return same and lowest >= 0 and int(molecules.labels.max()) <= ACTIVE
