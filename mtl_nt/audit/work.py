"""What an audit trains, in the order of its use: first a verdict, then more runs and remedies.

1. STL, STL' and MTL on the first three runs: the first verdict.
2. The same on the other runs, since three runs find a third of the harm that five find.
3. Remedies, the width check and the affinity, by expected use for each second of a processor.
4. Where a budget leaves time: further pairs of STL and STL', for the null of a count.

An audit that goes on shows all that its last page has shown. So further runs count once the
remedies of that page have them, too. Where there is no room for that, other remedies come first,
on the runs of the page, and further runs are trained last, piece by piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from ..errors import BadInput
from ..networks import RESEED_OFFSET, Recipe
from ..study import METHODS, STL, Method, Study, methods_at_widths
from ..study.methods import refusal
from ..study.nulls import kept_pairs
from ..study.transfer import LEAST_PAIRS
from .bench import TWINS, Bench
from .costs import Costs, measure_costs
from .plan import WIDTH_FACTORS, Plan, describe_work, format_seconds
from .schedule import Ended, Group, Item, Timer, check_room, enough_for, work_through
from .status import Status

FIRST_RUNS = 3  # of the first verdict
LEAST_RUNS = 2
PAIRS_AT_ONCE = 5
LONG = 10.0  # processor seconds, from which an item is divided if that costs little
LITTLE = 1.05  # as a factor
MEASURING = 0.03  # the share of a budget that the estimate may take
BASE = (*TWINS, METHODS["MTL"])
KEPT, FIRST, REST = "what is there", "the first runs", "more runs"
WIDTHS, AFFINITY, PAIRS = "the trunk-width check", "the affinity of the tasks", "pairs of STL"
USE = {
    "Fine-Tuning": 0.86,
    "Nash-MTL": 0.79,
    "MGDA": 0.57,
    "RMTL": 0.45,
    "PCGrad": 0.43,
    "CAGrad": 0.43,
    "Uncertainty": 0.29,
    "RandomWeights": 0.29,
    "U-AMTFL": 0.29,
    "MTL": 0.21,
    "GradNorm": 0.21,
    "DWA": 0.21,
    "Scalarisation": 0.05,
    "LBTW": 0.02,
    "Deep-AMTFL": 0.02,
}
"""How much of MTL's harm each method spared on average in the kept cases of causes and cures
(`study.CURES`). The smallest value stands for none. MTL here is its tuned form."""
UNKNOWN_USE = 0.3
SIDE_USE = {WIDTHS: 0.3, AFFINITY: 0.1, "Trees": 0.02}
"""Width is one more cause, and often a cure. The affinity explains, and decides nothing. Trees say
whether networks are worth it, and spare no task."""


class NoVerdict(BadInput):
    """An audit ended before STL, STL' and MTL were trained on two runs.

    Attributes:
        runs: the seeds of the runs that are finished.
        there: what is finished, in words; nothing where nothing is.
        budget: what would have been enough, as `--budget` takes it.
        early: what `audit` makes of it (see `early.Early`).
    """

    def __init__(self, message: str, runs: Sequence[int], there: str, budget: str) -> None:
        super().__init__(message)
        self.runs, self.there, self.budget = tuple(runs), there, budget
        self.early: object = None


class Work:
    """The work of an audit, from its estimate to the plan of what was trained.

    Args:
        bench: trains.
        asked: all methods that were asked for, MTL first.
        seeds: all runs that were asked for.
        timer: the time that there is.
        say: gets lines of text.
        with_budget: whether time that is left goes into pairs.
        shown: what an earlier call has shown, if this one goes on with it.
    """

    def __init__(
        self,
        bench: Bench,
        asked: Sequence[Method],
        seeds: Sequence[int],
        timer: Timer,
        say: Callable[[str], object],
        with_budget: bool,
        shown: Plan | None = None,
    ) -> None:
        self.bench, self.timer, self.say = bench, timer, say
        self.asked, self.seeds, self.with_budget = list(asked), tuple(seeds), with_budget
        self.asked_names = tuple(method.name for method in asked)
        self.impossible: list[str] = []
        if not len(bench.data.split.validation):
            self.impossible = [
                f"{m.name} (it chooses on validation rows, and there are none)"
                for m in asked
                if m.search
            ]
            self.asked = [m for m in asked if not m.search]
        refused = {m.name: refusal(m, bench.data) for m in self.asked}
        self.impossible += [f"{name} (it {why})" for name, why in refused.items() if why]
        self.asked = [m for m in self.asked if not refused[m.name]]
        self.widths = methods_at_widths(
            Recipe.for_data(bench.data, steps=bench.steps), WIDTH_FACTORS
        )
        self.shown_runs = () if shown is None else shown.seeds
        self.shown = [m for m in self.asked[1:] if shown and m.name in shown.methods]
        self.shown += self.widths if shown and shown.widths else []
        self.first = self.seeds[:FIRST_RUNS]
        self.runs = self.first  # those that remedies are trained on
        self.costs: Costs

    def train(self, executor: Executor, progress: bool) -> Plan:
        """Train what there is time for, and say what was trained.

        Raises:
            BadInput: a training refuses its data.
            NoVerdict: the budget has no room for a first verdict, or was over before it.
            KeyboardInterrupt: somebody stopped it before that; its cause is a `NoVerdict`.
        """
        timer, bench, say = self.timer, self.bench, self.say
        bench.run(self.seeds[0])
        measured = executor.submit(_measure, bench, self.seeds[0], MEASURING * timer.budget)
        self.costs, processor, clock = measured.result()
        timer.believe(processor, clock)
        bench.read_pairs()
        few, more = self.seeds[:LEAST_RUNS], self.first
        was_late = bench.is_kept(STL, few) and not bench.is_kept(STL, more)
        if was_late or self.timer.estimate(self._items(BASE, more)) > timer.left():
            self.first = few
        self.runs = self.first
        groups = self._groups()
        seconds = sum(timer.estimate(group.items()) for group in self._as_if_all_ran(groups))
        plan = Plan(
            tuple(m.name for m in self.asked), True, True, tuple(bench.alphas), self.seeds, seconds
        )
        work = describe_work(plan, bench.data)
        fits = "" if seconds < timer.left() else "; what does not fit the budget is left out"
        self.say(f"about {format_seconds(seconds)} on this machine: {work}{fits}")
        for line in self.impossible:
            self.say(f"left out: {line}")
        needed = timer.estimate(self._items(BASE, self.first))
        try:
            check_room(needed, timer, f"STL, its twin and MTL on {len(self.first)} runs")
        except BadInput as error:
            budget = enough_for(needed, timer)
            raise NoVerdict(str(error), [], self._finished(), budget) from None
        status = Status(progress, timer, seconds)
        self.say = lambda line: status.around(lambda: say(line))
        try:
            ended = work_through(
                self._in_turn(groups),
                executor,
                timer,
                lambda names: status.show(names, self._there()),
            )
        finally:
            status.close()
            self.say = say
        return self._plan(ended, seconds)

    def arms(self, plan: Plan) -> list[Method]:
        """The methods of a plan, as they were asked for, and those of the width check."""
        widths = self.widths if plan.widths else []
        return [*(m for m in self.asked if m.name in plan.methods), *widths]

    def _groups(self) -> list[Group]:
        """All groups but the pairs, in the order of their use."""
        bench, rest = self.bench, self.seeds[len(self.first) :]
        base = partial(self._items, BASE, self.first)
        groups = [Group(KEPT, self._kept_items, needed=True)] if self.shown_runs else []
        groups.append(Group(FIRST, base, needed=True, done=self._say_verdict))
        if rest:
            groups.append(Group(REST, self._more_runs, begun=self._take_all_runs))
        every = [m for m in self.asked if m.name != "MTL"]
        by_use: list[tuple[float, Group]] = []
        for method in every:
            name = method.name.removesuffix(", tuned")
            group = Group(method.name, partial(self._on_runs, (method,)))
            use = USE.get(name, SIDE_USE.get(name, UNKNOWN_USE))
            by_use.append((use / self._seconds((method,)), group))
        wide = Group(WIDTHS, partial(self._on_runs, self.widths))
        by_use.append((SIDE_USE[WIDTHS] / self._seconds(self.widths), wide))
        seconds = 0.0 if bench.kept_affinity() is not None else self._affinity_seconds()
        measured = Group(AFFINITY, lambda: [self._affinity_item(seconds)])
        by_use.append((SIDE_USE[AFFINITY] / self._affinity_seconds(), measured))
        return groups + [group for _, group in sorted(by_use, key=lambda pair: -pair[0])]

    def _as_if_all_ran(self, groups: Sequence[Group]) -> Iterator[Group]:
        """The groups, while remedies are those of all runs."""
        self.runs = self.seeds
        yield from groups
        self.runs = self.first

    def _kept_items(self) -> list[Item]:
        """All that the last page has shown, which is only read."""
        items = self._items((*BASE, *self.shown), self.shown_runs)
        if self.bench.kept_affinity() is not None:
            items.append(self._affinity_item(0.0))
        return [item for item in items if not item.seconds]

    def _affinity_item(self, seconds: float) -> Item:
        measure = partial(self.bench.measure_affinity, self.first)
        return Item("affinity", seconds, measure, self.bench.take_affinity)

    def _in_turn(self, groups: Sequence[Group]) -> Iterator[Group]:
        yield from groups
        if self.shown_runs and len(self.runs) < len(self.seeds):
            yield Group(REST, self._more_runs, needed=True)
        if self.with_budget:
            yield from self._pair_groups()

    def _more_runs(self) -> list[Item]:
        """STL, STL', MTL and what was shown already, on the other runs."""
        return self._items((*BASE, *self.shown), self.seeds[len(self.first) :])

    def _take_all_runs(self) -> None:
        self.runs = self.seeds

    def _on_runs(self, methods: Sequence[Method]) -> list[Item]:
        """These methods on the runs that STL and MTL have."""
        return [item for m in methods for item in self._items((m,), self.runs)]

    def _items(self, methods: Sequence[Method], seeds: Sequence[int]) -> list[Item]:
        """These methods on these runs; where runs are trained one by one, all methods of a run
        come before the next run.
        """
        bench, items = self.bench, list[tuple[int, Item]]()
        for method in methods:
            for block in self._blocks(method, seeds):
                kept = bench.is_kept(method, block)
                seconds = 0.0 if kept else self.costs.seconds(bench.outline(method, block))
                train = partial(bench.train, method, block)
                item = Item(method.name, seconds, train, partial(bench.take, method, block))
                items.append((self.seeds.index(block[0]), item))
        return [item for _, item in sorted(items, key=lambda pair: pair[0])]

    def _blocks(self, method: Method, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """The blocks of runs in which a method trains.

        What is kept is not trained anew. Long work is divided, so that no core waits for another
        one in the end.
        """
        return [
            part
            for block in self._kept_blocks(method, seeds)
            for part in (self._parts(method, block) or [block])
        ]

    def _parts(self, method: Method, block: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The runs of a block one by one, where they train so; else nothing."""
        bench = self.bench
        single: list[tuple[int, ...]] = [(seed,) for seed in block]
        if bench.is_kept(method, block):
            return []
        if not any(bench.is_kept(method, one) for one in single):
            whole = self.costs.seconds(bench.outline(method, block))
            apart = sum(self.costs.seconds(bench.outline(method, one)) for one in single)
            if self.timer.workers == 1 or whole < LONG or apart > LITTLE * whole:
                return []
        return single

    def _kept_blocks(self, method: Method, seeds: Sequence[int]) -> list[tuple[int, ...]]:
        """As many runs side by side as there is memory for; but blocks that are kept stay."""
        bench = self.bench
        whole = bench.blocks(seeds)
        if len(seeds) > len(self.first) and not all(bench.is_kept(method, b) for b in whole):
            first = bench.blocks(self.first)
            if all(bench.is_kept(method, b) for b in first):
                return [*first, *bench.blocks(seeds[len(self.first) :])]
        return whole

    def _seconds(self, methods: Sequence[Method]) -> float:
        """Processor seconds of these methods on all runs, if nothing is kept."""
        return sum(self.costs.seconds(self.bench.outline(m, self.seeds)) for m in methods)

    def _affinity_seconds(self) -> float:
        """As measured with 10 to 617 tasks."""
        mtl = self.costs.seconds(self.bench.outline(METHODS["MTL"], self.first))
        return (3 + len(self.bench.data.tasks) / 40) * mtl

    def _pair_groups(self) -> Iterator[Group]:
        """Pairs of STL and STL', until there are enough or time is over."""
        bench, timer = self.bench, self.timer
        facts = bench.facts[self.seeds[0]]
        known = kept_pairs(facts.null_identity, facts.metric) is not None
        seed = max([*self.seeds, *(s for block in bench.pairs for s in block)]) + 1
        missing = LEAST_PAIRS - len(self.seeds) - sum(map(len, bench.pairs))
        while missing > 0 and not known and not timer.stop() and seed < RESEED_OFFSET:
            for count in (min(PAIRS_AT_ONCE, missing), 1):
                block = tuple(range(seed, min(seed + count, RESEED_OFFSET)))
                drawn = [bench.can_draw(s) for s in block]
                if not all(drawn):
                    block = block[: drawn.index(False)]
                if not block:
                    break
                seconds = sum(self.costs.seconds(bench.outline(m, block)) for m in TWINS)
                train = partial(bench.train_pairs, block)
                item = Item(PAIRS, seconds, train, partial(bench.take_pairs, block))
                if 1.1 * timer.estimate([item]) <= timer.left():
                    yield Group(f"{PAIRS}, {block[0]}", lambda item=item: [item])  # type: ignore[misc]
                    missing -= len(block)
                    seed = block[-1]
                    break
            else:
                return
            seed += 1

    def _say_verdict(self) -> None:
        """Say what the first runs show."""
        study = self.bench.study([METHODS["MTL"]], self.first)
        self.say(
            f"first verdict, after {format_seconds(self.timer.passed())} and on {len(self.first)} "
            f"runs: {verdict_words(study)}"
        )

    def _plan(self, ended: Ended, seconds: float) -> Plan:
        bench = self.bench
        runs = [s for s in self.seeds if all(s in bench.covered(m) for m in BASE)]
        if len(runs) < LEAST_RUNS:
            early = NoVerdict(
                f"the time was over before STL, its twin and MTL had trained on {LEAST_RUNS} runs, "
                "so no verdict can be given",
                runs,
                self._finished(),
                enough_for(self.timer.estimate(self._items(BASE, self.first)), self.timer),
            )
            if ended.interrupted:
                raise ended.interrupted from early
            raise early
        trained = len(runs)
        common = [s for s in runs if all(s in bench.covered(m) for m in self.shown)]
        if self.shown_runs and {*self.shown_runs} <= {*common}:
            runs = common  # nothing that was shown is taken away for the sake of more runs
        done = [m for m in self.asked if {*runs} <= bench.covered(m)]
        widths = all({*runs} <= bench.covered(m) for m in self.widths)
        affinity = bench.affinity is not None
        left_out = list(self.impossible)
        if len(runs) < len(self.seeds):
            more = len(self.seeds) - len(runs)
            why = _how_long(REST, ended)
            if len(runs) < trained:
                why = " (some of the methods shown are not trained on them yet)"
            left_out.append(f"{more} of {len(self.seeds)} runs{why}")
        for method in self.asked:
            if method not in done:
                left_out.append(f"{method.name}{_how_long(method.name, ended)}")
        left_out += [
            f"{name}{_how_long(name, ended)}"
            for name, there in ((WIDTHS, widths), (AFFINITY, affinity))
            if not there
        ]
        for line in left_out[len(self.impossible) :]:
            self.say(f"left out: {line}")
        return Plan(
            tuple(m.name for m in done),
            widths,
            affinity,
            tuple(bench.alphas),
            tuple(runs),
            seconds,
            tuple(left_out),
            self.asked_names,
            self.seeds,
            len(left_out) > len(self.impossible),
            ended.interrupted is not None,
        )

    def _finished(self) -> str:
        """Which of STL, its twin and MTL are trained on how many runs, in words."""
        counts = {m.name: len(self.bench.covered(m) & {*self.seeds}) for m in BASE}
        words = [f"{name} on {n} run{'s' if n > 1 else ''}" for name, n in counts.items() if n]
        return ", ".join(words)

    def _there(self) -> str:
        """What is trained already, in words."""
        bench = self.bench
        runs = sum(all(s in bench.covered(m) for m in BASE) for s in self.seeds)
        if not runs:
            return "nothing yet"
        remedies = sum({*self.runs} <= bench.covered(m) for m in self.asked[1:])
        pairs = sum(map(len, bench.pairs.values()))
        words = f"STL and MTL on {runs} runs, {remedies} of {len(self.asked) - 1} remedies"
        return words + (f", {pairs} further pairs" if pairs else "")


def _measure(bench: Bench, seed: int, limit: float) -> tuple[Costs, float, float]:
    """What trainings cost, and the seconds that measuring took of a processor and by the clock."""
    processor, clock = time.process_time(), time.monotonic()
    costs = measure_costs(lambda method: bench.job(method, [seed]), limit)
    return costs, time.process_time() - processor, time.monotonic() - clock


def verdict_words(study: Study) -> str:
    """What MTL does on the runs that there are, in words.

    >>> from mtl_nt.study import stored
    >>> verdict_words(stored("cure-unrelated"))
    'MTL harms 3 of 9 tasks beyond chance, helps 6, and leaves 0 undecided'
    """
    verdicts: list[Any] = study.transfer().query("method == 'MTL'")["verdict"].to_list()
    harmed, helped = verdicts.count("harmed"), verdicts.count("helped")
    lost = verdicts.count("not learned")
    words = f"MTL harms {harmed or 'none'} of {len(verdicts)} tasks beyond chance, helps {helped}, "
    words += f"and leaves {verdicts.count('undecided')} undecided"
    return words + (f"; {lost} not learned" if lost else "")


def _how_long(name: str, ended: Ended) -> str:
    """Why a group is not there."""
    if name in ended.cut:
        return " (stopped)" if ended.interrupted else " (the time was over)"
    seconds = ended.skipped.get(name, float("nan"))
    return f" (about {format_seconds(seconds)})" if seconds == seconds else ""
