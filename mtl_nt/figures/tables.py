"""The numbers that figures show, and the sentences about them, for every arm of a study.

An arm is a method with one of its alphas. The numbers of a study are computed once.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from ..errors import BadInput, suggestion
from ..study import CONSTANT, Study, groups_of, has_one_unit, sizes_of, standard_errors
from ..study.methods import LINEAR
from .drawing import FOOTER_LENGTH, shorten

Arm = tuple[str, str]  # a method, and its alpha as text, which is "" where it has none
PLAIN_MTL = ("MTL", "")
MOST_NAMED = 5  # a sentence names so many tasks at most
MOST_ALPHAS = 3  # so many rows per method at most, where no alpha is asked for


@dataclass(frozen=True)
class ArmTables:
    """The numbers of a study for every arm, in the order of training."""

    baseline: Arm  # what all are compared with, STL unless said otherwise
    null_arm: Arm | None  # the baseline with another seed, such as STL', if it is there
    counts: dict[Arm, dict[str, Any]]  # rows of `study.counts()`, the baseline first
    verdicts: dict[Arm, pd.DataFrame]  # rows of `study.transfer()`, all but the baseline
    overall: dict[Arm, dict[str, Any]]  # as `study.overall()`, over the tasks that are learned
    mean_by_run: dict[Arm, Float[np.ndarray, " S"]]  # the mean metric over tasks, for every run
    worse_by_run: dict[
        Arm, Float[np.ndarray, " S"]
    ]  # how many tasks are worse than the baseline, for every run
    tasks: int
    runs: int
    metric: str  # what the tasks are judged by
    mean_name: str  # what `mean_by_run` holds, in words
    lower_is_better: bool  # whether lower values of `mean_by_run` are better
    sign_turned: bool  # whether differences have their sign turned, so that + is better
    split: str  # "free", "fixed" or "new data", see `Split.kind`; or "not stated"
    why_no_null: str  # why there is no `null_arm`, where there is none

    @property
    def methods(self) -> list[str]:
        """All methods, in the order of training."""
        return list(dict.fromkeys(method for method, _ in self.counts))

    @property
    def better(self) -> str:
        """The word for the better direction of the mean."""
        return "lower" if self.lower_is_better else "higher"

    def arms(self, method: str) -> list[Arm]:
        """The arms of a method, one for every alpha."""
        return [arm for arm in self.counts if arm[0] == method]

    def find_arm(self, method: str, alpha: float | None) -> Arm:
        """The arm of a method and an alpha, by default the middle one.

        A method that has no alpha ignores it.

        Raises:
            BadInput: an unknown method or alpha.
        """
        arms = self.arms(method)
        if not arms:
            raise BadInput(
                f"no method {method!r} in this study; {suggestion(method, self.methods)}"
            )
        if not arms[0][1]:
            return arms[0]
        known = [printed for _, printed in arms]
        wanted = known[len(known) // 2] if alpha is None else format_alpha(alpha)
        if wanted not in known and alpha is not None:  # in spite of rounding
            near = [each for each in known if f"{float(each):g}" == f"{alpha:g}"]
            wanted = near[0] if len(near) == 1 else wanted
        if wanted not in known:
            raise BadInput(f"no alpha {wanted} of {method!r} in this study; known: {known}")
        return method, wanted

    def select_arms(
        self, methods: Sequence[str] | None, alpha: float | None, limit: int
    ) -> list[Arm]:
        """The arms that a figure of `limit` rows shows: the null, and those of the methods.

        Without an alpha, each method shows as many of its alphas as there is room for.
        """
        names = [m for m in self.methods if m != CONSTANT] if methods is None else list(methods)
        out = {self.baseline, self.null_arm}
        names = [m for m in dict.fromkeys(names) if (m, "") not in out]
        first = {m: self.find_arm(m, alpha) for m in names}
        several = [m for m in names if first[m][1]]
        room = max(1, (limit - 1 - len(names) + len(several)) // max(1, len(several)))
        found = [] if self.null_arm is None else [self.null_arm]
        for m in names:
            arms = [first[m]] if alpha is not None else self.arms(m)
            places = (
                np.linspace(len(arms) - 1, 0, min(room, MOST_ALPHAS, len(arms))).round().astype(int)
            )
            found += [arms[i] for i in places[::-1]]
        return found

    def scored_tasks(self, arm: Arm) -> int:
        """How many tasks have a score in every run of this arm; the counts are out of these."""
        return int(self.verdicts[arm]["delta"].notna().sum())

    def tasks_with(self, arm: Arm, verdict: str) -> float:
        """How many tasks have this verdict. NaN with one run, or if no task has a score."""
        return (
            float(self.counts[arm][verdict]) if self.runs > 1 and self.scored_tasks(arm) else np.nan
        )

    def null_words(self, arm: Arm) -> str:
        """How many tasks chance alone makes worse in one run, in words."""
        row = self.counts[arm]
        if self.null_arm is None:
            return f"no null: {self.why_no_null}"
        return f"null {row['negative_null_low']:.1f}–{row['negative_null_high']:.1f}"

    def harmed_null_words(self, arm: Arm) -> str:
        """How many tasks of the null the test calls harmed, in words."""
        return "no null" if self.null_arm is None else f"null {self.counts[arm]['harmed_null']}"

    def not_learned(self, arm: Arm) -> int:
        """How many tasks neither this arm nor the baseline has learned at all."""
        return 0 if arm == self.baseline else int(self.counts[arm]["not_learned"])

    def overall_words(self, arm: Arm) -> list[str]:
        """What an arm does on the whole: mean difference with interval, delta_m and mean rank."""
        row = self.overall[arm]
        said = {
            "delta": "{delta:+.2g} [{low:+.2g}, {high:+.2g}]",
            "delta_m": "{delta_m:+.1f}%",
            "rank": "{rank:.1f}",
        }
        if np.isnan(row["low"]):  # of one run
            said["delta"] = "{delta:+.2g}"
        return ["–" if np.isnan(row[key]) else form.format(**row) for key, form in said.items()]

    def chance_words(self) -> str:
        """How often the test flags a task where nobody is harmed, and what the null rests on."""
        usual = "3 to 8" if self.runs < 8 else "4 to 7"  # as simulated, see `paired_test`
        often = {2: "3 to 28", 3: "3 to 12", 4: "4 to 10"}.get(self.runs, usual)
        flags = f"Where nothing differs, {often} of 100 studies of {self.runs} runs flag some task."
        if self.runs < 2 or self.null_arm is None:
            return flags if self.runs > 1 else ""
        pairs = self.counts[self.null_arm]["null_pairs"]
        return f"{flags} The null of a count is from {pairs} pairs of trainings."

    def task_count(self, arm: Arm) -> str:
        """How many tasks can be harmed or helped, in words."""
        many = self.scored_tasks(arm) - self.not_learned(arm)
        learned = "learned " if self.not_learned(arm) else ""
        where = " on this split" if self.split == "fixed" else ""
        return f"{many} {learned}task{'s' if many != 1 else ''}{where}"

    def not_learned_words(self, arm: Arm) -> str:
        """How many tasks are not learned, as the beginning of a sentence; or nothing."""
        many = self.not_learned(arm)
        are = "is" if many == 1 else "are"
        return f"{many} of {self.scored_tasks(arm)} tasks {are} not learned; " if many else ""

    def claim(self, arm: Arm) -> str:
        """One sentence: how many tasks this arm harms, beside what chance does."""
        row, name = self.counts[arm], arm_label(arm)
        if not self.scored_tasks(arm):
            return f"{name} leaves no task to count: {self.why_unscored(arm)}"
        if self.runs < 2:
            return (
                f"One run decides nothing: {name} is worse than {self.baseline[0]} on "
                f"{row['negative_per_run']:.0f} of {self.task_count(arm)} ({self.null_words(arm)})"
            )
        plain = self.counts.get(PLAIN_MTL)
        compared = plain and arm not in (PLAIN_MTL, self.null_arm) and self.baseline != PLAIN_MTL
        compared = compared and self.scored_tasks(PLAIN_MTL) > 0
        other = f"; MTL {plain['harmed']}" if plain and compared else ""
        return (
            f"{self.not_learned_words(arm)}"
            f"{name} harms {row['harmed'] or 'none'} of {self.task_count(arm)} beyond chance "
            f"({self.harmed_null_words(arm)}{other}); a single run would say "
            f"{row['negative_per_run']:.1f} ({self.null_words(arm)})"
        )

    def claim_over_alphas(self, arms: Sequence[Arm]) -> str:
        """One sentence: how many tasks a method harms over its alphas."""
        counted = [a for a in arms if self.scored_tasks(a)]
        if not counted or self.runs < 2:
            return self.claim((counted or arms)[0])
        harmed = [int(self.counts[a]["harmed"]) for a in counted]
        single = [self.counts[a]["negative_per_run"] for a in counted]
        few, many = counted[int(np.argmin(harmed))], counted[int(np.argmax(harmed))]
        if min(harmed) == max(harmed):
            said = f"{min(harmed) or 'none'} of {self.task_count(few)} beyond chance at every alpha"
        else:
            said = (
                f"{min(harmed) or 'none'} (alpha {few[1]}) to {max(harmed)} (alpha {many[1]}) "
                f"of {self.task_count(few)} beyond chance"
            )
        return (
            f"{self.not_learned_words(few)}"
            f"{arms[0][0]} harms {said} ({self.harmed_null_words(few)}); single "
            f"runs say {min(single):.1f}–{max(single):.1f} ({self.null_words(few)})"
        )

    def describe(self, arm: Arm) -> str:
        """One sentence: the counts of this arm, with the names of the harmed tasks."""
        row, v = self.counts[arm], self.verdicts[arm]
        marks = self.run_problems(arm)
        if not self.scored_tasks(arm):
            return f"{arm_label(arm)}: nothing to count, {self.why_unscored(arm)}."
        names = [shorten(n, 40) for n in v["task"][v["verdict"] == "harmed"]]
        more = [f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
        listed = f" ({', '.join(names[:MOST_NAMED] + more)})" if names else ""
        missing = self.tasks - self.scored_tasks(arm)
        same = f"{row['same']} the same within the margin, " if "same" in row else ""
        lost = self.not_learned(arm)
        return (
            f"{arm_label(arm)}: {row['harmed']} harmed{listed}, {row['helped']} helped, {same}"
            f"{row['undecided'] - missing} undecided{f', {lost} not learned' if lost else ''}"
            f"{f', {missing} not scored' if missing else ''}{f'; {marks}' if marks else ''}."
        )

    def diverged_words(self, arms: Sequence[Arm]) -> str:
        """The arms that diverged in some run, in words."""
        gone = [arm_label(a) for a in arms if self.counts[a]["diverged"]]
        return f"✕ diverged: {', '.join(gone)}" if gone else ""

    def why_unscored(self, arm: Arm) -> str:
        """Why no task of this arm can be counted."""
        for guilty in (arm, self.baseline):
            if self.counts[guilty]["diverged"]:
                return f"{'' if guilty == arm else f'{guilty[0]} '}{self.run_problems(guilty)}"
        return "not scored"

    def run_problems(self, arm: Arm) -> str:
        """How many runs diverged or were still improving at the end, in words."""
        row = self.counts[arm]
        said = {"diverged": "diverged", "still_improving": "still improving"}
        return ", ".join(f"{w} in {row[k]} of {self.runs} runs" for k, w in said.items() if row[k])


def arm_label(arm: Arm) -> str:
    """The name of an arm: the method, and its alpha if it has one.

    >>> arm_label(("LBTW", "0.5")), arm_label(("MTL", ""))
    ('LBTW 0.5', 'MTL')
    >>> arm_label(("LBTW", "0.3333333333333333"))
    'LBTW 0.333333'
    """
    method, alpha = arm
    return f"{method} {float(alpha):g}" if alpha else method


def scope_line(study: Study, t: ArmTables, arms: Sequence[Arm] = ()) -> str:
    """The footer of a figure: the data, runs and budget that its title holds for.

    It also says the smallest difference that the test could have detected in these arms, for the
    surest task and for the least sure.
    """
    trained = study.training[study.training["networks"] > 0]
    budget = sorted(trained["steps"].unique()) or [0]
    steps = "–".join(dict.fromkeys(f"{s:,}" for s in (budget[0], budget[-1])))
    varied = {
        "fixed": " on one split",
        "free": " on splits of the same rows",
        "new data": " on new data",
    }
    runs = f"{t.runs} run{'s' if t.runs > 1 else ''}{varied.get(t.split, '')}"
    name = " and ".join(study.results["dataset"].unique())
    trunk = "-".join(map(str, study.recipe.trunk)) if study.recipe else ""
    body = study.recipe.own_body if study.recipe else None
    trunk = f"{shorten(body, 24)}, trunk {trunk}" if body else f"trunk {trunk}"
    settings = f", {trunk}, {steps} steps" if study.recipe else ""
    effects = [t.verdicts[a]["detectable"] for a in arms if a != t.null_arm and t.scored_tasks(a)]
    seen = np.concatenate([[], *effects])
    seen = seen[np.isfinite(seen)]
    ends = dict.fromkeys(f"{e:.2g}" for e in (seen.min(), seen.max())) if len(seen) else ()
    power = f"; detectable {'–'.join(ends)}" if ends else ""
    rest = f" by {t.metric}, {runs}{settings}{power}"
    return shorten(name, max(8, min(24, FOOTER_LENGTH - len(rest)))) + rest


_CACHES: weakref.WeakKeyDictionary[Study, dict[Hashable, Any]] = weakref.WeakKeyDictionary()


def study_cache(study: Study) -> dict[Hashable, Any]:
    """What was computed from this study before. The pictures of a slider read the same numbers."""
    return _CACHES.setdefault(study, {})


def arm_tables(study: Study, metric: str | None = None) -> ArmTables:
    """The numbers of a study for every arm. They are computed once for each study and metric.

    Args:
        metric: the metric of the tasks; by default each task's own.

    Raises:
        BadInput: an unknown metric.

    >>> from mtl_nt.study import stored
    >>> numbers = arm_tables(stored("cure-noisy"))
    >>> numbers.baseline, numbers.null_arm, numbers.metric
    (('STL', ''), ("STL'", ''), 'MSE')
    """
    cache = study_cache(study)
    if metric not in cache:
        cache[metric] = _compute_tables(study, metric)
    return cache[metric]


def _compute_tables(study: Study, metric: str | None) -> ArmTables:
    wanted = study.results["task"].map(study.metric) if metric is None else metric
    baseline = (study.baseline, "")
    delta = {(m, format_alpha(a)): study.delta(m, a, metric) for m, a in study.arms()}
    rows = study.results[study.results["metric"] == wanted]
    names = [str(name) for name in rows["metric"].unique()]
    counts = {(r["method"], format_alpha(r["alpha"])): r for r in _records(study.counts(metric))}
    verdicts = study.transfer(metric)
    by_arm = verdicts.groupby(["method", "alpha"], sort=False, dropna=False)
    own = study.scores(study.baseline, metric=metric)
    one_unit = has_one_unit(study, own, metric)
    if one_unit:
        arms = [(study.baseline, math.nan), *study.arms()]
        value = {(m, format_alpha(a)): study.scores(m, a, metric) for m, a in arms}
    else:  # a mean of PR-AUCs and errors means nothing; of differences in standard errors it does
        size, groups = sizes_of(study, own, metric), groups_of(study, own, metric)
        of_task = dict(zip(own.columns, groups, strict=True))
        scaled = {arm: d.div(size, axis=1) for arm, d in delta.items()}
        value = {arm: _in_standard_errors(d, study.overlap, of_task) for arm, d in scaled.items()}
        value = {baseline: next(iter(delta.values())) * 0, **value}
    # Tasks that every arm scored in every run; an arm that lost a whole run is left out.
    scored = [v.notna() for v in value.values() if v.notna().any(axis=1).all()]
    common = pd.concat(scored).all() if scored else next(iter(delta.values())).notna().all()
    found = {(str(m), format_alpha(a)): rows for (m, a), rows in by_arm}  # type: ignore[arg-type]
    exact = study.baseline in LINEAR
    return ArmTables(
        baseline=baseline,
        null_arm=None if study.null is None else (study.null, ""),
        counts=counts,
        verdicts=found,
        overall=_rows_by_arm(study.overall(metric)),
        mean_by_run={
            a: v.loc[:, common].mean(axis=1, skipna=False).to_numpy() for a, v in value.items()
        },
        worse_by_run={arm: _worse_than_baseline(d.to_numpy()) for arm, d in delta.items()},
        tasks=rows["task"].nunique(),
        runs=rows["seed"].nunique(),
        metric=" and ".join(names),
        mean_name=f"mean {names[0]}"
        if one_unit
        else f"mean difference from {baseline[0]}, in standard errors",
        lower_is_better=one_unit and study.sign(names[0]) < 0,
        sign_turned=any(study.sign(name) < 0 for name in names),
        split=str(rows["split"].iloc[0]),
        why_no_null=f"{baseline[0]} has no {'chance in it' if exact else 'twin here'}",
    )


def _rows_by_arm(table: pd.DataFrame) -> dict[Arm, dict[str, Any]]:
    return {(r["method"], format_alpha(r["alpha"])): r for r in _records(table)}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _in_standard_errors(
    delta: pd.DataFrame, overlap: float, group_of: Mapping[str, str]
) -> pd.DataFrame:
    error = standard_errors(delta.to_numpy(), overlap, [group_of[str(task)] for task in delta])
    return delta / pd.Series(np.where(error > 0, error, 1.0), delta.columns)


def _worse_than_baseline(delta: np.ndarray) -> np.ndarray:
    """How many tasks are worse than the baseline, for every run; NaN if no task has all scores."""
    usable = np.isfinite(delta).all(0)
    count = (delta[:, usable] < 0).sum(1).astype(float)
    return count if usable.any() else np.full(len(delta), np.nan)


def format_alpha(alpha: float) -> str:
    """An alpha as arms have it: as text, which is "" for NaN, the alpha of a method without one.

    The text is the whole number: arms are looked up by it.

    >>> format_alpha(0.50), format_alpha(1.0), format_alpha(1 / 3), format_alpha(float("nan"))
    ('0.5', '1', '0.3333333333333333', '')
    """
    short = f"{alpha:g}"
    return "" if alpha != alpha else short if float(short) == alpha else repr(float(alpha))
