"""A table of scores, as a file or a DataFrame has it: read, and checked for what is missing.

Nothing is repaired. Every fault is a `BadInput` that names the line or the row, or the method, the
run and the task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ..datasets.column_roles import PANDAS_INDEX
from ..datasets.sheets import ROW_NAMES, Column, TextColumn, quoted
from ..datasets.table_files import open_sheet, stem
from ..errors import BadInput
from .directions import hint
from .fold_names import is_fold_column, varying_folds
from .methods import STL
from .spreadsheets import restore_texts

COLUMNS = ("method", "seed", "task", "value", "fold", "metric", "alpha", "dataset", "split")
"""The columns that are read. The first four are needed; "fold" may stand in for "seed"."""
NUMBERS = ("value", "alpha")
"""Columns of numbers. All others are texts: a task may be called 1."""
NAMELESS = re.compile(rf"{re.escape(ROW_NAMES)}|{PANDAS_INDEX[:-3]}\d+__|Unnamed: \d+")
"""What a column without a name is called by those who read and write tables."""
LEAST_COUNTED = 4  # rows; a task's whole scores may well follow each other in fewer
HALF_A_PAIR = re.compile("[\ud800-\udfff]")
"""What no file can hold as text."""
MOST_NAMED = 5  # runs or tasks at most that a message names


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores. Its index says where in the file each row begins."""

    rows: pd.DataFrame
    where: str
    unit: str
    folds: str = "fold"
    """What the table calls the column that is read as "fold"."""

    def refuse(self, row: int, fault: str) -> NoReturn:
        raise BadInput(f"{self.where}, {self.unit} {self.rows.index[row]}: {fault}")


def read_scores(table: pd.DataFrame | str | Path) -> ScoreTable:
    """The known columns of a table, as texts and numbers, all of them checked."""
    if isinstance(table, pd.DataFrame):
        called = _columns(list(table.columns), "table")
        rows = table[[*called.values()]].set_axis([*called], axis=1).reset_index(drop=True)
        where, unit, name = "table", "row", "scores"
    else:
        sheet = open_sheet(table)
        called = _columns(sheet.names, sheet.where)
        labels = [column for column in called if column in COLUMNS or is_fold_column(column)]
        texts = [called[column] for column in labels]
        texts = [there for there in texts if there not in (called.get(n) for n in NUMBERS)]
        chunks = [
            pd.DataFrame(
                {column: _cells(chunk.columns[there]) for column, there in called.items()},
                index=chunk.positions,
            )
            for chunk in sheet.chunks([*called.values()], texts)
        ]
        sheet.digest()  # which also says whether the file has changed meanwhile
        rows = restore_texts(pd.concat(chunks) if chunks else pd.DataFrame(columns=[*called]))
        where, unit = sheet.where, sheet.unit
        name = stem(Path(table)).encode("utf-8", "backslashreplace").decode()
    known = [column for column in COLUMNS if column in called]
    others = [c for c in called if c not in COLUMNS and is_fold_column(c, rows[c])]
    if "value" not in called:  # a column for each task, or for each metric
        keys, each = [*known, *others], "metric" if "task" in called else "task"
        rows = rows.drop(columns=_row_names(rows.drop(columns=keys), where))
        rows = rows.melt(keys, var_name=each, value_name="value", ignore_index=False)
        known = [column for column in COLUMNS if column in (*known, each, "value")]
    scores = ScoreTable(rows, where, unit)
    if not len(scores.rows):
        raise BadInput(f"{scores.where}: no scores; give a row for each method, seed and task")
    for column in known:
        parse = _numbers if column in NUMBERS else _names
        scores.rows[column] = parse(scores, column)
    if "alpha" not in known:
        scores.rows["alpha"] = math.nan
    if "dataset" not in known:
        scores.rows["dataset"] = name
    folds = varying_folds(scores.rows, others)
    if folds is not None:
        scores = replace(scores, folds=folds)
        scores.rows["fold"] = _names(scores, folds)
    spare = {*others, *(["split"] if folds == "split" else [])}
    return replace(scores, rows=scores.rows.drop(columns=[*spare]))


def _row_names(tasks: pd.DataFrame, where: str) -> list[str]:
    """The columns that are no tasks, but name or number the rows.

    Args:
        tasks: the columns that would each be a task.

    Raises:
        BadInput: a column of which nobody can say whether it is a task.

    >>> saved = pd.DataFrame({"Unnamed: 0": [0, 1, 2, 3], "profit": [7, 9, 7, 8]})
    >>> _row_names(saved, "table")
    ['Unnamed: 0']
    >>> _row_names(saved.rename(columns={"Unnamed: 0": "index"}), "table")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: table: the column 'index' counts the rows; drop it, ...
    """
    found = []
    for name, cells in tasks.items():
        numbers = _parsed(cells)
        if NAMELESS.fullmatch(str(name)):
            if not _counts_rows(numbers[np.isfinite(numbers)]):  # a text is a name
                raise BadInput(
                    f"{where}: the column {quoted(name, 20)} has scores, and no name; name its "
                    "task, or drop it"
                )
            found.append(str(name))
        elif len(numbers) and np.isnan(numbers).all():
            raise BadInput(f"{where}: the column {quoted(name, 20)} has no numbers; drop it")
        elif len(numbers) >= LEAST_COUNTED and _counts_rows(numbers):
            raise BadInput(
                f"{where}: the column {quoted(name, 20)} counts the rows; drop it, or, if it is a "
                "task, give a row for each method, seed and task"
            )
    return found


def _counts_rows(numbers: Float[np.ndarray, " rows"]) -> bool:
    """Whether numbers count rows: of the whole table in some order, of parts, or of some rows.

    >>> [_counts_rows(np.array(n)) for n in ([2.0, 0, 1], [0.0, 1, 2, 0, 1, 2], [4.0, 7, 9, 12])]
    [True, True, True]
    >>> [_counts_rows(np.array(n)) for n in ([7.0, 9, 7, 8], [0.0, 1, 0, 1], [0.5, 1.5, 2.5])]
    [False, False, False]
    """
    if not (numbers == numbers.round()).all():
        return False
    step = np.diff(numbers)
    again = (step == 1) | (numbers[1:] == numbers[:1])  # the parts of a table one below the other
    parts = bool(again.all() and ((step[1:] == 1) & (step[:-1] == 1)).any())
    return parts or bool((step > 0).all()) or bool((np.diff(np.sort(numbers)) == 1).all())


def _cells(column: Column) -> np.ndarray:
    """The cells of a column as they are written; None where a cell is empty."""
    if isinstance(column, TextColumn):
        return np.array([*column.values, None], dtype=object)[column.codes]
    return column


def _columns(names: Sequence[Any], where: str) -> dict[str, Any]:
    """Which columns are read, and what each is called in the table; case does not matter.

    Where a table has neither a task nor a value, every other column is a task, and holds its
    scores. Where it has tasks and no value, every other column is a metric. Columns of folds under
    another name are read as well (see `fold_names`).
    """
    found = {
        column: [n for n in names if str(n).strip().casefold() == column] for column in COLUMNS
    }
    for column, there in found.items():
        if len(there) > 1:
            raise BadInput(f"{where}: two columns are named {column!r}; rename or drop one")
    known = {column: there[0] for column, there in found.items() if there}
    missing = [name for name in COLUMNS[:4] if name not in known]
    missing = [name for name in missing if name != "seed" or "fold" not in known]
    tasks = [n for n in names if n not in known.values() and str(n) != "" and n == n]
    if (missing == ["task", "value"] or (missing == ["value"] and "metric" not in known)) and tasks:
        for task in tasks:
            if names.count(task) > 1:
                raise BadInput(f"{where}: two columns are named {str(task)!r}; rename or drop one")
        return known | {str(task): task for task in tasks}
    if missing:
        listing = ", ".join(quoted(name, 20) for name in names[:8])
        raise BadInput(
            f"{where}: no column {missing[0]!r}; give {', '.join(COLUMNS[:4])}, or method, seed "
            "and a column of scores for each task, or method, seed, task and one for each metric "
            f"(there: {listing or 'none'}{', ...' if len(names) > 8 else ''})"
        )
    return known | {str(name): name for name in tasks if is_fold_column(name)}


def _names(scores: ScoreTable, column: str) -> np.ndarray:
    """A column of texts, without the blanks around them."""
    cells = scores.rows[column]
    names = np.array([str(cell).strip() for cell in cells], dtype=object)
    missing = cells.isna().to_numpy() | (names == "")
    if missing.any():
        scores.refuse(int(missing.argmax()), f"no {column}; name it, or drop the row")
    for name in filter(HALF_A_PAIR.search, {*names}):
        row = int((names == name).argmax())
        scores.refuse(row, f"{column} {quoted(name)} is no UTF-8; give another name")
    return names


def _numbers(scores: ScoreTable, column: str) -> np.ndarray:
    """A column of finite numbers. An alpha may be missing, and is 0 or more."""
    cells = scores.rows[column]
    numbers = _parsed(cells)
    missing = cells.isna().to_numpy()
    wrong = ~np.isfinite(numbers)
    if column == "alpha":
        wrong = (wrong & ~missing) | (numbers < 0)
    if not wrong.any():
        return numbers
    row = int(wrong.argmax())
    if missing[row]:
        scores.refuse(row, f"no {column}; drop the task or the run, for every method")
    why = "is below 0" if numbers[row] < 0 else "is no number"
    why = "is not finite" if math.isinf(numbers[row]) else why
    scores.refuse(row, f"{column} {quoted(cells.iloc[row], 20)} {why}; mend it")


def _parsed(cells: pd.Series) -> Float[np.ndarray, " rows"]:
    """What cells say as numbers; NaN where they say none."""
    if cells.dtype.kind in "iuf":
        return cells.to_numpy(float)
    return np.array([_number(cell) for cell in cells], dtype=float)


def _number(cell: Any) -> float:
    """What a cell says as a number; NaN where it is none. A truth value is none."""
    try:
        return math.nan if isinstance(cell, (bool, np.bool_, complex)) else float(cell)
    except (TypeError, ValueError):
        return math.nan
    except OverflowError:
        return math.inf


def number_runs(scores: ScoreTable) -> tuple[Int[np.ndarray, " rows"], dict[int, str]]:
    """A number for every run, and what the table calls it. A seed that is a number stays so."""
    keys = [key for key in ("seed", "fold") if key in scores.rows]
    runs = scores.rows[keys].drop_duplicates()
    numbers = np.arange(len(runs))
    if len(keys) == 1:
        said = np.array([_number(name) for name in runs[keys[0]]])
        whole = (said == said.round()) & (np.abs(said) < 2**53)
        if whole.all() and len(np.unique(said)) == len(said):
            numbers = said.astype(np.int64)
    names = [
        ", ".join(f"{k} {v[:20]}" for k, v in zip(keys, r, strict=True)) for r in runs.to_numpy()
    ]
    codes = scores.rows[keys].merge(runs.assign(run=numbers), "left", keys)["run"]
    return codes.to_numpy(np.int64), dict(zip(numbers.tolist(), names, strict=True))


def check_methods(scores: ScoreTable, baseline: str) -> None:
    """The baseline is there and has no alpha; another method is there; alphas are whole."""
    alphas = scores.rows.groupby("method", sort=False)["alpha"].agg(["count", "size"])
    known = [*alphas.index]
    if baseline not in known:
        which = f"say which method it is: --baseline NAME, of {listed([*map(quoted, known)])}"
        if baseline != STL.name:  # a slip of whoever named it
            which = hint(baseline, known)
        raise BadInput(f"{scores.where}: no scores of the baseline {quoted(baseline)}; {which}")
    if len(known) == 1:
        raise BadInput(
            f"{scores.where}: {quoted(baseline)} is the only method; give another as well"
        )
    for name, (some, every) in alphas.iterrows():
        if 0 < some < every:
            raise BadInput(
                f"{scores.where}: method {quoted(name)} has rows without alpha; give all one"
            )
        if some and name == baseline:
            raise BadInput(
                f"{scores.where}: baseline {quoted(name)} has an alpha; give one without"
            )


def check_once(scores: ScoreTable, labels: Mapping[int, str]) -> None:
    """No score is given twice; nothing is averaged."""
    rows, keys = scores.rows, ["method", "alpha", "run", "task", "metric"]
    again = rows.duplicated(keys).to_numpy()
    if again.any():
        row = int(again.argmax())
        one = rows.iloc[row]
        first = int((rows[keys].eq(one[keys]) | rows[keys].isna()).all(axis=1).to_numpy().argmax())
        scores.refuse(
            row,
            f"a second score of {_arm(one)}, {labels[one['run']]}, task {quoted(one['task'])} (the "
            f"first: {scores.unit} {rows.index[first]}); drop one",
        )


def check_complete(scores: ScoreTable, labels: Mapping[int, str]) -> None:
    """Every method has every task in every run; nothing is left out."""
    rows = scores.rows
    arm = rows.groupby(["method", "alpha"], sort=False, dropna=False).ngroup()
    task = rows.groupby(["task", "metric"], sort=False).ngroup()
    parts = pd.DataFrame({"arm": arm, "task": task, "run": rows["run"]})
    if len(parts) == math.prod(parts[name].nunique() for name in parts):
        return
    several = bool(rows.groupby("task")["metric"].nunique().max() > 1)

    def named(what: str, codes: Int[np.ndarray, " lost"]) -> str:
        if what == "run":
            return listed([labels[code] for code in codes])
        of = [rows.iloc[int((task == code).to_numpy().argmax())] for code in codes[:MOST_NAMED]]
        names = [quoted(r["task"]) + f" by {r['metric'][:20]}" * several for r in of]
        return f"task {listed(names, len(codes))}"

    for what in ("task", "run"):
        there = parts[["arm", what]].drop_duplicates()
        whole = there[what].unique()
        for code, mine in there.groupby("arm"):
            lost = np.setdiff1d(whole, mine[what])
            if len(lost):
                other = int((there["arm"][there[what] == lost[0]]).iloc[0])
                names = [
                    _arm(rows.iloc[int((arm == a).to_numpy().argmax())]) for a in (code, other)
                ]
                raise BadInput(
                    f"{scores.where}: {names[0]} has no score of {named(what, lost)}, which "
                    f"{names[1]} has; add it, or leave it out for every method"
                )
    size = parts.groupby(["arm", "run"]).size()
    code, run = size.index[int((size < task.nunique()).to_numpy().argmax())]
    here = (parts["arm"] == code) & (parts["run"] == run)
    lost = np.setdiff1d(parts["task"], parts["task"][here])
    raise BadInput(
        f"{scores.where}: {_arm(rows[here].iloc[0])} has no score of {named('task', lost)} with "
        f"{labels[run]}; add it, or leave it out for every method"
    )


def _arm(row: pd.Series) -> str:
    """The method of a row, with its alpha if it has one."""
    alpha = "" if math.isnan(row["alpha"]) else f" (alpha {row['alpha']:g})"
    return f"method {quoted(row['method'])}{alpha}"


def listed(names: Sequence[str], many: int | None = None) -> str:
    """The first names, and how many more there are of `many`."""
    more = (many or len(names)) - MOST_NAMED
    shown = [name[:40] for name in names[:MOST_NAMED]]
    return ", ".join([*shown, *([f"{more} more"] if more > 0 else [])])
