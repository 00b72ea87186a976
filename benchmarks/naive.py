"""The second paper's methods once more, one network at a time, as plainly as can be written.

Of the package it takes the data alone: own initialisation, own batch order, autograd for all.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

METHODS = ("CNN", "MTL-CNN", "Deep-AMTFL", "U-AMTFL")


def lenet(side: int, kernel: int, maps: tuple[int, int], width: int) -> nn.Sequential:
    """Two convolutions and a fully connected layer."""
    left = ((side - kernel + 1) // 2 - kernel + 1) // 2
    layers = (
        *(nn.Conv2d(1, maps[0], kernel), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(maps[0], maps[1], kernel), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(maps[1] * left**2, width), nn.ReLU()),
    )
    return nn.Sequential(*layers)


def predict(method: str, data: Any, recipe: Any, seed: int, alpha: float = 0.1) -> Tensor:
    """Train one network and give its outputs on the test rows, `[N, T]`."""
    torch.manual_seed(seed)
    train, tasks = data.split.train, len(data.tasks)
    y = data.targets
    if recipe.architecture == "lenet":
        x, (first, second, width) = data.x, recipe.trunk
        trunk = lenet(x.shape[-1], recipe.kernel, (first, second), width)
    else:
        (width,) = recipe.trunk
        x = data.x
        trunk = nn.Sequential(nn.Linear(x.shape[1], width), nn.ReLU())
    head, decoder = nn.Linear(width, tasks), nn.Linear(tasks, width)
    if recipe.initialisation == "glorot":
        for layer in (*trunk, head):
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
    nn.init.normal_(decoder.weight, std=0.01)
    nn.init.zeros_(decoder.bias)
    s = nn.Parameter(torch.zeros(tasks))
    everything = [*trunk.parameters(), *head.parameters(), *decoder.parameters(), s]
    adam = torch.optim.Adam(everything, lr=recipe.learning_rate)
    support = (y[train] == 1).sum(0) if data.exclusive else (~y[train].isnan()).sum(0)
    scarce = 1e-3 / (support / support.float().mean()).sqrt()
    step = 0
    while step < recipe.steps:
        for rows in train[torch.randperm(len(train))].split(recipe.batch_size):
            if step == recipe.steps:
                break
            done = step / recipe.steps
            cosine = 0.5 * (1 + math.cos(math.pi * done))
            factor = cosine if recipe.schedule == "cosine" else 0.1 if done >= 0.5 else 1.0
            for group in adam.param_groups:
                group["lr"] = recipe.learning_rate * factor
            features = trunk(x[rows])
            outputs = head(features)
            losses = []
            for t in range(tasks):
                there = ~y[rows, t].isnan()
                o, truth = outputs[there, t], y[rows, t][there]
                if data.binary[t]:
                    losses.append(binary_cross_entropy_with_logits(o, truth))
                else:
                    losses.append(((o - truth) ** 2).mean())
            loss = torch.stack(losses)
            decaying = [*trunk.parameters()]
            if method == "CNN":
                objective = cross_entropy(outputs, y[rows].argmax(1))
                decaying += [*head.parameters()]
            else:
                objective = 1e-4 * head.weight.abs().sum()
            if method == "MTL-CNN":
                objective = objective + loss.sum()
            if method in ("Deep-AMTFL", "U-AMTFL"):
                factor_t = 1 + alpha * decoder.weight.abs().sum(0)
                if method == "U-AMTFL":
                    half = torch.where(data.binary, 1.0, 0.5)
                    loss = half * torch.exp(-s) * loss
                    objective = objective + 0.5 * s.sum()
                gap = features - torch.relu(decoder(outputs))
                objective = objective + (factor_t * (loss + scarce)).sum()
                objective = objective + 0.01 * (gap**2).sum(1).mean()
            decay = 0.5 * sum((p**2).sum() for p in decaying)
            objective = objective + recipe.weight_decay * decay
            adam.zero_grad()
            objective.backward()
            adam.step()
            with torch.no_grad():
                s.clamp_(-8, 8)
            step += 1
    with torch.no_grad():
        test = x[data.split.test]
        found: Tensor = torch.cat([head(trunk(some)) for some in test.split(512)])
    return found
