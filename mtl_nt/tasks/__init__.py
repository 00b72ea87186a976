"""A table of tasks, checked once.

- `data` has `TaskData`, the tasks and their features, and `Split`, how the rows are split.
- `checks` are what `TaskData` refuses, each in one line.
- `forms` says of which kind a target is, and how its labels were made from what was measured.
- `notes` has `Note`: what was done with a table while it was read.

This room uses `bits` and `errors`, and hands on what whoever brings data needs of them.
"""

from ..errors import BadInput, suggestion
from .checks import LARGEST_WEIGHT
from .data import Split, TaskData
from .forms import Logarithm, TargetForm, TaskKind
from .notes import Note, Severity

__all__ = [
    "BadInput",
    "LARGEST_WEIGHT",
    "Logarithm",
    "Note",
    "Severity",
    "Split",
    "TargetForm",
    "TaskData",
    "TaskKind",
    "suggestion",
]
