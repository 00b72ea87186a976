"""What a notebook makes of the parameters that it is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from book import FOLDER
from refusals import refused

from mtl_nt.parameters import read_parameters

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


def papermill(tmp_path: Path, name: str, *given: str) -> subprocess.CompletedProcess[str]:
    source, out = FOLDER / f"{name}.ipynb", tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(source), str(out), "--no-progress-bar"]
    return subprocess.run(
        [*command, *given], capture_output=True, text=True, cwd=tmp_path, check=False
    )


UNKNOWN = ("alhpas", "[0, 0.5]"), "BadInput: unknown parameter 'alhpas'; did you mean 'alphas'"
NO_LIST = ("alphas", "0.5"), "BadInput: alphas 0.5: give a list, such as [0.0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"), [UNKNOWN, pytest.param(*NO_LIST, marks=pytest.mark.release)]
)
def test_papermill_stops_at_a_wrong_parameter_and_its_last_line_says_why(
    tmp_path: Path, given: tuple[str, str], said: str
) -> None:
    ended = papermill(tmp_path, "02_lbtw", "-p", *given)
    assert ended.returncode != 0
    *_, last = ended.stderr.strip().splitlines()
    assert last.startswith(said)
    assert "read_parameters" not in ended.stderr.partition(said)[0].rpartition("In [")[2]
