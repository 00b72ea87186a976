"""The map of causes and cures: its cells on a page and on a phone."""

from __future__ import annotations

from itertools import product

import pandas as pd
import pytest
from test_figures import assert_readable

from mtl_nt.figures import cure_map

CAUSES = ("related", "unrelated", "dominant", "noisy", "combined")
METHODS = ("STL'", "MTL", "MTL, wide", "MTL, wide, tuned", "RMTL", "Oracle grouping")


@pytest.fixture
def table() -> pd.DataFrame:
    cases = [f"{cause}, trunk x {width}" for cause, width in product(CAUSES, (1, 4))]
    rows = pd.DataFrame([*product(cases, METHODS)], columns=["case", "method"])
    return rows.assign(helped=10, harmed=12, tasks=22, runs=16)


def test_counts_of_two_digits_stay_in_their_cells(table: pd.DataFrame) -> None:
    page = cure_map(table)
    assert page.draw_narrow is not None
    for figure in (page, page.draw_narrow()):
        assert_readable("cure map", figure)
        (ax,) = figure.axes
        wide = ax.get_window_extent().width / (ax.get_xlim()[1] - ax.get_xlim()[0])
        assert max(text.get_window_extent().width for text in ax.texts) < wide
        said = {text.get_text().strip("▲▼") for text in ax.texts}
        assert said == {"10", "12"}
