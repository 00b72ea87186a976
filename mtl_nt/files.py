"""Files on disk: only regular ones are read, their size is known first, and what is written is
there as a whole or not at all.

Every module that opens a file which a user names, or which lies in a folder that others can write
to, does so here. A FIFO or a device would be waited for, or read, for ever.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

TEMPORARY = ".mtl_nt-"
"""How the names of temporary folders begin."""
LEFT = re.compile(re.escape(TEMPORARY) + "[a-z0-9_]{8}")
STALE = 7 * 24 * 3600.0  # seconds, where nothing says whether its process is gone
SMALL = 2**28
"""Bytes of a file that is read as a whole: JSON or a notebook."""
LARGE = 2**31
"""Bytes of a part of a study or of an audit, which many runs of many tasks make long."""
UNPACKED = 2**33
"""Bytes that a file may have, or unpack to."""
FREE, RATIO = 2**31, 100
"""A packed file may unpack to `FREE` bytes, and to more if these are at most so many times its own:
a table of numbers shrinks to a tenth, one of zeros to a thousandth."""


def check_regular(path: str | Path, most: int | None = None) -> os.stat_result:
    """What the system says about a regular file, or about the one that a link leads to.

    Args:
        most: the largest size in bytes.

    Raises:
        OSError: there is none, it is a folder, a FIFO, a socket or a device, or it is larger.
            `strerror` says which.

    >>> import os
    >>> check_regular(os.devnull)
    Traceback (most recent call last):
    OSError: [Errno 22] no regular file: '/dev/null'
    """
    return _checked(os.stat(path), path, most)


def opened(path: str | Path, most: int | None = None) -> io.BufferedReader:
    """A regular file, open for reading its bytes. Arguments and errors are those of
    `check_regular`.
    """
    check_regular(path, most)  # to open a device may already do something
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):  # not every system has all of them
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags)
    try:
        _checked(os.fstat(handle), path, most)  # it may have been exchanged since
    except OSError:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def content(path: str | Path, most: int = SMALL) -> bytes:
    """All bytes of a regular file. Errors are those of `check_regular`."""
    with opened(path, most) as file:
        found = file.read(most + 1)
    if len(found) > most:  # it has grown since, or its size was not known
        raise _too_large(path, most)
    return found


def digest(path: str | Path, algorithm: str = "sha256") -> str:
    """The checksum of a regular file, read as a stream. Errors are those of `check_regular`."""
    with opened(path) as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def unpacked(path: str | Path, most: int = UNPACKED, packed: bool | None = None) -> Unpacked:
    """The content of a regular file, to be read as a stream, unpacked where it is a gz.

    Errors are those of `check_regular`, also while reading: nothing unpacks to more than `most`
    bytes, nor to more than `FREE` and `RATIO` allow.

    Args:
        packed: whether it is a gz; by default as its name says.
    """
    if packed is None:
        packed = str(path).lower().endswith(".gz")
    return Unpacked(_Content(path, most, packed), 2**20)


class Unpacked(io.BufferedReader):
    """See `unpacked`."""

    raw: _Content

    def digest(self) -> str:
        """The SHA-256 of the file as it lies there, once all of it has been read."""
        return self.raw.source.sha256.hexdigest()


def write(path: Path, content: bytes, replace: bool = True) -> None:
    """Write a whole file or nothing: into a temporary folder beside it first. The umask decides who
    may read the file.

    Args:
        replace: take the place of a file that is there; if not, leave that one as it is.

    Raises:
        OSError: it cannot be written. Nothing is left then.
    """
    with temporary(path.parent) as folder:
        half = folder / "new"
        with half.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(half, path)
            return
        try:
            os.link(half, path)
        except FileExistsError:
            pass
        except OSError:  # no second names on this file system
            if not path.exists():
                os.replace(half, path)


def check_output(
    path: str | Path, ours: Callable[[Path], bool], *inputs: str | Path | None
) -> None:
    """Nothing of anybody's is lost when this path is written to.

    Args:
        ours: whether a regular file is one that this package has made, and may replace.
        inputs: what is read, if it is there: never written to, whatever it is called here.

    Raises:
        OSError: it is an input, somebody's file, a folder or no regular file. `strerror` says
            which.
    """
    path = Path(path)
    for given in inputs:
        if given is not None and _same(path, given):
            raise FileExistsError(errno.EEXIST, "it is what is read", str(path))
    try:
        check_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise FileExistsError(errno.EEXIST, "a link that leads nowhere", str(path)) from None
        return
    if not ours(path):
        raise FileExistsError(errno.EEXIST, "a file that mtl_nt has not made is there", str(path))


def _same(one: str | Path, other: str | Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return False


@contextmanager
def temporary(folder: str | Path | None = None) -> Iterator[Path]:
    """A folder for what is half done: its name cannot be guessed, nobody else can write into it,
    and it goes at the end. Those that killed programs have left beside it go first.

    Args:
        folder: where it is made; by default where the system has such things.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir() if folder is None else folder)
    _sweep(place)
    while True:
        with tempfile.TemporaryDirectory(
            dir=place, prefix=TEMPORARY, ignore_cleanup_errors=True
        ) as made:
            lock = _lock(made)
            try:
                if lock is None or not os.path.isdir(made):  # swept away before it was locked
                    continue
                yield Path(made)
                return
            finally:
                if lock is not None and lock >= 0:
                    os.close(lock)


def _sweep(place: Path) -> None:
    """Remove the temporary folders of this user that no living process holds. Where folders cannot
    be locked, as on Windows, those that are a week old.
    """
    try:
        left = [entry for entry in os.scandir(place) if LEFT.fullmatch(entry.name)]
    except OSError:
        return
    for entry in left:
        with suppress(OSError):  # another process was faster
            about = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != getattr(os, "geteuid", int)():
                continue
            lock = _lock(entry.path)
            if lock is None or (lock < 0 and time.time() - about.st_mtime < STALE):
                continue
            shutil.rmtree(entry.path, ignore_errors=True)
            if lock >= 0:
                os.close(lock)


def _lock(folder: str) -> int | None:
    """Hold a folder until this number is closed or the process ends. None if another process holds
    it or has removed it, -1 where folders cannot be locked.
    """
    if sys.platform == "win32":
        return -1
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        return None if isinstance(error, BlockingIOError) else -1
    return handle


class _Hashed:
    """A file's bytes as they are read, and their SHA-256."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        found = self.file.read(size)
        self.sha256.update(found)
        return found


class _Content(io.RawIOBase):
    def __init__(self, path: str | Path, most: int, packed: bool) -> None:
        self.path, self.most = path, most
        self.stored = opened(path, UNPACKED)
        self.source = _Hashed(self.stored)
        self.file: Any = self.source
        if packed:
            size = os.fstat(self.stored.fileno()).st_size
            self.most = min(most, max(FREE, RATIO * size))
            self.file = gzip.GzipFile(fileobj=self.source, mode="rb")  # type: ignore[call-overload]
        self.left = self.most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.file.read(min(len(buffer), self.left) or 1)
        if len(found) > self.left:
            raise _too_large(self.path, self.most)
        self.left -= len(found)
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self.stored.close()
        super().close()


def _checked(about: os.stat_result, path: str | Path, most: int | None) -> os.stat_result:
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder", str(path))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    if most is not None and about.st_size > most:
        raise _too_large(path, most)
    return about


def _too_large(path: str | Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
