"""The page of a verdict on scores of somebody's own.

The first screen has the verdict in one sentence, in one picture and in one table.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

from .. import __version__, figures
from ..book.markup import STYLE, html_document
from ..figures.picture import data_url, png_size
from ..figures.tables import Arm, arm_label, arm_tables
from ..study import Study, safe_csv
from .judgement import headline, judged_arms, overall_rows, sentences, undecided_runs
from .tables import number_cell, sortable_table

Cell = tuple[str, Any]  # a text, and the value that it is sorted by
MOST_TABLES = 12  # methods at most whose tasks are listed; the CSV file has all
PAGE_STYLE = """
.lead { font-size: 1.25rem; line-height: 1.4; font-weight: 600; margin: 1rem 0; }
details { margin: 0.8rem 0; }
summary { cursor: pointer; }
"""


def judgement_page(studies: Mapping[str, Study], source: str, command: str) -> str:
    """The page: for every data set the verdict, a picture, a table, and the tests below them.

    Args:
        studies: a study for each data set.
        source: what the scores were read from.
        command: what makes the page again.

    >>> from mtl_nt.study import stored
    >>> page = judgement_page({"noisy": stored("cure-noisy")}, "noisy.csv", "")
    >>> page.count("<img")
    1
    """
    title = f"Scores judged: {source}"
    made = f"made on {date.today()} by mtl_nt {__version__}; nothing was trained"
    several = len(studies) > 1
    parts = [f"<h1>{escape(title)}</h1>", f"<p class='made'>{escape(made)}</p>"]
    if several:
        said = (
            f"<a href='#data-{k}'>{escape(name)}</a>: {escape(headline(study))}"
            for k, (name, study) in enumerate(studies.items(), 1)
        )
        parts.append(_bullets(said))
    for k, (name, study) in enumerate(studies.items(), 1):
        parts += [f"<h2 id='data-{k}'>{escape(name)}</h2>"] if several else []
        parts += _first_screen(study) + _details(study, heading="h3" if several else "h2")
    parts += ["<h2>How these verdicts are made</h2>", _bullets(map(escape, METHOD))]
    parts.append(f"<p>To make this page again:</p><pre>{escape(command)}</pre>")
    return html_document(title, "\n".join(parts), STYLE + PAGE_STYLE)


METHOD = (
    "Harmed and helped are verdicts of a paired test over the runs: a moderated t-test (Smyth "
    "2004; Phipson and others 2016), with Benjamini-Hochberg at 5% over the tasks of a method.",
    "Undecided does not say that a task is the same under both methods. It says that these runs "
    "cannot tell. Only a margin, stated before you look at the scores, allows the verdict same.",
    "The interval of a task is not corrected for the number of tasks, and its verdict is. So the "
    "interval of an undecided task may leave out 0.",
    "Differences have their sign turned where lower values are better, so + is always better.",
    "delta_m is the mean over tasks of the change of the mean score, in percent of the baseline's "
    "score. It is left out where a score of the baseline is 0 or below.",
    "The rank is the mean over tasks of a method's rank among all methods and alphas; 1 is the "
    "best. Constant is the predictor that ignores the features, and has no rank.",
)


def _first_screen(study: Study) -> list[str]:
    """The verdict in one sentence, one picture and one table, and the other sentences."""
    figure = figures.task_differences(study)
    # The sentence above the picture is its title already, so the title says how to read it.
    how = f"Each mark is a task: left of the line it is worse than {study.baseline}"
    figure.texts[0].set_text(how)
    png, text = figures.captioned_png(figure)
    width, height = png_size(png)
    return [
        f"<p class='lead'>{escape(headline(study))}</p>",
        f'<img src="{data_url(png)}" alt="{escape(text)}" width="{width}" height="{height}">',
        _table(*overall_table(study), _title_of_overall(study)),
        _bullets(map(escape, sentences(study)[1:])),
    ]


def _details(study: Study, heading: str) -> list[str]:
    """Every task, other metrics, the counts of papers, and what was read."""

    def titled(title: str, *parts: str) -> list[str]:
        return [f"<{heading}>{escape(title)}</{heading}>", *parts]

    arms, judged_by = judged_arms(arm_tables(study)), {*study.metric.values()}
    tables = []
    for arm in arms[:MOST_TABLES]:
        name = escape(arm_label(arm))
        table = _table(*task_table(study, arm), f"{arm_label(arm)} against {study.baseline}")
        opened = " open" if arm == arms[0] else ""
        tables.append(f"<details{opened}><summary>{name}</summary>{table}</details>")
    if len(arms) > MOST_TABLES:
        tables.append(f"<p>{len(arms) - MOST_TABLES} more are in the file below.</p>")
    parts = titled("Task by task", *tables, _link_to_tests(study))
    for metric in study.results["metric"].unique():
        if len(judged_by) == 1 and metric not in judged_by:
            table = _table(*overall_table(study, metric), _title_of_overall(study, metric))
            parts += titled(f"By {metric}", table)
    title = f"Tasks worse than {study.baseline}, without a test"
    parts += titled("Counts as papers report them", _table(*counts_table(study), title))
    return parts + titled("What was read", _bullets(map(escape, _read_words(study))))


def overall_table(study: Study, metric: str | None = None) -> tuple[list[str], list[list[Cell]]]:
    """What every method does to how many tasks, and on the whole: headings, and rows of cells.

    Args:
        metric: by default each task's own.
    """
    t, overall = arm_tables(study, metric), overall_rows(study, metric)
    verdicts = {"harmed": "harmed", "helped": "helped", "same": "same", "undecided": "undecided"}
    verdicts |= {"not_learned": "not learned"}
    arms = [*judged_arms(t)]
    arms += [arm for arm in t.counts if arm not in arms]
    shown = [
        v
        for v in verdicts
        if v in t.counts[arms[0]]
        and (v != "not_learned" or any(t.counts[a][v] for a in arms if a != t.baseline))
    ]
    digits = _digits([o["high"] - o["low"] for o in overall.values()])
    head = ["method", *(verdicts[v] for v in shown)]
    head += ["difference", "95% interval", "delta_m", "rank"]
    rows = []
    for arm in arms:
        o, counted = overall[arm], arm != t.baseline
        counts = [t.tasks_with(arm, v) if counted else math.nan for v in shown]
        rows.append(
            [
                (arm_label(arm), arm_label(arm)),
                *(number_cell(count, "{:.0f}") for count in counts),
                (_signed(o["delta"], digits), o["delta"]),
                _interval_cell(o["low"], o["high"], digits),
                (f"{_signed(o['delta_m'], 1)}%", o["delta_m"])
                if counted and math.isfinite(o["delta_m"])
                else ("–", math.nan),
                number_cell(o["rank"], "{:.1f}"),
            ]
        )
    return head, rows


def _title_of_overall(study: Study, metric: str | None = None) -> str:
    unit = next(iter(overall_rows(study, metric).values()))["unit"]
    return f"Tasks by verdict, and the mean difference from {study.baseline} in {unit}, + is better"


def task_table(study: Study, arm: Arm) -> tuple[list[str], list[list[Cell]]]:
    """What one method does to every task: headings, and rows of cells."""
    method, alpha = arm[0], float(arm[1] or math.nan)
    tests = arm_tables(study).verdicts[arm].to_dict("records")
    means = [study.scores(m, a).mean() for m, a in ((study.baseline, math.nan), (method, alpha))]
    needed = undecided_runs(study, arm)
    head = ["task", "verdict", "difference", "95% interval", "p, adjusted"]
    head += [*(["runs to decide"] if needed else []), study.baseline, arm_label(arm), "metric"]
    rows = []
    for r in tests:
        task = str(r["task"])
        digits = _digits([r["high"] - r["low"]])
        runs = needed.get(task, 0)
        decide = ("no number", math.inf) if runs is None else (f"{runs or ''}", runs or math.nan)
        rows.append(
            [
                (task, task),
                (r["verdict"], r["delta"]),
                (_signed(r["delta"], digits), r["delta"]),
                _interval_cell(r["low"], r["high"], digits),
                number_cell(r["adjusted"], "{:.2g}"),
                *([decide] if needed else []),
                *(number_cell(mean[task], "{:.4g}") for mean in means),
                (study.metric[task], study.metric[task]),
            ]
        )
    return head, rows


def counts_table(study: Study) -> tuple[list[str], list[list[Cell]]]:
    """How many tasks are worse than the baseline, as papers count: headings, and rows of cells."""
    t = arm_tables(study)
    head = ["method", "in one run", "by the mean of runs", "chance alone, in one run", t.mean_name]
    rows = []
    for arm, row in t.counts.items():
        mean, counted = float(t.mean_by_run[arm].mean()), arm != t.baseline
        known = counted and t.null_arm is not None
        chance = t.null_words(arm).removeprefix("null ") if known else "not known"
        rows.append(
            [
                (arm_label(arm), arm_label(arm)),
                number_cell(row["negative_per_run"], "{:.1f}"),
                number_cell(float(row["negative"]) if counted else math.nan, "{:.0f}"),
                (chance if counted else "–", row["negative_null_low"]),
                number_cell(mean, "{:.4g}"),
            ]
        )
    return head, rows


def _digits(widths: Sequence[float]) -> int:
    """Decimals with which the narrowest of these intervals has two significant digits."""
    known = [width for width in widths if math.isfinite(width) and width > 0]
    return min(8, max(0, 1 - math.floor(math.log10(min(known) / 2)))) if known else 3


def _signed(value: float, digits: int) -> str:
    """A number with its sign; nothing is -0."""
    return f"{round(value, digits) + 0.0:+.{digits}f}" if math.isfinite(value) else "–"


def _interval_cell(low: float, high: float, digits: int) -> Cell:
    text = f"{_signed(low, digits)} to {_signed(high, digits)}"
    return (text, low) if math.isfinite(low) else ("–", math.nan)


def _link_to_tests(study: Study) -> str:
    """A link that saves the tests of all methods and tasks as a CSV file, which is in the page."""
    table = study.transfer()
    data = base64.b64encode(safe_csv(table, 6).encode()).decode()
    return (
        f'<p><a download="verdicts.csv" href="data:text/csv;charset=utf-8;base64,{data}">'
        f"verdicts.csv</a>: {len(table):,} rows, a test each by method, alpha and task.</p>"
    )


def _read_words(study: Study) -> list[str]:
    """What the scores are, and what was said of them."""
    t = arm_tables(study)
    metrics = study.results["metric"].unique()
    better = ", ".join(f"{m} ({'lower' if study.sign(m) < 0 else 'higher'})" for m in metrics)
    margins = " and ".join(f"{value:g} in {metric}" for metric, value in study.margin.items())
    said = [
        f"{len(study.results):,} scores: {len(t.counts)} methods and alphas, {t.runs} "
        f"run{'s' if t.runs > 1 else ''}, {t.tasks} tasks. Every method has every run.",
        f"Metrics, and which values are better: {better}.",
        "The runs are of the same rows, so every interval is "
        f"{(1 + t.runs * study.overlap) ** 0.5:.2f} times as wide as that of independent runs "
        "(Nadeau and Bengio 2003)."
        if study.overlap
        else "The runs are taken as independent. Folds of a cross-validation are not: say --folds.",
        f"Differences up to {margins} do not matter: so it was stated with the scores."
        if margins
        else "No margin was stated, so no task can be called the same.",
    ]
    if study.null:
        said.append(
            f"{study.null} is {study.baseline}, trained again with other seeds: chance alone."
        )
    return said


def _table(head: Sequence[str], rows: Sequence[Sequence[Cell]], title: str) -> str:
    return _wide(sortable_table(head, rows, title))


def _wide(table: str) -> str:
    """A table that may be wider than the text, and scrolls on a phone."""
    return f"<div class='output'>{table}</div>"


def _bullets(items: Iterable[str]) -> str:
    """A list of items that are HTML."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
