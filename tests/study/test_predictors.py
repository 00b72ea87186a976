"""A predictor leaves the data as they are, and a table that it gives is read by its names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from test_own_methods import T, mse, quick, table, truth
from torch import Tensor

from mtl_nt import Method, Split, TaskData
from mtl_nt.bits import Bits
from mtl_nt.study.predictions import predictions


def zeros_through_a_view(run: TaskData) -> Tensor:
    view = run.y[run.split.test[0] : run.split.test[0] + 1]
    view[:] = 0.0
    return truth(run)


def centred_in_place(run: TaskData) -> Tensor:
    x = run.x
    x -= x.mean(0)  # type: ignore[operator, union-attr]
    return truth(run)


def through_numpy(run: TaskData) -> Any:
    run.y.numpy()[3, 1] = 0.0
    return truth(run)


def sorted_in_place(run: TaskData) -> Any:
    run.x.numpy().sort(0)  # type: ignore[union-attr]  # every sum stays
    return truth(run)


def shuffled_rows(run: TaskData) -> Any:
    found = truth(run)
    run.split.test.copy_(run.split.test.flip(0))
    return found


def heavier(run: TaskData) -> Any:
    assert run.weights is not None
    run.weights.mul_(2)
    return truth(run)


WRITING: dict[str, tuple[Callable[[TaskData], Any], str]] = {
    "a view": (zeros_through_a_view, "y"),
    "an operator": (centred_in_place, "x"),
    "an array that shares memory": (through_numpy, "y"),
    "a sort": (sorted_in_place, "x"),
    "the split": (shuffled_rows, "split.test"),
    "the weights": (heavier, "weights"),
}


@pytest.mark.parametrize("case", WRITING)
def test_a_predictor_that_writes_into_the_run_is_refused(case: str) -> None:
    predictor, name = WRITING[case]
    data = table(weights=torch.ones(300, T))
    refused(
        lambda: predictions(Method("P", predictor=predictor), data, 4),
        f"method 'P', run 4: its predictor writes into run.{name},",
        f"a copy, such as run.{name}.clone()",
        "load the data anew",
    )


def test_a_comparison_ends_where_a_predictor_writes_into_the_run() -> None:
    methods = [Method("P", predictor=centred_in_place), "Ridge"]
    refused(lambda: quick(methods, table(), steps=2), "writes into run.x")


def test_a_predictor_may_write_into_copies() -> None:
    def on_copies(run: TaskData) -> Tensor:
        x, found = run.x.clone(), truth(run)  # type: ignore[union-attr]
        x -= x.mean(0)
        found *= 1.0
        return found

    data = table()
    before = data.x.clone(), data.y.clone()  # type: ignore[union-attr]
    predictions(Method("P", predictor=on_copies), data, 0)
    assert torch.equal(data.x, before[0]) and torch.equal(data.y, before[1])  # type: ignore[arg-type]


def test_bits_are_watched_too() -> None:
    def emptied(run: TaskData) -> Tensor:
        run.x.on.zero_()  # type: ignore[union-attr]
        return truth(run)

    data = table()
    bits = replace(data, x=Bits.from_dense(data.x > 0))  # type: ignore[operator, arg-type]
    refused(lambda: predictions(Method("P", predictor=emptied), bits, 0), "writes into run.x.on")
    predictions(Method("P", predictor=truth), bits, 0)


def test_what_is_given_is_no_view_of_the_data() -> None:
    data = table(y=table().y.double())
    rows = Split(torch.arange(180), torch.arange(180, 240), torch.arange(240, 300))
    data = replace(data, split=rows)
    given = predictions(Method("P", predictor=lambda run: run.y[240:]), data, 0)
    given += 1
    assert not torch.equal(given, data.y[240:])


# -------------------------------------------------------------- tables with names


def frame(run: TaskData, **given: Any) -> pd.DataFrame:
    return pd.DataFrame(truth(run).numpy(), **{"columns": run.tasks, **given})


def by_row(run: TaskData) -> pd.DataFrame:
    return frame(run, index=run.split.test.numpy())


ALIKE: dict[str, Callable[[TaskData], Any]] = {
    "as they stand": frame,
    "columns in another order": lambda run: frame(run)[["c", "a", "b"]],
    "rows in another order": lambda run: by_row(run).sort_values("b"),
    "rows and columns": lambda run: by_row(run).sort_index()[["b", "c", "a"]],
    "places in another order": lambda run: frame(run).sort_values("a"),
    "numbers for names": lambda run: frame(run, columns=range(T)),
    "numbers in another order": lambda run: frame(run, columns=range(T))[[2, 0, 1]],
    "a table of whole numbers": lambda run: frame(run).sort_values("c").astype("float32"),
}


@pytest.mark.parametrize("case", ALIKE)
def test_a_table_is_read_by_the_names_of_its_rows_and_columns(case: str) -> None:
    data = table()
    found = predictions(Method("P", predictor=ALIKE[case]), data, 0)
    assert torch.allclose(found, truth(data).double(), rtol=1e-6)
    study = quick([Method("P", predictor=ALIKE[case])], data, steps=2, seeds=1)
    assert mse(study) < 1e-9


def test_columns_of_a_task_of_classes_are_named_as_the_outputs() -> None:
    data = table()
    stage = (torch.arange(300) % 3).float().unsqueeze(1)
    names = {"stage": ("I", "II", "III")}
    data = replace(
        data, y=stage, tasks=("stage",), kind="classes", classes=names, standardise=False
    )

    def certain(run: TaskData) -> pd.DataFrame:
        sure = torch.nn.functional.one_hot(truth(run)[:, 0].long(), 3).float()
        return pd.DataFrame(sure.numpy(), columns=run.output_names).iloc[:, ::-1]

    found = predictions(Method("P", predictor=certain, units="own"), data, 0)
    assert torch.equal(found.argmax(1), truth(data)[:, 0].long())


WRONG: dict[str, tuple[Callable[[TaskData], Any], tuple[str, ...]]] = {
    "other names": (
        lambda run: frame(run, columns=["a", "b", "d"]),
        ("gives columns a, b, d, and the tasks are a, b, c", "name each column as its task"),
    ),
    "a name twice": (
        lambda run: frame(run, columns=["a", "b", "b"]),
        ("gives columns a, b, b", ".to_numpy()"),
    ),
    "two levels of names": (
        lambda run: frame(run, columns=pd.MultiIndex.from_product([["y"], ["a", "b", "c"]])),
        ("gives columns ('y', 'a')", "name each column as its task"),
    ),
    "other rows": (
        lambda run: by_row(run).rename(index=lambda row: row + 1000),
        ("gives the index", "and the test rows are", "reset_index(drop=True)"),
    ),
    "a row twice": (
        lambda run: frame(run, index=[0, 0, *range(2, 60)]),
        ("gives the index 0, 0, 2, ...", "each once"),
    ),
    "names of rows": (
        lambda run: frame(run, index=[f"cell {i}" for i in range(60)]),
        ("gives the index cell 0, cell 1, cell 2, ...", "test rows"),
    ),
    "a series": (lambda run: frame(run)["a"], ("gives [60]", "here [60, 3]")),
    "all rows": (lambda run: pd.DataFrame(run.y.numpy()), ("gives [300, 3]", "run.split.test")),
    "hidden numbers": (
        lambda run: np.ma.masked_less(truth(run).numpy(), 0),
        ("gives nan", "a number for every row"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_table_with_other_names_is_refused_in_one_line(case: str) -> None:
    predictor, words = WRONG[case]
    method = Method("P", predictor=predictor)
    refused(lambda: predictions(method, table(), 7), "method 'P', run 7", *words)


def test_where_the_test_rows_are_the_first_ones_a_plain_index_means_as_they_stand() -> None:
    rows = torch.arange(300)
    data = table(split=Split(rows[60:240], rows[240:], rows[:60].flip(0)))
    found = predictions(Method("P", predictor=frame), data, 0)
    assert torch.equal(found, truth(data).double())
    method = Method("P", predictor=lambda run: by_row(run).sort_index())
    # Their numbers in ascending order are 0, 1, ...: rows, or places?
    refused(lambda: predictions(method, data, 0), "may be rows of the table or places among")
