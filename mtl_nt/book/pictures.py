"""Finished pictures as explorers and live cells show them: what is read aloud, and what is seen."""

from __future__ import annotations

from html import escape

from ..figures.picture import Captioned, Picture, data_url, png_size

FIGURE = """\
<figure style="margin: 0; max-width: {width}px"><img src="{src}" alt="{alt}" width="{width}" \
height="{height}" style="display: block; max-width: 100%; height: auto">\
<figcaption class="nt-caption" aria-live="polite">{caption}</figcaption></figure>"""


def picture_words(picture: Picture) -> tuple[str, str]:
    """The alternative text of a picture, and its caption.

    The message of a figure is drawn in it, so the caption does not repeat it. Of any other picture
    both are the words that came with it.

    >>> picture_words((b"", "two tasks"))
    ('two tasks', 'two tasks')
    >>> picture_words(Captioned(b"", "MTL harms 2", "Of 9 tasks."))
    ('MTL harms 2', 'Of 9 tasks.')
    """
    if isinstance(picture, Captioned):
        return picture.title, picture.caption
    return picture[1], picture[1]


def picture_html(picture: Picture) -> str:
    """A picture with its caption, at most as wide as the page.

    The HTML says the size of the picture, so that the page does not move while the picture loads.

    Raises:
        BadInput: the picture is not PNG.
    """
    width, height = png_size(picture[0])
    alt, caption = map(escape, picture_words(picture))
    return FIGURE.format(
        src=data_url(picture[0]), alt=alt, caption=caption, width=width, height=height
    )
