"""Values read from JSON, checked against a type: exact keys and exact types.

A checksum tells whether a file is whole, but it holds no secret: anyone who can write to a folder
can write a checksum that fits. So a file is trusted as far as its owner is, and no further.
`validate` makes sure that a value has the type that the rest of the package expects. The tables of
a study are described here too (`StudyTables`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import pandas as pd

LARGEST = 2**63  # whole numbers in a column are smaller, and not below its negative
TYPES: dict[Any, set[type]] = {
    bool: {bool},
    int: {int},
    float: {int, float},
    str: {str},
    NoneType: {NoneType},
}


def satisfies(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A condition on a value, to be put into `Annotated` behind the value's type.

    >>> validate(0.5, Annotated[float, satisfies(lambda share: 0 <= share <= 1)])
    0.5
    """
    return holds


FiniteFloat = Annotated[float, satisfies(math.isfinite)]
NonNegativeInt = Annotated[int, satisfies(lambda value: value >= 0)]
UniqueNames = Annotated[tuple[str, ...], satisfies(lambda names: len({*names}) == len(names))]
equal_lengths = satisfies(lambda table: len({*map(len, table.values())}) == 1)
"""The condition that all columns of a table have the same length."""


SplitKind = Literal["new data", "free", "fixed", "not stated"]
"""What a new run changes (see `tasks.Split`); scores of somebody else may not say it."""
SPLITS: Sequence[str] = get_args(SplitKind)


class ResultsTable(TypedDict):
    """The columns of a study's scores."""

    dataset: list[str]
    data_seed: list[float]
    split: list[SplitKind]
    method: list[str]
    alpha: list[float]
    seed: list[int]
    task: list[str]
    metric: list[str]
    value: list[float]


class TrainingTable(TypedDict):
    """The columns of what a study's trainings cost, and how they ended."""

    method: list[str]
    alpha: list[float]
    seed: list[int]
    networks: list[int]
    steps: list[int]
    seconds: list[float]
    candidates: list[int]
    chosen: list[int]
    learning_rate: list[float]
    weight_decay: list[float]
    watched: list[Literal["validation", "training", "nothing"]]
    loss: list[float]
    diverged: list[bool]
    still_improving: list[bool]


class HistoryTable(TypedDict):
    """The columns of losses and task weights over training."""

    method: list[str]
    alpha: list[float]
    seed: list[int]
    network: list[str]
    task: list[str]
    step: list[int]
    loss: list[float]
    weight: list[float]


class ValidationTable(TypedDict):
    """The columns of a study's scores on validation rows."""

    method: list[str]
    alpha: list[float]
    seed: list[int]
    task: list[str]
    value: list[float]


class StudyTables(TypedDict):
    """The tables of a study, each with the columns named above."""

    results: Annotated[ResultsTable, equal_lengths]
    training: Annotated[TrainingTable, equal_lengths]
    history: Annotated[HistoryTable, equal_lengths]
    validation: Annotated[ValidationTable, equal_lengths]


def empty_table(columns: type) -> pd.DataFrame:
    """A table without rows, whose columns have the types that a TypedDict of lists names.

    >>> empty_table(HistoryTable).dtypes["step"]
    dtype('int64')
    """
    kinds = {name: get_args(hint)[0] for name, hint in get_type_hints(columns).items()}
    made = {n: pd.Series(dtype=k if k in (int, float, bool) else object) for n, k in kinds.items()}
    return pd.DataFrame(made)


def load_json(text: str | bytes, schema: Any) -> Any:
    """Parse JSON text, and check the value against a type (see `validate`).

    Raises:
        ValueError: the text is no JSON, or its value has another type.

    >>> load_json('{"seeds": [0, 1]}', dict[str, list[int]])
    {'seeds': [0, 1]}
    """
    try:
        return validate(json.loads(text), schema)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def validate(value: Any, schema: Any) -> Any:
    """Give the value back if it has the type that the schema names.

    A list becomes a tuple, and a dictionary a dataclass, where the schema says so.

    Args:
        value: as `json.loads` gives it.
        schema: None, bool, int, float, str, a Literal, or a union, list, tuple, dict with text as
            keys, TypedDict or dataclass of these. `Annotated` adds conditions (see `satisfies`). In
            a union there may be functions, which no value from a file is.

    Raises:
        ValueError: the value has another type, or a key too many or too few.

    >>> validate([[1, 2], None], tuple[list[int] | None, ...])
    ([1, 2], None)
    >>> validate({"a": True}, dict[str, int])
    Traceback (most recent call last):
    ValueError: no int
    """
    origin, arguments = get_origin(schema), get_args(schema)
    if schema is Any:
        return value
    if _plain_types(schema):
        return _validate_all([value], schema)[0]
    if origin is Annotated:
        value = validate(value, arguments[0])
        if not all(holds(value) for holds in arguments[1:]):
            raise ValueError("a value out of its range")
        return value
    if origin in (Union, UnionType):
        for option in arguments:
            try:
                return validate(value, option)
            except ValueError:
                pass
        raise ValueError(f"none of {schema}")
    if origin is Callable:
        raise ValueError("no file has a function")
    if origin is list:
        return _validate_all(_check_type(value, list), arguments[0])
    if origin is tuple:
        _check_type(value, list)
        if arguments[-1] is ...:
            return tuple(_validate_all(value, arguments[0]))
        return tuple(validate(v, item) for v, item in zip(value, arguments, strict=True))
    if origin in (dict, Mapping):
        _check_type(value, dict)
        return dict(zip(value, _validate_all([*value.values()], arguments[1]), strict=True))
    if not is_typeddict(schema) and not is_dataclass(schema):
        raise TypeError(f"{schema} is no schema")
    _check_type(value, dict)
    hints = get_type_hints(schema, include_extras=True)
    known = [field.name for field in fields(schema)] if is_dataclass(schema) else [*hints]
    if value.keys() != {*known}:
        raise ValueError(f"other keys than {', '.join(known)}")
    return schema(**{name: validate(value[name], hints[name]) for name in known})


def _plain_types(schema: Any) -> set[type] | None:
    """The Python types of a single value of this schema, or None if it is made of several."""
    if get_origin(schema) is Literal:
        return {type(word) for word in get_args(schema)}
    if get_origin(schema) in (Union, UnionType):
        if any(get_origin(option) is Literal for option in get_args(schema)):
            return None  # its words are to be checked as well
        options = [_plain_types(option) for option in get_args(schema)]
        return None if None in options else set().union(*filter(None, options))
    return TYPES.get(schema) if isinstance(schema, type) else None


def _validate_all(values: list[Any], schema: Any) -> list[Any]:
    """Validate every value. Single values, such as a long column's, are checked all at once."""
    if (types := _plain_types(schema)) is None:
        return [validate(value, schema) for value in values]
    found = {*map(type, values)}
    if not found <= types:
        raise ValueError(f"no {getattr(schema, '__name__', schema)}")
    if int in found and not all(-LARGEST <= v < LARGEST for v in values if type(v) is int):
        raise ValueError("a whole number that is too large")
    if get_origin(schema) is Literal and not {*values} <= {*get_args(schema)}:
        raise ValueError(f"none of {', '.join(map(str, get_args(schema)))}")
    return values


def _check_type(value: Any, expected: type) -> Any:
    if type(value) is not expected:
        raise ValueError(f"no {expected.__name__}")
    return value
