"""Drawings of ideas, and what is measured for them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from mtl_nt import BadInput, load
from mtl_nt.book.geometry import errors_drawn, room_drawn, steps_drawn, stretch_drawn
from mtl_nt.book.trunk_room import dial_room


def test_a_bar_of_the_room_is_as_long_as_its_share() -> None:
    drawn = ET.fromstring(room_drawn({2: [1.0, 0.5, 0.25]}, ["one", "two", "three"]).svg)
    bars = [float(e.attrib["width"]) for e in drawn.iter() if e.attrib.get("class") == "share"]
    assert np.allclose(np.array(bars) / bars[0], [1, 0.5, 0.25], atol=0.01)


@pytest.mark.parametrize("shares", [{}, {2: [1.0]}, {2: [1.0, 1.1]}, {2: [-0.1, 1.0]}])
def test_shares_that_no_trunk_has_are_refused(shares: dict[int, list[float]]) -> None:
    with pytest.raises(BadInput, match="share"):
        room_drawn(shares, ["one", "two"])


def test_units_hold_no_more_directions_than_they_are() -> None:
    held = dial_room(load("dial"), 2, [100, 101], steps=30)
    assert held.shape == (4,) and held.sum() <= 2 + 1e-6
    assert (np.diff(held[1:]) <= 0).all()
    assert np.allclose(dial_room(load("dial"), 16, [100], steps=1), 1, atol=1e-3)


def test_real_data_have_no_directions_to_hold() -> None:
    with pytest.raises(BadInput, match="give load\\('dial'\\)"):
        dial_room(load("digits"), 2, [100])


def lines_of(svg: str, cls: str) -> list[float]:
    """The directions of the lines of this class, in degrees; upwards is positive."""
    found = [e.attrib for e in ET.fromstring(svg).iter() if e.attrib.get("class") == cls]
    ends = [[float(a[k]) for k in ("x1", "y1", "x2", "y2")] for a in found]
    return [float(np.degrees(np.arctan2(y - y2, x2 - x))) for x, y, x2, y2 in ends]


def test_weights_stretch_gradients_and_turn_the_step_alone() -> None:
    drawn = stretch_drawn((1.0, 9.0), 110)
    before_a, before_b, after_a, after_b = lines_of(drawn.svg, "gradient")
    assert (before_a, before_b) == pytest.approx((0, 110), abs=8)  # short arrows are rounded
    assert (after_a, after_b) == pytest.approx((0, 110), abs=2)
    assert lines_of(drawn.svg, "step") == pytest.approx([104, 55], abs=2)


def test_a_gradient_is_the_sum_of_its_rows() -> None:
    drawn = errors_drawn([(1, 0), (0, 1)], {"A": [1, 1], "B": [-1, 0]})
    assert lines_of(drawn.svg, "gradient") == pytest.approx([45, 180], abs=2)
    assert lines_of(drawn.svg, "row") == pytest.approx([0, 90, 180], abs=2)
    assert "B: gradient (-1, 0), cosine -0.71, weight 0." in drawn.alt


def test_the_steps_of_methods_lie_between_two_gradients_and_say_who_rises() -> None:
    drawn = steps_drawn(((2.0, 0.0), (-0.5, 0.75)))
    mtl, pcgrad, cagrad, mgda, nash = lines_of(drawn.svg, "step")
    assert 0 < mtl < min(pcgrad, cagrad) and max(pcgrad, cagrad) < nash < mgda < 124
    assert mtl == pytest.approx(math.degrees(math.atan2(0.75, 1.5)), abs=2)
    assert "MTL: weights 1 and 1; A falls by 1.79, B by -0.11." in drawn.alt
    assert drawn.svg.count("rises") == 1
    equal = "A falls by 0.57, B by 0.57"  # of the shortest mean
    assert f"MGDA: weights 0.53 and 1.5; {equal}." in drawn.alt
    with pytest.raises(BadInput, match="a gradient has length 0"):
        steps_drawn(((0.0, 0.0), (1.0, 0.0)))
    with pytest.raises(BadInput, match="MGDA's step has length 0"):
        steps_drawn(((1.0, 0.0), (-1.0, 0.0)), methods=["MGDA"])


@pytest.mark.parametrize("bad", [((0.0, 1.0), 90.0), ((1.0, 1.0), 190.0)])
def test_gradients_that_cannot_be_drawn_are_refused(bad: tuple[tuple[float, float], float]) -> None:
    with pytest.raises(BadInput, match="above 0"):
        stretch_drawn(*bad)


@pytest.mark.parametrize("errors", [{}, {"A": [1.0]}, {"A": [0.0, 0.0]}])
def test_errors_that_make_no_gradient_are_refused(errors: dict[str, list[float]]) -> None:
    with pytest.raises(BadInput, match="errors_drawn"):
        errors_drawn([(1, 0), (0, 1)], errors)
