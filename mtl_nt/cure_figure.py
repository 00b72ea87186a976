"""The cause x cure table as a picture: whom each method harms and helps, by cause and width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from .drawing import FOOT, INK, SMALL, WIDTH, axes, canvas, finish, short
from .methods import CONSTANT
from .study import Study
from .tables import tables

PLAIN_NAMES = {"STL'": "STL' (null)", "STL, tuned": "a model per task"}


def cure_table(studies: Mapping[str, Study]) -> pd.DataFrame:
    """A row a case and method: `case`, `runs`, `method`, tasks `harmed`, `helped` and in all, and
    the mean over tasks of the difference from STL in MSE with half of its 95% interval over runs
    (`change`, `within`), and the same of MTL's difference from it (`over_mtl`, `over_mtl_within`).
    """
    rows = []
    for case, study in studies.items():
        t = tables(study)
        mtl = study.delta("MTL")
        for arm, row in t.counts.items():
            method = arm[0]
            if arm == t.baseline or method == CONSTANT:
                continue
            delta = study.delta(method)
            change, within = _interval(delta.mean(axis=1).to_numpy())
            over, over_within = _interval((delta - mtl).mean(axis=1).to_numpy())
            rows.append(
                {
                    "case": case,
                    "runs": len(mtl),
                    "method": method,
                    "harmed": int(row["harmed"]),
                    "helped": int(row["helped"]),
                    "tasks": t.scored(arm),
                    "change": change,
                    "within": within,
                    "over_mtl": over,
                    "over_mtl_within": over_within,
                    "diverged": int(row["diverged"]),
                }
            )
    return pd.DataFrame(rows)


def cure_map(table: pd.DataFrame) -> Figure:
    """A `cure_table` drawn. Rows are causes and widths, columns are cures: tasks harmed beyond
    chance (below) and helped (above), with a colour for the one that is more.
    """
    cases, methods = list(dict.fromkeys(table["case"])), list(dict.fromkeys(table["method"]))
    total = table.groupby("method")["harmed"].sum()
    real = [m for m in methods if m != "STL'"]
    few = [m for m in real if total[m] == total[real].min()]
    title = (
        f"MTL harms {total['MTL']} tasks beyond chance over all causes and widths; "
        f"fewest with {_names(few[:3])}: {total[real].min()}"
    )
    words = [
        f"{case}: "
        + ", ".join(
            f"{m} {r.harmed} harmed, {r.helped} helped"
            for m, r in zip(
                methods, table[table["case"] == case].itertuples(index=False), strict=True
            )
        )
        for case in cases
    ]
    runs = table["runs"].max()
    foot = f"dial by MSE, {runs} runs on new data each; numbers: tasks helped ▲ and harmed ▼"
    left, top = 2.1, 1.5
    tall = 0.42 * len(cases)
    figure = canvas(0.75 + top + tall + FOOT + 0.1, title, "; ".join(words) + ".", foot)
    ax = axes(figure, left, FOOT + 0.1, WIDTH - left - 0.1, tall)
    shade, cells = colormaps["RdBu"], []
    for row in table.to_dict("records"):
        x, y = methods.index(row["method"]), cases.index(row["case"])
        balance = (row["helped"] - row["harmed"]) / max(row["tasks"], 1)
        if row["harmed"]:  # harm is never outvoted
            balance = -row["harmed"] / row["tasks"]
        colour = shade(0.5 + 0.4 * float(np.clip(balance, -1, 1)))
        cells.append(Rectangle((x, y), 1, 1, fc=colour, ec="white", lw=2))
        ink = "white" if abs(balance) > 0.7 else INK
        middle: dict[str, Any] = {"ha": "center", "size": 9.5, "color": ink}
        ax.text(x + 0.5, y + 0.45, f"{row['helped']}▲", va="bottom", **middle)
        ax.text(x + 0.5, y + 0.52, f"{row['harmed']}▼", va="top", **middle)
    ax.add_collection(PatchCollection(cells, match_original=True), autolim=False)
    ax.set_xlim(0, len(methods))
    ax.set_ylim(len(cases), 0)
    ax.set_yticks(np.arange(len(cases)) + 0.5, cases, size=SMALL)
    ax.xaxis.tick_top()
    names = [short(_plain(m, methods), 18) for m in methods]
    ax.set_xticks(np.arange(len(methods)) + 0.5, names, size=SMALL, rotation=90)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return finish(figure)


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
