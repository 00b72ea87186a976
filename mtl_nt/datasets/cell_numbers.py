"""Numbers that are written as texts, and what is wrong with a text that is none."""

from __future__ import annotations

import math
import re

from .csv_layout import COMMA_NUMBER
from .sheets import EMPTY_CELLS, quoted

NO_VALUE = frozenset(
    ("-", "--", "---", ".", "..", "?", "*", "nd", "n.d.", "n.d", "n/d", "nt", "n.t.", "n/t", "nq")
    + ("na.", "n.a.", "n.a", "nil", "missing", "blank", "void", "not available", "not applicable")
    + ("not determined", "not tested", "not measured", "no data", "no value", "nodata", "nat")
    + ("#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#calc!", "-nan", "1.#qnan")
)
"""What people and programs write, in lower case, where there is no number. In a column of numbers
these cells count as empty, and a note names them."""
NUMBER_WORDS = {"true": 1.0, "false": 0.0, **dict.fromkeys(map(str.lower, EMPTY_CELLS), math.nan)}
LIMIT = re.compile(r"(<|>|≤|≥|~|<=|>=)\s*[+-]?\d.*")
SPACED = re.compile(r"[+-]?\d{1,3}([ '\u00a0\u2009\u202f]\d{3})+([.,]\d+)?")
UNIT = re.compile(r"[$€£¥]\s*[+-]?\d+([.,]\d+)*|[+-]?\d+([.,]\d+)?\s*[^\d\s.,]{1,8}")


def parse_number(text: str, decimal: str = ".") -> float | None:
    """Return a cell as a number, NaN where it is empty, and None where it is no number.

    Args:
        text: the cell.
        decimal: the mark before the digits of a fraction, "." or ",".

    >>> parse_number("0,5", decimal=","), parse_number("true"), parse_number(">10")
    (0.5, 1.0, None)
    """
    word = text.strip().lower()
    if word in NUMBER_WORDS:
        return NUMBER_WORDS[word]
    if decimal == ",":
        if "." in word:
            return None
        word = word.replace(",", ".")
    try:
        return None if "_" in word else float(word)
    except ValueError:
        return None


def is_nearly_number(text: str) -> bool:
    """Tell whether a cell is a number with a limit, a comma or a unit.

    >>> is_nearly_number("<0.5"), is_nearly_number("1,234"), is_nearly_number("red")
    (True, True, False)
    """
    word = text.strip()
    shapes = (LIMIT, UNIT, COMMA_NUMBER, SPACED)
    return any(shape.fullmatch(word) for shape in shapes) or parse_number(word, ",") is not None


def explain_text(text: str, decimal: str = ".") -> str:
    """Say what is wrong with a cell that should be a number.

    >>> print(explain_text(">10"))
    '>10' is a limit and no number
    """
    word = text.strip()
    if LIMIT.fullmatch(word):
        return f"{quoted(text)} is a limit and no number"
    if decimal == "." and COMMA_NUMBER.fullmatch(word):
        return f"{quoted(text)} has a comma, for thousands or for decimals"
    if decimal == "." and "," in word and parse_number(word.replace(",", "")) is not None:
        return f"{quoted(text)} has commas for thousands"
    if decimal == "," and "." in word:
        return f"{quoted(text)} has a point, where other numbers have a decimal comma"
    if SPACED.fullmatch(word):
        return f"{quoted(text)} has marks for thousands"
    if UNIT.fullmatch(word):
        return f"{quoted(text)} has a unit"
    return f"{quoted(text)} is no number"
