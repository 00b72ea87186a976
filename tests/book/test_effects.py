"""Effects over runs: the interval is that of the test, and it says where zero lies."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtl_nt.book.effects import Effect, by_group, effect


def test_the_interval_of_independent_runs_is_that_of_students_t() -> None:
    runs = np.random.default_rng(0).normal(0.3, 1.0, 8)
    low, high = stats.t.interval(0.95, 7, runs.mean(), stats.sem(runs))
    assert effect(runs) == pytest.approx((runs.mean(), low, high))


def test_runs_that_share_rows_have_a_wider_interval_by_the_corrected_variance() -> None:
    runs = np.random.default_rng(0).normal(0.3, 1.0, 8)
    wide = {overlap: np.ptp(effect(runs, overlap)[1:]) for overlap in (0.0, 2 / 7)}
    assert wide[2 / 7] / wide[0.0] == pytest.approx(((1 / 8 + 2 / 7) * 8) ** 0.5)


def test_tasks_are_averaged_within_a_run_and_one_without_a_score_is_left_out_of_all() -> None:
    table = pd.DataFrame({"a": [0.1, 0.3], "b": [-0.5, np.nan]})
    assert effect(table).mean == pytest.approx(0.2)  # and not lower in the run that scored b
    assert math.isnan(effect(table[["b"]]).mean)


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.1, 0.3, "better"), (-0.1, 0.3, "undecided"), (-2, -1, "worse")]
)
def test_a_word_says_where_zero_lies(low: float, high: float, word: str) -> None:
    assert Effect((low + high) / 2, low, high).word == word


def test_groups_are_the_names_without_their_numbers() -> None:
    table = pd.DataFrame({"far off 1": [1.0], "far off 2": [2.0], "near 10": [5.0]})
    assert by_group(table).iloc[0].to_dict() == {"far off": 1.5, "near": 5.0}
