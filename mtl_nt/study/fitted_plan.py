"""A plan, trained: `fit_plan` trains its networks on all rows, and they predict new ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..bits import Bits, Features
from ..datasets.new_rows import NewRows, ReadingCard, read_new_rows
from ..errors import BadInput, is_whole_number, suggestion
from ..networks import Network, Recipe
from ..tasks import Split, TargetForm, TaskData, TaskKind
from ..terminal import warn
from ..training import FitResult, Replicas, limited_threads
from ..weighters import Weighter
from .arms import Arm
from .chunks import TrainingJob, fit_stages, replica_stacks
from .factories import WeighterArguments
from .method import Method
from .plan_file import Choices, named_method, read_plan
from .progress import ProgressBar
from .task_plan import TaskPlan, arm_words

NUMBERS_AT_ONCE = 2**26
"""Features that are predicted from at once, of all networks together."""


@dataclass(frozen=True, eq=False)
class Part:
    """The networks of one choice, side by side.

    Attributes:
        arm: the method and its alpha.
        recipe: the settings of their training.
        network: the networks; those of one task each have one head.
        tasks: the number of the task that each predicts. One network alone may predict several.
        weighter: the weighter that trained them, if it changes what they predict; else None.
    """

    arm: Arm
    recipe: Recipe
    network: Network
    tasks: tuple[int, ...]
    weighter: Weighter | None = None


@dataclass(frozen=True, eq=False)
class FittedPlan:
    """Networks that predict every task of a plan, each by the method that the plan chose for it.

    Attributes:
        name: the name of the data.
        tasks, kinds: the tasks, and the kind of each.
        features: the shape of a row's features.
        bits: whether a row's features are zeros and ones alone.
        mean, unit: what turns what a network predicts into a label, for each task.
        rows: how many rows it was trained on.
        parts: the networks.
        forms: how the labels of each task were made from what was measured.
        reading: how the rows of a table are read; None where the data were no table.
        classes: the names of the classes of each task that has classes.

    >>> import mtl_nt
    >>> data = mtl_nt.load("dial")
    >>> plan = {"tasks": {task: {"method": "MTL"} for task in data.tasks}}
    >>> fitted = mtl_nt.fit_plan(data, plan, steps=3, progress=False)
    >>> fitted.predict(data.x[:2]).shape  # new rows, tasks
    (2, 9)
    """

    name: str
    tasks: tuple[str, ...]
    kinds: tuple[TaskKind, ...]
    features: tuple[int, ...]
    bits: bool
    mean: tuple[float, ...]
    unit: tuple[float, ...]
    rows: int
    parts: tuple[Part, ...]
    forms: tuple[TargetForm, ...]
    reading: ReadingCard | None = None
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a prediction: each task, or of a task of classes "task: class"."""
        return tuple(name for t in range(len(self.tasks)) for name in self._names(t))

    def _names(self, task: int) -> list[str]:
        name = self.tasks[task]
        return [f"{name}: {label}" for label in self.classes.get(name, ())] or [name]

    def _places(self) -> list[list[int]]:
        """The columns of every task."""
        ends = np.cumsum([len(self._names(t)) for t in range(len(self.tasks))])
        return [[*range(end - len(self._names(t)), end)] for t, end in enumerate(ends.tolist())]

    def __repr__(self) -> str:
        """Which method predicts which tasks, in one line."""
        words = []
        for part in self.parts:
            names = [self.tasks[t] for t in part.tasks[:3]]
            more = len(part.tasks) - len(names)
            names += [f"{more} more"] if more else []
            words.append(f"{arm_words(part.arm)}: {', '.join(names)}")
        parts = "; ".join(words)
        return f"<FittedPlan of {self.name}, {self.rows:,} rows: {parts}>"

    def predict(
        self,
        x: str | Path | pd.DataFrame | Features | np.ndarray,
        say: Callable[[str], object] = warn,
    ) -> pd.DataFrame:
        """Predict new rows: one row each, and one column for each task.

        A regression task has its target in the unit in which it was measured, also where it was
        trained as a logarithm. A binary task has the probability of 1. A task of classes has a
        column for each class, "task: class", with its probability; these add up to 1.

        A plan that was trained on a table reads new rows as it read that table (see
        `datasets.new_rows`): the file or the table needs the same feature columns, in any order,
        and may have others. A row whose molecule cannot be read has no prediction, NaN. Such a plan
        takes no features: `data.x` was scaled by the training rows of one split, and the plan by
        all rows.

        Args:
            x: the path of a table, or a table in memory, where the plan was trained on a table.
                Elsewhere features, of the same kind, order and scale as `data.x` of the data that
                the plan was trained on.
            say: gets one line for each thing that the training rows had not: an unknown category,
                say. By default they go to standard error.

        Returns:
            The index is that of a table in memory. Of a file it is the number of every row's line,
            or of the row in a Parquet.

        Raises:
            BadInput: a column is missing, or a cell is no number; features have another shape or
                kind, or are not finite; or features where the plan needs a table, or the other way
                round.
        """
        if self.reading is not None:
            if not isinstance(x, (str, Path, pd.DataFrame)):
                raise BadInput(
                    f"{self.name!r} was trained on a table; give new rows as a table or a file"
                )
            return self._predict_table(x, self.reading, say)
        if isinstance(x, (str, Path)):
            raise BadInput(
                f"{self.name!r} was trained on data that are no table, so no file of new rows "
                "can be read; give features as in data.x"
            )
        return self._predict_features(x)

    def _predict_features(self, x: pd.DataFrame | Features | np.ndarray) -> pd.DataFrame:
        """Predict rows from features that are scaled as those of the training were."""
        rows = self._checked(x)
        places = self._places()
        table = np.empty((len(rows), len(self.columns)))
        kinds = np.repeat(self.kinds, [len(own) for own in places])  # of every column
        binary = torch.from_numpy(kinds == "binary")
        for part in self.parts:
            own = [place for task in part.tasks for place in places[task]]
            table[:, own] = _outputs(part, rows, binary, places).double().numpy()
        of_two = kinds == "binary"
        table[:, of_two] = 1 / (1 + np.exp(-table[:, of_two].clip(-700, 700)))
        for task, kind in enumerate(self.kinds):
            if kind == "classes":
                logits = torch.from_numpy(table[:, places[task]])
                table[:, places[task]] = logits.softmax(1).numpy()
            if kind == "regression":
                labels = table[:, places[task][0]] * self.unit[task] + self.mean[task]
                table[:, places[task][0]] = self.forms[task].measured(labels)
        index = x.index if isinstance(x, pd.DataFrame) else None
        return pd.DataFrame(table, columns=[*self.columns], index=index)

    def save(self, folder: str | Path) -> Path:
        """Write the networks and their card into a folder, and return the folder.

        Raises:
            BadInput: the folder cannot be written, or holds such files of somebody else; or a
                weighter of one's own changes what the networks predict, which no file can say.
        """
        from .fitted_files import save_plan

        return save_plan(self, Path(folder))

    def _predict_table(
        self, table: str | Path | pd.DataFrame, reading: ReadingCard, say: Callable[[str], object]
    ) -> pd.DataFrame:
        """Predict the rows of a table, read as the training's table was."""
        found: NewRows = read_new_rows(table, reading)
        where = "new rows" if isinstance(table, pd.DataFrame) else Path(table).name
        for note in found.notes:
            say(f"{where}: {note}")
        index = pd.Index(found.positions, name=found.unit)
        if isinstance(table, pd.DataFrame):
            index = table.index
        predicted = np.full((len(found.known), len(self.columns)), math.nan)
        whole = pd.DataFrame(predicted, columns=[*self.columns], index=index)
        if found.known.any():
            whole.iloc[found.known] = self._predict_features(found.x).to_numpy()
        return whole

    def _checked(self, x: Features | np.ndarray | pd.DataFrame) -> Features:
        """The features as a tensor or as bits, if they are of the kind that was trained on."""
        if isinstance(x, pd.DataFrame):
            x = x.to_numpy()
        if not isinstance(x, (Tensor, Bits)):
            try:
                x = torch.from_numpy(np.array(x, dtype=np.float32))
            except (TypeError, ValueError):
                raise BadInput("new rows: features must be numbers, one column for each") from None
        if tuple(x.shape[1:]) != self.features:
            raise BadInput(
                f"new rows have {_size(x.shape[1:])} features; {self.name!r} was trained on "
                f"{_size(self.features)}"
            )
        if isinstance(x, Bits) != self.bits:
            if isinstance(x, Bits) or not bool(((x == 0) | (x == 1)).all()):
                kind = "zeros and ones" if self.bits else "numbers"
                raise BadInput(f"new rows: {self.name!r} was trained on {kind}; give such features")
            x = Bits.from_dense(x.bool())
        if isinstance(x, Tensor) and not bool(x.isfinite().all()):
            row = int((~x.isfinite().flatten(1).all(1)).nonzero()[0])
            raise BadInput(f"new rows: a feature of row {row} is not finite; impute it")
        return x


def fit_plan(
    data: TaskData,
    plan: TaskPlan | Mapping[str, Any] | str | Path,
    *,
    seed: int = 0,
    methods: Sequence[Method] = (),
    device: str = "cpu",
    progress: bool | Callable[[float, str], object] = True,
    **settings: Any,
) -> FittedPlan:
    """Train a plan on all rows of the data: training, validation and test rows together.

    Of a table, medians, scales and categories come from all rows, too. Nothing is left to judge the
    result with: what to expect of it is the plan's left-out gain.

    Args:
        data: the data, whose split does not matter.
        plan: what `Study.task_plan` gives, or the path of a file that `plan_json` wrote.
        seed: of initialisation and batches.
        methods: methods of your own that the plan names.
        device: where the networks train.
        progress: True shows a bar. A function is called with the fraction done and a method's name.
        settings: settings of the training in place of the plan's, see `mtl_nt.Recipe`.

    Raises:
        BadInput: a plan of other tasks, with an unknown method or without networks, or a setting
            that cannot be used.

    >>> import mtl_nt
    >>> fit_plan(mtl_nt.load("dial"), {"tasks": {"related 1": {"method": "MTL"}}})
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: the plan says nothing of task 'related 2'; give it a method
    """
    if not is_whole_number(seed, 0):
        raise BadInput(f"seed {seed!r}: must be a whole number, 0 or more")
    choices = read_plan(plan, methods)
    for task in data.tasks:
        if task not in choices.arms:
            raise BadInput(f"{choices.where} says nothing of task {task!r}; give it a method")
    for task in choices.arms:
        if task not in data.tasks:
            raise BadInput(
                f"{choices.where} has task {task!r}, which {data.name!r} has not; "
                f"{suggestion(task, data.tasks)}"
            )
    reading: ReadingCard | None = None
    if data.reading is not None and data.reading.made(data.x, data.split.train):
        x, reading = data.reading.whole()
        data = replace(data, x=x)
    whole = _all_rows(data)
    by_arm: dict[Arm, list[int]] = {}
    for number, task in enumerate(data.tasks):
        by_arm.setdefault(choices.arms[task], []).append(number)
    jobs = {
        arm: _job(whole, arm, choices, seed, methods, {"device": device}, settings)
        for arm in by_arm
    }
    bar = ProgressBar(progress, {arm_words(arm): job for arm, job in jobs.items()})
    try:
        parts = []
        for arm, job in jobs.items():
            parts.append(_fit_part(job, arm, by_arm[arm], choices))
            for chunk in range(len(bar.cost[arm_words(arm)])):
                bar.step(arm_words(arm), chunk, job.steps)
    finally:
        bar.close()
    mean, unit = whole.scale
    if not data.standardise:
        mean, unit = torch.zeros_like(mean), torch.ones_like(unit)
    return FittedPlan(
        name=data.name,
        tasks=tuple(data.tasks),
        kinds=data.kinds,
        features=tuple(data.x.shape[1:]),
        bits=isinstance(data.x, Bits),
        mean=tuple(mean.tolist()),
        unit=tuple(unit.tolist()),
        rows=len(data.x),
        parts=tuple(parts),
        forms=data.forms or (TargetForm(),) * len(data.tasks),
        reading=reading,
        classes={name: tuple(names) for name, names in data.classes.items()},
    )


# --------------------------------------------------------------------------------------- training


def _all_rows(data: TaskData) -> TaskData:
    """The data with all rows as training rows. A copy of the first row is the test row that a
    training needs, and that nobody reads.
    """
    rows = torch.cat([torch.arange(len(data.x)), torch.tensor([0])])
    none = torch.zeros(0, dtype=torch.int64)
    return replace(
        data,
        x=data.x.take(rows) if isinstance(data.x, Bits) else data.x[rows],
        y=data.y[rows],
        weights=None if data.weights is None else data.weights[rows],
        split=Split(rows[:-1], none, torch.tensor([len(data.x)])),
        row_groups=None,
        redraw=None,
        reading=None,
    )


def _job(
    data: TaskData,
    arm: Arm,
    choices: Choices,
    seed: int,
    own: Sequence[Method],
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> TrainingJob:
    """The training job of one choice."""
    name, alpha = arm
    recipe = Recipe.for_data(data, **settings)
    given = {k for k, v in settings.items() if v is not None}
    known = {**choices.settings, **choices.own.get(name, {})}
    recipe = replace(recipe, **{k: v for k, v in known.items() if k not in given})
    method = named_method(name, recipe, own)
    if method is None:
        raise BadInput(
            f"{choices.where}: method {name!r} is none of this package; give it under methods"
        )
    if method.predictor is not None:
        raise BadInput(f"{choices.where}: {name} has no networks to keep; choose another method")
    if method.alpha == (alpha is None):
        has = "needs an alpha" if method.alpha else "has no alpha"
        raise BadInput(f"{choices.where}: {name} {has}; mend the plan")
    if method.sees_one_task and name not in choices.own:
        # As `compare`: what the data ask of networks with one task, unless the plan says otherwise.
        body = {} if recipe.own_body is None else {"architecture": recipe.own_body}
        plain = Recipe.for_data(data, **body)
        changed = {
            f.name for f in fields(Recipe) if getattr(recipe, f.name) != getattr(plain, f.name)
        }
        single = Recipe.for_single_task(data, **body)
        changed |= given
        recipe = replace(single, **{name: getattr(recipe, name) for name in changed})
    recipe = replace(recipe, **method.settings)
    _, trials = choices.candidates.get(name, (0, 1))
    alphas = [math.nan if alpha is None else alpha]
    return TrainingJob(method, [data], [seed], alphas, recipe, options, trials)


def _fit_part(job: TrainingJob, arm: Arm, tasks: Sequence[int], choices: Choices) -> Part:
    """Train the networks of one choice, for these tasks alone where each task has its own."""
    number = choices.candidates.get(arm[0], (0, 1))[0]
    stacks = replica_stacks(job)
    stack = next((s for s in stacks if number in s.candidates), None)
    if stack is None:
        raise BadInput(f"{choices.where}: {arm[0]} has no candidate {number}; leave candidates out")
    one = job.method.networks == "one"
    networks = len(stack.replicas) // len(stack.candidates)
    first = stack.candidates.index(number) * networks
    rows = torch.tensor([first] if one else [first + task for task in tasks])
    replicas = _rows_of(stack.replicas, rows)
    arguments = WeighterArguments(*(column[rows] for column in stack.arguments))
    with limited_threads(job.runs[0], replicas, stack.recipe):
        fitted, weighter = fit_stages(
            job.method, job.runs, replicas, arguments, stack.recipe, job.options, {}
        )
    _check_trained(fitted, arm)
    changes = type(weighter).predict is not Weighter.predict and not _is_identity(weighter)
    return Part(
        arm,
        stack.recipe,
        fitted.network.to("cpu").eval().requires_grad_(False),
        tuple(tasks),
        weighter.to("cpu") if changes else None,
    )


def _rows_of(replicas: Replicas, rows: Int[Tensor, " R"]) -> Replicas:
    """These networks, as one group."""
    kept = Replicas(*(getattr(replicas, f.name)[rows] for f in fields(replicas)))
    return replace(kept, group=torch.zeros_like(kept.group))


def _check_trained(fitted: FitResult, arm: Arm) -> None:
    if fitted.history.diverged.any():
        raise BadInput(
            f"{arm_words(arm)} diverged on all rows; lower the learning rate, as in "
            "learning_rate=0.001, or choose another method"
        )


def _is_identity(weighter: Weighter) -> bool:
    """Whether the weighter leaves predictions as they are."""
    probe = torch.tensor([[[-1.5, 0.25]]])
    try:
        found = weighter.predict(
            probe, torch.tensor([True, False]), lambda: torch.zeros_like(probe)
        )
    except RuntimeError:  # of another number of tasks
        return False
    return found is probe


# ------------------------------------------------------------------------------------- prediction


def _size(shape: Sequence[int]) -> str:
    """The size of a row's features in words: "16" or "28 x 28"."""
    return " x ".join(map(str, shape)) or "no"


@torch.no_grad()
def _outputs(
    part: Part, rows: Features, binary: Bool[Tensor, " O"], places: Sequence[Sequence[int]]
) -> Float[Tensor, "N outputs"]:
    """What the networks of a part give for their tasks.

    Args:
        binary: which outputs are of binary tasks.
        places: the outputs of every task.
    """
    network, found = part.network, []
    replicas, heads = network.head.weight.shape[0], network.head.weight.shape[2]
    pairs = [
        (number if replicas > 1 else 0, place if heads > 1 else 0)
        for number, task in enumerate(part.tasks)
        for place in places[task]
    ]
    index, head = torch.tensor(pairs).T
    at_once = max(16, min(4096, NUMBERS_AT_ONCE // max(1, replicas * math.prod(rows.shape[1:]))))
    for numbers in torch.arange(len(rows)).split(at_once):
        valid = torch.ones(replicas, len(numbers), dtype=torch.bool)
        if isinstance(rows, Bits):
            x: Features = rows.take(numbers.expand(replicas, -1))
        else:
            x = rows[numbers].flatten(1).float().expand(replicas, -1, -1)
        outputs = network(x, valid)[1]
        if part.weighter is not None:
            outputs = part.weighter.predict(outputs, binary, partial(torch.zeros_like, outputs))
        found.append(outputs[index, :, head].T)
    return torch.cat(found) if found else torch.empty(0, len(pairs))
