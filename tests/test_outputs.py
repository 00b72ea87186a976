"""What the notebooks of the repository show without a kernel, and that running again changes
nothing.

That these outputs are those of the present code is nbval's to say, with `outputs_close`: `make
test` runs it over three notebooks, `make compare` over all.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from copy import deepcopy
from pathlib import Path

import book
import nbformat
import pytest
from book import BOOK, FOLDER, code, fast, said
from lab import CHROMIUM, chromium
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_output
from outputs_close import GDSC, HERE, Close
from playwright.sync_api import expect
from test_browser import Visit

from mtl_nt import report
from mtl_nt.datasets import files
from mtl_nt.outputs import kept, still
from mtl_nt.page import PNG, VIEW

NAMES = list(BOOK)
every_notebook = pytest.mark.parametrize("name", NAMES)
MEGABYTE = 1e6


def shown(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


# ---------------------------------------------------------------- as they lie in the repository


@every_notebook
def test_its_outputs_are_those_of_one_run_from_top_to_bottom(name: str) -> None:
    assert [c.execution_count for c in code(name)] == [*range(1, len(code(name)) + 1)]
    assert not [o for o in shown(BOOK[name]) if o.output_type == "error" or "stderr" in o.values()]


@every_notebook
def test_nothing_in_them_needs_a_kernel_and_widgets_are_pictures(name: str) -> None:
    assert not [o for o in shown(BOOK[name]) if VIEW in o.get("data", {})]
    widgets = [c for c in code(name) if re.search(r"^(explorer|pictures|Live)\(", c.source, re.M)]
    for cell in widgets:
        (output,) = cell.outputs
        assert b64decode(output.data[PNG]).startswith(b"\x89PNG")
        assert len(output.data["text/plain"]) > 40


@every_notebook
def test_every_picture_has_words(name: str) -> None:
    book.describes_its_pictures(BOOK[name])
    pictures = [o.data for o in shown(BOOK[name]) if PNG in o.get("data", {})]
    assert all(len(data["text/plain"]) > 20 for data in pictures)


@every_notebook
def test_all_claims_hold_exercises_wait_and_solutions_are_right(name: str) -> None:
    printed = "".join(said(BOOK[name], "claim"))
    assert printed.count("holds: ") >= 3
    assert "DOES NOT HOLD" not in printed
    book.exercises_wait_and_solutions_are_right(BOOK[name])


def test_the_notebooks_are_small() -> None:
    sizes = {path.stem: path.stat().st_size / MEGABYTE for path in FOLDER.glob("*.ipynb")}
    assert max(sizes.values()) < 1
    assert sum(sizes.values()) < 5


# ---------------------------------------------------------------- how they are kept


def explorer_output() -> NotebookNode:
    picture = '<img src="data:image/png;base64,iVBORw0=" alt="a &lt; b">'
    html = f"<div><p hidden></p><figure>{picture}</figure><script>1</script></div>"
    data = {VIEW: {"model_id": "1"}, "text/html": html, "text/plain": "alpha = 0: a < b"}
    return new_output("execute_result", data=data, execution_count=7)


@pytest.mark.parametrize(
    ("output", "becomes"),
    [
        (new_output("stream", name="stdout", text="3 tasks\n"), "3 tasks\n"),
        (new_output("stream", name="stdout", text=" \n"), None),
        (new_output("display_data", data={VIEW: {}, "text/plain": "0%|"}), None),
        (explorer_output(), {PNG: "iVBORw0=", "text/plain": "alpha = 0: a < b"}),
        (
            new_output(
                "display_data",
                data={PNG: "iVBORw0=", "text/plain": "<IPython.core.display.Image object>"},
                metadata={PNG: {"alt": "MTL harms 3"}},
            ),
            {PNG: "iVBORw0=", "text/plain": "MTL harms 3"},
        ),
        (
            new_output(
                "execute_result",
                data={
                    "text/html": '<style>#T_19410_row0 {}</style><td id="T_19410_row0">T_3</td>',
                    "text/plain": "<pandas.io.formats.style.Styler at 0x7fcf030678d0>",
                },
            ),
            {"text/html": '<style>#T_name-0_row0 {}</style><td id="T_name-0_row0">T_3</td>'},
        ),
        (
            new_output("execute_result", data={"text/plain": "<3 and more"}),
            {"text/plain": "<3 and more"},
        ),
    ],
)
def test_an_output_is_kept_still(output: NotebookNode, becomes: object) -> None:
    before = nbformat.v4.new_code_cell(outputs=[output])
    found = still([output], "name")
    assert [o.get("data", o.get("text")) for o in found] == ([] if becomes is None else [becomes])
    assert before == nbformat.v4.new_code_cell(outputs=[output], id=before.id), "not changed itself"


def test_outputs_go_to_the_cells_of_their_names_and_nothing_else_changes() -> None:
    cells = [nbformat.v4.new_code_cell("1", id="one"), nbformat.v4.new_markdown_cell("2", id="two")]
    cells.append(nbformat.v4.new_code_cell("3", id="three", metadata={"tags": ["claim"]}))
    source = nbformat.v4.new_notebook(cells=cells, metadata={"mtl_nt": {"fast": {}}})
    executed = nbformat.from_dict(json.loads(nbformat.writes(source)))
    executed.metadata["widgets"] = {"much": "state"}
    executed.cells[2].metadata["papermill"] = {"duration": 1.5}
    executed.cells[2].outputs = [new_output("execute_result", data={"text/plain": "3"})]
    executed.cells.insert(0, nbformat.v4.new_code_cell("injected", id="parameters-1"))
    made = kept(source, executed)
    assert [c.id for c in made.cells] == ["one", "two", "three"]
    assert (made.cells[0].outputs, made.cells[0].execution_count) == ([], 1)
    assert made.cells[2].outputs[0].execution_count == made.cells[2].execution_count == 2
    assert (made.metadata, made.cells[2].metadata) == (source.metadata, cells[2].metadata)
    nbformat.validate(made)


# ---------------------------------------------------------------- compared with the present code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("MTL harms 3 tasks", "MTL  harms 3\ntasks", True),
        ("MTL harms 3 tasks", "MTL harms 5 tasks", False),
        ("MTL harms 3 tasks", "MTL helps 3 tasks", False),
        ("0.812 ± .010", "0.829 ± .012", True),
        ("0.812", "0.612", False),
        ("1,100 steps", "1,180 steps", True),
        ("1,100 steps", "900 steps", False),
        ("-0.100", "+0.100", False),
        ("1e-3", "2e-3", True),
        ("none", "", False),
    ],
)
def test_words_are_compared_exactly_and_numbers_nearly(one: str, other: str, same: bool) -> None:
    assert (Close(one) == other) is (Close(other) == one) is same
    assert (Close(one) != other) is not same


# ---------------------------------------------------------------- run again


class Again:
    """A notebook with few steps, in a kernel of its own: every cell twice, then all of it again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.notebook = deepcopy(BOOK[name])
        first = next(c for c in self.notebook.cells if c.id == "parameters")
        first.source += "".join(f"\n{key} = {value!r}" for key, value in fast(name).items())
        cells = [c for c in self.notebook.cells if c.cell_type == "code"]
        resources = {"metadata": {"path": str(folder)}}
        self.client = NotebookClient(
            self.notebook, kernel_name="python3", resources=resources, coalesce_streams=True
        )
        with pytest.MonkeyPatch.context() as patch:
            if HERE:
                patch.setenv(files.FOLDER, str(GDSC))
            with self.client.setup_kernel():
                self.twice = {cell.id: (self.run(cell), self.run(cell)) for cell in cells}
                self.again = {cell.id: self.run(cell) for cell in cells}

    def run(self, cell: NotebookNode) -> list[str]:
        """What it puts out now, as it would be kept."""
        done = self.client.execute_cell(cell, self.notebook.cells.index(cell))
        if "nbval-ignore-output" in cell.metadata.get("tags", []):  # what the clock says
            return []
        return [json.dumps({**o, "execution_count": None}) for o in still(done.outputs, cell.id)]


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Again:
    return Again(request.param, tmp_path_factory.mktemp("again"))


FIRST = NAMES[:3]  # what a reader runs first; each takes half a minute
every_run = pytest.mark.parametrize("ran", FIRST, indirect=True)


@pytest.mark.slow
@every_run
def test_running_any_cell_or_all_of_it_twice_changes_nothing(ran: Again) -> None:
    assert [name for name, (once, twice) in ran.twice.items() if once != twice] == []
    assert [name for name, (once, _) in ran.twice.items() if once != ran.again[name]] == []
    assert sum(map(len, ran.again.values())) > 10


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no program named chromium: nothing to open")
@every_run
def test_its_page_opens_without_a_network_and_every_slider_reaches_every_position(
    ran: Again, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / f"{request.node.callspec.params['ran']}.ipynb"
    nbformat.write(ran.notebook, path)
    page = report.page(path, path.with_suffix(".html"))
    with chromium() as browser, Visit(browser, page) as visit:
        boxes = visit.page.locator(".nt-explorer").all()
        for box in boxes:
            content = json.loads(box.locator("script[type='application/json']").inner_text())
            values, row = content["values"], content["pages"][0]
            for place, value in enumerate(values if len(values) > 1 else []):
                box.locator("input").fill(str(place))
                expect(box.locator("output")).to_have_text(value)
                expect(box.locator("img")).to_have_attribute("src", row[place % len(row)]["src"])
        assert [url for url in visit.asked if not url.startswith("data:")] == [page.as_uri()]
        assert visit.said == []
    assert boxes, "a notebook without a slider"
