"""What a weighter of somebody's own must keep to, watched while it trains.

A few steps before the training show most slips (see `study.own_methods`). Some begin later: after a
warm-up, or in an update that is rare. `Watch` looks on in every step:

- A weighter must not write into what a step shows, since the losses and the networks are made of
  the same numbers.
- Row r of the weights follows from network r alone, and from this training alone. One network is
  weighed a second time, as if it trained alone (see `alone`), and must get the same weights.
- What the weights are learned by must move. A tensor that wants a gradient and is in no optimiser
  would stay where it is.
- Weights are numbers to the network. A graph from them to its parameters would train it by other
  gradients than those of the weighted losses.

The package's own weighters are not watched, since tests ask more of them than this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import BadInput
from ..networks import Network
from ..weighters import Step, Weighter
from .alone import Again, Aside, Follower

LOOKS = 4  # at what costs more, in a training; the last one in its last step
SHOWN = ("losses", "labelled", "first_batch", "epoch", "valid", "support", "outputs", "errors")

MIXES = (
    "a network's weights change when another one trains beside it; sum and average over tasks "
    "(dim=1), never over networks, and give state and parameters one row for each network"
)
REMEMBERS = (
    "the weights of a training depend on the training before it; make all state in reset(like), "
    "one row for each network, and draw random numbers from step.noise"
)
MIXES_OR_REMEMBERS = (
    "its weights depend on an earlier training, or on networks beside; make all state in "
    "reset(like), not on a class, a global or in a closure, and average over tasks (dim=1) alone"
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
        alone: makes the weighter of one of the networks, by its number. None: they aren't compared.
        aside: where the calls of that weighter have lasting state of their own.

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

    def __init__(
        self,
        where: str,
        steps: int,
        trial: bool = False,
        alone: Callable[[int], Weighter] | None = None,
        aside: Aside | None = None,
    ) -> None:
        self.where, self.steps, self.trial, self.alone = where, steps, trial, alone
        self.aside = aside or _Nowhere()
        self.moments = {math.ceil(steps * (i + 1) / LOOKS) - 1 for i in range(LOOKS)}
        self.shown: list[tuple[str, Tensor, int, Tensor | None]] = []
        self.wanting: dict[int, Wanting] = {}
        self.learns = False
        self.follower: Follower | None = None
        self.parts: dict[str, set[int]] = {}

    def begin(self, network: Network, seeds: Sequence[int], like: Float[Tensor, "R T"]) -> None:
        """Get ready for a training of these networks.

        Args:
            seeds: of the networks.
            like: as for `Weighter.reset`.
        """
        modules = {"trunk": network.trunk, "head": network.head}
        self.parts = {n: {id(p) for p in part.parameters()} for n, part in modules.items()}
        if self.alone is not None:
            try:
                self.follower = Follower(self.alone, self.aside, seeds, like, self.steps)
            except Exception:  # what the training itself meets, it says by itself
                self.follower = None

    def ready(self, weighter: Weighter, again: Again) -> Again:
        """What `Weighter.read` is given in this step in place of `again`."""
        if self.follower is None:
            return again
        try:
            return self.follower.ready(weighter, again)
        except Exception:
            self.follower = None
            return again

    def before(self, number: int, step: Step, binary: Bool[Tensor, "*any O"]) -> None:
        """Look at a step that the weighter has not seen yet.

        Args:
            binary: which outputs are of binary tasks.
        """
        if self.follower is not None:
            try:
                if not self.follower.see(step, binary, first=number == 0):
                    self.follower = None
            except Exception:
                self.follower = None
        look = number in self.moments
        self.shown = [
            (name, tensor, tensor._version, tensor.detach().clone() if look else None)
            for name, tensor in _shown(step)
        ]

    def after(
        self,
        number: int,
        weighter: Weighter,
        weights: Float[Tensor, "R T"],
        penalty: Float[Tensor, " R"],
        step: Step,
        moved: Collection[Tensor],
    ) -> None:
        """Look at a step that the weighter has seen.

        Args:
            weights: of the step, with their graph.
            penalty: of the step, with its graph.
            step: the step.
            moved: all tensors that the training's optimiser moves.

        Raises:
            BadInput: the weighter has written into the step; its weights depend on other networks
                or on another training; or they have a graph to the network.
        """
        for name, tensor, version, numbers in self.shown:
            if tensor._version != version or not (numbers is None or _equal(tensor, numbers)):
                raise BadInput(
                    f"{self.where}: its weighter writes into step.{name}, of which the training is "
                    f"made; let it work on a copy, such as step.{name}.clone()"
                )
        look = number in self.moments
        self._check_alone(weighter, weights, penalty, step, look)
        if (weights.requires_grad or penalty.requires_grad) and (look or not self.learns):
            self.learns = True
            parts = [part for part in weighter.modules() if isinstance(part, Weighter)]
            reads = any(type(part).read is not Weighter.read for part in parts)
            self._check_leaves(weights, penalty, moved, reads)

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

    def _check_alone(
        self, weighter: Weighter, weights: Tensor, penalty: Tensor, step: Step, look: bool
    ) -> None:
        """Check that a network's weights are those that it would have alone."""
        if self.follower is None:
            return
        try:
            outputs = [step.outputs] if self.follower.reads else []
            self.follower.compare(weighter, [weights, penalty, *outputs])
            differs = look and self.follower.differs
        except Exception:
            self.follower = None
            return
        if differs:
            changed = MIXES_OR_REMEMBERS if self.aside.changed else MIXES
            raise BadInput(f"{self.where}: {REMEMBERS if self.follower.draws() else changed}")

    def _check_leaves(
        self, weights: Tensor, penalty: Tensor, moved: Collection[Tensor], reads: bool
    ) -> None:
        """Look at the tensors that the weights and the penalty are made of.

        Args:
            reads: whether the weighter reads the outputs, which carry a graph on purpose.
        """
        of_weights = {id(leaf): leaf for leaf in _leaves(weights)}
        for name, parameters in self.parts.items():
            if parameters & of_weights.keys() and not reads:
                raise BadInput(
                    f"{self.where}: its weights have a graph to the network's {name}, and would "
                    "train it; detach() what they are made of, such as step.head.detach() or "
                    "step.outputs; what shall train it is a penalty"
                )
        for leaf in (of_weights | {id(leaf): leaf for leaf in _leaves(penalty)}).values():
            if leaf not in moved:
                seen = self.wanting.get(id(leaf)) or Wanting(leaf, leaf.detach().clone(), 0)
                self.wanting[id(leaf)] = seen._replace(looks=seen.looks + 1)


class _Nowhere:
    """Calls have no lasting state of their own."""

    changed = False

    def __call__(self) -> nullcontext[None]:
        return nullcontext()


def _shown(step: Step) -> Iterator[tuple[str, Tensor]]:
    """What a weighter may see and must not change, by its name."""
    yield from ((name, getattr(step, name)) for name in SHOWN)
    yield from (("head", step.head), ("raw", step.raw), ("features", step.forward_pass.features))
    yield "binary", step.binary


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
