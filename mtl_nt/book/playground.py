"""The playground: small networks that train in the page, without a kernel.

`playground.js` trains and draws. It is one of this package's own scripts (see `markup`), so the
same output lives in JupyterLab, in an exported page, and in a notebook that is opened again. Where
scripts do not run, a picture of the preset's end stands in its place. `make stills` draws these.
As a widget it shares its settings with Python (`playground_widget`), and `playground_study` trains
the networks of this package at these settings.

There are three views:

- "two": two tasks share two weights. Task t has the loss (v - m_t)' H_t (v - m_t) / 2 over the
  shared weights v, and gradient descent with a rate of 0.05 moves them. An epoch is ten steps. The
  log variances of Uncertainty stay within 1.5, since a larger weight would overshoot.
- "network": three tasks of two inputs share a layer of tanh units. Two tasks are alike, and one is
  an outsider. Each task is tanh(3 d_t' x) plus noise, with a direction d_t of its own.
- "weights": losses and task weights of the same networks, over the steps of Adam.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, is_finite_number, suggestion
from ..figures.picture import data_url
from .markup import PLAYGROUND_SCRIPT, script_tag

if TYPE_CHECKING:
    from .playground_widget import PlaygroundWidget

STYLE = Path(__file__).with_name("playground.css").read_text(encoding="utf-8")
STILLS = Path(__file__).with_name("stills")
"""A picture of the end of every preset, and `stills.json` with its sentence."""
METHODS = (
    *("STL", "MTL", "LBTW", "LBTW, first batch of all", "LBTW, moving average"),
    *("GradNorm", "RMTL", "Uncertainty", "Fixed weights"),
)
TWO = {
    **{"view": "two", "method": "MTL", "alpha": 0.0, "angle": 130, "scale": 1.6, "steps": 200},
    "start": [0, 1],
}
NETWORK = {
    **{"view": "network", "method": "MTL", "alpha": 0.0, "angle": 80, "units": 1},
    **{"rows": 32, "noise": 0.3, "scale": 1.0, "seed": 0, "steps": 400},
}
WEIGHTS = {**NETWORK, "view": "weights", "units": 2, "rows": 128}
Settings = dict[str, Any]
PRESETS: dict[str, Settings] = {
    "two tasks": TWO,
    "outsider": NETWORK,
    "few rows": {**NETWORK, "units": 6, "rows": 16, "noise": 0.6},
    "sawtooth": {**WEIGHTS, "method": "LBTW", "alpha": 0.5, "steps": 160},
    "gradient norms": {**WEIGHTS, "method": "GradNorm", "scale": 10.0},
    "a network per task": {**NETWORK, "method": "RMTL"},
    "uncertainty": {**WEIGHTS, "method": "Uncertainty", "scale": 0.2, "angle": 90},
}
"""What each preset starts from, by name."""
RANGES = {
    **{"alpha": (0, 4), "angle": (0, 180), "units": (1, 8), "rows": (16, 128), "noise": (0, 1)},
    **{"scale": (0.1, 10), "seed": (0, 20), "steps": (1, 2000)},
}
WHOLE = ("units", "rows", "seed", "steps")
IN_VIEW = ((-2.3, 2.3), (-1.5, 1.95))
"""Where the start of two tasks can lie: in the picture."""
FRAGMENT = """\
<div class="mtl-playground" data-preset="{preset}">
<style>{style}</style>
{still}
{script}
</div>"""
STILL = """\
<figure style="margin: 0"><div style="overflow-x: auto">\
<img src="{src}" alt="{alt}" style="width: 100%; min-width: 620px"></div>
<figcaption>{alt} {ask}</figcaption></figure>"""
ASK = "Run this cell to play."


def playground(preset: str = "two tasks", **changes: Any) -> Playground:
    """Networks to play with, in the page: two tasks that pull, or a layer that three tasks share.

    Args:
        preset: one of `PRESETS`.
        changes: settings in place of the preset's. "method" is one of `METHODS`. "alpha" is the
            method's, or of "Fixed weights" the weight of the last task. "angle" lies between the
            tasks, in degrees. "scale" multiplies the last task's loss. "steps" are trained. Views
            of networks also have "units", "rows" (a multiple of 16), "noise" and "seed". Two tasks
            have a "start", which is two numbers.

    Returns:
        What a notebook shows where it stands last in a cell. Its `widget()` shares its settings
        with Python, in both directions, while a kernel runs (see `PlaygroundWidget`).

    Raises:
        BadInput: an unknown preset or setting, or a value out of its range.

    >>> playground("outsider")
    After 400 steps with one shared unit, the outsider is 1.02 worse than alone; the two alike are \
0.03 worse than alone. (An error of 1 is as bad as guessing.)
    >>> playground("outsider", units=9)
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: playground: units 9: must be a whole number from 1 to 8
    """
    if preset not in PRESETS:
        raise BadInput(f"playground: no preset {preset!r}; {suggestion(preset, PRESETS)}")
    return Playground(changed(PRESETS[preset], changes), preset if not changes else None)


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings of a playground with some of them changed.

    Raises:
        BadInput: a setting that these do not have, or a value out of its range.

    >>> changed({"view": "two", "angle": 130}, {"angle": 90})
    {'view': 'two', 'angle': 90}
    """
    for name, value in changes.items():
        if name not in settings or (name == "view" and value != settings[name]):
            known = [setting for setting in settings if setting != "view"]
            raise BadInput(f"playground: no setting {name!r}; {suggestion(str(name), known)}")
        if name == "method" and value not in METHODS:
            raise BadInput(f"playground: no method {value!r}; {suggestion(str(value), METHODS)}")
        if name == "start" and not _is_in_view(value):
            ends = " and ".join(f"from {low} to {high}" for low, high in IN_VIEW)
            raise BadInput(f"playground: start {value!r}: must be two numbers, {ends}")
        if name in RANGES:
            low, high = RANGES[name]
            good = is_finite_number(value) and low <= value <= high
            kind = "a multiple of 16" if name == "rows" else "a whole number"
            kind = kind if name in WHOLE else "a number"
            if not good or (name in WHOLE and value % (16 if name == "rows" else 1)):
                raise BadInput(f"playground: {name} {value!r}: must be {kind} from {low} to {high}")
    return {**settings, **{name: _plain(value) for name, value in changes.items()}}


def _plain(value: Any) -> Any:
    """A setting as JSON has it, so that a page's settings and Python's are equal."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if float(value).is_integer() else float(value)


def _is_in_view(point: object) -> bool:
    """Whether this is a point of the picture of two tasks."""
    if not isinstance(point, list | tuple) or len(point) != 2:
        return False
    ends = zip(point, IN_VIEW, strict=True)
    return all(is_finite_number(at) and low <= at <= high for at, (low, high) in ends)


class Playground:
    """What `playground` returns.

    Attributes:
        settings: what it starts from, by name.
        sentence: what a preset says at its end. It is empty where settings were changed.
        html: the playground in notebooks and pages.
        text: the sentence, or else what to do.
    """

    def __init__(self, settings: Settings, preset: str | None) -> None:
        self.settings, self.sentence, still = settings, "", escape(ASK)
        if preset is not None:
            self.sentence = sentence_of(preset)
            src, alt = data_url(still_path(preset).read_bytes()), escape(self.sentence)
            still = STILL.format(src=src, alt=alt, ask=escape(ASK))
        self.html = FRAGMENT.format(
            preset=escape(json.dumps(settings)),
            style=STYLE,
            still=still,
            script=script_tag(PLAYGROUND_SCRIPT),
        )

    @property
    def text(self) -> str:
        return self.sentence or ASK

    def widget(self) -> PlaygroundWidget:
        """The same playground as a widget, which shares its settings with Python.

        >>> game = playground("outsider").widget()
        >>> game.settings["angle"] = 30  # turns the outsider on the page, too
        >>> game.settings["angle"]
        30
        """
        from .playground_widget import PlaygroundWidget  # loads ipywidgets

        return PlaygroundWidget(self)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


def still_path(preset: str) -> Path:
    """Where the picture of a preset lies."""
    return STILLS / f"{preset.replace(' ', '_')}.png"


def sentence_of(preset: str) -> str:
    """What a preset says at its end."""
    said: str = json.loads((STILLS / "stills.json").read_text(encoding="utf-8"))[preset]
    return said
