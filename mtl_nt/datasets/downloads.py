"""Files of real data: found in the user's folder, found in the cache, or downloaded.

A `Source` names a file, its public place and its checksum. `fetch` gives its path, and checks the
file wherever it comes from.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import zlib
from concurrent.futures import Future
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

from ..errors import BadInput
from ..files import check_regular, open_regular, open_unpacked

if TYPE_CHECKING:
    from requests import Response

FOLDER = "MTL_NT_DATA"
"""The environment variable that names the user's folder of data files."""
MAX_BYTES = 2**27
"""The limit of a download whose size is not known: GitHub has no larger files."""
GZIP_OVERHEAD = 2**16
"""How many bytes more than its content a gz of unknown size may have."""
DEADLINE, SILENCE = 600.0, 60.0
"""How many seconds a whole download may take, and how many a server may send nothing."""
MAX_REDIRECTIONS = 5


class Source(NamedTuple):
    """A file at a pinned public place.

    Args:
        name: the name of the file on this computer.
        url: where it is downloaded from.
        sha256: its SHA-256, or "" where nobody knows it.
        unpacked: the size of its content in bytes, if the file is a gz and the SHA-256 is that of
            the content. Mirrors may have compressed the same content in different ways.
        blob: the name that Git gives to the file, where no SHA-256 is known: the SHA-1 of "blob",
            its length, a zero byte and its bytes.
        size: its size in bytes, where it is known.

    >>> source = Source("my.csv", "https://example.org/my.csv", sha256="", blob="ce01")
    >>> source.checksum, source.max_bytes
    ('Git blob SHA-1 ce01', 134217728)
    """

    name: str
    url: str
    sha256: str
    unpacked: int | None = None
    blob: str = ""
    size: int | None = None

    @property
    def checksum(self) -> str:
        """The checksum of the file, with its kind."""
        return f"SHA-256 {self.sha256}" if self.sha256 else f"Git blob SHA-1 {self.blob}"

    @property
    def max_bytes(self) -> int:
        """The largest size of a download in bytes."""
        if self.size is not None:
            return self.size
        return MAX_BYTES if self.unpacked is None else self.unpacked + GZIP_OVERHEAD


def fetch(source: Source, *others: Source, instead: str = "", own_file: str = "") -> Path:
    """Return the path of a file, which is downloaded once and always checked.

    The file comes from the folder that `MTL_NT_DATA` names, else from the cache, else from its
    public place.

    Args:
        source: the file.
        others: the other files that the user needs, for the message of a failed download.
        instead: what needs no download, for the same message.
        own_file: how to use another file, for the message that refuses one.

    Raises:
        BadInput: the file cannot be downloaded or kept, or it is not the known file.

    >>> import tempfile
    >>> from unittest import mock
    >>> source = Source("my.csv", "https://example.org/my.csv", hashlib.sha256(b"x,y").hexdigest())
    >>> with (
    ...     tempfile.TemporaryDirectory() as folder,
    ...     mock.patch.dict(os.environ, {"MTL_NT_DATA": folder}),
    ... ):
    ...     _ = Path(folder, "my.csv").write_text("x,y")
    ...     fetch(source).name
    'my.csv'
    """
    if folder := os.environ.get(FOLDER):
        path = Path(folder) / source.name
        if path.exists():
            if fault := _fault(path, source):
                raise BadInput(
                    f"{path} is not the known file ({fault}); replace it, or take it "
                    f"out of the folder that {FOLDER} names{own_file}"
                )
            return path
    import pooch  # takes a quarter of a second

    def download(url: str, file: str, _: object) -> None:  # into pooch's temporary file
        Path(file).write_bytes(_download(url, source.max_bytes))
        if fault := _fault(Path(file), source):
            raise ValueError(fault)

    pooch.get_logger().setLevel("WARNING")
    cache = Path(pooch.os_cache("mtl_nt"))
    try:
        if (kept := cache / source.name).exists() and _fault(kept, source):
            check_regular(kept)  # a folder or a FIFO is none of ours
            kept.unlink()  # it was damaged after its download
        path = pooch.retrieve(
            source.url, known_hash=None, fname=source.name, path=cache, downloader=download
        )
    except ValueError as error:  # pooch has removed its temporary file
        raise BadInput(
            f"{source.url} has another file than the known {source.name} ({error}); "
            "nothing was kept"
        ) from None
    except _DownloadError as error:
        files = " and ".join(["it", *(other.name for other in others)])
        why = f" ({error})" if str(error) else ""
        raise BadInput(
            f"{source.url} cannot be downloaded{why}; put {files} into a folder and set the "
            f"environment variable {FOLDER} to it{instead}"
        ) from None
    except OSError as error:
        raise BadInput(
            f"{source.name} cannot be kept in {cache} ({error.strerror}); make room there, or "
            f"put the file into a folder and set {FOLDER} to it"
        ) from None
    return Path(path)


def local_copy(source: Source) -> Path | None:
    """Return the path of a file that is on this computer already, or None.

    The file is checked, whether it is in the user's folder or in the cache.

    >>> local_copy(Source("no.csv", "https://example.org/no.csv", sha256="")) is None
    True
    """
    import pooch

    folders = [os.environ.get(FOLDER), pooch.os_cache("mtl_nt")]
    paths = [Path(folder) / source.name for folder in folders if folder]
    return next((p for p in paths if p.exists() and not _fault(p, source)), None)


def read_content(path: Path, source: Source) -> bytes:
    """Read the content of a fetched file, unpacked where the source says so."""
    with _opened(path, source) as file:
        return file.read(source.unpacked)


class _DownloadError(Exception):
    """A download that failed. Its message is the reason, where this helps the user."""


def _download(url: str, max_bytes: int) -> bytes:
    """Download a file within `DEADLINE` seconds.

    A thread receives it and is abandoned at the deadline: a server that sends a byte now and then
    would otherwise keep us for ever.
    """
    answer: Future[bytes] = Future()
    given_up = threading.Event()

    def work() -> None:
        try:
            answer.set_result(_receive(url, max_bytes, given_up))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result(DEADLINE)
    except TimeoutError:
        raise _DownloadError(f"more than {DEADLINE:g} s") from None
    finally:
        given_up.set()


def _receive(url: str, max_bytes: int, given_up: threading.Event) -> bytes:
    import requests
    import urllib3

    headers = {"Accept-Encoding": "identity"}  # a compressed answer may unpack to any size
    options: dict[str, Any] = {"timeout": SILENCE, "headers": headers, "stream": True}
    try:
        with requests.Session() as session:
            # Otherwise requests reads the body of a redirection, however large it is.
            session.get_redirect_target = lambda _: None  # type: ignore[assignment,method-assign]
            for _ in range(MAX_REDIRECTIONS + 1):
                with session.get(url, allow_redirects=False, **options) as answer:
                    answer.raise_for_status()
                    if not answer.is_redirect:
                        return _read_body(answer, max_bytes, given_up)
                    target = urljoin(url, answer.headers["Location"])
                if url.startswith("https:") and not target.startswith("https:"):
                    raise _DownloadError("leaves https")
                url = target
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise _DownloadError(f"silent for {SILENCE:g} s") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        raise _DownloadError from None
    raise _DownloadError("redirected too often")


def _read_body(answer: Response, max_bytes: int, given_up: threading.Event) -> bytes:
    from tqdm.auto import tqdm

    received, length = bytearray(), answer.headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() else 0
    too_large = _DownloadError(f"more than {max_bytes:,} bytes")
    if announced > max_bytes:
        raise too_large
    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "leave": False}
    with tqdm(total=announced or None, disable=not sys.stderr.isatty(), **options) as bar:
        for chunk in answer.raw.stream(2**16, decode_content=False):
            received += chunk
            bar.update(len(chunk))
            if len(received) > max_bytes:
                raise too_large
            if given_up.is_set():  # nobody waits any more
                break
    if len(received) < announced:
        raise _DownloadError("broke off")
    return bytes(received)


def _opened(path: Path, source: Source) -> BufferedReader:
    """Open the content of a file, up to one byte more than the source says."""
    if source.unpacked is None:
        return open_regular(path, source.max_bytes)
    return open_unpacked(path, source.unpacked + 1, packed=True)


def _fault(path: Path, source: Source) -> str:
    """Say why this is not the known file; "" means that it is."""
    length = 0
    try:
        with _opened(path, source) as file:
            size = os.fstat(file.fileno()).st_size if source.unpacked is None else 0
            blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            checksum = hashlib.sha256() if source.sha256 else blob
            while length <= (source.unpacked or size) and (chunk := file.read1(2**20)):
                checksum.update(chunk)
                length += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        if why := getattr(error, "strerror", None):
            return f"it cannot be read: {why}"
        return "it cannot be unpacked"
    if source.unpacked not in (None, length):
        return f"unpacked, it has not {source.unpacked} bytes"
    if checksum.hexdigest() == (source.sha256 or source.blob):
        return ""
    return "its SHA-256 differs" if source.sha256 else "its Git blob SHA-1 differs"
