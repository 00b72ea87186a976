"""Finished parts of a study on disk: each written at once, checked when read, never unpickled."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .tasks import BadInput, TaskData

CODE = (
    "batches",
    "jobs",
    "losses",
    "methods",
    "metrics",
    "models",
    "parts",
    "recipe",
    "records",
    "streams",
    "study",
    "tasks",
    "training",
    "weighters",
)
"""Modules that a part's numbers depend on."""


class Part(NamedTuple):
    """What one method leaves behind: see `study.Study` for the columns."""

    results: pd.DataFrame
    training: pd.DataFrame
    history: pd.DataFrame


class Shelf:
    """The folder of one study: `study.json` says which, `NAME.json` holds a part.

    A part's first line is the SHA-256 of `study.json` and the rest. A part that does not match is
    trained again, and a line says so.

    Raises:
        BadInput: the folder holds another study, or one from other code, or cannot be written.
    """

    def __init__(
        self, folder: str | Path, runs: Sequence[TaskData], jobs: Mapping[str, tuple]
    ) -> None:
        if not isinstance(folder, (str, os.PathLike)) or not str(folder):
            raise BadInput(f"folder {folder!r}: give a folder's name, or None to keep nothing")
        self.folder = Path(folder)
        self.identity = _identity(runs, jobs)
        self.label = self.folder / "study.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass  # better now than after the training
            known = json.loads(self.label.read_text()) if self.label.exists() else self.identity
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "study.json is damaged"
            raise BadInput(
                f"folder {str(folder)!r} cannot be used ({reason}); give another folder"
            ) from None
        if known != self.identity:
            raise BadInput(
                f"folder {str(folder)!r} holds another study "
                f"({_difference(known, self.identity)} differs); give another folder"
            )

    def get(self, name: str) -> Part | None:
        """The finished part, or None if it is missing or damaged."""
        path = self._path(name)
        try:
            checksum, _, text = path.read_text().partition("\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            checksum, text = "", ""
        if self._checksum(text) != checksum:
            print(f"{path} is damaged; {name} is trained again", file=sys.stderr)
            return None
        return Part(*(pd.DataFrame(table) for table in json.loads(text)))

    def put(self, name: str, part: Part) -> None:
        """Keep a finished part: the whole file or nothing."""
        text = json.dumps([table.to_dict("list") for table in part])
        try:
            if not self.label.exists():
                write(self.label, json.dumps(self.identity))
            write(self._path(name), self._checksum(text) + "\n" + text)
        except OSError as error:
            raise BadInput(f"{self._path(name)} cannot be written: {error.strerror}") from None

    def _checksum(self, text: str) -> str:
        return hashlib.sha256((json.dumps(self.identity) + text).encode()).hexdigest()

    def _path(self, name: str) -> Path:
        plain = re.sub(r"[^A-Za-z0-9-]+", "_", name)
        return self.folder / f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"


def write(path: Path, text: str) -> None:
    """Write through a temporary file and rename, so that nobody ever sees half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _identity(runs: Sequence[TaskData], jobs: Mapping[str, tuple]) -> dict[str, Any]:
    """Everything that changes a study's numbers, as text."""
    digest = hashlib.sha256()
    for run in runs:
        split = run.split
        for tensor in (run.x, run.y, split.train, split.validation, split.test, *run.scale):
            digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        what = (run.name, run.data_seed, split.kind, run.tasks, run.kinds)
        digest.update(repr((*what, run.exclusive, run.standardise)).encode())
    code = hashlib.sha256()
    here = Path(__file__).parent
    for name in CODE:
        code.update((here / f"{name}.py").read_bytes())
    parts = {}
    for name, (method, _, seeds, alphas, recipe, options) in jobs.items():
        made = _description(method.weighter)
        form = (method.networks, method.alpha, method.pretrain, method.reseeded)
        parts[name] = repr((made, form, seeds, alphas, asdict(recipe), sorted(options.items())))
    return {"data": digest.hexdigest(), "code": code.hexdigest(), "methods": parts}


def _description(weighter: Any) -> str:
    """What a `Method.weighter` is made of, with the source of its functions and classes."""
    keywords = getattr(weighter, "keywords", {})
    made = [getattr(weighter, "func", weighter), *getattr(weighter, "args", ()), *keywords.values()]
    text = [repr([*keywords])]
    for thing in made:
        text.append(re.sub(r" at 0x[0-9a-f]+", "", repr(thing)))
        if callable(thing):
            try:
                text.append(inspect.getsource(thing))
            except (OSError, TypeError):  # typed at a prompt
                text.append(repr(getattr(getattr(thing, "__code__", None), "co_code", None)))
    return repr(text)


def _difference(known: Any, wanted: dict[str, Any]) -> str:
    if not isinstance(known, dict):
        return "study.json"
    return ", ".join(k for k in wanted if known.get(k) != wanted[k]) or "study.json"
