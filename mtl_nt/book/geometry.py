"""Drawings of four ideas: room in a trunk, arrows that stretch, steps, angles between errors.

Each returns a `Drawing`, as those in `drawings` do, and draws the numbers that it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ..errors import BadInput
from ..figures.drawing import GREY, HARMS, INK
from ..networks import RandomStreams
from ..study import WeighterArguments, resolve_methods
from .svg import MARGIN, WIDTH, Canvas, Drawing, fitted

__all__ = ["errors_drawn", "room_drawn", "steps_drawn", "stretch_drawn"]

PALE, FIRST, OTHER = "#D0D0D0", "#3b75af", "#a8326e"
"""Lines of the background, and the playground's colours of the tasks alike and of the outsider."""
LEFT, BAR = 62.0, 62.0  # units: where the bars of `room_drawn` begin, and how wide a whole one is


def room_drawn(shares: Mapping[int, Sequence[float]], names: Sequence[str]) -> Drawing:
    """How much of each direction the hidden units of a trunk hold.

    Above, a sketch: two units span a plane, in which two directions lie, and from which a third one
    stands out. Below, one row per width. A bar is the share of a direction that lies in what the
    units span, which is the squared length of its shadow there. For directions at right angles, the
    shares add up to the number of units at most.

    Args:
        shares: for each width, the share of every direction, from 0 to 1.
        names: what the directions are; the first is the related tasks'.

    Raises:
        BadInput: no width, or a share too many, missing, or beyond 0 to 1.

    >>> room_drawn({2: [1.0, 0.9, 0.1], 3: [1.0, 1.0, 1.0]}, ["related", "A", "B"])
    Shares of each direction that the units hold. 2 units: related 1.00, A 0.90, B 0.10. 3 units: \
related 1.00, A 1.00, B 1.00.
    """
    if not shares or any(len(row) != len(names) for row in shares.values()):
        raise BadInput(f"room_drawn: give {len(names)} shares for one width or more")
    if not all(-1e-6 <= s <= 1 + 1e-6 for row in shares.values() for s in row):
        raise BadInput("room_drawn: a share is not between 0 and 1")
    canvas = Canvas()
    canvas.title("Each unit has room for one direction. What is left over keeps only a shadow.")
    _draw_plane(canvas)
    step = (WIDTH - LEFT - MARGIN) / len(names)
    canvas.text(MARGIN, canvas.y + 14, "units", fill=GREY)
    for k, name in enumerate(names):
        colour = OTHER if k else FIRST
        canvas.text(LEFT + step * k, canvas.y + 14, fitted(name, step - 6), fill=colour)
    canvas.y += 26
    for width, row in shares.items():
        canvas.group("width", str(width))
        canvas.text(MARGIN, canvas.y + 16, f"{width}", bold=True)
        for k, share in enumerate(row):
            x, colour = LEFT + step * k, OTHER if k else FIRST
            wide = min(BAR, step - 46)
            canvas.rect(x, canvas.y + 5, wide, 12, fill="#EEEEEE")
            canvas.rect(x, canvas.y + 5, wide * share, 12, fill=colour, cls="share")
            canvas.text(x + wide + 4, canvas.y + 16, f"{share:.0%}", size=13)
        canvas.y += 25
    canvas.y += 4
    canvas.paragraph("Bars: share of the direction that lies in what the units span.", fill=GREY)
    rows = (
        f"{w} units: " + ", ".join(f"{n} {s:.2f}" for n, s in zip(names, row, strict=True))
        for w, row in shares.items()
    )
    return canvas.drawing(f"Shares of each direction that the units hold. {'. '.join(rows)}.")


def _draw_plane(canvas: Canvas) -> None:
    """Two units as a plane, two directions in it, and one that stands on it at an angle."""
    top = canvas.y
    base = (150.0, top + 106)
    corners = [(20, 134), (250, 134), (330, 62), (100, 62)]
    outline = " ".join(f"{'L' if k else 'M'}{x} {top + y}" for k, (x, y) in enumerate(corners))
    canvas.path(outline + " Z", PALE, 1.5, fill="#F4F4F4")
    canvas.arrow(*base, 240.0, top + 116, FIRST, 2.5, "held")
    canvas.arrow(*base, 198.0, top + 70, OTHER, 2.5, "held")
    tip, shadow = (118.0, top + 6), (118.0, top + 98)
    dashed: dict[str, Any] = {"stroke-dasharray": "4 3"}
    pale: dict[str, Any] = {"stroke-opacity": "0.5"}
    canvas.line(*shadow, *tip, GREY, 1.2, **dashed)
    canvas.line(*base, *shadow, GREY, 4, **pale)
    canvas.arrow(*base, *tip, OTHER, 2.5, "left-over")
    canvas.text(245, top + 121, "related", fill=FIRST)
    canvas.text(203, top + 77, "outsider", fill=OTHER)
    canvas.text(128, top + 16, "another outsider, and its shadow", fill=OTHER)
    canvas.text(WIDTH - MARGIN - 118, top + 128, "what two", fill=GREY)
    canvas.text(WIDTH - MARGIN - 118, top + 146, "units span", fill=GREY)
    canvas.y = top + 168


def stretch_drawn(norms: tuple[float, float] = (1.0, 9.0), angle: float = 110.0) -> Drawing:
    """Two gradients and the step that they make, before and after GradNorm has weighed them.

    The weights add up to 2 and make both weighted gradients equally long. Each arrow keeps its
    direction. The step is the sum of the two.

    Args:
        norms: of the gradients of task A and task B, above 0.
        angle: between them, in degrees from 0 to 180.

    Raises:
        BadInput: a norm that is not above 0, or another angle.

    >>> stretch_drawn((1.0, 9.0), 110.0)
    Two gradients 110° apart. Weights 1 and 1: lengths 1 and 9, the step is 104° from A and 6° \
from B. Weights 1.8 and 0.2: lengths 1.8 and 1.8, the step is 55° from A and 55° from B.
    """
    if min(norms) <= 0 or not 0 <= angle <= 180:
        raise BadInput("stretch_drawn: give norms above 0 and an angle from 0 to 180 degrees")
    canvas, turned = Canvas(), math.radians(angle)
    canvas.title("A weight makes an arrow longer or shorter. It cannot turn it.")
    equal = 2 * norms[0] * norms[1] / sum(norms)  # the length at which the weights add up to 2
    said, top = [], canvas.y
    for k, weights in enumerate(((1.0, 1.0), (equal / norms[0], equal / norms[1]))):
        lengths = [w * n for w, n in zip(weights, norms, strict=True)]
        arrows = [(lengths[0], 0.0), (lengths[1] * math.cos(turned), lengths[1] * math.sin(turned))]
        step = (sum(x for x, _ in arrows), sum(y for _, y in arrows))
        scale = 88.0 / max(*lengths, math.hypot(*step))
        left, base = 92.0 + 240 * k, top + 122
        _draw_pair(canvas, (left, base), arrows, step, scale)
        name = "MTL" if k == 0 else "GradNorm, alpha 0"
        canvas.text(left - 74, top + 16, f"{name}", bold=True)
        told = f"weights {weights[0]:.3g} and {weights[1]:.3g}"
        canvas.text(left - 74, base + 26, told, fill=GREY)
        canvas.text(
            left - 74, base + 47, f"lengths {lengths[0]:.3g} and {lengths[1]:.3g}", fill=GREY
        )
        off = math.degrees(math.atan2(step[1], step[0]))
        said.append(
            f"{told.capitalize()}: lengths {lengths[0]:.3g} and {lengths[1]:.3g}, the step is "
            f"{off:.0f}° from A and {abs(angle - off):.0f}° from B."
        )
    canvas.y = top + 178
    canvas.paragraph("Each half has its own scale. The black arrow is the step, the sum of both.")
    return canvas.drawing(f"Two gradients {angle:g}° apart. {' '.join(said)}")


def _draw_pair(
    canvas: Canvas,
    at: tuple[float, float],
    arrows: Sequence[tuple[float, float]],
    step: tuple[float, float],
    scale: float,
) -> None:
    """The gradients of A and B from one point, and their sum."""
    (x, y), named = at, (("A", FIRST), ("B", OTHER))
    for (dx, dy), (name, colour) in zip(arrows, named, strict=True):
        end = x + scale * dx, y - scale * dy
        canvas.arrow(x, y, *end, colour, 2.5, "gradient")
        canvas.text(end[0] + (6 if dx > 0 else -16), end[1] + 4, name, fill=colour, bold=True)
    canvas.arrow(x, y, x + scale * step[0], y - scale * step[1], INK, 1.6, "step")


STEPS = ("MTL", "PCGrad", "CAGrad", "MGDA", "Nash-MTL")
"""The methods of `steps_drawn`: each sees the gradients' lengths and angles, or ignores them."""


def steps_drawn(
    gradients: tuple[tuple[float, float], tuple[float, float]] = ((2.0, 0.0), (-0.5, 0.75)),
    methods: Sequence[str] = STEPS,
    alpha: float = 0.5,
) -> Drawing:
    """The gradients of two tasks, and the direction of each method's step.

    All steps are drawn equally long, since the optimiser decides about their length. Below each
    stands how fast the step lowers the loss of either task: the part of the task's gradient that
    lies along the step.

    Args:
        gradients: of task A and task B, with two numbers each; neither is 0.
        methods: names of methods that need no more than the gradients' inner products.
        alpha: of the methods that have one.

    Raises:
        BadInput: a gradient of length 0, an unknown method, or a step of length 0.

    >>> steps_drawn(methods=["MTL", "Nash-MTL"])
    Two gradients 124° apart, of length 2 and 0.9. MTL: weights 1 and 1; A falls by 1.79, B by \
-0.11. Nash-MTL: weights 0.62 and 1.4; A falls by 0.94, B by 0.43.
    """
    pair = torch.tensor(gradients, dtype=torch.float64)
    norms = pair.norm(dim=1)
    if not bool((norms > 0).all()):
        raise BadInput("steps_drawn: a gradient has length 0, and so no direction")
    chosen = resolve_methods(methods)
    canvas = Canvas()
    canvas.title("Two tasks in conflict: how each method weighs them, and its step.")
    wide, top, said = (WIDTH - 2 * MARGIN) / 3, canvas.y, []
    for k, method in enumerate(chosen):
        w = _weights(method.weighter, pair, alpha)
        step = w @ pair
        if not bool(step.norm() > 1e-9):
            raise BadInput(f"steps_drawn: {method.name}'s step has length 0")
        step = step / step.norm()
        left, base = MARGIN + wide * (k % 3) + 0.36 * wide, top + 112 + 190 * (k // 3)
        scale = 0.58 * wide / float(norms.max())
        canvas.group("method", method.name)
        arrows = [(float(x), float(y)) for x, y in pair]
        ahead = (
            0.9 * float(norms.max()) * float(step[0]),
            0.9 * float(norms.max()) * float(step[1]),
        )
        _draw_pair(canvas, (left, base), arrows, ahead, scale)
        edge = MARGIN + wide * (k % 3) + 2
        canvas.text(edge, base - 92, fitted(method.name, wide - 8, bold=True), bold=True)
        canvas.text(edge, base + 24, f"weights {w[0]:.2g}, {w[1]:.2g}", fill=GREY)
        falls = [float(f) for f in pair @ step]
        for line, (name, fall) in enumerate(zip("AB", falls, strict=True)):
            colour = HARMS if fall < -5e-3 else INK
            word = f"{name} {'rises' if fall < -5e-3 else 'falls'} by {abs(fall):.2f}"
            canvas.text(edge, base + 44 + 19 * line, word, fill=colour)
        said.append(
            f"{method.name}: weights {w[0]:.2g} and {w[1]:.2g}; A falls by {falls[0]:.2f}, B by "
            f"{falls[1]:.2f}."
        )
    canvas.y = top + 190 * -(-len(chosen) // 3)
    canvas.paragraph(
        "Coloured: where the loss of each task falls, the longer, the faster. Black: the step, "
        "equally long for all methods."
    )
    cosine = float(pair[0] @ pair[1] / norms.prod())
    apart = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    return canvas.drawing(
        f"Two gradients {apart:.0f}° apart, of length {norms[0]:.2g} and {norms[1]:.2g}. "
        + " ".join(said)
    )


def _weights(weighter: Any, gradients: Tensor, alpha: float) -> Tensor:
    """The weights that a method gives to tasks with these gradients, `[T]`."""
    losses = torch.ones(1, len(gradients), dtype=torch.float64)
    made = weighter(WeighterArguments(alpha * losses[:, :1], torch.tensor([0]), losses))
    made.reset(losses)
    step = SimpleNamespace(
        losses=losses,
        labelled=losses > 0,
        trunk_gramian=(gradients @ gradients.T).unsqueeze(0),
        noise=RandomStreams([0], "weighter", losses),
    )
    weights: Tensor = made.weights(step)[0]
    return weights


def errors_drawn(
    features: Sequence[tuple[float, float]], errors: Mapping[str, Sequence[float]]
) -> Drawing:
    """The gradients of several heads as sums of arrows, and their angles to the first one.

    A row has two features, so it is an arrow. An error stretches this arrow, and turns it round
    where it is negative. The sum over the rows is the gradient of a head.

    Args:
        features: of every row.
        errors: task -> the error on every row; the first task is in focus.

    Raises:
        BadInput: no task, another number of errors than rows, or a gradient of length 0.

    >>> errors_drawn([(1, 0), (0, 1)], {"A": [1, 1], "B": [1, 0], "C": [-1, -1]})
    Gradients of the heads as sums of error times features. A: gradient (1, 1), in focus, weight \
1. B: gradient (1, 0), cosine +0.71, weight 0.71. C: gradient (-1, -1), cosine -1.00, weight 0.
    """
    if not errors or any(len(e) != len(features) for e in errors.values()):
        raise BadInput(f"errors_drawn: give {len(features)} errors for one task or more")
    parts = {
        task: [(e * x, e * y) for e, (x, y) in zip(values, features, strict=True)]
        for task, values in errors.items()
    }
    sums = {t: (sum(x for x, _ in p), sum(y for _, y in p)) for t, p in parts.items()}
    if min(math.hypot(*g) for g in sums.values()) < 1e-9:
        raise BadInput("errors_drawn: a gradient has length 0, and so no direction")
    canvas = Canvas()
    canvas.title("An error stretches a row's arrow. The sum is the gradient of the head.")
    everything = [p for part in parts.values() for p in part] + [*sums.values()]
    reach = max(max(abs(x), abs(y)) for x, y in everything)
    focus, *_ = sums.values()
    wide, top, said = (WIDTH - 2 * MARGIN) / len(sums), canvas.y, []
    half = min(62.0, wide / 2 - 14)
    for k, (task, (gx, gy)) in enumerate(sums.items()):
        x, y, colour = MARGIN + wide * (k + 0.5), top + 34 + half, OTHER if k else FIRST
        canvas.group("task", task)
        canvas.text(x, top + 16, fitted(task, wide - 8, bold=True), anchor="middle", bold=True)
        canvas.circle(x, y, half, fill="none", stroke=PALE)
        for px, py in parts[task]:
            if math.hypot(px, py) > 1e-9:
                end = x + half * px / reach, y - half * py / reach
                canvas.arrow(x, y, *end, "#9A9A9A", 1.4, "row")
        canvas.arrow(x, y, x + half * gx / reach, y - half * gy / reach, colour, 3, "gradient")
        cosine = (gx * focus[0] + gy * focus[1]) / (math.hypot(gx, gy) * math.hypot(*focus))
        weight = max(0.0, cosine) if k else 1.0
        told = f"cosine {cosine:+.2f}" if k else "in focus"
        canvas.text(x, y + half + 22, told, anchor="middle", fill=GREY)
        canvas.text(x, y + half + 43, f"weight {weight:.2g}", anchor="middle", bold=True)
        said.append(f"{task}: gradient ({gx:.3g}, {gy:.3g}), {told}, weight {weight:.2g}.")
    canvas.y = top + 2 * half + 90
    canvas.paragraph("Grey: one arrow for each row, error times features.", fill=GREY)
    return canvas.drawing(
        "Gradients of the heads as sums of error times features. " + " ".join(said)
    )
