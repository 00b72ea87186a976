"""What a weighter gives back, checked before anything is made of it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import BadInput
from ..weighters import Weighter

AXES = {1: "[networks]", 2: "[networks, tasks]", 3: "[networks, rows, outputs]"}


def checked(weighter: Weighter, method: str, given: object, like: Tensor) -> Tensor:
    """What a method of a weighter gives, if it is a tensor of real numbers like this one.

    Args:
        weighter: whose method it is.
        method: its name.
        given: what it gives.
        like: a tensor of the shape and on the device that it must have.

    Raises:
        BadInput: it is anything else. A smaller tensor would be stretched without a word.

    >>> from mtl_nt import Uniform
    >>> checked(Uniform(), "predict", torch.ones(2, 5, 1), torch.ones(2, 5, 3))
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: Uniform.predict gives shape [2, 5, 1]; it must give a tensor \
[networks, rows, outputs] of real numbers, here [2, 5, 3]
    """
    if not isinstance(given, Tensor):
        what = f"a {type(given).__name__}"
    elif given.shape != like.shape:
        what = f"shape {[*given.shape]}"
    elif given.is_complex():
        what = "complex numbers"
    elif given.layout != torch.strided:
        what = "a sparse tensor"
    elif given.device != like.device:
        what = f"a tensor on {str(given.device)!r} for networks on {str(like.device)!r}"
    else:
        return given
    raise BadInput(
        f"{type(weighter).__name__}.{method} gives {what}; it must give a tensor {AXES[like.ndim]} "
        f"of real numbers, here {[*like.shape]}"
    )
