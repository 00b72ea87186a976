"""Data that every run has alike, so that runs differ in their networks' chance alone."""

from __future__ import annotations

from dataclasses import replace

from mtl_nt import TaskData


def with_fixed_split(data: TaskData) -> TaskData:
    """The same data, on the same split for every seed."""
    return replace(data, redraw=None, split=replace(data.split, kind="fixed"))
