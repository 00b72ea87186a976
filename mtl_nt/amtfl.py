"""The AMTFL family: tasks that are sure of themselves shape the shared features more.

Notation of Lee, Yang and Hwang (ICML 2018): L is the trunk, S the heads' weights, A the decoder
that reads the features h back from the outputs o. Row a_t of A is what task t offers to all; a
task with a large loss pays dearly for it, so it offers little. The decay of L,
lambda / 2 |weights and biases of the trunk|^2, is the recipe's `weight_decay` with `decay="trunk"`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .tasks import BadInput, is_number, is_whole, nearest
from .weighters import Step, Weighter, alpha_column

Reading = Literal["outside", "inside", "temperature", "sample", "variance"]
READINGS: tuple[Reading, ...] = get_args(Reading)


class SparseHeads(Weighter):
    """w_t = 1, and mu |S|_1 for the heads' weights S: "MTL-CNN" of Peres da Silva et al. (AAAI-21).

    Args:
        mu: 0 or more.
    """

    def __init__(self, mu: float = 1e-4) -> None:
        super().__init__()
        self.mu = _not_negative("mu", mu)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return torch.ones_like(step.losses)

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        return self.mu * step.head.abs().sum((1, 2))


class Balanced(Weighter):
    """w_t = mean(N) / N_t, N_t the training labels; of exclusive tasks, the class's rows."""

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return step.support.mean(1, keepdim=True) / step.support


class AMTFL(SparseHeads):
    """w_t = 1 + alpha |a_t|_1: asymmetric multi-task feature learning ("Deep-AMTFL").

    Lee, Yang and Hwang (ICML 2018, equation 9), as their published code computes it:

        sum_t (1 + alpha |a_t|_1) (L_t + c / sqrt(N_t / mean N))
        + gamma mean_batch |h - relu(o A + b)|^2 + mu |S|_1 + lambda / 2 |trunk|^2.

    Args:
        alpha: 0 or more, the price of offering features; one number or one a replica.
        gamma: 0 or more, of the reconstruction; one number or one a replica.
        mu: 0 or more, of the heads' weights.
        scarcity: c; what a task of few labels pays even at a loss of 0.
    """

    decodes = True

    def __init__(
        self,
        alpha: float | Sequence[float] | Tensor,
        gamma: float | Sequence[float] | Tensor = 0.01,
        mu: float = 1e-4,
        scarcity: float = 1e-3,
    ) -> None:
        super().__init__(mu)
        self.alpha, self.gamma = alpha_column(alpha), alpha_column(gamma, "gamma")
        self.scarcity = _not_negative("scarcity", scarcity)

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        self.alpha, self.gamma = self.alpha.to(like), self.gamma.to(like)

    def factor(self, step: Step) -> Float[Tensor, "R T"]:
        """1 + alpha |a_t|_1, with a graph to A."""
        return 1 + self.alpha * step.offered

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        return self.factor(step)

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        share = step.support / step.support.mean(1, keepdim=True)
        scarce = torch.where(step.labelled, self.scarcity * share.rsqrt(), 0.0)
        paid = (self.factor(step) * scarce).sum(1)
        return super().penalty(step) + paid + self.gamma[:, 0] * step.reconstruction


class UAMTFL(AMTFL):
    """Deep-AMTFL with every task's loss weighed by its learned uncertainty ("U-AMTFL").

    Peres da Silva, Suphavilai and Nagarajan (AAAI-21), equations (1) and (2), put Kendall's
    likelihoods (CVPR 2018) in the place of L_t: k exp(-s_t) L_t + s_t / 2 with s_t = log sigma_t^2
    and k = 1 for classification, 1/2 for regression. What they leave open is a `reading`. With
    f_t = 1 + alpha |a_t|_1 and c_t as in `AMTFL`, the terms of task t are

        "outside"      f_t (k exp(-s) L + c) + s / 2
        "inside"       f_t (k exp(-s) L + s / 2 + c), as the authors' later code places it (TUGDA,
                       Bioinformatics 2021)
        "temperature"  f_t (L(exp(-s) o) + c): equation (1) to the letter; classification's outputs
                       are divided by sigma^2, and no s / 2 is needed. Regression: as "outside"
        "sample"       trained as "temperature"; the predicted class is a sample of the probability
                       vector that equation (1) speaks of, not its largest entry
        "variance"     (f_t + v_t) (exp(-s) L + s + c), v_t the variance of the outputs over
                       `passes` dropout passes, L the loss of their mean: all of TUGDA's code, with
                       alpha 1, and as dear as it sounds

    As a loss goes to 0, every one falls without end with s, but for "temperature"; so |s| is
    bounded. "inside" and "variance" then still fall without end with |a_t|_1 where s < 0: a sure
    task is paid for offering more. So f_t (+ v_t) is bounded, too, and the objective is at least
    -T bound / 2 ("outside"), -T bound limit / 2 ("inside") or -T bound limit ("variance"). With
    bounds of infinity one can watch it happen.

    Args:
        alpha, gamma, mu, scarcity: see `AMTFL`.
        reading: see above.
        learning_rate: of s; None is the network's. It decides whether s is learned in time.
        bound: s stays within +-bound.
        limit: f_t is taken for so much at most, and then pulls at A no longer.
        initial: of s, one number or one a task.
        passes: of "variance"; it needs a recipe with dropout.
    """

    def __init__(
        self,
        alpha: float | Sequence[float] | Tensor,
        gamma: float | Sequence[float] | Tensor = 0.01,
        mu: float = 1e-4,
        scarcity: float = 1e-3,
        reading: Reading = "outside",
        learning_rate: float | None = None,
        bound: float = 8.0,
        limit: float = 100.0,
        initial: float | Sequence[float] | Tensor = 0.0,
        passes: int = 50,
    ) -> None:
        super().__init__(alpha, gamma, mu, scarcity)
        if reading not in READINGS:
            raise BadInput(f"unknown reading {reading!r}; {nearest(reading, READINGS)}")
        if not is_whole(passes, 2):
            raise BadInput(f"passes {passes!r}: must be a whole number, 2 or more")
        self.reading, self.learning_rate = reading, learning_rate
        self.bound, self.limit = bound, limit
        self.passes = passes if reading == "variance" else 1
        self.initial = torch.as_tensor(initial, dtype=torch.float64)

    @property
    def tempered(self) -> bool:
        """Whether the uncertainty is a temperature of classification's outputs."""
        return self.reading in ("temperature", "sample")

    def reset(self, like: Float[Tensor, "R T"]) -> None:
        super().reset(like)
        self.log_variance = nn.Parameter(self.initial.to(like).expand_as(like).clone())
        self.spread = torch.zeros_like(like)  # v_t

    def read(
        self,
        outputs: Float[Tensor, "R B T"],
        binary: Bool[Tensor, "*any T"],
        valid: Bool[Tensor, "R B"],
        again: Callable[[], Float[Tensor, "R B T"]],
    ) -> Float[Tensor, "R B T"]:
        with torch.no_grad():
            self.log_variance.clamp_(-self.bound, self.bound)
        if self.reading == "variance":
            several = torch.stack([outputs, *(again() for _ in range(self.passes - 1))])
            row = valid.unsqueeze(2).to(outputs.dtype)
            self.spread = (several.var(0) * row).sum(1) / row.sum(1)
            return several.mean(0)
        return self._tempered(outputs, binary) if self.tempered else outputs

    def predict(
        self,
        outputs: Float[Tensor, "R N T"],
        binary: Bool[Tensor, "*any T"],
        draw: Callable[[], Float[Tensor, "R N T"]],
    ) -> Float[Tensor, "R N T"]:
        if not self.tempered:
            return outputs
        found = self._tempered(outputs, binary)
        return torch.where(binary, found + draw(), found) if self.reading == "sample" else found

    def _tempered(self, outputs: Tensor, binary: Tensor) -> Tensor:
        inverse = torch.exp(-self.log_variance).unsqueeze(1)
        return outputs * torch.where(binary, inverse, 1.0)

    def factor(self, step: Step) -> Float[Tensor, "R T"]:
        factor = super().factor(step)
        if self.reading == "variance":
            factor = factor + self.spread
        return factor.clamp(max=self.limit)

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        inverse = torch.exp(-self.log_variance)
        if self.reading != "variance":
            classes = 1.0 if self.tempered else inverse
            inverse = torch.where(step.binary, classes, 0.5 * inverse)
        return self.factor(step) * inverse

    def penalty(self, step: Step) -> Float[Tensor, " R"]:
        own = torch.where(step.labelled, self.log_variance, 0.0)
        if self.tempered:
            own = torch.where(step.binary, 0.0, 0.5 * own)
        elif self.reading == "outside":
            own = 0.5 * own
        else:
            own = self.factor(step) * own * (0.5 if self.reading == "inside" else 1.0)
        return super().penalty(step) + own.sum(1)

    def check(self, dropout: float) -> None:
        if self.reading == "variance" and not dropout > 0:
            raise BadInput("reading 'variance' needs dropout; set one above 0, or read otherwise")


def _not_negative(name: str, value: float) -> float:
    if not is_number(value) or value < 0:
        raise BadInput(f"{name} {value!r}: must be a number, 0 or more")
    return float(value)
