"""One loop for every method: `fit` trains all replicas of a weight matrix side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .losses import Over, task_losses
from .metrics import primary_scores
from .models import ACTIVATIONS, PRESETS, Network
from .streams import Noise, generator
from .tasks import BadInput, TaskData, is_number, is_whole, nearest
from .weighters import Step, Weighter

Checkpoint = Literal["last", "best_mean", "best_per_task"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("last", "best_mean", "best_per_task")
EVALUATIONS = 20  # looks at the validation rows per training
WINDOWS = 200  # points of a history, unless every step is asked for
ROWS_AT_ONCE = 512  # of a forward pass without gradients


class Stopped(Exception):
    """Training was asked to stop; nothing of it is kept."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training. `steps` is the budget: optimiser steps a network.

    Raises:
        BadInput: a setting outside its range, in one line.
    """

    trunk: tuple[int, ...] = (64, 32)
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    loss_over: Over = "labelled"

    def __post_init__(self) -> None:
        if not self.trunk or not all(is_whole(width, 1) for width in self.trunk):
            raise BadInput(f"trunk {self.trunk}: give at least one hidden width of 1 or more")
        if self.activation not in ACTIVATIONS:
            hint = nearest(self.activation, ACTIVATIONS)
            raise BadInput(f"unknown activation {self.activation!r}; {hint}")
        for name in ("steps", "batch_size"):
            if not is_whole(getattr(self, name), 1):
                raise BadInput(f"{name} {getattr(self, name)!r}: must be a whole number, 1 or more")
        if not is_number(self.learning_rate) or not self.learning_rate > 0:
            raise BadInput(f"learning_rate {self.learning_rate!r}: must be a number above 0")
        if not is_number(self.weight_decay) or not self.weight_decay >= 0:
            raise BadInput(f"weight_decay {self.weight_decay!r}: must be a number, 0 or more")
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise BadInput(f"dropout {self.dropout!r}: must be in [0, 1)")
        if self.batch_norm not in (True, False):
            raise BadInput(f"batch_norm {self.batch_norm!r}: True or False")
        if self.schedule not in ("cosine", "constant"):
            raise BadInput(f"schedule {self.schedule!r}: 'cosine' or 'constant'")
        if self.loss_over not in get_args(Over):
            raise BadInput(f"loss_over {self.loss_over!r}: 'labelled' or 'all'")

    @classmethod
    def of(cls, data: TaskData, **given: Any) -> Recipe:
        """The data's own recipe, with what is given (and not None) in its place."""
        known = [f.name for f in fields(cls)]
        settings = {**data.recipe, **{k: v for k, v in given.items() if v is not None}}
        for name in settings:
            if name not in known:
                raise BadInput(f"unknown training setting {name!r}; {nearest(name, known)}")
        if isinstance(settings.get("trunk"), str):
            name = settings["trunk"]
            if name not in PRESETS:
                raise BadInput(f"unknown trunk {name!r}; {nearest(name, PRESETS)}")
            settings["trunk"] = PRESETS[name]
        widths = settings.get("trunk", ())
        if not isinstance(widths, Sequence):
            raise BadInput(f"trunk {widths!r}: give hidden widths, or one of {', '.join(PRESETS)}")
        if "trunk" in settings:
            settings["trunk"] = tuple(widths)
        return cls(**settings)


@dataclass(frozen=True)
class Replicas:
    """Who trains: one row a network.

    `group` numbers the networks that stand for one run of one method (STL: its T networks);
    in a group every task is `scored` on exactly one network.
    """

    data: Int[Tensor, " R"]  # which of the runs' data
    seed: Int[Tensor, " R"]  # of initialisation, batches, dropout
    trained: Bool[Tensor, "R T"]  # tasks whose loss counts
    scored: Bool[Tensor, "R T"]  # tasks that this network predicts
    group: Int[Tensor, " R"]
    focus: Int[Tensor, " R"]  # batches without a label of this task are skipped; -1: none are

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class History:
    """What happened, in windows of `window` steps. NaN where a task had no label in a window."""

    window: int
    losses: Float[Tensor, "P R T"]  # mean training loss
    weights: Float[Tensor, "P R T"]  # mean weight, where labelled
    validation: Float[Tensor, "E R T"]  # loss on the validation rows; E = 0 without any
    diverged: Bool[Tensor, " R"]  # a loss or a prediction was not finite


class Fit(NamedTuple):
    """Predictions `[G, N_test, T]` (logits, or targets as trained on) at the checkpoint."""

    predictions: Float[Tensor, "G N T"]
    history: History
    network: Network  # at the last step


def fit(
    runs: Sequence[TaskData],
    replicas: Replicas,
    weighter: Weighter,
    recipe: Recipe,
    *,
    trunk_from: Network | None = None,
    checkpoint: Checkpoint = "last",
    record: int | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
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
        progress: called with the number of steps done since the last call.
        stop: asked at every step; True ends the training with `Stopped`.

    Raises:
        BadInput: a checkpoint rule that needs validation rows where there are none.
        Stopped: `stop` said so.
    """
    table = _Table(runs, device, dtype)
    if checkpoint not in CHECKPOINTS:
        raise BadInput(f"unknown checkpoint {checkpoint!r}; {nearest(checkpoint, CHECKPOINTS)}")
    if checkpoint != "last" and not table.has_validation:
        raise BadInput(f"checkpoint {checkpoint!r} needs validation rows; use 'last'")
    seeds = replicas.seed.tolist()
    network = Network(
        seeds,
        table.x.shape[2],
        len(table.binary),
        recipe.trunk,
        recipe.activation,
        recipe.dropout,
        recipe.batch_norm,
    ).to(device, dtype)
    if trunk_from is not None:
        network.trunk.load_state_dict(trunk_from.trunk.state_dict())
    trained = replicas.trained.to(device)
    weighter.to(device)
    weighter.reset(torch.zeros(trained.shape, device=device, dtype=dtype))
    groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
    if own := list(weighter.parameters()):
        groups.append({"params": own, "lr": weighter.learning_rate, "weight_decay": 0.0})
    adam = torch.optim.Adam(
        groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    rates = [group["lr"] for group in adam.param_groups]
    dropout, noise = Noise(seeds, "dropout", table.x), Noise(seeds, "weighter", table.x)
    batches = Batches(runs, replicas, recipe.batch_size, at_least=2 if recipe.batch_norm else 1)
    batches.to(device)
    recorder = _Recorder(record or math.ceil(recipe.steps / WINDOWS), trained)
    keeper = _Keeper(table, replicas, checkpoint)
    looks = {round(recipe.steps * (i + 1) / EVALUATIONS) for i in range(EVALUATIONS)}

    for number, batch in enumerate(batches.steps(recipe.steps)):
        if stop is not None and stop():
            raise Stopped
        factor = _factor(recipe.schedule, number / recipe.steps)
        for group, rate in zip(adam.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        x, y, present, valid = table.batch(batch, batches)
        labelled = present & trained.unsqueeze(1)
        passed, outputs = network(x, valid, dropout)
        rows = valid.sum(1, keepdim=True).to(dtype)
        losses, errors = task_losses(outputs, y, labelled, table.binary, rows, recipe.loss_over)
        step = Step(
            losses=losses,
            labelled=labelled.any(1),
            first_batch=batch.first.to(device)[batches.stream],
            epoch=batch.epoch.to(device)[batches.stream],
            outputs=outputs.detach(),
            errors=errors,
            head=network.head.weight,
            passed=passed,
            binary=table.binary,
            noise=noise,
        )
        weights = torch.where(step.labelled, weighter.weights(step), 0.0)  # (R, T): W
        objective = (weights * losses).sum() + weighter.penalty(step).sum()
        weighter.after(step, weights.detach())
        adam.zero_grad(set_to_none=True)
        objective.backward()
        adam.step()
        recorder.add(step.labelled, losses.detach(), weights.detach())
        if number + 1 in looks or number + 1 == recipe.steps:
            keeper.look(network, last=number + 1 == recipe.steps)
        if progress is not None:
            progress(1)
    return Fit(keeper.predictions, recorder.history(keeper), network)


def _factor(schedule: str, done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1.0


class Batch(NamedTuple):
    """One batch of every stream; streams are shared by replicas with the same seed and rows."""

    rows: Int[Tensor, "Q B"]  # row numbers of the run's table
    valid: Bool[Tensor, "Q B"]  # False where a ragged batch is filled up
    first: Bool[Tensor, " Q"]  # of its epoch
    epoch: Int[Tensor, " Q"]


class Batches:
    """Every network's batches: each epoch is one pass, in random order, over the training rows
    that are labelled for a task it trains on. The last batch of an epoch may be ragged.
    """

    def __init__(
        self, runs: Sequence[TaskData], replicas: Replicas, batch_size: int, at_least: int = 1
    ) -> None:
        self.batch_size, self.at_least = batch_size, at_least
        self._pools: list[tuple[np.ndarray, np.ndarray | None]] = []
        self._seeds: list[int] = []
        data: list[int] = []
        stream, known = [], {}
        labelled = [run.labelled.numpy() for run in runs]
        for r in range(len(replicas)):
            d, seed = int(replicas.data[r]), int(replicas.seed[r])
            focus, tasks = int(replicas.focus[r]), replicas.trained[r].cpu().numpy()
            train = runs[d].split.train.numpy()
            pool = train[labelled[d][train][:, tasks].any(1)]
            wanted = None if focus < 0 else labelled[d][:, focus]
            if wanted is not None and wanted[pool].all():
                wanted = None
            key = (d, seed, pool.tobytes(), None if wanted is None else focus)
            if key not in known:
                if len(pool) < at_least or (wanted is not None and not wanted[pool].any()):
                    raise BadInput(
                        f"data set {runs[d].name!r}: {len(pool)} training rows for a network; "
                        f"it needs {at_least} or more"
                    )
                known[key] = len(data)
                data.append(d)
                self._seeds.append(seed)
                self._pools.append((pool, wanted))
            stream.append(known[key])
        self.stream = torch.tensor(stream)  # (R,) -> (Q,)
        self.data = torch.tensor(data)  # (Q,) -> run

    def to(self, device: str | torch.device) -> None:
        """Keep the stream numbers on this device."""
        self.stream, self.data = self.stream.to(device), self.data.to(device)

    def steps(self, count: int, block: int = 32) -> Iterator[Batch]:
        """The first `count` batches of every stream."""
        sources = [self._stream(q) for q in range(len(self._pools))]
        for start in range(0, count, block):
            shape = (min(block, count - start), len(sources), self.batch_size)
            rows, valid = np.zeros(shape, np.int64), np.zeros(shape, bool)
            first, epoch = np.zeros(shape[:2], bool), np.zeros(shape[:2], np.int64)
            for s in range(shape[0]):
                for q, source in enumerate(sources):
                    taken, first[s, q], epoch[s, q] = next(source)
                    rows[s, q, : len(taken)] = taken
                    valid[s, q, : len(taken)] = True
            for s in range(shape[0]):
                yield Batch(*(torch.from_numpy(a[s]) for a in (rows, valid, first, epoch)))

    def _stream(self, q: int) -> Iterator[tuple[np.ndarray, bool, int]]:
        pool, wanted = self._pools[q]
        random, epoch = generator(self._seeds[q], "batches"), 0
        while True:
            order, first = random.permutation(pool), True
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                if len(rows) < self.at_least or (wanted is not None and not wanted[rows].any()):
                    continue
                yield rows, first, epoch
                first = False
            epoch += not first


class _Table:
    """The runs' rows as stacked tensors `[D, N, ...]`, padded where runs differ in length."""

    def __init__(
        self, runs: Sequence[TaskData], device: str | torch.device, dtype: torch.dtype
    ) -> None:
        self.runs = runs
        n = max(len(run.x) for run in runs)

        def stacked(tables: list[Tensor], fill: float) -> Tensor:
            out = torch.full((len(runs), n, tables[0].shape[1]), fill, dtype=dtype)
            for d, rows in enumerate(tables):
                out[d, : len(rows)] = rows
            return out.to(device)

        self.x = stacked([run.x.flatten(1) for run in runs], 0.0)
        y = stacked([run.targets for run in runs], math.nan)
        self.labelled, self.y = ~y.isnan(), y.nan_to_num()
        self.binary = runs[0].binary.to(device)
        self.has_validation = all(len(run.split.validation) for run in runs)

    def batch(self, batch: Batch, batches: Batches) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x `[R, B, F]`, y and labelled `[R, B, T]`, valid `[R, B]` of one batch."""
        d, stream = batches.data[:, None], batches.stream
        rows = batch.rows.to(self.x.device)
        valid = batch.valid.to(self.x.device)
        parts = (self.x[d, rows], self.y[d, rows], self.labelled[d, rows] & valid[:, :, None])
        if len(stream) == len(d):  # streams are numbered in the order of the replicas
            return *parts, valid
        x, y, labelled = (part[stream] for part in parts)
        return x, y, labelled, valid[stream]

    def rows_of(self, part: Literal["validation", "test"]) -> Int[Tensor, "D rows"]:
        """Row numbers of a part of every run's split, padded with row 0."""
        rows = [getattr(run.split, part) for run in self.runs]
        padded = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
        for d, numbers in enumerate(rows):
            padded[d, : len(numbers)] = numbers
        return padded.to(self.x.device)


class _Recorder:
    """Sums of losses and weights over windows of steps."""

    def __init__(self, window: int, like: Tensor) -> None:
        self.window, self.steps = window, 0
        self.sums = [torch.zeros(like.shape, device=like.device) for _ in range(3)]
        self.points: list[tuple[Tensor, Tensor]] = []
        self.diverged = torch.zeros(len(like), dtype=torch.bool, device=like.device)

    def add(self, labelled: Tensor, losses: Tensor, weights: Tensor) -> None:
        for total, new in zip(self.sums, (labelled, losses, weights), strict=True):
            total += torch.where(labelled, new, 0.0)
        self.steps += 1
        if self.steps % self.window == 0:
            self.close()

    def close(self) -> None:
        count, loss, weight = self.sums
        self.diverged |= ~(loss.isfinite() & weight.isfinite()).all(1)
        self.points.append(((loss / count).cpu(), (weight / count).cpu()))  # 0 / 0: no label
        for total in self.sums:
            total.zero_()

    def history(self, keeper: _Keeper) -> History:
        if self.steps % self.window:
            self.close()
        return History(
            window=self.window,
            losses=torch.stack([loss for loss, _ in self.points]),
            weights=torch.stack([weight for _, weight in self.points]),
            validation=torch.stack(keeper.validation).cpu()
            if keeper.validation
            else torch.empty(0, *self.points[0][0].shape),
            diverged=(self.diverged | ~keeper.finite).cpu(),
        )


class _Keeper:
    """Looks at the validation rows, and keeps the test predictions of the checkpoint."""

    def __init__(self, table: _Table, replicas: Replicas, checkpoint: Checkpoint) -> None:
        self.table, self.checkpoint = table, checkpoint
        self.data = replicas.data.to(table.x.device)
        self.replica, self.task = replicas.scored.nonzero(as_tuple=True)
        self.group = replicas.group[self.replica]
        self.groups = int(replicas.group.max()) + 1
        self.run_of_group = {
            int(g): int(d) for g, d in zip(replicas.group, replicas.data, strict=True)
        }
        tasks = replicas.scored.shape[1]
        self.best = torch.full((self.groups, tasks), -math.inf, dtype=torch.float64)
        self.predictions = torch.zeros(0)
        self.validation: list[Tensor] = []
        self.finite = torch.ones(len(replicas), dtype=torch.bool, device=table.x.device)

    @torch.no_grad()
    def look(self, network: Network, last: bool) -> None:
        network.eval()
        better = torch.ones_like(self.best, dtype=torch.bool)
        if self.table.has_validation:
            outputs = self._predict(network, "validation")
            self.validation.append(self._validation_losses(outputs))
            if self.checkpoint != "last":
                better = self._improved(self._assembled(outputs))
        if (last or self.checkpoint != "last") and better.any():
            outputs = self._predict(network, "test")
            self.finite &= outputs.isfinite().all((1, 2))
            new = self._assembled(outputs).cpu()
            kept = self.predictions if len(self.predictions) else new
            self.predictions = torch.where(better.unsqueeze(1), new, kept)
        network.train()

    def _predict(self, network: Network, part: Literal["validation", "test"]) -> Tensor:
        rows = self.table.rows_of(part)
        outputs = []
        for start in range(0, rows.shape[1], ROWS_AT_ONCE):
            x = self.table.x[self.data[:, None], rows[self.data, start : start + ROWS_AT_ONCE]]
            outputs.append(network(x, x.new_ones(x.shape[:2], dtype=torch.bool))[1])
        return torch.cat(outputs, 1)

    def _assembled(self, outputs: Float[Tensor, "R N T"]) -> Float[Tensor, "G N T"]:
        """Every task's column from the network of its group that it is scored on."""
        out = outputs.new_zeros(self.groups, *outputs.shape[1:])
        out[self.group, :, self.task] = outputs[self.replica, :, self.task]
        return out

    def _validation_losses(self, outputs: Float[Tensor, "R N T"]) -> Float[Tensor, "R T"]:
        rows = self.table.rows_of("validation")[self.data]
        y = self.table.y[self.data[:, None], rows]
        labelled = self.table.labelled[self.data[:, None], rows]
        length = torch.tensor([len(run.split.validation) for run in self.table.runs])
        real = torch.arange(rows.shape[1]) < length[self.data.cpu()][:, None]
        labelled = labelled & real.to(labelled.device).unsqueeze(2)
        count = real.sum(1, keepdim=True).to(outputs)
        losses = task_losses(outputs, y, labelled, self.table.binary, count).losses
        return torch.where(labelled.any(1), losses, math.nan)

    def _improved(self, outputs: Float[Tensor, "G N T"]) -> Bool[Tensor, "G T"]:
        scores = torch.stack(
            [
                primary_scores(self.table.runs[self.run_of_group[g]], "validation", outputs[g])
                for g in range(self.groups)
            ]
        )
        if self.checkpoint == "best_mean":
            scores = scores.nanmean(1, keepdim=True).expand_as(scores)
        better = scores > self.best
        better |= self.best.isinf()  # the first look, and tasks without a score
        self.best = torch.where(scores > self.best, scores, self.best)
        return better
