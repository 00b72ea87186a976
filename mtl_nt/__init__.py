"""Negative transfer in multi-task learning: data, models, task weighters, and an honest count."""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes a moment to load
if TYPE_CHECKING:
    from typing import Any

    from .amtfl import AMTFL, UAMTFL, Balanced, SparseHeads
    from .datasets import load
    from .methods import METHODS, Method, plain, tuned, with_alpha, with_target
    from .recipe import Recipe
    from .study import Study, compare
    from .tasks import BadInput, Split, TaskData
    from .training import Stopped
    from .weighters import (
        DWA,
        LBTW,
        RMTL,
        Fixed,
        GradNorm,
        RandomWeights,
        Shuffled,
        Step,
        Uncertainty,
        Uniform,
        Weighter,
    )

__version__ = "0.1.0"

HOMES = {
    "amtfl": ("AMTFL", "UAMTFL", "Balanced", "SparseHeads"),
    "datasets": ("load",),
    "methods": ("METHODS", "Method", "plain", "tuned", "with_alpha", "with_target"),
    "recipe": ("Recipe",),
    "study": ("Study", "compare"),
    "tasks": ("BadInput", "Split", "TaskData"),
    "training": ("Stopped",),
    "weighters": ("DWA", "LBTW", "RMTL", "Fixed", "GradNorm", "RandomWeights", "Shuffled", "Step")
    + ("Uncertainty", "Uniform", "Weighter"),
}
"""The module of every public name."""

__all__ = [
    "AMTFL",
    "DWA",
    "LBTW",
    "METHODS",
    "RMTL",
    "UAMTFL",
    "BadInput",
    "Balanced",
    "Fixed",
    "GradNorm",
    "Method",
    "RandomWeights",
    "Recipe",
    "Shuffled",
    "SparseHeads",
    "Split",
    "Step",
    "Stopped",
    "Study",
    "TaskData",
    "Uncertainty",
    "Uniform",
    "Weighter",
    "compare",
    "load",
    "plain",
    "tuned",
    "with_alpha",
    "with_target",
]


def __getattr__(name: str) -> Any:
    """A public name, or a module, on first use: torch and pandas take seconds to load, in which a
    command must be able to end.
    """
    from importlib import import_module
    from importlib.util import find_spec

    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    if name.startswith("_") or find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
