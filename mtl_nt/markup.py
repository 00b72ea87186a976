"""HTML of this package: what others have named in it is text, and no script in it is another's.

A file, a column, a task or a folder of results may bear a name that looks like markup. Names are
escaped where HTML is made (`html.escape`, `styled`), and what a notebook has put out passes `safe`
before it becomes a page. A page runs the scripts in `OURS` and no other: they hold no data, so that
the page's policy can name each by its SHA-256. What they need is in attributes, or in a block
of JSON (`data_block`).
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
from bs4.element import PreformattedString

from . import __version__

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

SLIDER = """
(() => {
  const root = document.currentScript.parentElement, find = (what) => root.querySelector(what);
  const { values, pages } = JSON.parse(find("script[type='application/json']").textContent);
  const slider = find("input"), pickers = [...root.querySelectorAll("select")];
  const show = () => {
    const place = (k, picker) => k * picker.length + picker.selectedIndex;
    const row = pages[pickers.reduce(place, 0)];
    const { src, alt, width, height } = row[row.length > 1 ? slider.value : 0];
    find("output").textContent = values[slider.value];
    slider.setAttribute("aria-valuetext", values[slider.value]);
    Object.assign(find("img"), { src, alt, width, height });
    find("figure").style.maxWidth = width + "px";
    find("figcaption").textContent = alt;
  };
  slider.addEventListener("input", show);
  pickers.forEach((picker) => picker.addEventListener("change", show));
  find("p").hidden = false;
  show();
})();
"""
"""Shows the picture at a slider's place. See `explorers`."""
SORT = """
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
"""Sorts a table at a click on a heading. See `audit_tables`."""
OURS = (SLIDER, SORT)


def _policy() -> str:
    digests = (hashlib.sha256(source.encode()).digest() for source in OURS)
    scripts = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    return "; ".join([*rules, f"script-src {scripts}", "base-uri 'none'", "form-action 'none'"])


POLICY = _policy()
"""What a page may do: show pictures that are in it, and run `OURS`. A style may stand anywhere: it
can fetch nothing.
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
<main>
{body}
</main>
</body>
</html>
"""


def document(title: str, body: str, style: str = STYLE) -> str:
    """A whole page. Its title is text; its body is HTML, of which it has what is `safe`."""
    whole = DOCUMENT.format(
        policy=POLICY, generator=GENERATOR, title=escape(title), style=style, body=safe(body)
    )
    return whole.encode("utf-8", "backslashreplace").decode()  # a file's name may be no UTF-8


def script(source: str) -> str:
    """One of `OURS`, as the last child of the element that it is for."""
    return f"<script>{source}</script>"


def data_block(value: Any) -> str:
    """Data for the script beside it. A text in it may say `</script>`."""
    text = json.dumps(value).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def styled(
    table: pd.DataFrame,
    forms: str | dict[Any, str | Callable[[object], str] | None] | None = None,
    caption: str = "",
    **options: Any,
) -> Styler:
    """A table to be styled, with its cells, headings and caption as text. pandas itself puts them
    into HTML as they are.

    Args:
        forms, options: of the cells, as `Styler.format` takes them.
    """
    named = table.rename_axis(index=_name, columns=_name)
    shown = named.style.format(forms, escape="html", **options)
    for axis in (0, 1):
        shown = shown.format_index(escape="html", axis=axis)
    return shown.set_caption(escape(caption)) if caption else shown


def _name(of_axis: Any) -> str | None:
    return None if of_axis is None else escape(str(of_axis))


GONE = {
    *("applet", "embed", "frame", "frameset", "iframe", "object"),  # bring other pages
    *("base", "form", "link", "meta"),  # lead to them
    *("animate", "animatemotion", "animatetransform", "set"),  # change what a link leads to
    *("noembed", "noframes", "noscript", "plaintext", "template", "xmp"),  # are no markup to some
}
BARRED = {"action", "formaction", "http-equiv", "ping", "srcdoc", "srcset", "target"}
NAME = re.compile(r"[a-z_][a-z0-9_.:-]*")
LINK = re.compile(r"(https?:|mailto:|data:text/csv[;,]|[^:]*$|[^:/?#]*[/?#])", re.I)


def safe(html: str) -> str:
    """HTML without what runs, fetches, or leads a reader away unasked. A remote picture becomes its
    words.

    All that is left is written anew: text and attributes are escaped, and styles, data and our own
    scripts hold no `<`. So every tag that any browser can find in it is one that was looked at.
    """
    soup = BeautifulSoup(html, "html.parser")
    for string in soup.find_all(string=lambda text: isinstance(text, PreformattedString)):
        string.extract()  # comments and the like, which are written as they are
    for element in soup.find_all(True):
        if element.decomposed:
            continue
        if element.name in GONE or not NAME.fullmatch(element.name) or not _known(element):
            element.decompose()
            continue
        element.attrs = {n: v for n, v in element.attrs.items() if _allowed(n, v)}
        if element.name in ("img", "source") and "src" not in element.attrs:
            element.replace_with(str(element.get("alt", "")))
        elif element.name == "style":
            element.string = str(element.string or "").replace("<", "\\3c ")
    return str(soup)


def _known(element: Tag) -> bool:
    """Whether it is no script, one of ours, or data for one."""
    if element.name != "script":
        return True
    text = str(element.string or "")
    if element.attrs == {"type": "application/json"}:
        return "<" not in text
    return not element.attrs and text in OURS


def _allowed(name: str, value: Any) -> bool:
    """Whether an attribute can stay. Browsers read a link without its spaces and control codes."""
    if name.startswith("on") or name in BARRED or not NAME.fullmatch(name):
        return False
    plain = re.sub(r"[\x00-\x20]", "", value if isinstance(value, str) else " ".join(value))
    if name == "src":
        return plain.lower().startswith("data:image/")
    return name.rpartition(":")[2] != "href" or LINK.match(plain) is not None
