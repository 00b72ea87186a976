"""The candidates of a tuned method, from which each run chooses by its validation rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import BadInput, is_finite_number
from ..networks import Recipe, generator, unknown_setting


class Candidate(NamedTuple):
    """One choice that a tuned method has: settings, task weights or an alpha."""

    settings: tuple[tuple[str, float], ...] = ()  # in place of the recipe's
    weights: tuple[float, ...] | None = None  # of the tasks
    alpha: float | None = None  # in place of the comparison's


def with_settings(recipe: Recipe, candidate: Candidate) -> Recipe:
    """The recipe with the candidate's settings in place of its own.

    >>> candidate = Candidate((("learning_rate", 0.01),))
    >>> with_settings(Recipe(trunk=(4,), steps=2), candidate).learning_rate
    0.01
    """
    settings: dict[str, Any] = dict(candidate.settings)
    return replace(recipe, **settings)


Search = Callable[[int, int, Recipe], list[Candidate]]
"""A function (trials, tasks, recipe) -> candidates."""


def check_candidates(candidates: Any, tasks: int, recipe: Recipe, where: str) -> None:
    """Check what a search of somebody's own gives.

    Args:
        candidates: what it gives.
        tasks: number of tasks.
        recipe: whose settings the candidates change.
        where: what the method is called in a message.

    Raises:
        BadInput: no candidate at all, something else than a `Candidate`, or a setting, weights or
            an alpha that cannot be used.

    >>> check_candidates([Candidate(weights=(1.0, 2.0))], 3, Recipe(), "Mine")
    Traceback (most recent call last):
    mtl_nt.errors.BadInput: Mine: a candidate of its search has 2 weights for 3 tasks; give one each
    """
    whole = isinstance(candidates, Sequence) and len(candidates) > 0
    if not whole or not all(isinstance(c, Candidate) for c in candidates):
        raise BadInput(
            f"{where}: its search gives {candidates!r:.40}; give a list of "
            "mtl_nt.study.search.Candidate"
        )
    of = f"{where}: a candidate of its search has"
    known = {f.name for f in fields(recipe)}
    for candidate in candidates:
        for name, _ in candidate.settings:
            if name not in known:
                raise BadInput(f"{of} an unknown setting {name!r}; {unknown_setting(name)}")
        with_settings(recipe, candidate)  # a value out of its range is refused there
        weights, alpha = candidate.weights, candidate.alpha
        if weights is not None and len(weights) != tasks:
            raise BadInput(f"{of} {len(weights)} weights for {tasks} tasks; give one each")
        if not all(map(is_finite_number, weights or ())):
            raise BadInput(f"{of} weights {weights!r:.40}; give finite numbers")
        if min(weights or (0,)) < 0:
            raise BadInput(f"{of} weights {weights!r:.40}; give numbers of 0 or more")
        if alpha is not None and not (is_finite_number(alpha) and alpha >= 0):
            raise BadInput(f"{of} alpha {alpha!r}; give a number, 0 or more")


def rate_candidates(trials: int, tasks: int, recipe: Recipe) -> list[Candidate]:
    """Candidates of learning rate and weight decay: the recipe's own, then random ones.

    The learning rate is log-uniform within a factor of 10 of the recipe's. The weight decay is
    log-uniform within a factor of 100 of the recipe's, or of 1e-4 where the recipe has none.

    >>> [len(c.settings) for c in rate_candidates(3, 2, Recipe(trunk=(4,), steps=2))]
    [0, 2, 2]
    """
    decay = recipe.weight_decay or 1e-4
    random = generator(0, "search")
    drawn = random.uniform(-1, 1, (trials - 1, 2))
    return [Candidate()] + [
        Candidate(
            (
                ("learning_rate", float(recipe.learning_rate * 10**rate)),
                ("weight_decay", float(decay * 100**decay_factor)),
            )
        )
        for rate, decay_factor in drawn
    ]


def weight_candidates(trials: int, tasks: int, recipe: Recipe) -> list[Candidate]:
    """Candidates of fixed task weights: all 1, then T softmax(z) with z standard normal.

    `weighters.RandomWeights` draws its weights in the same way.

    >>> weight_candidates(2, 3, Recipe(trunk=(4,), steps=2))[0].weights
    (1.0, 1.0, 1.0)
    """
    z = generator(0, "search").standard_normal((trials - 1, tasks))
    drawn = tasks * np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return [Candidate(weights=tuple(map(float, row))) for row in (np.ones(tasks), *drawn)]


def alpha_candidates(
    values: Sequence[float], trials: int, tasks: int, recipe: Recipe
) -> list[Candidate]:
    """One candidate for each of these values of alpha. The number of trials does not matter.

    >>> [c.alpha for c in alpha_candidates([0.1, 1], 8, 3, Recipe(trunk=(4,), steps=2))]
    [0.1, 1.0]
    """
    return [Candidate(alpha=float(value)) for value in values]
