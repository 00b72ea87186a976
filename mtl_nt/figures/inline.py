"""Finished pictures as HTML: a picture is a PNG with its words, and may have a form for phones."""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from collections.abc import Callable
from functools import cached_property, partial
from html import escape
from typing import Any

from ..errors import BadInput

Picture = tuple[bytes, str]  # a PNG and its caption

NARROW = 600  # pixels: a page that is at most so wide shows the form for phones
LEGIBLE = 580  # pixels: a picture without such a form is no narrower, and scrolls sideways
PAGE_PICTURE = '<div class="nt-explorer">\n{figure}\n</div>'
"""A picture alone is an explorer without controls: pages and kept outputs treat it as one."""
BY_WIDTH = (
    f"<style>@media (max-width: {NARROW}px) {{"
    ".nt-wide { display: none !important } .nt-narrow { display: block !important }}</style>"
)
"""Chooses between two forms. Where a reader's program drops style sheets, the first stays."""
NARROW_IMAGE = re.compile(r'<img class="nt-narrow"[^>]*>')


class Captioned(tuple[bytes, str]):
    """A PNG and its words as a pair, with the parts of the words and the form for phones.

    Attributes:
        title: the message, which is the picture's alternative text.
        caption: the other words, which stand below the picture.
        narrow: the form for phones as a PNG, or None. It is drawn when it is first asked for.

    >>> picture = Captioned(b"", "MTL harms 2 of 9 tasks", "The harmed tasks are 1 and 4.")
    >>> png, words = picture
    >>> words
    'MTL harms 2 of 9 tasks. The harmed tasks are 1 and 4.'
    """

    title: str
    caption: str
    draw_narrow: Callable[[], bytes] | None

    def __new__(
        cls,
        png: bytes,
        title: str,
        caption: str = "",
        draw_narrow: Callable[[], bytes] | None = None,
    ) -> Captioned:
        words = f"{title}. {caption}" if caption else title
        made = super().__new__(cls, (png, words))
        made.title, made.caption, made.draw_narrow = title, caption, draw_narrow
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """The process that has drawn the picture draws its form for phones, too, not the one that
        gets it.
        """
        drawn = None if self.narrow is None else partial(bytes, self.narrow)
        return Captioned, (self[0], self.title, self.caption, drawn)

    @cached_property
    def narrow(self) -> bytes | None:
        return None if self.draw_narrow is None else self.draw_narrow()


def captioned_html(picture: Captioned) -> str:
    """A picture with its caption as HTML. A narrow page shows the form for phones.

    The message is drawn in the picture, so it is the alternative text alone, and the caption does
    not repeat it.
    """
    text = escape(picture.caption)
    caption = f'<figcaption class="nt-caption">{text}</figcaption>' if text else ""
    figure = f'<figure style="margin: 0; max-width: {png_size(picture[0])[0]}px">'
    images = images_html(picture[0], picture.title, picture.narrow)
    return PAGE_PICTURE.format(figure=f"{figure}{images}{caption}</figure>")


def images_html(png: bytes, alt: str, narrow: bytes | None = None) -> str:
    """A picture as HTML, with a second form that a narrow page shows in its place.

    A picture without a second form keeps its letters legible on a narrow page, where a reader moves
    it sideways. The HTML says the size of the picture, so that the page does not move while the
    picture loads.

    Raises:
        BadInput: the bytes are no PNG.
    """
    if narrow is None:
        return f'<div style="overflow-x: auto">{_image(png, alt)}</div>'
    return BY_WIDTH + _image(png, alt, "nt-wide") + _image(narrow, alt, "nt-narrow", "none")


def without_narrow_forms(html: str) -> str:
    """HTML in which every picture has its form for pages alone, on a page of any width.

    >>> png = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(8) + b"\\0\\0\\0\\1" * 2
    >>> without_narrow_forms(images_html(png, "a", png)) == _image(png, "a", "nt-wide")
    True
    """
    return NARROW_IMAGE.sub("", html).replace(BY_WIDTH, "")


def png_size(png: bytes) -> tuple[int, int]:
    """The width and height of a PNG, in pixels.

    Raises:
        BadInput: the bytes are no PNG.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BadInput("a picture is not PNG; give the bytes of a PNG file")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def data_url(png: bytes) -> str:
    """The PNG as the address of a picture that is in the page itself."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _image(png: bytes, alt: str, kind: str = "", shown: str = "block") -> str:
    width, height = png_size(png)
    name = f' class="{kind}"' if kind else ""
    least = "" if kind else f"min-width: {min(width, LEGIBLE)}px; "
    return (
        f'<img{name} src="{data_url(png)}" alt="{escape(alt)}" width="{width}" height="{height}" '
        f'style="display: {shown}; {least}max-width: 100%; height: auto">'
    )
