"""Norms of every task's gradient at the last shared layer, in closed form: no backward passes.

The layer reads X `[B, I]`, a task's loss pulls its features by the outer product of its errors
e `[B]` and its head's weights v `[H]`, and M `[B, H]` is the slope of activation and dropout.
So the task's gradient at the layer's weights is X^T A with A[b, h] = e[b] M[b, h] v[h], and

    |X^T A|^2 = sum_h v[h]^2 |X^T (e * M[:, h])|^2 = sum_ij e[i] e[j] (X X^T)[i, j] S[i, j],
    S[i, j] = sum_h v[h]^2 M[i, h] M[j, h].

The forms cost differently and all are exact: in double precision they are autograd's to 1e-10; in
single precision, 4e-6 of the norm was the worst error over whole trainings on dial, digits and
assays.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .bits import Bits
from .models import Pass

AT_ONCE = 2**17  # numbers of A at once, of some replicas: what a processor's cache holds
LARGE = 2**21  # numbers of A of one replica, all tasks at once; above, task after task
WORTH_PAIRS = 2**15  # numbers of M: below, a product a row costs more than it saves
PAIRS = 48  # what the pairs' own work is worth, in tasks


def trunk_gradient_norms(
    errors: Float[Tensor, "R B T"], head: Float[Tensor, "R H T"], passed: Pass
) -> Float[Tensor, "R T"]:
    """Norm of every task's gradient at the weight matrix of the last shared layer, `[R, T]`.

    Args:
        errors: gradient of every task's loss at its own output; 0 on rows that do not count.
        head: weights of the heads.
        passed: the trunk's forward pass; the layer may have a batch norm, before or after its
            activation.
    """
    x, m, v, relu = passed.inputs, passed.slope, head, passed.activation == "relu"
    x, e = x.dense(m.dtype) if isinstance(x, Bits) else x, errors
    if passed.normed is None:
        squared = _squared(e, m, v, x, relu)
    else:
        z, gain, valid, last = passed.normed
        row = valid.unsqueeze(2).to(m.dtype)
        n, z, v = row.sum(1, keepdim=True), z * row, head * gain.transpose(1, 2)
        if last:
            e = (e - e.sum(1, keepdim=True) / n) * row
        else:
            x = (x - (x * row).sum(1, keepdim=True) / n) * row
        squared = _squared(e, m, v, x, relu) + _correction(e, m, v, x, z, n, last)
    return squared.clamp_min(0).sqrt()


def _correction(
    e: Tensor, m: Tensor, v: Tensor, x: Tensor, z: Tensor, n: Tensor, last: bool
) -> Float[Tensor, "R T"]:
    """What batch norm takes away besides means, with z its standardised values.

    Before the activation, X is centred and a column of the gradient is v (X^T u - c X^T z), where
    u = e * M and c = mean(u * z). After it, e is centred and the column is v (X^T u - c X^T w),
    where w = M * z and c = mean(e * z).
    """
    taken, seen = (m * z, z) if last else (z, m * z)
    pulled = x @ (x.transpose(1, 2) @ taken)  # X X^T of what is taken away
    e = e.transpose(1, 2)
    c = e @ seen / n  # (R, T, H)
    cross, own = e @ (m * pulled), (taken * pulled).sum(1, keepdim=True)
    return ((c * own - 2 * cross) * c * v.transpose(1, 2).square()).sum(2)


def _squared(e: Tensor, m: Tensor, v: Tensor, x: Tensor, relu: bool) -> Float[Tensor, "R T"]:
    """|X^T A|^2 of every task. The form depends on a replica's own numbers, never on the stack."""
    rows, tasks, into, width = *e.shape[1:], x.shape[2], m.shape[2]
    gram = rows * (width + into / tasks) < into * width
    numbers = tasks * rows * width
    if numbers > LARGE:
        return torch.stack([_one(*r, gram, relu) for r in zip(e, m, v, x, strict=True)])
    few = max(1, AT_ONCE // (rows * width))  # tasks, and replicas, that fit
    some = max(1, AT_ONCE // numbers)
    slices = zip(e.split(some), m.split(some), v.split(some), x.split(some), strict=True)
    return torch.cat([_together(*one, gram, few) for one in slices])


def _together(
    e: Tensor, m: Tensor, v: Tensor, x: Tensor, gram: bool, few: int
) -> Float[Tensor, "R T"]:
    """All tasks of some replicas, a few at once."""
    k = (x @ x.transpose(1, 2)).unsqueeze(1) if gram else None
    found = []
    for es, vs in zip(e.split(few, 2), v.split(few, 2), strict=True):
        a = (es.transpose(1, 2).unsqueeze(3) * m.unsqueeze(1)) * vs.transpose(1, 2).unsqueeze(2)
        if k is not None:
            found.append((k * (a @ a.transpose(2, 3))).sum((2, 3)))
        else:
            found.append((x.transpose(1, 2).unsqueeze(1) @ a).square().sum((2, 3)))
    return torch.cat(found, 1)


def _one(
    e: Float[Tensor, "B T"],
    m: Float[Tensor, "B H"],
    v: Float[Tensor, "H T"],
    x: Float[Tensor, "B I"],
    gram: bool,
    relu: bool,
) -> Float[Tensor, " T"]:
    """A replica's tasks one after another over their labelled rows, or all by pairs of rows."""
    rows, tasks, labelled = *e.shape, e != 0
    share = labelled.to(e.dtype).mean().item()
    saved = 4 * tasks * share * min(share, x.shape[1] / rows)
    if m.numel() >= WORTH_PAIRS and saved > (PAIRS + tasks) * (1 if relu else 2):
        return _by_pairs(e, m, v, x @ x.T)
    k = x @ x.T if gram else None
    out = e.new_empty(tasks)
    for t in range(tasks):
        some = labelled[:, t].nonzero()[:, 0]
        a = m[some] * v[:, t] * e[some, t : t + 1]
        if k is not None:
            out[t] = (k[some][:, some] * (a @ a.T)).sum()
        else:
            out[t] = (x[some].T @ a).square().sum()
    return out


def _by_pairs(
    e: Float[Tensor, "B T"], m: Float[Tensor, "B H"], v: Float[Tensor, "H T"], k: Tensor
) -> Float[Tensor, " T"]:
    """All tasks of a replica at once, row by row: a row of S for every task is one product.

    S is symmetric, so the rows after the i-th do. Of a ReLU's row, about half of M is zero: only
    the columns where it is not enter the product.
    """
    squares, columns = v.square(), m.T.contiguous()
    total = (k.diagonal()[:, None] * e.square() * (m.square() @ squares)).sum(0)
    for i in range(len(e) - 1):
        on = m[i].nonzero()[:, 0]
        s = (squares[on] * m[i, on, None]).T @ columns[on, i + 1 :]  # (T, rows after i)
        total += 2 * e[i] * torch.einsum("tj,jt->t", s, e[i + 1 :] * k[i, i + 1 :, None])
    return total
