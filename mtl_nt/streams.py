"""Random numbers that belong to a seed and a purpose, never to a place in a stack.

Replicas that share a seed share their numbers: methods are paired on the same initial weights,
batches and dropout masks, and a replica gets the same numbers whichever others train beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

Purpose = Literal[
    "weights", "batches", "dropout", "weighter", "data", "split", "search", "prediction"
]
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

RESEEDED = 1_000_000
"""Added to a run's seed, it gives the same run another initialisation and batch order (STL')."""


def generator(seed: int, purpose: Purpose) -> np.random.Generator:
    """The stream of numbers that `seed` has for `purpose`."""
    return np.random.default_rng([seed, _PURPOSES.index(purpose)])


class Noise:
    """One stream a distinct seed, drawn once and handed to every replica that has this seed."""

    def __init__(self, seeds: Sequence[int], purpose: Purpose, like: Tensor) -> None:
        distinct = sorted(set(seeds))
        self._generators = [
            torch.Generator().manual_seed(int(generator(s, purpose).integers(2**62)))
            for s in distinct
        ]
        self._index = torch.tensor([distinct.index(s) for s in seeds], device=like.device)
        self._like = like

    def uniform(self, *shape: int) -> Float[Tensor, "R ..."]:
        """Numbers in [0, 1), `[R, *shape]`."""
        return self._draw(torch.rand, shape)[self._index]

    def normal(self, *shape: int) -> Float[Tensor, "R ..."]:
        """Standard normal numbers, `[R, *shape]`."""
        return self._draw(torch.randn, shape)[self._index]

    def keep(self, dropout: float, *shape: int) -> Bool[Tensor, "R ..."]:
        """A dropout mask `[R, *shape]`: True with probability 1 - dropout."""
        return (self._draw(torch.rand, shape) >= dropout)[self._index]

    def _draw(self, draw: object, shape: tuple[int, ...]) -> Tensor:
        # Drawn in float32 on the CPU, so that every precision and device sees the same numbers.
        drawn = torch.stack([draw(shape, generator=g) for g in self._generators])  # type: ignore[operator]
        return drawn.to(self._like)
