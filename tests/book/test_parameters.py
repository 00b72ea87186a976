"""What a notebook makes of the parameters that it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from book import FOLDER
from hypothesis import given
from hypothesis import strategies as st
from papermill.translators import PythonTranslator
from refusals import refused
from samples import program, write

from mtl_nt.__main__ import main
from mtl_nt.book import report
from mtl_nt.book.parameters import plain_value, read_parameters
from mtl_nt.book.report import NotebookFailed

DEFAULTS = """# a note
alphas = [0.0, 0.5]
alpha = 0.5
seeds = 3  # runs
few = {"dial": 2}
live = True
steps = None
"""


def space(injected: str = "", **changed: Any) -> dict[str, Any]:
    """A notebook's names after its parameters, and papermill's, have run."""
    made: dict[str, Any] = {"In": ["", DEFAULTS]}
    exec(DEFAULTS, made)
    if injected:
        made["In"].append(f"# Parameters\n{injected}\n")
        exec(injected, made)
    return made | changed


@pytest.mark.parametrize(
    ("seeds", "runs"),
    [(3, [100, 101, 102]), ([7, 9], [7, 9]), ((7, 9), [7, 9]), ("[7, 9]", [7, 9])],
)
def test_seeds_are_a_number_of_runs_or_their_list(seeds: Any, runs: list[int]) -> None:
    if isinstance(seeds, tuple):
        seeds = list(seeds)
    assert read_parameters(space(seeds=seeds)) == runs


def test_a_list_that_the_command_line_gave_as_text_becomes_a_list() -> None:
    given = space('alphas = "[0, 0.25]"\nfew = "{\'dial\': 4}"\nalpha = 0')
    read_parameters(given)
    assert (given["alphas"], given["few"], given["alpha"]) == ([0, 0.25], {"dial": 4}, 0)
    read_parameters(given)  # a cell may run twice
    assert given["alphas"] == [0, 0.25]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alphas": 0.5}, "alphas 0.5: give a list, such as [0.0, 0.5]"),
        ({"alphas": "[0, 0.5"}, "alphas '[0, 0.5': give a list"),
        ({"alphas": None}, "alphas None: give a list"),
        ({"alpha": "half"}, "alpha 'half': give a number, such as 0.5"),
        ({"alpha": float("nan")}, "alpha nan: give a number"),
        ({"few": 3}, "few 3: give a dictionary, such as {'dial': 2}"),
        ({"live": 1}, "live 1: give True or False"),
        ({"seeds": 2.5}, "seeds 2.5: give a whole number, such as 3"),
        ({"seeds": True}, "seeds True: give a whole number"),
        ({"seeds": 1}, "seeds 1: give 2 runs or more"),
        ({"seeds": []}, "seeds []: give 2 runs or more"),
        ({"seeds": [7, 7]}, "seeds [7, 7]: give"),
        ({"seeds": [7, "x"]}, "seeds [7, 'x']: give"),
    ],
)
def test_a_parameter_of_another_kind_than_its_default_is_refused(
    changed: dict[str, Any], said: str
) -> None:
    refused(lambda: read_parameters(space(**changed)), said)


@pytest.mark.parametrize("value", [None, "0; 0.5"])
def test_another_kind_is_let_through_where_the_notebook_says_so(value: object) -> None:
    assert len(read_parameters(space(alphas=value), free=["alphas"])) == 3


def test_a_name_that_the_notebook_does_not_have_is_refused() -> None:
    refused(
        lambda: read_parameters(space("alphs = [1]")),
        "unknown parameter 'alphs'; did you mean 'alphas'",
    )


def test_a_notebook_whose_first_cell_is_another_is_checked_for_its_seeds_alone() -> None:
    for first in ("import math", "x: int = 3", "a = b = 1", "1 +"):
        made = {"In": ["", first], "seeds": 4, "alphas": 0.5}
        assert len(read_parameters(made)) == 4
    assert len(read_parameters({"seeds": 2})) == 2


# ---------------------------------------------------------------- papermill's own command


def papermill(tmp_path: Path, name: str, *given: str) -> tuple[int | None, str]:
    """Its exit status, and what it says on stderr."""
    words = ["papermill", str(FOLDER / f"{name}.ipynb"), "out.ipynb", "--no-progress-bar"]
    process = program(tmp_path, *words, *given)
    process.join()
    return process.exitcode, (tmp_path / "error").read_text(encoding="utf-8")


UNKNOWN = ("alhpas", "[0, 0.5]"), "BadInput: unknown parameter 'alhpas'; did you mean 'alphas'"
NO_LIST = ("alphas", "0.5"), "BadInput: alphas 0.5: give a list, such as [0.0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"), [UNKNOWN, pytest.param(*NO_LIST, marks=pytest.mark.release)]
)
def test_papermill_stops_at_a_wrong_parameter_and_its_last_line_says_why(
    tmp_path: Path, given: tuple[str, str], said: str
) -> None:
    status, error = papermill(tmp_path, "02_lbtw", "-p", *given)
    assert status != 0
    *_, last = error.strip().splitlines()
    assert last.startswith(said)
    assert "read_parameters" not in error.partition(said)[0].rpartition("In [")[2]


# ---------------------------------------------------------------- what reaches papermill

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(
        ["'", '"', "\\", '\\"', "\n", "\r", "\0", "\u2028", "'''", "{x}", "#", "é", "𝛼"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda each: st.lists(each, max_size=4) | st.dictionaries(TEXTS, each, max_size=4)
)


@given(VALUES)
def test_a_notebook_sees_the_very_value_that_it_is_given(value: Any) -> None:
    source = PythonTranslator.codify({"value": plain_value("value", value)})
    seen: dict[str, Any] = {}
    exec(compile(source, "a cell", "exec", dont_inherit=True), seen)
    assert repr(seen["value"]) == repr(value)  # 1 is no True, and 0.0 no -0.0
    assert json.loads(json.dumps(plain_value("value", value), allow_nan=False)) == value


def test_tuples_and_numbers_of_other_libraries_are_lists_and_numbers() -> None:
    given = plain_value("x", {"a": (1, (np.float64(0.5), np.int64(3)))})
    assert given == {"a": [1, [0.5, 3]]}
    assert [type(each) for each in given["a"][1]] == [float, int]


def nested(depth: int) -> list[Any]:
    made: list[Any] = [1]
    for _ in range(depth - 1):
        made = [made]
    return made


def endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"x'+str(__import__('os').getcwd())", "bytes b"),
        ([1, {"a": b"x"}], "bytes b'x'"),
        ({1, 2}, "set {1, 2}"),
        (1j, "complex 1j"),
        (..., "ellipsis Ellipsis"),
        (float("nan"), "float nan"),
        (float("-inf"), "float -inf"),
        (Path("a"), "Path('a')"),
        ({1: 2}, "a dictionary whose keys are not all text"),
        ("\ud800", "half of a pair"),
        ({"\ud800": 1}, "half of a pair"),
        (nested(22), "more than 20 lists within each other"),
        (endless(), "more than 20 lists within each other"),
        ("x" * 100_000, "more than 100,000 characters"),
        ([[]] * 60_000, "more than 100,000 characters"),
    ],
)
def test_what_is_no_plain_value_is_refused(value: Any, said: str) -> None:
    refused(lambda: plain_value("alpha", value), "parameter alpha: ", said, "give None")
    assert plain_value("alpha", nested(20)) == nested(20)


def test_the_check_is_at_the_door_to_papermill(tmp_path: Path) -> None:
    book = write(tmp_path / "book.ipynb", "parameters:\nalpha = 0")
    refused(lambda: report.run_notebook(book, tmp_path / "x.ipynb", alpha=b"x'+"), "bytes b")
    assert [path.name for path in tmp_path.iterdir()] == ["book.ipynb"]


@pytest.mark.parametrize(
    "value",
    [
        "b'x'+str(__import__('os').system('touch ran'))",
        """b'"+str(__import__("os").system("touch ran"))+"'""",
        "b'x'",
        "{1, 2}",
        "1+2j",
        "...",
        "1e999",
        "'\\ud800'",
        "[" * 50 + "]" * 50,
        "[" * 5000 + "]" * 5000,
        "-" * 20_000 + "1",
    ],
)
def test_the_command_refuses_a_value_that_is_none_in_one_line(
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given: list[Any] = []

    def execute(_: Path, __: Path, parameters: dict[str, Any], **options: Any) -> None:
        given.append(parameters)
        raise NotebookFailed("it ran")

    monkeypatch.setattr("papermill.execute_notebook", execute)
    write(tmp_path / "book.ipynb", "parameters:\nalpha = 0")
    if value.startswith("b'x'+"):  # no literal, and so only text
        assert main(["run", "book.ipynb", "-p", "alpha", value]) == 1
        assert given == [{"alpha": value}] and not Path("ran").exists()
        return
    assert main(["run", "book.ipynb", "-p", "alpha", value]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mtl_nt: ") and said.count("\n") == 1 and len(said) < 300, said
    assert not given
