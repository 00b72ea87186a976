"""An audit of data in memory, and of networks with a body of one's own: in Python alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
from refusals import refused
from torch import Tensor, nn

from mtl_nt import Split, TaskData, compare, fit_plan, load
from mtl_nt.audit.audit import audit
from mtl_nt.audit.page import audit_page
from mtl_nt.audit.result import Audit, resume_command
from mtl_nt.study import plan_json

ROWS, F = 120, 6


class Body(nn.Module):
    """One layer with a kink."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(F, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Other(Body):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class Mixing(Body):
    """Its rows know each other when they are judged."""

    def forward(self, x: Tensor) -> Tensor:
        h = super().forward(x)
        return h if self.training else h - h.mean(0)


def own_data(seed: int = 0) -> TaskData:
    """Another split for each seed."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, F, generator=draw)
    y = x @ torch.randn(F, 2, generator=draw) + torch.randn(ROWS, 2, generator=draw)
    rows = torch.randperm(ROWS, generator=torch.Generator().manual_seed(seed))
    split = Split(rows[:80], rows[80:100], rows[100:], "free")
    recipe: dict[str, Any] = {"trunk": (9, 5), "activation": ("relu", "tanh")}
    return TaskData(
        "mine",
        x,
        y,
        ("a", "b"),
        "regression",
        split,
        recipe=recipe,
        redraw=own_data,
        data_seed=seed,
    )


FEW: dict[str, Any] = {"methods": "MTL", "seeds": [100, 101], "steps": 15, "progress": False}


def quiet(line: str) -> None:
    """Nothing is said."""


def audited(**given: Any) -> Audit:
    return audit(own_data(), say=quiet, **{**FEW, **given})


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"architecture": Body}, {"architecture": Body, "trunk": [3]}, {"trunk": [4, 3]}]
)
def test_an_audit_of_own_data_trains_what_a_comparison_trains(changes: dict[str, Any]) -> None:
    found = audited(**changes)
    study = compare(own_data, ["MTL"], seeds=[100, 101], steps=15, progress=False, **changes)
    keys = ["method", "seed", "task", "metric"]
    here, there = (
        s.results.set_index(keys)["value"].sort_index() for s in (found.main_study, study)
    )
    pd.testing.assert_series_equal(here, there)
    assert found.recipe == study.recipe and found.name == "mine"
    assert found.plan.widths and found.affinity is not None


@pytest.mark.slow
def test_the_page_gives_the_lines_of_python_that_repeat_it_and_use_its_plan(
    tmp_path: Path,
) -> None:
    found = audited(architecture=Body, folder=tmp_path / "kept", methods=["Uncertainty"])
    soup = BeautifulSoup(audit_page(found), "html.parser")
    text = soup.get_text(" ")
    assert "python -m mtl_nt" not in text
    assert (
        "mtl_nt.audit.audit(data, ['MTL', 'Uncertainty'], alphas=[0.0, 0.1, 0.25, 0.5, 1.0], "
        "seeds=[100, 101], steps=15, architecture=Body, trunk=(5,))" in text
    )
    assert 'mtl_nt.fit_plan(data, "plan.json", architecture=Body)' in text
    assert "own body Body" in text and resume_command(found) is None
    plan = tmp_path / "plan.json"
    plan.write_text(plan_json(found.task_plan))
    fitted = fit_plan(own_data(), plan, architecture=Body, steps=5)
    assert fitted.predict(own_data().x[:3]).shape == (3, 2)


@pytest.mark.slow
def test_a_folder_knows_the_data_and_the_code_of_the_body(tmp_path: Path) -> None:
    first = audited(architecture=Body, folder=tmp_path)
    said: list[str] = []
    again = audit(own_data(), say=said.append, architecture=Body, folder=tmp_path, **FEW)
    assert "nothing is trained" in said[0]
    pd.testing.assert_frame_equal(again.study.results, first.study.results)
    assert "own body Body" in audit_page(again)
    refused(
        lambda: audited(architecture=Other, folder=tmp_path), "another audit (settings differs)"
    )
    refused(lambda: audited(folder=tmp_path), "another audit")
    other = TaskData(
        "mine", own_data().x + 1, own_data().y, ("a", "b"), "regression", own_data().split
    )
    refused(
        lambda: audit(other, say=quiet, architecture=Body, folder=tmp_path, **FEW),
        "another audit (data, recipes differs)",
    )


@pytest.mark.slow
def test_a_data_set_and_a_table_take_a_body_too(tmp_path: Path) -> None:
    data = own_data()
    frame = pd.DataFrame(data.x.numpy(), columns=[f"x{k}" for k in range(F)])  # type: ignore[union-attr]
    frame[["y_a", "y_b"]] = data.y.numpy()
    path = tmp_path / "my.csv"
    frame.to_csv(path, index=False)
    found = audit(path, say=quiet, architecture=Body, **FEW)
    assert found.recipe.architecture == "own body Body" and found.recipe.trunk == (32,)
    text = BeautifulSoup(audit_page(found), "html.parser").get_text(" ")
    assert f"mtl_nt.audit.audit('{path}', ['MTL']" in text and "python -m mtl_nt" not in text

    def flat() -> nn.Module:
        return nn.Flatten()

    digits = audit("digits", say=quiet, architecture=flat, trunk=(8,), **{**FEW, "steps": 3})
    assert digits.recipe.trunk == (8,)


def test_what_cannot_be_used_is_one_line() -> None:
    refused(lambda: audited(architecture=Mixing), "own body Mixing", "test rows would leak")
    refused(lambda: audited(architecture=nn.Linear), "architecture Linear", "functools.partial")
    refused(lambda: audited(architecture=Body, trunk=(4, 4)), "one shared layer follows a body")
    refused(lambda: audited(targets="y_*"), "targets", "these data are read")
    assert load("digits").recipe == load("digits").recipe  # of which nothing was changed


@pytest.mark.slow
def test_splits_of_the_same_rows_are_seen_whatever_the_data_say_of_them() -> None:
    """As `compare` sees them: the variance is that of runs that share rows."""

    def said_to_be_fixed(seed: int) -> TaskData:
        made = own_data(seed)
        return replace(made, split=replace(made.split, kind="fixed"), redraw=said_to_be_fixed)

    given: dict[str, Any] = {**FEW, "seeds": [100, 101, 102]}
    found = audit(said_to_be_fixed(0), say=quiet, **given).study
    same = compare(said_to_be_fixed(0), **given)
    assert found.overlap == same.overlap > 0
    assert {*found.results["split"]} == {"free"}
    of_mtl = [study.transfer().query("method == 'MTL'")["verdict"] for study in (found, same)]
    assert [*of_mtl[0]] == [*of_mtl[1]]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["trunk", "steps", "single", "other splits"])
def test_a_folder_knows_all_that_changes_an_audit_of_data_in_memory(
    what: str, tmp_path: Path
) -> None:
    def made(changed: bool, seed: int = 0) -> TaskData:
        """Seed 0, which is the data in hand, is the same in both."""
        data = own_data(seed + 50 if what == "other splits" and changed and seed else seed)
        recipe, single = dict(data.recipe), dict(data.single)
        if changed and what in ("trunk", "steps"):
            recipe[what] = {"trunk": (4, 5), "steps": 7}[what]
        if changed and what == "single":
            single = {"trunk": (3, 5)}
        redraw = partial(made, changed)
        return replace(data, recipe=recipe, single=single, redraw=redraw, data_seed=seed)

    given = {**FEW, "folder": tmp_path, "say": quiet, "steps": None if what == "steps" else 5}
    audit(made(False), **given)
    said: list[str] = []
    audit(made(False), **{**given, "say": said.append})
    assert "nothing is trained" in said[0]
    refused(lambda: audit(made(True), **given), "holds another audit")


def test_an_audit_of_raw_targets_says_what_nobody_learned_and_so_does_its_folder(
    tmp_path: Path,
) -> None:
    """0 is nearer to some test parts than the training mean is, and networks begin at 0."""
    plain = own_data()
    split = replace(plain.split, kind="fixed")
    data = replace(plain, y=1e6 * plain.y, split=split, standardise=False, redraw=None)
    for _ in range(2):
        found = audit(data, say=quiet, folder=tmp_path / "work", **{**FEW, "seeds": 2})
        assert found.study.raw_targets
        assert {*found.study.transfer()["verdict"]} == {"not learned"}
