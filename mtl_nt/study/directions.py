"""Whether lower or higher values of a metric are better: known by its name, or stated.

A direction is never guessed. Whoever brings scores by a metric that is in no list here states its
direction. A statement against a list is refused: most likely one of the two is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..errors import BadInput, suggestion
from ..training import LOWER_IS_BETTER
from ..training.original_units import R2_ORIGINAL

LOWER = (
    *sorted(LOWER_IS_BETTER),
    *("mean squared error", "RMSE", "root mean squared error", "RMSLE", "NRMSE"),
    *("MAE", "mean absolute error", "median absolute error", "MAPE", "SMAPE", "max error"),
    *("abs err", "absolute error", "rel err", "relative error", "abs rel", "sq rel"),
    *("error rate", "misclassification rate", "WER", "CER", "EER", "FPR", "FNR"),
    *("loss", "log loss", "cross entropy", "NLL", "negative log likelihood", "perplexity"),
    *("Brier", "Brier score", "ECE", "hinge loss", "Hamming loss", "zero-one loss", "FID"),
)
"""Metrics of which lower values are better: those of this package, and usual ones."""
HIGHER = (
    *("PR-AUC", "AUPRC", "AUC-PR", "average precision", "AP", "mAP"),
    *("macro PR-AUC", "macro average precision", "macro ROC-AUC"),
    *("ROC-AUC", "AUROC", "AUC-ROC", "AUC"),
    *("accuracy", "acc", "balanced accuracy", "top-1 accuracy", "top-5 accuracy"),
    *("precision", "recall", "sensitivity", "specificity", "TPR", "TNR"),
    *("F1", "F1 score", "macro F1", "micro F1", "MCC", "Matthews correlation"),
    *("kappa", "Cohen's kappa", "quadratic weighted kappa", "QWK"),
    *("R2", "R²", R2_ORIGINAL, "explained variance", "log likelihood"),
    *("Pearson", "Pearson r", "Spearman", "Spearman rho", "Kendall", "Kendall tau"),
    *("C-index", "concordance", "concordance index", "enrichment factor", "BEDROC"),
    *("IoU", "mIoU", "Dice", "pixel accuracy", "pix acc", "odsF", "maxF"),
    *("BLEU", "ROUGE", "METEOR", "NDCG", "MRR", "hit rate", "PSNR", "SSIM"),
)
"""Metrics of which higher values are better."""


def _plain(name: str) -> str:
    """A name without case, spaces and punctuation: "ROC-AUC" and "roc_auc" are one."""
    return re.sub(r"[\W_]+", "", name.replace("²", "2").casefold())


UNBOUNDED = {_plain(name) for name in ("log likelihood", "enrichment factor", "PSNR")}
"""Of the metrics in `HIGHER`, those that may be above 1 in any unit."""
SIGNED = {_plain(name) for name in ("loss", "NLL", "negative log likelihood", "cross entropy")}
"""Of the metrics in `LOWER`, those that may be below 0."""
PREFIX = re.compile(r"^(test|val|valid|validation|eval|dev)[\W_]+", re.IGNORECASE)
"""What scikit-learn and trackers of experiments put before a metric's name."""
Directions = bool | str | Iterable[str] | Mapping[str, bool] | None
"""How a caller states the directions of metrics (see `parse_directions`)."""
MOST_NAMED = 5  # names at most that a message lists
_KNOWN = {_plain(n): names is LOWER for names in (LOWER, HIGHER) for n in names}


def _is_known_lower(metric: str) -> bool | None:
    """What the lists say of a name; None where it is in none of them.

    >>> _is_known_lower("test_roc_auc"), _is_known_lower("neg_mean_squared_error")
    (False, False)
    """
    for name in (_plain(metric), _plain(PREFIX.sub("", metric))):
        if name in _KNOWN:
            return _KNOWN[name]
        if name.startswith("neg") and _KNOWN.get(name.removeprefix("neg")):
            return False  # scikit-learn's errors, with their sign turned
    return None


def is_never_negative(metric: str) -> bool:
    """Whether it is an error that cannot be below 0, by its name.

    >>> is_never_negative("RMSE"), is_never_negative("neg_RMSE"), is_never_negative("NLL")
    (True, False, False)
    """
    name = _plain(PREFIX.sub("", metric))
    return bool(_KNOWN.get(name)) and name not in SIGNED


def is_at_most_one(metric: str) -> bool:
    """Whether it is a share, or the like, that is at most 1 (or 100 in percent), by its name.

    >>> is_at_most_one("ROC-AUC"), is_at_most_one("PSNR")
    (True, False)
    """
    name = _plain(PREFIX.sub("", metric))
    return _KNOWN.get(name) is False and name not in UNBOUNDED


def is_lower_better(metric: str, stated: Mapping[str, bool] | None = None) -> bool:
    """Whether lower values of a metric are better.

    Case, spaces and punctuation of a known name do not matter: "roc_auc" is "ROC-AUC".

    Args:
        metric: a name that is in `LOWER`, in `HIGHER` or in `stated`.
        stated: for further metrics, whether lower values are better.

    Raises:
        BadInput: an unknown name that is not stated, or a known one that is stated otherwise.

    >>> is_lower_better("RMSE"), is_lower_better("roc_auc")
    (True, False)
    >>> is_lower_better("my loss", {"my loss": True})
    True
    >>> is_lower_better("my loss")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: metric 'my loss': is lower or higher better? Say ...
    """
    known, said = _is_known_lower(metric), (stated or {}).get(metric)
    if known is None and said is None:
        name = metric[:40]
        raise BadInput(
            f"metric {name!r}: is lower or higher better? Say --better '{name}=lower' or higher "
            f"(in Python lower_is_better={{{name!r}: True}} or False)"
        )
    if known is not None and said is not None and known != said:
        words = {True: "lower", False: "higher"}
        raise BadInput(
            f"metric {metric[:40]!r}: {words[said]} is said to be better, but of a metric of this "
            f"name {words[known]} is; rename yours if it is another"
        )
    return bool(said if known is None else known)


def parse_directions(said: Any, metrics: Collection[str]) -> dict[str, bool]:
    """The directions that a caller states, for those of these metrics that need one.

    Args:
        said: None; True or False, for all metrics; the names of metrics of which lower is better;
            or True or False by name. A list does not speak of the metrics that it leaves out.
        metrics: the metrics that there are.

    Raises:
        BadInput: a metric whose direction is neither known nor stated; a name that is none of the
            metrics; a statement against a known name.

    >>> parse_directions(["my loss"], ["RMSE", "my loss"])
    {'my loss': True}
    >>> parse_directions(False, ["RMSE"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: metric 'RMSE': higher is said to be better, but ...
    """
    names = [said] if isinstance(said, str) else said
    if said is None:
        stated = {}
    elif isinstance(said, bool):
        stated = dict.fromkeys(metrics, said)
    elif isinstance(said, Mapping):
        stated = dict(said)
    elif isinstance(names, Iterable):
        stated = dict.fromkeys(names, True)
    else:
        stated = {"": said}
    for name, lower in stated.items():
        if not isinstance(lower, bool):
            raise BadInput(
                f"lower_is_better {said!r:.60}: give True or False, one for all metrics or by name"
            )
        if name not in metrics:
            raise BadInput(
                f"lower_is_better names {str(name)[:40]!r}, which is no metric here; "
                f"{hint(name, metrics)}"
            )
    for metric in metrics:
        is_lower_better(metric, stated)
    return {name: lower for name, lower in stated.items() if _is_known_lower(name) is None}


def hint(name: object, known: Iterable[str]) -> str:
    """What a message says after an unknown name, as `tasks.suggestion` does, but never at length.

    >>> hint("x", [f"metric {k}" for k in range(20)])
    'known: metric 0, metric 1, metric 2, metric 3, metric 4, and 15 more'
    """
    names = [str(each)[:30] for each in known]
    said = suggestion(name, names)
    if said.startswith("known") and len(names) > MOST_NAMED:
        said = f"known: {', '.join(names[:MOST_NAMED])}, and {len(names) - MOST_NAMED} more"
    return said
