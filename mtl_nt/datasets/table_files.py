"""The way from a path to a sheet: which files are read as tables, and by which reader.

Nothing in a file is ever executed or unpickled. A file that unpacks to more than a stated limit is
refused before it fills the memory.
"""

from __future__ import annotations

from pathlib import Path

from .. import files
from ..errors import BadInput
from .csv_sheet import CSVSheet
from .parquet_sheet import ParquetSheet
from .sheets import SEPARATOR_OF_SUFFIX, check_file, one_line

Sheet = CSVSheet | ParquetSheet

ANSWERS = {
    ".xlsx": "save the sheet as CSV",
    ".xls": "save the sheet as CSV",
    ".ods": "save the sheet as CSV",
    ".zip": "unpack it and give the table in it",
    ".pkl": "pickles are never read; save the table as CSV",
    ".pickle": "pickles are never read; save the table as CSV",
    ".txt": "name it .csv or .tsv, after what separates its columns",
}
"""What to do with files of other kinds, by the endings of their names."""


def is_table(name: object) -> bool:
    """Tell whether this names a file rather than a data set.

    A `Path` names a file, and so does a text with the ending of a table or of another known kind.

    >>> is_table("my.csv"), is_table("my.xlsx"), is_table("tox21")
    (True, True, False)
    """
    if isinstance(name, Path):
        return True
    return isinstance(name, str) and name.lower().endswith((*SEPARATOR_OF_SUFFIX, *ANSWERS))


def open_sheet(path: str | Path, least: int = 2) -> Sheet:
    """Open a table's file and read its header.

    Args:
        path: a CSV or TSV in UTF-8, also as .gz, or a Parquet.
        least: how many columns it must have.

    Raises:
        BadInput: no such file, one that is no table, or a header with a fault.

    >>> open_sheet("no.csv")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: no.csv: no such file; give the path of a table
    """
    if not isinstance(path, (str, Path)) or not str(path):
        raise BadInput(f"table {path!r}: give the path of a .csv, .tsv or .parquet")
    path = Path(path)
    where = one_line(path.name or path)
    status = check_file(path, f"{where}:", "give the path of a table", "no such file")
    name = path.name.lower()
    if answer := next((ANSWERS[end] for end in ANSWERS if name.endswith(end)), None):
        raise BadInput(f"{where}: is no table that is read here; {answer}")
    suffix = next((end for end in SEPARATOR_OF_SUFFIX if name.endswith(end)), None)
    if suffix is None:
        raise BadInput(f"{where}: its name must end with one of {', '.join(SEPARATOR_OF_SUFFIX)}")
    if suffix == ".parquet":
        return ParquetSheet(path, where, status)
    return CSVSheet(path, where, status, SEPARATOR_OF_SUFFIX[suffix], least)


def table_digest(path: str | Path) -> str:
    """Return the SHA-256 of a table's file.

    Raises:
        BadInput: no such file, one that is no table, or a header with a fault.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "my.csv"
    ...     _ = path.write_bytes(b"x,y\\n1,0\\n")
    ...     table_digest(path)[:12]
    '1c2774606e09'
    """
    sheet = open_sheet(path)
    try:
        return files.digest(path)
    except OSError as error:
        raise BadInput(f"{sheet.where}: cannot be read ({one_line(error.strerror)})") from None


def stem(path: Path) -> str:
    """Return the name of a table's file without its ending.

    >>> stem(Path("data/my table.csv.gz"))
    'my table'
    """
    name = path.name
    end = next(end for end in SEPARATOR_OF_SUFFIX if name.lower().endswith(end))
    return " ".join(name[: len(name) - len(end)].split()) or "table"
