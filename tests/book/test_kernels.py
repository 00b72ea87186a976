"""Kernels that are forked from a process which has imported everything already."""

from __future__ import annotations

import os
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from samples import fork_from_there, forking, write

from mtl_nt.book import report
from mtl_nt.book.kernels import PreloadedKernel, ThisPythonKernel
from mtl_nt.book.report import NotebookFailed

pytestmark = pytest.mark.kernel

linux = pytest.mark.skipif(sys.platform != "linux", reason="warm kernels are for Linux alone")


def said(
    source: str, kernels: type[ThisPythonKernel] = PreloadedKernel, folder: Path | None = None
) -> str:
    """What a cell prints, first of all in a new kernel."""
    notebook = new_notebook(cells=[new_code_cell(source)])
    resources = {"metadata": {"path": str(folder)}} if folder else {}
    NotebookClient(notebook, kernel_manager_class=kernels, resources=resources).execute()
    return str(notebook.cells[0].outputs[0].text).strip()


IMPORTED = "import sys; print({'torch', 'pandas', 'mtl_nt.figures'} <= {*sys.modules})"


@linux
def test_a_warm_kernel_has_imported_everything_and_another_nothing() -> None:
    assert said(IMPORTED) == "True"
    assert said(IMPORTED, ThisPythonKernel) == "False"


def test_elsewhere_than_on_linux_it_is_a_kernel_like_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mtl_nt.book.kernels.sys", SimpleNamespace(platform="darwin"))
    assert said(IMPORTED) == "False"


@pytest.mark.parametrize("kernels", [PreloadedKernel, ThisPythonKernel])
def test_it_has_this_python_the_environment_of_now_and_the_folder(
    kernels: type[ThisPythonKernel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said("print()", PreloadedKernel)  # what the kernels are forked from runs by now
    monkeypatch.setenv("MTL_NT_TEST", "it is here")
    monkeypatch.delenv("HOME")
    asked = "import os, sys; print(sys.executable, os.environ['MTL_NT_TEST'], os.getcwd())"
    assert said(asked, kernels, tmp_path) == f"{sys.executable} it is here {tmp_path}"
    assert said("import os; print('HOME' in os.environ)", kernels) == "False"


@pytest.mark.parametrize("kernels", [PreloadedKernel, ThisPythonKernel])
def test_nothing_is_left_from_one_to_the_next(kernels: type[ThisPythonKernel]) -> None:
    asked = "import json; print(getattr(json, 'left', 'nothing'), 'x' in globals())"
    assert said(f"{asked}; json.left = x = 1", kernels) == "nothing False"
    assert said(asked, kernels) == "nothing False"


def test_it_runs_a_notebook_and_says_when_it_dies(tmp_path: Path) -> None:
    good = write(tmp_path / "good.ipynb", "parameters:\nalpha = 0", "print(alpha + 1)")
    done = report.run_notebook(good, tmp_path / "out.ipynb", PreloadedKernel, alpha=2)
    assert done.cells[-1].outputs[0].text == "3\n"
    bad = write(tmp_path / "bad.ipynb", "import os; os._exit(1)")
    with pytest.raises(NotebookFailed, match=r"bad\.ipynb: the kernel died"):
        report.run_notebook(bad, tmp_path / "out.ipynb", PreloadedKernel)


LASTING = """
import signal, subprocess
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # it is gone as soon as it ends
print(subprocess.Popen(["sh", "-c", "trap '' INT; exec sleep 600"]).pid)
"""


@pytest.mark.parametrize("kernels", [PreloadedKernel, ThisPythonKernel])
def test_it_can_be_interrupted_and_what_it_started_ends_with_it(
    kernels: type[ThisPythonKernel],
) -> None:
    notebook = new_notebook(cells=[new_code_cell(LASTING), new_code_cell("while True: pass")])
    # A signal that comes before the cell has begun is lost, so a busy machine gets some seconds.
    client = NotebookClient(notebook, kernel_manager_class=kernels, timeout=5)
    client.interrupt_on_timeout = True
    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        started = int(notebook.cells[0].outputs[0].text)
        with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
            client.execute_cell(notebook.cells[1], 1)
        assert gone(started, 0) is False
    assert gone(started)


def starting(said: Connection) -> None:
    """A program that starts a kernel, says which, and waits."""
    fork_from_there()
    cell = new_code_cell("import os; print(os.getpid())")
    client = NotebookClient(new_notebook(cells=[cell]), kernel_manager_class=PreloadedKernel)
    with client.setup_kernel():
        client.execute_cell(cell, 0)
        said.send(int(cell.outputs[0].text))
        time.sleep(600)


def test_it_does_not_outlive_who_started_it() -> None:
    here, there = Pipe(duplex=False)
    program = forking().Process(target=starting, args=(there,))
    program.start()
    assert here.poll(60)
    kernel = here.recv()
    assert gone(kernel, 0) is False
    program.kill()
    assert gone(kernel)
    program.join()


def gone(process: int, within: float = 20) -> bool:
    """Whether a process ends in so many seconds."""
    end = time.monotonic() + within
    while True:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
