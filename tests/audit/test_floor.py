"""Boosted trees: whether networks are worth it, asked by every audit in which that is cheap."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from mtl_nt.audit.audit import BARGAIN, DEFAULT_METHODS, FLOOR, audit
from mtl_nt.audit.findings import findings
from mtl_nt.audit.sentences import sentences

audit_module = importlib.import_module("mtl_nt.audit.audit")
FEW: dict[str, Any] = {"seeds": 2, "steps": 5, "alphas": (0.5,), "progress": False}
BUDGETED = ("MTL", "LBTW")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer methods by default, so that these tests take seconds."""
    assert {*BUDGETED} <= {*DEFAULT_METHODS} and FLOOR not in DEFAULT_METHODS
    monkeypatch.setattr(audit_module, "DEFAULT_METHODS", BUDGETED)


def test_an_audit_in_which_nobody_names_methods_asks_whether_networks_are_worth_it() -> None:
    said: list[str] = []
    found = audit("dial", say=said.append, **{**FEW, "steps": 100})
    assert found.plan.methods == (*BUDGETED, FLOOR)
    assert [*findings(found)["floors"]] == [FLOOR]
    assert any(words.startswith("Trees, one model for each task") for words in sentences(found))
    named = audit("dial", BUDGETED, say=said.append, **FEW)
    assert named.plan.methods == BUDGETED and not findings(named)["floors"]
    assert not [line for line in said if "left out" in line]


def test_where_they_take_long_it_says_so_and_a_later_call_may_name_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(audit_module, "MOST_FLOOR_SECONDS", 0.0)
    said: list[str] = []
    given = {**FEW, "folder": tmp_path, "say": said.append}
    found = audit("dial", **given)
    assert found.plan.methods == BUDGETED
    (line,) = [line for line in said if line.startswith("left out: Trees (about")]
    assert "--methods" in line
    again = audit("dial", [*BUDGETED, FLOOR], **given)
    assert again.plan.methods == (*BUDGETED, FLOOR)
    assert again.study.delta("LBTW", 0.5).equals(found.study.delta("LBTW", 0.5))


def test_where_many_tasks_would_bargain_it_says_so_and_a_later_call_may_name_the_method(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert BARGAIN in DEFAULT_METHODS
    monkeypatch.setattr(audit_module, "DEFAULT_METHODS", (*BUDGETED, BARGAIN))
    assert BARGAIN in audit("dial", say=print, **FEW).plan.methods
    monkeypatch.setattr(audit_module, "MOST_BARGAINING", 8)
    said: list[str] = []
    given = {**FEW, "folder": tmp_path, "say": said.append}
    found = audit("dial", **given)
    assert found.plan.methods == (*BUDGETED, FLOOR)
    line = f"left out: {BARGAIN} (9 tasks make it slow; --methods can name it)"
    assert said.count(line) == 1
    audit("dial", **given)
    assert said[-1].startswith("all of it is in") and said.count(line) == 1
    again = audit("dial", [*BUDGETED, BARGAIN], **given)
    assert {*again.plan.methods} == {*BUDGETED, BARGAIN}
    assert said.count(line) == 1
    assert again.study.delta("LBTW", 0.5).equals(found.study.delta("LBTW", 0.5))
