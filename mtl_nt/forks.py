"""Work for several cores: copies of this process, which have all that it has imported."""

from __future__ import annotations

import ctypes
import gc
import io
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from itertools import chain
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any
from weakref import finalize

import cloudpickle
import torch

from .tasks import BadInput

FORKING = Lock()
CACHED = type(lru_cache(abs))


def workers(count: int = 2) -> Executor:
    """An executor of so many calls at a time, a core each.

    On Linux these are copies of this process, made here and now: call it once all is imported, and
    before another thread of yours is at work, since a copy keeps for ever what that thread has
    locked. What a call needs is sent to its copy, functions of a notebook's cells too, and so is
    the answer; what else it changes is lost. Threads would wait for each other at every operation
    of a small network. They do elsewhere, and where torch sees an accelerator, whose state does
    not survive a copy.
    """
    if sys.platform == "linux" and not torch.accelerator.is_available():
        return _Copies(count)
    return ThreadPoolExecutor(count)


class _Copies(ThreadPoolExecutor):
    """A thread for every copy, to wait for its answers."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._copies = [_Copy() for _ in range(count)]
        self._free: SimpleQueue[_Copy] = SimpleQueue()
        for copy in self._copies:
            self._free.put(copy)
        finalize(self, _end, self._copies)

    def submit(self, fn: Callable, /, *args: Any, **options: Any) -> Future:
        return super().submit(self._asked, partial(fn, *args, **options))

    def map(
        self,
        fn: Callable,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """So many calls sent together, as a pool of processes has them."""
        calls = [*zip(*iterables, strict=False)]
        chunks = [calls[k : k + chunksize] for k in range(0, len(calls), chunksize)]
        return chain.from_iterable(super().map(partial(_each, fn), chunks, timeout=timeout))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What is cancelled ends at once, begun or not."""
        super().shutdown(wait=wait and not cancel_futures, cancel_futures=cancel_futures)
        if wait or cancel_futures:
            _end(self._copies)
        super().shutdown(wait=wait)

    def _asked(self, call: partial) -> Any:
        """What the call returns or raises in a copy. It becomes bytes when its turn comes: all
        calls of a `map`, each with the studies that it reads, would be a GB.
        """
        sent = _sent(call)
        copy = self._free.get()
        try:
            value, error = cloudpickle.loads(copy.answer(sent))
        except (EOFError, OSError):
            if not self._shutdown:
                copy.start()
            raise BrokenExecutor("a worker process died") from None
        finally:
            self._free.put(copy)
        if error is not None:
            raise error
        return value


class _Copy:
    """A process with all of this one, and the pipe to it."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        context = multiprocessing.get_context("fork")
        with FORKING:  # or another copy would hold that end of the pipe open
            self.pipe, there = context.Pipe()
            self.process = context.Process(target=_serve, args=(there,), daemon=True)
            self.process.start()
            there.close()
        # A kernel that ends waits for its children, the dead that nobody has waited for included.
        Thread(target=self.process.join, daemon=True).start()

    def answer(self, call: bytes) -> bytes:
        """
        Raises:
            EOFError, OSError: the process has died.
        """
        self.pipe.send_bytes(call)
        return self.pipe.recv_bytes()


def _end(copies: Sequence[_Copy]) -> None:
    for copy in copies:
        copy.process.kill()


class _Pickler(cloudpickle.Pickler):
    """A notebook's cached functions, too, which pickle would look for by name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, CACHED) and obj.__module__ == "__main__":
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def _cached(fn: Callable, parameters: dict[str, Any]) -> Callable:
    return lru_cache(**parameters)(fn)


def _sent(what: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(what)
    return file.getvalue()


def _each(fn: Callable, calls: Sequence[tuple]) -> list[Any]:
    return [fn(*call) for call in calls]


def _give_back() -> None:
    """What a training needed and left goes back to the system, where the C library can."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _serve(pipe: Connection) -> None:
    """Run in the copy. Tensors go as bytes: containers have little memory to share. An interrupt,
    which a notebook's kernel and all of its copies get, ends a call and not the copy.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    gc.freeze()  # or every collection would look through, and so copy, all that was there
    while True:
        call = pipe.recv_bytes()
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            answer = _sent((cloudpickle.loads(call)(), None))
        except BaseException as error:
            if not isinstance(error, BadInput):  # which is one line
                error.add_note(
                    "In a worker process:\n" + "".join(traceback.format_exception(error))
                )
            answer = _sent((None, error))
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        pipe.send_bytes(answer)
        del call, answer
        _give_back()


def end_with_parent() -> None:
    """Wait for the process that started this one to end, and end this one."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
