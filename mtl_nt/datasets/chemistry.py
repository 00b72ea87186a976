"""Panels of assays on molecules, as in MoleculeNet (Wu et al., Chem. Sci. 2018): one binary task an
assay, ECFP4 fingerprints of 1,024 bits, many labels missing.

Each file is pinned and checked. Of the division, Liu, Liang and Gitter (AAAI-19) are followed: five
folds at random, three to train on, one for validation and one to test on. SMILES that differ can
have the same fingerprint, also across folds; scaffold folds leave less to remember.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int

from ..files import digest
from ..streams import generator
from ..tasks import BadInput, Split, TaskData, is_whole, nearest
from .files import FOLDER, Source, fetch
from .fingerprints import ACTIVE, INACTIVE, MISSING, WANTED, Molecules, molecules
from .folds import folds, rotation
from .sheets import regular

FOLDS = 5
SPLITS = ("random", "scaffold")
LEAST = 20  # actives, and inactives, of an assay: 20 all miss three folds of five once in 10^8
FEWEST = 50  # molecules, ten a fold

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
"""Training settings. "small": for a CPU; dropout and decay have the best validation PR-AUC on two
folds of Tox21 (seeds 0 and 1), of single-task networks and of MTL alike. "paper": those of the code
of Liu, Liang and Gitter.
"""
EPOCHS = {"small": 25, "paper": 100}
"""Their budgets, in passes over the training rows."""

_PLACE = (
    "https://raw.githubusercontent.com/deepchem/deepchem/fbe3b911a94a6eb8c84c1a9e7ac67a472c49ea80/"
)


class Panel(NamedTuple):
    """A panel's file, and what is known of it."""

    title: str
    source: Source
    tasks: int
    rows: int
    missing: float | None  # share of the labels; None where nobody has counted
    licence: str
    most: int | None = None  # take as many assays alone, those with the most actives


def _panel(title: str, path: str, checksum: str, *about: Any) -> Panel:
    size, *known = about
    return Panel(title, Source(Path(path).name, _PLACE + path, checksum, size=size), *known)


_TOXCAST = _panel(
    "ToxCast: toxicity screens of the US EPA",
    "examples/toxcast/processing/toxcast_data.csv.gz",
    "56041515e0bb63c1787a26ecdbeb2bd7ae1f538681caa1b03f768853cf81b1a7",
    *(405_299, 617, 8_615, 0.71, "US government (EPA)"),
)
PANELS: dict[str, Panel] = {
    "tox21": _panel(
        "Tox21: nuclear receptors and stress responses",
        "datasets/tox21.csv.gz",
        "48b34e4e59a2bae6f95734cd206c1869ab355f50a5e50bb7371a21f861d5e297",
        *(125_310, 12, 8_014, 0.17, "US government"),
    ),
    "toxcast": _TOXCAST,
    "toxcast128": _TOXCAST._replace(
        title="ToxCast, the 128 assays with most actives: a small sister of PCBA-128",
        tasks=128,
        missing=0.46,
        most=128,
    ),
    "sider": _panel(
        "SIDER: side effects of drugs, by organ class",
        "examples/sider/sider.csv.gz",
        "4cc7ccb20dded475853c583596e227116c222c6ca7dbb40159bdbe9ee3f099b9",
        *(34_759, 27, 1_427, 0.0, "CC BY-NC-SA 4.0"),
    ),
    "muv": _panel(
        "MUV: virtual screening, 24 to 30 actives an assay, too few to count harm by",
        "datasets/muv.csv.gz",
        "93c8b4a37c5996c76e57d5f3f065fb8b7cf1c19067011eff2293fd2a94ce274a",
        *(1_749_843, 17, 93_127, 0.84, "PubChem (NIH)"),
    ),
    "pcba": Panel(
        "PCBA-128: bioassays of PubChem, the paper's data",
        Source(
            "pcba.csv.gz",
            _PLACE + "datasets/pcba.csv.gz",
            sha256="",
            blob="f87aa2e2ae9b739024d27ec6ba683a75e3d08b6e",
        ),
        *(128, 437_929, None, "PubChem (NIH)"),
    ),
}
_OPTIONS = """The file is downloaded from a pinned commit of deepchem, or taken from the folder that
    MTL_NT_DATA names, and checked. Rows with the same SMILES are one molecule, active where one
    of them is; what RDKit cannot read is left out, counted and listed by `unreadable`. The
    fingerprints are computed once and kept in the cache. Molecules without a label of the assays
    that are taken are left out too; the others stay in their folds.

    Args:
        preset: "small" or "paper", the training settings (see `chemistry.PRESETS`).
        seed: seeds 0 to 4 are the five folds of one division, 5 to 9 those of the next. Seed s
            trains on folds s, s + 1, s + 2, validates on s + 3 and tests on s + 4, modulo 5.
        split: "random", or "scaffold": molecules that share a Murcko scaffold share a fold.
        assays: names of assays, instead of all with enough labels.
        rows: molecules, drawn once whatever the seed, where all are too many.
        least: actives, and inactives as well, that an assay must have to be taken by itself.
        file: path of a table of one's own in the same format, a .csv or .csv.gz: a column
            `smiles`, perhaps one `mol_id`, and one an assay with 0, 1 or nothing.

    Raises:
        BadInput: an option out of range, a file that cannot be had or is no such table, RDKit
            needed and missing, or an assay with one class only on the training molecules.
    """


def unreadable(name: str, file: str | Path | None = None) -> tuple[tuple[int, str], ...]:
    """Line and SMILES of the rows that RDKit cannot read, which the panel does without.

    Args:
        name: "tox21", "toxcast", "toxcast128", "sider", "muv" or "pcba".
        file: a table of one's own, as for the loader.

    Raises:
        BadInput: an unknown name, or a file that cannot be had or is no such table.
    """
    if name not in PANELS:
        raise BadInput(f"unknown panel {name!r}; {nearest(name, PANELS)}")
    return _found(name, file).unreadable


def _loader(name: str) -> Callable[..., TaskData]:
    def load_panel(
        preset: str = "small",
        seed: int = 0,
        split: str = "random",
        assays: Sequence[str] | None = None,
        rows: int | None = None,
        least: int = LEAST,
        file: str | Path | None = None,
    ) -> TaskData:
        return _load(name, preset, seed, split, assays, rows, least, file)

    panel = PANELS[name]
    load_panel.__name__ = load_panel.__qualname__ = f"load_{name}"
    load_panel.__doc__ = f"{panel.title}.\n\n    {_OPTIONS}"
    return load_panel


LOADERS: dict[str, Callable[..., TaskData]] = {name: _loader(name) for name in PANELS}
"""One loader a panel; all have the same options."""


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
            raise BadInput(f"{name}: unknown {option} {value!r}; {nearest(value, known)}")
    for option, number, lowest in (("seed", seed, 0), ("least", least, 1)):
        if not is_whole(number, lowest):
            raise BadInput(f"{option} {number!r}: must be a whole number, {lowest} or more")
    panel, found = PANELS[name], _found(name, file)
    count = len(found.labels)
    words = [
        _origin(panel, file),
        f"ECFP4 of 1,024 bits by RDKit {found.rdkit}",
        f"{found.rows:,} rows, {count:,} molecules with SMILES of their own",
    ]
    if lost := len(found.unreadable):
        words.append(
            f"{lost} rows left out that RDKit cannot read (chemistry.unreadable lists them)"
        )
    if rows is not None:
        if not is_whole(rows, FEWEST) or rows > count:
            raise BadInput(f"{name}: rows {rows!r}: a whole number from {FEWEST} to {count}")
        found = found.take(np.sort(generator(0, "data").choice(count, rows, replace=False)))
        words.append(f"{rows:,} of them drawn")
    columns, note = _taken(name, found, panel.most, assays, least)
    words.append(note)
    codes = found.labels[:, columns]
    labelled = (codes != MISSING).any(1)
    if not labelled.all():
        words.append(f"{int((~labelled).sum()):,} molecules left out that have no label of these")
    if (kept := int(labelled.sum())) < FEWEST:
        raise BadInput(
            f"{name}: {kept} molecules with labels; five folds need {FEWEST} or more, give more"
        )
    scaffold = found.scaffold if split == "scaffold" else None
    found, codes = found.take(labelled), codes[labelled]
    y = codes.astype(np.float32) - INACTIVE
    y[codes == MISSING] = np.nan
    recipe = dict(PRESETS[preset])
    passes = math.ceil(round((FOLDS - 2) / FOLDS * kept) / recipe["batch_size"])
    options: dict[str, Any] = {
        "name": name if file is None else f"{name} (own file)",
        "x": found.features(),
        "y": torch.from_numpy(y),
        "tasks": tuple(found.tasks[c] for c in columns),
        "kind": "binary",
        "provenance": "; ".join([*words, f"folds by {split} division"]),
        "recipe": {**recipe, "steps": EPOCHS[preset] * passes},
    }

    def draw(run_seed: int) -> TaskData:
        division, first = divmod(run_seed, FOLDS)
        fold = folds(len(labelled), FOLDS, division, scaffold)[labelled]
        parts = rotation(fold, FOLDS, first)
        _check_training(name, options["tasks"], codes, parts[0], run_seed)
        learn, validation, test = (torch.from_numpy(np.flatnonzero(part)) for part in parts)
        whole = Split(learn, validation, test, "free")
        return TaskData(**options, split=whole, redraw=draw, data_seed=run_seed)

    return draw(seed)


# ------------------------------------------------------------------------------ the molecules


def _found(name: str, file: str | Path | None) -> Molecules:
    """The panel's molecules, from the cache where it has them."""
    if file is not None:
        if not isinstance(file, (str, Path)) or not str(file):
            raise BadInput(f"{name}: file {file!r}: give the path of a .csv or .csv.gz")
        path = Path(file)
        regular(path, str(path), WANTED)
        try:
            checksum = digest(path)
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); {WANTED}") from None
        return molecules(f"{name}-own", checksum, lambda: path, checksum)
    source = PANELS[name].source

    def fetched() -> Path:
        return fetch(
            source,
            instead=f" ({source.checksum}); load('assays') needs no file: a synthetic panel that "
            "shows the same",
            other=f"; load({name!r}, file=...) reads a table of one's own",
        )

    if (folder := os.environ.get(FOLDER)) and (Path(folder) / source.name).exists():
        fetched()  # a file of one's own is checked, whatever the cache has
    return molecules(source.name.partition(".")[0], source.checksum, fetched)


def _origin(panel: Panel, file: str | Path | None) -> str:
    if file is not None:
        return f"own file {Path(file).name}"
    return f"{panel.title} ({panel.licence}), as in MoleculeNet (Wu et al. 2018)"


def _taken(
    name: str, found: Molecules, most: int | None, assays: Sequence[str] | None, least: int
) -> tuple[Int[np.ndarray, " T"], str]:
    """Columns of the assays that are taken, in the order of the file, and a word on them."""
    active, inactive = ((found.labels == code).sum(0) for code in (ACTIVE, INACTIVE))
    if assays is None:
        enough = np.flatnonzero((active >= least) & (inactive >= least))
        short = len(found.tasks) - len(enough)
        if not len(enough):
            raise BadInput(
                f"{name}: no assay has {least} actives and {least} inactives; give a smaller least "
                "or more molecules"
            )
        note = f"{short} of {len(found.tasks)} assays left out with fewer than {least} "
        note += "actives or inactives"
        if most is not None:
            enough = np.sort(enough[np.argsort(-active[enough], kind="stable")[:most]])
            note += f", of the others the {len(enough)} with most actives taken"
        return enough, note
    if isinstance(assays, str) or not isinstance(assays, Sequence) or not assays:
        raise BadInput(f"{name}: assays {assays!r}: give a list of one name or more")
    for assay in assays:
        if assay not in found.tasks:
            close = nearest(assay, found.tasks)
            if len(close) > 120:  # none is near
                close = f"names are as {found.tasks[0]!r}"
            raise BadInput(f"{name}: unknown assay {assay!r}; {close}")
        for counts, kind in ((active, "active"), (inactive, "inactive")):
            if not counts[found.tasks.index(assay)]:
                raise BadInput(f"{name}: assay {assay!r} has no {kind} molecule; leave it out")
    columns = np.flatnonzero([task in assays for task in found.tasks])
    return columns, f"{len(columns)} of {len(found.tasks)} assays chosen by name"


def _check_training(
    name: str,
    tasks: Sequence[str],
    codes: np.ndarray,
    train: Bool[np.ndarray, " N"],
    seed: int,
) -> None:
    for code, kind in ((ACTIVE, "active"), (INACTIVE, "inactive")):
        if (none := ~(codes[train] == code).any(0)).any():
            raise BadInput(
                f"{name}: assay {tasks[int(none.argmax())]!r} has no {kind} molecule among the "
                f"training rows of seed {seed}; leave it out (assays=[...]), raise least or give "
                "another seed"
            )
