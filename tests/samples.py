"""Small pictures and notebooks for the tests of widgets, reports and pages, and processes."""

from __future__ import annotations

import io
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Sequence
from inspect import cleandoc
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from mtl_nt.book.kernels import start_preloading

PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}


def png(shade: int = 0, width: int = 600, height: int = 300) -> bytes:
    """A picture in one grey."""
    file = io.BytesIO()
    Image.new("L", (width, height), shade).save(file, format="png")
    return file.getvalue()


def write(path: Path, *cells: str, kernel: bool = False) -> Path:
    """A notebook. A cell that starts with "#" and a space is text; "parameters:" tags one."""
    made = []
    for source in map(cleandoc, cells):
        if source.startswith("# "):
            made.append(new_markdown_cell(source))
        elif source.startswith("parameters:"):
            source = source.removeprefix("parameters:").strip()
            made.append(new_code_cell(source, metadata={"tags": ["parameters"]}))
        else:
            made.append(new_code_cell(source))
    metadata = {"kernelspec": PYTHON} if kernel else {}
    nbformat.write(new_notebook(cells=made, metadata=metadata), path)
    return path


def forking() -> BaseContext:
    """Processes forked from the one that warm kernels come from, too: a test run has one alone."""
    start_preloading()
    return get_context("forkserver")


def fork_from_there() -> None:
    """In such a process: what it forks comes from the one that it comes from itself."""
    forkserver.ensure_running = forkserver._forkserver.ensure_running = int  # type: ignore


def program(folder: Path, *words: str) -> BaseProcess:
    """A program of the package, begun in this folder in a session of its own, such as
    `python -m mtl_nt datasets`, but with its imports done. The file `error` gets what it says.
    """
    process = forking().Process(target=run_program, args=(folder, words))
    process.start()
    return process


def run_program(folder: Path, words: Sequence[str]) -> None:
    """What `python -m` does with these words. What is temporary lies in `folder/temporary`."""
    os.setsid()
    # A shell's background job ignores SIGINT, and hands that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    (folder / "temporary").mkdir(exist_ok=True)
    os.environ["TMPDIR"], tempfile.tempdir = str(folder / "temporary"), None
    os.dup2(os.open("error", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = [*words]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
