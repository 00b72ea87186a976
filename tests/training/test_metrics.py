"""Scores of tasks on held-out rows: mtl_nt/training/metrics.py against scikit-learn and by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn import metrics as sk

from mtl_nt import Split, TaskData
from mtl_nt.tasks import TargetForm
from mtl_nt.training.metrics import (
    LOWER_IS_BETTER,
    constant_outputs,
    metric_names,
    primary_metrics,
    primary_score,
    scores,
)
from mtl_nt.training.original_units import MAE_ORIGINAL, R2_ORIGINAL

NAN = math.nan
ROWS, TRAIN, VALIDATION = 90, 40, 10


def tasks(kind: Any, seed: int = 0, missing: float = 0.3, **options: Any) -> TaskData:
    """Random tasks of these kinds, with holes; the last 40 rows are the test rows."""
    random = np.random.default_rng(seed)
    count = 3 if isinstance(kind, str) else len(kind)
    kinds = [kind] * count if isinstance(kind, str) else kind
    y = 3 + 2 * random.standard_normal((ROWS, count))
    for t, k in enumerate(kinds):
        if k == "binary":
            y[:, t] = random.random(ROWS) < 0.3
        if k == "classes":
            y[:, t] = random.integers(0, 4, ROWS)
    y[random.random(y.shape) < missing] = NAN
    rows = torch.arange(ROWS)
    end = TRAIN + VALIDATION
    return TaskData(
        name="random",
        x=torch.zeros(ROWS, 2),
        y=torch.from_numpy(y),
        tasks=tuple("abcdefgh"[:count]),
        kind=kind,
        split=Split(rows[:TRAIN], rows[TRAIN:end], rows[end:]),
        **options,
    )


def test_the_textbooks_average_precision_and_roc_auc() -> None:
    y = torch.tensor([[0.0], [1.0], [0.0], [0.0], [1.0], [1.0]])
    split = Split(torch.arange(2), torch.arange(0), torch.arange(2, 6))
    data = TaskData("four", torch.zeros(6, 1), y, ("a",), "binary", split)
    found = scores(data, "test", torch.tensor([[0.1], [0.4], [0.35], [0.8]]))
    assert found["PR-AUC"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found["ROC-AUC"] == pytest.approx(3 / 4)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_binary_tasks_are_scored_by_scikit_learn_on_their_observed_labels(part: Any) -> None:
    data = tasks("binary")
    rows = getattr(data.split, part)
    outputs = torch.randn(len(rows), 3, generator=torch.Generator().manual_seed(0))
    found = scores(data, part, outputs)
    assert list(found) == ["PR-AUC", "ROC-AUC"]
    y = data.y[rows].numpy()
    for t in range(3):
        seen = ~np.isnan(y[:, t])
        assert 0 < seen.sum() < len(rows)
        truth, guess = y[seen, t], outputs.numpy()[seen, t]
        assert found["PR-AUC"][t] == pytest.approx(
            sk.average_precision_score(truth, guess), abs=1e-14
        )
        assert found["ROC-AUC"][t] == pytest.approx(sk.roc_auc_score(truth, guess), abs=1e-14)


def test_tasks_without_a_gap_are_scored_together_and_alike() -> None:
    random = torch.Generator().manual_seed(0)
    y = (torch.rand(40, 5, generator=random) < 0.4).float()
    y[:, 1], y[3, 2] = 0, NAN  # one class only; a gap
    y[-1, 1] = 1  # on a training row
    split = Split(torch.arange(20, 40), torch.arange(0), torch.arange(20))
    data = TaskData("gaps", torch.zeros(40, 1), y, tuple("abcde"), "binary", split)
    outputs = torch.randn(20, 5, generator=random)
    outputs[:, 3] = outputs[:, 3].round()  # ties
    outputs[4, 4] = math.inf
    found = scores(data, "test", outputs)
    for t in (0, 2, 3):
        seen = ~y[:20, t].isnan()
        pair = y[:20, t][seen].numpy(), outputs[:, t][seen].numpy()
        assert found["PR-AUC"][t] == pytest.approx(sk.average_precision_score(*pair), abs=1e-14)
        assert found["ROC-AUC"][t] == pytest.approx(sk.roc_auc_score(*pair), abs=1e-14)
    for t in (1, 4):
        assert np.isnan(found["PR-AUC"][t])
        assert np.isnan(found["ROC-AUC"][t])


@pytest.mark.parametrize("held", [[0.0, 0, 0], [1, 1, 1], [NAN, 1, NAN], [NAN, NAN, NAN]])
def test_a_binary_task_without_both_classes_in_the_test_rows_is_not_scored(
    held: list[float],
) -> None:
    y = torch.tensor([[0.0, 1], [1, 0], *([h, o] for h, o in zip(held, [0, 1, 0], strict=True))])
    split = Split(torch.arange(2), torch.arange(0), torch.arange(2, 5))
    data = TaskData("few", torch.zeros(5, 1), y, ("a", "b"), "binary", split)
    found = scores(data, "test", torch.tensor([[0.0, 0.1], [1, 0.9], [2, 0.2]]))
    for name in ("PR-AUC", "ROC-AUC"):
        assert np.isnan(found[name][0])
        assert found[name][1] == 1


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("unit", [None, torch.tensor([0.5, 1.0, 4.0])])
def test_regression_is_scored_in_the_tasks_unit_as_measured_by_r2_and_by_rae(
    standardise: bool, unit: torch.Tensor | None
) -> None:
    data = tasks("regression", standardise=standardise, unit=unit)
    train, test = data.y[data.split.train].numpy(), data.y[data.split.test].numpy()
    measured = test.copy()
    measured[np.isnan(test)] = 0
    measured = measured + np.random.default_rng(1).standard_normal(test.shape)
    units = np.nanstd(train, axis=0) if unit is None else unit.numpy()
    trained = (measured - np.nanmean(train, axis=0)) / units if standardise else measured
    found = scores(data, "test", torch.from_numpy(trained))
    assert list(found) == ["MSE", "MSE (raw)", "R2", "RAE", "MAE", "Spearman"]
    for t in range(3):
        seen = ~np.isnan(test[:, t])
        truth, guess = test[seen, t], measured[seen, t]
        squared = sk.mean_squared_error(truth, guess)
        assert found["MSE (raw)"][t] == pytest.approx(squared)
        assert found["MSE"][t] == pytest.approx(squared / units[t] ** 2)
        assert found["R2"][t] == pytest.approx(sk.r2_score(truth, guess))
        absolute = [sk.mean_absolute_error(truth, p) for p in (guess, truth * 0 + truth.mean())]
        assert found["RAE"][t] == pytest.approx(absolute[0] / absolute[1])
        assert found["MAE"][t] == pytest.approx(absolute[0])
        assert found["Spearman"][t] == pytest.approx(spearmanr(truth, guess).statistic)


def test_a_constant_guess_has_a_rank_correlation_of_zero() -> None:
    data = tasks("regression")
    assert scores(data, "test", torch.zeros(40, 3))["Spearman"].tolist() == [0, 0, 0]


def exclusive(classes: list[int]) -> TaskData:
    """Three classes as tasks: one training row of each, then test rows of these classes."""
    every = torch.tensor([0, 1, 2, *classes])
    split = Split(torch.arange(3), torch.arange(0), torch.arange(3, len(every)))
    y = torch.nn.functional.one_hot(every, 3).float()
    x = torch.zeros(len(every), 1)
    return TaskData("classes", x, y, ("a", "b", "c"), "binary", split, exclusive=True)


def test_the_error_of_a_class_is_one_minus_its_recall_under_the_arg_max() -> None:
    data = exclusive([0, 0, 0, 0, 1, 1])
    guess = torch.tensor([[5, 1, 0], [2, 1, 0], [0, 1, 0], [1, 0, 0], [9, 8, 0], [0, 3, 1.0]])
    error = scores(data, "test", guess)["error"]
    assert error[:2].tolist() == [1 / 4, 1 / 2]
    assert np.isnan(error[2])  # no row of this class to be right or wrong about


def test_the_error_couples_the_tasks_and_average_precision_does_not() -> None:
    data = exclusive([0, 0, 1, 1, 2, 2])
    guess = 2 * data.y[data.split.test] - 1
    louder = guess + torch.tensor([0.0, 0.0, 10.0])  # the third task's outputs, all raised
    before, after = (scores(data, "test", g) for g in (guess, louder))
    np.testing.assert_array_equal(before["PR-AUC"], after["PR-AUC"])
    assert before["error"].tolist() == [0, 0, 0]
    assert after["error"].tolist() == [1, 1, 0]


def test_a_prediction_that_is_not_finite_leaves_its_task_without_a_score() -> None:
    data = exclusive([0, 0, 1, 1, 2, 2])
    guess = 2 * data.y[data.split.test] - 1
    guess[0, 1] = NAN
    found = scores(data, "test", guess)
    assert np.isnan(found["PR-AUC"]).tolist() == [False, True, False]
    assert np.isnan(found["error"]).all()  # the arg-max looks at every task
    regression = tasks("regression", missing=0)
    outputs = torch.zeros(40, 3)
    outputs[3, 0] = math.inf
    for values in scores(regression, "test", outputs).values():
        assert np.isnan(values).tolist() == [True, False, False]


def test_a_prediction_on_a_row_without_a_label_does_not_matter() -> None:
    data = tasks("regression")
    outputs = torch.zeros(40, 3)
    wild = torch.where(data.labelled[data.split.test], outputs, torch.tensor(NAN))
    for name, values in scores(data, "test", outputs).items():
        np.testing.assert_array_equal(values, scores(data, "test", wild)[name])


def test_tasks_of_both_kinds_are_each_judged_by_their_own_metric() -> None:
    data = tasks(("binary", "regression", "binary"))
    assert primary_metrics(data) == {"a": "PR-AUC", "b": "MSE", "c": "PR-AUC"}
    found = scores(data, "test", torch.randn(40, 3))
    metrics = ("PR-AUC", "ROC-AUC", "MSE", "MSE (raw)", "R2", "RAE", "MAE", "Spearman")
    assert tuple(found) == metric_names(data) == metrics
    assert np.isnan(found["PR-AUC"]).tolist() == [False, True, False]
    assert np.isnan(found["R2"]).tolist() == [True, False, True]


def test_primary_scores_are_higher_where_better() -> None:
    data = tasks(("binary", "regression"), missing=0, standardise=False)
    truth = data.y[data.split.test]
    found = scores(data, "test", -truth)
    for t, worst in enumerate([found["PR-AUC"][0], -found["MSE"][1]]):
        unit = data.scale[1][t].item()
        y = truth[:, t].double().numpy() / unit
        good, bad = (primary_score(data.kinds[t], y, sign * y) for sign in (1, -1))
        assert good > bad
        assert bad == pytest.approx(worst, rel=1e-12)


def test_a_task_without_both_classes_or_labels_has_no_primary_score() -> None:
    y = np.array([0.0, math.nan, 0.0])
    assert math.isnan(primary_score("binary", y, np.zeros(3)))
    assert math.isnan(primary_score("regression", y + math.nan, np.zeros(3)))


def test_a_guess_that_is_not_finite_scores_below_every_other() -> None:
    y, guess = np.array([0.0, 1.0, math.nan]), np.array([0.0, math.inf, 0.0])
    assert primary_score("binary", y, guess) == -math.inf
    assert primary_score("regression", y, guess) == -math.inf
    assert primary_score("regression", y, guess[[0, 0, 1]]) == -0.5


def test_errors_are_lower_where_better_and_the_other_metrics_are_not() -> None:
    names = {*metric_names(exclusive([0])), *metric_names(tasks("regression"))}
    errors = {"error", "MSE", "MSE (raw)", "RAE", "MAE"}
    assert names == {"PR-AUC", "ROC-AUC", "R2", "Spearman", *errors}
    names = {*metric_names(tasks(["classes"]))}
    assert names == {"macro PR-AUC", "log loss", "accuracy"}
    assert set(LOWER_IS_BETTER) == {*errors, "log loss", "MAE (original units)"}


@pytest.mark.parametrize("standardise", [False, True])
def test_the_predictor_that_ignores_the_features_says_what_training_labels_average(
    standardise: bool,
) -> None:
    data = tasks(("binary", "regression"), standardise=standardise)
    train, test = data.y[data.split.train].numpy(), data.y[data.split.test].numpy()
    outputs = constant_outputs(data, 40)
    prevalence = 1 / (1 + np.exp(-outputs[:, 0].numpy()))
    np.testing.assert_allclose(prevalence, np.nanmean(train[:, 0]))
    found = scores(data, "test", outputs)
    assert found["PR-AUC"][0] == pytest.approx(np.nanmean(test[:, 0]))
    assert found["ROC-AUC"][0] == 0.5
    raw = np.nanmean((test[:, 1] - np.nanmean(train[:, 1])) ** 2)
    assert found["MSE (raw)"][1] == pytest.approx(raw)
    assert found["R2"][1] <= 0


def weighted(kind: Any, seed: int = 0) -> TaskData:
    """Random tasks with holes, and labels that count 0 to 3 times."""
    data = tasks(kind, seed)
    random = torch.Generator().manual_seed(seed)
    weights = torch.randint(0, 4, data.y.shape, generator=random).double()
    return replace(data, weights=weights * torch.rand(ROWS, 1, generator=random).double())


def rows_of(data: TaskData, part: str, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows of a part are labelled, their labels and their weights."""
    rows = getattr(data.split, part)
    y = data.y[rows, t].numpy()
    seen = ~np.isnan(y)
    assert data.weights is not None
    return seen, y[seen], data.weights[rows, t].numpy()[seen]


def test_weights_count_as_scikit_learns_sample_weight() -> None:
    data = weighted(["binary", "regression", "binary", "regression"])
    outputs = torch.randn(40, 4, generator=torch.Generator().manual_seed(1)).double()
    outputs[:, 2] = outputs[:, 2].round()  # ties
    found = scores(data, "test", outputs)
    _, unit = data.scale
    for t, kind in enumerate(data.kinds):
        seen, y, w = rows_of(data, "test", t)
        assert 0 < len(y) < 40
        guess = outputs[seen, t].numpy()
        if kind == "binary":
            expected = {
                "PR-AUC": sk.average_precision_score(y, guess, sample_weight=w),
                "ROC-AUC": sk.roc_auc_score(y, guess, sample_weight=w),
            }
        else:
            guess = guess * float(unit[t]) + float(data.scale[0][t])
            mean = np.average(y, weights=w)
            spread = sk.mean_absolute_error(y, np.full(len(y), mean), sample_weight=w)
            squared = sk.mean_squared_error(y, guess, sample_weight=w)
            absolute = sk.mean_absolute_error(y, guess, sample_weight=w)
            expected = {
                "MSE (raw)": squared,
                "MSE": squared / float(unit[t]) ** 2,
                "MAE": absolute,
                "R2": sk.r2_score(y, guess, sample_weight=w),
                "RAE": absolute / spread,
                "Spearman": spearmanr(y, guess).statistic,  # which counts all rows alike
            }
        for name, value in expected.items():
            assert found[name][t] == pytest.approx(value, abs=1e-12), (name, t)


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_tasks_of_classes_are_scored_as_by_scikit_learn(part: Any, with_weights: bool) -> None:
    kinds = ["classes", "binary", "classes"]
    data = weighted(kinds) if with_weights else tasks(kinds)
    count = len(getattr(data.split, part))
    outputs = 3 * torch.randn(count, 9, generator=torch.Generator().manual_seed(2)).double()
    outputs[:3, 0] = -80  # a probability that is nearly 0
    found = scores(data, part, outputs)
    assert list(found) == ["PR-AUC", "ROC-AUC", "macro PR-AUC", "log loss", "accuracy"]
    for t, own in ((0, slice(0, 4)), (2, slice(5, 9))):
        y = data.y[getattr(data.split, part), t].numpy()
        seen, w = ~np.isnan(y), None
        if with_weights:
            seen, _, w = rows_of(data, part, t)
        y = y[seen].astype(int)
        p = outputs[seen, own].softmax(1).numpy()
        each = [
            sk.average_precision_score(y == c, p[:, c], sample_weight=w)
            for c in range(4)
            if (y == c).any()
        ]
        assert found["macro PR-AUC"][t] == pytest.approx(np.mean(each), abs=1e-12)
        loss = sk.log_loss(y, p, sample_weight=w, labels=range(4))
        assert found["log loss"][t] == pytest.approx(loss, abs=1e-12)
        right = sk.accuracy_score(y, p.argmax(1), sample_weight=w)
        assert found["accuracy"][t] == pytest.approx(right, abs=1e-12)
        assert np.isnan(found["PR-AUC"][t])
        held = data.y[getattr(data.split, part), t].numpy()
        weight = None if w is None else data.weights[getattr(data.split, part), t].numpy()  # type: ignore[index]
        own_score = primary_score("classes", held, outputs[:, own].numpy(), weight)
        assert own_score == pytest.approx(np.mean(each), abs=1e-12)


def test_a_class_without_a_row_is_left_out_of_the_mean_and_one_class_alone_is_not_scored() -> None:
    y = torch.tensor([[0.0], [1], [2], [0], [2], [2]])
    split = Split(torch.arange(3), torch.arange(0), torch.arange(3, 6))
    data = TaskData("three", torch.zeros(6, 1), y, ("a",), "classes", split)
    outputs = torch.tensor([[2.0, 0, 0], [0, 0, 2], [0, 0, 1]]).double()
    assert scores(data, "test", outputs)["macro PR-AUC"][0] == 1
    alone = replace(data, split=replace(split, test=torch.tensor([4, 5])))
    found = scores(alone, "test", outputs[1:])
    assert np.isnan(found["macro PR-AUC"][0])
    assert found["accuracy"][0] == 1
    assert found["log loss"][0] > 0


def test_a_prediction_of_classes_that_is_not_finite_is_not_scored() -> None:
    data = tasks(["classes"])
    outputs = torch.zeros(40, 4)
    row = int((~data.y[data.split.test, 0].isnan()).nonzero()[0])
    outputs[row, 1] = math.inf
    assert all(np.isnan(values[0]) for values in scores(data, "test", outputs).values())
    y = data.y[data.split.test, 0].numpy()
    assert primary_score("classes", y, outputs.numpy()) == -math.inf


def test_the_constant_predictor_gives_the_frequencies_of_classes_and_counts_weights() -> None:
    for data in (tasks(["classes", "binary", "regression"]), weighted(["classes", "regression"])):
        outputs = constant_outputs(data, 40)
        train = data.y[data.split.train].numpy()
        weight = np.ones_like(train)
        if data.weights is not None:
            weight = data.weights[data.split.train].numpy()
        seen = ~np.isnan(train[:, 0])
        share = np.bincount(train[seen, 0].astype(int), weight[seen, 0], 4) / weight[seen, 0].sum()
        assert outputs[0, :4].softmax(0).numpy() == pytest.approx(share, abs=1e-12)
        last = len(data.tasks) - 1
        seen = ~np.isnan(train[:, last])
        mean = np.average(train[seen, last], weights=weight[seen, last])
        centre, unit = (float(of_task[last]) for of_task in data.scale)
        assert float(outputs[0, -1]) * unit + centre == pytest.approx(mean, abs=1e-12)


def test_many_tasks_with_holes_are_ranked_at_once_as_one_by_one() -> None:
    data = tasks(["binary", "regression"] * 4, seed=3)
    outputs = torch.randn(40, 8, generator=torch.Generator().manual_seed(4)).double()
    together = scores(data, "test", outputs)
    for t in range(8):
        one = replace(data, y=data.y[:, t : t + 1], tasks=("a",), kind=data.kinds[t])
        for name, value in scores(one, "test", outputs[:, t : t + 1]).items():
            assert together[name][t] == pytest.approx(value[0], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_equal_test_labels_have_no_r2_however_their_mean_is_rounded(
    dtype: torch.dtype, heavy: bool, seed: int
) -> None:
    data = tasks("regression", seed)
    y = data.y.to(dtype)
    test = data.split.test
    y[test, 0] = torch.where(y[test, 0].isnan(), NAN, 0.1).to(dtype)
    forms = (TargetForm(log="log10(y)"), TargetForm(), TargetForm())
    weights = torch.from_numpy(np.random.default_rng(seed).random(ROWS) + 0.1) if heavy else None
    data = replace(data, y=y, forms=forms, weights=weights)
    found = scores(data, "test", torch.randn(40, 3, generator=torch.Generator().manual_seed(seed)))
    for name in ("R2", "RAE", "Spearman", R2_ORIGINAL):
        assert math.isnan(found[name][0]), name
    assert math.isfinite(found["MSE"][0]) and math.isfinite(found[MAE_ORIGINAL][0])
    assert np.isfinite(found["R2"][1:]).all()
