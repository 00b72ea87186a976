"""Negative transfer in multi-task learning: data, models, task weighters, and an honest count."""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes a moment to load
if TYPE_CHECKING:
    from typing import Any

    from .datasets import load
    from .errors import BadInput
    from .networks import OwnBody, Recipe
    from .study import (
        METHODS,
        FittedPlan,
        Method,
        Study,
        TaskPlan,
        compare,
        fit_plan,
        load_plan,
        plain,
        tuned,
        with_alpha,
        with_target,
    )
    from .tasks import Split, TaskData
    from .training import Stopped
    from .weighters import (
        AMTFL,
        DWA,
        LBTW,
        MGDA,
        RMTL,
        UAMTFL,
        Balanced,
        CAGrad,
        Fixed,
        Frozen,
        GradNorm,
        NashMTL,
        PCGrad,
        Permuted,
        RandomWeights,
        Shuffled,
        SparseHeads,
        Step,
        Uncertainty,
        Uniform,
        Weighter,
    )

__version__ = "0.1.0"

HOMES = {
    "datasets": ("load",),
    "errors": ("BadInput",),
    "networks": ("OwnBody", "Recipe"),
    "study": ("METHODS", "Method", "Study", "compare", "plain", "tuned", "with_alpha")
    + ("with_target", "FittedPlan", "TaskPlan", "fit_plan", "load_plan"),
    "tasks": ("Split", "TaskData"),
    "training": ("Stopped",),
    "weighters": ("AMTFL", "DWA", "LBTW", "MGDA", "RMTL", "UAMTFL", "Balanced", "CAGrad", "Fixed")
    + ("Frozen", "GradNorm", "NashMTL", "PCGrad", "Permuted", "RandomWeights", "Shuffled")
    + ("SparseHeads", "Step", "Uncertainty", "Uniform", "Weighter"),
}
"""The room of every public name."""

__all__ = [
    "AMTFL",
    "DWA",
    "LBTW",
    "METHODS",
    "MGDA",
    "RMTL",
    "UAMTFL",
    "BadInput",
    "Balanced",
    "CAGrad",
    "FittedPlan",
    "Fixed",
    "Frozen",
    "GradNorm",
    "Method",
    "NashMTL",
    "OwnBody",
    "PCGrad",
    "Permuted",
    "RandomWeights",
    "Recipe",
    "Shuffled",
    "SparseHeads",
    "Split",
    "Step",
    "Stopped",
    "Study",
    "TaskData",
    "TaskPlan",
    "Uncertainty",
    "Uniform",
    "Weighter",
    "compare",
    "fit_plan",
    "load",
    "load_plan",
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
