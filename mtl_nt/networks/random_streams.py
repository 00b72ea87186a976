"""Random number streams that belong to a seed and a purpose, never to a place in a stack.

Replicas that share a seed share their random numbers. So methods are compared on the same initial
weights, batches and dropout masks. A replica gets the same numbers whichever others train beside
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

Purpose = Literal[
    "weights", "batches", "dropout", "weighter", "data", "split", "search", "prediction", "body"
]
_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

RESEED_OFFSET = 1_000_000
"""Added to a run's seed, it gives the same run another initialisation and batch order (STL')."""


def generator(seed: int, purpose: Purpose) -> np.random.Generator:
    """A new NumPy generator, at the start of the stream that `seed` has for `purpose`.

    >>> generator(3, "data").random() == generator(3, "data").random()
    True
    >>> generator(3, "data").random() == generator(3, "split").random()
    False
    """
    return np.random.default_rng([seed, _PURPOSES.index(purpose)])


class RandomStreams:
    """One stream of random numbers per distinct seed, for tensors with a replica axis.

    Numbers are drawn once per seed and handed to every replica that has this seed.

    Args:
        seeds: one seed per replica.
        purpose: what the numbers are for; each purpose has its own stream.
        like: a tensor of the precision and on the device that the numbers shall have.

    >>> streams = RandomStreams([5, 2, 5], "dropout", torch.zeros(1))
    >>> drawn = streams.uniform(4)
    >>> drawn.shape, torch.equal(drawn[0], drawn[2]), torch.equal(drawn[0], drawn[1])
    (torch.Size([3, 4]), True, False)
    """

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

    def seeds(self) -> list[int]:
        """A seed for each replica, for a generator that draws all that is needed this time.

        >>> one, same, other = RandomStreams([5, 5, 2], "dropout", torch.zeros(1)).seeds()
        >>> one == same, one == other
        (True, False)
        """
        drawn = [int(torch.randint(2**62, (), generator=g)) for g in self._generators]
        return [drawn[place] for place in self._index.tolist()]

    def keep(self, dropout: float, *shape: int) -> Bool[Tensor, "R ..."]:
        """A dropout mask `[R, *shape]`: True with probability 1 - dropout."""
        return (self._draw(torch.rand, shape) >= dropout)[self._index]

    def _draw(self, draw: object, shape: tuple[int, ...]) -> Tensor:
        # Drawn in float32 on the CPU, so that every precision and device sees the same numbers.
        drawn = torch.stack([draw(shape, generator=g) for g in self._generators])  # type: ignore[operator]
        return drawn.to(self._like)
