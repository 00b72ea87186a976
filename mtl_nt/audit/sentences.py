"""The findings of an audit in words, for people, and the phrases that its pages share."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..study import arm_words
from ..study.task_plan import STANDARD_ERRORS
from .findings import findings
from .result import Audit, where_words

MOST_NAMED = 6  # a sentence names so many tasks at most
MOST_RUNS = 100  # nobody would train more runs than these


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
    """The tasks of which little can be said, because neither MTL nor STL has learned them."""
    lost = f["mtl"]["not_learned"]
    if not lost:
        return []
    scored = f["tasks"] - len(f["mtl"]["not_scored"])
    are = "is" if len(lost) == 1 else "are"
    return [f"{len(lost)} of {scored} tasks {are} not learned ({listed(lost)}). {lost_words(f)}"]


def lost_words(f: Mapping[str, Any]) -> str:
    """What it means that tasks are not learned, and what to try.

    >>> lost = {"not_learned": ["y_1"], "not_scored": [], "learned_by": {}}
    >>> lost_words({"tasks": 3, "heavy_tails": [], "mtl": lost})[:62]
    'Neither MTL nor a network of its own is better beyond chance t'
    """
    mtl = f["mtl"]
    lost, by = mtl["not_learned"], mtl["learned_by"]
    their, them = ("its", "it") if len(lost) == 1 else ("their", "them")
    said = (
        f"Neither MTL nor a network of {their} own is better beyond chance than a guess that "
        "ignores the features. "
    )
    if by:
        said += f"But {'; '.join(f'{listed(names)} learned {t}' for t, names in by.items())}. "
    rest = "the others" if by else them
    if len(lost) + len(mtl["not_scored"]) == f["tasks"] and not by:
        said += "So nothing can be said of harm, help or remedies. "
    elif len(by) < len(lost):
        said += f"For {rest} nothing can be said of harm, help or remedies. "
    return said + learn_advice(f)


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
