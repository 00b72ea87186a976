"""The parameters of a notebook, from whoever runs it."""

from __future__ import annotations

import ast
from collections.abc import Collection
from numbers import Integral
from typing import Any

from .study import seed_numbers
from .tasks import BadInput, is_number, nearest

INJECTED = "# Parameters\n"  # how papermill begins the cell that it puts in


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
    try:
        return ast.literal_eval(value.strip())
    except (SyntaxError, ValueError):
        return value


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
