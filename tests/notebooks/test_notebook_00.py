"""Notebook 0, start here: its parameters, its glossary, and headless runs with others."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import book
import hints
import nbformat
import numpy as np
import pages
import pytest
from book import BOOK
from bs4 import BeautifulSoup
from lab import chromium
from nbformat import NotebookNode
from playwright.sync_api import expect

from mtl_nt.book import report

WORDS = Path(__file__).resolve().parents[2] / "docs" / "words.md"


def minutes(notebook: NotebookNode) -> list[int]:
    """What a chapter says of its parts, without the exercises."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    (said,) = re.findall(r"\*\*Time:\*\* (\d+ minutes[^.]*)\.", text)
    return [int(n) for n, part in re.findall(r"(\d+)([^,]*)", said) if "exercises" not in part]


@pytest.mark.parametrize("name", [*BOOK][:5])
def test_a_chapter_opens_with_two_sentences_and_the_playground(name: str) -> None:
    title, parameters, playground, *_ = BOOK[name].cells
    _, text = title.source.split("\n\n")
    answer, prompt = re.fullmatch(r"(.+?) (\*\*[^*]+\*\*)", text).groups()  # type: ignore[union-attr]
    assert len(re.findall(r"[.!?](?= |$)", answer)) == 2
    assert max(len(said.split()) for said in re.split(r"[.!?] ?", f"{answer} {prompt}")) <= 25
    assert (parameters.id, playground.id) == ("parameters", "playground")


class TestStartHere(book.Lesson):
    name = "00_start_here"
    pictures = 0
    wrong = (
        "[(check_1, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]), (check_1, [[0, 1], [1]]), "
        "(check_2, lambda rows: [1, 3]), (check_3, 'none of these', studies)]"
    )
    refusals = [
        ({"dataset": "digit"}, "did you mean 'digits'?"),
        ({"datasets": ["dial-dominent"]}, "did you mean 'dominant' or"),
        ({"methods": ["LBWT"]}, "did you mean 'LBTW'?"),
        ({"methods": []}, "no methods"),
        ({"methods": ["MTL", "MTL"]}, "give every method once"),
        ({"alphas": [0.0, -1.0]}, "alpha -1"),
        ({"alphas": []}, "alpha"),
        ({"alpha": -0.3}, "alpha -0.3"),
        ({"own": {"digits": {"trunk": [0]}}}, "trunk"),
        ({"own": {"digits": {"stepz": 9}}}, "did you mean 'steps'?"),
        ({"seeds": []}, "2 runs or more"),
        ({"seeds": 1}, "2 runs or more"),
        ({"steps": -5}, "steps -5"),
    ]
    fast = book.fast(name)
    data = [fast["dataset"], *fast["datasets"]]
    prose = "\n".join(cell.source for cell in BOOK[name].cells if cell.cell_type == "markdown")

    def test_one_picture_has_eleven_alphas_three_data_sets_and_the_books_methods(self) -> None:
        given = book.parameters(self.name)
        assert len(given["alphas"]) >= 11
        assert given["seeds"] >= 8
        assert given["dataset"] == "digits"
        assert {"digits", "dial-unrelated", "dial-dominant"} <= set(given["datasets"])
        wanted = {"LBTW", "GradNorm", "Uncertainty", "RMTL", "Fine-Tuning", "MTL"}
        assert wanted <= set(given["methods"])

    def test_each_wrong_answer_that_people_give_has_a_hint_of_its_own(self) -> None:
        rows = [{"method": "RMTL", "harmed": 2}, {"method": "Fine-Tuning", "harmed": 0}]
        studies = {"one": hints.Counts(rows), "two": hints.Counts(rows)}
        known = hints.checks(self.name, menu={"RMTL": False, "Fine-Tuning": False})
        one, two, three = (known[f"check_{k}"] for k in (1, 2, 3))
        others = 1 - np.eye(3)
        assert "second stage" in hints.hint(one, np.eye(3))
        assert "MTL" in hints.hint(one, [[1] * 3] * 3)
        assert "need not add up" in hints.hint(one, others / 2)
        assert "each of the three" in hints.hint(one, [[0, 1, 1]])
        assert one([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) == "Right."
        below = "not yet harmed: look at its verdict"
        assert below in hints.hint(two, lambda rows: [(rows["delta"] < 0).sum()] * 2)
        assert "First the tasks below zero" in hints.hint(two, lambda rows: (1, 3))
        assert "RMTL has 4 red marks" in hints.hint(three, "RMTL", studies)
        assert "One method has no red mark" in hints.hint(three, "none", studies)
        assert "one of RMTL, Fine-Tuning" in hints.hint(three, "STL", studies)
        assert three("Fine-Tuning", studies) == "Right."
        hints.solutions_name_wrong_answers(self.name)

    def test_the_smallest_code_is_real(self) -> None:
        (block,) = re.findall(r"```python\n(.+?)```", self.prose, re.S)
        compile(block, "the smallest code", "exec")
        assert "mtl_nt.compare(" in block

    def test_every_notebook_is_in_the_table_with_its_running_time(self) -> None:
        rows = re.findall(r"\| \[\d.*?\]\((\d\d_\w+)\.ipynb\) \| .+\? \| (\d+) \|", self.prose)
        times = {name: minutes(notebook) for name, notebook in BOOK.items() if name != self.name}
        assert dict(rows) == {name: str(sum(time)) for name, time in times.items()}

    def test_every_name_in_the_table_of_symbols_is_in_the_package(self) -> None:
        modules = {"Step": "weighters", "Weighter": "weighters", "Study": "study"}  # rooms
        names = re.findall(r"`([A-Za-z]+)\.(\w+)`", WORDS.read_text(encoding="utf-8"))
        assert len(names) >= 10
        for owner, name in names:
            module = importlib.import_module(f"mtl_nt.{modules.get(owner, owner)}")
            found = getattr(module, owner) if owner in modules else module
            fields = getattr(found, "__dataclass_fields__", {})
            assert hasattr(found, name) or name in fields, f"{owner}.{name}"

    def test_the_glossary_has_the_words_of_the_other_notebooks(self) -> None:
        assert "(../docs/words.md)" in self.prose
        words = WORDS.read_text(encoding="utf-8")
        for word in ("trunk", "head", "replica", "STL'", "null", "undecided", "PR-AUC", "alpha"):
            assert re.search(rf"^\|[^|]*\b{word}(?!\w)[^|]*\|", words, re.M), word

    @pytest.mark.slow
    def test_what_needs_no_budget_holds_with_few_steps_too(self, done: NotebookNode) -> None:
        printed = "".join(book.said(done, "claim"))
        for always in ("STL is the identity", "MTL is all ones", "and so is LBTW with alpha 0"):
            assert f"✓ {always}" in printed

    @pytest.mark.slow
    def test_an_explorer_has_another_picture_at_every_stop(  # type: ignore[override]
        self, done: NotebookNode
    ) -> None:
        """At every stop of both pickers."""
        (shown,) = book.outputs(done, "explorer")
        soup = BeautifulSoup(shown.data["text/html"], "html.parser")
        content = json.loads(soup.script.text)  # type: ignore[union-attr]
        data, methods = (options for _, options in content["pickers"])
        assert data == self.data
        assert methods == self.fast["methods"]
        rows = content["pages"]
        stops = [len(self.fast["alphas"]) if method == "LBTW" else 1 for method in methods]
        assert [len(row) for row in rows] == stops * len(data)
        pictures = {page["forms"][0]["src"] for row in rows for page in row}
        assert len(pictures) == sum(stops) * len(data)
        for (_, method), row in zip([(d, m) for d in data for m in methods], rows, strict=True):
            for page in row:
                said = page["alt"] + page["caption"]
                assert (f"{method} has no alpha" if len(row) == 1 else method) in said

    @pytest.mark.slow
    def test_every_count_stands_beside_its_null(self, done: NotebookNode) -> None:
        for cell in ("chance-words", "take-away-words"):
            (shown,) = book.outputs(done, cell)
            text = shown.data["text/markdown"]
            assert all(f"`{name}`" in text for name in self.data)
        assert re.search(r"MTL harms .*\d+ of \d+ on `dial-\w+`, mean [+-]\d\.\d+ \[[+-]", text)

    @pytest.mark.slow
    @pytest.mark.browser
    @pages.NEEDED
    def test_in_an_exported_page_both_pickers_and_the_slider_choose_the_picture(
        self, done: NotebookNode, tmp_path: Path
    ) -> None:
        nbformat.write(done, tmp_path / "book.ipynb")
        page = report.write_page(tmp_path / "book.ipynb", tmp_path / "book.html")
        with chromium() as browser, pages.Visit(browser, page, width=390) as visit:
            pickers = visit.page.get_by_role("combobox", name="data")
            shown = visit.page.locator(".nt-explorer").filter(has=pickers)
            picture, caption = shown.locator("img:visible"), shown.locator("figcaption")
            slider = shown.get_by_role("slider", name="alpha")
            for name in self.data:
                shown.get_by_role("combobox", name="data").select_option(name)
                seen = []
                for method in self.fast["methods"]:
                    shown.get_by_role("combobox", name="method").select_option(method)
                    expect(slider).to_have_count(int(method == "LBTW"))  # the others have no alpha
                    for key in ("Home", "End"):
                        if method == "LBTW":
                            slider.press(key)
                        expect(caption).to_contain_text(f"{method} ")
                        expect(picture).to_have_js_property("naturalWidth", 585)
                        seen.append(picture.get_attribute("src"))
                assert len(set(seen)) == len(self.fast["methods"]) + 1  # LBTW has two
            assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
            assert visit.said == []
