"""What `python -m mtl_nt fit` and `predict` do: a plan, trained on all rows, that predicts."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from ..datasets import Unanswered, is_table, load
from ..datasets.table_files import stem
from ..errors import BadInput
from ..files import check_output, read_bytes, write_atomically
from ..study import check_fitted, fit_plan, load_plan, read_plan, safe_csv
from ..terminal import say, warn
from .command import reading_options
from .source import note_lines

DIGITS = 10  # of a prediction, whose target may be far from zero
LONGEST_HEADER = 2**24  # bytes


def fit_and_save(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Train a plan on all rows of a table, and keep its networks in a folder.

    Args:
        options: the parsed command line; `arguments` says which options there are.
        parser: reads the options that a plan says its table was read with.

    Raises:
        BadInput: an option, a table, a plan or a folder that cannot be used.
    """
    source = str(options.source)
    reading = reading_options(options, source)
    name = stem(Path(source)) if is_table(source) else source
    out = options.out or Path(f"{name}.fitted")
    check_fitted(out)
    planned = read_plan(options.plan).reading  # now, not after the table is read
    if planned is not None and is_table(source):
        reading = _read_as_planned(planned, reading, options.plan, source, parser)
    try:
        data = load(source, **reading)
    except Unanswered as error:
        if len(error.questions) > 1:
            warn(*(f"? {question}" for question in error.questions))
        raise BadInput(error.summary) from None
    warn(*(line for line in note_lines(data.notes) if line.startswith("!")))
    fitted = fit_plan(
        data,
        options.plan,
        seed=options.seed,
        device=options.device,
        progress=sys.stderr.isatty(),
        **({} if options.steps is None else {"steps": options.steps}),
    )
    fitted.save(out)
    networks = sum(len(part.network.head.weight) for part in fitted.parts)
    word = "network" if networks == 1 else "networks"
    say(f"Trained {networks} {word} on {fitted.rows:,} rows, for {len(fitted.tasks)} tasks: {out}")
    if fitted.reading is not None:
        command = shlex.join(["python", "-m", "mtl_nt", "predict", str(out), "new_rows.csv"])
        say(f"To predict new rows: {command}")


def _read_as_planned(
    planned: str, given: dict[str, Any], plan: Path, source: str, parser: argparse.ArgumentParser
) -> dict[str, Any]:
    """How the table of a plan was read. Who gives options must give the same.

    Args:
        planned: the options, as words of a command line; somebody may have edited them.
        given: the options of this call, by name.

    Raises:
        BadInput: words that are no options, or other options than those of the plan.
    """
    try:
        words = shlex.split(planned)
    except ValueError:
        words = ["--"]
    parsed = parser.parse_args(["fit", source, "--plan", str(plan), *words])
    wanted = reading_options(parsed, source)
    if not given:
        if planned:
            say(f"Reads the table as for the plan: {planned}")
        return wanted
    if {**wanted, "yes": True} != {**given, "yes": True}:
        raise BadInput(
            f"{plan.name} was made from a table that was read with {planned or 'no options'}; "
            "give these, or none at all"
        )
    return given


def predict_table(options: argparse.Namespace) -> None:
    """Predict the rows of a new table, and write the predictions as CSV.

    The file has one row for each row of the new table, in its order: the number of its line, and a
    prediction for each task, or for each class of a task of classes.

    Args:
        options: the parsed command line; `arguments` says which options there are.

    Raises:
        BadInput: a folder, a table or an output that cannot be used.
    """
    source = Path(options.source)
    if not is_table(str(source)):
        raise BadInput(f"{source}: give a table of new rows, a .csv, .tsv or .parquet")
    fitted = load_plan(options.fitted)
    out = options.out or Path(f"{stem(source)}.predictions.csv")
    headings = {_heading(fitted.columns, unit) for unit in ("line", "row")}
    try:
        check_output(out, lambda path: _first_line(path) in headings, source)
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}; give another name") from None
    found = fitted.predict(source)
    unit = str(found.index.name)
    table = found.rename_axis(_position(fitted.columns, unit)).reset_index()
    there = out.exists()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, safe_csv(table, DIGITS).encode())
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}; give another name") from None
    if there:
        warn(f"replaced {out}")
    say(f"Predicted {len(fitted.tasks)} tasks of {len(found):,} rows: {out}")


def _position(columns: tuple[str, ...], unit: str) -> str:
    """The heading of the column that says where a row is; no task has it."""
    return unit if unit not in columns else f"{unit} of the table"


def _heading(columns: tuple[str, ...], unit: str) -> str:
    """The first line of a file of predictions."""
    import pandas as pd

    return safe_csv(pd.DataFrame(columns=[_position(columns, unit), *columns]), DIGITS).strip()


def _first_line(path: Path) -> str:
    """The first line of a file; nothing where it cannot be read."""
    try:
        return read_bytes(path, LONGEST_HEADER).decode().partition("\n")[0].strip()
    except (OSError, ValueError):
        return ""
