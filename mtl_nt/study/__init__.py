"""Comparisons of methods on one data set, and what follows from them.

- `comparison` trains methods on the same runs: `compare`. Its result is a `Study` (`study`).
- `transfer` has the statistical tests, and the counts of tasks that are harmed or helped.
- `methods` says what each method trains. `search` has the candidates of the tuned ones.
- `chunks` divides the training of a method into chunks of networks, and `jobs` runs them, here or
  in other processes. `progress` shows how far they are. `scoring` turns them into tables.
- `result_store` keeps finished results on disk. `schema` checks everything that is read from JSON.
- `reproduce` lists the case studies of the papers, and `stored` reads their kept results.
- `cures` has the methods of the table of causes and cures, `affinity` the angles between tasks'
  gradients, and `linear` the methods without networks. `spreadsheets` writes tables as CSV.

This room uses the training, the data sets and all that is below them.
"""

from .affinity import TRAINING_STAGES, gradient_affinity
from .chunks import train
from .comparison import compare, parse_alphas, parse_seeds
from .methods import (
    CONSTANT,
    METHODS,
    STL,
    TRUNK,
    Method,
    WeighterArguments,
    make_replicas,
    methods_at_widths,
    plain,
    resolve_methods,
    swept,
    tuned,
    twin,
    with_alpha,
    with_target,
    with_weights,
)
from .reproduce import CASES, CURES
from .schema import (
    FiniteFloat,
    NonNegativeInt,
    StudyTables,
    UniqueNames,
    equal_lengths,
    load_json,
    satisfies,
)
from .spreadsheets import safe_csv
from .stored import keep, stored
from .study import Study
from .transfer import SIGNIFICANCE_LEVEL, paired_test, runs_needed

__all__ = [
    "CASES",
    "CONSTANT",
    "CURES",
    "FiniteFloat",
    "METHODS",
    "Method",
    "NonNegativeInt",
    "SIGNIFICANCE_LEVEL",
    "STL",
    "Study",
    "StudyTables",
    "TRAINING_STAGES",
    "TRUNK",
    "UniqueNames",
    "WeighterArguments",
    "compare",
    "equal_lengths",
    "gradient_affinity",
    "keep",
    "load_json",
    "make_replicas",
    "methods_at_widths",
    "paired_test",
    "parse_alphas",
    "parse_seeds",
    "plain",
    "resolve_methods",
    "runs_needed",
    "safe_csv",
    "satisfies",
    "stored",
    "swept",
    "train",
    "tuned",
    "twin",
    "with_alpha",
    "with_target",
    "with_weights",
]
