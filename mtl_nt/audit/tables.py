"""The tables of an audit, as HTML. A name in them is shown as text, even if it looks like HTML."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..book import SORT_SCRIPT, script_tag
from ..figures.tables import arm_label, arm_tables, format_alpha
from ..study import STL, runs_needed, safe_csv
from .plan import format_seconds
from .result import Audit

TASK_COLUMNS = (
    "task",
    "verdict",
    "difference",
    "95% interval",
    "runs to decide",
    "metric",
    "alone",
    "labels",
    "positives",
)


def task_table(audit: Audit, method: str = "MTL", alpha: float = math.nan) -> str:
    """What one method does to every task, as an HTML table. A click on a heading sorts it.

    A row says the verdict, the difference from STL with its interval, the runs that would decide an
    undecided task, and how many labels and positives the task has.

    Args:
        alpha: the alpha of a method that has one.

    Raises:
        BadInput: a method that is not in the audit.

    >>> from mtl_nt.audit import example_audit
    >>> task_table(example_audit()).count('<tr>')  # a heading and nine tasks
    10
    """
    study = audit.main_study
    delta = study.delta(method, alpha)
    verdicts = arm_tables(study).verdicts[method, format_alpha(alpha)].to_dict("records")
    needed = dict(zip(delta.columns, runs_needed(delta.to_numpy(), study.overlap), strict=True))
    alone = study.results[study.results["method"] == study.baseline]
    judged = alone[alone["metric"] == alone["task"].map(study.metric)]
    level = {str(k): float(v) for k, v in judged.groupby("task")["value"].mean().items()}
    about = {row["task"]: row for row in audit.labels.to_dict("records")}
    rows = []
    for v in verdicts:
        task, scored = str(v["task"]), bool(np.isfinite(v["delta"]))
        counts, runs = about[task], needed[task]
        undecided = scored and v["verdict"] == "undecided"
        decide = "no number" if math.isinf(runs) else f"{runs:.0f}" if undecided else ""
        interval = f"{v['low']:+.3f} to {v['high']:+.3f}" if np.isfinite(v["low"]) else "–"
        positives = None if pd.isna(counts["positives"]) else int(counts["positives"])
        rows.append(
            [
                (task, task),
                (v["verdict"], v["delta"]) if scored else ("not scored", math.nan),
                number_cell(v["delta"], "{:+.3f}"),
                (interval, v["low"]),
                (decide, runs) if undecided else ("", math.nan),
                (study.metric[task], study.metric[task]),
                number_cell(level[task], "{:.3f}"),
                (f"{counts['labels']:,}", counts["labels"]),
                ("–", math.nan) if positives is None else (f"{positives:,}", positives),
            ]
        )
    return sortable_table(
        TASK_COLUMNS, rows, f"{arm_label((method, format_alpha(alpha)))} against {study.baseline}"
    )


def csv_link(audit: Audit) -> str:
    """A link that saves the scores of all runs as a CSV file, which is in the page itself.

    >>> from mtl_nt.audit import example_audit
    >>> csv_link(example_audit()).startswith('<p><a download="results.csv"')
    True
    """
    table = audit.study.results
    data = base64.b64encode(safe_csv(table, 6).encode()).decode()
    return (
        f'<p><a download="results.csv" href="data:text/csv;charset=utf-8;base64,{data}">'
        f"results.csv</a>: {len(table):,} rows, a score each by method, alpha, run, task and "
        "metric.</p>"
    )


def settings_table(audit: Audit) -> pd.DataFrame:
    """What was run, one item per row: data, methods, runs, network, budget, time and versions.

    >>> from mtl_nt.audit import example_audit
    >>> settings_table(example_audit()).iloc[3].tolist()
    ['alphas', '0, 0.1, 0.25, 0.5, 1']
    """
    study, made, plan = audit.study, audit.provenance, audit.plan
    recipe, parts = audit.recipe, made["parts"]
    split = {"free": "drawn anew for every run", "fixed": "given", "new data": "of new data"}
    items = {
        "data": f"{audit.name}: {made['rows']:,} rows, {made['features']:,} features, "
        f"{len(audit.labels)} tasks",
        "split": f"{parts[0]:,} training, {parts[1]:,} validation and {parts[2]:,} test rows, "
        f"{split[made['split']]}",
        "methods": "; ".join([STL.name, *plan.methods]),
        "alphas": ", ".join(f"{a:g}" for a in plan.alphas),
        "runs": ", ".join(map(str, plan.seeds)),
        "network": f"trunk {'-'.join(map(str, recipe.trunk))}, {recipe.architecture}",
        "budget": f"{recipe.steps:,} steps of {recipe.batch_size} rows a network, "
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
    ".nt-tasks th,.nt-tasks td{border-bottom:1px solid #bbb;padding:.25em .6em;text-align:right;"
    "white-space:nowrap}"
    ".nt-tasks :is(th,td):first-child{text-align:left;white-space:normal;overflow-wrap:anywhere;"
    "min-width:8em}"
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


def _table_cell(cell: tuple[Any, Any]) -> str:
    text, value = cell
    key = "" if isinstance(value, float) and math.isnan(value) else value
    key = "1e999" if isinstance(key, float) and math.isinf(key) else key
    return f"<td data-value='{html.escape(str(key))}'>{html.escape(str(text))}</td>"


def number_cell(value: float, form: str) -> tuple[str, float]:
    return (form.format(value) if np.isfinite(value) else "–"), float(value)
