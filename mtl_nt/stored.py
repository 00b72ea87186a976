"""Studies kept as small tables: what a long training found, for those who have no hours."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pandas as pd

from .files import SMALL, check_output, content, unpacked, write
from .forms import Finite, Names, Results, Training, read, where
from .jobs import HISTORY
from .recipe import Recipe
from .records import Checkpoint
from .spreadsheets import csv_of, unguarded
from .study import Study
from .tasks import BadInput, nearest

KEPT = Path(__file__).parent / "results"
"""The studies that come with the package, a folder each."""
FILES = ("results.csv.gz", "training.csv", "study.json")
TEXTS = dict.fromkeys(["dataset", "split", "method", "task", "metric", "watched"], str)
ROW = ("preset", "version")
NAMED = 5  # studies that a message names
DIGITS = 5  # significant digits of a score


def keep(study: Study, folder: str | Path, **notes: Any) -> Path:
    """Write a study's scores and budget as three files: `results.csv.gz`, `training.csv` and
    `study.json`. Losses and weights over training are not kept. Each row of the scores says its
    steps, and the preset and the version where they are given.

    Args:
        folder: made where it is missing; a study that is there is replaced.
        notes: what else to remember, as JSON can write it.

    Raises:
        BadInput: the folder cannot be written, or has another's files of these names.
    """
    folder = Path(folder)
    check_folder(folder)
    about = {
        "metric": dict(study.metric),
        "overlap": study.overlap,
        "recipe": asdict(study.recipe),
        "checkpoint": study.checkpoint,
        "baselines": list(study.baselines),
        **notes,
    }
    arm = ["method", "alpha", "seed"]
    rows = study.results.merge(study.training[[*arm, "steps"]], "left", arm).assign(
        **{name: notes[name] for name in ROW if name in notes}
    )
    rows["steps"] = rows["steps"].astype("Int64")  # none where nothing is trained
    scores, training = (csv_of(table, DIGITS).encode() for table in (rows, study.training))
    label = json.dumps(about, indent=1).encode() + b"\n"
    contents = [gzip.compress(scores, mtime=0), training, label]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, made in [*zip(FILES, contents, strict=True)][::-1]:  # first, whose folder it is
            write(folder / name, made)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def check_folder(folder: str | Path) -> None:
    """Whether a study may be kept in this folder: it replaces another one, and nothing else.

    Raises:
        BadInput: it may not.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} cannot be written: it is no folder; give another name")
    ours = _is_kept(folder)
    for name in FILES:
        try:
            check_output(folder / name, lambda _: ours)
        except OSError as error:
            raise BadInput(
                f"cannot write {folder / name}: {error.strerror}; give another folder"
            ) from None


def _is_kept(folder: Path) -> bool:
    """Whether a study was kept here, or has begun to be."""
    try:
        return {*ABOUT} <= {*json.loads(content(folder / FILES[-1]))}
    except (OSError, ValueError, TypeError, RecursionError):  # damaged, maybe
        return all((folder / name).is_file() for name in FILES)


def stored(name: str | Path) -> Study:
    """A study that was kept: one of the package's own by its name, or any by its folder, whose
    numbers are worth what the folder's owner is trusted to say.

    Raises:
        BadInput: there is none, its files do not belong together, or one has another form.
    """
    folder, about = _folder(name), notes(name)
    try:
        results, training = (unguarded(_table(folder / file)) for file in FILES[:2])
        results = results.drop(columns=["steps", *ROW], errors="ignore")
        for table, form in ((results, Results), (training, Training)):
            read({name: column.unique().tolist() for name, column in table.items()}, form)
        known = read({key: about[key] for key in ABOUT}, About)
        if not {*results["task"]} <= {*known["metric"]}:
            raise ValueError("a task without its metric")
        return Study(results, training, pd.DataFrame(columns=HISTORY), **known)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        why = " ".join(str(getattr(error, "strerror", None) or error).split())[:80]
        raise BadInput(
            f"the kept study {folder.name!r} is damaged ({why}); keep it again"
        ) from None


def notes(name: str | Path) -> Mapping[str, Any]:
    """What `study.json` of a kept study says.

    Raises:
        BadInput: there is no such study, or its file is damaged.
    """
    path = _folder(name) / "study.json"
    try:
        found: Mapping[str, Any] = json.loads(content(path))
    except (OSError, ValueError, RecursionError):
        raise BadInput(f"{path} is damaged; keep the study again") from None
    return found


class About(TypedDict):
    """What `study.json` says, but for notes."""

    metric: dict[str, str]
    overlap: Finite
    recipe: Recipe
    checkpoint: Checkpoint
    baselines: Annotated[Names, where(bool)]


ABOUT = tuple(About.__annotations__)


def _table(path: Path) -> pd.DataFrame:
    """A table in which only numbers can be missing: a task may be called NA, or 1."""
    with unpacked(path, SMALL) as file:
        return pd.read_csv(file, dtype=TEXTS, keep_default_na=False, na_values=[""])


def _folder(name: str | Path) -> Path:
    for folder in (KEPT / name, Path(name)):
        if (folder / FILES[-1]).is_file():
            return folder
    known = sorted(p.parent.name for p in KEPT.glob(f"*/{FILES[-1]}"))
    hint = nearest(str(name), known) if known else "none comes with this package"
    if hint.startswith("known") and len(known) > NAMED:
        hint = f"known: {', '.join(known[-NAMED:])}, and {len(known) - NAMED} more"
    raise BadInput(f"no kept study {str(name)!r}; {hint}")
