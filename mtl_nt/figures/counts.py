"""The counts of every verdict, as an HTML table."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from ..study import Study
from .tables import arm_label, arm_tables, scope_line

STYLE = (
    ".nt-counts{overflow-x:auto}"
    ".nt-counts table{border-collapse:collapse;font-size:.85em;font-variant-numeric:tabular-nums}"
    ".nt-counts caption{text-align:left;caption-side:bottom;padding:.4em 0}"
    ".nt-counts th,.nt-counts td{border-bottom:1px solid #bbb;padding:.25em .5em;text-align:right}"
    ".nt-counts thead th{vertical-align:bottom}"
    ".nt-counts tbody *{white-space:nowrap}"
    ".nt-counts :is(th,td):is(:first-child,:last-child){text-align:left}"
)


def counts_table(study: Study, metric: str | None = None) -> str:
    """The counts of every verdict, as an HTML table with one row per method.

    The verdict "same" has a column where there is a margin, and "not learned" where it occurs.
    Every count stands beside its null, which is what chance does to STL. On the right is what each
    method does on the whole (see `Study.overall`). Runs that diverged or were still improving are
    named.

    Args:
        metric: the metric of the tasks; by default each task's own.

    Raises:
        BadInput: an unknown metric.

    >>> from mtl_nt.study import stored
    >>> counts_table(stored("cure-noisy")).count("<tr>") > 3
    True
    """
    t = arm_tables(study, metric)
    others = [arm for arm in t.counts if arm != t.baseline]
    same = ["same"] if any("same" in t.counts[arm] for arm in others) else []
    lost = ["not learned"] if any(t.not_learned(arm) for arm in others) else []
    head = ["method", "harmed", "helped", *same, "undecided", *lost]
    head += ["negative, one run", "negative, mean of runs"]
    head += [t.mean_name, "mean difference", "delta_m", "mean rank"]
    head += ["networks", "seconds", "runs"] if study.recipe else []
    rows = []
    for arm, row in t.counts.items():
        cells = [arm_label(arm)]
        if arm == t.baseline or not t.scored_tasks(arm):
            cells += ["–"] * (len(same) + len(lost) + 5)
        else:
            known = t.runs > 1
            for verdict in ("harmed", "helped"):
                null = row[f"{verdict}_null"]
                count = f"{row[verdict]} (null {null})" if t.null_arm else f"{row[verdict]}"
                cells.append(count if known else "–")
            cells += [f"{row['same']}" for _ in same]
            missing = t.tasks - t.scored_tasks(arm)
            cells.append(f"{row['undecided'] - missing} of {t.scored_tasks(arm)}")
            cells += [f"{t.not_learned(arm)}" for _ in lost]
            cells.append(f"{row['negative_per_run']:.1f} ({t.null_words(arm)})")
            cells.append(f"{row['negative']} ({t.null_words(arm)})")
        mean = t.mean_by_run[arm].mean()
        cells.append(f"{mean:.4g}" if np.isfinite(mean) else "–")
        cells += t.overall_words(arm)
        if study.recipe:
            cells += [f"{row['networks']}", f"{row['seconds']:.1f}", t.run_problems(arm)]
        rows.append(cells)
    note = html.escape(
        f"{scope_line(study, t)}. {t.mean_name}: {t.better} is better. Mean differences from "
        f"{t.baseline[0]}, with 95% intervals over runs, and delta_m: above 0 is better. Undecided "
        f"is not “no difference”. {t.chance_words()}"
    )
    body = "".join(_table_row(cells) for cells in rows)
    titles = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in head)
    return (
        f"<div class='nt-counts'><style>{STYLE}</style><table><caption>{note}</caption>"
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _table_row(cells: Sequence[str]) -> str:
    first, *rest = map(html.escape, cells)
    return f"<tr><th scope='row'>{first}</th>{''.join(f'<td>{c}</td>' for c in rest)}</tr>"
