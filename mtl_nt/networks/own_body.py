"""A body of your own: any torch module that turns the rows of a batch into features.

`compare(..., architecture=Body)` takes it. The package puts the last shared layer and one linear
head per task on it, so every method works. `trunks.OwnTrunk` holds one module for each network;
here is how a module is made, and what is asked of it before anything trains.

A convolution on images of 8 x 8 pixels, with 32 units that all tasks share on top of it:

>>> import mtl_nt
>>> class Body(nn.Module):  # [B, 1, 8, 8] -> [B, 288], in the shape of data.x
...     def __init__(self):
...         super().__init__()
...         self.layers = nn.Sequential(nn.Conv2d(1, 8, 3), nn.GELU(), nn.MaxPool2d(2))
...     def forward(self, x):
...         return self.layers(x).flatten(1)
>>> digits, usual = mtl_nt.load("digits"), {"steps": 2, "seeds": 2, "progress": False}
>>> study = mtl_nt.compare(digits, "GradNorm", architecture=Body, trunk=(32,), **usual)
>>> study.recipe.architecture
'own body Body'
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..bits import Bits
from ..errors import BadInput, is_finite_number
from ..tasks import TaskData
from .random_streams import generator

PREFIX = "own body "
LONGEST_NAME = 200
EXAMPLES = 4  # rows that a body is tried on; half as many are the other batch size
TOLERANCE = 1e-5
"""Two passes that should be equal may differ by this share of the largest number."""
MIXED = 1e-4  # the same for a row among other rows, whose sums are made in another order

MakeBody = Callable[[], nn.Module]
"""A class or a function without arguments that returns a new module `[B, ...]` -> `[B, D]`."""


class BodySize(NamedTuple):
    """What one body needs, as its passes over a few rows have shown."""

    width: int  # D
    parameters: int
    multiplications: int  # of one row's pass, in layers that have weights: about
    activations: int  # numbers that one row's pass leaves for the backward pass


class OwnBody(str):
    """The name of a body of your own, such as "own body Net", with the function that makes it.

    It is a text, so files, captions and tables show it as it is. A file has the name alone: where a
    network is to be made from a file, somebody has to give the body again.

    Args:
        make: a class or a function without arguments that returns a new torch module. It is called
            once for each network. For a class with arguments, give `functools.partial(Net, 128)`.
        version: a number or a text that stands for the code of the body where results are kept in a
            folder. Without it, the code is compared with all that it reads (see `study.identity`).
            With it, whoever changes the body changes the version too.

    Raises:
        BadInput: no function, a function with arguments, a module, or an unusable version.

    >>> OwnBody(lambda: nn.Linear(8, 3)), OwnBody(nn.Identity, version=2)
    ('own body lambda', 'own body Identity, version 2')
    """

    make: MakeBody | None
    version: str | float | None
    _measured: dict[tuple[int, ...], BodySize]

    def __new__(cls, make: MakeBody, version: str | float | None = None) -> OwnBody:
        if isinstance(make, nn.Module):
            name = type(make).__name__
            raise BadInput(
                f"architecture: a {name} that is made already; every network needs one of its own, "
                f"so give the class {name}, or a function that makes one"
            )
        if isinstance(make, str) or not callable(make):
            raise BadInput(
                f"architecture {make!r:.40}: give a function without arguments that makes a module"
            )
        if fault := _call_fault(make):
            raise BadInput(
                f"architecture {_name(make)}: it is called without arguments ({fault:.80}); give "
                f"functools.partial({_name(make)}, ...) with them"
            )
        if not isinstance(version, (str, type(None))) and not is_finite_number(version):
            raise BadInput(f"version {version!r:.40}: give a number or a text")
        also = "" if version is None else f", version {version}"
        return cls._of(f"{PREFIX}{_name(make)}{also}"[:LONGEST_NAME], make, version)

    @classmethod
    def named(cls, text: str) -> OwnBody:
        """The body that a file names. It cannot be made.

        Raises:
            BadInput: no such name.

        >>> OwnBody.named("own body Net").make is None
        True
        """
        if not is_name_of_body(text):
            raise BadInput(f"{text!r:.60} names no body of somebody's own")
        return cls._of(str(text), None, None)

    @classmethod
    def _of(cls, text: str, make: MakeBody | None, version: str | float | None) -> OwnBody:
        body = super().__new__(cls, text)
        body.make, body.version, body._measured = make, version, {}
        return body

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OwnBody):
            return str.__eq__(self, other) if isinstance(other, str) else NotImplemented
        same = self.make is other.make or self.make == other.make
        return str.__eq__(self, other) and same and self.version == other.version

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __reduce__(self) -> Any:
        return OwnBody._of, (str(self), self.make, self.version)

    def __deepcopy__(self, memo: object) -> OwnBody:
        return self

    def build(self, seed: int, rows: Float[Tensor, "B ..."]) -> tuple[nn.Module, int]:
        """A new module with the initial weights of this seed, and the number of its features, D.

        torch's own random numbers go on as if nothing had been drawn.

        Args:
            rows: some that the module is tried on, which makes the weights of a lazy one.

        Raises:
            BadInput: what is made is no module, lies on another device, or gives no `[B, D]`; or
                the body is known by its name alone.
        """
        if self.make is None:
            raise BadInput(
                f"the networks have an {self}, which no file has; give it again, as "
                "architecture=..."
            )
        with own_chance(rows.device):
            restart(int(generator(seed, "body").integers(2**62)), rows.device)
            module: object = self.make()
            if not isinstance(module, nn.Module):
                raise BadInput(
                    f"{self}: its function gives no module but type {type(module).__name__}; let "
                    "it return a torch.nn.Module"
                )
            for name, value in (*module.named_parameters(), *module.named_buffers()):
                if value.device != rows.device:
                    raise BadInput(
                        f"{self}: {name!r} is made on {value.device}; make it on the CPU, and the "
                        "training moves it"
                    )
            module.to(rows.dtype).eval()
            with torch.no_grad():
                width = self.features(module, rows.clone()).shape[1]
        return module.train(), width

    def features(self, module: nn.Module, rows: Float[Tensor, "B ..."]) -> Float[Tensor, "B D"]:
        """What a module makes of these rows, if it is one row of features for each.

        Raises:
            BadInput: it gives something else, or cannot take rows of this shape.
        """
        try:
            given: object = module(rows)
        except Exception as error:
            if fault := _shape_fault(error):
                raise BadInput(
                    f"{self}: it cannot take a batch of the shape {[*rows.shape]} ({fault:.90}); "
                    "make its layers for rows as in data.x, here of the shape "
                    f"{[*rows.shape[1:]]}"
                ) from error
            error.add_note(f"This was the {self}, with a batch of the shape {[*rows.shape]}.")
            raise
        good = isinstance(given, Tensor) and given.is_floating_point() and given.ndim == 2
        if isinstance(given, Tensor) and good and len(given) == len(rows) and given.shape[1]:
            return given
        what = f"type {type(given).__name__}"
        if isinstance(given, Tensor):
            what = f"{[*given.shape]} of {str(given.dtype).removeprefix('torch.')}"
        raise BadInput(
            f"{self}: it gives {what} for {len(rows)} rows; give floating-point features "
            f"[{len(rows)}, D], such as by flatten(1)"
        )

    def measured(self, rows: Float[Tensor, "B ..."]) -> BodySize:
        """The size of the body, which is checked when it is measured for the first time.

        Args:
            rows: of the data; two or more.

        Raises:
            BadInput: two calls share weights, or one seed gives two initialisations; the features
                are not `[B, D]` with one D, not finite, or without a gradient; or the features of a
                row change with the other rows when the body is judged. (Of a body that draws random
                numbers even then, nobody can tell.)

        >>> OwnBody(lambda: nn.Linear(8, 3)).measured(torch.ones(4, 8))
        BodySize(width=3, parameters=27, multiplications=24, activations=8)
        """
        key = tuple(rows.shape[1:])
        if key not in self._measured:
            (one, _), (other, _) = self.build(0, rows), self.build(0, rows)
            self._check_weights(one, other)
            self._check_features(one, other, rows)
            self._measured[key] = _size(self, one, rows)
        return self._measured[key]

    def _check_weights(self, one: nn.Module, other: nn.Module) -> None:
        """Two calls must give two modules, and one seed the same numbers."""
        if one is other or {*map(id, _state(one))} & {*map(id, _state(other))}:
            raise BadInput(
                f"{self}: two calls share weights or statistics, and every network needs its own; "
                "make all layers inside the function, or copy.deepcopy a trained part there"
            )
        first, second = one.state_dict(), other.state_dict()
        if first.keys() != second.keys() or not all(_same(first[k], second[k]) for k in first):
            raise BadInput(
                f"{self}: two calls with the same seed give other weights; draw them with torch "
                "alone, whose generator is seeded for every network"
            )

    def _check_features(self, one: nn.Module, other: nn.Module, rows: Tensor) -> None:
        some = rows[: len(rows) // 2]
        with own_chance(rows.device):
            restart(0, rows.device)
            training, fewer = self.features(one, rows.clone()), self.features(one, some.clone())
            restart(0, rows.device)
            again = self.features(other, rows.clone())
            with torch.no_grad():
                restart(0, rows.device)
                judged = self.features(one.eval(), rows.clone())
                last = self.features(one, rows.flip(0)[: len(some)].clone())
                restart(1, rows.device)
                sampled = not _same(self.features(one, rows.clone()), judged)
        one.train()
        if not fewer.shape[1] == training.shape[1] == judged.shape[1]:
            raise BadInput(
                f"{self}: {len(rows)} rows have {training.shape[1]} features each and {len(some)} "
                f"rows have {fewer.shape[1]}; give the same number whatever the batch"
            )
        if not (training.isfinite().all() and judged.isfinite().all()):
            raise BadInput(
                f"{self}: with its initial weights it gives numbers that are not finite; divide by "
                "nothing that can be 0, and scale the features"
            )
        if not sampled and not _same(last, judged.flip(0)[: len(last)], MIXED):
            raise BadInput(
                f"{self}: when it is judged (eval), the features of a row change with the other "
                "rows of the batch, so test rows would leak into predictions; let a row's features "
                "depend on that row alone, as batch norm's running statistics do"
            )
        if any(p.requires_grad for p in one.parameters()) and not training.requires_grad:
            raise BadInput(
                f"{self}: its features have no gradient, so its weights would never learn; leave "
                "out no_grad and detach, or give weights without requires_grad"
            )
        if not _same(training.detach(), again.detach()):
            raise BadInput(
                f"{self}: the same batch and seed give other features; draw random numbers with "
                "torch alone, whose generator is seeded for every network and step"
            )


def is_name_of_body(text: object) -> bool:
    """Whether a text is what a file says of a body of somebody's own.

    >>> is_name_of_body("own body Net"), is_name_of_body("mlp")
    (True, False)
    """
    return (
        isinstance(text, str)
        and text.startswith(PREFIX)
        and text.isprintable()
        and len(text) <= LONGEST_NAME
    )


def example_rows(run: TaskData, architecture: object) -> Float[Tensor, "B ..."] | None:
    """A few training rows in the shape of `run.x`, to try a body on. Bits become zeros and ones.

    An architecture of this package needs none, and gets None.

    >>> from mtl_nt import load
    >>> example_rows(load("digits"), OwnBody(nn.Flatten)).shape
    torch.Size([4, 1, 8, 8])
    """
    if not isinstance(architecture, OwnBody):
        return None
    train = run.split.train
    numbers = train[torch.arange(EXAMPLES) % len(train)]
    rows = run.x.take(numbers).to_dense() if isinstance(run.x, Bits) else run.x[numbers]
    return rows.float()


def made_rows(*shape: int) -> Float[Tensor, "B ..."]:
    """Rows of zeros and ones that alternate, for want of real ones.

    >>> made_rows(3)[:2].tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    """
    features = torch.Size(shape).numel()
    alternating = torch.arange(EXAMPLES).unsqueeze(1) + torch.arange(features)
    return (alternating % 2).float().unflatten(1, shape)


ONE_THREAD = RLock()


@contextmanager
def own_chance(device: torch.device) -> Iterator[None]:
    """Give torch's generators back as they were found.

    All threads of a process share them, so one thread at a time may draw.

    >>> before = torch.get_rng_state()
    >>> with own_chance(torch.device("cpu")):
    ...     _ = torch.rand(3)
    >>> torch.equal(torch.get_rng_state(), before)
    True
    """
    elsewhere = device.type != "cpu"
    kind = device.type if elsewhere else "cuda"
    with ONE_THREAD, torch.random.fork_rng([device] if elsewhere else [], device_type=kind):
        yield


def restart(seed: int, device: torch.device) -> None:
    """Let the generators of the CPU and of this device begin with this seed."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        number = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[number].manual_seed(seed)
    elif device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def needs_two_rows(body: nn.Module) -> bool:
    """Whether a part of a body is one of torch's batch norms: a single row has no statistics.

    >>> needs_two_rows(nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3)))
    True
    """
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in body.modules())


def _size(body: OwnBody, module: nn.Module, rows: Tensor) -> BodySize:
    """Count what passes over all rows and over half of them leave behind; the rest is no row's."""
    some, kept, work = rows[: len(rows) // 2], [], [0]

    def count(layer: nn.Module, _: object, given: object) -> None:
        for weight in layer.parameters(recurse=False):
            if isinstance(given, Tensor) and weight.ndim > 1 and not isinstance(layer, LOOK_UP):
                work[0] += given.numel() * (weight.numel() // len(weight))

    hooks = [layer.register_forward_hook(count) for layer in module.modules()]
    width = 0
    with own_chance(rows.device):
        for batch in (rows, some):
            seen: dict[int, int] = {}

            def keep(saved: Tensor, seen: dict[int, int] = seen) -> Tensor:
                seen[saved.untyped_storage().data_ptr()] = saved.numel()
                return saved

            restart(0, rows.device)
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
                width = body.features(module, batch.clone()).shape[1]
            kept.append(sum(seen.values()))
    for hook in hooks:
        hook.remove()
    return BodySize(
        width,
        sum(p.numel() for p in module.parameters()),
        work[0] // (len(rows) + len(some)),
        max(0, kept[0] - kept[1]) // (len(rows) - len(some)),
    )


LOOK_UP = (nn.Embedding, nn.EmbeddingBag)
"""Layers that multiply nothing with their weights."""


def _state(module: nn.Module) -> list[Tensor]:
    """Weights and statistics: what a training changes, or moves to another device."""
    return [*module.parameters(), *module.buffers()]


def _same(one: Tensor, other: Tensor, tolerance: float = TOLERANCE) -> bool:
    if one.shape != other.shape or not one.numel():
        return one.shape == other.shape
    gap = (one.double() - other.double()).abs().amax()
    return not bool(gap > tolerance * other.double().abs().amax())


def _shape_fault(error: Exception) -> str:
    """What an error says of shapes that do not fit; nothing where it is about something else."""
    said = str(error).partition("\n")[0]
    about = re.search(r"shape|size|dimension|channel|unflatten|elements", said, re.IGNORECASE)
    kinds = (RuntimeError, ValueError, IndexError)
    return said if isinstance(error, kinds) and about and "memory" not in said else ""


def _name(make: Any) -> str:
    """What a class, a function, or what a `partial` calls, is called."""
    make = getattr(make, "func", make)
    name = getattr(make, "__name__", type(make).__name__)
    return "".join(c for c in str(name) if c.isalnum() or c in "_. ") or "without a name"


def _call_fault(make: MakeBody) -> str:
    """Why a function cannot be called without arguments; nothing where it can."""
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        return str(error)
    except ValueError:  # nobody knows its parameters
        pass
    return ""
