"""A plugin for nbval: outputs are compared as they are kept, words exactly and numbers nearly.

Another processor may round otherwise, and a training then ends a little elsewhere. Tables are
compared by what a reader sees of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from nbval.plugin import IPyNbCell, IPyNbFile

from mtl_nt.book.outputs import static_outputs
from mtl_nt.datasets import downloads as files

NUMBER = re.compile(r"\d[\d,]*\.?\d*(?:e[+-]?\d+)?|\.\d+")
NEAR = 0.1  # of the larger of two numbers
DIGIT = 0.02  # of a number with decimals, at least
COUNT = 1  # of one without, at least


class Close(str):
    """Text that equals another one with the same words and about the same numbers."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return False
        if NUMBER.sub("#", self).split() != NUMBER.sub("#", other).split():
            return False
        return all(map(near, NUMBER.findall(self), NUMBER.findall(other)))

    def __ne__(self, other: object) -> bool:
        return not self == other


def near(one: str, other: str) -> bool:
    a, b = (float(text.replace(",", "")) for text in (one, other))
    least = DIGIT if "." in one + other or "e" in one + other else COUNT
    return abs(a - b) <= max(NEAR * max(a, b), least)


def printable(text: str) -> str:
    soup = BeautifulSoup(text, "html.parser") if text.lstrip().startswith("<") else None
    if soup is None:
        return text
    for element in soup(["style", "script"]):
        element.decompose()
    return soup.get_text(" ", strip=True)


GDSC = Path(__file__).resolve().parents[2] / "shared" / "data"
HERE = all((GDSC / f"{name}_v17.csv.gz").exists() for name in ("IC50", "genomic_features"))
exact, start = IPyNbCell.compare_outputs, IPyNbFile.setup


def compare_outputs(self: Any, test: list, ref: list, skip_compare: Any = None) -> bool:
    return bool(exact(self, static_outputs(test, self.cell.id), ref, skip_compare))


def setup(self: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if HERE:
            patch.setenv(files.FOLDER, str(GDSC))
        elif self.path.name.startswith("08"):
            pytest.skip("the files of gdsc are not there: nothing to compare")
        start(self)


IPyNbCell.sanitize = lambda self, text: Close(printable(text)) if isinstance(text, str) else text
IPyNbCell.compare_outputs = compare_outputs
IPyNbFile.setup = setup
