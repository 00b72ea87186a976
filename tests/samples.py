"""Small pictures and notebooks for the tests of widgets, reports and pages, and processes."""

from __future__ import annotations

import io
from inspect import cleandoc
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from mtl_nt.book.kernels import PRELOADED

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
    context = get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "mtl_nt.audit.audit", "pytest"])
    return context
