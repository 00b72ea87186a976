"""The folder of an audit: what is finished stays, whatever ends the program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import parts
from .tasks import BadInput


class Folder:
    """An audit's folder: JSON files that carry a checksum of themselves and of what is asked."""

    def __init__(self, path: Path, wanted: Mapping[str, Any]) -> None:
        self.path, self.wanted = path, json.loads(json.dumps(wanted))
        try:
            path.mkdir(parents=True, exist_ok=True)
            known = self._label()
            if known is None:
                parts.write(path / "asked.json", json.dumps(self.wanted).encode(), replace=False)
                known = self._label()
        except OSError as error:
            raise BadInput(
                f"results folder {str(path)!r} cannot be used ({error.strerror}); give another"
            ) from None
        if known != self.wanted:
            differ = [
                k
                for k in self.wanted
                if not isinstance(known, dict) or known.get(k) != self.wanted[k]
            ]
            raise BadInput(
                f"results folder {str(path)!r} holds another audit ({', '.join(differ)} differs); "
                "give another folder"
            )

    def _label(self) -> Any:
        try:
            return json.loads((self.path / "asked.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise BadInput(
                f"results folder {str(self.path)!r} cannot be used (asked.json is damaged); "
                "give another folder"
            ) from None

    def get(self, name: str) -> Any:
        """What a file says; None where it is missing or not what was written."""
        try:
            checksum, _, text = (self.path / name).read_text(encoding="utf-8").partition("\n")
        except (OSError, ValueError):
            return None
        return json.loads(text) if checksum == self._checksum(name, text) else None

    def keep(self, name: str, content: Any) -> Any:
        """Write a file, unless a run beside this one has been faster; what it says then."""
        text = json.dumps(content)
        if (there := self.get(name)) is not None:
            return there
        try:
            parts.write(self.path / name, f"{self._checksum(name, text)}\n{text}".encode())
        except OSError as error:
            raise BadInput(f"{self.path / name} cannot be written: {error.strerror}") from None
        return json.loads(text)

    def _checksum(self, name: str, text: str) -> str:
        return hashlib.sha256(json.dumps([self.wanted, name, text]).encode()).hexdigest()
