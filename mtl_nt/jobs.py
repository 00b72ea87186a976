"""The training that a comparison consists of: one job a method, here or on an executor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy import stats

from .methods import Method, Trained, train
from .metrics import scores
from .parts import Part
from .recipe import Recipe
from .tasks import TaskData
from .training import Stopped

HISTORY_POINTS = 40  # of losses and weights kept a network
FALL = 0.01  # of the whole training's fall: less is not "still improving"


class Job(NamedTuple):
    """What it takes to train one method."""

    method: Method
    runs: list[TaskData]
    seeds: list[int]
    alphas: list[float]
    recipe: Recipe
    options: dict[str, Any]

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.recipe.steps * (2 if self.method.pretrain else 1)

    @property
    def step_cost(self) -> float:
        """What a step costs, in small networks; its overhead is worth about ten of them."""
        each = 1 if self.method.networks == "one" else len(self.runs[0].tasks)
        return 10.0 + each * len(self.seeds) * len(self.alphas)


def work(
    todo: dict[str, Job], executor: Executor | None, bar: Bar, stop: Callable[[], bool] | None
) -> Iterable[tuple[str, Part]]:
    if executor is None:
        for name, job in todo.items():
            yield name, part_of(job, progress=partial(bar.step, name), stop=stop)
        return
    futures = {}
    for name, job in todo.items():
        # Workers may be other processes, and a function that redraws need not pickle.
        drawn = {id(run): replace(run, redraw=None) for run in job.runs}
        plain = job._replace(runs=[drawn[id(run)] for run in job.runs])
        futures[executor.submit(part_of, plain)] = name
    for future in as_completed(futures):
        if stop is not None and stop():
            for other in futures:
                other.cancel()
            raise Stopped
        name = futures[future]
        bar.step(name, todo[name].steps)
        yield name, future.result()


def part_of(
    job: Job,
    progress: Callable[[int], object] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Part:
    """Train one method on all runs and alphas and score it."""
    method, runs, seeds, alphas, recipe, options = job
    start = time.perf_counter()
    real = [0.0 if math.isnan(a) else a for a in alphas]
    trained = train(method, runs, seeds, recipe, real, progress=progress, stop=stop, **options)
    seconds = (time.perf_counter() - start) / len(alphas)
    results, training = [], []
    for a, alpha in enumerate(alphas):
        for s, (seed, run) in enumerate(zip(seeds, runs, strict=True)):
            group = a * len(seeds) + s
            lost = (trained.replicas.group == group) & trained.history.diverged
            tasks = trained.replicas.scored[lost].any(0)  # whatever the checkpoint has kept of them
            outputs = torch.where(tasks, math.nan, trained.predictions[a, s].cpu())
            results += scored(run, method.name, alpha, seed, outputs)
            row = _training(trained, group)
            training.append(
                {
                    "method": method.name,
                    "alpha": alpha,
                    "seed": seed,
                    "networks": method.trained(len(run.tasks)),
                    "steps": recipe.steps,
                    "seconds": seconds / len(seeds),
                    **row,
                }
            )
    history = _history(method, trained, seeds, alphas, runs[0].tasks)
    return Part(pd.DataFrame(results), pd.DataFrame(training), history)


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

    return pd.DataFrame(
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


class Bar:
    """Progress over all parts, weighted by what their steps cost."""

    def __init__(
        self, progress: bool | Callable[[float, str], object], todo: Mapping[str, Job]
    ) -> None:
        self.cost = {name: job.step_cost for name, job in todo.items()}
        self.total = sum(job.step_cost * job.steps for job in todo.values())
        self.done = 0.0
        self.tell = progress if callable(progress) else None
        self.bar = None
        if progress is True and todo:
            from tqdm.auto import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
            self.bar = tqdm(total=self.total, bar_format=form, mininterval=0.5)

    def step(self, name: str, steps: int) -> None:
        self.done += self.cost[name] * steps
        if self.bar is not None:
            self.bar.set_description_str(name, refresh=False)
            self.bar.update(self.cost[name] * steps)
        if self.tell is not None:
            self.tell(self.done / self.total, name)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
