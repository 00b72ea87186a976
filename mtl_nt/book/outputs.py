"""A notebook's outputs as the repository stores them: small, static, and equal for equal runs."""

from __future__ import annotations

import ast
import binascii
import hashlib
import io
import re
import tokenize
from base64 import b64decode, b64encode
from functools import cache
from html import escape
from pathlib import Path

from bs4 import BeautifulSoup
from ipykernel.kernelspec import KERNEL_NAME, get_kernel_dict
from nbformat import NotebookNode
from nbformat.v4 import new_output

from ..figures.inline import without_narrow_forms
from ..figures.png import packed
from .about import PNG
from .page import visible_output

PRINTED_OBJECT = re.compile(
    r"\s*<[\w.]+ (object|at 0x[0-9a-f]+)[^\n]*>\s*"
)  # says nothing to a reader
DATA_LINK = re.compile(r' download="[^"]*" href="data:[^"]*"')  # long, and only needed on a page
PICTURES = ('<div class="nt-explorer">', '<div class="nt-kept">')
"""What the HTML of explorers, of figures and of live cells begins with."""
KERNEL_SPEC = {
    **{"display_name": get_kernel_dict()["display_name"], "language": "python"},
    "name": KERNEL_NAME,
}
"""The metadata of a notebook that this Python runs, as JupyterLab writes it."""
MADE_FROM = "made_from"  # in a notebook's metadata, under mtl_nt
PNG_IN_HTML = re.compile(r"(data:image/png;base64,)([\w+/]+=*)")
RANDOM_NAME = re.compile(r"\bT_[0-9a-f]{5,}(?=_|\b)")  # names of tables, which are random


def with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """The notebook with the outputs of its executed copy, and with what names its language.

    An explorer becomes the picture at its first position, and a live panel its last picture, so
    that viewers without widgets show them. Progress bars and the state of widgets are left out.
    JupyterLab itself writes `kernelspec` and `language_info`, so a reader who opens the notebook
    and closes it again is not asked to save it.
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
    language = executed.metadata.get("language_info", {})
    named = {"kernelspec": KERNEL_SPEC, "language_info": language} if language else {}
    shown.metadata = NotebookNode({**notebook.metadata, **named, "mtl_nt": about})
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
    """The outputs of a cell without widgets, and with `name` in place of random names.

    A picture is followed by its caption, and by a line that asks to run the cell if it has controls
    where its cell runs.
    """
    shown: list[NotebookNode] = []
    for output in filter(None, map(visible_output, outputs)):
        shown.append(_static_output(output, f"{name}-{len(shown)}"))
        html = str(output.get("data", {}).get("text/html", ""))
        if html.startswith(PICTURES) and (words := _words_below(html)):
            line = {"text/html": f"<small>{escape(words)}</small>"}
            shown.append(new_output("display_data", data=line))
    return shown


def _words_below(html: str) -> str:
    """The caption of a picture, and the line that asks to run its cell."""
    parts = _soup(html).select("figcaption, .nt-ask")
    words = (part.get_text(" ", strip=True) for part in parts)
    return " ".join(filter(None, words))


def _soup(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def _static_output(output: NotebookNode, name: str) -> NotebookNode:
    if "data" not in output:
        return output
    data, metadata = dict(output.data), dict(output.metadata)
    words = str(data.get("text/plain", ""))
    if str(data.get("text/html", "")).startswith(PICTURES):
        picture = _soup(data.pop("text/html")).find("img")
        if picture is not None:
            data[PNG] = str(picture["src"]).partition(",")[2]
            metadata[PNG] = {"alt": str(picture["alt"])}
    elif PRINTED_OBJECT.fullmatch(words):
        del data["text/plain"]
        if alt := metadata.get(PNG, {}).get("alt"):
            data["text/plain"] = alt
    if "text/html" in data:
        html = without_narrow_forms(data["text/html"])  # they are drawn again where the cell runs
        html = PNG_IN_HTML.sub(lambda found: found[1] + _packed(found[2]), html)
        data["text/html"] = DATA_LINK.sub("", RANDOM_NAME.sub(f"T_{name}", html))
    if PNG in data:
        data[PNG] = _packed(str(data[PNG]))
    count = {"execution_count": None} if output.output_type == "execute_result" else {}
    return new_output(output.output_type, data=data, metadata=metadata, **count)


def _packed(encoded: str) -> str:
    """A PNG in fewer bytes, both as base64. What is no base64 stays as it is."""
    try:
        png = b64decode("".join(encoded.split()), validate=True)
    except binascii.Error:
        return encoded
    return b64encode(packed(png)).decode()
