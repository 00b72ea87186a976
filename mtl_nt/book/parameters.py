"""The check of a notebook's parameters, which may come from anyone."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from ..errors import BadInput, is_finite_number, suggestion

INJECTED = "# Parameters\n"  # how papermill begins the cell that it puts in
MOST_CHARACTERS, DEEPEST_NESTING = 100_000, 20
"""How many characters a parameter may have, and how deeply lists may be nested."""
ALLOWED = "None, True, False, a finite number, text, a list or a dictionary with text as keys"


def plain_value(name: str, value: Any) -> Any:
    """The value of a parameter in a form that papermill can write into a notebook unchanged.

    Papermill writes a value of an unknown type as text without escaping quotes, so the text could
    run as a program. So a parameter is None, a bool, a finite number, a text, or a list or a
    dictionary of these. A tuple becomes a list.

    Raises:
        BadInput: the value is something else, or too large.

    >>> plain_value("alphas", (0, 0.5))
    [0, 0.5]
    """
    left = MOST_CHARACTERS

    def plain(value: Any, depth: int) -> Any:
        nonlocal left
        if depth > DEEPEST_NESTING:
            raise ValueError(f"more than {DEEPEST_NESTING} lists within each other")
        if isinstance(value, (list, tuple)):
            made: Any = [plain(each, depth + 1) for each in value]
        elif isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise ValueError("a dictionary whose keys are not all text")
            made = {plain(key, depth): plain(each, depth + 1) for key, each in value.items()}
        elif value is None or isinstance(value, bool):
            made = value
        elif isinstance(value, str):
            made = str.__str__(value)
            made.encode()
        elif isinstance(value, Integral):
            made = int(value)
        elif isinstance(value, Real) and is_finite_number(value):
            made = float(value)
        else:
            raise ValueError(f"{type(value).__name__} {value!r:.40}")
        left -= 2 if isinstance(made, (list, dict)) else len(repr(made)) + 2
        if left < 0:
            raise ValueError(f"more than {MOST_CHARACTERS:,} characters")
        return made

    try:
        return plain(value, 0)
    except UnicodeEncodeError:
        why = "text with half of a pair of surrogates"
    except ValueError as error:
        why = str(error)
    raise BadInput(f"parameter {name}: {why}; give {ALLOWED}")


def parse_literal(text: str) -> Any:
    """The value of a text that is a Python literal, such as a number or a list; else the text.

    Raises:
        BadInput: the text is nested too deeply to be read.

    >>> parse_literal("[100, 101]"), parse_literal("dial")
    ([100, 101], 'dial')
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of backslashes in what is only text
            return ast.literal_eval(text)
    except (RecursionError, MemoryError):
        fault = "nested"
    except SyntaxError as error:
        fault = error.msg
    except ValueError:
        fault = ""
    if "nested" in fault:
        raise BadInput(
            f"value {text:.20}...: nested too deeply; give {DEEPEST_NESTING} lists at most"
        )
    return text


def read_parameters(space: dict[str, Any], free: Collection[str] = ()) -> list[int]:
    """Check a notebook's parameters against the defaults in its first cell, and return its seeds.

    It finds what papermill does not report: a misspelt name, and a value of another kind than the
    default. A list that a command line gave as text becomes a list in `space`.

    Args:
        space: the notebook's `globals()`. Its `In` holds the cells that have run.
        free: parameters that may be of another kind than their default.

    Returns:
        The seeds of two or more runs: those in the parameter `seeds`, or 100, 101, ... if it is a
        number.

    Raises:
        BadInput: an unknown parameter, or one of another kind than its default.

    >>> cell = "seeds = 3\\nsteps = 100"
    >>> read_parameters({"In": ["", cell], "seeds": 3, "steps": 100})
    [100, 101, 102]
    """
    cells = [cell for cell in space.get("In", ()) if cell]
    defaults = _assigned_literals(cells[0]) if cells else {}
    if "seeds" not in defaults:  # a reader began with another cell
        defaults = {}
    injected = [cell for cell in cells if cell.startswith(INJECTED)]
    for name in _assigned_literals(injected[-1]) if injected and defaults else ():
        if name not in defaults:
            raise BadInput(f"unknown parameter {name!r}; {suggestion(name, defaults)}")
    for name, default in defaults.items():
        space[name] = value = _parse_container(space[name])
        if not _has_kind_of(value, default) and name not in free:
            raise BadInput(
                f"{name} {value!r}: give {KIND_NAMES[type(default)]}, such as {default!r}"
            )
    from ..study import parse_seeds  # loads pandas, which running a notebook does without

    seeds = space["seeds"]
    runs = [100 + k for k in range(seeds)] if isinstance(seeds, int) else [*seeds]
    if len(runs) < 2:
        raise BadInput(f"seeds {seeds!r}: give 2 runs or more")
    return parse_seeds(runs)


def _assigned_literals(cell: str) -> dict[str, Any]:
    """The values that a cell assigns, if it holds nothing but lines `name = literal`."""
    try:
        body = ast.parse(cell).body
        pairs = [(each.targets[0].id, each.value) for each in body]  # type: ignore[attr-defined]
        return {name: ast.literal_eval(value) for name, value in pairs}
    except (AttributeError, SyntaxError, ValueError):
        return {}


def _parse_container(value: Any) -> Any:
    """The list or dictionary that a text holds; any other value unchanged."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    return parse_literal(value.strip())


def _has_kind_of(value: Any, default: Any) -> bool:
    """Whether a value has the kind of its default. A list may stand for a whole number."""
    match default:
        case bool():
            return isinstance(value, bool)
        case int():
            return isinstance(value, list) or (
                is_finite_number(value) and isinstance(value, Integral)
            )
        case float():
            return is_finite_number(value)
        case list():
            return isinstance(value, (list, tuple))
        case dict():
            return isinstance(value, dict)
        case _:
            return True


KIND_NAMES = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a dictionary",
}
