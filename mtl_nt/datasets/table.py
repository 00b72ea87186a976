"""A table of one's own: one file with features, targets of any kind, and labels missing anywhere.

What is read by which rule, dropped or imputed is said in sentences; every fitted step is learned on
a run's training rows alone, anew for every seed.
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
from ..tasks import BadInput, Kind, Split, TaskData, is_whole
from .cells import Cells, gathered
from .chemistry import EPOCHS, PRESETS
from .columns import Names, Roles, assigned, few
from .division import Division
from .inputs import Inputs, encoded, fingerprinted
from .opening import Sheet, is_table, opened, stem
from .sheets import plain, shown

__all__ = ["Table", "is_table", "read_table"]

LEAST = 10  # rows with labels
RECIPE: dict[str, Any] = {
    "trunk": (64, 32),
    "activation": "relu",
    "dropout": 0.1,
    "learning_rate": 3e-3,
    "weight_decay": 1e-4,
}
# For tables that nobody has tuned for. The trunk is `Recipe`'s own, the rate that of `assays`, the
# decay that of `digits`. Dropout is between these two's none and the .25 of `tox21`, since a table
# may have more columns than rows. For SMILES all is as for `tox21`, whose features are the same.
PASSES, STEPS = 40, (300, 3000)  # of the training rows; the cosine schedule ends within them
BATCHES = ((2_000, 64), (8_000, 128), (math.inf, 256))  # training rows up to which, rows a step


@dataclass(frozen=True, eq=False)
class Table:
    """A user's table as it was read.

    Args:
        data: as the run with the seed that was asked for has them; `data.run(seed)` has others.
        notes: what was read, by which rule, what was dropped or imputed: a sentence each.
        sha256: of the file that was read.
    """

    data: TaskData
    notes: tuple[str, ...]
    sha256: str


def read_table(
    path: str | Path,
    targets: Names | None = None,
    features: Names | None = None,
    smiles: str | None = None,
    group: str | None = None,
    split: str | None = None,
    ignore: Names = (),
    regression: Names = (),
    folds: int = 5,
    seed: int = 0,
) -> Table:
    """Read one's own table: a row an example, a column a feature or a target, labels where known.

    Columns are named one by one, or by a pattern such as "y_*", in a list or separated by commas.
    A target of 0, 1, true and false is binary, one of other numbers regression, trained on
    standardised labels. Missing numbers are imputed with the median, numbers standardised (except
    columns of 0 and 1 alone), and text becomes one column a category; a category that no training
    row has is 0 throughout. A column that does not vary on the training rows is 0.

    Args:
        path: a CSV or TSV in UTF-8, also as .gz, or a Parquet (extra `[parquet]`).
        targets: by default the columns named `y` or `y_*`, or else `target*`, `label*` or `task*`.
        features: by default all other columns.
        smiles: a column of SMILES, whose fingerprints (ECFP4, 1,024 bits; extra `[chem]`) are the
            features.
        group: a column; rows that share its value share a fold. Rows of the same SMILES do anyway.
        split: a column with train, validation (or none of it) and test: the same for every seed.
        ignore: columns to leave out.
        regression: targets that are numbers although they have only two values.
        folds: seed s trains on all folds but two, from fold s on, validates on the next and tests
            on the last, modulo the folds; seed s // folds is another division into folds.
        seed: the run to begin with.

    Raises:
        BadInput: a file, a column, a cell or an option with a fault, or a target with too few
            labels on the training rows of one of the first `folds` seeds. One line says where.
    """
    if not is_whole(folds, 3):
        raise BadInput(f"folds {folds!r}: must be a whole number, 3 or more")
    if not is_whole(seed, 0):
        raise BadInput(f"seed {seed!r}: must be a whole number, 0 or more")
    sheet = opened(path)
    if group is not None and split is not None:
        raise BadInput(f"{sheet.where}: give group or split; a split column says all by itself")
    try:
        roles = assigned(sheet, targets, features, smiles, group, split, ignore, regression)
        cells = gathered(sheet, roles)
    except BadInput as error:
        sheet.digest()  # a fault of half a file is none
        raise BadInput(f"{error}{sheet.hint()}") from None
    sha256 = sheet.digest()
    _check_size(sheet, cells, folds)
    notes = [_size(sheet, cells), *roles.notes]
    if smiles is None:
        inputs: Inputs | Bits = encoded(sheet, roles, cells, notes)
        same = None
    else:
        inputs, cells, same = fingerprinted(sheet, cells, smiles, notes)
        _check_size(sheet, cells, folds)
    kinds = _kinds(sheet, roles, cells, notes)
    division = Division(sheet, cells, folds, group, split, same)
    notes.append(division.note)
    train = division.parts(seed)[0]
    several = len({*kinds}) > 1
    options: dict[str, Any] = {
        "name": stem(Path(path)),
        "y": torch.from_numpy(cells.y),
        "tasks": tuple(roles.targets),
        "kind": kinds if several else kinds[0],
        "provenance": f"own file {sheet.where}: {len(cells.y):,} rows, SHA-256 {sha256[:12]}",
        "standardise": True,
        "recipe": _recipe(int(train.sum()), smiles is not None),
    }

    def draw(run_seed: int) -> TaskData:
        parts = division.parts(run_seed)
        _check_training(sheet, roles.targets, kinds, cells.y, parts[0], division.run(run_seed))
        x = inputs if isinstance(inputs, Bits) else torch.from_numpy(inputs.scaled(parts[0]))
        learn, validation, test = (torch.from_numpy(np.flatnonzero(part)) for part in parts)
        if split is not None:
            whole = Split(learn, validation, test, "fixed")
            return TaskData(x=x, **options, split=whole)
        whole = Split(learn, validation, test, "free")
        return TaskData(x=x, **options, split=whole, redraw=draw, data_seed=run_seed)

    seeds = [seed] if split is not None else [*range(folds)]
    for s in seeds:  # now rather than in the middle of a study
        learn = division.parts(s)[0]
        _check_training(sheet, roles.targets, kinds, cells.y, learn, division.run(s))
    return Table(draw(seed), tuple(notes), sha256)


# -------------------------------------------------------------------------------------- labels


def _kinds(sheet: Sheet, roles: Roles, cells: Cells, notes: list[str]) -> tuple[Kind, ...]:
    kinds: list[Kind] = []
    for name, labels in zip(roles.targets, cells.y.T, strict=True):
        known = labels[~np.isnan(labels)]
        here = f"{sheet.where}: target {shown(name)}"
        if not len(known):
            raise BadInput(f"{here} has no labels; leave it out (name it under ignore)")
        low, high = known.min(), known.max()
        if low == high:
            raise BadInput(f"{here} is {low:g} in every row; leave it out (name it under ignore)")
        two = ((known == low) | (known == high)).all()
        if name in roles.regression or not two:
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
            asking = f"; as asked: {few(asked)}" if asked else ""
            notes.append(f"Targets that are {kind} ({words}{asking}): {len(names):,}.")
    return tuple(kinds)


def _check_training(
    sheet: Sheet,
    tasks: Sequence[str],
    kinds: Sequence[Kind],
    y: Float32[np.ndarray, "N T"],
    train: Bool[np.ndarray, " N"],
    run: str,
) -> None:
    learned = y[train]
    low = np.where(np.isnan(learned), np.inf, learned).min(0)
    high = np.where(np.isnan(learned), -np.inf, learned).max(0)
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
            f"{sheet.where}: target {shown(tasks[t])} has {words} among the training rows{run}; "
            "leave it out (name it under ignore) or give more labels"
        )


def _check_size(sheet: Sheet, cells: Cells, folds: int) -> None:
    rows, tasks = cells.y.shape
    if rows < (least := max(LEAST, 2 * folds)):
        raise BadInput(
            f"{sheet.where}: {rows} rows with labels; {folds} folds need {least} or more"
        )
    if tasks > rows:
        raise BadInput(
            f"{sheet.where}: {tasks} targets for {rows} rows with labels; give every example a "
            "row and every target a column, or name fewer targets"
        )


# --------------------------------------------------------------------------------------- words


def _size(sheet: Sheet, cells: Cells) -> str:
    rows = len(cells.y) + cells.unlabelled
    left = f", {cells.unlabelled:,} rows left out that have no label" if cells.unlabelled else ""
    return f"{plain(sheet.where)}: {rows:,} rows, {len(sheet.names):,} columns{left}."


def _recipe(rows: int, molecules: bool) -> dict[str, Any]:
    if molecules:
        recipe = dict(PRESETS["small"])
        return {**recipe, "steps": EPOCHS["small"] * math.ceil(rows / recipe["batch_size"])}
    batch = next(size for most, size in BATCHES if rows <= most)
    steps = min(max(PASSES * math.ceil(rows / batch), STEPS[0]), STEPS[1])
    return {**RECIPE, "batch_size": batch, "steps": steps}
