"""The data of a study: a table of tasks that share their features, and how its rows are split.

`TaskData` checks its table once, so that every other room can rely on it. Beside it stand the error
`BadInput`, which every room raises for input that a person can mend, and a few checks of arguments.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .bits import Bits

TaskKind = Literal["binary", "regression"]
Severity = Literal["matters", "info"]


class BadInput(ValueError):
    """Input that a person can mend. The message is one line: what, where, what to do.

    A message may contain names and cells of somebody's table. Characters that a terminal would obey
    or show in another order are escaped (see `printable`).

    >>> str(BadInput("column 'a\\nb' has no numbers; give it some"))
    "column 'a\\\\nb' has no numbers; give it some"
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    def _render_traceback_(self) -> list[str]:
        """The one line that IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class Note(str):
    """What was done with a table while it was read: one line of text that a person can read.

    It may hold names and cells of somebody's table, so escape it in HTML.

    Attributes:
        severity: "matters" where the results depend on it and a reader must see it first: a column
            that was left out, labels that were emptied, a suspicion. "info" is for the rest.
        about: the kind of thing, for scripts, such as "targets" or "imputed".
        columns: the columns that it is about.

    >>> note = Note("Left out, as row numbers: 'index'.", "matters", "left out", ("index",))
    >>> note, note.severity
    ("Left out, as row numbers: 'index'.", 'matters')
    """

    severity: Severity
    about: str
    columns: tuple[str, ...]

    def __new__(
        cls,
        text: str,
        severity: Severity = "info",
        about: str = "",
        columns: Sequence[str] = (),
    ) -> Note:
        note = super().__new__(cls, printable(text))
        note.severity, note.about, note.columns = severity, about, (*columns,)
        return note

    def as_json(self) -> dict[str, Any]:
        """The note as a dictionary that JSON can write.

        >>> Note("5 folds.", about="split").as_json()
        {'text': '5 folds.', 'severity': 'info', 'about': 'split', 'columns': []}
        """
        return {
            "text": str(self),
            "severity": self.severity,
            "about": self.about,
            "columns": list(self.columns),
        }


def printable(text: object) -> str:
    """The text on one line, with escapes in place of characters that must not be printed.

    Those are control characters, marks that turn the direction of writing, and halves of a
    surrogate pair.

    >>> print(printable("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return "".join(c if c.isprintable() else _escape(c) for c in str(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def is_out_of_memory(kind: str, message: str) -> bool:
    """Whether an error means that memory ran out. Torch raises a plain RuntimeError then.

    Args:
        kind: name of the error's class.
        message: the error's text.

    >>> is_out_of_memory("RuntimeError", "CUDA out of memory."), is_out_of_memory("KeyError", "x")
    (True, False)
    """
    said = ("can't allocate memory", "Cannot allocate memory", "out of memory")
    return kind.endswith("MemoryError") or any(words in message for words in said)


def is_whole_number(value: object, least: int) -> bool:
    """Whether a value is a whole number of `least` or more. True and False are not.

    >>> is_whole_number(3, least=1), is_whole_number(3.0, least=1), is_whole_number(True, least=0)
    (True, False, False)
    """
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def is_finite_number(value: object) -> bool:
    """Whether a value is a finite number. True and False are not.

    >>> is_finite_number(0.5), is_finite_number(math.nan), is_finite_number(10**400)
    (True, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more digits than a float has
        return False


def suggestion(name: object, known: Iterable[str]) -> str:
    """What an error message says after an unknown name: the most similar known names, or all.

    >>> suggestion("MLT", ["MTL", "STL"])
    "did you mean 'MTL'?"
    >>> suggestion("xyz", ["MTL", "STL"])
    'known: MTL, STL'
    """
    name, names = name if isinstance(name, str) else "", list(known)
    lower = {n.lower(): n for n in names}
    close = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if close:
        return f"did you mean {' or '.join(repr(n) for n in close)}?"
    return f"known: {', '.join(names)}"


@dataclass(frozen=True, eq=False)
class Split:
    """The numbers of the training, validation and test rows. There may be no validation rows.

    `kind` says what a new seed changes. With "new data", everything is drawn anew. With "free", the
    same rows are split anew. With "fixed", nothing changes, and every sentence about the results
    says "on this split".

    >>> Split(torch.arange(8), torch.arange(0), torch.arange(8, 10)).kind
    'fixed'
    """

    train: Int[Tensor, " train"]
    validation: Int[Tensor, " validation"]
    test: Int[Tensor, " test"]
    kind: Literal["new data", "free", "fixed"] = "fixed"


@dataclass(frozen=True, eq=False)
class TaskData:
    """Tasks that share their rows' features.

    Args:
        name: name of the data set.
        x: features `[N, ...]`, finite; or `Bits` `[N, F]`, a table of zeros and ones that is kept
            as lists of its ones.
        y: targets `[N, T]`; NaN is a missing label; binary targets are 0 or 1.
        tasks: `T` distinct names.
        kind: "binary" or "regression", one for all tasks or one for each.
        split: rows for training, validation and test.
        provenance: where the data come from, with their licence.
        groups: the name of every task's group, where groups are known.
        row_groups: the name of every row's group (a tissue, say), where rows come in groups.
        relatedness: `[T, T]`, the correlation of what the tasks truly respond to, where it is
            known.
        exclusive: whether the tasks are classes, of which each row has exactly one.
        unit: `[T]`, the standard deviation in which a regression task's errors are counted; by
            default that of its training labels.
        standardise: whether networks are trained on `(y - mean) / unit`, with the mean of the
            training labels, instead of on `y`. Binary tasks are trained on `y` in any case.
        recipe: training settings that suit these data (see `networks.Recipe`).
        single: settings of single-task networks that differ from `recipe`: one task needs fewer
            units.
        redraw: a function of a seed that gives the same data as another run has them; None where
            nothing can vary.
        data_seed: the seed that drew these data or this split; None where nothing can vary.
        notes: what was left out, guessed, encoded or imputed while a table was read, one `Note` for
            each kind of thing.

    Raises:
        BadInput: shapes disagree; features or targets are not finite; a task has no training labels
            or only one class; or parts of the split overlap or leave the table.

    Six rows, of which one has no label:

    >>> rows = torch.arange(6)
    >>> data = TaskData(
    ...     name="tiny",
    ...     x=torch.randn(6, 3),
    ...     y=torch.tensor([[0.1], [0.2], [0.3], [torch.nan], [0.5], [0.6]]),
    ...     tasks=("height",),
    ...     kind="regression",
    ...     split=Split(train=rows[:4], validation=rows[:0], test=rows[4:]),
    ... )
    >>> int(data.labelled.sum())
    5
    """

    name: str
    x: Float[Tensor, "N ..."] | Bits
    y: Float[Tensor, "N T"]
    tasks: tuple[str, ...]
    kind: TaskKind | Sequence[TaskKind]
    split: Split
    provenance: str = ""
    groups: tuple[str, ...] | None = None
    row_groups: tuple[str, ...] | None = None
    relatedness: Float[Tensor, "T T"] | None = None
    exclusive: bool = False
    unit: Float[Tensor, " T"] | None = None
    standardise: bool = True
    recipe: Mapping[str, Any] = field(default_factory=dict)
    single: Mapping[str, Any] = field(default_factory=dict)
    redraw: Callable[[int], TaskData] | None = None
    data_seed: int | None = None
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        _check_table(self)
        _check_split(self)
        _check_labels(self)

    @property
    def kinds(self) -> tuple[TaskKind, ...]:
        """The kind of every task, `T` of them."""
        return (self.kind,) * len(self.tasks) if isinstance(self.kind, str) else tuple(self.kind)

    @property
    def binary(self) -> Bool[Tensor, " T"]:
        """Which tasks are binary."""
        return torch.tensor([k == "binary" for k in self.kinds])

    @property
    def labelled(self) -> Bool[Tensor, "N T"]:
        """Whether a label is present."""
        return ~self.y.isnan()

    @property
    def scale(self) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        """Mean and unit of every task, from its training labels; 0 and 1 for binary tasks."""
        train = self.y[self.split.train].double()
        mean = train.nanmean(0)
        sd = (train - mean).square().nanmean(0).sqrt()
        unit = sd if self.unit is None else self.unit.double()
        unit = torch.where(unit > 0, unit, 1.0)
        binary = self.binary
        return torch.where(binary, 0.0, mean), torch.where(binary, 1.0, unit)

    @property
    def targets(self) -> Float[Tensor, "N T"]:
        """What the networks are trained on: `y`, with regression tasks standardised unless
        `standardise` is False.
        """
        if not self.standardise or bool(self.binary.all()):
            return self.y
        mean, unit = self.scale
        return ((self.y - mean) / unit).to(self.y.dtype)

    def for_seed(self, seed: int) -> TaskData:
        """These data as the run with this seed has them.

        >>> from mtl_nt import load
        >>> load("dial").for_seed(7).data_seed
        7
        """
        return self if self.redraw is None else self.redraw(seed)

    def with_fixed_split(self) -> TaskData:
        """The same data and the same split for every seed.

        Then runs differ only in their initialisation and batches.

        >>> from mtl_nt import load
        >>> data = load("dial").with_fixed_split()
        >>> data.for_seed(7) is data
        True
        """
        return replace(self, redraw=None, split=replace(self.split, kind="fixed"))


def _check_table(data: TaskData) -> None:
    x, y, where = data.x, data.y, f"data set {data.name!r}"
    if not isinstance(x, (Tensor, Bits)) or not isinstance(y, Tensor):
        raise BadInput(
            f"{where}: x and y must be torch tensors, not {type(x).__name__} and "
            f"{type(y).__name__}; use torch.as_tensor"
        )
    if y.ndim != 2 or x.ndim < 2:
        raise BadInput(
            f"{where}: x must be [rows, ...] and y [rows, tasks], "
            f"not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if len(x) != len(y):
        raise BadInput(
            f"{where}: {len(x)} rows of features but {len(y)} rows of targets; give one row each"
        )
    if len(data.tasks) != y.shape[1]:
        raise BadInput(
            f"{where}: {y.shape[1]} target columns but {len(data.tasks)} task names; "
            "give every column one name"
        )
    if math.prod(x.shape) == 0:
        raise BadInput(f"{where}: no rows or no features; give at least one of each")
    if not data.tasks:
        raise BadInput(f"{where}: no task; give at least one target column")
    if len(set(data.tasks)) != len(data.tasks):
        twice = next(t for t in data.tasks if data.tasks.count(t) > 1)
        raise BadInput(f"{where}: the task name {twice!r} occurs twice; rename one of them")
    if len(data.kinds) != len(data.tasks) or not set(data.kinds) <= {"binary", "regression"}:
        raise BadInput(f"{where}: kind must be 'binary' or 'regression', one or {len(data.tasks)}")
    if data.groups is not None and len(data.groups) != len(data.tasks):
        raise BadInput(
            f"{where}: {len(data.groups)} group names for {len(data.tasks)} tasks; "
            "give every task's group"
        )
    if data.row_groups is not None and len(data.row_groups) != len(x):
        raise BadInput(
            f"{where}: {len(data.row_groups)} row groups for {len(x)} rows; give every row's group"
        )
    if data.relatedness is not None:
        r = data.relatedness
        square = r.shape == (len(data.tasks), len(data.tasks)) and torch.allclose(r, r.T)
        if not square or not ((r.abs() <= 1 + 1e-6).all() and r.isfinite().all()):
            raise BadInput(
                f"{where}: relatedness must be a symmetric table of correlations, "
                f"{len(data.tasks)} x {len(data.tasks)}"
            )
    if data.unit is not None:
        needed = ~data.binary
        good = data.unit.shape == needed.shape and data.unit[needed].isfinite().all()
        if not good or not (data.unit[needed] > 0).all():
            raise BadInput(f"{where}: unit must be {len(data.tasks)} numbers above 0, one a task")
    if isinstance(x, Bits):
        if fault := x.fault():
            raise BadInput(f"{where}: {fault}")
    elif not torch.stack(x.aminmax()).isfinite().all():  # takes no table of its own
        row, column = (int(i) for i in (~x.isfinite().flatten(1)).nonzero()[0])
        raise BadInput(
            f"{where}: feature {column} of row {row} is NaN or infinite; impute it or drop the row"
        )
    if y.isinf().any():
        row, column = (int(i) for i in y.isinf().nonzero()[0])
        raise BadInput(
            f"{where}: target {data.tasks[column]!r} of row {row} is infinite; "
            "write NaN where a label is missing"
        )


def _check_split(data: TaskData) -> None:
    split, where = data.split, f"data set {data.name!r}"
    if split.kind not in ("new data", "free", "fixed"):
        raise BadInput(f"{where}: split kind {split.kind!r}: 'new data', 'free' or 'fixed'")
    for name in ("train", "validation", "test"):
        rows = getattr(split, name)
        if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1:
            raise BadInput(
                f"{where}: split.{name} must be row numbers, a torch tensor of int64 [rows]"
            )
        if len(rows) == 0 and name != "validation":
            raise BadInput(f"{where}: the split leaves no {name} rows; give it some")
    rows = torch.cat([split.train, split.validation, split.test])
    if len(rows.unique()) != len(rows):
        raise BadInput(f"{where}: a row is in two parts of the split; give each row to one part")
    if rows.min() < 0 or rows.max() >= len(data.x):
        raise BadInput(
            f"{where}: the split names a row outside 0..{len(data.x) - 1}; "
            "give row numbers of this table"
        )


def _check_labels(data: TaskData) -> None:
    where, binary = f"data set {data.name!r}", data.binary
    zero, one, none = data.y == 0, data.y == 1, data.y.isnan()
    train = data.split.train
    empty = none[train].all(0)
    other = binary & ~(zero | one | none).all(0)
    single = binary & ~(zero[train].any(0) & one[train].any(0))
    for t in (empty | other | single).nonzero().flatten().tolist():
        name = data.tasks[t]
        if empty[t]:
            raise BadInput(f"{where}: task {name!r} has no training labels; leave it out")
        if other[t]:
            raise BadInput(f"{where}: binary task {name!r} has labels other than 0 and 1")
        raise BadInput(
            f"{where}: task {name!r} has one class only among its training labels; "
            "leave it out or split differently"
        )
    if data.exclusive and not (data.binary.all() and ((data.y == 1).sum(1) == 1).all()):
        raise BadInput(
            f"{where}: exclusive tasks are binary and exactly one is 1 in every row; "
            "mend the targets or set exclusive=False"
        )
