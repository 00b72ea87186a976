"""How a method makes its weighter: from its options, and from what each network is given.

Each factory is a `partial` of a function of this module, so that it can be sent to other processes
and be told from another (see `identity`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput
from ..weighters import Weighter


class WeighterArguments(NamedTuple):
    """The arguments that a weighter can be made with; each has one row for each network."""

    alpha: Float[Tensor, "R 1"]
    target: Int[Tensor, " R"]  # number of the task that the network is for
    weights: Float[Tensor, "R T"]  # fixed task weights, see `search.Candidate`


WeighterFactory = Callable[[WeighterArguments], Weighter]
"""A function that makes the weighter of a stack of networks."""


def plain(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter that needs its options alone.

    Args:
        kind: the weighter's class, or a function that returns a weighter.
        options: keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> from mtl_nt import DWA, Method
    >>> Method("DWA, once more", plain(DWA)).networks
    'one'
    """
    return _factory(plain, kind, options, None)


def with_alpha(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter whose first argument is alpha, a column `[R, 1]`.

    Args:
        kind: the weighter's class, or a function of alpha that returns a weighter.
        options: further keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> from mtl_nt import LBTW, Method
    >>> Method("LBTW, average", with_alpha(LBTW, reference="average"), alpha=True).alpha
    True
    """
    return _factory(with_alpha, kind, options, "alpha")


def with_target(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter whose first argument is every network's target task, `[R]`.

    Args:
        kind: the weighter's class, or a function of the target that returns a weighter.
        options: further keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> from mtl_nt import Method, RMTL
    >>> Method("RMTL, once more", with_target(RMTL), networks="each").trained(tasks=9)
    9
    """
    return _factory(with_target, kind, options, "target")


def with_weights(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter whose first argument is the candidate's task weights, `[R, T]`.

    Args:
        kind: the weighter's class, or a function of the weights that returns a weighter.
        options: further keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> import torch
    >>> from mtl_nt import Fixed
    >>> make = with_weights(Fixed)
    >>> ones = torch.ones(1, 3)
    >>> make(WeighterArguments(ones[:, :1], torch.tensor([0]), ones)).given
    tensor([[1., 1., 1.]])
    """
    return _factory(with_weights, kind, options, "weights")


def _factory(
    function: Callable[..., WeighterFactory],
    kind: Callable[..., Weighter],
    options: Mapping[str, Any],
    first: str | None,
) -> WeighterFactory:
    """What one of the functions above gives, once it is checked that the class can be called so.

    Args:
        function: which of them it is, for a message.
        kind: the weighter's class.
        options: its options.
        first: the name of the argument that comes first, if any.
    """
    where, name = function.__name__, getattr(kind, "__name__", type(kind).__name__)
    if isinstance(kind, Weighter):
        raise BadInput(f"{where}({name}()): give the class, {where}({name}), and its options here")
    if not callable(kind):
        raise BadInput(f"{where}({kind!r:.40}): give a weighter's class, such as {where}(LBTW)")
    if fault := call_fault(kind, *[None] * (first is not None), **options):
        raise BadInput(
            f"{where}({name}): {fault}; give options by name, and use with_alpha, with_target or "
            "with_weights for a first argument of that kind"
        )
    return partial(_make, kind, options, first)


def _make(
    kind: Callable[..., Weighter],
    options: Mapping[str, Any],
    first: str | None,
    given: WeighterArguments,
) -> Weighter:
    """The weighter, whose first argument is what is given under this name, if any."""
    return kind(**options) if first is None else kind(getattr(given, first), **options)


def call_fault(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Why a function cannot be called in this way; nothing where it can, or where nobody knows."""
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError as error:
        return str(error)
    except ValueError:  # a function of C may have no signature
        return ""
    return ""
