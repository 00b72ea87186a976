"""Nulls that come with the package: what chance does to a count, from many pairs of trainings.

A baseline and its twin differ by initialisation and batch order alone. A comparison of five runs
has five such pairs, which is too few to say how far a count spreads. So for named data sets and
their recipes forty pairs or more were trained once (`python -m mtl_nt results null-NAME`), and of
each pair and task the sign of the difference was kept. Every study of the same data, recipe and
baseline uses these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import numpy as np
from jaxtyping import Float

from ..files import check_output, read_bytes, write_atomically
from ..networks import Recipe
from ..tasks import BadInput, TaskData
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


class KeptNull(TypedDict):
    """The pairs of one baseline on one data set, with one recipe."""

    identity: str
    baseline: str
    signs: dict[str, dict[str, Annotated[str, satisfies(lambda text: {*text} <= {*SIGNS})]]]


def null_identity(run: TaskData, recipe: Recipe, *options: object) -> str:
    """A name for all that the spread of a count between a baseline and its twin depends on.

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
    about = (run.name, run.tasks, run.kinds, tuple(run.x.shape), split.kind, test, run.standardise)
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
        own, signs = study.against(baseline), {}
        assert own.null is not None, "an identity is given to a baseline with a twin alone"
        for metric in dict.fromkeys(study.results["metric"]):
            delta = own.delta(own.null, metric=metric)
            signs[str(metric)] = {str(t): _as_text(delta[t].to_numpy()) for t in delta}
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
    if not metric or not all(task in signs.get(m, {}) for task, m in metric.items()):
        return None
    columns = [[SIGNS[sign] for sign in signs[m][task]] for task, m in metric.items()]
    return name, np.array(columns).T


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
