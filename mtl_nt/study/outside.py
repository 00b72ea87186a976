"""What a function reads from outside of the process: files, the environment, code made of text.

A folder compares a method by its code and by all values that the code reads (see `identity`). What
lies in a file is none of these values: the file can change, and the code stays the same.
`outside_reads` finds such reading in the bytecode, in two ways:

- By names. Each global is followed through its attributes and calls, as in
  `np.lib.format.open_memmap` or `ConfigParser().read`, until it is clear whose it is. So a method
  `load` of an object of somebody's own is no reading, and `np.load` is.
- By what is named. A text in the code that names a file, such as "p.ini", is read by something,
  whatever that is called. A text that is written to, printed or compared is none.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

IsLibrary = Callable[[str], bool]
"""Whether a module of this name belongs to an installed library."""

READS = re.compile(
    r"(read|open|scan|fetch)_\w+|open|load|loadtxt|genfromtxt|fromfile|from_(file|csv|pretrained)"
    r"|from_scores|fromregex|recfrom(csv|txt)|(im|mm|hb_)?read(sav|into|lines?|all)?|memmap|loadmat"
    r"|loadarff|load_(files?|url|npz|npy|dataset|model|library|workbook|svmlight_files?)"
    r"|load_state_dict_from_url|safe_open|getenvb?|environb?|urlopen|urlretrieve|listdir|scandir"
    r"|check_output|getoutput|Popen|(?!\w*Temporary)\w*File(IO|Input|Reader)?|HDFStore"
    r"|ParquetDataset|netcdf_file"
)
"""Last names of what a library reads with."""
READS_IN_FULL = re.compile(
    r"builtins\.(eval|exec|globals|input|__import__)|importlib\.(import_module|reload)"
    r"|sys\.(argv|stdin|modules|_getframe)|inspect\.(currentframe|stack)|runpy\.\w+"
    r"|(os|posix)\.(stat|walk|popen|system|environ\.\w+)"
    r"|(os\.path|posixpath|genericpath)\.(exists|isfile|isdir|getmtime|getsize)|i?glob\.i?glob"
    r"|subprocess\.(run|call|check_call)|requests\.(get|post|Session)|sqlite3\.connect"
    r"|netCDF4\.Dataset|pkgutil\.get_data|importlib\.resources\.files|(linecache|fileinput)\.\w+"
    r"|(xml|lxml)\..*\.(parse|iterparse)|mmap\.mmap|.*\)\.parse"
)
"""Names that mean reading in these modules alone, and of what a library has made."""
IN_MEMORY = re.compile(r"_?io\.(String|Bytes)IO\b.*")
PATH = re.compile(r"pathlib\.(_local\.)?(Posix|Windows)?Path")
OF_A_PATH = frozenset({"open", "exists", "is_file", "is_dir", "iterdir", "glob", "rglob", "stat"})
OF_ANYTHING = frozenset({"read_text", "read_bytes", "load_model", "from_pretrained"})
"""Methods that read a file whatever they are called on: `Path("a.txt").read_text()`."""
HANDS_ON = re.compile(
    r"(builtins|collections|contextlib|copy|dataclasses|functools|itertools|operator|typing)\..*"
)
"""What gives back things of somebody's own, and none that it has made."""

SUFFIX = re.compile(
    r"\.(csv|tsv|txt|dat|jsonl?|ya?ml|toml|ini|cfg|xml|html?|py|npy|npz|pkl|pickle|joblib|pth?|ckpt"
    r"|safetensors|onnx|bin|h5|hdf5?|hdf|nc|mat|mtx|parquet|pq|feather|arrow|orc|xlsx?|ods|db"
    r"|sqlite3?|zip|tar|tgz|gz|bz2|xz|zst|png|jpe?g|tiff?|gif|bmp|wav|mp3|flac|arff|libsvm|sav|dta"
    r"|rds|rdata|sdf|smi)\Z",
    re.IGNORECASE,
)
"""How names of files end."""
ADDRESS = re.compile(r"(https?|ftp|s3|gs|file)://\S+")
TAKES_NO_FILE = re.compile(
    r"(save|write|log)\w*|to_\w+|\w*dump|print|warn\w*|info|debug|error|\w*FileHandler"
    r"|\w*(Error|Warning)|endswith|startswith|remove(prefix|suffix)"
)
"""Last names of what writes the file that it is given, or takes its name as a text alone."""

FROM_NAME = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
FROM_CELL = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
TO_NAME = frozenset({"STORE_DEREF", "STORE_NAME", "STORE_GLOBAL"})
SPREADS = frozenset({"FOR_ITER", "UNPACK_SEQUENCE", "UNPACK_EX", "BEFORE_WITH"})
COMPARES = frozenset({"COMPARE_OP", "CONTAINS_OP", "IS_OP"})
ENDS = ("RETURN", "RAISE", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD")
TAKES = ("POP_", "STORE_", "DELETE_", "RETURN", "RAISE", "RERAISE", "JUMP", "END_")
"""How instructions begin that take from the stack and put nothing there."""
UNKNOWN = object()


class Dotted(str):
    """The full name of a thing that belongs to a library, such as "numpy.load".

    What a library has made is called after its maker, such as "configparser.ConfigParser()".
    """


def reads_outside(name: str) -> bool:
    """Whether what a library has under this full name reads files, the environment or code.

    >>> [reads_outside(name) for name in ("numpy.load", "pandas.read_csv", "os.environ")]
    [True, True, True]
    >>> [reads_outside(name) for name in ("json.loads", "torch.nn.Linear", "sklearn.svm.SVC")]
    [False, False, False]
    """
    last = name.rpartition(".")[2]
    found = READS.fullmatch(last) or READS_IN_FULL.fullmatch(name)
    return bool(found and not IN_MEMORY.fullmatch(name))


def names_a_file(thing: str | PurePath) -> bool:
    """Whether a text or a path names a file: it ends like one, or there is such a one.

    A text without a separator and without such an end is none, whatever lies in the folder.

    >>> [names_a_file(text) for text in ("p.ini", ".npy", "https://a.org/b", Path.home())]
    [True, True, True, True]
    >>> [names_a_file(text) for text in ("relu", "a.b", "mean/std", "see p.ini", "/")]
    [False, False, False, False, False]
    """
    text = str(thing)
    ends_like_one = SUFFIX.search(text[-12:]) is not None  # none is longer
    if (ends_like_one and len(text.split()) == 1) or ADDRESS.fullmatch(text):
        return True
    separated = isinstance(thing, PurePath) or "/" in text or "\\" in text
    if not (ends_like_one or separated) or not re.search(r"\w", text):
        return False
    return os.path.exists(os.path.expanduser(text))


OF_A_FILE = "names a file"


class Reading(NamedTuple):
    """What is read from outside."""

    words: str  # the code's own
    what: str = "reads from outside"


def shortened(words: str) -> str:
    """The last letters of a name or a path, which tell more than the first ones."""
    return words if len(words) <= 40 else f"...{words[-37:]}"


def outside_reads(function: FunctionType, is_library: IsLibrary) -> list[Reading]:
    """What a function's code reads from outside, in the code's own words.

    Args:
        function: it and the functions in it are looked at, and not those that it calls.
        is_library: tells libraries from code of somebody's own.

    >>> import numpy as np
    >>> def from_file(run):
    ...     return np.load("predictions.npy")
    >>> for reading in outside_reads(from_file, lambda module: module == "numpy"):
    ...     print(*reading)
    np.load reads from outside
    predictions.npy names a file
    """
    cells: dict[str, _Value] = {}
    reader = _Reader(function.__globals__, is_library)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = _Value(reader.known(cell.cell_contents), name)
        except ValueError:  # not assigned yet
            continue
    reader.read(function.__code__, cells)
    return [*map(Reading, reader.reads)] + [
        Reading(text, OF_A_FILE) for text in reader.files.values()
    ]


class _Value(NamedTuple):
    """What is known of a value on the stack."""

    thing: Any = UNKNOWN
    words: str = ""
    files: frozenset[int] = frozenset()
    """The places in `_Reader.files` of the texts that it is made of."""


NOTHING = _Value()


class _Stack(list[_Value]):
    """The stack of bytecode. Where more is taken than is known, nothing is known of it."""

    def take(self, count: int) -> list[_Value]:
        count = max(count, 0)
        taken = self[max(len(self) - count, 0) :]
        del self[len(self) - len(taken) :]
        return [NOTHING] * (count - len(taken)) + taken

    def put(self, *values: _Value, effect: int = 0) -> None:
        """Put these values there, and before them as many unknown ones as the effect asks for."""
        self.extend([NOTHING] * (effect - len(values)))
        self.extend(values)


class _Reader:
    """Follows values through bytecode, one instruction after the other, and no jump backwards.

    `reads` are the names of what reads from outside. `files` are the texts that name files.
    """

    def __init__(self, scope: Mapping[str, Any], is_library: IsLibrary) -> None:
        self.scope, self.is_library = scope, is_library
        self.reads: dict[str, None] = {}
        self.files: dict[int, str] = {}
        self.count = 0  # of all texts that name files
        self.of_paths = False

    def read(self, code: CodeType, local: dict[str, _Value]) -> None:
        """Find what this code and the code in it read.

        Args:
            local: what is known of local names and of names in the closure.
        """
        self.of_paths = False
        steps, stack = [*dis.get_instructions(code)], _Stack()
        at_target: dict[int, _Stack] = {}  # the stack as a jump leaves it
        ended = False
        for number, step in enumerate(steps):
            if ended:
                stack = _Stack(at_target.get(step.offset, ()))
            if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
                jumped = _Stack(stack)
                change = _effect(step, jump=True)
                jumped.take(-change)
                jumped.put(effect=change)
                at_target.setdefault(step.argval, jumped)
            imports_all = bool(number and steps[number - 1].argval)
            self.follow(step, stack, local, imports_all)
            ended = step.opname.startswith(ENDS)
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self.read(inner, {**local})

    def follow(
        self, step: dis.Instruction, stack: _Stack, local: dict[str, _Value], imports_all: bool
    ) -> None:
        """Do to the stack what one instruction does."""
        op, name, effect = step.opname, step.argval, _effect(step)
        if op in FROM_NAME:
            stack.put(self.seen(self.named(name, local)), effect=effect)
        elif op in FROM_CELL:
            stack.put(self.seen(local.get(name, NOTHING)._replace(words=name)), effect=effect)
        elif "_FAST" in op and op.startswith(("LOAD", "STORE")):
            # From Python 3.13 on, one instruction may be two of these.
            names = name if isinstance(name, tuple) else (name,)
            kinds = re.findall("(LOAD|STORE)_FAST", op)
            for kind, one in zip(kinds, names, strict=False):
                if kind == "LOAD":
                    stack.put(self.seen(local.get(one, NOTHING)._replace(words=one)))
                else:
                    (local[one],) = stack.take(1)
        elif op in TO_NAME:
            (local[name],) = stack.take(1)
            if name == "__doc__":  # of a class
                self.taken([local[name]])
        elif op == "LOAD_CONST":
            stack.put(self.constant(name), effect=effect)
        elif op == "IMPORT_NAME":
            words = name if imports_all else name.partition(".")[0]
            stack.take(2)
            stack.put(_Value(Dotted(words) if self.is_library(words) else UNKNOWN, words))
        elif op == "IMPORT_FROM":
            module = stack[-1] if stack else NOTHING
            stack.put(self.attribute(module, name))
        elif op in ATTRIBUTE:
            (owner,) = stack.take(1)
            found = self.attribute(owner, name)
            stack.put(found, *[owner] * effect)
        elif op in ("CALL", "CALL_KW", "CALL_FUNCTION_EX"):
            stack.put(self.called(stack.take(1 - effect)))
        elif op == "COPY":
            stack.put(stack[-step.arg] if step.arg and step.arg <= len(stack) else NOTHING)
        elif op == "SWAP":
            if step.arg and step.arg <= len(stack):
                stack[-1], stack[-step.arg] = stack[-step.arg], stack[-1]
        elif op.startswith(TAKES):
            stack.take(-effect)
        elif effect > 0:
            given = stack[-1].files if stack and op in SPREADS else frozenset[int]()
            stack.put(*[_Value(files=given)] * effect)
        elif effect < 0:
            given_values = stack.take(1 - effect)
            if op in COMPARES:
                self.taken(given_values)
            elif op == "BINARY_SUBSCR" or step.argrepr == "[]":
                self.taken(given_values[1:])
            stack.put(_Value(files=_files(given_values)))

    def seen(self, value: _Value) -> _Value:
        self.of_paths |= isinstance(value.thing, Path)
        self.check(value, value.words.rpartition(".")[2])
        return value

    def check(self, value: _Value, name: str) -> None:
        """Note a thing that reads from outside."""
        thing = value.thing
        if isinstance(thing, Dotted):
            of_a_path = PATH.match(thing)
            self.of_paths |= bool(of_a_path)
            if reads_outside(thing) or (of_a_path and name in OF_A_PATH | OF_ANYTHING):
                self.reads[value.words] = None

    def constant(self, value: Any) -> _Value:
        found = frozenset[int]()
        for text in _texts(value):
            if names_a_file(text):
                self.count += 1
                self.files[self.count] = text
                found |= {self.count}
        return _Value(value if isinstance(value, str) else UNKNOWN, files=found)

    def taken(self, values: list[_Value]) -> None:
        """Forget the texts that these values are made of: they are read as texts, or written to."""
        for place in _files(values):
            self.files.pop(place, None)

    def attribute(self, owner: _Value, name: str) -> _Value:
        value = _Value(self.part(owner.thing, name), f"{owner.words}.{name}".lstrip("."))
        if value.thing is UNKNOWN and (name in OF_ANYTHING or self.of_paths and name in OF_A_PATH):
            self.reads[value.words] = None
        self.of_paths |= isinstance(value.thing, Path)
        self.check(value, name)
        return value._replace(files=owner.files)

    def called(self, values: list[_Value]) -> _Value:
        """What a call gives.

        Args:
            values: the function and its arguments, and an empty place before or after the function.
        """
        function = next((value for value in values[:2] if value is not NOTHING), NOTHING)
        thing, arguments = function.thing, values[2:]
        made = isinstance(thing, Dotted) and not HANDS_ON.fullmatch(thing)
        if isinstance(thing, Dotted) and thing == "builtins.getattr" and len(arguments) > 1:
            name = arguments[1].thing
            if isinstance(name, str) and not isinstance(name, Dotted):
                return self.attribute(arguments[0], name)
        full_name = thing if isinstance(thing, Dotted) else function.words
        if TAKES_NO_FILE.fullmatch(full_name.rpartition(".")[2]):
            self.taken(values)
        return _Value(Dotted(f"{thing}()") if made else UNKNOWN, files=_files(values))

    def named(self, name: str, local: Mapping[str, _Value]) -> _Value:
        """What a global is."""
        if name in local:  # of a class or of a module
            return local[name]._replace(words=name)
        thing = self.scope.get(name, getattr(builtins, name, UNKNOWN))
        return _Value(self.known(thing), name)

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


def _effect(step: dis.Instruction, jump: bool = False) -> int:
    """By how much an instruction changes the height of the stack."""
    if step.opname == "PRECALL":  # of Python 3.11, the first half of a call
        return 0
    if step.opname == "CALL":
        return -1 - (step.arg or 0)
    return dis.stack_effect(step.opcode, step.arg, jump=jump)


def _files(values: list[_Value]) -> frozenset[int]:
    return frozenset[int]().union(*(value.files for value in values))


def _texts(value: Any) -> Iterator[str]:
    """The texts in a constant."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (tuple, frozenset)):
        for part in value:
            yield from _texts(part)
