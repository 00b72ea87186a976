"""A mean over tasks of several metrics chooses in units of each task's spread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mtl_nt import METHODS, Recipe, Split, TaskData
from mtl_nt.study import Method, train, with_weights
from mtl_nt.study.methods import STL
from mtl_nt.study.search import Candidate
from mtl_nt.study.sharing import best_grouping, usual_gains
from mtl_nt.training import Replicas, fit, has_several_metrics, in_spreads
from mtl_nt.training.checkpoints import CheckpointKeeper, best_evaluations, mean_scores
from mtl_nt.weighters import Fixed, Uniform

CANDIDATES = ((0.02, 0.02, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 0.5), (0.02, 0.02, 0.5))
RECIPE = Recipe(trunk=(8,), steps=60, batch_size=32, learning_rate=0.02)


def mixed(seed: int = 0, tail: float = 1.0) -> TaskData:
    """Two binary tasks and a regression with a heavy tail, whose errors have a small unit."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(400, 6, generator=draw)
    y = x[:, :3] + 0.5 * torch.randn(400, 3, generator=draw)
    y[:, :2] = (y[:, :2] > 0.5).float()
    y[:, 2] = torch.sinh(tail * y[:, 2])
    rows = torch.arange(400)
    split = Split(rows[:200], rows[200:300], rows[300:])
    kinds = ("binary", "binary", "regression")
    unit = torch.tensor([1.0, 1.0, 0.05])
    return TaskData("mixed", x, y, ("a", "b", "tail"), kinds, split, unit=unit, standardise=False)


def test_one_metric_or_several() -> None:
    data = mixed()
    assert has_several_metrics(data)
    alone = replace(data, y=data.y[:, :2], tasks=("a", "b"), kind="binary", unit=None)
    assert not has_several_metrics(alone)


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_spreads_have_no_unit_and_keep_the_order_of_each_task(unit: float) -> None:
    random = np.random.default_rng(0)
    plain = torch.from_numpy(random.standard_cauchy((9, 4)))
    found = in_spreads(unit * plain + unit)
    torch.testing.assert_close(found, in_spreads(plain))
    assert torch.equal(found.argsort(0), plain.argsort(0))
    assert float(found.median(0).values.abs().max()) < 1e-12


def test_what_is_no_number_stays_so_and_what_never_differs_is_0() -> None:
    inf, nan = torch.inf, torch.nan
    scores = torch.tensor([[1.0, nan, 5.0, 0.0], [2.0, nan, 5.0, 0.0], [-inf, nan, 5.0, 9.0]])
    found = in_spreads(scores.double())
    assert found[:, 1].isnan().all() and bool((found[:, 2] == 0).all())
    assert float(found[2, 0]) == -inf and bool(found[:2, 0].isfinite().all())
    assert float(found[2, 3]) > 0  # most are equal, and the one that is better is better


def searched(*weights: tuple[float, ...]) -> Method:
    """A tuned method with these task weights as its candidates."""
    every = [Candidate(weights=w) for w in weights]
    return Method("Searched", with_weights(Fixed), search=lambda *_: every)


def test_a_heavy_tailed_error_does_not_choose_the_candidate_alone() -> None:
    """The first candidate has the smallest error, and the third the best PR-AUC of both tasks."""
    data = mixed()
    apart = [train(searched(w), [data], [0], RECIPE).validation[0, 0] for w in CANDIDATES]
    scores = torch.stack(apart)
    plain, fair = scores.mean(1), in_spreads(scores).mean(1)
    assert (int(plain.argmax()), int(fair.argmax())) == (0, 2)
    assert float(scores[:, 2].max() - scores[:, 2].min()) > 1  # and PR-AUCs are 1 at most
    chosen = train(searched(*CANDIDATES), [data], [0], RECIPE)
    assert int(chosen.chosen[0, 0]) == int(fair.argmax())
    torch.testing.assert_close(chosen.validation[0, 0], scores[int(fair.argmax())])


def test_of_one_metric_the_plain_mean_chooses() -> None:
    data = mixed()
    y = torch.stack([data.y[:, 2], data.x[:, 3] + 0.1 * data.x[:, 4]], 1)
    data = replace(data, y=y, tasks=("tail", "plain"), kind="regression", unit=None)
    weights = ((3.0, 0.01), (1.0, 1.0), (0.01, 3.0))
    apart = [train(searched(w), [data], [0], RECIPE).validation[0, 0] for w in weights]
    chosen = train(searched(*weights), [data], [0], RECIPE).chosen[0, 0]
    assert int(chosen) == int(torch.stack(apart).mean(1).argmax())


def test_the_best_mean_over_metrics_is_settled_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both PR-AUCs are best at the eighth evaluation, and the error falls to the end."""
    time = torch.arange(20).double()
    pr_auc, error = 0.9 - 0.02 * (time - 7).abs(), 3000 - 100 * time
    script = torch.stack([pr_auc, pr_auc, -error], 1)
    whole, outputs = CheckpointKeeper.evaluate, []

    def evaluate(keeper: Any, network: Any, last: bool) -> None:
        whole(keeper, network, last)
        network.eval()
        with torch.no_grad():
            predicted = keeper._predict(network, "test")
        outputs.append(predicted[keeper.network, :, keeper.head].clone())
        network.train()

    monkeypatch.setattr(CheckpointKeeper, "evaluate", evaluate)
    monkeypatch.setattr(CheckpointKeeper, "_scores", lambda keeper, _: script[len(keeper.scores)])
    every, zero = torch.ones(1, 3, dtype=torch.bool), torch.tensor([0])
    replicas = Replicas(zero, zero, every, every, zero, zero - 1)
    found = fit([mixed()], replicas, Uniform(), RECIPE, checkpoint="best_mean")
    best = best_evaluations(mean_scores(script, torch.zeros(3, dtype=torch.int64), True))
    assert script.mean(1).argmax() == 19 and 7 <= int(best[0]) < 12
    assert len(found.outputs) == 1
    torch.testing.assert_close(found.outputs[0], outputs[int(best[0])])


@pytest.mark.parametrize("method", [METHODS["MTL"], STL, METHODS["RMTL"]])
def test_chunks_agree_on_the_best_mean_over_metrics(method: Method) -> None:
    data = mixed()
    given: dict[str, Any] = {"checkpoint": "best_mean"}
    whole = train(method, [data, mixed(1)], [0, 1], RECIPE, **given)
    pieces = train(method, [data, mixed(1)], [0, 1], RECIPE, memory=1.0, **given)
    torch.testing.assert_close(pieces.predictions, whole.predictions, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pieces.validation, whole.validation, rtol=1e-4, atol=1e-5)


def test_groups_are_found_by_gains_of_the_same_size() -> None:
    """The first two tasks help each other by 0.02 PR-AUC, and errors of two others are noise."""
    gains = np.array(
        [
            [0.0, 0.02, 400.0, 300.0],
            [0.02, 0.0, -200.0, 350.0],
            [-0.02, -0.02, 0.0, 300.0],
            [-0.02, -0.02, 200.0, 0.0],
        ]
    )
    assert best_grouping(gains) == [(0, 2), (1, 3)]  # as the errors alone would have it
    usual = usual_gains(gains)
    assert best_grouping(usual) == [(0, 1), (2, 3)]
    assert (np.sign(usual) == np.sign(gains)).all()
    np.testing.assert_allclose(usual_gains(gains * [1, 1, 1e-5, 1e-5]), usual)
    assert usual_gains(np.zeros((3, 3))).tolist() == np.zeros((3, 3)).tolist()
    assert usual_gains(np.zeros((1, 1))).tolist() == [[0.0]]
