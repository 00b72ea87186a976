"""One loop for every method: `fit` trains all replicas of a weight matrix side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .adam import Adam, Group
from .batches import Batches, Replicas, Table
from .bits import Features
from .losses import task_losses
from .models import Network, size
from .recipe import Recipe
from .records import CHECKPOINTS, Checkpoint, History, Keeper, Recorder
from .streams import Noise
from .tasks import BadInput, TaskData, nearest
from .weighters import Step, Uniform, Weighter

Precision = Literal["full", "bf16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
EVALUATIONS = 20  # looks at the validation rows per training
WINDOWS = 200  # points of a history, unless every step is asked for
SMALL = 1e8  # multiplications in a step's forward pass: some milliseconds of one core


class Stopped(Exception):
    """Training was asked to stop; nothing of it is kept."""


class Fit(NamedTuple):
    """Networks after training, and what they predict on the test rows.

    A column is a network and a task that it is scored on, in the order of `replicas.scored`.
    """

    outputs: Float[Tensor, "L C N"]  # logits, or targets as trained on; L > 1 while undecided
    scores: Float[Tensor, "E C"]  # on the validation rows at every look; E = 0 where not needed
    history: History
    network: Network  # at the last step
    replicas: Replicas

    @property
    def predictions(self) -> Float[Tensor, "G N T"]:
        """Every task's test predictions from the network of its group that it is scored on."""
        return assembled(self.outputs[-1], self.replicas)


def assembled(outputs: Float[Tensor, "C N"], replicas: Replicas) -> Float[Tensor, "G N T"]:
    """Columns in their places; 0 where no network of these is scored."""
    replica, task = replicas.scored.nonzero(as_tuple=True)
    groups = int(replicas.group.max()) + 1
    out = outputs.new_zeros(groups, outputs.shape[1], replicas.scored.shape[1])
    out[replicas.group[replica], :, task] = outputs
    return out


def fit(
    runs: Sequence[TaskData],
    replicas: Replicas,
    weighter: Weighter,
    recipe: Recipe,
    *,
    trunk_from: Network | None = None,
    checkpoint: Checkpoint = "last",
    record: int | None = None,
    judge: bool = False,
    whole: bool = True,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    precision: Precision = "full",
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Fit:
    """Train all replicas for `recipe.steps` steps each and predict the test rows.

    Args:
        runs: the data that `replicas.data` counts; all have the same tasks and features.
        trunk_from: networks whose trunks (batch-norm statistics included) are the start.
        checkpoint: "last"; "best_mean": per group, the step with the best mean validation score;
            "best_per_task": every task its own best step.
        record: window of the history in steps; by default a 200th of the training.
        judge: score the validation rows whatever the checkpoint.
        whole: every group's networks are all here (see `records.Keeper`).
        precision: "bf16" multiplies the layers' matrices in bfloat16 while training; weights, sums,
            losses and predictions stay what they are.
        progress: called with the number of steps done since the last call.
        stop: asked at every step; True ends the training with `Stopped`.

    Raises:
        BadInput: a checkpoint rule that needs validation rows where there are none; a loss or a
            weighter that does not suit the data or the networks.
        Stopped: `stop` said so.
    """
    own = _alone(replicas, weighter)
    table = Table(runs, device, dtype, own)
    if checkpoint not in CHECKPOINTS:
        raise BadInput(f"unknown checkpoint {checkpoint!r}; {nearest(checkpoint, CHECKPOINTS)}")
    if precision not in PRECISIONS:
        raise BadInput(f"unknown precision {precision!r}; {nearest(precision, PRECISIONS)}")
    if checkpoint != "last" and not table.has_validation:
        raise BadInput(f"checkpoint {checkpoint!r} needs validation rows; use 'last'")
    check_loss(recipe, runs[0], bool(replicas.trained.all()))
    weighter.check(recipe.dropout)
    seeds = replicas.seed.tolist()
    network = Network(seeds, table.features, table.tasks, recipe, weighter.decodes, own)
    network = network.to(device, dtype)
    if trunk_from is not None:
        network.trunk.load_state_dict(trunk_from.trunk.state_dict())
    trained = (
        replicas.trained.to(device)
        if own is None
        else torch.ones(len(replicas), 1, dtype=torch.bool, device=device)
    )
    all_trained = bool(trained.all())
    weighter.to(device)
    weighter.reset(torch.zeros(trained.shape, device=device, dtype=dtype))
    adam = Adam(_groups(network, weighter, recipe), fused=True)
    dropout, noise = Noise(seeds, "dropout", table.known), Noise(seeds, "weighter", table.known)
    batches = Batches(runs, replicas, recipe.batch_size, at_least=2 if recipe.batch_norm else 1)
    batches.to(device)
    recorder = Recorder(record or math.ceil(recipe.steps / WINDOWS), trained)
    keeper = Keeper(table, replicas, weighter, checkpoint, judge, whole)
    softmax = recipe.loss == "softmax"
    over = "all" if softmax else recipe.loss_over
    products = partial(
        torch.autocast, torch.device(device).type, torch.bfloat16, precision == "bf16"
    )
    support = torch.stack([labels_of(run) for run in runs])[replicas.data].to(device, dtype)
    support = support if table.own is None else support.take_along_dim(table.own, 1)
    looks = {round(recipe.steps * (i + 1) / EVALUATIONS) for i in range(EVALUATIONS)}

    for number, batch in enumerate(batches.steps(recipe.steps)):
        if stop is not None and stop():
            raise Stopped
        (x, y, labels), valid = table.batch(batch, batches)
        labels = labels if all_trained else labels * trained.unsqueeze(1)
        labels = labels * y if softmax else labels
        with products():
            passed, raw = network(x, valid, dropout)
        again = partial(_again, network, x, valid, dropout)
        outputs = weighter.read(raw, table.binary, valid, again)
        rows = valid.sum(1, keepdim=True).to(dtype)
        losses, errors, labelled = task_losses(
            outputs.detach(), y, labels, table.binary, rows, over
        )
        step = Step(
            losses=losses,
            labelled=labelled,
            first_batch=batch.first.to(device)[batches.stream],
            epoch=batch.epoch.to(device)[batches.stream],
            valid=valid,
            support=support,
            outputs=outputs.detach(),
            errors=errors,
            head=network.head.weight,
            passed=passed,
            raw=raw,
            decoder=network.decoder,
            binary=table.binary,
            noise=noise,
        )
        weights = torch.where(labelled, weighter.weights(step), 0.0)  # (R, T): W
        objective = (weights * losses).sum() + weighter.penalty(step).sum()
        weighter.after(step, weights.detach())
        adam.zero_grad()
        # d objective / d outputs is W * errors: the networks' backward pass starts there, by a sum
        # with that gradient, since roots with gradients of their own import torch's compiler. The
        # objective's own graph has the rest: the weighter's parameters, decoder, penalties.
        start = (weights.detach().unsqueeze(1) * errors * outputs).sum()
        torch.autograd.backward([start, objective] if objective.requires_grad else start)
        adam.step(_factor(recipe.schedule, number / recipe.steps))
        recorder.add(labelled, losses, weights.detach())
        if number + 1 in looks or number + 1 == recipe.steps:
            keeper.look(network, last=number + 1 == recipe.steps)
        if progress is not None:
            progress(1)
    columns = keeper.outputs.shape[1]
    scores = torch.stack(keeper.scores) if keeper.scores else torch.empty(0, columns).double()
    history = recorder.history(keeper)
    if own is not None:
        history = history.spread(own, table.tasks)
    return Fit(keeper.outputs, scores, history, network, replicas)


def _alone(replicas: Replicas, weighter: Weighter) -> Int[Tensor, " R"] | None:
    """The one task of each replica, where each has one alone and nothing weighs it: then neither
    the other heads nor their losses need to be there.
    """
    one = (replicas.trained.sum(1) == 1).all() and (replicas.trained == replicas.scored).all()
    return replicas.trained.int().argmax(1) if one and type(weighter) is Uniform else None


@contextmanager
def fitting_threads(run: TaskData, replicas: Replicas, recipe: Recipe) -> Iterator[None]:
    """One thread for small stacks, while they train: on a busy machine, threads that wait for each
    other at every small operation cost far more than they save.
    """
    one = size(math.prod(run.x.shape[1:]), len(run.tasks), recipe)
    before = torch.get_num_threads()
    if len(replicas) * recipe.batch_size * one.multiplications < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _again(network: Network, x: Features, valid: Tensor, dropout: Noise) -> Tensor:
    """Another forward pass of the same batch, with other dropout."""
    outputs: Tensor = network(x, valid, dropout)[1]
    return outputs


def check_loss(recipe: Recipe, run: TaskData, together: bool) -> None:
    """Raise `BadInput` where the recipe's loss does not suit the tasks.

    Args:
        together: every network trains on all tasks.
    """
    if recipe.loss == "softmax" and not (together and run.exclusive and len(run.tasks) > 1):
        raise BadInput(
            f"data set {run.name!r}: the loss 'softmax' is one network's, over two or more tasks "
            "that are exclusive classes; use the loss 'each'"
        )


def labels_of(run: TaskData) -> Float[Tensor, " T"]:
    """N_t: training labels of every task; where tasks are exclusive classes, the class's rows."""
    train = run.y[run.split.train]
    return ((train == 1) if run.exclusive else ~train.isnan()).sum(0).double()


def _groups(network: Network, weighter: Weighter, recipe: Recipe) -> list[Group]:
    """What Adam trains, with its learning rate and decay."""
    rate, decay = recipe.learning_rate, recipe.weight_decay
    trunk, head = list(network.trunk.parameters()), list(network.head.parameters())
    decoder = [] if network.decoder is None else list(network.decoder.parameters())
    if recipe.decay == "all":
        trunk, head = [*trunk, *head], []
    own = weighter.learning_rate
    return [
        Group(trunk, rate, decay),
        Group([*head, *decoder], rate),
        Group(list(weighter.parameters()), rate if own is None else own),
    ]


def _factor(schedule: str, done: float) -> float:
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 0.1 if schedule == "drop" and done >= 0.5 else 1.0
