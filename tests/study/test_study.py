"""A comparison from the outside: its tables, its pairing, its counts, and what it refuses."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fixed import with_fixed_split
from pandas.testing import assert_frame_equal
from refusals import refused
from samples import forking
from scipy import stats
from tqdm.std import tqdm

import mtl_nt
from mtl_nt import (
    LBTW,
    METHODS,
    Method,
    Shuffled,
    Split,
    Stopped,
    Study,
    TaskData,
    Uniform,
    compare,
    load,
)
from mtl_nt.bits import Bits
from mtl_nt.datasets.dial import Group
from mtl_nt.study import jobs, keep, nulls, standard_errors, stored
from mtl_nt.study.factories import WeighterArguments
from mtl_nt.study.nulls import keep_null
from mtl_nt.study.scoring import still_improving
from mtl_nt.study.transfer import is_better, null_counts, paired_test

NAN = math.nan
GROUPS = (Group("in", 2, 30), Group("out", 1, 30, angle=90))
WITH_ALPHA = ["LBTW", "GradNorm", "CAGrad", "Deep-AMTFL", "U-AMTFL"]
SUITED = [name for name in METHODS if name not in ("CNN", "Group mean")]  # see test_baselines.py
PREDICTORS = ["OLS", "ElasticNet", "Ridge", "Trees"]


def dial(seed: int = 0, **options: Any) -> TaskData:
    """Three small tasks, the third unrelated to the others."""
    return load("dial", groups=GROUPS, seed=seed, **options)


def quick(data: Any = None, **given: Any) -> Study:
    """A comparison that takes a blink."""
    usual = {"methods": ("MTL",), "seeds": 2, "steps": 20, "batch_size": 32}
    usual |= {"progress": False, "device": "cpu"}
    return compare(dial() if data is None else data, **{**usual, **given})


def rows(table: pd.DataFrame, method: str, alpha: float = NAN) -> pd.DataFrame:
    same = table["alpha"].isna() if math.isnan(alpha) else table["alpha"] == alpha
    return table[(table["method"] == method) & same]


def values(study: Study, method: str, alpha: float = NAN, metric: str = "MSE") -> pd.DataFrame:
    """Seeds x tasks of the tidy table, rebuilt here."""
    mine = rows(study.results, method, alpha)
    mine = mine[mine["metric"] == metric]
    return mine.set_index(["seed", "task"])["value"].unstack()


def assert_same_numbers(one: Study, other: Study) -> None:
    """To the last bit, but for the clock."""
    assert_frame_equal(one.results, other.results, check_exact=True)
    assert_frame_equal(one.history, other.history, check_exact=True)
    without = [t.training.drop(columns="seconds") for t in (one, other)]
    assert_frame_equal(*without, check_exact=True)


@pytest.fixture(scope="module")
def everything() -> Study:
    """Every method that suits regression tasks, two alphas, three runs."""
    return quick(methods=tuple(SUITED), alphas=(0, 0.5), seeds=3, steps=60)


@pytest.fixture(scope="module")
def images() -> Study:
    """Exclusive binary tasks, on free splits."""
    data = load("digits", split="free")
    return quick(data, methods=("MTL", "RMTL"), steps=8, trunk=(8,))


# -------------------------------------------------------------------------------- the tables


@pytest.mark.slow
def test_results_is_the_tidy_table(everything: Study) -> None:
    names = "dataset, data_seed, split, method, alpha, seed, task, metric, value"
    assert ", ".join(everything.results) == names
    assert set(everything.results["dataset"]) == {"dial-custom"}
    key = ["method", "alpha", "seed", "task", "metric"]
    assert not everything.results.duplicated(key).any()
    arms = len(SUITED) + len(WITH_ALPHA) + 2  # which have two alphas; STL' and Constant
    assert len(everything.results) == arms * 3 * 3 * 6  # runs, tasks, metrics
    assert everything.results["value"].notna().all()


@pytest.mark.slow
def test_every_method_is_there_with_its_alphas_and_stl_null_and_constant_always(
    everything: Study,
) -> None:
    found = everything.results[["method", "alpha"]].drop_duplicates()
    alphas = found.groupby("method")["alpha"].agg(list)
    assert set(alphas.index) == {*SUITED, "STL'", "Constant"}
    for method, given in alphas.items():
        if method in WITH_ALPHA:
            assert given == [0, 0.5]
        else:
            assert np.isnan(given).tolist() == [True]
    for asked in ("MTL", "STL"):
        methods = set(quick(methods=(asked,), seeds=1).results["method"])
        assert methods == {asked, "STL", "STL'", "Constant"}


@pytest.mark.slow
def test_arms_are_all_but_stl_in_the_order_of_training(everything: Study) -> None:
    methods = [m for m, _ in everything.arms()]
    wanted = [m for name in SUITED for m in [name] * (2 if name in WITH_ALPHA else 1)]
    assert methods == ["STL'", *wanted[1:], "Constant"]


@pytest.mark.slow
def test_transfer_has_a_row_a_method_alpha_and_task(everything: Study) -> None:
    table = everything.transfer()
    names = "method, alpha, task, delta, low, high, p, adjusted, detectable, verdict"
    assert ", ".join(table) == names
    assert len(table) == len(everything.arms()) * 3
    assert set(table["verdict"]) <= {"harmed", "helped", "undecided", "not learned"}
    assert (table["low"] < table["delta"]).all() and (table["delta"] < table["high"]).all()
    assert table["p"].between(0, 1).all() and (table["adjusted"] >= table["p"]).all()
    assert (table["detectable"] > 0).all()


@pytest.mark.slow
def test_counts_has_a_row_a_method_and_alpha_stl_first(everything: Study) -> None:
    table = everything.counts()
    compared = ["negative", "negative_per_run", "negative_null_low", "negative_null_high"]
    compared += ["harmed", "helped", "harmed_null"]
    names = ["method", "alpha", "networks", "seconds", "mean", *compared]
    assert [name for name in table if name in names] == names
    others = {"diverged", "helped_null", "not_learned", "null_pairs", "still_improving"}
    assert set(table) - set(names) == {*others, "undecided"}
    assert (table.loc[1:, "null_pairs"] == 3).all()
    verdicts = ["harmed", "helped", "undecided", "not_learned"]
    assert (table.loc[1:, verdicts].sum(axis=1) == 3).all()
    arms = list(zip(table["method"], table["alpha"], strict=True))
    assert str(arms) == str([("STL", NAN), *everything.arms()])
    assert table.loc[0, compared].isna().all()  # STL is not compared with itself
    assert table.loc[1:, compared].notna().all(axis=None)


@pytest.mark.slow
def test_networks_steps_and_seconds_are_those_of_a_run(everything: Study) -> None:
    one, each, twice = 1, 3, 6  # of three tasks
    wanted = {"STL": each, "STL'": each, "Fine-Tuning": twice, "RMTL": each, "Constant": 0}
    wanted |= {"MTL, tuned": 8, "Scalarisation": 8}  # candidates
    wanted |= dict.fromkeys(PREDICTORS, 0)
    counts = everything.counts()
    for method, networks in zip(counts["method"], counts["networks"], strict=True):
        assert networks == wanted.get(method, one), method
    training = everything.training
    assert len(training) == (len(SUITED) + len(WITH_ALPHA) + 1) * 3  # two alphas, and STL'
    assert (training["seconds"] > 0).all()
    trained = ~training["method"].isin(PREDICTORS)
    assert (training.loc[trained, "steps"] == 60).all()
    assert (training.loc[~trained, "steps"] == 0).all()
    for method, alpha, seconds in counts[["method", "alpha", "seconds"]].itertuples(index=False):
        assert seconds == pytest.approx(rows(training, method, alpha)["seconds"].sum()), method


@pytest.mark.slow
def test_seconds_add_up_to_the_time_that_training_took() -> None:
    start = time.perf_counter()
    study = quick(methods=("MTL", "LBTW"), alphas=(0, 0.25, 0.5, 1), seeds=4, steps=40)
    whole = time.perf_counter() - start
    assert 0.3 * whole < study.training["seconds"].sum() < whole


@pytest.mark.slow
def test_history_follows_losses_and_weights_of_every_network(everything: Study) -> None:
    table = everything.history
    assert set(table) == {"method", "alpha", "seed", "network", "task", "step", "loss", "weight"}
    steps = np.sort(table["step"].unique())
    assert len(steps) <= 40 and steps[-1] == 60
    shared, single = rows(table, "MTL"), rows(table, "STL")
    assert set(shared["network"]) == {"all"}
    assert (shared["weight"].dropna() == 1).all() and shared["weight"].notna().any()
    own = single["network"] == single["task"]
    assert single.loc[~own, ["loss", "weight"]].isna().all(axis=None)
    assert single.loc[own, "loss"].notna().all()
    falling = shared.groupby("step")["loss"].mean()
    assert falling.iloc[-1] < falling.iloc[0]


# -------------------------------------------------------------------------- runs and pairing


@pytest.mark.slow
def test_methods_start_from_the_same_weights_and_the_null_does_not() -> None:
    """With a learning rate that moves nothing, the scores are those of the initial networks."""
    study = quick(methods=tuple(SUITED), alphas=(0.5,), learning_rate=1e-30)
    start = values(study, "STL")
    for method, alpha in study.arms():
        if method not in ("STL'", "Constant", *PREDICTORS):
            pd.testing.assert_frame_equal(values(study, method, alpha), start, rtol=1e-5)
    null = values(study, "STL'")
    assert ((null - start).abs() > 0.01).all(axis=None)
    assert (start.loc[0] - start.loc[1]).abs().min() > 0.01  # and so does another seed


@pytest.mark.slow
def test_methods_see_the_same_batches_and_the_null_does_not() -> None:
    same = Method("MTL, one network a task", networks="each")
    again = Method("MTL, other start", networks="each", reseeded=True)
    study = quick(load("digits"), methods=("MTL", same, again), steps=5, trunk=(4,))
    mtl, each, other = (values(study, m, metric="PR-AUC") for m in ("MTL", same.name, again.name))
    pd.testing.assert_frame_equal(each, mtl, rtol=1e-5)
    assert ((other - mtl).abs() > 1e-4).any(axis=None)


@pytest.mark.slow
def test_lbtw_with_alpha_zero_is_plain_mtl(everything: Study) -> None:
    mtl = values(everything, "MTL")
    pd.testing.assert_frame_equal(values(everything, "LBTW", 0.0), mtl, rtol=1e-6)
    assert ((values(everything, "LBTW", 0.5) - mtl).abs() > 1e-6).any(axis=None)


def test_run_k_is_the_data_of_seed_k() -> None:
    study = quick(dial(seed=77), seeds=[4, 2], steps=1)
    assert sorted(study.results["seed"].unique()) == [2, 4]
    for seed in (2, 4):
        data = dial(seed)
        train, test = data.y[data.split.train].double(), data.y[data.split.test].double()
        mse = ((test - train.nanmean(0)).square().mean(0) / data.unit**2).numpy()
        np.testing.assert_allclose(values(study, "Constant").loc[seed], mse, rtol=1e-6)


@pytest.mark.slow
def test_a_callable_stands_for_the_data_of_every_seed() -> None:
    assert_same_numbers(quick(dial), quick(dial()))


@pytest.mark.slow
def test_a_run_is_the_same_whichever_runs_and_methods_stand_beside_it() -> None:
    many = quick(methods=("RMTL", "LBTW", "MTL"), alphas=(0.1, 0.5), seeds=3)
    alone = quick(methods=("LBTW",), alphas=(0.5,), seeds=[1])
    for method, alpha in (("LBTW", 0.5), ("STL", NAN), ("STL'", NAN)):
        here, there = values(alone, method, alpha).loc[1], values(many, method, alpha).loc[1]
        np.testing.assert_allclose(here, there, rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "kind", "seeds"),
    [
        (lambda: dial(), "new data", [0, 1]),
        (lambda: load("digits", split="free", validation=2), "free", [0, 1]),
        (lambda: load("digits"), "fixed", [NAN, NAN]),
        (lambda: with_fixed_split(dial(seed=5)), "fixed", [5, 5]),
    ],
)
def test_results_say_what_a_seed_has_drawn(
    data: Callable[[], TaskData], kind: str, seeds: list[float]
) -> None:
    study = quick(data(), steps=1, trunk=(2,))
    assert set(study.results["split"]) == {kind}
    drawn = study.results.groupby("seed")["data_seed"].agg(["min", "max"])
    np.testing.assert_array_equal(drawn["min"], np.array(seeds, dtype=float))
    np.testing.assert_array_equal(drawn["max"], np.array(seeds, dtype=float))


@pytest.mark.slow
def test_on_a_fixed_split_the_start_varies_and_the_data_do_not() -> None:
    study = quick(with_fixed_split(dial(seed=5)))
    assert (values(study, "Constant").loc[0] == values(study, "Constant").loc[1]).all()
    assert (values(study, "MTL").loc[0] != values(study, "MTL").loc[1]).all()


@pytest.mark.slow
def test_only_free_splits_overlap_and_widen_the_intervals(images: Study, everything: Study) -> None:
    assert images.overlap == pytest.approx(1247 / 550)
    assert everything.overlap == quick(load("digits"), steps=1, trunk=(2,)).overlap == 0
    test = paired_test(images.delta("MTL").to_numpy(), overlap=1247 / 550)
    table = rows(images.transfer(), "MTL")
    np.testing.assert_allclose(table["low"], test.low)
    np.testing.assert_allclose(table["p"], test.p)


def table_of(seed: int, rows: int = 100) -> TaskData:
    """Three tasks of a table of 100 rows; the seed draws the table."""
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.standard_normal((rows, 6)))
    y = x[:, :3] + 0.5 * torch.from_numpy(random.standard_normal((rows, 3)))
    y[::7, 0] = torch.nan
    order = torch.arange(rows)
    split = Split(order[:60], order[60:80], order[80:])
    return TaskData("table", x, y, ("a", "b", "c"), "regression", split)


TABLE = table_of(0)


def split_anew(seed: int, **changes: Any) -> TaskData:
    order = torch.from_numpy(np.random.default_rng(seed).permutation(100))
    split = Split(order[:60], order[60:80], order[80:], **changes)
    return replace(TABLE, split=split)


def cut_after_shuffling(seed: int) -> TaskData:
    order = torch.from_numpy(np.random.default_rng(seed).permutation(100))
    return replace(TABLE, x=TABLE.x[order], y=TABLE.y[order])


def read_anew(seed: int) -> TaskData:
    data = split_anew(seed)
    return replace(data, x=TABLE.x.clone(), y=TABLE.y.clone())


def as_bits(seed: int) -> TaskData:
    order = torch.from_numpy(np.random.default_rng(seed).permutation(100))
    return replace(TABLE, x=Bits.from_dense(TABLE.x > 0).take(order), y=TABLE.y[order])


def trained_on_other_rows(seed: int) -> TaskData:
    order = torch.from_numpy(np.random.default_rng(seed).permutation(80))
    return replace(TABLE, split=replace(TABLE.split, train=order[:60], validation=order[60:]))


def scaled_by_its_training_rows(seed: int) -> TaskData:
    """As with scikit-learn's scaler, in the order of the table."""
    run = split_anew(seed)
    train = run.x[run.split.train]
    return replace(run, x=(run.x - train.mean(0)) / train.std(0))


def scaled_and_shuffled(seed: int) -> TaskData:
    run, order = (
        scaled_by_its_training_rows(seed),
        torch.from_numpy(np.random.default_rng(seed + 50).permutation(100)),
    )
    place = order.argsort()
    split = Split(
        *(place[part] for part in (run.split.train, run.split.validation, run.split.test))
    )
    return replace(run, x=run.x[order], y=run.y[order], split=split)


def all_scaled_by_its_training_rows(seed: int) -> TaskData:
    """The usual pipeline: features and targets."""
    run = scaled_by_its_training_rows(seed)
    train = run.y[run.split.train]
    return replace(run, y=(run.y - train.nanmean(0)) / train.abs().nanquantile(0.7, 0))


def a_part_of_the_rows(seed: int) -> TaskData:
    some = torch.from_numpy(np.random.default_rng(seed).permutation(100))[:96]
    rows = torch.arange(96)
    return replace(
        TABLE, x=TABLE.x[some], y=TABLE.y[some], split=Split(rows[:72], rows[:0], rows[72:])
    )


def drawn_with_replacement(seed: int) -> TaskData:
    some, rows = (
        torch.from_numpy(np.random.default_rng(seed).integers(0, 100, 100)),
        torch.arange(100),
    )
    return replace(
        TABLE, x=TABLE.x[some], y=TABLE.y[some], split=Split(rows[:60], rows[60:80], rows[80:])
    )


def other_labels_hidden(seed: int) -> TaskData:
    run = split_anew(seed)
    hidden = np.random.default_rng(seed).random(run.y.shape) < 0.1
    return replace(run, y=run.y.masked_fill(torch.from_numpy(hidden), NAN))


RESPLITS: dict[str, Callable[[int], TaskData]] = {
    "the same table, split anew": split_anew,
    "and called new data": partial(split_anew, kind="new data"),
    "and called free": partial(split_anew, kind="free"),
    "read anew": read_anew,
    "shuffled, then cut in the same places": cut_after_shuffling,
    "bits, shuffled and cut": as_bits,
    "with the same test rows": trained_on_other_rows,
    "scaled by their training rows": scaled_by_its_training_rows,
    "scaled and shuffled": scaled_and_shuffled,
    "with targets scaled as well": all_scaled_by_its_training_rows,
    "of most of the rows": a_part_of_the_rows,
    "of rows drawn with replacement": drawn_with_replacement,
    "with other labels hidden": other_labels_hidden,
    "in every second run alone": lambda seed: split_anew(seed) if seed % 2 else table_of(seed),
}


@pytest.mark.parametrize("case", RESPLITS)
def test_new_splits_of_the_same_rows_are_seen_whatever_they_are_called(case: str) -> None:
    study = quick(RESPLITS[case], seeds=4, steps=1, trunk=(2,))
    assert study.overlap == pytest.approx(20 / 60)
    assert set(study.results["split"]) == {"free"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (table_of, "fixed"),  # as it calls itself, and as independent as new data are
        (lambda seed: table_of(0), "fixed"),
        (lambda seed: TABLE, "fixed"),
        (dial, "new data"),
    ],
    ids=["other rows", "equal rows", "the same rows", "a synthetic family"],
)
def test_what_is_no_new_split_is_not_taken_for_one(data: Any, kind: str) -> None:
    study = quick(data, seeds=3, steps=1, trunk=(2,))
    assert study.overlap == 0
    assert set(study.results["split"]) == {kind}


@pytest.mark.slow
def test_the_same_call_gives_the_same_numbers() -> None:
    call = {"methods": ("MTL", "RandomWeights", "LBTW"), "dropout": 0.2}
    assert_same_numbers(quick(**call), quick(**call))


# ------------------------------------------------------------------- differences and counts


@pytest.mark.slow
def test_an_error_counts_with_its_sign_turned(everything: Study) -> None:
    for metric in ("MSE", "MSE (raw)"):
        wanted = values(everything, "STL", metric=metric) - values(everything, "MTL", metric=metric)
        pd.testing.assert_frame_equal(
            everything.delta("MTL", metric=metric), wanted, check_names=False
        )
    better = values(everything, "MTL", metric="R2") - values(everything, "STL", metric="R2")
    pd.testing.assert_frame_equal(everything.delta("MTL", metric="R2"), better, check_names=False)


def test_a_score_counts_as_it_is(images: Study) -> None:
    for metric, sign in (("PR-AUC", 1), ("ROC-AUC", 1), ("error", -1)):
        wanted = values(images, "RMTL", metric=metric) - values(images, "STL", metric=metric)
        pd.testing.assert_frame_equal(
            images.delta("RMTL", metric=metric), sign * wanted, check_names=False
        )
    assert images.metric == {f"digit {d}": "PR-AUC" for d in range(10)}
    assert images.delta("RMTL").equals(images.delta("RMTL", metric="PR-AUC"))


@pytest.mark.slow
def test_a_predictor_worse_than_stl_is_negative_everywhere() -> None:
    study = quick(steps=300)
    assert (study.delta("Constant") < 0).all(axis=None)
    assert rows(study.counts(), "Constant")["negative"].item() == 3


@pytest.mark.slow
@pytest.mark.parametrize("metric", [None, "MSE (raw)", "R2"])
def test_counts_are_those_of_the_tidy_table(everything: Study, metric: str | None) -> None:
    table, transfer = everything.counts(metric), everything.transfer(metric)
    name = metric or "MSE"
    sign = 1 if name == "R2" else -1
    stl = values(everything, "STL", metric=name)
    null = sign * (values(everything, "STL'", metric=name) - stl)
    spread = null_counts(null.to_numpy())
    for method, alpha in everything.arms():
        row = rows(table, method, alpha).iloc[0]
        mine = values(everything, method, alpha, name)
        delta = sign * (mine - stl)
        pd.testing.assert_frame_equal(
            everything.scores(method, alpha, metric), mine, check_names=False
        )
        assert row["mean"] == pytest.approx(mine.to_numpy().mean())
        assert row["negative"] == (delta.mean() < 0).sum()
        assert row["negative_per_run"] == pytest.approx((delta < 0).sum(axis=1).mean())
        assert (row["negative_null_low"], row["negative_null_high"]) == (spread.low, spread.high)
        floor = values(everything, "Constant", metric=name)
        learned = is_better((sign * (stl - floor)).to_numpy())
        learned |= is_better((sign * (mine - floor)).to_numpy())
        verdicts = rows(transfer, method, alpha).set_index("task")["verdict"]
        assert verdicts.tolist() == paired_test(delta.to_numpy(), learned=learned).verdict
        for verdict in ("harmed", "helped", "undecided", "not learned"):
            assert row[verdict.replace(" ", "_")] == (verdicts == verdict).sum()
        assert row["harmed_null"] == (rows(transfer, "STL'")["verdict"] == "harmed").sum()
        np.testing.assert_allclose(rows(transfer, method, alpha)["delta"], delta.mean())
    first = table.iloc[0]
    assert (first["method"], first["mean"]) == ("STL", pytest.approx(stl.to_numpy().mean()))


def lopsided(seed: int) -> TaskData:
    """Three binary tasks; in run 1 the third has no positive among the test rows."""
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.standard_normal((120, 4)))
    y = (x[:, :3] + 0.5 * torch.from_numpy(random.standard_normal((120, 3))) > 0).double()
    if seed == 1:
        y[60:, 2] = 0
    split = Split(torch.arange(60), torch.arange(0), torch.arange(60, 120), "new data")
    return TaskData("lopsided", x, y, ("a", "b", "c"), "binary", split, data_seed=seed)


@pytest.mark.slow
def test_means_are_over_the_tasks_that_are_scored_in_every_run_for_every_method() -> None:
    study = quick(lopsided, seeds=3, methods=("MTL", "RMTL"))
    scored = values(study, "MTL", metric="PR-AUC")
    assert scored.isna().to_numpy().tolist() == [[False] * 3, [False, False, True], [False] * 3]
    for row in study.counts().itertuples():
        both = values(study, row.method, metric="PR-AUC")[["a", "b"]]
        assert row.mean == pytest.approx(both.to_numpy().mean())


@pytest.mark.slow
def test_a_task_that_one_run_did_not_score_is_undecided_and_in_no_count() -> None:
    study = quick(lopsided, seeds=3)
    task = rows(study.transfer(), "MTL").set_index("task").loc["c"]
    assert task["verdict"] == "undecided"
    assert task[["delta", "low", "high", "p", "adjusted", "detectable"]].isna().all()
    delta = study.delta("MTL")[["a", "b"]]
    row = rows(study.counts(), "MTL").iloc[0]
    assert row["negative"] == (delta.mean() < 0).sum()
    assert row["negative_per_run"] == pytest.approx((delta < 0).sum(axis=1).mean())
    assert row["negative_null_low"] + row["negative_null_high"] == pytest.approx(2)
    assert row["undecided"] >= 1


@pytest.mark.slow
def test_turning_the_dial_to_90_degrees_harms_the_outsider_and_0_helps_all() -> None:
    verdicts = {}
    for angle in (0, 90):
        data = load("dial", tasks=(4, 1), samples=(30, 100), angle=angle)
        study = quick(data, seeds=6, steps=200, trunk=(1,), batch_size=64)
        verdicts[angle] = rows(study.transfer(), "MTL")["verdict"].tolist()
        assert (rows(study.transfer(), "STL'")["verdict"] == "undecided").all()
    assert verdicts[90][4] == "harmed"
    assert "harmed" not in verdicts[0] and "helped" in verdicts[0]


# ------------------------------------------------- on the whole, a margin, learned, the null


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["MSE", "R2"])
def test_on_the_whole_is_what_papers_report_and_its_interval(
    everything: Study, metric: str
) -> None:
    whole = everything.overall(metric)
    stl, sign = values(everything, "STL", metric=metric), -1 if metric == "MSE" else 1
    means = {"STL": stl.mean()}
    for method, alpha in everything.arms():
        row, mine = rows(whole, method, alpha).iloc[0], values(everything, method, alpha, metric)
        means[(method, alpha)] = mine.mean()
        by_run = sign * (mine - stl).mean(axis=1)
        wide = stats.t.ppf(0.975, 2) * by_run.std() / 3**0.5
        wanted = [by_run.mean(), by_run.mean() - wide, by_run.mean() + wide]
        assert row[["delta", "low", "high"]].to_list() == pytest.approx(wanted)
        percent = 100 * (sign * (mine.mean() - stl.mean()) / stl.mean()).mean()
        assert row["delta_m"] == pytest.approx(percent)
        assert (row["unit"], row["tasks"]) == (metric, 3)
    racing = {m: v for m, v in means.items() if m[0] not in ("STL'", "Constant")}
    ranks = (-sign * pd.DataFrame(racing)).rank(axis=1).mean()
    found = whole.dropna(subset="rank")
    assert found["rank"].to_list() == pytest.approx(ranks.to_list())
    assert set(whole["method"]) - set(found["method"]) == {"STL'", "Constant"}
    assert found["rank"].mean() == pytest.approx((len(ranks) + 1) / 2)


def test_a_percentage_of_nothing_is_no_number() -> None:
    study = quick(seeds=2, steps=1)
    results = study.results.copy()
    first = (results["method"] == "STL") & (results["task"] == "in 1")
    results.loc[first, "value"] = -0.5
    assert math.isnan(rows(replace(study, results=results).overall("R2"), "MTL")["delta_m"].item())


def test_on_the_whole_leaves_out_what_neither_of_the_two_has_learned() -> None:
    """On such a task both are as bad as a guess, and noise would make a mean of its own."""
    study = stored("cure-noisy")
    whole = study.overall().set_index("method")
    for method in ("MTL", "MTL, tuned"):
        verdict = rows(study.transfer(), method).set_index("task")["verdict"]
        own = verdict.index[verdict != "not learned"]
        delta = study.delta(method)[own].mean(axis=1)
        wide = float(stats.t.ppf(0.975, len(delta) - 1) * delta.std() / len(delta) ** 0.5)
        found = whole.loc[method, ["delta", "low", "high"]].to_list()
        mean = float(delta.mean())
        assert found == pytest.approx([mean, mean - wide, mean + wide])
        assert whole.loc[method, "tasks"] == len(own)
    assert whole.loc["MTL", "tasks"] == 6
    everything = study.delta("MTL").mean(axis=1).mean()
    assert whole.loc["MTL", "high"] < 0 < everything  # the noise of three tasks


@pytest.mark.slow
def test_on_the_whole_of_overlapping_splits_is_wider(images: Study) -> None:
    floor = images.results["method"] == "Constant"  # beside it, so few steps learn nothing
    row = rows(replace(images, results=images.results[~floor]).overall(), "MTL").iloc[0]
    by_run = images.delta("MTL").mean(axis=1)
    error = by_run.std() * (1 / 2 + 1247 / 550) ** 0.5
    wide = stats.t.ppf(0.975, 1) * error
    assert row["high"] - row["delta"] == pytest.approx(wide)


@pytest.mark.slow
def test_a_margin_turns_small_differences_into_none() -> None:
    study = quick(seeds=4, steps=200, margin=5)
    plain = quick(seeds=4, steps=200)
    assert study.margin == {"MSE": 5.0}
    assert (rows(study.transfer(), "MTL")["verdict"] == "same").all()
    assert rows(study.counts(), "MTL")["same"].item() == 3
    assert "same" not in plain.counts()
    pd.testing.assert_frame_equal(plain.with_margin(5).transfer(), study.transfer())
    assert "same" not in set(plain.with_margin({"R2": 1}).transfer()["verdict"])
    assert "same" in set(plain.with_margin({"R2": 9}).transfer("R2")["verdict"])


def test_a_margin_that_means_nothing_is_refused() -> None:
    refused(lambda: quick(margin=-1), "margin -1 of MSE", "0 or more")
    refused(lambda: quick(margin={"MES": 0.1}), "unknown metric 'MES'", "did you mean 'MSE'")
    refused(lambda: quick(mixed(), margin=0.1), "judged by PR-AUC and MSE", "one for each")
    refused(lambda: quick(margin="small"), "margin 'small'", "must be a number")


def half_noise(seed: int) -> TaskData:
    """Two tasks that the features tell, and two that are noise."""
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.standard_normal((160, 4)))
    y = torch.from_numpy(random.standard_normal((160, 4)))
    y[:, :2] = x[:, :2] + 0.3 * y[:, :2]
    order = torch.arange(160)
    split = Split(order[:80], order[80:80], order[80:], "new data")
    return TaskData("half noise", x, y, ("a", "b", "noise 1", "noise 2"), "regression", split)


@pytest.mark.slow
def test_a_task_that_nobody_learns_is_neither_harmed_nor_helped() -> None:
    """A method that barely trains fits less noise than single-task networks. That is no help."""
    careful = Method("Careful", settings={"weight_decay": 0.3})
    call: dict[str, Any] = {"trunk": (32,), "learning_rate": 1e-2, "weight_decay": 0.0}
    study = quick(half_noise, methods=("MTL", careful), seeds=5, steps=400, **call)
    noise = rows(study.transfer(), "Careful").set_index("task").loc[["noise 1", "noise 2"]]
    assert (noise["adjusted"] < 0.05).all() and (noise["delta"] > 0).all()
    assert (noise["verdict"] == "not learned").all()
    found = rows(study.transfer(), "MTL").set_index("task")
    assert (found.loc[["noise 1", "noise 2"], "verdict"] == "not learned").all()
    assert "not learned" not in found.loc[["a", "b"], "verdict"].to_list()
    counts = study.counts().set_index("method")
    assert counts.loc["MTL", "not_learned"] == counts.loc["Constant", "not_learned"] == 2
    assert counts.loc["Constant", "harmed"] == 2  # of the two that STL has learned
    floor = study.results["method"] == "Constant"
    silent = replace(study, results=study.results[~floor])  # nothing says what guessing does
    assert "not learned" not in set(silent.transfer()["verdict"])
    assert silent.counts()["not_learned"].sum() == 0
    against = rows(study.against("Constant").transfer(), "MTL").set_index("task")["verdict"]
    assert (against[["a", "b"]] == "helped").all()
    assert "not learned" not in set(against)


@pytest.mark.slow
def test_a_kept_null_of_many_pairs_is_that_of_every_study_of_these_data_and_this_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nulls, "FOLDER", tmp_path)
    call: dict[str, Any] = {"steps": 3, "trunk": (2,)}
    pairs = quick(methods=("STL",), seeds=range(500, 545), **call)
    keep_null(pairs, tmp_path / "null-mine.json")
    own = null_counts(pairs.delta("STL'").to_numpy())
    few = quick(**call)
    null = few.null_count()
    assert (null.low, null.high, null.pairs) == (own.low, own.high, 45)
    assert null.source == "null-mine"
    assert (null.negative, null.per_run) == null_counts(few.delta("STL'").to_numpy())[:2]
    row = rows(few.counts(), "MTL").iloc[0]
    assert row[["negative_null_low", "negative_null_high"]].to_list() == [own.low, own.high]
    assert row["null_pairs"] == 45
    by_r2 = null_counts(pairs.delta("STL'", metric="R2").to_numpy())
    assert few.null_count("R2")[2:5] == by_r2[2:5]
    stored_again = stored(keep(few, tmp_path / "kept"))
    assert stored_again.null_count()[2:5] == own[2:5]
    for other in (
        quick(steps=4, trunk=(2,)),
        quick(load("dial", groups=(GROUPS[0], replace(GROUPS[1], angle=80))), **call),
        quick(checkpoint="best_mean", **call),
        quick(steps={"STL'": 4}, trunk=(2,)),
    ):
        assert other.null_count().source == "these runs"
    refused(few.against("MTL").null_count, "MTL has no twin here")


def test_a_damaged_null_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nulls, "FOLDER", tmp_path)
    path = keep_null(quick(methods=("STL",), steps=1), tmp_path / "null-a.json")
    path.write_text(path.read_text().replace("-", "?"))
    refused(lambda: quick(steps=1).counts(), "null-a.json", "damaged")
    (tmp_path / "null-b.json").write_text("mine")
    refused(lambda: keep_null(quick(steps=1), tmp_path / "null-b.json"), "null-b.json")


# -------------------------------------------------------------- diverged and still improving


@pytest.mark.slow
@pytest.mark.parametrize(("checkpoint", "rate"), [("last", 1e25), ("best_mean", 1e9)])
def test_a_diverged_method_is_named_and_its_tasks_are_undecided(
    checkpoint: Any, rate: float
) -> None:
    """Even where a checkpoint was kept before it diverged."""
    wild = Method("Wild", settings={"learning_rate": rate, "schedule": "constant"})
    call = {"activation": "relu", "learning_rate": 1e-2}
    study = quick(methods=("MTL", wild), checkpoint=checkpoint, steps=200, **call)
    diverged = study.training.groupby("method")["diverged"].all()
    assert diverged.to_dict() == {"MTL": False, "STL": False, "STL'": False, "Wild": True}
    assert not rows(study.training, "Wild")["still_improving"].any()
    counts = study.counts().set_index("method")
    assert counts["diverged"].to_dict() == {"MTL": 0, "STL": 0, "STL'": 0, "Wild": 2, "Constant": 0}
    assert values(study, "Wild").isna().all(axis=None)
    assert (rows(study.transfer(), "Wild")["verdict"] == "undecided").all()
    assert counts.loc["Wild", "undecided"] == 3
    assert counts.loc["Wild", ["mean", "negative", "negative_per_run"]].isna().all()
    assert values(study, "MTL").notna().all(axis=None)
    for method in ("STL", "MTL"):  # of the others nothing is lost
        assert counts.loc[method, "mean"] == pytest.approx(values(study, method).mean(axis=None))


def test_of_several_alphas_only_the_one_that_diverged_is_lost() -> None:
    study = quick(methods=("LBTW",), alphas=(0, 1e6), steps=30)
    assert not rows(study.training, "LBTW", 0.0)["diverged"].any()
    assert rows(study.training, "LBTW", 1e6)["diverged"].all()
    assert values(study, "LBTW", 0.0).notna().all(axis=None)
    assert values(study, "LBTW", 1e6).isna().all(axis=None)


def test_where_stl_diverged_nothing_is_counted() -> None:
    study = quick(learning_rate=1e25, methods=(Method("MTL", settings={"learning_rate": 1e-2}),))
    counts = study.counts().set_index("method").loc["MTL"]
    assert counts[["negative", "negative_per_run"]].isna().all()
    assert (counts["harmed"], counts["helped"], counts["undecided"]) == (0, 0, 3)
    assert counts["mean"] == pytest.approx(values(study, "MTL").mean(axis=None))


def test_one_diverged_run_is_not_averaged_away() -> None:
    def wild(seed: int) -> TaskData:
        data = dial(seed)
        return replace(data, x=data.x * 1e30) if seed == 1 else data

    study = quick(wild, seeds=3, activation="relu")
    assert rows(study.training, "MTL")["diverged"].tolist() == [False, True, False]
    assert study.delta("MTL").isna().all(axis=1).tolist() == [False, True, False]
    table = rows(study.transfer(), "MTL")
    assert (table["verdict"] == "undecided").all() and table["delta"].isna().all()


@pytest.mark.slow
def test_a_budget_that_is_too_short_is_marked_and_one_that_is_long_enough_is_not() -> None:
    call = {"schedule": "constant", "learning_rate": 1e-2, "weight_decay": 0.0, "seeds": 3}
    short, enough = quick(steps=20, **call), quick(steps=600, **call)
    assert short.training["still_improving"].all()
    assert short.counts()["still_improving"].tolist() == [3, 3, 3, 0]
    assert enough.training["still_improving"].sum() <= 1  # of 9: chance marks one in forty
    assert (enough.training["loss"] < short.training["loss"]).all()


def test_the_validation_rows_are_watched_where_there_are_any(images: Study) -> None:
    assert set(quick(steps=1).training["watched"]) == {"validation"}
    assert set(images.training["watched"]) == {"training"}


def test_still_improving_is_a_fall_beyond_the_noise() -> None:
    random = np.random.default_rng(0)
    steps = np.linspace(0, 1, 100)
    assert still_improving(1 - steps)
    assert still_improving(1 - steps + 0.01 * random.standard_normal(100))
    assert not still_improving(np.exp(-20 * steps))  # flat since long
    assert not still_improving(steps)  # getting worse
    assert not still_improving(np.full(100, np.nan))
    assert not still_improving(np.array([3.0, 2.0, 1.0]))  # too few to know
    for points in (20, 200):
        noise = [still_improving(1 + random.standard_normal(points)) for _ in range(1000)]
        assert np.mean(noise) == pytest.approx(0.025, abs=0.015)
    # Only the end counts: what fell before the last fifth does not.
    assert not still_improving(np.maximum(1 - steps / 0.7, 0) + 1e-3 * random.standard_normal(100))
    assert still_improving(np.maximum(0.2 - np.maximum(steps - 0.7, 0), 0))


# -------------------------------------------------------------------------- how it is called


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_an_executor_gives_the_same_numbers(kind: str) -> None:
    call = {"methods": ("MTL", "LBTW", "RMTL"), "alphas": (0.0, 0.5), "dropout": 0.1}
    makes: dict[str, Callable[[], Executor]] = {
        "threads": lambda: ThreadPoolExecutor(2),
        "processes": lambda: ProcessPoolExecutor(
            1, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        ),
    }
    told: list[float] = []
    with makes[kind]() as executor:
        data = dial()
        there = quick(data, executor=executor, progress=lambda f, _: told.append(f), **call)
    assert_same_numbers(there, quick(**call))
    assert told == sorted(told) and told[-1] == pytest.approx(1)


def test_no_data_are_read_while_an_executor_may_be_moving_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pool of processes pickles tensors in a thread of its own, and their memory moves."""
    ready: list[str] = []
    sent: list[int] = []

    class Watched(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **options: Any) -> Any:
            sent.append(len(ready))
            return super().submit(*arguments, **options)

    def picklable(job: Any) -> Any:
        ready.append(job.method.name)
        return job

    monkeypatch.setattr(jobs, "picklable", picklable)
    with Watched(1) as executor:
        quick(methods=("MTL", "LBTW", "Ridge"), executor=executor)
    assert sorted(ready) == ["LBTW", "MTL", "Ridge", "STL", "STL'"]
    assert set(sent) == {5} and len(sent) == 5


class Dies(Uniform):
    """Takes a worker process with it as soon as a training begins there."""

    def reset(self, like: torch.Tensor) -> None:
        if parent_process() is not None:
            os._exit(1)


def dies(given: WeighterArguments) -> Uniform:
    return Dies()


@pytest.mark.slow
def test_what_goes_wrong_in_another_process_is_said_in_one_line(tmp_path: Path) -> None:
    here = Method("Own", lambda given: Uniform())
    with ProcessPoolExecutor(1, forking()) as executor:
        call: dict[str, Any] = {"executor": executor, "folder": tmp_path, "memory": 1e-6}
        refused(lambda: quick(methods=(here,), **call), "Own", "cannot be sent")
        refused(lambda: quick(methods=("MTL", Method("Own", dies)), **call), "holds another study")
        deadly = {"executor": executor, "folder": tmp_path / "b", "methods": (Method("Own", dies),)}
        refused(lambda: quick(**deadly), "a worker process died")
    assert [*(tmp_path / "b").glob("STL-*.json")]  # what was finished is kept


def test_an_error_in_a_method_of_ones_own_is_not_hidden() -> None:
    def wrong(given: WeighterArguments) -> Uniform:
        raise TypeError("mine")

    with ThreadPoolExecutor(1) as executor, pytest.raises(TypeError, match="mine"):
        quick(methods=(Method("Own", wrong),), executor=executor)


def test_progress_is_told_step_by_step_and_ends_at_one() -> None:
    told: list[tuple[float, str]] = []
    quick(methods=("MTL", "Fine-Tuning"), steps=5, progress=lambda *t: told.append(t))
    done = [fraction for fraction, _ in told]
    assert len(told) == 5 * 3 + 10  # Fine-Tuning trains twice
    assert 0 < done[0] < 0.2 and done[-1] == pytest.approx(1)
    assert (np.diff(done) > 0).all()
    assert list(dict.fromkeys(name for _, name in told)) == ["STL", "STL'", "MTL", "Fine-Tuning"]


def test_a_bar_is_shown_unless_progress_is_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test before this one may have made this process a kernel, where a bar is a widget.
    monkeypatch.setattr("tqdm.auto.tqdm", tqdm)
    quick(steps=2)
    assert capsys.readouterr() == ("", "")
    quick(steps=2, progress=True)
    shown = capsys.readouterr().err
    assert "100%" in shown and "left" in shown and "MTL" in shown


def test_stop_is_asked_at_every_step_and_ends_the_comparison() -> None:
    asked = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 12

    with pytest.raises(Stopped):
        quick(steps=10, stop=stop)
    assert len(asked) == 13
    quick(steps=10, stop=lambda: False)


def test_stop_ends_a_comparison_in_an_executor() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(Stopped):
        quick(steps=10, stop=lambda: True, executor=executor)


@pytest.mark.slow
def test_a_budget_can_be_set_method_by_method() -> None:
    data = dial()
    study = quick(data, methods=("MTL", "LBTW"), alphas=(1,), steps={"MTL": 7, "STL'": 3})
    steps = study.training.groupby("method")["steps"].unique().map(list)
    usual = data.recipe["steps"]
    assert steps.to_dict() == {"MTL": [7], "STL'": [3], "LBTW": [usual], "STL": [usual]}


def test_a_method_may_have_settings_of_its_own() -> None:
    faster = Method("MTL, faster", settings={"learning_rate": 1e-1})
    study = quick(methods=("MTL", faster))
    alike = quick(learning_rate=1e-1)
    pd.testing.assert_frame_equal(values(study, faster.name), values(alike, "MTL"), rtol=1e-5)
    assert (values(study, faster.name) != values(study, "MTL")).all(axis=None)


def test_a_twin_has_the_steps_of_its_baseline() -> None:
    study = quick(steps={"STL": 3, "MTL": 2})
    assert study.training.groupby("method")["steps"].max().to_dict() == {
        "STL": 3,
        "STL'": 3,
        "MTL": 2,
    }
    apart = quick(steps={"STL": 3, "STL'": 4, "MTL": 2})
    assert apart.training.set_index("method").loc["STL'", "steps"].max() == 4


def test_a_method_of_ones_own_is_compared_like_the_others() -> None:
    own = Method("LBTW, shuffled", lambda given: Shuffled(LBTW(given.alpha)), alpha=True)
    study = quick(methods=("LBTW", own), alphas=(1.0,))
    assert ("LBTW, shuffled", 1.0) in study.arms()
    assert (values(study, own.name, 1.0) != values(study, "LBTW", 1.0)).any(axis=None)


def test_a_trunk_is_given_by_its_widths_or_by_name() -> None:
    widths, name = quick(trunk=[64, 32], steps=2), quick(trunk="small", steps=2)
    assert_same_numbers(widths, name)
    assert widths.recipe.trunk == (64, 32)


def mixed(seed: int = 0) -> TaskData:
    """Two binary tasks and a regression task."""
    data = lopsided(seed)
    y = torch.cat([data.y[:, :2], data.x[:, :1]], 1)
    return replace(data, y=y, kind=("binary", "binary", "regression"))


def test_a_mean_over_several_metrics_is_no_number() -> None:
    study = quick(mixed, seeds=3)
    assert study.counts()["mean"].isna().all()
    assert study.counts("MSE")["mean"].notna().all()
    whole = study.overall().set_index("method")
    assert set(whole["unit"]) == {"standard errors"} and set(whole["tasks"]) == {3}
    delta = study.delta("MTL")
    each = delta.mean() / standard_errors(delta.to_numpy(), units=["PR-AUC", "PR-AUC", "MSE"])
    assert whole.loc["MTL", "delta"] == pytest.approx(each.mean())
    assert set(study.overall("PR-AUC")["unit"]) == {"PR-AUC"}
    assert set(study.overall("PR-AUC")["tasks"]) == {2}


def test_two_kinds_of_task_stand_side_by_side() -> None:
    study = quick(mixed())
    assert study.metric == {"a": "PR-AUC", "b": "PR-AUC", "c": "MSE"}
    delta = study.delta("MTL")
    for task, metric, sign in (("a", "PR-AUC", 1), ("c", "MSE", -1)):
        change = values(study, "MTL", metric=metric) - values(study, "STL", metric=metric)
        np.testing.assert_allclose(delta[task], sign * change[task])


# --------------------------------------------------------------------------------- bad input

REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an unknown method": ({"methods": ("LBWT",)}, ("'LBWT'", "did you mean 'LBTW'")),
    "a method that is no name": ({"methods": (3,)}, ("unknown method 3", "known: STL, MTL")),
    "the null as a method": ({"methods": ("STL'",)}, ("unknown method", "did you mean 'STL'")),
    "no method": ({"methods": ()}, ("no methods", "STL, MTL, Fine-Tuning")),
    "nothing for methods": ({"methods": None}, ("unknown method None", "known: STL")),
    "a method twice": ({"methods": ("MTL", "MTL")}, ("'MTL'", "once")),
    "two methods of one name": ({"methods": ("MTL", Method("MTL"))}, ("'MTL'", "once")),
    "an STL of one's own": (
        {"methods": ("MTL", Method("STL", settings={"dropout": 0.5}))},
        ("'STL'", "another name"),
    ),
    "a null of one's own": ({"methods": Method("STL'")}, ("STL'", "another name")),
    "a negative alpha": ({"methods": "LBTW", "alphas": (0.1, -0.1)}, ("alpha -0.1", "0 or more")),
    "an alpha that is NaN": ({"methods": "LBTW", "alphas": (NAN,)}, ("alpha nan", "a number")),
    "an endless alpha": ({"methods": "LBTW", "alphas": (math.inf,)}, ("alpha inf", "a number")),
    "an alpha in words": ({"methods": "LBTW", "alphas": ("a",)}, ("alpha 'a'", "a number")),
    "alphas in words": ({"methods": "LBTW", "alphas": "0.1"}, ("alpha '0.1'", "a number")),
    "nothing for alphas": ({"methods": "LBTW", "alphas": None}, ("alpha None", "a number")),
    "no alpha": ({"methods": "LBTW", "alphas": ()}, ("no alphas", "one or more")),
    "an alpha twice": ({"methods": "LBTW", "alphas": (0.1, 0.1)}, ("[0.1, 0.1]", "once")),
    "a truth for an alpha": ({"methods": "LBTW", "alphas": (True,)}, ("alpha True", "a number")),
    "a negative alpha that no method needs": ({"alphas": (-1,)}, ("alpha -1", "0 or more")),
    "no seeds": ({"seeds": 0}, ("seeds 0", "1 or more")),
    "an empty list of seeds": ({"seeds": []}, ("seeds []", "1 or more")),
    "negative seeds": ({"seeds": -1}, ("seeds -1", "1 or more")),
    "a negative seed": ({"seeds": [0, -1]}, ("seeds [0, -1]", "from 0")),
    "a seed twice": ({"seeds": [1, 1]}, ("seeds [1, 1]", "distinct")),
    "a truth for seeds": ({"seeds": True}, ("seeds True", "whole numbers")),
    "a truth for a seed": ({"seeds": [True]}, ("seeds [True]", "whole numbers")),
    "half a seed": ({"seeds": [0.5]}, ("seeds [0.5]", "whole numbers")),
    "seeds in words": ({"seeds": "5"}, ("seeds '5'", "whole numbers")),
    "a seed that the null needs": ({"seeds": [10**6]}, ("seeds [1000000]", "to 999999")),
    "a name for data": ({"data": "dial"}, ("data", "TaskData", "not str")),
    "a callable without data": ({"data": lambda seed: None}, ("NoneType", "give a TaskData")),
    "tasks that change with the seed": (
        {"data": lambda seed: load("dial", tasks=(6 - seed, 3), seed=seed)},
        ("'dial-unrelated'", "the same tasks"),
    ),
    "features that change with the seed": (
        {"data": lambda seed: replace(dial(seed), x=dial(seed).x[:, seed:])},
        ("'dial-custom'", "the same features"),
    ),
    "no steps": ({"steps": 0}, ("steps 0", "1 or more")),
    "half a step": ({"steps": 1.5}, ("steps 1.5", "whole number")),
    "steps in words": ({"steps": "many"}, ("steps 'many'", "whole number")),
    "steps of a method that is not there": ({"steps": {"LBTW": 3}}, ("'LBTW'", "not compared")),
    "no steps for a method": ({"steps": {"MTL": 0}}, ("steps 0", "1 or more")),
    "an empty trunk": ({"trunk": ()}, ("trunk ()", "at least one hidden width")),
    "a trunk of width 0": ({"trunk": (8, 0)}, ("trunk (8, 0)", "width of 1 or more")),
    "a trunk of half a width": ({"trunk": (3.5,)}, ("trunk (3.5,)", "width of 1 or more")),
    "an unknown trunk": ({"trunk": "smal"}, ("'smal'", "did you mean 'small'")),
    "a number for a trunk": ({"trunk": 3}, ("trunk 3", "hidden widths", "small")),
    "an unknown activation": ({"activation": "relo"}, ("'relo'", "did you mean 'relu'")),
    "an activation that is no name": ({"activation": 3}, ("activation 3", "known: relu")),
    "an unknown device": ({"device": "gpu"}, ("'gpu'", "'cpu' or 'auto'")),
    "a device that is none": ({"device": {}}, ("device {}", "'cpu' or 'auto'")),
    "an unknown checkpoint": ({"checkpoint": "best"}, ("'best'", "did you mean 'best_mean'")),
    "nothing for a checkpoint": ({"checkpoint": None}, ("checkpoint None", "known: last")),
    "a misspelt setting": ({"learnin_rate": 1}, ("'learnin_rate'", "did you mean 'learning_rate'")),
    "an unknown setting": ({"optimizer": 1}, ("'optimizer'", "known: trunk, architecture")),
    "no learning rate": ({"learning_rate": 0}, ("learning_rate 0", "above 0")),
    "an endless learning rate": ({"learning_rate": math.inf}, ("learning_rate inf", "above 0")),
    "a learning rate in words": ({"learning_rate": "1"}, ("learning_rate '1'", "above 0")),
    "negative weight decay": ({"weight_decay": -1}, ("weight_decay -1", "0 or more")),
    "no batch": ({"batch_size": 0}, ("batch_size 0", "1 or more")),
    "dropping everything": ({"dropout": 1}, ("dropout 1", "[0, 1)")),
    "dropout in words": ({"dropout": "half"}, ("dropout 'half'", "[0, 1)")),
    "an unknown precision": ({"precision": "bf32"}, ("unknown precision 'bf32'", "'bf16'")),
    "a batch norm that is no choice": ({"batch_norm": "yes"}, ("batch_norm 'yes'", "True")),
    "an unknown schedule": ({"schedule": "linear"}, ("'linear'", "'cosine'")),
    "an unknown mean": ({"loss_over": "some"}, ("'some'", "labelled, all")),
    "the best step without validation rows": (
        {"data": lopsided, "checkpoint": "best_mean"},
        ("'best_mean'", "validation rows", "use 'last'"),
    ),
    "every task's best step without validation rows": (
        {"data": lopsided, "checkpoint": "best_per_task"},
        ("'best_per_task'", "validation rows", "use 'last'"),
    ),
    "fine-tuning of a single task": (
        {"data": load("dial", groups=GROUPS[1:]), "methods": "Fine-Tuning"},
        ("Fine-Tuning", "two tasks or more", "'dial-custom' has one"),
    ),
    "batch norm of a single row": (
        {
            "data": replace(
                lopsided(0),
                split=Split(torch.arange(1), torch.arange(0), torch.arange(2, 9)),
                kind="regression",
            ),
            "batch_norm": True,
        },
        ("'lopsided'", "1 training rows", "2 or more"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_comparison_that_cannot_be_made_is_refused_in_one_line_and_leaves_nothing(
    case: str, tmp_path: Any
) -> None:
    given, words = REFUSED[case]
    refused(lambda: quick(folder=tmp_path / "study", **given), *words)
    assert [*tmp_path.rglob("*.json")] == []


def test_a_device_that_is_not_here_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    refused(lambda: quick(device="cuda"), "device 'cuda'", "use 'cpu' or 'auto'")


def test_a_method_with_an_unknown_setting_is_refused() -> None:
    refused(lambda: Method("Mine", settings={"lr": 1}), "'Mine'", "unknown setting 'lr'")


def test_an_unknown_metric_is_refused(everything: Study) -> None:
    for call in (
        everything.transfer,
        everything.counts,
        lambda metric: everything.delta("MTL", metric=metric),
    ):
        refused(lambda call=call: call("MES"), "'MES'", "did you mean 'MSE'")
        refused(lambda call=call: call(3), "unknown metric 3", "known: MSE")


def test_a_method_that_was_not_compared_is_refused(everything: Study) -> None:
    refused(lambda: everything.delta("LBTW", 0.7), "'LBTW' with alpha 0.7", "LBTW 0.5")
    refused(lambda: everything.delta("LBTW"), "'LBTW' with alpha nan", "LBTW 0.5")


def test_numpys_numbers_are_numbers() -> None:
    study = quick(seeds=np.int64(1), alphas=np.array([0.5]), methods=("LBTW",), steps=np.int64(2))
    assert [*study.results["seed"].unique()] == [0]
    assert ("LBTW", 0.5) in study.arms()


def test_bad_input_is_one_of_the_packages_names() -> None:
    assert issubclass(mtl_nt.BadInput, ValueError)
