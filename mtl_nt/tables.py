"""A study's tables as figures read them: by arm, computed once a study, and put into words."""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from .drawing import LETTERS, short
from .methods import CONSTANT
from .metrics import LOWER_IS_BETTER
from .study import Study
from .tasks import BadInput, nearest

Arm = tuple[str, str]  # a method and its alpha as printed, "" for none
PLAIN = ("MTL", "")
NAMED = 5  # tasks named in a sentence
ALPHAS = 3  # rows of one method where no alpha is asked for


@dataclass(frozen=True)
class Tables:
    """What `study` says by arm, in the order of training."""

    baseline: Arm  # what all are compared with, STL unless said otherwise
    reference: Arm | None  # its twin with another seed, STL'; None where there is none
    counts: dict[Arm, dict[str, Any]]  # rows of `study.counts()`, the baseline first
    verdicts: dict[Arm, pd.DataFrame]  # rows of `study.transfer()`, all but the baseline
    level: dict[Arm, Float[np.ndarray, " S"]]  # mean metric of every run
    single: dict[Arm, Float[np.ndarray, " S"]]  # tasks worse than the baseline in every run
    tasks: int
    runs: int
    metric: str  # what the tasks are judged by
    mean: str  # what `level` holds
    lower: bool  # is better, of `level`
    turned: bool  # differences are signs turned
    split: str

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(method for method, _ in self.counts))

    @property
    def better(self) -> str:
        return "lower" if self.lower else "higher"

    def arms(self, method: str) -> list[Arm]:
        return [arm for arm in self.counts if arm[0] == method]

    def find(self, method: str, alpha: float | None) -> Arm:
        """The arm of this method and alpha; alpha is ignored where the method has none."""
        arms = self.arms(method)
        if not arms:
            raise BadInput(f"no method {method!r} in this study; {nearest(method, self.methods)}")
        if not arms[0][1]:
            return arms[0]
        known = [printed for _, printed in arms]
        wanted = known[len(known) // 2] if alpha is None else f"{alpha:g}"
        if wanted not in known:
            raise BadInput(f"no alpha {wanted} of {method!r} in this study; known: {known}")
        return method, wanted

    def chosen(self, methods: Sequence[str] | None, alpha: float | None, limit: int) -> list[Arm]:
        """The null and these methods' arms; without alpha, as many alphas as `limit` leaves."""
        names = [m for m in self.methods if m != CONSTANT] if methods is None else list(methods)
        out = {self.baseline, self.reference}
        names = [m for m in dict.fromkeys(names) if (m, "") not in out]
        first = {m: self.find(m, alpha) for m in names}
        several = [m for m in names if first[m][1]]
        room = max(1, (limit - 1 - len(names) + len(several)) // max(1, len(several)))
        found = [] if self.reference is None else [self.reference]
        for m in names:
            arms = [first[m]] if alpha is not None else self.arms(m)
            places = np.linspace(len(arms) - 1, 0, min(room, ALPHAS, len(arms))).round().astype(int)
            found += [arms[i] for i in places[::-1]]
        return found

    def scored(self, arm: Arm) -> int:
        """Tasks that every run of this arm scored, those that the counts are of."""
        return int(self.verdicts[arm]["delta"].notna().sum())

    def decided(self, arm: Arm, verdict: str) -> float:
        """Tasks with this verdict; NaN where no test is possible: one run, or nothing to count."""
        return float(self.counts[arm][verdict]) if self.runs > 1 and self.scored(arm) else np.nan

    def null(self, arm: Arm) -> str:
        row = self.counts[arm]
        if self.reference is None:
            return f"no null: {self.baseline[0]} has no chance in it"
        return f"null {row['negative_null_low']:.1f}–{row['negative_null_high']:.1f}"

    def harmed_null(self, arm: Arm) -> str:
        return "no null" if self.reference is None else f"null {self.counts[arm]['harmed_null']}"

    def of(self, arm: Arm) -> str:
        many = self.scored(arm)
        where = " on this split" if self.split == "fixed" else ""
        return f"{many} task{'s' if many != 1 else ''}{where}"

    def claim(self, arm: Arm) -> str:
        """One sentence: what this arm does to how many tasks, beside what chance does."""
        row, name = self.counts[arm], label(arm)
        if not self.scored(arm):
            return f"{name} leaves no task to count: {self.why(arm)}"
        if self.runs < 2:
            return (
                f"One run decides nothing: {name} is worse than {self.baseline[0]} on "
                f"{row['negative_per_run']:.0f} of {self.of(arm)} ({self.null(arm)})"
            )
        plain = self.counts.get(PLAIN)
        compared = plain and arm not in (PLAIN, self.reference) and self.baseline != PLAIN
        compared = compared and self.scored(PLAIN) > 0
        other = f"; MTL {plain['harmed']}" if plain and compared else ""
        return (
            f"{name} harms {row['harmed'] or 'none'} of {self.of(arm)} beyond chance "
            f"({self.harmed_null(arm)}{other}); a single run would say "
            f"{row['negative_per_run']:.1f} ({self.null(arm)})"
        )

    def sweep(self, arms: Sequence[Arm]) -> str:
        """One sentence about a method over its alphas."""
        counted = [a for a in arms if self.scored(a)]
        if not counted or self.runs < 2:
            return self.claim((counted or arms)[0])
        harmed = [int(self.counts[a]["harmed"]) for a in counted]
        single = [self.counts[a]["negative_per_run"] for a in counted]
        few, many = counted[int(np.argmin(harmed))], counted[int(np.argmax(harmed))]
        if min(harmed) == max(harmed):
            said = f"{min(harmed) or 'none'} of {self.of(few)} beyond chance at every alpha"
        else:
            said = (
                f"{min(harmed) or 'none'} (alpha {few[1]}) to {max(harmed)} (alpha {many[1]}) "
                f"of {self.of(few)} beyond chance"
            )
        return (
            f"{arms[0][0]} harms {said} ({self.harmed_null(few)}); single "
            f"runs say {min(single):.1f}–{max(single):.1f} ({self.null(few)})"
        )

    def words(self, arm: Arm) -> str:
        """The verdicts of this arm, with the names of the harmed tasks."""
        row, v = self.counts[arm], self.verdicts[arm]
        marks = self.marks(arm)
        if not self.scored(arm):
            return f"{label(arm)}: nothing to count, {self.why(arm)}."
        names = [short(n, 40) for n in v["task"][v["verdict"] == "harmed"]]
        more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
        listed = f" ({', '.join(names[:NAMED] + more)})" if names else ""
        missing = self.tasks - self.scored(arm)
        return (
            f"{label(arm)}: {row['harmed']} harmed{listed}, {row['helped']} helped, "
            f"{row['undecided'] - missing} undecided"
            f"{f', {missing} not scored' if missing else ''}{f'; {marks}' if marks else ''}."
        )

    def diverged(self, arms: Sequence[Arm]) -> str:
        """The arms that a run of theirs left without a count; none is passed over in silence."""
        gone = [label(a) for a in arms if self.counts[a]["diverged"]]
        return f"✕ diverged: {', '.join(gone)}" if gone else ""

    def why(self, arm: Arm) -> str:
        """Why this arm leaves no task to count."""
        for guilty in (arm, self.baseline):
            if self.counts[guilty]["diverged"]:
                return f"{'' if guilty == arm else f'{guilty[0]} '}{self.marks(guilty)}"
        return "not scored"

    def marks(self, arm: Arm) -> str:
        """Runs that diverged or were still improving at the end."""
        row = self.counts[arm]
        said = {"diverged": "diverged", "still_improving": "still improving"}
        return ", ".join(f"{w} in {row[k]} of {self.runs} runs" for k, w in said.items() if row[k])


def label(arm: Arm) -> str:
    """ "LBTW 0.5", or the method alone where it has no alpha."""
    return " ".join(arm).strip()


def scope(study: Study, t: Tables, arms: Sequence[Arm] = ()) -> str:
    """The data, runs and budget that a sentence holds for, and the smallest effects that these
    arms' tasks could have shown, from the surest task to the least sure.
    """
    trained = study.training[study.training["networks"] > 0]
    budget = sorted(trained["steps"].unique()) or [0]
    steps = "–".join(dict.fromkeys(f"{s:,}" for s in (budget[0], budget[-1])))
    varied = {"fixed": "one split", "free": "new splits"}.get(t.split, "new data")
    runs = f"{t.runs} run{'s' if t.runs > 1 else ''} on {varied}"
    name = " and ".join(study.results["dataset"].unique())
    trunk = "-".join(map(str, study.recipe.trunk))
    effects = [t.verdicts[a]["detectable"] for a in arms if a != t.reference and t.scored(a)]
    seen = np.concatenate([[], *effects])
    seen = seen[np.isfinite(seen)]
    ends = dict.fromkeys(f"{e:.2g}" for e in (seen.min(), seen.max())) if len(seen) else ()
    power = f"; detectable {'–'.join(ends)}" if ends else ""
    rest = f" by {t.metric}, {runs}, trunk {trunk}, {steps} steps{power}"
    return short(name, max(8, min(24, LETTERS - len(rest)))) + rest


_KEPT: weakref.WeakKeyDictionary[Study, dict[Hashable, Any]] = weakref.WeakKeyDictionary()


def kept(study: Study) -> dict[Hashable, Any]:
    """What was computed from a study before: forty pictures of a slider read the same tables."""
    return _KEPT.setdefault(study, {})


def tables(study: Study, metric: str | None = None) -> Tables:
    """The tables of a study by arm, computed once.

    Raises:
        BadInput: an unknown metric.
    """
    mine = kept(study)
    if metric not in mine:
        mine[metric] = _tables(study, metric)
    return mine[metric]


def _tables(study: Study, metric: str | None) -> Tables:
    wanted = study.results["task"].map(study.metric) if metric is None else metric
    baseline = (study.baseline, "")
    delta = {(m, printed(a)): study.delta(m, a, metric) for m, a in study.arms()}
    rows = study.results[study.results["metric"] == wanted]
    names = [str(name) for name in rows["metric"].unique()]
    counts = {(r["method"], printed(r["alpha"])): r for r in _records(study.counts(metric))}
    verdicts = study.transfer(metric)
    by_arm = verdicts.groupby(["method", "alpha"], sort=False, dropna=False)
    if len(names) == 1:
        arms = [(study.baseline, math.nan), *study.arms()]
        value = {(m, printed(a)): study.scores(m, a, metric) for m, a in arms}
    else:  # a mean of PR-AUCs and errors means nothing; of differences it does
        value = {baseline: next(iter(delta.values())) * 0, **delta}
    # Tasks that every arm scored in every run; an arm that lost a whole run has no say.
    told = [v.notna() for v in value.values() if v.notna().any(axis=1).all()]
    common = pd.concat(told).all() if told else next(iter(delta.values())).notna().all()
    return Tables(
        baseline=baseline,
        reference=None if study.null is None else (study.null, ""),
        counts=counts,
        verdicts={(str(m), printed(a)): rows for (m, a), rows in by_arm},  # type: ignore[arg-type]
        level={a: v.loc[:, common].mean(axis=1, skipna=False).to_numpy() for a, v in value.items()},
        single={arm: _negative(d.to_numpy()) for arm, d in delta.items()},
        tasks=rows["task"].nunique(),
        runs=rows["seed"].nunique(),
        metric=" and ".join(names),
        mean=f"mean {names[0]}" if len(names) == 1 else f"mean difference from {study.baseline}",
        lower=len(names) == 1 and names[0] in LOWER_IS_BETTER,
        turned=bool(LOWER_IS_BETTER.intersection(names)),
        split=str(rows["split"].iloc[0]),
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _negative(delta: np.ndarray) -> np.ndarray:
    usable = np.isfinite(delta).all(0)
    count = (delta[:, usable] < 0).sum(1).astype(float)
    return count if usable.any() else np.full(len(delta), np.nan)


def printed(alpha: float) -> str:
    return "" if alpha != alpha else f"{alpha:g}"
