"""Set up the published packages' environment, and read what `peers.py` measures in it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import torch
from steps import Shape
from timing import Row

PACKAGES = ("torchjd[quadprog-projector]==0.18.0", "gradnorm-pytorch==0.2.3")
HERE = Path(__file__).parent
FOLDER = HERE.parent / ".bench"
PYTHON, INSTALLED = FOLDER / "bin" / "python", FOLDER / ".installed"


def rows(shapes: Sequence[Shape], tasks: Sequence[int], repeats: int) -> list[Row]:
    """Their steps against a plain step in the same process; one line says why if there are none."""
    if not ready():
        return []
    found = []
    for shape in shapes:
        size = [shape.features, shape.trunk, shape.batch]
        call = json.dumps({"shapes": [size], "tasks": list(tasks), "repeats": repeats})
        peers = [PYTHON, HERE / "peers.py", call]
        done = subprocess.run(peers, capture_output=True, text=True)
        if done.returncode:
            print(f"peers.py failed: {done.stderr.strip()[-300:]}", file=sys.stderr)
        for name, count, ratios, note in map(json.loads, done.stdout.splitlines()):
            where = f"{shape}, {count} tasks"
            found.append(Row(f"step of {name}", where, ratios, "a plain step of torch", note=note))
    return found


def ready() -> bool:
    """Whether the environment is there, after setting it up where it is missing."""
    if not INSTALLED.exists():
        print("Setting up .bench with", *PACKAGES, file=sys.stderr)
        pin = f"torch=={torch.__version__.partition('+')[0]}"
        install = [PYTHON, "-m", "pip", "install", "-qqq", "--retries", "1", pin, *PACKAGES]
        try:
            venv.create(FOLDER, with_pip=True, clear=True)
            subprocess.run(install, stdout=sys.stderr, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"The published packages are left out: {error}", file=sys.stderr)
            return False
        INSTALLED.touch()
    return True
