"""The door: what a contributor meets, and the workflows that run on the host of the repository."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(p for p in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config")
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(path)["jobs"]
    return found


def commands(path: Path) -> list[str]:
    steps = [step for job in jobs(path).values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


# ---------------------------------------------------------------- workflows


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Actionlint's checks and those of safety: rights, credentials, text that becomes a script."""
    options = ["--no-online", "--shellcheck=", "--pyflakes=", "--ignore=unpinned-uses"]
    command = [sys.executable, "-m", "jactionlint", *options, *map(str, paths)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_workflows_are_those_that_contributing_promises() -> None:
    assert [p.stem for p in WORKFLOWS] == ["lowest", "pages", "quick", "release", "test"]


def test_actionlint_finds_no_fault_in_a_workflow() -> None:
    done = lint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("matrix.system", "matrix.sytem"),
        ("needs: build", "needs: bild"),
        ("python-version:", "python-versoin:"),
        ("permissions: {}", "permissions: write-all"),
        ("GITHUB_REF_NAME#v}", "GITHUB_REF_NAME#v}${{ github.head_ref }}"),
    ],
)
def test_actionlint_finds_a_fault(right: str, wrong: str, tmp_path: Path) -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    path = tmp_path / ".github/workflows/release.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    assert right in text and lint(path).returncode == 1


@every_workflow
def test_a_workflow_runs_no_action_but_the_hosts_own_by_its_major_version(path: Path) -> None:
    used = re.findall(r"uses: *(\S+)", path.read_text(encoding="utf-8"))
    assert used
    assert [u for u in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", u)] == []


@every_workflow
def test_a_job_has_the_least_rights_and_an_end(path: Path) -> None:
    flow = read(path)
    assert flow["permissions"] == {} and "concurrency" in flow
    rights = {right for job in jobs(path).values() for right in job["permissions"].items()}
    publishes = {("pages", "write"), ("id-token", "write")}
    allowed = {"pages": publishes, "release": {("id-token", "write")}}.get(path.stem, set())
    assert rights - allowed == {("contents", "read")}
    assert all(job["timeout-minutes"] <= 60 for job in jobs(path).values())


def test_quick_runs_on_every_system_and_python_that_the_project_names() -> None:
    matrix = jobs(ROOT / ".github/workflows/quick.yml")["quick"]["strategy"]["matrix"]
    assert [s.partition("-")[0] for s in matrix["system"]] == ["ubuntu", "macos", "windows"]
    named = [c.rpartition(" :: ")[2] for c in PROJECT["classifiers"] if ":: Python :: 3." in c]
    assert matrix["python"] == named == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_windows_runs_what_make_quick_runs() -> None:
    quick = MAKEFILE.split("\nquick:")[1].split("\n\n")[0]
    marked = re.findall(r"^QUICK := (.+)$", MAKEFILE, re.M)[0]
    own = [line.strip().removeprefix("@$(BIN)/") for line in quick.splitlines()[1:]]
    said = commands(ROOT / ".github/workflows/quick.yml")
    assert said[0] == "make quick PYTHON=python"
    assert said[2:] == [line.replace("$(QUICK)", marked) for line in own]


def test_the_lowest_bounds_are_tried_with_the_lowest_pytorch() -> None:
    lines = {Requirement(line).name: line for line in PROJECT["dependencies"]}
    lowest = lines["torch"].replace(">=", "==")
    said = commands(ROOT / ".github/workflows/lowest.yml")
    assert said == [f"make lowest PYTHON=python TORCH={lowest}"]
    assert f"make lowest TORCH={lowest}\n" in MAKEFILE


def test_make_lowest_pins_every_dependency_to_its_lower_bound(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    code = MAKEFILE.split("\nLOWEST := ")[1].split("\n\n")[0].replace("\\\n", "")
    command = [sys.executable, "-c", code.replace("\t", "")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    pinned = {p.name: p for p in map(Requirement, done.stdout.split())}
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["parquet"]]
    wanted = {r.name: r for r in map(Requirement, lines) if r.name != "torch"}
    assert pinned.keys() >= wanted.keys()
    for name, bound in wanted.items():
        assert str(pinned[name].specifier) == str(bound.specifier).replace(">=", "==")


# ---------------------------------------------------------------- hooks and forms


def test_the_hooks_have_the_tools_of_the_project() -> None:
    ruff, own = read(ROOT / ".pre-commit-config.yaml")["repos"]
    extras = PROJECT["optional-dependencies"]["test"]
    (bound,) = [r for r in map(Requirement, extras) if r.name == "ruff"]
    assert Version(ruff["rev"]) in bound.specifier
    assert [hook["id"] for hook in ruff["hooks"]] == ["ruff-check", "ruff-format"]
    assert own["repo"] == "local"
    assert {hook["language"] for hook in own["hooks"]} == {"system"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_what_one_needs_to_see_the_fault(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "labels", "body"} == form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert fields[0]["validations"]["required"]


def test_nobody_is_sent_to_an_address_that_does_not_exist() -> None:
    texts = [CONTRIBUTING, (ROOT / "CODE_OF_CONDUCT.md").read_text(encoding="utf-8")]
    assert not [t for t in texts if re.search(r"[\w.]+@[\w-]+\.\w+", t)]


# ---------------------------------------------------------------- CONTRIBUTING


def test_every_file_and_folder_that_contributing_names_is_there() -> None:
    named = set(re.findall(r"`((?:mtl_nt|notebooks|tests)/[\w./]*)`", CONTRIBUTING))
    named |= {n for n in re.findall(r"\]\(([^)]+)\)", CONTRIBUTING) if "://" not in n}
    assert len(named) > 10
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_contributing_lists_the_markers_of_the_tests(request: pytest.FixtureRequest) -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", CONTRIBUTING, re.M))
    own = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("\nmarkers = [")[1]
    assert listed == set(re.findall(r'^    "(\w+):', own.split("\n]")[0], re.M))


@pytest.mark.slow
def test_the_weighter_in_ten_lines_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", CONTRIBUTING, re.S)
    lines = code.split("class Focus")[1].split("\n\n\n")[0].strip().splitlines()
    assert len([line for line in lines if line.strip()]) <= 10
    exec(code.replace("seeds=5", "seeds=2, steps=4, progress=False"), {"__name__": "example"})
    assert "Focus" in capsys.readouterr().out
