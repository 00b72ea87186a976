"""Panels that a notebook draws itself: side by side on a page, and below each other on a phone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.text import Text

from ..figures import Drawing, add_axes, draw_cosine_scale
from ..figures.drawing import in_both_forms, without_formulas
from ..figures.forms import PAGE, TEXT_SIZE, Form
from ..figures.sheet import legend_columns, legend_height, new_sheet

Draw = Callable[[Axes], object]
BELOW, ABOVE = 0.62, 0.36  # inches for the label below a panel, and for its title
BAR = 0.7  # inches for the scale of colours below the panels of a phone


def panels(
    draw: Sequence[Draw],
    title: str,
    text: str,
    foot: str,
    about: str = "",
    tall: float = 2.0,
    left: float | Sequence[float] = 0.75,
    right: float = 0.2,
    shares: Sequence[float] = (),
    cosines: bool = False,
) -> Drawing:
    """A figure of panels, each drawn by a function of its axes; it has a form for phones.

    The functions are called once for every form. Letters in the axes are set smaller on a phone by
    themselves. Lines and bars with a label have a legend below the panels.

    Args:
        draw: one function for each panel, from left to right.
        title: the message.
        text: what the figure shows, in words.
        foot: the small print: data, runs, settings.
        about: what is compared with what, below the title.
        tall: inches of a panel; squares of cosines are no larger.
        left: inches for the names or numbers at the left of a panel; for all, or for each.
        right: inches at the right end, for what is written there.
        shares: of the width, for each panel on a page; by default all are as wide.
        cosines: whether the panels are squares of cosines, with one scale of colours.

    >>> figure = panels([lambda ax: ax.plot([1, 2])] * 2, "A title", "A text.", "foot")
    >>> [len(form.axes) for form in (figure, figure.draw_narrow())]
    [2, 2]
    """
    lefts = [left] * len(draw) if isinstance(left, (int, float)) else [*left]
    shown = _Panels(
        draw=tuple(draw),
        words=(title, text, about, (foot,)),
        tall=tall,
        lefts=tuple(map(float, lefts)),
        right=right,
        shares=tuple(shares) or (1.0,) * len(draw),
        cosines=cosines,
    )
    return in_both_forms(partial(_draw_panels, shown))


@dataclass(frozen=True)
class _Panels:
    """What `panels` shows."""

    draw: tuple[Draw, ...]
    words: tuple[str, str, str, tuple[str, ...]]
    tall: float
    lefts: tuple[float, ...]
    right: float
    shares: tuple[float, ...]
    cosines: bool


def _draw_panels(shown: _Panels, form: Form) -> Drawing:
    page, scale, many = form is PAGE, form.text_size / TEXT_SIZE, len(shown.draw)
    right = shown.right * scale + (0.75 if shown.cosines and page else 0)
    room = form.width - scale * sum(shown.lefts) - right
    widths = [room * share / sum(shown.shares) for share in shown.shares]
    if not page:
        widths = [form.width - scale * left - right - 0.05 for left in shown.lefts]
    tall = shown.tall
    if shown.cosines:
        tall = min(tall, *widths)
        widths = [tall] * many
    block = ABOVE * scale + tall + BELOW * scale
    bar = BAR if shown.cosines and not page else 0.0
    handles, names = _legend(shown)
    end = legend_height(names, form) + bar
    body = block * (1 if page else many) + end
    sheet = new_sheet(*shown.words, body, form)

    at = 0.0
    for k, (draw, left, wide) in enumerate(zip(shown.draw, shown.lefts, widths, strict=True)):
        line = 0 if page else k
        bottom = sheet.top - ABOVE * scale - tall - line * block
        ax = add_axes(sheet.figure, at + left * scale, bottom, wide, tall)
        draw(ax)
        _resize(ax, form)
        at = at + left * scale + wide if page else 0.0
    if shown.cosines and page:
        beside = add_axes(sheet.figure, at + 0.2, bottom, 0.15, tall)
        draw_cosine_scale(sheet.figure, beside, form)
    elif shown.cosines:
        height = sheet.bottom + legend_height(names, form) + 0.28
        under = add_axes(sheet.figure, shown.lefts[0] * scale, height, widths[0], 0.12)
        draw_cosine_scale(sheet.figure, under, form)
    if names:
        sheet.add_legend(handles, names, legend_columns(names, form))
    without_formulas(sheet.figure)
    return sheet.figure


def _legend(shown: _Panels) -> tuple[list[Artist], list[str]]:
    """All that has a label in some panel, once."""
    found: dict[str, Artist] = {}
    figure = Drawing()
    for draw in shown.draw:
        ax = figure.add_subplot()
        draw(ax)
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return [*found.values()], [*found]


def _resize(ax: Axes, form: Form) -> None:
    """Letters and marks in the sizes of a phone; a page leaves them as they were drawn."""
    if form is PAGE:
        return
    scale = form.text_size / TEXT_SIZE
    ax.tick_params(labelsize=form.small_size)
    for text in ax.findobj(Text):
        assert isinstance(text, Text)  # which older matplotlib's types do not say
        text.set_fontsize(max(form.small_size, float(text.get_fontsize()) * scale))
    for line in ax.get_lines():
        line.set_markersize(line.get_markersize() * scale)
