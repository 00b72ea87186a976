"""Small tables as people have them, for the tests of reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 120


def plain(rows: int = ROWS, seed: int = 5) -> pd.DataFrame:
    """Four features of fractions and three targets, two of them of numbers. Nothing is odd."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 4))
    y = x @ random.normal(size=(4, 3)) + random.normal(size=(rows, 3))
    frame = pd.DataFrame(x, columns=["dose", "mass", "heat", "flow"]).round(3)
    return frame.assign(y_1=y[:, 0].round(3), y_2=y[:, 1].round(3), y_3=(y[:, 2] > 0).astype(int))


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    return path
