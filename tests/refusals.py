"""What every test of bad input asks: one line that says what is wrong, and where."""

from __future__ import annotations

from collections.abc import Callable

import jaxtyping
import pytest

from mtl_nt import BadInput


def refused(call: Callable[[], object], *words: str) -> None:
    """The package itself, without the tests' check of shapes, says these words in one line."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(BadInput) as caught:
            call()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert 10 < len(message) < 280, message
    for word in words:
        assert word in message, message
