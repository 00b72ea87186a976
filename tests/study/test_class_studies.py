"""Studies of tasks with classes and weights: methods, floors, own predictors, plans, files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from torch import Tensor

import mtl_nt
from mtl_nt import METHODS, Method, Split, Study, TaskData, compare, fit_plan, load_plan
from mtl_nt.networks import Recipe
from mtl_nt.study import gradient_affinity
from mtl_nt.study.chunks import TrainingJob, plan_chunks, train, train_chunk
from mtl_nt.study.methods import STL
from mtl_nt.study.own_methods import made_run
from mtl_nt.study.predictions import predictions
from mtl_nt.study.result_store import ResultStore
from mtl_nt.study.sharing import add_sharing
from mtl_nt.study.trees import trees

SETTINGS: dict[str, Any] = {"seeds": 2, "steps": 8, "trunk": (6,), "progress": False}
TASKS = ("sick", "stage", "size", "two")
KINDS = ("binary", "classes", "regression", "classes")
NAMES = {"stage": ("I", "II", "III")}
OUTPUTS = ("sick", "stage: I", "stage: II", "stage: III", "size", "two: 0", "two: 1")


@cache
def data(weighted: bool = True) -> TaskData:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(160, 5, generator=random)
    y = x[:, :4] + 0.3 * torch.randn(160, 4, generator=random)
    y[:, [0, 3]] = (y[:, [0, 3]] > 0.2).float()
    y[:, 1] = (y[:, 1] * 1.2).round().clamp(-1, 1) + 1
    y[torch.rand(160, 4, generator=random) < 0.15] = math.nan
    rows = torch.arange(160)
    return TaskData(
        name="ward",
        x=x,
        y=y,
        tasks=TASKS,
        kind=KINDS,
        split=Split(rows[:90], rows[90:120], rows[120:]),
        classes=NAMES,
        weights=2 * torch.rand(160, 4, generator=random) + 0.1 if weighted else None,
        class_weight="balanced" if weighted else None,
        groups=("a", "a", "b", "b"),
    )


@cache
def study() -> Study:
    methods = ["MTL", "LBTW", "GradNorm", "Uncertainty", "Fine-Tuning", "MTL, tuned", "Trees"]
    return compare(data(), methods, alphas=[0.5], trials=2, **SETTINGS)


@pytest.mark.slow
def test_one_task_of_classes_is_one_row_in_every_table() -> None:
    found = study()
    assert found.metric["stage"] == found.metric["two"] == "macro PR-AUC"
    table = found.transfer()
    assert set(table.query("method == 'MTL'")["task"]) == set(TASKS)
    assert found.history["task"].isin([*TASKS, "all"]).all()
    own = found.results.query("method == 'MTL' and task == 'stage'")
    assert set(own.dropna(subset="value")["metric"]) == {"macro PR-AUC", "log loss", "accuracy"}
    assert found.sign("log loss") == -1
    assert found.sign("macro PR-AUC") == found.sign("accuracy") == 1


@pytest.mark.slow
def test_the_constant_predictor_ignores_the_features_and_is_the_floor() -> None:
    rows = study().results.query(
        "method == 'Constant' and metric == 'log loss' and task == 'stage'"
    )
    run = data()
    assert run.weights is not None
    train, test = (run.y[rows_, 1] for rows_ in (run.split.train, run.split.test))
    w = [run.weights[rows_, 1] for rows_ in (run.split.train, run.split.test)]
    seen = [~y.isnan() for y in (train, test)]
    share = np.bincount(train[seen[0]].int(), w[0][seen[0]], 3)
    share = share / share.sum()
    expected = -np.average(np.log(share)[test[seen[1]].int()], weights=w[1][seen[1]])
    assert rows["value"].to_list() == pytest.approx([expected] * 2, abs=1e-6)


@pytest.mark.slow
def test_trees_learn_classes_and_mind_the_weights() -> None:
    outputs = trees(data(False))
    assert outputs.shape == (40, len(OUTPUTS))
    y = data(False).y[data(False).split.test]
    for t, own in ((1, slice(1, 4)), (3, slice(5, 7))):
        seen = ~y[:, t].isnan()
        right = outputs[:, own].argmax(1)[seen] == y[seen, t]
        assert float(right.double().mean()) > 0.7
    assert not torch.equal(trees(data()), outputs)


@pytest.mark.parametrize("name", ["RMTL", "Deep-AMTFL", "U-AMTFL", "OLS"])
def test_methods_that_cannot_train_classes_are_refused_before_anything_trains(name: str) -> None:
    refused(lambda: compare(data(), [name], **SETTINGS), name, "'stage' has classes", "leave")


def test_where_nobody_names_the_methods_those_that_cannot_train_classes_stay_out_and_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = compare(data(), **SETTINGS)
    trained = {*study.training["method"]}
    assert {"STL", "MTL", "LBTW"} <= trained
    said = capsys.readouterr().err
    for name in {"RMTL", "Deep-AMTFL", "U-AMTFL"}:
        assert name not in trained and f"left out: {name} (" in said


def test_predictors_of_weighted_data_that_know_no_weights_are_refused() -> None:
    plain = replace(data(), kind="regression", classes={}, class_weight=None)
    refused(lambda: compare(plain, ["Ridge"], **SETTINGS), "no weights", "leave the method out")


def guess(run: TaskData) -> Tensor:
    """Probabilities of classes, and what else there is."""
    found = torch.full((len(run.split.test), len(OUTPUTS)), 0.5)
    found[:, 1:4] = torch.tensor([0.2, 0.5, 0.3])
    return found


@pytest.mark.slow
def test_a_predictor_of_ones_own_gives_probabilities_or_logits() -> None:
    own = Method("Own", predictor=guess, units="own")
    logits = predictions(own, data(), 0)
    assert torch.allclose(logits[:, 1:4].softmax(1), torch.tensor([0.2, 0.5, 0.3]).double())
    trained = Method("Trained", predictor=lambda run: predictions(own, run, 0), units="trained")
    found = compare(data(), [own, trained], **SETTINGS).results
    values = [found[found["method"] == name]["value"].to_numpy() for name in ("Own", "Trained")]
    assert values[0] == pytest.approx(values[1], nan_ok=True)


def test_a_predictor_of_ones_own_is_told_in_one_line_what_it_must_give() -> None:
    def by_task(run: TaskData) -> Tensor:
        return run.y[run.split.test].nan_to_num()

    def too_sure(run: TaskData) -> Tensor:
        return guess(run) + 0.5

    cases: list[tuple[Method, tuple[str, ...]]] = [
        (Method("Own", predictor=guess), ("units='own'", "probability of each class")),
        (Method("Own", predictor=by_task, units="own"), ("[40, 4]", "[40, 7]", "output_names")),
        (Method("Own", predictor=too_sure, units="own"), ("'stage'", "add up to 2.5, not 1")),
    ]
    for method, words in cases:
        refused(lambda method=method: predictions(method, data(), 0), "'Own'", *words)


@pytest.mark.slow
def test_a_weighter_of_ones_own_is_tried_on_made_rows_with_classes_and_weights() -> None:
    run = made_run([data()], 0)
    assert run.classes == data().classes
    assert run.class_weight == "balanced"
    assert run.weights is not None

    class Halves(mtl_nt.Weighter):
        def weights(self, step: mtl_nt.Step) -> Tensor:
            return torch.full_like(step.losses, 0.5)

    found = compare(data(), [Method("Halves", mtl_nt.plain(Halves))], **SETTINGS)
    assert "Halves" in set(found.results["method"])


def test_a_folder_goes_on_from_its_chunks_and_tells_other_classes_and_weights(
    tmp_path: Path,
) -> None:
    recipe = Recipe(trunk=(6,), steps=4)
    job = TrainingJob(METHODS["MTL"], [data()], [0, 1], [math.nan], recipe, {}, memory=1.0)
    job = job._replace(runs=[data(), data()])
    store = ResultStore(tmp_path, job.runs, {"MTL": job})
    chunks = plan_chunks(job)
    assert len(chunks) == 2
    result = train_chunk(job, chunks[1])
    assert result.outputs.shape[1] == len(OUTPUTS)
    store.put_chunk("MTL", chunks[1], result)
    kept = store.get_chunk("MTL", chunks[1])
    assert kept is not None
    assert torch.equal(kept.outputs, result.outputs)
    assert data().weights is not None
    others = (
        replace(data(), weights=data().weights + 1),  # type: ignore[operator]
        replace(data(), class_weight=None),
        replace(data(), classes={"stage": ("a", "b", "c")}),
    )
    for other in others:
        runs = [other, other]
        with pytest.raises(mtl_nt.BadInput, match="another study"):
            ResultStore(tmp_path, runs, {"MTL": job._replace(runs=runs)})


@pytest.mark.slow
def test_groups_of_tasks_with_classes_are_trained_and_taken_by_their_outputs() -> None:
    found = add_sharing(study(), [data(), data()], Recipe(trunk=(6,), steps=4))
    names = {m for m, _ in found.arms()}
    assert {"Groups", "with stage"} <= names
    rows = found.results.query("method == 'Groups' and metric == 'macro PR-AUC'")
    assert set(rows.dropna(subset="value")["task"]) == {"stage", "two"}


def test_the_affinity_has_one_row_for_each_task() -> None:
    cosines = gradient_affinity(data(), [0], Recipe(trunk=(6,), steps=6)).cosines[-1]
    assert cosines.shape == (4, 4)
    assert np.diag(cosines) == pytest.approx(1, abs=1e-4)


def test_single_networks_know_their_own_task_alone() -> None:
    recipe = Recipe(trunk=(6,), steps=6)
    whole = train(STL, [data()], [0], recipe).predictions[0, 0]
    changed = data().y.clone()
    changed[:, 0] = 1 - changed[:, 0]
    other = train(STL, [replace(data(), y=changed)], [0], recipe).predictions[0, 0]
    assert torch.equal(whole[:, 1:], other[:, 1:])
    assert not torch.equal(whole[:, 0], other[:, 0])


@pytest.mark.slow
def test_a_plan_of_tasks_with_classes_gives_a_probability_of_each_class(tmp_path: Path) -> None:
    plan = study().task_plan(["MTL", "GradNorm"])
    assert set(plan.choices) == set(TASKS)
    arms = {"sick": "STL", "stage": "STL", "size": "MTL", "two": "MTL"}
    given = {"tasks": {task: {"method": arm} for task, arm in arms.items()}}
    fitted = fit_plan(data(), given, steps=400, trunk=(6,), progress=False)
    found = fitted.predict(data().x)
    assert tuple(found.columns) == fitted.columns == OUTPUTS == data().output_names
    assert found.to_numpy().min() >= -10
    for own in (OUTPUTS[1:4], OUTPUTS[5:7]):
        assert found[[*own]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-12)
    seen = (~data().y[:, 1].isnan()).numpy()
    right = found[[*OUTPUTS[1:4]]].to_numpy().argmax(1)[seen] == data().y[seen, 1].numpy()
    assert right.mean() > 0.7
    fitted.save(tmp_path)
    again = load_plan(tmp_path)
    assert again.classes == {"stage": ("I", "II", "III"), "two": ("0", "1")}
    pd.testing.assert_frame_equal(again.predict(data().x), found)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": {"stage": ["I", "II"], "two": ["0", "1"]}},
        {"classes": {"stage": ["I", "II", "III"]}},
        {"classes": {"stage": ["I", "I", "III"], "two": ["0", "1"]}},
        {"kinds": ["binary", "binary", "regression", "classes"]},
    ],
    ids=["a class too few", "no classes", "a class twice", "another kind"],
)
def test_a_card_with_other_classes_than_its_networks_is_refused(
    change: dict[str, Any], tmp_path: Path
) -> None:
    from mtl_nt.study import fitted_files

    given = {"tasks": {task: {"method": "MTL"} for task in TASKS}}
    fit_plan(data(), given, steps=2, trunk=(6,), progress=False).save(tmp_path)
    card = {
        k: v for k, v in json.loads((tmp_path / "card.json").read_text()).items() if k != "card"
    }
    card |= change
    digest = fitted_files._digest(card)
    (tmp_path / "card.json").write_text(json.dumps({**card, "card": digest}))
    refused(lambda: load_plan(tmp_path), "fit it anew")


def test_scores_of_ones_own_by_these_metrics_need_no_direction() -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            {"method": m, "seed": s, "task": t, "metric": metric, "value": random.random()}
            for m in ("STL", "MTL")
            for s in range(3)
            for t, metric in (("stage", "macro PR-AUC"), ("kind", "log loss"))
        ]
    )
    found = Study.from_scores(rows)
    assert found.sign("log loss") == -1
    assert found.sign("macro PR-AUC") == 1
