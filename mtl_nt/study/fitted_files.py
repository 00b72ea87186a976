"""A fitted plan as two files: its networks as safetensors, and a card in JSON about them.

Nothing is pickled, so that to load a plan of somebody else runs none of their code.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import torch
from safetensors import SafetensorError
from safetensors import torch as tensors
from torch import Tensor

from .. import __version__
from ..files import LARGE_FILE, SMALL_FILE, check_output, read_bytes, write_atomically
from ..networks import Network, Recipe, network_size
from ..tasks import BadInput, TaskKind
from .fitted_plan import FittedPlan, Part
from .schema import FiniteFloat, NonNegativeInt, UniqueNames, load_json, satisfies

CARD, NETWORKS = "card.json", "networks.safetensors"
"""The files of a fitted plan."""
FORMAT = "mtl_nt fitted plan, 1"


def save_plan(plan: FittedPlan, folder: Path) -> Path:
    """Write a fitted plan. `FittedPlan.save` says how."""
    for part in plan.parts:
        if part.weighter is not None:
            raise BadInput(
                f"{part.arm[0]} changes what its networks predict, which no file can say; "
                "keep this plan in memory, or choose another method"
            )
    named = {
        f"{number}.{name}": value.contiguous()
        for number, part in enumerate(plan.parts)
        for name, value in _weights(part.network).items()
    }
    content = tensors.save(named)
    card = {
        "format": FORMAT,
        "version": __version__,
        "name": plan.name,
        "tasks": list(plan.tasks),
        "kinds": list(plan.kinds),
        "features": list(plan.features),
        "bits": plan.bits,
        "mean": list(plan.mean),
        "unit": list(plan.unit),
        "rows": plan.rows,
        "parts": [
            {
                "method": part.arm[0],
                "alpha": part.arm[1],
                "recipe": asdict(part.recipe),
                "tasks": list(part.tasks),
                "networks": len(part.network.head.weight),
                "heads": part.network.head.weight.shape[2],
            }
            for part in plan.parts
        ],
        "networks": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps({**card, "card": _digest(card)}, indent=1, allow_nan=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CARD, NETWORKS):
            check_output(folder / name, lambda path: _is_card(path.parent / CARD))
        write_atomically(folder / CARD, text.encode())  # first: it says whose folder this is
        write_atomically(folder / NETWORKS, content)
    except OSError as error:
        raise BadInput(
            f"{error.filename or folder} cannot be written: {error.strerror}; give another folder"
        ) from None
    return folder


def load_plan(folder: str | Path) -> FittedPlan:
    """Read a fitted plan that `FittedPlan.save` wrote. Nothing in the files is ever run.

    The checksums tell whether the files are whole and belong together. They do not tell who wrote
    them.

    Raises:
        BadInput: there is no such plan, or a file is damaged or was changed.

    >>> load_plan("no such folder")
    Traceback (most recent call last):
    mtl_nt.tasks.BadInput: cannot read the fitted plan: no such folder/card.json: No such file or \
directory
    """
    folder = Path(folder)
    try:
        text = read_bytes(folder / CARD, SMALL_FILE)
        content = read_bytes(folder / NETWORKS, LARGE_FILE)
    except OSError as error:
        missing = error.filename or folder
        raise BadInput(f"cannot read the fitted plan: {missing}: {error.strerror}") from None
    try:
        card: Card = load_json(text, Annotated[Card, satisfies(_is_consistent)])
        said = {key: value for key, value in json.loads(text).items() if key != "card"}
        if card["card"] != _digest(said):
            raise ValueError("it was changed")
    except (BadInput, ValueError) as error:
        why = " ".join(str(error).split())[:80]
        raise BadInput(
            f"{folder / CARD} is no card of a fitted plan ({why}); fit it anew"
        ) from None
    if hashlib.sha256(content).hexdigest() != card["networks"]:
        raise BadInput(f"{folder / NETWORKS} is not what its card says; fit the plan anew")
    try:
        loaded = tensors.load(content)
        parts = tuple(
            _read_part(part, n, loaded, math.prod(card["features"]), len(card["tasks"]))
            for n, part in enumerate(card["parts"])
        )
    except (SafetensorError, RuntimeError, KeyError, ValueError):
        raise BadInput(
            f"{folder / NETWORKS} has other networks than its card; fit it anew"
        ) from None
    return FittedPlan(
        name=card["name"],
        tasks=card["tasks"],
        kinds=card["kinds"],
        features=card["features"],
        bits=card["bits"],
        mean=card["mean"],
        unit=card["unit"],
        rows=card["rows"],
        parts=parts,
    )


class CardPart(TypedDict):
    """What a card says of the networks of one choice."""

    method: str
    alpha: FiniteFloat | None
    recipe: Recipe
    tasks: Annotated[tuple[NonNegativeInt, ...], satisfies(bool)]
    networks: Annotated[int, satisfies(lambda count: count > 0)]
    heads: Annotated[int, satisfies(lambda count: count > 0)]


class Card(TypedDict):
    """The content of `card.json`."""

    format: Literal["mtl_nt fitted plan, 1"]
    version: str
    name: str
    tasks: Annotated[UniqueNames, satisfies(bool)]
    kinds: tuple[TaskKind, ...]
    features: Annotated[tuple[NonNegativeInt, ...], satisfies(bool)]
    bits: bool
    mean: tuple[FiniteFloat, ...]
    unit: tuple[FiniteFloat, ...]
    rows: NonNegativeInt
    parts: list[CardPart]
    networks: str
    card: str


def _is_consistent(card: Card) -> bool:
    """Whether every task is predicted once, by a network that there is."""
    count = len(card["tasks"])
    served = [task for part in card["parts"] for task in part["tasks"]]
    return (
        sorted(served) == [*range(count)]
        and len(card["kinds"]) == len(card["mean"]) == len(card["unit"]) == count
        and all(
            part["heads"] in (1, count) and part["networks"] in (1, len(part["tasks"]))
            for part in card["parts"]
        )
        and all(
            part["heads"] == count or part["networks"] == len(part["tasks"])
            for part in card["parts"]
        )
    )


def _read_part(
    card: CardPart, number: int, loaded: Mapping[str, Tensor], features: int, tasks: int
) -> Part:
    """The networks of one choice, from the tensors of the file.

    Raises:
        ValueError, KeyError, RuntimeError: tensors that are not those of such networks.
    """
    own = {
        name.partition(".")[2]: value
        for name, value in loaded.items()
        if name.partition(".")[0] == str(number)
    }
    count, heads = card["networks"], card["heads"]
    # Before anything is built: so that no card can ask for more memory than its file has.
    size = network_size(features, heads, card["recipe"]).parameters * count
    if size > sum(value.numel() for value in own.values()):
        raise ValueError("smaller than its networks")
    only = torch.tensor(card["tasks"]) if heads < tasks else None
    network = Network([0] * count, features, tasks, card["recipe"], False, only)
    network.load_state_dict(own, strict=True)
    if not all(value.isfinite().all() for value in own.values() if value.is_floating_point()):
        raise ValueError("weights that are not finite")
    network = network.eval().requires_grad_(False)
    return Part((card["method"], card["alpha"]), card["recipe"], network, card["tasks"])


def _weights(network: Network) -> dict[str, Tensor]:
    """All that a prediction needs of networks: not the decoder, which takes part in training."""
    state = network.state_dict()
    return {name: value for name, value in state.items() if not name.startswith("decoder.")}


def _digest(card: Mapping[str, Any]) -> str:
    text = json.dumps(card, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_card(path: Path) -> bool:
    """Whether a file is the card of a fitted plan, which another one may replace."""
    try:
        return json.loads(read_bytes(path, SMALL_FILE))["format"] == FORMAT
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
