"""The checks of a table of tasks, in the order in which `TaskData` makes them.

Each raises `BadInput`, which names the data set, says what is wrong with it, and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..bits import Bits
from ..errors import BadInput, suggestion
from .forms import KINDS

if TYPE_CHECKING:
    from .data import TaskData

MOST_CLASSES = 1_000  # of one task
LARGEST_WEIGHT = 1e9  # of a label, so that a sum of weighted losses stays finite


def check_table(data: TaskData) -> None:
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
    if y.requires_grad or (isinstance(x, Tensor) and x.requires_grad):
        raise BadInput(f"{where}: x and y are data, which get no gradients; give x.detach()")
    if not all(isinstance(task, str) for task in data.tasks):
        raise BadInput(f"{where}: task names {data.tasks!r:.60} must be texts; use str")
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


def check_split(data: TaskData) -> None:
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


def named_classes(data: TaskData) -> dict[str, tuple[str, ...]]:
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


def spread_weights(
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


def check_labels(data: TaskData) -> None:
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
