"""The sentences of a chapter that its own numbers must bear out."""

from __future__ import annotations

from ..terminal import say

DOES_NOT_HOLD = "DOES NOT HOLD with these parameters:"


def claim(sentence: str, holds: object) -> None:
    """Print a sentence with a tick if it holds, and else that it does not hold.

    A reader may change every parameter, so a sentence that no longer holds stops nothing. The
    outputs that the book keeps are made with its own parameters, and there every sentence must
    hold: `python -m mtl_nt book --keep` refuses outputs in which one does not.

    Args:
        sentence: what the text says.
        holds: whether the numbers of this run say so, too; a truth value of any kind.

    >>> claim("the outsiders lose", True)
    ✓ the outsiders lose
    >>> claim("pigs fly", False)
    DOES NOT HOLD with these parameters: pigs fly
    """
    say(f"{'✓' if holds else DOES_NOT_HOLD} {sentence}")
