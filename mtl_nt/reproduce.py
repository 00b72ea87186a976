"""The case studies of the papers, whole: what `make results` trains, and what is kept of it."""

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

from .amtfl import UAMTFL, Balanced
from .cures import CANDIDATES, cures
from .datasets import load
from .datasets.dial import SCENARIOS
from .methods import (
    METHODS,
    TRUNK,
    Method,
    at_widths,
    networks,
    plain,
    resolve,
    tuned,
    with_alpha,
)
from .pieces import train
from .recipe import Recipe
from .streams import generator
from .study import Study, compare, seed_numbers
from .tasks import BadInput, TaskData, nearest
from .training import fit
from .weighters import LBTW, Shuffled, Weighter

ALPHA = 0.1  # of Deep-AMTFL's published run
ALPHAS = (0.1, 0.5)  # of the first paper's Table 1
WIDTHS = (0.0625, 0.25, 4)  # of the trunk, against the case's own
FIVE, EIGHT, SIXTEEN = (tuple(range(100, 100 + runs)) for runs in (5, 8, 16))
WIDE = 4  # times the trunk of a scenario


Methods = Callable[[TaskData, Recipe, Sequence[int]], list[str | Method]]


class Case(NamedTuple):
    """A study of a paper's data: its data, budget and runs."""

    about: str
    data: Callable[..., TaskData]
    trained_on: Callable[[], TaskData]  # the same training rows, where possible without a download
    methods: Methods
    baselines: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    alphas: tuple[float, ...] = (ALPHA,)


def run(
    name: str,
    seeds: int | Sequence[int] | None = None,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    file: str | Path | None = None,
    **options: Any,
) -> Study:
    """Train one of `CASES`, all of it.

    Args:
        seeds: by default the case's own.
        folder: keep what is finished, and go on from there.
        file: a table of one's own, of the same format, in the place of the case's.
        executor, options: see `compare`; settings go before the case's own.

    Raises:
        BadInput: an unknown case; whatever `load` and `compare` refuse.
    """
    if name not in CASES:
        raise BadInput(f"unknown case {name!r}; {nearest(name, CASES)}")
    case = CASES[name]
    data = case.data() if file is None else case.data(file=file)
    runs = seed_numbers(case.seeds if seeds is None else seeds)
    settings = {**case.settings, **options}
    given = {k: v for k, v in settings.items() if k in Recipe.__dataclass_fields__}
    methods = case.methods(data, Recipe.of(data, **given), runs)
    return compare(
        data,
        methods,
        case.alphas,
        runs,
        folder=folder,
        executor=executor,
        baseline=case.baselines,
        **settings,
    )


def probe(name: str, steps: int = 10) -> dict[str, float]:
    """What a case's methods have lost after a few steps on its first run, by method: numbers that
    tell whether a kept study is still what the code would find. Tuned methods are left out.

    Raises:
        BadInput: an unknown case; data that cannot be had.
    """
    if name not in CASES:
        raise BadInput(f"unknown case {name!r}; {nearest(name, CASES)}")
    case = CASES[name]
    data, seed = case.trained_on().run(case.seeds[0]), case.seeds[0]
    settings = {k: v for k, v in case.settings.items() if k in Recipe.__dataclass_fields__}
    recipe = Recipe.of(data, **{**settings, "steps": steps})
    found = {}
    more = [m for m in case.methods(data, recipe, [seed]) if m not in case.baselines]
    for method in resolve([*case.baselines, *more]):
        if method.search is None and method.predictor is None:
            own = replace(recipe, **method.settings)
            alphas = case.alphas or (0.0,)
            loss = train(method, [data], [seed], own, alphas).history.losses[-1]
            found[method.name] = float(f"{loss.nansum().item():.6g}")
    return found


def u_amtfl(name: str = "U-AMTFL", **options: Any) -> Method:
    """U-AMTFL with other options, under another name."""
    return Method(name, with_alpha(UAMTFL, **options), alpha=True, settings=TRUNK)


def uncertainties(
    data: TaskData, recipe: Recipe, seeds: Sequence[int], alpha: float = ALPHA
) -> Float[Tensor, "S T"]:
    """U-AMTFL's log-variances at the end of its training, a row a run."""
    weighter = UAMTFL(alpha)
    runs = [data.run(seed) for seed in seeds]
    replicas = networks(METHODS["U-AMTFL"], 1, seeds, len(data.tasks))
    fit(runs, replicas, weighter, replace(recipe, decay="trunk"))
    return weighter.log_variance.detach()


def _readings() -> list[str | Method]:
    return [u_amtfl(f"U-AMTFL, {how}", reading=how) for how in ("inside", "temperature", "sample")]


def _papers(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """The paper's four methods, and the reading that its authors' later code takes."""
    return ["CNN", "MTL-CNN", "Deep-AMTFL", "U-AMTFL", u_amtfl("U-AMTFL, inside", reading="inside")]


def _digits(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """All readings, the rivals that every comparison carries, and controls."""
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
    """LBTW's weights, dealt at random among the tasks of every batch: a control."""
    return Shuffled(LBTW(alpha))


def _table_1(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    """The first paper's columns, its authors' questions put as controls, and the rivals."""
    columns: list[str | Method] = ["MTL", "Fine-Tuning", "RMTL", "LBTW", "GradNorm"]
    controls = [
        Method("LBTW, shuffled", with_alpha(shuffled_lbtw), alpha=True),
        Method("LBTW, from the start", with_alpha(LBTW, reference="training"), alpha=True),
    ]
    rivals: list[str | Method] = [tuned("MTL"), "Scalarisation", "RandomWeights", "Uncertainty"]
    return [*columns, *controls, *rivals]


def _panel_methods(data: TaskData, recipe: Recipe, seeds: Sequence[int]) -> list[str | Method]:
    return [*_table_1(data, recipe, seeds), *at_widths(recipe, WIDTHS)]


def _cures(scenario: str, width: float) -> Case:
    """A scenario of `dial` on its own trunk or one that is wider: every method with its sweep."""
    data = partial(load, "dial", scenario=scenario)
    trunk = tuple(max(1, round(width * w)) for w in data().recipe["trunk"])
    return Case(
        f"dial-{scenario}, trunk {'-'.join(map(str, trunk))}: every method with its own sweep",
        data,
        data,
        cures,
        ("STL",),
        SIXTEEN,
        {"trials": CANDIDATES, "trunk": trunk},
        (),
    )


def _gdsc(preset: str) -> tuple[Callable[[], TaskData], Callable[[], TaskData]]:
    return (partial(load, "gdsc", preset=preset),) * 2


def _mnist(preset: str) -> tuple[Callable[[], TaskData], Callable[[], TaskData]]:
    small = partial(load, "mnist", preset=preset)
    return partial(small, test="official", validation=100), small


def _assays(name: str, what: str, preset: str = "small", methods: Methods = _table_1) -> Case:
    trunk = {"small": "trunk 256-128, 25 epochs", "paper": "the published network and budget"}
    own = {"paper": {"checkpoint": "best_mean"}}.get(preset, {})
    return Case(
        f"{what}, five folds, {trunk[preset]}: Table 1 of Liu, Liang and Gitter, and controls",
        *(partial(load, name, preset=preset),) * 2,
        methods,
        ("STL",),
        FIVE,
        {"trials": 4, "memory": 0.15, **own},  # few enough networks at once for a cache
        ALPHAS,
    )


CURES = {
    f"cure-{scenario}{'' if width == 1 else '-wide'}": (scenario, width)
    for scenario in SCENARIOS
    for width in (1, WIDE)
}
"""The cause x cure table: case -> scenario of `dial`, and width of the trunk against its own."""
KEPT = ("mnist", "mnist-long", "gdsc", "tox21", "toxcast128", *CURES)
"""The cases whose results come with the package."""
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
        "MNIST-Imbalanced exactly as published: 28 x 28 pixels, 1,000 passes; many hours",
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
        "GDSC v17, the 181 most measured drugs and the paper's settings",
        *_gdsc("paper"),
        _drugs,
        ("STL",),
        EIGHT,
        {"trials": 4},
    ),
    "tox21": _assays("tox21", "Tox21, 12 assays", methods=_panel_methods),
    "toxcast128": _assays("toxcast128", "ToxCast, the 128 assays with most actives"),
    "pcba": _assays("pcba", "PCBA-128, days on a CPU"),
    "tox21-paper": _assays("tox21", "Tox21, 12 assays", "paper"),
    "toxcast128-paper": _assays("toxcast128", "ToxCast, 128 assays", "paper"),
    "pcba-paper": _assays("pcba", "PCBA-128", "paper"),
    **{name: _cures(*which) for name, which in CURES.items()},
}
