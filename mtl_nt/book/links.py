"""What leads a reader through a page, and from one page to the next: contents and links.

A page is one file, and may be read where no other page is. So a link to another page is made only
where that page lies beside it: `with_places` leaves places for such links, and `filled` fills them
once the other pages are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import quote, unquote

from bs4 import BeautifulSoup

INDEX = "index.html"
HEADINGS = ("h2", "h3")
FEWEST = 3  # headings that are worth a list
NOT_WORDS = re.compile(r"\W+")
RELATIVE = re.compile(r"\A(?![a-z][a-z0-9+.-]*:|[/#])[^?#]+", re.I)
CONTENTS = '<details class="contents"><summary>Contents</summary><ol>{items}</ol></details>'
WAYS = '<nav aria-label="Pages" class="ways">{links}</nav>'
FILLED_WAYS = re.compile(r'(?s)<nav aria-label="Pages" class="ways">.*?</nav>')
FILLED_PLACE = re.compile(r'<a data-page="([^"]*)"(?: href="[^"]*")?>')


@dataclass(frozen=True)
class Neighbour:
    """A page beside another one.

    Attributes:
        page: the name of its file.
        title: its title.
        notebooks: the names of the notebooks that a link may mean by it.
    """

    page: str
    title: str
    notebooks: tuple[str, ...]


def with_places(soup: BeautifulSoup) -> BeautifulSoup:
    """The body of a page with contents, and with places for links to other pages.

    Every heading gets an id. A link to a file that may lie beside the page becomes a place.
    """
    entries = "".join(_named_headings(soup))
    for link in soup("a", href=RELATIVE):
        name = RELATIVE.match(str(link["href"]))
        assert name is not None
        link.attrs = {"data-page": unquote(name[0])}
    title = soup.find("h1")
    if entries.count("<li") >= FEWEST:
        contents = BeautifulSoup(CONTENTS.format(items=entries), "html.parser")
        soup.insert(0, contents) if title is None else title.insert_after(contents)
    for place in (0, len(soup.contents)):
        soup.insert(place, BeautifulSoup(WAYS.format(links=""), "html.parser"))
    return soup


def _named_headings(soup: BeautifulSoup) -> list[str]:
    """Give every heading an id of its own, and return the entries of the contents."""
    entries, taken = [], {str(tag["id"]) for tag in soup(id=True)}
    for heading in soup(["h1", "h2", "h3", "h4"]):
        words = heading.get_text(" ", strip=True)
        name = first = NOT_WORDS.sub("-", words.lower()).strip("-") or "part"
        for number in range(2, len(taken) + 3):
            if name not in taken:
                break
            name = f"{first}-{number}"
        taken.add(name)
        heading["id"] = name
        if heading.name in HEADINGS:
            link = f'<a href="#{quote(name)}">{escape(words)}</a>'
            entries.append(f'<li class="{heading.name}">{link}</li>')
    return entries


def filled(html: str, page: str, pages: Sequence[Neighbour]) -> str:
    """A page with links to those of the pages that are beside it, and to the index.

    It may have been filled before. A link to any other page becomes plain text.

    Args:
        html: the whole page.
        page: the name of its file.
        pages: the pages beside it, in their order.
    """
    names = {name: each.page for each in reversed(pages) for name in (*each.notebooks, each.page)}
    html = FILLED_PLACE.sub(lambda found: _place(found, names), html)
    return FILLED_WAYS.sub(lambda _: WAYS.format(links=_ways(page, pages)), html)


def _place(found: re.Match[str], names: Mapping[str, str]) -> str:
    target = names.get(unescape(found[1]).removeprefix("./"))
    href = f' href="{_address(target)}"' if target else ""
    return f'<a data-page="{found[1]}"{href}>'


def _ways(page: str, pages: Sequence[Neighbour]) -> str:
    """Links to the page before, to the index and to the page after."""
    order = [each.page for each in pages]
    at = order.index(page)
    before, after = pages[at - 1 : at] if at else (), pages[at + 1 : at + 2]
    links = [_way("prev", "← ", each) for each in before]
    links.append(f'<a href="{INDEX}">All pages</a>')
    return "".join([*links, *(_way("next", "", each, " →") for each in after)])


def _way(kind: str, left: str, to: Neighbour, right: str = "") -> str:
    title = f"{left}{escape(to.title)}{right}"
    return f'<a rel="{kind}" href="{_address(to.page)}">{title}</a>'


def _address(page: str) -> str:
    return escape(quote(page, errors="surrogateescape"))
