"""The playground as a widget: Python and the page share its settings.

`playground` itself needs no widgets, and works in a saved notebook and in a page. Its `widget()` is
for a notebook whose kernel runs. The same `playground.js` draws both, and `playground_widget.js`
tells Python of a slider that has moved, and the page of a setting that Python has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import ipywidgets as widgets
import traitlets
from anywidget import AnyWidget
from IPython.display import display

from ..errors import BadInput
from .live import KEPT_STYLE
from .markup import PLAYGROUND_SCRIPT
from .playground import STYLE, Playground, changed

GLUE = Path(__file__).with_name("playground_widget.js").read_text(encoding="utf-8")
GONE = """\
<style>
.nt-live .nt-gone { display: none }
.nt-live.jupyter-widgets-disconnected .nt-gone { display: block }
.nt-live.jupyter-widgets-disconnected .jupyter-widgets-disconnected::before { content: none }
</style>
<span class="nt-gone">The kernel that listened here is gone. Run this cell again.</span>"""
"""JupyterLab itself marks a box of widgets whose kernel has been restarted or has died."""
ASK = "Python cannot read your choice here. Run this cell, in JupyterLab or on Binder, to share it."
KEPT = """\
<div class="nt-kept"><style>{style}</style>
<p class="nt-ask">{ask}</p>
{playground}</div>"""


class PlaygroundWidget(AnyWidget):
    """A playground whose settings and whose sentence Python can read. See `Playground.widget`.

    The settings are shared in both directions. A slider that moves changes them, and a setting that
    Python changes moves its slider and trains anew. Both names can be observed, as with any widget.

    Attributes:
        settings: like a dict. `widget.settings["angle"] = 30` changes one of them, and `update`
            several at once. A dict that is assigned changes what the playground started from.
        summary: the sentence below the picture, read only. It is empty while nobody knows it:
            until a page has trained with settings that are no preset's.

    Raises:
        BadInput: a setting that the playground does not have, or a value out of its range.

    >>> from mtl_nt.book import playground
    >>> game = playground("outsider").widget()
    >>> game.summary.partition(",")[0]
    'After 400 steps with one shared unit'
    >>> game.settings.update(units=2, angle=30)
    >>> game.settings["units"], game.summary
    (2, '')
    >>> game.settings["angle"] = 100.5
    >>> game.settings["angle"] = -1
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: playground: angle -1: must be a number from 0 to 180
    """

    _esm = f"const mount = {PLAYGROUND_SCRIPT}\n{GLUE}"
    _css = STYLE
    settings = traitlets.Any().tag(sync=True)
    summary = traitlets.Unicode(read_only=True)
    _told = traitlets.Dict().tag(sync=True)  # the page's last sentence, and its settings

    def __init__(self, shown: Playground) -> None:
        self._shown = shown  # in pages, and where no kernel is
        super().__init__(settings=shown.settings)

    @traitlets.validate("settings")
    def _check(self, proposal: Mapping[str, Any]) -> SharedSettings:
        given = proposal["value"]
        if not isinstance(given, Mapping):
            raise BadInput(
                f"playground: settings {given!r:.40}: give a dict, such as widget.settings"
            )
        return SharedSettings(self, changed(self._shown.settings, given))

    @traitlets.observe("settings", "_told")
    def _hear(self, _: object) -> None:
        known = {"settings": self._shown.settings, "summary": self._shown.sentence}
        said = [
            told["summary"] for told in (self._told, known) if told.get("settings") == self.settings
        ]
        self.set_trait("summary", [*said, ""][0])

    def __repr__(self) -> str:
        return self.summary or repr(self._shown)

    def _ipython_display_(self) -> None:
        """Show the widget, and an output that stands in for it where no kernel is."""
        box = widgets.VBox([self, widgets.HTML(GONE)]).add_class("nt-live")
        display({**box._repr_mimebundle_(), "text/plain": repr(self)}, raw=True)
        kept = KEPT.format(style=KEPT_STYLE, ask=ASK, playground=self._shown.html)
        display({"text/html": kept, "text/plain": repr(self._shown)}, raw=True)


class SharedSettings(dict[str, Any]):
    """The settings of a widget: what is set here is checked, and the page follows."""

    def __init__(self, widget: PlaygroundWidget, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._widget = widget

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, *changes: Any, **more: Any) -> None:
        """Change several settings at once."""
        self._widget.settings = {**self, **dict(*changes, **more)}
        super().update(self._widget.settings)

    def __ior__(self, changes: Any) -> SharedSettings:  # type: ignore[override,misc]
        self.update(changes)
        return self

    def _keep(self, *_: object) -> NoReturn:
        raise BadInput("playground: a setting cannot be taken away; give it another value")

    __delitem__ = pop = popitem = clear = setdefault = _keep
