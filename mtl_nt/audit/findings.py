"""What an audit has found: as numbers for scripts, and as sentences for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from ..figures.tables import arm_tables, format_alpha
from ..study import CONSTANT, STL, TRAINING_STAGES, Study, methods_at_widths, runs_needed
from .plan import WIDTH_FACTORS
from .result import Audit

MOST_NAMED = 6  # a sentence names so many tasks at most
MOST_RUNS = 100  # nobody would train more runs than these
SAME_AS_MTL = ("LBTW", 0.0)  # with alpha 0 every weight is 1
VERDICTS = {v: v.replace(" ", "_") for v in ("harmed", "helped", "undecided", "not learned")}
"""The verdicts, and what they are called among the findings."""


def findings(audit: Audit) -> dict[str, Any]:
    """The findings of an audit, as a dictionary that JSON can write.

    Returns:
        A dictionary with these keys:

        - `name`, `tasks`, `runs`, `split`: the data, and how many tasks and runs there are.
        - `mtl`: the tasks that MTL harms and helps, those that are undecided, those that are not
          learned (neither MTL nor STL is shown to beat the predictor that ignores the features),
          and those without a score. `negative_one_run` is what a single run would have said, and
          what chance says.
        - `detectable`: by metric, the smallest difference that the test could have detected, for
          the surest task and for the least sure.
        - `runs_needed`: for each undecided task the runs that would decide it, or null.
        - `remedies`: one row per method and alpha, without LBTW at alpha 0, which is MTL.
          `leaning_worse` are the tasks that MTL harms, and that are undecided and below 0 with
          this method.
        - `best`: the best remedy, or null. `best_runs_needed`: the runs that would decide its
          `leaning_worse`.
        - `widths`: the width check, one row per width, or null.
        - `affinity`: the mean cosine of the tasks' gradients at the last shared layer, by stage of
          training, or null. `common_labels`: the mean share of common labels of two tasks, or null.
        - `seconds`, `left_out`: how long it took, and what the budget had no room for.

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
    others = [
        a for a in study.arms() if a[0] not in (CONSTANT, study.null, "MTL") and a != SAME_AS_MTL
    ]
    remedies = [_remedy(study, method, alpha, names["harmed"]) for method, alpha in others]
    able = [r for r in remedies if not r["diverged"]]
    best = min(able, key=_sort_key, default=None)
    return {
        "name": audit.name,
        "tasks": t.tasks,
        "runs": t.runs,
        "split": t.split,
        "mtl": {
            **names,
            "not_scored": verdicts["task"][~scored].tolist(),
            "harmed_null": int(row["harmed_null"]),
            "negative_one_run": {
                "mean": float(np.mean(single)),
                "least": int(np.min(single)),
                "most": int(np.max(single)),
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
        "remedies": remedies,
        "best": best,
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
        return [*said, *(lost if unscored else [])]
    of = f"{learned} {'learned ' if said else 'scored ' if unscored else ''}tasks"
    on = {"fixed": "on this split", "free": "on new splits of the same rows"}
    where = on.get(f["split"], "on new data")
    ends = {m: dict.fromkeys(f"{v:.2g}" for v in pair) for m, pair in f["detectable"].items()}
    effects = " or ".join(f"{' to '.join(both)} in {m}" for m, both in ends.items())
    said += [
        f"MTL harms {_count(mtl['harmed'], of)} beyond chance, helps "
        f"{_names(mtl['helped'])}; {len(mtl['undecided'])} undecided. ({runs} runs {where}; "
        f"of differences under {effects}, by task, so many runs miss more than one in five.)"
    ]
    said += lost if unscored else []
    one = mtl["negative_one_run"]
    said.append(
        f"A single run would have said {one['mean']:.1f} are worse ({one['least']} to "
        f"{one['most']}, depending on the run); chance alone says {one['null_low']:.1f} to "
        f"{one['null_high']:.1f}, and the test flags {mtl['harmed_null']} of single-task networks "
        "against themselves."
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
    said.append(_remedy_words(f))
    said += more_runs(f["runs_needed"], f["split"])
    said += _width_words(f)
    if audit.plan.left_out:
        said.append(f"Left out: {'; '.join(audit.plan.left_out)}.")
    return said


def _not_learned_words(f: dict[str, Any]) -> list[str]:
    """The tasks of which nothing can be said, because no network has learned them."""
    lost = f["mtl"]["not_learned"]
    if not lost:
        return []
    scored = f["tasks"] - len(f["mtl"]["not_scored"])
    return [
        f"{len(lost)} of {scored} tasks {'is' if len(lost) == 1 else 'are'} not learned "
        f"({listed(lost)}): neither MTL nor a network of their own is better beyond chance than a "
        "guess that ignores the features. So there is no harm, no help and no remedy to speak of; "
        "give more labels, other features or more steps."
    ]


def _count(tasks: Sequence[str], of: str) -> str:
    return f"{len(tasks)} of {of} ({listed(tasks)})" if tasks else f"none of {of}"


def _names(tasks: Sequence[str]) -> str:
    return f"{len(tasks)} ({listed(tasks)})" if tasks else "none"


def listed(tasks: Sequence[str]) -> str:
    """The names of tasks in words, the first of them if they are many."""
    names = [" ".join(t.split())[:40] for t in tasks[:MOST_NAMED]]
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


def _remedy(study: Study, method: str, alpha: float, harmed: Sequence[str]) -> dict[str, Any]:
    """What a method does, and which of the tasks that MTL harms it may harm as well."""
    t, arm = arm_tables(study), (method, format_alpha(alpha))
    row, v = t.counts[arm], t.verdicts[arm]
    leaning = v["task"].isin(harmed) & (v["verdict"] == "undecided") & (v["delta"] < 0)
    keys = ("harmed", "helped", "undecided", "networks", "diverged")
    return {
        "method": method,
        "alpha": None if math.isnan(alpha) else alpha,
        **{k: int(row[k]) for k in keys},
        "leaning_worse": v["task"][leaning].tolist(),
        "seconds": round(float(row["seconds"]), 2),
    }


def _sort_key(remedy: dict[str, Any]) -> tuple[int, ...]:
    """What remedies are sorted by, the best first.

    First comes the number of harmed tasks. A remedy that helps no task is no better than
    single-task networks, so it comes later. Then come the tasks that may still be harmed, the
    helped tasks, and the networks to train.
    """
    helped, leaning = remedy["helped"], len(remedy["leaning_worse"])
    return remedy["harmed"], helped == 0, leaning, -helped, remedy["networks"]


def _remedy_words(f: dict[str, Any]) -> str:
    best, mtl = f["best"], f["mtl"]
    if best is None:
        return "No remedy was tried."
    alpha = "" if best["alpha"] is None else f" (alpha {best['alpha']:g})"
    name = f"{best['method']}{alpha}"
    said = f"{name} harms {best['harmed']} and helps {best['helped']}"
    tried = len(f["remedies"])
    caution = f"picked among {tried} on these same runs, so expect a little less"
    if not mtl["harmed"]:
        # Of these tasks nobody knows whether they are spared.
        unknown = mtl["undecided"] or mtl["not_scored"] or mtl["not_learned"]
        none = "No harm was found" if unknown else "There is no harm to cure"
        if best["helped"] <= len(mtl["helped"]):
            return f"{none}, and none of the {tried} other ways tried helps more tasks than MTL."
        return f"{none}. {said}, the most of all ({caution})."
    if best["harmed"] >= len(mtl["harmed"]):
        return (
            f"None of the {tried} remedies tried harms fewer tasks than MTL; single-task networks "
            "remain."
        )
    return (
        f"The best remedy found: {said} (MTL: {len(mtl['harmed'])} and {len(mtl['helped'])}; "
        f"{caution}). {_leaning_words(f['best_runs_needed'])}It trains {best['networks']} "
        f"network{'s' if best['networks'] > 1 else ''} a run; single-task networks, which harm "
        f"nobody by definition, are {f['tasks']}."
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
