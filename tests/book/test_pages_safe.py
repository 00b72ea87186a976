"""No script that is not ours runs in a page, whatever a file, a table or a folder is called."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from lab import chromium
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import NEEDED, Visit
from playwright.sync_api import Browser, expect
from samples import png

import mtl_nt
from mtl_nt.__main__ import main
from mtl_nt.audit.audit import audit
from mtl_nt.audit.folder import AuditFolder
from mtl_nt.audit.saved import FILE
from mtl_nt.book import report
from mtl_nt.book.explorers import Live, explorer
from mtl_nt.book.markup import (
    OWN_SCRIPTS,
    POLICY,
    SLIDER_SCRIPT,
    html_document,
    sanitized,
    script_tag,
    styled_table,
)

RUN = "window.ran=1"
AWAY = "http://example.org/away"
MARKERS = (
    f"<img src=x onerror={RUN}>",
    f'"><script>{RUN}</script>',
    f"<svg onload={RUN}>",
    f"<svg><style><img src=x onerror={RUN}></style></svg>",
    f"</style></script></title></textarea><script>{RUN}</script>",
    f"--!><script>{RUN}</script><!--",
    f"<noscript><p title='</noscript><script>{RUN}</script>'>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    f'<meta http-equiv="refresh" content="0;url={AWAY}">',
    f'<svg><style><meta http-equiv="refresh" content="0;url={AWAY}"></style></svg>',
    f'<base href="{AWAY}"><link rel="stylesheet" href="{AWAY}"><img src="{AWAY}">',
    f'<form action="{AWAY}"><input autofocus onfocus={RUN}></form>',
    f'<iframe srcdoc="<script>top.{RUN}</script>"></iframe><object data="{AWAY}"></object>',
    f'<a href=" java&#10;script:{RUN}">x</a>',
    f'<svg><a><animate attributeName="href" values="javascript:{RUN}"/></a></svg>',
    f"[x](javascript:{RUN}) ![x]({AWAY})",
    rf"$\href{{javascript:{RUN}}}{{x}}$",
    "{{7*7}} {%raw%} ${7*7} {0} %s",
    "]]> &lt;b&gt; &amp; \\u003c",
)
HOSTILE = " ".join(MARKERS)
QUOTED = f"' onmouseover={RUN} x='"  # apostrophes, which a command's words have otherwise


def soup_of(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def nothing_runs(visit: Visit, path: Path) -> None:
    """No script of another's ran, nothing was fetched, and the reader is still here."""
    visit.page.mouse.move(300, 300)
    visit.page.wait_for_timeout(300)
    assert visit.page.evaluate("window.ran") is None
    assert [url for url in visit.asked if not url.startswith("data:")] == [path.as_uri()]
    assert visit.page.url == path.as_uri()
    assert [line for line in visit.said if "ERR_INVALID_URL" not in line] == []  # of no picture
    assert visit.page.locator("[href^=javascript], iframe, object, form").count() == 0


# ---------------------------------------------------------------- an audit


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a hostile table, from a results folder that another has written to."""
    folder = tmp_path_factory.mktemp("hostile")
    table = folder / f"<svg onload={RUN}>" / f'"><img src=x onerror={RUN}>.csv'
    table.parent.mkdir()
    random = np.random.default_rng(0)
    x = random.standard_normal((120, 3))
    columns: dict[str, Any] = {f"x{k} {MARKERS[k]}": x[:, k] for k in range(3)}
    columns["category"] = random.choice([*MARKERS[:3]], 120)
    columns["group <b>"] = random.choice([f"{k} {MARKERS[0]}" for k in range(20)], 120)
    columns |= {f"y_{k}": (x @ random.standard_normal(3) > 0).astype(int) for k in range(3)}
    pd.DataFrame(columns).to_csv(table, index=False)
    few = {"methods": ["LBTW"], "alphas": [0.0, 0.5], "seeds": 2, "steps": 10}
    reading = {"targets": "y_*", "group": "group <b>"}
    kept = folder / "kept"
    audit(table, folder=kept, progress=False, say=lambda _: None, **few, **reading)  # type: ignore[arg-type]
    forge(kept)
    page = folder / "page.html"
    words = ["report", str(table), "--out", str(page), "--results", str(kept), "--targets", "y_*"]
    words += ["--group", "group <b>", "--methods", "LBTW", "--alphas", "0,0.5", "--seeds", "2"]
    assert main([*words, "--steps", "10"]) == 0
    return page


def forge(folder: Path) -> None:
    """Write what a results folder may not mean into every text of it, with a checksum that fits."""
    store = AuditFolder(folder, json.loads((folder / "asked.json").read_text()))
    text = json.dumps(store.get(FILE))
    for k in range(3):
        name = json.dumps(f"task {k} {HOSTILE} {QUOTED}")
        text = text.replace(f'"y_{k}"', name)
    found = json.loads(text)
    found["name"] = f"name {HOSTILE}"
    note = {"text": f"note {HOSTILE} {QUOTED}", "severity": "matters", "about": HOSTILE}
    found["notes"] = [{**note, "columns": [HOSTILE]}]
    found["plan"]["left_out"] = [f"left out {HOSTILE} {QUOTED}"]
    found["made"] |= {"version": f"version {HOSTILE}", "torch": f"torch {HOSTILE}"}
    found["made"]["source"] = f"source {HOSTILE}".replace("'", "")
    found["made"]["options"] = {"targets": f"option {HOSTILE}".replace("'", "")}
    (folder / FILE).unlink()
    store.put(FILE, found)


@pytest.mark.slow
@pytest.mark.browser
@NEEDED
def test_every_text_of_an_audit_is_read_and_none_is_run(browser: Browser, audited: Path) -> None:
    with Visit(browser, audited) as visit:
        text = plain(visit.page.evaluate("document.body.textContent"))
        for field in (
            "name",
            "note",
            "left out",
            "version",
            "torch",
            *(f"task {k}" for k in "012"),
        ):
            assert f"{field} {plain(HOSTILE)}" in text, field
        for field in ("source", "option"):
            assert f"{field} {plain(HOSTILE).replace(chr(39), '')}" in text, field
        visit.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        sort = visit.page.locator(".nt-tasks thead button", has_text="difference").first
        sort.click()
        expect(sort.locator("..")).to_have_attribute("aria-sort", "ascending")
        slider = visit.page.get_by_role("slider", name="alpha").first
        slider.press("End")
        expect(slider).to_have_attribute("aria-valuetext", "0.5")
        nothing_runs(visit, audited)


# ---------------------------------------------------------------- a notebook of another's


def foreign() -> NotebookNode:
    """A notebook that is hostile wherever it can be."""
    outputs = [
        new_output("display_data", data={kind: each})
        for each in MARKERS
        for kind in ("text/html", "image/svg+xml", "text/markdown", "text/latex", "text/plain")
    ]
    outputs += [
        new_output("display_data", data={"image/png": f'x" onerror="{RUN}'}),
        new_output("display_data", data={"image/jpeg": f'x" onerror="{RUN}'}),
        new_output(
            "display_data", data={"text/html": f'<img src="data:image/png;base64,{HOSTILE}'}
        ),
        new_output("stream", name="stderr", text=HOSTILE),
        new_output("error", ename=HOSTILE, evalue=HOSTILE, traceback=[]),
    ]
    texts = [new_markdown_cell(f"# {HOSTILE}"), *map(new_markdown_cell, MARKERS)]
    notebook = new_notebook(cells=[*texts, new_code_cell(HOSTILE, outputs=outputs)])
    given = {"dataset": HOSTILE, "other": [HOSTILE]}
    ran = {"input_path": HOSTILE, "parameters": given, "start_time": HOSTILE, "duration": HOSTILE}
    notebook.metadata["papermill"] = ran
    return notebook


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strange")
    path = folder / f"{MARKERS[0]}.ipynb"
    nbformat.write(foreign(), path)
    report.write_page(path, path.with_suffix(".html"))
    report.write_index(folder)
    return path.with_suffix(".html")


@pytest.mark.browser
@NEEDED
@pytest.mark.parametrize("name", ["page", "index"])
def test_what_a_foreign_notebook_brings_does_not_run(
    browser: Browser, strange: Path, name: str
) -> None:
    path = strange if name == "page" else strange.with_name("index.html")
    with Visit(browser, path) as visit:
        nothing_runs(visit, path)
        text = plain(visit.page.evaluate("document.body.textContent"))
        assert f"data set {plain(HOSTILE)}" in text


def test_a_picture_in_the_index_is_a_picture(strange: Path) -> None:
    soup = soup_of(strange.with_name("index.html").read_text(encoding="utf-8"))
    assert len(soup.select(".report")) == 1 and not soup.select("img")


@pytest.mark.parametrize(
    "wrong", [7, "text", {"parameters": 3, "duration": True}, {"duration": {}}]
)
def test_a_notebook_with_strange_metadata_has_a_page(tmp_path: Path, wrong: Any) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# Title")])
    notebook.metadata["papermill"] = wrong
    nbformat.write(notebook, tmp_path / "x.ipynb")
    report.write_page(tmp_path / "x.ipynb", tmp_path / "x.html")
    assert "Title" in report.write_index(tmp_path).read_text()


# ---------------------------------------------------------------- the policy


def test_every_page_names_its_scripts_and_allows_no_other(strange: Path) -> None:
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    allowed = rules["script-src"].split()
    digests = [hashlib.sha256(source.encode()).digest() for source in OWN_SCRIPTS]
    assert allowed == [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    for path in (strange, strange.with_name("index.html")):
        soup = soup_of(path.read_text(encoding="utf-8"))
        head = soup.select_one("head")
        assert head is not None
        charset, policy, *_ = head.select("*")
        assert charset["charset"] == "utf-8" and policy["content"] == POLICY
        assert len(soup.select("meta[http-equiv]")) == 1


@pytest.mark.browser
@NEEDED
def test_the_policy_alone_stops_a_script_that_got_into_a_page(
    browser: Browser, tmp_path: Path
) -> None:
    bad = "".join(MARKERS[:5]) + f"<script>{RUN}</script><p onclick={RUN} id=here>here</p>"
    page = html_document("Title", "<p>MARK</p>").replace("MARK", bad)
    (tmp_path / "x.html").write_text(page)
    with Visit(browser, tmp_path / "x.html") as visit:
        visit.page.locator("#here").click()
        assert visit.page.evaluate("window.ran") is None
        assert any("Content Security Policy" in line for line in visit.said)


def test_our_scripts_have_no_data_in_them_and_pass() -> None:
    pictures = {HOSTILE: [(png(0), HOSTILE), (png(1), HOSTILE)]}
    for shown in (
        explorer(pictures, [0.0, 1.0], label=HOSTILE, name=HOSTILE),
        Live(lambda *_: (png(), HOSTILE), {HOSTILE: ([HOSTILE], HOSTILE)}, title=HOSTILE),
    ):
        made = soup_of(shown.html)
        assert {s.string for s in made("script") if not s.attrs} <= {SLIDER_SCRIPT}
        assert not made.select("[onerror], [onload], svg, meta, base, form, iframe")
        assert soup_of(sanitized(str(made))) == made


# ---------------------------------------------------------------- the door

TAG = re.compile(r"""</?([a-z_][a-z0-9_.:-]*)((?: [a-z_][a-z0-9_.:-]*=("[^"<]*"|'[^'<]*'))*)/?>""")
PIECES = [*MARKERS, *"".join(MARKERS).split(), *"<>\"'/=&! \t\n"]
PIECES += [*("<!", "<?", "</", "<![CDATA[", "<p", "svg", "style", "script", "on")]
PIECES += [*("<title>", "<textarea>", "<select>", "<template>")]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_whoever_reads_what_is_safe_finds_the_same_tags(html: str) -> None:
    found = sanitized(html)
    tags = [(m[1], m[2]) for m in TAG.finditer(found)]
    assert "<" not in TAG.sub("", found)
    barred = {"script", "meta", "base", "link", "iframe", "object", "form", "animate", "noscript"}
    assert not barred & {name for name, _ in tags}
    for _, attributes in tags:
        names = re.sub(r"=(\"[^\"]*\"|'[^']*')", "=", attributes)
        assert not re.search(r" (on|srcdoc|action)[a-z]*=", names)
        assert not re.search(r"href=.\s*java", attributes)


@pytest.mark.parametrize("source", OWN_SCRIPTS)
def test_our_scripts_say_nothing_that_a_parser_could_take_for_markup(source: str) -> None:
    assert not re.search(r"<[^ =]", source)  # to a parser, a tag begins with a letter, /, ! or ?
    assert sanitized(f"<div>{script_tag(source)}</div>") == f"<div>{script_tag(source)}</div>"


@pytest.mark.parametrize(
    "link", ["https://example.org", "mailto:a@example.org", "02_lbtw.ipynb", "#part", "a/b?c=d:e"]
)
def test_links_that_a_reader_may_follow_stay(link: str) -> None:
    assert soup_of(sanitized(f'<a href="{link}">x</a>')).a.get("href") == link  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "link", ["javascript:1", "\x01 JAVA\tSCRIPT:1", "data:text/html,x", "vbscript:x", "file:///x"]
)
def test_links_that_run_or_open_something_go(link: str) -> None:
    for place in ("href", "xlink:href"):
        assert soup_of(sanitized(f'<a {place}="{link}">x</a>')).a.attrs == {}  # type: ignore[union-attr]


def test_a_styled_table_shows_every_text_of_it_as_text() -> None:
    one, two = pd.Index([HOSTILE, 1.5], name=HOSTILE), pd.Index([HOSTILE, "n"], name=HOSTILE)
    table = pd.DataFrame([[HOSTILE, 1.25], [None, 2.0]], index=one, columns=two)
    many = pd.concat({HOSTILE: table}, axis=1, names=[HOSTILE])
    for shown in (
        styled_table(table, {"n": "{:.1f}"}, HOSTILE, na_rep="–"),
        styled_table(many, precision=1).set_properties(**{"text-align": "left"}),
        styled_table(table).hide(axis="index"),
    ):
        soup = soup_of(shown.to_html())
        names = {tag.name for tag in soup(True)}
        assert names <= {"style", "table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert plain(HOSTILE) in plain(soup.text)


def test_a_styled_table_sets_columns_of_sentences_to_the_left() -> None:
    table = pd.DataFrame({"n": [0.5], "effect": ["+0.1 [0.0, 0.2]"], "why": ["better than both"]})
    for shown in (styled_table(table), styled_table(pd.concat([table, table], axis=1))):
        (style,) = soup_of(shown.to_html()).find_all("style")
        assert ".col2" in style.text and "text-align: left" in style.text
        assert ".col0" not in style.text and ".col1" not in style.text
    assert ".col" not in soup_of(styled_table(table[:0]).to_html()).style.text  # type: ignore[union-attr]


def calls(source: str) -> Iterator[tuple[str, set[str]]]:
    """Names of attributes, and of the keywords that they are called with."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            yield node.attr, set()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, {k.arg for k in node.keywords if k.arg}


HERE = Path(mtl_nt.__file__).parent
NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
SOURCES = [path for path in sorted(HERE.rglob("*.py")) if path.name != "markup.py"]


@pytest.mark.parametrize("path", [*SOURCES, *NOTEBOOKS], ids=lambda path: path.stem)
def test_no_table_is_styled_but_by_the_one_that_escapes(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(source, as_version=4).cells
        source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for name, keywords in calls(source):
        assert name != "style", "use markup.styled"
        assert not (name == "to_html" and "escape" in keywords)
        assert not (name == "format" and {"escape", "precision", "na_rep"} & keywords)
