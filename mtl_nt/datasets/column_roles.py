"""The roles of a user's columns: targets, features, SMILES, groups, the split, or none.

`assign_roles` follows the user's options. Where these name no targets, it finds the targets by
their names, and it notes which rule it used.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..errors import BadInput, suggestion
from ..tasks import Note
from .sheets import ROW_NAMES, quoted
from .table_files import Sheet

ColumnNames = str | Sequence[str]

TARGET_PATTERNS = (("y", "y_*"), ("target*",), ("label*",), ("task*",))
"""How targets are named where the user names none. The first rule that fits a column is used for
all columns; upper and lower case are the same."""
PANDAS_INDEX = (
    "__index_level_0__"  # pandas writes a table's row names into a Parquet as this column
)
LONGEST_PROPOSAL = 40  # letters of a proposed option
NAMES_OF_ROWS = (PANDAS_INDEX, ROW_NAMES)
"""Columns that have the names of rows, and are no features."""


class Roles(NamedTuple):
    """The columns of a table by their roles."""

    targets: list[str]
    features: list[str]
    regression: frozenset[str]  # targets that are numbers although they may have few values
    log: frozenset[str]  # targets that are read as logarithms
    classes: frozenset[str]  # targets whose numbers or texts are classes
    keep: frozenset[str]  # columns that are right as they are, and that nobody asks about
    smiles: str | None
    group: str | None
    split: str | None
    time: str | None
    weights: str | None  # how much each row counts
    named: bool  # whether the user has named the features
    pattern: str  # what names the targets: the user's words, or the rule that found them
    notes: list[Note]  # one sentence on each choice

    @property
    def keys(self) -> list[str]:
        """The columns that are read as texts: SMILES, groups, times, weights and the split."""
        names = (self.smiles, self.group, self.split, self.time, self.weights)
        return [name for name in names if name is not None]

    def targets_pattern(self, names: Sequence[str]) -> str:
        """Return a short text that names these targets and no others, or "" where there is none."""
        if {*names} != {*self.targets} or len(self.pattern) > 40:
            return ",".join(names) if len(names) <= 2 else ""
        return self.pattern


def assign_roles(
    sheet: Sheet,
    targets: ColumnNames | None,
    features: ColumnNames | None,
    smiles: str | None,
    group: str | None,
    split: str | None,
    ignore: ColumnNames,
    regression: ColumnNames,
    log: ColumnNames = (),
    keep: ColumnNames = (),
    time: str | None = None,
    classes: ColumnNames = (),
    weights: str | None = None,
) -> Roles:
    """Give every column of a sheet its role.

    Args:
        sheet: the table.
        targets, features, ignore, regression, log, keep, classes: names or patterns, as a list or
            as one text with commas; `*` stands for any characters. See `table.read_table`.
        smiles, group, split, time, weights: the name of one column each, or None.

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
    single = (("smiles", smiles), ("group", group), ("split", split), ("time", time))
    for kind, name in (*single, ("weights", weights)):
        if name is None:
            continue
        if not isinstance(name, str) or name not in names:
            close = _nearest(name, names)
            raise BadInput(f"{where}: no {kind} column {quoted(name)}; {close}")
        _set_role(role, name, kind, where)
    ignored = _matched(ignore, names, "ignore", where, empty=True)
    for name in ignored:
        _set_role(role, name, "ignore", where)
    notes: list[Note] = []
    free = [name for name in names if name not in role and name not in NAMES_OF_ROWS]
    if targets is None:
        patterns, chosen = _targets_by_pattern(free, where)
        used = [p for p in patterns if any(fnmatchcase(name, p) for name in chosen)]
        pattern = ",".join(used if _covered(chosen, used) else chosen)
        said = f"Targets found by their names ({' or '.join(patterns)}): {shortlist(chosen)}."
    else:
        chosen = [t for t in _matched(targets, names, "targets", where) if t not in ignored]
        pattern = targets if isinstance(targets, str) else ",".join(targets)
        said = f"Targets as given: {shortlist(chosen)}."
    notes.append(Note(said, "info", "targets", (*chosen,)))
    if not chosen:
        raise BadInput(f"{where}: every target is ignored; name fewer columns under ignore")
    for name in chosen:
        _set_role(role, name, "targets", where)
    if features is None:
        inputs = [name for name in free if name not in role]
        alike = [name for rule in TARGET_PATTERNS for name in inputs if _matches(name, rule)]
        if alike and smiles is None:
            said = (
                f"Features that are named as targets often are: {shortlist(alike)}; name them "
                "under --ignore if they are labels."
            )
            notes.append(Note(said, "matters", "features", (*alike,)))
    else:
        inputs = [f for f in _matched(features, names, "features", where) if f not in ignored]
        for name in inputs:
            _set_role(role, name, "features", where)
    if smiles is not None:
        if inputs:
            said = f"Left out beside the SMILES, which are the features: {shortlist(inputs)}."
            notes.append(Note(said, "matters", "left out", (*inputs,)))
        inputs = []
    elif not inputs:
        raise BadInput(f"{where}: no feature column is left; give features beside the targets")
    if ignored:
        said = f"Ignored as asked: {shortlist(ignored)}."
        notes.append(Note(said, "info", "left out", (*ignored,)))
    for name, who in ((PANDAS_INDEX, "that pandas wrote"), (ROW_NAMES, "in the first column")):
        if name in names and name not in role:
            notes.append(Note(f"Left out: the row names {who}.", "info", "left out", (name,)))
    some: dict[str, frozenset[str]] = {}
    for option, given in (("regression", regression), ("log", log), ("classes", classes)):
        found = _matched(given, names, option, where, empty=True)
        some[option] = frozenset({*found} & {*chosen})
        if found and not some[option]:
            raise BadInput(
                f"{where}: {option} names no target; name some of {shortlist(chosen, 3)}"
            )
    for option in ("regression", "log"):
        for name in sorted(some["classes"] & some[option]):
            raise BadInput(
                f"{where}: target {quoted(name)} is named under classes and under {option}; name "
                "it under one"
            )
    kept = frozenset(_matched(keep, names, "keep", where, empty=True))
    return Roles(
        targets=chosen,
        features=inputs,
        regression=some["regression"],
        log=some["log"],
        classes=some["classes"],
        keep=kept,
        smiles=smiles,
        group=group,
        split=split,
        time=time,
        weights=weights,
        named=features is not None,
        pattern=pattern,
        notes=notes,
    )


def shortlist(names: Sequence[object], most: int = 8) -> str:
    """List the first names in quotes, and say how many others there are.

    >>> print(shortlist(["age", "height", "weight", "sex"], most=2))
    'age', 'height' and 2 others
    """
    left = len(names) - most
    more = f" and {left:,} other{'s' if left > 1 else ''}" if left > 0 else ""
    return ", ".join(quoted(name) for name in names[:most]) + more


def _set_role(role: dict[str, str], name: str, kind: str, where: str) -> None:
    if (other := role.setdefault(name, kind)) != kind:
        raise BadInput(
            f"{where}: column {quoted(name)} is named under {other} and under {kind}; give it one "
            "role, perhaps by a narrower pattern"
        )


def _covered(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return all(any(fnmatchcase(name, p) for p in patterns) for name in names)


def _targets_by_pattern(names: Sequence[str], where: str) -> tuple[Sequence[str], list[str]]:
    for patterns in TARGET_PATTERNS:
        chosen = [name for name in names if _matches(name, patterns)]
        if chosen:
            return patterns, chosen
    rules = ", ".join(pattern for patterns in TARGET_PATTERNS for pattern in patterns)
    raise BadInput(
        f"{where}: no column is named as a target ({rules}); give their names or a pattern, such "
        f"as --targets {_proposal(names)}"
    )


def _proposal(names: Sequence[str]) -> str:
    """The last columns, where targets often are, as a word that a command line takes as it is.

    >>> print(_proposal(["age", "dose, mg", "Log S"]), _proposal(["a" * 99]))
    'dose? mg,Log S' 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa*'
    """
    if not names:
        return "'y_*'"
    few = [name.replace(",", "?").replace("\n", "?") for name in names[-2:]]
    word = next((w for w in (",".join(few), few[-1]) if len(w) <= LONGEST_PROPOSAL), "")
    return shlex.quote(word or f"{few[-1][:LONGEST_PROPOSAL]}*")


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
