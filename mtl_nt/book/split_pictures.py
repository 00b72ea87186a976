"""The one picture for several splits of the same data: a menu of splits, and one of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ..errors import BadInput, suggestion
from ..figures import captioned_png, task_differences
from ..figures.picture import Picture
from ..study import stored
from .explorers import Explorer, Key, explorer


def split_explorer(
    kept: str,
    splits: Sequence[str],
    methods: Sequence[str],
    groups: Mapping[str, str] | None = None,
) -> Explorer:
    """Each task's difference from STL under a split and a method, both to choose from menus.

    The pictures of a kept study are drawn once in a process.

    Args:
        kept: how the names of the kept studies begin, before a hyphen and the split's name; or the
            path of such folders.
        splits: the names of the splits; the first is shown first.
        methods: the methods to choose from; the first is shown first.
        groups: task -> group, see `figures.task_differences`.

    Raises:
        BadInput: a study that is not there, or a method that it does not have.

    >>> from mtl_nt.datasets.expansionrx import SPLITS
    >>> "nt-explorer" in split_explorer("expansionrx", SPLITS[:1], ["MTL"]).html
    True
    """
    for split in splits:
        known = list(dict.fromkeys(method for method, _ in stored(f"{kept}-{split}").arms()))
        if unknown := [method for method in methods if method not in known]:
            raise BadInput(f"methods: unknown {unknown[0]!r}; {suggestion(unknown[0], known)}")
    of_task = tuple((groups or {}).items())
    pictures: dict[Key, list[Picture]] = {
        (split, method): [_picture(f"{kept}-{split}", method, of_task)]
        for split in splits
        for method in methods
    }
    return explorer(pictures, [0.0], name=["split", "method"])


@lru_cache(maxsize=128)
def _picture(name: str, method: str, groups: tuple[tuple[str, str], ...]) -> Picture:
    figure = task_differences(stored(name), methods=[method], groups=dict(groups) or None)
    return captioned_png(figure)
