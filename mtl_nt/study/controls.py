"""Controls of a weighting method: methods that have its weights, but not what the weights know.

`permuted` gives them to other tasks, and `frozen` takes away their movement over time. Where a
control does as well as the method, the method's gain is not owed to what the control lacks.
`shuffled` permutes in every batch, which hurts by itself; so it is never the only control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..errors import BadInput
from ..weighters import Permuted, Shuffled, Weighter
from .factories import WeighterArguments, WeighterFactory
from .method import Method
from .methods import resolve_methods


def permuted(method: Method | str) -> Method:
    """The method, whose weights go to other tasks, by one permutation for each run.

    Raises:
        BadInput: an unknown method, or one without weights that differ between tasks.

    >>> permuted("LBTW").name
    'LBTW, permuted'
    """
    return _wrapped(method, "permuted", Permuted)


def shuffled(method: Method | str) -> Method:
    """The method, whose weights are permuted anew among the tasks in every batch.

    Raises:
        BadInput: an unknown method, or one without weights that differ between tasks.

    >>> shuffled("LBTW").name
    'LBTW, shuffled'
    """
    return _wrapped(method, "shuffled", Shuffled)


def frozen(method: Method | str) -> Method:
    """The method, whose weights are frozen at their mean over a training.

    Every network is trained twice from the same start. The first training is the method's own, and
    each task's weight is averaged over its steps with a label. The second has these weights from
    the first step to the last. Every run, alpha and candidate has its own.

    Raises:
        BadInput: an unknown method, or one without weights that differ between tasks.

    >>> frozen("LBTW").name, frozen("LBTW").trained(tasks=9)
    ('LBTW, frozen', 2)
    """
    method = _weighting(method)
    return replace(method, name=f"{method.name}, frozen", frozen=True)


def _wrapped(method: Method | str, what: str, control: Callable[[Weighter], Weighter]) -> Method:
    method = _weighting(method)
    name = f"{method.name}, {what}"
    return replace(method, name=name, weighter=partial(_controlled, control, method.weighter))


def _controlled(
    control: Callable[[Weighter], Weighter], make: WeighterFactory, arguments: WeighterArguments
) -> Weighter:
    return control(make(arguments))


def _weighting(method: Method | str) -> Method:
    """The method, if it weighs tasks."""
    method = method if isinstance(method, Method) else resolve_methods([method])[0]
    if method.predictor is not None or method.weighter is Method.weighter:
        raise BadInput(f"{method.name!r} gives every task the weight 1; give a weighting method")
    if method.frozen:
        raise BadInput(f"the weights of {method.name!r} are frozen already; give its plain form")
    return method
