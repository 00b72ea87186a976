"""`BadInput`, the error for what a person can mend, and the small checks that lead to it.

Every room raises it. Nothing slow is loaded here, so that a command can refuse a wrong word before
torch is there.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real


class BadInput(ValueError):
    """Input that a person can mend. The message is one line: what, where, what to do.

    A message may contain names and cells of somebody's table. Characters that a terminal would obey
    or show in another order are escaped (see `printable`).

    >>> str(BadInput("column 'a\\nb' has no numbers; give it some"))
    "column 'a\\\\nb' has no numbers; give it some"
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    def _render_traceback_(self) -> list[str]:
        """The one line that IPython shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


def printable(text: object) -> str:
    """The text on one line, with escapes in place of characters that must not be printed.

    Those are control characters, marks that turn the direction of writing, and halves of a
    surrogate pair.

    >>> print(printable("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return "".join(escaped)


def is_out_of_memory(kind: str, message: str) -> bool:
    """Whether an error means that memory ran out. Torch raises a plain RuntimeError then.

    Args:
        kind: name of the error's class.
        message: the error's text.

    >>> is_out_of_memory("RuntimeError", "CUDA out of memory."), is_out_of_memory("KeyError", "x")
    (True, False)
    """
    said = ("can't allocate memory", "Cannot allocate memory", "out of memory")
    return kind.endswith("MemoryError") or any(words in message for words in said)


def is_whole_number(value: object, least: int) -> bool:
    """Whether a value is a whole number of `least` or more. True and False are not.

    >>> is_whole_number(3, least=1), is_whole_number(3.0, least=1), is_whole_number(True, least=0)
    (True, False, False)
    """
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def is_finite_number(value: object) -> bool:
    """Whether a value is a finite number. True and False are not.

    >>> is_finite_number(0.5), is_finite_number(math.nan), is_finite_number(10**400)
    (True, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more digits than a float has
        return False


def suggestion(name: object, known: Iterable[str]) -> str:
    """What an error message says after an unknown name: the most similar known names, or all.

    >>> suggestion("MLT", ["MTL", "STL"])
    "did you mean 'MTL'?"
    >>> suggestion("xyz", ["MTL", "STL"])
    'known: MTL, STL'
    """
    name, names = name if isinstance(name, str) else "", list(known)
    lower = {n.lower(): n for n in names}
    close = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if close:
        return f"did you mean {' or '.join(repr(n) for n in close)}?"
    return f"known: {', '.join(names)}"
