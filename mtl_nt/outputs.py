"""A notebook's outputs as the repository keeps them: small, still, and the same at every run."""

from __future__ import annotations

import re

from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_output

from .page import PNG, VIEW, alive

PRINTED = re.compile(r"\s*<[\w.]+ (object|at 0x[0-9a-f]+)[^\n]*>\s*")  # what says nothing in words
LINKED = re.compile(r' download="[^"]*" href="data:[^"]*"')  # too long for what no page shows
RANDOM = re.compile(r"\b(T_|nt-)[0-9a-f]{5,}(?=_|\b)")  # names of tables, drawn by chance


def kept(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """The notebook with the outputs of its executed copy, cell by cell, and nothing else of it.

    An explorer becomes the picture at its default position and a live panel its last picture, so
    that viewers without widgets show it; progress bars and the widgets' state go.
    """
    ran = {cell.id: cell for cell in executed.cells if cell.cell_type == "code"}
    shown = NotebookNode(notebook)
    shown.cells = [NotebookNode(cell) for cell in notebook.cells]
    for number, cell in enumerate([c for c in shown.cells if c.cell_type == "code"], 1):
        cell.execution_count = number
        cell.outputs = still(ran[cell.id].outputs, cell.id)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    return shown


def still(outputs: list[NotebookNode], name: str) -> list[NotebookNode]:
    """A cell's outputs without what is alive in them, and its `name` for names drawn by chance."""
    shown = [output for output in map(alive, outputs) if output is not None]
    return [_still(output, f"{name}-{place}") for place, output in enumerate(shown)]


def _still(output: NotebookNode, name: str) -> NotebookNode:
    if "data" not in output:
        return output
    data, metadata = dict(output.data), dict(output.metadata)
    words = str(data.get("text/plain", ""))
    if data.pop(VIEW, None):
        picture = BeautifulSoup(data.pop("text/html"), "html.parser").find("img")
        if picture is not None:
            data[PNG] = str(picture["src"]).partition(",")[2]
            metadata[PNG] = {"alt": str(picture["alt"])}
    elif PRINTED.fullmatch(words):
        del data["text/plain"]
        if alt := metadata.get(PNG, {}).get("alt"):
            data["text/plain"] = alt
    if "text/html" in data:
        data["text/html"] = LINKED.sub("", RANDOM.sub(rf"\1{name}", data["text/html"]))
    count = {"execution_count": None} if output.output_type == "execute_result" else {}
    return new_output(output.output_type, data=data, metadata=metadata, **count)
