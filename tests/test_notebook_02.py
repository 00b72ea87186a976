"""Notebook 2, LBTW: its parameters, and a headless run with others."""

from __future__ import annotations

import re
from typing import Any

import book
import pytest
from nbformat import NotebookNode

NAME = "02_lbtw"
WRONG = (
    "[(check_1, [[1, 1], [1, 1]]), (check_2, lambda l, r, a: l), "
    "(check_3, 'none of these', counted)]"
)


def test_the_alpha_slider_goes_through_eleven_alphas_on_real_and_made_data() -> None:
    given = book.parameters(NAME)
    assert len(given["alphas"]) >= 11
    assert given["seeds"] >= 5
    assert given["dataset"] == "digits"
    assert {"mnist", "dial-unrelated", "dial-dominant"} <= set(given["datasets"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"datasets": ["mnits"]}, "did you mean 'mnist' or"),
        ({"dataset": "dial-dominent"}, "did you mean 'dominant' or"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alphas": "half"}, "alpha 'half'"),
        ({"alpha": -0.3}, "alpha -0.3"),
        ({"alpha": "half"}, "alpha 'half'"),
        ({"seeds": []}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ],
)
def test_an_impossible_parameter_is_refused_in_one_line_before_any_training(
    changed: dict[str, Any], said: str
) -> None:
    book.refuses(NAME, said, **changed)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> book.Run:
    """The notebook, run with few steps; every check refuses a wrong answer."""
    return book.Run(NAME, tmp_path_factory.mktemp("notebook"), WRONG, whole=True)


class TestLesson(book.Lesson):
    pictures = 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "sets", "stops"),
    [
        ("tasks-explorer", 1, 3),
        ("picker-explorer", 2, 3),
    ],
)
def test_an_explorer_has_another_picture_at_every_stop(
    done: NotebookNode, cell: str, sets: int, stops: int
) -> None:
    book.has_a_picture_at_every_stop(done, cell, sets, stops)


@pytest.mark.slow
def test_lbtw_is_compared_with_mtl_and_with_its_shuffled_self(done: NotebookNode) -> None:
    (shown,) = book.outputs(done, "help-words")
    text = shown.data["text/markdown"]
    assert "digits" in text and "on this split" in text
    assert re.search(r"LBTW [\d.]+, shuffled, against MTL: [+-]", text)
    assert re.search(r"LBTW [\d.]+ against itself, shuffled: [+-]", text)
