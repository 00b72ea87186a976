"""Sliders over finished pictures, which work without a kernel."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from html import escape
from itertools import product
from typing import Any

import ipywidgets as widgets

from ..figures.picture import (
    FULL_DESCRIPTION,
    Picture,
    data_url,
    figure_html,
    format_value,
    mime_bundle,
    png_size,
    screen_reader_names,
    wrapping_row,
)
from ..tasks import BadInput
from .live import Live, running_headless
from .markup import SLIDER_SCRIPT, data_block, script_tag

__all__ = ["Explorer", "Live", "explorer", "running_headless"]

HIDE_TAB_BARS = """<style>
.nt-pages > .widget-tab-bar, .nt-pages > .lm-TabBar { display: none !important; }
.nt-pages > .widget-tab-contents { padding: 0 !important; border: 0 !important; }
</style>"""
Key = str | tuple[str, ...]
Pages = dict[tuple[str, ...], list[Picture]]  # the pictures for each choice of the menus

NOTE = "Precomputed: answers at once, with or without a kernel"


def explorer(
    pictures: Mapping[Key, Sequence[Picture]],
    alphas: Sequence[float],
    label: str = "alpha",
    name: str | Sequence[str] = "dataset",
    start: float | None = None,
) -> Explorer:
    """A slider over finished pictures, with a menu where there are several data sets or methods.

    It needs no kernel. JupyterLab links the slider and the pictures in the browser, and an exported
    page has the same pictures under a plain range input.

    Args:
        pictures: for each data set one picture for every alpha, or a single one for all of them. A
            picture is a PNG with its caption, as `figures.captioned_png` returns it. A key may have
            several parts, such as (data set, method); then every part has a menu.
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
    distance = [0.0 if start is None else abs(a - start) for a in alphas]
    first = distance.index(min(distance))
    values = [format_value(a) for a in alphas]
    _, caption = _picture_at(next(iter(pages.values())), first)
    return Explorer(
        _linked_widgets(pages, pickers, values, label, first),
        _html_fragment(pages, pickers, values, label, first),
        f"{label} = {values[first]} (of {', '.join(values)}): {caption}",
    )


class Explorer:
    """What `explorer` returns: `widget` for JupyterLab, and `html` for pages without a kernel."""

    def __init__(self, widget: widgets.Widget, html: str, text: str) -> None:
        self.widget, self.html, self.text = widget, html, text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return mime_bundle(self.widget, self.html, self.text)


def _key_parts(key: Key) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def _picture_at(row: Sequence[Picture], position: int) -> Picture:
    """The picture at a position of the slider; a single picture is at every position."""
    return row[min(position, len(row) - 1)]


def _linked_widgets(
    pages: Pages, pickers: Mapping[str, list[str]], values: list[str], label: str, first: int
) -> widgets.Widget:
    """The widget: pictures that the browser switches, since links work without Python."""
    labelled = [(value, k) for k, value in enumerate(values)]
    slider = widgets.SelectionSlider(
        options=labelled, index=first, description=label, tooltip=label, style=FULL_DESCRIPTION
    )
    play = widgets.Play(min=0, max=len(values) - 1, value=first, interval=400)
    menus = [
        widgets.Dropdown(options=o, description=n, style=FULL_DESCRIPTION)
        for n, o in pickers.items()
    ]
    widgets.jslink((play, "value"), (slider, "index"))

    def stack(*chosen: str) -> widgets.Widget:
        """Nested tabs: a level for every menu, and below them the pictures of the slider."""
        if len(chosen) == len(menus):
            by, start = slider, first
            below = [widgets.HTML(figure_html(*page)) for page in pages[chosen]]
            if len(below) == 1:
                return below[0]
        else:
            by, start = menus[len(chosen)], 0
            below = [stack(*chosen, option) for option in by.options]
        made = widgets.Tab(below, selected_index=start).add_class("nt-pages")
        widgets.jslink((by, "index"), (made, "selected_index"))
        return made

    shown = stack()
    controls = [menu for menu in menus if len(menu.options) > 1]
    controls += [slider, play] * (len(values) > 1)
    note = [widgets.Label(NOTE)] * bool(controls)
    box = widgets.VBox(
        [*note, wrapping_row(*controls), shown, widgets.HTML(HIDE_TAB_BARS), screen_reader_names()]
    )
    return box.add_class("nt-explorer")


FRAGMENT = """\
<div class="nt-explorer">
<p hidden><small>{note}</small><br>
{pickers}<span style="white-space: nowrap"><label for="{id}-slider">{label}</label>
<input type="range" id="{id}-slider" min="0" max="{last}" step="1" value="{first}" \
autocomplete="off" style="width: 50vw; max-width: 16em; vertical-align: middle">
<output for="{id}-slider">{value}</output></span>
</p>
{figure}
{content}
{script}
</div>"""

PICKER = """\
<span style="white-space: nowrap; margin-right: 1em"><label for="{id}-picker{k}">{name}</label>
<select id="{id}-picker{k}" autocomplete="off">{options}</select></span>
"""


def _html_fragment(
    pages: Pages, pickers: Mapping[str, list[str]], values: list[str], label: str, first: int
) -> str:
    """The HTML: the same pictures under a range input. Without scripts the first one is shown."""
    identity = f"nt-{uuid.uuid4().hex[:12]}"
    content = {"values": values, "pages": [[_page_data(*p) for p in row] for row in pages.values()]}
    menus = ""
    for k, (name, names) in enumerate(pickers.items()):
        options = "".join(f"<option>{escape(option)}</option>" for option in names)
        menu = PICKER.format(id=identity, k=k, name=escape(name), options=options)
        menus += menu if len(names) > 1 else ""
    return FRAGMENT.format(
        id=identity,
        note=NOTE,
        pickers=menus,
        label=escape(label),
        last=len(values) - 1,
        first=first,
        value=escape(values[first]),
        figure=figure_html(*_picture_at(next(iter(pages.values())), first)),
        content=data_block(content),
        script=script_tag(SLIDER_SCRIPT),
    )


def _page_data(png: bytes, caption: str) -> dict[str, Any]:
    width, height = png_size(png)
    return {"src": data_url(png), "alt": caption, "width": width, "height": height}
