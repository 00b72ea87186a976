"""The folder of an audit: what is finished stays there, whatever ends the program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..files import LARGE_FILE, read_bytes, temporary_folder, write_atomically
from ..study import load_json

LABEL = "asked.json"
"""The file that says which audit a folder belongs to. It is there before any other file."""


class AuditFolder:
    """A folder of JSON files, each with a checksum of itself and of the audit that is asked for.

    The checksum tells whether a file is damaged, or belongs to another audit. It does not tell who
    wrote the file: the numbers in a folder are worth what its owner is trusted to say.

    Args:
        path: the folder, which is made where it is missing.
        asked: what the audit depends on. A folder with another label is refused.

    Raises:
        BadInput: the folder holds something else, is damaged, or cannot be used.

    >>> import tempfile
    >>> folder = AuditFolder(Path(tempfile.mkdtemp()), {"data": "dial", "seeds": [100, 101]})
    >>> folder.put("plan.json", {"steps": 20})
    {'steps': 20}
    >>> folder.get("plan.json")
    {'steps': 20}
    >>> folder.get("affinity.json") is None
    True
    """

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        self.path, self.asked = path, json.loads(json.dumps(asked))
        try:
            path.mkdir(parents=True, exist_ok=True)
            others = [each.name for each in path.iterdir() if not each.name.startswith(".")]
            label = self._label()
            if label is None and others:
                raise BadInput(
                    f"results folder {str(path)!r} is no audit's: {others[0]} is in it; give an "
                    "empty folder"
                )
            if label is None:
                with temporary_folder(path):
                    return  # better now than after the training; the first file brings its label
        except OSError as error:
            raise BadInput(
                f"results folder {str(path)!r} cannot be used ({error.strerror}); give another"
            ) from None
        self._check(label)

    def get(self, name: str, schema: Any = Any) -> Any:
        """What a file says. It is None where the file is missing, or is not what was written.

        Args:
            schema: the type that the content must have, as `study.load_json` takes it.

        Raises:
            BadInput: the content has another type.
        """
        try:
            checksum, _, text = read_bytes(self.path / name, LARGE_FILE).decode().partition("\n")
        except (OSError, ValueError):
            return None
        if checksum != self._checksum(name, text):
            return None
        try:
            return load_json(text, schema)
        except ValueError:
            raise BadInput(
                f"{self.path / name} is no audit of this version; give another folder"
            ) from None

    def put(self, name: str, value: Any, replace: bool = False) -> Any:
        """Write a file, and return what it says. A run beside this one may have written it first.

        Args:
            replace: whether the file is written anew where it is there already.

        Raises:
            BadInput: the file cannot be written, or the folder belongs to another audit by now.
        """
        text = json.dumps(value)
        if not replace and (written := self.get(name)) is not None:
            return written
        self.claim()
        try:
            write_atomically(self.path / name, f"{self._checksum(name, text)}\n{text}".encode())
        except OSError as error:
            raise BadInput(f"{self.path / name} cannot be written: {error.strerror}") from None
        return json.loads(text)

    def claim(self) -> None:
        """Write which audit the folder belongs to, before it holds anything else.

        Raises:
            BadInput: the label cannot be written, or the folder belongs to another audit by now.
        """
        label = self.path / LABEL
        try:
            if not label.exists():
                write_atomically(label, json.dumps(self.asked).encode(), replace=False)
        except OSError as error:
            raise BadInput(f"{label} cannot be written: {error.strerror}") from None
        self._check(self._label())  # another audit may have come first

    def _label(self) -> Any:
        """What the folder was asked for; None where it has no label yet."""
        try:
            return load_json(read_bytes(self.path / LABEL), Any)
        except FileNotFoundError:
            return None
        except ValueError:
            raise BadInput(
                f"results folder {str(self.path)!r} cannot be used ({LABEL} is damaged); "
                "give another folder"
            ) from None

    def _check(self, label: Any) -> None:
        """Refuse the label of another audit."""
        if label != self.asked:
            differ = [
                key
                for key in self.asked
                if not isinstance(label, dict) or label.get(key) != self.asked[key]
            ]
            raise BadInput(
                f"results folder {str(self.path)!r} holds another audit ({', '.join(differ)} "
                "differs); give another folder"
            )

    def _checksum(self, name: str, text: str) -> str:
        return hashlib.sha256(json.dumps([self.asked, name, text]).encode()).hexdigest()
