"""Files are opened where they are regular and as large as is stated, and nowhere else."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from refusals import refused

from mtl_nt import files, load
from mtl_nt.audit.audit import audit
from mtl_nt.audit.folder import AuditFolder
from mtl_nt.book.report import run_notebook
from mtl_nt.datasets import expression, gdsc, molecule_cache
from mtl_nt.datasets.downloads import FOLDER, fetch
from mtl_nt.datasets.table import read_table
from mtl_nt.study.chunks import Chunk
from mtl_nt.study.result_store import ResultStore
from mtl_nt.study.stored import stored


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """Whoever waits for a pipe or reads a device to its end is stopped."""

    def stop(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's whole path is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def a_link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a link to a pipe": a_link_to_a_pipe,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": a_socket,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize(
    "read",
    [files.check_regular, files.open_regular, files.read_bytes, files.digest, files.open_unpacked],
)
def test_what_is_no_regular_file_is_not_opened(
    tmp_path: Path, read: Callable[[Path], object], kind: str
) -> None:
    NO_FILES[kind](tmp_path / "file")
    words = "a folder" if kind == "a folder" else "no regular file"
    with pytest.raises(OSError) as caught:
        read(tmp_path / "file")
    assert caught.value.strerror == words


def quiet(line: str) -> None:
    """Nothing is said."""


def of_the_known(path: Path) -> object:
    os.environ[FOLDER] = str(path.parent)
    return fetch(gdsc.RESPONSES)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a table": ("my.csv", read_table),
    "a packed table": ("my.tsv.gz", read_table),
    "a Parquet": ("my.parquet", read_table),
    "an audit's table": ("my.csv", lambda path: audit(str(path), say=quiet)),
    "a panel": ("my.csv.gz", lambda path: load("tox21", file=path)),
    "expression": ("my.csv", lambda path: expression.read_expression(path, [1], "counts")),
    "a Parquet of expression": (
        "my.parquet",
        lambda path: expression.read_expression(path, [1], "counts"),
    ),
    "a known file": (gdsc.RESPONSES.name, of_the_known),
    "what an audit asked": ("asked.json", lambda path: AuditFolder(path.parent, {})),
    "which study it is": ("study.json", lambda path: ResultStore(path.parent, [load("dial")], {})),
    "a kept study's scores": ("results.csv.gz", lambda path: stored(kept_beside(path))),
    "a notebook": ("my.ipynb", lambda path: run_notebook(path, path.with_name("out.ipynb"))),
}
"""A file's name, and what reads it."""


def kept_beside(path: Path) -> Path:
    """A kept study but for this file."""
    for name in ("results.csv.gz", "training.csv", "study.json"):
        if name != path.name:
            (path.parent / name).write_bytes((Path(stored_example()) / name).read_bytes())
    return path.parent


def stored_example() -> Path:
    from mtl_nt.study.stored import KEPT

    return next(iter(sorted(KEPT.glob("*/study.json")))).parent


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("what", READERS)
def test_whoever_reads_says_at_once_that_it_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, kind: str
) -> None:
    name, read = READERS[what]
    monkeypatch.setenv(FOLDER, "")
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / name
    NO_FILES[kind](path)
    words = "a folder" if kind == "a folder" else "no regular file"
    refused(lambda: read(path), words)


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_kept_and_no_file_is_as_if_it_were_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    store, chunk = ResultStore(tmp_path / "study", [load("dial")], {}), Chunk(0, 0, 1)
    folder, cached = AuditFolder(tmp_path / "audit", {}), tmp_path / "molecules.npz"
    paths = store._path("MTL"), store._path("MTL", chunk), folder.path / "plan.json", cached
    for number, path in enumerate(paths):
        (tmp_path / str(number)).mkdir()
        NO_FILES[kind](tmp_path / str(number) / "file")
        path.symlink_to(tmp_path / str(number) / "file")
    assert store.get("MTL") is None and store.get_chunk("MTL", chunk) is None
    assert folder.get("plan.json") is None and molecule_cache._read_cache(cached, "key") is None
    assert capsys.readouterr().err.count("is damaged") == 3


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)  # no block of it is on the disk
    for read in (files.read_bytes, files.open_unpacked):
        with pytest.raises(OSError, match="more than"):
            read(tmp_path / "large")
    (tmp_path / "large").rename(tmp_path / "large.csv")
    refused(lambda: read_table(tmp_path / "large.csv"), "more than 8,589,934,592 bytes")
    refused(lambda: audit(str(tmp_path / "large.csv")), "more than 8,589,934,592 bytes")


@pytest.mark.parametrize("name", ["my.csv", "my.csv.gz"])
def test_a_files_content_and_checksum_are_had_in_one_reading(tmp_path: Path, name: str) -> None:
    content, path = os.urandom(3_000_000), tmp_path / name
    parts = (content[:1_000_000], content[1_000_000:])
    path.write_bytes(b"".join(map(gzip.compress, parts)) if name.endswith("gz") else content)
    with files.open_unpacked(path) as file:
        assert file.read() == content
    assert file.digest() == hashlib.sha256(path.read_bytes()).hexdigest() == files.digest(path)


def test_nothing_unpacks_to_more_than_its_size_makes_likely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(bytes(10_000_000)))

    def unpacked(**limits: Any) -> int:
        with files.open_unpacked(path, **limits) as file:
            return len(file.read())

    assert unpacked() == 10_000_000
    monkeypatch.setattr(files, "FREE_UNPACKING", 1_000_000)
    with pytest.raises(OSError, match="more than 1,000,000 bytes"):
        unpacked()
    monkeypatch.setattr(files, "UNPACKING_RATIO", 2000)
    assert unpacked() == 10_000_000
    with pytest.raises(OSError, match="more than 999 bytes"):
        unpacked(most=999)
    assert unpacked(most=10_000_000) == 10_000_000


def test_json_that_is_nested_without_end_is_damaged(tmp_path: Path) -> None:
    for name in ("asked.json", "study.json", "my.ipynb"):
        (tmp_path / name).write_text("[" * 100_000)
    refused(lambda: AuditFolder(tmp_path, {}), "asked.json is damaged")
    refused(lambda: ResultStore(tmp_path, [load("dial")], {}), "study.json is damaged")
    refused(
        lambda: run_notebook(tmp_path / "my.ipynb", tmp_path / "out.ipynb"), "is not a notebook"
    )
