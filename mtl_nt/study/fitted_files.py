"""A fitted plan as two files: its networks as safetensors, and a card in JSON about them.

Nothing is pickled, so that to load a plan of somebody else runs none of their code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import torch
from safetensors import SafetensorError
from safetensors import torch as tensors
from torch import Tensor

from .. import __version__
from ..datasets.new_rows import ReadingCard, input_width, is_reading
from ..errors import BadInput
from ..files import LARGE_FILE, SMALL_FILE, check_output, read_bytes, write_atomically
from ..networks import Network, OwnBody, Recipe, network_size
from ..networks.own_body import MakeBody
from ..tasks import Logarithm, TargetForm, TaskKind
from .fitted_bodies import ANSWERS, OtherBody, answers, check_body, given_body, load_weights
from .fitted_plan import FittedPlan, Part
from .schema import FiniteFloat, NonNegativeInt, UniqueNames, load_json, satisfies

CARD, NETWORKS = "card.json", "networks.safetensors"
"""The files of a fitted plan."""
FORMATS = "mtl_nt fitted plan, "
"""How the format of a card begins, in every version of this package."""
FORMAT = f"{FORMATS}2"


def check_fitted(folder: Path) -> None:
    """Check that a fitted plan can be written into a folder, and that nobody loses a file by it.

    Raises:
        BadInput: the folder is a file, or holds such files of somebody else.

    >>> check_fitted(Path("a new folder"))
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "no folder", str(folder))
        for name in (CARD, NETWORKS):
            check_output(folder / name, lambda path: _is_card(path.parent / CARD))
    except OSError as error:
        raise _unwritable(error, folder) from None


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
    named |= {
        f"{number}.{ANSWERS}": answers(part.network, plan.features)
        for number, part in enumerate(plan.parts)
        if part.recipe.own_body is not None
    }
    content = tensors.save(named)
    card = {
        "format": FORMAT,
        "version": __version__,
        "name": plan.name,
        "tasks": list(plan.tasks),
        "kinds": list(plan.kinds),
        "classes": {task: list(names) for task, names in plan.classes.items()},
        "features": list(plan.features),
        "bits": plan.bits,
        "mean": list(plan.mean),
        "unit": list(plan.unit),
        "rows": plan.rows,
        "forms": [form._asdict() for form in plan.forms],
        "reading": plan.reading,
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
    check_fitted(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CARD, text.encode())  # first: it says whose folder this is
        write_atomically(folder / NETWORKS, content)
    except OSError as error:
        raise _unwritable(error, folder) from None
    return folder


def _unwritable(error: OSError, folder: Path) -> BadInput:
    where = error.filename or folder
    return BadInput(f"{where} cannot be written: {error.strerror}; give another folder")


def load_plan(folder: str | Path, architecture: MakeBody | None = None) -> FittedPlan:
    """Read a fitted plan that `FittedPlan.save` wrote. Nothing in the files is ever run.

    The checksums tell whether the files are whole and belong together. They do not tell who wrote
    them.

    Args:
        folder: where the plan was saved.
        architecture: the body of your own that its networks have, if they have one. A file has the
            name and the weights of a body, and no code. It must give what it gave when the plan was
            saved, on a few rows that are made.

    Raises:
        BadInput: there is no such plan, or a file is damaged or was changed; or its networks have
            a body of somebody's own, and that is not given, or another one is.

    >>> load_plan("no such folder")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: cannot read the fitted plan: no such folder/card.json: No such file or \
directory
    """
    folder = Path(folder)
    try:
        text = read_bytes(folder / CARD, SMALL_FILE)
        content = read_bytes(folder / NETWORKS, LARGE_FILE)
    except OSError as error:
        missing = error.filename or folder
        raise BadInput(f"cannot read the fitted plan: {missing}: {error.strerror}") from None
    _check_format(text, folder)
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
    bodies = [given_body(part["recipe"], architecture, folder) for part in card["parts"]]
    try:
        loaded = tensors.load(content)
        parts = tuple(
            _read_part(part, n, loaded, card["features"], _outputs(card), body)
            for n, (part, body) in enumerate(zip(card["parts"], bodies, strict=True))
        )
    except OtherBody as error:
        raise BadInput(f"{folder}: {error}; give the body that it was trained with") from error
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
        forms=tuple(TargetForm(**form) for form in card["forms"]),
        reading=card["reading"],
        classes=card["classes"],
    )


def _check_format(text: bytes, folder: Path) -> None:
    """Refuse the card of another version, whose keys are others."""
    try:
        card = json.loads(text)
        form, version = str(card["format"]), str(card["version"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return  # the check of the whole card says what is wrong
    if form.startswith(FORMATS) and form != FORMAT:
        raise BadInput(
            f"{folder / CARD} was written by mtl_nt {version[:20]}, which keeps plans in another "
            f"way than {__version__}; fit it anew"
        )


class CardPart(TypedDict):
    """What a card says of the networks of one choice."""

    method: str
    alpha: FiniteFloat | None
    recipe: Recipe
    tasks: Annotated[tuple[NonNegativeInt, ...], satisfies(bool)]
    networks: Annotated[int, satisfies(lambda count: count > 0)]
    heads: Annotated[int, satisfies(lambda count: count > 0)]


class CardForm(TypedDict):
    """What a card says of how a task's labels were made. See `tasks.TargetForm`."""

    offset: FiniteFloat
    log: Logarithm


class Card(TypedDict):
    """The content of `card.json`."""

    format: Literal["mtl_nt fitted plan, 2"]
    version: str
    name: str
    tasks: Annotated[UniqueNames, satisfies(bool)]
    kinds: tuple[TaskKind, ...]
    classes: dict[str, UniqueNames]
    features: Annotated[tuple[NonNegativeInt, ...], satisfies(bool)]
    bits: bool
    mean: tuple[FiniteFloat, ...]
    unit: tuple[FiniteFloat, ...]
    rows: NonNegativeInt
    forms: list[CardForm]
    reading: Annotated[ReadingCard, satisfies(is_reading)] | None
    parts: list[CardPart]
    networks: str
    card: str


def _is_consistent(card: Card) -> bool:
    """Whether every task is predicted once, by a network that there is."""
    count, outputs = len(card["tasks"]), _outputs(card)
    kinds = zip(card["tasks"], card["kinds"], strict=False)
    served = [task for part in card["parts"] for task in part["tasks"]]
    return (
        sorted(served) == [*range(count)]
        and len(card["kinds"]) == len(card["mean"]) == len(card["unit"]) == count
        and len(card["forms"]) == count
        and (card["reading"] is None or (input_width(card["reading"]),) == card["features"])
        and (card["reading"] is None or card["bits"] == (card["reading"]["molecules"] is not None))
        and {*card["classes"]} == {task for task, kind in kinds if kind == "classes"}
        and all(len(names) > 1 for names in card["classes"].values())
        and all(
            part["heads"] in ((1, count) if outputs == count else (outputs,))
            and part["networks"] in (1, len(part["tasks"]))
            for part in card["parts"]
        )
        and all(
            part["heads"] == outputs or part["networks"] == len(part["tasks"])
            for part in card["parts"]
        )
    )


def _outputs(card: Card) -> int:
    """How many outputs a network with all tasks has."""
    return sum(len(card["classes"].get(task, ("",))) for task in card["tasks"])


def _read_part(
    card: CardPart,
    number: int,
    loaded: Mapping[str, Tensor],
    features: Sequence[int],
    outputs: int,
    body: OwnBody | None,
) -> Part:
    """The networks of one choice, from the tensors of the file.

    Raises:
        ValueError, KeyError, RuntimeError: tensors that are not those of such networks.
        OtherBody: the given body is another than that of the plan.
    """
    recipe, inputs = card["recipe"], math.prod(features)
    own = {
        name.partition(".")[2]: value
        for name, value in loaded.items()
        if name.partition(".")[0] == str(number)
    }
    count, heads = card["networks"], card["heads"]
    rows = None
    if body is not None:
        rows = check_body(body, features)
        recipe = replace(recipe, architecture=body)
    # Before anything is built: so that no card can ask for more memory than its file has.
    size = network_size(inputs, heads, recipe, rows).parameters * count
    if size > sum(value.numel() for value in own.values()):
        if body is not None:
            raise OtherBody(f"the {body} has more weights than the plan")
        raise ValueError("smaller than its networks")
    only = torch.tensor(card["tasks"]) if heads < outputs else None
    network = Network([0] * count, inputs, outputs, recipe, False, only, rows)
    load_weights(network, body, features, own)
    if not all(value.isfinite().all() for value in own.values() if value.is_floating_point()):
        raise ValueError("weights that are not finite")
    network = network.eval().requires_grad_(False)
    return Part((card["method"], card["alpha"]), recipe, network, card["tasks"])


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
        return str(json.loads(read_bytes(path, SMALL_FILE))["format"]).startswith(FORMATS)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
