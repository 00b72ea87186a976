"""The task weighters: one short file per published method.

A weighter turns what a training step shows into a row of the weight matrix W, for every network of
a stack. `base` has the contract: `Step`, which a weighter may look at, and `Weighter`. Each other
file is one paper's page: `uniform`, `lbtw`, `gradnorm`, `rmtl`, `uncertainty`, `dwa`, `amtfl` and
`u_amtfl`; `mgda`, `pcgrad`, `cagrad` and `nash_mtl`, which see the tasks' Gramian alone (`gramian`
has what they share); and the controls `random_weights` and `shuffled` (which has `Permuted` and
`Frozen` too).

This room uses the networks and the ground.
"""

from .amtfl import AMTFL, Balanced, SparseHeads
from .base import Step, Weighter, alpha_column
from .cagrad import CAGrad
from .dwa import DWA
from .gradnorm import GradNorm
from .lbtw import LBTW
from .mgda import MGDA
from .nash_mtl import NashMTL
from .pcgrad import PCGrad
from .random_weights import RandomWeights
from .rmtl import RMTL
from .shuffled import Frozen, Permuted, Shuffled
from .u_amtfl import UAMTFL
from .uncertainty import Uncertainty
from .uniform import Fixed, Uniform

__all__ = [
    "AMTFL",
    "Balanced",
    "CAGrad",
    "DWA",
    "Fixed",
    "Frozen",
    "GradNorm",
    "LBTW",
    "MGDA",
    "NashMTL",
    "PCGrad",
    "Permuted",
    "RMTL",
    "RandomWeights",
    "Shuffled",
    "SparseHeads",
    "Step",
    "UAMTFL",
    "Uncertainty",
    "Uniform",
    "Weighter",
    "alpha_column",
]
