"""The notebooks: what a reader of any of them may rely on."""

from __future__ import annotations

import ast
import importlib
import re
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import book
import papermill
import pytest
from book import BOOK, FOLDER, code, fast, parameters
from remembered import Remembering, key

from mtl_nt import load
from mtl_nt.book import report
from mtl_nt.book.kernels import PreloadedKernel
from mtl_nt.figures.drawing import COLOURS
from mtl_nt.study import stored

NAMES = list(BOOK)
OFTEN = ["00_start_here"]  # run whole on other data, always
SELDOM, RELEASE = [name for name in NAMES if name not in OFTEN], pytest.mark.release
FILES = ("09_case_pharmacogenomics", "11_case_admet")  # have such tests of their own
AT_ONCE = [name for name in NAMES if name not in FILES]  # without files of data


# ---------------------------------------------------------------- as they lie in the repository


@pytest.mark.parametrize("name", NAMES)
def test_the_first_code_cell_holds_the_parameters_and_no_other_does(name: str) -> None:
    assert [c.id for c in code(name, "parameters")] == [code(name)[0].id]
    assert {"seeds", "steps"} <= parameters(name).keys()


@pytest.mark.parametrize("name", NAMES)
def test_no_widget_is_saved_and_every_cell_has_a_name(name: str) -> None:
    assert set(BOOK[name].metadata) == {"kernelspec", "language_info", "mtl_nt"}
    names = [cell.id for cell in BOOK[name].cells]
    assert len(set(names)) == len(names)
    assert [n for n in names if re.fullmatch(r"[0-9a-f]{8}(-.*)?", n)] == [], "a random id"


@pytest.mark.parametrize("name", NAMES)
def test_its_fast_parameters_are_its_own_with_few_runs_and_steps(name: str) -> None:
    given = fast(name)
    assert given.keys() <= parameters(name).keys()
    assert given["steps"] <= 20
    assert given["seeds"] in (2, [0, 1])


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_short(name: str) -> None:
    lines = [len(cell.source.splitlines()) for cell in code(name)]
    assert max(lines) <= 25
    assert statistics.median(lines) <= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_a_lesson(name: str) -> None:
    prose = [cell.source for cell in BOOK[name].cells if cell.cell_type == "markdown"]
    assert re.match(r"# \d+\. .+\?\n", prose[0]), "the title is a question"
    opening = "\n\n".join(prose[:2])  # the question, and what the notebook gives and asks
    assert "**Time:**" in opening
    assert "**You need**" in opening
    headings = re.findall(r"^## (.+)$", "\n".join(prose), re.M)
    assert headings[0] == "Predict first"
    assert headings[-4:] == ["To take away", "Exercises", "Solutions", "References"]
    assert "https://doi.org/" in prose[-1]
    assert "**What next:**" in prose[-1]
    assert len(code(name, "exercise")) == len(code(name, "solution")) == 3
    folded = [*code(name, "checks"), *code(name, "solution")]
    assert all(cell.metadata.jupyter.source_hidden for cell in folded)
    assert len(code(name, "claim")) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_no_result_is_typed_into_the_prose(name: str) -> None:
    kept = ("predict", "exercise", "references")  # a question's own numbers, and DOIs
    prose = [c for c in BOOK[name].cells if c.cell_type == "markdown" and not c.id.startswith(kept)]
    said = [re.sub(r"\d+\.\d+\.\d+", "a version", c.source) for c in prose]
    assert [found for text in said if (found := re.findall(r"\d*\.\d+", text))] == []
    assert not any("no difference" in c.source for c in prose)


@pytest.mark.parametrize("name", NAMES)
def test_no_colour_of_a_method_is_written_out(name: str) -> None:
    written = {
        found.upper() for c in code(name) for found in re.findall(r"#[\da-fA-F]{6}", c.source)
    }
    hues = {c.upper() for c in COLOURS.values() if len({c[1:3], c[3:5], c[5:]}) > 1}  # no greys
    assert len(hues) > 10 and written.isdisjoint(hues)


def names_used(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a cell takes from mtl_nt."""
    modules = {"mtl_nt": "mtl_nt", "figures": "mtl_nt.figures"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mtl_nt"):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in modules:
            yield modules[node.value.id], node.attr


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_a_notebook_takes_from_the_package_is_there_and_public(name: str) -> None:
    used = {pair for cell in code(name) for pair in names_used(cell.source)}
    assert ("mtl_nt", "compare") in used
    for module, taken in used:
        place = FOLDER.parent.joinpath(*module.split("."), taken)
        if place.is_dir() or (module.count(".") == 1 and place.with_suffix(".py").exists()):
            importlib.import_module(f"{module}.{taken}")
            continue
        found = importlib.import_module(module)
        assert hasattr(found, taken), f"{module}.{taken}"
        assert taken == "__version__" or not taken.startswith("_")
        listed = getattr(found, "__all__", [taken])
        assert taken in (*listed, "__version__"), f"{module}.{taken} is not exported"


@pytest.mark.parametrize("name", NAMES)
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    prose = "\n".join(c.source for c in BOOK[name].cells if c.cell_type == "markdown")
    local = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in link]
    assert local
    assert [link for link in local if not (FOLDER / link).exists()] == []


# ---------------------------------------------------------------- the first cells, one by one


@pytest.mark.parametrize("name", AT_ONCE)
def test_no_run_is_reported_on_which_anything_was_chosen(name: str) -> None:
    book.reports_runs_from_100(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_takes_a_data_set_alphas_and_seeds(name: str) -> None:
    assert {"dataset", "alphas", "seeds"} <= parameters(name).keys()
    asked = book.prelude(name, dataset="mnist", alphas="[0, 0.5]", seeds=3)  # as papermill's does
    assert (asked["alphas"], asked["runs"]) == ([0, 0.5], [100, 101, 102])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OFTEN, *(pytest.param(n, marks=RELEASE) for n in SELDOM)])
def test_every_notebook_runs_on_another_data_set_with_few_alphas(name: str, tmp_path: Path) -> None:
    given = {**fast(name), "dataset": "mnist", "alphas": "[0, 0.5]", "seeds": 3}
    done = report.run_notebook(
        FOLDER / f"{name}.ipynb", tmp_path / "out.ipynb", PreloadedKernel, **given
    )
    assert book.said(done, "claim")


@pytest.mark.parametrize("name", NAMES)
def test_papermill_can_set_every_parameter(name: str) -> None:
    assert papermill.inspect_notebook(FOLDER / f"{name}.ipynb").keys() == parameters(name).keys()


# ---------------------------------------------------------------- run several times


def test_a_remembered_call_is_made_once_and_each_caller_may_change_what_it_gets() -> None:
    made = []

    class Counting(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **options: Any) -> Any:
            made.append(fn)
            return super().submit(fn, *args, **options)

    with Counting(1) as threads:
        executor = Remembering(threads)
        for _ in range(3):
            assert executor.submit(sorted, [2, 0]).result() == [0, 2]
            got = executor.submit(sorted, [2, 1]).result()
            assert got == [1, 2]
            got.append(3)
    assert len(made) == 2


def test_a_call_is_known_by_the_content_of_what_it_is_given_and_by_nothing_else() -> None:
    one, same = stored("cure-noisy"), stored("cure-noisy")
    known = key(abs, one, load("dial").x)
    assert key(abs, same, load("dial").x) == known
    assert same.counts() is not None and key(abs, same, load("dial").x) == known
    other = one.results.copy()
    other.loc[3, "value"] += 1e-6
    renamed = one.results.rename(columns={"task": "tasks"})
    changed = [replace(one, results=other), replace(one, results=renamed), one.against("MTL")]
    assert all(key(abs, study, load("dial").x) != known for study in changed)
    x = load("dial").x
    x[5, 1] += 1e-6
    for given in (x, load("dial").x.double(), load("dial").x[1:]):
        assert key(abs, one, given) != known
