"""The data that an audit is of: a table's file, a data set of this package, or data in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..datasets import is_table, load, read_table
from ..errors import BadInput
from ..files import digest
from ..networks import Recipe
from ..study.identity import body_identity
from ..study.result_store import data_digest
from ..tasks import Note, TaskData

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
        data: the data themselves, where they are in memory already; `name` is theirs.
        changes: settings of the training that differ from the data's own (see
            `networks.Recipe.for_data`), such as the body of the networks.

    >>> data, notes = Source("dial-unrelated", {}).read()
    >>> len(data.tasks), notes
    (9, ())
    """

    name: str
    options: Mapping[str, Any]
    sha256: str | None = None
    seeds: tuple[int, ...] | None = None
    data: TaskData | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> tuple[TaskData, tuple[Note, ...]]:
        """The data, and notes that say what was read, left out, guessed and imputed.

        Raises:
            BadInput: the data cannot be read, the file has changed, or a question is open.
        """
        if self.data is not None:
            return with_settings(self.data, self.changes), self.data.notes
        if is_table(self.name):
            table = read_table(self.name, **self.options, seeds=self.seeds)
            if self.sha256 not in (None, table.sha256):
                raise BadInput(f"{Path(self.name).name} changed since it was asked for; try again")
            return with_settings(_without_features(table.data), self.changes), table.notes
        data = load(self.name, **self.options)
        return with_settings(data, self.changes), data.notes

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these data from others, found without reading the table."""
        if self.data is not None:
            runs = [self.data.for_seed(seed) for seed in self.seeds or (0,)]
            recipes = [_as_text(run.recipe) | {"single": _as_text(run.single)} for run in runs]
            own = {"data": data_digest(runs), "recipes": recipes, "options": {}}
            return {**own, **self._changes()}
        known = {"data": self.sha256 or self.name, "options": dict(self.options)}
        known |= self._changes()
        files = {k: digest(str(v)) for k in FILES if _names_file(v := self.options.get(k))}
        return {**known, "files": files} if files else known

    def _changes(self) -> dict[str, Any]:
        """The changed settings as text; a body by what its code is."""
        return {"settings": _as_text(self.changes)} if self.changes else {}


def with_settings(data: TaskData, changes: Mapping[str, Any]) -> TaskData:
    """The data, whose networks are trained with other settings, in every run.

    Raises:
        BadInput: a setting is unknown or outside its range.

    >>> with_settings(load("digits"), {"trunk": (8,)}).for_seed(3).recipe["trunk"]
    (8,)
    """
    if not changes:
        return data
    recipe = Recipe.for_data(data, **changes)  # checked now, and in words of these data
    own = {name: getattr(recipe, name) for name in ("architecture", "trunk", "activation")}
    single = {name: value for name, value in data.single.items() if name not in own}
    redraw = data.redraw
    return replace(
        data,
        recipe={**data.recipe, **own},
        single=single,
        redraw=None if redraw is None else lambda seed: with_settings(redraw(seed), changes),
    )


def _as_text(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training as text; a body by what its code is."""
    body = Recipe(**{"trunk": (1,), **settings}).own_body if settings else None
    texts: dict[str, Any] = {name: str(settings[name]) for name in sorted(settings)}
    if body is not None:
        texts["architecture"] = f"{body}: {body_identity(body)}"
    return texts


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
