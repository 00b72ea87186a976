"""An audit that ended before it could judge: what is there, and how to go on."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from .. import __version__
from ..book.markup import STYLE, html_document
from ..study import Study
from ..tasks import Note
from .page import PAGE_STYLE
from .result import options, report_words
from .tables import number_cell, sortable_table
from .work import NoVerdict

LABELS = ("asked.json", "study.json")
"""Files of a results folder that hold no result."""


@dataclass(frozen=True, eq=False)
class Early:
    """What an audit has that ended before STL and MTL were trained on two runs.

    Attributes:
        name: the name of the data.
        study: the results of the one run that is there; None where there is none.
        there: what is finished, in words; nothing where nothing is.
        asked: the arguments of `result.report_words`, of the whole audit.
        notes: what reading the data did.
        size: of the data, in words.
        why: what the time was too short for; nothing where somebody stopped the audit.
        budget: what is enough for a first verdict, as `--budget` takes it.
        folder: where what is finished is kept; None if it is kept nowhere.
        written: the options that say what is written where, and how much time there was.
    """

    name: str
    study: Study | None
    there: str
    asked: Mapping[str, Any]
    notes: tuple[Note, ...]
    size: str = ""
    why: str = ""
    budget: str | None = None
    folder: str | None = None
    written: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """What is to be known first."""
        runs = "One run so far" if self.study is not None else "No run is finished yet"
        return f"{runs}: no verdict can be given."

    @property
    def reason(self) -> str:
        """Why there is no verdict, as a sentence."""
        return f"{self.why[:1].upper()}{self.why[1:]}."

    @property
    def finished(self) -> str:
        """What is finished and kept, in words; nothing where nothing is kept."""
        return self.there or ("a part of the networks of one method" if self.folder else "")

    @property
    def command(self) -> str:
        """The command line that goes on from here, with a budget that is enough."""
        written = options(self.written)
        if "--budget" in written and self.budget is not None:
            written["--budget"] = self.budget
        if self.folder is not None:
            written["--results"] = self.folder
        words = [word for pair in written.items() for word in pair]
        return shlex.join([*report_words(**self.asked), *words])

    def kept_in(self, folder: Path | None, written: Sequence[str]) -> Early:
        """The same audit, whose results are now in this folder, if they are kept."""
        kept = None if folder is None else str(folder)
        return replace(self, folder=kept, written=tuple(written))


def early_end(stop: BaseException) -> Early | None:
    """What there is where an audit was ended by this error; None if nothing is known of it."""
    cause = stop if isinstance(stop, NoVerdict) else stop.__cause__
    found = cause.early if isinstance(cause, NoVerdict) else None
    return found if isinstance(found, Early) else None


def has_results(folder: Path) -> bool:
    """Whether a folder holds anything that was trained, so that an audit can go on from there.

    >>> has_results(Path("no such folder"))
    False
    """
    return any(path.is_file() and path.name not in LABELS for path in folder.rglob("*"))


def early_page(early: Early) -> str:
    """The page of an audit with one run or none, which gives no verdict.

    It says how the table was read, what is not known yet, and how to go on.

    >>> from mtl_nt.study import stored
    >>> asked = {"source": "my.csv", "options": {}, "methods": ["MTL"], "alphas": [],
    ...     "seeds": [100, 101], "steps": None, "margin": {}}
    >>> page = early_page(Early("my", stored("cure-noisy"), "STL on 1 run", asked, ()))
    >>> "One run so far: no verdict can be given." in page
    True
    """
    title, size = f"Audit of {early.name}", f"{early.size}; " if early.size else ""
    matters = [note for note in early.notes if note.severity == "matters"]
    others = [note for note in early.notes if note.severity != "matters"]
    bullets = "".join(f"<li>{escape(note)}</li>" for note in (*matters, *others))
    kept = f" Finished and kept: {escape(early.finished)}." if early.finished else ""
    why = f"{escape(early.reason)} " if early.why else ""
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='made'>Unfinished; {escape(size)}made on {date.today()} by mtl_nt "
        f"{__version__}. MTL is one network for all tasks, STL one network for each task.</p>",
        f"<p class='lead'>{escape(early.headline)}</p>",
        f"<p>{why}A verdict compares runs with each other, so it needs two of them, and better "
        f"five.{kept}</p>",
        f"<div class='note'><p>To go on from here:</p><pre>{escape(early.command)}</pre></div>",
        *([] if early.study is None else _one_run(early.study)),
        "<h2>What is not known yet</h2>",
        f"<ul>{''.join(f'<li>{line}</li>' for line in UNKNOWN)}</ul>",
        *([f"<h2>How the data were read</h2><ul>{bullets}</ul>"] if bullets else []),
    ]
    return html_document(title, "\n".join(parts), STYLE + PAGE_STYLE)


UNKNOWN = (
    "Which tasks are learned at all: better than a guess that ignores the features.",
    "Which tasks training together harms, and which it helps.",
    "Which remedy helps, and what a plan for each task gains.",
)


def _one_run(study: Study) -> list[str]:
    """What one run shows."""
    return [
        "<h2>What the one run shows</h2>",
        "<p class='small'>In one run, chance alone makes about half of the tasks worse. So none of "
        "them is called harmed or helped.</p>",
        f"<div class='output'>{_run_table(study)}</div>",
    ]


def _run_table(study: Study) -> str:
    """The scores of the run, one row for each task."""
    alone, shared = study.scores(study.baseline).mean(), study.scores("MTL").mean()
    delta = study.delta("MTL").mean()
    head = ["task", study.baseline, "MTL", "difference, + is better", "metric"]
    rows = [
        [
            (str(task), str(task)),
            number_cell(float(alone[task]), "{:.3g}"),
            number_cell(float(shared[task]), "{:.3g}"),
            number_cell(float(delta[task]), "{:+z.3g}") if math.isfinite(delta[task]) else ("–", 0),
            (study.metric[str(task)], study.metric[str(task)]),
        ]
        for task in alone.index
    ]
    return sortable_table(head, rows, f"The scores of {study.baseline} and MTL")
