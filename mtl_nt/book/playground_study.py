"""The tasks of a playground as data, and a study that trains this package's networks on them.

The playground shows one run. The study has many, and so it says how much one run tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from ..networks import generator
from ..study import Method, Study, compare
from ..study.methods import CONSTANT, METHODS, STL, plain, twin, with_alpha
from ..tasks import Split, TaskData
from ..weighters import LBTW, Fixed
from .effects import Effect, by_group, effect
from .playground import PRESETS, changed

ALIKE = 10  # degrees of each of the two alike from their centre
GRID = 15  # test points along a side
LEARNING_RATE, BATCH = 0.03, 16
TASKS = ("alike 1", "alike 2", "outsider")


def played_study(
    settings: Mapping[str, Any], seeds: int | Sequence[int] = 8, **options: Any
) -> Study:
    """Train the networks of this package at the settings of a playground, with many seeds.

    Each run draws its own rows, noise and initial weights. Tasks, units, rows, steps, batches and
    optimiser are the playground's. Initial weights are the package's own. A scale s of the loss
    multiplies targets by the root of s. An error of 1 is as bad as guessing, at every scale.

    Args:
        settings: of a view of networks: `settings` of a widget, or of what `playground` returns.
        seeds: the number of runs, or a list of seeds. The playground's own seed is not used.
        options: more arguments of `mtl_nt.compare`, in place of the playground's.

    Raises:
        BadInput: settings of a view without networks, or what `compare` refuses.

    >>> from mtl_nt.book import playground
    >>> study = played_study(playground("outsider").settings, seeds=2, steps=2)
    >>> study.delta("MTL").columns.to_list()
    ['alike 1', 'alike 2', 'outsider']
    """
    if settings.get("view") not in ("network", "weights"):
        raise BadInput(
            "played_study: two tasks that share two weights have no network; give the "
            "settings of another preset, such as 'outsider'"
        )
    known = changed({**PRESETS["outsider"], "view": settings["view"]}, settings)
    given = {"progress": False, **options}
    return compare(
        partial(played_tasks, known), [played_method(known)], [known["alpha"]], seeds, **given
    )


def played_sentence(study: Study) -> str:
    """The sentence of the playground for all runs of a study, with 95% intervals over runs.

    >>> from mtl_nt.book import playground
    >>> study = played_study(playground("outsider").settings, seeds=2, steps=2)
    >>> played_sentence(study).partition("]")[0].partition("outsider is")[0]
    'Over 2 runs, the '
    """
    arm = [arm for arm in study.arms() if arm[0] != CONSTANT][-1]  # of STL alone, it is STL'
    delta = study.delta(*arm)
    told = {group: _told(effect(rows)) for group, rows in by_group(delta).items()}
    runs = f"{len(delta)} runs" + ", STL trained once more" * (arm[0] == twin(STL).name)
    return f"Over {runs}, the outsider is {told['outsider']}; the two alike are {told['alike']}."


def _told(gain: Effect) -> str:
    """A difference from training alone in words, such as "0.31 [0.20, 0.42] worse than alone"."""
    word, ends = ("worse", (-gain.high, -gain.low)) if gain.mean < 0 else ("better", gain[1:])
    low, high = (f"{end:z.2f}" for end in ends)
    return f"{abs(gain.mean):.2f} [{low}, {high}] {word} than alone"


def played_method(settings: Mapping[str, Any]) -> Method:
    """The method of a playground at its settings."""
    name = settings["method"]
    if name == "Fixed weights":
        weights = torch.tensor([[1.0, 1.0, settings["alpha"]]])
        return Method(name, plain(Fixed, weights=weights))
    if reference := {"first batch of all": "training", "moving average": "average"}.get(
        name.partition(", ")[2]
    ):
        return Method(name, with_alpha(LBTW, reference=reference), alpha=True)
    return METHODS[name]


def played_tasks(settings: Mapping[str, Any], seed: int) -> TaskData:
    """The three tasks of a playground, drawn with this seed, with the recipe that trains them."""
    random, rows = generator(seed, "data"), settings["rows"]
    angles = np.radians([90 - ALIKE, 90 + ALIKE, 90 - ALIKE - settings["angle"]])
    directions = np.array([np.cos(angles), np.sin(angles)])  # [2, T]
    side = np.linspace(-1, 1, GRID)
    x = random.uniform(-1, 1, (rows, 2))
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    truth = np.tanh(3 * grid @ directions)
    noisy = np.tanh(3 * x @ directions) + settings["noise"] * random.standard_normal((rows, 3))
    sizes = np.array([1.0, 1.0, math.sqrt(settings["scale"])])
    train, test = torch.arange(rows), torch.arange(rows, rows + len(grid))
    return TaskData(
        name="playground",
        x=_tensor(np.concatenate([x, grid])),
        y=_tensor(sizes * np.concatenate([noisy, truth])),
        tasks=TASKS,
        kind="regression",
        split=Split(train, train[:0], test, "new data"),
        provenance="drawn by mtl_nt (synthetic)",
        groups=("alike", "alike", "outsider"),
        unit=_tensor(sizes * truth.std(0)),
        standardise=False,  # a scale is one of the causes of harm
        recipe={
            **{"trunk": (settings["units"],), "activation": "tanh", "steps": settings["steps"]},
            **{"batch_size": min(BATCH, rows), "learning_rate": LEARNING_RATE},
            "schedule": "constant",
        },
        redraw=partial(played_tasks, settings),
        data_seed=seed,
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).float()
