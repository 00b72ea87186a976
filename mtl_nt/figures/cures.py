"""Figures of the cure table: which method helps against which cause of negative transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy import stats

from ..study import CONSTANT, Study
from ..tasks import BadInput
from .drawing import (
    FOOTER_HEIGHT,
    GREY,
    INK,
    NEUTRAL_COLOURS,
    NULL_BAND,
    SMALL_SIZE,
    WIDTH,
    add_axes,
    add_legend,
    new_figure,
    shorten,
    tick_text,
    without_formulas,
)

DISPLAY_NAMES = {"STL'": "STL' (null)", "STL, tuned": "a model per task"}
CONTROLS = ("permuted", "frozen")
"""The last words of the names of controls, which have a figure of their own."""
RULE_NAMES = {
    "last": "the last step",
    "best_mean": "the best step for the mean",
    "best_per_task": "each task's own best step",
}
"""What each checkpoint rule takes, in words."""
WIDER_TRUNK = {"MTL": "wider trunk", "MTL, tuned": "wider trunk, tuned"}
"""Names under which the MTL of a wider study is shown among the methods of another study."""


def cure_table(studies: Mapping[str, Study], controls: bool = False) -> pd.DataFrame:
    """What every method does in every case, one row per case and method.

    A study of the same data and runs with a wider trunk adds its MTL to the methods of the narrower
    one, under the names in `WIDER_TRUNK`. It is compared with the narrower study's STL. The widest
    study has no such rows.

    Args:
        studies: case -> study. `cure_changes` needs cases that are called "CAUSE, WIDTH".
        controls: whether the controls of weighting methods have rows too, for `cure_controls`.

    Returns:
        A table with the columns `case`, `runs`, `method`, `control`, `harmed`, `helped`, `tasks`,
        `not_learned` and `diverged`, which are counts but for the names. A `control` of a method
        has the method's name, and says which control it is ("permuted" or "frozen"; "" for a method
        itself). `change` is the mean over tasks of the
        difference from STL in MSE, and `within` half of its 95% interval over runs. `over_mtl` and
        `over_mtl_within` are the same for the difference from MTL.

    >>> from mtl_nt.study import stored
    >>> table = cure_table({"noisy": stored("cure-noisy")})
    >>> table.loc[table["method"] == "MTL", ["harmed", "helped", "tasks"]].to_numpy().tolist()
    [[6, 0, 9]]
    """
    rows = []
    for case, alone in studies.items():
        study = _with_wider_trunk(alone, studies.values())
        scored = study.transfer().groupby("method")["delta"].count()
        mtl = study.delta("MTL")
        for row in study.counts().itertuples():
            method = str(row.method)
            if method in (study.baseline, CONSTANT):
                continue
            name, _, last = method.rpartition(", ")
            control = last if last in CONTROLS else ""
            if control and not controls:
                continue
            delta = study.delta(method)
            change, within = _mean_and_half_interval(delta.mean(axis=1).to_numpy())
            over, over_within = _mean_and_half_interval((delta - mtl).mean(axis=1).to_numpy())
            rows.append(
                {
                    "case": case,
                    "runs": len(mtl),
                    "method": name if control else method,
                    "control": control,
                    "harmed": row.harmed,
                    "helped": row.helped,
                    "tasks": scored[method],
                    "not_learned": row.not_learned,
                    "change": change,
                    "within": within,
                    "over_mtl": over,
                    "over_mtl_within": over_within,
                    "diverged": row.diverged,
                }
            )
    return pd.DataFrame(rows)


def cure_map(table: pd.DataFrame) -> Figure:
    """Draw a `cure_table` as a map. Rows are the cases, columns are the cures.

    A cell shows how many tasks are helped (above) and harmed (below) beyond chance. Its colour is
    blue for help, and red as soon as any task is harmed.

    >>> from mtl_nt.study import stored
    >>> figure = cure_map(cure_table({"noisy": stored("cure-noisy")}))
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    ['noisy']
    """
    cases, methods = list(dict.fromkeys(table["case"])), list(dict.fromkeys(table["method"]))
    total, rows_of = table.groupby("method")["harmed"].sum(), table["method"].value_counts()
    real = [m for m in methods if m != "STL'" and rows_of[m] == len(cases)]
    few = [m for m in real if total[m] == total[real].min()]
    title = (
        f"MTL harms {total['MTL']} tasks beyond chance over all causes and widths; "
        f"fewest with {_joined_names(few[:3])}: {total[real].min()}"
    )
    words = _describe_rows(table, lambda r: f"{r.method} {r.harmed} harmed, {r.helped} helped")
    runs = table["runs"].max()
    foot = f"dial by MSE, {runs} runs on new data each; tasks helped ▲ and harmed ▼; –: none wider"
    left, top = 1.05, 1.65
    tall = 0.46 * len(cases)
    figure = new_figure(0.75 + top + tall + FOOTER_HEIGHT + 0.1, title, words, foot)
    ax = add_axes(figure, left, FOOTER_HEIGHT + 0.1, WIDTH - left - 0.08, tall)
    shade, cells = colormaps["RdBu"], []
    for y, (_, rows) in enumerate(_rows_by_case(table)):
        row_of = {row.method: row for row in rows}
        for x, method in enumerate(methods):
            style: dict[str, Any] = {"ha": "center", "size": SMALL_SIZE}
            if method not in row_of:
                ax.text(x + 0.5, y + 0.5, "–", va="center", color=GREY, **style)
                continue
            row = row_of[method]
            balance = (-row.harmed or row.helped) / max(row.tasks, 1)  # harm is never outvoted
            colour = shade(0.5 + 0.4 * float(np.clip(balance, -1, 1)))
            cells.append(Rectangle((x, y), 1, 1, fc=colour, ec="white", lw=2))
            style["color"] = "white" if abs(balance) > 0.7 else INK
            ax.text(x + 0.5, y + 0.47, f"{row.helped}▲", va="bottom", **style)
            ax.text(x + 0.5, y + 0.51, f"{row.harmed}▼", va="top", **style)
    ax.add_collection(PatchCollection(cells, match_original=True), autolim=False)
    ax.set_xlim(0, len(methods))
    ax.set_ylim(len(cases), 0)
    two_lines = [case.replace(", ", ",\n") for case in cases]
    ax.set_yticks(np.arange(len(cases)) + 0.5, two_lines, size=SMALL_SIZE)
    ax.xaxis.tick_top()
    names = [shorten(_display_name(m, methods), 18) for m in methods]
    ax.set_xticks(np.arange(len(methods)) + 0.5, names, size=SMALL_SIZE, rotation=90)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return without_formulas(figure)


def cure_changes(table: pd.DataFrame) -> Figure:
    """Draw the mean changes of a `cure_table` with their 95% intervals.

    There is one panel per cause, one row per cure, and one mark per width of the trunk. The cases
    of the table are called "CAUSE, WIDTH".

    >>> from mtl_nt.study import stored
    >>> figure = cure_changes(cure_table({"noisy, trunk x 1": stored("cure-noisy")}))
    >>> [ax.get_title("left") for ax in figure.axes]
    ['noisy']
    """
    methods = list(dict.fromkeys(table["method"]))
    parts = table["case"].str.split(", ", n=1, expand=True)
    named = table.assign(cause=parts[0], width=parts[1])
    causes, widths = list(dict.fromkeys(named["cause"])), list(dict.fromkeys(named["width"]))
    plain = named[named["method"] == "MTL"]
    better = plain[plain["change"] > plain["within"]]
    title = (
        f"In the mean over tasks MTL is better than STL in {len(better)} of {len(plain)} rows; "
        f"in {(better['harmed'] > 0).sum()} of these it harms tasks all the same"
    )
    words = _describe_rows(table, lambda r: f"{r.method} {r.change:+.3f} ± {r.within:.3f}")
    what = "right of 0 is better: STL's MSE minus the method's, mean over tasks, ± 95%"
    foot = f"dial, {table['runs'].max()} runs; {what}"
    left, gap, tall = 1.75, 0.14, 0.27 * len(methods)
    figure = new_figure(0.75 + 0.3 + tall + 0.4 + FOOTER_HEIGHT + 0.3, title, words, foot)
    wide = (WIDTH - left - 0.1) / len(causes) - gap
    for k, cause in enumerate(causes):
        ax = add_axes(figure, left + k * (wide + gap), FOOTER_HEIGHT + 0.65, wide, tall)
        ax.axvline(0, color=INK, lw=1)
        for n, width in enumerate(widths):
            rows = named[(named["cause"] == cause) & (named["width"] == width)]
            at = rows["method"].map(methods.index) + 0.3 * (n - (len(widths) - 1) / 2)
            look: dict[str, Any] = {
                "color": NEUTRAL_COLOURS[n],
                "fmt": "os^D"[n],
                "ms": 5,
                "label": width,
            }
            look["mfc"] = "white" if n else NEUTRAL_COLOURS[n]
            ax.errorbar(rows["change"], at, xerr=rows["within"], **look)
        _finish_panel(ax, cause, methods, named=not k, ticks=3)
    add_legend(figure, *ax.get_legend_handles_labels())
    return without_formulas(figure)


def cure_stops(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw how many tasks every method harms under each checkpoint rule, all methods alike.

    The shared stop is a cause of its own: where networks stop at a step that suits the mean, tasks
    whose own best step lies elsewhere are worse off.

    Args:
        tables: a `cure_table` for each rule. Only cases and methods that are in all of them count.

    >>> from mtl_nt.study import stored_stops
    >>> stops = stored_stops("cure-noisy")
    >>> figure = cure_stops({rule: cure_table({"noisy": stops[rule]}) for rule in stops})
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()][:2]
    ["STL' (null)", 'MTL']
    """
    rules = list(tables)
    plain = {
        rule: t[t["control"] == ""].set_index(["case", "method"]) for rule, t in tables.items()
    }
    common = [key for key in plain[rules[0]].index if all(key in t.index for t in plain.values())]
    methods = list(dict.fromkeys(method for _, method in common))
    sums = {rule: t.loc[common].groupby("method")[["harmed"]].sum() for rule, t in plain.items()}
    tasks = int(plain[rules[0]].loc[common].loc[:, "tasks"].groupby("case").first().sum())
    harmed = {
        rule: dict(zip(sums[rule].index, sums[rule]["harmed"], strict=True)) for rule in rules
    }
    said = [f"{harmed[rule]['MTL']} at {RULE_NAMES[rule]}" for rule in rules]
    title = f"Of {tasks} tasks over all causes and widths, MTL harms {', '.join(said)}"
    words = "; ".join(
        f"{RULE_NAMES[rule]}: " + ", ".join(f"{m} {harmed[rule][m]} harmed" for m in methods)
        for rule in rules
    )
    runs = max(table["runs"].max() for table in tables.values())
    foot = f"dial by MSE, {runs} runs on new data each; all methods and STL stop by the same rule"
    left, tall = 1.75, 0.27 * len(methods)
    figure = new_figure(0.75 + 0.2 + tall + 0.75 + FOOTER_HEIGHT + 0.3, title, f"{words}.", foot)
    ax = add_axes(figure, left, FOOTER_HEIGHT + 0.95, WIDTH - left - 0.2, tall)
    for n, rule in enumerate(rules):
        at = np.arange(len(methods)) + 0.2 * (n - (len(rules) - 1) / 2)
        look: dict[str, Any] = {
            "color": NEUTRAL_COLOURS[n],
            "marker": "os^"[n],
            "label": RULE_NAMES[rule],
        }
        ax.scatter(sums[rule].loc[methods, "harmed"].astype(float), at, s=36, zorder=3, **look)
    ax.set_xlim(left=-0.02 * tasks)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_yticks(range(len(methods)), [shorten(_display_name(m, methods), 18) for m in methods])
    ax.tick_params(axis="y", length=0, labelsize=SMALL_SIZE)
    ax.set_xlabel(f"tasks harmed beyond chance, of {tasks}", size=SMALL_SIZE)
    ax.grid(axis="y", color=NULL_BAND)
    ax.set_axisbelow(True)
    add_legend(figure, *ax.get_legend_handles_labels())
    return without_formulas(figure)


def cure_controls(table: pd.DataFrame) -> Figure:
    """Draw what weighting methods gain over MTL, beside what their controls gain.

    There is one panel per cause, at its narrowest trunk, and one row per method. A control that
    gains as much shows that the gain is not owed to what the control lacks: which task is which
    ("permuted"), or the weights' movement over time ("frozen").

    Args:
        table: a `cure_table` with `controls`. The cases are called "CAUSE, WIDTH".

    Raises:
        BadInput: a table without controls.

    >>> from mtl_nt.study import stored
    >>> table = cure_table({"noisy, trunk x 1": stored("cure-noisy")})
    >>> cure_controls(table)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mtl_nt.tasks.BadInput: these studies have no controls; ...
    """
    methods = list(dict.fromkeys(table.loc[table["control"] != "", "method"]))
    if not methods:
        raise BadInput("these studies have no controls; train the cases again, `make results`")
    table = table[table["method"].isin(methods)]
    causes = table["case"].str.split(", ", n=1).str[0]
    table = table.assign(cause=causes)[
        table["case"] == table["case"].groupby(causes).transform("first")
    ]
    marks = {"": "the method", "permuted": "permuted once", "frozen": "frozen at the mean"}
    row_of: dict[Any, Any] = {
        (row.cause, row.method, row.control): row for row in table.itertuples()
    }
    gains = [r for r in row_of.values() if not r.control and r.over_mtl > r.over_mtl_within]
    kept = {
        control: sum(
            row_of[r.cause, r.method, control].over_mtl >= r.over_mtl - r.over_mtl_within
            for r in gains
        )
        for control in CONTROLS
    }
    title = (
        f"Of {len(gains)} gains over MTL, weights frozen at their mean keep {kept['frozen']}, and "
        f"weights that are permuted among the tasks keep {kept['permuted']}"
    )
    if not gains:
        title = "No weighting method gains over MTL here, so there is nothing for a control to keep"
    words = _describe_rows(
        table, lambda r: f"{r.method} {r.control} {r.over_mtl:+.3f} ± {r.over_mtl_within:.3f}"
    )
    what = "right of 0 is better: MTL's MSE minus the method's, mean over tasks, ± 95%"
    names, left, gap = list(dict.fromkeys(table["cause"])), 1.75, 0.14
    tall = 0.55 * len(methods)
    figure = new_figure(
        0.75 + 0.3 + tall + 0.4 + FOOTER_HEIGHT + 0.3,
        title,
        words,
        f"dial, {table['runs'].max()} runs; {what}",
    )
    wide = (WIDTH - left - 0.1) / len(names) - gap
    for k, cause in enumerate(names):
        ax = add_axes(figure, left + k * (wide + gap), FOOTER_HEIGHT + 0.65, wide, tall)
        ax.axvline(0, color=INK, lw=1)
        for n, (control, label) in enumerate(marks.items()):
            rows = table[(table["cause"] == cause) & (table["control"] == control)]
            look: dict[str, Any] = {"color": NEUTRAL_COLOURS[n], "fmt": "os^"[n], "ms": 5}
            at = rows["method"].map(methods.index) + 0.25 * (n - 1)
            ax.errorbar(rows["over_mtl"], at, xerr=rows["over_mtl_within"], label=label, **look)
        _finish_panel(ax, cause, methods, named=not k, ticks=2)
    add_legend(figure, *ax.get_legend_handles_labels())
    return without_formulas(figure)


def _finish_panel(ax: Axes, title: str, methods: list[str], named: bool, ticks: int) -> None:
    """One row per method, which the first panel names, and few short numbers below."""
    names = [shorten(_display_name(m, methods), 18) if named else "" for m in methods]
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_yticks(range(len(methods)), names, size=SMALL_SIZE)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=ticks)
    ax.xaxis.set_major_formatter(tick_text)
    ax.grid(axis="y", color=NULL_BAND)
    ax.set_axisbelow(True)
    ax.set_title(title, loc="left", size=SMALL_SIZE)


def _rows_by_case(table: pd.DataFrame) -> list[tuple[str, list[Any]]]:
    """Every case with its rows of the table."""
    names = dict.fromkeys(table["case"])
    return [(name, list(table[table["case"] == name].itertuples())) for name in names]


def _describe_rows(table: pd.DataFrame, said: Callable[[Any], str]) -> str:
    """One sentence that says something of every row, case by case."""
    cases = [f"{case}: {', '.join(map(said, rows))}" for case, rows in _rows_by_case(table)]
    return "; ".join(cases) + "."


def _with_wider_trunk(study: Study, others: Iterable[Study]) -> Study:
    """The study with the MTL of the study that has the widest trunk on the same data and runs."""

    def runs(of: Study) -> set[tuple[Any, ...]]:
        rows = of.results[["dataset", "data_seed", "seed"]].drop_duplicates()
        return set(rows.itertuples(index=False, name=None))

    def width(of: Study) -> int:
        return sum(of.recipe.trunk) if of.recipe else 0

    wider = max((o for o in others if runs(o) == runs(study)), key=width, default=study)
    if width(wider) <= width(study):
        return study
    results, training = (
        table[table["method"].isin(WIDER_TRUNK)].replace({"method": WIDER_TRUNK})
        for table in (wider.results, wider.training)
    )
    first = study.results["method"].isin([study.baseline, study.null, "MTL"])  # before the wider
    parts = [study.results[first], results, study.results[~first]]
    return replace(
        study,
        results=pd.concat(parts, ignore_index=True),
        training=pd.concat([study.training, training], ignore_index=True),
    )


def _mean_and_half_interval(values: Float[np.ndarray, " S"]) -> tuple[float, float]:
    """The mean over runs, and half of its 95% interval."""
    wide = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(wide)


def _joined_names(names: list[str]) -> str:
    return " and ".join(_display_name(name, names) for name in names)


def _display_name(name: str, among: list[str]) -> str:
    """The name under which a method is shown: its family's, if no other method has that name."""
    family = name.partition(",")[0]
    return DISPLAY_NAMES.get(name, name if family in among else family)
