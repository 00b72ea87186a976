"""What the training of a method costs, from a handful of steps of each kind of network.

A network of all tasks, a stack of such networks and a stack of networks with one task each take a
few steps. A step costs a + b R for a stack of R networks, so any method's time follows from how
many networks it trains, how wide they are and how many steps they take. All of it is processor
time: on a busy machine the clock says more, and the same plan comes out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from ..networks import Recipe, example_rows, network_size
from ..study import METHODS, STL, Method
from ..study.chunks import Chunk, TrainingJob, example_weighter, plan_chunks, train_chunk
from ..tasks import TaskData
from ..training import Stopped
from ..training.loop import EVALUATIONS
from ..weighters import Fixed, RandomWeights, Uniform

STEPS = 12  # of every kind of network
WARM_UP = 2  # of these steps, which take longer
MOST_NETWORKS = 16  # of a stack that takes the steps
FORWARD = 1 / 3  # of a step: the pass that an evaluation needs of a row
WEIGHTING = 1.25  # a step whose task weights need gradients, to one whose weights are given
FREE = (Uniform, Fixed, RandomWeights)  # weighters that need none
TREE_START, TREE_VALUE = 0.03, 2e-6  # seconds of a task's trees, and of each value of a feature
IN_ONE_STACK = Method("MTL, stacked", networks="each")


@dataclass(frozen=True)
class Costs:
    """Processor seconds of a step, by kind of network.

    Attributes:
        step: of a step, however many networks.
        shared: of each network with all tasks, in addition.
        single: of each network with one task, in addition.
        start: before the first step of a training.
    """

    step: float
    shared: float
    single: float
    start: float

    def seconds(self, job: TrainingJob) -> float:
        """The processor time of a job, on one core."""
        method, recipe, run = job.method, job.recipe, job.runs[0]
        if method.name == "Trees":
            return self.start + sum(map(tree_seconds, job.runs))
        if method.predictor is not None:
            return self.start
        inputs = math.prod(run.x.shape[1:])
        own = replace(recipe, trunk=Recipe.for_data(run, steps=recipe.steps).trunk)
        rows = example_rows(run, recipe.architecture)
        wide, data_wide = (
            network_size(inputs, job.outputs, r, rows).multiplications for r in (recipe, own)
        )
        wider = wide / data_wide
        # Rows that are only read, as steps: those of the evaluations, and of the last predictions.
        read = EVALUATIONS * len(run.split.validation) + len(run.split.test)
        steps = recipe.steps + FORWARD * read / recipe.batch_size
        alone = method.networks == "single"
        of_network = wider * (self.single if alone else self.shared)
        factor = 1.0 if isinstance(example_weighter(job), FREE) else WEIGHTING
        seconds = 0.0
        for chunk in plan_chunks(job):
            count = chunk.stop - chunk.start
            seconds += self.start + steps * factor * (self.step + of_network * count)
            if method.pretrain:
                seconds += self.start + steps * (self.step + wider * self.shared * count)
            if method.frozen:
                seconds += steps * factor * (self.step + of_network * count)
        return seconds


def tree_seconds(run: TaskData) -> float:
    """Processor seconds of boosted trees on one run, one model for each task, about.

    Measured on 300 to 10,000 rows and 10 to 1,000 features: 0.7 to 2.3 microseconds for each value
    of a feature, and 9 on the smallest table.

    >>> from mtl_nt import load
    >>> 0 < tree_seconds(load("dial")) < 1
    True
    """
    return len(run.tasks) * (TREE_START + TREE_VALUE * run.x.shape[0] * math.prod(run.x.shape[1:]))


def measure_costs(
    make_job: Callable[[Method], TrainingJob],
    limit: float = math.inf,
    clock: Callable[[], float] = time.process_time,
) -> Costs:
    """Let each kind of network take a few steps, and see what they cost.

    Args:
        make_job: makes the job of a method on one run.
        limit: of seconds of `clock`, about; each kind takes two steps at least.
        clock: of processor time.

    >>> from mtl_nt import load
    >>> from mtl_nt.study.pieces import piece_job
    >>> data = load("dial")
    >>> costs = measure_costs(lambda method: piece_job(method, [data], [0], []))
    >>> costs.step > 0 and costs.shared > 0 and costs.single > 0
    True
    """
    share = limit / 3
    one, start, _ = _step_seconds(make_job(METHODS["MTL"]), share, clock)
    many, _, count = _step_seconds(make_job(IN_ONE_STACK), share, clock)
    alone, _, singles = _step_seconds(make_job(STL), share, clock)
    least = 1e-3 * one
    shared = max((many - one) / (count - 1), least) if count > 1 else one / 2
    step = max(one - shared, least)
    return Costs(step, shared, max((alone - step) / singles, least), start)


def _step_seconds(
    job: TrainingJob, limit: float, clock: Callable[[], float]
) -> tuple[float, float, int]:
    """Seconds of a step, those before the first one, and the number of networks that took it."""
    chunk = plan_chunks(job)[0]
    networks = min(chunk.stop - chunk.start, MOST_NETWORKS)
    begin, times = clock(), list[float]()

    def enough() -> bool:
        times.append(clock())
        taken = len(times) - 1
        return taken >= STEPS or (taken >= 2 and times[-1] - begin > limit)

    try:
        train_chunk(job, Chunk(chunk.stack, 0, networks), None, enough)
    except Stopped:
        pass
    else:
        times.append(clock())  # the recipe has fewer steps than these
    spans = [b - a for a, b in zip(times, times[1:], strict=False)]
    return _typical(spans), times[0] - begin, networks


def _typical(spans: Sequence[float]) -> float:
    """The median of the steps after the first ones; a clock may be too coarse for a single step."""
    later = spans[WARM_UP:] or spans[-1:]
    return median(later) or sum(later) / len(later) or 1e-6
