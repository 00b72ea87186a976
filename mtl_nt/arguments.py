"""The arguments of the command line: which commands there are, and which options each takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from .errors import BadInput


def parser() -> argparse.ArgumentParser:
    """The parser of the command line. Its result has the name of the command in `command`.

    >>> options = parser().parse_args(["report", "my_tasks.csv", "--budget", "5min"])
    >>> options.command, options.source, options.budget
    ('report', 'my_tasks.csv', '5min')
    """
    top = _Parser(prog="python -m mtl_nt", description="Reports on negative transfer.")
    known = "report | judge | fit | predict | demo | book | site | run | results | datasets | fetch"
    commands = top.add_subparsers(required=True, metavar=known)
    _add_report(commands)
    _add_judge(commands)
    _add_fit(commands)

    demo = commands.add_parser("demo", help="run the first three notebooks, a few minutes")
    demo.add_argument("--out", default="reports", type=Path, help="folder (default: reports)")
    demo.set_defaults(command="demo")

    book = commands.add_parser("book", help="run all notebooks and write a page of each")
    book.add_argument("--out", default="reports", type=Path, help="folder (default: reports)")
    book.add_argument("--fast", action="store_true", help="with a few steps each, to see it run")
    book.add_argument("--keep", action="store_true", help="write the outputs into notebooks/, too")
    book.set_defaults(command="book")

    site = commands.add_parser("site", help="build the book as a site, with search; needs [book]")
    site.add_argument("--out", default="site", type=Path, help="folder (default: site)")
    runs = "executed notebooks, which have live sliders (default: reports)"
    site.add_argument("--reports", default="reports", type=Path, help=runs)
    site.set_defaults(command="site")

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
    run.set_defaults(command="run")

    results = commands.add_parser("results", help="train a paper's case study, whole, and keep it")
    results.add_argument("case", nargs="*", help="by default all that come with the package")
    results.add_argument("--out", type=Path, help="folder (default: the package's own)")
    results.add_argument("--parts", default="reports/parts", type=Path, help="what is finished")
    results.add_argument("--seeds", type=_seeds, help="how many runs, or which: 100,101")
    results.add_argument("--file", type=Path, help="a table of your own in place of the case's")
    results.add_argument("--steps", type=int, help="another budget, to try it out")
    results.add_argument("--workers", default=1, type=int, help="processes (default: 1)")
    results.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    results.set_defaults(command="results")

    datasets = commands.add_parser("datasets", help="list the data sets, options and files")
    datasets.set_defaults(command="datasets")

    fetch = commands.add_parser("fetch", help="download the files of a data set and check them")
    fetch.add_argument("name", help="of the data set")
    fetch.set_defaults(command="fetch")
    return top


def _add_report(commands: argparse._SubParsersAction) -> None:
    """Add the command `report`."""
    report = commands.add_parser(
        "report", help="which of your tasks training together harms, and what helps: one page"
    )
    report.add_argument("source", help="a table (.csv, .tsv, .parquet) or a data set's name")
    report.add_argument("--out", type=Path, help="the page (default: SOURCE.html, here)")
    _add_reading(report)
    report.add_argument("--methods", help="names with semicolons or commas (default: most)")
    report.add_argument("--alphas", help="numbers with commas (default: 0,0.1,0.25,0.5,1)")
    report.add_argument("--seeds", help="how many runs, or which: 100,101 (default: 5)")
    report.add_argument("--steps", type=_whole_number, help="optimiser steps a network")
    report.add_argument("--budget", help="of time: 90s, 5min, 2h; what does not fit is left out")
    report.add_argument("--margin", help='what matters to you: 0.02, or "PR-AUC=0.02,MSE=0.05"')
    report.add_argument("--plan", type=Path, help="write the plan per task here, as JSON")
    report.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    report.add_argument("--results", type=Path, help="keep what is finished here, and go on")
    report.add_argument("--json", action="store_true", help="print the findings as JSON")
    report.set_defaults(command="report")


def _add_fit(commands: argparse._SubParsersAction) -> None:
    """Add the commands `fit` and `predict`."""
    fit = commands.add_parser("fit", help="train a plan on all rows, and keep its networks")
    fit.add_argument("source", help="the table, or the data set, that the plan is of")
    fit.add_argument("--plan", type=Path, required=True, help="what report --plan wrote")
    fit.add_argument("--out", type=Path, help="a folder (default: SOURCE.fitted, here)")
    _add_reading(fit)
    fit.add_argument("--seed", type=_whole_number, default=0, help="of the training (default: 0)")
    fit.add_argument("--steps", type=_whole_number, help="optimiser steps of each network")
    fit.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    fit.set_defaults(command="fit")

    predict = commands.add_parser("predict", help="predict the rows of a new table")
    predict.add_argument("fitted", type=Path, help="the folder that fit wrote")
    predict.add_argument("source", type=Path, help="a table with the same feature columns")
    predict.add_argument(
        "--out", type=Path, help="a CSV file (default: SOURCE.predictions.csv, here)"
    )
    predict.set_defaults(command="predict")


def _add_reading(report: argparse.ArgumentParser) -> None:
    """Add the options that say how a table is read."""
    report.add_argument("--targets", help='columns to predict: "y_*", or names with commas')
    report.add_argument("--features", help="columns to predict from (default: all others)")
    report.add_argument("--smiles", help="a column of molecules, in place of features")
    report.add_argument("--group", help="a column: rows of one group are never split")
    report.add_argument(
        "--split",
        help="a column that says train, validation or test; or random (default), scaffold, "
        "time:COLUMN, group:COLUMN",
    )
    report.add_argument("--ignore", help="columns to leave out")
    report.add_argument("--regression", help="targets of few values that are numbers, not classes")
    report.add_argument("--classes", help="targets whose texts or numbers are classes")
    report.add_argument("--folds", type=_whole_number, help="of the rows (default: 5)")
    report.add_argument("--weights", help="a column that says how much each row counts")
    report.add_argument(
        "--class-weight", help='"balanced": labels of rare classes weigh more in the training'
    )
    _add_answers(report)


def _add_answers(report: argparse.ArgumentParser) -> None:
    """Add the options that answer what the reading of a table may ask."""
    report.add_argument("--log", help='targets to read as logarithms: "y_*", or names with commas')
    report.add_argument(
        "--missing",
        help='values that mean "no value": --missing=-999,ND, or "age=9" for one column',
    )
    report.add_argument(
        "--keep", help="columns that are right as they are, whatever they look like"
    )
    report.add_argument("--decimal", help='the decimal mark, "." or "," (default: what rows show)')
    report.add_argument(
        "--min-positives",
        type=_whole_number,
        help="leave out targets of 0 and 1, or of classes, whose rarest class has fewer labels",
    )
    report.add_argument(
        "--apart", help="salts, stereo or both: may be in other folds than the molecule itself"
    )
    report.add_argument("--yes", action="store_true", help="read as guessed, and do not ask")


def _add_judge(commands: argparse._SubParsersAction) -> None:
    """Add the command `judge`."""
    judge = commands.add_parser(
        "judge", help="which tasks are harmed or helped, by scores of your own: one page"
    )
    judge.add_argument(
        "source", help="a table (.csv, .tsv, .parquet): method, seed, task, value; see the README"
    )
    judge.add_argument("--out", type=Path, help="the page (default: SOURCE.html, here)")
    judge.add_argument("--baseline", help="the method to compare with (default: STL)")
    judge.add_argument("--twin", help="the method that is the baseline, trained again")
    judge.add_argument("--metric", help="its name, or the one that judges tasks that have several")
    judge.add_argument(
        "--better", help='lower or higher, where no name says it; or "loss A=lower,gain B=higher"'
    )
    judge.add_argument("--margin", help='what matters to you: 0.02, or "RMSE=0.02,R2=0.01"')
    shared = judge.add_mutually_exclusive_group()
    shared.add_argument("--folds", type=_whole_number, help="of the cross-validation, if it is one")
    shared.add_argument("--overlap", type=float, help="test rows / training rows of other splits")
    judge.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    judge.set_defaults(command="judge")


class _Parser(argparse.ArgumentParser):
    """A parser that raises `BadInput` where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def _seeds(text: str) -> Any:
    """A number of runs, or a list of seeds."""
    from .book.parameters import parse_literal  # loads pandas

    value = parse_literal(text)
    return list(value) if isinstance(value, tuple) else value
