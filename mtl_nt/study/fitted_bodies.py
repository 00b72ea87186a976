"""Bodies of somebody's own in the files of a fitted plan.

A file has the name and the weights of a body, and no code. So whoever reads it gives the body
again. That it is the same one is seen from what its networks give on rows of zeros and ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..networks import Network, OwnBody, Recipe, made_rows
from ..networks.own_body import MakeBody

ANSWERS = "answers"
"""The name of what the networks of a part give on made rows, in the file."""
LONGEST_ROW = 2**26  # features, so that no card can ask for all memory
TOLERANCE = 1e-3
"""Answers may differ by this share of the largest one: another machine rounds in another way."""


class OtherBody(Exception):
    """The given body is not the one that the networks of a file were trained with."""


@torch.no_grad()
def answers(network: Network, features: Sequence[int]) -> Float[Tensor, "R N O"]:
    """What networks give on made rows.

    Args:
        features: the shape of a row.

    Raises:
        BadInput: their body cannot read such rows.
    """
    rows = made_rows(*features).flatten(1).expand(len(network.head.weight), -1, -1)
    try:
        return network(rows, torch.ones(rows.shape[:2], dtype=torch.bool))[1]
    except Exception as error:  # of somebody's own code
        raise BadInput(
            f"a body of your own cannot read rows of zeros and ones ({first_line(error)}), and a "
            "file is checked with them; keep this plan in memory"
        ) from error


def given_body(recipe: Recipe, architecture: MakeBody | None, folder: Path) -> OwnBody | None:
    """The body of a recipe from a file; None where it is one of this package.

    Raises:
        BadInput: none is given, or one of another name.
    """
    wanted = recipe.own_body
    if wanted is None:
        return None
    if architecture is None:
        raise BadInput(
            f"{folder}: its networks have an {wanted}, which no file has; give it, as in "
            "load_plan(folder, architecture=Body)"
        )
    given = architecture if isinstance(architecture, OwnBody) else OwnBody(architecture)
    if str(given) != str(wanted):
        raise BadInput(
            f"{folder}: its networks have the {wanted}, not the {given}; give the one that they "
            "were trained with"
        )
    return given


def check_body(body: OwnBody, features: Sequence[int]) -> Float[Tensor, "N ..."]:
    """Check that a body can read rows of this shape, and give some.

    Raises:
        OtherBody: it cannot.
        ValueError: no row is so long.
    """
    if math.prod(features) > LONGEST_ROW:
        raise ValueError("rows that are too long")
    rows = made_rows(*features)
    try:
        body.measured(rows)
    except Exception as error:  # of somebody's own code
        raise OtherBody(
            f"the {body} cannot read the plan's rows ({first_line(error):.60})"
        ) from error
    return rows


def load_weights(
    network: Network, body: OwnBody | None, features: Sequence[int], kept: dict[str, Tensor]
) -> None:
    """Give networks the weights of a file. Networks with a body of somebody's own must then give
    the answers of the file.

    Raises:
        OtherBody: its weights have other names or shapes, or its answers are others.
        RuntimeError, KeyError: the file's weights are not those of such networks.
    """
    said = None if body is None else kept.pop(ANSWERS)
    try:
        network.load_state_dict(kept, strict=True)
    except RuntimeError as error:
        if body is None:
            raise
        raise OtherBody(f"the {body} has weights of other names or shapes than the plan") from error
    if said is None or body is None:
        return
    found = answers(network.eval(), features)
    near = TOLERANCE * said.abs().amax()
    if found.shape != said.shape or bool(((found - said).abs() > near).any()):
        raise OtherBody(f"the {body} gives other numbers than when the plan was saved")


def first_line(error: Exception) -> str:
    """The first line of what an error says, cut where it is long."""
    line = (str(error).splitlines() or [""])[0]
    return f"{line or type(error).__name__:.80}"
