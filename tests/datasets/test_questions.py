"""What reading asks about, what it says that it did, and what it passes over in ordinary tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_tables import ROWS, plain, write
from refusals import refused

from mtl_nt import BadInput, TaskData, load
from mtl_nt.audit import audit
from mtl_nt.audit.source import note_lines
from mtl_nt.commands import main
from mtl_nt.datasets import Unanswered, csv_sheet, target_suspicions
from mtl_nt.datasets.table import Table, read_table
from mtl_nt.tasks import Note

RANDOM = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order_of_the_tests() -> None:
    global RANDOM
    RANDOM = np.random.default_rng(11)


def questions(path: Path, **options: Any) -> list[str]:
    """What the reading asks; nothing where it reads on."""
    try:
        read_table(path, **options)
    except Unanswered as asked:
        assert all(len(question) < 240 for question in asked.questions), asked.questions
        return list(asked.questions)
    return []


def said(table: Table, *words: str) -> Note:
    (note,) = [n for n in table.notes if all(word in n for word in words)]
    return note


def x_of(data: TaskData) -> np.ndarray:
    return np.asarray(data.x)


# ---------------------------------------------------------------- cells that are no numbers


def test_codes_for_no_value_are_empty_and_named(tmp_path: Path) -> None:
    frame, codes = plain().astype(object), {"dose": "-", "mass": "n.d.", "y_1": "ND", "y_3": "?"}
    empty = plain()
    for row, (name, code) in enumerate(codes.items()):
        frame.loc[row, name], empty.loc[row, name] = code, np.nan
    frame.loc[9, "dose"] = "#DIV/0!"
    empty.loc[9, "dose"] = np.nan
    table = read_table(write(frame, tmp_path / "my.csv"))
    expected = read_table(write(empty, tmp_path / "empty.csv")).data
    assert np.array_equal(x_of(table.data), x_of(expected))
    assert table.data.labelled.sum(0).tolist() == expected.labelled.sum(0).tolist()
    note = said(table, "there is no value")
    assert "'-' in 'dose' (cells: 1)" in note and "'ND' in 'y_1' (cells: 1)" in note
    assert note.severity == "matters" and {*note.columns} == {*codes}


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (">10", ("'>10' is a limit and no number", "--missing '>10'")),
        ("<0.5", ("'<0.5' is a limit",)),
        ("1,234", ("'1,234' has a comma", "--decimal=,")),
        ("12,345,678", ("commas for thousands",)),
        ("5 mg", ("'5 mg' has a unit",)),
        ("37%", ("has a unit",)),
        ("$ 1.50", ("has a unit",)),
        ("12 345", ("has marks for thousands",)),
        ("see notes", ("'see notes' is no number", "--missing 'see notes'")),
    ],
)
@pytest.mark.parametrize("column", ["heat", "y_2"])
def test_a_cell_that_is_no_number_is_named_with_its_line(
    tmp_path: Path, cell: str, words: tuple[str, ...], column: str
) -> None:
    frame = plain().astype({column: object})
    frame.loc[7, column] = cell
    path = write(frame, tmp_path / "my.csv")
    refused(lambda: read_table(path), f"my.csv: line 9, column '{column}'", "--ignore", *words)
    emptied = read_table(path, missing=[cell.replace("[", "")])
    assert f"{cell!r} in '{column}' (cells: 1)" in said(emptied, "Empty, as asked")
    guessed = read_table(path, yes=True)
    assert said(guessed, "Empty, since they are no numbers", column).severity == "matters"
    assert np.array_equal(x_of(guessed.data), x_of(emptied.data))
    parquet = write(frame.astype(str), tmp_path / "my.parquet")
    assert f"row 8, column '{column}'" in questions(parquet)[0]


@pytest.mark.parametrize("row", [0, 60, ROWS - 1])
@pytest.mark.parametrize("cell", ["-", ">10", "none of these"])
def test_a_large_file_is_read_in_pieces_as_if_it_were_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int, cell: str
) -> None:
    frame = plain().astype({"dose": object, "y_2": object})
    frame.loc[row, ["dose", "y_2"]] = cell
    path = write(frame, tmp_path / "my.csv")
    asked, whole = questions(path), read_table(path, yes=True)
    monkeypatch.setattr(csv_sheet, "CHUNK_BYTES", 1200)  # some 25 lines
    assert questions(path) == asked and len(asked) == (0 if cell == "-" else 2)
    pieces = read_table(path, yes=True)
    assert np.array_equal(x_of(pieces.data), x_of(whole.data))
    assert [*pieces.notes] == [*whole.notes]


def test_all_columns_with_such_cells_are_named_at_once(tmp_path: Path) -> None:
    frame = plain().astype(object)
    for row, name in enumerate(frame.columns):
        frame.loc[row, name] = "broken"
    found = questions(write(frame, tmp_path / "my.csv"))
    assert len(found) == 4
    assert "other columns of numbers" in found[3]
    assert all(f"'{name}'" in " ".join(found) for name in frame.columns)
    with pytest.raises(Unanswered) as asked:
        read_table(tmp_path / "my.csv")
    assert "4 questions are open" in str(asked.value) and len(str(asked.value)) < 300
    assert len(asked.value._render_traceback_()) == 5


def test_categories_and_texts_of_digits_and_letters_are_left_as_they_are(tmp_path: Path) -> None:
    frame = plain().assign(
        size=RANDOM.choice(["1", "2", "3", "4+"], ROWS),
        ticket=[f"A/{k}" if k % 4 == 0 else str(k * 7919) for k in range(ROWS)],
        grade=RANDOM.choice(["+", "-", "?"], ROWS),
    )
    table = read_table(write(frame, tmp_path / "my.csv"))
    assert table.data.x.shape[1] == 4 + 4 + 3
    assert "'size', 'grade' (7 categories)" in said(table, "one column of 0 and 1 each")
    assert said(table, "more than 30 values").columns == ("ticket",)


# ---------------------------------------------------------------- values that mean "missing"


@pytest.mark.parametrize("value", [-999, 9999, -99, 1e6])
@pytest.mark.parametrize("column", ["mass", "y_1"])
def test_a_far_value_that_is_repeated_is_asked_about(
    tmp_path: Path, value: float, column: str
) -> None:
    frame = plain()
    rows = RANDOM.choice(ROWS, 9, replace=False)
    frame.loc[rows, column] = value
    path = write(frame, tmp_path / "my.csv")
    words = (f"{value:.10g} is far from all other numbers", f"'{column}' (cells: 9)", "missing?")
    refused(lambda: read_table(path), *words, f"--missing={value:.10g}", "--keep", "--yes")
    emptied = read_table(path, missing=f"{value:.10g}")
    assert "(cells: 9)" in said(emptied, "Empty, as asked", column)
    kept = read_table(path, keep=column)
    assert not any("far from all" in note for note in kept.notes)
    assert said(read_table(path, yes=True), "though it is far from all other numbers", column)
    if column == "y_1":
        assert int(emptied.data.labelled[:, 0].sum()) == ROWS - 9


@pytest.mark.parametrize(("value", "share"), [(-999, 0.9), (-99, 0.3), (-1, 0.3)])
def test_a_code_below_zero_is_asked_about_where_nothing_else_is(
    tmp_path: Path, value: int, share: float
) -> None:
    frame = plain(300)
    frame["y_1"], frame["mass"] = 10 ** (3 + frame["y_1"]), RANDOM.integers(0, 400, 300)
    levels = RANDOM.random(300) < share
    frame.loc[levels, "y_1"], frame.loc[levels, "mass"] = value, value
    path = write(frame, tmp_path / "my.csv")
    (asked,) = questions(path)
    seen = "is far from all other numbers" if value == -999 else "is the only number below 0"
    assert f"{value} {seen} and repeated in 'y_1'" in asked
    assert ("'mass'" in asked) == (value < -9)  # -1 may be a level of a feature
    emptied = read_table(path, missing=f"y_1={value},mass={value}")
    assert int(emptied.data.labelled[:, 0].sum()) == 300 - levels.sum()
    assert not questions(path, keep="y_1,mass")


@pytest.mark.parametrize("value", [-1, 9, 999])
def test_a_third_value_beside_classes_is_asked_about(tmp_path: Path, value: int) -> None:
    frame = plain()
    frame["y_4"] = frame["y_3"][::-1].to_numpy()
    hit = RANDOM.random((ROWS, 2)) < 0.3
    frame[["y_3", "y_4"]] = np.where(hit, value, frame[["y_3", "y_4"]])
    path = write(frame, tmp_path / "my.csv")
    words = (f"{value} stands beside 0 and 1 in 'y_3', 'y_4'", f"--missing={value}", "--regression")
    refused(lambda: read_table(path), *words)
    assert read_table(path, missing=[value]).data.kinds[2:] == ("binary", "binary")
    assert read_table(path, regression="y_3,y_4").data.kinds[2:] == ("regression",) * 2


def test_a_value_may_be_missing_in_some_columns_alone(tmp_path: Path) -> None:
    frame = plain().assign(count=RANDOM.integers(-3, 4, ROWS))
    frame.loc[::3, "y_3"] = -1
    path = write(frame, tmp_path / "my.csv")
    (asked,) = questions(path)
    assert "--missing 'y_3=-1'" in asked
    table = read_table(path, missing="y_3=-1")
    assert table.data.kinds[2] == "binary"
    assert said(table, "Empty, as asked").columns == ("y_3",)
    refused(lambda: read_table(path, missing="y_3=-1,-77"), "no cell", "'-77'")
    refused(lambda: read_table(path, missing=None), "missing 'None'", "-999")


# ---------------------------------------------------------------- targets


def test_numbered_classes_in_no_order_are_asked_about(tmp_path: Path) -> None:
    frame = plain(300)
    step = pd.qcut(frame["heat"] + 0.3 * frame["y_1"], 7, labels=False)
    frame["y_kind"] = np.array([4, 0, 6, 2, 5, 1, 3])[step]
    frame["y_step"] = step
    path = write(frame, tmp_path / "my.csv")
    asked, other = questions(path)
    assert "in no order" in asked and "'y_kind'" in asked and "y_step" not in asked
    assert "--classes 'y_kind'" in asked and "--regression 'y_kind'" in asked
    assert "in no order" not in other and "'y_step'" in other and "'y_kind'" not in other
    assert not questions(path, regression="y_kind,y_step")
    assert not questions(path, regression="y_step", ignore="y_kind")
    assert not questions(path, regression="y_step", classes="y_kind")
    assert said(read_table(path, yes=True), "come in no order", "'y_kind'")


def test_a_heavy_tail_is_said_and_log_reads_it(tmp_path: Path) -> None:
    frame = plain()
    frame["y_1"], frame["y_2"] = 10 ** (3 + frame["y_1"]), np.floor(10 ** (1 + frame["y_2"]))
    path = write(frame, tmp_path / "my.csv")
    note = said(read_table(path), "Heavy tails")
    assert "--log 'y_1,y_2'" in note and note.severity == "matters"
    table = read_table(path, log="y_1,y_2")
    assert np.allclose(table.data.y[:, 0], np.log10(frame["y_1"]), atol=1e-5)
    assert np.allclose(table.data.y[:, 1], np.log10(1 + frame["y_2"]), atol=1e-5)
    assert said(table, "log10(y)", "'y_1'", "a factor of 2")
    assert said(table, "log10(1 + y)", "'y_2'")
    assert not any("Heavy tails" in note for note in table.notes)
    refused(lambda: read_table(path, log="y_3"), "--log names 'y_3', which is 0 and 1")
    refused(lambda: read_table(path, log="dose"), "log names no target")
    frame.loc[5, "y_1"] = -2.0
    write(frame, path)
    refused(lambda: read_table(path, log="y_1"), "line 7, column 'y_1'", "-2 has no logarithm")


def test_numbers_far_from_zero_are_centred_before_they_are_rounded(tmp_path: Path) -> None:
    frame = plain()
    near = read_table(write(frame, tmp_path / "near.csv")).data
    moved = frame.assign(dose=1.7e9 + 50 * frame["dose"], y_1=1.7e9 + 50 * frame["y_1"])
    path = tmp_path / "my.csv"
    moved.to_csv(path, index=False, float_format="%.6f")
    table = read_table(path)
    assert np.allclose(x_of(table.data), x_of(near), atol=1e-4)
    assert np.allclose(table.data.targets.numpy(), near.targets.numpy(), atol=1e-4)
    assert said(table, "Centred before they are rounded").columns == ("y_1", "dose")
    moved["y_3"] = 1_700_000_000 + frame["y_3"]
    refused(lambda: read_table(write(moved, path)), "'y_3' has two values, 1.7e+09 and 1.7e+09")


# ---------------------------------------------------------------- features


@pytest.mark.parametrize("name", ["Unnamed: 0", "place", "id"])
def test_row_numbers_are_left_out_and_said(tmp_path: Path, name: str) -> None:
    frame = plain().sort_values("y_1")
    frame.insert(0, name, range(3, ROWS + 3))
    path = write(frame, tmp_path / "my.csv")
    table = read_table(path)
    assert table.data.x.shape[1] == 4
    note = said(table, "row numbers are no features")
    assert note.columns == (name,) and note.severity == "matters"
    assert read_table(path, keep=name).data.x.shape[1] == 5
    assert read_table(path, features=[name, "dose"], keep=name).data.x.shape[1] == 2
    assert "gives target 'y_1' away" in questions(path, features=[name, "dose"])[0]


def test_identifiers_are_left_out_and_repeated_ones_are_pointed_out(tmp_path: Path) -> None:
    frame = plain().assign(
        sample_id=RANDOM.permutation(ROWS) * 7 + 40_000_000,
        clinic_id=RANDOM.integers(100, 110, ROWS),
        year=RANDOM.permutation(np.arange(1900, 1900 + ROWS)),
    )
    table = read_table(write(frame, tmp_path / "my.csv"))
    assert said(table, "identifiers are no features").columns == ("sample_id",)
    assert "--group" in said(table, "named as identifiers", "'clinic_id'")
    assert table.data.x.shape[1] == 4 + 2


def test_a_row_number_is_known_where_rows_without_labels_lie_between(tmp_path: Path) -> None:
    frame = plain().assign(n=range(ROWS))
    frame.loc[::5, ["y_1", "y_2", "y_3"]] = np.nan
    assert said(read_table(write(frame, tmp_path / "my.csv")), "row numbers").columns == ("n",)


@pytest.mark.parametrize("shape", ["linear", "falling", "exponential"])
def test_a_feature_that_gives_a_target_away_is_asked_about(tmp_path: Path, shape: str) -> None:
    frame = plain()
    change = {"linear": lambda y: 0.5 * y + 3, "falling": lambda y: -y, "exponential": np.exp}
    frame["heat"] = change[shape](frame["y_2"])
    frame.loc[::6, "y_2"] = np.nan
    path = write(frame, tmp_path / "my.csv")
    words = ("feature 'heat' gives target 'y_2' away", "rank correlation", "--ignore", "--keep")
    refused(lambda: read_table(path), *words)
    for option in ({"ignore": "heat"}, {"keep": "heat"}, {"yes": True}):
        assert not questions(path, **option)


@pytest.mark.parametrize("target", ["two classes", "levels", "classes"])
def test_a_category_that_gives_a_target_away_is_asked_about(tmp_path: Path, target: str) -> None:
    frame = plain(120)
    level = RANDOM.integers(0, 2 if target == "two classes" else 3, 120)
    if target == "levels":
        frame["y_3"] = level * 0.7 + 0.1
    elif target == "classes":
        frame["y_3"] = np.array(["a", "b", "c"])[level]
    else:
        frame["y_3"] = level
    options = {"classes": "y_3"} if target == "classes" else {}
    frame["group"] = np.array(["low", "middle", "high"])[level]
    path = write(frame, tmp_path / "my.csv")
    refused(lambda: read_table(path, **options), "feature 'group' gives target 'y_3' away")
    assert not questions(path, keep="group", **options)
    frame.loc[::9, "group"] = "low"
    assert not questions(write(frame, path), **options)


def test_a_category_is_not_judged_by_the_rows_that_it_was_counted_on(tmp_path: Path) -> None:
    """Its few rows of a value agree by chance, and their own mean is nearer to each of them."""
    frame = plain(30).assign(who=[f"p{k % 9}" for k in RANDOM.permutation(30)])
    frame["y_3"] = RANDOM.integers(0, 2, 30)
    assert not questions(write(frame, tmp_path / "my.csv"))


@pytest.mark.slow
def test_a_giveaway_is_found_among_many_columns_and_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_suspicions, "LOOK_AT", 50)
    frame = plain(400)
    noise = pd.DataFrame(RANDOM.normal(size=(400, 600)), columns=[f"n{k}" for k in range(600)])
    frame = pd.concat([noise, frame.assign(copy=frame["y_1"] * 2)], axis=1)
    (asked,) = questions(write(frame, tmp_path / "my.csv"))
    assert "feature 'copy' gives target 'y_1' away" in asked


def test_a_close_feature_is_no_giveaway(tmp_path: Path) -> None:
    rare = plain().assign(flag=0, y_rare=0)
    rare.loc[[3, 40, 77, 100], ["flag", "y_rare"]] = 1  # few rows agree by chance
    assert not questions(write(rare, tmp_path / "rare.csv"))
    frame = plain()
    noise = RANDOM.normal(size=ROWS)
    frame["heat"] = frame["y_2"] + 0.2 * frame["y_2"].std() * noise
    assert not questions(write(frame, tmp_path / "my.csv"))


@pytest.mark.slow
def test_rows_with_the_same_features_propose_their_group(tmp_path: Path) -> None:
    lines = plain(30)
    frame = lines.loc[np.repeat(range(30), 4)].reset_index(drop=True)
    frame[["y_1", "y_2"]] += RANDOM.normal(size=(120, 2))
    for name, values in {
        "line": [f"HT-{k // 4}" for k in range(120)],
        "ward": [f"w{k // 4 % 30:02}" for k in range(120)],
    }.items():
        path = write(frame.assign(**{name: values}), tmp_path / "my.csv")
        (asked,) = questions(path)
        assert "120 rows have 30 different rows of features" in asked
        assert f"--group '{name}'" in asked and "--split random" in asked
        assert not questions(path, group=name) and not questions(path, split="random")
        assert not questions(path, split=f"group:{name}")
    unnamed = read_table(write(frame, tmp_path / "my.csv"))
    assert said(unnamed, "120 rows have 30 different rows of features", "--group")


@pytest.mark.slow
def test_features_of_molecules_ask_for_smiles(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    molecules = [
        f"{'C' * n}{end}" for n in range(1, 11) for end in ("O", "N", "c1ccccc1", "C(=O)O")
    ]
    for name in ("structure", "Canonical_SMILES"):
        frame = plain().assign(**{name: (molecules * 3)[:ROWS]})
        path = write(frame, tmp_path / "my.csv")
        (asked,) = questions(path)
        assert f"column '{name}' holds molecules" in asked and f"--smiles '{name}'" in asked
        assert not questions(path, ignore=name) and not questions(path, keep=name)
    alone = frame[["Canonical_SMILES", "y_1", "y_2", "y_3"]]
    assert "holds molecules" in questions(write(alone, path))[0]
    names = [f"CN{k:03}" for k in range(ROWS)]
    assert not questions(write(plain().assign(code=names, city=["NY", "CO", "IN"] * 40), path))


# ---------------------------------------------------------------- rare targets


def rare() -> pd.DataFrame:
    frame = plain(200)
    for t, positives in enumerate((1, 1, 0, 3, 12, 40)):
        frame[f"y_r{t}"] = 0
        frame.loc[RANDOM.choice(200, positives, replace=False), f"y_r{t}"] = 1
    return frame


def test_all_targets_that_are_too_rare_are_named_at_once(tmp_path: Path) -> None:
    path = write(rare().drop(columns="y_r2"), tmp_path / "my.csv")
    refused(lambda: read_table(path), "2 targets lack a class", "'y_r0', 'y_r1'", "--min-positives")
    constant = write(rare(), tmp_path / "my.csv")
    refused(lambda: read_table(constant), "'y_r2' is 0 in every row", "--min-positives")
    table = read_table(constant, min_positives=10)
    assert table.data.tasks == ("y_1", "y_2", "y_3", "y_r4", "y_r5")
    note = said(table, "fewer than 10 labels")
    assert note.columns == ("y_r0", "y_r1", "y_r2", "y_r3") and "5 are left" in note
    few = read_table(constant, min_positives=2)
    assert said(few, "too few to measure", "'y_r3'", "--min-positives 10").severity == "matters"
    refused(
        lambda: read_table(constant, targets="y_r*", min_positives=99), "every target has fewer"
    )
    refused(lambda: read_table(constant, min_positives=0), "min_positives 0", "1 or more")


def test_rows_that_lose_their_last_label_leave_with_the_target(tmp_path: Path) -> None:
    frame = rare()[["dose", "mass", "y_r0", "y_r5"]]
    frame.loc[frame["y_r5"].index[:20], "y_r5"] = np.nan
    table = read_table(write(frame, tmp_path / "my.csv"), min_positives=5)
    assert len(table.data.x) == 180 and "20 rows went with them" in said(table, "fewer than 5")


def test_the_runs_whose_labels_are_checked_are_those_that_train(tmp_path: Path) -> None:
    frame = plain(200).assign(y_r=0)
    frame.loc[17, "y_r"] = 1
    path = write(frame, tmp_path / "my.csv")
    refused(lambda: read_table(path), "'y_r' has 1 positive, of which none is among the training")
    found = {}
    for seed in range(5):
        try:
            found[seed] = read_table(path, seed=seed, seeds=[seed]).data
        except BadInput as error:
            assert f"of seed {seed}" in str(error)
    assert 3 <= len(found) <= 4  # one run tests on the row, and another one may validate on it
    assert all(17 in data.split.train.tolist() for data in found.values())
    other = next(seed for seed in range(5) if seed not in found)
    refused(lambda: found[min(found)].for_seed(other), f"of seed {other}")


# ---------------------------------------------------------------- what is said, and where


def test_notes_are_sentences_with_a_severity_and_stand_in_the_data(tmp_path: Path) -> None:
    frame = plain().assign(n=range(ROWS), one=1.5)
    data = load(write(frame, tmp_path / "my.csv"))
    assert [str(note) for note in data.notes if note.severity == "matters"] == [
        "Left out, as row numbers are no features: 'n' (--keep takes them)."
    ]
    assert note_lines(data.notes)[0].startswith("! Left out, as row numbers")
    assert len(note_lines(data.notes)) == len(data.notes)
    assert json.loads(json.dumps([note.as_json() for note in data.notes]))[0]["about"] == "size"
    assert all(note.endswith(".") and "\n" not in note for note in data.notes)


def test_names_in_notes_are_text_whatever_they_are(tmp_path: Path) -> None:
    frame = plain().rename(columns={"dose": "a\x1b[2Jb"}).assign(**{"<b>\n": range(ROWS)})
    frame["\u202ered"] = "same"
    table = read_table(write(frame, tmp_path / "my.csv"))
    assert all(note.isprintable() for note in table.notes)


def test_the_command_asks_one_line_each_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = plain().astype({"dose": object}).assign(copy=plain()["y_2"])
    frame.loc[3, "dose"] = ">10"
    write(frame, tmp_path / "my.csv")
    assert main(["report", "my.csv"]) == 2
    one, other, last = capsys.readouterr().err.splitlines()
    assert one.startswith("? my.csv: line 5, column 'dose'") and "away" in other
    assert last.startswith("mtl_nt: my.csv: 2 questions are open") and "--yes" in last
    assert main(["report", "my.csv", "--missing", ">10", "--json"]) == 2
    printed = capsys.readouterr()
    assert "--keep" in json.loads(printed.out)["questions"][0]
    assert printed.err.startswith("mtl_nt: my.csv: feature 'copy' gives target 'y_2' away")
    assert [path.name for path in tmp_path.iterdir()] == ["my.csv"]


@pytest.mark.slow
def test_an_audit_says_what_was_read_before_it_trains_and_keeps_it(tmp_path: Path) -> None:
    path = write(plain().assign(n=range(ROWS)), tmp_path / "my.csv")
    lines: list[str] = []
    options = {"seeds": 2, "steps": 5, "progress": False, "folder": tmp_path / "kept"}
    made = audit(path, "MTL", say=lines.append, **options)
    first = next(k for k, line in enumerate(lines) if "Left out, as row numbers" in line)
    assert lines[first].startswith("! ") and first < next(
        k for k, line in enumerate(lines) if "on this machine" in line
    )
    assert [n.severity for n in made.notes if "row numbers" in n] == ["matters"]
    again = audit(path, "MTL", say=lines.append, **options)
    assert [n.as_json() for n in again.notes] == [n.as_json() for n in made.notes]
    assert "Not scored" not in "".join(made.notes)


# ---------------------------------------------------------------- ordinary tables ask nothing


def ordinary() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(3)
    rows = 400
    base = plain(rows)
    grid = np.array([(a, b, c) for a in (0, 1, 2) for b in (10, 20) for c in (0.5, 1.5)])
    design = pd.DataFrame(grid.repeat(20, 0), columns=["time", "heat", "acid"])
    rain = np.where(random.random(rows) < 0.6, 0, random.exponential(5, rows))
    return {
        "counts of many values": base.assign(y_1=random.poisson(20, rows)),
        "rain": base.assign(dose=rain, y_1=rain[::-1]),
        "prices with a cap": base.assign(y_1=np.minimum(random.lognormal(0.5, 0.6, rows), 5.00001)),
        "a designed experiment": design.assign(
            y_1=random.normal(size=len(design)), y_2=random.normal(size=len(design))
        ),
        "years": base.assign(year=1950 + np.arange(rows) // 8),
        "ages with gaps": base.assign(
            age=np.where(random.random(rows) < 0.2, np.nan, random.integers(1, 80, rows))
        ),
        "flags alone": pd.DataFrame(
            random.integers(0, 2, (rows, 5)), columns=["a", "b", "c", "y_1", "y_2"]
        ),
        "one class of an iris": base.assign(y_3=(base["heat"] > 0.5).astype(int)),
        "temperatures below zero": base.assign(dose=random.normal(-1, 8, rows).round()),
        "outliers": base.assign(mass=np.where(np.arange(rows) == 5, 500.0, base["mass"])),
    }


def grades() -> dict[str, pd.DataFrame]:
    """Targets of few whole numbers, which nobody but their owner can tell from classes."""
    random, base, rows = np.random.default_rng(6), plain(60), 60
    ends = np.r_[1, random.integers(2, 5, rows - 2), 5]
    return {
        "ratings that follow the features": base.assign(
            y_1=1 + pd.qcut(base["y_1"], 5, labels=False)
        ),
        "opinions that follow nothing": base.assign(y_1=random.integers(1, 6, rows)),
        "counts": base.assign(y_1=random.poisson(1, rows)),
        "three steps": base.assign(y_1=random.integers(1, 4, rows)),
        "an end that occurs once": base.assign(y_1=ends),
        "a grade that never occurs": base.assign(y_1=random.choice([1, 2, 3, 5, 6, 7], rows)),
        "features of texts alone": base.assign(
            y_1=random.integers(1, 6, rows),
            **{c: base[c].gt(0).map(str) + "!" for c in base[["dose", "mass", "heat", "flow"]]},
        ),
    }


@pytest.mark.parametrize("case", grades())
def test_few_whole_numbers_are_asked_about_once_in_one_line(tmp_path: Path, case: str) -> None:
    frame = grades()[case]
    path = write(frame, tmp_path / "my.csv")
    (asked,) = questions(path)
    assert "targets of few whole numbers that may be numbered classes: 'y_1'" in asked
    assert f"({frame['y_1'].nunique()} values)" in asked
    assert "--classes 'y_1', or --regression 'y_1' if their order" in asked
    numbers = read_table(path, regression="y_1")
    assert numbers.data.kinds[0] == "regression"
    assert not [note for note in numbers.notes if "few" in note or "values may be" in note]
    guessed = read_table(path, yes=True)
    assert guessed.data.kinds[0] == "regression"
    assert said(guessed, "Read as numbers, though their", "may be classes: 'y_1'")
    if frame["y_1"].value_counts().min() > 2:
        assert read_table(path, classes="y_1").data.kinds[0] == "classes"


def test_several_targets_of_grades_are_one_question(tmp_path: Path) -> None:
    random, frame = np.random.default_rng(6), plain()
    frame = frame.drop(columns="y_3").assign(
        y_1=random.integers(1, 6, ROWS), y_2=random.integers(1, 4, ROWS)
    )
    path = write(frame, tmp_path / "my.csv")
    (asked,) = questions(path)
    assert "'y_1', 'y_2' (few values); --classes 'y_*'" in asked
    assert not questions(path, regression="y_*")


@pytest.mark.parametrize("case", ordinary())
def test_an_ordinary_table_asks_nothing(tmp_path: Path, case: str) -> None:
    table = read_table(write(ordinary()[case], tmp_path / "my.csv"))
    assert [note for note in table.notes if note.severity == "matters"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dial", "dial-noisy", "assays"])
def test_the_data_sets_of_the_package_ask_nothing_as_tables(tmp_path: Path, name: str) -> None:
    data = load(name)
    x = (data.x.to_dense() if hasattr(data.x, "to_dense") else data.x)[:, :100]
    columns = [*(f"x{k}" for k in range(x.shape[1])), *(f"y_{t}" for t in range(len(data.tasks)))]
    frame = pd.DataFrame(np.c_[x.numpy()[:600], data.y.numpy()[:600]], columns=columns)
    assert not questions(write(frame, tmp_path / "my.csv"), min_positives=5)
