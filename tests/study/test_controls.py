"""Controls of weighting methods: what they keep of a method's weights, and what they take away."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused

from mtl_nt import LBTW, METHODS, Frozen, Permuted, Recipe, Weighter, compare, load, tuned
from mtl_nt.networks import RandomStreams
from mtl_nt.study import Method, frozen, permuted, shuffled, swept, train, with_weights
from mtl_nt.study.chunks import TrainedMethod
from mtl_nt.weighters import Fixed

RECIPE = Recipe(trunk=(4,), steps=30, batch_size=16)  # some batches lack labels of some task
SEEDS = [3, 8]


class Given(Weighter):
    """Weights that tell the tasks apart: 1, 2, 3, ..."""

    def weights(self, step: Any) -> torch.Tensor:
        return torch.arange(1.0, step.labelled.shape[1] + 1).expand(step.labelled.shape)


def drive(seeds: list[int], labelled: torch.Tensor, steps: int = 1) -> list[torch.Tensor]:
    """The permuted weights of one network for each seed, in every step."""
    weighter, noise = Permuted(Given()), RandomStreams(seeds, "weighter", torch.zeros(1))
    weighter.reset(torch.zeros(len(seeds), labelled.shape[1]))
    step = SimpleNamespace(labelled=labelled.expand(len(seeds), -1), noise=noise)
    return [weighter.weights(step) for _ in range(steps)]


def trained(method: Method | str, recipe: Recipe = RECIPE, **options: Any) -> TrainedMethod:
    method = METHODS[method] if isinstance(method, str) else method
    runs = [load("dial", seed=s) for s in SEEDS]
    return train(method, runs, SEEDS, recipe, (1.0,), **options)


# ------------------------------------------------------------------------------ permuted


def test_one_permutation_holds_for_the_whole_run_and_no_task_keeps_its_weight() -> None:
    first, *others = drive([*range(40)], torch.ones(1, 7, dtype=torch.bool), steps=5)
    for weights in others:
        torch.testing.assert_close(weights, first, rtol=0, atol=0)
    own = torch.arange(1.0, 8)
    torch.testing.assert_close(first.sort(dim=1).values, own.expand(40, 7), rtol=0, atol=0)
    assert (first != own).all()
    assert len({tuple(row.tolist()) for row in first}) > 35  # every run draws its own


def test_every_other_task_is_as_likely_to_give_its_weight() -> None:
    (dealt,) = drive([*range(3000)], torch.ones(1, 4, dtype=torch.bool))
    shares = [(dealt[:, 0] == w).double().mean().item() for w in (2, 3, 4)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.03)


def test_where_labels_are_missing_the_next_task_with_one_gives_its_weight() -> None:
    every = torch.ones(1, 8, dtype=torch.bool)
    some = torch.tensor([[True, False, True, True, False, True, False, True]])
    whole, part = drive([5], every)[0][0], drive([5], some)[0][0]
    giver = {t: int(whole[t]) - 1 for t in range(8)}  # the cycle
    for task in np.flatnonzero(some[0]):
        source = giver[task]
        while not some[0, source]:
            source = giver[source]
        assert part[task] == source + 1, task


def test_a_task_that_is_alone_in_its_batch_has_its_own_weight() -> None:
    alone = torch.tensor([[False, True, False]])
    assert drive([1], alone)[0][0, 1] == 2


def test_networks_of_one_run_share_its_permutation_and_stand_beside_others_as_alone() -> None:
    every = torch.ones(1, 9, dtype=torch.bool)
    together, alone = drive([4, 2, 4], every)[0], drive([2], every)[0]
    torch.testing.assert_close(together[0], together[2], rtol=0, atol=0)
    torch.testing.assert_close(together[1], alone[0], rtol=0, atol=0)


def test_permuted_weights_in_a_training_are_those_of_other_tasks() -> None:
    """A batch of all rows has labels of all tasks."""
    given = np.linspace(0.4, 1.6, 9)
    fixed = Method("Given", lambda _: Fixed(torch.from_numpy(given)[None]))
    weights = trained(permuted(fixed), replace(RECIPE, batch_size=600)).history.weights
    assert weights.isfinite().all()
    for network in range(2):
        of_run = weights[:, network].double().numpy()
        np.testing.assert_allclose(of_run - of_run[0], 0, atol=1e-6)
        np.testing.assert_allclose(np.sort(of_run[0]), given, atol=1e-6)
        assert (np.abs(of_run[0] - given) > 1e-3).all()


# -------------------------------------------------------------------------------- frozen


@pytest.mark.parametrize("name", ["LBTW", "RMTL", "GradNorm", "RandomWeights"])
def test_frozen_weights_are_the_means_of_the_methods_own_training(name: str) -> None:
    """And the networks are those that fixed weights of this size train."""
    moving, still = trained(name).history.weights, trained(frozen(name))
    mean = moving.nanmean(0).nan_to_num(nan=1.0)
    assert np.nanstd(moving, 0).max() > 1e-3
    windows = still.history.weights
    seen = ~windows.isnan()
    np.testing.assert_allclose(windows[seen], mean.expand_as(windows)[seen], rtol=1e-6)
    method = METHODS[name]
    fixed = Method("Fixed", lambda given: Fixed(mean), method.networks, settings=method.settings)
    torch.testing.assert_close(still.predictions, trained(fixed).predictions)


@pytest.mark.parametrize("name", ["LBTW", "RMTL"])
def test_frozen_weights_are_means_over_steps_and_not_over_windows(name: str) -> None:
    """Three steps are one window here, of which a rare label is in none, in one or in more."""
    recipe = replace(RECIPE, steps=500, batch_size=4)
    every = trained(name, recipe, record=1).history.weights
    still = trained(frozen(name), recipe).history.weights
    counts = (~every[:498].isnan()).unflatten(0, (166, 3)).sum(1)
    assert {0, 1, 2, 3} <= {*counts.flatten().tolist()}
    seen = ~still.isnan()
    wanted = every.nanmean(0).expand_as(still)
    torch.testing.assert_close(still[seen], wanted[seen], rtol=1e-5, atol=1e-6)
    off = trained(name, recipe).history.weights.nanmean(0) / every.nanmean(0) - 1
    assert off.abs().max() > 1e-3  # so a mean over windows is another one


def test_every_run_alpha_and_candidate_has_its_own_frozen_weights() -> None:
    runs = [load("dial", seed=s) for s in SEEDS]
    weights = train(frozen("LBTW"), runs, SEEDS, RECIPE, (0.5, 2.0)).history.weights[0]
    assert len({tuple(row.tolist()) for row in weights}) == 4
    alone = train(frozen("LBTW"), runs[1:], SEEDS[1:], RECIPE, (2.0,)).history.weights[0]
    torch.testing.assert_close(weights[3], alone[0], equal_nan=True)
    search = frozen(swept("LBTW", [0.5, 2.0]))
    chosen = train(search, runs, SEEDS, RECIPE, trials=2)
    for run in range(2):
        arm = int(chosen.chosen[0, run])
        found, wanted = chosen.history.weights[0, run], weights[2 * arm + run]
        torch.testing.assert_close(found, wanted, equal_nan=True)


@pytest.mark.slow
def test_frozen_networks_train_in_pieces_as_they_do_together() -> None:
    whole, pieces = trained(frozen("RMTL")), trained(frozen("RMTL"), memory=1.0)
    torch.testing.assert_close(pieces.predictions, whole.predictions, rtol=1e-4, atol=1e-5)


def test_a_frozen_weighter_keeps_the_others_penalty_and_moves_nothing() -> None:
    step = SimpleNamespace(losses=torch.ones(2, 3), labelled=torch.ones(2, 3, dtype=torch.bool))
    weighter = Frozen(LBTW(0.5), torch.tensor([[2.0, 1.0, 0.0]]))
    weighter.reset(torch.zeros(2, 3))
    weighter.after(step, weighter.weights(step))
    torch.testing.assert_close(weighter.weights(step)[1], torch.tensor([2.0, 1.0, 0.0]))
    assert weighter.penalty(step).tolist() == [0, 0]


# ------------------------------------------------------------------------ in a comparison


def test_controls_are_compared_like_other_methods() -> None:
    controls = [permuted("LBTW"), frozen("LBTW"), shuffled("LBTW"), frozen(tuned("Uncertainty"))]
    call: dict[str, Any] = {"seeds": 2, "steps": 30, "trials": 2, "progress": False}
    study = compare(load("dial"), ["LBTW", *controls], (1.0,), **call)
    counts = study.counts().set_index("method")
    names = ["LBTW, permuted", "LBTW, frozen", "LBTW, shuffled"]
    assert counts.loc[names, "networks"].tolist() == [1, 2, 1]
    assert counts.loc["Uncertainty, tuned, frozen", "networks"] == 2 * 2
    assert counts.loc[["LBTW", *names], "mean"].nunique() == 4


def test_a_method_without_weights_has_no_controls() -> None:
    for control in (permuted, shuffled, frozen):
        refused(lambda control=control: control("MTL"), "'MTL'", "the weight 1")
        refused(lambda control=control: control("Ridge"), "'Ridge'", "a weighting method")
        refused(lambda control=control: control(frozen("LBTW")), "frozen already")
        refused(lambda control=control: control("LBWT"), "did you mean 'LBTW'")
    assert permuted(Method("Scaled", with_weights(Fixed))).name == "Scaled, permuted"
