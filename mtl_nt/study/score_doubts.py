"""Scores that are most likely not what they are said to be, and would turn or decide verdicts."""

from __future__ import annotations

from ..datasets.sheets import quoted
from ..errors import BadInput
from .directions import is_at_most_one, negated_name, side_of_zero
from .score_table import ScoreTable

LARGEST = 1e100  # whose square and sums of squares are still finite
LEAST_PERCENT = 2  # a share may be a little above 1 by a slip of rounding, and is never this


def check_ranges(scores: ScoreTable) -> None:
    """No score is huge or on the wrong side of 0, and no shares stand beside percent.

    scikit-learn's `cross_validate` turns the sign of errors. Under the plain name of the error,
    every verdict would be the opposite, and so it would with errors under the name of the turned.

    Raises:
        BadInput: a score that a metric of this name cannot have, or two units of one metric.
    """
    rows = scores.rows
    huge = (rows["value"].abs() > LARGEST).to_numpy()
    if huge.any():
        at = int(huge.argmax())
        scores.refuse(at, f"value {rows['value'].iloc[at]:g} is too large; leave this run out")
    for metric in rows["metric"].unique():
        _check_side(scores, metric)
        if is_at_most_one(metric):
            _check_unit(scores, metric)


def _check_side(scores: ScoreTable, metric: str) -> None:
    """No error, no share and no count is below 0, and no turned error is above."""
    side, rows = side_of_zero(metric), scores.rows
    wrong = (rows["metric"] == metric).to_numpy() & (side * rows["value"] < 0).to_numpy()
    if wrong.any():
        at, name = int(wrong.argmax()), negated_name(metric)
        other = (
            f", or call it {name[:40]} where higher is better, as in scikit-learn" if name else ""
        )
        scores.refuse(
            at,
            f"{metric[:40]} of {rows['value'].iloc[at]:g} is {'below' if side > 0 else 'above'} 0; "
            f"turn the sign{other}",
        )


def _check_unit(scores: ScoreTable, metric: str) -> None:
    """All cells of a method and a task are shares, or all are percent."""
    of = scores.rows[scores.rows["metric"] == metric]
    cells = of.groupby(["method", "task"], sort=False)["value"].agg(["min", "max"])
    percent, share = cells[cells["min"] > LEAST_PERCENT], cells[cells["max"] <= 1]
    if len(percent) and len(share):
        one, other = (part.reset_index().iloc[0] for part in (percent, share))
        said = [
            f"method {quoted(cell['method'])}, task {quoted(cell['task'])} has {cell['max']:.3g}"
            for cell in (one, other)
        ]
        raise BadInput(
            f"{scores.where}: {metric[:40]} in two units: {said[0]}, and {said[1]}; give shares or "
            "percent for all"
        )


def check_runs_differ(scores: ScoreTable, baseline: str) -> None:
    """Runs are not copies of each other: then every difference would seem certain.

    Raises:
        BadInput: the baseline and another method have the same scores in every run.
    """
    rows = scores.rows
    runs = rows["run"].nunique()
    if runs < 2:
        return
    values = rows.groupby(["method", "alpha", "task", "metric"], dropna=False)["value"].nunique()
    varies = (values > 1).groupby("method").any()
    still = [name for name in varies.index[~varies] if name != baseline]
    if still and not varies[baseline]:
        raise BadInput(
            f"{scores.where}: {quoted(baseline)} and {quoted(still[0])} have the same scores in "
            f"all {runs} runs, so nothing says what chance does; give runs that differ by their "
            "seeds or splits, or one run"
        )
