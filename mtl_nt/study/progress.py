"""A progress bar over all training jobs of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import printable
from .chunks import TrainingJob, plan_chunks


class ProgressBar:
    """How much of all jobs is done. A step counts as much as its networks cost.

    Args:
        progress: True draws a bar with tqdm, and False draws none. A callable is called with the
            fraction that is done and the name of the method.
        jobs: what is to be trained, by name of the method.
    """

    def __init__(
        self, progress: bool | Callable[[float, str], object], jobs: Mapping[str, TrainingJob]
    ) -> None:
        # Cost of a step in small networks. The overhead of a step is worth about ten of them.
        self.cost = {
            name: [10.0 + chunk.stop - chunk.start for chunk in plan_chunks(job)]
            if job.method.predictor is None
            else [10.0]
            for name, job in jobs.items()
        }
        self.total = sum(sum(self.cost[name]) * job.steps for name, job in jobs.items())
        self.done = 0.0
        self.callback = progress if callable(progress) else None
        self.bar = None
        if progress is True and jobs:
            from tqdm.auto import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
            self.bar = tqdm(total=self.total, bar_format=form, mininterval=0.5)

    def step(self, name: str, chunk: int, steps: int) -> None:
        """Add this many steps of a chunk, given by its number, to what is done."""
        cost = self.cost[name][chunk] * steps
        self.done += cost
        if self.bar is not None:
            self.bar.set_description_str(printable(name), refresh=False)
            self.bar.update(cost)
        if self.callback is not None:
            self.callback(self.done / self.total, name)

    def close(self) -> None:
        """Stop drawing the bar, and leave it where it is."""
        if self.bar is not None:
            self.bar.close()
