"""Counts that a paper has published, beside the counts of studies that can be run again.

A paper often has one number per method: on how many tasks the method is worse than single-task
learning. The picture shows how far such a number can move, in two ways: by Wilson's interval, as if
the tasks were independent draws, and by the runs of a study, one dot per run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from ..figures import add_axes, method_styles, new_figure
from ..figures.drawing import Drawing
from ..study import Study
from ..tasks import BadInput

Arm = tuple[str, float]  # a method and its alpha; NaN where it has none


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95% interval of a count, as percent of all.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> [round(end) for end in wilson(42, 128)]
    [25, 41]
    """
    found = stats.binomtest(count, of).proportion_ci(method="wilson")
    return 100 * found.low, 100 * found.high


def worse_per_run(study: Study, arm: Arm) -> pd.Series:
    """On how many tasks a method is worse than the baseline, run by run.

    >>> from mtl_nt.study import stored
    >>> worse_per_run(stored("cure-unrelated"), ("MTL", float("nan"))).head(3).to_list()
    [3, 3, 3]
    """
    return (study.delta(*arm) < 0).sum(axis=1)


def published_counts(
    counts: Mapping[Arm, int], of: int, where: str, studies: Sequence[Study], null: Arm
) -> Drawing:
    """A published count per method, and the counts of every run of the studies.

    Args:
        counts: for each method the published number of tasks on which it is worse.
        of: the number of tasks of the paper.
        where: the name of the paper's data.
        studies: studies with these methods and with STL'.
        null: STL' as a method of the studies.

    Raises:
        BadInput: fewer than two published counts, or no study.

    >>> from mtl_nt.study import stored
    >>> none, study = float("nan"), stored("cure-unrelated")
    >>> counts = {("MTL", none): 48, ("RMTL, tuned", none): 42}
    >>> published_counts(counts, 128, "a panel", [study], ("STL'", none)).title
    '48 of 128 may be 30 to 46%, and 42 of 128 may be 25 to 41%, by chance alone'
    """
    if len(counts) < 2 or not studies:
        raise BadInput("published_counts: give two published counts or more, and one study or more")
    rows = [null, *counts]
    ends = {arm: wilson(count, of) for arm, count in counts.items()}
    first = next(iter(counts))
    fewest = min(counts, key=lambda arm: counts[arm])
    said = [
        f"{counts[a]} of {of} may be {ends[a][0]:.0f} to {ends[a][1]:.0f}%" for a in (first, fewest)
    ]
    text = "Share of tasks worse than STL. " + "; ".join(
        f"{_label(arm)}: {count} of {of}" for arm, count in counts.items()
    )
    foot = "grey: null of one run (STL'); bars: Wilson's 95% interval; dots: our runs, | their mean"
    title = f"{said[0]}, and {said[1]}, by chance alone"
    height = 1.85 + 0.36 * len(rows)
    figure = new_figure(height, title, text, foot)
    panels = [f"{where}, one run", *(f"{s.results['dataset'].iloc[0]}, our runs" for s in studies)]
    wide = (6.35 - 0.2 * len(panels)) / len(panels)
    for k, name in enumerate(panels):
        ax = add_axes(figure, 1.45 + k * (wide + 0.2), 0.8, wide, 0.36 * len(rows))
        if k:
            _runs(ax, studies[k - 1], rows, null)
        else:
            _published(ax, counts, of, rows)
        ax.axvline(50, color="#222222", lw=1, ls=":")
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlim(0, 100)
        ax.set_xticks([0, 25, 50, 75])
        ax.set_yticks(range(len(rows)), ["" if k else _label(arm) for arm in rows], size=12)
        ax.set_title(name, loc="left", size=12)
    figure.text(0.55, 0.4 / height, "% of the tasks worse than STL", size=12, ha="center")
    return figure


def _published(ax: Axes, counts: Mapping[Arm, int], of: int, rows: Sequence[Arm]) -> None:
    for y, arm in enumerate(rows):
        if arm in counts:
            at, (low, high) = 100 * counts[arm] / of, wilson(counts[arm], of)
            bars = [[at - low], [high - at]]
            ax.errorbar(at, y, xerr=bars, fmt="o", capsize=3, color=_colour(arm))


def _runs(ax: Axes, study: Study, rows: Sequence[Arm], null: Arm) -> None:
    share = 100 / len(study.metric)
    row = study.counts().set_index("method").loc[null[0]]
    low, high = share * row[["negative_null_low", "negative_null_high"]].to_numpy(float)
    ax.axvspan(low, high, color="#E3E3E3", lw=0, zorder=0)
    for y, arm in enumerate(rows):
        each = share * worse_per_run(study, arm)
        ax.plot(each, [y] * len(each), "o", ms=6, color=_colour(arm), alpha=0.45, mew=0)
        ax.plot(each.mean(), y, "|", ms=16, mew=2.5, color=_colour(arm))


def _label(arm: Arm) -> str:
    return arm[0] if arm[1] != arm[1] else f"{arm[0]} {arm[1]:g}"


def _colour(arm: Arm) -> str:
    return method_styles([arm[0]])[arm[0]].colour
