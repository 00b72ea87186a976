"""Which tasks should share a network: groups, every pair, and groups found from the pairs.

A set of tasks has one network. Its row of the weight matrix is 1 for the tasks of the set, and 0
for all others, and its batches are of rows that are labelled for the set. All sets of a run train
side by side, in one stack.

`add_sharing` trains groups that somebody names, and all pairs of tasks. A pair shows what a task
gains or loses by one partner, which is called measured transfer. From the pairs, each run finds the
groups that promise most on its validation rows. These groups are trained too.

Source: T. Standley, A. R. Zamir, D. Chen, L. Guibas, J. Malik and S. Savarese, Which Tasks Should
Be Learned Together in Multi-task Learning?, ICML 2020, which predicts a larger set from its pairs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput, suggestion
from ..networks import Recipe
from ..tasks import TaskData
from ..training import Replicas, fit, has_several_metrics
from ..weighters import Uniform
from .chunks import limited_threads
from .scoring import result_rows, still_improving
from .study import Study
from .transfer import paired_test
from .verdicts import groups_of, sizes_of

TaskSet = tuple[int, ...]
"""The numbers of the tasks that share a network, in ascending order."""
GROUPS, FOUND = "Groups", "Groups, found"
"""The names of the methods that train the groups that somebody names, and those that pairs find."""
PARTNER = "with "
"""How the name of a method begins in which every task has the same partner, as in "with LogD"."""
MOST_TASKS = 13
"""With more tasks, all ways to group them take too long to compare."""


class TrainedSets(NamedTuple):
    """What the networks of one run have learned, for each of `K` sets of tasks."""

    sets: tuple[TaskSet, ...]
    outputs: Float[Tensor, "K N O"]  # on the test rows; 0 for tasks outside the set
    validation: Float[Tensor, "K T"]  # scores, higher is better; NaN outside the set
    loss: Float[Tensor, "E K"]  # over time
    watched: str  # which rows this loss is of, "validation" or "training"
    diverged: tuple[bool, ...]
    seconds: float


def add_sharing(
    study: Study,
    runs: Sequence[TaskData],
    recipe: Recipe,
    groups: Mapping[str, Sequence[str]] | None = None,
    executor: Executor | None = None,
) -> Study:
    """Add groups, pairs, and groups found from the pairs to a study of the same runs.

    The study gets these methods:

    - "Groups": every named group of tasks has a network.
    - "with A", for every task A: every other task shares a network with A alone. For A itself, the
      method has what A's twin has, so that chance stands beside the rest.
    - "Groups, found": each run takes the grouping with the largest sum of the gains that pairs had
      over STL on its own validation rows. Where tasks have several metrics, each task's gains are
      divided by their usual size (see `usual_gains`).

    Args:
        study: results of `compare`, with STL, its twin, and scores on validation rows.
        runs: the data of every run, in the order of the study's seeds.
        recipe: the settings of the training.
        groups: the tasks of every group by its name; by default those of the data.
        executor: trains the runs, as in `compare`.

    Raises:
        BadInput: no groups are known, a task is in none or in two of them, there are more than 13
            tasks, or the study has no scores on validation rows.

    >>> from mtl_nt import compare, load
    >>> data, recipe = load("dial", tasks=(2, 1)), Recipe(trunk=(4,), steps=2)
    >>> settings = {"seeds": 2, "trunk": (4,), "steps": 2, "progress": False}
    >>> study = add_sharing(compare(data, "MTL", **settings), [data, data.for_seed(1)], recipe)
    >>> [method for method, _ in study.arms() if method.startswith("with")]
    ['with related 1', 'with related 2', 'with outsider 1']
    """
    tasks, seeds = runs[0].tasks, _seeds(study)
    named = _named_sets(runs[0], groups)
    if len(tasks) > MOST_TASKS:
        raise BadInput(
            f"data set {runs[0].name!r}: pairs of {len(tasks)} tasks; give {MOST_TASKS} tasks or "
            "fewer"
        )
    alone = _alone(study, seeds, tasks)
    pairs: list[TaskSet] = [*combinations(range(len(tasks)), 2)]
    first = [*pairs, *(group for group in named if group not in pairs)]
    plain = [replace(run, redraw=None) for run in runs]  # which another process can get
    trained = _each(executor, plain, seeds, recipe, [first] * len(runs))
    gains = [pair_gains(*each) for each in zip(trained, alone, strict=True)]
    if has_several_metrics(runs[0]):
        gains = [usual_gains(each) for each in gains]
    found = [best_grouping(each) for each in gains]
    later = [[group for group in grouping if group not in first] for grouping in found]
    more = _each(executor, plain, seeds, recipe, later)
    trained = [_joined(*each) for each in zip(trained, more, strict=True)]
    methods: list[tuple[str, list[list[TaskSet]]]] = [
        (GROUPS, [named] * len(runs)),
        (FOUND, found),
        *((PARTNER + t, [[p for p in pairs if k in p]] * len(runs)) for k, t in enumerate(tasks)),
    ]
    results, training, validation = [], [], []
    for name, groupings in methods:
        for run, seed, sets, grouping in zip(runs, seeds, trained, groupings, strict=True):
            outputs, scores = _taken(sets, grouping, run.task_of_output)
            results += result_rows(run, name, math.nan, seed, outputs)
            arm = {"method": name, "alpha": math.nan, "seed": seed}
            validation += [
                {**arm, "task": task, "value": value}
                for task, value in zip(tasks, scores.tolist(), strict=True)
            ]
            searched = len(pairs) if name == FOUND else 0
            training.append({**arm, **_training_row(sets, grouping, searched, recipe)})
    tables = [pd.DataFrame(results), pd.DataFrame(validation)]
    tables = [
        _with_own_twin(table, whole, f"{study.baseline}'")
        for table, whole in zip(tables, (study.results, study.validation), strict=True)
    ]
    return replace(
        study,
        results=pd.concat([study.results, tables[0]], ignore_index=True),
        training=pd.concat([study.training, pd.DataFrame(training)], ignore_index=True),
        validation=pd.concat([study.validation, tables[1]], ignore_index=True),
    )


def train_sets(run: TaskData, seed: int, recipe: Recipe, sets: Sequence[TaskSet]) -> TrainedSets:
    """Train one network for every set of tasks, all side by side, on one run.

    Args:
        run: the data.
        seed: of initialisation and batches, the same for every network.
        recipe: the settings of the training.
        sets: the numbers of the tasks of every set.

    >>> from mtl_nt import load
    >>> trained = train_sets(load("dial"), 0, Recipe(trunk=(4,), steps=2), [(0, 1), (0, 2, 8)])
    >>> trained.validation.isfinite().sum(1)
    tensor([2, 3])
    """
    tasks, rows = len(run.tasks), len(run.split.test)
    watched = "validation" if len(run.split.validation) else "training"
    if not sets:
        columns = len(run.task_of_output)
        empty = torch.zeros(0, rows, columns), torch.zeros(0, tasks), torch.zeros(0, 0)
        return TrainedSets((), *empty, watched, (), 0.0)
    begin = time.perf_counter()
    trained = torch.zeros(len(sets), tasks, dtype=torch.bool)
    for k, members in enumerate(sets):
        trained[k, list(members)] = True
    zero = torch.zeros(len(sets), dtype=torch.int64)
    replicas = Replicas(
        zero, zero + seed, trained, trained, torch.arange(len(sets)), focus=zero - 1
    )
    with limited_threads(run, replicas, recipe):
        fitted = fit([run], replicas, Uniform(), recipe, score_validation=True)
    scores = torch.full(trained.shape, math.nan, dtype=torch.float64)
    if len(fitted.scores):
        scores[trained] = fitted.scores[-1]
    history = fitted.history
    curve = history.validation if len(history.validation) else history.losses
    curve = torch.where(trained, curve.double().cpu(), math.nan).nanmean(2)
    return TrainedSets(
        tuple(sets),
        fitted.predictions.cpu(),
        scores,
        curve,
        watched,
        tuple(history.diverged.tolist()),
        time.perf_counter() - begin,
    )


def pair_gains(trained: TrainedSets, alone: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T T"]:
    """What every task gains by every partner, on validation rows: row is partner, column is task.

    Args:
        trained: the networks of all pairs, maybe of other sets too.
        alone: the validation scores of single-task networks.

    >>> pair = TrainedSets(((0, 1),), torch.zeros(1, 1, 2), torch.tensor([[2.0, 5.0]]).double(),
    ...     torch.zeros(1, 1), "validation", (False,), 0.0)
    >>> pair_gains(pair, np.array([1.0, 7.0])).tolist()
    [[0.0, -2.0], [1.0, 0.0]]
    """
    gains = np.zeros((len(alone), len(alone)))
    for members, scores in zip(trained.sets, trained.validation.numpy(), strict=True):
        if len(members) == 2:
            one, two = members
            gains[one, two], gains[two, one] = scores[two] - alone[two], scores[one] - alone[one]
    return np.nan_to_num(gains)  # a task without validation labels says nothing


def usual_gains(gains: Float[np.ndarray, "T T"]) -> Float[np.ndarray, "T T"]:
    """The gains of each task in units of their usual size, so that several metrics can be added up.

    The usual size of a task's gains is their median size, or the root of their mean square where
    most are 0. A gain of many such units counts by its logarithm (asinh). A gain keeps its sign,
    and the gains of a task keep their order.

    Args:
        gains: what every task (column) gains by every partner (row).

    The third task is judged by another metric than the first two:

    >>> gains = np.array([[0, 0.02, 500.0], [0.02, 0, -500.0], [0.02, -0.02, 0]])
    >>> usual_gains(gains).round(2).tolist()
    [[0.0, 0.88, 0.88], [0.88, 0.0, -0.88], [0.88, -0.88, 0.0]]
    """
    tasks = len(gains)
    others = gains.T[~np.eye(tasks, dtype=bool)].reshape(tasks, max(tasks - 1, 0))
    if tasks < 2:
        return gains
    size = np.median(np.abs(others), 1)
    size = np.where(size > 0, size, np.sqrt(np.square(others).mean(1)))
    return np.asarray(np.arcsinh(gains / np.where(size > 0, size, 1.0)))


def best_grouping(gains: Float[np.ndarray, "T T"]) -> list[TaskSet]:
    """The grouping of all tasks that promises most.

    A task of a group is promised the mean of what it gains by each of the others, and a task alone
    gains nothing. The sum of these promises is compared for all groupings.

    Args:
        gains: what every task (column) gains by every partner (row), in units that can be added up
            (see `usual_gains`).

    Raises:
        BadInput: more than 13 tasks.

    The first two help each other, and the third harms both:

    >>> best_grouping(np.array([[0, 2.0, 1.0], [1.0, 0, 1.0], [-1.0, -3.0, 0]]))
    [(0, 1), (2,)]
    """
    tasks = len(gains)
    if tasks > MOST_TASKS:
        raise BadInput(f"groupings of {tasks} tasks; give {MOST_TASKS} tasks or fewer")
    off = gains - np.diag(np.diag(gains))
    promise = np.zeros(2**tasks)
    for mask in range(1, 2**tasks):
        members = _members(mask)
        if len(members) > 1:
            promise[mask] = off[np.ix_(members, members)].sum() / (len(members) - 1)
    best, choice = np.full(2**tasks, -np.inf), np.zeros(2**tasks, int)
    best[0] = 0.0
    for mask in range(1, 2**tasks):
        lowest = mask & -mask
        rest = part = mask ^ lowest
        while True:  # every set that has the lowest task
            value = promise[part | lowest] + best[rest ^ part]
            if value > best[mask]:
                best[mask], choice[mask] = value, part | lowest
            if part == 0:
                break
            part = (part - 1) & rest
    grouping, left = [], 2**tasks - 1
    while left:
        grouping.append(tuple(_members(choice[left])))
        left ^= int(choice[left])
    return sorted(grouping)


def _members(mask: int) -> list[int]:
    return [k for k in range(int(mask).bit_length()) if int(mask) >> k & 1]


def _named_sets(data: TaskData, groups: Mapping[str, Sequence[str]] | None) -> list[TaskSet]:
    """The numbers of the tasks of every group, each task in one group."""
    where = f"data set {data.name!r}"
    if groups is None:
        if data.groups is None:
            raise BadInput(f"{where}: no groups of its tasks are known; give groups")
        of_task = dict(zip(data.tasks, data.groups, strict=True))
        names = [*dict.fromkeys(data.groups)]
        groups = {name: [t for t in data.tasks if of_task[t] == name] for name in names}
    listed = [task for members in groups.values() for task in members]
    for task in listed:
        if task not in data.tasks:
            raise BadInput(f"{where}: unknown task {task!r}; {suggestion(task, data.tasks)}")
    for task in data.tasks:
        if listed.count(task) != 1:
            raise BadInput(
                f"{where}: task {task!r} is in {listed.count(task)} groups; put it into one"
            )
    numbers = [sorted(data.tasks.index(t) for t in members) for members in groups.values()]
    return [tuple(members) for members in numbers if members]


def _seeds(study: Study) -> list[int]:
    """In the order of the runs, which need not be that of the numbers."""
    return [int(seed) for seed in study.results["seed"].unique()]


def _alone(
    study: Study, seeds: Sequence[int], tasks: Sequence[str]
) -> list[Float[np.ndarray, " T"]]:
    """The validation scores of the baseline, for every run."""
    rows = study.validation[study.validation["method"] == study.baseline]
    if not len(rows):
        raise BadInput("groups are found by scores on validation rows; give the data some")
    table = rows.pivot(index="seed", columns="task", values="value")
    return [table.loc[seed, [*tasks]].to_numpy(float) for seed in seeds]


def _each(
    executor: Executor | None,
    runs: Sequence[TaskData],
    seeds: Sequence[int],
    recipe: Recipe,
    sets: Sequence[Sequence[TaskSet]],
) -> list[TrainedSets]:
    """The networks of every run, trained here or on an executor."""
    jobs = [(run, seed, recipe, own) for run, seed, own in zip(runs, seeds, sets, strict=True)]
    if executor is None:
        return [train_sets(*job) for job in jobs]
    futures = [executor.submit(train_sets, *job) for job in jobs]
    return [future.result() for future in futures]


def _joined(one: TrainedSets, two: TrainedSets) -> TrainedSets:
    """The networks of both, which are of the same run."""
    if not two.sets:
        return one
    return TrainedSets(
        one.sets + two.sets,
        torch.cat([one.outputs, two.outputs]),
        torch.cat([one.validation, two.validation]),
        torch.cat([one.loss, two.loss], 1),
        one.watched,
        one.diverged + two.diverged,
        one.seconds + two.seconds,
    )


def _taken(
    trained: TrainedSets, grouping: Sequence[TaskSet], task_of_output: Int[Tensor, " O"]
) -> tuple[Float[Tensor, "N O"], Float[Tensor, " T"]]:
    """Every task's predictions and validation score, from its set in this grouping.

    A task in several sets has those of the last one.
    """
    outputs = torch.zeros_like(trained.outputs[0])
    scores = torch.full_like(trained.validation[0], math.nan)
    for group in grouping:
        k, members = trained.sets.index(group), list(group)
        own = torch.isin(task_of_output, torch.tensor(members))
        outputs[:, own] = math.nan if trained.diverged[k] else trained.outputs[k][:, own]
        scores[members] = math.nan if trained.diverged[k] else trained.validation[k, members]
    return outputs, scores


def _training_row(
    trained: TrainedSets, grouping: Sequence[TaskSet], searched: int, recipe: Recipe
) -> dict[str, Any]:
    """What the training of one run cost, and how it ended.

    Args:
        searched: the number of networks that were trained to find the grouping.
    """
    own = [trained.sets.index(group) for group in grouping]
    curve = trained.loss[:, own].mean(1).numpy()
    networks = searched + len(own)
    return {
        "networks": networks,
        "steps": recipe.steps,
        "seconds": trained.seconds * networks / len(trained.sets),
        "candidates": 1,
        "chosen": 0,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "watched": trained.watched,
        "loss": float(curve[-1]),
        "diverged": any(trained.diverged[k] for k in own),
        "still_improving": still_improving(curve),
    }


def _with_own_twin(table: pd.DataFrame, study: pd.DataFrame, twin: str) -> pd.DataFrame:
    """The table, in which a task that is its own partner has what its twin has in the study."""
    key = [name for name in ("seed", "task", "metric") if name in table]
    known = study[study["method"] == twin].set_index(key)["value"]
    own = (PARTNER + table["task"]) == table["method"]
    keys = pd.MultiIndex.from_frame(table.loc[own, key])
    table.loc[own, "value"] = known.reindex(keys).to_numpy()
    return table


# ------------------------------------------------------------------------------ read from a study


def measured_transfer(study: Study, metric: str | None = None) -> pd.DataFrame:
    """What every task gains or loses by every partner, with one row for each of T (T - 1) pairs.

    Columns: partner, task; delta (the mean difference from the baseline, above 0 is better), low
    and high (95% interval), adjusted (p after Benjamini-Hochberg over all rows) and verdict. The
    test is that of `Study.transfer`, over all rows at once.

    Args:
        study: a study with pairs (see `add_sharing`).
        metric: by default each task's own.

    Raises:
        BadInput: a study without pairs.

    >>> from mtl_nt.study import stored
    >>> len(measured_transfer(stored("expansionrx-time")))
    72
    """
    tasks = _partners(study)
    rows = [(partner, task) for partner in tasks for task in tasks if task != partner]
    delta = {partner: study.delta(PARTNER + partner, metric=metric) for partner in tasks}
    every = np.stack([delta[p][t].to_numpy() for p, t in rows], 1)
    alone = study.scores(study.baseline, metric=metric)[[task for _, task in rows]]
    size, groups = sizes_of(study, alone, metric), groups_of(study, alone, metric)
    test = paired_test(every / size, study.overlap, units=groups).times(size)
    return pd.DataFrame(
        {
            "partner": [partner for partner, _ in rows],
            "task": [task for _, task in rows],
            "delta": test.mean,
            "low": test.low,
            "high": test.high,
            "adjusted": test.adjusted,
            "verdict": test.verdict,
        }
    )


def validation_gains(study: Study) -> dict[int, Float[np.ndarray, "T T"]]:
    """What every run measured on its validation rows: row is partner, column is task.

    Args:
        study: a study with pairs (see `add_sharing`). The tasks are in the order of its scores.

    Raises:
        BadInput: a study without pairs, or without scores on validation rows.

    >>> from mtl_nt.study import stored
    >>> gains = validation_gains(stored("expansionrx-time"))
    >>> gains[100].shape, float(gains[100].diagonal().max())
    ((9, 9), 0.0)
    """
    tasks, seeds = _partners(study), _seeds(study)
    alone = _alone(study, seeds, tasks)
    wide = study.validation.pivot(index=["method", "seed"], columns="task", values="value")
    found = {}
    for seed, single in zip(seeds, alone, strict=True):
        rows = [wide.loc[(PARTNER + partner, seed), tasks].to_numpy(float) for partner in tasks]
        gains = np.nan_to_num(np.array(rows) - single)
        np.fill_diagonal(gains, 0.0)
        found[seed] = gains
    return found


def _partners(study: Study) -> list[str]:
    """The tasks of a study with pairs."""
    tasks = [str(task) for task in study.scores(study.baseline)]
    methods = {method for method, _ in study.arms()}
    if not {PARTNER + task for task in tasks} <= methods:
        raise BadInput("this study has no pairs of tasks; train them with add_sharing")
    return tasks
