"""`Method`: which networks it trains, with which weighter, and in which stages.

All methods share one training loop. A `Method` says how many networks there are, which tasks each
is trained on, how the tasks are weighted, and whether it has an alpha or candidates to choose from.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, get_args

import torch

from ..errors import BadInput, is_finite_number, is_whole_number, suggestion
from ..networks import RESEED_OFFSET, Recipe, unknown_setting
from ..tasks import TaskData
from ..training import Replicas
from ..weighters import Uniform, Weighter
from .factories import WeighterArguments, WeighterFactory, call_fault, plain
from .identity import in_package
from .search import Search

Predictor = Callable[..., Any]
"""A function that predicts a run's test rows without a network; see `Method`."""
Units = Literal["own", "trained"]
UNITS: tuple[str, ...] = get_args(Units)
Networks = Literal["one", "each", "single"]
NETWORKS: tuple[str, ...] = get_args(Networks)
SWITCHES = ("alpha", "pretrain", "frozen", "reseeded")
OF_NETWORKS = ("weighter", "networks", "alpha", "pretrain", "frozen", "settings", "search")
"""What a method without networks cannot have."""


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
            for each test row, as a tensor, a NumPy array or a DataFrame (see `predictions`). A
            regression task has its target there (see `units`). A binary task has the log odds or
            the probability of 1, since its metrics look at the order of the rows alone. A task of
            classes has one column for each class, as `run.output_names` has them, so the shape is
            `[N, O]`. All methods share the run, so a predictor must not write into it.
        units: of what the predictor gives for regression tasks: "own", as in `run.y`, or
            "trained", as in `run.targets`. For tasks of classes "own" is a probability of each
            class, and "trained" a logit. Where the data are standardised or have such tasks, it
            must be said.
        version: a number or a text that stands for the contents of the method's functions where
            results are kept in a folder. Without it, the functions are compared with all that they
            read (see `identity`), and one that reads a file is refused there. With it, whoever
            changes a function, or what it reads, changes the version too.

    Raises:
        BadInput: a name that is no text; unknown `networks`; a switch that is neither True nor
            False; a setting that no recipe has; a weighter, or its class, where a function belongs
            that makes it; a predictor with other parameters, or with what belongs to networks;
            unknown units; or a version that is neither a number nor a text.

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
    networks: Networks = "one"
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
        if not isinstance(self.name, str) or not self.name.strip():
            raise BadInput(
                f"method {self.name!r:.40}: its name must be a text, and not an empty one"
            )
        where, known = f"method {self.name!r}", [f.name for f in fields(Recipe)]
        _check_switches(where, self)
        if not isinstance(self.settings, Mapping):
            raise BadInput(
                f"{where}: settings {self.settings!r:.40}; give a dictionary, such as "
                "{'learning_rate': 0.001}"
            )
        for name in self.settings:
            if name not in known:
                raise BadInput(f"{where}: unknown setting {name!r}; {unknown_setting(name)}")
        _check_weighter(where, self.weighter)
        if self.predictor is not None:
            _check_predictor(where, self.predictor)
            _check_without_networks(where, self)
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

    @property
    def sees_one_task(self) -> bool:
        """Whether each of its networks sees one task alone, in all of its trainings."""
        return self.networks == "single" and not self.pretrain

    def recipe(self, data: TaskData, **changes: Any) -> Recipe:
        """What its networks are trained with on these data: the data's own, then the method's.

        Data may ask for another recipe where a network sees one task alone.

        Args:
            data: the data.
            changes: settings in place of the data's own, as in `Recipe.for_data`.

        Raises:
            BadInput: a setting is unknown or outside its range.

        >>> from mtl_nt import load
        >>> Method("MTL, slow", settings={"learning_rate": 1e-4}).recipe(load("dial")).learning_rate
        0.0001
        """
        make = Recipe.for_single_task if self.sees_one_task else Recipe.for_data
        return replace(make(data, **changes), **self.settings)


def _check_switches(where: str, method: Method) -> None:
    """Check that each option is one of the values that it may have."""
    if method.networks not in NETWORKS:
        raise BadInput(
            f"{where}: unknown networks {method.networks!r:.40}; "
            f"{suggestion(str(method.networks), NETWORKS)}"
        )
    for name in SWITCHES:
        value = getattr(method, name)
        if isinstance(value, bool):
            continue
        remedy = "True or False"
        if name == "alpha":
            remedy = "alpha=True, and the alphas to compare(..., alphas=[...])"
        raise BadInput(f"{where}: {name}={value!r:.40}; give {remedy}")


def _check_without_networks(where: str, method: Method) -> None:
    """Check that a method with a predictor has nothing that belongs to networks."""
    for name in OF_NETWORKS:
        usual = {} if name == "settings" else getattr(Method, name)
        given = getattr(method, name)
        if given is usual or (name != "weighter" and given == usual):
            continue
        raise BadInput(
            f"{where}: it has a predictor and {name}, but a predictor trains no networks; leave "
            "one of the two out"
        )


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
    fault = call_fault(given, None) if callable(given) else f"{given!r:.40} is no function"
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
        fault = call_fault(given, None, **({"seed": 0} if takes_seed(given) else {}))
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
        BadInput: the function gives something else, reads what it is not given, or gives a
            weighter whose class has no `weights`, or does not call `super().__init__()`; or one of
            its methods has other parameters, or its `learning_rate` or `passes` is no such number.

    >>> ones = torch.ones(1, 3)
    >>> arguments = WeighterArguments(ones[:, :1], torch.tensor([0]), ones)
    >>> type(make_weighter(Method("MTL"), arguments)).__name__
    'Uniform'
    """
    where = f"method {method.name!r}"
    try:
        made: object = method.weighter(arguments)
    except AttributeError as error:
        if error.obj is arguments:
            raise BadInput(
                f"{where}: its weighter's function reads {error.name!r:.40} of what it is given, "
                f"which has alpha, target and weights; {OF_A_RUN}"
            ) from None
        if "before Module.__init__() call" not in str(error):
            raise
        raise BadInput(f"{where}: its weighter's __init__ must begin with {SUPER}") from None
    if not isinstance(made, Weighter):
        kind = made if isinstance(made, type) else type(made)
        what = f"{'the class' if kind is made else 'a'} {kind.__name__}"
        raise BadInput(
            f"{where}: its weighter's function gives {what}; let it return a Weighter, such as "
            f"LBTW(0.5); {OF_A_RUN}"
        )
    if "_parameters" not in vars(made):
        raise BadInput(f"{where}: {type(made).__name__}.__init__ must begin with {SUPER}")
    for part in made.modules():
        if isinstance(part, Weighter):
            _check_weights(where, part)
    return made


def is_the_packages(method: Method, weighter: Weighter) -> bool:
    """Whether a weighter, those in it, and the function that makes it, are of this package.

    >>> is_the_packages(Method("MTL"), Uniform())
    True
    """
    return _made_here(method.weighter) and is_of_classes_here(weighter)


def is_of_classes_here(weighter: Weighter) -> bool:
    """Whether the classes of a weighter, and of those in it, are of this package.

    >>> is_of_classes_here(Uniform())
    True
    """
    parts = (part for part in weighter.modules() if isinstance(part, Weighter))
    return all(in_package(type(part)) for part in parts)


def _made_here(function: object) -> bool:
    """Whether a function, and every function that a `partial` holds, are of this package."""
    held = function.args if isinstance(function, partial) else ()
    return in_package(function) and all(_made_here(h) for h in held if callable(h))


SUPER = "super().__init__()"
OF_A_RUN = "a function of a run is a predictor: give predictor="


def _check_weights(where: str, weighter: Weighter) -> None:
    """Check that a weighter has a method `weights` that takes a step."""
    kind, weights = type(weighter).__name__, weighter.weights
    if getattr(weights, "__func__", None) is Weighter.weights:
        others = [name for name in vars(type(weighter)) if callable(getattr(weighter, name))]
        close = difflib.get_close_matches("weights", others, n=1)
        also = f" (it has {close[0]!r})" if close else ""
        raise BadInput(
            f"{where}: {kind} has no method named weights{also}; define weights(self, step)"
        )
    if fault := call_fault(weights, None):
        raise BadInput(
            f"{where}: {kind}.weights takes a step and nothing else ({fault:.60}); define "
            "weights(self, step)"
        )
    for name, parameters in TAKEN.items():
        if fault := call_fault(getattr(weighter, name), *[None] * (1 + parameters.count(","))):
            raise BadInput(
                f"{where}: {kind}.{name} is called with other parameters than it has "
                f"({fault:.60}); define {name}(self, {parameters})"
            )
    rate, passes = weighter.learning_rate, weighter.passes
    if rate is not None and not (is_finite_number(rate) and rate >= 0):
        raise BadInput(
            f"{where}: {kind}.learning_rate {rate!r:.40}: must be a number, 0 or more, or None for "
            "the network's"
        )
    if not is_whole_number(passes, 1):
        raise BadInput(f"{where}: {kind}.passes {passes!r:.40}: must be a whole number, 1 or more")


TAKEN = {
    "reset": "like",
    "check": "dropout",
    "read": "outputs, binary, valid, again",
    "predict": "outputs, binary, draw",
    "penalty": "step",
    "after": "step, weights",
}
"""What the methods of a weighter are called with, besides `weights`."""


def make_replicas(method: Method, alphas: int, seeds: Sequence[int], tasks: int) -> Replicas:
    """The networks that a method needs, ordered by alpha, run and task.

    Args:
        method: the method.
        alphas: the number of alphas; 1 for a method without one.
        seeds: one for each run.
        tasks: the number of tasks.

    >>> alone = Method("STL", networks="single")
    >>> replicas = make_replicas(alone, alphas=1, seeds=[0, 1], tasks=3)
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
