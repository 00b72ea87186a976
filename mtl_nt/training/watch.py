"""What a weighter of somebody's own must keep to, watched while it trains.

A few steps before the training show most slips (see `study.own_methods`). Some begin later: after a
warm-up, or once a loss is small. `Watch` looks on in every step where that costs nothing, and four
times in a training where it costs a step's weights again:

- A weighter must not write into what a step shows, since the losses and the networks are made of
  the same numbers.
- Row r of the weights follows from network r alone. A copy of the weighter sees the same step, in
  which all other networks are like network r: row r must stay as it was.
- What the weights are learned by must move. A tensor that wants a gradient and is in no optimiser
  would stay where it is.

The package's own weighters are not watched, since tests ask more of them than this.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..bits import Bits, Features
from ..errors import BadInput
from ..tasks import TaskData
from ..weighters import Step, Weighter

LOOKS = 4  # at the weights of a training, the last one in its last step
TOLERANCE = 1e-4
"""Weights that differ by a smaller share of the largest one are the same: single precision."""
SHOWN = ("losses", "labelled", "first_batch", "epoch", "valid", "support", "outputs", "errors")
BIG = 1 << 24
"""Bytes of a tensor that a copy of a weighter shares with it."""

MIXES = (
    "a network's weights change when another one trains beside it; sum and average over tasks "
    "(dim=1), never over networks, and give state and parameters one row for each network"
)
REMEMBERS = (
    "the weights of a training depend on the training before it; make all state in reset(like), "
    "one row for each network, and draw random numbers from step.noise"
)
"""What a message says of the two slips, before a training and in it."""


class Wanting(NamedTuple):
    """A tensor that wants a gradient and is in no optimiser of the training."""

    leaf: Tensor
    before: Tensor  # its numbers when it was seen first
    looks: int  # in how many of them it was there


class Watch:
    """Watches the weighter of one training.

    Args:
        where: whose weighter it is, for a message.
        steps: of the training.
        trial: whether this is a short trial, which compares networks by itself. Then weights that a
            method `after` of the weighter may still move are no fault.

    A weighter that divides the losses in place, where the networks' own losses stand:

    >>> from mtl_nt import Recipe, load
    >>> from mtl_nt.training import Replicas, fit
    >>> class Shares(Weighter):
    ...     def weights(self, step):
    ...         losses = step.losses
    ...         losses /= losses.sum(1, keepdim=True)
    ...         return losses
    >>> data, zero = load("dial"), torch.tensor([0])
    >>> all_tasks = torch.ones(1, len(data.tasks), dtype=torch.bool)
    >>> one = Replicas(zero, zero, all_tasks, all_tasks, group=zero, focus=zero - 1)
    >>> recipe = Recipe(trunk=(4,), steps=3)
    >>> fit([data], one, Shares(), recipe, watch=Watch("method 'Shares'", recipe.steps))
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: method 'Shares': its weighter writes into step.losses, of which the \
training is made; let it work on a copy, such as step.losses.clone()
    """

    def __init__(self, where: str, steps: int, trial: bool = False) -> None:
        self.where, self.steps, self.trial = where, steps, trial
        self.moments = {math.ceil(steps * (i + 1) / LOOKS) - 1 for i in range(LOOKS)}
        self.shown: list[tuple[str, Tensor, int, Tensor | None]] = []
        self.wanting: dict[int, Wanting] = {}
        self.learns = False

    def before(self, number: int, step: Step, weighter: Weighter) -> None:
        """Look at a step that the weighter has not seen yet.

        Raises:
            BadInput: the weights of a network depend on another one, or on nothing that is here.
        """
        look = number in self.moments
        if look and len(step.losses) > 1 and not self.trial:
            self._check_apart(step, weighter, kept=number % len(step.losses))
        self.shown = [
            (name, tensor, tensor._version, tensor.detach().clone() if look else None)
            for name, tensor in _shown(step)
        ]

    def after(self, number: int, objective: Tensor, moved: Collection[Tensor]) -> None:
        """Look at a step that the weighter has seen.

        Args:
            objective: of the step, with the graph of the weights.
            moved: all tensors that the training's optimiser moves.

        Raises:
            BadInput: the weighter has written into the step.
        """
        for name, tensor, version, numbers in self.shown:
            if tensor._version != version or not (numbers is None or _equal(tensor, numbers)):
                raise BadInput(
                    f"{self.where}: its weighter writes into step.{name}, of which the training is "
                    f"made; let it work on a copy, such as step.{name}.clone()"
                )
        if objective.requires_grad and (not self.learns or number in self.moments):
            self.learns = True
            for leaf in _leaves(objective):
                if leaf not in moved:
                    seen = self.wanting.get(id(leaf)) or Wanting(leaf, leaf.detach().clone(), 0)
                    self.wanting[id(leaf)] = seen._replace(looks=seen.looks + 1)

    def done(self, weighter: Weighter) -> None:
        """Look at a training that has ended.

        Raises:
            BadInput: the weights were to be learned, and nothing has moved what they are made of.
        """
        if self.trial and any(
            type(part).after is not Weighter.after
            for part in weighter.modules()
            if isinstance(part, Weighter)
        ):
            return
        for leaf, before, looks in self.wanting.values():
            if looks > 1 and _equal(leaf, before):
                raise BadInput(
                    f"{self.where}: its weights are to be learned from a tensor {[*leaf.shape]} "
                    "that no optimiser moves; make it in reset(like) as self.x = nn.Parameter(...) "
                    "(several: nn.ParameterList), or detach it"
                )

    def _check_apart(self, step: Step, weighter: Weighter, kept: int) -> None:
        """Check that a network's weights are the same whatever the other networks are."""
        others = _others_like(step, kept)
        found = [_row(weighter, shown, kept) for shown in (step, step, others)]
        first, again, apart = found
        if first is None or again is None or apart is None:
            return
        if not _same(first, again):
            raise BadInput(f"{self.where}: {REMEMBERS}")
        if not _same(first, apart):
            raise BadInput(f"{self.where}: {MIXES}")


def _shown(step: Step) -> Iterator[tuple[str, Tensor]]:
    """What a weighter may see and must not change, by its name."""
    yield from ((name, getattr(step, name)) for name in SHOWN)
    yield from (("head", step.head), ("raw", step.raw), ("features", step.forward_pass.features))
    yield "binary", step.binary


def _others_like(step: Step, kept: int) -> Step:
    """The step as if all networks were like one of them, which stays where it is."""
    rows = torch.full((len(step.losses),), kept, device=step.losses.device)

    def inputs_alike(table: Features) -> Features:
        if isinstance(table, Tensor):
            return table[rows]
        places = torch.arange(math.prod(table.shape[:-1]), device=table.device)
        return table.take(places.view(table.shape[:-1])[rows])

    seen = step.forward_pass
    norm = seen.batch_norm
    if norm is not None:
        tables = {n: getattr(norm, n)[rows] for n in ("standardised", "gain", "valid")}
        norm = norm._replace(**tables)
    forward_pass = replace(
        seen,
        features=seen.features[rows],
        inputs=inputs_alike(seen.inputs),
        activated=seen.activated[rows],
        keep=None if seen.keep is None else seen.keep[rows],
        batch_norm=norm,
    )
    decoder = step.decoder
    if decoder is not None:
        decoder = copy.deepcopy(decoder)
        for parameter in decoder.parameters():
            parameter.data = parameter.data[rows]
    tables = {name: getattr(step, name)[rows] for name in (*SHOWN, "head", "raw")}
    return replace(step, **tables, forward_pass=forward_pass, decoder=decoder)


def _row(weighter: Weighter, step: Step, kept: int) -> Float[Tensor, " S"] | None:
    """The weights and penalties of one network in this step and in two like it, from a copy.

    The second step begins an epoch, when some weighters do more than usual. None where the weighter
    cannot be copied, or cannot see a step twice.
    """
    try:
        copied, noise, found = _copy(weighter), copy.deepcopy(step.noise), []
        for begins in (step.first_batch, torch.ones_like(step.first_batch), step.first_batch):
            shown = replace(step, first_batch=begins, noise=noise)
            weights, penalty = copied.weights(shown).detach(), copied.penalty(shown).detach()
            copied.after(shown, weights)
            weights = torch.where(step.labelled, weights, 0.0)
            found += [weights[kept].double().cpu(), penalty[kept : kept + 1].double().cpu()]
        return torch.cat(found).nan_to_num()
    except Exception:  # what the training itself meets, it says by itself
        return None


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


def _same(one: Tensor, other: Tensor) -> bool:
    return bool(((one - other).abs() <= TOLERANCE * other.abs().amax()).all())


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same numbers, and NaN in the same places."""
    if one.shape != other.shape:
        return False
    return torch.equal(one, other) or bool(((one == other) | (one != one)).all())


def _leaves(result: Tensor) -> Iterator[Tensor]:
    """The tensors at which a graph begins."""
    seen, waiting = set(), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            yield leaf
        waiting += [following for following, _ in node.next_functions]
