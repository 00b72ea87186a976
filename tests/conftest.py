"""For all tests: one thread, and every annotated tensor shape of the package is checked."""

from __future__ import annotations

import os
from dataclasses import is_dataclass
from functools import wraps
from importlib.util import find_spec
from typing import Any

import jaxtyping
import pytest
import torch
from beartype import beartype
from jaxtyping import config, install_import_hook, jaxtyped

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of kernels and commands: two at a time, two cores
pytest.register_assert_rewrite("book", "refusals")


def shapes(made: Any) -> Any:
    """The same function, or the dataclass, with its tensor annotations checked: other bad input is
    for the package to refuse. A function without any stays as it is, and is as fast.
    """
    if isinstance(made, type):
        if is_dataclass(made):
            made.__init__ = shapes(made.__init__)
        return made
    hints = made.__annotations__
    found = {name: evaluated(hint, made.__globals__) for name, hint in hints.items()}
    tensors = {name: hint for name, hint in found.items() if "jaxtyping." in repr(hint)}
    if not tensors:
        return made
    made.__annotations__ = tensors
    checked = beartype(made)
    made.__annotations__ = hints

    @wraps(made)
    def scoped(*arguments: Any, **options: Any) -> Any:
        if config.jaxtyping_disable:  # see refusals.py
            return made(*arguments, **options)
        with jaxtyped("context"):  # a name of an axis is one number during this call
            return checked(*arguments, **options)

    return scoped


def evaluated(hint: Any, names: dict[str, Any]) -> Any:
    """What a hint is; `Any` where a name in it is not there yet."""
    try:
        return eval(hint, names) if isinstance(hint, str) else hint
    except NameError:
        return Any


# The hook puts jaxtyping's own decorator at everything; `shapes` is all that shall be there.
jaxtyping.jaxtyped = lambda typechecker: typechecker
install_import_hook("mtl_nt", "conftest.shapes")

import outputs_close  # noqa: E402, F401  # how nbval compares; it imports the package

from mtl_nt.book import kernels, report  # noqa: E402

# What a test forks, a kernel or a program, comes from one process that has imported all of this;
# so do the kernels of the commands that a test calls.
kernels.PRELOADED += ("mtl_nt.book.report", "mtl_nt.audit.audit", "pytest")
report.ThisPythonKernel = kernels.PreloadedKernel


NEED_RDKIT = {  # examples, by name
    "mtl_nt.datasets.fingerprints.read_fingerprints",
    "mtl_nt.datasets.molecule_groups.describe_molecules",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who asks for a notebook that has run, or its page, starts a kernel; who asks for a browser
    opens Chromium. A chapter has tests of its own to run while it is written. Windows is not POSIX.
    """
    if find_spec("rdkit") is None:
        for item in items:
            if item.name in NEED_RDKIT:
                item.add_marker(pytest.mark.skip(reason="needs RDKit, the extra chem"))
    for item in items:
        wanted = {*getattr(item, "fixturenames", ())}
        if {"ran", "done", "reports"} & wanted:
            item.add_marker(pytest.mark.kernel)
        if "browser" in wanted:
            item.add_marker(pytest.mark.browser)
        if item.path.parent.name == "notebooks":
            item.add_marker(pytest.mark.slow)
        if os.name == "nt" and item.get_closest_marker("posix"):
            item.add_marker(pytest.mark.skip(reason="needs a shell, make, links or signals"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What every `book.Lesson` tests: once for each of its refusals and of its explorers."""
    for each, names in {"refusals": "changed said", "explorers": "cell sets stops"}.items():
        if hasattr(metafunc.cls, each) and {*names.split()} <= {*metafunc.fixturenames}:
            cases = getattr(metafunc.cls, each)
            metafunc.parametrize(names.split(), cases, ids=lambda value: str(value)[:40])
