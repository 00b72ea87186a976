"""The house around the package: set-up, environments, Binder, CI, versions, what is in the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import nbformat
import pytest
import yaml
from lab import jupyterlab
from nbformat.sign import NotebookNotary
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = {"help", "setup", "demo", "book", "outputs", "test", "lab", "bench", "results", "clean"}
TARGETS |= {"compare", "release", "seldom", "distclean", "quick", "lowest", "stills", "site"}
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a new shell would: not as a child of the `make test` that runs this."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "VENV"))}
    return subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def by_name(lines: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r for r in parsed}


# ---------------------------------------------------------------- packages and pins


def conda_parts(path: Path) -> tuple[list[str], list[str]]:
    """The conda packages and the pip lines of an environment file."""
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    conda = [line for line in listed if isinstance(line, str)]
    (pip,) = [line["pip"] for line in listed if isinstance(line, dict)]
    return conda, pip


def test_binder_has_a_real_copy_of_the_environment() -> None:
    copy = ROOT / "binder/environment.yml"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (ROOT / "environment.yml").read_bytes()


@pytest.mark.parametrize("path", ["environment.yml", "binder/environment.yml"])
def test_an_environment_has_the_packages_of_the_project_with_the_same_bounds(path: str) -> None:
    _, pip = conda_parts(ROOT / path)
    listed = by_name([line for line in pip if not line.startswith("-")])
    wanted = by_name(PROJECT["dependencies"])
    assert listed.keys() == wanted.keys()
    same = wanted.keys() - {"torch"}  # torch is pinned, so that its CPU build is the one taken
    assert {n: str(listed[n].specifier) for n in same} == {
        n: str(wanted[n].specifier) for n in same
    }


def test_all_environments_install_the_same_torch_built_for_cpus() -> None:
    (pinned,) = re.findall(r"^TORCH := torch==([\d.]+)$", MAKEFILE, re.M)
    assert Version(pinned) in by_name(PROJECT["dependencies"])["torch"].specifier
    assert f"CPU_INDEX := {CPU_INDEX}\n" in MAKEFILE
    _, pip = conda_parts(ROOT / "environment.yml")
    assert f"--extra-index-url {CPU_INDEX}" in pip
    minor = ".".join(pinned.split(".")[:2])
    assert str(by_name([p for p in pip if p.startswith("torch")])["torch"]) == f"torch=={minor}.*"


def test_conda_takes_the_oldest_python_that_the_project_supports() -> None:
    conda, _ = conda_parts(ROOT / "environment.yml")
    assert PROJECT["requires-python"] == ">=3.11"
    assert "python=3.11" in conda
    assert PYPROJECT["tool"]["mypy"]["python_version"] == "3.11"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py311"


def test_binder_installs_nothing_that_only_tests_need() -> None:
    _, pip = conda_parts(ROOT / "binder/environment.yml")
    listed = by_name([line for line in pip if not line.startswith("-")])
    extras = PROJECT["optional-dependencies"]
    assert {"pytest", "nbval", "playwright", "jupyter-repo2docker"} <= by_name(
        extras["test"]
    ).keys()
    assert not listed.keys() & by_name(extras["test"]).keys()


def test_every_dependency_says_why_it_is_there() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    reasons = dict(
        m.groups() for m in map(re.compile(r'    "(.+)", +# (.{5,})').fullmatch, lines) if m
    )
    extras = PROJECT["optional-dependencies"]
    required = [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]
    assert len(required) > 20
    assert [line for line in required if line not in reasons] == []
    assert all(Requirement(line).specifier for line in required), "a lower bound is missing"


# ---------------------------------------------------------------- make


def targets_of(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z]+):(?!=)", makefile, re.M))


@pytest.mark.posix
def test_make_alone_lists_every_target() -> None:
    shown = run("make", cwd=ROOT)
    assert shown.returncode == 0
    assert targets_of(MAKEFILE) == TARGETS
    assert set(re.findall(r"^  make (\w+) +\w", shown.stdout, re.M)) == TARGETS


FAKE_PYTHON = """
echo "$@" >> "{log}"
case "$*" in {failing}) exit 1 ;; esac
case "$*" in
  "-c "*) exit {old} ;;
  "--version") echo "Python 3.9.2"; exit 0 ;;
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""


def fresh_clone(folder: Path, *, failing: str = "nothing", old: int = 0) -> Path:
    """A folder with the Makefile and a stand-in for Python that writes its calls to a log."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    log = folder / "log"
    script(folder / "python", FAKE_PYTHON.format(log=log, failing=failing, old=old))
    log.touch()
    return log


def set_up(folder: Path) -> subprocess.CompletedProcess[str]:
    return run("make", "setup", "PYTHON=./python", cwd=folder)


def installs(log: Path) -> list[str]:
    return [
        line.split("install -qq ")[1]
        for line in log.read_text(encoding="utf-8").splitlines()
        if "install" in line
    ]


@pytest.mark.posix
def test_an_old_python_is_refused_in_one_line(tmp_path: Path) -> None:
    fresh_clone(tmp_path, old=1)
    refused = set_up(tmp_path)
    assert refused.returncode != 0
    said = [line for line in refused.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert "needs Python 3.11 or newer" in said[0]
    assert "Python 3.9.2" in said[0]
    assert not (tmp_path / ".venv").exists()


@pytest.mark.posix
def test_set_up_asks_the_cpu_index_first_and_falls_back_to_the_pinned_default(
    tmp_path: Path,
) -> None:
    log = fresh_clone(tmp_path, failing="*--index-url*")
    done = set_up(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "does not answer" in done.stdout
    torch = re.findall(r"^TORCH := (.+)$", MAKEFILE, re.M)[0]
    first, second, third = installs(log)
    assert first == f"--timeout 5 --retries 0 --index-url {CPU_INDEX} --no-deps {torch}"
    assert second == torch
    assert third == "-e .[test]"


@pytest.mark.posix
@pytest.mark.parametrize("failing", ["*venv*", "*'qq torch'*", "*'-e .'*"])
def test_a_set_up_that_breaks_off_starts_again_the_next_time(tmp_path: Path, failing: str) -> None:
    fresh_clone(tmp_path, failing=failing)
    assert set_up(tmp_path).returncode != 0
    assert "Ready" not in set_up(tmp_path).stdout
    shutil.rmtree(tmp_path / ".venv", ignore_errors=True)
    fresh_clone(tmp_path)
    assert "Ready" in set_up(tmp_path).stdout


@pytest.mark.posix
def test_set_up_runs_again_only_when_the_project_file_or_the_makefile_changes(
    tmp_path: Path,
) -> None:
    log = fresh_clone(tmp_path)
    assert set_up(tmp_path).returncode == 0
    assert len(installs(log)) == 3
    set_up(tmp_path)
    assert len(installs(log)) == 3
    stamp = (tmp_path / ".venv/.installed").stat()
    for count, name in ((6, "pyproject.toml"), (9, "Makefile")):
        later = stamp.st_mtime + count
        os.utime(tmp_path / name, (later, later))
        set_up(tmp_path)
        assert len(installs(log)) == count
        os.utime(tmp_path / name, (stamp.st_mtime - 1, stamp.st_mtime - 1))


@pytest.mark.posix
@pytest.mark.parametrize("target", ["demo", "book", "quick", "test", "lab", "bench"])
def test_a_target_sets_up_first_when_needed(tmp_path: Path, target: str) -> None:
    fresh_clone(tmp_path)
    planned = run("make", "--dry-run", target, "PYTHON=./python", cwd=tmp_path).stdout
    assert planned.index("-m venv") < planned.index("-e '.[test]'")
    own = planned[planned.index("-e '.[test]'") :]
    wanted = {
        "demo": ".venv/bin/python -m mtl_nt demo --out reports",
        "book": ".venv/bin/python -m mtl_nt book --out reports",
        "quick": ".venv/bin/python -m pytest",
        "test": ".venv/bin/python -m pytest",
        "lab": ".venv/bin/jupyter lab notebooks/",
        "bench": ".venv/bin/python benchmarks/run.py",
    }
    assert wanted[target] in own


CHECKS = ["ruff format --check .", "ruff check .", "mypy", "lint-imports --no-cache", "pytest"]


@pytest.mark.posix
@pytest.mark.parametrize("check", [*CHECKS, ""])
def test_make_quick_and_make_test_fail_exactly_when_one_of_their_checks_fails(
    tmp_path: Path, check: str
) -> None:
    fresh_clone(tmp_path)
    assert set_up(tmp_path).returncode == 0
    tool, _, arguments = check.partition(" ")
    for name in ("ruff", "mypy", "lint-imports"):
        fails = f'[ "$*" = "{arguments}" ] && exit 1\nexit 0' if name == tool else "exit 0"
        script(tmp_path / ".venv/bin" / name, fails)
    script(tmp_path / ".venv/bin/python", f"exit {int(tool == 'pytest')}")
    for target in ("quick", "test"):
        assert (run("make", target, cwd=tmp_path).returncode == 0) is (not check)


def test_every_make_command_in_the_text_is_a_target() -> None:
    texts = [p for p in tree() if p.suffix in {".md", ".ipynb", ".yml", ".cff"}]
    said = {
        c
        for p in texts
        for c in re.findall(r"(?:`|^\s*\$? *|\")make ([a-z]+)", p.read_text(encoding="utf-8"), re.M)
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"make demo", "make test"} <= set(re.findall(r"make [a-z]+", readme))
    assert said >= {"demo", "test"}
    assert said <= targets_of(MAKEFILE)


# ---------------------------------------------------------------- CI


CI_STEPS = ["setup EXTRAS=test,chem", "test"]  # with RDKit, so that no test of molecules is skipped


@pytest.mark.posix
@pytest.mark.parametrize("failing", [*CI_STEPS, None])
def test_ci_fails_exactly_when_one_of_its_steps_fails(tmp_path: Path, failing: str | None) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci")
    said = f'echo "$* $MTL_NT_SCREENSHOTS" >> {tmp_path}/log'
    step = f'{said}\n[ "$*" != "{failing}" ] || exit 3'
    script(tmp_path / "bin/make", step)
    script(tmp_path / "bin/chromium", "exit 0")
    done = run(tmp_path / ".ci/run", cwd=ROOT, PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert done.returncode == (3 if failing else 0), done.stderr
    taken = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    until = CI_STEPS.index(failing) + 1 if failing else len(CI_STEPS)
    assert [line.split(" /")[0].strip() for line in taken] == CI_STEPS[:until]
    if failing in ("test", None):
        assert taken[-1] == f"test {tmp_path}/reports", "the pages' pictures are kept there"


# ---------------------------------------------------------------- Binder


@pytest.mark.posix
@pytest.mark.parametrize("path", ["binder/postBuild", "binder/start", ".ci/run"])
def test_a_script_is_executable_and_parses(path: str) -> None:
    assert os.access(ROOT / path, os.X_OK)
    assert (ROOT / path).read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert run("bash", "-n", ROOT / path, cwd=ROOT).returncode == 0


@pytest.mark.posix
def test_repo2docker_takes_all_it_needs_from_the_binder_folder() -> None:
    rendered = run(sys.executable, "-m", "repo2docker", "--no-build", "--debug", ".", cwd=ROOT)
    assert rendered.returncode == 0, rendered.stderr
    assert "Building conda environment for python=3.11" in rendered.stderr
    assert '--file "binder/environment.yml"' in rendered.stdout
    assert "\nRUN ./binder/postBuild\n" in rendered.stdout
    assert '\nENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"\n' in rendered.stdout


@pytest.mark.posix
def test_binder_starts_the_server_on_one_thread() -> None:
    asked = "import os; print(os.environ['OMP_NUM_THREADS'])"
    started = run(ROOT / "binder/start", sys.executable, "-c", asked, cwd=ROOT, OMP_NUM_THREADS="8")
    assert started.stdout == "1\n"


@pytest.mark.slow
@pytest.mark.posix
def test_binder_installs_the_package_trusts_the_notebooks_and_opens_jupyterlab_on_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    output = nbformat.v4.new_output("display_data", {"text/html": "<b>shown when trusted</b>"})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output])])
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks/00.ipynb")
    data = tmp_path / "jupyter"
    script(tmp_path / "bin/pip", f'echo "$@" > {tmp_path}/pip')
    done = run(
        ROOT / "binder/postBuild",
        cwd=tmp_path,
        PATH=f"{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        NB_PYTHON_PREFIX=str(tmp_path / "prefix"),
        JUPYTER_DATA_DIR=str(data),
        MPLCONFIGDIR=mpl.get_configdir(),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pip").read_text(encoding="utf-8") == "install --no-deps --no-cache-dir .\n"
    saved = nbformat.read(tmp_path / "notebooks/00.ipynb", as_version=4)
    notary = NotebookNotary(data_dir=str(data))
    assert notary.check_signature(saved)
    notary.store.close()
    settings = tmp_path / "prefix/share/jupyter/lab/settings/overrides.json"
    assert json.loads(settings.read_text(encoding="utf-8")) == {
        "@jupyterlab/apputils-extension:kernels-settings": {"commsOverSubshells": "disabled"}
    }
    config = tmp_path / "prefix/etc/jupyter"
    asked = {k: v for path in config.iterdir() for k, v in json.loads(path.read_text()).items()}
    assert asked.keys() == {"LabApp", "ServerApp", "JupyterNotebookApp"}
    (url,) = {options["default_url"] for options in asked.values()}
    assert (ROOT / url.removeprefix("/lab/tree/")).name == "00_start_here.ipynb"
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(config))
    with jupyterlab(ROOT, tmp_path / "settings") as address:
        assert urllib.request.urlopen(address, timeout=20).url == f"{address}{url}"


def test_a_dev_container_has_the_same_python_and_sets_itself_up() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    conda, _ = conda_parts(ROOT / "environment.yml")
    assert container["image"].rpartition(":")[2] == "3.11"
    assert "python=3.11" in conda
    program, target = container["postCreateCommand"].split()
    assert program == "make" and target in targets_of(MAKEFILE)
    tools = container["customizations"]
    assert [(ROOT / name).is_file() for name in tools["codespaces"]["openFiles"]] == [True]
    venv = re.findall(r"^VENV \?= (.+)$", MAKEFILE, re.M)
    python = tools["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert [python] == [f"${{containerWorkspaceFolder}}/{name}/bin/python" for name in venv]


# ---------------------------------------------------------------- versions and citations


def test_the_version_is_the_same_everywhere() -> None:
    version = PROJECT["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    entries = re.findall(
        r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M
    )
    assert entries[0] == version
    assert entries == sorted(entries, key=Version, reverse=True)
    installed = "from importlib.metadata import version; print(version('mtl_nt'))"
    assert run(sys.executable, "-c", installed, cwd=ROOT).stdout.strip() == version


def test_both_papers_are_cited() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert [paper["doi"] for paper in citation["references"]] == [
        "10.1609/aaai.v33i01.33019977",
        "10.1609/aaai.v35i18.17930",
    ]


def test_the_licence_is_named_the_same_everywhere() -> None:
    assert PROJECT["license"] == "MIT"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")


# ---------------------------------------------------------------- what is in the tree


def tree() -> list[Path]:
    """Every file that git tracks or would add."""
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|root|opt/\w+|home/\w+|Users/\w+)/")
REGISTRY = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|yarnpkg|unpkg|jsdelivr|cdnjs|anaconda|debian|ubuntu|crates)"
    r"\.(?:org|com|net|io)\b"
)


def foreign(text: str) -> list[str]:
    return [m.group() for pattern in (MACHINE_PATH, REGISTRY) for m in pattern.finditer(text)]


@pytest.mark.parametrize("host", ["pypi", "files.pythonhosted", "registry.npmjs", "deb.debian"])
def test_a_registry_host_or_a_machine_path_is_recognised(host: str) -> None:
    assert foreign(f"https://{host}.org/simple")
    assert foreign("open('/" + "work/main/x.csv')")
    assert foreign("see /" + "home/me/data")
    assert not foreign(f"{CPU_INDEX} and docs/work/plan.md and ~/" + "work/x")


def test_no_file_names_a_registry_host_or_a_path_of_one_machine() -> None:
    files = tree()
    assert len(files) > 10
    found = {}
    for path in files:
        try:
            named = foreign(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # a picture
        if named:
            found[path.relative_to(ROOT).as_posix()] = named
    assert found == {}


def minified(path: Path) -> bool:
    """Whether a file of a web page looks like somebody's compressed build."""
    if path.suffix not in {".js", ".mjs", ".cjs", ".css", ".html", ".j2", ".map"}:
        return False
    return ".min." in path.name or any(
        len(line) > 1000 for line in path.read_text(encoding="utf-8").splitlines()
    )


def test_minified_code_is_recognised(tmp_path: Path) -> None:
    built, small, written = (tmp_path / n for n in ("embed.js", "d3.min.js", "slider.js"))
    built.write_text("a=1;" * 1000)
    small.write_text("a=1;")
    written.write_text("const a = 1;\n" * 1000)
    assert [minified(p) for p in (built, small, written)] == [True, True, False]


def test_no_minified_code_is_in_the_tree() -> None:
    assert [p.relative_to(ROOT).as_posix() for p in tree() if minified(p)] == []


def test_reports_environments_and_trained_networks_stay_out_of_git() -> None:
    made = [".venv/bin/python", "reports/01.html", "mtl_nt/__pycache__/a.pyc", "checkpoints/a.bin"]
    made += [".lowest/bin/python", ".lowest.txt"]
    made += ["net.pt", "notebooks/.ipynb_checkpoints/01.ipynb", "notebooks/01.executed.ipynb"]
    kept = ["notebooks/01.ipynb", "mtl_nt/__init__.py", "tests/test_house.py", ".ci/run"]
    ignored = run("git", "check-ignore", "--no-index", *made, *kept, cwd=ROOT).stdout.split()
    assert ignored == made


# ---------------------------------------------------------------- what an import costs


@pytest.mark.slow
def test_importing_the_package_loads_torch_and_little_else_and_the_rest_on_first_use() -> None:
    slow = ("pandas", "scipy", "sklearn", "matplotlib", "ipywidgets")
    code = f"import sys, mtl_nt; print([m for m in {slow} if m in sys.modules])\n"
    code += "print({*mtl_nt.__all__} <= {*dir(mtl_nt)}, mtl_nt.compare.__module__)"
    said = run(sys.executable, "-c", code, cwd=ROOT).stdout
    assert said.splitlines() == ["[]", "True mtl_nt.study.comparison"]
