"""Data sets by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..tasks import BadInput, TaskData, nearest
from .assays import load_assays
from .chemistry import LOADERS, PANELS
from .dial import load_dial
from .files import Source
from .gdsc import FEATURES, RESPONSES, load_gdsc
from .handwriting import TEST_IMAGES, TEST_LABELS, load_digits, load_mnist
from .table import is_table, read_table

DATASETS: dict[str, Callable[..., TaskData]] = {
    "dial": load_dial,
    "assays": load_assays,
    "digits": load_digits,
    "mnist": load_mnist,
    "gdsc": load_gdsc,
    **LOADERS,
}
ABOUT = {
    "gdsc": "214 tasks (of 265 drugs, those with 80% or more observed), 988 rows, 18% of all "
    "labels missing; licence: GDSC's own terms, free for academic and non-commercial use"
}
"""Size and licence of data that have to be fetched and are no panel of assays."""
SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": (TEST_IMAGES, TEST_LABELS),
    "gdsc": (RESPONSES, FEATURES),
    **{name: (panel.source,) for name, panel in PANELS.items()},
}
"""Files that are downloaded, by data set; `mnist` needs them for its official test images alone."""


def load(name: str | Path, **options: Any) -> TaskData:
    """Load a data set: "dial" or "assays" (synthetic), "digits", "mnist", "gdsc", or a panel of
    assays on molecules: "tox21", "toxcast", "toxcast128", "sider", "muv" or "pcba". A path that
    ends in .csv, .tsv (also .gz) or .parquet is a table of one's own: see `table.read_table`.

    `help(mtl_nt.datasets.DATASETS[name])` lists a data set's options. "dial-dominant" is short for
    `load("dial", scenario="dominant")`.

    Raises:
        BadInput: an unknown name or option, with the nearest known ones.
    """
    if is_table(name):
        known = [*inspect.signature(read_table).parameters][1:]
        _check(f"table {Path(name).name!r}", options, known)
        return read_table(name, **options).data
    base, _, scenario = str(name).partition("-")
    if base == "dial" and scenario:
        return load("dial", **{"scenario": scenario, **options})
    if not isinstance(name, str) or name not in DATASETS:
        end = " (a table's path ends in .csv, .tsv or .parquet)" if "." in str(name) else ""
        raise BadInput(f"unknown dataset {name!r}{end}; {nearest(name, DATASETS)}")
    loader = DATASETS[name]
    _check(f"dataset {name!r}", options, [*inspect.signature(loader).parameters])
    return loader(**options)


def _check(where: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    for option in options:
        if option not in known:
            raise BadInput(f"{where}: unknown option {option!r}; {nearest(option, known)}")
