"""What outlives a training: the state of classes, modules and closures, kept and given back.

A weighter makes its state in `reset`. What it keeps on its class, in a global or in a closure is
still there in the next training. `LastingState` remembers all such state that a function can reach,
so that a trial can begin as if there had been none before it, and leaves no trace.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .identity import LARGE, MISSING, NO_PART_OF_A_CLASS, Place, is_own, places


class LastingState:
    """The state that a function and all that it calls may leave behind.

    Args:
        function: the function.

    A list in a closure grows, and is given back as it was:

    >>> def remembering(seen):
    ...     return lambda step: seen.append(step)
    >>> kept = [1]
    >>> function = remembering(kept)
    >>> state = LastingState(function)
    >>> function(2)
    >>> state.restore(), kept
    (True, [1])
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        held: list[Any] = []
        if isinstance(function, partial):
            held = [*function.args, *function.keywords.values()]
        elif isinstance(function, MethodType):
            held = [function.__self__]
        self.places = [*places(function), *(Place(None, "", value) for value in held)]
        self._taken: dict[int, Callable[[], bool]] = {}
        waiting = [place.value for place in self.places]
        while waiting:
            waiting += self._take(waiting.pop())

    def restore(self) -> bool:
        """Give everything back as it was: what each name stands for, and what it holds.

        Returns:
            Whether anything had changed.
        """
        named = [_put_back(place) for place in self.places]
        held = [give_back() for give_back in self._taken.values()]
        return any(named) or any(held)

    def _take(self, thing: Any) -> list[Any]:
        """Remember what a thing holds, and give its parts."""
        if id(thing) in self._taken:
            return []
        parts: list[Any] = []
        if isinstance(thing, (Tensor, np.ndarray)):
            if _is_plain(thing):
                self._taken[id(thing)] = _numbers_back(thing)
        elif type(thing) is tuple:
            parts = [*thing]
        elif type(thing) in (list, deque):
            parts = [*thing]
            self._taken[id(thing)] = partial(_refill, thing, [*thing])
        elif type(thing) in (dict, OrderedDict, defaultdict):
            parts = [*thing.values()]
            self._taken[id(thing)] = partial(_refill, thing, {**thing})
        elif type(thing) is set:
            self._taken[id(thing)] = partial(_refill, thing, {*thing})
        elif isinstance(thing, nn.Module) or _has_state(thing):
            parts = [*vars(thing).values()]
            self._taken[id(thing)] = partial(_refill, vars(thing), {**vars(thing)})
        return parts


def _is_plain(table: Tensor | np.ndarray) -> bool:
    """Whether a table of numbers can be kept at little cost."""
    if isinstance(table, np.ndarray):
        return table.nbytes <= LARGE and table.flags.writeable and not table.dtype.hasobject
    strided = table.layout == torch.strided and not table.is_meta and not table.is_quantized
    return strided and table.nbytes <= LARGE


def _has_state(thing: Any) -> bool:
    """Whether a thing is an instance of somebody's own class."""
    if isinstance(thing, (type, FunctionType, CellType)) or not hasattr(thing, "__dict__"):
        return False
    return is_own(type(thing).__module__)


def _refill(holder: Any, entries: Any) -> bool:
    """Let a container hold these entries again, and say whether it held others."""
    if len(holder) == len(entries) and _hold_the_same(holder, entries):
        return False
    holder.clear()
    (holder.extend if isinstance(entries, list) else holder.update)(entries)
    return True


def _hold_the_same(one: Any, other: Any) -> bool:
    if isinstance(one, set):
        return one == other
    if isinstance(one, dict):
        return all(one.get(key, MISSING) is value for key, value in other.items())
    return all(a is b for a, b in zip(one, other, strict=True))


def _numbers_back(table: Tensor | np.ndarray) -> Callable[[], bool]:
    """What gives an array its numbers back, and says whether it had others."""
    if isinstance(table, np.ndarray):
        array = table.copy()

        def array_back() -> bool:
            changed = table.tobytes() != array.tobytes()
            if changed:
                np.copyto(table, array)
            return changed

        return array_back
    tensor = table.detach().clone()

    def tensor_back() -> bool:
        changed = table.shape == tensor.shape and not torch.equal(table, tensor)
        if changed:
            with torch.no_grad():
                table.copy_(tensor)
        return changed

    return tensor_back


def _put_back(place: Place) -> bool:
    """Let a name stand for what it stood for, and say whether it stood for something else."""
    holder, name, value = place
    if isinstance(holder, CellType):
        if _content(holder) is value:
            return False
        holder.cell_contents = value
        return True
    if isinstance(holder, dict):
        if holder.get(name, MISSING) is value:
            return False
        if value is MISSING:
            del holder[name]
        else:
            holder[name] = value
        return True
    if isinstance(holder, type):
        new = [*(vars(holder).keys() - value.keys() - NO_PART_OF_A_CLASS)]
        old = [name for name in value if vars(holder).get(name, MISSING) is not value[name]]
        for name in new:
            delattr(holder, name)
        for name in old:
            setattr(holder, name, value[name])
        return bool(new or old)
    return False


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # deleted meanwhile
        return MISSING
