"""Sliders over finished pictures, which work without a kernel.

An explorer is one piece of HTML, the same in JupyterLab and in a page: a picture, a line that asks
to run the cell, data, and one of this package's own scripts (see `markup`). The script puts native
controls in place of the line. So where scripts do not run, no dead control is to be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from ..errors import BadInput
from ..figures.picture import Picture, data_url, format_value, png_size
from .live import Live, running_headless
from .markup import SLIDER_SCRIPT, data_block, script_tag
from .pictures import (
    has_narrow_form,
    narrow_form,
    picture_html,
    picture_words,
    without_narrow_form,
)

__all__ = ["Explorer", "Live", "explorer", "running_headless"]

Key = str | tuple[str, ...]
Pages = dict[tuple[str, ...], list[Picture]]  # the pictures for each choice of the menus

NOTE = "Every picture is drawn already, so it answers at once"
ASK = "Run this cell for the {}."
FRAGMENT = """\
<div class="nt-explorer">
{figure}
{controls}</div>"""
CONTROLS = """\
<p class="nt-ask"><small>{ask}</small></p>
{content}
{script}
"""


def explorer(
    pictures: Mapping[Key, Sequence[Picture]],
    alphas: Sequence[float],
    label: str = "alpha",
    name: str | Sequence[str] = "dataset",
    start: float | None = None,
) -> Explorer:
    """A slider over finished pictures, with a menu where there are several data sets or methods.

    It needs no kernel: the browser alone changes the picture, in JupyterLab, in a notebook that is
    opened again, and in an exported page. The slider is hidden where a choice of the menus has one
    picture for all values. In a notebook that JupyterLab does not trust, the first picture stands.

    Args:
        pictures: for each data set one picture for every alpha, or a single one for all of them. A
            picture is a PNG with its caption, as `figures.captioned_png` returns it. Where all
            pictures have a form for phones, a narrow page shows these. A key may have several
            parts, such as (data set, method); then every part has a menu.
        alphas: the values of the slider.
        label: the name of the slider.
        name: the name of the menu, or a list with a name for every part of a key.
        start: where the slider starts (at the nearest of `alphas`); by default at the first.

    Raises:
        BadInput: no picture, another number of pictures than of alphas, a picture without a
            caption, or a combination of the menus without pictures.

    >>> from mtl_nt.figures import captioned_png, new_figure
    >>> drawn = [captioned_png(new_figure(2, f"{n} harmed", "Of 9.", "")) for n in (3, 1)]
    >>> explorer({"dial": drawn}, [0.0, 0.5], start=0.5)
    alpha = 0.5 (of 0, 0.5): 1 harmed. Of 9.
    """
    if not pictures or not len(alphas):
        raise BadInput("explorer: no pictures; give at least one data set and one alpha")
    several = {_key_parts(key): key for key in pictures}
    names = [name] if isinstance(name, str) else list(name)
    if bad := next((key for key in several if len(key) != len(names)), None):
        raise BadInput(f"explorer: {names} and the key {bad}; give every part of a key a name")
    pickers = {n: list(dict.fromkeys(k[i] for k in several)) for i, n in enumerate(names)}
    pages: Pages = {}
    for parts in product(*pickers.values()):
        if parts not in several:
            raise BadInput(f"explorer: no pictures of {', '.join(parts)}; give every combination")
        key = several[parts]
        page, many = [*pictures[key]], len(alphas)
        if len(page) not in (1, many):
            raise BadInput(
                f"explorer: {len(page)} pictures of {key!r} for {many} values of {label}; "
                "give one each"
            )
        if not all(isinstance(one, tuple) and len(one) == 2 for one in page):
            raise BadInput(f"explorer: a picture of {key!r} has no caption; give (PNG, caption)")
        pages[parts] = page
    if not all(has_narrow_form(one) for row in pages.values() for one in row):
        pages = {key: [without_narrow_form(one) for one in row] for key, row in pages.items()}
    distance = [0.0 if start is None else abs(a - start) for a in alphas]
    first = distance.index(min(distance))
    values = [format_value(a) for a in alphas]
    picture = _picture_at(next(iter(pages.values())), first)
    content = {
        **{"note": NOTE, "label": label, "values": values, "first": first},
        "pickers": [(n, options) for n, options in pickers.items() if len(options) > 1],
        "pages": [[_page_data(one) for one in row] for row in pages.values()],
    }
    control = "slider" if any(len(row) > 1 for row in pages.values()) else "menu"
    controls = CONTROLS.format(
        ask=ASK.format(control), content=data_block(content), script=script_tag(SLIDER_SCRIPT)
    )
    several_pictures = sum(map(len, pages.values())) > 1
    return Explorer(
        FRAGMENT.format(figure=picture_html(picture), controls=controls * several_pictures),
        f"{label} = {values[first]} (of {', '.join(values)}): {picture[1]}",
    )


class Explorer:
    """What `explorer` returns: `html` for notebooks and pages, and `text` in words."""

    def __init__(self, html: str, text: str) -> None:
        self.html, self.text = html, text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def _key_parts(key: Key) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def _picture_at(row: Sequence[Picture], position: int) -> Picture:
    """The picture at a position of the slider; a single picture is at every position."""
    return row[min(position, len(row) - 1)]


def _page_data(picture: Picture) -> dict[str, Any]:
    """The words of a picture, and its form for pages and, where it has one, that for phones."""
    alt, caption = picture_words(picture)
    forms = [_form_data(png) for png in (picture[0], narrow_form(picture)) if png is not None]
    return {"alt": alt, "caption": caption, "forms": forms}


def _form_data(png: bytes) -> dict[str, Any]:
    width, height = png_size(png)
    return {"src": data_url(png), "width": width, "height": height}
