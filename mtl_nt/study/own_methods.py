"""What a method of a user's own must keep to, checked once before anything trains.

The networks of a study train side by side, and how many there are at once follows from the memory.
So a weighter must give a network the same weights whichever others train beside it, and a training
must know nothing of an earlier one. `check_methods` tries this with the training loop itself, on a
few made rows, in some hundredths of a second. Slips that begin later are seen in the training
(`training.Watch`). What a predictor gives is checked by `predictions`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..networks import Recipe, example_rows, generator
from ..tasks import Split, TaskData
from ..training import MIXES, REMEMBERS, Replicas, Watch, fit
from ..weighters import Fixed, Weighter
from .chunks import TrainingJob, check_signs, replica_stacks
from .factories import WeighterArguments, WeighterFactory
from .lasting import LastingState
from .method import is_the_packages, make_weighter
from .predictions import check_units
from .search import check_candidates

STEPS, BATCH, TEST_ROWS = 8, 8, 2
TOLERANCE = 1e-4
"""Numbers that differ by a smaller share of the largest one are the same: single precision."""


def check_methods(jobs: Iterable[TrainingJob]) -> None:
    """Check what every method is given, and train the weighters that are not the package's own.

    A body of somebody's own is tried on a few rows (see `networks.OwnBody`).

    Raises:
        BadInput: a weighter reads an alpha, a target or task weights that its method does not have;
            its weights are below 0, or depend on the networks beside it or on an earlier training;
            networks share a parameter, or nothing moves what the weights are learned from; it
            writes into the step, or draws random numbers of its own; a search gives what is no
            candidate; or a predictor does not say its units.

    A weighter that divides by the sum over all networks, not over tasks:

    >>> from mtl_nt import Method, Recipe, Weighter, load, plain
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
            check_units(method, job.runs)
            continue
        rows = example_rows(job.runs[0], job.recipe.architecture)
        if job.recipe.own_body is not None and rows is not None:
            job.recipe.own_body.measured(rows)
        if method.search is not None:
            check_candidates(job.candidates, job.tasks, job.recipe, f"method {method.name!r}")
        weighter = _make(job, WeighterArguments(ones[:, :1] / 2, torch.tensor([0]), ones))
        for part in weighter.modules():
            if isinstance(part, Fixed):
                part.check_tasks(job.tasks)
                given = part.given.detach().float().reshape(1, -1, job.tasks)
                check_signs(method, weighter, given, job.runs[0].tasks)
        if not is_the_packages(method, weighter) and method.weighter not in tried:
            tried.append(method.weighter)
            _check_weighter(job)


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
        options["watch"] = Watch(f"method {self.job.method.name!r}", recipe.steps, trial=True)
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
    state = LastingState(job.method.weighter)
    try:
        _try(job, state)
    finally:
        state.restore()


def _try(job: TrainingJob, state: LastingState) -> None:
    where, trial = f"method {job.method.name!r}", _Trial(job)
    before = _chance(trial.device)
    one = trial.make([0])
    first, rows_of_one = trial.train(one, [0]), _sizes(one)
    last = trial.train(trial.make([1]), [1])
    alone = torch.cat([first[0], last[0]], 1), torch.cat([first[1], last[1]])
    with _two_networks(where):
        used = trial.make([0, 1])
        trial.train(used, [0, 1], other=True)
        both = trial.train(used, [0, 1])
        fresh = both if _same(both, alone) else trial.train(trial.make([0, 1]), [0, 1])
    if fresh is both:
        _check_rows(where, rows_of_one, _sizes(used))
        # If a training leaves anything behind, another one begins as if there had been none.
        if state.restore() and not _same(trial.train(trial.make([1]), [1]), last):
            raise BadInput(f"{where}: {REMEMBERS}")
        return
    first_again = trial.train(trial.make([0]), [0])
    after = _chance(trial.device)
    if drawn := [name for name in before if not _equal(before[name], after[name])]:
        raise BadInput(
            f"{where}: its weighter draws from {drawn[0]}'s own random numbers; draw each "
            "network's from step.noise, such as step.noise.uniform(T) for numbers [networks, T]"
        )
    if _same(fresh, alone) or not _same(first_again, first):
        raise BadInput(f"{where}: {REMEMBERS}")
    raise BadInput(f"{where}: {MIXES}")


def _sizes(weighter: Weighter) -> dict[str, int]:
    """How many numbers each parameter that is learned has."""
    if weighter.learning_rate == 0:
        return {}
    return {n: p.numel() for n, p in weighter.named_parameters() if p.requires_grad}


def _check_rows(where: str, one: dict[str, int], two: dict[str, int]) -> None:
    """Check that what two networks learn is twice what one learns: none share a parameter."""
    if shared := [name for name, size in one.items() if two.get(name) != 2 * size]:
        raise BadInput(
            f"{where}: all networks share the parameter {shared[0]!r:.40}, so each changes the "
            "others' weights; make it in reset(like), with one row for each network"
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
