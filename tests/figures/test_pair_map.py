"""The map of measured transfer: what it says, marks and frames, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from refusals import refused

from mtl_nt import Study, compare, load
from mtl_nt.figures import alt_text, png_bytes
from mtl_nt.figures.pair_map import is_natural, pair_map
from mtl_nt.study import stored
from mtl_nt.study.sharing import PARTNER, measured_transfer

TASKS = ("one", "two", "$3 <b>three</b>", "a task with a very long name indeed")
GROUPS = {"first": TASKS[:2], "second": TASKS[2:]}


@pytest.fixture(scope="module")
def study() -> Study:
    """Partners of the own group save 0.2, others lose 0.1; a task gains nothing by itself."""
    draw, rows = np.random.default_rng(0), []
    group = {task: name for name, members in GROUPS.items() for task in members}
    for seed in range(6):
        for task in TASKS:
            base = 1 + draw.normal(0, 0.01)
            for method in ("STL", "STL'", *(PARTNER + t for t in TASKS)):
                partner = method.removeprefix(PARTNER)
                gain = 0.0 if partner not in group or partner == task else -0.1
                gain = 0.2 if gain and group[partner] == group[task] else gain
                value = base - gain + (method != "STL") * draw.normal(0, 0.01)
                rows.append((method, seed, task, value))
    table = pd.DataFrame(rows, columns=["method", "seed", "task", "value"])
    return Study.from_scores(table, metric="MSE", overlap=0.0)


def test_the_title_counts_what_the_test_decided_and_gives_both_means(study: Study) -> None:
    table, text = measured_transfer(study), alt_text(pair_map(study, GROUPS))
    natural = is_natural(table, GROUPS)
    assert table["verdict"][natural].eq("helped").all()
    assert table["verdict"][~natural].eq("harmed").all()
    assert text.startswith("Of 12 ways to give a task one partner, 4 help it and 8 harm it")
    inside, outside = table[natural]["delta"].mean(), table[~natural]["delta"].mean()
    assert f"natural partners give {inside:+.3f}, others {outside:+.3f}" in text
    best = table.loc[table["delta"].idxmax()]
    assert f"of {best['task']} by {best['partner']}" in text
    assert "natural" not in alt_text(pair_map(study)).split(".")[0]


def test_a_dot_is_on_every_decided_pair_and_a_frame_around_every_group(study: Study) -> None:
    (axes, scale) = pair_map(study, GROUPS).axes
    (dots,) = axes.lines
    assert len(dots.get_xdata()) == 12
    assert all(x != y for x, y in zip(dots.get_xdata(), dots.get_ydata(), strict=True))
    frames = [p for p in axes.patches if isinstance(p, Rectangle)]
    assert [(f.get_x(), f.get_width()) for f in frames] == [(-0.5, 2), (1.5, 2)]
    assert [p for p in pair_map(study).axes[0].patches if isinstance(p, Rectangle)] == []
    shown = axes.images[0].get_array()
    assert np.isnan(np.ma.filled(shown.astype(float), np.nan)).sum() == 4  # a task and itself


def test_blue_helps_and_red_harms_on_a_scale_that_is_even(study: Study) -> None:
    (axes, scale) = pair_map(study, GROUPS).axes
    low, high = axes.images[0].get_clim()
    assert low == -high
    red, _, blue, _ = axes.images[0].cmap(1.0)
    assert blue > red
    red, _, blue, _ = axes.images[0].cmap(0.0)
    assert red > blue


@pytest.mark.parametrize("form", ["page", "phone"])
def test_every_name_is_there_and_nothing_leaves_the_canvas(study: Study, form: str) -> None:
    figure: Figure = pair_map(study, GROUPS)
    if form == "phone":
        figure = pair_map(study, GROUPS).draw_narrow()
        assert figure.get_figwidth() == 3.9
    png_bytes(figure)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names[:2] == ["one", "two"]
    assert all(len(name) <= 12 for name in names)
    wide, tall = figure.bbox.width, figure.bbox.height
    for text in figure.findobj(Text):
        if text.get_text().strip():
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= wide and box.y0 >= 0 and box.y1 <= tall, text


def test_groups_bring_their_tasks_together_in_their_order(study: Study) -> None:
    mixed = {"odd": (TASKS[3], TASKS[0]), "even": (TASKS[1], TASKS[2])}
    names = [t.get_text() for t in pair_map(study, mixed).axes[0].get_yticklabels()]
    assert names[1:3] == ["one", "two"]


def test_a_study_without_pairs_is_refused() -> None:
    study = compare(load("dial"), "MTL", seeds=2, steps=1, trunk=(2,), progress=False)
    refused(lambda: pair_map(study), "no pairs of tasks", "add_sharing")


@pytest.mark.parametrize("split", ["time", "scaffold", "random"])
def test_the_kept_pairs_are_all_there(split: str) -> None:
    table = measured_transfer(stored(f"expansionrx-{split}"))
    assert len(table) == 72
    assert np.isfinite(table[["delta", "low", "high", "adjusted"]]).all(axis=None)
