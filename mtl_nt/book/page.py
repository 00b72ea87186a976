"""An executed notebook as one HTML page that loads nothing from the network."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from jinja2 import FileSystemLoader, pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from traitlets.config import Config

from ..errors import BadInput
from ..figures.inline import images_html
from .about import PNG, ReportDetails
from .links import with_places
from .markup import STYLE, html_document

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PYGMENTS = (
    HtmlFormatter().get_style_defs(".highlight")
    + "@media screen and (prefers-color-scheme: dark) {"
    + HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    + "}"
)
SHOWN_TYPES = ["text/html", "text/markdown", "image/svg+xml", "text/latex"]
SHOWN_TYPES += [PNG, "image/jpeg", "text/plain"]
HERE = Path(__file__).parent


def notebook_html(notebook: NotebookNode) -> str:
    """The HTML page of an executed notebook."""
    about = ReportDetails.from_notebook(notebook)
    shown = NotebookNode(notebook)
    shown.cells = [_visible_cell(cell) for cell in notebook.cells]
    exporter = _Exporter(
        config=Config(NbConvertBase={"display_data_priority": SHOWN_TYPES}),
        template_file="page.html.j2",
        extra_loaders=[FileSystemLoader(HERE)],
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    body, _ = exporter.from_notebook_node(shown, resources={"made": about.made})
    title = ", ".join(filter(None, [about.title, about.dataset]))
    body = str(with_places(BeautifulSoup(body, "html.parser")))
    return html_document(title, body, STYLE + PYGMENTS)


def png_html(output: NotebookNode) -> str:
    """The picture of an output, with its alternative text. On a phone, a wide one can be moved.

    Bytes that are no PNG become the text that stands beside them.
    """
    alt = str(output.metadata.get(PNG, {}).get("alt") or "Figure")
    try:
        return images_html(b64decode(output.data[PNG], validate=False), alt)
    except (BadInput, ValueError, TypeError):
        return escape(str(output.data.get("text/plain", alt)))


def cell_tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


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
        yield "told2html", partial(markdown_html, escape=True)
        yield "png_html", png_html

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        return markdown_html(source, escape=False, attachments=attachments)


def markdown_html(source: str, **options: Any) -> str:
    """Markdown as HTML, with formulas as MathML. It still has to be `sanitized`."""
    renderer = _Renderer(exclude_anchor_links=True, **options)
    return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


def mathml(latex: str, display: str) -> str:
    """A formula as MathML, which browsers draw by themselves.

    Args:
        display: "inline" or "block".

    >>> mathml("x^2", "inline").startswith("<math")
    True
    """
    try:
        return convert(latex.strip(), display=display)
    except Exception:  # of many kinds; the formula's source is better than no page
        return f"<code>{escape(latex)}</code>"
