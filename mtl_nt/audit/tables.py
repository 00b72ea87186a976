"""The tables of an audit, as HTML. A name in them is shown as text, even if it looks like HTML."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..book import SORT_SCRIPT, script_tag
from ..figures.tables import arm_label, arm_tables, format_alpha
from ..study import STL, safe_csv
from ..study.task_plan import STANDARD_ERRORS
from ..training.original_units import ORIGINAL
from .findings import runs_by_task
from .plan import format_seconds
from .result import Audit, where_words
from .sentences import effect_digits, listed

TASK_COLUMNS = (
    "task",
    "verdict",
    "difference",
    "95% interval",
    "p",
    "q",
    "runs to decide",
    "metric",
    "alone",
    "labels",
    "positives",
)


def task_table(audit: Audit, method: str = "MTL", alpha: float = math.nan) -> str:
    """What one method does to every task, as an HTML table. A click on a heading sorts it.

    A row says the verdict, the difference from STL with its interval, the p-value and the one that
    is adjusted for all tasks (q), the runs that would decide an undecided task, and how many labels
    and positives the task has. Where tasks are read as logarithms, it has the scores of STL and of
    the method in original units too.

    Args:
        alpha: the alpha of a method that has one.

    Raises:
        BadInput: a method that is not in the audit.

    >>> from mtl_nt.audit import example_audit
    >>> task_table(example_audit()).count('<tr>')  # a heading and nine tasks
    10
    """
    study = audit.main_study
    needed = runs_by_task(study, method, alpha)
    verdicts = arm_tables(study).verdicts[method, format_alpha(alpha)].to_dict("records")
    alone = study.results[study.results["method"] == study.baseline]
    judged = alone[alone["metric"] == alone["task"].map(study.metric)]
    level = {str(k): float(v) for k, v in judged.groupby("task")["value"].mean().items()}
    about = {row["task"]: row for row in audit.labels.to_dict("records")}
    original = [m for m in ORIGINAL if (study.results["metric"] == m).any()]
    arms = ((study.baseline, math.nan), (method, alpha))
    back = {m: [study.scores(name, a, m).mean() for name, a in arms] for m in original}
    rows = []
    for v in verdicts:
        task, scored = str(v["task"]), bool(np.isfinite(v["delta"]))
        counts, runs = about[task], needed[task]
        undecided = scored and v["verdict"] == "undecided"
        decide = "no number" if math.isinf(runs) else f"{runs:.0f}" if undecided else ""
        interval = f"{v['low']:+z.3f} to {v['high']:+z.3f}" if np.isfinite(v["low"]) else "–"
        positives = None if pd.isna(counts["positives"]) else int(counts["positives"])
        rows.append(
            [
                (task, task),
                (v["verdict"], v["delta"]) if scored else ("not scored", math.nan),
                number_cell(v["delta"], "{:+z.3f}"),
                (interval, v["low"]),
                number_cell(v["p"], "{:.2g}"),
                number_cell(v["adjusted"], "{:.2g}"),
                (decide, runs) if undecided else ("", math.nan),
                (study.metric[task], study.metric[task]),
                number_cell(level[task], "{:.3f}"),
                (f"{counts['labels']:,}", counts["labels"]),
                ("–", math.nan) if positives is None else (f"{positives:,}", positives),
                *(_both_scores([mean[task] for mean in back[m]], study.sign(m)) for m in original),
            ]
        )
    arm = arm_label((method, format_alpha(alpha)))
    title = f"{arm} against {study.baseline}"
    if original:
        title += f", and in original units the scores of {study.baseline} / {arm}"
    return sortable_table([*TASK_COLUMNS, *original], rows, title)


def plan_table(audit: Audit) -> str:
    """The plan, one row for each task, as an HTML table.

    >>> from mtl_nt.audit import example_audit
    >>> plan_table(example_audit()).count("<tr>")  # a heading and nine tasks
    10
    """
    plan = audit.task_plan
    digits = 3 if plan.unit == STANDARD_ERRORS else plan.digits
    head = ["task", "choice", "why", "gain, left out", "gain, apparent", "networks", "seconds"]
    rows = [
        [
            (row["task"], row["task"]),
            (row["choice"], row["choice"]),
            (row["why"], row["why"]),
            _gain_cell(row["left_out"], digits),
            _gain_cell(row["apparent"], digits),
            (f"{row['networks']}", row["networks"]),
            number_cell(row["seconds"], "{:.2g}"),
        ]
        for row in plan.table.to_dict("records")
    ]
    shared = [c for c in ("MTL",) if (plan.table["choice"] == c).sum() > 1]
    once = ", and tasks with the same MTL network share it" if shared else ""
    title = f"Gains over {plan.baseline} in the task's metric; networks and seconds of a run{once}"
    return f"<div class='plan'>{sortable_table(head, rows, title)}</div>"


def plan_choices(audit: Audit) -> str:
    """The plan of many tasks in short, one row for each choice, as an HTML table.

    >>> from mtl_nt.audit import example_audit
    >>> "<th" in plan_choices(example_audit())
    True
    """
    plan = audit.task_plan
    digits = 3 if plan.unit == STANDARD_ERRORS else plan.digits
    head = ["choice", "tasks", "gain, left out", "which"]
    rows: list[list[tuple[Any, Any]]] = []
    for choice, own in plan.table.groupby("choice", sort=False):
        names = listed([str(task) for task in own["task"]], 3)
        rows.append(
            [
                (choice, choice),
                (f"{len(own)}", len(own)),
                _gain_cell(own["left_out"].mean(), digits),
                (names, names),
            ]
        )
    rows.sort(key=lambda row: -row[1][1])
    title = f"Mean gain of each choice's tasks over {plan.baseline}"
    return f"<div class='choices'>{sortable_table(head, rows, title)}</div>"


def plan_link(audit: Audit) -> str:
    """A link that saves the table of the plan as a CSV file, which is in the page itself.

    >>> from mtl_nt.audit import example_audit
    >>> "plan.csv</a>: 9 rows" in plan_link(example_audit())
    True
    """
    return download("plan.csv", audit.task_plan.table, "one for each task")


def remedies_table(audit: Audit, found: Mapping[str, Any]) -> str:
    """The remedies, the best first, and then MTL, as an HTML table.

    Args:
        found: what `findings` gives.

    >>> from mtl_nt.audit import example_audit, findings
    >>> remedies_table(example_audit(), findings(example_audit())).count("<tr>")
    2
    """
    row, remedies = arm_tables(audit.main_study).counts["MTL", ""], found["remedies"]
    mtl = {"method": "MTL", "alpha": None, "mean": found["mtl"]["mean"], "dominated": False}
    mtl |= {name: len(found["mtl"][name]) for name in ("harmed", "helped", "same", "undecided")}
    mtl |= {name: row[name] for name in ("networks", "diverged", "seconds")}
    unit, verdicts = mtl["mean"]["unit"], ["harmed", "helped", "undecided"]
    verdicts[2:2] = ["same"] if found["margin"] else []
    widths = [_width(remedy["mean"]) for remedy in (mtl, *remedies)]
    digits = effect_digits(min(filter(None, widths), default=0.0))
    head = ["method", *verdicts, f"mean gain, {unit}", "95% interval"]
    head += ["networks", "seconds", "remark"]
    rows = []
    for place, remedy in enumerate((*remedies, mtl), 1):
        alpha = math.nan if remedy["alpha"] is None else float(remedy["alpha"])
        name, mean = arm_label((remedy["method"], format_alpha(alpha))), remedy["mean"]
        known = mean["low"] is not None and math.isfinite(mean["low"])
        ends = f"{mean['low']:+z.{digits}f} to {mean['high']:+z.{digits}f}" if known else "–"
        delta = math.nan if mean["delta"] is None else mean["delta"]
        said = "diverged" if remedy["diverged"] else ""
        worse = known and mean["high"] < 0
        said = said or (f"STL is {'better' if worse else 'as good'}" if remedy["dominated"] else "")
        rows.append(
            [
                (name, place),
                *((f"{remedy[v]}", remedy[v]) for v in verdicts),
                number_cell(delta, f"{{:+z.{digits}f}}"),
                (ends, mean["low"] if known else math.nan),
                (f"{remedy['networks']}", remedy["networks"]),
                number_cell(float(remedy["seconds"]), "{:.2g}"),
                (said, said),
            ]
        )
    return sortable_table(head, rows, "Tasks by verdict, and the mean gain over STL")


def metrics_table(audit: Audit) -> str:
    """The scores of STL and MTL by every metric, one row for each task, as an HTML table.

    >>> from mtl_nt.audit import example_audit
    >>> "Spearman" in metrics_table(example_audit())
    True
    """
    study = audit.main_study
    metrics = [str(metric) for metric in study.results["metric"].unique()]
    means = {
        metric: [study.scores(m, metric=metric).mean() for m in (study.baseline, "MTL")]
        for metric in metrics
    }
    rows = []
    for task in map(str, audit.labels["task"]):
        row: list[tuple[Any, Any]] = [(task, task)]
        for metric in metrics:
            scores = [float(mean.get(task, math.nan)) for mean in means[metric]]
            row.append(_both_scores(scores, study.sign(metric)))
        rows.append(row)
    head = ["task", *(f"{m} {'↓' if study.sign(m) < 0 else '↑'}" for m in metrics)]
    title = (
        f"{study.baseline} / MTL, means over runs, sorted by the gain (↑ higher is better, ↓ lower "
        "is better)"
    )
    return sortable_table(head, rows, title)


def csv_link(audit: Audit) -> str:
    """A link that saves the scores of all runs as a CSV file, which is in the page itself.

    >>> from mtl_nt.audit import example_audit
    >>> csv_link(example_audit()).startswith('<p><a download="results.csv"')
    True
    """
    what = "one for each method, alpha, run, task and metric"
    return download("results.csv", audit.study.results, what)


def verdicts_link(audit: Audit) -> str:
    """A link that saves the test of every method and task as a CSV file: verdict, difference,
    interval, p-value, and the p-value adjusted for all tasks.

    >>> from mtl_nt.audit import example_audit
    >>> "verdicts.csv</a>: 27 rows" in verdicts_link(example_audit())
    True
    """
    return download("verdicts.csv", verdicts_table(audit), "one for each method, alpha and task")


def verdicts_csv(audit: Audit) -> str:
    """The same table as the text of a CSV file.

    >>> from mtl_nt.audit import example_audit
    >>> verdicts_csv(example_audit()).count("\\n")
    28
    """
    return safe_csv(verdicts_table(audit), 6)


def verdicts_table(audit: Audit) -> pd.DataFrame:
    """The test of every method and task (see `Study.transfer`), with the metric of the task.

    >>> from mtl_nt.audit import example_audit
    >>> [*verdicts_table(example_audit())][-5:]
    ['p', 'adjusted', 'detectable', 'verdict', 'metric']
    """
    study = audit.main_study
    table = study.transfer()
    return table.assign(metric=table["task"].map(study.metric))


def download(name: str, table: pd.DataFrame, what: str) -> str:
    """A link that saves a table as a CSV file, which is in the page itself.

    Args:
        name: of the file.
        what: a row is, in words.

    >>> download("a.csv", pd.DataFrame({"task": ["x"]}), "one for each task")[:29]
    '<p><a download="a.csv" href="'
    """
    data = base64.b64encode(safe_csv(table, 6).encode()).decode()
    return (
        f'<p><a download="{name}" href="data:text/csv;charset=utf-8;base64,{data}">'
        f"{name}</a>: {len(table):,} rows, {what}.</p>"
    )


def settings_table(audit: Audit) -> pd.DataFrame:
    """What was run, one item per row: data, methods, runs, network, budget, time and versions.

    >>> from mtl_nt.audit import example_audit
    >>> settings_table(example_audit()).iloc[3].tolist()
    ['alphas', '0, 0.1, 0.25, 0.5, 1']
    """
    study, made, plan = audit.study, audit.provenance, audit.plan
    recipe, parts = audit.recipe, made["parts"]
    split = {
        "free": where_words(audit),
        "fixed": "the same for every run",
        "new data": "of new data",
    }
    items = {
        "data": f"{audit.name}: {made['rows']:,} rows, {made['features']:,} features, "
        f"{len(audit.labels)} tasks",
        "split": f"{parts[0]:,} training, {parts[1]:,} validation and {parts[2]:,} test rows, "
        f"{split[made['split']]}",
        "methods": "; ".join([STL.name, *plan.methods]),
        "alphas": ", ".join(f"{a:g}" for a in plan.alphas),
        "runs": ", ".join(map(str, plan.seeds)),
        "network": f"trunk {'-'.join(map(str, recipe.trunk))}, {recipe.architecture}",
        "budget": f"{recipe.steps:,} steps of {recipe.batch_size} rows for each network, "
        f"checkpoint: {study.checkpoint}",
        "optimiser": f"Adam, learning rate {recipe.learning_rate:g}, weight decay "
        f"{recipe.weight_decay:g}, dropout {recipe.dropout:g}",
        "time": f"{format_seconds(made['seconds'])} (estimated: {format_seconds(plan.seconds)})",
        "left out": "; ".join(plan.left_out) or "nothing",
        "versions": f"mtl_nt {made['version']}, torch {made['torch']}",
    }
    return pd.DataFrame({"what": list(items), "": list(items.values())})


TABLE_STYLE = (
    ".nt-tasks{overflow-x:auto}"
    ".nt-tasks table{border-collapse:collapse;font-size:.85em;font-variant-numeric:tabular-nums}"
    ".nt-tasks caption{text-align:left;padding:.4em 0}"
    ".nt-tasks th,.nt-tasks td{border-bottom:1px solid var(--line,#bbb);padding:.25em .6em;"
    "text-align:right;white-space:nowrap}"
    ".nt-tasks :is(th,td):first-child{text-align:left;white-space:normal;overflow-wrap:anywhere;"
    "min-width:8em}"
    ".nt-tasks th{white-space:normal}"
    ".nt-tasks button{all:unset;cursor:pointer;font-weight:bold}"
    ".nt-tasks button:focus-visible{outline:3px solid #f0a500}"
    ".nt-tasks th[aria-sort=ascending] button::after{content:' ▲'}"
    ".nt-tasks th[aria-sort=descending] button::after{content:' ▼'}"
)


def sortable_table(
    head: Sequence[str], rows: Sequence[Sequence[tuple[Any, Any]]], title: str
) -> str:
    """An HTML table whose headings are buttons that sort it.

    Args:
        head: the headings.
        rows: the cells of each row; a cell is a text and the value that it is sorted by.
        title: what the table shows; it is escaped.

    >>> html = sortable_table(["task"], [[("<b>", 1.5)]], "Tasks")
    >>> "&lt;b&gt;" in html and "<b>" not in html
    True
    """
    titles = "".join(
        f"<th scope='col' aria-sort='none'><button>{html.escape(h)}</button></th>" for h in head
    )
    body = "".join(f"<tr>{''.join(map(_table_cell, row))}</tr>" for row in rows)
    return (
        f"<div class='nt-tasks'><style>{TABLE_STYLE}</style><table>"
        f"<caption>{html.escape(title)}. A heading sorts.</caption>"
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
        f"{script_tag(SORT_SCRIPT)}</div>"
    )


def _both_scores(scores: Sequence[float], sign: int) -> tuple[str, float]:
    """The scores of STL and of another method in one cell, sorted by the gain."""
    alone, other = scores
    known = math.isfinite(alone) and math.isfinite(other)
    return (f"{alone:.3g} / {other:.3g}", sign * (other - alone)) if known else ("–", math.nan)


def _table_cell(cell: tuple[Any, Any]) -> str:
    text, value = cell
    key = "" if isinstance(value, float) and math.isnan(value) else value
    key = "1e999" if isinstance(key, float) and math.isinf(key) else key
    return f"<td data-value='{html.escape(str(key))}'>{html.escape(str(text))}</td>"


def _gain_cell(value: float, digits: int) -> tuple[str, float]:
    """A gain; none at all is a plain 0."""
    return ("0", 0.0) if value == 0 else number_cell(value, f"{{:+z.{digits}f}}")


def _width(mean: Mapping[str, Any]) -> float | None:
    known = mean["low"] is not None and math.isfinite(mean["low"])
    return float(mean["high"] - mean["low"]) if known else None


def number_cell(value: float, form: str) -> tuple[str, float]:
    return (form.format(value) if np.isfinite(value) else "–"), float(value)
