"""What the weighters of gradients have in common: they see the Gramian of the tasks' gradients.

G_st = <g_s, g_t> has the inner products of the tasks' gradients at the last shared layer's weight
matrix (see `networks.gramian`). Two tasks are in conflict where G_st < 0. Each method chooses
weights w >= 0 from G alone, by a rule of its own, and the networks move down sum_t w_t g_t.

Three things differ from the first publications. PCGrad, CAGrad and Nash-MTL take the gradients at
all shared weights, and MGDA there or at the shared features; the last shared layer stands for these
here, at a fraction of the price. Their algorithms weigh the trunk's step; W weighs the heads' steps
too, as it does for every method of this package. And the length of a step is Adam's here, so the
weights are scaled to a mean of 1. MGDA's gradients are as they are, not normalised.

A task without a label in the batch, or without a gradient, is left out and weighs 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .base import Step, Weighter, positive

NOTHING = 1e-12
"""A squared gradient below this share of the largest one is no gradient."""
ITERATIONS = 100  # of Newton's method, at most; 15 to 30 are enough
PRECISION = 1e-20
CENTRE = 0.3  # an interior-point method's next gap, as a share of this one


class GramianWeighter(Weighter):
    """A weighter whose weights are a function of the tasks' Gramian. A subclass has `balance`."""

    def weights(self, step: Step) -> Float[Tensor, "R T"]:
        gramian = step.trunk_gramian.double()
        squared = torch.where(step.labelled, gramian.diagonal(dim1=1, dim2=2), 0.0)
        largest = squared.amax(1, keepdim=True)
        pulls = squared > NOTHING * largest
        pairs = pulls.unsqueeze(2) & pulls.unsqueeze(1)
        scaled = torch.where(pairs, gramian / positive(largest).unsqueeze(2), 0.0)
        w = torch.where(pulls, self.balance(scaled, pulls, step), 0.0)
        w = w * pulls.sum(1, keepdim=True) / positive(w.sum(1, keepdim=True))
        return torch.where(pulls, w, 1.0).to(step.losses)

    def balance(
        self, gramian: Float[Tensor, "R T T"], pulls: Bool[Tensor, "R T"], step: Step
    ) -> Float[Tensor, "R T"]:
        """The weights, 0 or more, on any scale.

        Args:
            gramian: in double precision, and scaled to a largest entry of 1.
            pulls: False for a task that is left out; the Gramian is 0 there, and no weight counts.
            step: for random numbers.
        """
        raise NotImplementedError


def least_on_simplex(
    gramian: Float[Tensor, "R T T"],
    linear: Float[Tensor, "R T"],
    reach: Float[Tensor, " R"],
    pulls: Bool[Tensor, "R T"],
) -> Float[Tensor, "R T"]:
    """The w >= 0 with a sum of 1 at which <linear, w> + reach sqrt(w' G w) is least.

    A primal-dual interior-point method finds it for all replicas at once. Each replica stops by
    itself, so it gets the same weights alone as in a stack.

    Args:
        gramian: G, positive semidefinite, with a largest entry of about 1.
        linear: of the same scale.
        reach: 0 or more.
        pulls: where w may be above 0.

    The shortest mean of two gradients that are 1 and 2 long, at a right angle:

    >>> gramian = torch.tensor([[[1.0, 0.0], [0.0, 4.0]]]).double()
    >>> none, one = torch.zeros(1, 2).double(), torch.ones(1).double()
    >>> least_on_simplex(gramian, none, one, torch.tensor([[True, True]]))
    tensor([[0.8000, 0.2000]], dtype=torch.float64)

    Source: S. Boyd and L. Vandenberghe, Convex Optimization, 2004, section 11.7.
    """
    ones, reach = pulls.double(), reach.unsqueeze(1)
    count = ones.sum(1, keepdim=True).clamp_min(1)
    w, z = ones / count, torch.ones_like(ones)  # z: the multipliers of w >= 0
    going = pulls
    for _ in range(ITERATIONS):
        gap = (w * z).sum(1, keepdim=True) / count
        going = going & (gap > PRECISION)
        if not going.any():
            break
        product = (gramian @ w.unsqueeze(2)).squeeze(2)
        length = (
            (w * product).sum(1, keepdim=True).clamp_min(0) + gap
        ).sqrt()  # with the gap: smooth at 0
        along = product / length
        curve = gramian - along.unsqueeze(2) * along.unsqueeze(1)
        # The sum is 1, so its square may be added: it curves where the length does not.
        curve = (reach / length).unsqueeze(2) * curve + ones.unsqueeze(2) * ones.unsqueeze(1)
        inside = torch.where(pulls, w, 1.0)
        curve = curve + torch.where(pulls, z / inside, 1.0).diag_embed()
        target = CENTRE * gap  # of w z
        downhill = ones * (target / inside - linear - reach * along)
        free, level = torch.linalg.solve(curve, torch.stack([downhill, ones], 2)).unbind(2)
        keeps_sum = free.sum(1, keepdim=True) / positive(level.sum(1, keepdim=True))
        w_move = free - keeps_sum * level
        z_move = ones * ((target - z * w_move) / inside - z)
        share = torch.minimum(_room(inside, w_move), _room(z, z_move))
        moved = w + share * w_move
        w = torch.where(going, moved / positive((ones * moved).sum(1, keepdim=True)), w)
        z = torch.where(going, z + share * z_move, z)
    return w


def _room(values: Float[Tensor, "R T"], move: Float[Tensor, "R T"]) -> Float[Tensor, "R 1"]:
    """How far a move may go so that all values stay above 0; at most once its length."""
    reached = torch.where(move < 0, -values / move, torch.inf)
    return (0.99 * reached.amin(1, keepdim=True)).clamp_max(1.0)
