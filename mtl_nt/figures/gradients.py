"""Maps of how far tasks' gradients agree: conflict is orange and agreement is teal, everywhere."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure

from ..study import ENOUGH_COMMON_LABELS
from .drawing import AGREEMENT, CONFLICT
from .forms import PAGE, Form

COSINE_COLOURS = LinearSegmentedColormap.from_list(
    "cosine", [CONFLICT, "#FFFFFF", AGREEMENT]
).with_extremes(bad="#FFFFFF")
"""From orange, a cosine of -1, to teal, a cosine of 1."""
FEW_COMMON = "#C0C0C0"  # towards which the colour of a pair with few common labels fades


def draw_cosines(
    ax: Axes,
    cosines: Float[np.ndarray, "T T"],
    common_labels: Float[np.ndarray, "T T"] | None = None,
) -> None:
    """Draw a table of cosines, from -1 to 1, as a square of colours.

    Args:
        ax: where to draw; its ticks are taken away.
        cosines: NaN is drawn white.
        common_labels: the share of common labels of every pair. The colour of a pair below
            `ENOUGH_COMMON_LABELS` fades to grey.

    >>> ax = Figure().subplots()
    >>> draw_cosines(ax, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    >>> ax.images[0].get_array()[0, :, 0].round(2).tolist()  # how red teal and orange are
    [0.0, 0.85]
    """
    colours = COSINE_COLOURS((cosines + 1) / 2)[..., :3]
    if common_labels is not None:
        few = common_labels < ENOUGH_COMMON_LABELS
        colours[few] = (colours[few] + np.array(to_rgb(FEW_COMMON))) / 2
    ax.imshow(colours, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)


def draw_cosine_scale(figure: Figure, ax: Axes, form: Form = PAGE) -> None:
    """Draw the scale of `draw_cosines` into these axes: upright on a page, and lying on a phone.

    >>> figure = Figure()
    >>> draw_cosine_scale(figure, figure.subplots())
    """
    way = "vertical" if form is PAGE else "horizontal"
    figure.colorbar(ScalarMappable(Normalize(-1, 1), COSINE_COLOURS), cax=ax, orientation=way)
    ax.tick_params(labelsize=form.small_size)
    ax.set_title("cosine", size=form.small_size, loc="left", pad=None if form is PAGE else 3)


def few_common_words(common_labels: Float[np.ndarray, "T T"]) -> str:
    """A sentence on the pairs that `draw_cosines` greys; empty where there are none.

    >>> few_common_words(np.array([[1.0, 0.9], [0.9, 1.0]]))
    ''
    """
    pairs = common_labels[np.triu_indices(len(common_labels), 1)]
    few = int((pairs < ENOUGH_COMMON_LABELS).sum())
    if not few:
        return ""
    return (
        f"Grey: {'all' if few == len(pairs) else few} of {len(pairs)} pairs have under "
        f"{ENOUGH_COMMON_LABELS:.0%} of their labels in common, so their cosine also tells how "
        "their rows differ."
    )
