"""Targets of classes, weights of rows and weights of classes in a user's table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_tables import ROWS, plain, write
from refusals import refused

from mtl_nt import load
from mtl_nt.datasets import Unanswered, csv_sheet
from mtl_nt.datasets.table import Table, read_table

STAGES = ("I", "II", "III")


def staged(rows: int = ROWS) -> pd.DataFrame:
    """A table with a target of three classes, in texts, and a column of weights."""
    random = np.random.default_rng(2)
    frame = plain(rows)
    place = (frame["dose"].rank() * 3 / (rows + 1)).astype(int)
    frame["y_stage"] = np.array(STAGES)[place]
    frame["counts"] = random.integers(1, 4, rows)
    return frame


def stage(table: Table) -> list[str | None]:
    """The class of every row, by its name."""
    data = table.data
    names = data.classes["y_stage"]
    labels = data.y[:, data.tasks.index("y_stage")].tolist()
    return [None if label != label else names[int(label)] for label in labels]


@pytest.mark.parametrize("end", [".csv", ".tsv", ".parquet"])
def test_a_target_of_texts_is_one_of_classes_if_it_is_named_so(tmp_path: Path, end: str) -> None:
    frame = staged()
    frame.loc[5, "y_stage"] = None
    table = read_table(write(frame, tmp_path / f"my{end}"), classes="y_stage")
    assert table.data.kinds == ("regression", "regression", "binary", "classes")
    assert table.data.classes == {"y_stage": STAGES}
    assert (
        stage(table)
        == frame["y_stage"].astype(object).where(frame["y_stage"].notna(), None).to_list()
    )
    (note,) = [n for n in table.notes if "3 classes" in n]
    assert str(note) == (
        "Target of 3 classes, as asked: 'y_stage': 'I', 'II', 'III'; rows without a label: 1."
    )


@pytest.mark.parametrize("word", ["none", "NONE", "Nil", "n.d.", "missing", "?"])
def test_a_word_for_no_value_is_empty_in_every_kind_of_column(tmp_path: Path, word: str) -> None:
    frame = staged().astype({"dose": object}).assign(kind=["a", "b", "c"] * (ROWS // 3))
    empty = frame.copy()
    for name, row in (("dose", 3), ("kind", 4), ("y_stage", 5)):
        frame.loc[row, name], empty.loc[row, name] = word, None
    read, blank = (
        read_table(write(f, tmp_path / n), classes="y_stage", ignore="counts")
        for f, n in ((frame, "words.csv"), (empty, "empty.csv"))
    )
    assert stage(read) == stage(blank) and stage(read)[5] is None
    assert read.data.x.equal(blank.data.x)  # type: ignore[union-attr]
    said = " ".join(str(note) for note in read.notes if note.severity == "matters")
    assert f"No label of 'y_stage': '{word}' (rows: 1). If it is a class, give it another" in said
    assert f"'{word}' in" in said and "'kind'" in said
    assert "(cells: " in said and "If it is a category, give it another name in the table" in said


def test_plus_and_minus_are_signs_in_features_and_in_classes(tmp_path: Path) -> None:
    frame = staged()
    frame["kind"] = frame["y_stage"] = np.where(np.arange(ROWS) % 2, "+", "-")
    path = write(frame, tmp_path / "my.csv")
    data = read_table(path, classes="y_stage", ignore="counts", keep="kind").data
    assert data.classes == {"y_stage": ("+", "-")} and bool(data.labelled.all())
    assert data.x[:, -2:].sum(1).eq(1).all()  # type: ignore[index, union-attr]


def test_numbers_are_classes_in_their_order_and_1_and_1_0_are_one(tmp_path: Path) -> None:
    frame = staged().astype({"y_stage": object})
    frame["y_stage"] = [("2", "10", "10.0", " 10")[row % 4] for row in range(ROWS)]
    frame.loc[3, "y_stage"] = "NA"
    table = read_table(write(frame, tmp_path / "my.csv"), classes="y_stage")
    assert table.data.classes == {"y_stage": ("2", "10")}
    assert stage(table)[:6] == ["2", "10", "10", None, "2", "10"]


def test_classes_of_later_chunks_are_numbered_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = staged().sort_values("y_stage", ascending=False)
    path = write(frame, tmp_path / "my.csv")
    whole = read_table(path, classes="y_stage")
    monkeypatch.setattr(csv_sheet, "CHUNK_BYTES", 200)
    parts = read_table(path, classes="y_stage")
    assert stage(parts) == stage(whole) == frame["y_stage"].to_list()
    assert parts.data.classes == whole.data.classes


def test_words_that_say_no_value_and_what_the_user_calls_missing_are_no_classes(
    tmp_path: Path,
) -> None:
    frame = staged()
    frame.loc[[4, 9], "y_stage"] = ["n.d.", "unclear"]
    table = read_table(write(frame, tmp_path / "my.csv"), classes="y_*age", missing="unclear")
    assert table.data.classes == {"y_stage": STAGES}
    assert stage(table)[4] is stage(table)[9] is None
    said = [str(note) for note in table.data.notes if note.severity == "matters"]
    assert any(
        s.startswith("No label of 'y_stage': 'n.d.' (rows: 1). If it is a class") for s in said
    )


def test_whole_numbers_in_no_order_become_classes_by_the_option_that_the_question_names(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(4)
    frame = plain(400)
    place = (frame["dose"].rank() * 9 / 401).astype(int)
    frame["y_1"] = random.permutation(9)[place]
    path = write(frame, tmp_path / "my.csv")
    with pytest.raises(Unanswered, match=r"--classes 'y_1', or --regression 'y_1' if"):
        read_table(path)
    data = read_table(path, classes="y_1").data
    assert data.kinds[0] == "classes"
    assert data.classes["y_1"] == tuple("012345678")
    assert read_table(path, regression="y_1").data.kinds[0] == "regression"


def test_each_run_trains_on_every_class_and_rare_ones_are_shared_out(tmp_path: Path) -> None:
    frame = staged()
    frame.loc[frame.index[:10], "y_stage"] = "IV"
    data = read_table(write(frame, tmp_path / "my.csv"), classes="y_stage").data
    t = data.tasks.index("y_stage")
    for seed in range(10):
        run = data.for_seed(seed)
        held = run.y[run.split.test, t] == run.classes["y_stage"].index("IV")
        assert int(held.sum()) == 2


@pytest.mark.parametrize("zeros", [[], [3, 7]])
def test_weights_are_those_of_the_column_which_is_no_feature(
    tmp_path: Path, zeros: list[int]
) -> None:
    frame = staged()
    frame.loc[zeros, "counts"] = 0
    path = write(frame, tmp_path / "my.csv")
    table = read_table(path, classes="y_stage", weights="counts")
    kept = frame[frame["counts"] > 0]
    assert table.data.weights is not None
    assert table.data.weights.shape == table.data.y.shape
    assert table.data.weights[:, 0].tolist() == kept["counts"].to_list()
    assert table.data.x.shape[1] == 4
    (note,) = [n for n in table.notes if "'counts'" in n]
    assert note.severity == "matters"
    assert ("weight 0: 2 rows" in note) == (len(kept) < len(frame))
    assert f"{len(frame):,} rows" in table.notes[0]


def test_class_weight_is_in_the_data_and_said(tmp_path: Path) -> None:
    path = write(staged(), tmp_path / "my.csv")
    data = load(path, classes="y_stage", class_weight="balanced")
    assert data.class_weight == "balanced"
    (note,) = [n for n in data.notes if "weigh more" in n]
    assert "'y_3', 'y_stage'" in note


def once(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(y_stage=["IV", *frame["y_stage"][1:]])


def twice_in_test(frame: pd.DataFrame) -> pd.DataFrame:
    part = np.where(np.arange(len(frame)) < 2, "test", "train")
    return frame.assign(y_stage=["IV", "IV", *frame["y_stage"][2:]], part=part)


def with_weight(value: object) -> Any:
    return lambda frame: frame.assign(counts=[1, value, *frame["counts"][2:]])


CLASSES = {"classes": "y_stage"}
FAULTS: dict[str, tuple[Any, dict[str, Any], tuple[str, ...]]] = {
    "texts that nobody named as classes": (
        lambda frame: frame,
        {},
        ("line 2", "'y_stage'", "no label", "--classes"),
    ),
    "a class that occurs once": (
        once,
        CLASSES,
        ("'y_stage'", "one row alone", "'IV'", "--missing 'y_stage=IV'"),
    ),
    "a class without a training row": (
        twice_in_test,
        {**CLASSES, "split": "part"},
        ("'y_stage'", "2 labels of class 'IV'", "none is among the training rows"),
    ),
    "one class alone": (
        lambda frame: frame.assign(y_stage="I"),
        CLASSES,
        ("'y_stage'", "is 'I' in every row"),
    ),
    "one class beside a word for no value": (
        lambda frame: frame.assign(y_stage=["I", "-"] * (ROWS // 2)),
        CLASSES,
        ("'y_stage'", "is 'I' in every row with a label (not in 60:", "'-' are no label"),
    ),
    "words for no value alone": (
        lambda frame: frame.assign(y_stage=["none", "nil"] * (ROWS // 2)),
        CLASSES,
        ("'y_stage' has no labels (words such as none",),
    ),
    "too many classes": (
        lambda frame: frame,
        {"classes": "y_1", "ignore": "y_stage"},
        ("'y_1'", "more than 30 classes", "merge"),
    ),
    "classes that are no targets": (
        lambda frame: frame,
        {"classes": "dose"},
        ("classes names no target",),
    ),
    "classes with a logarithm": (
        lambda frame: frame,
        {**CLASSES, "log": "y_stage"},
        ("'y_stage'", "under classes and under log"),
    ),
    "classes that are numbers": (
        lambda frame: frame,
        {**CLASSES, "regression": "y_*"},
        ("'y_stage'", "under classes and under regression"),
    ),
    "a negative weight": (
        with_weight(-2),
        {**CLASSES, "weights": "counts"},
        ("line 3", "'counts'", "'-2' is no weight", "0 to"),
    ),
    "a missing weight": (
        with_weight(None),
        {**CLASSES, "weights": "counts"},
        ("line 3", "'counts'", "no weight", "0 to"),
    ),
    "a weight in words": (
        with_weight("much"),
        {**CLASSES, "weights": "counts"},
        ("line 3", "'counts'", "'much' is no weight"),
    ),
    "weights that are all 0": (
        lambda frame: frame.assign(counts=0),
        {**CLASSES, "weights": "counts"},
        ("'counts'", "every row the weight 0"),
    ),
    "an unknown column of weights": (
        lambda frame: frame,
        {**CLASSES, "weights": "count"},
        ("no weights column 'count'", "'counts'"),
    ),
    "a target as weights": (
        lambda frame: frame,
        {**CLASSES, "weights": "y_1", "targets": "y_*"},
        ("'y_1'", "under weights and under targets"),
    ),
    "an unknown class weight": (
        lambda frame: frame,
        {**CLASSES, "class_weight": "even"},
        ("class_weight 'even'", "balanced"),
    ),
    "class weights without classes": (
        lambda frame: frame.drop(columns=["y_stage", "y_3"]),
        {"class_weight": "balanced"},
        ("--class-weight balanced", "there are none"),
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_named_in_one_line(tmp_path: Path, case: str) -> None:
    change, options, words = FAULTS[case]
    path = write(change(staged()), tmp_path / "my.csv")
    refused(lambda: read_table(path, **options), *words)


def test_targets_of_too_rare_classes_can_be_left_out(tmp_path: Path) -> None:
    frame = once(staged())
    table = read_table(write(frame, tmp_path / "my.csv"), classes="y_stage", min_positives=5)
    assert "y_stage" not in table.data.tasks
    assert any("'y_stage'" in n and "fewer than 5 labels" in n for n in table.notes)


def test_a_class_whose_rows_were_left_out_is_no_class_any_more(tmp_path: Path) -> None:
    frame = staged().assign(y_stage=["IV", "IV", *staged()["y_stage"][2:]])
    frame.loc[[0, 1], "counts"] = 0
    table = read_table(write(frame, tmp_path / "my.csv"), classes="y_stage", weights="counts")
    assert table.data.classes == {"y_stage": STAGES}
    assert stage(table) == frame["y_stage"].to_list()[2:]
