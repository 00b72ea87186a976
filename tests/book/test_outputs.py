"""What the notebooks of the repository show without a kernel.

Each says which code its outputs were made from, and that must be the present code. That they are
what this code puts out here, too, is nbval's to say, with `outputs_close`, in `make compare`.
"""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode, b64encode
from pathlib import Path

import book
import nbformat
import numpy as np
import pytest
from book import BOOK, FOLDER, code, said
from bs4 import BeautifulSoup
from ipykernel.ipkernel import IPythonKernel
from nbconvert.exporters import ScriptExporter
from nbformat import NotebookNode
from nbformat.v4 import new_output
from outputs_close import Close
from PIL import Image

from mtl_nt import BadInput
from mtl_nt.book.about import PNG
from mtl_nt.book.claims import DOES_NOT_HOLD
from mtl_nt.book.outputs import KERNEL_SPEC, MADE_FROM, source_digest, static_outputs, with_outputs
from mtl_nt.book.page import WIDGET_VIEW
from mtl_nt.book.panels import panels
from mtl_nt.book.report import denied_claims, keep_outputs
from mtl_nt.figures import png_bytes

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


@pytest.mark.slow
@every_notebook
def test_its_outputs_were_made_by_the_present_code(name: str) -> None:
    same = BOOK[name].metadata.mtl_nt[MADE_FROM] == source_digest(BOOK[name])
    assert same, "the code has changed since: make outputs"


@every_notebook
def test_nothing_in_them_needs_a_kernel_and_widgets_are_pictures(name: str) -> None:
    assert not [o for o in shown(BOOK[name]) if WIDGET_VIEW in o.get("data", {})]
    widgets = [
        c
        for c in code(name)
        if re.search(
            r"^ *(?:\w+ = |display\()?(?:\w*explorer|pictures|Live|live_study)\(", c.source, re.M
        )
    ]
    lines = []
    for cell in widgets:
        picture, line = cell.outputs
        assert b64decode(picture.data[PNG]).startswith(b"\x89PNG")
        assert len(picture.data["text/plain"]) > 40
        lines.append(line.data["text/html"])
    assert any("Run this cell" in line for line in lines)


@every_notebook
def test_every_picture_has_words(name: str) -> None:
    book.describes_its_pictures(BOOK[name])
    pictures = [o.data for o in shown(BOOK[name]) if PNG in o.get("data", {})]
    assert all(len(data["text/plain"]) > 20 for data in pictures)


@every_notebook
def test_all_claims_hold_exercises_wait_and_solutions_are_right(name: str) -> None:
    printed = "".join(said(BOOK[name], "claim"))
    assert len(re.findall("^✓ ", printed, re.M)) >= 3
    assert DOES_NOT_HOLD not in printed
    book.exercises_wait_and_solutions_are_right(BOOK[name])


@every_notebook
def test_its_metadata_are_those_that_jupyterlab_writes(name: str) -> None:
    """So that who opens it alone is not asked to save it. The version is of who made it."""
    metadata = BOOK[name].metadata
    assert metadata.kernelspec == KERNEL_SPEC
    wanted = IPythonKernel.language_info
    assert {**metadata.language_info, "version": ""} == {**wanted, "version": ""}


def test_the_notebooks_are_small() -> None:
    sizes = {path.stem: path.stat().st_size / MEGABYTE for path in FOLDER.glob("*.ipynb")}
    assert max(sizes.values()) < 1
    assert sum(sizes.values()) < 5


# ---------------------------------------------------------------- how they are kept


def explorer_output(ask: str = "") -> NotebookNode:
    picture = '<img src="data:image/png;base64,iVBORw0=" alt="a &lt; b">'
    below = f'<figcaption></figcaption></figure><p class="nt-ask">{ask}</p>'
    html = f'<div class="nt-explorer"><figure>{picture}{below}<script>1</script></div>'
    data = {"text/html": html, "text/plain": "alpha = 0: a < b"}
    return new_output("execute_result", data=data, execution_count=7)


@pytest.mark.parametrize(
    ("output", "becomes"),
    [
        (new_output("stream", name="stdout", text="3 tasks\n"), "3 tasks\n"),
        (new_output("stream", name="stdout", text=" \n"), None),
        (new_output("display_data", data={WIDGET_VIEW: {}, "text/plain": "0%|"}), None),
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
    found = static_outputs([output], "name")
    assert [o.get("data", o.get("text")) for o in found] == ([] if becomes is None else [becomes])
    assert before == nbformat.v4.new_code_cell(outputs=[output], id=before.id), "not changed itself"


def test_a_picture_with_controls_is_kept_with_a_line_that_asks_to_run_its_cell() -> None:
    picture, line = static_outputs([explorer_output("Run <b>this</b> cell & see.")], "name")
    assert picture.data[PNG] == "iVBORw0="
    html = "<small>Run this cell &amp; see.</small>"
    assert line.data == {"text/html": html}


def test_a_picture_is_kept_once_in_fewer_bytes_and_with_the_same_pixels() -> None:
    figure = panels([lambda ax: ax.plot([1, 2], label="a line")], "A title", "A text.", "foot")
    shown = figure._repr_mimebundle_()["text/html"]
    folded = f"<details><summary>A picture</summary>{shown}</details>"
    (kept,) = static_outputs([new_output("display_data", data={"text/html": folded})], "name")
    (image,) = BeautifulSoup(kept.data["text/html"], "html.parser").find_all("img")
    assert "max-width: 600px" not in kept.data["text/html"], "a narrow page shows it, too"
    png, same = png_bytes(figure), b64decode(image["src"].partition(",")[2])
    assert len(same) < len(png)
    pixels = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in (png, same)]
    assert (pixels[0] == pixels[1]).all()
    (alone,) = static_outputs([new_output("display_data", data={PNG: b64encode(png).decode()})], "")
    assert b64decode(alone.data[PNG]) == same


def test_a_notebook_that_is_kept_becomes_a_script_of_python() -> None:
    cells = [nbformat.v4.new_code_cell("x = 1", id="one")]
    another = {"name": "another", "display_name": "Another"}
    source = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": another})
    executed = nbformat.from_dict(json.loads(nbformat.writes(source)))
    executed.metadata["language_info"] = IPythonKernel.language_info
    kept = with_outputs(source, executed)
    assert kept.metadata.kernelspec == KERNEL_SPEC
    assert kept.metadata.language_info == IPythonKernel.language_info
    text, about = ScriptExporter().from_notebook_node(kept)
    assert about["output_extension"] == ".py"
    assert "x = 1" in text


def test_outputs_go_to_the_cells_of_their_names_and_nothing_else_changes() -> None:
    cells = [nbformat.v4.new_code_cell("1", id="one"), nbformat.v4.new_markdown_cell("2", id="two")]
    cells.append(nbformat.v4.new_code_cell("3", id="three", metadata={"tags": ["claim"]}))
    source = nbformat.v4.new_notebook(cells=cells, metadata={"mtl_nt": {"fast": {}}})
    executed = nbformat.from_dict(json.loads(nbformat.writes(source)))
    executed.metadata["widgets"] = {"much": "state"}
    executed.cells[2].metadata["papermill"] = {"duration": 1.5}
    executed.cells[2].outputs = [new_output("execute_result", data={"text/plain": "3"})]
    executed.cells.insert(0, nbformat.v4.new_code_cell("injected", id="parameters-1"))
    made = with_outputs(source, executed)
    assert [c.id for c in made.cells] == ["one", "two", "three"]
    assert (made.cells[0].outputs, made.cells[0].execution_count) == ([], 1)
    assert made.cells[2].outputs[0].execution_count == made.cells[2].execution_count == 2
    assert made.cells[2].metadata == cells[2].metadata
    assert made.metadata == {"mtl_nt": {"fast": {}, MADE_FROM: source_digest(source)}}
    assert source.metadata == {"mtl_nt": {"fast": {}}}
    nbformat.validate(made)


def test_outputs_that_deny_a_sentence_of_the_text_are_not_kept(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("claim('pigs fly', False)", id="one")
    path = tmp_path / "00_a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    before = path.read_bytes()
    executed = nbformat.read(path, as_version=4)
    printed = f"✓ birds fly\n{DOES_NOT_HOLD} pigs fly\n"
    executed.cells[0].outputs = [new_output("stream", name="stdout", text=printed)]
    with pytest.raises(BadInput, match="00_a.*not kept; mend its text: .* pigs fly"):
        keep_outputs(path, executed)
    assert path.read_bytes() == before
    assert denied_claims(executed) == [f"{DOES_NOT_HOLD} pigs fly"]
    executed.cells[0].outputs[0].text = "✓ birds fly\n"
    assert keep_outputs(path, executed).read_bytes() != before


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ('def f(x):\n    """Other words,\n    and more."""\n    return x + 1\n', True),
        ("def f(x):  # other words\n\n    return x + 1", True),
        ("def f(x):\n    return x + 2", False),
        ('def f(x):\n    return x + 1\n"""Not a docstring."""', False),
        ('def f(x):\n    "#"\n    "# no comment"\n    return x + 1', False),
    ],
)
def test_comments_and_docstrings_put_nothing_out(source: str, same: bool) -> None:
    def cell(text: str) -> NotebookNode:
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text)])

    assert (
        source_digest(cell(source)) == source_digest(cell("def f(x):\n    return x + 1"))
    ) is same


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
