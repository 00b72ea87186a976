"""Replicas trained together equal plain networks trained one by one, for every method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import gradient_rules
import pytest
import reference
import torch
from reference import KINDS, classes, pairs, table
from torch import Tensor

from mtl_nt.networks.network import Network
from mtl_nt.networks.random_streams import RandomStreams
from mtl_nt.networks.recipe import Recipe
from mtl_nt.study import chunks
from mtl_nt.study.factories import plain, with_alpha
from mtl_nt.study.method import Method
from mtl_nt.study.methods import METHODS
from mtl_nt.tasks import TaskData
from mtl_nt.training.batches import BatchSampler, Replicas
from mtl_nt.training.loop import FitResult
from mtl_nt.weighters.amtfl import Balanced
from mtl_nt.weighters.dwa import DWA
from mtl_nt.weighters.gradnorm import GradNorm
from mtl_nt.weighters.lbtw import LBTW
from mtl_nt.weighters.shuffled import Shuffled
from mtl_nt.weighters.u_amtfl import READINGS, UAMTFL
from mtl_nt.weighters.uncertainty import Uncertainty

T = len(KINDS)
STEPS = 18  # six epochs; an even number, as a rate may fall after half of them
RECIPES = {
    "batch norm, dropout, two layers": Recipe(
        trunk=(5, 4),
        activation="tanh",
        dropout=0.25,
        batch_norm=True,
        steps=STEPS,
        batch_size=8,
        learning_rate=0.01,
        weight_decay=5e-4,
    ),
    "one layer, mean over all rows": Recipe(
        trunk=(5,),
        activation="relu",
        steps=STEPS,
        batch_size=8,
        learning_rate=0.01,
        schedule="constant",
        loss_over="all",
    ),
    "lists of ones": Recipe(
        trunk=(5, 4), dropout=0.25, steps=STEPS, batch_size=8, learning_rate=0.01
    ),
    "the code of Liu, Liang and Gitter": Recipe(
        trunk=(5, 4),
        architecture="lbtw",
        activation=("relu", "sigmoid"),
        dropout=0.25,
        batch_norm=True,
        batch_norm_momentum=0.9,
        initialisation="lbtw",
        steps=STEPS,
        batch_size=8,
        learning_rate=0.01,
        weight_decay=5e-4,
        loss_over="all",
    ),
    "LeNet, a tenth of the rate in the second half": Recipe(
        trunk=(2, 3, 5),
        architecture="lenet",
        kernel=3,
        dropout=0.25,
        initialisation="glorot",
        steps=STEPS,
        batch_size=8,
        learning_rate=0.01,
        schedule="drop",
    ),
}


RUNS, SEEDS = [table(0), table(1)], (3, 8)
LISTS = [table(seed, bits=True) for seed in (0, 1)]
IMAGES = [table(seed, features=100) for seed in (0, 1)]
CLASSES = [classes(seed) for seed in (0, 1)]
CLASS_LISTS = [classes(seed, bits=True) for seed in (0, 1)]
CLASS_IMAGES = [classes(seed, features=100) for seed in (0, 1)]


def runs_of(recipe: Recipe) -> list[TaskData]:
    one_hot = recipe.loss == "softmax"
    if recipe.architecture == "lenet":
        return CLASS_IMAGES if one_hot else IMAGES
    if recipe.trunk == RECIPES["lists of ones"].trunk and not recipe.batch_norm:
        return CLASS_LISTS if one_hot else LISTS
    return CLASSES if one_hot else RUNS


NORMED, ONE_LAYER, _, _, LENET = RECIPES
BY_LOSSES = (NORMED, ONE_LAYER)  # what weighs by the losses alone sees nothing else of a network


class Case(NamedTuple):
    method: Method
    rule: Callable[
        [float, int, RandomStreams], reference.Rule
    ]  # of alpha, own task, random numbers
    recipes: tuple[str, ...] = tuple(RECIPES)


def shuffled(weighter: Callable[..., Any]) -> Callable[..., Shuffled]:
    return lambda *arguments: Shuffled(weighter(*arguments))


def uniform(noise: RandomStreams) -> Callable[[], Tensor]:
    return lambda: noise.uniform(T)[0]


CASES = {
    **{
        name: Case(METHODS[name], lambda alpha, own, noise: reference.Rule())
        for name in ("STL", "MTL", "Fine-Tuning")
    },
    "RMTL": Case(METHODS["RMTL"], lambda alpha, own, noise: reference.RMTL(own)),
    **{
        f"LBTW {first}{' as printed' if not normalise else ''}": Case(
            Method("LBTW", with_alpha(LBTW, reference=first, normalise=normalise), alpha=True),
            lambda alpha, own, noise, first=first, normalise=normalise: reference.LBTW(
                alpha, first, normalise
            ),
            tuple(RECIPES) if (first, normalise) == ("epoch", True) else (ONE_LAYER,),
        )
        for first in ("epoch", "training", "average")
        for normalise in (True, False)
    },
    "GradNorm": Case(METHODS["GradNorm"], lambda alpha, own, noise: reference.GradNorm(T, alpha)),
    "GradNorm, at the floor": Case(
        Method("GradNorm", with_alpha(GradNorm, learning_rate=0.5, floor=0.2), alpha=True),
        lambda alpha, own, noise: reference.GradNorm(T, alpha, 0.5, 0.2),
        (NORMED,),
    ),
    "MGDA": Case(METHODS["MGDA"], lambda alpha, own, noise: gradient_rules.MGDA()),
    "CAGrad": Case(METHODS["CAGrad"], lambda alpha, own, noise: gradient_rules.CAGrad(alpha)),
    "Nash-MTL": Case(METHODS["Nash-MTL"], lambda alpha, own, noise: gradient_rules.Nash()),
    "PCGrad": Case(
        METHODS["PCGrad"],
        lambda alpha, own, noise: gradient_rules.PCGrad(lambda: noise.uniform(T, T)[0].argsort(1)),
    ),
    "Uncertainty": Case(
        METHODS["Uncertainty"], lambda alpha, own, noise: reference.Uncertainty(KINDS), BY_LOSSES
    ),
    "DWA": Case(METHODS["DWA"], lambda alpha, own, noise: reference.DWA(T), BY_LOSSES),
    "RandomWeights": Case(
        METHODS["RandomWeights"],
        lambda alpha, own, noise: reference.RandomWeights(T, lambda: noise.normal(T)[0]),
        (NORMED,),
    ),
    "LBTW, shuffled": Case(
        Method("LBTW, shuffled", with_alpha(shuffled(LBTW)), alpha=True),
        lambda alpha, own, noise: reference.Shuffled(reference.LBTW(alpha), uniform(noise)),
        (NORMED,),
    ),
    "Uncertainty, shuffled": Case(
        Method("Uncertainty, shuffled", plain(shuffled(Uncertainty))),
        lambda alpha, own, noise: reference.Shuffled(reference.Uncertainty(KINDS), uniform(noise)),
        (ONE_LAYER,),
    ),
    "fine-tuned DWA": Case(
        Method("fine-tuned DWA", plain(DWA), networks="single", pretrain=True),
        lambda alpha, own, noise: reference.DWA(T),
        BY_LOSSES,
    ),
}


TRUNK = {"decay": "trunk", "weight_decay": 5e-4}
TIGHT = {"bound": 0.05, "limit": 1.03}  # both are reached


def read_as(reading: str, *recipes: str, **options: Any) -> Case:
    """U-AMTFL in this reading, on these recipes."""
    given = {"reading": reading, "passes": 3, "gamma": 0.1, **options}
    weighter = with_alpha(UAMTFL, learning_rate=0.03, **given)
    return Case(
        Method(f"U-AMTFL {reading}", weighter, alpha=True, settings=TRUNK),
        lambda alpha, own, noise: reference.UAMTFL(KINDS, alpha, rate=0.03, **given),
        recipes,
    )


CASES |= {
    "MTL-CNN": Case(
        replace(METHODS["MTL-CNN"], settings=TRUNK),
        lambda alpha, own, noise: reference.SparseHeads(),
        (NORMED, ONE_LAYER),
    ),
    "Balanced": Case(
        Method("Balanced", plain(Balanced)),
        lambda alpha, own, noise: reference.Balanced(),
        (ONE_LAYER,),
    ),
    "Deep-AMTFL": Case(
        replace(METHODS["Deep-AMTFL"], settings=TRUNK),
        lambda alpha, own, noise: reference.AMTFL(alpha),
    ),
    "Deep-AMTFL, all decays but the decoder": Case(
        replace(METHODS["Deep-AMTFL"], settings={"weight_decay": 0.01}),
        lambda alpha, own, noise: reference.AMTFL(alpha),
        (NORMED,),
    ),
    "U-AMTFL": Case(
        replace(METHODS["U-AMTFL"], settings=TRUNK),
        lambda alpha, own, noise: reference.UAMTFL(KINDS, alpha),
    ),
    "U-AMTFL outside": read_as("outside", NORMED),
    "U-AMTFL inside": read_as("inside", NORMED, ONE_LAYER),
    "U-AMTFL inside, at its bounds": read_as("inside", ONE_LAYER, **TIGHT),
    "U-AMTFL temperature": read_as("temperature", NORMED, ONE_LAYER, LENET),
    "U-AMTFL sample": read_as("sample", ONE_LAYER),
    "U-AMTFL variance": read_as("variance", NORMED, LENET),
    "U-AMTFL variance, at its bounds": read_as("variance", NORMED, **TIGHT),
    "U-AMTFL, shuffled": Case(
        Method("U-AMTFL, shuffled", with_alpha(shuffled(UAMTFL)), alpha=True, settings=TRUNK),
        lambda alpha, own, noise: reference.Shuffled(
            reference.UAMTFL(KINDS, alpha), uniform(noise)
        ),
        (ONE_LAYER,),
    ),
    "CNN": Case(METHODS["CNN"], lambda alpha, own, noise: reference.Rule()),
    "CNN, classes balanced": Case(
        Method("CNN, classes balanced", plain(Balanced), settings={"loss": "softmax"}),
        lambda alpha, own, noise: reference.Balanced(),
        (NORMED, ONE_LAYER),
    ),
}


def quick(case: Case, recipe: str) -> bool:
    """One network for all tasks, on the simplest recipe: the others take a second each."""
    return case.method.networks == "one" and recipe == ONE_LAYER


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        pytest.param(name, recipe, marks=[] if quick(case, recipe) else pytest.mark.slow)
        for name, case in CASES.items()
        for recipe in case.recipes
    ],
)
def test_replicas_trained_together_equal_plain_networks_trained_one_by_one(
    name: str, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    check(case, replace(RECIPES[recipe], **case.method.settings), monkeypatch)


def check(case: Case, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    alphas = (0.1, 0.9 if case.method.name == "CAGrad" else 1.5)
    alphas = alphas if case.method.alpha else (0.0,)
    trained, stages = all_at_once(case.method, alphas, recipe, monkeypatch)
    places = trained.replicas.group.tolist()
    assert len(places) == len(alphas) * len(SEEDS) * (1 if case.method.networks == "one" else T)
    for r, group in enumerate(places):
        alpha, run = alphas[group // len(SEEDS)], group % len(SEEDS)
        own = int(trained.replicas.scored[r].int().argmax())
        net, rule, trace = one_alone(case, alpha, run, own, recipe)
        network = stages[-1].network
        decoder = network.decoder
        assert bool(rule.decoder) == (decoder is not None)
        if decoder is not None:
            for mine, other in zip(decoder.parameters(), rule.decoder, strict=True):
                assert (mine[r] - other).abs().max().item() < 1e-9, r
        for name, mine, other in pairs(network, r, net, own):
            assert (mine - other).abs().max().item() < 1e-9, (name, r)
        scored = trained.replicas.scored[r].clone()
        data = runs_of(recipe)[run]
        outputs = reference.predict(net, reference.features(data)[data.split.test], rule)
        if recipe.loss == "softmax":
            outputs = outputs.softmax(1).logit()
        if "sample" in case.method.name:  # see test_amtfl.py
            scored &= torch.tensor([kind != "binary" for kind in KINDS])
        predicted = trained.predictions[group // len(SEEDS), run]
        assert (predicted - outputs)[:, scored].abs().max().item() < 1e-8
        histories = (trained.history.losses, trained.history.weights)
        for recorded, mine in zip(histories, trace, strict=True):
            assert torch.allclose(recorded[:, r].double(), mine, rtol=1e-6, equal_nan=True)


def test_every_reading_of_uamtfl_is_among_the_cases() -> None:
    assert {f"U-AMTFL {reading}" for reading in READINGS} < set(CASES)


def test_the_runs_have_ragged_batches_and_batches_without_a_label() -> None:
    for recipe in RECIPES.values():
        for run, seed in zip(RUNS, SEEDS, strict=True):
            batches = list(batches_of(run, seed, [*range(T)], -1, recipe))
            there = torch.stack([run.labelled[rows].any(0) for rows, _, _ in batches])
            first = torch.tensor([first for _, first, _ in batches])
            sizes = {len(rows) for rows, _, _ in batches}
            assert sizes == ({8, 3} if run is RUNS[0] else {8} if recipe.batch_norm else {8, 1})
            assert not there.all()
            assert seed != SEEDS[0] or not there[first].all()


def all_at_once(
    method: Method, alphas: tuple[float, ...], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> tuple[chunks.TrainedMethod, list[FitResult]]:
    """The method's own way of training, and what each of its stages leaves."""
    stages: list[FitResult] = []

    def kept(*arguments: Any, **options: Any) -> FitResult:
        stages.append(fit(*arguments, **options))
        return stages[-1]

    fit = chunks.fit
    monkeypatch.setattr(chunks, "fit", kept)
    options = {"dtype": torch.float64, "record": 1}
    return chunks.train(method, runs_of(recipe), SEEDS, recipe, alphas, **options), stages


def one_alone(
    case: Case, alpha: float, run: int, own: int, recipe: Recipe
) -> tuple[reference.Net, reference.Rule, tuple[Tensor, Tensor]]:
    method, data, seed = case.method, runs_of(recipe)[run], SEEDS[run]
    others = [t for t in range(T) if t != own]
    stages = [[own] if method.networks == "single" else [*range(T)]]
    stages = [others, *stages] if method.pretrain else stages
    net, (A, b) = start(data, seed, recipe)
    trace = (torch.empty(0), torch.empty(0))
    for number, tasks in enumerate(stages):
        if number > 0:
            before, (net, (A, b)) = net, start(data, seed, recipe)
            net.take_trunk(before)
        noise, dropout = (
            RandomStreams([seed], purpose, data.y) for purpose in ("weighter", "dropout")
        )
        rule = case.rule(alpha, own, noise)
        rule.start(A, b)
        focus = own if method.networks == "each" else -1
        batches = batches_of(data, seed, tasks, focus, recipe)

        def masks(dropout: RandomStreams = dropout, net: reference.Net = net) -> list[Tensor]:
            shapes = [(recipe.batch_size, width) for width in net.widths]
            return [dropout.keep(recipe.dropout, *shape)[0] for shape in shapes]

        trace = reference.train(net, data, recipe, tasks, rule, batches, masks)
    return net, rule, trace


def start(data: TaskData, seed: int, recipe: Recipe) -> tuple[reference.Net, tuple[Tensor, Tensor]]:
    """A plain network with the seed's initial weights, and those of a decoder."""
    net = reference.Net(data.x.shape[1], T, recipe)
    network = Network([seed], data.x.shape[1], T, recipe, decodes=True).double()
    assert network.decoder is not None
    with torch.no_grad():
        for _, mine, other in pairs(network, 0, net):
            other.copy_(mine)
        return net, (network.decoder.weight[0], network.decoder.bias[0, 0])


def batches_of(
    data: TaskData, seed: int, tasks: list[int], focus: int, recipe: Recipe
) -> Iterator[tuple[Tensor, bool, int]]:
    """The batches of a network that is alone."""
    on = torch.zeros(1, T, dtype=torch.bool)
    on[0, tasks] = True
    zero = torch.zeros(1, dtype=torch.int64)
    alone = Replicas(zero, zero + seed, on, on, zero, zero + focus)
    at_least = 2 if recipe.batch_norm else 1
    batches = BatchSampler([data], alone, recipe.batch_size, at_least=at_least)
    for batch in batches.steps(recipe.steps):
        yield batch.rows[0][batch.valid[0]], bool(batch.first), int(batch.epoch)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("first", ["epoch", "training", "average"])
def test_lbtw_with_alpha_zero_is_plain_mtl(first: str, normalise: bool) -> None:
    lbtw = Method("LBTW", with_alpha(LBTW, reference=first, normalise=normalise), alpha=True)
    assert distance_from_mtl(lbtw) < 1e-9


def test_gradnorm_with_alpha_zero_is_not_plain_mtl() -> None:
    assert distance_from_mtl(METHODS["GradNorm"]) > 1e-3


def distance_from_mtl(method: Method) -> float:
    """Largest difference of the predictions with alpha 0 from plain multi-task learning's."""
    return (with_alpha_zero(method) - plain_mtl()).abs().max().item()


@cache
def plain_mtl() -> Tensor:
    return with_alpha_zero(METHODS["MTL"])


def with_alpha_zero(method: Method) -> Tensor:
    trained = chunks.train(method, RUNS, SEEDS, RECIPES[NORMED], (0.0,), dtype=torch.float64)
    return trained.predictions
