"""The result of an audit, which figures, tables and sentences read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from ..networks import Recipe
from ..study import Affinity, Study, methods_at_widths
from .plan import WIDTH_FACTORS, Plan

TABLES = ("results", "training", "history")
"""The names of a study's tables."""


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found. Figures, tables and sentences read this and nothing else.

    Attributes:
        name: the name of the data set.
        study: the scores of every planned method, and of the networks of the width check.
        plan: what was trained, and what was left out.
        affinity: how far the gradients of every pair of tasks agree at the last shared layer, in
            MTL networks, by stage of training, and the pair's share of common labels. None if the
            budget had no room for it.
        labels: one row per task: its kind, labels and positives.
        notes: sentences on the data: what was read, dropped, imputed and not scored.
        provenance: the seconds, the versions, and what repeats the audit.

    >>> from mtl_nt.audit import example_audit
    >>> [*example_audit().labels]
    ['task', 'kind', 'labels', 'positives']
    """

    name: str
    study: Study
    plan: Plan
    affinity: Affinity | None
    labels: pd.DataFrame
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]

    @cached_property
    def main_study(self) -> Study:
        """The study without the networks of the width check."""
        return without_methods(
            self.study, [m.name for m in methods_at_widths(self.recipe, WIDTH_FACTORS)]
        )

    @property
    def recipe(self) -> Recipe:
        """The settings of the training."""
        assert self.study.recipe is not None  # an audit has trained
        return self.study.recipe


def repeat_command(audit: Audit) -> str:
    """The command line that repeats an audit.

    It names the methods and runs of the plan, so it repeats the audit on a slower machine too.

    >>> from mtl_nt.audit import example_audit
    >>> print(repeat_command(example_audit()))
    python -m mtl_nt report dial --methods MTL --alphas 0,0.1,0.25,0.5,1 --seeds 100,101 --steps 10
    """
    made, plan = audit.provenance, audit.plan
    words = ["python", "-m", "mtl_nt", "report", made["source"]]
    for name, value in made["options"].items():
        if value is None or value == () or value == []:
            continue
        several = isinstance(value, (list, tuple))
        words += [f"--{name}", ",".join(map(str, value)) if several else str(value)]
    words += ["--methods", ";".join(plan.methods)]
    if plan.alphas:
        words += ["--alphas", ",".join(f"{a:g}" for a in plan.alphas)]
    words += ["--seeds", ",".join(map(str, plan.seeds))]
    if made["steps"] is not None:
        words += ["--steps", str(made["steps"])]
    return shlex.join(words)


def without_methods(study: Study, methods: Sequence[str]) -> Study:
    """The study without these methods.

    >>> from mtl_nt.study import stored
    >>> study = stored("cure-noisy")
    >>> "LBTW" in set(without_methods(study, ["LBTW"]).results["method"])
    False
    """
    tables = {name: getattr(study, name) for name in TABLES}
    kept = {name: table[~table["method"].isin(methods)] for name, table in tables.items()}
    return replace(study, **{name: table.reset_index(drop=True) for name, table in kept.items()})
