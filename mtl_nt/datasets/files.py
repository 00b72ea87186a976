"""Files of real data: from a folder of one's own, the cache, or their public place."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

from ..tasks import BadInput

FOLDER = "MTL_NT_DATA"
"""The environment variable that names a folder with files of one's own."""


class Source(NamedTuple):
    """A file at a pinned public place.

    Where `unpacked` is given, in bytes, the file is a gz and the SHA-256 is that of its content:
    mirrors may have packed the same content in other ways. Where no SHA-256 is known, `blob` is the
    name that Git gives to the file: the SHA-1 of "blob", its length, a zero byte and its bytes.
    """

    name: str
    url: str
    sha256: str
    unpacked: int | None = None
    blob: str = ""

    @property
    def checksum(self) -> str:
        """What the file is known by, and its kind."""
        return f"SHA-256 {self.sha256}" if self.sha256 else f"Git blob SHA-1 {self.blob}"


def fetch(source: Source, *others: Source, instead: str = "", other: str = "") -> Path:
    """The file, downloaded once. Whatever its way here, its checksum is checked.

    Args:
        source: the file.
        others: more files that are needed, named where this one cannot be downloaded.
        instead: what needs no download, said there too.
        other: what to do with another file of one's own, said where it is refused.

    Raises:
        BadInput: it cannot be had, or is another file.
    """
    if folder := os.environ.get(FOLDER):
        path = Path(folder) / source.name
        if path.exists():
            if fault := _fault(path, source):
                raise BadInput(
                    f"{path} is not the known file ({fault}); replace it, or take it "
                    f"out of the folder that {FOLDER} names{other}"
                )
            return path
    import pooch  # takes a quarter of a second

    def checked(url: str, file: str, _: object) -> None:  # before pooch gives it its name
        pooch.HTTPDownloader(progressbar=sys.stderr.isatty())(url, file, None)
        if fault := _fault(Path(file), source):
            raise ValueError(fault)

    pooch.get_logger().setLevel("WARNING")
    cache = Path(pooch.os_cache("mtl_nt"))
    try:
        if (cache / source.name).exists() and _fault(cache / source.name, source):
            (cache / source.name).unlink()  # damaged since
        found = pooch.retrieve(
            source.url, known_hash=None, fname=source.name, path=cache, downloader=checked
        )
    except ValueError as error:  # pooch has thrown it away
        raise BadInput(
            f"{source.url} has another file than the known {source.name} ({error}); "
            "nothing was kept"
        ) from None
    except OSError as error:
        if error.errno:  # not the network's
            raise BadInput(
                f"{source.name} cannot be kept in {cache} ({error.strerror}); make room there, or "
                f"put the file into a folder and set {FOLDER} to it"
            ) from None
        files = " and ".join(["it", *(other.name for other in others)])
        raise BadInput(
            f"{source.url} cannot be downloaded; put {files} into a folder and set the "
            f"environment variable {FOLDER} to it{instead}"
        ) from None
    return Path(found)


def held(source: Source) -> Path | None:
    """Where the file lies already, checked: in the folder of one's own, or in the cache."""
    import pooch

    folders = [os.environ.get(FOLDER), pooch.os_cache("mtl_nt")]
    paths = [Path(folder) / source.name for folder in folders if folder]
    return next((p for p in paths if p.exists() and not _fault(p, source)), None)


def content(path: Path, source: Source) -> bytes:
    """The file's bytes, unpacked where the source says so: one byte too many at most."""
    if source.unpacked is None:
        return path.read_bytes()
    with gzip.open(path) as file:
        return file.read(source.unpacked + 1)


def _fault(path: Path, source: Source) -> str:
    """Why this is not the known file; nothing where it is."""
    try:
        data = content(path, source)
    except (OSError, EOFError, zlib.error):
        return "it cannot be read" if source.unpacked is None else "it cannot be unpacked"
    if source.unpacked is not None and len(data) != source.unpacked:
        return f"unpacked, it has not {source.unpacked} bytes"
    if source.sha256:
        return "" if hashlib.sha256(data).hexdigest() == source.sha256 else "its SHA-256 differs"
    digest = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    return "" if digest == source.blob else "its Git blob SHA-1 differs"
