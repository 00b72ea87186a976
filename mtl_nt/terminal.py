"""The one door to the terminal: what files, columns and options are called is only text there."""

from __future__ import annotations

import sys
from typing import TextIO

from .tasks import visible


def say(*lines: object, to: TextIO | None = None) -> None:
    """Print lines at once: with escapes for what a terminal would obey, and for what it cannot
    show.

    Args:
        to: a stream, by default standard output.
    """
    stream = sys.stdout if to is None else to
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for line in lines:
        text = visible(line).encode(encoding, "backslashreplace").decode(encoding)
        print(text, file=stream, flush=True)


def warn(*lines: object) -> None:
    """The same on standard error."""
    say(*lines, to=sys.stderr)
