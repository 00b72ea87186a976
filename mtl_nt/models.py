"""Networks side by side: every parameter has a leading replica axis `R`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .bits import Bits, Features
from .recipe import Recipe
from .streams import Noise, generator
from .tasks import BadInput

COLUMNS = 256  # of weights at once: 1,024 rows of so many are a megabyte
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class Normed(NamedTuple):
    """What batch norm did: `standard * weight + bias`, with `gain` = weight / deviation."""

    standard: Float[Tensor, "R B H"]  # mean 0 and variance 1 over the valid rows
    gain: Float[Tensor, "R 1 H"]
    valid: Bool[Tensor, "R B"]
    last: bool = False  # after the activation


@dataclass(eq=False)
class Pass:
    """A trunk's forward pass: the shared features, and how its last shared layer made them.

    The last shared layer is linear, batch norm (optional), activation, dropout (optional); or
    linear, dropout, activation, batch norm. All but the features themselves are without graph.
    """

    features: Float[Tensor, "R B H"]
    inputs: Features  # of the last shared layer, [R, B, I]
    activated: Float[Tensor, "R B H"]  # by the activation alone
    activation: str
    keep: Bool[Tensor, "R B H"] | None  # dropout's mask
    dropout: float
    normed: Normed | None

    @cached_property
    def slope(self) -> Float[Tensor, "R B H"]:
        """What activation and dropout do to a derivative, elementwise."""
        a = self.activated
        if self.activation == "relu":
            slope = (a > 0).to(a.dtype)
        else:
            slope = 1 - a * a if self.activation == "tanh" else a * (1 - a)
        return slope if self.keep is None else slope * self.keep / (1 - self.dropout)


class Linear(nn.Module):
    """`R` linear layers. `Bits` go in as lists of ones: the rows of the weights there are added."""

    def __init__(self, replicas: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fans = inputs, outputs
        self.weight = nn.Parameter(torch.empty(replicas, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(replicas, 1, outputs))

    def forward(self, x: Float[Tensor, "R B I"] | Bits) -> Float[Tensor, "R B O"]:
        if not isinstance(x, Bits):
            return torch.baddbmm(self.bias, x, self.weight).to(self.weight.dtype)
        return _Added.apply(self.weight, self.bias, x)


class _Added(torch.autograd.Function):
    """The rows of every replica's weights at the ones of its features, added up, and its bias.

    The gradient is of the same kind, with rows and columns of the features exchanged. Some columns
    at a time, the weights stay in a processor's cache.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Float[Tensor, "R I O"], bias: Float[Tensor, "R 1 O"], x: Bits
    ) -> Float[Tensor, "R B O"]:
        replicas, rows, inputs = x.shape
        # A replica's weights follow another's.
        ctx.x, ctx.own = x, (x.on + (x.row // rows) * inputs).int()
        return _bags(ctx.own, x.starts, weight).view(replicas, rows, -1).add_(bias)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, pull: Float[Tensor, "R B O"]
    ) -> tuple[Float[Tensor, "R I O"], Float[Tensor, "R 1 O"], None]:
        replicas, _, inputs = ctx.x.shape
        lengths = torch.bincount(ctx.own, minlength=replicas * inputs)
        rows = ctx.x.row.int()[ctx.own.argsort(stable=True)]
        added = _bags(rows, lengths.cumsum(0) - lengths, pull).view(replicas, inputs, -1)
        return added, pull.sum(1, keepdim=True), None


def _bags(
    rows: Int[Tensor, " ones"], starts: Int[Tensor, " bags"], table: Float[Tensor, "R N O"]
) -> Float[Tensor, "bags O"]:
    """Sums of a table's rows, all its replicas' one after another."""
    at_once = COLUMNS if table.device.type == "cpu" else table.shape[2]
    starts = starts.to(rows.dtype)
    some = (part.reshape(-1, part.shape[2]) for part in table.split(at_once, 2))
    found = [F.embedding_bag(rows, part, starts, mode="sum") for part in some]
    return found[0] if len(found) == 1 else torch.cat(found, 1)


class BatchNorm(nn.Module):
    """`R` batch norms over the valid rows of ragged batches; defaults as `torch.nn.BatchNorm1d`."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, replicas: int, width: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(replicas, 1, width))
        self.bias = nn.Parameter(torch.zeros(replicas, 1, width))
        self.register_buffer("running_mean", torch.zeros(replicas, 1, width))
        self.register_buffer("running_var", torch.ones(replicas, 1, width))

    def forward(
        self, x: Float[Tensor, "R B H"], valid: Bool[Tensor, "R B"]
    ) -> tuple[Float[Tensor, "R B H"], Normed]:
        mean, var = self.running_mean, self.running_var
        if self.training:
            row = valid.unsqueeze(2).to(x.dtype)
            n = row.sum(1, keepdim=True)
            mean = (x * row).sum(1, keepdim=True) / n
            var = ((x - mean).square() * row).sum(1, keepdim=True) / n
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * n / (n - 1), self.momentum)
        scale = torch.rsqrt(var + self.eps)
        standard = (x - mean) * scale
        normed = Normed(standard.detach(), (scale * self.weight).detach(), valid)
        return standard * self.weight + self.bias, normed


class Block(nn.Module):
    """A layer of a trunk: linear, batch norm (optional), activation, dropout; of "lbtw" linear,
    dropout, activation, and batch norm after the trunk's last layer alone.

    Args:
        layer: which of the trunk's.
    """

    def __init__(
        self, replicas: int, inputs: int, outputs: int, recipe: Recipe, layer: int = 0
    ) -> None:
        super().__init__()
        self.linear = Linear(replicas, inputs, outputs)
        self.lbtw = recipe.architecture == "lbtw"
        normed = recipe.batch_norm and (not self.lbtw or layer + 1 == len(recipe.trunk))
        eps = 2e-5 if self.lbtw else 1e-5
        norm = BatchNorm(replicas, outputs, eps, recipe.batch_norm_momentum) if normed else None
        self.norm, self.dropout = norm, recipe.dropout
        self.activation = recipe.activations[layer]

    def forward(self, x: Features, valid: Bool[Tensor, "R B"], noise: Noise | None) -> Pass:
        out, normed, activate = self.linear(x), None, ACTIVATIONS[self.activation]
        if self.lbtw:
            out, keep = self._dropped(out, noise)
            out = activated = activate(out)
        if self.norm is not None:
            out, normed = self.norm(out, valid)
            normed = normed._replace(last=self.lbtw)
        if not self.lbtw:
            activated = activate(out)
            out, keep = self._dropped(activated, noise)
        inputs = x.detach() if isinstance(x, Tensor) else x
        made_by = (self.activation, keep, self.dropout, normed)
        return Pass(out, inputs, activated.detach(), *made_by)

    def _dropped(
        self, out: Float[Tensor, "R B H"], noise: Noise | None
    ) -> tuple[Float[Tensor, "R B H"], Bool[Tensor, "R B H"] | None]:
        if not (self.training and self.dropout > 0 and noise is not None):
            return out, None
        keep = noise.keep(self.dropout, *out.shape[1:])
        return out * keep.to(out.dtype).div_(1 - self.dropout), keep  # torch.where takes far longer


class MLP(nn.Module):
    """A trunk of fully connected layers."""

    def __init__(self, replicas: int, inputs: int, recipe: Recipe) -> None:
        super().__init__()
        sizes = zip([inputs, *recipe.trunk], recipe.trunk, strict=False)
        self.blocks = nn.ModuleList(
            Block(replicas, i, o, recipe, layer) for layer, (i, o) in enumerate(sizes)
        )

    def forward(self, x: Features, valid: Bool[Tensor, "R B"], noise: Noise | None) -> Pass:
        for block in self.blocks:
            passed = block(x, valid, noise)
            x = passed.features
        return passed


class Convolution(nn.Module):
    """`R` valid convolutions, one replica after another: on a CPU nothing is faster."""

    def __init__(self, replicas: int, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.fans = inputs * kernel**2, outputs * kernel**2
        self.weight = nn.Parameter(torch.empty(replicas, outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(replicas, outputs))

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        each = zip(x, self.weight.unbind(), self.bias.unbind(), strict=True)
        return [F.conv2d(x, w, b) for x, w, b in each]


class LeNet(nn.Module):
    """Two convolutions, each with activation and 2x2 maximum pooling, and a fully connected layer.

    LeCun, Bottou, Bengio and Haffner (1998), with the widths 20-50-500 of Deep-AMTFL (Lee, Yang
    and Hwang, ICML 2018). Batch norm and dropout are the fully connected layer's.

    Raises:
        BadInput: features that are not a square image, or one too small for the kernels.
    """

    def __init__(self, replicas: int, inputs: int, recipe: Recipe) -> None:
        super().__init__()
        self.side, self.activation = math.isqrt(inputs), ACTIVATIONS[recipe.activations[0]]
        left = lenet_side(inputs, recipe.kernel)
        first, second, width = recipe.trunk
        self.convolutions = nn.ModuleList(
            Convolution(replicas, i, o, recipe.kernel) for i, o in ((1, first), (first, second))
        )
        self.block = Block(replicas, second * left**2, width, recipe)

    def forward(self, x: Features, valid: Bool[Tensor, "R B"], noise: Noise | None) -> Pass:
        weight = self.block.linear.weight
        dense = x.dense(weight.dtype) if isinstance(x, Bits) else x
        images = dense.unflatten(2, (1, self.side, self.side)).unbind()
        maps = [image.to(memory_format=torch.channels_last) for image in images]
        for convolution in self.convolutions:
            maps = [F.max_pool2d(self.activation(m), 2) for m in convolution(maps)]
        flat = torch.stack([m.flatten(1) for m in maps])
        passed: Pass = self.block(flat, valid, noise)
        return passed


def lenet_side(inputs: int, kernel: int) -> int:
    """Side of the maps that LeNet's fully connected layer reads; `BadInput` if there is none."""
    side = math.isqrt(inputs)
    if side * side != inputs:
        raise BadInput(f"LeNet needs square images; {inputs} features are none, so use an 'mlp'")
    left = ((side - kernel + 1) // 2 - kernel + 1) // 2
    if left < 1:
        raise BadInput(f"images of {side} x {side} are too small for LeNet with kernel {kernel}")
    return left


TRUNKS = {"mlp": MLP, "lbtw": MLP, "lenet": LeNet}


class Decoder(Linear):
    """Reads the shared features back from the tasks' outputs: relu(o A + b).

    Row t of A says which features task t offers to all tasks. Lee, Yang and Hwang (ICML 2018).
    """

    def gap(
        self, features: Float[Tensor, "R B H"], outputs: Float[Tensor, "R B T"]
    ) -> Float[Tensor, "R B"]:
        """|h - relu(o A + b)|^2 of every row, with graph to all of it."""
        return _Gap.apply(features, outputs, self.weight, self.bias)


class _Gap(torch.autograd.Function):
    """What autograd does, in half of its passes over numbers as many as the features."""

    @staticmethod
    def forward(
        ctx: Any,
        h: Float[Tensor, "R B H"],
        o: Float[Tensor, "R B T"],
        weight: Float[Tensor, "R T H"],
        bias: Float[Tensor, "R 1 H"],
    ) -> Float[Tensor, "R B"]:
        rebuilt = torch.baddbmm(bias, o, weight).relu_()
        gap = h - rebuilt
        ctx.save_for_backward(o, weight, rebuilt, gap)
        return torch.linalg.vector_norm(gap, dim=2).square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pull: Float[Tensor, "R B"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        o, weight, rebuilt, gap = ctx.saved_tensors
        pulled = gap * (2 * pull).unsqueeze(2)
        let = torch.ops.aten.threshold_backward(pulled, rebuilt, 0)  # through the ReLU
        own = let @ weight.neg().transpose(1, 2)
        return pulled, own, o.neg().transpose(1, 2) @ let, -let.sum(1, keepdim=True)


def log_odds(outputs: Float[Tensor, "R B T"]) -> Float[Tensor, "R B T"]:
    """Log odds of every class under the softmax: o_t - log sum_{j != t} exp(o_j).

    The softmax's cross-entropy is the sum over classes of softplus(-log odds) on the class's own
    rows, so that it is a loss a task like any other.
    """
    tasks = outputs.shape[2]
    itself = torch.eye(tasks, dtype=torch.bool, device=outputs.device)
    others = outputs.unsqueeze(2).expand(-1, -1, tasks, -1).masked_fill(itself, -math.inf)
    return outputs - others.logsumexp(3)


class Network(nn.Module):
    """A shared trunk and one linear head a task, `R` times; seed `s` gives the same weights
    wherever it stands in the stack.

    Args:
        seeds: one a replica.
        inputs: features of a row.
        tasks: heads.
        recipe: architecture, widths, activation, dropout, batch norm, initialisation and loss.
        decodes: with a `Decoder`.
        own: the one task whose head each replica has; by default it has all.

    Raises:
        BadInput: data that the architecture cannot read.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        inputs: int,
        tasks: int,
        recipe: Recipe,
        decodes: bool = False,
        own: Int[Tensor, " R"] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = TRUNKS[recipe.architecture](len(seeds), inputs, recipe)
        self.head = Linear(len(seeds), recipe.trunk[-1], tasks)
        self.decoder = Decoder(len(seeds), tasks, recipe.trunk[-1]) if decodes else None
        self.softmax = recipe.loss == "softmax"
        self._initialise(seeds, recipe.initialisation)
        if own is not None:  # the numbers are those that the head has among all
            every, self.head = self.head, Linear(len(seeds), recipe.trunk[-1], 1)
            for mine, theirs in zip(self.head.parameters(), every.parameters(), strict=True):
                mine.data = theirs.data.take_along_dim(own[:, None, None], 2)

    @torch.no_grad()
    def _initialise(self, seeds: Sequence[int], how: str) -> None:
        distinct = sorted(set(seeds))
        streams = [generator(s, "weights") for s in distinct]
        index = torch.tensor([distinct.index(s) for s in seeds])
        for layer in self.modules():
            if isinstance(layer, (Linear, Convolution)):
                into, out = layer.fans
                bound = into**-0.5 if how == "torch" else (6 / (into + out)) ** 0.5
                small = layer is self.decoder or (layer is self.head and how == "amtfl")
                sd = 0.01 if small else 0.02 if how == "lbtw" else 0.0
                for parameter in (layer.weight, layer.bias):
                    shape = tuple(parameter.shape[1:])
                    drawn = [
                        s.normal(0, sd, shape) if sd else s.uniform(-bound, bound, shape)
                        for s in streams
                    ]
                    parameter.copy_(torch.from_numpy(np.stack(drawn))[index])
                if small or how != "torch":
                    layer.bias.fill_(how == "lbtw" and not small)
            if isinstance(layer, BatchNorm) and how == "lbtw":
                shape = tuple(layer.weight.shape[1:])
                drawn = [s.normal(1, 0.02, shape) for s in streams]
                layer.weight.copy_(torch.from_numpy(np.stack(drawn))[index])

    def forward(
        self, x: Features, valid: Bool[Tensor, "R B"], noise: Noise | None = None
    ) -> tuple[Pass, Float[Tensor, "R B T"]]:
        passed: Pass = self.trunk(x, valid, noise)
        outputs = self.head(passed.features)
        return passed, log_odds(outputs) if self.softmax else outputs


class Size(NamedTuple):
    """What one network of a stack takes."""

    parameters: int
    multiplications: int  # of one row's forward pass
    activations: int  # numbers that one row's forward pass leaves for the backward pass


def size(inputs: int, tasks: int, recipe: Recipe) -> Size:
    """Size of one network, without building it."""
    if recipe.architecture != "lenet":
        widths, multiplications, activations, parameters = [inputs, *recipe.trunk], 0, inputs, 0
    else:
        first, second, width = recipe.trunk
        kernel, left = recipe.kernel, lenet_side(inputs, recipe.kernel)
        one = math.isqrt(inputs) - kernel + 1
        two = one // 2 - kernel + 1
        kernels = first * kernel**2, second * first * kernel**2
        parameters = sum(kernels) + first + second
        multiplications = kernels[0] * one**2 + kernels[1] * two**2
        activations = inputs + 3 * (first * one**2 + second * two**2)
        widths = [second * left**2, width]
    # Linear output, activation and mask, or batch norm's, are kept a layer, and products of them.
    layers = list(zip([*widths, tasks], [*widths[1:], tasks], strict=False))
    dense = sum(i * o for i, o in layers)
    outputs = sum(o for _, o in layers)
    return Size(parameters + dense + outputs, multiplications + dense, activations + 5 * outputs)
