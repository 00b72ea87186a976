"""The plan of an audit: what it trains, how long that takes, and how runs share the cores."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..bits import Bits
from ..networks import Recipe
from ..study import (
    METHODS,
    STL,
    FiniteFloat,
    Method,
    Study,
    UniqueNames,
    compare,
    methods_at_widths,
    resolve_methods,
    tuned,
    twin,
)
from ..tasks import BadInput, TaskData, is_finite_number
from ..training import LARGE_TABLE

WIDTH_FACTORS = (0.25, 4.0)  # the trunks of the width check, as multiples of the data's own
TRIALS = 4  # how many settings a tuned method tries
PILOT_STEPS = (3, 15)  # steps of the two short trainings from which the time is estimated
CORE_EFFICIENCY = (
    0.85  # several cores are not fully used, since the last pieces wait for each other
)
PLANNED_SHARE = 0.9  # the share of a budget that is planned; the rest is for what no estimate sees


@dataclass(frozen=True)
class Plan:
    """What an audit trains.

    Attributes:
        methods: the names of the methods, "MTL" first.
        widths: whether STL and MTL are trained on other widths of the trunk, too.
        affinity: whether the cosines of the tasks' gradients at the last shared layer are measured.
        alphas: the alphas of the methods that have one.
        seeds: the seeds of the runs.
        seconds: the estimate of the time.
        left_out: what the budget had no room for, with its estimate.
    """

    methods: UniqueNames
    widths: bool
    affinity: bool
    alphas: tuple[FiniteFloat, ...]
    seeds: tuple[int, ...]
    seconds: FiniteFloat
    left_out: tuple[str, ...] = ()


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


def make_plan(
    data: TaskData,
    methods: str | Sequence[str],
    alphas: Sequence[float],
    seeds: Sequence[int],
    steps: int | None,
    budget: float | None,
    settings: Mapping[str, Any],
) -> Plan:
    """Choose what to train so that it fits the budget, and estimate the time.

    Every method trains for a few steps on all runs, twice, and its time is extrapolated to all of
    its steps. STL, its twin and MTL are always trained. The other methods are added from the
    cheapest on, while there is room. Tuned methods choose on validation rows, so they are left out
    where there are none.

    Args:
        steps: the optimiser steps of every network; by default the data's own.
        budget: in seconds; None is no limit.
        settings: the `device`, `memory` and `trials` of `compare`.
    """
    start, asked, left_out = time.monotonic(), parse_methods(methods), list[str]()
    if not len(data.split.validation):
        left_out = [
            f"{m.name} (it chooses on validation rows, and there are none)"
            for m in asked
            if m.search
        ]
        asked = [m for m in asked if not m.search]
    recipe = Recipe.for_data(data, steps=steps)
    block = seed_blocks(data, seeds, settings["memory"])[0]
    arms = [*asked, *methods_at_widths(recipe, WIDTH_FACTORS)]
    with on_all_cores(data) as (executor, cores):
        memory = settings["memory"] / cores
        short = {**settings, "memory": memory, "executor": executor, "progress": False}
        first, second = (
            _seconds_by_method(compare(data, arms, alphas, block, steps=k, **short))
            for k in PILOT_STEPS
        )
    scale = len(seeds) / len(block) / (1 if cores == 1 else CORE_EFFICIENCY * cores)
    cost = {}
    for name, taken in second.items():
        step = max(taken - first[name], 0.02 * taken) / (PILOT_STEPS[1] - PILOT_STEPS[0])
        cost[name] = scale * (first[name] + step * max(0, recipe.steps - PILOT_STEPS[0]))
    required = sum(cost[name] for name in (STL.name, twin(STL).name, "MTL"))
    optional = {m.name: cost[m.name] for m in asked if m.name != "MTL"}
    wide = sum(cost[m.name] for m in methods_at_widths(recipe, WIDTH_FACTORS))
    affinity = (3 + len(data.tasks) / 40) * cost["MTL"]  # as measured with 10 to 617 tasks
    optional |= {"the trunk-width check": wide, "the affinity of the tasks": affinity}
    measuring = time.monotonic() - start
    available = math.inf if budget is None else PLANNED_SHARE * budget - measuring
    room = available - required
    chosen: list[str] = []
    for name in sorted(optional, key=optional.__getitem__):
        if optional[name] <= room:
            room -= optional[name]
            chosen.append(name)
        else:
            left_out.append(f"{name} (about {format_seconds(optional[name])})")
    total = required + sum(optional[name] for name in chosen)
    too_long = [optional[name] for name in optional if name not in chosen]
    if budget is not None and (too_long or required > available):
        allowed = f"the {format_seconds(budget)} there are"
        if required > available + measuring:
            left_out.append(f"nothing else: STL and MTL alone take longer than {allowed}")
        elif required > available or min(too_long) <= room + measuring:
            alone = ""
            if required > available:
                alone = f", and STL and MTL alone take {format_seconds(required)}"
            left_out.append(
                f"nothing else: measuring took {format_seconds(measuring)} of {allowed}{alone}"
            )
    return Plan(
        tuple(m.name for m in asked if m.name == "MTL" or m.name in chosen),
        "the trunk-width check" in chosen,
        "the affinity of the tasks" in chosen,
        tuple(map(float, alphas)),
        tuple(seeds),
        total,
        tuple(left_out),
    )


def _seconds_by_method(study: Study) -> dict[str, float]:
    """How long the training of each method took, over all its runs and alphas."""
    seconds: dict[str, float] = {}
    for row in study.training.itertuples():
        seconds[str(row.method)] = seconds.get(str(row.method), 0.0) + float(row.seconds)  # type: ignore[arg-type]
    return seconds


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


@contextmanager
def on_all_cores(data: TaskData) -> Iterator[tuple[Executor | None, int]]:
    """An executor with one thread per core, and the number of cores.

    Each thread trains one method, because a small network has no work for two cores. Large data get
    one core and no executor, because each thread would have a copy of them. After an error, nobody
    waits for the trainings that still run.
    """
    cores = torch.get_num_threads()
    if cores < 2 or feature_bytes(data) > LARGE_TABLE:
        yield None, 1
        return
    executor = ThreadPoolExecutor(cores)
    torch.set_num_threads(1)
    try:
        yield executor, cores
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        torch.set_num_threads(cores)
    executor.shutdown()
