"""How the targets of a table are understood: their kinds, their logarithms, and too rare ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from ..errors import BadInput
from ..tasks import TargetForm, TaskKind
from .cells import Cells
from .class_targets import used_classes
from .column_roles import Roles, shortlist
from .remarks import Remarks
from .sheets import quoted
from .table_files import Sheet

NO_LABEL = "words such as none, missing and '-' are no label"
MOST_FAULTS = 4  # targets that one message names with their fault


def drop_rare_targets(
    roles: Roles, cells: Cells, least: int, remarks: Remarks
) -> tuple[Roles, Cells, Bool[np.ndarray, " N"]]:
    """Leave out the targets of 0 and 1 whose rarer class has fewer labels than `least`.

    Of a target of classes, the rarest class counts. Targets without a label, or with one value
    alone, are left out, too. So are the rows that have no label any more.

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
    """How many labels the rarest class of each target has; infinite for a regression."""
    counts: list[float] = []
    for name, labels in zip(roles.targets, cells.y.T, strict=True):
        known = labels[~np.isnan(labels)]
        one_value = not len(known) or known.min() == known.max()
        classes = ((known == 0) | (known == 1)).all() and name not in roles.regression
        if one_value:
            counts.append(0)
        elif name in roles.classes:
            counts.append(int(np.unique(known, return_counts=True)[1].min()))
        elif classes and not cells.offsets.get(name):
            counts.append(min(int((known == 0).sum()), int((known == 1).sum())))
        else:
            counts.append(np.inf)
    return counts


def find_kinds(sheet: Sheet, roles: Roles, cells: Cells, remarks: Remarks) -> tuple[TaskKind, ...]:
    """Find out whether each target is binary, a regression or one of classes, and note it.

    Raises:
        BadInput: targets without labels, with one value, or with two that are not 0 and 1; or a
            class with one label alone.
    """
    kinds: list[TaskKind] = []
    faults: list[str] = []
    for name, labels in zip(roles.targets, cells.y.T, strict=True):
        known = labels[~np.isnan(labels)].astype(np.float64) + cells.offsets.get(name, 0.0)
        kinds.append("regression")
        if not len(known):
            words = f" ({NO_LABEL})" if name in roles.classes else ""
            faults.append(f"{quoted(name)} has no labels{words}")
            continue
        if name in roles.classes:
            kinds[-1] = "classes"
            named, _ = used_classes(cells.classes[name], labels)
            once = [c for c, n in zip(named.names, named.counts, strict=True) if n == 1]
            if len(named.names) < 2:
                said = f"{quoted(name)} is {quoted(named.names[0])} in every row"
                if empty := int(np.isnan(labels).sum()):
                    said += f" with a label (not in {empty:,}: {NO_LABEL})"
                faults.append(said)
            elif once:
                raise BadInput(
                    f"{sheet.where}: target {quoted(name)} has one row alone of class "
                    f"{shortlist(once, 3)}; every class needs two or more: merge it with another, "
                    f"or leave its cell empty (--missing {quoted(f'{name}={once[0]}', 60)})"
                )
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
                "0 and 1, or name it under --regression or --classes"
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
    for name in [t for t, k in zip(roles.targets, kinds, strict=True) if k == "classes"]:
        found = cells.classes[name]
        empty = int(np.isnan(cells.y[:, roles.targets.index(name)]).sum())
        none = f"; rows without a label: {empty:,}" if empty else ""
        remarks.note(
            f"Target of {len(found)} classes, as asked: {quoted(name)}: {shortlist(found)}{none}.",
            "targets",
            [name],
        )
    return tuple(kinds)


def note_class_weight(
    roles: Roles, kinds: Sequence[TaskKind], class_weight: str | None, remarks: Remarks
) -> None:
    """Note that labels weigh by class, as asked.

    Raises:
        BadInput: no target has classes.
    """
    if class_weight is None:
        return
    names = [t for t, k in zip(roles.targets, kinds, strict=True) if k != "regression"]
    if not names:
        raise BadInput(
            f"{remarks.where}: --class-weight {class_weight} is for targets of 0 and 1, or of "
            "classes; there are none, so leave it out"
        )
    remarks.note(
        f"Rare classes weigh more in the training losses, as asked: {shortlist(names)}.",
        "class weight",
        names,
    )


def drop_unused_classes(roles: Roles, cells: Cells) -> Cells:
    """Leave out the classes that have no label any more, since their rows were left out."""
    y, classes = cells.y, dict(cells.classes)
    for name in roles.classes & {*roles.targets}:
        t = roles.targets.index(name)
        found, labels = used_classes(classes[name], y[:, t])
        if len(found.names) < len(classes[name]):
            y = y.copy()
            y[:, t], classes[name] = labels, found.names
    return cells._replace(y=y, classes=classes)


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


def find_forms(roles: Roles, cells: Cells) -> tuple[TargetForm, ...] | None:
    """How the labels of every target will have been made from what the file says.

    It is None where all labels are what the file says.

    Args:
        roles: the roles of the columns.
        cells: the rows, before any logarithm is taken.
    """
    forms = []
    for t, name in enumerate(roles.targets):
        offset = cells.offsets.get(name, 0.0)
        if name in roles.log:
            zero = bool((cells.y[:, t].astype(np.float64) + offset == 0).any())
            forms.append(TargetForm(0.0, "log10(1 + y)" if zero else "log10(y)"))
        else:
            forms.append(TargetForm(offset))
    return tuple(forms) if any(form != TargetForm() for form in forms) else None


def _listed(what: str, faults: Sequence[str]) -> str:
    """The faults in one line: the first few, and how many others there are."""
    if len(faults) == 1:
        return f"{what} {faults[0]}"
    few = faults if len(faults) <= MOST_FAULTS else faults[: MOST_FAULTS - 1]
    more = f", and {len(faults) - len(few):,} others" if len(few) < len(faults) else ""
    return f"{len(faults):,} {what}s: {'; '.join(few)}{more}"


def _them(faults: Sequence[str]) -> str:
    return "it" if len(faults) == 1 else "them"
