"""A study of a body of one's own: every method, every file, and what is refused in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from torch import Tensor, nn

import mtl_nt
from mtl_nt import METHODS, Method, OwnBody, Recipe, Split, Study, TaskData, compare, load
from mtl_nt.audit.audit import DEFAULT_METHODS
from mtl_nt.audit.costs import measure_costs
from mtl_nt.bits import Bits
from mtl_nt.figures.tables import arm_tables, scope_line
from mtl_nt.study import gradient_affinity
from mtl_nt.study.chunks import TrainingJob, bytes_per_network, plan_chunks
from mtl_nt.study.pieces import piece_job
from mtl_nt.study.plan_file import plan_json
from mtl_nt.study.stored import keep, stored

F, T = 8, 3
HIDDEN = 12


class Body(nn.Module):
    """A layer with batch norm and dropout."""

    slope = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(F, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.layers(x), self.slope)


def table(**given: Any) -> TaskData:
    """240 rows, 3 regression tasks; labels are missing."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(240, F, generator=draw)
    y = x @ torch.randn(F, T, generator=draw) + 0.3 * torch.randn(240, T, generator=draw)
    y[torch.rand(y.shape, generator=draw) < 0.2] = torch.nan
    rows = torch.randperm(240, generator=draw)
    usual: dict[str, Any] = {
        "name": "own",
        "x": x,
        "y": y,
        "tasks": ("a", "b", "c"),
        "kind": "regression",
        "split": Split(rows[:140], rows[140:180], rows[180:]),
    }
    return TaskData(**{**usual, **given})


DATA = table()


def quick(methods: Any = "MTL", body: Any = Body, data: TaskData = DATA, **given: Any) -> Study:
    usual: dict[str, Any] = {"seeds": 3, "steps": 20, "trunk": (5,), "progress": False}
    return compare(data, methods, architecture=body, **{**usual, **given})


def values(study: Study) -> pd.Series:
    return study.results.set_index(["method", "alpha", "seed", "task", "metric"])["value"]


# -------------------------------------------------------------------------------------- methods


@pytest.mark.slow
def test_every_method_of_an_audit_and_every_weighter_trains_an_own_body() -> None:
    networks = [m for m in METHODS.values() if m.predictor is None and m.name != "CNN"]
    wanted = [*networks, *(n for n in DEFAULT_METHODS if n not in METHODS)]
    study = quick(wanted, alphas=(0.5,), trials=2, seeds=2, checkpoint="best_per_task")
    assert {*study.training["method"]} >= {m if isinstance(m, str) else m.name for m in wanted}
    assert study.results["value"].notna().all()
    assert not study.training["diverged"].any()


@pytest.mark.slow
def test_an_own_body_learns_digits_with_convolutions() -> None:
    def convolutions() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())

    study = compare(
        load("digits"), "CNN", architecture=convolutions, trunk=(32,), steps=200, seeds=2,
        baseline="MTL", progress=False,
    )  # fmt: skip
    mean = values(study).xs("PR-AUC", level="metric").groupby("method").mean()
    assert mean[["MTL", "CNN"]].min() > 0.8
    assert mean["Constant"] < 0.2


@pytest.mark.slow
def test_one_method_may_have_another_body_than_the_others() -> None:
    other = Method("flat", settings={"architecture": nn.Flatten})
    study = quick(["MTL", other])
    found = values(study).groupby("method").mean()
    assert found["flat"] != found["MTL"]
    plain = quick(["MTL"])
    assert values(plain).loc["MTL"].equals(values(study).loc["MTL"])


@pytest.mark.slow
def test_scores_are_the_same_whatever_trains_beside_a_network() -> None:
    body = body_of(6, partial(nn.Dropout, 0.3))
    together, apart = quick("RMTL", body), quick("RMTL", body, memory=1e-6)
    job = TrainingJob(METHODS["STL"], [DATA], [0], [0.0], together.recipe, {}, 1, 1e3)
    assert len(plan_chunks(job)) == T  # one network fits into such a memory
    gap = (values(together) - values(apart)).xs("MSE", level="metric").abs()
    assert gap.max() < 1e-5


def test_a_study_leaves_every_generator_as_it_was() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    quick("MTL", steps=3)
    after = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    torch.manual_seed(2)
    assert values(quick("MTL", steps=3)).equals(values(quick("MTL", steps=3)))


@pytest.mark.slow
def test_bits_and_the_affinity_of_tasks_work_with_an_own_body() -> None:
    bits = table(x=Bits.from_dense(DATA.x > 0))
    assert values(quick("GradNorm", data=bits, alphas=(0.5,))).notna().all()
    recipe = Recipe(architecture=Body, trunk=(5,), steps=6, batch_size=32)
    cosines, _ = gradient_affinity(DATA, [0], recipe)
    assert cosines.shape[1:] == (T, T)
    assert np.isfinite(cosines).all()


@pytest.mark.slow
def test_an_audits_costs_count_a_body_with_the_trunk() -> None:
    data = replace(DATA, recipe={"architecture": Body, "trunk": (5,), "steps": 10})
    costs = measure_costs(lambda method: piece_job(method, [data], [0], []), limit=0.3)
    job = piece_job(METHODS["MTL"], [data], [0], [])
    assert job.recipe.own_body == OwnBody(Body)
    assert costs.seconds(job) > 0


def test_memory_is_estimated_from_what_the_body_keeps() -> None:
    def job(body: Callable[[], nn.Module]) -> TrainingJob:
        recipe = Recipe(architecture=body, trunk=(5,))
        return TrainingJob(METHODS["MTL"], [DATA], [0], [0.0], recipe, {})

    small, large = job(Body), job(partial(nn.Linear, F, 100_000))
    more = bytes_per_network(large) - bytes_per_network(small)
    assert more > 4 * 4 * 100_000 * (F + 5)  # weights, gradients and Adam's averages


@pytest.mark.slow
def test_threads_that_train_side_by_side_change_no_number() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = values(quick("MTL", memory=1e-6, executor=pool, steps=40))
    assert found.equals(values(quick("MTL", memory=1e-6, steps=40)))


@pytest.mark.slow
def test_another_process_gets_the_body_if_a_module_has_it() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        assert values(quick("MTL", executor=pool)).equals(values(quick("MTL")))
        refused(lambda: quick("MTL", lambda: Body(), executor=pool), "another process")


# ---------------------------------------------------------------------------------------- files


def body_of(hidden: int, activation: Callable[[], nn.Module] = nn.ReLU) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        return nn.Sequential(nn.Linear(F, hidden), activation())

    return made


def test_a_folder_gives_no_score_of_a_body_that_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quick("MTL", body_of(6), folder=tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("mtl_nt.training.loop.Network", None)  # nothing trains again
        assert values(quick("MTL", body_of(6), folder=tmp_path)).equals(values(first))
    for other in (body_of(7), body_of(6, nn.Tanh)):
        message = "the body has other code than there"
        refused(lambda b=other: quick("MTL", b, folder=tmp_path), "architecture differs", message)
    refused(lambda: quick("MTL", "mlp", folder=tmp_path), "differs", "give another folder")


@pytest.mark.slow
def test_a_folder_sees_the_class_its_constants_and_the_globals_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick("MTL", folder=tmp_path)
    quick("MTL", folder=tmp_path)
    for place, value in (("Body.slope", 0.2), ("HIDDEN", 13)):
        with monkeypatch.context() as patched:
            patched.setattr(f"{__name__}.{place}", value)
            refused(lambda: quick("MTL", folder=tmp_path), "architecture differs")
    quick("MTL", folder=tmp_path)


@pytest.mark.slow
def test_a_version_stands_for_the_code_of_a_body(tmp_path: Path) -> None:
    refused(lambda: quick("MTL", with_a_lock(), folder=tmp_path / "a"), "OwnBody(..., version=1)")
    body = partial(OwnBody, with_a_lock())
    one = quick("MTL", body(version=1), folder=tmp_path / "b")
    assert values(quick("MTL", OwnBody(with_a_lock(), 1), folder=tmp_path / "b")).equals(
        values(one)
    )
    refused(lambda: quick("MTL", body(version=2), folder=tmp_path / "b"), "differs")
    assert quick("MTL", with_a_lock(), steps=2).null_identity == {"STL": ""}


def with_a_lock() -> Callable[[], nn.Module]:
    lock = Lock()

    def made() -> nn.Module:
        assert not lock.locked()
        return nn.Sequential(nn.Linear(F, 4), nn.ReLU())

    return made


@pytest.mark.slow
def test_a_kept_study_and_its_pictures_name_the_body(tmp_path: Path) -> None:
    study = quick("MTL")
    again = stored(keep(study, tmp_path / "kept"))
    assert json.loads((tmp_path / "kept/study.json").read_text())["recipe"]["architecture"] == (
        "own body Body"
    )
    assert again.recipe is not None
    assert again.recipe.architecture == "own body Body"
    assert np.allclose(values(again), values(study), rtol=1e-4, atol=1e-4)
    for one in (study, again):
        assert "own body Body, trunk 5, 20 steps" in scope_line(one, arm_tables(one))
    refused(lambda: quick("MTL", again.recipe.architecture), "no file has", "architecture")
    text = (tmp_path / "kept/study.json").read_text()
    (tmp_path / "kept/study.json").write_text(text.replace('"own body Body"', "5"))
    refused(lambda: stored(tmp_path / "kept"), "damaged")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["MTL", "STL", "Fine-Tuning"])
def test_a_fitted_plan_is_read_with_its_body(tmp_path: Path, method: str) -> None:
    plan = quick("MTL", Body).task_plan()
    wanted = {task: {"method": method} for task in DATA.tasks}
    text = {**json.loads(plan_json(plan)), "tasks": wanted}
    (tmp_path / "plan.json").write_text(json.dumps(text))
    refused(
        lambda: mtl_nt.fit_plan(DATA, tmp_path / "plan.json", progress=False),
        "own body Body", "no file has", "architecture=",
    )  # fmt: skip
    fitted = mtl_nt.fit_plan(DATA, tmp_path / "plan.json", architecture=Body, progress=False)
    assert fitted.parts[0].recipe.own_body == OwnBody(Body)
    folder = fitted.save(tmp_path / "fitted")
    read = mtl_nt.load_plan(folder, architecture=Body)
    pd.testing.assert_frame_equal(read.predict(DATA.x), fitted.predict(DATA.x))
    refused(lambda: mtl_nt.load_plan(folder), "own body Body", "load_plan(folder, architecture=")
    refused(lambda: mtl_nt.load_plan(folder, nn.Flatten), "own body Flatten")


def test_another_body_than_that_of_a_fitted_plan_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {"tasks": {task: {"method": "MTL"} for task in DATA.tasks}}
    settings: dict[str, Any] = {"trunk": (5,), "steps": 9, "progress": False}
    fitted = mtl_nt.fit_plan(DATA, plan, architecture=body_of(6), **settings)
    folder = fitted.save(tmp_path / "fitted")
    again = mtl_nt.load_plan(folder, body_of(6))
    pd.testing.assert_frame_equal(again.predict(DATA.x), fitted.predict(DATA.x))
    refused(lambda: mtl_nt.load_plan(folder, body_of(6, nn.GELU)), "gives other numbers")
    refused(lambda: mtl_nt.load_plan(folder, body_of(5)), "weights of other names or shapes")
    refused(lambda: mtl_nt.load_plan(folder, body_of(60)), "more weights than the plan")
    monkeypatch.setattr(f"{__name__}.F", F + 1)
    refused(lambda: mtl_nt.load_plan(folder, body_of(6)), "cannot read the plan's rows")


@pytest.mark.slow
def test_a_plan_in_memory_keeps_its_body() -> None:
    plan = quick("MTL").task_plan()
    fitted = mtl_nt.fit_plan(DATA, plan, progress=False)
    assert fitted.parts[0].recipe.own_body == OwnBody(Body)
    assert fitted.predict(DATA.x).notna().all(axis=None)


# ------------------------------------------------------------------------------------- refusals


def test_a_body_that_cannot_be_used_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    def images() -> nn.Module:
        return nn.Sequential(nn.Unflatten(1, (2, 4)))

    folder = tmp_path / "results"
    refused(lambda: quick("MTL", images, folder=folder), "own body images", "[4, 2, 4]", "[4, D]")
    assert not folder.exists()
    refused(lambda: quick("MTL", trunk=(5, 3)), "own", "trunk=(3,)")
    refused(lambda: compare(DATA, "MTL", body=Body), "'body'", "give architecture=Body")


def test_a_network_with_one_row_has_no_batch_norm() -> None:
    rows = torch.arange(240)
    one = table(y=torch.where(rows[:, None] % 140 < 1, DATA.y.nan_to_num(), torch.nan))
    refused(lambda: quick("MTL", data=one), "it needs 2 or more")


# ---------------------------------------------------------------- the README


def test_the_example_of_the_readme_runs() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = text.split("### Methods and networks of your own")[1].split("\n### ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert code.count("trunk=(32,))") == 1
    fast = code.replace("trunk=(32,))", "trunk=(32,), seeds=2, steps=3, progress=False)")
    defined: dict[str, Any] = {"torch": torch, "mtl_nt": mtl_nt}  # as the README's first example
    exec(fast, defined)
    assert {"STL", "MTL", "GradNorm"} <= {*defined["study"].results["method"]}
    assert defined["study"].recipe.architecture == "own body convolution"


def test_batches_of_one_row_are_refused_where_a_body_has_a_batch_norm() -> None:
    small = {"trunk": (4,), "steps": 2, "seeds": 1, "progress": False}
    words = ("batch_size 1", "a batch norm needs 2 rows", "batch_size=2")
    refused(lambda: compare(DATA, "MTL", architecture=Body, batch_size=1, **small), *words)
    compare(DATA, "MTL", architecture=Body, batch_size=2, **small)
    compare(DATA, "MTL", batch_size=1, **small)
