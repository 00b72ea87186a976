"""Notebook 1, negative transfer: its parameters, and a headless run with others."""

from __future__ import annotations

from typing import Any

import book
import pytest
from nbformat import NotebookNode

NAME = "01_negative_transfer"
WRONG = "[(check_1, 42), (check_2, lambda e, s: 0), (check_3, -1, by_width)]"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seeds": 0}, "2 seeds or more"),
        ({"angles": [30, 120]}, "angle 120"),
        ({"angles": []}, "at least one"),
        ({"widths": [3, 0]}, "trunk"),
        ({"steps": 0}, "steps 0"),
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"alphas": [-1.0]}, "alpha -1"),
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
    pictures = 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "sets", "stops"),
    [
        ("angle-explorer", 1, 2),
        ("width-explorer", 1, 2),
        ("real-explorer", 1, 2),
    ],
)
def test_an_explorer_has_another_picture_at_every_stop(
    done: NotebookNode, cell: str, sets: int, stops: int
) -> None:
    book.has_a_picture_at_every_stop(done, cell, sets, stops)


@pytest.mark.slow
def test_the_live_dials_show_a_trained_picture(done: NotebookNode) -> None:
    (shown,) = book.outputs(done, "live")
    assert "trained with angle = 90, trunk width = 2" in shown.data["text/html"]
    assert 'src="data:image/png;base64,' in shown.data["text/html"]
