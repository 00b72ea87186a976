"""HTML of finished pictures, for sliders and live panels, and widgets of live panels."""

from __future__ import annotations

import struct
from base64 import b64encode
from html import escape
from numbers import Integral, Real
from typing import Any

import ipywidgets as widgets

from ..tasks import BadInput

Picture = tuple[bytes, str]  # a PNG and its caption
FULL_DESCRIPTION = {"description_width": "initial"}  # so that a control's name is never cut off


def figure_html(png: bytes, caption: str) -> str:
    """A picture with its caption, at most as wide as the page.

    The HTML says the size of the picture, so that the page does not move while the picture loads.
    """
    width, height = png_size(png)
    text = escape(caption)
    return (
        f'<figure style="margin: 0; max-width: {width}px">'
        f'<img src="{data_url(png)}" alt="{text}" width="{width}" height="{height}" '
        f'style="display: block; max-width: 100%; height: auto">'
        f'<figcaption class="nt-caption" aria-live="polite">{text}</figcaption></figure>'
    )


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


def format_value(value: Any) -> str:
    """A value as controls and captions write it.

    >>> format_value(0.50), format_value(16), format_value("dial")
    ('0.5', '16', 'dial')
    """
    whole = isinstance(value, Integral)
    return f"{value:g}" if isinstance(value, Real) and not whole else str(value)


def wrapping_row(*children: widgets.Widget) -> widgets.HBox:
    """Widgets side by side, and below each other where there is no room."""
    layout = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 1em"}
    return widgets.HBox(children, layout=layout)


SCREEN_READER_SCRIPT = """
const name = (tries) => {
  const box = element.closest(".nt-live");
  const handles = box ? [...box.querySelectorAll(".widget-hslider [role=slider]")] : [];
  if (!handles.length) return tries && requestAnimationFrame(() => name(tries - 1));
  for (const handle of handles) {
    const slider = handle.closest(".widget-hslider");
    const readout = slider.querySelector(".widget-readout");
    const say = () => handle.setAttribute("aria-valuetext", readout.textContent);
    handle.setAttribute("aria-label", slider.querySelector("label").textContent);
    const watch = new MutationObserver(say);
    watch.observe(handle, { attributeFilter: ["aria-valuenow"] });
    watch.observe(readout, { childList: true, characterData: true, subtree: true });
    say();
  }
};
name(300);
"""


def screen_reader_names() -> widgets.Output:
    """An invisible widget that gives the sliders beside it names and values for screen readers.

    ipywidgets itself gives a slider no name, and the place of a value instead of the value.
    """
    script = {
        "output_type": "display_data",
        "data": {"application/javascript": SCREEN_READER_SCRIPT},
    }
    return widgets.Output(
        outputs=({**script, "metadata": {}},), layout=widgets.Layout(display="none")
    )


def mime_bundle(widget: widgets.Widget, html: str, text: str) -> dict[str, Any]:
    """What a notebook stores of a widget: the widget for JupyterLab, HTML for pages, and text."""
    return {**widget._repr_mimebundle_(), "text/html": html, "text/plain": text}
