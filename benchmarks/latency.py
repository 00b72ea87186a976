"""From a key press to the new picture: explorers in JupyterLab and in a page, and `interact`."""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Locator, Page, expect
from timing import Row, ratios

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from lab import CHROMIUM, chromium, jupyterlab, run_all

PAUSE = 100  # milliseconds before a key
PATIENCE = 120_000  # milliseconds until all cells have run
RAN = re.compile(r"\[\d+\]")
BUSY = "busy"  # the last cell trains for as long as there is a file of this name
CELLS = (
    """
    from pathlib import Path

    import torch
    from IPython.display import display
    from ipywidgets import SelectionSlider, interact

    from mtl_nt import compare, figures, load
    from mtl_nt.book.explorers import explorer

    %matplotlib inline
    torch.set_num_threads(1)
    alphas = [0.2 * k for k in range(STOPS)]
    data = load("dial-dominant")


    def study(steps):
        return compare(data, ["LBTW", "MTL"], alphas, [0, 1], progress=False, steps=steps)


    short = study(20)


    def drawn(alpha):
        return figures.alpha_curve(short, "LBTW", alpha)
    """,
    """
    explorer({"dial": [figures.captioned_png(drawn(a)) for a in alphas]}, alphas)
    """,
    """
    options = [(f"{a:g}", a) for a in alphas]
    interact(lambda alpha: display(drawn(alpha)), alpha=SelectionSlider(options=options));
    """,
    f"""
    while Path("{BUSY}").exists():
        study(100)
    """,
)
WATCH = """(box) => {
  const shown = () => [...box.querySelectorAll("img")].find((image) => image.checkVisibility());
  const before = shown().src;
  window.latency = new Promise((tell) => {
    const look = async (start) => {
      const image = shown();
      if (!image || image.src === before) return requestAnimationFrame(() => look(start));
      await image.decode();
      requestAnimationFrame(() => tell(performance.now() - start));
    };
    const pressed = (event) => look(event.timeStamp);
    window.addEventListener("keydown", pressed, { capture: true, once: true });
  });
}"""
# A picture alone has the explorer's class too, so one with a slider is asked for.
HANDLES = {".nt-explorer:has(input)": "input", ".widget-interact": ".noUi-handle"}
EXPLORER, INTERACT = HANDLES
LAB, WHILE, EXPORTED = "JupyterLab", "JupyterLab, a cell training", "exported page"
SHARES = {50: "median", 95: "95th percentile"}
Taken = dict[tuple[str, str], list[list[float]]]  # ms of every key press, a list a repeat


def rows(stops: int, rounds: int, repeats: int) -> list[Row]:
    """Explorers, and the same figures drawn at every move; keys to the last picture and back."""
    if CHROMIUM is None:
        return [Row("ms of explorer", LAB, [], "", "", "no program named chromium")]
    ms = measured(stops, rounds, repeats)
    medians = {f"{what}, {where}": [*map(statistics.median, ms[what, where])] for what, where in ms}
    targets = {LAB: (50, 100), WHILE: (50, 100), EXPORTED: (40, None)}
    found = []
    for what, where in ms:
        for share, most in zip(SHARES, targets[where], strict=True):
            values = [float(np.percentile(repeat, share)) for repeat in ms[what, where]]
            target = f"at most {most}" if most and what == "explorer" else ""
            found.append(Row(f"ms of {what}, {SHARES[share]}", where, values, "", target))
    for where, other in (LAB, LAB), (WHILE, WHILE), (EXPORTED, LAB):
        faster = ratios(medians, f"interact, {other}", f"explorer, {where}")
        found.append(Row("explorer", where, faster, f"times faster than interact, {other}"))
    return found


def measured(stops: int, rounds: int, repeats: int) -> Taken:
    """Contestants take turns, in one JupyterLab and in the page exported from its notebook."""
    from mtl_nt.book import report  # takes two seconds

    found: Taken = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        jupyterlab(Path(folder), Path(folder, "settings")) as address,
    ):
        book, busy = Path(folder, "book.ipynb"), Path(folder, BUSY)
        lab = opened(browser, address, book, stops)
        page = browser.new_page(viewport={"width": 800, "height": 900})
        page.goto(report.write_page(book, book.with_suffix(".html")).as_uri())

        def both(where: str) -> None:
            for what, box in ("explorer", EXPLORER), ("interact", INTERACT):
                taken = pressed(lab, box, stops, rounds)
                found.setdefault((what, where), []).append(taken)

        for _ in range(repeats):
            both(LAB)
            busy.touch()
            lab.locator(".jp-CodeCell .cm-content").last.click()
            lab.keyboard.press("Control+Enter")
            expect(_prompt(lab)).to_have_text("[*]:")
            both(WHILE)
            expect(_prompt(lab)).to_have_text("[*]:")
            busy.unlink()
            expect(_prompt(lab)).to_have_text(RAN, timeout=PATIENCE)
            taken = pressed(page, EXPLORER, stops, rounds)
            found.setdefault(("explorer", EXPORTED), []).append(taken)
    return found


def opened(browser: Browser, address: str, path: Path, stops: int) -> Page:
    """The notebook in JupyterLab, run and saved."""
    from samples import write

    write(path, *(cell.replace("STOPS", str(stops)) for cell in CELLS), kernel=True)
    page = browser.new_page(viewport={"width": 1200, "height": 2400})
    run_all(page, address, path.stem)
    expect(_prompt(page)).to_have_text(RAN, timeout=PATIENCE)
    for box in EXPLORER, INTERACT:
        expect(page.locator(f"{box} img:visible")).to_have_count(1)
    with page.expect_response(lambda reply: reply.request.method == "PUT"):
        page.keyboard.press("Control+s")
    return page


def pressed(page: Page, box: str, stops: int, rounds: int) -> list[float]:
    """Milliseconds from each key press until its picture is decoded and a frame has gone by."""
    there, found = page.locator(box), []
    there.locator(HANDLES[box]).focus()
    for key in rounds * [*(stops - 1) * ["ArrowRight"], *(stops - 1) * ["ArrowLeft"]]:
        page.wait_for_timeout(PAUSE)
        there.evaluate(WATCH)
        page.keyboard.press(key)
        found.append(page.evaluate("latency"))
    return found


def _prompt(page: Page) -> Locator:
    """What says whether the last cell has run."""
    return page.locator(".jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)").last
