"""Assays on molecules: the sparse first layer, the way of a batch, and an epoch of PCBA's size."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from timing import Row, in_turns, ratios
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import mtl_nt
from mtl_nt.bits import Bits
from mtl_nt.datasets.chemistry import PRESETS
from mtl_nt.datasets.downloads import FOLDER
from mtl_nt.networks import Linear, Recipe
from mtl_nt.study import METHODS, make_replicas, train
from mtl_nt.training import BatchSampler, CombinedTable

WIDTH = 1024  # bits of a fingerprint
ON = 30  # of them on, as in Tox21
TASKS = 128
PCBA, MUV = 264_000, 93_000  # training rows of one fold of PCBA-128; molecules of MUV
LABELLED, ACTIVE = 0.61, 0.014  # shares of PCBA's labels
FASTER = "times faster"


def rows(
    compounds: int = PCBA, pipeline: int = MUV, units: int = 2000, batch: int = 1024
) -> list[Row]:
    """All lines but Tox21's minutes."""
    recipe = Recipe(**{**PRESETS["paper"], "trunk": (units, units), "batch_size": batch})
    return [
        first_layer(units, batch),
        step(min(compounds, 4_000), *((100, 5) if compounds > 4_000 else (4, 1))),
        input_pipeline(pipeline, batch),
        *heads(recipe),
        *epoch(compounds, recipe),
    ]


def panel(count: int, tasks: int = TASKS) -> mtl_nt.TaskData:
    """Fingerprints at random and labels at PCBA's rates; all but 2,000 rows to train on."""
    random = np.random.default_rng(0)
    on = np.sort(random.integers(0, WIDTH - ON, (count, ON), np.int32), 1) + np.arange(ON)
    x = Bits(
        torch.from_numpy(on.astype(np.int32).reshape(-1)),
        torch.arange(count) * ON,
        (count, WIDTH),
    )
    y = (random.random((count, tasks), np.float32) < ACTIVE).astype(np.float32)
    y[random.random((count, tasks), np.float32) > LABELLED] = np.nan
    y[:2] = [[0.0], [1.0]]
    kept = torch.arange(count)
    few = min(1000, count // 4)
    split = mtl_nt.Split(kept[: -2 * few], kept[-2 * few : -few], kept[-few:])
    names = tuple(f"assay {t}" for t in range(tasks))
    return mtl_nt.TaskData("panel", x, torch.from_numpy(y), names, "binary", split)


def first_layer(units: int, batch: int, repeats: int = 7) -> Row:
    """Forward, backward and optimiser, on lists of ones against dense float32."""
    bits = panel(4 * batch, 1).x
    assert isinstance(bits, Bits)
    x = bits.take(torch.arange(batch).unsqueeze(0))
    pull = torch.randn(1, batch, units)

    def step(features: Tensor | Bits) -> Callable[[], float]:
        layer = Linear(1, WIDTH, units)
        nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
        adam = torch.optim.Adam(layer.parameters(), fused=True)

        def once() -> float:
            begin = time.process_time()
            layer(features).backward(pull)
            adam.step()
            adam.zero_grad()
            return time.process_time() - begin

        return lambda: float(np.median([once() for _ in range(9)]))

    seconds = in_turns({"dense": step(x.to_dense()), "lists": step(x)}, repeats)
    where = f"1024 bits, {ON} on, {units:,} units, batch {batch:,}"
    found = ratios(seconds, "dense", "lists")
    return Row("first layer, step on lists of ones", where, found, f"{FASTER} than dense", ">= 3")


def step(rows: int, steps: int, repeats: int, tasks: int = 9, ones: int = 46) -> Row:
    """A step of single-task networks on a drug programme's molecules, against one after another.

    CPU time is compared, since both work on one thread. Shapes are those of ExpansionRx under the
    settings of a table of molecules; as there, some bits are on in most molecules and most in few.
    """
    recipe = Recipe(trunk=(256, 128), dropout=0.25, batch_size=256, steps=steps)
    often = 1 / np.arange(5, WIDTH + 5)
    often = np.minimum(often * ones / often.sum(), 1)
    on = np.random.default_rng(0).random((rows, WIDTH)) < often
    data = replace(panel(rows, tasks), x=Bits.from_dense(torch.from_numpy(on)))
    assert isinstance(data.x, Bits)
    x, y = data.x.to_dense(), data.y.nan_to_num()
    networks = [_plain(recipe) for _ in range(2 * tasks)]
    adams = [torch.optim.Adam(n.parameters(), fused=True) for n in networks]

    def stacked() -> float:
        stamps: list[float] = []
        progress = {"progress": lambda _: stamps.append(time.process_time())}
        train(METHODS["STL"], [data, data], [0, 1], recipe, **progress)
        return float(np.median(np.diff(stamps[1:])))

    def plain() -> float:
        seconds = []
        for _ in range(5):
            begin = time.process_time()
            for number, (network, adam) in enumerate(zip(networks, adams, strict=True)):
                batch = torch.randint(0, rows, (recipe.batch_size,))
                out = network(x[batch]).squeeze(1)
                loss = F.binary_cross_entropy_with_logits(out, y[batch, number % tasks])
                adam.zero_grad()
                loss.backward()
                adam.step()
            seconds.append(time.process_time() - begin)
        return float(np.median(seconds))

    found = ratios(in_turns({"plain": plain, "stacked": stacked}, repeats), "plain", "stacked")
    ones = round(len(data.x.on) / rows)
    where = f"{WIDTH} bits, {ones} on, 256-128 units, batch 256, {2 * tasks} networks, one thread"
    return Row("step of STL on fingerprints", where, found, f"{FASTER} than dense loop", ">= 3.2")


def _plain(recipe: Recipe) -> nn.Module:
    first, second = recipe.trunk
    hidden = [nn.Linear(WIDTH, first), nn.ReLU(), nn.Dropout(recipe.dropout)]
    hidden += [nn.Linear(first, second), nn.ReLU(), nn.Dropout(recipe.dropout)]
    return nn.Sequential(*hidden, nn.Linear(second, 1))


class Compounds(Dataset):
    """One compound after another, as the code published with LBTW reads them."""

    def __init__(self, data: mtl_nt.TaskData) -> None:
        assert isinstance(data.x, Bits)
        labels = data.y.double().numpy()
        self.x = data.x.to_dense(torch.float64).numpy()
        self.y, self.there = np.nan_to_num(labels), ~np.isnan(labels) * 1.0

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        return tuple(torch.from_numpy(a[row]).float() for a in (self.x, self.y, self.there))


def input_pipeline(count: int, batch: int, repeats: int = 3) -> Row:
    """An epoch of batches, without a network."""
    data = panel(count)
    some = torch.arange(count)[-2:]
    every = replace(data, split=mtl_nt.Split(torch.arange(count - 2), some[:0], some))
    plain = Compounds(every)

    def loader() -> float:
        begin = time.perf_counter()
        for _ in DataLoader(plain, batch, shuffle=True):
            pass
        return time.perf_counter() - begin

    table = CombinedTable([every], "cpu", torch.float32)
    batches = BatchSampler([every], make_replicas(METHODS["MTL"], 1, [0], TASKS), batch)

    def ours() -> float:
        begin = time.perf_counter()
        for one in batches.steps(-(-count // batch)):
            table.batch(one, batches)
        return time.perf_counter() - begin

    seconds = in_turns({"loader": loader, "ours": ours}, repeats)
    where = f"an epoch of {count:,} compounds, {TASKS} tasks, batch {batch:,}"
    found = ratios(seconds, "loader", "ours")
    return Row("input pipeline", where, found, f"{FASTER} than a DataLoader of rows", ">= 10")


def heads(recipe: Recipe, repeats: int = 3) -> Iterator[Row]:
    """A step of LBTW and RMTL on all heads, and the same weights from autograd, head after head."""
    data, short = panel(4 * recipe.batch_size), replace(recipe, steps=4)
    one = mtl_nt.Method("RMTL", lambda given: mtl_nt.RMTL(0))
    arms = {"MTL": METHODS["MTL"], "LBTW": METHODS["LBTW"], "RMTL": one}
    arms["RMTL by autograd"] = mtl_nt.Method("RMTL by autograd", lambda given: ByAutograd())

    def stepping(method: mtl_nt.Method) -> Callable[[], float]:
        def run() -> float:
            stamps: list[float] = []
            options = {"progress": lambda _: stamps.append(time.perf_counter())}
            train(method, [data], [0], short, (0.5,), **options)
            return float(np.median(np.diff(stamps)))

        return run

    seconds = in_turns({name: stepping(m) for name, m in arms.items()}, repeats)
    where = f"1024 bits, {'-'.join(map(str, recipe.trunk))}, {TASKS} tasks, "
    where += f"batch {recipe.batch_size:,}"
    for name in list(arms)[1:]:
        target = "" if "autograd" in name else "at most 1.10"
        yield Row(f"step of {name}", where, ratios(seconds, name, "MTL"), "MTL", target)


class ByAutograd(mtl_nt.Weighter):
    """RMTL's weights as the code published with LBTW has them: one backward pass a head."""

    def weights(self, step: mtl_nt.Step) -> Tensor:
        head = step.head.detach().requires_grad_()
        outputs = step.features @ head
        gradients = []
        for t in range(TASKS):
            pull = step.errors[:, :, t]
            (one,) = torch.autograd.grad(outputs[:, :, t], head, pull, retain_graph=True)
            gradients.append(one[:, :, t])
        every = nn.functional.normalize(torch.stack(gradients, 1), dim=2)
        return (every @ every[:, :1].transpose(1, 2)).squeeze(2).clamp_min(0)


def epoch(compounds: int, recipe: Recipe) -> Iterator[Row]:
    """One epoch of plain MTL at PCBA's size, and what all of Table 1 would take."""
    data = panel(compounds)
    count = -(-len(data.split.train) // recipe.batch_size)
    stamps: list[float] = []
    train(
        METHODS["MTL"],
        [data],
        [0],
        replace(recipe, steps=count),
        progress=lambda _: stamps.append(time.perf_counter()),
    )
    step = float(np.median(np.diff(stamps)))
    where = f"{compounds:,} x 1024, {'-'.join(map(str, recipe.trunk))}, {TASKS} tasks, one thread"
    yield Row("seconds of an epoch of MTL", where, [step * count], "")
    one, two = recipe.trunk
    dense = 6 * recipe.batch_size * (one * two + two * TASKS)  # forward, and twice backward
    share = 100 * dense / step / peak(one)
    yield Row("% of the peak of matrix products, second layer and heads", where, [share], "")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    yield Row("GB at most, data included", where, [memory], "")
    networks = {"STL": 128, "MTL": 1, "Fine-Tuning": 256, "RMTL": 128, "LBTW": 2, "GradNorm": 2}
    hours = sum(networks.values()) * 100 * count * step / 3600
    said = "one fold, 100 epochs: " + ", ".join(f"{n} {name}" for name, n in networks.items())
    yield Row("projected hours of Table 1, a step of MTL each", said, [hours], "")


def peak(size: int) -> float:
    """Operations a second of one thread on a product of this size."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = 0.0
    for _ in range(5):
        begin = time.perf_counter()
        a @ b
        best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    return best


def tox21() -> list[Row]:
    """Minutes and memory of Table 1 on Tox21, five folds, on two cores."""
    what, where = "minutes of Table 1, controls and widths", "Tox21, preset small, five folds"
    try:
        mtl_nt.load("tox21")
    except mtl_nt.BadInput:
        return [Row(what, where, [], "", "under 15", f"needs RDKit and the file, see {FOLDER}")]
    folder = Path(os.environ.get("TMPDIR", "/tmp"), f"mtl_nt-bench-{os.getpid()}")
    options = ["--workers", "2", "--out", folder / "kept", "--parts", folder / "parts"]
    begin = time.perf_counter()
    command = [sys.executable, "-m", "mtl_nt", "results", "tox21", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    minutes = (time.perf_counter() - begin) / 60
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return [
        Row(what, where, [minutes], "", "under 15"),
        Row("GB of its largest process", where, [memory], "", "under 2"),
    ]
