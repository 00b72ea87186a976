"""How the targets of a table are understood: their kinds, their logarithms, and too rare ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32

from ..tasks import BadInput, TaskKind
from .cells import Cells
from .column_roles import Roles, shortlist
from .remarks import Remarks
from .sheets import quoted
from .table_files import Sheet

MOST_FAULTS = 4  # targets that one message names with their fault


def drop_rare_targets(
    roles: Roles, cells: Cells, least: int, remarks: Remarks
) -> tuple[Roles, Cells, Bool[np.ndarray, " N"]]:
    """Leave out the targets of 0 and 1 whose rarer class has fewer labels than `least`.

    Targets without a label, or with one value alone, are left out, too. So are the rows that have
    no label any more.

    Returns:
        The roles and the cells that are left, and which rows are.

    Raises:
        BadInput: no target is left.
    """
    counts = _rarer_class(roles, cells)
    rare = [name for name, count in zip(roles.targets, counts, strict=True) if count < least]
    if not rare:
        return roles, cells, np.ones(len(cells.y), bool)
    if len(rare) == len(roles.targets):
        raise BadInput(
            f"{remarks.where}: every target has fewer than {least} labels of its rarer class; give "
            "a smaller --min-positives"
        )
    kept = [t for t, name in enumerate(roles.targets) if name not in {*rare}]
    y = cells.y[:, kept]
    labelled = ~np.isnan(y).all(1)
    remarks.note(
        f"Targets left out, since their rarer class has fewer than {least} labels: "
        f"{shortlist(rare)}; {len(kept):,} are left"
        + (f", and {n:,} rows went with them" if (n := int((~labelled).sum())) else "")
        + ".",
        "left out",
        rare,
        matters=True,
    )
    roles = roles._replace(targets=[roles.targets[t] for t in kept])
    cells = cells._replace(y=y)
    return roles, cells if labelled.all() else cells.take(labelled), labelled


def _rarer_class(roles: Roles, cells: Cells) -> list[float]:
    """How many labels the rarer class of each target has; infinite for a regression."""
    counts: list[float] = []
    for name, labels in zip(roles.targets, cells.y.T, strict=True):
        known = labels[~np.isnan(labels)]
        one_value = not len(known) or known.min() == known.max()
        classes = ((known == 0) | (known == 1)).all() and name not in roles.regression
        if one_value:
            counts.append(0)
        elif classes and not cells.offsets.get(name):
            counts.append(min(int((known == 0).sum()), int((known == 1).sum())))
        else:
            counts.append(np.inf)
    return counts


def find_kinds(sheet: Sheet, roles: Roles, cells: Cells, remarks: Remarks) -> tuple[TaskKind, ...]:
    """Find out whether each target is binary or a regression, and note it.

    Raises:
        BadInput: targets without labels, with one value, or with two that are not 0 and 1.
    """
    kinds: list[TaskKind] = []
    faults: list[str] = []
    for name, labels in zip(roles.targets, cells.y.T, strict=True):
        known = labels[~np.isnan(labels)].astype(np.float64) + cells.offsets.get(name, 0.0)
        kinds.append("regression")
        if not len(known):
            faults.append(f"{quoted(name)} has no labels")
            continue
        low, high = known.min(), known.max()
        if low == high:
            faults.append(f"{quoted(name)} is {low:g} in every row")
        elif name in roles.regression or not ((known == low) | (known == high)).all():
            continue
        elif (low, high) == (0, 1):
            kinds[-1] = "binary"
        else:
            raise BadInput(
                f"{sheet.where}: target {quoted(name)} has two values, {low:g} and {high:g}; write "
                "0 and 1, or name it under --regression"
            )
    if faults:
        raise BadInput(
            f"{sheet.where}: {_listed('target', faults)}; leave {_them(faults)} out (--ignore, or "
            "--min-positives 10 for all such)"
        )
    for kind, words in (("binary", "0 and 1 alone"), ("regression", "other numbers")):
        names = [t for t, k in zip(roles.targets, kinds, strict=True) if k == kind]
        if names:
            asked = [name for name in names if name in roles.regression]
            if asked:
                words += f"; as asked: {shortlist(asked)}"
            remarks.note(
                f"Targets that are {kind} ({words}): {len(names):,}: {shortlist(names)}.",
                "targets",
                names,
            )
    return tuple(kinds)


def take_logarithms(
    sheet: Sheet, roles: Roles, kinds: Sequence[TaskKind], cells: Cells, remarks: Remarks
) -> Cells:
    """Replace the targets that are named under `log` by their logarithms to the base 10.

    A target with a 0 becomes log10(1 + y).

    Raises:
        BadInput: a target below 0, or one that is binary.
    """
    y, by_form = cells.y.copy(), dict[str, list[str]]()
    for t, name in enumerate(roles.targets):
        if name not in roles.log:
            continue
        if kinds[t] == "binary":
            raise BadInput(
                f"{sheet.where}: --log names {quoted(name)}, which is 0 and 1; name targets that "
                "are numbers"
            )
        labels = y[:, t].astype(np.float64) + cells.offsets.get(name, 0.0)
        if (labels < 0).any():
            row = int(np.nanargmin(labels))
            raise BadInput(
                f"{sheet.where}, {sheet.unit} {cells.positions[row]}, column {quoted(name)}: "
                f"{labels[row]:g} has no logarithm; mend it, or leave the column out of --log"
            )
        zero = bool((labels == 0).any())
        by_form.setdefault("log10(1 + y)" if zero else "log10(y)", []).append(name)
        y[:, t] = np.log10(labels + zero)
    for form, names in by_form.items():
        remarks.note(
            f"Targets read as {form}, as asked: {shortlist(names)}. Errors are in powers of ten: "
            f"0.3 is a factor of 2 in {form[6:-1]}.",
            "log",
            names,
            matters=True,
        )
    return cells._replace(
        y=y, offsets={n: v for n, v in cells.offsets.items() if n not in roles.log}
    )


def check_training(
    sheet: Sheet,
    tasks: Sequence[str],
    kinds: Sequence[TaskKind],
    y: Float32[np.ndarray, "N T"],
    runs: Sequence[tuple[str, Bool[np.ndarray, " N"]]],
) -> None:
    """Check that each target has two different labels among the training rows of each run.

    Args:
        sheet: the table.
        tasks, kinds: the names of the targets and their kinds.
        y: the labels.
        runs: what each run is called in a message, and its training rows.

    Raises:
        BadInput: targets with fewer. All of them are counted.
    """
    faults: dict[int, str] = {}
    for run, train in runs:
        labels = y[train]
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
    """Note the targets of 0 and 1 that are too rare to be scored well in every run."""
    rare = []
    for t, name in enumerate(tasks):
        labels = y[:, t]
        rarer = min(int((labels == 0).sum()), int((labels == 1).sum()))
        if kinds[t] == "binary" and rarer < 2 * folds:
            rare.append(name)
    if rare:
        remarks.note(
            f"Targets with fewer than {2 * folds} labels of their rarer class, too few to measure "
            f"a run by: {shortlist(rare)}; --min-positives {2 * folds} leaves them out.",
            "rare",
            rare,
            matters=True,
        )


def _listed(what: str, faults: Sequence[str]) -> str:
    """The faults in one line: the first few, and how many others there are."""
    if len(faults) == 1:
        return f"{what} {faults[0]}"
    few = faults if len(faults) <= MOST_FAULTS else faults[: MOST_FAULTS - 1]
    more = f", and {len(faults) - len(few):,} others" if len(few) < len(faults) else ""
    return f"{len(faults):,} {what}s: {'; '.join(few)}{more}"


def _them(faults: Sequence[str]) -> str:
    return "it" if len(faults) == 1 else "them"
