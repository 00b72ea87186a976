"""What a path names: a table that is read here, or something else, and what to do then.

Nothing in a file is ever executed or unpickled, and what unpacks to more than a stated limit is
refused before it fills the memory.
"""

from __future__ import annotations

from pathlib import Path

from .. import files
from ..tasks import BadInput
from .csv_sheet import TextSheet
from .expression import SEPARATORS
from .parquet_sheet import ParquetSheet
from .sheets import plain, regular

Sheet = TextSheet | ParquetSheet

ANSWERS = {
    ".xlsx": "save the sheet as CSV",
    ".xls": "save the sheet as CSV",
    ".ods": "save the sheet as CSV",
    ".zip": "unpack it and give the table in it",
    ".pkl": "pickles are never read; save the table as CSV",
    ".pickle": "pickles are never read; save the table as CSV",
    ".txt": "name it .csv or .tsv, after what separates its columns",
}
"""What to do with files that are no tables, by the end of their names."""


def is_table(name: object) -> bool:
    """Whether this names a file, by its type or its end, and not a data set."""
    if isinstance(name, Path):
        return True
    return isinstance(name, str) and name.lower().endswith((*SEPARATORS, *ANSWERS))


def opened(path: str | Path) -> Sheet:
    """A table's file, its header read.

    Args:
        path: a CSV or TSV in UTF-8, also as .gz, or a Parquet.

    Raises:
        BadInput: no such file, one that is no table, or a header with faults.
    """
    if not isinstance(path, (str, Path)) or not str(path):
        raise BadInput(f"table {path!r}: give the path of a .csv, .tsv or .parquet")
    path = Path(path)
    where = plain(path.name or path)
    about = regular(path, f"{where}:", "give the path of a table", "no such file")
    name = path.name.lower()
    if answer := next((ANSWERS[end] for end in ANSWERS if name.endswith(end)), None):
        raise BadInput(f"{where}: is no table that is read here; {answer}")
    suffix = next((end for end in SEPARATORS if name.endswith(end)), None)
    if suffix is None:
        raise BadInput(f"{where}: its name must end with one of {', '.join(SEPARATORS)}")
    if suffix == ".parquet":
        return ParquetSheet(path, where, about)
    return TextSheet(path, where, about, SEPARATORS[suffix])


def digest(path: str | Path) -> str:
    """The SHA-256 of a table's file. Raises BadInput as `opened` does."""
    sheet = opened(path)
    try:
        return files.digest(path)
    except OSError as error:
        raise BadInput(f"{sheet.where}: cannot be read ({plain(error.strerror)})") from None


def stem(path: Path) -> str:
    """The file's name without the ending that says what it is."""
    name = path.name
    end = next(end for end in SEPARATORS if name.lower().endswith(end))
    return " ".join(name[: len(name) - len(end)].split()) or "table"
