"""A table of tasks: what TaskData works out, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from refusals import refused

from mtl_nt import Split, TaskData

NAN, INF = math.nan, math.inf


def table(**given: Any) -> TaskData:
    """Two regression tasks on 20 rows, with anything else in their place."""
    random = torch.Generator().manual_seed(0)
    rows = torch.arange(20)
    usual = {
        "name": "mine",
        "x": torch.randn(20, 3, generator=random),
        "y": torch.randn(20, 2, generator=random),
        "tasks": ("a", "b"),
        "kind": "regression",
        "split": Split(rows[:10], rows[10:12], rows[12:]),
    }
    return TaskData(**{**usual, **given})


def changed(values: torch.Tensor, row: int, column: int, value: float) -> torch.Tensor:
    values = values.clone()
    values[row, column] = value
    return values


def split(train: Any, validation: Any, test: Any) -> Split:
    return Split(
        *(torch.as_tensor([*rows], dtype=torch.int64) for rows in (train, validation, test))
    )


X, Y = table().x, table().y
CLASSES = (Y > 0).float()
ONE_HOT = torch.eye(2).repeat(10, 1)
STAGES = torch.stack([torch.arange(20.0) % 3, Y[:, 1]], 1)

REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "names that are no texts": ({"tasks": (1, 2)}, ("task names (1, 2)", "texts")),
    "targets that get gradients": ({"y": Y.clone().requires_grad_()}, ("detach",)),
    "a feature that is NaN": ({"x": changed(X, 4, 2, NAN)}, ("feature 2", "row 4", "impute")),
    "a feature that is infinite": ({"x": changed(X, 0, 1, -INF)}, ("feature 1", "row 0", "drop")),
    "a target that is infinite": ({"y": changed(Y, 3, 1, INF)}, ("'b'", "row 3", "write NaN")),
    "fewer features than targets": ({"x": X[:15]}, ("15 rows", "20 rows", "one row each")),
    "more features than targets": ({"y": Y[:15]}, ("20 rows", "15 rows", "one row each")),
    "a task without training labels": (
        {"y": torch.where(torch.arange(20)[:, None] < torch.tensor([0, 10]), NAN, Y)},
        ("'b'", "no training labels", "leave it out"),
    ),
    "a task with one class": (
        {"kind": "binary", "y": torch.where(torch.arange(20)[:, None] < 10, 1.0, CLASSES)},
        ("'a'", "one class", "leave it out or split differently"),
    ),
    "binary labels that are not 0 and 1": ({"kind": "binary"}, ("'a'", "0 and 1")),
    "binary test labels that are not 0 and 1": (
        {"kind": "binary", "y": changed(CLASSES, 19, 1, 2)},
        ("'b'", "0 and 1"),
    ),
    "too few names": ({"tasks": ("a",)}, ("2 target columns", "1 task names", "one name")),
    "a name that occurs twice": ({"tasks": ("a", "a")}, ("'a'", "twice", "rename")),
    "an unknown kind": ({"kind": "ordinal"}, ("kind", "'binary', 'regression' or 'classes'")),
    "a kind too few": ({"kind": ("binary",)}, ("kind", "one or 2")),
    "a group too few": ({"groups": ("all",)}, ("1 group names", "2 tasks")),
    "a row group too few": (
        {"row_groups": ("all",) * 19},
        ("19 row groups", "20 rows", "every row's group"),
    ),
    "a row group for every task": (
        {"row_groups": ("all",) * 2},
        ("2 row groups", "20 rows", "every row's group"),
    ),
    "no task": ({"y": Y[:, :0], "tasks": ()}, ("no task", "at least one")),
    "no feature": ({"x": X[:, :0]}, ("no features", "at least one")),
    "features without columns": ({"x": X[:, 0]}, ("[rows, ...]", "(20,)")),
    "targets without columns": ({"y": Y[:, 0]}, ("[rows, tasks]", "(20,)")),
    "arrays": ({"x": X.numpy(), "y": Y.numpy()}, ("torch tensors", "ndarray", "torch.as_tensor")),
    "a row in two parts": (
        {"split": split(range(10), [9], range(12, 20))},
        ("two parts", "one part"),
    ),
    "a row beyond the table": ({"split": split(range(10), [], [20])}, ("outside 0..19",)),
    "a row before the table": ({"split": split([-1, 3], [], [7])}, ("outside 0..19",)),
    "no training rows": ({"split": split([], [], [7])}, ("no train rows", "give it some")),
    "no test rows": ({"split": split([7], [8], [])}, ("no test rows", "give it some")),
    "short integers for row numbers": (
        {"split": Split(torch.arange(9).int(), torch.arange(0), torch.arange(10, 20))},
        ("split.train", "row numbers"),
    ),
    "an unknown kind of split": (
        {"split": replace(table().split, kind="random")},
        ("'random'", "'fixed'"),
    ),
    "units of another length": ({"unit": torch.ones(3)}, ("unit", "2 numbers above 0")),
    "a unit of zero": ({"unit": torch.tensor([1.0, 0.0])}, ("unit", "2 numbers above 0")),
    "a unit that is NaN": ({"unit": torch.tensor([NAN, 1.0])}, ("unit", "2 numbers above 0")),
    "exclusive tasks that overlap": (
        {"kind": "binary", "y": CLASSES, "exclusive": True},
        ("exactly one", "exclusive=False"),
    ),
    "exclusive tasks that leave a row to nobody": (
        {"kind": "binary", "y": changed(changed(ONE_HOT, 5, 0, 0), 5, 1, 0), "exclusive": True},
        ("exactly one", "exclusive=False"),
    ),
    "a class that is no whole number": (
        {"kind": "classes"},
        ("'a'", "number no class", "0, 1, ..."),
    ),
    "a class below 0": (
        {"kind": ("classes", "regression"), "y": changed(STAGES, 3, 0, -1)},
        ("'a'", "number no class"),
    ),
    "a class without training labels": (
        {"kind": ("classes", "regression"), "y": changed(STAGES, 19, 0, 3)},
        ("class '3'", "'a'", "no training labels", "merge"),
    ),
    "a class without a name": (
        {"kind": ("classes", "regression"), "y": STAGES, "classes": {"a": ("I", "II")}},
        ("'a'", "class 2", "2 names"),
    ),
    "two classes of one name": (
        {"kind": ("classes", "regression"), "y": STAGES, "classes": {"a": ("I", "I", "II")}},
        ("'a'", "different names"),
    ),
    "one class alone": (
        {"kind": ("classes", "regression"), "y": torch.where(STAGES > -9, 0.0, STAGES)},
        ("'a'", "two classes or more"),
    ),
    "classes as one text": (
        {"kind": ("classes", "regression"), "y": STAGES, "classes": {"a": "abc"}},
        ("'a'", "one name for each class", "list"),
    ),
    "classes without names of tasks": (
        {"kind": ("classes", "regression"), "y": STAGES, "classes": ("I", "II", "III")},
        ("classes", "names by task"),
    ),
    "classes of a regression": (
        {"classes": {"b": ("I", "II")}},
        ("classes names 'b'", "no task of kind 'classes'"),
    ),
    "very many classes": (
        {"kind": ("classes", "regression"), "y": changed(STAGES, 0, 0, 10_000)},
        ("'a'", "10000", "1,000 classes at most"),
    ),
    "an output of two names": (
        {
            "kind": ("classes", "regression"),
            "y": STAGES,
            "tasks": ("a", "a: I"),
            "classes": {"a": ("I", "II", "III")},
        },
        ("'a: I'", "rename"),
    ),
    "a negative weight": (
        {"weights": changed(torch.ones(20, 2), 4, 1, -0.5)},
        ("weight of row 4", "'b'", "is -0.5", "from 0 to"),
    ),
    "a weight that is missing": (
        {"weights": torch.ones(20).index_fill(0, torch.tensor([7]), NAN)},
        ("weight of row 7", "'a'", "is missing", "from 0 to"),
    ),
    "an infinite weight": (
        {"weights": changed(torch.ones(20, 2), 4, 0, math.inf)},
        ("weight of row 4", "is inf"),
    ),
    "weights of another length": (
        {"weights": torch.ones(19)},
        ("weights [19]", "[rows] or [rows, tasks]", "[20]"),
    ),
    "weights in a list": ({"weights": [1.0] * 20}, ("weights list", "a tensor")),
    "weights that are all 0": ({"weights": torch.zeros(20)}, ("'a'", "no training labels")),
    "an unknown class weight": (
        {"class_weight": "even"},
        ("class_weight 'even'", "'balanced' or None"),
    ),
    "exclusive regression": ({"exclusive": True}, ("exactly one", "exclusive=False")),
}


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float16, torch.bfloat16])
def test_whole_numbers_are_standardised_as_fractions(dtype: torch.dtype) -> None:
    """Targets of single precision: a cut to whole numbers would train on other tasks."""
    counts = torch.tensor([[k % 9 + 20.0, k * k % 13 - 5.0] for k in range(20)])
    given: dict[str, Any] = {"tasks": ("a", "b"), "kind": "regression"}
    data = table(y=counts.to(dtype), **given)
    assert data.targets.dtype == torch.float32
    assert data.targets.equal(table(y=counts, **given).targets)


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_table_is_refused_in_one_line(case: str) -> None:
    given, words = REFUSED[case]
    refused(lambda: table(**given), "data set 'mine'", *words)


def test_missing_labels_are_no_error_and_are_known() -> None:
    y = changed(changed(Y, 2, 0, NAN), 15, 1, NAN)
    data = table(y=y)
    assert (~data.labelled).nonzero().tolist() == [[2, 0], [15, 1]]


def test_a_test_split_with_one_class_is_no_error_of_the_table() -> None:
    y = torch.where(torch.arange(20)[:, None] < 12, CLASSES, 0.0)
    assert table(y=y, kind="binary").binary.all()


def test_exclusive_tasks_share_out_the_rows() -> None:
    assert table(kind="binary", y=ONE_HOT, exclusive=True).exclusive


def test_features_may_have_any_shape() -> None:
    assert table(x=torch.zeros(20, 1, 5, 5)).x.shape == (20, 1, 5, 5)


def test_mean_and_unit_come_from_training_labels_alone() -> None:
    y = changed(Y, 3, 0, NAN)
    data = table(y=torch.cat([y[:10], 1000 * y[10:]]))
    mean, unit = data.scale
    train = y[:10, 0][~y[:10, 0].isnan()].double()
    assert mean[0].item() == pytest.approx(train.mean().item())
    assert unit[0].item() == pytest.approx(train.std(correction=0).item())
    seen = data.targets[:10, 0]
    assert seen.nanmean().item() == pytest.approx(0, abs=1e-6)
    assert seen[~seen.isnan()].std(correction=0).item() == pytest.approx(1)
    assert seen.isnan().nonzero().tolist() == [[3]]


def test_regression_targets_are_standardised_unless_the_data_say_otherwise() -> None:
    data = table(y=1e6 * Y)
    train = data.targets[data.split.train].double()
    assert torch.allclose(train.mean(0), torch.zeros(2).double(), atol=1e-6)
    assert torch.allclose(train.std(0, correction=0), torch.ones(2).double())
    raw = replace(data, standardise=False)
    assert raw.targets is raw.y


def test_binary_targets_are_never_standardised() -> None:
    data = table(y=CLASSES, kind="binary")
    assert data.targets is data.y
    mixed = table(kind=("binary", "regression"), y=torch.cat([CLASSES[:, :1], 1e6 * Y[:, 1:]], 1))
    assert torch.equal(mixed.targets[:, 0], CLASSES[:, 0])
    assert mixed.targets[:, 1].abs().max() < 10


def test_a_given_unit_stands_in_place_of_the_training_labels() -> None:
    unit = torch.tensor([2.0, 3.0])
    assert table(unit=unit).scale[1].tolist() == [2, 3]


def test_a_task_that_never_varies_keeps_a_unit_of_one() -> None:
    data = table(y=torch.cat([torch.full((20, 1), 7.0), Y[:, 1:]], 1))
    assert data.scale[1][0] == 1
    assert (data.targets[:, 0] == 0).all()


def test_one_kind_serves_all_tasks_or_each_has_its_own() -> None:
    assert table().kinds == ("regression", "regression")
    mixed = table(kind=("regression", "binary"), y=torch.cat([Y[:, :1], CLASSES[:, 1:]], 1))
    assert mixed.kinds == ("regression", "binary")
    assert mixed.binary.tolist() == [False, True]


def test_a_run_is_redrawn_by_its_seed_where_anything_can_vary() -> None:
    data = table(redraw=lambda seed: table(data_seed=seed))
    assert [data.for_seed(seed).data_seed for seed in (0, 7)] == [0, 7]
    still = table()
    assert still.for_seed(0) is still.for_seed(7) is still


def test_classes_are_named_by_their_numbers_where_nobody_names_them() -> None:
    data = table(kind=("classes", "regression"), y=STAGES)
    assert data.classes == {"a": ("0", "1", "2")}
    assert data.output_names == ("a: 0", "a: 1", "a: 2", "b")
    assert data.task_of_output.tolist() == [0, 0, 0, 1]
    assert data.regression.tolist() == [False, True]
    assert torch.equal(data.targets[:, 0], STAGES[:, 0])


def test_tables_without_classes_have_one_output_for_each_task() -> None:
    data = table()
    assert data.outputs_per_task == (1, 1)
    assert data.output_names == data.tasks
    assert not data.classes


def test_a_weight_of_each_row_is_one_of_all_its_labels() -> None:
    rows = torch.arange(1.0, 21.0)
    data = table(weights=rows)
    assert data.weights is not None
    assert torch.equal(data.weights, rows[:, None].expand(20, 2))
    assert data.training_weights is data.weights
    assert table(weights=torch.ones(20, dtype=torch.int64)).weights is not None


def test_a_weight_may_be_missing_where_the_label_is() -> None:
    y, weights = changed(Y, 2, 0, NAN), changed(torch.ones(20, 2), 2, 0, NAN)
    data = table(y=y, weights=weights)
    assert (~data.labelled).nonzero().tolist() == [[2, 0]]


def test_data_with_weight_zero_can_be_changed_as_any_other() -> None:
    data = table(weights=changed(torch.ones(20, 2), 4, 1, 0.0))
    assert (~replace(data, name="other").labelled).nonzero().tolist() == [[4, 1]]


@pytest.mark.parametrize("label", [0.1, 1 / 3, 1e6 + 0.1])
@pytest.mark.parametrize("rows", range(1, 13))
def test_equal_training_labels_have_a_unit_of_one_in_any_precision(rows: int, label: float) -> None:
    y = torch.cat([torch.full((20, 1), label), Y[:, 1:]], 1).double()
    y[:, 0] = label
    y[15:, 0] += torch.arange(1, 6)
    y[0, 0] = NAN if rows > 1 else label
    data = table(y=y, split=split(range(rows), [], range(15, 20)))
    mean, unit = data.scale
    assert (float(mean[0]), float(unit[0])) == (label, 1.0)
    assert data.targets[15:, 0].tolist() == pytest.approx([1, 2, 3, 4, 5])
    assert bool((data.targets[1:rows, 0] == 0).all())


def test_an_exclusive_row_without_a_label_has_no_class() -> None:
    def of_row_4(value: float) -> torch.Tensor:
        return ONE_HOT.index_fill(0, torch.tensor([4]), value)

    weights = torch.ones(20).index_fill(0, torch.tensor([4]), 0)
    for data in (
        table(kind="binary", y=ONE_HOT, exclusive=True, weights=weights),
        table(kind="binary", y=of_row_4(NAN), exclusive=True),
    ):
        assert data.labelled.all(1).logical_not().nonzero().flatten().tolist() == [4]
    for y in (of_row_4(1), of_row_4(0)):
        refused(lambda y=y: table(kind="binary", y=y, exclusive=True), "exactly one is 1")
