"""What JSON says, checked against a type before anything is made of it: exact keys, exact types.

A checksum tells whether a file is whole. It has no secret in it: whoever can write to a folder can
make one that fits. So a file says no more than its owner is trusted to say, and here it is
made sure that it says it in a form that the rest of the package can take.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
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

LARGEST = 2**63  # what a column of whole numbers can hold is below
KINDS: dict[Any, set[type]] = {
    bool: {bool},
    int: {int},
    float: {int, float},
    str: {str},
    NoneType: {NoneType},
}


def where(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A condition in `Annotated`, after the type that its value has by then."""
    return holds


Finite = Annotated[float, where(math.isfinite)]
Count = Annotated[int, where(lambda value: value >= 0)]
Names = Annotated[tuple[str, ...], where(lambda names: len({*names}) == len(names))]
level = where(lambda table: len({*map(len, table.values())}) == 1)
"""All columns of a table are as long as each other."""


class Results(TypedDict):
    """The columns of a study's scores."""

    dataset: list[str]
    data_seed: list[float]
    split: list[Literal["new data", "free", "fixed"]]
    method: list[str]
    alpha: list[float]
    seed: list[int]
    task: list[str]
    metric: list[str]
    value: list[float]


class Training(TypedDict):
    """The columns of what a study's trainings took and came to."""

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


class History(TypedDict):
    """The columns of losses and weights over training."""

    method: list[str]
    alpha: list[float]
    seed: list[int]
    network: list[str]
    task: list[str]
    step: list[int]
    loss: list[float]
    weight: list[float]


class Tables(TypedDict):
    """The tables of a study."""

    results: Annotated[Results, level]
    training: Annotated[Training, level]
    history: Annotated[History, level]


def loads(text: str | bytes, form: Any) -> Any:
    """What JSON text says, if it has the form (see `read`).

    Raises:
        ValueError: it is no JSON, or has another form.
    """
    try:
        return read(json.loads(text), form)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(value: Any, form: Any) -> Any:
    """The value, if it has the form; lists as tuples and objects as dataclasses where it says so.

    Args:
        form: None, bool, int, float, str, a Literal, or a union, list, tuple, dict with text as
            keys, TypedDict or dataclass of such. `Annotated` adds conditions.

    Raises:
        ValueError: it has another form, such as a key too many.

    >>> read([[1, 2], None], tuple[list[int] | None, ...])
    ([1, 2], None)
    >>> read({"a": True}, dict[str, int])
    Traceback (most recent call last):
    ValueError: no int
    """
    origin, arguments = get_origin(form), get_args(form)
    if form is Any:
        return value
    if _kinds(form):
        return _several([value], form)[0]
    if origin is Annotated:
        value = read(value, arguments[0])
        if not all(holds(value) for holds in arguments[1:]):
            raise ValueError("a value out of its range")
        return value
    if origin in (Union, UnionType):
        for each in arguments:
            try:
                return read(value, each)
            except ValueError:
                pass
        raise ValueError(f"none of {form}")
    if origin is list:
        return _several(_made(value, list), arguments[0])
    if origin is tuple:
        _made(value, list)
        if arguments[-1] is ...:
            return tuple(_several(value, arguments[0]))
        return tuple(read(v, each) for v, each in zip(value, arguments, strict=True))
    if origin in (dict, Mapping):
        _made(value, dict)
        return dict(zip(value, _several([*value.values()], arguments[1]), strict=True))
    if not is_typeddict(form) and not is_dataclass(form):
        raise TypeError(f"{form} is no form")
    _made(value, dict)
    hints = get_type_hints(form, include_extras=True)
    known = [field.name for field in fields(form)] if is_dataclass(form) else [*hints]
    if value.keys() != {*known}:
        raise ValueError(f"other keys than {', '.join(known)}")
    return form(**{name: read(value[name], hints[name]) for name in known})


def _kinds(form: Any) -> set[type] | None:
    """The Python types that a single value of this form has; None of what is made of several."""
    if get_origin(form) is Literal:
        return {type(word) for word in get_args(form)}
    if get_origin(form) in (Union, UnionType):
        every = [_kinds(each) for each in get_args(form)]
        return None if None in every else set().union(*filter(None, every))
    return KINDS.get(form) if isinstance(form, type) else None


def _several(values: list[Any], form: Any) -> list[Any]:
    """Single values, such as those of a long column, are checked all at once."""
    if (kinds := _kinds(form)) is None:
        return [read(value, form) for value in values]
    there = {*map(type, values)}
    if not there <= kinds:
        raise ValueError(f"no {getattr(form, '__name__', form)}")
    if int in there and not all(-LARGEST <= v < LARGEST for v in values if type(v) is int):
        raise ValueError("a whole number that is too large")
    if get_origin(form) is Literal and not {*values} <= {*get_args(form)}:
        raise ValueError(f"none of {', '.join(map(str, get_args(form)))}")
    return values


def _made(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"no {kind.__name__}")
    return value
