"""The trunks: everything of a network that all tasks share."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn

from ..bits import Bits, Features
from ..tasks import BadInput
from .forward_pass import ForwardPass
from .layers import ACTIVATIONS, Convolution, HiddenLayer
from .random_streams import RandomStreams
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
