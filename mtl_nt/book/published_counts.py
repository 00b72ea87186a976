"""Counts that a paper has published, beside the counts of studies that can be run again.

A paper often has one number per method: on how many tasks the method is worse than single-task
learning. The picture shows how far such a number can move, in two ways: by Wilson's interval, as if
the tasks were independent draws, and by the runs of a study, one dot per run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import stats

from ..errors import BadInput
from ..figures import INK, NULL_BAND, Drawing, add_axes, method_styles
from ..figures.drawing import fitted_names, in_both_forms, label_width, without_formulas
from ..figures.forms import PAGE, TEXT_SIZE, Form
from ..figures.sheet import legend_columns, legend_height, new_sheet
from ..study import Study

Row = tuple[str, float]  # of the picture: a method and its alpha; NaN where it has none


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95% interval of a count, as percent of all.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> [round(end) for end in wilson(42, 128)]
    [25, 41]
    """
    found = stats.binomtest(count, of).proportion_ci(method="wilson")
    return 100 * found.low, 100 * found.high


def worse_per_run(study: Study, arm: Row) -> pd.Series:
    """On how many tasks a method is worse than the baseline, run by run.

    >>> from mtl_nt.study import stored
    >>> worse_per_run(stored("cure-unrelated"), ("MTL", float("nan"))).head(3).to_list()
    [3, 3, 3]
    """
    return (study.delta(*arm) < 0).sum(axis=1)


def published_counts(
    counts: Mapping[Row, int],
    of: int,
    where: str,
    studies: Sequence[Study],
    null: Row,
    names: Mapping[str, str] | None = None,
) -> Drawing:
    """A published count per method, and the counts of every run of the studies.

    The panels stand side by side, and below each other on phones.

    Args:
        counts: for each method the published number of tasks on which it is worse.
        of: the number of tasks of the paper.
        where: the name of the paper's data.
        studies: studies with these methods and with STL'.
        null: STL' as a method of the studies.
        names: what the picture calls the studies' data; by default as the studies do.

    Raises:
        BadInput: fewer than two published counts, or no study.

    >>> from mtl_nt.study import stored
    >>> none, study = float("nan"), stored("cure-unrelated")
    >>> counts = {("MTL", none): 48, ("RMTL, tuned", none): 42}
    >>> published_counts(counts, 128, "a panel", [study], ("STL'", none)).title
    '48 of 128 is 38%, with a 95% interval of 30 to 46%; 42 is 33%, with 25 to 41%'
    """
    if len(counts) < 2 or not studies:
        raise BadInput("published_counts: give two published counts or more, and one study or more")
    ends = {arm: wilson(count, of) for arm, count in counts.items()}
    first, fewest = next(iter(counts)), min(counts, key=lambda arm: counts[arm])
    one, two = (
        f"{counts[arm] / of:.0%}, with {head}{ends[arm][0]:.0f} to {ends[arm][1]:.0f}%"
        for arm, head in ((first, "a 95% interval of "), (fewest, ""))
    )
    caption = "Share of tasks worse than STL. " + "; ".join(
        f"{_label(arm)}: {count} of {of}" for arm, count in counts.items()
    )
    called = names or {}
    data = [str(study.results["dataset"].iloc[0]) for study in studies]
    shown = _Counts(
        title=f"{counts[first]} of {of} is {one}; {counts[fewest]} is {two}",
        caption=f"{caption}.",
        counts=counts,
        of=of,
        panels=(f"{where}, one run", *(f"{called.get(d, d)}, our runs" for d in data)),
        studies=studies,
        null=null,
    )
    return in_both_forms(partial(_draw_counts, shown))


@dataclass(frozen=True)
class _Counts:
    """What `published_counts` shows."""

    title: str
    caption: str
    counts: Mapping[Row, int]
    of: int
    panels: tuple[str, ...]
    studies: Sequence[Study]
    null: Row


def _draw_counts(shown: _Counts, form: Form) -> Drawing:
    """Draw them: side by side on a page, below each other on a phone."""
    scale, page = form.text_size / TEXT_SIZE, form is PAGE
    rows, many = [shown.null, *shown.counts], len(shown.panels)
    legend, names = _legend()
    tall, head, axis = 0.34 * scale * len(rows), 0.34 * scale, 0.4 * scale
    block = head + tall + axis
    body = (1 if page else many) * block + legend_height(names, form) + 0.08
    about = "share of the tasks that are worse than with STL; dotted: half of them"
    sheet = new_sheet(shown.title, shown.caption, about, [], body, form)
    left = label_width(map(_label, rows), form)
    wide = (form.width - left - 0.15 + 0.2) / many - 0.2 if page else form.width - left - 0.15
    for k, name in enumerate(shown.panels):
        column, row = (k, 0) if page else (0, k)
        bottom = sheet.top - head - tall - row * block
        ax = add_axes(sheet.figure, left + column * (wide + 0.2), bottom, wide, tall)
        if k:
            _runs(ax, shown.studies[k - 1], rows, shown.null)
        else:
            _published(ax, shown.counts, shown.of, rows)
        ax.axvline(50, color=INK, lw=1, ls=":")
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlim(0, 100)
        ax.set_xticks([0, 25, 50, 75], ["0", "25", "50", "75%"])
        labels = [""] * len(rows) if column else fitted_names(map(_label, rows), form)[0]
        ax.set_yticks(range(len(rows)), labels)
        ax.tick_params(labelsize=form.small_size)
        ax.set_title(name, loc="left", size=form.text_size)
    sheet.add_legend(legend, names, legend_columns(names, form))
    without_formulas(sheet.figure)
    return sheet.figure


def _legend() -> tuple[list[Artist], list[str]]:
    handles: list[Artist] = [
        Line2D([], [], color=INK, marker="o", lw=1.5),
        Line2D([], [], color=INK, marker="o", ls="", alpha=0.45, mew=0),
        Line2D([], [], color=INK, marker="|", ls="", ms=13, mew=2.5),
        Patch(color=NULL_BAND),
    ]
    return handles, ["count, 95% (Wilson)", "one run", "mean of runs", "chance alone: STL'"]


def _published(ax: Axes, counts: Mapping[Row, int], of: int, rows: Sequence[Row]) -> None:
    for y, arm in enumerate(rows):
        if arm in counts:
            at, (low, high) = 100 * counts[arm] / of, wilson(counts[arm], of)
            bars = [[at - low], [high - at]]
            ax.errorbar(at, y, xerr=bars, fmt="o", capsize=3, color=_colour(arm))


def _runs(ax: Axes, study: Study, rows: Sequence[Row], null: Row) -> None:
    share = 100 / len(study.metric)
    row = study.counts().set_index("method").loc[null[0]]
    low, high = share * row[["negative_null_low", "negative_null_high"]].to_numpy(float)
    ax.axvspan(low, high, color=NULL_BAND, lw=0, zorder=0)
    for y, arm in enumerate(rows):
        each = share * worse_per_run(study, arm)
        ax.plot(each, [y] * len(each), "o", ms=6, color=_colour(arm), alpha=0.45, mew=0)
        ax.plot(each.mean(), y, "|", ms=13, mew=2.5, color=_colour(arm))


def _label(arm: Row) -> str:
    return arm[0] if arm[1] != arm[1] else f"{arm[0]} {arm[1]:g}"


def _colour(arm: Row) -> str:
    return method_styles([arm[0]])[arm[0]].colour
