"""What a reader sees in Chromium: exported pages without a network, and a real JupyterLab."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import CHROMIUM, chromium, jupyterlab, run_all
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import Visit
from playwright.sync_api import Browser, Locator, expect
from samples import png, write

from mtl_nt.book import report
from mtl_nt.book.explorers import Live, explorer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no program named chromium: nothing to open"),
]
ALPHAS = [0.0, 0.5, 1.0]
TEXT = (
    r"""# Does sharing hurt?

$$\sum_{t=1}^{T} w_t L_t = \frac{1}{T} \sum_{t=1}^{T} \left(\frac{L_t}{L_{0,t}}\right)^{\alpha} L_t
= a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p + q + r + s + t$$

A path/of/one/very/long/word/"""
    + "word/" * 30
    + """

| method | mean | harmed | helped | undecided | diverged | still improving | seconds |
|---|---|---|---|---|---|---|---|
| LBTW(0.5) | 0.9123456 | 3 | 1 | 5 | 0 | 2 | 12.5 |
"""
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


# ---------------------------------------------------------------- exported pages


def shown(thing: Any) -> nbformat.NotebookNode:
    """A cell with a long line that shows the thing, as a kernel would have run it."""
    output = new_output("execute_result", data=thing._repr_mimebundle_(), execution_count=1)
    return new_code_cell("x = " + "1 + " * 60 + "1\nx", outputs=[output], execution_count=1)


def an_explorer(*datasets: str) -> Any:
    shades = [png(60 * k, 800, 400) for k in range(3)]
    pairs = {d: [(s, f"{d} at {a}") for s, a in zip(shades, ALPHAS, strict=True)] for d in datasets}
    return explorer(pairs, ALPHAS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with two explorers, a live training and much that is too wide for a phone."""
    folder = tmp_path_factory.mktemp("reports")
    live = Live(lambda *_: (png(9, 800, 400), "live at 0.5"), {"alpha": (ALPHAS, 0.5)})
    live.run_sync()
    cells = [shown(thing) for thing in (an_explorer("dial", "digits"), an_explorer("other"), live)]
    notebook = new_notebook(cells=[new_markdown_cell(TEXT), *cells])
    nbformat.write(notebook, folder / "page.ipynb")
    page = report.write_page(folder / "page.ipynb", folder / "page.html")
    report.write_index(folder)
    return page


def test_a_page_opens_without_a_network_and_without_complaint(
    browser: Browser, exported: Path
) -> None:
    with Visit(browser, exported) as visit:
        expect(visit.page.locator("figure:visible")).to_have_count(3)
        expect(visit.page.get_by_text("which needs JupyterLab or Binder")).to_be_visible()
        assert [url for url in visit.asked if not url.startswith("data:")] == [exported.as_uri()]
        assert visit.said == []


def picture(explorer: Locator) -> str:
    """The picture that is painted, and that it is really there."""
    image = explorer.locator("img:visible")
    expect(image).to_have_js_property("complete", True)
    assert image.evaluate("image => image.naturalWidth") == 800
    return image.get_attribute("src") or ""


def test_the_keyboard_moves_the_slider_and_with_it_picture_and_caption(
    browser: Browser, exported: Path
) -> None:
    with Visit(browser, exported) as visit:
        first, second = visit.page.locator(".nt-explorer").all()
        slider = first.get_by_role("slider", name="alpha")
        caption, image = first.locator("figcaption"), first.locator("img")
        seen = [picture(first)]
        for key, alpha in ("ArrowRight", 0.5), ("End", 1.0), ("ArrowLeft", 0.5), ("Home", 0.0):
            slider.press(key)
            expect(caption).to_have_text(f"dial at {alpha}")
            expect(image).to_have_attribute("alt", f"dial at {alpha}")
            expect(slider).to_have_attribute("aria-valuetext", f"{alpha:g}")
            expect(first.locator("output")).to_have_text(f"{alpha:g}")
            seen.append(picture(first))
        assert seen[1] == seen[3]
        assert seen[0] == seen[4]
        assert len(set(seen)) == 3
        expect(second.locator("figcaption")).to_have_text("other at 0.0")
        assert visit.said == []


def test_the_picker_changes_the_data_set_and_keeps_alpha(browser: Browser, exported: Path) -> None:
    with Visit(browser, exported) as visit:
        first, second = visit.page.locator(".nt-explorer").all()
        first.get_by_role("slider", name="alpha").press("End")
        first.get_by_role("combobox", name="dataset").select_option("digits")
        expect(first.locator("figcaption")).to_have_text("digits at 1.0")
        expect(second.get_by_role("combobox")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 800])
def test_no_page_scrolls_sideways(browser: Browser, exported: Path, width: int) -> None:
    for path in exported, exported.with_name("index.html"):
        with Visit(browser, path, width) as visit:
            inside = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert inside == [width, width]
            for image in visit.page.locator("img").all():
                box = image.bounding_box()
                assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
                if path == exported:
                    assert box["width"] == pytest.approx(2 * box["height"], abs=1)


def test_formulas_are_drawn_by_the_browser(browser: Browser, exported: Path) -> None:
    with Visit(browser, exported) as visit:
        fraction = visit.page.locator("math mfrac").first.bounding_box()
        letter = visit.page.locator("math mi").first.bounding_box()
        assert fraction and letter and fraction["height"] > 1.5 * letter["height"]


def test_without_scripts_the_first_picture_stands_and_no_dead_slider(
    browser: Browser, exported: Path
) -> None:
    with Visit(browser, exported, java_script_enabled=False) as visit:
        expect(visit.page.locator("figcaption:visible")).to_have_count(3)
        expect(visit.page.get_by_text("dial at 0.0")).to_be_visible()
        expect(visit.page.locator("input:visible, select:visible")).to_have_count(0)


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked for."""
    log: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            log.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", log
        server.shutdown()


def test_what_a_notebook_itself_would_fetch_is_not_asked_for(
    browser: Browser, tmp_path: Path, asked: tuple[str, list[str]]
) -> None:
    there, log = asked
    html = f"""<img src="{there}/2" alt="instead"><p style="background: url({there}/1)">words</p>
    <style>@import "{there}/3"; p {{ background: url({there}/4) }}</style>
    <script>fetch("{there}/5"); new Image().src = "{there}/6"</script>
    <script src="{there}/7"></script><iframe src="{there}/8"></iframe><p>text</p>
    <link rel="stylesheet" href="{there}/9"><video src="{there}/10"></video>"""
    plain = tmp_path / "plain.html"
    plain.write_text(html)
    output = new_output("display_data", data={"text/html": html})
    path = tmp_path / "x.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("x", outputs=[output])]), path)
    with Visit(browser, report.write_page(path, tmp_path / "x.html"), offline=False) as visit:
        expect(visit.page.get_by_text("instead")).to_be_visible()
        visit.page.wait_for_load_state("networkidle")
        assert log == []
    with Visit(browser, plain, offline=False) as visit:  # the server would have heard of it
        visit.page.wait_for_load_state("networkidle")
        assert {"/1", "/2", "/5", "/7"} <= set(log)


def test_the_index_leads_to_the_page(browser: Browser, exported: Path) -> None:
    with Visit(browser, exported.with_name("index.html")) as visit:
        expect(visit.page.locator(".report img")).to_have_js_property("naturalWidth", 800)
        visit.page.get_by_role("link", name="Does sharing hurt?").click()
        expect(visit.page).to_have_title("Does sharing hurt?")
        assert visit.said == []


# ---------------------------------------------------------------- JupyterLab

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


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab with one notebook."""
    tests = repr(str(Path(__file__).parents[1]))
    (tmp_path / "root").mkdir()
    cells = [cell.replace("TESTS", tests) for cell in CELLS]
    write(tmp_path / "root" / "book.ipynb", *cells, kernel=True)
    with jupyterlab(tmp_path / "root", tmp_path / "settings") as address:
        yield address


@pytest.mark.slow
def test_in_jupyterlab_the_explorer_moves_and_live_training_trains_stops_and_says_what_is_wrong(
    browser: Browser, lab: str
) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 2000})
    run_all(page, lab)

    explorer, live = page.locator(".nt-explorer"), page.locator(".nt-live")
    caption = explorer.locator(".nt-caption:visible")
    expect(caption).to_have_text("dial at 0.5", timeout=60_000)
    for frame in explorer.locator(".widget-tab-contents").all():  # tabs without any sign of them
        expect(frame).to_have_css("border-width", "0px")
        expect(frame).to_have_css("padding", "0px")
    expect(explorer.get_by_role("tab").filter(visible=True)).to_have_count(0)
    slider = explorer.get_by_role("slider", name="alpha")
    expect(slider).to_have_attribute("aria-valuetext", "0.5")
    slider.press("ArrowRight")
    expect(caption).to_have_text("dial at 1.0")
    expect(slider).to_have_attribute("aria-valuetext", "1")
    expect(explorer.get_by_role("button", name="play or pause")).to_be_visible()
    explorer.get_by_role("combobox").select_option("digits")
    expect(caption).to_have_text("digits at 1.0")
    slider.press("Home")
    expect(caption).to_have_text("digits at 0.0")
    picture(explorer)

    table = page.locator(".nt-tasks")
    heading = table.get_by_role("button", name="difference")
    for sort, order in (("ascending", "cab"), ("descending", "bac")):
        heading.click()
        expect(heading.locator("..")).to_have_attribute("aria-sort", sort)
        assert table.locator("tbody td:first-child").all_inner_texts() == [*order]

    made, status = live.locator(".nt-caption"), live.locator(".nt-status")
    button = live.get_by_role("button")
    expect(made).to_have_text("live at 0.5", timeout=30_000)  # trained by being shown
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
    page.close()
