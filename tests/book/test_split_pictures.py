"""The one picture for several splits: every combination has its own, drawn once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bs4 import BeautifulSoup
from refusals import refused

from mtl_nt.book import split_pictures
from mtl_nt.book.split_pictures import split_explorer
from mtl_nt.datasets.expansionrx import GROUPS

GROUP_OF = {task: group for group, members in GROUPS.items() for task in members}


def pages(html: str) -> list[list[dict[str, Any]]]:
    script = BeautifulSoup(html, "html.parser").find("script", type="application/json")
    assert script is not None
    found: list[list[dict[str, Any]]] = json.loads(script.text)["pages"]
    return found


@pytest.mark.slow
def test_every_split_and_method_has_a_picture_of_its_own_which_is_drawn_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits, methods = ("time", "random"), ("MTL", "Groups")
    html = split_explorer("expansionrx", splits, methods, GROUP_OF).html
    found = pages(html)
    assert [len(each) for each in found] == [1] * 4
    assert len({each[0]["forms"][0]["src"] for each in found}) == 4
    monkeypatch.setattr(split_pictures, "task_differences", lambda *_, **__: pytest.fail("again"))
    assert split_explorer("expansionrx", splits, methods, GROUP_OF).html == html


def test_a_study_or_a_method_that_is_not_there_is_refused() -> None:
    refused(
        lambda: split_explorer("expansionx", ["time"], ["MTL"]), "no kept study 'expansionx-time'"
    )
    refused(
        lambda: split_explorer("expansionrx", ["time"], ["MTL", "Group"]),
        "unknown 'Group'",
        "did you mean 'Groups'",
    )
