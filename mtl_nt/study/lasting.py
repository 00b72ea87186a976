"""What outlives a training: the state of classes, modules and closures, kept and given back.

A weighter makes its state in `reset`. What it keeps on its class, in a global or in a closure is
still there in the next training. `LastingState` remembers all such state that a function can reach,
so that a trial can begin as if there had been none before it, and leaves no trace. `OtherState`
lets some calls have lasting state of their own.
"""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .identity import LARGE, MISSING, NO_PART_OF_A_CLASS, Place, is_own, places

MANY = 100
"""Entries of a container that `LastingState.now` looks into."""
EARLY = 3
"""How often `OtherState` keeps what calls have changed, even if none has changed anything before.
From then on a first change is noticed and lost, which spares time where there is none."""


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
        self._remember([*places(function), *(Place(None, "", value) for value in held)])

    def now(self) -> LastingState:
        """The state as it is now. Of a long container, what its entries hold is left out."""
        state = object.__new__(LastingState)
        state._remember([_as_it_is(place) for place in self.places], MANY)
        return state

    def restore(self) -> bool:
        """Give everything back as it was: what each name stands for, and what it holds.

        Returns:
            Whether anything had changed.
        """
        named = [_put_back(place) for place in self.places]
        held = [give_back() for give_back in self._taken.values()]
        return any(named) or any(held)

    def _remember(self, found: list[Place], most: float = math.inf) -> None:
        """Remember what stands at these places.

        Args:
            most: how many entries a container may have whose entries are looked into.
        """
        self.places, self._taken = found, dict[int, Callable[[], bool]]()
        waiting = [place.value for place in found]
        while waiting:
            parts = self._take(waiting.pop())
            waiting += parts if len(parts) <= most else []

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


class OtherState:
    """A lasting state of its own for some calls of a function, which leave the usual one as it is.

    Args:
        function: the function.

    >>> def counting(seen):
    ...     return lambda: seen.append(len(seen)) or seen[-1]
    >>> kept = []
    >>> count = counting(kept)
    >>> other = OtherState(count)
    >>> for _ in range(3):
    ...     with other():
    ...         there = count()
    >>> count(), there, kept, other.changed
    (0, 2, [0], True)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.usual, self.changed = LastingState(function), False
        self._other: LastingState | None = None
        self._times = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        usual = self.usual.now()
        self._times += 1
        if self._other is not None:
            self._other.restore()
        try:
            yield
        finally:
            other = self.usual.now() if self.changed or self._times <= EARLY else None
            self.changed |= usual.restore()
            self._other = other if self.changed else None


def _as_it_is(place: Place) -> Place:
    """A place with what stands there now."""
    holder, name, value = place
    if isinstance(holder, CellType):
        value = _content(holder)
    elif isinstance(holder, dict):
        value = holder.get(name, MISSING)
    elif isinstance(holder, type):
        value = {k: v for k, v in vars(holder).items() if k not in NO_PART_OF_A_CLASS}
    return Place(holder, name, value)


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
        if value is MISSING:
            del holder.cell_contents
        else:
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
