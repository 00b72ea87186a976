"""What JSON says has the form that is asked for, or is refused."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_nt import Recipe
from mtl_nt.study.schema import (
    FiniteFloat,
    HistoryTable,
    NonNegativeInt,
    UniqueNames,
    equal_lengths,
    load_json,
    satisfies,
    validate,
)


class Small(TypedDict):
    name: str
    size: int | None


FITS: list[tuple[Any, Any, Any]] = [
    (1, int, 1),
    (1, float, 1),
    (None, int | None, None),
    ("a", Literal["a", "b"], "a"),
    ("a", Literal["a", "b"] | None, "a"),
    (["b", None], list[Literal["a", "b"] | None], ["b", None]),
    ([1, None], list[int | None], [1, None]),
    ([[1.5], []], tuple[list[float], ...], ([1.5], [])),
    ([1, "a"], tuple[int, str], (1, "a")),
    ({"a": [True]}, dict[str, list[bool]], {"a": [True]}),
    ({"size": None, "name": "x"}, Small, {"name": "x", "size": None}),
    (["a", "b"], UniqueNames, ("a", "b")),
    ("anything", Any, "anything"),
]
WRONG: list[tuple[Any, Any]] = [
    (True, int),
    (1, bool),
    (1.0, int),
    ("1", float),
    (None, str),
    (2**63, int),
    ([2**63], list[float]),
    (1, Literal[True]),
    ("c", Literal["a", "b"]),
    ("c", Literal["a", "b"] | None),
    (["a", "c"], list[Literal["a", "b"] | None]),
    ([1, "a"], list[int | None]),
    ("ab", list[str]),
    ([1], tuple[int, str]),
    ([1, "a", 2], tuple[int, str]),
    ({"a": 1}, dict[str, str]),
    ([], dict[str, str]),
    ({"name": "x"}, Small),
    ({"name": "x", "size": 1, "more": 1}, Small),
    ([["name", "x"], ["size", 1]], Small),
    (["a", "a"], UniqueNames),
    (-1, NonNegativeInt),
    (math.nan, FiniteFloat),
    (math.inf, FiniteFloat),
    (3, Annotated[int, satisfies(lambda value: value > 1), satisfies(lambda value: value < 3)]),
]


@pytest.mark.parametrize(("value", "form", "found"), FITS)
def test_what_fits_is_read(value: Any, form: Any, found: Any) -> None:
    made = validate(value, form)
    assert made == found and type(made) is type(found)


@pytest.mark.parametrize(("value", "form"), WRONG)
def test_what_does_not_fit_is_refused(value: Any, form: Any) -> None:
    with pytest.raises(ValueError):
        validate(value, form)


def test_a_dataclass_comes_back_as_it_was_and_says_what_it_may_not() -> None:
    recipe = Recipe(trunk=(8, 4), activation=("relu", "tanh"), dropout=0.5)
    said = json.loads(json.dumps(asdict(recipe)))
    assert validate(said, Recipe) == recipe
    for wrong in ({"steps": 0}, {"steps": True}, {"more": 1}, {"trunk": "64"}, {"decay": "<b>"}):
        with pytest.raises(ValueError):
            validate({**said, **wrong}, Recipe)


def test_columns_of_a_table_are_as_long_as_each_other() -> None:
    table: dict[str, list[Any]] = {name: [] for name in HistoryTable.__annotations__}
    assert validate(table, Annotated[HistoryTable, equal_lengths]) == table
    with pytest.raises(ValueError):
        validate({**table, "loss": [1.0]}, Annotated[HistoryTable, equal_lengths])


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 10**5, "[" * 10**5 + "]" * 10**5, b"\xff", "1" * 5000]
)
def test_what_is_no_json_or_too_deep_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        load_json(text, int)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON)
def test_nothing_but_a_value_error_comes_of_any_json(value: Any) -> None:
    for form in (*(form for _, form, _ in FITS), Recipe, HistoryTable):
        with suppress(ValueError):
            validate(value, form)
