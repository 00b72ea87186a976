"""What the tests of the method chapters ask beside `book.Lesson`: guesses and pictures in HTML."""

from __future__ import annotations

from collections.abc import Sequence

import book
from bs4 import BeautifulSoup
from nbformat import NotebookNode


def guesses_are_checked_in_the_page(
    notebook: NotebookNode, boxes: Sequence[tuple[str, float | str, float | str]]
) -> None:
    """Every box (cell, right, wrong) takes the right answer and not the wrong one, and says why."""
    for cell, right, wrong in boxes:
        (asked,) = book.outputs(notebook, cell)
        page = BeautifulSoup(asked.data["text/html"], "html.parser")
        box = page.find("input")
        assert box is not None
        if isinstance(right, str):  # answers to choose from
            options = [label.get_text() for label in page.find_all("label")]
            said = [answer.get_text() for answer in page.find_all(class_="nt-said")]
            verdicts = dict(zip(options, said, strict=True))
            assert verdicts[right].startswith("Right.") and verdicts[str(wrong)].startswith("No.")
            continue
        low, high = float(str(box["min"])), float(str(box["max"]))
        assert low <= right <= high and not low <= float(wrong) <= high
        (hint,) = page.find_all(class_="nt-wrong")
        assert f"{wrong:g}" in hint.get_text()


def pictures_are_described(notebook: NotebookNode, least: int) -> None:
    """So many pictures in HTML or as PNG, each with words for those who cannot see it."""
    alts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            images = BeautifulSoup(html, "html.parser").find_all("img")
            alts += [str(image.get("alt", "")) for image in images]
            alts += [m.get("alt", "") for m in [output.get("metadata", {}).get("image/png")] if m]
    assert len(alts) >= least
    assert all(len(alt) > 20 for alt in alts)
