"""Small PNG files of figures."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def png_bytes(figure: Figure, colours: int = 64) -> bytes:
    """The figure as a PNG of few colours, which takes a quarter of the bytes in a notebook.

    The colours that cover most of the picture stay exactly as they are, so a method keeps its own.
    The rest of the palette goes to the colours that are farthest from all that were kept.

    Args:
        colours: how many colours the PNG has at most; 256 is the limit of the format.

    >>> png_bytes(Figure((2, 1)))[:4]
    b'\\x89PNG'
    """
    agg = FigureCanvasAgg(figure)  # one that came from another process has none
    agg.draw()
    pixels = np.asarray(agg.buffer_rgba())
    tall, wide, _ = pixels.shape
    packed = pixels.reshape(-1, 4).view(np.uint32)[:, 0]
    starts = np.flatnonzero(np.r_[True, packed[1:] != packed[:-1]])  # of runs of one colour
    lengths = np.diff(np.r_[starts, len(packed)])
    seen, which = np.unique(packed[starts], return_inverse=True)
    cover = np.bincount(which, lengths)
    rgb = seen.view(np.uint8).reshape(-1, 4).T[:3].astype(np.float32)
    chosen, nearest = _palette(rgb, cover, colours)
    index = np.repeat(nearest[which], lengths)
    image = Image.frombytes("P", (wide, tall), index.tobytes())
    image.putpalette(rgb[:, chosen].T.astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def packed(png: bytes) -> bytes:
    """The same picture in fewer bytes, for what is kept; it takes eight times as long to write.

    Bytes that are no PNG stay as they are.

    >>> png = png_bytes(Figure((2, 1)))
    >>> len(packed(png)) <= len(png), packed(b"no picture")
    (True, b'no picture')
    """
    file = io.BytesIO()
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            image.save(file, "PNG", optimize=True)
    except (OSError, SyntaxError):
        return png
    return min(png, file.getvalue(), key=len)


def _palette(
    rgb: Float[np.ndarray, "3 C"], cover: Float[np.ndarray, " C"], colours: int
) -> tuple[list[int], UInt8[np.ndarray, " C"]]:
    """Which colours are kept, and for every colour the kept one that is nearest.

    The first half are the colours that cover most. The others follow one by one, each the colour
    that is then farthest from all kept ones.
    """
    common, weight = np.argsort(-cover, kind="stable"), np.sqrt(cover)
    away, nearest = np.full(len(cover), np.inf), np.zeros(len(cover), np.uint8)
    chosen: list[int] = []
    for k in range(min(colours, 256, len(cover))):
        pick = common[k] if k < max(1, colours // 2) else (away * weight).argmax()
        chosen.append(int(pick))
        distance = np.square(rgb - rgb[:, [pick]]).sum(0)
        closer = distance < away
        away[closer], nearest[closer] = distance[closer], k
    return chosen, nearest
