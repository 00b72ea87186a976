"""The data sets: synthetic ones, known ones, and tables of your own, all as `TaskData`.

`load` loads a data set by its name, and a table by its path. The synthetic data are in `dial` and
`assays`, handwritten digits in `handwriting`, and cell lines in `gdsc`, which takes a user's
`expression` too. `expansionrx` has the ADMET endpoints of a drug programme. `chemistry` loads the
`panels` of assays: `molecule_table` parses their files, `fingerprints` computes the features, and
`molecule_cache` keeps these on disk. `downloads` fetches the files of real data, and `folds`
divides rows into folds.

`table` reads a table of your own. `table_files` opens it as a sheet, by `csv_sheet` (with
`csv_layout`, which sees how it is written) or `parquet_sheet`, which share `sheets`. `column_roles`
tells targets from features, and `cells` reads the rows, those of numbers by `number_columns`.
`features` scales and encodes them, with `molecule_groups` for SMILES. `target_values` understands
the targets, with `class_targets` for those of classes, and `target_checks` sees whether their
labels suffice. `row_weights` says how much each row counts. `row_splitter` splits the rows by a
`split_rule`, in `stratified_folds`. `new_rows` reads further rows as those were read, also from
memory (`frame_sheet`).

What a guess would get wrong is asked: by `column_suspicions`, `target_suspicions` and
`row_suspicions`. `remarks` collects these questions, and the notes on all that was done.

This room uses the networks, for their random number streams, and the ground.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadInput, suggestion
from ..tasks import TaskData
from .assays import load_assays
from .chemistry import LOADERS
from .column_roles import shortlist
from .dial import SCENARIOS, Group, load_dial
from .downloads import FOLDER, Source, fetch, local_copy
from .expansionrx import TRAINING, load_expansionrx
from .gdsc import FEATURES, RESPONSES, load_gdsc
from .handwriting import TEST_IMAGES, TEST_LABELS, load_digits, load_mnist
from .panels import PANELS, Panel
from .remarks import Unanswered
from .table import Table, read_table
from .table_files import is_table, table_digest

__all__ = [
    "ABOUT",
    "DATASETS",
    "FOLDER",
    "Group",
    "PANELS",
    "Panel",
    "SCENARIOS",
    "SOURCES",
    "Source",
    "Table",
    "Unanswered",
    "fetch",
    "is_table",
    "load",
    "local_copy",
    "read_table",
    "shortlist",
    "table_digest",
]

DATASETS: dict[str, Callable[..., TaskData]] = {
    "dial": load_dial,
    "assays": load_assays,
    "digits": load_digits,
    "mnist": load_mnist,
    "gdsc": load_gdsc,
    "expansionrx": load_expansionrx,
    **LOADERS,
}
"""The loader of every data set. Its docstring explains the options of the data set."""
ABOUT = {
    "gdsc": "214 tasks (of 265 drugs, those with 80% or more observed), 988 rows, 18% of all "
    "labels missing; licence: GDSC's own terms, free for academic and non-commercial use",
    "expansionrx": "9 tasks, 5,326 rows, 47% of the labels missing; licence: CC-BY-4.0 (OpenADMET "
    "and Expansion Therapeutics)",
}
"""The size and the licence of data sets that are downloaded and are no panel of assays."""
SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": (TEST_IMAGES, TEST_LABELS),
    "gdsc": (RESPONSES, FEATURES),
    "expansionrx": (TRAINING,),
    **{name: (panel.source,) for name, panel in PANELS.items()},
}
"""The files of every data set that has downloads. `mnist` needs them for its official test alone.
"""


def load(name: str | Path, **options: Any) -> TaskData:
    """Load a data set by its name, or a table by its path.

    The names are "dial" and "assays" (synthetic), "digits", "mnist", "gdsc", "expansionrx", and the
    panels of assays on molecules: "tox21", "toxcast", "toxcast128", "sider", "muv" and "pcba". The
    name "dial-dominant" is short for `load("dial", scenario="dominant")`. A path that ends in .csv,
    .tsv (also .gz) or .parquet is a table of your own (see `table.read_table`).

    Args:
        name: the name of the data set, or the path of the table.
        options: its options, which `help(mtl_nt.datasets.DATASETS[name])` lists.

    Raises:
        BadInput: an unknown name or option, with the nearest known ones, or an option that the
            loader refuses.

    >>> data = load("dial-dominant", seed=1)
    >>> data.name, len(data.tasks), data.x.shape
    ('dial-dominant', 12, torch.Size([1940, 16]))
    >>> load("mnits")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: unknown dataset 'mnits'; did you mean 'mnist' or 'digits'?
    """
    if is_table(name):
        known = [*inspect.signature(read_table).parameters][1:]
        _check_options(f"table {Path(name).name!r}", options, known)
        return read_table(name, **options).data
    base, _, scenario = str(name).partition("-")
    if base == "dial" and scenario:
        return load("dial", **{"scenario": scenario, **options})
    if not isinstance(name, str) or name not in DATASETS:
        hint = " (a table's path ends in .csv, .tsv or .parquet)" if "." in str(name) else ""
        raise BadInput(f"unknown dataset {name!r}{hint}; {suggestion(name, DATASETS)}")
    loader = DATASETS[name]
    _check_options(f"dataset {name!r}", options, [*inspect.signature(loader).parameters])
    return loader(**options)


def _check_options(where: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    for option in options:
        if option not in known:
            raise BadInput(f"{where}: unknown option {option!r}; {suggestion(option, known)}")
