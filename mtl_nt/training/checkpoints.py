"""The checkpoint: the moment of a training whose test predictions count."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..networks import Network, RandomStreams, task_losses
from ..tasks import TaskData
from ..weighters import Weighter
from .batches import Replicas
from .combined_table import CombinedTable
from .given import checked
from .metrics import primary_score, primary_scores
from .spreads import has_several_metrics, in_spreads

Checkpoint = Literal["last", "best_mean", "best_per_task"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("last", "best_mean", "best_per_task")
ROWS_AT_ONCE = 512  # of a forward pass without gradients
NUMBERS_AT_ONCE, LEAST_AT_ONCE = 2**26, 16  # features of these rows, and rows at least
OUTPUTS_AT_ONCE = 2**22  # of several heads, whose losses are tables of their size, ten or so


class CheckpointKeeper:
    """Evaluates the networks on the validation rows, and keeps the checkpoint's test predictions.

    Predictions and scores have one column for each pair of a network and a task that the network is
    scored on. Columns follow the order of `replicas.scored`. In predictions, a task of classes has
    one column for each class.

    Args:
        score_validation: score the validation rows at the end even if the checkpoint does not need
            it.
        complete_groups: whether all networks of every group are here. If not, "best_mean" cannot be
            settled before the groups are put together, so the predictions of every evaluation are
            kept. They are kept, too, until the end of a training with several metrics, whose
            spreads nobody knows before (see `spreads`).
    """

    def __init__(
        self,
        table: CombinedTable,
        replicas: Replicas,
        weighter: Weighter,
        checkpoint: Checkpoint,
        score_validation: bool = False,
        complete_groups: bool = True,
    ) -> None:
        self.table, self.checkpoint, self.score_validation = table, checkpoint, score_validation
        self.weighter, self.exclusive = weighter, table.runs[0].exclusive
        self.seeds = replicas.seed.tolist()
        self.several = checkpoint == "best_mean" and has_several_metrics(table.runs[0])
        self.complete = complete_groups
        self.keep_all = self.several or (checkpoint == "best_mean" and not complete_groups)
        self.data = replicas.data.to(table.columns.device)
        self.same_data = bool((replicas.data == replicas.data[0]).all())
        self.replica, self.task = replicas.scored.nonzero(as_tuple=True)
        self.group = replicas.group[self.replica]
        # Of each column of predictions: its network, its head, and the number of its pair.
        self.network, self.head, self.pair = self.replica, self.task, torch.arange(len(self.task))
        if table.only_task is not None:
            self.head = torch.zeros_like(self.task)
        if table.classes is not None:
            task = table.classes.task.cpu()
            self.network, self.head = replicas.scored[:, task].nonzero(as_tuple=True)
            number = replicas.scored.flatten().cumsum(0).view(replicas.scored.shape) - 1
            self.pair = number[self.network, task[self.head]]
        self.best = torch.full((len(self.replica),), -math.inf, dtype=torch.float64)
        self.truth = [_Truth.of_run(run) for run in table.runs]
        self.kept: list[Tensor] = []
        self.scores: list[Tensor] = []
        self.validation_losses: list[Tensor] = []
        self.finite = torch.ones(len(replicas), dtype=torch.bool, device=table.columns.device)

    @property
    def outputs(self) -> Float[Tensor, "L C N"]:
        """Test predictions of every column, at the checkpoint or at every evaluation."""
        kept = torch.stack(self.kept)
        if not self.several or not self.complete or len(kept) == 1:
            return kept
        scores = mean_scores(torch.stack(self.scores), self.group, self.several)
        best = best_evaluations(scores)
        return kept[best[self.pair], torch.arange(kept.shape[1])].unsqueeze(0)

    @torch.no_grad()
    def evaluate(self, network: Network, last: bool) -> None:
        """Score the networks as they are now, and keep their test predictions where they are best.

        Args:
            last: whether the training is over.
        """
        network.eval()
        better = torch.ones_like(self.best, dtype=torch.bool)
        if self.table.has_validation:
            outputs = self._predict(network, "validation")
            self.validation_losses.append(self._losses(outputs))
            if self.checkpoint != "last" or (self.score_validation and last):
                self.scores.append(self._scores(outputs))
                better = self._improved(self.scores[-1])
        if (last or self.checkpoint != "last") and (self.keep_all or better.any()):
            outputs = self._predict(network, "test")
            self.finite &= outputs.isfinite().all((1, 2))
            new = outputs[self.network, :, self.head].cpu()
            if self.keep_all or not self.kept:
                self.kept.append(new)
            else:
                self.kept = [torch.where(better[self.pair].unsqueeze(1), new, self.kept[0])]
        network.train()

    def _predict(self, network: Network, part: Literal["validation", "test"]) -> Tensor:
        outputs = []
        most = NUMBERS_AT_ONCE // max(1, len(self.data) * self.table.features)
        rows_at_once = max(LEAST_AT_ONCE, min(ROWS_AT_ONCE, most))
        numbers = self.table.part(part, self.data)
        valid = torch.ones_like(numbers, dtype=torch.bool)
        if self.same_data and self.table.bits is None:  # one copy of what all networks read
            numbers = numbers[:1]
        for some_numbers in numbers.split(rows_at_once, 1):
            x = self.table.inputs(some_numbers)
            if isinstance(x, Tensor):
                x = x.expand(len(self.data), -1, -1)
            outputs.append(network(x, valid[:, : some_numbers.shape[1]])[1])
        raw = torch.cat(outputs, 1)
        given = self.weighter.predict(raw, self.table.binary_output, lambda: self._draw(raw))
        return checked(self.weighter, "predict", given, raw)

    def _draw(self, like: Float[Tensor, "R N O"]) -> Float[Tensor, "R N O"]:
        """Random numbers that turn outputs into samples of classes.

        With noise of Gumbel's distribution, an arg-max is a sample of the softmax. With noise of
        the logistic distribution, a sign is a sample of the sigmoid.
        """
        # The streams are new, so that every evaluation of a network gives the same.
        noise = RandomStreams(self.seeds, "prediction", self.table.columns)
        uniform = noise.uniform(*like.shape[1:]).clamp(1e-7, 1 - 1e-7)
        return -(-uniform.log()).log() if self.exclusive else uniform.logit()

    def _losses(self, outputs: Float[Tensor, "R N O"]) -> Float[Tensor, "R T"]:
        """Losses on the validation rows; NaN where a task has no label there."""
        numbers = self.table.part("validation", self.data)
        replicas_at_once = len(outputs)
        if self.table.only_task is None:
            replicas_at_once = max(1, OUTPUTS_AT_ONCE // outputs[0].numel())
        losses = []
        parts = (outputs.split(replicas_at_once), numbers.split(replicas_at_once))
        for some_outputs, some_numbers in zip(*parts, strict=True):
            y, label_mask = self.table.targets(some_numbers)
            rows = (some_numbers < self.table.begin[-1]).sum(1, keepdim=True).to(some_outputs)
            found = task_losses(
                some_outputs,
                y,
                label_mask,
                self.table.binary,
                rows,
                classes=self.table.classes,
                weighted=self.table.weighted[1],
            )
            losses.append(torch.where(found.labelled, found.losses, math.nan))
        return torch.cat(losses)

    def _scores(self, outputs: Float[Tensor, "R N O"]) -> Float[Tensor, " C"]:
        """Validation score of every column, higher is better; NaN where none is defined."""
        predicted = outputs.cpu().double().numpy()
        run, task = self.data.cpu()[self.replica].numpy(), self.task.numpy()
        first = np.unique(self.pair.numpy(), return_index=True)[1]  # column of each pair
        scores = np.full(len(task), math.nan)
        for number, own in enumerate(self.truth):
            kind_of_pair = np.where(run == number, own.kinds[task], "")
            for kind in ("binary", "regression"):
                pairs = np.flatnonzero(kind_of_pair == kind)
                replica, head = self.replica.numpy()[pairs], self.head.numpy()[first[pairs]]
                guess = predicted[replica, : own.y.shape[1], head] / own.unit[task[pairs], None]
                truth, weight = own.of(task[pairs])
                scores[pairs] = primary_scores(kind, truth, guess, weight)
            for pair in np.flatnonzero(kind_of_pair == "classes"):
                heads = self.head.numpy()[self.pair.numpy() == pair]
                guess = predicted[int(self.replica[pair]), : own.y.shape[1]][:, heads]
                weight = None if own.weight is None else own.weight[task[pair]]
                scores[pair] = primary_score("classes", own.y[task[pair]], guess, weight)
        return torch.from_numpy(scores)

    def _improved(self, scores: Float[Tensor, " C"]) -> Bool[Tensor, " C"]:
        """Columns whose networks are better than ever; `best` follows."""
        if self.checkpoint == "best_mean" and not self.several:  # else all evaluations are kept
            scores = group_means(scores, self.group)[self.group]
        better = scores > self.best
        better |= self.best.isinf()  # at the first evaluation, and for tasks without a score
        self.best = torch.where(scores > self.best, scores, self.best)
        return better


class _Truth(NamedTuple):
    """The validation rows of a run, with one row for each task."""

    kinds: np.ndarray  # [T]
    y: Float[np.ndarray, "T N"]  # as trained on
    unit: Float[np.ndarray, " T"]  # in which outputs are counted
    weight: Float[np.ndarray, "T N"] | None  # of each label

    @classmethod
    def of_run(cls, run: TaskData) -> _Truth:
        rows = run.split.validation
        y = run.targets[rows].double().T.contiguous().numpy()
        unit = np.ones(len(run.tasks)) if run.standardise else run.scale[1].numpy()
        weights = None if run.weights is None else run.weights[rows].double().T.numpy()
        return cls(np.array(run.kinds), y, unit, weights)

    def of(self, tasks: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels of these tasks in their unit, and their weights."""
        weight = None if self.weight is None else self.weight[tasks]
        return self.y[tasks] / self.unit[tasks, None], weight


def mean_scores(
    scores: Float[Tensor, "E C"], group: Int[Tensor, " C"], several: bool
) -> Float[Tensor, "E C"]:
    """The mean score of every column's group, for each evaluation: what "best_mean" compares.

    Args:
        scores: one score per column, NaN where a column has none.
        group: the group of every column.
        several: whether the columns have several metrics. Then each column's scores are divided by
            their spread over the evaluations (see `spreads.in_spreads`).

    >>> scores = torch.tensor([[0.2, -900.0], [0.9, -901.0], [0.1, -901.0]])
    >>> [int(mean_scores(scores, torch.tensor([0, 0]), s)[:, 0].argmax()) for s in (False, True)]
    [0, 1]
    """
    return group_means(in_spreads(scores) if several else scores, group)[:, group]


def best_evaluations(compared: Float[Tensor, "E C"]) -> Int[Tensor, " C"]:
    """The first of the best evaluations of every column, or the last one where none has a score.

    >>> best_evaluations(torch.tensor([[0.1, torch.nan], [0.3, torch.nan], [0.3, torch.nan]]))
    tensor([1, 2])
    """
    compared = compared.nan_to_num(nan=-math.inf)
    best = torch.from_numpy(compared.numpy().argmax(0))
    best[compared.isinf().all(0)] = len(compared) - 1
    return best


def group_means(scores: Float[Tensor, "*L C"], group: Int[Tensor, " C"]) -> Float[Tensor, "*L G"]:
    """The mean score of every group, over its columns that have a score; NaN where none has.

    Args:
        scores: one score per column, NaN where a column has none.
        group: the group of every column.

    >>> group_means(torch.tensor([1.0, 3.0, torch.nan, 5.0]), torch.tensor([0, 0, 1, 1]))
    tensor([2., 5.])
    """
    shape = (*scores.shape[:-1], int(group.max()) + 1)
    scored = ~scores.isnan()
    total = scores.new_zeros(shape).index_add_(-1, group, scores.nan_to_num(neginf=-math.inf))
    return total / scores.new_zeros(shape).index_add_(-1, group, scored.to(scores.dtype))
