"""Drawings of what is about to be used: methods, made-up tasks, digits, molecules.

Each function draws the objects that it is given, so a drawing says what the code does. The result
is a `Drawing`, an SVG with its alternative text (see `svg`). `methods_drawn` is in
`method_drawing`.

Colours: a method has its own (see `figures`), tasks and groups have those of the `playground`.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..bits import Bits
from ..datasets import SCENARIOS, Group, load
from ..errors import BadInput, printable, suggestion
from ..figures.drawing import GREY, INK
from ..tasks import TaskData
from .method_drawing import methods_drawn
from .svg import LINE, MARGIN, SIZE, WIDTH, Canvas, Drawing, fitted, wrapped

__all__ = ["Drawing", "digits_drawn", "directions_drawn", "methods_drawn", "molecule_drawn"]

PALE = "#D0D0D0"
FIELDS = {"tasks": "tasks", "rows": "samples", "noise": "noise", "scale": "scale", "angle": "angle"}
COLUMNS = [WIDTH - MARGIN - 58 * k for k in (4, 3, 2, 1, 0)]
GROUP_COLOURS = ("#3b75af", "#a8326e", "#6B4A2B", "#5C5C8A")


def directions_drawn(groups: str | Sequence[Group] = "unrelated") -> Drawing:
    """The target directions of `dial`, as arrows, with the table of its groups.

    Each group is drawn in the plane of its own direction and that of the first group. The tasks of
    an independent group have one plane each. In 16 dimensions, these planes share the first
    direction alone.

    Args:
        groups: a scenario's name, or the groups themselves.

    Raises:
        BadInput: an unknown scenario, or groups that `dial` refuses.

    >>> directions_drawn("dominant")
    Directions of the tasks. dominant: 10 tasks, 60 rows each, noise 0.3, scale 3, 0° from the \
first group, tasks 5° from the group's centre. outsider: 2 tasks, 60 rows each, noise 0.3, scale \
1, 90° from the first group, all tasks in one direction.
    """
    if isinstance(groups, str):
        if groups not in SCENARIOS:
            raise BadInput(f"unknown scenario {groups!r}; {suggestion(groups, SCENARIOS)}")
        groups = SCENARIOS[groups]
    load("dial", groups=groups)  # refuses what cannot be drawn
    first, *others = groups
    chosen = [replace(first, angle=0.0, independent=False), *others]  # the first has no other
    canvas, said = Canvas(), []
    canvas.title("Each arrow is what one task learns. Angles are measured from the first group.")
    for x, name in zip(COLUMNS, FIELDS, strict=True):
        canvas.text(x, canvas.y + 14, name, anchor="end", fill=GREY)
    canvas.y += 24
    most = {field: max(getattr(g, field) for g in chosen) for field in FIELDS.values()}
    turned = np.radians([g.angle + side * g.spread for g in chosen for side in (-1, 0, 1)])
    length = 86.0 if np.cos(turned).min() > -0.3 else 66.0  # so that they fit beside the table
    for k, group in enumerate(chosen):
        colour = GROUP_COLOURS[k % len(GROUP_COLOURS)]
        canvas.rect(MARGIN, canvas.y, WIDTH - 2 * MARGIN, 1, fill=PALE)
        canvas.group("group", group.name)
        top, below = canvas.y + 24, canvas.y + 52
        name = fitted(group.name, 160, bold=True)
        canvas.text(MARGIN, top, name, bold=True, fill=colour)
        for x, field in zip(COLUMNS, FIELDS.values(), strict=True):
            value, unit = getattr(group, field), "°" if field == "angle" else ""
            canvas.text(x, top, _short(value) + unit, anchor="end", bold=bool(unit), cls="number")
            wide = 0 if unit or not most[field] else 46 * value / most[field]
            canvas.rect(x - wide, top + 6, wide, 4, fill=colour, cls="bar")
        note = _spread_in_words(group)
        for line in wrapped(note, WIDTH - MARGIN - 190):
            canvas.text(190, below, line, fill=GREY)
            below += LINE
        reference = chosen[0].name if k else ""
        bottom = _draw_arrows(canvas, group, top + 14, length, colour, reference)
        canvas.y = max(below, bottom) + 8
        counted = "1 task" if group.tasks == 1 else f"{group.tasks} tasks"
        said.append(
            f"{printable(group.name)}: {counted}, {group.samples:,} rows each, noise "
            f"{_short(group.noise)}, scale {_short(group.scale)}, {_short(group.angle)}° from the "
            f"first group, {note}."
        )
    return canvas.drawing("Directions of the tasks. " + " ".join(said))


def _spread_in_words(group: Group) -> str:
    """How the tasks of a group stand to each other."""
    apart = math.degrees(math.acos(math.cos(math.radians(group.angle)) ** 2))
    if group.independent and group.tasks > 1:
        if group.spread:
            return f"tasks {_short(group.spread)}° from centres that are {apart:.3g}° apart"
        return f"tasks {apart:.3g}° from each other"
    if group.spread:
        return f"tasks {_short(group.spread)}° from the group's centre"
    return "all tasks in one direction" if group.tasks > 1 else "one direction"


def _draw_arrows(
    canvas: Canvas, group: Group, top: float, length: float, colour: str, reference: str
) -> float:
    """Draw a group's arrows beside the first direction, and return where they end.

    The planes of an independent group stand behind each other.
    """
    planes = group.tasks if group.independent else 1
    centre, spread = math.radians(group.angle), math.radians(group.spread)
    angles = centre + np.linspace(-spread, spread, group.tasks // planes)
    ends = np.array([0, centre - spread, centre + spread])
    right = min(10.0, 40 / max(planes - 1, 1))  # of the plane behind, and 0.6 times that below
    left = MARGIN + 4 + right * (planes - 1) - length * min(0.0, float(np.cos(ends).min()))
    base = top + 8 + 0.6 * right * (planes - 1) + length * max(0.0, float(np.sin(ends).max()))

    def tip(angle: float, radius: float, plane: int = 0) -> tuple[float, float]:
        x, y = left - right * plane, base - 0.6 * right * plane
        return x + radius * math.cos(angle), y - radius * math.sin(angle)

    def sector(start: float, stop: float, radius: float, plane: int = 0) -> str:
        (x, y), (x2, y2) = tip(start, radius, plane), tip(stop, radius, plane)
        flags = f"{int(abs(stop - start) > math.pi)} {int(stop < start)}"  # far way; clockwise
        return f"{x} {y} A{radius} {radius} 0 {flags} {x2} {y2}"

    for k in reversed(range(planes)):
        origin = tip(0, 0, k)
        if reference:
            first = PALE if k else GROUP_COLOURS[0]
            canvas.arrow(*origin, *tip(0, length, k), first, 1.5, "first")
        if spread:
            fan = sector(centre - spread, centre + spread, length - 4, k)
            area = f"M{origin[0]} {origin[1]} L{fan} Z"
            canvas.path(area, "none", 0, fill=colour, **{"fill-opacity": "0.15"})
        for angle in angles:
            canvas.arrow(*origin, *tip(float(angle), length, k), colour, 2, "direction")
    if reference and centre:
        canvas.path(f"M{sector(0, centre, 26)}", INK, 1.5)
    bottom = base - length * min(0.0, float(np.sin(ends).min())) + 6
    if reference:
        canvas.text(left, bottom + 14, fitted(reference, 140), fill=GROUP_COLOURS[0])
        bottom += 20
    return bottom


def _short(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:.4g}"


def digits_drawn(data: TaskData) -> Drawing:
    """One training image of each class, with the number of training images of the class.

    Args:
        data: images `[N, 1, H, W]` or `[N, H, W]` with one binary task per class, such as
            `load("digits")` or `load("mnist")`.

    Raises:
        BadInput: rows that are no images, or a task that is not binary.

    >>> from mtl_nt import load
    >>> digits_drawn(load("digits"))
    One training image of each class of digits. Training images: digit 0 100, digit 1 90, digit 2 \
80, digit 3 70, digit 4 60, digit 5 50, digit 6 40, digit 7 30, digit 8 20, digit 9 10.
    """
    where = f"data set {data.name!r}"
    if isinstance(data.x, Bits) or data.x.ndim not in (3, 4) or data.x[0].numel() == 0:
        raise BadInput(f"{where}: its rows are no images; give load('digits') or load('mnist')")
    if data.x.ndim == 4 and data.x.shape[1] != 1:
        raise BadInput(f"{where}: its images have {data.x.shape[1]} channels; give grey ones")
    if not bool(data.binary.all()):
        raise BadInput(f"{where}: a task is no class; give binary tasks alone")
    train = data.split.train
    rows = [train[data.y[train, t] == 1] for t in range(len(data.tasks))]
    counts, most = [len(r) for r in rows], max(len(r) for r in rows)
    low, high = float(data.x.min()), float(data.x.max())
    canvas, columns, side = Canvas(), 5, 72.0
    canvas.title("One training image of each class, and how many there are.")
    cell = (WIDTH - 2 * MARGIN) / columns
    for t, task in enumerate(data.tasks):
        x = MARGIN + cell * (t % columns) + (cell - side) / 2
        canvas.group("class", task)
        canvas.text(x + side / 2, canvas.y + 14, fitted(task, cell - 4), anchor="middle")
        y = canvas.y + 21
        pixels = data.x[rows[t][0]].reshape(data.x.shape[-2:])
        canvas.image(x, y, side, (pixels - low) / (high - low or 1.0))
        canvas.rect(x, y, side, side, fill="none", stroke=PALE)
        y += side + 8
        canvas.rect(x, y, side, 5, fill="#EEEEEE")
        canvas.rect(x, y, side * counts[t] / most, 5, fill=INK, cls="bar")
        canvas.text(x + side / 2, y + 23, f"{counts[t]:,}", anchor="middle", bold=True, cls="count")
        if t % columns == columns - 1 or t == len(data.tasks) - 1:
            canvas.y = y + 42
    told = ", ".join(f"{printable(t)} {n:,}" for t, n in zip(data.tasks, counts, strict=True))
    return canvas.drawing(
        f"One training image of each class of {printable(data.name)}. Training images: {told}."
    )


SHOWN = 24  # assays of a molecule, at most
OUTCOMES = {1.0: "active", 0.0: "inactive", None: "not measured"}
NO_RDKIT = "The molecule is not drawn, since RDKit is missing: pip install 'mtl_nt[chem]'"


def molecule_drawn(smiles: str, labels: Mapping[str, float | None]) -> Drawing:
    """A molecule, and what its assays say of it.

    Without RDKit, one line in the place of the molecule says what is missing.

    Args:
        smiles: the molecule.
        labels: of each assay 1 (active) or 0 (inactive). None or NaN is not measured.

    Raises:
        BadInput: a SMILES that RDKit cannot read, no label at all, or another value.

    >>> molecule_drawn("CC(=O)Oc1ccccc1C(=O)O", {"NR-AR": 0, "SR-ARE": 1, "SR-p53": None})
    CC(=O)Oc1ccccc1C(=O)O is active in 1 of 2 assays; 1 more did not measure it. NR-AR: inactive. \
SR-ARE: active. SR-p53: not measured.

    Source: a molecule is drawn by RDKit (https://www.rdkit.org).
    """
    if not isinstance(smiles, str) or not smiles.strip():
        raise BadInput(f"molecule_drawn: smiles {smiles!r:.60}: give the SMILES of a molecule")
    if not isinstance(labels, Mapping) or not labels:
        raise BadInput("molecule_drawn: no labels; give {'name of an assay': 1, 0 or None, ...}")
    outcomes = {str(assay): _outcome(assay, value) for assay, value in labels.items()}
    values = [*outcomes.values()]
    active, measured = values.count(1.0), len(values) - values.count(None)
    canvas, shown = Canvas(), dict([*outcomes.items()][:SHOWN])
    found = f"active in {active} of {measured} {'assay' if measured == 1 else 'assays'}"
    if not measured:
        found = "not measured in any assay"
    elif measured < len(values):
        found += f"; {len(values) - measured} more did not measure it"
    canvas.title(f"This molecule is {found}.")
    molecule = _molecule(smiles, 216, 200)
    left, top = (240.0 if molecule is not None else MARGIN), canvas.y
    if molecule is None:
        canvas.paragraph(NO_RDKIT)
        canvas.y += 8
    else:
        beyond = 25.0 * len(shown) - 200
        canvas.nested(molecule, MARGIN, top + max(0.0, beyond) / 2)
        canvas.y += max(0.0, -beyond) / 2
    for assay, value in shown.items():
        canvas.group("assay", assay)
        y = canvas.y
        fill = INK if value else "white"
        edge = {"stroke-dasharray": "3 3"} if value is None else {}
        canvas.rect(left, y, 22, 20, fill=fill, stroke=INK if edge == {} else GREY, rx=3, **edge)
        mark = "" if value is None else f"{value:.0f}"
        canvas.text(left + 11, y + 15.5, mark, anchor="middle", fill="white" if value else INK)
        ink = GREY if value is None else INK
        canvas.text(left + 32, y + 15.5, fitted(assay, WIDTH - MARGIN - left - 32), fill=ink)
        canvas.y += 25
    if rest := len(outcomes) - len(shown):
        canvas.text(left, canvas.y + 15.5, f"and {rest:,} more assays", fill=GREY)
        canvas.y += 25
    canvas.y = max(canvas.y, top + 200 if molecule is not None else 0) + 8
    canvas.group("key", "")
    canvas.paragraph("1: active. 0: inactive. Empty: not measured.", fill=GREY)
    told = " ".join(f"{printable(a)}: {OUTCOMES[v]}." for a, v in shown.items())
    more = f" {rest:,} more assays are not listed." if rest else ""
    return canvas.drawing(f"{printable(smiles)} is {found}. {told}{more}")


def _outcome(assay: object, value: Any) -> float | None:
    """1, 0, or None for an assay that did not measure."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 2.0
    if math.isnan(number):
        return None
    if number not in (0.0, 1.0):
        raise BadInput(f"assay {assay!r}: label {value!r:.40}; give 1, 0, or None (not measured)")
    return number


def _molecule(smiles: str, width: int, height: int) -> ET.Element | None:
    """The molecule as RDKit draws it, in black; None without RDKit."""
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem.Draw import rdMolDraw2D
    except ImportError:
        return None
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        raise BadInput(f"smiles {smiles!r:.60}: RDKit cannot read it; check the SMILES")
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = drawer.drawOptions()  # RDKit's types have no plain fields
    options.useBWAtomPalette()  # red and blue say harm and help in this book
    options.clearBackground = False
    options.minFontSize, options.maxFontSize = int(SIZE), 20
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    drawn = ET.fromstring(drawer.GetDrawingText())
    for element in drawn.iter():
        element.tag = element.tag.rpartition("}")[2]
    return drawn
