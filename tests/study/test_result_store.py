"""A study on disk: resumed without training twice, never misled by a damaged or foreign file."""

from __future__ import annotations

import ast
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from fixed import with_fixed_split
from pandas.testing import assert_frame_equal
from refusals import refused
from samples import forking

from mtl_nt import LBTW, BadInput, Method, Stopped, Study, compare, load, with_alpha
from mtl_nt.book import processes
from mtl_nt.datasets.dial import Group
from mtl_nt.study import result_store
from mtl_nt.study.chunks import Chunk, ChunkResult
from mtl_nt.study.result_store import ResultStore

GROUPS = (Group("in", 2, 30), Group("out", 1, 30, angle=90))
ARMS = ["STL", "STL'", "MTL", "LBTW"]
STEPS = 12


def study(folder: Path | None, told: list[str] | None = None, **given: Any) -> Study:
    """A small comparison; the names of the methods that are really trained go to `told`."""

    def tell(fraction: float, name: str) -> None:
        if told is not None and name not in told:
            told.append(name)

    usual: dict[str, Any] = {
        "data": load("dial", groups=GROUPS),
        "methods": ("MTL", "LBTW"),
        "alphas": (0.1, 0.5),
        "seeds": 2,
        "steps": STEPS,
        "batch_size": 32,
        "device": "cpu",
        "progress": tell,
    }
    return compare(**{**usual, "folder": folder, **given})


def assert_same(one: Study, other: Study, clock: bool) -> None:
    """The same numbers to the last bit and the same types; `clock`: the same seconds too."""
    assert_frame_equal(one.results, other.results, check_exact=True)
    assert_frame_equal(one.history, other.history, check_exact=True)
    without = [] if clock else ["seconds"]
    trainings = [s.training.drop(columns=without) for s in (one, other)]
    assert_frame_equal(*trainings, check_exact=True)


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def result_file(folder: Path, method: str) -> Path:
    (path,) = folder.glob(f"{method}-*.json")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """A folder with a finished study, and what it gave. Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    return folder, study(folder)


@pytest.fixture
def copied(finished: tuple[Path, Study], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "study"))


# ------------------------------------------------------------------------------- going on


def test_a_folder_changes_no_number(finished: tuple[Path, Study]) -> None:
    assert_same(finished[1], study(None), clock=False)


def test_a_finished_study_is_read_and_nothing_is_trained(
    finished: tuple[Path, Study], copied: Path
) -> None:
    told: list[str] = []
    before = files(copied)
    assert_same(study(copied, told), finished[1], clock=True)
    assert told == []
    assert files(copied) == before


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_where_it_stopped(
    finished: tuple[Path, Study], tmp_path: Path
) -> None:
    for steps in (5, STEPS + 5, 2 * STEPS + 5):  # in its first, second and third method
        folder, asked = tmp_path / str(steps), [0]

        def stop(asked: list[int] = asked, steps: int = steps) -> bool:
            asked[0] += 1
            return asked[0] > steps

        with pytest.raises(Stopped):
            study(folder, stop=stop)
        told: list[str] = []
        assert_same(study(folder, told), finished[1], clock=False)
        assert told == ARMS[steps // STEPS :]


def test_a_missing_part_alone_is_trained(finished: tuple[Path, Study], copied: Path) -> None:
    result_file(copied, "MTL").unlink()
    told: list[str] = []
    assert_same(study(copied, told), finished[1], clock=False)
    assert told == ["MTL"]


FORGED: dict[str, Callable[[list[Any]], object]] = {
    "a table too few": lambda tables: tables.pop(),
    "a column too many": lambda tables: tables[0].update(more=tables[0]["task"]),
    "a short column": lambda tables: tables[2]["loss"].pop(),
    "another task": lambda tables: tables[0]["task"].__setitem__(0, "<b>"),
    "another method": lambda tables: tables[0]["method"].__setitem__(0, "<b>"),
    "another run": lambda tables: tables[0]["seed"].__setitem__(0, 99),
    "text for a number": lambda tables: tables[0]["value"].__setitem__(0, "1"),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_part_with_a_right_checksum_and_a_wrong_form_is_refused(case: str, copied: Path) -> None:
    path = result_file(copied, "MTL")
    label = json.dumps([json.loads((copied / "study.json").read_text()), path.name]).encode()
    tables = json.loads(path.read_text().partition("\n")[2])
    FORGED[case](tables)
    text = json.dumps(tables)
    path.write_text(f"{hashlib.sha256(label + text.encode()).hexdigest()}\n{text}")
    refused(lambda: study(copied), f"{path.name} is no part of a study of this version")


def test_parts_from_an_executor_are_kept_too(finished: tuple[Path, Study], tmp_path: Path) -> None:
    folder, told = tmp_path / "a" / "new" / "folder", []
    with ThreadPoolExecutor(2) as executor:
        study(folder, executor=executor)
    assert_same(study(str(folder), told), finished[1], clock=False)
    assert told == []


def test_a_diverged_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    wild = Method("Wild", settings={"learning_rate": 1e25})
    call = partial(study, tmp_path, methods=("MTL", wild), data=load("digits"), trunk=(2,))
    written, told = call(), []
    assert written.results["value"].isna().any()
    assert_same(call(told), written, clock=True)
    assert told == []


def test_names_that_look_alike_or_like_paths_get_files_of_their_own(tmp_path: Path) -> None:
    names = ["MTL (1)", "MTL [1]", "../MTL", "mtl/1", "é"]
    methods = [Method(n, settings={"learning_rate": 10.0 ** -(i + 1)}) for i, n in enumerate(names)]
    folder, told = tmp_path / "study", []
    written = study(folder, methods=methods)
    assert len(files(folder)) == 1 + 2 + len(names)  # study.json, STL and STL', these
    assert [p.name for p in tmp_path.iterdir()] == ["study"]
    assert_same(study(folder, told, methods=methods), written, clock=True)
    assert told == []


# -------------------------------------------------------------------------------- damage


def flipped(text: bytes) -> bytes:
    middle = len(text) // 2
    return text[:middle] + bytes([text[middle] ^ 1]) + text[middle + 1 :]


def other_value(text: bytes) -> bytes:
    """Still JSON, and no longer what was written."""
    first, _, rest = text.partition(b"\n")
    tables = json.loads(rest)
    tables[0]["value"][0] += 1
    return first + b"\n" + json.dumps(tables).encode()


def own_checksum(text: bytes) -> bytes:
    """Other numbers with the checksum of these numbers alone."""
    rest = other_value(text).partition(b"\n")[2]
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": flipped,
    "a flipped bit in the checksum": lambda text: flipped(text[:64]) + text[64:],
    "a lost end": lambda text: text[: len(text) // 2],
    "a lost last character": lambda text: text[:-1],
    "an empty file": lambda text: b"",
    "zeros": lambda text: bytes(len(text)),
    "no text": lambda text: b"\xff\xfe\x00" + text,
    "another value": other_value,
    "another value with a checksum": own_checksum,
    "no checksum": lambda text: text.partition(b"\n")[2],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_part_is_trained_again_and_a_line_says_so(
    damage: str,
    finished: tuple[Path, Study],
    copied: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = result_file(copied, "LBTW")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    told: list[str] = []
    assert_same(study(copied, told), finished[1], clock=False)
    assert told == ["LBTW"]
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert str(path) in err and "damaged" in err and "LBTW is trained again" in err
    told.clear()
    study(copied, told)  # it is whole again
    assert told == [] and capsys.readouterr() == ("", "")


def test_a_folder_in_place_of_a_part_stops_with_one_line(copied: Path) -> None:
    path = result_file(copied, "LBTW")
    path.unlink()
    path.mkdir()
    refused(lambda: study(copied), path.name, "cannot be written")


def test_a_part_of_another_study_is_not_taken_for_ones_own(
    finished: tuple[Path, Study], copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    study(other, learning_rate=1e-3)
    shutil.copy(result_file(other, "MTL"), result_file(copied, "MTL"))
    told: list[str] = []
    assert_same(study(copied, told), finished[1], clock=False)
    assert told == ["MTL"] and "MTL is trained again" in capsys.readouterr().err
    (other / "study.json").unlink()  # nor when nothing says whose results these are
    assert_same(study(other, told := []), finished[1], clock=False)
    assert told == ARMS


# ------------------------------------------------------------------ another study, other code

ANOTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "other seeds": ("data, methods", {"seeds": [0, 2]}),
    "more seeds": ("data, methods", {"seeds": 3}),
    "other data": ("data", {"data": load("dial", groups=GROUPS, noise=(0.3, 0.4))}),
    "data of another name": (
        "data",
        {"data": lambda seed: replace(load("dial", groups=GROUPS, seed=seed), name="mine")},
    ),
    "another split": (
        "data",
        {"data": lambda seed: with_fixed_split(load("dial", groups=GROUPS, seed=seed))},
    ),
    "other alphas": ("methods", {"alphas": (0.1, 0.4)}),
    "other methods": ("methods", {"methods": ("MTL", "DWA")}),
    "another budget": ("methods", {"steps": STEPS + 1}),
    "another budget for one": ("methods", {"steps": {"MTL": 3}}),
    "another trunk": ("methods", {"trunk": (4,)}),
    "another setting": ("methods", {"learning_rate": 0.02}),
    "another checkpoint": ("methods", {"checkpoint": "best_mean"}),
    "a method with settings": (
        "methods",
        {"methods": (Method("MTL", settings={"dropout": 0.1}), "LBTW")},
    ),
    "a variant of the same name": (
        "methods",
        {"methods": ("MTL", Method("LBTW", with_alpha(LBTW, reference="average"), alpha=True))},
    ),
    "one's own weighter of the same name": (
        "methods",
        {
            "methods": (
                "MTL",
                Method("LBTW", lambda given: LBTW(given.alpha, momentum=0.5), alpha=True),
            )
        },
    ),
}


@pytest.mark.parametrize("case", ANOTHER)
def test_a_folder_with_another_study_is_refused_and_left_alone(case: str, copied: Path) -> None:
    differs, given = ANOTHER[case]
    before, told = files(copied), []
    refused(
        lambda: study(copied, told, **given),
        str(copied),
        f"holds another study ({differs} differs)",
        "give another folder",
    )
    assert told == [] and files(copied) == before


def test_a_weighter_of_ones_own_may_be_edited_only_in_another_folder(tmp_path: Path) -> None:
    methods = [
        Method("Own", lambda given: LBTW(given.alpha, momentum=0.5), alpha=True),
        Method("Own", lambda given: LBTW(given.alpha, momentum=0.7), alpha=True),
    ]
    study(tmp_path, methods=methods[:1])
    study(tmp_path, told := [], methods=methods[:1])
    assert told == []
    refused(lambda: study(tmp_path, methods=methods[1:]), "another study (methods differs)")


PACKAGE = Path(result_store.__file__).parents[1]


@pytest.mark.parametrize(
    "name",
    ["networks/losses", "networks/network", "weighters/lbtw", "training/metrics", "training/loop"]
    + ["study/methods", "study/study", "tasks/data", "errors"],
)
def test_a_study_from_other_code_is_refused(
    name: str, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    shutil.copytree(PACKAGE, code, ignore=shutil.ignore_patterns("results", "__pycache__"))
    monkeypatch.setattr(result_store, "__file__", str(code / "study" / "result_store.py"))
    study(copied, told := [])
    assert told == []  # the same code elsewhere
    with (code / f"{name}.py").open("a") as file:
        file.write("# edited\n")
    refused(lambda: study(copied), "another study (code differs)", "give another folder")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[]", b"{}", b"3"])
def test_a_damaged_label_is_refused_and_left_alone(text: bytes, copied: Path) -> None:
    (copied / "study.json").write_bytes(text)
    before = files(copied)
    refused(lambda: study(copied), str(copied), "give another folder")
    assert files(copied) == before


# ---------------------------------------------------------------- folders that cannot be used


@pytest.mark.parametrize("inside", [".", "deeper"])
def test_a_file_in_place_of_the_folder_is_refused_before_any_training(
    inside: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    told: list[str] = []
    refused(lambda: study(tmp_path / "file" / inside, told), "cannot be used", "another folder")
    assert told == [] and (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*args: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(result_store, "temporary_folder", denied)
    told: list[str] = []
    refused(lambda: study(tmp_path, told), str(tmp_path), "Permission denied", "another folder")
    assert told == []


def test_a_full_disk_stops_with_one_line_and_leaves_no_half_file(
    finished: tuple[Path, Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 4:  # study.json, STL and STL' still fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(result_store.os, "fsync", full)
        refused(lambda: study(tmp_path), "MTL", "cannot be written", "No space left")
    assert len(files(tmp_path)) == 3
    study(tmp_path, told := [])
    assert told == ["MTL", "LBTW"]


@pytest.mark.parametrize("folder", ["", 3, True])
def test_a_folder_without_a_name_is_refused(folder: Any) -> None:
    refused(lambda: study(folder), f"folder {folder!r}", "None to keep nothing")


def test_no_folder_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study(None)
    assert files(tmp_path) == {}


# ------------------------------------------------------------------------------ sudden death


def in_chunks(folder: Path | None, told: list[str] | None = None, **given: Any) -> Study:
    """A comparison whose methods are cut into many chunks."""
    methods = ("MTL", "LBTW", "MTL, tuned")
    return study(folder, told, methods=methods, trials=3, memory=1e-6, **given)


def killed(work: Callable[[], object], after: float | None = None) -> bool:
    """Whether a copy of this process is killed, so many seconds after it began the work."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def dying(folder: Path, call: str, after: bool) -> None:
    """A comparison that is killed in the middle of writing, before or after this system call."""
    real = getattr(os, call)

    def die(*args: Any) -> None:
        if after:
            real(*args)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, call, die)
    in_chunks(folder)


def often_killed(folder: Path, said: Path) -> None:
    """Twenty kills wherever it is by then, training, scoring, reading or writing; how many came
    before its end is written. Then three in the middle of writing.
    """
    os.dup2(os.open(said.with_suffix(".err"), os.O_WRONLY | os.O_CREAT), 2)
    torch.set_num_threads(1)
    in_chunks(None)
    start, dice = time.perf_counter(), random.Random(0)
    in_chunks(None)
    seconds = time.perf_counter() - start
    moments = [dice.uniform(0, seconds / 6) for _ in range(14)]
    moments += [dice.uniform(seconds / 3, 2 * seconds / 3) for _ in range(6)]
    deaths = sum(killed(lambda: in_chunks(folder), moment) for moment in moments)
    for call, after in (("fsync", False), ("replace", False), ("replace", True)):
        killed(partial(dying, folder, call, after))
    said.write_text(str(deaths))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_twenty_moments_it_goes_on_to_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, said = tmp_path / "study", tmp_path / "deaths"
    process = forking().Process(target=often_killed, args=(folder, said))
    process.start()
    process.join()
    error = said.with_suffix(".err").read_text()
    assert process.exitcode == 0, error
    assert "damaged" not in error  # a file is there whole or not at all
    assert int(said.read_text()) >= 10  # it was killed before it had finished
    told: list[str] = []
    assert_same(in_chunks(folder, told), in_chunks(None), clock=False)
    assert len(told) < len(ARMS) + 1  # and what it had finished was kept
    assert capsys.readouterr().err == ""
    assert not [*folder.glob("*.safetensors")]  # chunks go when their result is there


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(steps + 1))
    return lambda: next(asked, None) is None


@pytest.mark.slow
def test_a_finished_chunk_is_not_trained_again(tmp_path: Path) -> None:
    call: dict[str, Any] = {"methods": ("MTL",), "memory": 1e-6}
    for more in (1, 2):  # chunks a time, and some steps of another
        with pytest.raises(Stopped):
            study(tmp_path, **call, stop=stop_after(more * STEPS + 3))
    assert len([*tmp_path.glob("STL-*.safetensors")]) == 3  # of 2 runs x 3 tasks
    steps: list[float] = []
    found = study(tmp_path, **call, progress=lambda fraction, name: steps.append(fraction))
    assert len(steps) == 3 + STEPS * (3 + 6 + 2)  # the rest of STL, STL' and MTL
    assert steps[-1] == pytest.approx(1)
    assert_same(found, study(None, **call), clock=False)


@pytest.mark.slow
def test_a_damaged_chunk_is_trained_again_and_a_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call: dict[str, Any] = {"methods": ("MTL",), "memory": 1e-6}
    with pytest.raises(Stopped):
        study(tmp_path, **call, stop=stop_after(4 * STEPS + 3))
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == 4
    content = [path.read_bytes() for path in files]
    changed = bytearray(content[0])
    changed[-1] ^= 1
    files[0].write_bytes(changed)  # one bit
    files[1].write_bytes(content[1][: len(content[1]) // 2])
    files[2].write_bytes(content[3])  # a whole chunk, under another's name
    assert_same(study(tmp_path, **call), study(None, **call), clock=False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for path, line in zip(files, lines, strict=False):
        assert str(path) in line
        assert "damaged" in line


FORGED_TENSORS: dict[str, Callable[[ChunkResult], dict[str, torch.Tensor]]] = {
    "a task too many": lambda r: {"losses": torch.cat([r.losses, r.losses], 2)},
    "a network too few": lambda r: {"diverged": r.diverged[1:]},
    "whole numbers for losses": lambda r: {"losses": r.losses.long()},
    "numbers for yes and no": lambda r: {"diverged": r.diverged.float()},
    "a window of 0": lambda r: {"window": r.window * 0},
    "predictions for a row too many": lambda r: {
        "outputs": torch.cat([r.outputs, r.outputs[..., :1]], 2)
    },
    "no history": lambda r: {"losses": r.losses[:0], "weights": r.weights[:0]},
}


@pytest.mark.slow
def test_a_forged_chunk_of_another_form_is_trained_again_whatever_its_checksum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call: dict[str, Any] = {"methods": ("MTL",), "memory": 1e-6}
    with pytest.raises(Stopped):
        study(tmp_path, **call, stop=stop_after(2 * STEPS + 3))
    stores: list[ResultStore] = []
    with pytest.MonkeyPatch.context() as patched:
        found = ResultStore.__init__
        patched.setattr(
            ResultStore,
            "__init__",
            lambda self, *given: (found(self, *given), stores.append(self))[0],
        )
        with pytest.raises(Stopped):
            study(tmp_path, **call, stop=stop_after(1))
    (store,), chunk = stores, Chunk(0, 0, 1)
    true = store.get_chunk("STL", chunk)
    assert true is not None
    for case, forge in FORGED_TENSORS.items():
        store.put_chunk("STL", chunk, true._replace(**forge(true)))
        assert store.get_chunk("STL", chunk) is None, case
        assert "trained again" in capsys.readouterr().err, case
    store.put_chunk("STL", chunk, true)
    assert store.get_chunk("STL", chunk) is not None


def begun(name: Path, which: str) -> None:
    """One of two processes on a folder; what it says goes to files of this name."""
    for handle, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}.{suffix}", os.O_WRONLY | os.O_CREAT), handle)
    folder = name.parent / "study"
    try:
        study(folder, seeds=3) if which == "other" else in_chunks(folder)
    except BadInput as error:
        print(error, flush=True)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two pairs of processes that began at once."""
    root = tmp_path_factory.mktemp("together")
    for second in ("same", "other"):
        (root / second).mkdir()
        both = [
            forking().Process(target=begun, args=(root / second / str(number), which))
            for number, which in enumerate(("same", second))
        ]
        for process in both:
            process.start()
        for process in both:
            process.join()
        said = [path.read_text() for path in root.rglob("*.err")]
        assert [process.exitcode for process in both] == [0, 0], said
    return root


@pytest.mark.slow
@pytest.mark.parametrize("second", ["same", "other"])
def test_two_processes_on_one_folder_do_not_harm_each_other(second: str, together: Path) -> None:
    out, err = (
        [(together / second / f"{number}.{suffix}").read_text() for number in (0, 1)]
        for suffix in ("out", "err")
    )
    assert "damaged" not in err[0] + err[1] and "Traceback" not in err[0] + err[1]
    refusals = [line for text in out for line in text.splitlines()]
    assert len(refusals) == (second == "other")
    assert all("holds another study" in line for line in refusals)
    if out[0] == "":  # the first of them had the folder
        told: list[str] = []
        folder = together / second / "study"
        assert_same(in_chunks(folder, told), in_chunks(None), clock=False)
        assert told == []


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_there_is_left_as_it_is(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.EPERM, "no hard links")

    if not links:
        monkeypatch.setattr(os, "link", none)
    path = tmp_path / "study.json"
    for content in (b"first", b"second"):
        result_store.write_atomically(path, content, replace=False)
    assert files(tmp_path) == {"study.json": b"first"}


# -------------------------------------------------------------------------------- executors


def on_a_cluster(said: Path) -> None:
    """Write what a study finds on two workers, one of which is killed in the middle of the work."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.utils import get_mp_context

    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    get_mp_context().set_forkserver_preload(["distributed", "mtl_nt.study.study"])
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(host="127.0.0.1", **options) as cluster, Client(cluster) as client:
        pids = client.run(os.getpid)
        assert len({*pids.values(), os.getpid()}) == 3
        done: list[str] = []

        def tell(fraction: float, name: str) -> None:
            done.append(name)
            if len(done) == 3:
                os.kill(next(iter(pids.values())), signal.SIGKILL)

        found = in_chunks(None, progress=tell, executor=client.get_executor())
        assert {*client.run(os.getpid).values()} != {*pids.values()}
    said.write_text(found.results.to_json(double_precision=15))


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    process = forking().Process(target=on_a_cluster, args=(tmp_path / "found.json",))
    process.start()
    process.join()
    assert process.exitcode == 0
    there = pd.read_json(tmp_path / "found.json", precise_float=True)
    here = in_chunks(None).results
    assert there["task"].tolist() == here["task"].tolist()
    assert there["value"].to_numpy() == pytest.approx(here["value"], rel=1e-12, nan_ok=True)


# ----------------------------------------------------------------------------------- safety


def test_nothing_in_the_package_unpickles() -> None:
    """What lies on a disk is never run as code."""
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    calls = {"read_pickle", "to_pickle", "eval", "exec"}
    sources = {*PACKAGE.rglob("*.py")}
    assert len(sources) >= 14
    sources -= {Path(processes.__file__)}  # of what its own copies send through a pipe
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0], *(alias.name for alias in node.names)]
            where = f"{source.name}:{getattr(node, 'lineno', 0)}"
            assert not unsafe & set(names), where
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                of = (node.value.id, node.attr)
                assert of not in {("torch", "load"), ("torch", "save"), ("np", "load")}, where
                assert node.attr not in {"read_pickle", "to_pickle"}, where
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in calls, where


def test_a_part_is_json_behind_its_checksum(finished: tuple[Path, Study]) -> None:
    for name in ("STL", "LBTW"):
        checksum, _, text = result_file(finished[0], name).read_text().partition("\n")
        assert len(checksum) == 64
        results = pd.DataFrame(json.loads(text)[0])
        mine = finished[1].results.query("method == @name").reset_index(drop=True)
        assert_frame_equal(results, mine, check_exact=True)
