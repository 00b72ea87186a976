"""Safe reading and writing of files on disk.

Only regular files are read, because a program would wait for ever at a FIFO or a device. Their size
is checked first. A file is written as a whole or not at all.

Every module that opens a file which a user names, or which lies in a folder that others can write
to, does so here.
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
TEMPORARY_NAME = re.compile(re.escape(TEMPORARY) + "[a-z0-9_]{8}")
STALE = 7 * 24 * 3600.0  # seconds, where nothing says whether the folder's process is gone
SMALL_FILE = 2**28
"""Largest size in bytes of a file that is read at once, such as JSON or a notebook."""
LARGE_FILE = 2**31
"""Largest size in bytes of one result of a study or an audit; many runs of many tasks are long."""
LARGEST_FILE = 2**33
"""Largest size in bytes of any file, and of what it unpacks to."""
FREE_UNPACKING, UNPACKING_RATIO = 2**31, 100
"""A packed file may unpack to `FREE_UNPACKING` bytes. It may unpack to more if that is at most
`UNPACKING_RATIO` times its own size. A table of numbers shrinks to a tenth when it is packed, and a
table of zeros to a thousandth."""


def check_regular(path: str | Path, most: int | None = None) -> os.stat_result:
    """Check that a path leads to a regular file, and return what the system says about the file.

    Args:
        path: a file, or a link to one.
        most: the largest size in bytes.

    Raises:
        OSError: there is no file, or it is a folder, a FIFO, a socket or a device, or it is larger.
            `strerror` says which.

    >>> check_regular(os.devnull)
    Traceback (most recent call last):
    OSError: [Errno 22] no regular file: '/dev/null'
    """
    return _checked(os.stat(path), path, most)


def open_regular(path: str | Path, most: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading its bytes.

    Arguments and errors are those of `check_regular`.

    >>> with open_regular(__file__) as file:
    ...     len(file.read(3))
    3
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


def read_bytes(path: str | Path, most: int = SMALL_FILE) -> bytes:
    """Read all bytes of a regular file.

    Arguments and errors are those of `check_regular`.

    >>> len(read_bytes(__file__)) == os.path.getsize(__file__)
    True
    >>> read_bytes(__file__, most=10)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    OSError: [Errno 27] more than 10 bytes: ...
    """
    with open_regular(path, most) as file:
        data = file.read(most + 1)
    if len(data) > most:  # it has grown since, or its size was not known
        raise _too_large(path, most)
    return data


def digest(path: str | Path) -> str:
    """The SHA-256 of a regular file in hexadecimal digits, read as a stream.

    Errors are those of `check_regular`.

    >>> digest(__file__) == hashlib.sha256(read_bytes(__file__)).hexdigest()
    True
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_unpacked(
    path: str | Path, most: int = LARGEST_FILE, packed: bool | None = None
) -> UnpackedReader:
    """Open a regular file as a stream of bytes that unpacks a gzip file as it is read.

    Args:
        most: the largest size in bytes of the content.
        packed: whether the file is a gzip file; by default, whether its name ends in ".gz".

    Raises:
        OSError: the errors of `check_regular`. Reading raises one if the content is larger than
            `most`, or than `FREE_UNPACKING` and `UNPACKING_RATIO` allow.

    >>> with temporary_folder() as folder:
    ...     (folder / "a.gz").write_bytes(gzip.compress(b"many words")) > 0
    ...     with open_unpacked(folder / "a.gz") as file:
    ...         file.read()
    True
    b'many words'
    """
    if packed is None:
        packed = str(path).lower().endswith(".gz")
    return UnpackedReader(_UnpackedContent(path, most, packed), 2**20)


class UnpackedReader(io.BufferedReader):
    """The content of a file, as a stream (see `open_unpacked`)."""

    raw: _UnpackedContent

    def digest(self) -> str:
        """The SHA-256 of the file as it lies on disk, once all of it has been read."""
        return self.raw.source.sha256.hexdigest()


def write_atomically(path: Path, content: bytes, replace: bool = True) -> None:
    """Write a whole file or nothing, by way of a temporary folder beside it.

    The umask decides who may read the file.

    Args:
        replace: whether to replace a file that is there; otherwise it stays as it is.

    Raises:
        OSError: the file cannot be written. Then nothing is left behind.

    >>> with temporary_folder() as folder:
    ...     write_atomically(folder / "a.txt", b"first")
    ...     write_atomically(folder / "a.txt", b"second", replace=False)
    ...     read_bytes(folder / "a.txt")
    b'first'
    """
    with temporary_folder(path.parent) as folder:
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
    """Check that nobody loses anything when this path is written to.

    Args:
        ours: tells whether a regular file is one that this package has made, and may replace.
        inputs: files that are read, if they are there. They are never written to, not even under
            another name.

    Raises:
        OSError: the path is an input, somebody's file, a folder or no regular file. `strerror` says
            which.

    >>> check_output(__file__, lambda path: False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileExistsError: [Errno 17] a file that mtl_nt has not made is there: ...
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
def temporary_folder(folder: str | Path | None = None) -> Iterator[Path]:
    """A folder for unfinished files, which is removed at the end.

    Its name cannot be guessed, and nobody else can write into it. Folders that killed programs have
    left beside it are removed first.

    Args:
        folder: where the folder is made; by default in the system's own place for such folders.

    Raises:
        OSError: the folder cannot be made.

    >>> with temporary_folder() as folder:
    ...     folder.is_dir()
    True
    >>> folder.is_dir()
    False
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
    """Remove the temporary folders of this user that no living process holds.

    Where folders cannot be locked, as on Windows, only those that are a week old are removed.
    """
    try:
        left = [entry for entry in os.scandir(place) if TEMPORARY_NAME.fullmatch(entry.name)]
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
    """Hold a folder until the returned file descriptor is closed or the process ends.

    It is None if another process holds the folder or has removed it, and -1 where folders cannot be
    locked.
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
    """A file that computes the SHA-256 of its bytes as they are read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        return data


class _UnpackedContent(io.RawIOBase):
    """The unpacked bytes of a file, of which there may be so many and no more."""

    def __init__(self, path: str | Path, most: int, packed: bool) -> None:
        self.path, self.most = path, most
        self.stored = open_regular(path, LARGEST_FILE)
        self.source = _Hashed(self.stored)
        self.file: Any = self.source
        if packed:
            size = os.fstat(self.stored.fileno()).st_size
            self.most = min(most, max(FREE_UNPACKING, UNPACKING_RATIO * size))
            self.file = gzip.GzipFile(fileobj=self.source, mode="rb")  # type: ignore[call-overload]
        self.left = self.most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(min(len(buffer), self.left) or 1)
        if len(data) > self.left:
            raise _too_large(self.path, self.most)
        self.left -= len(data)
        buffer[: len(data)] = data
        return len(data)

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
