"""Losses with their closed-form errors, stacked networks, and the random numbers they share."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from beartype.roar import BeartypeCallHintParamViolation
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtl_nt.errors import BadInput
from mtl_nt.networks.layers import BatchNorm, Convolution, Linear
from mtl_nt.networks.losses import LossOver, task_losses
from mtl_nt.networks.network import Network, log_odds
from mtl_nt.networks.network_size import network_size
from mtl_nt.networks.random_streams import RandomStreams, generator
from mtl_nt.networks.recipe import Initialisation, Loss, Recipe

BINARY = torch.tensor([True, False, True, False])
R, B, T = 2, 7, 4
LOSSES: tuple[Loss, ...] = get_args(Loss)  # "each" and "softmax"


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Outputs, targets, labels and rows of two batches; a task has no label in the first."""
    random = torch.Generator().manual_seed(5)
    outputs, y = torch.randn(2, R, B, T, generator=random, dtype=torch.float64)
    y = torch.where(BINARY, (y > 0).double(), y)
    labelled = torch.rand(R, B, T, generator=random) < 0.6
    labelled[0, :, 1] = False
    labelled[1, 5:] = False  # the second batch has five rows
    return outputs.requires_grad_(), y, labelled, torch.tensor([[7.0], [5.0]]).double()


def of_batch(over: LossOver = "labelled") -> tuple[Tensor, Tensor, Tensor]:
    outputs, y, labelled, rows = batch()
    losses, errors, there = task_losses(outputs, y, labelled.double(), BINARY, rows, over)
    assert torch.equal(there, labelled.any(1))
    return outputs, losses, errors


def test_a_tensor_of_the_wrong_shape_is_noticed_in_the_tests() -> None:
    outputs, y, labelled, rows = batch()
    with pytest.raises(BeartypeCallHintParamViolation, match="label_mask"):
        task_losses(outputs, y, labelled[:, :, :3].double(), BINARY, rows)


# ---------------------------------------------------------------- losses


def test_a_loss_is_the_mean_over_the_labelled_rows_of_its_task() -> None:
    outputs, y, labelled, _ = batch()
    _, losses, _ = of_batch()
    for r in range(R):
        for t in range(T):
            rows = labelled[r, :, t].nonzero().flatten().tolist()
            total = 0.0
            for b in rows:
                f, truth = outputs[r, b, t].item(), y[r, b, t].item()
                p = 1 / (1 + math.exp(-f))
                likelihood = p if truth == 1 else 1 - p
                total += -math.log(likelihood) if BINARY[t] else (f - truth) ** 2
            assert losses[r, t].item() == pytest.approx(total / max(len(rows), 1), abs=1e-14)


def test_a_task_without_a_label_has_loss_zero_and_no_gradient() -> None:
    outputs, losses, errors = of_batch()
    assert losses[0, 1].item() == 0
    losses.sum().backward()
    assert outputs.grad is not None
    assert not outputs.grad[0, :, 1].any()
    assert not errors[0, :, 1].any()


def test_the_mean_over_all_rows_weighs_a_task_by_its_share_of_labelled_rows() -> None:
    _, _, labelled, rows = batch()
    _, over_labelled, _ = of_batch("labelled")
    _, over_all, _ = of_batch("all")
    share = labelled.sum(1) / rows  # of seven rows, and of the five that the ragged batch has
    assert torch.allclose(over_all, over_labelled * share, rtol=1e-14)
    assert not torch.allclose(over_all, over_labelled)


@pytest.mark.parametrize("over", ["labelled", "all"])
def test_the_errors_are_the_gradient_of_the_losses_at_the_outputs(over: LossOver) -> None:
    outputs, losses, errors = of_batch(over)
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)  # a task's loss has its own outputs
    assert (gradient - errors).abs().max().item() < 1e-15


@pytest.mark.parametrize("missing", [0.0, 1.0, -7.0, 1e30])
def test_what_number_stands_where_a_label_is_missing_does_not_matter(missing: float) -> None:
    outputs, y, labelled, rows = batch()
    expected = of_batch()
    given = torch.where(labelled, y, missing)
    found = task_losses(outputs, given, labelled.double(), BINARY, rows)
    assert torch.equal(found.losses, expected[1])
    assert torch.equal(found.errors, expected[2])


def test_huge_logits_give_finite_losses_in_single_precision() -> None:
    outputs = torch.tensor([1e4, -1e4]).reshape(1, 2, 1).requires_grad_()
    y, there = torch.tensor([0.0, 1.0]).reshape(1, 2, 1), torch.ones(1, 2, 1)
    losses, errors, _ = task_losses(outputs, y, there, torch.tensor([True]), torch.tensor([[2.0]]))
    assert losses.item() == 1e4
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    assert torch.equal(gradient, errors)
    assert errors.flatten().tolist() == [0.5, -0.5]


# ---------------------------------------------------------------- the softmax


def class_outputs(size: float = 3.0) -> tuple[Tensor, Tensor]:
    """Outputs for five classes and the class of every row; a class has no row."""
    random = torch.Generator().manual_seed(2)
    outputs = size * torch.randn(R, B, 5, generator=random, dtype=torch.float64)
    return outputs.requires_grad_(), torch.randint(4, (R, B), generator=random)


def softmax_losses(outputs: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The class losses as a training step has them: a row is its own class's alone."""
    y = nn.functional.one_hot(classes, outputs.shape[2]).to(outputs.dtype)
    rows = torch.full((R, 1), float(B), dtype=outputs.dtype)
    every = torch.ones(outputs.shape[2], dtype=torch.bool)
    odds = log_odds(outputs)
    losses, errors, _ = task_losses(odds.detach(), y, y, every, rows, "all")
    (gradient,) = torch.autograd.grad(odds, outputs, errors)
    return losses, gradient


def test_log_odds_are_those_of_the_softmax() -> None:
    outputs, _ = class_outputs()
    p = outputs.softmax(2)
    assert (log_odds(outputs) - (p.log() - (1 - p).log())).abs().max().item() < 1e-12


def test_log_odds_of_two_classes_are_the_difference_of_the_outputs() -> None:
    outputs = class_outputs()[0][:, :, :2]
    gap = outputs[:, :, 0] - outputs[:, :, 1]
    assert torch.allclose(log_odds(outputs), torch.stack([gap, -gap], 2), atol=1e-14)


@pytest.mark.parametrize(
    "outputs", [[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], ids=str
)
def test_huge_outputs_have_finite_log_odds_and_gradients_in_single_precision(
    outputs: list[float],
) -> None:
    given = torch.tensor(outputs).reshape(1, 1, 3).requires_grad_()
    odds = log_odds(given)
    exact = log_odds(given.detach().double())
    assert torch.allclose(odds.double(), exact, rtol=1e-5, atol=2e-3)  # 1e4 has seven digits
    assert odds.abs().max().item() < 1e5
    odds.sum().backward()
    assert given.grad is not None and given.grad.isfinite().all()


@pytest.mark.parametrize("size", [0.1, 3.0, 30.0])
def test_the_class_losses_add_up_to_torchs_cross_entropy_and_so_do_their_gradients(
    size: float,
) -> None:
    outputs, classes = class_outputs(size)
    losses, gradient = softmax_losses(outputs, classes)
    for r in range(R):
        whole = nn.functional.cross_entropy(outputs[r], classes[r])
        assert losses[r].sum().item() == pytest.approx(whole.item(), rel=1e-12)
        (expected,) = torch.autograd.grad(whole, outputs)
        assert (gradient[r] - expected[r]).abs().max().item() < 1e-12


def test_a_network_with_a_softmax_says_log_odds() -> None:
    x, valid = torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool)
    each, softmax = (Network([0, 1], 6, 3, Recipe(trunk=(4,), loss=name)) for name in LOSSES)
    assert torch.equal(softmax(x, valid)[1], log_odds(each(x, valid)[1]))


# ---------------------------------------------------------------- networks


def test_batch_norm_over_ragged_batches_is_torchs_over_each_batch_alone() -> None:
    torch.manual_seed(0)
    stacked = BatchNorm(3, 4).double()
    plain = [nn.BatchNorm1d(4).double() for _ in range(3)]
    for _ in range(5):
        x = 2 + 3 * torch.randn(3, 6, 4, dtype=torch.float64)
        valid = torch.arange(6) < torch.tensor([[6], [4], [2]])
        out, _ = stacked(torch.where(valid.unsqueeze(2), x, 1e3), valid)
        for r, norm in enumerate(plain):
            assert torch.allclose(out[r, valid[r]], norm(x[r, valid[r]]), atol=1e-12)
    everything = torch.ones(3, 6, dtype=torch.bool)
    out, _ = stacked.eval()(x, everything)
    for r, norm in enumerate(plain):
        assert torch.allclose(out[r], norm.eval()(x[r]), atol=1e-12)


def test_the_initial_weights_are_as_wide_as_torchs() -> None:
    network = Network(range(40), 25, 3, Recipe(trunk=(16, 9)))
    for layer in (*(block.linear for block in network.trunk.blocks), network.head):
        assert isinstance(layer, Linear)
        bound = layer.weight.shape[1] ** -0.5
        for numbers in (layer.weight, layer.bias):
            assert numbers.abs().max().item() <= bound
            assert numbers.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)


def test_a_seed_has_the_same_initial_weights_wherever_it_stands() -> None:
    recipe = Recipe(trunk=(5, 3))
    alone, stack = (Network(seeds, 6, 2, recipe) for seeds in ([4], [9, 4, 1, 4]))
    for one, many in zip(alone.parameters(), stack.parameters(), strict=True):
        assert torch.equal(one[0], many[1])
        assert torch.equal(one[0], many[3])
        assert not torch.equal(many[0], many[1])


def test_replicas_do_not_mix() -> None:
    torch.manual_seed(0)
    network = Network([0, 1, 2], 6, 2, Recipe(trunk=(5, 3), batch_norm=True))
    x = torch.randn(3, 4, 6, requires_grad=True)
    valid = torch.ones(3, 4, dtype=torch.bool)
    _, outputs = network(x, valid)
    (gradient,) = torch.autograd.grad(outputs[1].square().sum(), x)
    assert gradient[1].any()
    assert not gradient[[0, 2]].any()


def test_dropout_acts_in_training_only_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    network = Network([0], 6, 1, Recipe(trunk=(400,), activation="sigmoid", dropout=0.25))
    x, valid = torch.randn(1, 50, 6), torch.ones(1, 50, dtype=torch.bool)
    noise = RandomStreams([0], "dropout", x)
    dropped = network(x, valid, noise)[0].features
    network.eval()
    kept = network(x, valid, noise)[0].features
    assert torch.equal(kept, network(x, valid)[0].features)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.allclose(dropped[dropped > 0], kept[dropped > 0] / 0.75)
    assert dropped.mean().item() == pytest.approx(kept.mean().item(), rel=0.02)


def test_glorots_weights_are_as_wide_as_the_paper_says_and_its_biases_zero() -> None:
    recipe = Recipe(trunk=(4, 6, 30), architecture="lenet", kernel=3, initialisation="glorot")
    network = Network(range(40), 100, 3, recipe)
    fans = {(9, 36), (36, 54), (6, 30), (30, 3)}
    for layer in network.modules():
        if isinstance(layer, (Linear, Convolution)):
            fans.remove(layer.fans)
            bound = math.sqrt(6 / sum(layer.fans))
            assert layer.weight.abs().max().item() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)
            assert not layer.bias.any()
    assert not fans


def test_amtfls_heads_are_normal_and_its_trunk_is_glorots() -> None:
    recipes = [Recipe(trunk=(6, 30), initialisation=how) for how in ("amtfl", "glorot")]
    network, glorot = (Network(range(40), 8, 3, recipe) for recipe in recipes)
    for mine, other in zip(network.trunk.parameters(), glorot.trunk.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert is_small_and_normal(network.head)
    assert not is_small_and_normal(glorot.head)


@pytest.mark.parametrize("how", ["torch", "glorot", "amtfl"])
def test_a_decoder_is_small_and_normal_and_changes_no_other_weight(how: Initialisation) -> None:
    recipe = Recipe(trunk=(6, 30), initialisation=how)
    network, without = (Network(range(40), 8, 3, recipe, decodes) for decodes in (True, False))
    assert network.decoder is not None and without.decoder is None
    assert network.decoder.weight.shape == (40, 3, 30)
    assert is_small_and_normal(network.decoder)
    for name, other in without.named_parameters():
        assert torch.equal(network.get_parameter(name), other)


def is_small_and_normal(layer: Linear) -> bool:
    """Weights normal with sd 0.01, biases 0."""
    weights = layer.weight.flatten()
    beyond = (weights.abs() > 0.02).float().mean().item()  # 4.6% of a normal, none of a uniform
    narrow = weights.std().item() == pytest.approx(0.01, rel=0.05)
    return narrow and 0.03 < beyond < 0.06 and not layer.bias.any()


@pytest.mark.parametrize(
    ("inputs", "kernel", "named"), [(99, 3, "square images"), (49, 3, "7 x 7 are too small")]
)
def test_what_lenet_cannot_read_is_refused_in_one_line(
    inputs: int, kernel: int, named: str
) -> None:
    recipe = Recipe(trunk=(2, 3, 4), architecture="lenet", kernel=kernel)
    for build in (lambda: Network([0], inputs, 2, recipe), lambda: network_size(inputs, 2, recipe)):
        with pytest.raises(BadInput, match=named) as refused:
            build()
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "recipe",
    [Recipe(trunk=(7, 5)), Recipe(trunk=(4, 6, 30), architecture="lenet", kernel=3)],
    ids=["MLP", "LeNet"],
)
def test_the_size_of_a_network_is_what_it_is_when_built(recipe: Recipe) -> None:
    network, found = Network([0], 100, 3, recipe), network_size(100, 3, recipe)
    assert found.parameters == sum(p.numel() for p in network.parameters())
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(1, 6, 100), torch.ones(1, 6, dtype=torch.bool))
    assert counter.get_total_flops() == 2 * 6 * found.multiplications


# ---------------------------------------------------------------- random numbers


def test_replicas_with_one_seed_share_their_numbers_and_others_do_not() -> None:
    like = torch.zeros(1)
    drawn = RandomStreams([5, 2, 5], "dropout", like).uniform(1000)
    assert torch.equal(drawn[0], drawn[2])
    assert abs(torch.corrcoef(drawn[:2])[0, 1].item()) < 0.15
    alone = RandomStreams([2], "dropout", like)
    assert torch.equal(alone.uniform(1000)[0], drawn[1])


def test_every_purpose_of_a_seed_has_its_own_numbers() -> None:
    like = torch.zeros(1)
    drawn = [
        RandomStreams([3], p, like).normal(1000)[0] for p in ("weights", "dropout", "weighter")
    ]
    drawn.append(torch.from_numpy(generator(3, "batches").standard_normal(1000)).float())
    correlation = torch.corrcoef(torch.stack(drawn)) - torch.eye(4)
    assert correlation.abs().max().item() < 0.15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_precision_sees_the_same_numbers(dtype: torch.dtype) -> None:
    drawn = RandomStreams([7], "weighter", torch.zeros(1, dtype=dtype)).normal(9)
    assert drawn.dtype == dtype
    assert torch.equal(drawn.float(), RandomStreams([7], "weighter", torch.zeros(1)).normal(9))
