"""The audit of a table of tasks: which of them multi-task training harms, and what helps.

One study with every method, the trunk-width check and the tasks' affinity, planned so that it fits
a budget of time, kept in a folder so that it survives being killed, and put together as one
`Audit` that a notebook or a page draws without training again.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from . import __version__, parts, terminal
from .affinity import STAGES, affinity
from .audit_folder import Folder
from .audit_plan import (
    TRIALS,
    WIDTHS,
    Plan,
    blocks,
    methods_of,
    on_all_cores,
    planned,
    seconds_of,
    words_of,
    work_of,
)
from .datasets import load
from .datasets.columns import few
from .datasets.opening import digest
from .datasets.table import is_table, read_table
from .forms import Count, Finite, Tables, level, where
from .methods import CONSTANT, STL, Method, at_widths, twin
from .recipe import Recipe
from .records import Checkpoint
from .study import Study, alpha_numbers, compare, seed_numbers
from .tasks import BadInput, Kind, TaskData, is_whole

METHODS_ASKED = (
    "MTL",
    "Fine-Tuning",
    "RMTL",
    "LBTW",
    "GradNorm",
    "Uncertainty",
    "MTL, tuned",
    "Scalarisation",
    "RandomWeights",
)
"""What is tried by default: the first paper's columns, and the rivals that every comparison has."""
ALPHAS = (0.0, 0.1, 0.25, 0.5, 1.0)
FIRST = 100  # run; the data sets' own settings were chosen on lower ones
FILE = "audit.json"
OWN = ("affinity", "audit", "audit_plan")  # modules that an audit's numbers depend on, too
TABLES = ("results", "training", "history")
Say = Callable[[str], object]


@dataclass(frozen=True)
class Source:
    """What is audited: a data set's name or a table's path, and how to read it.

    `options` are those of `datasets.load`: of a table see `datasets.table.read_table`. `sha256` is
    that of the table's file: no other content is read.
    """

    name: str
    options: Mapping[str, Any]
    sha256: str | None = None

    def read(self) -> tuple[TaskData, tuple[str, ...]]:
        """The data, and a sentence each on what was read, dropped and imputed."""
        if is_table(self.name):
            table = read_table(self.name, **self.options)
            if self.sha256 not in (None, table.sha256):
                raise BadInput(f"{Path(self.name).name} changed since it was asked for; try again")
            return _outlined(table.data), table.notes
        return load(self.name, **self.options), ()

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these data from others without reading them as a table."""
        return {"data": self.sha256 or self.name, "options": dict(self.options)}


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found. Figures and sentences read this and nothing else.

    `study` has every method that was planned, the arms of the width check among them (see
    `asked`); `cosines` the mean cosine of every pair of tasks' gradients by stage of training, in
    MTL networks; `labels` a row a task: kind, labels, positives.
    """

    name: str
    study: Study
    plan: Plan
    cosines: Float[np.ndarray, "stages T T"] | None
    labels: pd.DataFrame
    notes: tuple[str, ...]
    made: Mapping[str, Any]  # seconds, versions, and what repeats it

    @cached_property
    def asked(self) -> Study:
        """The study without the arms of the width check."""
        return without(self.study, [m.name for m in at_widths(self.study.recipe, WIDTHS)])


def audit(
    source: str | Path,
    methods: str | Sequence[str] | None = None,
    alphas: Sequence[float] | None = None,
    seeds: int | Sequence[int] = 5,
    steps: int | None = None,
    budget: float | str | None = None,
    folder: str | Path | None = None,
    device: str = "cpu",
    memory: float = 1.0,
    progress: bool = True,
    say: Say = terminal.say,
    sha256: str | None = None,
    **options: Any,
) -> Audit:
    """Compare multi-task with single-task training on a data set or a table of one's own.

    Args:
        source: a data set's name, or the path of a table (CSV, TSV or Parquet).
        methods: by name, by default `METHODS_ASKED`; "MTL" is always there. "NAME, tuned" is a
            method with its learning rate and weight decay chosen on validation rows.
        alphas: for the methods that have one, by default `ALPHAS`.
        seeds: how many runs (100, 101, ...: nothing was chosen on those), or which.
        steps: the budget in optimiser steps a network; by default the data's own.
        budget: seconds, or text such as "90s", "5min" or "2h": what does not fit is left out, the
            most expensive first, and named.
        folder: keep what is finished here; the same call goes on from there.
        device, memory: see `compare`.
        progress: show a bar.
        say: is told the estimate of time before training starts, and what is left out.
        sha256: of the table's file, where it is known: no other content is read, and none at all
            where all of it is in the folder already.
        options: how to read the data: of a table `targets`, `features`, `smiles`, `group`,
            `split`, `ignore`, `regression` and `folds`; else the data set's own.

    Raises:
        BadInput: anything a person can mend, in one line.
    """
    begin = time.monotonic()
    if sha256 is None and is_table(str(source)):
        sha256 = digest(str(source))
    told = Source(str(source), options, sha256)
    numbers = seed_numbers(seeds)
    if is_whole(seeds, 1):
        numbers = [FIRST + k for k in numbers]
    if len(numbers) < 2:
        raise BadInput(f"seeds {seeds!r}: one run decides nothing; give 2 or more")
    methods = METHODS_ASKED if methods is None else methods
    alphas = alpha_numbers(ALPHAS if alphas is None else alphas)
    allowed = seconds_of(budget)
    wanted = {
        **told.identity,
        "methods": [m.name for m in methods_of(methods)],
        "alphas": alphas,
        "seeds": numbers,
        "steps": steps,
        "budget": allowed,
        "code": parts.code_digest([*parts.CODE, *OWN, *_readers()]),
        "torch": torch.__version__.partition("+")[0],
    }
    shelf = None if folder is None else Folder(Path(folder), wanted)

    def asked(plan: Plan) -> bool:
        mine = {*plan.methods} <= {*wanted["methods"]} and plan.seeds == (*numbers,)
        return mine and plan.alphas == (*alphas,)

    whole = Annotated[Kept, where(_agrees), where(lambda kept: asked(kept["plan"]))]
    if shelf and (done := shelf.get(FILE, whole)) is not None:
        say(f"all of it is in {shelf.path} already; nothing is trained")
        return _loaded(done)
    data, notes = told.read()
    if len(data.tasks) < 2:
        raise BadInput(f"data set {data.name!r} has one task; negative transfer takes two or more")
    settings: dict[str, Any] = {"device": device, "memory": memory, "trials": TRIALS}
    form = Annotated[Plan, where(asked)]
    plan: Plan | None = shelf.get("plan.json", form) if shelf else None
    if plan is None:
        say("estimating how long this takes ...")
        plan = planned(data, methods, alphas, numbers, steps, allowed, settings)
        if shelf:
            shelf.keep("plan.json", asdict(plan))
            plan = shelf.get("plan.json", form) or plan
    say(f"about {words_of(plan.seconds)} on this machine: {work_of(plan, data)}")
    for line in plan.left_out:
        say(f"left out: {line}")
    study = _studied(data, plan, steps, settings, shelf, progress)
    if names := _unscored(study):
        why = "for want of test labels of both classes"
        if len(names) == len(data.tasks):
            raise BadInput(f"{data.name}: no task is scored in every run, {why}; give more labels")
        notes = (*notes, f"Not scored in every run, {why}: {few(names)}.")
    cosines = None
    if plan.affinity:
        cosines = _affinity_kept(data, plan, steps, device, shelf)
    found = Audit(
        data.name,
        study,
        plan,
        cosines,
        labels_of(data),
        (*notes, f"Data: {data.provenance or data.name}."),
        {
            "seconds": round(time.monotonic() - begin, 1),
            "version": __version__,
            "torch": torch.__version__,
            "source": told.name,
            "options": dict(told.options),
            "steps": steps,
            "rows": len(data.x),
            "features": math.prod(data.x.shape[1:]),
            "split": data.split.kind,
            "parts": [len(p) for p in (data.split.train, data.split.validation, data.split.test)],
        },
    )
    if shelf:
        shelf.keep(FILE, _dumped(found))
    return found


def command(found: Audit) -> str:
    """The command that repeats an audit: the plan itself, whatever budget it came from."""
    made, plan, words = found.made, found.plan, ["python", "-m", "mtl_nt", "report"]
    words.append(made["source"])
    for name, value in made["options"].items():
        if value is None or value == () or value == []:
            continue
        several = isinstance(value, (list, tuple))
        words += [f"--{name}", ",".join(map(str, value)) if several else str(value)]
    words += ["--methods", ";".join(plan.methods)]
    if plan.alphas:
        words += ["--alphas", ",".join(f"{a:g}" for a in plan.alphas)]
    words += ["--seeds", ",".join(map(str, plan.seeds))]
    if made["steps"] is not None:
        words += ["--steps", str(made["steps"])]
    return shlex.join(words)


def _outlined(data: TaskData) -> TaskData:
    """The same without the numbers of the features, which every run draws anew: a large table is
    not kept a second time beside the run that trains.
    """
    if data.redraw is None or not isinstance(data.x, torch.Tensor):
        return data
    return replace(data, x=data.x.new_zeros(1).expand(data.x.shape))


def labels_of(data: TaskData) -> pd.DataFrame:
    """A row a task: its kind, its labels, and the positives of a binary one."""
    labelled, positive = data.labelled.sum(0), (data.y == 1).sum(0)
    return pd.DataFrame(
        {
            "task": list(data.tasks),
            "kind": list(data.kinds),
            "labels": labelled.tolist(),
            "positives": [
                int(p) if b else None for p, b in zip(positive, data.binary.tolist(), strict=True)
            ],
        }
    ).astype({"positives": "Int64"})


def _unscored(study: Study) -> list[str]:
    """Tasks that lack what they are scored by in a run, or in several."""
    rows = study.results[study.results["method"] == CONSTANT]  # which never diverges
    judged = rows[rows["metric"] == rows["task"].map(study.metric)]
    return [str(task) for task in judged["task"][judged["value"].isna()].unique()]


def without(study: Study, methods: Sequence[str]) -> Study:
    """The study without these methods."""
    every = {name: getattr(study, name) for name in TABLES}
    gone = {name: table["method"].isin(methods) for name, table in every.items()}
    return replace(study, **{n: t[~gone[n]].reset_index(drop=True) for n, t in every.items()})


# ---------------------------------------------------------------------------------- training


def _studied(
    data: TaskData,
    plan: Plan,
    steps: int | None,
    settings: Mapping[str, Any],
    shelf: Folder | None,
    progress: bool,
) -> Study:
    arms: list[Method] = methods_of(plan.methods)
    if plan.widths:
        arms += at_widths(Recipe.of(data, steps=steps), WIDTHS)
    studies = []
    with on_all_cores(data) as (executor, cores):
        for block in blocks(data, plan.seeds, settings["memory"]):
            folder = None if shelf is None else shelf.path / f"runs-{block[0]}-{block[-1]}"
            own = {**settings, "memory": settings["memory"] / cores, "executor": executor}
            given = {**own, "steps": steps, "folder": folder, "progress": progress}
            studies.append(compare(data, arms, plan.alphas, block, **given))
    return joined(studies)


def joined(studies: Sequence[Study]) -> Study:
    """Studies of the same methods on other runs, as one."""
    tables = {
        name: pd.concat([getattr(s, name) for s in studies], ignore_index=True) for name in TABLES
    }
    return replace(studies[0], overlap=float(np.mean([s.overlap for s in studies])), **tables)


def _affinity_kept(
    data: TaskData, plan: Plan, steps: int | None, device: str, shelf: Folder | None
) -> Float[np.ndarray, "stages T T"]:
    form = Annotated[Cosines, where(lambda kept: _cosines_of(kept, len(data.tasks)))]
    if shelf and (kept := shelf.get("affinity.json", form)) is not None:
        return np.array(kept, dtype=float)
    recipe = Recipe.of(data, steps=steps)
    every = [
        affinity(data, block, recipe, device) * len(block)
        for block in blocks(data, plan.seeds, 1.0)
    ]
    found: Float[np.ndarray, "stages T T"] = sum(every) / len(plan.seeds)  # type: ignore[assignment]
    found = found.round(4)
    if shelf:
        shelf.keep("affinity.json", found.tolist())
    return found


# ---------------------------------------------------------------------------------- the folder


def _readers() -> list[str]:
    """The modules that read data: another reading is another audit."""
    here = Path(__file__).parent
    return [f"datasets/{path.stem}" for path in sorted((here / "datasets").glob("*.py"))]


def _dumped(found: Audit) -> dict[str, Any]:
    """An audit as JSON can write it."""
    study = found.study
    return {
        "name": found.name,
        "tables": {name: getattr(study, name).to_dict("list") for name in TABLES},
        "metric": dict(study.metric),
        "overlap": study.overlap,
        "recipe": asdict(study.recipe),
        "checkpoint": study.checkpoint,
        "plan": asdict(found.plan),
        "cosines": None if found.cosines is None else found.cosines.tolist(),
        "labels": found.labels.astype(object).where(found.labels.notna(), None).to_dict("list"),
        "notes": list(found.notes),
        "made": dict(found.made),
    }


def _loaded(kept: Kept) -> Audit:
    tables = kept["tables"]
    study = Study(
        pd.DataFrame(tables["results"]),
        pd.DataFrame(tables["training"]),
        pd.DataFrame(tables["history"]),
        metric=kept["metric"],
        overlap=kept["overlap"],
        recipe=kept["recipe"],
        checkpoint=kept["checkpoint"],
    )
    cosines = None if kept["cosines"] is None else np.array(kept["cosines"], dtype=float)
    labels = pd.DataFrame(kept["labels"]).astype({"positives": "Int64"})
    return Audit(kept["name"], study, kept["plan"], cosines, labels, kept["notes"], kept["made"])


Cosines = list[list[list[float]]]
Option = None | bool | int | float | str


class Labels(TypedDict):
    """The columns of `Audit.labels`."""

    task: Annotated[list[str], where(lambda tasks: len({*tasks}) == len(tasks) > 1)]
    kind: list[Kind]
    labels: list[Count]
    positives: list[Count | None]


class Made(TypedDict):
    """See `Audit.made`."""

    seconds: Finite
    version: str
    torch: str
    source: str
    options: dict[str, Option | list[Option]]
    steps: int | None
    rows: Count
    features: Count
    split: Literal["new data", "free", "fixed"]
    parts: Annotated[list[Count], where(lambda parts: len(parts) == 3)]


class Kept(TypedDict):
    """What `audit.json` says."""

    name: str
    tables: Tables
    metric: dict[str, Literal["PR-AUC", "MSE"]]
    overlap: Finite
    recipe: Recipe
    checkpoint: Checkpoint
    plan: Plan
    cosines: Cosines | None
    labels: Annotated[Labels, level]
    notes: tuple[str, ...]
    made: Made


def _agrees(kept: Kept) -> bool:
    """Whether an audit says the same of its tasks, methods and runs wherever it says it."""
    plan, tasks = kept["plan"], {*kept["labels"]["task"]}
    tables = kept["tables"]
    results, training, history = tables["results"], tables["training"], tables["history"]
    methods = {STL.name, twin(STL).name, CONSTANT, *plan.methods}
    if plan.widths:
        methods |= {m.name for m in at_widths(kept["recipe"], WIDTHS)}
    keys = ["method", "alpha", "seed", "task", "metric"]
    cosines = kept["cosines"]
    return (
        [m.name for m in methods_of(plan.methods)] == [*plan.methods]
        and {*results["method"]} == {*training["method"], CONSTANT} == methods
        and {*history["method"]} <= methods
        and {*results["seed"]} == {*training["seed"]} == {*plan.seeds} >= {*history["seed"]}
        and {*results["task"]} == {*kept["metric"]} == tasks >= {*history["task"]}
        and {*results["metric"]} >= {*kept["metric"].values()}
        and {*results["split"]} == {kept["made"]["split"]}
        and not pd.DataFrame(results)[keys].duplicated().any()
        and (cosines is not None) == plan.affinity
        and (cosines is None or _cosines_of(cosines, len(tasks)))
    )


def _cosines_of(kept: Cosines, tasks: int) -> bool:
    return np.shape(kept) == (len(STAGES), tasks, tasks) and not (np.abs(kept) > 1.001).any()
