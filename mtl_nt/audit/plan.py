"""The plan of an audit: what it trains, in words and numbers, and how runs share the cores."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from tqdm import TMonitor

from ..bits import Bits
from ..book import processes
from ..errors import BadInput, is_finite_number
from ..study import (
    METHODS,
    STL,
    FiniteFloat,
    Method,
    UniqueNames,
    resolve_methods,
    tuned,
    twin,
)
from ..tasks import TaskData
from ..training import LARGE_TABLE

WIDTH_FACTORS = (0.25, 4.0)  # the trunks of the width check, as multiples of the data's own
TRIALS = 4  # how many settings a tuned method tries


@dataclass(frozen=True)
class Plan:
    """What an audit has trained, and what it was asked for.

    Attributes:
        methods: the names of the methods, "MTL" first.
        widths: whether STL and MTL were trained on other widths of the trunk, too.
        affinity: whether the cosines of the tasks' gradients at the last shared layer were taken.
        alphas: the alphas of the methods that have one.
        seeds: the seeds of the runs.
        seconds: the estimate of the time that all that was asked for takes.
        left_out: what there was no room for, or no way to train, in words.
        asked_methods: the names of all methods that were asked for.
        asked_seeds: the seeds of all runs that were asked for.
        unfinished: whether the same call, with the same folder, would train more.
        interrupted: whether somebody stopped it.
    """

    methods: UniqueNames
    widths: bool
    affinity: bool
    alphas: tuple[FiniteFloat, ...]
    seeds: tuple[int, ...]
    seconds: FiniteFloat
    left_out: tuple[str, ...] = ()
    asked_methods: tuple[str, ...] = ()
    asked_seeds: tuple[int, ...] = ()
    unfinished: bool = False
    interrupted: bool = False


def parse_methods(names: str | Sequence[str]) -> list[Method]:
    """The methods with these names, MTL first. "NAME, tuned" is the tuned form of any method.

    Args:
        names: a list of names, or one text with commas or semicolons between them.

    Raises:
        BadInput: an unknown method, or one that is given twice.

    >>> [method.name for method in parse_methods("LBTW; RMTL, tuned")]
    ['MTL', 'LBTW', 'RMTL, tuned']
    """
    if isinstance(names, str):
        words = [name.strip() for name in names.replace(";", ",").split(",")]
        names = []
        for word in filter(None, words):
            if word == "tuned" and names:  # of "MTL, tuned"
                names[-1] += ", tuned"
            else:
                names.append(word)
    plain_names = [n for n in names if n not in (STL.name, "MTL")]
    methods: list[str | Method] = []
    for name in plain_names:
        base = str(name).removesuffix(", tuned")
        if name in METHODS or base == name or base not in METHODS:
            methods.append(name)
        else:
            methods.append(tuned(base))
    return resolve_methods(["MTL", *methods])


def parse_seconds(budget: float | str | None) -> float | None:
    """A budget of time in seconds, from a number or a text such as "90s", "5min" or "2h".

    Raises:
        BadInput: anything else, or a budget that is not above 0.

    >>> parse_seconds("5min"), parse_seconds(90), parse_seconds(None)
    (300.0, 90.0, None)
    """
    if budget is None or budget == "":
        return None
    value: object = budget
    if isinstance(budget, str):
        units = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}
        text = budget.strip().lower()
        unit = text.lstrip("0123456789.").strip()
        number = text[: len(text) - len(text.lstrip("0123456789."))]
        try:
            value = float(number) * units[unit or "s"]
        except (KeyError, ValueError):
            value = None
    if not is_finite_number(value) or not value > 0:  # type: ignore[operator]
        raise BadInput(f"budget {budget!r}: give seconds, or a time such as 90s, 5min or 2h")
    return float(value)  # type: ignore[arg-type]


def format_seconds(seconds: float) -> str:
    """A time in words, no more precise than an estimate is.

    >>> format_seconds(42.3), format_seconds(300), format_seconds(9000)
    ('42 s', '5 min', '2.5 h')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def describe_work(plan: Plan, data: TaskData) -> str:
    """How many tasks, rows, runs and networks a plan has, in words."""
    networks = sum(
        m.trained(len(data.tasks))
        * (len(plan.alphas) if m.alpha else 1)
        * (TRIALS if m.search else 1)
        for m in (STL, twin(STL), *parse_methods(plan.methods))
    )
    return (
        f"{len(data.tasks)} tasks, {len(data.x):,} rows, {len(plan.seeds)} runs, "
        f"{networks * len(plan.seeds):,} networks"
    )


def seed_blocks(data: TaskData, seeds: Sequence[int], memory: float) -> list[Sequence[int]]:
    """The runs in blocks that train side by side, as many as their features leave memory for.

    Every run has a copy of the features of its own, and one in the table that the runs share.

    Args:
        memory: in GB.
    """
    block = max(1, int(memory * 1e9 / max(2 * feature_bytes(data), 1)))
    return [seeds[k : k + block] for k in range(0, len(seeds), block)]


def feature_bytes(data: TaskData) -> int:
    """How many bytes one run's copy of the features takes."""
    return 4 * (len(data.x.on) if isinstance(data.x, Bits) else data.x.numel())


def cores_for(data: TaskData) -> int:
    """How many trainings run at a time: one on each core, since a small network fills no two.

    Large data get one training, which uses all cores, because each would have a copy of the data.
    """
    return 1 if feature_bytes(data) > LARGE_TABLE else torch.get_num_threads()


@contextmanager
def on_cores(cores: int, device: str = "cpu") -> Iterator[Executor]:
    """An executor that makes as many calls at a time as there are cores.

    Where this process can be copied, each core gets a copy of it. So make all that the calls share
    before. Where it has other threads, as in a notebook's kernel, or trains on an accelerator, the
    calls share the process. This is slower: threads wait for each other at every operation of a
    small network.

    Nobody waits for calls that are still running in the end: they were told to stop.
    """
    threads = torch.get_num_threads()
    others = [t for t in threading.enumerate() if not isinstance(t, TMonitor)]  # it watches bars
    copied = cores > 1 and device == "cpu" and len(others) == 1
    executor: Executor = (
        processes.workers(cores, ignore_interrupts=True) if copied else ThreadPoolExecutor(cores)
    )
    if cores > 1:
        torch.set_num_threads(1)
    try:
        yield executor
    finally:
        torch.set_num_threads(threads)
        executor.shutdown(wait=False, cancel_futures=True)
