"""Run where mtl_nt is installed from its wheel: `python wheel.py README.md`.

The command `report` on a table, and the README's example in Python, in an empty folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import mtl_nt

CHECKOUT = Path(__file__).resolve().parents[1]
ROWS = 90
FEW = ["--methods", "MTL", "--alphas", "0.5", "--seeds", "2", "--folds", "3", "--steps", "5"]
SHORTER = {
    "train=..., validation=..., test=...": (
        "train=torch.arange(50), validation=torch.arange(50, 70), test=torch.arange(70, 90)"
    ),
    "seeds=5": "seeds=2, steps=5",
}


def main(readme: str) -> None:
    here = Path(mtl_nt.__file__).resolve()
    assert not here.is_relative_to(CHECKOUT / "mtl_nt"), f"{here} is the checkout's"
    text = Path(readme).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            report_on_a_table()
            example_of(text)
        finally:
            os.chdir(CHECKOUT)  # or Windows could not remove the folder


def report_on_a_table() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.standard_normal((ROWS, 4)), columns=["a", "b", "c", "d"])
    for task in "123":
        table[f"y_{task}"] = table["a"] + random.standard_normal(ROWS)
    table.to_csv("my_tasks.csv", index=False)
    command = ["report", "my_tasks.csv", "--targets", "y_*", "--out", "report.html", *FEW]
    subprocess.run([sys.executable, "-m", "mtl_nt", *command], check=True, timeout=240)
    assert "y_1" in Path("report.html").read_text(encoding="utf-8")


def example_of(readme: str) -> None:
    (code,) = re.findall(r"```python\n(import mtl_nt.+?)```", readme, re.S)
    for long, short in SHORTER.items():
        assert long in code, f"the README has no {long!r}"
        code = code.replace(long, short)
    exec(code, {"x": torch.randn(ROWS, 4), "y": torch.randn(ROWS, 3)})


if __name__ == "__main__":
    main(*sys.argv[1:])
