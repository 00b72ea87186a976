"""The roles of a user's columns: targets, features, SMILES, groups, the split, or none.

`assign_roles` follows the user's options. Where these name no targets, it finds the targets by
their names, and it notes which rule it used.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..tasks import BadInput, suggestion
from .sheets import quoted
from .table_files import Sheet

ColumnNames = str | Sequence[str]

TARGET_PATTERNS = (("y", "y_*"), ("target*",), ("label*",), ("task*",))
"""How targets are named where the user names none. The first rule that fits a column is used for
all columns; upper and lower case are the same."""
PANDAS_INDEX = (
    "__index_level_0__"  # pandas writes a table's row names into a Parquet as this column
)


class Roles(NamedTuple):
    """The columns of a table by their roles."""

    targets: list[str]
    features: list[str]
    regression: frozenset[str]  # targets that are numbers although they may have two values
    smiles: str | None
    group: str | None
    split: str | None
    notes: list[str]  # one sentence on each choice


def assign_roles(
    sheet: Sheet,
    targets: ColumnNames | None,
    features: ColumnNames | None,
    smiles: str | None,
    group: str | None,
    split: str | None,
    ignore: ColumnNames,
    regression: ColumnNames,
) -> Roles:
    """Give every column of a sheet its role.

    Args:
        sheet: the table.
        targets, features, ignore, regression: names or patterns, as a list or as one text with
            commas; `*` stands for any characters. See `table.read_table`.
        smiles, group, split: the name of one column each, or None.

    Raises:
        BadInput: an unknown column, a column with two roles, or no target.

    >>> from types import SimpleNamespace
    >>> sheet = SimpleNamespace(where="my.csv", names=("age", "height", "y_one", "y_two"))
    >>> roles = assign_roles(sheet, None, None, None, None, None, ignore="height", regression=())
    >>> roles.targets, roles.features
    (['y_one', 'y_two'], ['age'])
    >>> print(roles.notes[0])
    Targets found by their names (y or y_*): 'y_one', 'y_two'.
    """
    where, names = sheet.where, sheet.names
    role: dict[str, str] = {}
    for kind, name in (("smiles", smiles), ("group", group), ("split", split)):
        if name is None:
            continue
        if not isinstance(name, str) or name not in names:
            close = _nearest(name, names)
            raise BadInput(f"{where}: no {kind} column {quoted(name)}; {close}")
        _set_role(role, name, kind, where)
    ignored = _matched(ignore, names, "ignore", where, empty=True)
    for name in ignored:
        _set_role(role, name, "ignore", where)
    notes, free = [], [name for name in names if name not in role and name != PANDAS_INDEX]
    if targets is None:
        rule, chosen = _targets_by_pattern(free, where)
        notes.append(f"Targets found by their names ({rule}): {shortlist(chosen)}.")
    else:
        chosen = [t for t in _matched(targets, names, "targets", where) if t not in ignored]
        notes.append(f"Targets as given: {shortlist(chosen)}.")
    if not chosen:
        raise BadInput(f"{where}: every target is ignored; name fewer columns under ignore")
    for name in chosen:
        _set_role(role, name, "targets", where)
    if features is None:
        inputs = [name for name in names if name not in role and name != PANDAS_INDEX]
        alike = [name for rule in TARGET_PATTERNS for name in inputs if _matches(name, rule)]
        if alike and smiles is None:
            notes.append(
                f"Features that are named as targets often are: {shortlist(alike)}; name them "
                "under ignore if they are labels."
            )
    else:
        inputs = [f for f in _matched(features, names, "features", where) if f not in ignored]
        for name in inputs:
            _set_role(role, name, "features", where)
    if smiles is not None:
        if inputs:
            notes.append(
                f"Left out beside the SMILES, which are the features: {shortlist(inputs)}."
            )
        inputs = []
    elif not inputs:
        raise BadInput(f"{where}: no feature column is left; give features beside the targets")
    if ignored:
        notes.append(f"Ignored as asked: {shortlist(ignored)}.")
    if PANDAS_INDEX in names and PANDAS_INDEX not in role:
        notes.append("Left out: the row names that pandas wrote.")
    numbers = _matched(regression, names, "regression", where, empty=True)
    if numbers and not {*numbers} & {*chosen}:
        raise BadInput(f"{where}: regression names no target; name some of {shortlist(chosen, 3)}")
    return Roles(chosen, inputs, frozenset({*numbers} & {*chosen}), smiles, group, split, notes)


def shortlist(names: Sequence[object], most: int = 8) -> str:
    """List the first names in quotes, and say how many others there are.

    >>> print(shortlist(["age", "height", "weight", "sex"], most=2))
    'age', 'height' and 2 others
    """
    more = f" and {len(names) - most:,} others" if len(names) > most else ""
    return ", ".join(quoted(name) for name in names[:most]) + more


def _set_role(role: dict[str, str], name: str, kind: str, where: str) -> None:
    if (other := role.setdefault(name, kind)) != kind:
        raise BadInput(
            f"{where}: column {quoted(name)} is named under {other} and under {kind}; give it one "
            "role, perhaps by a narrower pattern"
        )


def _targets_by_pattern(names: Sequence[str], where: str) -> tuple[str, list[str]]:
    for patterns in TARGET_PATTERNS:
        chosen = [name for name in names if _matches(name, patterns)]
        if chosen:
            return " or ".join(patterns), chosen
    rules = ", ".join(pattern for patterns in TARGET_PATTERNS for pattern in patterns)
    raise BadInput(
        f"{where}: no column is named as a target ({rules}); give targets, names or a pattern for "
        f"some of {_examples(names)}"
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in patterns)


def _matched(
    given: ColumnNames, names: Sequence[str], role: str, where: str, empty: bool = False
) -> list[str]:
    """Find the columns that names and patterns mean, in the order of the file."""
    if isinstance(given, str):
        parts = [given] if given in names else given.split(",")
        words = [part if part in names else part.strip() for part in parts]
        words = [word for word in words if word]
    elif isinstance(given, Sequence) and all(isinstance(word, str) for word in given):
        words = [*given]
    else:
        raise BadInput(f"{where}: {role} {quoted(given)}: give names or patterns, such as 'y_*'")
    if not words and not empty:
        raise BadInput(f"{where}: {role} is empty; give names or patterns, such as 'y_*'")
    known, chosen = {*names}, set()
    for word in words:
        meant = {word} if word in known else {n for n in names if fnmatchcase(n, word)}
        if not meant:
            raise BadInput(f"{where}: {role}: no column {quoted(word)}; {_nearest(word, names)}")
        chosen |= meant
    return [name for name in names if name in chosen]


def _nearest(name: object, names: Sequence[str]) -> str:
    close = suggestion(name, names) if all(len(n) < 30 for n in names) else ""
    return close if 0 < len(close) < 100 else f"columns are {_examples(names)}"


def _examples(names: Sequence[str]) -> str:
    return ", ".join(quoted(name, 16) for name in names[:3]) + (", ..." if len(names) > 3 else "")
