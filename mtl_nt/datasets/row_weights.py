"""How much each row of a user's table counts, as one of its columns says."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from ..errors import BadInput
from ..tasks import LARGEST_WEIGHT
from .cell_numbers import parse_number
from .cells import Cells
from .column_roles import Roles
from .remarks import Remarks
from .sheets import quoted
from .table_files import Sheet


def without_weightless(sheet: Sheet, roles: Roles, cells: Cells, remarks: Remarks) -> Cells:
    """Check the weights of the rows, and leave out the rows of weight 0, as rows without labels.

    Raises:
        BadInput: a weight that is missing, no number, negative or too large, or all are 0.
    """
    if roles.weights is None:
        return cells
    weights = _parsed(sheet, cells, roles.weights)
    name, none = quoted(roles.weights), weights == 0
    if none.all():
        raise BadInput(f"{sheet.where}: column {name} gives every row the weight 0; mend it")
    there = weights[~none]
    said = f"from {there.min():g} to {there.max():g}, in the losses and in the scores"
    remarks.note(
        f"Rows count as column {name} says, {said}"
        + (f"; left out, with the weight 0: {int(none.sum()):,} rows" if none.any() else "")
        + ".",
        "weights",
        [roles.weights],
        matters=True,
    )
    return cells.take(~none) if none.any() else cells


def row_weights(sheet: Sheet, roles: Roles, cells: Cells) -> Float32[np.ndarray, " N"] | None:
    """The weight of every row; None where no column has them."""
    if roles.weights is None:
        return None
    return _parsed(sheet, cells, roles.weights).astype(np.float32)


def _parsed(sheet: Sheet, cells: Cells, name: str) -> Float64[np.ndarray, " N"]:
    column = cells.keys[name]
    numbers = [parse_number(text, sheet.decimal) for text in column.values]
    of_text = np.array([*(np.nan if n is None else n for n in numbers), np.nan], float)
    weights = of_text[column.codes]
    bad = ~((weights >= 0) & (weights <= LARGEST_WEIGHT))
    if bad.any():
        row = int(bad.argmax())
        code = column.codes[row]
        cell = "no weight" if code < 0 else f"{quoted(column.values[code])} is no weight"
        raise BadInput(
            f"{sheet.where}, {sheet.unit} {cells.positions[row]}, column {quoted(name)}: {cell}; "
            f"give every row a number from 0 to {LARGEST_WEIGHT:g}"
        )
    return weights
