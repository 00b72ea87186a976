"""The audit of a table of tasks: which of them multi-task training harms, and what helps.

`audit` trains one study with every method, checks other widths of the trunk, and measures how alike
the tasks' gradients are. It begins with what is of most use, and a budget of time ends it (`work`).
It keeps what is finished in a folder, so that it can go on after it was stopped. The result is one
`Audit`, which a notebook or a page draws without training again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch

from .. import __version__, terminal
from ..datasets import is_table, shortlist, table_digest
from ..errors import BadInput, is_whole_number
from ..networks import OwnBody
from ..networks.own_body import MakeBody
from ..study import CONSTANT, METHODS, Study, parse_alphas, parse_seeds, satisfies
from ..study import result_store as parts
from ..study.comparison import parse_device, with_resplits_seen
from ..study.transfer import LEAST_PAIRS
from ..study.verdicts import parse_margin
from ..tasks import Note, TaskData
from ..training import metric_names, primary_metrics
from .bench import Bench
from .costs import tree_seconds
from .early import Early
from .folder import AuditFolder
from .plan import Plan, cores_for, format_seconds, on_cores, parse_methods, parse_seconds
from .result import IN_MEMORY, Audit, check_margins
from .saved import FILE, SavedAudit, from_json, is_consistent, to_json
from .schedule import Timer
from .source import Source, note_lines
from .work import NoVerdict, Work

BARGAIN = "Nash-MTL"
"""The method without a setting that spares most tasks in the kept cases of causes and cures."""
MOST_BARGAINING = 100
"""Of so many tasks at most an audit lets them bargain if nobody names the method: every step solves
equations as large as the tasks are many."""
DEFAULT_METHODS = (
    "MTL",
    "Fine-Tuning",
    "RMTL",
    "LBTW",
    "GradNorm",
    "Uncertainty",
    BARGAIN,
    "MTL, tuned",
    "Scalarisation",
    "RandomWeights",
)
"""The methods that an audit tries: the columns of the LBTW paper, a method of gradients, and the
usual rivals of MTL."""
FLOOR = "Trees"
"""The method that asks whether networks are worth it; an audit adds it where it is cheap."""
MOST_FLOOR_SECONDS = 60.0
"""Processor seconds that it may take in an audit where nobody has named it."""
LATER = (BARGAIN, FLOOR)
"""The methods that an audit's folder may gain later."""
DEFAULT_ALPHAS = (0.0, 0.1, 0.25, 0.5, 1.0)
FIRST_SEED = 100  # the settings of the data sets were chosen on runs with lower seeds
CODE = (*parts.CODE, "datasets", "audit/audit.py", "audit/bench.py", "audit/source.py")
"""The folders and files of the package that an audit's numbers depend on."""
Say = Callable[[str], object]


def audit(
    source: str | Path | TaskData,
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
    go_on: bool = True,
    margin: float | Mapping[str, float] = 0.0,
    architecture: MakeBody | str | None = None,
    trunk: Sequence[int] | None = None,
    **options: Any,
) -> Audit:
    """Compare multi-task with single-task training on a data set or a table of your own.

    Args:
        source: the name of a data set, the path of a table (CSV, TSV or Parquet), or a `TaskData`
            of your own.
        methods: the names of methods, by default `DEFAULT_METHODS`, and `FLOOR` where it takes
            `MOST_FLOOR_SECONDS` at most. `BARGAIN` is left out where there are more tasks than
            `MOST_BARGAINING`. "MTL" is always among them.
            "NAME, tuned" is a method whose learning rate and weight decay are chosen on
            validation rows.
        alphas: the alphas of the methods that have one, by default `DEFAULT_ALPHAS`.
        seeds: how many runs, or a list of their seeds. A number means the seeds 100, 101, ...,
            on which no setting of this package was chosen.
        steps: the optimiser steps of every network; by default the data set's own.
        budget: a time in seconds, or text such as "90s", "5min" or "2h", in which it ends. What is
            of most use is trained first (see `work`), and the audit names what is left out. Time
            that is left goes into further pairs of STL and STL', for the null of a count. Without
            a budget, all that was asked for is trained, and no further pairs.
        folder: keeps what is finished. The same call continues from there, also with another
            budget.
        device, memory: see `compare`.
        progress: whether a line shows what is trained, what is there, and the time that is left.
        say: a function that gets lines of text: how the data were read, the estimate of the time,
            the first verdict, and what is left out.
        sha256: the digest of the table's file, where you know it. A file with other content is
            refused. Where the folder holds the whole audit, the file is not read at all.
        margin: the largest difference that does not matter to you, stated before you look: one
            number, or one for each metric (see `compare`). It changes verdicts, and no training.
        go_on: False takes what the folder holds, where it holds anything, and trains nothing more.
        architecture: the body of all networks, as `compare` takes it: a torch module of your own,
            as a class or a function that makes one.
        trunk: hidden widths of all networks, by default the data's own. On a body of your own
            stands one layer, so give one width.
        options: how the data are read. A table takes those of `datasets.table.read_table`, such as
            `targets`, `smiles` and `missing`; a data set takes its own options.

    Ctrl-C ends it early: the result has what is finished by then.

    Raises:
        BadInput: anything that you can mend; the message is one line that says how. Where the
            budget ends before STL and MTL are trained on two runs, it is a `work.NoVerdict`.
        KeyboardInterrupt: Ctrl-C before STL and MTL are trained on two runs.

    >>> audit("dial-unrelated", seeds=1)
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: seeds 1: one run decides nothing; give 2 or more
    """
    seconds = parse_seconds(budget)
    timer = Timer(math.inf if seconds is None else seconds)
    own = source if isinstance(source, TaskData) else None
    if own is not None and options:
        raise BadInput(f"{next(iter(options))}: it says how a table is read; these data are read")
    if own is None and sha256 is None and is_table(str(source)):
        sha256 = table_digest(str(source))
    numbers = parse_seeds(seeds)
    if is_whole_number(seeds, 1):
        numbers = [FIRST_SEED + k for k in numbers]
    if len(numbers) < 2:
        said = seeds if isinstance(seeds, int) else ", ".join(map(str, numbers))
        raise BadInput(f"seeds {said}: one run decides nothing; give 2 or more")
    body = OwnBody(architecture) if callable(architecture) else architecture
    settings = {"architecture": body, "trunk": None if trunk is None else tuple(trunk)}
    changes = {name: value for name, value in settings.items() if value is not None}
    name = str(source) if own is None else own.name
    asked = Source(name, options, sha256, tuple(numbers), own, changes)
    floor = METHODS[FLOOR] if methods is None else None
    chosen = parse_methods(DEFAULT_METHODS if methods is None else methods)
    alphas = parse_alphas(DEFAULT_ALPHAS if alphas is None else alphas)
    request = {
        **asked.identity,
        "methods": [m.name for m in chosen if m.name not in LATER],
        "alphas": alphas,
        "seeds": numbers,
        "steps": steps,
        "code": parts.code_digest(*CODE),
        "torch": torch.__version__.partition("+")[0],
    }
    store = None if folder is None else AuditFolder(Path(folder), request)

    def answers(plan: Plan) -> bool:
        known = {*plan.methods} - {*LATER} <= {*request["methods"]} and {*plan.seeds} <= {*numbers}
        return known and plan.asked_seeds == (*numbers,) and plan.alphas == (*alphas,)

    schema = Annotated[
        SavedAudit, satisfies(is_consistent), satisfies(lambda saved: answers(saved["plan"]))
    ]
    saved = store.get(FILE, schema) if store else None
    if store and saved is not None:
        found = replace(from_json(saved), folder=str(store.path))
        asked_now = {m.name for m in chosen if methods is not None} - {*found.plan.methods}
        lacks = found.plan.unfinished or asked_now or (seconds and _lacks_pairs(found.study))
        if not go_on or not lacks:
            say(f"all of it is in {store.path} already; nothing is trained")
            return found.with_margin(margin)
        say(f"goes on from what is in {store.path}")
    data, notes = asked.read()
    if own is not None:
        data = with_resplits_seen(data, numbers)
    for line in note_lines(notes):
        say(line)
    if len(data.tasks) < 2:
        raise BadInput(f"data set {data.name!r} has one task; negative transfer takes two or more")
    if store:
        store.claim()
    judged = [*dict.fromkeys(primary_metrics(data).values())]
    margins = parse_margin(margin, judged, metric_names(data))  # now, not after the training
    check_margins(margins, judged)
    known = 0.0 if saved is None else saved["made"]["seconds"]
    if floor:
        cost = len(numbers) * tree_seconds(data)
        if cost <= MOST_FLOOR_SECONDS:
            chosen.append(floor)
        else:
            say(f"left out: {FLOOR} (about {format_seconds(cost)}; --methods can name them)")
    bargains = BARGAIN in (m.name for m in chosen)
    if methods is None and bargains and len(data.tasks) > MOST_BARGAINING:
        chosen = [m for m in chosen if m.name != BARGAIN]
        say(f"left out: {BARGAIN} ({len(data.tasks)} tasks make it slow; --methods can name it)")
    timer.workers = cores = cores_for(data)
    device = parse_device(device)
    bench = Bench(data, alphas, steps, memory / cores, device, store, timer.stop)
    with on_cores(cores, device) as executor:
        shown = None if saved is None else saved["plan"]
        work = Work(bench, chosen, numbers, timer, say, seconds is not None, shown)
        try:
            plan = work.train(executor, progress)
        except (NoVerdict, KeyboardInterrupt) as stop:
            ctrl_c = isinstance(stop, KeyboardInterrupt)
            if store and saved is not None and not (ctrl_c and stop.__cause__ is None):
                say("nothing could be added in this time; what was there already is shown")
                found = replace(from_json(saved), folder=str(store.path))
                return replace(found, plan=replace(found.plan, interrupted=ctrl_c)).with_margin(
                    margin
                )
            early = stop if isinstance(stop, NoVerdict) else stop.__cause__
            if isinstance(early, NoVerdict):
                study = bench.study([METHODS["MTL"]], early.runs) if early.runs else None
                command = {"methods": [m.name for m in chosen], "seeds": numbers, "steps": steps}
                command |= {"source": asked.name, "options": options, "alphas": alphas}
                command |= {"margin": margins}
                size = f"{len(data.tasks)} tasks, {len(data.x):,} rows"
                why = str(early) if early is stop else ""
                early.early = Early(
                    data.name, study, early.there, command, notes, size, why, early.budget
                )
            raise
        study = bench.study(work.arms(plan), plan.seeds)
    if names := _unscored(study):
        why = "for want of test labels of two classes"
        if len(names) == len(data.tasks):
            raise BadInput(f"{data.name}: no task is scored in every run, {why}; give more labels")
        unscored = f"Not scored in every run, {why}: {shortlist(names)}."
        notes = (*notes, Note(unscored, "matters", "not scored", names))
    result = Audit(
        data.name,
        study,
        plan,
        bench.affinity if plan.affinity else None,
        label_counts(data),
        (*notes, Note(f"Data: {data.provenance or data.name}.", about="data")),
        {
            "seconds": round(known + timer.passed(), 1),
            "version": __version__,
            "torch": torch.__version__,
            "source": asked.name if own is None else IN_MEMORY,
            "options": dict(asked.options),
            "steps": steps,
            "rows": len(data.x),
            "features": math.prod(data.x.shape[1:]),
            "split": data.split.kind,
            "parts": [len(p) for p in (data.split.train, data.split.validation, data.split.test)],
        },
    )
    if store:
        store.put(FILE, to_json(result), replace=True)
        result = replace(result, folder=str(store.path))
    return result.with_margin(margin)


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


def _lacks_pairs(study: Study) -> bool:
    """Whether further pairs would say more of what chance does to a count."""
    return study.null_count().pairs < LEAST_PAIRS


def _unscored(study: Study) -> list[str]:
    """The tasks that have no score in one run or several, whatever the method."""
    rows = study.results[study.results["method"] == CONSTANT]  # which never diverges
    judged = rows[rows["metric"] == rows["task"].map(study.metric)]
    return [str(task) for task in judged["task"][judged["value"].isna()].unique()]
