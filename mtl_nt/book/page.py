"""An executed notebook as one HTML page that loads nothing from the network."""

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

from ..tasks import is_finite_number
from .markup import STYLE, html_document

PNG = "image/png"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SHOWN_TYPES = ["text/html", "text/markdown", "image/svg+xml", "text/latex"]
SHOWN_TYPES += [PNG, "image/jpeg", "text/plain"]
HERE = Path(__file__).parent
BOOK_TAG = "book"  # tags cells that teach, which a report leaves out
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
QUIET_TAG = "quiet"  # tags cells that a report runs and does not show


def notebook_html(notebook: NotebookNode, heading: str | None = None) -> str:
    """The HTML page of an executed notebook.

    Args:
        heading: makes a page of results alone, with this heading, without code, and without the
            cells tagged "quiet".
    """
    about = ReportDetails.from_notebook(notebook)
    shown = NotebookNode(notebook)
    shown.cells = [_visible_cell(cell) for cell in notebook.cells]
    if heading is not None:
        shown.cells = [
            _without_code(cell) for cell in shown.cells if QUIET_TAG not in cell_tags(cell)
        ]
    exporter = _Exporter(
        config=Config(NbConvertBase={"display_data_priority": SHOWN_TYPES}),
        template_file="page.html.j2",
        extra_loaders=[FileSystemLoader(HERE)],
        exclude_anchor_links=True,
    )
    resources = {"heading": heading, "made": about.made if heading is None else about.when}
    body, _ = exporter.from_notebook_node(shown, resources=resources)
    title = heading or ", ".join(filter(None, [about.title, about.dataset]))
    return html_document(title, body, STYLE + HtmlFormatter().get_style_defs(".highlight"))


@dataclass(frozen=True)
class ReportDetails:
    """What a page says of its report: its title, how it was made, and its first picture.

    Attributes:
        title: the first heading of the notebook.
        notebook: the file's name.
        dataset: the data set, if the notebook has a parameter of that name.
        parameters: the parameters that were given; the others have their defaults.
        date: the day of the run, such as "2026-01-31", or "".
        seconds: how long the run took.
        picture: the first picture as a data URL, if there is one.
    """

    title: str
    notebook: str
    dataset: str | None
    parameters: dict[str, Any]
    date: str
    seconds: float
    picture: str | None

    @classmethod
    def from_notebook(cls, notebook: NotebookNode) -> ReportDetails:
        ran = _as_dictionary(notebook.metadata.get("papermill"))
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        heading = re.search(r"^# +(.+)$", "\n".join(sources), re.M)
        path = Path(str(ran.get("input_path") or "notebook"))
        given, seconds = _as_dictionary(ran.get("parameters")), ran.get("duration", 0.0)
        dataset = (_defaults(notebook) | given).get("dataset")
        outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
        return cls(
            title=re.sub(r"[`*$]", "", heading[1]) if heading else path.stem,
            notebook=path.name,
            dataset=None if dataset is None else str(dataset),
            parameters=given,
            date=str(ran.get("start_time", ""))[:10],
            seconds=float(seconds) if is_finite_number(seconds) else 0.0,
            picture=next(filter(None, map(_png_url, outputs)), None),
        )

    @property
    def made(self) -> str:
        """The data set, the notebook and its parameters, the date and the duration, in words."""
        given = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        parts = [f"data set {self.dataset}"] if self.dataset else []
        parts.append(f"{self.notebook} with {given or 'its own parameters'}")
        if self.date:
            parts.append(f"run on {self.date} in {self.seconds:.0f} s")
        return "; ".join(parts)

    @property
    def when(self) -> str:
        """When and by what the report was made, in words."""
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


def _as_dictionary(value: Any) -> dict[str, Any]:
    """The value, if it is a dictionary. The metadata of a notebook may hold anything."""
    return dict(value) if isinstance(value, dict) else {}


def _png_url(output: NotebookNode) -> str | None:
    """The address of a PNG in an output, if it is one."""
    data = output.get("data", {})
    found = re.search(r'<img[^>]* src="data:image/png;base64,([^"]+)"', data.get("text/html", ""))
    png = data.get(PNG) or (found[1] if found else "")
    plain = png.replace("\n", "") if isinstance(png, str) else ""
    return f"data:{PNG};base64,{plain}" if BASE64.fullmatch(plain) else None


def cell_tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def _without_code(cell: NotebookNode) -> NotebookNode:
    """The cell without its code."""
    return NotebookNode({**cell, "source": ""}) if cell.cell_type == "code" else cell


def _visible_cell(cell: NotebookNode) -> NotebookNode:
    """The cell without outputs that show nothing on a page."""
    if cell.cell_type != "code":
        return cell
    cell = NotebookNode(cell)
    cell.outputs = [o for o in map(visible_output, cell.outputs) if o is not None]
    return cell


def visible_output(output: NotebookNode) -> NotebookNode | None:
    """The output, unless it is blank or a widget without HTML, such as a progress bar."""
    if output.output_type == "stream":
        return output if output.text.strip() else None
    data = output.get("data", {})
    if output.output_type != "error" and not set(SHOWN_TYPES) & set(data):
        return None
    return None if WIDGET_VIEW in data and "text/html" not in data else output


class _Exporter(HTMLExporter):
    """nbconvert's exporter, with formulas as MathML, which browsers draw by themselves.

    In Markdown that code has put out, anything that looks like HTML is escaped: it may come from
    the data.
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
