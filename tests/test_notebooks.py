"""The notebooks: what a reader may rely on, and that they run, here with other parameters."""

from __future__ import annotations

import ast
import importlib
import re
import statistics
from collections.abc import Iterator
from typing import Any

import book
import pytest
from book import BOOK, FOLDER, code, fast, outputs, parameters

FIRST, SECOND = "01_negative_transfer", "02_lbtw"
NAMES = list(BOOK)
AT_ONCE = [name for name in NAMES if name != "08_case_pharmacogenomics"]  # without files of data


# ---------------------------------------------------------------- as they lie in the repository


@pytest.mark.parametrize("name", NAMES)
def test_the_first_code_cell_holds_the_parameters_and_no_other_does(name: str) -> None:
    assert [c.id for c in code(name, "parameters")] == [code(name)[0].id]
    assert {"seeds", "steps"} <= parameters(name).keys()


@pytest.mark.parametrize("name", NAMES)
def test_no_widget_is_saved_and_every_cell_has_a_name(name: str) -> None:
    assert set(BOOK[name].metadata) == {"kernelspec", "language_info", "mtl_nt"}
    names = [cell.id for cell in BOOK[name].cells]
    assert len(set(names)) == len(names)
    assert [n for n in names if re.fullmatch(r"[0-9a-f]{8}(-.*)?", n)] == [], "a random id"


@pytest.mark.parametrize("name", NAMES)
def test_its_fast_parameters_are_its_own_with_few_runs_and_steps(name: str) -> None:
    given = fast(name)
    assert given.keys() <= parameters(name).keys()
    assert given["steps"] <= 20
    assert given["seeds"] in (2, [0, 1])


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_short(name: str) -> None:
    lines = [len(cell.source.splitlines()) for cell in code(name)]
    assert max(lines) <= 25
    assert statistics.median(lines) <= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_a_lesson(name: str) -> None:
    prose = [cell.source for cell in BOOK[name].cells if cell.cell_type == "markdown"]
    assert re.match(r"# \d+\. .+\?\n", prose[0]), "the title is a question"
    assert "**Time:**" in prose[0]
    assert "**You need**" in prose[0]
    headings = re.findall(r"^## (.+)$", "\n".join(prose), re.M)
    assert headings[0] == "Predict first"
    assert headings[-4:] == ["To take away", "Exercises", "Solutions", "References"]
    assert "https://doi.org/" in prose[-1]
    assert "**What next:**" in prose[-1]
    assert len(code(name, "exercise")) == len(code(name, "solution")) == 3
    folded = [*code(name, "checks"), *code(name, "solution")]
    assert all(cell.metadata.jupyter.source_hidden for cell in folded)
    assert len(code(name, "claim")) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_no_result_is_typed_into_the_prose(name: str) -> None:
    kept = ("predict", "exercise", "references")  # a question's own numbers, and DOIs
    prose = [c for c in BOOK[name].cells if c.cell_type == "markdown" and not c.id.startswith(kept)]
    assert [found for c in prose if (found := re.findall(r"\d*\.\d+", c.source))] == []
    assert not any("no difference" in c.source for c in prose)


def names_used(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that a cell takes from mtl_nt."""
    modules = {"mtl_nt": "mtl_nt", "figures": "mtl_nt.figures"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mtl_nt"):
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in modules:
            yield modules[node.value.id], node.attr


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_a_notebook_takes_from_the_package_is_there_and_public(name: str) -> None:
    used = {pair for cell in code(name) for pair in names_used(cell.source)}
    assert ("mtl_nt", "compare") in used
    for module, taken in used:
        if (FOLDER.parent / module / f"{taken}.py").exists():
            importlib.import_module(f"{module}.{taken}")
            continue
        found = importlib.import_module(module)
        assert hasattr(found, taken), f"{module}.{taken}"
        assert taken == "__version__" or not taken.startswith("_")
        listed = getattr(found, "__all__", [taken])
        assert taken in (*listed, "__version__"), f"{module}.{taken} is not exported"


@pytest.mark.parametrize("name", NAMES)
def test_every_link_to_a_file_leads_somewhere(name: str) -> None:
    prose = "\n".join(c.source for c in BOOK[name].cells if c.cell_type == "markdown")
    local = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in link]
    assert local
    assert [link for link in local if not (FOLDER / link).exists()] == []


def test_the_alpha_slider_goes_through_eleven_alphas_on_real_and_made_data() -> None:
    given = parameters(SECOND)
    assert len(given["alphas"]) >= 11
    assert given["seeds"] >= 5
    assert given["dataset"] == "digits"
    assert {"mnist", "dial-unrelated", "dial-dominant"} <= set(given["datasets"])


# ---------------------------------------------------------------- the first cells, one by one


@pytest.mark.parametrize("name", AT_ONCE)
def test_no_run_is_reported_on_which_anything_was_chosen(name: str) -> None:
    book.reports_runs_from_100(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_takes_a_data_set_alphas_and_seeds(name: str) -> None:
    assert {"dataset", "alphas", "seeds"} <= parameters(name).keys()
    asked = book.prelude(name, dataset="mnist", alphas=[0, 0.5], seeds=3)
    assert (asked["alphas"], asked["runs"]) == ([0, 0.5], [100, 101, 102])


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_claim_must_hold_at_the_notebooks_own_budget_and_is_reported_at_another(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    book.judges_claims(name, capsys)


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        (FIRST, {"seeds": 0}, "2 seeds or more"),
        (FIRST, {"angles": [30, 120]}, "angle 120"),
        (FIRST, {"angles": []}, "at least one"),
        (FIRST, {"widths": [3, 0]}, "trunk"),
        (FIRST, {"steps": 0}, "steps 0"),
        (FIRST, {"dataset": "digit"}, "did you mean 'digits'?"),
        (FIRST, {"alphas": [-1.0]}, "alpha -1"),
        (SECOND, {"dataset": "digit"}, "did you mean 'digits'?"),
        (SECOND, {"datasets": ["mnits"]}, "did you mean 'mnist' or"),
        (SECOND, {"dataset": "dial-dominent"}, "did you mean 'dominant' or"),
        (SECOND, {"alphas": [0.0, -1.0]}, "alpha -1"),
        (SECOND, {"alphas": []}, "alpha"),
        (SECOND, {"alphas": "half"}, "alpha 'half'"),
        (SECOND, {"alpha": -0.3}, "alpha -0.3"),
        (SECOND, {"alpha": "half"}, "alpha 'half'"),
        (SECOND, {"seeds": []}, "2 runs or more"),
        (SECOND, {"steps": -5}, "steps -5"),
    ],
)
def test_an_impossible_parameter_is_refused_in_one_line_before_any_training(
    name: str, changed: dict[str, Any], said: str
) -> None:
    book.refuses(name, said, **changed)


# ---------------------------------------------------------------- run as a whole


FEW: dict[str, Any] = {"seeds": [0, 1, 2], "steps": 40}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "first": (FIRST, {**FEW, "angles": [0, 90], "widths": [2, 8], "alphas": [0.0, 0.5]}),
    "digits": (SECOND, {**FEW, "datasets": ["dial-noisy"], "alphas": [0.0, 0.5, 2.0]}),
    "dial": (SECOND, {**FEW, "dataset": "dial-unrelated", "datasets": [], "alphas": [0.0, 1.0]}),
}
WRONG = {
    FIRST: "[(check_1, 42), (check_2, lambda e, s: 0), (check_3, -1, by_width)]",
    SECOND: "[(check_1, [[1, 1], [1, 1]]), (check_2, lambda l, r, a: l), "
    "(check_3, 'none of these', counted)]",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything run once: the notebooks by name of the run."""
    return {
        key: book.run(name, tmp_path_factory.mktemp(key), WRONG[name], **given)
        for key, (name, given) in RUNS.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("key", list(RUNS))
def test_exercises_wait_for_an_answer_and_their_solutions_are_right(
    done: dict[str, Any], key: str
) -> None:
    book.exercises_wait_and_solutions_are_right(done[key])


@pytest.mark.slow
@pytest.mark.parametrize("key", list(RUNS))
def test_every_picture_is_described(done: dict[str, Any], key: str) -> None:
    book.describes_its_pictures(done[key])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "cell", "sets", "stops"),
    [
        ("first", "angle-explorer", 1, 2),
        ("first", "width-explorer", 1, 2),
        ("first", "real-explorer", 1, 2),
        ("digits", "tasks-explorer", 1, 3),
        ("digits", "picker-explorer", 2, 3),
        ("dial", "picker-explorer", 1, 2),
    ],
)
def test_an_explorer_has_another_picture_at_every_stop(
    done: dict[str, Any], key: str, cell: str, sets: int, stops: int
) -> None:
    book.has_a_picture_at_every_stop(done[key], cell, sets, stops)


@pytest.mark.slow
def test_the_live_dials_show_a_trained_picture(done: dict[str, Any]) -> None:
    (shown,) = outputs(done["first"], "live")
    assert "trained with angle = 90, trunk width = 2" in shown.data["text/html"]
    assert 'src="data:image/png;base64,' in shown.data["text/html"]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["digits", "dial"])
def test_lbtw_is_compared_with_mtl_and_with_its_shuffled_self(
    done: dict[str, Any], key: str
) -> None:
    (shown,) = outputs(done[key], "help-words")
    text = shown.data["text/markdown"]
    assert RUNS[key][1].get("dataset", "digits") in text
    assert ("on this split" in text) == (key == "digits")
    assert re.search(r"LBTW [\d.]+, shuffled, against MTL: [+-]", text)
    assert re.search(r"LBTW [\d.]+ against itself, shuffled: [+-]", text)
