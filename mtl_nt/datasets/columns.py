"""The columns of a user's table: which is a target, which a feature, by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..tasks import BadInput, nearest
from .opening import Sheet
from .sheets import shown

Names = str | Sequence[str]

RULES = (("y", "y_*"), ("target*",), ("label*",), ("task*",))
"""Names of targets where nobody has named them: the first of these that a column has, in upper or
lower case."""
INDEX = "__index_level_0__"  # pandas writes a table's row names into a Parquet as this column


class Roles(NamedTuple):
    """What every column is for, and by which rule."""

    targets: list[str]
    features: list[str]
    regression: frozenset[str]
    smiles: str | None
    group: str | None
    split: str | None
    notes: list[str]


def assigned(
    sheet: Sheet,
    targets: Names | None,
    features: Names | None,
    smiles: str | None,
    group: str | None,
    split: str | None,
    ignore: Names,
    regression: Names,
) -> Roles:
    """What every column is for. Names are lists, or one text with commas; `*` stands for anything.

    Raises:
        BadInput: an unknown column, one with two roles, or no target.
    """
    where, names = sheet.where, sheet.names
    role: dict[str, str] = {}
    for kind, name in (("smiles", smiles), ("group", group), ("split", split)):
        if name is None:
            continue
        if not isinstance(name, str) or name not in names:
            close = _nearest(name, names)
            raise BadInput(f"{where}: no {kind} column {shown(name)}; {close}")
        _give(role, name, kind, where)
    ignored = _matched(ignore, names, "ignore", where, empty=True)
    for name in ignored:
        _give(role, name, "ignore", where)
    notes, free = [], [name for name in names if name not in role and name != INDEX]
    if targets is None:
        rule, found = _by_rule(free, where)
        notes.append(f"Targets found by their names ({rule}): {few(found)}.")
    else:
        found = [t for t in _matched(targets, names, "targets", where) if t not in ignored]
        notes.append(f"Targets as given: {few(found)}.")
    if not found:
        raise BadInput(f"{where}: every target is ignored; name fewer columns under ignore")
    for name in found:
        _give(role, name, "targets", where)
    if features is None:
        inputs = [name for name in names if name not in role and name != INDEX]
        alike = [name for rule in RULES for name in inputs if _fits(name, rule)]
        if alike and smiles is None:
            notes.append(
                f"Features that are named as targets often are: {few(alike)}; name them under "
                "ignore if they are labels."
            )
    else:
        inputs = [f for f in _matched(features, names, "features", where) if f not in ignored]
        for name in inputs:
            _give(role, name, "features", where)
    if smiles is not None:
        if inputs:
            notes.append(f"Left out beside the SMILES, which are the features: {few(inputs)}.")
        inputs = []
    elif not inputs:
        raise BadInput(f"{where}: no feature column is left; give features beside the targets")
    if ignored:
        notes.append(f"Ignored as asked: {few(ignored)}.")
    if INDEX in names and INDEX not in role:
        notes.append("Left out: the row names that pandas wrote.")
    numbers = _matched(regression, names, "regression", where, empty=True)
    if numbers and not {*numbers} & {*found}:
        raise BadInput(f"{where}: regression names no target; name some of {few(found, 3)}")
    return Roles(found, inputs, frozenset({*numbers} & {*found}), smiles, group, split, notes)


def few(names: Sequence[object], most: int = 8) -> str:
    """The first of these names, and how many others there are."""
    more = f" and {len(names) - most:,} others" if len(names) > most else ""
    return ", ".join(shown(name) for name in names[:most]) + more


def _give(role: dict[str, str], name: str, kind: str, where: str) -> None:
    if (other := role.setdefault(name, kind)) != kind:
        raise BadInput(
            f"{where}: column {shown(name)} is named under {other} and under {kind}; give it one "
            "role, perhaps by a narrower pattern"
        )


def _by_rule(names: Sequence[str], where: str) -> tuple[str, list[str]]:
    for patterns in RULES:
        found = [name for name in names if _fits(name, patterns)]
        if found:
            return " or ".join(patterns), found
    rules = ", ".join(pattern for patterns in RULES for pattern in patterns)
    raise BadInput(
        f"{where}: no column is named as a target ({rules}); give targets, names or a pattern for "
        f"some of {_some(names)}"
    )


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)


def _matched(
    given: Names, names: Sequence[str], role: str, where: str, empty: bool = False
) -> list[str]:
    """The columns that are meant, in the order of the file."""
    if isinstance(given, str):
        parts = [given] if given in names else given.split(",")
        words = [part if part in names else part.strip() for part in parts]
        words = [word for word in words if word]
    elif isinstance(given, Sequence) and all(isinstance(word, str) for word in given):
        words = [*given]
    else:
        raise BadInput(f"{where}: {role} {shown(given)}: give names or patterns, such as 'y_*'")
    if not words and not empty:
        raise BadInput(f"{where}: {role} is empty; give names or patterns, such as 'y_*'")
    known, found = {*names}, set()
    for word in words:
        meant = {word} if word in known else {n for n in names if fnmatchcase(n, word)}
        if not meant:
            raise BadInput(f"{where}: {role}: no column {shown(word)}; {_nearest(word, names)}")
        found |= meant
    return [name for name in names if name in found]


def _nearest(name: object, names: Sequence[str]) -> str:
    close = nearest(name, names) if all(len(n) < 30 for n in names) else ""
    return close if 0 < len(close) < 100 else f"columns are {_some(names)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(shown(name, 16) for name in names[:3]) + (", ..." if len(names) > 3 else "")
