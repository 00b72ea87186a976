"""The form in which an audit is saved as JSON, and the check of what is read back.

A folder of results may come from anyone. So a saved audit is read by its types (`SavedAudit`), and
it counts only where its parts agree with each other (`is_consistent`).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import pandas as pd

from ..networks import Recipe
from ..study import (
    CONSTANT,
    STL,
    TRAINING_STAGES,
    Affinity,
    FiniteFloat,
    NonNegativeInt,
    Study,
    StudyTables,
    ValidationTable,
    empty_table,
    equal_lengths,
    methods_at_widths,
    satisfies,
    twin,
)
from ..study.nulls import PairSigns
from ..tasks import Note, Severity, TaskKind
from ..training import Checkpoint
from .plan import WIDTH_FACTORS, Plan, parse_methods
from .result import TABLES, Audit

FILE = "audit.json"
"""The name of the file that holds a whole audit."""


def to_json(audit: Audit) -> dict[str, Any]:
    """The audit as a dictionary that JSON can write. `from_json` reads it back."""
    study = audit.study
    return {
        "name": audit.name,
        "tables": {name: getattr(study, name).to_dict("list") for name in TABLES},
        "metric": dict(study.metric),
        "margin": dict(study.margin),
        "overlap": study.overlap,
        "overlap_limit": study.overlap_limit,
        "null_identity": dict(study.null_identity),
        "pairs": dict(study.pairs),
        "recipe": asdict(audit.recipe),
        "checkpoint": study.checkpoint,
        "raw_targets": study.raw_targets,
        "plan": asdict(audit.plan),
        "affinity": None if audit.affinity is None else affinity_to_json(audit.affinity),
        "labels": audit.labels.astype(object).where(audit.labels.notna(), None).to_dict("list"),
        "notes": [note.as_json() for note in audit.notes],
        "made": dict(audit.provenance),
    }


def from_json(saved: SavedAudit) -> Audit:
    """The audit that `to_json` has written."""
    tables = saved["tables"]
    study = Study(
        pd.DataFrame(tables["results"]),
        pd.DataFrame(tables["training"]),
        pd.DataFrame(tables["history"]),
        metric=saved["metric"],
        overlap=saved["overlap"],
        overlap_limit=saved["overlap_limit"],
        null_identity=saved["null_identity"],
        pairs=saved["pairs"],
        recipe=saved["recipe"],
        checkpoint=saved["checkpoint"],
        raw_targets=saved["raw_targets"],
        margin=saved["margin"],
        validation=_validation(tables["validation"]),
    )
    affinity = None if saved["affinity"] is None else affinity_from_json(saved["affinity"])
    labels = pd.DataFrame(saved["labels"]).astype({"positives": "Int64"})
    notes = tuple(Note(**note) for note in saved["notes"])
    return Audit(saved["name"], study, saved["plan"], affinity, labels, notes, saved["made"])


def _validation(columns: ValidationTable) -> pd.DataFrame:
    """The scores on validation rows, whose columns keep their kinds where there are none."""
    return pd.DataFrame(columns) if columns["task"] else empty_table(ValidationTable)


def affinity_to_json(affinity: Affinity) -> dict[str, Any]:
    """The affinity as a dictionary that JSON can write. `affinity_from_json` reads it back."""
    return {name: table.tolist() for name, table in affinity._asdict().items()}


def affinity_from_json(saved: SavedAffinity) -> Affinity:
    """The affinity that `affinity_to_json` has written."""
    cosines, common = saved["cosines"], saved["common_labels"]
    return Affinity(np.array(cosines, dtype=float), np.array(common, dtype=float))


class SavedAffinity(TypedDict):
    """The content of `affinity.json`. See `study.Affinity`."""

    cosines: list[list[list[float]]]
    common_labels: list[list[float]]


NonNegativeFloat = Annotated[float, satisfies(lambda value: 0 <= value < math.inf)]
Option = None | bool | int | float | str


class LabelCounts(TypedDict):
    """The columns of `Audit.labels`, one entry per task."""

    task: Annotated[list[str], satisfies(lambda tasks: len({*tasks}) == len(tasks) > 1)]
    kind: list[TaskKind]
    labels: list[NonNegativeInt]
    positives: list[NonNegativeInt | None]


class Provenance(TypedDict):
    """What repeats an audit, and what it took. See `Audit.provenance`."""

    seconds: FiniteFloat
    version: str
    torch: str
    source: str
    options: dict[str, Option | list[Option]]
    steps: int | None
    rows: NonNegativeInt
    features: NonNegativeInt
    split: Literal["new data", "free", "fixed"]
    parts: Annotated[list[NonNegativeInt], satisfies(lambda parts: len(parts) == 3)]


class SavedNote(TypedDict):
    """What was done with the table, in words. See `tasks.Note`."""

    text: str
    severity: Severity
    about: str
    columns: list[str]


class SavedAudit(TypedDict):
    """The content of `audit.json`."""

    name: str
    tables: StudyTables
    metric: dict[str, Literal["PR-AUC", "macro PR-AUC", "MSE"]]
    margin: dict[str, NonNegativeFloat]
    overlap: FiniteFloat
    overlap_limit: FiniteFloat | None
    null_identity: dict[str, str]
    pairs: dict[str, PairSigns]
    recipe: Recipe
    checkpoint: Checkpoint
    raw_targets: bool
    plan: Plan
    affinity: SavedAffinity | None
    labels: Annotated[LabelCounts, equal_lengths]
    notes: tuple[SavedNote, ...]
    made: Provenance


def is_consistent(saved: SavedAudit) -> bool:
    """Whether all parts of a saved audit speak of the same tasks, methods and runs."""
    plan, tasks = saved["plan"], {*saved["labels"]["task"]}
    tables = saved["tables"]
    results, training, history = tables["results"], tables["training"], tables["history"]
    validation = tables["validation"]
    methods = {STL.name, twin(STL).name, CONSTANT, *plan.methods}
    if plan.widths:
        methods |= {m.name for m in methods_at_widths(saved["recipe"], WIDTH_FACTORS)}
    keys = ["method", "alpha", "seed", "task", "metric"]
    affinity = saved["affinity"]
    return (
        [m.name for m in parse_methods(plan.methods)] == [*plan.methods]
        and {*results["method"]} == {*training["method"], CONSTANT} == methods
        and {*history["method"]} <= methods
        and {*results["seed"]} == {*training["seed"]} == {*plan.seeds} >= {*history["seed"]}
        and {*validation["method"]} <= methods
        and {*validation["seed"]} <= {*plan.seeds}
        and {*validation["task"]} <= tasks
        and not pd.DataFrame(validation).drop(columns="value").duplicated().any()
        and {*saved["margin"]} <= {*saved["metric"].values()}
        and {*results["task"]} == {*saved["metric"]} == tasks >= {*history["task"]}
        and {*results["metric"]} >= {*saved["metric"].values()}
        and {*results["split"]} == {saved["made"]["split"]}
        and not pd.DataFrame(results)[keys].duplicated().any()
        and {*saved["pairs"]} <= {STL.name}
        and all(are_pairs(signs, tasks) for signs in saved["pairs"].values())
        and (affinity is not None) == plan.affinity
        and (affinity is None or is_affinity(affinity, len(tasks)))
    )


def are_pairs(signs: PairSigns, tasks: Collection[str], count: int | None = None) -> bool:
    """Whether these are the signs of as many pairs for each of these tasks, by every metric.

    Args:
        count: the number of pairs; by default any.
    """
    lengths = {len(text) for by_task in signs.values() for text in by_task.values()}
    whole = all({*by_task} == {*tasks} for by_task in signs.values())
    return whole and len(lengths) == 1 and (count is None or lengths == {count})


def is_affinity(saved: SavedAffinity, tasks: int) -> bool:
    """Whether it has a cosine of every pair of so many tasks in every stage of training, and a
    share of common labels.
    """
    cosines, common = saved["cosines"], saved["common_labels"]
    return (
        np.shape(cosines) == (len(TRAINING_STAGES), tasks, tasks)
        and np.shape(common) == (tasks, tasks)
        and not (np.abs(cosines) > 1.001).any()
        and bool(((np.array(common) >= 0) & (np.array(common) <= 1)).all())
    )
