"""What `python -m mtl_nt report my_tasks.csv` does: an audit, as one page that can be mailed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..files import temporary_folder
from ..tasks import BadInput
from ..terminal import say, warn

NOTEBOOK = "10_audit_your_tasks.ipynb"
READ_OPTIONS = ("targets", "features", "smiles", "group", "split", "ignore", "regression", "folds")
"""The options that say how a table is read."""


def write_report(options: argparse.Namespace) -> None:
    """Audit a table or a data set, run the notebook that draws it, and write the page of it.

    Args:
        options: the parsed command line; `commands` says which options there are.

    Raises:
        BadInput: an option, a table or an output that cannot be used.
        NotebookFailed: the notebook did not run to its end.
    """
    from ..book import report
    from ..datasets import is_table, table_digest
    from .audit import audit
    from .findings import findings, sentences
    from .result import repeat_command

    source = str(options.source)
    table = is_table(source)
    stem = Path(source).name.partition(".")[0] if table else source
    out = _check_page(options.out or Path(f"{stem}.html"), source, options.results)
    reading = {name: getattr(options, name) for name in READ_OPTIONS}
    reading = {name: value for name, value in reading.items() if value is not None}
    if reading and not table:
        raise BadInput(
            f"--{next(iter(reading))} is for a table of your own; {source!r} is a data set's name"
        )
    asked: dict[str, Any] = {"device": options.device}
    for name, value in (
        ("methods", options.methods),
        ("alphas", None if options.alphas is None else _numbers(options.alphas, "--alphas")),
        ("seeds", None if options.seeds is None else _seeds(options.seeds)),
        ("steps", options.steps),
        ("budget", options.budget),
    ):
        if value is not None:
            asked[name] = value
    if table:  # the page is of these bytes, whatever becomes of the file meanwhile
        reading["sha256"] = table_digest(source)
    whole = _find_notebook()

    with temporary_folder() as folder:
        kept = options.results or folder / "results"
        found = audit(
            source, folder=kept, progress=sys.stderr.isatty(), say=warn, **asked, **reading
        )
        notebook = report.results_only(whole, folder / NOTEBOOK)
        executed = folder / "executed.ipynb"
        given = {**asked, "dataset": source, "options": reading, "results": str(kept)}
        given = {"methods": None, "alphas": None, "seeds": 5, **given}
        report.run_notebook(
            notebook, executed, report.ThisPythonKernel, _failed_notebook(out), **given
        )
        if out.exists():
            warn(f"replaces {out}")
        report.write_page(executed, out, heading=f"Audit of {found.name}")
    if options.json:
        text = json.dumps({**findings(found), "command": repeat_command(found)}, allow_nan=False)
        say(text.replace("\x7f", "\\u007f"))  # which JSON may leave as it is
    else:
        say(*sentences(found), f"Open {out} in a browser.")


def _check_page(out: Path, source: str, results: Path | None) -> Path:
    """The path of the page, if nothing else is there or will be written there."""
    from ..book import report

    if results is not None:
        page, kept = out.resolve(), results.resolve()
        if page == kept or (page.parent == kept and page.suffix == ".json"):
            raise BadInput(f"--out {out} is one of --results {results}; give the page another name")
    report.check_writable(_failed_notebook(out), source)
    return report.check_writable(out, source)


def _failed_notebook(out: Path) -> Path:
    """The path at which a notebook that fails is kept."""
    return out.with_name(f"{out.stem}.failed.ipynb")


def _find_notebook() -> Path:
    """The notebook of the report, which is in the installed package or in the repository."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "notebooks", here.parent / "notebooks"):
        if (folder / NOTEBOOK).is_file():
            return folder / NOTEBOOK
    raise BadInput(f"{NOTEBOOK} is missing; install mtl_nt again")


def _numbers(text: str, what: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise BadInput(
            f"{what} {text!r}: give numbers with commas between, such as 0,0.5"
        ) from None


def _seeds(text: str) -> int | list[int]:
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise BadInput(f"--seeds {text!r}: give how many runs, or which: 100,101") from None
    return numbers[0] if len(numbers) == 1 and "," not in text else numbers
