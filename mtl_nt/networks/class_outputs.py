"""The outputs of tasks with several classes, among all outputs of a network.

A binary task and a regression have one output each. A task of C classes has C, and its class
probabilities are their softmax. Without such a task, outputs and tasks are the same, and nothing of
this is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ClassOutputs:
    """Which outputs belong to which task, where K of the T tasks have classes.

    Attributes:
        task: the number of the task of each of the `O` outputs.
        plain: the numbers of the other tasks, which have one output each.
        plain_place: the output of each of these.
        number: the numbers of the tasks with classes.
        place: the outputs of each of these, filled up to the largest number of classes.
        there: where `place` is an output of the task, and no filling.

    A binary task and one of three classes:

    >>> outputs = ClassOutputs.of_tasks((1, 3))
    >>> outputs.task, outputs.place
    (tensor([0, 1, 1, 1]), tensor([[1, 2, 3]]))
    >>> outputs.spread(torch.tensor([[0.5, 2.0]]))  # of each task
    tensor([[0.5000, 2.0000, 2.0000, 2.0000]])
    """

    task: Int[Tensor, " O"]
    plain: Int[Tensor, " P"]
    plain_place: Int[Tensor, " P"]
    number: Int[Tensor, " K"]
    place: Int[Tensor, "K C"]
    there: Bool[Tensor, "K C"]

    @classmethod
    def of_tasks(cls, outputs_per_task: Sequence[int]) -> ClassOutputs | None:
        """The outputs of tasks with so many each; None where each task has one."""
        counts = torch.tensor([*outputs_per_task])
        if bool((counts == 1).all()):
            return None
        number, plain = (which.nonzero().flatten() for which in (counts > 1, counts == 1))
        column = torch.arange(int(counts.max())).expand(len(number), -1)
        there = column < counts[number].unsqueeze(1)
        start = counts.cumsum(0) - counts
        first = start[number].unsqueeze(1)
        place = torch.where(there, first + column, first)
        task = torch.arange(len(counts)).repeat_interleave(counts)
        return cls(task, plain, start[plain], number, place, there)

    def to(self, device: str | torch.device) -> ClassOutputs:
        """The same on a device."""
        return ClassOutputs(*(getattr(self, part.name).to(device) for part in fields(self)))

    def spread(self, by_task: Shaped[Tensor, "*any T"]) -> Shaped[Tensor, "*any O"]:
        """What each task has, for each of its outputs."""
        return by_task[..., self.task]

    def gathered(self, by_output: Float[Tensor, "R O *any"]) -> Float[Tensor, "R T *any"]:
        """The sum over the outputs of each task."""
        tasks = len(self.plain) + len(self.number)
        total = by_output.new_zeros(len(by_output), tasks, *by_output.shape[2:])
        return total.index_add(1, self.task, by_output)

    @property
    def of_classes(self) -> Bool[Tensor, " T"]:
        """Which tasks have classes."""
        tasks = len(self.plain) + len(self.number)
        found = torch.zeros(tasks, dtype=torch.bool, device=self.number.device)
        found[self.number] = True
        return found

    def log_probabilities(self, outputs: Float[Tensor, "*any O"]) -> Float[Tensor, "*any K C"]:
        """The logarithm of the probability of every class; minus infinity for filling."""
        own = outputs[..., self.place].masked_fill(~self.there, -torch.inf)
        return own.log_softmax(-1)
