"""Playgrounds in Chromium; `python tests/played.py` draws their stills anew."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import chromium
from pages import Visit
from PIL import Image
from playwright.sync_api import Browser

from mtl_nt.book.markup import PLAYGROUND_SCRIPT, html_document
from mtl_nt.book.playground import PRESETS, STILLS, STYLE, playground, still_path

STILL_WIDTH = 780  # pixels of a page
SETTLED = "box => box.simulation.step === box.simulation.settings.steps"


@contextmanager
def played(browser: Browser, preset: str, folder: Path, **options: Any) -> Iterator[Visit]:
    """A page with one playground, which has trained to its end."""
    made = playground(preset) if preset in PRESETS else None
    assert made is not None
    path = folder / f"{preset.replace(' ', '_')}.html"
    path.write_text(html_document(preset, f"<h1>{preset}</h1>{made.html}"), encoding="utf-8")
    with Visit(browser, path, **options) as visit:
        settle(visit)
        yield visit


def settle(visit: Visit) -> None:
    """Wait until the training has reached its end."""
    box = visit.page.locator(".mtl-playground").element_handle()
    visit.page.wait_for_function(SETTLED, arg=box)


def stills_digest() -> str:
    """A digest of all that the pictures of the presets come from, as 16 hexadecimal digits."""
    made_from = [PLAYGROUND_SCRIPT, STYLE, json.dumps(PRESETS)]
    return hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]


def draw_stills() -> None:
    said = {"digest": stills_digest()}
    STILLS.mkdir(exist_ok=True)
    for preset in PRESETS:  # so that a preset without a still can be shown
        still_path(preset).touch()
    (STILLS / "stills.json").write_text(json.dumps(said | dict.fromkeys(PRESETS, "")))
    with TemporaryDirectory() as folder, chromium() as browser:
        for preset in PRESETS:
            options = {"width": STILL_WIDTH, "device_scale_factor": 1.5}
            with played(browser, preset, Path(folder), **options) as visit:
                stage = visit.page.locator(".mtl-playground .stage")
                image = Image.open(io.BytesIO(stage.screenshot())).convert("RGB")
                few = image.quantize(64, dither=Image.Dither.NONE)
                few.save(still_path(preset), optimize=True)
                said[preset] = visit.page.locator(".mtl-playground .said").inner_text()
    (STILLS / "stills.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw_stills()
