"""A plan, trained on all rows: what it predicts, how it is kept, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refused
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from mtl_nt import FittedPlan, Method, Split, TaskData, fit_plan, load, load_plan, with_alpha
from mtl_nt.bits import Bits
from mtl_nt.study import WeighterArguments, compare, keep, plan_json, read_plan, stored
from mtl_nt.study.fitted_files import CARD, NETWORKS
from mtl_nt.study.task_plan import _own_settings
from mtl_nt.training import Replicas, fit
from mtl_nt.weighters import LBTW, UAMTFL, Uniform

DIAL = load("dial")
QUICK: dict[str, Any] = {"steps": 30, "progress": False}


def plan_of(*methods: str, tasks: tuple[str, ...] = DIAL.tasks, **alphas: float) -> dict[str, Any]:
    """A plan that gives these methods to the tasks in turn."""
    chosen = [methods[k % len(methods)] for k in range(len(tasks))]
    entries = [{"method": m, **({"alpha": alphas[m]} if m in alphas else {})} for m in chosen]
    return {"tasks": dict(zip(tasks, entries, strict=True))}


@pytest.fixture(scope="module")
def fitted() -> FittedPlan:
    methods = ("STL", "MTL", "Fine-Tuning", "RMTL", "LBTW", "MTL, tuned")
    plan = plan_of(*methods, LBTW=0.5) | {"candidates": {"MTL, tuned": [1, 4]}}
    return fit_plan(DIAL, plan, **QUICK)


def test_a_part_of_a_plan_is_the_network_that_all_rows_would_train(fitted: FittedPlan) -> None:
    rows, tasks = len(DIAL.x), len(DIAL.tasks)
    again = TaskData(
        name="all rows",
        x=torch.cat([DIAL.x, DIAL.x[:5]]),  # type: ignore[list-item]
        y=torch.cat([DIAL.y, DIAL.y[:5]]),
        tasks=DIAL.tasks,
        kind=DIAL.kind,
        split=Split(torch.arange(rows), torch.arange(0), torch.arange(rows, rows + 5)),
        unit=DIAL.unit,
        standardise=DIAL.standardise,
        recipe=DIAL.recipe,
    )
    zero, every = torch.tensor([0]), torch.ones(1, tasks, dtype=torch.bool)
    replicas = Replicas(zero, zero, every, every, zero, zero - 1)
    part = next(part for part in fitted.parts if part.arm[0] == "MTL")
    plain = fit([again], replicas, Uniform(), part.recipe).predictions[0]
    mean, unit = again.scale if DIAL.standardise else (torch.zeros(tasks), torch.ones(tasks))
    wanted = plain.double() * unit + mean
    found = fitted.predict(DIAL.x[:5])
    for task in part.tasks:
        name = DIAL.tasks[task]
        np.testing.assert_allclose(found[name], wanted[:, task].numpy(), rtol=1e-4, atol=1e-5)


def test_a_plan_trains_what_it_says_and_no_more(fitted: FittedPlan) -> None:
    networks = {part.arm: len(part.network.head.weight) for part in fitted.parts}
    # Nine tasks take six methods in turn: two tasks have each of the first three.
    assert networks == {
        ("STL", None): 2,
        ("MTL", None): 1,
        ("Fine-Tuning", None): 2,
        ("RMTL", None): 1,
        ("LBTW", 0.5): 1,
        ("MTL, tuned", None): 1,
    }
    served = sorted(task for part in fitted.parts for task in part.tasks)
    assert served == [*range(9)]
    tuned = next(part.recipe for part in fitted.parts if part.arm[0] == "MTL, tuned")
    assert tuned.learning_rate != fitted.parts[0].recipe.learning_rate
    assert fitted.rows == len(DIAL.x)


@pytest.mark.slow
def test_a_fitted_plan_says_in_one_line_what_predicts_what(fitted: FittedPlan) -> None:
    (line,) = repr(fitted).splitlines()
    assert f"STL: {DIAL.tasks[0]}, {DIAL.tasks[6]};" in line and "LBTW (alpha 0.5): " in line
    many = replace(fitted.parts[0], tasks=tuple(range(len(DIAL.tasks))))
    assert repr(replace(fitted, parts=(many,))).endswith(", 6 more>")


def test_longer_training_predicts_new_rows_in_the_targets_own_units() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((400, 3)).astype(np.float32))
    height = 170 + 12 * x[:, 0] + 3 * x[:, 1]
    tall = (x[:, 0] + 0.1 * torch.randn(400) > 0).float()
    data = TaskData(
        name="people",
        x=x[:300],
        y=torch.stack([height, tall], 1)[:300],
        tasks=("height in cm", "tall"),
        kind=("regression", "binary"),
        split=Split(torch.arange(200), torch.arange(200, 250), torch.arange(250, 300)),
    )
    plan = {"tasks": {"height in cm": {"method": "STL"}, "tall": {"method": "MTL"}}}
    found = fit_plan(data, plan, steps=400, trunk=(16,), progress=False).predict(x[300:])
    assert np.abs(found["height in cm"] - height[300:].numpy()).mean() < 1.5
    assert found["tall"].between(0, 1).all()
    assert ((found["tall"] > 0.5) == (tall[300:].numpy() == 1)).mean() > 0.9


def test_a_plan_from_disk_predicts_exactly_the_same(fitted: FittedPlan, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "fitted")
    assert sorted(path.name for path in folder.iterdir()) == [CARD, NETWORKS]
    again = load_plan(folder)
    pd.testing.assert_frame_equal(again.predict(DIAL.x), fitted.predict(DIAL.x), check_exact=True)
    assert (again.tasks, again.rows) == (fitted.tasks, fitted.rows)
    assert [part.arm for part in again.parts] == [part.arm for part in fitted.parts]
    again.save(folder)  # it may replace itself
    pd.testing.assert_frame_equal(load_plan(folder).predict(DIAL.x), fitted.predict(DIAL.x))


def test_rows_of_ones_and_zeros_are_kept_as_lists(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ones = torch.from_numpy(rng.random((60, 16)) < 0.2)
    y = torch.from_numpy(rng.integers(0, 2, (60, 2))).float()
    y[3, 1] = math.nan
    split = Split(torch.arange(40), torch.arange(40, 50), torch.arange(50, 60))
    data = TaskData("bits", Bits.from_dense(ones), y, ("a", "b"), "binary", split)
    fitted = fit_plan(data, plan_of("STL", "MTL", tasks=data.tasks), **QUICK)
    dense, bits = fitted.predict(ones.float()), fitted.predict(data.x)
    pd.testing.assert_frame_equal(dense, bits)
    pd.testing.assert_frame_equal(load_plan(fitted.save(tmp_path / "f")).predict(data.x), bits)
    refused(lambda: fitted.predict(ones.float() * 2), "zeros and ones")


def test_one_task_of_one_method_predicts_alike_before_and_after(tmp_path: Path) -> None:
    for method in ("STL", "RMTL", "Fine-Tuning"):
        plan = plan_of("MTL") | {}
        plan["tasks"][DIAL.tasks[4]] = {"method": method}
        fitted = fit_plan(DIAL, plan, **{**QUICK, "steps": 3})
        again = load_plan(fitted.save(tmp_path / method))
        pd.testing.assert_frame_equal(again.predict(DIAL.x[:9]), fitted.predict(DIAL.x[:9]))


@pytest.mark.slow
def test_the_plan_of_a_study_is_trained_with_its_settings_and_chosen_candidates() -> None:
    methods = ["MTL", "Scalarisation", "STL, tuned"]
    from mtl_nt import tuned

    study = compare(
        load("dial-unrelated"),
        [*methods[:2], tuned("STL")],
        seeds=3,
        steps=25,
        trials=2,
        trunk=(5,),
        progress=False,
    )
    plan = study.task_plan()
    fitted = fit_plan(load("dial-unrelated"), plan, progress=False)
    assert {part.recipe.trunk for part in fitted.parts} == {(5,)}
    assert {part.recipe.steps for part in fitted.parts} == {25}
    chosen = {part.arm[0] for part in fitted.parts}
    assert chosen == {method for method, _ in plan.choices.values()}
    assert {*plan.candidates} == chosen & {"Scalarisation", "STL, tuned"}
    same = fit_plan(load("dial-unrelated"), json.loads(plan_json(plan)), progress=False)
    x = load("dial-unrelated").x
    pd.testing.assert_frame_equal(same.predict(x), fitted.predict(x))


@pytest.mark.slow
def test_a_plan_trains_each_method_with_the_settings_that_were_judged(tmp_path: Path) -> None:
    """Steps of its own, and no smaller trunk of single tasks than the study's."""
    data = replace(DIAL, recipe={**DIAL.recipe, "trunk": (16,)}, single={"trunk": (4,)})
    steps = {"STL": 30, "STL'": 30, "MTL": 6}
    study = compare(data, "MTL", seeds=3, steps=steps, trunk=(16,), progress=False)
    plan = study.task_plan()
    other = {task: ("MTL" if k % 2 else "STL", None) for k, task in enumerate(data.tasks)}
    own = _own_settings(study, [("MTL", None), ("STL", None)])
    assert {**own, **plan.settings} == own
    mixed = replace(plan, choices=other, settings=own)
    keep(study, tmp_path / "kept")
    again = stored(tmp_path / "kept")
    assert again.recipes == study.recipes
    for each in (mixed, json.loads(plan_json(mixed))):
        parts = fit_plan(data, each, progress=False).parts
        found = {part.arm[0]: (part.recipe.steps, part.recipe.trunk) for part in parts}
        assert found == {"STL": (30, (16,)), "MTL": (6, (16,))}
    plain = {"tasks": {task: {"method": "STL"} for task in data.tasks}}
    (alone,) = fit_plan(data, plain, steps=2, progress=False).parts
    assert alone.recipe.trunk == (4,)  # what the data ask of single tasks
    (alone,) = fit_plan(data, plain, steps=2, trunk=(16,), progress=False).parts
    assert alone.recipe.trunk == (16,)  # what the caller asks


# ---------------------------------------------------------------------------------- new rows


def test_new_rows_may_be_a_table_whose_index_stays(fitted: FittedPlan) -> None:
    table = pd.DataFrame(np.asarray(DIAL.x[:3]), index=["p", "q", "r"])
    found = fitted.predict(table)
    assert [*found.index] == ["p", "q", "r"] and [*found.columns] == [*DIAL.tasks]
    np.testing.assert_allclose(found, fitted.predict(DIAL.x[:3]))
    assert fitted.predict(DIAL.x[:0]).shape == (0, 9)


def test_new_rows_of_another_kind_are_refused(fitted: FittedPlan) -> None:
    refused(
        lambda: fitted.predict(DIAL.x[:, :3]),
        "new rows have 3 features",
        "'dial-unrelated' was trained on 16",
    )
    refused(lambda: fitted.predict(np.array([["a"] * DIAL.x.shape[1]])), "must be numbers")
    broken = DIAL.x[:2].clone()  # type: ignore[union-attr]
    broken[1, 0] = math.nan
    refused(lambda: fitted.predict(broken), "row 1 is not finite")
    bits = Bits.from_dense(DIAL.x[:2] > 0)  # type: ignore[operator]
    refused(lambda: fitted.predict(bits), "trained on numbers")


# ------------------------------------------------------------------------ what is on disk


def test_a_file_that_was_changed_is_refused(fitted: FittedPlan, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "fitted")
    card, networks = (folder / CARD).read_text(), (folder / NETWORKS).read_bytes()

    broken = bytearray(networks)
    broken[-1] ^= 1
    (folder / NETWORKS).write_bytes(broken)
    refused(lambda: load_plan(folder), NETWORKS, "is not what its card says")
    (folder / NETWORKS).write_bytes(networks)

    (folder / CARD).write_text(card.replace('"RMTL"', '"STL"'))
    refused(lambda: load_plan(folder), CARD, "it was changed", "fit it anew")
    for wrong in ("", "[]", "{}", card[:-30], card.replace('"mean"', '"means"')):
        (folder / CARD).write_text(wrong)
        refused(lambda: load_plan(folder), CARD, "no card of a fitted plan")
    (folder / CARD).unlink()
    refused(lambda: load_plan(folder), "cannot read the fitted plan", CARD)


def forged(folder: Path, change: Any, tensors: Any = None) -> None:
    """A card, and networks, that somebody has changed, with checksums that fit."""
    from mtl_nt.study.fitted_files import _digest

    card = json.loads((folder / CARD).read_text())
    content = (folder / NETWORKS).read_bytes()
    if tensors is not None:
        content = save_tensors(tensors(load_tensors(content)))
        (folder / NETWORKS).write_bytes(content)
    import hashlib

    card = {**card, **change(card), "networks": hashlib.sha256(content).hexdigest()}
    said = {k: v for k, v in card.items() if k != "card"}
    (folder / CARD).write_text(json.dumps({**said, "card": _digest(said)}))


def test_a_card_with_a_right_checksum_is_still_checked(fitted: FittedPlan, tmp_path: Path) -> None:
    def part(**changes: Any) -> Any:
        return lambda card: {"parts": [{**card["parts"][0], **changes}, *card["parts"][1:]]}

    wide = {**json.loads((fitted.save(tmp_path / "w") / CARD).read_text())["parts"][0]["recipe"]}
    huge = {**wide, "trunk": [10**6, 10**6]}  # 4 TB, if anybody believed it
    for number, (change, tensors, words) in enumerate(
        [
            (part(tasks=[0]), None, "no card"),  # a task that nobody predicts
            (part(tasks=[0, 99]), None, "no card"),
            (part(networks=7), None, "no card"),
            (lambda card: {"unit": card["unit"][:-1]}, None, "no card"),
            (part(recipe=huge), None, "other networks than its card"),
            (part(recipe={**wide, "dropout": 7.0}), None, "no card"),
            (
                lambda card: {},
                lambda found: {k: v for k, v in found.items() if "head" not in k},
                "other networks than its card",
            ),
            (
                lambda card: {},
                lambda found: {k: v * math.nan for k, v in found.items()},
                "other networks than its card",
            ),
        ]
    ):
        folder = fitted.save(tmp_path / str(number))
        forged(folder, change, tensors)
        refused(lambda folder=folder: load_plan(folder), words)


def test_somebody_elses_files_are_not_replaced(fitted: FittedPlan, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text('{"name": "a birthday card"}')
    refused(lambda: fitted.save(tmp_path), "cannot be written", "has not made is there")
    assert (tmp_path / CARD).read_text() == '{"name": "a birthday card"}'
    assert not (tmp_path / NETWORKS).exists()


def test_a_weighter_that_changes_predictions_is_kept_in_memory_alone(tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=rng)
    y = (x[:, :2] > 0).float()
    split = Split(torch.arange(40), torch.arange(40, 50), torch.arange(50, 60))
    data = TaskData("signs", x, y, ("a", "b"), "binary", split)
    mine = Method("Mine", with_alpha(UAMTFL, reading="temperature"), alpha=True)
    plan = plan_of("Mine", tasks=data.tasks, Mine=0.1)
    fitted = fit_plan(data, plan, methods=[mine], **QUICK)
    assert fitted.predict(x).shape == (60, 2)
    refused(lambda: fitted.save(tmp_path / "f"), "Mine changes what its networks predict")
    assert not (tmp_path / "f").exists()


# ------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, ("has no tasks",)),
        ({"tasks": {}}, ("has no tasks",)),
        ({"tasks": []}, ("has no tasks",)),
        ({"tasks": {"a": "MTL"}}, ("task 'a' has no method",)),
        ({"tasks": {"a": {"metod": "MTL"}}}, ("task 'a' has no method",)),
        ({"tasks": {"a": {"method": "MTL", "alfa": 1}}}, ("unknown key 'alfa'", "'alpha'")),
        ({"tasks": {"a": {"method": "MTLL"}}}, ("unknown method 'MTLL'", "did you mean 'MTL'")),
        ({"tasks": {"a": {"method": "x\x1b[2J"}}}, ("unknown method",)),
        ({"tasks": {"a": {"method": "LBTW"}}}, ("LBTW without its alpha",)),
        ({"tasks": {"a": {"method": "MTL", "alpha": 0.5}}}, ("leave the alpha out",)),
        ({"tasks": {"a": {"method": "LBTW", "alpha": -1}}}, ("alpha -1", "0 or more")),
        ({"tasks": {"a": {"method": "LBTW", "alpha": "much"}}}, ('alpha "much"',)),
        ({"task": {}}, ("unknown key 'task'", "did you mean 'tasks'")),
        ({"tasks": {"a": {"method": "MTL"}}, "recipe": {"steps": 0}}, ("recipe: steps 0",)),
        ({"tasks": {"a": {"method": "MTL"}}, "recipe": {"lr": 1}}, ("'lr'", "learning_rate")),
        ({"tasks": {"a": {"method": "MTL"}}, "recipe": {"trunk": "x"}}, ("recipe:",)),
        ({"tasks": {"a": {"method": "MTL"}}, "recipe": 3}, ("recipe:", "settings by name")),
        ({"tasks": {"a": {"method": "MTL"}}, "candidates": {"MTL, tuned": 3}}, ("candidates",)),
        ({"tasks": {"a": {"method": "MTL"}}, "candidates": {"MTL": [3, 2]}}, ("candidates",)),
        (
            {"tasks": {"a": {"method": "MTL"}}, "candidates": {"MTLL": [1, 2]}},
            ("unknown method 'MTLL'",),
        ),
        ({"tasks": {"a": {"method": "MTL"}}, "recipe": {"trunk": 64}}, ("recipe: trunk 64:",)),
        ({"tasks": {"a": {"method": "MTL, tuned"}}}, ("MTL, tuned without its candidate",)),
        ({"tasks": {"a": {"method": "MTL"}}, "plan": "other"}, ('is a plan of "other"',)),
        ({"tasks": {"a": {"method": "MTL"}}, "version": 3}, ("version 3: give a text",)),
        ({"tasks": {"a": {"method": "MTL", "why": 1}}}, ("task 'a': why 1: give a text",)),
        ({"tasks": {"a": {"method": "MTL", "apparent": "x"}}}, ('apparent "x"', "a number")),
        (
            {"tasks": {"a": {"method": "MTL"}}, "recipe": {"weight_decay": -1}},
            ("recipe: weight_decay -1", "0 or more"),
        ),
    ],
)
def test_a_plan_that_was_edited_wrongly_is_refused_in_one_line(
    value: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(value))
    refused(lambda: read_plan(path), "plan.json", *words)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"tasks": {"a": {"method": "MTL"}, "a": {"method": "STL"}}}', "a"),
        ('{"tasks": {"a": {"method": "MTL", "method": "STL"}}}', "method"),
        ('{"tasks": {}, "tasks": {"a": {"method": "MTL"}}}', "tasks"),
    ],
)
def test_what_is_twice_in_a_plan_is_refused(text: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    refused(lambda: read_plan(path), f"plan.json has the key {key!r} twice")


def test_a_plan_of_another_version_is_read_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.json"
    plan = {"tasks": {"a": {"method": "MTL"}}}
    path.write_text(json.dumps({**plan, "version": "9.9"}))
    assert read_plan(path).arms == {"a": ("MTL", None)}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("plan.json was written by mtl_nt 9.9, and this is ")
    path.write_text(json.dumps(plan))  # by hand, without a version
    read_plan(path)
    assert not capsys.readouterr().err


def test_a_plan_that_is_no_file_of_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    refused(lambda: read_plan(path), "cannot read the plan", "No such file")
    path.write_text('{"tasks":\n {"a": ]}')
    refused(lambda: read_plan(path), "plan.json is no JSON, line 2")
    path.write_text("[1, 2]")
    refused(lambda: read_plan(path), "plan.json is no plan")
    path.write_bytes(b"\xff\xfe\x00")
    refused(lambda: read_plan(path), "is no JSON")
    refused(lambda: read_plan(3), "plan 3", "task_plan()")  # type: ignore[arg-type]


def test_a_plan_of_other_tasks_or_without_networks_is_refused() -> None:
    missing = {"tasks": {DIAL.tasks[0]: {"method": "MTL"}}}
    refused(lambda: fit_plan(DIAL, missing), f"says nothing of task {DIAL.tasks[1]!r}")
    other = plan_of("MTL")
    other["tasks"]["relatd 1"] = {"method": "MTL"}
    refused(lambda: fit_plan(DIAL, other), "'relatd 1', which", "did you mean 'related 1'")
    refused(lambda: fit_plan(DIAL, plan_of("Ridge")), "Ridge has no networks")
    refused(lambda: fit_plan(DIAL, plan_of("Mine")), "unknown method 'Mine'")
    refused(lambda: fit_plan(DIAL, plan_of("MTL"), seed=-1), "seed -1")
    refused(lambda: fit_plan(DIAL, plan_of("MTL"), stepz=3), "unknown training setting 'stepz'")
    many = plan_of("MTL, tuned") | {"candidates": {"MTL, tuned": [9, 10]}}
    assert fit_plan(DIAL, many, **{**QUICK, "steps": 2}).rows == len(DIAL.x)


def test_a_training_that_diverges_is_refused() -> None:
    plan = plan_of("MTL")
    wild = {"learning_rate": 1e6, "schedule": "constant", "steps": 200, "progress": False}
    refused(lambda: fit_plan(DIAL, plan, **wild), "MTL diverged on all rows")


def test_a_method_of_ones_own_may_be_in_a_plan(tmp_path: Path) -> None:
    mine = Method("Mine", with_alpha(LBTW, reference="average"), alpha=True)
    fitted = fit_plan(DIAL, plan_of("Mine", Mine=0.5), methods=[mine], **QUICK)
    again = load_plan(fitted.save(tmp_path / "f"))
    pd.testing.assert_frame_equal(again.predict(DIAL.x), fitted.predict(DIAL.x))
    assert WeighterArguments  # the factory's argument is public
