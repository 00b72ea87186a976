"""Molecules, scaffolds, times and rare labels: which rows may not be in different parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_tables import plain, write
from refusals import refused

from mtl_nt import TaskData
from mtl_nt.datasets.folds import assign_folds
from mtl_nt.datasets.stratified_folds import assign_stratified, rare_labels
from mtl_nt.datasets.table import read_table

RANDOM = np.random.default_rng(2)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order_of_the_tests() -> None:
    global RANDOM
    RANDOM = np.random.default_rng(2)


def parts_of(data: TaskData) -> list[list[int]]:
    split = data.split
    return [split.train.tolist(), split.validation.tolist(), split.test.tolist()]


def torn(values: pd.Series, parts: list[list[int]]) -> int:
    """How many different values are in more than one part."""
    return sum(values.iloc[rows].nunique() for rows in parts) - values.nunique()


# ---------------------------------------------------------------- molecules

PARENTS = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1", "CN1CCCC1c1cccnc1", "CC(C)Cc1ccccc1"]
PARENTS += ["C" * n + end for n in range(2, 8) for end in ("N", "C(=O)O", "c1ccncc1", "C1CCCCC1")]


def spelled() -> pd.DataFrame:
    """Every molecule five times: in other spellings, as a salt and as a stereoisomer."""
    from rdkit import Chem

    rows = []
    for number, text in enumerate(PARENTS):
        molecule = Chem.MolFromSmiles(text)
        for k in range(4):
            other = Chem.MolToSmiles(molecule, canonical=False, doRandom=True)
            rows.append((number, other if k else f"{other}.Cl"))
        rows.append((number, text))
    frame = pd.DataFrame(rows, columns=["parent", "smiles"])
    for t in range(3):
        labels = RANDOM.integers(0, 2, len(PARENTS))
        frame[f"y_{t}"] = labels[frame["parent"]]
    return frame


@pytest.mark.slow
def test_one_molecule_in_several_spellings_is_never_torn_apart(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    frame = spelled()
    path = write(frame, tmp_path / "my.csv")
    table = read_table(path, smiles="smiles")
    assert any("rows of the same molecule share a fold" in note for note in table.notes)
    assert [torn(frame["parent"], parts_of(table.data.for_seed(s))) for s in range(5)] == [0] * 5
    # The salts may be apart, and then some are.
    apart = read_table(path, smiles="smiles", apart="salts").data
    salt = frame["smiles"].str.contains(".", regex=False)
    runs = [parts_of(apart.for_seed(s)) for s in range(5)]
    assert sum(torn(frame["parent"], parts) for parts in runs) > 0
    assert sum(torn(frame.loc[~salt, "parent"].reindex(frame.index), p) for p in runs) == 0
    refused(
        lambda: read_table(path, smiles="smiles", apart="isotopes"), "apart 'isotopes'", "stereo"
    )


def test_stereoisomers_share_a_fold_unless_they_are_named_apart(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    pairs = [f"{'C' * n}[C{at}H](N){end}" for n in range(1, 13) for end in ("O", "F", "C(=O)O")
             for at in ("@", "@@")]  # fmt: skip
    frame = pd.DataFrame({"smiles": pairs, "pair": np.arange(len(pairs)) // 2})
    for t in range(2):
        frame[f"y_{t}"] = RANDOM.integers(0, 2, len(pairs))
    path = write(frame, tmp_path / "my.csv")
    together, apart = (read_table(path, smiles="smiles", apart=a).data for a in ("", "stereo"))
    assert [torn(frame["pair"], parts_of(together.for_seed(s))) for s in range(5)] == [0] * 5
    assert sum(torn(frame["pair"], parts_of(apart.for_seed(s))) for s in range(5)) > 0


def test_molecules_of_one_scaffold_share_a_fold_on_request(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    rings = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "C1CCNCC1", "c1ccc2ccccc2c1", "C1CC1"]
    rows = [(ring, "C" * n + ring) for ring in rings for n in range(1, 9)]
    frame = pd.DataFrame(rows, columns=["ring", "smiles"])
    for t in range(2):
        frame[f"y_{t}"] = np.arange(len(frame)) // (t + 1) % 2
    path = write(frame, tmp_path / "my.csv")
    scaffold = read_table(path, smiles="smiles", split="scaffold", folds=3)
    assert any("molecules of one scaffold share a fold" in note for note in scaffold.notes)
    assert [torn(frame["ring"], parts_of(scaffold.data.for_seed(s))) for s in range(3)] == [0] * 3
    free = read_table(path, smiles="smiles", split="random", folds=3).data
    assert torn(frame["ring"], parts_of(free)) > 0
    refused(lambda: read_table(path, split="scaffold"), "--split scaffold needs --smiles")


def test_few_unreadable_molecules_are_left_out_and_many_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    frame = spelled()
    frame.loc[[3, 20], "smiles"] = "compound 17"
    path = write(frame, tmp_path / "my.csv")
    table = read_table(path, smiles="smiles")
    (note,) = [n for n in table.notes if "RDKit cannot read" in n]
    assert "line 5, line 22 (rows: 2 of 145)" in note and note.severity == "matters"
    frame.loc[frame.index % 3 > 0, "smiles"] = "compound 17"
    write(frame, path)
    words = ("RDKit cannot read 97 of 145 rows", "line 3 ('compound 17'), line 4", "--yes")
    refused(lambda: read_table(path, smiles="smiles"), *words)
    assert len(read_table(path, smiles="smiles", yes=True).data.x) == 48


# ---------------------------------------------------------------- time and other rules


def timed(kind: str) -> pd.DataFrame:
    frame = plain(200)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(RANDOM.permutation(200) // 2, "D")
    times = {"dates": days.strftime("%Y-%m-%d"), "numbers": days.day_of_year, "stamps": days}
    return frame.assign(when=times[kind])


@pytest.mark.parametrize("kind", ["dates", "numbers", "stamps"])
@pytest.mark.parametrize("name", ["my.csv", "my.parquet"])
def test_a_split_by_time_tests_on_the_last_fifth(tmp_path: Path, kind: str, name: str) -> None:
    frame = timed(kind)
    table = read_table(write(frame, tmp_path / name), split="time:when")
    train, validation, test = (frame["when"].iloc[rows] for rows in parts_of(table.data))
    assert [len(train), len(validation), len(test)] == [140, 20, 40]
    assert train.max() < validation.min() and validation.max() < test.min()
    assert table.data.split.kind == "fixed" and table.data.for_seed(3) is table.data
    assert table.data.x.shape[1] == 4  # the time is no feature
    assert any("column 'when' grows" in note for note in table.notes)


def test_times_that_cannot_be_ordered_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    for times, words in {
        ("3/14/2021", "4/1/2021"): ("'3/14/2021' is no time", "2026-12-01"),
        ("2021-03-14", None): ("line 3: no time",),
        (5, 5): ("most rows have one time",),
    }.items():
        write(timed("dates").assign(when=[*times] * 100), path)
        refused(lambda: read_table(path, split="time:when"), "column 'when'", *words)
    refused(lambda: read_table(path, split="time:whn"), "no time column 'whn'", "did you mean")
    refused(lambda: read_table(path, split="time:when", group="dose"), "give group or split")
    refused(lambda: read_table(path, split="by:when"), "split 'by:when'", "scaffold, time:COLUMN")
    refused(lambda: read_table(path, split="sometimes"), "no split column 'sometimes'")


MINUTES = 10 * np.random.default_rng(3).permutation(200)
"""The true time of every row of a table whose times are written in two ways."""


def clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


@pytest.mark.parametrize(
    "written",
    [
        lambda m, k: f"2026-01-{1 + m // 1440:02d}{'T' if k % 2 else ' '}{clock(m)}",
        lambda m, k: f"2026-01-{1 + m // 1440:02d}T{clock(m)}{':00.5' if k % 2 else ''}",
        lambda m, k: (
            f"2026-01-{1 + (m + 540 * (k % 2)) // 1440:02d}T{clock(m + 540 * (k % 2))}"
            f"{'+09:00' if k % 2 else 'Z'}"
        ),
    ],
    ids=["a T or a blank", "with seconds or without", "two time zones"],
)
def test_times_are_ordered_as_moments_and_not_as_texts(
    written: Callable[[int, int], str], tmp_path: Path
) -> None:
    when = [written(int(m), k) for k, m in enumerate(MINUTES)]
    path = write(plain(200).assign(when=when), tmp_path / "my.csv")
    train, validation, test = parts_of(read_table(path, split="time:when").data)
    rows = [MINUTES[part].tolist() for part in (train, validation, test)]
    assert [len(part) for part in rows] == [140, 20, 40]
    assert max(rows[0]) < min(rows[1]) and max(rows[1]) < min(rows[2])


def test_one_moment_is_one_time_however_it_is_written(tmp_path: Path) -> None:
    when = ["2026-01-01T09:00+09:00", "2026-01-01T00:00Z"] * 90 + ["2026-01-02T00:00Z"] * 20
    path = write(plain(200).assign(when=when), tmp_path / "my.csv")
    words = ("most rows have one time",)  # nine rows of ten, so no time is left for the training
    refused(lambda: read_table(path, split="time:when"), "column 'when'", *words)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (("2026-02-30", "2026-01-01"), ("'2026-02-30' is no time", "2026-12-01T09:30")),
        (("2026-01-01Tnoon", "2026-01-01"), ("'2026-01-01Tnoon' is no time",)),
        (("now", "2026-01-01"), ("'now' is no time",)),
        (
            ("2026-01-01T10:00Z", "2026-01-01T10:00"),
            ("'2026-01-01T10:00Z' has a time zone", "'2026-01-01T10:00' has none", "or none"),
        ),
        (("2026-01-01T10:00-05", "2026-01-01"), ("has a time zone", "'2026-01-01' has none")),
    ],
)
def test_dates_that_are_none_or_do_not_compare_are_refused(
    times: tuple[str, str], words: tuple[str, ...], tmp_path: Path
) -> None:
    path = write(plain(200).assign(when=[*times] * 100), tmp_path / "my.csv")
    refused(lambda: read_table(path, split="time:when"), "column 'when'", *words)


def test_a_group_can_be_given_as_a_split(tmp_path: Path) -> None:
    frame = plain(100).assign(who=np.arange(100) % 17)
    path = write(frame, tmp_path / "my.csv")
    one, other = read_table(path, group="who").data, read_table(path, split="group:who").data
    assert [parts_of(one.for_seed(s)) for s in range(7)] == [
        parts_of(other.for_seed(s)) for s in range(7)
    ]
    assert torn(frame["who"], parts_of(other)) == 0


# ---------------------------------------------------------------- rare labels


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), folds=st.integers(3, 7), grouped=st.booleans())
def test_rare_labels_are_in_as_many_folds_as_they_can_be(
    seed: int, folds: int, grouped: bool
) -> None:
    random = np.random.default_rng(seed)
    rows = 150
    y = np.zeros((rows, 12), np.float32)
    for t in range(12):
        y[random.choice(rows, 2 + t, replace=False), t] = 1
    y[random.random(y.shape) < 0.1] = np.nan
    rare = rare_labels(y, ["binary"] * 12, folds)
    group = np.unique(random.integers(0, 60, rows), return_inverse=True)[1] if grouped else None
    fold = assign_stratified(rare, folds, seed, group)
    assert {*fold} <= {*range(folds)}
    if group is not None:
        assert all(len({*fold[group == g]}) == 1 for g in range(group.max() + 1))
    else:
        sizes = np.bincount(fold, minlength=folds)
        assert sizes.max() - sizes.min() <= 6
        here = np.stack([np.bincount(fold[r], minlength=folds) for r in rare.T])
        chance = assign_folds(rows, folds, seed)
        there = np.stack([np.bincount(chance[r], minlength=folds) for r in rare.T])
        assert (here == 0).sum() <= (there == 0).sum()
        rarest = int(rare.sum(0).argmin())
        assert (here[rarest] > 0).sum() == min(folds, rare[:, rarest].sum())


def test_without_rare_labels_the_folds_are_those_of_any_table() -> None:
    y = RANDOM.integers(0, 2, (300, 4)).astype(np.float32)
    rare = rare_labels(y, ["binary"] * 4, 5)
    assert rare.shape == (300, 0)
    assert assign_stratified(rare, 5, 3).tolist() == assign_folds(300, 5, 3).tolist()


def test_targets_of_five_positives_can_be_scored_in_every_run(tmp_path: Path) -> None:
    frame = plain(200)
    for t in range(8):
        frame[f"y_r{t}"] = 0
        frame.loc[RANDOM.choice(200, 5, replace=False), f"y_r{t}"] = 1
    table = read_table(write(frame, tmp_path / "my.csv"))
    assert any("rare labels are shared out evenly" in note for note in table.notes)
    for seed in range(10):
        run = table.data.for_seed(seed)
        positives = (run.y[run.split.test, 3:] == 1).sum(0)
        assert (positives > 0).sum() >= 7, seed


# ---------------------------------------------------------------- names that are one


@pytest.mark.parametrize("ending", [" ", ".0"])
def test_a_group_is_one_however_its_name_is_written(ending: str, tmp_path: Path) -> None:
    """As a merge of two files leaves it: a blank at the end, or a number that became a float."""
    frame = plain(120)
    patient = pd.Series(np.arange(120) % 12)
    name = patient.astype(str).where(frame.index < 60, patient.astype(str) + ending)
    data = read_table(write(frame.assign(who=name), tmp_path / "a.csv"), group="who").data
    for seed in range(5):
        assert torn(patient, parts_of(data.for_seed(seed))) == 0
    same = read_table(write(frame.assign(who=patient), tmp_path / "b.csv"), group="who").data
    assert parts_of(same) == parts_of(data)


def test_a_category_is_one_with_and_without_a_blank(tmp_path: Path) -> None:
    frame = plain(60)
    colour = pd.Series(np.where(np.arange(60) % 3 == 0, "red", "blue"))
    padded = colour.where(frame.index % 2 == 0, " " + colour + " ")
    one = read_table(write(frame.assign(colour=colour), tmp_path / "a.csv")).data
    other = read_table(write(frame.assign(colour=padded), tmp_path / "b.csv")).data
    assert one.x.equal(other.x)
