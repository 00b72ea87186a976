"""Numbers that are written as texts, and what is wrong with a text that is none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from .csv_layout import COMMA_NUMBER
from .sheets import EMPTY_CELLS, quoted

NO_VALUE = frozenset(
    ("-", "--", "---", ".", "..", "?", "*", "nd", "n.d.", "n.d", "n/d", "nt", "n.t.", "n/t", "nq")
    + ("na.", "n.a.", "n.a", "nil", "missing", "blank", "void", "not available", "not applicable")
    + ("not determined", "not tested", "not measured", "no data", "no value", "nodata", "nat")
    + ("#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#calc!", "-nan", "1.#qnan")
)
"""What people and programs write, in lower case, where there is no value. Such a cell is empty, as
one of `EMPTY_CELLS` is in upper or lower case, and a note names it."""
RENAME = "If it is a {}, give it another name in the table, such as 'no event'."
NUMBER_WORDS = {"true": 1.0, "false": 0.0, **dict.fromkeys(map(str.lower, EMPTY_CELLS), math.nan)}
LIMIT = re.compile(r"(<|>|≤|≥|~|<=|>=)\s*[+-]?\d.*")
SPACED = re.compile(r"[+-]?\d{1,3}([ '\u00a0\u2009\u202f]\d{3})+([.,]\d+)?")
UNIT = re.compile(r"[$€£¥]\s*[+-]?\d+([.,]\d+)*|[+-]?\d+([.,]\d+)?\s*[^\d\s.,]{1,8}")


def says_no_value(text: str, signs: bool = False) -> bool:
    """Tell whether a cell says that there is no value. It is then empty, in every column.

    The rule is the same for numbers, for categories and for classes.

    Args:
        text: the cell.
        signs: whether other cells of the column are signs such as "+": so are "-" and "?" then.

    >>> says_no_value("None"), says_no_value("n.d."), says_no_value("0"), says_no_value("red")
    (True, True, False, False)
    >>> says_no_value("-"), says_no_value("-", signs=True)
    (True, False)
    """
    word = text.strip().lower()
    if signs and not any(map(str.isalnum, word)):
        return False
    return word in NO_VALUE or math.isnan(NUMBER_WORDS.get(word, 0.0))


def has_signs(texts: Iterable[str]) -> bool:
    """Tell whether some texts are signs that do not say "no value", such as "+" and "**".

    >>> has_signs(["+", "-"]), has_signs(["-", "?", "red"])
    (True, False)
    """
    words = (text.strip() for text in texts)
    return any(w and not any(map(str.isalnum, w)) and w not in NO_VALUE for w in words)


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
