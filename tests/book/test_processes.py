"""Calls in copies of this process."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from mtl_nt import compare, load
from mtl_nt.book.processes import workers
from mtl_nt.errors import BadInput
from mtl_nt.figures import captioned_png, task_differences

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, to copy a process"),
]
HERE = {"changed": 0}


@pytest.fixture
def pool() -> Executor:
    return workers(2)


def test_a_call_brings_what_it_needs_and_changes_nothing(pool: Executor) -> None:
    local = {"changed": 1}

    def call(more: int, *, times: int) -> tuple[int, int]:
        HERE["changed"] = local["changed"] = 7
        return os.getpid(), times * (more + HERE["changed"] + local["changed"])

    process, value = pool.submit(call, 1, times=2).result()
    assert value == 30
    assert process != os.getpid()
    assert (HERE, local) == ({"changed": 0}, {"changed": 1})


def test_functions_of_a_cell_and_what_they_use_are_sent(pool: Executor) -> None:
    """As in a notebook: defined after the copies were made, in `__main__`, and again."""
    cell = "def inner(a):\n    return a * {times}\ndef outer(a):\n    return inner(a) + more\n"
    for times, more in (2, 5), (3, 7):
        main: dict[str, Any] = {"__name__": "__main__", "more": more}
        exec(cell.format(times=times), main)
        assert pool.submit(main["outer"], 10).result() == 10 * times + more


def test_a_cells_cached_function_is_sent_and_its_memory_is_not(pool: Executor) -> None:
    main: dict[str, Any] = {"__name__": "__main__", "seen": 3}
    exec("import functools\n@functools.cache\ndef once(a):\n    return a * seen\n", main)
    assert main["once"](2) == 6
    main["seen"] = 4
    call = "def call():\n    return once(2), once(2), once.cache_info().hits\n"
    exec(call, main)
    assert pool.submit(main["call"]).result() == (8, 8, 1)


def test_a_figure_that_was_sent_is_the_same_picture(pool: Executor) -> None:
    figure = task_differences(compare(load("dial"), ["MTL"], seeds=3, steps=5, progress=False))
    assert pool.submit(captioned_png, figure).result() == captioned_png(figure)


def test_a_copy_knows_nothing_of_what_threads_lock_later(pool: Executor) -> None:
    """A module that another thread is importing cannot be imported by a copy made then."""
    name = "slowly_imported"
    lock = importlib._bootstrap._get_module_lock(name)  # type: ignore[attr-defined]
    lock.acquire()
    try:
        call = pool.submit(importlib.util.find_spec, name)
        assert call.result(timeout=60) is None
        with pytest.raises(ModuleNotFoundError):
            pool.submit(importlib.import_module, name).result(timeout=60)
    finally:
        lock.release()


def test_tensors_come_back_to_the_bit_and_not_through_shared_memory(pool: Executor) -> None:
    made = torch.randn(100, 1000)
    back = pool.submit(lambda: made * 2).result()
    assert torch.equal(back, made * 2)
    assert not back.is_shared()


def test_what_a_call_has_left_goes_back_to_the_system() -> None:
    def fill() -> None:
        many = [bytes(50_000) for _ in range(4_000)]  # 200 MB
        os.kept = many[-1]  # type: ignore[attr-defined]  # and so the end of the heap is in use

    def used() -> int:
        return int(psutil.Process().memory_info().rss)

    with workers(1) as pool:
        before = pool.submit(used).result()
        pool.submit(fill).result()
        assert pool.submit(used).result() - before < 50e6


def test_a_copy_computes_on_one_thread(pool: Executor) -> None:
    assert pool.submit(torch.get_num_threads).result() == 1


def test_what_a_call_raises_is_raised_here(pool: Executor) -> None:
    def bad() -> None:
        raise BadInput("alpha -1: must be 0 or more")

    with pytest.raises(BadInput, match="alpha -1: must be 0 or more"):
        pool.submit(bad).result()


def test_an_error_says_where_it_was_and_bad_input_is_one_line(pool: Executor) -> None:
    def careless() -> None:
        raise KeyError("no such task")

    def bad() -> None:
        raise BadInput("alpha -1: must be 0 or more")

    with pytest.raises(KeyError) as found:
        pool.submit(careless).result()
    assert "in careless" in "".join(traceback.format_exception(found.value))
    with pytest.raises(BadInput) as refused:
        pool.submit(bad).result()
    (shown,) = refused.value._render_traceback_()
    assert shown == "BadInput: alpha -1: must be 0 or more"


def test_an_error_of_a_cells_own_class_is_raised_here(pool: Executor) -> None:
    main: dict[str, Any] = {"__name__": "__main__"}
    exec("class Own(Exception):\n    pass\ndef call():\n    raise Own('mine', 3)\n", main)
    with pytest.raises(Exception, match="mine") as found:
        pool.submit(main["call"]).result()
    assert type(found.value).__name__ == "Own"
    assert found.value.args == ("mine", 3)


def test_an_answer_that_cannot_be_sent_says_so(pool: Executor) -> None:
    with pytest.raises(Exception, match="pickle"):
        pool.submit(lambda: threading.Lock()).result()


def test_a_copy_that_dies_is_a_broken_executor_and_the_next_call_is_well(pool: Executor) -> None:
    with pytest.raises(BrokenExecutor, match="terminated"):
        pool.submit(os._exit, 3).result()
    assert pool.submit(abs, -3).result() == 3


def test_two_at_a_time_and_no_more(pool: Executor) -> None:
    def timed() -> tuple[float, float]:
        begin = time.monotonic()
        time.sleep(0.3)
        return begin, time.monotonic()

    spans = [f.result() for f in [pool.submit(timed) for _ in range(4)]]
    running = [sum(a <= at < b for a, b in spans) for at, _ in spans]
    assert max(running) == 2


def test_what_is_cancelled_ends_at_once(pool: Executor) -> None:
    begin = time.monotonic()
    running = [pool.submit(time.sleep, 600) for _ in range(3)]
    time.sleep(0.5)
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - begin < 60
    for future in running:
        with pytest.raises((BrokenExecutor, CancelledError)):
            future.result(timeout=0)
    with pytest.raises(RuntimeError):
        pool.submit(abs, -3)


@pytest.mark.parametrize("chunksize", [1, 2, 5])
def test_map_keeps_the_order(pool: Executor, chunksize: int) -> None:
    found = pool.map(lambda a, b: a * b, range(4), [3, 2, 1, 0], chunksize=chunksize)
    assert [*found] == [0, 2, 2, 0]


def test_an_interrupt_ends_the_calls_and_not_the_copies(pool: Executor) -> None:
    first = {*pool.map(lambda _: (time.sleep(0.2), os.getpid())[1], range(2))}
    running = [pool.submit(time.sleep, 600) for _ in range(2)]
    time.sleep(0.5)
    for process in first:
        os.kill(process, signal.SIGINT)
    for future in running:
        with pytest.raises(KeyboardInterrupt):
            future.result(timeout=60)
    for process in first:  # at rest
        os.kill(process, signal.SIGINT)
    assert {*pool.map(lambda _: (time.sleep(0.2), os.getpid())[1], range(2))} == first


def test_copies_end_with_their_pool() -> None:
    pool = workers(2)
    copies = [*map(psutil.Process, {*pool.map(lambda _: (time.sleep(0.2), os.getpid())[1], "ab")})]
    del pool
    gc.collect()
    assert psutil.wait_procs(copies, timeout=20)[1] == []


def test_a_comparison_has_the_numbers_of_one_process(pool: Executor) -> None:
    given = {"seeds": [1, 2], "steps": 8, "progress": False}
    methods, alphas, data = ["MTL", "LBTW", "Fine-Tuning"], [0.0, 1.0], load("dial")
    alone = compare(data, methods, alphas, **given)  # type: ignore[arg-type]
    spread = compare(data, methods, alphas, executor=pool, **given)  # type: ignore[arg-type]
    columns = ["method", "alpha", "seed", "task", "metric"]
    one, two = (s.results.sort_values(columns).reset_index(drop=True) for s in (alone, spread))
    assert one.equals(two)


SLEEPER = """
import os, time
from mtl_nt.book.processes import workers
begun, tell = os.pipe()
pool = workers(2)
def call():
    os.write(tell, str(os.getpid()).encode())
    while True:
        time.sleep(0.05)
future = pool.submit(call)
print(os.read(begun, 20).decode(), flush=True)  # once both are past what an interrupt may break
future.result()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_copies_end_with_their_process(number: signal.Signals, tmp_path: Path) -> None:
    command, pipe = [sys.executable, "-c", SLEEPER], subprocess.PIPE
    whole = {"start_new_session": True, "text": True}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, **whole) as process:  # type: ignore[call-overload]
        copy = psutil.Process(int(process.stdout.readline()))
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a kernel's interrupt does
        else:
            process.send_signal(number)
        process.wait(20)
    assert psutil.wait_procs([copy], timeout=20)[1] == []


@pytest.mark.parametrize("why", ["no Linux", "an accelerator"])
def test_elsewhere_they_are_threads(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if why == "no Linux":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with workers(2) as pool:
        assert type(pool) is ThreadPoolExecutor
        assert pool.submit(os.getpid).result() == os.getpid()
