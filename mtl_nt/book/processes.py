"""An executor of several processes that can call the functions of a notebook."""

from __future__ import annotations

import ctypes
import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import suppress
from functools import lru_cache, partial
from multiprocessing import get_context, parent_process
from threading import Lock, Thread
from typing import Any

import cloudpickle
import torch

CACHED_FUNCTION = type(lru_cache(abs))


def workers(count: int = 2, ignore_interrupts: bool = False) -> Executor:
    """An executor that makes `count` calls at the same time, each on a core of its own.

    Args:
        count: of calls at a time.
        ignore_interrupts: whether Ctrl-C leaves a running call alone. By default it ends the call.

    >>> with workers(2) as pool:
    ...     list(pool.map(lambda x: x * x, [1, 2, 3]))
    [1, 4, 9]

    On Linux the workers are copies of this process, and this call makes them. Make it after all
    imports, and before you start a thread: a copy keeps for ever what another thread has locked. A
    worker gets the function and its arguments, and sends back the result. It changes nothing else
    here.

    Elsewhere, and where torch sees an accelerator, the workers are threads. They are slower,
    because threads wait for each other at every operation of a small network. But an accelerator's
    state does not survive a copy.
    """
    if sys.platform == "linux" and not torch.accelerator.is_available():
        return _ForkPool(count, ignore_interrupts)
    return ThreadPoolExecutor(count)


class _ForkPool(ProcessPoolExecutor):
    """The standard pool, which starts its processes at once, and again after one of them has died.

    The processes are forks, not loky's, which import everything anew: for notebook 0 with few steps
    these took 3.6 times the processor time and 0.45 GB more.
    """

    def __init__(self, count: int, ignore_interrupts: bool) -> None:
        self._count, self._submitting = count, Lock()
        self._call = _call if ignore_interrupts else _call_until_interrupted
        self._start()

    def _start(self) -> None:
        super().__init__(self._count, get_context("fork"), _prepare_worker)
        super().submit(int)  # the pool starts its processes when it gets its first call

    def submit(self, fn: Callable, /, *args: Any, **options: Any) -> Future:
        call = partial(self._call, _SentByValue(partial(fn, *args, **options)))
        with self._submitting:
            try:
                return super().submit(call)
            except BrokenExecutor:  # a process died during an earlier call
                if not self._processes:  # it was killed by `shutdown`
                    raise
                self._start()
                return super().submit(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the running calls, or with `cancel_futures` end them too."""
        if cancel_futures:
            for process in [*(self._processes or {}).values()]:
                process.kill()
        super().shutdown(wait, cancel_futures=cancel_futures)


class _SentByValue:
    """A value that cloudpickle sends, so it may hold functions of a notebook's cells.

    The receiver gets the value itself. Tensors travel as bytes, since containers have little
    shared memory. The bytes are made when the call's turn comes: the bytes of all calls of one
    `map`, each with its studies, would fill a GB.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Callable, tuple[bytes]]:
        file = io.BytesIO()
        _Pickler(file).dump(self.value)
        return cloudpickle.loads, (file.getvalue(),)


class _SentError(Exception):
    """An error on its way back. The receiver gets the error itself, of whatever class."""

    def __reduce__(self) -> tuple[Callable, tuple[bytes]]:
        return _SentByValue(self.args[0]).__reduce__()


class _Pickler(cloudpickle.Pickler):
    """Sends the cached functions of a notebook too. pickle would look for them by name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, CACHED_FUNCTION) and obj.__module__ == "__main__":
            return _cache_again, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def _cache_again(fn: Callable, parameters: dict[str, Any]) -> Callable:
    return lru_cache(**parameters)(fn)


def _prepare_worker() -> None:
    """Make a new worker ready for calls.

    It ignores interrupts between two calls: a notebook's interrupt reaches all workers, and must
    end their calls alone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    gc.freeze()  # every collection would look through all that was there, and so copy it


def _call(fn: Any) -> _SentByValue:
    """Make a call in a worker.

    Where the C library can, it first gives the memory that the last call has left back to the
    system.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        return _SentByValue(fn())
    except BaseException as error:
        raise _SentError(error) from error


def _call_until_interrupted(fn: Any) -> _SentByValue:
    """Make a call in a worker, which an interrupt ends."""

    def call() -> Any:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return fn()

    try:
        return _call(call)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_with_parent() -> None:
    """Wait for the process that started this one to end, and end this one."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
