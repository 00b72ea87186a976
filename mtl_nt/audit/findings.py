"""What an audit has found: as numbers for scripts, and as sentences for people."""

from __future__ import annotations

import math
import shlex
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
from ..training.original_units import ORIGINAL
from .plan import WIDTH_FACTORS
from .result import Audit, resume_command, where_words

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
        - `original_units`: for each task that is read as a logarithm, its scores in the unit in
          which it was measured: by metric the means over runs of STL and MTL.
        - `heavy_tails`: the tasks whose values have a heavy tail, for which `--log` is proposed.
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
        "original_units": _original_scores(study),
        "heavy_tails": [c for n in audit.notes if n.about == "tails" for c in n.columns],
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
                f"{name} diverged in {times} of {runs} runs, so nothing can be said of MTL. "
                f"{_diverged_advice(f)}",
                *_left_out_words(audit, f),
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
    said += [mean_words("MTL", audit.main_study.baseline, mtl["mean"])]
    same = f"{len(mtl['same'])} the same within the margin, " if f["margin"] else ""
    said += [
        f"MTL harms {_count(mtl['harmed'], of)} beyond chance, helps "
        f"{_names(mtl['helped'])}; {same}{len(mtl['undecided'])} undecided. There were {runs} runs "
        f"{where_words(audit)}. {power_words(f)}"
    ]
    said += lost if unscored else []
    one = mtl["negative_one_run"]
    alone = audit.main_study.baseline
    said.append(
        f"Without a test, one run shows {one['least']} to {one['most']} tasks worse under MTL. "
        f"Chance alone shows {one['null_low']:.0f} to {one['null_high']:.0f}: so many are worse in "
        f"{alone} than in {alone} again, with other random numbers ({one['null_pairs']} pairs). "
        f"The test calls {mtl['harmed_null'] or 'none'} of those harmed."
    )
    if mtl["still_improving"]:
        said.append(
            f"In {mtl['still_improving']} of {runs} runs the loss of MTL was still falling at its "
            f"last step. More steps, such as --steps {2 * audit.recipe.steps}, may change the "
            "verdicts."
        )
    elif mtl["harmed"] and audit.recipe.schedule == "cosine":
        more = 2 * audit.recipe.steps
        said.append(
            "Is that harm, or was the training too short? The learning rate falls to 0, so the "
            f"loss does not tell. Look again with --steps {more} before you try any cure."
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
        f"{so} nothing can be said of harm, help or remedies. {learn_advice(f)}"
    ]


def learn_advice(f: Mapping[str, Any]) -> str:
    """What to try where tasks are not learned: logarithms first, where a tail is heavy.

    >>> learn_advice({"heavy_tails": ["y_1", "y_2"], "mtl": {"not_learned": ["y_1", "y_3"]}})
    'Try --log y_1, since its values have a heavy tail. Or give more labels, other features or \
more steps.'
    """
    heavy = [task for task in f["heavy_tails"] if task in f["mtl"]["not_learned"]]
    more = "ive more labels, other features or more steps."
    if not heavy:
        return f"G{more}"
    return f"{_log_advice(heavy)} Or g{more}"


def _diverged_advice(f: Mapping[str, Any]) -> str:
    """What to try where a training diverged: a heavy tail is the most frequent cause."""
    if f["heavy_tails"]:
        return f"{_log_advice(f['heavy_tails'])} One such target can make a whole network diverge."
    return "Look for values that are far from all others, or try other training settings."


def _log_advice(heavy: Sequence[str]) -> str:
    names = shlex.quote(",".join(heavy[:MOST_NAMED]))
    others = f" and {len(heavy) - MOST_NAMED} more" if len(heavy) > MOST_NAMED else ""
    whose = "its values have" if len(heavy) == 1 else "their values have"
    return f"Try --log {names}{others}, since {whose} a heavy tail."


def power_words(f: Mapping[str, Any]) -> str:
    """How small a difference so many runs can find, in one sentence; nothing if nobody knows.

    >>> power_words({"runs": 5, "detectable": {"MSE": [0.1, 0.3]}})
    'In four of five cases, 5 runs find a difference of 0.3 in MSE, and smaller ones less often.'
    """
    ends = [f"{high:.2g} in {metric}" for metric, (_, high) in f["detectable"].items()]
    if not ends:
        return ""
    return (
        f"In four of five cases, {f['runs']} runs find a difference of {' or '.join(ends)}, and "
        "smaller ones less often."
    )


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
            f"{over}, {name} and {base} cannot be told apart: {delta:+z.{digits}f} "
            f"{in_unit(mean['unit'])} (95% interval {low:+z.{digits}f} to {high:+z.{digits}f}; "
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
    runs = runs_by_task(study, method, math.nan if alpha is None else alpha)
    return {task: int(runs[task]) if math.isfinite(runs[task]) else None for task in tasks}


def runs_by_task(study: Study, method: str, alpha: float) -> dict[str, float]:
    """The runs that would decide each task (see `study.runs_needed`)."""
    delta = study.delta(method, alpha)
    units = [study.metric[str(task)] for task in delta]
    needed = runs_needed(
        delta.to_numpy(),
        study.overlap,
        margin=np.array([study.margin.get(unit, 0.0) for unit in units]),
        units=units,
        overlap_limit=study.overlap_limit,
    )
    return dict(zip(map(str, delta), needed.tolist(), strict=True))


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


def _original_scores(study: Study) -> dict[str, dict[str, dict[str, float | None]]]:
    """The scores of tasks that are read as logarithms, in the unit in which they were measured."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for metric in [m for m in ORIGINAL if (study.results["metric"] == m).any()]:
        means = {name: study.scores(name, metric=metric).mean() for name in (study.baseline, "MTL")}
        for task in means["MTL"].dropna().index:
            scores = {name: _known(float(mean[task])) for name, mean in means.items()}
            found.setdefault(str(task), {})[metric.partition(" (")[0]] = scores
    return found


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
    only = f"{_remedy_name(f['remedies'][0])}, the one other method tried," if tried == 1 else ""
    if not mtl["harmed"] and (best is None or best["helped"] <= len(mtl["helped"])):
        # Of these tasks nobody knows whether they are spared.
        unknown = mtl["undecided"] or mtl["not_scored"] or mtl["not_learned"]
        none = "No harm was found" if unknown else "There is no harm to cure"
        if only:
            return f"{none}. {only} does not help more tasks than MTL."
        return f"{none}. None of the {tried} other methods tried helps more tasks than MTL."
    if best is None and only:
        return (
            f"{only} is not better than single-task networks: it helps no task, and is not better "
            "on average."
        )
    if best is None:
        return (
            f"None of the {tried} other methods tried is better than single-task networks: none "
            "helps a task, and none is better on average."
        )
    name = _remedy_name(best)
    gain = best["mean"]["delta"]
    average = "" if gain is None else f", {gain:+.2g} {in_unit(best['mean']['unit'])} on average"
    said = f"{name} harms {best['harmed']} and helps {best['helped']}{average}"
    caution = f"picked among {tried} on these same runs, so expect a little less"
    if only:
        caution = "the one other method tried"
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
        f"network{'s' if best['networks'] > 1 else ''} for each run. Single-task networks harm no "
        f"task by definition, and are {f['tasks']}."
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
        rows = ", and more rows may decide them" if split == "free" else ""
        those = f"the {len(needed)} undecided tasks" if len(needed) > 1 else "the undecided task"
        return [
            f"Even {MOST_RUNS} runs would probably not decide {those}: the differences are too "
            f"small{rows}."
        ]
    half = finite[(len(finite) - 1) // 2]
    first = sum(n <= half for n in finite)
    rest = len(needed) - len(finite)
    more = f" {rest} would stay undecided even with {MOST_RUNS} runs." if rest else ""
    later = f", and {finite[-1]} runs {len(finite)} of them" if len(finite) > first else ""
    tasks = "tasks" if len(needed) > 1 else "task"
    return [
        f"If the differences are as they seem, {half} runs in all would probably decide {first} of "
        f"the {len(needed)} undecided {tasks}{later}.{more}"
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
        f"On a trunk {wide['factor']:g} times as wide, MTL harms {_tasks_words(wide['harmed'])}, "
        "compared with single-task networks of that width. On the data's own trunk it harms "
        f"{_tasks_words(own['harmed'])}. MTL itself is better on the wide trunk for "
        f"{_tasks_words(better)}, and worse for {_tasks_words(worse)}."
    )
    return [f"{counts} So width is part of the harm." if better and not worse else counts]


def _tasks_words(count: int) -> str:
    return f"{count or 'no'} task{'' if count == 1 else 's'}"


def _off_diagonal(matrix: Float[np.ndarray, "T T"]) -> float | None:
    """The mean over pairs of different tasks; None if no pair has a value."""
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return round(float(np.nanmean(off)), 4) if np.isfinite(off).any() else None
