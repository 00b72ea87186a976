"""Plain networks, trained one by one in plain loops: what the stacked replicas are held against.

Written from the papers' equations, with autograd for every gradient. Of the package it knows
the data alone: of the settings that a test hands over, it reads the fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid

from mtl_nt.bits import Bits
from mtl_nt.tasks import Split, TaskData

FUNCTIONS = {"relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid()}


KINDS = ("binary", "regression", "binary")


def table(seed: int, features: int = 6, bits: bool = False) -> TaskData:
    """Two binary tasks and a regression task; labels are missing, the last task's are rare.

    A run has 20 or 18 training rows, 19 or 17 of them with a label: in batches of 8, an epoch
    ends with three rows or with one. (Two rows make batch norm degenerate, and Adam then makes
    steps of rounding errors: so no task has fewer than five labels.)
    """
    random = torch.Generator().manual_seed(seed)
    train = 18 if seed % 2 else 20
    x = torch.randn(train + 12, features, generator=random, dtype=torch.float64)
    y = x[:, :3] + 0.5 * torch.randn(len(x), 3, generator=random, dtype=torch.float64)
    y[:, [0, 2]] = (y[:, [0, 2]] > 0).double()
    y[:, 1] = 3 * y[:, 1] + 20
    y[:, :2][torch.rand(len(y), 2, generator=random) < 0.3] = math.nan
    rows = torch.arange(len(x))
    y[rows % 4 > 0, 2] = math.nan
    split = Split(rows[:train], rows[train : train + 6], rows[train + 6 :])
    given = Bits.from_dense(x > 0.5) if bits else x
    return TaskData("tiny", given, y, ("a", "b", "c"), KINDS, split, standardise=True)


def classes(seed: int, features: int = 6, bits: bool = False) -> TaskData:
    """Three exclusive classes, the last one rare; the same rows as `table`, all labelled."""
    data = table(seed, features, bits)
    random = torch.Generator().manual_seed(seed + 100)
    noise = torch.randn(len(data.y), 3, generator=random, dtype=torch.float64)
    likely = table(seed, features).x[:, :3] + 0.5 * noise - torch.tensor([0.0, 0.0, 0.7])
    one_hot = torch.eye(3, dtype=torch.float64)[likely.argmax(1)]
    return TaskData("three", data.x, one_hot, ("a", "b", "c"), "binary", data.split, exclusive=True)


def features(data: Any) -> Tensor:
    """Every row's features, zeros and all."""
    x = data.x if isinstance(data.x, Tensor) else data.x.to_dense()
    return x.double().flatten(1)


class Net(nn.Module):
    """One network: convolutions (of LeNet), then layers of linear, batch norm, activation and
    dropout, and a head a task.

    `tasks` is their number, or how many outputs each has: a task of classes has one for each.
    """

    def __init__(self, inputs: int, tasks: int | Sequence[int], recipe: Any) -> None:
        super().__init__()
        names = recipe.activation
        names = [names] * len(recipe.trunk) if isinstance(names, str) else names
        self.activations, self.dropout = [FUNCTIONS[name] for name in names], recipe.dropout
        self.convolutions, self.widths = nn.Sequential(), list(recipe.trunk)
        self.lbtw = recipe.architecture == "lbtw"  # linear, dropout, activation, a last batch norm
        if recipe.architecture == "lenet":
            first, second, *self.widths = recipe.trunk
            side = math.isqrt(inputs)
            self.convolutions = nn.Sequential(
                nn.Unflatten(1, (1, side, side)),
                *(nn.Conv2d(1, first, recipe.kernel), self.activations[0], nn.MaxPool2d(2)),
                *(nn.Conv2d(first, second, recipe.kernel), self.activations[0], nn.MaxPool2d(2)),
                nn.Flatten(),
            )
            inputs = self.convolutions(torch.zeros(1, inputs)).shape[1]
        sizes = [inputs, *self.widths]
        self.linears = nn.ModuleList(
            nn.Linear(i, o) for i, o in zip(sizes, self.widths, strict=False)
        )
        more = {"momentum": recipe.batch_norm_momentum, "eps": 2e-5 if self.lbtw else 1e-5}
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(o, **more)
            if recipe.batch_norm and (not self.lbtw or k + 1 == len(self.widths))
            else nn.Identity()
            for k, o in enumerate(self.widths)
        )
        outputs = [1] * tasks if isinstance(tasks, int) else tasks
        self.heads = nn.ModuleList(nn.Linear(sizes[-1], count) for count in outputs)
        self.double()

    def forward(self, x: Tensor, keep: Sequence[Tensor] = ()) -> list[Tensor]:
        """Every task's outputs, `[rows]`. `keep`: a dropout mask a layer, in training."""
        shared = self.shared(x, keep)
        return [head(shared).squeeze(1) for head in self.heads]

    def shared(self, x: Tensor, keep: Sequence[Tensor] = ()) -> Tensor:
        """The features that all heads read, `[rows, width]`."""
        x = self.convolutions(x)
        drops = self.training and self.dropout > 0
        for k, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            scale = keep[k][: len(x)].double() / (1 - self.dropout) if drops else 1.0
            if self.lbtw:
                x = norm(self.activations[k](linear(x) * scale))
            else:
                x = self.activations[k](norm(linear(x))) * scale
        return x

    def take_trunk(self, other: Net) -> None:
        """Go on with another network's trunk, the batch norms' statistics included."""
        self.convolutions.load_state_dict(other.convolutions.state_dict())
        self.linears.load_state_dict(other.linears.state_dict())
        self.norms.load_state_dict(other.norms.state_dict())

    @property
    def last_shared(self) -> Tensor:
        return self.linears[-1].weight

    @property
    def trunk(self) -> list[Tensor]:
        """Weights and biases of all that the tasks share."""
        parts = (self.convolutions, self.linears, self.norms)
        return [parameter for part in parts for parameter in part.parameters()]


def pairs(network: Any, r: int, net: Net, own: int = 0) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, replica r's numbers, the plain network's, shaped alike."""
    trunk, plain = network.trunk, [m for m in net.convolutions if isinstance(m, nn.Conv2d)]
    for k, (mine, other) in enumerate(zip(getattr(trunk, "convolutions", ()), plain, strict=True)):
        yield f"convolution {k} weight", mine.weight[r], other.weight
        yield f"convolution {k} bias", mine.bias[r], other.bias
    blocks = [trunk.block] if plain else trunk.blocks
    for k, (block, linear, norm) in enumerate(zip(blocks, net.linears, net.norms, strict=True)):
        yield f"layer {k} weight", block.linear.weight[r], linear.weight.T
        yield f"layer {k} bias", block.linear.bias[r, 0], linear.bias
        if isinstance(norm, nn.BatchNorm1d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield f"norm {k} {name}", getattr(block.norm, name)[r, 0], getattr(norm, name)
    alone = network.head.weight.shape[2] == 1  # a single task's network has its own head alone
    heads = [net.heads[own]] if alone else net.heads
    outputs = [(head, k) for head in heads for k in range(head.out_features)]
    for t, (head, k) in enumerate(outputs):
        yield f"head {t} weight", network.head.weight[r, :, t], head.weight[k]
        yield f"head {t} bias", network.head.bias[r, 0, t], head.bias[k]


def targets(data: Any) -> Tensor:
    """What the networks learn: regression targets in standard deviations of the training rows."""
    y = data.y.clone()
    for t, kind in enumerate(data.kinds):
        if data.standardise and kind == "regression":
            train = y[data.split.train, t]
            train = train[~train.isnan()]
            y[:, t] = (y[:, t] - train.mean()) / train.std(correction=0)
    return y


def loss(
    outputs: Tensor, y: Tensor, kind: str, over: str, weight: Tensor | None = None
) -> Tensor | None:
    """A task's loss on its labelled rows, None without any; `outputs` is `[rows]`, of classes
    `[rows, classes]`.
    """
    there = ~y.isnan()
    if not there.any():
        return None
    f, y = outputs[there], y[there]
    if kind == "classes":
        rows = cross_entropy(f, y.long(), reduction="none")
    elif kind == "binary":
        rows = -y * logsigmoid(f) - (1 - y) * logsigmoid(-f)
    else:
        rows = (f - y) ** 2
    w = torch.ones_like(rows) if weight is None else weight[there]
    return (w * rows).sum() / (len(there) if over == "all" else w.sum())


def label_weights(data: Any) -> Tensor | None:
    """How much every label counts in training: its weight, and N / (C N_c) of its class c."""
    if data.weights is None and data.class_weight is None:
        return None
    w = torch.ones_like(data.y) if data.weights is None else data.weights.clone()
    for t, kind in enumerate(data.kinds if data.class_weight else ()):
        if kind == "regression":
            continue
        y = data.y[data.split.train, t]
        classes, counts = y[~y.isnan()].unique(return_counts=True)
        for c, count in zip(classes, counts, strict=True):
            w[data.y[:, t] == c, t] *= counts.sum().item() / (len(classes) * count.item())
    return w


def class_losses(outputs: Tensor, y: Tensor) -> dict[int, Tensor]:
    """torch's cross-entropy of a batch in parts: what the rows of each class add to its mean."""
    classes = y.argmax(1)
    return {
        t: cross_entropy(outputs[classes == t], classes[classes == t], reduction="sum") / len(y)
        for t in classes.unique().tolist()
    }


def label_counts(data: Any) -> Tensor:
    """N_t: a task's training labels, or the training rows of its class."""
    y = data.y[data.split.train]
    return ((y == 1) if data.exclusive else ~y.isnan()).sum(0).double()


@dataclass
class Look:
    """What a rule sees of a batch. `losses` has the tasks that have a label in it, no others."""

    net: Net
    losses: dict[int, Tensor]
    first: bool  # batch of an epoch
    epoch: int
    shared: Tensor = field(default_factory=lambda: torch.empty(0))  # [rows, width]
    outputs: Tensor = field(default_factory=lambda: torch.empty(0))  # of the network, [rows, tasks]
    counts: Tensor = field(default_factory=lambda: torch.empty(0))  # see `label_counts`


class Rule:
    """How a method weighs the tasks: weights of 1 and no state."""

    own: Sequence[nn.Parameter] = ()
    learning_rate: float | None = 0.0  # of `own`; None is the network's
    decoder: Sequence[nn.Parameter] = ()  # A and b, which learn at the network's rate

    def read(self, outputs: Tensor, again: Callable[[], Tensor]) -> Tensor:
        """What the losses are of; `again` is one more pass of the batch."""
        return outputs

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs

    def start(self, A: Tensor, b: Tensor) -> None:
        """Begin with this decoder, `[tasks, width]` and `[width]`."""

    def weights(self, look: Look) -> dict[int, Any]:
        return dict.fromkeys(look.losses, 1.0)

    def penalty(self, look: Look) -> Any:
        return 0.0

    def update(self, look: Look) -> None:
        pass


@dataclass
class LBTW(Rule):
    """(L_t / L0_t) ** alpha."""

    alpha: float
    reference: str = "epoch"
    normalise: bool = True
    initial: dict[int, float] = field(default_factory=dict)

    def weights(self, look: Look) -> dict[int, float]:
        if self.reference == "epoch" and look.first:
            self.initial = {}
        for t, loss in look.losses.items():
            self.initial.setdefault(t, loss.item())
        w = {t: (loss.item() / self.initial[t]) ** self.alpha for t, loss in look.losses.items()}
        if self.normalise:
            total = sum(w.values())
            w = {t: len(w) * value / total for t, value in w.items()}
        return w

    def update(self, look: Look) -> None:
        if self.reference == "average":
            for t, loss in look.losses.items():
                self.initial[t] = 0.9 * self.initial[t] + 0.1 * loss.item()


@dataclass
class RMTL(Rule):
    """max(0, cosine) of the tasks' gradients, each at its own head's weights."""

    target: int

    def weights(self, look: Look) -> dict[int, float]:
        at = {t: head_gradient(look.net, t, loss) for t, loss in look.losses.items()}
        aim = at[self.target]
        w = {t: max(0.0, float(g @ aim / (g.norm() * aim.norm()))) for t, g in at.items()}
        w[self.target] = 1.0
        return w


def head_gradient(net: Net, task: int, loss: Tensor) -> Tensor:
    """Gradient of a task's loss at its own head's weights."""
    (gradient,) = torch.autograd.grad(loss, net.heads[task].weight, retain_graph=True)
    return gradient.flatten()


class GradNorm(Rule):
    """Algorithm 1 of Chen et al. (2018), with autograd's second derivatives."""

    def __init__(self, tasks: int, alpha: float, rate: float = 0.025, floor: float = 1e-3) -> None:
        self.alpha, self.floor = alpha, floor
        self.w = nn.Parameter(torch.ones(tasks, dtype=torch.float64))
        self.adam = torch.optim.Adam([self.w], lr=rate)
        self.initial: dict[int, float] = {}

    def weights(self, look: Look) -> dict[int, float]:
        return {t: self.w[t].item() for t in look.losses}

    def update(self, look: Look) -> None:
        for t, loss in look.losses.items():
            self.initial.setdefault(t, loss.item())
        self.w.grad = gradnorm_gradient(look, self.w, self.initial, self.alpha)
        before = self.w.detach().clone()
        self.adam.step()
        seen = list(look.losses)
        with torch.no_grad():
            moved = self.w[seen].clamp(min=self.floor)
            self.w.copy_(before)
            self.w[seen] = moved * before[seen].sum() / moved.sum()


def gradnorm_gradient(look: Look, w: Tensor, initial: dict[int, float], alpha: float) -> Tensor:
    """d/dw of sum |G_i - mean(G) r_i ** alpha|, the second term a constant; 0 for unseen tasks."""
    w = w.detach().clone().requires_grad_()
    norms = []
    for t, loss in look.losses.items():
        at = torch.autograd.grad(
            w[t] * loss, look.net.last_shared, retain_graph=True, create_graph=True
        )[0]
        norms.append(at.norm())
    grown = torch.stack(norms)
    ratio = w.new_tensor([loss.item() / initial[t] for t, loss in look.losses.items()])
    goal = grown.mean().detach() * (ratio / ratio.mean()) ** alpha
    return torch.autograd.grad((grown - goal).abs().sum(), w, retain_graph=True)[0]


class Uncertainty(Rule):
    """exp(-s) L + s / 2 for classification, exp(-s) L / 2 + s / 2 for regression."""

    def __init__(self, kinds: Sequence[str], rate: float = 0.025) -> None:
        self.kinds, self.learning_rate = kinds, rate
        self.s = nn.Parameter(torch.zeros(len(kinds), dtype=torch.float64))
        self.own = (self.s,)

    def weights(self, look: Look) -> dict[int, Tensor]:
        return {
            t: torch.exp(-self.s[t]) / (2 if self.kinds[t] == "regression" else 1)
            for t in look.losses
        }

    def penalty(self, look: Look) -> Tensor:
        return sum(self.s[t] / 2 for t in look.losses)


class DWA(Rule):
    """T softmax(L(e - 1) / L(e - 2) / temperature), of the mean losses of the last two epochs.

    An epoch without a label of a task repeats the task's mean of the epoch before.
    """

    def __init__(self, tasks: int, temperature: float = 2.0) -> None:
        self.tasks, self.temperature = tasks, temperature
        self.means: list[list[float]] = []  # of the finished epochs
        self.seen: list[list[float]] = [[] for _ in range(tasks)]  # in this epoch

    def weights(self, look: Look) -> dict[int, float]:
        if look.epoch > len(self.means):
            last = self.means[-1] if self.means else [math.nan] * self.tasks
            self.means.append(
                [sum(s) / len(s) if s else m for s, m in zip(self.seen, last, strict=True)]
            )
            self.seen = [[] for _ in range(self.tasks)]
        rates = [self.rate(t) for t in range(self.tasks)]
        w = self.tasks * torch.softmax(
            torch.tensor(rates, dtype=torch.float64) / self.temperature, 0
        )
        return {t: w[t].item() for t in look.losses}

    def rate(self, t: int) -> float:
        if len(self.means) < 2 or math.isnan(self.means[-2][t]):
            return 1.0
        return self.means[-1][t] / self.means[-2][t]

    def update(self, look: Look) -> None:
        for t, loss in look.losses.items():
            self.seen[t].append(loss.item())


@dataclass
class RandomWeights(Rule):
    """T softmax(z), z from `normal`, a batch after another."""

    tasks: int
    normal: Callable[[], Tensor]

    def weights(self, look: Look) -> dict[int, float]:
        w = self.tasks * torch.softmax(self.normal(), 0)
        return {t: w[t].item() for t in look.losses}


class Balanced(Rule):
    """mean(N) / N_t."""

    def weights(self, look: Look) -> dict[int, float]:
        n = look.counts
        return {t: float(n.mean() / n[t]) for t in look.losses}


class SparseHeads(Rule):
    """mu |S|_1 beside plain multi-task learning."""

    def __init__(self, mu: float = 1e-4) -> None:
        self.mu = mu

    def penalty(self, look: Look) -> Tensor:
        return self.mu * sum(head.weight.abs().sum() for head in look.net.heads)


class AMTFL(SparseHeads):
    """Lee, Yang and Hwang (2018) as their code has it:

    sum_t (1 + alpha |a_t|_1) (L_t + c / sqrt(N_t / mean N))
    + gamma mean_batch |h - relu(o A + b)|^2 + mu |S|_1.
    """

    def __init__(
        self, alpha: float, gamma: float = 0.01, mu: float = 1e-4, scarcity: float = 1e-3
    ) -> None:
        super().__init__(mu)
        self.alpha, self.gamma, self.scarcity = alpha, gamma, scarcity

    def start(self, A: Tensor, b: Tensor) -> None:
        """Begin with this decoder, `[tasks, width]` and `[width]`."""
        self.A, self.b = self.decoder = nn.Parameter(A.clone()), nn.Parameter(b.clone())

    def bracket(self, t: int) -> Tensor:
        return 1 + self.alpha * self.A[t].abs().sum()

    def rare(self, look: Look, t: int) -> Tensor:
        return self.scarcity / (look.counts[t] / look.counts.mean()).sqrt()

    def weights(self, look: Look) -> dict[int, Tensor]:
        return {t: self.bracket(t) for t in look.losses}

    def penalty(self, look: Look) -> Tensor:
        decoded = torch.relu(look.outputs @ self.A + self.b)
        gap = (look.shared - decoded).square().sum(1).mean()
        rare = sum(self.bracket(t) * self.rare(look, t) for t in look.losses)
        return super().penalty(look) + self.gamma * gap + rare


class UAMTFL(AMTFL):
    """AMTFL with Kendall's likelihoods; with f = 1 + alpha |a_t|_1, c = c_t, the term of a task is

    outside      f (k exp(-s) L + c) + s / 2, k = 1 for classes and 1/2 for numbers
    inside       f (k exp(-s) L + s / 2 + c)
    temperature  f (L(exp(-s) o) + c) for classes, as outside for numbers
    sample       as temperature
    variance     (f + v) (exp(-s) L + s + c), v the variance of several passes, L of their mean

    with s inside +-bound, and f (+ v) at most the limit.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        alpha: float,
        reading: str = "outside",
        rate: float | None = None,
        bound: float = 8.0,
        limit: float = 100.0,
        passes: int = 50,
        **others: float,
    ) -> None:
        super().__init__(alpha, **others)
        self.kinds, self.reading, self.learning_rate = kinds, reading, rate
        self.bound, self.limit, self.passes = bound, limit, passes
        self.s = nn.Parameter(torch.zeros(len(kinds), dtype=torch.float64))
        self.own = (self.s,)
        self.v: Sequence[Any] = [0.0] * len(kinds)

    def tempered(self, t: int) -> bool:
        return self.reading in ("temperature", "sample") and self.kinds[t] == "binary"

    def read(self, outputs: Tensor, again: Callable[[], Tensor]) -> Tensor:
        self.s.data = self.s.data.clamp(-self.bound, self.bound)
        if self.reading == "variance":
            several = [outputs] + [again() for _ in range(self.passes - 1)]
            mean = sum(several) / self.passes
            squares = sum((o - mean) ** 2 for o in several) / (self.passes - 1)
            self.v = squares.mean(0)
            return mean
        return self.cooled(outputs)

    def cooled(self, outputs: Tensor) -> Tensor:
        tasks = enumerate(outputs.unbind(1))
        return torch.stack(
            [o * torch.exp(-self.s[t]) if self.tempered(t) else o for t, o in tasks], 1
        )

    def predict(self, outputs: Tensor) -> Tensor:
        return self.cooled(outputs)

    def bracket(self, t: int) -> Tensor:
        f = super().bracket(t) + self.v[t]
        return f if f.item() < self.limit else f.new_tensor(self.limit)

    def weights(self, look: Look) -> dict[int, Tensor]:
        w = {}
        for t in look.losses:
            half = self.kinds[t] == "regression" and self.reading != "variance"
            scale = torch.exp(-self.s[t]) * (0.5 if half else 1.0)
            w[t] = self.bracket(t) * (1.0 if self.tempered(t) else scale)
        return w

    def penalty(self, look: Look) -> Tensor:
        total = super().penalty(look)
        for t in look.losses:
            s = self.s[t]
            if self.reading == "variance":
                total = total + self.bracket(t) * s
            elif self.reading == "inside":
                total = total + self.bracket(t) * s / 2
            elif not self.tempered(t):
                total = total + s / 2
        return total


@dataclass
class Shuffled(Rule):
    """A rule's weights, dealt among the seen tasks in the order of their `uniform` numbers."""

    rule: Rule
    uniform: Callable[[], Tensor]

    def __post_init__(self) -> None:
        self.own, self.learning_rate = self.rule.own, self.rule.learning_rate

    def start(self, A: Tensor, b: Tensor) -> None:
        self.rule.start(A, b)
        self.decoder = self.rule.decoder

    def read(self, outputs: Tensor, again: Callable[[], Tensor]) -> Tensor:
        return self.rule.read(outputs, again)

    def predict(self, outputs: Tensor) -> Tensor:
        return self.rule.predict(outputs)

    def weights(self, look: Look) -> dict[int, Any]:
        given, drawn = self.rule.weights(look), self.uniform()
        dealt = sorted(given, key=lambda t: drawn[t].item())
        return {t: given[d] for t, d in zip(sorted(given), dealt, strict=True)}

    def penalty(self, look: Look) -> Any:
        return self.rule.penalty(look)

    def update(self, look: Look) -> None:
        self.rule.update(look)


def train(
    net: Net,
    data: Any,
    recipe: Any,
    tasks: Sequence[int],
    rule: Rule,
    batches: Iterable[tuple[Tensor, bool, int]],
    masks: Callable[[], Sequence[Tensor]],
) -> tuple[Tensor, Tensor]:
    """Train one network on `tasks`; losses and weights `[steps, tasks]`, NaN where unseen.

    Args:
        batches: row numbers, whether the batch is an epoch's first, the epoch; one a step.
        masks: dropout masks of a step, one a layer.
    """
    x, y, counts, weight = features(data), targets(data), label_counts(data), label_weights(data)
    every = recipe.weight_decay if recipe.decay == "all" else 0.0
    rate = recipe.learning_rate
    groups: list[dict[str, Any]] = [{"params": list(net.parameters()), "weight_decay": every}]
    if rule.decoder:
        groups.append({"params": rule.decoder})
    if rule.own:
        own = rate if rule.learning_rate is None else rule.learning_rate
        groups.append({"params": rule.own, "lr": own})
    adam = torch.optim.Adam(groups, lr=rate)
    rates = {
        "cosine": torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=recipe.steps),
        "drop": torch.optim.lr_scheduler.MultiStepLR(adam, [recipe.steps // 2], gamma=0.1),
    }
    schedule = rates.get(recipe.schedule)
    losses, weights = torch.full((2, recipe.steps, len(data.kinds)), math.nan).double()
    net.train()
    for step, (rows, first, epoch) in enumerate(batches):
        shared = net.shared(x[rows], masks())
        outputs = torch.cat([head(shared) for head in net.heads], 1)
        read = rule.read(outputs, lambda rows=rows: torch.stack(net(x[rows], masks()), 1))
        if recipe.loss == "softmax":
            there = class_losses(read, y[rows])
        else:
            kinds, over = data.kinds, recipe.loss_over
            own = read.split([head.out_features for head in net.heads], 1)
            own = [part if kinds[t] == "classes" else part[:, 0] for t, part in enumerate(own)]
            w_of = {t: None if weight is None else weight[rows, t] for t in tasks}
            each = {t: loss(own[t], y[rows, t], kinds[t], over, w_of[t]) for t in tasks}
            there = {t: value for t, value in each.items() if value is not None}
        look = Look(net, there, first, epoch, shared, outputs, counts)
        w = rule.weights(look)
        objective = sum(w[t] * value for t, value in look.losses.items()) + rule.penalty(look)
        if recipe.decay == "trunk":
            squares = sum(p.square().sum() for p in net.trunk)
            objective = objective + recipe.weight_decay / 2 * squares
        adam.zero_grad()
        objective.backward(retain_graph=True)
        rule.update(look)
        # A head that saw no label: its gradient is zero.
        for parameter in (*net.parameters(), *rule.decoder, *rule.own):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        adam.step()
        if schedule is not None:
            schedule.step()
        for t, value in look.losses.items():
            losses[step, t] = value.detach()
            weights[step, t] = torch.as_tensor(w[t]).detach()
    return losses, weights


@torch.no_grad()
def predict(net: Net, x: Tensor, rule: Rule | None = None) -> Tensor:
    """What the network says `[rows, tasks]` at evaluation, by way of the rule."""
    net.eval()
    outputs = torch.stack(net(x), 1)
    return outputs if rule is None else rule.predict(outputs)
