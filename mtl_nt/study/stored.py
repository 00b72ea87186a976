"""Studies kept on disk as small tables, so that nobody needs to train for hours to read them.

`keep` writes a study into a folder, and `stored` reads it again. The studies of the papers come
with the package, in the folder `results`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pandas as pd

from ..errors import BadInput, suggestion
from ..files import SMALL_FILE, check_output, open_unpacked, read_bytes, write_atomically
from ..networks import Recipe
from ..training import CHECKPOINTS, Checkpoint
from .schema import (
    FiniteFloat,
    ResultsTable,
    TrainingTable,
    UniqueNames,
    ValidationTable,
    empty_table,
    satisfies,
    validate,
)
from .scoring import HISTORY
from .spreadsheets import restore_texts, safe_csv
from .study import Study

KEPT = Path(__file__).parent / "results"
"""The folder of the studies that come with the package; each has a folder of its own in it."""
FILES = ("results.csv.gz", "training.csv", "study.json")
"""The files of a kept study."""
VALIDATION_FILE = "validation.csv.gz"
"""The scores on validation rows, of a study that has any."""
TEXT_COLUMNS = dict.fromkeys(["dataset", "split", "method", "task", "metric", "watched"], str)
ROW_NOTES = ("preset", "version")
"""The notes that every row of the scores repeats."""
MOST_NAMED = 5  # studies at most that a message names
DIGITS = 5  # significant digits of a score


def keep(study: Study, folder: str | Path, **notes: Any) -> Path:
    """Write a study into a folder, as `results.csv.gz`, `training.csv` and `study.json`.

    Scores on validation rows are kept in `validation.csv.gz`, where there are any. Losses and
    weights over training are not kept. Each row of the scores says its number of steps, and the
    preset and the version where the notes give them.

    Args:
        study: the study.
        folder: made where it is missing. A study that is there is replaced.
        notes: what else `study.json` should say. JSON must be able to hold it.

    Returns:
        The folder.

    Raises:
        BadInput: the folder cannot be written, or it holds files of these names that are no study.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     sorted(path.name for path in keep(stored("cure-noisy"), folder).iterdir())
    ['results.csv.gz', 'study.json', 'training.csv']
    """
    folder = Path(folder)
    check_folder(folder)
    about = {
        "metric": dict(study.metric),
        "overlap": study.overlap,
        "overlap_limit": study.overlap_limit,
        "recipe": None if study.recipe is None else asdict(study.recipe),
        "checkpoint": study.checkpoint,
        "baselines": list(study.baselines),
        "margin": dict(study.margin),
        "lower_is_better": dict(study.lower_is_better),
        "null_identity": dict(study.null_identity),
        "recipes": {name: asdict(recipe) for name, recipe in study.recipes.items()},
        "raw_targets": study.raw_targets,
        **notes,
    }
    arm = ["method", "alpha", "seed"]
    rows = study.results.merge(study.training[[*arm, "steps"]], "left", arm).assign(
        **{name: notes[name] for name in ROW_NOTES if name in notes}
    )
    rows["steps"] = rows["steps"].astype("Int64")  # none where nothing is trained
    scores, training = (safe_csv(table, DIGITS).encode() for table in (rows, study.training))
    label = json.dumps(about, indent=1).encode() + b"\n"
    contents = dict(zip(FILES, (gzip.compress(scores, mtime=0), training, label), strict=True))
    if len(study.validation):
        validation = safe_csv(study.validation, DIGITS).encode()
        contents = {VALIDATION_FILE: gzip.compress(validation, mtime=0), **contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if VALIDATION_FILE not in contents:  # of a study that this one replaces
            (folder / VALIDATION_FILE).unlink(missing_ok=True)
        # `study.json` comes first: it says whose folder this is.
        for name, data in [*contents.items()][::-1]:
            write_atomically(folder / name, data)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def check_folder(folder: str | Path) -> None:
    """Check that a study may be kept in this folder. It may replace a study, and nothing else.

    Raises:
        BadInput: the folder is a file, or it holds files that are no study's.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} cannot be written: it is no folder; give another name")
    is_study = _holds_study(folder)
    for name in (*FILES, VALIDATION_FILE):
        try:
            check_output(folder / name, lambda _: is_study)
        except OSError as error:
            raise BadInput(
                f"cannot write {folder / name}: {error.strerror}; give another folder"
            ) from None


def _holds_study(folder: Path) -> bool:
    """Whether a study was kept here, or at least the first of its files."""
    try:
        return {*DESCRIPTION_KEYS} <= {*json.loads(read_bytes(folder / FILES[-1]))}
    except (OSError, ValueError, TypeError, RecursionError):  # damaged, maybe
        return all((folder / name).is_file() for name in FILES)


def stored(name: str | Path) -> Study:
    """Read a study that was kept.

    Args:
        name: the name of a study that comes with the package, or the folder of any other. The
            numbers deserve as much trust as the owner of the folder.

    Raises:
        BadInput: there is no such study, its files do not belong together, or one is damaged.

    >>> study = stored("cure-noisy")
    >>> study.baseline, len(study.metric)
    ('STL', 9)
    """
    folder, about = _folder(name), notes(name)
    try:
        results, training = (restore_texts(_table(folder / file)) for file in FILES[:2])
        results = results.drop(columns=["steps", *ROW_NOTES], errors="ignore")
        validation = empty_table(ValidationTable)
        if (folder / VALIDATION_FILE).is_file():
            validation = restore_texts(_table(folder / VALIDATION_FILE))
        tables = (
            (results, ResultsTable),
            (training, TrainingTable),
            (validation, ValidationTable),
        )
        for table, schema in tables:
            validate({name: column.unique().tolist() for name, column in table.items()}, schema)
        said = {key: about[key] for key in DESCRIPTION_KEYS}
        later = {key: about.get(key, missing) for key, missing in LATER_KEYS.items()}
        said = validate({**said, **later}, Description)
        if not {*results["task"]} <= {*said["metric"]}:
            raise ValueError("a task without its metric")
        training = training if len(training) else empty_table(TrainingTable)
        history = pd.DataFrame(columns=HISTORY)
        return Study(results, training, history, **said, validation=validation)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        why = " ".join(str(getattr(error, "strerror", None) or error).split())[:80]
        raise BadInput(
            f"the kept study {folder.name!r} is damaged ({why}); keep it again"
        ) from None


def stored_stops(name: str) -> dict[Checkpoint, Study]:
    """Every kept study of a case that differs by the checkpoint rule alone, by its rule.

    Args:
        name: the name of the study whose rule is its own. The others are called `NAME-RULE`.

    Raises:
        BadInput: there is no study of this name, or one is damaged.

    >>> stored_stops("cure-noisy")["last"].checkpoint
    'last'
    """
    names = [name, *(f"{name}-{rule}" for rule in CHECKPOINTS)]
    studies = [stored(n) for n in names if n == name or (KEPT / n / FILES[-1]).is_file()]
    return {s.checkpoint: s for s in studies if s.checkpoint is not None}


def notes(name: str | Path) -> Mapping[str, Any]:
    """Read `study.json` of a kept study, with the notes that `keep` was given.

    Raises:
        BadInput: there is no such study, or its file is damaged.

    >>> notes("cure-noisy")["checkpoint"]
    'last'
    """
    path = _folder(name) / "study.json"
    try:
        description: Mapping[str, Any] = json.loads(read_bytes(path))
    except (OSError, ValueError, RecursionError):
        raise BadInput(f"{path} is damaged; keep the study again") from None
    return description


class Description(TypedDict):
    """What `study.json` says of a study itself, beside the notes."""

    metric: dict[str, str]
    overlap: FiniteFloat
    recipe: Recipe | None
    checkpoint: Checkpoint | None
    baselines: Annotated[UniqueNames, satisfies(bool)]
    margin: dict[str, FiniteFloat]
    lower_is_better: dict[str, bool]
    null_identity: dict[str, str]
    overlap_limit: FiniteFloat | None
    recipes: dict[str, Recipe]
    raw_targets: bool


LATER_KEYS: Mapping[str, Any] = {
    **{"margin": {}, "lower_is_better": {}, "null_identity": {}, "recipes": {}},
    **{"overlap_limit": None, "raw_targets": False},
}
"""The keys that older studies lack, and what they mean by it."""
DESCRIPTION_KEYS = tuple(key for key in Description.__annotations__ if key not in LATER_KEYS)
"""The keys that every `study.json` has."""


def _table(path: Path) -> pd.DataFrame:
    """Read a table in which only numbers can be missing. A task may be called NA, or 1."""
    with open_unpacked(path, SMALL_FILE) as file:
        return pd.read_csv(file, dtype=TEXT_COLUMNS, keep_default_na=False, na_values=[""])


def _folder(name: str | Path) -> Path:
    for folder in (KEPT / name, Path(name)):
        if (folder / FILES[-1]).is_file():
            return folder
    known = sorted(p.parent.name for p in KEPT.glob(f"*/{FILES[-1]}"))
    hint = suggestion(str(name), known) if known else "none comes with this package"
    if hint.startswith("known") and len(known) > MOST_NAMED:
        hint = f"known: {', '.join(known[-MOST_NAMED:])}, and {len(known) - MOST_NAMED} more"
    raise BadInput(f"no kept study {str(name)!r}; {hint}")
