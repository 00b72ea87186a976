"""Studies kept as small tables: what a long training found, for those who have no hours."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from .jobs import HISTORY
from .parts import write
from .recipe import Recipe
from .study import Study
from .tasks import BadInput, nearest

KEPT = Path(__file__).parent / "results"
"""The studies that come with the package, a folder each."""
FILES = ("results.csv.gz", "training.csv", "study.json")
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
        BadInput: the folder cannot be written.
    """
    folder = Path(folder)
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
    tables = (rows, study.training)
    texts = [
        t.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n") for t in tables
    ]
    texts.append(json.dumps(about, indent=1) + "\n")
    contents = [gzip.compress(texts[0].encode(), mtime=0), *(t.encode() for t in texts[1:])]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(FILES, contents, strict=True):
            write(folder / name, content)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written: {error.strerror}") from None
    return folder


def stored(name: str | Path) -> Study:
    """A study that was kept: one of the package's own by its name, or any by its folder.

    Raises:
        BadInput: there is none, or its files do not belong together.
    """
    folder, about = _folder(name), notes(name)
    try:
        results, training = (pd.read_csv(folder / file) for file in FILES[:2])
        results = results.drop(columns=["steps", *ROW], errors="ignore")
        lists = {k: tuple(v) for k, v in about["recipe"].items() if isinstance(v, list)}
        recipe = Recipe(**{**about["recipe"], **lists})
        return Study(
            results=results,
            training=training,
            history=pd.DataFrame(columns=HISTORY),
            metric=about["metric"],
            overlap=about["overlap"],
            recipe=recipe,
            checkpoint=about["checkpoint"],
            baselines=tuple(about["baselines"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
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
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BadInput(f"{path} is damaged; keep the study again") from None
    return found


def _folder(name: str | Path) -> Path:
    for folder in (KEPT / name, Path(name)):
        if (folder / FILES[-1]).is_file():
            return folder
    known = sorted(p.parent.name for p in KEPT.glob(f"*/{FILES[-1]}"))
    hint = nearest(str(name), known) if known else "none comes with this package"
    if hint.startswith("known") and len(known) > NAMED:
        hint = f"known: {', '.join(known[-NAMED:])}, and {len(known) - NAMED} more"
    raise BadInput(f"no kept study {str(name)!r}; {hint}")
