"""Negative transfer in multi-task learning: data, models, task weighters, and an honest count."""

from typing import TYPE_CHECKING, Any

from .amtfl import AMTFL, UAMTFL, Balanced, SparseHeads
from .datasets import load
from .methods import METHODS, Method, plain, tuned, with_alpha, with_target
from .recipe import Recipe
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

if TYPE_CHECKING:
    from .study import Study, compare

__version__ = "0.1.0"

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
    """`compare` and `Study` on first use: they bring pandas, which loads for a third as long as
    torch.
    """
    if name not in ("Study", "compare"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import study

    return getattr(study, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
