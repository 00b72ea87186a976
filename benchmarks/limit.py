"""Memory of an audit of the largest table that it is made for, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from timing import Row

from mtl_nt.audit import audit

LIMIT = (100_000, 2_000, 200)  # rows, features, tasks
STEPS, GROUPS = 4, 20


def rows(shape: tuple[int, int, int]) -> list[Row]:
    """GB at most, and minutes."""
    with tempfile.TemporaryDirectory() as folder:
        path = table(Path(folder, "limit.parquet"), *shape)
        command = [sys.executable, __file__, path]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    size, seconds = json.loads(done.stdout)
    where = f"{shape[0]:,} x {shape[1]:,}, {shape[2]} tasks, Parquet, 2 runs of {STEPS} steps"
    what = "STL, STL', MTL, LBTW, widths and affinity, reading included"
    return [
        Row("GB of an audit at most", where, [size / 1e9], "", "under 4"),
        Row(f"minutes of {what}", where, [seconds / 60], ""),
    ]


def table(path: Path, rows: int, features: int, tasks: int) -> Path:
    """Half of the tasks binary, 30% of the labels missing; never in memory as a whole."""
    random = np.random.default_rng(0)
    seen = random.standard_normal((features, 3), np.float32) / features**0.5
    meant = random.standard_normal((3, tasks), np.float32)
    names = [*(f"x{k}" for k in range(features)), *(f"y_{t}" for t in range(tasks))]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with parquet.ParquetWriter(path, schema) as file:
        for _ in range(GROUPS):
            x = random.standard_normal((rows // GROUPS, features), np.float32)
            y = np.tanh(x @ seen) @ meant + random.standard_normal((len(x), tasks), np.float32) / 2
            y[:, ::2] = y[:, ::2] > 0.5
            y[random.random(y.shape) < 0.3] = np.nan
            columns = np.ascontiguousarray(np.hstack([x, y]).T)
            file.write_table(pa.table([*columns], schema=schema))
    return path


if __name__ == "__main__":
    begin = time.perf_counter()
    given = {"targets": "y_*", "progress": False, "say": lambda line: None}
    audit(sys.argv[1], ["LBTW"], [0.5], 2, STEPS, **given)
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    size = 1024 * sum(resource.getrusage(one).ru_maxrss for one in who)
    print(json.dumps([size, time.perf_counter() - begin]))
