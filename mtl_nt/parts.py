"""Finished parts of a study on disk: each written at once, checked when read, never unpickled."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .bits import Bits
from .files import LARGE, check_regular, content, temporary, write
from .forms import History, Results, Training, level, loads, where
from .pieces import Job, Outcome, Piece
from .tasks import BadInput, TaskData
from .terminal import warn

CODE = (
    "amtfl",
    "batches",
    "bits",
    "gradients",
    "jobs",
    "linear",
    "losses",
    "methods",
    "metrics",
    "models",
    "parts",
    "pieces",
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
    """The folder of one study: `study.json` says which. `NAME.json` holds a finished part,
    `NAME.0-16-32.safetensors` a finished piece of a part that is not: networks 16 to 31 of its
    first stack.

    Every file carries the SHA-256 of `study.json`, its own name and the rest. What a file that
    does not match should hold is trained again, and a line says so.

    Raises:
        BadInput: the folder holds another study, or one from other code, or cannot be written.
    """

    def __init__(self, folder: str | Path, runs: Sequence[TaskData], jobs: Mapping[str, Job]):
        if not isinstance(folder, (str, os.PathLike)) or not str(folder):
            raise BadInput(f"folder {folder!r}: give a folder's name, or None to keep nothing")
        self.folder = Path(folder)
        self.jobs, self.identity = jobs, _identity(runs, jobs)
        self.label = self.folder / "study.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary(self.folder):
                pass  # better now than after the training
            self._check_label()
        except OSError as error:
            raise BadInput(
                f"folder {str(folder)!r} cannot be used ({error.strerror}); give another folder"
            ) from None

    def get(self, name: str) -> Part | None:
        """The finished part, or None if it is missing or damaged."""
        path = self._path(name)
        try:
            checksum, _, text = content(path, LARGE).decode().partition("\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            checksum, text = "", ""
        if self._checksum(path, text.encode()) != checksum:
            warn(f"{path} is damaged; {name} is trained again")
            return None
        try:
            tables = loads(text, _form(name, self.jobs[name]))
        except ValueError:
            raise BadInput(
                f"{path} is no part of a study of this version; give another folder"
            ) from None
        self._drop_pieces(path)
        return Part(*map(pd.DataFrame, tables))

    def put(self, name: str, part: Part) -> None:
        """Keep a finished part, the whole file or nothing, and drop its pieces."""
        text = json.dumps([table.to_dict("list") for table in part])
        path = self._path(name)
        self._write(path, f"{self._checksum(path, text.encode())}\n{text}".encode())
        self._drop_pieces(path)

    def get_piece(self, name: str, piece: Piece) -> Outcome | None:
        """A finished piece, or None if it is missing or damaged."""
        path = self._path(name, piece)
        try:
            check_regular(path)
            with safe_open(path, framework="pt") as file:
                tensors = {field: file.get_tensor(field) for field in Outcome._fields}
                checksum = (file.metadata() or {}).get("sha256")
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError):
            tensors, checksum = {}, ""
        if self._checksum(path, _bytes(tensors)) != checksum:
            warn(f"{path} is damaged; this piece is trained again")
            return None
        return Outcome(**tensors)

    def put_piece(self, name: str, piece: Piece, outcome: Outcome) -> None:
        """Keep a finished piece: the whole file or nothing."""
        tensors = {k: v.cpu().contiguous() for k, v in outcome._asdict().items()}
        path = self._path(name, piece)
        self._write(path, save(tensors, {"sha256": self._checksum(path, _bytes(tensors))}))

    def _drop_pieces(self, path: Path) -> None:
        for piece in self.folder.glob(f"{path.stem}.*.safetensors"):
            piece.unlink(missing_ok=True)

    def _check_label(self) -> None:
        try:
            known = loads(content(self.label), Any)
        except FileNotFoundError:
            return
        except ValueError:
            raise BadInput(
                f"folder {str(self.folder)!r} cannot be used (study.json is damaged); "
                "give another folder"
            ) from None
        if known != self.identity:
            raise BadInput(
                f"folder {str(self.folder)!r} holds another study "
                f"({_difference(known, self.identity)} differs); give another folder"
            )

    def _write(self, path: Path, content: bytes) -> None:
        try:
            if not self.label.exists():
                write(self.label, json.dumps(self.identity).encode(), replace=False)
            self._check_label()  # another study may have come first
            write(path, content)
        except OSError as error:
            raise BadInput(f"{path} cannot be written: {error.strerror}") from None

    def _checksum(self, path: Path, content: bytes) -> str:
        label = json.dumps([self.identity, path.name]).encode()
        return hashlib.sha256(label + content).hexdigest()

    def _path(self, name: str, piece: Piece | None = None) -> Path:
        plain = re.sub(r"[^A-Za-z0-9-]+", "_", name)
        kind = ".json" if piece is None else ".{}-{}-{}.safetensors".format(*piece)
        return self.folder / f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}{kind}"


def code_digest(modules: Sequence[str]) -> str:
    """SHA-256 of these modules of the package, by their paths without the suffix."""
    digest, here = hashlib.sha256(), Path(__file__).parent
    for name in modules:
        digest.update((here / f"{name}.py").read_bytes())
    return digest.hexdigest()


def _bytes(tensors: Mapping[str, Tensor]) -> bytes:
    form = [(name, str(t.dtype), tuple(t.shape)) for name, t in sorted(tensors.items())]
    body = (t.contiguous().numpy().tobytes() for _, t in sorted(tensors.items()))
    return repr(form).encode() + b"".join(body)


def _form(name: str, job: Job) -> Any:
    """What a finished part says: the scores of its own method, tasks and runs."""

    def own(results: Results) -> bool:
        tasks, seeds = {*results["task"]}, {*results["seed"]}
        told = tasks == {*job.runs[0].tasks} and seeds == {*job.seeds}
        return told and {*results["method"]} == {name}

    scores = Annotated[Results, level, where(own)]
    return tuple[scores, Annotated[Training, level], Annotated[History, level]]


def _identity(runs: Sequence[TaskData], jobs: Mapping[str, Job]) -> dict[str, Any]:
    """Everything that changes a study's numbers, as text."""
    digest = hashlib.sha256()
    for run in runs:
        split = run.split
        x = (run.x.on, run.x.starts) if isinstance(run.x, Bits) else (run.x,)
        for tensor in (*x, run.y, split.train, split.validation, split.test, *run.scale):
            digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.contiguous().numpy())  # no copy of a large table
        what = (run.name, tuple(run.x.shape), run.data_seed, split.kind, run.tasks, run.kinds)
        more = (run.exclusive, run.standardise, run.row_groups)
        digest.update(repr((*what, *more)).encode())
    methods = {}
    for name, job in jobs.items():
        m = job.method
        form = (m.networks, m.alpha, m.pretrain, m.reseeded)
        made = (*map(_description, (m.weighter, m.search, m.predictor)), form)
        budget = job.trials if m.search else 1
        settings = (asdict(job.recipe), sorted(job.options.items()), budget)
        methods[name] = repr((made, job.seeds, job.alphas, settings))
    return {
        "data": digest.hexdigest(),
        "code": code_digest(CODE),
        "torch": torch.__version__.partition("+")[0],
        "methods": methods,
    }


def _description(made: Any) -> str:
    """What a method's function is made of, with the source of the functions and classes in it."""
    keywords = getattr(made, "keywords", {})
    things = [getattr(made, "func", made), *getattr(made, "args", ()), *keywords.values()]
    text = [repr([*keywords])]
    for thing in things:
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
