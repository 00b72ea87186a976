"""A figure whose words take as much room as they need: title, what is compared, small print."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist

from .drawing import GREY, Drawing, new_figure, text_inches, title_lines
from .forms import PAGE, TEXT_SIZE, Form

LINE = 1.25 / 72  # inches between two lines of letters of one point


@dataclass(frozen=True)
class Sheet:
    """A figure with room for its body between `bottom` and `top`, in inches from below."""

    figure: Drawing
    bottom: float
    top: float
    form: Form

    def add_legend(self, handles: Sequence[Artist], names: Sequence[str], columns: int) -> None:
        """A legend at the bottom of the body, as high as `legend_height` says."""
        self.figure.legend(
            handles,
            names,
            loc="lower left",
            bbox_to_anchor=(0.02 / self.form.width, self.bottom / self.figure.get_figheight()),
            ncols=columns,
            fontsize=self.form.small_size,
            frameon=False,
            handletextpad=0.3,
            columnspacing=1.0,
            borderpad=0,
            labelspacing=0.35,
        )


def new_sheet(
    title: str, caption: str, about: str, foot: Sequence[str], body: float, form: Form = PAGE
) -> Sheet:
    """A white figure with its words, and room for a body.

    Args:
        title: its message. Two lines are kept free for it, so that the pictures of a slider are
            as high as each other.
        caption: what the figure shows, in words.
        about: what is compared with what, below the title.
        foot: the sentences of the small print.
        body: inches.

    >>> sheet = new_sheet("A title", "And a text.", "x against y", ["the data", "the runs"], 2)
    >>> round(sheet.top - sheet.bottom, 6)
    2.0
    """
    below = textwrap.wrap(about, form.small_letters)
    small = [line for said in foot for line in textwrap.wrap(said, form.foot_letters)]
    lines = len(title_lines(title, form))
    bottom = 0.12 + len(small) * form.foot_size * LINE
    above = 0.2 + max(lines, 2) * form.title_size * LINE
    above += len(below) * form.small_size * LINE + 0.1 * form.text_size / TEXT_SIZE
    figure = new_figure(bottom + body + above, title, caption, "\n".join(small), form)
    height = bottom + body + above
    style: dict[str, Any] = {"size": form.small_size, "color": GREY, "parse_math": False}
    under_title = height - 0.16 - lines * form.title_size * LINE
    figure.text(0.1 / form.width, under_title / height, "\n".join(below), va="top", **style)
    return Sheet(figure, bottom, height - above, form)


def legend_columns(names: Sequence[str], form: Form) -> int:
    """How many names of a legend fit side by side.

    >>> legend_columns(["harmed", "helped"], PAGE)
    2
    """
    each = [0.5 + text_inches(name, form.small_size) for name in names]
    if sum(each) <= form.width - 0.1:
        return max(1, len(names))
    return max(1, int((form.width - 0.1) / max(each)))


def legend_height(names: Sequence[str], form: Form) -> float:
    """The inches that the legend of these names takes."""
    lines = -(-len(names) // legend_columns(names, form)) if names else 0
    return 0.26 * lines * form.text_size / TEXT_SIZE
