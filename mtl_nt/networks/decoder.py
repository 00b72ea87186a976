"""The decoder of Deep-AMTFL and U-AMTFL, which reads the shared features back from the outputs.

Source: H. Lee, E. Yang and S. J. Hwang, Deep Asymmetric Multi-task Feature Learning, ICML 2018.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from .layers import Linear


class Decoder(Linear):
    """Reconstructs the shared features h from the tasks' outputs o, as relu(o A + b).

    Row t of A, which is `weight[r, t]`, says which features task t offers to all tasks.

    >>> decoder = Decoder(replicas=1, inputs=2, outputs=3)
    >>> _ = decoder.weight.data.fill_(1.0), decoder.bias.data.fill_(0.0)
    >>> features, outputs = torch.full((1, 1, 3), 4.0), torch.ones(1, 1, 2)
    >>> decoder.reconstruction_error(features, outputs).item()  # 3 features, each off by 2
    12.0
    """

    def reconstruction_error(
        self, features: Float[Tensor, "R B H"], outputs: Float[Tensor, "R B T"]
    ) -> Float[Tensor, "R B"]:
        """|h - relu(o A + b)|^2 of every row, with a graph to features, outputs, A and b."""
        return _ReconstructionError.apply(features, outputs, self.weight, self.bias)


class _ReconstructionError(torch.autograd.Function):
    """What autograd does, in half as many passes over tensors of the features' size."""

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
    def backward(
        ctx: Any, grad_output: Float[Tensor, "R B"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        o, weight, rebuilt, gap = ctx.saved_tensors
        grad_h = gap * (2 * grad_output).unsqueeze(2)
        # Minus the gradient before the ReLU. Smaller tensors turn the sign below.
        negative = torch.ops.aten.threshold_backward(grad_h, rebuilt, 0)
        grad_o = negative @ weight.neg().transpose(1, 2)
        grad_weight = o.neg().transpose(1, 2) @ negative
        return grad_h, grad_o, grad_weight, -negative.sum(1, keepdim=True)
