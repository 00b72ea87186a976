"""Files of real data: from a folder of one's own, the cache, or their public place."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from ..tasks import BadInput

FOLDER = "MTL_NT_DATA"
"""The environment variable that names a folder with files of one's own."""


class Source(NamedTuple):
    """A file at a pinned public place."""

    name: str
    url: str
    sha256: str


def fetch(source: Source) -> Path:
    """The file, downloaded once. Whatever its way here, its SHA-256 is checked.

    Raises:
        BadInput: it cannot be had, or is another file.
    """
    if folder := os.environ.get(FOLDER):
        path = Path(folder) / source.name
        if path.exists():
            if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
                raise BadInput(
                    f"{path} is not the known file (its SHA-256 differs); replace it, or take it "
                    f"out of the folder that {FOLDER} names"
                )
            return path
    import pooch  # takes a quarter of a second

    pooch.get_logger().setLevel("WARNING")
    try:
        found = pooch.retrieve(
            source.url,
            known_hash=f"sha256:{source.sha256}",
            fname=source.name,
            path=pooch.os_cache("mtl_nt"),
        )
    except ValueError:  # pooch has thrown it away
        raise BadInput(
            f"{source.url} has another file than the known {source.name}; nothing was kept"
        ) from None
    except OSError:
        raise BadInput(
            f"{source.name} cannot be downloaded from {source.url}; on a machine without network, "
            f"put it into a folder and name that in the environment variable {FOLDER}"
        ) from None
    return Path(found)
