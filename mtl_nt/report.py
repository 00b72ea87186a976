"""A notebook run without a reader, and one HTML page of it that needs nothing else."""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines

from .files import check_output, content, opened, temporary, write
from .kernels import ThisPython
from .markup import GENERATOR, document
from .outputs import kept
from .page import BOOK, About, html_of, tags
from .parameters import plain
from .tasks import BadInput, lacks_memory, nearest, visible

STATE = "application/vnd.jupyter.widget-state+json"
PYTHON = {"name": "python3", "language": "python", "display_name": "Python 3"}
MARK = f'<meta name="generator" content="{GENERATOR.partition(" ")[0]} '.encode()
"""What a page of this package has near its beginning, of whichever version it is."""


class NotebookFailed(RuntimeError):
    """A notebook that did not run to its end. The message is one line: which, where, what."""


def run(
    notebook: str | Path,
    out: str | Path,
    kernels: type[ThisPython] = ThisPython,
    failed: str | Path | None = None,
    /,
    **parameters: Any,
) -> NotebookNode:
    """Run a notebook with other parameters, by this very Python, and write the executed one.

    Errors that papermill alone lets pass are found, too: misspelt parameters, and errors inside a
    widget's output or in a thread. Nothing is written then, except that a notebook which fails
    for another reason than bad input is kept as `failed`, by default `<name>.failed.ipynb` beside
    `out`.

    Args:
        parameters: see `parameters.plain`.

    Raises:
        BadInput: no such notebook or parameter; `out` cannot be written, or is a file that this
            package has not made; a cell that raised it.
        NotebookFailed: any other error.
    """
    source, out = Path(notebook), Path(out)
    plan = _read(source)
    plan.metadata["kernelspec"] = PYTHON
    parameters = {name: plain(name, value) for name, value in parameters.items()}
    failed = Path(failed or out.with_name(f"{out.stem}.failed.ipynb"))
    for path in (out, failed):
        writable(path, source)  # now, not after minutes of training
    with temporary() as folder:
        asked, done = folder / "asked.ipynb", folder / "done.ipynb"
        nbformat.write(plan, asked)
        known = papermill.inspect_notebook(asked)
        for name in parameters:
            if name not in known:
                hint = nearest(name, known) if known else "it has none"
                raise BadInput(f"{source.name}: unknown parameter {name!r}; {hint}")
        bar = {"desc": visible(out.stem), "leave": False} if sys.stderr.isatty() else False
        try:
            executed = papermill.execute_notebook(
                asked,
                done,
                parameters,
                kernel_name=PYTHON["name"],
                language=PYTHON["language"],
                progress_bar=bar,
                kernel_manager_class=kernels,
                engine_name=_Engine.__name__,
                request_save_on_cell_execute=False,
                left=done,
            )
            error = _hidden_error(executed)
        except papermill.PapermillExecutionError as raised:
            if raised.ename == BadInput.__name__:
                raise BadInput(raised.evalue) from None
            error = f"cell {raised.exec_count}: {_line(raised.ename, raised.evalue)}"
        except DeadKernelError:
            error = "the kernel died; was there enough memory?"
        except RuntimeError as raised:  # nbclient's, of a kernel that does not start
            error = f"the kernel did not start: {_line(type(raised).__name__, str(raised))}"
        if error:
            kept = _keep_failed(done, failed) if done.exists() else None
            raise NotebookFailed(f"{source.name}: {error}" + (f" (see {kept})" if kept else ""))
    executed.metadata.papermill.update(input_path=str(source), output_path=str(out))
    _write(out, _marked(executed))
    if _our_notebook(failed):
        failed.unlink()
    return executed


def fast(notebook: str | Path) -> dict[str, Any]:
    """Parameters with which a notebook runs in seconds, to see that it runs: few steps, few runs.
    It says them in its metadata, under `mtl_nt`.

    Raises:
        BadInput: no notebook, or one that says none.
    """
    found: dict[str, Any] | None = _read(Path(notebook)).metadata.get("mtl_nt", {}).get("fast")
    if found is None:
        raise BadInput(f"{notebook} has no fast parameters in its metadata")
    return dict(found)


def results_only(notebook: str | Path, out: str | Path) -> Path:
    """A notebook without the cells tagged "book": what it finds, and not what it teaches."""
    plan = _read(Path(notebook))
    plan.cells = [cell for cell in plan.cells if BOOK not in tags(cell)]
    return _write(writable(out, notebook), _marked(plan))


def keep_outputs(notebook: str | Path, executed: NotebookNode) -> Path:
    """Write what a run has put out into the notebook itself: pictures instead of widgets."""
    path = Path(notebook)
    return _write(path, nbformat.writes(kept(_read(path), executed)) + "\n")


class _Engine(NBClientEngine):
    """Writes a notebook whose kernel dies to `left`, and no other before its end: papermill's own
    writes all of it before and after every cell, a sixth of the time that a notebook takes.
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


papermill_engines.register(_Engine.__name__, _Engine)


def _hidden_error(notebook: NotebookNode) -> str | None:
    """The first error that did not end its cell: inside a widget's output, or in a thread."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = output.text if output.get("name") == "stderr" else ""
            if "Traceback (most recent call last)" in text:
                line = text.strip().splitlines()[-1]
                return f"cell {cell.execution_count}: an error in the background: {line}"
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    for model in state.values():
        for output in model["state"].get("outputs", ()) if "Output" in model["model_name"] else ():
            if output["output_type"] == "error":
                return f"an error in a widget: {_line(output['ename'], output['evalue'])}"
    return None


def _line(name: str, text: str) -> str:
    if lacks_memory(name, text):
        return f"there was not enough memory ({name})"
    return " ".join(f"{name}: {text}".split())


def _keep_failed(done: Path, failed: Path) -> Path:
    return _write(failed, _marked(_read(done)))


def _marked(notebook: NotebookNode) -> str:
    """The notebook as text that says who wrote it: the next run may replace it."""
    notebook.metadata["generator"] = GENERATOR
    return nbformat.writes(notebook)


def _our_notebook(path: Path) -> bool:
    try:
        made = json.loads(content(path))["metadata"]["generator"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return isinstance(made, str) and made.split()[:1] == GENERATOR.split()[:1]


def _our_page(path: Path) -> bool:
    with opened(path) as file:
        return MARK in file.read(4096)


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.reads(content(path).decode(), as_version=4)
    except OSError as error:
        raise BadInput(f"cannot read the notebook {path}: {error.strerror}") from None
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, ValueError, RecursionError):
        raise BadInput(f"{path} is not a notebook; give an .ipynb file") from None


def page(executed: str | Path, out: str | Path, heading: str | None = None) -> Path:
    """Turn an executed notebook into ONE HTML page that asks the network for nothing.

    Explorers become range inputs, formulas become MathML, progress bars go. Raises BadInput where
    the notebook cannot be read or the page cannot be written.

    Args:
        heading: of a page of results alone, without code and without what is tagged "quiet".
    """
    path = Path(executed)
    return _write(writable(out, path), html_of(_read(path), heading))


def writable(path: str | Path, *inputs: str | Path) -> Path:
    """The path, if a notebook (`.ipynb`) or else a page can be written there, and nothing is lost
    by it: better now than after the training. Its folder is made.

    Args:
        inputs: what is read, and so never written to.

    Raises:
        BadInput: it cannot, or what is there is not of this package.
    """
    path = Path(path)
    try:
        check_output(path, _our_notebook if path.suffix == ".ipynb" else _our_page, *inputs)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; give another name") from None
    return _write(path, None)


def index(folder: str | Path) -> Path:
    """Write `folder/index.html`: all pages in the folder that have their notebook beside them."""
    folder = Path(folder)
    out = writable(folder / "index.html")
    entries = [
        _entry(path, About.of(_read(path)))
        for path in sorted(folder.glob("*.ipynb"))
        if path.with_suffix(".html").exists()
    ]
    body = "\n".join(entries) or "<p>No report yet.</p>"
    return _write(out, document(INDEX, f"<h1>{INDEX}</h1>\n{body}"))


INDEX = "Reports on negative transfer"
ENTRY = """\
<section class="report">
{picture}
<div>
<h2><a href="{link}">{title}</a></h2>
<p class="made">{made}</p>
</div>
</section>"""


def _entry(path: Path, about: About) -> str:
    link = quote(path.with_suffix(".html").name, errors="surrogateescape")
    picture = f'<a href="{link}" tabindex="-1"><img src="{about.picture}" alt=""></a>'
    return ENTRY.format(
        picture=picture if about.picture else "",
        link=link,
        title=escape(about.title),
        made=escape(about.made),
    )


def _write(path: Path, text: str | None) -> Path:
    """Write all of it or nothing. None only tries."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            with temporary(path.parent) as folder:
                (folder / path.name).touch()
        else:
            write(path, text.encode("utf-8", "backslashreplace"))  # half a pair, as JSON has it
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; choose another folder") from None
    return path
