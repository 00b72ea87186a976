"""A user's gene expression for `gdsc`: a table of cell lines x genes, read and standardised."""

from __future__ import annotations

import csv
import errno
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from ..errors import BadInput
from ..files import open_unpacked
from .csv_sheet import read_lines
from .parquet_sheet import check_declared_size
from .sheets import SEPARATOR_OF_SUFFIX, check_file, check_unchanged

if TYPE_CHECKING:
    import pandas as pd

EXPRESSION_FORMS = ("counts", "logged")
ROUNDING = 1e-5  # a standard deviation below it, relative to the mean, is float32's rounding
MAX_CELLS = 100_000_000  # GDSC's own expression has 18 million
LARGEST_LOGARITHM = 30  # "counts" up to this, of which some are no whole numbers, are logarithms


class Expression(NamedTuple):
    """The expression of those known cell lines that a user's table has."""

    lines: list[int]  # COSMIC ids, in the order of the known ones
    values: Float32[np.ndarray, "lines genes"]
    form: str  # one of `EXPRESSION_FORMS`


def read_expression(path: str | Path, known: Sequence[int], form: str) -> Expression:
    """Read a table of cell lines x genes, and leave out the lines that are not known.

    Args:
        path: a CSV or TSV, also as .gz, or a Parquet. Its first column, or a Parquet's index, has
            COSMIC ids; the header has the names of the genes. Nothing in it is ever unpickled.
        known: the COSMIC ids of the wanted lines.
        form: "counts" for counts of 0 or more, or "logged" for logarithms.

    Raises:
        BadInput: no such table, a line or a gene that occurs twice, no known line, or a cell that
            is no finite number or not of this form. The message names the place.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "my.csv"
    ...     _ = path.write_text("id,TP53,KRAS\\n683665,5,0\\n1,2,3\\n")
    ...     read_expression(path, known=[683665, 683667], form="counts")
    Expression(lines=[683665], values=array([[5., 0.]], dtype=float32), form='counts')
    """
    if not isinstance(path, (str, Path)):
        raise BadInput(f"expression {path!r}: give the path of a table, cell lines x genes")
    path = Path(path)
    status = check_file(path, f"expression: {path}", "give the path of a table, cell lines x genes")
    where = f"expression {path.name}"
    suffix = "".join(path.suffixes[-1 - (path.suffix.lower() == ".gz") :]).lower()
    if suffix not in SEPARATOR_OF_SUFFIX:
        raise BadInput(f"{where}: its name must end with one of {', '.join(SEPARATOR_OF_SUFFIX)}")
    if suffix == ".parquet":
        genes, table = _read_parquet(path, where, status.st_size)
    else:
        genes, table = _read_text(path, where, SEPARATOR_OF_SUFFIX[suffix])
    check_unchanged(path, status, where)
    _check_genes(genes, where)
    row = _row_of_line(table.index, where)
    lines = [int(line) for line in known if int(line) in row]
    if not lines:
        raise BadInput(
            f"{where}: GDSC has none of its lines ({_first_three(row)}); the first column must "
            "have COSMIC ids such as 683665"
        )
    values = _numbers(table.iloc[[row[line] for line in lines]], genes, where)
    _check_values(values, lines, genes, form, where)
    return Expression(lines, values, form)


def standardise(
    expression: Expression, train: Int[np.ndarray, " train"]
) -> Float32[np.ndarray, "lines genes"]:
    """Standardise expression as networks read it, with statistics of the training lines alone.

    Counts are first corrected for the line's library size: divided by the total of the line and
    multiplied by the median total. Then they are logged, as log(1 + count). Every gene is centred
    and scaled to a standard deviation of 1. A gene that does not vary is 0.

    Source: Peres da Silva, Suphavilai and Nagarajan, AAAI 2021.

    Args:
        expression: the lines and their values.
        train: the row numbers of the training lines.

    >>> values = np.array([[1, 10], [3, 10], [5, 10]], np.float32)
    >>> standardise(Expression([1, 2, 3], values, "logged"), train=np.array([0, 1])).tolist()
    [[-1.0, 0.0], [1.0, 0.0], [3.0, 0.0]]
    """
    values = expression.values
    if expression.form == "counts":
        total = values.sum(1, dtype=np.float64)
        factor = np.median(total[train]) / total
        values = np.log1p(values * factor.astype(np.float32)[:, None])
    training = values[train]
    mean = training.mean(0, dtype=np.float64).astype(np.float32)
    sd = training.std(0, dtype=np.float64).astype(np.float32)
    varies = sd > ROUNDING * np.abs(mean)
    return np.where(varies, (values - mean) / np.where(varies, sd, 1), np.float32(0))


# ---------------------------------------------------------------------------------- the table


def _read_text(path: Path, where: str, separator: str) -> tuple[list[str], pd.DataFrame]:
    import pandas as pd

    try:
        with (
            open_unpacked(path) as content,
            io.BufferedReader(_CellCounter(content, separator.encode()), 2**20) as counted,
            io.TextIOWrapper(counted, "utf-8-sig", newline="") as file,
        ):
            header = next(csv.reader(read_lines(file, where), delimiter=separator), [])
            table = pd.read_csv(
                file, sep=separator, header=None, dtype={0: str}, low_memory=False, index_col=False
            )
    except pd.errors.EmptyDataError:
        raise BadInput(f"{where}: no lines; give a header and one line or more") from None
    except pd.errors.ParserError as error:
        fault = str(error).partition("C error: ")[2] or str(error)
        raise BadInput(
            f"{where}: cannot be read as a table ({_one_line(fault)}); mend it"
        ) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        fault = getattr(error, "strerror", None) or str(error)
        raise BadInput(
            f"{where}: cannot be read as text ({_one_line(fault)}); save the table anew"
        ) from None
    if table.shape[1] != len(header):
        raise BadInput(
            f"{where}: the header has {len(header)} columns, the first line {table.shape[1]}; name "
            "every column, that of the ids too"
        )
    return header[1:], table.set_index(0)


class _CellCounter(io.RawIOBase):
    """A text file that refuses more than `MAX_CELLS`, since pandas holds all cells in memory."""

    def __init__(self, file: Any, separator: bytes) -> None:
        self.file, self.separator, self.cells = file, separator, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        text = self.file.read(len(buffer))
        self.cells += text.count(self.separator) + text.count(b"\n")
        if self.cells > MAX_CELLS:
            raise OSError(errno.EFBIG, f"more than {MAX_CELLS:,} cells or lines")
        buffer[: len(text)] = text
        return len(text)


def _read_parquet(path: Path, where: str, size: int) -> tuple[list[str], pd.DataFrame]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise BadInput(
            f"{where}: reading Parquet needs pyarrow; pip install pyarrow, or save it as .csv"
        ) from None
    import pandas as pd

    try:
        with parquet.ParquetFile(path) as file:
            check_declared_size(file, where, size)
            if file.metadata.num_rows * file.metadata.num_columns > MAX_CELLS:
                raise BadInput(f"{where}: more than {MAX_CELLS:,} cells; leave out genes or lines")
            table = file.read().to_pandas()
    except BadInput:
        raise
    except Exception as error:  # pyarrow raises errors of many classes
        raise BadInput(
            f"{where}: cannot be read as Parquet ({_one_line(error)}); save the table anew"
        ) from None
    if table.index.equals(pd.RangeIndex(len(table))) and table.shape[1]:  # the file has no index
        table = table.iloc[:, 1:].set_axis(table.iloc[:, 0])
    return [str(g) for g in table], table


def _check_genes(genes: Sequence[str], where: str) -> None:
    if not genes:
        raise BadInput(
            f"{where}: no gene; give every line its COSMIC id and expression, separated by "
            "commas in a .csv and by tabs in a .tsv"
        )
    if "" in genes:
        raise BadInput(f"{where}: column {genes.index('') + 2} has no name; name its gene")
    gene, count = Counter(genes).most_common(1)[0]
    if count > 1:
        raise BadInput(f"{where}: the gene {gene!r} has {count} columns; keep one")


def _row_of_line(ids: pd.Index, where: str) -> dict[int, int]:
    """Map every COSMIC id to its row."""
    if not len(ids):
        raise BadInput(f"{where}: no lines; give a header and one line or more")
    texts = [str(i).strip() for i in ids]
    if wrong := [t for t in texts if not re.fullmatch(r"[0-9]{1,18}(\.0*)?", t)]:
        raise BadInput(
            f"{where}: lines {_first_three(wrong)} are no COSMIC ids such as 683665; put these "
            "into the first column (and transpose a table of genes x lines)"
        )
    numbers = [int(t.partition(".")[0]) for t in texts]
    line, count = Counter(numbers).most_common(1)[0]
    if count > 1:
        raise BadInput(f"{where}: line {line} is there {count} times; keep one")
    return {line: r for r, line in enumerate(numbers)}


def _numbers(
    table: pd.DataFrame, genes: Sequence[str], where: str
) -> Float32[np.ndarray, "lines genes"]:
    import pandas as pd

    is_numeric, is_flag = pd.api.types.is_numeric_dtype, pd.api.types.is_bool_dtype
    for g in [g for g, kind in enumerate(table.dtypes) if is_flag(kind) or not is_numeric(kind)]:
        cells = table.iloc[:, g]
        numbers = pd.to_numeric(cells.astype(str), errors="coerce")
        if (wrong := cells.notna() & numbers.isna()).any():
            line, cell = table.index[wrong][0], cells[wrong].iloc[0]
            raise BadInput(
                f"{where}: line {line}, gene {genes[g]!r}: {_one_line(repr(cell))} is no number; "
                "mend the cell or leave out the gene"
            )
        table.isetitem(g, numbers.to_numpy())
    with np.errstate(over="ignore"):  # a number that is too large becomes infinite
        return table.to_numpy(np.float32, na_value=np.nan)


def _check_values(
    values: Float32[np.ndarray, "lines genes"],
    lines: Sequence[int],
    genes: Sequence[str],
    form: str,
    where: str,
) -> None:
    if not (good := np.isfinite(values)).all():
        r, g = np.argwhere(~good)[0]
        raise BadInput(
            f"{where}: line {lines[r]}, gene {genes[g]!r}: missing or infinite; impute the cell "
            "or leave out the gene or the line"
        )
    if form != "counts":
        return
    if (values < 0).any():
        r, g = np.argwhere(values < 0)[0]
        raise BadInput(
            f"{where}: line {lines[r]}, gene {genes[g]!r}: {values[r, g]:g} is no count; give "
            "expression_form='logged' for data that are logged already"
        )
    if not (has_counts := values.any(1)).all():
        line = lines[int(np.argmin(has_counts))]
        raise BadInput(f"{where}: the counts of line {line} have a total of 0; leave out the line")
    if values.max() <= LARGEST_LOGARITHM and (values % 1).any():
        raise BadInput(
            f"{where}: not one count is above {values.max():g}, as if they were logged already; "
            "give expression_form='logged', or whole numbers"
        )


def _first_three(names: Iterable[object]) -> str:
    """List the first three names."""
    short = [_one_line(name) for name in names]
    return ", ".join(short[:3]) + (", ..." if len(short) > 3 else "")


def _one_line(words: object) -> str:
    """Put the words of a file or a library into one line of at most 64 characters."""
    text = " ".join(str(words).split())
    return text if len(text) <= 60 else f"{text[:60]} ..."
