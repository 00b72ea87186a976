"""Exported pages, opened in Chromium without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import CHROMIUM, chromium, keep_screenshot
from nbformat import NotebookNode
from playwright.sync_api import Browser, Locator

from mtl_nt.book import report

NEEDED = pytest.mark.skipif(CHROMIUM is None, reason="no program named chromium: nothing to open")


PHONE = 390  # pixels
WIDTHS = "[document.documentElement.scrollWidth, innerWidth]"


class Visit:
    """An open page that writes down all that it asks for and complains about."""

    def __init__(self, browser: Browser, path: Path, width: int = 800, **options: Any) -> None:
        size = {"width": width, "height": 900}
        self.stem, self.name = path.stem, f"{path.stem}-{width}"
        self.context = browser.new_context(**{"offline": True, "viewport": size} | options)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Visit:
        return self

    def narrowed(self, width: int) -> None:
        """The same page in a narrower window; a picture of the wider one is kept."""
        keep_screenshot(self.page, self.name)
        self.name = f"{self.stem}-{width}"
        self.page.set_viewport_size({"width": width, "height": 900})

    def __exit__(self, *_: object) -> None:
        keep_screenshot(self.page, self.name)
        self.context.close()


def every_slider_reaches_every_position(notebook: NotebookNode, folder: Path, name: str) -> None:
    """Its page opens without a complaint and asks for nothing; every slider shows every picture
    of every choice of its pickers. Neither at 800 pixels nor on a phone does it scroll sideways.
    """
    nbformat.write(notebook, folder / f"{name}.ipynb")
    page = report.write_page(folder / f"{name}.ipynb", folder / f"{name}.html")
    with chromium() as browser, Visit(browser, page) as visit:
        boxes = visit.page.locator(".nt-explorer:has(script)").all()  # others are single pictures
        for box in boxes:
            _reaches_every_position(box)
        assert [url for url in visit.asked if not url.startswith("data:")] == [page.as_uri()]
        assert visit.said == []
        assert visit.page.evaluate(WIDTHS) == [800, 800]
        visit.narrowed(PHONE)
        assert visit.page.evaluate(WIDTHS) == [PHONE, PHONE]
    assert boxes, "a notebook without a slider"


MOVE = """box => {
  const content = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const [slider, output] = ["input", "output"].map((name) => box.querySelector(name));
  const images = [...box.querySelectorAll("img")];
  const set = (control, value) => {
    control.value = value;
    ["input", "change"].forEach((kind) => control.dispatchEvent(new Event(kind, {bubbles: true})));
  };
  let choices = [[]];
  const pickers = [...box.querySelectorAll("select")];
  for (const picker of pickers)
    choices = choices.flatMap((few) => [...picker.options].map((option) => [...few, option.value]));
  const wrong = pickers.filter((picker) => !picker.checkVisibility()).map((picker) => "a menu");
  let seen = 0;
  choices.forEach((chosen, number) => {
    pickers.forEach((picker, place) => set(picker, chosen[place]));
    const row = content.pages[number];
    if (slider.checkVisibility() !== row.length > 1) wrong.push([...chosen, "slider"]);
    content.values.forEach((value, place) => {
      set(slider, place);
      const { forms } = row[Math.min(place, row.length - 1)];
      const shown = images.map((image) => image.src).join(), right = forms.map((f) => f.src).join();
      if (output.textContent !== value || shown !== right) wrong.push([...chosen, value]);
      seen += 1;
    });
  });
  return { wrong, seen, expected: content.pages.length * content.values.length };
}"""


def _reaches_every_position(box: Locator) -> None:
    """By a script in the page: keys and mouse would take a second a picture. A slider is there
    where a choice has several pictures, and only there.
    """
    found = box.evaluate(MOVE)
    assert found["wrong"] == []
    assert found["seen"] == found["expected"] > 0
