"""A comparison of hundreds of tasks, beside its training alone; each in a process of its own."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

import torch
from timing import Row

import mtl_nt

TASKS = (100, 300, 1_000)
ROWS, FEATURES, STEPS = 600, 64, 40


def rows(tasks: Sequence[int], steps: int) -> list[Row]:
    """Seconds of a comparison with its counts, of its training alone, and GB of the process."""
    found = []
    for count in tasks:
        command = [sys.executable, __file__, str(count), str(steps)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        whole, training, size = json.loads(done.stdout)
        where = f"{count:,} tasks, {ROWS} rows, STL, STL' and MTL, 2 runs of {steps} steps"
        found += [
            Row("seconds of a comparison and its counts", where, [whole], ""),
            Row("seconds of its training alone", where, [training], ""),
            Row("the comparison", where, [whole / training], "its training", "at most 2"),
            Row("GB at most, Python and torch included", where, [size / 1e9], "", "under 1.5"),
        ]
    return found


def panel(tasks: int) -> mtl_nt.TaskData:
    """Regression tasks, a fifth of the labels missing."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, FEATURES, generator=random)
    hidden = torch.tanh(x @ torch.randn(FEATURES, 3, generator=random) / FEATURES**0.5)
    y = hidden @ torch.randn(3, tasks, generator=random)
    y += 0.5 * torch.randn(ROWS, tasks, generator=random)
    y[torch.rand(y.shape, generator=random) < 0.2] = math.nan
    number = torch.arange(ROWS)
    split = mtl_nt.Split(number[:360], number[360:480], number[480:])
    names = tuple(f"task {t}" for t in range(tasks))
    return mtl_nt.TaskData("bench", x, y, names, "regression", split)


if __name__ == "__main__":
    torch.set_num_threads(1)
    data = panel(int(sys.argv[1]))
    # What is imported at the first use is imported now.
    mtl_nt.compare(panel(2), ["MTL"], seeds=2, steps=1, progress=False).counts()
    begin = time.perf_counter()
    study = mtl_nt.compare(data, ["MTL"], seeds=2, steps=int(sys.argv[2]), progress=False)
    study.counts()
    seconds = time.perf_counter() - begin
    size = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([seconds, float(study.training["seconds"].sum()), size]))
