"""GDSC v17: how 988 cancer cell lines respond to 265 drugs, one regression task a drug.

Iorio et al. (Cell, 2016). The targets are ln IC50; 18% are missing. The features are the tissue,
microsatellite instability, and 677 genomic alterations (mutations and copy numbers). Most of what
can be predicted lies in the tissue: by default the genomic columns are scaled to a tenth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..streams import generator
from ..tasks import BadInput, Split, TaskData, is_number, is_whole, nearest
from .files import Source, fetch

if TYPE_CHECKING:
    import pandas as pd

_PLACE = (
    "https://raw.githubusercontent.com/CancerRxGene/gdsctools/"
    "770be3914a04ff047cbec2a2c66e55e465176e81/gdsctools/data/"
)
RESPONSES = Source(
    "IC50_v17.csv.gz",
    _PLACE + "IC50_v17.csv.gz",
    "db719ed21ab8725611b9c2ff74dfc0063ff657bc4758ccc97489a047ec46f9d7",
)
FEATURES = Source(
    "genomic_features_v17.csv.gz",
    _PLACE + "genomic_features_v17.csv.gz",
    "1bc36a0d332b2d3d7acc14960a4c053a5b5415f78d063d488ad4808b72d4a93b",
)
PRESETS = ("observed", "paper")
OBSERVED, MOST = 0.8, 181  # share of lines that a drug is measured on; drugs of the paper
TRAIN, VALIDATION = 0.7, 0.1  # shares of the lines, the rest is the test
RECIPE = {
    "trunk": (500,),
    "activation": "relu",
    "steps": 150,
    "batch_size": 100,
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
}


def load_gdsc(preset: str = "observed", seed: int = 0, genomic_scale: float = 0.1) -> TaskData:
    """Drug response of cell lines, split anew by every seed: 70% to train, 10%, and 20% to test.

    Targets are standardised by each drug's training labels; "MSE (raw)" is that of ln IC50. The
    files are downloaded from a pinned commit of gdsctools (1.5 MB), or taken from the folder that
    MTL_NT_DATA names, and checked.

    Args:
        preset: "observed" = the drugs measured on 80% of the lines or more (214); "paper" = the
            181 most measured ones, as many as Peres da Silva, Suphavilai and Nagarajan (AAAI-21)
            have, though they have gene expression of 805 lines.
        seed: splits the lines.
        genomic_scale: factor of the 677 genomic columns.

    Raises:
        BadInput: an option out of range, or files that cannot be had or are not the known ones.
    """
    if preset not in PRESETS:
        raise BadInput(f"gdsc: unknown preset {preset!r}; {nearest(preset, PRESETS)}")
    if not is_whole(seed, 0):
        raise BadInput(f"seed {seed!r}: must be a whole number, 0 or more")
    if not is_number(genomic_scale) or genomic_scale < 0:
        raise BadInput(f"genomic_scale {genomic_scale!r}: must be a number, 0 or more")
    import pandas as pd

    responses, features = (
        pd.read_csv(fetch(source), index_col="COSMIC_ID") for source in (RESPONSES, FEATURES)
    )
    features = features.loc[responses.index]  # the same lines in another order
    x = _features(features, genomic_scale)
    count = responses.notna().sum().sort_values(ascending=False, kind="stable")
    least = OBSERVED * len(responses)
    kept = count.index[:MOST] if preset == "paper" else count.index[count >= least]
    responses = responses[[drug for drug in responses if drug in {*kept}]]
    options: dict[str, Any] = {
        "name": "gdsc" if preset == "observed" else "gdsc-paper",
        "x": torch.from_numpy(x).float(),
        "y": torch.from_numpy(responses.to_numpy(np.float32)),
        "tasks": tuple(str(d).removesuffix("_IC50").replace("_", " ") for d in responses),
        "kind": "regression",
        "provenance": "GDSC v17 (Iorio et al. 2016; free for academic use), as in gdsctools",
        "standardise": True,
        "recipe": RECIPE,
    }

    def draw(run_seed: int) -> TaskData:
        order = torch.from_numpy(generator(run_seed, "split").permutation(len(x)))
        ends = [round(TRAIN * len(x)), round((TRAIN + VALIDATION) * len(x))]
        train, validation, test = order.tensor_split(ends)
        split = Split(train, validation, test, "free")
        return TaskData(**options, split=split, redraw=draw, data_seed=run_seed)

    return draw(seed)


def _features(table: pd.DataFrame, scale: float) -> np.ndarray:
    """Tissue as one column each, microsatellite instability, and the scaled genomic columns."""
    tissue = table.pop("TISSUE_FACTOR").to_numpy()
    instability = table.pop("MSI_FACTOR").to_numpy()
    known = np.unique(tissue)
    one_hot = tissue[:, None] == known
    return np.column_stack([one_hot, instability, scale * table.to_numpy()])
