"""Pictures of the case chapters: their words, their two forms, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from mtl_nt.book.case_pictures import (
    Words,
    baseline_counts,
    errors_by_setting,
    label_bars,
    shares,
)
from mtl_nt.figures import Drawing

WORDS = Words("The message of the picture", "what is compared", "the small print")
COUNTED = pd.DataFrame(
    {"negative": [153, 94, 0], "negative_per_run": [128.2, 111.0, 0.4], "harmed": [1, 1, 0]},
    ["STL", "ElasticNet", "OLS"],
)
ERRORS = pd.DataFrame(
    [("scale 1, decay", "MTL", 0.2), ("scale 1, decay", "MTL", 0.6), ("scale 2", "Ridge", 0.5)],
    columns=["setting", "method", "error"],
)


def counts() -> Drawing:
    return baseline_counts(COUNTED, 214, ("STL", 88, 126), "U-AMTFL", WORDS)


def histogram() -> Drawing:
    return shares(np.array([-0.02, 0.1, 0.3]), "Ridge", "share", WORDS)


def bars() -> Drawing:
    return label_bars({"LogD": 5039, "MGMB": 222}, {"LogD": "fat", "MGMB": "binding"}, WORDS)


def errors() -> Drawing:
    return errors_by_setting(ERRORS, ["MTL", "Ridge"], WORDS)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [counts, histogram, bars, errors])
def test_each_has_its_message_and_its_numbers_and_fits_a_phone(draw: Callable[[], Drawing]) -> None:
    page = draw()
    assert page.title == WORDS.title and len(page.caption) > 10
    assert page.draw_narrow is not None
    phone = page.draw_narrow()
    assert phone.get_figwidth() < 4 < page.get_figwidth()
    for figure in (page, phone):
        figure.canvas.draw()
        wide = figure.bbox.width
        said = [text for ax in figure.axes for text in [*ax.texts, *ax.get_yticklabels()]]
        said += [*figure.texts, *(t for legend in figure.legends for t in legend.get_texts())]
        assert all(text.get_window_extent().x1 <= wide for text in said if text.get_text())
        assert all(text.get_window_extent().x0 >= 0 for text in said if text.get_text())


def test_the_marks_of_a_count_stand_at_its_numbers() -> None:
    (ax,) = counts().axes
    drawn = [list(line.get_xdata()) for line in ax.lines[:3]]
    assert drawn == [COUNTED[name].to_list() for name in COUNTED]
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (88, 126)


def test_an_error_has_its_mean_and_the_range_of_its_runs() -> None:
    figure = errors()
    (ax,) = figure.axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.4], [0.5]]
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [0.2, 0.6]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["scale 1\ndecay", "scale 2"]
    assert figure.caption == "MTL: 0.40 to 0.40; Ridge: 0.50 to 0.50."


def test_what_cannot_be_drawn_is_refused_in_one_line() -> None:
    null = ("STL", 1.0, 2.0)
    refused(lambda: baseline_counts(COUNTED[:0], 9, null, "MTL", WORDS), "no baselines")
    few = COUNTED.drop(columns="harmed")
    refused(lambda: baseline_counts(few, 9, null, "MTL", WORDS), "no harmed")
    absent = ("Trees", 1.0, 2.0)
    refused(lambda: baseline_counts(COUNTED, 9, absent, "MTL", WORDS), "no row of 'Trees'")
    refused(lambda: shares(np.array([np.nan]), "Ridge", "share", WORDS), "one finite number")
    refused(lambda: label_bars({}, {}, WORDS), "no task")
    refused(lambda: label_bars({"A": 1}, {}, WORDS), "no group of 'A'")
    refused(lambda: errors_by_setting(ERRORS, ["LBTW"], WORDS), "no row of these methods")
