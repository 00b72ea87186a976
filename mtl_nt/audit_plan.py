"""What an audit trains, how long that takes, and how it is spread over runs and cores."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from .batches import LARGE
from .bits import Bits
from .forms import Finite, Names
from .methods import METHODS, STL, Method, at_widths, resolve, tuned, twin
from .recipe import Recipe
from .study import Study, compare
from .tasks import BadInput, TaskData, is_number

WIDTHS = (0.25, 4.0)  # of the trunk, against the data's own
TRIALS = 4  # candidates of a tuned method
PILOT = (3, 15)  # steps of the two short trainings from which the time is estimated
SHARED = 0.85  # of what several cores could do at best, the last pieces wait for each other
SPARE = 0.9  # of a budget is planned; the rest is for what no estimate sees


@dataclass(frozen=True)
class Plan:
    """What an audit trains.

    `seconds` is what it was estimated to take, `left_out` what the budget had no room for.
    """

    methods: Names
    widths: bool
    affinity: bool
    alphas: tuple[Finite, ...]
    seeds: tuple[int, ...]
    seconds: Finite
    left_out: tuple[str, ...] = ()


def methods_of(names: str | Sequence[str]) -> list[Method]:
    """The methods by name, MTL first; "NAME, tuned" is the tuned form of any.

    Raises:
        BadInput: an unknown method, or one that is given twice.
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
    found: list[str | Method] = []
    for name in plain_names:
        base = str(name).removesuffix(", tuned")
        if name in METHODS or base == name or base not in METHODS:
            found.append(name)
        else:
            found.append(tuned(base))
    return resolve(["MTL", *found])


def planned(
    data: TaskData,
    methods: str | Sequence[str],
    alphas: Sequence[float],
    seeds: Sequence[int],
    steps: int | None,
    budget: float | None,
    settings: Mapping[str, Any],
) -> Plan:
    """What to train so that it fits the budget, with an estimate of the time.

    Every arm trains for a few steps on all runs, twice, and its time is extended to its budget.
    What STL, its twin and MTL take must be taken; the other arms come in from the cheapest on
    while there is room. Tuned methods need validation rows and go where there are none.
    """
    begin, asked, gone = time.monotonic(), methods_of(methods), list[str]()
    if not len(data.split.validation):
        gone = [
            f"{m.name} (it chooses on validation rows, and there are none)"
            for m in asked
            if m.search
        ]
        asked = [m for m in asked if not m.search]
    recipe = Recipe.of(data, steps=steps)
    block = blocks(data, seeds, settings["memory"])[0]
    arms = [*asked, *at_widths(recipe, WIDTHS)]
    with on_all_cores(data) as (executor, cores):
        memory = settings["memory"] / cores
        short = {**settings, "memory": memory, "executor": executor, "progress": False}
        first, second = (
            _seconds_by_method(compare(data, arms, alphas, block, steps=k, **short)) for k in PILOT
        )
    scale = len(seeds) / len(block) / (1 if cores == 1 else SHARED * cores)
    cost = {}
    for name, taken in second.items():
        step = max(taken - first[name], 0.02 * taken) / (PILOT[1] - PILOT[0])
        cost[name] = scale * (first[name] + step * max(0, recipe.steps - PILOT[0]))
    must = sum(cost[name] for name in (STL.name, twin(STL).name, "MTL"))
    more = {m.name: cost[m.name] for m in asked if m.name != "MTL"}
    wide = sum(cost[m.name] for m in at_widths(recipe, WIDTHS))
    more |= {"the trunk-width check": wide, "the affinity of the tasks": 2 * cost["MTL"]}
    measuring = time.monotonic() - begin
    left = math.inf if budget is None else SPARE * budget - measuring
    room = left - must
    chosen: list[str] = []
    for name in sorted(more, key=more.__getitem__):
        if more[name] <= room:
            room -= more[name]
            chosen.append(name)
        else:
            gone.append(f"{name} (about {words_of(more[name])})")
    total = must + sum(more[name] for name in chosen)
    out = [more[name] for name in more if name not in chosen]
    if budget is not None and (out or must > left):
        there = f"the {words_of(budget)} there are"
        if must > left + measuring:
            gone.append(f"nothing else: STL and MTL alone take longer than {there}")
        elif must > left or min(out) <= room + measuring:
            alone = f", and STL and MTL alone take {words_of(must)}" if must > left else ""
            gone.append(f"nothing else: measuring took {words_of(measuring)} of {there}{alone}")
    return Plan(
        tuple(m.name for m in asked if m.name == "MTL" or m.name in chosen),
        "the trunk-width check" in chosen,
        "the affinity of the tasks" in chosen,
        tuple(map(float, alphas)),
        tuple(seeds),
        total,
        tuple(gone),
    )


def _seconds_by_method(study: Study) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in study.training.itertuples():
        found[str(row.method)] = found.get(str(row.method), 0.0) + float(row.seconds)  # type: ignore[arg-type]
    return found


def seconds_of(budget: float | str | None) -> float | None:
    """A budget in seconds: a number, or text such as "90s", "5min" or "2h".

    Raises:
        BadInput: anything else, or a budget that is not above 0.
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
    if not is_number(value) or not value > 0:  # type: ignore[operator]
        raise BadInput(f"budget {budget!r}: give seconds, or a time such as 90s, 5min or 2h")
    return float(value)  # type: ignore[arg-type]


def words_of(seconds: float) -> str:
    """A time in words that say no more than is known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def work_of(plan: Plan, data: TaskData) -> str:
    networks = sum(
        m.trained(len(data.tasks))
        * (len(plan.alphas) if m.alpha else 1)
        * (TRIALS if m.search else 1)
        for m in (STL, twin(STL), *methods_of(plan.methods))
    )
    return (
        f"{len(data.tasks)} tasks, {len(data.x):,} rows, {len(plan.seeds)} runs, "
        f"{networks * len(plan.seeds):,} networks"
    )


def blocks(data: TaskData, seeds: Sequence[int], memory: float) -> list[Sequence[int]]:
    """Runs that train side by side: all, or as many as their copies of the features allow, one
    their own and one in the table that they share.
    """
    at_once = max(1, int(memory * 1e9 / max(2 * bytes_of(data), 1)))
    return [seeds[k : k + at_once] for k in range(0, len(seeds), at_once)]


def bytes_of(data: TaskData) -> int:
    """What a run's copy of the features takes."""
    return 4 * (len(data.x.on) if isinstance(data.x, Bits) else data.x.numel())


@contextmanager
def on_all_cores(data: TaskData) -> Iterator[tuple[Executor | None, int]]:
    """A thread a core, each of which trains a method: small networks leave no work for two cores.

    Whoever leaves with an error does not wait for what is being trained. Large data, of which each
    thread would have a copy, are for one thread.
    """
    cores = torch.get_num_threads()
    if cores < 2 or bytes_of(data) > LARGE:
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
