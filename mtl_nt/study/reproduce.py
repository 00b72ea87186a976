"""The case studies of the papers, which `make results` trains.

Each of `CASES` says which data, methods, runs and settings a study has. `run_case` trains one. The
results of those in `KEPT` come with the package, so they can be read without training (`stored`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets import SCENARIOS, load
from ..errors import BadInput, suggestion
from ..networks import Recipe, generator
from ..tasks import TaskData
from ..training import Checkpoint, fit
from ..training.original_units import ORIGINAL
from ..weighters import LBTW, UAMTFL, Balanced, Shuffled, Weighter
from .chunks import train
from .comparison import compare, parse_seeds
from .cures import CANDIDATES, cure_controls, cure_methods
from .factories import plain, with_alpha
from .method import Method, make_replicas
from .methods import METHODS, TRUNK, methods_at_widths, resolve_methods, tuned
from .nulls import SEEDS
from .sharing import add_sharing
from .study import Study

ALPHA = 0.1
"""The alpha of Deep-AMTFL's published run."""
ALPHAS = (0.1, 0.5)
"""The alphas in Table 1 of the first paper."""
WIDTHS = (0.0625, 0.25, 4)
"""Factors of the trunk's widths, relative to the trunk of the case."""
FIVE, EIGHT, SIXTEEN = (tuple(range(100, 100 + runs)) for runs in (5, 8, 16))
"""The seeds of five, eight and sixteen runs."""
WIDE = 4
"""The factor of the wide trunk of a scenario."""

Methods = Callable[[TaskData, Recipe, Sequence[int]], list[str | Method]]
"""A function (data, recipe, seeds) -> methods."""


class Case(NamedTuple):
    """What one study trains: its data, methods, runs and settings."""

    about: str  # one line for people
    data: Callable[..., TaskData]
    trained_on: Callable[[], TaskData]  # has the same training rows, if possible offline
    methods: Methods
    baselines: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    alphas: tuple[float, ...] = (ALPHA,)
    all_metrics: bool = True  # but those in original units; or those alone that judge tasks
    sharing: bool = False  # whether groups and pairs of tasks are trained too (see `sharing`)


def run_case(
    name: str,
    seeds: int | Sequence[int] | None = None,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    file: str | Path | None = None,
    **options: Any,
) -> Study:
    """Train one of `CASES` as a whole.

    Args:
        name: the name of the case.
        seeds: the number of runs, or their seeds; by default the case's own.
        folder: where finished results are kept. The same call goes on from there.
        executor: trains the methods, see `compare`.
        file: a file in the format of the case's data, to be used in their place.
        options: further arguments of `compare`, in place of the case's own settings.

    Raises:
        BadInput: an unknown case, or anything that `load` and `compare` refuse.

    A case takes minutes to days, so here is a name that is refused:

    >>> run_case("cure-nosy")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: unknown case 'cure-nosy'; did you mean 'cure-noisy' ...
    """
    if name not in CASES:
        raise BadInput(f"unknown case {name!r}; {suggestion(name, CASES)}")
    case = CASES[name]
    data = case.data() if file is None else case.data(file=file)
    runs = parse_seeds(case.seeds if seeds is None else seeds)
    settings = {**case.settings, **options}
    recipe_settings = {k: v for k, v in settings.items() if k in Recipe.__dataclass_fields__}
    recipe = Recipe.for_data(data, **recipe_settings)
    methods = case.methods(data, recipe, runs)
    study = compare(
        data,
        methods,
        case.alphas,
        runs,
        folder=folder,
        executor=executor,
        baseline=case.baselines,
        **settings,
    )
    if case.sharing:
        study = add_sharing(study, [data.for_seed(s) for s in runs], recipe, executor=executor)
    kept = ~study.results["metric"].isin(ORIGINAL)  # a few rows decide these
    if not case.all_metrics:
        kept = study.results["metric"] == study.results["task"].map(study.metric)
    return replace(study, results=study.results[kept].reset_index(drop=True))


def probe_case(name: str, steps: int = 10) -> dict[str, float]:
    """The loss of a case's methods after a few steps of its first run, by name of the method.

    These numbers tell whether the code would still find what a kept study says. Tuned methods and
    methods without networks are left out.

    Args:
        name: the name of the case.
        steps: the number of optimiser steps.

    Raises:
        BadInput: an unknown case, or data that cannot be downloaded.

    >>> [*probe_case("cure-noisy", steps=1)]
    ['STL', 'MTL']
    """
    if name not in CASES:
        raise BadInput(f"unknown case {name!r}; {suggestion(name, CASES)}")
    case = CASES[name]
    data, seed = case.trained_on().for_seed(case.seeds[0]), case.seeds[0]
    settings = {k: v for k, v in case.settings.items() if k in Recipe.__dataclass_fields__}
    recipe = Recipe.for_data(data, **{**settings, "steps": steps})
    losses = {}
    others = [m for m in case.methods(data, recipe, [seed]) if m not in case.baselines]
    for method in resolve_methods([*case.baselines, *others]):
        if method.search is None and method.predictor is None:
            method_recipe = replace(recipe, **method.settings)
            alphas = case.alphas or (0.0,)
            loss = train(method, [data], [seed], method_recipe, alphas).history.losses[-1]
            losses[method.name] = float(f"{loss.nansum().item():.6g}")
    return losses


def u_amtfl(name: str = "U-AMTFL", **options: Any) -> Method:
    """U-AMTFL with other options of its weighter, under another name.

    >>> u_amtfl("U-AMTFL, sampled", reading="sample").name
    'U-AMTFL, sampled'
    """
    return Method(name, with_alpha(UAMTFL, **options), alpha=True, settings=TRUNK)


def uncertainties(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> Float[Tensor, "S T"]:
    """The log-variances that U-AMTFL has learned at the end of its training, one row for each run.

    >>> recipe = Recipe(trunk=(4,), steps=2, batch_size=8)
    >>> uncertainties(load("dial"), recipe, seeds=[0]).shape
    torch.Size([1, 9])
    """
    weighter = UAMTFL(ALPHA)
    runs = [data.for_seed(seed) for seed in seeds]
    replicas = make_replicas(METHODS["U-AMTFL"], 1, seeds, len(data.tasks))
    fit(runs, replicas, weighter, replace(recipe, decay="trunk"))
    return weighter.log_variance.detach()


def _readings() -> list[str | Method]:
    return [u_amtfl(f"U-AMTFL, {how}", reading=how) for how in ("inside", "temperature", "sample")]


def _papers(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """The four methods of the paper, and the reading that its authors' later code has."""
    return ["CNN", "MTL-CNN", "Deep-AMTFL", "U-AMTFL", u_amtfl("U-AMTFL, inside", reading="inside")]


def _digits(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """All readings, the rivals that every comparison needs, and controls."""
    s = uncertainties(data, recipe, seeds[:2]).mean(0)
    dealt = s[torch.from_numpy(generator(0, "search").permutation(len(s)))]
    fixed = [
        u_amtfl(f"U-AMTFL, s {what}", learning_rate=0.0, initial=[round(v, 4) for v in at.tolist()])
        for what, at in (("fixed", s), ("permuted", dealt))
    ]
    balanced = Method("CNN, balanced", plain(Balanced), settings={"loss": "softmax"})
    rivals: list[str | Method] = ["MTL", tuned("MTL-CNN"), "Scalarisation", "RandomWeights"]
    first = _papers(data, recipe, seeds)[:-1]
    return [*first, *_readings(), *fixed, balanced, *rivals]


def _drugs(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    linear: list[str | Method] = ["Group mean", "OLS", "ElasticNet", "Ridge"]
    networks: list[str | Method] = ["MTL", "Uncertainty", "Deep-AMTFL", "U-AMTFL"]
    inside = u_amtfl("U-AMTFL, inside", reading="inside")
    rivals = [tuned(name) for name in ("MTL", "Deep-AMTFL", "U-AMTFL")]
    return [*linear, *networks, inside, *rivals, "Scalarisation", "RandomWeights"]


def shuffled_lbtw(alpha: Float[Tensor, "R 1"]) -> Weighter:
    """A control: LBTW's weights, shuffled among the tasks in every batch.

    >>> type(shuffled_lbtw(torch.ones(1, 1))).__name__
    'Shuffled'
    """
    return Shuffled(LBTW(alpha))


def _table_1(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """The columns of the first paper, controls for what its authors ask, and the rivals."""
    columns: list[str | Method] = ["MTL", "Fine-Tuning", "RMTL", "LBTW", "GradNorm"]
    controls = [
        Method("LBTW, shuffled", with_alpha(shuffled_lbtw), alpha=True),
        Method("LBTW, from the start", with_alpha(LBTW, reference="training"), alpha=True),
    ]
    rivals: list[str | Method] = [tuned("MTL"), "Scalarisation", "RandomWeights", "Uncertainty"]
    return [*columns, *controls, *rivals]


def _panel_methods(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    return [*_table_1(data, recipe, seeds), *methods_at_widths(recipe, WIDTHS)]


def _endpoints(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """MTL on both trunks, the book's remedy for unequal tasks, and the rivals."""
    _, wide = methods_at_widths(recipe, [WIDE])  # STL so wide would take as long as all else
    rivals: list[str | Method] = [tuned("MTL"), "Scalarisation", "RandomWeights"]
    return ["MTL", wide, "Uncertainty", *rivals]


def _programme(split: str, runs: str, seeds: tuple[int, ...]) -> Case:
    """A drug programme's endpoints: methods, groups that are natural, pairs, and found groups."""
    return Case(
        f"ExpansionRx, nine ADMET endpoints, {runs}: methods, groups, and all pairs of endpoints",
        *(partial(load, "expansionrx", split=split, released_test=False),) * 2,
        _endpoints,
        ("STL",),
        seeds,
        {"trials": 4, "memory": 0.15},
        (),
        sharing=True,
    )


def _cures(scenario: str, width: float) -> Case:
    """A scenario of `dial`, on its own trunk or a wider one, and every method with its sweep."""
    data = partial(load, "dial", scenario=scenario)
    trunk = tuple(max(1, round(width * w)) for w in data().recipe["trunk"])
    return Case(
        f"dial-{scenario}, trunk {'-'.join(map(str, trunk))}: every method with its own sweep",
        data,
        data,
        lambda *given: [*cure_methods(*given), *cure_controls(*given)],
        ("STL",),
        SIXTEEN,
        {"trials": CANDIDATES, "trunk": trunk},
        (),
    )


def _stopped(case: Case, rule: Checkpoint) -> Case:
    """The cures of a case, which all take the moment of their predictions by another rule."""
    about = f"{case.about}, at the step that is {RULES[rule]} on validation rows"
    settings = {**case.settings, "checkpoint": rule}
    return case._replace(about=about, methods=cure_methods, settings=settings, all_metrics=False)


def _standardised(scenario: str, width: float) -> Case:
    """MTL on a scenario whose targets are divided by their standard deviations in training."""
    data = partial(load, "dial", scenario=scenario, standardise=True)
    raw = _cures(scenario, width)
    return raw._replace(
        about=f"{raw.about.partition(':')[0]}, standardised targets: STL and MTL",
        data=data,
        trained_on=data,
        methods=lambda *_: ["MTL"],
        all_metrics=False,
    )


def _null(case: Case) -> Case:
    """The baselines of a case and their twins alone, in many pairs."""
    return case._replace(
        about=f"{case.about.partition(':')[0]}: {len(SEEDS)} pairs of a baseline and its twin",
        methods=lambda *_: [*case.baselines],
        seeds=SEEDS,
        sharing=False,
    )


def _book_null(name: str, steps: int) -> Case:
    """STL and its twin alone, in many pairs, as notebooks train them on a data set."""
    data = partial(load, name)
    settings = {"steps": steps, **BOOK_SETTINGS.get(name, {})}
    about, methods = f"{name}, {steps} steps", lambda *_: list[str | Method]()
    return _null(Case(about, data, data, methods, ("STL",), SEEDS, settings, ()))


def _gdsc(preset: str) -> tuple[Callable[[], TaskData], Callable[[], TaskData]]:
    return (partial(load, "gdsc", preset=preset),) * 2


def _mnist(preset: str) -> tuple[Callable[[], TaskData], Callable[[], TaskData]]:
    small = partial(load, "mnist", preset=preset)
    return partial(small, test="official", validation=100), small


def _assays(name: str, what: str, preset: str = "small", methods: Methods = _table_1) -> Case:
    trunk = {"small": "trunk 256-128, 25 epochs", "paper": "the published network, 100 passes"}
    published = {"paper": {"checkpoint": "best_mean"}}.get(preset, {})
    return Case(
        f"{what}, five folds, {trunk[preset]}: Table 1 of Liu, Liang and Gitter, and controls",
        *(partial(load, name, preset=preset),) * 2,
        methods,
        ("STL",),
        FIVE,
        {"trials": 4, "memory": 0.15, **published},  # few enough networks at once for a cache
        ALPHAS,
    )


CURES = {
    f"cure-{scenario}{'' if width == 1 else '-wide'}": (scenario, width)
    for scenario in SCENARIOS
    for width in (1, WIDE)
}
"""The cases of the table of causes and cures: the scenario of `dial`, and its trunk's factor."""
RULES: dict[Checkpoint, str] = {
    "best_mean": "best for the mean over tasks",
    "best_per_task": "best for each task",
}
"""What a checkpoint rule chooses, in words."""
PROGRAMME = tuple(f"expansionrx-{split}" for split in ("time", "scaffold", "random"))
"""The names of the cases of a drug programme, one for each split."""
KEPT = ("mnist", "mnist-long", "mnist-large", "gdsc", *PROGRAMME, "tox21", "toxcast128", *CURES)
"""The names of the cases whose results come with the package."""
CASES: dict[str, Case] = {
    "mnist": Case(
        "MNIST-Imbalanced on 14 x 14 pixels, 100 passes: all readings, rivals and controls",
        *_mnist("small"),
        _digits,
        ("STL", "CNN"),
        FIVE,
        {"trials": 4},
    ),
    "mnist-long": Case(
        "MNIST-Imbalanced on 14 x 14 pixels, 300 passes",
        *_mnist("small"),
        _papers,
        ("CNN",),
        FIVE,
        {"steps": 3300},
    ),
    "mnist-large": Case(
        "MNIST-Imbalanced on 28 x 28 pixels and the paper's LeNet, 60 passes",
        *_mnist("paper"),
        _papers,
        ("CNN",),
        FIVE,
        {"steps": 660, "learning_rate": 1e-3},
    ),
    "mnist-paper": Case(
        "MNIST-Imbalanced at the published size: 28 x 28 pixels, 1,000 passes; many hours",
        *_mnist("paper"),
        _papers,
        ("STL", "CNN"),
        FIVE,
        {},
    ),
    "gdsc": Case(
        "GDSC v17, 214 drugs: linear models, networks and their rivals",
        *_gdsc("observed"),
        _drugs,
        ("STL",),
        EIGHT,
        {"trials": 4},
    ),
    "gdsc-paper": Case(
        "GDSC v17, the 181 most measured drugs and the paper's decay",
        *_gdsc("paper"),
        _drugs,
        ("STL",),
        EIGHT,
        {"trials": 4},
    ),
    "expansionrx-time": _programme("time", "the latest fifth as the test", EIGHT),
    "expansionrx-scaffold": _programme("scaffold", "five scaffold folds", FIVE),
    "expansionrx-random": _programme("random", "five random folds", FIVE),
    "tox21": _assays("tox21", "Tox21, 12 assays", methods=_panel_methods),
    "toxcast128": _assays("toxcast128", "ToxCast, the 128 assays with most actives"),
    "pcba": _assays("pcba", "PCBA-128, days on a CPU"),
    "tox21-paper": _assays("tox21", "Tox21, 12 assays", "paper"),
    "toxcast128-paper": _assays("toxcast128", "ToxCast, 128 assays", "paper"),
    "pcba-paper": _assays("pcba", "PCBA-128", "paper"),
    **{name: _cures(*which) for name, which in CURES.items()},
}
"""All case studies by name."""
STOPS = {f"{name}-{rule}": (name, rule) for name in CURES for rule in RULES}
"""The cases of the table of causes and cures with another stop: the case, and its rule."""
CASES |= {name: _stopped(CASES[of], rule) for name, (of, rule) in STOPS.items()}
STANDARDISED = {f"{name}-standardised": name for name in CURES}
"""The cases of the table of causes and cures on standardised targets: the case on raw ones."""
CASES |= {name: _standardised(*CURES[of]) for name, of in STANDARDISED.items()}
BOOK = {
    "dial-unrelated": (150, 200, 300),
    "dial-dominant": (150, 200, 300),
    "dial-noisy": (150, 200, 300),
    "dial-combined": (300,),
    "digits": (200, 240, 300),
}
"""Steps that notebooks train on a data set for, in place of its own."""
BOOK_SETTINGS: dict[str, dict[str, Any]] = {"digits": {"trunk": (32,), "learning_rate": 0.03}}
"""The other settings of the notebooks, where they are not the data set's own."""
NULLS = {
    **{f"null-{name}": _null(CASES[name]) for name in KEPT},
    **{f"null-{name}-{n}": _book_null(name, n) for name, steps in BOOK.items() for n in steps},
}
"""The nulls of the kept cases, and of what notebooks train (see `nulls`)."""
CASES |= NULLS
