"""What all figures share: colours, layout, labels that do not overlap, and their words."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from .forms import (
    FOOTER_HEIGHT,
    FOOTER_LENGTH,
    PAGE,
    PHONE,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_HEIGHT,
    WIDTH,
    Form,
)
from .inline import Captioned, captioned_html
from .png import png_bytes

__all__ = [
    "AGREEMENT",
    "COLOURS",
    "CONFLICT",
    "DASHES",
    "Drawing",
    "EXTRA_COLOURS",
    "FILLS",
    "FOOTER_HEIGHT",
    "FOOTER_LENGTH",
    "Form",
    "GREY",
    "HARMS",
    "HELPS",
    "INK",
    "MARKERS",
    "NEUTRAL_COLOURS",
    "NULL_BAND",
    "PAGE",
    "PHONE",
    "SMALL_SIZE",
    "Style",
    "TEXT_SIZE",
    "TITLE_HEIGHT",
    "WIDTH",
    "add_axes",
    "add_legend",
    "alt_text",
    "captioned_png",
    "fitted_names",
    "in_both_forms",
    "label_line_ends",
    "label_width",
    "method_styles",
    "new_figure",
    "png_bytes",
    "round_ticks",
    "short_names",
    "shorten",
    "tick_text",
    "spread",
    "text_inches",
    "title_lines",
    "without_formulas",
]

INK, GREY, NULL_BAND = "#222222", "#6B6B6B", "#E3E3E3"
HELPS, HARMS = "#2F6FB0", "#B5332E"
"""Blue helps and red harms, in every figure and in the playground."""
CONFLICT, AGREEMENT = "#D95F02", "#00857A"
"""Gradients in conflict are orange, and gradients that agree are teal, in every figure."""

# Okabe and Ito's colours, darker ones of Tol's, and then what is farthest from all of them.
COLOURS: dict[str, str] = {
    "STL": "#000000",
    "STL'": "#7A7A7A",
    "MTL": "#0072B2",
    "Fine-Tuning": "#E69F00",
    "RMTL": "#CC79A7",
    "LBTW": "#D55E00",
    "GradNorm": "#009E73",
    "Uncertainty": "#56B4E9",
    "PCGrad": "#0DB2BF",
    "MGDA": "#CC0DB2",
    "CAGrad": "#99B24C",
    "Nash-MTL": "#731A33",
    "DWA": "#882255",
    "RandomWeights": "#8C8C1A",
    "Scalarisation": "#332288",
    "Deep-AMTFL": "#7FBC6C",
    "U-AMTFL": "#731E12",
    "MTL-CNN": "#2D70FE",
    "CNN": "#273A74",
    "Group mean": "#A6563F",
    "OLS": "#4A99F8",
    "ElasticNet": "#0609F9",
    "Ridge": "#2616BC",
    "Trees": "#91460A",
    "Constant": "#B8B8B8",
}
NEUTRAL_COLOURS = ("#3A3A3A", "#7B5EA7", "#A07A1E")
"""For what is no method, no help or harm, and no conflict, such as the width of a trunk."""
EXTRA_COLOURS = ("#117733", "#44AA99", "#AA4466", "#6B4A2B")
MARKERS = dict(zip(COLOURS, [*"*Xs^DohP", 4, 5, 6, 7, *"vd<>pHx1234+8"], strict=True))
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
FILLS = ("full", "none", "left", "top")


class Drawing(Figure):
    """A figure with its words and, where it has one, its form for phones.

    A notebook shows it as a picture with a caption, so it may be the last line of a cell.

    Attributes:
        title: its message.
        caption: what it shows, in words, without the message.
        draw_narrow: draws the form for phones, or None.

    >>> figure = new_figure(2, "3 harmed", "Of 9.", "")
    >>> figure.title, figure.caption
    ('3 harmed', 'Of 9.')
    """

    title: str = ""
    caption: str = ""
    draw_narrow: Callable[[], Figure] | None = None

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        picture = captioned_png(self)
        return {"text/html": captioned_html(picture), "text/plain": picture[1]}


def in_both_forms(draw: Callable[[Form], Drawing]) -> Drawing:
    """The figure for pages, which can draw its form for phones when that is asked for.

    >>> figure = in_both_forms(lambda form: new_figure(2, "A title", "And a text.", "", form))
    >>> [float(each.get_figwidth()) for each in (figure, figure.draw_narrow())]
    [8.0, 3.9]
    """
    figure = draw(PAGE)
    figure.draw_narrow = partial(draw, PHONE)
    return figure


class Style(NamedTuple):
    """How a method is drawn: colour and marker of its family, dashes and filling of its own."""

    colour: str
    dashes: str | tuple
    marker: str
    fill: str


def method_styles(methods: Iterable[str]) -> dict[str, Style]:
    """A style for every method. A variant ("LBTW, shuffled") looks like its family ("LBTW").

    >>> method_styles(["MTL", "LBTW"])["LBTW"].colour
    '#D55E00'
    """
    found: dict[str, Style] = {}
    variants: dict[str, int] = {}  # of a family so far
    extra: dict[str, str] = {}  # colours of families that are not in COLOURS
    for name in dict.fromkeys(methods):
        if name.endswith("'"):  # the twin of any baseline shows chance
            found[name] = Style(COLOURS["STL'"], DASHES[0], MARKERS["STL'"], FILLS[0])
            continue
        family = name if name in COLOURS else name.split(",")[0].strip()
        colour = COLOURS.get(family) or extra.setdefault(
            family, EXTRA_COLOURS[len(extra) % len(EXTRA_COLOURS)]
        )
        order = variants[family] = variants.get(family, 0) + (name != family)
        order = order % len(DASHES) if name != family else 0
        found[name] = Style(colour, DASHES[order], MARKERS.get(family, "p"), FILLS[order])
    return found


def new_figure(height: float, title: str, text: str, foot: str, form: Form = PAGE) -> Drawing:
    """A white figure with a title, a footer and its alternative text, 8 inches wide on a page.

    Args:
        height: in inches.
        title: the message of the figure, on three lines at most.
        text: what the figure shows, in words; `alt_text` returns the title and this text.
        foot: the data, runs and budget that the title holds for; one line, or several.
        form: the measures of the figure.

    >>> alt_text(new_figure(3, "MTL harms 2 of 9 tasks", "The harmed tasks are 1 and 4.", ""))
    'MTL harms 2 of 9 tasks. The harmed tasks are 1 and 4.'
    """
    figure = Drawing(figsize=(form.width, height), dpi=form.dpi, facecolor="white")
    FigureCanvasAgg(figure)
    left, top = 0.1 / form.width, 1 - 0.1 / height
    lines = "\n".join(title_lines(title, form))
    bold: dict[str, Any] = {
        "size": form.title_size,
        "weight": "bold",
        "va": "top",
        "parse_math": False,
    }
    figure.text(left, top, lines, color=INK, **bold)
    small = "\n".join(shorten(line, form.foot_letters) for line in foot.split("\n"))
    style: dict[str, Any] = {"size": form.foot_size, "va": "bottom", "parse_math": False}
    figure.text(left, 0.07 / height, small, color=GREY, **style)
    figure.title, figure.caption = title, text
    figure.set_label(f"{title}. {text}")
    return figure


def title_lines(title: str, form: Form = PAGE) -> list[str]:
    """The lines of a title, of which the last one is shortened where there are too many.

    >>> title_lines("MTL harms none of 9 tasks beyond chance (null 0)", PHONE)
    ['MTL harms none of 9 tasks beyond', 'chance (null\xa00)']
    """
    most = form.title_lines
    whole = title.replace("null ", "null\N{NO-BREAK SPACE}")
    lines = textwrap.wrap(whole, form.title_letters, break_on_hyphens=False)
    rest = [shorten(" ".join(lines[most - 1 :]), form.title_letters)] if len(lines) >= most else []
    return [*lines[: most - 1], *rest]


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes to the figure. All distances are in inches, from the lower left corner.

    >>> ax = add_axes(new_figure(3, "title", "text", "foot"), 0.8, 0.6, 6, 2)
    >>> [round(float(inches), 2) for inches in ax.get_position().size * (8, 3)]
    [6.0, 2.0]
    """
    wide, tall = figure.get_size_inches()
    made = figure.add_axes((left / wide, bottom / tall, width / wide, height / tall))
    made.spines[["top", "right"]].set_visible(False)
    made.tick_params(labelsize=SMALL_SIZE, color=GREY, labelcolor=INK)
    return made


def add_legend(
    figure: Figure,
    handles: Sequence[Artist],
    names: Sequence[str],
    columns: int = 9,
    lines_below: int = 1,
) -> None:
    """Add a legend to the figure, just above the footer, which has so many lines.

    >>> figure = new_figure(3, "title", "text", "foot")
    >>> lines = add_axes(figure, 0.8, 0.6, 6, 2).plot([1, 2])
    >>> add_legend(figure, lines, ["LBTW"])
    >>> len(figure.legends)
    1
    """
    figure.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(0.005, (FOOTER_HEIGHT + 0.17 * (lines_below - 1)) / figure.get_figheight()),
        ncols=min(columns, len(handles)),
        fontsize=SMALL_SIZE,
        frameon=False,
        handletextpad=0.4,
        columnspacing=1.2,
        borderpad=0,
    )


def label_line_ends(
    ax: Axes, lines: Sequence[tuple[float, str, object]], size: float = SMALL_SIZE
) -> None:
    """Write names at the right ends of lines, in the lines' colours, without overlap.

    Args:
        lines: for each line the height of its end, in data units, its name and its colour. A line
            that ends in NaN gets no name.
        size: of the letters, in points.

    >>> ax = add_axes(new_figure(3, "title", "text", "foot"), 0.8, 0.6, 6, 2)
    >>> label_line_ends(ax, [(0.5, "STL", "black"), (0.5, "MTL", "#0072B2")])
    >>> low, high = sorted(text.get_position()[1] for text in ax.texts)
    >>> bool(high > low)
    True
    """
    lines = [line for line in lines if np.isfinite(line[0])]
    heights = ax.get_yaxis().get_transform().transform  # also of a logarithmic axis
    low, high = heights(np.array(ax.get_ylim()))
    places = (heights(np.array([v for v, *_ in lines], dtype=float)) - low) / (high - low)
    figure = ax.get_figure(root=True)
    assert figure is not None
    tall = ax.get_position().height * figure.get_figheight()
    moved = spread(places, 0.22 * size / SMALL_SIZE / tall, 0, 1)
    away = max(0.03, 0.13 / (ax.get_position().width * figure.get_figwidth()))  # past a mark there
    style: dict[str, Any] = {"size": size, "va": "center", "parse_math": False}
    for (_, name, colour), place, at in zip(lines, places, moved, strict=True):
        ends = (1, 1 + 0.8 * away), (place, at)
        ax.plot(*ends, color=colour, lw=0.8, clip_on=False, transform=ax.transAxes)
        ax.text(1 + away, at, name, color=colour, transform=ax.transAxes, **style)


def without_formulas(figure: Figure) -> Figure:
    """The figure with every text as it is written: a `$` in a task's name starts no formula."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)  # which older matplotlib's types do not say
        text.set_parse_math(False)
    return figure


def shorten(name: object, length: int) -> str:
    """A name on one line, cut in its middle when it is longer than `length`.

    >>> shorten("a very long name of a task", 14)
    'a very lo…task'
    """
    line = " ".join(str(name).split())
    if len(line) <= length:
        return line
    return f"{line[: length - length // 3 - 1]}…{line[-(length // 3) :]}"


def short_names(names: Iterable[object], length: int) -> list[str]:
    """Names on one line, cut when they are longer than `length`, so that no two look alike.

    Names that would look alike are cut before the place at which they differ. Where that does not
    help, they get numbers.

    >>> short_names(["against its shuffle", "against its own shuffle", "MTL"], 16)
    ['again…ts shuffle', 'again…own shuff…', 'MTL']
    >>> short_names(["assay of the 1st kind of cell", "assay of the 2nd kind of cell"], 16)
    ['assay…1st kind …', 'assay…2nd kind …']
    """
    lines = [" ".join(str(name).split()) for name in names]
    cut = {line: shorten(line, length) for line in lines}
    for alike in _alike(cut):
        start = len(os.path.commonprefix(alike))
        while start and alike[0][start - 1].isdigit():  # a number is not cut in two
            start -= 1
        cut |= {line: _cut_before(line, start, length) for line in alike if len(line) > length}
    for alike in _alike(cut):
        for number, line in enumerate(alike, 1):
            told = f" ({number})"
            cut[line] = shorten(line, length - len(told)) + told
    return [cut[line] for line in lines]


def _alike(cut: dict[str, str]) -> list[list[str]]:
    """The names of which several are cut to the same letters."""
    found: dict[str, list[str]] = {}
    for name, letters in cut.items():
        found.setdefault(letters, []).append(name)
    return [names for names in found.values() if len(names) > 1]


def _cut_before(name: str, start: int, length: int) -> str:
    """The beginning of a name, and what follows from `start` on, or from before it."""
    head = length // 3
    room = length - head - 1
    if len(name) - start > room:
        return f"{name[:head]}…{name[start : start + room - 1]}…"
    return f"{name[:head]}…{name[-room:]}"


def fitted_names(names: Iterable[object], form: Form = PAGE) -> tuple[list[str], float]:
    """Names as they stand beside rows, and the size of their letters, in points.

    Where some name is too long for a phone, all of them are set in small letters, so that as much
    of each is kept as on a page.

    >>> fitted_names(["against its shuffle", "MTL"], PHONE)
    (['against its shuffle', 'MTL'], 8.5)
    """
    lines = [" ".join(str(name).split()) for name in names]
    if max(map(len, lines), default=0) <= form.name_letters or form is PAGE:
        return short_names(lines, form.name_letters), form.text_size
    return short_names(lines, PAGE.name_letters), form.small_size


@lru_cache(maxsize=4096)
def text_inches(text: str, size: float, bold: bool = False) -> float:
    """How wide a text is, in inches.

    >>> bool(text_inches("MTL", 13) < text_inches("MTL, tuned", 13))
    True
    """
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def round_ticks(most: int) -> MaxNLocator:
    """So many steps between ticks, at most, each of them 1, 2, 2.5 or 5 of some power of ten.

    >>> round_ticks(5).tick_values(-0.24, 0.08).round(3).tolist()
    [-0.3, -0.2, -0.1, 0.0, 0.1]
    """
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])


def tick_text(value: float, position: float | None = None) -> str:
    """A number beside an axis, in few letters. A figure with it can be sent to another process.

    >>> tick_text(-0.5), tick_text(1000.0)
    ('−0.5', '1000')
    """
    return f"{value:.6g}".replace("-", "−")


def label_width(names: Iterable[str], form: Form = PAGE) -> float:
    """The inches that the longest of these names takes beside an axis, as `fitted_names` are."""
    fitted, size = fitted_names(names, form)
    return 0.1 + 0.2 * size / TEXT_SIZE + max(text_inches(name, size) for name in fitted)


def spread(
    places: Sequence[float] | Float[np.ndarray, " N"], gap: float, low: float, high: float
) -> Float[np.ndarray, " N"]:
    """Move places as little as needed to stand `gap` apart, in the same order, within a range.

    >>> spread([0.5, 0.5], gap=0.2, low=0, high=1).round(2).tolist()
    [0.4, 0.6]
    """
    places = np.asarray(places, float)
    order = np.argsort(places, kind="stable")
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    steps = gap * np.arange(len(places))
    # Least squares under "each at least a gap above the last" is an isotonic regression.
    blocks: list[tuple[float, int]] = []
    for value in places[order] - steps:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    flat = np.repeat([v for v, _ in blocks], [n for _, n in blocks])
    moved = np.empty_like(places)
    moved[order] = np.clip(flat, low, max(low, high - steps[-1] if len(steps) else high)) + steps
    return moved


def captioned_png(figure: Figure, colours: int = 64) -> Captioned:
    """The figure as a PNG with its words, which is what the widgets show.

    It is a pair, and has the form for phones as an attribute, where the figure has one.

    >>> png, caption = captioned_png(new_figure(2, "A title", "And a text.", "foot"))
    >>> caption
    'A title. And a text.'
    """
    png = png_bytes(figure, colours)
    if not isinstance(figure, Drawing):
        return Captioned(png, alt_text(figure))
    narrow = figure.draw_narrow and partial(_narrow_png, figure.draw_narrow, colours)
    return Captioned(png, figure.title, figure.caption, narrow)


def _narrow_png(draw: Callable[[], Figure], colours: int) -> bytes:
    return png_bytes(draw(), colours)


def alt_text(figure: Figure) -> str:
    """What the figure shows, in words: its alternative text and caption.

    The text may hold names from a user's data, so escape it in HTML.

    >>> alt_text(new_figure(2, "A title", "And a text.", "foot"))
    'A title. And a text.'
    """
    return str(figure.get_label())
