"""Controls in a notebook that train anew at every change."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Real
from typing import Any

import ipywidgets as widgets
from IPython import get_ipython
from IPython.display import DisplayHandle, display
from traitlets import Float

from ..errors import BadInput, is_finite_number
from ..figures.picture import (
    FULL_DESCRIPTION,
    Picture,
    format_value,
    screen_reader_names,
    wrapping_row,
)
from .pictures import picture_html

Train = Callable[[dict[str, Any], Callable[[float, str], None], Callable[[], bool]], Picture]

DEBOUNCE_SECONDS = 0.15  # seconds that a control must rest before training starts
REFRESH_SECONDS = 0.1  # seconds between two signs of progress
ASK = "Run this cell, in JupyterLab or on Binder, to train with other values."
KEPT = """\
<div class="nt-kept"><style>{style}</style>
<p><b>{title}</b>: {made} <span class="nt-ask">{ask}</span></p>
{figure}</div>"""
KEPT_STYLE = """\
.jp-OutputArea:has(.nt-live) .nt-kept { display: none }
.jp-OutputArea:has(.nt-kept):not(:has(.nt-live)) .jupyter-widgets { display: none }"""
"""JupyterLab shows the controls where they are alive; where not, what was kept, and no error."""
GONE = """\
<style>
.nt-live .nt-gone { display: none }
.nt-live.jupyter-widgets-disconnected .nt-gone { display: block }
.nt-live.jupyter-widgets-disconnected .nt-works { display: none }
.nt-live.jupyter-widgets-disconnected .jupyter-widgets-disconnected::before { content: none }
</style>
<span class="nt-gone">The kernel that trained here is gone. Run this cell again.</span>"""
"""JupyterLab itself marks the widgets of a kernel that has been restarted or has died."""


@dataclass(frozen=True)
class AnyNumber:
    """A control of `Live` that takes any number of a range: a slider, and a box to type in.

    Args:
        least, most: the ends of the range.
        start: the number to start with.

    Raises:
        BadInput: an end or a start that is no finite number, an empty range, or a start outside it.

    >>> AnyNumber(0, 2, start=0.5).step
    0.05
    """

    least: float
    most: float
    start: float

    def __post_init__(self) -> None:
        given = f"AnyNumber({self.least!r:.40}, {self.most!r:.40}, start={self.start!r:.40})"
        if not all(map(is_finite_number, (self.least, self.most, self.start))):
            raise BadInput(f"{given}: give finite numbers")
        if not self.least <= self.start <= self.most or self.least == self.most:
            raise BadInput(f"{given}: give a range, and a start that lies in it")

    @property
    def step(self) -> float:
        """How far a key moves the slider; a typed number may lie between two steps."""
        step: float = 10.0 ** math.floor(math.log10(self.most - self.least)) / 20
        return step

    def nearest_step(self, value: float) -> float:
        """Where the slider stands for a number.

        >>> AnyNumber(0, 2, start=0.5).nearest_step(0.123)
        0.1
        """
        return round(self.least + round((value - self.least) / self.step) * self.step, 12)


class Live:
    """Controls that train anew at every change, and show the picture of the last training.

    Training runs in a thread of its own. Only the latest values count, and a training that they
    replace is told to stop. Where nobody can move a slider, as under papermill, the start values
    are trained at once, and an error is raised.

    Args:
        train: a function (values, progress, stop) that returns a PNG and its caption. It calls
            `progress(fraction, text)` now and then. It asks `stop()` often, and ends in any way
            when that is True.
        controls: for each name its options and the one to start with, or `AnyNumber`. Numbers
            become a slider, anything else a menu.
        title: what is trained, in a few words.
        needed: for a control that does not always mean something, a function that says of the
            values of all controls whether it does. Where it does not, the control is out of sight,
            and its value is not among the values that are trained with.

    Raises:
        BadInput: a start value that is none of its options, or `needed` of an unknown control.

    >>> from mtl_nt.figures import captioned_png, new_figure
    >>> def train(values, progress, stop):
    ...     return captioned_png(new_figure(2, f"alpha = {values['alpha']}", "A text.", ""))
    >>> live = Live(train, {"alpha": ([0.0, 0.5, 1.0], 0.5)})
    >>> _, caption = live.run_sync()
    >>> caption
    'alpha = 0.5. A text.'
    """

    def __init__(
        self,
        train: Train,
        controls: Mapping[str, tuple[Sequence[Any], Any] | AnyNumber],
        title: str = "Training",
        needed: Mapping[str, Callable[[dict[str, Any]], bool]] | None = None,
    ) -> None:
        self.title = title
        self.picture: Picture | None = None
        self.made_with: dict[str, Any] = {}  # the picture's values
        self.error: BaseException | None = None  # of the latest training
        self._train = train
        self._latest = 0  # number of the latest request: a training with another one is stale
        self._shown = threading.RLock()  # holds the state and what is shown together
        self._training = threading.Lock()  # one training at a time
        self._controls = {name: _make_control(name, given) for name, given in controls.items()}
        self._needed = dict(needed or {})
        if unknown := [name for name in self._needed if name not in self._controls]:
            raise BadInput(f"needed: no control is named {unknown[0]!r}")
        self._bar = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="12em"))
        self._button = widgets.Button(layout=widgets.Layout(width="8em"))
        self._status = widgets.HTML().add_class("nt-status")
        self._figure = widgets.HTML().add_class("nt-figure")
        self._kept: DisplayHandle | None = None  # the output that stands in for the controls
        self._hide_what_is_not_needed()
        self._idle("")
        for control in self._controls.values():
            control.observe(lambda _: self._request(DEBOUNCE_SECONDS), "value")
        self._button.on_click(self._press)
        note = f"Live: {title}, anew at every change, by a running kernel"
        self.widget = widgets.VBox(
            [
                widgets.Label(note).add_class("nt-works"),
                widgets.HTML(GONE),
                wrapping_row(*self._controls.values()).add_class("nt-works"),
                wrapping_row(self._button, self._bar).add_class("nt-works"),
                # A line of its own, so that the picture never jumps.
                self._status.add_class("nt-works"),
                self._figure,
                screen_reader_names(),
            ]
        ).add_class("nt-live")
        if running_headless():
            self.run_sync()

    @property
    def values(self) -> dict[str, Any]:
        """The present values of the controls that are in sight."""
        every = {name: control.value for name, control in self._controls.items()}
        return {name: value for name, value in every.items() if self._is_needed(name, every)}

    def _is_needed(self, name: str, values: dict[str, Any]) -> bool:
        return name not in self._needed or self._needed[name](values)

    def _hide_what_is_not_needed(self) -> None:
        there = self.values
        for name, control in self._controls.items():
            control.layout.display = None if name in there else "none"

    def run_sync(self) -> Picture:
        """Train with the present values in this thread; show and return the picture."""
        start, values = time.monotonic(), self.values
        picture = self._train(values, lambda *_: None, lambda: False)
        self._finish(values, picture, start)
        return picture

    @property
    def html(self) -> str:
        """The last picture, and the values that it was made with, for pages without a kernel."""
        with self._shown:
            made = (
                f"trained with {_describe_values(self.made_with)}."
                if self.picture
                else "no picture yet."
            )
            figure = picture_html(self.picture) if self.picture else ""
        made, title = escape(made), escape(self.title)
        return KEPT.format(style=KEPT_STYLE, title=title, made=made, ask=ASK, figure=figure)

    def __repr__(self) -> str:
        return f"{self.title}: {self.picture[1] if self.picture else 'no picture yet'}"

    def _ipython_display_(self) -> None:
        """Show the controls, and an output that stands in for them where no kernel is."""
        if self._latest == 0 and self.picture is None:
            self._request(0)
        display({**self.widget._repr_mimebundle_(), "text/plain": repr(self)}, raw=True)
        with self._shown:
            self._kept = display(self._kept_data(), raw=True, display_id=True)

    def _kept_data(self) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": repr(self)}

    def _request(self, delay: float) -> None:
        """Train with the present values, unless another request comes before `delay` is over."""
        with self._shown:
            self._latest += 1
            self._hide_what_is_not_needed()
            self.error, values = None, self.values
            self._button.description, self._button.disabled = "Stop", False
            self._bar.value, self._bar.layout.display = 0, ""
            self._say(self._doing(values))
            timer = threading.Timer(delay, self._work, (self._latest, values))
            timer.daemon = True
            timer.start()

    def _press(self, _: object) -> None:
        with self._shown:
            if self._button.description != "Stop":
                self._request(0)
                return
            self._latest += 1
            shown = (
                f"; the picture shows {_describe_values(self.made_with)}" if self.picture else ""
            )
            self._idle(f"stopped{shown}")

    def _work(self, number: int, values: dict[str, Any]) -> None:
        last = start = time.monotonic()

        def stale() -> bool:
            return number != self._latest

        def progress(fraction: float, text: str = "") -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < REFRESH_SECONDS:
                return
            last = now
            with self._shown:
                if not stale():
                    self._bar.value = fraction
                    self._say(self._doing(values, text, fraction, now - start))

        with self._training:
            last = start = time.monotonic()
            if stale():
                return
            try:
                picture = self._train(values, progress, stale)
                with self._shown:
                    if not stale():
                        self._finish(values, picture, start)
            except BaseException as error:  # a thread's error would be seen nowhere
                with self._shown:
                    if not stale():
                        self._fail(error)

    def _finish(self, values: dict[str, Any], picture: Picture, start: float) -> None:
        self._figure.value = picture_html(picture)
        self.picture, self.made_with, self.error = picture, values, None
        if self._kept is not None:
            self._kept.update(self._kept_data(), raw=True)
        self._idle(f"{_describe_values(values)}: trained in {time.monotonic() - start:.1f} s")

    def _fail(self, error: BaseException) -> None:
        self.error = error
        line = " ".join(str(error).split())
        if not isinstance(error, BadInput):
            line = f"{type(error).__name__}: {line}" if line else type(error).__name__
        self._idle(line)
        self._say(line, "nt-error", "color: var(--jp-error-color1, #b00020)")

    def _idle(self, line: str) -> None:
        self._bar.layout.display = "none"
        self._button.description = "Train again"
        up_to_date = self.picture is not None and self.made_with == self.values
        self._button.disabled = up_to_date and self.error is None
        self._say(line)

    def _doing(
        self, values: dict[str, Any], text: str = "", fraction: float = 0, elapsed: float = 0
    ) -> str:
        words = [f"training {_describe_values(values)}"] + [text] * bool(text)
        if fraction > 0.02 and elapsed > 0.5:
            words.append(f"{elapsed * (1 - fraction) / fraction:.0f} s left")
        return ", ".join(words)

    def _say(self, line: str, kind: str = "", style: str = "") -> None:
        self._status.value = f'<span class="{kind}" style="{style}">{escape(line)}</span>'


def running_headless() -> bool:
    """Whether a program such as papermill runs this notebook, and nobody can move a slider."""
    shell = get_ipython()
    if not hasattr(shell, "kernel"):
        return False
    request = shell.get_parent()
    asked = request.get("header", {}).get("msg_type") == "execute_request"
    return asked and "cellId" not in request.get("metadata", {})  # front ends name the cell


def _make_control(name: str, given: tuple[Sequence[Any], Any] | AnyNumber) -> widgets.Widget:
    if isinstance(given, AnyNumber):
        return SliderAndBox(name, given)
    options, start = given
    if start not in options:
        known = ", ".join(format_value(option) for option in options)
        raise BadInput(f"{name}: cannot start at {format_value(start)}; the options are {known}")
    numbers = all(isinstance(o, Real) and not isinstance(o, bool) for o in options)
    kind = widgets.SelectionSlider if numbers else widgets.Dropdown
    labelled = [(format_value(option), option) for option in options]
    return kind(
        options=labelled, value=start, description=name, tooltip=name, style=FULL_DESCRIPTION
    )


class SliderAndBox(widgets.HBox):
    """A slider with steps, and beside it a box for any number; `value` is what the box says.

    The slider stands at the step nearest to a number that was typed, since ipywidgets' own slider
    rounds whatever it is given.
    """

    value = Float()

    def __init__(self, name: str, given: AnyNumber) -> None:
        ends = {"min": given.least, "max": given.most, "step": given.step}
        slider = widgets.FloatSlider(
            value=given.nearest_step(given.start),
            **ends,
            readout=False,
            readout_format=".4",
            description=name,
            tooltip=name,
            style=FULL_DESCRIPTION,
        )
        box = widgets.BoundedFloatText(
            value=given.start,
            **ends,
            description=f"any number, {given.least:g} to {given.most:g}",
            tooltip=name,
            style=FULL_DESCRIPTION,
            layout=widgets.Layout(width="15em"),
        )

        def slide(change: Mapping[str, Any]) -> None:
            if change["new"] != given.nearest_step(box.value):
                box.value = change["new"]

        def take(change: Mapping[str, Any]) -> None:
            slider.value = given.nearest_step(change["new"])
            self.value = change["new"]

        slider.observe(slide, "value")
        box.observe(take, "value")
        row = {"flex_flow": "row wrap", "grid_gap": "0 1em"}
        super().__init__([slider, box], value=given.start, layout=row)


def _describe_values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {format_value(value)}" for name, value in values.items())
