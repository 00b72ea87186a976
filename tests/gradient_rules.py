"""The methods that weigh gradients, for plain networks: autograd, and each task's whole gradient.

Written from the papers. No Gramian is made here: the gradients lie as rows of a matrix, and the
problems go to SciPy's solvers, or to the paper's own loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from reference import Look, Rule
from scipy.optimize import nnls, root
from torch import Tensor

Rows = np.ndarray  # [tasks, numbers of a gradient]


class GradientRule(Rule):
    """Weights from the gradients at the last shared layer's weight matrix, with a mean of 1.

    A task without a gradient, whose features are all 0 for example, is left out and weighs 1.
    """

    def weights(self, look: Look) -> dict[int, float]:
        rows = {t: gradient(look, loss) for t, loss in look.losses.items()}
        least = 1e-6 * max(np.linalg.norm(row) for row in rows.values())
        there = [t for t, row in rows.items() if np.linalg.norm(row) > least]
        given = dict.fromkeys(rows, 1.0)
        if there:
            w = self.weigh(np.stack([rows[t] for t in there]), there)
            given |= dict(zip(there, (w / w.mean()).tolist(), strict=True))
        return given

    def weigh(self, rows: Rows, tasks: list[int]) -> np.ndarray:
        """The weights of these tasks, whose gradients are the rows."""
        raise NotImplementedError


def gradient(look: Look, loss: Tensor) -> np.ndarray:
    (found,) = torch.autograd.grad(loss, look.net.last_shared, retain_graph=True)
    return np.asarray(found.flatten())


def shortest_mean(rows: Rows) -> np.ndarray:
    """The w >= 0 with a sum of 1 at which w @ rows is shortest.

    By least squares with w >= 0 of (rows, 1)^T w against (0, 1), whose solution is in proportion
    (C. L. Lawson and R. J. Hanson, Solving Least Squares Problems, 1974, chapter 23).
    """
    size = np.linalg.norm(rows, axis=1).max()
    one_more = np.vstack([rows.T / size, np.ones(len(rows))])
    w, _ = nnls(one_more, np.append(np.zeros(rows.shape[1]), 1.0), maxiter=1_000)
    return w / w.sum()


class MGDA(GradientRule):
    def weigh(self, rows: Rows, tasks: list[int]) -> np.ndarray:
        return shortest_mean(rows)


@dataclass
class CAGrad(GradientRule):
    """Near the mean gradient m, with c |m| as the radius.

    <w @ rows, m> + c |m| |w @ rows| is least at w. With s = |w @ rows|, w is also where
    |w @ rows + s m / (c |m|)| is least: a shortest mean of moved gradients. So s is a fixed point.
    """

    c: float

    def weigh(self, rows: Rows, tasks: list[int]) -> np.ndarray:
        middle = rows.mean(0)
        radius = self.c * np.linalg.norm(middle)
        s = np.linalg.norm(middle)
        for _ in range(2_000):
            w = shortest_mean(rows + s * middle / radius)
            before, s = s, np.linalg.norm(w @ rows)
            if abs(s - before) < 1e-15 * before:
                break
        return 1 / len(rows) + radius / s * w


class Nash(GradientRule):
    """rows @ rows.T @ w = 1 / w: each task's own w from its quadratic equation, again and again.

    Every row has a direction of its own, of a millionth of its length. So there is a solution even
    where the gradients cancel each other. MINPACK does the last digits, from the logarithms of w.
    """

    def weigh(self, rows: Rows, tasks: list[int]) -> np.ndarray:
        norms = np.linalg.norm(rows, axis=1)
        unit = np.hstack([rows / norms[:, None], 1e-6 * np.eye(len(rows))])
        w = np.ones(len(rows))
        for _ in range(2_000):
            for t, row in enumerate(unit):
                others = row @ (unit.T @ w - row * w[t])
                root_of = np.sqrt(others**2 + 4 * (row @ row))
                w[t] = (
                    2 / (others + root_of) if others > 0 else (root_of - others) / 2 / (row @ row)
                )
            w *= np.sqrt(len(rows)) / np.linalg.norm(unit.T @ w)

        def off(logarithms: np.ndarray) -> np.ndarray:
            tried = np.exp(logarithms)
            return tried * (unit @ (unit.T @ tried)) - 1

        found = root(off, np.log(w), method="lm", options={"xtol": 1e-15})
        assert np.abs(off(found.x)).max() < 1e-3  # digits are lost where the gradients cancel
        return np.exp(found.x) / norms


@dataclass
class PCGrad(GradientRule):
    """The paper's loop; `order` gives the order of all tasks for each task, `[T, T]`."""

    order: Callable[[], Tensor]

    def weigh(self, rows: Rows, tasks: list[int]) -> np.ndarray:
        orders = self.order().tolist()
        at = dict(zip(tasks, rows, strict=True))
        total = np.zeros(len(rows))
        for own in tasks:
            surgery, made_of = at[own].copy(), {own: 1.0}
            for other in orders[own]:
                if other != own and other in at and surgery @ at[other] < 0:
                    share = surgery @ at[other] / (at[other] @ at[other])
                    surgery -= share * at[other]
                    made_of[other] = made_of.get(other, 0.0) - share
            whole = sum(share * at[task] for task, share in made_of.items())
            assert np.allclose(surgery, whole)
            total += [made_of.get(task, 0.0) for task in tasks]
        return total
