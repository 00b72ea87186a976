"""The data that an audit is of: a table's file, or one of the data sets of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..datasets import is_table, load, read_table
from ..files import digest
from ..tasks import BadInput, Note, TaskData

FILES = ("file", "expression")
"""Options of data sets that name a file of your own."""


@dataclass(frozen=True)
class Source:
    """The data that an audit is asked for, and how to read them.

    Args:
        name: the name of a data set, or the path of a table.
        options: the options of the data set, or of `datasets.table.read_table` for a table.
        sha256: the digest of the table's file; a file with other content is refused.
        seeds: the runs that will be trained, whose training rows are checked before.

    >>> data, notes = Source("dial-unrelated", {}).read()
    >>> len(data.tasks), notes
    (9, ())
    """

    name: str
    options: Mapping[str, Any]
    sha256: str | None = None
    seeds: tuple[int, ...] | None = None

    def read(self) -> tuple[TaskData, tuple[Note, ...]]:
        """The data, and notes that say what was read, left out, guessed and imputed.

        Raises:
            BadInput: the data cannot be read, the file has changed, or a question is open.
        """
        if is_table(self.name):
            table = read_table(self.name, **self.options, seeds=self.seeds)
            if self.sha256 not in (None, table.sha256):
                raise BadInput(f"{Path(self.name).name} changed since it was asked for; try again")
            return _without_features(table.data), table.notes
        data = load(self.name, **self.options)
        return data, data.notes

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these data from others, found without reading the table."""
        known = {"data": self.sha256 or self.name, "options": dict(self.options)}
        files = {k: digest(str(v)) for k in FILES if _names_file(v := self.options.get(k))}
        return {**known, "files": files} if files else known


def note_lines(notes: Sequence[Note]) -> list[str]:
    """The notes as lines for a terminal: those that matter first, with a mark.

    >>> note_lines([Note("5 folds."), Note("Left out: 'id'.", "matters")])
    ["! Left out: 'id'.", '  5 folds.']
    """
    first = [f"! {note}" for note in notes if note.severity == "matters"]
    return [*first, *(f"  {note}" for note in notes if note.severity != "matters")]


def _names_file(value: Any) -> bool:
    return isinstance(value, (str, Path)) and Path(value).is_file()


def _without_features(data: TaskData) -> TaskData:
    """The data without the numbers of the features, which every run reads anew.

    So a large table is not kept in memory a second time beside the run that trains.
    """
    if data.redraw is None or not isinstance(data.x, torch.Tensor):
        return data
    return replace(data, x=data.x.new_zeros(1).expand(data.x.shape))
