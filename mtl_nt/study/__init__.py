"""Comparisons of methods on one data set, and what follows from them.

- `comparison` trains methods on the same runs: `compare`. Its result is a `Study` (`study`).
  `resplits` sees where runs split the same rows. `scaled_rows` knows rows again that are scaled
  anew, and `twin_rows` those that an imputer, bins or a transformer has changed a little.
- `pieces` trains one method on some runs, for whoever joins a study in an order of their own.
- `own_scores` makes a `Study` of scores that somebody else has trained, which `score_table` reads.
  `directions` says of which metrics lower values are better, `fold_names` knows folds by what a
  table calls them, and `score_doubts` refuses scores that cannot be.
- `transfer` has the statistical tests, and `variance` the variances that they rest on. `verdicts`
  tests every task of a study, `counts` counts the tasks that a method harms and helps, `overall`
  has means over tasks, and `nulls` what chance does to a count. `arms` has the key of their rows.
- `method` says what a method trains, and `factories` how it makes its weighter. `methods` has those
  of the papers by name, and `search` the candidates of the tuned ones.
  `own_methods` checks the methods that are not the package's own, with `lasting`, which knows what
  a training leaves behind, and `predictions` what a predictor gives.
- `chunks` divides the training of a method into chunks of networks, and `jobs` runs them, here or
  in other processes. `progress` shows how far they are. `scoring` turns them into tables.
- `result_store` keeps finished results on disk, and `identity` says whether a method is still the
  one that they are of. `outside` finds what a method reads from files. `schema` checks everything
  that is read from JSON.
- `reproduce` lists the case studies of the papers, and `stored` reads their kept results.
- `task_plan` chooses a method for each task, and says what the choice is worth. `plan_file` keeps a
  plan as a file that people may edit. `fitted_plan` trains it on all rows, and `fitted_files` keeps
  what was trained.
- `sharing` trains groups and pairs of tasks, and finds groups from the pairs.
- `controls` turns a weighting method into its controls.
- `cures` has the methods of the table of causes and cures, `affinity` the angles between tasks'
  gradients at the last shared layer, and `linear` and `trees` the methods without networks.
  `spreadsheets` writes tables as CSV.

This room uses the training, the data sets and all that is below them.
"""

from .affinity import ENOUGH_COMMON_LABELS, TRAINING_STAGES, Affinity, gradient_affinity
from .chunks import train
from .comparison import compare, parse_alphas, parse_seeds
from .controls import frozen, permuted, shuffled
from .factories import WeighterArguments, plain, with_alpha, with_target, with_weights
from .fitted_files import check_fitted, load_plan
from .fitted_plan import FittedPlan, fit_plan
from .method import Method, make_replicas
from .methods import (
    CONSTANT,
    METHODS,
    STL,
    TRUNK,
    methods_at_widths,
    resolve_methods,
    swept,
    tuned,
    twin,
)
from .own_scores import studies_from_scores
from .plan_file import is_plan, plan_json, read_plan
from .reproduce import CASES, CURES
from .schema import (
    FiniteFloat,
    NonNegativeInt,
    StudyTables,
    UniqueNames,
    ValidationTable,
    empty_table,
    equal_lengths,
    load_json,
    satisfies,
)
from .sharing import add_sharing, best_grouping, train_sets
from .spreadsheets import safe_csv
from .stored import keep, stored, stored_stops
from .study import Study
from .task_plan import TaskPlan, arm_words, task_plan
from .transfer import (
    NOT_LEARNED,
    SAME,
    SIGNIFICANCE_LEVEL,
    VERDICTS,
    half_interval,
    is_better,
    paired_test,
    runs_needed,
    standard_errors,
)
from .verdicts import groups_of, has_one_unit, sizes_of

__all__ = [
    "Affinity",
    "CASES",
    "CONSTANT",
    "CURES",
    "ENOUGH_COMMON_LABELS",
    "FiniteFloat",
    "FittedPlan",
    "METHODS",
    "Method",
    "NOT_LEARNED",
    "NonNegativeInt",
    "SAME",
    "SIGNIFICANCE_LEVEL",
    "STL",
    "Study",
    "StudyTables",
    "TRAINING_STAGES",
    "TaskPlan",
    "TRUNK",
    "UniqueNames",
    "ValidationTable",
    "VERDICTS",
    "WeighterArguments",
    "add_sharing",
    "arm_words",
    "best_grouping",
    "check_fitted",
    "compare",
    "empty_table",
    "equal_lengths",
    "fit_plan",
    "frozen",
    "gradient_affinity",
    "groups_of",
    "half_interval",
    "has_one_unit",
    "is_better",
    "is_plan",
    "keep",
    "load_json",
    "load_plan",
    "make_replicas",
    "methods_at_widths",
    "paired_test",
    "parse_alphas",
    "parse_seeds",
    "permuted",
    "plain",
    "plan_json",
    "read_plan",
    "resolve_methods",
    "runs_needed",
    "safe_csv",
    "satisfies",
    "shuffled",
    "sizes_of",
    "standard_errors",
    "stored",
    "stored_stops",
    "studies_from_scores",
    "swept",
    "task_plan",
    "train",
    "train_sets",
    "tuned",
    "twin",
    "with_alpha",
    "with_target",
    "with_weights",
]
