"""A real JupyterLab for the tests and benchmarks that need one, and screenshots for who wants them.

Where the environment variable MTL_NT_SCREENSHOTS names a folder, every page that a test has opened
is kept there as a picture.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright
from samples import forking

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
SCREENSHOTS = "MTL_NT_SCREENSHOTS"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield opened
        opened.close()


@contextmanager
def jupyterlab(
    root: Path, settings: Path, warm: bool = False, core: int | None = None
) -> Iterator[str]:
    """The address of a JupyterLab that serves this folder and has settings of its own.

    With `warm` it and its kernels are forked from a process that has imported what they import.
    With `core` it and its kernels have this one alone; that cannot be had with `warm`.
    """
    settings.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    environment = {f"JUPYTER_{name}": str(settings) for name in own}
    lab = ("SETTINGS", "WORKSPACES")
    environment |= {f"JUPYTERLAB_{name}_DIR": str(settings) for name in lab}
    options = ["--no-browser", "--ip=127.0.0.1", "--allow-root", "--LabApp.news_url=None"]
    options += [f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={root}"]
    log = settings / "log"
    process = _forked(options, environment, log) if warm else _started(options, environment, log)
    if core is not None:
        assert isinstance(process, subprocess.Popen)
        os.sched_setaffinity(process.pid, {core})  # it has started no kernel yet
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api")
        yield address
    finally:
        process.kill()  # at once; its kernels see that and end
        process.join() if isinstance(process, BaseProcess) else process.wait()


def _started(
    options: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jupyterlab", *options]
    environment = {**os.environ, **environment}
    with open(log, "w") as file:
        return subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, start_new_session=True
        )


def _forked(options: Sequence[str], environment: Mapping[str, str], log: Path) -> BaseProcess:
    from warm import serve

    process = forking().Process(target=serve, args=(options, environment, log))
    process.start()
    return process


def _wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("JupyterLab did not start")


def run_all(page: Page, address: str, name: str = "book") -> None:
    """Open a notebook and run all of its cells."""
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
    # A page says "idle" before there is a kernel, and would then run nothing.
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=120_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def keep_screenshot(page: Page, name: str) -> None:
    """A picture of the whole page, where the environment names a folder for it."""
    if folder := os.environ.get(SCREENSHOTS):
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)
