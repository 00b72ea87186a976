"""Tables of zeros and ones that are mostly zero, such as molecular fingerprints.

They are kept as lists of their ones and never become dense rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bits:
    """A table of zeros and ones that stores only where its ones are.

    It is like a matrix in CSR format (compressed sparse rows) without values.

    Args:
        on: the columns of the ones, row after row; in ascending order within a row, each once.
        starts: where every row's ones begin in `on`.
        shape: `(*rows, features)`; `starts` counts the rows of all leading axes as one axis.

    >>> bits = Bits.from_dense(torch.tensor([[True, False, True], [False, True, False]]))
    >>> bits.on.tolist(), bits.starts.tolist(), bits.shape
    ([0, 2, 1], [0, 2], (2, 3))
    >>> bits.take(torch.tensor([1, 1])).to_dense().tolist()
    [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """

    on: Int[Tensor, " ones"]
    starts: Int[Tensor, " rows"]
    shape: tuple[int, ...]

    @classmethod
    def from_dense(cls, dense: Bool[Tensor, "... F"]) -> Bits:
        """The table that is True where `dense` is."""
        flat = dense.reshape(-1, dense.shape[-1])
        return cls(flat.nonzero()[:, 1].int(), _starts(flat.sum(1)), tuple(dense.shape))

    @classmethod
    def concatenated(cls, tables: Sequence[Features]) -> Bits:
        """Tables one after another, and an empty row at the end that fills up ragged batches."""
        lists = [t for t in tables if isinstance(t, Bits)]
        lengths = torch.cat([*(t.lengths for t in lists), lists[0].starts.new_zeros(1)])
        shape = (len(lengths), lists[0].shape[-1])
        return cls(torch.cat([t.on for t in lists]), _starts(lengths), shape)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def device(self) -> torch.device:
        """The device of the lists."""
        return self.on.device

    @property
    def lengths(self) -> Int[Tensor, " rows"]:
        """How many ones every row has."""
        return self.starts.diff(append=self.starts.new_tensor([len(self.on)]))

    @property
    def row(self) -> Int[Tensor, " ones"]:
        """The row of every one; all leading axes count as one axis."""
        rows = torch.arange(len(self.starts), device=self.device)
        return rows.repeat_interleave(self.lengths, output_size=len(self.on))

    def to(self, device: str | torch.device) -> Bits:
        """The same table on another device."""
        return Bits(self.on.to(device), self.starts.to(device), self.shape)

    def take(self, rows: Int[Tensor, "..."]) -> Bits:
        """The rows with these numbers, as a table of the shape `(*rows.shape, features)`."""
        wanted = rows.flatten()
        lengths, begins = self.lengths[wanted], self.starts[wanted]
        starts = _starts(lengths)
        ones = int(lengths.sum())
        shift = (begins - starts).repeat_interleave(lengths, output_size=ones)
        on = self.on[shift + torch.arange(ones, device=self.device)]
        return Bits(on, starts, (*rows.shape, self.shape[-1]))

    def to_dense(self, dtype: torch.dtype = torch.float32) -> Float[Tensor, "... F"]:
        """The whole table as a tensor of zeros and ones."""
        out = torch.zeros(len(self.starts), self.shape[-1], dtype=dtype, device=self.device)
        out[self.row, self.on.long()] = 1
        return out.reshape(self.shape)

    def fault(self) -> str | None:
        """A line that says what is wrong with these lists, or None."""
        whole = {torch.int32, torch.int64}
        if not {self.on.dtype, self.starts.dtype} <= whole or self.on.ndim + self.starts.ndim != 2:
            return "bits: on and starts must be whole numbers, each of one axis"
        rows = math.prod(self.shape[:-1])
        if self.ndim < 2 or len(self.starts) != rows:
            return f"bits: {len(self.starts)} starts for a table of shape {self.shape}"
        if rows and (int(self.starts[0]) != 0 or (self.lengths < 0).any()):
            return "bits: starts must begin at 0 and never fall"
        if len(self.on) and not 0 <= int(self.on.min()) <= int(self.on.max()) < self.shape[-1]:
            return f"bits: a one lies outside the columns 0..{self.shape[-1] - 1}"
        same = self.row[1:] == self.row[:-1]
        if (same & (self.on[1:] <= self.on[:-1])).any():
            return "bits: a row's ones must be in ascending order, each once"
        return None


Features = Tensor | Bits


def _starts(lengths: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    return lengths.cumsum(0) - lengths
