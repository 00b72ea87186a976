"""Networks side by side: every parameter has a leading replica axis `R`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .streams import Noise, generator
from .tasks import BadInput, nearest

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


PRESETS = {"small": (64, 32), "medium": (256, 128), "large": (1024, 512)}
"""Trunks by name: hidden widths."""


class Pass(NamedTuple):
    """A trunk's forward pass: features `[R, B, H]`, and the last shared layer that made them."""

    inputs: Float[Tensor, "R B I"]  # of the last shared layer
    linear: Float[Tensor, "R B H"]  # inputs @ weight + bias
    features: Float[Tensor, "R B H"]  # after batch norm, activation and dropout


class Linear(nn.Module):
    """`R` linear layers, each initialised as `torch.nn.Linear` is: U(-1/sqrt(I), 1/sqrt(I))."""

    def __init__(self, replicas: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(replicas, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(replicas, 1, outputs))

    def forward(self, x: Float[Tensor, "R B I"]) -> Float[Tensor, "R B O"]:
        return torch.baddbmm(self.bias, x, self.weight)


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
    ) -> Float[Tensor, "R B H"]:
        mean, var = self.running_mean, self.running_var
        if self.training:
            row = valid.unsqueeze(2).to(x.dtype)
            n = row.sum(1, keepdim=True)
            mean = (x * row).sum(1, keepdim=True) / n
            var = ((x - mean).square() * row).sum(1, keepdim=True) / n
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * n / (n - 1), self.momentum)
        return (x - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias


class MLP(nn.Module):
    """The shared trunk: linear, batch norm (optional), activation, dropout, once a width."""

    def __init__(
        self,
        replicas: int,
        inputs: int,
        widths: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.activation, self.dropout = ACTIVATIONS[activation], dropout
        sizes = [inputs, *widths]
        self.layers = nn.ModuleList(
            Linear(replicas, i, o) for i, o in zip(sizes, sizes[1:], strict=False)
        )
        self.norms = nn.ModuleList(
            BatchNorm(replicas, width) if batch_norm else nn.Identity() for width in widths
        )

    def forward(
        self, x: Float[Tensor, "R B I"], valid: Bool[Tensor, "R B"], noise: Noise | None
    ) -> Pass:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            inputs = x
            linear = layer(inputs)
            x = norm(linear, valid) if isinstance(norm, BatchNorm) else linear
            x = self.activation(x)
            if self.training and self.dropout > 0 and noise is not None:
                keep = noise.keep(self.dropout, *x.shape[1:])
                x = torch.where(keep, x / (1 - self.dropout), 0.0)
        return Pass(inputs, linear, x)


class Network(nn.Module):
    """A shared trunk and one linear head a task, `R` times; seed `s` gives the same weights
    wherever it stands in the stack.

    Raises:
        BadInput: no hidden width, a width below 1, an unknown activation, dropout outside [0, 1).
    """

    def __init__(
        self,
        seeds: Sequence[int],
        inputs: int,
        tasks: int,
        widths: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if not widths or any(w < 1 for w in widths):
            raise BadInput(f"trunk {tuple(widths)}: give at least one hidden width of 1 or more")
        if activation not in ACTIVATIONS:
            raise BadInput(f"unknown activation {activation!r}; {nearest(activation, ACTIVATIONS)}")
        if not 0 <= dropout < 1:
            raise BadInput(f"dropout {dropout}: must be in [0, 1)")
        self.trunk = MLP(len(seeds), inputs, widths, activation, dropout, batch_norm)
        self.head = Linear(len(seeds), widths[-1], tasks)
        self._initialise(seeds)

    @torch.no_grad()
    def _initialise(self, seeds: Sequence[int]) -> None:
        distinct = sorted(set(seeds))
        streams = [generator(s, "weights") for s in distinct]
        index = torch.tensor([distinct.index(s) for s in seeds])
        for layer in self.modules():
            if isinstance(layer, Linear):
                bound = layer.weight.shape[1] ** -0.5
                for parameter in (layer.weight, layer.bias):
                    shape = tuple(parameter.shape[1:])
                    drawn = [torch.from_numpy(s.uniform(-bound, bound, shape)) for s in streams]
                    parameter.copy_(torch.stack(drawn)[index])

    def forward(
        self,
        x: Float[Tensor, "R B I"],
        valid: Bool[Tensor, "R B"],
        noise: Noise | None = None,
    ) -> tuple[Pass, Float[Tensor, "R B T"]]:
        passed = self.trunk(x, valid, noise)
        return passed, self.head(passed.features)
