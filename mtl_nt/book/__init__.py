"""What notebooks and pages need beside the methods themselves.

In a notebook, `playground` trains small networks in the page, `playground_widget` shares its
settings with Python, and `playground_study` trains this package's networks at these settings.
`explorers` are sliders over finished pictures, and `live` trains at every change of a slider;
`live_study` is such a cell for methods and data sets. `parameters` checks what a reader sets, and
`processes` uses several cores. `drawings` shows methods, made-up tasks, digits and molecules as
pictures (`method_drawing`, `svg`). `predict` asks questions that the page itself checks, and
`claims` prints which sentences of the text hold. `effects` are means over runs with intervals, and
`curves`, `geometry`, `trunk_room`, `split_pictures`, `case_pictures` and `published_counts` draw
pictures of single chapters. What a notebook draws itself gets a form for phones by `panels`.
`markup` makes HTML that is safe to show.

Around a notebook, `report` runs it, `page` turns it into one HTML page, and `links` leads from one
page to the next. `about` is what a notebook says of itself, `outputs` stores what it has shown, and
`kernels` starts its kernels. `site` builds the whole book with Sphinx. Import these by their names,
since they load papermill and nbconvert.

This room uses the figures and all that is below them.
"""

from .claims import claim
from .drawings import Drawing, digits_drawn, directions_drawn, methods_drawn, molecule_drawn
from .explorers import explorer
from .live import AnyNumber, Live
from .live_study import live_study
from .markup import SORT_SCRIPT, script_tag, styled_table
from .parameters import parse_literal, read_parameters
from .playground import playground
from .playground_study import played_sentence, played_study
from .processes import workers

__all__ = [
    "AnyNumber",
    "Drawing",
    "Live",
    "SORT_SCRIPT",
    "claim",
    "digits_drawn",
    "directions_drawn",
    "explorer",
    "live_study",
    "methods_drawn",
    "molecule_drawn",
    "parse_literal",
    "played_sentence",
    "played_study",
    "playground",
    "read_parameters",
    "script_tag",
    "styled_table",
    "workers",
]
