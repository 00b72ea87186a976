"""Settings of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from .losses import Over
from .tasks import BadInput, TaskData, is_number, is_whole, nearest

Activation = Literal["relu", "tanh", "sigmoid"]
Architecture = Literal["mlp", "lbtw", "lenet"]
Schedule = Literal["cosine", "drop", "constant"]
Initialisation = Literal["torch", "glorot", "amtfl", "lbtw"]
Loss = Literal["each", "softmax"]
Decay = Literal["all", "trunk"]

PRESETS = {"small": (64, 32), "medium": (256, 128), "large": (1024, 512)}
"""Trunks by name: hidden widths."""
LARGEST = 10**9  # steps, and whatever else is counted


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Args:
        trunk: hidden widths; of "lenet" the maps of both convolutions and the hidden width.
        architecture: "mlp"; "lbtw" = an MLP as in the code of Liu, Liang and Gitter (AAAI-19), with
            dropout before the activation and batch norm after the last one alone; or "lenet" for
            square images.
        kernel: side of LeNet's kernels.
        activation: "relu", "tanh" or "sigmoid", for all hidden layers or one each.
        dropout: probability in every hidden layer, in [0, 1).
        batch_norm: after every hidden layer's linear part (but see "lbtw").
        batch_norm_momentum: weight of a batch in the running statistics, in (0, 1]; the code of
            Liu, Liang and Gitter has 0.9, of which the last batch is most.
        initialisation: "torch" = uniform in +-1 / sqrt(inputs), biases too; "glorot" = uniform in
            +-sqrt(6 / (inputs + outputs)), biases 0 (Glorot and Bengio, AISTATS 2010); "amtfl" = as
            "glorot", but heads normal with sd 0.01 (the code of Lee, Yang and Hwang, ICML 2018);
            "lbtw" = normal with sd 0.02 and biases 1 (the code of Liu, Liang and Gitter).
        steps: the budget, optimiser steps a network.
        batch_size: rows a step.
        learning_rate, weight_decay: of Adam; a decay of d adds d / 2 |v|^2 to the objective.
        decay: which weights v decay, "all" of a network or those of its "trunk" alone.
        schedule: "cosine" anneals the learning rate to 0, "drop" takes a tenth of it in the
            second half.
        loss: "each" = every task has its own; "softmax" = one cross-entropy over exclusive tasks,
            and outputs are the log odds of each class (see `models.log_odds`).
        loss_over: see `losses.task_losses`.

    Raises:
        BadInput: a setting outside its range, in one line.
    """

    trunk: tuple[int, ...] = (64, 32)
    architecture: Architecture = "mlp"
    kernel: int = 5
    activation: Activation | tuple[Activation, ...] = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    batch_norm_momentum: float = 0.1
    initialisation: Initialisation = "torch"
    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    decay: Decay = "all"
    schedule: Schedule = "cosine"
    loss: Loss = "each"
    loss_over: Over = "labelled"

    def __post_init__(self) -> None:
        if not self.trunk or not all(is_whole(width, 1) for width in self.trunk):
            raise BadInput(f"trunk {self.trunk}: give at least one hidden width of 1 or more")
        for name, known in CHOICES.items():
            given = getattr(self, name)
            every = given if name == "activation" and isinstance(given, tuple) else (given,)
            for wrong in (each for each in every if each not in known):
                raise BadInput(f"unknown {name} {wrong!r}; {nearest(wrong, known)}")
        if isinstance(self.activation, tuple):
            layers = 1 if self.architecture == "lenet" else len(self.trunk)
            if len(self.activation) != layers:
                raise BadInput(f"activation {self.activation}: give one, or one a hidden layer")
        if self.architecture == "lenet" and len(self.trunk) != 3:
            raise BadInput(f"trunk {self.trunk}: LeNet has three widths, such as (20, 50, 500)")
        for name in ("steps", "batch_size", "kernel"):
            if not is_whole(value := getattr(self, name), 1):
                raise BadInput(f"{name} {value!r}: must be a whole number, 1 or more")
            if value > LARGEST:
                raise BadInput(f"{name} {value!r:.30}: must be {LARGEST:,} at most")
        if not is_number(self.learning_rate) or not self.learning_rate > 0:
            raise BadInput(f"learning_rate {self.learning_rate!r}: must be a number above 0")
        if not is_number(self.weight_decay) or not self.weight_decay >= 0:
            raise BadInput(f"weight_decay {self.weight_decay!r}: must be a number, 0 or more")
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise BadInput(f"dropout {self.dropout!r}: must be in [0, 1)")
        momentum = self.batch_norm_momentum
        if not is_number(momentum) or not 0 < momentum <= 1:
            raise BadInput(f"batch_norm_momentum {momentum!r}: must be in (0, 1]")
        if self.batch_norm not in (True, False):
            raise BadInput(f"batch_norm {self.batch_norm!r}: True or False")
        if self.batch_norm and self.batch_size < 2:
            raise BadInput("batch_norm needs a batch_size of 2 or more")

    @classmethod
    def of(cls, data: TaskData, **given: Any) -> Recipe:
        """The data's own recipe, with what is given (and not None) in its place."""
        return cls._made(data.recipe, given)

    @classmethod
    def alone(cls, data: TaskData, **given: Any) -> Recipe:
        """The data's own recipe of single-task networks, in the same way."""
        return cls._made({**data.recipe, **data.single}, given)

    @classmethod
    def _made(cls, own: Mapping[str, Any], given: Mapping[str, Any]) -> Recipe:
        known = [f.name for f in fields(cls)]
        settings = {**own, **{k: v for k, v in given.items() if v is not None}}
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
        if isinstance(settings.get("activation"), list):
            settings["activation"] = tuple(settings["activation"])
        return cls(**settings)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of every hidden layer."""
        if isinstance(self.activation, tuple):
            return self.activation
        return (self.activation,) * len(self.trunk)


CHOICES: dict[str, tuple[str, ...]] = {
    "activation": get_args(Activation),
    "architecture": get_args(Architecture),
    "initialisation": get_args(Initialisation),
    "decay": get_args(Decay),
    "schedule": get_args(Schedule),
    "loss": get_args(Loss),
    "loss_over": get_args(Over),
}
