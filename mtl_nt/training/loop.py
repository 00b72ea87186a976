"""One training loop for every method: `fit` trains all replicas of a weight matrix side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..bits import Features
from ..errors import BadInput, suggestion
from ..networks import (
    Adam,
    Network,
    ParameterGroup,
    RandomStreams,
    Recipe,
    example_rows,
    needs_two_rows,
    network_size,
    task_losses,
)
from ..tasks import TaskData
from ..weighters import Step, Uniform, Weighter
from .batches import BatchSampler, Replicas
from .checkpoints import CHECKPOINTS, Checkpoint, CheckpointKeeper
from .combined_table import CombinedTable
from .given import checked
from .history import History, HistoryRecorder
from .watch import Watch

Precision = Literal["full", "bf16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
EVALUATIONS = 20  # of the validation rows in a training
WINDOWS = 200  # of a history, unless every step is asked for
SMALL = 1e8  # multiplications in a step's forward pass: some milliseconds of one core


class Stopped(Exception):
    """The training was asked to stop; nothing of it is kept.

    >>> import mtl_nt
    >>> mtl_nt.compare(mtl_nt.load('dial'), 'MTL', steps=2, progress=False, stop=lambda: True)
    Traceback (most recent call last):
    mtl_nt.training.loop.Stopped
    """


class FitResult(NamedTuple):
    """Networks after their training, and what they predict on the test rows.

    `outputs` and `scores` have one column for each pair of a network and a task that the network is
    scored on. Columns follow the order of `replicas.scored`. In `outputs`, a task of classes has
    one column for each class.
    """

    outputs: Float[Tensor, "L C N"]  # logits, or targets as trained on; L > 1 while undecided
    scores: Float[Tensor, "E C"]  # on the validation rows, every evaluation; E = 0 if not needed
    history: History
    network: Network  # at the last step
    replicas: Replicas
    task_of_output: Int[Tensor, " O"] | None = None  # None where each task has one output

    @property
    def predictions(self) -> Float[Tensor, "G N O"]:
        """Every task's test predictions, from the network of its group that is scored on it."""
        return predictions_by_group(self.outputs[-1], self.replicas, self.task_of_output)


def predictions_by_group(
    outputs: Float[Tensor, "C N"],
    replicas: Replicas,
    task_of_output: Int[Tensor, " O"] | None = None,
) -> Float[Tensor, "G N O"]:
    """The predictions of every group of networks, in one table of all tasks.

    A task that no network of the group is scored on has zeros.

    Args:
        outputs: one column for each network and task that it is scored on (see `FitResult`).
        task_of_output: the task of each output; by default each task has one.

    Two networks of one group, with one task each:

    >>> own, zero = torch.eye(2, dtype=torch.bool), torch.tensor([0, 0])
    >>> replicas = Replicas(zero, zero, trained=own, scored=own, group=zero, focus=zero - 1)
    >>> predictions_by_group(torch.tensor([[0.1, 0.2, 0.3], [7.0, 8.0, 9.0]]), replicas)
    tensor([[[0.1000, 7.0000],
             [0.2000, 8.0000],
             [0.3000, 9.0000]]])
    """
    scored = replicas.scored if task_of_output is None else replicas.scored[:, task_of_output]
    replica, output = scored.nonzero(as_tuple=True)
    groups = int(replicas.group.max()) + 1
    predictions = outputs.new_zeros(groups, outputs.shape[1], scored.shape[1])
    predictions[replicas.group[replica], :, output] = outputs
    return predictions


def fit(
    runs: Sequence[TaskData],
    replicas: Replicas,
    weighter: Weighter,
    recipe: Recipe,
    *,
    trunk_from: Network | None = None,
    checkpoint: Checkpoint = "last",
    record: int | None = None,
    spread: bool = True,
    score_validation: bool = False,
    complete_groups: bool = True,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    precision: Precision = "full",
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
    watch: Watch | None = None,
) -> FitResult:
    """Train all replicas for `recipe.steps` steps each and predict the test rows.

    Args:
        runs: the data that `replicas.data` counts; all have the same tasks and features.
        replicas: the networks.
        weighter: computes the weight matrix W `[R, T]` of every step.
        recipe: the settings of the training.
        trunk_from: networks whose trunks (with batch-norm statistics) are the start.
        checkpoint: the moment whose test predictions count. "last" is the last step. "best_mean" is
            the evaluation with the best mean validation score, for every group (of several
            metrics, each task's in units of its spread over the evaluations). "best_per_task"
            takes its own best evaluation for every task.
        record: number of steps in a window of the history; by default a 200th of the training.
        spread: whether the history of networks with one task each has a column for every task.
            Without it, such a history has one column alone.
        score_validation: score the validation rows whatever the checkpoint.
        complete_groups: whether all networks of every group are here (see `CheckpointKeeper`).
        device: where the networks train.
        dtype: precision of the weights.
        precision: "bf16" multiplies the layers' matrices in bfloat16 while training; weights, sums,
            losses and predictions keep their precision.
        progress: called with the number of steps done since the last call.
        stop: asked at every step; True ends the training with `Stopped`.
        watch: looks for slips of a weighter that is not the package's own.

    Raises:
        BadInput: the checkpoint needs validation rows and there are none; the loss or the weighter
            does not suit the data or the networks; the weighter gives weights of another shape; or
            see `Watch`.
        Stopped: `stop` returned True.

    Two networks with different seeds, trained on all tasks for three steps:

    >>> from mtl_nt import load
    >>> data = load("dial")
    >>> tasks, runs = len(data.tasks), torch.tensor([0, 1])
    >>> all_tasks = torch.ones(2, tasks, dtype=torch.bool)
    >>> replicas = Replicas(runs * 0, runs, all_tasks, all_tasks, group=runs, focus=runs * 0 - 1)
    >>> result = fit([data], replicas, Uniform(), Recipe(trunk=(4,), steps=3))
    >>> result.predictions.shape == (2, len(data.split.test), tasks)
    True
    """
    only_task = None if runs[0].classes else _only_task(replicas, weighter)
    table = CombinedTable(runs, device, dtype, only_task)
    _check_options(checkpoint, precision, table.has_validation)
    check_loss(recipe, runs[0], bool(replicas.trained.all()))
    _check_weighter(weighter, recipe, runs[0])
    seeds = replicas.seed.tolist()
    some_rows = example_rows(runs[0], recipe.architecture)
    sizes = table.features, table.outputs
    network = Network(seeds, *sizes, recipe, weighter.decodes, only_task, some_rows)
    network = network.to(device, dtype)
    if trunk_from is not None:
        network.trunk.load_state_dict(trunk_from.trunk.state_dict())
    trained = (
        replicas.trained.to(device)
        if only_task is None
        else torch.ones(len(replicas), 1, dtype=torch.bool, device=device)
    )
    all_trained = bool(trained.all())
    weighter.to(device)
    like = torch.zeros(trained.shape, device=device, dtype=dtype)
    weighter.reset(like.clone())
    if watch is not None:
        watch.begin(network, seeds, like)
    adam = Adam(_parameter_groups(network, weighter, recipe), fused=True)
    dropout = RandomStreams(seeds, "dropout", table.columns)
    noise = RandomStreams(seeds, "weighter", table.columns)
    at_least = 2 if recipe.batch_norm or needs_two_rows(network.trunk) else 1
    sampler = BatchSampler(runs, replicas, recipe.batch_size, at_least)
    sampler.to(device)
    recorder = HistoryRecorder(record or math.ceil(recipe.steps / WINDOWS), trained)
    keeper = CheckpointKeeper(
        table, replicas, weighter, checkpoint, score_validation, complete_groups
    )
    classes, (weighted, _) = table.classes, table.weighted
    softmax = recipe.loss == "softmax"
    over = "all" if softmax else recipe.loss_over
    matrix_precision = partial(
        torch.autocast, torch.device(device).type, torch.bfloat16, precision == "bf16"
    )
    support = torch.stack([label_counts(run) for run in runs])[replicas.data].to(device, dtype)
    if table.only_task is not None:
        support = support.take_along_dim(table.only_task, 1)
    evaluations = {round(recipe.steps * (i + 1) / EVALUATIONS) for i in range(EVALUATIONS)}

    for number, batch in enumerate(sampler.steps(recipe.steps)):
        if stop is not None and stop():
            raise Stopped
        (x, y, label_mask), valid = table.batch(batch, sampler)
        if not all_trained:
            label_mask = label_mask * trained.unsqueeze(1)
        if softmax:  # of exclusive classes, a row counts for its own class alone
            label_mask = label_mask * y
        with matrix_precision():
            forward_pass, raw = network(x, valid, dropout)
        again: Callable[[], Tensor] = partial(_pass_again, network, x, valid, dropout)
        if watch is not None:
            again = watch.ready(weighter, again)
        outputs = read_outputs(weighter, raw, table.binary_output, valid, again)
        rows = valid.sum(1, keepdim=True).to(dtype)
        losses, errors, labelled = task_losses(
            outputs.detach(), y, label_mask, table.binary, rows, over, classes, weighted
        )
        step = Step(
            losses=losses,
            labelled=labelled,
            first_batch=batch.first.to(device)[sampler.stream],
            epoch=batch.epoch.to(device)[sampler.stream],
            valid=valid,
            support=support,
            outputs=outputs.detach(),
            errors=errors,
            head=network.head.weight,
            forward_pass=forward_pass,
            raw=raw,
            decoder=network.decoder,
            binary=table.binary,
            noise=noise,
            classes=classes,
        )
        if watch is not None:
            watch.before(number, step, table.binary_output)
        given = checked(weighter, "weights", weighter.weights(step), losses)
        weights = torch.where(labelled, given, 0.0)  # (R, T): W
        penalty = checked(weighter, "penalty", weighter.penalty(step), rows[:, 0])
        objective = (weights * losses).sum() + penalty.sum()
        weighter.after(step, weights.detach())
        if watch is not None:
            watch.after(number, weighter, weights, penalty, step, adam.moments)
        adam.zero_grad()
        # d objective / d outputs is W * errors: the networks' backward pass starts there, by a sum
        # with that gradient, since roots with gradients of their own import torch's compiler. The
        # objective's own graph has the rest: the weighter's parameters, decoder, penalties.
        spread_weights = weights if classes is None else classes.spread(weights)
        start = (spread_weights.detach().unsqueeze(1) * errors * outputs).sum()
        torch.autograd.backward([start, objective] if objective.requires_grad else start)
        adam.step(_learning_rate_factor(recipe.schedule, number / recipe.steps))
        recorder.add(labelled, losses, weights.detach())
        if number + 1 in evaluations or number + 1 == recipe.steps:
            keeper.evaluate(network, last=number + 1 == recipe.steps)
        if progress is not None:
            progress(1)
    if watch is not None:
        watch.done(weighter)
    pairs = int(replicas.scored.sum())
    scores = torch.stack(keeper.scores) if keeper.scores else torch.empty(0, pairs).double()
    history = recorder.history(keeper.validation_losses, keeper.finite)
    if only_task is not None and spread:
        history = history.spread(only_task, table.tasks)
    task_of_output = None if classes is None else classes.task.cpu()
    return FitResult(keeper.outputs, scores, history, network, replicas, task_of_output)


def _check_options(checkpoint: str, precision: str, has_validation: bool) -> None:
    if checkpoint not in CHECKPOINTS:
        raise BadInput(f"unknown checkpoint {checkpoint!r}; {suggestion(checkpoint, CHECKPOINTS)}")
    if precision not in PRECISIONS:
        raise BadInput(f"unknown precision {precision!r}; {suggestion(precision, PRECISIONS)}")
    if checkpoint != "last" and not has_validation:
        raise BadInput(f"checkpoint {checkpoint!r} needs validation rows; use 'last'")


def _check_weighter(weighter: Weighter, recipe: Recipe, run: TaskData) -> None:
    weighter.check(recipe.dropout)
    if run.classes and not weighter.takes_classes:
        raise BadInput(
            f"{type(weighter).__name__} {no_classes(run)}; leave the method or the task out"
        )


def _only_task(replicas: Replicas, weighter: Weighter) -> Int[Tensor, " R"] | None:
    """The one task of each replica, if each is trained and scored on one task without weights.

    Then the replicas need neither the other heads nor their losses.
    """
    one = (replicas.trained.sum(1) == 1).all() and (replicas.trained == replicas.scored).all()
    return replicas.trained.int().argmax(1) if one and type(weighter) is Uniform else None


@contextmanager
def limited_threads(run: TaskData, replicas: Replicas, recipe: Recipe) -> Iterator[None]:
    """Let small stacks of networks train on one thread.

    On a busy machine, threads that wait for each other at every small operation cost far more time
    than they save.

    >>> from mtl_nt import load
    >>> data, zero, task = load("dial"), torch.tensor([0]), torch.ones(1, 1, dtype=torch.bool)
    >>> small = Replicas(zero, zero, task, task, zero, zero - 1)
    >>> with limited_threads(data, small, Recipe(trunk=(4,))):
    ...     torch.get_num_threads()
    1
    """
    sizes = math.prod(run.x.shape[1:]), sum(run.outputs_per_task)
    one = network_size(*sizes, recipe, example_rows(run, recipe.architecture))
    before = torch.get_num_threads()
    if len(replicas) * recipe.batch_size * one.multiplications < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pass_again(network: Network, x: Features, valid: Tensor, dropout: RandomStreams) -> Tensor:
    """Another forward pass of the same batch, with other dropout."""
    outputs: Tensor = network(x, valid, dropout)[1]
    return outputs


def read_outputs(
    weighter: Weighter,
    raw: Float[Tensor, "R B O"],
    binary: Bool[Tensor, "*any O"],
    valid: Bool[Tensor, "R B"],
    again: Callable[[], Tensor],
) -> Float[Tensor, "R B O"]:
    """What the weighter reads from the networks' outputs, by which it trains them.

    Raises:
        BadInput: it gives another shape, or outputs through which no network trains.

    >>> raw, valid = torch.ones(1, 4, 2, requires_grad=True), torch.ones(1, 4, dtype=torch.bool)
    >>> read_outputs(Uniform(), raw, valid[:, :2], valid, lambda: raw) is raw
    True
    """
    outputs = checked(weighter, "read", weighter.read(raw, binary, valid, again), raw)
    if not outputs.requires_grad:
        raise BadInput(
            f"{type(weighter).__name__}.read gives outputs without a graph, so no network trains; "
            "make them of the outputs that it is given, without detach()"
        )
    return outputs


def check_loss(recipe: Recipe, run: TaskData, all_tasks: bool) -> None:
    """Check that the recipe's loss suits the tasks.

    Args:
        all_tasks: whether every network is trained on all tasks.

    Raises:
        BadInput: the loss is "softmax" and the tasks are not the classes of one network.

    >>> from mtl_nt import load
    >>> check_loss(Recipe(loss="each"), load("dial"), all_tasks=True)
    """
    if recipe.loss == "softmax" and not (all_tasks and run.exclusive and len(run.tasks) > 1):
        raise BadInput(
            f"data set {run.name!r}: the loss 'softmax' is one network's, over two or more tasks "
            "that are exclusive classes; use the loss 'each'"
        )


def no_classes(run: TaskData) -> str:
    """Why a method that takes tasks with one output each cannot take this data.

    >>> from mtl_nt import load
    >>> no_classes(load("dial"))
    'takes tasks with one output each'
    """
    of_classes = "".join(f", and {task!r} has classes" for task in [*run.classes][:1])
    return f"takes tasks with one output each{of_classes}"


def label_counts(run: TaskData) -> Float[Tensor, " T"]:
    """N_t: number of training labels of every task; of an exclusive class, of its own rows."""
    train = run.y[run.split.train]
    return ((train == 1) if run.exclusive else ~train.isnan()).sum(0).double()


def _parameter_groups(network: Network, weighter: Weighter, recipe: Recipe) -> list[ParameterGroup]:
    """What Adam trains, with learning rates and weight decays."""
    learning_rate, weight_decay = recipe.learning_rate, recipe.weight_decay
    trunk, head = list(network.trunk.parameters()), list(network.head.parameters())
    decoder = [] if network.decoder is None else list(network.decoder.parameters())
    if recipe.decay == "all":
        trunk, head = [*trunk, *head], []
    weighter_rate = learning_rate if weighter.learning_rate is None else weighter.learning_rate
    return [
        ParameterGroup(trunk, learning_rate, weight_decay),
        ParameterGroup([*head, *decoder], learning_rate),
        ParameterGroup(list(weighter.parameters()), weighter_rate),
    ]


def _learning_rate_factor(schedule: str, done: float) -> float:
    """What the schedule multiplies the learning rate by, when this share of the steps is done."""
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 0.1 if schedule == "drop" and done >= 0.5 else 1.0
