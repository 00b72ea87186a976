"""For all tests: one thread, and every annotated tensor shape of the package is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from beartype import beartype
from jaxtyping import install_import_hook

torch.set_num_threads(1)
pytest.register_assert_rewrite("book", "refusals")


def shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """beartype for tensor annotations alone: other bad input is for the package to refuse."""
    hints = function.__annotations__
    function.__annotations__ = {n: h if "jaxtyping." in repr(h) else Any for n, h in hints.items()}
    return beartype(function)


install_import_hook("mtl_nt", "conftest.shapes")

import outputs_close  # noqa: E402, F401  # how nbval compares; it imports the package
