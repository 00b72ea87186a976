"""Negative transfer in multi-task learning: data, models, task weighters, and an honest count."""

from .datasets import load
from .methods import METHODS, Method, plain, with_alpha, with_target
from .recipe import Recipe
from .study import Study, compare
from .tasks import BadInput, Split, TaskData
from .training import Stopped
from .weighters import (
    DWA,
    LBTW,
    RMTL,
    GradNorm,
    RandomWeights,
    Shuffled,
    Step,
    Uncertainty,
    Uniform,
    Weighter,
)

__version__ = "0.1.0"

__all__ = [
    "DWA",
    "LBTW",
    "METHODS",
    "RMTL",
    "BadInput",
    "GradNorm",
    "Method",
    "RandomWeights",
    "Recipe",
    "Shuffled",
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
    "with_alpha",
    "with_target",
]
