"""A question names the option that answers it, with the columns that it is about."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_tables import plain, write

from mtl_nt import load
from mtl_nt.arguments import parser
from mtl_nt.audit.command import READ_OPTIONS
from mtl_nt.datasets import Unanswered


def nominal(frame: pd.DataFrame) -> pd.DataFrame:
    """Nine classes in no order."""
    random = np.random.default_rng(1)
    rank = pd.qcut(frame["y_2"], 9, labels=False)
    return frame.assign(y_2=random.permutation(9)[rank])


CASES: dict[str, Any] = {
    "classes": nominal,
    "beside 0 and 1": lambda f: f.assign(y_3=f["y_3"].where(f.index % 4 > 0, -1)),
    "far": lambda f: f.assign(y_1=f["y_1"].where(f.index % 4 > 0, -999)),
    "a giveaway": lambda f: f.assign(heat=f["y_1"] * 2 + 1),
    "molecules": lambda f: f.assign(drug=[f"CC(=O)N{'C' * (k % 20)}O" for k in range(120)]),
}


@pytest.mark.parametrize("case", CASES)
def test_every_answer_that_a_question_names_can_be_given_as_it_stands(
    case: str, tmp_path: Path
) -> None:
    path = write(CASES[case](plain(120)), tmp_path / "my.csv")
    with pytest.raises(Unanswered) as caught:
        load(path)
    (question,) = caught.value.questions
    answers = re.findall(r"--[a-z-]+(?:=\S+| '[^']+')", question)
    assert answers and not re.search(r"--(classes|regression|ignore|keep|smiles)\b(?! ')", question)
    for answer in answers:
        words = shlex.split(answer.rstrip(",;"))
        options = parser().parse_args(["report", str(path), *words])
        given = {name: getattr(options, name) for name in READ_OPTIONS}
        kept = {name: v for name, v in given.items() if v is not None and v is not False}
        if "smiles" in kept:
            pytest.importorskip("rdkit")
        assert load(path, **kept).tasks


def test_yes_is_said_once(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    frame = plain(60)[["y_1", "y_2"]].assign(smiles=["CCO", "CCN", "what"] * 20)
    with pytest.raises(Unanswered) as caught:
        load(write(frame, tmp_path / "my.csv"), smiles="smiles")
    assert caught.value.summary.count("--yes") == 1
    assert caught.value.summary.endswith("; mend them, or --yes leaves them out")
