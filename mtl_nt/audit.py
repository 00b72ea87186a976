"""The audit of a table of tasks: which of them multi-task training harms, and what helps.

One study with every method, the trunk-width check and the tasks' affinity, planned so that it fits
a budget of time, kept in a folder so that it survives being killed, and put together as one
`Audit` that a notebook or a page draws without training again.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch.nn.functional import normalize

from . import __version__, parts
from .bits import Bits
from .datasets import load
from .datasets.table import is_table, read_table
from .methods import METHODS, STL, Method, at_widths, plain, resolve, tuned, twin
from .pieces import train
from .recipe import Recipe
from .study import Study, alpha_numbers, compare, seed_numbers
from .tasks import BadInput, TaskData, is_number, is_whole
from .weighters import Step, Uniform

METHODS_ASKED = (
    "MTL",
    "Fine-Tuning",
    "RMTL",
    "LBTW",
    "GradNorm",
    "Uncertainty",
    "MTL, tuned",
    "Scalarisation",
    "RandomWeights",
)
"""What is tried by default: the first paper's columns, and the rivals that every comparison has."""
ALPHAS = (0.0, 0.1, 0.25, 0.5, 1.0)
WIDTHS = (0.25, 4.0)  # of the trunk, against the data's own
TRIALS = 4  # candidates of a tuned method
STAGES = {"first batch": 0.0, "to 5%": 0.05, "to 20%": 0.2, "to 50%": 0.5, "last half": 1.0}
"""Stages of training over which gradients are averaged, by the share at which each ends."""
PILOT = (3, 15)  # steps of the two short trainings from which the time is estimated
SHARED = 0.85  # of what several cores could do at best, the last pieces wait for each other
SPARE = 0.9  # of a budget is planned; the rest is for what no estimate sees
LARGE = 2e8  # bytes of features
FIRST = 100  # run; the data sets' own settings were chosen on lower ones
FILE = "audit.json"
TABLES = ("results", "training", "history")
Say = Callable[[str], object]


@dataclass(frozen=True)
class Source:
    """What is audited: a data set's name or a table's path, and how to read it.

    `options` are those of `datasets.load`: of a table see `datasets.table.read_table`.
    """

    name: str
    options: Mapping[str, Any]

    def read(self) -> tuple[TaskData, tuple[str, ...]]:
        """The data, and a sentence each on what was read, dropped and imputed."""
        if is_table(self.name):
            table = read_table(self.name, **self.options)
            return table.data, table.notes
        return load(self.name, **self.options), ()

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these data from others without reading them as a table."""
        own: dict[str, Any] = {"options": dict(self.options)}
        if not is_table(self.name):
            return {"data": self.name, **own}
        try:
            with Path(self.name).open("rb") as file:
                return {"data": hashlib.file_digest(file, "sha256").hexdigest(), **own}
        except OSError as error:
            raise BadInput(f"{self.name} cannot be read: {error.strerror}") from None


@dataclass(frozen=True)
class Plan:
    """What an audit trains.

    `seconds` is what it was estimated to take, `left_out` what the budget had no room for.
    """

    methods: tuple[str, ...]
    widths: bool
    affinity: bool
    alphas: tuple[float, ...]
    seeds: tuple[int, ...]
    seconds: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found. Figures and sentences read this and nothing else.

    `study` has every method that was planned, the arms of the width check among them (see
    `asked`); `cosines` the mean cosine of every pair of tasks' gradients by stage of training, in
    MTL networks; `labels` a row a task: kind, labels, positives.
    """

    name: str
    study: Study
    plan: Plan
    cosines: Float[np.ndarray, "stages T T"] | None
    labels: pd.DataFrame
    notes: tuple[str, ...]
    made: Mapping[str, Any]  # seconds, versions, and what repeats it

    @property
    def asked(self) -> Study:
        """The study without the arms of the width check."""
        return without(self.study, [m.name for m in at_widths(self.study.recipe, WIDTHS)])


def audit(
    source: str | Path,
    methods: str | Sequence[str] | None = None,
    alphas: Sequence[float] | None = None,
    seeds: int | Sequence[int] = 5,
    steps: int | None = None,
    budget: float | str | None = None,
    folder: str | Path | None = None,
    device: str = "cpu",
    memory: float = 1.0,
    progress: bool = True,
    say: Say = print,
    **options: Any,
) -> Audit:
    """Compare multi-task with single-task training on a data set or a table of one's own.

    Args:
        source: a data set's name, or the path of a table (CSV, TSV or Parquet).
        methods: by name, by default `METHODS_ASKED`; "MTL" is always there. "NAME, tuned" is a
            method with its learning rate and weight decay chosen on validation rows.
        alphas: for the methods that have one, by default `ALPHAS`.
        seeds: how many runs (100, 101, ...: nothing was chosen on those), or which.
        steps: the budget in optimiser steps a network; by default the data's own.
        budget: seconds, or text such as "90s", "5min" or "2h": what does not fit is left out, the
            most expensive first, and named.
        folder: keep what is finished here; the same call goes on from there.
        device, memory: see `compare`.
        progress: show a bar.
        say: is told the estimate of time before training starts, and what is left out.
        options: how to read the data: of a table `targets`, `features`, `smiles`, `group`,
            `split`, `ignore`, `regression` and `folds`; else the data set's own.

    Raises:
        BadInput: anything a person can mend, in one line.
    """
    begin, told = time.monotonic(), Source(str(source), options)
    numbers = seed_numbers(seeds)
    if is_whole(seeds, 1):
        numbers = [FIRST + k for k in numbers]
    if len(numbers) < 2:
        raise BadInput(f"seeds {seeds!r}: one run decides nothing; give 2 or more")
    methods = METHODS_ASKED if methods is None else methods
    alphas = alpha_numbers(ALPHAS if alphas is None else alphas)
    allowed = seconds_of(budget)
    wanted = {
        **told.identity,
        "methods": [m.name for m in methods_of(methods)],
        "alphas": alphas,
        "seeds": numbers,
        "steps": steps,
        "budget": allowed,
        "code": parts.code_digest([*parts.CODE, "audit", *_readers()]),
        "torch": torch.__version__.partition("+")[0],
    }
    shelf = None if folder is None else _Folder(Path(folder), wanted)
    if shelf and (done := shelf.get(FILE)) is not None:
        say(f"all of it is in {shelf.path} already; nothing is trained")
        return _loaded(done)
    data, notes = told.read()
    if len(data.tasks) < 2:
        raise BadInput(f"data set {data.name!r} has one task; negative transfer takes two or more")
    settings: dict[str, Any] = {"device": device, "memory": memory, "trials": TRIALS}
    plan = None
    if shelf and (kept := shelf.get("plan.json")) is not None:
        plan = Plan(**_tuples(kept))
    if plan is None:
        say("estimating how long this takes ...")
        plan = planned(data, methods, alphas, numbers, steps, allowed, settings)
        if shelf:
            plan = Plan(**_tuples(shelf.keep("plan.json", asdict(plan))))
    say(f"about {words_of(plan.seconds)} on this machine: {_work(plan, data)}")
    for line in plan.left_out:
        say(f"left out: {line}")
    study = _studied(data, plan, steps, settings, shelf, progress)
    cosines = None
    if plan.affinity:
        cosines = _affinity_kept(data, plan, steps, device, shelf)
    found = Audit(
        data.name,
        study,
        plan,
        cosines,
        labels_of(data),
        (*notes, f"Data: {data.provenance or data.name}."),
        {
            "seconds": round(time.monotonic() - begin, 1),
            "version": __version__,
            "torch": torch.__version__,
            "source": told.name,
            "options": dict(told.options),
            "steps": steps,
            "rows": len(data.x),
            "features": math.prod(data.x.shape[1:]),
            "split": data.split.kind,
            "parts": [len(p) for p in (data.split.train, data.split.validation, data.split.test)],
        },
    )
    if shelf:
        shelf.keep(FILE, _dumped(found))
    return found


def command(found: Audit) -> str:
    """The command that repeats an audit: the plan itself, whatever budget it came from."""
    made, plan, words = found.made, found.plan, ["python", "-m", "mtl_nt", "report"]
    words.append(made["source"])
    for name, value in made["options"].items():
        if value is None or value == () or value == []:
            continue
        several = isinstance(value, (list, tuple))
        words += [f"--{name}", ",".join(map(str, value)) if several else str(value)]
    words += ["--methods", ";".join(plan.methods)]
    if plan.alphas:
        words += ["--alphas", ",".join(f"{a:g}" for a in plan.alphas)]
    words += ["--seeds", ",".join(map(str, plan.seeds))]
    if made["steps"] is not None:
        words += ["--steps", str(made["steps"])]
    return shlex.join(words)


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
    block = _blocks(data, seeds, settings["memory"])[0]
    arms = [*asked, *at_widths(recipe, WIDTHS)]
    short = {**settings, "progress": False}
    with _cores(data) as (executor, cores):
        first, second = (
            _seconds_by_method(
                compare(data, arms, alphas, block, steps=k, executor=executor, **short)
            )
            for k in PILOT
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
    left = math.inf if budget is None else SPARE * budget - (time.monotonic() - begin)
    room = left - must
    chosen: list[str] = []
    for name in sorted(more, key=more.__getitem__):
        if more[name] <= room:
            room -= more[name]
            chosen.append(name)
        else:
            gone.append(f"{name} (about {words_of(more[name])})")
    total = must + sum(more[name] for name in chosen)
    if budget is not None and must > left:
        gone.append(
            f"nothing else: STL and MTL alone take longer than the {words_of(budget)} there are"
        )
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


def affinity(
    data: TaskData, seeds: Sequence[int], recipe: Recipe, device: str = "cpu"
) -> Float[np.ndarray, "stages T T"]:
    """Cosine of every pair of tasks' gradients at their heads on the shared features (RMTL's, see
    `weighters.RMTL`) in MTL networks: the mean over the batches of a stage (see `STAGES`) in which
    both tasks have a label, and over runs. NaN for a pair that never shares a batch.
    """
    ends = [0]
    for share in STAGES.values():  # a step each at least
        ends.append(max(ends[-1] + 1, round(share * recipe.steps)))
    watch = _Watch(ends[1:])
    train(
        Method("MTL, watched", plain(lambda: watch)),
        [data.run(seed) for seed in seeds],
        seeds,
        recipe,
        device=device,
    )
    return (watch.total / watch.count).nanmean(1).cpu().numpy()


class _Watch(Uniform):
    """MTL's weights; sums the cosines of all pairs of head gradients, stage by stage."""

    def __init__(self, ends: Sequence[int]) -> None:
        super().__init__()
        self.ends, self.seen = ends, 0

    def reset(self, like: Float[torch.Tensor, "R T"]) -> None:
        replicas, tasks = like.shape
        shape = (len(self.ends), replicas, tasks, tasks)
        self.total, self.count = like.new_zeros(shape), like.new_zeros(shape)

    def weights(self, step: Step) -> Float[torch.Tensor, "R T"]:
        stage = min(sum(self.seen >= end for end in self.ends), len(self.ends) - 1)
        direction = normalize(step.head_gradients, dim=2)
        there = step.labelled.to(direction)
        both = there.unsqueeze(1) * there.unsqueeze(2)
        self.total[stage] += both * (direction @ direction.mT)
        self.count[stage] += both
        self.seen += 1
        return super().weights(step)


def labels_of(data: TaskData) -> pd.DataFrame:
    """A row a task: its kind, its labels, and the positives of a binary one."""
    labelled, positive = data.labelled.sum(0), (data.y == 1).sum(0)
    return pd.DataFrame(
        {
            "task": list(data.tasks),
            "kind": list(data.kinds),
            "labels": labelled.tolist(),
            "positives": [
                int(p) if b else None for p, b in zip(positive, data.binary.tolist(), strict=True)
            ],
        }
    ).astype({"positives": "Int64"})


def without(study: Study, methods: Sequence[str]) -> Study:
    """The study without these methods."""
    every = {name: getattr(study, name) for name in TABLES}
    gone = {name: table["method"].isin(methods) for name, table in every.items()}
    return replace(study, **{n: t[~gone[n]].reset_index(drop=True) for n, t in every.items()})


# ---------------------------------------------------------------------------------- time


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


def _work(plan: Plan, data: TaskData) -> str:
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


# ---------------------------------------------------------------------------------- training


def _blocks(data: TaskData, seeds: Sequence[int], memory: float) -> list[Sequence[int]]:
    """Runs that train side by side: all, or as many as their copies of the features allow."""
    at_once = max(1, int(memory * 1e9 / max(_bytes(data), 1)))
    return [seeds[k : k + at_once] for k in range(0, len(seeds), at_once)]


def _bytes(data: TaskData) -> int:
    """What a run's copy of the features takes."""
    return 4 * (len(data.x.on) if isinstance(data.x, Bits) else data.x.numel())


def _studied(
    data: TaskData,
    plan: Plan,
    steps: int | None,
    settings: Mapping[str, Any],
    shelf: _Folder | None,
    progress: bool,
) -> Study:
    arms: list[Method] = methods_of(plan.methods)
    if plan.widths:
        arms += at_widths(Recipe.of(data, steps=steps), WIDTHS)
    studies = []
    with _cores(data) as (executor, cores):
        for block in _blocks(data, plan.seeds, settings["memory"]):
            folder = None if shelf is None else shelf.path / f"runs-{block[0]}-{block[-1]}"
            own = {**settings, "memory": settings["memory"] / cores, "executor": executor}
            given = {**own, "steps": steps, "folder": folder, "progress": progress}
            studies.append(compare(data, arms, plan.alphas, block, **given))
    return joined(studies)


@contextmanager
def _cores(data: TaskData) -> Iterator[tuple[Executor | None, int]]:
    """A thread a core, each of which trains a method: small networks leave no work for two cores.

    Whoever leaves with an error does not wait for what is being trained. Large data, of which each
    thread would have a copy, are for one thread.
    """
    cores = torch.get_num_threads()
    if cores < 2 or _bytes(data) > LARGE:
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


def joined(studies: Sequence[Study]) -> Study:
    """Studies of the same methods on other runs, as one."""
    tables = {
        name: pd.concat([getattr(s, name) for s in studies], ignore_index=True) for name in TABLES
    }
    return replace(studies[0], overlap=float(np.mean([s.overlap for s in studies])), **tables)


def _affinity_kept(
    data: TaskData, plan: Plan, steps: int | None, device: str, shelf: _Folder | None
) -> Float[np.ndarray, "stages T T"]:
    if shelf and (kept := shelf.get("affinity.json")) is not None:
        return np.array(kept, dtype=float)
    recipe = Recipe.of(data, steps=steps)
    blocks = _blocks(data, plan.seeds, 1.0)
    every = [affinity(data, block, recipe, device) * len(block) for block in blocks]
    found: Float[np.ndarray, "stages T T"] = sum(every) / len(plan.seeds)  # type: ignore[assignment]
    found = found.round(4)
    if shelf:
        shelf.keep("affinity.json", found.tolist())
    return found


# ---------------------------------------------------------------------------------- the folder


def _readers() -> list[str]:
    """The modules that read data: another reading is another audit."""
    here = Path(__file__).parent
    return [f"datasets/{path.stem}" for path in sorted((here / "datasets").glob("*.py"))]


def _dumped(found: Audit) -> dict[str, Any]:
    """An audit as JSON can write it."""
    study = found.study
    return {
        "name": found.name,
        "tables": {name: getattr(study, name).to_dict("list") for name in TABLES},
        "metric": dict(study.metric),
        "overlap": study.overlap,
        "recipe": asdict(study.recipe),
        "checkpoint": study.checkpoint,
        "plan": asdict(found.plan),
        "cosines": None if found.cosines is None else found.cosines.tolist(),
        "labels": found.labels.astype(object).where(found.labels.notna(), None).to_dict("list"),
        "notes": list(found.notes),
        "made": dict(found.made),
    }


def _loaded(kept: Mapping[str, Any]) -> Audit:
    tables = {name: pd.DataFrame(table) for name, table in kept["tables"].items()}
    study = Study(
        tables["results"],
        tables["training"],
        tables["history"],
        metric=kept["metric"],
        overlap=kept["overlap"],
        recipe=Recipe(**_tuples(kept["recipe"])),
        checkpoint=kept["checkpoint"],
    )
    cosines = None if kept["cosines"] is None else np.array(kept["cosines"], dtype=float)
    labels = pd.DataFrame(kept["labels"]).astype({"positives": "Int64"})
    plan = Plan(**_tuples(kept["plan"]))
    return Audit(kept["name"], study, plan, cosines, labels, tuple(kept["notes"]), kept["made"])


def _tuples(kept: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where dataclasses have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()}


class _Folder:
    """An audit's folder: JSON files that carry a checksum of themselves and of what is asked."""

    def __init__(self, path: Path, wanted: Mapping[str, Any]) -> None:
        self.path, self.wanted = path, json.loads(json.dumps(wanted))
        try:
            path.mkdir(parents=True, exist_ok=True)
            known = self._label()
            if known is None:
                parts.write(path / "asked.json", json.dumps(self.wanted).encode(), replace=False)
                known = self._label()
        except OSError as error:
            raise BadInput(
                f"results folder {str(path)!r} cannot be used ({error.strerror}); give another"
            ) from None
        if known != self.wanted:
            differ = [
                k
                for k in self.wanted
                if not isinstance(known, dict) or known.get(k) != self.wanted[k]
            ]
            raise BadInput(
                f"results folder {str(path)!r} holds another audit ({', '.join(differ)} differs); "
                "give another folder"
            )

    def _label(self) -> Any:
        try:
            return json.loads((self.path / "asked.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise BadInput(
                f"results folder {str(self.path)!r} cannot be used (asked.json is damaged); "
                "give another folder"
            ) from None

    def get(self, name: str) -> Any:
        """What a file says; None where it is missing or not what was written."""
        try:
            checksum, _, text = (self.path / name).read_text(encoding="utf-8").partition("\n")
        except (OSError, ValueError):
            return None
        return json.loads(text) if checksum == self._checksum(name, text) else None

    def keep(self, name: str, content: Any) -> Any:
        """Write a file, unless a run beside this one has been faster; what it says then."""
        text = json.dumps(content)
        if (there := self.get(name)) is not None:
            return there
        try:
            parts.write(self.path / name, f"{self._checksum(name, text)}\n{text}".encode())
        except OSError as error:
            raise BadInput(f"{self.path / name} cannot be written: {error.strerror}") from None
        return json.loads(text)

    def _checksum(self, name: str, text: str) -> str:
        return hashlib.sha256(json.dumps([self.wanted, name, text]).encode()).hexdigest()
