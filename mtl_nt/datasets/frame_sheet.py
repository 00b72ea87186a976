"""A table that is in memory, as a sheet: what the readers of files give for a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd

from ..errors import BadInput
from .sheets import EMPTY_CELLS, Chunk, Column, TextColumn, check_header


class FrameSheet:
    """A `pandas.DataFrame` as a sheet. Positions are numbers of rows, from 0.

    Args:
        frame: the table, whose columns have different names.

    Raises:
        BadInput: it is no table, or two columns have one name.

    >>> sheet = FrameSheet(pd.DataFrame({"a": [1, 2], "b": ["x", None]}))
    >>> chunk = next(sheet.chunks(["a", "b"], ["b"]))
    >>> chunk.columns["a"].tolist(), chunk.columns["b"].codes.tolist()
    ([1.0, 2.0], [0, -1])
    """

    unit = "row"
    where = "new rows"  # what it is called in a message
    decimal = "."

    def __init__(self, frame: pd.DataFrame) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise BadInput(f"{self.where}: a table is needed, not {type(frame).__name__}")
        self.frame = frame
        self.names = tuple(map(str, frame.columns))
        check_header(self.names, self.where)

    def chunks(self, wanted: Sequence[str], text: Collection[str]) -> Iterator[Chunk]:
        """Yield all rows at once.

        Args:
            wanted: the columns to read.
            text: those of them whose cells are texts even where they look like numbers.
        """
        columns = {name: self._column(self.names.index(name), name in text) for name in wanted}
        yield Chunk(columns, np.arange(len(self.frame), dtype=np.int64))

    def _column(self, place: int, text: bool) -> Column:
        cells = self.frame.iloc[:, place]
        if not text and pd.api.types.is_numeric_dtype(cells.dtype):
            return cells.to_numpy(np.float64, na_value=np.nan)
        if text and pd.api.types.is_float_dtype(cells.dtype):  # 1.0 is "1", as in a file
            written = cells.map(lambda value: f"{value:.17g}").where(cells.notna())
        else:
            written = cells.astype(object).where(cells.notna()).map(str, na_action="ignore")
        codes, values = pd.factorize(written.where(~written.isin(EMPTY_CELLS)))
        return TextColumn(np.asarray(codes), [str(value) for value in values])
