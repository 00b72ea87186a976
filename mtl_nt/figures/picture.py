"""HTML of finished pictures, for sliders and live panels, and widgets of live panels."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import ipywidgets as widgets

from .inline import Captioned, Picture, captioned_html, data_url, images_html, png_size

__all__ = [
    "FULL_DESCRIPTION",
    "Captioned",
    "Picture",
    "captioned_html",
    "data_url",
    "format_value",
    "images_html",
    "png_size",
    "screen_reader_names",
    "wrapping_row",
]

FULL_DESCRIPTION = {"description_width": "initial"}  # so that a control's name is never cut off


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
