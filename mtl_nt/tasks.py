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
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from .bits import Bits

TaskKind = Literal["binary", "regression", "classes"]
KINDS: tuple[str, ...] = get_args(TaskKind)
MOST_CLASSES = 1_000  # of one task
LARGEST_WEIGHT = 1e9  # of a label, so that a sum of weighted losses stays finite
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


Logarithm = Literal["", "log10(y)", "log10(1 + y)"]


class TargetForm(NamedTuple):
    """How the labels of a task were made from what was measured.

    Attributes:
        offset: what was taken off, before labels far from 0 were rounded to single precision.
        log: the logarithm that was taken; nothing where the labels are what was measured.

    >>> form = TargetForm(log="log10(1 + y)")
    >>> form.measured(np.array([0.0, 2.0])).tolist()
    [0.0, 99.0]
    """

    offset: float = 0.0
    log: Logarithm = ""

    def measured(self, labels: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Labels, or predictions of them, in the unit in which the target was measured.

        What has a logarithm is not below 0, and no prediction of it is. What is too large for a
        number is as large as a number can be.
        """
        if not self.log:
            return labels + self.offset
        power = 10.0 ** np.minimum(labels, MOST_DIGITS)
        return np.maximum(power - 1.0, 0.0) if self.log == "log10(1 + y)" else power


MOST_DIGITS = 300.0


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
        y: targets `[N, T]`; NaN is a missing label; binary targets are 0 or 1. A task of classes
            has the number of the row's class, from 0.
        tasks: `T` distinct names.
        kind: "binary", "regression" or "classes", one for all tasks or one for each.
        split: rows for training, validation and test.
        provenance: where the data come from, with their licence.
        groups: the name of every task's group, where groups are known.
        row_groups: the name of every row's group (a tissue, say), where rows come in groups.
        relatedness: `[T, T]`, the correlation of what the tasks truly respond to, where it is
            known.
        exclusive: whether the tasks are classes, of which each row with a label has exactly one.
        unit: `[T]`, the standard deviation in which a regression task's errors are counted; by
            default that of its training labels, or 1 where these are all equal.
        standardise: whether networks are trained on `(y - mean) / unit`, with the mean of the
            training labels, instead of on `y`. Other tasks are trained on `y` in any case.
        recipe: training settings that suit these data (see `networks.Recipe`).
        single: settings of single-task networks that differ from `recipe`: one task needs fewer
            units.
        redraw: a function of a seed that gives the same data as another run has them; None where
            nothing can vary.
        data_seed: the seed that drew these data or this split; None where nothing can vary.
        notes: what was left out, guessed, encoded or imputed while a table was read, one `Note` for
            each kind of thing.
        forms: how the labels of every task were made from what was measured, `T` of them; None
            where `y` is what was measured.
        reading: how a table's columns became `x`, so that new rows can be read alike (see
            `datasets.new_rows.Reading`); None for data that are no table.
        classes: the names of the classes of each task of kind "classes", by the task's name. By
            default they are named by their numbers, up to the largest one in `y`.
        weights: how much each label counts, `[N, T]`, or each row, `[N]`: finite and 0 or more; by
            default all count alike. They weigh the rows in the losses, and in the scores as
            scikit-learn's `sample_weight` does. A label of weight 0 counts as missing: it is NaN in
            `y` here.
        class_weight: "balanced" weighs each label of a binary task, or of a task of classes, by
            N / (C N_c) in the training losses, beside `weights`. N_c counts the training labels of
            its class, N those of the task, C the classes. Scores are not changed.

    Raises:
        BadInput: shapes disagree; features, targets or weights are not finite, or a weight is below
            0; a task has no training labels, only one class, or a class without training labels; or
            parts of the split overlap or leave the table.

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

    A task of three classes, for which a network has three outputs:

    >>> stage = torch.tensor([[0.0], [1.0], [2.0], [0.0], [1.0], [2.0]])
    >>> names = {"stage": ("I", "II", "III")}
    >>> cancer = replace(data, y=stage, tasks=("stage",), kind="classes", classes=names)
    >>> cancer.output_names
    ('stage: I', 'stage: II', 'stage: III')
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
    forms: tuple[TargetForm, ...] | None = None
    reading: Any = None
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    weights: Shaped[Tensor, "N T"] | Shaped[Tensor, " N"] | None = None
    class_weight: Literal["balanced"] | None = None

    def __post_init__(self) -> None:
        _check_table(self)
        _check_split(self)
        if "classes" in self.kinds or self.classes:
            object.__setattr__(self, "classes", _named_classes(self))
        if self.weights is not None:
            weights, y = _spread_weights(self, self.weights)
            object.__setattr__(self, "weights", weights)
            object.__setattr__(self, "y", y)
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
    def regression(self) -> Bool[Tensor, " T"]:
        """Which tasks are regressions."""
        return torch.tensor([k == "regression" for k in self.kinds])

    @property
    def outputs_per_task(self) -> tuple[int, ...]:
        """How many outputs a network has for each task: one, or one for each class."""
        if not self.classes:
            return (1,) * len(self.tasks)
        return tuple(len(self.classes.get(task, ("",))) for task in self.tasks)

    @property
    def task_of_output(self) -> Int[Tensor, " O"]:
        """The number of the task of each output. Outputs come in the order of the tasks."""
        counts = torch.tensor(self.outputs_per_task)
        return torch.arange(len(self.tasks)).repeat_interleave(counts)

    @property
    def output_names(self) -> tuple[str, ...]:
        """What each output is called: as its task, or "task: class"."""
        return tuple(
            name
            for task in self.tasks
            for name in (
                [f"{task}: {label}" for label in self.classes[task]]
                if task in self.classes
                else [task]
            )
        )

    @property
    def labelled(self) -> Bool[Tensor, "N T"]:
        """Whether a label is present."""
        return ~self.y.isnan()

    @property
    def scale(self) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
        """Mean and unit of every task, from its training labels, which count alike here.

        They are 0 and 1 for tasks that are no regression. Where all training labels are equal, they
        are this label and 1: there is no spread to count errors in.
        """
        train = self.y[self.split.train].double()
        mean = train.nanmean(0)
        sd = (train - mean).square().nanmean(0).sqrt()
        lowest, highest = (train.nan_to_num(nan=end) for end in (math.inf, -math.inf))
        # The mean of equal labels is rounded, so their deviation from it may not be 0.
        alike = lowest.amin(0) == highest.amax(0)
        sd = torch.where(alike, 0.0, sd)
        mean = torch.where(alike, lowest.amin(0), mean)
        unit = sd if self.unit is None else self.unit.double()
        unit = torch.where(unit > 0, unit, 1.0)
        as_it_is = ~self.regression
        return torch.where(as_it_is, 0.0, mean), torch.where(as_it_is, 1.0, unit)

    @property
    def targets(self) -> Float[Tensor, "N T"]:
        """What the networks are trained on: `y`, with regression tasks standardised unless
        `standardise` is False.
        """
        if not self.standardise or not bool(self.regression.any()):
            return self.y
        mean, unit = self.scale
        return ((self.y - mean) / unit).to(self.y.dtype)

    @property
    def training_weights(self) -> Float[Tensor, "N T"] | None:
        """How much each label counts in the training losses; None where all count alike."""
        if self.class_weight is None:
            return self.weights
        y, train = self.y, self.y[self.split.train]
        weights = torch.ones_like(y) if self.weights is None else self.weights.to(y).clone()
        for t, kind in enumerate(self.kinds):
            if kind == "regression":
                continue
            classes = 2 if kind == "binary" else len(self.classes[self.tasks[t]])
            labels = int((~train[:, t].isnan()).sum())
            for number in range(classes):
                share = labels / (classes * int((train[:, t] == number).sum()))
                weights[y[:, t] == number, t] *= share
        return weights

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
    if len(data.kinds) != len(data.tasks) or not set(data.kinds) <= {*KINDS}:
        raise BadInput(
            f"{where}: kind must be 'binary', 'regression' or 'classes', one or {len(data.tasks)}"
        )
    if data.class_weight not in (None, "balanced"):
        raise BadInput(f"{where}: class_weight {data.class_weight!r}: give 'balanced' or None")
    if data.groups is not None and len(data.groups) != len(data.tasks):
        raise BadInput(
            f"{where}: {len(data.groups)} group names for {len(data.tasks)} tasks; "
            "give every task's group"
        )
    if data.forms is not None and len(data.forms) != len(data.tasks):
        raise BadInput(
            f"{where}: {len(data.forms)} forms for {len(data.tasks)} tasks; give each one"
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
        needed = data.regression
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


def _named_classes(data: TaskData) -> dict[str, tuple[str, ...]]:
    """The names of the classes of each task of classes."""
    where, given = f"data set {data.name!r}", data.classes
    if not isinstance(given, Mapping):
        raise BadInput(f"{where}: classes {given!r:.40}: give names by task, as a dictionary")
    of_classes = [t for t, kind in zip(data.tasks, data.kinds, strict=True) if kind == "classes"]
    for task in given:
        if task not in of_classes:
            raise BadInput(
                f"{where}: classes names {task!r}, which is no task of kind 'classes'; "
                f"{suggestion(task, of_classes or ['no task'])}"
            )
    named = {}
    for task in of_classes:
        labels = data.y[:, data.tasks.index(task)]
        labels = labels[~labels.isnan()]
        if not ((labels >= 0) & (labels == labels.round())).all():
            raise BadInput(
                f"{where}: task {task!r} has labels that number no class; write 0, 1, ... or NaN"
            )
        if task in given and isinstance(given[task], str):
            raise BadInput(f"{where}: classes of {task!r}: give one name for each class, as a list")
        largest = int(labels.max()) if len(labels) else 0
        if largest >= MOST_CLASSES:
            raise BadInput(
                f"{where}: task {task!r} has class {largest}; {MOST_CLASSES:,} classes at most, "
                "numbered from 0"
            )
        names = tuple(map(str, given.get(task, range(largest + 1))))
        if len({*names}) < len(names) or len(names) < 2:
            raise BadInput(f"{where}: task {task!r} needs two classes or more, of different names")
        if largest >= len(names):
            raise BadInput(
                f"{where}: task {task!r} has class {largest} and {len(names)} names of classes; "
                "name each class, from 0 on"
            )
        named[task] = names
    return named


def _spread_weights(
    data: TaskData, weights: Shaped[Tensor, "..."]
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"]]:
    """The weights of all labels, and the labels without those of weight 0."""
    where, y = f"data set {data.name!r}", data.y
    if not isinstance(weights, Tensor) or weights.shape not in ((len(y),), tuple(y.shape)):
        what = f"{[*weights.shape]}" if isinstance(weights, Tensor) else type(weights).__name__
        raise BadInput(
            f"{where}: weights {what}: give a tensor [rows] or [rows, tasks], here {[len(y)]} or "
            f"{[*y.shape]}"
        )
    if not weights.is_floating_point():
        weights = weights.to(y.dtype)
    spread = weights if weights.ndim == 2 else weights.unsqueeze(1).expand(y.shape)
    good = (spread >= 0) & (spread <= LARGEST_WEIGHT)
    bad = ~good & ~y.isnan()
    if bad.any():
        row, column = (int(i) for i in bad.nonzero()[0])
        value = float(spread[row, column])
        fault = "is missing" if math.isnan(value) else f"is {value:g}"
        raise BadInput(
            f"{where}: the weight of row {row}, target {data.tasks[column]!r}, {fault}; give "
            f"a number from 0 to {LARGEST_WEIGHT:g}"
        )
    none = good & (spread == 0)
    return spread, torch.where(none, math.nan, y) if none.any() else y


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
    if len({*data.output_names}) < len(data.output_names):
        twice = next(n for n in data.output_names if data.output_names.count(n) > 1)
        raise BadInput(f"{where}: {twice!r} is a task and a class of another; rename one of them")
    for task, names in data.classes.items():
        there = data.y[train, data.tasks.index(task)]
        count = torch.bincount(there[~there.isnan()].long(), minlength=len(names))
        if not count.all():
            raise BadInput(
                f"{where}: class {names[int((count == 0).nonzero()[0])]!r} of task {task!r} has no "
                "training labels; leave it out, merge it with another, or split differently"
            )
    ones = (data.y == 1).sum(1)[data.labelled.any(1)]  # a row may have no label at all
    if data.exclusive and not (data.binary.all() and (ones == 1).all()):
        raise BadInput(
            f"{where}: exclusive tasks are binary and exactly one is 1 in every row with a label; "
            "mend the targets or set exclusive=False"
        )
