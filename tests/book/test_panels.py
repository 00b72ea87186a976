"""Panels that a notebook draws itself, on a page and on a phone."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from mtl_nt.book.panels import panels
from mtl_nt.figures import captioned_png, draw_cosines
from mtl_nt.figures.drawing import Drawing

LEAST = 8.0  # points: what is smaller cannot be read on a phone


def rise(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], "o-", label="a line")
    ax.text(0, 0, "a word", size=12)
    ax.set_title("what is drawn", loc="left", size=13)
    ax.set_xlabel("step", size=13)


def fall(ax: Axes) -> None:
    ax.plot([0, 1], [1, 0], label="a line")
    ax.plot([0, 1], [0, 0], label="another")
    ax.set_title("what is drawn next", loc="left", size=13)


def squares(ax: Axes) -> None:
    draw_cosines(ax, np.eye(4))
    ax.set_title("cosines", loc="left", size=12)


def both(figure: Drawing) -> list[Drawing]:
    assert figure.draw_narrow is not None
    return [figure, figure.draw_narrow()]


TITLE = "A title that is so long that a phone shows it on two lines or on three"
FOOT = "data by MSE, 8 runs on new data, 200 steps, and so on, for more letters than fit"


def test_panels_stand_side_by_side_on_a_page_and_below_each_other_on_a_phone() -> None:
    page, phone = both(panels([rise, fall], TITLE, "Two lines.", FOOT, left=[0.5, 1.0]))
    for figure in (page, phone):
        assert [text.get_text() for text in figure.legends[0].texts] == ["a line", "another"]
    (a, b), (c, d) = ([ax.get_position() for ax in f.axes] for f in (page, phone))
    assert a.y0 == b.y0 and a.x1 < b.x0
    assert c.y0 > d.y1
    assert (page.title, page.caption) == (TITLE, "Two lines.")


@pytest.mark.parametrize("cosines", [False, True])
def test_no_word_is_too_small_or_outside_or_on_another_panel(cosines: bool) -> None:
    draw = [squares] * 3 if cosines else [rise, fall]
    for figure in both(panels(draw, TITLE, "Words.", FOOT, cosines=cosines)):
        figure.canvas.draw()
        whole, (wide, tall) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(whole.x0, whole.y0) >= 0 and whole.x1 <= wide and whole.y1 <= tall
        sizes = [text.get_size() for text in figure.findobj(Text) if text.get_text().strip()]  # type: ignore[attr-defined]
        assert min(sizes) >= LEAST
        for k, ax in enumerate(figure.axes):
            others = [other.get_window_extent() for other in figure.axes[k + 1 :]]
            assert not any(ax.get_window_extent().overlaps(other) for other in others)


def test_squares_of_cosines_are_square_and_share_one_scale() -> None:
    for figure in both(panels([squares] * 2, "Cosines", "Two.", "foot", cosines=True)):
        *maps, scale = figure.axes
        assert len(maps) == 2
        assert scale.get_title(loc="left") == "cosine"
        for ax in maps:
            box = ax.get_window_extent()
            assert box.width == pytest.approx(box.height)


def test_a_dollar_in_a_word_starts_no_formula() -> None:
    page, phone = both(panels([lambda ax: ax.set_title("costs $5 or $6")], "$a$", "", "$b$"))
    for figure in (page, phone):
        assert not any(text.get_parse_math() for text in figure.findobj(Text))


def test_a_worker_sends_both_forms_back() -> None:
    """A notebook's functions are sent by value, and the picture comes back drawn."""
    sent = cloudpickle.loads(cloudpickle.dumps(captioned_png(panels([rise], "A", "B.", "c"))))
    assert sent.narrow.startswith(b"\x89PNG")
