"""The training loop, what it trains on, and what it leaves behind.

- `loop` trains a stack of networks for every method in one loop: `fit`.
- `batches` says which networks there are and draws their batches; `combined_table` holds the rows.
- `given` checks the shape of what a weighter gives. `watch` looks for slips of a weighter that is
  not the package's own. `alone` weighs one network a second time, as if it trained alone.
- `history` records losses and weights. `checkpoints` keeps the test predictions of the best moment.
- `metrics` scores predictions, those by the order of rows with `rankings`. `original_units` scores
  targets that are trained as logarithms. `spreads` makes scores of several metrics comparable.

This room uses the weighters, the networks and the ground.
"""

from .batches import BatchSampler, Replicas
from .checkpoints import (
    CHECKPOINTS,
    ROWS_AT_ONCE,
    Checkpoint,
    best_evaluations,
    group_means,
    mean_scores,
)
from .combined_table import LARGE_TABLE, CombinedTable
from .history import History
from .loop import (
    PRECISIONS,
    FitResult,
    Precision,
    Stopped,
    check_loss,
    fit,
    limited_threads,
    no_classes,
    predictions_by_group,
)
from .metrics import (
    AS_MEASURED,
    LOWER_IS_BETTER,
    R2,
    constant_outputs,
    metric_names,
    primary_metrics,
    scores,
)
from .spreads import has_several_metrics, in_spreads
from .watch import MIXES, REMEMBERS, Watch

__all__ = [
    "BatchSampler",
    "CHECKPOINTS",
    "Checkpoint",
    "CombinedTable",
    "FitResult",
    "History",
    "LARGE_TABLE",
    "AS_MEASURED",
    "LOWER_IS_BETTER",
    "MIXES",
    "PRECISIONS",
    "Precision",
    "R2",
    "REMEMBERS",
    "ROWS_AT_ONCE",
    "Replicas",
    "Stopped",
    "Watch",
    "best_evaluations",
    "check_loss",
    "constant_outputs",
    "fit",
    "group_means",
    "has_several_metrics",
    "in_spreads",
    "limited_threads",
    "mean_scores",
    "metric_names",
    "no_classes",
    "predictions_by_group",
    "primary_metrics",
    "scores",
]
