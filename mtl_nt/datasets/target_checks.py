"""Whether the labels of a table suffice: to train every run, and to score it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32

from ..errors import BadInput
from ..tasks import TaskKind
from .column_roles import shortlist
from .remarks import Remarks
from .sheets import quoted
from .table_files import Sheet


def check_training(
    sheet: Sheet,
    tasks: Sequence[str],
    kinds: Sequence[TaskKind],
    y: Float32[np.ndarray, "N T"],
    runs: Sequence[tuple[str, Bool[np.ndarray, " N"]]],
    classes: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Check that each target has two different labels among the training rows of each run.

    A target of classes must have a label of each class.

    Args:
        sheet: the table.
        tasks, kinds: the names of the targets and their kinds.
        y: the labels.
        runs: what each run is called in a message, and its training rows.
        classes: the names of the classes of each target that has some.

    Raises:
        BadInput: targets with fewer. All of them are counted.
    """
    faults: dict[int, str] = {}
    for run, train in runs:
        labels = y[train]
        for name, names in (classes or {}).items():
            t = tasks.index(name)
            counts = [int((y[:, t] == k).sum()) for k in range(len(names))]
            lost = [k for k in range(len(names)) if not (labels[:, t] == k).any()]
            if lost and t not in faults:
                many = f"{counts[lost[0]]:,} label{'s' if counts[lost[0]] > 1 else ''}"
                faults[t] = (
                    f"{quoted(name, 20)} has {many} of class {quoted(names[lost[0]], 20)}, of "
                    f"which none is among the training rows{run}"
                )
        low = np.where(np.isnan(labels), np.inf, labels).min(0)
        high = np.where(np.isnan(labels), -np.inf, labels).max(0)
        for t in np.flatnonzero(~(low < high)).tolist():
            if t in faults:
                continue
            known = y[~np.isnan(y[:, t]), t]
            if kinds[t] == "regression":
                words = f"{len(known):,} labels, of which fewer than two values are"
            elif low[t] == 1:
                words = f"{_counted(known == 0, 'negative')}, of which none is"
            elif high[t] == 0:
                words = f"{_counted(known == 1, 'positive')}, of which none is"
            else:
                words = f"{len(known):,} labels, of which none is"
            faults[t] = f"{quoted(tasks[t], 20)} has {words} among the training rows{run}"
    if faults:
        few = [faults[t] for t in sorted(faults)]
        if len(few) > 1:
            few = [f"{quoted(tasks[t], 20)}" for t in sorted(faults)]
        raise BadInput(f"{sheet.where}: {_without_classes(few)}")


def _without_classes(faults: Sequence[str]) -> str:
    if len(faults) == 1:
        return (
            f"target {faults[0]}; leave it out (--ignore, or --min-positives 10), or give more "
            "labels"
        )
    return (
        f"{len(faults):,} targets lack a class, or labels, among the training rows of a run: "
        f"{', '.join(faults[:6])}{', ...' if len(faults) > 6 else ''}; leave them out (--ignore, "
        "or --min-positives 10), or give more labels"
    )


def _counted(hit: Bool[np.ndarray, " n"], word: str) -> str:
    many = int(hit.sum())
    return f"{many:,} {word}{'' if many == 1 else 's'}"


def check_scorable(
    tasks: Sequence[str],
    kinds: Sequence[TaskKind],
    y: Float32[np.ndarray, "N T"],
    folds: int,
    remarks: Remarks,
) -> None:
    """Note the targets with a class that is too rare to be scored well in every run."""
    rare = []
    for t, name in enumerate(tasks):
        labels = y[:, t]
        rarer = min(int((labels == 0).sum()), int((labels == 1).sum()))
        if kinds[t] == "classes":
            rarer = int(np.unique(labels[~np.isnan(labels)], return_counts=True)[1].min())
        if kinds[t] != "regression" and rarer < 2 * folds:
            rare.append(name)
    if rare:
        remarks.note(
            f"Targets with fewer than {2 * folds} labels of their rarest class, too few to measure "
            f"a run by: {shortlist(rare)}; --min-positives {2 * folds} leaves them out.",
            "rare",
            rare,
            matters=True,
        )
