"""The same steps by published packages. Runs in an environment of its own: torch and the peers
alone, nothing of mtl_nt. Prints `[label, tasks, [ratios], note]` a line, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

import torch
from gradnorm_pytorch import GradNormLossWeighter
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torchjd.aggregation import Mean, UPGrad
from torchjd.autojac import jac_to_grad, mtl_backward

TORCHJD = 8e9  # bytes that its steps of many tasks need on the wide trunk
WIDE, MANY = 5_000_000, 100


class Setting:
    """A network, a batch with 30% of the labels missing, and Adam."""

    def __init__(self, features: int, widths: list[int], batch: int, tasks: int) -> None:
        torch.manual_seed(0)
        sizes = [features, *widths]
        layers = [
            layer
            for i, o in zip(sizes, widths, strict=False)
            for layer in (nn.Linear(i, o), nn.ReLU())
        ]
        self.trunk, self.tasks = nn.Sequential(*layers), tasks
        self.head = nn.Linear(widths[-1], tasks)
        self.heads = nn.ModuleList(nn.Linear(widths[-1], 1) for _ in range(tasks))
        self.last = layers[-2].weight
        self.x = torch.randn(batch, features)
        self.y = (torch.rand(batch, tasks) < 0.3).float()
        self.there = (torch.rand(batch, tasks) > 0.3).float()
        modules = (self.trunk, self.head, self.heads)
        self.parameters = [p for module in modules for p in module.parameters()]
        self.adam = torch.optim.Adam(self.parameters, fused=True)

    def losses(self, outputs: Tensor) -> Tensor:
        every = cross_entropy(outputs, self.y, weight=self.there, reduction="none")
        return every.sum(0) / self.there.sum(0).clamp_min(1)

    def plain(self) -> None:
        self.losses(self.head(self.trunk(self.x))).sum().backward()

    def torchjd(self, aggregator: nn.Module) -> Callable[[], None]:
        def step() -> None:
            features = self.trunk(self.x)
            losses = [
                cross_entropy(head(features)[:, 0], y, weight=there, reduction="sum") / there.sum()
                for head, y, there in zip(self.heads, self.y.T, self.there.T, strict=True)
            ]
            mtl_backward(losses, features=features)
            jac_to_grad(self.trunk.parameters(), aggregator)

        return step

    def gradnorm(self) -> Callable[[], None]:
        weighter = GradNormLossWeighter(
            num_losses=self.tasks,
            learning_rate=0.025,
            restoring_force_alpha=0.5,
            grad_norm_parameters=self.last,
        )

        def step() -> None:
            weighter.backward(self.losses(self.head(self.trunk(self.x))))

        return step

    def seconds(self, backward: Callable[[], None]) -> float:
        start = time.perf_counter()
        self.adam.zero_grad()
        backward()
        self.adam.step()
        return time.perf_counter() - start


def measured(shape: list, tasks: int, repeats: int) -> None:
    setting = Setting(*shape, tasks)
    contestants = {
        "TorchJD Mean": setting.torchjd(Mean()),
        "TorchJD UPGrad": setting.torchjd(UPGrad()),
        "gradnorm-pytorch": setting.gradnorm(),
    }
    if sum(p.numel() for p in setting.trunk.parameters()) > WIDE and tasks > MANY:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        refused = {"gradnorm-pytorch": "needs over 12 GB"}
        if free < TORCHJD:
            refused |= dict.fromkeys(("TorchJD Mean", "TorchJD UPGrad"), "needs 8 GB")
        for name, why in refused.items():
            del contestants[name]
            print(json.dumps([name, tasks, [], why]), flush=True)
        repeats = min(repeats, 2)
    setting.seconds(setting.plain)
    for name, backward in contestants.items():
        setting.seconds(backward)
        ratios = []
        for _ in range(repeats):
            base = setting.seconds(setting.plain)
            ratios.append(setting.seconds(backward) / base)
        print(json.dumps([name, tasks, ratios, ""]), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    settings = json.loads(sys.argv[1])
    for size in settings["shapes"]:
        for count in settings["tasks"]:
            measured(size, count, settings["repeats"])
