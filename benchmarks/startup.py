"""How long importing the package, a first training step and a kernel take."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from timing import Row, in_turns, ratios

from mtl_nt.book.kernels import PreloadedKernel, ThisPythonKernel

STEP = "; w = torch.zeros(3); w.grad = torch.ones(3); {}.step()"
SCRIPTS = {
    "torch": "import torch",
    "mtl_nt": "import mtl_nt",
    "class": "import torch" + STEP.format("torch.optim.Adam([w], fused=True)"),
    "ours": "import torch; from mtl_nt.networks.adam import Adam, ParameterGroup"
    + STEP.format("Adam([ParameterGroup([w], 0.001)], fused=True)"),
    "trained": "import mtl_nt; dial = mtl_nt.load('dial'); "
    "mtl_nt.compare(dial, ['MTL'], seeds=[0], steps=1, progress=False)",
}
KERNELS = {"kernel": ThisPythonKernel, "warm": PreloadedKernel}
CELL = "import mtl_nt.figures, mtl_nt.book.live"


def rows(repeats: int, fresh: bool = True) -> list[Row]:
    """Fresh processes and kernels, in turns. Without `fresh` the same code runs in this process
    and in warm kernels, once.
    """
    run = program if fresh else inside
    starts: dict[str, Callable[[], object]] = {
        **{name: partial(run, text) for name, text in SCRIPTS.items()},
        **{
            name: partial(notebook, kind if fresh else PreloadedKernel)
            for name, kind in KERNELS.items()
        },
    }
    contestants = {name: partial(taken, start) for name, start in starts.items()}
    seconds = in_turns(contestants, repeats, warm_up=fresh)

    def row(what: str, where: str, name: str, baseline: str, target: str = "") -> Row:
        against = {"torch": "import torch", "kernel": "a kernel of its own"}[baseline]
        return Row(what, where, ratios(seconds, name, baseline), against, target)

    process = "a fresh process"
    return [
        row("import mtl_nt", process, "mtl_nt", "torch", "at most 1.3"),
        row("import, and a step of torch.optim.Adam", process, "class", "torch"),
        row("import, and a step of mtl_nt's Adam", process, "ours", "torch", "at most 1.3"),
        row("import, and a first comparison", process, "trained", "torch", "at most 2"),
        row("imports of a notebook", "a warm kernel", "warm", "kernel", "at most 0.3"),
    ]


def program(text: str) -> object:
    """A Python of its own that does this."""
    return subprocess.run([sys.executable, "-c", text], check=True)


def inside(text: str) -> None:
    """This process does it."""
    exec(text, {})


def notebook(kind: type[ThisPythonKernel]) -> object:
    """A kernel from its start to its end, and the imports of a notebook."""
    made = new_notebook(cells=[new_code_cell(CELL)])
    return NotebookClient(made, kernel_manager_class=kind).execute()


def taken(start: Callable[[], object]) -> float:
    """Its seconds."""
    begin = time.perf_counter()
    start()
    return time.perf_counter() - begin
