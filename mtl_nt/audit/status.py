"""The line that shows what an audit trains just now, and how much time is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import printable
from .plan import format_seconds
from .schedule import Timer


class Status:
    """One line in the terminal: a bar, what is trained, and the time that is left.

    Args:
        progress: whether it is shown.
        timer: the time that there is.
        seconds: the estimate of the time that all work takes.

    >>> Status(False, Timer(), 10.0).show(["MTL"], "nothing yet")
    """

    def __init__(self, progress: bool, timer: Timer, seconds: float) -> None:
        self.timer, self.bar = timer, None
        self.begun, self.end = timer.passed(), min(timer.budget, timer.passed() + seconds)
        self.total = max(self.end - self.begun, 1e-3)
        if progress:
            from tqdm.auto import tqdm

            form = "{percentage:3.0f}%|{bar}| {desc}"
            self.bar = tqdm(total=self.total, bar_format=form, mininterval=0.3, leave=False)

    def show(self, names: Sequence[str], there: str) -> None:
        """Show what is being trained, and what is there."""
        if self.bar is None:
            return
        self.bar.n = min(self.timer.passed() - self.begun, self.total)
        self.bar.set_description_str(printable(self.words(names, there)))

    def around(self, speak: Callable[[], object]) -> None:
        """Take the line away while something else is printed."""
        if self.bar is not None:
            self.bar.clear()
        speak()

    def words(self, names: Sequence[str], there: str) -> str:
        """What is being trained, what is there, and the time that is left, in words.

        >>> timer = Timer(60, clock=iter([0.0, 5.0, 5.0, 45.0]).__next__)
        >>> Status(False, timer, 100.0).words(["RMTL"], "STL and MTL on 5 runs")
        'training RMTL; there: STL and MTL on 5 runs; about 15 s left'
        """
        left = self.end - self.timer.passed()
        time = f"about {format_seconds(left)} left" if left > 0 else "longer than estimated"
        return f"training {' and '.join(dict.fromkeys(names))}; there: {there}; {time}"

    def close(self) -> None:
        """Take the line away."""
        if self.bar is not None:
            self.bar.close()
