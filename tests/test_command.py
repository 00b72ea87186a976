"""The command line as a shell and a terminal meet it: signals, names that bite, want of memory."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from samples import program, write

from mtl_nt import commands, terminal
from mtl_nt.__main__ import main
from mtl_nt.book import report
from mtl_nt.errors import BadInput

NASTY = "a\x1b]0;x\x07\x9b\u202eb\udcff"
SHOWN = r"a\x1b]0;x\x07\x9b\u202eb\udcff"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.startswith("mtl_nt: ") and error.count("\n") == 1, error
    return error.strip()


# ---------------------------------------------------------------- terminals


def test_what_is_printed_has_escapes_for_what_a_terminal_would_obey_or_cannot_show(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal.say("first é", Path(NASTY))
    terminal.warn(NASTY)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"first é\n{SHOWN}\n", f"{SHOWN}\n")
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    terminal.say("é 𝛼", to=plain)
    assert plain.buffer.getvalue() == b"\\xe9 \\U0001d6fc\n"  # type: ignore[attr-defined]


def test_nothing_in_the_package_prints_in_another_way() -> None:
    package = Path(terminal.__file__).parent
    printing = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"^ *print\(", path.read_text(encoding="utf-8"), re.M)
    ]
    assert printing == ["terminal.py"]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "\x1b[2J\x07.ipynb"],
        ["\x9b\u202e"],
        ["report", "x", "--\x1b[2J"],
        ["report", "x", "--folds", "\x1b[2J"],
        ["report", "\x1b[2J\u202e.csv", "--out", "page.html"],
        ["fetch", "\x1b[2J"],
        ["results", "\x1b[2J"],
    ],
)
def test_a_message_shows_escapes(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert said(capsys).isprintable()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "\udcff.ipynb"],
        ["report", "\udcff.csv"],
        ["report", "t.csv", "--targets", "y,\udce9"],
        ["report", "t.csv", "--out", "\udcff.html"],
    ],
)
def test_a_name_that_is_not_utf8_is_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said(capsys).endswith("is not UTF-8; give the file or column another name")


# ---------------------------------------------------------------- memory, disks, workers


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "there is not enough memory; give fewer rows"),
        (torch.OutOfMemoryError("CUDA out of memory"), "there is not enough memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1"),
            "there is not enough memory",
        ),
        (BrokenExecutor("a worker process died"), "a worker process died; was there enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), "No space left on device: x"),
    ],
)
def test_want_of_memory_or_room_is_one_line_and_exit_2(
    error: BaseException,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(commands, "_check_text", fail)
    assert main(["datasets"]) == 2
    assert said(capsys).startswith(f"mtl_nt: {line}")


def test_another_error_is_a_bug_and_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(commands, "_check_text", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["datasets"])


@pytest.mark.slow
def test_a_notebook_without_memory_says_so_and_is_kept_where_it_can_be_found(
    tmp_path: Path,
) -> None:
    book = write(tmp_path / "book.ipynb", "raise MemoryError")
    failed = tmp_path / "page.failed.ipynb"
    with pytest.raises(report.NotebookFailed) as error:
        report.run_notebook(book, tmp_path / "gone/x.ipynb", report.ThisPythonKernel, failed)
    assert str(error.value) == (
        f"book.ipynb: cell 1: there was not enough memory (MemoryError) (see {failed})"
    )
    assert "raise MemoryError" in failed.read_text(encoding="utf-8")


# ---------------------------------------------------------------- signals


def wait(true: Callable[[], object]) -> None:
    end = time.monotonic() + 100
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sigterm_ends_a_run_as_ctrl_c_does_and_what_a_killed_one_leaves_the_next_sweeps(
    tmp_path: Path,
) -> None:
    begun, temporary = tmp_path / "begun", tmp_path / "temporary"
    write(
        tmp_path / "book.ipynb",
        f"import os, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)",
    )
    for number, status in (signal.SIGKILL, -9), (signal.SIGTERM, 143):
        process = program(tmp_path, "mtl_nt", "run", "book.ipynb", "--out", "out")
        try:
            wait(lambda: begun.exists() and begun.read_text())
            assert [p.name[:8] for p in temporary.iterdir()] == [".mtl_nt-"]
            os.kill(process.pid, number)
            process.join(60)
        finally:
            process.kill()
            process.join()
        assert process.exitcode == status
        assert not list((tmp_path / "out").iterdir())
        kernel = Path(f"/proc/{begun.read_text()}")
        begun.unlink()
        if status == 143:
            assert (tmp_path / "error").read_text() == "mtl_nt: stopped\n"
            assert not list(temporary.iterdir())
        wait(lambda kernel=kernel: not kernel.exists())


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.timeout(300)
def test_ctrl_c_while_the_command_loads_is_one_line(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mtl_nt", "datasets"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        # A shell's background job ignores SIGINT, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    maps = Path(f"/proc/{process.pid}/status")
    if maps.exists():  # until Python catches the signal: SigCgt is a mask of those caught
        wait(lambda: int(maps.read_text().split("SigCgt:")[1].split()[0], 16) & 1 << 14)
    else:
        time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "mtl_nt: stopped\n")


def two_processes(folder: Path, temporary: str) -> subprocess.CompletedProcess[str]:
    """Train in two processes, which make their temporary files there."""
    few = ["--seeds", "2", "--steps", "2", "--workers", "2", "--out", "out"]
    return subprocess.run(
        [sys.executable, "-m", "mtl_nt", "results", "null-cure-noisy", *few],
        **{"capture_output": True, "text": True, "cwd": folder},
        env={**os.environ, "TMPDIR": temporary},
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_that_train_leave_nothing_behind_and_no_word(tmp_path: Path) -> None:
    with TemporaryDirectory(dir="/tmp" if os.name == "posix" else None) as temporary:
        done = two_processes(tmp_path, temporary)
        assert done.returncode == 0, done.stderr
        assert "Error" not in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert (tmp_path / "out" / "null-cure-noisy.json").is_file()
        assert not list(Path(temporary).iterdir())


@pytest.mark.skipif(os.name != "posix", reason="sockets of POSIX")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_temporary_folder_with_too_long_a_name_for_sockets_is_one_line(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    done = two_processes(tmp_path, str(long))
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert line.startswith("mtl_nt: AF_UNIX path too long: ")
    assert line.endswith("; set TMPDIR to a shorter one")


def test_loading_the_program_loads_nothing_that_takes_time() -> None:
    code = "import sys, mtl_nt.__main__; print({'torch', 'argparse', 'typing'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_a_signal_that_is_to_be_ignored_is() -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from mtl_nt import __main__ as program; program._at(program._end)\n"
        "print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "_end"] or "SIG_IGN _end" in done.stdout


def test_bad_input_keeps_its_line() -> None:
    assert str(BadInput(f"{NASTY}: mend it")) == f"{SHOWN}: mend it"
