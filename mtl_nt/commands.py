"""What the command line does: report | demo | book | run | results | datasets | fetch."""

from __future__ import annotations

import argparse
import inspect
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import audit_command
from .parameters import literal
from .tasks import BadInput, lacks_memory
from .terminal import say, warn

if TYPE_CHECKING:  # a slow import
    from nbformat import NotebookNode

    from .kernels import ThisPython

DEMO: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("00_start_here", "00_start_here.ipynb", {}),
    ("01_negative_transfer", "01_negative_transfer.ipynb", {}),
    ("02_lbtw_mnist", "02_lbtw.ipynb", {"dataset": "mnist"}),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """See `__main__.main`."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        _check_text(given)
        options = _parser().parse_args(given)
        options.command(options)
    except BadInput as error:
        return _failed(2, error)
    except BrokenPipeError:  # whoever reads, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        return stopped(stop)
    except OSError as error:  # a full disk, say
        name = f": {error.filename}" if error.filename else ""
        return _failed(2, f"{error.strerror or error}{name}")
    except BrokenExecutor as error:
        return _failed(2, f"{error}; was there enough memory?")
    except (MemoryError, RuntimeError) as error:
        from .report import NotebookFailed  # slow to load, and loaded where it was raised

        if isinstance(error, NotebookFailed):
            return _failed(1, error)
        if not lacks_memory(type(error).__name__, str(error)):
            raise
        return _failed(2, "there is not enough memory; give fewer rows, columns or runs")
    return 0


def stopped(stop: KeyboardInterrupt) -> int:
    """Say that a signal has ended the command; its exit status."""
    number = stop.args[0] if stop.args and isinstance(stop.args[0], int) else signal.SIGINT
    return _failed(128 + number, "stopped")


def keep_temporary_in(folder: Path) -> None:
    """Have this process, and those that it starts, make all temporary files in this folder."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        os.environ[name] = str(folder)
    tempfile.tempdir = str(folder)


def _failed(status: int, why: object) -> int:
    warn(f"mtl_nt: {why}")
    return status


def _check_text(words: Sequence[str]) -> None:
    """Neither a page nor a folder of results can hold a name that is no text."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise BadInput(f"{word} is not UTF-8; give the file or column another name") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m mtl_nt", description="Reports on negative transfer.")
    known = "report | demo | book | run | results | datasets | fetch"
    commands = parser.add_subparsers(required=True, metavar=known)
    audit_command.add_to(commands)

    demo = commands.add_parser("demo", help="run the first three notebooks, a few minutes")
    demo.add_argument("--out", default="reports", type=Path, help="folder (default: reports)")
    demo.set_defaults(command=_demo)

    book = commands.add_parser("book", help="run all notebooks and write a page of each")
    book.add_argument("--out", default="reports", type=Path, help="folder (default: reports)")
    book.add_argument("--fast", action="store_true", help="with a few steps each, to see it run")
    book.add_argument("--keep", action="store_true", help="write the outputs into notebooks/, too")
    book.set_defaults(command=_book)

    run = commands.add_parser("run", help="run one notebook with other parameters")
    run.add_argument("notebook", type=Path)
    run.add_argument(
        *("-p", "--parameter"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter of the notebook; may be given several times",
    )
    run.add_argument("--out", default="reports", type=Path, help="folder (default: reports)")
    run.add_argument("--name", help="of the report (default: the notebook's)")
    run.set_defaults(command=_run)

    results = commands.add_parser("results", help="train a paper's case study, whole, and keep it")
    results.add_argument("case", nargs="*", help="by default all that come with the package")
    results.add_argument("--out", type=Path, help="folder (default: the package's own)")
    results.add_argument("--parts", default="reports/parts", type=Path, help="what is finished")
    results.add_argument("--seeds", type=_seeds, help="how many runs, or which: 100,101")
    results.add_argument("--file", type=Path, help="a table of your own in place of the case's")
    results.add_argument("--steps", type=int, help="another budget, to try it out")
    results.add_argument("--workers", default=1, type=int, help="processes (default: 1)")
    results.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    results.set_defaults(command=_results)

    datasets = commands.add_parser("datasets", help="list the data sets, options and files")
    datasets.set_defaults(command=_datasets)

    fetch = commands.add_parser("fetch", help="download the files of a data set and check them")
    fetch.add_argument("name", help="of the data set")
    fetch.set_defaults(command=_fetch)
    return parser


def _demo(options: argparse.Namespace) -> None:
    folder = Path("notebooks")
    for _, notebook, _ in DEMO:
        if not (folder / notebook).is_file():
            raise BadInput(f"{folder / notebook} is missing; run this in the repository's root")
    for name, notebook, _ in DEMO:
        _check_outputs(folder / notebook, options.out, name)
    for number, (name, notebook, parameters) in enumerate(DEMO, 1):
        _report(folder / notebook, options.out, name, parameters, f"[{number}/{len(DEMO)}] ")
    _look(options.out / "index.html")


def _book(options: argparse.Namespace) -> None:
    from .kernels import ThisPython, Warm, warm_up
    from .report import fast, keep_outputs

    if options.fast and options.keep:
        raise BadInput("--keep with --fast: keep the outputs of a whole run alone")
    notebooks = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise BadInput("notebooks/ is missing; run this in the repository's root")
    for notebook in notebooks:
        _check_outputs(notebook, options.out, notebook.stem)
    if options.fast:
        warm_up()
    kernels = Warm if options.fast else ThisPython
    for number, notebook in enumerate(notebooks, 1):
        given = fast(notebook) if options.fast else {}
        count = f"[{number}/{len(notebooks)}] "
        executed = _report(notebook, options.out, notebook.stem, given, count, kernels)
        if options.keep:
            keep_outputs(notebook, executed)
    _look(options.out / "index.html")


def _run(options: argparse.Namespace) -> None:
    name = options.name or options.notebook.stem
    if Path(name).name != name:
        raise BadInput(f"--name {name!r}: give a plain name; the folder is --out")
    if name == "index" or name.endswith(".failed"):
        raise BadInput(f"--name {name!r}: that is kept for another file; give another name")
    _check_outputs(options.notebook, options.out, name)
    parameters = {key: literal(text) for key, text in options.parameter}
    _report(options.notebook, options.out, name, parameters)
    _look(options.out / f"{name}.html")


def _results(options: argparse.Namespace) -> None:
    import contextlib
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    import torch

    from . import __version__, reproduce, stored
    from .tasks import nearest

    cases = [name.removesuffix("-small") for name in options.case]  # what a plain name is
    for name in cases:
        if name not in reproduce.CASES:
            raise BadInput(f"unknown case {name!r}; {nearest(name, reproduce.CASES)}")
    if options.workers < 1:
        raise BadInput(f"--workers {options.workers}: must be 1 or more")
    if options.file and options.out is None:
        raise BadInput("--file needs --out: what comes with the package is of its own data")
    own = {} if options.steps is None else {"steps": options.steps}
    kept = options.out or stored.KEPT
    if kept.resolve() == options.parts.resolve():
        raise BadInput(f"--out and --parts are both {kept}; give two folders")
    for name in cases or reproduce.KEPT:
        stored.check_folder(kept / name)
    for name in cases or reproduce.KEPT:
        say(f"{name}: {reproduce.CASES[name].about}")
        with contextlib.ExitStack() as stack:
            executor = None
            if options.workers > 1:
                spawned = multiprocessing.get_context("spawn")
                threads = max(1, torch.get_num_threads() // options.workers)
                share = (torch.set_num_threads, (threads,))  # more would wait for each other
                pool = ProcessPoolExecutor(options.workers, spawned, *share)
                executor = stack.enter_context(pool)
            study = reproduce.run(
                name,
                options.seeds,
                options.parts / name,
                executor,
                options.file,
                device=options.device,
                **own,
            )
        preset = name.partition("-")[2] or "small"
        about = {"case": name, "preset": preset, "version": __version__}
        if not options.file:
            about["probe"] = reproduce.probe(name)
        folder = stored.keep(study, kept / name, **about)
        columns = ["method", "alpha", "mean", "harmed", "helped", "undecided", "negative_per_run"]
        say(*study.counts()[columns].to_string(index=False, na_rep="").split("\n"), folder)


def _seeds(text: str) -> Any:
    value = literal(text)
    return list(value) if isinstance(value, tuple) else value


def _check_outputs(notebook: Path, folder: Path, name: str) -> None:
    """All that `_report` writes, before the first notebook runs."""
    from . import report

    names = (f"{name}.ipynb", f"{name}.failed.ipynb", f"{name}.html", "index.html")
    for each in names:
        report.writable(folder / each, notebook)


def _report(
    notebook: Path,
    folder: Path,
    name: str,
    parameters: dict[str, Any],
    count: str = "",
    kernels: type[ThisPython] | None = None,
) -> NotebookNode:
    from . import report

    words = "".join(f" {key}={value}" for key, value in parameters.items())
    say(f"{count}{notebook}{words} ...")
    start = time.monotonic()
    out = folder / f"{name}.ipynb"
    executed = report.run(notebook, out, kernels or report.ThisPython, **parameters)
    page = folder / f"{name}.html"
    there = "replaces " if page.exists() else ""
    report.page(out, page)
    report.index(folder)
    say(f"{' ' * len(count)}{there}{page} in {time.monotonic() - start:.0f} s")
    return executed


def _look(page: Path) -> None:
    say(f"Open {page} in a browser.")


def _datasets(options: argparse.Namespace) -> None:
    from .datasets import ABOUT, DATASETS, SOURCES
    from .datasets.chemistry import PANELS
    from .datasets.files import held

    for name, load in DATASETS.items():
        about = (inspect.getdoc(load) or "").partition("\n")[0]
        known = [_option(p) for p in inspect.signature(load).parameters.values()]
        lines = [about, f"options: {', '.join(known)}"]
        if name in PANELS:
            panel = PANELS[name]
            missing = "some" if panel.missing is None else f"{panel.missing:.0%}"
            lines.append(
                f"{panel.tasks} tasks, {panel.rows:,} rows, {missing} of the labels missing; "
                f"licence: {panel.licence}"
            )
        elif name in ABOUT:
            lines.append(ABOUT[name])
        else:
            data = load()  # made here, or inside an installed package
            share = float((~data.labelled).double().mean())
            lines.append(
                f"{len(data.tasks)} tasks, {len(data.x):,} rows, {share:.0%} of the labels "
                f"missing; {data.provenance}"
            )
        for source in SOURCES.get(name, ()):
            size = "" if source.size is None else f"{source.size:,} bytes, "
            found = held(source)
            lines.append(f"file: {source.url} ({size}{source.checksum})")
            lines.append("      not fetched" if found is None else f"      there: {found}")
        say(f"{name:10} {lines[0]}", *(f"{'':10} {line}" for line in lines[1:]))


def _fetch(options: argparse.Namespace) -> None:
    from .datasets import DATASETS, SOURCES
    from .datasets.files import fetch
    from .tasks import nearest

    if options.name not in DATASETS:
        raise BadInput(f"unknown dataset {options.name!r}; {nearest(options.name, DATASETS)}")
    sources = SOURCES.get(options.name, ())
    for source in sources:
        found = fetch(source, instead=f" ({source.checksum})")
        say(f"{found} ({source.checksum})")
    if not sources:
        say(f"{options.name} needs no download")


def _option(parameter: inspect.Parameter) -> str:
    given = parameter.default
    return parameter.name if given is parameter.empty else f"{parameter.name}={given!r}"
