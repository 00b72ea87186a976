"""The data of a study: a table of tasks that share their features, and how its rows are split.

`TaskData` checks its table once, so that every other room can rely on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int, Num, Shaped
from torch import Tensor

from ..bits import Bits
from .checks import check_labels, check_split, check_table, named_classes, spread_weights
from .forms import TargetForm, TaskKind
from .notes import Note


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
    >>> from dataclasses import replace
    >>> cancer = replace(data, y=stage, tasks=("stage",), kind="classes", classes=names)
    >>> cancer.output_names
    ('stage: I', 'stage: II', 'stage: III')
    """

    name: str
    x: Float[Tensor, "N ..."] | Bits
    y: Num[Tensor, "N T"]
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
        check_table(self)
        # Whole numbers and half precision would cut the standardised targets.
        if not self.y.is_floating_point() or self.y.dtype.itemsize < 4:
            object.__setattr__(self, "y", self.y.float())
        check_split(self)
        if "classes" in self.kinds or self.classes:
            object.__setattr__(self, "classes", named_classes(self))
        if self.weights is not None:
            weights, y = spread_weights(self, self.weights)
            object.__setattr__(self, "weights", weights)
            object.__setattr__(self, "y", y)
        check_labels(self)

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
    def has_raw_targets(self) -> bool:
        """Whether networks are trained on regressions in their own units."""
        return not self.standardise and bool(self.regression.any())

    @property
    def targets(self) -> Float[Tensor, "N T"]:
        """What the networks are trained on: `y`, with regression tasks standardised unless
        `standardise` is False.
        """
        if self.has_raw_targets or not bool(self.regression.any()):
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
