"""The plan per task: who chooses, on which rows, and what is left of its gain on others."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from mtl_nt import Study, compare, load
from mtl_nt.study import keep, stored
from mtl_nt.study.task_plan import SAME_TEST, TEST, VALIDATION, TaskPlan

RUNS, TASKS = 5, 20


def study_of(
    test: dict[str, np.ndarray],
    validation: dict[str, np.ndarray] | None = None,
    metric: str | dict[str, str] = "PR-AUC",
    overlap: float = 0.0,
    networks: dict[str, int] | None = None,
) -> Study:
    """A study with these scores by method, each of runs x tasks."""
    tasks = [f"t{k}" for k in range(next(iter(test.values())).shape[1])]
    metrics = metric if isinstance(metric, dict) else dict.fromkeys(tasks, metric)

    def tidy(scores: dict[str, np.ndarray]) -> pd.DataFrame:
        rows = [
            (name, math.nan, run, task, value)
            for name, table in scores.items()
            for run, values in enumerate(table.tolist())
            for task, value in zip(tasks, values, strict=True)
        ]
        return pd.DataFrame(rows, columns=["method", "alpha", "seed", "task", "value"])

    results = tidy(test)
    results = results.assign(
        dataset="made", data_seed=math.nan, split="free", metric=results["task"].map(metrics)
    )
    runs = range(len(next(iter(test.values()))))
    training = [
        {
            **{"method": name, "alpha": math.nan, "seed": run, "steps": 10, "seconds": 2.0},
            **{"networks": (networks or {}).get(name, 1), "candidates": 1, "chosen": 0},
            **{"learning_rate": 1e-3, "weight_decay": 0.0, "watched": "validation"},
            **{"loss": 0.1, "diverged": False, "still_improving": False},
        }
        for name in test
        for run in runs
    ]
    given = {} if validation is None else {"validation": tidy(validation)}
    return Study(
        results,
        pd.DataFrame(training),
        pd.DataFrame(),
        metric=metrics,
        overlap=overlap,
        recipe=None,
        checkpoint=None,
        **given,
    )


def chance(seed: int, spread: float) -> Study:
    """STL three times, which differ by nothing but the luck of a network, on all its rows."""
    draw = np.random.default_rng(seed).standard_normal
    luck = {name: draw((RUNS, TASKS)) for name in ("STL", "MTL", "LBTW")}
    rows = ({n: mine + spread * draw((RUNS, TASKS)) for n, mine in luck.items()} for _ in range(2))
    return study_of(*rows)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_left_out_the_choice_between_stl_and_itself_gains_nothing(spread: float) -> None:
    plans = [chance(seed, spread).task_plan() for seed in range(50)]
    covered = [p.left_out.low <= 0 <= p.left_out.high for p in plans]
    assert np.mean(covered) > 0.88  # .96 in 600 simulations
    gains = np.array([p.left_out.mean for p in plans])
    assert abs(gains.mean()) < 3 * gains.std() / math.sqrt(len(gains))
    assert min(p.apparent for p in plans) > 0  # while the rows that chose promise a gain


def test_left_out_twins_that_have_been_trained_gain_nothing() -> None:
    plan = stored("tox21").task_plan(["STL'"])
    assert plan.left_out.low <= 0 <= plan.left_out.high
    assert plan.apparent > plan.left_out.mean


@pytest.mark.parametrize(
    ("name", "apparent", "left_out", "below"),
    [("tox21", 0.0138, 0.0114, (4.2, 1.6)), ("toxcast128", 0.0323, 0.0300, (51, 15))],
)
def test_the_fallback_of_kept_studies_is_what_was_measured_before(
    name: str, apparent: float, left_out: float, below: tuple[float, float]
) -> None:
    plan = stored(name).task_plan(["MTL"])
    assert plan.apparent == pytest.approx(apparent, abs=1e-4)
    assert plan.left_out.mean == pytest.approx(left_out, abs=1e-4)
    assert (plan.below_mtl, plan.below) == (
        pytest.approx(below[0], abs=0.5),
        pytest.approx(below[1], abs=0.5),
    )


def test_validation_rows_choose_and_test_rows_of_other_runs_judge() -> None:
    zero = np.zeros((3, 2))
    better = np.tile([1.0, -1.0], (3, 1))
    # On validation rows the first task gains; on test rows it is the second.
    plan = study_of({"STL": zero, "MTL": -better}, {"STL": zero, "MTL": better}).task_plan()
    assert plan.chosen_on == VALIDATION
    assert plan.table["choice"].tolist() == ["MTL", "STL"]
    assert plan.apparent == 0.5
    assert plan.left_out.mean == -0.5
    assert (plan.below, plan.below_mtl) == (1, 1)


def test_without_validation_scores_the_other_runs_choose_on_test_rows() -> None:
    test = {"STL": np.zeros((4, 1)), "MTL": np.array([[3.0], [-1], [-1], [-0.5]])}
    plan = study_of(test).task_plan()
    assert plan.chosen_on == TEST
    assert plan.table["choice"].tolist() == ["MTL"]  # the mean of all is above 0
    # The other runs' means are -.83, .5, .5 and .33, so the first run has STL.
    assert plan.left_out.mean == pytest.approx((0 - 1 - 1 - 0.5) / 4)


def test_where_all_runs_have_the_same_test_rows_no_row_is_left_out() -> None:
    test = {"STL": np.zeros((4, 1)), "MTL": np.array([[3.0], [-1], [-1], [-0.5]])}
    free = study_of(test)
    plan = replace(free, results=free.results.assign(split="fixed")).task_plan()
    assert plan.chosen_on == SAME_TEST and plan.table["choice"].tolist() == ["MTL"]
    assert math.isnan(plan.left_out.mean) and plan.apparent == 0.125
    assert str(plan).startswith("This plan: apparent +0.12 on average.")
    validated = study_of(test, test)
    chosen = replace(validated, results=validated.results.assign(split="fixed")).task_plan()
    assert chosen.chosen_on == VALIDATION and math.isfinite(chosen.left_out.mean)


def test_an_error_is_better_where_it_is_lower() -> None:
    test = {"STL": np.ones((3, 1)), "MTL": np.full((3, 1), 0.75)}
    plan = study_of(test, metric="MSE").task_plan()
    assert plan.table.loc[0, ["choice", "apparent", "left_out"]].tolist() == ["MTL", 0.25, 0.25]


def noisy(seed: int, mean: float, spread: float, runs: int = 5) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((runs, 1))
    return mean + spread * (drawn - drawn.mean()) / drawn.std()


def test_a_remedy_has_to_beat_both_by_more_than_its_noise() -> None:
    test = {"STL": np.zeros((5, 1)), "MTL": np.full((5, 1), 0.5), "LBTW": noisy(0, 0.6, 1.0)}
    assert study_of(test).task_plan().table["choice"].tolist() == ["MTL"]
    test["LBTW"] = noisy(0, 0.6, 0.01)
    assert study_of(test).task_plan().table["choice"].tolist() == ["LBTW"]
    test["LBTW"] = noisy(0, 0.4, 0.01)  # better than STL alone
    assert study_of(test).task_plan().table["choice"].tolist() == ["MTL"]


def test_a_remedy_that_stl_dominates_is_never_chosen() -> None:
    draw = np.random.default_rng(3).standard_normal
    single = draw((5, 12))
    test = {"STL": single, "MTL": single + 0.1, "Bad": single - 0.2 - 0.01 * np.abs(draw((5, 12)))}
    plan = study_of(test).task_plan()
    assert set(plan.table["choice"]) == {"MTL"}
    alone = study_of({"STL": single, "Bad": test["Bad"]}).task_plan()
    assert set(alone.table["choice"]) == {"STL"}
    assert alone.left_out.mean == alone.apparent == 0


def test_a_task_that_nobody_learns_has_no_remedy_and_no_gain() -> None:
    rng = np.random.default_rng(5)
    learned = np.array([0.5, 0.0])  # above the predictor that ignores the features
    test = {
        "STL": learned + 0.01 * rng.standard_normal((5, 2)),
        "MTL": learned + 0.02 + 0.01 * rng.standard_normal((5, 2)),
        "Remedy": learned + 0.1 + 0.001 * rng.standard_normal((5, 2)),
        "Constant": np.zeros((5, 2)),
    }
    test["STL"][:, 1] = test["MTL"][:, 1] = -0.1 + 0.2 * rng.standard_normal(5)
    rescued = study_of(test).task_plan(["MTL", "Remedy"])
    assert rescued.table["choice"].tolist() == ["Remedy", "Remedy"]  # which alone has learned it
    test["Remedy"][:, 1] = test["STL"][:, 1] + 0.001
    plan = study_of(test).task_plan(["MTL", "Remedy"])
    assert plan.table["choice"].tolist() == ["Remedy", "STL"]
    assert plan.table["why"].tolist()[1] == "not learned"
    assert plan.table["left_out"].tolist()[1] == 0


def test_a_task_without_a_score_is_left_alone() -> None:
    test = {"STL": np.zeros((3, 2)), "MTL": np.ones((3, 2))}
    test["MTL"][0, 1] = math.nan
    plan = study_of(test).task_plan()
    assert plan.table["why"].tolist()[1] == "not scored"
    assert plan.choices["t1"] == ("STL", None)
    assert plan.left_out.mean == 1  # of the task that is scored


def test_tasks_with_the_same_shared_network_pay_for_it_once() -> None:
    rng = np.random.default_rng(0)
    gain = np.array([1.0, 1.0, -1.0, -1.0])
    test = {"STL": np.zeros((4, 4)), "MTL": gain + 0.01 * rng.standard_normal((4, 4))}
    plan = study_of(test, networks={"STL": 4, "MTL": 1}).task_plan()
    assert plan.table["choice"].tolist() == ["MTL", "MTL", "STL", "STL"]
    assert plan.networks == 3
    assert plan.seconds == pytest.approx(2.0 + 2 * 0.5)
    assert plan.table["networks"].tolist() == [1, 1, 1, 1]


def test_a_partner_is_one_network_and_a_grouping_that_was_found_is_all_that_found_it() -> None:
    rng = np.random.default_rng(0)
    names = ["with t0", "with t1", "with t2", "with t3", "Groups", "Groups, found"]
    best = ["with t1", "with t0", "with t0", "Groups, found"]  # of each of four tasks
    test = {"STL": 0.01 * rng.standard_normal((5, 4))}
    for name in names:
        gain = np.array([float(name == chosen) for chosen in best])
        test[name] = gain + 0.01 * rng.standard_normal((5, 4))
    networks = {"STL": 4, "Groups": 2, "Groups, found": 6 + 2} | dict.fromkeys(names[:4], 3)
    plan = study_of(test, networks=networks).task_plan()
    assert plan.table["choice"].tolist() == best
    assert plan.table["networks"].tolist() == [1, 1, 1, 8]
    # t0 and t1 are one pair, t2 has a pair of its own, and 6 pairs found 2 groups.
    assert plan.networks == 1 + 1 + 8
    assert plan.seconds == pytest.approx(2 * 2.0 / 3 + 2.0)
    del test["Groups, found"]
    test["Groups"] = test["Groups"] + np.array([0, 0, 3.0, 3.0])
    plan = study_of(test, networks=networks).task_plan()
    assert plan.table["choice"].tolist()[2:] == ["Groups", "Groups"]
    assert plan.table["networks"].tolist() == [1, 1, 1, 1]
    assert plan.networks == 1 + 2  # two tasks of a grouping are in two groups, at most


def test_tasks_of_several_metrics_are_averaged_in_standard_errors() -> None:
    rng = np.random.default_rng(1)
    test = {
        "STL": rng.standard_normal((6, 2)) * 0.01,
        "MTL": np.array([0.1, -0.1]) + rng.standard_normal((6, 2)) * 0.01,
    }
    plan = study_of(test, metric={"t0": "PR-AUC", "t1": "MSE"}).task_plan()
    assert plan.unit == "standard errors" and "standard errors on average" in str(plan)
    assert plan.table["choice"].tolist() == ["MTL", "MTL"]
    assert plan.left_out.mean > 5


def test_the_line_says_both_gains_and_the_tasks_below() -> None:
    plan = TaskPlan(
        *(pd.DataFrame(), {}, 0.021, (0.016, 0.009, 0.023), 1.0, 4.2, VALIDATION, "MSE"),  # type: ignore[arg-type]
        *("STL", 3, 1.0),
    )
    assert str(plan) == (
        "This plan: left out +0.016 [0.009, 0.023] on average (apparent +0.021), 1 task below STL "
        "per run where MTL has 4.2."
    )


def test_one_run_has_no_interval() -> None:
    scores = {"STL": np.zeros((1, 2)), "MTL": np.array([[1.0, -1]])}
    plan = study_of(scores, scores).task_plan()
    assert plan.left_out.mean == 0.5 and math.isnan(plan.left_out.low)
    assert str(plan).startswith("This plan: left out +0.50 on average (apparent +")
    bare = study_of(scores).task_plan()
    assert math.isnan(bare.left_out.mean) and "left out" not in str(bare)
    assert str(bare).startswith("This plan: apparent +0.50 on average")


def test_controls_and_predictors_are_candidates_only_when_they_are_named() -> None:
    names = {*stored("cure-noisy").task_plan().table["choice"]}
    assert not any("frozen" in name or "permuted" in name for name in names)
    gdsc = stored("gdsc")
    assert "ElasticNet" not in {*gdsc.task_plan().table["choice"]}
    assert "ElasticNet" in {*gdsc.task_plan(["MTL", "ElasticNet"]).table["choice"]}


@pytest.mark.slow
def test_a_predictor_without_scores_on_the_rows_that_choose_is_refused() -> None:
    study = compare(load("dial"), ["MTL", "Ridge"], seeds=2, steps=5, progress=False)
    refused(lambda: study.task_plan(["MTL", "Ridge"]), "'Ridge' has no scores on validation rows")
    assert "Ridge" not in {*study.task_plan().table["choice"]}


def test_a_candidate_that_was_not_trained_is_refused() -> None:
    study = stored("cure-noisy")
    refused(lambda: study.task_plan(["MLT"]), "MLT", "did you mean 'MTL'")
    refused(lambda: study.task_plan(["STL"]), "a plan needs a method to choose beside STL")


@pytest.mark.slow
def test_a_comparison_scores_validation_rows_of_every_arm_and_keeps_them(tmp_path) -> None:  # noqa: ANN001
    data = load("dial-unrelated")
    study = compare(data, ["MTL", "LBTW"], alphas=[0.1, 0.5], seeds=3, steps=60, progress=False)
    assert [*study.validation] == ["method", "alpha", "seed", "task", "value"]
    assert len(study.validation) == 3 * len(data.tasks) * 5  # STL, STL', MTL, LBTW twice
    plan = study.task_plan()
    assert plan.chosen_on == VALIDATION
    assert plan.below <= plan.below_mtl
    again = stored(keep(study, tmp_path / "kept"))
    assert again.task_plan().table["choice"].tolist() == plan.table["choice"].tolist()
    assert str(again.task_plan()) == str(plan)
    bare = compare(load("digits"), ["MTL"], seeds=2, steps=3, progress=False)
    assert not len(bare.validation) and bare.task_plan().chosen_on == SAME_TEST
    keep(bare, tmp_path / "kept")  # in place of the other
    assert not len(stored(tmp_path / "kept").validation)


def test_reasons_name_the_baseline_of_the_study() -> None:
    better = {"Single": 0.5, "MTL": 0.6, "Mine": 0.9}
    random = np.random.default_rng(0)
    noise = {name: 0.02 * random.standard_normal((RUNS, 4)) for name in better}
    study = study_of({name: value + noise[name] for name, value in better.items()})
    whys = [*replace(study, baselines=("Single",)).task_plan().table["why"]]
    assert whys == ["better than Single and MTL"] * 4
