"""The table of causes and cures: with other stops, with controls, and as figures of both."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from mtl_nt import Study, figures
from mtl_nt.figures import cures as drawn
from mtl_nt.figures.cure_figures import RULE_NAMES
from mtl_nt.study import CASES, CURES, keep, stored, stored_stops
from mtl_nt.study.cures import CONTROLLED
from mtl_nt.study.reproduce import STANDARDISED, STOPS, run_case

QUICK: dict[str, Any] = {"seeds": 2, "steps": 12, "progress": False}


@pytest.fixture(scope="module")
def trained() -> Study:
    return run_case("cure-noisy", **QUICK)


def test_every_cure_has_a_case_for_each_other_stop_and_differs_in_nothing_else() -> None:
    assert set(STOPS.values()) == {(n, r) for n in CURES for r in ("best_mean", "best_per_task")}
    for name, (of, rule) in STOPS.items():
        stopped, own = CASES[name], CASES[of]
        assert name == f"{of}-{rule}"
        assert stopped.settings == {**own.settings, "checkpoint": rule}
        assert (stopped.seeds, stopped.baselines) == (own.seeds, own.baselines)


def test_every_cure_has_a_case_on_standardised_targets_which_is_kept() -> None:
    assert [*STANDARDISED.values()] == [*CURES]
    for name, of in STANDARDISED.items():
        own, raw = CASES[name], CASES[of]
        assert (own.seeds, own.settings, own.baselines) == (raw.seeds, raw.settings, raw.baselines)
        one, other = own.data().for_seed(3), raw.data().for_seed(3)
        assert one.y.nan_to_num().equal(other.y.nan_to_num())
        assert one.standardise and not other.standardise
        spread = one.targets[one.split.train].double().numpy()
        assert np.allclose(np.nanstd(spread, axis=0), 1, atol=1e-3)
        kept = stored(name)
        assert [method for method, _ in kept.arms()] == ["STL'", "MTL", "Constant"]
        assert not kept.raw_targets and stored(of).raw_targets
        assert set(kept.metric) == set(stored(of).metric)


@pytest.mark.slow
def test_all_methods_of_a_case_stop_by_its_rule(trained: Study) -> None:
    stopped = run_case("cure-noisy-best_per_task", **QUICK)
    assert (stopped.checkpoint, trained.checkpoint) == ("best_per_task", "last")
    assert set(stopped.results["metric"]) == {"MSE"}
    own = [m for m, _ in trained.arms() if m.rpartition(", ")[2] not in drawn.CONTROLS]
    assert [m for m, _ in stopped.arms()] == own
    for method in ("STL", "MTL", "RMTL, tuned"):
        gap = stopped.scores(method) - trained.scores(method)
        assert (gap.abs() > 1e-9).any(axis=None), method
    assert (stopped.training["candidates"].max(), len(stopped.training)) == (5, 20 * 2)


@pytest.mark.slow
def test_weighting_methods_have_both_controls_with_as_many_candidates(trained: Study) -> None:
    budget = trained.training.groupby("method")["candidates"].first()
    controls = [m for m in budget.index if m.rpartition(", ")[2] in drawn.CONTROLS]
    assert len(controls) == 2 * len(CONTROLLED)
    for name in controls:
        assert budget[name] == budget[name.rpartition(", ")[0]] == 5
    networks = trained.counts().set_index("method")["networks"]
    for name in controls:
        own, _, control = name.rpartition(", ")
        assert networks[name] == networks[own] * {"permuted": 1, "frozen": 2}[control]


@pytest.mark.slow
def test_the_table_leaves_controls_out_unless_they_are_asked_for_and_a_figure_shows_them(
    trained: Study,
) -> None:
    table = figures.cure_table({"noisy, trunk x 1": trained}, controls=True)
    controls = table[table["control"] != ""]
    assert set(controls["control"]) == {"permuted", "frozen"}
    assert len(controls) == 2 * len(CONTROLLED)
    without = figures.cure_table({"noisy, trunk x 1": trained})
    assert set(without["control"]) == {""} and without["method"].is_unique
    assert len(without) == len(table) - len(controls)
    figure = figures.cure_controls(table)
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert sorted(names) == sorted(CONTROLLED)
    places = sorted(x for c in figure.axes[0].containers for x in c[0].get_xdata())
    shown = table[table["method"].isin(controls["method"])]
    assert places == pytest.approx(sorted(shown["over_mtl"]))
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ["the method", "permuted once", "frozen at the mean"]
    refused(lambda: figures.cure_controls(without), "no controls", "train the cases again")


def gains(method: float, permuted: float, frozen: float) -> pd.DataFrame:
    """A table of one method with its controls: gains over MTL, each within 0.1."""
    rows = [("", method), ("permuted", permuted), ("frozen", frozen)]
    table = pd.DataFrame(rows, columns=["control", "over_mtl"])
    return table.assign(case="noisy, trunk x 1", method="LBTW", over_mtl_within=0.1, runs=5)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (gains(0.5, 0.1, 0.45), "Of 1 gains over MTL, weights frozen at their mean keep 1, and "),
        (gains(0.5, 0.6, 0.1), "keep 0, and weights that are permuted among the tasks keep 1"),
        (gains(0.05, 0.6, 0.1), "No weighting method gains over MTL here"),
    ],
)
def test_a_control_keeps_a_gain_that_it_reaches(table: pd.DataFrame, said: str) -> None:
    assert said in figures.alt_text(figures.cure_controls(table))


def test_the_stops_that_are_kept_are_read_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = stored("cure-noisy")
    monkeypatch.setattr(sys.modules["mtl_nt.study.stored"], "KEPT", tmp_path)
    keep(study, tmp_path / "cure-noisy")
    assert [*stored_stops("cure-noisy")] == ["last"]
    results = study.results.copy()
    mtl, stl = (study.results["method"] == m for m in ("MTL", "STL"))
    results.loc[mtl, "value"] = results.loc[stl, "value"].to_numpy() - 1e-3
    own = replace(study, results=results, checkpoint="best_per_task")
    keep(own, tmp_path / "cure-noisy-best_per_task")
    stops = stored_stops("cure-noisy")
    assert [*stops] == ["last", "best_per_task"]
    tables = {rule: figures.cure_table({"noisy": s}) for rule, s in stops.items()}
    tables["last"] = pd.concat([tables["last"], tables["last"].assign(case="another")])
    figure = figures.cure_stops(tables)
    assert figures.alt_text(figure).startswith(
        "Of 9 tasks over all causes and widths, MTL harms 6 at the last step, "
        "0 at each task's own best step"
    )
    points = {c.get_label(): c.get_offsets() for c in figure.axes[0].collections}
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    for rule, table in tables.items():
        first = table[table["case"] == "noisy"]["harmed"].astype(float).tolist()
        found = points[RULE_NAMES[rule]][:, 0].tolist()
        assert found == first and len(names) == len(first)
