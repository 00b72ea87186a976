"""A small notebook and the book's first ones, run by a reader in a real JupyterLab: every slider,
picker and dial.

What readers once ran into, and the tests in a real browser that keep it from coming back. Those
without a file's name are here, where all share one JupyterLab.

| what | tests |
|---|---|
| links in pages | test_browser: every_link_to_another_page_opens_one_and_there_is_a_way_back; |
| | test_site: its_first_page_leads_through_the_chapters_and_back |
| saved and opened the next day | saved_and_opened_again_it_works_though_nothing_is_run; |
| | where_no_kernel_is_a_live_cell_is_its_last_picture_and_a_line; |
| | where_no_kernel_is_a_playground_says_that_python_cannot_read_it |
| the same, untrusted | sent_to_someone_else_it_is_a_picture_with_a_line_and_no_control; the two |
| | above "by someone else"; |
| | what_someone_else_sent_shows_a_picture_in_one_form_and_no_answer |
| opened, not run | as_the_repository_keeps_it_a_notebook_opens_and_closes_without_a_question |
| kernel restarted | a_live_cell_says_that_its_kernel_is_gone_and_works_when_it_is_run_again; |
| | a_playground_plays_on_and_says_that_its_kernel_is_gone |
| opening alone | as_the_repository_keeps_it_a_notebook_opens_and_closes_without_a_question; |
| | the_menu_exports_what_the_repository_keeps_as_a_python_script |
| print | test_browser: print_has_what_the_text_speaks_of_and_nothing_to_press |
| phone | test_browser: no_page_scrolls_sideways, |
| | what_is_too_wide_for_a_phone_wraps_or_scrolls_with_a_shadow_at_its_side; |
| | test_site: it_is_dark_where_the_reader_wants_it_and_fits_a_phone; |
| | every page of a chapter at 390 pixels (`pages.every_slider_reaches_every_position`) |
| screen reader | test_browser: |
| | a_screen_reader_hears_the_finding_once_and_shortly_and_the_rest_as_text |
| headings | test_browser: a_keyboard_skips_to_the_text_and_the_contents_lead_to_a_part |
| one core | on_one_core_the_first_notebook_is_done_when_its_text_says |
"""

from __future__ import annotations

import json
import os
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import nbformat
import pytest
from book import BOOK, fast, outputs
from bs4 import BeautifulSoup
from jupyter_client.blocking.client import BlockingKernelClient
from lab import CHROMIUM, SCREENSHOTS, chromium, jupyterlab, keep_screenshot, run_all
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from playwright.sync_api import TimeoutError as TooLate
from samples import png, write
from test_browser import Visit

from mtl_nt import compare, figures, load
from mtl_nt.book.outputs import with_outputs
from mtl_nt.book.predict import predict_choice, predict_number
from mtl_nt.figures.inline import Captioned, captioned_html

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no program named chromium: nothing to open"),
]
START, DIALS, LBTW = "00_start_here", "01_negative_transfer", "02_lbtw"
CASE = "07_case_chemistry"  # the other notebook that trains at a picker's change
# Three stops or more on every slider, so that its middle is neither of its ends.
GIVEN: dict[str, dict[str, Any]] = {
    START: {**fast(START), "alphas": [0.0, 0.25, 0.5, 2.0], "alpha": 0.5},
    DIALS: {
        **{**fast(DIALS), "angles": [0, 45, 90], "widths": [2, 3, 4, 8]},
        **{"outsiders": [1, 3, 6], "multiples": [0.5, 1, 4], "alphas": [0.0, 0.5, 2.0]},
    },
    LBTW: {**fast(LBTW), "alphas": [0.0, 0.5, 2.0], "alpha": 0.5},
    CASE: {
        **{**fast(CASE), "dataset": "assays", "molecules": 500},
        **{"alphas": [0.0, 0.5, 2.0], "alpha": 0.5},
    },
}
NEEDED = (
    "parameters",
    "setup",
    "check",
    "published",
    "live",
)  # what cells of the case begin with
EXPLORERS = {
    START: ["explorer"],
    DIALS: [f"{dial}-explorer" for dial in ("angle", "width", "outsiders", "rows", "real")],
    LBTW: ["tasks-explorer", "picker-explorer"],
}
MARKS = {LBTW: pytest.mark.release}  # a third notebook shows what two have shown
PAIRS = [
    pytest.param(name, cell, marks=MARKS.get(name, ()))
    for name, cells in EXPLORERS.items()
    for cell in cells
]
NAMES = [pytest.param(name, marks=MARKS.get(name, ())) for name in EXPLORERS]
every_notebook = pytest.mark.parametrize("opened", NAMES, indirect=True)
every_explorer = pytest.mark.parametrize(("opened", "cell"), PAIRS, indirect=["opened"])
the_dials = pytest.mark.parametrize("opened", [DIALS], indirect=True)
PATIENCE = 30  # seconds that a busy machine may need; an idle one answers at once
MOVES = 100
SMALL = "small"  # a notebook with an explorer, a live control and a table, and no real training
PLAYED = "played"  # a playground that Python hears
PLAYED_CELLS = (
    """
    from mtl_nt.book import playground
    """,
    """
    game = playground("outsider").widget()
    game
    """,
)
CELLS = (
    """parameters:
    alpha = 0.5
    """,
    """
    import sys, time; sys.path.insert(0, TESTS)
    from mtl_nt import BadInput
    from mtl_nt.book import Live, explorer
    from samples import png
    alphas = [0.0, 0.5, 1.0]
    pictures = {
        d: [(png(40 * k, 800, 400), f"{d} at {a}") for k, a in enumerate(alphas)]
        for d in ("dial", "digits")
    }
    explorer(pictures, alphas, start=alpha)
    """,
    """
    def train(values, progress, stop):
        if values["alpha"] == 1:
            raise BadInput("alpha 1: give less")
        if values["alpha"] == 0.75:  # takes as long as nobody stops it
            while not stop():
                progress(0.25, "LBTW")
                time.sleep(0.01)
        return png(99, 800, 400), f"live at {values['alpha']}"
    Live(train, {"alpha": ([0.0, 0.25, 0.5, 0.75, 1.0], alpha)}, title="LBTW")
    """,
    """
    from IPython.display import HTML
    from mtl_nt.audit.tables import sortable_table
    rows = [[(name, name), (str(value), value)] for name, value in zip("abc", (2, 10, 1))]
    HTML(sortable_table(["task", "difference"], rows, "Tasks"))
    """,
)
STUDY = "study"  # a live cell as the method chapters have it
STUDY_CELLS = (
    """
    from mtl_nt.book import live_study
    """,
    """
    live_study(["dial", "dial-noisy"], ["LBTW", "MTL"], seeds=2, steps=5)
    """,
)


# ---------------------------------------------------------------- opened and run


def shorter(name: str) -> NotebookNode:
    """A notebook not yet run, with few steps; only the dials' training at 45 degrees is long. Of
    the case no more than its live pickers and what they need.
    """
    made = not_run(BOOK[name])
    if name == CASE:
        made.cells = [cell for cell in made.cells if cell.id.startswith(NEEDED)]
    for cell in made.cells:
        if cell.id == "parameters":
            cell.source += "".join(f"\n{key} = {value!r}" for key, value in GIVEN[name].items())
        if (name, cell.id) == (DIALS, "live"):
            assert cell.source.count("{**dial, ") == 1
            once = '"steps": next(long.get(values["angle"], iter(())), steps)'
            cell.source = cell.source.replace("{**dial, ", f"{{{once}, ")
            cell.source = f"long = {{45: iter([30_000])}}\n{cell.source}"
    return made


def not_run(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs."""
    made = deepcopy(notebook)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return made


class Opened:
    """A notebook in JupyterLab after Run All: its page, and the file that JupyterLab saves."""

    def __init__(
        self, browser: Browser, address: str, path: Path, patience: float = 4 * PATIENCE
    ) -> None:
        self.address, self.path = address, path
        self.page = browser.new_page(viewport={"width": 1200, "height": 2000})
        self.page.set_default_timeout(1e3 * PATIENCE)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        run_all(self.page, address, path.stem)
        prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)")
        expect(prompts.last).to_have_text(re.compile(r"\[\d+\]"), timeout=1e3 * patience)
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
        self.saved = self.save()

    def save(self) -> NotebookNode:
        """The notebook as it is on the page, once every cell has run; the hidden ones are last."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with self.page.expect_response(lambda r: r.request.method == "PUT"):
                self.page.keyboard.press("Control+s")
            try:
                saved = nbformat.read(self.path, as_version=4)
            except nbformat.reader.NotJSONError:  # it is being saved once more
                continue
            cells = [cell for cell in saved.cells if cell.cell_type == "code"]
            if all(cell.execution_count for cell in cells):
                return saved
        raise AssertionError(f"{self.path.stem}: not every cell has run")

    def explorer(self, cell: str) -> Shown:
        """The explorer that this cell shows."""
        place = EXPLORERS[self.path.stem].index(cell)
        (output,) = outputs(self.saved, cell)
        return Shown(
            self.page.locator(".nt-explorer:has(script)").nth(place), output.data["text/html"]
        )

    def kernel(self) -> str:
        """The name that the server has for the notebook's kernel."""
        found: str
        (found,) = self.page.evaluate(
            "path => fetch('/api/sessions').then(r => r.json())"
            ".then(all => all.filter(s => s.path === path).map(s => s.kernel.id))",
            self.path.name,
        )
        return found

    def restart_kernel(self) -> None:
        self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        self.page.get_by_role("menuitem", name=re.compile("^Restart Kernel…")).click()
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def kernel_says(self, code: str) -> str:
        """What an expression is in the notebook's kernel, asked beside the page."""
        found = self.kernel()
        settings = self.path.parent.parent / "settings"
        client = BlockingKernelClient(connection_file=str(settings / f"kernel-{found}.json"))
        client.load_connection_file()
        # No heartbeat: one that is stopped before its thread runs opens sockets without end.
        client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        try:
            asked = {"asked": code}
            reply = client.execute(
                "", silent=True, store_history=False, user_expressions=asked, reply=True
            )
            said: str = reply["content"]["user_expressions"]["asked"]["data"]["text/plain"]
            return said
        finally:
            client.stop_channels()


class Shown:
    """An explorer on the page, and what its cell has for pages without a kernel."""

    def __init__(self, box: Locator, html: str) -> None:
        soup = BeautifulSoup(html, "html.parser")
        content = json.loads(soup.script.text)  # type: ignore[union-attr]
        self.box, self.slider = box, box.locator("input[type=range]")
        self.values: list[str] = content["values"]
        self.menus: dict[str, list[str]] = dict(content["pickers"])
        self.rows = dict(zip(product(*self.menus.values()), content["pages"], strict=True))
        self.last = len(self.values) - 1
        self.first: int = content["first"]

    def picked(self) -> tuple[str, ...]:
        return tuple(self.box.get_by_role("combobox", name=n).input_value() for n in self.menus)

    def pick(self, *options: str) -> None:
        for name, option in zip(self.menus, options, strict=True):
            self.box.get_by_role("combobox", name=name).select_option(option)

    def expected(self, stop: int) -> dict[str, Any]:
        row = self.rows[self.picked()]
        page: dict[str, Any] = row[stop if len(row) > 1 else 0]
        return page

    def shows(self, stop: int) -> None:
        """This stop's own picture, painted, and no other; its caption and the slider's value."""
        page = self.expected(stop)
        paints(self.box, page["forms"][0]["src"], self.name_of)
        expect(self.box.locator("img:visible")).to_have_attribute("alt", page["alt"])
        expect(self.box.locator("figcaption")).to_have_text(page["caption"])
        expect(self.box.locator("output")).to_have_text(self.values[stop])

    def name_of(self, source: str | None) -> str:
        """Which picture this is, for the message of a test that fails."""
        for chosen, row in self.rows.items():
            for stop, page in enumerate(row):
                if page["forms"][0]["src"] == source:
                    return f"{chosen} at {self.values[stop] if len(row) > 1 else 'every stop'}"
        return "another picture"

    def press(self, key: str) -> None:
        self.slider.press(key)


THUMB = 16  # pixels; a native slider's track is so much longer than the way of its thumb's middle


def is_native(slider: Locator) -> bool:
    """Whether it is a range input, or the handle of a widget's slider."""
    native: bool = slider.evaluate("slider => slider.matches('input')")
    return native


def at_rest(slider: Locator) -> tuple[FloatRect, FloatRect]:
    """Where a slider's handle and its track are, once nothing above them grows any more. A native
    slider can be taken anywhere.
    """
    slider.scroll_into_view_if_needed()
    base = slider.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]")
    track, before = slider if is_native(slider) else base, None
    for _ in range(10 * PATIENCE):
        now = slider.bounding_box(), track.bounding_box()
        if now == before and now[0] and now[1]:
            return now[0], now[1]
        before = now
        slider.page.wait_for_timeout(100)
    raise AssertionError("the slider never comes to rest")


def drag(slider: Locator, last: int, *stops: int) -> Iterator[int]:
    """Take a slider's handle with the mouse and say where it is, with the button held down."""
    mouse, inset = slider.page.mouse, THUMB / 2 * is_native(slider)
    handle, track = at_rest(slider)
    left, way = track["x"] + inset, track["width"] - 2 * inset
    height = track["y"] + track["height"] / 2
    mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    mouse.down()
    try:
        for stop in stops:
            mouse.move(left + way * stop / last, height, steps=3)
            yield stop
    finally:
        mouse.up()


PAINTED = """([box, source]) => {
  const images = [...box.querySelectorAll("img")].filter((image) => image.checkVisibility());
  return images.length === 1 && images[0].src === source && images[0].naturalWidth > 0;
}"""


def paints(box: Locator, wanted: str, name: Callable[[str | None], str]) -> None:
    """Wait until these very bytes are the one picture that is there."""
    arguments = [box.element_handle(), wanted]
    try:
        box.page.wait_for_function(PAINTED, arg=arguments, timeout=1e3 * PATIENCE)
    except TooLate:
        there = [name(i.get_attribute("src")) for i in box.locator("img:visible").all()]
        raise AssertionError(f"shows {there}, and not {name(wanted)}") from None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def desk(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Opened]]:
    """Opens a notebook and runs it, once for all tests."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for name in GIVEN:
        nbformat.write(shorter(name), folder / "notebooks" / f"{name}.ipynb")
    tests = repr(str(Path(__file__).parents[1]))
    cells = [cell.replace("TESTS", tests) for cell in CELLS]
    write(folder / "notebooks" / f"{SMALL}.ipynb", *cells, kernel=True)
    write(folder / "notebooks" / f"{STUDY}.ipynb", *STUDY_CELLS, kernel=True)
    write(folder / "notebooks" / f"{PLAYED}.ipynb", *PLAYED_CELLS, kernel=True)
    with jupyterlab(folder / "notebooks", folder / "settings", warm=True) as address:

        @cache
        def opened(name: str) -> Opened:
            return Opened(browser, address, folder / "notebooks" / f"{name}.ipynb")

        yield opened


@pytest.fixture
def opened(request: pytest.FixtureRequest, desk: Callable[[str], Opened]) -> Iterator[Opened]:
    notebook = desk(request.param)
    yield notebook
    keep_screenshot(notebook.page, f"lab-{request.param}")


# ---------------------------------------------------------------- one of each


@pytest.mark.parametrize("opened", [SMALL], indirect=True)
def test_in_jupyterlab_the_explorer_moves_and_live_training_trains_stops_and_says_what_is_wrong(
    opened: Opened,
) -> None:
    page = opened.page
    explorer, live = page.locator(".nt-explorer"), page.locator(".nt-live")
    caption = explorer.locator(".nt-caption:visible")
    expect(caption).to_have_text("dial at 0.5")
    slider = explorer.get_by_role("slider", name="alpha")
    expect(slider).to_have_attribute("aria-valuetext", "0.5")
    slider.press("ArrowRight")
    expect(caption).to_have_text("dial at 1.0")
    expect(slider).to_have_attribute("aria-valuetext", "1")
    explorer.get_by_role("combobox", name="dataset").select_option("digits")
    expect(caption).to_have_text("digits at 1.0")
    slider.press("Home")
    expect(caption).to_have_text("digits at 0.0")
    image = explorer.locator("img:visible")
    expect(image).to_have_js_property("naturalWidth", 800)

    table = page.locator(".nt-tasks")
    heading = table.get_by_role("button", name="difference")
    for sort, order in (("ascending", "cab"), ("descending", "bac")):
        heading.click()
        expect(heading.locator("..")).to_have_attribute("aria-sort", sort)
        assert table.locator("tbody td:first-child").all_inner_texts() == [*order]

    made, status = live.locator(".nt-caption"), live.locator(".nt-status")
    button = live.get_by_role("button")
    expect(made).to_have_text("live at 0.5")  # trained by being shown
    slider = live.get_by_role("slider", name="alpha")
    slider.press("ArrowLeft")
    expect(made).to_have_text("live at 0.25")
    expect(slider).to_have_attribute("aria-valuetext", "0.25")
    slider.press("ArrowRight")
    expect(made).to_have_text("live at 0.5")
    slider.press("ArrowRight")  # a long one, which the next replaces
    expect(status).to_contain_text("training alpha = 0.75, LBTW")
    expect(made).to_have_text("live at 0.5")
    slider.press("Home")
    expect(made).to_have_text("live at 0.0")

    for quick in ("0.25", "0.5"):
        slider.press("ArrowRight")
        expect(made).to_have_text(f"live at {quick}")
    slider.press("ArrowRight")
    expect(status).to_contain_text("s left")
    button.click()
    expect(status).to_contain_text("stopped; the picture shows alpha = 0.5")
    expect(button).to_have_text("Train again")
    expect(made).to_have_text("live at 0.5")
    slider.press("End")
    expect(live.locator(".nt-error")).to_have_text("alpha 1: give less")
    expect(made).to_have_text("live at 0.5")
    assert opened.complaints == []


@pytest.mark.parametrize("opened", [STUDY], indirect=True)
def test_a_live_study_takes_any_alpha_and_hides_it_where_the_method_has_none(
    opened: Opened,
) -> None:
    live = opened.page.locator(".nt-live")
    slider = live.get_by_role("slider", name="alpha")
    number = live.get_by_role("spinbutton", name="any number, 0 to 2")
    method, data = (live.get_by_role("combobox", name=name) for name in ("method", "data"))

    def says(words: str) -> None:
        expect(live.locator(".nt-status")).to_contain_text(f"{words}: trained in")

    says("data = dial, method = LBTW, alpha = 0.5")
    slider.press("ArrowRight")
    says("alpha = 0.55")
    expect(slider).to_have_attribute("aria-valuetext", "0.55")
    expect(number).to_have_value("0.55")
    for typed, taken, at in (("0.123", "0.123", "0.1"), ("7", "2", "2")):
        number.fill(typed)
        number.press("Enter")
        says(f"alpha = {taken}")
        expect(number).to_have_value(taken)
        expect(slider).to_have_attribute("aria-valuetext", at)
    number.press("ArrowDown")
    says("alpha = 1.95")
    number.press("ArrowUp")
    says("alpha = 2")
    expect(live.locator("figcaption")).to_contain_text("LBTW 2: difference from STL in MSE")
    method.select_option("MTL")
    says("data = dial, method = MTL")
    expect(slider).to_be_hidden()
    expect(number).to_be_hidden()
    data.select_option("dial-noisy")
    says("data = dial-noisy, method = MTL")
    method.select_option("LBTW")
    says("data = dial-noisy, method = LBTW, alpha = 2")
    expect(slider).to_be_visible()
    assert opened.complaints == []


# ---------------------------------------------------------------- a playground that Python hears

played = pytest.mark.parametrize("opened", [PLAYED], indirect=True)


@played
def test_python_and_the_page_share_the_settings_of_a_playground(opened: Opened) -> None:
    game = opened.page.locator(".nt-live .mtl-playground")
    said, angle = game.locator(".said"), game.get_by_label("angle")
    expect(angle).to_have_attribute("aria-valuetext", "80°")
    expect(opened.page.locator(".nt-kept")).to_be_hidden()
    alone = said.inner_text()
    assert opened.kernel_says("game.summary") == repr(alone)

    opened.kernel_says("game.settings.update(angle=30, method='LBTW', alpha=1.25)")
    expect(angle).to_have_attribute("aria-valuetext", "30°")
    expect(game.get_by_label("method")).to_have_value("LBTW")
    expect(game.get_by_label("alpha")).to_have_attribute("aria-valuetext", "1.25")
    expect(said).to_contain_text("After 400 steps")
    hears(opened, "game.summary", said.inner_text())

    angle.press("ArrowRight")
    game.get_by_label("seed").press("End")
    hears(opened, "game.settings['angle'], game.settings['seed']", (35, 20))
    assert opened.kernel_says("game.summary") == repr(said.inner_text()) != repr(alone)

    game.get_by_role("button", name="reset").click()
    hears(opened, "game.settings == playground('outsider').settings", True)
    expect(said).to_have_text(alone)
    assert opened.complaints == []


def hears(opened: Opened, code: str, wanted: object) -> None:
    """Wait until this is what Python says: it hears of the page once training rests."""
    end = time.monotonic() + PATIENCE
    while (found := opened.kernel_says(code)) != repr(wanted):
        assert time.monotonic() < end, f"{code} is {found}"
        opened.page.wait_for_timeout(50)


@played
@pytest.mark.parametrize("change", ["", "  # mine"], ids=["the next day", "by someone else"])
def test_where_no_kernel_is_a_playground_says_that_python_cannot_read_it(
    browser: Browser, opened: Opened, change: str
) -> None:
    """The next day it plays all the same; what someone else sent is a picture."""
    page = visit(browser, opened, copy_of(opened, f"played-later{len(change)}", change))
    ask = page.get_by_text("Python cannot read your choice here. Run this cell")
    expect(ask).to_be_visible(timeout=1e3 * PATIENCE)
    expect(page.get_by_text("Error displaying widget")).to_be_visible(visible=False)
    game = page.locator(".mtl-playground")
    if change:
        expect(game.locator("img:visible")).to_have_count(1)
        expect(game.locator("input, select, button")).to_have_count(0)
    else:
        works(game)
    page.close()


@played
def test_a_playground_plays_on_and_says_that_its_kernel_is_gone(opened: Opened) -> None:
    game = opened.page.locator(".nt-live")
    gone = game.get_by_text("The kernel that listened here is gone. Run this cell again.")
    expect(gone).to_be_hidden()
    opened.restart_kernel()
    expect(gone).to_be_visible(timeout=1e3 * PATIENCE)
    works(game.locator(".mtl-playground"))


# ---------------------------------------------------------------- explorers


@every_notebook
def test_run_all_ends_without_an_error_and_the_page_has_no_complaint(opened: Opened) -> None:
    every = [(cell.id, output) for cell in opened.saved.cells for output in cell.get("outputs", [])]
    assert len(every) > 10
    assert [cell for cell, output in every if output.output_type == "error"] == []
    assert [output.text for _, output in every if output.get("name") == "stderr"] == []
    shown = opened.page.locator(".nt-explorer:has(script)")  # others are single pictures
    expect(shown).to_have_count(len(EXPLORERS[opened.path.stem]))
    expect(opened.page.locator("[title='null']:visible")).to_have_count(
        0
    )  # what a hovering mouse reads
    assert opened.complaints == []


@every_explorer
def test_the_keys_bring_up_the_picture_of_every_stop(opened: Opened, cell: str) -> None:
    shown = opened.explorer(cell)
    pages = next(iter(shown.rows.values()))
    assert len({page["forms"][0]["src"] for page in pages}) == shown.last + 1 >= 3
    shown.shows(shown.first)
    for key, stop in ("Home", 0), ("End", shown.last), ("Home", 0):
        shown.press(key)
        shown.shows(stop)
    for stop in range(1, shown.last + 1):
        shown.press("ArrowRight")
        shown.shows(stop)
    shown.press("ArrowRight")  # there is nothing beyond the end
    shown.shows(shown.last)
    for stop in reversed(range(shown.last)):
        shown.press("ArrowLeft")
        shown.shows(stop)


@every_explorer
def test_the_mouse_drags_the_slider_to_every_stops_picture(opened: Opened, cell: str) -> None:
    shown = opened.explorer(cell)
    there = [0, shown.last, *range(shown.last - 1, -1, -1), 1]
    for stop in drag(shown.slider, shown.last, *there):
        shown.shows(stop)
    shown.shows(1)  # and it stays where the button was let go


@pytest.mark.parametrize(
    ("opened", "cell"),
    [(START, "explorer"), pytest.param(LBTW, "picker-explorer", marks=MARKS[LBTW])],
    indirect=["opened"],
)
def test_every_choice_of_the_pickers_has_its_own_pictures_at_every_stop(
    opened: Opened, cell: str
) -> None:
    shown = opened.explorer(cell)
    assert [*shown.menus] == (["data", "method"] if cell == "explorer" else ["dataset"])
    assert all(len(options) == 2 for options in shown.menus.values())
    sources = [page["forms"][0]["src"] for row in shown.rows.values() for page in row]
    assert len(set(sources)) == len(sources)
    shown.press("Home")
    for chosen in [*shown.rows, next(iter(shown.rows))]:
        shown.pick(*chosen)
        shown.shows(0)  # the slider stays where it is
        if len(shown.rows[chosen]) == 1:  # of a method without alpha
            expect(shown.slider).to_be_hidden()
            continue
        shown.press("End")
        shown.shows(shown.last)
        shown.press("ArrowLeft")
        shown.shows(shown.last - 1)
        shown.press("Home")
        shown.shows(0)


# ---------------------------------------------------------------- opened again, and sent

CONTROLS = {  # of what works without a kernel
    ".nt-explorer": "input, select, button, .nt-controls",
    ".mtl-playground": "input, select, button, .controls",
}
both_kinds = pytest.mark.parametrize("opened", [START], indirect=True)


def copy_of(opened: Opened, name: str, change: str = "") -> Path:
    """The notebook as it was saved, under another name, with a cell's source changed."""
    made = deepcopy(opened.saved)
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.source += change
    path = opened.path.with_name(f"{name}.ipynb")
    nbformat.write(made, path)
    return path


@contextmanager
def looked_at(browser: Browser, opened: Opened, path: Path) -> Iterator[dict[str, Locator]]:
    """What of each kind a reader finds who opens a notebook and runs nothing."""
    page = visit(browser, opened, path)
    yield {kind: page.locator(kind).first for kind in CONTROLS}
    keep_screenshot(page, f"lab-{path.stem}")
    page.close()


def works(box: Locator) -> None:
    """Its sliders move, and with the first its picture."""
    box.scroll_into_view_if_needed()
    slider = box.get_by_role("slider").first
    expect(slider).to_be_visible()
    home, end = (told(box, slider, key) for key in ("Home", "End"))
    assert home not in (end, told(box, slider, "Home", "ArrowRight"))  # JupyterLab wants that key
    expect(box.get_by_text("Run this cell")).to_have_count(0)


def told(box: Locator, slider: Locator, *keys: str) -> str:
    """What the picture is said to be after these keys on the slider."""
    for key in keys:
        slider.press(key)
    words = box.locator("figcaption, .said")
    expect(words).to_have_count(1)
    return words.inner_text()


@both_kinds
def test_what_was_run_works(opened: Opened) -> None:
    for kind in CONTROLS:
        works(opened.page.locator(kind).first)


@both_kinds
def test_saved_and_opened_again_it_works_though_nothing_is_run(
    browser: Browser, opened: Opened
) -> None:
    with looked_at(browser, opened, opened.path) as boxes:
        for box in boxes.values():
            works(box)


@both_kinds
def test_sent_to_someone_else_it_is_a_picture_with_a_line_and_no_control(
    browser: Browser, opened: Opened
) -> None:
    sent = copy_of(opened, f"sent-{opened.path.stem}", "  # mine")
    with looked_at(browser, opened, sent) as boxes:
        for kind, box in boxes.items():
            box.scroll_into_view_if_needed()
            expect(box.locator("img:visible")).to_have_count(1)
            assert box.locator("img:visible").evaluate(
                "image => image.decode().then(() => image.alt)"
            )
            expect(box.get_by_text("Run this cell")).to_be_visible()
            expect(box.locator(CONTROLS[kind])).to_have_count(0)


# ---------------------------------------------------------------- a small one, opened otherwise

small = pytest.mark.parametrize("opened", [SMALL], indirect=True)
LIVE_CONTROLS = ".widget-slider, .widget-button, .widget-hprogress"


@small
def test_as_the_repository_keeps_it_a_notebook_opens_and_closes_without_a_question(
    browser: Browser, opened: Opened
) -> None:
    """Its pictures say that there is more; the tab is not dirty, and so JupyterLab asks nothing."""
    source = nbformat.read(opened.path, as_version=4)
    kept = opened.path.with_name("kept.ipynb")
    nbformat.write(with_outputs(source, opened.saved), kept)
    page = visit(browser, opened, kept)
    for line in ("dial at 0.5 Run this cell for the slider.", "to train with other values."):
        expect(page.get_by_text(line)).to_be_visible(timeout=1e3 * PATIENCE)
    expect(page.locator(".jp-RenderedImage img")).to_have_count(2)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=1e3 * PATIENCE)
    page.wait_for_timeout(500)  # in which a page would learn of its kernel's language
    assert page.locator(".lm-mod-current.jp-mod-dirty, .jp-mod-current.jp-mod-dirty").count() == 0
    page.locator(".lm-TabBar-tab", has_text="kept.ipynb").locator(".lm-TabBar-tabCloseIcon").click()
    expect(page.locator(".jp-NotebookPanel")).to_have_count(0)
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    page.close()


DOWNLOADED = """address => fetch(address).then(async (answer) =>
  [answer.headers.get("Content-Disposition"), await answer.text()])"""


@small
def test_the_menu_exports_what_the_repository_keeps_as_a_python_script(opened: Opened) -> None:
    """The address is the one that Save and Export Notebook As, Executable Script opens."""
    kept = opened.path.with_name("exported.ipynb")
    nbformat.write(with_outputs(nbformat.read(opened.path, as_version=4), opened.saved), kept)
    address = f"{opened.address}/nbconvert/script/{kept.name}?download=true"
    name, source = opened.page.evaluate(DOWNLOADED, address)
    assert name == "attachment; filename*=utf-8''exported.py"
    compile(source, "exported.py", "exec")
    assert "explorer(pictures, alphas, start=alpha)" in source


@small
@pytest.mark.parametrize("change", ["", "  # mine"], ids=["the next day", "by someone else"])
def test_where_no_kernel_is_a_live_cell_is_its_last_picture_and_a_line(
    browser: Browser, opened: Opened, change: str
) -> None:
    page = visit(browser, opened, copy_of(opened, f"later{len(change)}", change))
    cell = page.locator(".jp-CodeCell", has=page.locator(".nt-kept"))
    ask = cell.get_by_text("to train with other values.")
    expect(ask).to_be_visible(timeout=1e3 * PATIENCE)
    expect(cell.locator("img:visible")).to_have_attribute("alt", "live at 0.5")
    expect(page.get_by_text("Error displaying widget")).to_be_visible(visible=False)
    expect(cell.locator(LIVE_CONTROLS)).to_have_count(0)
    page.close()


@small
def test_what_someone_else_sent_shows_a_picture_in_one_form_and_no_answer(
    browser: Browser, opened: Opened
) -> None:
    """JupyterLab drops style sheets there, and most attributes."""
    two_forms = Captioned(png(0), "in two forms", "", lambda: png(1))
    asked = predict_number("How much?", 1, 2, "It is 1.5.", "3 is too much.")
    chosen = predict_choice("Which?", {"one": "Right. It is.", "two": "No. It is not."})
    cells = [
        new_code_cell(f"x = {k}", outputs=[new_output("display_data", data={"text/html": html})])
        for k, html in enumerate((captioned_html(two_forms), asked.html, chosen.html))
    ]
    path = opened.path.with_name("answers.ipynb")
    nbformat.write(new_notebook(cells=cells), path)
    page = visit(browser, opened, path)
    asks = page.get_by_text("Run this cell to answer.")
    expect(asks).to_have_count(2, timeout=1e3 * PATIENCE)
    expect(asks.last).to_be_visible()
    expect(page.locator(".jp-OutputArea img:visible")).to_have_count(1)
    expect(page.locator(".nt-predict input:visible, .nt-said:visible")).to_have_count(0)
    page.close()


def visit(browser: Browser, opened: Opened, path: Path) -> Page:
    """JupyterLab with a notebook that is opened and not run."""
    page = browser.new_page(viewport={"width": 1200, "height": 2000})
    page.set_default_timeout(1e3 * PATIENCE)
    page.goto(f"{opened.address}/lab/tree/{path.name}?reset")
    return page


@small
def test_a_live_cell_says_that_its_kernel_is_gone_and_works_when_it_is_run_again(
    opened: Opened,
) -> None:
    page, live = opened.page, opened.page.locator(".nt-live")
    gone = live.get_by_text("The kernel that trained here is gone. Run this cell again.")
    expect(gone).to_be_hidden()
    live.get_by_role("slider", name="alpha").press("Home")
    expect(live.locator(".nt-caption")).to_have_text("live at 0.0")
    for _ in range(3):
        live.get_by_role("slider", name="alpha").press("ArrowRight")
    expect(live.locator(".nt-status")).to_contain_text("s left")
    opened.restart_kernel()
    expect(gone).to_be_visible(timeout=1e3 * PATIENCE)
    expect(live.locator(LIVE_CONTROLS).locator("visible=true")).to_have_count(0)
    expect(live.locator("img:visible")).to_have_count(1)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    again = "alpha = 0.5: trained in"
    expect(live.locator(".nt-status")).to_contain_text(again, timeout=1e3 * PATIENCE)
    expect(gone).to_be_hidden()


# ---------------------------------------------------------------- live training


@cache
def trained(angle: int, width: int) -> tuple[bytes, str]:
    """What the dials must show: the same training, done here."""
    given = GIVEN[DIALS]
    study = compare(
        load("dial", angle=angle, tasks=(6, 3), samples=(40, 40)),
        ["MTL"],
        seeds=given["seeds"],
        trunk=(width,),
        steps=given["steps"],
        progress=False,
    )
    figure = figures.task_differences(study, methods=["MTL"])
    return figures.png_bytes(figure), figure.caption


class Dials:
    """The controls that train, on the page."""

    def __init__(self, opened: Opened) -> None:
        self.box = opened.page.locator(".nt-live:has(.nt-status)")  # the other one is a playground
        self.angle, self.width = self.box.get_by_role("slider").all()
        self.button = self.box.get_by_role("button")
        self.status = self.box.locator(".nt-status")

    def picture(self) -> bytes:
        source = self.box.locator("img:visible").get_attribute("src") or ""
        return b64decode(source.removeprefix("data:image/png;base64,"))

    def says(self, *words: str) -> None:
        for word in words:
            expect(self.status).to_contain_text(word, timeout=1e3 * PATIENCE)


@the_dials
def test_stop_ends_a_live_training_keeps_its_picture_and_train_again_finishes_it(
    opened: Opened,
) -> None:
    dials = Dials(opened)
    dials.says("angle = 90, trunk width = 2: trained in")
    before, caption = trained(90, 2)
    assert dials.picture() == before
    expect(dials.button).to_be_disabled()  # nothing to train again
    dials.angle.press("ArrowLeft")
    dials.says("training angle = 45, trunk width = 2", "s left")
    assert dials.picture() == before, "the last picture stays"
    expect(dials.button).to_have_text("Stop")
    dials.button.click()
    dials.says("stopped; the picture shows angle = 90, trunk width = 2")
    assert dials.picture() == before
    expect(dials.box.locator("figcaption")).to_have_text(caption)
    expect(dials.box.locator(".nt-error")).to_have_count(0)
    expect(dials.button).to_have_text("Train again")
    dials.button.click()
    dials.says("angle = 45, trunk width = 2: trained in")
    after, caption = trained(45, 2)
    expect(dials.box.locator("figcaption")).to_have_text(caption)
    assert dials.picture() == after != before
    dials.width.press("End")
    dials.says("angle = 45, trunk width = 8: trained in")
    assert dials.picture() == trained(45, 8)[0]
    assert opened.complaints == []


@the_dials
def test_the_mouse_drags_a_live_dial_and_only_where_it_rests_is_trained(opened: Opened) -> None:
    dials = Dials(opened)
    stops = GIVEN[DIALS]["widths"]
    dials.angle.press("End")
    dials.width.press("End")
    dials.says("angle = 90, trunk width = 8: trained in")
    (*_, at) = drag(dials.width, len(stops) - 1, 2, 0, 1)
    dials.says(f"angle = 90, trunk width = {stops[at]}: trained in")
    assert dials.picture() == trained(90, stops[at])[0]
    (*_, at) = drag(dials.angle, 2, 1, 0)
    dials.says(f"angle = {GIVEN[DIALS]['angles'][at]}, trunk width = 3: trained in")
    assert dials.picture() == trained(0, 3)[0]
    assert opened.complaints == []


@pytest.mark.parametrize("opened", [CASE], indirect=True)
def test_live_pickers_train_other_data_and_bring_back_the_same_picture(opened: Opened) -> None:
    box = opened.page.locator(".nt-live")
    menus = {name: box.get_by_role("combobox", name=name) for name in ("data", "method")}
    slider = box.get_by_role("slider", name="alpha")
    number = box.get_by_role("spinbutton", name="any number, 0 to 3")
    pictures = {}

    def shown(data: str, method: str, alpha: str) -> str:
        at = f", alpha = {alpha}" if alpha else ""
        words = f"data = {data}, method = {method}{at}: trained in"
        expect(box.locator(".nt-status")).to_contain_text(words, timeout=4e3 * PATIENCE)
        arm = f"{method} {alpha}" if alpha else method
        expect(box.locator("figcaption")).to_contain_text(f"{arm}: difference from STL")
        return box.locator("img:visible").get_attribute("src") or ""

    pictures["start"] = shown("assays", "LBTW", "0.5")
    menus["data"].select_option("digits")
    pictures["digits"] = shown("digits", "LBTW", "0.5")
    slider.press("End")
    pictures["alpha"] = shown("digits", "LBTW", "3")
    menus["method"].select_option("GradNorm")
    pictures["method"] = shown("digits", "GradNorm", "3")
    menus["method"].select_option("MTL")
    pictures["without alpha"] = shown("digits", "MTL", "")
    expect(slider).to_be_hidden()
    assert len({*pictures.values()}) == 5
    menus["method"].select_option("LBTW")
    shown("digits", "LBTW", "3")
    number.fill("0.5")
    number.press("Enter")
    assert shown("digits", "LBTW", "0.5") == pictures["digits"]
    menus["data"].select_option("assays")
    assert shown("assays", "LBTW", "0.5") == pictures["start"]
    assert opened.complaints == []


# ---------------------------------------------------------------- no leaks

MEGABYTE = 1e6
FLAT = 3  # megabytes in which a page or a kernel that holds nothing more may differ from itself
TRAINED = 30  # and a kernel that has trained: the allocator keeps some of what that needed
FIGURES = (
    "(__import__('gc').collect(), len(__import__('matplotlib.pyplot').pyplot.get_fignums()), "
    "sum(type(o).__name__ == 'Figure' for o in __import__('gc').get_objects()))[1:]"
)
RESIDENT = "__import__('psutil').Process().memory_info().rss"


def held(opened: Opened) -> tuple[int, float, float]:
    """What there is after garbage is collected: nodes that the page's scripts hold, in the document
    or out of it; megabytes of the scripts' memory; megabytes of the kernel's.
    """
    session = opened.page.context.new_cdp_session(opened.page)
    session.send("HeapProfiler.collectGarbage")
    nodes: int = session.send("Memory.getDOMCounters")["nodes"]
    script = session.send("Runtime.getHeapUsage")["usedSize"] / MEGABYTE
    session.detach()
    return nodes, script, int(opened.kernel_says(RESIDENT)) / MEGABYTE


def stays_flat(
    before: tuple[int, float, float], after: tuple[int, float, float], kernel: float = FLAT
) -> None:
    assert after[0] <= before[0] + MOVES / 2, "nodes"
    assert after[1] <= before[1] + FLAT, "megabytes in the page"
    assert after[2] <= before[2] + kernel, "megabytes in the kernel"


def elements(opened: Opened) -> int:
    """How many elements the notebook has."""
    found: int = opened.page.locator(".jp-Notebook").evaluate("b => b.querySelectorAll('*').length")
    return found


def there_and_back(slider: Locator, moves: int) -> None:
    for key in ("ArrowLeft", "ArrowRight"):
        slider.press("End")
        slider.press(key)
    for _ in range(moves // 2):
        slider.press("ArrowLeft")
        slider.press("ArrowRight")


WATCH = """box => {
  window.fewest = Infinity;
  const count = () => {
    const images = [...box.querySelectorAll("img")];
    const seen = images.filter((image) => image.checkVisibility() && image.complete);
    window.fewest = Math.min(window.fewest, seen.length);
    window.watching = requestAnimationFrame(count);
  };
  count();
}"""


@pytest.mark.release
@pytest.mark.parametrize("opened", [START], indirect=True)
def test_a_hundred_moves_leave_no_figure_no_element_and_never_an_empty_frame(
    opened: Opened,
) -> None:
    shown = opened.explorer("explorer")
    there_and_back(shown.slider, 2)
    before = elements(opened), opened.kernel_says(FIGURES), held(opened)
    shown.box.evaluate(WATCH)
    there_and_back(shown.slider, MOVES)
    shown.shows(shown.last)
    fewest = opened.page.evaluate("cancelAnimationFrame(window.watching), window.fewest")
    assert fewest == 1
    after = elements(opened), opened.kernel_says(FIGURES), held(opened)
    assert after[:2] == before[:2]
    stays_flat(before[2], after[2])


@pytest.mark.release
@the_dials
def test_a_hundred_moves_of_a_live_dial_leave_no_figure_and_no_element(opened: Opened) -> None:
    dials = Dials(opened)

    def go(moves: int) -> tuple[int, str, tuple[int, float, float]]:
        there_and_back(dials.width, moves)
        dials.says("trunk width = 8: trained in")
        return elements(opened), opened.kernel_says(FIGURES), held(opened)

    _, before, after = go(2), go(2), go(MOVES)
    assert after[:2] == before[:2]
    stays_flat(before[2], after[2], TRAINED)


# ---------------------------------------------------------------- one core

BUSY = """(lambda every: sum(sum(p.cpu_times()[:4]) for p in every))(
  (lambda one: [one, *one.children(recursive=True)])(__import__("psutil").Process()))"""
"""Processor seconds of the kernel and of all that it has started, those that have ended too."""
MINUTES = {"one": 1, "two": 2, "three": 3, "four": 4}


@pytest.mark.release
@pytest.mark.posix
@pytest.mark.timeout(1500)
def test_on_one_core_the_first_notebook_is_done_when_its_text_says(
    browser: Browser, tmp_path: Path
) -> None:
    """Processor seconds are counted, and not the clock's: others may use the core, too."""
    text = "\n".join(cell.source for cell in BOOK[START].cells if cell.cell_type == "markdown")
    (said,) = re.findall(r"in about (\w+) minutes on one", text)
    path = tmp_path / "notebooks" / f"{START}.ipynb"
    path.parent.mkdir()
    nbformat.write(not_run(BOOK[START]), path)
    core = min(os.sched_getaffinity(0))
    with jupyterlab(path.parent, tmp_path / "settings", core=core) as address:
        opened = Opened(browser, address, path, patience=1200)
        assert opened.kernel_says("__import__('os').sched_getaffinity(0)") == repr({core})
        busy = float(opened.kernel_says(BUSY))
        opened.page.close()
    assert 5 < busy < 60 * MINUTES[said]


# ---------------------------------------------------------------- the table above


def test_the_table_of_what_readers_ran_into_names_tests_that_are_there() -> None:
    rooms = [Path(__file__).with_name(f"test_{name}.py") for name in ("lab", "browser", "site")]
    there = "".join(path.read_text(encoding="utf-8") for path in rooms)
    named = re.findall(r"\b(?<!pages\.)[a-z_]{20,}\b", __doc__ or "")
    assert len(named) > 15
    assert [name for name in named if f"def test_{name}(" not in there] == []


# ---------------------------------------------------------------- screenshots


@pytest.mark.parametrize("folder", [None, "screenshots"])
def test_a_page_is_kept_as_a_picture_where_the_environment_names_a_folder(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    monkeypatch.delenv(SCREENSHOTS, raising=False)
    if folder:
        monkeypatch.setenv(SCREENSHOTS, str(tmp_path / folder))
    page = tmp_path / "page.html"
    page.write_text("<p style='height: 3000px'>words</p>")
    with Visit(browser, page):
        pass
    kept: Sequence[Path] = list(tmp_path.glob("**/*.png"))
    assert [path.name for path in kept] == ["page-800.png"] * bool(folder)
