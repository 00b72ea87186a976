"""What an audit has found, as numbers for scripts. `sentences` puts them into words."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    groups_of,
    methods_at_widths,
    runs_needed,
    sizes_of,
)
from ..training.original_units import ORIGINAL
from .plan import WIDTH_FACTORS
from .result import Audit, resume_command

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
    means = _means(study)
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
            "learned_by": _learned_by(study, names["not_learned"], others),
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
    own = study.scores(study.baseline)[[*delta]]
    size, groups = sizes_of(study, own, None), groups_of(study, own, None)
    needed = runs_needed(
        delta.to_numpy() / size,
        study.overlap,
        margin=np.array([study.margin.get(unit, 0.0) for unit in units]) / size,
        units=groups,
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


def _learned_by(
    study: Study, lost: Sequence[str], remedies: Sequence[tuple[str, float]]
) -> dict[str, list[str]]:
    """Of the tasks that MTL and STL have not learned, which remedies help each one."""
    by = {task: dict[str, None]() for task in lost}
    for method, alpha in remedies:
        rows = arm_tables(study).verdicts[method, format_alpha(alpha)]
        for task in rows["task"][rows["verdict"] == "helped"]:
            if task in by:
                by[task][method] = None
    return {task: [*names] for task, names in by.items() if names}


def _means(study: Study) -> dict[tuple[str, str], dict[str, Any]]:
    """The mean difference of every method and alpha from STL, as `Study.overall` has it."""
    return {
        arm: {
            **{name: _known(row[name]) for name in ("delta", "low", "high", "delta_m", "rank")},
            "unit": row["unit"],
            "tasks": int(row["tasks"]),
        }
        for arm, row in arm_tables(study).overall.items()
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


def _off_diagonal(matrix: Float[np.ndarray, "T T"]) -> float | None:
    """The mean over pairs of different tasks; None if no pair has a value."""
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return round(float(np.nanmean(off)), 4) if np.isfinite(off).any() else None
