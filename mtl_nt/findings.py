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
VERDICTS = ("harmed", "helped", "undecided")


def findings(audit: Audit) -> dict[str, Any]:
    """Everything that the first screen says, as JSON can write it.

    Keys: `name`, `tasks`, `runs`, `mtl` (tasks harmed, helped, undecided and not scored, with
    `negative_one_run` and what chance makes of it), `detectable` (median over tasks, by metric),
    `runs_needed` (by undecided task; null where no number would do), `remedies` (a row a method
    and alpha), `best` (one of them, or null), `widths`, `affinity`.
    """
    study = audit.asked
    t, mtl = tables(study), ("MTL", "")
    verdicts, row = t.verdicts[mtl], t.counts[mtl]
    single = t.single[mtl]
    scored = verdicts["delta"].notna()
    names = {v: verdicts["task"][scored & (verdicts["verdict"] == v)].tolist() for v in VERDICTS}
    needed = dict(
        zip(
            verdicts["task"],
            runs_needed(study.delta("MTL").to_numpy(), study.overlap).tolist(),
            strict=True,
        )
    )
    effects = verdicts.assign(metric=verdicts["task"].map(study.metric)).groupby("metric")
    remedies = [_remedy(study, method, alpha) for method, alpha in study.arms()]
    remedies = [r for r in remedies if r["method"] not in (CONSTANT, study.null, "MTL")]
    able = [r for r in remedies if not r["diverged"]]
    best = min(able, key=lambda r: (r["harmed"], -r["helped"], r["networks"]), default=None)
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
                "least": int(np.min(single)) if scored.any() else 0,
                "most": int(np.max(single)) if scored.any() else 0,
                "null_low": float(row["negative_null_low"]),
                "null_high": float(row["negative_null_high"]),
            },
            "diverged": int(row["diverged"]),
            "still_improving": int(row["still_improving"]),
        },
        "detectable": {str(m): float(e["detectable"].median()) for m, e in effects},
        "runs_needed": {
            task: int(needed[task]) if math.isfinite(needed[task]) else None
            for task in names["undecided"]
        },
        "remedies": remedies,
        "best": best,
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
    scored = many - len(mtl["not_scored"])
    if mtl["diverged"] or not scored:
        return [
            f"MTL diverged in {mtl['diverged']} of {runs} runs, so nothing can be said of it; "
            "try other training settings."
        ]
    on = {"fixed": "on this split", "free": "on new splits of the same rows"}
    where = on.get(f["split"], "on new data")
    effects = " or ".join(f"{v:.2g} in {m}" for m, v in f["detectable"].items())
    said = [
        f"MTL harms {_count(mtl['harmed'], scored)} beyond chance, helps "
        f"{_names(mtl['helped'])}; {len(mtl['undecided'])} undecided. ({runs} runs {where}; "
        f"of differences under about {effects}, so many runs miss more than one in five.)"
    ]
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
    said.append(_remedy_words(f))
    said += _more_runs(f)
    said += _width_words(f)
    if audit.plan.left_out:
        said.append(f"Left out: {'; '.join(audit.plan.left_out)}.")
    return said


def _count(tasks: Sequence[str], of: int) -> str:
    if not tasks:
        return f"none of {of} tasks"
    return f"{len(tasks)} of {of} tasks ({_listed(tasks)})"


def _names(tasks: Sequence[str]) -> str:
    return f"{len(tasks)} ({_listed(tasks)})" if tasks else "none"


def _listed(tasks: Sequence[str]) -> str:
    names = [" ".join(t.split())[:40] for t in tasks[:NAMED]]
    more = len(tasks) - len(names)
    return ", ".join([*names, *([f"{more} more"] if more else [])])


def _remedy(study: Study, method: str, alpha: float) -> dict[str, Any]:
    row = tables(study).counts[method, printed(alpha)]
    keys = ("harmed", "helped", "undecided", "networks", "diverged")
    return {
        "method": method,
        "alpha": None if math.isnan(alpha) else alpha,
        **{k: int(row[k]) for k in keys},
        "seconds": round(float(row["seconds"]), 2),
    }


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
        if best["helped"] <= len(mtl["helped"]):
            return (
                f"There is no harm to cure, and none of the {tried} other ways tried helps more "
                "tasks than MTL."
            )
        return f"There is no harm to cure. {said}, the most of all ({caution})."
    if best["harmed"] >= len(mtl["harmed"]):
        return (
            f"None of the {tried} remedies tried harms fewer tasks than MTL; single-task networks "
            "remain."
        )
    return (
        f"The best remedy found: {said} (MTL: {len(mtl['harmed'])} and {len(mtl['helped'])}; "
        f"{caution}). It trains {best['networks']} "
        f"network{'s' if best['networks'] > 1 else ''} a run; single-task networks, which harm "
        f"nobody by definition, are {f['tasks']}."
    )


def _more_runs(f: dict[str, Any]) -> list[str]:
    needed = list(f["runs_needed"].values())
    if not needed:
        return []
    finite = sorted(n for n in needed if n is not None and n <= 100)
    if not finite:
        return [
            f"No number of runs that one would train (100) is likely to decide the "
            f"{len(needed)} undecided: their differences are too small for it."
        ]
    half = finite[(len(finite) - 1) // 2]
    first = sum(n <= half for n in finite)
    rest = len(needed) - len(finite)
    more = f"; {rest} would stay undecided even with 100" if rest else ""
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
                "delta": dict(zip(delta.columns, map(float, test.mean), strict=True)),
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
