"""What takes how long, as ratios to a named baseline within one run.

`make bench` prints a table a part and writes docs/benchmarks.md and docs/growth.png. `--only steps`
measures one part and leaves the others' tables as they are. `--below 1` waits before each part
until the machine's load is below 1. `--quick` tries everything on tiny sizes; its numbers mean
nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import audit
import chemistry
import growth
import latency
import limit
import many
import memory
import papers
import playground
import published
import stack
import startup
import steps
import torch
from timing import Row, table

DOCS = Path(__file__).parent.parent / "docs"
TINY = steps.Shape(8, (8, 8), 16, 5)
WORDS = {
    "steps": "A training step of every weighter",
    "stack": "Networks side by side",
    "start": "Start",
    "papers": "The case studies of the second paper",
    "chemistry": "Assays on molecules",
    "tox21": "Tox21 as a whole",
    "growth": "How a step grows",
    "many": "Hundreds of tasks",
    "audit": "An audit of one's own table",
    "latency": "From key to picture",
    "playground": "The playground",
    "notebooks": "Every notebook",
    "fast": "Every notebook in a few steps",
    "proof": "Every slider in JupyterLab",
    "limit": "An audit at its limit",
    "peers": "Published packages",
}
BELOW = {
    "growth": "![Milliseconds a step against tasks, rows and networks](growth.png)\n\n"
    "Networks: 64 features, trunk 64-32, batches of 128, 10 tasks, 1,000 rows, one network, where "
    "an axis does not say otherwise. Bands: lowest to highest repeat.",
    "audit": "![Seconds of an audit against tasks and rows](audit.png)\n\n"
    "Reading the file included. 100 features, 2,000 rows, 14 tasks, where an axis does not say "
    "otherwise; few steps, so that what grows is seen and not waited for.",
    "latency": "In Chromium, from the key on a slider until the new picture is decoded and one "
    "more frame has gone by; 40 keys a repeat. `interact` draws the same figure with matplotlib.",
    "notebooks": "By papermill, one after another. Memory: papermill, the kernel and its "
    "workers together, pages that several of them share counted once. The additions, before and "
    "after each notebook, tell how fast the machine was.",
    "fast": "`python -m mtl_nt book --fast`: its kernels are forked, and the first one, of the "
    "empty notebook, waits for what they come from.",
}
Part = Callable[[], list[Row]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--only", choices=WORDS, nargs="+", help="measure these parts alone")
    parser.add_argument("--below", type=float, metavar="LOAD", help="wait for a quiet machine")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the tables and picture")
    given = parser.parse_args()
    if given.quick and given.out == DOCS:
        parser.error("--quick needs --out: its numbers are not for docs/")
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    page = given.out / "benchmarks.md"
    parts = (quick if given.quick else whole)(given.out)
    known = sections(page.read_text(encoding="utf-8")) if page.exists() else {}
    for name in given.only or parts:
        while given.below is not None and load() >= given.below:
            time.sleep(PAUSE)
        where = f"torch {torch.__version__}, {platform.machine()}; {busy_words()}"
        rows = parts[name]()
        text = [f"## {WORDS[name]}", "", where, "", *table(rows)] if rows else []
        if rows and name in BELOW:
            text += ["", BELOW[name]]
        known[WORDS[name]] = "\n".join(text)
        print(known[WORDS[name]], end="\n\n", flush=True)
        kept = [known[title] for title in WORDS.values() if known.get(title)]
        page.write_text("\n\n".join([HEAD, *kept]) + "\n", encoding="utf-8")


HEAD = (
    "# Benchmarks\n\nOne thread unless said. Contestants take turns; the median of the repeats' "
    "ratios, the lowest and the highest. Measure yours with `make bench`.\n\nThe load is how many "
    "processes wanted a core when a part began, as a mean over the last minute. On an idle machine "
    "it is near 0. A part that does not state its load was measured before loads were kept."
)
PAUSE = 10  # seconds between two looks at the load


def load() -> float:
    """How many processes want a core, as a mean over the last minute; NaN where none can say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def busy_words() -> str:
    """How busy the machine is, in words."""
    return f"load {load():.1f}, {os.cpu_count()} cores"


def sections(text: str) -> dict[str, str]:
    """What a page of tables says so far, by heading."""
    found = re.split(r"^(?=## )", text, flags=re.M)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.strip() for part in found}


def whole(out: Path) -> dict[str, Part]:
    """Every part at its size, an hour and more."""
    shapes = [steps.SMALL, steps.WIDE]
    audited = ((2_000, 100, 14), None, audit.TASKS, audit.ROWS, audit.STEPS, out / "audit.png")
    grown = (growth.TASKS, growth.ROWS, growth.NETWORKS, 30, 5, out / "growth.png")
    return {
        "steps": partial(steps.rows, shapes, steps.TASKS, 5),
        "stack": partial(stack.rows, 10, 5, 200, 5),
        "start": partial(startup.rows, 7),
        "papers": partial(papers.rows, 5, 3, None),
        "chemistry": chemistry.rows,
        "tox21": chemistry.tox21,
        "growth": partial(growth.rows, *grown),
        "many": partial(many.rows, many.TASKS, many.STEPS),
        "audit": partial(audit.rows, *audited),
        "latency": partial(latency.rows, 11, 2, 3),
        "playground": partial(playground.rows, 1000, 20, 3),
        "notebooks": partial(memory.rows, fast=False),
        "fast": partial(memory.rows, fast=True),
        "proof": memory.proof,
        "limit": partial(limit.rows, limit.LIMIT),
        "peers": partial(published.rows, shapes, steps.TASKS, 5),
    }


def quick(out: Path) -> dict[str, Part]:
    """Every part but the published packages, tiny."""
    grown = ((2, 4), (50, 100), (1, 2), 3, 1, out / "growth.png")
    return {
        "steps": partial(steps.rows, [TINY], (3,), 1),
        "stack": partial(stack.rows, 2, 1, 5, 1),
        "start": partial(startup.rows, 1, fresh=False),
        "papers": partial(papers.digits, 2, 2),
        "chemistry": partial(chemistry.rows, 200, 100, 16, 32),
        "growth": partial(growth.rows, *grown),
        "many": partial(many.rows, (3,), 3),
        "audit": partial(audit.rows, (60, 4, 3), 4, (3,), (60,), 4, out / "audit.png"),
        "latency": partial(latency.rows, 2, 1, 1),
        "playground": partial(playground.rows, 50, 2, 1),
        "fast": partial(memory.rows, fast=True, names=("00_start_here",)),
        "limit": partial(limit.rows, (60, 4, 2)),
    }


if __name__ == "__main__":
    main()
