"""Panels of assays in small: read, merged, divided into folds, kept in a cache, or refused.

Most tests need no RDKit: they put bits of their own into the cache, as a first load does.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.server
import importlib.util
import itertools
import json
import os
import pickle
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from samples import forking
from test_gdsc import Trap, served

from mtl_nt import Recipe, TaskData, __version__, load
from mtl_nt.__main__ import main
from mtl_nt.bits import Bits
from mtl_nt.datasets import PANELS, SOURCES, csv_sheet, molecule_cache, sheets
from mtl_nt.datasets import downloads as files
from mtl_nt.datasets.chemistry import FOLDS, MIN_PER_CLASS, PRESETS, unreadable
from mtl_nt.datasets.downloads import Source, fetch
from mtl_nt.datasets.fingerprints import FINGERPRINT_BITS, Molecules, read_molecules
from mtl_nt.datasets.molecule_table import ACTIVE, INACTIVE, MISSING, parse_table
from mtl_nt.errors import BadInput
from mtl_nt.study.chunks import train
from mtl_nt.study.methods import METHODS
from mtl_nt.study.stored import notes, stored

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
TASKS = ("NR-AR", "NR-AhR", "SR-ARE", "SR-p53", "rare", "idle")
COUNT = 303
needs_rdkit = pytest.mark.skipif(
    importlib.util.find_spec("rdkit") is None, reason="needs RDKit: pip install 'mtl_nt[chem]'"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network behind it."""
    monkeypatch.delenv(files.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    return tmp_path / "cache" / "mtl_nt"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Molecules:
    """Molecules that a first load of Tox21 has left in the cache: `rare` has 3 actives, `idle` has
    none; the last four molecules have a label of `idle` alone.
    """
    random = np.random.default_rng(0)
    labels = random.choice(
        np.array([MISSING, INACTIVE, ACTIVE], np.uint8), (COUNT, len(TASKS)), p=[0.2, 0.5, 0.3]
    )
    labels[:, 0] = np.where(labels[:, 0] == MISSING, INACTIVE, labels[:, 0])
    labels[:, 4:] = INACTIVE
    labels[[7, 77, 277], 4] = ACTIVE
    labels[-4:, :5] = MISSING
    bits = np.packbits(random.random((COUNT, FINGERPRINT_BITS)) < 0.05, axis=1)
    scaffold = np.minimum(random.geometric(0.05, COUNT) - 1, 60).astype(np.int32)
    found = Molecules(TASKS, bits, labels, scaffold, 310, ((9, "FAIL"), (12, "FAIL")), "2026.0")
    put("tox21", found)
    return found


def put(name: str, found: Molecules) -> Path:
    """Leave this in the cache. Where it lies."""

    def made(*_: object) -> Molecules:
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(molecule_cache, "read_molecules", made)
        patch.setitem(sys.modules, "rdkit", type(sys)("rdkit"))
        source = PANELS[name].source
        stem = source.name.partition(".")[0]
        molecule_cache.cached_molecules(stem, source.checksum, lambda: Path(source.name))
    (path,) = molecule_cache.cache_folder().glob(f"{stem}-*.npz")
    return path


def bits_of(data: TaskData) -> np.ndarray:
    assert isinstance(data.x, Bits)
    return data.x.to_dense().numpy()


def parts(data: TaskData) -> list[set[int]]:
    return [{*p.tolist()} for p in (data.split.train, data.split.validation, data.split.test)]


# ------------------------------------------------------------------------- from the cache alone


def test_a_second_load_needs_neither_rdkit_nor_the_table(
    kept: Molecules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    data = load("tox21")
    assert data.name == "tox21" and data.tasks == TASKS[:4]
    assert data.x.shape == (COUNT - 4, FINGERPRINT_BITS) and data.kind == "binary"
    assert (bits_of(data) == np.unpackbits(kept.bits[:-4], axis=1)).all()
    labels = kept.labels[:-4, :4]
    assert data.y.dtype == torch.float32
    assert (data.y.isnan().numpy() == (labels == MISSING)).all()
    assert ((data.y == 1).numpy() == (labels == ACTIVE)).all()


def test_the_five_first_seeds_are_the_five_folds_of_one_division(kept: Molecules) -> None:
    runs = [load("tox21", seed=s) for s in range(FOLDS)]
    tests = [parts(run)[2] for run in runs]
    assert set().union(*tests) == {*range(COUNT - 4)}
    assert sum(map(len, tests)) == COUNT - 4
    for s, run in enumerate(runs):
        learn, validation, test = parts(run)
        assert run.split.kind == "free"
        assert validation == tests[s - 1]
        assert learn == {*range(COUNT - 4)} - validation - test
        assert len(learn) == pytest.approx(3 * len(test), abs=9)
        assert torch.equal(runs[0].for_seed(s).split.test, run.split.test)
    other = [parts(runs[0].for_seed(s))[2] for s in range(FOLDS, 2 * FOLDS)]
    assert set().union(*other) == {*range(COUNT - 4)} and not any(t in tests for t in other)


def test_a_molecule_stays_in_its_fold_whatever_assays_are_taken(kept: Molecules) -> None:
    all_of_them, two = load("tox21"), load("tox21", assays=["SR-p53", "NR-AhR"])
    assert two.tasks == ("NR-AhR", "SR-p53")  # in the order of the file
    assert "2 of 6 assays chosen by name" in two.provenance
    rows = np.flatnonzero((kept.labels[:, [1, 3]] != MISSING).any(1))
    assert len(two.x) == len(rows) < COUNT - 4
    assert {*rows[two.split.test.numpy()]} == parts(all_of_them)[2] & {*rows.tolist()}


def test_scaffold_folds_divide_no_scaffold_and_are_balanced(kept: Molecules) -> None:
    data = load("tox21", split="scaffold")
    scaffold = kept.scaffold[:-4]
    largest = int(np.bincount(scaffold).max())
    seen: list[set[int]] = []
    for seed in range(2 * FOLDS):
        run = data.for_seed(seed)
        learn, validation, test = ({*scaffold[[*part]].tolist()} for part in parts(run))
        assert not (learn & validation or learn & test or validation & test)
        sizes = [len(run.split.test), len(run.split.train) / 3]
        assert max(sizes) - min(sizes) <= largest
        seen.append(parts(run)[2])
    assert set().union(*seen[:FOLDS]) == {*range(COUNT - 4)}
    assert seen[0] not in seen[FOLDS:]  # another division
    assert "folds by scaffold" in data.provenance


def test_assays_with_too_few_labels_are_left_out_and_counted(kept: Molecules) -> None:
    data = load("tox21")
    assert "rare" not in data.tasks and "idle" not in data.tasks
    assert f"2 of 6 assays left out with fewer than {MIN_PER_CLASS} actives" in data.provenance
    most = int((kept.labels == ACTIVE).sum(0).max())
    only = load("tox21", least=most)
    assert [int((only.y == 1).sum())] == [most] and "5 of 6 assays left out" in only.provenance
    refused(lambda: load("tox21", least=most + 1), "no assay has", "smaller least")
    labels = kept.labels.copy()
    labels[25:, 1] = np.maximum(labels[25:, 1], ACTIVE)  # few inactives are too few as well
    put_again(kept._replace(labels=labels))
    assert load("tox21").tasks == (TASKS[0], *TASKS[2:4])


def test_what_is_left_out_is_said(kept: Molecules) -> None:
    provenance = load("tox21").provenance
    assert "2 rows left out that RDKit cannot read" in provenance
    assert "4 molecules left out that have no label of these" in provenance
    assert "310 rows, 303 molecules" in provenance and "US government" in provenance
    assert unreadable("tox21") == ((9, "FAIL"), (12, "FAIL"))


def test_the_most_active_assays_are_taken_where_a_panel_has_too_many(
    kept: Molecules, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = PANELS["toxcast128"]._replace(source=PANELS["tox21"].source, most_active=2)
    monkeypatch.setitem(PANELS, "toxcast128", few)
    active = (kept.labels == ACTIVE).sum(0)
    expected = [TASKS[t] for t in sorted(np.argsort(-active, kind="stable")[:2])]
    data = load("toxcast128")
    assert [*data.tasks] == expected and "the 2 with most actives taken" in data.provenance


def test_a_subset_of_the_molecules_is_the_same_for_every_seed(kept: Molecules) -> None:
    some = [load("tox21", rows=100, seed=s) for s in (0, 1, 7)]
    assert len(some[0].x) <= 100 < len(some[0].x) + 5
    assert "100 of them drawn" in some[0].provenance
    for data in some[1:]:
        assert torch.equal(data.y.nan_to_num(-1), some[0].y.nan_to_num(-1))
        assert (bits_of(data) == bits_of(some[0])).all()
    all_of_them = {row.tobytes() for row in bits_of(load("tox21"))}
    assert {row.tobytes() for row in bits_of(some[0])} < all_of_them


def test_a_training_fold_without_actives_is_refused_with_what_to_do(kept: Molecules) -> None:
    words = ("assay 'rare' has no active molecule among the training rows", "least", "another seed")
    runs = {}
    for seed in range(40):
        try:
            runs[seed] = load("tox21", assays=["rare", "NR-AR"], seed=seed)
        except BadInput:
            refused(partial(load, "tox21", assays=["rare", "NR-AR"], seed=seed), *words)
    assert 0 < len(runs) < 40  # of three actives, the training folds miss all now and then
    assert "rare" in load("tox21", least=3, seed=min(runs)).tasks


def test_the_budget_is_counted_in_passes_over_the_training_rows(kept: Molecules) -> None:
    rows = round(0.6 * (COUNT - 4))
    small, paper = (load("tox21", preset=p) for p in ("small", "paper"))
    assert Recipe.for_data(small).steps == 25 * -(-rows // PRESETS["small"]["batch_size"])
    assert Recipe.for_data(paper).steps == 100
    assert Recipe.for_data(small).trunk == (256, 128) and Recipe.for_data(paper).trunk == (
        2000,
        2000,
    )


@pytest.mark.parametrize(("split", "preset"), [("random", "paper"), ("scaffold", "small")])
def test_it_trains(kept: Molecules, split: str, preset: str) -> None:
    data = load("tox21", split=split, preset=preset)
    runs = [data.for_seed(s) for s in (0, 1)]
    trained = train(METHODS["MTL"], runs, [0, 1], Recipe.for_data(data, steps=3, trunk=(8, 8)))
    assert trained.predictions.isfinite().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "papre"}, ("tox21", "'papre'", "did you mean 'paper'")),
        ({"split": "scafold"}, ("tox21", "'scafold'", "did you mean 'scaffold'")),
        ({"seed": -1}, ("seed -1", "0 or more")),
        ({"seed": 1.5}, ("seed 1.5", "whole number")),
        ({"least": 0}, ("least 0", "1 or more")),
        ({"rows": 49}, ("rows 49", "from 50 to 303")),
        ({"rows": 304}, ("rows 304", "from 50 to 303")),
        ({"rows": True}, ("rows True", "from 50")),
        ({"assays": ["NR-Ahr"]}, ("unknown assay 'NR-Ahr'", "did you mean 'NR-AhR'")),
        ({"assays": ["?"]}, ("unknown assay '?'", "known: NR-AR")),
        ({"assays": "NR-AR"}, ("assays 'NR-AR'", "a list")),
        ({"assays": []}, ("assays []", "one name or more")),
        ({"assays": ["NR-AR", "idle"]}, ("'idle' has no active molecule", "leave it out")),
        ({"file": 3}, ("file 3", "path of a .csv")),
        ({"assay": ["NR-AR"]}, ("unknown option 'assay'", "'assays'")),
    ],
)
def test_an_impossible_option_is_refused(
    kept: Molecules, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    refused(lambda: load("tox21", **options), *words)


def test_an_unknown_panel_has_no_list() -> None:
    refused(lambda: unreadable("tox12"), "unknown panel 'tox12'", "'tox21'")


def test_too_few_molecules_with_labels_are_refused(kept: Molecules) -> None:
    labels = kept.labels.copy()
    labels[49:] = MISSING
    put_again(kept._replace(labels=labels))
    refused(lambda: load("tox21", least=1), "49 molecules with labels", "50 or more")


def put_again(found: Molecules) -> Path:
    for path in molecule_cache.cache_folder().glob("*.npz"):
        path.unlink()
    return put("tox21", found)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def changed(path: Path, **arrays: np.ndarray) -> None:
    with np.load(path) as old:
        arrays = {name: old[name] for name in old.files} | arrays
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def of_another_table(path: Path) -> None:
    with np.load(path) as old:
        text = old["about"].tobytes().replace(b'"key": "', b'"key": "0')
    changed(path, about=np.frombuffer(text, np.uint8))


def with_a_trap(path: Path) -> None:
    changed(path, bits=np.array([Trap(path.parent / "mark")], object))


def is_a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(path.parent / "mark")))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut off": truncated,
    "a flipped bit": flipped,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no zip"),
    "of another table": of_another_table,
    "a column too few": lambda path: changed(path, labels=np.ones((COUNT, 5), np.uint8)),
    "wider bits": lambda path: changed(path, bits=np.ones((COUNT, 256), np.uint8)),
    "labels that are none": lambda path: changed(path, labels=np.full((COUNT, 6), 3, np.uint8)),
    "decimals": lambda path: changed(path, bits=np.ones((COUNT, 128))),
    "no molecules": lambda path: changed(
        path,
        **{"bits": np.ones((0, 128), np.uint8), "labels": np.ones((0, 6), np.uint8)},
        scaffold=np.ones(0, np.int32),
    ),
    "no description": lambda path: changed(path, about=np.ones(4, np.uint8)),
    "an object": with_a_trap,
    "a pickle": is_a_pickle,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cache_is_made_anew_with_one_line(
    kept: Molecules, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (path,) = molecule_cache.cache_folder().glob("*.npz")
    before = load("tox21")
    DAMAGE[kind](path)
    assert capsys.readouterr().err == ""
    put("tox21", kept)  # a load whose RDKit and table are these molecules
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{path} is damaged" in said and "computed again" in said
    after = load("tox21")
    assert capsys.readouterr().err == ""
    assert (bits_of(after) == bits_of(before)).all()
    assert not (path.parent / "mark").exists()


def test_a_disk_that_is_full_costs_the_cache_alone(
    kept: Molecules, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = molecule_cache.cache_folder()
    for path in folder.iterdir():
        path.unlink()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mtl_nt.study.result_store.os.fsync", full)
    with pytest.raises(ValueError, match="not enough values"):  # put finds nothing there
        put("tox21", kept)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(folder) in said and "No space left" in said
    assert not [*folder.iterdir()]


def test_without_rdkit_and_without_a_cache_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    refused(lambda: load("tox21"), "tox21: fingerprints need RDKit", "pip install 'mtl_nt[chem]'")


# --------------------------------------------------------------------------------- from a table

ENDS = ("O", "N", "Cl", "F", "Br", "I", "S", "OC(=O)", "NC(=O)", "CC(=O)", "N#C", "C=C", "C#C")
RINGS = ("", "c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "C1CCNCC1", "c1cc2ccccc2[nH]1")
CHAINS = range(1, 23)
MOLECULES = [f"{e}{'C' * k}{r}" for k, r, e in itertools.product(CHAINS, RINGS, ENDS)]


def table(
    count: int = 120, tasks: tuple[str, ...] = TASKS[:3], share: float = 0.3, missing: float = 0.2
) -> list[list[str]]:
    """A table in MoleculeNet's format: header and rows of text, molecules in a random order."""
    random = np.random.default_rng(1)
    rows = [[*tasks, "mol_id", "smiles"]]
    for number in random.permutation(len(MOLECULES))[:count]:
        labels = (random.random(len(tasks)) < share).astype(int).astype(str)
        labels = np.where(random.random(len(tasks)) < missing, "", labels)
        rows.append([*labels.tolist(), f"CID{number}", MOLECULES[number]])
    return rows


def written(path: Path, rows: list[list[str]]) -> Path:
    text = "".join(",".join(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return path


def own(path: Path, rows: list[list[str]], **options: Any) -> TaskData:
    return load("tox21", file=written(path, rows), **{"least": 1, **options})


ASPIRIN = [
    11,
    23,
    33,
    64,
    175,
    356,
    386,
    389,
    423,
    444,
    456,
    592,
    650,
    695,
    705,
    726,
    751,
    807,
    849,
    893,
    909,
    946,
    967,
    1017,
]


@needs_rdkit
def test_a_fingerprint_is_ecfp4_of_1024_bits_without_chirality(tmp_path: Path) -> None:
    """Aspirin's bits are those of RDKit's older function, and alanine's two hands have the same."""
    rows = table(missing=0)
    for at, smiles in enumerate(
        ("CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"), 1
    ):
        rows[at][-1] = smiles
    bits = bits_of(own(tmp_path / "own.csv", rows))
    assert np.flatnonzero(bits[0]).tolist() == ASPIRIN
    assert (bits[1] == bits[2]).all() and bits[1].any()


@needs_rdkit
def test_rows_with_the_same_smiles_are_one_molecule_active_where_one_of_them_is(
    tmp_path: Path,
) -> None:
    rows = table(missing=0)
    for labels in (["0", "1", ""], ["1", "", ""], ["0.0", "0", "NA"]):
        rows.append([*labels, "twin", "CCCCCCCCCCCCBr"])
    rows.append(["", "0", "1.0", "late", rows[3][-1]])
    rows[3][:3] = ["0", "1", ""]
    data = own(tmp_path / "own.csv.gz", rows)
    assert len(data.x) == 121
    assert data.y[2].tolist() == [0, 1, 1]
    assert data.y[-1, :2].tolist() == [1, 1] and bool(data.y[-1, 2].isnan())
    assert "124 rows, 121 molecules" in data.provenance


@needs_rdkit
def test_rows_that_rdkit_cannot_read_are_left_out_counted_and_listed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = table(missing=0)
    for at in (5, 9, 30):
        rows.insert(at, ["1", "1", "1", f"bad{at}", "FAIL" if at != 9 else "CC(=O"])
    data = own(tmp_path / "own.csv", rows)
    assert len(data.x) == 120 and "3 rows left out that RDKit cannot read" in data.provenance
    expected = ((6, "FAIL"), (10, "CC(=O"), (31, "FAIL"))
    assert unreadable("tox21", tmp_path / "own.csv") == expected
    said = capfd.readouterr()
    assert said.out == said.err == ""  # RDKit's own log is silent


@needs_rdkit
def test_molecules_with_the_same_rings_share_a_scaffold(tmp_path: Path) -> None:
    data = own(tmp_path / "own.csv", table(400, missing=0), split="scaffold")
    rows = table(400)[1:]
    ring = [next(r for r in reversed(RINGS) if row[-1].endswith(r)) for row in rows]
    for seed in range(FOLDS):
        of = [{ring[r] for r in part} for part in parts(data.for_seed(seed))]
        assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2])


@pytest.mark.slow
@needs_rdkit
def test_an_own_file_in_pcbas_format_is_read_without_a_checksum(tmp_path: Path) -> None:
    tasks = tuple(f"PCBA-{n}" for n in range(1000, 1128))
    rows = table(2000, tasks, share=0.03, missing=0.4)
    path = written(tmp_path / "pcba_head.csv.gz", rows)
    data = load("pcba", file=path)
    assert data.x.shape == (2000, FINGERPRINT_BITS) and data.y.shape == (2000, 128)
    assert data.tasks == tasks and data.name == "pcba (own file)"
    assert "own file pcba_head.csv.gz" in data.provenance
    assert str(tmp_path) not in data.provenance
    truth = [[float(label or "nan") for label in row[:128]] for row in rows[1:]]
    np.testing.assert_array_equal(data.y.numpy(), np.array(truth, np.float32))
    for seed in range(2 * FOLDS):
        assert data.for_seed(seed).split.kind == "free"
    some = load("pcba", file=path, preset="paper", rows=500, least=8)
    assert some.x.shape == (500, FINGERPRINT_BITS) and 50 < len(some.tasks) < 128


@needs_rdkit
@pytest.mark.slow
def test_table_1_is_made_by_one_command_from_a_file_in_pcbas_format(tmp_path: Path) -> None:
    """Five hundred molecules; the second call finds all there and trains nothing."""
    rows = table(500, tuple(f"PCBA-{n}" for n in range(1000, 1006)), missing=0.4)
    path = written(tmp_path / "pcba_head.csv.gz", rows)
    command = ["results", "pcba-small", "--file", str(path), "--parts", str(tmp_path / "parts")]
    command += ["--workers", "1", "--seeds", "100,101,", "--steps", "4"]
    assert main([*command, "--out", str(tmp_path / "once")]) == 0
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "parts").rglob("*") if p.is_file()}
    assert main([*command, "--out", str(tmp_path / "twice")]) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "parts").rglob("*") if p.is_file()} == made
    first, again = (stored(tmp_path / name / "pcba") for name in ("once", "twice"))
    pd.testing.assert_frame_equal(first.results, again.results)
    counts = first.counts().set_index(["method", "alpha"])
    arms = {method for method, _ in counts.index}
    assert {"STL", "STL'", "MTL", "Fine-Tuning", "RMTL", "Constant", "MTL, tuned"} < arms
    for method, networks in (("STL", 6), ("MTL", 1), ("Fine-Tuning", 12), ("RMTL", 6)):
        assert counts.loc[method, "networks"].tolist() == [networks]
    for method in ("LBTW", "GradNorm", "LBTW, shuffled"):
        assert [alpha for m, alpha in counts.index if m == method] == [0.1, 0.5]
    assert notes(tmp_path / "once" / "pcba")["preset"] == "small"
    with gzip.open(tmp_path / "once" / "pcba" / "results.csv.gz", "rt") as kept:
        row = pd.read_csv(kept).iloc[0]
    assert (row["steps"], row["preset"], row["version"]) == (4, "small", __version__)


def test_a_file_of_ones_own_does_not_replace_what_comes_with_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", "tox21", "--file", str(tmp_path / "own.csv")]) == 2
    assert "--file needs --out" in capsys.readouterr().err


@needs_rdkit
def test_an_own_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    before = own(tmp_path / "own.csv", table(missing=0))
    after = own(tmp_path / "own.csv", table(130, missing=0))
    assert (len(before.x), len(after.x)) == (120, 130)


Change = Callable[[list[list[str]]], Any]


def cell(line: int, column: int, text: str) -> Change:
    def change(rows: list[list[str]]) -> None:
        rows[line - 1][column] = text

    return change


TABLES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "no smiles": (cell(1, 4, "SMILES"), ("no column 'smiles'", "did you mean 'SMILES'")),
    "a header missing": (lambda t: t.pop(0), ("no column 'smiles'",)),
    "a name twice": (cell(1, 1, "NR-AR"), ("2 columns are named 'NR-AR'", "rename")),
    "smiles twice": (cell(1, 3, "smiles"), ("2 columns are named 'smiles'",)),
    "no name": (cell(1, 1, " "), ("column 2 has no name",)),
    "no assay": (lambda t: [r.__delitem__(slice(3)) for r in t], ("no assay",)),
    "no molecules": (lambda t: t.__delitem__(slice(1, None)), ("no molecules",)),
    "another label": (cell(4, 1, "2"), ("line 4", "column 'NR-AhR'", "'2' is no label", "0, 1")),
    "text": (cell(9, 0, "active"), ("line 9", "column 'NR-AR'", "'active' is no label")),
    "an infinite label": (cell(9, 0, "inf"), ("line 9", "column 'NR-AR'", "'inf'")),
    "empty smiles": (cell(7, 4, " "), ("line 7", "'smiles' is empty", "drop the line")),
    "a cell too many": (lambda t: t[5].append("1"), ("line 6", "6 cells", "header has 5")),
    "a cell too few": (lambda t: t[5].pop(), ("line 6", "4 cells", "header has 5")),
    "few molecules": (lambda t: t.__delitem__(slice(50, None)), ("49 molecules", "50 or more")),
    "an open quote": (cell(8, 4, '"CC'), ("cannot be read as a table",)),
    "none readable": (
        lambda t: [r.__setitem__(4, f"?{i}") for i, r in enumerate(t[1:])],
        ("RDKit can read none of its 120 molecules", "'?0'"),
    ),
}


@needs_rdkit
@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    change, words = TABLES[case]
    rows = table()
    change(rows)
    name = () if case == "few molecules" else ("own.csv",)
    refused(lambda: own(tmp_path / "own.csv", rows), *name, *words)


FILES: dict[str, tuple[str, bytes | None, tuple[str, ...]]] = {
    "no file": ("no.csv", None, ("no.csv does not exist", ".csv.gz")),
    "another kind": ("own.sdf", b"", ("own.sdf", "must end with .csv or .csv.gz")),
    "an empty file": ("own.csv", b"", ("own.csv", "no column 'smiles'")),
    "no gzip": ("own.csv.gz", b"smiles,A\nC,1\n", ("own.csv.gz", "gzip", "anew")),
    "half a gzip": (
        "own.csv.gz",
        gzip.compress(b"smiles,A\n" + b"C,1\n" * 99)[:-9],
        ("own.csv.gz", "cannot be read as a table", "anew"),
    ),
    "bytes": ("own.csv", b"smiles,A\nC\xff\xfe,1\n", ("own.csv", "utf-8")),
    "a pickle": ("own.csv", pickle.dumps({"smiles": [1]}), ("own.csv",)),
}


@needs_rdkit
@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    name, content, words = FILES[case]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refused(lambda: load("tox21", file=tmp_path / name), *words)
    refused(lambda: load("tox21", file=tmp_path), "is a folder")


@pytest.mark.slow
def test_a_table_that_unpacks_to_too_much_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = b"smiles,A\nC,1\n"
    monkeypatch.setattr(csv_sheet, "MAX_ROW_BYTES", 50_000)
    for content, words in (
        (start + b"\n" * 600_000, "more than 524,288 blank lines"),
        (start + b"C" * 100_000, "more than 50,000 bytes in one row"),
    ):
        path = tmp_path / "own.csv.gz"
        path.write_bytes(gzip.compress(content))
        refused(lambda path=path: read_molecules(path), "own.csv.gz", words)
    monkeypatch.setattr(sheets, "MAX_MEMORY", 100_000)
    path.write_bytes(gzip.compress(start + b"C,1\n" * 100_000))
    refused(lambda: read_molecules(path), "own.csv.gz", "memory; 100,000 at most")


@needs_rdkit
def test_a_table_that_changes_before_it_is_read_leaves_nothing_in_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.csv"

    def late(given: Path, *sha256: str) -> Molecules:
        path.write_text(path.read_text().replace("C", "CC"))
        return read_molecules(given, *sha256)

    monkeypatch.setattr(molecule_cache, "read_molecules", late)
    refused(lambda: own(path, table()), "own.csv changed while it was read; try again")
    assert not [*cache.glob("*")]


def filled(path: Path, place: str, both: Barrier, said: Path) -> None:
    """One of two that begin at once: read the table, and write into the cache time and again."""
    os.environ["XDG_CACHE_HOME"] = place
    os.dup2(os.open(said.with_suffix(".err"), os.O_WRONLY | os.O_CREAT), 2)
    both.wait(60)
    found = read_molecules(path)
    for _ in range(8):
        data = load("tox21", file=path)
        for kept in molecule_cache.cache_folder().glob("*.npz"):
            key = json.loads(np.load(kept)["about"].tobytes())["key"]
            molecule_cache._write_cache(kept, key, found)
    said.write_bytes(bits_of(data).tobytes() + data.y.numpy().tobytes())


@pytest.mark.slow
@needs_rdkit
def test_two_processes_that_fill_one_cache_never_see_half_of_it(
    tmp_path: Path, cache: Path
) -> None:
    path = written(tmp_path / "own.csv", table(300, missing=0))
    context, said = forking(), [tmp_path / "said 0", tmp_path / "said 1"]
    given = (path, str(cache.parent), context.Barrier(2))
    both = [context.Process(target=filled, args=(*given, one)) for one in said]
    for process in both:
        process.start()
    for process in both:
        process.join()
    errors = [one.with_suffix(".err").read_text() for one in said]
    assert [process.exitcode for process in both] == [0, 0], errors
    assert errors == ["", ""]
    assert said[0].read_bytes() == said[1].read_bytes() != b""
    (kept,) = cache.iterdir()
    assert kept.suffix == ".npz"


# ------------------------------------------------------------------------------------ the files


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small table that is Tox21's known file, and PCBA's known by its Git blob alone."""
    folder = tmp_path / "place"
    folder.mkdir()
    path = written(folder / "tox21.csv.gz", table(missing=0))
    data = path.read_bytes()
    blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    (folder / "pcba.csv.gz").write_bytes(data)
    sums = {"tox21": {"sha256": hashlib.sha256(data).hexdigest()}, "pcba": {"blob": blob}}
    for name, checksum in sums.items():
        source = PANELS[name].source._replace(**checksum)
        monkeypatch.setitem(PANELS, name, PANELS[name]._replace(source=source))
        monkeypatch.setitem(SOURCES, name, (source,))
    return folder


def at(place: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Source:
    """This panel's file at a place of this machine's own."""
    panel = PANELS[name]
    source = panel.source._replace(url=place + panel.source.name)
    monkeypatch.setitem(PANELS, name, panel._replace(source=source))
    monkeypatch.setitem(SOURCES, name, (source,))
    return source


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@needs_rdkit
@pytest.mark.parametrize("name", ["tox21", "pcba"])
def test_a_file_is_downloaded_checked_and_read(
    known: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with served(partial(Quiet, directory=str(known))) as place:
        at(place, name, monkeypatch)
        data = load(name)
    assert data.y.shape == (120, 3) and data.name == name
    (cache / f"{name}.csv.gz").unlink()  # the bits are enough
    assert torch.equal(load(name).y, data.y)


@needs_rdkit
@pytest.mark.parametrize("name", ["tox21", "pcba"])
def test_the_known_file_is_taken_from_the_folder_of_ones_own(
    known: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(files.FOLDER, str(known))
    assert load(name).y.shape == (120, 3)
    path = known / f"{name}.csv.gz"
    path.write_bytes(path.read_bytes() + b"\n")
    words = (str(path), "is not the known file", f"load({name!r}, file=...)")
    with pytest.raises(BadInput) as caught:  # though the cache has its bits
        load(name)
    assert all(word in str(caught.value) for word in words)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["tox21", "pcba"])
@needs_rdkit
def test_another_file_than_the_known_one_is_refused_and_not_kept(
    known: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = known / f"{name}.csv.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with served(partial(Quiet, directory=str(known))) as place:
        at(place, name, monkeypatch)
        refused(lambda: load(name), f"{name}.csv.gz", "nothing was kept")
    assert not [*cache.iterdir()]


@needs_rdkit
@pytest.mark.parametrize("name", PANELS)
def test_without_network_it_says_what_where_to_and_what_needs_no_download(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(name)
    said = str(caught.value)
    source = PANELS[name].source
    assert len(said.splitlines()) == 1
    for word in (source.url, source.checksum, "into a folder", files.FOLDER, "load('assays')"):
        assert word in said
    assert len(source.sha256) == 64 or len(source.blob) == 40


def test_a_disk_that_fills_up_while_downloading_is_named(
    known: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_download", lambda *_: b"")
    monkeypatch.setattr(Path, "write_bytes", full)
    source = PANELS["tox21"].source
    refused(lambda: fetch(source), "tox21.csv.gz cannot be kept in", "No space left", "make room")
    assert not [*cache.iterdir()]


# ------------------------------------------------------------------------------ the command line


@pytest.mark.slow
def test_the_command_lists_every_panel_with_its_file(
    known: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(files.FOLDER, str(known))
    assert main(["datasets"]) == 0
    said = capsys.readouterr().out
    blocks = {b.split()[0]: b for b in re.split(r"\n(?=\w)", said)}
    for name, panel in PANELS.items():
        facts = (panel.title, f"{panel.tasks} tasks, {panel.rows:,} rows", panel.licence)
        for word in (*facts, panel.source.url, panel.source.checksum, "preset='small'"):
            assert word in blocks[name]
    assert "71% of the labels missing" in blocks["toxcast"]
    assert "licence: CC BY-NC-SA 4.0" in said and "125,310 bytes" in said
    assert f"there: {known / 'tox21.csv.gz'}" in said
    assert f"there: {known / 'pcba.csv.gz'}" in said
    assert said.count("not fetched") == len(PANELS) - 2 + 5  # gdsc, mnist: two each


def test_a_file_that_is_not_the_known_one_counts_as_not_fetched(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PANELS["pcba"].source
    monkeypatch.setenv(files.FOLDER, str(known))
    assert files.local_copy(source) == known / "pcba.csv.gz"
    (known / "pcba.csv.gz").write_bytes(b"another")
    assert files.local_copy(source) is None


def test_fetch_downloads_once_and_says_where_the_file_lies(
    known: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with served(partial(Quiet, directory=str(known))) as place:
        source = at(place, "tox21", monkeypatch)
        assert main(["fetch", "tox21"]) == 0
    assert capsys.readouterr().out == f"{cache / 'tox21.csv.gz'} ({source.checksum})\n"
    assert main(["fetch", "tox21"]) == 0  # the server is gone
    assert main(["fetch", "dial"]) == 0
    assert capsys.readouterr().out.endswith("dial needs no download\n")


def test_fetch_refuses_what_it_does_not_know(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "tox12"]) == 2
    assert "did you mean 'tox21'" in capsys.readouterr().err
    assert main(["fetch", "muv"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert PANELS["muv"].source.url in said and PANELS["muv"].source.sha256 in said


# ---------------------------------------------------------------------------------- real tables


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REAL / "tox21.csv.gz").exists() or not (REAL / "toxcast_data.csv.gz").exists():
        pytest.skip("needs the files of Tox21 and ToxCast in ../shared/data")
    monkeypatch.setenv(files.FOLDER, str(REAL))


LABELLED = [7265, 6758, 6549, 5821, 6193, 6955, 6450, 5832, 7072, 6467, 5810, 6775]
ACTIVES = [309, 237, 768, 300, 793, 350, 186, 942, 264, 372, 919, 423]


@pytest.mark.slow
@needs_rdkit
def test_tox21_has_the_known_molecules_and_counts(real: None, cache: Path) -> None:
    """7,831 molecules with MoleculeNet's counts, of which RDKit cannot read eight any more."""
    with gzip.open(REAL / "tox21.csv.gz", "rt") as text:
        whole = parse_table(text, "tox21")
    assert len(whole.smiles) == 7_831 and len(whole.molecule) == 8_014
    labelled, active = (whole.labels > MISSING).sum(0), (whole.labels == ACTIVE).sum(0)
    assert labelled.tolist() == LABELLED and active.tolist() == ACTIVES
    data, lost = load("tox21"), unreadable("tox21")
    assert len(data.x) == 7_823 and len(data.tasks) == 12
    assert len(lost) == 8 and all("[AlH3]" in smiles for _, smiles in lost)
    assert float(data.y.isnan().float().mean()) == pytest.approx(0.1706, abs=1e-4)
    (kept,) = cache.glob("*.npz")
    assert kept.stat().st_size < 300_000
    start = time.process_time()
    load("tox21")
    assert time.process_time() - start < 0.5
    for seed in range(2 * FOLDS):
        data.for_seed(seed)
        load("tox21", split="scaffold", seed=seed)


@pytest.mark.slow
@needs_rdkit
def test_toxcast_loads_with_all_assays_that_have_enough_labels(real: None) -> None:
    data = load("toxcast128")
    assert data.x.shape == (8_579, FINGERPRINT_BITS) and len(data.tasks) == 128
    assert int((data.y == 1).sum(0).min()) == 330
    assert float(data.y.isnan().float().mean()) == pytest.approx(0.4628, abs=1e-4)
    assert len(unreadable("toxcast")) == 18
    data = load("toxcast")
    assert len(data.tasks) == 616 and "1 of 617 assays left out" in data.provenance
    for split in ("random", "scaffold"):
        rows = load("toxcast", seed=3, split=split, assays=data.tasks[:60]).split.train
        assert len(rows) > 1_000
