"""The parameters of a notebook, from whoever runs it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from .tasks import BadInput, is_number, nearest

INJECTED = "# Parameters\n"  # how papermill begins the cell that it puts in
MOST, DEEPEST = 100_000, 20
"""Characters of a parameter, and lists within lists."""
ALLOWED = "None, True, False, a finite number, text, a list or a dictionary with text as keys"


def plain(name: str, value: Any) -> Any:
    """A parameter as papermill can write it into a notebook: there, it is the same value.

    Papermill writes what it does not know as text without its quotes escaped, which would run as a
    program. So a parameter is None, a bool, a finite number, text, or a list or a dictionary of
    these; a tuple becomes a list.

    Raises:
        BadInput: it is another thing, or too large.
    """
    left = MOST

    def known(value: Any, depth: int) -> Any:
        nonlocal left
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} lists within each other")
        if isinstance(value, (list, tuple)):
            made: Any = [known(each, depth + 1) for each in value]
        elif isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise ValueError("a dictionary whose keys are not all text")
            made = {known(key, depth): known(each, depth + 1) for key, each in value.items()}
        elif value is None or isinstance(value, bool):
            made = value
        elif isinstance(value, str):
            made = str.__str__(value)
            made.encode()
        elif isinstance(value, Integral):
            made = int(value)
        elif isinstance(value, Real) and is_number(value):
            made = float(value)
        else:
            raise ValueError(f"{type(value).__name__} {value!r:.40}")
        left -= 2 if isinstance(made, (list, dict)) else len(repr(made)) + 2
        if left < 0:
            raise ValueError(f"more than {MOST:,} characters")
        return made

    try:
        return known(value, 0)
    except UnicodeEncodeError:
        why = "text with half of a pair of surrogates"
    except ValueError as error:
        why = str(error)
    raise BadInput(f"parameter {name}: {why}; give {ALLOWED}")


def literal(text: str) -> Any:
    """What a text says as Python writes numbers, True, False, None, lists and their like; any other
    text itself.

    Raises:
        BadInput: it is nested too deeply to be read.
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
        raise BadInput(f"value {text:.20}...: nested too deeply; give {DEEPEST} lists at most")
    return text


def read_parameters(space: dict[str, Any], free: Collection[str] = ()) -> list[int]:
    """Check a notebook's parameters against the defaults in its first cell; its runs' seeds.

    What papermill lets pass is found: a misspelt name; a list that its command line gave as text,
    which becomes a list in `space`; a single value where there must be several.

    Args:
        space: the notebook's `globals()`. Its `In` holds the cells that have run.
        free: parameters that may be of another kind than their default.

    Returns:
        Two seeds or more: those of the parameter `seeds`, or 100, 101, ... where it is a number.

    Raises:
        BadInput: an unknown parameter, or one of another kind than its default.
    """
    cells = [cell for cell in space.get("In", ()) if cell]
    defaults = _literals(cells[0]) if cells else {}
    if "seeds" not in defaults:  # a reader began with another cell
        defaults = {}
    injected = [cell for cell in cells if cell.startswith(INJECTED)]
    for name in _literals(injected[-1]) if injected and defaults else ():
        if name not in defaults:
            raise BadInput(f"unknown parameter {name!r}; {nearest(name, defaults)}")
    for name, default in defaults.items():
        space[name] = value = _untied(space[name])
        if not _fits(value, default) and name not in free:
            raise BadInput(f"{name} {value!r}: give {KINDS[type(default)]}, such as {default!r}")
    from .study import seed_numbers  # loads pandas, which running a notebook does without

    seeds = space["seeds"]
    runs = [100 + k for k in range(seeds)] if isinstance(seeds, int) else [*seeds]
    if len(runs) < 2:
        raise BadInput(f"seeds {seeds!r}: give 2 runs or more")
    return seed_numbers(runs)


def _literals(cell: str) -> dict[str, Any]:
    """What a cell of nothing but `name = literal` assigns; of any other cell, nothing."""
    try:
        body = ast.parse(cell).body
        pairs = [(each.targets[0].id, each.value) for each in body]  # type: ignore[attr-defined]
        return {name: ast.literal_eval(value) for name, value in pairs}
    except (AttributeError, SyntaxError, ValueError):
        return {}


def _untied(value: Any) -> Any:
    """The list or dictionary that a text holds; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    return literal(value.strip())


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of its default's kind; instead of a whole number there may be a list."""
    match default:
        case bool():
            return isinstance(value, bool)
        case int():
            return isinstance(value, list) or (is_number(value) and isinstance(value, Integral))
        case float():
            return is_number(value)
        case list():
            return isinstance(value, (list, tuple))
        case dict():
            return isinstance(value, dict)
        case _:
            return True


KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a dictionary",
}
