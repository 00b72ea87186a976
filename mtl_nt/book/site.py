"""The book as a site: chapters, reference, gallery and benchmarks, built by Sphinx.

Contents, search, the links between pages and the dark theme are the theme's. This module only puts
the sources together: what lies in `docs/site`, the texts of the repository, and the notebooks with
their outputs. Sphinx and its theme are the extra `[book]`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

from ..errors import BadInput
from ..files import open_regular, temporary_folder
from ..terminal import warn
from .about import PNG, ReportDetails
from .page import cell_tags, png_html, visible_output
from .report import index_card, read_notebook

SOURCES = Path("docs/site")
NOTEBOOKS = Path("notebooks")
EXAMPLE = Path("extra/audit.html")
NEEDED = ("sphinx", "myst_nb", "sphinx_book_theme")
HOW = "the site needs Sphinx and its theme: pip install -e '.[book]'"
TEXTS = ("README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md")
INVENTORY, MADE_BY = "objects.inv", b"# Project: mtl_nt\n"
HIDDEN_TAG = "hide-input"  # tags cells whose code the theme folds away
ELSEWHERE = re.compile(r"(?<!!)\[([^]]+)\]\((?!https?:|#|[\w./-]+\.(?:md|ipynb)\b)[^)]*\)")
ASKED = re.compile(r"Run this cell for the (slider|menu)\.(?=</small>$)")  # of a kept picture
PICTURE = re.compile(r"!\[([^]]+)\]\(([\w./-]+\.png)\)")


def missing() -> str | None:
    """What it takes to build the site here, or None if it can be built."""
    if not (SOURCES / "conf.py").is_file() or not _chapters():
        return f"{SOURCES}/conf.py or {NOTEBOOKS}/ is missing; run this in the repository's root"
    return None if all(map(find_spec, NEEDED)) else HOW


def build_site(
    out: str | Path, ran: Mapping[str, Path] | None = None, example: str | None = None
) -> Path:
    """Build the site from the repository in the present folder, and return its first page.

    Args:
        out: the folder of the site. A site that is there is replaced.
        ran: for chapters that were run, by the name of their notebook, the executed notebook. The
            others show what the repository keeps of them: explorers are pictures without a slider.
        example: the page of an audit, as HTML, which the site shows as an example.

    Raises:
        BadInput: Sphinx is missing, this is not the repository's root, `out` holds something else
            than a site of this package, or Sphinx has failed.
    """
    out = Path(out)
    if why := missing():
        raise BadInput(why)
    check_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out.parent) as folder:
        _gather({**_chapters(), **(ran or {})}, folder / "sources")
        if example is not None:
            (folder / "sources" / EXAMPLE).write_text(example, encoding="utf-8")
        made = folder / "site"
        _run_sphinx(folder / "sources", made, folder / "trees")
        if out.exists():
            out.rename(folder / "old")
        made.rename(out)
    return out / "index.html"


def runs_of_the_book(folder: str | Path) -> dict[str, Path]:
    """Executed notebooks in a folder that are runs of the present chapters, by their names.

    A run is one of the present chapter if it has the same code and no other parameters.
    """
    found = {}
    for name, path in _chapters().items():
        executed = Path(folder) / path.name
        if executed.is_file():
            ran = read_notebook(executed)
            given = ReportDetails.from_notebook(ran).parameters
            if not given and _code(ran) == _code(read_notebook(path)):
                found[name] = executed
    return found


def check_folder(out: Path) -> None:
    """Check that `out` is no folder yet, an empty one, or a site of this package.

    Raises:
        BadInput: it is something else, or cannot be read.
    """
    if not out.exists() and not out.is_symlink():
        return
    try:
        if out.is_symlink() or any(out.iterdir()) and MADE_BY not in _first_lines(out / INVENTORY):
            raise BadInput(f"{out} is not a site of mtl_nt; give another folder")
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}; give another folder") from None


def _chapters() -> dict[str, Path]:
    return {path.stem: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}


def _code(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def _first_lines(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(200)


# ---------------------------------------------------------------- sources


def _gather(chapters: Mapping[str, Path], folder: Path) -> None:
    """Put all that Sphinx reads into one folder, laid out as the repository is.

    So the links between its files hold.
    """
    shutil.copytree(SOURCES, folder)
    (folder / NOTEBOOKS).mkdir()
    (folder / EXAMPLE).parent.mkdir()
    cards = []
    for name, path in chapters.items():
        notebook = read_notebook(path)
        about = ReportDetails.from_notebook(notebook)
        nbformat.write(site_notebook(notebook), folder / NOTEBOOKS / f"{name}.ipynb")
        made = about.made if about.date else ""
        cards.append(index_card(about, f"{NOTEBOOKS}/{name}.html", made))
    for path in [*map(Path, TEXTS), *Path("docs").glob("*.md")]:
        if path.is_file():
            _copy_text(path, folder / path)
    readme = Path("README.md").read_text(encoding="utf-8")
    shown = [f"![{words}]({picture})\n\n{words}." for words, picture in PICTURE.findall(readme)]
    _fill(folder / "gallery.md", pictures="\n\n".join(shown))
    _fill(folder / "index.md", chapters="\n".join(cards))


def _copy_text(path: Path, target: Path) -> None:
    """Copy a text with its pictures. A link to what the site does not have becomes plain text."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    for _, picture in PICTURE.findall(text):
        if (path.parent / picture).is_file():
            copy = target.parent / picture
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path.parent / picture, copy)
    target.write_text(ELSEWHERE.sub(r"\1", text), encoding="utf-8")


def _fill(path: Path, **parts: str) -> None:
    text = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    path.write_text(text, encoding="utf-8")


def site_notebook(notebook: NotebookNode) -> NotebookNode:
    """The notebook as the theme shows it best.

    Outputs that show nothing without a kernel are left out, and code that the notebook hides is
    folded away. Pictures have their words.
    """
    shown = NotebookNode(notebook)
    shown.cells = [_site_cell(cell) for cell in notebook.cells]
    return shown


def _site_cell(cell: NotebookNode) -> NotebookNode:
    if cell.cell_type != "code":
        return cell
    cell = NotebookNode(cell)
    cell.outputs = [_for_readers(o) for o in map(visible_output, cell.outputs) if o is not None]
    if cell.metadata.get("jupyter", {}).get("source_hidden"):
        tags = [*cell_tags(cell), HIDDEN_TAG]
        cell.metadata = NotebookNode({**cell.metadata, "tags": tags})
    return cell


def _for_readers(output: NotebookNode) -> NotebookNode:
    """An output for those who run nothing. A PNG has its alternative text, as HTML."""
    data = dict(output.get("data", {}))
    if PNG in data and "text/html" not in data:
        data["text/html"] = png_html(output)
        del data[PNG]
    if "text/html" not in data:
        return output
    data["text/html"] = ASKED.sub(r"It has a \1 where the chapter is run.", data["text/html"])
    return new_output("display_data", data=data)


# ---------------------------------------------------------------- Sphinx


def _run_sphinx(sources: Path, out: Path, trees: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-j", "auto", "-d", str(trees)]
    done = subprocess.run([*command, str(sources), str(out)], capture_output=True, text=True)
    for line in done.stderr.splitlines():
        if line.strip():
            warn(line.replace(f"{sources}{os.sep}", ""))
    if done.returncode:
        raise BadInput("Sphinx could not build the site; its last lines say why")
