"""The figures of the book: each is a function from a study to a matplotlib `Figure`.

- `differences` draws the one picture: every task's difference from STL. `task_rows` and
  `method_strips` are its two forms, `verdicts` its marks, `row_numbers` its numbers, and `effects`
  has its words.
- `forest` draws any list of numbers with their intervals. `alpha` draws what alpha does,
  `weight_lines` and `weight_map` the weights of tasks, `cure_figures` the table of causes and cures
  that `cures` computes, and `gradients` maps of cosines. `pair_map` draws the measured transfer of
  pairs. `counts` is a table.
- `drawing` holds the layout and the colours that they share, `forms` the sizes of letters on pages
  and on phones, and `tables` computes the numbers that they show. `inline` and `picture` make HTML
  of finished pictures.

This room uses studies and all that is below them. It trains nothing.
"""

from .alpha import alpha_curve, trade_off
from .counts import counts_table
from .cure_figures import cure_changes, cure_controls, cure_map, cure_stops
from .cures import cure_table
from .differences import task_differences
from .drawing import (
    AGREEMENT,
    COLOURS,
    CONFLICT,
    EXTRA_COLOURS,
    GREY,
    HARMS,
    HELPS,
    INK,
    NULL_BAND,
    SMALL_SIZE,
    Drawing,
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
from .forest import forest
from .gradients import draw_cosine_scale, draw_cosines, few_common_words
from .weight_lines import weight_curves
from .weight_map import weight_matrix

__all__ = [
    "AGREEMENT",
    "COLOURS",
    "CONFLICT",
    "Drawing",
    "HARMS",
    "HELPS",
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
    "forest",
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
