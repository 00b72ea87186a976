"""The stacked network: a shared trunk and one linear head per task, `R` times side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..bits import Features
from .decoder import Decoder
from .forward_pass import ForwardPass
from .layers import BatchNorm, Convolution, Linear
from .own_body import made_rows
from .random_streams import RandomStreams, generator
from .recipe import Recipe
from .trunks import TRUNKS, OwnTrunk


def log_odds(outputs: Float[Tensor, "R B T"]) -> Float[Tensor, "R B T"]:
    """Log odds of every class under the softmax: o_t - log sum_{j != t} exp(o_j).

    The softmax's cross-entropy is the sum over classes of softplus(-log odds) on the class's own
    rows. So each class has a loss of its own, as any other task has.

    >>> log_odds(torch.tensor([[[2.0, 0.5]]]))  # of two classes: the difference of the outputs
    tensor([[[ 1.5000, -1.5000]]])
    """
    tasks = outputs.shape[2]
    itself = torch.eye(tasks, dtype=torch.bool, device=outputs.device)
    others = outputs.unsqueeze(2).expand(-1, -1, tasks, -1).masked_fill(itself, -math.inf)
    return outputs - others.logsumexp(3)


class Network(nn.Module):
    """`R` networks side by side, each with a shared trunk and one linear head per task.

    Every parameter has a leading replica axis `R`. A seed gives the same initial weights wherever
    it stands in the stack.

    Args:
        seeds: one seed per replica.
        inputs: number of features of a row.
        tasks: number of heads, with one output each; a task of classes has one for each class.
        recipe: architecture, widths, activation, dropout, batch norm, initialisation and loss.
        decodes: whether each replica has a `Decoder`.
        only_task: the one task, `[R]`, whose head each replica has; by default it has all heads.
        rows: some rows of the data in their own shape, for an architecture that is a body of
            somebody's own; by default rows of zeros and ones are made.

    Raises:
        BadInput: the architecture cannot read so many features; or see `OwnBody`.

    A forward pass returns what the trunk did and the outputs `[R, B, T]`:

    >>> network = Network(seeds=[0, 1, 0], inputs=5, tasks=2, recipe=Recipe(trunk=(8, 4)))
    >>> x, valid = torch.ones(3, 6, 5), torch.ones(3, 6, dtype=torch.bool)
    >>> forward_pass, outputs = network(x, valid)
    >>> forward_pass.features.shape, outputs.shape
    (torch.Size([3, 6, 4]), torch.Size([3, 6, 2]))
    >>> torch.equal(outputs[0], outputs[2]), torch.equal(outputs[0], outputs[1])
    (True, False)
    """

    def __init__(
        self,
        seeds: Sequence[int],
        inputs: int,
        tasks: int,
        recipe: Recipe,
        decodes: bool = False,
        only_task: Int[Tensor, " R"] | None = None,
        rows: Float[Tensor, "N ..."] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = (
            OwnTrunk(seeds, recipe, made_rows(inputs) if rows is None else rows)
            if recipe.own_body is not None
            else TRUNKS[str(recipe.architecture)](len(seeds), inputs, recipe)
        )
        self.head = Linear(len(seeds), recipe.trunk[-1], tasks)
        self.decoder = Decoder(len(seeds), tasks, recipe.trunk[-1]) if decodes else None
        self.softmax = recipe.loss == "softmax"
        self._initialise(seeds, recipe.initialisation)
        if only_task is not None:  # the weights are those that this head has among all heads
            all_heads, self.head = self.head, Linear(len(seeds), recipe.trunk[-1], 1)
            for one, all_of_them in zip(
                self.head.parameters(), all_heads.parameters(), strict=True
            ):
                one.data = all_of_them.data.take_along_dim(only_task[:, None, None], 2)

    @torch.no_grad()
    def _initialise(self, seeds: Sequence[int], how: str) -> None:
        distinct = sorted(set(seeds))
        generators = [generator(s, "weights") for s in distinct]
        index = torch.tensor([distinct.index(s) for s in seeds])
        for layer in self.modules():
            if isinstance(layer, (Linear, Convolution)):
                fan_in, fan_out = layer.fans
                bound = fan_in**-0.5 if how == "torch" else (6 / (fan_in + fan_out)) ** 0.5
                small = layer is self.decoder or (layer is self.head and how == "amtfl")
                sd = 0.01 if small else 0.02 if how == "lbtw" else 0.0
                for parameter in (layer.weight, layer.bias):
                    shape = tuple(parameter.shape[1:])
                    drawn = [
                        g.normal(0, sd, shape) if sd else g.uniform(-bound, bound, shape)
                        for g in generators
                    ]
                    parameter.copy_(torch.from_numpy(np.stack(drawn))[index])
                if small or how != "torch":
                    layer.bias.fill_(how == "lbtw" and not small)
            if isinstance(layer, BatchNorm) and how == "lbtw":
                shape = tuple(layer.weight.shape[1:])
                drawn = [g.normal(1, 0.02, shape) for g in generators]
                layer.weight.copy_(torch.from_numpy(np.stack(drawn))[index])

    def forward(
        self, x: Features, valid: Bool[Tensor, "R B"], noise: RandomStreams | None = None
    ) -> tuple[ForwardPass, Float[Tensor, "R B T"]]:
        forward_pass: ForwardPass = self.trunk(x, valid, noise)
        forward_pass.own_heads = not self.softmax
        outputs = self.head(forward_pass.features)
        return forward_pass, log_odds(outputs) if self.softmax else outputs
