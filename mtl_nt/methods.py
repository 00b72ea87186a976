"""The papers' columns as recipes over one loop: which networks, which rows of W, which stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .amtfl import AMTFL, UAMTFL, SparseHeads
from .batches import Replicas
from .metrics import constant_outputs
from .recipe import Recipe
from .streams import RESEEDED, generator
from .tasks import BadInput, TaskData, nearest
from .weighters import (
    DWA,
    LBTW,
    RMTL,
    Fixed,
    GradNorm,
    RandomWeights,
    Uncertainty,
    Uniform,
    Weighter,
)


class Given(NamedTuple):
    """What a weighter may be made of: a row a network."""

    alpha: Float[Tensor, "R 1"]
    target: Int[Tensor, " R"]  # the network's own task
    weights: Float[Tensor, "R T"]  # of the candidate, see `Candidate`


Make = Callable[[Given], Weighter]


def plain(kind: Callable[..., Weighter], **options: Any) -> Make:
    """Make a weighter that needs neither alpha nor target."""
    return partial(_plain, kind, options)


def with_alpha(kind: Callable[..., Weighter], **options: Any) -> Make:
    """Make a weighter whose first argument is alpha."""
    return partial(_with_alpha, kind, options)


def with_target(kind: Callable[..., Weighter], **options: Any) -> Make:
    """Make a weighter whose first argument is the network's own task."""
    return partial(_with_target, kind, options)


def with_weights(kind: Callable[..., Weighter], **options: Any) -> Make:
    """Make a weighter whose first argument is the candidate's task weights."""
    return partial(_with_weights, kind, options)


def _plain(kind: Callable[..., Weighter], options: dict, given: Given) -> Weighter:
    return kind(**options)


def _with_alpha(kind: Callable[..., Weighter], options: dict, given: Given) -> Weighter:
    return kind(given.alpha, **options)


def _with_target(kind: Callable[..., Weighter], options: dict, given: Given) -> Weighter:
    return kind(given.target, **options)


def _with_weights(kind: Callable[..., Weighter], options: dict, given: Given) -> Weighter:
    return kind(given.weights, **options)


class Candidate(NamedTuple):
    """One of the settings that a tuned method chooses from, on validation rows."""

    settings: tuple[tuple[str, float], ...] = ()  # in place of the recipe's
    weights: tuple[float, ...] | None = None  # of the tasks
    alpha: float | None = None  # in place of the arm's


def with_settings(recipe: Recipe, candidate: Candidate) -> Recipe:
    """The recipe with the candidate's settings in place of its own."""
    settings: dict[str, Any] = dict(candidate.settings)
    return replace(recipe, **settings)


Search = Callable[[int, int, Recipe], list[Candidate]]
Predictor = Callable[[TaskData], Tensor]
"""Outputs `[N, T]` on a run's test rows, without a network."""


def linear(name: str) -> Predictor:
    """One of `linear.PREDICTORS`; scikit-learn is loaded when it is used."""
    return partial(_linear, name)


def _linear(name: str, run: TaskData) -> Tensor:
    from .linear import PREDICTORS

    return PREDICTORS[name](run)


def rates(trials: int, tasks: int, recipe: Recipe) -> list[Candidate]:
    """Learning rates and weight decays: the recipe's own, then random ones.

    The rate is log-uniform within a factor of 10 of the recipe's, the decay within a factor of 100
    (of 1e-4 where the recipe has none).
    """
    decay = recipe.weight_decay or 1e-4
    random = generator(0, "search")
    drawn = random.uniform(-1, 1, (trials - 1, 2))
    return [Candidate()] + [
        Candidate(
            (
                ("learning_rate", float(recipe.learning_rate * 10**rate)),
                ("weight_decay", float(decay * 100**more)),
            )
        )
        for rate, more in drawn
    ]


def task_weights(trials: int, tasks: int, recipe: Recipe) -> list[Candidate]:
    """Task weights: all 1, then T softmax(z) with z standard normal, as RandomWeights draws."""
    z = generator(0, "search").standard_normal((trials - 1, tasks))
    drawn = tasks * np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return [Candidate(weights=tuple(map(float, row))) for row in (np.ones(tasks), *drawn)]


def each_alpha(values: Sequence[float], trials: int, tasks: int, recipe: Recipe) -> list[Candidate]:
    """These values of a method's own alpha, whatever `trials` is."""
    return [Candidate(alpha=float(value)) for value in values]


@dataclass(frozen=True)
class Method:
    """A way to train all tasks of a run.

    Args:
        name: the published name.
        weighter: see `plain`, `with_alpha`, `with_target` and `with_weights`.
        networks: "one" for all tasks; "each" = one a task, trained on all tasks and scored on its
            own; "single" = one a task, trained on this task alone.
        alpha: whether the method has an alpha.
        pretrain: train on all tasks but the own one first, then go on with that trunk.
        reseeded: another initialisation and batch order on the same runs.
        settings: training settings of its own, e.g. `{"learning_rate": 1e-3}`.
        search: (trials, tasks, recipe) -> candidates; each run takes the one whose mean score on
            its validation rows is best.
        predictor: what predicts in the place of networks.
    """

    name: str
    weighter: Make = plain(Uniform)
    networks: Literal["one", "each", "single"] = "one"
    alpha: bool = False
    pretrain: bool = False
    reseeded: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    search: Search | None = None
    predictor: Predictor | None = None

    def __post_init__(self) -> None:
        known = [f.name for f in fields(Recipe)]
        for name in self.settings:
            if name not in known:
                raise BadInput(
                    f"method {self.name!r}: unknown setting {name!r}; {nearest(name, known)}"
                )

    def trained(self, tasks: int) -> int:
        """Networks trained for one run (and one alpha)."""
        if self.predictor is not None:
            return 0
        return (1 if self.networks == "one" else tasks) * (2 if self.pretrain else 1)


def tuned(method: Method | str) -> Method:
    """The method with its learning rate and weight decay chosen on validation rows.

    Raises:
        BadInput: an unknown method, or one that is tuned already.
    """
    found = method if isinstance(method, Method) else resolve([method])[0]
    if found.search is not None:
        raise BadInput(f"{found.name!r} is tuned already; give its plain form")
    if found.predictor is not None:
        raise BadInput(f"{found.name!r} has no learning rate to tune; give a method with networks")
    return replace(found, name=f"{found.name}, tuned", search=rates)


def swept(method: Method | str, alphas: Sequence[float]) -> Method:
    """The method with its alpha chosen among these on validation rows.

    Raises:
        BadInput: an unknown method, or one without an alpha.
    """
    found = method if isinstance(method, Method) else resolve([method])[0]
    if not found.alpha:
        raise BadInput(f"{found.name!r} has no alpha to sweep; give a method with one, or `tuned`")
    search = partial(each_alpha, tuple(map(float, alphas)))
    return replace(found, name=f"{found.name}, swept", alpha=False, search=search)


def twin(method: Method) -> Method:
    """The method once more, with another initialisation and batch order: what chance does."""
    return replace(method, name=f"{method.name}'", reseeded=True)


STL = Method("STL", networks="single")
NULL = twin(STL)
CONSTANT = "Constant"
"""The predictor that ignores the features: training mean or prevalence."""
TRUNK = {"decay": "trunk"}  # of the AMTFL family, see `amtfl`
LINEAR = ("Group mean", "OLS", "ElasticNet", "Ridge")

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
        Method("Deep-AMTFL", with_alpha(AMTFL), alpha=True, settings=TRUNK),
        Method("U-AMTFL", with_alpha(UAMTFL), alpha=True, settings=TRUNK),
        tuned(Method("MTL")),
        Method("Scalarisation", with_weights(Fixed), search=task_weights),
        Method("MTL-CNN", plain(SparseHeads), settings=TRUNK),
        Method("CNN", settings={"loss": "softmax"}),
        *(Method(name, predictor=linear(name)) for name in LINEAR),
    )
}
UNTUNED = tuple(METHODS)[: tuple(METHODS).index("MTL, tuned")]
"""The methods that suit all data and need no validation rows."""


def at_widths(recipe: Recipe, factors: Sequence[float]) -> list[Method]:
    """MTL, and the single-task networks to compare it with, on trunks that are wider or narrower
    than the recipe's by these factors: "STL, width x 4", "MTL, width x 4", ...
    """
    found = []
    for factor in factors:
        trunk = {"trunk": tuple(max(1, round(factor * width)) for width in recipe.trunk)}
        for method in (STL, METHODS["MTL"]):
            name = f"{method.name}, width x {factor:g}"
            found.append(replace(method, name=name, settings=trunk))
    return found


def resolve(methods: str | Method | Sequence[str | Method]) -> list[Method]:
    """Methods by name, each once, or one line that names the nearest.

    Raises:
        BadInput: an unknown method, the same name twice, no method.
    """
    several = isinstance(methods, Iterable) and not isinstance(methods, str)
    found: list[Method] = []
    for m in methods if several else [methods]:  # type: ignore[union-attr]
        if not isinstance(m, Method):
            if m not in METHODS:
                raise BadInput(f"unknown method {m!r}; {nearest(m, METHODS)}")
            m = METHODS[m]
        if m.name in (f.name for f in found):
            raise BadInput(f"method {m.name!r} is there already; give every method once")
        if m.name.endswith("'") or m.name == CONSTANT or (m.name == STL.name and m != STL):
            raise BadInput(f"{m.name!r} is what all are compared with; give yours another name")
        found.append(m)
    if not found:
        raise BadInput(f"no methods; choose from {', '.join(METHODS)}")
    return found


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


def constant(runs: Sequence[TaskData]) -> list[Float[Tensor, "N T"]]:
    """Outputs of the predictor that ignores the features, for every run's test rows."""
    return [constant_outputs(run, len(run.split.test)) for run in runs]
