"""Predictors that are no networks: mtl_nt/study/linear.py against plain loops over scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from sklearn.linear_model import ElasticNet, ElasticNetCV, LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import KFold

from mtl_nt import Split, TaskData, compare
from mtl_nt.bits import Bits
from mtl_nt.study import linear
from mtl_nt.study.linear import (
    L1_RATIOS,
    POINTS,
    PREDICTORS,
    RIDGE_PENALTIES,
    WEAKEST,
    elastic_net,
    group_mean,
    ols,
    ridge,
)
from mtl_nt.training.metrics import constant_outputs, scores

NAN = math.nan
TRAIN, VALIDATION, TEST = 40, 20, 15
FITTED = pytest.mark.parametrize("predict", [ols, ridge, elastic_net])
TUNED = pytest.mark.parametrize("predict", [ridge, elastic_net])


def table(
    features: int = 6, noise: float = 1.0, missing: float = 0.3, validation: int = VALIDATION
) -> TaskData:
    """Three linear tasks with holes, in rows of the groups a, b and c; row order is shuffled."""
    random = np.random.default_rng(0)
    rows = TRAIN + validation + TEST
    x = random.standard_normal((rows, features)) * np.geomspace(2, 0.2, features) + 1
    y = 5 + x @ random.standard_normal((features, 3)) + noise * random.standard_normal((rows, 3))
    y[random.random(y.shape) < missing] = NAN
    order = torch.from_numpy(random.permutation(rows))
    return TaskData(
        name="lines",
        x=torch.from_numpy(x).float(),
        y=torch.from_numpy(y).float(),
        tasks=("one", "two", "three"),
        kind="regression",
        split=Split(*order.tensor_split([TRAIN, TRAIN + validation])),
        row_groups=tuple(random.choice([*"abc"], rows)),
        standardise=True,
    )


def labelled(data: TaskData, part: str, task: int) -> tuple[np.ndarray, np.ndarray]:
    """The features and targets of a part's rows that have a label of the task."""
    rows = getattr(data.split, part)
    rows = rows[data.labelled[rows, task]]
    return data.x[rows].double().numpy(), data.targets[rows, task].double().numpy()


def settings(predict: Callable, x: np.ndarray, y: np.ndarray) -> list[Any]:
    """A model of scikit-learn for every setting that the predictor chooses from."""
    if predict is ridge:
        return [Ridge(penalty * x.var(0).sum()) for penalty in RIDGE_PENALTIES]
    top = np.abs((x - x.mean(0)).T @ (y - y.mean())).max() / len(y)
    return [
        ElasticNet(alpha=alpha, l1_ratio=ratio, tol=1e-8, max_iter=100_000)
        for ratio in L1_RATIOS
        for alpha in top / ratio * np.geomspace(1, WEAKEST, POINTS)
    ]


def chosen(predict: Callable, data: TaskData, task: int) -> Any:
    """The fitted model that a plain loop chooses on the validation rows."""
    x, y = labelled(data, "train", task)
    held, truth = labelled(data, "validation", task)
    models = [model.fit(x, y) for model in settings(predict, x, y)]
    return min(models, key=lambda m: np.square(m.predict(held) - truth).mean())


def with_targets(data: TaskData, part: str, value: torch.Tensor) -> TaskData:
    """The same data with other targets in one part."""
    y = data.y.clone()
    y[getattr(data.split, part)] = value
    return replace(data, y=y)


@pytest.mark.parametrize("features", [6, 60])
@pytest.mark.parametrize("standardise", [False, True])
def test_ols_is_scikit_learns_least_squares_on_each_tasks_labelled_rows(
    features: int, standardise: bool
) -> None:
    data = replace(table(features), standardise=standardise)
    found = ols(data)
    test = data.x[data.split.test].double().numpy()
    assert found.shape == (TEST, 3)
    for t in range(3):
        plain = LinearRegression().fit(*labelled(data, "train", t)).predict(test)
        np.testing.assert_allclose(found[:, t], plain, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("features", [6, 60])
@TUNED
def test_a_penalised_model_is_what_a_plain_loop_over_scikit_learn_chooses(
    predict: Callable, features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "TOLERANCE", 1e-8)
    monkeypatch.setattr(linear, "PASSES", 100_000)
    data = table(features, noise=3)
    found = predict(data)
    test = data.x[data.split.test].double().numpy()
    for t in range(3):
        plain = chosen(predict, data, t).predict(test)
        np.testing.assert_allclose(found[:, t], plain, atol=5e-4)


def test_without_validation_rows_ridge_chooses_by_leave_one_out() -> None:
    data = table(noise=3, validation=0)
    test = data.x[data.split.test].double().numpy()
    for t, found in enumerate(ridge(data).T):
        x, y = labelled(data, "train", t)
        plain = RidgeCV(RIDGE_PENALTIES * x.var(0).sum()).fit(x, y).predict(test)
        np.testing.assert_allclose(found, plain, atol=1e-6)


@pytest.mark.slow
def test_without_validation_rows_elastic_net_chooses_by_five_folds() -> None:
    data = table(noise=3, validation=0)
    test = data.x[data.split.test].double().numpy()
    folds = KFold(5, shuffle=True, random_state=0)
    net = ElasticNetCV(l1_ratio=L1_RATIOS, alphas=POINTS, eps=WEAKEST, cv=folds, tol=1e-7)
    for t, found in enumerate(elastic_net(data).T):
        plain = net.fit(*labelled(data, "train", t)).predict(test)
        np.testing.assert_allclose(found, plain, atol=5e-3)


@pytest.mark.slow
@TUNED
def test_a_task_without_validation_labels_is_chosen_on_its_training_rows(
    predict: Callable,
) -> None:
    data = table(noise=3)
    none = data.y[data.split.validation].clone()
    none[:, 1] = NAN
    blind = with_targets(data, "validation", none)
    without = replace(data, split=replace(data.split, validation=torch.arange(0)))
    expected = torch.stack([predict(d)[:, t] for t, d in enumerate((data, without, data))], 1)
    torch.testing.assert_close(predict(blind), expected)


@TUNED
def test_validation_rows_decide_the_penalty(predict: Callable) -> None:
    data = table(noise=0, missing=0)
    mean = data.y[data.split.train].mean(0)
    test = data.x[data.split.test].double().numpy()
    flat = with_targets(data, "validation", mean.expand(VALIDATION, -1))
    learned, shrunk = predict(data), predict(flat)
    assert scores(data, "test", learned)["R2"].min() > 0.98
    for t in range(3):  # rows that all lie at the mean ask for the strongest penalty there is
        strongest = settings(predict, *labelled(data, "train", t))[0]
        plain = strongest.fit(*labelled(data, "train", t)).predict(test)
        np.testing.assert_allclose(shrunk[:, t], plain, atol=1e-4)


@pytest.mark.parametrize("predict", PREDICTORS.values())
def test_test_labels_change_nothing(predict: Callable) -> None:
    data = table()
    other = with_targets(data, "test", torch.full((TEST, 3), 99.0))
    assert torch.equal(predict(data), predict(other))


@pytest.mark.parametrize("predict", [ols, group_mean])
def test_what_is_not_tuned_ignores_the_validation_labels(predict: Callable) -> None:
    data = table()
    other = with_targets(data, "validation", torch.full((VALIDATION, 3), 99.0))
    assert torch.equal(predict(data), predict(other))


@pytest.mark.slow
@TUNED
def test_validation_labels_choose_among_models_of_the_training_rows_alone(
    predict: Callable,
) -> None:
    data = table(noise=3)
    leak = with_targets(data, "validation", 50 - 9 * data.y[data.split.validation])
    found, test = predict(leak), data.x[data.split.test].double().numpy()
    for t in range(3):
        x, y = labelled(data, "train", t)
        every = [model.fit(x, y).predict(test) for model in settings(predict, x, y)]
        assert min(np.abs(guess - found[:, t].numpy()).max() for guess in every) < 5e-3


def test_the_mean_of_a_group_by_hand() -> None:
    y = torch.tensor([[1.0, 2], [3, NAN], [8, 6], [NAN, 4], [9, 9], [9, 9], [9, 9], [9, 9]])
    data = TaskData(
        name="tissues",
        x=torch.zeros(8, 1),
        y=y,
        tasks=("first", "second"),
        kind="regression",
        split=Split(torch.arange(4), torch.tensor([7]), torch.arange(4, 7)),
        row_groups=("skin", "skin", "lung", "bone", "skin", "bone", "eye", "lung"),
        standardise=False,
    )
    # skin: (1 + 3) / 2 and 2; bone: no label of the first task; eye: no training row at all.
    expected = torch.tensor([[2.0, 2], [4, 4], [4, 4]]).double()
    assert torch.equal(group_mean(data), expected)
    standard = replace(data, standardise=True)
    raw = scores(standard, "test", group_mean(standard))["MSE (raw)"]
    np.testing.assert_allclose(raw, ((expected - 9) ** 2).mean(0), rtol=1e-6)


@FITTED
def test_fingerprints_are_taken_as_their_dense_table(predict: Callable) -> None:
    data = table()
    ones = data.x > 1
    assert torch.equal(
        predict(replace(data, x=Bits.from_dense(ones))), predict(replace(data, x=ones.float()))
    )


@FITTED
def test_features_of_more_than_one_axis_are_laid_in_a_row(predict: Callable) -> None:
    data = table()
    image = replace(data, x=data.x.reshape(len(data.x), 2, 3))
    assert torch.equal(predict(image), predict(data))


@pytest.mark.parametrize("validation", [0, VALIDATION])
@pytest.mark.parametrize("labels", [1, 2, 3])
@FITTED
def test_a_task_with_few_labels_has_finite_predictions(
    predict: Callable, labels: int, validation: int
) -> None:
    data = table(60, validation=validation)
    few = torch.full((TRAIN, 3), NAN)
    few[:labels] = torch.arange(3.0 * labels).reshape(labels, 3)
    found = predict(with_targets(data, "train", few))
    assert found.isfinite().all()
    if labels == 1:
        torch.testing.assert_close(found, torch.zeros_like(found))  # the label itself


@pytest.mark.parametrize("validation", [0, VALIDATION])
@FITTED
def test_a_constant_target_or_constant_features_predict_the_training_mean(
    predict: Callable, validation: int
) -> None:
    data = replace(table(validation=validation), standardise=False)
    seven = with_targets(data, "train", torch.full((TRAIN, 3), 7.0))
    torch.testing.assert_close(predict(seven), torch.full((TEST, 3), 7.0).double())
    still = replace(data, x=torch.full_like(data.x, 0.1))
    torch.testing.assert_close(predict(still), constant_outputs(still, TEST))


@pytest.mark.slow
@pytest.mark.parametrize("validation", [0, VALIDATION])
@FITTED
def test_a_constant_feature_changes_nothing(predict: Callable, validation: int) -> None:
    data = table(validation=validation)
    more = replace(data, x=torch.cat([data.x, torch.full((len(data.x), 1), 3.0)], dim=1))
    torch.testing.assert_close(predict(more), predict(data), atol=1e-5, rtol=0)


def test_the_unit_of_all_features_is_of_no_account_to_ridge() -> None:
    data = table(noise=3)
    larger = replace(data, x=1024 * data.x)
    torch.testing.assert_close(ridge(larger), ridge(data), atol=1e-4, rtol=0)


@FITTED
def test_the_same_data_give_the_same_predictions_on_any_number_of_threads(
    predict: Callable,
) -> None:
    data, before = table(60), torch.get_num_threads()
    alone = predict(data)
    assert torch.equal(predict(data), alone)
    torch.set_num_threads(3)
    try:
        torch.testing.assert_close(predict(data), alone, atol=1e-9, rtol=0)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("predict", PREDICTORS.values())
def test_a_binary_task_is_refused(predict: Callable) -> None:
    data = table(missing=0)
    y = data.y.clone()
    y[:, 1] = y[:, 1] > y[:, 1].median()
    mixed = replace(data, y=y, kind=("regression", "binary", "regression"))
    refused(lambda: predict(mixed), "lines", "two", "binary", "'STL'")


def test_rows_without_groups_have_no_group_mean() -> None:
    data = replace(table(), row_groups=None)
    refused(lambda: group_mean(data), "lines", "row_groups", "'Ridge'")


def test_the_predictors_are_known_by_name() -> None:
    assert list(PREDICTORS) == ["OLS", "Ridge", "ElasticNet", "Group mean"]


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("Ridge", {"kind": ("binary", "regression", "regression")}, "Ridge is for regressions"),
        ("OLS", {"weights": torch.full((TRAIN + VALIDATION + TEST,), 2.0)}, "OLS knows no weights"),
        ("Group mean", {}, "Group mean takes means of groups of rows"),
    ],
)
def test_a_comparison_refuses_what_it_cannot_fit_before_it_trains(
    method: str, changes: dict, words: str
) -> None:
    data = table()
    y = torch.cat([(data.y[:, :1] > 0).to(data.y), data.y[:, 1:]], 1)
    data = replace(data, y=y if "kind" in changes else data.y, row_groups=None, **changes)

    def trains(done: float, name: str) -> None:
        raise AssertionError(f"{name} has trained")

    call = {"seeds": 1, "steps": 2, "trunk": (4,), "progress": trains}
    refused(lambda: compare(data, ["MTL", method], **call), words, "leave the method out")
