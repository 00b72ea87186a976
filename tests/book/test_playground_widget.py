"""The playground as a widget, and the networks of this package at its settings; in Python alone.

`test_lab.py` has the widget in a real JupyterLab, where a page answers.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_output

from mtl_nt import BadInput
from mtl_nt.book import played_sentence, played_study, playground, playground_widget
from mtl_nt.book.outputs import static_outputs
from mtl_nt.book.page import WIDGET_VIEW, visible_output
from mtl_nt.book.playground import METHODS
from mtl_nt.book.playground_study import played_tasks
from mtl_nt.book.playground_widget import PlaygroundWidget


def game(preset: str = "outsider", **changes: Any) -> PlaygroundWidget:
    return playground(preset, **changes).widget()


def page_tells(widget: PlaygroundWidget, summary: str, **changes: Any) -> None:
    """What a page sends, once its training rests."""
    settings = {**widget.settings, **changes}
    told = {"settings": settings, "summary": summary}
    widget.set_state({"settings": settings, "_told": told})


# ---------------------------------------------------------------- the widget


def test_a_widget_starts_as_its_playground_and_knows_what_a_preset_says() -> None:
    assert game().settings == playground("outsider").settings
    assert game().summary == playground("outsider").sentence != ""
    assert game(units=2).settings["units"] == 2
    assert game(units=2).summary == ""  # nobody has trained with that yet


def test_a_setting_is_changed_alone_or_with_others_and_whoever_observes_hears_it() -> None:
    widget, heard = game(), []
    widget.observe(lambda change: heard.append(change["new"]["angle"]), "settings")
    widget.settings["angle"] = np.float64(30.0)
    widget.settings.update({"angle": 40}, units=3)
    settings = widget.settings
    settings |= {"angle": 50}
    widget.settings = {**widget.settings, "angle": 60}
    assert heard == [30, 40, 50, 60]
    assert (widget.settings["units"], settings["angle"]) == (3, 50)
    state = json.loads(json.dumps(widget.get_state()["settings"]))
    assert state == {**playground("outsider").settings, "angle": 60, "units": 3}


def test_the_summary_is_that_of_the_settings_or_nothing() -> None:
    widget = game()
    page_tells(widget, "A sentence.", angle=35)
    assert (widget.settings["angle"], widget.summary) == (35, "A sentence.")
    widget.settings["angle"] = 30
    assert widget.summary == ""
    widget.settings["angle"] = 35
    assert widget.summary == "A sentence."
    with pytest.raises(Exception, match="read-only"):
        widget.summary = "mine"


def test_the_start_of_two_tasks_is_a_setting_as_a_page_has_it() -> None:
    widget = game("two tasks")
    widget.settings["start"] = (1, np.float64(0.5))
    assert widget.settings["start"] == [1, 0.5]
    page_tells(widget, "Dragged.", start=[-2.3, 1.95])
    assert widget.summary == "Dragged."


@pytest.mark.parametrize(
    ("preset", "change", "line"),
    [
        ("outsider", {"unit": 3}, "no setting 'unit'; did you mean 'units'?"),
        ("outsider", {"view": "two"}, "no setting 'view'"),
        ("outsider", {"angle": 181}, "angle 181: must be a number from 0 to 180"),
        ("outsider", {"angle": None}, "angle None: must be a number from 0 to 180"),
        ("outsider", {"method": "Gradnorm"}, "did you mean 'GradNorm'?"),
        (
            "two tasks",
            {"start": (9, 0)},
            "start (9, 0): must be two numbers, from -2.3 to 2.3 and from -1.5 to 1.95",
        ),
        ("two tasks", {"start": 1}, "start 1: must be two numbers, from"),
        ("outsider", {"start": (0, 0)}, "no setting 'start'"),
    ],
)
def test_a_bad_setting_is_one_line_and_changes_nothing(
    preset: str, change: dict[str, Any], line: str
) -> None:
    widget = game(preset)
    before = dict(widget.settings)
    for tried in (lambda: widget.settings.update(change), lambda: game(preset, **change)):
        with pytest.raises(BadInput) as said:
            tried()
        assert line in str(said.value) and "\n" not in str(said.value)
    assert widget.settings == before


def test_no_setting_is_taken_away_and_settings_are_a_dict() -> None:
    widget = game()
    with pytest.raises(BadInput, match="cannot be taken away"):
        del widget.settings["angle"]
    with pytest.raises(BadInput, match="cannot be taken away"):
        widget.settings.pop("angle")
    with pytest.raises(BadInput, match="give a dict"):
        widget.settings = 30
    assert widget.settings == playground("outsider").settings


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a cell puts out that shows the widget."""
    found: list[Any] = []

    def put_out(data: dict[str, str], raw: bool) -> None:
        found.append(new_output("display_data", data=data))

    monkeypatch.setattr(playground_widget, "display", put_out)
    game()._ipython_display_()
    return found


def test_a_page_has_the_playground_and_a_line_in_place_of_the_widget(outputs: list[Any]) -> None:
    view, kept = outputs
    assert WIDGET_VIEW in view.data and visible_output(view) is None
    assert playground("outsider").html in kept.data["text/html"]
    soup = BeautifulSoup(kept.data["text/html"], "html.parser")
    assert "Run this cell, in JupyterLab" in soup.select(".nt-ask")[0].text


def test_the_repository_keeps_its_picture_its_sentence_and_the_line(outputs: list[Any]) -> None:
    picture, line = static_outputs(outputs, "cell")
    assert picture.metadata["image/png"]["alt"] == playground("outsider").sentence
    assert "Run this cell" in line.data["text/html"]
    assert "script" not in line.data["text/html"]


# ---------------------------------------------------------------- the networks of this package


@pytest.mark.slow
def test_the_packages_networks_find_what_the_playground_shows() -> None:
    """With one unit, every run loses about what the page says; with two units, next to nothing."""
    settings = game().settings
    one, two = (
        played_study({**settings, "units": units}, [100, 101, 102]).delta("MTL")["outsider"]
        for units in (1, 2)
    )
    assert (one + 1.02).abs().max() < 0.15
    assert two.abs().max() < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_every_scale_has_a_study_and_a_sentence(method: str) -> None:
    settings = playground("outsider", method=method, alpha=1.5, scale=4, units=3).settings
    study = played_study(settings, seeds=2, steps=3)
    said = played_sentence(study)
    assert said.startswith("Over 2 runs") and "; the two alike are " in said
    assert said.count("than alone") == 2 and "nan" not in said
    assert ("STL trained once more" in said) is (method == "STL")


def test_its_tasks_are_the_playgrounds() -> None:
    settings = playground("outsider", noise=0, scale=4, angle=0).settings
    data = played_tasks(settings, 7)
    train, test = data.y[data.split.train], data.y[data.split.test]
    assert (len(train), len(test)) == (32, 225)
    x = data.x[data.split.train].double().numpy()
    first, outsider = (train[:, k].double().numpy() for k in (0, 2))
    angle = np.radians(80)  # ten degrees from the upright centre, as the page has it
    wanted = np.tanh(3 * (x @ [np.cos(angle), np.sin(angle)]))
    np.testing.assert_allclose(first, wanted, atol=1e-6)
    np.testing.assert_allclose(outsider, 2 * wanted, atol=1e-5)  # the root of the scale
    assert data.unit is not None
    np.testing.assert_allclose(data.unit, test.std(0, correction=0), rtol=1e-5)


def test_two_tasks_without_a_network_are_refused_in_one_line() -> None:
    with pytest.raises(BadInput, match="give the settings of another preset") as said:
        played_study(playground("two tasks").settings)
    assert "\n" not in str(said.value)
