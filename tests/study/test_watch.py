"""Slips of a weighter that begin while it trains, and state that outlives a training."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from refusals import refused
from test_own_methods import DATA, GOOD, MIXES, REMEMBERS, Own, T, checked, own, per_task, quick
from torch import Tensor, nn

import mtl_nt
from mtl_nt import LBTW, METHODS, Method, Recipe, Step, TaskData, Weighter, compare, plain
from mtl_nt.bits import Bits
from mtl_nt.study import chunks, make_replicas
from mtl_nt.study.lasting import LastingState
from mtl_nt.training import Watch, fit
from mtl_nt.training.alone import FIRST_CALLS

# -------------------------------------------------------------- networks that mix later


class After20(Weighter):
    """Equal weights for 20 steps, and then a share of all networks' losses."""

    def reset(self, like: Tensor) -> None:
        self.steps = 0

    def weights(self, step: Step) -> Tensor:
        self.steps += 1
        if self.steps <= 20:
            return torch.ones_like(step.losses)
        return self.late(step)

    def late(self, step: Step) -> Tensor:
        return step.losses / step.losses.sum() * T


class ByEpoch(After20):
    def weights(self, step: Step) -> Tensor:
        early = per_task(step.losses + 0.1)
        return torch.where(step.epoch[:, None] < 3, early, self.late(step))


class ByLargest(After20):
    def late(self, step: Step) -> Tensor:
        return step.losses / step.losses.amax()


class ByAverage(After20):
    """An average over networks, which `after` keeps."""

    def late(self, step: Step) -> Tensor:
        return per_task(self.average)

    def after(self, step: Step, weights: Tensor) -> None:
        self.average = step.losses.mean(0, keepdim=True).expand_as(step.losses)


class AtEpochs(After20):
    """It looks at all networks where an epoch begins, and at no other time."""

    def reset(self, like: Tensor) -> None:
        super().reset(like)
        self.kept = torch.ones_like(like)

    def late(self, step: Step) -> Tensor:
        begins = step.first_batch[:, None]
        self.kept = torch.where(begins, super().late(step), self.kept)
        return self.kept


class Penal(After20):
    def weights(self, step: Step) -> Tensor:
        self.steps += 1
        return torch.ones_like(step.losses)

    def penalty(self, step: Step) -> Tensor:
        pull = (step.head - step.head.mean(0)).square().sum((1, 2))
        return pull * (self.steps > 20)


class DrawsLate(After20):
    def late(self, step: Step) -> Tensor:
        return torch.rand(step.losses.shape)


class WithGraph(After20):
    """It keeps a tensor with a graph, which Python alone cannot copy."""

    def reset(self, like: Tensor) -> None:
        super().reset(like)
        self.kept = [nn.Parameter(torch.zeros_like(like)) * 2]


LATE = (WithGraph, After20, ByEpoch, ByLargest, ByAverage, AtEpochs, Penal)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LATE)
def test_networks_that_mix_after_a_warm_up_are_refused(kind: type[Weighter], tmp_path: Any) -> None:
    method = Method("Late", plain(kind))
    checked(method)  # a few steps do not show it
    refused(lambda: quick([method], folder=tmp_path), "method 'Late'", MIXES)
    assert not [*tmp_path.glob("Late*")]  # nothing of it is kept


@pytest.mark.slow
def test_a_control_around_a_weighter_that_mixes_late_is_refused() -> None:
    method = mtl_nt.study.permuted(Method("Late", plain(After20)))
    refused(lambda: quick([method]), MIXES)


@pytest.mark.slow
def test_random_numbers_that_are_drawn_late_are_refused() -> None:
    refused(lambda: quick([Method("Late", plain(DrawsLate))]), "step.noise")


class Seldom(Weighter):
    """It updates its weights in every 25th step, from numbers of all networks."""

    def reset(self, like: Tensor) -> None:
        self.kept, self.steps = torch.ones_like(like), 0

    def weights(self, step: Step) -> Tensor:
        return self.kept

    def after(self, step: Step, weights: Tensor) -> None:
        self.steps += 1
        if self.steps % 25 == 0:
            self.kept = self.mixed(step)

    def mixed(self, step: Step) -> Tensor:
        return step.losses / step.losses.mean()


class SeldomCounted(Seldom):
    def mixed(self, step: Step) -> Tensor:
        return torch.full_like(step.losses, float(len(step.losses)))


class SeldomFirst(Seldom):
    def mixed(self, step: Step) -> Tensor:
        return per_task(step.losses[:1]).expand(step.losses.shape)


class SeldomInParameter(Seldom):
    """What it mixes is a parameter, which no optimiser moves."""

    learning_rate = 0.0

    def reset(self, like: Tensor) -> None:
        super().reset(like)
        self.raw = nn.Parameter(torch.ones_like(like))

    def weights(self, step: Step) -> Tensor:
        return self.raw.detach().clone()

    def mixed(self, step: Step) -> Tensor:
        self.raw.data.copy_(super().mixed(step))
        return self.kept


class SeldomRead(Seldom):
    """Its outputs are scaled by what it mixes, and its weights are right."""

    def weights(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses)

    def read(self, outputs: Tensor, *others: Any) -> Tensor:
        return outputs * self.kept.mean(1)[:, None, None]


class SeldomRight(Seldom):
    def mixed(self, step: Step) -> Tensor:
        return per_task(step.losses) * step.noise.uniform(T)


RARE = (Seldom, SeldomCounted, SeldomFirst, SeldomInParameter, SeldomRead)


@pytest.mark.parametrize("kind", RARE)
def test_networks_that_mix_in_a_rare_update_are_refused(kind: type[Weighter]) -> None:
    method = Method("Rare", plain(kind))
    checked(method)
    refused(lambda: quick([method], seeds=2), "method 'Rare'", MIXES)


def test_a_rare_update_that_keeps_networks_apart_passes_and_memory_changes_nothing() -> None:
    method = Method("Rare", plain(SeldomRight))
    one, other = (quick([method], memory=m).scores("Rare").to_numpy() for m in (1.0, 1e-9))
    assert one == pytest.approx(other, rel=1e-4)


class Patient(Weighter):
    """After a warm-up, numbers of each network's own: its noise, its gradients, its average."""

    def reset(self, like: Tensor) -> None:
        self.steps, self.average = 0, torch.ones_like(like)
        self.raw = nn.Parameter(torch.zeros_like(like))
        self.rows = [self.raw * 2]  # with a graph, which cannot be copied

    def weights(self, step: Step) -> Tensor:
        self.steps += 1
        if self.steps <= 20:
            return torch.ones_like(step.losses)
        learned = torch.softmax(self.raw, 1)
        norms = step.trunk_gradient_norms + step.noise.uniform(T)
        return per_task(learned * (norms + self.average))

    def after(self, step: Step, weights: Tensor) -> None:
        self.average = self.average.lerp(step.losses, 0.1)


class PatientWithoutGraph(Patient):
    def reset(self, like: Tensor) -> None:
        super().reset(like)
        self.rows = []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Patient, PatientWithoutGraph])
def test_a_weighter_that_keeps_networks_apart_after_a_warm_up_passes(kind: type[Weighter]) -> None:
    study = quick([Method("Patient", plain(kind))])
    assert "Patient" in set(study.results["method"])


@pytest.mark.slow
@pytest.mark.parametrize("case", GOOD)
def test_weighters_that_are_right_stay_so_for_a_whole_training(case: str) -> None:
    quick([GOOD[case]], seeds=2, steps=12)


WATCHED = [n for n, m in METHODS.items() if m.predictor is None and "loss" not in m.settings]


@pytest.mark.slow
@pytest.mark.parametrize("name", WATCHED)
def test_watching_changes_no_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, looked = METHODS[name], []
    mine = replace(method, name="Mine", weighter=lambda given: method.weighter(given))
    usual: dict[str, Any] = {"alphas": (0.5,), "seeds": 2, "steps": 40, "trunk": (8,), "trials": 2}
    study = compare(DATA, [method], baseline="MTL", progress=False, **usual)
    monkeypatch.setattr(chunks, "is_of_classes_here", lambda weighter: looked.append(weighter))
    watched = compare(DATA, [mine], baseline="MTL", progress=False, **usual)
    one, other = (s.results.groupby("method")["value"].apply(list) for s in (study, watched))
    assert looked and one[name] == other["Mine"]


@pytest.mark.slow
def test_watching_weighs_one_network_more_and_no_stack() -> None:
    rows: list[int] = []

    def counted(self: Any, step: Step) -> Tensor:
        rows.append(len(step.losses))
        return per_task(step.losses + 0.1)

    replicas, recipe = make_replicas(METHODS["MTL"], 1, [0, 1, 2], T), Recipe(trunk=(4,), steps=40)
    watch = Watch("method 'Mine'", 40, alone=lambda network: Own(counted))
    fit([DATA] * 3, replicas, Own(counted), recipe, watch=watch)
    assert (rows.count(3), rows.count(1)) == (40, 40 + FIRST_CALLS)


class OfGradients(Weighter):
    """Weights of the gradients at the last shared layer, and of the decoder if there is one."""

    def __init__(self, mixed: bool, decodes: bool) -> None:
        super().__init__()
        self.mixed, self.decodes = mixed, decodes

    def weights(self, step: Step) -> Tensor:
        size = step.trunk_gradient_norms + step.trunk_gramian.abs().sum(2) + 0.1
        if self.decodes:
            size = size + step.offered + step.reconstruction[:, None].detach()
        return per_task(size - size.mean(0) + 9 if self.mixed else size)


NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout": 0.3},
    "batch norm after the activation": {"architecture": "lbtw", "dropout": 0.3},
    "two layers": {"trunk": (8, 4)},
}


@pytest.mark.parametrize("decodes", [False, True])
@pytest.mark.parametrize("bits", [False, True])
@pytest.mark.parametrize("case", NETWORKS)
def test_all_that_a_step_shows_is_taken_from_one_network(
    case: str, bits: bool, decodes: bool
) -> None:
    data = DATA
    if bits:
        data = replace(data, x=Bits.from_dense(data.x > 0))  # type: ignore[operator, arg-type]
    recipe = Recipe(**{"trunk": (8,), "steps": 4, **NETWORKS[case]})
    replicas = make_replicas(METHODS["MTL"], 1, [0, 1, 2], T)

    def train(mixed: bool) -> None:
        alone = lambda network: OfGradients(mixed, decodes)  # noqa: E731
        watch = Watch("method 'Mine'", recipe.steps, alone=alone)
        fit([data] * 3, replicas, OfGradients(mixed, decodes), recipe, watch=watch)

    train(mixed=False)
    refused(lambda: train(mixed=True), MIXES)


# -------------------------------------------------------------- what a step shows


def halved(self: Any, step: Step) -> Tensor:
    losses = step.losses
    losses /= 2
    return torch.ones_like(losses)


def through_numpy(self: Any, step: Step) -> Tensor:
    step.losses.numpy()[:] = 1.0
    return torch.ones_like(step.losses)


def heads(self: Any, step: Step) -> Tensor:
    with torch.no_grad():
        step.head.mul_(0.5)
    return torch.ones_like(step.losses)


def labels(self: Any, step: Step) -> Tensor:
    step.labelled[:, 0] = False
    return torch.ones_like(step.losses)


def shared_features(self: Any, step: Step) -> Tensor:
    step.features.zero_()
    return torch.ones_like(step.losses)


WRITING: dict[str, tuple[Callable[[Any, Step], Tensor], str]] = {
    "losses": (halved, "losses"),
    "an array that shares memory": (through_numpy, "losses"),
    "the heads": (heads, "head"),
    "which tasks have labels": (labels, "labelled"),
    "the support": (lambda self, step: step.support.clamp_(0, 1), "support"),
    "the features": (shared_features, "features"),
}


@pytest.mark.parametrize("case", WRITING)
def test_a_weighter_that_writes_into_the_step_is_refused(case: str) -> None:
    weigh, name = WRITING[case]
    words = ("method 'Mine'", f"writes into step.{name},", f"step.{name}.clone()")
    refused(lambda: checked(own(weigh)), *words)


# -------------------------------------------------------------- weights are numbers


def of_heads(step: Step) -> Tensor:
    return step.head.norm(dim=1)


def of_raw(step: Step) -> Tensor:
    return step.raw.var(1)


def of_features(step: Step) -> Tensor:
    return step.losses + step.forward_pass.features.mean((1, 2))[:, None]


@pytest.mark.parametrize(
    ("of", "part"), [(of_heads, "head"), (of_raw, "trunk"), (of_features, "trunk")]
)
def test_weights_with_a_graph_to_the_network_are_refused(of: Any, part: str) -> None:
    words = ("method 'Mine'", f"a graph to the network's {part}", "detach()")
    refused(lambda: checked(own(lambda self, step: torch.softmax(-of(step), 1) * T)), *words)
    checked(own(lambda self, step: torch.softmax(-of(step).detach(), 1) * T))


# -------------------------------------------------------------- what nothing moves


class Kept(Weighter):
    """Weights that are learned from what `make` gives."""

    def __init__(self, make: Callable[[Tensor], Any], take: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.make, self.take = make, take

    def reset(self, like: Tensor) -> None:
        self.holder = self.make(like)

    def weights(self, step: Step) -> Tensor:
        return torch.softmax(self.take(self.holder), 1) * T


class Lazy(Weighter):
    """It makes its parameter in the first step, when the optimiser is made already."""

    def reset(self, like: Tensor) -> None:
        self.raw: Any = None

    def weights(self, step: Step) -> Tensor:
        if self.raw is None:
            self.raw = nn.Parameter(torch.zeros_like(step.losses))
        return torch.softmax(self.raw, 1) * T


def parameter(like: Tensor) -> Tensor:
    return nn.Parameter(torch.zeros_like(like))


STILL: dict[str, Callable[[Any], Weighter]] = {
    "a list": lambda given: Kept(lambda like: [parameter(like)], lambda held: held[0]),
    "a dictionary": lambda given: Kept(lambda like: {"w": parameter(like)}, lambda held: held["w"]),
    "a tensor": lambda given: Kept(
        lambda like: torch.zeros_like(like).requires_grad_(), lambda held: held
    ),
    "made too late": lambda given: Lazy(),
}


@pytest.mark.parametrize("case", STILL)
def test_weights_that_nothing_moves_are_refused(case: str) -> None:
    words = ("method 'Mine'", "no optimiser moves", "nn.Parameter", "nn.ParameterList", "detach")
    refused(lambda: checked(Method("Mine", STILL[case])), *words)


@pytest.mark.slow
def test_weights_that_begin_to_be_learned_late_must_move_too() -> None:
    class Late(After20):
        def reset(self, like: Tensor) -> None:
            super().reset(like)
            self.raw = [parameter(like)]

        def late(self, step: Step) -> Tensor:
            return torch.softmax(self.raw[0], 1) * T

    method = Method("Mine", plain(Late))
    checked(method)
    refused(lambda: quick([method]), "no optimiser moves")


class OwnOptimiser(Weighter):
    """What it learns is moved by an optimiser of its own, now and then."""

    every = 1

    def reset(self, like: Tensor) -> None:
        self.raw, self.steps = torch.zeros_like(like).requires_grad_(), 0
        self.optimiser = torch.optim.SGD([self.raw], lr=0.1)

    def weights(self, step: Step) -> Tensor:
        return torch.softmax(self.raw, 1) * T

    def after(self, step: Step, weights: Tensor) -> None:
        self.steps += 1
        if self.steps % self.every == 0:
            self.optimiser.zero_grad()
            (torch.softmax(self.raw, 1) * step.losses).sum().backward()
            self.optimiser.step()


class SeldomMoved(OwnOptimiser):
    every = 15


class InWeights(Weighter):
    """Weights that each step finds anew, by steps of its own."""

    def weights(self, step: Step) -> Tensor:
        raw = torch.zeros_like(step.losses).requires_grad_()
        (slope,) = torch.autograd.grad((raw.softmax(1) * step.losses).sum(), raw)
        return torch.softmax(raw - slope, 1) * T


MOVING: dict[str, Callable[[Any], Weighter]] = {
    "a list of parameters": lambda given: Kept(
        lambda like: nn.ParameterList([parameter(like)]), lambda held: held[0]
    ),
    "an optimiser of its own": lambda given: OwnOptimiser(),
    "an optimiser that seldom steps": lambda given: SeldomMoved(),
    "made anew in every step": lambda given: InWeights(),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MOVING)
def test_weights_that_are_learned_pass(case: str) -> None:
    study = quick([Method("Mine", MOVING[case])])
    assert study.history.query("method == 'Mine'")["weight"].nunique() > 3


class SharedLater(Weighter):
    """All networks learn one row of weights, which counts after a warm-up."""

    def reset(self, like: Tensor) -> None:
        self.raw = nn.Parameter(torch.zeros(1, T))

    def weights(self, step: Step) -> Tensor:
        learned = torch.softmax(self.raw, 1) * T
        late = (step.epoch > 5)[:, None]
        return torch.where(late, learned, torch.ones_like(step.losses))


def test_a_parameter_that_all_networks_share_is_refused_before_it_counts() -> None:
    refused(lambda: checked(Method("Mine", plain(SharedLater))), "share the parameter 'raw'")


# -------------------------------------------------------------- state that outlives a training


class OfClass(Weighter):
    start: Tensor | None = None

    def weights(self, step: Step) -> Tensor:
        if OfClass.start is None:
            OfClass.start = step.losses.clone()
        return step.losses / OfClass.start.mean()


class NewOnClass(Weighter):
    def weights(self, step: Step) -> Tensor:
        if not hasattr(type(self), "begin"):
            type(self).begin = float(step.losses.mean())  # type: ignore[attr-defined]
        return step.losses / type(self).begin  # type: ignore[attr-defined]


GLOBAL: Any = None


def of_a_global(self: Any, step: Step) -> Tensor:
    global GLOBAL
    GLOBAL = float(step.losses.mean()) if GLOBAL is None else GLOBAL
    return step.losses / GLOBAL


def of_a_missing_global(self: Any, step: Step) -> Tensor:
    global NOT_THERE
    try:
        NOT_THERE  # type: ignore[name-defined]  # noqa: B018
    except NameError:
        NOT_THERE = float(step.losses.mean())
    return step.losses / NOT_THERE


def of_a_closure(kept: Any, put: Callable[[Any, float], None], get: Callable[[Any], float]) -> Any:
    def weigh(self: Any, step: Step) -> Tensor:
        if not len(kept):
            put(kept, float(step.losses.mean()))
        return step.losses / get(kept)

    return weigh


def of_a_default(self: Any, step: Step, kept: list[float] = []) -> Tensor:  # noqa: B006
    if not kept:
        kept.append(float(step.losses.mean()))
    return step.losses / kept[0]


def of_a_variable() -> Callable[[Any, Step], Tensor]:
    first = None

    def weigh(self: Any, step: Step) -> Tensor:
        nonlocal first
        first = float(step.losses.mean()) if first is None else first
        return step.losses / first

    return weigh


def of_a_tensor() -> Callable[[Any, Step], Tensor]:
    kept = torch.zeros(1)

    def weigh(self: Any, step: Step) -> Tensor:
        if not kept.any():
            kept.copy_(step.losses.mean())
        return step.losses / kept

    return weigh


def put_in(kept: Any, value: float) -> None:
    kept.append(value)


LASTING: dict[str, Callable[[], Method]] = {
    "an attribute of the class": lambda: Method("Mine", plain(OfClass)),
    "a new attribute of the class": lambda: Method("Mine", plain(NewOnClass)),
    "a global": lambda: own(of_a_global),
    "a global that was not there": lambda: own(of_a_missing_global),
    "a list": lambda: own(of_a_closure([], put_in, lambda kept: kept[0])),
    "a queue": lambda: own(of_a_closure(deque(), put_in, lambda kept: kept[0])),
    "a dictionary": lambda: own(
        of_a_closure({}, lambda kept, value: kept.update(a=value), lambda kept: kept["a"])
    ),
    "a set": lambda: own(of_a_closure(set(), lambda kept, value: kept.add(value), min)),
    "a default": lambda: own(of_a_default),
    "a variable": lambda: own(of_a_variable()),
    "a tensor": lambda: own(of_a_tensor()),
}


@pytest.mark.parametrize("case", LASTING)
def test_what_the_first_training_leaves_behind_is_refused_every_time(case: str) -> None:
    method = LASTING[case]()
    for _ in range(2):  # the check itself leaves nothing behind
        refused(lambda: checked(method), "method 'Mine'", REMEMBERS)


def slow_counter() -> Method:
    state = {"n": 0}

    def weigh(self: Any, step: Step) -> Tensor:
        state["n"] += 1
        return torch.ones_like(step.losses) * torch.tensor([20.0 if state["n"] > 100 else 1, 1, 1])

    return own(weigh)


class SlowCount(Weighter):
    n = 0

    def weights(self, step: Step) -> Tensor:
        SlowCount.n += 1
        return torch.ones_like(step.losses) * (20 if SlowCount.n > 100 else 1)


class SlowList(Weighter):
    seen: list[int] = []  # noqa: RUF012

    def weights(self, step: Step) -> Tensor:
        self.seen.append(1)
        return torch.ones_like(step.losses) * (2 if len(self.seen) > 100 else 1)


SLOW = {
    "a class": plain(SlowCount),
    "a list": plain(SlowList),
    "a closure": slow_counter().weighter,
}


@pytest.mark.parametrize("memory", [1.0, 1e-9])
@pytest.mark.parametrize("case", SLOW)
def test_lasting_state_that_matters_late_is_refused_every_time(case: str, memory: float) -> None:
    method = Method("Mine", SLOW[case])
    checked(method)  # a few steps do not show it
    for _ in range(2):  # the refusal leaves nothing behind
        refused(lambda: quick([method], seeds=1, memory=memory), "'Mine'", "an earlier training")
    assert SlowCount.n == 0 and SlowList.seen == []


def test_lasting_state_that_is_only_looked_at_stays_as_the_training_leaves_it() -> None:
    kept: dict[str, Any] = {"calls": 0, "log": [], "cache": {}}

    def observed(self: Any, step: Step) -> Tensor:
        kept["calls"] += 1
        kept["log"].append(step.losses)
        kept["last"] = step.losses
        half = kept["cache"].setdefault(T, torch.full((T,), 0.5))
        return per_task(step.losses + half)

    quick([own(observed)], seeds=2, steps=30)
    assert (kept["calls"], len(kept["log"])) == (30, 30)  # no call of the checks among them
    assert {table.shape for table in kept["log"]} == {(2, T)} and kept["last"] is kept["log"][-1]


def test_an_instance_of_ones_own_class_may_be_used_again() -> None:
    watched = Patient()
    study = quick([Method("Mine", lambda given: watched)], seeds=2, steps=30)
    again = quick([Method("Mine", plain(Patient))], seeds=2, steps=30)
    assert study.scores("Mine").equals(again.scores("Mine"))


def test_a_list_that_only_grows_is_no_fault_and_the_check_leaves_it_as_it_was() -> None:
    log: list[float] = []

    def logged(self: Any, step: Step) -> Tensor:
        log.append(float(step.losses.mean()))
        return per_task(step.losses + 0.1)

    checked(own(logged))
    assert log == []
    quick([own(logged)], seeds=1, steps=5)
    assert len(log) >= 5


def test_an_instance_that_is_used_again_and_resets_itself_is_no_fault() -> None:
    watched = LBTW(0.5)
    for make in (
        lambda given: watched,
        plain(lambda: watched),
        functools.partial(lambda w, g: w, watched),
    ):
        checked(Method("Mine", make))
    checked(Method("Mine", lambda given, kept=watched: kept))


def test_state_is_given_back_in_place() -> None:
    class Counter:
        def __init__(self) -> None:
            self.n, self.inside = 0, {"list": [1, 2]}

    counter, table = Counter(), torch.zeros(3)

    def count(run: TaskData) -> None:
        counter.n += 1
        counter.inside["list"].append(3)  # type: ignore[attr-defined]
        table.add_(1)

    state = LastingState(count)
    assert not state.restore()
    inside = counter.inside["list"]  # type: ignore[index]
    count(DATA)
    assert state.restore() and not state.restore()
    assert (counter.n, inside, table.tolist()) == (0, [1, 2], [0, 0, 0])
