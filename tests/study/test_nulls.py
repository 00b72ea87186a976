"""Nulls that come with the package: whose they are, and that this code still makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixed import with_fixed_split

from mtl_nt import Recipe, compare, load
from mtl_nt.datasets.dial import Group
from mtl_nt.study import CURES, stored
from mtl_nt.study.nulls import FOLDER, SEEDS, SIGNS, null_identity, read_nulls
from mtl_nt.study.reproduce import BOOK, BOOK_SETTINGS, run_case
from mtl_nt.study.transfer import LEAST_PAIRS

RECIPE = Recipe(trunk=(3,), steps=5)


@pytest.mark.parametrize("name", CURES)
def test_every_kept_cure_has_a_null_of_many_pairs(name: str) -> None:
    null = stored(name).null_count()
    assert (null.source, null.pairs) == (f"null-{name}", len(SEEDS))
    assert null.pairs >= LEAST_PAIRS
    tasks = len(stored(name).metric)
    assert 0 < null.low < tasks / 2 < null.high < tasks


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cure-noisy", "cure-dominant-wide"])
def test_a_kept_null_is_that_of_this_code(name: str) -> None:
    """The pairs of the first two seeds, trained again."""
    (kept,) = read_nulls(FOLDER / f"null-{name}.json")
    study = run_case(f"null-{name}", seeds=SEEDS[:2], progress=False)
    assert study.null_identity == {"STL": kept["identity"]}
    delta = study.delta("STL'")
    signs = np.array([[SIGNS[s] for s in kept["signs"]["MSE"][task][:2]] for task in delta])
    assert (np.sign(delta.to_numpy()) == signs.T).mean() > 0.9
    assert stored(name).null_identity == study.null_identity


@pytest.mark.parametrize(("name", "steps"), [(n, k) for n, steps in BOOK.items() for k in steps])
def test_what_notebooks_train_has_a_null_of_many_pairs(name: str, steps: int) -> None:
    data, settings = load(name), {"steps": steps, **BOOK_SETTINGS.get(name, {})}
    study = compare(data, "STL", seeds=[100], progress=False, **{**settings, "steps": 1})
    assert study.null_count().pairs == 1  # of another budget
    recipe = Recipe.for_single_task(data, **settings)
    identity = null_identity(data, recipe, "single", "last", "full")
    found = replace(study, null_identity={"STL": identity}).null_count()
    assert (found.source, found.pairs) == (f"null-{name}-{steps}", len(SEEDS))


@pytest.mark.slow
def test_a_comparison_finds_the_null_of_its_data_and_recipe() -> None:
    settings = {"steps": 200, **BOOK_SETTINGS["digits"]}
    study = compare(load("digits"), "MTL", seeds=[100], progress=False, **settings)
    assert study.null_count().source == "null-digits-200"
    assert study.counts()["null_pairs"].dropna().eq(len(SEEDS)).all()


def test_the_data_the_recipe_and_the_options_make_a_nulls_identity() -> None:
    data = load("dial")
    own = null_identity(data, RECIPE, "last")
    assert own == null_identity(data.for_seed(9), RECIPE, "last")
    others = [
        null_identity(load("dial", noise=(0.1, 0)), RECIPE, "last"),
        null_identity(load("dial", samples=(41, 100)), RECIPE, "last"),
        null_identity(load("dial", groups=(Group("a", 9, 40),)), RECIPE, "last"),
        null_identity(with_fixed_split(data), RECIPE, "last"),
        null_identity(data, Recipe(trunk=(3,), steps=6), "last"),
        null_identity(data, RECIPE, "best_mean"),
    ]
    assert len({own, *others}) == 1 + len(others)


def test_free_splits_of_the_same_rows_have_one_identity_and_fixed_ones_their_own() -> None:
    free = load("digits", split="free")
    assert null_identity(free, RECIPE) == null_identity(free.for_seed(3), RECIPE)
    fixed = [with_fixed_split(free.for_seed(s)) for s in (0, 3)]
    assert not torch.equal(fixed[0].split.test, fixed[1].split.test)
    assert null_identity(fixed[0], RECIPE) != null_identity(fixed[1], RECIPE)
