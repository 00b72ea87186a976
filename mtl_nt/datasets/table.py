"""A user's table: one file with features, targets of any kind, and labels missing anywhere.

`read_table` turns the file into `TaskData`, and notes in sentences what it read by which rule,
dropped or imputed. Every fitted step learns from a run's training rows alone, again for every seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32

from ..bits import Bits
from ..tasks import BadInput, Split, TaskData, TaskKind, is_whole_number
from .cells import Cells, read_cells
from .chemistry import EPOCHS, PRESETS
from .column_roles import ColumnNames, Roles, assign_roles, shortlist
from .features import TableFeatures, encode_features, encode_smiles
from .row_splitter import RowSplitter
from .sheets import one_line, quoted
from .table_files import Sheet, is_table, open_sheet, stem

__all__ = ["Table", "is_table", "read_table"]

MIN_ROWS = 10  # with labels
RECIPE: dict[str, Any] = {
    "trunk": (64, 32),
    "activation": "relu",
    "dropout": 0.1,
    "learning_rate": 3e-3,
    "weight_decay": 1e-4,
}
# For tables that nobody has tuned for. The trunk is `Recipe`'s own, the rate that of `assays`, the
# decay that of `digits`. These two have no dropout and `tox21` has .25. A table gets a value in
# between, since it may have more columns than rows. A table of SMILES has the features of `tox21`
# and all of its settings.
TRAINING_PASSES = 40  # over the training rows
STEP_LIMITS = (300, 3000)  # the fewest and the most steps; the cosine schedule ends within them
BATCH_SIZES = ((2_000, 64), (8_000, 128), (math.inf, 256))  # most training rows, batch size


@dataclass(frozen=True, eq=False)
class Table:
    """A user's table as it was read.

    Args:
        data: the tasks, split for the given seed; `data.for_seed(seed)` has other splits.
        notes: one sentence on each thing that was read by a rule, dropped or imputed.
        sha256: the checksum of the file that was read.

    >>> [*Table.__dataclass_fields__]
    ['data', 'notes', 'sha256']
    """

    data: TaskData
    notes: tuple[str, ...]
    sha256: str


def read_table(
    path: str | Path,
    targets: ColumnNames | None = None,
    features: ColumnNames | None = None,
    smiles: str | None = None,
    group: str | None = None,
    split: str | None = None,
    ignore: ColumnNames = (),
    regression: ColumnNames = (),
    folds: int = 5,
    seed: int = 0,
) -> Table:
    """Read a user's table, in which a row is an example and a column is a feature or a target.

    A list names columns one by one, or by patterns such as "y_*"; one text with commas does too.
    A label may be missing anywhere. A target of 0, 1, true and false is binary. A target of other
    numbers is a regression, trained on standardised labels.

    Missing numbers are imputed with the median. Numbers are standardised, except columns of 0 and 1
    alone. A column of text becomes one column for each of its categories, which is 0 throughout if
    no training row has the category. A column that does not vary on the training rows is 0.

    Args:
        path: a CSV or TSV in UTF-8, also as .gz, or a Parquet (extra `[parquet]`).
        targets: by default the columns named `y` or `y_*`, or else `target*`, `label*` or `task*`.
        features: by default all other columns.
        smiles: a column of SMILES, whose fingerprints (ECFP4, 1,024 bits; extra `[chem]`) are the
            features.
        group: a column whose equal values share a fold. Rows of the same SMILES always share one.
        split: a column that says train, validation (which may be absent) or test. The split is then
            the same for every seed.
        ignore: columns to leave out.
        regression: targets that are numbers although they have only two values.
        folds: the number of folds. Seed s trains on all folds but two, beginning with fold s,
            validates on the next one and tests on the last one, modulo the number of folds. Each
            seed // folds has folds of its own.
        seed: the run to begin with.

    Raises:
        BadInput: a file, a column, a cell or an option with a fault, or a target with too few
            labels on the training rows of one of the first `folds` seeds. One line says where.

    >>> import tempfile
    >>> lines = ["age,y_one,y_two", *(f"{n},{n % 2},{n / 4}" for n in range(40))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "my.csv"
    ...     _ = path.write_text("\\n".join(lines))
    ...     table = read_table(path)
    >>> table.data.tasks, table.data.kind
    (('y_one', 'y_two'), ('binary', 'regression'))
    >>> print(table.notes[0], table.notes[1])
    my.csv: 40 rows, 3 columns. Targets found by their names (y or y_*): 'y_one', 'y_two'.
    """
    if not is_whole_number(folds, 3):
        raise BadInput(f"folds {folds!r}: must be a whole number, 3 or more")
    if not is_whole_number(seed, 0):
        raise BadInput(f"seed {seed!r}: must be a whole number, 0 or more")
    sheet = open_sheet(path)
    if group is not None and split is not None:
        raise BadInput(f"{sheet.where}: give group or split; a split column says all by itself")
    try:
        roles = assign_roles(sheet, targets, features, smiles, group, split, ignore, regression)
        cells = read_cells(sheet, roles)
    except BadInput as error:
        sheet.digest()  # a file that changed while it was read is the fault to report
        raise BadInput(f"{error}{sheet.hint()}") from None
    sha256 = sheet.digest()
    _check_size(sheet, cells, folds)
    notes = [_size_note(sheet, cells), *roles.notes]
    if smiles is None:
        inputs: TableFeatures | Bits = encode_features(sheet, roles, cells, notes)
        molecule = None
    else:
        inputs, cells, molecule = encode_smiles(sheet, cells, smiles, notes)
        _check_size(sheet, cells, folds)
    kinds = _kinds(sheet, roles, cells, notes)
    splitter = RowSplitter(sheet, cells, folds, group, split, molecule)
    notes.append(splitter.note)
    train_count = int(splitter.split(seed)[0].sum())
    options: dict[str, Any] = {
        "name": stem(Path(path)),
        "y": torch.from_numpy(cells.y),
        "tasks": tuple(roles.targets),
        "kind": kinds if len({*kinds}) > 1 else kinds[0],
        "provenance": f"own file {sheet.where}: {len(cells.y):,} rows, SHA-256 {sha256[:12]}",
        "standardise": True,
        "recipe": _recipe(train_count, smiles is not None),
    }

    def draw(run_seed: int) -> TaskData:
        parts = splitter.split(run_seed)
        _check_training(sheet, roles.targets, kinds, cells.y, parts[0], splitter.run_name(run_seed))
        x = inputs if isinstance(inputs, Bits) else torch.from_numpy(inputs.matrix(parts[0]))
        train, validation, test = (torch.from_numpy(np.flatnonzero(part)) for part in parts)
        if split is not None:
            return TaskData(x=x, **options, split=Split(train, validation, test, "fixed"))
        rows = Split(train, validation, test, "free")
        return TaskData(x=x, **options, split=rows, redraw=draw, data_seed=run_seed)

    seeds = [seed] if split is not None else [*range(folds)]
    for s in seeds:  # now rather than in the middle of a study
        train_rows = splitter.split(s)[0]
        _check_training(sheet, roles.targets, kinds, cells.y, train_rows, splitter.run_name(s))
    return Table(draw(seed), tuple(notes), sha256)


# -------------------------------------------------------------------------------------- labels


def _kinds(sheet: Sheet, roles: Roles, cells: Cells, notes: list[str]) -> tuple[TaskKind, ...]:
    """Find out whether each target is binary or a regression, and note it."""
    kinds: list[TaskKind] = []
    for name, labels in zip(roles.targets, cells.y.T, strict=True):
        known = labels[~np.isnan(labels)]
        here = f"{sheet.where}: target {quoted(name)}"
        if not len(known):
            raise BadInput(f"{here} has no labels; leave it out (name it under ignore)")
        low, high = known.min(), known.max()
        if low == high:
            raise BadInput(f"{here} is {low:g} in every row; leave it out (name it under ignore)")
        two_values = ((known == low) | (known == high)).all()
        if name in roles.regression or not two_values:
            kinds.append("regression")
        elif (low, high) == (0, 1):
            kinds.append("binary")
        else:
            raise BadInput(
                f"{here} has two values, {low:g} and {high:g}; write 0 and 1, or name it under "
                "regression"
            )
    for kind, words in (("binary", "0 and 1 alone"), ("regression", "other numbers")):
        if names := [t for t, k in zip(roles.targets, kinds, strict=True) if k == kind]:
            asked = [name for name in names if name in roles.regression]
            if asked:
                words += f"; as asked: {shortlist(asked)}"
            notes.append(f"Targets that are {kind} ({words}): {len(names):,}.")
    return tuple(kinds)


def _check_training(
    sheet: Sheet,
    tasks: Sequence[str],
    kinds: Sequence[TaskKind],
    y: Float32[np.ndarray, "N T"],
    train: Bool[np.ndarray, " N"],
    run: str,
) -> None:
    """Raise `BadInput` where a target has fewer than two different labels to learn from."""
    labels = y[train]
    low = np.where(np.isnan(labels), np.inf, labels).min(0)
    high = np.where(np.isnan(labels), -np.inf, labels).max(0)
    for t in np.flatnonzero(~(low < high)).tolist():
        known = int((~np.isnan(y[:, t])).sum())
        if kinds[t] == "regression":
            words = f"{known:,} labels, of which fewer than two values are"
        elif low[t] == 1:
            words = f"{int((y[:, t] == 0).sum()):,} negatives, of which none is"
        elif high[t] == 0:
            words = f"{int((y[:, t] == 1).sum()):,} positives, of which none is"
        else:
            words = f"{known:,} labels, of which none is"
        raise BadInput(
            f"{sheet.where}: target {quoted(tasks[t])} has {words} among the training rows{run}; "
            "leave it out (name it under ignore) or give more labels"
        )


def _check_size(sheet: Sheet, cells: Cells, folds: int) -> None:
    rows, tasks = cells.y.shape
    if rows < (needed := max(MIN_ROWS, 2 * folds)):
        raise BadInput(
            f"{sheet.where}: {rows} rows with labels; {folds} folds need {needed} or more"
        )
    if tasks > rows:
        raise BadInput(
            f"{sheet.where}: {tasks} targets for {rows} rows with labels; give every example a "
            "row and every target a column, or name fewer targets"
        )


# ------------------------------------------------------------------------------ note and recipe


def _size_note(sheet: Sheet, cells: Cells) -> str:
    rows = len(cells.y) + cells.unlabelled
    left = f", {cells.unlabelled:,} rows left out that have no label" if cells.unlabelled else ""
    return f"{one_line(sheet.where)}: {rows:,} rows, {len(sheet.names):,} columns{left}."


def _recipe(rows: int, molecules: bool) -> dict[str, Any]:
    if molecules:
        recipe = dict(PRESETS["small"])
        return {**recipe, "steps": EPOCHS["small"] * math.ceil(rows / recipe["batch_size"])}
    batch_size = next(size for most, size in BATCH_SIZES if rows <= most)
    fewest, most_steps = STEP_LIMITS
    steps = min(max(TRAINING_PASSES * math.ceil(rows / batch_size), fewest), most_steps)
    return {**RECIPE, "batch_size": batch_size, "steps": steps}
