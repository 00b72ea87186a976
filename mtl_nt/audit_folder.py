"""The folder of an audit: what is finished stays, whatever ends the program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import LARGE, content, temporary, write
from .forms import loads
from .tasks import BadInput


class Folder:
    """An audit's folder: JSON files that carry a checksum of themselves and of what is asked.

    The checksum tells what is damaged, or another audit's, and not who wrote it: the numbers in a
    folder are worth what its owner is trusted to say.
    """

    def __init__(self, path: Path, wanted: Mapping[str, Any]) -> None:
        self.path, self.wanted = path, json.loads(json.dumps(wanted))
        try:
            path.mkdir(parents=True, exist_ok=True)
            others = [each.name for each in path.iterdir() if not each.name.startswith(".")]
            known = self._label()
            if known is None and others:  # of ours, asked.json is there before any other
                raise BadInput(
                    f"results folder {str(path)!r} is no audit's: {others[0]} is in it; give an "
                    "empty folder"
                )
            if known is None:
                with temporary(path):
                    return  # better now than after the training; the first file brings its label
        except OSError as error:
            raise BadInput(
                f"results folder {str(path)!r} cannot be used ({error.strerror}); give another"
            ) from None
        self._check(known)

    def _check(self, known: Any) -> None:
        if known != self.wanted:
            differ = [
                k
                for k in self.wanted
                if not isinstance(known, dict) or known.get(k) != self.wanted[k]
            ]
            raise BadInput(
                f"results folder {str(self.path)!r} holds another audit ({', '.join(differ)} "
                "differs); give another folder"
            )

    def _label(self) -> Any:
        try:
            return loads(content(self.path / "asked.json"), Any)
        except FileNotFoundError:
            return None
        except ValueError:
            raise BadInput(
                f"results folder {str(self.path)!r} cannot be used (asked.json is damaged); "
                "give another folder"
            ) from None

    def get(self, name: str, form: Any = Any) -> Any:
        """What a file says; None where it is missing or not what was written.

        Raises:
            BadInput: it says so in another form (see `forms.read`).
        """
        try:
            checksum, _, text = content(self.path / name, LARGE).decode().partition("\n")
        except (OSError, ValueError):
            return None
        if checksum != self._checksum(name, text):
            return None
        try:
            return loads(text, form)
        except ValueError:
            raise BadInput(
                f"{self.path / name} is no audit of this version; give another folder"
            ) from None

    def keep(self, name: str, found: Any) -> Any:
        """Write a file, unless a run beside this one has been faster; what it says then."""
        text = json.dumps(found)
        if (there := self.get(name)) is not None:
            return there
        try:
            if not (label := self.path / "asked.json").exists():
                write(label, json.dumps(self.wanted).encode(), replace=False)
            self._check(self._label())  # another audit may have come first
            write(self.path / name, f"{self._checksum(name, text)}\n{text}".encode())
        except OSError as error:
            raise BadInput(f"{self.path / name} cannot be written: {error.strerror}") from None
        return json.loads(text)

    def _checksum(self, name: str, text: str) -> str:
        return hashlib.sha256(json.dumps([self.wanted, name, text]).encode()).hexdigest()
