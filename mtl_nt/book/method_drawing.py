"""What a method trains, as a picture: its networks, and the rows of its weight matrix W."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets import Group, load
from ..errors import BadInput, printable
from ..figures.drawing import GREY, INK, method_styles
from ..networks import Recipe
from ..study import Method, WeighterArguments, make_replicas, resolve_methods, train
from ..study.method import make_weighter
from ..training import Replicas
from ..weighters import (
    AMTFL,
    DWA,
    LBTW,
    MGDA,
    RMTL,
    UAMTFL,
    CAGrad,
    Fixed,
    GradNorm,
    NashMTL,
    PCGrad,
    RandomWeights,
    Step,
    Uncertainty,
    Weighter,
)
from .svg import LINE, MARGIN, SIZE, WIDTH, Canvas, Drawing, ink_on

PALE = "#D0D0D0"
TASKS = {"A": "#3b75af", "B": "#5aa9d6", "C": "#a8326e"}
"""The tasks of `methods_drawn`, with the colours of the playground's three tasks."""
PAPERS = ("STL", "MTL", "RMTL", "Fine-Tuning", "GradNorm", "Deep-AMTFL", "U-AMTFL")
NETWORKS = {
    "one": "One network for all tasks.",
    "each": "One network for each task, trained on all tasks.",
    "single": "One network for each task, trained on this task alone.",
}
PRETRAINED = "One network for each task, trained twice. Its trunk is handed on."
STAGES = ("First: the other tasks", "Then: the network's own task")
LEARNED: dict[type[Weighter], tuple[str, str]] = {
    RMTL: (
        "cos",
        "cos is how far a task's gradient agrees with that of the network's own task, and 0 if it "
        "does not.",
    ),
    LBTW: ("w", "w follows (L / L₀)^α, the loss divided by its reference."),
    GradNorm: ("w", "w moves until the tasks' gradient norms reach their targets."),
    PCGrad: ("w", "w counts what is left of each gradient without its conflicts with others."),
    MGDA: ("w", "w makes the mean of the tasks' gradients as short as it can be."),
    CAGrad: ("w", "w is larger for tasks that the mean gradient serves badly."),
    NashMTL: ("w", "w is what the tasks agree on if they bargain for the step."),
    Uncertainty: ("w", "w follows exp(−s). The task learns s, the log variance of its noise."),
    DWA: ("w", "w is larger where the loss fell more slowly over the last two epochs."),
    RandomWeights: ("w", "w is drawn anew for every batch."),
    UAMTFL: ("w", "w follows (1 + α |a|) exp(−s): a is what the task offers, s its log variance."),
    AMTFL: ("w", "w = 1 + α |a|, where a is what the task offers to all tasks."),
}
"""The symbol of a weight that changes during training, and what it is."""
DECODER = "A decoder rebuilds the shared features from the outputs."
MEASURED = {
    "trunk_gradient_norms": "Gradient norms are measured at the last shared layer (framed).",
    "trunk_gramian": "Gradients are compared at the last shared layer (framed).",
    "head_gradients": "Gradients are compared at the heads (framed).",
}
"""What a weighter can read of a `Step`, and where that is measured."""


def methods_drawn(methods: str | Method | Sequence[str | Method] = PAPERS) -> Drawing:
    """The networks of each method on three tasks, and beside them the rows of W.

    Each method is trained for a few steps. A weight that did not move is drawn as its number, and
    one that moved as a symbol. What the weighter read in its steps is framed, where it is a
    gradient.

    Args:
        methods: names or methods that have networks.

    Raises:
        BadInput: an unknown method, or one without networks.

    >>> methods_drawn(["STL", "GradNorm"])
    STL: One network for each task, trained on this task alone. Every loss weighs 1. The rows of W \
are 1 0 0, 0 1 0, 0 0 1. GradNorm: One network for all tasks. w moves until the tasks' gradient \
norms reach their targets. Gradient norms are measured at the last shared layer (framed). The row \
of W is w w w.

    Sources: R. Caruana, Multitask Learning, Machine Learning 28, 1997, for trunk and heads; the
    papers of the methods in `weighters`.
    """
    chosen = resolve_methods(methods)
    for method in chosen:
        if method.predictor is not None:
            raise BadInput(f"{method.name!r} has no networks to draw; give a method that has some")
    canvas, styles = Canvas(), method_styles(method.name for method in chosen)
    canvas.title("Each method is a weight matrix W: one row per network, one column per task.")
    said = []
    for method in chosen:
        seen = _tried(method)
        said.append(f"{printable(method.name)}: {seen.words} {seen.rows_in_words}")
        _draw_method(canvas, method.name, seen, styles[method.name].colour)
    _draw_key(canvas)
    return canvas.drawing(" ".join(said))


class _Stage(NamedTuple):
    """The networks of one training, and the entries of W as they are written."""

    replicas: Replicas
    entries: list[list[str]]  # [R][T]


class _Tried(NamedTuple):
    """What a few steps of a method have shown."""

    stages: list[_Stage]  # one, or two with a pretraining
    read: set[str]  # what the weighter computed of its steps
    decodes: bool
    words: str

    @property
    def rows_in_words(self) -> str:
        """The rows of W of the last training."""
        rows = ", ".join(" ".join(row) for row in self.stages[-1].entries)
        return f"The rows of W are {rows}." if "," in rows else f"The row of W is {rows}."


class _Recorder:
    """The method `after` of a weighter, which also keeps what the step showed, and its weights.

    A copy of the weighter, with which a training makes its checks, records nothing.
    """

    def __init__(
        self, weighter: Weighter, read: set[str], steps: list[Float[Tensor, "R T"]]
    ) -> None:
        self.weighter, self.read, self.steps = weighter, read, steps

    def __call__(self, step: Step, weights: Float[Tensor, "R T"]) -> None:
        type(self.weighter).after(self.weighter, step, weights)
        self.read.update(vars(step))  # a property that was computed is among them
        self.steps.append(torch.where(step.labelled, weights, math.nan))

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., object]:
        return partial(type(self.weighter).after, copy.deepcopy(self.weighter, memo))


def _tried(method: Method) -> _Tried:
    """Train a method for a few steps on three small tasks, and watch."""
    made: list[Weighter] = []
    trainings: list[list[Float[Tensor, "R T"]]] = []  # W of every step
    read: set[str] = set()

    def watched(arguments: WeighterArguments) -> Weighter:
        weighter = make_weighter(method, arguments)
        steps: list[Float[Tensor, "R T"]] = []
        vars(weighter)["after"] = _Recorder(weighter, read, steps)
        made.append(weighter)
        trainings.append(steps)
        return weighter

    tasks = len(TASKS)
    data = load("dial", groups=[Group("task", tasks, samples=8)])
    # Two batches are an epoch of a network of all tasks. Some weighters need dropout.
    recipe = Recipe(trunk=(4,), steps=8, batch_size=4 * tasks, dropout=0.1)
    tried, seeds = replace(method, weighter=watched), range(4)
    train(tried, [data] * len(seeds), seeds, recipe, alphas=[0.5], trials=2)
    # Some weighters were only looked at. Of a frozen one, the moving weights are left, whose means
    # are the frozen ones.
    trainings = [steps for steps in trainings if steps]
    final = make_replicas(method, alphas=1, seeds=[0], tasks=tasks)
    symbol, words = _words(method, made[0])
    stages = [_stage(final, trainings[int(method.pretrain) :: 1 + method.pretrain], symbol)]
    if method.pretrain:
        others = replace(final, trained=~final.trained)
        stages.insert(0, _stage(others, trainings[::2], symbol))
    used = {e for stage in stages for row in stage.entries for e in row}
    if symbol not in used:
        words = "Every loss weighs 1." if used <= {"0", "1"} else "No weight changes."
    if method.settings.get("loss") == "softmax":
        words = "The loss is one cross-entropy over all tasks."
    networks = PRETRAINED if method.pretrain else NETWORKS[method.networks]
    networks += f" {DECODER}" if made[0].decodes else ""
    where = [said for name, said in MEASURED.items() if name in read]
    return _Tried(stages, read, made[0].decodes, " ".join([networks, words, *where]))


def _words(method: Method, weighter: Weighter) -> tuple[str, str]:
    """The symbol of a weight that moves, and what it is."""
    if method.frozen:
        return "w", "w is the task's mean weight in a training before."
    if isinstance(weighter, Fixed):
        return "w", "w is chosen on validation rows."
    kind = next((k for k in type(weighter).__mro__ if k in LEARNED), None)
    own = "w", f"w is what {type(weighter).__name__} gives in each step."
    return LEARNED[kind] if kind else own


def _stage(
    replicas: Replicas, trainings: Sequence[Sequence[Float[Tensor, "R T"]]], symbol: str
) -> _Stage:
    """The entries of W: a number where all steps and runs have the same, else the symbol."""
    several = [w.unflatten(0, (-1, len(replicas))) for steps in trainings for w in steps]
    # A stack of networks of one task each has one column.
    seen = torch.where(replicas.trained, torch.cat(several), math.nan)
    low, high = seen.nan_to_num(nan=math.inf).amin(0), seen.nan_to_num(nan=-math.inf).amax(0)
    cells = zip(replicas.trained.flatten(), low.flatten(), high.flatten(), strict=True)
    written = [("0" if not t else f"{a:.3g}" if a == b else symbol) for t, a, b in cells]
    tasks = replicas.trained.shape[1]
    return _Stage(replicas, [written[k : k + tasks] for k in range(0, len(written), tasks)])


HEADS, ROW, CELL = 27.0, 27.0, 44.0  # between heads; height and width of an entry of W
FOOT = 56.0  # from the top of a trunk to the number of the network
LEFT, RIGHT = 24.0, 300.0  # where the networks and W begin


def _draw_method(canvas: Canvas, name: str, seen: _Tried, colour: str) -> None:
    """Draw the name, the sentences, the networks and W of one method."""
    top = canvas.y
    canvas.group("method", name)
    canvas.name(name, x=LEFT, size=17)
    canvas.paragraph(seen.words, x=LEFT)
    canvas.y += 8
    trunks, labels = [], []
    for stage in seen.stages:
        labels.append(canvas.y + SIZE)
        canvas.y += LINE if len(seen.stages) > 1 else 0
        bottom = _draw_weights(canvas, stage, colour)
        trunks.append(_draw_networks(canvas, stage, seen, colour))
        canvas.y = max(bottom, trunks[-1] + (FOOT if len(stage.replicas) > 1 else 40)) + 14
    canvas.group("beside", "")
    if len(seen.stages) > 1:
        for centre in _centres(len(seen.stages[0].replicas)):
            x = centre - 26
            canvas.arrow(x, trunks[0] + 38, x, trunks[1] - 2, colour, 2.5, "handed-on")
        for y, words in zip(labels, STAGES, strict=True):
            canvas.text(LEFT, y, words, bold=True, halo=True)
    canvas.rect(MARGIN - 4, top, 5, canvas.y - top - 8, fill=colour, rx=2.5)
    canvas.y += 16


def _centres(networks: int) -> list[float]:
    """Where networks stand beside each other."""
    between = (RIGHT - LEFT) / networks
    return [LEFT + between * (r + 0.5) for r in range(networks)]


def _draw_networks(canvas: Canvas, stage: _Stage, seen: _Tried, colour: str) -> float:
    """Draw the networks of one training, and return the top of their trunks."""
    alone, top = len(stage.replicas) == 1, canvas.y + 4
    framed_layer = bool(seen.read & {"trunk_gradient_norms", "trunk_gramian"})
    framed_heads = "head_gradients" in seen.read
    heads = top + 12 + (38 if seen.decodes else 0)
    trunk = heads + 32
    for r, centre in enumerate(_centres(len(stage.replicas))):
        half, between = (70.0, 50.0) if alone else (39.0, HEADS)
        centre -= 45 if alone and (framed_layer or seen.decodes) else 0
        names = [n for t, n in enumerate(TASKS) if stage.replicas.trained[r, t]]
        canvas.group("network", "".join(names))
        for k, task in enumerate(names):
            x = centre + (k - (len(names) - 1) / 2) * between
            entry = stage.entries[r][[*TASKS].index(task)]
            dashes = {} if _is_number(entry) else {"stroke-dasharray": "4 3"}
            canvas.line(x, heads, x, trunk, TASKS[task], 2.5, **dashes)
            if seen.decodes:
                canvas.arrow(x, heads - 11, x, top + 25, TASKS[task], 2, "offered")
            _draw_head(canvas, x, heads, task, framed_heads)
        for k, y in enumerate((trunk, trunk + 20)):
            frame = {"stroke": INK, "stroke-width": 3} if framed_layer and not k else {}
            name = "last-shared" if k == 0 else "shared"
            canvas.rect(centre - half, y, 2 * half, 16, fill=colour, rx=4, cls=name, **frame)
        if not alone:
            canvas.text(centre, trunk + FOOT - 2, str(r + 1), anchor="middle", fill=GREY)
        side = centre + half
        if framed_layer:
            canvas.line(side + 3, trunk + 8, side + 16, trunk + 8, INK, 1.5)
            canvas.text(side + 20, trunk + 4, "gradients")
            canvas.text(side + 20, trunk + 22, "measured")
        if seen.decodes:
            canvas.rect(
                centre - half, top, 2 * half, 24, fill="white", stroke=INK, rx=4, cls="decoder"
            )
            canvas.text(centre, top + 17, "decoder", anchor="middle")
            canvas.path(
                f"M{side} {top + 12} C{side + 42} {top + 12} {side + 42} {trunk + 8} "
                f"{side + 10} {trunk + 8}",
                INK,
                2,
                **{"stroke-dasharray": "4 3"},
            )
            canvas.head_of_arrow(side + 2, trunk + 8, math.pi, INK, 9)
            canvas.text(side + 40, heads - 2, "rebuilds")
            canvas.text(side + 40, heads + 16, "features")
    return trunk


def _draw_head(canvas: Canvas, x: float, y: float, task: str, framed: bool = False) -> None:
    """Draw the head of a task as a circle with its letter."""
    frame = {"stroke": INK, "stroke-width": 3} if framed else {}
    canvas.circle(x, y, 11, fill=TASKS[task], cls="head", **frame)
    canvas.text(x, y + 5.5, task, anchor="middle", bold=True, fill=ink_on(TASKS[task]))


def _draw_weights(canvas: Canvas, stage: _Stage, colour: str) -> float:
    """Draw the rows of W as a grid, and return where it ends."""
    canvas.group("weights", "")
    top = canvas.y
    right = WIDTH - MARGIN - CELL * len(TASKS)
    canvas.text(right - 6, top + 16, "W", anchor="end", bold=True)
    for t, task in enumerate(TASKS):
        canvas.text(
            right + CELL * (t + 0.5), top + 16, task, anchor="middle", bold=True, fill=TASKS[task]
        )
    for r, row in enumerate(stage.entries):
        y = top + 24 + ROW * r
        canvas.group("row", str(r + 1))
        if len(stage.entries) > 1:
            canvas.text(right - 7, y + ROW / 2 + 5.5, str(r + 1), anchor="end", fill=GREY)
        for t, entry in enumerate(row):
            learned = not _is_number(entry)
            zero = entry == "0"
            fill = "white" if zero or learned else colour
            edge = {"stroke": PALE if zero else colour, "stroke-width": 1.5}
            edge |= {"stroke-dasharray": "4 3"} if learned else {}
            x = right + CELL * t
            canvas.rect(x + 1.5, y + 1.5, CELL - 3, ROW - 3, fill=fill, rx=3, cls="entry", **edge)
            ink = GREY if zero else INK if learned else ink_on(colour)
            canvas.text(x + CELL / 2, y + ROW / 2 + 5.5, entry, anchor="middle", fill=ink)
    return top + 24 + ROW * len(stage.entries)


def _draw_key(canvas: Canvas) -> None:
    """Say what the shapes are."""
    canvas.group("key", "")
    y = canvas.y + 10
    canvas.rect(LEFT, y - 9, 30, 8, fill=GREY, rx=3)
    canvas.rect(LEFT, y + 2, 30, 8, fill=GREY, rx=3)
    canvas.text(LEFT + 38, y + 5, "trunk, the layers that all tasks share")
    y += 28
    canvas.circle(LEFT + 15, y, 11, fill=GREY)
    canvas.text(LEFT + 38, y + 5, "head, a layer that one task has for itself")
    y += 28
    canvas.line(LEFT, y, LEFT + 30, y, INK, 2.5)
    canvas.text(LEFT + 38, y + 5, "the loss has a fixed weight")
    y += 28
    canvas.line(LEFT, y, LEFT + 30, y, INK, 2.5, **{"stroke-dasharray": "4 3"})
    canvas.text(LEFT + 38, y + 5, "the weight changes in training")
    canvas.y = y + 18


def _is_number(entry: str) -> bool:
    return entry[:1] in "-.0123456789"
