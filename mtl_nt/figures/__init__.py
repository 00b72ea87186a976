"""The figures of the book: each is a function from a study to a matplotlib `Figure`.

`differences`, `alpha`, `weights` and `cures` draw, and `gradients` has maps of cosines. `drawing`
holds the layout, colours and text sizes that they share. `tables` computes the numbers that they
show, and `picture` makes HTML of finished pictures.

This room uses studies and all that is below them. It trains nothing.
"""

from .alpha import alpha_curve, trade_off
from .cures import cure_changes, cure_controls, cure_map, cure_stops, cure_table
from .differences import counts_table, task_differences
from .drawing import (
    COLOURS,
    EXTRA_COLOURS,
    GREY,
    INK,
    NULL_BAND,
    SMALL_SIZE,
    add_axes,
    add_legend,
    alt_text,
    captioned_png,
    label_line_ends,
    method_styles,
    new_figure,
    png_bytes,
    shorten,
)
from .gradients import draw_cosine_scale, draw_cosines, few_common_words
from .weights import weight_curves, weight_matrix

__all__ = [
    "COLOURS",
    "GREY",
    "INK",
    "NULL_BAND",
    "EXTRA_COLOURS",
    "SMALL_SIZE",
    "alpha_curve",
    "alt_text",
    "add_axes",
    "new_figure",
    "counts_table",
    "cure_changes",
    "cure_controls",
    "cure_map",
    "cure_stops",
    "cure_table",
    "draw_cosine_scale",
    "draw_cosines",
    "few_common_words",
    "task_differences",
    "label_line_ends",
    "add_legend",
    "captioned_png",
    "png_bytes",
    "shorten",
    "method_styles",
    "trade_off",
    "weight_matrix",
    "weight_curves",
]
