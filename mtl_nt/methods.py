"""The papers' columns as recipes over one loop: which networks, which rows of W, which stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .batches import Replicas
from .metrics import constant_outputs
from .recipe import Recipe
from .records import History
from .streams import RESEEDED
from .tasks import BadInput, TaskData, nearest
from .training import Fit, fit, fitting_threads
from .weighters import (
    DWA,
    LBTW,
    RMTL,
    GradNorm,
    RandomWeights,
    Uncertainty,
    Uniform,
    Weighter,
    alpha_column,
)

Make = Callable[[Float[Tensor, "R 1"], Int[Tensor, " R"]], Weighter]


def plain(kind: Callable[..., Weighter], **options: Any) -> Make:
    """Make a weighter that needs neither alpha nor target."""
    return partial(_plain, kind, options)


def with_alpha(kind: Callable[..., Weighter], **options: Any) -> Make:
    """Make a weighter whose first argument is alpha."""
    return partial(_with_alpha, kind, options)


def with_target(kind: Callable[..., Weighter], **options: Any) -> Make:
    """Make a weighter whose first argument is the network's own task."""
    return partial(_with_target, kind, options)


def _plain(kind: Callable[..., Weighter], options: dict, alpha: Tensor, target: Tensor) -> Weighter:
    return kind(**options)


def _with_alpha(
    kind: Callable[..., Weighter], options: dict, alpha: Tensor, target: Tensor
) -> Weighter:
    return kind(alpha, **options)


def _with_target(
    kind: Callable[..., Weighter], options: dict, alpha: Tensor, target: Tensor
) -> Weighter:
    return kind(target, **options)


@dataclass(frozen=True)
class Method:
    """A way to train all tasks of a run.

    Args:
        name: the published name.
        weighter: (alpha column `[R, 1]`, target task `[R]`) -> Weighter.
        networks: "one" for all tasks; "each" = one a task, trained on all tasks and scored on its
            own; "single" = one a task, trained on this task alone.
        alpha: whether the method has an alpha.
        pretrain: train on all tasks but the own one first, then go on with that trunk.
        reseeded: another initialisation and batch order on the same runs.
        settings: training settings of its own, e.g. `{"learning_rate": 1e-3}`.
    """

    name: str
    weighter: Make = plain(Uniform)
    networks: Literal["one", "each", "single"] = "one"
    alpha: bool = False
    pretrain: bool = False
    reseeded: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [f.name for f in fields(Recipe)]
        for name in self.settings:
            if name not in known:
                raise BadInput(
                    f"method {self.name!r}: unknown setting {name!r}; {nearest(name, known)}"
                )

    def trained(self, tasks: int) -> int:
        """Networks trained for one run (and one alpha)."""
        return (1 if self.networks == "one" else tasks) * (2 if self.pretrain else 1)


STL = Method("STL", networks="single")
NULL = replace(STL, name="STL'", reseeded=True)
CONSTANT = "Constant"
"""The predictor that ignores the features: training mean or prevalence."""

METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        STL,
        Method("MTL"),
        Method("Fine-Tuning", networks="single", pretrain=True),
        Method("RMTL", with_target(RMTL), networks="each"),
        Method("LBTW", with_alpha(LBTW), alpha=True),
        Method("GradNorm", with_alpha(GradNorm), alpha=True),
        Method("Uncertainty", plain(Uncertainty)),
        Method("DWA", plain(DWA)),
        Method("RandomWeights", plain(RandomWeights)),
    )
}


def resolve(methods: Sequence[str | Method]) -> list[Method]:
    """Methods by name, each once, or one line that names the nearest.

    Raises:
        BadInput: an unknown method, the same name twice, no method.
    """
    if not isinstance(methods, Iterable) or isinstance(methods, str):
        methods = (methods,)
    found: list[Method] = []
    for m in methods:
        if not isinstance(m, Method):
            if m not in METHODS:
                raise BadInput(f"unknown method {m!r}; {nearest(m, METHODS)}")
            m = METHODS[m]
        if m.name in (f.name for f in found):
            raise BadInput(f"method {m.name!r} is there already; give every method once")
        if m.name in (NULL.name, CONSTANT) or (m.name == STL.name and m != STL):
            raise BadInput(f"{m.name!r} is what all are compared with; give yours another name")
        found.append(m)
    if not found:
        raise BadInput(f"no methods; choose from {', '.join(METHODS)}")
    return found


class Trained(NamedTuple):
    """One method on all runs. The first axis of everything counts alphas, the second runs."""

    predictions: Float[Tensor, "A S N T"]
    history: History  # of all networks of the last stage
    replicas: Replicas


def networks(method: Method, alphas: int, seeds: Sequence[int], tasks: int) -> Replicas:
    """The replicas that `method` needs: alphas x runs x (1 or T)."""
    each = method.networks != "one"
    a, s, t = torch.meshgrid(
        torch.arange(alphas),
        torch.arange(len(seeds)),
        torch.arange(tasks if each else 1),
        indexing="ij",
    )
    run, own = s.flatten(), torch.eye(tasks, dtype=torch.bool)[t.flatten()]
    everything = torch.ones(len(run), tasks, dtype=torch.bool)
    return Replicas(
        data=run,
        seed=torch.tensor(seeds)[run] + (RESEEDED if method.reseeded else 0),
        trained=own if method.networks == "single" else everything,
        scored=own if each else everything,
        group=(a * len(seeds) + s).flatten(),
        focus=t.flatten() if method.networks == "each" else torch.full_like(run, -1),
    )


def train(
    method: Method,
    runs: Sequence[TaskData],
    seeds: Sequence[int],
    recipe: Recipe,
    alphas: Sequence[float] = (0.0,),
    **options: Any,
) -> Trained:
    """Train a method on every run and alpha at once. `options` are those of `training.fit`.

    Args:
        runs: one a seed; the same object may stand for several.
        seeds: of initialisation and batches.
    """
    tasks = len(runs[0].tasks)
    replicas = networks(method, len(alphas), seeds, tasks)
    runs, replicas = _distinct(runs, replicas)
    per_alpha = len(replicas) // len(alphas)
    column = alpha_column([a for a in alphas for _ in range(per_alpha)])
    target = replicas.scored.int().argmax(1)
    start: Fit | None = None
    with fitting_threads(runs[0], replicas, recipe):
        if method.pretrain:
            if tasks < 2:
                raise BadInput(f"{method.name} needs two tasks or more; these data have one")
            others = replace(replicas, trained=~replicas.trained)
            early = {**options, "checkpoint": "last"}
            start = fit(runs, others, method.weighter(column, target), recipe, **early)
        done = fit(
            runs,
            replicas,
            method.weighter(column, target),
            recipe,
            trunk_from=start.network if start else None,
            **options,
        )
    shape = (len(alphas), len(seeds), *done.predictions.shape[1:])
    return Trained(done.predictions.reshape(shape), done.history, replicas)


def constant(runs: Sequence[TaskData]) -> list[Float[Tensor, "N T"]]:
    """Outputs of the predictor that ignores the features, for every run's test rows."""
    return [constant_outputs(run, len(run.split.test)) for run in runs]


def _distinct(runs: Sequence[TaskData], replicas: Replicas) -> tuple[list[TaskData], Replicas]:
    """Keep one copy of data that several runs share."""
    kept: list[TaskData] = []
    index = []
    for run in runs:
        place = next((i for i, k in enumerate(kept) if k is run), len(kept))
        kept += [run] if place == len(kept) else []
        index.append(place)
    return kept, replace(replicas, data=torch.tensor(index)[replicas.data])
