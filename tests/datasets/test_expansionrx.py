"""ExpansionRx in small: in the order of time, logged, split in three ways, or refused in one line.

The made-up files have the real one's format, and molecules and numbers of their own.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused

from mtl_nt import Recipe, fit_plan, load
from mtl_nt.__main__ import main
from mtl_nt.bits import Bits
from mtl_nt.datasets import SOURCES, expansionrx
from mtl_nt.datasets import downloads as files
from mtl_nt.study import reproduce
from mtl_nt.training.metrics import metric_names
from mtl_nt.training.original_units import ORIGINAL

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
COLUMNS = [expansionrx.IDENTIFIER, expansionrx.SMILES, *expansionrx.ENDPOINTS]
TASKS = tuple(expansionrx.ENDPOINTS.values())
RINGS = ("c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccc2ccccc2c1", "C1CCNCC1", "c1ccsc1", "C1CCOC1")
PARTS = ("time", "scaffold", "random")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("rdkit") is None, reason="needs RDKit: pip install 'mtl_nt[chem]'"
)
needs_file = pytest.mark.skipif(
    not (REAL / expansionrx.TRAINING.name).exists(), reason="needs the challenge's training file"
)


def made_up(count: int = 70, first: int = 1001) -> pd.DataFrame:
    """Molecules of seven scaffolds, numbered upwards; each label is missing in one row of five."""
    random = np.random.default_rng(first)
    chains = ["C" * (1 + k // len(RINGS)) + "O" * (k % 2) for k in range(count)]
    smiles = [chain + RINGS[k % len(RINGS)] for k, chain in enumerate(chains)]
    smiles[5], smiles[6] = "C[C@H](N)c1ccccc1", "C[C@@H](N)c1ccccc1"  # one fingerprint
    table = pd.DataFrame(random.uniform(0, 99, (count, 9)).round(2), columns=COLUMNS[2:])
    table = table.mask(random.random(table.shape) < 0.2)
    table["LogD"] = table["LogD"] / 30 - 1.5
    table.insert(0, COLUMNS[0], [f"E-{first + k:07d}" for k in range(count)])
    table.insert(1, COLUMNS[1], smiles)
    return table


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A function that makes a table the known training file, in a folder of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # no network behind it
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv(files.FOLDER, str(folder))

    def write(table: pd.DataFrame) -> Path:
        content = table.to_csv(index=False).encode()
        source = expansionrx.TRAINING._replace(
            sha256=hashlib.sha256(content).hexdigest(), size=len(content)
        )
        (folder / source.name).write_bytes(content)
        monkeypatch.setattr(expansionrx, "TRAINING", source)
        return folder

    return write


# ---------------------------------------------------------------- what is loaded


def test_molecules_stand_in_the_order_of_their_numbers_whatever_the_files(
    put: Callable[..., Path],
) -> None:
    table = made_up()
    put(table.sample(frac=1, random_state=0))
    data = load("expansionrx")
    assert data.tasks == TASKS
    assert data.name == "expansionrx-time"
    assert np.allclose(data.y[:, 0], table["LogD"], equal_nan=True)
    assert isinstance(data.x, Bits)
    assert data.x.shape == (70, 1024)
    dense = data.x.to_dense()
    assert torch.equal(dense[5], dense[6])  # stereoisomers
    assert not torch.equal(dense[0], dense[1])


def test_all_endpoints_but_logd_are_logged_unless_asked_otherwise(
    put: Callable[..., Path],
) -> None:
    table = made_up()
    put(table)
    measured = table[[*expansionrx.ENDPOINTS]].to_numpy()
    with np.errstate(invalid="ignore"):  # LogD, which is not logged
        logged = np.log10(1 + measured)
    logged[:, 0] = measured[:, 0]
    assert np.allclose(load("expansionrx").y, logged, equal_nan=True)
    raw = load("expansionrx", log=False)
    assert np.allclose(raw.y, measured, equal_nan=True)
    assert (raw.name, "as measured" in raw.provenance) == ("expansionrx-time-raw", True)
    assert "log10(1 + x) of every endpoint but LogD" in load("expansionrx").provenance


def test_the_groups_are_those_of_the_endpoints(put: Callable[..., Path]) -> None:
    put(made_up())
    data = load("expansionrx")
    assert data.groups is not None
    found = {
        g: [t for t, of in zip(data.tasks, data.groups, strict=True) if of == g]
        for g in data.groups
    }
    assert found == {name: list(tasks) for name, tasks in expansionrx.GROUPS.items()}
    assert "CC-BY-4.0" in data.provenance and "OpenADMET" in data.provenance


# ---------------------------------------------------------------- how it is split


def test_time_trains_on_the_earliest_and_tests_on_the_latest_whatever_the_seed(
    put: Callable[..., Path],
) -> None:
    put(made_up())
    data = load("expansionrx", split="time")
    split = data.split
    assert split.train.tolist() == [*range(49)]
    assert split.validation.tolist() == [*range(49, 56)]
    assert split.test.tolist() == [*range(56, 70)]
    assert split.kind == "fixed"
    assert data.for_seed(7) is data
    assert torch.equal(load("expansionrx", seed=7).split.test, split.test)


@pytest.mark.parametrize("split", ["scaffold", "random"])
def test_five_seeds_test_on_every_molecule_once(put: Callable[..., Path], split: str) -> None:
    put(made_up())
    data = load("expansionrx", split=split)
    assert data.split.kind == "free"
    tested = torch.cat([data.for_seed(seed).split.test for seed in range(5)])
    assert tested.sort().values.tolist() == [*range(70)]
    for seed in (0, 6):
        parts = data.for_seed(seed).split
        every = torch.cat([parts.train, parts.validation, parts.test])
        assert every.sort().values.tolist() == [*range(70)]
    assert not torch.equal(data.for_seed(0).split.test, data.for_seed(5).split.test)


def test_molecules_that_share_a_scaffold_or_a_fingerprint_share_a_part(
    put: Callable[..., Path],
) -> None:
    put(made_up())
    for seed in range(10):
        parts = load("expansionrx", split="random", seed=seed).split
        of = {
            row: name
            for name in vars(parts)
            if name != "kind"
            for row in getattr(parts, name).tolist()
        }
        assert of[5] == of[6]
        parts = load("expansionrx", split="scaffold", seed=seed).split
        of = {
            row: name
            for name in vars(parts)
            if name != "kind"
            for row in getattr(parts, name).tolist()
        }
        for ring in range(len(RINGS)):
            rows = [k for k in range(ring, 70, len(RINGS)) if k not in (5, 6)]
            assert len({of[row] for row in rows}) == 1
        assert of[5] == of[6] == of[0]  # all on a benzene


# ---------------------------------------------------------------- the released test


def released(folder: Path, monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame, name: str) -> Path:
    monkeypatch.setattr(expansionrx, "RELEASED_ROWS", 20)
    path = folder / name
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", expansionrx.RELEASED_TEST)
def test_the_released_test_is_used_where_it_is_and_its_checksum_is_told(
    put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    later = made_up(20, first=5000)
    path = released(put(made_up()), monkeypatch, later, name)
    data = load("expansionrx")
    assert [len(getattr(data.split, part)) for part in ("train", "validation", "test")] == [
        63,
        7,
        20,
    ]
    assert np.allclose(data.y[data.split.test, 0], later["LogD"], equal_nan=True)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in data.provenance
    assert len(load("expansionrx", released_test=False).y) == 70
    assert len(load("expansionrx", split="random").y) == 70


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (lambda: made_up(19, first=5000), ("19 molecules, and not 20",)),
        (lambda: made_up(20, first=1050), ("molecule 1050 is not later",)),
        (lambda: made_up(20, first=5000).drop(columns="MGMB"), ("no column 'MGMB'",)),
    ],
)
def test_another_file_is_no_released_test(
    put: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    table: Callable[[], pd.DataFrame],
    words: tuple[str, ...],
) -> None:
    folder = put(made_up())
    released(folder, monkeypatch, table(), "expansionrx_test.csv")
    monkeypatch.chdir(folder)
    monkeypatch.setenv(files.FOLDER, ".")  # so that the message is short
    refused(lambda: load("expansionrx"), *words)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "scafold"}, ("unknown split 'scafold'", "did you mean 'scaffold'?")),
        ({"split": 3}, ("unknown split 3", "known: time, scaffold, random")),
        ({"seed": -1}, ("seed -1", "whole number")),
        ({"seed": True}, ("seed True",)),
        ({"log": "no"}, ("log 'no'", "True or False")),
        ({"released_test": 1}, ("released_test 1",)),
        ({"splits": "time"}, ("unknown option 'splits'", "did you mean 'split'?")),
    ],
)
def test_a_wrong_option_is_refused_before_any_file_is_read(
    options: dict[str, Any], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansionrx, "fetch", lambda *_: pytest.fail("a file was asked for"))
    refused(
        lambda: load("expansionrx", **options),
        "expansionrx" if "seed" not in options else "seed",
        *words,
    )


def test_a_missing_file_is_named_with_its_place_and_what_to_do(
    put: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(expansionrx.BadInput) as caught:
        load("expansionrx")
    (line,) = str(caught.value).splitlines()
    assert expansionrx.TRAINING.url in line
    assert files.FOLDER in line


def test_a_file_that_is_not_the_known_one_is_refused(put: Callable[..., Path]) -> None:
    folder = put(made_up())
    path = folder / expansionrx.TRAINING.name
    path.write_bytes(path.read_bytes().replace(b"E-0001001", b"E-0001000"))
    refused(lambda: load("expansionrx"), "is not the known file", "SHA-256 differs")


def broken(what: str) -> pd.DataFrame:
    table = made_up().astype({"KSOL": object})
    if what == "column":
        return table.rename(columns={"HLM CLint": "HLM"})
    if what == "number":
        table.loc[9, "KSOL"] = "high"
    elif what == "negative":
        table.loc[9, "KSOL"] = -2.0
    elif what == "name":
        table.loc[9, "Molecule Name"] = "E-12b"
    elif what == "twice":
        table.loc[9, "Molecule Name"] = table.loc[8, "Molecule Name"]
    elif what == "molecule":
        table.loc[9, "SMILES"] = "C1CC"
    elif what == "empty":
        table.loc[9, "SMILES"] = ""
    return table


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("column", ("no column 'HLM CLint'",)),
        ("number", ("'E-0001010'", "no number")),
        ("negative", ("'E-0001010'", "below 0")),
        ("name", ("'E-12b' has no number",)),
        ("twice", ("'E-0001009' is there twice",)),
        ("molecule", ("RDKit cannot read molecule 'E-0001010'",)),
        ("empty", ("RDKit cannot read molecule 'E-0001010'",)),
    ],
)
def test_a_fault_in_the_file_is_named(
    put: Callable[..., Path], what: str, words: tuple[str, ...]
) -> None:
    put(broken(what))
    refused(lambda: load("expansionrx"), expansionrx.TRAINING.name, *words)


def test_the_command_lists_size_licence_and_checksum(
    put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert SOURCES["expansionrx"][0].sha256.startswith("c5214ad8")
    assert main(["datasets"]) == 0
    said = capsys.readouterr().out
    assert "5,326 rows, 47% of the labels missing; licence: CC-BY-4.0" in said
    assert "c5214ad8c8a4d7d4d09082fcce24fe16c97a980a1e0873b91b8c8e474b79f6e4" in said


# ---------------------------------------------------------------- the real file


@needs_file
@pytest.mark.slow
def test_the_real_file_is_as_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(files.FOLDER, str(REAL))
    data = {split: load("expansionrx", split=split, released_test=False) for split in PARTS}
    y = data["time"].y
    assert y.shape == (5326, 9)
    assert round(float(y.isnan().double().mean()), 2) == 0.47
    assert dict(zip(TASKS, (~y.isnan()).sum(0).tolist(), strict=True)) == expansionrx.LABELS
    assert Recipe.for_data(data["time"]).trunk == (256, 128)
    for each in data.values():
        for part in ("train", "validation", "test"):
            labels = each.labelled[getattr(each.split, part)].sum(0)
            assert int(labels.min()) >= 25, "MGMB has few, and each part has some"


def test_a_plan_predicts_what_was_measured_and_not_its_logarithm(put: Callable[..., Path]) -> None:
    table = made_up()
    put(table)
    plan = {"tasks": {task: {"method": "MTL"} for task in TASKS}}
    measured = table[[*expansionrx.ENDPOINTS]].to_numpy()
    for log in (True, False):
        data = load("expansionrx", log=log)
        fitted = fit_plan(data, plan, steps=200, progress=False)
        found = fitted.predict(data.x).to_numpy()
        off = np.nanmean(np.abs(found - measured), 0)
        assert (off < np.nanstd(measured, 0)).all(), log  # of logarithms it is far more
        assert found[:, 1:].max() > 50  # of labels up to 99, whose logarithms are 2 at most
    assert data.forms is None


def test_a_case_keeps_no_score_in_original_units(put: Callable[..., Path]) -> None:
    put(made_up())
    small = {"steps": 2, "trunk": (4,), "trials": 1}
    study = reproduce.run_case("expansionrx-time", seeds=1, progress=False, **small)
    assert {*study.results["metric"]} == {*metric_names(load("expansionrx"))} - {*ORIGINAL}
    assert {*ORIGINAL} < {*metric_names(load("expansionrx"))}
