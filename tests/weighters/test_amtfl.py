"""The AMTFL family against its equations, term by term, and in its limits and bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from reference import classes, table
from refusals import refused
from scipy import stats
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mtl_nt import (
    AMTFL,
    UAMTFL,
    Balanced,
    Method,
    Shuffled,
    SparseHeads,
    Split,
    TaskData,
    compare,
    load,
)
from mtl_nt.networks.losses import task_losses
from mtl_nt.networks.network import Network
from mtl_nt.networks.random_streams import RandomStreams
from mtl_nt.networks.recipe import Recipe
from mtl_nt.study.factories import with_alpha
from mtl_nt.training.batches import Replicas
from mtl_nt.training.loop import FitResult, fit, label_counts
from mtl_nt.weighters.base import Step, Weighter
from mtl_nt.weighters.u_amtfl import READINGS, Reading
from mtl_nt.weighters.uniform import Uniform

T, B, H = 3, 6, 4
SEEDS = (3, 8)
ALPHA, GAMMA, MU, SCARCITY = (0.3, 1.7), (0.2, 0.9), 0.05, 0.4
COUNTS = torch.tensor([[40.0, 10.0, 5.0], [12.0, 12.0, 3.0]], dtype=torch.float64)
NOTHING = {"alpha": 0.0, "gamma": 0.0, "mu": 0.0, "scarcity": 0.0}
ALL_KINDS = {
    "classes": ("binary",) * T,
    "numbers": ("regression",) * T,
    "both": ("binary", "regression", "binary"),
}
every_kind = pytest.mark.parametrize("kinds", ALL_KINDS.values(), ids=ALL_KINDS.keys())
every_reading = pytest.mark.parametrize("reading", READINGS)


# ---------------------------------------------------------------- one batch, by hand


class Batch(NamedTuple):
    """A batch of two networks: the second has a row less, and no label of the last task."""

    network: Network
    x: Tensor
    y: Tensor
    valid: Tensor  # (R, B)
    labelled: Tensor  # (R, B, T)
    binary: Tensor  # (T,)
    dropout: float

    def passes(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """Features and outputs of so many passes, the same whenever they are asked for."""
        noise = RandomStreams(SEEDS, "dropout", self.x)
        found = [self.network(self.x, self.valid, noise) for _ in range(count)]
        return [(forward_pass.features, outputs) for forward_pass, outputs in found]


def batch(kinds: Sequence[str], dropout: float = 0.0) -> Batch:
    random = torch.Generator().manual_seed(11)
    x = torch.randn(2, B, 5, generator=random, dtype=torch.float64)
    y = torch.randn(2, B, T, generator=random, dtype=torch.float64)
    binary = torch.tensor([kind == "binary" for kind in kinds])
    valid = torch.arange(B) < torch.tensor([[B], [B - 1]])
    labelled = (torch.rand(2, B, T, generator=random) < 0.6) & valid.unsqueeze(2)
    labelled[:, :2] = torch.tensor([[True, False, True], [False, True, False]])
    labelled[1, :, 2] = False
    assert labelled.any(1).tolist() == [[True] * 3, [True, True, False]]
    assert not labelled[0].all(0).any()
    recipe = Recipe(trunk=(7, H), activation="tanh", dropout=dropout)
    network = Network(SEEDS, 5, T, recipe, decodes=True).double()
    assert network.decoder is not None
    with torch.no_grad():
        network.decoder.weight.normal_(0, 0.5, generator=random)
        network.decoder.bias.normal_(0, 0.5, generator=random)
    return Batch(
        network, x, torch.where(binary, (y > 0).double(), y), valid, labelled, binary, dropout
    )


def objective(weighter: Weighter, given: Batch) -> tuple[Tensor, list[Tensor]]:
    """The objective of every network, and its gradients, as the training loop has them."""
    network, noise = given.network, RandomStreams(SEEDS, "dropout", given.x)
    forward_pass, raw = network(given.x, given.valid, noise)

    def again() -> Tensor:
        outputs: Tensor = network(given.x, given.valid, noise)[1]
        return outputs

    outputs = weighter.read(raw, given.binary, given.valid, again)
    rows = given.valid.sum(1, keepdim=True).double()
    labels = given.labelled.double()
    losses, errors, there = task_losses(outputs.detach(), given.y, labels, given.binary, rows)
    step = Step(
        losses=losses,
        labelled=there,
        first_batch=torch.tensor([True, True]),
        epoch=torch.tensor([0, 0]),
        valid=given.valid,
        support=COUNTS,
        outputs=outputs.detach(),
        errors=errors,
        head=network.head.weight,
        forward_pass=forward_pass,
        raw=raw,
        decoder=network.decoder,
        binary=given.binary,
        noise=RandomStreams(SEEDS, "weighter", given.x),
    )
    weights = torch.where(there, weighter.weights(step), 0.0)
    every = (weights * losses).sum(1) + weighter.penalty(step)
    parameters = [*network.parameters(), *weighter.parameters()]
    roots, pull = [outputs], [weights.detach().unsqueeze(1) * errors]
    if every.requires_grad:
        roots, pull = [*roots, every], [*pull, torch.ones_like(every)]
    found = torch.autograd.grad(roots, parameters, pull, allow_unused=True)
    return every.detach(), filled(found, parameters)


def by_hand(
    term: Callable[[int], Tensor | float], parameters: Sequence[Tensor]
) -> tuple[Tensor, list]:
    """The sum of a term of every network, and autograd's gradients."""
    every = torch.stack([torch.as_tensor(term(r), dtype=torch.float64) for r in range(2)])
    if not every.requires_grad:
        return every, [torch.zeros_like(p) for p in parameters]
    found = torch.autograd.grad(every.sum(), parameters, allow_unused=True)
    return every.detach(), filled(found, parameters)


def filled(gradients: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> list[Tensor]:
    pairs = zip(gradients, parameters, strict=True)
    return [torch.zeros_like(p) if g is None else g for g, p in pairs]


def loss(given: Batch, outputs: Tensor, r: int, t: int) -> Tensor:
    """L_t of network r: the mean over the labelled rows, written with torch's own losses."""
    rows = given.labelled[r, :, t]
    f, y = outputs[r, rows, t], given.y[r, rows, t]
    if given.binary[t]:
        return binary_cross_entropy_with_logits(f, y)
    return ((f - y) ** 2).mean()


def seen(given: Batch, r: int) -> list[int]:
    return [t for t in range(T) if given.labelled[r, :, t].any()]


def size(given: Batch, r: int, t: int) -> Tensor:
    """|a_t|_1."""
    assert given.network.decoder is not None
    return given.network.decoder.weight[r, t].abs().sum()


def rare(r: int, t: int) -> float:
    """c / sqrt(N_t / mean N)."""
    return SCARCITY / math.sqrt(COUNTS[r, t].item() / COUNTS[r].mean().item())


def assert_same(one: tuple[Tensor, list[Tensor]], other: tuple[Tensor, list[Tensor]]) -> None:
    """Value and gradients alike, and not for want of any."""
    assert (one[0] - other[0]).abs().max().item() < 1e-12
    for mine, theirs in zip(one[1], other[1], strict=True):
        assert (mine - theirs).abs().max().item() < 1e-12
    assert other[0].abs().min().item() > 1e-4


def assert_term(
    term: Callable[[int], Tensor | float], given: Batch, **only: Any
) -> tuple[Tensor, list[Tensor]]:
    """What a setting adds to the objective of all settings 0 is this term."""
    parameters = [*given.network.parameters()]
    with_it, without = (objective(AMTFL(**{**NOTHING, **s}), given) for s in (only, {}))
    gradients = [a - b for a, b in zip(with_it[1], without[1], strict=True)]
    found = with_it[0] - without[0], gradients
    assert_same(found, by_hand(term, parameters))
    return found


@pytest.mark.slow
@every_kind
def test_without_any_term_the_objective_is_the_sum_of_the_losses(kinds: Sequence[str]) -> None:
    given = batch(kinds)
    outputs = given.passes(1)[0][1]
    expected = by_hand(
        lambda r: sum(loss(given, outputs, r, t) for t in seen(given, r)),
        [*given.network.parameters()],
    )
    assert_same(objective(AMTFL(**NOTHING), given), expected)


@every_kind
def test_a_task_s_loss_counts_one_and_alpha_times_what_it_offers(kinds: Sequence[str]) -> None:
    given = batch(kinds)
    outputs = given.passes(1)[0][1]
    assert_term(
        lambda r: sum(
            ALPHA[r] * size(given, r, t) * loss(given, outputs, r, t) for t in seen(given, r)
        ),
        given,
        alpha=ALPHA,
    )


@every_kind
def test_a_task_of_few_labels_pays_even_at_a_loss_of_zero(kinds: Sequence[str]) -> None:
    given = batch(kinds)
    assert_term(lambda r: sum(rare(r, t) for t in seen(given, r)), given, scarcity=SCARCITY)
    asymmetric = {"alpha": ALPHA, "scarcity": SCARCITY}
    both, alone = (
        objective(AMTFL(**{**NOTHING, **s}), given) for s in (asymmetric, {"alpha": ALPHA})
    )
    paid = by_hand(
        lambda r: sum((1 + ALPHA[r] * size(given, r, t)) * rare(r, t) for t in seen(given, r)),
        [*given.network.parameters()],
    )
    gradients = [a - b for a, b in zip(both[1], alone[1], strict=True)]
    assert_same((both[0] - alone[0], gradients), paid)


@every_kind
def test_the_features_are_read_back_from_the_outputs(kinds: Sequence[str]) -> None:
    given = batch(kinds)
    features, outputs = given.passes(1)[0]
    decoder = given.network.decoder
    assert decoder is not None

    def term(r: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        rows = given.valid[r].nonzero().flatten().tolist()
        for i in rows:
            back = outputs[r, i] @ decoder.weight[r] + decoder.bias[r, 0]
            total = total + ((features[r, i] - back.clamp(min=0)) ** 2).sum()
        return GAMMA[r] * total / len(rows)

    _, gradients = assert_term(term, given, gamma=GAMMA)
    names = [name for name, _ in given.network.named_parameters()]
    moved = {name for name, g in zip(names, gradients, strict=True) if g.abs().max().item() > 1e-6}
    assert moved == set(names)  # the trunk, by h and by o; the heads, by o; A and b


@every_kind
def test_mu_draws_the_heads_weights_to_zero_and_nothing_else(kinds: Sequence[str]) -> None:
    given = batch(kinds)
    heads = given.network.head.weight
    assert_term(lambda r: MU * heads[r].abs().sum(), given, mu=MU)
    sparse, uniform = objective(SparseHeads(MU), given), objective(Uniform(), given)
    for found in (sparse, objective(AMTFL(**{**NOTHING, "mu": MU}), given)):
        assert torch.allclose(found[0] - uniform[0], MU * heads.detach().abs().sum((1, 2)))


def test_balanced_weighs_by_the_mean_number_of_labels_over_ones_own() -> None:
    given = batch(ALL_KINDS["both"])
    outputs = given.passes(1)[0][1]
    expected = by_hand(
        lambda r: sum(
            COUNTS[r].mean() / COUNTS[r, t] * loss(given, outputs, r, t) for t in seen(given, r)
        ),
        [*given.network.parameters()],
    )
    assert_same(objective(Balanced(), given), expected)


def bracket(reading: str, binary: bool, f: Any, v: Any, L: Any, s: Any, c: float) -> Any:
    """The term of a task as the docstring of `UAMTFL` prints it; L of what is read."""
    k = 1.0 if binary else 0.5
    if reading == "variance":
        return (f + v) * (torch.exp(-s) * L + s + c)
    if reading == "inside":
        return f * (k * torch.exp(-s) * L + s / 2 + c)
    if reading == "outside" or not binary:
        return f * (k * torch.exp(-s) * L + c) + s / 2
    return f * (L + c)


PASSES = 3


@every_reading
@every_kind
def test_a_reading_of_uamtfl_is_the_equation_of_its_docstring(
    kinds: Sequence[str], reading: Reading
) -> None:
    given = batch(kinds, dropout=0.3 if reading == "variance" else 0.0)
    weighter = uncertain(reading, alpha=ALPHA, gamma=GAMMA, mu=MU, scarcity=SCARCITY)
    several = given.passes(PASSES)
    (features, outputs), s = several[0], weighter.log_variance
    decoder = given.network.decoder
    assert decoder is not None
    drawn = [o for _, o in several]
    mean = sum(drawn) / PASSES
    variance = sum((o - mean) ** 2 for o in drawn) / (PASSES - 1)

    def term(r: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for t in seen(given, r):
            read, v = outputs, 0.0
            if reading in ("temperature", "sample") and given.binary[t]:
                read = outputs / torch.exp(s[r, t])
            if reading == "variance":
                read, v = mean, variance[r, given.valid[r], t].mean()
            L, f = loss(given, read, r, t), 1 + ALPHA[r] * size(given, r, t)
            total = total + bracket(reading, bool(given.binary[t]), f, v, L, s[r, t], rare(r, t))
        o, h = outputs[r, given.valid[r]], features[r, given.valid[r]]
        gap = h - torch.relu(o @ decoder.weight[r] + decoder.bias[r])
        total = total + GAMMA[r] * (gap**2).sum(1).mean()
        return total + MU * given.network.head.weight[r].abs().sum()

    parameters = [*given.network.parameters(), *weighter.parameters()]
    expected = by_hand(term, parameters)
    assert_same(objective(weighter, given), expected)
    moved = expected[1][-1][0]  # d objective / d s of the first network
    assert moved.abs().min().item() > 1e-3


def uncertain(reading: Reading, **options: Any) -> UAMTFL:
    """U-AMTFL in the middle of a training: s is anything."""
    weighter = UAMTFL(reading=reading, passes=PASSES, **options)
    weighter.reset(torch.zeros(2, T, dtype=torch.float64))
    with torch.no_grad():
        given = torch.tensor([[0.7, -0.4, 1.1], [-0.9, 0.3, 0.2]], dtype=torch.float64)
        weighter.log_variance.copy_(given)
    return weighter


def test_a_task_without_a_label_in_the_batch_says_nothing_about_its_s() -> None:
    for reading in READINGS:
        given = batch(ALL_KINDS["both"], dropout=0.3)
        weighter = uncertain(reading, alpha=ALPHA, gamma=0.0)
        *_, gradient = objective(weighter, given)[1]
        assert (gradient != 0).tolist() == [[True] * 3, [True, True, False]]


def test_what_a_task_offers_counts_no_more_than_the_limit() -> None:
    given = batch(ALL_KINDS["both"])
    assert given.network.decoder is not None
    names = [name for name, _ in given.network.named_parameters()]
    place = names.index("decoder.weight")
    for limit, pulls in ((100.0, True), (1.01, False)):
        weighter = uncertain("inside", alpha=ALPHA, gamma=0.0, limit=limit)
        assert bool(objective(weighter, given)[1][place].any()) == pulls
    (value, _) = objective(uncertain("inside", alpha=50.0, limit=1.01, **REST), given)
    (other, _) = objective(uncertain("inside", alpha=3.0, limit=1.01, **REST), given)
    assert torch.equal(value, other)


REST = {"gamma": 0.0, "mu": 0.0, "scarcity": 0.0}


# ---------------------------------------------------------------- limits


RECIPE = Recipe(trunk=(5, 4), steps=20, batch_size=8, learning_rate=0.02, weight_decay=1e-3)
RUNS = [table(0), table(1)]
CLASSES = [classes(0), classes(1)]


def stack(data: Sequence[int] = (0, 1), seeds: Sequence[int] = SEEDS, tasks: int = T) -> Replicas:
    every = torch.ones(len(data), tasks, dtype=torch.bool)
    numbers = torch.arange(len(data))
    return Replicas(torch.tensor(data), torch.tensor(seeds), every, every, numbers, 0 * numbers - 1)


def trained(
    weighter: Weighter,
    runs: Sequence[TaskData] = RUNS,
    replicas: Replicas | None = None,
    recipe: Recipe = RECIPE,
    **options: Any,
) -> FitResult:
    options = {"dtype": torch.float64, **options}
    return fit(runs, stack() if replicas is None else replicas, weighter, recipe, **options)


def numbers_of(done: FitResult) -> Tensor:
    """Trunk and heads of every network, a row each."""
    parts = [*done.network.trunk.parameters(), *done.network.head.parameters()]
    return torch.cat([part.detach().flatten(1) for part in parts], 1)


def gap(one: FitResult, other: FitResult) -> float:
    """Largest difference of trunks and heads."""
    return (numbers_of(one) - numbers_of(other)).abs().max().item()


@pytest.mark.slow
def test_deep_amtfl_with_every_term_zero_is_plain_mtl() -> None:
    mtl = trained(Uniform())
    assert gap(trained(AMTFL(**NOTHING)), mtl) < 1e-12
    for name, value in (("alpha", 0.5), ("gamma", 0.5), ("mu", 0.1)):
        assert gap(trained(AMTFL(**{**NOTHING, name: value})), mtl) > 1e-5, name


@pytest.mark.slow
def test_mtl_cnn_with_mu_zero_is_plain_mtl() -> None:
    assert gap(trained(SparseHeads(0.0)), trained(Uniform())) < 1e-12
    assert gap(trained(SparseHeads(0.1)), trained(Uniform())) > 1e-3


@pytest.mark.slow
def test_what_a_scarce_task_pays_matters_through_alpha_alone() -> None:
    """Without alpha the N_t term is a constant."""
    for alpha, same in ((0.0, True), (5.0, False)):
        few, much = (trained(AMTFL(alpha, gamma=1.0, scarcity=scarcity)) for scarcity in (0.0, 1.0))
        assert (gap(few, much) < 1e-12) == same


@pytest.mark.slow
@pytest.mark.parametrize("reading", [r for r in READINGS if r != "variance"])
def test_uamtfl_that_learns_no_s_is_deep_amtfl_for_classes(reading: Reading) -> None:
    deep = trained(AMTFL(0.5), CLASSES)
    still = trained(UAMTFL(0.5, reading=reading, learning_rate=0.0), CLASSES)
    assert gap(still, deep) < 1e-12
    assert gap(trained(UAMTFL(0.5, reading=reading), CLASSES), deep) > 1e-4
    if reading != "sample":
        assert torch.equal(still.predictions, deep.predictions)


@pytest.mark.slow
def test_for_numbers_uamtfl_starts_at_half_the_loss() -> None:
    def half(scarcity: float) -> Weighter:
        class Half(AMTFL):
            def weights(self, step: Step) -> Tensor:
                return self.factor(step) * torch.where(step.binary, 1.0, 0.5)

        return Half(0.5, scarcity=scarcity)

    for reading in ("outside", "inside", "temperature"):
        still = trained(UAMTFL(0.5, reading=reading, learning_rate=0.0))  # type: ignore[arg-type]
        assert gap(still, trained(half(1e-3))) < 1e-12
        assert gap(still, trained(AMTFL(0.5))) > 1e-4


def test_the_decay_of_the_trunk_leaves_heads_and_decoder_alone() -> None:
    """Where no task weighs anything, the decay alone is left."""
    still = AMTFL(**NOTHING)
    still.weights = lambda step: 0 * step.losses  # type: ignore[method-assign]
    recipe = replace(RECIPE, decay="trunk", weight_decay=0.1, schedule="constant", steps=5)
    start, end = (trained(still, recipe=r) for r in (replace(recipe, weight_decay=0.0), recipe))
    for name, after in end.network.named_parameters():
        before = start.network.get_parameter(name)
        if name.startswith("trunk"):
            shrunk = before.abs() - after.abs()
            assert shrunk[before.abs() > 0.15].mean().item() == pytest.approx(5 * 0.02, rel=0.05)
        else:
            assert torch.equal(before, after)


@pytest.mark.slow
def test_the_n_term_is_the_published_one() -> None:
    """0.00074 for digit 0 ... 0.00235 for digit 9: 200 to 20 images of 1,100."""
    data = load("mnist")
    assert label_counts(data).tolist() == [200 - 20 * digit for digit in range(10)]
    step = paid(label_counts(data))
    found = AMTFL(0.0, gamma=0.0, mu=0.0).penalty(step)
    assert found[0].item() == pytest.approx(0.00074, abs=5e-6)
    assert found[9].item() == pytest.approx(0.00235, abs=5e-6)
    assert (found.diff() > 0).all()


def paid(counts: Tensor) -> Step:
    """A step a task: so many replicas, each of which has a label of its own task alone."""
    tasks = len(counts)
    decoder = Network([0] * tasks, 2, tasks, Recipe(trunk=(1,)), decodes=True).double().decoder
    empty = torch.zeros(tasks, 1, tasks, dtype=torch.float64)
    valid = torch.ones(tasks, 1, dtype=torch.bool)
    forward_pass = Network([0] * tasks, 2, tasks, Recipe(trunk=(1,))).double()(
        empty[:, :, :2], valid
    )[0]
    return Step(
        losses=torch.zeros(tasks, tasks, dtype=torch.float64),
        labelled=torch.eye(tasks, dtype=torch.bool),
        first_batch=valid[:, 0],
        epoch=torch.zeros(tasks, dtype=torch.int64),
        valid=valid,
        support=counts.expand(tasks, tasks),
        outputs=empty,
        errors=empty,
        head=empty,
        forward_pass=forward_pass,
        raw=empty,
        decoder=decoder,
        binary=torch.ones(tasks, dtype=torch.bool),
        noise=RandomStreams([0] * tasks, "weighter", empty),
    )


def test_labels_are_counted_task_by_task_and_of_exclusive_tasks_the_rows_of_the_class() -> None:
    for run in (*RUNS, *CLASSES):
        y = run.y[run.split.train]
        counted = [
            int((y[:, t] == 1).sum() if run.exclusive else (~y[:, t].isnan()).sum())
            for t in range(T)
        ]
        assert label_counts(run).tolist() == counted
        assert len(set(counted)) > 1
    assert label_counts(CLASSES[0]).sum() == len(CLASSES[0].split.train)


# ---------------------------------------------------------------- bounds


def driven(
    weighter: UAMTFL, kinds: Sequence[str], losses: float = 0.0, steps: int = 250, rate: float = 0.4
) -> tuple[list[float], UAMTFL]:
    """Objectives while decoder and s go where they like, at losses that stay as they are."""
    given = batch(kinds, dropout=0.3)
    with torch.no_grad():
        forward_pass, raw = given.network(given.x, given.valid, None)
    decoder, wider = given.network.decoder, 1.2 * raw
    assert decoder is not None
    weighter.reset(torch.zeros(2, T, dtype=torch.float64))
    fixed = torch.full((2, T), losses, dtype=torch.float64)
    adam = torch.optim.Adam([decoder.weight, *weighter.parameters()], lr=rate, fused=True)
    zero = torch.zeros(2, dtype=torch.int64)
    noise = RandomStreams(SEEDS, "weighter", raw)
    step = Step(
        losses=fixed,
        labelled=torch.ones(2, T, dtype=torch.bool),
        first_batch=zero == 0,
        epoch=zero,
        valid=given.valid,
        support=COUNTS,
        outputs=raw,
        errors=raw,
        head=given.network.head.weight.detach(),
        forward_pass=forward_pass,
        raw=raw,
        decoder=decoder,
        binary=given.binary,
        noise=noise,
    )
    found = []
    for _ in range(steps):
        weighter.read(raw, given.binary, given.valid, lambda: wider)
        now = replace(step)  # nothing computed before
        objective = ((weighter.weights(now) * fixed).sum(1) + weighter.penalty(now)).sum()
        found.append(objective.item())
        adam.zero_grad()
        objective.backward()
        adam.step()
    weighter.read(raw, given.binary, given.valid, lambda: wider)
    return found, weighter


BOUND, LIMIT = 2.0, 4.0
LOWEST = {  # of two networks, as the docstring says: T bound / 2, T bound limit / 2, T bound limit
    "outside": -2 * T * BOUND / 2,
    "inside": -2 * T * BOUND * LIMIT / 2,
    "variance": -2 * T * BOUND * LIMIT,
}
FREE: dict[str, Any] = {"alpha": 0.5, "gamma": 0.0, "mu": 0.0, "scarcity": 0.0, "passes": 2}


@pytest.mark.slow
@pytest.mark.parametrize("reading", LOWEST)
def test_with_finite_bounds_the_objective_has_a_lower_bound_that_it_reaches(
    reading: Reading,
) -> None:
    bounded = UAMTFL(reading=reading, bound=BOUND, limit=LIMIT, **FREE)
    found, _ = driven(bounded, ALL_KINDS["both"])
    assert min(found) >= LOWEST[reading] - 1e-9
    assert min(found) < 0.97 * LOWEST[reading]


@pytest.mark.slow
@pytest.mark.parametrize("reading", LOWEST)
def test_without_bounds_the_objective_falls_without_end(reading: Reading) -> None:
    free = UAMTFL(reading=reading, bound=math.inf, limit=math.inf, **FREE)
    found, weighter = driven(free, ALL_KINDS["both"])
    assert weighter.log_variance.max().item() < -50
    half, whole = found[125], found[-1]
    assert whole < 1.9 * half < 10 * LOWEST["outside"]
    assert (whole < 3.5 * half) == (reading != "outside")  # the square of time, not time


@pytest.mark.slow
def test_where_s_is_negative_a_sure_task_is_paid_for_offering_more() -> None:
    for reading, grows in (("inside", True), ("variance", True), ("outside", False)):
        free = UAMTFL(reading=reading, bound=3.0, limit=math.inf, **FREE)  # type: ignore[arg-type]
        found, _ = driven(free, ALL_KINDS["both"])
        assert (found[-1] < found[125] - 100) == grows


@pytest.mark.slow
@pytest.mark.parametrize("reading", ["temperature", "sample"])
def test_a_temperature_needs_no_bound_for_classes(reading: Reading) -> None:
    free = UAMTFL(reading=reading, bound=math.inf, limit=math.inf, **FREE)
    for kinds, ends in (("classes", True), ("numbers", False)):
        found, _ = driven(free, ALL_KINDS[kinds], steps=100)
        assert (min(found) >= 0) == ends


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "end"), [(0.0, -BOUND), (1e9, BOUND)])
@pytest.mark.parametrize("reading", LOWEST)
def test_log_variances_stay_inside_their_bound(reading: Reading, loss: float, end: float) -> None:
    bounded = UAMTFL(reading=reading, bound=BOUND, limit=LIMIT, **FREE)
    _, weighter = driven(bounded, ALL_KINDS["both"], loss, steps=60, rate=0.5)
    assert (weighter.log_variance == end).all()


# ---------------------------------------------------------------- predictions


def likely(exclusive: bool, rows: int = 20_000) -> TaskData:
    """A table with so many test rows that are all the same."""
    data = classes(0)
    train = len(data.split.train)
    x = torch.cat([data.x[:train], torch.full((rows, data.x.shape[1]), 0.7, dtype=torch.float64)])
    y = torch.cat([data.y[:train], data.y[:1].expand(rows, T)])
    numbers = torch.arange(len(x))
    split = Split(numbers[:train], numbers[:0], numbers[train:])
    return replace(data, x=x, y=y, split=split, exclusive=exclusive)


INITIAL = (-2.0, -1.5, -1.0)  # outputs of untrained networks are small


def untrained(
    reading: Reading, data: TaskData, seeds: Sequence[int] = (3,), **options: Any
) -> FitResult:
    """Predictions of networks that one tiny step has not changed."""
    weighter = UAMTFL(0.1, reading=reading, learning_rate=0.0, initial=INITIAL)
    replicas = stack([0] * len(seeds), seeds)
    recipe = replace(RECIPE, steps=1, learning_rate=1e-30, weight_decay=0.0)
    return trained(weighter, [data], replicas, recipe, **options)


def test_temperatures_divide_what_is_predicted_and_can_change_the_class() -> None:
    weighter = uncertain("temperature", alpha=0.1)
    outputs = torch.tensor([[[2.0, 1.0, 3.0]], [[-1.0, 0.5, 0.2]]], dtype=torch.float64)
    with torch.no_grad():
        weighter.log_variance.copy_(torch.tensor([[1.0, -1.0, 2.0], [0.0, 0.3, -2.0]]))
    every = torch.ones(T, dtype=torch.bool)
    found = weighter.predict(outputs, every, lambda: outputs)
    expected = [[2 / math.e, math.e, 3 / math.e**2], [-1, 0.5 * math.exp(-0.3), 0.2 * math.e**2]]
    assert torch.allclose(found[:, 0], torch.tensor(expected, dtype=torch.float64), atol=1e-6)
    assert outputs.argmax(2).flatten().tolist() == [2, 1]
    assert found.argmax(2).flatten().tolist() == [1, 2]
    numbers = torch.tensor([True, False, True])
    mixed = weighter.predict(outputs, numbers, lambda: outputs)
    assert torch.equal(mixed[:, :, 1], outputs[:, :, 1])
    assert torch.equal(mixed[:, :, [0, 2]], found[:, :, [0, 2]])


def test_predictions_of_a_training_are_tempered() -> None:
    plain, tempered = (
        untrained(r, likely(True, 5)).predictions for r in ("outside", "temperature")
    )
    factor = torch.tensor(INITIAL, dtype=torch.float64).neg().exp()
    assert torch.allclose(tempered, plain * factor, rtol=1e-9)
    assert (tempered - plain).abs().max().item() > 0.1


def test_a_sampled_class_comes_as_often_as_the_softmax_says() -> None:
    data = likely(exclusive=True)
    logits = untrained("temperature", data).predictions[0, 0]
    drawn = untrained("sample", data).predictions[0].argmax(1).bincount(minlength=T)
    expected = 20_000 * logits.softmax(0)
    assert expected.min().item() > 500
    assert stats.chisquare(drawn.numpy(), expected.numpy()).pvalue > 0.01


def test_a_sampled_label_is_positive_as_often_as_the_sigmoid_says() -> None:
    data = likely(exclusive=False)
    logits = untrained("temperature", data).predictions[0, 0]
    positive = (untrained("sample", data).predictions[0] > 0).sum(0)
    for t in range(T):
        p = logits[t].sigmoid().item()
        assert 0.01 < p < 0.99
        assert stats.binomtest(int(positive[t]), 20_000, p).pvalue > 0.01


def test_a_sample_is_another_in_every_row_and_for_every_seed() -> None:
    drawn = untrained("sample", likely(True, 50), (3, 8)).predictions
    mean = untrained("temperature", likely(True, 50), (3, 8)).predictions
    noise = drawn - mean
    assert len(noise.flatten().unique()) == noise.numel()


def test_numbers_are_not_sampled() -> None:
    weighter = uncertain("sample", alpha=0.1)
    outputs = torch.randn(2, 5, T, generator=torch.Generator().manual_seed(0)).double()
    found = weighter.predict(outputs, torch.tensor([True, False, True]), lambda: outputs + 1)
    assert torch.equal(found[:, :, 1], outputs[:, :, 1])
    assert (found[:, :, [0, 2]] != outputs[:, :, [0, 2]]).all()


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", ["last", "best_mean", "best_per_task"])
def test_a_sample_is_the_same_whoever_trains_beside_it(checkpoint: Any) -> None:
    def sampled(data: Sequence[int], seeds: Sequence[int]) -> Tensor:
        weighter = UAMTFL(0.5, reading="sample")
        replicas = stack(data, seeds)
        return trained(weighter, RUNS, replicas, checkpoint=checkpoint).predictions

    three, one = sampled((1, 0, 1), (8, 3, 5)), sampled((0,), (3,))
    assert (three[1] - one[0]).abs().max().item() < 1e-12


@pytest.mark.slow
def test_a_sample_is_the_same_beside_a_run_with_more_rows() -> None:
    split = RUNS[0].split
    part = replace(split, validation=split.validation[:4], test=split.test[:4])
    short = replace(RUNS[0], split=part)
    alone, beside = (
        trained(UAMTFL(0.5, reading="sample"), runs, stack(range(len(runs)), SEEDS[: len(runs)]))
        for runs in ([short], [short, RUNS[1]])
    )
    assert (alone.predictions[0] - beside.predictions[0, :4]).abs().max().item() < 1e-12


# ---------------------------------------------------------------- the stack


KNOWN: dict[str, Callable[..., Weighter]] = {
    "AMTFL": AMTFL,
    **{
        f"UAMTFL {reading}": lambda *a, reading=reading, **o: UAMTFL(
            *a, reading=reading, passes=2, **o
        )
        for reading in READINGS
    },
    "Shuffled": lambda *a, **o: Shuffled(UAMTFL(*a, **o)),
}
DROPPING = replace(RECIPE, dropout=0.2, decay="trunk")


@pytest.mark.slow
@pytest.mark.parametrize("make", KNOWN.values(), ids=KNOWN.keys())
def test_replicas_have_their_own_alpha_and_gamma_and_do_not_touch_each_other(
    make: Callable[..., Weighter],
) -> None:
    alphas, gammas = (0.1, 2.0, 2.0), (0.5, 0.5, 0.0)
    together = trained(make(alphas, gammas), RUNS, stack((0, 1, 1), (3, 8, 8)), DROPPING)
    for r, (data, seed) in enumerate([(0, 3), (1, 8), (1, 8)]):
        alone = trained(make(alphas[r], [gammas[r]]), RUNS, stack([data], [seed]), DROPPING)
        assert (numbers_of(together)[r] - numbers_of(alone)[0]).abs().max().item() < 1e-12
        decoders = (together.network.decoder, alone.network.decoder)
        assert decoders[0] is not None and decoders[1] is not None
        assert (decoders[0].weight[r] - decoders[1].weight[0]).abs().max().item() < 1e-12
        weights = (together.history.weights[:, r], alone.history.weights[:, 0])
        assert torch.allclose(*weights, equal_nan=True)
    assert (numbers_of(together)[1] - numbers_of(together)[2]).abs().max().item() > 1e-4


@pytest.mark.parametrize(("own", "moved"), [(None, 0.02), (0.3, 0.3), (0.0, 0.0)])
@pytest.mark.parametrize("wrap", [lambda weighter: weighter, Shuffled], ids=["itself", "shuffled"])
def test_s_learns_at_its_own_rate_or_at_the_networks(
    wrap: Callable[[Weighter], Weighter], own: float | None, moved: float
) -> None:
    weighter = UAMTFL(0.5, learning_rate=own)
    once = replace(RECIPE, steps=1, schedule="constant", learning_rate=0.02)
    trained(wrap(weighter), CLASSES, recipe=once)
    assert torch.allclose(weighter.log_variance.abs(), torch.tensor(moved).double(), rtol=1e-4)


def test_s_starts_where_it_is_told() -> None:
    weighter = UAMTFL(0.5, learning_rate=0.0, initial=INITIAL)
    done = trained(weighter, CLASSES)
    assert torch.allclose(weighter.log_variance, torch.tensor(INITIAL).double().expand(2, T))
    assert done.history.weights[0].nanmean() > math.exp(1.0)


@pytest.mark.slow
def test_a_shuffled_uamtfl_deals_its_weights_and_keeps_its_penalty() -> None:
    given = batch(ALL_KINDS["classes"])
    plain, shuffled = uncertain("outside", alpha=ALPHA), uncertain("outside", alpha=ALPHA)
    weighter = Shuffled(shuffled)
    assert weighter.decodes and weighter.learning_rate is None
    assert gap(trained(Shuffled(UAMTFL(0.5))), trained(UAMTFL(0.5))) > 1e-4
    for _ in range(20):  # one of the orders
        same = torch.allclose(objective(weighter, given)[0], objective(plain, given)[0])
        if not same:
            break
    assert not same


# ---------------------------------------------------------------- what is refused


def quick(method: Method, **given: Any) -> None:
    usual = {"steps": 3, "seeds": 1, "progress": False, "alphas": (0.1,)}
    compare(load("dial"), (method,), **{**usual, **given})


@pytest.mark.slow
def test_variance_needs_dropout() -> None:
    for weighter in (UAMTFL, lambda *a, **o: Shuffled(UAMTFL(*a, **o))):
        own = Method("own", with_alpha(weighter, reading="variance", passes=2), alpha=True)
        refused(lambda own=own: quick(own), "'variance'", "dropout", "above 0")
        quick(own, dropout=0.1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"reading": "outsid"}, ("'outsid'", "did you mean 'outside'")),
        ({"reading": None}, ("None", "known: outside, inside, temperature, sample, variance")),
        ({"passes": 1}, ("passes 1", "2 or more")),
        ({"passes": 2.5}, ("passes 2.5", "whole number")),
        ({"passes": True}, ("passes True", "whole number")),
        ({"alpha": -0.1}, ("alpha -0.1", "0 or more")),
        ({"alpha": "much"}, ("alpha 'much'", "a number")),
        ({"gamma": -0.1}, ("gamma -0.1", "0 or more")),
        ({"gamma": math.nan}, ("gamma nan", "0 or more")),
        ({"gamma": [0.1, -2.0]}, ("gamma -2", "0 or more")),
        ({"gamma": []}, ("gamma []", "0 or more")),
        ({"mu": -1}, ("mu -1", "0 or more")),
        ({"mu": math.nan}, ("mu nan", "0 or more")),
        ({"mu": "little"}, ("mu 'little'", "0 or more")),
        ({"scarcity": -1e-3}, ("scarcity -0.001", "0 or more")),
        ({"scarcity": math.inf}, ("scarcity inf", "0 or more")),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    given: dict[str, Any], words: tuple[str, ...]
) -> None:
    refused(lambda: UAMTFL(**{"alpha": 0.1, **given}), *words)
    if not {"reading", "passes"} & set(given):
        refused(lambda: AMTFL(**{"alpha": 0.1, **given}), *words)
    if "mu" in given:
        refused(lambda: SparseHeads(**given), *words)
