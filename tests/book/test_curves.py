"""Effects along a number: what is drawn, in which colour, and what the words say."""

from __future__ import annotations

import numpy as np
import pytest

from mtl_nt.book.curves import Panel, curves
from mtl_nt.book.effects import Effect
from mtl_nt.figures import alt_text

UP = [Effect(0.0, -0.1, 0.1), Effect(0.5, 0.4, 0.6)]
DOWN = [Effect(0.2, 0.1, 0.3), Effect(-0.2, -0.3, -0.1)]
TWO = Panel("difference from STL", "alpha", [0.0, 1.0], {"outsider": UP, "related": DOWN})


def test_a_line_runs_through_the_means_and_its_band_is_the_interval() -> None:
    (ax,) = curves([TWO], "title", "foot").axes
    assert [list(line.get_ydata()) for line in ax.get_lines()[:2]] == [[0.0, 0.5], [0.2, -0.2]]
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (-0.1, 0.6)


def test_a_name_has_one_colour_in_all_panels_and_the_readers_choice_holds() -> None:
    other = Panel("weight", "alpha", [0.0, 1.0], {"related": UP})
    first, second = curves([TWO, other], "title", "foot", colours={"outsider": "#123456"}).axes
    outsider, related = (line.get_color() for line in first.get_lines()[:2])
    assert outsider == "#123456" != related
    assert second.get_lines()[0].get_color() == related


@pytest.mark.parametrize("zero", [0.0, 1.0])
def test_the_line_of_no_change_is_drawn_where_the_panel_says(zero: float) -> None:
    panel = Panel("weight x 2L", "rate", [0.01, 0.1], {"outsider": UP}, zero=zero, log=True)
    (ax,) = curves([panel], "title", "foot").axes
    assert zero in [line.get_ydata()[0] for line in ax.get_lines()[1:]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.01", "0.1"]


def test_a_mark_and_a_dashed_line_have_the_colour_of_their_name() -> None:
    panel = Panel("y", "x", [0, 1], {"a": UP}, marks={"a": DOWN[1]}, dashed={"a": 0.3})
    (ax,) = curves([panel], "title", "foot").axes
    line, dashed, mark = ax.get_lines()[:3]
    assert dashed.get_color() == mark.get_color() == line.get_color()
    assert np.ravel(mark.get_xdata())[0] > 1


def test_panels_of_one_scale_share_their_y_axis_and_names_of_one_colour_a_legend_entry() -> None:
    far = Panel("far", "alpha", [0.0, 1.0], {"clean": [Effect(-3.0, -4.0, -2.0)] * 2})
    colours = {"outsider": "#123456", "related": "#654321", "clean": "#654321"}
    given = {"colours": colours, "mark_word": "Uncertainty", "dash_word": "MTL"}
    figure = curves([TWO, far], "title", "foot", one_scale=True, **given)
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim() and first.get_ylim()[0] < -4
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["outsider", "related, clean", "Uncertainty", "MTL"]
    apart = curves([TWO, far], "title", "foot").axes
    assert apart[0].get_ylim() != apart[1].get_ylim()
    alone = Panel("y", "x", [0, 1], {"a": UP})
    assert not curves([alone], "title", "foot").legends, "one line needs no legend"


def test_on_a_phone_the_panels_stand_below_each_other() -> None:
    figure = curves([TWO, TWO], "title", "foot", about="above 0 is better")
    wide, narrow = figure.axes, figure.draw_narrow().axes
    assert wide[0].get_position().y0 == wide[1].get_position().y0
    assert narrow[0].get_position().y0 > narrow[1].get_position().y1
    assert any(text.get_text() == "above 0 is better" for text in figure.texts)


def test_a_level_can_be_named_and_an_axis_logarithmic() -> None:
    grown = [Effect(0.5, 0.4, 0.6), Effect(200.0, 190.0, 210.0)]
    panel = Panel("|a|", "steps", [40, 400], {"inside": grown}, zero=None, log_y=True)
    (ax,) = curves([panel], "title", "foot").axes
    assert ax.get_yscale() == "log" and ax.get_xscale() == "linear"
    named = Panel("weight", "rate", [0, 1], {"a": UP}, zero=1.0, zero_word="the optimum")
    (ax,) = curves([named], "title", "foot").axes
    assert [text.get_text() for text in ax.texts] == ["the optimum"]


def test_the_words_say_how_each_line_goes() -> None:
    said = alt_text(curves([TWO], "Outsiders gain", "foot"))
    assert said == (
        "Outsiders gain. difference from STL: outsider +0.00 to +0.50, related +0.20 to -0.20."
    )
