"""Questions in the page: what is shown of a right and of a wrong answer, and that nothing runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pages
import pytest

from mtl_nt import BadInput
from mtl_nt.book.markup import html_document
from mtl_nt.book.predict import predict_choice, predict_number

NUMBER = predict_number("A weight of <b>?", 9.5, 10.5, "It is 1 / (2L).", "Not 20: mind the 2.")
CHOICE = predict_choice(
    "Which task is lightest?", {"the loud one": "Right. A large loss.", "the quiet one": "No."}
)


def test_what_is_asked_and_said_is_text_and_no_markup() -> None:
    assert "&lt;b&gt;" in NUMBER.html and "<b>" not in NUMBER.html
    assert "<script" not in NUMBER.html + CHOICE.html


def test_a_question_survives_the_making_of_a_page() -> None:
    page = html_document("title", NUMBER.html + CHOICE.html)
    assert re.search(r'<input [^>]*max="10.5"', page)
    assert page.count('type="radio"') == 2


def test_in_words_it_does_not_tell_the_answer() -> None:
    assert repr(NUMBER) == "A weight of <b>?"
    assert repr(CHOICE) == "Which task is lightest? (the loud one; the quiet one)"


@pytest.mark.parametrize(("low", "high"), [(2, 1), (float("nan"), 1), (0, "1"), (None, 1)])
def test_limits_that_are_none_are_refused(low: float, high: float) -> None:
    with pytest.raises(BadInput, match="give two numbers in order"):
        predict_number("?", low, high, "", "")


@pytest.mark.parametrize("options", [{}, {"a": "Right."}, {"a": "No.", "b": "No."}])
def test_a_choice_has_one_right_answer_of_several(options: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="say 'Right.' of one"):
        predict_choice("?", options)


@pytest.mark.slow
@pytest.mark.browser
@pages.NEEDED
def test_a_browser_shows_one_answer_to_what_is_typed_or_chosen(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    path = tmp_path / "page.html"
    path.write_text(html_document("title", NUMBER.html + CHOICE.html), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(java_script_enabled=False)
        page.goto(path.as_uri())
        said = page.locator(".nt-said:visible")
        assert said.count() == 0
        seen = []
        for typed in ("20", "10", ""):
            page.locator("input[type=number]").fill(typed)
            seen.append(said.all_inner_texts())
        assert seen == [["Not yet. Not 20: mind the 2."], ["Right. It is 1 / (2L)."], []]
        for name in ("the quiet one", "the loud one"):
            page.get_by_label(name).check()
            seen.append(said.all_inner_texts())
        assert seen[3:] == [["No."], ["Right. A large loss."]]
        assert page.locator(".nt-ask:visible").count() == 0
        page.evaluate("document.querySelectorAll('style').forEach((style) => style.remove())")
        assert page.locator(".nt-said:visible, input:visible").count() == 0, "not trusted"
        assert page.locator(".nt-ask:visible").all_inner_texts() == 2 * ["Run this cell to answer."]
        browser.close()
