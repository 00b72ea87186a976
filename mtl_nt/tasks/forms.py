"""What a target is: the kinds that there are, and how labels were made from what was measured."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

TaskKind = Literal["binary", "regression", "classes"]
KINDS: tuple[str, ...] = get_args(TaskKind)
Logarithm = Literal["", "log10(y)", "log10(1 + y)"]
MOST_DIGITS = 300.0  # of a number that is given back in the unit in which it was measured


class TargetForm(NamedTuple):
    """How the labels of a task were made from what was measured.

    Attributes:
        offset: what was taken off, before labels far from 0 were rounded to single precision.
        log: the logarithm that was taken; nothing where the labels are what was measured.

    >>> form = TargetForm(log="log10(1 + y)")
    >>> form.measured(np.array([0.0, 2.0])).tolist()
    [0.0, 99.0]
    """

    offset: float = 0.0
    log: Logarithm = ""

    def measured(self, labels: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Labels, or predictions of them, in the unit in which the target was measured.

        What has a logarithm is not below 0, and no prediction of it is. What is too large for a
        number is as large as a number can be.
        """
        if not self.log:
            return labels + self.offset
        power = 10.0 ** np.minimum(labels, MOST_DIGITS)
        return np.maximum(power - 1.0, 0.0) if self.log == "log10(1 + y)" else power
