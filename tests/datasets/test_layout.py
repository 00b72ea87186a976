"""Files as people have them: separators, decimal commas, comments, and names of rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from own_tables import plain, write
from refusals import refused

from mtl_nt.datasets import csv_sheet
from mtl_nt.datasets.table import Table, read_table


@pytest.fixture
def straight(tmp_path: Path) -> Table:
    """The plain table, as it is read from a plain file."""
    return read_table(write(plain(), tmp_path / "straight.csv"))


def text(**options: object) -> str:
    return str(plain().to_csv(index=False, **options))


def same(one: Table, other: Table) -> bool:
    """The same features and labels in the same split."""
    a, b = one.data, other.data
    return (
        bool((a.x == b.x).all())  # type: ignore[operator]
        and bool((a.y.nan_to_num(9e9) == b.y.nan_to_num(9e9)).all())
        and a.split.train.tolist() == b.split.train.tolist()
    )


def said(table: Table, word: str) -> str:
    (note,) = [note for note in table.notes if word in note]
    return note


LAYOUTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "semicolons and decimal commas": (
        "my.csv",
        text(sep=";", decimal=","),
        ("separated by semicolons and not by commas", "decimal comma"),
    ),
    "semicolons and decimal points": ("my.csv", text(sep=";"), ("separated by semicolons",)),
    "tabs and decimal commas": ("my.tsv", text(sep="\t", decimal=","), ("decimal comma",)),
    "tabs in a .csv": ("my.csv", text(sep="\t"), ("separated by tabs and not by commas",)),
    "commas in a .tsv": ("my.tsv", text(), ("separated by commas and not by tabs",)),
    "bars": ("my.csv", text(sep="|"), ("separated by bars",)),
    "quoted decimal commas": ("my.csv", text(decimal=",", quoting=1), ("decimal comma",)),
    "a line of Excel": ("my.csv", "sep=,\n" + text(), ("Line 1 says what separates",)),
    "another line of Excel": (
        "my.csv",
        "\ufeffsep=;\r\n" + text(sep=";", lineterminator="\r\n"),
        ("Line 1 says what separates",),
    ),
    "comments before the header": (
        "my.tsv",
        "# tool 1.2\n# 3, 4\n" + text(sep="\t"),
        ("begin with # were skipped: 2",),
    ),
    "a comment among the rows": (
        "my.csv",
        text().replace("\n", "\n# half way\n", 2).replace("\n# half way\n", "\n", 1),
        ("begin with # were skipped: 1",),
    ),
    "a header that begins with #": ("my.tsv", "#" + text(sep="\t"), ()),
    "a comment and a header with #": (
        "my.tsv",
        "# made by hand\n# " + text(sep="\t"),
        ("begin with # were skipped: 1",),
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_a_file_is_read_however_it_is_written(tmp_path: Path, straight: Table, case: str) -> None:
    name, content, words = LAYOUTS[case]
    (tmp_path / name).write_bytes(content.encode())
    table = read_table(tmp_path / name)
    assert same(table, straight)
    for word in words:
        assert said(table, word)


def test_cells_that_begin_with_a_hash_are_cells(tmp_path: Path) -> None:
    frame = plain()
    frame.insert(0, "colour", ["#ff0000", "#00ff00", "#0000ff"] * (len(frame) // 3))
    table = read_table(write(frame, tmp_path / "my.csv"))
    assert len(table.data.x) == len(frame) and table.data.x.shape[1] == 4 + 3
    assert not any("#" in note for note in table.notes)


def test_semicolons_inside_names_do_not_separate(tmp_path: Path, straight: Table) -> None:
    frame = plain().rename(columns={"dose": "dose;a", "mass": "mass|b"})
    assert same(read_table(write(frame, tmp_path / "my.csv")), straight)


def test_the_lines_of_a_message_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    lines = text().splitlines()
    lines[10] = lines[10].replace(",", ",x", 1)
    path.write_text("\n".join(["sep=,", "# one", *lines]))
    refused(lambda: read_table(path), "my.csv: line 13, column 'mass'", "--missing", "--ignore")


def test_row_names_without_a_name_are_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    header, *rows = text().splitlines()
    path.write_text("\n".join([header, *(f"{k},{row}" for k, row in enumerate(rows, 1))]))
    refused(lambda: read_table(path), "one cell more than the header", "row names, as R writes")
    path.write_text("\n".join([header, *(f"{row}," for row in rows)]))
    refused(lambda: read_table(path), "every line ends with a separator and the header does not")


@pytest.mark.parametrize("name", ["my.csv", "my.tsv"])
def test_a_first_column_without_a_name_has_the_names_of_the_rows(
    tmp_path: Path, straight: Table, name: str
) -> None:
    path = tmp_path / name
    plain().to_csv(path, sep="\t" if name.endswith("tsv") else ",")  # as pandas does by default
    table = read_table(path)
    assert same(table, straight)
    assert said(table, "Left out: the row names in the first column")


def test_the_decimal_mark_can_be_given(tmp_path: Path) -> None:
    frame = plain().astype({"dose": "str"})
    frame["dose"] = [f"1,{100 + k}" for k in range(len(frame))]  # thousands, or fractions
    path = write(frame, tmp_path / "my.csv")
    words = ("line 2, column 'dose'", "'1,100' has a comma", "cells so: 120", "--decimal=,")
    refused(lambda: read_table(path), *words)
    whole = frame.round().astype({"mass": int, "heat": int, "flow": int, "y_1": int, "y_2": int})
    path = write(whole, tmp_path / "my.csv")
    known = {"regression": "y_1,y_2"}
    refused(lambda: read_table(path, **known), *words)
    read = read_table(path, decimal=",", **known).data
    plainly = whole.assign(dose=[1.1 + k / 1000 for k in range(len(whole))])
    assert (read.x == read_table(write(plainly, tmp_path / "b.csv"), **known).data.x).all()
    refused(lambda: read_table(path, decimal=";"), "decimal ';'", "a point or a comma")


def test_a_point_among_decimal_commas_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    lines = text(sep=";", decimal=",").splitlines()
    head = [*lines[:110], lines[110].replace(",", ".", 1), *lines[111:]]
    path.write_text("\n".join(head))
    refused(lambda: read_table(path), "line 111, column 'dose'", "has a point", "decimal comma")


def test_comments_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_sheet, "MAX_BLANK", 100)
    path = tmp_path / "my.csv"
    path.write_text(text().replace("\n", "\n#" + "x" * 5000 + "\n", 1))
    refused(lambda: read_table(path), "my.csv, line 2", "bytes of comments; drop them")


def test_scores_of_ones_own_may_be_written_so_too(tmp_path: Path) -> None:
    from mtl_nt.study.score_table import read_scores

    rows = [(m, s, "t", 0.5 + s) for m in ("STL", "MTL") for s in range(3)]
    frame = pd.DataFrame(rows, columns=["method", "seed", "task", "value"])
    path = tmp_path / "my.csv"
    frame.to_csv(path, index=False, sep=";", decimal=",")
    assert read_scores(path).rows["value"].tolist() == frame["value"].tolist()
