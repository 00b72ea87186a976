"""What a trunk's forward pass keeps, so that `gradients` needs no backward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from ..bits import Features
from ..errors import BadInput


class BatchNormPass(NamedTuple):
    """What a batch norm did to a batch.

    Its output was `standardised * weight + bias`, and `gain` is `weight / deviation`. All tensors
    are without graph.
    """

    standardised: Float[Tensor, "R B H"]  # mean 0 and variance 1 over the valid rows
    gain: Float[Tensor, "R 1 H"]
    valid: Bool[Tensor, "R B"]
    after_activation: bool = False


@dataclass(eq=False)
class ForwardPass:
    """The shared features of a batch, and how the last shared layer made them.

    The last shared layer is linear, batch norm (optional), activation, dropout (optional). In the
    architecture "lbtw" it is linear, dropout, activation, batch norm. Only `features` has a graph.

    Half of a ReLU's derivatives are zero here, and dropout with probability 1/2 doubles the rest:

    >>> import torch
    >>> activated = torch.tensor([[[0.0, 3.0, 2.0]]])
    >>> keep = torch.tensor([[[True, True, False]]])
    >>> inputs = torch.ones(1, 1, 5)
    >>> ForwardPass(activated * keep * 2, inputs, activated, "relu", keep, 0.5, None).slope
    tensor([[[0., 2., 0.]]])
    """

    features: Float[Tensor, "R B H"]
    inputs: Features  # of the last shared layer, [R, B, I]
    activated: Float[Tensor, "R B H"]  # the activation's output, before dropout or batch norm
    activation: str
    keep: Bool[Tensor, "R B H"] | None  # the dropout mask
    dropout: float
    batch_norm: BatchNormPass | None
    own_heads: bool = True  # whether a task's output depends on its own head alone

    def check_heads(self) -> None:
        """Check that a task's loss has a gradient at one head, as the closed forms take it.

        Raises:
            BadInput: the outputs are log odds of one softmax, which depend on all heads.
        """
        if not self.own_heads:
            raise BadInput(
                "the loss 'softmax' is one of all heads, so no task has a gradient of its own; "
                "use the loss 'each'"
            )

    @cached_property
    def slope(self) -> Float[Tensor, "R B H"]:
        """The factor by which activation and dropout multiply a derivative, elementwise."""
        a = self.activated
        if self.activation == "relu":
            slope = (a > 0).to(a.dtype)
        else:
            slope = 1 - a * a if self.activation == "tanh" else a * (1 - a)
        return slope if self.keep is None else slope * self.keep / (1 - self.dropout)
