"""What each method trains: which networks, with which weighter, and in which stages.

All methods share one training loop. A `Method` says how many networks there are, which tasks each
is trained on, how the tasks are weighted, and whether it has an alpha or candidates to choose from.
`METHODS` holds all methods of the papers by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput, is_finite_number, suggestion
from ..networks import RESEED_OFFSET, Recipe, unknown_setting
from ..tasks import TaskData
from ..training import Replicas, constant_outputs, no_classes
from ..weighters import (
    AMTFL,
    DWA,
    LBTW,
    RMTL,
    UAMTFL,
    Fixed,
    GradNorm,
    RandomWeights,
    SparseHeads,
    Uncertainty,
    Uniform,
    Weighter,
)
from .search import Search, alpha_candidates, rate_candidates, weight_candidates


class WeighterArguments(NamedTuple):
    """The arguments that a weighter can be made with; each has one row for each network."""

    alpha: Float[Tensor, "R 1"]
    target: Int[Tensor, " R"]  # number of the task that the network is for
    weights: Float[Tensor, "R T"]  # fixed task weights, see `search.Candidate`


WeighterFactory = Callable[[WeighterArguments], Weighter]
"""A function that makes the weighter of a stack of networks."""


def plain(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter that needs its options alone.

    Args:
        kind: the weighter's class, or a function that returns a weighter.
        options: keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> from mtl_nt.weighters import DWA
    >>> Method("DWA, once more", plain(DWA)).networks
    'one'
    """
    _check_kind(plain, kind, 0, options)
    return partial(_plain, kind, options)


def with_alpha(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter whose first argument is alpha, a column `[R, 1]`.

    Args:
        kind: the weighter's class, or a function of alpha that returns a weighter.
        options: further keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> from mtl_nt.weighters import LBTW
    >>> Method("LBTW, average", with_alpha(LBTW, reference="average"), alpha=True).alpha
    True
    """
    _check_kind(with_alpha, kind, 1, options)
    return partial(_with_alpha, kind, options)


def with_target(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter whose first argument is every network's target task, `[R]`.

    Args:
        kind: the weighter's class, or a function of the target that returns a weighter.
        options: further keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> from mtl_nt.weighters import RMTL
    >>> Method("RMTL, once more", with_target(RMTL), networks="each").trained(tasks=9)
    9
    """
    _check_kind(with_target, kind, 1, options)
    return partial(_with_target, kind, options)


def with_weights(kind: Callable[..., Weighter], **options: Any) -> WeighterFactory:
    """A factory for a weighter whose first argument is the candidate's task weights, `[R, T]`.

    Args:
        kind: the weighter's class, or a function of the weights that returns a weighter.
        options: further keyword arguments of `kind`.

    Raises:
        BadInput: a kind that cannot be called with these options.

    >>> from mtl_nt.weighters import Fixed
    >>> make = with_weights(Fixed)
    >>> ones = torch.ones(1, 3)
    >>> make(WeighterArguments(ones[:, :1], torch.tensor([0]), ones)).given
    tensor([[1., 1., 1.]])
    """
    _check_kind(with_weights, kind, 1, options)
    return partial(_with_weights, kind, options)


def _plain(kind: Callable[..., Weighter], options: dict, arguments: WeighterArguments) -> Weighter:
    return kind(**options)


def _with_alpha(
    kind: Callable[..., Weighter], options: dict, arguments: WeighterArguments
) -> Weighter:
    return kind(arguments.alpha, **options)


def _with_target(
    kind: Callable[..., Weighter], options: dict, arguments: WeighterArguments
) -> Weighter:
    return kind(arguments.target, **options)


def _with_weights(
    kind: Callable[..., Weighter], options: dict, arguments: WeighterArguments
) -> Weighter:
    return kind(arguments.weights, **options)


def _check_kind(
    factory: Callable[..., WeighterFactory],
    kind: object,
    given: int,
    options: Mapping[str, Any],
) -> None:
    """Check that a weighter's class can be called with so many arguments and these options."""
    where, name = factory.__name__, getattr(kind, "__name__", type(kind).__name__)
    if isinstance(kind, Weighter):
        raise BadInput(f"{where}({name}()): give the class, {where}({name}), and its options here")
    if not callable(kind):
        raise BadInput(f"{where}({kind!r:.40}): give a weighter's class, such as {where}(LBTW)")
    if fault := _call_fault(kind, *[None] * given, **options):
        raise BadInput(
            f"{where}({name}): {fault}; give options by name, and use with_alpha, with_target or "
            "with_weights for a first argument of that kind"
        )


def _call_fault(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Why a function cannot be called in this way; nothing where it can, or where nobody knows."""
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError as error:
        return str(error)
    except ValueError:  # a function of C may have no signature
        return ""
    return ""


Predictor = Callable[..., Any]
"""A function that predicts a run's test rows without a network; see `Method`."""
Units = Literal["own", "trained"]
UNITS: tuple[str, ...] = get_args(Units)


def linear_predictor(name: str) -> Predictor:
    """A predictor of `linear.PREDICTORS`, which loads scikit-learn when it is first called."""
    return partial(_linear, name)


def _trees(run: TaskData, seed: int) -> Tensor:
    from .trees import trees  # loads scikit-learn when it is called

    return trees(run, seed)


def _linear(name: str, run: TaskData) -> Tensor:
    from .linear import PREDICTORS  # slow to load

    return PREDICTORS[name](run)


@dataclass(frozen=True)
class Method:
    """A way to train all tasks of a run.

    Args:
        name: the published name.
        weighter: makes the weighter; see `plain`, `with_alpha`, `with_target`, `with_weights`.
        networks: "one" trains one network for all tasks. "each" trains one network for each task,
            on all tasks, and scores it on its target task. "single" trains one network for each
            task, on this task alone.
        alpha: whether the method has an alpha.
        pretrain: whether a network is first trained on all tasks but its target task. The trunk of
            that training is where the main training starts.
        frozen: whether the networks are trained twice: first to learn each task's mean weight over
            the training, and then anew with these weights (see `controls.frozen`).
        reseeded: whether initialisation and batch order are other ones, on the same runs.
        settings: settings of the training, in place of the recipe's.
        search: a function (trials, tasks, recipe) -> candidates. Each run takes the candidate with
            the best mean score on its validation rows. Of several metrics, each task's scores are
            divided by their spread over the candidates before.
        predictor: predicts in place of networks. It is called with the run's `TaskData`, and with
            `seed`, the run's seed, if it has a parameter of this name. It gives `[N, T]`, one row
            for each test row, as a tensor or a NumPy array. A regression task has its target there
            (see `units`). A binary task has the log odds or the probability of 1, since its metrics
            look at the order of the rows alone. A task of classes has one column for each class, as
            `run.output_names` has them, so the shape is `[N, O]`.
        units: of what the predictor gives for regression tasks: "own", as in `run.y`, or
            "trained", as in `run.targets`. For tasks of classes "own" is a probability of each
            class, and "trained" a logit. Where the data are standardised or have such tasks, it
            must be said.
        version: a number or a text that stands for the contents of the method's functions where
            results are kept in a folder. Without it, the functions are compared with all that they
            read (see `identity`). With it, whoever changes a function changes the version too.

    Raises:
        BadInput: a setting that no recipe has; a weighter, or its class, where a function belongs
            that makes it; a predictor with other parameters; unknown units; or a version that is
            neither a number nor a text.

    >>> Method("MTL, slow", settings={"learning_rate": 1e-4}).trained(tasks=9)
    1

    The mean of the training labels, as a method of one's own:

    >>> def mean(run):
    ...     return run.y[run.split.train].nanmean(0).expand(len(run.split.test), -1)
    >>> Method("Mean", predictor=mean, units="own").trained(tasks=9)
    0
    """

    name: str
    weighter: WeighterFactory = plain(Uniform)
    networks: Literal["one", "each", "single"] = "one"
    alpha: bool = False
    pretrain: bool = False
    frozen: bool = False
    reseeded: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    search: Search | None = None
    predictor: Predictor | None = None
    units: Units | None = None
    version: str | float | None = None

    def __post_init__(self) -> None:
        where, known = f"method {self.name!r}", [f.name for f in fields(Recipe)]
        for name in self.settings:
            if name not in known:
                raise BadInput(f"{where}: unknown setting {name!r}; {unknown_setting(name)}")
        _check_weighter(where, self.weighter)
        if self.predictor is not None:
            _check_predictor(where, self.predictor)
        if self.units is not None and self.units not in UNITS:
            raise BadInput(
                f"{where}: unknown units {self.units!r}; give 'own', as in run.y, or 'trained', as "
                "in run.targets"
            )
        if not isinstance(self.version, (str, type(None))) and not is_finite_number(self.version):
            raise BadInput(f"{where}: version {self.version!r:.40}: give a number or a text")

    def trained(self, tasks: int) -> int:
        """The number of networks that one run with one alpha trains."""
        if self.predictor is not None:
            return 0
        return (1 if self.networks == "one" else tasks) * self.stages

    @property
    def stages(self) -> int:
        """How many trainings every network has, one after the other."""
        return 1 + self.pretrain + self.frozen


def _check_weighter(where: str, given: object) -> None:
    """Check that a method's weighter is a function that makes one."""
    if isinstance(given, Weighter):
        name = type(given).__name__
        raise BadInput(
            f"{where}: every training makes its own weighter; give the class, plain({name}), not "
            f"{name}()"
        )
    if isinstance(given, type):
        name = given.__name__
        raise BadInput(
            f"{where}: {name} is a class; give plain({name}), or with_alpha({name}) if its first "
            "argument is alpha"
        )
    fault = _call_fault(given, None) if callable(given) else f"{given!r:.40} is no function"
    if fault:
        raise BadInput(
            f"{where}: its weighter is a function of one argument ({fault}); give "
            "plain(MyWeighter), or lambda given: MyWeighter()"
        )


def _check_predictor(where: str, given: object) -> None:
    """Check that a predictor can be called with a run, or with a run and a seed."""
    if isinstance(given, type):
        fault = f"{given.__name__} is a class"
    elif not callable(given):
        fault = f"{type(given).__name__} is no function"
    else:
        fault = _call_fault(given, None, **({"seed": 0} if takes_seed(given) else {}))
    if fault:
        raise BadInput(
            f"{where}: its predictor is a function of the run, and perhaps of a parameter named "
            f"seed ({fault}); give lambda run: ..., or lambda run, seed: ..."
        )


def takes_seed(predictor: Predictor) -> bool:
    """Whether a predictor has a parameter `seed` that is still to be given.

    >>> takes_seed(lambda run: run.y), takes_seed(lambda run, seed: run.y)
    (False, True)
    """
    try:
        seed = inspect.signature(predictor).parameters.get("seed")
    except (TypeError, ValueError):
        return False
    given = getattr(predictor, "keywords", {})
    return seed is not None and seed.kind in SEED_KINDS and "seed" not in given


SEED_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def make_weighter(method: Method, arguments: WeighterArguments) -> Weighter:
    """The weighter of a stack of networks, as the method's function makes it.

    Raises:
        BadInput: the function gives something else, or a weighter whose class does not call
            `super().__init__()`.

    >>> ones = torch.ones(1, 3)
    >>> arguments = WeighterArguments(ones[:, :1], torch.tensor([0]), ones)
    >>> type(make_weighter(METHODS["LBTW"], arguments)).__name__
    'LBTW'
    """
    where = f"method {method.name!r}"
    try:
        made: object = method.weighter(arguments)
    except AttributeError as error:
        if "before Module.__init__() call" not in str(error):
            raise
        raise BadInput(f"{where}: its weighter's __init__ must begin with {SUPER}") from None
    if not isinstance(made, Weighter):
        kind = made if isinstance(made, type) else type(made)
        what = f"{'the class' if kind is made else 'a'} {kind.__name__}"
        raise BadInput(
            f"{where}: its weighter's function gives {what}; let it return a Weighter, such as "
            "LBTW(0.5)"
        )
    if "_parameters" not in vars(made):
        raise BadInput(f"{where}: {type(made).__name__}.__init__ must begin with {SUPER}")
    return made


SUPER = "super().__init__()"


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


STL = Method("STL", networks="single")
NULL = twin(STL)
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
        Method("DWA", plain(DWA)),
        Method("RandomWeights", plain(RandomWeights)),
        Method("Deep-AMTFL", with_alpha(AMTFL), alpha=True, settings=TRUNK),
        Method("U-AMTFL", with_alpha(UAMTFL), alpha=True, settings=TRUNK),
        tuned(Method("MTL")),
        Method("Scalarisation", with_weights(Fixed), search=weight_candidates),
        Method("MTL-CNN", plain(SparseHeads), settings=TRUNK),
        Method("CNN", settings={"loss": "softmax"}),
        *(Method(name, predictor=linear_predictor(name), units="trained") for name in LINEAR),
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


def make_replicas(method: Method, alphas: int, seeds: Sequence[int], tasks: int) -> Replicas:
    """The networks that a method needs, ordered by alpha, run and task.

    Args:
        method: the method.
        alphas: the number of alphas; 1 for a method without one.
        seeds: one for each run.
        tasks: the number of tasks.

    >>> replicas = make_replicas(METHODS["STL"], alphas=1, seeds=[0, 1], tasks=3)
    >>> replicas.data
    tensor([0, 0, 0, 1, 1, 1])
    >>> replicas.trained[:3].int()
    tensor([[1, 0, 0],
            [0, 1, 0],
            [0, 0, 1]], dtype=torch.int32)
    """
    one_per_task = method.networks != "one"
    a, s, t = torch.meshgrid(
        torch.arange(alphas),
        torch.arange(len(seeds)),
        torch.arange(tasks if one_per_task else 1),
        indexing="ij",
    )
    run, target_only = s.flatten(), torch.eye(tasks, dtype=torch.bool)[t.flatten()]
    all_tasks = torch.ones(len(run), tasks, dtype=torch.bool)
    return Replicas(
        data=run,
        seed=torch.tensor(seeds)[run] + (RESEED_OFFSET if method.reseeded else 0),
        trained=target_only if method.networks == "single" else all_tasks,
        scored=target_only if one_per_task else all_tasks,
        group=(a * len(seeds) + s).flatten(),
        focus=t.flatten() if method.networks == "each" else torch.full_like(run, -1),
    )


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
    ones = torch.ones(1, len(run.tasks), dtype=torch.float64)
    weighter = make_weighter(method, WeighterArguments(ones[:, :1], torch.tensor([0]), ones))
    return "" if weighter.takes_classes else no_classes(run)


def constant_predictions(runs: Sequence[TaskData]) -> list[Float[Tensor, "N O"]]:
    """Predictions for every run's test rows that ignore the features: training mean or prevalence.

    >>> from mtl_nt import load
    >>> [prediction.shape[1] for prediction in constant_predictions([load("dial")])]
    [9]
    """
    return [constant_outputs(run, len(run.split.test)) for run in runs]
