"""What every notebook needs: memory, of its workers too, and seconds; its tests in JupyterLab."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import psutil
from timing import Row

import mtl_nt
from mtl_nt.datasets.downloads import FOLDER

ROOT = Path(__file__).parent.parent
BOOK = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
FILES = {"09_case_pharmacogenomics": "gdsc"}  # data that no package brings
PERIOD = 0.5  # seconds between two looks at the memory, each of which takes 0.02 a process


def rows(fast: bool, names: tuple[str, ...] | None = None) -> list[Row]:
    """These notebooks or all, one after another: at their defaults, or in the fast profile."""
    from mtl_nt.book import kernels, report  # takes two seconds

    found, paces = [], [pace()]
    where = "fast profile" if fast else "its own parameters, two cores"
    kind = kernels.PreloadedKernel if fast else kernels.ThisPythonKernel
    if fast:
        found.append(Row("seconds of an empty notebook", "fast profile, the first", [empty()], ""))
    for path in [path for path in BOOK if names is None or path.stem in names]:
        values: list[list[float]] = [[], []]
        if there(path.stem):
            with tempfile.TemporaryDirectory() as folder, peak() as memory:
                given = report.fast_parameters(path) if fast else {}
                begin = time.perf_counter()
                report.run_notebook(path, Path(folder, "out.ipynb"), kind, **given)
                seconds = time.perf_counter() - begin
            values = [memory, [seconds]]
        lines = [("GB at most", "under 1.5"), ("seconds", "at most 10" if fast else "under 60")]
        note = f"needs files, see {FOLDER}"
        for (what, target), value in zip(lines, values, strict=True):
            found.append(Row(f"{what} of {path.stem}", where, value, "", target, note))
        paces.append(pace())
    return [*found, Row("seconds of ten million additions", "Python alone, one core", paces, "")]


def empty() -> float:
    """Seconds until a first warm kernel is there: what all of them import is imported once."""
    from mtl_nt.book import kernels, report

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.ipynb")
        nbformat.write(nbformat.v4.new_notebook(), path)
        begin = time.perf_counter()
        report.run_notebook(path, path.with_stem("run"), kernels.PreloadedKernel)
        return time.perf_counter() - begin


def pace() -> float:
    """Seconds that this machine needs, now, for something that never changes."""
    begin, total = time.perf_counter(), 0
    for k in range(10_000_000):
        total += k
    return time.perf_counter() - begin


def proof() -> list[Row]:
    """The notebooks' sliders, pickers and dials, moved in a real JupyterLab by the tests."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/book/test_lab.py"]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    ran = done.returncode == 0 and "skipped" not in done.stdout
    seconds = [time.perf_counter() - begin] if ran else []
    where, note = "one process, four notebooks", "a test fails, or there is no chromium"
    return [Row("seconds of tests/book/test_lab.py", where, seconds, "", "under 240", note)]


def there(name: str) -> bool:
    """Whether a notebook's files can be had."""
    try:
        return name not in FILES or bool(mtl_nt.load(FILES[name]))
    except mtl_nt.BadInput:
        return False


@contextmanager
def peak() -> Iterator[list[float]]:
    """The most GB that this process and all below it have had together, known at the end."""
    found: list[float] = []
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(PERIOD):
            this = psutil.Process()
            most = max(most, sum(map(_share, [this, *this.children(recursive=True)])))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        ended.set()
        watching.join()
        found.append(most / 2**30)


def _share(process: psutil.Process) -> int:
    """Bytes in memory, its share of those that several have; none of a process that has ended."""
    with suppress(psutil.Error):
        info = process.memory_full_info()
        return getattr(info, "pss", info.rss)
    return 0
