"""The result of an audit, which figures, tables and sentences read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from keyword import iskeyword
from typing import Any

import pandas as pd

from ..datasets import is_table
from ..errors import BadInput
from ..figures.tables import format_alpha
from ..networks import Recipe
from ..networks.own_body import PREFIX
from ..study import Affinity, Study, TaskPlan, methods_at_widths
from ..tasks import Note
from .plan import WIDTH_FACTORS, Plan

IN_MEMORY = ""
"""The source of data that were in memory, of which no command knows."""
TABLES = ("results", "training", "history", "validation")
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
        notes: sentences on the data: what was read, left out, guessed, imputed and not scored.
            Those whose `severity` is "matters" belong on the first screen.
        provenance: the seconds, the versions, and what repeats the audit.
        folder: where what is finished is kept; None if it is kept nowhere.
        written: the options that say what is written where, such as `--out` and a path, and how
            much time there is. A command that goes on with the audit gives them again.

    >>> from mtl_nt.audit import example_audit
    >>> [*example_audit().labels]
    ['task', 'kind', 'labels', 'positives']
    """

    name: str
    study: Study
    plan: Plan
    affinity: Affinity | None
    labels: pd.DataFrame
    notes: tuple[Note, ...]
    provenance: Mapping[str, Any]
    folder: str | None = None
    written: tuple[str, ...] = ()

    @cached_property
    def main_study(self) -> Study:
        """The study without the networks of the width check."""
        return without_methods(
            self.study, [m.name for m in methods_at_widths(self.recipe, WIDTH_FACTORS)]
        )

    def with_margin(self, margin: float | Mapping[str, float]) -> Audit:
        """The same audit, judged with another margin (see `Study.with_margin`).

        >>> from mtl_nt.audit import example_audit
        >>> example_audit().with_margin(0.1).main_study.margin
        {'MSE': 0.1}
        """
        if not margin:
            return self
        study = self.study.with_margin(margin)
        check_margins(study.margin, [*dict.fromkeys(study.metric.values())])
        return replace(self, study=study)

    @cached_property
    def task_plan(self) -> TaskPlan:
        """Which method trains each task, and what that is worth."""
        return self.main_study.task_plan()

    @property
    def recipe(self) -> Recipe:
        """The settings of the training."""
        assert self.study.recipe is not None  # an audit has trained
        return self.study.recipe


def where_words(audit: Audit) -> str:
    """What the runs have of the data: the same rows, or new ones.

    >>> from mtl_nt.audit import example_audit
    >>> where_words(example_audit())
    'on new data'
    """
    made = audit.provenance
    if made["split"] == "free":
        rows = "folds" if is_table(made["source"]) else "new splits"
        return f"on {rows} of the same rows"
    return "on the given split" if made["split"] == "fixed" else "on new data"


def check_margins(margins: Mapping[str, float], judged: Sequence[str]) -> None:
    """Refuse a margin in a metric that judges no task, and so would change nothing.

    >>> check_margins({"R2": 0.1}, ["MSE"])
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: margin of R2: tasks are judged by MSE; give --margin MSE=0.1
    """
    for metric, value in margins.items():
        if metric not in judged:
            raise BadInput(
                f"margin of {metric}: tasks are judged by {' and '.join(judged)}; give "
                f"--margin {judged[0]}={value:g}"
            )


def repeat_command(audit: Audit) -> str:
    """The command line that repeats an audit, or the line of Python where there is none.

    It names the methods and runs of the plan, so it repeats the audit on a slower machine too.

    >>> from mtl_nt.audit import example_audit
    >>> print(repeat_command(example_audit()))
    python -m mtl_nt report dial --methods MTL --alphas 0,0.1,0.25,0.5,1 --seeds 100,101 --steps 10
    """
    made, plan = audit.provenance, audit.plan
    if in_python(audit):
        return audit_call(audit)
    return shlex.join(
        report_words(
            made["source"],
            made["options"],
            plan.methods,
            plan.alphas,
            plan.seeds,
            made["steps"],
            audit.study.margin,
        )
    )


def report_words(
    source: str,
    options: Mapping[str, Any],
    methods: Sequence[str],
    alphas: Sequence[float],
    seeds: Sequence[int],
    steps: int | None,
    margin: Mapping[str, float],
) -> list[str]:
    """The words of the command line that makes an audit. The arguments are those of `audit`.

    >>> report_words("my.csv", {"missing": [-999], "yes": True}, ["MTL"], [], [100, 101], None, {})
    ['python', '-m', 'mtl_nt', 'report', 'my.csv', '--missing=-999', '--yes', '--methods', 'MTL', \
'--seeds', '100,101']
    """
    words = ["python", "-m", "mtl_nt", "report", source, *option_words(options)]
    words += ["--methods", ";".join(methods)]
    if alphas:
        words += ["--alphas", ",".join(map(format_alpha, alphas))]
    words += ["--seeds", ",".join(map(str, seeds))]
    if steps is not None:
        words += ["--steps", str(steps)]
    if margin:
        texts = [f"{metric}={format_alpha(value)}" for metric, value in margin.items()]
        words += ["--margin", ",".join(texts)]
    return words


def option_words(options: Mapping[str, Any]) -> list[str]:
    """The options that say how a table is read, as words of a command line.

    >>> option_words({"targets": "y_*", "ignore": ["a", "b"], "yes": False})
    ['--targets', 'y_*', '--ignore', 'a,b']
    """
    words = []
    for name, value in options.items():
        if value is None or value == () or value == []:
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
            continue
        several = isinstance(value, (list, tuple))
        text = ",".join(map(str, value)) if several else str(value)
        words += [f"{option}={text}"] if text.startswith("-") else [option, text]
    return words


def resume_command(audit: Audit) -> str | None:
    """The command line that goes on with an audit; None where it is finished, or kept nowhere.

    >>> from mtl_nt.audit import example_audit
    >>> resume_command(example_audit()) is None
    True
    """
    plan = audit.plan
    if audit.folder is None or not plan.unfinished:
        return None
    asked = replace(plan, methods=plan.asked_methods, seeds=plan.asked_seeds)
    if in_python(audit):
        return audit_call(replace(audit, plan=asked), audit.folder)
    repeat = repeat_command(replace(audit, plan=asked))
    return f"{repeat} {shlex.join([*audit.written, '--results', audit.folder])}"


def in_python(audit: Audit) -> bool:
    """Whether Python alone can repeat an audit: of data in memory, or with a body of one's own.

    >>> from mtl_nt.audit import example_audit
    >>> in_python(example_audit())
    False
    """
    return audit.provenance["source"] == IN_MEMORY or audit.recipe.own_body is not None


def audit_call(audit: Audit, folder: str | None = None) -> str:
    """The line of Python that repeats an audit. It names data and bodies that only Python knows.

    >>> from mtl_nt.audit import example_audit
    >>> print(audit_call(example_audit()))
    mtl_nt.audit.audit('dial', ['MTL'], alphas=[0.0, 0.1, 0.25, 0.5, 1.0], seeds=[100, 101], \
steps=10)
    """
    made, plan, recipe = audit.provenance, audit.plan, audit.recipe
    words = ["data" if made["source"] == IN_MEMORY else repr(made["source"]), f"{[*plan.methods]}"]
    words += [f"alphas={[*plan.alphas]}"] if plan.alphas else []
    words += [f"seeds={[*plan.seeds]}"]
    words += [] if made["steps"] is None else [f"steps={made['steps']}"]
    words += [f"margin={dict(audit.study.margin)}"] if audit.study.margin else []
    words += body_words(audit)
    words += [f"trunk={recipe.trunk}"] if recipe.own_body is not None else []
    words += [f"{name}={value!r}" for name, value in _given(made["options"])]
    words += [] if folder is None else [f"folder={folder!r}"]
    return f"mtl_nt.audit.audit({', '.join(words)})"


def body_words(audit: Audit) -> list[str]:
    """The argument that gives a body of one's own again, by its name; nothing without one.

    >>> from mtl_nt.audit import example_audit
    >>> body_words(example_audit())
    []
    """
    body = audit.recipe.own_body
    name = "" if body is None else body.removeprefix(PREFIX).partition(",")[0]
    known = name.isidentifier() and not iskeyword(name)  # a lambda has no name
    return [] if body is None else [f"architecture={name if known else 'Body'}"]


def _given(options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in options.items() if value not in (None, (), [], False)]


def plan_command(audit: Audit) -> str:
    """The command line that writes the plan of an audit as plan.json.

    Where the results are kept, it reads them; else it repeats the audit, with the same budget.

    >>> from mtl_nt.audit import example_audit
    >>> print(plan_command(example_audit()))
    python -m mtl_nt report dial --methods MTL --alphas 0,0.1,0.25,0.5,1 --seeds 100,101 \
--steps 10 --plan plan.json
    """
    written = options(audit.written)
    written.pop("--plan", None)
    plan = audit.plan
    if audit.folder is not None:
        if not plan.unfinished:  # all is read, and takes no time
            written.pop("--budget", None)
        plan = replace(plan, methods=plan.asked_methods, seeds=plan.asked_seeds)
        written["--results"] = audit.folder
    repeat = repeat_command(replace(audit, plan=plan))
    words = [word for pair in written.items() for word in pair]
    return f"{repeat} {shlex.join([*words, '--plan', 'plan.json'])}"


def options(words: Sequence[str]) -> dict[str, str]:
    """The values of options, each of which has one."""
    return dict(zip(words[::2], words[1::2], strict=True))


def load_call(audit: Audit) -> str:
    """The line of Python that reads the data as the audit did.

    >>> from mtl_nt.audit import example_audit
    >>> print(load_call(example_audit()))
    data = mtl_nt.load('dial')
    """
    made = audit.provenance
    if made["source"] == IN_MEMORY:
        return f"data = ...  # your own data in memory, {audit.name!r}"
    words = [repr(made["source"]), *(f"{k}={v!r}" for k, v in _given(made["options"]))]
    return f"data = mtl_nt.load({', '.join(words)})"


def read_words(audit: Audit) -> str | None:
    """The options with which a table was read, as words of a command line; None without a table.

    >>> from mtl_nt.audit import example_audit
    >>> read_words(example_audit()) is None
    True
    """
    made = audit.provenance
    return shlex.join(option_words(made["options"])) if is_table(made["source"]) else None


def fit_commands(audit: Audit) -> list[str]:
    """The command lines that train the plan of a table, and predict new rows; none without a table.

    >>> from mtl_nt.audit import example_audit
    >>> fit_commands(example_audit())
    []
    """
    made = audit.provenance
    if not is_table(made["source"]) or in_python(audit):
        return []
    start, read = ["python", "-m", "mtl_nt"], option_words(made["options"])
    fit = [*start, "fit", made["source"], "--plan", "plan.json", "--out", "fitted", *read]
    predict = [*start, "predict", "fitted", "new.csv", "--out", "predictions.csv"]
    return [shlex.join(fit), shlex.join(predict)]


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
