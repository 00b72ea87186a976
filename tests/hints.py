"""What the checks of a chapter's exercises say of a wrong answer, without running the chapter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from book import code
from torch import nn

KNOWN = {"np": np, "pd": pd, "torch": torch, "nn": nn, "normalize": nn.functional.normalize}


class Counts:
    """A study of which only the counts are known: a row per method and alpha."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = pd.DataFrame(rows)

    def counts(self) -> pd.DataFrame:
        return self.rows


def checks(name: str, **known: Any) -> dict[str, Any]:
    """The checks of a chapter, defined where only `known` is known beside the libraries."""
    space = {**KNOWN, **known}
    for cell in code(name, "checks"):
        exec(cell.source, space)
    return space


def hint(check: Any, *wrong: Any) -> str:
    """What a check says when it refuses this answer."""
    with pytest.raises(AssertionError) as refused:
        check(*wrong)
    return str(refused.value)


def solutions_name_wrong_answers(name: str) -> None:
    """Each solution says which wrong answers people give."""
    without = [c.id for c in code(name, "solution") if "rong answer" not in c.source]
    assert without == []
