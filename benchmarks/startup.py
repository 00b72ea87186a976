"""How long importing the package takes, against importing torch."""

from __future__ import annotations

import subprocess
import sys
import time

from timing import Row, in_turns, ratios


def rows(repeats: int) -> list[Row]:
    """Fresh processes, in turns."""

    def fresh(module: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        return time.perf_counter() - start

    modules = {name: lambda name=name: fresh(name) for name in ("torch", "mtl_nt")}
    ratio = ratios(in_turns(modules, repeats, warm_up=repeats > 1), "mtl_nt", "torch")
    return [Row("import mtl_nt", "a fresh process", ratio, "import torch", "at most 1.3")]
