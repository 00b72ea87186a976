"""U-AMTFL: Deep-AMTFL with a learned uncertainty per task.

The paper puts the likelihoods of Kendall, Gal and Cipolla (CVPR 2018) in the place of the loss L_t
of Deep-AMTFL:

    k exp(-s_t) L_t + s_t / 2,    s_t = log sigma_t^2,

with k = 1 for classification and k = 1/2 for regression. The paper leaves open where the second
term stands in the objective, and how a class is predicted. Each answer is a `reading`; see
`UAMTFL`.

Source: R. Peres da Silva, C. Suphavilai and N. Nagarajan, Task Uncertainty Loss Reduce Negative
Transfer in Asymmetric Multi-task Feature Learning, AAAI 2021, equations (1) and (2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import BadInput, is_whole_number, suggestion
from .amtfl import AMTFL
from .base import Step

Reading = Literal["outside", "inside", "temperature", "sample", "variance"]
READINGS: tuple[Reading, ...] = get_args(Reading)


class UAMTFL(AMTFL):
    """Deep-AMTFL in which every task's loss is weighed by the task's learned uncertainty.

    With f_t = 1 + alpha |a_t|_1 and c_t as in `AMTFL`, the terms of task t are, by reading:

        "outside"      f_t (k exp(-s) L + c) + s / 2
                       Once s is learned, offering a feature costs alpha / (2 f_t) whatever the
                       loss is. So the asymmetry of Deep-AMTFL is gone
        "inside"       f_t (k exp(-s) L + s / 2 + c), where the authors' later code places s (TUGDA,
                       Bioinformatics 2021)
        "temperature"  f_t (L(exp(-s) o) + c), which is equation (1) to the letter: the outputs of a
                       classification task are divided by sigma^2, and no s / 2 is needed.
                       Regression tasks are read as "outside"
        "sample"       trained as "temperature"; the predicted class is a sample of the probability
                       vector that equation (1) speaks of, not its largest entry
        "variance"     (f_t + v_t) (exp(-s) L + s + c), where v_t is the variance of the outputs
                       over several passes with dropout and L is the loss of their mean: the task
                       terms of TUGDA's code, with alpha 1. A step costs as much as its passes

    As a loss approaches 0, every reading but "temperature" falls without end with s. So |s| is
    bounded. "inside" and "variance" then still fall without end with |a_t|_1 where s < 0, since a
    task of small variance is paid for offering more. So the factor f_t (+ v_t) is bounded, too. The
    objective is then at least -T bound / 2 ("outside"), -T bound limit / 2 ("inside") or
    -T bound limit ("variance"). With infinite bounds one can watch it fall.

    Args:
        alpha, gamma, mu, scarcity: see `AMTFL`.
        reading: see above.
        learning_rate: of s; None takes the network's. It decides whether s is learned within the
            training.
        bound: s stays between -bound and bound.
        limit: the largest factor f_t. A factor above it counts as the limit and no longer moves A.
        initial: the first value of s, one number or one for each task.
        passes: of "variance", which needs a recipe with dropout; 2 or more.

    Raises:
        BadInput: an unknown reading, or a number out of its range.

    >>> UAMTFL(alpha=0.1, reading="outsid")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: unknown reading 'outsid'; did you mean 'outside' or 'inside'?
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
            raise BadInput(f"unknown reading {reading!r}; {suggestion(reading, READINGS)}")
        if not is_whole_number(passes, 2):
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
