"""Whether lower or higher values of a metric are better: known by its name, or stated.

A direction is never guessed. Whoever brings scores by a metric that is in no list here states its
direction. A statement against a list is refused: most likely one of the two is a mistake.

A name is known only where it is spelled as in a list: case, blanks, underscores and hyphens between
its words do not matter. Any other sign may turn the direction, as in "-NLL", "1 - AUC" or "ΔMSE",
so such a name is unknown. Two spellings say more:

- An arrow, as in "RMSE ↓" or "quality ↑": higher is better with ↑, and lower with ↓. Where the
  arrow is against the name, as in "loss ↑", nothing is known.
- scikit-learn's "neg_" before an error, as in "neg_mean_squared_error": higher is better.
"""

from __future__ import annotations

import re
import unicodedata
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


WORD = r"[^\W_]+"
BETWEEN = r"(?:[\s_]|[./'’]\s?|:\s|[-\u2010\u2011\u2013])"  # a hyphen, but no minus and no " - "
NAME = re.compile(
    rf"{WORD}(?:{BETWEEN}{WORD})*(?: ?\({WORD}(?: {WORD})*\))?(?: ?[(\[]?%[)\]]?)?\.?"
)
"""A name of nothing but words, with words or % in brackets at its end."""
UP, DOWN = "↑⬆⇑", "↓⬇⇓"
ARROW = re.compile(rf"[{UP}{DOWN}]|\([{UP}{DOWN}]\)|\[[{UP}{DOWN}]\]")
"""What an author puts after a metric's name, or before it, to say which way is better."""
PREFIX = re.compile(
    r"^(?:test|val|valid|validation|eval|dev)(?:\s|[_./-]|:\s)(?=\w)", re.IGNORECASE
)
"""What scikit-learn and trackers of experiments put before a metric's name."""
NEGATED = "neg_"
"""What scikit-learn puts before an error of which the sign is turned."""


def _plain(name: str) -> str | None:
    """A name without case, blanks and hyphens; None where other signs are in it.

    >>> _plain("ROC-AUC"), _plain("roc_auc"), _plain("-AUC"), _plain("1 - AUC")
    ('rocauc', 'rocauc', None, None)
    """
    text = " ".join(unicodedata.normalize("NFKC", name).casefold().replace("r^2", "r2").split())
    return re.sub(r"[\W_]+", "", text) if NAME.fullmatch(text) else None


UNBOUNDED = {_plain(name) for name in ("log likelihood", "enrichment factor", "PSNR")}
"""Of the metrics in `HIGHER`, those that may be above 1 in any unit."""
SIGNED = {
    _plain(name)
    for name in (
        *("loss", "NLL", "negative log likelihood", "cross entropy"),
        *("R2", R2_ORIGINAL, "explained variance", "log likelihood", "PSNR", "SSIM"),
        *("MCC", "Matthews correlation", "kappa", "Cohen's kappa"),
        *("quadratic weighted kappa", "QWK", "Pearson", "Pearson r"),
        *("Spearman", "Spearman rho", "Kendall", "Kendall tau"),
    )
}
"""Of the metrics in the lists, those that may be below 0."""
LOG_LIKELIHOOD = re.compile(r"nll|likelihood|log.?lik|log.?prob|\belbo\b")
"""What is in the name of a logarithm of a probability, or of a density."""
Directions = bool | str | Iterable[str] | Mapping[str, bool] | None
"""How a caller states the directions of metrics (see `parse_directions`)."""
MOST_NAMED = 5  # names at most that a message lists
_KNOWN = {_plain(n): names is LOWER for names in (LOWER, HIGHER) for n in names}


def _is_known_lower(metric: str) -> bool | None:
    """What a name itself says, by the lists or by its arrow; None where it says nothing.

    >>> _is_known_lower("test_roc_auc"), _is_known_lower("neg_mean_squared_error")
    (False, False)
    >>> [_is_known_lower(name) for name in ("RMSE ↓", "quality ↑", "loss ↑", "-NLL", "1 - AUC")]
    [True, False, None, None, None]
    """
    name, arrow = _without_arrow(metric)
    known, negated = _known(name)
    listed = None if known is None else _KNOWN[known] != negated
    if arrow is not None and listed is not None and arrow != listed:
        return None
    return arrow if listed is None else listed


def _without_arrow(metric: str) -> tuple[str, bool | None]:
    """A name without the arrow at its end or at its start, and whether the arrow says lower.

    >>> _without_arrow("RMSE (↓)"), _without_arrow("↑ AUC"), _without_arrow("↑AUC↓")
    (('RMSE', True), ('AUC', False), ('↑AUC↓', None))
    """
    text = metric.replace("\ufe0f", "").strip()  # which makes a coloured picture of an arrow
    arrows = ARROW.findall(text)
    if len(arrows) != 1 or not (text.startswith(arrows[0]) or text.endswith(arrows[0])):
        return metric, None
    return text.replace(arrows[0], "").strip(), arrows[0].strip("()[]") in DOWN


def _known(name: str) -> tuple[str | None, bool]:
    """The name in the lists that is meant, or None, and whether scikit-learn has turned its sign.

    >>> _known("test_AUC"), _known("val_neg_RMSE"), _known("neg AUC")
    (('auc', False), ('rmse', True), (None, False))
    """
    for each in (name.strip(), PREFIX.sub("", name.strip())):
        if (plain := _plain(each)) in _KNOWN:
            return plain, False
        if each.casefold().startswith(NEGATED):
            error = _plain(each[len(NEGATED) :])
            if _KNOWN.get(error):
                return error, True
    return None, False


def side_of_zero(metric: str) -> int:
    """1 for a metric that is never below 0, by its name; -1 if never above; 0 for any other.

    >>> [side_of_zero(name) for name in ("RMSE", "AUC", "neg_RMSE", "NLL", "R2", "-RMSE")]
    [1, 1, -1, 0, 0, 0]
    """
    name, negated = _known(_without_arrow(metric)[0])
    if name is None or name in SIGNED or _is_known_lower(metric) is None:
        return 0
    return -1 if negated else 1


def negated_name(metric: str) -> str | None:
    """What scikit-learn calls a known error with its sign turned; None of any other.

    >>> negated_name("RMSE"), negated_name("test_MSE ↓"), negated_name("AUC")
    ('neg_RMSE', 'test_neg_MSE', None)
    """
    name = _without_arrow(metric)[0].strip()
    known, negated = _known(name)
    if known is None or negated or not _KNOWN[known]:
        return None
    start = PREFIX.match(name)
    front = start.group() if start and _plain(name) not in _KNOWN else ""
    return f"{front}{NEGATED}{name[len(front) :]}"


def is_at_most_one(metric: str) -> bool:
    """Whether it is a share, or the like, that is at most 1 (or 100 in percent), by its name.

    >>> is_at_most_one("ROC-AUC"), is_at_most_one("PSNR"), is_at_most_one("-AUC")
    (True, False, False)
    """
    name, _ = _known(_without_arrow(metric)[0])
    return _is_known_lower(metric) is False and _KNOWN.get(name) is False and name not in UNBOUNDED


def is_log_likelihood(metric: str) -> bool:
    """Whether it is a log likelihood or the like, of either sign, by its name.

    Another unit of the labels adds a number to it.

    >>> is_log_likelihood("test_NLL"), is_log_likelihood("log-likelihood"), is_log_likelihood("MAE")
    (True, True, False)
    """
    return bool(LOG_LIKELIHOOD.search(metric.casefold()))


def is_lower_better(metric: str, stated: Mapping[str, bool] | None = None) -> bool:
    """Whether lower values of a metric are better.

    Case, blanks and hyphens of a known name do not matter: "roc_auc" is "ROC-AUC". A name with a
    sign is another one: "-NLL" and "1 - AUC" need a statement, which is believed.

    Args:
        metric: a name that is in `LOWER`, in `HIGHER` or in `stated`, or that has an arrow.
        stated: for further metrics, whether lower values are better.

    Raises:
        BadInput: an unknown name that is not stated, or a known one (or an arrow) that is stated
            otherwise.

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
        option = "--better=" if name.startswith("-") else "--better "  # or it reads as an option
        raise BadInput(
            f"metric {name!r}: is lower or higher better? Say {option}'{name}=lower' or higher "
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
