"""The command line: `python -m mtl_nt demo | run | datasets`."""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from .tasks import BadInput

DEMO: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("01_negative_transfer", "01_negative_transfer.ipynb", {}),
    ("02_lbtw_digits", "02_lbtw.ipynb", {"dataset": "digits"}),
    ("02_lbtw_mnist", "02_lbtw.ipynb", {"dataset": "mnist"}),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says. Returns the exit status: 2 is bad input, 130 Ctrl-C."""
    try:
        from .report import NotebookFailed

        options = _parser().parse_args(arguments)
        options.command(options)
    except BadInput as error:
        print(f"mtl_nt: {error}", file=sys.stderr)
        return 2
    except NotebookFailed as error:
        print(f"mtl_nt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mtl_nt: stopped", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m mtl_nt", description="Reports on negative transfer.")
    commands = parser.add_subparsers(required=True, metavar="demo | run | datasets")

    demo = commands.add_parser("demo", help="run the first two notebooks, a few minutes")
    demo.add_argument("--out", default="reports", type=Path, help="folder (default: reports)")
    demo.set_defaults(command=_demo)

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

    datasets = commands.add_parser("datasets", help="list the data sets and their options")
    datasets.set_defaults(command=_datasets)
    return parser


def _demo(options: argparse.Namespace) -> None:
    folder = Path("notebooks")
    for _, notebook, _ in DEMO:
        if not (folder / notebook).is_file():
            raise BadInput(f"{folder / notebook} is missing; run this in the repository's root")
    for number, (name, notebook, parameters) in enumerate(DEMO, 1):
        _report(folder / notebook, options.out, name, parameters, f"[{number}/{len(DEMO)}] ")
    _look(options.out / "index.html")


def _run(options: argparse.Namespace) -> None:
    name = options.name or options.notebook.stem
    if Path(name).name != name:
        raise BadInput(f"--name {name!r}: give a plain name; the folder is --out")
    parameters = {key: _value(text) for key, text in options.parameter}
    _report(options.notebook, options.out, name, parameters)
    _look(options.out / f"{name}.html")


def _report(
    notebook: Path, folder: Path, name: str, parameters: dict[str, Any], count: str = ""
) -> None:
    from . import report

    words = "".join(f" {key}={value}" for key, value in parameters.items())
    print(f"{count}{notebook}{words} ...", flush=True)
    start = time.monotonic()
    executed = folder / f"{name}.ipynb"
    report.run(notebook, executed, **parameters)
    page = report.page(executed, folder / f"{name}.html")
    report.index(folder)
    print(f"{' ' * len(count)}{page} in {time.monotonic() - start:.0f} s", flush=True)


def _look(page: Path) -> None:
    print(f"Open {page} in a browser.")


def _value(text: str) -> Any:
    """A number, True, False, None or a list as Python writes it; anything else is text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _datasets(options: argparse.Namespace) -> None:
    from .datasets import DATASETS

    for name, load in DATASETS.items():
        about = (inspect.getdoc(load) or "").partition("\n")[0]
        known = [_option(p) for p in inspect.signature(load).parameters.values()]
        print(f"{name:10} {about}\n{'':10} options: {', '.join(known)}")


def _option(parameter: inspect.Parameter) -> str:
    given = parameter.default
    return parameter.name if given is parameter.empty else f"{parameter.name}={given!r}"


if __name__ == "__main__":
    sys.exit(main())
