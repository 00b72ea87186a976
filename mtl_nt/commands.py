"""What the commands of the command line do. `arguments` says which options each takes."""

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
from typing import TYPE_CHECKING, Any

from .arguments import parser
from .errors import BadInput, is_out_of_memory, suggestion
from .terminal import say, warn

if TYPE_CHECKING:  # a slow import
    from nbformat import NotebookNode

    from .book.kernels import ThisPythonKernel

DEMO: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("00_start_here", "00_start_here.ipynb", {}),
    ("01_negative_transfer", "01_negative_transfer.ipynb", {}),
    ("02_lbtw_mnist", "02_lbtw.ipynb", {"dataset": "mnist", "seeds": 5, "many": 5}),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status, as `__main__.main` does.

    Args:
        arguments: the words of the command line; by default those of this process.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        _check_text(given)
        options = parser().parse_args(given)
        COMMANDS[options.command](options)
    except BadInput as error:
        return _failed(2, error)
    except BrokenPipeError:  # whoever reads, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        return stopped(stop)
    except OSError as error:  # a full disk, say
        name = f": {error.filename}" if error.filename else ""
        if "AF_UNIX" in str(error):  # of a socket between processes
            name = f": {tempfile.gettempdir()}; set TMPDIR to a shorter one"
        return _failed(2, f"{error.strerror or error}{name}")
    except BrokenExecutor as error:
        return _failed(2, f"{error}; was there enough memory?")
    except (MemoryError, RuntimeError) as error:
        from .book.report import NotebookFailed  # slow to load, and loaded where it was raised

        if isinstance(error, NotebookFailed):
            return _failed(1, error)
        if not is_out_of_memory(type(error).__name__, str(error)):
            raise
        return _failed(2, "there is not enough memory; give fewer rows, columns or runs")
    return 0


def stopped(stop: KeyboardInterrupt) -> int:
    """Say that a signal has ended the command, and return the exit status."""
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
    """Refuse a word that is not UTF-8, which neither a page nor a folder of results can hold."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise BadInput(f"{word} is not UTF-8; give the file or column another name") from None


def _report_on_table(options: argparse.Namespace) -> None:
    from .audit.command import write_report  # loads all that an audit uses

    write_report(options)


def _judge_scores(options: argparse.Namespace) -> None:
    from .audit.judge import write_judgement

    write_judgement(options)


def _fit_plan(options: argparse.Namespace) -> None:
    from .audit.predict import fit_and_save

    fit_and_save(options, parser())


def _predict_rows(options: argparse.Namespace) -> None:
    from .audit.predict import predict_table

    predict_table(options)


def _demo(options: argparse.Namespace) -> None:
    from .book.site import missing

    folder = Path("notebooks")
    for _, notebook, _ in DEMO:
        if not (folder / notebook).is_file():
            raise BadInput(f"{folder / notebook} is missing; run this in the repository's root")
    for name, notebook, _ in DEMO:
        _check_outputs(folder / notebook, options.out, name)
    for number, (name, notebook, parameters) in enumerate(DEMO, 1):
        _run_and_write(folder / notebook, options.out, name, parameters, f"[{number}/{len(DEMO)}] ")
    if why := missing():
        _say_where(options.out / "index.html")
        say(f"For the whole book as a site: {why}")
    else:
        say("the site of the book ...")
        ran = {Path(notebook).stem: options.out / f"{name}.ipynb" for name, notebook, _ in DEMO}
        _build_site(options.out / "site", ran)


def _site(options: argparse.Namespace) -> None:
    from .book.site import missing, runs_of_the_book

    if why := missing():
        raise BadInput(why)
    ran = runs_of_the_book(options.reports)
    live = f"{len(ran)} chapters have live sliders, from {options.reports}"
    say(f"{live if ran else 'no chapter has live sliders: run make book first'} ...")
    _build_site(options.out, ran)


def _build_site(folder: Path, ran: dict[str, Path]) -> None:
    """Build the site with a small audit as its example, and say where it is."""
    from .audit import audit
    from .audit.page import audit_page
    from .book.site import build_site, check_folder

    check_folder(folder)
    arms = "MTL;Fine-Tuning;Uncertainty"
    found = audit("dial", arms, seeds=5, steps=200, progress=False, say=lambda _: None)
    _say_where(build_site(folder, ran, audit_page(found)))


def _book(options: argparse.Namespace) -> None:
    from .book.kernels import PreloadedKernel, ThisPythonKernel, start_preloading
    from .book.report import fast_parameters, keep_outputs

    if options.fast and options.keep:
        raise BadInput("--keep with --fast: keep the outputs of a whole run alone")
    notebooks = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise BadInput("notebooks/ is missing; run this in the repository's root")
    for notebook in notebooks:
        _check_outputs(notebook, options.out, notebook.stem)
    if options.fast:
        start_preloading()
    kernels = PreloadedKernel if options.fast else ThisPythonKernel
    for number, notebook in enumerate(notebooks, 1):
        given = fast_parameters(notebook) if options.fast else {}
        count = f"[{number}/{len(notebooks)}] "
        executed = _run_and_write(notebook, options.out, notebook.stem, given, count, kernels)
        if options.keep:
            keep_outputs(notebook, executed)
    _say_where(options.out / "index.html")


def _run(options: argparse.Namespace) -> None:
    name = options.name or options.notebook.stem
    if Path(name).name != name:
        raise BadInput(f"--name {name!r}: give a plain name; the folder is --out")
    if name == "index" or name.endswith(".failed"):
        raise BadInput(f"--name {name!r}: that is kept for another file; give another name")
    _check_outputs(options.notebook, options.out, name)
    from .book.parameters import parse_literal  # loads pandas

    parameters = {key: parse_literal(text) for key, text in options.parameter}
    _run_and_write(options.notebook, options.out, name, parameters)
    _say_where(options.out / f"{name}.html")


def _results(options: argparse.Namespace) -> None:
    import contextlib
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    import torch

    from . import __version__
    from .study import reproduce
    from .study.nulls import keep_null
    from .study.stored import KEPT, check_folder, keep

    cases = [name.removesuffix("-small") for name in options.case]  # what a plain name is
    for name in cases:
        if name not in reproduce.CASES:
            raise BadInput(f"unknown case {name!r}; {suggestion(name, reproduce.CASES)}")
    if options.workers < 1:
        raise BadInput(f"--workers {options.workers}: must be 1 or more")
    for option in ("file", "steps", "seeds"):
        if getattr(options, option) is not None and options.out is None:
            raise BadInput(
                f"--{option} needs --out FOLDER: what comes with the package is of its own data, "
                "steps and runs"
            )
    own = {} if options.steps is None else {"steps": options.steps}
    kept = options.out or KEPT
    if kept.resolve() == options.parts.resolve():
        raise BadInput(f"--out and --parts are both {kept}; give two folders")
    for name in cases or reproduce.KEPT:
        check_folder(kept / name)
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
            study = reproduce.run_case(
                name,
                options.seeds,
                options.parts / name,
                executor,
                options.file,
                device=options.device,
                **own,
            )
        if name in reproduce.NULLS:
            say(keep_null(study, kept / f"{name}.json"))
            continue
        preset = name.partition("-")[2] or "small"
        about = {"case": name, "preset": preset, "version": __version__}
        if not options.file:
            about["probe"] = reproduce.probe_case(name)
        folder = keep(study, kept / name, **about)
        columns = ["method", "alpha", "mean", "harmed", "helped", "undecided", "not_learned"]
        columns.append("negative_per_run")
        say(*study.counts()[columns].to_string(index=False, na_rep="").split("\n"), folder)


def _check_outputs(notebook: Path, folder: Path, name: str) -> None:
    """Check all paths that `_run_and_write` will write, before the first notebook runs."""
    from .book import report

    names = (f"{name}.ipynb", f"{name}.failed.ipynb", f"{name}.html", "index.html")
    for each in names:
        report.check_writable(folder / each, notebook)


def _run_and_write(
    notebook: Path,
    folder: Path,
    name: str,
    parameters: dict[str, Any],
    count: str = "",
    kernels: type[ThisPythonKernel] | None = None,
) -> NotebookNode:
    from .book import report

    words = "".join(f" {key}={value}" for key, value in parameters.items())
    say(f"{count}{notebook}{words} ...")
    start = time.monotonic()
    out = folder / f"{name}.ipynb"
    executed = report.run_notebook(notebook, out, kernels or report.ThisPythonKernel, **parameters)
    page = folder / f"{name}.html"
    there = "replaces " if page.exists() else ""
    report.write_page(out, page)
    report.write_index(folder)
    say(f"{' ' * len(count)}{there}{page} in {time.monotonic() - start:.0f} s")
    if denied := len(report.denied_claims(executed)):
        say(
            f"{' ' * len(count)}{denied} sentence{'s' if denied > 1 else ''} of its text "
            f"do{'' if denied > 1 else 'es'} not hold with these parameters; the page says which"
        )
    return executed


def _say_where(page: Path) -> None:
    say(f"Open {page} in a browser.")


def _datasets(options: argparse.Namespace) -> None:
    from .datasets import ABOUT, DATASETS, PANELS, SOURCES, local_copy

    for name, load in DATASETS.items():
        about = (inspect.getdoc(load) or "").partition("\n")[0]
        known = [_describe_option(p) for p in inspect.signature(load).parameters.values()]
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
            found = local_copy(source)
            lines.append(f"file: {source.url} ({size}{source.checksum})")
            lines.append("      not fetched" if found is None else f"      there: {found}")
        say(f"{name:10} {lines[0]}", *(f"{'':10} {line}" for line in lines[1:]))


def _fetch(options: argparse.Namespace) -> None:
    from .datasets import DATASETS, SOURCES, fetch

    if options.name not in DATASETS:
        raise BadInput(f"unknown dataset {options.name!r}; {suggestion(options.name, DATASETS)}")
    sources = SOURCES.get(options.name, ())
    for source in sources:
        found = fetch(source, instead=f" ({source.checksum})")
        say(f"{found} ({source.checksum})")
    if not sources:
        say(f"{options.name} needs no download")


def _describe_option(parameter: inspect.Parameter) -> str:
    given = parameter.default
    return parameter.name if given is parameter.empty else f"{parameter.name}={given!r}"


COMMANDS = {
    "report": _report_on_table,
    "judge": _judge_scores,
    "fit": _fit_plan,
    "predict": _predict_rows,
    "demo": _demo,
    "book": _book,
    "run": _run,
    "site": _site,
    "results": _results,
    "datasets": _datasets,
    "fetch": _fetch,
}
