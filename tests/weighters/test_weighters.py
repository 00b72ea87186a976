"""Every weighter against its equation, and the traps that public implementations fell into."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import permutations, product
from typing import Any, NamedTuple

import pytest
import reference
import torch
from reference import KINDS, pairs
from torch import Tensor

from mtl_nt.bits import Bits, Features
from mtl_nt.errors import BadInput
from mtl_nt.networks import gradients
from mtl_nt.networks.decoder import Decoder
from mtl_nt.networks.forward_pass import ForwardPass
from mtl_nt.networks.losses import task_losses
from mtl_nt.networks.network import Network
from mtl_nt.networks.random_streams import RandomStreams
from mtl_nt.networks.recipe import Recipe
from mtl_nt.weighters.amtfl import AMTFL, Balanced, SparseHeads
from mtl_nt.weighters.base import Step, Weighter
from mtl_nt.weighters.cagrad import CAGrad
from mtl_nt.weighters.dwa import DWA
from mtl_nt.weighters.gradnorm import GradNorm
from mtl_nt.weighters.lbtw import LBTW
from mtl_nt.weighters.mgda import MGDA
from mtl_nt.weighters.nash_mtl import NashMTL
from mtl_nt.weighters.pcgrad import PCGrad
from mtl_nt.weighters.random_weights import RandomWeights
from mtl_nt.weighters.rmtl import RMTL
from mtl_nt.weighters.shuffled import Frozen, Permuted, Shuffled
from mtl_nt.weighters.u_amtfl import READINGS, UAMTFL
from mtl_nt.weighters.uncertainty import Uncertainty
from mtl_nt.weighters.uniform import Uniform

T = len(KINDS)
BINARY = torch.tensor([kind == "binary" for kind in KINDS])
LIKE = torch.zeros(1, dtype=torch.float64)


def plain_step(
    losses: Sequence[float],
    *,
    labelled: Sequence[bool] | None = None,
    first: bool = False,
    epoch: int = 0,
    norms: Sequence[float] | None = None,
    gradients: Tensor | None = None,
    binary: Sequence[bool] | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Step:
    """One replica's batch with these numbers; `gradients` `[T, H]` are those of the heads."""
    tasks = len(losses)
    wide = torch.zeros(1, 1, tasks, dtype=dtype)
    decoder = Decoder(1, tasks, 1).to(dtype)
    for parameter in decoder.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    step = Step(
        losses=torch.tensor([losses], dtype=dtype),
        labelled=torch.tensor([labelled or [True] * tasks]),
        first_batch=torch.tensor([first]),
        epoch=torch.tensor([epoch]),
        valid=torch.ones(1, 1, dtype=torch.bool),
        support=torch.ones(1, tasks, dtype=dtype),
        outputs=wide,
        errors=wide,
        head=wide,
        forward_pass=ForwardPass(*[wide[:, :, :1]] * 3, "relu", None, 0.0, None),
        raw=wide,
        decoder=decoder,
        binary=torch.tensor(binary or [True] * tasks),
        noise=RandomStreams([seed], "weighter", wide),
    )
    if norms is not None:
        step.trunk_gradient_norms = torch.tensor([norms], dtype=dtype)
    if gradients is not None:
        step.head_gradients = gradients.to(dtype).unsqueeze(0)
    return step


def started(weighter: Weighter, tasks: int, dtype: torch.dtype = torch.float64) -> Weighter:
    weighter.reset(torch.zeros(1, tasks, dtype=dtype))
    return weighter


def go(weighter: Weighter, step: Step) -> list[float]:
    """One step of one replica: the weights, after which the weighter has moved on."""
    weights = weighter.weights(step)
    weighter.after(step, weights.detach())
    return weights[0].tolist()


# ---------------------------------------------------------------- closed forms


TRUNKS = {
    f"{shape} {activation} {'batch norm' * norm} {'dropout' * (dropout > 0)}": Recipe(
        **trunk, kernel=3, activation=activation, batch_norm=norm, dropout=dropout
    )
    for (shape, trunk), activation, norm, dropout in product(
        {
            "MLP of one layer": {"trunk": (9,)},
            "MLP of two": {"trunk": (7, 9)},
            "MLP of three": {"trunk": (6, 7, 9)},
            "LBTW's order": {"trunk": (7, 9), "architecture": "lbtw"},
            "LeNet": {"trunk": (2, 3, 9), "architecture": "lenet"},
        }.items(),
        ["relu", "tanh", "sigmoid"],
        [False, True],
        [0.0, 0.3],
    )
}


class Seen(NamedTuple):
    """One batch of every replica, by the package and by plain networks."""

    step: Step
    looks: list[reference.Look]
    network: Network


def see(recipe: Recipe, rows: int, seeds: Sequence[int] = (3, 4), bits: bool = False) -> Seen:
    """A ragged batch with missing labels; the second replica sees no label of the last task."""
    random = torch.Generator().manual_seed(11)
    shape, inputs = (len(seeds), rows), 100 if recipe.architecture == "lenet" else 12
    x: Features = torch.randn(*shape, inputs, generator=random, dtype=torch.float64)
    dense = x
    if bits:
        x = Bits.from_dense(dense > 0.5)
        dense = x.to_dense(torch.float64)
    y = torch.randn(*shape, T, generator=random, dtype=torch.float64)
    y = torch.where(BINARY, (y > 0).double(), y)
    valid = torch.arange(rows) < torch.tensor([[rows], [rows - 1]])
    labelled = (torch.rand(*shape, T, generator=random) < 0.7) & valid.unsqueeze(2)
    labelled[:, 0] = True
    labelled[1, :, 2] = False
    network = Network(seeds, inputs, T, recipe).double()
    forward_pass, outputs = network(x, valid, RandomStreams(seeds, "dropout", LIKE))
    count = valid.sum(1, keepdim=True).double()
    losses, errors, seen = task_losses(outputs.detach(), y, labelled.double(), BINARY, count)
    step = Step(
        losses,
        seen,
        torch.tensor([True, True]),
        torch.tensor([0, 0]),
        valid,
        torch.ones_like(losses),
        outputs.detach(),
        errors,
        network.head.weight,
        forward_pass,
        outputs,
        None,
        BINARY,
        RandomStreams(seeds, "weighter", LIKE),
    )
    looks = []
    for r, seed in enumerate(seeds):
        net = reference.Net(inputs, T, recipe)
        with torch.no_grad():
            for name, mine, other in pairs(network, r, net):
                if "running" not in name:
                    other.copy_(mine)
        noise = RandomStreams([seed], "dropout", LIKE)
        keep = [noise.keep(recipe.dropout, rows, width)[0] for width in net.widths]
        own = net(dense[r, valid[r]], [mask[valid[r]] for mask in keep])
        truth = torch.where(labelled, y, math.nan)[r, valid[r]]
        every = {t: reference.loss(own[t], truth[:, t], KINDS[t], "labelled") for t in range(T)}
        looks.append(
            reference.Look(net, {t: v for t, v in every.items() if v is not None}, True, 0)
        )
    assert [sorted(look.losses) for look in looks] == [[0, 1, 2], [0, 1]]
    return Seen(step, looks, network)


FEW, MANY = 4, 13  # rows: norms from products of rows, and from the gradients themselves
FORMS: dict[str, dict[str, float]] = {
    "all tasks at once": {},
    "replica after replica": {"AT_ONCE": 0},
    "task after task": {"LARGE": 0},
    "pairs of rows": {"LARGE": 0, "WORTH_PAIRS": 0, "PAIRS": -1e9},
}


WHOLE = next(iter(FORMS))


@pytest.mark.parametrize(
    ("trunk", "form"),
    [(trunk, WHOLE) for trunk in TRUNKS]
    # The forms differ in what they do with the last layer, whose inputs may be lists of ones.
    + [
        (trunk, form)
        for form in FORMS
        if form != WHOLE
        for trunk in TRUNKS
        if trunk.startswith(("MLP of one", "LBTW's order"))
    ],
)
def test_gradient_norms_and_weight_gradients_equal_autograds_on_every_trunk(
    trunk: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for constant, value in FORMS[form].items():
        monkeypatch.setattr(gradients, constant, value)
    by_pairs = _counted(monkeypatch)
    lists = (False, True) if trunk.startswith(("MLP of one", "LeNet")) else (False,)
    for rows, bits in product((FEW, MANY), lists):
        given, norms, expected = by_autograd(trunk, rows, bits)
        step, gradnorm = replace(given), started_at_random(GradNorm(FORCES))
        gradnorm.after(step, gradnorm.w.clone())
        for r, known in enumerate(norms):
            for t, norm in known.items():
                found = step.trunk_gradient_norms[r, t].item()
                assert found == pytest.approx(norm, abs=1e-10)
            assert gradnorm.w.grad is not None
            assert (gradnorm.w.grad[r] - expected[r]).abs().max().item() < 1e-10
    assert bool(by_pairs) == ("PAIRS" in FORMS[form])


@pytest.mark.parametrize("trunk", TRUNKS)
def test_inner_products_of_trunk_gradients_equal_autograds_on_every_trunk(trunk: str) -> None:
    lists = (False, True) if trunk.startswith(("MLP of one", "LeNet")) else (False,)
    for rows, bits in product((FEW, MANY), lists):
        step, looks, _ = see(TRUNKS[trunk], rows, bits=bits)
        for r, look in enumerate(looks):
            at = {
                t: torch.autograd.grad(loss, look.net.last_shared, retain_graph=True)[0]
                for t, loss in look.losses.items()
            }
            for s, t in product(at, at):
                found = step.trunk_gramian[r, s, t].item()
                assert found == pytest.approx(float((at[s] * at[t]).sum()), abs=1e-10)


FORCES = (0.3, 1.5)  # alphas of two replicas


@cache
def by_autograd(
    trunk: str, rows: int, bits: bool
) -> tuple[Step, list[dict[int, float]], list[Tensor]]:
    """A batch, and of every replica the tasks' gradient norms and the gradient at its weights."""
    step, looks, _ = see(TRUNKS[trunk], rows, bits=bits)
    gradnorm = started_at_random(GradNorm(FORCES))
    norms, pulls = [], []
    for r, look in enumerate(looks):
        at = {
            t: torch.autograd.grad(loss, look.net.last_shared, retain_graph=True)[0]
            for t, loss in look.losses.items()
        }
        norms.append({t: gradient.norm().item() for t, gradient in at.items()})
        known = dict(enumerate(gradnorm.initial[r].tolist()))
        pull = reference.gradnorm_gradient(look, gradnorm.w[r], known, FORCES[r])
        assert pull[list(look.losses)].abs().min().item() > 1e-4
        pulls.append(pull)
    return step, norms, pulls


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """A list that grows whenever norms come from pairs of rows."""
    calls: list[None] = []
    pairs_of_rows = gradients._by_pairs

    def counted(*arguments: Tensor) -> Tensor:
        calls.append(None)
        return pairs_of_rows(*arguments)

    monkeypatch.setattr(gradients, "_by_pairs", counted)
    return calls


def started_at_random(gradnorm: GradNorm) -> GradNorm:
    """In the middle of a training: weights and first losses are anything."""
    random = torch.Generator().manual_seed(2)
    gradnorm.reset(torch.zeros(2, T, dtype=torch.float64))
    w, initial = 0.5 + torch.rand(2, 2, T, generator=random, dtype=torch.float64)
    gradnorm.w.copy_(w)
    gradnorm.initial = initial
    return gradnorm


@pytest.mark.parametrize("recipe", TRUNKS.values(), ids=TRUNKS.keys())
def test_head_gradients_and_cosines_equal_autograds_on_every_trunk(recipe: Recipe) -> None:
    for target in range(2):
        step, looks, _ = see(recipe, MANY)
        rmtl = RMTL([target, target])
        rmtl.reset(step.losses)
        weights = rmtl.weights(step)
        for r, look in enumerate(looks):
            for t, loss in look.losses.items():
                at = reference.head_gradient(look.net, t, loss)
                assert (step.head_gradients[r, t] - at).abs().max().item() < 1e-10
            expected = reference.RMTL(target).weights(look)
            for t, weight in expected.items():
                assert weights[r, t].item() == pytest.approx(weight, abs=1e-10)


def test_gradnorm_leaves_no_trace_in_the_gradients_of_the_network() -> None:
    def gradients(weighter: GradNorm | None) -> list[Tensor]:
        step, _, network = see(TRUNKS["MLP of three sigmoid batch norm dropout"], MANY)
        weights = torch.tensor([[1.4, 0.9, 0.7], [0.5, 1.5, 1.0]], dtype=torch.float64)
        if weighter is not None:
            weighter.reset(step.losses)
            weighter.w.copy_(weights)
            assert torch.equal(weighter.weights(step), weights)
            assert not weighter.weights(step).requires_grad
            weighter.after(step, weights)
            assert all(p.grad is None for p in network.parameters())
        outputs = network.head(step.forward_pass.features)
        outputs.backward(weights.unsqueeze(1) * step.errors)
        return [p.grad for p in network.parameters() if p.grad is not None]

    without, beside = gradients(None), gradients(GradNorm(0.5))
    assert len(without) == len(beside) == 14
    assert all(map(torch.equal, without, beside))


# ---------------------------------------------------------------- LBTW


def test_lbtw_weighs_by_the_loss_relative_to_the_first_batch_of_the_epoch() -> None:
    lbtw = started(LBTW(0.5, normalise=False), 2)
    assert go(lbtw, plain_step([2.0, 1.0], first=True)) == [1, 1]
    assert go(lbtw, plain_step([0.5, 4.0])) == [0.5, 2]
    assert go(lbtw, plain_step([8.0, 1.0])) == [2, 1]
    assert go(lbtw, plain_step([8.0, 9.0], first=True, epoch=1)) == [1, 1]
    assert go(lbtw, plain_step([2.0, 1.0], epoch=1)) == pytest.approx([0.5, 1 / 3])


def test_lbtw_with_the_reference_of_training_never_starts_anew() -> None:
    lbtw = started(LBTW(1.0, reference="training", normalise=False), 2)
    assert go(lbtw, plain_step([2.0, 1.0], first=True)) == [1, 1]
    assert go(lbtw, plain_step([1.0, 3.0], first=True, epoch=1)) == [0.5, 3]


def test_lbtw_with_the_moving_average_follows_the_losses_slowly() -> None:
    lbtw = started(LBTW(1.0, reference="average", normalise=False, momentum=0.75), 2)
    assert go(lbtw, plain_step([4.0, 1.0], first=True)) == [1, 1]
    assert go(lbtw, plain_step([8.0, 1.0])) == [2, 1]  # then the reference is 3/4 * 4 + 1/4 * 8
    assert go(lbtw, plain_step([10.0, 1.0], first=True, epoch=1)) == [2, 1]


def test_normalised_lbtw_has_mean_one_over_the_labelled_tasks() -> None:
    lbtw = started(LBTW(1.0), 3)
    go(lbtw, plain_step([1.0, 1.0, 1.0], first=True))
    weights = go(lbtw, plain_step([3.0, 1.0, 0.0], labelled=[True, True, False]))
    assert weights[:2] == [1.5, 0.5]


def test_lbtw_takes_the_first_loss_seen_where_the_epochs_first_batch_has_no_label() -> None:
    lbtw = started(LBTW(1.0, normalise=False), 2)
    absent = plain_step([2.0, 0.0], labelled=[True, False], first=True)
    assert go(lbtw, absent)[0] == 1
    assert go(lbtw, plain_step([1.0, 6.0])) == [0.5, 1]
    assert go(lbtw, plain_step([1.0, 3.0])) == [0.5, 0.5]


# ---------------------------------------------------------------- RMTL


def test_rmtl_weighs_the_target_one_and_opposed_tasks_zero() -> None:
    gradients = torch.tensor([[3.0, 4.0], [4.0, 3.0], [-3.0, -4.0], [0.0, 0.0], [-4.0, 3.0]])
    for target, expected in ((0, [1, 0.96, 0, 0, 0]), (1, [0.96, 1, 0, 0, 0])):
        rmtl = started(RMTL(target), 5)
        assert go(rmtl, plain_step([1.0] * 5, gradients=gradients)) == pytest.approx(expected)
        assert go(rmtl, plain_step([1.0] * 5, gradients=gradients))[target] == 1


def test_rmtl_weighs_the_target_exactly_one_in_single_precision() -> None:
    random = torch.Generator().manual_seed(0)
    for _ in range(50):
        gradients = torch.randn(3, 17, generator=random)
        step = plain_step([1.0] * 3, gradients=gradients, dtype=torch.float32)
        assert go(started(RMTL(2), 3, torch.float32), step)[2] == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-36, 1e-25, 1e-12, 1e-6, 1.0, 1e12, 1e25, 1e36])
def test_rmtl_sees_true_cosines_of_gradients_of_every_size(size: float, dtype: torch.dtype) -> None:
    directions = torch.tensor([[3.0, 4.0], [4.0, 3.0], [5.0, 0.0]])
    sizes = torch.tensor([size, 1.0, size])
    step = plain_step([1.0] * 3, gradients=directions * sizes[:, None], dtype=dtype)
    weights = go(started(RMTL(0), 3, dtype), step)
    assert weights == pytest.approx([1, 0.96, 0.6], rel=1e-5)


# ---------------------------------------------------------------- GradNorm


def test_gradnorm_pushes_up_the_task_that_trains_slowly() -> None:
    gradnorm = started(GradNorm(1.0), 2)
    go(gradnorm, plain_step([1.0, 1.0], norms=[1.0, 1.0]))
    for _ in range(5):
        go(gradnorm, plain_step([0.9, 0.1], norms=[1.0, 1.0]))
    slow, fast = gradnorm.w[0].tolist()
    assert slow > 1 > fast


def test_gradnorm_pushes_down_the_task_with_the_larger_gradient() -> None:
    gradnorm = started(GradNorm(0.0, learning_rate=0.1), 2)
    for _ in range(300):
        go(gradnorm, plain_step([1.0, 1.0], norms=[1.0, 3.0]))
    small, large = gradnorm.w[0].tolist()
    assert small == pytest.approx(3 * large, rel=0.05)  # w * norm is the same for both


def test_gradnorms_training_rate_is_relative_to_the_loss_at_first_sight() -> None:
    gradnorm = started(GradNorm(1.0), 3)
    go(gradnorm, plain_step([5.0, 2.0, 0.0], norms=[1, 1, 0], labelled=[True, True, False]))
    go(gradnorm, plain_step([1.0, 1.0, 8.0], norms=[1, 1, 1], first=True, epoch=1))
    assert gradnorm.initial.tolist() == [[5, 2, 8]]


def test_gradnorm_leaves_unseen_tasks_out_of_means_force_and_renormalisation() -> None:
    three, two = started(GradNorm(0.7), 3), started(GradNorm(0.7), 2)
    random = torch.Generator().manual_seed(4)
    for _ in range(20):
        losses, norms = (0.1 + torch.rand(2, 2, generator=random)).tolist()
        there = [True, True, False]
        go(three, plain_step([*losses, 0.0], norms=[*norms, 0.0], labelled=there))
        go(two, plain_step(losses, norms=norms))
    assert three.w[0, 2].item() == 1
    assert (three.w[:, :2] - two.w).abs().max().item() < 1e-14
    assert not torch.allclose(two.w, torch.ones_like(two.w), atol=0.01)


def test_gradnorms_weights_stay_positive_and_sum_to_the_number_of_tasks() -> None:
    gradnorm = started(GradNorm(2.0, learning_rate=0.9), 4)
    random = torch.Generator().manual_seed(4)
    lowest = 1.0
    for _ in range(200):
        losses, norms = (torch.rand(2, 4, generator=random) * torch.tensor([1, 5, 9, 0.1])).tolist()
        there = (torch.rand(4, generator=random) < 0.6).tolist()
        go(gradnorm, plain_step(losses, norms=norms, labelled=there))
        assert gradnorm.w.sum().item() == pytest.approx(4, abs=1e-12)
        lowest = min(lowest, gradnorm.w.min().item())
    assert 0 < lowest < 0.01  # the floor was reached


# ---------------------------------------------------------------- uncertainty


@pytest.mark.slow
def test_uncertaintys_weight_settles_at_half_the_inverse_loss() -> None:
    losses = [0.05, 0.5, 3.0] * 2
    uncertainty = started(Uncertainty(), 6)
    step = plain_step(losses, binary=[True] * 3 + [False] * 3)
    adam = torch.optim.Adam(uncertainty.parameters(), lr=0.05)
    for _ in range(800):
        adam.zero_grad()
        objective = (uncertainty.weights(step) * step.losses).sum() + uncertainty.penalty(step)
        objective.sum().backward()
        adam.step()
    expected = [1 / (2 * loss) for loss in losses]
    assert uncertainty.weights(step)[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_uncertainty_starts_with_weight_one_for_classes_and_a_half_for_numbers() -> None:
    step = plain_step([1.0, 1.0], binary=[True, False])
    assert go(started(Uncertainty(), 2), step) == [1, 0.5]


@pytest.mark.parametrize(("loss", "bound"), [(0.0, -3.0), (1e9, 3.0)])
def test_uncertaintys_log_variance_stays_inside_its_bound(loss: float, bound: float) -> None:
    uncertainty = started(Uncertainty(bound=3.0), 1)
    step = plain_step([loss])
    adam = torch.optim.SGD(uncertainty.parameters(), lr=1.0)
    for _ in range(30):
        weight = uncertainty.weights(step)
        assert math.exp(-3) - 1e-12 <= weight.item() <= math.exp(3) + 1e-12
        adam.zero_grad()
        (weight * step.losses + uncertainty.penalty(step)).sum().backward()
        adam.step()
    uncertainty.weights(step)
    assert uncertainty.log_variance.item() == bound


def test_uncertainty_learns_nothing_about_a_task_without_a_label() -> None:
    uncertainty = started(Uncertainty(), 2)
    step = plain_step([1.0, 0.0], labelled=[True, False])
    (uncertainty.weights(step) * step.losses).sum().backward()
    uncertainty.penalty(step).sum().backward()
    assert uncertainty.log_variance.grad.tolist() == [[-0.5, 0]]


# ---------------------------------------------------------------- DWA and the controls


def test_dwa_weighs_one_in_the_first_two_epochs_and_then_by_the_rate_of_the_losses() -> None:
    dwa = started(DWA(temperature=2.0), 2)
    epochs = [([4.0, 2.0], [2.0, 2.0]), ([1.0, 2.0], [2.0, 4.0]), ([9.0, 9.0], [9.0, 9.0])]
    weights = [
        go(dwa, plain_step(losses, first=batch == 0, epoch=epoch))
        for epoch, batches in enumerate(epochs)
        for batch, losses in enumerate(batches)
    ]
    assert weights[:4] == [[1, 1]] * 4
    rates = [(1.5 / 3) / 2, (3 / 2) / 2]  # mean losses 3, 2 and then 1.5, 3; temperature 2
    total = sum(map(math.exp, rates))
    expected = [2 * math.exp(rate) / total for rate in rates]
    assert weights[4] == pytest.approx(expected, rel=1e-12)
    assert weights[5] == weights[4]


def test_random_weights_sum_to_the_number_of_tasks_and_favour_none() -> None:
    drawn = RandomWeights()
    step = plain_step([1.0] * 3)
    weights = torch.cat([drawn.weights(step) for _ in range(3000)])
    assert torch.allclose(weights.sum(1), torch.tensor(3.0).double())
    assert (weights.mean(0) - 1).abs().max().item() < 0.06
    assert weights.std(0).min().item() > 0.4


def test_shuffled_deals_every_order_equally_often_among_the_labelled_tasks() -> None:
    step = plain_step([1.0, 2.0, 3.0, 4.0], labelled=[True, True, False, True])
    shuffled = started(Shuffled(WeighterArguments([10.0, 20.0, 30.0, 40.0])), 4)
    dealt = [tuple(shuffled.weights(step)[0].tolist()) for _ in range(3000)]
    wanted = {(a, b, 30.0, d) for a, b, d in permutations([10.0, 20.0, 40.0])}
    assert set(dealt) == wanted
    assert all(abs(dealt.count(order) - 500) < 100 for order in wanted)


class WeighterArguments(Weighter):
    """These weights."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.given = weights

    def weights(self, step: Step) -> Tensor:
        return torch.tensor([self.given], dtype=torch.float64)


# ---------------------------------------------------------------- what holds for every weighter


ALPHAS = (0.0, 0.5, 1.5)
SEEDS = (3, 8, 5)
Make = Callable[[Sequence[float], int], Weighter]  # of alphas and target

KNOWING: dict[str, Make] = {
    "Uniform": lambda alphas, target: Uniform(),
    **{
        f"LBTW {first} {normalise}": lambda alphas, target, f=first, n=normalise: LBTW(
            alphas, reference=f, normalise=n
        )
        for first in ("epoch", "training", "average")
        for normalise in (True, False)
    },
    "RMTL": lambda alphas, target: RMTL([target] * len(alphas)),
    "GradNorm": lambda alphas, target: GradNorm(alphas),
    "MGDA": lambda alphas, target: MGDA(),
    "CAGrad": lambda alphas, target: CAGrad([alpha / 2 for alpha in alphas]),
    "Nash-MTL": lambda alphas, target: NashMTL(),
    "Uncertainty": lambda alphas, target: Uncertainty(),
    "DWA": lambda alphas, target: DWA(),
    "SparseHeads": lambda alphas, target: SparseHeads(),
    "Balanced": lambda alphas, target: Balanced(),
    "AMTFL": lambda alphas, target: AMTFL(alphas),
    **{
        f"UAMTFL {reading}": lambda alphas, target, r=reading: UAMTFL(
            alphas, reading=r, learning_rate=0.1, passes=3
        )
        for reading in READINGS
    },
}
CHANCE: dict[str, Make] = {
    "PCGrad": lambda alphas, target: PCGrad(),
    "RandomWeights": lambda alphas, target: RandomWeights(),
    "shuffled LBTW": lambda alphas, target: Shuffled(LBTW(alphas)),
    "shuffled GradNorm": lambda alphas, target: Shuffled(GradNorm(alphas)),
    "permuted LBTW": lambda alphas, target: Permuted(LBTW(alphas)),
    "permuted GradNorm": lambda alphas, target: Permuted(GradNorm(alphas)),
    "frozen LBTW": lambda alphas, target: Frozen(LBTW(alphas), torch.tensor([[0.5, 1, 2]])),
    "shuffled Uncertainty": lambda alphas, target: Shuffled(Uncertainty()),
    "shuffled UAMTFL": lambda alphas, target: Shuffled(UAMTFL(alphas)),
}
EVERY = {**KNOWING, **CHANCE}


def scene(
    seeds: Sequence[int] = SEEDS,
    order: Sequence[int] = (0, 1, 2),
    absent: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> list[Step]:
    """The batches of `drawn`, with nothing computed and no random number taken yet."""
    noise = RandomStreams(seeds, "weighter", torch.zeros(1, dtype=dtype))
    return [replace(step, noise=noise) for step in drawn((*seeds,), (*order,), absent, dtype)]


@cache
def drawn(
    seeds: tuple[int, ...], order: tuple[int, ...], absent: int | None, dtype: torch.dtype
) -> list[Step]:
    """Batches of four epochs, the tasks in this order; task 2 is rare, `absent` is never seen.

    In the second epoch task 1 has no label in the first batch; in the third, task 0 has none.
    """
    recipe = Recipe(trunk=(5, 4), activation="tanh", batch_norm=True)
    network = Network(seeds, 6, T, recipe, decodes=True).to(dtype)
    assert network.decoder is not None
    with torch.no_grad():
        network.decoder.weight.copy_(30 * network.decoder.weight[:, order])
        network.head.weight.copy_(network.head.weight[:, :, order])
        network.head.bias.copy_(network.head.bias[:, :, order])
    noise = RandomStreams(seeds, "weighter", torch.zeros(1, dtype=dtype))
    random = [torch.Generator().manual_seed(seed) for seed in seeds]
    valid = torch.ones(len(seeds), 7, dtype=torch.bool)
    found = []
    for k in range(16):
        x, y, there = (torch.stack([torch.randn(7, 6, generator=g) for g in random]) for _ in "xyz")
        y = torch.where(BINARY, (y[:, :, :T] > 0).float(), y[:, :, :T])
        labelled = there[:, :, :T] > torch.tensor([-0.5, -0.5, 1.2])
        labelled[:, 0, :2] = True
        labelled[:, :, 0] &= k // 4 != 2
        labelled[:, :, 1] &= k != 4
        if absent is not None:
            labelled[:, :, absent] = False
        y, labelled = y[:, :, order].to(dtype), labelled[:, :, order]
        forward_pass, outputs = network((1 + k % 5) * x.to(dtype), valid)
        rows = torch.full((len(seeds), 1), 7, dtype=dtype)
        kinds = BINARY[list(order)]
        losses, errors, seen = task_losses(outputs.detach(), y, labelled.to(dtype), kinds, rows)
        found.append(
            Step(
                losses,
                seen,
                torch.full((len(seeds),), k % 4 == 0),
                torch.full((len(seeds),), k // 4),
                valid,
                torch.arange(1.0, 4.0, dtype=dtype)[list(order)].expand_as(losses),
                outputs.detach(),
                errors,
                network.head.weight,
                forward_pass,
                outputs,
                network.decoder,
                kinds,
                noise,
            )
        )
    return found


def drive(weighter: Weighter, steps: list[Step]) -> Tensor:
    """Weights `[steps, R, T]`, 0 where unlabelled, while the weighter learns and moves on."""
    weighter.reset(torch.zeros_like(steps[0].losses))
    adam = torch.optim.Adam([*weighter.parameters(), torch.zeros(1)], lr=0.1)
    found = []
    for step in steps:
        again = partial(_other_dropout, step.raw)
        weighter.read(step.raw, step.binary, step.valid, again)
        weights = torch.where(step.labelled, weighter.weights(step), 0.0)
        objective = (weights * step.losses).sum() + weighter.penalty(step).sum()
        weighter.after(step, weights.detach())
        adam.zero_grad()
        if objective.requires_grad:
            objective.backward(retain_graph=True)  # others see the same batches
        adam.step()
        found.append(weights.detach())
    return torch.stack(found)


def _other_dropout(raw: Tensor) -> Tensor:
    """What another pass of the same batch could say."""
    return 1.5 * raw


def test_the_scene_has_epochs_without_a_task_and_unlabelled_first_batches() -> None:
    labelled = torch.stack([step.labelled for step in scene()])
    assert labelled.any(2).all()
    assert not labelled[8:12, :, 0].any()
    assert not labelled[4, :, 1].any()
    assert labelled[5:8, :, 1].all()
    assert 0.2 < labelled[:, :, 2].double().mean().item() < 0.8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_weights_are_finite_and_not_negative(make: Make, dtype: torch.dtype) -> None:
    weights = drive(make(ALPHAS, 1), scene(dtype=dtype))
    assert weights.dtype == dtype
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert (weights.sum((0, 2)) > 10).all()


@pytest.mark.parametrize("absent", range(T))
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_weights_are_finite_when_a_task_never_has_a_label(make: Make, absent: int) -> None:
    weights = drive(make(ALPHAS, (absent + 1) % T), scene(absent=absent))
    assert weights.isfinite().all()
    assert not weights[:, :, absent].any()
    assert weights.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_losses_and_gradients_of_zero_make_no_weight_infinite(
    make: Make, dtype: torch.dtype
) -> None:
    weighter = make([1.5], 0)
    weighter.reset(torch.zeros(1, T, dtype=dtype))
    for k, sizes in enumerate([(0, 1, 0), (0, 0, 0), (5, 0, 1), (5, 5, 5), (0, 5, 0), (5, 5, 5)]):
        step = plain_step(
            sizes,
            norms=sizes,
            gradients=torch.tensor(sizes)[:, None] * torch.ones(4),
            first=k % 2 == 0,
            epoch=k // 2,
            dtype=dtype,
        )
        with torch.no_grad():
            weights = weighter.weights(step)
            weighter.after(step, weights)
        assert weights.isfinite().all()
        assert (weights >= 0).all()


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("make", KNOWING.values(), ids=KNOWING.keys())
def test_a_permutation_of_the_tasks_permutes_the_weights(
    make: Make, order: tuple[int, int, int]
) -> None:
    given = drive(make(ALPHAS, 1), scene())
    permuted = drive(make(ALPHAS, order.index(1)), scene(order=order))
    assert (permuted - given[:, :, order]).abs().max().item() < 1e-12


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_a_replica_more_in_the_stack_changes_no_other(make: Make) -> None:
    three = drive(make(ALPHAS, 1), scene(SEEDS))
    for kept in ([0, 1], [2, 1], [1]):
        alphas, seeds = ([every[k] for k in kept] for every in (ALPHAS, SEEDS))
        fewer = drive(make(alphas, 1), scene(seeds))
        assert (fewer - three[:, kept]).abs().max().item() < 1e-12


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_reset_forgets_everything(make: Make) -> None:
    used = make(ALPHAS, 1)
    drive(used, scene(order=(2, 0, 1)))
    assert torch.equal(drive(used, scene()), drive(make(ALPHAS, 1), scene()))


def test_only_uniform_weights_are_uniform() -> None:
    for name, make in EVERY.items():
        weights = drive(make(ALPHAS, 1), scene())
        labelled = torch.stack([step.labelled for step in scene()])
        off = (weights[labelled] - 1).abs().max().item()
        assert (off == 0) == (name in ("Uniform", "SparseHeads")), name


@pytest.mark.parametrize("weighter", [GradNorm(0.5), LBTW(0.5)])
def test_a_shuffled_weighter_learns_as_if_nobody_shuffled(weighter: Weighter) -> None:
    given, dealt = drive(weighter, scene()), drive(Shuffled(weighter), scene())
    assert (given.sort(2).values - dealt.sort(2).values).abs().max().item() < 1e-12
    assert (given - dealt).abs().max().item() > 0.1


@pytest.mark.parametrize("kind", [LBTW, GradNorm, AMTFL, UAMTFL])
@pytest.mark.parametrize("alpha", [-0.1, math.nan, math.inf, "much", [0.1, -1.0], []])
def test_an_impossible_alpha_is_refused_in_one_line(kind: type, alpha: Any) -> None:
    with pytest.raises(BadInput, match="alpha") as refused:
        kind(alpha)
    assert "\n" not in str(refused.value)
