"""Folds of a cross-validation and splits of the same rows, by what a table of scores calls them.

Their scores are not independent, and nothing but a name says so. A column "fold" is one case.
Others are columns "cv fold", "held_out_fold" or "foldno", a column "split" that holds 0, 1, 2, and
seeds named "fold0". A column counts only where its values tell runs apart. Then somebody is asked,
and may answer that it is about something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from .schema import SPLITS

BESIDE = "ids?|idx|index|ix|i|n|nos?|nr|num|number|name|label|seed|iter|iteration|run|rep"
"""What may be joined to a word about folds, as in "foldno"."""
ABOUT_FOLDS = re.compile(
    r"(?:[a-z]*(?<!scaf)(?<!mani)(?<!un)(?:folds?|splits?)|cv|partitions?|resampl[a-z]*|bootstraps?"
    rf"|holdout|heldout)(?:{BESIDE})?|loo(?:cv)?"
)
"""Words of which one is in the name of every column of folds or splits."""
MEASURED = {
    *("size", "sizes", "change", "changes", "rows", "length", "ratio", "fraction", "share"),
    *("time", "times", "date", "duration", "hours", "minutes", "seconds", "sec", "secs", "ms"),
    *("loss", "score", "scores", "error", "mean", "std"),
}
"""Words beside them that speak of something else: a "fold_size", or a "split time"."""
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
"""What a column "split" says of the rows that were scored, and not of the run."""
IN_A_SEED = re.compile(
    r"(?<!scaf)(?<!mani)fold"
    r"|(?<![a-z])(?:cv|splits?|partition|resampl\w*|boot(?:strap)?|outer|loo|(?:hold|held)[\W_]*out"
    r"|f(?=[\W_]*\d))(?![a-z])"
    r"|(?<![\d./])\d{1,3} ?(?:/|of) ?\d{1,3}(?![\d./])"
)
"""What the name of a run has that is a fold or a split: "cv1", "holdout 2", "s0_f1" or "1/5"."""
OF_THE_SEED = re.compile(r"(?<![a-z])(?:seed|s|rep|repeat|repetition|run|round)[\W_]*\d+")
"""The part of a run's name that tells repetitions apart, and not folds."""


def is_fold_column(name: object, cells: Iterable[Any] = ()) -> bool:
    """Whether a column has folds or splits, by its name, and holds no numbers with a fraction.

    >>> [is_fold_column(n) for n in ("cv fold", "splitId", "held_out_fold", "CVSplit", "foldno")]
    [True, True, True, True, True]
    >>> [is_fold_column(n) for n in ("fold_size", "fold change", "scaffold")]
    [False, False, False]
    >>> is_fold_column("CV", [0.93, 0.91])  # a task
    False
    """
    text = re.sub(r"([a-z])([A-Z])", r"\1 \2", str(name)).casefold()
    words = re.findall("[a-z]+", re.sub(r"(hold|held)[\W_]*(out)", r"\1\2", text))
    if MEASURED & {*words} or not any(map(ABOUT_FOLDS.fullmatch, words)):
        return False
    return not any(_has_fraction(cell) for cell in cells)


def _has_fraction(cell: Any) -> bool:
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return math.isfinite(number) and number != round(number)


def varying_folds(rows: pd.DataFrame, others: Sequence[str]) -> str | None:
    """The column whose values tell the runs of one method, task and metric apart; None if none does
    or if there is a column "fold".

    Args:
        rows: scores, with the columns of `score_table`.
        others: further columns that may hold folds (see `is_fold_column`).

    >>> rows = pd.DataFrame({"method": ["STL", "STL"], "task": "a", "split": [0, 1], "cv": "yes"})
    >>> varying_folds(rows, ["cv"]), varying_folds(rows.assign(split=["train", "test"]), [])
    ('split', None)
    """
    if "fold" in rows:
        return None
    cell = [key for key in ("dataset", "method", "alpha", "task", "metric") if key in rows]
    for name in [*others, *(["split"] if "split" in rows else [])]:
        said = {str(label).strip().casefold() for label in rows[name].dropna()}
        if said <= {*PARTS, *SPLITS}:
            continue
        if rows.groupby(cell, dropna=False)[name].nunique().max() > 1:
            return name
    return None


def names_folds(seeds: Iterable[str]) -> bool:
    """Whether the names of runs say that they are different folds or splits.

    >>> names_folds(["fold0", "fold1"]), names_folds(["rep1-cv1", "rep1-cv2"])
    (True, True)
    >>> names_folds(["split0-seed1", "split0-seed2"]), names_folds(["7", "8"])
    (False, False)
    """
    names = {str(seed).casefold() for seed in seeds}
    about = {OF_THE_SEED.sub("", name) for name in names if IN_A_SEED.search(name)}
    return len(about) > 1
