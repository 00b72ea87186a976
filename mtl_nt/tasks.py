"""What every other room takes in: a table of tasks, validated once."""

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

Kind = Literal["binary", "regression"]


class BadInput(ValueError):
    """Input that a person can mend. The message is one line: what, where, what to do.

    Names and cells of somebody's table may be in it: what a terminal would obey, or show in another
    order than it is written, is there as an escape.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))

    def _render_traceback_(self) -> list[str]:
        """All that IPython shows of it."""
        return [f"{type(self).__name__}: {self}"]


def visible(text: object) -> str:
    """The text on one line, with escapes in place of characters that are not to be printed:
    control characters, marks that turn the direction of writing, and halves of a pair.

    >>> print(visible("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return "".join(c if c.isprintable() else _escape(c) for c in str(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def lacks_memory(kind: str, message: str) -> bool:
    """Whether an error of this class, with this message, is for want of memory: that of torch is a
    RuntimeError as many others.
    """
    said = ("can't allocate memory", "Cannot allocate memory", "out of memory")
    return kind.endswith("MemoryError") or any(words in message for words in said)


def is_whole(value: object, least: int) -> bool:
    """Whether this is a whole number of at least so much; True and False are not."""
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def is_number(value: object) -> bool:
    """Whether this is a finite number; True and False are not."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def nearest(name: object, known: Iterable[str]) -> str:
    """One clause for an unknown name: the nearest known names, else all of them."""
    name, names = name if isinstance(name, str) else "", list(known)
    lower = {n.lower(): n for n in names}
    close = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if close:
        return f"did you mean {' or '.join(repr(n) for n in close)}?"
    return f"known: {', '.join(names)}"


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the training, validation (may be empty) and test rows.

    `kind` says what a new seed changes: "new data" (everything is drawn anew), "free" (the same
    rows, split anew) or "fixed" (nothing: then every sentence about it says "on this split").
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
        kind: "binary" or "regression", one for all tasks or one a task.
        split: rows for training, validation and test.
        provenance: where the data come from, with licence.
        groups: a group's name for every task, where groups are known.
        row_groups: a group's name for every row (a tissue, say), where rows come in groups.
        relatedness: `[T, T]`, correlation of what the tasks truly respond to, where it is known.
        exclusive: the tasks are one class each (one against the rest), exactly one holds a row.
        unit: `[T]`, the standard deviation in which a regression task's errors are counted;
            by default that of its training labels.
        standardise: train on `(y - mean) / unit` of the training labels instead of `y`.
        recipe: training settings that suit these data (see `training.Recipe`).
        single: those of single-task networks, where they are others: one task needs fewer units.
        redraw: seed -> the same data as another run has them; None where nothing can vary.
        data_seed: the seed that drew these data or this split; None where nothing can vary.

    Raises:
        BadInput: shapes that disagree, features or targets that are not finite, a task without
            training labels or with one class only, splits that overlap or leave the table.
    """

    name: str
    x: Float[Tensor, "N ..."] | Bits
    y: Float[Tensor, "N T"]
    tasks: tuple[str, ...]
    kind: Kind | Sequence[Kind]
    split: Split
    provenance: str = ""
    groups: tuple[str, ...] | None = None
    row_groups: tuple[str, ...] | None = None
    relatedness: Float[Tensor, "T T"] | None = None
    exclusive: bool = False
    unit: Float[Tensor, " T"] | None = None
    standardise: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    single: Mapping[str, Any] = field(default_factory=dict)
    redraw: Callable[[int], TaskData] | None = None
    data_seed: int | None = None

    def __post_init__(self) -> None:
        _check_table(self)
        _check_split(self)
        _check_labels(self)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kind of every task, `T` of them."""
        return (self.kind,) * len(self.tasks) if isinstance(self.kind, str) else tuple(self.kind)

    @property
    def binary(self) -> Bool[Tensor, " T"]:
        """Which tasks are binary."""
        return torch.tensor([k == "binary" for k in self.kinds])

    @property
    def labelled(self) -> Bool[Tensor, "N T"]:
        """Where a label is present."""
        return ~self.y.isnan()

    @property
    def scale(self) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        """Mean and unit of every task from its training labels; 0 and 1 for binary tasks."""
        train = self.y[self.split.train].double()
        mean = train.nanmean(0)
        sd = (train - mean).square().nanmean(0).sqrt()
        unit = sd if self.unit is None else self.unit.double()
        unit = torch.where(unit > 0, unit, 1.0)
        binary = self.binary
        return torch.where(binary, 0.0, mean), torch.where(binary, 1.0, unit)

    @property
    def targets(self) -> Float[Tensor, "N T"]:
        """What the networks are trained on: `y`, standardised where `standardise` says so."""
        if not self.standardise:
            return self.y
        mean, unit = self.scale
        return ((self.y - mean) / unit).to(self.y.dtype)

    def run(self, seed: int) -> TaskData:
        """These data as the run with this seed has them."""
        return self if self.redraw is None else self.redraw(seed)

    def fixed(self) -> TaskData:
        """These very data and this split for every seed; only initialisation and batches vary."""
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
    parts = torch.cat([split.train, split.validation, split.test])
    if len(parts.unique()) != len(parts):
        raise BadInput(f"{where}: a row is in two parts of the split; give each row to one part")
    if parts.min() < 0 or parts.max() >= len(data.x):
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
