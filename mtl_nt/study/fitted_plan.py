"""A plan, trained: `fit_plan` trains its networks on all rows, and they predict new ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..bits import Bits, Features
from ..networks import Network, Recipe
from ..tasks import BadInput, Split, TaskData, TaskKind, is_whole_number, suggestion
from ..training import FitResult, Replicas, limited_threads
from ..weighters import Weighter
from .chunks import TrainingJob, fit_stages, replica_stacks
from .methods import Method, WeighterArguments
from .plan_file import Choices, named_method, read_plan
from .progress import ProgressBar
from .task_plan import Arm, TaskPlan, arm_words

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
        mean, unit: what turns what a network predicts into a target's own units, for each task.
        rows: how many rows it was trained on.
        parts: the networks.

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

    def predict(self, x: Features | np.ndarray | pd.DataFrame) -> pd.DataFrame:
        """Predict new rows: one row each, and one column for each task.

        A regression task has its target in its own unit. A binary task has the probability of 1.

        Args:
            x: features of new rows, of the same kind, order and scale as `data.x` of the data that
                the plan was trained on.

        Raises:
            BadInput: features of another shape or kind, or some that are not finite.
        """
        rows = self._checked(x)
        table = np.empty((len(rows), len(self.tasks)))
        binary = torch.tensor([kind == "binary" for kind in self.kinds])
        for part in self.parts:
            outputs = _outputs(part, rows, binary).double()
            for column, task in enumerate(part.tasks):
                table[:, task] = outputs[:, column].numpy()
        regression = ~binary.numpy()
        table[:, ~regression] = 1 / (1 + np.exp(-table[:, ~regression].clip(-700, 700)))
        scaled = table[:, regression] * np.array(self.unit)[regression]
        table[:, regression] = scaled + np.array(self.mean)[regression]
        index = x.index if isinstance(x, pd.DataFrame) else None
        return pd.DataFrame(table, columns=[*self.tasks], index=index)

    def save(self, folder: str | Path) -> Path:
        """Write the networks and their card into a folder, and return the folder.

        Raises:
            BadInput: the folder cannot be written, or holds such files of somebody else; or a
                weighter of one's own changes what the networks predict, which no file can say.
        """
        from .fitted_files import save_plan

        return save_plan(self, Path(folder))

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
                f"new rows have features of the shape {[*x.shape[1:]]}; {self.name!r} was trained "
                f"on {[*self.features]}"
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

    Nothing is left to judge the result with: what to expect of it is the plan's left-out gain.

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
    mtl_nt.tasks.BadInput: the plan says nothing of task 'related 2'; give it a method
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
        split=Split(rows[:-1], none, torch.tensor([len(data.x)])),
        row_groups=None,
        redraw=None,
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
    recipe = replace(recipe, **{k: v for k, v in choices.settings.items() if k not in given})
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
    if method.networks == "single" and not method.pretrain:
        # As `compare`: what the data ask of networks with one task, unless the plan says otherwise.
        plain = Recipe.for_data(data)
        changed = {
            f.name for f in fields(Recipe) if getattr(recipe, f.name) != getattr(plain, f.name)
        }
        single = Recipe.for_single_task(data)
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


@torch.no_grad()
def _outputs(part: Part, rows: Features, binary: Bool[Tensor, " T"]) -> Float[Tensor, "N tasks"]:
    """What the networks of a part give for their tasks."""
    network, found = part.network, []
    replicas, heads = network.head.weight.shape[0], network.head.weight.shape[2]
    index = torch.arange(len(part.tasks)) if replicas > 1 else torch.zeros(len(part.tasks)).long()
    head = torch.tensor(part.tasks) if heads > 1 else torch.zeros(len(part.tasks)).long()
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
    return torch.cat(found) if found else torch.empty(0, len(part.tasks))
