"""What is written: never in place of anybody's file, whole or not at all, and for whom it is."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from samples import write

from mtl_nt import files
from mtl_nt.__main__ import main
from mtl_nt.audit.folder import AuditFolder
from mtl_nt.book import report
from mtl_nt.study.spreadsheets import restore_texts, safe_csv
from mtl_nt.study.stored import FILES, keep, stored

pytestmark = pytest.mark.timeout(120)


def one_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    said = capsys.readouterr()
    assert said.err.startswith("mtl_nt: ") and said.err.count("\n") == 1, said.err
    assert all(word in said.err for word in words), said.err


@pytest.fixture(autouse=True)
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is refused is refused before a table is read or a notebook runs."""
    monkeypatch.setattr(
        sys.modules["mtl_nt.audit.audit"], "audit", lambda *_, **__: pytest.fail("it was trained")
    )
    monkeypatch.setattr(
        "papermill.execute_notebook", lambda *_, **__: pytest.fail("the notebook ran")
    )


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "t.csv"
    path.write_text("x,y_1,y_2\n1,0,1\n")
    return path


# ---------------------------------------------------------------- the page of an audit


def others(folder: Path) -> Iterator[tuple[Path, str]]:
    """Paths that are no page of ours, and what is said of each."""
    (folder / "link.csv").symlink_to("t.csv")
    os.link(folder / "t.csv", folder / "second.csv")
    for name in ("t.csv", "./t.csv", "link.csv", "second.csv"):
        yield Path(name), "it is what is read"
    (folder / "own.html").write_text("<html><p>mtl_nt 0.1.0</p></html>")
    (folder / "empty.html").touch()
    (folder / "linked.html").symlink_to("own.html")
    for name in ("own.html", "empty.html", "linked.html"):
        yield Path(name), "a file that mtl_nt has not made is there"
    os.mkfifo(folder / "fifo")
    (folder / "fifo.html").symlink_to("fifo")
    for name in ("fifo", "fifo.html", "/dev/null"):
        yield Path(name), "no regular file"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("socket")
        yield Path("socket"), "no regular file"
    (folder / "gone.html").symlink_to("nowhere")
    yield Path("gone.html"), "a link that leads nowhere"
    yield folder, "a folder"


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    found = {}
    for path in sorted(folder.iterdir()):
        about = path.lstat()
        regular = stat.S_ISREG(about.st_mode)
        found[path.name] = (about.st_mode, path.read_bytes() if regular else b"")
    return found


def test_an_output_that_is_the_table_or_another_s_file_is_refused_before_training(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out, said in others(tmp_path):
        before = state(tmp_path)
        assert main(["report", "t.csv", "--targets", "y_*", "--out", str(out)]) == 2
        one_line(capsys, f"cannot write {out}: {said}")
        assert state(tmp_path) == before


def test_the_page_s_own_name_is_checked_as_well(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.html").write_text("my own")
    assert main(["report", "t.csv"]) == 2
    one_line(capsys, "cannot write t.html: a file that mtl_nt has not made is there")
    assert main(["report", "t.csv", "--json"]) == 2
    one_line(capsys, "cannot write t.html")
    assert main(["report", "t.csv", "--json", "t.csv"]) == 2
    one_line(capsys, "unrecognized arguments: t.csv")
    assert (tmp_path / "t.html").read_text() == "my own"


@pytest.mark.parametrize("out", ["kept/asked.json", "kept"])
def test_a_page_among_the_results_is_refused(
    out: str, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "t.csv", "--results", "kept", "--out", out]) == 2
    one_line(capsys, "give the page another name")


def test_a_page_of_ours_is_replaced_by_the_next(tmp_path: Path) -> None:
    book = write(tmp_path / "book.ipynb", "# One")
    page = report.write_page(book, tmp_path / "page.html")
    write(book, "# Two")
    assert "Two" in report.write_page(book, page).read_text(encoding="utf-8")


# ---------------------------------------------------------------- notebooks and folders


def test_from_python_nothing_of_another_s_is_replaced_either(tmp_path: Path) -> None:
    book = write(tmp_path / "book.ipynb", "# A book")
    (tmp_path / "own.html").write_text("own")
    write(tmp_path / "own.ipynb", "# Own")
    os.mkfifo(tmp_path / "fifo.ipynb")
    before = state(tmp_path)
    refused(lambda: report.write_page(book, book), "it is what is read")
    refused(lambda: report.write_page(book, tmp_path / "own.html"), "has not made")
    refused(lambda: report.run_notebook(book, book), "it is what is read")
    refused(lambda: report.run_notebook(book, tmp_path / "own.ipynb"), "has not made")
    refused(lambda: report.run_notebook(book, tmp_path / "fifo.ipynb"), "no regular file")
    assert state(tmp_path) == before
    (tmp_path / "index.html").write_text("own")
    refused(lambda: report.write_index(tmp_path), "has not made")


def test_a_run_never_replaces_its_notebook_nor_another_s_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "book.ipynb", "# A book")
    assert main(["run", "book.ipynb", "--out", "."]) == 2
    one_line(capsys, "book.ipynb: it is what is read")
    Path("out").mkdir()
    Path("out/again.ipynb").symlink_to("../book.ipynb")
    assert main(["run", "book.ipynb", "--out", "out", "--name", "again"]) == 2
    one_line(capsys, "it is what is read")
    for name in ("a.ipynb", "a.html", "a.failed.ipynb", "index.html"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text("own")
        assert main(["run", "book.ipynb", "--out", str(folder), "--name", "a"]) == 2
        one_line(capsys, name, "has not made")
        assert [p.read_text() for p in folder.iterdir()] == ["own"]
    for name in ("index", "a.failed"):
        assert main(["run", "book.ipynb", "--out", "out", "--name", name]) == 2
        one_line(capsys, "give another name")


@pytest.mark.parametrize("command", ["demo", "book"])
def test_the_book_s_outputs_are_all_checked_before_its_first_notebook_runs(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notebooks").mkdir()
    for name in ("00_start_here", "01_negative_transfer", "02_lbtw"):
        write(tmp_path / f"notebooks/{name}.ipynb", "# A book")
    before = state(tmp_path / "notebooks")
    assert main([command, "--out", "notebooks"]) == 2
    one_line(capsys, "it is what is read")
    assert state(tmp_path / "notebooks") == before
    Path("out").mkdir()
    Path("out/01_negative_transfer.html").write_text("own")
    assert main([command, "--out", "out"]) == 2
    one_line(capsys, "01_negative_transfer.html", "has not made")
    assert [p.name for p in Path("out").iterdir()] == ["01_negative_transfer.html"]


@pytest.mark.parametrize("name", ["asked.json", "plan.json", "audit.json", "notes.txt"])
def test_a_results_folder_with_another_s_files_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    refused(lambda: AuditFolder(tmp_path, {"data": "x"}), f"results folder {str(tmp_path)!r}")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"mine": 1}'


def test_a_results_folder_may_be_missing_empty_or_an_audit_s(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/.gitignore").write_text("*")
    for name in ("missing", "empty"):
        for _ in range(2):
            AuditFolder(tmp_path / name, {"data": "x"}).put("plan.json", [1])
    (tmp_path / "file").write_text("own")
    os.mkfifo(tmp_path / "fifo")
    for name in ("file", "fifo", "file/folder"):
        refused(lambda name=name: AuditFolder(tmp_path / name, {}), "cannot be used")
    assert (tmp_path / "file").read_text() == "own"


# ---------------------------------------------------------------- kept studies


@pytest.mark.parametrize("name", FILES)
def test_a_kept_study_replaces_another_and_nothing_else(name: str, tmp_path: Path) -> None:
    study = stored("cure-noisy")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / name).write_text('{"mine": 1}')
    refused(lambda: keep(study, mine), name, "has not made")
    assert [p.name for p in mine.iterdir()] == [name]
    kept = keep(study, tmp_path / "kept")
    (kept / "study.json").write_text("damaged")
    assert stored(keep(study, kept)).results.equals(stored("cure-noisy").results)
    (kept / name).unlink()
    os.mkfifo(kept / name)
    refused(lambda: keep(study, kept), "cannot write")


def test_results_of_a_case_go_into_no_other_s_folder_and_not_among_the_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "mtl_nt.study.reproduce.run_case", lambda *_, **__: pytest.fail("it was trained")
    )
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/training.csv").write_text("own")
    case = ["results", "mnist", "--parts", str(tmp_path / "parts")]
    assert main([*case, "--out", str(tmp_path)]) == 2
    one_line(capsys, "training.csv", "has not made")
    assert main([*case, "--out", str(tmp_path / "parts")]) == 2
    one_line(capsys, "give two folders")


@pytest.mark.parametrize("option", ["--steps", "--seeds"])
def test_a_trial_never_replaces_the_results_of_the_package(
    option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mtl_nt.study.reproduce.run_case", lambda *_, **__: pytest.fail("it was trained")
    )
    assert main(["results", "cure-noisy", option, "5"]) == 2
    one_line(capsys, f"{option} needs --out FOLDER")


# ---------------------------------------------------------------- who may read it, and half of it


@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_the_umask_decides_who_may_read_what_is_written(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        book = write(tmp_path / "book.ipynb", "# A book")
        page = report.write_page(book, tmp_path / "page.html")
        AuditFolder(tmp_path / "results", {}).put("plan.json", [1])
        keep(stored("cure-noisy"), tmp_path / "study")
    finally:
        os.umask(before)
    made = [page, *(tmp_path / "results").iterdir(), *(tmp_path / "study").iterdir()]
    assert len(made) == 6
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask, path


def test_a_link_that_somebody_has_planted_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = write(tmp_path / "book.ipynb", "# A book")
    precious = tmp_path / "precious"
    precious.write_text("own")
    (tmp_path / f".page.html.{os.getpid()}").symlink_to(precious)
    report.write_page(book, tmp_path / "page.html")
    assert precious.read_text() == "own"


# ---------------------------------------------------------------- what a killed program leaves

HELD = """
import sys, time
from mtl_nt.files import temporary_folder
with temporary_folder(sys.argv[1]) as folder:
    (folder / "half").write_text("half")
    print(folder, flush=True)
    time.sleep(600)
"""


def held(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_program_has_left_goes_and_what_a_living_one_has_stays(
    tmp_path: Path,
) -> None:
    dead, left = held(tmp_path)
    living, kept = held(tmp_path)
    try:
        dead.kill()
        dead.wait()
        assert left.is_dir()
        files.write_atomically(tmp_path / "new", b"whole")
        assert sorted(p.name for p in tmp_path.iterdir()) == [kept.name, "new"]
        assert (kept / "half").read_text() == "half"
    finally:
        for process in (dead, living):
            process.kill()
            process.communicate()


def test_what_is_not_left_by_this_package_stays(tmp_path: Path) -> None:
    for name in (".mtl_nt-0.1.0", "mtl_nt-abcdefgh", ".mtl_nt-abcdefgh.d"):
        (tmp_path / name).mkdir()
    (tmp_path / ".mtl_nt-abcdefgi").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".mtl_nt-abcdefgj").symlink_to("elsewhere")
    before = sorted(tmp_path.iterdir())
    files.write_atomically(tmp_path / "elsewhere/new", b"")
    with files.temporary_folder(tmp_path):
        pass
    assert sorted(tmp_path.iterdir()) == before


def test_where_folders_cannot_be_locked_age_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_lock", lambda _: -1)
    for name in ("old00000", "new00000"):
        (tmp_path / f".mtl_nt-{name}").mkdir()
    week = time.time() - files.STALE - 1
    os.utime(tmp_path / ".mtl_nt-old00000", (week, week))
    with files.temporary_folder(tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == [".mtl_nt-new00000"]


def test_a_folder_that_was_swept_away_before_it_was_held_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, tried = files._lock, []

    def late(folder: str) -> int | None:
        tried.append(folder)
        if len(tried) == 1:
            os.rmdir(folder)
        return lock(folder)

    monkeypatch.setattr(files, "_lock", late)
    with files.temporary_folder(tmp_path) as folder:
        assert folder.is_dir() and len(tried) == 2
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- tables for spreadsheets

FORMULAS = ["=1+1", " =1", "\t=1", "+1", "-1", "@x", "＝1", "＋1", "－1", "＠x", "\tx", "\u200b=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_or_heading_that_a_spreadsheet_would_run_begins_with_an_apostrophe(
    text: str,
) -> None:
    table = pd.DataFrame({text: [text, "plain"], "value": [-1.5, 2.0]})
    head, first, second = safe_csv(table, 3).splitlines()
    assert head.strip('"').startswith(f"'{text}") and first.strip('"').startswith(f"'{text}")
    assert first.endswith(",-1.5") and second == "plain,2"


@given(st.lists(st.text("'=+-@ \tax＝", min_size=1), min_size=1))
@settings(max_examples=50, deadline=None)
def test_what_was_guarded_is_read_back_as_it_was(texts: list[str]) -> None:
    table = pd.DataFrame({"task": texts}, dtype=object)
    form = {"keep_default_na": False, "dtype": str, "skip_blank_lines": False}
    read = pd.read_csv(io.StringIO(safe_csv(table, 3)), **form)
    assert restore_texts(read)["task"].tolist() == texts
