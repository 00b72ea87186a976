"""`METHODS`: all methods of the papers by name, and the methods that are made from another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, suggestion
from ..networks import Recipe
from ..tasks import TaskData
from ..training import constant_outputs, no_classes
from ..weighters import (
    AMTFL,
    DWA,
    LBTW,
    MGDA,
    RMTL,
    UAMTFL,
    CAGrad,
    Fixed,
    GradNorm,
    NashMTL,
    PCGrad,
    RandomWeights,
    SparseHeads,
    Uncertainty,
)
from .factories import WeighterArguments, plain, with_alpha, with_target, with_weights
from .method import Method, make_weighter
from .search import alpha_candidates, rate_candidates, weight_candidates


def tuned(method: Method | str) -> Method:
    """The method with its learning rate and weight decay chosen on validation rows.

    Raises:
        BadInput: an unknown method, one that is tuned already, or one without networks.

    >>> tuned("RMTL").name
    'RMTL, tuned'
    """
    method = method if isinstance(method, Method) else resolve_methods([method])[0]
    if method.search is not None:
        raise BadInput(f"{method.name!r} is tuned already; give its plain form")
    if method.predictor is not None:
        raise BadInput(f"{method.name!r} has no learning rate to tune; give a method with networks")
    return replace(method, name=f"{method.name}, tuned", search=rate_candidates)


def swept(method: Method | str, alphas: Sequence[float]) -> Method:
    """The method with its alpha chosen among these values, on validation rows.

    Raises:
        BadInput: an unknown method, or one without an alpha.

    >>> swept("LBTW", [0.1, 0.5]).name
    'LBTW, swept'
    """
    method = method if isinstance(method, Method) else resolve_methods([method])[0]
    if not method.alpha:
        raise BadInput(f"{method.name!r} has no alpha to sweep; give a method with one, or `tuned`")
    search = partial(alpha_candidates, tuple(map(float, alphas)))
    return replace(method, name=f"{method.name}, swept", alpha=False, search=search)


def twin(method: Method) -> Method:
    """The method with another initialisation and batch order, on the same runs.

    A method differs from its twin by chance alone, so the two show what chance does.

    >>> twin(STL).name
    "STL'"
    """
    return replace(method, name=f"{method.name}'", reseeded=True)


def _linear(name: str, run: TaskData) -> Tensor:
    from .linear import PREDICTORS  # loads scikit-learn when it is called

    return PREDICTORS[name](run)


def _trees(run: TaskData, seed: int) -> Tensor:
    from .trees import trees  # the same

    return trees(run, seed)


STL = Method("STL", networks="single")
CONSTANT = "Constant"
"""The name of the predictor that ignores the features: the training mean or prevalence."""
TRUNK = {"decay": "trunk"}
"""The settings of the AMTFL family: weight decay of the trunk alone (see `weighters.amtfl`)."""
LINEAR = ("Group mean", "OLS", "ElasticNet", "Ridge")
"""The linear methods, which are no networks (see `linear`)."""
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
        Method("PCGrad", plain(PCGrad)),
        Method("MGDA", plain(MGDA)),
        Method("CAGrad", with_alpha(CAGrad), alpha=True),
        Method("Nash-MTL", plain(NashMTL)),
        Method("DWA", plain(DWA)),
        Method("RandomWeights", plain(RandomWeights)),
        Method("Deep-AMTFL", with_alpha(AMTFL), alpha=True, settings=TRUNK),
        Method("U-AMTFL", with_alpha(UAMTFL), alpha=True, settings=TRUNK),
        tuned(Method("MTL")),
        Method("Scalarisation", with_weights(Fixed), search=weight_candidates),
        Method("MTL-CNN", plain(SparseHeads), settings=TRUNK),
        Method("CNN", settings={"loss": "softmax"}),
        *(Method(name, predictor=partial(_linear, name), units="trained") for name in LINEAR),
        Method("Trees", predictor=_trees, units="trained"),
    )
}
"""All methods by name."""
UNTUNED = tuple(METHODS)[: tuple(METHODS).index("MTL, tuned")]
"""The names of the methods that suit all data and need no validation rows."""


def methods_at_widths(recipe: Recipe, factors: Sequence[float]) -> list[Method]:
    """STL and MTL on trunks that are wider or narrower than the recipe's.

    Args:
        recipe: has the trunk whose widths are multiplied.
        factors: of the widths. Each factor gives two methods.

    >>> [method.name for method in methods_at_widths(Recipe(trunk=(8,), steps=2), [4])]
    ['STL, width x 4', 'MTL, width x 4']
    """
    methods = []
    for factor in factors:
        trunk = {"trunk": tuple(max(1, round(factor * width)) for width in recipe.trunk)}
        for method in (STL, METHODS["MTL"]):
            name = f"{method.name}, width x {factor:g}"
            methods.append(replace(method, name=name, settings=trunk))
    return methods


def resolve_methods(methods: str | Method | Sequence[str | Method]) -> list[Method]:
    """The methods that these names stand for. A `Method` stands for itself.

    Raises:
        BadInput: an unknown method, the same name twice, no method, or a name that belongs to a
            baseline or its twin.

    >>> [method.networks for method in resolve_methods(["MTL", "RMTL"])]
    ['one', 'each']
    """
    several = isinstance(methods, Iterable) and not isinstance(methods, str)
    resolved: list[Method] = []
    for m in methods if several else [methods]:  # type: ignore[union-attr]
        if not isinstance(m, Method):
            if m not in METHODS:
                raise BadInput(f"unknown method {m!r}; {suggestion(m, METHODS)}")
            m = METHODS[m]
        if m.name in (r.name for r in resolved):
            raise BadInput(f"method {m.name!r} is there already; give every method once")
        if m.name.endswith("'") or m.name == CONSTANT or (m.name == STL.name and m != STL):
            raise BadInput(f"{m.name!r} is what all are compared with; give yours another name")
        resolved.append(m)
    if not resolved:
        raise BadInput(f"no methods; choose from {', '.join(METHODS)}")
    return resolved


def refusal(method: Method, run: TaskData) -> str:
    """Why a method cannot train these tasks, in words; nothing where it can.

    >>> from mtl_nt import load
    >>> refusal(METHODS["RMTL"], load("dial")), refusal(METHODS["OLS"], load("digits"))
    ('', "is for regressions, and 'digit 0' is binary")
    """
    if isinstance(method.predictor, partial) and method.predictor.func is _linear:
        from .linear import unsuited

        return unsuited(run, of_groups=method.predictor.args == ("Group mean",))
    if method.predictor is not None or not run.classes:
        return ""
    half = torch.full((1, len(run.tasks)), 0.5, dtype=torch.float64)
    weighter = make_weighter(method, WeighterArguments(half[:, :1], torch.tensor([0]), half))
    return "" if weighter.takes_classes else no_classes(run)


def constant_predictions(runs: Sequence[TaskData]) -> list[Float[Tensor, "N O"]]:
    """Predictions for every run's test rows that ignore the features: training mean or prevalence.

    >>> from mtl_nt import load
    >>> [prediction.shape[1] for prediction in constant_predictions([load("dial")])]
    [9]
    """
    return [constant_outputs(run, len(run.split.test)) for run in runs]
