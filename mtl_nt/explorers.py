"""Sliders over pictures that are there already, and sliders that train anew."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from html import escape
from itertools import product
from typing import Any

import ipywidgets as widgets

from .live import Live, running_headless
from .markup import SLIDER, data_block, script
from .picture import WIDE, Picture, bundle, figure_html, row, size, source, spoken, word
from .tasks import BadInput

__all__ = ["Explorer", "Live", "explorer", "running_headless"]

BARE = """<style>
.nt-pages > .widget-tab-bar, .nt-pages > .lm-TabBar { display: none !important; }
.nt-pages > .widget-tab-contents { padding: 0 !important; border: 0 !important; }
</style>"""
Key = str | tuple[str, ...]
Pages = dict[tuple[str, ...], list[Picture]]  # by what each picker picks; one row each

NOTE = "Precomputed: answers at once, with or without a kernel"


def explorer(
    pictures: Mapping[Key, Sequence[Picture]],
    alphas: Sequence[float],
    label: str = "alpha",
    name: str | Sequence[str] = "dataset",
    start: float | None = None,
) -> Explorer:
    """A slider over finished pictures, and pickers, where there are several data sets or methods.

    It needs no kernel: JupyterLab links slider and pictures in the browser, and an exported page
    has the same pictures under a plain range input.

    Args:
        pictures: data set -> a PNG with its caption, which is its alt text too, for every alpha, or
            a single one for all of them (see `figures.picture`). A key may have several parts, such
            as (data set, method): then every part has a picker.
        alphas: what the slider goes through.
        label: the slider's name.
        name: the picker's name, or one for every part of a key.
        start: where the slider starts (the nearest of `alphas`); by default the first.

    Raises:
        BadInput: no picture, another number of pictures than of alphas, one without a caption, or
            a combination of the pickers without pictures.
    """
    if not pictures or not len(alphas):
        raise BadInput("explorer: no pictures; give at least one data set and one alpha")
    several = {_parts(key): key for key in pictures}
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
    values = [word(a) for a in alphas]
    _, caption = _at(next(iter(pages.values())), first)
    return Explorer(
        _linked(pages, pickers, values, label, first),
        _fragment(pages, pickers, values, label, first),
        f"{label} = {values[first]} (of {', '.join(values)}): {caption}",
    )


class Explorer:
    """What `explorer` returns: `widget` for JupyterLab, `html` for pages without a kernel."""

    def __init__(self, widget: widgets.Widget, html: str, text: str) -> None:
        self.widget, self.html, self.text = widget, html, text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return bundle(self.widget, self.html, self.text)


def _parts(key: Key) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def _at(row: Sequence[Picture], position: int) -> Picture:
    """The picture at a position of the slider; a single one is at all of them."""
    return row[min(position, len(row) - 1)]


def _linked(
    pages: Pages, pickers: Mapping[str, list[str]], values: list[str], label: str, first: int
) -> widgets.Widget:
    """Pictures that the browser switches by itself. In Python a link does nothing."""
    labelled = [(value, k) for k, value in enumerate(values)]
    slider = widgets.SelectionSlider(
        options=labelled, index=first, description=label, tooltip=label, style=WIDE
    )
    play = widgets.Play(min=0, max=len(values) - 1, value=first, interval=400)
    menus = [widgets.Dropdown(options=o, description=n, style=WIDE) for n, o in pickers.items()]
    widgets.jslink((play, "value"), (slider, "index"))

    def stack(*chosen: str) -> widgets.Widget:
        """A level for every picker, and below them the pictures that the slider goes through."""
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
    box = widgets.VBox([*note, row(*controls), shown, widgets.HTML(BARE), spoken()])
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


def _fragment(
    pages: Pages, pickers: Mapping[str, list[str]], values: list[str], label: str, first: int
) -> str:
    """The same pictures under a range input. Without scripts the first one stands alone."""
    identity = f"nt-{uuid.uuid4().hex[:12]}"
    content = {"values": values, "pages": [[_page(*p) for p in row] for row in pages.values()]}
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
        figure=figure_html(*_at(next(iter(pages.values())), first)),
        content=data_block(content),
        script=script(SLIDER),
    )


def _page(png: bytes, caption: str) -> dict[str, Any]:
    width, height = size(png)
    return {"src": source(png), "alt": caption, "width": width, "height": height}
