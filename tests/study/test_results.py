"""Kept studies: written as text, read back the same, made by one command, and never stale."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from mtl_nt import BadInput, Method, Recipe, Study, compare, load
from mtl_nt.__main__ import main
from mtl_nt.datasets import downloads as files
from mtl_nt.study import reproduce
from mtl_nt.study.reproduce import CASES, Case, probe_case, uncertainties
from mtl_nt.study.stored import FILES, KEPT, keep, notes, stored

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
TINY = Case(
    "a tiny study",
    partial(load, "digits"),
    partial(load, "digits"),
    reproduce._digits,
    ("STL", "CNN"),
    (3, 4),
    {"steps": 12, "trunk": (8, 16, 64)},
)


# Many networks, or wide ones: the same code trains what is left, or other cases' networks.
LONG = {
    "gdsc": {"STL"},
    "tox21": {"STL, width x 4"},
    "toxcast128": {"STL", "Fine-Tuning", "RMTL"},
}


def _without_search(data, recipe, seeds):  # type: ignore[no-untyped-def]
    """The methods of `_digits` that need no validation rows."""
    every = reproduce._digits(data, recipe, seeds)
    return [m for m in every if not (m == "Scalarisation" or "tuned" in getattr(m, "name", ""))]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Case:
    case = TINY._replace(methods=_without_search)
    monkeypatch.setitem(CASES, "tiny", case)
    return case


@pytest.fixture(scope="module")
def study() -> Study:
    return compare(
        load("digits"),
        ("MTL-CNN", "U-AMTFL"),
        (0.1, 0.5),
        2,
        steps=15,
        trunk=(4, 8, 16),
        baseline=("CNN", "STL"),
        progress=False,
    )


def test_a_kept_study_says_what_it_said(study: Study, tmp_path: Path) -> None:
    read = stored(keep(study, tmp_path / "one"))
    assert read.baselines == ("CNN", "STL")
    assert read.recipe == study.recipe
    for metric in (None, "error"):
        ours, theirs = study.counts(metric), read.counts(metric)
        assert list(ours) == list(theirs)
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-3, check_dtype=False)
    one, other = study.against("STL").transfer(), read.against("STL").transfer()
    assert np.allclose(one["delta"], other["delta"], atol=1e-4)
    assert np.allclose(read.results["value"], study.results["value"], rtol=1e-4)


def test_a_kept_study_is_three_small_files_of_text(study: Study, tmp_path: Path) -> None:
    folder = keep(study, tmp_path / "one", case="digits", version="1")
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    head, row, *_ = gzip.decompress((folder / FILES[0]).read_bytes()).decode().splitlines()
    assert head == "dataset,data_seed,split,method,alpha,seed,task,metric,value,steps,version"
    assert row.endswith(",15,1")
    assert notes(folder)["case"] == "digits"


def test_damage_is_said_in_one_line(study: Study, tmp_path: Path) -> None:
    folder = keep(study, tmp_path / "one")
    (folder / "study.json").write_text("{")
    refused(lambda: stored(folder), "study.json is damaged", "keep the study again")
    folder = keep(study, tmp_path / "two")
    (folder / FILES[0]).unlink()
    refused(lambda: stored(folder), "two", "keep it again")
    folder = keep(study, tmp_path / "three")
    about = json.loads((folder / "study.json").read_text())
    del about["recipe"]
    (folder / "study.json").write_text(json.dumps(about))
    refused(lambda: stored(folder), "recipe", "keep it again")


FORGED: dict[str, tuple[str, Callable[[str], str]]] = {
    "an unknown setting": (FILES[2], lambda text: text.replace('"trunk"', '"trunks"')),
    "a setting that is none": (FILES[2], lambda text: text.replace('"last"', '"<b>"')),
    "no baseline": (FILES[2], lambda text: re.sub(r'(?s)("baselines": \[).*?\]', r"\1]", text)),
    "a task without a metric": (FILES[2], lambda text: text.replace('"digit 0":', '"digit 10":')),
    "a list of nothing": (FILES[2], lambda text: "[]"),
    "too deep": (FILES[2], lambda text: "[" * 10**5),
    "a column too many": (FILES[1], lambda text: text.replace("method,", "method,<b>,", 1)),
    "text for a number": (FILES[1], lambda text: text.replace(",15,", ",<b>,", 1)),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_kept_study_says_what_it_may_or_is_refused(
    case: str, study: Study, tmp_path: Path
) -> None:
    name, change = FORGED[case]
    path = keep(study, tmp_path / "kept") / name
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    refused(lambda: stored(tmp_path / "kept"), "damaged", "keep")


def test_a_task_may_be_called_as_a_number_or_nothing_is(study: Study, tmp_path: Path) -> None:
    names = {"digit 0": "NA", "digit 1": "1"}
    results = study.results.replace({"task": names})
    metric = {names.get(task, task): kind for task, kind in study.metric.items()}
    other = replace(study, results=results, metric=metric)
    read = stored(keep(other, tmp_path / "kept"))
    assert {"NA", "1"} < {*read.results["task"]}
    assert read.counts()["mean"].notna().all()


def test_an_unknown_study_is_refused(tmp_path: Path) -> None:
    refused(lambda: stored("no such study"), "'no such study'")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        keep(compare(load("digits"), "MTL", seeds=1, steps=2, progress=False), tmp_path / "file")


@pytest.mark.slow
def test_uncertainties_are_those_of_the_end_of_training() -> None:
    data = load("digits")
    recipe = Recipe.for_data(data, steps=30)
    s = uncertainties(data, recipe, [0, 1])
    assert s.shape == (2, 10)
    assert s.abs().min() > 0 and s.abs().max() <= 30 * recipe.learning_rate
    longer = uncertainties(data, replace(recipe, steps=300), [0, 1])
    assert (longer < s).all()  # once a digit is learned, its loss lies far below 1/2


@pytest.mark.slow
def test_a_case_is_trained_by_name_and_goes_on_from_its_folder(tiny: Case, tmp_path: Path) -> None:
    study = reproduce.run_case("tiny", folder=tmp_path, progress=False)
    assert study.baselines == ("STL", "CNN")
    assert set(study.results["seed"]) == {3, 4}
    kept = sorted(tmp_path.iterdir())
    again = reproduce.run_case("tiny", folder=tmp_path, progress=False)
    assert sorted(tmp_path.iterdir()) == kept
    pd.testing.assert_frame_equal(again.results, study.results)
    methods = set(study.results["method"])
    assert {"U-AMTFL, inside", "U-AMTFL, sample", "U-AMTFL, s permuted", "CNN, balanced"} < methods
    refused(lambda: reproduce.run_case("tinny"), "unknown case", "'tiny'")


@pytest.mark.slow
def test_the_probe_is_another_as_soon_as_a_setting_is(
    tiny: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = probe_case("tiny")
    assert {"STL", "CNN", "U-AMTFL"} < first.keys()
    assert probe_case("tiny") == first
    other = tiny._replace(settings={**tiny.settings, "learning_rate": 2e-2})
    monkeypatch.setitem(CASES, "tiny", other)
    changed = probe_case("tiny")
    assert all(abs(changed[name] / value - 1) > 1e-4 for name, value in first.items())


@pytest.mark.slow
def test_one_command_makes_a_kept_study(
    tiny: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", str(tmp_path / "kept"), "--parts", str(tmp_path / "parts")]
    assert main(["results", "tiny", *options, "--seeds", "1,2", "--steps", "10"]) == 0
    assert str(tmp_path / "kept" / "tiny") in capsys.readouterr().out
    study = stored(tmp_path / "kept" / "tiny")
    assert set(study.results["seed"]) == {1, 2}
    assert set(study.training["steps"]) == {10}
    about = notes(tmp_path / "kept" / "tiny")
    assert about["probe"] == probe_case("tiny")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mnits"], "did you mean 'mnist"),
        (["mnist", "--workers", "0"], "--workers 0"),
        (["mnist", "--seeds", "none", "--out", "own"], "seeds 'none'"),
        (["mnist", "--steps", "many"], "--steps"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CASES, "mnist", TINY)
    assert main(["results", *arguments, "--parts", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert words in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", reproduce.KEPT)
def test_the_results_in_the_package_are_those_of_this_code(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, case = notes(name), CASES[name]
    needed = {"gdsc": "IC50_v17.csv.gz", "tox21": "tox21.csv.gz", "tox": "toxcast_data.csv.gz"}
    needed |= {"expansionrx": "expansionrx_train.csv"}
    if file := next((f for start, f in needed.items() if name.startswith(start)), None):
        if not (REAL / file).exists():
            pytest.skip(f"needs {file} in ../shared/data")
        monkeypatch.setenv(files.FOLDER, str(REAL))
    study = stored(name)
    assert about["case"] == name
    assert tuple(sorted(set(study.results["seed"]))) == case.seeds
    assert study.baselines == case.baselines
    recipe = study.recipe.__dict__
    assert all(recipe[k] == v for k, v in case.settings.items() if k in recipe)
    without = LONG.get(name, set())

    def methods(*given: Any) -> list[str | Method]:
        return [m for m in case.methods(*given) if getattr(m, "name", m) not in without]

    baselines = tuple(b for b in case.baselines if b not in without)
    monkeypatch.setitem(CASES, name, case._replace(methods=methods, baselines=baselines))
    found = probe_case(name)
    assert found.keys() == about["probe"].keys() - without
    off = {m: v / about["probe"][m] - 1 for m, v in found.items()}
    assert max(map(abs, off.values())) < 1e-3, f"make results DATASET={name}: {off}"


def test_the_results_in_the_package_are_small() -> None:
    sizes = [p.stat().st_size for p in KEPT.rglob("*") if p.is_file()]
    assert max(sizes) < 1_000_000
    assert sum(sizes) < 4_000_000
