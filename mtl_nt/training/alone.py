"""One network of a training, weighed a second time, as if it trained alone.

Row r of the weights must follow from network r alone. `Follower` has a weighter of one network,
which sees that network's part of every step. So its weights must be those that the network gets in
the stack, at each step and to the last digits, since the network is the same one. A training of the
network alone would cost far more, and differ by rounding that training has made larger.

The follower leaves no trace. It sees copies, it draws from a noise of its own, and what its calls
leave on a class or in a closure is its own, too (`Aside`). If there is such lasting state, the
follower begins as if there had been another training before.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..bits import Bits, Features
from ..networks import Decoder, ForwardPass, RandomStreams
from ..tasks import TaskData
from ..weighters import Step, Weighter

TOLERANCE, FLOOR = 1e-4, 1e-7
"""Numbers that differ by a smaller share of the largest one, or by less, are the same: single
precision."""
FIRST_CALLS, MORE_CALLS = 2, 7
"""How often the follower's weighter sees the first step before it begins. If that changes lasting
state, it sees the step as often as a training has steps, and some times more, so that what returns
after some steps comes at other moments."""
BIG = 1 << 24
"""Bytes of a tensor that a copy of a weighter shares with it."""

Again = Callable[[], Tensor]


class Aside(Protocol):
    """Lets calls have lasting state of their own, on classes, in globals and in closures."""

    changed: bool  # whether calls have changed any

    def __call__(self) -> AbstractContextManager[object]: ...


class Follower:
    """Weighs one network of a stack, as if it trained alone.

    Args:
        make: makes the weighter of one network alone, by its number in the stack.
        aside: what its calls run in.
        seeds: of all networks.
        like: a tensor `[R, T]` as for `Weighter.reset`.
        steps: of the training.
    """

    def __init__(
        self,
        make: Callable[[int], Weighter],
        aside: Aside,
        seeds: Sequence[int],
        like: Float[Tensor, "R T"],
        steps: int,
    ) -> None:
        self.network, self.networks, self.steps = len(like) // 2, len(like), steps
        self.row = torch.tensor([self.network], device=like.device)
        self.aside, self.seed, self.like = aside, [seeds[self.network]], like[self.row]
        self.gap = like.new_full((), -math.inf)
        self.step: Step | None = None
        self.passes: list[Tensor] = []
        self.learned: dict[str, Tensor] = {}  # the network's own part of the stack's parameters
        self.given: list[Tensor] = []
        self.kept: dict[str, Tensor] = {}  # what the weighter leaves its parameters at
        with aside():
            self.weighter = make(self.network).to(like.device)
            parts = [part for part in self.weighter.modules() if isinstance(part, Weighter)]
            self.reads = any(type(part).read is not Weighter.read for part in parts)
            self._reset()
            self.shapes = {n: p.shape for n, p in self.weighter.named_parameters()}

    def ready(self, weighter: Weighter, again: Again) -> Again:
        """Take over what the network's weighter has learned, and listen to further passes.

        Args:
            weighter: of the stack, before the step.
            again: as in `Weighter.read`.
        """
        self.passes, self.learned = [], self._learned(weighter)

        def heard() -> Tensor:
            self.passes.append(again())
            return self.passes[-1]

        return heard

    def see(self, step: Step, binary: Bool[Tensor, "*any O"], first: bool) -> bool:
        """Weigh the network's part of a step, before the stack is weighed.

        Args:
            binary: which outputs are of binary tasks.
            first: whether it is the first step of the training.

        Returns:
            Whether there is anything to follow. A stack of one network that changes no lasting
            state has nothing that it could depend on.
        """
        if first and not self._has_seen_another_training(step, binary):
            return False
        with self.aside():
            self.given = self._weigh(step, binary)
        return True

    def compare(self, weighter: Weighter, given: Sequence[Tensor]) -> None:
        """Compare with what the stack's weighter gives in this step.

        Args:
            weighter: of the stack, which has seen the step.
            given: its weights, penalty and, where it reads, the outputs.
        """
        pairs = [(a, b.detach()[self.row]) for a, b in zip(self.given, given, strict=True)]
        learned = self._learned(weighter)
        pairs += [(self.kept[name], learned[name]) for name in self.kept if name in learned]
        for one, other in pairs:
            if not one.is_cuda and torch.equal(one, other):  # on a GPU, asking would be waiting
                continue
            one, other = one.nan_to_num(), other.nan_to_num()
            bound = TOLERANCE * one.abs().amax() + FLOOR
            self.gap = torch.maximum(self.gap, (one - other).abs().amax() - bound)

    @property
    def differs(self) -> bool:
        """Whether the network has had other weights in the stack than alone."""
        return bool(self.gap > 0)

    def draws(self) -> bool:
        """Whether the weighter gives other weights when it sees a step once more."""
        if self.step is None:
            return False
        with self.aside():
            try:
                step, found = self.step, []
                for _ in range(2):
                    seen = replace(step, noise=copy.deepcopy(step.noise))
                    found.append(_copy(self.weighter).weights(seen).detach().nan_to_num())
                return not torch.equal(*found)
            except Exception:  # what cannot be copied, or cannot see a step twice
                return False

    def _has_seen_another_training(self, step: Step, binary: Tensor) -> bool:
        calls = FIRST_CALLS
        while calls:
            with self.aside():
                for _ in range(calls):
                    self._weigh(step, binary)
                self._reset()
            more = self.aside.changed and calls == FIRST_CALLS
            calls = self.steps + MORE_CALLS if more else 0
        return self.networks > 1 or self.aside.changed

    def _reset(self) -> None:
        self.weighter.reset(self.like)
        self.noise = RandomStreams(self.seed, "weighter", self.like)

    def _weigh(self, step: Step, binary: Tensor) -> list[Tensor]:
        """What the weighter gives for its network, as `compare` takes it from the stack's."""
        for name, parameter in self.weighter.named_parameters():
            if name in self.learned:
                parameter.data.copy_(self.learned[name])
        one = self.step = _OneOf.the(step, self.row, self.noise)
        found = []
        if self.reads:
            passes = iter(self.passes)
            kinds = binary if binary.ndim < 2 else binary[self.row]
            again = lambda: next(passes)[self.row]  # noqa: E731
            found = [self.weighter.read(one.raw, kinds, one.valid, again).detach()]
        weights = torch.where(one.labelled, self.weighter.weights(one).detach(), 0.0)
        found = [weights, self.weighter.penalty(one).detach(), *found]
        self.weighter.after(one, weights)
        self.kept = {n: p.detach().clone() for n, p in self.weighter.named_parameters()}
        return found

    def _learned(self, weighter: Weighter) -> dict[str, Tensor]:
        """The network's own part of all that the stack's weighter learns."""
        found = {}
        for name, parameter in weighter.named_parameters():
            whole, shape = parameter.detach(), self.shapes.get(name)
            if shape is not None and whole.numel():
                if whole.shape[:1] == (self.networks,) and shape == (1, *whole.shape[1:]):
                    whole = whole[self.network : self.network + 1]
                found[name] = whole.clone().reshape(shape)
        return found


class _OneOf(Step):
    """The part of a step that is of one network. Each of its tables is copied when it is read."""

    _step: Step
    _row: Tensor

    @classmethod
    def the(cls, step: Step, row: Tensor, noise: RandomStreams) -> _OneOf:
        one = object.__new__(cls)
        vars(one).update(_step=step, _row=row, noise=noise, classes=step.classes)
        return one

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value, row = getattr(self._step, name), self._row
        if isinstance(value, ForwardPass):
            value = _pass_of(value, row)
        elif isinstance(value, Decoder):
            value = _decoder_of(value, row)
        elif isinstance(value, Tensor) and (name != "binary" or value.ndim == 2):
            value = value[row]
        vars(self)[name] = value
        return value


def _pass_of(seen: ForwardPass, row: Tensor) -> ForwardPass:
    """What one network's forward pass has kept."""

    def of_inputs(table: Features) -> Features:
        if isinstance(table, Tensor):
            return table[row]
        places = torch.arange(math.prod(table.shape[:-1]), device=table.device)
        return table.take(places.view(table.shape[:-1])[row])

    norm = seen.batch_norm
    if norm is not None:
        norm = norm._replace(
            **{n: getattr(norm, n)[row] for n in ("standardised", "gain", "valid")}
        )
    return replace(
        seen,
        features=seen.features[row],
        inputs=of_inputs(seen.inputs),
        activated=seen.activated[row],
        keep=None if seen.keep is None else seen.keep[row],
        batch_norm=norm,
    )


def _decoder_of(decoder: Decoder, row: Tensor) -> Decoder:
    """One network's decoder."""
    one = copy.deepcopy(decoder)
    for parameter in one.parameters():
        parameter.data = parameter.data[row]
    return one


def _copy(weighter: Weighter) -> Weighter:
    """A weighter that can go on by itself, with the data and the big tables of the other one."""
    shared: dict[int, Any] = {}
    for part in weighter.modules():
        for value in _held(vars(part)):
            big = isinstance(value, Tensor) and value.nbytes > BIG
            if big or isinstance(value, (TaskData, Bits)):
                shared[id(value)] = value
            elif isinstance(value, Tensor) and not value.is_leaf:
                shared[id(value)] = value.detach().clone()
    return copy.deepcopy(weighter, shared)


def _held(holder: Any) -> Iterator[Any]:
    """What a container holds, and what the containers in it hold."""
    seen, waiting = set(), [holder]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, (list, tuple, deque)):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
