"""A folder gives no old scores of a method that reads a file, the environment or code of text."""

from __future__ import annotations

import configparser
import fileinput
import functools
import io
import json
import linecache
import os
import pathlib
import pickle
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.io
import torch
from numpy import load
from refusals import refused
from sklearn.linear_model import Ridge
from test_own_methods import DATA, Power, quick, truth
from torch import Tensor, nn

import mtl_nt
from mtl_nt import BadInput, Method, Step, TaskData, Weighter, plain
from mtl_nt.networks import OwnBody
from mtl_nt.study import identity as identities
from mtl_nt.study.identity import body_identity, identity

HERE, STRENGTH = Path("numbers.txt"), 0.5
SETTINGS = {"data": "table.csv", "weights": ["a.npz", "b.npz"], "power": 2.0}
PARSER = configparser.ConfigParser()
FOLDER = SimpleNamespace(place=HERE)
reading = np.load


def helper(run: TaskData) -> Any:
    return np.load("predictions.npy")


class FromFile(Weighter):
    def __init__(self) -> None:
        super().__init__()
        self.given = torch.load("weights.pt")

    def weights(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses) * self.given


class FromCsv(Power):
    @classmethod
    def from_csv(cls, path: str) -> FromCsv:
        return cls(float(pd.read_csv(path)["power"][0]))


class Inherits(FromFile):
    pass


def imports_inside(run: TaskData) -> Any:
    import numpy as numbers

    return numbers.load("predictions.npy")


def imports_a_name(run: TaskData) -> Any:
    from numpy import fromfile as of_file

    return of_file("predictions")


def imports_a_part(run: TaskData) -> Any:
    import scipy.io as files

    return files.loadmat("predictions.mat")


def in_an_inner_function(run: TaskData) -> Any:
    def strength() -> float:
        return float(os.environ["STRENGTH"])

    return strength() * truth(run)


def in_a_closure(read: Any) -> Callable[[TaskData], Any]:
    return lambda run: read("predictions.npy")


def of_a_place(place: Path) -> Callable[[TaskData], Any]:
    return lambda run: float(place.read_text()) * truth(run)


def with_a_parser(name: str) -> Callable[[TaskData], Any]:
    def own(run: TaskData) -> Any:
        parser = configparser.ConfigParser()
        parser.read(name)
        return float(parser["a"]["p"]) * truth(run)

    return own


def whose_parser(run: TaskData) -> Any:
    return (PARSER if run.exclusive else configparser.ConfigParser()).read(run.name)


def reads_a_folder(run: TaskData) -> Any:
    from sklearn.datasets import load_files

    return load_files(run.name)


def of_a_default(run: TaskData, name: str = "p.ini") -> Any:
    return len(name) * truth(run)


def one_of(settings: dict[str, Any]) -> Any:
    return settings["data"]


class Keeps:
    """A predictor that has an attribute, and perhaps uses it."""

    def __init__(self, use: Callable[[Any], Any], place: Any) -> None:
        self.use, self.place = use, place

    def __call__(self, run: TaskData) -> Any:
        return self.use(self)


READING: dict[str, tuple[Callable[..., Any], str]] = {
    "np.load": (lambda run: np.load("a.npy"), "'np.load' in '<lambda>'"),
    "pd.read_csv": (lambda run: pd.read_csv("a.csv"), "'pd.read_csv'"),
    "Path.read_text": (lambda run: Path("a.txt").read_text(), "'read_text'"),
    "a path's module": (lambda run: pathlib.Path("a.txt").open().read(), "'open'"),  # noqa: SIM115
    "a global path": (lambda run: HERE.read_bytes(), "'HERE.read_bytes'"),
    "a path in a global": (lambda run: FOLDER.place.read_text(), "'FOLDER.place.read_text'"),
    "a path in a closure": (of_a_place(HERE), "'place.read_text'"),
    "whether a file is there": (lambda run: HERE.exists(), "'HERE.exists'"),
    "open": (lambda run: open("a.txt"), "'open'"),  # noqa: SIM115
    "torch.load": (lambda run: torch.load("a.pt"), "'torch.load'"),
    "pickle.load": (lambda run: pickle.load(run), "'pickle.load'"),
    "a table that this package reads": (lambda run: mtl_nt.load("a.csv"), "'mtl_nt.load'"),
    "os.environ": (lambda run: os.environ["A"], "'os.environ'"),
    "os.getenv": (lambda run: os.getenv("A"), "'os.getenv'"),
    "globals": (lambda run: globals()["STRENGTH"], "'globals'"),
    "eval": (lambda run: eval("STRENGTH"), "'eval'"),
    "exec": (lambda run: exec("STRENGTH"), "'exec'"),
    "an import by name": (lambda run: __import__("helpers_of_mine"), "'__import__'"),
    "a name that was imported": (lambda run: load("a.npy"), "'load'"),
    "another name": (lambda run: reading("a.npy"), "'reading'"),
    "an import inside": (imports_inside, "'numbers.load' in 'imports_inside'"),
    "an imported name inside": (imports_a_name, "'numpy.fromfile'"),
    "an imported part inside": (imports_a_part, "'files.loadmat'"),
    "a function in it": (in_an_inner_function, "'os.environ'"),
    "a comprehension": (lambda run: [np.loadtxt(name) for name in "ab"], "'np.loadtxt'"),
    "a helper": (lambda run: helper(run), "'np.load' in 'helper'"),
    "a closure": (in_a_closure(np.load), "'read' in '<lambda>'"),
    "a partial": (functools.partial(pd.read_csv, "a.csv"), "read_csv'"),
    "a weighter": (plain(FromFile), "'torch.load' in '__init__'"),
    "a base class": (plain(Inherits), "'torch.load' in '__init__'"),
    "a method for files that is called": (
        lambda given: FromCsv.from_csv("power.csv"),
        "'pd.read_csv' in 'from_csv'",
    ),
    "the class's method itself": (FromCsv.from_csv, "'pd.read_csv' in 'from_csv'"),
    "what a library has made": (with_a_parser("p"), "'parser.read' in 'own'"),
    "a library's object": (lambda run: PARSER.read(run.name), "'PARSER.read'"),
    "made and used at once": (lambda run: pd.ExcelFile(run.name).parse(0), "'pd.ExcelFile'"),
    "one of two": (whose_parser, "'read' in 'whose_parser'"),
    "getattr": (lambda run: getattr(np, "load")(run.name), "'np.load'"),  # noqa: B009
    "ET.parse": (lambda run: ET.parse(run.name), "'ET.parse'"),
    "pq.ParquetFile": (lambda run: pq.ParquetFile(run.name), "'pq.ParquetFile'"),
    "scipy.io.mmread": (lambda run: scipy.io.mmread(run.name), "'scipy.io.mmread'"),
    "wavfile.read": (lambda run: scipy.io.wavfile.read(run.name), "'scipy.io.wavfile.read'"),
    "pd.HDFStore": (lambda run: pd.HDFStore(run.name), "'pd.HDFStore'"),
    "np.fromregex": (lambda run: np.fromregex(run.name, "a", float), "'np.fromregex'"),
    "io.FileIO": (lambda run: io.FileIO(run.name), "'io.FileIO'"),
    "fileinput": (lambda run: fileinput.lineno(), "'fileinput.lineno'"),
    "linecache": (lambda run: linecache.getline(run.name, 1), "'linecache.getline'"),
    "load_files": (reads_a_folder, "'sklearn.datasets.load_files'"),
    "from_scores": (
        lambda run: mtl_nt.Study.from_scores(run.name, baseline="STL", lower_is_better=True),
        "'mtl_nt.Study.from_scores'",
    ),
}
NAMING: dict[str, tuple[Callable[..., Any], str]] = {
    "a text in the code": (lambda run: run.use("p.ini"), "'p.ini' in '<lambda>'"),
    "in a list": (lambda run: [run.use(name) for name in ("a.npy", "b.npy")], "'a.npy'"),
    "its end": (lambda run: run.use(f"fold{run.data_seed}.npy"), "'.npy' in '<lambda>'"),
    "an address": (lambda run: run.use("https://a.org/b"), "'https://a.org/b'"),
    "a path that is handed on": (lambda run: run.use(str(HERE)), "'numbers.txt' in 'HERE'"),
    "a place that is there": (of_a_place(Path.home()), "'place.read_text'"),
    "a closure": (with_a_parser("p.ini"), "'parser.read'"),
    "a default": (of_a_default, "'p.ini' in 'of_a_default'"),
    "a partial": (functools.partial(one_of, {"a": "p.ini"}, "p.ini"), "'p.ini'"),
    "a keyword": (functools.partial(one_of, other="p.ini"), "'p.ini'"),
    "a part of an object of the package": (OwnBody(functools.partial(one_of, "p.ini")), "'p.ini'"),
    "an attribute": (Keeps(lambda own: own.place, "p.ini"), "'p.ini' in 'place'"),
    "an attribute's path": (Keeps(lambda own: own.place, Path.home()), "in 'place'"),
    "a setting": (lambda run: run.use(SETTINGS["data"]), "'table.csv' in 'data'"),
    "a list in a setting": (lambda run: run.use(SETTINGS["weights"]), ".npz' in 'weights'"),
    "a setting that a helper takes": (lambda run: one_of(SETTINGS), "'table.csv' in 'data'"),
    "this file": (lambda run: run.use(__file__), "test_outside.py' in '__file__' names a file"),
}


@pytest.mark.parametrize("case", READING)
def test_a_function_that_reads_what_is_outside_has_no_digest(case: str) -> None:
    function, words = READING[case]
    refused(
        lambda: identity(function, "method 'Mine'"),
        "method 'Mine': ",
        words,
        "reads from outside, which may change while the code stays",
        "give the method version=1, and another version whenever it changes",
    )


@pytest.mark.parametrize("case", NAMING)
def test_a_function_that_holds_the_name_of_a_file_has_no_digest(case: str) -> None:
    function, words = NAMING[case]
    refused(
        lambda: identity(function, "method 'Mine'"),
        "method 'Mine': ",
        words,
        "which may change while the code stays",
        "give the method version=1, and another version whenever it changes",
    )


class Store:
    """A store of somebody's own, whose names are those of libraries."""

    def load(self, key: str) -> float:
        return STRENGTH

    open = read_csv = environ = load

    @property
    def inner(self) -> Store:
        return Store()


STORE = Store()
LIBRARY = SimpleNamespace(store=STORE)


def fits_a_library(run: TaskData) -> Any:
    from sklearn.datasets import load_iris  # type: ignore[import-untyped]

    return Ridge(alpha=len(load_iris().data)).fit(run.x, run.y).predict(run.x[run.split.test])


def load_as_a_number(run: TaskData) -> Any:
    load = 2.0
    return load * truth(run)


def of_a_model(predict: Any) -> Callable[[TaskData], Any]:
    return lambda run: predict(run.x)


def of_data(data: TaskData) -> Callable[[TaskData], Any]:
    return lambda run: (run.name == data.name) * truth(data)


def explains(run: TaskData) -> Any:
    """Reads nothing, and "p.ini" is a file."""

    class Inner:
        """weights.pt"""

    return Inner if run.name == "p.ini" else run.name in ("a.csv", "b.csv")


def trains_a_network(run: TaskData) -> Any:
    from torch.optim import Adam

    warnings.warn("see notes.txt for more", stacklevel=2)
    network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
    network.load_state_dict(network.state_dict())
    optimiser = Adam(network.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        network(run.x).square().mean().backward()
        optimiser.step()
    return network.eval()(run.x)


def writes(run: TaskData) -> Any:
    given = truth(run)
    path = f"{run.name}.csv"
    np.save("given.npy", given)
    torch.save(given, Path("out") / f"{run.data_seed}.pt")
    pd.DataFrame(given).to_csv(path)
    print("given.npy")
    return given


class Super(Store):
    def load(self, key: str) -> float:
        return super().load(key)


QUIET: dict[str, Callable[..., Any]] = {
    "a method load of one's own": lambda run: STORE.load("a"),
    "a method open of one's own": lambda run: STORE.open("a"),  # type: ignore[operator]
    "through a property": lambda run: STORE.inner.load("a"),
    "in a namespace": lambda run: LIBRARY.store.load("a"),
    "of a new object": lambda run: Store().load("a"),
    "of what is given": lambda run: run.load("a").environ,  # type: ignore[attr-defined]
    "text that is parsed": lambda run: json.loads("{}"),
    "a network's eval": lambda run: nn.Linear(8, 3).eval()(run.x),
    "a table's eval": lambda run: pd.DataFrame(run.y).eval("a + b"),
    "a library that reads its own data": fits_a_library,
    "a fitted model": of_a_model(Ridge().fit(np.eye(2), np.eye(2)).predict),
    "a local name": load_as_a_number,
    "a method for files that nobody calls": plain(FromCsv, power=1.0),
    "a method of a base class": lambda run: Super().load("a"),
    "text in memory": lambda run: io.StringIO("1 2").read(),
    "a docstring and a comparison": explains,
    "a network": trains_a_network,
    "what is written": writes,
    "words": lambda run: run.use("relu", "a.b", "mean/std", "CC/C=C", "see p.ini", "/"),
    "a setting that nobody takes": lambda run: SETTINGS["power"] * truth(run),
    "an attribute that nobody takes": Keeps(lambda own: 2.0, "p.ini"),
    "data from a file": of_data(replace(DATA, name="my.csv")),
    "a table of texts": of_a_model(pd.DataFrame({"file": ["a.csv"]}, dtype=object)),
}


@pytest.mark.parametrize("case", QUIET)
def test_what_only_sounds_like_reading_has_a_digest(case: str) -> None:
    assert identity(QUIET[case]) == identity(QUIET[case])


@pytest.mark.slow
def test_a_folder_refuses_a_reading_method_until_it_has_a_version(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npy"

    def from_file(run: TaskData) -> Any:
        return np.load(path)

    call: dict[str, Any] = {"seeds": 1, "steps": 2}
    np.save(path, truth(DATA).numpy())
    method = Method("Mine", predictor=from_file)
    quick([method], **call)  # without a folder, nothing old can be read
    words = ("method 'Mine'", "'np.load' in 'from_file'", "version=1")
    refused(lambda: quick([method], folder=tmp_path / "a", **call), *words)
    first = quick([Method("Mine", predictor=from_file, version=1)], folder=tmp_path / "b", **call)
    np.save(path, 0 * truth(DATA).numpy())
    changed = Method("Mine", predictor=from_file, version=2)
    refused(lambda: quick([changed], folder=tmp_path / "b", **call), "methods differs")
    second = quick([changed], **call)
    assert first.scores("Mine").to_numpy().max() < 1e-9 < second.scores("Mine").to_numpy().min()


def test_a_body_that_reads_a_file_says_what_to_do() -> None:
    def pretrained() -> nn.Module:
        return torch.load("body.pt")

    words = ("'torch.load' in 'pretrained'", "give architecture=OwnBody(..., version=1)")
    refused(lambda: body_identity(OwnBody(pretrained)), *words)
    assert body_identity(OwnBody(pretrained, version=3)) == "version 3"


# -------------------------------------------------------------- what a pickle would leave out


class Hides:
    def __init__(self, power: float) -> None:
        self.power = power

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, run: TaskData) -> Tensor:
        return self.power * truth(run)


class MakesAnew(Hides):
    def __reduce__(self) -> Any:
        return MakesAnew, (1.0,)

    __getstate__ = object.__getstate__  # type: ignore[attr-defined]


class MakesAnewInAnyProtocol(Hides):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return MakesAnewInAnyProtocol, (1.0,)


@dataclass(frozen=True, slots=True)
class Slots:  # its __getstate__ is made by dataclass
    power: float

    def __call__(self, run: TaskData) -> Tensor:
        return self.power * truth(run)


class Entries(dict[str, float]):
    def __reduce__(self) -> Any:
        return Entries, ()

    def __call__(self, run: TaskData) -> Tensor:
        return self["power"] * truth(run)


class Layer(nn.Module):
    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def __getstate__(self) -> dict[str, Any]:
        return {}


STATES: dict[str, Callable[[float], Any]] = {
    "__getstate__": Hides,
    "__reduce__": MakesAnew,
    "__reduce_ex__": MakesAnewInAnyProtocol,
    "slots": Slots,
    "a dictionary": lambda power: Entries(power=power),
    "a module": Layer,
}


@pytest.mark.parametrize("case", STATES)
def test_what_a_pickle_would_leave_out_counts(case: str) -> None:
    make = STATES[case]
    one, same, other = (identity(make(power)) for power in (0.5, 0.5, 3.0))
    assert one == same != other


def test_state_that_only_its_own_pickle_knows_is_refused() -> None:
    class Draws(np.random.RandomState):
        def __reduce__(self) -> Any:
            return Draws, ()

    with pytest.raises(BadInput, match="Draws, which a folder cannot tell from another"):
        identity(Draws())


# -------------------------------------------------------------- a library that is somebody's own


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> str:
    """The version of a library that a folder called site-packages has, read anew."""
    place = folder / "site-packages"
    about = place / "lab_of_mine-0.1.0.dist-info"
    (place / "lab_of_mine").mkdir(parents=True, exist_ok=True)
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab_of_mine\nVersion: 0.1.0\n")
    for name, text in files.items():
        where = about if name in ("RECORD", "INSTALLER", "direct_url") else place / "lab_of_mine"
        ends = {"direct_url": ".json", "RECORD": "", "INSTALLER": "", "table": ".csv"}
        (where / f"{name}{ends.get(name, '.py')}").write_text(text)
    monkeypatch.syspath_prepend(str(place))
    for cached in (identities._version, identities._sources, identities._distributions):
        cached.cache_clear()
    return str(identities._installed("lab_of_mine.part"))


CHANGES = {
    "its code": {"__init__": "P = 3.0\n"},
    "code within": {"part": "P = 3.0\n"},
    "a file that is no code": {"table": "1,2\n"},
    "what its installer wrote of it": {"RECORD": "lab_of_mine/part.so,sha256=b,4\n"},
}
FIRST = {"__init__": "P = 0.5\n", "part": "", "table": "", "RECORD": "lab_of_mine/part.so,a,4\n"}


@pytest.mark.parametrize("change", CHANGES)
def test_a_library_from_a_folder_counts_by_its_files(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = installed(tmp_path, monkeypatch, direct_url="{}", **FIRST)
    again = installed(tmp_path, monkeypatch, RECORD=FIRST["RECORD"] + "../bin/lab,c,5\n")
    other = installed(tmp_path, monkeypatch, **CHANGES[change])
    assert first == again != other
    assert first.startswith("0.1.0 ")


def test_a_library_from_an_index_counts_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed(tmp_path, monkeypatch, **FIRST) == "0.1.0"
    assert installed(tmp_path, monkeypatch, direct_url="{}", INSTALLER="conda\n") == "0.1.0"


def test_two_functions_of_a_library_from_a_folder_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for code in ("P = 0.5\n", "P = 3.0\n"):
        installed(tmp_path, monkeypatch, direct_url="{}", __init__=code)

        def own(run: TaskData) -> Any:
            from lab_of_mine import P  # type: ignore[import-not-found]

            return P * truth(run)

        found.add(identity(own))
    assert len(found) == 2
