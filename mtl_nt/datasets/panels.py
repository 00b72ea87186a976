"""The panels of assays that have a name: their files, sizes and licences.

All panels are from MoleculeNet (Z. Wu and others, MoleculeNet: a Benchmark for Molecular Machine
Learning, Chemical Science 2018). Each file is pinned to a commit of deepchem and has a checksum.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from .downloads import Source

_URL = (
    "https://raw.githubusercontent.com/deepchem/deepchem/fbe3b911a94a6eb8c84c1a9e7ac67a472c49ea80/"
)


class Panel(NamedTuple):
    """A panel's file, and what is known about its content.

    >>> PANELS["tox21"].tasks, PANELS["tox21"].source.name
    (12, 'tox21.csv.gz')
    """

    title: str
    source: Source
    tasks: int  # how many assays
    rows: int  # how many rows in the file
    missing: float | None  # share of the labels; None where nobody has counted
    licence: str
    most_active: int | None = None  # take only so many assays, those with the most actives


def _panel(title: str, path: str, checksum: str, *about: Any) -> Panel:
    size, *known = about
    return Panel(title, Source(Path(path).name, _URL + path, checksum, size=size), *known)


_TOXCAST = _panel(
    "ToxCast: toxicity screens of the US EPA",
    "examples/toxcast/processing/toxcast_data.csv.gz",
    "56041515e0bb63c1787a26ecdbeb2bd7ae1f538681caa1b03f768853cf81b1a7",
    *(405_299, 617, 8_615, 0.71, "US government (EPA)"),
)
PANELS: dict[str, Panel] = {
    "tox21": _panel(
        "Tox21: nuclear receptors and stress responses",
        "datasets/tox21.csv.gz",
        "48b34e4e59a2bae6f95734cd206c1869ab355f50a5e50bb7371a21f861d5e297",
        *(125_310, 12, 8_014, 0.17, "US government"),
    ),
    "toxcast": _TOXCAST,
    "toxcast128": _TOXCAST._replace(
        title="ToxCast, the 128 assays with most actives: a small sister of PCBA-128",
        tasks=128,
        missing=0.46,
        most_active=128,
    ),
    "sider": _panel(
        "SIDER: side effects of drugs, by organ class",
        "examples/sider/sider.csv.gz",
        "4cc7ccb20dded475853c583596e227116c222c6ca7dbb40159bdbe9ee3f099b9",
        *(34_759, 27, 1_427, 0.0, "CC BY-NC-SA 4.0"),
    ),
    "muv": _panel(
        "MUV: virtual screening, 24 to 30 actives an assay, too few to count harm by",
        "datasets/muv.csv.gz",
        "93c8b4a37c5996c76e57d5f3f065fb8b7cf1c19067011eff2293fd2a94ce274a",
        *(1_749_843, 17, 93_127, 0.84, "PubChem (NIH)"),
    ),
    "pcba": Panel(
        "PCBA-128: bioassays of PubChem, the paper's data",
        Source(
            "pcba.csv.gz",
            _URL + "datasets/pcba.csv.gz",
            sha256="",
            blob="f87aa2e2ae9b739024d27ec6ba683a75e3d08b6e",
        ),
        *(128, 437_929, None, "PubChem (NIH)"),
    ),
}
"""The panels by the names that `datasets.load` knows."""
