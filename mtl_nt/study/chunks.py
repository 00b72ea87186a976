"""The training of one method, divided into chunks of networks that fit into memory together.

`train` trains a method on all runs and alphas. It makes a `TrainingJob`, divides the job's networks
into chunks (`plan_chunks`), trains each chunk (`train_chunk`), and puts the results together
(`merge_chunks`). Chunks are independent of each other, so other processes can train them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import BadInput
from ..networks import Recipe, example_rows, network_size
from ..tasks import TaskData
from ..training import (
    ROWS_AT_ONCE,
    FitResult,
    History,
    Replicas,
    Watch,
    best_evaluations,
    fit,
    group_means,
    has_several_metrics,
    in_spreads,
    limited_threads,
    mean_scores,
    predictions_by_group,
)
from ..weighters import Frozen, Weighter, alpha_column
from .factories import WeighterArguments
from .lasting import LastingState, OtherState
from .method import Method, is_of_classes_here, make_replicas, make_weighter
from .search import Candidate, with_settings

HISTORY_POINTS = 40
"""How many points of a network's losses and weights a study keeps."""
HISTORY_ROWS = 1_000_000
"""Rows at most of a method's history. Where networks x tasks are more than fit, it has fewer points
than `HISTORY_POINTS`, each of which is the mean over more steps."""


class TrainingJob(NamedTuple):
    """All that is needed to train one method on all runs and alphas."""

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
    def outputs(self) -> int:
        """Number of outputs of a network with all tasks."""
        return sum(self.runs[0].outputs_per_task)

    @property
    def task_of_output(self) -> Int[Tensor, " O"] | None:
        """The task of each output; None where each task has one."""
        return self.runs[0].task_of_output if self.runs[0].classes else None

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates of a tuned method. Any other method has one, its recipe as it is."""
        if self.method.search is None:
            return [Candidate()]
        return self.method.search(self.trials, self.tasks, self.recipe)

    @property
    def steps(self) -> int:
        """Number of optimiser steps of all stages together."""
        return self.recipe.steps * self.method.stages


class ReplicaStack(NamedTuple):
    """All networks of a job that share one recipe, ordered by candidate, alpha, run and task."""

    recipe: Recipe
    candidates: list[int]
    replicas: Replicas
    arguments: WeighterArguments


class Chunk(NamedTuple):
    """The networks of one stack from `start` up to, and without, `stop`."""

    stack: int
    start: int
    stop: int


class ChunkResult(NamedTuple):
    """What the training of a chunk leaves behind (see `training.FitResult`).

    All fields are tensors, so that a file can keep them. `C` counts pairs of a network and a task
    that the network is scored on; in `outputs`, a task of classes counts once for each class. `T`
    is 1 for networks with one task each, and else the number of tasks.
    """

    outputs: Float[Tensor, "L C N"]
    scores: Float[Tensor, "E C"]
    losses: Float[Tensor, "P R T"]
    weights: Float[Tensor, "P R T"]
    validation: Float[Tensor, "V R T"]
    diverged: Bool[Tensor, " R"]
    window: Int[Tensor, ""]
    seconds: Float[Tensor, ""]


class TrainedMethod(NamedTuple):
    """One method after its training on all runs, with `A` alphas and `S` runs."""

    predictions: Float[Tensor, "A S N O"]  # on the test rows, as the networks give them
    history: History  # of all networks of the last stage; one column where each has one task
    replicas: Replicas
    chosen: Int[Tensor, "A S"]  # numbers of the candidates
    seconds: float
    validation: Float[Tensor, "A S T"]  # scores at the checkpoint, higher is better; NaN: none


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
) -> TrainedMethod:
    """Train one method on every run and with every alpha.

    Args:
        runs: the data of each seed. The same object may stand for several seeds.
        seeds: the seeds of initialisation and batches, one for each run.
        alphas: a method without an alpha needs one value, and ignores it.
        trials: how many candidates a tuned method has.
        memory: bytes for the networks that train side by side.
        progress, stop: as in `training.fit`.
        options: further arguments of `training.fit`.

    Raises:
        BadInput: a method that needs more tasks than there are, or an option that `training.fit`
            refuses.

    Two runs of plain multi-task learning, for two steps on nine tasks:

    >>> from mtl_nt import METHODS, Recipe, load
    >>> runs = [load("dial", seed=seed) for seed in (0, 1)]
    >>> recipe = Recipe(trunk=(4,), steps=2, batch_size=8)
    >>> trained = train(METHODS["MTL"], runs, [0, 1], recipe)
    >>> trained.history.losses.shape  # recorded points, networks, tasks
    torch.Size([2, 2, 9])
    """
    job = TrainingJob(method, runs, seeds, alphas, recipe, options, trials, memory)
    results = [train_chunk(job, chunk, progress, stop) for chunk in plan_chunks(job)]
    trained = merge_chunks(job, results)
    if trained.history.losses.shape[2] == job.tasks:
        return trained
    task = trained.replicas.scored.int().argmax(1)
    return trained._replace(history=trained.history.spread(task, job.tasks))


def replica_stacks(job: TrainingJob) -> list[ReplicaStack]:
    """The networks of a job, in one stack for each recipe that its candidates need."""
    numbers_by_settings: dict[tuple, list[int]] = {}
    candidates = job.candidates
    for number, candidate in enumerate(candidates):
        numbers_by_settings.setdefault(candidate.settings, []).append(number)
    stacks = []
    for numbers in numbers_by_settings.values():
        replicas = make_replicas(job.method, len(numbers) * len(job.alphas), job.seeds, job.tasks)
        job_alphas = [0.0 if math.isnan(a) else a for a in job.alphas]
        candidate_alphas = [candidates[n].alpha for n in numbers]
        alphas = [a if c is None else c for c in candidate_alphas for a in job_alphas]
        weights = torch.tensor(
            [candidates[n].weights or (1.0,) * job.tasks for n in numbers for _ in job.alphas],
            dtype=torch.float64,
        )
        arm = replicas.group // len(job.seeds)  # candidate and alpha of each network
        target = replicas.scored.int().argmax(1)
        arguments = WeighterArguments(alpha_column(alphas)[arm], target, weights[arm])
        recipe = with_settings(job.recipe, candidates[numbers[0]])
        stacks.append(ReplicaStack(recipe, numbers, replicas, arguments))
    return stacks


def plan_chunks(job: TrainingJob) -> list[Chunk]:
    """Chunks of about equal size. Each holds at most as many networks as the memory allows."""
    limit = max(1, int(min(job.memory / bytes_per_network(job), 2**31)))
    chunks = []
    for number, stack in enumerate(replica_stacks(job)):
        count = math.ceil(len(stack.replicas) / limit)
        ends = [round(len(stack.replicas) * i / count) for i in range(count + 1)]
        chunks += [Chunk(number, *ends[i : i + 2]) for i in range(count)]
    return chunks


def bytes_per_network(job: TrainingJob) -> int:
    """Estimate of the memory that one network takes while it trains, without the data."""
    method, tasks, classes = job.method, job.outputs, bool(job.runs[0].classes)
    if method.sees_one_task and not classes and method.weighter is Method.weighter:
        tasks = 1  # such a network has one head alone, see `training.fit`
    some_rows = example_rows(job.runs[0], job.recipe.architecture)
    one = network_size(math.prod(job.runs[0].x.shape[1:]), tasks, job.recipe, some_rows)
    # Activations with their gradients, or without.
    rows = max(2 * job.recipe.batch_size * example_weighter(job).passes, ROWS_AT_ONCE)
    scored_rows = max(
        len(part) for run in job.runs for part in (run.split.validation, run.split.test)
    )
    outputs = 3 * tasks * scored_rows  # in portions, as a whole, and while they are scored
    # Weights, their gradients and Adam's two averages are four numbers for each weight.
    numbers = 4 * one.parameters + rows * one.activations + outputs
    return int(job.options.get("dtype", torch.float32).itemsize * numbers)


def example_weighter(job: TrainingJob) -> Weighter:
    """The job's weighter for a network of each alpha. It shows before training what it needs."""
    ones = torch.ones(len(job.alphas), job.tasks, dtype=torch.float64)
    alpha = torch.tensor(job.alphas, dtype=torch.float64).nan_to_num(0.5).unsqueeze(1)
    target = torch.zeros(len(job.alphas), dtype=torch.int64)
    return make_weighter(job.method, WeighterArguments(alpha, target, ones))


def train_chunk(
    job: TrainingJob,
    chunk: Chunk,
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> ChunkResult:
    """Train the networks of one chunk. A chunk gives the same numbers wherever it is trained."""
    begin = time.perf_counter()
    stack, method = replica_stacks(job)[chunk.stack], job.method
    group, first, end = stack.replicas.group, chunk.start, chunk.stop
    complete = all(i in (0, len(group)) or group[i - 1] != group[i] for i in (first, end))
    runs, replicas = _distinct_runs(job.runs, stack.replicas.part(first, end))
    arguments = WeighterArguments(*(column[first:end] for column in stack.arguments))
    options = {"record": _window(job), **job.options, "progress": progress, "stop": stop}
    last = {"score_validation": True, "complete_groups": complete, "spread": False}
    with limited_threads(runs[0], replicas, stack.recipe):
        fitted, _ = fit_stages(method, runs, replicas, arguments, stack.recipe, options, last)
    history = fitted.history
    return ChunkResult(
        fitted.outputs,
        fitted.scores,
        history.losses,
        history.weights,
        history.validation,
        history.diverged,
        torch.tensor(history.window),
        torch.tensor(time.perf_counter() - begin, dtype=torch.float64),
    )


def fit_stages(
    method: Method,
    runs: Sequence[TaskData],
    replicas: Replicas,
    arguments: WeighterArguments,
    recipe: Recipe,
    options: Mapping[str, Any],
    last: Mapping[str, Any],
) -> tuple[FitResult, Weighter]:
    """Train the networks of a stack in all stages of a method.

    Args:
        options: of `training.fit` in every stage.
        last: further options of the last stage.

    Returns:
        The last stage, and the weighter that weighed its tasks.

    Raises:
        BadInput: one task alone, where the method needs others; or a slip of a weighter that is not
            the package's own (see `training.Watch`). Then nothing that it has left behind stays.
    """
    weighter = make_weighter(method, arguments)
    if is_of_classes_here(weighter):
        return _fit_stages(method, runs, replicas, arguments, recipe, options, last)
    before = LastingState(method.weighter)
    try:
        return _fit_stages(method, runs, replicas, arguments, recipe, options, last, own=True)
    except BadInput:
        before.restore()
        raise


def _fit_stages(
    method: Method,
    runs: Sequence[TaskData],
    replicas: Replicas,
    arguments: WeighterArguments,
    recipe: Recipe,
    options: Mapping[str, Any],
    last: Mapping[str, Any],
    own: bool = False,
) -> tuple[FitResult, Weighter]:
    """As `fit_stages`.

    Args:
        own: whether the weighter is somebody's own, and so to be watched.
    """
    pretrained: FitResult | None = None
    weighter = make_weighter(method, arguments)

    def of_one(network: int) -> Weighter:
        rows = slice(network, network + 1)
        return make_weighter(method, WeighterArguments(*(column[rows] for column in arguments)))

    def watch(alone: Callable[[int], Weighter] = of_one) -> Watch | None:
        if not own:
            return None
        aside = OtherState(method.weighter)
        return Watch(f"method {method.name!r}", recipe.steps, alone=alone, aside=aside)

    if method.pretrain:
        if replicas.trained.shape[1] < 2:
            raise BadInput(f"{method.name} needs two tasks or more; these data have one")
        others = replace(replicas, trained=~replicas.trained)
        pretrain_options = {**options, "checkpoint": "last", "record": recipe.steps}
        pretrained = fit(runs, others, weighter, recipe, **pretrain_options, watch=watch())
        weighter = make_weighter(method, arguments)
    if method.frozen:
        moving_options = {**options, "checkpoint": "last"}
        moving = fit(runs, replicas, weighter, recipe, **moving_options, watch=watch())
        mean = moving.history.mean_weights.nan_to_num(nan=1.0)  # never labelled
        weighter = Frozen(make_weighter(method, arguments), mean)
        looking = watch(lambda network: Frozen(of_one(network), mean[network : network + 1]))
    else:
        looking = watch()
    trunk = pretrained.network if pretrained else None
    found = fit(
        runs, replicas, weighter, recipe, trunk_from=trunk, **options, **last, watch=looking
    )
    check_signs(method, weighter, found.history.weights, runs[0].tasks)
    return found, weighter


def check_signs(
    method: Method, weighter: Weighter, weights: Float[Tensor, "P R T"], tasks: Sequence[str] = ()
) -> None:
    """Refuse weights below 0: a network would climb the task's loss, most likely by a slip.

    Args:
        method: of the weighter.
        weighter: it may say that it means them (`Weighter.may_be_negative`).
        weights: of a training, NaN where a task has none.
        tasks: the names of all tasks, if the weights are of all of them.

    Raises:
        BadInput: a weight is below 0, and no weighter says that it means it.
    """
    low = torch.where(weights.isfinite(), weights, 0.0)
    if not low.numel() or low.min() >= 0:
        return
    if any(part.may_be_negative for part in weighter.modules() if isinstance(part, Weighter)):
        return
    task = int(low.flatten(0, 1).min(0).values.argmin())
    name = f" of task {tasks[task]!r:.40}" if len(tasks) == low.shape[2] else ""
    raise BadInput(
        f"method {method.name!r}: its weight{name} falls to {float(low.min()):.3g}, and below 0 a "
        "network climbs the loss; mend the sign, or say may_be_negative = True in the weighter's "
        "class"
    )


def _window(job: TrainingJob) -> int | None:
    """How many steps a window of the history has, where many networks have many tasks each.

    None is the length that `training.fit` takes by default.
    """
    method = job.method
    alone = method.networks == "single" or job.tasks == 1
    networks = len(job.alphas) * len(job.seeds) * (1 if method.networks == "one" else job.tasks)
    points = max(2, HISTORY_ROWS // (networks * (1 if alone else job.tasks)))
    return None if points >= HISTORY_POINTS else math.ceil(job.recipe.steps / points)


def merge_chunks(job: TrainingJob, results: Sequence[ChunkResult]) -> TrainedMethod:
    """Put the chunks of a job together.

    Every group of networks is taken at its checkpoint, and every run and alpha with its best
    candidate: the one with the best mean score over tasks. Where tasks have several metrics, each
    task's scores are divided by their spread over the candidates (see `training.in_spreads`).

    Args:
        results: one for each chunk, in the order of `plan_chunks`.
    """
    chunks, stacks, merged = plan_chunks(job), replica_stacks(job), []
    rows = max(len(run.split.test) for run in job.runs)
    checkpoint = job.options.get("checkpoint", "last")
    several = has_several_metrics(job.runs[0])
    for number, stack in enumerate(stacks):
        own = [r for c, r in zip(chunks, results, strict=True) if c.stack == number]
        merged.append(_merge_stack(stack, own, rows, checkpoint, several, job.task_of_output))
    alphas, runs = len(job.alphas), len(job.seeds)
    order = torch.tensor([n for stack in stacks for n in stack.candidates]).argsort()
    networks = len(merged[0][1].diverged) // len(stacks[0].candidates)  # of one candidate

    def by_candidate(axis: int, size: int, tables: list[Tensor]) -> Tensor:
        """Split this axis into candidates, in their order, and what one candidate has."""
        return torch.cat(tables, axis).unflatten(axis, (len(order), size)).index_select(axis, order)

    predictions = by_candidate(0, alphas * runs, [p for p, _, _, _ in merged])
    value = by_candidate(0, alphas * runs, [v for _, _, v, _ in merged])
    validation = by_candidate(0, alphas * runs, [v for _, _, _, v in merged])
    if several:
        mean = in_spreads(validation).nanmean(-1)
        value = torch.where(value.isneginf(), value, mean)
    # The first of the best candidates.
    chosen = torch.from_numpy(value.nan_to_num(nan=-math.inf).numpy().argmax(0))
    replicas = make_replicas(job.method, alphas, job.seeds, job.tasks)
    index = chosen[replicas.group], torch.arange(networks)

    def of_chosen(name: str, axis: int) -> Tensor:
        """This table of the history, for the chosen candidates alone."""
        table = by_candidate(axis, networks, [getattr(h, name) for _, h, _, _ in merged])
        return table[index] if axis == 0 else table[:, index[0], index[1]]

    history = History(
        merged[0][1].window,
        of_chosen("losses", 1),
        of_chosen("weights", 1),
        of_chosen("validation", 1),
        of_chosen("diverged", 0),
    )
    best, scored = (t[chosen, torch.arange(alphas * runs)] for t in (predictions, validation))
    seconds = sum(float(r.seconds) for r in results)
    shape = (alphas, runs)
    return TrainedMethod(
        best.unflatten(0, shape),
        history,
        replicas,
        chosen.view(shape),
        seconds,
        scored.unflatten(0, shape),
    )


def _merge_stack(
    stack: ReplicaStack,
    results: Sequence[ChunkResult],
    rows: int,
    checkpoint: str,
    several: bool,
    task_of_output: Int[Tensor, " O"] | None,
) -> tuple[Float[Tensor, "G N O"], History, Float[Tensor, " G"], Float[Tensor, "G T"]]:
    """Predictions, history, mean validation score and that of every task, of a stack's groups."""
    replica, _ = stack.replicas.scored.nonzero(as_tuple=True)
    group = stack.replicas.group[replica]
    scores = own_scores = torch.cat([r.scores for r in results], 1)
    if checkpoint == "best_mean" and len(scores):
        scores = mean_scores(scores, group, several)
    comparable = scores.nan_to_num(nan=-math.inf)
    pair = torch.arange(len(group))  # of each column of outputs
    if task_of_output is not None:
        counts = task_of_output.bincount()
        pair = pair.repeat_interleave(counts[stack.replicas.scored.nonzero()[:, 1]])
    outputs, start = [], 0
    for r in results:
        evaluations, columns, n = r.outputs.shape
        best = torch.zeros(columns, dtype=torch.int64)
        if evaluations > 1:  # the checkpoint is still to be chosen
            best = best_evaluations(comparable[:, pair[start : start + columns]])
        kept = r.outputs[best, torch.arange(columns)]
        outputs.append(torch.nn.functional.pad(kept, (0, rows - n)))
        start += columns
    history = History(
        int(results[0].window),
        torch.cat([r.losses for r in results], 1),
        torch.cat([r.weights for r in results], 1),
        torch.cat([r.validation for r in results], 1),
        torch.cat([r.diverged for r in results]),
    )
    groups = int(group.max()) + 1
    value = torch.zeros(groups, dtype=torch.float64)
    at_checkpoint = torch.full((len(group),), math.nan, dtype=torch.float64)
    if len(scores):
        at = torch.full_like(group, len(scores) - 1)
        if checkpoint != "last":  # the first of the best evaluations
            at = torch.from_numpy(comparable.numpy().argmax(0))
        at_checkpoint = own_scores[at, torch.arange(len(group))]
        top = scores[-1] if checkpoint == "last" else comparable.amax(0)
        top = torch.where(scores.isnan().all(0), math.nan, top)
        value = group_means(top, group)
        value[stack.replicas.group[history.diverged]] = -math.inf
    by_task = predictions_by_group(at_checkpoint.unsqueeze(1), stack.replicas)[:, 0]
    predictions = predictions_by_group(torch.cat(outputs), stack.replicas, task_of_output)
    return predictions, history, value, by_task


def _distinct_runs(runs: Sequence[TaskData], replicas: Replicas) -> tuple[list[TaskData], Replicas]:
    """The data that these networks use, each once, and the networks that point to them."""
    kept: list[TaskData] = []
    index = torch.zeros(len(runs), dtype=torch.int64)
    for d in replicas.data.unique().tolist():
        place = next((i for i, k in enumerate(kept) if k is runs[d]), len(kept))
        kept += [runs[d]] if place == len(kept) else []
        index[d] = place
    return kept, replace(replicas, data=index[replicas.data])
