"""The page of an audit: the first screen decides, and all else is folded.

First stands what was not learned, then the mean effect, the verdicts, one picture, the plan per
task, and what reading the data did that matters. A section without content is not there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from .. import __version__, figures
from ..book import explorer
from ..book.markup import STYLE, html_document
from ..figures.picture import captioned_html
from ..study import TRAINING_STAGES, TaskPlan, plan_json
from ..study.task_plan import SAME_TEST, STANDARD_ERRORS, TEST
from .figures import affinity_map, width_check
from .findings import findings
from .result import (
    Audit,
    body_words,
    fit_commands,
    in_python,
    load_call,
    plan_command,
    read_words,
    repeat_command,
    resume_command,
    where_words,
)
from .sentences import listed, lost_words, mean_words, power_words, sentences
from .tables import (
    csv_link,
    metrics_table,
    plan_choices,
    plan_link,
    plan_table,
    remedies_table,
    settings_table,
    task_table,
    verdicts_link,
)

MOST_CHOICES = 3  # that the heading of the plan counts
MOST_ROWS = 15  # of a plan's table on the first screen; more are folded behind a table of choices
UNIT = (
    "<p class='small'>The tasks have several metrics. So each task's difference is first divided "
    "by its standard error, which is its noise.</p>"
)
PAGE_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
VERDICTS = (
    ("harmed", "harmed", "worse than a network of its own"),
    ("helped", "helped", "better than a network of its own"),
    ("same", "the same", "within the margin"),
    ("undecided", "undecided", "these runs cannot tell"),
)


def audit_page(audit: Audit) -> str:
    """The whole page, which loads nothing from the network.

    >>> from mtl_nt.audit import example_audit
    >>> page = audit_page(example_audit())
    >>> page.index("The plan") < page.index("<details")
    True
    """
    title = f"Audit of {audit.name}"
    f = findings(audit)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='made'>{escape(_made(audit))}</p>",
        *_not_learned(f),
        *_verdict(audit, f),
        *_plan(audit),
        *_open(audit, f),
        *_reading(audit),
        "<h2>All the rest</h2>",
        *_folded(audit, f),
    ]
    return html_document(title, "\n".join(parts), STYLE + PAGE_STYLE)


def _made(audit: Audit) -> str:
    rows, runs = audit.provenance["rows"], len(audit.plan.seeds)
    return (
        f"{len(audit.labels)} tasks, {rows:,} rows, {runs} runs {where_words(audit)}; made on "
        f"{date.today()} by mtl_nt {__version__}. MTL is one network for all tasks, and STL is one "
        "network for each task."
    )


# ---------------------------------------------------------------------------- the first screen


def _not_learned(f: dict[str, Any]) -> list[str]:
    """The tasks of which little can be said, before anything else is said."""
    lost, unscored = f["mtl"]["not_learned"], f["mtl"]["not_scored"]
    said = []
    if lost:
        are = "is" if len(lost) == 1 else "are"
        said.append(
            f"<strong>{len(lost)} of {f['tasks']} tasks {are} not learned:</strong> "
            f"{escape(listed(lost))}. {escape(lost_words(f))}"
        )
    if unscored:
        are = "is" if len(unscored) == 1 else "are"
        said.append(
            f"<strong>{len(unscored)} of {f['tasks']} tasks {are} not scored in every run:</strong>"
            f" {escape(listed(unscored))}. Give more labels, of both classes."
        )
    return [f"<p class='caution'>{line}</p>" for line in said]


def _verdict(audit: Audit, f: dict[str, Any]) -> list[str]:
    """The mean effect, the verdicts of the tasks, and the picture."""
    study, mtl = audit.main_study, f["mtl"]
    if mtl["diverged"] or mtl["alone_diverged"]:
        return [f"<p class='lead'>{escape(sentences(audit)[0])}</p>"]
    if len(mtl["not_learned"]) + len(mtl["not_scored"]) == f["tasks"]:
        return ["<p class='lead'>So there is nothing to decide.</p>"]
    tiles = "".join(
        f"<li class='{name}'><strong>{len(mtl[name])}</strong> {word}"
        f"<small>{escape(listed(mtl[name])) if mtl[name] else means}</small></li>"
        for name, word, means in VERDICTS
        if name != "same" or f["margin"]
    )
    return [
        f"<p class='lead'>{escape(mean_words('MTL', study.baseline, mtl['mean']))}</p>",
        *([UNIT] if mtl["mean"]["unit"] == STANDARD_ERRORS else []),
        "<p class='small'>What MTL does to each task:</p>",
        f"<ul class='tiles'>{tiles}</ul>",
        f"<p class='small'>{escape(_margin_words(f))}</p>",
        *_in_short(audit.task_plan),
        _picture(figures.task_differences(study, methods=["MTL"]), caption=False),
    ]


def _in_short(plan: TaskPlan) -> list[str]:
    """What to do, for those who read no further."""
    if not math.isfinite(plan.apparent):
        return []
    caution = ""
    if not _is_baseline(plan) and plan.left_out.low <= 0:  # not where it is NaN
        caution = " These runs do not show that this is better than one network for each task."
    choices = escape(_choice_words(plan))
    return [f"<p><strong>What to do:</strong> <a href='#plan'>{choices}</a>.{caution}</p>"]


def _is_baseline(plan: TaskPlan) -> bool:
    """Whether a plan has nothing but the baseline."""
    return all(name == plan.baseline for name, _ in plan.choices.values())


def _margin_words(f: dict[str, Any]) -> str:
    """What margin was stated, and how small a difference so many runs can find."""
    margins = " and ".join(f"{value:g} in {metric}" for metric, value in f["margin"].items())
    said = "No margin was stated (--margin), so no task can be called the same."
    if margins:
        said = f"Differences up to {margins} do not matter: this margin was stated."
    return f"{said} {power_words(f)}".strip()


def _plan(audit: Audit) -> list[str]:
    """The plan: its one line, its table, and how to train it."""
    plan = audit.task_plan
    if not math.isfinite(plan.apparent):
        return []
    many = len(plan.table) > MOST_ROWS
    table = plan_choices(audit) if many else plan_table(audit)
    judged = (
        "Expect the first number, left out: it is counted on test rows, each run with what the "
        "other runs chose. The apparent one is counted on the validation rows, which chose."
    )
    if plan.chosen_on == TEST:
        judged = (
            "There are no scores on validation rows, so test rows chose. Expect the first number, "
            "left out: it is counted on the one run that did not choose. The apparent one is "
            "counted on the rows that chose."
        )
    networks = f"{plan.networks} network{'s' if plan.networks != 1 else ''}"
    if plan.chosen_on == SAME_TEST:
        judged = (
            "There are no scores on validation rows, and every run has the same test rows. So the "
            "rows that chose also judge, and the plan looks better than it is; give validation "
            "rows."
        )
    if _is_baseline(plan):
        judged = "So there is nothing else to train."
    elif plan.left_out.low <= 0:  # not where it is NaN
        judged += (
            " The first number's interval includes 0, so these runs do not show that the plan is "
            f"better than one network for each task ({plan.baseline})."
        )
    unfinished = audit.folder is not None and audit.plan.unfinished
    first = " It goes on training first, so the plan may change." if unfinished else ""
    write, shell = "copy the text below.", ""
    if not in_python(audit):  # else no command line has the data or the body
        write = f"copy the text below, or run this command.{first}"
        shell = f"<pre>{escape(plan_command(audit))}</pre>"
    commands = "".join(f"{escape(line)}\n" for line in fit_commands(audit))
    body = "".join(f", {escape(word)}" for word in body_words(audit))
    predict = "fitted.predict(new_x)  # features as in data.x"
    if read_words(audit) is not None:
        predict = 'fitted.predict("new.csv")  # or a DataFrame with the same columns'
    python = (
        f"<pre>import mtl_nt\n\n{escape(load_call(audit))}\n"
        f'fitted = mtl_nt.fit_plan(data, "plan.json"{body})\n{predict}\n'
        f'fitted.save("fitted")  # mtl_nt.load_plan("fitted"{body}) reads it</pre>'
    )
    train = [f"<p>Then train it on all rows, and predict new ones:</p><pre>{commands}</pre>"]
    train = [*(train if commands else []), f"<p>In Python:</p>{python}"]
    text = plan_json(plan, read_words(audit))
    return [
        f"<h2 id='plan'>The plan: {escape(_choice_words(plan))}</h2>",
        f"<p class='lead gain'>{_plan_line(plan)}</p>",
        _wide(table),
        *([_fold(f"The plan, all {len(plan.table)} tasks", _wide(plan_table(audit)))] * many),
        f"<p class='small'>{escape(judged)} The whole plan is {networks}.</p>",
        _fold(
            "Use this plan",
            f"<p>Save the plan as plan.json: {write} You may edit the file.</p>{shell}",
            *train,
            f"<p>This is plan.json:</p><pre class='file'>{escape(text)}</pre>",
            plan_link(audit),
        ),
    ]


def _plan_line(plan: TaskPlan) -> str:
    """The plan in one line. The gain to expect is bold, and the apparent one is not.

    >>> from mtl_nt.study import stored
    >>> _plan_line(stored("cure-unrelated").task_plan(["MTL"])).count("</strong> (apparent ")
    1
    """
    start, middle, end = escape(str(plan)).partition(" (apparent ")
    what, colon, gain = start.partition(": ")
    return f"{what}{colon}<strong>{gain}</strong>{middle}{end}" if middle else start


def _choice_words(plan: TaskPlan) -> str:
    """How many tasks have which choice, the most frequent ones first.

    >>> from mtl_nt.study import stored
    >>> _choice_words(stored("cure-unrelated").task_plan(["MTL"]))
    'MTL for 6 tasks; STL for 3'
    """
    counts = Counter(plan.table["choice"]).most_common()
    if len(counts) == 1:
        return f"{counts[0][0]} for every task"
    many = f"{counts[0][0]} for {counts[0][1]} task{'' if counts[0][1] == 1 else 's'}"
    shown = [many, *(f"{choice} for {count}" for choice, count in counts[1:MOST_CHOICES])]
    rest = sum(count for _, count in counts[MOST_CHOICES:])
    return "; ".join([*shown, *([f"another choice for {rest}"] if rest else [])])


def _open(audit: Audit, f: dict[str, Any]) -> list[str]:
    """That the audit was stopped early, and how to go on."""
    command = resume_command(audit)
    if command is None and not f["left_out"]:
        return []
    said = f"Not trained: {'; '.join(f['left_out'])}." if f["left_out"] else "More can be trained."
    go_on = f"<p>To go on from here:</p><pre>{escape(command)}</pre>" if command else ""
    return [f"<div class='note'><p>{escape(said)}</p>{go_on}</div>"]


def _reading(audit: Audit) -> list[str]:
    """What reading the data did that matters."""
    notes = [str(note) for note in audit.notes if note.severity == "matters"]
    return ["<h2>What reading the data did</h2>", _bullets(notes)] if notes else []


# ------------------------------------------------------------------------------------- the rest


def _folded(audit: Audit, f: dict[str, Any]) -> list[str]:
    """All else, one section for each question, folded."""
    study, plan = audit.main_study, audit.plan
    sections: list[tuple[str, Callable[[], Sequence[str]] | None]] = [
        ("Every task", lambda: _tasks(audit, f)),
        ("Which remedy is best", (lambda: _remedies(audit, f)) if f["remedies"] else None),
        ("Are networks worth it?", (lambda: _floors(audit, f)) if f["floors"] else None),
        ("In words", lambda: [_bullets(sentences(audit))]),
        ("By other metrics", (lambda: [_wide(metrics_table(audit))]) if _metrics(audit) else None),
        ("Every method, as papers count", lambda: [_wide(figures.counts_table(study))]),
        (
            "Every alpha",
            (lambda: [_alphas(audit)]) if any(map(study.alphas_of, plan.methods)) else None,
        ),
        ("Is the trunk too narrow?", (lambda: _widths(audit)) if plan.widths else None),
        (
            "Who pulls with whom?",
            (lambda: _affinity(audit)) if audit.affinity is not None else None,
        ),
        ("How the data were read", lambda: [_bullets(map(str, audit.notes))]),
        ("What was run", lambda: _settings(audit)),
        ("How these verdicts are made", lambda: [_bullets(_method(audit))]),
    ]
    return [_fold(title, *make()) for title, make in sections if make is not None]


def _tasks(audit: Audit, f: dict[str, Any]) -> list[str]:
    tables = [_wide(task_table(audit))]
    if (best := f["best"]) is not None:
        alpha = math.nan if best["alpha"] is None else best["alpha"]
        tables.append(_wide(task_table(audit, best["method"], alpha)))
    return [*tables, verdicts_link(audit), csv_link(audit)]


def _remedies(audit: Audit, f: dict[str, Any]) -> list[str]:
    said = (
        "Ranked by harm and then by gain, the best first; remedies that are no better than STL "
        "come last. The best of many looks better than it is, since the same runs pick it and "
        "judge it. The plan's left-out gain does not."
    )
    return [f"<p class='small'>{said}</p>", _wide(remedies_table(audit, f))]


def _floors(audit: Audit, f: dict[str, Any]) -> list[str]:
    said = "Models without networks, one for each task: what a network has to beat."
    tables = [_wide(task_table(audit, name)) for name in f["floors"]]
    return [f"<p class='small'>{said}</p>", *tables]


def _metrics(audit: Audit) -> bool:
    study = audit.main_study
    return {*study.results["metric"]} > {*study.metric.values()}


def _alphas(audit: Audit) -> str:
    study = audit.main_study
    drawn = [
        figures.captioned_png(figures.task_differences(study, alpha=alpha))
        for alpha in audit.plan.alphas
    ]
    return explorer({audit.name: drawn}, audit.plan.alphas, start=0.5).html


def _widths(audit: Audit) -> list[str]:
    said = (
        "Tasks that share too few units have to share them badly. Where a wider trunk takes the "
        "harm away, no weighting is needed."
    )
    return [f"<p class='small'>{said}</p>", _picture(width_check(audit))]


def _affinity(audit: Audit) -> list[str]:
    said = (
        "The cosine between the gradients of two tasks at the last shared layer, in MTL. Teal "
        "pairs pull together, and orange ones apart. The map explains; the test above decides."
    )
    drawn = [figures.captioned_png(affinity_map(audit, stage)) for stage in TRAINING_STAGES]
    shown = explorer({audit.name: drawn}, [*TRAINING_STAGES], label="training")  # type: ignore[list-item]
    return [f"<p class='small'>{said}</p>", shown.html]


def _settings(audit: Audit) -> list[str]:
    rows = "".join(
        f"<tr><th scope='row'>{escape(str(what))}</th><td>{escape(str(value))}</td></tr>"
        for what, value in settings_table(audit).itertuples(index=False)
    )
    return [
        _wide(f"<table class='settings'><tbody>{rows}</tbody></table>"),
        f"<p>To repeat this audit:</p><pre>{escape(repeat_command(audit))}</pre>",
    ]


METHOD = (
    "Harmed and helped are verdicts of a paired test over the runs: a moderated t-test (Smyth "
    "2004; Phipson and others 2016), with Benjamini-Hochberg at 5% over the tasks of a method. "
    "After that, a p-value is called q.",
    "Undecided does not say that a task is the same under both methods. It says that these runs "
    "cannot tell. Only a margin, stated before you look, allows the verdict same.",
    "Not learned are the tasks on which neither MTL nor STL is better, by the same test, than a "
    "guess that ignores the features. They are in no mean.",
    "Differences have their sign turned where lower values are better. So above 0 is better.",
    "The plan takes the better of STL and MTL for each task. A remedy takes their place where it "
    "is better by more than one standard error. The left-out gain is counted on test rows of runs "
    "that did not choose. Where runs split the same rows, it is still slightly kind.",
    "An MSE is counted in a task's unit, which is the standard deviation of its training labels. "
    "A guess of the mean has about 1.",
    "STL' is STL once more with other random numbers: all that it shows is chance. Constant "
    "ignores the features. Alpha is how strongly LBTW and GradNorm favour tasks that lag behind.",
)


OF_CLASSES = (
    "Macro PR-AUC is for tasks of classes: the mean of the PR-AUC of each class against the rest. "
    "A class without a test row in a run is left out there."
)
OF_WEIGHTS = (
    "Rows weigh as the table says, in the losses and in every score but Spearman's correlation, "
    "which counts them alike."
)


def _method(audit: Audit) -> list[str]:
    """How verdicts are made, with what is true of these data alone."""
    classes = [OF_CLASSES] if "classes" in {*audit.labels["kind"]} else []
    weights = [OF_WEIGHTS] if any(note.about == "weights" for note in audit.notes) else []
    return [*METHOD, *classes, *weights]


def _picture(figure: Any, caption: bool = True) -> str:
    """A figure, with its caption unless the text around it says the same."""
    drawn = figures.captioned_png(figure)
    if not caption:
        drawn.caption = ""
    return captioned_html(drawn)


def _fold(title: str, *content: str) -> str:
    inside = "\n".join(content)
    return f"<details><summary>{escape(title)}</summary>\n{inside}\n</details>"


def _wide(table: str) -> str:
    """A table that may be wider than the text, and scrolls."""
    return f"<div class='output'>{table}</div>"


def _bullets(items: Iterable[str]) -> str:
    """A list of texts."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
