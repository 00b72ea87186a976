"""What every room refuses with, before anything slow is loaded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mtl_nt import BadInput
from mtl_nt.errors import suggestion


def test_bad_input_is_a_value_error() -> None:
    assert issubclass(BadInput, ValueError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mnits", "did you mean 'mnist' or 'digits'?"),
        ("DIGITS", "did you mean 'digits'?"),
        ("tox21", "known: dial, digits, mnist"),
        (3, "known: dial, digits, mnist"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_or_with_all(name: Any, hint: str) -> None:
    assert suggestion(name, ("dial", "digits", "mnist")) == hint


def test_a_wrong_word_of_a_command_is_refused_before_torch_is_loaded() -> None:
    code = (
        "import sys; from mtl_nt.commands import main; status = main(['reprot'])\n"
        "print(status, {'torch', 'numpy', 'pandas'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "2 set()\n"
    assert "reprot" in done.stderr
