"""An audit is of use at any time: a budget binds it, Ctrl-C leaves a page, and it can go on."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from refusals import refused

from mtl_nt import METHODS, load
from mtl_nt.audit.audit import audit
from mtl_nt.audit.bench import Bench
from mtl_nt.audit.costs import STEPS, Costs, measure_costs
from mtl_nt.audit.findings import findings
from mtl_nt.audit.folder import AuditFolder
from mtl_nt.audit.plan import Plan, parse_methods
from mtl_nt.audit.result import Audit, resume_command
from mtl_nt.audit.schedule import Ended, Group, Item, Timer, work_through
from mtl_nt.audit.sentences import sentences
from mtl_nt.audit.work import USE, Work
from mtl_nt.errors import BadInput
from mtl_nt.figures import cure_table
from mtl_nt.study import CURES, STL, Study, methods_at_widths, stored, twin
from mtl_nt.study.chunks import plan_chunks
from mtl_nt.study.nulls import joined_pairs, pair_signs
from mtl_nt.study.pieces import piece_job, train_piece
from mtl_nt.training import Stopped

audit_module: Any = importlib.import_module("mtl_nt.audit.audit")
FEW: dict[str, Any] = {
    "methods": ["LBTW", "Uncertainty"],
    "alphas": [0.5],
    "seeds": 5,
    "steps": 20,
    "progress": False,
}


MEASURED = Costs(step=3e-4, shared=3e-5, single=1.3e-5, start=3e-3)  # on `dial`


def quiet(line: str) -> None:
    """Nothing is said."""


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings share this process, and so a clock of the test's own."""
    monkeypatch.setattr("mtl_nt.audit.plan.processes.workers", lambda n, **_: ThreadPoolExecutor(n))


# ---------------------------------------------------------------- the clock


class Now(Executor):
    """Trains at once, in this thread, on a clock that each item moves on by its seconds."""

    def __init__(self, speed: float = 1.0) -> None:
        self.time, self.speed = 0.0, speed
        self.trained: list[str] = []

    def submit(self, train: Callable[..., object], /, *a: Any, **k: Any) -> Future[Any]:  # type: ignore[override]
        future: Future[Any] = Future()
        try:
            future.set_result(train(*a, **k))
        except BaseException as error:
            future.set_exception(error)
        return future

    def clock(self) -> float:
        return self.time

    def item(self, name: str, seconds: float, timer: Timer) -> Item:
        def train() -> None:
            end = self.time + self.speed * seconds
            if end > timer.budget:
                self.time = timer.budget  # a training asks at every step
                raise Stopped
            self.time = end
            self.trained.append(name)

        return Item(name, seconds, train)

    def groups(self, timer: Timer, *seconds: float) -> Iterator[Group]:
        for number, each in enumerate(seconds):
            item = self.item(f"{number}", each, timer)
            yield Group(f"{number}", lambda item=item: [item])  # type: ignore[misc]


@pytest.mark.parametrize(
    ("budget", "trained", "skipped"),
    [
        (math.inf, "0123", ""),
        (50, "013", "2"),  # the third would not fit, and the fourth does
        (11, "0", "123"),
        (4, "", "0123"),
    ],
)
def test_what_does_not_fit_is_left_out_and_named(budget: float, trained: str, skipped: str) -> None:
    executor = Now()
    timer = Timer(budget, executor.clock)
    ended = work_through(executor.groups(timer, 10, 20, 30, 4), executor, timer)
    assert executor.trained == [*trained] and [*ended.skipped] == [*skipped] and not ended.cut
    assert executor.time <= budget


def test_a_slow_machine_is_noticed_and_trains_less() -> None:
    executor = Now(speed=4)
    timer = Timer(100, executor.clock)
    ended = work_through(executor.groups(timer, 10, 20, 1), executor, timer)
    assert executor.trained == ["0", "2"]  # 20 would fit, were this machine as fast as expected
    assert 20 * 2.5 < ended.skipped["1"] <= 20 * 4
    other = Timer(100, Now().clock)
    other.believe(processor=1.0, clock=3.0)  # others use it too
    assert other.slowdown == 3
    other.believe(processor=1.0, clock=0.2)
    assert other.slowdown == 1  # several threads of one training are no faster machine


def test_a_training_that_takes_too_long_is_stopped_and_its_group_is_cut() -> None:
    executor = Now(speed=9)
    timer = Timer(30, executor.clock)
    ended = work_through(executor.groups(timer, 5, 1, 1), executor, timer)
    assert executor.time == 30 and ended.cut == ["0"] and {*ended.skipped} == {"1", "2"}


def test_what_is_needed_begins_however_little_time_there_is() -> None:
    executor = Now(speed=0.1)
    timer, done = Timer(10, executor.clock), list[str]()
    first = Group(
        "first", lambda: [executor.item("a", 50, timer)], True, done=lambda: done.append("x")
    )
    work_through(iter([first]), executor, timer)
    assert executor.trained == ["a"] and done == ["x"]


def test_groups_are_begun_whole_and_a_later_one_knows_what_was_begun() -> None:
    executor, begun = Now(), list[str]()
    timer = Timer(30, executor.clock)

    def items(*seconds: float) -> list[Item]:
        return [executor.item(f"{'+'.join(begun)}:{s:g}", s, timer) for s in seconds]

    groups = [
        Group("large", lambda: items(20, 20), begun=lambda: begun.append("large")),
        Group("small", lambda: items(5, 5), begun=lambda: begun.append("small")),
        Group("after", lambda: items(1), begun=lambda: begun.append("after")),
    ]
    ended = work_through(iter(groups), executor, timer)
    assert executor.trained == [":5", ":5", "small:1"] and [*ended.skipped] == ["large"]


def test_an_error_in_a_training_is_raised_and_stops_the_others() -> None:
    executor, timer = Now(), Timer()

    def fails() -> None:
        raise BadInput("no such thing")

    groups = [Group("a", lambda: [Item("a", 1, fails)]), Group("b", lambda: [Item("b", 1, fails)])]
    refused(lambda: work_through(iter(groups), executor, timer), "no such thing")
    assert timer.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_finished_and_another_signal_ends_at_once(number: int) -> None:
    executor, timer = Now(), Timer()

    def stops() -> None:
        raise KeyboardInterrupt(number)

    def run() -> Any:
        first = Group("a", lambda: [executor.item("a", 1, timer)], done=stops)
        return work_through(iter([first, *executor.groups(timer, 1)]), executor, timer)

    if number == signal.SIGINT:
        ended = run()
        assert ended.interrupted is not None and [*ended.skipped] == ["0"]
    else:
        with pytest.raises(KeyboardInterrupt):
            run()
    assert executor.trained == ["a"] and timer.stop()


# ---------------------------------------------------------------- what trainings cost


@pytest.mark.slow
def test_what_a_training_costs_is_known_from_a_handful_of_steps() -> None:
    data, seeds = load("dial-unrelated"), [100, 101, 102]
    runs = [data.for_seed(seed) for seed in seeds]
    make = partial(piece_job, alphas=[0.0, 0.5], steps=150, trials=4)
    costs = measure_costs(lambda method: make(method, runs[:1], seeds[:1]))
    for method in (STL, *parse_methods(["Fine-Tuning", "RMTL", "LBTW"])):
        job = make(method, runs, seeds)
        begin = time.process_time()
        train_piece(job)
        taken = time.process_time() - begin
        assert taken / 4 < costs.seconds(job) < taken * 4, method.name


def test_measuring_takes_a_few_steps_whatever_there_is_to_train() -> None:
    data = load("dial-unrelated")
    ticks = iter(np.arange(10_000.0))
    calls: list[float] = []

    def clock() -> float:
        calls.append(next(ticks))
        return calls[-1]

    def job(method: Any) -> Any:
        return piece_job(method, [data], [0], [], steps=100_000)

    costs = measure_costs(job, clock=clock)
    assert len(calls) <= 3 * (STEPS + 2) and costs.seconds(job(STL)) > 100_000 * costs.step
    calls.clear()
    measure_costs(job, limit=6, clock=clock)  # two seconds for each kind
    assert len(calls) <= 3 * 5


def test_wider_and_more_networks_cost_more() -> None:
    data = load("dial-unrelated")
    narrow, wide = (
        MEASURED.seconds(piece_job(m, [data], [0], []))
        for m in methods_at_widths(piece_job(STL, [data], [0], []).recipe, [1, 400])[::2]
    )
    one, five = (MEASURED.seconds(piece_job(STL, [data] * n, range(n), [])) for n in (1, 5))
    assert wide > 10 * narrow and one < five <= 5 * one


# ---------------------------------------------------------------- what comes first


@pytest.fixture
def work() -> Work:
    bench = Bench(load("dial-unrelated"), [0.5], 20, 1.0, "cpu", None, lambda: False)
    methods = parse_methods(["LBTW", "Fine-Tuning", "Uncertainty"])
    made = Work(bench, methods, range(100, 105), Timer(), quiet, False)
    made.costs = MEASURED
    return made


def test_first_come_three_runs_of_stl_and_mtl_then_more_runs_then_remedies_by_use(
    work: Work,
) -> None:
    groups = work._groups()
    first, rest = (group.items() for group in groups[:2])
    assert [item.name for item in first] == ["STL", "STL'", "MTL"] == [i.name for i in rest]
    names = [group.name for group in groups[2:]]
    assert names.index("Uncertainty") < names.index("Fine-Tuning")  # cheaper by far
    assert names.index("Uncertainty") < names.index("LBTW")  # of more use


def test_the_use_of_a_remedy_is_what_it_spared_in_the_kept_cases() -> None:
    cases = {case: stored(case) for case in CURES}
    table = cure_table(cases)
    spared: dict[str, list[float]] = {}
    for case, rows in table.groupby("case"):
        mtl = set(_harmed(cases[str(case)], "MTL"))
        if mtl:
            for name in rows["method"]:
                left = mtl & set(_harmed(cases[str(case)], name))
                spared.setdefault(name, []).append(1 - len(left) / len(mtl))
    for name, use in USE.items():
        kept = [n for n in spared if n in (f"{name}, tuned", f"{name}, swept", name) and n != "MTL"]
        share = np.mean(spared[kept[0]])
        assert abs(max(share, 0.02) - use) < 0.05, name


def _harmed(study: Study, name: str) -> list[str]:
    table = study.transfer()
    rows = table[(table["method"] == name) & (table["verdict"] == "harmed")]
    return rows["task"].to_list()


def test_methods_that_choose_on_validation_rows_go_where_there_are_none() -> None:
    bench = Bench(load("digits"), [0.5], 20, 1.0, "cpu", None, lambda: False)
    made = Work(bench, parse_methods(["Scalarisation"]), [100, 101], Timer(), quiet, False)
    assert [method.name for method in made.asked] == ["MTL"]
    assert "Scalarisation (it chooses on validation rows" in made.impossible[0]


# ---------------------------------------------------------------- an audit that ends early


def stopped_at(word: str, **given: Any) -> Audit:
    """An audit that somebody stops when it says this word."""

    def say(line: str) -> None:
        if line.startswith(word):
            raise KeyboardInterrupt(signal.SIGINT)

    return audit("dial-unrelated", say=say, **given)


@pytest.mark.slow
def test_ctrl_c_after_the_first_verdict_leaves_an_audit_that_can_go_on(tmp_path: Path) -> None:
    early = stopped_at("first verdict", **FEW, folder=tmp_path)
    assert early.plan.interrupted and early.plan.unfinished and early.plan.methods[0] == "MTL"
    assert len(early.plan.seeds) in (3, 5) and len(findings(early)["left_out"]) > 0
    command = resume_command(early)
    assert command is not None and sentences(early)[-1].endswith(command)
    assert "Stopped early" in sentences(early)[-1]
    words = shlex.split(command)
    assert words[-2:] == ["--results", str(tmp_path)] and "100,101,102,103,104" in words

    shown = audit("dial-unrelated", say=quiet, folder=tmp_path, go_on=False, **FEW)
    pd.testing.assert_frame_equal(shown.study.results, early.study.results)
    said: list[str] = []
    done = audit("dial-unrelated", say=said.append, folder=tmp_path, **FEW)
    assert said[0].startswith("goes on from") and not done.plan.unfinished
    assert done.plan.methods == ("MTL", "LBTW", "Uncertainty") and resume_command(done) is None
    whole = audit("dial-unrelated", say=quiet, **FEW)
    order = ["method", "alpha", "seed", "task", "metric"]
    same, other = (a.study.results.sort_values(order, ignore_index=True) for a in (done, whole))
    pd.testing.assert_frame_equal(same, other)


def test_ctrl_c_before_any_verdict_is_ctrl_c_and_the_folder_is_known_as_its_own(
    tmp_path: Path,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped_at("about", folder=tmp_path, **FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["asked.json"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_a_budget_binds_and_what_it_leaves_out_is_trained_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock ticks at every step of every training, so a busy machine changes nothing."""
    ticks = itertools.count()
    monkeypatch.setattr(audit_module, "Timer", partial(Timer, clock=lambda: next(ticks) / 1000))
    costs = SimpleNamespace(
        seconds=lambda job: (
            1.2 * job.steps * (1 + job.method.pretrain) * len(plan_chunks(job)) / 1000
        )
    )
    monkeypatch.setattr("mtl_nt.audit.work.measure_costs", lambda *_: costs)
    given = {**FEW, "methods": ["Fine-Tuning", "RMTL"], "steps": 200, "folder": tmp_path}
    found = audit("dial-unrelated", say=quiet, budget=1.2, **given)
    assert found.provenance["seconds"] < 1.4 and next(ticks) < 1500
    assert found.plan.unfinished and found.plan.left_out and not found.plan.interrupted
    assert "The time was over. To go on from here" in sentences(found)[-1]
    again = audit("dial-unrelated", say=quiet, budget=1.2, **given)
    assert {*found.plan.methods} <= {*again.plan.methods}  # nothing leaves the page
    assert {*found.plan.seeds} <= {*again.plan.seeds} and found.plan.widths <= again.plan.widths
    more_runs = len(again.plan.seeds) > len(found.plan.seeds)
    more_methods = {*found.plan.methods} < {*again.plan.methods}
    assert more_runs or more_methods or len(again.plan.left_out) < len(found.plan.left_out)


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "ends"), [(11.0, False), (15.0, False), (24.0, True)])
def test_a_later_call_never_shows_less(
    budget: float, ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the time is cut, runs are not bought with a remedy that was there."""
    now, train = [0.0], Bench.train

    def seconds(job: Any) -> float:
        return len(job.seeds) * (2.0 if job.method.name == "Fine-Tuning" else 1.0)

    def trains(bench: Bench, method: Any, seeds: Any, *more: Any) -> Any:
        if not bench.is_kept(method, seeds):
            now[0] += seconds(bench.outline(method, seeds))
            if bench.stop():
                raise Stopped
        return train(bench, method, seeds, *more)

    monkeypatch.setattr(Bench, "train", trains)
    monkeypatch.setattr(audit_module, "Timer", partial(Timer, clock=lambda: now[0]))
    monkeypatch.setattr(audit_module, "cores_for", lambda data: 1)
    costs = SimpleNamespace(seconds=seconds)
    monkeypatch.setattr("mtl_nt.audit.work.measure_costs", lambda *_: costs)
    given = {**FEW, "methods": ["Fine-Tuning", "Uncertainty"], "steps": 5, "folder": tmp_path}
    shown: list[Audit] = []
    for _ in range(8):
        shown.append(audit("dial-unrelated", say=quiet, budget=budget, **given))
        if not shown[-1].plan.unfinished:
            break
    assert shown[-1].plan.unfinished != ends
    assert len(shown[-1].plan.seeds) == 5 and len(shown[-1].plan.methods) == 3
    assert len(shown) > 1
    for before, after in itertools.pairwise(shown):
        assert {*before.plan.methods} <= {*after.plan.methods}
        assert {*before.plan.seeds} <= {*after.plan.seeds}
        assert before.plan.widths <= after.plan.widths
        assert before.plan.affinity <= after.plan.affinity


def test_a_remedy_that_lacks_the_new_runs_keeps_the_page_on_its_own(work: Work) -> None:
    """The runs that it lacks are named, and are not counted."""
    runs = tuple(range(100, 105))
    shown = Plan(("MTL", "Uncertainty"), False, False, (0.5,), runs[:3], 1.0)
    made = Work(work.bench, work.asked, runs, Timer(), quiet, False, shown)
    for name in ("STL", "STL'", "MTL"):
        made.bench.results[name] = {runs: None}  # type: ignore[dict-item]
    made.bench.results["Uncertainty"] = {runs[:3]: None}  # type: ignore[dict-item]
    plan = made._plan(Ended({}, [], None), 1.0)
    assert plan.seeds == runs[:3] and plan.methods == ("MTL", "Uncertainty")
    assert "2 of 5 runs (some of the methods shown are not trained on them yet)" in plan.left_out
    made.bench.results["Uncertainty"][runs[3:]] = None  # type: ignore[assignment]
    assert made._plan(Ended({}, [], None), 1.0).seeds == runs


@pytest.mark.usefixtures("one_process")
def test_a_call_with_no_time_at_all_shows_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = stopped_at("first verdict", **FEW, folder=tmp_path)
    said: list[str] = []
    monkeypatch.setattr(audit_module, "Timer", partial(Timer, clock=iter(np.arange(1e6)).__next__))
    again = audit("dial-unrelated", say=said.append, budget=1.0, folder=tmp_path, **FEW)
    pd.testing.assert_frame_equal(again.study.results, early.study.results)
    assert again.plan.methods == early.plan.methods and resume_command(again) is not None
    assert not again.plan.interrupted


def test_a_budget_without_room_for_a_verdict_is_refused_before_it_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_module, "Timer", partial(Timer, clock=time.process_time))
    begin = time.process_time()
    given = {**FEW, "steps": 1_000_000}
    words = ("STL, its twin and MTL on 2 runs take about", "left; give --budget ")
    refused(lambda: audit("dial-unrelated", say=quiet, budget=60, **given), *words)
    assert time.process_time() - begin < 30


# ---------------------------------------------------------------- pairs


@pytest.mark.slow
def test_time_that_is_left_goes_into_forty_pairs_for_the_null_of_a_count(tmp_path: Path) -> None:
    given = {**FEW, "steps": 5, "methods": "MTL", "folder": tmp_path}
    plain = audit("dial-unrelated", say=quiet, **given)
    assert plain.study.null_count().pairs == 5  # without a budget there is no time that is left
    found = audit("dial-unrelated", say=quiet, budget="1h", **given)
    null = found.main_study.null_count()
    assert null.pairs == 40 and null.source == "these runs and 35 further pairs"
    again = audit("dial-unrelated", say=quiet, budget="1h", **given)
    assert again.main_study.null_count() == null
    pd.testing.assert_frame_equal(again.study.results, plain.study.results)
    assert findings(again)["mtl"]["negative_one_run"]["null_pairs"] == 40


def test_pairs_of_a_study_are_counted_with_its_own_runs() -> None:
    study = stored("cure-noisy")
    signs = pair_signs(study)
    few = study.results[study.results["seed"].isin(study.delta("MTL").index[:5])]
    small = Study(few, study.training, study.history, study.metric, 0.0, None, None)
    assert small.null_count().pairs == 5
    joined = joined_pairs([signs, signs])
    with_pairs = Study(
        few, study.training, study.history, study.metric, 0.0, None, None, pairs={"STL": joined}
    )
    null = with_pairs.null_count()
    assert null.pairs == 5 + 2 * 16 and null.low <= 4.5 <= null.high
    unscored = {m: {t: " " + text[1:] for t, text in b.items()} for m, b in joined.items()}
    some = Study(
        few, study.training, study.history, study.metric, 0.0, None, None, pairs={"STL": unscored}
    )
    assert some.null_count().pairs == null.pairs - 1  # in which no task was scored
    assert twin(STL).name == study.null and METHODS["STL"] == STL


@pytest.mark.slow
def test_pairs_that_a_folder_may_not_say_are_refused(tmp_path: Path) -> None:
    given = {**FEW, "steps": 5, "methods": "MTL", "folder": tmp_path}
    audit("dial-unrelated", say=quiet, budget="1h", **given)
    path = next(tmp_path.glob("pairs-*.json"))
    store = AuditFolder(tmp_path, json.loads((tmp_path / "asked.json").read_text()))
    signs = store.get(path.name)
    signs["MSE"]["related 1"] += "+"
    store.put(path.name, signs, replace=True)
    (tmp_path / "audit.json").unlink()
    refused(
        lambda: audit("dial-unrelated", say=quiet, budget="1h", **given), "no audit of this version"
    )


# ---------------------------------------------------------------- several cores


IN_COPIES = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
import pandas as pd, psutil, torch
from mtl_nt import BadInput
from mtl_nt.audit import plan
from mtl_nt.audit.audit import audit

torch.set_num_threads(2)
few = dict(methods=["Uncertainty"], seeds=3, steps=40, progress=False)

def found(say=lambda line: None):
    return audit("dial-unrelated", say=say, **few).study.results

with plan.on_cores(2) as executor:
    assert not isinstance(executor, ThreadPoolExecutor)
copies = found()

def kill():
    for child in psutil.Process().children():
        child.kill()

def say(line):
    if line.startswith("about"):  # and now the trainings begin
        threading.Timer(0.5, kill).start()

few["steps"] = 9000
try:
    found(say)
except BadInput as error:
    print(error)
few["steps"] = 40

ended = threading.Event()
threading.Thread(target=ended.wait).start()
with plan.on_cores(2) as executor:
    assert isinstance(executor, ThreadPoolExecutor)
threads = found()
ended.set()
pd.testing.assert_frame_equal(copies, threads)
print("the same")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, to copy a process")
def test_copies_of_a_process_find_what_its_threads_find_and_a_death_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_COPIES], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    died, same = done.stdout.splitlines()
    assert "a worker process died, perhaps for want of memory" in died and same == "the same"
    assert not done.stderr


def test_long_work_is_divided_among_cores_where_that_costs_little(work: Work) -> None:
    seeds, mtl = tuple(range(100, 105)), METHODS["MTL"]
    work.timer.workers = 2
    assert work._blocks(mtl, seeds) == [seeds]  # a short training stays whole
    work.costs = Costs(step=1.0, shared=1.0, single=1.0, start=0.0)
    assert work._blocks(mtl, seeds) == [seeds]  # steps of few networks cost nearly as much
    work.costs = Costs(step=0.01, shared=1.0, single=1.0, start=0.0)
    assert work._blocks(mtl, seeds) == [(seed,) for seed in seeds]
    work.timer.workers = 1
    assert work._blocks(mtl, seeds) == [seeds]


def test_what_is_kept_is_not_trained_in_other_blocks(work: Work, tmp_path: Path) -> None:
    seeds, mtl = tuple(range(100, 105)), METHODS["MTL"]
    work.bench.store = AuditFolder(tmp_path / "one by one", {})
    work.bench.train(mtl, seeds[1:2])
    assert work._blocks(mtl, seeds) == [(seed,) for seed in seeds]
    work.bench.store = AuditFolder(tmp_path / "side by side", {})
    work.bench.train(mtl, seeds[:3])
    work.timer.workers, work.costs = 2, Costs(step=0.01, shared=1.0, single=1.0, start=0.0)
    assert work._blocks(mtl, seeds) == [seeds[:3], seeds[3:4], seeds[4:]]


# ---------------------------------------------------------------- the command


@pytest.mark.slow
@pytest.mark.posix
def test_ctrl_c_writes_the_page_of_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    few = ["--methods", "Fine-Tuning", "--seeds", "3", "--steps", "3000"]
    words = [sys.executable, "-m", "mtl_nt", "report", "dial-unrelated", *few, "--out", str(page)]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    assert any(line.startswith("first verdict") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 130, error
    assert "stopped; the page shows what is finished" in error and "Traceback" not in error
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    kept = tmp_path / "page.results"
    assert "To go on from here" in text and f"--results {kept}" in text and f"{kept}" in out
    assert [*kept.glob("runs-*/MTL/MTL-*.json")]
