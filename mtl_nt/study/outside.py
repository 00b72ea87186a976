"""What a function reads from outside of the process: files, the environment, code made of text.

A folder compares a method by its code and by all values that the code reads (see `identity`). What
lies in a file is none of these values: the file can change, and the code stays the same.
`outside_reads` finds such reading in the bytecode. It looks at names: each global is followed
through its attributes, as in `np.lib.format.open_memmap`, until it is clear whose it is. So a
method `load` of an object of somebody's own is no reading, and `np.load` is.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

IsLibrary = Callable[[str], bool]
"""Whether a module of this name belongs to an installed library."""

READS = re.compile(
    r"(read|open|scan|fetch)_\w+|open|load|loadtxt|genfromtxt|fromfile|from_file|from_pretrained"
    r"|memmap|imread|loadmat|loadarff|load_(file|url|npz|npy|dataset|model|svmlight_files?)"
    r"|load_state_dict_from_url|safe_open|getenvb?|environb?|urlopen|urlretrieve|listdir|scandir"
    r"|check_output|getoutput|Popen|ZipFile|NpzFile"
)
"""Last names of what a library reads with."""
READS_IN_FULL = re.compile(
    r"builtins\.(eval|exec|globals|input|__import__)|importlib\.(import_module|reload)"
    r"|sys\.(argv|stdin|modules|_getframe)|inspect\.(currentframe|stack)|runpy\.\w+"
    r"|(os|posix)\.(stat|walk|popen|system|environ\.\w+)"
    r"|(os\.path|posixpath|genericpath)\.(exists|isfile|isdir|getmtime|getsize)|i?glob\.i?glob"
    r"|subprocess\.(run|call|check_call)|requests\.(get|post|Session)|sqlite3\.connect"
    r"|h5py\.File|netCDF4\.Dataset|pkgutil\.get_data|importlib\.resources\.files"
)
"""Names that mean reading in these modules alone."""
PATH = re.compile(r"pathlib\.(_local\.)?(Posix|Windows)?Path")
OF_A_PATH = frozenset({"open", "exists", "is_file", "is_dir", "iterdir", "glob", "rglob", "stat"})
OF_ANYTHING = frozenset({"read_text", "read_bytes", "load_model", "from_pretrained"})
"""Methods that read a file whatever they are called on: `Path("a.txt").read_text()`."""

FROM_NAME = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
FROM_CELL = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
UNKNOWN = object()


class Dotted(str):
    """The full name of a thing that belongs to a library, such as "numpy.load"."""


def reads_outside(name: str) -> bool:
    """Whether what a library has under this full name reads files, the environment or code.

    >>> [reads_outside(name) for name in ("numpy.load", "pandas.read_csv", "os.environ")]
    [True, True, True]
    >>> [reads_outside(name) for name in ("json.loads", "torch.nn.Linear", "sklearn.svm.SVC")]
    [False, False, False]
    """
    last = name.rpartition(".")[2]
    return bool(READS.fullmatch(last) or READS_IN_FULL.fullmatch(name))


def outside_reads(function: FunctionType, is_library: IsLibrary) -> list[str]:
    """What a function's code reads from outside, in the code's own words.

    Args:
        function: it and the functions in it are looked at, and not those that it calls.
        is_library: tells libraries from code of somebody's own.

    >>> import numpy as np
    >>> def from_file(run):
    ...     return np.load("predictions.npy")
    >>> outside_reads(from_file, lambda module: module == "numpy")
    ['np.load']
    """
    cells: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return _Reader(function.__globals__, is_library).read(function.__code__, cells)


class _Reader:
    """Follows names through bytecode, one instruction after the other."""

    def __init__(self, scope: Mapping[str, Any], is_library: IsLibrary) -> None:
        self.scope, self.is_library = scope, is_library

    def read(self, code: CodeType, local: dict[str, Any]) -> list[str]:
        """What this code and the code in it read.

        Args:
            local: what is known of local names and of names in the closure.
        """
        found: dict[str, None] = {}
        steps, of_paths = [*dis.get_instructions(code)], False
        text, thing = "", UNKNOWN
        imported, module = "", UNKNOWN
        for number, step in enumerate(steps):
            name, op = step.argval, step.opname
            if op in FROM_NAME:
                text, thing = name, self.known(self.named(name, local))
            elif op in FROM_CELL or (op.startswith("LOAD_FAST") and isinstance(name, str)):
                text, thing = name, self.known(local.get(name, UNKNOWN))
            elif op == "IMPORT_NAME":
                text = imported = name if steps[number - 1].argval else name.partition(".")[0]
                thing = module = Dotted(text) if self.is_library(text) else UNKNOWN
            elif op == "IMPORT_FROM":
                text, thing = f"{imported}.{name}", self.part(module, name)
            elif op in ATTRIBUTE:
                text, thing = f"{text}.{name}".lstrip("."), self.part(thing, name)
                if thing is UNKNOWN and (name in OF_ANYTHING or of_paths and name in OF_A_PATH):
                    found[text] = None
            else:
                for stored in _stored(op, name):
                    local[stored] = thing
                if op != "PUSH_NULL":
                    text, thing = "", UNKNOWN
            of_paths |= isinstance(thing, Path)
            if isinstance(thing, Dotted):
                of_paths |= bool(PATH.match(thing))
                if reads_outside(thing) or (PATH.match(thing) and name in OF_A_PATH | OF_ANYTHING):
                    found[text] = None
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                found |= dict.fromkeys(self.read(inner, {**local}))
        return [*found]

    def named(self, name: str, local: Mapping[str, Any]) -> Any:
        """What a global is."""
        if name in local:  # of a class or of a module
            return local[name]
        return self.scope.get(name, getattr(builtins, name, UNKNOWN))

    def known(self, thing: Any) -> Any:
        """The full name of a library's module, class or function; all else as it is."""
        if thing is UNKNOWN or isinstance(thing, Dotted):
            return thing
        if thing is os.environ:
            return Dotted("os.environ")
        if isinstance(thing, ModuleType):
            return Dotted(thing.__name__) if self.is_library(thing.__name__) else thing
        if not isinstance(thing, type) and not inspect.isroutine(thing):
            return thing
        module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(name, str) or not self.is_library(module):
            return thing
        return Dotted(f"{module}.{name}")

    def part(self, thing: Any, name: str) -> Any:
        """An attribute of a thing, without running any code of it."""
        if isinstance(thing, Dotted):
            return Dotted(f"{thing}.{name}")
        if thing is UNKNOWN:
            return UNKNOWN
        if isinstance(thing, ModuleType):
            return self.known(vars(thing).get(name, UNKNOWN))
        try:
            found = inspect.getattr_static(thing, name, UNKNOWN)
        except Exception:  # of an object that is no usual one
            return UNKNOWN
        found = getattr(found, "__func__", found)  # of a static method
        computed = hasattr(type(found), "__get__") and not inspect.isroutine(found)
        return UNKNOWN if computed and not isinstance(found, type) else self.known(found)


def _stored(op: str, name: Any) -> list[str]:
    """The local names that an instruction stores what is on the stack in."""
    if op in ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL"):
        return [name]
    # From Python 3.13 on, one instruction may be a store and a load or a second store.
    return [name[0]] if op.startswith("STORE_FAST_") and isinstance(name, tuple) else []
