"""Inner products of all tasks' gradients at the last shared layer, in closed form.

The last shared layer reads X `[B, I]` and has the weight matrix W `[I, H]`; it is the trunk's last
linear layer, in every architecture. A task's loss has the gradient e `[B]` at the task's output,
and reaches the features through its head's weights v `[H]`. Feature h depends on column h of W
alone. J[b, i, h] is its derivative in row b: X[b, i] times the derivative of activation and
dropout. So the gradient of task t at W, and the Gramian, are

    D_t[i, h] = v_t[h] sum_b e_t[b] J[b, i, h],        G[s, t] = <D_s, D_t>.

A batch norm ties the rows of a batch together. Then J says what a weight does to a sum of the
feature over all rows, and both lines hold again. In double precision they agree with autograd to
1e-10.

The inputs may be projected: with P `[I, k]` of random signs, X P / sqrt(k) in the place of X gives
inner products that are right on average.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from ..bits import Bits
from .class_outputs import ClassOutputs
from .forward_pass import ForwardPass
from .random_streams import RandomStreams

DIMENSIONS = 32  # that inputs are projected to
EXACT = 2**10  # tasks x inputs of the layer, at most, for which nothing is projected
AT_ONCE = 2**18  # numbers of J and D at once: what a processor's cache holds


def trunk_gramian(
    errors: Float[Tensor, "R B O"],
    head: Float[Tensor, "R H O"],
    forward_pass: ForwardPass,
    noise: RandomStreams | None = None,
    classes: ClassOutputs | None = None,
) -> Float[Tensor, "R T T"]:
    """Inner products of all tasks' gradients at the weight matrix of the last shared layer.

    Args:
        errors: gradient of every task's loss at its own outputs; 0 on rows that do not count.
        head: weights of the heads.
        forward_pass: the trunk's; the layer may have a batch norm before or after its activation.
        noise: draws the projection where tasks x inputs exceed `EXACT`. Without it, nothing is
            projected.
        classes: the outputs of tasks of classes, if there are any. A task's gradient D_t is the sum
            over its own outputs.

    Raises:
        BadInput: see `ForwardPass.check_heads`.

    The diagonal has the squares of the gradients' norms:

    >>> import torch
    >>> from .gradients import trunk_gradient_norms
    >>> from .network import Network
    >>> from .recipe import Recipe
    >>> network = Network(seeds=[0], inputs=5, tasks=2, recipe=Recipe(trunk=(4,)))
    >>> forward_pass, _ = network(torch.rand(1, 6, 5), torch.ones(1, 6, dtype=torch.bool))
    >>> given = torch.rand(1, 6, 2), network.head.weight.detach(), forward_pass
    >>> gramian, norms = trunk_gramian(*given), trunk_gradient_norms(*given)
    >>> torch.allclose(gramian[0].diagonal(), norms[0].square())
    True
    """
    forward_pass.check_heads()
    e, v, m, norm = errors.mT, head.mT, forward_pass.slope, _norm(forward_pass)
    tasks, x = e.shape[1], forward_pass.inputs
    x = x.to_dense(m.dtype) if isinstance(x, Bits) else x
    if noise is not None and x.shape[2] > DIMENSIONS and tasks * x.shape[2] > EXACT:
        signs = 2 * noise.keep(0.5, x.shape[2], DIMENSIONS).to(x) - 1
        x = x @ signs / DIMENSIONS**0.5
    size = (e.shape[2] + tasks) * x.shape[2]  # numbers of J and D of one unit
    # Portions depend on the sizes of one replica, never on the number of replicas. So a replica's
    # numbers are the same to the last bit whichever others lie beside it.
    units = min(max(1, AT_ONCE // size), m.shape[2])
    count = tasks if classes is None else len(classes.of_classes)
    gramian = e.new_zeros(len(e), count, count)
    for r in _portions(len(e), max(1, AT_ONCE // (size * units))):
        for h in _portions(m.shape[2], units):
            j = _derivatives(x[r], m[r, :, h], norm and norm.part(r, h))
            by_feature = (e[r] @ j.flatten(2)).unflatten(2, j.shape[2:])
            d = (by_feature * v[r, :, None, h]).flatten(2)  # (R, T, I * H)
            if classes is not None:
                d = classes.gathered(d)
            gramian[r] += d @ d.mT
    return gramian


def _portions(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


class _Norm(NamedTuple):
    """What a batch norm did to the rows that count."""

    z: Float[Tensor, "R B H"]  # what it standardised; 0 on other rows
    gain: Float[Tensor, "R 1 H"]
    row: Float[Tensor, "R B 1"]  # 1 on rows that count
    after_activation: bool

    def part(self, r: slice, h: slice) -> _Norm:
        """These replicas and units."""
        return _Norm(self.z[r, :, h], self.gain[r, :, h], self.row[r], self.after_activation)


def _norm(forward_pass: ForwardPass) -> _Norm | None:
    if forward_pass.batch_norm is None:
        return None
    z, gain, valid, after_activation = forward_pass.batch_norm
    row = valid.unsqueeze(2).to(z.dtype)
    return _Norm(z * row, gain, row, after_activation)


def _derivatives(
    x: Float[Tensor, "R B I"], m: Float[Tensor, "R B H"], norm: _Norm | None
) -> Float[Tensor, "R B I H"]:
    """J, from which a batch norm takes a mean over the rows and a part along its output z."""
    if norm is None:
        return x.unsqueeze(3) * m.unsqueeze(2)
    z, gain, row, after_activation = norm
    n = row.sum(1, keepdim=True)
    if after_activation:
        j = x.unsqueeze(3) * (m * row).unsqueeze(2)
        along = z.unsqueeze(2) * (x.mT @ (m * z)).unsqueeze(1)
        j = j - (j.sum(1, keepdim=True) + along) / n.unsqueeze(3)
    else:
        x = (x - (x * row).sum(1, keepdim=True) / n) * row
        along = (m * z).unsqueeze(2) * (x.mT @ z).unsqueeze(1)
        j = x.unsqueeze(3) * m.unsqueeze(2) - along / n.unsqueeze(3)
    return j * gain.unsqueeze(2)
