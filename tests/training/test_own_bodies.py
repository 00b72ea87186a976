"""Networks with a body of one's own equal plain torch networks that are trained one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import reference
import torch
from reference import KINDS, table
from torch import Tensor, nn

from mtl_nt import METHODS, Method, Recipe
from mtl_nt.networks import Network, RandomStreams
from mtl_nt.study import chunks
from mtl_nt.training import FitResult, Replicas
from mtl_nt.training.batches import BatchSampler
from mtl_nt.training.loop import fit

T, F = len(KINDS), 6
RUNS, SEEDS = [table(0), table(1)], (3, 8)


def smooth() -> nn.Module:
    """Two layers."""
    return nn.Sequential(nn.Linear(F, 5), nn.Tanh(), nn.Linear(5, 4), nn.SiLU())


def noisy() -> nn.Module:
    """Two layers, a batch norm and dropout."""
    first = nn.Sequential(nn.Linear(F, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.25))
    return nn.Sequential(first, nn.Linear(5, 4))


BODIES = {"smooth": smooth, "noisy": noisy}
SETTINGS: dict[str, Any] = {
    "trunk": (4,),
    "activation": "tanh",
    "steps": 18,
    "batch_size": 8,
    "learning_rate": 0.01,
    "weight_decay": 5e-4,
}


class Plain(reference.Net):
    """A body, one more layer that all tasks share, and a head for each task."""

    def __init__(self, body: nn.Module, recipe: Recipe) -> None:
        nn.Module.__init__(self)
        self.body, self.dropout = body, recipe.dropout
        width = recipe.trunk[-1]
        self.linear = nn.Linear(4, width)
        self.heads = nn.ModuleList(nn.Linear(width, 1) for _ in range(T))
        self.double()

    def shared(self, x: Tensor, keep: Sequence[Any] = ()) -> Tensor:
        """`keep` has the seed of the body's own dropout, and the mask of the last layer."""
        with torch.random.fork_rng([]):
            torch.manual_seed(keep[0] if keep else 0)
            given = self.body(x)
        mask = keep[1][: len(x)].double() / (1 - self.dropout) if keep else 1.0
        return torch.tanh(self.linear(given)) * mask

    def take_trunk(self, other: Any) -> None:
        self.body.load_state_dict(other.body.state_dict())
        self.linear.load_state_dict(other.linear.state_dict())

    @property
    def last_shared(self) -> Tensor:
        return self.linear.weight

    @property
    def trunk(self) -> list[Tensor]:
        return [*self.body.parameters(), *self.linear.parameters()]


RULES: dict[str, Callable[[int], reference.Rule]] = {
    "STL": lambda own: reference.Rule(),
    "MTL": lambda own: reference.Rule(),
    "Fine-Tuning": lambda own: reference.Rule(),
    "RMTL": reference.RMTL,
    "LBTW": lambda own: reference.LBTW(0.5),
    "GradNorm": lambda own: reference.GradNorm(T, 0.5),
    "Uncertainty": lambda own: reference.Uncertainty(KINDS),
    "Deep-AMTFL": lambda own: reference.AMTFL(0.5),
    "U-AMTFL": lambda own: reference.UAMTFL(KINDS, 0.5),
}
QUICK = ("MTL", "GradNorm")


@pytest.mark.parametrize(
    ("name", "body", "dropout"),
    [
        pytest.param(n, b, d, marks=[] if n in QUICK else pytest.mark.slow)
        for n in RULES
        for b, d in (("smooth", 0.0), ("noisy", 0.25))
    ],
)
def test_networks_with_an_own_body_equal_plain_torch_networks(
    name: str, body: str, dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = METHODS[name]
    recipe = Recipe(architecture=BODIES[body], **SETTINGS, dropout=dropout)
    recipe = replace(recipe, **method.settings)
    stages: list[FitResult] = []

    def kept(*arguments: Any, **options: Any) -> FitResult:
        stages.append(fit(*arguments, **options))
        return stages[-1]

    monkeypatch.setattr(chunks, "fit", kept)
    trained = chunks.train(method, RUNS, SEEDS, recipe, (0.5,), dtype=torch.float64)
    network, count = stages[-1].network, 1 if method.networks == "one" else T
    assert len(trained.replicas) == len(SEEDS) * count
    for r in range(len(trained.replicas)):
        run, own = r // count, int(trained.replicas.scored[r].int().argmax())
        net, rule = one_alone(method, run, own, recipe, BODIES[body])
        trunk = network.trunk
        alone = net.body.state_dict()
        for key, number in trunk.bodies[r].state_dict().items():
            assert (number - alone[key]).abs().max().item() < 1e-9, (r, key)
        assert (trunk.block.linear.weight[r] - net.linear.weight.T).abs().max().item() < 1e-9
        data = RUNS[run]
        outputs = reference.predict(net, reference.features(data)[data.split.test], rule)
        scored = trained.replicas.scored[r]
        gap = (trained.predictions[0, run] - outputs)[:, scored]
        assert gap.abs().max().item() < 1e-9, r


def one_alone(
    method: Method, run: int, own: int, recipe: Recipe, body: Callable[[], nn.Module]
) -> tuple[Plain, reference.Rule]:
    """A plain network with the seed's initial weights, after its training."""
    data, seed = RUNS[run], SEEDS[run]
    stages = [[own] if method.networks == "single" else [*range(T)]]
    stages = [[t for t in range(T) if t != own], *stages] if method.pretrain else stages
    net: Plain | None = None
    for tasks in stages:
        before, net = net, Plain(body(), recipe)
        first = Network([seed], F, T, recipe, decodes=True).double()
        decoder = first.decoder
        assert decoder is not None
        net.body.load_state_dict(first.trunk.bodies[0].state_dict())
        with torch.no_grad():
            net.linear.weight.copy_(first.trunk.block.linear.weight[0].T)
            net.linear.bias.copy_(first.trunk.block.linear.bias[0, 0])
            for t, head in enumerate(net.heads):
                head.weight.copy_(first.head.weight[0, :, t : t + 1].T)
                head.bias.copy_(first.head.bias[0, 0, t : t + 1])
        if before is not None:
            net.take_trunk(before)
        rule, dropout = RULES[method.name](own), RandomStreams([seed], "dropout", data.y)
        rule.start(decoder.weight[0], decoder.bias[0, 0])

        def masks(dropout: RandomStreams = dropout) -> list[Any]:
            begin = dropout.seeds()[0]
            if not recipe.dropout:
                return [begin, torch.ones(recipe.batch_size, recipe.trunk[-1])]
            return [begin, dropout.keep(recipe.dropout, recipe.batch_size, recipe.trunk[-1])[0]]

        normed = any(isinstance(part, nn.BatchNorm1d) for part in net.body.modules())
        focus = own if method.networks == "each" else -1
        batches = batches_of(run, tasks, focus, recipe, 2 if normed else 1)
        reference.train(net, data, recipe, tasks, rule, batches, masks)
    assert net is not None
    return net, rule


def batches_of(run: int, tasks: list[int], focus: int, recipe: Recipe, at_least: int) -> Any:
    """The batches of a network that is alone; a batch norm needs two rows or more."""
    on, zero = torch.zeros(1, T, dtype=torch.bool), torch.zeros(1, dtype=torch.int64)
    on[0, tasks] = True
    alone = Replicas(zero, zero + SEEDS[run], on, on, zero, zero + focus)
    sampler = BatchSampler([RUNS[run]], alone, recipe.batch_size, at_least)
    for batch in sampler.steps(recipe.steps):
        yield batch.rows[0][batch.valid[0]], bool(batch.first), int(batch.epoch)


def test_the_packages_mlp_written_as_a_body_gives_the_same_predictions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given the same initial weights. Batches are ragged, and labels are missing."""
    mlp = Recipe(**{**SETTINGS, "trunk": (5, 4)})

    def body() -> nn.Module:
        return nn.Sequential(nn.Linear(F, 5), nn.Tanh())

    def alike(seeds: Sequence[int], *arguments: Any) -> Network:
        own = Network(seeds, *arguments)
        inputs, tasks, recipe, *more = arguments
        stacked = Network(seeds, inputs, tasks, replace(recipe, **CHANGED), *more[:2])
        first, second = stacked.trunk.blocks
        for r, one in enumerate(own.trunk.bodies):
            one[0].weight.data.copy_(first.linear.weight[r].T)
            one[0].bias.data.copy_(first.linear.bias[r, 0])
        own.trunk.block.load_state_dict(second.state_dict())
        own.head.load_state_dict(stacked.head.state_dict())
        return own

    CHANGED = {"architecture": "mlp", "trunk": mlp.trunk}
    for name in ("STL", "MTL", "GradNorm"):
        with monkeypatch.context() as patched:
            wanted = chunks.train(METHODS[name], RUNS, SEEDS, mlp, (0.5,), dtype=torch.float64)
            patched.setattr("mtl_nt.training.loop.Network", alike)
            recipe = replace(mlp, architecture=body, trunk=(4,))
            found = chunks.train(METHODS[name], RUNS, SEEDS, recipe, (0.5,), dtype=torch.float64)
        assert (found.predictions - wanted.predictions).abs().max().item() < 1e-12, name


def test_coarse_matrices_and_an_own_body_go_together() -> None:
    recipe = Recipe(architecture=smooth, **SETTINGS)
    options: dict[str, Any] = {"precision": "bf16"}
    trained = chunks.train(METHODS["GradNorm"], RUNS, SEEDS, recipe, (0.5,), **options)
    exact = chunks.train(METHODS["GradNorm"], RUNS, SEEDS, recipe, (0.5,))
    gap = (trained.predictions - exact.predictions).abs().max().item()
    assert 0 < gap < 0.1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_ends_where_the_cpu_does_with_an_own_body() -> None:
    recipe = Recipe(architecture=smooth, **SETTINGS)
    before = torch.cuda.get_rng_state()
    both = [
        chunks.train(METHODS["GradNorm"], RUNS, SEEDS, recipe, (0.5,), device=device).predictions
        for device in ("cpu", "cuda")
    ]
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert (both[0] - both[1]).abs().max() < 1e-3 * both[0].abs().max()
