"""`python -m mtl_nt report my_tasks.csv --out report.html`: an audit as one page to be mailed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .files import temporary
from .tasks import BadInput
from .terminal import say, warn

NOTEBOOK = "09_audit_your_tasks.ipynb"
READING = ("targets", "features", "smiles", "group", "split", "ignore", "regression", "folds")
"""Options that say how a table is read."""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add the command `report`."""
    report = commands.add_parser(
        "report", help="which of your tasks training together harms, and what helps: one page"
    )
    report.add_argument("source", help="a table (.csv, .tsv, .parquet) or a data set's name")
    report.add_argument("--out", type=Path, help="the page (default: SOURCE.html, here)")
    report.add_argument("--targets", help='columns to predict: "y_*", or names with commas')
    report.add_argument("--features", help="columns to predict from (default: all others)")
    report.add_argument("--smiles", help="a column of molecules, in place of features")
    report.add_argument("--group", help="a column: rows of one group are never split")
    report.add_argument("--split", help="a column that says train, validation or test")
    report.add_argument("--ignore", help="columns to leave out")
    report.add_argument("--regression", help="targets of 0 and 1 that are numbers, not classes")
    report.add_argument("--folds", type=_whole, help="of the rows (default: 5)")
    report.add_argument("--methods", help="names with semicolons or commas (default: most)")
    report.add_argument("--alphas", help="numbers with commas (default: 0,0.1,0.25,0.5,1)")
    report.add_argument("--seeds", help="how many runs, or which: 100,101 (default: 5)")
    report.add_argument("--steps", type=_whole, help="optimiser steps a network")
    report.add_argument("--budget", help="of time: 90s, 5min, 2h; what does not fit is left out")
    report.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    report.add_argument("--results", type=Path, help="keep what is finished here, and go on")
    report.add_argument("--json", action="store_true", help="print the findings as JSON")
    report.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Audit, draw the notebook, write the page."""
    from . import report
    from .audit import audit, command
    from .datasets.opening import digest
    from .datasets.table import is_table
    from .findings import findings, sentences

    source = str(options.source)
    table = is_table(source)
    stem = Path(source).name.partition(".")[0] if table else source
    out = _page(options.out or Path(f"{stem}.html"), source, options.results)
    reading = {name: getattr(options, name) for name in READING}
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
        reading["sha256"] = digest(source)
    whole = _notebook()

    with temporary() as folder:
        kept = options.results or folder / "results"
        found = audit(
            source, folder=kept, progress=sys.stderr.isatty(), say=warn, **asked, **reading
        )
        notebook = report.results_only(whole, folder / NOTEBOOK)
        executed = folder / "executed.ipynb"
        given = {**asked, "dataset": source, "options": reading, "results": str(kept)}
        given = {"methods": None, "alphas": None, "seeds": 5, **given}
        report.run(notebook, executed, report.ThisPython, _failed(out), **given)
        if out.exists():
            warn(f"replaces {out}")
        report.page(executed, out, heading=f"Audit of {found.name}")
    if options.json:
        text = json.dumps({**findings(found), "command": command(found)}, allow_nan=False)
        say(text.replace("\x7f", "\\u007f"))  # which JSON may leave as it is
    else:
        say(*sentences(found), f"Open {out} in a browser.")


def _page(out: Path, source: str, results: Path | None) -> Path:
    """Where the page will be: nowhere that something else is, or will be."""
    from . import report

    if results is not None:
        page, kept = out.resolve(), results.resolve()
        if page == kept or (page.parent == kept and page.suffix == ".json"):
            raise BadInput(f"--out {out} is one of --results {results}; give the page another name")
    report.writable(_failed(out), source)
    return report.writable(out, source)


def _failed(out: Path) -> Path:
    """Where a notebook that fails is kept."""
    return out.with_name(f"{out.stem}.failed.ipynb")


def _notebook() -> Path:
    """The report's notebook: inside an installed package, or in the repository."""
    here = Path(__file__).resolve().parent
    for folder in (here / "notebooks", here.parent / "notebooks"):
        if (folder / NOTEBOOK).is_file():
            return folder / NOTEBOOK
    raise BadInput(f"{NOTEBOOK} is missing; install mtl_nt again")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


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
