"""Lists of ones say what the dense table says, and lists that lie are refused."""

from __future__ import annotations

import math

import pytest
import torch
from refusals import refused
from torch import Tensor

from mtl_nt.bits import Bits
from mtl_nt.networks.layers import Linear
from mtl_nt.tasks import Split, TaskData


def dense(rows: int = 7, features: int = 11, seed: int = 0) -> Tensor:
    """A table with an empty first, middle and last row."""
    random = torch.Generator().manual_seed(seed)
    table = torch.rand(rows, features, generator=random) < 0.3
    table[[0, rows // 2, rows - 1]] = False
    return table


def test_lists_of_ones_come_back_as_the_table_they_were_made_of() -> None:
    table = dense()
    bits = Bits.from_dense(table)
    assert bits.fault() is None
    assert len(bits) == 7
    assert bits.shape == (7, 11)
    assert torch.equal(bits.to_dense(torch.float64), table.double())
    assert torch.equal(bits.lengths, table.sum(1))


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_rows_are_taken_in_any_order_and_shape_as_from_the_table(shape: tuple[int, ...]) -> None:
    table = dense()
    rows = torch.randint(7, shape, generator=torch.Generator().manual_seed(1))
    taken = Bits.from_dense(table).take(rows)
    assert taken.shape == (*shape, 11)
    assert torch.equal(taken.to_dense(), table[rows].float())


def test_tables_are_joined_and_end_with_an_empty_row() -> None:
    tables = [dense(7), dense(5, seed=1)]
    joined = Bits.concatenated([Bits.from_dense(table) for table in tables])
    assert torch.equal(joined.to_dense(), torch.cat([*tables, torch.zeros(1, 11)]))
    assert joined.fault() is None


def test_a_linear_layer_reads_lists_as_it_reads_the_table() -> None:
    torch.manual_seed(0)
    layer = Linear(3, 11, 4).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    table = torch.stack([dense(seed=s) for s in range(3)])
    pull = torch.randn(3, 7, 4, dtype=torch.float64)
    found = []
    for x in (table.double(), Bits.from_dense(table)):
        out = layer(x)
        found.append((out, *torch.autograd.grad((out * pull).sum(), [*layer.parameters()])))
    for plain, listed in zip(*found, strict=True):
        assert torch.allclose(plain, listed, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("on", "starts", "shape", "named"),
    [
        ([0, 5], [0, 1], (2, 5), "columns 0..4"),
        ([-1, 2], [0, 1], (2, 5), "columns 0..4"),
        ([1, 1], [0, 2], (2, 5), "ascending"),
        ([3, 1], [0, 2], (2, 5), "ascending"),
        ([1, 2], [0, 3], (2, 5), "never fall"),
        ([1, 2], [1, 2], (2, 5), "begin at 0"),
        ([1, 2], [0], (2, 5), "1 starts"),
        ([1.0, 2.0], [0, 1], (2, 5), "whole numbers"),
    ],
)
def test_lists_that_are_no_table_are_refused_in_one_line(
    on: list, starts: list, shape: tuple[int, ...], named: str
) -> None:
    def build() -> TaskData:
        bits = Bits(torch.tensor(on), torch.tensor(starts), shape)
        y = torch.tensor([[0.0], [1.0]])
        none = torch.tensor([], dtype=torch.int64)
        split = Split(torch.tensor([0]), none, torch.tensor([1]))
        return TaskData("mine", bits, y, ("a",), "regression", split)

    refused(build, "'mine'", named)


def test_ones_of_neighbouring_rows_may_rise_and_fall() -> None:
    assert Bits(torch.tensor([4, 0, 3]), torch.tensor([0, 1]), (2, 5)).fault() is None


def test_lists_take_less_room_than_the_table() -> None:
    table = torch.zeros(100, 1024, dtype=torch.bool)
    table[:, ::32] = True
    bits = Bits.from_dense(table)
    kept = sum(t.numel() * t.element_size() for t in (bits.on, bits.starts))
    assert kept < math.prod(table.shape) * 4 / 10
