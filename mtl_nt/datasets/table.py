"""A user's table: one file with features, targets of any kind, and labels missing anywhere.

`read_table` turns the file into `TaskData`, and notes in sentences what it read by which rule,
dropped or imputed. Every fitted step learns from a run's training rows alone, again for every seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..bits import Bits
from ..errors import BadInput, is_whole_number
from ..tasks import Note, Split, TaskData
from .cells import Cells, read_cells
from .chemistry import EPOCHS, PRESETS
from .column_roles import ColumnNames, Roles, assign_roles
from .column_suspicions import check_far_values, check_molecules, find_row_numbers
from .features import TableFeatures, encode_features, encode_smiles
from .missing_values import MissingValues
from .molecule_groups import MoleculeGroups, parse_apart
from .new_rows import Reading
from .remarks import Remarks
from .row_splitter import RowSplitter
from .row_suspicions import check_copies
from .row_weights import row_weights, without_weightless
from .sheets import one_line, quoted
from .split_rule import parse_split
from .table_files import Sheet, is_table, open_sheet, stem
from .target_checks import check_scorable, check_training
from .target_suspicions import check_classes, check_giveaways, check_tails
from .target_values import (
    drop_rare_targets,
    drop_unused_classes,
    find_forms,
    find_kinds,
    note_class_weight,
    take_logarithms,
)

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
        notes: one `Note` on each thing that was read by a rule, left out, encoded or imputed. They
            are those of `data.notes`.
        sha256: the checksum of the file that was read.

    >>> [*Table.__dataclass_fields__]
    ['data', 'notes', 'sha256']
    """

    data: TaskData
    notes: tuple[Note, ...]
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
    log: ColumnNames = (),
    missing: str | Sequence[str | float] = (),
    keep: ColumnNames = (),
    decimal: str | None = None,
    min_positives: int | None = None,
    apart: str | Sequence[str] = (),
    yes: bool = False,
    seeds: Sequence[int] | None = None,
    classes: ColumnNames = (),
    weights: str | None = None,
    class_weight: str | None = None,
) -> Table:
    """Read a user's table, in which a row is an example and a column is a feature or a target.

    A list names columns one by one, or by patterns such as "y_*"; one text with commas does too.
    A label may be missing anywhere. A target of 0, 1, true and false is binary. A target of other
    numbers is a regression, trained on standardised labels. A target that is named under `classes`
    has a class in each cell, a text or a number.

    Where the reading would have to guess, it asks, in one line for each question: a few cells of a
    column of numbers are none; a far-off number such as -999 is repeated, or -1 stands beside 0 and
    1; a target has few whole numbers, as numbered classes and grades have; a feature gives a target
    away; many rows have the same features; a column has molecules. Options answer a question, and a
    message names them as the command line does: `--min-positives 10` is `min_positives=10` here.
    `yes` accepts all guesses.

    Row numbers and identifiers are left out, and so is a line that is no row: `sep=;`, or one that
    begins with #. Words such as "none", "ND" and "-" are empty in every column, be it of numbers,
    categories or classes; where other cells are signs such as "+", "-" is a sign, too. Semicolons,
    tabs and decimal commas are recognised. `data.notes` has a line on all of it.

    Missing numbers are imputed with the median. Numbers are standardised, except columns of 0 and 1
    alone. A column of text becomes one column for each of its categories, which is 0 throughout if
    no training row has the category. A column that does not vary on the training rows is 0.

    Args:
        path: a CSV or TSV in UTF-8, also as .gz, or a Parquet (extra `[parquet]`).
        targets: by default the columns named `y` or `y_*`, or else `target*`, `label*` or `task*`.
        features: by default all other columns.
        smiles: a column of SMILES, whose fingerprints (ECFP4, 1,024 bits; extra `[chem]`) are the
            features.
        group: a column whose equal values share a fold. Rows of one molecule always share one.
        split: a column that says train, validation (which may be absent) or test. The split is then
            the same for every seed. Or "random", the default, which also says that rows with equal
            features are examples of their own; "scaffold", which keeps molecules of one scaffold in
            one fold; "time:COLUMN" (numbers, or dates as ISO 8601 writes them), which tests on the
            last fifth; or "group:COLUMN".
        ignore: columns to leave out.
        regression: targets that are numbers although they have few values.
        folds: the number of folds of a repeated cross-validation. Seed s tests on fold s % folds,
            validates on half of the next fold and trains on the rest: 70, 10 and 20 % of the rows
            with 5 folds. So `folds` seeds in a row test every row once. Each seed // folds has
            folds of its own.
        seed: the run to begin with.
        log: targets to read as logarithms to the base 10, which suits heavy tails.
        missing: values that stand for a missing one, such as -999, "ND" or ">*". "age=9" is for
            column age alone, and the column may be a pattern, too.
        keep: columns that are right as they are: a row number that is a feature, a repeated far-off
            number, a feature that is known before the target.
        decimal: the decimal mark, "." or ","; by default what the first rows show.
        min_positives: leave out the targets of 0 and 1, or of classes, whose rarest class has fewer
            labels.
        apart: "salts", "stereo" or both, where salts or stereoisomers of one molecule may be in
            different folds.
        yes: whether all guesses are accepted. `notes` has them.
        seeds: the runs for which the labels of the training rows are checked; by default the first
            `folds`.
        classes: targets whose texts or numbers are classes, 2 to 30 each.
        weights: a column that says how much each row counts, in the losses and in the scores. It is
            then no feature. A row of weight 0 is left out.
        class_weight: "balanced" weighs the labels of rare classes more in the training losses (see
            `TaskData`).

    Raises:
        BadInput: a file, a column, a cell or an option with a fault, or a target with too few
            labels on the training rows of one of the first `folds` seeds. One line says where.

    >>> import tempfile
    >>> lines = ["age,y_one,y_two", *(f"{n * n % 41},{n % 2},{n / 4}" for n in range(40))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "my.csv"
    ...     _ = path.write_text("\\n".join(lines))
    ...     table = read_table(path)
    >>> table.data.tasks, table.data.kind
    (('y_one', 'y_two'), ('binary', 'regression'))
    >>> print(table.notes[0], table.notes[1])
    my.csv: 40 rows, 3 columns. Targets found by their names (y or y_*): 'y_one', 'y_two'.
    """
    _check_options(folds, seed, decimal, min_positives)
    if class_weight not in (None, "balanced"):
        raise BadInput(f"class_weight {quoted(class_weight)}: must be balanced, or left out")
    sheet = open_sheet(path)
    if decimal is not None:
        sheet.decimal = decimal
    rule = parse_split(sheet, split, group, smiles)
    remarks = Remarks(sheet.where, yes)
    by_column = rule.column if rule.kind == "column" else None
    by_time = rule.column if rule.kind == "time" else None
    try:
        roles = assign_roles(
            sheet,
            targets,
            features,
            smiles,
            rule.group,
            by_column,
            ignore,
            regression,
            log,
            keep,
            by_time,
            classes,
            weights,
        )
        no_value = MissingValues(sheet.where, missing, sheet.names)
        cells = read_cells(sheet, roles, no_value, remarks)
    except BadInput:
        sheet.digest()  # a file that changed while it was read is the fault to report
        raise
    sha256 = sheet.digest()
    _check_size(sheet, cells, folds)
    size, *layout = _first_notes(sheet, cells)
    remarks.notes[:0] = [size, *roles.notes, *layout]
    cells = without_weightless(sheet, roles, cells, remarks)
    if smiles is None:
        made = _columns_as_features(sheet, roles, cells, min_positives, remarks)
    else:
        made_apart = parse_apart(sheet.where, apart)
        made = _molecules_as_features(
            sheet, roles, cells, smiles, made_apart, min_positives, remarks
        )
    roles, cells, inputs, molecules, left_out = made
    _check_size(sheet, cells, folds)
    cells = drop_unused_classes(roles, cells)
    asked = check_far_values(cells, roles, left_out, remarks)
    kinds = find_kinds(sheet, roles, cells, remarks)
    numbers = np.zeros(0, np.int64) if isinstance(inputs, Bits) else inputs.varied
    check_classes(cells, roles, kinds, numbers, asked, remarks)
    check_tails(cells, roles, kinds, remarks)
    if rule.kind == "folds" and not rule.asked and rule.group is None and smiles is None:
        check_copies(sheet, cells, roles, numbers, remarks)
    splitter = RowSplitter(sheet, cells, folds, rule, molecules, kinds)
    remarks.note(splitter.note, "split")
    check_scorable(roles.targets, kinds, cells.y, folds, remarks)
    note_class_weight(roles, kinds, class_weight, remarks)
    first_train = splitter.split(seed)[0]
    check_giveaways(cells, roles, numbers, first_train, asked, remarks)
    remarks.check()
    forms = find_forms(roles, cells)
    emptied = tuple(rule for rule, *_ in no_value.rules)
    reading = Reading(inputs, cells.offsets, emptied, decimal, smiles)
    cells = take_logarithms(sheet, roles, kinds, cells, remarks) if roles.log else cells
    options: dict[str, Any] = {
        "name": stem(Path(path)),
        "y": torch.from_numpy(cells.y),
        "tasks": tuple(roles.targets),
        "kind": kinds if len({*kinds}) > 1 else kinds[0],
        "provenance": f"own file {sheet.where}: {len(cells.y):,} rows, SHA-256 {sha256[:12]}",
        "standardise": True,
        "recipe": _recipe(int(first_train.sum()), smiles is not None),
        "notes": tuple(remarks.notes),
        "forms": forms,
        "reading": reading,
        "classes": {name: cells.classes[name] for name in roles.targets if name in roles.classes},
        "class_weight": class_weight,
    }
    if (counts := row_weights(sheet, roles, cells)) is not None:
        options["weights"] = torch.from_numpy(counts)

    def draw(run_seed: int) -> TaskData:
        parts = splitter.split(run_seed)
        check_runs([run_seed])
        x = inputs if isinstance(inputs, Bits) else torch.from_numpy(inputs.matrix(parts[0]))
        train, validation, test = (torch.from_numpy(np.flatnonzero(part)) for part in parts)
        if splitter.fixed is not None:
            return TaskData(x=x, **options, split=Split(train, validation, test, "fixed"))
        rows = Split(train, validation, test, "free")
        return TaskData(x=x, **options, split=rows, redraw=draw, data_seed=run_seed)

    def check_runs(numbers: Sequence[int]) -> None:
        runs = [(splitter.run_name(s), splitter.split(s)[0]) for s in numbers]
        check_training(sheet, roles.targets, kinds, cells.y, runs, options["classes"])

    wanted = [*range(folds)] if seeds is None else [*seeds]
    check_runs([seed] if splitter.fixed is not None else wanted)  # not in the middle of a study
    return Table(draw(seed), tuple(remarks.notes), sha256)


class _Features(NamedTuple):
    """The features of a table, and the targets and rows that are left beside them."""

    roles: Roles
    cells: Cells
    inputs: TableFeatures | Bits
    molecules: MoleculeGroups | None
    left_out: set[str]  # columns that are row numbers


def _columns_as_features(
    sheet: Sheet, roles: Roles, cells: Cells, min_positives: int | None, remarks: Remarks
) -> _Features:
    """Numbers and categories as features, without those columns that only number the rows."""
    if min_positives is not None:
        roles, cells, _ = drop_rare_targets(roles, cells, min_positives, remarks)
    check_molecules(cells, roles, remarks)
    left_out = find_row_numbers(cells, roles, remarks)
    try:
        inputs = encode_features(sheet, roles, cells, left_out, remarks)
    except BadInput:
        remarks.check()  # molecules that nobody named are why there is no feature
        raise
    return _Features(roles, cells, inputs, None, left_out)


def _molecules_as_features(
    sheet: Sheet,
    roles: Roles,
    cells: Cells,
    smiles: str,
    apart: frozenset[str],
    min_positives: int | None,
    remarks: Remarks,
) -> _Features:
    """The fingerprints of a column of SMILES as features."""
    bits, cells, molecules = encode_smiles(sheet, cells, smiles, apart, remarks)
    remarks.check()
    if min_positives is not None:
        roles, cells, kept = drop_rare_targets(roles, cells, min_positives, remarks)
        bits, molecules = bits.take(torch.from_numpy(np.flatnonzero(kept))), molecules.take(kept)
    return _Features(roles, cells, bits, molecules, set())


def _check_options(folds: object, seed: object, decimal: object, min_positives: object) -> None:
    if not is_whole_number(folds, 3):
        raise BadInput(f"folds {folds!r}: must be a whole number, 3 or more")
    if not is_whole_number(seed, 0):
        raise BadInput(f"seed {seed!r}: must be a whole number, 0 or more")
    if decimal not in (None, ".", ","):
        raise BadInput(f"decimal {quoted(decimal)}: must be a point or a comma")
    if min_positives is not None and not is_whole_number(min_positives, 1):
        raise BadInput(f"min_positives {min_positives!r}: must be a whole number, 1 or more")


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


def _first_notes(sheet: Sheet, cells: Cells) -> list[Note]:
    """What the file looks like."""
    rows = len(cells.y) + cells.unlabelled
    left = f", {cells.unlabelled:,} rows left out that have no label" if cells.unlabelled else ""
    size = f"{one_line(sheet.where)}: {rows:,} rows, {len(sheet.names):,} columns{left}."
    notes = [Note(size, "info", "size"), *(Note(text, "info", "file") for text in sheet.notes)]
    if sheet.decimal == ",":
        notes.append(Note("Numbers have a decimal comma: 0,5 is a half.", "info", "file"))
    return notes


def _recipe(rows: int, molecules: bool) -> dict[str, Any]:
    if molecules:
        recipe = dict(PRESETS["small"])
        return {**recipe, "steps": EPOCHS["small"] * math.ceil(rows / recipe["batch_size"])}
    batch_size = next(size for most, size in BATCH_SIZES if rows <= most)
    fewest, most_steps = STEP_LIMITS
    steps = min(max(TRAINING_PASSES * math.ceil(rows / batch_size), fewest), most_steps)
    return {**RECIPE, "batch_size": batch_size, "steps": steps}
