"""HTML that is safe to show: names in it are text, and only the scripts of this package run.

A file, a column, a task or a folder of results may have a name that looks like HTML. Names are
escaped where HTML is made (`html.escape`, `styled_table`). What a notebook has put out passes
`sanitized` before it becomes a page.

A page runs the scripts in `OWN_SCRIPTS` and no others. They hold no data, so the page's policy can
name each by its SHA-256. Their data are in attributes, or in a block of JSON (`data_block`).
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup, Tag
from bs4.builder import ParserRejectedMarkup
from bs4.element import PreformattedString

from .. import __version__

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

SLIDER_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement, find = (what) => root.querySelector(what);
  const data = JSON.parse(find("script[type='application/json']").textContent);
  const { values, pages, pickers } = data;
  const make = (tag, settings, ...children) => {
    const made = Object.assign(document.createElement(tag), settings);
    made.append(...children);
    return made;
  };
  const choice = (...children) =>
    make("span", { style: "white-space: nowrap; margin-right: 1em" }, ...children);
  const menu = (options) =>
    make("select", { style: "max-width: 45vw" }, ...options.map((option) => new Option(option)));
  const menus = pickers.map(([name, options]) => [name, menu(options)]);
  const slider = make("input", {
    type: "range", max: values.length - 1, value: data.first,
    style: "width: 42vw; max-width: 16em; vertical-align: middle",
  });
  const output = make("output");
  const moved = choice(make("label", {}, data.label, " ", slider), " ", output);
  const show = () => {
    const place = (k, [, { length, selectedIndex }]) => k * length + selectedIndex;
    const row = pages[menus.reduce(place, 0)];
    const { alt, caption, forms } = row[row.length > 1 ? slider.value : 0];
    moved.hidden = row.length === 1;
    output.textContent = values[slider.value];
    slider.setAttribute("aria-valuetext", values[slider.value]);
    root.querySelectorAll("img").forEach((image, k) => Object.assign(image, { alt, ...forms[k] }));
    find("figure").style.maxWidth = forms[0].width + "px";
    find("figcaption").textContent = caption;
  };
  const named = menus.map(([name, picker]) => choice(make("label", {}, name, " ", picker)));
  const note = make("small", { style: "display: block" }, data.note);
  const controls = make("p", { className: "nt-controls" }, note, ...named, moved);
  for (const control of controls.querySelectorAll("input, select"))
    control.dataset.lmSuppressShortcuts = ""; // or JupyterLab takes the arrow keys for itself
  controls.addEventListener("input", show);
  find(".nt-ask").remove();
  root.prepend(controls);
  show();
})();
"""
"""Makes menus and a slider, and shows the picture that they choose. See `explorers`."""
SORT_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement, body = root.querySelector("tbody");
  const heads = [...root.querySelectorAll("thead th")];
  const value = (row, k) => row.children[k].dataset.value;
  heads.forEach((head, k) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", sign = up ? 1 : -1;
    const order = (a, b) => {
      const [x, y] = [value(a, k), value(b, k)];
      if (x === "" || y === "") return (x === "") - (y === "");  // what is missing comes last
      const both = [Number(x), Number(y)];
      return sign * (both.some(Number.isNaN) ? x.localeCompare(y) : both[0] - both[1]);
    };
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...[...body.rows].sort(order));
  }));
})();
"""
"""Sorts a table at a click on a heading. See `sortable_table` in the room `audit`."""
PLAYGROUND_SCRIPT = Path(__file__).with_name("playground.js").read_text(encoding="utf-8")
"""Trains and draws small networks. See `playground`."""
OWN_SCRIPTS = (SLIDER_SCRIPT, SORT_SCRIPT, PLAYGROUND_SCRIPT)


def _policy() -> str:
    digests = (hashlib.sha256(source.encode()).digest() for source in OWN_SCRIPTS)
    scripts = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    return "; ".join([*rules, f"script-src {scripts}", "base-uri 'none'", "form-action 'none'"])


POLICY = _policy()
"""What a page may do: show pictures that are in it, and run `OWN_SCRIPTS`.

Styles may stand anywhere, since they cannot fetch anything.
"""
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
GENERATOR = f"mtl_nt {__version__}"
DOCUMENT = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{generator}">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
<main id="main">
{body}
</main>
</body>
</html>
"""


def html_document(title: str, body: str, style: str = STYLE) -> str:
    """A whole page as HTML.

    Args:
        title: a text, which is escaped.
        body: HTML, which is `sanitized`.
        style: the CSS of the page.

    >>> "<title>a &lt; b</title>" in html_document("a < b", "<p>text</p>")
    True
    """
    whole = DOCUMENT.format(
        policy=POLICY, generator=GENERATOR, title=escape(title), style=style, body=sanitized(body)
    )
    return whole.encode("utf-8", "backslashreplace").decode()  # a file's name may be no UTF-8


def script_tag(source: str) -> str:
    """One of `OWN_SCRIPTS` as HTML. It must be the last child of the element that it works on.

    >>> script_tag('let x = 1;')
    '<script>let x = 1;</script>'
    """
    return f"<script>{source}</script>"


def data_block(value: Any) -> str:
    """Data for the script beside it. A text in the data may even say `</script>`.

    >>> data_block({"task": "</script>"})
    '<script type="application/json">{"task": "\\\\u003c/script>"}</script>'
    """
    text = json.dumps(value).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def styled_table(
    table: pd.DataFrame,
    forms: str | dict[Any, str | Callable[[object], str] | None] | None = None,
    caption: str = "",
    **options: Any,
) -> Styler:
    """The table as a pandas `Styler` whose cells, headings and caption are escaped.

    pandas alone would put them into HTML as they are. Columns of sentences are set to the left.

    Args:
        forms: how the cells are formatted, as `Styler.format` takes it.
        caption: a text above the table.
        options: more options of `Styler.format`.

    >>> import pandas as pd
    >>> "&lt;b&gt;" in styled_table(pd.DataFrame({"task": ["<b>"]})).to_html()
    True
    """
    named = table.rename_axis(index=_escaped_name, columns=_escaped_name)
    shown = named.style.format(forms, escape="html", **options)
    for axis in (0, 1):
        shown = shown.format_index(escape="html", axis=axis)
    words: list[Any] = [
        {"selector": f".col{k}", "props": "text-align: left"} for k in _columns_of_words(table)
    ]
    shown = shown.set_table_styles(words) if words else shown
    return shown.set_caption(escape(caption)) if caption else shown


def _columns_of_words(table: pd.DataFrame) -> list[int]:
    """The places of the columns in which some cell has three words or more."""
    columns = (
        table.iloc[:, k].astype(str).str.count(r"[^\W\d_]{2,}") for k in range(table.shape[1])
    )  # words of two letters or more
    return [k for k, words in enumerate(columns) if words.max() >= 3]


def _escaped_name(of_axis: Any) -> str | None:
    return None if of_axis is None else escape(str(of_axis))


FORBIDDEN_TAGS = {
    *("applet", "embed", "frame", "frameset", "iframe", "object"),  # bring other pages
    *("base", "form", "link", "meta"),  # lead to them
    *("animate", "animatemotion", "animatetransform", "set"),  # change what a link leads to
    *("noembed", "noframes", "noscript", "plaintext", "template", "xmp"),  # are no markup to some
}
FORBIDDEN_ATTRIBUTES = {"action", "formaction", "http-equiv", "ping", "srcdoc", "srcset", "target"}
PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_.:-]*")
SAFE_LINK = re.compile(r"(https?:|mailto:|data:text/csv[;,]|[^:]*$|[^:/?#]*[/?#])", re.I)


def sanitized(html: str) -> str:
    """HTML without anything that runs, fetches, or leads a reader away unasked.

    A remote picture is replaced by its alternative text. All that is left is written anew: text and
    attributes are escaped, styles and data hold no `<`, and our own scripts hold none that could
    begin a tag. So every tag that a browser can find was checked here.

    >>> sanitized("<p onclick='run()'>text<script>run()</script></p>")
    '<p>text</p>'
    """
    try:
        soup = BeautifulSoup(html, "html.parser")
    except ParserRejectedMarkup:  # no tag is to be found in it, so all of it is text
        return escape(html)
    for string in soup.find_all(string=lambda text: isinstance(text, PreformattedString)):
        string.extract()  # comments and the like, which are written as they are
    for element in soup.find_all(True):
        if element.decomposed:
            continue
        if (
            element.name in FORBIDDEN_TAGS
            or not PLAIN_NAME.fullmatch(element.name)
            or not _is_trusted(element)
        ):
            element.decompose()
            continue
        element.attrs = {n: v for n, v in element.attrs.items() if _is_allowed(n, v)}
        if element.name in ("img", "source") and "src" not in element.attrs:
            element.replace_with(str(element.get("alt", "")))
        elif element.name == "style":
            element.string = str(element.string or "").replace("<", "\\3c ")
    return str(soup)


def _is_trusted(element: Tag) -> bool:
    """Whether the element is no script, one of `OWN_SCRIPTS`, or data for one."""
    if element.name != "script":
        return True
    text = str(element.string or "")
    if element.attrs == {"type": "application/json"}:
        return "<" not in text
    return not element.attrs and text in OWN_SCRIPTS


def _is_allowed(name: str, value: Any) -> bool:
    """Whether an attribute can stay. Browsers ignore spaces and control codes in a link."""
    if name.startswith("on") or name in FORBIDDEN_ATTRIBUTES or not PLAIN_NAME.fullmatch(name):
        return False
    plain = re.sub(r"[\x00-\x20]", "", value if isinstance(value, str) else " ".join(value))
    if name == "src":
        return plain.lower().startswith("data:image/")
    return name.rpartition(":")[2] != "href" or SAFE_LINK.match(plain) is not None
