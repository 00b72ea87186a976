"""The cure table: which method helps against which cause of negative transfer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from ..study import CONSTANT, NOT_LEARNED, Study, half_interval

CONTROLS = ("permuted", "frozen")
"""The last words of the names of controls, which have a figure of their own."""
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
        itself). `change` is the mean of the difference from STL in MSE, over the tasks that the
        method or STL has learned, and `within` half of its 95% interval over runs. `over_mtl` and
        `over_mtl_within` are the same for the difference from MTL, over the tasks that one of the
        three has learned.

    >>> from mtl_nt.study import stored
    >>> table = cure_table({"noisy": stored("cure-noisy")})
    >>> table.loc[table["method"] == "MTL", ["harmed", "helped", "tasks"]].to_numpy().tolist()
    [[6, 0, 9]]
    """
    rows = []
    for case, alone in studies.items():
        study = _with_wider_trunk(alone, studies.values())
        scored = study.transfer().groupby("method")["delta"].count()
        mtl, table = study.delta("MTL"), study.transfer()
        table = table[table["verdict"] != NOT_LEARNED]
        learned = {str(name): {*rows["task"]} for name, rows in table.groupby("method")}
        for row in study.counts().itertuples():
            method = str(row.method)
            if method in (study.baseline, CONSTANT):
                continue
            name, _, last = method.rpartition(", ")
            control = last if last in CONTROLS else ""
            if control and not controls:
                continue
            delta = study.delta(method)
            own = learned.get(method, set())
            change = delta[sorted(own)].mean(axis=1).to_numpy()
            over = (delta - mtl)[sorted(own | learned["MTL"])].mean(axis=1).to_numpy()
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
                    "change": change.mean(),
                    "within": float(half_interval(change, study.overlap)),
                    "over_mtl": over.mean(),
                    "over_mtl_within": float(half_interval(over, study.overlap)),
                    "diverged": row.diverged,
                }
            )
    return pd.DataFrame(rows)


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
