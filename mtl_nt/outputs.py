"""A notebook's outputs as the repository keeps them: small, still, and the same at every run."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import tokenize
from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup
from nbformat import NotebookNode
from nbformat.v4 import new_output

from .page import PNG, VIEW, alive

PRINTED = re.compile(r"\s*<[\w.]+ (object|at 0x[0-9a-f]+)[^\n]*>\s*")  # what says nothing in words
LINKED = re.compile(r' download="[^"]*" href="data:[^"]*"')  # too long for what no page shows
MADE_FROM = "made_from"  # in a notebook's metadata, under mtl_nt
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
    about = {**notebook.metadata.get("mtl_nt", {}), MADE_FROM: made_from(notebook)}
    shown.metadata = NotebookNode({**notebook.metadata, "mtl_nt": about})
    return shown


def made_from(notebook: NotebookNode) -> str:
    """What a notebook's outputs come from, as 16 digits: its code cells and this package, but for
    comments and docstrings, and the results that come with it.
    """
    cells = [_bare(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join([*cells, _package()]).encode()).hexdigest()[:16]


@cache
def _package() -> str:
    here, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(_bare(path.read_text(encoding="utf-8")).encode() + b"\0")
    for path in sorted(path for path in (here / "results").rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _bare(source: str) -> str:
    """A program without its comments, docstrings and empty lines."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef():
                match node.body:
                    case [ast.Expr(ast.Constant(str()), lineno=first, end_lineno=int(last)), *_]:
                        lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


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
