"""The measures of figures: sizes of letters, and the two forms, for pages and for phones."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH, DPI = 8.0, 100  # inches, pixels an inch
TITLE_HEIGHT, FOOTER_HEIGHT = 0.8, 0.3  # inches kept for the title and for the footer
FOOTER_LENGTH = 104  # letters of the footer, at most
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = (
    14.0,
    13.0,
    11.5,
)  # points; half as large on a phone, and still read there


@dataclass(frozen=True)
class Form:
    """The measures of a figure: one form is for pages, another for phones.

    Attributes:
        width: in inches, of which a page shows 100 pixels each.
        dpi: pixels of the picture an inch. A phone's screen has more of them than a page's.
        title_size, text_size, small_size, foot_size: of letters, in points.
        title_letters, small_letters, foot_letters: letters that fit on a line of the width.
        name_letters: letters of a task's name, at most.
        title_lines: lines of the title, at most.
    """

    width: float
    dpi: int
    title_size: float
    text_size: float
    small_size: float
    foot_size: float
    title_letters: int
    small_letters: int
    foot_letters: int
    name_letters: int
    title_lines: int


PAGE = Form(
    width=WIDTH,
    dpi=DPI,
    title_size=TITLE_SIZE,
    text_size=TEXT_SIZE,
    small_size=SMALL_SIZE,
    foot_size=10,
    title_letters=64,
    small_letters=92,
    foot_letters=FOOTER_LENGTH,
    name_letters=22,
    title_lines=3,
)
PHONE = Form(
    width=3.9,
    dpi=150,
    title_size=11.5,
    text_size=9.5,
    small_size=8.5,
    foot_size=8.0,
    title_letters=36,
    small_letters=58,
    foot_letters=62,
    name_letters=16,
    title_lines=6,
)
