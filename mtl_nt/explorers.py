"""Sliders over pictures that are there already, and sliders that train anew."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from .live import Live, running_headless
from .picture import WIDE, Picture, bundle, figure_html, row, size, source, word
from .tasks import BadInput

__all__ = ["Explorer", "Live", "explorer", "running_headless"]


def explorer(
    pictures: Mapping[str, Sequence[bytes]],
    alphas: Sequence[float],
    captions: Mapping[str, Sequence[str]],
    label: str = "alpha",
    name: str = "dataset",
    start: float | None = None,
) -> Explorer:
    """A slider (and a picker, where there are several data sets) over finished pictures.

    It needs no kernel: JupyterLab links slider and pictures in the browser, and an exported page
    has the same pictures under a plain range input.

    Args:
        pictures: data set -> one PNG for every alpha.
        alphas: what the slider goes through.
        captions: data set -> one caption for every alpha; it is the picture's alt text, too.
        label: the slider's name.
        name: the picker's name.
        start: where the slider starts (the nearest of `alphas`); by default the first.

    Raises:
        BadInput: no picture, or another number of pictures or captions than of alphas.
    """
    if not pictures or not len(alphas):
        raise BadInput("explorer: no pictures; give at least one data set and one alpha")
    for dataset in pictures:
        for kind, given in ("pictures", pictures[dataset]), ("captions", captions.get(dataset, ())):
            if len(given) != len(alphas):
                raise BadInput(
                    f"explorer: {len(given)} {kind} of {dataset!r} for {len(alphas)} values of "
                    f"{label}; give one each"
                )
    distance = [0.0 if start is None else abs(a - start) for a in alphas]
    first = distance.index(min(distance))
    pages = {d: list(zip(pictures[d], captions[d], strict=True)) for d in pictures}
    values = [word(a) for a in alphas]
    caption = next(iter(pages.values()))[first][1]
    return Explorer(
        _linked(pages, values, label, name, first),
        _fragment(pages, values, label, name, first),
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


def _linked(
    pages: Mapping[str, Sequence[Picture]], values: list[str], label: str, name: str, first: int
) -> widgets.Widget:
    """Pictures that the browser switches by itself. In Python a link does nothing."""
    labelled = [(value, k) for k, value in enumerate(values)]
    slider = widgets.SelectionSlider(options=labelled, index=first, description=label, style=WIDE)
    play = widgets.Play(min=0, max=len(values) - 1, value=first, interval=400)
    picker = widgets.Dropdown(options=list(pages), description=name, style=WIDE)
    stacks = [
        widgets.Stack([widgets.HTML(figure_html(*page)) for page in pages[d]], selected_index=first)
        for d in pages
    ]
    shown = widgets.Stack(stacks, selected_index=0)
    widgets.jslink((play, "value"), (slider, "index"))
    widgets.jslink((picker, "index"), (shown, "selected_index"))
    for stack in stacks:
        widgets.jslink((slider, "index"), (stack, "selected_index"))
    controls = [picker] * (len(pages) > 1) + [slider, play] * (len(values) > 1)
    box = widgets.VBox([row(*controls), shown])
    return box.add_class("nt-explorer")


FRAGMENT = """\
<div class="nt-explorer">
<p hidden>
{picker}<span style="white-space: nowrap"><label for="{id}-slider">{label}</label>
<input type="range" id="{id}-slider" min="0" max="{last}" step="1" value="{first}" \
autocomplete="off" style="width: 50vw; max-width: 16em; vertical-align: middle">
<output for="{id}-slider">{value}</output></span>
</p>
{figure}
<script type="application/json">{pages}</script>
<script>{script}</script>
</div>"""

PICKER = """\
<span style="white-space: nowrap; margin-right: 1em"><label for="{id}-picker">{name}</label>
<select id="{id}-picker" autocomplete="off">{options}</select></span>
"""

SCRIPT = """
(() => {
  const root = document.currentScript.parentElement, find = (what) => root.querySelector(what);
  const { values, pages } = JSON.parse(find("script[type='application/json']").textContent);
  const slider = find("input"), picker = find("select");
  const show = () => {
    const page = pages[picker ? picker.selectedIndex : 0][slider.value];
    find("output").textContent = values[slider.value];
    slider.setAttribute("aria-valuetext", values[slider.value]);
    Object.assign(find("img"), page);
    find("figure").style.maxWidth = page.width + "px";
    find("figcaption").textContent = page.alt;
  };
  slider.addEventListener("input", show);
  if (picker) picker.addEventListener("change", show);
  find("p").hidden = false;
  show();
})();
"""


def _fragment(
    pages: Mapping[str, Sequence[Picture]], values: list[str], label: str, name: str, first: int
) -> str:
    """The same pictures under a range input. Without scripts the first one stands alone."""
    identity = f"nt-{uuid.uuid4().hex[:12]}"
    content = {"values": values, "pages": [[_page(*p) for p in pages[d]] for d in pages]}
    options = "".join(f"<option>{escape(dataset)}</option>" for dataset in pages)
    picker = PICKER.format(id=identity, name=escape(name), options=options)
    return FRAGMENT.format(
        id=identity,
        picker=picker if len(pages) > 1 else "",
        label=escape(label),
        last=len(values) - 1,
        first=first,
        value=escape(values[first]),
        figure=figure_html(*next(iter(pages.values()))[first]),
        pages=json.dumps(content).replace("<", "\\u003c"),  # a caption may say </script>
        script=SCRIPT,
    )


def _page(png: bytes, caption: str) -> dict[str, Any]:
    width, height = size(png)
    return {"src": source(png), "alt": caption, "width": width, "height": height}
