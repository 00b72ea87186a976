"""New rows of a table are read as the rows that networks were trained on."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused

from mtl_nt import load
from mtl_nt.bits import Bits
from mtl_nt.datasets.new_rows import ReadingCard, input_width, is_reading, read_new_rows
from mtl_nt.tasks import TargetForm, TaskData

ROWS = 60


def table(rows: int = ROWS) -> pd.DataFrame:
    """Numbers with holes, a constant on most rows, 0 and 1, a large offset, and categories."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.normal(50, 10, rows).round(3),
            "flag": random.integers(0, 2, rows),
            "time": 1.7e9 + random.normal(0, 50, rows).round(2),
            "dose": 10 ** random.normal(0, 1, rows),
            "colour": random.choice(["red", "green", "blue"], rows),
            "site": random.choice(["1", "2", "A"], rows),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[3, "colour"] = None
    noise = random.standard_normal((2, rows))
    frame["y_one"] = frame["flag"] + noise[0]
    frame["y_two"] = 10 ** (noise[1] + frame["flag"])
    return frame


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "my.csv"
    table().to_csv(file, index=False)
    return file


def card_of(data: TaskData) -> tuple[Any, ReadingCard]:
    """The features of all rows, and the card after a journey through JSON."""
    x, card = data.reading.whole()
    return x, json.loads(json.dumps(card, allow_nan=False))


def test_rows_of_the_table_itself_are_read_again_bit_for_bit(path: Path) -> None:
    data = load(path)
    x, card = card_of(data)
    assert is_reading(card) and input_width(card) == x.shape[1] == data.x.shape[1]
    again = read_new_rows(path, card)
    assert torch.equal(again.x, x) and again.known.all()  # type: ignore[arg-type]
    assert again.unit == "line" and again.positions.tolist() == [*range(2, ROWS + 2)]
    in_memory = read_new_rows(pd.read_csv(path), card)
    assert torch.equal(in_memory.x, x)  # type: ignore[arg-type]
    assert in_memory.positions.tolist() == [*range(ROWS)]


def test_medians_and_scales_are_those_of_all_rows_and_not_of_a_run(path: Path) -> None:
    data = load(path)
    x, card = card_of(data)
    frame = table()
    numbers = card["numbers"]
    at = numbers["name"].index("age")
    assert numbers["median"][at] == pytest.approx(frame["age"].median(), rel=1e-6)
    filled = frame["age"].fillna(frame["age"].median())
    assert numbers["mean"][at] == pytest.approx(filled.mean(), rel=1e-6)
    assert numbers["scale"][at] == pytest.approx(filled.std(ddof=0), rel=1e-6)
    flag = numbers["name"].index("flag")
    assert (numbers["mean"][flag], numbers["scale"][flag]) == (0, 1)  # 0 and 1 stay
    assert not torch.equal(x, data.x)  # that of one run's training rows
    assert numbers["offset"][numbers["name"].index("time")] > 1.6e9


def test_columns_may_stand_in_another_order_and_beside_others(path: Path) -> None:
    x, card = card_of(load(path))
    frame = table().drop(columns=["y_one", "y_two"]).iloc[:, ::-1].assign(name="somebody")
    assert torch.equal(read_new_rows(frame, card).x, x)  # type: ignore[arg-type]


def test_what_training_had_not_is_said_and_what_is_empty_is_imputed(path: Path) -> None:
    _, card = card_of(load(path))
    frame = table(10)
    frame["colour"] = ["mauve"] * 2 + ["red"] * 8
    frame["dose"] = 1e9
    frame.loc[0, "flag"] = None
    rows = read_new_rows(frame, card)
    said = "\n".join(rows.notes)
    assert "Categories unknown to training count as none: 'mauve' in 'colour' (rows: 2)." in said
    assert "outside the range of the training rows: 'dose'; are they in the same units?" in said
    assert "Empty numbers are the median of the training rows: 3, in 'age', 'flag'." in said
    names = [*card["numbers"]["name"]]
    categories = rows.x[:, len(names) : len(names) + 3]  # type: ignore[index]
    assert categories[:2].eq(0).all() and categories[2:].sum(1).eq(1).all()
    assert read_new_rows(table(), card).notes == (
        "Empty numbers are the median of the training rows: 9, in 'age'.",
        "Empty categories count as none of the known ones: 1, in 'colour'.",
    )


def test_empty_categories_are_counted_whatever_says_that_they_are_empty(tmp_path: Path) -> None:
    frame = table()
    frame.loc[[8, 9], "site"] = ["none", "unclear"]
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    frame.to_csv(old, index=False)
    x, card = card_of(load(old, missing="unclear"))
    assert {c["name"]: c["values"] for c in card["categories"]}["site"] == ["1", "2", "A"]
    rows = frame[:8].assign(
        age=50.0, colour="red", site=["1", None, "n.d.", "None", "", "2", "B", "A"]
    )
    rows.loc[7, "site"] = "unclear"
    rows.to_csv(new, index=False)
    found = read_new_rows(new, card)
    assert found.notes == (
        "Empty categories count as none of the known ones: 5, in 'site'.",
        "Categories unknown to training count as none: 'B' in 'site' (rows: 1).",
    )
    ones = found.x[:, -3:].sum(1).tolist()  # type: ignore[index, union-attr]
    assert ones == [1, 0, 0, 0, 0, 1, 0, 0]
    assert x[[8, 9], -3:].sum() == 0  # as in training
    in_memory = read_new_rows(rows, card)
    assert in_memory.notes == found.notes and torch.equal(in_memory.x, found.x)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="dose"), ["no column 'dose'", "give it", "empty cells"]),
        (
            lambda f: f.rename(columns={"dose": "doses", "age": "years"}),
            ["2 columns are missing", "'age', 'dose'", "give them"],
        ),
        (lambda f: f.assign(dose="much"), ["row 0, column 'dose'", "'much' is no number"]),
        (lambda f: f.assign(dose=">10"), ["row 0, column 'dose'", "is a limit and no number"]),
        (lambda f: f.assign(dose=1e31), ["column 'dose'", "above 1e+30"]),
        (lambda f: f.assign(age=np.inf), ["column 'age'", "infinite"]),
        (lambda f: pd.concat([f, f[["dose"]]], axis=1), ["2 columns are named 'dose'"]),
    ],
)
def test_a_row_that_cannot_be_read_is_one_line(change: Any, said: list[str], path: Path) -> None:
    _, card = card_of(load(path))
    refused(lambda: read_new_rows(change(table()), card), *said)


def test_a_file_without_rows_or_that_is_no_table_is_one_line(path: Path, tmp_path: Path) -> None:
    _, card = card_of(load(path))
    empty = tmp_path / "empty.csv"
    empty.write_text(",".join(table()) + "\n")
    refused(lambda: read_new_rows(empty, card), "empty.csv", "no rows")
    refused(lambda: read_new_rows(tmp_path / "no.csv", card), "no.csv", "no such file")
    assert len(read_new_rows(table()[:0], card).x) == 0  # of a table in memory there are none


def test_codes_for_no_value_and_the_decimal_mark_stay_what_they_were(tmp_path: Path) -> None:
    frame = table().astype(object)
    frame.loc[5, "dose"], frame.loc[6, "dose"] = -999, "ND"
    old = tmp_path / "old.csv"
    frame.to_csv(old, index=False, sep=";", decimal=",")
    data = load(old, missing=[-999])
    _, card = card_of(data)
    new = tmp_path / "new.csv"
    frame[:20].to_csv(new, index=False, sep=";", decimal=",")
    found, wanted = read_new_rows(new, card), read_new_rows(old, card)
    assert torch.equal(found.x, wanted.x[:20])  # type: ignore[index, arg-type]
    at = card["numbers"]["name"].index("dose")
    assert found.x[5, at] == found.x[6, at]  # type: ignore[index]


def test_molecules_need_one_column_and_those_that_nobody_can_read_are_named(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    smiles = ["CCO", "CCN", "c1ccccc1O", "CC(=O)O", "CCCCl", "c1ccncc1", "CC(C)O", "CCOC"] * 5
    labels = np.random.default_rng(0).standard_normal((40, 2))
    old = tmp_path / "old.csv"
    pd.DataFrame({"smiles": smiles, "y_a": labels[:, 0], "y_b": labels[:, 1]}).to_csv(old)
    data = load(old, smiles="smiles")
    x, card = card_of(data)
    assert x is data.x and card["molecules"]["bits"] == 1024  # type: ignore[index]
    new = tmp_path / "new.csv"
    new.write_text("smiles\nCCN\nno molecule\nOCC\n")
    rows = read_new_rows(new, card)
    assert isinstance(rows.x, Bits) and rows.known.tolist() == [True, False, True]
    assert torch.equal(rows.x.to_dense()[1], data.x.take(torch.tensor([0])).to_dense()[0])  # type: ignore[union-attr]
    assert rows.notes == (
        "RDKit cannot read 1 of 3 molecules: line 3 ('no molecule'). Their predictions are empty.",
    )
    refused(lambda: read_new_rows(pd.DataFrame({"SMILE": ["C"]}), card), "no column 'smiles'")


def test_the_forms_of_targets_say_how_to_turn_them_back(path: Path, tmp_path: Path) -> None:
    data = load(path, log="y_two")
    assert data.forms == (TargetForm(), TargetForm(log="log10(y)"))
    measured = data.forms[1].measured(data.y[:, 1].double().numpy())
    np.testing.assert_allclose(measured, table()["y_two"], rtol=1e-5)
    frame = table()
    frame.loc[4, "y_two"] = 0
    frame["y_one"] += 1.7e9
    other = tmp_path / "other.csv"
    frame.to_csv(other, index=False, float_format="%.14g")
    far = load(other, log="y_two")
    assert far.forms is not None and far.forms[1].log == "log10(1 + y)"
    back = far.forms[0].measured(far.y[:, 0].double().numpy())
    np.testing.assert_allclose(back, frame["y_one"], atol=1e-4, rtol=0)
    assert load(path).forms is None
    assert TargetForm(log="log10(1 + y)").measured(np.array([-3.0, 1e6])).tolist() == [0, 1e300]


def test_a_reading_counts_only_for_the_features_that_it_made(path: Path) -> None:
    data = load(path)
    assert data.reading.made(data.x, data.split.train)
    assert not data.reading.made(data.x * 2, data.split.train)
    assert not data.reading.made(data.x[:5], data.split.train)
    other = data.for_seed(3)
    assert other.reading.made(other.x, other.split.train)
    # Another process trains without it.
    assert pickle.loads(pickle.dumps(replace(data, redraw=None))).reading is None


def test_forms_of_another_number_of_tasks_are_refused(path: Path) -> None:
    data = load(path)
    refused(lambda: replace(data, forms=(TargetForm(),)), "1 forms for 2 tasks")
