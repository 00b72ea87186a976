"""What a predictor gives for a run: tried for its shape, its kind, its units, and its manners.

A predictor is a function of a run that predicts without a network (see `Method`). It may give its
table with the rows and columns in another order, if it says so by their names. It must leave the
run as it is, since all methods share it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..bits import Bits
from ..errors import BadInput
from ..networks import RESEED_OFFSET
from ..tasks import TaskData
from .identity import in_package
from .method import Method, takes_seed

ROUNDING = 1e-3  # by which probabilities may miss a sum of 1


def predictions(method: Method, run: TaskData, seed: int) -> Float[Tensor, "N O"]:
    """What a method's predictor gives for a run, as `training.scores` takes it.

    A table with names, such as a DataFrame, is read by its names. Its columns may be named as the
    tasks are (`run.output_names`, where there are tasks of classes), in any order. Its index may
    have the numbers of the test rows (`run.split.test`), in any order, or their places 0, 1, ... in
    it, as a plain index has. Columns may have their places, too.

    Args:
        run: the data of the run.
        seed: the run's seed, for a predictor that has a parameter of this name.

    Raises:
        BadInput: the predictor gives no numbers, another shape than [test rows, tasks] (where there
            are tasks of classes, [test rows, outputs]), names that are neither tasks nor test rows,
            a number that is not finite, or probabilities that are none; it does not say its units;
            or it writes into the run. The run is then as the predictor left it.

    Predictions in the target's own units become what networks give:

    >>> from mtl_nt import load
    >>> data = load("dial")
    >>> truth = Method("Truth", predictor=lambda run: run.y[run.split.test].numpy(), units="own")
    >>> bool(torch.allclose(predictions(truth, data, 0), data.targets[data.split.test].double()))
    True
    """
    assert method.predictor is not None
    where = f"method {method.name!r}, run {seed}"
    check_units(method, [run])
    chance = (
        {"seed": seed + RESEED_OFFSET * method.reseeded} if takes_seed(method.predictor) else {}
    )
    # Views through NumPy share a tensor's memory and not its version, so the bytes are compared.
    # Reading 100,000 x 2,000 numbers twice takes 0.3 s; a copy for the predictor takes longer, and
    # as much memory again.
    watched = not in_package(method.predictor)
    before = _checksums(run) if watched else {}
    given = method.predictor(run, **chance)
    found = _numbers(given)
    if watched and (changed := [n for n, value in _checksums(run).items() if value != before[n]]):
        raise BadInput(
            f"{where}: its predictor writes into run.{changed[0]}, which all methods share; let it "
            f"work on a copy, such as run.{changed[0]}.clone(), and load the data anew"
        )
    if found is None:
        raise BadInput(
            f"{where}: its predictor gives type {type(given).__name__} and no numbers; "
            "give a tensor or a NumPy array [test rows, tasks]"
        )
    names = run.output_names
    shape = (len(run.split.test), len(names))
    if found.shape != shape:
        all_rows = found.ndim > 0 and len(found) == len(run.x)
        remedy = "; take the test rows alone, run.split.test" if all_rows else ""
        columns = "tasks"
        if run.classes:
            columns = "outputs"
            remedy = f"; each class has a column, see run.output_names{remedy}"
        raise BadInput(
            f"{where}: its predictor gives {[*found.shape]}; give [test rows, {columns}], here "
            f"{[*shape]}{remedy}"
        )
    found = _in_order(found, given, run, where)
    if not found.isfinite().all():
        row, column = (~found.isfinite()).nonzero()[0].tolist()
        raise BadInput(
            f"{where}: its predictor gives {found[row, column].item()} for {names[column]!r}, test "
            f"row {row}; predict a number for every row"
        )
    if method.units == "own":
        mean, unit = run.scale
        if run.standardise:
            found = (found - mean[run.task_of_output]) / unit[run.task_of_output]
        found = found.clone() if run.classes else found  # it may be the predictor's own
        for task in run.classes:
            own = run.task_of_output == run.tasks.index(task)
            found[:, own] = _logits(found[:, own], f"{where}, {task!r}")
    return found


def check_units(method: Method, runs: Sequence[TaskData]) -> None:
    """Check that a predictor says the units of what it gives, where there are several.

    Raises:
        BadInput: it does not.

    >>> from mtl_nt import load
    >>> check_units(Method("Mean", predictor=lambda run: run.y), [load("dial")])
    """
    if method.units is None and any(run.classes for run in runs):
        raise BadInput(
            f"method {method.name!r}: these data have tasks of classes; say what the predictor "
            "gives: units='own', a probability of each class, or 'trained', a logit"
        )
    if method.units is None and any(run.standardise and not run.binary.all() for run in runs):
        raise BadInput(
            f"method {method.name!r}: these targets are standardised for the training; say what "
            "the predictor gives: units='own', as in run.y, or 'trained', as in run.targets"
        )


def _in_order(
    found: Float[Tensor, "N O"], given: Any, run: TaskData, where: str
) -> Float[Tensor, "N O"]:
    """The predictions with rows and columns in the run's order, which a table's names tell."""
    columns, index = getattr(given, "columns", None), getattr(given, "index", None)
    if columns is None or isinstance(given, (Tensor, np.ndarray)):
        return found
    names, test = run.output_names, run.split.test.tolist()
    order = _places([*columns], names) or _places([*columns], range(len(names)))
    if order is None and not _is_unnamed([*columns]):
        raise BadInput(
            f"{where}: its predictor gives columns {_few(columns)}, and the tasks are "
            f"{_few(names)}; name each column as its task, or give .to_numpy()"
        )
    found = found if order is None else found[:, order]
    if index is None or callable(index) or _is_plain(index):
        return found
    rows = _places([*index], test)
    places = _places([*index], range(len(test)))
    if None not in (rows, places) and rows != places:
        raise BadInput(
            f"{where}: its predictor gives the index {_few(index)}, which may be rows of the table "
            "or places among the test rows; put the rows in their order and .reset_index(drop=True)"
        )
    rows = rows or places
    if rows is None:
        raise BadInput(
            f"{where}: its predictor gives the index {_few(index)}, and the test rows are "
            f"{_few(test)}; give these rows, each once, or .reset_index(drop=True)"
        )
    return found[rows]


def _places(given: Sequence[Any], wanted: Sequence[Any]) -> list[int] | None:
    """Where each wanted name stands in what is given; None where they are not the same names."""
    try:
        place = {name: number for number, name in enumerate(given)}
        return [place[name] for name in wanted] if len(place) == len(given) else None
    except (KeyError, TypeError):  # another name, or one that is no name
        return None


def _is_count(given: Sequence[Any]) -> bool:
    """Whether these are the numbers 0, 1, ... that a table has by default."""
    return all(type(v) is not bool and v == n for n, v in enumerate(given))


def _is_plain(index: Any) -> bool:
    """Whether an index is what a table has by default."""
    return type(index).__name__ == "RangeIndex" and _is_count([*index])


def _is_unnamed(given: Sequence[Any]) -> bool:
    """Whether these are the names that polars gives to columns without one."""
    return all(v == f"column_{n}" for n, v in enumerate(given))


def _few(names: Any) -> str:
    """The first names, for a message."""
    several = [f"{name!s:.12}" for name in [*names][:3]]
    return ", ".join(several) + (", ..." if len(names) > 3 else "")


def _checksums(run: TaskData) -> dict[str, int]:
    """A checksum of all numbers of a run that a predictor may reach, by the attribute's name."""
    return {name: _checksum(tensor) for name, tensor in _tensors(run)}


def _tensors(run: TaskData) -> Iterator[tuple[str, Tensor]]:
    if isinstance(run.x, Bits):
        yield from (("x.on", run.x.on), ("x.starts", run.x.starts))
    else:
        yield "x", run.x
    yield from (("y", run.y), ("split.train", run.split.train), ("split.test", run.split.test))
    yield "split.validation", run.split.validation
    for name in ("weights", "unit", "relatedness"):
        if (tensor := getattr(run, name)) is not None:
            yield name, tensor


def _checksum(tensor: Tensor) -> int:
    """The CRC-32 of a tensor's bytes: the fastest sum here that depends on their order."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(flat.view(torch.uint8).numpy().data) if len(flat) else 0


def _logits(probability: Float[Tensor, "N C"], where: str) -> Float[Tensor, "N C"]:
    """The logarithm of the probabilities of classes, if they are probabilities."""
    total = probability.sum(1)
    if (probability < 0).any() or ((total - 1).abs() > ROUNDING).any():
        row = int(((probability < 0).any(1) | ((total - 1).abs() > ROUNDING)).nonzero()[0])
        raise BadInput(
            f"{where}: its predictor gives test row {row} probabilities that are negative or add "
            f"up to {float(total[row]):g}, not 1; mend them, or give logits and units='trained'"
        )
    return (probability / total.unsqueeze(1)).clamp_min(torch.finfo(total.dtype).tiny).log()


def _numbers(given: Any) -> Tensor | None:
    """What a predictor gives as a tensor of its own; None where it is no table of real numbers."""
    try:
        if isinstance(given, Tensor):
            dense = given.detach().cpu().to_dense()
            return None if dense.is_complex() else dense.to(torch.float64, copy=True)
        array = np.asarray(given)
        if array.dtype.kind not in "fiub":
            return None
        hidden = np.ma.getmaskarray(given) if np.ma.isMaskedArray(given) else False
        return torch.from_numpy(np.where(hidden, np.nan, array.astype(float)))
    except (TypeError, ValueError, RuntimeError):
        return None
