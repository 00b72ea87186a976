"""The task weighters: each turns what a training step shows into a row of the weight matrix W.

The objective of a step is `(W * L).sum()` over replicas and tasks, plus each replica's penalty.
A weight is used only where the task has a label in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .adam import Adam, Group
from .gradients import trunk_gradient_norms
from .models import Decoder, Pass
from .streams import Noise
from .tasks import BadInput


@dataclass
class Step:
    """What a weighter may look at: one batch of every replica, before the networks move."""

    losses: Float[Tensor, "R T"]  # per task, mean over labelled rows; without graph
    labelled: Bool[Tensor, "R T"]  # the replica trains on the task and the batch has a label
    first_batch: Bool[Tensor, " R"]  # of an epoch of the replica's own rows
    epoch: Int[Tensor, " R"]
    valid: Bool[Tensor, "R B"]  # False where a ragged batch is filled up
    support: Float[Tensor, "R T"]  # N_t: training labels; of exclusive tasks, of the task's class
    outputs: Float[Tensor, "R B T"]  # that the losses are of, without graph
    errors: Float[Tensor, "R B T"]  # dL_t / d output
    head: Float[Tensor, "R H T"]  # the heads' weights
    passed: Pass
    raw: Float[Tensor, "R B T"]  # the network's outputs, with graph
    decoder: Decoder | None
    binary: Bool[Tensor, "*any T"]
    noise: Noise

    @property
    def features(self) -> Float[Tensor, "R B H"]:
        """The shared features that the heads read, without graph."""
        return self.passed.features.detach()

    @cached_property
    def head_gradients(self) -> Float[Tensor, "R T H"]:
        """Gradient of every task's loss at its own head's weights: errors^T features."""
        return torch.bmm(self.errors.transpose(1, 2), self.features)

    @cached_property
    def trunk_gradient_norms(self) -> Float[Tensor, "R T"]:
        """Norm of every task's gradient at the last shared layer's weight matrix, exactly."""
        return trunk_gradient_norms(self.errors, self.head.detach(), self.passed)

    @cached_property
    def offered(self) -> Float[Tensor, "R T"]:
        """|a_t|_1 of the decoder's rows, with graph."""
        assert self.decoder is not None, "a weighter with `decodes` has a decoder"
        return self.decoder.weight.abs().sum(2)

    @cached_property
    def reconstruction(self) -> Float[Tensor, " R"]:
        """mean over the batch of |h - relu(o A + b)|^2, with graph to all of the network."""
        assert self.decoder is not None, "a weighter with `decodes` has a decoder"
        gap = self.decoder.gap(self.passed.features, self.raw)
        return torch.where(self.valid, gap, 0.0).sum(1) / self.valid.sum(1)


class Weighter(nn.Module):
    """Weights for every task of every replica. Subclasses define `weights`, the rest is optional.

    `learning_rate` is that of the weighter's own `nn.Parameter`s, which the training loop's Adam
    updates with the objective's gradient; None is the network's. With `decodes`, the networks have
    a decoder (see `models.Decoder`), which is trained as they are, but never decays.
    """

    learning_rate: float | None = 0.0
    decodes: bool = False
    passes: int = 1  # of every batch, whose activations are kept for the backward pass

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        """Start anew: allocate state of this shape, precision and device."""

    def check(self, dropout: float) -> None:
        """Raise `BadInput` where the networks are none that it can weigh."""

    def read(
        self,
        outputs: Float[Tensor, "R B T"],
        binary: Bool[Tensor, "*any T"],
        valid: Bool[Tensor, "R B"],
        again: Callable[[], Float[Tensor, "R B T"]],
    ) -> Float[Tensor, "R B T"]:
        """What the losses of a batch are of: the networks' outputs, or something made of them and
        of more passes of the same batch (with other dropout), with graph.
        """
        return outputs

    def predict(
        self,
        outputs: Float[Tensor, "R N T"],
        binary: Bool[Tensor, "*any T"],
        draw: Callable[[], Float[Tensor, "R N T"]],
    ) -> Float[Tensor, "R N T"]:
        """What the networks' outputs on rows of validation or test say. `draw` gives numbers which,
        added to log odds, make their largest entry (their sign) a sample of the class.
        """
        return outputs

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        """The weight of every task's loss in this step; may carry a graph to own parameters, or to
        the decoder's.
        """
        raise NotImplementedError

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        """Terms of the objective that multiply no task loss."""
        return step.losses.new_zeros(len(step.losses))

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        """Update own state from the numbers of this step (the networks have not moved yet)."""


class Uniform(Weighter):
    """w_t = 1: plain multi-task learning (Caruana, 1997), or single-task learning on one task."""

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return torch.ones_like(step.losses)


class Fixed(Weighter):
    """Given weights that never change: scalarisation.

    Args:
        weights: `[R, T]`, one row a replica.
    """

    def __init__(self, weights: Float[Tensor, "R T"]) -> None:
        super().__init__()
        self.given = weights

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.given = self.given.to(like).expand_as(like)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return self.given


class LBTW(Weighter):
    """Loss-balanced task weighting: w_t = (L_t / L0_t) ** alpha.

    Liu, Liang and Gitter (AAAI-19), Algorithm 1.

    Args:
        alpha: 0 or more; one number or one a replica.
        reference: where L0 comes from: "epoch" = the first batch of each epoch in which the task
            has a label (Algorithm 1), "training" = the first of all training, "average" = the
            moving average of the losses so far.
        normalise: scale the weights so that the labelled tasks' mean is 1. The authors' published
            code does (True); Algorithm 1 does not (False).
        momentum: of the moving average.
    """

    def __init__(
        self,
        alpha: float | Sequence[float] | Tensor,
        reference: Literal["epoch", "training", "average"] = "epoch",
        normalise: bool = True,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.alpha = alpha_column(alpha)
        self.kind, self.normalise, self.momentum = reference, normalise, momentum

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.alpha = self.alpha.to(like)
        self.reference = torch.full_like(like, torch.nan)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        loss = step.losses
        if self.kind == "epoch":
            self.reference[step.first_batch] = torch.nan
        new = step.labelled & self.reference.isnan()
        self.reference = torch.where(new, loss, self.reference)
        ratio = torch.where(self.reference > 0, loss / self.reference, 1.0)
        weights = ratio.pow(self.alpha)
        if self.normalise:
            kept = torch.where(step.labelled, weights, 0.0)
            weights = weights * step.labelled.sum(1, keepdim=True) / positive(kept.sum(1, True))
        return weights

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        if self.kind == "average":
            moved = self.reference.lerp(step.losses, 1 - self.momentum)
            self.reference = torch.where(step.labelled, moved, self.reference)


class RMTL(Weighter):
    """w_j = max(0, cos(g_target, g_j)), g_j the gradient of L_j at task j's own head weights.

    Liu (2018, thesis TR1854) and the code published with Liu, Liang and Gitter (AAAI-19): the
    focused task weighs 1, a task whose gradient points elsewhere weighs nothing.

    Args:
        target: the focused task's number; one, or one a replica.
    """

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


class GradNorm(Weighter):
    """Weights that pull every task's gradient norm at the last shared layer towards
    mean(G) * r_t ** alpha, with G_t = w_t |dL_t/dW|, r_t = (L_t/L0_t) / mean(L/L0).

    Chen, Badrinarayanan, Lee and Rabinovich (ICML 2018), equation (2) and Algorithm 1: the target
    is a constant, only w is moved by it, and w is renormalised to sum to T. A task that trains
    slowly (large r_t) is pushed up. Tasks without a label in the batch are left out of the means,
    the force and the renormalisation; L0 is a task's loss at first sight.

    Args:
        alpha: 0 or more, the restoring force's asymmetry; one number or one a replica.
        learning_rate: of w's own Adam (the paper's 0.025).
        floor: the smallest weight.
    """

    def __init__(
        self,
        alpha: float | Sequence[float] | Tensor,
        learning_rate: float = 0.025,
        floor: float = 1e-3,
    ) -> None:
        super().__init__()
        self.alpha = alpha_column(alpha)
        self.rate, self.floor = learning_rate, floor

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.alpha = self.alpha.to(like)
        self.initial = torch.full_like(like, torch.nan)
        self.w = torch.ones_like(like)
        self.adam = Adam([Group([self.w], self.rate)], fused=False)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return self.w.clone()

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        loss, seen, norms = step.losses, step.labelled, step.trunk_gradient_norms
        self.initial = torch.where(seen & self.initial.isnan(), loss, self.initial)
        ratio = torch.where(seen, loss / positive(self.initial), 0.0)
        count = seen.sum(1, keepdim=True).clamp_min(1)
        inverse_rate = ratio / positive(ratio.sum(1, keepdim=True) / count)
        w = self.w.clone()
        grown = w * norms
        mean = torch.where(seen, grown, 0.0).sum(1, keepdim=True) / count
        force = (grown - mean * inverse_rate.pow(self.alpha)).sign() * norms
        self.w.grad = torch.where(seen, force, 0.0)
        self.adam.step()
        moved = torch.where(seen, self.w.clamp_min(self.floor), 0.0)
        share = torch.where(seen, w, 0.0).sum(1, keepdim=True) / positive(moved.sum(1, True))
        self.w.copy_(torch.where(seen, moved * share, w))


class Uncertainty(Weighter):
    """w_t = exp(-s_t) (half of it for regression), s_t = log sigma_t^2 learned with the network.

    Kendall, Gal and Cipolla (CVPR 2018), equations (7) and (10): the objective is
    exp(-s) L / 2 + s / 2 for regression and exp(-s) L + s / 2 for classification.

    Args:
        learning_rate: of s, with the network's Adam. It decides whether s is learned in time.
        bound: s stays within +-bound; without a bound the objective has none from below once a
            loss goes to zero.
    """

    def __init__(self, learning_rate: float = 0.025, bound: float = 8.0) -> None:
        super().__init__()
        self.learning_rate, self.bound = learning_rate, bound

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.log_variance = nn.Parameter(torch.zeros_like(like))

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        with torch.no_grad():
            self.log_variance.clamp_(-self.bound, self.bound)
        return torch.where(step.binary, 1.0, 0.5) * torch.exp(-self.log_variance)

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        return 0.5 * torch.where(step.labelled, self.log_variance, 0.0).sum(1)


class DWA(Weighter):
    """Dynamic weight average: w = T softmax(r / temperature), r_t = L_t(e-1) / L_t(e-2), the mean
    losses of the last two epochs; 1 before there are two.

    Liu, Johns and Davison (CVPR 2019), equation (7).
    """

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.sum, self.count = torch.zeros_like(like), torch.zeros_like(like)
        self.last, self.before = torch.full_like(like, torch.nan), torch.full_like(like, torch.nan)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        new = step.first_batch.unsqueeze(1) & (step.epoch > 0).unsqueeze(1)
        mean = torch.where(self.count > 0, self.sum / self.count.clamp_min(1), self.last)
        self.before = torch.where(new, self.last, self.before)
        self.last = torch.where(new, mean, self.last)
        self.sum, self.count = (torch.where(new, 0.0, a) for a in (self.sum, self.count))
        rate = torch.nan_to_num(self.last / positive(self.before), nan=1.0)
        return rate.shape[1] * torch.softmax(rate / self.temperature, dim=1)

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        self.sum = self.sum + torch.where(step.labelled, step.losses, 0.0)
        self.count = self.count + step.labelled


class RandomWeights(Weighter):
    """w = T softmax(z), z standard normal, drawn anew for every batch.

    Lin, Ye, Zhang and Tsang (TMLR 2022): the control that any weighter has to beat.
    """

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        tasks = step.losses.shape[1]
        return tasks * torch.softmax(step.noise.normal(tasks), dim=1)


class Shuffled(Weighter):
    """Another weighter's weights, dealt at random among the labelled tasks of every batch.

    A control: what a weighter gains by knowing which task is which, this one loses.
    """

    def __init__(self, weighter: Weighter) -> None:
        super().__init__()
        self.weighter = weighter
        self.learning_rate, self.decodes = weighter.learning_rate, weighter.decodes

    def check(self, dropout: float) -> None:
        self.weighter.check(dropout)

    def read(
        self, outputs: Tensor, binary: Tensor, valid: Tensor, again: Callable[[], Tensor]
    ) -> Float[Tensor, "R B T"]:
        return self.weighter.read(outputs, binary, valid, again)

    def predict(
        self, outputs: Tensor, binary: Tensor, draw: Callable[[], Tensor]
    ) -> Float[Tensor, "R N T"]:
        return self.weighter.predict(outputs, binary, draw)

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.weighter.reset(like)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        given = self.weighter.weights(step)
        place = torch.arange(given.shape[1], device=given.device).to(given)
        last = torch.where(step.labelled, 0.0, 2.0 * given.shape[1])  # unlabelled tasks stay put
        order = (last + place).argsort(dim=1)
        dealt = torch.where(step.labelled, step.noise.uniform(given.shape[1]), last + place)
        return given.scatter(1, order, given.gather(1, dealt.argsort(dim=1)))

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        return self.weighter.penalty(step)

    def after(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        self.weighter.after(step, weights)


def alpha_column(
    alpha: float | Sequence[float] | Tensor, name: str = "alpha"
) -> Float[Tensor, "R 1"]:
    """Alpha as a column over replicas, finite and not negative, or one line that says so."""
    try:
        column = torch.as_tensor(alpha, dtype=torch.float64).reshape(-1, 1)
    except (TypeError, ValueError, RuntimeError):
        raise BadInput(f"{name} {alpha!r}: must be a number, 0 or more") from None
    bad = column[~(column.isfinite() & (column >= 0))]
    if len(bad) or not len(column):
        raise BadInput(f"{name} {bad[0].item() if len(bad) else alpha!r}: must be 0 or more")
    return column


def positive(x: Tensor) -> Tensor:
    """x, kept away from zero for a division, without touching any number that can matter."""
    return x.clamp_min(torch.finfo(x.dtype).tiny)
