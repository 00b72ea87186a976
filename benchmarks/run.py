"""What takes how long, as ratios to a named baseline within one run.

`make bench` prints one table and writes docs/benchmarks.md and docs/growth.png. `--quick` tries
everything on tiny sizes; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

import growth
import papers
import published
import stack
import startup
import steps
import torch
from timing import Row, table

DOCS = Path(__file__).parent.parent / "docs"
TINY = steps.Shape(8, (8, 8), 16, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the table and picture")
    parser.add_argument("--without-peers", action="store_true", help="leave out other packages")
    given = parser.parse_args()
    if given.quick and given.out == DOCS:
        parser.error("--quick needs --out: its numbers are not for docs/")
    torch.set_num_threads(1)
    rows = quick(given.out) if given.quick else whole(given.out)
    if not given.without_peers:
        shapes, tasks = ([TINY], (3,)) if given.quick else ([steps.SMALL, steps.WIDE], steps.TASKS)
        rows += published.rows(shapes, tasks, 5)
    lines = [
        "# Benchmarks",
        "",
        f"torch {torch.__version__}, {platform.machine()}, one thread unless said. Contestants "
        "take turns; the median of the repeats' ratios, the lowest and the highest. Measure yours "
        "with `make bench`.",
        "",
        *table(rows),
        "",
        "![Milliseconds a step against tasks, rows and networks](growth.png)",
        "",
        "Networks: 64 features, trunk 64-32, batches of 128, 10 tasks, 1,000 rows, one network, "
        "where an axis does not say otherwise. Bands: lowest to highest repeat.",
        "",
    ]
    (given.out / "benchmarks.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def whole(out: Path) -> list[Row]:
    """Every part at its size, some minutes."""
    return [
        *told("steps", steps.rows([steps.SMALL, steps.WIDE], steps.TASKS, 5)),
        *told("stack", stack.rows(10, 5, 200, 5)),
        *told("start", startup.rows(7)),
        *told("papers", papers.rows(5, 3, None)),
        *told(
            "growth",
            growth.rows(growth.TASKS, growth.ROWS, growth.NETWORKS, 30, 5, out / "growth.png"),
        ),
    ]


def quick(out: Path) -> list[Row]:
    """Every part, tiny."""
    return [
        *steps.rows([TINY], (3,), 1),
        *stack.rows(2, 1, 5, 1),
        *startup.rows(1),
        *papers.digits(2, 5),
        *growth.rows((2, 4), (50, 100), (1, 2), 5, 2, out / "growth.png"),
    ]


def told(part: str, rows: list[Row]) -> list[Row]:
    """The rows of a part that is done."""
    print(f"{part}: {len(rows)} rows", file=sys.stderr)
    return rows


if __name__ == "__main__":
    main()
