"""The book as a site: a small one, built as `make site` builds the whole, and read in Chromium."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from lab import chromium
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import NEEDED, WIDTHS, Visit
from playwright.sync_api import Browser, expect
from samples import png

import mtl_nt.audit
from mtl_nt import BadInput
from mtl_nt.__main__ import main
from mtl_nt.audit import example_audit
from mtl_nt.book import explorer, playground, site

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("conf.py", "index.md", "example.md", "gallery.md", "_static/site.css", "api/index.rst")
TEXTS = ("CONTRIBUTING", "CODE_OF_CONDUCT", "CHANGELOG", "docs/benchmarks")
FORMULA = r"$w_t = \frac{L_t}{L_0}$"
pytestmark = pytest.mark.skipif(
    not all(map(find_spec, site.NEEDED)), reason="the extra [book] is not installed"
)
in_chromium = [pytest.mark.slow, pytest.mark.browser, NEEDED]


def chapter(number: int, *cells: Any) -> NotebookNode:
    """A chapter that names the other one, and whose outputs are kept."""
    other = ("01_b", "00_a")[number]
    text = f"# {number}. A question?\n\nWords of {number}, and [the next]({other}.ipynb)."
    shown = [
        new_code_cell(
            f"shown_{n}",
            outputs=[new_output("display_data", data=thing._repr_mimebundle_())],
            metadata={"jupyter": {"source_hidden": True}},
        )
        for n, thing in enumerate(cells)
    ]
    more = f"## A part\n\n{FORMULA} and a zebra.\n\n$$\\sum_t w_t$$"
    cells = [new_markdown_cell(text), *shown, new_markdown_cell(more)]
    return new_notebook(cells=cells, metadata={"language_info": IPythonKernel.language_info})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The present folder, with two chapters and with one page of the reference."""
    root = tmp_path_factory.mktemp("repository")
    for name in PAGES:
        (root / "docs/site" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docs/site" / name, root / "docs/site" / name)
    text = (ROOT / "docs/site/api/weighters.rst").read_text(encoding="utf-8")
    few = text.replace("mtl_nt.weighters\n", "mtl_nt.weighters\n   :members: LBTW, Step\n")
    (root / "docs/site/api/weighters.rst").write_text(few, encoding="utf-8")
    index = (root / "docs/site/api/index.rst").read_text(encoding="utf-8").partition("   ground\n")
    (root / "docs/site/api/index.rst").write_text(f"{index[0]}   weighters\n", encoding="utf-8")
    for name in TEXTS:
        (root / f"{name}.md").write_text(f"# {name}\n", encoding="utf-8")
    shutil.copy(ROOT / "docs/differences.png", root / "docs")
    readme = "# Words\n\n![A picture](docs/differences.png)\n\n[text](elsewhere.py)\n"
    (root / "README.md").write_text(readme, encoding="utf-8")
    (root / "notebooks").mkdir()
    stops = [(png(80 * k), f"at {k}") for k in range(3)]
    moved = explorer({"dial": stops}, [0.0, 0.5, 1.0])
    nbformat.write(chapter(0, playground()), root / "notebooks/00_a.ipynb")
    nbformat.write(chapter(1, moved), root / "notebooks/01_b.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def built(repository: Path) -> str:
    """What the command has to say, once it has built the site with a small audit."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said), redirect_stdout(said):
        patch.setattr(mtl_nt.audit, "audit", lambda *_, **__: example_audit())
        assert main(["site"]) == 0
    return said.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def quiet(visit: Visit) -> bool:
    """Whether nothing was asked for but files of the site, and no script has complained."""
    asked = [url for url in visit.asked if not url.startswith(("data:", "file:"))]
    return not asked and not [line for line in visit.said if "[PST]" not in line]


@pytest.mark.usefixtures("built")
class TestSite:
    pytestmark = in_chromium

    @pytest.fixture
    def visit(self, browser: Browser, repository: Path) -> Iterator[Visit]:
        first = repository / "site/index.html"
        with Visit(browser, first, width=1280, color_scheme="dark") as opened:
            yield opened
            assert quiet(opened), (opened.asked, opened.said)

    def test_sphinx_has_nothing_to_complain_of(self, built: str) -> None:
        assert built.splitlines()[1:] == ["Open site/index.html in a browser."]
        assert "run make book first" in built

    def test_its_first_page_leads_through_the_chapters_and_back(self, visit: Visit) -> None:
        page = visit.page
        cards = page.locator(".report")
        expect(cards).to_have_count(2)
        expect(cards.first.locator("img")).to_have_js_property("complete", True)
        expect(cards.first).to_contain_text("Words of 0, and the next.")
        cards.first.get_by_role("link", name="0. A question?").click()
        expect(page).to_have_title("0. A question? — Negative transfer in multi-task learning")
        page.locator("a.right-next").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("1. A question?")
        page.locator("a.left-prev").click()
        page.get_by_role("link", name="the next", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("1. A question?")
        page.locator(".bd-toc, .bd-sidebar-secondary").get_by_role("link", name="A part").click()
        assert page.url.endswith("#a-part")

    def test_the_search_finds_a_word_without_a_network(self, visit: Visit) -> None:
        page = visit.page
        page.goto(page.url.replace("index.html", "search.html?q=zebra"))
        expect(page.locator("#search-results .search li, #search-results li")).to_have_count(2)
        page.locator("#search-results a").first.click()
        expect(page.get_by_text("and a zebra")).to_be_visible()

    def test_a_chapter_plays_moves_and_draws_its_formulas(self, visit: Visit) -> None:
        page = visit.page
        page.goto(page.url.replace("index.html", "notebooks/00_a.html"))
        box = page.locator(".mtl-playground")
        said = box.locator(".said").inner_text()
        box.get_by_role("slider").first.press("Home")
        expect(box.locator(".said")).not_to_have_text(said)
        expect(page.locator("math")).to_have_count(2)
        fraction, letter = (page.locator(f"math {kind}").first for kind in ("mfrac", "mi"))
        tall, small = fraction.bounding_box(), letter.bounding_box()
        assert tall and small and tall["height"] > 1.5 * small["height"]
        expect(page.locator(".cell_input pre")).to_be_hidden()  # code that the notebook hides
        page.goto(page.url.replace("00_a", "01_b"))
        page.get_by_role("slider", name="alpha").press("End")
        expect(page.locator(".nt-explorer img")).to_have_attribute("alt", "at 2")

    def test_it_is_dark_where_the_reader_wants_it_and_fits_a_phone(self, visit: Visit) -> None:
        page, whole = visit.page, visit.page.locator("html")
        for scheme, colour in ("dark", "rgb(18, 18, 18)"), ("light", "rgb(255, 255, 255)"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            expect(whole).to_have_attribute("data-theme", scheme)
            expect(page.locator("body")).to_have_css("background-color", colour)
        visit.narrowed(390)
        for name in ("index", "notebooks/00_a", "api/weighters"):
            page.goto(visit.asked[0].replace("index", name))
            assert page.evaluate(WIDTHS) == [390, 390]

    def test_an_example_shows_what_an_audit_is(self, visit: Visit) -> None:
        visit.page.goto(visit.page.url.replace("index.html", "example.html"))
        visit.page.get_by_role("link", name="Open the example").click()
        expect(visit.page).to_have_title("Audit of dial-unrelated")

    def test_the_reference_shows_shapes_and_examples(self, visit: Visit) -> None:
        page = visit.page
        page.goto(page.url.replace("index.html", "api/weighters.html"))
        step = page.locator("dl.class", has=page.locator("[id='mtl_nt.weighters.Step']"))
        expect(step.first).to_contain_text("losses: Float[Tensor, 'R T']")
        expect(page.locator(".highlight").first).to_contain_text(">>>")


def test_launch_buttons_are_there_only_where_the_repository_has_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def theme() -> dict[str, Any]:
        found: dict[str, Any] = {}
        exec((ROOT / "docs/site/conf.py").read_text(encoding="utf-8"), found)
        options: dict[str, Any] = found["html_theme_options"]
        return options

    monkeypatch.delenv("MTL_NT_REPOSITORY", raising=False)
    assert not {"launch_buttons", "repository_url"} & theme().keys()
    monkeypatch.setenv("MTL_NT_REPOSITORY", "https://example.org/a/b/")
    assert theme()["repository_url"] == "https://example.org/a/b"
    assert {"binderhub_url", "colab_url"} <= theme()["launch_buttons"].keys()


def test_runs_of_other_code_or_with_other_parameters_are_no_chapters(repository: Path) -> None:
    runs = repository / "reports"
    runs.mkdir()
    same = nbformat.read("notebooks/00_a.ipynb", as_version=4)
    nbformat.write(same, runs / "00_a.ipynb")
    other = nbformat.read("notebooks/01_b.ipynb", as_version=4)
    other.cells[1].source = "changed"
    nbformat.write(other, runs / "01_b.ipynb")
    assert site.runs_of_the_book("reports") == {"00_a": Path("reports/00_a.ipynb")}
    same.metadata["papermill"] = {"parameters": {"steps": 3}}
    nbformat.write(same, runs / "00_a.ipynb")
    assert site.runs_of_the_book("reports") == {}


@pytest.mark.parametrize("there", ["a file", "a folder of somebody's"])
def test_what_is_no_site_is_not_replaced(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    out = tmp_path / "out"
    if there == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "objects.inv").write_text("mine")
    assert main(["site", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mtl_nt: ") and error.count("\n") == 1 and str(out) in error
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_sphinx_or_sources_one_line_says_what_to_do(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "NEEDED", ("no_such_module",))
    with pytest.raises(BadInput, match=r"pip install -e '\.\[book\]'"):
        site.build_site(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="run this in the repository's root"):
        site.build_site(tmp_path / "site")
