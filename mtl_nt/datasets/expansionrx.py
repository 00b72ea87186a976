"""ExpansionRx: nine ADMET endpoints of one drug programme, one regression task per endpoint.

ADMET is what a body does with a drug: absorption, distribution, metabolism, excretion, toxicity.
The programme made 5,326 molecules one after another and measured each in some of nine assays. The
numbers of the molecules are in the order of their synthesis, so they are the time.

The features are ECFP4 fingerprints of 1,024 bits. All endpoints but LogD have heavy tails, and are
trained and judged as log10(1 + x), as in the challenge that published them.

Source: OpenADMET and Expansion Therapeutics, the ExpansionRx challenge, 2025; CC-BY-4.0.
"""

from __future__ import annotations

import hashlib
import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from ..bits import Bits
from ..errors import BadInput, is_whole_number, suggestion
from ..files import SMALL_FILE, read_bytes
from ..tasks import Split, TargetForm, TaskData
from .downloads import FOLDER, Source, fetch
from .fingerprints import FINGERPRINT_BITS, Molecules, compute_fingerprints
from .folds import assign_folds, split_folds

_URL = (
    "https://huggingface.co/datasets/openadmet/openadmet-expansionrx-challenge-data/resolve/"
    "6b898ccc43d10d25b230fb09e22a6e30c30022b5/"
)
TRAINING = Source(
    "expansionrx_train.csv",
    _URL + "expansion_data_train.csv",
    "c5214ad8c8a4d7d4d09082fcce24fe16c97a980a1e0873b91b8c8e474b79f6e4",
    size=464_076,
)
RELEASED_TEST = ("expansionrx_test.csv", "expansion_data_test.csv")
"""The names that the challenge's test file may have in the folder of `MTL_NT_DATA`."""
RELEASED_ROWS = 2_282
"""The number of molecules in the challenge's test file, whose checksum nobody has stated."""
IDENTIFIER, SMILES = "Molecule Name", "SMILES"
ENDPOINTS = {
    "LogD": "LogD",
    "KSOL": "KSOL",
    "HLM CLint": "HLM",
    "MLM CLint": "MLM",
    "Caco-2 Permeability Papp A>B": "Papp",
    "Caco-2 Permeability Efflux": "Efflux",
    "MPPB": "MPPB",
    "MBPB": "MBPB",
    "MGMB": "MGMB",
}
"""The name of every endpoint's task, by its column in the file."""
GROUPS = {
    "solubility": ("LogD", "KSOL"),
    "clearance": ("HLM", "MLM"),
    "permeability": ("Papp", "Efflux"),
    "binding": ("MPPB", "MBPB", "MGMB"),
}
"""The endpoints that measure nearly the same: fat against water, liver, gut wall, bound share."""
LABELS = dict(
    zip(
        ENDPOINTS.values(),
        (5_039, 5_128, 3_759, 4_522, 2_157, 2_161, 1_302, 975, 222),
        strict=True,
    )
)
"""The number of molecules that each endpoint was measured on, in the known file."""
UNLOGGED = ("LogD",)
SPLITS = ("time", "scaffold", "random")
FOLDS = 5
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1  # of the molecules, the latest, where time splits them
RECIPE: dict[str, Any] = {
    "trunk": (256, 128),
    "activation": "relu",
    "dropout": 0.25,
    "initialisation": "glorot",
    "batch_size": 256,
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "steps": 600,
}
"""The settings with the lowest validation loss on seed 0, by random folds and by time. They are the
best for single-task networks and for MTL alike, of five rates and decays and three budgets.
"""


class Programme(NamedTuple):
    """The N molecules of a file, in the order of their numbers, and their nine endpoints."""

    number: Int[np.ndarray, " N"]
    bits: np.ndarray  # [N, 128] of uint8: fingerprints, eight bits in one byte
    scaffold: Int[np.ndarray, " N"]  # the number of every molecule's scaffold
    y: Float[np.ndarray, "N T"]  # as measured; NaN where missing
    rdkit: str  # the version of RDKit


def load_expansionrx(
    split: str = "time", seed: int = 0, log: bool = True, released_test: bool = True
) -> TaskData:
    """Load nine ADMET endpoints of one drug programme, split by time, by scaffold or at random.

    The file (464 kB) is downloaded from a pinned revision, or taken from the folder that
    MTL_NT_DATA names, and checked. RDKit computes the fingerprints in some seconds.

    Args:
        split: "time" trains on the first 70% of the molecules, validates on the next 10% and tests
            on the last 20%, the same for every seed. "scaffold" and "random" divide the molecules
            into five folds, of which three are for training. Molecules that share a Murcko scaffold
            ("scaffold") or a fingerprint ("random") share a fold.
        seed: for folds, seed s trains on folds s, s + 1 and s + 2, validates on s + 3 and tests on
            s + 4, modulo 5. Seeds 0 to 4 share five folds, seeds 5 to 9 the next five, and so on.
        log: take log10(1 + x) of every endpoint but LogD.
        released_test: with split "time", test on the later molecules that the challenge released
            afterwards, if `expansionrx_test.csv` lies in the folder that MTL_NT_DATA names. Then
            the last 10% of the known molecules are for validation.

    Raises:
        BadInput: an option out of range, a file that cannot be had or is not the known one, or
            RDKit needed and missing.

    A mistake in an option is found before anything is downloaded:

    >>> load_expansionrx(split="scafold")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: expansionrx: unknown split 'scafold'; did you mean 'scaffold'?
    """
    if split not in SPLITS:
        raise BadInput(f"expansionrx: unknown split {split!r}; {suggestion(split, SPLITS)}")
    if not is_whole_number(seed, 0):
        raise BadInput(f"seed {seed!r}: must be a whole number, 0 or more")
    for option, value in (("log", log), ("released_test", released_test)):
        if not isinstance(value, bool):
            raise BadInput(f"expansionrx: {option} {value!r}: give True or False")
    programme, origin = _read(fetch(TRAINING), TRAINING.sha256), "the challenge's training file"
    known = len(programme.number)
    later = _released_programme(programme) if split == "time" and released_test else None
    if later is not None:
        found, sha256 = later
        programme = _joined(programme, found)
        origin += f" and its test file (SHA-256 {sha256})"
    y = _targets(programme.y, log)
    group_of = {task: name for name, tasks in GROUPS.items() for task in tasks}
    tasks = tuple(ENDPOINTS.values())
    options: dict[str, Any] = {
        "name": f"expansionrx-{split}" + ("" if log else "-raw"),
        "x": _features(programme),
        "y": torch.from_numpy(y.astype(np.float32)),
        "tasks": tasks,
        "kind": "regression",
        "forms": _forms() if log else None,
        "groups": tuple(group_of[task] for task in tasks),
        "provenance": f"ExpansionRx (OpenADMET and Expansion Therapeutics; CC-BY-4.0), {origin}; "
        f"ECFP4 of 1,024 bits by RDKit {programme.rdkit}; {_how(log)}; split by {split}",
        "recipe": RECIPE,
    }
    if split == "time":
        return TaskData(**options, split=_split_by_time(len(y), None if later is None else known))
    same = programme.scaffold
    if split == "random":  # stereoisomers have one fingerprint, and a network can remember it
        same = np.unique(programme.bits, axis=0, return_inverse=True)[1].reshape(-1)

    def draw(run_seed: int) -> TaskData:
        repeat, first = divmod(run_seed, FOLDS)
        fold = assign_folds(known, FOLDS, repeat, same)
        parts = split_folds(fold, FOLDS, first)
        train, validation, test = (torch.from_numpy(np.flatnonzero(part)) for part in parts)
        run_split = Split(train, validation, test, "free")
        return TaskData(**options, split=run_split, redraw=draw, data_seed=run_seed)

    return draw(seed)


def _targets(y: Float[np.ndarray, "N T"], log: bool) -> Float[np.ndarray, "N T"]:
    """The endpoints as they are trained on."""
    logged = [log and task not in UNLOGGED for task in ENDPOINTS.values()]
    with np.errstate(invalid="ignore"):
        return np.where(logged, np.log10(1 + np.where(logged, y, 0)), y)


def _forms() -> tuple[TargetForm, ...]:
    """How logged endpoints are turned back into what was measured."""
    return tuple(
        TargetForm(log="" if t in UNLOGGED else "log10(1 + y)") for t in ENDPOINTS.values()
    )


def _how(log: bool) -> str:
    return "log10(1 + x) of every endpoint but LogD" if log else "endpoints as measured"


def _split_by_time(rows: int, known: int | None) -> Split:
    """The earliest rows for training, the next ones for validation, the latest for the test.

    Args:
        rows: the number of all rows, in the order of time.
        known: where the rows of a test file begin; None where there is none.
    """
    test = round((1 - TEST_SHARE) * rows) if known is None else known
    share = VALIDATION_SHARE if known is not None else VALIDATION_SHARE / (1 - TEST_SHARE)
    validation = round((1 - share) * test)
    parts = ((0, validation), (validation, test), (test, rows))
    train, validate, last = (torch.arange(*ends) for ends in parts)
    return Split(train, validate, last, "fixed")


def _joined(one: Programme, two: Programme) -> Programme:
    """The molecules of two files, one after the other. Scaffolds are numbered in each alone."""
    return Programme(
        np.concatenate([one.number, two.number]),
        np.concatenate([one.bits, two.bits]),
        np.concatenate([one.scaffold, two.scaffold]),
        np.concatenate([one.y, two.y]),
        one.rdkit,
    )


def _features(programme: Programme) -> Bits:
    """The fingerprints as lists of their ones."""
    count = len(programme.number)
    empty = np.zeros((count, 0), np.uint8)
    scaffold = programme.scaffold.astype(np.int32)
    return Molecules((), programme.bits, empty, scaffold, count, (), programme.rdkit).features()


# ------------------------------------------------------------------------------ the files


def _released_programme(known: Programme) -> tuple[Programme, str] | None:
    """The molecules of the challenge's test file and its SHA-256; None where it is not there."""
    folder = os.environ.get(FOLDER)
    paths = [Path(folder) / name for name in RELEASED_TEST] if folder else []
    path = next((p for p in paths if p.exists()), None)
    if path is None:
        return None
    content = _content(path)
    found = _read(path, hashlib.sha256(content).hexdigest())
    problem = ""
    if len(found.number) != RELEASED_ROWS:
        problem = f"{len(found.number):,} molecules, and not {RELEASED_ROWS:,}"
    elif found.number.min() <= known.number.max():
        problem = f"molecule {found.number.min()} is not later than all that are known"
    if problem:
        raise BadInput(
            f"{path} is not the challenge's test file ({problem}); replace it, take it out of the "
            "folder, or give released_test=False"
        )
    return found, hashlib.sha256(content).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, SMALL_FILE)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); download it anew") from None


@lru_cache(maxsize=4)  # the fingerprints of a file are computed once in a process
def _read(path: Path, sha256: str) -> Programme:
    """Read a file of the challenge, in the order of the molecules' numbers."""
    import pandas as pd

    try:
        import rdkit
        from rdkit import rdBase
    except ImportError:
        raise BadInput("expansionrx: fingerprints need RDKit; pip install 'mtl_nt[chem]'") from None
    where = path.name
    try:
        table = pd.read_csv(io.BytesIO(_content(path)), dtype={IDENTIFIER: str, SMILES: str})
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: cannot be read as a table ({str(error)[:60]})") from None
    for column in (IDENTIFIER, SMILES, *ENDPOINTS):
        if column not in table:
            raise BadInput(f"{where}: no column {column!r}; download the file anew")
    table["number"] = _numbers(table[IDENTIFIER], where)
    table = table.sort_values("number", kind="stable")
    columns = table[[*ENDPOINTS]].apply(pd.to_numeric, errors="coerce")
    y = columns.to_numpy(np.float64)
    lost = columns.isna() & table[[*ENDPOINTS]].notna()
    low = (y[:, [task not in UNLOGGED for task in ENDPOINTS.values()]] < 0).any(1)
    if lost.to_numpy().any() or np.isinf(y).any() or low.any():
        row = int((lost.to_numpy().any(1) | np.isinf(y).any(1) | low).argmax())
        raise BadInput(
            f"{where}: molecule {table[IDENTIFIER].iloc[row]!r} has a value that is no number, or "
            "is below 0; download the file anew"
        )
    packed, scaffolds = [], []
    numbers: dict[str, int] = {}
    with rdBase.BlockLogs():
        for name, found in zip(
            table[IDENTIFIER], compute_fingerprints([*table[SMILES].fillna("")]), strict=True
        ):
            if found is None:
                raise BadInput(f"{where}: RDKit cannot read molecule {name!r}; download it anew")
            packed.append(found[0])
            scaffolds.append(numbers.setdefault(found[1], len(numbers)))
    bits = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, FINGERPRINT_BITS // 8)
    order = table["number"].to_numpy(np.int64)
    return Programme(order, bits, np.array(scaffolds, np.int64), y, rdkit.__version__)


def _numbers(names: Any, where: str) -> Any:
    """The numbers of the molecules, which are in the order of their synthesis."""
    found = names.str.extract(r"^E-(\d{1,9})$")[0].astype(float)
    if found.isna().any():
        name = names[found.isna()].iloc[0]
        raise BadInput(f"{where}: molecule {name!r} has no number such as 'E-0001321'")
    if found.duplicated().any():
        raise BadInput(f"{where}: molecule {names[found.duplicated()].iloc[0]!r} is there twice")
    return found.astype(np.int64)
