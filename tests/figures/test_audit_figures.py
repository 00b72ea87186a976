"""The figures of an audit alone, on a page and on a phone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from mtl_nt.audit import Audit, affinity_map, example_audit, width_check
from mtl_nt.figures.drawing import Drawing

LEAST = 8.0  # points: what is smaller cannot be read on a phone


@pytest.fixture(scope="module")
def audit() -> Audit:
    return example_audit()


def with_widths(
    monkeypatch: pytest.MonkeyPatch, audit: Audit, verdicts: Mapping[str, list[tuple[float, str]]]
) -> Drawing:
    """The width check where these tasks have these differences and verdicts at the three widths,
    and all others have none.
    """
    tasks = list(audit.labels["task"])
    found = []
    for k, factor in enumerate((0.25, 1.0, 4.0)):
        rows = {name: verdicts.get(name, [(math.nan, "undecided")] * 3)[k] for name in tasks}
        found.append(
            {
                "factor": factor,
                "trunk": [int(4 * factor)],
                "harmed": sum(verdict == "harmed" for _, verdict in rows.values()),
                "delta": {name: delta for name, (delta, _) in rows.items()},
                "verdict": {name: verdict for name, (_, verdict) in rows.items()},
            }
        )
    monkeypatch.setattr("mtl_nt.audit.figures.findings", lambda _: {"widths": found})
    return width_check(audit)


def words_of(figure: Any) -> str:
    texts = (text.get_text() for text in figure.findobj(Text))
    return " ".join(" ".join(texts).split())


def test_tasks_that_are_not_learned_have_no_say_in_the_axis_and_are_counted(
    monkeypatch: pytest.MonkeyPatch, audit: Audit
) -> None:
    one, two, *_ = audit.labels["task"]
    rows = {
        one: [(-0.03, "harmed"), (-0.02, "harmed"), (0.01, "undecided")],
        two: [(-40.0, "not learned"), (-30.0, "not learned"), (0.02, "helped")],
    }
    figure = with_widths(monkeypatch, audit, rows)
    for drawn in (figure, figure.draw_narrow()):
        low, high = drawn.axes[0].get_ylim()
        assert -0.05 < low < -0.03 and 0.02 < high < 0.05
        assert {mark.get_gid() for mark in drawn.axes[0].collections} == {
            *("harmed", "helped", "undecided")
        }
        assert "left out: 1, 1 and 0 of 9 tasks" in words_of(drawn)
        assert "not learned" not in [text.get_text() for text in drawn.legends[0].texts]
    assert "left out: 1, 1 and 0 of 9 tasks" in figure.caption


def test_where_every_task_is_learned_nothing_is_said_of_it(
    monkeypatch: pytest.MonkeyPatch, audit: Audit
) -> None:
    rows = {name: [(0.01, "undecided")] * 3 for name in audit.labels["task"]}
    assert "left out" not in words_of(with_widths(monkeypatch, audit, rows))


def test_where_no_task_is_learned_the_check_is_drawn_without_a_mark(
    monkeypatch: pytest.MonkeyPatch, audit: Audit
) -> None:
    rows = {name: [(1.0, "not learned")] * 3 for name in audit.labels["task"]}
    figure = with_widths(monkeypatch, audit, rows)
    assert "left out: 9, 9 and 9 of 9 tasks" in words_of(figure.draw_narrow())
    assert not figure.axes[0].collections


@pytest.mark.parametrize("draw", [width_check, affinity_map])
def test_on_a_phone_no_letter_is_too_small_and_nothing_leaves_the_picture(
    audit: Audit, draw: Any
) -> None:
    narrow = draw(audit).draw_narrow()
    assert narrow.get_figwidth() < 4
    narrow.canvas.draw()
    renderer = narrow.canvas.get_renderer()
    wide, tall = narrow.get_size_inches() * narrow.dpi
    for text in narrow.findobj(Text):
        if not text.get_text().strip() or not text.get_visible():
            continue
        assert text.get_size() >= LEAST, text
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1 and box.x1 <= wide + 1 and box.y0 >= -1 and box.y1 <= tall + 1, text


def test_the_names_of_many_tasks_do_not_overlap_on_the_map(audit: Audit) -> None:
    from mtl_nt.audit.figures import AffinityMap, _draw_map
    from mtl_nt.figures.forms import PAGE, PHONE

    many = 30
    names = tuple(f"an assay with a long name {k}" for k in range(many))
    shown = AffinityMap("A title", "", "", names, np.eye(many), np.ones((many, many)))
    for form in (PAGE, PHONE):
        figure = _draw_map(shown, form)
        renderer = figure.canvas.get_renderer()
        boxes = [t.get_window_extent(renderer) for t in figure.axes[0].get_yticklabels()]
        boxes.sort(key=lambda box: box.y0)
        assert all(a.y1 <= b.y0 + 2 for a, b in zip(boxes, boxes[1:], strict=False))
        assert min(box.x0 for box in boxes) >= 0
