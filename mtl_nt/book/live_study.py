"""A live cell for a chapter: any method, with any alpha, on any of some data sets, against STL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..datasets import load
from ..errors import BadInput, suggestion
from ..figures import captioned_png, task_differences
from ..figures.picture import Picture
from ..networks import Recipe
from ..study import STL, Method, Study, parse_seeds, resolve_methods, twin
from ..study.comparison import DataSource, draw_runs
from ..study.jobs import run_jobs
from ..study.methods import refusal
from ..study.own_methods import check_methods
from ..study.pieces import RunFacts, join_pieces, piece_job, run_facts
from ..study.progress import ProgressBar
from ..study.result_store import MethodResult
from ..tasks import TaskData
from .live import AnyNumber, Live

OFFLINE = ("digits", "dial-unrelated", "dial-dominant", "dial-noisy", "assays")
"""Data sets that need no download."""
QUICK: dict[str, dict[str, Any]] = {
    # On digits, MTL harms some tasks with these; chosen on other runs than the chapters'.
    "digits": {"trunk": (32,), "learning_rate": 0.03, "steps": 200},
    "assays": {"trunk": (16,), "learning_rate": 0.01, "batch_size": 64, "steps": 100},
}
"""Settings with which a data set is trained in some seconds on one core."""
STEPS = 200  # of all other data sets


def live_study(
    datasets: Sequence[str] = OFFLINE,
    methods: Sequence[str | Method] = ("MTL", "LBTW", "GradNorm", "RMTL", "Uncertainty"),
    alpha: float = 0.5,
    up_to: float = 2.0,
    seeds: int | Sequence[int] = 5,
    load: Callable[[str], DataSource] = load,
    **settings: Any,
) -> Live:
    """Menus of data sets and methods, and an alpha: each change trains, and shows every task.

    STL and its twin are trained once for each data set. Alpha is out of sight where the method has
    none. Training is short, and the runs are few: the intervals show how little that tells.

    Args:
        datasets: names; the first is shown first. A name that is there twice counts once.
        methods: names or `Method`s of your own; the first is shown first.
        alpha: where alpha starts.
        up_to: the largest alpha, unless it starts above. The smallest is 0.
        seeds: the number of runs, or a list of seeds.
        load: gives the data of a name.
        settings: of the training, for every data set (see `mtl_nt.Recipe`). Those that are None
            count as not given; then they are short ones that suit the data set.

    Raises:
        BadInput: no data set, an unknown method or setting, bad seeds, or a bad alpha. What is
            wrong with data that are chosen later is said below the controls.

    >>> live = live_study(["dial"], ["LBTW", "MTL"], seeds=2, steps=2)
    >>> live.values
    {'data': 'dial', 'method': 'LBTW', 'alpha': 0.5}
    >>> "LBTW 0.5: difference from STL in MSE" in live.run_sync()[1]
    True
    """
    names, arms = list(dict.fromkeys(datasets)), {m.name: m for m in resolve_methods(methods)}
    if isinstance(datasets, str) or not names:
        raise BadInput(f"datasets {datasets!r}: give a list of names, one or more")
    known = Recipe.__dataclass_fields__
    if wrong := [name for name in settings if name not in known]:
        raise BadInput(f"unknown training setting {wrong[0]!r}; {suggestion(wrong[0], known)}")
    numbers, benches = parse_seeds(seeds), {}

    def train(
        values: dict[str, Any], progress: Callable[[float, str], None], stop: Callable[[], bool]
    ) -> Picture:
        name, method, at = values["data"], arms[values["method"]], values.get("alpha")
        if name not in benches:
            quick = {"steps": STEPS, **QUICK.get(name, {})}
            given = {key: value for key, value in settings.items() if value is not None}
            benches[name] = Bench.of(load(name), numbers, {**quick, **given})
        study = benches[name].study(method, at, progress, stop)
        return captioned_png(task_differences(study, methods=[method.name]))

    return Live(
        train,
        {
            "data": (names, names[0]),
            "method": (list(arms), next(iter(arms))),
            "alpha": AnyNumber(0, max(up_to, alpha), start=alpha),
        },
        title="Every task against STL",
        needed={"alpha": lambda values: arms[values["method"]].alpha},
    )


@dataclass
class Bench:
    """One data set, and what is trained on it only once.

    Attributes:
        runs, seeds: the data of every seed.
        facts: what is known of each run without training.
        kept: the results of STL and of its twin, by name, once they are trained.
    """

    runs: list[TaskData]
    seeds: list[int]
    facts: dict[int, RunFacts]
    kept: dict[str, MethodResult]

    @classmethod
    def of(cls, data: DataSource, seeds: list[int], settings: Mapping[str, Any]) -> Bench:
        """The runs of a data set with these settings of the training."""
        runs = draw_runs(data, seeds)
        runs = [
            replace(run, recipe={**run.recipe, **settings}, single={**run.single, **settings})
            for run in runs
        ]
        return cls(runs, seeds, dict(zip(seeds, map(run_facts, runs, seeds), strict=True)), {})

    def study(
        self,
        method: Method,
        alpha: float | None,
        progress: Callable[[float, str], object],
        stop: Callable[[], bool],
    ) -> Study:
        """Train a method, and STL where it is not trained yet, and compare the two.

        Raises:
            BadInput: the method cannot train these tasks.
            Stopped: `stop` has returned True.
        """
        if why := refusal(method, self.runs[0]):
            raise BadInput(f"{method.name} {why}; choose another method or other data")
        arms = {arm.name: arm for arm in (STL, twin(STL), method)}
        jobs = {
            name: piece_job(arm, self.runs, self.seeds, [] if alpha is None else [alpha])
            for name, arm in arms.items()
            if name not in self.kept
        }
        check_methods(jobs.values())
        found, bar = dict(self.kept), ProgressBar(progress, jobs)
        for name, result in run_jobs(jobs, None, None, bar, stop):
            found[name] = result
            if name != method.name:
                self.kept[name] = result
        return join_pieces([found[name] for name in arms], self.facts, self.seeds)
