"""The audit of a table of tasks: which of them multi-task training harms, and what helps.

`audit` trains one study with every method, checks other widths of the trunk, and measures how alike
the tasks' gradients are. It plans the work so that it fits a budget of time. It keeps what is
finished in a folder, so that it can go on after it was stopped. The result is one `Audit`, which a
notebook or a page draws without training again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch

from .. import __version__, terminal
from ..datasets import is_table, shortlist, table_digest
from ..networks import Recipe
from ..study import (
    CONSTANT,
    Affinity,
    Method,
    Study,
    compare,
    gradient_affinity,
    methods_at_widths,
    parse_alphas,
    parse_seeds,
    satisfies,
)
from ..study import result_store as parts
from ..tasks import BadInput, TaskData, is_whole_number
from .folder import AuditFolder
from .plan import (
    TRIALS,
    WIDTH_FACTORS,
    Plan,
    describe_work,
    format_seconds,
    make_plan,
    on_all_cores,
    parse_methods,
    parse_seconds,
    seed_blocks,
)
from .result import TABLES, Audit
from .saved import (
    FILE,
    SavedAffinity,
    SavedAudit,
    affinity_from_json,
    affinity_to_json,
    from_json,
    is_affinity,
    is_consistent,
    to_json,
)
from .source import Source

DEFAULT_METHODS = (
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
"""The methods that an audit tries: the columns of the LBTW paper, and the usual rivals of MTL."""
DEFAULT_ALPHAS = (0.0, 0.1, 0.25, 0.5, 1.0)
FIRST_SEED = 100  # the settings of the data sets were chosen on runs with lower seeds
CODE = (*parts.CODE, "datasets", "audit/audit.py", "audit/plan.py", "audit/source.py")
"""The folders and files of the package that an audit's numbers depend on."""
Say = Callable[[str], object]


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
    """Compare multi-task with single-task training on a data set or a table of your own.

    Args:
        source: the name of a data set, or the path of a table (CSV, TSV or Parquet).
        methods: the names of methods, by default `DEFAULT_METHODS`. "MTL" is always among them.
            "NAME, tuned" is a method whose learning rate and weight decay are chosen on
            validation rows.
        alphas: the alphas of the methods that have one, by default `DEFAULT_ALPHAS`.
        seeds: how many runs, or a list of their seeds. A number means the seeds 100, 101, ...,
            on which no setting of this package was chosen.
        steps: the optimiser steps of every network; by default the data set's own.
        budget: a time in seconds, or text such as "90s", "5min" or "2h". What does not fit is left
            out, the most expensive first, and the audit names it.
        folder: keeps what is finished. The same call continues from there.
        device, memory: see `compare`.
        progress: whether a bar is shown.
        say: a function that gets the estimate of the time, and what is left out, as lines of text.
        sha256: the digest of the table's file, where you know it. A file with other content is
            refused. Where the folder holds the whole audit, the file is not read at all.
        options: how the data are read. A table takes `targets`, `features`, `smiles`, `group`,
            `split`, `ignore`, `regression` and `folds`; a data set takes its own options.

    Raises:
        BadInput: anything that you can mend; the message is one line that says how.

    >>> audit("dial-unrelated", seeds=1)
    Traceback (most recent call last):
    mtl_nt.tasks.BadInput: seeds 1: one run decides nothing; give 2 or more
    """
    start = time.monotonic()
    if sha256 is None and is_table(str(source)):
        sha256 = table_digest(str(source))
    asked = Source(str(source), options, sha256)
    numbers = parse_seeds(seeds)
    if is_whole_number(seeds, 1):
        numbers = [FIRST_SEED + k for k in numbers]
    if len(numbers) < 2:
        raise BadInput(f"seeds {seeds!r}: one run decides nothing; give 2 or more")
    methods = DEFAULT_METHODS if methods is None else methods
    alphas = parse_alphas(DEFAULT_ALPHAS if alphas is None else alphas)
    seconds = parse_seconds(budget)
    request = {
        **asked.identity,
        "methods": [m.name for m in parse_methods(methods)],
        "alphas": alphas,
        "seeds": numbers,
        "steps": steps,
        "budget": seconds,
        "code": parts.code_digest(*CODE),
        "torch": torch.__version__.partition("+")[0],
    }
    store = None if folder is None else AuditFolder(Path(folder), request)

    def answers(plan: Plan) -> bool:
        known = {*plan.methods} <= {*request["methods"]}
        return known and plan.seeds == (*numbers,) and plan.alphas == (*alphas,)

    schema = Annotated[
        SavedAudit, satisfies(is_consistent), satisfies(lambda saved: answers(saved["plan"]))
    ]
    if store and (saved := store.get(FILE, schema)) is not None:
        say(f"all of it is in {store.path} already; nothing is trained")
        return from_json(saved)
    data, notes = asked.read()
    if len(data.tasks) < 2:
        raise BadInput(f"data set {data.name!r} has one task; negative transfer takes two or more")
    settings: dict[str, Any] = {"device": device, "memory": memory, "trials": TRIALS}
    plan_schema = Annotated[Plan, satisfies(answers)]
    plan: Plan | None = store.get("plan.json", plan_schema) if store else None
    if plan is None:
        say("estimating how long this takes ...")
        plan = make_plan(data, methods, alphas, numbers, steps, seconds, settings)
        if store:
            store.put("plan.json", asdict(plan))
            plan = store.get("plan.json", plan_schema) or plan
    say(f"about {format_seconds(plan.seconds)} on this machine: {describe_work(plan, data)}")
    for line in plan.left_out:
        say(f"left out: {line}")
    study = _train_study(data, plan, steps, settings, store, progress)
    if names := _unscored(study):
        why = "for want of test labels of both classes"
        if len(names) == len(data.tasks):
            raise BadInput(f"{data.name}: no task is scored in every run, {why}; give more labels")
        notes = (*notes, f"Not scored in every run, {why}: {shortlist(names)}.")
    affinity = None
    if plan.affinity:
        affinity = _measure_affinity(data, plan, steps, device, store)
    result = Audit(
        data.name,
        study,
        plan,
        affinity,
        label_counts(data),
        (*notes, f"Data: {data.provenance or data.name}."),
        {
            "seconds": round(time.monotonic() - start, 1),
            "version": __version__,
            "torch": torch.__version__,
            "source": asked.name,
            "options": dict(asked.options),
            "steps": steps,
            "rows": len(data.x),
            "features": math.prod(data.x.shape[1:]),
            "split": data.split.kind,
            "parts": [len(p) for p in (data.split.train, data.split.validation, data.split.test)],
        },
    )
    if store:
        store.put(FILE, to_json(result))
    return result


@cache
def example_audit() -> Audit:
    """A small audit of `dial`, trained once in some seconds. The examples of this room use it.

    >>> example_audit().name
    'dial-unrelated'
    """
    return audit("dial", "MTL", seeds=2, steps=10, progress=False, say=lambda line: None)


def label_counts(data: TaskData) -> pd.DataFrame:
    """One row per task: its kind, how many labels it has, and how many positives if it is binary.

    >>> from mtl_nt import load
    >>> label_counts(load("dial-unrelated")).head(2)
            task        kind  labels  positives
    0  related 1  regression     580       <NA>
    1  related 2  regression     580       <NA>
    """
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
    """The tasks that have no score in one run or several, whatever the method."""
    rows = study.results[study.results["method"] == CONSTANT]  # which never diverges
    judged = rows[rows["metric"] == rows["task"].map(study.metric)]
    return [str(task) for task in judged["task"][judged["value"].isna()].unique()]


def _train_study(
    data: TaskData,
    plan: Plan,
    steps: int | None,
    settings: Mapping[str, Any],
    store: AuditFolder | None,
    progress: bool,
) -> Study:
    arms: list[Method] = parse_methods(plan.methods)
    if plan.widths:
        arms += methods_at_widths(Recipe.for_data(data, steps=steps), WIDTH_FACTORS)
    studies = []
    with on_all_cores(data) as (executor, cores):
        for block in seed_blocks(data, plan.seeds, settings["memory"]):
            folder = None if store is None else store.path / f"runs-{block[0]}-{block[-1]}"
            shared = {**settings, "memory": settings["memory"] / cores, "executor": executor}
            options = {**shared, "steps": steps, "folder": folder, "progress": progress}
            studies.append(compare(data, arms, plan.alphas, block, **options))
    return concatenate_studies(studies)


def concatenate_studies(studies: Sequence[Study]) -> Study:
    """Join studies of the same methods, each on runs of its own, into one study."""
    tables = {
        name: pd.concat([getattr(s, name) for s in studies], ignore_index=True) for name in TABLES
    }
    return replace(studies[0], overlap=float(np.mean([s.overlap for s in studies])), **tables)


def _measure_affinity(
    data: TaskData, plan: Plan, steps: int | None, device: str, store: AuditFolder | None
) -> Affinity:
    schema = Annotated[SavedAffinity, satisfies(lambda saved: is_affinity(saved, len(data.tasks)))]
    if store and (saved := store.get("affinity.json", schema)) is not None:
        return affinity_from_json(saved)
    recipe = Recipe.for_data(data, steps=steps)
    blocks = seed_blocks(data, plan.seeds, 1.0)
    measured = [gradient_affinity(data, block, recipe, device) for block in blocks]
    runs = [len(block) for block in blocks]
    tables = (np.ma.masked_invalid(np.stack(table)) for table in zip(*measured, strict=True))
    means = (np.ma.filled(np.ma.average(table, 0, runs), np.nan) for table in tables)
    mean = Affinity(*(table.round(4) for table in means))
    if store:
        store.put("affinity.json", affinity_to_json(mean))
    return mean
