"""The layers of `R` networks that lie side by side.

Each layer is like its namesake in `torch.nn`, but its parameters have a leading replica axis `R`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..bits import Bits, Features
from .forward_pass import BatchNormPass, ForwardPass
from .random_streams import RandomStreams
from .recipe import Recipe

COLUMNS_AT_ONCE = 256  # of a weight matrix: 1,024 rows of so many are a megabyte
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class Linear(nn.Module):
    """`R` linear layers.

    Features may be a dense tensor or `Bits`. For `Bits`, the layer adds up the rows of its weights
    at which a feature is one, and multiplies nothing.

    Args:
        replicas: number of networks, `R`.
        inputs: number of features that go in, `I`.
        outputs: number of features that come out, `O`.

    The weights of a new layer are not initialised; `Network` does so.

    >>> layer = Linear(replicas=2, inputs=3, outputs=4)
    >>> layer(torch.ones(2, 5, 3)).shape
    torch.Size([2, 5, 4])
    >>> layer(Bits.from_dense(torch.ones(2, 5, 3, dtype=torch.bool))).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, replicas: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fans = inputs, outputs
        self.weight = nn.Parameter(torch.empty(replicas, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(replicas, 1, outputs))

    def forward(self, x: Float[Tensor, "R B I"] | Bits) -> Float[Tensor, "R B O"]:
        if not isinstance(x, Bits):
            return torch.baddbmm(self.bias, x, self.weight).to(self.weight.dtype)
        return _LinearOfBits.apply(self.weight, self.bias, x)


class _LinearOfBits(torch.autograd.Function):
    """For every row of the features, the sum of the weights' rows at its ones, plus the bias.

    The gradient is a sum of the same kind, in which rows and columns of the features change places.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Float[Tensor, "R I O"], bias: Float[Tensor, "R 1 O"], x: Bits
    ) -> Float[Tensor, "R B O"]:
        replicas, rows, inputs = x.shape
        # The replicas' weights count as one table, one replica after another.
        above = torch.arange(0, replicas * inputs, inputs, dtype=torch.int32, device=x.device)
        ones = x.lengths.view(replicas, rows).sum(1)
        ctx.x = x
        ctx.weight_rows = x.on.int() + above.repeat_interleave(ones, output_size=len(x.on))
        return _sums_of_rows(ctx.weight_rows, x.starts, weight).view(replicas, rows, -1).add_(bias)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_output: Float[Tensor, "R B O"]
    ) -> tuple[Float[Tensor, "R I O"], Float[Tensor, "R 1 O"], None]:
        replicas, _, inputs = ctx.x.shape
        rows, starts = _transposed(ctx.weight_rows, ctx.x, replicas * inputs)
        grad_weight = _sums_of_rows(rows, starts, grad_output).view(replicas, inputs, -1)
        return grad_weight, grad_output.sum(1, keepdim=True), None


def _transposed(
    columns: Int[Tensor, " ones"], x: Bits, count: int
) -> tuple[Int[Tensor, " ones"], Int[Tensor, " count"]]:
    """The lists of the transposed table: the rows of every column's ones, and where they begin.

    On a CPU the ones are counted and never sorted, so the time is linear in them.
    """
    if columns.device.type == "cpu":
        from scipy.sparse import csr_array  # loaded only where features are bits

        ends = x.starts.new_tensor([len(columns)])
        lists = np.ones(len(columns), np.int8), columns.numpy(), torch.cat((x.starts, ends)).numpy()
        by_column = csr_array(lists, shape=(len(x.starts), count)).tocsc()
        return torch.from_numpy(by_column.indices), torch.from_numpy(by_column.indptr[:-1])
    lengths = torch.bincount(columns, minlength=count)
    return x.row.int()[columns.argsort(stable=True)], lengths.cumsum(0) - lengths


def _sums_of_rows(
    rows: Int[Tensor, " ones"], starts: Int[Tensor, " sums"], table: Float[Tensor, "R N O"]
) -> Float[Tensor, "sums O"]:
    """Sums of rows of a table, whose replicas count as one table, one after another.

    A few columns at a time, the table stays in a processor's cache.

    Args:
        rows: the rows that are added up, those of one sum after those of another.
        starts: where each sum's rows begin in `rows`.
    """
    columns = COLUMNS_AT_ONCE if table.device.type == "cpu" else table.shape[2]
    starts = starts.to(rows.dtype)
    parts = (part.reshape(-1, part.shape[2]) for part in table.split(columns, 2))
    sums = [F.embedding_bag(rows, part, starts, mode="sum") for part in parts]
    return sums[0] if len(sums) == 1 else torch.cat(sums, 1)


class BatchNorm(nn.Module):
    """`R` batch norms over the valid rows of ragged batches.

    Args:
        replicas: number of networks, `R`.
        width: number of features, `H`.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics, in (0, 1].

    Both defaults are those of `torch.nn.BatchNorm1d`. The layer also returns what it did to the
    batch, which `trunk_gradient_norms` reads.

    >>> valid = torch.tensor([[True, True, False]])
    >>> out, _ = BatchNorm(1, 1, eps=0.0)(torch.tensor([[[1.0], [3.0], [9.0]]]), valid)
    >>> out[valid].flatten().tolist()
    [-1.0, 1.0]
    """

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
    ) -> tuple[Float[Tensor, "R B H"], BatchNormPass]:
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
        standardised = (x - mean) * scale
        done = BatchNormPass(standardised.detach(), (scale * self.weight).detach(), valid)
        return standardised * self.weight + self.bias, done


class HiddenLayer(nn.Module):
    """A hidden layer of a trunk: linear, batch norm (optional), activation, dropout.

    In the architecture "lbtw" the order is linear, dropout, activation, batch norm, and only the
    trunk's last hidden layer has a batch norm.

    Args:
        layer: number of this layer within the trunk, from 0.
    """

    def __init__(
        self, replicas: int, inputs: int, outputs: int, recipe: Recipe, layer: int = 0
    ) -> None:
        super().__init__()
        self.linear = Linear(replicas, inputs, outputs)
        self.lbtw = recipe.architecture == "lbtw"
        has_norm = recipe.batch_norm and (not self.lbtw or layer + 1 == len(recipe.trunk))
        eps = 2e-5 if self.lbtw else 1e-5
        norm = BatchNorm(replicas, outputs, eps, recipe.batch_norm_momentum) if has_norm else None
        self.norm, self.dropout = norm, recipe.dropout
        self.activation = recipe.activations[layer]

    def forward(
        self, x: Features, valid: Bool[Tensor, "R B"], noise: RandomStreams | None
    ) -> ForwardPass:
        out, batch_norm, activate = self.linear(x), None, ACTIVATIONS[self.activation]
        if self.lbtw:
            out, keep = self._drop(out, noise)
            out = activated = activate(out)
        if self.norm is not None:
            out, batch_norm = self.norm(out, valid)
            batch_norm = batch_norm._replace(after_activation=self.lbtw)
        if not self.lbtw:
            activated = activate(out)
            out, keep = self._drop(activated, noise)
        return ForwardPass(
            features=out,
            inputs=x.detach() if isinstance(x, Tensor) else x,
            activated=activated.detach(),
            activation=self.activation,
            keep=keep,
            dropout=self.dropout,
            batch_norm=batch_norm,
        )

    def _drop(
        self, out: Float[Tensor, "R B H"], noise: RandomStreams | None
    ) -> tuple[Float[Tensor, "R B H"], Bool[Tensor, "R B H"] | None]:
        """The output after dropout, and the dropout mask."""
        if not (self.training and self.dropout > 0 and noise is not None):
            return out, None
        keep = noise.keep(self.dropout, *out.shape[1:])
        return out * keep.to(out.dtype).div_(1 - self.dropout), keep  # torch.where takes far longer


class Convolution(nn.Module):
    """`R` convolutions without padding, one replica after another: on a CPU nothing is faster."""

    def __init__(self, replicas: int, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.fans = inputs * kernel**2, outputs * kernel**2
        self.weight = nn.Parameter(torch.empty(replicas, outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(replicas, outputs))

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        replicas = zip(x, self.weight.unbind(), self.bias.unbind(), strict=True)
        return [F.conv2d(images, weight, bias) for images, weight, bias in replicas]
