"""How long importing the package and a first training step take, against importing torch."""

from __future__ import annotations

import subprocess
import sys
import time

from timing import Row, in_turns, ratios

STEP = "; w = torch.zeros(3); w.grad = torch.ones(3); {}.step()"
SCRIPTS = {
    "torch": "import torch",
    "mtl_nt": "import mtl_nt",
    "class": "import torch" + STEP.format("torch.optim.Adam([w], fused=True)"),
    "ours": "import torch; from mtl_nt.adam import Adam, Group"
    + STEP.format("Adam([Group([w], 0.001)], fused=True)"),
}


def rows(repeats: int) -> list[Row]:
    """Fresh processes, in turns."""

    def fresh(name: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", SCRIPTS[name]], check=True)
        return time.perf_counter() - start

    contestants = {name: lambda name=name: fresh(name) for name in SCRIPTS}
    seconds = in_turns(contestants, repeats, warm_up=repeats > 1)

    def row(what: str, name: str, target: str = "") -> Row:
        return Row(what, "a fresh process", ratios(seconds, name, "torch"), "import torch", target)

    return [
        row("import mtl_nt", "mtl_nt", "at most 1.3"),
        row("import, and a step of torch.optim.Adam", "class"),
        row("import, and a step of mtl_nt's Adam", "ours", "at most 1.3"),
    ]
