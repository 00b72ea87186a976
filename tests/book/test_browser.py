"""What a reader sees in Chromium: exported pages without a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import CHROMIUM, chromium
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import Visit
from playwright.sync_api import Browser, Locator, expect
from samples import png

from mtl_nt import figures
from mtl_nt.book import playground, report
from mtl_nt.book.explorers import Live, explorer
from mtl_nt.study import stored

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
    data = {"text/html": thing.html, "text/plain": repr(thing)}
    output = new_output("execute_result", data=data, execution_count=1)
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
        expect(visit.page.get_by_text("to train with other values.")).to_be_visible()
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
        slider = first.get_by_role("slider", name="alpha", exact=True)
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
        first.get_by_role("combobox", name="dataset", exact=True).select_option("digits")
        expect(first.locator("figcaption")).to_have_text("digits at 1.0")
        expect(second.get_by_role("combobox")).to_have_count(0)


def test_where_a_method_has_no_alpha_the_slider_is_gone_and_comes_back_where_it_was(
    browser: Browser, tmp_path: Path
) -> None:
    several = [(png(60 * k, 800, 400), f"LBTW at {a}") for k, a in enumerate(ALPHAS)]
    made = explorer({"LBTW": several, "MTL": [(png(9, 800, 400), "MTL")]}, ALPHAS, name="method")
    nbformat.write(new_notebook(cells=[shown(made)]), tmp_path / "page.ipynb")
    page = report.write_page(tmp_path / "page.ipynb", tmp_path / "page.html")
    with Visit(browser, page) as visit:
        box = visit.page.locator(".nt-explorer")
        slider, menu = box.locator("input"), box.get_by_role("combobox", name="method")
        slider.press("End")
        for method, words in ("MTL", "MTL"), ("LBTW", "LBTW at 1.0"):
            menu.select_option(method)
            expect(box.locator("figcaption")).to_have_text(words)
            for part in slider, box.locator("output"), box.get_by_text("alpha"):
                expect(part).to_be_visible(visible=method == "LBTW")
        expect(box.get_by_text("Run this cell")).to_have_count(0)
        assert visit.said == []


@pytest.mark.parametrize("width", [390, 800])
def test_no_page_scrolls_sideways(browser: Browser, exported: Path, width: int) -> None:
    for path in exported, exported.with_name("index.html"):
        with Visit(browser, path, width) as visit:
            inside = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert inside == [width, width]
            for image in visit.page.locator("img").all():
                box, around = image.bounding_box(), image.locator("..").bounding_box()
                assert box and around and box["x"] >= 0
                assert around["x"] + around["width"] <= width, "it can be moved sideways in there"
                if path == exported:
                    assert box["width"] == pytest.approx(2 * box["height"], abs=1)


def test_what_is_too_wide_for_a_phone_wraps_or_scrolls_with_a_shadow_at_its_side(
    browser: Browser, exported: Path
) -> None:
    with Visit(browser, exported, 390) as visit:
        visit.page.locator(".code summary").first.click()
        widths = "box => [box.scrollWidth, box.clientWidth]"
        whole, seen = visit.page.locator(".code pre").first.evaluate(widths)
        assert whole == seen, "code wraps"
        table = visit.page.locator(".text_cell_render table")
        whole, seen = table.evaluate(widths)
        assert whole > seen, "a table scrolls"
        assert "radial-gradient" in table.evaluate("box => getComputedStyle(box).backgroundImage")


def test_print_has_what_the_text_speaks_of_and_nothing_to_press(
    browser: Browser, tmp_path: Path
) -> None:
    cells = [new_markdown_cell("# Whole\n\n## A\n\n## B\n\n## C"), shown(an_explorer("dial"))]
    cells.append(shown(playground()))
    for source, tags in ("hidden = 1", []), ("solution = 2", ["solution"]):
        about = {"jupyter": {"source_hidden": True}, "tags": tags}
        cells.append(new_code_cell(source, metadata=about))
    path = tmp_path / "page.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    with Visit(browser, report.write_page(path, tmp_path / "page.html")) as visit:
        page = visit.page
        told, solution = page.get_by_text("1 + 1 +").first, page.get_by_text("solution = 2")
        controls = page.locator(".nt-controls, .contents, summary:visible, .skip, button, input")
        expect(controls.locator("visible=true").first).to_be_visible()
        for code in told, solution:
            expect(code).to_be_hidden()
        page.emulate_media(media="print")
        for code in told, solution:
            expect(code).to_be_visible()
        expect(page.get_by_text("hidden = 1")).to_be_hidden()
        expect(controls.locator("visible=true")).to_have_count(0)
        expect(page.locator(".nt-explorer img")).to_be_visible()
        expect(page.locator(".mtl-playground .said")).to_be_visible()


def test_a_page_is_dark_where_the_reader_wants_it(browser: Browser, exported: Path) -> None:
    ratio = """() => {
      const [back, ink] = ["backgroundColor", "color"].map((what) => {
        const parts = getComputedStyle(document.body)[what].match(/[0-9.]+/g).map(Number);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
      });
      return [back, ink];
    }"""
    for scheme in ("light", "dark"):
        with Visit(browser, exported, color_scheme=scheme) as visit:
            back, ink = visit.page.evaluate(ratio)
            assert abs(back - ink) > 180 and (back < ink) is (scheme == "dark")


def test_a_keyboard_skips_to_the_text_and_the_contents_lead_to_a_part(
    browser: Browser, tmp_path: Path
) -> None:
    text = "# Whole\n\n## A\n\n" + "word " * 3000 + "\n\n## B\n\n## C"
    nbformat.write(new_notebook(cells=[new_markdown_cell(text)]), tmp_path / "x.ipynb")
    page = report.write_page(tmp_path / "x.ipynb", tmp_path / "x.html")
    with Visit(browser, page) as visit:
        visit.page.keyboard.press("Tab")
        expect(visit.page.get_by_role("link", name="Skip to the text")).to_be_focused()
        visit.page.keyboard.press("Enter")
        expect(visit.page.locator(":target")).to_have_role("main")
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.closest('main') !== null")
        names = [heading.get_attribute("id") for heading in visit.page.locator("h2").all()]
        assert all(names) and len(set(names)) == 3
        visit.page.locator(".contents summary").click()
        links = visit.page.locator(".contents a").all()
        assert {f"#{name}" for name in names} <= {link.get_attribute("href") for link in links}
        visit.page.get_by_role("link", name="B", exact=True).click()
        expect(visit.page.get_by_role("heading", name="B")).to_be_in_viewport()


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
        expect(visit.page.get_by_text("Run this cell for the slider.")).to_have_count(2)
        expect(visit.page.locator("input, select, button")).to_have_count(0)


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
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
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


def test_every_link_to_another_page_opens_one_and_there_is_a_way_back(
    browser: Browser, tmp_path: Path
) -> None:
    """Links to chapters lead to their pages where these lie beside; others are plain text."""
    texts = {
        "00_start": "# First?\n\n[the second](01_more.ipynb), [a third](02_none.ipynb)",
        "01_more": "# Second?\n\n## A part\n\n[the first](00_start.ipynb)",
    }
    for _ in range(2):  # a page knows of those that lie beside it
        for name, text in texts.items():
            nbformat.write(
                new_notebook(cells=[new_markdown_cell(text)]), tmp_path / f"{name}.ipynb"
            )
            report.write_page(tmp_path / f"{name}.ipynb", tmp_path / f"{name}.html")
    report.write_index(tmp_path)
    with Visit(browser, tmp_path / "00_start.html") as visit:
        page = visit.page
        expect(page.get_by_text("a third")).to_be_visible()
        assert page.get_by_role("link", name="a third").count() == 0
        for link, title in (("the second", "Second?"), ("the first", "First?")):
            page.get_by_role("link", name=link).click()
            expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        page.get_by_role("link", name="All pages").first.click()
        hrefs = [a.get_attribute("href") for a in page.get_by_role("link").all()]
        assert {"00_start.html", "01_more.html"} <= {*hrefs}
        for href in hrefs:
            if href and href.endswith(".html"):
                page.goto((tmp_path / href).as_uri())
        assert visit.said == []


def test_a_screen_reader_hears_the_finding_once_and_shortly_and_the_rest_as_text(
    browser: Browser, tmp_path: Path
) -> None:
    study = stored("cure-noisy")
    drawn = figures.captioned_png(figures.task_differences(study, methods=["MTL"]))
    finding = drawn[1].partition(". ")[0]
    cell = shown(explorer({"MTL": [drawn]}, [0.5]))
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "page.ipynb")
    with Visit(
        browser, report.write_page(tmp_path / "page.ipynb", tmp_path / "page.html")
    ) as visit:
        (picture,) = visit.page.get_by_role("img").all()  # of two forms, one is there
        assert picture.get_attribute("alt") == finding and len(finding) < 150
        caption = visit.page.locator("figcaption").inner_text()
        assert finding not in caption and "difference from STL" in caption
        heard = visit.page.locator("main").aria_snapshot()  # what is read aloud, in its order
        assert heard.count(finding) == 1 and f'img "{finding}"' in heard
