"""What somebody's own scores say: as numbers for scripts, and as sentences for people.

Nothing was trained here, so nothing is said of causes or of remedies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..figures.tables import PLAIN_MTL, Arm, ArmTables, arm_label, arm_tables, format_alpha
from ..study import CONSTANT, Study
from ..study.transfer import VERDICTS
from .findings import runs_to_decide
from .sentences import listed, more_runs

TEST = ("delta", "low", "high", "p", "adjusted", "detectable")
"""The numbers of a task's test (see `Study.transfer`)."""
ENOUGH_RUNS = 5
OVERALL = ("delta", "low", "high", "unit", "delta_m", "rank", "tasks")
"""What `Study.overall` says of a method."""


def judgement(study: Study) -> dict[str, Any]:
    """The verdicts on the scores of a study, as a dictionary that JSON can write.

    Returns:
        A dictionary with these keys:

        - `name`, `tasks`, `runs`, `overlap`: the data set, and how many tasks and runs there are.
        - `baseline`, `twin`: the method that all are compared with, and its twin, or null.
        - `better`: by metric, whether "lower" or "higher" values are better.
        - `margin`: by metric, the difference that matters, where one was given.
        - `methods`: one row for each method and alpha. `verdicts` has the names of the tasks by
          verdict, and `overall` the difference on the whole (see `Study.overall`).
          `negative_one_run` is what a single run would have said, and what chance says.
          `runs_needed` are the runs that would decide each undecided task, or null; it is empty
          with a margin, where more runs may also find that a task is the same. `tests` has the
          test of every task (see `Study.transfer`).

    >>> from mtl_nt.study import stored
    >>> found = judgement(stored("cure-noisy"))
    >>> found["baseline"], found["better"]["MSE"], found["methods"][0]["method"]
    ('STL', 'lower', 'MTL')
    """
    t, overall = arm_tables(study), overall_rows(study)
    return {
        "name": " and ".join(study.results["dataset"].unique()),
        "tasks": t.tasks,
        "runs": t.runs,
        "overlap": study.overlap,
        "baseline": study.baseline,
        "twin": study.null,
        "better": {
            str(metric): "lower" if study.sign(metric) < 0 else "higher"
            for metric in study.results["metric"].unique()
        },
        "margin": dict(study.margin),
        "methods": [_of_method(study, t, arm, overall[arm]) for arm in judged_arms(t)],
    }


def sentences(study: Study) -> list[str]:
    """The verdicts on the scores of a study in words. The first is the main one (see `headline`).

    The sentences are plain text. They hold names from the data, so escape them in HTML.

    >>> from mtl_nt.study import stored
    >>> sentences(stored("cure-unrelated"))[0].startswith("MTL harms 3 of 9 tasks beyond chance")
    True
    """
    t = arm_tables(study)
    arms = judged_arms(t)
    found = judgement(study)["methods"][0]
    name, base, many = arm_label(arms[0]), study.baseline, t.counts[arms[0]]["negative_per_run"]
    lost = found["verdicts"]["not learned"]
    whole = _overall_words(name, base, found["overall"], len(lost))
    said = [headline(study), whole, *_other_words(t, arms)]
    if lost:
        said.append(
            f"Not learned are {listed(lost)}: neither {name} nor {base} beats the predictor that "
            "ignores the features, so there is nothing to harm or to help."
        )
    if t.runs < 2:
        return [
            *said,
            "Give 5 runs or more of every method: with 5, the test finds about three in "
            "four tasks that are harmed by two standard deviations, and with 8 nearly all.",
        ]
    said += few_runs_words(t.runs)
    if t.null_arm is not None and math.isfinite(many):
        said.append(
            f"Without a test, one run shows {many:.1f} tasks worse on average. Chance alone shows "
            f"{t.null_words(arms[0]).removeprefix('null ')}."
        )
    elif math.isfinite(many):
        said.append(
            f"Without a test, one run shows {many:.1f} tasks worse on average. Nobody knows here "
            f"what chance alone shows: train {base} a second time with other seeds, and name it "
            "under --twin."
        )
    return said + more_runs(found["runs_needed"], t.split)


def few_runs_words(runs: int) -> list[str]:
    """A warning where there are few runs. Its numbers are those of `study.transfer.paired_test`.

    >>> few_runs_words(5), len(few_runs_words(2))
    ([], 1)
    """
    if not 2 <= runs < ENOUGH_RUNS:
        return []
    return [
        f"{runs} runs are few: where nobody is harmed, the test flags some task in up to 28% of "
        "studies with 2 runs, in 12% with 3, and in 8% with 5. Give 5 runs or more."
    ]


def judged_arms(t: ArmTables) -> list[Arm]:
    """The arms that are judged: all but the baseline, its twin and the floor. MTL comes first."""
    rest = [arm for arm in t.counts if arm != t.baseline]
    out = {t.null_arm, (CONSTANT, "")}
    judged = [arm for arm in rest if arm not in out] or rest
    return sorted(judged, key=lambda arm: arm != PLAIN_MTL)


def overall_rows(study: Study, metric: str | None = None) -> dict[Arm, dict[str, Any]]:
    """The rows of `Study.overall`, by arm."""
    rows = study.overall(metric).to_dict("records")
    return {(r["method"], format_alpha(r["alpha"])): {n: r[n] for n in OVERALL} for r in rows}


def undecided_runs(study: Study, arm: Arm) -> dict[str, int | None]:
    """The runs that would decide each undecided task, or None; empty if nothing can be said."""
    t = arm_tables(study)
    rows = t.verdicts[arm]
    if study.margin or t.runs < 2:
        return {}
    tasks = rows["task"][(rows["verdict"] == "undecided") & rows["delta"].notna()].tolist()
    return runs_to_decide(study, arm[0], float(arm[1]) if arm[1] else None, tasks)


def _of_method(study: Study, t: ArmTables, arm: Arm, overall: Mapping[str, Any]) -> dict[str, Any]:
    rows, row = t.verdicts[arm], t.counts[arm]
    verdicts = {v: rows["task"][rows["verdict"] == v].tolist() for v in VERDICTS}
    alpha = float(arm[1]) if arm[1] else None
    single = {
        "mean": row["negative_per_run"],
        "null_low": row["negative_null_low"],
        "null_high": row["negative_null_high"],
    }
    return {
        "method": arm[0],
        "alpha": alpha,
        "verdicts": verdicts,
        "overall": _plain(overall),
        "negative_one_run": _plain(single),
        "runs_needed": undecided_runs(study, arm),
        "tests": [
            {"task": r["task"], "metric": study.metric[r["task"]], "verdict": r["verdict"]}
            | _plain({name: r[name] for name in TEST})
            for r in rows.to_dict("records")
        ],
    }


def _plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and texts as JSON has them: null where there is no finite number."""
    return {
        name: value if isinstance(value, str) else float(value) if math.isfinite(value) else None
        for name, value in numbers.items()
    }


def headline(study: Study) -> str:
    """The main verdict in one sentence: which tasks the first method harms and helps.

    >>> from mtl_nt.study import stored
    >>> headline(stored("cure-unrelated"))
    'MTL harms 3 of 9 tasks beyond chance (outsider 1, outsider 2, outsider 3), helps 6 (...).'
    """
    t = arm_tables(study)
    arm = judged_arms(t)[0]
    name, rows = arm_label(arm), t.verdicts[arm]
    if t.runs < 2 or not rows["delta"].notna().any():
        return f"{t.claim(arm)}."
    names = {v: rows["task"][rows["verdict"] == v].tolist() for v in VERDICTS}
    harmed, helped, lost = names["harmed"], names["helped"], len(names["not learned"])
    if lost == len(rows):
        return f"None of {lost} tasks is learned, by {name} or by {study.baseline}."
    of, first = f"{len(rows)} tasks", ""
    if lost:
        first = f"{lost} of {len(rows)} tasks {'are' if lost > 1 else 'is'} not learned. "
        of = f"the other {len(rows) - lost}"
    said = f"{first}{name} harms {len(harmed) or 'none'} of {of} beyond chance"
    said += f" ({listed(harmed)})" if harmed else ""
    said += f", helps {len(helped) or 'none'}"
    said += f" ({listed(helped)})" if helped else ""
    words = {"same": "the same within the margin", "undecided": "undecided"}
    rest = [f"{len(names[v])} {word}" for v, word in words.items() if names[v]]
    return f"{said}{'; ' if rest else ''}{', '.join(rest)}."


def _overall_words(name: str, base: str, overall: Mapping[str, Any], lost: int) -> str:
    """How a method differs on the whole, over the tasks that are not lost: not learned."""
    delta, low, high = (overall[key] for key in ("delta", "low", "high"))
    if delta is None:
        return f"On the whole {name} cannot be compared with {base}."
    over = f" over {overall['tasks']} learned tasks" if lost else ""
    numbers = [f"mean difference {delta:+.2g} in {overall['unit']}{over}, + is better"]
    if low is None or high is None:
        said = f"{name} is {'better' if delta > 0 else 'worse'} than {base} in one run"
    else:
        numbers.append(f"95% interval {low:+.2g} to {high:+.2g}")
        said = f"{name} and {base} cannot be told apart"
        if low > 0 or high < 0:
            said = f"{name} is {'better' if low > 0 else 'worse'} than {base}"
    if overall["delta_m"] is not None:
        numbers.append(f"delta_m {overall['delta_m']:+z.1f}%")
    if overall["rank"] is not None:
        numbers.append(f"mean rank {overall['rank']:.1f}")
    return f"On the whole {said} ({'; '.join(numbers)})."


def _other_words(t: ArmTables, arms: Sequence[Arm]) -> list[str]:
    """Which of the other methods harms fewest tasks."""
    able = [arm for arm in arms[1:] if t.runs > 1 and t.scored_tasks(arm)]
    if not able:
        return []
    best = min(able, key=lambda a: (t.counts[a]["harmed"], -t.counts[a]["helped"]))
    row = t.counts[best]
    which = f"Of {len(able)} other methods, " if len(able) > 1 else ""
    fewest = " fewest:" if len(able) > 1 else ""
    return [
        f"{which}{arm_label(best)} harms{fewest} {row['harmed'] or 'none'}, and helps "
        f"{row['helped'] or 'none'}."
    ]
