"""The notebooks, and what the tests of several of them have in common."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pages
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbformat import NotebookNode
from outputs_close import GDSC, HERE
from refusals import refused

from mtl_nt import BadInput, Study
from mtl_nt.book import report
from mtl_nt.book.kernels import PreloadedKernel
from mtl_nt.book.outputs import static_outputs
from mtl_nt.datasets import downloads as files
from mtl_nt.study.stored import keep, stored

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
BOOK = {path.stem: nbformat.read(path, as_version=4) for path in sorted(FOLDER.glob("*.ipynb"))}


# ---------------------------------------------------------------- as they lie in the repository


def code(name: str, tag: str | None = None) -> list[NotebookNode]:
    """A notebook's code cells, all or those with this tag."""
    cells = [cell for cell in BOOK[name].cells if cell.cell_type == "code"]
    return [c for c in cells if tag is None or tag in c.metadata.get("tags", [])]


def parameters(name: str) -> dict[str, Any]:
    """The defaults: every statement of the parameters cell must be `name = literal`."""
    found = {}
    for statement in ast.parse(code(name)[0].source).body:
        assert isinstance(statement, ast.Assign)
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        found[target.id] = ast.literal_eval(statement.value)
    return found


def fast(name: str) -> dict[str, Any]:
    """The parameters with which a notebook says that it runs in seconds."""
    given: dict[str, Any] = report.fast_parameters(FOLDER / f"{name}.ipynb")
    return given


# ---------------------------------------------------------------- the first cells, one by one


def prelude(name: str, **changed: Any) -> dict[str, Any]:
    """All that the cells up to the checks of the parameters define, with these parameters."""
    defined: dict[str, Any] = {"In": [""]}  # as IPython has it
    cells = code(name)
    checked = [cell.id for cell in cells].index("check-parameters")
    for number, cell in enumerate(cells):
        if number > checked and not cell.id.startswith("check-"):
            break
        defined["In"].append(cell.source)
        exec(cell.source, defined)
        if cell.id == "parameters":
            defined.update(changed)
    return defined


def reports_runs_from_100(name: str, **given: Any) -> None:
    """No run is reported on which anything was chosen; seeds are a number or a list."""
    assert min(prelude(name, **given)["runs"]) >= 100
    assert [*prelude(name, **given, seeds=3)["runs"]] == [100, 101, 102]
    assert [*prelude(name, **given, seeds=[7, 9])["runs"]] == [7, 9]


# ---------------------------------------------------------------- run as a whole


def kept(
    folder: Path, results: Sequence[tuple], training: Sequence[tuple], metric: str, **about: Any
) -> str:
    """Keep a made-up study; rows of `training` are (method, alpha, seed, steps). Its folder."""
    columns = ["dataset", "data_seed", "split", "method", "alpha", "seed", "task", "metric"]
    budget = ["method", "alpha", "seed", "steps", "networks", "seconds", "candidates", "chosen"]
    table = pd.DataFrame(results, columns=[*columns, "value"])
    tuning = ["learning_rate", "weight_decay", "watched", "loss", "diverged", "still_improving"]
    rows = [(*row, 1, 1.0, 4, 0, 1e-3, 0.0, "validation", 0.5, False, False) for row in training]
    study = Study(
        results=table,
        training=pd.DataFrame(rows, columns=[*budget, *tuning]),
        history=pd.DataFrame(),
        metric=dict.fromkeys(table["task"], metric),
        checkpoint="last",
        **about,
    )
    return str(keep(study, folder))


def comes_with_the_package(name: str) -> bool:
    """Whether there is a kept study of this name."""
    try:
        stored(name)
    except BadInput:
        return False
    return True


REFUSED = """\
for check_it, *wrong in {wrong}:
    try:
        said = check_it(*wrong)
    except AssertionError:
        continue
    raise RuntimeError(f"{{check_it.__name__}} took a wrong answer: {{said}}")
"""


PAGES = re.compile(r'(?s)<script type="application/json">(.*?)</script>')


class Run:
    """A notebook in a kernel of its own, with few steps. Every cell runs twice, one after the
    other, at last one in which every check must refuse a wrong answer; then all of it once more.
    Only what is trained or drawn again for the same arguments comes from the first time.

    Args:
        wrong: a list of (check, wrong answer) in Python.
        given: parameters other than the notebook's fast ones.
    """

    def __init__(self, name: str, folder: Path, wrong: str, **given: Any) -> None:
        self.name = name
        self.notebook = deepcopy(BOOK[name])
        first = next(cell for cell in self.notebook.cells if cell.id == "parameters")
        changed = fast(name) | given
        assert changed.keys() <= parameters(name).keys()
        first.source += "".join(f"\n{key} = {value!r}" for key, value in changed.items())
        refuse = nbformat.v4.new_code_cell(REFUSED.format(wrong=wrong), id="refuse")
        self.notebook.cells.append(refuse)
        cells = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        resources = {"metadata": {"path": str(folder)}}
        self.client = NotebookClient(
            self.notebook,
            kernel_manager_class=PreloadedKernel,
            resources=resources,
            coalesce_streams=True,
        )
        with pytest.MonkeyPatch.context() as patch:
            if HERE:
                patch.setenv(files.FOLDER, str(GDSC))
            with self.client.setup_kernel():
                self.remember()
                once = {cell.id: (self.run(cell), self.run(cell)) for cell in cells}
                again = {cell.id: self.run(cell) for cell in cells}
        self.changed = [name for name, (one, two) in once.items() if one != two]
        self.changed += [name for name, found in again.items() if found != once[name][0]]
        self.shown = sum(len(one) for one, _ in once.values())

    def remember(self) -> None:
        """Let the kernel train and draw the same things once (see remembered.py). No name of this
        is left where the notebook could use it.
        """
        tests = str(Path(__file__).parent)
        source = f"__import__('sys').path.insert(0, {tests!r}); __import__('remembered').install()"
        self.notebook.cells.append(nbformat.v4.new_code_cell(source))
        place = len(self.notebook.cells) - 1
        self.client.execute_cell(self.notebook.cells[place], place, store_history=False)
        self.notebook.cells.pop()

    def run(self, cell: NotebookNode) -> list[str]:
        """What it puts out now, as it would be kept, and every page of its explorers."""
        done = self.client.execute_cell(cell, self.notebook.cells.index(cell))
        assert not [o.text for o in done.outputs if o.get("name") == "stderr"], "a warning or worse"
        if "nbval-ignore-output" in cell.metadata.get("tags", []):  # what the clock says
            return []
        html = [output.data.get("text/html", "") for output in done.outputs if "data" in output]
        pages = [found for text in html for found in PAGES.findall(text)]
        shown = static_outputs(done.outputs, cell.id)
        return [json.dumps({**output, "execution_count": None}) for output in shown] + pages


def outputs(notebook: NotebookNode, identity: str) -> list[NotebookNode]:
    """What the cell with this id has put out."""
    return next(c.outputs for c in notebook.cells if c.get("id") == identity)


def said(notebook: NotebookNode, tag: str) -> list[str]:
    """What the cells with this tag print or return."""
    cells = [c for c in notebook.cells if tag in c.metadata.get("tags", [])]
    every = [o for cell in cells for o in cell.outputs]
    return [o.text if "text" in o else o.data["text/plain"] for o in every]


def seen(output: NotebookNode) -> str:
    """What a reader sees of a table."""
    return BeautifulSoup(output.data["text/html"], "html.parser").get_text(" ", strip=True)


def exercises_wait_and_solutions_are_right(notebook: NotebookNode) -> None:
    """Three exercises without an answer yet, and three solutions."""
    waiting = [f"'Exercise {n}: no answer yet.'" for n in (1, 2, 3)]
    assert said(notebook, "exercise") == waiting
    assert said(notebook, "solution") == ["'Right.'"] * 3


def describes_its_pictures(notebook: NotebookNode, least: int = 1) -> None:
    """So many pictures at least, each with words for those who cannot see it."""
    shown = [o for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    pictures = [o for o in shown if "image/png" in o.data]
    assert len(pictures) >= least
    assert all(len(o.metadata["image/png"].get("alt", "")) > 20 for o in pictures)


NUMBERS = [
    ({"alphas": [0.5, -1.0]}, "alpha -1"),
    ({"alphas": []}, "alpha"),
    ({"alphas": "half"}, "alphas 'half': give a list"),
    ({"alpha": -0.3}, "alpha -0.3"),
    ({"seeds": 1}, "2 runs or more"),
    ({"seeds": []}, "2 runs or more"),
    ({"seeds": 2.5}, "seeds 2.5: give a whole number"),
    ({"steps": 0}, "steps 0"),
    ({"steps": -5}, "steps -5"),
]
"""Refusals of a case study: numbers that no slider, run or budget can have."""


class Lesson:
    """What holds of every notebook. The tests of one are a subclass, and so say what is its own."""

    name: str
    wrong: str  # a list of (check, wrong answer) in Python
    given: Mapping[str, Any] = {}  # parameters of the run other than the notebook's fast ones
    refusals: Sequence[Any]  # (parameters, what is said of them), each a test
    explorers: Sequence[Any]  # (cell, number of sets, pictures of each), each a test
    pictures = 1  # at least

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls) -> dict[str, Any]:
        """Parameters that each of its tests starts from."""
        return {}

    @pytest.fixture(scope="class")
    @classmethod
    def ran(cls, source: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
        """The notebook, run with few steps; every check refuses a wrong answer."""
        folder = tmp_path_factory.mktemp("notebook")
        return Run(cls.name, folder, cls.wrong, **{**source, **cls.given})

    @pytest.fixture
    def done(self, ran: Run) -> NotebookNode:
        return ran.notebook

    def test_an_impossible_parameter_is_refused_in_one_line_before_any_training(
        self, source: dict[str, Any], changed: dict[str, Any], said: str
    ) -> None:
        refused(lambda: prelude(self.name, **{**source, **changed}), said)

    @pytest.mark.slow
    def test_an_explorer_has_another_picture_at_every_stop(
        self, done: NotebookNode, cell: str, sets: int, stops: int
    ) -> None:
        (shown,) = outputs(done, cell)
        script = BeautifulSoup(shown.data["text/html"], "html.parser").find("script")
        assert script is not None
        pages = json.loads(script.text)["pages"]
        assert [len(each) for each in pages] == [stops] * sets
        assert len({page["forms"][0]["src"] for each in pages for page in each}) == sets * stops

    @pytest.mark.slow
    def test_exercises_wait_for_an_answer_and_their_solutions_are_right(
        self, done: NotebookNode
    ) -> None:
        exercises_wait_and_solutions_are_right(done)

    @pytest.mark.slow
    def test_every_picture_is_described(self, done: NotebookNode) -> None:
        describes_its_pictures(done, self.pictures)

    @pytest.mark.slow
    def test_running_any_cell_or_the_whole_notebook_twice_changes_nothing(self, ran: Run) -> None:
        assert ran.changed == []
        assert ran.shown > 10

    @pytest.mark.slow
    @pytest.mark.browser
    @pages.NEEDED
    def test_its_page_opens_without_a_network_and_every_slider_reaches_every_position(
        self, ran: Run, tmp_path: Path
    ) -> None:
        pages.every_slider_reaches_every_position(ran.notebook, tmp_path, ran.name)
