"""Files of real data: from a folder of one's own, the cache, or their public place."""

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

from ..files import opened, unpacked
from ..tasks import BadInput

if TYPE_CHECKING:
    from requests import Response

FOLDER = "MTL_NT_DATA"
"""The environment variable that names a folder with files of one's own."""
MOST = 2**27
"""Bytes of a download whose size is not known: GitHub has no larger files."""
PACKING = 2**16
"""Bytes that a gz of unknown size may have above those of its content."""
DEADLINE, SILENCE = 600.0, 60.0
"""Seconds that a download may take, and that its place may be silent."""
REDIRECTIONS = 5


class Source(NamedTuple):
    """A file at a pinned public place.

    Where `unpacked` is given, in bytes, the file is a gz and the SHA-256 is that of its content:
    mirrors may have packed the same content in other ways. Where no SHA-256 is known, `blob` is the
    name that Git gives to the file: the SHA-1 of "blob", its length, a zero byte and its bytes.
    `size` is the file's in bytes, where it is known.
    """

    name: str
    url: str
    sha256: str
    unpacked: int | None = None
    blob: str = ""
    size: int | None = None

    @property
    def checksum(self) -> str:
        """What the file is known by, and its kind."""
        return f"SHA-256 {self.sha256}" if self.sha256 else f"Git blob SHA-1 {self.blob}"

    @property
    def most(self) -> int:
        """Bytes that a download may have."""
        if self.size is not None:
            return self.size
        return MOST if self.unpacked is None else self.unpacked + PACKING


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
        Path(file).write_bytes(_downloaded(url, source.most))
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
    except _NotHadError as error:
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
    return Path(found)


def held(source: Source) -> Path | None:
    """Where the file lies already, checked: in the folder of one's own, or in the cache."""
    import pooch

    folders = [os.environ.get(FOLDER), pooch.os_cache("mtl_nt")]
    paths = [Path(folder) / source.name for folder in folders if folder]
    return next((p for p in paths if p.exists() and not _fault(p, source)), None)


def content(path: Path, source: Source) -> bytes:
    """The content of a known file, unpacked where the source says so."""
    with _opened(path, source) as file:
        return file.read(source.unpacked)


class _NotHadError(Exception):
    """A download that came to nothing, and why where that is for a reader."""


def _downloaded(url: str, most: int) -> bytes:
    """What lies there. A thread fetches it, and is left alone where that takes too long: a place
    that sends a byte now and then would keep us for ever.
    """
    answer: Future[bytes] = Future()
    late = threading.Event()

    def work() -> None:
        try:
            answer.set_result(_received(url, most, late))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result(DEADLINE)
    except TimeoutError:
        raise _NotHadError(f"more than {DEADLINE:g} s") from None
    finally:
        late.set()


def _received(url: str, most: int, late: threading.Event) -> bytes:
    import requests
    import urllib3

    as_it_lies = {"Accept-Encoding": "identity"}  # what is packed on the way may unpack to anything
    options: dict[str, Any] = {"timeout": SILENCE, "headers": as_it_lies, "stream": True}
    try:
        with requests.Session() as session:
            # requests would read what is sent along with a redirection, however much that is.
            session.get_redirect_target = lambda _: None  # type: ignore[assignment,method-assign]
            for _ in range(REDIRECTIONS + 1):
                with session.get(url, allow_redirects=False, **options) as answer:
                    answer.raise_for_status()
                    if not answer.is_redirect:
                        return _body(answer, most, late)
                    onward = urljoin(url, answer.headers["Location"])
                if url.startswith("https:") and not onward.startswith("https:"):
                    raise _NotHadError("leaves https")
                url = onward
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise _NotHadError(f"silent for {SILENCE:g} s") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        raise _NotHadError from None
    raise _NotHadError("redirected too often")


def _body(answer: Response, most: int, late: threading.Event) -> bytes:
    from tqdm.auto import tqdm

    found, length = bytearray(), answer.headers.get("Content-Length", "")
    announced = int(length) if length.isdecimal() else 0
    too_large = _NotHadError(f"more than {most:,} bytes")
    if announced > most:
        raise too_large
    words: dict[str, Any] = {"unit": "B", "unit_scale": True, "leave": False}
    with tqdm(total=announced or None, disable=not sys.stderr.isatty(), **words) as bar:
        for some in answer.raw.stream(2**16, decode_content=False):
            found += some
            bar.update(len(some))
            if len(found) > most:
                raise too_large
            if late.is_set():  # whoever waited has gone
                break
    if len(found) < announced:
        raise _NotHadError("broke off")
    return bytes(found)


def _opened(path: Path, source: Source) -> BufferedReader:
    """The file's content, and one byte more where it unpacks to too many."""
    if source.unpacked is None:
        return opened(path, source.most)
    return unpacked(path, source.unpacked + 1, packed=True)


def _fault(path: Path, source: Source) -> str:
    """Why this is not the known file; nothing where it is."""
    length = 0
    try:
        with _opened(path, source) as file:
            size = os.fstat(file.fileno()).st_size if source.unpacked is None else 0
            blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            found = hashlib.sha256() if source.sha256 else blob
            while length <= (source.unpacked or size) and (some := file.read1(2**20)):
                found.update(some)
                length += len(some)
    except (OSError, EOFError, zlib.error) as error:
        if why := getattr(error, "strerror", None):
            return f"it cannot be read: {why}"
        return "it cannot be unpacked"
    if source.unpacked not in (None, length):
        return f"unpacked, it has not {source.unpacked} bytes"
    if found.hexdigest() == (source.sha256 or source.blob):
        return ""
    return "its SHA-256 differs" if source.sha256 else "its Git blob SHA-1 differs"
