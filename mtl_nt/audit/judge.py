"""What `python -m mtl_nt judge scores.csv` does: a verdict on somebody's scores, as a page."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import BadInput
from ..files import write_atomically
from ..study import studies_from_scores
from ..terminal import say, warn
from .judgement import few_runs_words, headline, judgement
from .judgement_page import judgement_page, overall_table


def write_judgement(options: argparse.Namespace) -> None:
    """Judge a table of scores, and write the page of it.

    Args:
        options: the parsed command line; `arguments` says which options there are.

    Raises:
        BadInput: an option, a table or an output that cannot be used.
    """
    from ..book import report

    source = Path(options.source)
    stem = source.name.partition(".")[0] or "scores"
    out = report.check_writable(options.out or Path(f"{stem}.html"), source)
    asked = _asked(options)
    studies = studies_from_scores(source, **asked)
    page = judgement_page(studies, source.name, _command(options))
    if out.exists():
        warn(f"replaces {out}")
    try:
        write_atomically(out, page.encode())
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}; give another name") from None
    if options.json:
        found = [judgement(study) for study in studies.values()]
        text = json.dumps({"data_sets": found, "command": _command(options)}, allow_nan=False)
        say(text.replace("\x7f", "\\u007f"))  # which JSON may leave as it is
        return
    for name, study in studies.items():
        head, rows = overall_table(study)
        texts = pd.DataFrame([[text for text, _ in row] for row in rows], columns=list(head))
        say(*([name] if len(studies) > 1 else []), headline(study))
        say(*texts.to_string(index=False).split("\n"))
        say(*few_runs_words(study.results["seed"].nunique()))
    say(f"Open {out} in a browser.")


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `studies_from_scores` that a command line gives."""
    named = ("baseline", "twin", "metric", "overlap", "folds")
    asked = {name: getattr(options, name) for name in named}
    if options.better is not None:
        words = {"lower": True, "higher": False}
        asked["lower_is_better"] = _by_name(
            "--better", options.better, words.get, "lower or higher"
        )
    if options.margin is not None:
        asked["margin"] = parse_margins(options.margin)
    return {name: value for name, value in asked.items() if value is not None}


def parse_margins(text: str) -> float | dict[str, float]:
    """What `--margin` says: one number, or numbers by metric.

    Raises:
        BadInput: anything else.

    >>> parse_margins("0.02"), parse_margins("RMSE=0.02,R2=0.01")
    (0.02, {'RMSE': 0.02, 'R2': 0.01})
    """
    found: float | dict[str, float] = _by_name("--margin", text, _number, "a number")
    return found


def _by_name(option: str, text: str, parse: Callable[[str], Any], what: str) -> Any:
    """One value for all metrics, or values by name: "RMSE=0.02,R2=0.01"."""
    if (value := parse(text.strip())) is not None:
        return value
    found = {}
    for part in text.split(","):
        name, _, said = part.rpartition("=")
        found[name.strip()] = parse(said.strip())
        if not name.strip() or found[name.strip()] is None:
            raise BadInput(f"{option} {text!r}: give {what}, or NAME=VALUE with commas between")
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _command(options: argparse.Namespace) -> str:
    """The command line that makes the same page again."""
    words = ["python", "-m", "mtl_nt", "judge", str(options.source)]
    for name in ("baseline", "twin", "metric", "better", "margin", "folds", "overlap", "out"):
        if (value := getattr(options, name)) is not None:
            text = str(value)  # a metric may be called -NLL, which is no option
            words += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return shlex.join(words)
