"""What an executed notebook looks like as one HTML page that asks the network for nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import papermill.translators
from jinja2 import FileSystemLoader, pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from traitlets.config import Config

from .markup import STYLE, document
from .tasks import is_number

PNG = "image/png"
VIEW = "application/vnd.jupyter.widget-view+json"
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "text/latex"]
SHOWN += [PNG, "image/jpeg", "text/plain"]
HERE = Path(__file__).parent
BOOK = "book"  # tags what a report has no use for
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
QUIET = "quiet"  # tags what a report runs and does not show


def html_of(notebook: NotebookNode, heading: str | None = None) -> str:
    """The page of an executed notebook.

    Args:
        heading: of a page of results alone, without code and without the cells tagged "quiet".
    """
    about = About.of(notebook)
    shown = NotebookNode(notebook)
    shown.cells = [_shown(cell) for cell in notebook.cells]
    if heading is not None:
        shown.cells = [_result(cell) for cell in shown.cells if QUIET not in tags(cell)]
    exporter = _Exporter(
        config=Config(NbConvertBase={"display_data_priority": SHOWN}),
        template_file="page.html.j2",
        extra_loaders=[FileSystemLoader(HERE)],
        exclude_anchor_links=True,
    )
    resources = {"heading": heading, "made": about.made if heading is None else about.when}
    body, _ = exporter.from_notebook_node(shown, resources=resources)
    title = heading or ", ".join(filter(None, [about.title, about.dataset]))
    return document(title, body, STYLE + HtmlFormatter().get_style_defs(".highlight"))


@dataclass(frozen=True)
class About:
    """What a report is about: its title, how it was made, its first picture."""

    title: str
    notebook: str
    dataset: str | None
    parameters: dict[str, Any]  # those given; the others are the notebook's own
    date: str
    seconds: float
    picture: str | None

    @classmethod
    def of(cls, notebook: NotebookNode) -> About:
        ran = _object(notebook.metadata.get("papermill"))
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        heading = re.search(r"^# +(.+)$", "\n".join(sources), re.M)
        path = Path(str(ran.get("input_path") or "notebook"))
        given, seconds = _object(ran.get("parameters")), ran.get("duration", 0.0)
        dataset = (_defaults(notebook) | given).get("dataset")
        outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
        return cls(
            title=re.sub(r"[`*$]", "", heading[1]) if heading else path.stem,
            notebook=path.name,
            dataset=None if dataset is None else str(dataset),
            parameters=given,
            date=str(ran.get("start_time", ""))[:10],
            seconds=float(seconds) if is_number(seconds) else 0.0,
            picture=next(filter(None, map(_picture, outputs)), None),
        )

    @property
    def made(self) -> str:
        """What it comes from and is about, when it was made and how long that took."""
        given = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        parts = [f"data set {self.dataset}"] if self.dataset else []
        parts.append(f"{self.notebook} with {given or 'its own parameters'}")
        if self.date:
            parts.append(f"run on {self.date} in {self.seconds:.0f} s")
        return "; ".join(parts)

    @property
    def when(self) -> str:
        """When it was made, and by what."""
        return f"made on {self.date} by mtl_nt" if self.date else "made by mtl_nt"


def _defaults(notebook: NotebookNode) -> dict[str, Any]:
    """The values in the cell tagged "parameters"."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            found = papermill.translators.PythonTranslator.inspect(cell)
            return {parameter.name: _literal(parameter.default) for parameter in found}
    return {}


def _literal(source: str) -> Any:
    try:
        return ast.literal_eval(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


def _object(value: Any) -> dict[str, Any]:
    """A notebook's metadata, which may hold anything."""
    return dict(value) if isinstance(value, dict) else {}


def _picture(output: NotebookNode) -> str | None:
    """The address of a PNG in an output, if it is one."""
    data = output.get("data", {})
    found = re.search(r'<img[^>]* src="data:image/png;base64,([^"]+)"', data.get("text/html", ""))
    png = data.get(PNG) or (found[1] if found else "")
    plain = png.replace("\n", "") if isinstance(png, str) else ""
    return f"data:{PNG};base64,{plain}" if BASE64.fullmatch(plain) else None


def tags(cell: NotebookNode) -> list[str]:
    """What a cell is tagged with."""
    return list(cell.metadata.get("tags", []))


def _result(cell: NotebookNode) -> NotebookNode:
    """The cell without its code."""
    return NotebookNode({**cell, "source": ""}) if cell.cell_type == "code" else cell


def _shown(cell: NotebookNode) -> NotebookNode:
    """The cell without what is dead on a page."""
    if cell.cell_type != "code":
        return cell
    cell = NotebookNode(cell)
    cell.outputs = [o for o in map(alive, cell.outputs) if o is not None]
    return cell


def alive(output: NotebookNode) -> NotebookNode | None:
    """The output, unless it is blank or a widget without HTML, such as a progress bar."""
    if output.output_type == "stream":
        return output if output.text.strip() else None
    data = output.get("data", {})
    if output.output_type != "error" and not set(SHOWN) & set(data):
        return None
    return None if VIEW in data and "text/html" not in data else output


class _Exporter(HTMLExporter):
    """nbconvert's HTML with formulas as MathML, which browsers draw by themselves. Markdown that
    code has put out has no HTML in it: what looks like some came from its data.
    """

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        yield from super().default_filters()
        yield "told2html", partial(_html_of_markdown, escape=True)

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        return _html_of_markdown(source, escape=False, attachments=attachments)


def _html_of_markdown(source: str, **options: Any) -> str:
    renderer = _Renderer(exclude_anchor_links=True, **options)
    return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    def inline_math(self, body: str) -> str:
        return _mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return _mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return _mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


def _mathml(latex: str, display: str) -> str:
    try:
        return convert(latex.strip(), display=display)
    except Exception:  # of many kinds; the formula's source is better than no page
        return f"<code>{escape(latex)}</code>"
