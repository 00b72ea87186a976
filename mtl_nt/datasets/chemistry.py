"""Loaders of panels of assays on molecules: one binary task per assay, many labels missing.

The features are ECFP4 fingerprints of 1,024 bits. The folds follow Liu, Liang and Gitter (AAAI
2019): five folds at random, of which three are for training, one for validation and one for the
test. Different SMILES can have the same fingerprint, also in different folds, and a network can
remember these. Scaffold folds leave less to remember.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int

from ..errors import BadInput, is_whole_number, suggestion
from ..files import digest
from ..networks import generator
from ..tasks import Split, TaskData
from .downloads import FOLDER, fetch
from .fingerprints import Molecules
from .folds import assign_folds, split_folds
from .molecule_cache import cached_molecules
from .molecule_table import ACTIVE, ADVICE, INACTIVE, MISSING
from .panels import PANELS, Panel
from .sheets import check_file

FOLDS = 5
SPLITS = ("random", "scaffold")
MIN_PER_CLASS = 20  # actives, and inactives: 20 all miss three of five folds once in 10^8
MIN_MOLECULES = 50  # ten per fold

PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "trunk": (256, 128),
        "activation": "relu",
        "dropout": 0.25,
        "initialisation": "glorot",
        "batch_size": 256,
        "learning_rate": 1e-3,
        "weight_decay": 2e-3,
    },
    "paper": {
        "trunk": (2000, 2000),
        "architecture": "lbtw",
        "activation": ("relu", "sigmoid"),
        "dropout": 0.25,
        "batch_norm": True,
        "batch_norm_momentum": 0.9,
        "initialisation": "lbtw",
        "batch_size": 1024,
        "learning_rate": 3e-3,
        "weight_decay": 5e-4,
        "schedule": "constant",
        "loss_over": "all",
    },
}
"""The training settings. "small" is for a CPU: its dropout and weight decay have the best
validation PR-AUC on two folds of Tox21 (seeds 0 and 1), of single-task networks and of MTL alike.
"paper" has the settings in the code of Liu, Liang and Gitter.
"""
EPOCHS = {"small": 25, "paper": 100}
"""The budget of each preset, in passes over the training rows."""

_OPTIONS = """The file is downloaded from a pinned commit of deepchem, or taken from the folder that
    MTL_NT_DATA names, and checked. Rows with the same SMILES are one molecule, which is active
    where one of them is. Rows that RDKit cannot read are left out and counted, and `unreadable`
    lists them. The fingerprints are computed once and kept in the cache. Molecules without a label
    in the chosen assays are left out too, while the others stay in their folds.

    Args:
        preset: "small" or "paper", the training settings (see `chemistry.PRESETS`). Notebook 7
            lists the rules of the paper that the second one does not follow.
        seed: seed s trains on folds s, s + 1 and s + 2, validates on s + 3 and tests on s + 4,
            modulo 5. Seeds 0 to 4 share five folds, seeds 5 to 9 the next five, and so on.
        split: "random", or "scaffold": molecules that share a Murcko scaffold share a fold.
        assays: the names of the assays, instead of all that have enough labels.
        rows: the number of molecules, if all are too many. The same ones are drawn for every seed.
        least: an assay needs so many actives, and so many inactives, if `assays` does not name it.
        file: the path of your own table in the same format, a .csv or .csv.gz: a column `smiles`,
            perhaps a column `mol_id`, and one column per assay with 0, 1 or nothing.

    Raises:
        BadInput: an option out of range, a file that cannot be loaded or is no such table, RDKit
            needed and missing, or an assay with only one class on the training molecules.

    >>> from mtl_nt import load
    >>> load("tox21", split="scafold")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: tox21: unknown split 'scafold'; did you mean 'scaffold'?
    """


def unreadable(name: str, file: str | Path | None = None) -> tuple[tuple[int, str], ...]:
    """List the line and the SMILES of the rows that RDKit cannot read and a panel leaves out.

    Args:
        name: "tox21", "toxcast", "toxcast128", "sider", "muv" or "pcba".
        file: the path of your own table, as for the loader.

    Raises:
        BadInput: an unknown name, or a file that cannot be loaded or is no such table.

    >>> unreadable("sidr")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: unknown panel 'sidr'; did you mean 'sider'?
    """
    if name not in PANELS:
        raise BadInput(f"unknown panel {name!r}; {suggestion(name, PANELS)}")
    return _load_molecules(name, file).unreadable


def _loader(name: str) -> Callable[..., TaskData]:
    def load_panel(
        preset: str = "small",
        seed: int = 0,
        split: str = "random",
        assays: Sequence[str] | None = None,
        rows: int | None = None,
        least: int = MIN_PER_CLASS,
        file: str | Path | None = None,
    ) -> TaskData:
        return _load(name, preset, seed, split, assays, rows, least, file)

    panel = PANELS[name]
    load_panel.__name__ = load_panel.__qualname__ = f"load_{name}"
    load_panel.__doc__ = f"{panel.title}.\n\n    {_OPTIONS}"
    return load_panel


LOADERS: dict[str, Callable[..., TaskData]] = {name: _loader(name) for name in PANELS}
"""One loader per panel. All have the same options."""


def _load(
    name: str,
    preset: str,
    seed: int,
    split: str,
    assays: Sequence[str] | None,
    rows: int | None,
    least: int,
    file: str | Path | None,
) -> TaskData:
    for option, value, known in (("preset", preset, [*PRESETS]), ("split", split, SPLITS)):
        if value not in known:
            raise BadInput(f"{name}: unknown {option} {value!r}; {suggestion(value, known)}")
    for option, number, lowest in (("seed", seed, 0), ("least", least, 1)):
        if not is_whole_number(number, lowest):
            raise BadInput(f"{option} {number!r}: must be a whole number, {lowest} or more")
    panel, molecules = PANELS[name], _load_molecules(name, file)
    count = len(molecules.labels)
    provenance = [
        _origin(panel, file),
        f"ECFP4 of 1,024 bits by RDKit {molecules.rdkit}",
        f"{molecules.rows:,} rows, {count:,} molecules with SMILES of their own",
    ]
    if skipped := len(molecules.unreadable):
        provenance.append(
            f"{skipped} rows left out that RDKit cannot read (chemistry.unreadable lists them)"
        )
    if rows is not None:
        if not is_whole_number(rows, MIN_MOLECULES) or rows > count:
            raise BadInput(f"{name}: rows {rows!r}: a whole number from {MIN_MOLECULES} to {count}")
        drawn = generator(0, "data").choice(count, rows, replace=False)
        molecules = molecules.take(np.sort(drawn))
        provenance.append(f"{rows:,} of them drawn")
    columns, note = _select_assays(name, molecules, panel.most_active, assays, least)
    provenance.append(note)
    codes = molecules.labels[:, columns]
    labelled = (codes != MISSING).any(1)
    if not labelled.all():
        unlabelled = int((~labelled).sum())
        provenance.append(f"{unlabelled:,} molecules left out that have no label of these")
    if (kept := int(labelled.sum())) < MIN_MOLECULES:
        raise BadInput(
            f"{name}: {kept} molecules with labels; five folds need {MIN_MOLECULES} or more, give "
            "more"
        )
    scaffold = molecules.scaffold if split == "scaffold" else None
    molecules, codes = molecules.take(labelled), codes[labelled]
    y = codes.astype(np.float32) - INACTIVE
    y[codes == MISSING] = np.nan
    recipe = dict(PRESETS[preset])
    epoch = math.ceil(round((FOLDS - 2) / FOLDS * kept) / recipe["batch_size"])  # in steps
    options: dict[str, Any] = {
        "name": name if file is None else f"{name} (own file)",
        "x": molecules.features(),
        "y": torch.from_numpy(y),
        "tasks": tuple(molecules.tasks[c] for c in columns),
        "kind": "binary",
        "provenance": "; ".join([*provenance, f"folds by {split} division"]),
        "recipe": {**recipe, "steps": EPOCHS[preset] * epoch},
    }

    def draw(run_seed: int) -> TaskData:
        repeat, first = divmod(run_seed, FOLDS)
        fold = assign_folds(len(labelled), FOLDS, repeat, scaffold)[labelled]
        parts = split_folds(fold, FOLDS, first)
        _check_training(name, options["tasks"], codes, parts[0], run_seed)
        train, validation, test = (torch.from_numpy(np.flatnonzero(part)) for part in parts)
        run_split = Split(train, validation, test, "free")
        return TaskData(**options, split=run_split, redraw=draw, data_seed=run_seed)

    return draw(seed)


# ------------------------------------------------------------------------------ the molecules


def _load_molecules(name: str, file: str | Path | None) -> Molecules:
    """Load the molecules of a panel or of the user's file, from the cache where it has them."""
    if file is not None:
        if not isinstance(file, (str, Path)) or not str(file):
            raise BadInput(f"{name}: file {file!r}: give the path of a .csv or .csv.gz")
        path = Path(file)
        check_file(path, str(path), ADVICE)
        try:
            checksum = digest(path)
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); {ADVICE}") from None
        return cached_molecules(f"{name}-own", checksum, lambda: path, checksum)
    source = PANELS[name].source

    def fetch_panel() -> Path:
        return fetch(
            source,
            instead=f" ({source.checksum}); load('assays') needs no file: a synthetic panel that "
            "shows the same",
            own_file=f"; load({name!r}, file=...) reads a table of one's own",
        )

    if (folder := os.environ.get(FOLDER)) and (Path(folder) / source.name).exists():
        fetch_panel()  # the file in the user's folder is checked, even if the cache has the panel
    return cached_molecules(source.name.partition(".")[0], source.checksum, fetch_panel)


def _origin(panel: Panel, file: str | Path | None) -> str:
    if file is not None:
        return f"own file {Path(file).name}"
    return f"{panel.title} ({panel.licence}), as in MoleculeNet (Wu et al. 2018)"


def _select_assays(
    name: str,
    molecules: Molecules,
    most_active: int | None,
    assays: Sequence[str] | None,
    least: int,
) -> tuple[Int[np.ndarray, " T"], str]:
    """Choose the assays: their columns in the order of the file, and a note on the choice."""
    tasks = molecules.tasks
    active, inactive = ((molecules.labels == code).sum(0) for code in (ACTIVE, INACTIVE))
    if assays is None:
        enough = np.flatnonzero((active >= least) & (inactive >= least))
        if not len(enough):
            raise BadInput(
                f"{name}: no assay has {least} actives and {least} inactives; give a smaller least "
                "or more molecules"
            )
        note = f"{len(tasks) - len(enough)} of {len(tasks)} assays left out with fewer than "
        note += f"{least} actives or inactives"
        if most_active is not None:
            enough = np.sort(enough[np.argsort(-active[enough], kind="stable")[:most_active]])
            note += f", of the others the {len(enough)} with most actives taken"
        return enough, note
    if isinstance(assays, str) or not isinstance(assays, Sequence) or not assays:
        raise BadInput(f"{name}: assays {assays!r}: give a list of one name or more")
    for assay in assays:
        if assay not in tasks:
            close = suggestion(assay, tasks)
            if len(close) > 120:  # it lists all assays, since none is near
                close = f"names are as {tasks[0]!r}"
            raise BadInput(f"{name}: unknown assay {assay!r}; {close}")
        for counts, kind in ((active, "active"), (inactive, "inactive")):
            if not counts[tasks.index(assay)]:
                raise BadInput(f"{name}: assay {assay!r} has no {kind} molecule; leave it out")
    columns = np.flatnonzero([task in assays for task in tasks])
    return columns, f"{len(columns)} of {len(tasks)} assays chosen by name"


def _check_training(
    name: str,
    tasks: Sequence[str],
    codes: np.ndarray,
    train: Bool[np.ndarray, " N"],
    seed: int,
) -> None:
    """Raise `BadInput` where an assay has only one class among the training molecules."""
    for code, kind in ((ACTIVE, "active"), (INACTIVE, "inactive")):
        if (none := ~(codes[train] == code).any(0)).any():
            raise BadInput(
                f"{name}: assay {tasks[int(none.argmax())]!r} has no {kind} molecule among the "
                f"training rows of seed {seed}; leave it out (assays=[...]), raise least or give "
                "another seed"
            )
