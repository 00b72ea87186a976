"""Settings of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from .losses import Over
from .models import ACTIVATIONS, PRESETS
from .tasks import BadInput, TaskData, is_number, is_whole, nearest


@dataclass(frozen=True)
class Recipe:
    """Settings of a training. `steps` is the budget: optimiser steps a network.

    Raises:
        BadInput: a setting outside its range, in one line.
    """

    trunk: tuple[int, ...] = (64, 32)
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    loss_over: Over = "labelled"

    def __post_init__(self) -> None:
        if not self.trunk or not all(is_whole(width, 1) for width in self.trunk):
            raise BadInput(f"trunk {self.trunk}: give at least one hidden width of 1 or more")
        if self.activation not in ACTIVATIONS:
            hint = nearest(self.activation, ACTIVATIONS)
            raise BadInput(f"unknown activation {self.activation!r}; {hint}")
        for name in ("steps", "batch_size"):
            if not is_whole(getattr(self, name), 1):
                raise BadInput(f"{name} {getattr(self, name)!r}: must be a whole number, 1 or more")
        if not is_number(self.learning_rate) or not self.learning_rate > 0:
            raise BadInput(f"learning_rate {self.learning_rate!r}: must be a number above 0")
        if not is_number(self.weight_decay) or not self.weight_decay >= 0:
            raise BadInput(f"weight_decay {self.weight_decay!r}: must be a number, 0 or more")
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise BadInput(f"dropout {self.dropout!r}: must be in [0, 1)")
        if self.batch_norm not in (True, False):
            raise BadInput(f"batch_norm {self.batch_norm!r}: True or False")
        if self.batch_norm and self.batch_size < 2:
            raise BadInput("batch_norm needs a batch_size of 2 or more")
        if self.schedule not in ("cosine", "constant"):
            raise BadInput(f"schedule {self.schedule!r}: 'cosine' or 'constant'")
        if self.loss_over not in get_args(Over):
            raise BadInput(f"loss_over {self.loss_over!r}: 'labelled' or 'all'")

    @classmethod
    def of(cls, data: TaskData, **given: Any) -> Recipe:
        """The data's own recipe, with what is given (and not None) in its place."""
        known = [f.name for f in fields(cls)]
        settings = {**data.recipe, **{k: v for k, v in given.items() if v is not None}}
        for name in settings:
            if name not in known:
                raise BadInput(f"unknown training setting {name!r}; {nearest(name, known)}")
        if isinstance(settings.get("trunk"), str):
            name = settings["trunk"]
            if name not in PRESETS:
                raise BadInput(f"unknown trunk {name!r}; {nearest(name, PRESETS)}")
            settings["trunk"] = PRESETS[name]
        widths = settings.get("trunk", ())
        if not isinstance(widths, Sequence):
            raise BadInput(f"trunk {widths!r}: give hidden widths, or one of {', '.join(PRESETS)}")
        if "trunk" in settings:
            settings["trunk"] = tuple(widths)
        return cls(**settings)
