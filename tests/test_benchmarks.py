"""`make bench` runs whole, on tiny sizes; what it measures is for `docs/`, never for a test."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from lab import CHROMIUM
from PIL import Image

RUN = Path(__file__).resolve().parent.parent / "benchmarks" / "run.py"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program's module, without a Python of its own that imports all again."""
    monkeypatch.syspath_prepend(RUN.parent)
    return importlib.import_module("run")


HEAVY = ["latency", "fast", "limit", "many"]  # a JupyterLab, kernels or a Python of their own


@pytest.mark.slow
@pytest.mark.release
def test_the_benchmarks_that_start_programs_run_and_have_their_lines(
    tmp_path: Path, run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, skipped = lines_of(tmp_path, run, HEAVY, monkeypatch)
    assert {"GB at most of 00_start_here", "seconds of 00_start_here"} <= {*named}
    assert any(name.startswith("GB of an audit at most") for name in named)
    if CHROMIUM is None:
        assert skipped == ["no program named chromium"]
    else:
        keys = [name for name in named if name.startswith("ms of explorer")]
        assert (len(keys), skipped) == (6, [])
    command = [sys.executable, str(RUN), "--quick", "--out", str(tmp_path), "--only", "growth"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("## How a step grows\n")


def lines_of(
    folder: Path, run: ModuleType, parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[str]]:
    """What the lines of these parts measure, and why others were not run."""
    monkeypatch.setattr(sys, "argv", [str(RUN), "--quick", "--out", str(folder), "--only", *parts])
    run.main()
    text = (folder / "benchmarks.md").read_text(encoding="utf-8")
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert {len(line) for line in lines} == {6}
    lines = [line for line in lines if line[0] not in ("| what", "| ---")]
    skipped = [line for line in lines if line[2] == "not run"]
    assert all(float(line[2]) > 0 for line in lines if line not in skipped)
    return [line[0].removeprefix("| ") for line in lines], [line[3] for line in skipped]


@pytest.mark.release
def test_every_other_benchmark_runs_and_has_its_line(
    tmp_path: Path,
    run: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = [part for part in run.quick(tmp_path) if part not in HEAVY]
    named, skipped = lines_of(tmp_path, run, others, monkeypatch)
    assert skipped == []
    page = tmp_path / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    assert capsys.readouterr().out.split() == text.removeprefix(run.HEAD).split()
    methods = ("LBTW", "Uncertainty", "DWA", "RandomWeights", "RMTL", "GradNorm", "U-AMTFL")
    assert {f"step of {m}" for m in methods} <= {*named}
    assert {"step of GradNorm, batch norm", "stacked, one thread", "import mtl_nt"} <= {*named}
    assert any(name.startswith("mean error of U-AMTFL, 0.") for name in named)
    lines_of(tmp_path, run, ["growth"], monkeypatch)
    assert capsys.readouterr().out.startswith("## How a step grows\n")
    parts = [re.split(r"^(?=## )", t, flags=re.M) for t in (text, page.read_text(encoding="utf-8"))]
    assert [old == new for old, new in zip(*parts, strict=True)].count(False) <= 1
    with Image.open(tmp_path / "growth.png") as picture:
        assert picture.width == 1000


def test_a_program_that_fails_is_not_measured(run: ModuleType) -> None:
    assert run.startup.taken(lambda: run.startup.program("pass")) > 0
    with pytest.raises(subprocess.CalledProcessError):
        run.startup.program("exit(1)")


@pytest.mark.slow
def test_the_published_packages_have_their_lines(run: ModuleType) -> None:
    if not (RUN.parent.parent / ".bench" / ".installed").exists():
        pytest.skip("needs .bench, which `make bench` sets up")
    rows = run.published.rows([run.TINY], (3,), 2)
    packages = ("TorchJD Mean", "TorchJD UPGrad", "gradnorm-pytorch")
    assert [row.what for row in rows] == [f"step of {name}" for name in packages]
    assert all(len(row.values) == 2 and min(row.values) > 0 for row in rows)


def test_numbers_of_tiny_sizes_do_not_get_into_the_docs(
    run: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(RUN), "--quick"])
    with pytest.raises(SystemExit) as end:
        run.main()
    assert end.value.code == 2
    assert "--out" in capsys.readouterr().err
