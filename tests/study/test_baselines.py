"""Comparisons with another baseline than STL, and methods that are no networks."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from reference import classes
from refusals import refused
from torch import Tensor

from mtl_nt import METHODS, Method, Study, TaskData, compare, figures, load
from mtl_nt.datasets.dial import Group
from mtl_nt.networks.recipe import Recipe
from mtl_nt.study import chunks, jobs
from mtl_nt.study.chunks import TrainingJob
from mtl_nt.study.jobs import picklable
from mtl_nt.study.methods import LINEAR
from mtl_nt.training.metrics import constant_outputs

NAN = math.nan
GROUPS = (Group("in", 2, 30), Group("out", 1, 30, angle=90))
MINE = Method("MTL, faster", settings={"learning_rate": 0.03})


def dial(seed: int = 0) -> TaskData:
    """Three small regression tasks."""
    return load("dial", groups=GROUPS, seed=seed)


def one_hot(seed: int) -> TaskData:
    """Three exclusive classes, all of which the test rows have."""
    return classes(3 * seed)


def quick(data: Any = dial, **given: Any) -> Study:
    """A comparison that takes a blink."""
    usual = {"methods": ("MTL",), "seeds": 3, "steps": 20, "batch_size": 32, "trunk": (8,)}
    return compare(data, **{**usual, "progress": False, **given})


def methods(study: Study) -> list[str]:
    """All that has results, in the order of training."""
    return list(study.results["method"].unique())


def values(study: Study, method: str) -> pd.DataFrame:
    """Seeds x tasks of a method without alpha."""
    rows = study.results[study.results["method"] == method]
    rows = rows[rows["metric"] == rows["task"].map(study.metric)]
    return rows.pivot(index="seed", columns="task", values="value")


def mean_of_training(run: TaskData) -> Tensor:
    """A predictor of one's own: beside the mean, so that it is not the constant one."""
    return 0.5 + constant_outputs(run, len(run.split.test))


OWN = Method("Own", predictor=mean_of_training)


@pytest.fixture(scope="module")
def cnn() -> Study:
    """Everything is compared with a softmax network."""
    call = {"methods": ("MTL", "STL", "Deep-AMTFL"), "alphas": (0.1, 0.5)}
    return quick(one_hot, baseline="CNN", **call)


@pytest.fixture(scope="module")
def ridge() -> Study:
    """Everything is compared with a linear model."""
    return quick(baseline="Ridge", methods=("MTL", "STL", "LBTW"), alphas=(0.0, 0.5))


# ---------------------------------------------------------------- one baseline


@pytest.mark.slow
def test_the_baseline_and_its_twin_come_first_and_stl_only_where_it_is_asked_for(
    cnn: Study,
) -> None:
    assert methods(cnn) == ["CNN", "CNN'", "MTL", "STL", "Deep-AMTFL", "Constant"]
    assert (cnn.baseline, cnn.null, cnn.baselines) == ("CNN", "CNN'", ("CNN",))
    assert [m for m, _ in cnn.arms()] == methods(cnn)[1:4] + ["Deep-AMTFL"] * 2 + ["Constant"]
    assert methods(quick(one_hot, baseline="CNN")) == ["CNN", "CNN'", "MTL", "Constant"]


@pytest.mark.slow
def test_differences_counts_and_verdicts_are_from_the_baseline(cnn: Study) -> None:
    for method in ("MTL", "STL", "CNN'"):
        assert_frame_equal(
            cnn.delta(method), values(cnn, method) - values(cnn, "CNN"), check_names=False
        )
    counts = cnn.counts()
    assert counts["method"].tolist()[:2] == ["CNN", "CNN'"]
    assert counts.loc[0, ["negative", "harmed", "harmed_null"]].isna().all()
    null = cnn.transfer().query('method == "CNN\'"')["verdict"]
    assert (counts["harmed_null"][1:] == (null == "harmed").sum()).all()
    refused(lambda: cnn.delta("CNN"), "'CNN'", "there are CNN'")


@pytest.mark.slow
def test_a_baseline_that_is_named_among_the_methods_is_trained_once() -> None:
    study = quick(baseline="MTL", methods=("MTL", "STL"))
    assert methods(study) == ["MTL", "MTL'", "STL", "Constant"]


@pytest.mark.slow
def test_stl_is_the_baseline_unless_it_is_said_otherwise() -> None:
    usual, said = quick(), quick(baseline="STL")
    assert (usual.baseline, usual.null) == ("STL", "STL'")
    assert_frame_equal(usual.results, said.results)


@pytest.mark.slow
def test_a_method_of_ones_own_is_a_baseline() -> None:
    study = quick(baseline=MINE)
    assert (study.baseline, study.null) == (MINE.name, "MTL, faster'")
    twin = study.training.query('method == "MTL, faster\'"')
    assert (twin["learning_rate"] == 0.03).all()


@pytest.mark.slow
def test_a_twin_is_the_baseline_with_another_start_and_other_batches() -> None:
    again = Method("again", settings=MINE.settings, reseeded=True)
    study = quick(baseline=(MINE, "STL"), methods=(again,))
    for name in (MINE.name, "STL"):
        assert ((values(study, name) - values(study, f"{name}'")).abs() > 1e-6).all(axis=None)
    assert_frame_equal(values(study, "MTL, faster'"), values(study, "again"), rtol=1e-5)
    assert_frame_equal(values(study, "STL'"), values(quick(), "STL'"))


# ---------------------------------------------------------------- several baselines


@pytest.fixture(scope="module")
def several() -> Study:
    """STL and two others, with alphas."""
    call = {"methods": ("RMTL", "LBTW"), "alphas": (0.0, 0.5)}
    return quick(baseline=("STL", "MTL", "Ridge"), **call)


@pytest.mark.slow
def test_every_baseline_has_its_twin_and_the_first_counts(several: Study) -> None:
    assert methods(several)[:5] == ["STL", "STL'", "MTL", "MTL'", "Ridge"]
    assert several.baselines == ("STL", "MTL", "Ridge")
    assert [m for m, _ in several.arms()] == [
        "STL'",
        "MTL",
        "Ridge",
        "RMTL",
        "LBTW",
        "LBTW",
        "Constant",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MTL", "Ridge", "STL"])
def test_against_gives_the_numbers_of_a_comparison_with_that_baseline(
    name: str, several: Study
) -> None:
    others = tuple(m for m in ("STL", "MTL", "Ridge") if m != name)
    call = {"methods": (*others, "RMTL", "LBTW"), "alphas": (0.0, 0.5)}
    alone, turned = quick(baseline=name, **call), several.against(name)
    assert (turned.baseline, turned.null) == (alone.baseline, alone.null)
    assert sorted(map(str, turned.arms())) == sorted(map(str, alone.arms()))
    key = ["method", "alpha", "task"]
    for mine, other in ((turned.transfer(), alone.transfer()), (turned.counts(), alone.counts())):
        tables = [
            t.drop(columns="seconds", errors="ignore").set_index([k for k in key if k in t])
            for t in (mine, other)
        ]
        assert_frame_equal(tables[0].sort_index(), tables[1].sort_index(), check_exact=True)
    assert several.baseline == "STL"  # as it was
    assert several.counts().loc[0, "method"] == "STL"


@pytest.mark.slow
def test_against_turns_back_and_forth(several: Study) -> None:
    again = several.against("MTL").against("STL")
    assert_frame_equal(again.counts(), several.counts())
    assert_frame_equal(again.transfer(), several.transfer())


def test_against_a_method_without_a_twin_there_is_no_null(several: Study) -> None:
    for name in ("RMTL", "Constant"):
        turned = several.against(name)
        assert turned.null is None
        assert turned.counts()["harmed_null"].isna().all()
        assert name not in [m for m, _ in turned.arms()]
        assert not {"STL'", "MTL'"} & {m for m, _ in turned.arms()}


def test_only_what_is_there_and_has_no_alpha_is_a_baseline(several: Study) -> None:
    refused(lambda: several.against("LBTW"), "'LBTW' has an alpha", "without one")
    refused(lambda: several.against("RMLT"), "'RMLT'", "did you mean 'RMTL'")
    refused(lambda: several.against("DWA"), "no results of 'DWA'")


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an alpha": ({"baseline": "LBTW"}, ("'LBTW' has an alpha", "without one")),
    "an alpha among several": ({"baseline": ("STL", "GradNorm")}, ("'GradNorm' has an alpha",)),
    "an unknown one": ({"baseline": "RMLT"}, ("'RMLT'", "did you mean 'RMTL'")),
    "none": ({"baseline": ()}, ("no methods", "STL, MTL")),
    "nothing": ({"baseline": None}, ("unknown method None", "known: STL")),
    "one twice": ({"baseline": ("MTL", "MTL")}, ("'MTL'", "once")),
    "a twin": ({"baseline": Method("MTL'")}, ("MTL'", "another name")),
    "the constant": ({"baseline": Method("Constant")}, ("'Constant'", "another name")),
    "steps of an absent STL": (
        {"baseline": "MTL", "methods": "DWA", "steps": {"STL": 3}},
        ("'STL'", "not compared"),
    ),
    "another method of its name": (
        {"baseline": "MTL", "methods": Method("MTL", settings={"dropout": 0.5})},
        ("'MTL'",),
    ),
    "a softmax over tasks that are not exclusive": (
        {"methods": "CNN"},
        ("'dial-custom'", "'softmax'", "exclusive", "'each'"),
    ),
    "a softmax of a network a task": (
        {
            "data": one_hot,
            "methods": Method("RMTL, softmax", networks="each", settings={"loss": "softmax"}),
        },
        ("'three'", "'softmax'", "one network's"),
    ),
    "a softmax of one task": (
        {
            "data": one_hot,
            "methods": Method("own", networks="single", settings={"loss": "softmax"}),
        },
        ("'three'", "'softmax'", "one network's"),
    ),
    "a loss of another name": (
        {"data": one_hot, "loss": "softmx"},
        ("'softmx'", "did you mean 'softmax'"),
    ),
    "a decay of another name": ({"decay": "head"}, ("'head'", "known: all, trunk")),
    "a softmax for STL": ({"data": one_hot, "loss": "softmax"}, ("'softmax'", "one network's")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_comparison_that_cannot_be_made_is_refused_before_any_training(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, words = REFUSED[case]
    no_training(monkeypatch)
    refused(lambda: quick(folder=tmp_path / "study", **given), *words)
    assert not [*tmp_path.rglob("*")]


def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any training fails the test."""

    def fit(*_: Any, **__: Any) -> None:
        raise AssertionError("a network was trained")

    monkeypatch.setattr(chunks, "fit", fit)


# ---------------------------------------------------------------- baselines without chance


@pytest.mark.slow
def test_a_predictor_has_no_twin_and_no_null(ridge: Study) -> None:
    assert methods(ridge) == ["Ridge", "MTL", "STL", "LBTW", "Constant"]
    assert ridge.null is None
    counts = ridge.counts().set_index("method")
    assert counts[["harmed_null", "helped_null"]].isna().all(axis=None)
    assert counts[["negative_null_low", "negative_null_high"]].isna().all(axis=None)
    assert counts.loc[["MTL", "STL", "LBTW", "Constant"], "harmed"].notna().all()
    assert (ridge.delta("Constant").mean() < 0).sum() == counts.loc["Constant", "negative"]


@pytest.mark.slow
def test_figures_of_a_study_without_a_null_are_drawn(ridge: Study) -> None:
    assert "Ridge" in figures.alt_text(figures.task_differences(ridge))
    assert "no null" in figures.counts_table(ridge)
    assert "Ridge" in figures.alt_text(figures.alpha_curve(ridge, "LBTW"))
    refused(lambda: figures.trade_off(ridge), "Ridge has no twin", "no null")


def test_figures_of_weights_leave_out_what_has_none(ridge: Study) -> None:
    assert figures.alt_text(figures.weight_curves(ridge, "LBTW", 0.5)).startswith("LBTW 0.5 weighs")
    figure = figures.weight_matrix(ridge)
    assert "STL: 3 networks" in figures.alt_text(figure)
    assert "Ridge" not in figures.alt_text(figure)
    refused(lambda: figures.weight_curves(ridge, "Ridge"), "Ridge")
    refused(lambda: figures.weight_matrix(ridge, methods=["Ridge"]), "Ridge")


def test_the_steps_in_a_figure_are_the_networks_alone(ridge: Study) -> None:
    scope = figures.task_differences(ridge).texts[1].get_text()
    assert ", 20 steps" in scope and "0–20" not in scope


@pytest.mark.slow
def test_predictors_can_be_compared_among_themselves() -> None:
    study = quick(baseline="Ridge", methods=("OLS",))
    assert methods(study) == ["Ridge", "OLS", "Constant"]
    assert study.history.empty
    assert study.counts()["networks"].tolist() == [0, 0, 0]
    figures.png_bytes(figures.task_differences(study))


# ---------------------------------------------------------------- predictors


def test_a_predictor_is_scored_on_the_test_rows_and_trains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[str] = []

    def noted(job: TrainingJob, *arguments: Any) -> chunks.ChunkResult:
        trained.append(job.method.name)
        return chunks.train_chunk(job, *arguments)

    monkeypatch.setattr(jobs, "train_chunk", noted)
    study = quick(baseline=OWN, methods=("MTL", "OLS"), seeds=2)
    assert trained == ["MTL"]
    for seed in (0, 1):
        data = dial(seed)
        truth = data.y[data.split.test]
        mean, unit = data.scale
        guess = mean_of_training(data) * unit + mean if data.standardise else mean_of_training(data)
        mse = ((truth - guess) / unit).square().mean(0)
        assert values(study, "Own").loc[seed].tolist() == pytest.approx(mse.tolist(), rel=1e-5)
    assert [METHODS[name].trained(9) for name in ("STL", "MTL", "Ridge")] == [9, 1, 0]


@pytest.mark.slow
def test_a_predictor_has_its_row_in_the_training_table() -> None:
    training = quick(methods=("MTL", OWN)).training
    own, mtl = (training.query("method == @name") for name in ("Own", "MTL"))
    assert list(own) == list(mtl)
    assert own["seed"].tolist() == [0, 1, 2]
    for name, value in (("networks", 0), ("steps", 0), ("candidates", 1), ("chosen", 0)):
        assert own[name].tolist() == [value] * 3, name
    assert own[["alpha", "learning_rate", "weight_decay", "loss"]].isna().all(axis=None)
    assert not own[["diverged", "still_improving"]].any(axis=None)
    assert (own["seconds"] >= 0).all()
    assert not (quick(methods=("MTL", OWN)).history["method"] == "Own").any()


@pytest.mark.slow
def test_the_linear_models_are_the_package_s_own() -> None:
    assert set(LINEAR) == {"Group mean", "OLS", "Ridge", "ElasticNet"}
    groups = replace(dial(), row_groups=tuple("ab" * (len(dial().x) // 2)), redraw=None)
    study = quick(groups, methods=LINEAR, seeds=1)
    found = {name: tuple(values(study, name).loc[0]) for name in (*LINEAR, "Constant")}
    assert len(set(found.values())) == 5
    assert sum(found["Ridge"]) < sum(found["Constant"])


@pytest.mark.slow
def test_a_predictor_that_does_not_suit_the_data_is_refused_in_one_line() -> None:
    refused(lambda: quick(methods="Group mean"), "groups of rows", "no row_groups")
    refused(lambda: quick(one_hot, methods="Ridge"), "Ridge is for regressions", "is binary")


CALLS: list[str] = []


def counted(run: TaskData) -> Tensor:
    CALLS.append(run.name)
    return mean_of_training(run)


@pytest.mark.slow
def test_a_finished_predictor_is_not_fitted_again(tmp_path: Path) -> None:
    own = Method("Counted", predictor=counted, version=1)  # what it reads grows with every call
    call = {"methods": ("MTL", own), "folder": tmp_path}
    CALLS.clear()
    first = quick(**call)
    assert len(CALLS) == 3
    second = quick(**call)
    assert len(CALLS) == 3
    assert_frame_equal(first.results, second.results)
    assert_frame_equal(first.training, second.training)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_an_executor_gives_the_same_numbers(workers: int, tmp_path: Path) -> None:
    call: dict[str, Any] = {"baseline": (OWN, "STL"), "methods": ("MTL", "Ridge")}
    told: list[float] = []
    with ThreadPoolExecutor(workers) as executor:
        progress: Callable[[float, str], None] = lambda done, _: told.append(done)  # noqa: E731
        there = quick(executor=executor, folder=tmp_path, progress=progress, **call)
    here = quick(**call)
    assert_frame_equal(there.results, here.results)
    columns = [c for c in here.training if c != "seconds"]
    assert_frame_equal(there.training[columns], here.training[columns])
    assert told == sorted(told) and told[-1] == pytest.approx(1)


@pytest.mark.slow
def test_progress_ends_at_one_and_names_the_predictor() -> None:
    told: list[tuple[float, str]] = []
    quick(methods=("MTL", OWN), seeds=1, progress=lambda *t: told.append(t))
    assert told[-1][0] == pytest.approx(1)
    assert (pd.Series([done for done, _ in told]).diff().dropna() > 0).all()
    assert list(dict.fromkeys(name for _, name in told)) == ["STL", "STL'", "MTL", "Own"]


def test_predictors_can_be_sent_to_another_process() -> None:
    runs = [dial(0)]
    for name in LINEAR:
        job = TrainingJob(METHODS[name], runs, [0], [NAN], Recipe(), {})
        sent = pickle.loads(pickle.dumps(picklable(job)))
        assert sent.method.name == name and sent.method.predictor is not None
    assert torch.equal(pickle.loads(pickle.dumps(METHODS["OLS"])).predictor(runs[0]), ols(runs[0]))


def ols(run: TaskData) -> Tensor:
    predictor = METHODS["OLS"].predictor
    assert predictor is not None
    return predictor(run)


# ---------------------------------------------------------------- settings of single tasks


def smaller(**settings: Any) -> Callable[[int], TaskData]:
    """Data whose single-task networks have settings of their own."""
    return lambda seed: replace(few_steps(seed), single=settings)


def few_steps(seed: int) -> TaskData:
    return replace(dial(seed), recipe={**dial(seed).recipe, "steps": 8})


def plainly(data: Callable[[int], TaskData], **given: Any) -> Study:
    """Without a trunk of the caller's."""
    given = {"methods": ("Fine-Tuning", "RMTL"), "seeds": 1, **given}
    return quick(data, trunk=given.pop("trunk", None), steps=given.pop("steps", 10), **given)


@pytest.mark.slow
def test_single_task_networks_have_the_settings_that_suit_them() -> None:
    usual, own = plainly(dial), plainly(smaller(trunk=(3,), learning_rate=0.05))
    alike = plainly(dial, trunk=(3,), learning_rate=0.05)
    for name in ("STL", "STL'"):
        assert_frame_equal(values(own, name), values(alike, name))
        assert (own.training.query("method == @name")["learning_rate"] == 0.05).all()
    for name in ("Fine-Tuning", "RMTL"):
        assert_frame_equal(values(own, name), values(usual, name))
    assert own.recipe == usual.recipe


@pytest.mark.slow
def test_what_the_caller_gives_goes_before_what_suits_single_tasks() -> None:
    data = smaller(trunk=(3,), steps=4, learning_rate=0.05)
    given = plainly(data, trunk=(5,), learning_rate=0.01, steps=None)
    alike = plainly(dial, trunk=(5,), learning_rate=0.01, steps=4, methods=("MTL",))
    assert_frame_equal(values(given, "STL"), values(alike, "STL"))
    steps = given.training.groupby("method")["steps"].first()
    assert steps["STL"] == steps["STL'"] == 4
    assert steps["RMTL"] == steps["Fine-Tuning"] == 8
    assert (plainly(data, steps=6).training["steps"] == 6).all()


def test_a_budget_for_one_method_leaves_the_others_theirs() -> None:
    data = smaller(steps=4)
    steps = plainly(data, steps={"RMTL": 6}).training.groupby("method")["steps"].first()
    assert (steps["RMTL"], steps["STL"], steps["STL'"]) == (6, 4, 4)


def test_a_methods_own_settings_go_before_what_suits_single_tasks() -> None:
    mine = Method("mine", networks="single", settings={"steps": 6})
    steps = plainly(smaller(steps=4), methods=(mine,), steps=None).training
    assert steps.groupby("method")["steps"].first().to_dict() == {"STL": 4, "STL'": 4, "mine": 6}


def test_an_unknown_setting_of_single_tasks_is_refused_in_one_line() -> None:
    refused(lambda: plainly(smaller(learnin_rate=1)), "'learnin_rate'", "'learning_rate'")


@pytest.mark.slow
def test_a_trunk_of_single_tasks_may_be_a_preset() -> None:
    named, wide = plainly(smaller(trunk="small")), plainly(smaller(trunk=(64, 32)))
    assert_frame_equal(values(named, "STL"), values(wide, "STL"))


# ---------------------------------------------------------------- a study against CNN


@pytest.mark.slow
def test_every_figure_of_a_study_against_cnn_names_cnn(cnn: Study) -> None:
    turned = quick(one_hot, baseline=("CNN", "MTL"), methods="LBTW", alphas=(0.1, 0.5))
    for study, method in ((cnn, "Deep-AMTFL"), (turned, "LBTW")):
        drawn = [
            figures.task_differences(study),
            figures.task_differences(study, 0.5),
            figures.alpha_curve(study, method),
            figures.alpha_curve(study, method, 0.5),
            figures.trade_off(study),
        ]
        for figure in drawn:
            words = [figures.alt_text(figure), *(t.get_text() for t in figure.texts)]
            words += [t.get_text() for ax in figure.axes for t in ax.findobj(match=is_text)]
            assert any("CNN" in text for text in words)
            if study is turned:
                assert not any("STL" in text for text in words)
    difference = figures.task_differences(cnn)
    assert any("difference from CNN in PR-AUC" in t.get_text() for t in difference.texts)
    curve = figures.alpha_curve(cnn, "Deep-AMTFL")
    assert curve.axes[1].get_title(loc="left") == "tasks worse than CNN, of 3"


def is_text(artist: Any) -> bool:
    return hasattr(artist, "get_text")


def test_what_is_not_in_the_null_is_not_drawn_twice(cnn: Study) -> None:
    words = [text.get_text() for text in figures.task_differences(cnn).findobj(is_text)]
    assert "CNN'" in words and "CNN" not in words and words.count("STL") == 1
