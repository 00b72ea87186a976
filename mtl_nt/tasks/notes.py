"""`Note`: what was done with a table while it was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..errors import printable

Severity = Literal["matters", "info"]


class Note(str):
    """What was done with a table while it was read: one line of text that a person can read.

    It may hold names and cells of somebody's table, so escape it in HTML.

    Attributes:
        severity: "matters" where the results depend on it and a reader must see it first: a column
            that was left out, labels that were emptied, a suspicion. "info" is for the rest.
        about: the kind of thing, for scripts, such as "targets" or "imputed".
        columns: the columns that it is about.

    >>> note = Note("Left out, as row numbers: 'index'.", "matters", "left out", ("index",))
    >>> note, note.severity
    ("Left out, as row numbers: 'index'.", 'matters')
    """

    severity: Severity
    about: str
    columns: tuple[str, ...]

    def __new__(
        cls,
        text: str,
        severity: Severity = "info",
        about: str = "",
        columns: Sequence[str] = (),
    ) -> Note:
        note = super().__new__(cls, printable(text))
        note.severity, note.about, note.columns = severity, about, (*columns,)
        return note

    def as_json(self) -> dict[str, Any]:
        """The note as a dictionary that JSON can write.

        >>> Note("5 folds.", about="split").as_json()
        {'text': '5 folds.', 'severity': 'info', 'about': 'split', 'columns': []}
        """
        return {
            "text": str(self),
            "severity": self.severity,
            "about": self.about,
            "columns": list(self.columns),
        }
