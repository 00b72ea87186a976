"""Whether two runs split the same rows: this is seen, whatever their data say of themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..bits import Bits
from ..networks import generator
from ..tasks import TaskData

SHARED = 0.5  # of the rows, from which two runs are not independent
DISTINCT = 0.9  # of the rows, from which targets alone, or features alone, tell one from another
HALF = 0.5  # of the rows, from which both together do: a bootstrap draws some rows again
MOST_RANKED = 20_000_000  # features of a run whose ranks are taken


def is_resplit(run: TaskData, other: TaskData) -> bool:
    """Whether half of the rows of two runs are the same, and are split differently.

    The rows may be in any order, and scaled by the training rows of their own split.

    >>> from mtl_nt import load
    >>> digits, dial = load("digits"), load("dial")
    >>> is_resplit(digits, digits), is_resplit(dial, dial.for_seed(1))
    (False, False)
    """
    names = _common_names(run, other)
    if names is None:
        return False
    one, two = run.split, other.split
    return not (
        _are_alike(names[0][one.train], names[1][two.train])
        and _are_alike(names[0][one.test], names[1][two.test])
    )


def _common_names(
    run: TaskData, other: TaskData
) -> tuple[Float[Tensor, " N"], Float[Tensor, " M"]] | None:
    """A number for each row of both runs, which is the same for the same row; None where they
    share less than half of their rows.
    """
    if len(run.y) == len(other.y) and (_is_same(run.x, other.x) or _is_same(run.y, other.y)):
        return (torch.arange(len(run.y)).double(),) * 2
    for one, two, tells in _names(run, other):
        if tells and _are_alike(one, two):
            return one, two
        enough = HALF if tells else DISTINCT
        if _share(one, two) >= SHARED and min(_distinct(one), _distinct(two)) >= enough:
            return one, two
    return None


def _names(
    run: TaskData, other: TaskData
) -> Iterator[tuple[Float[Tensor, " N"], Float[Tensor, " M"], bool]]:
    """Numbers for the rows of both runs, and whether they tell rows even where some repeat."""
    x, y = (_features(run.x), _features(other.x)), (_targets(run), _targets(other))
    yield x[0] + y[0], x[1] + y[1], True
    yield *y, False
    yield *x, False
    dense = isinstance(run.x, Tensor) and isinstance(other.x, Tensor)
    if dense and run.x.shape == other.x.shape and math.prod(run.x.shape) <= MOST_RANKED:
        yield _ranks(run) + y[0], _ranks(other) + y[1], True  # which no scaling changes


def _features(x: Tensor | Bits) -> Float[Tensor, " N"]:
    """A sum of each row's features with random weights."""
    weights = _weights(math.prod(x.shape[1:]))
    if isinstance(x, Bits):
        sums = torch.zeros(len(x), dtype=torch.float64)
        return sums.index_add_(0, x.row, weights[x.on.long()])
    return x.flatten(1).double() @ weights


def _ranks(run: TaskData) -> Float[Tensor, " N"]:
    """The same sum of each feature's rank among the rows; equal values have their first rank."""
    assert isinstance(run.x, Tensor)
    columns = run.x.flatten(1).T.double().contiguous()
    ranks = torch.searchsorted(columns.sort(1).values, columns)
    return _weights(len(columns)) @ ranks.double()


def _targets(run: TaskData) -> Float[Tensor, " N"]:
    """A sum of each row's targets with random weights."""
    return run.y.double().nan_to_num(nan=-1.0) @ _weights(run.y.shape[1] + 1)[1:]


def _weights(count: int) -> Float[Tensor, " F"]:
    return torch.from_numpy(generator(0, "search").standard_normal(count))


def _is_same(one: Tensor | Bits, other: Tensor | Bits) -> bool:
    """Whether two tables are equal, cell by cell."""
    if one is other:
        return True
    if isinstance(one, Bits) or isinstance(other, Bits) or one.shape != other.shape:
        return False
    return torch.equal(one.nan_to_num(nan=math.inf), other.nan_to_num(nan=math.inf))


def _are_alike(one: Float[Tensor, " N"], other: Float[Tensor, " M"]) -> bool:
    """Whether two sets of numbers are those of the same rows, but for rounding."""
    one, other = one.sort().values, other.sort().values
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=_rounding(one))


def _share(one: Float[Tensor, " N"], other: Float[Tensor, " M"]) -> float:
    """The share of the numbers of one that are among those of the other, but for rounding."""
    ordered = other.sort().values
    after = torch.searchsorted(ordered, one - _rounding(one)).clamp(max=len(ordered) - 1)
    return float(((ordered[after] - one).abs() <= _rounding(one)).double().mean())


def _distinct(names: Float[Tensor, " N"]) -> float:
    """The share of the numbers that differ from the next smaller one."""
    gaps = names.sort().values.diff()
    return float((gaps > _rounding(names)).double().mean()) if len(gaps) else 1.0


def _rounding(names: Float[Tensor, " N"]) -> float:
    return 1e-9 * max(float(names.abs().max()), 1e-300)
