"""What `python -m mtl_nt report my_tasks.csv` does: an audit, as one page that can be mailed."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..files import check_output, temporary_folder, write_atomically
from ..terminal import say, warn

if TYPE_CHECKING:  # a slow import
    from ..datasets import Unanswered
    from .early import Early

READ_OPTIONS = (
    *("targets", "features", "smiles", "group", "split", "ignore", "regression", "folds"),
    *("log", "missing", "keep", "decimal", "min_positives", "apart", "yes"),
    *("classes", "weights", "class_weight"),
)
"""The options that say how a table is read."""
VERDICTS = "verdicts.csv"
"""The test of every method and task, beside what is kept."""
PAGE_SECONDS = 4.0
"""What the page takes of a budget."""


def write_report(options: argparse.Namespace) -> None:
    """Audit a table or a data set, and write the page of it, and the plan.

    Args:
        options: the parsed command line; `commands` says which options there are.

    Raises:
        BadInput: an option, a table or an output that cannot be used.
    """
    begun = time.monotonic()
    from ..datasets import Unanswered, is_table, table_digest
    from ..study import plan_json
    from .audit import audit
    from .early import early_end, has_results
    from .findings import findings
    from .judge import parse_margins
    from .page import audit_page
    from .plan import parse_seconds
    from .result import read_words, repeat_command
    from .sentences import sentences
    from .tables import verdicts_csv

    budget = parse_seconds(options.budget)
    source = str(options.source)
    table = is_table(source)
    stem = Path(source).name.partition(".")[0] if table else source
    out = _check_page(options.out or Path(f"{stem}.html"), source, options.results)
    if options.plan is not None:
        _check_plan(options.plan, out, source)
    reading = reading_options(options, source)
    asked: dict[str, Any] = {"device": options.device}
    for name, value in (
        ("methods", options.methods),
        ("alphas", None if options.alphas is None else _numbers(options.alphas, "--alphas")),
        ("seeds", None if options.seeds is None else _seeds(options.seeds)),
        ("steps", options.steps),
        ("margin", None if options.margin is None else parse_margins(options.margin)),
    ):
        if value is not None:
            asked[name] = value
    if table:  # the page is of these bytes, whatever becomes of the file meanwhile
        reading["sha256"] = table_digest(source)

    with temporary_folder() as folder:
        kept = options.results or folder / "results"
        if budget is not None:  # the page takes its time, too
            budget = max(budget / 2, budget - PAGE_SECONDS - (time.monotonic() - begun))
        shown = sys.stderr.isatty()
        try:
            found = audit(
                source, folder=kept, budget=budget, progress=shown, say=warn, **asked, **reading
            )
        except Unanswered as error:
            _show_questions(error, options.json)
            raise BadInput(error.summary) from None
        except (BadInput, KeyboardInterrupt) as stop:
            early, stopped = early_end(stop), isinstance(stop, KeyboardInterrupt)
            there = has_results(kept)
            if early is None or (stopped and not there):
                raise
            if there and options.results is None:
                kept = _keep(kept, out)
            early = early.kept_in(kept if there else options.results, _written(options, out))
            _show_early(early, out, options.json)
            if options.plan is not None:
                warn(f"{options.plan} is not written: there is no plan yet")
            if stopped:
                raise
            return  # the budget's end is no fault
        if found.plan.interrupted:
            warn("stopped; the page shows what is finished (Ctrl-C again: no page)")
        if found.plan.unfinished and options.results is None:
            kept = _keep(kept, out)
            found = replace(found, folder=str(kept))
        elif options.results is None:  # the folder goes away with this process
            found = replace(found, folder=None)
        found = replace(found, written=_written(options, out))
        files = {out: audit_page(found)}
        if options.plan is not None:
            files[options.plan] = plan_json(found.task_plan, read_words(found))
        if found.plan.unfinished or options.results is not None:
            files[Path(kept) / VERDICTS] = verdicts_csv(found)
        for path, text in files.items():
            if path.exists():
                warn(f"replaces {path}")
            _write(path, text)
    if options.json:
        notes = [note.as_json() for note in found.notes]
        answer = {**findings(found), "notes": notes, "command": repeat_command(found)}
        text = json.dumps(answer, allow_nan=False)
        say(text.replace("\x7f", "\\u007f"))  # which JSON may leave as it is
    else:
        say(*sentences(found), f"Open {out} in a browser.")
    if found.plan.interrupted:
        raise KeyboardInterrupt


def reading_options(options: argparse.Namespace, source: str) -> dict[str, Any]:
    """The options that say how a table is read, as far as they were given.

    Raises:
        BadInput: there are some, and the source is the name of a data set.
    """
    from ..datasets import is_table

    reading = {name: getattr(options, name) for name in READ_OPTIONS}
    reading = {name: v for name, v in reading.items() if v is not None and v is not False}
    if reading and not is_table(source):
        option = next(iter(reading)).replace("_", "-")
        raise BadInput(f"--{option} is for a table of your own; {source!r} is a data set's name")
    return reading


def _show_early(early: Early, out: Path, as_json: bool) -> None:
    """Write the page of an audit that ended before any verdict, and say how to go on."""
    from .early import early_page

    if out.exists():
        warn(f"replaces {out}")
    _write(out, early_page(early))
    if as_json:
        notes = [note.as_json() for note in early.notes]
        answer = {"verdict": None, "why": early.why, "there": early.finished, "kept": early.folder}
        text = json.dumps({**answer, "go_on": early.command, "notes": notes})
        say(text.replace("\x7f", "\\u007f"))
        return
    say(early.headline, *([early.reason] if early.why else []), f"Open {out} in a browser.")
    if early.finished:
        say(f"Finished and kept in {early.folder}: {early.finished}.")
    say(f"To go on from here, run: {early.command}")


def _written(options: argparse.Namespace, out: Path) -> tuple[str, ...]:
    """The options that say what is written, where it is trained, and in how much time."""
    plan = () if options.plan is None else ("--plan", str(options.plan))
    device = () if options.device in (None, "cpu") else ("--device", options.device)
    budget = () if options.budget is None else ("--budget", options.budget)
    return "--out", str(out), *plan, *device, *budget


def _write(path: Path, text: str) -> None:
    """Write the whole file or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}; choose another folder") from None


def _keep(results: Path, out: Path) -> Path:
    """Move the folder of an unfinished audit beside its page, so that it can go on from there."""
    free = (out.with_name(f"{out.stem}.results{n}") for n in ("", *(f"-{k}" for k in range(2, 99))))
    kept = next((path for path in free if not path.exists()), None)
    if kept is None:
        raise BadInput(f"{out.stem}.results and 97 more are there; give --results a folder")
    try:
        shutil.move(results, kept)
    except OSError as error:
        raise BadInput(f"{kept} cannot be written: {error.strerror}; give --results") from None
    return kept


def _show_questions(asked: Unanswered, as_json: bool) -> None:
    """Print the questions that reading asks, one line each, where there are several."""
    if as_json:
        say(json.dumps({"questions": list(asked.questions)}).replace("\x7f", "\\u007f"))
    if len(asked.questions) > 1:
        warn(*(f"? {question}" for question in asked.questions))


def _check_page(out: Path, source: str, results: Path | None) -> Path:
    """The path of the page, if nothing else is there or will be written there."""
    from ..book import report

    if results is not None:
        page, kept = out.resolve(), results.resolve()
        if page == kept or (page.parent == kept and page.suffix == ".json"):
            raise BadInput(f"--out {out} is one of --results {results}; give the page another name")
    return report.check_writable(out, source)


def _check_plan(plan: Path, out: Path, source: str) -> None:
    """Check that the plan can be written, and that nobody loses another file by it."""
    from ..study import is_plan

    if plan.resolve() == out.resolve():
        raise BadInput(f"--plan and --out are both {plan}; give two names")
    try:
        check_output(plan, is_plan, source)
    except OSError as error:
        raise BadInput(f"cannot write {plan}: {error.strerror}; give another name") from None


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
    if len({*numbers}) < len(numbers) or min(numbers, default=-1) < 0:
        raise BadInput(f"--seeds {text!r}: give different numbers, 0 or more, such as 100,101")
    return numbers[0] if len(numbers) == 1 and "," not in text else numbers
