"""Live cells of the method chapters: what their menus train, and where they stand."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import pytest
from book import BOOK

from mtl_nt import BadInput, Method, Uniform, Weighter, compare, load, plain
from mtl_nt.book import Live, live_study
from mtl_nt.book.live_study import OFFLINE, QUICK, Bench
from mtl_nt.datasets import SOURCES
from mtl_nt.study import METHODS
from mtl_nt.study.jobs import run_jobs
from mtl_nt.training import Stopped

SHORT: dict[str, Any] = {"seeds": 2, "steps": 3}
METHOD_CHAPTERS = {  # and the method with which the menu starts
    "02_lbtw": "LBTW",
    "03_gradnorm": "GradNorm",
    "04_rmtl": "RMTL",
    "05_uncertainty": "Uncertainty",
    "06_u_amtfl": "U-AMTFL",
    "07_case_chemistry": "LBTW",
}


def set_to(live: Live, **values: Any) -> None:
    """Set the controls, and train nothing."""
    for name, value in values.items():
        control = live._controls[name]
        control.unobserve_all()
        control.value = value


def go_on(*_: object) -> bool:
    return False


def test_it_starts_with_the_first_of_each_menu_and_hides_an_alpha_that_is_none() -> None:
    live = live_study(["dial", "digits", "dial"], ["RMTL", "LBTW"], 1, 3, **SHORT)
    assert live.values == {"data": "dial", "method": "RMTL"}
    set_to(live, method="LBTW")
    assert live.values == {"data": "dial", "method": "LBTW", "alpha": 1.0}
    assert live._controls["data"].options == (("dial", "dial"), ("digits", "digits"))


def test_stl_is_trained_once_for_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[list[str]] = []

    def watched(jobs: Any, *rest: Any) -> Any:
        trained.append([*jobs])
        return run_jobs(jobs, *rest)

    module = import_module("mtl_nt.book.live_study")  # its name is the function's, too
    monkeypatch.setattr(module, "run_jobs", watched)
    live = live_study(["dial", "dial-noisy"], ["LBTW", "MTL"], **SHORT)
    for values in ({}, {"alpha": 0.7}, {"method": "MTL"}, {"data": "dial-noisy"}, {"data": "dial"}):
        set_to(live, **values)
        live.run_sync()
    both = ["STL", "STL'"]
    assert trained == [[*both, "LBTW"], ["LBTW"], ["MTL"], [*both, "MTL"], ["MTL"]]


@pytest.mark.parametrize("method", ["LBTW", "RMTL", "U-AMTFL"])
def test_it_trains_what_compare_trains(method: str) -> None:
    settings = {"steps": 7, "trunk": (3,), "learning_rate": 0.02}
    bench = Bench.of(load("dial-noisy"), [3, 4], settings)
    bench.study(METHODS["MTL"], None, print, go_on)  # so that STL's results are kept ones
    mine = bench.study(METHODS[method], 0.3, print, go_on)
    theirs = compare(load("dial-noisy"), [method], [0.3], [3, 4], progress=False, **settings)
    assert mine.transfer().equals(theirs.transfer())
    assert mine.recipe == theirs.recipe
    assert mine.null_identity == theirs.null_identity


def test_a_training_that_is_stopped_keeps_nothing_half_done() -> None:
    bench = Bench.of(load("dial"), [0], {"steps": 3})
    with pytest.raises(Stopped):
        bench.study(METHODS["MTL"], None, print, lambda: True)
    assert bench.kept == {}
    told: list[tuple[float, str]] = []
    bench.study(METHODS["MTL"], None, lambda *said: told.append(said), go_on)
    assert [*bench.kept] == ["STL", "STL'"]
    assert told[-1] == (pytest.approx(1.0), "MTL")


def test_methods_and_data_of_ones_own_are_on_the_menu_and_what_is_wrong_with_them_is_said() -> None:
    class Shares(Weighter):
        def weights(self, step: Any) -> Any:
            return step.losses / step.losses.sum()  # over networks, too

    own = Method("Mine", plain(Uniform))
    live = live_study(["rare"], [own, Method("Shares", plain(Shares))], load=one_table, **SHORT)
    assert "Mine: difference from STL in MSE" in live.run_sync()[1]
    set_to(live, method="Shares")
    with pytest.raises(BadInput, match="a network's weights change when another one trains"):
        live.run_sync()


def one_table(_: str) -> Any:
    return load("dial", tasks=(2, 1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"datasets": []}, "give a list of names"),
        ({"datasets": "dial"}, "give a list of names"),
        ({"methods": ["LBTV"]}, "unknown method 'LBTV'"),
        ({"lerning_rate": 1}, "unknown training setting 'lerning_rate'.*learning_rate"),
        ({"seeds": 0}, "seeds 0"),
        ({"alpha": -1}, "a start that lies in it"),
    ],
)
def test_a_cell_with_a_mistake_says_so_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as raised:
        live_study(**given)
    assert "\n" not in str(raised.value)


def test_the_data_sets_of_the_menu_need_no_download_and_are_trained_in_a_few_seconds() -> None:
    assert not {*OFFLINE} & {*SOURCES}
    for name in OFFLINE:
        bench = Bench.of(load(name), [0], {"steps": 200, **QUICK.get(name, {})})
        assert bench.facts[0].recipe.steps <= 200, name


@pytest.mark.parametrize("chapter", METHOD_CHAPTERS)
def test_every_method_chapter_has_a_live_cell_of_few_lines_in_sight(chapter: str) -> None:
    found = [
        cell
        for cell in BOOK[chapter].cells
        if cell.cell_type == "code" and re.search(r"^live_study\(", cell.source, re.M)
    ]
    assert [cell.id for cell in found] == ["live-study"]
    (cell,) = found
    assert len(cell.source.splitlines()) <= 9
    assert not cell.metadata.get("jupyter", {}).get("source_hidden")
    menu = re.search(r'\["([^"]+)"', cell.source.split("methods=")[1])
    assert menu is not None
    assert menu[1] == METHOD_CHAPTERS[chapter]
    (text,) = [c for c in BOOK[chapter].cells if c.id == "live-study-text"]
    assert "### Train it yourself" in text.source
    assert "**Try this.**" in text.source
