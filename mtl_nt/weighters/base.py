"""What a weighter is: `Step`, which it may look at, and `Weighter`, which it must be.

R networks (replicas) train side by side, and each has T tasks. The objective of a step is

    (W * L).sum() + penalty.sum()

with the losses L `[R, T]` and the weights W `[R, T]` that the weighter gives. A weight counts only
where the task has a label in the batch.

The contract of a weighter:

- **What may be looked at.** `weights`, `penalty` and `after` see one `Step`: this batch, before the
  networks move. Rows of validation and test are not in it. Random numbers come from `step.noise`,
  so that a replica draws the same ones whichever replicas train beside it; `torch.rand` would not.
- **What must not leak between replicas.** Row r of W depends on row r of the step alone. Every sum,
  mean or norm runs over the axis of tasks (`dim=1`), never over the axis of replicas. So a network
  gets the same weights alone as in a stack of a hundred.
- **Where state lives.** `reset(like)` makes all state, with an axis of replicas, and is called
  before each training. An alpha may be a column `[R, 1]` of values. What is learned with the
  network is an `nn.Parameter`, and `learning_rate` says how fast (by default, as fast as the
  network); all other state is plain tensors, which `after` updates.

- **Weights are 0 or more.** The network climbs the loss of a task whose weight is below 0. No
  method of the papers does so, and a slip of a sign does. A weighter that means it says
  `may_be_negative = True`.

`compare` checks all of it for any weighter that is not the package's own: on a few made rows before
it trains, and while it trains by weighing one network a second time, as if it trained alone. It
looks for negative weights once more when a training has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..errors import BadInput
from ..networks import (
    ClassOutputs,
    Decoder,
    ForwardPass,
    RandomStreams,
    trunk_gradient_norms,
    trunk_gramian,
)


@dataclass
class Step:
    """What a weighter may look at: one batch of every replica, before the networks move.

    A weighter of your own can be tried on a stand-in that has the fields it reads:

    >>> from types import SimpleNamespace
    >>> from mtl_nt import Uniform
    >>> Uniform().weights(SimpleNamespace(losses=torch.tensor([[0.3, 0.7]])))
    tensor([[1., 1.]])
    """

    losses: Float[Tensor, "R T"]  # mean over labelled rows, 0 without any; without graph
    labelled: Bool[Tensor, "R T"]  # the replica trains on the task and the batch has a label
    first_batch: Bool[Tensor, " R"]  # of an epoch of the replica's own rows
    epoch: Int[Tensor, " R"]
    valid: Bool[Tensor, "R B"]  # False where a ragged batch is filled up
    support: Float[Tensor, "R T"]  # N_t: training labels; of exclusive tasks, of the task's class
    outputs: Float[Tensor, "R B O"]  # that the losses are of, without graph
    errors: Float[Tensor, "R B O"]  # dL_t / d output
    head: Float[Tensor, "R H O"]  # the heads' weights
    forward_pass: ForwardPass
    raw: Float[Tensor, "R B O"]  # the network's outputs, with graph
    decoder: Decoder | None
    binary: Bool[Tensor, "*any T"]
    noise: RandomStreams
    classes: ClassOutputs | None = None  # which outputs are whose; None: each task has one

    @property
    def classification(self) -> Bool[Tensor, "*any T"]:
        """Which tasks are binary or have classes; the others are regressions."""
        return self.binary if self.classes is None else self.binary | self.classes.of_classes

    @property
    def features(self) -> Float[Tensor, "R B H"]:
        """The shared features that the heads read, without graph."""
        return self.forward_pass.features.detach()

    @cached_property
    def head_gradients(self) -> Float[Tensor, "R T H"]:
        """Gradient of every task's loss at its own head's weights: errors^T features.

        A task of classes has a head for each class, whose gradients are of another shape.

        Raises:
            BadInput: there are tasks of classes; or see `ForwardPass.check_heads`.
        """
        self.forward_pass.check_heads()
        if self.classes is not None:
            raise BadInput(
                "head_gradients: a task of classes has a head for each class; use "
                "trunk_gradient_norms or trunk_gramian"
            )
        return torch.bmm(self.errors.transpose(1, 2), self.features)

    @cached_property
    def trunk_gradient_norms(self) -> Float[Tensor, "R T"]:
        """Norm of every task's gradient at the last shared layer's weight matrix, exactly."""
        head = self.head.detach()
        return trunk_gradient_norms(self.errors, head, self.forward_pass, self.classes)

    @cached_property
    def trunk_gramian(self) -> Float[Tensor, "R T T"]:
        """Inner products of the tasks' gradients at the last shared layer's weight matrix.

        They are exact where the layer has few inputs and heads. Else its inputs are projected to 32
        dimensions, which `noise` draws anew in every step (see `networks.trunk_gramian`).
        """
        head = self.head.detach()
        return trunk_gramian(self.errors, head, self.forward_pass, self.noise, self.classes)

    @cached_property
    def offered(self) -> Float[Tensor, "R T"]:
        """|a_t|_1 of the decoder's rows, with graph."""
        assert self.decoder is not None, "a weighter with `decodes` has a decoder"
        return self.decoder.weight.abs().sum(2)

    @cached_property
    def reconstruction(self) -> Float[Tensor, " R"]:
        """mean over the batch of |h - relu(o A + b)|^2, with graph to all of the network."""
        assert self.decoder is not None, "a weighter with `decodes` has a decoder"
        gap = self.decoder.reconstruction_error(self.forward_pass.features, self.raw)
        return torch.where(self.valid, gap, 0.0).sum(1) / self.valid.sum(1)


class Weighter(nn.Module):
    """The weights of every task in every replica. A subclass defines `weights`; the rest is
    optional.

    The training loop's Adam moves the weighter's own `nn.Parameter`s down the objective's gradient,
    with `learning_rate`; None, the default, takes the network's. With `decodes`, every network has
    a decoder (see `networks.Decoder`), which is trained like the network but never decays.

    A network has one output for each task, and one for each class of a task of classes (see
    `Step.classes`). A weighter whose mathematics need one output for each task sets `takes_classes`
    to False; methods with it then refuse such tasks. A weighter whose weights may be below 0 sets
    `may_be_negative`; without it, such weights are refused.

    A weighter in full, which gives each task the inverse of its loss. The weights of the tasks that
    have a label in the batch are 1 on average:

    >>> class Inverse(Weighter):
    ...     def weights(self, step):
    ...         inverse = step.labelled / step.losses.clamp_min(1e-6)
    ...         return inverse * step.labelled.sum(1, keepdim=True) / inverse.sum(1, keepdim=True)
    >>> from types import SimpleNamespace
    >>> losses = torch.tensor([[0.2, 0.6, 0.0]])  # the third task has no label in this batch
    >>> Inverse().weights(SimpleNamespace(losses=losses, labelled=losses > 0))
    tensor([[1.5000, 0.5000, 0.0000]])
    """

    learning_rate: float | None = None
    decodes: bool = False
    passes: int = 1  # of every batch, whose activations are kept for the backward pass
    takes_classes: bool = True
    may_be_negative: bool = False  # True: a weight below 0 is meant, and raises the task's loss

    def __init__(self) -> None:
        super().__init__()

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        """Make all state anew, with the shape `[R, T]`, the precision and the device of `like`."""

    def check(self, dropout: float) -> None:
        """Raise `BadInput` for networks that this weighter cannot weigh.

        Args:
            dropout: of the networks, from 0 to 1.
        """

    def read(
        self,
        outputs: Float[Tensor, "R B O"],
        binary: Bool[Tensor, "*any O"],
        valid: Bool[Tensor, "R B"],
        again: Callable[[], Float[Tensor, "R B O"]],
    ) -> Float[Tensor, "R B O"]:
        """The outputs whose losses are taken. By default these are the networks' own; a weighter
        may change them, or mix in more passes of the same batch. They carry the graph.

        Args:
            binary: which outputs are of binary tasks.
            valid: False where a ragged batch is filled up.
            again: passes the batch through the networks once more, with other dropout.
        """
        return outputs

    def predict(
        self,
        outputs: Float[Tensor, "R N O"],
        binary: Bool[Tensor, "*any O"],
        draw: Callable[[], Float[Tensor, "R N O"]],
    ) -> Float[Tensor, "R N O"]:
        """The predictions that follow from the networks' outputs on rows of validation or test.

        Args:
            draw: gives random numbers. Added to log odds, they make the largest entry (or the sign)
                a sample of the class.
        """
        return outputs

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        """The weight of every task's loss in this step. It may carry a graph to the weighter's own
        parameters, or to the decoder's, and to no others: it must not train the network. The passes
        that `read` takes are an exception.
        """
        raise NotImplementedError

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        """The terms of the objective that multiply no task's loss, summed for each replica."""
        return step.losses.new_zeros(len(step.losses))

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        """Update the state from the numbers of this step, before the networks move."""


def alpha_column(
    alpha: float | Sequence[float] | Tensor, name: str = "alpha"
) -> Float[Tensor, "R 1"]:
    """Alpha as a column over replicas.

    Args:
        name: what the number is called in the message.

    Raises:
        BadInput: a value that is no number, not finite, or below 0.

    >>> alpha_column([0.0, 0.5])
    tensor([[0.0000],
            [0.5000]], dtype=torch.float64)
    """
    try:
        column = torch.as_tensor(alpha, dtype=torch.float64).reshape(-1, 1)
    except (TypeError, ValueError, RuntimeError):
        raise BadInput(f"{name} {alpha!r}: must be a number, 0 or more") from None
    bad = column[~(column.isfinite() & (column >= 0))]
    if len(bad) or not len(column):
        raise BadInput(f"{name} {bad[0].item() if len(bad) else alpha!r}: must be 0 or more")
    return column


def positive(x: Tensor) -> Tensor:
    """x, but at least the smallest positive number of its precision, so that it can divide.

    >>> bool(positive(torch.zeros(1)) > 0)
    True
    """
    return x.clamp_min(torch.finfo(x.dtype).tiny)
