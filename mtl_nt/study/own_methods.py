"""What a method of a user's own must keep to, checked once before anything trains.

The networks of a study train side by side, and how many there are at once follows from the memory.
So a weighter must give a network the same weights whichever others train beside it, and a training
must know nothing of an earlier one. `check_methods` tries this with the training loop itself, on a
few made rows, in some hundredths of a second. `predictions` checks what a predictor gives.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..networks import RESEED_OFFSET, Recipe, example_rows, generator
from ..tasks import Split, TaskData
from ..training import Replicas, fit
from ..weighters import Fixed, Weighter
from .chunks import TrainingJob, check_signs, replica_stacks
from .factories import WeighterArguments, WeighterFactory
from .identity import in_package
from .method import Method, make_weighter, takes_seed
from .search import check_candidates

STEPS, BATCH, TEST_ROWS = 8, 8, 2
TOLERANCE = 1e-4
"""Numbers that differ by a smaller share of the largest one are the same: single precision."""
ROUNDING = 1e-3  # by which probabilities may miss a sum of 1


def check_methods(jobs: Iterable[TrainingJob]) -> None:
    """Check what every method is given, and train the weighters that are not the package's own.

    A body of somebody's own is tried on a few rows (see `networks.OwnBody`).

    Raises:
        BadInput: a weighter reads an alpha, a target or task weights that its method does not have;
            its weights are below 0, or depend on the networks beside it or on an earlier training;
            it draws random numbers of its own; a search gives what is no candidate; or a predictor
            does not say its units.

    A weighter that divides by the sum over all networks, not over tasks:

    >>> from mtl_nt import Recipe, Weighter, load, plain
    >>> class Shares(Weighter):
    ...     def weights(self, step):
    ...         return step.losses / step.losses.sum()
    >>> method, data = Method("Shares", plain(Shares)), load("dial")
    >>> check_methods([TrainingJob(method, [data], [0], [0.0], Recipe(trunk=(4,)), {})])
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: method 'Shares': a network's weights change when another one trains \
beside it; sum and average over tasks (dim=1), never over networks, and give state and parameters \
one row for each network
    """
    tried: list[WeighterFactory] = []
    for job in jobs:
        method, ones = job.method, torch.ones(1, job.tasks, dtype=torch.float64)
        if method.predictor is not None:
            _check_units(method, job.runs)
            continue
        rows = example_rows(job.runs[0], job.recipe.architecture)
        if job.recipe.own_body is not None and rows is not None:
            job.recipe.own_body.measured(rows)
        if method.search is not None:
            check_candidates(job.candidates, job.tasks, job.recipe, f"method {method.name!r}")
        weighter = _make(job, WeighterArguments(ones[:, :1], torch.tensor([0]), ones))
        for part in weighter.modules():
            if isinstance(part, Fixed):
                part.check_tasks(job.tasks)
                given = part.given.detach().float().reshape(1, -1, job.tasks)
                check_signs(method, weighter, given, job.runs[0].tasks)
        if not _is_the_packages(method, weighter) and method.weighter not in tried:
            tried.append(method.weighter)
            _check_weighter(job)


def predictions(method: Method, run: TaskData, seed: int) -> Float[Tensor, "N O"]:
    """What a method's predictor gives for a run, as `training.scores` takes it.

    Args:
        run: the data of the run.
        seed: the run's seed, for a predictor that has a parameter of this name.

    Raises:
        BadInput: the predictor gives no numbers, another shape than [test rows, tasks] (where there
            are tasks of classes, [test rows, outputs]), a number that is not finite, or
            probabilities that are none; or it does not say its units.

    Predictions in the target's own units become what networks give:

    >>> from mtl_nt import load
    >>> data = load("dial")
    >>> truth = Method("Truth", predictor=lambda run: run.y[run.split.test].numpy(), units="own")
    >>> bool(torch.allclose(predictions(truth, data, 0), data.targets[data.split.test].double()))
    True
    """
    assert method.predictor is not None
    where = f"method {method.name!r}, run {seed}"
    _check_units(method, [run])
    chance = (
        {"seed": seed + RESEED_OFFSET * method.reseeded} if takes_seed(method.predictor) else {}
    )
    given = method.predictor(run, **chance)
    found = _numbers(given)
    if found is None:
        raise BadInput(
            f"{where}: its predictor gives type {type(given).__name__} and no numbers; "
            "give a tensor or a NumPy array [test rows, tasks]"
        )
    names = run.output_names
    shape = (len(run.split.test), len(names))
    if found.shape != shape:
        all_rows = found.ndim > 0 and len(found) == len(run.x)
        remedy = "; take the test rows alone, run.split.test" if all_rows else ""
        columns = "tasks"
        if run.classes:
            columns = "outputs"
            remedy = f"; each class has a column, see run.output_names{remedy}"
        raise BadInput(
            f"{where}: its predictor gives {[*found.shape]}; give [test rows, {columns}], here "
            f"{[*shape]}{remedy}"
        )
    if not found.isfinite().all():
        row, column = (~found.isfinite()).nonzero()[0].tolist()
        raise BadInput(
            f"{where}: its predictor gives {found[row, column].item()} for {names[column]!r}, test "
            f"row {row}; predict a number for every row"
        )
    if method.units == "own":
        mean, unit = run.scale
        if run.standardise:
            found = (found - mean[run.task_of_output]) / unit[run.task_of_output]
        found = found.clone() if run.classes else found  # it may be the predictor's own
        for task in run.classes:
            own = run.task_of_output == run.tasks.index(task)
            found[:, own] = _logits(found[:, own], f"{where}, {task!r}")
    return found


def _logits(probability: Float[Tensor, "N C"], where: str) -> Float[Tensor, "N C"]:
    """The logarithm of the probabilities of classes, if they are probabilities."""
    total = probability.sum(1)
    if (probability < 0).any() or ((total - 1).abs() > ROUNDING).any():
        row = int(((probability < 0).any(1) | ((total - 1).abs() > ROUNDING)).nonzero()[0])
        raise BadInput(
            f"{where}: its predictor gives test row {row} probabilities that are negative or add "
            f"up to {float(total[row]):g}, not 1; mend them, or give logits and units='trained'"
        )
    return (probability / total.unsqueeze(1)).clamp_min(torch.finfo(total.dtype).tiny).log()


def _numbers(given: Any) -> Tensor | None:
    """What a predictor gives as a tensor; None where it is no table of real numbers."""
    try:
        array = given.detach().cpu().to_dense() if isinstance(given, Tensor) else np.asarray(given)
        if isinstance(array, Tensor):
            return None if array.is_complex() else array.double()
        return torch.from_numpy(array.astype(float)) if array.dtype.kind in "fiub" else None
    except (TypeError, ValueError, RuntimeError):
        return None


def _check_units(method: Method, runs: Sequence[TaskData]) -> None:
    if method.units is None and any(run.classes for run in runs):
        raise BadInput(
            f"method {method.name!r}: these data have tasks of classes; say what the predictor "
            "gives: units='own', a probability of each class, or 'trained', a logit"
        )
    if method.units is None and any(run.standardise and not run.binary.all() for run in runs):
        raise BadInput(
            f"method {method.name!r}: these targets are standardised for the training; say what "
            "the predictor gives: units='own', as in run.y, or 'trained', as in run.targets"
        )


def _is_the_packages(method: Method, weighter: Weighter) -> bool:
    """Whether the weighter, those in it, and the function that makes it, are of this package."""
    parts = [part for part in weighter.modules() if isinstance(part, Weighter)]
    return _made_here(method.weighter) and all(in_package(type(part)) for part in parts)


def _made_here(function: object) -> bool:
    """Whether a function, and every function that a `partial` holds, are of this package."""
    held = function.args if isinstance(function, partial) else ()
    return in_package(function) and all(_made_here(h) for h in held if callable(h))


class _Given(WeighterArguments):
    """The arguments of a weighter, of which some stand for nothing and must not be read."""

    nothing: dict[str, str]

    def __getattribute__(self, name: str) -> Any:
        nothing = super().__getattribute__("__dict__").get("nothing", {})
        if name in nothing:
            raise BadInput(nothing[name])
        return super().__getattribute__(name)


def _make(job: TrainingJob, arguments: WeighterArguments) -> Weighter:
    """The job's weighter, which may read what its method has and nothing else."""
    method, candidates = job.method, job.candidates
    where, given = f"method {method.name!r}: its weighter takes", _Given(*arguments)
    given.nothing = {}
    if not method.alpha and any(c.alpha is None for c in candidates):
        given.nothing["alpha"] = f"{where} an alpha; give Method(..., alpha=True)"
    if method.networks == "one":
        given.nothing["target"] = (
            f"{where} a target, and one network has all tasks; give Method(..., networks='each')"
        )
    if any(c.weights is None for c in candidates):
        given.nothing["weights"] = (
            f"{where} the weights of candidates, and has none; give Method(..., search=...) as "
            "METHODS['Scalarisation'] does"
        )
    return make_weighter(method, given)


class _Trial:
    """A few steps of the job's first and last network, on made rows of their own."""

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.stack = job, replica_stacks(job)[0]
        self.ends = torch.tensor([0, len(self.stack.replicas) - 1])
        self.device = str(job.options.get("device", "cpu"))

    def make(self, networks: Sequence[int]) -> Weighter:
        """The weighter of these networks: 0 is the job's first one, 1 its last."""
        rows = self.ends[[*networks]]
        return _make(self.job, WeighterArguments(*(c[rows] for c in self.stack.arguments)))

    def train(
        self, weighter: Weighter, networks: Sequence[int], other: bool = False
    ) -> tuple[Float[Tensor, "S R T"], Float[Tensor, "C N"]]:
        """The weights of these networks at every step, and what they predict in the end.

        Args:
            other: whether they have other rows and seeds than usual.
        """
        rows, of = self.ends[[*networks]], self.stack.replicas
        place, number = torch.arange(len(networks)), torch.tensor([*networks]) + 2 * other
        replicas = Replicas(place, number, of.trained[rows], of.scored[rows], place, of.focus[rows])
        runs = [made_run(self.job.runs, int(n)) for n in number]
        recipe, device = _small(self.stack.recipe), self.device
        options: dict[str, Any] = {"record": 1, "complete_groups": False, "device": device}
        found = fit(runs, replicas, weighter, recipe, **options)
        first = found.history.weights[0].isfinite() | ~found.history.losses[0].isfinite()
        if not first.all():
            raise BadInput(
                f"method {self.job.method.name!r}: its weights are not finite in the first step; "
                "divide by nothing that can be 0"
            )
        check_signs(self.job.method, weighter, found.history.weights)
        return found.history.weights.nan_to_num(0.0), found.outputs[-1].nan_to_num(0.0)


def _small(recipe: Recipe) -> Recipe:
    """The recipe with few steps, few rows and a small trunk, whose last layer is as wide."""
    return replace(
        recipe,
        trunk=(4, recipe.trunk[-1]),
        architecture="mlp",
        activation="relu",
        batch_norm=False,
        initialisation="torch",
        steps=STEPS,
        batch_size=BATCH,
    )


def made_run(runs: Sequence[TaskData], number: int) -> TaskData:
    """A small table with the tasks of these runs, for trying a weighter.

    Labels are missing where the runs miss some. Every task has labels of every class.

    Args:
        number: another number, another table.

    >>> from mtl_nt import load
    >>> made_run([load("digits")], number=0).y.shape
    torch.Size([32, 10])
    """
    like, draw = runs[0], generator(number, "data")
    tasks = len(like.tasks)
    many = max(like.outputs_per_task)  # classes of a task
    rows = max(20, 3 * tasks * like.exclusive, 3 * many * (many > 1)) + TEST_ROWS
    every = torch.arange(rows)
    x = torch.from_numpy(draw.standard_normal((rows, 3))).float()
    noise = torch.from_numpy(draw.standard_normal((rows, tasks))).float()
    sizes = 1 + torch.arange(tasks) % 5  # so that no two losses are alike
    classes = (every.unsqueeze(1) + torch.arange(tasks)) % (tasks if like.exclusive else 2) == 0
    y = torch.where(like.binary, classes.float(), sizes * noise)
    for task, names in like.classes.items():
        y[:, like.tasks.index(task)] = (every % len(names)).float()
    labelled = max(4, many)  # rows that have all labels
    if any(run.y.isnan().any() for run in runs):
        holes = torch.from_numpy(draw.random((rows - labelled, tasks))) < 0.3
        y[labelled:][holes] = torch.nan
    split = Split(every[:-TEST_ROWS], every[:0], every[-TEST_ROWS:])
    weights = None
    if any(run.weights is not None for run in runs):
        weights = torch.from_numpy(draw.random((rows, tasks))).float() + 0.5
    return TaskData(
        "made rows",
        x,
        y,
        like.tasks,
        like.kind,
        split,
        exclusive=like.exclusive,
        classes=like.classes,
        weights=weights,
        class_weight=like.class_weight,
    )


def _check_weighter(job: TrainingJob) -> None:
    """Train two networks one by one, then both at once with a weighter that was used before."""
    where, trial = f"method {job.method.name!r}", _Trial(job)
    before = _chance(trial.device)
    first, last = (trial.train(trial.make([n]), [n]) for n in (0, 1))
    alone = torch.cat([first[0], last[0]], 1), torch.cat([first[1], last[1]])
    with _two_networks(where):
        used = trial.make([0, 1])
        trial.train(used, [0, 1], other=True)
        if _same(trial.train(used, [0, 1]), alone):
            return
        fresh = trial.train(trial.make([0, 1]), [0, 1])
        first_again = trial.train(trial.make([0]), [0])
    after = _chance(trial.device)
    if drawn := [name for name in before if not _equal(before[name], after[name])]:
        raise BadInput(
            f"{where}: its weighter draws from {drawn[0]}'s own random numbers; draw each "
            "network's from step.noise, such as step.noise.uniform(T) for numbers [networks, T]"
        )
    if _same(fresh, alone) or not _same(first_again, first):
        raise BadInput(
            f"{where}: the weights of a training depend on the training before it; make all state "
            "in reset(like), one row for each network, and draw random numbers from step.noise"
        )
    raise BadInput(
        f"{where}: a network's weights change when another one trains beside it; sum and average "
        "over tasks (dim=1), never over networks, and give state and parameters one row for each "
        "network"
    )


def _same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether weights and predictions are the same, each as a share of the largest one."""
    return all(
        bool(((a - b).abs() <= TOLERANCE * b.abs().amax()).all())
        for a, b in zip(one, other, strict=True)
    )


@contextmanager
def _two_networks(where: str) -> Iterator[None]:
    """Say in one line that a weighter fails with two networks. With one, it has not failed."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise BadInput(
            f"{where}: its weighter works for one network, not for two ({reason:.60}); give every "
            "tensor one row for each network"
        ) from error


def _chance(device: str) -> dict[str, Any]:
    """The state of every generator that belongs to the process."""
    on_cuda = device.startswith("cuda")
    return {
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),  # noqa: NPY002
        "Python": random.getstate(),
        **({"torch on cuda": torch.cuda.get_rng_state(device)} if on_cuda else {}),
    }


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    return bool(all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)))
