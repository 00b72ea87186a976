"""The order in which an audit trains, and the clock that ends it.

Work comes in groups, whose items are of use together only. A group is begun where the time that is
left has room for it, and else it is left out. Items of a group that has begun are handed to the
workers one by one. When the time is over, or somebody stops it, every training stops at its next
step; what is finished stays.
"""

from __future__ import annotations

import math
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any, NamedTuple

from ..errors import BadInput
from ..training import Stopped

MARGIN = 1.1  # a group is begun if it seems to need so much less than the time that is left
EFFICIENCY = 0.85  # of several cores, which wait for each other now and then
PATIENCE = 10.0  # seconds at most that trainings get to stop


class Item(NamedTuple):
    """Something that one worker trains.

    Attributes:
        name: what is trained, for whoever watches.
        seconds: of a processor, as estimated; 0 for what is only read.
        train: trains it, in a worker.
        take: called here with what the worker found.
    """

    name: str
    seconds: float
    train: Callable[[], Any]
    take: Callable[[Any], object] = lambda found: None


class Group(NamedTuple):
    """Items that are of use together only.

    Attributes:
        name: what the items are together, for whoever watches.
        items: makes them, when it is this group's turn.
        needed: whether it is begun however little time is left.
        begun: called when it is begun.
        done: called when all items are finished.
    """

    name: str
    items: Callable[[], Sequence[Item]]
    needed: bool = False
    begun: Callable[[], object] = lambda: None
    done: Callable[[], object] = lambda: None


@dataclass
class Timer:
    """How much time there is, and how fast this machine works through processor seconds.

    Args:
        budget: seconds from now on; infinite without a budget.
        clock: the time, in seconds.

    >>> timer = Timer(60, clock=iter([0.0, 45.0]).__next__)
    >>> timer.left()
    15.0
    """

    budget: float = math.inf
    clock: Callable[[], float] = time.monotonic
    workers: int = 1
    _belief: float = 1.0
    _expected: float = 0.0
    _taken: float = 0.0
    _cancelled: mmap = field(default_factory=lambda: mmap(-1, 1))  # copies of a process share it

    def __post_init__(self) -> None:
        self.start = self.clock()

    def passed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.start

    def left(self) -> float:
        """Seconds that are left."""
        return self.budget - self.passed()

    def cancel(self) -> None:
        """End all trainings at their next step."""
        self._cancelled[0] = 1

    def stop(self) -> bool:
        """Whether a training has to stop."""
        return self._cancelled[0] == 1 or self.left() <= 0

    @property
    def slowdown(self) -> float:
        """Seconds of the clock that a worker needs for an expected second of a processor.

        One item says little, so the first belief counts as five seconds of experience.
        """
        belief = self._belief if self.workers == 1 else self._belief / EFFICIENCY
        return (self._taken + 5 * belief) / (self._expected + 5)

    def believe(self, processor: float, clock: float) -> None:
        """Believe that others use this machine too, where the clock ran ahead of the processor."""
        self._belief = max(1.0, clock / max(processor, 1e-3))

    def learn(self, expected: float, taken: float) -> None:
        """Learn from an item how fast this machine is today."""
        if expected:  # and not for what was only read
            self._expected, self._taken = self._expected + expected, self._taken + taken

    def estimate(self, items: Sequence[Item]) -> float:
        """Seconds of the clock that these items need together, if nothing else runs."""
        longest = max((item.seconds for item in items), default=0.0)
        shared = sum(item.seconds for item in items) / self.workers
        return self.slowdown * max(longest, shared)


class Ended(NamedTuple):
    """How the work ended.

    Attributes:
        skipped: by name of a group, the seconds that it would have taken, as far as was estimated.
        cut: the groups that were begun and not finished.
        interrupted: what stopped it, if somebody did.
    """

    skipped: dict[str, float]
    cut: list[str]
    interrupted: KeyboardInterrupt | None


@dataclass
class _Running:
    item: Item
    group: Group
    begun: float


def work_through(
    groups: Iterator[Group],
    executor: Executor,
    timer: Timer,
    watch: Callable[[Sequence[str]], object] = lambda names: None,
) -> Ended:
    """Train group after group, as long as there is time.

    A group is asked for its items when a worker is free for it, so a later one may depend on what
    has been begun by then.

    Args:
        groups: in the order in which they are wanted.
        executor: has `timer.workers` workers, which are threads or processes.
        timer: the time that there is.
        watch: called with what is being trained, again and again.

    Raises:
        BadInput: a training raised it.
        KeyboardInterrupt: a signal other than Ctrl-C.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> said = []
    >>> group = Group("all", lambda: [Item("one", 0.1, lambda: said.append(1))])
    >>> with ThreadPoolExecutor(1) as executor:
    ...     work_through(iter([group]), executor, Timer()), said
    (Ended(skipped={}, cut=[], interrupted=None), [1])
    """
    ready: deque[tuple[Item, Group]] = deque()
    running: dict[Future[object], _Running] = {}
    missing: dict[str, int] = {}  # items that are not finished, of each group that was begun
    skipped: dict[str, float] = {}
    interrupted: KeyboardInterrupt | None = None

    def begin_a_group() -> bool:
        for group in groups:
            if timer.stop():
                skipped.setdefault(group.name, math.nan)
                continue
            items = group.items()
            seconds = timer.estimate(items)
            if not group.needed and MARGIN * seconds > timer.left():
                skipped[group.name] = seconds
                continue
            group.begun()
            missing[group.name] = len(items)
            ready.extend((item, group) for item in items)
            if not items:
                group.done()
                continue
            return True
        return False

    def collect(futures: set[Future[object]]) -> None:
        for future in futures:
            ended = running.pop(future)
            try:
                found = future.result()
            except Stopped:
                continue
            except BrokenExecutor:
                raise BadInput(
                    f"{ended.item.name}: a worker process died, perhaps for want of memory; what "
                    "is finished is kept where there is a folder; free some memory and call again"
                ) from None
            ended.item.take(found)
            timer.learn(ended.item.seconds, timer.passed() - ended.begun)
            missing[ended.group.name] -= 1
            if not missing[ended.group.name]:
                ended.group.done()

    try:
        while True:
            while len(running) < timer.workers and not timer.stop():
                if not ready and not begin_a_group():
                    break
                if ready:
                    item, group = ready.popleft()
                    running[executor.submit(item.train)] = _Running(item, group, timer.passed())
            if not running or timer.stop():
                break
            watch([each.item.name for each in running.values()])
            pause = min(0.5, max(0.01, timer.left()))
            collect(wait(running, pause, FIRST_COMPLETED).done)
    except KeyboardInterrupt as stop:
        interrupted = stop
        if stop.args and stop.args[0] != signal.SIGINT:  # whoever ends a program does not wait
            timer.cancel()
            raise
    except BaseException:
        timer.cancel()
        raise
    if interrupted or timer.stop():
        timer.cancel()
        collect(wait(running, min(PATIENCE, 1 + 0.05 * timer.budget)).done)
        begin_a_group()  # to name what is left out
    return Ended(skipped, [name for name, count in missing.items() if count], interrupted)


def check_room(seconds: float, timer: Timer, needed: str) -> None:
    """Refuse a budget in which nothing can be found.

    Args:
        seconds: that the work needs at least.
        needed: what the work is.

    Raises:
        BadInput: there is not nearly enough time.

    >>> check_room(80, Timer(10), "STL and MTL")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: STL and MTL take about 80 s here, and 10 s are left; give --budget \
2min or more, or fewer --steps
    """
    from .plan import format_seconds

    left = timer.left()
    if seconds > 1.5 * left:
        raise BadInput(
            f"{needed} take about {format_seconds(seconds)} here, and "
            f"{format_seconds(max(left, 0))} are left; give --budget {enough_for(seconds, timer)} "
            "or more, or fewer --steps"
        )


def enough_for(seconds: float, timer: Timer) -> str:
    """A budget with room for work of so many seconds, as `--budget` takes it.

    >>> enough_for(80, Timer(10, clock=lambda: 0.0))
    '2min'
    """
    begun = min(timer.passed(), timer.budget)  # reading and measuring come again
    return _as_budget(MARGIN * seconds + begun + 10)  # and the page takes some seconds


def _as_budget(seconds: float) -> str:
    """A time that is not shorter, as `--budget` takes it.

    >>> _as_budget(61), _as_budget(100), _as_budget(6000)
    ('65s', '2min', '1.7h')
    """
    if seconds >= 5400:
        return f"{math.ceil(seconds / 360) / 10:g}h"
    return f"{math.ceil(seconds / 60)}min" if seconds >= 90 else f"{5 * math.ceil(seconds / 5)}s"
