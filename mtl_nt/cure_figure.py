"""The cause x cure table as a picture: whom each method harms and helps, by cause and width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from .drawing import (
    FAINT,
    FOOT,
    INK,
    NULL_BAND,
    OTHERS,
    SMALL,
    WIDTH,
    axes,
    canvas,
    finish,
    key,
    short,
)
from .methods import CONSTANT
from .study import Study

PLAIN_NAMES = {"STL'": "STL' (null)", "STL, tuned": "a model per task"}
WIDER = {"MTL": "wider trunk", "MTL, tuned": "wider trunk, tuned"}
"""What MTL on another study's wider trunk is called among a study's methods."""


def cure_table(studies: Mapping[str, Study]) -> pd.DataFrame:
    """A row a case and method: `case`, `runs`, `method`, tasks `harmed`, `helped` and in all, and
    the mean over tasks of the difference from STL in MSE with half of its 95% interval over runs
    (`change`, `within`), and the same of its difference from MTL (`over_mtl`, `over_mtl_within`).

    A study of the same data and runs with a wider trunk adds `WIDER` to the narrower one's
    methods: its MTL, against the narrower one's STL. The widest study has no such rows.
    """
    rows = []
    for case, alone in studies.items():
        study = _with_wider(alone, studies.values())
        scored = study.transfer().groupby("method")["delta"].count()
        mtl = study.delta("MTL")
        for row in study.counts().itertuples():
            method = str(row.method)
            if method in (study.baseline, CONSTANT):
                continue
            delta = study.delta(method)
            change, within = _interval(delta.mean(axis=1).to_numpy())
            over, over_within = _interval((delta - mtl).mean(axis=1).to_numpy())
            rows.append(
                {
                    "case": case,
                    "runs": len(mtl),
                    "method": method,
                    "harmed": row.harmed,
                    "helped": row.helped,
                    "tasks": scored[method],
                    "change": change,
                    "within": within,
                    "over_mtl": over,
                    "over_mtl_within": over_within,
                    "diverged": row.diverged,
                }
            )
    return pd.DataFrame(rows)


def cure_map(table: pd.DataFrame) -> Figure:
    """A `cure_table` drawn. Rows are causes and widths, columns are cures: tasks harmed beyond
    chance (below) and helped (above), with a colour for the one that is more.
    """
    cases, methods = list(dict.fromkeys(table["case"])), list(dict.fromkeys(table["method"]))
    total, rows_of = table.groupby("method")["harmed"].sum(), table["method"].value_counts()
    real = [m for m in methods if m != "STL'" and rows_of[m] == len(cases)]
    few = [m for m in real if total[m] == total[real].min()]
    title = (
        f"MTL harms {total['MTL']} tasks beyond chance over all causes and widths; "
        f"fewest with {_names(few[:3])}: {total[real].min()}"
    )
    words = _words(table, lambda r: f"{r.method} {r.harmed} harmed, {r.helped} helped")
    runs = table["runs"].max()
    foot = f"dial by MSE, {runs} runs on new data each; tasks helped ▲ and harmed ▼; –: none wider"
    left, top = 1.05, 1.65
    tall = 0.46 * len(cases)
    figure = canvas(0.75 + top + tall + FOOT + 0.1, title, words, foot)
    ax = axes(figure, left, FOOT + 0.1, WIDTH - left - 0.08, tall)
    shade, cells = colormaps["RdBu"], []
    for y, (_, rows) in enumerate(_rows(table)):
        there = {row.method: row for row in rows}
        for x, method in enumerate(methods):
            middle: dict[str, Any] = {"ha": "center", "size": SMALL}
            if method not in there:
                ax.text(x + 0.5, y + 0.5, "–", va="center", color=FAINT, **middle)
                continue
            row = there[method]
            balance = (-row.harmed or row.helped) / max(row.tasks, 1)  # harm is never outvoted
            colour = shade(0.5 + 0.4 * float(np.clip(balance, -1, 1)))
            cells.append(Rectangle((x, y), 1, 1, fc=colour, ec="white", lw=2))
            middle["color"] = "white" if abs(balance) > 0.7 else INK
            ax.text(x + 0.5, y + 0.47, f"{row.helped}▲", va="bottom", **middle)
            ax.text(x + 0.5, y + 0.51, f"{row.harmed}▼", va="top", **middle)
    ax.add_collection(PatchCollection(cells, match_original=True), autolim=False)
    ax.set_xlim(0, len(methods))
    ax.set_ylim(len(cases), 0)
    two_lines = [case.replace(", ", ",\n") for case in cases]
    ax.set_yticks(np.arange(len(cases)) + 0.5, two_lines, size=SMALL)
    ax.xaxis.tick_top()
    names = [short(_plain(m, methods), 18) for m in methods]
    ax.set_xticks(np.arange(len(methods)) + 0.5, names, size=SMALL, rotation=90)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return finish(figure)


def cure_changes(table: pd.DataFrame) -> Figure:
    """The mean changes of a `cure_table`, with their intervals: a panel a cause, a row a cure, a
    mark a width. A case is called "CAUSE, WIDTH".
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
    words = _words(table, lambda r: f"{r.method} {r.change:+.3f} ± {r.within:.3f}")
    what = "right of 0 is better: STL's MSE minus the method's, mean over tasks, ± 95%"
    foot = f"dial, {table['runs'].max()} runs; {what}"
    left, gap, tall = 1.75, 0.14, 0.27 * len(methods)
    figure = canvas(0.75 + 0.3 + tall + 0.4 + FOOT + 0.3, title, words, foot)
    wide = (WIDTH - left - 0.1) / len(causes) - gap
    for k, cause in enumerate(causes):
        ax = axes(figure, left + k * (wide + gap), FOOT + 0.65, wide, tall)
        ax.axvline(0, color=INK, lw=1)
        for n, width in enumerate(widths):
            rows = named[(named["cause"] == cause) & (named["width"] == width)]
            at = rows["method"].map(methods.index) + 0.3 * (n - (len(widths) - 1) / 2)
            look: dict[str, Any] = {"color": OTHERS[n], "fmt": "os^D"[n], "ms": 5, "label": width}
            look["mfc"] = "white" if n else OTHERS[n]
            ax.errorbar(rows["change"], at, xerr=rows["within"], **look)
        ax.set_ylim(len(methods) - 0.5, -0.5)
        ax.set_yticks(range(len(methods)), [""] * len(methods), size=SMALL)
        ax.locator_params(axis="x", nbins=3)
        ax.set_title(cause, loc="left", size=SMALL)
        ax.grid(axis="y", color=NULL_BAND)
        ax.set_axisbelow(True)
        ax.tick_params(axis="y", length=0)
        if not k:
            ax.set_yticklabels([short(_plain(m, methods), 18) for m in methods])
    key(figure, *ax.get_legend_handles_labels())
    return finish(figure)


def _rows(table: pd.DataFrame) -> list[tuple[str, list[Any]]]:
    """Every case and its rows."""
    names = dict.fromkeys(table["case"])
    return [(name, list(table[table["case"] == name].itertuples())) for name in names]


def _words(table: pd.DataFrame, said: Callable[[Any], str]) -> str:
    """What is said of every row, case by case."""
    cases = [f"{case}: {', '.join(map(said, rows))}" for case, rows in _rows(table)]
    return "; ".join(cases) + "."


def _with_wider(study: Study, others: Iterable[Study]) -> Study:
    """The study, and `WIDER` of the one that has the widest trunk of the same data and runs."""

    def runs(of: Study) -> set[tuple[Any, ...]]:
        rows = of.results[["dataset", "data_seed", "seed"]].drop_duplicates()
        return set(rows.itertuples(index=False, name=None))

    def width(of: Study) -> int:
        return sum(of.recipe.trunk)

    wider = max((o for o in others if runs(o) == runs(study)), key=width, default=study)
    if width(wider) <= width(study):
        return study
    results, training = (
        table[table["method"].isin(WIDER)].replace({"method": WIDER})
        for table in (wider.results, wider.training)
    )
    first = study.results["method"].isin([study.baseline, study.null, "MTL"])  # then the wider
    parts = [study.results[first], results, study.results[~first]]
    return replace(
        study,
        results=pd.concat(parts, ignore_index=True),
        training=pd.concat([study.training, training], ignore_index=True),
    )


def _interval(values: Float[np.ndarray, " S"]) -> tuple[float, float]:
    """Mean over runs, and half of its 95% interval."""
    wide = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(wide)


def _names(names: list[str]) -> str:
    return " and ".join(_plain(name, names) for name in names)


def _plain(name: str, among: list[str]) -> str:
    """The method's own name, unless that is another one's."""
    family = name.partition(",")[0]
    return PLAIN_NAMES.get(name, name if family in among else family)
