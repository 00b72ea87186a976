"""A notebook's outputs as the repository stores them: small, static, and equal for equal runs."""

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

from .page import PNG, WIDGET_VIEW, visible_output

PRINTED_OBJECT = re.compile(
    r"\s*<[\w.]+ (object|at 0x[0-9a-f]+)[^\n]*>\s*"
)  # says nothing to a reader
DATA_LINK = re.compile(r' download="[^"]*" href="data:[^"]*"')  # long, and only needed on a page
EXPLORER = '<div class="nt-explorer">'  # what the HTML of an explorer begins with
MADE_FROM = "made_from"  # in a notebook's metadata, under mtl_nt
RANDOM_NAME = re.compile(r"\bT_[0-9a-f]{5,}(?=_|\b)")  # names of tables, which are random


def with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """The notebook with the outputs of its executed copy, and nothing else of that copy.

    An explorer becomes the picture at its first position, and a live panel its last picture, so
    that viewers without widgets show them. Progress bars and the state of widgets are left out.
    """
    ran = {cell.id: cell for cell in executed.cells if cell.cell_type == "code"}
    shown = NotebookNode(notebook)
    shown.cells = [NotebookNode(cell) for cell in notebook.cells]
    for number, cell in enumerate([c for c in shown.cells if c.cell_type == "code"], 1):
        cell.execution_count = number
        cell.outputs = static_outputs(ran[cell.id].outputs, cell.id)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    about = {**notebook.metadata.get("mtl_nt", {}), MADE_FROM: source_digest(notebook)}
    shown.metadata = NotebookNode({**notebook.metadata, "mtl_nt": about})
    return shown


def source_digest(notebook: NotebookNode) -> str:
    """A digest of all that a notebook's outputs come from, as 16 hexadecimal digits.

    These are its code cells and the code of this package, both without comments and docstrings,
    and the results that come with the package.
    """
    cells = [_without_comments(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join([*cells, _package_digest()]).encode()).hexdigest()[:16]


@cache
def _package_digest() -> str:
    here, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(_without_comments(path.read_text(encoding="utf-8")).encode() + b"\0")
    played = [*(here / "book").glob("playground.[!p]*"), *(here / "book" / "stills").iterdir()]
    kept = (path for path in (here / "study" / "results").rglob("*") if path.is_file())
    for path in [*sorted(played), *sorted(kept)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _without_comments(source: str) -> str:
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


def static_outputs(outputs: list[NotebookNode], name: str) -> list[NotebookNode]:
    """The outputs of a cell without widgets, and with `name` in place of random names."""
    shown = [output for output in map(visible_output, outputs) if output is not None]
    return [_static_output(output, f"{name}-{place}") for place, output in enumerate(shown)]


def _static_output(output: NotebookNode, name: str) -> NotebookNode:
    if "data" not in output:
        return output
    data, metadata = dict(output.data), dict(output.metadata)
    words = str(data.get("text/plain", ""))
    if data.pop(WIDGET_VIEW, None) or str(data.get("text/html", "")).startswith(EXPLORER):
        picture = BeautifulSoup(data.pop("text/html"), "html.parser").find("img")
        if picture is not None:
            data[PNG] = str(picture["src"]).partition(",")[2]
            metadata[PNG] = {"alt": str(picture["alt"])}
    elif PRINTED_OBJECT.fullmatch(words):
        del data["text/plain"]
        if alt := metadata.get(PNG, {}).get("alt"):
            data["text/plain"] = alt
    if "text/html" in data:
        data["text/html"] = DATA_LINK.sub("", RANDOM_NAME.sub(f"T_{name}", data["text/html"]))
    count = {"execution_count": None} if output.output_type == "execute_result" else {}
    return new_output(output.output_type, data=data, metadata=metadata, **count)
