"""What an audit has found: as numbers for scripts, and as sentences for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from ..figures.tables import arm_tables, format_alpha
from ..study import (
    CONSTANT,
    METHODS,
    STL,
    TRAINING_STAGES,
    Study,
    TaskPlan,
    arm_words,
    methods_at_widths,
    runs_needed,
)
from ..study.task_plan import STANDARD_ERRORS
from .plan import WIDTH_FACTORS
from .result import Audit, resume_command

MOST_NAMED = 6  # a sentence names so many tasks at most
MOST_RUNS = 100  # nobody would train more runs than these
SAME_AS_MTL = ("LBTW", 0.0)  # with alpha 0 every weight is 1
VERDICTS = {
    v: v.replace(" ", "_") for v in ("harmed", "helped", "same", "undecided", "not learned")
}
"""The verdicts, and what they are called among the findings."""


def findings(audit: Audit) -> dict[str, Any]:
    """The findings of an audit, as a dictionary that JSON can write.

    Returns:
        A dictionary with these keys:

        - `name`, `tasks`, `runs`, `split`: the data, and how many tasks and runs there are.
        - `margin`: by metric, the smallest difference that matters, as it was stated.
        - `mtl`: the tasks that MTL harms and helps, those that are the same within the margin,
          those that are undecided, those that are not learned (neither MTL nor STL is shown to beat
          the predictor that ignores the features), and those without a score. `mean` is its mean
          difference from STL over the learned tasks. `negative_one_run` is what a single run would
          have said, and what chance says.
        - `detectable`: by metric, the smallest difference that the test could have detected, for
          the surest task and for the least sure.
        - `runs_needed`: for each undecided task the runs that would decide it, or null.
        - `remedies`: one row per method and alpha, the best first, without LBTW at alpha 0, which
          is MTL. `mean` is its mean difference from STL. `dominated` says that STL is as good:
          that the remedy helps no task, and is not better on the whole. `leaning_worse` are the
          tasks that MTL harms, and that are undecided and below 0 with this method.
        - `best`: the best remedy that STL does not dominate, or null. `best_runs_needed`: the runs
          that would decide its `leaning_worse`.
        - `plan`: the method of each task, and what this is worth (see `Study.task_plan`).
        - `floors`: by name, what each method without networks does, such as "Trees", if any was
          asked for: the tasks on which it is worse and better than STL beyond chance, and its mean
          difference from STL.
        - `widths`: the width check, one row per width, or null.
        - `affinity`: the mean cosine of the tasks' gradients at the last shared layer, by stage of
          training, or null. `common_labels`: the mean share of common labels of two tasks, or null.
        - `seconds`, `left_out`: how long it took, and what the budget had no room for. `go_on`: the
          command that trains it, or null.

    >>> from mtl_nt.audit import example_audit
    >>> findings(example_audit())['runs']
    2
    """
    study = audit.main_study
    t, mtl = arm_tables(study), ("MTL", "")
    verdicts, row = t.verdicts[mtl], t.counts[mtl]
    scored = verdicts["delta"].notna()
    single = t.worse_by_run[mtl] if scored.any() else np.zeros(t.runs)
    names = {
        name: verdicts["task"][scored & (verdicts["verdict"] == verdict)].tolist()
        for verdict, name in VERDICTS.items()
    }
    learned = verdicts[verdicts["verdict"] != "not learned"]
    effects = learned.assign(metric=learned["task"].map(study.metric)).groupby("metric")
    floors = [m for m, _ in study.arms() if m in METHODS and METHODS[m].predictor is not None]
    apart = (CONSTANT, study.null, "MTL", *floors)
    others = [a for a in study.arms() if a[0] not in apart and a != SAME_AS_MTL]
    means = _means(study, learned["task"].tolist())
    remedies = [
        _remedy(study, method, alpha, names["harmed"], means[method, format_alpha(alpha)])
        for method, alpha in others
    ]
    able = [r for r in remedies if not r["diverged"]]
    best = min((r for r in able if not r["dominated"]), key=_sort_key, default=None)
    return {
        "name": audit.name,
        "tasks": t.tasks,
        "runs": t.runs,
        "split": t.split,
        "margin": dict(study.margin),
        "mtl": {
            **names,
            "mean": means[mtl],
            "not_scored": verdicts["task"][~scored].tolist(),
            "harmed_null": int(row["harmed_null"]),
            "negative_one_run": {
                "mean": float(np.mean(single)),
                "least": int(np.min(single)),
                "most": int(np.max(single)),
                "null_pairs": int(row["null_pairs"]),
                "null_low": float(row["negative_null_low"]),
                "null_high": float(row["negative_null_high"]),
            },
            "diverged": int(row["diverged"]),
            "alone_diverged": int(t.counts[t.baseline]["diverged"]),
            "still_improving": int(row["still_improving"]),
        },
        "detectable": {
            str(m): [float(e["detectable"].min()), float(e["detectable"].max())]
            for m, e in effects
            if e["detectable"].notna().any()
        },
        "runs_needed": runs_to_decide(study, "MTL", None, names["undecided"]),
        "remedies": sorted(remedies, key=_sort_key),
        "best": best,
        "plan": plan_findings(audit.task_plan),
        "floors": {name: _floor(study, name, means[name, ""]) for name in floors},
        "best_runs_needed": runs_to_decide(
            study, best["method"], best["alpha"], best["leaning_worse"]
        )
        if best
        else {},
        "widths": _width_findings(audit),
        "affinity": None
        if audit.affinity is None
        else dict(zip(TRAINING_STAGES, map(_off_diagonal, audit.affinity.cosines), strict=True)),
        "common_labels": None
        if audit.affinity is None
        else _off_diagonal(audit.affinity.common_labels),
        "seconds": audit.provenance["seconds"],
        "left_out": list(audit.plan.left_out),
        "go_on": resume_command(audit),
    }


def sentences(audit: Audit) -> list[str]:
    """The findings of an audit in words, one or two sentences per item.

    The sentences are plain text. They hold names from the data, so escape them in HTML.

    >>> from mtl_nt.audit import example_audit
    >>> any(sentence.startswith("MTL harms ") for sentence in sentences(example_audit()))
    True
    """
    f = findings(audit)
    mtl, runs, many = f["mtl"], f["runs"], f["tasks"]
    scored, unscored = many - len(mtl["not_scored"]), mtl["not_scored"]
    for name, times in (
        ("MTL", mtl["diverged"]),
        (audit.main_study.baseline, mtl["alone_diverged"]),
    ):
        if times:
            return [
                f"{name} diverged in {times} of {runs} runs, so nothing can be said of MTL; "
                "try other training settings."
            ]
    said = _not_learned_words(f)
    learned = scored - len(mtl["not_learned"])
    lost = [
        f"{len(unscored)} of {many} could not be scored: {listed(unscored)}; give more labels, of "
        "both classes."
    ]
    if not learned:
        return [*said, *(lost if unscored else []), *_left_out_words(audit, f)]
    of = f"{learned} {'learned ' if said else 'scored ' if unscored else ''}tasks"
    on = {"fixed": "on this split", "free": "on new splits of the same rows"}
    where = on.get(f["split"], "on new data")
    ends = {m: dict.fromkeys(f"{v:.2g}" for v in pair) for m, pair in f["detectable"].items()}
    effects = " or ".join(f"{' to '.join(both)} in {m}" for m, both in ends.items())
    said += [mean_words("MTL", audit.main_study.baseline, mtl["mean"])]
    same = f"{len(mtl['same'])} the same within the margin, " if f["margin"] else ""
    said += [
        f"MTL harms {_count(mtl['harmed'], of)} beyond chance, helps "
        f"{_names(mtl['helped'])}; {same}{len(mtl['undecided'])} undecided. ({runs} runs {where}; "
        f"of differences under {effects}, by task, so many runs miss more than one in five.)"
    ]
    said += lost if unscored else []
    one = mtl["negative_one_run"]
    said.append(
        f"A single run would have said {one['mean']:.1f} are worse ({one['least']} to "
        f"{one['most']}, depending on the run); chance alone says {one['null_low']:.1f} to "
        f"{one['null_high']:.1f} ({one['null_pairs']} pairs of equal trainings), and the test "
        f"flags {mtl['harmed_null']} of single-task networks against themselves."
    )
    if mtl["still_improving"]:
        said.append(
            f"MTL was still improving in {mtl['still_improving']} of {runs} runs when its steps "
            "were over; more steps may change this."
        )
    elif mtl["harmed"] and audit.recipe.schedule == "cosine":
        more = 2 * audit.recipe.steps
        said.append(
            "Is that harm, or training that was not done? Where the learning rate falls to "
            f"nothing, no loss tells: look again with --steps {more} before any cure."
        )
    said += [_remedy_words(f), f"{f['plan']['says']} It was chosen on {f['plan']['chosen_on']}."]
    said += [_floor_words(name, floor) for name, floor in f["floors"].items()]
    said += more_runs(f["runs_needed"], f["split"])
    said += _width_words(f)
    return said + _left_out_words(audit, f)


def _left_out_words(audit: Audit, f: dict[str, Any]) -> list[str]:
    """What was not trained, and how to go on."""
    said = [f"Left out: {'; '.join(f['left_out'])}."] if f["left_out"] else []
    if f["go_on"]:
        why = "Stopped early" if audit.plan.interrupted else "The time was over"
        said.append(f"{why}. To go on from here, run: {f['go_on']}")
    return said


def _not_learned_words(f: dict[str, Any]) -> list[str]:
    """The tasks of which nothing can be said, because no network has learned them."""
    lost = f["mtl"]["not_learned"]
    if not lost:
        return []
    scored = f["tasks"] - len(f["mtl"]["not_scored"])
    are, their, them = ("is", "its", "it") if len(lost) == 1 else ("are", "their", "them")
    so = "So" if len(lost) == scored else f"For {them}"
    return [
        f"{len(lost)} of {scored} tasks {are} not learned ({listed(lost)}): neither MTL nor a "
        f"network of {their} own is better beyond chance than a guess that ignores the features. "
        f"{so} there is no harm, no help and no remedy to speak of; give more labels, other "
        "features or more steps."
    ]


def mean_words(name: str, base: str, mean: Mapping[str, Any]) -> str:
    """The mean effect of a method over the learned tasks, in one sentence.

    >>> mean = {"delta": 0.021, "low": 0.009, "high": 0.033, "unit": "PR-AUC", "tasks": 9}
    >>> print(mean_words("MTL", "STL", mean))  # doctest: +NORMALIZE_WHITESPACE
    On average over 9 tasks, MTL is better than STL by 0.021 in PR-AUC
    (95% interval 0.009 to 0.033).
    """
    delta, low, high = (mean[key] for key in ("delta", "low", "high"))
    over = f"On average over {mean['tasks']} tasks" if mean["tasks"] != 1 else "On one task"
    if delta is None:
        return f"{name} cannot be compared with {base} on average."
    digits = effect_digits((high - low) if low is not None else delta)
    worse = "better" if delta > 0 else "worse"
    if low is None:
        return f"{over} in one run, {name} is {worse} than {base} by {abs(delta):.{digits}f}."
    if low <= 0 <= high:
        return (
            f"{over}, {name} and {base} cannot be told apart: {delta:+.{digits}f} "
            f"{in_unit(mean['unit'])} (95% interval {low:+.{digits}f} to {high:+.{digits}f}; "
            f"above 0, {name} is better)."
        )
    ends = sorted((abs(low), abs(high)))
    return (
        f"{over}, {name} is {worse} than {base} by {abs(delta):.{digits}f} {in_unit(mean['unit'])} "
        f"(95% interval {ends[0]:.{digits}f} to {ends[1]:.{digits}f})."
    )


def in_unit(unit: str) -> str:
    """A unit behind a number: a metric is what a difference is in, and standard errors are many.

    >>> in_unit("PR-AUC"), in_unit("standard errors")
    ('in PR-AUC', 'standard errors')
    """
    return unit if unit == STANDARD_ERRORS else f"in {unit}"


def effect_digits(width: float) -> int:
    """Decimals with which a width has two significant digits, and two at least.

    >>> effect_digits(0.024), effect_digits(1.7)
    (3, 2)
    """
    known = math.isfinite(width) and width != 0
    return min(8, max(2, 1 - math.floor(math.log10(abs(width))))) if known else 3


def _count(tasks: Sequence[str], of: str) -> str:
    return f"{len(tasks)} of {of} ({listed(tasks)})" if tasks else f"none of {of}"


def _names(tasks: Sequence[str]) -> str:
    return f"{len(tasks)} ({listed(tasks)})" if tasks else "none"


def listed(tasks: Sequence[str], most: int = MOST_NAMED) -> str:
    """The names of tasks in words, the first of them if they are many."""
    names = [" ".join(t.split())[:40] for t in tasks[:most]]
    more = len(tasks) - len(names)
    return ", ".join([*names, *([f"{more} more"] if more else [])])


def runs_to_decide(
    study: Study, method: str, alpha: float | None, tasks: Sequence[str]
) -> dict[str, int | None]:
    """The runs that would decide each of these tasks; None if no number of runs would."""
    if not tasks:
        return {}
    delta = study.delta(method, math.nan if alpha is None else alpha)
    margin = np.array([study.margin.get(study.metric[str(task)], 0.0) for task in delta])
    needed = runs_needed(delta.to_numpy(), study.overlap, margin=margin)
    runs = dict(zip(delta, needed.tolist(), strict=True))
    return {task: int(runs[task]) if math.isfinite(runs[task]) else None for task in tasks}


def plan_findings(plan: TaskPlan) -> dict[str, Any]:
    """A plan per task as a dictionary that JSON can write.

    >>> from mtl_nt.audit import example_audit
    >>> [*plan_findings(example_audit().study.task_plan())][:3]
    ['says', 'tasks', 'apparent']
    """
    mean, low, high = map(_known, plan.left_out)
    return {
        "says": str(plan),
        "tasks": {task: {"method": m, "alpha": alpha} for task, (m, alpha) in plan.choices.items()},
        "apparent": _known(plan.apparent),
        "left_out": {"mean": mean, "low": low, "high": high},
        "unit": plan.unit,
        "below": _known(plan.below),
        "below_mtl": _known(plan.below_mtl),
        "chosen_on": plan.chosen_on,
        "networks": plan.networks,
        "seconds": round(plan.seconds, 2),
    }


def _means(study: Study, learned: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """The mean difference of every method and alpha from STL over the learned tasks.

    It is that of `Study.overall`. A task that nobody has learned would add nothing but its noise.
    """
    results = study.results[study.results["task"].isin([*learned])]
    if not len(results):
        nothing = dict.fromkeys(("delta", "low", "high", "delta_m", "rank"))
        return {arm: {**nothing, "unit": "", "tasks": 0} for arm in arm_tables(study).counts}
    rows = replace(study, results=results).overall().to_dict("records")
    return {
        (str(row["method"]), format_alpha(row["alpha"])): {
            **{name: _known(row[name]) for name in ("delta", "low", "high", "delta_m", "rank")},
            "unit": row["unit"],
            "tasks": int(row["tasks"]),
        }
        for row in rows
    }


def _floor(study: Study, name: str, mean: dict[str, Any]) -> dict[str, Any]:
    """What a method without networks does to every task."""
    rows = arm_tables(study).verdicts[name, ""]
    by = {v: rows["task"][rows["verdict"] == v].tolist() for v in ("harmed", "helped")}
    return {"worse": by["harmed"], "better": by["helped"], "mean": mean}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _remedy(
    study: Study, method: str, alpha: float, harmed: Sequence[str], mean: dict[str, Any]
) -> dict[str, Any]:
    """What a method does, and which of the tasks that MTL harms it may harm as well."""
    t, arm = arm_tables(study), (method, format_alpha(alpha))
    row, v = t.counts[arm], t.verdicts[arm]
    leaning = v["task"].isin(harmed) & (v["verdict"] == "undecided") & (v["delta"] < 0)
    keys = ("harmed", "helped", "undecided", "networks", "diverged")
    better = mean["low"] is not None and mean["low"] > 0
    return {
        "method": method,
        "alpha": None if math.isnan(alpha) else alpha,
        **{k: int(row[k]) for k in keys},
        "same": int(row["same"]) if "same" in row else 0,
        "mean": mean,
        "dominated": not row["helped"] and not better,
        "leaning_worse": v["task"][leaning].tolist(),
        "seconds": round(float(row["seconds"]), 2),
    }


def _sort_key(remedy: dict[str, Any]) -> tuple[float, ...]:
    """What remedies are sorted by, the best first: by harm and then by gain.

    One that diverged or that STL dominates comes last. Then count the harmed tasks, those that may
    still be harmed, the mean gain, and the networks to train.
    """
    gain = remedy["mean"]["delta"]
    last = remedy["diverged"] > 0, remedy["dominated"]
    harm = remedy["harmed"], len(remedy["leaning_worse"])
    return *last, *harm, math.inf if gain is None else -gain, remedy["networks"]


def _remedy_words(f: dict[str, Any]) -> str:
    best, mtl = f["best"], f["mtl"]
    tried = len(f["remedies"])
    if not tried:
        return "No remedy was tried."
    only = f"{_remedy_name(f['remedies'][0])}, the one other way tried," if tried == 1 else ""
    if not mtl["harmed"] and (best is None or best["helped"] <= len(mtl["helped"])):
        # Of these tasks nobody knows whether they are spared.
        unknown = mtl["undecided"] or mtl["not_scored"] or mtl["not_learned"]
        none = "No harm was found" if unknown else "There is no harm to cure"
        if only:
            return f"{none}, and {only} does not help more tasks than MTL."
        return f"{none}, and none of the {tried} other ways tried helps more tasks than MTL."
    if best is None and only:
        return (
            f"{only} is not better than single-task networks: it helps no task, and is not better "
            "on average."
        )
    if best is None:
        return (
            f"None of the {tried} other ways tried is better than single-task networks: none helps "
            "a task, and none is better on average."
        )
    name = _remedy_name(best)
    gain = best["mean"]["delta"]
    average = "" if gain is None else f", {gain:+.2g} {in_unit(best['mean']['unit'])} on average"
    said = f"{name} harms {best['harmed']} and helps {best['helped']}{average}"
    caution = f"picked among {tried} on these same runs, so expect a little less"
    if only:
        caution = "the one other way tried"
    if not mtl["harmed"]:
        return f"No harm was found. {said} (MTL helps {len(mtl['helped'])}; {caution})."
    if best["harmed"] >= len(mtl["harmed"]):
        able = (r for r in f["remedies"] if r["dominated"] and not r["diverged"])
        spared = [r for r in able if r["harmed"] < len(mtl["harmed"])]
        if spared:
            also = f"{_remedy_name(spared[0])} harms {spared[0]['harmed']}, and helps none: "
            return (
                f"None of the {tried} remedies tried both harms fewer tasks than MTL and is better "
                f"than single-task networks. {also}single-task networks are as good."
            )
        if only:
            return f"{only} harms no fewer tasks than MTL; single-task networks remain."
        return (
            f"None of the {tried} remedies tried harms fewer tasks than MTL; single-task networks "
            "remain."
        )
    return (
        f"The best remedy found: {said} (MTL: {len(mtl['harmed'])} and {len(mtl['helped'])}; "
        f"{caution}). {_leaning_words(f['best_runs_needed'])}It trains {best['networks']} "
        f"network{'s' if best['networks'] > 1 else ''} a run; single-task networks, which harm "
        f"no task by definition, are {f['tasks']}."
    )


def _remedy_name(remedy: dict[str, Any]) -> str:
    return arm_words((remedy["method"], remedy["alpha"]))


def _floor_words(name: str, floor: dict[str, Any]) -> str:
    """Whether a method without networks is as good as a network for each task."""
    better, worse, gain = floor["better"], floor["worse"], floor["mean"]["delta"]
    average = "" if gain is None else f" On average: {gain:+.2g} {in_unit(floor['mean']['unit'])}."
    return (
        f"{name}, one model for each task and no network: better than STL beyond chance on "
        f"{_names(better)}, worse on {_names(worse)}.{average}"
    )


def _leaning_words(needed: dict[str, int | None]) -> str:
    if not needed:
        return ""
    runs = [n for n in needed.values() if n is not None and n <= MOST_RUNS]
    are, them = ("is", "it") if len(needed) == 1 else ("are", "them")
    settled = f"{MOST_RUNS} runs may not settle {them}"
    if len(runs) == len(needed):
        settled = f"about {max(runs)} runs would settle {them}"
    return (
        f"Of those that MTL harms, {len(needed)} {are} undecided and leaning worse "
        f"({listed([*needed])}); {settled}. "
    )


def more_runs(runs: Mapping[str, int | None], split: str) -> list[str]:
    """How many runs would decide the undecided tasks, in words; nothing if all are decided.

    Args:
        runs: for each undecided task, as `runs_to_decide` gives it.
        split: what a new run changes, as the results say it.
    """
    needed = list(runs.values())
    if not needed:
        return []
    finite = sorted(n for n in needed if n is not None and n <= MOST_RUNS)
    if not finite:
        rows = "splits of these rows (more rows could)" if split == "free" else "it"
        return [
            f"No number of runs that one would train ({MOST_RUNS}) is likely to decide the "
            f"{len(needed)} undecided: their differences are too small for {rows}."
        ]
    half = finite[(len(finite) - 1) // 2]
    first = sum(n <= half for n in finite)
    rest = len(needed) - len(finite)
    more = f"; {rest} would stay undecided even with {MOST_RUNS}" if rest else ""
    return [
        f"{half} runs in all would probably decide {first} of the {len(needed)} undecided"
        f"{f', {finite[-1]} runs {len(finite)}' if len(finite) > first else ''}"
        f"{more} (if their differences are as they seem)."
    ]


def _width_findings(audit: Audit) -> list[dict[str, Any]] | None:
    """What MTL does at each width of the trunk, narrowest first.

    MTL is compared with STL of the same width (`harmed`, `helped`), and with MTL on the data's own
    trunk (`better_than_own`, `worse_than_own`).
    """
    if not audit.plan.widths:
        return None
    study = audit.study
    arms = {m.name: m for m in methods_at_widths(audit.recipe, WIDTH_FACTORS)}
    found = []
    for factor in sorted((*WIDTH_FACTORS, 1.0)):
        suffix = "" if factor == 1 else f", width x {factor:g}"
        name = f"MTL{suffix}"
        test = _verdicts(study.against(f"{STL.name}{suffix}") if suffix else study, name)
        verdicts = test["verdict"].tolist()
        better = _verdicts(study.against("MTL"), name)["verdict"].tolist() if suffix else []
        found.append(
            {
                "factor": factor,
                "trunk": list(arms[name].settings["trunk"] if suffix else audit.recipe.trunk),
                "harmed": verdicts.count("harmed"),
                "helped": verdicts.count("helped"),
                "better_than_own": better.count("helped"),
                "worse_than_own": better.count("harmed"),
                "delta": {
                    task: float(mean) if math.isfinite(mean) else None
                    for task, mean in test["delta"].items()
                },
                "verdict": dict(test["verdict"]),
            }
        )
    return found


def _verdicts(study: Study, method: str) -> pd.DataFrame:
    """The test of every task, by its name, for a method without an alpha."""
    table = study.transfer()
    return table[table["method"] == method].set_index("task")


def _width_words(f: dict[str, Any]) -> list[str]:
    if f["widths"] is None:
        return []
    own = next(w for w in f["widths"] if w["factor"] == 1)
    wide = f["widths"][-1]
    better, worse = wide["better_than_own"], wide["worse_than_own"]
    counts = (
        f"On a trunk {wide['factor']:g} times as wide MTL harms {wide['harmed'] or 'none'} against "
        f"single-task networks as wide, on its own {own['harmed'] or 'none'}; against MTL on its "
        f"own trunk {better or 'no'} task{'' if better == 1 else 's'} "
        f"{'is' if better == 1 else 'are'} better and {worse or 'none'} worse"
    )
    if better and not worse:
        return [f"{counts}: width is part of the harm."]
    return [f"{counts}."]


def _off_diagonal(matrix: Float[np.ndarray, "T T"]) -> float | None:
    """The mean over pairs of different tasks; None if no pair has a value."""
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return round(float(np.nanmean(off)), 4) if np.isfinite(off).any() else None
