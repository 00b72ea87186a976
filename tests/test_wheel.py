"""The wheel: it holds all of the package, and works where nothing else of the project is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from twine.commands.check import check

ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys; from hatchling import build; build.build_{kind}(sys.argv[1])"
# What a clean environment has not got: it ends at the first file of the checkout that is opened.
GUARD = """
import sys
from pathlib import Path

CHECKOUT, ALLOWED = Path({checkout!r}), {allowed!r}


def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and Path(arguments[0]).is_absolute():
        path = Path(arguments[0])
        if path.is_relative_to(CHECKOUT) and not any(map(path.is_relative_to, ALLOWED)):
            raise SystemExit(f"{{path}} is not in the wheel")


sys.addaudithook(watch)
"""


def built(kind: str, folder: Path) -> Path:
    """The wheel or the sdist, as pip builds it, without an environment of its own."""
    command = [sys.executable, "-c", BUILD.format(kind=kind), str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_none_beside(wheel: Path) -> None:
    listed = ["git", "ls-files", "-z", "-co", "--exclude-standard", "mtl_nt"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wanted = {name for name in names.split("\0") if name and (ROOT / name).is_file()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted


@pytest.mark.slow
def test_what_a_release_uploads_passes_the_registrys_checks(wheel: Path, tmp_path: Path) -> None:
    assert not check([str(wheel), str(built("sdist", tmp_path))], strict=True)


@pytest.mark.release
@pytest.mark.slow
@pytest.mark.kernel
def test_a_report_and_the_readmes_example_need_no_file_beside_the_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    """In a new environment, which borrows the packages that mtl_nt needs, and not mtl_nt."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "new"], check=True, timeout=100
    )
    scheme = {"base": str(tmp_path / "new"), "platbase": str(tmp_path / "new")}
    site = Path(sysconfig.get_path("purelib", "venv", scheme))
    python = Path(sysconfig.get_path("scripts", "venv", scheme)) / Path(sys.executable).name
    zipfile.ZipFile(wheel).extractall(site)
    borrowed = sysconfig.get_path("purelib")
    (site / "borrowed.pth").write_text(borrowed, encoding="utf-8")
    allowed = [
        borrowed,
        sys.prefix,
        str(Path(__file__).parent / "wheel.py"),
        str(ROOT / "README.md"),
    ]
    guard = GUARD.format(checkout=str(ROOT), allowed=allowed)
    (site / "sitecustomize.py").write_text(guard, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["JUPYTER_PATH"] = str(Path(sys.prefix) / "share/jupyter")  # its templates of pages
    command = [str(python), str(ROOT / "tests/wheel.py"), str(ROOT / "README.md")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
