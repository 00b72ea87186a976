"""What an executed notebook looks like as one HTML page that asks the network for nothing."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import papermill.translators
from bs4 import BeautifulSoup
from jinja2 import FileSystemLoader, pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from traitlets.config import Config

PNG = "image/png"
VIEW = "application/vnd.jupyter.widget-view+json"
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "text/latex"]
SHOWN += [PNG, "image/jpeg", "text/plain"]
HERE = Path(__file__).parent
BOOK = "book"  # tags what a report has no use for
QUIET = "quiet"  # tags what a report runs and does not show
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


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
    resources = {
        "title": heading or ", ".join(filter(None, [about.title, about.dataset])),
        "heading": heading,
        "made": about.made if heading is None else about.when,
        "policy": POLICY,
        "style": STYLE + HtmlFormatter().get_style_defs(".highlight"),
    }
    html, _ = exporter.from_notebook_node(shown, resources=resources)
    return _offline(html)


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
        ran = notebook.metadata.get("papermill", {})
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        heading = re.search(r"^# +(.+)$", "\n".join(sources), re.M)
        path, given = Path(ran.get("input_path") or "notebook"), dict(ran.get("parameters", {}))
        outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
        return cls(
            title=re.sub(r"[`*$]", "", heading[1]) if heading else path.stem,
            notebook=path.name,
            dataset=(_defaults(notebook) | given).get("dataset"),
            parameters=given,
            date=str(ran.get("start_time", ""))[:10],
            seconds=ran.get("duration") or 0.0,
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
    except (SyntaxError, ValueError):
        return source


def _picture(output: NotebookNode) -> str | None:
    data = output.get("data", {})
    if PNG in data:
        return f"data:{PNG};base64,{data[PNG]}".replace("\n", "")
    found = re.search(r'<img[^>]* src="(data:image/png;base64,[^"]+)"', data.get("text/html", ""))
    return found[1] if found else None


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
    """nbconvert's HTML with formulas as MathML, which browsers draw by themselves."""

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)
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


def _offline(html: str) -> str:
    """The page without what it would have to fetch. A remote picture becomes its alt text."""
    soup = BeautifulSoup(html, "html.parser")
    for element in soup.select("link, base, iframe, object, embed, script[src]"):
        element.decompose()
    for image in soup.select("img, source"):
        image.attrs.pop("srcset", None)
        if not str(image.get("src", "")).startswith("data:"):
            image.replace_with(str(image.get("alt", "")))
    return str(soup)
