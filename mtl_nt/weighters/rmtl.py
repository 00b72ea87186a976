"""RMTL: weights from the angles between the tasks' gradients.

RMTL trains one network for each task. The network of the focused task i weighs task j by

    w_j = max(0, cos(g_i, g_j)),

where g_j is the gradient of task j's loss at the weights of task j's own head. The focused task
weighs 1. A task whose gradient points the other way weighs nothing.

Source: S. Liu, Exploration on Deep Drug Discovery: Representation and Learning, master's thesis
TR1854, University of Wisconsin-Madison, 2018, and the code that was published with Liu, Liang and
Gitter, AAAI 2019.

A task of classes has a head for each class. Its gradient has more numbers than that of a binary
task, so there is no angle between the two, and RMTL refuses such tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Step, Weighter, positive


class RMTL(Weighter):
    """The cosine of each task's head gradient with that of the focused task, where it is above 0.

    Args:
        target: number of the focused task; one for all replicas, or one for each.

    The second task agrees with the first one, and the third one does not:

    >>> from types import SimpleNamespace
    >>> rmtl = RMTL(target=0)
    >>> rmtl.reset(torch.zeros(1, 3))
    >>> gradients = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [-1.0, 0.5]]])
    >>> rmtl.weights(SimpleNamespace(head_gradients=gradients))
    tensor([[1., 1., 0.]])
    """

    takes_classes = False

    def __init__(self, target: int | Sequence[int] | Tensor) -> None:
        super().__init__()
        self.target = torch.as_tensor(target).reshape(-1)

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.target = self.target.to(like.device).expand(len(like))

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        gradient = step.head_gradients
        # Scaled first: the square of a gradient of 1e-20 is 0 in single precision.
        gradient = gradient / positive(gradient.abs().amax(2, keepdim=True))
        direction = gradient / positive(gradient.norm(dim=2, keepdim=True))
        rows = torch.arange(len(direction), device=direction.device)
        cosine = (direction @ direction[rows, self.target].unsqueeze(2)).squeeze(2)
        return cosine.clamp(min=0).index_put((rows, self.target), cosine.new_ones(()))
