"""What all figures share: colours, layout, labels that do not overlap, and small PNG files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

WIDTH, DPI = 8.0, 100  # inches, pixels an inch
TITLE_HEIGHT, FOOTER_HEIGHT = 0.8, 0.3  # inches kept for the title and for the footer
FOOTER_LENGTH = 104  # letters of the footer, at most
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = (
    14.0,
    13.0,
    11.5,
)  # points; half as large on a phone, and still read there
INK, GREY, NULL_BAND = "#222222", "#6B6B6B", "#E3E3E3"

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
    "Constant": "#B8B8B8",
}
EXTRA_COLOURS = ("#117733", "#44AA99", "#AA4466", "#6B4A2B")
MARKERS = dict(zip(COLOURS, "*Xs^DohPvd<>pHx12348", strict=True))
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
FILLS = ("full", "none", "left", "top")


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


def new_figure(height: float, title: str, text: str, foot: str) -> Figure:
    """A white figure, 8 inches wide, with a title, a footer and its alternative text.

    Args:
        height: in inches.
        title: the message of the figure, on three lines at most.
        text: what the figure shows, in words; `alt_text` returns the title and this text.
        foot: the data, runs and budget that the title holds for.

    >>> alt_text(new_figure(3, "MTL harms 2 of 9 tasks", "The harmed tasks are 1 and 4.", ""))
    'MTL harms 2 of 9 tasks. The harmed tasks are 1 and 4.'
    """
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    lines = textwrap.wrap(title.replace("null ", "null\N{NO-BREAK SPACE}"), 64)
    lines = [*lines[:2], shorten(" ".join(lines[2:]), 64)]
    top = 1 - 0.1 / height
    figure.text(0.012, top, "\n".join(lines), size=TITLE_SIZE, weight="bold", va="top", color=INK)
    figure.text(
        0.012, 0.07 / height, shorten(foot, FOOTER_LENGTH), size=10, va="bottom", color=GREY
    )
    figure.set_label(f"{title}. {text}")
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes to the figure. All distances are in inches, from the lower left corner.

    >>> ax = add_axes(new_figure(3, "title", "text", "foot"), 0.8, 0.6, 6, 2)
    >>> [round(float(inches), 2) for inches in ax.get_position().size * (8, 3)]
    [6.0, 2.0]
    """
    tall = figure.get_figheight()
    made = figure.add_axes((left / WIDTH, bottom / tall, width / WIDTH, height / tall))
    made.spines[["top", "right"]].set_visible(False)
    made.tick_params(labelsize=SMALL_SIZE, color=GREY, labelcolor=INK)
    return made


def add_legend(
    figure: Figure, handles: Sequence[Artist], names: Sequence[str], columns: int = 9
) -> None:
    """Add a legend to the figure, just above the footer.

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
        bbox_to_anchor=(0.005, FOOTER_HEIGHT / figure.get_figheight()),
        ncols=min(columns, len(handles)),
        fontsize=SMALL_SIZE,
        frameon=False,
        handletextpad=0.4,
        columnspacing=1.2,
        borderpad=0,
    )


def label_line_ends(ax: Axes, lines: Sequence[tuple[float, str, object]]) -> None:
    """Write names at the right ends of lines, in the lines' colours, without overlap.

    Args:
        lines: for each line the height of its end, in data units, its name and its colour. A line
            that ends in NaN gets no name.

    >>> ax = add_axes(new_figure(3, "title", "text", "foot"), 0.8, 0.6, 6, 2)
    >>> label_line_ends(ax, [(0.5, "STL", "black"), (0.5, "MTL", "#0072B2")])
    >>> low, high = sorted(text.get_position()[1] for text in ax.texts)
    >>> bool(high > low)
    True
    """
    lines = [line for line in lines if np.isfinite(line[0])]
    low, high = ax.get_ylim()
    places = [(v - low) / (high - low) for v, *_ in lines]
    figure = ax.get_figure(root=True)
    assert figure is not None
    tall = ax.get_position().height * figure.get_figheight()
    moved = spread(places, 0.22 / tall, 0, 1)
    for (_, name, colour), place, at in zip(lines, places, moved, strict=True):
        ax.plot(
            (1, 1.025), (place, at), color=colour, lw=0.8, clip_on=False, transform=ax.transAxes
        )
        ax.text(1.03, at, name, size=SMALL_SIZE, va="center", color=colour, transform=ax.transAxes)


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


def label_width(names: Iterable[str]) -> float:
    """The inches that the longest of these names takes beside an axis."""
    return 0.3 + 0.112 * max(len(shorten(name, 22)) for name in names)


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


def png_bytes(figure: Figure, colours: int = 64) -> bytes:
    """The figure as a PNG of few colours, which takes a quarter of the bytes in a notebook.

    The colours that cover most of the picture stay exactly as they are, so a method keeps its own.
    The rest of the palette goes to the colours that are farthest from all that were kept.

    Args:
        colours: how many colours the PNG has at most; 256 is the limit of the format.

    >>> png_bytes(new_figure(2, "title", "text", "foot"))[:4]
    b'\\x89PNG'
    """
    agg = FigureCanvasAgg(figure)  # one that came from another process has none
    agg.draw()
    pixels = np.asarray(agg.buffer_rgba())
    tall, wide, _ = pixels.shape
    packed = pixels.reshape(-1, 4).view(np.uint32)[:, 0]
    starts = np.flatnonzero(np.r_[True, packed[1:] != packed[:-1]])  # of runs of one colour
    lengths = np.diff(np.r_[starts, len(packed)])
    seen, which = np.unique(packed[starts], return_inverse=True)
    cover = np.bincount(which, lengths)
    rgb = seen.view(np.uint8).reshape(-1, 4).T[:3].astype(np.float32)
    chosen, nearest = _palette(rgb, cover, colours)
    index = np.repeat(nearest[which], lengths)
    image = Image.frombytes("P", (wide, tall), index.tobytes())
    image.putpalette(rgb[:, chosen].T.astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _palette(
    rgb: Float[np.ndarray, "3 C"], cover: Float[np.ndarray, " C"], colours: int
) -> tuple[list[int], UInt8[np.ndarray, " C"]]:
    """Which colours are kept, and for every colour the kept one that is nearest.

    The first half are the colours that cover most. The others follow one by one, each the colour
    that is then farthest from all kept ones.
    """
    common, weight = np.argsort(-cover, kind="stable"), np.sqrt(cover)
    away, nearest = np.full(len(cover), np.inf), np.zeros(len(cover), np.uint8)
    chosen: list[int] = []
    for k in range(min(colours, 256, len(cover))):
        pick = common[k] if k < max(1, colours // 2) else (away * weight).argmax()
        chosen.append(int(pick))
        distance = np.square(rgb - rgb[:, [pick]]).sum(0)
        closer = distance < away
        away[closer], nearest[closer] = distance[closer], k
    return chosen, nearest


def captioned_png(figure: Figure, colours: int = 64) -> tuple[bytes, str]:
    """The figure as a PNG with its alternative text, which is what the widgets show.

    >>> png, caption = captioned_png(new_figure(2, "A title", "And a text.", "foot"))
    >>> caption
    'A title. And a text.'
    """
    return png_bytes(figure, colours), alt_text(figure)


def alt_text(figure: Figure) -> str:
    """What the figure shows, in words: its alternative text and caption.

    The text may hold names from a user's data, so escape it in HTML.

    >>> alt_text(new_figure(2, "A title", "And a text.", "foot"))
    'A title. And a text.'
    """
    return str(figure.get_label())
