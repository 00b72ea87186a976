"""Methods of one's own: a folder knows them, and nothing wrong in them passes without a word."""

from __future__ import annotations

import enum
import functools
import importlib
import io
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy import pad
from numpy.lib import NumpyVersion
from refusals import refused
from torch import Tensor, nn

import mtl_nt
from mtl_nt import (
    LBTW,
    METHODS,
    BadInput,
    Method,
    RandomWeights,
    Recipe,
    Split,
    Step,
    Study,
    TaskData,
    Weighter,
    compare,
    plain,
    with_alpha,
    with_target,
)
from mtl_nt.study import permuted, with_weights
from mtl_nt.study.chunks import TrainingJob
from mtl_nt.study.identity import identity
from mtl_nt.study.own_methods import check_methods, made_run
from mtl_nt.study.predictions import predictions
from mtl_nt.study.search import Candidate, rate_candidates
from mtl_nt.training.loop import fit
from mtl_nt.weighters import GradNorm, Shuffled, Uncertainty
from mtl_nt.weighters.uniform import Fixed

T, ROWS = 3, 300


def table(seed: int = 0, standardise: bool = False, scale: float = 1.0, **given: Any) -> TaskData:
    """300 rows, 8 features, 3 regression tasks, a fixed split."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 8, generator=draw)
    y = x @ torch.randn(8, T, generator=draw) + 0.3 * torch.randn(ROWS, T, generator=draw)
    rows = torch.randperm(ROWS, generator=draw)
    usual: dict[str, Any] = {
        "name": "own",
        "x": x,
        "y": scale * y + 10 * (scale - 1),
        "tasks": ("a", "b", "c"),
        "kind": "regression",
        "split": Split(rows[:180], rows[180:240], rows[240:]),
        "standardise": standardise,
    }
    return TaskData(**{**usual, **given})


DATA = table()


def quick(methods: Any, data: TaskData = DATA, **given: Any) -> Study:
    usual: dict[str, Any] = {"seeds": 3, "steps": 60, "trunk": (16, 8), "progress": False}
    return compare(data, methods, **{**usual, **given})


def checked(method: Method, data: TaskData = DATA, **given: Any) -> None:
    """What `compare` checks of a method before anything trains."""
    usual: dict[str, Any] = {"alphas": [0.5, 0.9] if method.alpha else [0.0], "seeds": [0, 1]}
    settings = given.pop("recipe", {})
    recipe = replace(Recipe(trunk=(16, 8), steps=60), **method.settings, **settings)
    job = {"runs": [data, data], "recipe": recipe, "options": {}, "trials": 3, **usual, **given}
    check_methods([TrainingJob(method, **job)])


# -------------------------------------------------------------- a folder knows its methods

STRENGTH = 0.5


def scaled(value: float) -> float:
    return value * STRENGTH


def another_helper(value: float) -> float:
    return value + STRENGTH


helper = scaled


class Power(Weighter):
    """The losses to this power, with a mean of 1 over tasks."""

    floor = 1e-6

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def weights(self, step: Step) -> Tensor:
        weights = step.losses.clamp_min(self.floor) ** self.power
        return weights / weights.mean(1, keepdim=True)


class OfGlobal(Power):
    def __init__(self) -> None:
        super().__init__(STRENGTH)


def of_power(power: float) -> Method:
    return Method("Mine", lambda given: Power(power))


@dataclass(frozen=True)
class Options:
    power: float
    names: frozenset[str] = frozenset({"one", "two", "three", "four"})


class Mode(enum.Enum):
    LOW, HIGH = 0.5, 3.0


class Called:
    """A method of an instance is a function, too."""

    __slots__ = ("power",)

    def __init__(self, power: float) -> None:
        self.power = power

    def make(self, given: Any) -> Weighter:
        return Power(self.power)


class Remembering:
    """Its property is computed once."""

    def __init__(self, power: float) -> None:
        self.given = power

    @functools.cached_property
    def power(self) -> float:
        return self.given


class Net(nn.Module):
    def __init__(self, seed: int, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight * torch.ones(3, 3))
        self.seed = seed


def decorated(factor: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*arguments: Any) -> Any:
            return factor * function(*arguments)

        return wrapper

    return decorate


def typed_at_a_prompt(source: str) -> Any:
    """A lambda whose source no file has."""
    scope: dict[str, Any] = {"__name__": "__main__", "Power": Power}
    exec(compile(f"made = {source}", "<stdin>", "single"), scope)
    return scope["made"]


def inner(power: float) -> Callable[[Any], Weighter]:
    """A class that is made in a function, whose method reads the function's variable."""

    class Local(Weighter):
        def weights(self, step: Step) -> Tensor:
            return torch.ones_like(step.losses) * power

    return lambda given: Local()


def recursive(base: int) -> Callable[[int], int]:
    def even(n: int) -> int:
        return base if n == 0 else odd(n - 1)

    def odd(n: int) -> int:
        return 1 if n == 0 else even(n - 1)

    return even


def long(entry: float) -> Tensor:
    """A tensor of which a text shows the ends alone."""
    tensor = torch.zeros(2000)
    tensor[1000] = entry
    return tensor


def itself(value: float) -> list[Any]:
    around: list[Any] = [value]
    around.append(around)
    return around


PAIRS: dict[str, Callable[[float], Any]] = {
    "a closure": lambda p: lambda given: Power(p),
    "a closure in a closure": lambda p: (lambda make: lambda given: make())(lambda: Power(p)),
    "a default": lambda p: lambda given, power=p: Power(power),
    "a default by name": lambda p: functools.partial(lambda given, *, power=p: Power(power)),
    "a partial": lambda p: plain(Power, power=p),
    "a partial of a partial": lambda p: functools.partial(functools.partial(Power, power=p)),
    "a bound method": lambda p: Called(p).make,
    "a class made in a function": inner,
    "a dataclass": lambda p: (lambda options: lambda given: Power(options.power))(Options(p)),
    "an enumeration": lambda p: (lambda mode: lambda given: mode)(Mode(0.5 if p == 0.5 else 3.0)),
    "a module": lambda p: (lambda net: lambda run: net(run.x))(Net(0, p)),
    "a property": lambda p: (lambda kept: lambda given: Power(kept.power))(Remembering(p)),
    "a table": lambda p: (lambda frame: lambda run: frame)(pd.DataFrame({"a": [p], "b": ["text"]})),
    "a weighter inside": lambda p: plain(Shuffled, weighter=LBTW(p)),
    "a lambda at a prompt": lambda p: typed_at_a_prompt(f"lambda given: Power({p})"),
    "a name at a prompt": lambda p: typed_at_a_prompt(
        f"lambda given: given.{'alpha' if p == 0.5 else 'target'}"
    ),
    "the fifth digit": lambda p: plain(Fixed, weights=torch.tensor([[1.0, 1.0, 1 + p * 1e-5]])),
    "a long tensor": lambda p: plain(Fixed, weights=long(p)),
    "a tensor's type": lambda p: torch.zeros(2, dtype=torch.int32 if p == 0.5 else torch.float32),
    "a tensor's shape": lambda p: torch.zeros((1, 4) if p == 0.5 else (4, 1)),
    "a tensor in half precision": lambda p: torch.tensor([p], dtype=torch.bfloat16),
    "an array": lambda p: (lambda w: lambda run: w)(np.linspace(0, p, 5000)),
    "an array of objects": lambda p: np.array([p, "text"], dtype=object),
    "a generator of random numbers": lambda p: np.random.default_rng(int(2 * p)),
    "a set": lambda p: {"one", "two", "three", "four", str(p)},
    "a dictionary": lambda p: {"one": {"two": [p]}},
    "a type of number": lambda p: 1 if p == 0.5 else True,
    "a decorator": lambda p: decorated(p)(scaled),
    "a cached helper": lambda p: functools.lru_cache(maxsize=2)(lambda value: value * p),
    "functions that call each other": lambda p: recursive(int(2 * p)),
    "a list that holds itself": itself,
    "data": lambda p: (lambda data: lambda run: data.y)(table(scale=p)),
    "a slice": lambda p: lambda run, part=slice(0, int(2 * p)): run.y[part],
    "a device": lambda p: torch.device("cpu" if p == 0.5 else "meta"),
    "a compiled pattern": lambda p: __import__("re").compile(str(p)),
}


@pytest.mark.parametrize("case", PAIRS)
def test_what_is_made_twice_is_one_and_what_differs_anywhere_is_another(case: str) -> None:
    make = PAIRS[case]
    assert identity(make(0.5)) == identity(make(0.5))
    assert identity(make(0.5)) != identity(make(3.0))


def reading_a_global(given: Any) -> Weighter:
    return Power(STRENGTH)


def reading_in_an_inner_function(given: Any) -> Weighter:
    return [Power(power) for power in [STRENGTH] for _ in [lambda: helper]][0]


def calling_a_helper(run: TaskData) -> Any:
    return helper(1.0) * run.y[run.split.test]


CHANGED: dict[str, tuple[str, Any, Any]] = {
    "a global that the weighter's function reads": ("STRENGTH", 3.0, reading_a_global),
    "a global that an inner function reads": ("STRENGTH", 3.0, reading_in_an_inner_function),
    "a global that the weighter reads": ("STRENGTH", 3.0, plain(OfGlobal)),
    "a global that a helper reads": ("STRENGTH", 3.0, calling_a_helper),
    "a helper that a predictor calls": ("helper", another_helper, calling_a_helper),
    "a class that a lambda makes": ("Power", OfGlobal, lambda given: Power(1.0)),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_changed_global_makes_another_function(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, value, function = CHANGED[case]
    before = identity(function)
    monkeypatch.setitem(globals(), "QUITE_ANOTHER", 1)
    assert identity(function) == before
    monkeypatch.setitem(globals(), name, value)
    assert identity(function) != before


def test_a_changed_attribute_of_a_class_makes_another_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = identity(plain(OfGlobal))
    monkeypatch.setattr(Power, "floor", 1e-3)
    assert identity(plain(OfGlobal)) != before
    monkeypatch.undo()
    assert identity(plain(OfGlobal)) == before
    monkeypatch.setattr(Power, "weights", lambda self, step: step.losses)
    assert identity(plain(OfGlobal)) != before


HELPERS = """
FACTOR = {factor}

def scale(value):
    return FACTOR * value

def unused():
    return {unused}
"""


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """A module of one's own in a file, which can be written anew."""
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "helpers_of_mine.py"

    def write(factor: float = 1.0, unused: int = 0) -> ModuleType:
        path.write_text(HELPERS.format(factor=factor, unused=unused))
        sys.modules.pop(path.stem, None)
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return importlib.import_module(path.stem)

    yield write
    sys.modules.pop(path.stem, None)


def importing_inside(run: TaskData) -> Any:
    from helpers_of_mine import scale  # type: ignore[import-not-found]

    return scale(run.y)


def test_of_a_module_of_ones_own_what_is_used_counts(
    helpers: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    def through(module: ModuleType) -> Any:
        monkeypatch.setitem(globals(), "mine", module)
        return lambda run: mine.scale(run.y)  # type: ignore[name-defined]  # noqa: F821

    found = {}
    for name, given in {"first": {}, "other": {"factor": 2.0}, "unused": {"unused": 1}}.items():
        module = helpers(**given)
        found[name] = identity(through(module)), identity(importing_inside), identity(module.scale)
    assert found["first"] == found["unused"]
    assert all(a != b for a, b in zip(found["first"], found["other"], strict=True))


def test_a_library_counts_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from mtl_nt.study import identity as module

    functions = [lambda run: np.zeros(3), lambda run: pad(run.y, 1), lambda run: NumpyVersion()]
    before = [*map(identity, functions)]
    installed = module._installed
    monkeypatch.setattr(
        module, "_installed", lambda name: "0.1" if "numpy" in name else installed(name)
    )
    assert all(a != b for a, b in zip(before, map(identity, functions), strict=True))


class Holds:
    def __init__(self, thing: Any) -> None:
        self.thing = thing


UNKNOWABLE: dict[str, Callable[[], Any]] = {
    "an open file": lambda: io.TextIOWrapper(io.BytesIO()),
    "a generator": lambda: (n for n in range(3)),
    "a lock": threading.Lock,
    "a weak reference": lambda: weakref.ref(Holds),
    "a tensor without numbers": lambda: torch.zeros(2, device="meta"),
    "a sparse tensor": lambda: torch.eye(2).to_sparse(),
    "a file in an instance": lambda: Holds([io.TextIOWrapper(io.BytesIO())]),
}


@pytest.mark.parametrize("case", UNKNOWABLE)
def test_what_no_digest_can_stand_for_is_refused_until_there_is_a_version(
    case: str, tmp_path: Path
) -> None:
    log = UNKNOWABLE[case]()

    def logged(given: Any) -> Weighter:
        assert log is not None
        return Power(0.5)

    call = {"seeds": 1, "steps": 2}
    words = ("method 'Mine'", "'log", "give the method version=1")
    refused(lambda: quick([Method("Mine", logged)], folder=tmp_path / "a", **call), *words)
    assert not [*(tmp_path / "a").glob("*.json")]
    versions = [Method("Mine", logged, version=v) for v in (1, 2)]
    first = quick(versions[0], folder=tmp_path / "b", **call)
    again = quick(versions[0], folder=tmp_path / "b", **call)
    assert first.results.equals(again.results)
    another = "'Mine' has other code than there, or reads other values"
    refused(lambda: quick(versions[1], folder=tmp_path / "b", **call), "methods differs", another)
    quick([Method("Mine", logged)], **call)  # without a folder, nobody asks


@pytest.mark.parametrize("version", [True, float("nan"), ["1"], b"1"])
def test_a_version_is_a_number_or_a_text(version: Any) -> None:
    refused(lambda: Method("Mine", version=version), "'Mine'", "version", "a number or a text")


def test_a_version_stands_for_functions_and_not_for_settings(tmp_path: Path) -> None:
    call: dict[str, Any] = {"folder": tmp_path, "seeds": 1, "steps": 2}
    one = Method("Mine", lambda given: Power(0.5), version="a")
    first = quick(one, **call)
    same = quick(replace(one, weighter=lambda given: Power(3.0)), **call)
    assert first.results.equals(same.results)  # as promised
    for changes in ({"settings": {"dropout": 0.1}}, {"search": rate_candidates}):
        refused(lambda c=changes: quick(replace(one, **c), **call), "methods differs")


def test_a_search_counts_by_its_candidates(tmp_path: Path) -> None:
    def of(rate: float) -> Method:
        return Method("Mine", search=lambda *_: [Candidate((("learning_rate", rate),))])

    call: dict[str, Any] = {"folder": tmp_path, "seeds": 1, "steps": 2}
    quick(of(1e-3), **call)
    quick(of(1e-3), **call)
    refused(lambda: quick(of(1e-2), **call), "methods differs")


def test_a_folder_gives_no_scores_of_another_method(tmp_path: Path) -> None:
    found = quick([of_power(0.5)], folder=tmp_path)
    again = quick([of_power(0.5)], folder=tmp_path)
    assert found.results.equals(again.results) and found.training.equals(again.training)
    refused(
        lambda: quick([of_power(3.0)], folder=tmp_path),
        "holds another study (methods differs)",
        "give another folder",
        "'Mine' has other code than there, or reads other values",
    )
    other = quick([of_power(3.0)])
    mine = [s.results.query("method == 'Mine'")["value"].to_numpy() for s in (found, other)]
    assert not np.isclose(*mine).any()


def test_units_and_versions_are_part_of_what_a_folder_holds(tmp_path: Path) -> None:
    data = table(standardise=True)
    call: dict[str, Any] = {"data": data, "folder": tmp_path, "seeds": 1, "steps": 2}
    quick([Method("P", predictor=truth, units="own")], **call)
    refused(
        lambda: quick([Method("P", predictor=truth, units="trained")], **call), "methods differs"
    )


PROCESS = """
    import enum, functools, sys
    from dataclasses import dataclass
    import numpy as np, torch
    from mtl_nt import LBTW, METHODS, Method, Weighter, plain, with_alpha
    from mtl_nt.study.identity import identity

    NAMES = {"one", "two", "three", "four", "five", "six"}
    WEIGHTS = torch.linspace(0, 1, 1000)

    class Mode(enum.Enum):
        LOW, HIGH = 1, 2

    @dataclass(frozen=True)
    class Options:
        power: float = 2.0
        mode: Mode = Mode.LOW

    class Mine(Weighter):
        kept = frozenset({"alpha", "beta", "gamma"})

        def __init__(self, options):
            super().__init__()
            self.options = options

        def weights(self, step):
            import math
            from yaml import safe_load
            return step.losses if "one" in {"one", "two", "three"} else WEIGHTS * math.pi

    def make(options):
        cached = functools.lru_cache(lambda: options)
        return lambda given: Mine(cached()) if NAMES else None

    if "yaml" in sys.argv:
        import yaml
    print(identity([make(Options()), plain(Mine, options=Options(3.0)), np.random.default_rng(3)]))
    print([identity((m.weighter, m.predictor)) for m in METHODS.values()])
"""


@pytest.mark.slow
def test_two_processes_find_the_same_digests(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(textwrap.dedent(PROCESS))
    said = []
    for seed, more in (("1", "yaml"), ("2", "")):
        command = [sys.executable, "mine.py", more]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        process = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        said.append(process.stdout)
    assert said[0] == said[1] and len(said[0]) > 64 * 20


def test_the_packages_methods_are_told_apart_by_name_and_options() -> None:
    found = {n: identity((m.weighter, m.predictor)) for n, m in METHODS.items()}
    alike = ("STL", "MTL", "Fine-Tuning", "MTL, tuned", "CNN")  # other networks or settings
    assert len({found[name] for name in alike}) == 1
    assert len({*found.values()}) == len(found) - len(alike) + 1
    assert identity(with_alpha(LBTW)) == identity(METHODS["LBTW"].weighter)
    assert identity(with_alpha(LBTW)) != identity(with_alpha(LBTW, reference="average"))


def test_the_digests_of_all_methods_take_a_blink() -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for method in METHODS.values():
            identity((method.weighter, method.predictor))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02


def test_a_thing_nested_too_deeply_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    refused(lambda: identity(nested, "method 'Mine'"), "'Mine'", "too deeply", "version=1")


# -------------------------------------------------------------- predictors


def truth(run: TaskData) -> Tensor:
    return run.y[run.split.test]


def mse(study: Study, method: str = "P") -> float:
    rows = study.results.query("method == @method and metric == 'MSE'")
    return float(rows["value"].max())


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_perfect_predictions_are_perfect_in_the_units_that_the_predictor_says(
    standardise: bool, scale: float
) -> None:
    data = table(standardise=standardise, scale=scale)
    own = Method("P", predictor=truth, units="own")
    trained = Method("Q", predictor=lambda run: run.targets[run.split.test], units="trained")
    study = quick([own, trained], data, steps=2, seeds=2)
    assert mse(study) < 1e-9 and mse(study, "Q") < 1e-9


def test_a_predictor_of_standardised_targets_must_say_its_units() -> None:
    silent, data = Method("P", predictor=truth), table(standardise=True)
    words = ("method 'P'", "standardised", "units='own'", "run.y", "'trained'", "run.targets")
    refused(lambda: quick([silent], data), *words)
    assert mse(quick([silent], steps=2)) < 1e-9  # where there is one scale, there is nothing to say
    kinds = ("regression", "binary", "binary")
    y = torch.where(torch.tensor([True, False, False]), data.y, (data.y > 0).float())
    refused(lambda: quick([silent], replace(data, y=y, kind=kinds)), *words)
    binary = replace(data, y=(data.y > 0).float(), kind="binary")
    quick([silent], binary, steps=2, seeds=1)


def test_log_odds_and_probabilities_of_binary_tasks_score_alike() -> None:
    data = replace(DATA, y=(DATA.y > 0).float(), kind="binary")
    odds = Method("odds", predictor=lambda run: 3 * DATA.y[run.split.test] + 1)
    chances = Method("chances", predictor=lambda run: torch.sigmoid(3 * DATA.y[run.split.test] + 1))
    values = quick([odds, chances], data, steps=2, seeds=1).results.set_index("method")["value"]
    assert (values["odds"].to_numpy() == values["chances"].to_numpy()).all()
    assert (values["odds"] == 1).all()


KINDS: dict[str, Callable[[TaskData], Any]] = {
    "a tensor": truth,
    "a tensor with a graph": lambda run: truth(run).clone().requires_grad_() * 1,
    "half precision": lambda run: truth(run).half(),
    "an array": lambda run: truth(run).numpy(),
    "an array in double precision": lambda run: truth(run).double().numpy()[::-1][::-1],
    "whole numbers": lambda run: truth(run).round().long().numpy(),
    "lists": lambda run: truth(run).tolist(),
}


@pytest.mark.parametrize("case", KINDS)
def test_a_predictor_may_give_any_table_of_numbers(case: str) -> None:
    found = predictions(Method("P", predictor=KINDS[case]), DATA, 0)
    assert found.dtype == torch.float64 and not found.requires_grad
    wanted = np.asarray(KINDS[case](DATA).tolist() if case != "lists" else KINDS[case](DATA))
    assert np.allclose(found.numpy(), wanted, rtol=1e-6)


def with_nan(run: TaskData) -> Tensor:
    found = truth(run).clone()
    found[4, 1] = torch.nan
    return found


WRONG: dict[str, tuple[Callable[[TaskData], Any], tuple[str, ...]]] = {
    "all rows": (lambda run: run.y, ("gives [300, 3]", "here [60, 3]", "run.split.test")),
    "one axis": (lambda run: truth(run)[:, 0], ("gives [60]", "here [60, 3]")),
    "tasks first": (lambda run: truth(run).T, ("gives [3, 60]", "here [60, 3]")),
    "one number": (lambda run: torch.tensor(1.0), ("gives []", "here [60, 3]")),
    "a task too few": (lambda run: truth(run)[:, :2].numpy(), ("gives [60, 2]", "here [60, 3]")),
    "an axis more": (lambda run: truth(run)[None], ("gives [1, 60, 3]", "here [60, 3]")),
    "NaN": (with_nan, ("gives nan for 'b'", "test row 4", "a number for every row")),
    "infinity": (lambda run: truth(run) / 0, ("gives", "inf", "for 'a'", "test row 0")),
    "nothing": (lambda run: None, ("type NoneType and no numbers", "[test rows, tasks]")),
    "text": (
        lambda run: np.full((60, 3), "1.0"),
        ("type ndarray and no numbers", "[test rows, tasks]"),
    ),
    "complex numbers": (
        lambda run: truth(run) + 0j,
        ("type Tensor and no numbers", "[test rows, tasks]"),
    ),
    "complex arrays": (
        lambda run: truth(run).numpy() + 0j,
        ("type ndarray and no numbers", "[test rows, tasks]"),
    ),
    "ragged lists": (
        lambda run: [[1.0], [1.0, 2.0]],
        ("type list and no numbers", "[test rows, tasks]"),
    ),
    "a generator": (
        lambda run: (n for n in range(3)),
        ("type generator and no numbers", "[test rows, tasks]"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_prediction_of_the_test_rows_is_refused_in_one_line(case: str) -> None:
    predictor, words = WRONG[case]
    method = Method("P", predictor=predictor)
    refused(lambda: predictions(method, DATA, 7), "method 'P', run 7", *words)


def test_a_comparison_stops_at_a_wrong_prediction() -> None:
    method = Method("P", predictor=lambda run: run.y)
    refused(lambda: quick([method], steps=2), "method 'P', run 0", "gives [300, 3]")


def test_a_predictor_is_given_the_seed_of_its_run() -> None:
    asked: list[tuple[int, ...]] = []

    def seeded(run: TaskData, seed: int) -> Tensor:
        asked.append((seed,))
        return truth(run)

    def by_name(run: TaskData, *, seed: int = 5) -> Tensor:
        asked.append((seed, 1))
        return truth(run)

    def bound(run: TaskData, seed: int) -> Tensor:
        asked.append((seed, 2))
        return truth(run)

    methods = [
        Method("seeded", predictor=seeded),
        Method("by name", predictor=by_name),
        Method("bound", predictor=functools.partial(bound, seed=9)),
        Method("reseeded", predictor=seeded, reseeded=True),
        Method("none", predictor=truth),
    ]
    quick(methods, steps=2, seeds=[3, 8])
    assert asked == [(3,), (8,), (3, 1), (8, 1), (9, 2), (9, 2), (1_000_003,), (1_000_008,)]


NO_PREDICTOR: dict[str, Any] = {
    "no argument": lambda: None,
    "a second argument of another name": lambda run, number: truth(run),
    "a table": torch.zeros(60, 3),
    "a class": TaskData,
}


@pytest.mark.parametrize("case", NO_PREDICTOR)
def test_a_predictor_takes_a_run_and_perhaps_a_seed(case: str) -> None:
    words = ("method 'P'", "a function of the run", "lambda run, seed: ...")
    refused(lambda: Method("P", predictor=NO_PREDICTOR[case]), *words)


def test_units_are_own_or_trained() -> None:
    bad: Any = "raw"
    refused(lambda: Method("P", predictor=truth, units=bad), "unknown units 'raw'", "'own'")


# -------------------------------------------------------------- weighters


class Own(Weighter):
    """A weighter that is made of one function of the step, and maybe of what `reset` makes."""

    def __init__(self, weigh: Callable[[Any, Step], Tensor], begin: Any = None) -> None:
        super().__init__()
        self.weigh, self.begin = weigh, begin

    def reset(self, like: Tensor) -> None:
        if self.begin is not None:
            self.begin(self, like)

    def weights(self, step: Step) -> Tensor:
        return self.weigh(self, step)


def own(weigh: Callable[[Any, Step], Tensor], begin: Any = None, **given: Any) -> Method:
    return Method("Mine", lambda _: Own(weigh, begin), **given)


def per_task(values: Tensor) -> Tensor:
    return values / values.mean(1, keepdim=True)


class Learned(Weighter):
    """Weights that are learned, with one row of parameters for each network."""

    def reset(self, like: Tensor) -> None:
        self.raw = nn.Parameter(torch.zeros_like(like))

    def weights(self, step: Step) -> Tensor:
        return torch.softmax(self.raw, 1) * self.raw.shape[1]


class Fading(Weighter):
    """A moving average of the losses, which `reset` begins."""

    def reset(self, like: Tensor) -> None:
        self.average = torch.ones_like(like)

    def weights(self, step: Step) -> Tensor:
        return per_task(self.average)

    def after(self, step: Step, weights: Tensor) -> None:
        moved = self.average.lerp(step.losses, 0.5)
        self.average = torch.where(step.labelled, moved, self.average)


def beginning(self: Any, like: Tensor) -> None:
    self.first = None


def first_loss(self: Any, step: Step) -> Tensor:
    if getattr(self, "first", None) is None:
        self.first = step.losses.clamp_min(1e-6)
    return per_task(step.losses / self.first + 0.1)


GOOD: dict[str, Method] = {
    "a function of the losses": own(lambda self, step: per_task(step.losses + 0.1)),
    "numbers of the network's own": own(lambda self, step: step.noise.uniform(T) + 0.5),
    "several draws": own(
        lambda self, step: step.noise.normal(2, T).abs().sum(1) + step.noise.uniform(T)
    ),
    "a parameter": Method("Mine", plain(Learned)),
    "an average": Method("Mine", plain(Fading)),
    "the first loss": own(first_loss, beginning),
    "a control around a weighter": Method("Mine", lambda given: Shuffled(Fading())),
    "an alpha": Method("Mine", lambda given: LBTW(given.alpha), alpha=True),
    "a target": Method(
        "Mine",
        lambda given: Own(
            lambda self, step: 1.0 + (torch.arange(T) == given.target[:, None]).float()
        ),
        networks="each",
    ),
    "gradients": own(lambda self, step: per_task(step.head_gradients.norm(dim=2) + 0.1)),
    "features": own(lambda self, step: per_task(step.losses + step.features.mean((1, 2))[:, None])),
    "fixed weights": Method("Mine", lambda given: Fixed(torch.tensor([[1.0, 2.0, 3.0]]))),
    "one task a network": own(lambda self, step: torch.ones_like(step.losses), networks="single"),
}

COUNT, GENERATOR = [0], torch.Generator()


def counting(self: Any, step: Step) -> Tensor:
    COUNT[0] += 1
    return torch.ones_like(step.losses) + COUNT[0]


class Counting(Weighter):
    seen = 0

    def weights(self, step: Step) -> Tensor:
        type(self).seen += 1
        return per_task(step.losses + 0.1) * type(self).seen


class SharedParameter(Weighter):
    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(1, T))

    def weights(self, step: Step) -> Tensor:
        return (torch.softmax(self.raw, 1) * T).expand(step.losses.shape)


class OneParameter(SharedParameter):
    def reset(self, like: Tensor) -> None:
        self.raw = nn.Parameter(like.new_zeros(1, like.shape[1]))


class MixingPenalty(Weighter):
    """Weights that are right, and a penalty that pulls the networks' heads together."""

    def weights(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses)

    def penalty(self, step: Step) -> Tensor:
        return (step.head - step.head.mean(0)).square().sum((1, 2)) + step.head.sum((1, 2))


class MixingOutputs(MixingPenalty):
    """Outputs from which the mean of all networks is taken."""

    penalty = Weighter.penalty

    def read(self, outputs: Tensor, *others: Any) -> Tensor:
        return outputs - outputs.mean(0)


class OwnGenerator(Weighter):
    def reset(self, like: Tensor) -> None:
        self.draws = torch.Generator().manual_seed(0)

    def weights(self, step: Step) -> Tensor:
        return torch.rand(step.losses.shape, generator=self.draws)


MIXES = "change when another one trains beside it"
REMEMBERS = "depend on the training before it; make all state in reset(like)"
NO_NOISE = "own random numbers; draw each network's from step.noise"
BAD: dict[str, tuple[Method, str]] = {
    "a sum over all": (own(lambda self, step: step.losses / step.losses.sum() * T), MIXES),
    "a mean over networks": (
        own(lambda self, step: per_task(step.losses - step.losses.mean() + 9)),
        MIXES,
    ),
    "the wrong axis": (own(lambda self, step: step.losses / step.losses.mean(0)), MIXES),
    "the first network's weights": (
        own(lambda self, step: per_task(step.losses + 0.1)[:1].expand(step.losses.shape)),
        MIXES,
    ),
    "the number of networks": (own(lambda self, step: step.losses * len(step.losses)), MIXES),
    "a penalty on all networks": (Method("Mine", plain(MixingPenalty)), MIXES),
    "outputs of all networks": (Method("Mine", plain(MixingOutputs)), MIXES),
    "a parameter of all networks": (Method("Mine", plain(OneParameter)), MIXES),
    "a generator of its own": (Method("Mine", plain(OwnGenerator)), MIXES),
    "a first loss that stays": (own(first_loss), REMEMBERS),
    "an average that stays": (
        own(
            lambda self, step: (
                vars(self).setdefault("kept", []).append(step.losses)
                or per_task(torch.stack(self.kept).mean(0) + 0.1)
            )
        ),
        REMEMBERS,
    ),
    "a count of the class": (Method("Mine", plain(Counting)), REMEMBERS),
    "a count of the module": (own(counting), REMEMBERS),
    "a generator that is made once": (
        own(lambda self, step: torch.rand(step.losses.shape, generator=GENERATOR)),
        REMEMBERS,
    ),
    "a parameter made too early": (Method("Mine", plain(SharedParameter)), MIXES),
    "torch.rand": (own(lambda self, step: torch.rand(step.losses.shape)), "torch's " + NO_NOISE),
    "torch.rand in reset": (
        own(
            lambda self, step: self.drawn,
            lambda self, like: setattr(self, "drawn", torch.rand(like.shape)),
        ),
        "torch's " + NO_NOISE,
    ),
    "dropout": (
        own(lambda self, step: nn.functional.dropout(torch.ones_like(step.losses))),
        "torch's " + NO_NOISE,
    ),
    "numpy's random numbers": (
        own(lambda self, step: step.losses * np.random.rand()),  # noqa: NPY002
        "numpy's " + NO_NOISE,
    ),
    "Python's random numbers": (
        own(lambda self, step: step.losses * random.random()),
        "Python's " + NO_NOISE,
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_weighter_that_keeps_networks_apart_passes(case: str) -> None:
    checked(GOOD[case])


@pytest.mark.parametrize("case", BAD)
def test_a_weighter_that_mixes_networks_or_trainings_is_refused_in_one_line(case: str) -> None:
    method, word = BAD[case]
    Counting.seen = COUNT[0] = 0
    refused(lambda: checked(method), "method 'Mine'", word)


def test_weights_that_are_not_finite_are_refused_in_one_line() -> None:
    method = own(lambda self, step: step.losses / 0 * 0)
    refused(lambda: checked(method), "method 'Mine'", "not finite in the first step")


def turned(self: Any, step: Step) -> Tensor:
    """A slip of a sign: the network climbs the loss of the first task."""
    return torch.ones_like(step.losses) * torch.tensor([-0.5, 1.0, 1.0])


class Climbing(Own):
    may_be_negative = True


class Later(Own):
    """Weights that fall below 0 after more steps than a check takes."""

    def __init__(self) -> None:
        super().__init__(
            lambda self, step: 1 - self.steps.expand_as(step.losses) / 20,
            lambda self, like: setattr(self, "steps", torch.zeros_like(like[:, :1])),
        )

    def after(self, step: Step, weights: Tensor) -> None:
        self.steps = self.steps + 1


NEGATIVE = "below 0 a network climbs the loss"


def test_weights_below_0_are_refused_before_the_training_unless_they_are_meant() -> None:
    refused(
        lambda: quick([own(turned)]), "method 'Mine'", "falls to -0.5", NEGATIVE, "negative = T"
    )
    meant = Method("Meant", lambda _: Climbing(turned))
    study = quick([meant, permuted(meant)])  # a control of it means them, too
    scores = study.delta("Meant").mean()
    assert scores["a"] < -0.1  # the first task's loss was climbed
    fixed = Method("Fixed", plain(Fixed, weights=torch.tensor([[1.0, 1, -2]])))
    refused(lambda: checked(fixed), "method 'Fixed'", "task 'c' falls to -2")


def test_weights_that_fall_below_0_in_a_training_end_it_in_one_line(tmp_path: Path) -> None:
    late = Method("Late", lambda _: Later())
    checked(late)  # a few steps do not show it
    refused(lambda: quick([late], folder=tmp_path), "method 'Late'", "of task 'a'", NEGATIVE)
    assert not [*tmp_path.glob("Late*")]  # nothing of it is kept
    quick([late], steps=20)


def test_the_check_stands_before_every_comparison() -> None:
    method, word = BAD["a sum over all"]
    refused(lambda: quick([method]), word)
    quick([GOOD["a parameter"], replace(GOOD["several draws"], name="other")], seeds=2, steps=3)


@functools.cache
def panels() -> Mapping[str, TaskData]:
    """Data of every kind, with and without missing labels."""
    missing = DATA.y.clone()
    missing[torch.rand(missing.shape, generator=torch.Generator().manual_seed(0)) < 0.3] = torch.nan
    classes = torch.nn.functional.one_hot(DATA.y.argmax(1), T).float()
    mixed = torch.where(torch.tensor([True, False, False]), DATA.y, (DATA.y > 0).float())
    return {
        "regression": DATA,
        "missing": table(y=missing),
        "binary": table(y=(DATA.y > 0).float(), kind="binary"),
        "mixed": table(y=mixed, kind=("regression", "binary", "binary")),
        "classes": table(y=classes, kind="binary", exclusive=True),
    }


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.predictor is None])
def test_the_packages_own_weighters_pass(name: str) -> None:
    method = METHODS[name]
    for panel in panels().values():
        if method.settings.get("loss") == "softmax" and not panel.exclusive:
            continue
        checked(replace(method, weighter=lambda given: method.weighter(given)), panel)


@pytest.mark.parametrize("reading", ["inside", "temperature", "sample", "variance"])
def test_every_reading_of_u_amtfl_passes(reading: Any) -> None:
    made = lambda given: mtl_nt.UAMTFL(given.alpha, reading=reading, passes=3)  # noqa: E731
    settings = {"dropout": 0.2} if reading == "variance" else {}
    checked(Method("Mine", made, alpha=True, settings=settings), panels()["mixed"])


def test_controls_pass() -> None:
    for inside in (LBTW(0.5), GradNorm(0.5), Uncertainty(), RandomWeights()):
        checked(Method("Mine", lambda given, inside=inside: Shuffled(inside)))


def test_random_numbers_that_change_no_weight_are_no_fault() -> None:
    """Another thread may draw them meanwhile."""

    def watched(self: Any, step: Step) -> Tensor:
        torch.rand(3), np.random.rand(), random.random()  # noqa: NPY002
        return per_task(step.losses + 0.1)

    checked(own(watched))


def test_the_check_is_cheap() -> None:
    method, seconds = GOOD["an average"], []
    for _ in range(5):
        start = time.perf_counter()
        checked(method)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.25


def test_an_error_in_a_weighter_is_shown_whole() -> None:
    def wrong(self: Any, step: Step) -> Tensor:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        checked(own(wrong))


def test_a_weighter_that_fails_with_two_networks_says_so_in_one_line() -> None:
    bad = own(lambda self, step: step.losses * torch.ones(step.losses.numel()))
    refused(lambda: checked(bad), "one network, not for two", "one row for each network")


@pytest.mark.parametrize("panel", ["regression", "missing", "binary", "mixed", "classes"])
def test_the_made_rows_have_the_tasks_of_the_data(panel: str) -> None:
    data = panels()[panel]
    one, same, other = (made_run([data], number) for number in (0, 0, 1))
    assert (one.tasks, one.kinds, one.exclusive) == (data.tasks, data.kinds, data.exclusive)
    assert torch.equal(one.x, same.x) and not torch.equal(one.x, other.x)
    assert bool(one.y.isnan().any()) == (panel == "missing")


# -------------------------------------------------------------- how fast a parameter learns


def moved(weighter: Weighter, recipe: Recipe) -> Tensor:
    """How far the parameters move in one step of Adam, which is the learning rate."""
    replicas = mtl_nt.study.make_replicas(METHODS["MTL"], 1, [0], T)
    fit([DATA], replicas, weighter, recipe)
    return next(iter(weighter.parameters())).detach().abs()


def test_a_parameter_learns_as_fast_as_the_network_unless_its_weighter_says_otherwise() -> None:
    class Slow(Learned):
        learning_rate = 1e-4

    class Still(Learned):
        learning_rate = 0.0

    recipe = Recipe(trunk=(4,), steps=1, learning_rate=0.02)
    assert Weighter.learning_rate is None
    for kind, rate in ((Learned, 0.02), (Slow, 1e-4), (Still, 0.0)):
        assert moved(kind(), recipe).tolist()[0] == pytest.approx([rate] * T, rel=1e-4)


# -------------------------------------------------------------- one line in place of a traceback


class MyW(Weighter):
    def weights(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses)


class Nameless(Weighter):
    pass


class Misspelt(Weighter):
    def weight(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses)


class WithoutStep(Weighter):
    def weights(self) -> Tensor:  # type: ignore[override]
        return torch.ones(1, 3)


class WithMore(Weighter):
    def weights(self, step: Step, alpha: float) -> Tensor:  # type: ignore[override]
        return torch.ones_like(step.losses)


class NoSuper(MyW):
    def __init__(self) -> None:
        self.power = 2


class NoSuperTensor(MyW):
    def __init__(self) -> None:
        self.raw = nn.Parameter(torch.zeros(3))


class NeedsPower(MyW):
    def __init__(self, power: float) -> None:
        super().__init__()


def with_a(**members: Any) -> Callable[[], Any]:
    """A comparison with a weighter that has these members."""
    kind = type("Mine", (MyW,), members)
    return lambda: quick([Method("I", plain(kind))], seeds=2, steps=4)


def shaped(shape: Sequence[int]) -> Method:
    return own(lambda self, step: torch.ones(shape))


ONE_LINE: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "an instance": (lambda: Method("I", MyW()), ("method 'I'", "plain(MyW), not MyW()")),
    "a class": (lambda: Method("I", MyW), ("method 'I'", "plain(MyW), or with_alpha(MyW)")),  # type: ignore[arg-type]
    "a class of the package": (lambda: Method("I", LBTW), ("plain(LBTW), or with_alpha(LBTW)",)),  # type: ignore[arg-type]
    "a name": (lambda: Method("I", "LBTW"), ("method 'I'", "'LBTW' is no function", "plain(")),  # type: ignore[arg-type]
    "a function without an argument": (
        lambda: Method("I", lambda: MyW()),  # type: ignore[arg-type,misc]
        ("method 'I'", "a function of one argument", "lambda given: MyWeighter()"),
    ),
    "a function that gives a class": (
        lambda: quick([Method("I", lambda given: MyW)]),  # type: ignore[arg-type,return-value]
        ("method 'I'", "gives the class MyW", "return a Weighter"),
    ),
    "a function that gives nothing": (
        lambda: quick([Method("I", lambda given: None)]),  # type: ignore[arg-type,return-value]
        ("method 'I'", "gives a NoneType", "return a Weighter"),
    ),
    "a predictor in the weighter's place": (
        lambda: quick([Method("I", lambda run: run.y[run.split.test])]),  # type: ignore[arg-type, attr-defined]
        ("method 'I'", "reads 'y' of what it is given", "is a predictor: give predictor="),
    ),
    "a predictor that gives a constant": (
        lambda: quick([Method("I", lambda run: torch.zeros(60, 3))]),  # type: ignore[arg-type, return-value]
        ("method 'I'", "gives a Tensor", "return a Weighter", "give predictor="),
    ),
    "no method weights": (
        lambda: quick([Method("I", plain(Nameless))]),
        ("method 'I'", "Nameless has no method named weights;", "define weights(self, step)"),
    ),
    "a method weight": (
        lambda: quick([Method("I", plain(Misspelt))]),
        ("method 'I'", "Misspelt has no method named weights (it has 'weight')"),
    ),
    "no method weights in a control": (
        lambda: quick([Method("I", lambda given: Shuffled(Nameless()))]),
        ("method 'I'", "Nameless has no method named weights"),
    ),
    "weights without a step": (
        lambda: quick([Method("I", plain(WithoutStep))]),
        ("method 'I'", "WithoutStep.weights takes a step", "define weights(self, step)"),
    ),
    "weights with another argument": (
        lambda: quick([Method("I", plain(WithMore))]),
        ("method 'I'", "WithMore.weights takes a step", "'alpha'"),
    ),
    "complex weights": (
        lambda: quick([own(lambda self, step: step.losses + 0j)]),
        ("Own.weights gives complex numbers", "of real numbers, here [1, 3]"),
    ),
    "weights without numbers": (
        lambda: quick([own(lambda self, step: step.losses.to("meta"))]),
        ("Own.weights gives a tensor on 'meta' for networks on 'cpu'",),
    ),
    "sparse weights": (
        lambda: quick([own(lambda self, step: step.losses.to_sparse())]),
        ("Own.weights gives a sparse tensor",),
    ),
    "predictions of one row": (
        with_a(predict=lambda self, outputs, binary, draw: outputs[:, :1]),
        ("Mine.predict gives shape [1, 1, 3]", "[networks, rows, outputs] of real numbers, here"),
    ),
    "predictions of one output": (
        with_a(predict=lambda self, outputs, binary, draw: outputs.mean(2, keepdim=True)),
        ("Mine.predict gives shape [1, 2, 1]", "here [1, 2, 3]"),
    ),
    "outputs of one row": (
        with_a(read=lambda self, outputs, binary, valid, again: outputs[:, :1]),
        ("Mine.read gives shape [1, 1, 3]", "here [1, 8, 3]"),
    ),
    "no outputs": (
        with_a(read=lambda self, outputs, binary, valid, again: None),
        ("Mine.read gives a NoneType",),
    ),
    "outputs without a graph": (
        with_a(read=lambda self, outputs, binary, valid, again: outputs.detach()),
        ("Mine.read gives outputs without a graph", "without detach()"),
    ),
    "reset without like": (
        with_a(reset=lambda self: None),
        ("method 'I'", "Mine.reset is called with other", "define reset(self, like)"),
    ),
    "after without the weights": (
        with_a(after=lambda self, step: None),
        ("method 'I'", "Mine.after is called with other", "define after(self, step, weights)"),
    ),
    "check without the dropout": (
        with_a(check=lambda self: None),
        ("method 'I'", "Mine.check", "define check(self, dropout)"),
    ),
    "a text for a learning rate": (
        with_a(learning_rate="0.1"),
        ("method 'I'", "Mine.learning_rate '0.1': must be a number, 0 or more, or None"),
    ),
    "a text for passes": (
        with_a(passes="x"),
        ("method 'I'", "Mine.passes 'x': must be a whole number, 1 or more"),
    ),
    "no device": (lambda: quick("MTL", device=None), ("device None", "'cpu' or 'auto'")),
    "a number for an executor": (
        lambda: quick("MTL", executor=3),
        ("executor 3", "ProcessPoolExecutor"),
    ),
    "a number for stop": (lambda: quick("MTL", stop=3), ("stop 3", "give a function")),
    "a text for progress": (
        lambda: quick("MTL", progress="no"),
        ("progress 'no'", "give True, False, or a function"),
    ),
    "data without a seed": (
        lambda: quick("MTL", data=lambda: DATA),  # type: ignore[arg-type,misc]
        ("data: the callable is called with a seed", "give lambda seed: ..."),
    ),
    "no name": (lambda: Method(None, plain(MyW)), ("method None", "its name must be a text")),  # type: ignore[arg-type]
    "an empty name": (lambda: Method(" ", plain(MyW)), ("method ' '", "not an empty one")),
    "unknown networks": (
        lambda: Method("I", plain(MyW), networks="all"),  # type: ignore[arg-type]
        ("method 'I'", "unknown networks 'all'", "one, each, single"),
    ),
    "networks in capitals": (
        lambda: Method("I", plain(MyW), networks="One"),  # type: ignore[arg-type]
        ("unknown networks 'One'", "did you mean 'one'"),
    ),
    "a number for alpha": (
        lambda: Method("I", with_alpha(LBTW), alpha=0.5),  # type: ignore[arg-type]
        ("method 'I': alpha=0.5", "give alpha=True", "compare(..., alphas=[...])"),
    ),
    "a text for a switch": (
        lambda: Method("I", plain(MyW), frozen="no"),  # type: ignore[arg-type]
        ("method 'I': frozen='no'", "give True or False"),
    ),
    "settings in a list": (
        lambda: Method("I", plain(MyW), settings=[("learning_rate", 0.1)]),  # type: ignore[arg-type]
        ("method 'I'", "give a dictionary, such as {'learning_rate': 0.001}"),
    ),
    **{
        f"a predictor with {name}": (
            lambda given={name: value}: Method("I", predictor=truth, **given),
            ("method 'I'", f"a predictor and {name}", "a predictor trains no networks"),
        )
        for name, value in {
            "weighter": lambda given: MyW(),
            "networks": "each",
            "alpha": True,
            "pretrain": True,
            "frozen": True,
            "settings": {"learning_rate": 0.1},
            "search": rate_candidates,
        }.items()
    },
    "plain of an instance": (lambda: plain(MyW()), ("plain(MyW()): give the class", "plain(MyW)")),
    "plain of a name": (lambda: plain("MyW"), ("plain('MyW')", "a weighter's class")),  # type: ignore[arg-type]
    "plain without an option": (lambda: plain(NeedsPower), ("plain(NeedsPower)", "'power'")),
    "plain with an unknown option": (
        lambda: plain(NeedsPower, power=1, force=2),
        ("plain(NeedsPower)", "unexpected keyword argument 'force'"),
    ),
    "an alpha for a weighter that takes none": (
        lambda: with_alpha(MyW),
        ("with_alpha(MyW)", "too many positional arguments"),
    ),
    "no super().__init__": (
        lambda: quick([Method("I", plain(NoSuper))]),
        ("method 'I'", "NoSuper.__init__ must begin with super().__init__()"),
    ),
    "a parameter before super().__init__": (
        lambda: quick([Method("I", plain(NoSuperTensor))]),
        ("method 'I'", "__init__ must begin with super().__init__()"),
    ),
    "weights for a task too many": (
        lambda: quick([shaped((1, 4))]),
        ("Own.weights gives shape [1, 4]", "[networks, tasks] of real numbers, here [1, 3]"),
    ),
    "weights without networks": (
        lambda: quick([shaped((3,))]),
        ("Own.weights gives shape [3]", "[networks, tasks] of real numbers, here [1, 3]"),
    ),
    "weights without tasks": (
        lambda: quick([own(lambda self, step: step.losses.mean(1, keepdim=True))]),
        ("Own.weights gives shape [1, 1]", "here [1, 3]"),
    ),
    "no weights": (
        lambda: quick([own(lambda self, step: None)]),  # type: ignore[arg-type,return-value]
        ("Own.weights gives a NoneType", "a tensor [networks, tasks]"),
    ),
    "fixed weights for a task too many": (
        lambda: quick([Method("I", plain(Fixed, weights=torch.ones(4)))]),
        ("Fixed: weights [4]", "3 tasks", "[1, tasks]"),
    ),
    "with_alpha without an alpha": (
        lambda: quick([Method("I", with_alpha(LBTW))]),
        ("method 'I'", "takes an alpha", "alpha=True"),
    ),
    "a lambda that reads alpha": (
        lambda: quick([Method("I", lambda given: LBTW(given.alpha))]),
        ("method 'I'", "takes an alpha", "alpha=True"),
    ),
    "an alpha that the search does not give": (
        lambda: quick([Method("I", with_alpha(LBTW), search=rate_candidates)]),
        ("method 'I'", "takes an alpha", "alpha=True"),
    ),
    "a target for one network of all tasks": (
        lambda: quick([Method("I", with_target(mtl_nt.RMTL))]),
        ("method 'I'", "takes a target", "networks='each'"),
    ),
    "weights of no candidates": (
        lambda: quick([Method("I", with_weights(Fixed))]),
        ("method 'I'", "the weights of candidates", "search="),
    ),
    **{
        f"a search with {what}": (
            lambda given=given: quick([Method("I", search=lambda *_: given)]),
            ("method 'I'", word),
        )
        for what, (given, word) in {
            "nothing": (
                None,
                "its search gives None; give a list of mtl_nt.study.search.Candidate",
            ),
            "no candidate": ([], "its search gives []"),
            "dictionaries": ([{"lr": 1}], "its search gives [{'lr': 1}]"),
            "an unknown setting": ([Candidate((("lr", 1.0),))], "did you mean 'learning_rate'?"),
            "too few weights": ([Candidate(weights=(1.0, 2.0))], "2 weights for 3 tasks"),
            "weights below 0": ([Candidate(weights=(1.0, -1.0, 1.0))], "give numbers of 0 or more"),
            "weights that are none": ([Candidate(weights=(1.0, 2.0, np.nan))], "finite numbers"),
            "an alpha below 0": ([Candidate(alpha=-1.0)], "alpha -1.0; give a number, 0 or more"),
        }.items()
    },
    "a search with a value out of range": (
        lambda: quick([Method("I", search=lambda *_: [Candidate((("dropout", 2.0),))])]),
        ("dropout 2.0: must be in [0, 1)",),
    ),
    "a device without numbers": (
        lambda: quick("MTL", device="meta"),
        ("device 'meta'", "use 'cpu' or 'auto'"),
    ),
    "lr": (lambda: quick("MTL", lr=1e-3), ("'lr'", "did you mean 'learning_rate'?")),
    "lr of a method": (
        lambda: Method("I", settings={"lr": 1e-3}),
        ("method 'I'", "'lr'", "did you mean 'learning_rate'?"),
    ),
    "epochs": (lambda: quick("MTL", epochs=3), ("'epochs'", "did you mean 'steps'?")),
    "pos_weight": (
        lambda: quick("MTL", pos_weight=3.0),
        ("unknown training setting 'pos_weight'", "the data weigh classes"),
    ),
    "seed": (lambda: quick("MTL", seed=3), ("unknown training setting 'seed'", "seeds=[")),
}


@pytest.mark.parametrize("case", ONE_LINE)
def test_a_slip_is_said_in_one_line(case: str) -> None:
    call, words = ONE_LINE[case]
    refused(call, *words)


def test_read_and_predict_of_ones_own_may_change_all_numbers() -> None:
    class Milder(MyW):
        def read(self, outputs: Tensor, binary: Tensor, valid: Tensor, again: Any) -> Tensor:
            return 0.5 * outputs + 0.5 * again()

        def predict(self, outputs: Tensor, binary: Tensor, draw: Any) -> Tensor:
            return outputs.double() * 0.9

    study = quick([Method("I", plain(Milder))], seeds=2, dropout=0.1, stop=lambda: False)
    assert study.scores("I").notna().all(axis=None)


def test_fixed_weights_for_other_tasks_are_refused_before_anything_trains() -> None:
    told: list[str] = []
    method = Method("I", plain(Fixed, weights=torch.ones(2, 4)))
    call = {"progress": lambda done, name: told.append(name)}
    refused(lambda: quick([method], **call), "Fixed: weights [2, 4]", "3 tasks")
    assert told == []
    method = Method("I", plain(Fixed, weights=torch.ones(2, 3)))
    refused(lambda: quick([method], steps=2), "Fixed: weights [2, 3] for 3 networks", "one row")


def test_an_alpha_from_a_sweep_is_an_alpha() -> None:
    swept = mtl_nt.study.swept(Method("I", lambda given: LBTW(given.alpha), alpha=True), [0.1, 1])
    study = quick([swept], seeds=2, steps=3)
    assert "I, swept" in set(study.results["method"])


def test_a_penalty_has_one_number_for_each_network() -> None:
    class Penal(MyW):
        def penalty(self, step: Step) -> Tensor:
            return step.losses

    refused(
        lambda: quick([Method("I", plain(Penal))]),
        "Penal.penalty gives shape [1, 3]",
        "a tensor [networks] of real numbers, here [1]",
    )


def test_uniform_weights_of_ones_own_are_plain_mtl() -> None:
    study = quick(["MTL", Method("I", plain(MyW))], seeds=2)
    values = study.results.query("metric == 'MSE'").set_index("method")["value"]
    assert values["I"].to_numpy() == pytest.approx(values["MTL"].to_numpy(), rel=1e-6)


def test_a_bad_input_of_a_weighter_stays_what_it_says() -> None:
    class Fussy(MyW):
        def check(self, dropout: float) -> None:
            raise BadInput("Fussy: nothing suits me; leave me out")

    refused(lambda: quick([Method("I", plain(Fussy))]), "nothing suits me")
