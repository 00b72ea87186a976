"""Norms of every task's gradient at the last shared layer, in closed form: no backward passes.

The last shared layer reads X `[B, I]`. A task's loss has the gradient e `[B]` at the task's output
and reaches the features through its head's weights v `[H]`. M `[B, H]` is the derivative of
activation and dropout. So the task's gradient at the layer's weight matrix is X^T A with
A[b, h] = e[b] M[b, h] v[h], and its squared norm is

    |X^T A|^2 = sum_h v[h]^2 |X^T (e * M[:, h])|^2 = sum_ij e[i] e[j] (X X^T)[i, j] S[i, j],
    S[i, j] = sum_h v[h]^2 M[i, h] M[j, h].

All forms are exact, but they cost differently. In double precision they agree with autograd to
1e-10. In single precision, 4e-6 of the norm was the worst error over whole trainings on dial,
digits and assays.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..bits import Bits
from .class_outputs import ClassOutputs
from .forward_pass import ForwardPass
from .gramian import trunk_gramian

AT_ONCE = 2**17  # numbers of A at once, of some replicas: what a processor's cache holds
LARGE = 2**21  # numbers of A of one replica, all tasks at once; above, task after task
WORTH_PAIRS = 2**15  # numbers of M: below, one product per row costs more than it saves
PAIRS = 48  # what the work that pairs of rows always cost is worth, in tasks


def trunk_gradient_norms(
    errors: Float[Tensor, "R B O"],
    head: Float[Tensor, "R H O"],
    forward_pass: ForwardPass,
    classes: ClassOutputs | None = None,
) -> Float[Tensor, "R T"]:
    """Norm of every task's gradient at the weight matrix of the last shared layer, `[R, T]`.

    Args:
        errors: gradient of every task's loss at its own outputs; 0 on rows that do not count.
        head: weights of the heads.
        forward_pass: the trunk's; the layer may have a batch norm before or after its activation.
        classes: the outputs of tasks of classes, if there are any. The gradient of such a task is a
            sum over its outputs, whose norm the diagonal of the exact Gramian has.

    Raises:
        BadInput: see `ForwardPass.check_heads`.

    The norms are those that autograd gives:

    >>> from .network import Network
    >>> from .recipe import Recipe
    >>> network = Network(seeds=[0], inputs=5, tasks=2, recipe=Recipe(trunk=(4,)))
    >>> valid = torch.ones(1, 6, dtype=torch.bool)
    >>> forward_pass, outputs = network(torch.ones(1, 6, 5), valid)
    >>> weight = network.trunk.blocks[0].linear.weight
    >>> (gradient,) = torch.autograd.grad(outputs[0, :, 0].sum(), weight)  # of task 0's outputs
    >>> norms = trunk_gradient_norms(torch.ones(1, 6, 2), network.head.weight, forward_pass)
    >>> torch.allclose(norms[0, 0], gradient.norm())
    True
    """
    if classes is not None:
        gramian = trunk_gramian(errors, head, forward_pass, classes=classes)
        return gramian.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
    p = forward_pass
    p.check_heads()
    x, e, m, v, relu = p.inputs, errors, p.slope, head, p.activation == "relu"
    x = x.to_dense(m.dtype) if isinstance(x, Bits) else x
    if p.batch_norm is None:
        squared = _squared_norms(e, m, v, x, relu)
    else:
        z, gain, valid, after_activation = p.batch_norm
        row = valid.unsqueeze(2).to(m.dtype)
        n, z, v = row.sum(1, keepdim=True), z * row, head * gain.transpose(1, 2)
        if after_activation:
            e = (e - e.sum(1, keepdim=True) / n) * row
        else:
            x = (x - (x * row).sum(1, keepdim=True) / n) * row
        correction = _batch_norm_correction(e, m, v, x, z, n, after_activation)
        squared = _squared_norms(e, m, v, x, relu) + correction
    return squared.clamp_min(0).sqrt()


def _batch_norm_correction(
    e: Tensor, m: Tensor, v: Tensor, x: Tensor, z: Tensor, n: Tensor, after_activation: bool
) -> Float[Tensor, "R T"]:
    """What batch norm takes away from the squared norms besides means; z is what it standardised.

    Before the activation, X is centred and a column of the gradient is v (X^T u - c X^T z), where
    u = e * M and c = mean(u * z). After it, e is centred and the column is v (X^T u - c X^T w),
    where w = M * z and c = mean(e * z).
    """
    direction, seen = (m * z, z) if after_activation else (z, m * z)
    projected = x @ (x.transpose(1, 2) @ direction)  # X X^T z, or X X^T w
    e = e.transpose(1, 2)
    c = e @ seen / n  # (R, T, H)
    cross, square = e @ (m * projected), (direction * projected).sum(1, keepdim=True)
    return ((c * square - 2 * cross) * c * v.transpose(1, 2).square()).sum(2)


def _squared_norms(e: Tensor, m: Tensor, v: Tensor, x: Tensor, relu: bool) -> Float[Tensor, "R T"]:
    """|X^T A|^2 of every task.

    The form depends on the sizes of one replica, never on the number of replicas. So a replica's
    norms are the same to the last bit whichever others lie beside it.
    """
    rows, tasks, inputs, width = *e.shape[1:], x.shape[2], m.shape[2]
    use_gram = rows * (width + inputs / tasks) < inputs * width
    numbers = tasks * rows * width
    if numbers > LARGE:
        return torch.stack([_one_replica(*r, use_gram, relu) for r in zip(e, m, v, x, strict=True)])
    tasks_at_once = max(1, AT_ONCE // (rows * width))
    n = max(1, AT_ONCE // numbers)  # replicas at once
    parts = zip(e.split(n), m.split(n), v.split(n), x.split(n), strict=True)
    return torch.cat([_some_replicas(*part, use_gram, tasks_at_once) for part in parts])


def _some_replicas(
    e: Tensor, m: Tensor, v: Tensor, x: Tensor, use_gram: bool, tasks_at_once: int
) -> Float[Tensor, "R T"]:
    """All tasks of replicas that are few enough to be handled together."""
    gram = (x @ x.transpose(1, 2)).unsqueeze(1) if use_gram else None
    squared = []
    for es, vs in zip(e.split(tasks_at_once, 2), v.split(tasks_at_once, 2), strict=True):
        a = (es.transpose(1, 2).unsqueeze(3) * m.unsqueeze(1)) * vs.transpose(1, 2).unsqueeze(2)
        if gram is not None:
            squared.append((gram * (a @ a.transpose(2, 3))).sum((2, 3)))
        else:
            squared.append((x.transpose(1, 2).unsqueeze(1) @ a).square().sum((2, 3)))
    return torch.cat(squared, 1)


def _one_replica(
    e: Float[Tensor, "B T"],
    m: Float[Tensor, "B H"],
    v: Float[Tensor, "H T"],
    x: Float[Tensor, "B I"],
    use_gram: bool,
    relu: bool,
) -> Float[Tensor, " T"]:
    """One replica's tasks, one after another over their labelled rows, or all by pairs of rows."""
    rows, tasks, labelled = *e.shape, e != 0
    share = labelled.to(e.dtype).mean().item()
    saved = 4 * tasks * share * min(share, x.shape[1] / rows)
    if m.numel() >= WORTH_PAIRS and saved > (PAIRS + tasks) * (1 if relu else 2):
        return _by_pairs(e, m, v, x @ x.T)
    gram = x @ x.T if use_gram else None
    squared = e.new_empty(tasks)
    for t in range(tasks):
        own_rows = labelled[:, t].nonzero()[:, 0]
        a = m[own_rows] * v[:, t] * e[own_rows, t : t + 1]
        if gram is not None:
            squared[t] = (gram[own_rows][:, own_rows] * (a @ a.T)).sum()
        else:
            squared[t] = (x[own_rows].T @ a).square().sum()
    return squared


def _by_pairs(
    e: Float[Tensor, "B T"], m: Float[Tensor, "B H"], v: Float[Tensor, "H T"], gram: Tensor
) -> Float[Tensor, " T"]:
    """All tasks of a replica at once, row by row: one product gives a row of every task's S.

    S is symmetric, so row i only needs the rows after it. About half of a ReLU's row of M is zero:
    only the columns where it is not zero enter the product.
    """
    squares, columns = v.square(), m.T.contiguous()
    total = (gram.diagonal()[:, None] * e.square() * (m.square() @ squares)).sum(0)
    for i in range(len(e) - 1):
        on = m[i].nonzero()[:, 0]
        s = (squares[on] * m[i, on, None]).T @ columns[on, i + 1 :]  # (T, rows after i)
        total += 2 * e[i] * torch.einsum("tj,jt->t", s, e[i + 1 :] * gram[i, i + 1 :, None])
    return total
