"""A method's training in pieces: networks that fit into memory together, put together again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .batches import Replicas
from .methods import Candidate, Given, Method, networks, with_settings
from .models import size
from .recipe import Recipe
from .records import ROWS_AT_ONCE, History, group_means
from .tasks import BadInput, TaskData
from .training import Fit, assembled, fit, fitting_threads
from .weighters import Weighter, alpha_column


class Job(NamedTuple):
    """What it takes to train one method on all runs and alphas."""

    method: Method
    runs: Sequence[TaskData]
    seeds: Sequence[int]
    alphas: Sequence[float]
    recipe: Recipe
    options: Mapping[str, Any]  # of `training.fit`
    trials: int = 1  # candidates of a tuned method
    memory: float = math.inf  # bytes for the networks that train side by side

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.runs[0].tasks)

    @property
    def candidates(self) -> list[Candidate]:
        """What a tuned method chooses from; of the others, the recipe as it is."""
        if self.method.search is None:
            return [Candidate()]
        return self.method.search(self.trials, self.tasks, self.recipe)

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.recipe.steps * (2 if self.method.pretrain else 1)


class Stack(NamedTuple):
    """All networks of a job that have the same settings, by candidate, alpha, run and task."""

    recipe: Recipe
    candidates: list[int]
    replicas: Replicas
    given: Given


class Piece(NamedTuple):
    """Some of a stack's networks: those from `start` up to `stop`."""

    stack: int
    start: int
    stop: int


class Outcome(NamedTuple):
    """What remains of a piece: tensors alone, so that it can be kept (see `training.Fit`)."""

    outputs: Float[Tensor, "L C N"]
    scores: Float[Tensor, "E C"]
    losses: Float[Tensor, "P R T"]
    weights: Float[Tensor, "P R T"]
    validation: Float[Tensor, "V R T"]
    diverged: Bool[Tensor, " R"]
    window: Int[Tensor, ""]
    seconds: Float[Tensor, ""]


class Trained(NamedTuple):
    """One method on all runs. The first axis of everything counts alphas, the second runs."""

    predictions: Float[Tensor, "A S N T"]
    history: History  # of all networks of the last stage
    replicas: Replicas
    chosen: Int[Tensor, "A S"]  # candidates
    seconds: float


def train(
    method: Method,
    runs: Sequence[TaskData],
    seeds: Sequence[int],
    recipe: Recipe,
    alphas: Sequence[float] = (0.0,),
    trials: int = 1,
    memory: float = math.inf,
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
    **options: Any,
) -> Trained:
    """Train a method on every run and alpha. `options` are those of `training.fit`.

    Args:
        runs: one a seed; the same object may stand for several.
        seeds: of initialisation and batches.
        trials: candidates of a tuned method.
        memory: bytes for the networks that train side by side.
        progress, stop: as in `training.fit`.
    """
    job = Job(method, runs, seeds, alphas, recipe, options, trials, memory)
    return settled(job, [train_piece(job, piece, progress, stop) for piece in plan(job)])


def stacks(job: Job) -> list[Stack]:
    """The networks of a job, those with the same settings side by side."""
    alike: dict[tuple, list[int]] = {}
    every = job.candidates
    for number, candidate in enumerate(every):
        alike.setdefault(candidate.settings, []).append(number)
    found = []
    for numbers in alike.values():
        replicas = networks(job.method, len(numbers) * len(job.alphas), job.seeds, job.tasks)
        given_alphas = [0.0 if math.isnan(a) else a for a in job.alphas]
        own = [every[n].alpha for n in numbers]
        alphas = [a if mine is None else mine for mine in own for a in given_alphas]
        weights = torch.tensor(
            [every[n].weights or (1.0,) * job.tasks for n in numbers for _ in job.alphas],
            dtype=torch.float64,
        )
        arm = replicas.group // len(job.seeds)
        target = replicas.scored.int().argmax(1)
        given = Given(alpha_column(alphas)[arm], target, weights[arm])
        found.append(Stack(with_settings(job.recipe, every[numbers[0]]), numbers, replicas, given))
    return found


def plan(job: Job) -> list[Piece]:
    """Pieces of about equal size, each as large as the memory allows."""
    at_once = max(1, int(min(job.memory / bytes_of_a_network(job), 2**31)))
    pieces = []
    for number, stack in enumerate(stacks(job)):
        count = math.ceil(len(stack.replicas) / at_once)
        ends = [round(len(stack.replicas) * i / count) for i in range(count + 1)]
        pieces += [Piece(number, *ends[i : i + 2]) for i in range(count)]
    return pieces


def bytes_of_a_network(job: Job) -> int:
    """What a network takes while it trains; the data themselves are not counted."""
    method, tasks = job.method, job.tasks
    if method.networks == "single" and not method.pretrain and method.weighter is Method.weighter:
        tasks = 1  # has one head alone, see `training.fit`
    one = size(math.prod(job.runs[0].x.shape[1:]), tasks, job.recipe)
    # Activations with their gradients, or without.
    rows = max(2 * job.recipe.batch_size * specimen(job).passes, ROWS_AT_ONCE)
    held = max(len(part) for run in job.runs for part in (run.split.validation, run.split.test))
    outputs = 3 * tasks * held  # by parts, as a whole, and while they are scored
    # Weights, their gradients and Adam's two averages are four numbers a weight.
    numbers = 4 * one.parameters + rows * one.activations + outputs
    return int(job.options.get("dtype", torch.float32).itemsize * numbers)


def specimen(job: Job) -> Weighter:
    """A weighter of the job's, for one network: what it needs, before anything is trained."""
    ones = torch.ones(1, job.tasks, dtype=torch.float64)
    return job.method.weighter(Given(ones[:, :1], torch.zeros(1, dtype=torch.int64), ones))


def train_piece(
    job: Job,
    piece: Piece,
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Train the networks of a piece. The same piece gives the same numbers wherever it runs."""
    begin = time.perf_counter()
    stack, method = stacks(job)[piece.stack], job.method
    group, (start, stop_at) = stack.replicas.group, piece[1:]
    whole = all(i in (0, len(group)) or group[i - 1] != group[i] for i in (start, stop_at))
    runs, replicas = _distinct(job.runs, stack.replicas.part(start, stop_at))
    given = Given(*(column[start:stop_at] for column in stack.given))
    options = {**job.options, "progress": progress, "stop": stop}
    before: Fit | None = None
    with fitting_threads(runs[0], replicas, stack.recipe):
        if method.pretrain:
            if job.tasks < 2:
                raise BadInput(f"{method.name} needs two tasks or more; these data have one")
            others = replace(replicas, trained=~replicas.trained)
            early = {**options, "checkpoint": "last"}
            before = fit(runs, others, method.weighter(given), stack.recipe, **early)
        done = fit(
            runs,
            replicas,
            method.weighter(given),
            stack.recipe,
            trunk_from=before.network if before else None,
            judge=method.search is not None,
            whole=whole,
            **options,
        )
    history = done.history
    return Outcome(
        done.outputs,
        done.scores,
        history.losses,
        history.weights,
        history.validation,
        history.diverged,
        torch.tensor(history.window),
        torch.tensor(time.perf_counter() - begin, dtype=torch.float64),
    )


def settled(job: Job, outcomes: Sequence[Outcome]) -> Trained:
    """The pieces of a job put together, in the order of `plan`: every group at its checkpoint, and
    every run and alpha with its best candidate.
    """
    pieces, parts = plan(job), []
    rows = max(len(run.split.test) for run in job.runs)
    for number, stack in enumerate(stacks(job)):
        mine = [o for p, o in zip(pieces, outcomes, strict=True) if p.stack == number]
        parts.append(_joined(stack, mine, rows, job.options.get("checkpoint", "last")))
    arms, runs = len(job.alphas), len(job.seeds)
    order = torch.tensor([n for stack in stacks(job) for n in stack.candidates]).argsort()
    per = len(parts[0][1].diverged) // len(stacks(job)[0].candidates)  # networks of a candidate

    def by_candidate(axis: int, size: int, tables: list[Tensor]) -> Tensor:
        return torch.cat(tables, axis).unflatten(axis, (len(order), size)).index_select(axis, order)

    predictions = by_candidate(0, arms * runs, [p for p, _, _ in parts])
    value = by_candidate(0, arms * runs, [v for _, _, v in parts])
    chosen = value.nan_to_num(nan=-math.inf).numpy().argmax(0)  # the first of the best
    picked = torch.from_numpy(chosen)
    replicas = networks(job.method, arms, job.seeds, job.tasks)
    network = torch.arange(per)

    def of_chosen(name: str, axis: int) -> Tensor:
        table = by_candidate(axis, per, [getattr(h, name) for _, h, _ in parts])
        pair = (picked[replicas.group], network)
        return table[pair] if axis == 0 else table[:, pair[0], pair[1]]

    history = History(
        parts[0][1].window,
        of_chosen("losses", 1),
        of_chosen("weights", 1),
        of_chosen("validation", 1),
        of_chosen("diverged", 0),
    )
    best = predictions[picked, torch.arange(arms * runs)]
    seconds = sum(float(o.seconds) for o in outcomes)
    shape = (arms, runs)
    return Trained(best.unflatten(0, shape), history, replicas, picked.view(shape), seconds)


def _joined(
    stack: Stack, outcomes: Sequence[Outcome], rows: int, checkpoint: str
) -> tuple[Float[Tensor, "G N T"], History, Float[Tensor, " G"]]:
    """Predictions, history and validation score of all networks of a stack."""
    replica, _ = stack.replicas.scored.nonzero(as_tuple=True)
    group = stack.replicas.group[replica]
    scores = torch.cat([o.scores for o in outcomes], 1)
    if checkpoint == "best_mean" and len(scores):
        scores = group_means(scores, group)[:, group]
    found = scores.nan_to_num(nan=-math.inf)
    outputs, start = [], 0
    for o in outcomes:
        looks, columns, n = o.outputs.shape
        mine = found[:, start : start + columns]
        look = torch.zeros(columns, dtype=torch.int64)
        if looks > 1:  # undecided so far
            look = torch.from_numpy(mine.numpy().argmax(0))
            look[mine.isinf().all(0)] = looks - 1
        kept = o.outputs[look, torch.arange(columns)]
        outputs.append(torch.nn.functional.pad(kept, (0, rows - n)))
        start += columns
    history = History(
        int(outcomes[0].window),
        torch.cat([o.losses for o in outcomes], 1),
        torch.cat([o.weights for o in outcomes], 1),
        torch.cat([o.validation for o in outcomes], 1),
        torch.cat([o.diverged for o in outcomes]),
    )
    groups = int(group.max()) + 1
    value = torch.zeros(groups, dtype=torch.float64)
    if len(scores):
        best = scores[-1] if checkpoint == "last" else found.amax(0)
        best = torch.where(scores.isnan().all(0), math.nan, best)
        value = group_means(best, group)
        value[stack.replicas.group[history.diverged]] = -math.inf
    return assembled(torch.cat(outputs), stack.replicas), history, value


def _distinct(runs: Sequence[TaskData], replicas: Replicas) -> tuple[list[TaskData], Replicas]:
    """One copy of the data that these networks use."""
    kept: list[TaskData] = []
    index = torch.zeros(len(runs), dtype=torch.int64)
    for d in replicas.data.unique().tolist():
        place = next((i for i, k in enumerate(kept) if k is runs[d]), len(kept))
        kept += [runs[d]] if place == len(kept) else []
        index[d] = place
    return kept, replace(replicas, data=index[replicas.data])
