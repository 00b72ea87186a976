"""Run notebooks, and write the HTML pages of executed ones."""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import papermill
from bs4 import BeautifulSoup
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines

from ..errors import BadInput, is_out_of_memory, printable, suggestion
from ..files import (
    LARGE_FILE,
    check_output,
    open_regular,
    read_bytes,
    temporary_folder,
    write_atomically,
)
from .about import ReportDetails
from .claims import DOES_NOT_HOLD
from .kernels import ThisPythonKernel
from .links import INDEX, Neighbour, filled
from .markup import GENERATOR, html_document
from .outputs import KERNEL_SPEC, with_outputs
from .page import markdown_html, notebook_html
from .parameters import plain_value

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
GENERATOR_TAG = f'<meta name="generator" content="{GENERATOR.partition(" ")[0]} '.encode()
"""What every page of this package has near its beginning, whatever the version."""


class NotebookFailed(RuntimeError):
    """A notebook did not run to its end. The message is one line: notebook, cell and error."""


def run_notebook(
    notebook: str | Path,
    out: str | Path,
    kernels: type[ThisPythonKernel] = ThisPythonKernel,
    failed: str | Path | None = None,
    /,
    **parameters: Any,
) -> NotebookNode:
    """Run a notebook with this Python, and write the executed notebook.

    Errors that papermill does not report are found, too: misspelt parameters, and errors inside a
    widget's output or in a thread. After an error `out` is not written.

    Args:
        notebook: the path of the notebook to run.
        out: where the executed notebook is written.
        kernels: the kind of kernel that runs it.
        failed: where a notebook is kept that fails for another reason than bad input; by default
            `<name>.failed.ipynb` beside `out`.
        parameters: values of the notebook's parameters, as `parameters.plain_value` takes them.

    Returns:
        The executed notebook.

    Raises:
        BadInput: no such notebook or parameter; `out` cannot be written, or is a file that this
            package has not made; a cell that raised `BadInput` itself.
        NotebookFailed: any other error.
    """
    source, out = Path(notebook), Path(out)
    plan = read_notebook(source)
    plan.metadata["kernelspec"] = KERNEL_SPEC
    parameters = {name: plain_value(name, value) for name, value in parameters.items()}
    failed = Path(failed or out.with_name(f"{out.stem}.failed.ipynb"))
    for path in (out, failed):
        check_writable(path, source)  # now, not after minutes of training
    with temporary_folder() as folder:
        asked, done = folder / "asked.ipynb", folder / "done.ipynb"
        nbformat.write(plan, asked)
        known = papermill.inspect_notebook(asked)
        for name in parameters:
            if name not in known:
                hint = suggestion(name, known) if known else "it has none"
                raise BadInput(f"{source.name}: unknown parameter {name!r}; {hint}")
        bar = {"desc": printable(out.stem), "leave": False} if sys.stderr.isatty() else False
        try:
            executed = papermill.execute_notebook(
                asked,
                done,
                parameters,
                kernel_name=KERNEL_SPEC["name"],
                language=KERNEL_SPEC["language"],
                progress_bar=bar,
                kernel_manager_class=kernels,
                engine_name=_QuickEngine.__name__,
                request_save_on_cell_execute=False,
                coalesce_streams=True,  # one output of a cell that prints several lines
                left=done,
            )
            error = _hidden_error(executed)
        except papermill.PapermillExecutionError as raised:
            if raised.ename == BadInput.__name__:
                raise BadInput(raised.evalue) from None
            error = f"cell {raised.exec_count}: {_error_line(raised.ename, raised.evalue)}"
        except DeadKernelError:
            error = "the kernel died; was there enough memory?"
        except RuntimeError as raised:  # nbclient's, of a kernel that does not start
            error = f"the kernel did not start: {_error_line(type(raised).__name__, str(raised))}"
        if error:
            kept = _keep_failed(done, failed) if done.exists() else None
            raise NotebookFailed(f"{source.name}: {error}" + (f" (see {kept})" if kept else ""))
    executed.metadata.papermill.update(input_path=str(source), output_path=str(out))
    _write(out, _with_generator(executed))
    if _is_own_notebook(failed):
        failed.unlink()
    return executed


def fast_parameters(notebook: str | Path) -> dict[str, Any]:
    """Parameters with which a notebook runs in seconds, with few steps and few runs.

    A notebook has them in its metadata, under `mtl_nt`.

    Raises:
        BadInput: no notebook, or a notebook without such parameters.
    """
    found: dict[str, Any] | None = (
        read_notebook(Path(notebook)).metadata.get("mtl_nt", {}).get("fast")
    )
    if found is None:
        raise BadInput(f"{notebook} has no fast parameters in its metadata")
    return dict(found)


def keep_outputs(notebook: str | Path, executed: NotebookNode) -> Path:
    """Write the outputs of a run into the notebook itself, with pictures instead of widgets.

    Raises:
        BadInput: a sentence of its text does not hold (see `claims`).
    """
    path = Path(notebook)
    if denied := denied_claims(executed):
        raise BadInput(f"{path}: its outputs are not kept; mend its text: {denied[0]}")
    return _write(path, nbformat.writes(with_outputs(read_notebook(path), executed)) + "\n")


def denied_claims(notebook: NotebookNode) -> list[str]:
    """The sentences of a notebook that the numbers of its run do not bear out.

    >>> from nbformat.v4 import new_notebook
    >>> denied_claims(new_notebook())
    []
    """
    printed = (o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    lines = (line for text in printed for line in text.splitlines())
    return [line for line in lines if line.startswith(DOES_NOT_HOLD)]


class _QuickEngine(NBClientEngine):
    """Papermill's engine, which writes the notebook only once, at its end.

    Papermill itself writes it before and after every cell, which takes a sixth of the time. A
    notebook whose kernel dies is written to `left`.
    """

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, left: Path, **options: Any
    ) -> None:
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **options)
        except DeadKernelError:
            nbformat.write(nb_man.nb, left)
            raise


papermill_engines.register(_QuickEngine.__name__, _QuickEngine)


def _hidden_error(notebook: NotebookNode) -> str | None:
    """The first error that did not end its cell, because it was in a widget or in a thread."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = output.text if output.get("name") == "stderr" else ""
            if "Traceback (most recent call last)" in text:
                line = text.strip().splitlines()[-1]
                return f"cell {cell.execution_count}: an error in the background: {line}"
    state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for model in state.values():
        for output in model["state"].get("outputs", ()) if "Output" in model["model_name"] else ():
            if output["output_type"] == "error":
                return f"an error in a widget: {_error_line(output['ename'], output['evalue'])}"
    return None


def _error_line(name: str, text: str) -> str:
    if is_out_of_memory(name, text):
        return f"there was not enough memory ({name})"
    return " ".join(f"{name}: {text}".split())


def _keep_failed(done: Path, failed: Path) -> Path:
    return _write(failed, _with_generator(read_notebook(done)))


def _with_generator(notebook: NotebookNode) -> str:
    """The notebook as text that says who wrote it, so that the next run may replace it."""
    notebook.metadata["generator"] = GENERATOR
    return nbformat.writes(notebook)


def _is_own_notebook(path: Path) -> bool:
    try:
        made = json.loads(read_bytes(path))["metadata"]["generator"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(made, str) and made.split()[:1] == GENERATOR.split()[:1]


def _is_own_page(path: Path) -> bool:
    with open_regular(path) as file:
        return GENERATOR_TAG in file.read(4096)


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises:
        BadInput: there is no notebook at this path.
    """
    try:
        return nbformat.reads(read_bytes(path).decode(), as_version=4)
    except OSError as error:
        raise BadInput(f"cannot read the notebook {path}: {error.strerror}") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, ValueError, RecursionError):
        raise BadInput(f"{path} is not a notebook; give an .ipynb file") from None


def write_page(executed: str | Path, out: str | Path) -> Path:
    """Turn an executed notebook into one HTML page that loads nothing from the network.

    Explorers become range inputs, formulas become MathML, and progress bars are left out.

    Args:
        executed: the path of the executed notebook.
        out: the path of the page.

    Raises:
        BadInput: the notebook cannot be read, or the page cannot be written.
    """
    path = Path(executed)
    return _write(check_writable(out, path), notebook_html(read_notebook(path)))


def check_writable(path: str | Path, *inputs: str | Path) -> Path:
    """Check that a notebook (`.ipynb`) or a page can be written to a path, and return the path.

    The check comes before the training, so that no training is lost. It makes the folder.

    Args:
        path: where the notebook or page will be written.
        inputs: files that are read, and so must not be written.

    Raises:
        BadInput: the path cannot be written, or holds a file that this package has not made.
    """
    path = Path(path)
    try:
        check_output(path, _is_own_notebook if path.suffix == ".ipynb" else _is_own_page, *inputs)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; give another name") from None
    return _write(path, None)


def write_index(folder: str | Path) -> Path:
    """Write `folder/index.html`, a list of all pages in the folder whose notebook is beside them.

    These pages are linked with each other: the one before, the next, and those that their text
    names.

    Raises:
        BadInput: a file cannot be written.
    """
    folder = Path(folder)
    out = check_writable(folder / INDEX)
    reports = {
        path.with_suffix(".html"): ReportDetails.from_notebook(read_notebook(path))
        for path in sorted(folder.glob("*.ipynb"))
        if path.with_suffix(".html").exists()
    }
    pages = [
        Neighbour(page.name, about.title, (f"{page.stem}.ipynb", about.notebook))
        for page, about in reports.items()
    ]
    for page in filter(_is_own_page, reports):
        before = read_bytes(page, LARGE_FILE).decode()
        after = filled(before, page.name, pages)
        if after != before:
            _write(page, after)
    cards = [
        index_card(about, quote(page.name, errors="surrogateescape"), about.made)
        for page, about in reports.items()
    ]
    body = "\n".join(cards) or "<p>No report yet.</p>"
    return _write(out, html_document(INDEX_TITLE, f"<h1>{INDEX_TITLE}</h1>\n{body}"))


INDEX_TITLE = "Reports on negative transfer"
CARD = """\
<section class="report">
{picture}
<div>
<h2><a href="{link}">{title}</a></h2>
{words}
<p class="made">{made}</p>
</div>
</section>"""


def index_card(about: ReportDetails, link: str, made: str) -> str:
    """A page's title, its first words and its first picture, as HTML that leads to it.

    Args:
        link: the address of the page.
        made: how the page was made, in words.
    """
    words = BeautifulSoup(markdown_html(about.words, escape=True), "html.parser")
    for element in words("a"):
        element.unwrap()
    picture = f'<a href="{link}" tabindex="-1"><img src="{about.picture}" alt=""></a>'
    return CARD.format(
        picture=picture if about.picture else "",
        link=link,
        title=escape(about.title),
        words=words,
        made=escape(made),
    )


def _write(path: Path, text: str | None) -> Path:
    """Write the whole text or nothing. With None it only tries whether that is possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            with temporary_folder(path.parent) as folder:
                (folder / path.name).touch()
        else:
            write_atomically(
                path, text.encode("utf-8", "backslashreplace")
            )  # half a pair, as JSON has it
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; choose another folder") from None
    return path
