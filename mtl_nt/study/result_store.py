"""What a comparison has finished, kept on disk: `ResultStore`.

A comparison that stops early goes on from its folder. Every file is written whole or not at all,
and it is checked when it is read. No file is ever unpickled.
"""

from __future__ import annotations

import hashlib
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

from ..bits import Bits
from ..errors import BadInput
from ..files import LARGE_FILE, check_regular, read_bytes, temporary_folder, write_atomically
from ..tasks import TaskData
from ..terminal import warn
from .chunks import Chunk, ChunkResult, TrainingJob, replica_stacks
from .identity import body_identity, identity
from .method import Method
from .schema import (
    HistoryTable,
    ResultsTable,
    TrainingTable,
    ValidationTable,
    equal_lengths,
    load_json,
    satisfies,
)

CODE = ("networks", "weighters", "training", "study", "tasks", "bits.py", "errors.py")
"""Rooms and files of the package that the numbers of a result depend on."""


class MethodResult(NamedTuple):
    """The tables of one method, with the columns of `study.Study`."""

    results: pd.DataFrame
    training: pd.DataFrame
    history: pd.DataFrame
    validation: pd.DataFrame


class ResultStore:
    """The folder in which one comparison keeps what it has finished.

    `study.json` says which comparison it is. `NAME.json` holds the result of a finished method.
    `NAME.0-16-32.safetensors` holds a finished chunk of a method that is not finished: networks 16
    to 31 of its first stack.

    Every file carries the SHA-256 of `study.json`, of its own name and of its content. Where a file
    does not match its checksum, a warning says so, and its content is trained again.

    Args:
        folder: made where it is missing.
        runs: the data of every seed.
        jobs: all training jobs of the comparison, by name of the method.

    Raises:
        BadInput: the folder holds another study, or one from other code, or cannot be written; or a
            method holds what cannot be compared with another one (see `identity`).
    """

    def __init__(
        self, folder: str | Path, runs: Sequence[TaskData], jobs: Mapping[str, TrainingJob]
    ):
        if not isinstance(folder, (str, os.PathLike)) or not str(folder):
            raise BadInput(f"folder {folder!r}: give a folder's name, or None to keep nothing")
        self.folder = Path(folder)
        self.jobs, self.identity = jobs, _identity(runs, jobs)
        self.tasks = len(runs[0].tasks)
        self.test_rows = max(len(run.split.test) for run in runs)
        self.label_path = self.folder / "study.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary_folder(self.folder):
                pass  # better now than after the training
            self._check_label()
        except OSError as error:
            raise BadInput(
                f"folder {str(folder)!r} cannot be used ({error.strerror}); give another folder"
            ) from None

    def get(self, name: str) -> MethodResult | None:
        """The result of a method, or None if it is missing or damaged."""
        path = self._path(name)
        try:
            checksum, _, text = read_bytes(path, LARGE_FILE).decode().partition("\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            checksum, text = "", ""
        if self._checksum(path, text.encode()) != checksum:
            warn(f"{path} is damaged; {name} is trained again")
            return None
        try:
            tables = load_json(text, _schema(name, self.jobs[name]))
        except ValueError:
            raise BadInput(
                f"{path} is no part of a study of this version; give another folder"
            ) from None
        self._drop_chunks(path)
        return MethodResult(*map(pd.DataFrame, tables))

    def put(self, name: str, result: MethodResult) -> None:
        """Keep the result of a method, the whole file or nothing, and delete its chunks."""
        text = json.dumps([table.to_dict("list") for table in result])
        path = self._path(name)
        self._write(path, f"{self._checksum(path, text.encode())}\n{text}".encode())
        self._drop_chunks(path)

    def get_chunk(self, name: str, chunk: Chunk) -> ChunkResult | None:
        """The result of a chunk, or None if it is missing or damaged."""
        path = self._path(name, chunk)
        try:
            check_regular(path)
            with safe_open(path, framework="pt") as file:
                tensors = {field: file.get_tensor(field) for field in ChunkResult._fields}
                checksum = (file.metadata() or {}).get("sha256")
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError):
            tensors, checksum = {}, ""
        whole = self._checksum(path, _bytes(tensors)) == checksum
        if not whole or not self._is_result(result := ChunkResult(**tensors), name, chunk):
            warn(f"{path} is damaged; this chunk is trained again")
            return None
        return result

    def _is_result(self, result: ChunkResult, name: str, chunk: Chunk) -> bool:
        """Whether these tensors have the kinds and shapes that a chunk's result has. A checksum has
        no secret, so it says nothing about them.
        """
        job, networks = self.jobs[name], chunk.stop - chunk.start
        scored = replica_stacks(job)[chunk.stack].replicas.scored[chunk.start : chunk.stop]
        outputs = int(scored.sum(0) @ torch.tensor(job.runs[0].outputs_per_task))
        # Where each network has one task, it has one column.
        columns = 1 if result.losses.shape[2:] == (1,) else self.tasks
        shape = (networks, columns)
        numbers = result._replace(diverged=result.losses, window=result.losses)
        return (
            all(tensor.is_floating_point() for tensor in numbers)
            and (result.diverged.dtype, result.window.dtype) == (torch.bool, torch.int64)
            and result.diverged.shape == (networks,)
            and result.window.shape == result.seconds.shape == ()
            and int(result.window) > 0
            and result.losses.shape == result.weights.shape == (len(result.losses), *shape)
            and result.validation.shape == (len(result.validation), *shape)
            and result.outputs.ndim == 3
            and result.outputs.shape[1] == outputs
            and result.outputs.shape[2] <= self.test_rows
            and min(len(result.losses), len(result.outputs)) > 0
            and result.scores.numel() == len(result.scores) * int(scored.sum())
        )

    def put_chunk(self, name: str, chunk: Chunk, result: ChunkResult) -> None:
        """Keep the result of a chunk, the whole file or nothing."""
        tensors = {k: v.cpu().contiguous() for k, v in result._asdict().items()}
        path = self._path(name, chunk)
        self._write(path, save(tensors, {"sha256": self._checksum(path, _bytes(tensors))}))

    def _drop_chunks(self, path: Path) -> None:
        for chunk in self.folder.glob(f"{path.stem}.*.safetensors"):
            chunk.unlink(missing_ok=True)

    def _check_label(self) -> None:
        try:
            identity = load_json(read_bytes(self.label_path), Any)
        except FileNotFoundError:
            return
        except ValueError:
            raise BadInput(
                f"folder {str(self.folder)!r} cannot be used (study.json is damaged); "
                "give another folder"
            ) from None
        if identity != self.identity:
            raise BadInput(
                f"folder {str(self.folder)!r} holds another study "
                f"({_difference(identity, self.identity)} differs); give another folder"
                f"{_changed_method(identity, self.identity)}"
            )

    def _write(self, path: Path, content: bytes) -> None:
        try:
            if not self.label_path.exists():
                write_atomically(self.label_path, json.dumps(self.identity).encode(), replace=False)
            self._check_label()  # another study may have come first
            write_atomically(path, content)
        except OSError as error:
            raise BadInput(f"{path} cannot be written: {error.strerror}") from None

    def _checksum(self, path: Path, content: bytes) -> str:
        label = json.dumps([self.identity, path.name]).encode()
        return hashlib.sha256(label + content).hexdigest()

    def _path(self, name: str, chunk: Chunk | None = None) -> Path:
        readable = re.sub(r"[^A-Za-z0-9-]+", "_", name)
        kind = ".json" if chunk is None else ".{}-{}-{}.safetensors".format(*chunk)
        return self.folder / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}{kind}"


def code_digest(*places: str) -> str:
    """SHA-256 of the code in these rooms and files of the package, and of the files' places.

    >>> code_digest("tasks") == code_digest("bits.py")
    False
    """
    digest, package = hashlib.sha256(), Path(__file__).parents[1]
    for place in places:
        room = package / place
        for path in sorted(room.glob("*.py")) if room.is_dir() else [room]:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _bytes(tensors: Mapping[str, Tensor]) -> bytes:
    header = [(name, str(t.dtype), tuple(t.shape)) for name, t in sorted(tensors.items())]
    body = (t.contiguous().numpy().tobytes() for _, t in sorted(tensors.items()))
    return repr(header).encode() + b"".join(body)


def _schema(name: str, job: TrainingJob) -> Any:
    """The schema of a method's result, whose scores are those of its own tasks and runs."""

    def of_this_job(results: ResultsTable) -> bool:
        tasks, seeds = {*results["task"]}, {*results["seed"]}
        complete = tasks == {*job.runs[0].tasks} and seeds == {*job.seeds}
        return complete and {*results["method"]} == {name}

    scores = Annotated[ResultsTable, equal_lengths, satisfies(of_this_job)]
    return tuple[
        scores,
        Annotated[TrainingTable, equal_lengths],
        Annotated[HistoryTable, equal_lengths],
        Annotated[ValidationTable, equal_lengths],
    ]


def data_digest(runs: Sequence[TaskData]) -> str:
    """A checksum of all that a training reads of these runs.

    >>> from mtl_nt import load
    >>> digits = load("digits")
    >>> data_digest([digits]) == data_digest([load("digits")]) != data_digest([digits, digits])
    True
    """
    digest = hashlib.sha256()
    for run in runs:
        split = run.split
        x = (run.x.on, run.x.starts) if isinstance(run.x, Bits) else (run.x,)
        for tensor in (*x, run.y, split.train, split.validation, split.test, *run.scale):
            digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.contiguous().numpy())  # no copy of a large table
        about = (run.name, tuple(run.x.shape), run.data_seed, split.kind, run.tasks, run.kinds)
        options = (run.exclusive, run.standardise, run.row_groups, run.forms)
        digest.update(repr((*about, *options)).encode())
        if run.classes or run.class_weight:
            digest.update(repr(([*run.classes.items()], run.class_weight)).encode())
        if run.weights is not None:
            digest.update(run.weights.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _identity(runs: Sequence[TaskData], jobs: Mapping[str, TrainingJob]) -> dict[str, Any]:
    """Everything that changes a study's numbers, as text."""
    methods = {}
    for name, job in jobs.items():
        m = job.method
        flags = (m.networks, m.alpha, m.pretrain, m.frozen, m.reseeded, m.units)
        settings = (asdict(job.recipe), sorted(job.options.items()))
        plan = repr((flags, job.seeds, job.alphas, settings, job.candidates))
        methods[name] = {"plan": plan, "functions": _functions(m)}
    bodies = {
        name: body_identity(job.recipe.own_body)
        for name, job in jobs.items()
        if job.recipe.own_body is not None and job.method.predictor is None
    }
    return {
        "data": data_digest(runs),
        "code": code_digest(*CODE),
        "torch": torch.__version__.partition("+")[0],
        "methods": methods,
        **({"architecture": bodies} if bodies else {}),
    }


def _functions(method: Method) -> str:
    """What a method's functions are, as text: their version where the method has one. The search is
    not among them, since its candidates are known.
    """
    if method.version is not None:
        return f"version {method.version!r}"
    return identity((method.weighter, method.predictor), f"method {method.name!r}")


def _difference(found: Any, wanted: dict[str, Any]) -> str:
    if not isinstance(found, dict):
        return "study.json"
    return ", ".join(k for k in wanted if found.get(k) != wanted[k]) or "study.json"


def _changed_method(found: Any, wanted: dict[str, Any]) -> str:
    """Which method has other functions than the folder's, where two studies have the same plans."""
    there, here = found.get("methods") if isinstance(found, dict) else None, wanted["methods"]
    if there == here and "architecture" in found and "architecture" in wanted:
        return " (the body has other code than there, or reads other values)"
    if not isinstance(there, dict) or there.keys() != here.keys():
        return ""
    changed = [name for name in here if there[name] != here[name]]
    if any(not isinstance(there[n], dict) or there[n]["plan"] != here[n]["plan"] for n in changed):
        return ""
    return f" ({changed[0]!r} has other code than there, or reads other values)" if changed else ""
