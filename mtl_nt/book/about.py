"""What a notebook that has run says of itself: title, first words, first picture, parameters."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill.translators
from nbformat import NotebookNode

from ..errors import is_finite_number

PNG = "image/png"
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
SOURCE = rf'src="(data:image/(?:png|svg\+xml);base64,{BASE64.pattern})"'
PICTURE = re.compile(rf"<img[^>]* {SOURCE}")
NARROW = re.compile(rf'<img class="nt-narrow" {SOURCE}')  # a figure's form for phones
TITLE = re.compile(r"^# +(?P<title>.+)\n*(?P<words>(?:(?!#|[-*|>] ).+\n?)+)?", re.M)


@dataclass(frozen=True)
class ReportDetails:
    """What a page says of its report: its title, how it was made, and its first picture.

    Attributes:
        title: the first heading of the notebook.
        words: the paragraph below that heading, as Markdown, or "".
        notebook: the file's name.
        dataset: the data set, if the notebook has a parameter of that name.
        parameters: the parameters that were given; the others have their defaults.
        date: the day of the run, such as "2026-01-31", or "".
        seconds: how long the run took.
        picture: the first picture as a data URL, if there is one.
    """

    title: str
    words: str
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
        heading = TITLE.search("\n\n".join(sources))
        path = Path(str(ran.get("input_path") or "notebook"))
        given, seconds = _as_dictionary(ran.get("parameters")), ran.get("duration", 0.0)
        dataset = (_defaults(notebook) | given).get("dataset")
        outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
        return cls(
            title=re.sub(r"[`*$]", "", heading["title"]) if heading else path.stem,
            words=(heading["words"] or "").strip() if heading else "",
            notebook=path.name,
            dataset=None if dataset is None else str(dataset),
            parameters=given,
            date=str(ran.get("start_time", ""))[:10],
            seconds=float(seconds) if is_finite_number(seconds) else 0.0,
            picture=next(filter(None, map(_picture_url, outputs)), None),
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


def _picture_url(output: NotebookNode) -> str | None:
    """The address of a picture in an output, if there is one, in its smaller form."""
    data = output.get("data", {})
    html = str(data.get("text/html", ""))
    if found := NARROW.search(html) or PICTURE.search(html):
        return found[1]
    png = data.get(PNG)
    plain = png.replace("\n", "") if isinstance(png, str) else ""
    return f"data:{PNG};base64,{plain}" if BASE64.fullmatch(plain) else None
