"""The size of a network, known before the network is built."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from .own_body import made_rows
from .recipe import Recipe
from .trunks import lenet_side


class NetworkSize(NamedTuple):
    """What one network of a stack needs."""

    parameters: int
    multiplications: int  # of one row's forward pass
    activations: int  # numbers that one row's forward pass leaves for the backward pass


def network_size(
    inputs: int, tasks: int, recipe: Recipe, rows: Float[Tensor, "N ..."] | None = None
) -> NetworkSize:
    """The size of one network, without building it.

    Args:
        inputs: number of features of a row.
        tasks: number of heads; a task of classes has one for each class.
        rows: some rows of the data, on which a body of somebody's own is checked and measured once
            (see `OwnBody.measured`); by default rows of zeros and ones are made.

    Raises:
        BadInput: LeNet cannot read so many features; or see `OwnBody.measured`.

    >>> network_size(inputs=10, tasks=2, recipe=Recipe(trunk=(4,)))
    NetworkSize(parameters=54, multiplications=48, activations=40)
    """
    if recipe.own_body is not None:
        body = recipe.own_body.measured(made_rows(inputs) if rows is None else rows)
        parameters, multiplications = body.parameters, body.multiplications
        activations, widths = inputs + body.activations, [body.width, recipe.trunk[-1]]
    elif recipe.architecture != "lenet":
        widths, multiplications, activations, parameters = [inputs, *recipe.trunk], 0, inputs, 0
    else:
        first, second, width = recipe.trunk
        kernel, side = recipe.kernel, lenet_side(inputs, recipe.kernel)
        first_side = math.isqrt(inputs) - kernel + 1  # of the first convolution's maps
        second_side = first_side // 2 - kernel + 1
        kernels = first * kernel**2, second * first * kernel**2
        parameters = sum(kernels) + first + second
        multiplications = kernels[0] * first_side**2 + kernels[1] * second_side**2
        activations = inputs + 3 * (first * first_side**2 + second * second_side**2)
        widths = [second * side**2, width]
    # Of every layer remain the linear output, the activation and the mask (or batch norm's), and
    # products of them.
    layers = list(zip([*widths, tasks], [*widths[1:], tasks], strict=False))
    weights = sum(i * o for i, o in layers)
    outputs = sum(o for _, o in layers)
    return NetworkSize(
        parameters + weights + outputs, multiplications + weights, activations + 5 * outputs
    )
