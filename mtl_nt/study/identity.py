"""What a function is, as a digest: its code, and everything that the code reads.

A folder keeps the results of a method (see `result_store`). They may be read again only where the
method is still the same. A method is made of functions, so `identity` walks through a function:

- its bytecode and constants, its defaults, and the values in its closure,
- the globals that it reads, and the functions and classes that it calls, which are walked alike,
- of an instance its class and its state, and of a tensor its bytes. Where a class of somebody's
  own says how it is pickled, its attributes count, and not what it would pickle.

Code of this package stands by its name, since a folder keeps a digest of all of it. Code of an
installed library stands by its name and version. A library that was installed from a folder, an
archive or a repository, and not from an index, may change under one version: its files count, too.
Nothing depends on a memory address, on a hash seed, or on the order of a set, so two processes find
the same digest.

No digest can stand for what a function reads from outside when it is called: a file, the
environment, or code that is made of text. A function that does so is refused (see `outside`), and
so is a thing whose state cannot be seen. Whoever has such a method gives it a version. So does
whoever has a method that holds the name of a file, for something will read it. A method for files
of a class, such as `load` or `from_csv`, counts only where other code mentions its name. So does
the name of a file that stands under a key, or that is an attribute.

What is not seen: an attribute of a library whose name is computed, as in `getattr(np, name)`; a
file whose name is computed as a whole and that is given to a reader with an unusual name; and what
a library reads without being told.
"""

from __future__ import annotations

import builtins
import copyreg
import dis
import hashlib
import importlib
import os
import re
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, cached_property, partial
from importlib import metadata, util
from pathlib import Path, PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from ..networks import OwnBody
from .outside import (
    ATTRIBUTE,
    OF_A_FILE,
    Reading,
    names_a_file,
    outside_reads,
    reads_outside,
    shortened,
)

PACKAGE = __name__.partition(".")[0]
GLOBAL_READ = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
"""The instructions that read a global."""
HEAP_TYPE = 1 << 9
"""The flag of a class that Python code has made."""
NO_PART_OF_A_CLASS = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}
    | {"__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
    | {"__orig_bases__", "__parameters__", "__abstractmethods__", "_abc_impl"}
    | {"__dataclass_fields__", "__dataclass_params__"}
)
"""Entries of a class that say nothing of what its instances do, or say it a second time."""
FOR_FILES = re.compile(r"_*(load|save|open|write|dump|from|read)_\w+|_*(load|save|open|write|dump)")
"""Names of a class's methods that count only where other code mentions them."""
LARGE = 1 << 20
"""Bytes of an array that `places` does not look into."""

VERSION = "give the method version=1"


def identity(thing: object, owner: str = "this function", remedy: str = VERSION) -> str:
    """SHA-256 of a function, or of anything else, with all that it reads.

    Args:
        thing: a function, a class, an instance, or plain values.
        owner: what the thing is called in a message.
        remedy: what the message says to do.

    Raises:
        BadInput: the thing holds what no digest can stand for, such as an open file, or reads a
            file, the environment or code that is made of text.

    Two functions with one source and different closures are two:

    >>> def times(factor):
    ...     return lambda run: factor * run.y[run.split.test]
    >>> identity(times(2)) == identity(times(2)), identity(times(2)) == identity(times(3))
    (True, False)
    """
    try:
        return _Walk(owner, remedy).whole(thing).hex()
    except RecursionError:
        raise BadInput(
            f"{owner}: what it reads is nested too deeply to be told from another; {remedy}, and "
            "another version whenever it changes"
        ) from None


def body_identity(body: OwnBody) -> str:
    """What a body of somebody's own is, as text: its version where it has one, else `identity`.

    Raises:
        BadInput: see `identity`.

    >>> body_identity(OwnBody(torch.nn.Flatten, version=2))
    'version 2'
    """
    if body.version is not None:
        return f"version {body.version!r}"
    return identity(body.make, str(body), "give architecture=OwnBody(..., version=1)")


def in_package(function: Any) -> bool:
    """Whether a function or a class, or what a `partial` calls, is code of this package.

    >>> in_package(in_package), in_package(len)
    (True, False)
    """
    function = getattr(function, "func", function)
    module = getattr(function, "__module__", None) or ""
    return (
        _top(module) == PACKAGE
        and _found(module, getattr(function, "__qualname__", "")) is function
    )


def is_own(module: str) -> bool:
    """Whether a module of this name is of somebody's own: no library's, and not this package's.

    >>> is_own("torch.nn"), is_own("__main__")
    (False, True)
    """
    return _installed(module) is None


class Place(NamedTuple):
    """Where a value stands that a function reads, and that may outlive the function's call."""

    holder: Any  # a cell, a class, a module's dictionary; None for a default
    name: str
    value: Any  # MISSING for a global that is read and not there


MISSING = object()


def places(thing: object) -> list[Place]:
    """Where the values stand that a function reads: globals, closures, classes and defaults.

    >>> def remembering(seen):
    ...     return lambda step: seen.append(step)
    >>> [place.value for place in places(remembering([1]))]
    [[1]]
    """
    walk = _Walk("", "", lenient=True)
    with suppress(RecursionError):
        walk.digest(thing)
    return walk.places  # in what is nested too deeply, those that were found until then


class _Walk:
    """A walk through all that a thing is made of. Each part becomes the digest of its own parts.

    Args:
        lenient: whether to go on where a digest can stand for nothing. Then large arrays are left
            out, too.
    """

    def __init__(self, owner: str, remedy: str, lenient: bool = False) -> None:
        self.owner, self.remedy, self.lenient = owner, remedy, lenient
        self.names: list[str] = []  # by which the walk has come here
        self.key = ""  # the attribute or the key that is walked through, if it is in one
        self.packages_own = False  # whether it is in data or functions that this package has made
        self.done: dict[int, bytes] = {}
        self.begun: dict[int, int] = {}
        self.kept: list[object] = []  # so that no number in `done` is given to another thing
        self.places: list[Place] = []
        self.parts_of: dict[int, list[tuple[int, str]]] = {}  # with a method's name in its class
        self.reads: dict[int, str] = {}  # what is read from outside; a text has a number below 0
        self.mentioned: dict[int, frozenset[str]] = {}  # names in the code of a function
        self.used_keys: dict[int, frozenset[str]] = {}  # attributes and keys that it may read

    def whole(self, thing: object) -> bytes:
        """The digest of a thing, unless some code in it reads what lies outside."""
        found = self.digest(thing)
        if read := self.first_read(id(thing)):
            raise BadInput(
                f"{self.owner}: {read}, which may change while the code stays; "
                f"{self.remedy}, and another version whenever it changes"
            )
        return found

    def first_read(self, root: int) -> str:
        """What is read from outside by code that can be reached from here, in words.

        The name of what reads tells more than the name of a file.
        """
        seen, names, used, ready = set[int](), set[str](), set[str](), [root]
        waiting: list[tuple[int, str]] = []
        files: list[str] = []
        while ready:
            key = ready.pop()
            if key not in seen:
                seen.add(key)
                if found := self.reads.get(key, ""):
                    if not found.endswith(OF_A_FILE):
                        return found
                    files.append(found)
                names |= self.mentioned.get(key, frozenset())
                used |= self.used_keys.get(key, frozenset())
                for part, method in self.parts_of.get(key, ()):
                    if FOR_FILES.fullmatch(method) or (part < 0 and method):
                        waiting.append((part, method))
                    else:
                        ready.append(part)
            if not ready:
                ready = [p for p, method in waiting if method in (used if p < 0 else names)]
                waiting = [one for one in waiting if one[0] not in ready]
        return files[0] if files else ""

    def digest(self, thing: Any, method: str = "") -> bytes:
        """The digest of a thing.

        Args:
            method: the name of the thing in its class, if it stands in one.
        """
        plain = _plain_value(thing)
        if plain is not None:
            if isinstance(thing, str):
                self.text(thing)
            return _hash([plain])
        key = id(thing)
        self.link(key, method)
        if key in self.done:
            return self.done[key]
        if key in self.begun:  # the thing is part of itself: say how far up
            return _hash([b"above", str(len(self.begun) - self.begun[key]).encode()])
        self.begun[key], before = len(self.begun), self.packages_own
        is_function = isinstance(thing, FunctionType)
        home = str(thing.__globals__.get("__name__") if is_function else type(thing).__module__)
        if is_function or type(thing) is partial or _top(home) == PACKAGE or is_own(home):
            self.packages_own = _top(home) == PACKAGE
        try:
            found = _hash(self.parts(thing))
        finally:
            self.packages_own = before
            del self.begun[key]
        self.done[key] = found
        self.kept.append(thing)
        return found

    def link(self, key: int, method: str = "") -> None:
        """Note that what is walked through now has this thing as a part."""
        if self.begun:
            self.parts_of.setdefault(next(reversed(self.begun)), []).append((key, method))

    def text(self, thing: str | PurePath) -> None:
        """Note a text that names a file. Under a key, it counts where other code mentions the key.

        It is not known what the text is for: something will read the file, or nothing.
        """
        unread = self.lenient or self.packages_own or not self.begun
        if unread or not names_a_file(thing):
            return
        where = f" in {self.names[-1]!r:.40}" if self.names else ""
        number = -1 - len(self.reads)
        self.reads[number] = f"{shortened(str(thing))!r}{where} {OF_A_FILE}"
        self.link(number, self.key)

    @contextmanager
    def at(self, name: str, key: str = "") -> Iterator[None]:
        before = self.key
        self.names.append(name)
        self.key = key
        yield
        self.names.pop()
        self.key = before

    def parts(self, thing: Any) -> Iterator[bytes]:
        if (name := _library_name(thing)) is not None:
            if reads_outside(name.partition(" ")[0]):
                self.read(thing, Reading(name.partition(" ")[0]))
            yield from (b"named", name.encode())
        elif thing is os.environ:
            self.read(thing, Reading("os.environ"))
            yield b"environment"
        elif isinstance(thing, Tensor):
            yield from self.tensor(thing)
        elif isinstance(thing, PurePath):
            self.text(thing)
            yield from (type(thing).__name__.encode(), str(thing).encode())
        elif isinstance(thing, (np.ndarray, np.generic)):
            yield from self.array(np.asarray(thing))
        elif type(thing) in (tuple, list):
            yield type(thing).__name__.encode()
            yield from map(self.digest, thing)
        elif type(thing) in (set, frozenset):
            yield b"set"
            yield from sorted(map(self.digest, thing))
        elif type(thing) in (dict, MappingProxyType):
            yield b"dict"
            yield from self.entries(thing)
        elif isinstance(thing, CodeType):
            yield from self.code(thing)
        elif isinstance(thing, FunctionType):
            yield from self.function(thing)
        elif isinstance(thing, MethodType):
            yield from (b"method", self.digest(thing.__func__), self.digest(thing.__self__))
        elif isinstance(thing, (staticmethod, classmethod)):
            yield from (type(thing).__name__.encode(), self.digest(thing.__func__))
        elif isinstance(thing, property):
            yield b"property"
            yield from map(self.digest, (thing.fget, thing.fset, thing.fdel))
        elif isinstance(thing, cached_property):
            yield from (b"cached property", self.digest(thing.func))
        elif isinstance(thing, BuiltinFunctionType):
            yield from (b"builtin", thing.__qualname__.encode(), self.digest(thing.__self__))
        elif isinstance(
            thing,
            (WrapperDescriptorType, MethodDescriptorType, GetSetDescriptorType)
            + (MemberDescriptorType,),
        ):
            yield from (b"slot", thing.__qualname__.encode())
        elif isinstance(thing, type):
            yield from self.class_(thing)
        elif isinstance(thing, ModuleType):
            yield from (b"module", _file_bytes(thing))
        elif type(thing) is partial:
            given = [*thing.keywords.items()]  # all of them are used, whatever their names are
            yield b"partial"
            yield from map(self.digest, (thing.func, thing.args, given, vars(thing)))
        elif hasattr(thing, "__wrapped__") and hasattr(thing, "cache_parameters"):
            yield b"cached"
            yield from map(self.digest, (thing.__wrapped__, thing.cache_parameters()))
        else:
            yield from self.instance(thing)

    def entries(self, table: Mapping[Any, Any]) -> Iterator[bytes]:
        for key, value in table.items():
            yield _constant(key) or self.digest(key)
            with self.at(str(key), key if isinstance(key, str) else self.key):
                yield self.digest(value)

    def tensor(self, thing: Tensor) -> Iterator[bytes]:
        if thing.is_meta or thing.layout != torch.strided or thing.is_quantized:
            yield self.refused(thing)
            return
        if self.lenient and thing.nbytes > LARGE:
            return
        dense = thing.detach().cpu().resolve_conj().resolve_neg().contiguous()
        yield from (b"tensor", type(thing).__name__.encode(), str(dense.dtype).encode())
        yield repr(tuple(dense.shape)).encode()
        yield hashlib.sha256(dense.reshape(-1).view(torch.uint8).numpy().data).digest()
        yield self.digest(vars(thing))

    def array(self, thing: np.ndarray) -> Iterator[bytes]:
        if self.lenient and thing.nbytes > LARGE:
            return
        yield from (b"array", repr(thing.dtype.descr).encode(), repr(thing.shape).encode())
        if thing.dtype.hasobject:
            yield self.digest(thing.tolist())
        else:
            yield hashlib.sha256(thing.tobytes()).digest()

    def code(self, thing: CodeType) -> Iterator[bytes]:
        yield from (b"code", thing.co_code, thing.co_exceptiontable)
        counts = (thing.co_argcount, thing.co_posonlyargcount, thing.co_kwonlyargcount)
        names = (thing.co_names, thing.co_varnames, thing.co_freevars, thing.co_cellvars)
        yield repr((counts, thing.co_flags, names)).encode()
        yield from (_constant(value) or self.digest(value) for value in thing.co_consts)

    def function(self, thing: FunctionType) -> Iterator[bytes]:
        code, scope = thing.__code__, thing.__globals__
        yield from (b"function", self.digest(code))
        for name, cell in zip(code.co_freevars, thing.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not assigned yet
                yield b"empty"
                continue
            self.places.append(Place(cell, "cell_contents", value))
            with self.at(name):
                yield self.digest(value)
        defaults = [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
        self.places += [Place(None, "", value) for value in defaults]
        with self.at(thing.__name__):
            yield from map(self.digest, (thing.__defaults__, thing.__kwdefaults__))
        yield self.digest({k: v for k, v in vars(thing).items() if k != "__wrapped__"})
        if _installed(str(scope.get("__name__"))) is None:
            self.mentioned[id(thing)], self.used_keys[id(thing)] = _names(code)[2], _keys(code)
            if found := outside_reads(thing, lambda module: _installed(module) is not None):
                self.read(thing, found[0], f" in {thing.__name__!r:.40}")
            yield from self.globals(code, scope)

    def globals(self, code: CodeType, scope: Mapping[str, Any]) -> Iterator[bytes]:
        """What the code, and the code in it, reads of the module that it stands in."""
        read, imported, mentioned = _names(code)
        for name in read:
            if name in scope:
                self.places.append(Place(scope, name, scope[name]))
                yield name.encode()
                with self.at(name):
                    yield self.used(scope[name], mentioned)
            elif not hasattr(builtins, name):
                self.places.append(Place(scope, name, MISSING))
                yield from (name.encode(), b"missing")
        for level, name in imported:
            with self.at(name):
                module = _import(name, level, scope)
                yield from (name.encode(), b"missing" if module is None else b"")
                if module is not None:
                    yield self.used(module, mentioned)

    def used(self, thing: object, mentioned: frozenset[str]) -> bytes:
        """A global, by what is used of it: of a module that is no library's, these names."""
        if not isinstance(thing, ModuleType) or _installed(thing.__name__) is not None:
            return self.digest(thing)
        found = sorted(mentioned & vars(thing).keys())
        if not found:
            return self.digest(thing)
        self.link(id(thing))
        if id(thing) in self.begun:
            return _hash([b"above"])
        self.begun[id(thing)] = len(self.begun)
        parts = []
        for name in found:
            self.places.append(Place(vars(thing), name, vars(thing)[name]))
            with self.at(name):
                parts += [name.encode(), self.used(vars(thing)[name], mentioned)]
        del self.begun[id(thing)]
        return _hash([b"module", *parts])

    def class_(self, thing: type) -> Iterator[bytes]:
        if not thing.__flags__ & HEAP_TYPE:
            yield from (b"class", thing.__module__.encode(), thing.__qualname__.encode())
            return
        yield from (b"class", thing.__name__.encode(), self.digest(type(thing)))
        yield from map(self.digest, thing.__bases__)
        own = {k: v for k, v in vars(thing).items() if k not in NO_PART_OF_A_CLASS}
        self.places.append(Place(thing, "", own))
        for name, value in own.items():
            yield self.digest(name)
            with self.at(name, name):
                yield self.digest(value, name)

    def instance(self, thing: Any) -> Iterator[bytes]:
        """An instance by what it would be copied from: its class and its state."""
        try:
            known = copyreg.dispatch_table.get(type(thing))
            made: Any = known(thing) if known else None
            if known is None:
                whole = _pickles_in_its_own_way(type(thing))
                made = _all_of(thing) if whole else thing.__reduce_ex__(4)
        except RecursionError:
            raise
        except Exception:  # whatever an instance of somebody else's class may raise
            yield self.refused(thing)
            return
        yield from (b"instance", self.digest(type(thing)))
        if isinstance(made, str):
            yield made.encode()
            return
        maker, arguments, state, items, pairs, *setter = (*made, None, None, None)[:6]
        yield from map(self.digest, (maker, arguments, setter))
        if isinstance(state, dict):
            yield from self.entries(state)
        else:
            yield self.digest(state)
        yield from map(self.digest, (list(items or ()), list(pairs or ())))

    def read(self, thing: object, found: Reading, where: str = "") -> None:
        self.reads[id(thing)] = f"{shortened(found.words)!r}{where} {found.what}"

    def refused(self, thing: object) -> bytes:
        """Raise for what no digest can stand for. A lenient walk takes its type for it."""
        if self.lenient:
            return type(thing).__name__.encode()
        where = f"{'.'.join(self.names[-3:])!r} is " if self.names else "it holds "
        raise BadInput(
            f"{self.owner}: {where}a {type(thing).__name__}, which a folder cannot tell from "
            f"another; {self.remedy}, and another version whenever it changes"
        ) from None


def _pickles_in_its_own_way(kind: type) -> bool:
    """Whether a class of somebody's own says what its instances are pickled as."""
    ways = ("__getstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")
    own = (k for k in kind.__mro__ if k.__flags__ & HEAP_TYPE and _installed(k.__module__) is None)
    return any(way in vars(k) for k in own for way in ways)


def _all_of(thing: Any) -> tuple[Any, ...]:
    """All attributes of an instance, and what it holds as a list or a dictionary.

    Raises:
        TypeError: the instance holds more than Python shows.
    """
    root: Any = next(k for k in type(thing).__mro__ if not k.__flags__ & HEAP_TYPE)
    if root not in (object, list, dict, tuple, set, frozenset, int, float, str):
        raise TypeError(f"a {root.__name__} may hold more")
    state = object.__getstate__(thing)
    held = root if root is object else root(thing)
    return root, (held,), state


def _hash(parts: Iterable[bytes]) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.digest()


def _plain_value(thing: object) -> bytes | None:
    """A number, a text or a constant as bytes; None for all else."""
    kind = type(thing)
    if kind in (bool, int, type(None), type(Ellipsis), type(NotImplemented)):
        return f"{kind.__name__} {thing}".encode()
    if kind is float:
        return b"float " + struct.pack("<d", thing)
    if kind is complex:
        assert isinstance(thing, complex)
        return b"complex " + struct.pack("<dd", thing.real, thing.imag)
    if kind is str:
        assert isinstance(thing, str)
        return b"str " + thing.encode("utf-8", "surrogatepass")
    if kind is bytes:
        assert isinstance(thing, bytes)
        return b"bytes " + thing
    return None


def _constant(thing: object) -> bytes | None:
    """The digest of a constant of code, or of a plain key; None for all else."""
    if (plain := _plain_value(thing)) is not None:
        return _hash([plain])
    if not isinstance(thing, (tuple, frozenset)):
        return None
    parts = [_constant(part) or b"" for part in thing]
    if not all(parts):
        return None
    return _hash([b"tuple", *parts] if isinstance(thing, tuple) else [b"set", *sorted(parts)])


def _library_name(thing: Any) -> str | None:
    """The name and version of what belongs to a library or to this package; None for all else."""
    if isinstance(thing, ModuleType):
        version = _installed(thing.__name__)
        return None if version is None else f"{thing.__name__} {version}"
    module, name = (getattr(thing, kind, None) for kind in ("__module__", "__qualname__"))
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    if (version := _installed(module)) is None:
        return None
    return f"{module}.{name} {version}" if _found(module, name) is thing else None


def _found(module: str, name: str) -> object:
    """What a module has under this name, with a dot where it stands in a class."""
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _top(module: str) -> str:
    return module.partition(".")[0]


def _installed(module: str) -> str | None:
    """The version of the library that a module belongs to; None for a module of somebody's own."""
    return _version(_top(module))


@cache
def _version(top: str) -> str | None:
    if top == PACKAGE:
        return ""
    if top == "__main__" or not top.isidentifier():
        return None
    place = _place(top)
    if place is None:
        known = top in sys.builtin_module_names or top in sys.stdlib_module_names
        return _python() if known else None
    if not {"site-packages", "dist-packages"} & {*place.parts}:
        library = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
        return _python() if any(place.is_relative_to(path) for path in library) else None
    found = _release(top, place)
    shared = place.is_dir()  # several distributions may each have a part of it
    if found is None or shared:
        parts = [_release(name, place) for name in _distributions().get(top, ()) if name != top]
        found = ", ".join(part for part in (found, *parts) if part is not None) or None
    return _sources(place) if found is None else found


def _release(name: str, place: Path) -> str | None:
    """The version of a distribution, with the digest of its files where they may change under it.

    Whoever installs from a folder, an archive or a repository gets a direct_url.json. So may conda,
    which has an index all the same.
    """
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    version = found.version.partition("+")[0]
    installer = (found.read_text("INSTALLER") or "").strip()
    if found.read_text("direct_url.json") is None or installer == "conda":
        return version
    return f"{version} {_sources(place, found.read_text('RECORD') or '')}"


@cache
def _sources(place: Path, record: str = "") -> str:
    """The digest of a module's code, and of the names and sizes of its other files.

    Args:
        place: of the module.
        record: the lines of the installer about each file, which have digests.
    """
    root = place.parent if place.stem.partition(".")[0] == "__init__" else place
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if path.is_file() and path.suffix != ".pyc":
            code = path.suffix == ".py" or path == root
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() if code else str(path.stat().st_size).encode())
    lines = (line for line in record.splitlines() if line.startswith(f"{root.name}/"))
    digest.update("\n".join(sorted(line for line in lines if ".pyc," not in line)).encode())
    return digest.hexdigest()


def _place(top: str) -> Path | None:
    """Where a module lies, whether it is loaded or not."""
    module = sys.modules.get(top)
    try:
        found = module.__spec__ if module is not None else util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        found = None
    path = getattr(module, "__file__", None) or (found.origin if found else None)
    if found is not None and not found.has_location:
        path = next(iter(found.submodule_search_locations or ()), None)
    return None if path is None else Path(path).absolute()


def _python() -> str:
    return "Python {}.{}".format(*sys.version_info)


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _file_bytes(module: ModuleType) -> bytes:
    """The digest of a module's file; that of its name where it has none."""
    try:
        content = Path(str(module.__file__)).read_bytes()
    except (AttributeError, OSError):
        content = module.__name__.encode()
    return hashlib.sha256(content).digest()


@cache
def _names(code: CodeType) -> tuple[list[str], list[tuple[int, str]], frozenset[str]]:
    """The globals that this code and the code in it read, what they import, and all their names."""
    read: set[str] = set()
    imported: set[tuple[int, str]] = set()
    mentioned = {*code.co_names}
    steps = [*dis.get_instructions(code)]
    for number, step in enumerate(steps):
        if step.opname in GLOBAL_READ:
            read.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            level = steps[number - 2].argval  # how many packages up a relative import begins
            imported.add((level if isinstance(level, int) else 0, step.argval))
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            also_read, also_imported, also_mentioned = _names(inner)
            read |= {*also_read}
            imported |= {*also_imported}
            mentioned |= also_mentioned
    return sorted(read), sorted(imported), frozenset(mentioned)


@cache
def _keys(code: CodeType) -> frozenset[str]:
    """The attributes that this code and the code in it read, and their arguments and texts."""
    found: set[str] = set()
    if code.co_name != "__init__":  # whose arguments become attributes
        found |= {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
    found |= {step.argval for step in dis.get_instructions(code) if step.opname in ATTRIBUTE}
    for value in code.co_consts:
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, CodeType):
            found |= _keys(value)
    return frozenset(found)


def _import(name: str, level: int, scope: Mapping[str, Any]) -> ModuleType | None:
    """The module that an import inside a function finds, or None. A library stays unloaded."""
    try:
        whole = util.resolve_name("." * level + name, str(scope.get("__package__") or ""))
        if _installed(whole) is not None:
            return sys.modules.get(_top(whole)) or ModuleType(_top(whole))
        return importlib.import_module(whole)
    except ImportError:
        return None
