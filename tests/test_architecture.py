"""The rooms: one order in the contract, in the drawing, in the folder and in the tests."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mtl_nt"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
(CONTRACT,) = PYPROJECT["tool"]["importlinter"]["contracts"]
FLOORS = [tuple(re.findall(r"\w+", layer)) for layer in CONTRACT["layers"]]  # top to bottom
ROOMS = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]


def test_every_module_and_every_room_of_the_package_has_its_place_in_the_contract() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert {name for floor in FLOORS for name in floor} == modules | {*ROOMS}
    assert CONTRACT["type"] == "layers" and CONTRACT["containers"] == ["mtl_nt"]


def test_the_drawing_shows_the_contract() -> None:
    (drawing,) = re.findall(r"```mermaid\nflowchart TB\n(.*?)```", PAGE, re.S)
    arrows = set(re.findall(r"^ +(\w+) --> (\w+)$", drawing, re.M))
    pairs = zip(FLOORS, FLOORS[1:], strict=False)
    assert arrows == {(upper, lower) for top, below in pairs for upper in top for lower in below}


def test_the_table_names_every_room_and_the_file_to_open_first() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| [^|]+ \| `([\w.]+)` \|$", PAGE, re.M)
    named = {word.strip("/") for places, _ in rows for word in re.findall(r"`([\w./]+)`", places)}
    assert named == {*ROOMS} | {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    for places, first in rows:
        folder = re.findall(r"`(\w+)/`", places)
        assert PACKAGE.joinpath(*folder, first).is_file(), first


@pytest.mark.parametrize("dotted", sorted({*re.findall(r"`((?:\w+\.){2,}\w+)`", PAGE)}))
def test_every_function_that_the_page_names_is_there(dotted: str) -> None:
    module, _, name = dotted.rpartition(".")
    assert hasattr(importlib.import_module(f"mtl_nt.{module}"), name)


def test_every_file_that_the_page_says_to_copy_or_to_run_is_there() -> None:
    named = set(re.findall(r"`((?:mtl_nt|tests|notebooks)/[\w/.]+\.(?:py|ipynb))`", PAGE))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_tests_mirror_the_rooms() -> None:
    folders = {
        p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and any(p.glob("test_*.py"))
    }
    assert folders == {*ROOMS, "notebooks"}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_says_what_lives_there_and_what_it_may_use(room: str) -> None:
    doc = importlib.import_module(f"mtl_nt.{room}").__doc__ or ""
    assert "This room uses" in doc
    modules = {path.stem for path in (PACKAGE / room).glob("*.py")} - {"__init__"}
    assert len({*re.findall(r"`(\w+)`", doc)} & modules) >= 4


@pytest.mark.parametrize("room", ["", *(f".{room}" for room in sorted(ROOMS))])
def test_every_public_function_and_class_has_an_example(room: str) -> None:
    module = importlib.import_module(f"mtl_nt{room}")
    public = {name: getattr(module, name) for name in module.__all__}
    functions = {n: v for n, v in public.items() if getattr(v, "__name__", "<").isidentifier()}
    made = {n: v for n, v in functions.items() if inspect.isfunction(v) or inspect.isclass(v)}
    records = {n for n, v in made.items() if hasattr(v, "_fields") or hasattr(v, "__total__")}
    assert len(made) >= 3
    shown = {name for name, value in made.items() if ">>> " in (value.__doc__ or "")}
    assert made.keys() - shown <= records
