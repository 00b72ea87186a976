"""Notebook 5, U-AMTFL: its parameters, and a headless run with others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
import test_notebooks as rules
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from mtl_nt import BadInput, report

NAME = "05_u_amtfl"
READINGS = ["outside", "inside"]
FAST: dict[str, Any] = {
    **{"datasets": ["dial-dominant"], "readings": READINGS, "rates": [0.001, 0.1]},
    **{"alphas": [0.0, 0.1], "gammas": [0.01, 1.0], "budgets": [10, 20]},
    **{"seeds": [0, 1], "steps": 20},
}
WRONG = (
    "[(check_1, [1, 1, 1]), (check_2, lambda l, s, o, a, m: l), "
    "(check_3, 'none of these', counted)]"
)


def test_its_sliders_have_many_stops_on_real_and_made_data() -> None:
    given = rules.parameters(NAME)
    assert len(given["alphas"]) >= 11
    assert len(given["gammas"]) >= 5
    assert given["seeds"] >= 8
    assert (given["alpha"], given["gamma"]) == (0.1, 0.01)
    assert {"digits", "dial-dominant", "dial-noisy", "dial-unrelated"} <= set(given["datasets"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"dataset": "dial-noisy"}, "must be exclusive classes"),
        ({"datasets": ["dial-dominent"]}, "did you mean 'dominant' or"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alphas": "half"}, "alpha 'half'"),
        ({"alpha": 0.15}, "must be one of alphas"),
        ({"gammas": [0.01, -2.0]}, "gamma -2"),
        ({"gamma": 0.02}, "must be one of gammas"),
        ({"strong": -1.0}, "gamma -1"),
        ({"readings": ["outsde"]}, "did you mean 'outside'"),
        ({"readings": []}, "unknown reading None"),
        ({"readings": ["variance"]}, "needs dropout"),
        ({"rates": [0.0]}, "learning_rate 0"),
        ({"rates": []}, "learning_rate 0"),
        ({"budgets": [0]}, "steps 0"),
        ({"budgets": []}, "steps 0"),
        ({"own": {"digits": {"trunk": [0]}}}, "trunk"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
        ({"seeds": []}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ],
)
def test_an_impossible_parameter_is_refused_in_one_line_before_any_training(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        rules.prelude(NAME, **changed)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The notebook, run with few steps, with one more cell: every check refuses a wrong answer."""
    folder: Path = tmp_path_factory.mktemp("notebook")
    longer = nbformat.from_dict(json.loads(nbformat.writes(rules.BOOK[NAME])))
    longer.cells.append(nbformat.v4.new_code_cell(rules.REFUSED.format(wrong=WRONG)))
    nbformat.write(longer, folder / "in.ipynb")
    return report.run(folder / "in.ipynb", folder / "out.ipynb", **FAST)


@pytest.mark.slow
def test_exercises_wait_for_an_answer_and_their_solutions_are_right(done: NotebookNode) -> None:
    waiting = [f"'Exercise {n}: no answer yet.'" for n in (1, 2, 3)]
    assert rules.said(done, "exercise") == waiting
    assert rules.said(done, "solution") == ["'Right.'"] * 3


@pytest.mark.slow
def test_what_needs_no_budget_holds_with_few_steps_too(done: NotebookNode) -> None:
    printed = "".join(rules.said(done, "claim"))
    assert "holds: the rarest digit has the lowest loss by its prior" in printed


@pytest.mark.slow
def test_every_picture_is_described(done: NotebookNode) -> None:
    shown = [o for c in done.cells for o in c.get("outputs", []) if "data" in o]
    pictures = [o for o in shown if "image/png" in o.data]
    assert len(pictures) >= 5
    assert all(len(o.metadata["image/png"].get("alt", "")) > 20 for o in pictures)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "sets"), [("alpha-explorer", 2), ("gamma-explorer", 2)])
def test_an_explorer_has_another_picture_at_every_stop(
    done: NotebookNode, cell: str, sets: int
) -> None:
    (shown,) = rules.outputs(done, cell)
    assert "application/vnd.jupyter.widget-view+json" in shown.data
    script = BeautifulSoup(shown.data["text/html"], "html.parser").find("script")
    assert script is not None
    pages = json.loads(script.text)["pages"]
    assert [len(each) for each in pages] == [2] * sets
    assert len({page["src"] for each in pages for page in each}) == sets * 2


@pytest.mark.slow
def test_u_amtfl_is_compared_with_its_own_parts_directly(done: NotebookNode) -> None:
    (shown,) = rules.outputs(done, "help-words")
    text = shown.data["text/markdown"]
    for data in ("digits, 2 runs on this split", "dial-dominant, 2 runs on new data"):
        assert data in text
    for pair in ("Deep-AMTFL against MTL-CNN: ", "U-AMTFL against Deep-AMTFL: "):
        assert text.count(pair) == 2
    assert "U-AMTFL on digits against MTL, twice the rate: " in text
