"""Draw the README's pictures: python docs/pictures.py"""

from pathlib import Path

import numpy as np

import mtl_nt
from mtl_nt import cure_figure, figures
from mtl_nt.reproduce import CURES
from mtl_nt.stored import stored

SEEDS = range(100, 108)


def keep(name: str, figure: figures.Figure) -> None:
    """Write docs/NAME.png and print what it shows."""
    Path(__file__).with_name(f"{name}.png").write_bytes(figures.png(figure))
    print(f"{name}: {figures.alt(figure)}")


made = mtl_nt.compare(mtl_nt.load("dial", scenario="unrelated"), alphas=(0.5,), seeds=SEEDS)
keep("differences", figures.differences(made))
keep("weight_matrix", figures.weight_matrix(made))

alphas = np.linspace(0, 2, 11).round(1)
loud = mtl_nt.load("dial", scenario="dominant")
study = mtl_nt.compare(loud, ("MTL", "LBTW", "GradNorm", "RMTL", "Uncertainty"), alphas, SEEDS)
keep("trade_off", figures.trade_off(study))

digits = mtl_nt.compare(mtl_nt.load("digits"), ("MTL", "LBTW"), alphas, SEEDS)
keep("alpha_curve", figures.alpha_curve(digits, "LBTW", 1.0))
keep("weights", figures.weights(digits, "LBTW", 1.0))

cures = {f"{scenario}, trunk x {width}": stored(case) for case, (scenario, width) in CURES.items()}
table = cure_figure.cure_table(cures)
keep("cures", cure_figure.cure_map(table))
keep("changes", cure_figure.cure_changes(table))
