"""The one way to print to the terminal.

Names of files, columns and options come from somebody else. Here they are only text: a terminal
obeys nothing in them.
"""

from __future__ import annotations

import sys
from typing import TextIO

from .errors import printable


def say(*lines: object, to: TextIO | None = None) -> None:
    """Print each line at once. Characters that a terminal would obey or cannot show are escaped.

    Args:
        to: a stream; by default standard output.

    >>> say("a tab\\tis escaped")
    a tab\\tis escaped
    """
    stream = sys.stdout if to is None else to
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for line in lines:
        text = printable(line).encode(encoding, "backslashreplace").decode(encoding)
        print(text, file=stream, flush=True)


def warn(*lines: object) -> None:
    """Print each line at once on standard error, as `say` does.

    >>> warn("the disk is full")
    """
    say(*lines, to=sys.stderr)
