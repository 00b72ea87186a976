"""GDSC's files in small: joined by cell line, checked on their way here, never half kept.

And expression of one's own: standardised by the training lines alone, or refused in one line.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import math
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
import torch
from refusals import refused

from mtl_nt import Recipe, TaskData, load
from mtl_nt.datasets import csv_sheet, expression, gdsc
from mtl_nt.datasets import downloads as files
from mtl_nt.datasets.downloads import Source, fetch
from mtl_nt.study.chunks import train
from mtl_nt.study.methods import METHODS

LINES, DRUGS = 60, (1, 3, 11, 1378)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both files in their real format; the last drug is measured on half the lines,
    the features are in another order than the responses.
    """
    random = np.random.default_rng(0)
    ids = random.permutation(np.arange(683665, 683665 + LINES))
    responses = pd.DataFrame(
        random.normal(2, 3, (LINES, len(DRUGS))).round(6),
        index=pd.Index(ids, name="COSMIC_ID"),
        columns=[f"Drug_{d}_IC50" for d in DRUGS],
    )
    responses.iloc[::2, -1] = np.nan
    responses.iloc[:3, 0] = np.nan
    features = pd.DataFrame(
        {
            "TISSUE_FACTOR": np.array(["lung", "skin", "bone"])[ids % 3],
            "MSI_FACTOR": ids % 2,
            "ABL2_mut": (ids // 3) % 2,
            "gain_cnaPANCAN1": (ids // 5) % 2,
        },
        index=responses.index,
    ).sort_index()
    folder = tmp_path / "own"
    folder.mkdir()
    put(folder, "RESPONSES", responses, monkeypatch)
    put(folder, "FEATURES", features, monkeypatch)
    monkeypatch.setenv(files.FOLDER, str(folder))
    return folder


def put(folder: Path, name: str, table: pd.DataFrame, patch: pytest.MonkeyPatch) -> None:
    """Make this table the known file."""
    packed = gzip.compress(table.to_csv().encode(), mtime=0)
    source = getattr(gdsc, name)._replace(sha256=hashlib.sha256(packed).hexdigest())
    (folder / source.name).write_bytes(packed)
    patch.setattr(gdsc, name, source)


def rows_of(folder: Path, source: Source) -> pd.DataFrame:
    return pd.read_csv(folder / source.name, index_col="COSMIC_ID")


def test_lines_are_joined_by_their_number_not_by_their_place(small: Path) -> None:
    data = load("gdsc")
    responses, features = (rows_of(small, s) for s in (gdsc.RESPONSES, gdsc.FEATURES))
    assert data.x.shape == (LINES, 3 + 1 + 2)
    for row, line in enumerate(responses.index):
        known = features.loc[line]
        tissue = ["bone", "lung", "skin"].index(known["TISSUE_FACTOR"])
        numbers = [known["MSI_FACTOR"], 0.1 * known["ABL2_mut"], 0.1 * known["gain_cnaPANCAN1"]]
        expected = [float(k == tissue) for k in range(3)] + numbers
        assert isinstance(data.x, torch.Tensor)
        assert data.x[row].tolist() == pytest.approx(expected)


def test_drugs_that_are_seldom_measured_are_left_out(small: Path) -> None:
    data = load("gdsc")
    assert data.tasks == ("Drug 1", "Drug 3", "Drug 11")
    truth = rows_of(small, gdsc.RESPONSES).to_numpy()[:, :3]
    assert np.allclose(data.y.numpy(), truth, atol=1e-5, equal_nan=True)
    assert int(data.y[:, 0].isnan().sum()) == 3


def test_the_papers_preset_has_the_most_measured_drugs(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gdsc, "PAPER_DRUGS", 2)
    assert load("gdsc", preset="paper").tasks == ("Drug 3", "Drug 11")
    monkeypatch.setattr(gdsc, "PAPER_DRUGS", 4)
    assert load("gdsc", preset="paper").tasks[-1] == "Drug 1378"


def test_a_seed_splits_the_lines_anew(small: Path) -> None:
    data = load("gdsc", seed=3)
    sizes = [len(p) for p in (data.split.train, data.split.validation, data.split.test)]
    assert sizes == [42, 6, 12]
    assert data.split.kind == "free"
    assert torch.equal(load("gdsc").for_seed(3).split.test, data.split.test)
    assert not torch.equal(load("gdsc").split.test, data.split.test)


def test_targets_are_standardised_by_the_training_labels_alone(small: Path) -> None:
    data = load("gdsc")
    learned = data.targets[data.split.train].double()
    assert learned.nanmean(0).abs().max() < 1e-5
    assert torch.allclose((learned**2).nanmean(0), torch.ones(3).double(), atol=1e-5)


def test_the_tissue_of_every_line_is_its_group(small: Path) -> None:
    data = load("gdsc")
    lines = rows_of(small, gdsc.RESPONSES).index
    assert data.row_groups == (*rows_of(small, gdsc.FEATURES).loc[lines, "TISSUE_FACTOR"],)


def test_drugs_of_ones_own_choice_are_taken_in_the_order_of_the_file(small: Path) -> None:
    assert load("gdsc", drugs=["Drug 1378", "Drug 3"]).tasks == ("Drug 3", "Drug 1378")


def test_lines_that_no_drug_is_often_measured_on_are_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows_of(small, gdsc.RESPONSES)
    table.iloc[::2] = np.nan
    put(small, "RESPONSES", table, monkeypatch)
    refused(lambda: load("gdsc"), "no drug", "80%", "60 lines", "preset='paper'", "drugs=")


@pytest.mark.parametrize("part", ["training", "test"])
def test_a_drug_without_labels_in_a_part_of_the_split_is_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    split, table = load("gdsc").split, rows_of(small, gdsc.RESPONSES)
    table["Drug_1378_IC50"] = 1.5
    unmeasured = split.train if part == "training" else split.test
    table.iloc[unmeasured.numpy(), -1] = np.nan
    put(small, "RESPONSES", table, monkeypatch)
    words = ("'Drug 1378'", f"no labels on the {part} lines of seed 0", "drugs=", "another seed")
    refused(lambda: load("gdsc", drugs=["Drug 1", "Drug 1378"]), *words)
    assert load("gdsc", drugs=["Drug 1", "Drug 3"]).tasks == ("Drug 1", "Drug 3")


def test_it_trains(small: Path) -> None:
    data = load("gdsc")
    trained = train(METHODS["MTL"], [data], [0], Recipe.for_data(data, steps=5))
    assert trained.predictions.isfinite().all()


def test_the_genomic_scale_moves_the_genomic_columns_alone(small: Path) -> None:
    tenth, whole = load("gdsc"), load("gdsc", genomic_scale=1)
    assert isinstance(tenth.x, torch.Tensor) and isinstance(whole.x, torch.Tensor)
    assert torch.equal(tenth.x[:, :4], whole.x[:, :4])
    assert torch.allclose(10 * tenth.x[:, 4:], whole.x[:, 4:])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "papre"}, ("'papre'", "'paper'")),
        ({"seed": -1}, ("seed -1",)),
        ({"genomic_scale": -1}, ("genomic_scale -1", "0 or more")),
        ({"expression_scale": math.nan}, ("expression_scale nan", "0 or more")),
        ({"expression_form": "log"}, ("expression_form 'log'", "did you mean 'logged'")),
        ({"features": "jion"}, ("features 'jion'", "did you mean 'join'")),
        ({"drugs": ["Drug 1", "drug 4"]}, ("unknown drug 'drug 4'", "'Drug 1'")),
        ({"drugs": ["aspirin"]}, ("unknown drug 'aspirin'", "Drug 1")),
        ({"drugs": "Drug 1"}, ("drugs 'Drug 1'", "a list")),
        ({"drugs": []}, ("drugs []", "one name or more")),
        ({"expression": 3}, ("expression 3", "path of a table")),
    ],
)
def test_an_impossible_option_is_refused(
    small: Path, options: dict, words: tuple[str, ...]
) -> None:
    refused(lambda: load("gdsc", **options), *words)


# ------------------------------------------------------------------- expression of one's own

GENES = ("TP53", "KRAS", "SILENT", "ACTB", "MYC")


@pytest.fixture
def counts(small: Path) -> pd.DataFrame:
    """Counts of half the lines, in another order, and of two lines that GDSC has not."""
    random = np.random.default_rng(1)
    lines = random.permutation([*rows_of(small, gdsc.RESPONSES).index[::2], 1, 2])
    depth = random.integers(1, 30, (len(lines), 1))
    table = random.poisson(np.array([9, 40, 0, 200, 3]) * depth)
    return pd.DataFrame(table, index=pd.Index(lines, name="COSMIC_ID"), columns=GENES)


def written(folder: Path, table: pd.DataFrame, name: str = "own.csv") -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if ".tsv" in name else ",")
    return path


def columns(data: TaskData) -> np.ndarray:
    """The columns of expression, without the factor that they have in common."""
    assert isinstance(data.x, torch.Tensor)
    varied = len(GENES) - 1
    return data.x[:, -len(GENES) :].double().numpy() * math.sqrt(varied)


def by_hand(table: pd.DataFrame, train: np.ndarray) -> np.ndarray:
    """Each number as the paper's text has it."""
    values = table.to_numpy(float)
    total = values.sum(1)
    logged = np.log(1 + values / total[:, None] * np.median(total[train]))
    centre, sd = logged[train].mean(0), logged[train].std(0)
    return np.where(sd > 0, (logged - centre) / np.where(sd > 0, sd, 1), 0)


def test_lines_with_expression_are_joined_by_their_number(
    small: Path, tmp_path: Path, counts: pd.DataFrame
) -> None:
    data = load("gdsc", expression=written(tmp_path, counts))
    lines = rows_of(small, gdsc.RESPONSES).iloc[::2]
    assert len(data.x) == len(lines) == len(data.split.train) + 3 + 6
    assert np.allclose(data.y.numpy(), lines.iloc[:, :3], atol=1e-5, equal_nan=True)
    expected = by_hand(counts.loc[lines.index], data.split.train.numpy())
    np.testing.assert_allclose(columns(data), expected, atol=1e-4)
    assert data.row_groups == (*rows_of(small, gdsc.FEATURES).loc[lines.index, "TISSUE_FACTOR"],)
    words = "expression (counts) of 5 genes in 30 lines, from own.csv, in place of the genomic"
    assert words in data.provenance and str(tmp_path) not in data.provenance
    assert data.name == "gdsc-expression"


def test_expression_replaces_the_genomic_columns_or_joins_them(
    tmp_path: Path, counts: pd.DataFrame
) -> None:
    path = written(tmp_path, counts)
    plain = load("gdsc")
    replaced, joined = (load("gdsc", expression=path, features=f) for f in ("replace", "join"))
    assert isinstance(plain.x, torch.Tensor)
    assert isinstance(replaced.x, torch.Tensor) and isinstance(joined.x, torch.Tensor)
    assert replaced.x.shape == (30, 4 + 5) and joined.x.shape == (30, 6 + 5)
    assert torch.equal(replaced.x[:, :4], plain.x[::2, :4])
    assert torch.equal(joined.x[:, :6], plain.x[::2])
    assert torch.equal(joined.x[:, 6:], replaced.x[:, 4:])


def test_every_split_standardises_by_its_own_training_lines(
    small: Path, tmp_path: Path, counts: pd.DataFrame
) -> None:
    data = load("gdsc", expression=written(tmp_path, counts))
    table = counts.loc[rows_of(small, gdsc.RESPONSES).index[::2]]
    for seed in (1, 2):
        run = data.for_seed(seed)
        expected = by_hand(table, run.split.train.numpy())
        np.testing.assert_allclose(columns(run), expected, atol=1e-4)
        learned = columns(run)[run.split.train.numpy()]
        np.testing.assert_allclose(learned.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(learned.std(0), [1, 1, 0, 1, 1], atol=1e-4)
        assert np.square(learned).sum(1).mean() == pytest.approx(len(GENES) - 1, rel=1e-5)


@pytest.mark.parametrize("form", ["counts", "logged"])
def test_other_lines_leak_nothing_into_the_training_lines(
    small: Path, tmp_path: Path, counts: pd.DataFrame, form: str
) -> None:
    """Whatever the other lines hold, the training lines' features stay as they are, to the bit."""
    options = {"expression": tmp_path / "own.csv", "expression_form": form}
    written(tmp_path, counts)
    clean = load("gdsc", **options)
    train = clean.split.train
    lines = rows_of(small, gdsc.RESPONSES).index[::2]
    planted = counts.copy()
    planted.loc[planted.index.difference(lines[train.numpy()])] = [[7, 10**6, 5, 1, 0]]
    written(tmp_path, planted)
    leaked = load("gdsc", **options)
    assert torch.equal(leaked.x[train], clean.x[train])
    assert not torch.equal(leaked.x, clean.x)
    assert columns(leaked)[:, 2].tolist() == [0] * 30  # silent among the training lines


def test_a_gene_that_does_not_vary_is_zero_rounding_or_not(
    tmp_path: Path, counts: pd.DataFrame
) -> None:
    alone = load("gdsc", expression=written(tmp_path, counts[["KRAS"]]))  # all of every library
    assert isinstance(alone.x, torch.Tensor)
    assert alone.x.shape == (30, 5) and not alone.x[:, 4].any()
    logged = counts.assign(SILENT=3.3, TP53=np.log1p(counts["TP53"]))[["SILENT", "TP53"]]
    path = written(tmp_path, logged)
    data = load("gdsc", expression=path, expression_form="logged")
    assert isinstance(data.x, torch.Tensor)
    assert not data.x[:, 4].any() and data.x[:, 5].all()


def test_logged_values_are_standardised_only(
    small: Path, tmp_path: Path, counts: pd.DataFrame
) -> None:
    logged = np.log2(1 + counts) - 4
    path = written(tmp_path, logged)
    data = load("gdsc", expression=path, expression_form="logged")
    values = logged.loc[rows_of(small, gdsc.RESPONSES).index[::2]].to_numpy()
    learned = values[data.split.train.numpy()]
    sd = np.where(learned.std(0) > 0, learned.std(0), 1)
    np.testing.assert_allclose(columns(data), (values - learned.mean(0)) / sd, atol=1e-5)


def test_the_depth_at_which_a_line_was_sequenced_does_not_matter(
    tmp_path: Path, counts: pd.DataFrame
) -> None:
    one = load("gdsc", expression=written(tmp_path, counts))
    deepest = counts.index[counts.index > 2][counts[counts.index > 2].sum(axis=1).argmax()]
    deeper = counts.mul(np.where(counts.index == deepest, 1000, 1), axis=0)  # the median stays
    other = load("gdsc", expression=written(tmp_path, deeper))
    assert torch.allclose(one.x, other.x, atol=1e-4)  # float32, and a thousand times the counts


def test_the_expression_scale_moves_the_expression_columns_alone(
    tmp_path: Path, counts: pd.DataFrame
) -> None:
    path = written(tmp_path, counts)
    one, double = (load("gdsc", expression=path, expression_scale=s) for s in (1, 2))
    assert torch.equal(one.x[:, :4], double.x[:, :4])
    assert torch.allclose(2 * one.x[:, 4:], double.x[:, 4:])
    length = one.x[one.split.train, 4:].square().sum(1).mean()
    assert float(length) == pytest.approx(1, rel=1e-5)  # as the tissue's


@pytest.mark.parametrize(
    "name", ["own.csv.gz", "own.tsv", "own.TSV", "own.tsv.gz", "own.v2.csv", "own.parquet"]
)
def test_a_table_may_be_text_packed_text_or_parquet(
    tmp_path: Path, counts: pd.DataFrame, name: str
) -> None:
    plain = load("gdsc", expression=written(tmp_path, counts))
    separator = "\t" if "tsv" in name.lower() else ","
    path = tmp_path / name
    if name.endswith("parquet"):
        counts.to_parquet(path)
    else:
        text = counts.to_csv(sep=separator).encode("utf-8-sig")
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert torch.equal(load("gdsc", expression=str(path)).x, plain.x)


@pytest.mark.parametrize("kind", [int, float, str])
def test_ids_may_be_whole_numbers_decimals_or_text_in_a_parquets_first_column(
    tmp_path: Path, counts: pd.DataFrame, kind: type
) -> None:
    plain = load("gdsc", expression=written(tmp_path, counts))
    path = written(tmp_path, counts.set_axis(counts.index.astype(kind)).reset_index(), "o.parquet")
    assert torch.equal(load("gdsc", expression=path).x, plain.x)


def test_it_trains_on_expression(tmp_path: Path, counts: pd.DataFrame) -> None:
    data = load("gdsc", expression=written(tmp_path, counts), features="join")
    trained = train(
        METHODS["MTL"], [data.for_seed(s) for s in (0, 1)], [0, 1], Recipe.for_data(data, steps=5)
    )
    assert trained.predictions.isfinite().all()


Change = Callable[[pd.DataFrame], Any]


def first(table: pd.DataFrame) -> tuple[Any, str]:
    """A cell of a line that GDSC has."""
    return table.index[table.index > 2][0], "KRAS"


def with_cell(value: object) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype(object)
        table.loc[first(table)] = value
        return table

    return change


def of_few(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.index > 2].head(9)


TABLES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "a line twice": (
        lambda t: pd.concat([t, t[t.index == first(t)[0]]]),
        ("line 683714", "2 times", "keep one"),
    ),
    "a gene twice": (lambda t: t.set_axis([*"ABCDA"], axis=1), ("gene 'A'", "2 columns")),
    "a gene without a name": (lambda t: t.set_axis(["A", "", *"CDE"], axis=1), ("column 3",)),
    "no gene": (lambda t: t[[]], ("no gene", "separated by")),
    "no line": (lambda t: t.head(0), ("no lines", "header")),
    "lines of another catalogue": (
        lambda t: t.set_axis(range(1, len(t) + 1)),
        ("none of its lines", "1, 2, 3, ...", "683665"),
    ),
    "genes x lines": (lambda t: t.T, ("TP53, KRAS, SILENT, ...", "COSMIC ids", "transpose")),
    "lines by name": (lambda t: t.set_axis([f"L{i}" for i in t.index]), ("L", "COSMIC ids")),
    "an id too few": (lambda t: t.rename({t.index[3]: "NA"}), ("lines nan", "COSMIC ids")),
    "text in a cell": (with_cell("high"), ("line 683714", "gene 'KRAS'", "'high' is no number")),
    "a flag in a cell": (with_cell(True), ("line 683714", "gene 'KRAS'", "True")),
    "a decimal comma": (with_cell("1,5"), ("line 683714", "gene 'KRAS'", "'1,5' is no number")),
    "a missing cell": (with_cell(None), ("line 683714", "gene 'KRAS'", "missing or infinite")),
    "an infinite cell": (with_cell(np.inf), ("line 683714", "gene 'KRAS'", "missing or infinite")),
    "a cell too large": (with_cell(1e300), ("line 683714", "gene 'KRAS'", "missing or infinite")),
    "a negative count": (with_cell(-2), ("gene 'KRAS'", "-2", "expression_form='logged'")),
    "an empty line": (
        lambda t: t.mul(t.index != first(t)[0], axis=0),
        ("line 683714", "total of 0"),
    ),
    "logarithms": (lambda t: np.log1p(t), ("logged already", "expression_form='logged'")),
    "a few lines": (of_few, ("9 of its lines", "10 or more")),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, counts: pd.DataFrame, case: str
) -> None:
    change, words = TABLES[case]
    path = written(tmp_path, change(counts))
    name = () if case == "a few lines" else ("own.csv",)
    refused(lambda: load("gdsc", expression=path), *name, *words)


def test_faults_in_lines_that_gdsc_has_not_do_not_matter(
    tmp_path: Path, counts: pd.DataFrame
) -> None:
    plain = load("gdsc", expression=written(tmp_path, counts))
    table = counts.astype(object)
    table.loc[1] = [-1, "high", None, np.inf, 0]
    table.loc[2] = 0
    assert torch.equal(load("gdsc", expression=written(tmp_path, table)).x, plain.x)


class Trap:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


FILES: dict[str, tuple[str, bytes | None, tuple[str, ...]]] = {
    "no file": ("no.csv", None, ("no.csv does not exist", "path of a table")),
    "another kind of file": ("own.xlsx", b"PK", ("own.xlsx", "must end with", ".csv", ".parquet")),
    "an empty file": ("own.csv", b"", ("own.csv", "no lines")),
    "a header alone": ("own.csv", b"COSMIC_ID,A,B\n", ("own.csv", "no lines")),
    "tabs in a CSV": ("own.csv", b"COSMIC_ID\tA\n683665\t3\n", ("no gene", "commas in a .csv")),
    "a header too short": ("own.csv", b"A,B\n683665,3,4\n", ("2 columns", "first line 3")),
    "a line too long": ("own.csv", b"i,A\n683665,3\n683666,3,4\n", ("own.csv", "line 2, saw 3")),
    "an open quote": ("own.csv", b'i,A\n683665,"3\n', ("own.csv", "as a table", "EOF")),
    "bytes": ("own.csv", b"i,A\n683665,\xff\xfe\n", ("own.csv", "read as text", "utf-8")),
    "no gz": ("own.csv.gz", b"COSMIC_ID,A\n683665,3\n", ("own.csv.gz", "gzipped")),
    "half a gz": ("own.csv.gz", gzip.compress(b"i,A\n683665,3\n")[:-9], ("own.csv.gz", "read as")),
    "no Parquet": ("own.parquet", b"COSMIC_ID,A\n683665,3\n", ("own.parquet", "as Parquet")),
    "half a Parquet": ("own.parquet", b"PAR1" + bytes(50), ("own.parquet", "as Parquet")),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_table_is_refused_in_one_line(
    small: Path, tmp_path: Path, case: str
) -> None:
    name, data, words = FILES[case]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    refused(lambda: load("gdsc", expression=tmp_path / name), *words)


def test_a_folder_is_no_table(small: Path, tmp_path: Path) -> None:
    refused(lambda: load("gdsc", expression=tmp_path), "is a folder", "path of a table")


@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz", "own.tsv", "own.parquet"])
def test_a_renamed_pickle_is_refused_and_never_unpickled(
    small: Path, tmp_path: Path, name: str, protocol: int
) -> None:
    data = pickle.dumps(Trap(tmp_path / "mark"), protocol)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    refused(lambda: load("gdsc", expression=tmp_path / name), name)
    assert not (tmp_path / "mark").exists()


def test_expression_of_too_many_cells_is_refused_before_it_is_there(
    tmp_path: Path, counts: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    blank, wide = tmp_path / "blank.csv.gz", tmp_path / "wide.csv.gz"
    blank.write_bytes(gzip.compress(b"COSMIC_ID,A\n683665,3\n" + b"\n" * 150_000))
    wide.write_bytes(gzip.compress(b"COSMIC_ID,A\n683665" + b",0" * 150_000))
    long = tmp_path / "long.csv.gz"
    long.write_bytes(gzip.compress(b"COSMIC_ID,A" + bytes(100_000)))
    tall = tmp_path / "tall.parquet"
    parquet.write_table(pa.table(dict.fromkeys("ABC", pa.nulls(40_000_000))), tall)
    monkeypatch.setattr(expression, "MAX_CELLS", 100_000)
    monkeypatch.setattr(csv_sheet, "MAX_ROW_BYTES", 50_000)
    for path, words in {
        blank: "more than 100,000 cells",
        wide: "more than 100,000 cells",
        long: "more than 50,000 bytes in one row",
        tall: "memory",
    }.items():
        refused(lambda path=path: load("gdsc", expression=path), path.name, words)
    monkeypatch.setattr(expression, "MAX_CELLS", 20)
    path = written(tmp_path, counts, "own.parquet")
    refused(lambda: load("gdsc", expression=path), "own.parquet", "more than 20 cells")


def test_without_pyarrow_a_parquet_asks_for_it(
    tmp_path: Path, counts: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, counts, "own.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    refused(lambda: load("gdsc", expression=path), "own.parquet", "pip install pyarrow", ".csv")


# ------------------------------------------------------------------------------- the files


@pytest.fixture
def server(small: Path) -> Iterator[str]:
    """The small files at a place of this machine's own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with served(partial(Quiet, directory=str(small))) as place:
        yield place


@contextmanager
def served(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))  # looks so often
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}/"
        finally:
            serving.shutdown()
            thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(files.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mtl_nt"


def test_a_file_is_downloaded_once_and_checked(server: str, small: Path, cache: Path) -> None:
    source = gdsc.RESPONSES._replace(url=server + gdsc.RESPONSES.name)
    found = fetch(source)
    assert found.parent == cache
    assert found.read_bytes() == (small / source.name).read_bytes()
    (small / source.name).unlink()
    assert fetch(source) == found


def test_another_file_than_the_known_one_is_refused_and_not_kept(server: str, cache: Path) -> None:
    source = gdsc.RESPONSES._replace(url=server + gdsc.FEATURES.name)
    refused(lambda: fetch(source), "IC50_v17.csv.gz", "nothing was kept")
    assert not cache.exists() or not [*cache.iterdir()]


def test_without_network_it_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    words = ("IC50_v17.csv.gz cannot be downloaded", "into a folder", files.FOLDER)
    refused(lambda: load("gdsc"), gdsc.RESPONSES.url, *words)
    assert not cache.exists() or not [*cache.iterdir()]


@pytest.mark.parametrize("announced", [True, False])
def test_a_connection_that_breaks_half_way_leaves_nothing(cache: Path, announced: bool) -> None:
    """Whether the server has said how long the file is or not."""

    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if announced:
                self.send_header("Content-Length", "2000")
            self.end_headers()
            self.wfile.write(bytes(1000))

        def log_message(self, *_: object) -> None:
            pass

    with served(Broken) as place:
        source = gdsc.RESPONSES._replace(url=place + gdsc.RESPONSES.name)
        words = "cannot be downloaded" if announced else "nothing was kept"
        refused(lambda: fetch(source), "IC50_v17.csv.gz", words)
    assert not [*cache.iterdir()]


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[Source]:
    """The known responses at a place that answers in this way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # whoever asked has gone
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as place:
        yield gdsc.RESPONSES._replace(url=place + gdsc.RESPONSES.name)


def header(asked: http.server.BaseHTTPRequestHandler, status: int = 200, **fields: object) -> None:
    asked.send_response(status)
    for name, value in fields.items():
        asked.send_header(name.replace("_", "-"), str(value))
    asked.end_headers()


def without_end(asked: http.server.BaseHTTPRequestHandler) -> None:
    header(asked)
    while True:
        asked.wfile.write(bytes(2**16))


def announced_too_large(asked: http.server.BaseHTTPRequestHandler) -> None:
    header(asked, Content_Length=10**15)
    time.sleep(60)  # nobody waits for the first byte


def longer_than_announced(asked: http.server.BaseHTTPRequestHandler) -> None:
    header(asked, Content_Length=1000)
    asked.wfile.write(bytes(10**6))


PACKED = gzip.compress(bytes(10**7))


def packed_on_the_way(asked: http.server.BaseHTTPRequestHandler) -> None:
    header(asked, Content_Encoding="gzip", Content_Length=len(PACKED))
    asked.wfile.write(PACKED)


def a_byte_now_and_then(asked: http.server.BaseHTTPRequestHandler) -> None:
    header(asked, Content_Length=1000)
    for _ in range(1000):
        asked.wfile.write(b"0")
        time.sleep(0.1)


def a_header_without_end(asked: http.server.BaseHTTPRequestHandler) -> None:
    asked.wfile.write(b"HTTP/1.1 200 OK\r\nServer: ")
    for _ in range(1000):
        asked.wfile.write(b"0")
        time.sleep(0.1)


def silence(asked: http.server.BaseHTTPRequestHandler) -> None:
    header(asked, Content_Length=1000)
    time.sleep(60)


def in_a_circle(asked: http.server.BaseHTTPRequestHandler) -> None:
    header(asked, 302, Location=f"/{len(asked.path)}{asked.path}")
    without_end(asked)  # this is not read


DOWNLOADS: dict[str, tuple[Answer, dict[str, float], str]] = {
    "without end": (without_end, {}, "more than 1,437,973 bytes"),
    "announced too large": (announced_too_large, {}, "more than 1,437,973 bytes"),
    "longer than announced": (longer_than_announced, {}, "nothing was kept"),
    "packed on the way": (packed_on_the_way, {}, "nothing was kept"),
    "a byte now and then": (a_byte_now_and_then, {"DEADLINE": 1.0}, "more than 1 s"),
    "a header without end": (a_header_without_end, {"DEADLINE": 1.0}, "more than 1 s"),
    "silence": (silence, {"SILENCE": 0.5}, "silent for 0.5 s"),
    "in a circle": (in_a_circle, {}, "redirected too often"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", DOWNLOADS)
def test_a_download_ends_at_a_known_size_and_after_a_stated_time(
    cache: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    answer, limits, words = DOWNLOADS[case]
    for name, seconds in limits.items():
        monkeypatch.setattr(files, name, seconds)
    begin = time.monotonic()
    with answering(answer) as source:
        refused(lambda: fetch(source), "IC50_v17.csv.gz", words)
        assert time.monotonic() - begin < 30  # and not the minute that the place takes
    assert not [*cache.iterdir()]


def test_a_download_of_unknown_size_ends_at_a_stated_one(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 10_000)
    with answering(without_end) as source:
        refused(lambda: fetch(source._replace(size=None)), "more than 10,000 bytes")
    assert not [*cache.iterdir()]
    packed = source._replace(size=None, unpacked=5000)
    assert 5000 < packed.max_bytes < 100_000


def test_no_redirection_leaves_https(
    server: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: object, asked: requests.PreparedRequest, **_: object) -> requests.Response:
        assert asked.url is not None and asked.url.startswith("https://")
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 302, asked, asked.url
        answer.headers["Location"] = server + gdsc.RESPONSES.name
        answer.raw = io.BytesIO()
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", away)
    refused(lambda: fetch(gdsc.RESPONSES), "cannot be downloaded (leaves https)")
    assert not [*cache.iterdir()]


def test_a_redirection_to_the_file_is_followed(server: str, small: Path, cache: Path) -> None:
    def onward(asked: http.server.BaseHTTPRequestHandler) -> None:
        header(asked, 302, Location=server + gdsc.RESPONSES.name)

    with answering(onward) as source:
        assert fetch(source).read_bytes() == (small / source.name).read_bytes()


def test_a_file_that_was_damaged_in_the_cache_is_downloaded_anew(
    server: str, small: Path, cache: Path
) -> None:
    source = gdsc.RESPONSES._replace(url=server + gdsc.RESPONSES.name)
    found = fetch(source)
    found.write_bytes(found.read_bytes()[:-100])
    assert fetch(source).read_bytes() == (small / source.name).read_bytes()


def test_a_cache_that_cannot_be_written_is_named(
    server: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("in the way")
    source = gdsc.RESPONSES._replace(url=server + gdsc.RESPONSES.name)
    refused(lambda: fetch(source), "IC50_v17.csv.gz cannot be kept in", str(cache), files.FOLDER)


def test_a_changed_file_of_ones_own_is_refused(small: Path) -> None:
    path = small / gdsc.FEATURES.name
    path.write_bytes(path.read_bytes() + b"\n")
    refused(lambda: load("gdsc"), str(path), "is not the known")


def test_the_real_files_are_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REAL / gdsc.RESPONSES.name).exists():
        pytest.skip("needs GDSC's files in ../shared/data")
    monkeypatch.setenv(files.FOLDER, str(REAL))
    data: TaskData = load("gdsc")
    assert data.x.shape == (988, 27 + 1 + 677)
    assert len(data.tasks) == 214
    assert len(load("gdsc", preset="paper").tasks) == 181
    assert data.row_groups is not None and len(set(data.row_groups)) == 27


def test_every_drug_of_the_real_files_has_labels_to_train_and_to_test_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not (REAL / gdsc.RESPONSES.name).exists():
        pytest.skip("needs GDSC's files in ../shared/data")
    monkeypatch.setenv(files.FOLDER, str(REAL))
    data = load("gdsc")
    for seed in range(21):
        run = data.for_seed(seed)
        for part in (run.split.train, run.split.test):
            assert run.labelled[part].sum(0).min() > 100
