"""From a trained method to its tidy tables: scores, cost, and losses and weights over training."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy import stats

from ..tasks import TaskData
from ..training import scores
from .chunks import HISTORY_POINTS, TrainedMethod, TrainingJob
from .method import Method
from .predictions import predictions
from .result_store import MethodResult
from .schema import ValidationTable, empty_table
from .search import with_settings

HISTORY = ("method", "alpha", "seed", "network", "task", "step", "loss", "weight")
FALL = 0.01
"""A loss that falls by a smaller share of the whole training's fall is not still improving."""


def score_networks(job: TrainingJob, trained: TrainedMethod) -> MethodResult:
    """Score all runs and alphas of a method that trains networks."""
    method, runs, seeds, alphas, recipe = job[:5]
    seconds = trained.seconds / len(alphas) / len(seeds)
    candidates = job.candidates
    results, training, validation = [], [], []
    for a, alpha in enumerate(alphas):
        for s, (seed, run) in enumerate(zip(seeds, runs, strict=True)):
            group = a * len(seeds) + s
            diverged = (trained.replicas.group == group) & trained.history.diverged
            # Even where a checkpoint has kept predictions from before.
            lost_tasks = trained.replicas.scored[diverged].any(0)
            lost = lost_tasks if job.task_of_output is None else lost_tasks[job.task_of_output]
            outputs = torch.where(lost, math.nan, trained.predictions[a, s].cpu())
            results += result_rows(run, method.name, alpha, seed, outputs)
            if len(run.split.validation):
                own = torch.where(lost_tasks, math.nan, trained.validation[a, s]).tolist()
                arm = {"method": method.name, "alpha": alpha, "seed": seed}
                validation += [
                    {**arm, "task": task, "value": value if math.isfinite(value) else math.nan}
                    for task, value in zip(run.tasks, own, strict=True)
                ]
            chosen = int(trained.chosen[a, s])
            chosen_recipe = with_settings(recipe, candidates[chosen])
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
                    "learning_rate": chosen_recipe.learning_rate,
                    "weight_decay": chosen_recipe.weight_decay,
                    **_end_of_training(trained, group),
                }
            )
    history = _history(method, trained, seeds, alphas, runs[0].tasks)
    scored = pd.DataFrame(validation) if validation else empty_table(ValidationTable)
    return MethodResult(pd.DataFrame(results), pd.DataFrame(training), history, scored)


def score_predictor(job: TrainingJob) -> MethodResult:
    """Fit and score a method without networks on every run."""
    method = job.method
    results, training = [], []
    for seed, run in zip(job.seeds, job.runs, strict=True):
        begin = time.perf_counter()
        results += result_rows(run, method.name, math.nan, seed, predictions(method, run, seed))
        row = {"method": method.name, "alpha": math.nan, "seed": seed, "networks": 0, "steps": 0}
        row |= {"seconds": time.perf_counter() - begin, "candidates": 1, "chosen": 0}
        row |= {"learning_rate": math.nan, "weight_decay": math.nan, "watched": "nothing"}
        row |= {"loss": math.nan, "diverged": False, "still_improving": False}
        training.append(row)
    return MethodResult(
        pd.DataFrame(results),
        pd.DataFrame(training),
        pd.DataFrame(columns=HISTORY),
        empty_table(ValidationTable),
    )


def result_rows(
    run: TaskData, method: str, alpha: float, seed: int, outputs: torch.Tensor
) -> list[dict[str, Any]]:
    """The rows of `Study.results` for one run of one method: one for each task and metric.

    Args:
        run: the data of the seed.
        method, alpha, seed: what the rows say of the run.
        outputs: predictions for the test rows, `[N, O]`. A task that is NaN has lost its score.
    """
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


def _end_of_training(trained: TrainedMethod, group: int) -> dict[str, Any]:
    """How the training of one run ended: its loss, and whether it diverged or still improved."""
    history, of_run = trained.history, trained.replicas.group == group
    validated = len(history.validation) > 0
    curve = history.validation if validated else history.losses
    trained_tasks = trained.replicas.trained[of_run]
    if curve.shape[2] == 1:  # each network has one task alone
        trained_tasks = torch.ones(len(trained_tasks), 1, dtype=torch.bool)
    loss = curve[:, of_run][:, trained_tasks].double().nanmean(1).numpy()
    return {
        "watched": "validation" if validated else "training",
        "loss": float(loss[-1]),
        "diverged": bool(history.diverged[of_run].any()),
        "still_improving": still_improving(loss),
    }


def still_improving(loss: Float[np.ndarray, " P"]) -> bool:
    """Whether the loss still falls by more than its noise over the last fifth of the steps.

    The fall is that of a straight line through the last fifth. It counts if the 95% interval of the
    line's slope excludes zero, and if it exceeds 1% of the fall of the whole training.

    >>> still_improving(np.linspace(1, 0, 20)), still_improving(np.ones(20))
    (True, False)
    """
    last = loss[-max(4, math.ceil(len(loss) / 5)) :]
    last = last[np.isfinite(last)]
    if len(last) < 4:
        return False
    x = np.arange(len(last)) - (len(last) - 1) / 2
    slope = float(x @ last / (x @ x))
    residual = last - last.mean() - slope * x
    error = math.sqrt(float(residual @ residual) / (len(last) - 2) / float(x @ x))
    whole = float(np.nanmax(loss) - np.nanmin(loss))
    span = len(last) - 1
    noise = float(stats.t.ppf(0.975, len(last) - 2)) * error * span
    return -slope * span > max(noise, FALL * whole)


def _history(
    method: Method,
    trained: TrainedMethod,
    seeds: Sequence[int],
    alphas: Sequence[float],
    tasks: Sequence[str],
) -> pd.DataFrame:
    """Tidy losses and weights: method, alpha, seed, network, task, step, loss, weight."""
    history, replicas = trained.history, trained.replicas
    points, networks = len(history.losses), len(replicas)
    chosen = np.unique(np.linspace(0, points - 1, min(points, HISTORY_POINTS)).round().astype(int))
    group, target = replicas.group.numpy(), replicas.scored.int().argmax(1)
    losses, weights = history.losses[chosen], history.weights[chosen]
    columns = torch.arange(len(tasks)).expand(networks, -1)  # numbers of the tasks
    if method.networks == "single":  # a network has no loss of other tasks
        columns = target.unsqueeze(1)
        if losses.shape[2] > 1:
            losses, weights = (t.take_along_dim(columns[None], 2) for t in (losses, weights))

    def by_network(values: np.ndarray) -> np.ndarray:
        return np.tile(np.repeat(values, columns.shape[1]), len(chosen))

    names = pd.Series([*tasks, "all"]).array  # of tasks, and of a network for all of them
    own = target if method.networks != "one" else torch.full((networks,), len(tasks))
    return pd.DataFrame(
        {
            "method": method.name,
            "alpha": by_network(np.asarray(alphas)[group // len(seeds)]),
            "seed": by_network(np.asarray(seeds)[group % len(seeds)]),
            "network": names.take(by_network(own.numpy())),
            "task": names.take(np.tile(columns.flatten().numpy(), len(chosen))),
            "step": np.repeat((chosen + 1) * history.window, columns.numel()),
            "loss": losses.flatten().numpy().astype(float),
            "weight": weights.flatten().numpy().astype(float),
        }
    )
