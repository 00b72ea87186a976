"""Nulls of many pairs of trainings, which say what chance does to a count.

A baseline and its twin differ by initialisation and batch order alone. A comparison of five runs
has five such pairs, which is too few to say how far a count spreads. Of each further pair and task
the sign of the difference is kept (`pair_signs`).

For named data sets and their recipes forty pairs or more were trained once, and come with the
package (`python -m mtl_nt results null-NAME`). Every study of the same data, recipe and baseline
uses these. An audit of a table trains pairs of its own, which its study carries (`Study.pairs`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import numpy as np
from jaxtyping import Float

from ..errors import BadInput
from ..files import check_output, read_bytes, write_atomically
from ..networks import Recipe
from ..tasks import TaskData
from .identity import body_identity
from .schema import load_json, satisfies

if TYPE_CHECKING:
    from .study import Study

FOLDER = Path(__file__).parent / "results"
"""The folder of the kept nulls, which are beside the kept studies."""
SEEDS = tuple(range(1000, 1040))
"""The seeds of the pairs; no study of the book has any of them."""
SIGNS = {"-": -1.0, "0": 0.0, "+": 1.0, " ": np.nan}
"""How the sign of a difference is written; a space stands for one that is missing."""
ROWS = 2_000  # of a table, at most, whose targets are part of its identity
REFERENCE_SEED = 100  # of synthetic data, as part of their identity


PairSigns = dict[str, dict[str, Annotated[str, satisfies(lambda text: {*text} <= {*SIGNS})]]]
"""By metric and task, the signs of the differences of a twin from its baseline: one character for
each pair of trainings, as `SIGNS` has them."""


class KeptNull(TypedDict):
    """The pairs of one baseline on one data set, with one recipe."""

    identity: str
    baseline: str
    signs: PairSigns


def pair_signs(study: Study) -> PairSigns:
    """The signs of all differences between a study's baseline and its twin.

    >>> from mtl_nt.study import stored
    >>> {len(signs) for signs in pair_signs(stored("cure-noisy"))["MSE"].values()}  # pairs
    {16}
    """
    assert study.null is not None, "a baseline without a twin has no pairs"
    signs: PairSigns = {}
    for metric in dict.fromkeys(study.results["metric"]):
        delta = study.delta(study.null, metric=metric)
        signs[str(metric)] = {str(t): _as_text(delta[t].to_numpy()) for t in delta}
    return signs


def joined_pairs(all_signs: Sequence[PairSigns]) -> PairSigns:
    """The pairs of several studies of the same tasks, put together.

    >>> joined_pairs([{"MSE": {"a": "+-"}}, {"MSE": {"a": "0"}}])
    {'MSE': {'a': '+-0'}}
    """
    joined: PairSigns = {}
    for signs in all_signs:
        for metric, by_task in signs.items():
            own = joined.setdefault(metric, {})
            for task, text in by_task.items():
                own[task] = own.get(task, "") + text
    return joined


def pairs_table(
    signs: Mapping[str, Mapping[str, str]], metric: Mapping[str, str]
) -> Float[np.ndarray, "P T"] | None:
    """The signs of these tasks as numbers, one row for each pair; None where a task has none.

    Args:
        signs: as `pair_signs` gives them.
        metric: the metric of every task.

    >>> pairs_table({"MSE": {"a": "+-", "b": "0+"}}, {"a": "MSE", "b": "MSE"})
    array([[ 1.,  0.],
           [-1.,  1.]])
    """
    if not metric or not all(task in signs.get(m, {}) for task, m in metric.items()):
        return None
    columns = [[SIGNS[sign] for sign in signs[m][task]] for task, m in metric.items()]
    return np.array(columns).reshape(len(metric), -1).T


def null_identity(run: TaskData, recipe: Recipe, *options: object) -> str:
    """A name for all that the spread of a count between a baseline and its twin depends on.

    It is empty where the networks have a body of somebody's own that cannot be told from another.

    Args:
        run: the data of any run.
        recipe: the training of the baseline.
        options: further arguments of the training.

    >>> from mtl_nt import load
    >>> data, recipe = load("dial"), Recipe(trunk=(3,))
    >>> null_identity(data, recipe) == null_identity(data.for_seed(7), recipe)
    True
    >>> null_identity(data, recipe) == null_identity(load("dial", angle=45), recipe)
    False
    """
    if run.split.kind == "new data" and run.redraw is not None:
        run = run.for_seed(REFERENCE_SEED)
    split, rows = run.split, len(run.y)
    # The same on every machine: sums may differ in their last bits.
    y = run.y[:: -(-rows // ROWS)].double().round(decimals=4).nan_to_num(nan=-1e9) + 0.0
    sizes = [round(10 * len(part) / rows) for part in (split.train, split.validation, split.test)]
    test = split.test.sort().values.tolist() if split.kind == "fixed" else sizes
    settings = asdict(recipe)
    usual = {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}
    changed = {k: v for k, v in settings.items() if k not in usual or v != usual[k]}
    if recipe.own_body is not None:
        try:
            changed["architecture"] = f"{recipe.own_body}: {body_identity(recipe.own_body)}"
        except BadInput:
            return ""
    about = (run.name, run.tasks, run.kinds, tuple(run.x.shape), split.kind, test, run.standardise)
    if run.classes or run.class_weight or run.weights is not None:
        given = None if run.weights is None else run.weights[:: -(-rows // ROWS)]
        weights = None if given is None else given.double().round(decimals=4).tolist()
        about += ([*run.classes.items()], run.class_weight, weights)  # type: ignore[assignment]
    digest = hashlib.sha256(
        repr((about, sorted((k, str(v)) for k, v in changed.items()), options)).encode()
    )
    digest.update(y.float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def keep_null(study: Study, path: str | Path) -> Path:
    """Write what a study's baselines and their twins say of chance into a small file.

    Raises:
        BadInput: the file cannot be written, or there is one that is no kept null.

    >>> from tempfile import TemporaryDirectory
    >>> from mtl_nt import compare, load
    >>> study = compare(load("dial"), "STL", seeds=2, steps=1, progress=False)
    >>> with TemporaryDirectory() as folder:
    ...     len(read_nulls(keep_null(study, Path(folder) / "null.json")))
    1
    """
    path, kept = Path(path), []
    for baseline, identity in study.null_identity.items():
        signs = pair_signs(study.against(baseline))
        kept.append(KeptNull(identity=identity, baseline=baseline, signs=signs))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_output(path, _is_kept)
        write_atomically(path, json.dumps(kept, indent=1).encode() + b"\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from None
    _known.cache_clear()
    return path


def read_nulls(path: Path) -> list[KeptNull]:
    """Read a file that `keep_null` has written.

    Raises:
        BadInput: the file is damaged.

    >>> {null["baseline"] for null in read_nulls(FOLDER / "null-cure-noisy.json")}
    {'STL'}
    """
    try:
        nulls: list[KeptNull] = load_json(read_bytes(path), list[KeptNull])
    except (OSError, ValueError):
        raise BadInput(f"{path} is damaged; keep this null again") from None
    return nulls


def kept_pairs(
    identity: str, metric: Mapping[str, str]
) -> tuple[str, Float[np.ndarray, "P T"]] | None:
    """The name of a kept null and its pairs' signs; None where none was kept.

    Args:
        identity: see `null_identity`.
        metric: the metric of every task.

    >>> kept_pairs("unknown", {"a": "MSE"}) is None
    True
    """
    name, signs = _known(FOLDER).get(identity, ("", {}))
    pairs = pairs_table(signs, metric)
    return None if pairs is None else (name, pairs)


@cache
def _known(folder: Path) -> dict[str, tuple[str, dict[str, dict[str, str]]]]:
    """The file and the signs of every kept null, by its identity."""
    return {
        null["identity"]: (path.stem, null["signs"])
        for path in sorted(folder.glob("null-*.json"))
        for null in read_nulls(path)
    }


def _as_text(delta: Float[np.ndarray, " S"]) -> str:
    return "".join(" " if np.isnan(d) else "-0+"[int(np.sign(d)) + 1] for d in delta)


def _is_kept(path: Path) -> bool:
    try:
        return bool(load_json(read_bytes(path), list[KeptNull]))
    except (OSError, ValueError):
        return False
