"""Bodies of one's own: how each network gets its module, and what is refused before a training."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from torch import Tensor, nn

from mtl_nt import OwnBody, Recipe, Split, TaskData, load
from mtl_nt.bits import Bits
from mtl_nt.networks import (
    Network,
    RandomStreams,
    example_rows,
    made_rows,
    network_size,
    trunk_gradient_norms,
    trunk_gramian,
)

F, B = 6, 8


class Noisy(nn.Module):
    """A layer, a batch norm and a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(F, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.4))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Wide(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def stack(seeds: list[int], body: Any = Noisy, width: int = 4, **settings: Any) -> Network:
    return Network(seeds, F, 3, Recipe(architecture=body, trunk=(width,), **settings))


def batch(seed: int = 0, replicas: int = 1) -> tuple[Tensor, Tensor]:
    x = torch.randn(B, F, generator=torch.Generator().manual_seed(seed))
    return x.expand(replicas, -1, -1), torch.ones(replicas, B, dtype=torch.bool)


def streams(seeds: list[int]) -> RandomStreams:
    return RandomStreams(seeds, "dropout", torch.zeros(1))


# --------------------------------------------------------------------------- a module a network


def test_a_seed_gives_the_same_weights_wherever_it_stands() -> None:
    several, alone = stack([3, 1, 3]), stack([1])
    numbers = [torch.cat([p.flatten() for p in body.parameters()]) for body in several.trunk.bodies]
    assert torch.equal(numbers[0], numbers[2])
    assert not torch.equal(numbers[0], numbers[1])
    own = torch.cat([p.flatten() for p in alone.trunk.bodies[0].parameters()])
    assert torch.equal(numbers[1], own)
    assert len({id(p) for p in several.parameters()}) == len([*several.parameters()])


def test_torchs_own_random_numbers_go_on_as_if_nothing_had_been_drawn() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    network = stack([0, 1])
    network(*batch(replicas=2), streams([0, 1]))
    network.eval()(*batch(replicas=2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_new_module_has_seen_no_row() -> None:
    mean = stack([0]).trunk.bodies[0].layers[1].running_mean
    assert torch.equal(mean, torch.zeros(5))


def test_a_networks_dropout_depends_on_its_seed_and_step_alone() -> None:
    def passes(seeds: list[int]) -> list[Tensor]:
        network, noise = stack(seeds), streams(seeds)
        return [network(*batch(replicas=len(seeds)), noise)[1] for _ in range(2)]

    several, alone = passes([3, 1, 3]), passes([1])
    for step in range(2):
        assert torch.allclose(several[step][1], alone[step][0], atol=1e-6)
        assert torch.equal(several[step][0], several[step][2])
    # With the same weights, what is left is dropout: it differs between networks and steps.
    network, noise = stack([3, 1]), streams([3, 1])
    network.trunk.bodies[1].load_state_dict(network.trunk.bodies[0].state_dict())
    first, second = (network.trunk(*batch(replicas=2), noise).inputs for _ in range(2))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], second[0])


def test_the_same_evaluation_gives_the_same_without_dropout_and_with_running_statistics() -> None:
    network = stack([0])
    network(*batch(), streams([0]))  # moves the running statistics
    network.eval()
    whole, valid = batch()
    found = network(whole, valid)[1]
    assert torch.equal(found, network(whole, valid)[1])
    row = network(whole[:, :1], valid[:, :1])[1]  # one row alone has no statistics of its own
    assert torch.allclose(found[:, :1], row, atol=1e-6)


class Sampled(nn.Module):
    """Draws random numbers whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(F, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.randn(len(x), 5)


def test_a_body_that_draws_when_it_is_judged_gives_the_same_every_time() -> None:
    network = stack([0, 1], Sampled).eval()
    once, again = (network(*batch(replicas=2))[1] for _ in range(2))
    assert torch.equal(once, again)
    assert torch.equal(stack([1], Sampled).eval()(*batch())[1][0], once[1])


def test_a_body_sees_the_valid_rows_of_its_batch_and_no_padding() -> None:
    network, plain = stack([0], dropout=0.0), Noisy()
    plain.load_state_dict(network.trunk.bodies[0].state_dict())
    for part in (network, plain):
        for layer in part.modules():
            layer.p = 0.0  # of dropout
    x, _ = batch()
    valid = torch.tensor([[True, False, True, True, False, True, True, False]])
    found = network.trunk(x, valid, streams([0])).inputs[0]
    assert torch.allclose(found[valid[0]], plain(x[0][valid[0]]), atol=1e-6)
    assert not found[~valid[0]].any()
    mean = network.trunk.bodies[0].layers[1].running_mean
    assert torch.allclose(mean, plain.layers[1].running_mean)


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2).flatten(1)


def test_a_body_that_writes_into_its_rows_changes_no_other_networks_rows() -> None:
    x, valid = batch(replicas=2)  # both networks read the same memory
    before = x.clone()
    rows = x[0].clone()
    network = Network([0, 1], F, 3, Recipe(architecture=InPlace, trunk=(F,)), rows=rows)
    assert torch.equal(rows, before[0])
    features = network.trunk(x, valid, None).inputs
    assert torch.equal(x, before)
    assert torch.equal(features, 2 * before)


TRAINED = Wide(F)


@pytest.mark.parametrize(
    "body",
    [
        nn.Flatten,
        partial(Wide, F),
        lambda: nn.LazyLinear(5),
        lambda: Wide(F).requires_grad_(False),
        lambda: nn.Sequential(copy.deepcopy(TRAINED), nn.Linear(5, 3)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(F, 5)),
    ],
    ids=["no weights", "with an argument", "lazy", "frozen", "trained", "parametrised"],
)
def test_modules_of_many_kinds_will_do(body: Callable[[], nn.Module]) -> None:
    network = stack([0, 1], body)
    _, outputs = network(*batch(replicas=2))
    outputs.sum().backward()
    learning = [p for p in network.trunk.bodies.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.any() for p in learning)


class Codes(nn.Module):
    """Whole numbers from 0 to 9 become vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x.long()).flatten(1)


def test_a_body_gets_rows_in_the_shape_of_the_data() -> None:
    shapes: list[tuple[int, ...]] = []

    class Seen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            shapes.append(tuple(x.shape[1:]))
            return x.flatten(1)

    data = load("digits")
    rows = example_rows(data, OwnBody(Seen))
    network = Network([0], 64, 10, Recipe(architecture=Seen, trunk=(4,)), rows=rows)
    network(torch.zeros(1, B, 64), torch.ones(1, B, dtype=torch.bool))
    assert {*shapes} == {(1, 8, 8)}


def test_bits_become_dense_rows_and_codes_stay_whole_numbers() -> None:
    dense = torch.rand(1, B, F) > 0.5
    network, valid = stack([0], Codes), torch.ones(1, B, dtype=torch.bool)
    bits = network(Bits.from_dense(dense), valid)[1]
    assert torch.equal(bits, network(dense.float(), valid)[1])
    assert torch.equal(made_rows(3)[:2], torch.tensor([[0.0, 1, 0], [1, 0, 1]]))


def test_gradients_at_the_last_shared_layer_have_their_closed_forms() -> None:
    network = stack([0, 1], nn.Flatten, dropout=0.3, batch_norm=True, activation="tanh").double()
    x, valid = batch(replicas=2)
    valid = valid & (torch.arange(B) != 5)
    forward_pass, outputs = network(x.double(), valid, streams([0, 1]))
    errors = torch.randn(outputs.shape, dtype=torch.float64) * valid.unsqueeze(2)
    weight = network.trunk.block.linear.weight
    gradients = torch.stack(
        [
            torch.autograd.grad((errors * outputs)[:, :, t].sum(), weight, retain_graph=True)[0]
            for t in range(3)
        ],
        1,
    ).flatten(2)
    head = network.head.weight.detach()
    norms = trunk_gradient_norms(errors, head, forward_pass)
    gramian = trunk_gramian(errors, head, forward_pass)
    assert (norms - gradients.norm(dim=2)).abs().max() < 1e-10
    assert (gramian - gradients @ gradients.mT).abs().max() < 1e-10


# ------------------------------------------------------------------------------------- its size


def image_body() -> nn.Module:
    convolution = nn.Conv2d(1, 3, 3, padding=1)
    return nn.Sequential(nn.Unflatten(1, (1, 4, 4)), convolution, nn.ReLU(), nn.Flatten())


def test_the_size_of_a_body_is_counted_on_a_few_rows() -> None:
    recipe = Recipe(architecture=image_body, trunk=(7,))
    size = network_size(16, 2, recipe)
    network = Network([0], 16, 2, recipe)
    assert size.parameters == sum(p.numel() for p in network.parameters())
    assert size.multiplications == 16 * 3 * 9 + 48 * 7 + 7 * 2
    # The rows, what the convolution read and the ReLU gave, and five numbers for each unit above.
    assert size.activations == 16 + (16 + 48) + 5 * (7 + 2)
    mlp = network_size(16, 2, Recipe(trunk=(48, 7)))
    own = network_size(
        16, 2, Recipe(architecture=lambda: nn.Sequential(Wide48(), nn.ReLU()), trunk=(7,))
    )
    assert own[:2] == mlp[:2]


class Wide48(nn.Linear):
    def __init__(self) -> None:
        super().__init__(16, 48)


# -------------------------------------------------------------------------------- its name alone


def test_a_body_is_a_text_that_remembers_its_function() -> None:
    body = OwnBody(Noisy)
    assert body == "own body Noisy"
    assert body == OwnBody(Noisy)
    assert body != OwnBody(Codes)
    assert OwnBody(Noisy, version=1) != OwnBody(Noisy, version=2)
    assert OwnBody.named("own body Noisy") != body
    for again in (pickle.loads(pickle.dumps(body)), copy.deepcopy(body)):
        assert again == body
        assert again.make is Noisy
    assert OwnBody(partial(Wide, 3)) == "own body Wide" == str(OwnBody(Wide48)).replace("48", "")
    assert hash(body) == hash(OwnBody(Noisy))


def test_the_data_say_the_width_of_the_last_shared_layer_and_no_more() -> None:
    rows = torch.arange(10)
    data = TaskData(
        "own", torch.randn(10, F), torch.randn(10, 1), ("a",), "regression",
        Split(rows[:6], rows[:0], rows[6:]),
        recipe={"trunk": (9, 8, 7), "activation": ("relu", "tanh", "sigmoid")},
    )  # fmt: skip
    recipe = Recipe.for_data(data, architecture=Noisy)
    assert (recipe.trunk, recipe.activations) == ((7,), ("sigmoid",))
    assert Recipe.for_data(data, architecture=Noisy, trunk=(3,)).trunk == (3,)
    refused(lambda: Recipe.for_data(data, architecture=Noisy, trunk=(5, 3)), "trunk=(3,)")
    refused(lambda: Recipe.for_data(data, body=Noisy), "'body'", "architecture=Body")


# ------------------------------------------------------------------------------------- refusals


class OnlyOnce:
    module = nn.Linear(F, 5)


@lru_cache
def cached() -> nn.Module:
    return nn.Linear(F, 5)


def sharing() -> nn.Module:
    return nn.Sequential(OnlyOnce.module, nn.Linear(5, 5))


def frozen() -> nn.Module:
    return nn.Sequential(OnlyOnce.module.requires_grad_(False), nn.Linear(5, 5))


def any_width() -> nn.Module:
    return nn.Linear(F, 2 + int(torch.initial_seed() % 7))


class Given(nn.Module):
    """Gives what a function makes of the features of a layer."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.make = nn.Linear(F, 5), make

    def forward(self, x: Tensor) -> Any:
        return self.make(self.layer(x))


def given(make: Callable[[Tensor], Any]) -> Callable[[], nn.Module]:
    return lambda: Given(make)


def numpys() -> nn.Module:
    layer = nn.Linear(F, 5)
    layer.weight.data.copy_(torch.from_numpy(np.random.default_rng().random((5, F))))
    return layer


BAD: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no function": (5, ("architecture 5", "mlp", "that makes a torch module")),
    "a module": (nn.Linear(F, 5), ("made already", "class Linear")),
    "arguments": (Wide, ("Wide", "without arguments", "functools.partial")),
    "no module": (lambda: 5, ("type int", "torch.nn.Module")),
    "a class": (lambda: Noisy, ("type type", "torch.nn.Module")),
    "the same module": (cached, ("share weights", "inside the function")),
    "a part that is shared": (sharing, ("share weights",)),
    "a frozen part that is shared": (frozen, ("share weights", "copy.deepcopy")),
    "as wide as the seed says": (any_width, ("features", "the same number")),
    "elsewhere": (lambda: nn.Linear(F, 5, device="meta"), ("on meta", "on the CPU")),
    "three axes": (given(lambda h: h.unsqueeze(1)), ("[4, 1, 5]", "[4, D]", "flatten(1)")),
    "no rows": (given(lambda h: h.sum(0, keepdim=True)), ("[1, 5]", "[4, D]")),
    "no features": (given(lambda h: h[:, :0]), ("[4, 0]", "[4, D]")),
    "a tuple": (given(lambda h: (h, h)), ("type tuple", "[4, D]")),
    "whole numbers": (given(lambda h: h.long()), ("int64", "floating-point")),
    "as wide as the batch": (given(lambda h: h @ h.T), ("4 features", "2 rows have 2")),
    "not finite": (given(lambda h: h / 0 * 0), ("not finite",)),
    "no gradient": (given(lambda h: h.detach()), ("no gradient", "requires_grad")),
    "other weights": (numpys, ("other weights", "torch alone")),
    "other features": (
        given(lambda h: h + float(np.random.default_rng().random())),
        ("other features", "torch alone"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_cannot_be_used_is_refused_in_one_line(name: str) -> None:
    body, words = BAD[name]
    refused(lambda: stack([0, 1], body), *words)


def test_a_version_must_be_a_number_or_a_text() -> None:
    refused(lambda: OwnBody(Noisy, version=[1]), "version", "a number or a text")  # type: ignore[arg-type]
    refused(lambda: OwnBody.named("mlp"), "'mlp'")
    refused(lambda: stack([0], "own body Noisy"), "own body Noisy", "no file has", "architecture")


class OfTheBatch(nn.Module):
    """Gives what a function makes of a layer's features of all rows, when it is judged."""

    def __init__(self, make: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.make = nn.Linear(F, 5), make

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        return h if self.training else self.make(h)


MIXING: dict[str, Callable[[], nn.Module]] = {
    "batch statistics": lambda: nn.Sequential(
        nn.Linear(F, 5), nn.BatchNorm1d(5, track_running_stats=False)
    ),
    "attention over the batch": lambda: OfTheBatch(lambda h: torch.softmax(h @ h.T, 1) @ h),
    "the mean of the batch": lambda: OfTheBatch(lambda h: h - h.mean(0)),
    "the row before": lambda: OfTheBatch(lambda h: h + h.roll(1, 0)),
    "the place in the batch": lambda: OfTheBatch(lambda h: h + torch.arange(len(h)).unsqueeze(1)),
}


@pytest.mark.parametrize("name", MIXING)
def test_a_body_that_mixes_rows_when_it_is_judged_is_refused(name: str) -> None:
    rows = torch.randn(4, F, generator=torch.Generator().manual_seed(0))
    body = OwnBody(MIXING[name])
    refused(lambda: body.measured(rows), "when it is judged (eval)", "test rows would leak")


@pytest.mark.parametrize("body", [Noisy, Sampled, nn.Flatten, lambda: nn.LayerNorm(F)])
def test_a_body_whose_rows_are_judged_one_by_one_passes(body: Any) -> None:
    for seed in range(5):
        rows = 1e3 * torch.randn(4, F, generator=torch.Generator().manual_seed(seed))
        assert OwnBody(body).measured(rows).width in (5, F)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (partial(Wide, F + 1), ("own body Wide", "[4, 6]", "4x6 and 7x5", "here of the shape [6]")),
        (lambda: nn.Conv2d(3, 8, 3), ("own body lambda", "[4, 6]", "here of the shape [6]")),
        (lambda: nn.Unflatten(1, (1, 7)), ("[4, 6]", "here of the shape [6]")),
        (lambda: nn.BatchNorm1d(F + 1), ("[4, 6]", "here of the shape [6]")),
    ],
)
def test_a_body_for_rows_of_another_shape_is_one_line(body: Any, words: tuple[str, ...]) -> None:
    refused(lambda: stack([0], body), *words)


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return self.no_such_layer(x)


def test_an_error_of_the_body_says_whose_it_was() -> None:
    with pytest.raises(AttributeError) as caught:
        stack([0], Broken)
    assert any("own body Broken" in note and "[4, 6]" in note for note in caught.value.__notes__)
