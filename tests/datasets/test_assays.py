"""The synthetic panel of assays is as its documentation says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from refusals import refused

from mtl_nt import Recipe, TaskData, load
from mtl_nt.bits import Bits
from mtl_nt.datasets import assays
from mtl_nt.networks.random_streams import generator
from mtl_nt.study.chunks import train
from mtl_nt.study.methods import METHODS


@pytest.fixture(scope="module")
def panels() -> list[TaskData]:
    return [load("assays", seed=seed) for seed in range(4)]


def of_group(data: TaskData, name: str) -> np.ndarray:
    return np.array(data.groups) == name


@pytest.mark.slow
def test_a_panel_has_its_groups_and_its_rows(panels: list[TaskData]) -> None:
    data = panels[0]
    assert data.kind == "binary"
    assert [len(p) for p in (data.split.train, data.split.validation, data.split.test)] == [
        2500,
        1000,
        4000,
    ]
    groups = [g for g, n in (("dominant", 13), ("small", 3), ("outsider", 4)) for _ in range(n)]
    assert data.groups == tuple(groups)
    assert data.tasks[:2] == ("dominant 1", "dominant 2")
    assert data.tasks[-1] == "outsider 4"
    assert Recipe.for_data(data).trunk == (64, 16)


@pytest.mark.slow
def test_fingerprints_stay_lists_and_have_the_frequencies_of_the_law(
    panels: list[TaskData],
) -> None:
    often = []
    for data in panels:
        assert isinstance(data.x, Bits)
        assert data.x.shape == (7500, 1024)
        often.append(data.x.to_dense().mean(0).numpy())
    rank = np.arange(1, 1025)
    law = 1 / (1 + (rank / 15) ** 1.2)
    mean = np.mean(often, 0)
    for some in (slice(0, 10), slice(10, 100), slice(100, 400), slice(400, None)):
        assert mean[some].mean() == pytest.approx(law[some].mean(), rel=0.06)


@pytest.mark.slow
def test_molecules_come_in_scaffolds_of_unequal_size() -> None:
    """Pairs of molecules are far more alike than with independent bits, the more in some pairs."""
    bits = load("assays").x
    assert isinstance(bits, Bits)
    x = bits.to_dense().numpy()[:1500]
    centred = x - x.mean(0)
    inner = (centred @ centred.T)[np.triu_indices(1500, 1)]
    shuffled = np.stack([generator(j, "data").permutation(c) for j, c in enumerate(centred.T)], 1)
    alone = (shuffled @ shuffled.T)[np.triu_indices(1500, 1)]
    assert np.quantile(inner, 0.9999) > 1.2 * np.quantile(alone, 0.9999)
    assert inner.std() > 1.03 * alone.std()


@pytest.mark.slow
def test_actives_are_rare_and_labels_missing_outside_the_test_rows(
    panels: list[TaskData],
) -> None:
    for data in panels:
        outsider = of_group(data, "outsider")
        fixed = {}
        for part in ("train", "validation", "test"):
            y = data.y[getattr(data.split, part)].numpy()
            fixed[part] = (np.nanmean(y, 0), (~np.isnan(y)).mean(0), (y == 1).sum(0))
        active, there, _ = fixed["test"]
        assert (there == 1).all()
        assert ((active > 0.0095) & (active < 0.0505)).all()
        assert (active[outsider] > 0.0195).all()
        for part, least in (("train", 5), ("validation", 2)):
            active, there, actives = fixed[part]
            assert (actives >= least).all()
            assert ((there > 0.25) & (there < 0.95)).all()
            assert (there[outsider] > 0.55).all()


@pytest.mark.slow
def test_relatedness_is_the_correlation_of_what_the_tasks_respond_to(
    panels: list[TaskData],
) -> None:
    """Where two tasks are related, the same molecules are active on the clean test rows."""
    for data in panels:
        truth, y = data.relatedness, data.y[data.split.test].double()
        assert truth is not None
        assert torch.allclose(truth.diagonal(), torch.ones(20, dtype=truth.dtype))
        together = torch.corrcoef(y.T)
        off = ~torch.eye(20, dtype=torch.bool)
        same = torch.tensor([[a == b for b in data.groups] for a in data.groups])  # type: ignore[union-attr]
        same[-4:, -4:] = False
        assert truth[same & off].min() > 0.5
        assert truth[~same & off].abs().max() < 0.2
        assert together[same & off].min() > 0.15
        assert together[~same & off].abs().max() < 0.12
        assert np.corrcoef(truth[off], together[off])[0, 1] > 0.95


@pytest.mark.slow
def test_noise_is_in_the_labels_that_are_learned_from_alone() -> None:
    clean, noisy, worse = (load("assays", noise=noise) for noise in (0, 0.2, 2.0))
    test = clean.split.test
    assert torch.equal(clean.y[test], noisy.y[test])
    train = clean.split.train
    both = ~clean.y[train].isnan() & ~noisy.y[train].isnan()
    kept = ((clean.y[train] == 1) & (noisy.y[train] == 1) & both).sum() / (
        (clean.y[train] == 1) & both
    ).sum()
    assert 0.6 < kept < 0.98
    lost = ((clean.y[train] == 1) & (worse.y[train] == 0)).sum()
    assert lost > 3 * ((clean.y[train] == 1) & (noisy.y[train] == 0)).sum()


@pytest.mark.slow
def test_few_labels_leave_every_task_its_actives() -> None:
    data = load("assays", rows=500)
    for rows, least in ((data.split.train, 5), (data.split.validation, 2)):
        assert ((data.y[rows] == 1).sum(0) >= least).all()


@pytest.mark.slow
def test_a_seed_draws_the_same_panel_and_another_seed_another(panels: list[TaskData]) -> None:
    again = panels[1].for_seed(2)
    assert isinstance(again.x, Bits) and isinstance(panels[2].x, Bits)
    assert torch.equal(again.x.on, panels[2].x.on)
    assert torch.equal(again.y.nan_to_num(-1), panels[2].y.nan_to_num(-1))
    assert not torch.equal(again.y.nan_to_num(-1), panels[1].y.nan_to_num(-1))
    assert again.data_seed == 2


@pytest.mark.slow
def test_groups_may_have_other_sizes() -> None:
    data = load("assays", tasks=(2, 0, 1))
    assert data.tasks == ("dominant 1", "dominant 2", "outsider 1")
    assert load("assays", tasks=(1, 0, 0)).relatedness.shape == (1, 1)  # type: ignore[union-attr]


@pytest.mark.slow
def test_lists_train_as_the_dense_table_does() -> None:
    data = load("assays", rows=500)
    assert isinstance(data.x, Bits)
    dense = TaskData("dense", data.x.to_dense(), data.y, data.tasks, data.kind, data.split)
    recipe = Recipe.for_data(data, steps=20)
    found = [train(METHODS["MTL"], [d], [0], recipe).predictions for d in (data, dense)]
    assert torch.allclose(*found, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": -1}, ("seed -1",)),
        ({"tasks": (1, 2)}, ("tasks (1, 2)", "3 whole numbers")),
        ({"tasks": (0, 0, 0)}, ("3 whole numbers",)),
        ({"rows": 499}, ("rows 499", "500 or more")),
        ({"noise": -0.1}, ("noise -0.1", "0 or more")),
        ({"noisy": 1}, ("'noisy'", "'noise'")),
    ],
)
def test_an_impossible_panel_is_refused(options: dict, words: tuple[str, ...]) -> None:
    refused(lambda: load("assays", **options), "assays" if "noisy" in options else "", *words)


def test_the_recipe_is_a_recipe_of_its_own() -> None:
    assert set(assays.RECIPE) <= set(Recipe.__dataclass_fields__)
