"""Draw the README's picture: python docs/differences.py"""

from pathlib import Path

import mtl_nt
from mtl_nt import figures

study = mtl_nt.compare(
    mtl_nt.load("dial", scenario="unrelated"), alphas=(0.5,), seeds=range(100, 108)
)
figure = figures.differences(study)
Path(__file__).with_suffix(".png").write_bytes(figures.png(figure))
print(figures.alt(figure))
