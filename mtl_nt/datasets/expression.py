"""Gene expression of one's own: a table of cell lines x genes, read as numbers and standardised."""

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

from ..files import unpacked
from ..tasks import BadInput
from .csv_sheet import lines
from .parquet_sheet import check_declared
from .sheets import check_unchanged, regular

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t", ".parquet": ""}
FORMS = ("counts", "logged")
ROUNDING = 1e-5  # a standard deviation below it, relative to the mean, is float32's rounding
CELLS = 100_000_000  # of a table: GDSC's own has 18 million
LOGGED = 30  # counts that are no whole numbers and none of them above this are logarithms


class Expression(NamedTuple):
    """Expression of the known cell lines that a table has."""

    lines: list[int]  # COSMIC ids, in the order of the known ones
    values: Float32[np.ndarray, "lines genes"]
    form: str


def read(path: str | Path, known: Sequence[int], form: str) -> Expression:
    """Read a table of cell lines x genes. Lines that are not known are left out.

    Args:
        path: a CSV or TSV, also as .gz, or a Parquet. Its first column, or a Parquet's index, has
            COSMIC ids; the header has the genes' names. Nothing in it is ever unpickled.
        known: COSMIC ids of the lines that are wanted.
        form: "counts", 0 or more, or "logged".

    Raises:
        BadInput: no such table, a line or a gene that occurs twice, no known line, a cell that is
            no finite number or not of this form. The message names the place.
    """
    if not isinstance(path, (str, Path)):
        raise BadInput(f"expression {path!r}: give the path of a table, cell lines x genes")
    path = Path(path)
    about = regular(path, f"expression: {path}", "give the path of a table, cell lines x genes")
    where = f"expression {path.name}"
    suffix = "".join(path.suffixes[-1 - (path.suffix.lower() == ".gz") :]).lower()
    if suffix not in SEPARATORS:
        raise BadInput(f"{where}: its name must end with one of {', '.join(SEPARATORS)}")
    if suffix == ".parquet":
        genes, table = _parquet(path, where, about.st_size)
    else:
        genes, table = _text(path, where, SEPARATORS[suffix])
    check_unchanged(path, about, where)
    _check_genes(genes, where)
    row = _rows(table.index, where)
    lines = [int(line) for line in known if int(line) in row]
    if not lines:
        raise BadInput(
            f"{where}: GDSC has none of its lines ({_few(row)}); the first column must have "
            "COSMIC ids such as 683665"
        )
    values = _numbers(table.iloc[[row[line] for line in lines]], genes, where)
    _check_values(values, lines, genes, form, where)
    return Expression(lines, values, form)


def standardised(
    expression: Expression, train: Int[np.ndarray, " train"]
) -> Float32[np.ndarray, "lines genes"]:
    """Expression as networks read it; whatever is learned is learned from the training lines.

    Counts are corrected for a line's library size (divided by the line's total, times the median
    total) and logged (log(1 + count)). Every gene is centred and scaled to unit standard deviation;
    genes that do not vary are 0. Source: Peres da Silva, Suphavilai and Nagarajan (AAAI-21).

    Args:
        expression: the lines' values.
        train: rows of the training lines.
    """
    values = expression.values
    if expression.form == "counts":
        total = values.sum(1, dtype=np.float64)
        factor = np.median(total[train]) / total
        values = np.log1p(values * factor.astype(np.float32)[:, None])
    learned = values[train]
    centre, sd = (of(0, dtype=np.float64).astype(np.float32) for of in (learned.mean, learned.std))
    varies = sd > ROUNDING * np.abs(centre)
    return np.where(varies, (values - centre) / np.where(varies, sd, 1), np.float32(0))


# ---------------------------------------------------------------------------------- the table


def _text(path: Path, where: str, separator: str) -> tuple[list[str], pd.DataFrame]:
    import pandas as pd

    try:
        with (
            unpacked(path) as content,
            io.BufferedReader(_Counted(content, separator.encode()), 2**20) as counted,
            io.TextIOWrapper(counted, "utf-8-sig", newline="") as file,
        ):
            header = next(csv.reader(lines(file, where), delimiter=separator), [])
            table = pd.read_csv(
                file, sep=separator, header=None, dtype={0: str}, low_memory=False, index_col=False
            )
    except pd.errors.EmptyDataError:
        raise BadInput(f"{where}: no lines; give a header and one line or more") from None
    except pd.errors.ParserError as error:
        fault = str(error).partition("C error: ")[2] or str(error)
        raise BadInput(f"{where}: cannot be read as a table ({_line(fault)}); mend it") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        fault = getattr(error, "strerror", None) or str(error)
        raise BadInput(
            f"{where}: cannot be read as text ({_line(fault)}); save the table anew"
        ) from None
    if table.shape[1] != len(header):
        raise BadInput(
            f"{where}: the header has {len(header)} columns, the first line {table.shape[1]}; name "
            "every column, that of the ids too"
        )
    return header[1:], table.set_index(0)


class _Counted(io.RawIOBase):
    """A text of `CELLS` cells at most, which pandas holds in memory all at once."""

    def __init__(self, file: Any, separator: bytes) -> None:
        self.file, self.separator, self.cells = file, separator, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.file.read(len(buffer))
        self.cells += found.count(self.separator) + found.count(b"\n")
        if self.cells > CELLS:
            raise OSError(errno.EFBIG, f"more than {CELLS:,} cells or lines")
        buffer[: len(found)] = found
        return len(found)


def _parquet(path: Path, where: str, size: int) -> tuple[list[str], pd.DataFrame]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise BadInput(
            f"{where}: reading Parquet needs pyarrow; pip install pyarrow, or save it as .csv"
        ) from None
    import pandas as pd

    try:
        with parquet.ParquetFile(path) as file:
            check_declared(file, where, size)
            if file.metadata.num_rows * file.metadata.num_columns > CELLS:
                raise BadInput(f"{where}: more than {CELLS:,} cells; leave out genes or lines")
            table = file.read().to_pandas()
    except BadInput:
        raise
    except Exception as error:  # pyarrow's are many
        raise BadInput(
            f"{where}: cannot be read as Parquet ({_line(error)}); save the table anew"
        ) from None
    if table.index.equals(pd.RangeIndex(len(table))) and table.shape[1]:  # none of its own
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
    gene, often = Counter(genes).most_common(1)[0]
    if often > 1:
        raise BadInput(f"{where}: the gene {gene!r} has {often} columns; keep one")


def _rows(ids: pd.Index, where: str) -> dict[int, int]:
    """The row of every COSMIC id."""
    if not len(ids):
        raise BadInput(f"{where}: no lines; give a header and one line or more")
    texts = [str(i).strip() for i in ids]
    if wrong := [t for t in texts if not re.fullmatch(r"[0-9]{1,18}(\.0*)?", t)]:
        raise BadInput(
            f"{where}: lines {_few(wrong)} are no COSMIC ids such as 683665; put these into the "
            "first column (and transpose a table of genes x lines)"
        )
    numbers = [int(t.partition(".")[0]) for t in texts]
    line, often = Counter(numbers).most_common(1)[0]
    if often > 1:
        raise BadInput(f"{where}: line {line} is there {often} times; keep one")
    return {line: r for r, line in enumerate(numbers)}


def _numbers(
    table: pd.DataFrame, genes: Sequence[str], where: str
) -> Float32[np.ndarray, "lines genes"]:
    import pandas as pd

    number, flag = pd.api.types.is_numeric_dtype, pd.api.types.is_bool_dtype
    for g in [g for g, kind in enumerate(table.dtypes) if flag(kind) or not number(kind)]:
        cells = table.iloc[:, g]
        read = pd.to_numeric(cells.astype(str), errors="coerce")
        if (wrong := cells.notna() & read.isna()).any():
            line, cell = table.index[wrong][0], cells[wrong].iloc[0]
            raise BadInput(
                f"{where}: line {line}, gene {genes[g]!r}: {_line(repr(cell))} is no number; "
                "mend the cell or leave out the gene"
            )
        table.isetitem(g, read.to_numpy())
    with np.errstate(over="ignore"):  # too large is infinite
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
    if not (total := values.any(1)).all():
        line = lines[int(np.argmin(total))]
        raise BadInput(f"{where}: the counts of line {line} have a total of 0; leave out the line")
    if values.max() <= LOGGED and (values % 1).any():
        raise BadInput(
            f"{where}: not one count is above {values.max():g}, as if they were logged already; "
            "give expression_form='logged', or whole numbers"
        )


def _few(names: Iterable[object]) -> str:
    """The first three of these names."""
    short = [_line(name) for name in names]
    return ", ".join(short[:3]) + (", ..." if len(short) > 3 else "")


def _line(words: object) -> str:
    """Foreign words in one short line."""
    text = " ".join(str(words).split())
    return text if len(text) <= 60 else f"{text[:60]} ..."
