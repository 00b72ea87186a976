"""Whether two runs split the same rows: this is seen, whatever their data say of themselves.

A row is known again by its features, its targets or both: by their numbers, by their ranks, which
no scaling changes, by numbers that are a straight line of the other run's (`scaled_rows`), or by
lying nearer than chance explains, as after an imputer, bins or a transformer (`twin_rows`).

Features that are mixed anew (as by PCA) tell nothing where targets are few-valued and rows in
another order. Where every combination of labels is as frequent in both runs, and neither chance nor
a balanced design explains it, we ask whether the rows are the same.

What is not seen: mixed features of one or two binary tasks; of a part of the rows, mixed features,
splines, the best columns, and one or two features that are not merely scaled; few-valued features
of a part of the rows; and runs that share less than half of their rows. Call such a split free
yourself: `Split(..., kind="free")`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..bits import Bits
from ..errors import BadInput
from ..networks import generator
from ..tasks import Split, TaskData
from .scaled_rows import pair_scaled_rows
from .twin_rows import pair_twins

SHARED = 0.5  # of the rows, from which two runs are not independent
DISTINCT = 0.9  # of the rows, from which targets alone, or features alone, tell one from another
HALF = 0.5  # of the rows, from which both together do: a bootstrap draws some rows again
MOST_RANKED = 300_000  # rows of a run whose ranks are taken
MOST_PAIRED = 100_000  # rows of a run that are paired with another run's
COLUMNS = 64  # features, and as many targets, of which ranks are taken, or that are paired
WIDEST = 2_000  # features, and as many targets, among which equal ones are sought
MOST_CELLS = 20_000_000  # of features, or of targets, in which this is done
CHANCE = 0.1  # of the rows, up to which ranks may agree between rows that are surely different
MOST_COMPARED = 256  # rows whose distances are compared
MOVED = 0.02  # of the twins, from which rows are split differently: few twins are strangers
COINCIDENCE = 1e-6  # chance of labels as frequent in new rows, below which we ask
LIE_ALIKE = 0.5  # correlation of distances: chance gives up to .3, the same rows .9


def is_resplit(run: TaskData, other: TaskData) -> bool:
    """Whether half of the rows of two runs are the same, and are split differently.

    The rows may be in any order, and changed by what was fitted to the rows of their own split.

    Raises:
        BadInput: labels say so and features do not, and the split says not what a seed changes.

    >>> from mtl_nt import load
    >>> digits, dial = load("digits"), load("dial")
    >>> is_resplit(digits, digits), is_resplit(dial, dial.for_seed(1))
    (False, False)
    """
    one, two = run.split, other.split
    names = _common_names(run, other)
    if names is not None:
        return not (
            _are_alike(names[0][one.train], names[1][two.train])
            and _are_alike(names[0][one.test], names[1][two.test])
        )
    most = max(len(run.y), len(other.y))
    if most <= MOST_PAIRED:
        for a, b in _tables(run, other, COLUMNS):
            if (scaled := pair_scaled_rows(a, b, SHARED)) is not None:
                first, second, every = scaled
                return not every or bool(_moved(first, second, one, two).any())
        for a, b in _tables(run, other, max(COLUMNS, min(WIDEST, MOST_CELLS // max(most, 1)))):
            if (twins := pair_twins(a, b, SHARED)) is not None:
                return float(_moved(*twins, one, two).double().mean()) > MOVED
    if one.kind == two.kind == "fixed" and _labels_coincide(run, other):
        raise BadInput(
            f"data set {run.name!r:.60}: two runs have other features, but every combination of "
            "labels equally often; say Split(..., kind='free') if they split the same rows, or "
            "kind='new data' if their rows are new"
        )
    return False


def _moved(
    first: Int[Tensor, " S"], second: Int[Tensor, " S"], one: Split, two: Split
) -> Bool[Tensor, " S"]:
    """Which of the rows that two runs share are in another part of the split."""
    parts = ((one.train, two.train), (one.test, two.test))
    moved = [torch.isin(first, mine) != torch.isin(second, its) for mine, its in parts]
    return moved[0] | moved[1]


def _common_names(
    run: TaskData, other: TaskData
) -> tuple[Float[Tensor, " N"], Float[Tensor, " M"]] | None:
    """A number for each row of both runs, which is the same for the same row; None where they
    share less than half of their rows, as far as numbers and ranks say.
    """
    if len(run.y) == len(other.y) and (
        _is_same(run.x, other.x) or (_is_same(run.y, other.y) and _lie_alike(run, other))
    ):
        return (torch.arange(len(run.y)).double(),) * 2
    for one, two, tells in _names(run, other):
        if _tell_common_rows(one, two, tells):
            return one, two
    if len(run.y) == len(other.y):
        ranks = _rank_names(run.x, run.y), _rank_names(other.x, other.y)
        for place, ((one, tells), (two, _)) in enumerate(zip(*ranks, strict=True)):
            if _tell_common_rows(one, two, tells) and not _agree_by_chance(run, place):
                return one, two
    return None


def _names(
    run: TaskData, other: TaskData
) -> Iterator[tuple[Float[Tensor, " N"], Float[Tensor, " M"], bool]]:
    """Numbers for the rows of both runs, and whether they tell rows even where some repeat."""
    x, y = (_features(run.x), _features(other.x)), (_targets(run.y), _targets(other.y))
    yield x[0] + y[0], x[1] + y[1], True
    yield *y, False
    yield *x, False


def _tell_common_rows(one: Float[Tensor, " N"], two: Float[Tensor, " M"], tells: bool) -> bool:
    """Whether half of the numbers are common to both, and tell rows apart."""
    if tells and _are_alike(one, two):
        return True
    enough = HALF if tells else DISTINCT
    return _share(one, two) >= SHARED and min(_distinct(one), _distinct(two)) >= enough


def _rank_names(
    x: Tensor | Bits, y: Float[Tensor, "N T"]
) -> list[tuple[Float[Tensor, " N"], bool]]:
    """Numbers for rows that no scaling changes: by ranks of features, of targets, and of both."""
    of_x = _features(x) if isinstance(x, Bits) or len(x) > MOST_RANKED else _ranks(x.flatten(1))
    ranks = of_x, _ranks(y)
    both = ranks[0] + _targets(y), ranks[0] + math.pi * ranks[1]
    return [*((names, True) for names in both), *((names, False) for names in ranks)]


def _agree_by_chance(run: TaskData, place: int) -> bool:
    """Whether these names agree between the halves of one run, whose rows are surely different.

    Ranks of a single column, or of columns that rise together, are those of any other rows too.
    """
    order = torch.from_numpy(generator(0, "search").permutation(len(run.y)))
    half = len(order) // 2
    names = [
        _rank_names(run.x.take(rows) if isinstance(run.x, Bits) else run.x[rows], run.y[rows])
        for rows in (order[:half], order[half : 2 * half])
    ]
    return _share(names[0][place][0], names[1][place][0]) > CHANCE


def _lie_alike(run: TaskData, other: TaskData) -> bool:
    """Whether rows with equal targets lie as far from each other in both runs.

    New rows may be drawn for the same labels in the same order: then their distances are new. The
    same rows keep them, more or less, when their features are scaled, or mixed as by PCA.
    """
    rows = torch.from_numpy(generator(0, "search").permutation(len(run.y))[:MOST_COMPARED])
    kinds = run.y[rows].nan_to_num(nan=math.inf).unique(dim=0, return_inverse=True)[1]
    alike = (kinds[:, None] == kinds).triu(1)
    if int(alike.sum()) < len(rows) // 2:
        return True  # the targets tell the rows apart
    far = []
    for x in (run.x, other.x):
        some = (x.take(rows).to_dense() if isinstance(x, Bits) else x[rows]).flatten(1).double()
        some = (some - some.mean(0)) / some.std(0).clamp(min=1e-12)
        far.append(torch.cdist(some, some)[alike])
    return not bool(torch.corrcoef(torch.stack(far))[0, 1] < LIE_ALIKE)


def _tables(run: TaskData, other: TaskData, columns: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Features and targets of both runs, then targets alone, then features alone.

    So many columns of each, at most; features of bits and targets with missing labels are left out.
    """
    whole = run.y.isfinite().all(0) & other.y.isfinite().all(0)
    tables = []
    for data in (run, other):
        y = data.y[:, whole]
        x = y[:, :0] if isinstance(data.x, Bits) else data.x.flatten(1)
        x, y = x[:, _some(x.shape[1], columns)], y[:, _some(y.shape[1], columns)]
        tables.append((torch.cat([x, y], 1), *((y, x) if whole.any() else ())))
    yield from zip(*tables, strict=True)


def _labels_coincide(run: TaskData, other: TaskData) -> bool:
    """Whether every combination of labels is as frequent in both runs, but not in their parts.

    Fresh draws of labels have equal counts by chance, with a probability that follows from the
    counts: 1e-9 for 300 rows of three balanced tasks, .03 for one task. None of 2,215 pairs of
    fresh draws (1 to 12 tasks, 20 to 300 rows) was taken for the same rows. Combinations that are
    equally frequent among each other are a design, and so are labels in one order for all runs.
    """
    classes = torch.tensor([kind != "regression" for kind in run.kinds])
    one, two = run.y[:, classes], other.y[:, classes]
    if one.shape != two.shape or len(one) > MOST_RANKED or _is_same(run.y, other.y):
        return False
    names = _targets(one), _targets(two)
    parts = names[0][run.split.train], names[1][other.split.train]
    if not _are_alike(*names) or _are_alike(*parts):
        return False
    many = one.nan_to_num(nan=math.inf).unique(dim=0, return_counts=True)[1].double()
    designed = many.min() > 1 and many.max() - many.min() <= 1
    # two Poisson counts of mean m are equal with probability exp(-2m) I0(2m)
    log_chance = torch.special.i0e(2 * many).log().sum() - torch.special.i0e(2 * many.sum()).log()
    return not designed and bool(log_chance < math.log(COINCIDENCE))


def _some(columns: int, most: int = COLUMNS) -> Int[Tensor, " C"]:
    return torch.from_numpy(generator(0, "search").permutation(columns)[:most])


def _features(x: Tensor | Bits) -> Float[Tensor, " N"]:
    """A sum of each row's features with random weights."""
    weights = _weights(math.prod(x.shape[1:]))
    if isinstance(x, Bits):
        sums = torch.zeros(len(x), dtype=torch.float64)
        return sums.index_add_(0, x.row, weights[x.on.long()])
    return x.flatten(1).double() @ weights


def _ranks(columns: Float[Tensor, "N C"]) -> Float[Tensor, " N"]:
    """The same sum of each number's rank in its column; equal numbers have their first rank."""
    some = columns[:, _some(columns.shape[1])]
    values = some.T.double().nan_to_num(nan=math.inf).contiguous()
    ranks = torch.searchsorted(values.sort(1).values, values)
    return _weights(len(values)) @ ranks.double()


def _targets(y: Float[Tensor, "N T"]) -> Float[Tensor, " N"]:
    """A sum of each row's targets with random weights."""
    return y.double().nan_to_num(nan=-1.0) @ _weights(y.shape[1] + 1)[1:]


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
