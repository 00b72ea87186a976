"""Networks that train in pieces give the scores of those that train side by side, but for rounding.

The bounds are well above what was measured (see `memory` in `compare`), and far below what a piece
with other batches, another start or another seed would give.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mtl_nt import Split, Study, TaskData, compare

SINGLE = 1e-6  # gigabytes in which one network fits


def table(seed: int) -> TaskData:
    """300 rows, 8 features and 3 tasks in single precision."""
    g = torch.Generator().manual_seed(seed)
    x, ways = torch.randn(300, 8, generator=g), torch.randn(8, 3, generator=g)
    y = x @ ways + 0.5 * torch.randn(300, 3, generator=g)
    split = Split(*torch.arange(300).split([180, 60, 60]))
    return TaskData("table", x, y, ("a", "b", "c"), "regression", split)


def quick(data: TaskData, **settings: Any) -> Study:
    given = {"seeds": 3, "steps": 60, "trunk": (16, 8), "progress": False, **settings}
    return compare(data, ["MTL"], **given)


@pytest.mark.parametrize(
    ("settings", "bound"), [({}, 0.001), ({"batch_norm": True}, 0.01)], ids=str
)
def test_scores_of_pieces_differ_by_rounding_alone(settings: dict[str, Any], bound: float) -> None:
    """And the next seed's by ten times as much: the bound tells rounding from another training."""
    side_by_side, pieces = (quick(table(0), memory=memory, **settings) for memory in (1.0, SINGLE))
    for metric in ("MSE", "MAE"):
        scores = [study.scores("MTL", metric=metric) for study in (side_by_side, pieces)]
        assert float((scores[0] - scores[1]).abs().max(axis=None)) < bound
        assert float(scores[0].diff().abs().max(axis=None)) > 2 * bound
