"""A table of one's own: read by stated rules, split without leaks, or refused in one line."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import pickle
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from mtl_nt import BadInput, Recipe, TaskData, files, load
from mtl_nt.audit.audit import label_counts
from mtl_nt.bits import Bits
from mtl_nt.datasets import cells, csv_sheet, parquet_sheet, sheets
from mtl_nt.datasets import table as reading
from mtl_nt.datasets.table import Table, is_table, read_table
from mtl_nt.study.chunks import train
from mtl_nt.study.methods import METHODS

ROWS = 60


def example(rows: int = ROWS) -> pd.DataFrame:
    """Numbers with gaps, a flag, categories, two binary targets and a regression."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "a": random.normal(5, 3, rows),
            "b": random.normal(size=rows) ** 3,
            "flag": random.integers(0, 2, rows) == 1,
            "colour": np.array(["red", "green", "blue"])[random.integers(0, 3, rows)],
            "y_1": random.integers(0, 2, rows).astype(float),
            "y_2": random.integers(0, 2, rows).astype(float),
            "y_3": random.normal(100, 20, rows),
        }
    )
    table.loc[3:7, "a"] = np.nan
    table.loc[::4, "y_1"] = np.nan
    table.loc[10:20, "y_3"] = np.nan
    return table


def saved(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    return path


def rows_of(data: TaskData) -> tuple[list[int], list[int], list[int]]:
    split = data.split
    return split.train.tolist(), split.validation.tolist(), split.test.tolist()


def dense(data: TaskData) -> torch.Tensor:
    assert isinstance(data.x, torch.Tensor)
    return data.x


def same(one: TaskData, other: TaskData) -> bool:
    """The same numbers in the same rows of the same split."""
    return (
        torch.equal(dense(one), dense(other))
        and torch.equal(one.y.nan_to_num(9e9), other.y.nan_to_num(9e9))
        and rows_of(one) == rows_of(other)
        and (one.tasks, one.kinds) == (other.tasks, other.kinds)
    )


def said(table: Table, *words: str) -> str:
    """The one note with these words."""
    (note,) = [n for n in table.notes if all(word in n for word in words)]
    return note


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return saved(example(), tmp_path / "my.csv")


# ---------------------------------------------------------------- what comes out


def test_a_table_becomes_tasks_of_every_kind(own: Path) -> None:
    table = read_table(own)
    data = table.data
    assert (data.name, data.tasks) == ("my", ("y_1", "y_2", "y_3"))
    assert data.kinds == ("binary", "binary", "regression") and data.standardise
    assert data.x.shape == (ROWS, 2 + 1 + 3)
    frame = example()
    assert torch.equal(data.labelled, torch.tensor(frame[[*data.tasks]].notna().to_numpy()))
    assert np.allclose(data.y.numpy(), frame[[*data.tasks]], equal_nan=True)
    assert label_counts(data)["task"].tolist() == ["y_1", "y_2", "y_3"]
    assert label_counts(data)["labels"].tolist() == frame[[*data.tasks]].count().tolist()
    assert label_counts(data)["positives"].tolist()[:2] == [
        int(frame[t].sum()) for t in ("y_1", "y_2")
    ]
    assert label_counts(data)["positives"].isna().tolist() == [False, False, True]


def test_the_data_can_be_trained_on(own: Path) -> None:
    data = load(own)
    trained = train(METHODS["MTL"], [data], [0], Recipe.for_data(data, steps=3))
    assert trained.predictions.isfinite().all()


def test_csv_tsv_and_parquet_packed_or_not_are_the_same_data(own: Path) -> None:
    data = load(own)
    for name in ("my.tsv", "my.csv.gz", "my.tsv.gz", "my.parquet", "MY.CSV"):
        other = load(saved(example(), own.with_name(name)))
        if name == "MY.CSV":
            assert other.name == "MY"
        assert same(other, data), name


def test_numbers_are_scaled_by_the_training_rows_and_gaps_are_their_median(own: Path) -> None:
    data, frame = load(own), example()
    learned = data.split.train.numpy()
    a = frame["a"].to_numpy()
    full = np.where(np.isnan(a), np.nanmedian(a[learned]), a)
    expected = (full - full[learned].mean()) / full[learned].std()
    assert np.allclose(dense(data)[:, 0], expected, atol=1e-5)
    assert dense(data)[data.split.train, :2].mean(0).abs().max() < 1e-6


def test_columns_of_zeros_and_ones_stay_as_they_are(own: Path) -> None:
    assert dense(load(own))[:, 2].tolist() == example()["flag"].astype(float).tolist()


def test_every_category_has_a_column_and_one_without_training_rows_is_zero(tmp_path: Path) -> None:
    frame = example()
    test = load(saved(frame, tmp_path / "my.csv")).split.test.tolist()
    frame["colour"] = frame["colour"].astype(object)
    frame.loc[test[0], "colour"] = "violet"
    frame.loc[test[1], "colour"] = None
    data = load(saved(frame, tmp_path / "my.csv"))
    x = dense(data)[:, 3:]
    assert x.shape[1] == 4  # blue, green, red, violet
    assert not x[test[:2]].any() and not x[:, 3].any()
    others = [r for r in range(ROWS) if r not in test[:2]]
    names = ["blue", "green", "red"]
    assert [names[int(x[r].argmax())] for r in others] == frame["colour"][others].tolist()
    other = next(s for s in range(1, 5) if test[0] in rows_of(data.for_seed(s))[0])
    assert dense(data.for_seed(other))[test[0], 6] == 1


def test_a_column_that_does_not_vary_on_the_training_rows_is_zero(tmp_path: Path) -> None:
    frame = example()
    test = load(saved(frame, tmp_path / "my.csv")).split.test.tolist()
    frame["rare"] = 7.5
    frame.loc[test[0], "rare"] = 100
    data = load(saved(frame, tmp_path / "my.csv"), features="rare,a")
    assert not dense(data)[:, 1].any()
    seen = next(s for s in range(1, 5) if test[0] in rows_of(data.for_seed(s))[0])
    assert dense(data.for_seed(seen))[test[0], 1] > 1


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_nothing_of_validation_and_test_rows_reaches_the_training_rows(
    tmp_path: Path, seed: int
) -> None:
    frame = example(300)  # with so many labels, these have no say in the folds
    frame["flag"] = frame["flag"].astype(float)
    before = load(saved(frame, tmp_path / "my.csv"), seed=seed)
    kept = {"keep": "y_3"}  # where 1e6 is far from all others, and repeated
    random = np.random.default_rng(seed)
    held = [*rows_of(before)[1], *rows_of(before)[2]]
    for name in ("a", "b"):
        frame.loc[held, name] = 1e6 * random.normal(size=len(held))
    frame.loc[held[::3], "b"] = np.nan
    frame.loc[held, "colour"] = random.permutation(frame.loc[held, "colour"])
    frame.loc[held, "flag"] = 5 - frame.loc[held, "flag"]
    frame.loc[held, ["y_1", "y_2"]] = 1 - frame.loc[held, ["y_1", "y_2"]]
    frame.loc[held, "y_3"] = 1e6
    after = load(saved(frame, tmp_path / "my.csv"), seed=seed, **kept)
    assert rows_of(after) == rows_of(before)
    learned = before.split.train
    assert torch.equal(dense(after)[learned], dense(before)[learned])
    assert not torch.equal(dense(after), dense(before))
    for one, other in ((after.targets, before.targets), (after.y, before.y)):
        assert torch.equal(one[learned].nan_to_num(), other[learned].nan_to_num())


def test_every_seed_is_learned_from_its_own_training_rows(own: Path) -> None:
    data = load(own)
    for seed in range(6):
        run = data.for_seed(seed)
        assert run.data_seed == seed
        assert dense(run)[run.split.train, :2].mean(0).abs().max() < 1e-6
        assert same(run, load(own, seed=seed))


# ---------------------------------------------------------------- splits


@pytest.mark.parametrize("folds", [3, 5, 7])
def test_the_first_seeds_are_the_folds_of_one_division(own: Path, folds: int) -> None:
    data = load(own, folds=folds)
    runs = [data.for_seed(seed) for seed in range(folds)]
    assert sorted(r for run in runs for r in rows_of(run)[2]) == [*range(ROWS)]
    for seed, run in enumerate(runs):
        assert run.split.kind == "free"
        learned, validation, test = map(set, rows_of(run))
        next_test = rows_of(runs[(seed + 1) % folds])[2]
        assert validation < {*next_test} and len(validation) == math.ceil(len(next_test) / 2)
        assert learned == {*range(ROWS)} - validation - test
    again = [rows_of(data.for_seed(seed))[2] for seed in range(folds, 2 * folds)]
    assert sorted(r for rows in again for r in rows) == [*range(ROWS)]
    assert again[0] not in [rows_of(run)[2] for run in runs]


def test_rows_of_one_group_share_a_fold(tmp_path: Path) -> None:
    frame = example()
    frame["who"] = np.arange(ROWS) % 13 * 2
    for name in ("my.csv", "my.parquet"):
        data = load(saved(frame, tmp_path / name), group="who")
        assert data.x.shape[1] == 6 and data.row_groups is None
        for seed in range(7):
            groups = [{*frame["who"][rows]} for rows in rows_of(data.for_seed(seed))]
            assert sum(map(len, groups)) == 13


def test_groups_may_be_many(tmp_path: Path) -> None:
    frame = example(900)
    frame["who"] = [f"patient {r % 300}" for r in range(900)]
    data = load(saved(frame, tmp_path / "my.csv"), group="who")
    assert [len(rows) for rows in rows_of(data)] == [630, 90, 180]
    assert [frame["who"][rows].nunique() for rows in rows_of(data)] == [210, 30, 60]


def test_a_fold_of_one_group_validates_whole(tmp_path: Path) -> None:
    frame = example()
    frame["who"] = np.arange(ROWS) % 5
    data = load(saved(frame, tmp_path / "my.csv"), group="who")
    assert [len(rows) for rows in rows_of(data)] == [36, 12, 12]


def test_a_split_column_is_followed_for_every_seed(tmp_path: Path) -> None:
    frame = example()
    words = np.array(["Train", "TRAIN", "val", "Valid", "validation", "test"])
    frame["part"] = words[np.arange(ROWS) % 6]
    table = read_table(saved(frame, tmp_path / "my.csv"), split="part")
    data = table.data
    learned, validation, test = rows_of(data)
    assert learned == [r for r in range(ROWS) if r % 6 < 2]
    assert validation == [r for r in range(ROWS) if r % 6 in (2, 3, 4)]
    assert test == [r for r in range(ROWS) if r % 6 == 5]
    assert data.split.kind == "fixed" and data.redraw is None and data.data_seed is None
    assert data.for_seed(3) is data
    assert "20 training, 30 validation and 10 test rows" in said(table, "part")


def test_a_split_may_do_without_validation(tmp_path: Path) -> None:
    frame = example()
    frame["part"] = np.where(np.arange(ROWS) < 40, "train", "test")
    assert not rows_of(load(saved(frame, tmp_path / "my.csv"), split="part"))[1]


# ---------------------------------------------------------------- what is said


def test_what_was_dropped_or_imputed_is_said(tmp_path: Path) -> None:
    frame = example()
    frame["id"] = [f"row {i}" for i in range(ROWS)]
    frame["same"], frame["void"], frame["site"] = 3.5, np.nan, "here"
    frame.loc[[0, 5], ["y_1", "y_2", "y_3"]] = np.nan
    frame.loc[1:2, "colour"] = None
    table = read_table(saved(frame, tmp_path / "my.csv"))
    assert table.data.x.shape == (ROWS - 2, 6)
    assert table.notes[0] == "my.csv: 60 rows, 11 columns, 2 rows left out that have no label."
    assert "(y or y_*): 'y_1', 'y_2', 'y_3'." in said(table, "Targets found")
    assert said(table, "do not vary").endswith(": 'same', 'void', 'site'.")
    assert "of categories, with one column of 0 and 1 each: 'colour' (3 categories)" in said(
        table, "Features: columns of numbers: 3"
    )
    assert said(table, "more than 30 values").endswith(": 'id'.")
    assert said(table, "imputed with the median").endswith(": 4, in columns 'a'.")
    assert said(table, "Missing categories").endswith(": 2, in 'colour'.")
    assert said(table, "Targets that are binary").endswith(": 2: 'y_1', 'y_2'.")
    assert said(table, "Targets that are regression").endswith(": 1: 'y_3'.")
    assert said(table, "5 folds")
    assert [*table.notes] == [*table.data.notes] == [*table.data.for_seed(3).notes]
    matter = [note for note in table.notes if note.severity == "matters"]
    assert [note.columns for note in matter] == [("id",)]
    assert "own file my.csv: 58 rows, SHA-256 " in table.data.provenance
    assert all(len(note.splitlines()) == 1 for note in table.notes)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Y", "y_b", "yes", "target"], ["Y", "y_b"]),
        (["yes", "Target 1", "targets", "label"], ["Target 1", "targets"]),
        (["yes", "LABEL_1", "task"], ["LABEL_1"]),
        (["yes", "task 1", "Task 2"], ["task 1", "Task 2"]),
    ],
)
def test_targets_that_nobody_names_are_found_by_the_first_rule_that_finds_some(
    tmp_path: Path, names: list[str], expected: list[str]
) -> None:
    frame = example()[["a", *["y_2"] * len(names)]].set_axis(["a", *names], axis=1)
    table = read_table(saved(frame, tmp_path / "my.csv"), yes=True)  # copies of one column
    assert table.data.tasks == (*expected,)
    assert str(expected)[1:-1] in said(table, "Targets found by their names")


@pytest.mark.parametrize(
    "targets", ["y_1,y_2", "y_[12]", ["y_2", "y_1"], " y_1 , y_2 ", ("y_[!3]",)]
)
def test_targets_are_names_or_patterns_in_a_list_or_between_commas(
    own: Path, targets: str | Sequence[str]
) -> None:
    table = read_table(own, targets=targets, ignore="y_3")
    assert table.data.tasks == ("y_1", "y_2") and table.data.kind == "binary"
    assert said(table, "Targets as given") and said(table, "Ignored as asked: 'y_3'.")


def test_features_that_are_named_are_the_only_ones(own: Path) -> None:
    assert load(own, features=["a", "colour"]).x.shape == (ROWS, 4)
    assert load(own, features="[abc]*", ignore="colour").x.shape == (ROWS, 2)


def test_features_named_like_targets_are_pointed_out(own: Path) -> None:
    table = read_table(own, targets="y_1")
    assert table.data.x.shape[1] == 8
    assert "ignore" in said(table, "named as targets often are", "'y_2', 'y_3'")
    assert not any("often are" in note for note in read_table(own).notes)


def test_true_and_false_are_labels_and_two_values_can_be_a_regression(tmp_path: Path) -> None:
    frame = example()
    frame["y_2"] = np.where(frame["y_2"] == 1, "true", "False")
    frame["y_1"] = frame["y_1"] * 2 - 1
    path = saved(frame, tmp_path / "my.csv")
    table = read_table(path, regression="y_1")
    assert table.data.kinds == ("regression", "binary", "regression")
    assert torch.equal(table.data.y[:, 1], torch.tensor(example()["y_2"].to_numpy()).float())
    assert "as asked: 'y_1'" in said(table, "Targets that are regression")
    assert load(path, regression=["y_*"]).kind == "regression"


def test_a_column_that_turns_out_to_be_text_late_is_text_from_the_start(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = example()
    frame["mark"] = [*("1.0" if r % 2 else "1" for r in range(ROWS - 1)), "one"]
    saved(frame, own)
    monkeypatch.setattr(csv_sheet, "CHUNK_BYTES", 500)
    pieces = load(own)
    monkeypatch.undo()
    assert same(pieces, load(own))
    assert pieces.x.shape[1] == 6 + 3  # "1", "1.0" and "one"


def test_quoted_cells_may_have_line_feeds_and_lines_are_counted_as_an_editor_does(
    tmp_path: Path,
) -> None:
    lines = ['"a","text","y"']
    lines += [f'{r * r % 31},"two\nlines, ""{r % 3}""",{r % 2}' for r in range(30)]
    path = tmp_path / "my.csv"
    path.write_text("\n".join(lines))
    data = load(path)
    assert data.x.shape == (30, 4) and data.y[:, 0].tolist() == [r % 2 for r in range(30)]
    path.write_text("\r\n".join([*lines, "", "1,x,2,3"]))
    refused(lambda: read_table(path), "my.csv, line 63", "4 cells", "header has 3")


def test_names_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "=cmd()", "$x_1^2$", "é" * 300, "🙂", "  y", "a,b", "{0}"]
    frame = example()[["a", *["y_2"] * len(names)]].set_axis(["x", *names], axis=1)
    for name in ("my.csv", "my.parquet"):
        table = read_table(saved(frame, tmp_path / name), targets=names)
        assert table.data.tasks == (*names,)
        assert label_counts(table.data)["task"].tolist() == names


def test_the_budget_grows_with_the_rows(tmp_path: Path) -> None:
    small, large = (load(saved(example(n), tmp_path / "my.csv")) for n in (60, 5000))
    assert (small.recipe["batch_size"], small.recipe["steps"]) == (64, 300)
    assert (large.recipe["batch_size"], large.recipe["steps"]) == (128, 40 * 28)
    assert {run.recipe["steps"] for run in map(large.for_seed, range(3))} == {1120}


def test_a_path_can_be_loaded_like_any_data_set(own: Path) -> None:
    assert same(load(str(own), targets="y_*"), load(own))
    assert same(load(own, seed=2), load(own, seed=2))
    refused(lambda: load(str(own), target="y_*"), "my.csv", "unknown option 'target'", "'targets'")
    refused(lambda: load("my.json"), "unknown dataset 'my.json'", ".csv, .tsv or .parquet")
    assert [is_table(n) for n in ("a.csv", Path("tox21"), "x.TSV.gz", "tox21", None)] == [
        True,
        True,
        True,
        False,
        False,
    ]


# ---------------------------------------------------------------- molecules

MOLECULES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "Cl", "c1ccccc1", "C(=O)O")]


def molecules() -> pd.DataFrame:
    frame = example()[["a", "y_1", "y_2"]].assign(drug=MOLECULES)
    frame["y_1"] = frame["y_1"].fillna(0)
    return frame


def test_a_column_of_smiles_becomes_fingerprints(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    frame = molecules()
    frame.loc[7, "drug"], frame.loc[20, "drug"] = "no molecule", None
    path = saved(frame, tmp_path / "my.csv")
    two = ("column 'drug'", "2 of 60 rows", "line 9 ('no molecule'), line 22 (nothing)", "--yes")
    refused(lambda: read_table(path, smiles="drug"), *two)
    table = read_table(path, smiles="drug", yes=True)
    assert isinstance(table.data.x, Bits) and table.data.x.shape == (ROWS - 2, 1024)
    assert "line 9, line 22 (rows: 2 of 60)" in said(table, "RDKit cannot read")
    assert "'a'" in said(table, "Left out beside the SMILES")
    assert said(table, "ECFP4 fingerprints of 1,024 bits")
    assert table.data.y[:, 1].tolist() == frame["y_2"].drop([7, 20]).tolist()
    assert table.data.x is table.data.for_seed(1).x
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    known = morgan.GetFingerprintAsNumPy(Chem.MolFromSmiles(MOLECULES[9]))
    assert table.data.x.to_dense()[8].tolist() == known.tolist()


def test_rows_of_the_same_smiles_share_a_fold_and_so_do_their_groups(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    frame = molecules()
    frame["drug"] = frame["drug"].to_numpy()[np.arange(ROWS) // 3]
    row = np.arange(ROWS)
    frame["who"] = np.where(np.isin(row % 6, (2, 3)), 1000 + row // 6, row)  # links two drugs each
    path = saved(frame, tmp_path / "my.csv")
    alone = read_table(path, smiles="drug", ignore="who")
    linked = read_table(path, smiles="drug", group="who")
    for table, columns in ((alone, ["drug"]), (linked, ["drug", "who"])):
        assert said(table, "rows of the same molecule share a fold")
        for seed in range(5):
            parts = rows_of(table.data.for_seed(seed))
            for name in columns:
                assert sum(frame[name][rows].nunique() for rows in parts) == frame[name].nunique()


@pytest.mark.parametrize("case", ["missing", "unreadable"])
def test_smiles_that_cannot_be_had_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    frame = molecules()
    if case == "missing":
        monkeypatch.setitem(sys.modules, "rdkit", None)
        words = ("my.csv", "RDKit", "mtl_nt[chem]")
    else:
        pytest.importorskip("rdkit")
        frame["drug"] = "no molecule"
        words = ("my.csv", "column 'drug'", "'no molecule'", "must have SMILES")
    path = saved(frame, tmp_path / "my.csv")
    refused(lambda: read_table(path, smiles="drug"), *words)


# ---------------------------------------------------------------- what is refused

Change = Callable[[pd.DataFrame], pd.DataFrame]


def cell(column: str, row: int, value: Any) -> Change:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return change


def column(name: str, value: Any) -> Change:
    return lambda frame: frame.assign(**{name: value})


def unchanged(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


FEW = [1.0] + [0.0] * (ROWS - 1)
TABLES: dict[str, tuple[Change, dict[str, Any], tuple[str, ...]]] = {
    "no rows": (lambda f: f[:0], {}, ("header and no rows",)),
    "two rows": (lambda f: f[:2], {}, ("2 rows with labels", "need 10")),
    "nine rows": (lambda f: f[:9], {"folds": 3}, ("9 rows with labels", "3 folds need 10")),
    "more targets than rows": (
        lambda f: pd.concat(
            [f[:12], *(f[["y_2"]][:12].add_suffix(f"_{i}") for i in range(12))], axis=1
        ),
        {},
        ("15 targets for 12 rows", "a row"),
    ),
    "no labels at all": (
        column("y_1", np.nan),
        {"targets": "y_1"},
        ("no row has a label", "'y_1'"),
    ),
    "a target without labels": (column("y_1", np.nan), {}, ("'y_1' has no labels", "ignore")),
    "a target of one class": (column("y_1", 1), {}, ("'y_1' is 1 in every row", "ignore")),
    "a constant regression": (column("y_3", 2.5), {}, ("'y_3' is 2.5 in every row",)),
    "one positive": (
        column("y_2", FEW),
        {},
        ("'y_2' has 1 positive, of which none", "of seed ", "--ignore", "--min-positives"),
    ),
    "one negative": (column("y_2", 1 - np.array(FEW)), {}, ("'y_2' has 1 negative,", "of seed ")),
    "labels of -1 and 1": (
        lambda f: f.assign(y_2=f["y_2"] * 2 - 1),
        {},
        ("'y_2' has two values, -1 and 1", "write 0 and 1", "regression"),
    ),
    "text in a target": (
        cell("y_2", 6, "active"),
        {},
        ("line 8, column 'y_2'", "'active' is no number", "--missing 'active'", "--yes"),
    ),
    "a long text in a target": (cell("y_2", 6, "a\n" * 500), {}, ("line 8, column 'y_2'", "...")),
    "infinity in a feature": (cell("a", 4, "inf"), {}, ("line 6, column 'a'", "infinite", "mend")),
    "infinity in a target": (cell("y_3", 0, "-Infinity"), {}, ("line 2, column 'y_3'", "infinite")),
    "10^400 in a feature": (cell("a", 9, "1e400"), {}, ("line 11, column 'a'", "above 1e+30")),
    "10^400 in digits": (cell("a", 9, "1" + "0" * 400), {}, ("line 11, column 'a'", "above 1e+30")),
    "10^5000 in digits": (
        cell("a", 9, "1" + "0" * 5000),
        {},
        ("line 11, column 'a'", "above 1e+30"),
    ),
    "10^400 in a target": (cell("y_1", 1, "1e400"), {}, ("line 3, column 'y_1'", "above 1e+30")),
    "features that do not vary": (
        lambda f: f.assign(a=1, b=2.5, flag=True, colour="red"),
        {},
        ("no feature is left", "do not vary", "numbers"),
    ),
    "features that are ids": (
        lambda f: f[["y_1", "y_2"]].assign(id=[f"r{i}" for i in range(ROWS)]),
        {},
        ("no feature is left", "'id'", "more than 30 values"),
    ),
    "targets alone": (lambda f: f[["y_1", "y_2"]], {}, ("no feature column is left",)),
    "no name of a target": (
        lambda f: f.rename(columns=lambda n: n.replace("y_", "z_")),
        {},
        ("no column is named as a target", "such as --targets z_2,z_3"),
    ),
    "an unknown target": (
        unchanged,
        {"targets": "y_1,y_4"},
        ("targets: no column 'y_4'", "did you mean"),
    ),
    "an unknown pattern": (
        unchanged,
        {"targets": ["assay_*"]},
        ("no column 'assay_*'", "known: a, b"),
    ),
    "more targets than columns": (
        unchanged,
        {"targets": [f"y_{i}" for i in range(20)]},
        ("targets: no column 'y_0'",),
    ),
    "no target in the list": (unchanged, {"targets": ""}, ("targets is empty", "'y_*'")),
    "a target that is no name": (unchanged, {"targets": 3}, ("targets '3'", "names or patterns")),
    "all targets ignored": (
        unchanged,
        {"targets": "y_1", "ignore": "y_*"},
        ("every target is ignored",),
    ),
    "a target that is a feature": (
        unchanged,
        {"features": "a,y_1"},
        ("'y_1'", "under targets and under features", "one role"),
    ),
    "a target that is the group": (
        unchanged,
        {"targets": "y_*", "group": "y_1"},
        ("'y_1'", "under group and under targets"),
    ),
    "a group that is the split": (
        unchanged,
        {"group": "a", "split": "a"},
        ("give group or split",),
    ),
    "an ignored group": (unchanged, {"group": "a", "ignore": "a"}, ("group and under ignore",)),
    "no such feature": (unchanged, {"features": ["aa"]}, ("features: no column 'aa'",)),
    "no such column to ignore": (unchanged, {"ignore": "q*"}, ("ignore: no column 'q*'",)),
    "regression of a feature": (unchanged, {"regression": "a"}, ("regression names no target",)),
    "no such group": (unchanged, {"group": "patient"}, ("no group column 'patient'", "known:")),
    "no such split": (unchanged, {"split": "fold"}, ("no split column 'fold'",)),
    "no such SMILES": (unchanged, {"smiles": "smiles"}, ("no smiles column 'smiles'",)),
    "a group that is no name": (unchanged, {"group": 3}, ("no group column '3'",)),
    "a row without group": (
        lambda f: f.assign(who=["x", None, *range(ROWS - 2)]),
        {"group": "who"},
        ("line 3, column 'who'", "no group"),
    ),
    "too few groups": (
        lambda f: f.assign(who=np.arange(ROWS) % 4),
        {"group": "who"},
        ("4 groups for 5 folds", "fewer folds"),
    ),
    "other words in a split": (
        lambda f: f.assign(part=["train"] * 40 + ["holdout"] * 20),
        {"split": "part"},
        ("line 42, column 'part'", "'holdout'", "train, validation or test"),
    ),
    "a gap in a split": (
        lambda f: f.assign(part=["train"] * 40 + ["test"] * 19 + [None]),
        {"split": "part"},
        ("line 61, column 'part'", "nothing is no part"),
    ),
    "a split without test": (
        lambda f: f.assign(part=["train"] * 40 + ["val"] * 20),
        {"split": "part"},
        ("'part' has no test row",),
    ),
    "a split without training": (column("part", "test"), {"split": "part"}, ("no train row",)),
    "a split that leaves one class to train on": (
        lambda f: f.assign(part=np.where(f["y_2"] == 1, "train", "test")),
        {"split": "part"},
        ("'y_2'", "negatives, of which none is among the training rows;"),
    ),
    "two folds": (unchanged, {"folds": 2}, ("folds 2", "3 or more")),
    "folds of text": (unchanged, {"folds": "a"}, ("folds 'a'", "3 or more")),
    "folds that leave no rows": (
        unchanged,
        {"folds": 40},
        ("60 rows with labels", "40 folds need 80"),
    ),
    "a seed below 0": (unchanged, {"seed": -1}, ("seed -1",)),
    "a name that occurs twice": (
        lambda f: f.set_axis(["a", "a", *f.columns[2:]], axis=1),
        {},
        ("2 columns are named 'a'", "rename or drop"),
    ),
    "a column without name": (
        lambda f: f.set_axis([f.columns[0], "", *f.columns[2:]], axis=1),
        {},
        ("column 2 of the header has no name",),
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_with_a_fault_is_refused(tmp_path: Path, case: str) -> None:
    change, options, words = TABLES[case]
    path = saved(change(example()), tmp_path / "my.csv")
    refused(lambda: read_table(path, **options), *words)


def lines(*more: str, at: int = 2) -> bytes:
    text = saved_text().splitlines()
    return "\n".join([*text[:at], *more, *text[at:]]).encode()


def saved_text(separator: str = ",") -> str:
    return str(example().to_csv(index=False, sep=separator))


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("my.csv", saved_text())
    return file.getvalue()


FILES: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "empty": ("my.csv", b"", ("is empty",)),
    "blank lines": ("my.csv", b"\n\n  \n", ("is empty",)),
    "an empty .gz": ("my.csv.gz", gzip.compress(b""), ("is empty",)),
    "no text": ("my.csv", bytes(range(1, 256)) * 9, ("my.csv, line 1",)),
    "one column": ("my.csv", b"y\n1\n0\n", ("line 1", "one column", "more than one is needed")),
    "a line too long": ("my.csv", lines("1,2,3,4,5,6,7,8"), ("line 3: 8 cells", "header has 7")),
    "a line too short": ("my.csv", lines("1,2,3"), ("line 3: 3 cells", "header has 7")),
    "a zero byte": ("my.csv", lines("1,2,\0,4,5,6,7"), ("line 3", "zero byte")),
    "a quote that is not closed": ("my.csv", lines('1,"2,3,4,5,6,7'), ("line 3", "not closed")),
    "a quote inside a cell": ("my.csv", lines('1,"2"3,4,5,6,7,8'), ("line 3", "cannot be read")),
    "a carriage return": ("my.csv", lines("1,2,3\r4,5,6,7,8"), ("line 3", "mend")),
    "old line ends": ("my.csv", saved_text().replace("\n", "\r").encode(), ("line 1",)),
    "Latin letters of old": ("my.csv", "café,y\n1,1\n".encode("latin-1"), ("line 1", "UTF-8")),
    "old letters further down": (
        "my.csv",
        saved_text().encode() + "1,2,True,café,0,1,2".encode("latin-1"),
        ("line 62", "UTF-8"),
    ),
    "UTF-16": ("my.csv", saved_text().encode("utf-16"), ("UTF-16", "save the table as UTF-8")),
    "a zip renamed": ("my.csv", zipped(), ("zip archive", "as CSV")),
    "a pickle renamed": ("my.csv", pickle.dumps({"a": 1}), ("pickle", "never read")),
    "an old pickle renamed": ("my.csv", pickle.dumps({"a": 1}, 0), ("line 1", "one column")),
    "a packed pickle": ("my.csv.gz", gzip.compress(pickle.dumps([1])), ("pickle", "never read")),
    "a .gz renamed": ("my.csv", gzip.compress(b"a,y\n"), ("compressed", ".csv.gz")),
    "a .gz that is none": ("my.csv.gz", saved_text().encode(), ("cannot be read", "anew")),
    "a .gz cut short": ("my.csv.gz", gzip.compress(saved_text().encode())[:-300], ("cannot be",)),
    "a .gz with a fault": (
        "my.csv.gz",
        gzip.compress(saved_text().encode())[:100] + b"\xff" * 50,
        ("cannot be read", "save the table anew"),
    ),
    "a Parquet that is none": ("my.parquet", b"a,y\n1,0\n", ("cannot be read as Parquet",)),
    "an empty Parquet": ("my.parquet", b"", ("cannot be read as Parquet",)),
    "a Parquet renamed": ("my.csv", b"PAR1" + bytes(50), ("a Parquet", ".parquet")),
    "an .xlsx": ("my.xlsx", zipped(), ("my.xlsx", "save the sheet as CSV")),
    "a .pkl": ("my.pkl", pickle.dumps([1]), ("pickles are never read",)),
    "a .txt": ("my.txt", saved_text().encode(), ("name it .csv or .tsv",)),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, case: str) -> None:
    name, content, words = FILES[case]
    (tmp_path / name).write_bytes(content)
    refused(lambda: read_table(str(tmp_path / name)), name, *words)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    for name, words in {
        "none.csv": ("no such file",),
        "folder.csv": ("is a folder",),
        "loop.csv": ("cannot be read", "symbolic links"),
        "pipe.csv": ("no regular file",),
        "a\0b.csv": ("cannot be read",),
        "n" * 500 + ".csv": ("cannot be read",),
    }.items():
        refused(lambda name=name: read_table(tmp_path / name), *words)
    refused(lambda: read_table(Path("my.json")), "my.json")
    for wrong in (None, 3, "", b"my.csv"):
        refused(lambda wrong=wrong: read_table(wrong), "give the path")
    (tmp_path / "my.json").write_text("{}")
    refused(lambda: read_table(tmp_path / "my.json"), "must end with one of .csv")


def test_a_file_that_may_not_be_read_is_refused(own: Path) -> None:
    own.chmod(0)
    if os.access(own, os.R_OK):
        pytest.skip("this user may read everything")
    refused(lambda: read_table(own), "my.csv", "Permission denied")


def test_a_disk_that_fails_is_said(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "open_regular", fails)
    refused(lambda: read_table(own), "my.csv", "Permission denied")


def test_what_unpacks_to_too_much_is_refused_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_sheet, "LARGEST_FILE", 100_000)
    monkeypatch.setattr(csv_sheet, "MAX_ROW_BYTES", 50_000)
    one_line, many = tmp_path / "line.csv.gz", tmp_path / "many.csv.gz"
    one_line.write_bytes(gzip.compress(b"a,y\n" + b"0" * 10_000_000))
    many.write_bytes(gzip.compress(b"a,y\n" + b"1,0\n" * 1_000_000))
    refused(lambda: read_table(one_line), "line 2", "50,000 bytes in one row")
    refused(lambda: read_table(many), "more than 100,000 bytes")
    one_line.write_bytes(gzip.compress(b'a,y\n"' + b"0\n" * 10_000_000))
    refused(lambda: read_table(one_line), "line 2", "not closed")


def test_a_table_with_too_many_cells_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = saved(example(), own.with_name("my.parquet"))
    monkeypatch.setattr(sheets, "MAX_CELLS", 7 * ROWS - 1)
    for path in (own, parquet):
        refused(lambda path=path: read_table(path), path.name, "419 cells", "7 columns")


@pytest.mark.slow
def test_a_parquet_that_unpacks_to_too_much_is_refused_by_its_own_account(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path, rows = tmp_path / "bomb.parquet", 50_000_000
    names = ["y", *(f"x{i}" for i in range(8))]
    table = pa.table(dict.fromkeys(names, pa.nulls(rows)))  # sooner written than numbers
    parquet.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 2_000_000
    refused(lambda: read_table(path), "bomb.parquet", "more than 400,000,000 cells")


@pytest.mark.slow
def test_cells_that_a_small_file_makes_many_of_are_refused_by_the_memory_that_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path = tmp_path / "bomb.parquet"
    for rows, columns in ((40_000_000, 9), (100_000_000, 2)):
        names = ["y", *(f"x{i}" for i in range(columns - 1))]
        parquet.write_table(pa.table(dict.fromkeys(names, pa.nulls(rows))), path)
        words = (f"for {rows:,} rows or more of {columns} columns", "4,294,967,296 at most")
        refused(lambda: read_table(path), "bomb.parquet", *words)
    sheets.check_cells(100_000, 2_200, "a table of the stated size", packed=1)
    sheets.check_cells(100_000, 4_000, "one that is backed by its bytes", packed=400_000_000)
    packed = saved(example(), tmp_path / "my.csv.gz")
    monkeypatch.setattr(sheets, "MAX_MEMORY", 10_000)
    monkeypatch.setattr(sheets, "MEMORY_RATIO", 1)
    refused(lambda: read_table(packed), "my.csv.gz", "7 columns", "10,000 at most")
    saved(example(), tmp_path / "my.csv")
    assert len(load(tmp_path / "my.csv").y) == ROWS  # as many bytes as it seems


def test_a_parquet_that_unpacks_to_more_than_its_size_makes_likely_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(example(5000), tmp_path / "my.parquet")
    monkeypatch.setattr(files, "FREE_UNPACKING", 1000)
    monkeypatch.setattr(files, "UNPACKING_RATIO", 0)
    refused(lambda: read_table(path), "my.parquet", "unpacks to more than 1,000 bytes")


@pytest.mark.slow
def test_lines_that_fill_no_table_are_soon_too_many(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.csv.gz"
    for line in (b"\n", b" \r\n", b" " * 1_000_000 + b"\n"):
        path.write_bytes(gzip.compress(b"a,y\n1,0\n" + line * (3_000_000 // len(line)), 1))
        refused(lambda: read_table(path), "bomb.csv.gz, line", "bytes of blank lines; drop them")
    twice = tmp_path / "twice.csv"  # as a CSV that was written on Windows, opened as text
    twice.write_bytes(own.read_bytes().replace(b"\n", b"\r\n\r\n"))
    monkeypatch.setattr(csv_sheet, "MAX_BLANK", 10)
    assert same(load(twice), load(own))
    monkeypatch.setattr(csv_sheet, "MAX_LINES", 1000)
    path.write_bytes(gzip.compress(b'a,y\n"' + b"0\n" * 10_000))
    refused(lambda: read_table(path), "bomb.csv.gz", "more than 1,000 lines")


@pytest.mark.parametrize("name", ["my.csv", "my.tsv.gz", "my.parquet"])
def test_a_table_is_known_by_the_bytes_that_were_read(tmp_path: Path, name: str) -> None:
    path = saved(example(), tmp_path / name)
    table, sha256 = read_table(path), hashlib.sha256(path.read_bytes()).hexdigest()
    assert table.sha256 == sha256
    assert f"SHA-256 {sha256[:12]}" in table.data.provenance


CHANGES: dict[str, Callable[[Path], object]] = {
    "written anew": lambda path: path.write_bytes(path.read_bytes()),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "another in its place": lambda path: saved(example(50), path),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["my.csv", "my.tsv.gz", "my.parquet"])
def test_a_table_that_changes_while_it_is_read_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: str
) -> None:
    path, read_cells = saved(example(), tmp_path / name), reading.read_cells
    wrong = saved(example().assign(y_1="no label"), tmp_path / f"other-{name}")

    def changed(*given: Any) -> Any:
        found = read_cells(*given)
        CHANGES[change](path)
        return found

    def at_fault(*given: Any) -> Any:
        CHANGES[change](wrong)
        return read_cells(*given)

    monkeypatch.setattr(reading, "read_cells", changed)
    refused(lambda: read_table(path), f"{name} changed while it was read; try again")
    monkeypatch.setattr(reading, "read_cells", at_fault)
    refused(lambda: read_table(wrong), f"other-{name} changed while it was read; try again")


def test_one_long_text_in_every_row_of_a_parquet_is_kept_once(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    frame = example(5000)
    long = ["x" * 200_000, "y" * 200_000]
    frame["colour"] = pd.Categorical.from_codes(frame["flag"].astype(int), long)
    path, pool = tmp_path / "my.parquet", pa.default_memory_pool()
    parquet.write_table(pa.Table.from_pandas(frame), path, store_schema=False)
    before = pool.max_memory()
    assert load(path).x.shape[1] == 5
    assert pool.max_memory() - before < 100e6  # spelled out, it would be a gigabyte


def test_a_parquet_has_rows_instead_of_lines_and_columns_of_other_types_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = example()
    frame["when"] = pd.Timestamp("2020-01-01")
    path = saved(frame, tmp_path / "my.parquet")
    refused(lambda: read_table(path), "column 'when'", "neither number nor text", "ignore")
    assert load(path, ignore="when").x.shape[1] == 6
    frame = example()
    frame.loc[8, "a"] = np.inf
    saved(frame, path)
    refused(lambda: read_table(path), "my.parquet, row 9, column 'a'", "infinite")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    refused(lambda: read_table(path), "my.parquet", "mtl_nt[parquet]", ".csv")


def test_every_type_of_number_and_text_in_a_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    whole = [None if r % 9 == 0 else r % 7 for r in range(ROWS)]
    words = [None if r % 8 == 0 else "uvw"[r % 3] for r in range(ROWS)]
    flags = [None if r % 5 == 0 else r % 2 == 0 for r in range(ROWS)]
    columns = {
        "byte": pa.array(whole, pa.int8()),
        "large": pa.array(whole, pa.uint64()),
        "half": pa.array(whole, pa.float64()).cast(pa.float16()),
        "decimal": pa.array(whole, pa.int64()).cast(pa.decimal128(25, 2)),
        "coded": pa.array(whole, pa.float64()).dictionary_encode(),
        "digits": pa.array([None if w is None else str(w) for w in whole]),
        "flag": pa.array(flags),
        "word": pa.array(words),
        "long": pa.array(words, pa.large_string()),
        "category": pa.array(words).dictionary_encode(),
        "void": pa.nulls(ROWS),
        "y": pa.array([r % 2 for r in range(ROWS)], pa.int16()),
        "y_2": pa.array(flags),
    }
    path, kept = tmp_path / "my.parquet", {"keep": "flag"}  # which is target y_2
    parquet.write_table(pa.table(columns), path)
    table = read_table(path, **kept)
    assert table.data.kind == "binary" and table.data.x.shape == (ROWS, 7 + 9)
    assert torch.equal(table.data.labelled[:, 1], torch.arange(ROWS) % 5 != 0)
    x = dense(table.data)
    assert all(torch.equal(x[:, i], x[:, 0]) for i in range(1, 6))
    assert torch.equal(x[:, 7:10], x[:, 10:13]) and torch.equal(x[:, 7:10], x[:, 13:])
    plain = {name: column.to_pylist() for name, column in columns.items()}
    frame = pd.DataFrame(plain, dtype=object)
    assert same(load(saved(frame, tmp_path / "my.csv"), **kept), table.data)


def test_a_parquet_may_come_in_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = example()
    frame["late"] = [*("2" for _ in range(ROWS - 1)), "two"]
    frame["kind"] = [f"{r // 7}" if r < 50 else f"of {r % 5}" for r in range(ROWS)]
    path = saved(frame, tmp_path / "my.parquet")
    whole = load(path)
    frame.to_parquet(path, index=False, row_group_size=17)
    monkeypatch.setattr(parquet_sheet, "CELLS_AT_ONCE", 40)  # two columns of 17 rows
    assert same(load(path), whole)
    assert whole.x.shape == (ROWS, 3 + 3 + 2 + 13)


def test_row_names_that_pandas_wrote_are_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "my.parquet"
    example().sample(frac=1, random_state=0).to_parquet(path)
    table = read_table(path)
    assert table.data.x.shape[1] == 6 and said(table, "row names that pandas wrote")


def test_categories_that_would_make_too_many_columns_are_refused(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtl_nt.datasets import features

    monkeypatch.setattr(features, "MAX_CELLS", 5 * ROWS)
    refused(lambda: read_table(own), "6 columns with one a category", "ignore")


# ---------------------------------------------------------------- whatever there is in a table

NAMES = st.text(min_size=1, max_size=12)
CELL = st.one_of(
    st.sampled_from(["0", "1", "", "NA", "true", "False", "1e400", "-inf", "x", '"', "1e-320"]),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=True).map(repr),
    st.text(max_size=6),
)
NUMBERS = st.one_of(st.floats(-1e30, 1e30).map(repr), st.integers(-5, 5).map(str), st.just(""))
LABELS = st.sampled_from(["0", "1", "0", "1", ""])


def one_line_or_data(path: Path, **options: Any) -> TaskData | None:
    """A valid data set (TaskData checks itself) or one line; any other exception is a fault."""
    try:
        table = read_table(path, **options)
    except BadInput as error:
        message = str(error)
        assert len(message.splitlines()) == 1 and 10 < len(message) < 300, message
        return None
    assert all(len(note.splitlines()) == 1 for note in table.notes)
    return table.data


QUIET = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUIET
@given(names=st.lists(NAMES, min_size=2, max_size=6), data=st.data())
def test_any_names_and_cells_give_data_or_one_line(
    tmp_path: Path, names: list[str], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.tuples(*[CELL] * len(names)), min_size=0, max_size=14))
    text = io.StringIO(newline="")
    pd.DataFrame(rows, columns=names, dtype=object).to_csv(text, index=False)
    path = tmp_path / "my.csv"
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    one_line_or_data(path, targets=[names[-1]])
    one_line_or_data(path)


@QUIET
@given(names=st.lists(NAMES.filter(str.strip), min_size=4, max_size=4, unique=True), data=st.data())
@pytest.mark.slow
def test_numbers_of_any_size_under_any_names_are_the_same_from_csv_and_parquet(
    tmp_path: Path, names: list[str], data: st.DataObject
) -> None:
    kinds = (NUMBERS, st.one_of(NUMBERS, st.sampled_from(["u", "v", "w"])), LABELS, NUMBERS)
    rows = data.draw(st.lists(st.tuples(*kinds), min_size=12, max_size=30))
    if any("\0" in name or "\r" in name for name in names):
        return
    frame = pd.DataFrame(rows, columns=names, dtype="str")
    path = saved(frame, tmp_path / "my.csv")
    found = one_line_or_data(path, targets=names[2:])
    if found is not None:
        assert found.tasks == (*names[2:],)
        assert dense(found).isfinite().all()
        other = one_line_or_data(saved(frame, tmp_path / "my.parquet"), targets=names[2:])
        assert other is not None and same(found, other)


@QUIET
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@pytest.mark.parametrize("name", ["my.csv", "my.tsv.gz", "my.parquet"])
def test_any_bytes_give_data_or_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    one_line_or_data(path)


def test_nothing_in_a_table_is_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for name in ("my.csv", "my.tsv", "my.parquet", "my.pkl", "my.csv.gz"):
            content = pickle.dumps(Trap(), protocol)
            packed = gzip.compress(content) if name.endswith(".gz") else content
            (tmp_path / name).write_bytes(packed)
            assert one_line_or_data(tmp_path / name) is None
    assert not (tmp_path / "sprung").exists()


def test_a_missing_cell_is_missing_however_it_is_spelled(tmp_path: Path) -> None:
    frame = example()
    frame["a"] = frame["a"].astype(object)
    frame["a"] = [*sheets.EMPTY_CELLS[1:], *frame["a"][len(sheets.EMPTY_CELLS) - 1 :]]
    frame["colour"] = [*sheets.EMPTY_CELLS[1:], *frame["colour"][len(sheets.EMPTY_CELLS) - 1 :]]
    table = read_table(saved(frame, tmp_path / "my.csv"))
    assert said(table, "imputed").endswith(f": {len(sheets.EMPTY_CELLS) - 1}, in columns 'a'.")
    of_text = said(table, "Missing categories")
    assert of_text.endswith(f": {len(sheets.EMPTY_CELLS) - 1}, in 'colour'.")
    assert cells.MAX_CATEGORIES == 30
