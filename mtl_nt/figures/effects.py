"""A method's finding in words: how much its harmed tasks lose, and how much its helped ones gain.

The tasks are named by their groups, where groups are known, and counted otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..errors import BadInput
from ..study import NOT_LEARNED, SAME
from .drawing import shorten
from .tables import Arm, ArmTables, arm_label

NUMBERED = re.compile(r"(.*\D) (\d+)")  # a group's name and a number, as `load_dial` names tasks
NOUNS = ("outsider",)  # names of groups that are nouns; of others we say "related tasks"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MOST_PARTS = 3  # groups that a title tells apart, at most
LOSE, GAIN = ("harmed", "lose"), ("helped", "gain")


def task_groups(
    tasks: Sequence[str], groups: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """The group of every task, or None where there are no groups.

    Args:
        tasks: the tasks' names. By default "related 1" and "related 2" are of the group "related".
        groups: task -> group; a task that it leaves out is of the group "other".

    Raises:
        BadInput: a group of a task that is not there.

    >>> task_groups(["related 1", "related 2", "outsider 1"])
    {'related 1': 'related', 'related 2': 'related', 'outsider 1': 'outsider'}
    >>> task_groups(["digit 0", "digit 1"])  # all are of one kind
    """
    if groups is not None:
        if strange := next((task for task in groups if task not in tasks), None):
            raise BadInput(f"groups: no task {str(strange)[:40]!r} in this study; leave it out")
        found = {task: str(groups.get(task, "other")) for task in tasks}
    else:
        named = {task: NUMBERED.fullmatch(task) for task in tasks}
        if not all(named.values()):
            return None
        found = {task: match[1] for task, match in named.items() if match}
    several = len({*found.values()}) > 1
    return found if several and len({*found.values()}) < len(found) else None


def effect_title(t: ArmTables, arm: Arm, groups: Mapping[str, str] | None = None) -> str:
    """The finding in one sentence: mean differences of the harmed and of the helped tasks.

    Args:
        groups: what `task_groups` returns.

    >>> from mtl_nt.study import stored
    >>> from mtl_nt.figures.tables import arm_tables
    >>> t = arm_tables(stored("cure-unrelated"))
    >>> effect_title(t, ("MTL", ""), task_groups(t.verdicts["MTL", ""]["task"].tolist()))
    'Under MTL, three outsiders lose 0.43 (MSE); six related tasks gain 0.07'
    """
    if not t.scored_tasks(arm) or t.runs < 2:
        return t.claim(arm)
    rows = t.verdicts[arm]
    rows = rows[rows["delta"].notna() & (rows["verdict"] != NOT_LEARNED)]
    units = t.overall[arm]["unit"] == t.metric  # a mean over several units means nothing
    parts = {verdict: _parts(rows, verdict, does, groups, units) for verdict, does in (LOSE, GAIN)}
    if sum(map(len, parts.values())) > MOST_PARTS:
        parts = {v: _parts(rows, v, does, None, units) for v, does in (LOSE, GAIN)}
    lost, gained = parts["harmed"], parts["helped"]
    if not lost and not gained:
        said = ["no task is found to lose or to gain"]
        if len(rows) > 1 and has_mean(t, arm):
            said = [f"{said[0]}; the mean difference is {signed(t.overall[arm]['delta'])}"]
    else:
        said = (lost or ["no task is found to lose"]) + (gained or ["no task is found to gain"])
    where = " on this split" if t.split == "fixed" else ""
    unit = f" ({t.metric})" if units and re.search(r"\d", " ".join([*lost, *gained, *said])) else ""
    first = next((k for k, part in enumerate(said) if re.search(r"\d", part)), 0)
    said[first] += unit
    said[0] += where
    if same := int((rows["verdict"] == SAME).sum()):
        said.append(f"{_number(same)} stay{'s' if same == 1 else ''} within the margin")
    lead = f"Under {arm_label(arm)}, {'; '.join(said)}"
    if lost_track := t.not_learned(arm):
        of = f"{_number(lost_track)} of {_number(t.scored_tasks(arm))} tasks"
        lead = f"{of} {'is' if lost_track == 1 else 'are'} not learned; u{lead[1:]}"
    return lead[:1].upper() + lead[1:]


def effect_words(t: ArmTables, arm: Arm) -> str:
    """What the title leaves out: the mean over all tasks, and an effect that looks large.

    A large mean difference may be undecided while a small one is decided: what decides is how far
    the runs agree.
    """
    rows, whole = t.verdicts[arm], t.overall[arm]
    said = []
    if t.runs > 1 and whole["tasks"] > 1 and has_mean(t, arm):
        ends = f"[{signed(whole['low'])}, {signed(whole['high'])}]"
        tasks = "learned tasks" if t.not_learned(arm) else "tasks"
        said.append(
            f"The mean difference over {whole['tasks']} {tasks} is {signed(whole['delta'])} {ends} "
            f"in {t.metric}."
        )
    decided = rows[rows["verdict"].isin(["harmed", "helped"])]
    open_ = rows[(rows["verdict"] == "undecided") & rows["delta"].notna()]
    if len(decided) and len(open_):
        small = decided.iloc[int(decided["delta"].abs().argmin())]
        large = open_.iloc[int(open_["delta"].abs().argmax())]
        if abs(large["delta"]) > 2 * abs(small["delta"]):
            said.append(
                f"{shorten(large['task'], 40)} ({signed(large['delta'])}) is undecided, since its "
                f"runs disagree. Those of {shorten(small['task'], 40)} "
                f"({signed(small['delta'])}) agree, so it is {small['verdict']}."
            )
    return " ".join(said)


def count_words(t: ArmTables, arm: Arm) -> str:
    """The counts of tasks beside what chance does to them, for the small print."""
    row, of = t.counts[arm], t.scored_tasks(arm) - t.not_learned(arm)
    if not of or t.runs < 2:
        return ""
    return (
        f"{arm_label(arm)} harms {row['harmed'] or 'none'} of {of} beyond chance "
        f"({t.harmed_null_words(arm)}); one run counts {row['negative_per_run']:.1f} as worse "
        f"({t.null_words(arm)})"
    )


def size(value: float) -> str:
    """An effect's size for a sentence, with two decimals where these say something.

    >>> size(-0.5123), size(0.0312), size(0.00457), size(163.2), size(0.996)
    ('0.51', '0.03', '0.0046', '163', '1.00')
    """
    value = abs(value)
    if 0.0095 <= value < 9.995:
        return f"{value:.2f}"
    return f"{value:.2g}" if value < 1 else f"{value:.3g}"


def signed(value: float) -> str:
    """An effect with its sign.

    >>> signed(-0.5123), signed(0.0312)
    ('−0.51', '+0.03')
    """
    return f"{'−' if value < 0 else '+'}{size(value)}"


def _parts(
    rows: pd.DataFrame, verdict: str, does: str, groups: Mapping[str, str] | None, units: bool
) -> list[str]:
    """Who has this verdict and by how much, one part for each group, the largest effect first."""
    mine = rows[rows["verdict"] == verdict]
    if groups is None:
        kinds = pd.Series("", mine.index)
        sizes = Counter({"": len(rows)})
    else:
        kinds = mine["task"].map(groups)
        sizes = Counter(rows["task"].map(groups))
    found = []
    for kind, some in mine.groupby(kinds, sort=False):
        mean, many = float(some["delta"].mean()), len(some)
        by = f" {size(mean)}" if units else ""
        whole = many == sizes[kind] and (kind or many > 1)
        who = _number(many) if whole else f"{_number(many)} of {_number(sizes[kind])}"
        plural = many > 1 or not whole
        noun = _noun(str(kind), plural)
        if whole and not kind:
            who = "all " + who if many > 2 else "both" if many == 2 else who
        found.append((abs(mean), f"{who} {noun} {does}{'s' * (many == 1)}{by}"))
    return [part for _, part in sorted(found, key=lambda pair: -pair[0])]


def has_mean(t: ArmTables, arm: Arm) -> bool:
    """Whether the mean over tasks has a meaning: it has one unit, and some task is learned."""
    whole, learned = t.overall[arm], t.scored_tasks(arm) > t.not_learned(arm)
    return bool(learned and whole["unit"] == t.metric and np.isfinite(whole["delta"]))


def _noun(kind: str, plural: bool) -> str:
    if kind in NOUNS:
        return kind + "s" * plural
    return f"{shorten(kind, 18)} task{'s' * plural}".strip()


def _number(many: int) -> str:
    return NUMBERS[many] if 0 < many < len(NUMBERS) else f"{many:,}"
