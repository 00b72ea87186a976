"""What the widgets share: a picture with its caption, a row, and what shows without a kernel."""

from __future__ import annotations

import struct
from base64 import b64encode
from html import escape
from numbers import Integral, Real
from typing import Any

import ipywidgets as widgets

from .tasks import BadInput

Picture = tuple[bytes, str]  # a PNG and its caption
WIDE = {"description_width": "initial"}  # a control's name is never cut off


def figure_html(png: bytes, caption: str) -> str:
    """A picture with its caption, as wide as the page at most; its size is known beforehand."""
    width, height = size(png)
    text = escape(caption)
    return (
        f'<figure style="margin: 0; max-width: {width}px">'
        f'<img src="{source(png)}" alt="{text}" width="{width}" height="{height}" '
        f'style="display: block; max-width: 100%; height: auto">'
        f'<figcaption class="nt-caption" aria-live="polite">{text}</figcaption></figure>'
    )


def size(png: bytes) -> tuple[int, int]:
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BadInput("a picture is not PNG; give the bytes of a PNG file")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def source(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def word(value: Any) -> str:
    whole = isinstance(value, Integral)
    return f"{value:g}" if isinstance(value, Real) and not whole else str(value)


def row(*children: widgets.Widget) -> widgets.HBox:
    """Side by side, and below each other where there is no room."""
    layout = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 1em"}
    return widgets.HBox(children, layout=layout)


SPOKEN = """
const name = (tries) => {
  const box = element.closest(".nt-explorer, .nt-live");
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
  const words = ["play or pause", "stop", "repeat"];
  const buttons = box.querySelectorAll(".widget-play button");
  buttons.forEach((button, k) => button.setAttribute("aria-label", words[k]));
};
name(300);
"""


def spoken() -> widgets.Output:
    """Gives the controls beside it names and values for screen readers, which ipywidgets does not:
    it says the place of a value among the others. It shows nothing.
    """
    script = {"output_type": "display_data", "data": {"application/javascript": SPOKEN}}
    return widgets.Output(
        outputs=({**script, "metadata": {}},), layout=widgets.Layout(display="none")
    )


def bundle(widget: widgets.Widget, html: str, text: str) -> dict[str, Any]:
    """The widget for JupyterLab, HTML for pages without a kernel, text for the rest."""
    return {**widget._repr_mimebundle_(), "text/html": html, "text/plain": text}
