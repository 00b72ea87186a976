"""The settings of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from ..errors import BadInput, is_finite_number, is_whole_number, suggestion
from ..tasks import TaskData
from .losses import LossOver
from .own_body import MakeBody, OwnBody, is_name_of_body

Activation = Literal["relu", "tanh", "sigmoid"]
Architecture = Literal["mlp", "lbtw", "lenet"]
Schedule = Literal["cosine", "drop", "constant"]
Initialisation = Literal["torch", "glorot", "amtfl", "lbtw"]
Loss = Literal["each", "softmax"]
Decay = Literal["all", "trunk"]

PRESETS = {"small": (64, 32), "medium": (256, 128), "large": (1024, 512)}
"""Hidden widths of a trunk, by name."""
LARGEST = 10**9  # of steps, and of whatever else is counted


@dataclass(frozen=True)
class Recipe:
    """The settings of a training: architecture, initialisation, optimiser and loss.

    Args:
        trunk: hidden widths. Of "lenet": the number of maps of both convolutions, and the hidden
            width. Of a body of your own: the width of the last shared layer, which follows it.
        architecture: "mlp", a multilayer perceptron; "lbtw", an MLP as in the code of Liu, Liang
            and Gitter (AAAI 2019), with dropout before the activation and a batch norm only after
            the last one; "lenet", for square images; or a body of your own, which is a class or a
            function without arguments that returns a new torch module (see `OwnBody`). The module
            turns a batch of rows, in the shape of `data.x`, into features `[B, D]`.
        kernel: side of LeNet's kernels.
        activation: "relu", "tanh" or "sigmoid", one for all hidden layers or one for each.
        dropout: probability in every hidden layer, in [0, 1).
        batch_norm: whether every hidden layer's linear part is followed by a batch norm (but see
            "lbtw").
        batch_norm_momentum: weight of a batch in the running statistics, in (0, 1]. The code of
            Liu, Liang and Gitter has 0.9, so that the last batch weighs most.
        initialisation: "torch", uniform in +-1 / sqrt(inputs), biases too; "glorot", uniform in
            +-sqrt(6 / (inputs + outputs)) and biases 0 (Glorot and Bengio, AISTATS 2010); "amtfl",
            as "glorot" but heads normal with standard deviation 0.01 (the code of Lee, Yang and
            Hwang, ICML 2018); "lbtw", normal with standard deviation 0.02 and biases 1 (the code of
            Liu, Liang and Gitter).
        steps: number of optimiser steps that every network takes.
        batch_size: number of rows in a step.
        learning_rate: of Adam, above 0.
        weight_decay: of Adam; a decay of d adds d / 2 |v|^2 to the objective.
        decay: which weights v decay, "all" of a network or only those of its "trunk".
        schedule: "cosine" anneals the learning rate to 0, "drop" divides it by ten for the second
            half, "constant" leaves it.
        loss: "each", every task has its own loss; "softmax", one cross-entropy over exclusive
            tasks, where outputs are the log odds of each class (see `network.log_odds`).
        loss_over: which rows a loss is the mean of (see `losses.task_losses`).

    Raises:
        BadInput: a setting is outside its range.

    >>> Recipe(trunk=(16,), steps=100).learning_rate
    0.003
    >>> Recipe(dropout=1.0)
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: dropout 1.0: must be in [0, 1)
    """

    trunk: tuple[int, ...] = (64, 32)
    architecture: Architecture | str | MakeBody = "mlp"
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
    loss_over: LossOver = "labelled"

    def __post_init__(self) -> None:
        own = _own_body(self.architecture)
        if own is not None:
            object.__setattr__(self, "architecture", own)
        if not self.trunk or not all(is_whole_number(width, 1) for width in self.trunk):
            raise BadInput(f"trunk {self.trunk}: give at least one hidden width of 1 or more")
        elif not isinstance(self.architecture, str):
            raise BadInput(
                f"architecture {self.architecture!r:.40}: give "
                f"{', '.join(CHOICES['architecture'])}, or a class or a function that makes a "
                "torch module"
            )
        for name, known in CHOICES.items():
            if name == "architecture" and own is not None:
                continue
            given = getattr(self, name)
            values = given if name == "activation" and isinstance(given, tuple) else (given,)
            for wrong in (value for value in values if value not in known):
                raise BadInput(f"unknown {name} {wrong!r}; {suggestion(wrong, known)}")
        if isinstance(self.activation, tuple):
            one = own is not None or self.architecture == "lenet"
            layers = 1 if one else len(self.trunk)
            if len(self.activation) != layers:
                raise BadInput(f"activation {self.activation}: give one, or one a hidden layer")
        if own is not None and len(self.trunk) != 1:
            raise BadInput(
                f"trunk {self.trunk}: one shared layer follows a body of your own; give its width, "
                f"as in trunk=({self.trunk[-1]},)"
            )
        if self.architecture == "lenet" and len(self.trunk) != 3:
            raise BadInput(f"trunk {self.trunk}: LeNet has three widths, such as (20, 50, 500)")
        for name in ("steps", "batch_size", "kernel"):
            if not is_whole_number(value := getattr(self, name), 1):
                raise BadInput(f"{name} {value!r}: must be a whole number, 1 or more")
            if value > LARGEST:
                raise BadInput(f"{name} {value!r:.30}: must be {LARGEST:,} at most")
        if not is_finite_number(self.learning_rate) or not self.learning_rate > 0:
            raise BadInput(f"learning_rate {self.learning_rate!r}: must be a number above 0")
        if not is_finite_number(self.weight_decay) or not self.weight_decay >= 0:
            raise BadInput(f"weight_decay {self.weight_decay!r}: must be a number, 0 or more")
        if not is_finite_number(self.dropout) or not 0 <= self.dropout < 1:
            raise BadInput(f"dropout {self.dropout!r}: must be in [0, 1)")
        momentum = self.batch_norm_momentum
        if not is_finite_number(momentum) or not 0 < momentum <= 1:
            raise BadInput(f"batch_norm_momentum {momentum!r}: must be in (0, 1]")
        if self.batch_norm not in (True, False):
            raise BadInput(f"batch_norm {self.batch_norm!r}: True or False")
        if self.batch_norm and self.batch_size < 2:
            raise BadInput("batch_norm needs a batch_size of 2 or more")

    @classmethod
    def for_data(cls, data: TaskData, **changes: Any) -> Recipe:
        """The recipe that the data set brings along, with some settings changed.

        Args:
            changes: settings by name, of which those that are None count as not given. A trunk may
                be one of the names in `PRESETS`.

        Raises:
            BadInput: a setting is unknown or outside its range.

        >>> from mtl_nt import load
        >>> Recipe.for_data(load("digits"), trunk="medium", steps=50).trunk
        (256, 128)
        """
        return cls._from_settings(data.recipe, changes)

    @classmethod
    def for_single_task(cls, data: TaskData, **changes: Any) -> Recipe:
        """The recipe for networks with one task each. Arguments and errors are those of `for_data`.

        >>> from mtl_nt import load
        >>> data = load("digits")
        >>> Recipe.for_single_task(data) == Recipe.for_data(data)  # where the data ask for no other
        True
        """
        return cls._from_settings({**data.recipe, **data.single}, changes)

    @classmethod
    def _from_settings(cls, defaults: Mapping[str, Any], changes: Mapping[str, Any]) -> Recipe:
        known = [f.name for f in fields(cls)]
        settings = {**defaults, **{k: v for k, v in changes.items() if v is not None}}
        for name in settings:
            if name not in known:
                raise BadInput(f"unknown training setting {name!r}; {unknown_setting(name)}")
        if isinstance(settings.get("trunk"), str):
            name = settings["trunk"]
            if name not in PRESETS:
                raise BadInput(f"unknown trunk {name!r}; {suggestion(name, PRESETS)}")
            settings["trunk"] = PRESETS[name]
        if _own_body(settings.get("architecture")) is not None:
            # The data's settings are those of other layers. The last layer keeps its own.
            usual = {f.name: f.default for f in fields(cls)}
            for name in ("trunk", "activation"):
                value = settings.get(name, usual[name])
                if changes.get(name) is None and isinstance(value, Sequence):
                    settings[name] = value if isinstance(value, str) else value[-1:]
        widths = settings.get("trunk", ())
        if not isinstance(widths, Sequence):
            raise BadInput(f"trunk {widths!r}: give hidden widths, or one of {', '.join(PRESETS)}")
        if "trunk" in settings:
            settings["trunk"] = tuple(widths)
        if isinstance(settings.get("activation"), list):
            settings["activation"] = tuple(settings["activation"])
        return cls(**settings)

    @property
    def own_body(self) -> OwnBody | None:
        """The body of somebody's own; None where the architecture is one of this package.

        >>> Recipe().own_body is None
        True
        """
        return self.architecture if isinstance(self.architecture, OwnBody) else None

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of every hidden layer, one each."""
        if isinstance(self.activation, tuple):
            return self.activation
        return (self.activation,) * len(self.trunk)


def _own_body(given: object) -> OwnBody | None:
    """What a body of somebody's own is called; None for what this package has."""
    if isinstance(given, OwnBody):
        return given
    if isinstance(given, str):
        return OwnBody.named(given) if is_name_of_body(given) else None
    return OwnBody(given) if callable(given) else None


CHOICES: dict[str, tuple[str, ...]] = {
    "activation": get_args(Activation),
    "architecture": get_args(Architecture),
    "initialisation": get_args(Initialisation),
    "decay": get_args(Decay),
    "schedule": get_args(Schedule),
    "loss": get_args(Loss),
    "loss_over": get_args(LossOver),
}


ALSO_CALLED = {
    "lr": "learning_rate",
    "eta": "learning_rate",
    "step_size": "learning_rate",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "epochs": "steps",
    "n_epochs": "steps",
    "iterations": "steps",
    "max_steps": "steps",
    "bs": "batch_size",
    "batch": "batch_size",
    "hidden": "trunk",
    "hidden_sizes": "trunk",
    "layers": "trunk",
    "widths": "trunk",
    "model": "architecture",
    "init": "initialisation",
    "scheduler": "schedule",
    "lr_schedule": "schedule",
    "criterion": "loss",
    "bn": "batch_norm",
}
"""Names that other libraries have for a setting."""
NO_SETTING = {
    **dict.fromkeys(
        ("body", "backbone", "encoder", "module", "network"),
        "a body of your own is an architecture: give architecture=Body",
    ),
    **dict.fromkeys(
        ("pos_weight", "class_weight", "class_weights"),
        "the data weigh classes: TaskData(..., class_weight='balanced'), and load has the same",
    ),
    **dict.fromkeys(
        ("sample_weight", "sample_weights", "row_weights"),
        "the data weigh labels: TaskData(..., weights=tensor), or load(..., weights='COLUMN')",
    ),
    **dict.fromkeys(
        ("task_weights", "loss_weights", "weights"),
        "tasks are weighed by a method: Method(name, plain(mtl_nt.Fixed, weights=...))",
    ),
    **dict.fromkeys(
        ("metric", "metrics", "scoring"),
        "a task's kind has its metrics; scores by any other are judged by Study.from_scores",
    ),
    **dict.fromkeys(
        ("seed", "random_state"),
        "the runs have the seeds 0, 1, ... or those of compare(..., seeds=[...])",
    ),
}
"""What to say of names that stand for no setting."""


def unknown_setting(name: object) -> str:
    """What an error message says after the name of a setting that no recipe has.

    >>> unknown_setting("lr")
    "did you mean 'learning_rate'?"
    >>> unknown_setting("sample_weight")
    "the data weigh labels: TaskData(..., weights=tensor), or load(..., weights='COLUMN')"
    """
    lower = str(name).lower()
    if lower in NO_SETTING:
        return NO_SETTING[lower]
    return suggestion(ALSO_CALLED.get(lower, name), [f.name for f in fields(Recipe)])
