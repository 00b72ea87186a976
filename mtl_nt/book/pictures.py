"""Finished pictures as explorers and live cells show them: what is read aloud, and what is seen."""

from __future__ import annotations

from html import escape

from ..figures.picture import Captioned, Picture, images_html, png_size

FIGURE = """\
<figure style="margin: 0; max-width: {width}px">{images}\
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
    """A picture with its caption, at most as wide as the page, and its form for phones.

    The HTML says the size of the picture, so that the page does not move while the picture loads.

    Raises:
        BadInput: the picture is not PNG.
    """
    alt, caption = picture_words(picture)
    images = images_html(picture[0], alt, narrow_form(picture))
    return FIGURE.format(images=images, caption=escape(caption), width=png_size(picture[0])[0])


def narrow_form(picture: Picture) -> bytes | None:
    """The form of a picture for phones, as a PNG, or None."""
    return picture.narrow if isinstance(picture, Captioned) else None


def has_narrow_form(picture: Picture) -> bool:
    """Whether the picture has a form for phones, which need not be drawn yet."""
    return isinstance(picture, Captioned) and picture.draw_narrow is not None


def without_narrow_form(picture: Picture) -> Picture:
    """The picture with its form for pages alone."""
    return Captioned(picture[0], *picture_words(picture)) if has_narrow_form(picture) else picture
