"""What an audit says: numbers for scripts, and sentences for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .affinity import STAGES
from .audit import Audit
from .audit_plan import WIDTHS
from .methods import CONSTANT, at_widths
from .study import Study
from .tables import printed, tables
from .transfer import paired_test, runs_needed

NAMED = 6  # tasks named in a sentence
MOST = 100  # runs that one would train
SAME = ("LBTW", 0.0)  # MTL itself: every weight is 1
VERDICTS = ("harmed", "helped", "undecided")


def findings(audit: Audit) -> dict[str, Any]:
    """Everything that the first screen says, as JSON can write it.

    Keys: `name`, `tasks`, `runs`, `mtl` (tasks harmed, helped, undecided and not scored, with
    `negative_one_run` and what chance makes of it), `detectable` (of the surest task and of the
    least sure, by metric), `runs_needed` (by undecided task; null where no number would do),
    `remedies` (a row a method and alpha, but for LBTW 0, which is MTL; `leaning_worse` are the
    tasks that MTL harms and that are undecided and below 0 here), `best` (one of them, or null),
    `best_runs_needed` (by task of its `leaning_worse`), `widths`, `affinity`.
    """
    study = audit.asked
    t, mtl = tables(study), ("MTL", "")
    verdicts, row = t.verdicts[mtl], t.counts[mtl]
    scored = verdicts["delta"].notna()
    single = t.single[mtl] if scored.any() else np.zeros(t.runs)
    names = {v: verdicts["task"][scored & (verdicts["verdict"] == v)].tolist() for v in VERDICTS}
    effects = verdicts.assign(metric=verdicts["task"].map(study.metric)).groupby("metric")
    others = [a for a in study.arms() if a[0] not in (CONSTANT, study.null, "MTL") and a != SAME]
    remedies = [_remedy(study, method, alpha, names["harmed"]) for method, alpha in others]
    able = [r for r in remedies if not r["diverged"]]
    best = min(able, key=_rank, default=None)
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
        "runs_needed": _needed(study, "MTL", None, names["undecided"]),
        "remedies": remedies,
        "best": best,
        "best_runs_needed": _needed(study, best["method"], best["alpha"], best["leaning_worse"])
        if best
        else {},
        "widths": _widths(audit),
        "affinity": None
        if audit.cosines is None
        else dict(zip(STAGES, map(_off_diagonal, audit.cosines), strict=True)),
        "seconds": audit.made["seconds"],
        "left_out": list(audit.plan.left_out),
    }


def sentences(audit: Audit) -> list[str]:
    """The first screen in words, a sentence or two an item; plain text, to be escaped."""
    f = findings(audit)
    mtl, runs, many = f["mtl"], f["runs"], f["tasks"]
    scored, unscored = many - len(mtl["not_scored"]), mtl["not_scored"]
    for name, times in (("MTL", mtl["diverged"]), (audit.asked.baseline, mtl["alone_diverged"])):
        if times:
            return [
                f"{name} diverged in {times} of {runs} runs, so nothing can be said of MTL; "
                "try other training settings."
            ]
    of = f"{scored} scored tasks" if unscored else f"{many} tasks"
    on = {"fixed": "on this split", "free": "on new splits of the same rows"}
    where = on.get(f["split"], "on new data")
    ends = {m: dict.fromkeys(f"{v:.2g}" for v in pair) for m, pair in f["detectable"].items()}
    effects = " or ".join(f"{' to '.join(both)} in {m}" for m, both in ends.items())
    said = [
        f"MTL harms {_count(mtl['harmed'], of)} beyond chance, helps "
        f"{_names(mtl['helped'])}; {len(mtl['undecided'])} undecided. ({runs} runs {where}; "
        f"of differences under {effects}, by task, so many runs miss more than one in five.)"
    ]
    if unscored:
        said.append(
            f"{len(unscored)} of {many} could not be scored: {_listed(unscored)}; give more "
            "labels, of both classes."
        )
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
    elif mtl["harmed"] and audit.study.recipe.schedule == "cosine":
        more = 2 * audit.study.recipe.steps
        said.append(
            "Is that harm, or training that was not done? Where the learning rate falls to "
            f"nothing, no loss tells: look again with --steps {more} before any cure."
        )
    said.append(_remedy_words(f))
    said += _more_runs(f)
    said += _width_words(f)
    if audit.plan.left_out:
        said.append(f"Left out: {'; '.join(audit.plan.left_out)}.")
    return said


def _count(tasks: Sequence[str], of: str) -> str:
    return f"{len(tasks)} of {of} ({_listed(tasks)})" if tasks else f"none of {of}"


def _names(tasks: Sequence[str]) -> str:
    return f"{len(tasks)} ({_listed(tasks)})" if tasks else "none"


def _listed(tasks: Sequence[str]) -> str:
    names = [" ".join(t.split())[:40] for t in tasks[:NAMED]]
    more = len(tasks) - len(names)
    return ", ".join([*names, *([f"{more} more"] if more else [])])


def _needed(
    study: Study, method: str, alpha: float | None, tasks: Sequence[str]
) -> dict[str, int | None]:
    """The runs that would decide each of these tasks; None where no number would do."""
    if not tasks:
        return {}
    delta = study.delta(method, math.nan if alpha is None else alpha)
    runs = dict(zip(delta, runs_needed(delta.to_numpy(), study.overlap).tolist(), strict=True))
    return {task: int(runs[task]) if math.isfinite(runs[task]) else None for task in tasks}


def _remedy(study: Study, method: str, alpha: float, harmed: Sequence[str]) -> dict[str, Any]:
    """What a remedy does, and which of the tasks that MTL harms it may still harm."""
    t, arm = tables(study), (method, printed(alpha))
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


def _rank(remedy: dict[str, Any]) -> tuple[int, ...]:
    """Fewest harmed; what helps nobody is no better than single-task networks; then fewest that may
    still be harmed, most helped, fewest networks.
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
        unknown = mtl["undecided"] or mtl["not_scored"]  # which is not spared
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
    runs = [n for n in needed.values() if n is not None and n <= MOST]
    are, them = ("is", "it") if len(needed) == 1 else ("are", "them")
    settled = f"{MOST} runs may not settle {them}"
    if len(runs) == len(needed):
        settled = f"about {max(runs)} runs would settle {them}"
    return (
        f"Of those that MTL harms, {len(needed)} {are} undecided and leaning worse "
        f"({_listed([*needed])}); {settled}. "
    )


def _more_runs(f: dict[str, Any]) -> list[str]:
    needed = list(f["runs_needed"].values())
    if not needed:
        return []
    finite = sorted(n for n in needed if n is not None and n <= MOST)
    if not finite:
        rows = "splits of these rows (more rows could)" if f["split"] == "free" else "it"
        return [
            f"No number of runs that one would train ({MOST}) is likely to decide the "
            f"{len(needed)} undecided: their differences are too small for {rows}."
        ]
    half = finite[(len(finite) - 1) // 2]
    first = sum(n <= half for n in finite)
    rest = len(needed) - len(finite)
    more = f"; {rest} would stay undecided even with {MOST}" if rest else ""
    return [
        f"{half} runs in all would probably decide {first} of the {len(needed)} undecided"
        f"{f', {finite[-1]} runs {len(finite)}' if len(finite) > first else ''}"
        f"{more} (if their differences are as they seem)."
    ]


def _widths(audit: Audit) -> list[dict[str, Any]] | None:
    """MTL at each width: tasks harmed and helped against STL of the same width, and how many tasks
    it makes better and worse than MTL on the data's own trunk.
    """
    if not audit.plan.widths:
        return None
    study, own = audit.study, audit.study.delta("MTL")
    arms = {m.name: m for m in at_widths(study.recipe, WIDTHS)}
    found = []
    for factor in sorted((*WIDTHS, 1.0)):
        suffix = "" if factor == 1 else f", width x {factor:g}"
        delta = study.delta(f"MTL{suffix}")
        alone = study.delta(f"STL{suffix}") if suffix else 0 * delta
        test = paired_test((delta - alone).to_numpy(), study.overlap)
        better = paired_test((delta - own).to_numpy(), study.overlap)
        trunk = arms[f"MTL{suffix}"].settings["trunk"] if suffix else study.recipe.trunk
        found.append(
            {
                "factor": factor,
                "trunk": list(trunk),
                "harmed": test.verdict.count("harmed"),
                "helped": test.verdict.count("helped"),
                "better_than_own": better.verdict.count("helped"),
                "worse_than_own": better.verdict.count("harmed"),
                "delta": {
                    task: float(mean) if math.isfinite(mean) else None
                    for task, mean in zip(delta.columns, test.mean, strict=True)
                },
                "verdict": dict(zip(delta.columns, test.verdict, strict=True)),
            }
        )
    return found


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
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return round(float(np.nanmean(off)), 4) if np.isfinite(off).any() else None
