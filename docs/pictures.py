"""Draw the README's pictures: python docs/pictures.py"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import mtl_nt
from mtl_nt import figures
from mtl_nt.study import CURES, stored

SEEDS = range(100, 108)


def keep(name: str, figure: Figure) -> None:
    """Write docs/NAME.png and print what it shows."""
    Path(__file__).with_name(f"{name}.png").write_bytes(figures.png_bytes(figure))
    print(f"{name}: {figures.alt_text(figure)}")


made = mtl_nt.compare(mtl_nt.load("dial", scenario="unrelated"), alphas=(0.5,), seeds=SEEDS)
keep("differences", figures.task_differences(made, methods=["MTL"]))
keep("weight_matrix", figures.weight_matrix(made))

alphas = np.linspace(0, 2, 11).round(1)
loud = mtl_nt.load("dial", scenario="dominant")
study = mtl_nt.compare(loud, ("MTL", "LBTW", "GradNorm", "RMTL", "Uncertainty"), alphas, SEEDS)
keep("trade_off", figures.trade_off(study))

digits = mtl_nt.compare(mtl_nt.load("digits"), ("MTL", "LBTW"), alphas, SEEDS)
keep("alpha_curve", figures.alpha_curve(digits, "LBTW", 1.0))
keep("weights", figures.weight_curves(digits, "LBTW", 1.0))

cures = {f"{scenario}, trunk x {width}": stored(case) for case, (scenario, width) in CURES.items()}
table = figures.cure_table(cures)
keep("cures", figures.cure_map(table))
keep("changes", figures.cure_changes(table))
