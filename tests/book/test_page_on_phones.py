"""What fits into the column of a page, and into the width of a phone, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import CHROMIUM, chromium
from pages import Visit
from playwright.sync_api import Browser
from samples import png

from mtl_nt.book.explorers import explorer
from mtl_nt.book.markup import html_document

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a program named chromium"),
]
COLUMN = 768  # pixels of text on a page
CELL = "<td>+0.40 [+0.29, +0.51], better</td>"
WIDE = f"<table><tbody><tr>{CELL * 8}</tr></tbody></table>"
NOTE = "(MSE, in units of the variance of the signal; above 0 is better.) " * 4


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("width", [390, 1280])
def test_a_note_below_a_wide_table_stays_in_the_column(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    path = tmp_path / "note.html"
    inside = f'<div class="output_subarea rendered_html">{WIDE}<p>{NOTE}</p></div>'
    path.write_text(html_document("note", inside), encoding="utf-8")
    with Visit(browser, path, width) as visit:
        box = visit.page.locator("p", has_text="MSE").bounding_box()
        assert box and box["width"] <= min(COLUMN, width - 32)


def test_a_control_with_a_long_name_and_long_values_fits_on_a_phone(
    browser: Browser, tmp_path: Path
) -> None:
    pictures = [(png(n), f"picture {n}") for n in (1, 2)]
    kinds = {"dial-unrelated, in the first fifth of training": pictures, "digits": pictures}
    shown = explorer(kinds, [0, 1], label="training", name="data set, reading")
    path = tmp_path / "controls.html"
    path.write_text(html_document("controls", shown.html), encoding="utf-8")
    with Visit(browser, path, 390) as visit:
        for control in visit.page.locator(".nt-controls select, .nt-controls input").all():
            box = control.bounding_box()
            assert box and box["x"] + box["width"] <= 390 - 16
