"""A plan per task: STL, MTL or a remedy for each task, and what such a choice is worth.

A choice looks better on the rows that made it than on others (the winner's curse). So every plan
has two gains. The *apparent* gain is counted on the rows that chose. The *left-out* gain of a run
is counted on its test rows, where the validation rows of the other runs have chosen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from ..errors import BadInput, suggestion
from ..networks import Recipe
from .arms import Arm
from .methods import CONSTANT
from .transfer import HARMED, HELPED, NOT_LEARNED, paired_test, standard_errors
from .verdicts import groups_of, has_one_unit, sizes_of

if TYPE_CHECKING:
    from .study import Study

SHARED = "MTL"
"""The method that trains one network for all tasks, and that a plan is compared with."""
CONTROL = re.compile(r", (shuffled|permuted|frozen)$")
"""The names of controls, which nobody would train for their own sake."""
STANDARD_ERRORS = "standard errors"
"""The unit of a mean over tasks of several metrics or units."""
VALIDATION, TEST = "validation rows", "test rows of the other runs"
SAME_TEST = "the test rows, which are the same in every run"
"""The rows that a plan is chosen on."""


class Interval(NamedTuple):
    """A mean over tasks, and its 95% interval over runs, which is NaN with one run alone."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class TaskPlan:
    """Which method trains each task, and what this is worth. Above 0 is better than the baseline.

    Attributes:
        table: one row for each task. Columns: task; choice (in words); why; apparent and left_out
            (the expected gain in the task's metric); networks (that one run trains for this choice,
            of a tuned method the chosen candidate's; tasks with the same one share it); seconds (of
            their training).
        choices: the method and alpha of each task.
        apparent: the mean gain over the tasks that are learned, on the rows that chose.
        left_out: the same on rows that did not choose, with its 95% interval.
        below: how many tasks are worse than the baseline in a run under the plan, on average.
        below_mtl: the same under MTL; NaN without MTL.
        chosen_on: the rows that chose, in words.
        unit: of `apparent` and `left_out`: the metric, or "standard errors" where tasks differ.
        baseline: the method that a gain is counted from.
        networks, seconds: what one run of the whole plan trains.
        dataset: the name of the data.
        recipe: the settings of the training; None where somebody else has trained.
        candidates: of each tuned method in the plan, the number of the candidate that most runs
            chose, and how many candidates there were.
        settings: of each method in the plan whose settings are known, those that differ from
            `recipe`.

    >>> from mtl_nt.study import stored
    >>> plan = stored("cure-unrelated").task_plan(["MTL"])
    >>> print(plan)  # doctest: +ELLIPSIS
    This plan: left out +... on average (apparent +...), ... tasks below STL per run where MTL ...
    """

    table: pd.DataFrame
    choices: Mapping[str, Arm]
    apparent: float
    left_out: Interval
    below: float
    below_mtl: float
    chosen_on: str
    unit: str
    baseline: str
    networks: int
    seconds: float
    dataset: str = ""
    recipe: Recipe | None = None
    candidates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def digits(self) -> int:
        """The decimals of a gain: as many as its interval deserves."""
        _, low, high = self.left_out
        return _digits(high - low if math.isfinite(low) else self.apparent)

    def __str__(self) -> str:
        mean, low, high = self.left_out
        if not math.isfinite(self.apparent):
            return f"This plan: {self.baseline} for every task, as no task could be compared."
        if self.choices and all(name == self.baseline for name, _ in self.choices.values()):
            return (
                f"This plan: {self.baseline} for every task. No other method was clearly better on "
                f"{self.chosen_on}."
            )
        digits = self.digits
        interval = f" [{low:.{digits}f}, {high:.{digits}f}]" if math.isfinite(low) else ""
        unit = f" {self.unit}" if self.unit == STANDARD_ERRORS else ""
        said = f"This plan: apparent {self.apparent:+z.{digits}f}{unit} on average"
        if math.isfinite(mean):  # the gain to expect comes first
            said = (
                f"This plan: left out {mean:+z.{digits}f}{interval}{unit} on average "
                f"(apparent {self.apparent:+z.{digits}f})"
            )
        if math.isfinite(self.below):
            count = f"{self.below:.1f}".removesuffix(".0")
            said += f", {count} task{'' if count == '1' else 's'} below {self.baseline} per run"
            if math.isfinite(self.below_mtl):
                said += f" where {SHARED} has " + f"{self.below_mtl:.1f}".removesuffix(".0")
        return f"{said}."


def task_plan(study: Study, candidates: Sequence[str] | None = None) -> TaskPlan:
    """Choose the baseline, MTL or a remedy for each task. `Study.task_plan` has the arguments.

    The better of the baseline and MTL is the first choice. A remedy takes its place only where it
    is better by more than one standard error of their difference. Where nobody has learned a task,
    the baseline stays: there is nothing to gain.

    The choice is made on validation rows. A study without validation scores, such as one of scores
    that somebody else has trained, chooses on test rows, and `chosen_on` says so. The gain left out
    is then counted on the test rows of the one run that did not choose. Where all runs have the
    same test rows, none are left out, and that gain is NaN.

    >>> from mtl_nt.study import stored
    >>> plan = task_plan(stored("cure-unrelated"), ["MTL"])
    >>> plan.choices["outsider 1"][0]
    'STL'
    """
    arms = _arms(study, candidates)
    tasks = [str(task) for task in study.scores(*_named(arms[0]))]
    test = np.stack([_signed_scores(study, arm) for arm in arms])  # [A, S, T], higher is better
    validation = _validation_scores(study, arms, tasks)
    fixed = {*study.results["split"]} == {"fixed"}
    chosen_on = VALIDATION if validation is not None else SAME_TEST if fixed else TEST
    scores = test if validation is None else validation
    able = np.isfinite(test).all(1) & np.isfinite(scores).all(1)  # [A, T]
    scored = able[0] & able[1:].any(0)
    learned = _learned(study, arms, tasks)
    shared = next((a for a, (name, _) in enumerate(arms) if name == SHARED and a), None)

    alone = study.scores(*_named(arms[0]))
    size, groups = sizes_of(study, alone, None), groups_of(study, alone, None)

    def choose(runs: Bool[np.ndarray, " S"]) -> Int[np.ndarray, " T"]:
        choice = _best_arms(scores[:, runs] / size, able, shared, study.overlap, groups)
        return np.where(scored & learned, choice, 0)

    runs, columns = test.shape[1], np.arange(len(tasks))
    choice = choose(np.ones(runs, dtype=bool))
    apparent = (scores - scores[:1])[choice, :, columns].mean(1)
    gains = np.full((runs, len(tasks)), math.nan)  # on rows that did not choose
    for run in range(runs):
        others = np.arange(runs) != run
        if chosen_on != SAME_TEST and (runs > 1 or validation is not None):
            by = choose(others if runs > 1 else ~others)
            gains[run] = test[by, run, columns] - test[0, run]
    below = below_mtl = math.nan
    counted = scored & learned
    unit, scale = _unit(study, test, alone, counted if counted.any() else scored)
    if np.isfinite(gains[:, counted]).all():
        below = float((gains[:, counted] < 0).sum(1).mean())
    if shared is not None:
        below_mtl = float(((test[shared] - test[0])[:, counted] < 0).sum(1).mean())
    left_out = _interval((gains / scale)[:, counted], study.overlap)
    costs = {arm: _cost(study, arm, len(tasks)) for arm in arms}
    chosen = [arms[c] for c in choice]
    table = study.transfer()
    of_mtl = table[(table["method"] == SHARED) & (shared is not None)]
    verdicts = dict(zip(of_mtl["task"], of_mtl["verdict"], strict=True))
    rows = [
        {
            "task": task,
            "choice": arm_words(chosen[t]),
            "why": _why(
                study.baseline, chosen[t], verdicts.get(task, ""), bool(scored[t]), bool(learned[t])
            ),
            "apparent": float(apparent[t]) if scored[t] else math.nan,
            "left_out": float(gains[:, t].mean()) if scored[t] else math.nan,
            "networks": costs[chosen[t]].networks,
            "seconds": costs[chosen[t]].seconds,
        }
        for t, task in enumerate(tasks)
    ]
    by_arm: dict[Arm, list[str]] = {}
    for task, arm in zip(tasks, chosen, strict=True):
        by_arm.setdefault(arm, []).append(task)
    total = _total_cost(by_arm, costs)
    return TaskPlan(
        table=pd.DataFrame(rows),
        choices=dict(zip(tasks, chosen, strict=True)),
        apparent=float((apparent / scale)[counted].mean()) if counted.any() else math.nan,
        left_out=left_out,
        below=below,
        below_mtl=below_mtl,
        chosen_on=chosen_on,
        unit=unit,
        baseline=study.baseline,
        networks=total[0],
        seconds=total[1],
        dataset=str(study.results["dataset"].iloc[0]),
        recipe=study.recipe,
        candidates=_candidates(study, [*dict.fromkeys(chosen)]),
        settings=_own_settings(study, [*dict.fromkeys(chosen)]),
    )


def arm_words(arm: Arm) -> str:
    """A method and its alpha in words.

    >>> arm_words(("LBTW", 0.5)), arm_words(("MTL", None))
    ('LBTW (alpha 0.5)', 'MTL')
    """
    return arm[0] if arm[1] is None else f"{arm[0]} (alpha {arm[1]:g})"


def _named(arm: Arm) -> tuple[str, float]:
    return arm[0], math.nan if arm[1] is None else arm[1]


def _arms(study: Study, candidates: Sequence[str] | None) -> list[Arm]:
    """The baseline first, and then every arm that a task may have."""
    known = [(m, None if math.isnan(a) else a) for m, a in study.arms()]
    networks = study.training.groupby("method")["networks"].max()
    predictors = {*networks.index[networks == 0]}  # a plan trains networks
    if candidates is None:
        apart = {CONSTANT, study.null, *study.baselines, *predictors}
        wanted = [arm for arm in known if arm[0] not in apart and not CONTROL.search(arm[0])]
    else:
        names = [candidates] if isinstance(candidates, str) else [*candidates]
        for name in names:
            if name != study.baseline and name not in (method for method, _ in known):
                there = dict.fromkeys(method for method, _ in known)
                raise BadInput(f"no results of {name!r}; {suggestion(name, there)}")
            if name in predictors - {study.baseline} and len(study.validation):
                raise BadInput(
                    f"{name!r} has no scores on validation rows, by which a plan chooses; leave it "
                    "out, and read in `transfer` for which tasks it is better"
                )
        wanted = [arm for arm in known if arm[0] in names]
    if not wanted:
        raise BadInput(f"a plan needs a method to choose beside {study.baseline}; give one")
    return [(study.baseline, None), *wanted]


def _signed_scores(study: Study, arm: Arm) -> Float[np.ndarray, "S T"]:
    """The scores on test rows, higher is better."""
    table = study.scores(*_named(arm))
    sign = [study.sign(study.metric[str(task)]) for task in table]
    return table.to_numpy(dtype=float) * sign


def _validation_scores(
    study: Study, arms: Sequence[Arm], tasks: Sequence[str]
) -> Float[np.ndarray, "A S T"] | None:
    """The scores on validation rows, higher is better; None where the baseline has none.

    An arm without any, such as a method without networks, is NaN, and is not chosen.
    """
    rows = study.validation
    if not (rows["method"] == study.baseline).any() or rows["value"].isna().all():
        return None
    seeds = study.scores(*_named(arms[0])).index
    found = []
    for method, alpha in arms:
        alphas = rows["alpha"].isna() if alpha is None else rows["alpha"] == alpha
        wide = rows[(rows["method"] == method) & alphas].pivot(
            index="seed", columns="task", values="value"
        )
        found.append(wide.reindex(index=seeds, columns=list(tasks)).to_numpy(dtype=float))
    return np.stack(found)


def _learned(study: Study, arms: Sequence[Arm], tasks: Sequence[str]) -> Bool[np.ndarray, " T"]:
    """Whether the baseline or any arm learned each task."""
    table = study.transfer()
    judged = table[table["method"].isin([name for name, _ in arms])]
    lost = judged.assign(lost=judged["verdict"] == NOT_LEARNED).groupby("task")["lost"].all()
    return ~lost.reindex(list(tasks), fill_value=False).to_numpy(dtype=bool)


def _best_arms(
    scores: Float[np.ndarray, "A S T"],
    able: Bool[np.ndarray, "A T"],
    shared: int | None,
    overlap: float,
    groups: Sequence[str],
) -> Int[np.ndarray, " T"]:
    """The number of the arm that these runs choose for each task; 0 is the baseline.

    Args:
        scores: higher is better; each task's divided by its size (see `sizes_of`).
        groups: see `groups_of`.
    """
    tasks = scores.shape[2]
    mean = np.where(able, scores.mean(1), -math.inf)
    choice, columns = np.zeros(tasks, dtype=int), np.arange(tasks)
    if shared is not None:
        choice[mean[shared] > mean[0]] = shared
    plain = scores[choice, :, columns].T  # [S, T]: the better of the baseline and MTL
    best = np.full(tasks, -math.inf)
    for arm in range(1, len(scores)):
        if arm == shared:
            continue
        ahead = scores[arm] - plain
        gain = np.where(able[arm], ahead.mean(0), -math.inf)
        # With one run nobody knows the noise, and there is no remedy.
        surely = gain > standard_errors(ahead, overlap, groups)
        taken = surely & (mean[arm] > best)
        choice[taken], best[taken] = arm, mean[arm, taken]
    return choice


def _unit(
    study: Study,
    test: Float[np.ndarray, "A S T"],
    alone: pd.DataFrame,
    counted: Bool[np.ndarray, " T"],
) -> tuple[str, Float[np.ndarray, " T"]]:
    """The unit of a mean over tasks, and what each task's gains are divided by.

    Args:
        alone: the baseline's scores by seed and task.
        counted: the tasks of the mean.
    """
    own = alone.loc[:, counted]
    if not counted.any() or has_one_unit(study, own, None):
        return next((study.metric[str(task)] for task in own), ""), np.ones(len(counted))
    size = sizes_of(study, alone, None)
    errors = standard_errors(
        (test[1] - test[0]) / size, study.overlap, groups_of(study, alone, None)
    )
    return STANDARD_ERRORS, size * np.where(errors > 0, errors, 1.0)


def _interval(gains: Float[np.ndarray, "S T"], overlap: float) -> Interval:
    """The mean over tasks with its 95% interval over runs.

    Any two runs were judged by choices that share most of their runs, as the training sets of two
    folds share most of their rows. So the variance is corrected as for S folds, of which one is
    tested for S - 1 that choose (Nadeau and Bengio 2003). Without this, the interval of a choice
    between STL and itself misses 0 in up to 11 % of simulated studies; with it, in 3 to 4 %.
    """
    if not gains.size or not np.isfinite(gains).all():
        return Interval(math.nan, math.nan, math.nan)
    shared = 1 / (len(gains) - 1) if len(gains) > 1 else 0.0
    test = paired_test(gains.mean(1, keepdims=True), overlap + shared)
    return Interval(float(test.mean[0]), float(test.low[0]), float(test.high[0]))


def _candidates(study: Study, arms: Sequence[Arm]) -> dict[str, tuple[int, int]]:
    """What `TaskPlan.candidates` says of these arms."""
    found = {}
    for method, _ in arms:
        rows = study.training[study.training["method"] == method]
        if len(rows) and int(rows["candidates"].max()) > 1:
            chosen = int(rows["chosen"].mode().iloc[0])  # the first of those that are as frequent
            found[method] = chosen, int(rows["candidates"].max())
    return found


def _own_settings(study: Study, arms: Sequence[Arm]) -> dict[str, dict[str, Any]]:
    """What `TaskPlan.settings` says of these arms."""
    if study.recipe is None:
        return {}
    names = [f.name for f in fields(Recipe)]
    return {
        method: {
            name: value
            for name in names
            if (value := getattr(study.recipes[method], name)) != getattr(study.recipe, name)
        }
        for method, _ in arms
        if method in study.recipes
    }


class _Cost(NamedTuple):
    """What a choice costs in one run.

    Attributes:
        networks, seconds: for one task.
        most: the networks of as many tasks as one likes; infinite where each task has its own.
    """

    networks: int
    seconds: float
    most: float = math.inf

    def all_of(self, tasks: int) -> tuple[int, float]:
        """The networks and seconds of so many tasks."""
        networks = min(tasks * self.networks, self.most)
        return int(networks), self.seconds * networks / max(self.networks, 1)


def _total_cost(
    chosen: Mapping[Arm, Sequence[str]], costs: Mapping[Arm, _Cost]
) -> tuple[int, float]:
    """The networks and seconds of a whole plan, in which each arm has these tasks.

    Two tasks that are each other's partner share the network of their pair.
    """
    from .sharing import PARTNER

    every = [costs[arm].all_of(len(tasks)) for arm, tasks in chosen.items()]
    pairs = [
        (task, arm[0].removeprefix(PARTNER), costs[arm])
        for arm, tasks in chosen.items()
        if arm[0].startswith(PARTNER)
        for task in tasks
    ]
    names = {(task, partner) for task, partner, _ in pairs}
    shared = [cost for task, partner, cost in pairs if task < partner and (partner, task) in names]
    return (
        sum(networks for networks, _ in every) - sum(cost.networks for cost in shared),
        sum(seconds for _, seconds in every) - sum(cost.seconds for cost in shared),
    )


def _cost(study: Study, arm: Arm, tasks: int) -> _Cost:
    """What an arm costs for one task, from what the study's trainings took.

    A group has a network, and so has a pair. A grouping that was found needs all networks that were
    trained to find it.
    """
    from .sharing import FOUND, GROUPS, PARTNER

    rows = study.training[study.training["method"] == arm[0]]
    if arm[1] is not None:
        rows = rows[rows["alpha"] == arm[1]]
    if not len(rows):
        return _Cost(0, 0.0)
    candidates = rows["candidates"].to_numpy()
    networks, seconds = (
        float((rows[name].to_numpy() / candidates).mean()) for name in ("networks", "seconds")
    )
    if arm[0] == GROUPS or arm[0].startswith(PARTNER):
        return _Cost(1, seconds / max(networks, 1), round(networks))
    if 0 < networks < tasks or arm[0] == FOUND:  # as many networks as stages of training
        return _Cost(round(networks), seconds, round(networks))
    return _Cost(round(networks / tasks), seconds / tasks)


def _why(baseline: str, arm: Arm, verdict: str, scored: bool, learned: bool) -> str:
    """Why a task has its choice, in few words.

    Args:
        verdict: of MTL, or nothing where it is not compared.
    """
    if not scored:
        return "not scored"
    if not learned:
        return NOT_LEARNED
    if arm[0] == baseline:
        if verdict == HARMED:
            return f"{SHARED} harms it"
        return f"{SHARED} is no better" if verdict else "nothing is better"
    if arm[0] == SHARED:
        return f"{SHARED} helps it" if verdict == HELPED else f"{SHARED} is better, undecided"
    if not verdict:
        return f"better than {baseline}"
    if verdict == HARMED:
        return f"{SHARED} harms it, this is better"
    return f"better than {baseline} and {SHARED}"


def _digits(width: float) -> int:
    """Decimals with which a width has two significant digits, and at least two."""
    if not math.isfinite(width) or width == 0:
        return 3
    return min(8, max(2, 1 - math.floor(math.log10(abs(width)))))
