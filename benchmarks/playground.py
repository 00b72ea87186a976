"""The playground in Chromium: from a key to a picture, and its training beside torch's."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from timing import Row

TESTS = Path(__file__).parent.parent / "tests"
sys.path.append(str(TESTS))
from lab import CHROMIUM, chromium  # noqa: E402
from pages import Visit  # noqa: E402

SIZE: dict[str, Any] = {"units": 8, "rows": 128, "method": "MTL"}
WHERE = "Chromium, 8 units, 3 tasks, 128 rows"
PRESS = """(box, key) => new Promise((tell) => {
  const slider = box.querySelector("input:not([max='4'])"), start = performance.now();
  slider.value = Number(slider.value) + key;
  slider.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => requestAnimationFrame(() => tell(performance.now() - start)));
})"""
PLAYED = """(box, steps) => new Promise((tell) => {
  const { constructor, settings } = box.simulation, start = performance.now();
  const run = box.simulation = new constructor({ ...settings, steps });
  const frame = () => {
    const until = performance.now() + 10; // the rest of a frame is the drawing's
    while (run.step < steps && performance.now() < until) run.advance(5);
    box.draw(run);
    if (run.step < steps) requestAnimationFrame(frame);
    else tell(steps / (performance.now() - start) * 1000);
  };
  frame();
})"""


def rows(steps: int, keys: int, repeats: int) -> list[Row]:
    """Milliseconds from a slider's move to its picture, and steps a second while it draws.

    A step trains the network of all tasks and three single-task twins.
    """
    if CHROMIUM is None:
        return [Row("playground", WHERE, [], "", "", "no program named chromium")]
    from mtl_nt.book.markup import html_document
    from mtl_nt.book.playground import playground

    taken: list[float] = []
    found: dict[str, list[float]] = {"page": [], "torch": []}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder, "page.html")
        path.write_text(html_document("playground", playground("outsider", **SIZE).html))
        with Visit(browser, path) as visit:
            box = visit.page.locator(".mtl-playground")
            for _ in range(repeats):
                moved = [box.evaluate(PRESS, -5 if key % 2 else 5) for key in range(keys)]
                taken.append(statistics.median(moved))
                found["page"].append(box.evaluate(PLAYED, steps))
                found["torch"].append(torch_steps(steps))
    faster = [p / t for p, t in zip(found["page"], found["torch"], strict=True)]
    return [
        Row("ms from a slider to its picture", WHERE, taken, "", "at most 50"),
        Row("steps a second while it draws", WHERE, found["page"], "", "at least 2,000"),
        Row("steps a second while it draws", WHERE, faster, "times a plain loop of torch"),
    ]


def torch_steps(steps: int) -> float:
    """Steps a second of four plain torch networks of the same size, with torch's own Adam."""
    units, batch, tasks = SIZE["units"], 16, 3
    x, y = torch.rand(batch, 2).double(), torch.rand(batch, tasks).double()
    networks = []
    for _ in range(1 + tasks):
        net = torch.nn.Sequential(
            torch.nn.Linear(2, units), torch.nn.Tanh(), torch.nn.Linear(units, tasks)
        ).double()
        networks.append((net, torch.optim.Adam(net.parameters(), lr=0.03)))
    begin = time.perf_counter()
    for _ in range(steps):
        for net, mover in networks:
            mover.zero_grad()
            ((net(x) - y) ** 2).mean(0).sum().backward()
            mover.step()
    return steps / (time.perf_counter() - begin)
