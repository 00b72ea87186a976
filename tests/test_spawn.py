"""What works on macOS and Windows: processes are spawned there, and nothing can be forked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

import mtl_nt
from mtl_nt.audit.audit import audit
from mtl_nt.book.processes import workers

SMALL = {"alphas": (0.5,), "seeds": 2, "steps": 4, "progress": False}


def without_forks():
    sys.platform = "darwin"
    for name in ("fork", "forkpty", "setsid", "mkfifo", "sched_getaffinity"):
        if hasattr(os, name):
            delattr(os, name)
    multiprocessing.set_start_method("spawn")


if __name__ == "__main__":
    without_forks()
    data = mtl_nt.load("dial")
    here = mtl_nt.compare(data, ("MTL", "LBTW"), folder="kept", **SMALL).results
    for made in (lambda: ProcessPoolExecutor(1), workers):
        with made() as executor:
            there = mtl_nt.compare(data, ("MTL", "LBTW"), executor=executor, **SMALL).results
        assert there.equals(here)
    assert mtl_nt.compare(data, ("MTL", "LBTW"), folder="kept", **SMALL).results.equals(here)
    audit("dial", methods=("MTL",), folder=Path("audit"), say=lambda line: None, **SMALL)
    print("all of it")
"""


@pytest.mark.slow
def test_studies_executors_and_an_audit_need_no_fork(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-W", "error", program.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout.strip()) == (0, "all of it"), done.stderr
