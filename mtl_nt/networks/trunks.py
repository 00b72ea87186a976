"""The trunks: everything of a network that all tasks share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..bits import Bits, Features
from ..errors import BadInput
from .forward_pass import ForwardPass
from .layers import ACTIVATIONS, Convolution, HiddenLayer
from .own_body import own_chance, restart
from .random_streams import RandomStreams, generator
from .recipe import Recipe


class MLP(nn.Module):
    """A trunk of fully connected layers."""

    def __init__(self, replicas: int, inputs: int, recipe: Recipe) -> None:
        super().__init__()
        sizes = zip([inputs, *recipe.trunk], recipe.trunk, strict=False)
        self.blocks = nn.ModuleList(
            HiddenLayer(replicas, i, o, recipe, layer) for layer, (i, o) in enumerate(sizes)
        )

    def forward(
        self, x: Features, valid: Bool[Tensor, "R B"], noise: RandomStreams | None
    ) -> ForwardPass:
        for block in self.blocks:
            forward_pass = block(x, valid, noise)
            x = forward_pass.features
        return forward_pass


class LeNet(nn.Module):
    """Two convolutions, each with activation and 2x2 maximum pooling, and a fully connected layer.

    Only the fully connected layer has batch norm and dropout.

    Source: LeCun, Bottou, Bengio and Haffner (1998). The widths 20-50-500 are those of Deep-AMTFL
    (Lee, Yang and Hwang, ICML 2018).

    Raises:
        BadInput: the features are no square image, or the image is too small for the kernels.
    """

    def __init__(self, replicas: int, inputs: int, recipe: Recipe) -> None:
        super().__init__()
        self.side, self.activation = math.isqrt(inputs), ACTIVATIONS[recipe.activations[0]]
        side = lenet_side(inputs, recipe.kernel)
        first, second, width = recipe.trunk
        self.convolutions = nn.ModuleList(
            Convolution(replicas, i, o, recipe.kernel) for i, o in ((1, first), (first, second))
        )
        self.block = HiddenLayer(replicas, second * side**2, width, recipe)

    def forward(
        self, x: Features, valid: Bool[Tensor, "R B"], noise: RandomStreams | None
    ) -> ForwardPass:
        weight = self.block.linear.weight
        dense = x.to_dense(weight.dtype) if isinstance(x, Bits) else x
        images = dense.unflatten(2, (1, self.side, self.side)).unbind()
        maps = [image.to(memory_format=torch.channels_last) for image in images]
        for convolution in self.convolutions:
            maps = [F.max_pool2d(self.activation(m), 2) for m in convolution(maps)]
        flat = torch.stack([m.flatten(1) for m in maps])
        forward_pass: ForwardPass = self.block(flat, valid, noise)
        return forward_pass


class OwnTrunk(nn.Module):
    """A body of your own for each replica, and the last shared layer on top of it.

    The bodies run one after another, each on the valid rows of its batch alone. So a body may be
    any module, and its batch norm sees no padding. Each body draws its random numbers, such as
    dropout's, from torch's generators, which are seeded for every replica and pass: by its stream
    while it trains, and always alike when it is judged.

    Only the last shared layer has the recipe's activation, batch norm and dropout.

    One after another takes time. The same layers as `MLP` has, written as a body, took 1.4 times as
    long for wide networks (500-512-128) and for one tiny network (20-64-32), 2 times for 5 tiny
    ones, and 3 to 6 times for 50 or 200. `torch.func.vmap` was as slow for 5 tiny networks and 2 to
    4 times as fast for more. But it cannot draw each network's own dropout, leave out the rows that
    fill up a batch, or keep what a module writes into itself.

    Args:
        seeds: one for each replica.
        recipe: has the body, and the settings of the last shared layer.
        rows: some of the data, in their own shape, on which the bodies are tried.

    Raises:
        BadInput: see `OwnBody.measured`.
    """

    def __init__(self, seeds: Sequence[int], recipe: Recipe, rows: Float[Tensor, "B ..."]) -> None:
        super().__init__()
        assert recipe.own_body is not None
        self.body, self.shape = recipe.own_body, rows.shape[1:]
        self.seeds = [int(generator(seed, "body").integers(2**62)) for seed in seeds]
        self.body.measured(rows)  # checks it
        bodies, widths = zip(*(self.body.build(seed, rows) for seed in seeds), strict=True)
        if len({*widths}) > 1:
            raise BadInput(
                f"{self.body}: networks have {min(widths)} to {max(widths)} features; give all the "
                "same number"
            )
        self.bodies = nn.ModuleList(bodies)
        self.block = HiddenLayer(len(seeds), widths[0], recipe.trunk[-1], recipe)

    def forward(
        self, x: Features, valid: Bool[Tensor, "R B"], noise: RandomStreams | None
    ) -> ForwardPass:
        weight = self.block.linear.weight
        dense = x.to_dense(weight.dtype) if isinstance(x, Bits) else x
        seeds, features = self.seeds if noise is None else noise.seeds(), []
        full = valid.all(1).tolist()
        with own_chance(weight.device):
            for r, body in enumerate(self.bodies):
                # A copy in any case: a body may change in place what it is given.
                rows = dense[r].clone() if full[r] else dense[r][valid[r]]
                restart(seeds[r], weight.device)
                given = self.body.features(body, rows.unflatten(1, self.shape)).to(weight.dtype)
                if not full[r]:
                    filled = given.new_zeros(len(valid[r]), given.shape[1])
                    given = filled.index_put((valid[r],), given)
                features.append(given)
        forward_pass: ForwardPass = self.block(torch.stack(features), valid, noise)
        return forward_pass


def lenet_side(inputs: int, kernel: int) -> int:
    """Side of the maps that LeNet's fully connected layer reads.

    Args:
        inputs: number of pixels of an image.
        kernel: side of the convolutions' kernels.

    Raises:
        BadInput: the features are no square image, or the image is too small for the kernels.

    >>> lenet_side(28 * 28, kernel=5)
    4
    """
    side = math.isqrt(inputs)
    if side * side != inputs:
        raise BadInput(f"LeNet needs square images; {inputs} features are none, so use an 'mlp'")
    left = ((side - kernel + 1) // 2 - kernel + 1) // 2
    if left < 1:
        raise BadInput(f"images of {side} x {side} are too small for LeNet with kernel {kernel}")
    return left


TRUNKS = {"mlp": MLP, "lbtw": MLP, "lenet": LeNet}
