"""The training that a comparison consists of: a job a method, in pieces, here or on an executor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy import stats

from .methods import Method, with_settings
from .metrics import scores
from .parts import Part, Shelf
from .pieces import Job, Outcome, Trained, plan, settled, train_piece
from .tasks import BadInput, TaskData, visible
from .training import Stopped

HISTORY = ("method", "alpha", "seed", "network", "task", "step", "loss", "weight")
HISTORY_POINTS = 40  # of losses and weights kept a network
FALL = 0.01  # of the whole training's fall: less is not "still improving"


Stop = Callable[[], bool]


def work(
    todo: Mapping[str, Job],
    shelf: Shelf | None,
    executor: Executor | None,
    bar: Bar,
    stop: Stop | None,
) -> Iterator[tuple[str, Part]]:
    """Train every job and yield its part as soon as it is there. Finished pieces of a job that
    has several are kept on the shelf, and taken from there.
    """
    plain = {name: job for name, job in todo.items() if job.method.predictor is not None}
    waiting = {name: Pieces(name, job, shelf) for name, job in todo.items() if name not in plain}
    for name, pieces in waiting.items():
        for number in pieces.done:
            bar.step(name, number, pieces.job.steps)
    if executor is None:
        for name, pieces in waiting.items():
            for number in pieces.missing:
                progress = partial(bar.step, name, number)
                pieces.add(number, train_piece(pieces.job, pieces.plan[number], progress, stop))
            yield name, part_of(pieces.job, pieces.finished())
        for name, job in plain.items():
            if stop is not None and stop():
                raise Stopped
            yield name, predicted(job)
            bar.step(name, 0, job.steps)
        return
    # A pool of processes pickles in a thread of its own, and pickling moves the tensors' memory.
    # So nothing here may read the runs' data from the first submission on until a piece comes back.
    sent = {name: portable(job) for name, job in todo.items()}
    for name, pieces in waiting.items():
        if not pieces.missing:
            yield name, part_of(pieces.job, pieces.finished())
    futures: dict[Future, tuple[str, int]] = {}
    try:
        for name in plain:
            futures[executor.submit(predicted, sent[name])] = name, 0
        for name, pieces in waiting.items():
            for number in pieces.missing:
                future = executor.submit(train_piece, sent[name], pieces.plan[number])
                futures[future] = name, number
        for future in as_completed(futures):
            if stop is not None and stop():
                raise Stopped
            name, number = futures.pop(future)
            if name in plain:
                yield name, _result(name, future)
                bar.step(name, 0, plain[name].steps)
                continue
            pieces = waiting[name]
            pieces.add(number, _result(name, future))
            bar.step(name, number, pieces.job.steps)
            if not pieces.missing:
                yield name, part_of(pieces.job, pieces.finished())
    finally:
        for future in futures:
            future.cancel()


class Pieces:
    """The pieces of one job: those that are finished, and those that are missing."""

    def __init__(self, name: str, job: Job, shelf: Shelf | None) -> None:
        self.name, self.job, self.plan = name, job, plan(job)
        # A job of one piece is kept as its scored part alone.
        self.shelf = shelf if len(self.plan) > 1 else None
        found = {
            number: self.shelf.get_piece(name, piece) if self.shelf else None
            for number, piece in enumerate(self.plan)
        }
        self.done = {number: outcome for number, outcome in found.items() if outcome is not None}

    @property
    def missing(self) -> list[int]:
        """What is to be trained."""
        return [number for number in range(len(self.plan)) if number not in self.done]

    def add(self, number: int, outcome: Outcome) -> None:
        """A finished piece."""
        self.done[number] = outcome
        if self.shelf:
            self.shelf.put_piece(self.name, self.plan[number], outcome)

    def finished(self) -> Trained:
        """All pieces put together; they are needed no longer."""
        trained = settled(self.job, [self.done[number] for number in range(len(self.plan))])
        self.done.clear()
        return trained


def portable(job: Job) -> Job:
    """The job for another process: a function that redraws the data need not pickle."""
    drawn = {id(run): replace(run, redraw=None) for run in job.runs}
    return job._replace(runs=[drawn[id(run)] for run in job.runs])


def _result(name: str, future: Future) -> Any:
    try:
        outcome = future.result()
    except BrokenExecutor:
        raise BadInput(
            "a worker process died, perhaps for want of memory; what is finished is kept where "
            "there is a folder: try again with a smaller memory or fewer workers"
        ) from None
    except Exception as error:
        if "pickle" not in f"{type(error).__name__} {error}":
            raise
        raise BadInput(
            f"{name} cannot be sent to another process ({error}); use classes and functions of a "
            "module, such as with_alpha(MyWeighter)"
        ) from None
    return outcome


def part_of(job: Job, trained: Trained) -> Part:
    """Score all runs and alphas of a method."""
    method, runs, seeds, alphas, recipe = job[:5]
    seconds = trained.seconds / len(alphas) / len(seeds)
    candidates = job.candidates
    results, training = [], []
    for a, alpha in enumerate(alphas):
        for s, (seed, run) in enumerate(zip(seeds, runs, strict=True)):
            group = a * len(seeds) + s
            lost = (trained.replicas.group == group) & trained.history.diverged
            tasks = trained.replicas.scored[lost].any(0)  # whatever the checkpoint has kept of them
            outputs = torch.where(tasks, math.nan, trained.predictions[a, s].cpu())
            results += scored(run, method.name, alpha, seed, outputs)
            chosen = int(trained.chosen[a, s])
            own = with_settings(recipe, candidates[chosen])
            training.append(
                {
                    "method": method.name,
                    "alpha": alpha,
                    "seed": seed,
                    "networks": method.trained(len(run.tasks)) * len(candidates),
                    "steps": recipe.steps,
                    "seconds": seconds,
                    "candidates": len(candidates),
                    "chosen": chosen,
                    "learning_rate": own.learning_rate,
                    "weight_decay": own.weight_decay,
                    **_training(trained, group),
                }
            )
    history = _history(method, trained, seeds, alphas, runs[0].tasks)
    return Part(pd.DataFrame(results), pd.DataFrame(training), history)


def predicted(job: Job) -> Part:
    """Score a method that is no network: a fit of the library's own on every run."""
    method, predict = job.method, job.method.predictor
    assert predict is not None
    results, training = [], []
    for seed, run in zip(job.seeds, job.runs, strict=True):
        begin = time.perf_counter()
        results += scored(run, method.name, math.nan, seed, predict(run))
        row = {"method": method.name, "alpha": math.nan, "seed": seed, "networks": 0, "steps": 0}
        row |= {"seconds": time.perf_counter() - begin, "candidates": 1, "chosen": 0}
        row |= {"learning_rate": math.nan, "weight_decay": math.nan, "watched": "nothing"}
        row |= {"loss": math.nan, "diverged": False, "still_improving": False}
        training.append(row)
    return Part(pd.DataFrame(results), pd.DataFrame(training), pd.DataFrame(columns=HISTORY))


def scored(
    run: TaskData, method: str, alpha: float, seed: int, outputs: torch.Tensor
) -> list[dict[str, Any]]:
    return [
        {
            "dataset": run.name,
            "data_seed": math.nan if run.data_seed is None else run.data_seed,
            "split": run.split.kind,
            "method": method,
            "alpha": alpha,
            "seed": seed,
            "task": task,
            "metric": metric,
            "value": float(values[t]),
        }
        for metric, values in scores(run, "test", outputs).items()
        for t, task in enumerate(run.tasks)
    ]


def _training(trained: Trained, group: int) -> dict[str, Any]:
    """Whether the networks of one run diverged or were still improving at the end."""
    history, mine = trained.history, trained.replicas.group == group
    validated = len(history.validation) > 0
    curve = history.validation if validated else history.losses
    own = trained.replicas.trained[mine]
    level = curve[:, mine][:, own].double().nanmean(1).numpy()
    return {
        "watched": "validation" if validated else "training",
        "loss": float(level[-1]),
        "diverged": bool(history.diverged[mine].any()),
        "still_improving": still_improving(level),
    }


def still_improving(loss: Float[np.ndarray, " P"]) -> bool:
    """Does the loss over the last fifth of the steps still fall by more than its noise?

    The fall is that of a straight line through the last fifth; it counts when the 95% interval of
    the line's slope leaves out zero, and when it exceeds 1% of the whole training's fall.
    """
    last = loss[-max(4, math.ceil(len(loss) / 5)) :]
    last = last[np.isfinite(last)]
    if len(last) < 4:
        return False
    x = np.arange(len(last)) - (len(last) - 1) / 2
    slope = float(x @ last / (x @ x))
    rest = last - last.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (len(last) - 2) / float(x @ x))
    whole = float(np.nanmax(loss) - np.nanmin(loss))
    span = len(last) - 1
    noise = float(stats.t.ppf(0.975, len(last) - 2)) * error * span
    return -slope * span > max(noise, FALL * whole)


def _history(
    method: Method,
    trained: Trained,
    seeds: Sequence[int],
    alphas: Sequence[float],
    tasks: Sequence[str],
) -> pd.DataFrame:
    """Tidy losses and weights: method, alpha, seed, network, task, step, loss, weight."""
    history, replicas = trained.history, trained.replicas
    points, count = len(history.losses), len(tasks)
    chosen = np.unique(np.linspace(0, points - 1, min(points, HISTORY_POINTS)).round().astype(int))
    group, own = replicas.group.numpy(), replicas.scored.int().argmax(1).numpy()
    single = method.networks != "one"
    shape = (len(chosen), len(replicas), count)

    def column(values: Any, axis: int) -> np.ndarray:
        view = [1, 1, 1]
        view[axis] = -1
        return np.broadcast_to(np.asarray(values).reshape(view), shape).reshape(-1)

    table = pd.DataFrame(
        {
            "method": method.name,
            "alpha": column(np.asarray(alphas)[group // len(seeds)], 1),
            "seed": column(np.asarray(seeds)[group % len(seeds)], 1),
            "network": column([tasks[t] if single else "all" for t in own], 1),
            "task": column(list(tasks), 2),
            "step": column((chosen + 1) * history.window, 0),
            "loss": history.losses[chosen].numpy().reshape(-1).astype(float),
            "weight": history.weights[chosen].numpy().reshape(-1).astype(float),
        }
    )
    if method.networks == "single":  # what it was never trained on
        table = table[table["task"] == table["network"]].reset_index(drop=True)
    return table


class Bar:
    """Progress over all pieces, weighted by what their steps cost."""

    def __init__(
        self, progress: bool | Callable[[float, str], object], todo: Mapping[str, Job]
    ) -> None:
        # In small networks; a step's overhead is worth about ten of them.
        self.cost = {
            name: [10.0 + piece.stop - piece.start for piece in plan(job)]
            if job.method.predictor is None
            else [10.0]
            for name, job in todo.items()
        }
        self.total = sum(sum(self.cost[name]) * job.steps for name, job in todo.items())
        self.done = 0.0
        self.tell = progress if callable(progress) else None
        self.bar = None
        if progress is True and todo:
            from tqdm.auto import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
            self.bar = tqdm(total=self.total, bar_format=form, mininterval=0.5)

    def step(self, name: str, piece: int, steps: int) -> None:
        """So many steps of a piece are done."""
        cost = self.cost[name][piece] * steps
        self.done += cost
        if self.bar is not None:
            self.bar.set_description_str(visible(name), refresh=False)
            self.bar.update(cost)
        if self.tell is not None:
            self.tell(self.done / self.total, name)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()
