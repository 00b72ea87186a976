"""SVG pictures for notebooks: a `Drawing` is the finished one, and a `Canvas` makes it.

A drawing is white, 480 units wide, and has letters of 15 units or more, so it reads on a phone and
on a dark page.
"""

from __future__ import annotations

import io
import math
import re
import unicodedata
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from jaxtyping import Float
from PIL import Image, ImageFont
from torch import Tensor

from ..errors import printable
from ..figures.drawing import INK, shorten

WIDTH, MARGIN, SIZE, LINE = 480.0, 12.0, 15.0, 21.0  # units; of letters and of lines of text
FONT = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"
SVG = "http://www.w3.org/2000/svg"


@dataclass(frozen=True, repr=False)
class Drawing:
    """A picture with its alternative text. A notebook shows it as one image.

    Args:
        svg: the picture, as a file has it.
        alt: what it shows, in words.

    >>> Drawing("<svg/>", "Nothing at all.")
    Nothing at all.
    """

    svg: str
    alt: str

    def __repr__(self) -> str:
        return self.alt

    @property
    def html(self) -> str:
        """The picture as HTML: an image, which needs neither a script nor trust."""
        source = f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode()}"
        return f'<img src="{source}" alt="{escape(self.alt)}" style="max-width: 100%">'

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.alt}


class Canvas:
    """An SVG that grows downwards: `y` is where the next thing begins."""

    def __init__(self) -> None:
        self.root = ET.Element("svg", {"xmlns": SVG, "font-family": FONT, "fill": INK})
        self.into, self.y = self.root, MARGIN

    def drawing(self, alt: str) -> Drawing:
        """The finished picture on its white ground."""
        height = math.ceil(self.y + MARGIN / 2)
        size = {"width": f"{WIDTH:g}", "height": str(height), "viewBox": f"0 0 {WIDTH:g} {height}"}
        self.root.attrib |= {**size, "role": "img"}
        ground = ET.Element("rect", {**size, "fill": "white", "rx": "6"})
        ground.attrib.pop("viewBox")
        self.root.insert(0, ground)
        title = ET.Element("title")
        title.text = alt
        self.root.insert(0, title)
        return Drawing(ET.tostring(self.root, encoding="unicode"), alt)

    def group(self, cls: str, name: str) -> None:
        """What follows belongs together."""
        named = {"class": cls, "data-name": printable(name)}
        self.into = ET.SubElement(self.root, "g", named)

    def add(self, tag: str, cls: str = "", **attributes: float | str) -> ET.Element:
        """Add an element. Numbers are rounded to a tenth."""
        written = {k: _written(v) for k, v in attributes.items()}
        return ET.SubElement(self.into, tag, ({"class": cls} if cls else {}) | written)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        size: float = SIZE,
        bold: bool = False,
        fill: str = INK,
        cls: str = "",
        halo: bool = False,
    ) -> None:
        """Write words on one line whose letters stand on y; a halo hides lines behind them."""
        options: dict[str, float | str] = {"font-size": size, "fill": fill}
        if halo:
            options |= {"stroke": "white", "stroke-width": 6, "paint-order": "stroke"}
        options |= {"font-weight": "bold"} if bold else {}
        options |= {"text-anchor": anchor} if anchor != "start" else {}
        self.add("text", cls, x=x, y=y, **options).text = printable(words)

    def title(self, words: str) -> None:
        """Write the message of the picture at its top."""
        self.paragraph(words, size=17, bold=True)
        self.y += 12

    def paragraph(
        self, words: str, x: float = MARGIN, size: float = SIZE, bold: bool = False, fill: str = INK
    ) -> None:
        """Write words on as many lines as they need."""
        for line in wrapped(words, WIDTH - MARGIN - x, size, bold):
            self.text(x, self.y + size, line, size=size, bold=bold, fill=fill)
            self.y += LINE * size / SIZE

    def name(self, name: str, x: float, size: float) -> None:
        """Write a name on one line, cut where it is too long."""
        words = fitted(name, WIDTH - MARGIN - x, size, bold=True)
        self.text(x, self.y + size, words, size=size, bold=True)
        self.y += LINE * size / SIZE

    def rect(self, x: float, y: float, width: float, height: float, **options: Any) -> None:
        self.add("rect", x=x, y=y, width=width, height=height, **options)

    def circle(self, x: float, y: float, r: float, **options: Any) -> None:
        self.add("circle", cx=x, cy=y, r=r, **options)

    def line(
        self, x: float, y: float, x2: float, y2: float, colour: str, width: float, **options: Any
    ) -> None:
        options = {"stroke": colour, "stroke-width": width, **options}
        self.add("line", x1=x, y1=y, x2=x2, y2=y2, **options)

    def path(self, d: str, colour: str, width: float, fill: str = "none", **options: Any) -> None:
        options = {"fill": fill, "stroke": colour, "stroke-width": width, **options}
        rounded = re.sub(r"-?\d+\.\d+", lambda number: _written(float(number[0])), d)
        self.add("path", d=rounded, **options)

    def arrow(
        self, x: float, y: float, x2: float, y2: float, colour: str, width: float, cls: str
    ) -> None:
        """A line from the first point to the second, with a head there."""
        angle, size = math.atan2(y2 - y, x2 - x), 4 + 2.5 * width
        end = x2 - 0.8 * size * math.cos(angle), y2 - 0.8 * size * math.sin(angle)
        self.line(x, y, *end, colour, width, cls=cls)
        self.head_of_arrow(x2, y2, angle, colour, size)

    def head_of_arrow(self, x: float, y: float, angle: float, colour: str, size: float) -> None:
        """A triangle that points along the angle, with its tip at a point."""
        corners = [(x, y)]
        for turned in (angle + 2.75, angle - 2.75):
            corners.append((x + size * math.cos(turned), y + size * math.sin(turned)))
        points = " ".join(f"{_written(a)},{_written(b)}" for a, b in corners)
        self.add("polygon", points=points, fill=colour)

    def image(self, x: float, y: float, side: float, pixels: Float[Tensor, "H W"]) -> None:
        """A grey image of numbers between 0 and 1, which is ink."""
        grey = (255 * (1 - pixels)).round().byte().numpy()
        file = io.BytesIO()
        Image.fromarray(grey).save(file, "PNG")
        source = f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
        options: dict[str, Any] = {"href": source, "style": "image-rendering: pixelated"}
        self.add("image", x=x, y=y, width=side, height=side, **options)

    def nested(self, drawn: ET.Element, x: float, y: float) -> None:
        """Another SVG, in its own size."""
        drawn.attrib |= {"x": _written(x), "y": _written(y)}
        self.into.append(drawn)


def _written(value: float | str) -> str:
    return value if isinstance(value, str) else f"{round(float(value), 1):g}"


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour."""
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


# Letters are measured in DejaVu Sans, which is wider than the fonts that most readers have.


@cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf", name), 100)


def text_width(words: str, size: float = SIZE, bold: bool = False) -> float:
    """The units that a line of text takes, at most."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in words)
    return size * (_font(bold).getlength(words) / 100 + 0.4 * wide)


def fitted(words: str, width: float, size: float = SIZE, bold: bool = False) -> str:
    """A name on one line, cut in its middle as far as needed."""
    words = printable(words)
    lengths: Iterable[int] = range(min(len(words), 200), 3, -1)
    cut = (shorten(words, length) for length in lengths)
    return next((c for c in cut if text_width(c, size, bold) <= width), shorten(words, 3))


def wrapped(words: str, width: float, size: float = SIZE, bold: bool = False) -> list[str]:
    """Words on lines that are at most so wide."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size, bold) > width:
            lines.append(fitted(word, width, size, bold))
        else:
            lines[-1] = longer if lines[-1] else fitted(word, width, size, bold)
    return lines
